"""Two ways that are always the same: an organisation that supports victims cannot ask, and what speaks for a suspect
always reaches whoever suspects. Both are tried under agreements, codes and events that would have it otherwise.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies.node.errors import (
    NgoCannotQuery,
    NgoMayNotSee,
    NotHere,
    NotWaiting,
    RoleMissing,
    SafeguardRefused,
)
from agencies.node.ledger import justify
from exchange.protocol.decision import decide
from exchange.protocol.matching import Request
from exchange.protocol.vocabulary import MessageType, Purpose
from exercises.world import World, WorldNode
from keys.encoding import digest, instant
from tests.adversary.test_safeguards_asylum import CLAIMANT, EAST, HARBOUR, NORTH, SOUTH, checked, claim, content, terms

WHY = justify("case_assigned", "the harbour record of that night came to light today")
SUSPECT = {"kind": "person", "id": "p1", "assertion": "fact", "category": "suspect", "minor": False}


# --- an organisation that supports victims -----------------------------------------------------------


@pytest.fixture(scope="module")
def care(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Harbour and North under an agreement that would let Harbour ask anything and be told everything."""
    with World(tmp_path_factory.mktemp("care"), [NORTH, HARBOUR], agreements=()) as made:
        made.agreements["care"] = made.agree(terms("care", [HARBOUR, NORTH]))
        yield made


ASKING = [(kind, purpose) for kind in ("info_request", "clarification_request") for purpose in Purpose]


@pytest.mark.spec("SAFE-20")
@pytest.mark.parametrize(("kind", "purpose"), ASKING, ids=[f"{kind} to {purpose}" for kind, purpose in ASKING])
def test_an_ngo_asks_for_nothing_for_whatever_purpose(care: World, kind: str, purpose: Purpose) -> None:
    harbour, agr = care.node(HARBOUR), care.agreements["care"]
    value = content(kind)
    if "question" in value:
        value["question"]["purpose"] = str(purpose)
    assert isinstance(checked(harbour, value, NORTH, agr=agr, purpose=str(purpose)), NgoCannotQuery)
    with harbour.store.reading() as books:
        (row,) = books.rows("ledger", newest=1)
    assert json.loads(row.body)["outcome"] == "ngo_cannot_query"
    police = checked(care.node(NORTH), value, HARBOUR, agr=agr, purpose=str(purpose))
    assert not isinstance(police, NgoCannotQuery)  # it is the agency, not the question


@pytest.mark.spec("SAFE-20")
def test_no_ruling_and_no_copy_lets_an_ngo_ask(care: World) -> None:
    harbour, calls = care.node(HARBOUR), len(care.wire.calls)
    for facts in ({"ruling": True}, {"agr": care.agreements["care"], "ruling": True}, {"agr": digest(b"another")}):
        with pytest.raises(NgoCannotQuery):
            harbour.send(content("info_request"), NORTH, **facts)
    assert len(care.wire.calls) == calls
    assert harbour.service.state()["outbox"]["pending"] == 0


@pytest.mark.parametrize("kind", ["info_request", "clarification_request"])
def test_an_ngo_whose_node_lies_is_stopped_by_the_floor(care: World, kind: str) -> None:
    """SAFE-20: a node without this safeguard would still be denied by everybody's floor."""
    office = care.node(HARBOUR).service.office
    request = Request(
        discloser=office.party(HARBOUR), recipients=(office.party(NORTH),), agreement=care.agreements["care"],
        type=kind, purpose="victim_protection", crime="human_trafficking", cats=frozenset(),
        classification="restricted", handling=frozenset({"H0"}), urgency="normal",
    )  # fmt: skip
    assert not decide(request, office.trust.book, care.clock()).permitted


TOLD = {
    "a suspect": [SUSPECT],
    "somebody who may yet offend": [{**SUSPECT, "category": "potential_offender"}],
    "an informant": [{**SUSPECT, "category": "informant"}],
    "what a contact did": [{**SUSPECT, "category": "contact", "conduct": ["Took the fares."]}],
    "an offence": [{"kind": "event", "id": "e1", "assertion": "fact", "event": "offence"}],
}


@pytest.mark.spec("SAFE-21")
@pytest.mark.parametrize("what", TOLD)
def test_an_ngo_is_not_shown_what_it_may_not_see_even_if_somebody_let_it_through(care: World, what: str) -> None:
    north, harbour, agr = care.node(NORTH), care.node(HARBOUR), care.agreements["care"]
    value = content("spontaneous_info", entities=TOLD[what])
    assert north.send(value, HARBOUR, agr=agr, purpose="victim_protection").state == "stopped"  # the floor, at home
    sent = north.send(content("safety_notice"), HARBOUR, agr=agr, purpose="victim_protection")
    care.settle()
    assert harbour.service.open(str(sent.msg), harbour.officer(), WHY)
    with harbour.store.writing() as books:  # as if sender, broker and floor had failed
        row = books.get("inbox", msg=sent.msg)
        assert row is not None
        cats = [str(code) for code in _categories(value)]
        summary = json.dumps({**json.loads(row.summary), "cats": cats})
        books.turn("inbox", {"msg": sent.msg}, {"summary": summary})
    service, officer = harbour.service, harbour.officer()
    for attempt in (
        lambda: service.open(str(sent.msg), officer, WHY),
        lambda: service.export(str(sent.msg), officer, WHY),
        lambda: service.open_many([str(sent.msg)], officer, WHY),
        lambda: service.forward(str(sent.msg), [NORTH], [""], "victim_protection", officer, WHY, text="See here."),
        lambda: service.condition(str(sent.msg), officer, WHY),
    ):
        with pytest.raises(NgoMayNotSee):
            attempt()


def _categories(value: dict[str, Any]) -> tuple[str, ...]:
    from exchange.protocol.content import content_from

    return content_from(value).categories


@pytest.mark.spec("SAFE-20", "SAFE-21")
def test_an_ngo_refers_and_receives(care: World) -> None:
    north, harbour, agr = care.node(NORTH), care.node(HARBOUR), care.agreements["care"]
    referred = harbour.send(content("victim_referral"), NORTH, agr=agr, purpose="victim_protection")
    warned = north.send(content("safety_notice"), HARBOUR, agr=agr, purpose="victim_protection")
    assert (referred.state, warned.state) == ("sent", "sent")
    care.settle()
    assert harbour.open(str(warned.msg))["type"] == "safety_notice"
    assert north.open(str(referred.msg))["type"] == "victim_referral"


# --- what speaks for a suspect -------------------------------------------------------------------------

HANDLINGS = [["H0"], ["H1"], ["H2"], ["H3"], ["H1", "H2"], ["H1", "H3"], ["H2", "H3"], ["H1", "H2", "H3"]]
ONWARD = ["within_parties", "by_consent", "none"]
EVENTS = ["nothing", "erased", "suspended by the originator", "suspended by the holder", "left by the originator"]


def strict(name: str, onward: str, *, release: bool = False) -> dict[str, Any]:
    """An agreement under which North may tell South about suspects, and South may tell North nothing at all."""
    made = terms(name, [NORTH, SOUTH])
    (clause,) = made["clauses"]
    clause |= {"from": [NORTH], "to": [SOUTH]}
    clause["types"] = [kind for kind in clause["types"] if kind != "exculpatory_notice"]
    clause["conditions"] |= {"onward": onward, "evidence": False, "human_release": release}
    forbid = {name: clause[name] for name in ("types", "purposes", "crimes", "cats")} | {
        "id": "never",
        "effect": "forbid",
        "title": "South tells North nothing",
        "from": [SOUTH],
        "to": [NORTH],
    }
    forbid["types"] = [str(kind) for kind in MessageType]
    made["clauses"].append(forbid)
    return made


@pytest.fixture(scope="module")
def courts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("courts"), [NORTH, SOUTH], agreements=()) as made:
        for onward in ONWARD:
            made.agreements[onward] = made.agree(strict(f"strict-{ONWARD.index(onward)}", onward))
        yield made


def accused(world: World, agr: str, handling: list[str]) -> str:
    members = {"handling_text": "Ask first."} if "H3" in handling else {}
    value = content("spontaneous_info", entities=[SUSPECT], **members)
    sent = world.node(NORTH).send(value, SOUTH, agr=agr, handling=handling, purpose="prosecute")
    assert sent.state == "sent", sent
    world.settle()
    return str(sent.msg)


def tell(world: World, msg: str, text: str = "A harbour record shows him elsewhere that night.") -> Any:
    south = world.node(SOUTH)
    return south.service.exculpation.tell(msg, ["alibi"], text, south.officer(), WHY)


CODES = list(itertools.product(range(len(HANDLINGS)), ONWARD))


@pytest.mark.spec("SAFE-40", "CNT-44")
@pytest.mark.parametrize(("codes", "onward"), CODES, ids=[f"{'+'.join(HANDLINGS[c])} {o}" for c, o in CODES])
def test_no_handling_code_and_no_onward_rule_keeps_back_what_speaks_for_a_suspect(
    courts: World, codes: int, onward: str
) -> None:
    msg = accused(courts, courts.agreements[onward], HANDLINGS[codes])  # and nobody has acknowledged it
    told = tell(courts, msg)
    assert told.state == "sent", (told.code, told.reasons)
    courts.settle()
    found = [one for one in courts.node(NORTH).service.exculpation.tasks() if one["re"] == msg]
    assert [one["from"] for one in found] == [SOUTH]


@pytest.mark.spec("SAFE-40")
@pytest.mark.parametrize("event", EVENTS[1:])
@pytest.mark.parametrize("handling", [["H0"], ["H1", "H2", "H3"]], ids="+".join)
def test_nor_does_anything_that_happened_since(tmp_path: Path, event: str, handling: list[str]) -> None:
    with World(tmp_path, [NORTH, SOUTH], agreements=()) as world:
        agr = world.agree(strict("strict", "none", release=False))
        north, south = world.node(NORTH), world.node(SOUTH)
        msg = accused(world, agr, handling)
        if event == "erased":
            south.service.erase(msg, south.officer("release_officer"), WHY)
        else:
            change, by = event.split(" ", maxsplit=1)[0], north if event.endswith("originator") else south
            kind = {"suspended": "suspend", "left": "leave"}[change]
            by.service.give_notice(kind, agr, by.officer("release_officer"), WHY.text)
        world.settle()
        for node in world.nodes:
            node.service.refresh()
        told = tell(world, msg)
        assert told.state == "sent", (told.code, told.reasons)
        world.settle()
        assert [one["re"] for one in north.service.exculpation.tasks()] == [msg]
        assert north.open(str(told.msg))["exculpatory"]["kinds"] == ["alibi"]
        assert world.audit().clean


@pytest.mark.spec("SAFE-40", "SAFE-13")
def test_even_about_a_claimant_to_the_state_feared_unless_the_words_lead_there(tmp_path: Path) -> None:
    with World(tmp_path, [NORTH, SOUTH, EAST], agreements=()) as world:
        near, far = world.agree(terms("near", [NORTH, EAST])), world.agree(terms("far", [NORTH, SOUTH]))
        north, south = world.node(NORTH), world.node(SOUTH)
        assert world.node(EAST).send(claim(CLAIMANT), NORTH, agr=near, handling=["H2"]).msg
        names = [{"family": CLAIMANT["family"], "given": CLAIMANT["given"]}]
        value = content("spontaneous_info", entities=[{**SUSPECT, "names": names}])
        sent = south.send(value, NORTH, agr=far, purpose="prosecute")
        world.settle()
        officer = north.officer()
        with pytest.raises(SafeguardRefused):
            north.service.exculpation.tell(
                str(sent.msg), ["alibi"], f"{CLAIMANT['given']} {CLAIMANT['family']} was with us.", officer, WHY
            )
        told = north.service.exculpation.tell(str(sent.msg), ["alibi"], "We hold a record. Ask us.", officer, WHY)
        assert told.state == "sent"


@pytest.mark.spec("SAFE-41")
def test_a_notice_is_a_task_with_a_clock_until_somebody_has_acted(tmp_path: Path) -> None:
    with World(tmp_path, [NORTH, SOUTH], agreements=()) as world:
        agr = world.agree(strict("strict", "none"))
        north = world.node(NORTH)
        first, second = accused(world, agr, ["H2"]), accused(world, agr, ["H0"])
        tell(world, first)
        world.settle()
        world.clock.advance(hours=5)
        tell(world, second)
        world.settle()
        exculpation = north.service.exculpation
        tasks = exculpation.tasks()
        assert [one["re"] for one in tasks] == [first, second]
        for one in tasks:
            assert instant(one["due"]) == instant(one["received"]) + timedelta(hours=72)
        assert exculpation.escalated() == []
        world.clock.now = instant(tasks[0]["due"]) - timedelta(milliseconds=1)
        assert exculpation.escalated() == []
        world.clock.now = instant(tasks[0]["due"])
        assert [one["re"] for one in exculpation.escalated()] == [first]
        again = world.restart_node(NORTH).service.exculpation  # nothing in memory matters
        assert [one["re"] for one in again.escalated()] == [first]
        officer = north.officer()
        with pytest.raises(NotHere):
            again.done(first, officer, WHY)
        with pytest.raises(RoleMissing):
            again.done(tasks[0]["msg"], north.officer("auditor"), WHY)
        again.done(tasks[0]["msg"], officer, WHY)
        with pytest.raises(NotWaiting):
            again.done(tasks[0]["msg"], officer, WHY)
        assert again.escalated() == []
        world.clock.advance(hours=200)
        assert [one["re"] for one in again.escalated()] == [second]
        assert again.tasks()[-1]["by"] == north.service.office.scribe.officer_name(officer.id)
        with world.node(NORTH).store.reading() as books:
            said = [json.loads(row.body) for row in books.rows("ledger")]
        assert [one["outcome"] for one in said].count("exculpatory_acted_on") == 1


def test_who_never_received_a_message_tells_nothing_about_it(courts: World) -> None:
    """SAFE-40: and neither does an auditor, who changes nothing."""
    south = courts.node(SOUTH)
    tell_ = south.service.exculpation.tell
    with pytest.raises(NotHere):
        tell_(digest(b"nothing"), ["alibi"], "A record.", south.officer(), WHY)
    msg = accused(courts, courts.agreements["none"], ["H0"])
    with pytest.raises(RoleMissing):
        tell_(msg, ["alibi"], "A record.", south.officer("auditor"), WHY)


def test_a_node_by_name(care: World) -> None:
    """SAFE-20: what makes an organisation one is its record, and not its name."""
    node: WorldNode = care.node(HARBOUR)
    assert node.service.protection.is_ngo
    assert not care.node(NORTH).service.protection.is_ngo

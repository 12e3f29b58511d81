"""Breaking the glass: two people and a danger, everybody hears of it, nothing else gives way (NODE-160 to NODE-165)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agencies.node.care.emergency import PURPOSES
from agencies.node.errors import (
    DraftMalformed,
    EmergencyRefused,
    EvidenceRefused,
    HoldingBroken,
    NgoMayNotSee,
    NoLongerHere,
    NotAcknowledged,
    NotHere,
    NotWaiting,
    OnwardRefused,
    PurposeRefused,
    ReleaseRefused,
    Restricted,
    RoleMissing,
)
from agencies.node.ledger import justify
from agencies.node.profile import Officer
from agencies.node.store import Store
from exchange.protocol.vocabulary import Classification, Danger, Purpose
from exercises.world import World, WorldNode
from keys.errors import Refusal
from tests.agencies.node.bound import EAST, NORTH, SOUTH, TIP, TOLD, bound, other, terms, told
from tests.agencies.node.conftest import acts
from tests.agencies.node.old_books import as_schema_5

WHY = justify("urgent_danger", "the lorry is closed, somebody inside it called for help an hour ago")
READERS = {"clearance": "confidential", "training": ["lorries"]}
CHIEF, CLERK = other("chief", "release_officer"), other("clerk", "officer")
AUDIT, DEPUTY = other("audit", "auditor"), other("deputy", "release_officer")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world in which what comes wants a clearance and a training that nobody has."""
    with bound(tmp_path, terms(readers=READERS, onward="none", evidence=False)) as made:
        yield made


@pytest.fixture
def south(world: World) -> WorldNode:
    return world.node(SOUTH)


def glass(node: WorldNode, name: str, first: Officer = CLERK, second: Officer = CHIEF, **said: str) -> Any:
    danger, purpose = said.get("danger", "danger_to_life"), said.get("purpose", "prevent")
    return node.service.emergency.open(name, first, second, danger, WHY, purpose)


def denied(node: WorldNode) -> list[str]:
    return [act["outcome"] for act in acts(node) if act["act"] == "attempt_denied"]


@pytest.mark.spec("NODE-160", "NODE-161", "NODE-163")
def test_two_officers_see_what_neither_may_and_the_ledger_says_so_first(world: World, south: WorldNode) -> None:
    name = told(world)
    with pytest.raises(Refusal):
        south.service.open(name, CLERK, WHY)
    opened = glass(south, name)
    assert opened.content == TIP
    assert opened.passed == ("clearance_missing", "training_missing", "purpose_refused")
    act = next(act for act in acts(south) if act["act"] == "open")
    assert (act["officer"], act["released_by"], act["outcome"]) == ("clerk", "chief", "emergency")
    assert (act["purpose"], act["reasons"]) == ("prevent", ["danger_to_life", *opened.passed])
    world.settle()
    assert world.node(NORTH).service.receipts(name)[-1]["status"] == "opened"
    assert world.audit().clean


@pytest.mark.spec("NODE-162")
def test_any_two_of_whom_one_releases_may(world: World, south: WorldNode) -> None:
    name = told(world)
    for first, second, purpose in (
        (CLERK, CHIEF, "locate_person"),
        (CHIEF, CLERK, "missing_person"),
        (CHIEF, DEPUTY, "victim_protection"),
    ):
        assert glass(south, name, first, second, purpose=purpose).content == TIP


REFUSED: list[tuple[Officer, Officer, dict[str, str], type[Refusal]]] = [
    (CHIEF, CHIEF, {}, EmergencyRefused),
    (CHIEF, replace(CHIEF, display="the same by another title"), {}, EmergencyRefused),
    (CLERK, other("duty", "officer"), {}, EmergencyRefused),
    (CLERK, AUDIT, {}, RoleMissing),
    (AUDIT, CHIEF, {}, RoleMissing),
    (CLERK, other("keeper", "protection_officer"), {}, RoleMissing),
    (CLERK, CHIEF, {"danger": "danger_to_property"}, DraftMalformed),
    (CLERK, CHIEF, {"danger": ""}, DraftMalformed),
    (CLERK, CHIEF, {"purpose": "curiosity"}, DraftMalformed),
    *((CLERK, CHIEF, {"purpose": str(one)}, EmergencyRefused) for one in Purpose if one not in PURPOSES),
]


@pytest.mark.spec("NODE-160", "NODE-162")
def test_one_person_no_release_officer_no_danger_or_another_purpose_opens_nothing(
    world: World, south: WorldNode
) -> None:
    name, noted = told(world), 0
    for first, second, said, refusal in REFUSED:
        with pytest.raises(refusal):
            glass(south, name, first, second, **said)
        assert [act for act in acts(south) if act["act"] in ("open", "consent")] == [], said
        assert south.service.emergency.listed() == []
        noted += refusal is EmergencyRefused
        assert denied(south) == ["emergency_refused"] * noted


@pytest.mark.spec("NODE-160")
def test_each_danger_of_the_list_is_one(world: World, south: WorldNode) -> None:
    name = told(world)
    assert [glass(south, name, danger=danger).content for danger in Danger] == [TIP] * len(Danger)
    assert len(south.service.emergency.listed()) == len(Danger)  # in one instant: one ask, and a review for each


@pytest.mark.spec("NODE-160")
def test_what_may_be_opened_as_usual_is_opened_as_usual(tmp_path: Path) -> None:
    clause = terms()
    clause["clauses"][0]["purposes"] = ["prevent", "investigate"]
    with bound(tmp_path, clause) as world:
        south, name = world.node(SOUTH), told(world, purpose="prevent")
        with pytest.raises(EmergencyRefused, match="as usual"):
            glass(south, name)
        somewhere = replace(CLERK, cases=frozenset({"ELSEWHERE-1"}))
        assert glass(south, name, somewhere).passed == ("need_to_know_missing",)
        low = replace(CLERK, clearance=Classification.UNCLASSIFIED)
        assert glass(south, name, low).passed == ("clearance_missing",)
        assert len({one["id"] for one in south.service.emergency.listed()}) == 2


@pytest.mark.spec("NODE-161")
def test_a_role_that_the_clause_asks_for_is_not_passed_over(tmp_path: Path) -> None:
    with bound(tmp_path, terms(readers={"roles": ["protection_officer"]})) as world:
        name, south = told(world), world.node(SOUTH)
        with pytest.raises(RoleMissing):
            glass(south, name)
        assert denied(south) == ["role_missing"]


@pytest.mark.spec("NODE-161")
@pytest.mark.parametrize("how", ["restrict", "recall"])
def test_what_was_restricted_or_recalled_stays_closed(world: World, south: WorldNode, how: str) -> None:
    name, north = told(world), world.node(NORTH)
    north.service.recalls.give(how, name, north.officer("release_officer"), WHY, ground="inaccurate")
    south.collect()
    with pytest.raises(Restricted):
        glass(south, name)
    if how == "recall":  # kept on a ground, it is still recalled
        (duty,) = south.service.recalls.duties(state="open")
        south.service.recalls.answer(duty["act"], CHIEF, WHY, outcome="retained", ground="data_subject_interest")
        with pytest.raises(Restricted):
            glass(south, name)
    assert set(denied(south)) == {"restricted"}
    assert south.service.emergency.listed() == []


@pytest.mark.spec("NODE-161")
def test_what_is_over_or_erased_stays_gone(tmp_path: Path) -> None:
    with bound(tmp_path, terms(readers=READERS, retention_days=10)) as world:
        south = world.node(SOUTH)
        first, second = told(world), told(world, {**TIP, "as_of": "2026-11-19"})
        south.service.erase(first, CHIEF, WHY)
        with pytest.raises(NoLongerHere):
            glass(south, first)
        world.clock.advance(days=10)
        with pytest.raises(NoLongerHere):  # also before anything has swept
            glass(south, second)
        with pytest.raises(NotHere):
            glass(south, "A" * 43)
        sent = south.send(TIP, EAST).msg or ""
        with pytest.raises(NotHere):  # one's own message is no held one
            glass(south, sent)


@pytest.mark.spec("NODE-161")
def test_a_condition_is_acknowledged_by_one_of_the_two(tmp_path: Path) -> None:
    with bound(tmp_path, terms()) as world:
        name, south = told(world, TOLD), world.node(SOUTH)
        with pytest.raises(NotAcknowledged):
            glass(south, name)
        somebody = other("somebody", "officer")
        south.service.condition(name, somebody, WHY)
        south.service.acknowledge(name, somebody, WHY)
        with pytest.raises(NotAcknowledged):
            glass(south, name)
        south.service.condition(name, CHIEF, WHY)
        south.service.acknowledge(name, CHIEF, WHY)
        assert glass(south, name).passed == ("not_acknowledged", "purpose_refused")


@pytest.mark.spec("NODE-161")
def test_an_opening_opens_no_second_look_no_export_and_no_forwarding(world: World, south: WorldNode) -> None:
    name = told(world)
    glass(south, name)
    for officer in (CLERK, CHIEF):
        with pytest.raises(Refusal):
            south.service.open(name, officer, WHY, purpose="prevent")
        with pytest.raises(Refusal):
            south.service.export(name, officer, WHY)
    able = replace(CLERK, clearance=Classification.SECRET, training={"lorries": world.clock().replace(year=2030)})
    with pytest.raises(PurposeRefused):
        south.service.open(name, able, WHY, purpose="prevent")
    with pytest.raises(EvidenceRefused):
        south.service.export(name, able, WHY)
    with pytest.raises(OnwardRefused):
        south.service.forward(name, [EAST], [""], "prevent", able, WHY, text="somebody is inside")


@pytest.mark.spec("NODE-161")
def test_no_identity_is_opened_and_an_ngo_sees_no_suspect(tmp_path: Path) -> None:
    """The content shows of a sealed part what everybody sees; the role alone, by its passphrase, opens one (SAFE-1)."""
    from tests.adversary.test_safeguards_identity import HARBOUR, IDENTITY, KEEPER, PHRASE, referral
    from tests.adversary.test_safeguards_identity import terms as care

    with World(tmp_path, [NORTH, HARBOUR], agreements=()) as world:
        agr = world.agree(care("care", [NORTH, HARBOUR]))
        world.protect(HARBOUR, {KEEPER.id: PHRASE})
        north, harbour = world.node(NORTH), world.node(HARBOUR)
        part = north.service.protection.seal(IDENTITY, referral(), [HARBOUR], north.officer(), WHY)
        whole = referral(sealed_parts=[part])
        sent = north.send(whole, HARBOUR, agr=agr, purpose="victim_protection", handling=["H2"])
        harbour.collect()
        nobody = replace(CLERK, cases=frozenset())
        opened = glass(harbour, sent.msg or "", nobody)
        assert opened.content["sealed_parts"] == [part]
        assert str(IDENTITY["names"][0]["family"]) not in str(opened.content)
        for officer in (nobody, CHIEF):
            with pytest.raises(RoleMissing):
                harbour.service.protection.open(sent.msg or "", part["id"], PHRASE, officer, WHY)
        service = harbour.service.emergency
        service._must_be_shown = _never
        with pytest.raises(NgoMayNotSee):
            glass(harbour, sent.msg or "", nobody)


def _never(_: Any) -> None:
    raise NgoMayNotSee("this is not for this agency to see")


@pytest.mark.spec("NODE-160", "SAFE-21")
def test_the_service_asks_what_this_kind_of_agency_may_see(world: World, south: WorldNode) -> None:
    assert south.service.emergency._must_be_shown == south.service.protection.must_be_shown


@pytest.mark.spec("NODE-163")
@pytest.mark.parametrize("approve", [True, False])
def test_the_originator_hears_at_once_and_its_answer_stands_beside(
    world: World, south: WorldNode, approve: bool
) -> None:
    name, north = told(world), world.node(NORTH)
    opened = glass(south, name)
    (one,) = south.service.emergency.listed()
    assert (one["told"], one["originator"]) == (False, "open")
    south.service.retry_outbox()
    assert south.service.emergency.listed()[0]["told"] is True
    north.collect()
    (ask,) = north.service.consents.waiting()
    assert (ask["holder"], ask["want"], ask["msg"], ask["purposes"]) == (SOUTH, "purpose", name, ["prevent"])
    ground = None if approve else "disproportionate"
    north.service.consents.decide(ask["act"], north.officer("release_officer"), WHY, approve=approve, ground=ground)
    south.collect()
    (one,) = south.service.emergency.listed()
    assert (one["id"], one["originator"]) == (opened.id, "consented" if approve else "declined")
    assert one["verdict"] is None  # its answer is its own review, and takes none off us
    world.settle()
    assert world.audit().clean


@pytest.mark.spec("NODE-163")
def test_nothing_is_shown_if_it_could_not_be_written_down(
    world: World, south: WorldNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, before = told(world), len(acts(south))

    def torn(*_: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(type(south.service.office), "record", torn)
    with pytest.raises(OSError, match="full"):
        glass(south, name)
    monkeypatch.undo()
    assert (len(acts(south)), south.service.emergency.listed()) == (before, [])
    assert south.service.consents.listed() == []
    assert glass(south, name).content == TIP  # and with no broker to hear of it
    assert south.service.acts.about(name)[0].state == "pending"


@pytest.mark.spec("NODE-164")
@pytest.mark.parametrize(("reviewer", "justified"), [(AUDIT, True), (DEPUTY, False)])
def test_somebody_else_reviews_it_once(world: World, south: WorldNode, reviewer: Officer, justified: bool) -> None:
    opened = glass(south, told(world))
    review = south.service.emergency.review
    for taking_part in (CHIEF, replace(CLERK, roles=DEPUTY.roles)):
        with pytest.raises(ReleaseRefused):
            review(opened.id, taking_part, WHY, justified=True)
    with pytest.raises(RoleMissing):
        review(opened.id, other("duty", "officer"), WHY, justified=True)
    with pytest.raises(NotHere):
        review("nothing", AUDIT, WHY, justified=True)
    said = review(opened.id, reviewer, WHY, justified=justified)
    verdict = "justified" if justified else "unjustified"
    named = south.service.office.scribe.officer_name(reviewer.id)
    assert (said["verdict"], said["reviewer"], said["overdue"]) == (verdict, named, False)
    act = acts(south)[-1]
    assert (act["act"], act["outcome"], act["officer"]) == ("review", f"emergency_{verdict}", reviewer.id)
    assert act["why"] == WHY.text
    with pytest.raises(NotWaiting):
        review(opened.id, AUDIT, WHY, justified=not justified)
    assert denied(south) == ["release_refused"] * 2


@pytest.mark.spec("NODE-165")
def test_a_review_that_is_overdue_is_listed_until_it_is_made(world: World, south: WorldNode) -> None:
    opened, service = glass(south, told(world)), south.service
    world.clock.advance(hours=71, minutes=59)
    assert service.emergency.listed(overdue=True) == []
    assert (service.state()["emergencies_unreviewed"], service.state()["emergencies_overdue"]) == (1, 0)
    world.clock.advance(minutes=1)
    assert [one["id"] for one in service.emergency.listed(overdue=True)] == [opened.id]
    assert service.state()["emergencies_overdue"] == 1
    service.sweep()
    world.clock.now -= world.clock.now - world.clock.now.replace(day=22)  # the clock is set back
    assert service.state()["emergencies_overdue"] == 1
    service.emergency.review(opened.id, AUDIT, WHY, justified=True)
    assert (service.state()["emergencies_unreviewed"], service.state()["emergencies_overdue"]) == (0, 0)


CHANGES: list[str] = [
    "due = '2036-01-01T00:00:00.000Z'", "verdict = 'justified', reviewer = 'audit', reviewed = at",
    "second = 'deputy'", "officer = 'nobody'", "danger = 'child_missing_at_risk'", "seal = zeroblob(32)",
]  # fmt: skip


@pytest.mark.spec("NODE-165")
def test_a_line_changed_in_the_books_is_overdue_at_once(world: World, south: WorldNode) -> None:
    opened = glass(south, told(world))
    with south.store.reading() as store:
        row = store.get("emergency", id=opened.id)
    assert row is not None
    for change in CHANGES:
        books = sqlite3.connect(world.home / f"{SOUTH}.db", isolation_level=None)
        books.execute(f"UPDATE emergency SET {change}")
        books.close()
        (one,) = south.service.emergency.listed(overdue=True)
        assert (one["changed"], south.service.state()["emergencies_overdue"]) == (True, 1), change
        with pytest.raises(HoldingBroken):
            south.service.emergency.review(opened.id, AUDIT, WHY, justified=True)
        with south.store.writing() as store:
            store.put("emergency", [row._asdict()])
    assert south.service.emergency.listed(overdue=True) == []


def test_books_of_the_schema_before_are_brought_up_to_date(tmp_path: Path) -> None:
    Store(tmp_path / "old.db").close()
    books = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    as_schema_5(books)
    for statement in ("DROP TABLE emergency", "DROP TABLE flag", "PRAGMA user_version=4"):
        books.execute(statement)
    books.close()
    again = Store(tmp_path / "old.db")
    with again.reading() as found:
        assert found.count("emergency") + found.count("flag") == 0
    again.close()

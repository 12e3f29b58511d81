"""What a received message ties this agency to: nobody gets round it here (NODE-81 to NODE-87, NODE-95, NODE-97)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies.node.errors import (
    ClearanceMissing,
    EvidenceRefused,
    HoldingBroken,
    NeedToKnowMissing,
    NoLongerHere,
    PurposeRefused,
    Restricted,
    RoleMissing,
    TrainingMissing,
)
from agencies.node.profile import OfficerRole
from exchange.protocol.vocabulary import Classification
from exercises.world import World
from tests.agencies.node.bound import NORTH, SOUTH, TIP, able, bound, consent, other, terms, told
from tests.agencies.node.conftest import WHY, acts
from tests.agencies.node.old_books import as_schema_5

SECRETS = ("SIM-LR-5520", "cooling unit", "XB-2026/0071", "Northgate")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with bound(tmp_path, terms()) as made:
        yield made


def denied(world: World, agency: str = SOUTH) -> list[tuple[str, Any]]:
    """What the ledger says of attempts that were refused: code and officer. None may tell what was refused."""
    found = [act for act in acts(world.node(agency)) if act["act"] == "attempt_denied"]
    assert not any(secret in str({**act, "why": ""}) for act in found for secret in SECRETS)
    return [(act["outcome"], act["officer"]) for act in found]


def sql(world: World, statement: str, *values: Any) -> None:
    books = sqlite3.connect(world.home / f"{SOUTH}.db", isolation_level=None)
    books.execute(statement, values)
    books.close()


# -- the note beside a message --


@pytest.mark.spec("NODE-83")
def test_a_message_taken_in_has_its_obligations_beside_it(tmp_path: Path) -> None:
    readers = {"clearance": "restricted", "training": ["lorries"]}
    strings = terms(
        onward="by_consent", evidence=False, retention_days=90, review_days=30, readers=readers, purge_days=7
    )
    with bound(tmp_path, strings) as world:
        name = told(world, handling=["H1", "H2"])
        (held,) = world.node(SOUTH).service.holdings()
        assert (held["msg"], held["from"], held["state"], held["agreement_known"]) == (name, NORTH, "held", True)
        assert held["obligations"] == {
            "onward": "by_consent", "evidence": False, "human_release": False, "second_approver": False,
            "retention_days": 90, "review_days": 30, "purge_days": 7, "readers": readers,
        }  # fmt: skip
        assert (held["review_at"][:10], held["erase_at"][:10]) == ("2026-12-21", "2027-02-19")


@pytest.mark.spec("NODE-83")
@pytest.mark.parametrize(
    ("more", "facts", "wanted"),
    [
        ({}, {}, ("within_parties", True)),
        ({}, {"handling": ["H1"]}, ("within_parties", False)),
        ({}, {"handling": ["H2"]}, ("by_consent", True)),
        ({"onward": "none"}, {"handling": ["H2"]}, ("none", True)),
        ({}, {"tlp": "red"}, ("none", False)),
        ({"onward": "by_field"}, {"tlp": "amber_strict"}, ("by_field", True)),
        ({"evidence": False}, {"tlp": "green"}, ("within_parties", False)),
    ],
)
def test_the_stricter_of_clause_code_and_mark_binds(
    tmp_path: Path, more: dict[str, Any], facts: dict[str, Any], wanted: tuple[str, bool]
) -> None:
    codes = {"red": ["H1", "H2"], "amber_strict": ["H2"], "green": ["H0"]}
    tlp = facts.pop("tlp", None)
    facts = {"handling": codes[tlp]} if tlp else facts
    with bound(tmp_path, terms(**more)) as world:
        told(world, {**TIP, "tlp": tlp} if tlp else TIP, **facts)
        owes = world.node(SOUTH).service.holdings()[0]["obligations"]
        assert (owes["onward"], owes["evidence"]) == wanted


@pytest.mark.spec("NODE-83")
def test_while_the_agreement_is_not_known_here_the_strictest_binds(world: World) -> None:
    from exchange.protocol.policy import PolicyBook

    name, south = told(world), world.node(SOUTH)
    known, south.service.office.trust.book = south.service.office.trust.book, PolicyBook()
    (held,) = south.service.holdings()
    owes = held["obligations"]
    assert (held["agreement_known"], owes["onward"], owes["evidence"]) == (False, "none", False)
    with pytest.raises(EvidenceRefused):
        south.service.export(name, south.officer(), WHY)
    south.service.office.trust.book = known
    assert south.service.export(name, south.officer(), WHY)["content"] == TIP


@pytest.mark.spec("NODE-83")
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE held SET state = 'restricted'",
        "UPDATE held SET acknowledged = '[\"sp-duty-1\"]'",
        "UPDATE held SET tlp = 'clear'",
        "UPDATE held SET kept_until = '2036-01-01T00:00:00.000Z', kept = 'case_open'",
        "UPDATE held SET seal = zeroblob(32)",
        "UPDATE held SET entry = (SELECT entry FROM held h WHERE h.msg != held.msg)",
        "DELETE FROM held",
    ],
)
def test_a_note_changed_in_the_books_opens_nothing(world: World, change: str) -> None:
    told(world, handling=["H2"])
    name, south = told(world, handling=["H1"]), world.node(SOUTH)
    sql(world, f"{change} WHERE msg = ?", name)
    for act in (south.service.open, south.service.export):
        with pytest.raises(HoldingBroken):
            act(name, south.officer(), WHY)
    assert denied(world) == [("holding_broken", "sp-duty-1")] * 2


@pytest.mark.spec("NODE-83")
def test_what_an_older_node_took_in_is_bound_as_well(world: World) -> None:
    name = told(world, {**TIP, "tlp": "red"}, handling=["H1", "H2"])
    with sqlite3.connect(world.home / f"{SOUTH}.db") as books:
        as_schema_5(books)
    books.close()
    for statement in (
        "DROP TABLE held", "DROP TABLE quoted", "PRAGMA user_version=2",
        *(f"ALTER TABLE outbox DROP COLUMN {column}" for column in ("approved_by", "src", "exempt")),
    ):  # fmt: skip
        sql(world, statement)
    world.node(SOUTH).store.close()
    south = world.restart_node(SOUTH)
    (held,) = south.service.holdings()
    assert (held["msg"], held["obligations"]["onward"], held["obligations"]["evidence"]) == (name, "none", False)
    sql(world, "DELETE FROM held")
    with pytest.raises(HoldingBroken):  # and never again
        world.restart_node(SOUTH).open(name)


# -- who may read --


@pytest.mark.spec("NODE-81", "NODE-87")
def test_only_who_is_cleared_trained_and_in_the_role_reads(tmp_path: Path) -> None:
    readers = {"clearance": "confidential", "training": ["lorries"], "roles": ["release_officer"]}
    with bound(tmp_path, terms(readers=readers)) as world:
        name, south = told(world), world.node(SOUTH)
        until = world.clock() + timedelta(days=1)
        fit = {"clearance": Classification.CONFIDENTIAL, "training": {"lorries": until}}
        wrongs = [
            (other("a", "release_officer", training={"lorries": until}), ClearanceMissing),
            (other("b", "release_officer", **{**fit, "clearance": Classification.RESTRICTED}), ClearanceMissing),
            (other("c", "release_officer", clearance=Classification.SECRET), TrainingMissing),
            (other("d", "release_officer", **{**fit, "training": {"boats": until}}), TrainingMissing),
            (other("e", "release_officer", **{**fit, "training": {"lorries": world.clock()}}), TrainingMissing),
            (other("f", "officer", **fit), RoleMissing),
        ]
        for officer, refusal in wrongs:
            for act in (south.service.open, south.service.export, south.service.condition):
                with pytest.raises(refusal) as caught:
                    act(name, officer, WHY)
                assert not any(secret in caught.value.sentence for secret in SECRETS)
            worker = replace(officer, roles=officer.roles | {OfficerRole.OFFICER})
            with pytest.raises(refusal):
                south.service.forward(name, [NORTH], [""], "investigate", worker, WHY, text="back to you")
            with pytest.raises(refusal):
                south.service.holding.may(name, "open", officer)
        assert denied(world) == [(refusal.code, officer.id) for officer, refusal in wrongs for _ in range(5)]
        assert south.service.open(name, other("g", "release_officer", **fit), WHY) == TIP
        world.clock.advance(days=1)
        with pytest.raises(TrainingMissing):
            south.service.open(name, other("g", "release_officer", **fit), WHY)


@pytest.mark.spec("NODE-97")
def test_a_certificate_that_ran_out_is_not_in_date_again_when_the_clock_is_set_back(tmp_path: Path) -> None:
    with bound(tmp_path, terms(readers={"training": ["lorries"]})) as world:
        name, south = told(world), world.node(SOUTH)
        officer = able(south, training={"lorries": world.clock() + timedelta(days=1)})
        assert south.service.open(name, officer, WHY) == TIP
        before = world.clock()
        world.clock.advance(days=2)
        south.service.sweep()
        world.clock.now = before
        with pytest.raises(TrainingMissing):
            south.service.open(name, officer, WHY)


@pytest.mark.spec("NODE-81")
def test_a_clearance_counts_where_no_clause_asks_for_one(world: World) -> None:
    name, south, north = told(world), world.node(SOUTH), world.node(NORTH)
    low = able(south, clearance=Classification.UNCLASSIFIED)
    with pytest.raises(ClearanceMissing):
        south.service.open(name, low, WHY)
    with pytest.raises(ClearanceMissing):  # one's own as well
        north.service.open(name, able(north, clearance=Classification.UNCLASSIFIED), WHY)
    assert denied(world, NORTH) == [("clearance_missing", "np-duty-1")]
    assert south.service.open(name, able(south, clearance=Classification.RESTRICTED), WHY) == TIP


@pytest.mark.spec("NODE-82", "NODE-48")
def test_a_case_that_is_not_the_officers_stays_closed_by_every_way(world: World) -> None:
    name, south, north = told(world), world.node(SOUTH), world.node(NORTH)
    for cases in (frozenset({"XN-2026/0417"}), frozenset[str]()):
        stranger = able(south, cases=cases)
        for act in (south.service.open, south.service.export, south.service.condition):
            with pytest.raises(NeedToKnowMissing):
                act(name, stranger, WHY)
        with pytest.raises(NeedToKnowMissing):
            south.service.case(TIP["case"]["reference"], stranger, WHY)
    with pytest.raises(NeedToKnowMissing):
        north.service.open(name, able(north, cases=frozenset()), WHY)
    assert denied(world) == [("need_to_know_missing", "sp-duty-1")] * 8
    mine = able(south, cases=frozenset({TIP["case"]["reference"]}))
    assert south.service.open(name, mine, WHY) == TIP
    assert len(south.service.case(TIP["case"]["reference"], mine, WHY)) == 1


@pytest.mark.spec("NODE-87")
def test_of_several_none_is_shown_if_one_is_refused(world: World) -> None:
    one, two = told(world), told(world, {**TIP, "case": {"reference": "XN-2026/0417"}})
    south = world.node(SOUTH)
    officer = able(south, cases=frozenset({"XN-2026/0417"}))
    with pytest.raises(NeedToKnowMissing):
        south.service.open_many([two, one], officer, WHY)
    assert "open" not in [act["act"] for act in acts(south)]
    assert denied(world) == [("need_to_know_missing", "sp-duty-1")]
    assert acts(south)[-1]["msg"] == one


# -- for what --


@pytest.mark.spec("NODE-85")
def test_another_purpose_needs_the_originators_consent_to_it(world: World) -> None:
    name, south = told(world), world.node(SOUTH)
    for act in (south.service.open, south.service.export):
        for purpose in ("detect", "border_check", "no_such_purpose"):
            with pytest.raises(PurposeRefused):
                act(name, south.officer(), WHY, purpose=purpose)
    assert south.service.open(name, south.officer(), WHY, purpose="investigate") == TIP
    until = world.clock() + timedelta(days=10)
    consent(world, name, want="purpose", purposes=("detect",), until=until)
    assert south.service.open(name, south.officer(), WHY, purpose="detect") == TIP
    assert acts(south)[-1]["purpose"] == "detect"
    with pytest.raises(PurposeRefused):
        south.service.open(name, south.officer(), WHY, purpose="border_check")
    world.clock.advance(days=10)
    with pytest.raises(PurposeRefused):
        south.service.open(name, south.officer(), WHY, purpose="detect")


@pytest.mark.spec("NODE-85")
def test_a_consent_to_a_part_is_none_to_the_whole(world: World) -> None:
    name, south = told(world), world.node(SOUTH)
    until = world.clock() + timedelta(days=10)
    consent(world, name, want="purpose", purposes=("detect",), until=until, fields=("/entities/0",))
    consent(world, name, want="evidence", purposes=("border_check",), until=until)
    for purpose in ("detect", "border_check"):
        with pytest.raises(PurposeRefused):
            south.service.open(name, south.officer(), WHY, purpose=purpose)


@pytest.mark.spec("NODE-86")
@pytest.mark.parametrize(("more", "codes"), [({}, ["H1"]), ({"evidence": False}, ["H0"])])
def test_no_evidence_leaves_without_the_originators_consent(
    tmp_path: Path, more: dict[str, Any], codes: list[str]
) -> None:
    with bound(tmp_path, terms(**more)) as world:
        name, south = told(world, handling=codes), world.node(SOUTH)
        until = world.clock() + timedelta(days=10)
        for officer in (south.officer(), south.officer("release_officer")):
            with pytest.raises(EvidenceRefused):
                south.service.export(name, officer, WHY)
        for purpose in ("prosecute",):  # by declaring the use judicial, with no consent to that either
            with pytest.raises(PurposeRefused):
                south.service.export(name, south.officer(), WHY, purpose=purpose)
        consent(world, name, want="onward", to=("east.border.sim",), purposes=("investigate",), until=until)
        with pytest.raises(EvidenceRefused):  # consent to something else
            south.service.export(name, south.officer(), WHY)
        consent(world, name, want="evidence", purposes=("investigate",), until=until)
        assert south.service.export(name, south.officer(), WHY)["content"] == TIP
        world.clock.advance(days=10)
        with pytest.raises(EvidenceRefused):
            south.service.export(name, south.officer(), WHY)
        assert "evidence_refused" in [code for code, _ in denied(world)]


def test_ones_own_message_is_ones_own_to_export(world: World) -> None:
    name, north = told(world, handling=["H1"]), world.node(NORTH)
    assert north.service.export(name, north.officer(), WHY)["content"] == TIP


# -- restricted --


@pytest.mark.spec("NODE-95")
def test_a_restricted_message_is_touched_for_its_ground_alone(world: World) -> None:
    name, south = told(world), world.node(SOUTH)
    chief = south.officer("release_officer")
    with south.store.writing() as books:
        south.service.retention.restrict(books, name, "inaccurate")
    for officer, ground in ((south.officer(), None), (chief, None), (chief, "evidence_hold")):
        for act in (south.service.open, south.service.export):
            with pytest.raises(Restricted):
                act(name, officer, WHY, ground=ground)
        with pytest.raises(Restricted):
            south.service.forward(name, ["east.border.sim"], [""], "investigate", officer, WHY, text="take a look")
    with south.store.writing() as books:
        south.service.retention.retain(books, name, "case_open")
    with pytest.raises(Restricted):  # that somebody is working on it is no reason to go on working on it
        south.service.open(name, chief, WHY, ground="case_open")
    with south.store.writing() as books:
        south.service.retention.retain(books, name, "legal_obligation")
    with pytest.raises(Restricted):
        south.service.open(name, south.officer(), WHY, ground="legal_obligation")
    with pytest.raises(Restricted):
        south.service.open(name, chief, WHY, ground="evidence_hold")
    with pytest.raises(Restricted):
        south.service.export(name, chief, WHY, ground="legal_obligation")
    assert south.service.open(name, chief, WHY, ground="legal_obligation") == TIP
    with south.store.writing() as books:
        south.service.retention.retain(books, name, "judicial_proceedings")
    assert south.service.export(name, chief, WHY, ground="judicial_proceedings")["content"] == TIP
    assert {code for code, _ in denied(world)} == {"restricted"}


@pytest.mark.spec("NODE-94")
def test_what_was_to_be_erased_is_refused_whether_or_not_anybody_swept(tmp_path: Path) -> None:
    with bound(tmp_path, terms(retention_days=5)) as world:
        name, south = told(world), world.node(SOUTH)
        assert south.service.open(name, south.officer(), WHY) == TIP
        world.clock.advance(days=5)
        for act in (south.service.open, south.service.export, south.service.condition):
            with pytest.raises(NoLongerHere):
                act(name, south.officer(), WHY)
        with pytest.raises(NoLongerHere):
            south.service.forward(name, [NORTH], [""], "investigate", south.officer(), WHY, text="back to you")
        assert {code for code, _ in denied(world)} == {"erased"}

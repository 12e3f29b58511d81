"""What was received goes on only where its originator lets it, whichever way an officer tries (NODE-88 to NODE-90)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies.node.errors import EvidenceRefused, NotHere, OnwardRefused, PurposeRefused
from exchange.protocol.errors import Misdeclared
from exercises.world import World, WorldNode
from keys.errors import Refusal
from tests.agencies.node.bound import (
    EAST,
    NORTH,
    PROSECUTOR,
    SOUTH,
    TIP,
    TOLD,
    bound,
    consent,
    other,
    terms,
    told,
)
from tests.agencies.node.conftest import EVIDENCE, WHY, acts

FOUR = (NORTH, SOUTH, EAST, PROSECUTOR)


@contextmanager
def chain(home: Path, onward: str, **more: Any) -> Iterator[World]:
    """North tells south under one rule; south may tell east and a prosecutor, by an agreement of its own."""
    first, second = terms((NORTH, SOUTH), onward=onward, **more), terms((SOUTH, EAST, PROSECUTOR))
    with bound(home, first, second, agencies=FOUR) as world:
        yield world


def forward(node: WorldNode, message: str, *to: str, fields: tuple[str, ...] = ("",), **told: Any) -> Any:
    purpose = told.pop("purpose", "investigate")
    return node.service.forward(message, to, fields, purpose, node.officer(), WHY, text="for your crossing", **told)


def derived(
    node: WorldNode, message: str, content: dict[str, Any] = TIP, fields: tuple[str, ...] = ("",)
) -> dict[str, Any]:
    return {**content, "sources": [{"msg": message, "fields": list(fields)}]}


def left(world: World) -> int:
    """How many messages south has submitted."""
    return len([call for call in world.wire.calls if call.caller == SOUTH and call.path == "/v1/messages"])


def denials(world: World) -> list[str]:
    return [act["outcome"] for act in acts(world.node(SOUTH)) if act["act"] == "attempt_denied"]


@pytest.mark.spec("NODE-88", "NODE-87")
@pytest.mark.parametrize("onward", ["none", "by_consent", "by_field", "within_parties"])
def test_nothing_goes_on_by_any_way_without_consent(tmp_path: Path, onward: str) -> None:
    with chain(tmp_path, onward) as world:
        name, south = told(world), world.node(SOUTH)
        pasted = derived(south, name)
        tries: list[Any] = [
            lambda: forward(south, name, EAST),
            lambda: forward(south, name, EAST, fields=("/narrative/0",)),
            lambda: forward(south, name, NORTH, EAST),
            lambda: south.send(pasted, EAST, src=[name]),
            lambda: south.send(pasted, EAST, src=[name], ruling=True),
            lambda: south.service.check(south.draft(pasted, EAST, src=[name]), south.officer()),
            lambda: south.service.send(
                south.draft(pasted, EAST, src=[name]), other("sp-2", "officer", "release_officer"), WHY
            ),
        ]
        for attempt in tries:
            with pytest.raises(OnwardRefused) as caught:
                attempt()
            assert "cooling unit" not in caught.value.sentence
        assert left(world) == 0
        assert denials(world) == ["onward_refused"] * len(tries)  # to ask what would happen is an attempt too (NODE-22)
        assert south.service.outbox() == []


@pytest.mark.spec("NODE-88")
def test_an_officer_cannot_hide_what_a_draft_is_derived_from(tmp_path: Path) -> None:
    with chain(tmp_path, "none") as world:
        name, south = told(world), world.node(SOUTH)
        for content, src in ((derived(south, name), []), (TIP, [name]), (derived(south, name), ["A" * 43])):
            with pytest.raises(Misdeclared):
                south.send(content, EAST, src=src, ruling=True)
        assert left(world) == 0


@pytest.mark.spec("NODE-88")
def test_a_source_that_is_not_here_is_no_source(tmp_path: Path) -> None:
    with chain(tmp_path, "within_parties") as world:
        south = world.node(SOUTH)
        with pytest.raises(NotHere):
            south.send(derived(south, "A" * 43), EAST, src=["A" * 43], ruling=True)
        assert (left(world), denials(world)) == (0, ["not_here"])


@pytest.mark.spec("NODE-88", "NODE-89")
@pytest.mark.parametrize("onward", ["by_consent", "by_field"])
def test_a_consent_lets_go_what_it_names_and_nothing_else(tmp_path: Path, onward: str) -> None:
    with chain(tmp_path, onward) as world:
        name, south = told(world), world.node(SOUTH)
        until = world.clock() + timedelta(days=5)
        named = ("/entities/0", "/narrative/0")
        consent(world, name, want="onward", to=(EAST,), purposes=("detect",), until=until, fields=named)
        wrongs: list[dict[str, Any]] = [
            {"fields": ("",)},
            {"fields": ("/entities/0", "/entities/1")},
            {"fields": named, "purpose": "investigate"},
            {"fields": named, "purpose": "border_check"},
        ]
        for wrong in wrongs:
            with pytest.raises((OnwardRefused, PurposeRefused)):
                forward(south, name, EAST, **{"purpose": "detect", **wrong})
        for to in ((PROSECUTOR,), (EAST, PROSECUTOR)):
            with pytest.raises(OnwardRefused):
                forward(south, name, *to, fields=named, purpose="detect")
        sent = forward(south, name, EAST, fields=("/entities/0/registration", "/narrative/0"), purpose="detect")
        assert (sent.state, sent.src) == ("sent", (name,)), sent
        world.settle()
        got = world.node(EAST).open(sent.msg or "")
        assert got["entities"][0]["registration"] == "SIM-LR-5520"
        assert "concealment" not in got["entities"][0]
        world.clock.advance(days=5)
        with pytest.raises(OnwardRefused):
            forward(south, name, EAST, fields=named, purpose="detect")
        assert world.audit().clean


@pytest.mark.spec("NODE-88")
def test_field_by_field_a_consent_to_the_whole_names_no_field(tmp_path: Path) -> None:
    with chain(tmp_path, "by_field") as world:
        name, south = told(world), world.node(SOUTH)
        until = world.clock() + timedelta(days=5)
        consent(world, name, want="onward", to=(EAST,), purposes=("investigate",), until=until)
        for fields in (("",), ("/entities/0",)):
            with pytest.raises(OnwardRefused):
                forward(south, name, EAST, fields=fields)


@pytest.mark.spec("NODE-88")
def test_a_rule_that_lets_it_go_to_nobody_knows_no_consent(tmp_path: Path) -> None:
    with chain(tmp_path, "none") as world:
        name, south = told(world), world.node(SOUTH)
        until = world.clock() + timedelta(days=5)
        consent(world, name, want="onward", to=(EAST,), purposes=("investigate",), until=until)
        with pytest.raises(OnwardRefused):
            forward(south, name, EAST)
        assert forward(south, name, NORTH).state == "sent"  # back to whoever said it


@pytest.mark.spec("NODE-88")
def test_a_withdrawn_consent_lets_nothing_go(tmp_path: Path) -> None:
    with chain(tmp_path, "by_consent") as world:
        name, south, north = told(world), world.node(SOUTH), world.node(NORTH)
        until = world.clock() + timedelta(days=5)
        given = consent(world, name, want="onward", to=(EAST,), purposes=("investigate",), until=until)
        assert forward(south, name, EAST).state == "sent"
        north.service.consents.withdraw(given, north.officer("release_officer"), WHY)
        south.collect()
        with pytest.raises(OnwardRefused):
            forward(south, name, EAST)


@pytest.mark.spec("NODE-88")
def test_within_the_parties_it_goes_for_its_purpose(tmp_path: Path) -> None:
    with bound(tmp_path, terms(FOUR), agencies=FOUR) as world:
        name, south = told(world), world.node(SOUTH)
        assert forward(south, name, EAST).state == "sent"
        with pytest.raises(PurposeRefused):
            forward(south, name, EAST, purpose="detect")
        consent(world, name, want="purpose", purposes=("detect",), until=world.clock() + timedelta(days=5))
        assert forward(south, name, EAST, purpose="detect").state == "sent"
        world.settle()
        assert world.audit().clean


@pytest.mark.spec("NODE-86", "NODE-88")
def test_what_may_not_be_evidence_is_not_passed_on_as_evidence(tmp_path: Path) -> None:
    with bound(tmp_path, terms(FOUR), agencies=FOUR) as world:
        name, south = told(world, EVIDENCE, handling=["H1"]), world.node(SOUTH)
        with pytest.raises(EvidenceRefused):
            south.send(derived(south, name, EVIDENCE), PROSECUTOR, src=[name], handling=["H1"])
        consent(world, name, want="purpose", purposes=("prosecute",), until=world.clock() + timedelta(days=5))
        with pytest.raises(EvidenceRefused):
            forward(south, name, PROSECUTOR, purpose="prosecute")
        consent(world, name, want="evidence", purposes=("prosecute",), until=world.clock() + timedelta(days=5))
        assert forward(south, name, PROSECUTOR, purpose="prosecute").state == "sent"


@pytest.mark.spec("NODE-90")
def test_nothing_it_is_marked_with_is_lost_on_the_way(tmp_path: Path) -> None:
    with bound(tmp_path, terms(FOUR), agencies=FOUR) as world:
        name, south = told(world, TOLD, handling=["H1", "H3"]), world.node(SOUTH)
        south.acknowledge(name)
        whole, silent = derived(south, name, TOLD), derived(south, name, TIP)
        softer = {**TOLD, "handling_text": "To be shown to anybody.", "sources": whole["sources"]}
        marks = ["H1", "H3"]
        for content, facts in (
            (whole, {"handling": marks, "class": "unclassified"}),
            (whole, {"handling": ["H3"]}),
            (silent, {"handling": ["H1"]}),
            (softer, {"handling": marks}),
        ):
            with pytest.raises(OnwardRefused):
                south.send(content, EAST, src=[name], **facts)
        assert south.send(whole, EAST, src=[name], handling=marks).state == "sent"
        sent = forward(south, name, EAST)
        assert (sent.state, sent.summary["handling"], sent.summary["class"]) == ("sent", marks, "restricted")
        with pytest.raises(OnwardRefused):
            forward(south, name, EAST, handling=["H0", "H3"])


@pytest.mark.spec("NODE-90")
def test_what_is_carried_must_be_named(tmp_path: Path) -> None:
    with bound(tmp_path, terms(FOUR), agencies=FOUR) as world:
        name, south = told(world), world.node(SOUTH)
        with pytest.raises(OnwardRefused, match="/entities/0"):
            south.send(derived(south, name, TIP, ("/narrative/0",)), EAST, src=[name])


@pytest.mark.spec("NODE-88", "NODE-25")
def test_what_waits_for_a_release_is_asked_about_again(tmp_path: Path) -> None:
    first, second = terms((NORTH, SOUTH), onward="by_consent"), terms((SOUTH, EAST, PROSECUTOR), human_release=True)
    with bound(tmp_path, first, second, agencies=FOUR) as world:
        name, south = told(world), world.node(SOUTH)
        until = world.clock() + timedelta(days=5)
        consent(world, name, want="onward", to=(EAST,), purposes=("investigate",), until=until)
        waiting = forward(south, name, EAST)
        assert waiting.state == "pending_release"
        world.clock.advance(days=5)
        stopped = south.release(waiting.ref)
        assert (stopped.state, stopped.code, left(world)) == ("stopped", "onward_refused", 0)
        assert denials(world)[-1] == "onward_refused"


def test_what_is_derived_from_ones_own_words_is_ones_own(tmp_path: Path) -> None:
    with chain(tmp_path, "within_parties") as world:
        south = world.node(SOUTH)
        mine = south.send(TIP, EAST).msg or ""
        again = {**derived(south, mine), "as_of": "2026-11-20"}
        assert south.send(again, PROSECUTOR, src=[mine]).state == "sent"


def test_a_held_message_cannot_go_out_as_something_it_is_not(tmp_path: Path) -> None:
    with chain(tmp_path, "none") as world:
        name, south = told(world), world.node(SOUTH)
        for change in ({"src": [name, name]}, {"src": ["x"]}, {"src": [name] * 5}):
            with pytest.raises(Refusal):
                south.send(derived(south, name), EAST, **change)
        assert left(world) == 0

"""Officers and nodes try to get round what a disclosure tied them to: through their own copies, rulings, versions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies.node.errors import (
    ClearanceMissing,
    EvidenceRefused,
    NoLongerHere,
    OnwardRefused,
    PurposeRefused,
    SettingsRefused,
    TrainingMissing,
)
from agencies.node.profile import new_officer, new_profile
from exchange.protocol.vocabulary import Classification
from exercises.world import World
from tests.agencies.node.bound import EAST, NORTH, PROSECUTOR, SOUTH, TIP, able, bound, other, terms, told
from tests.agencies.node.conftest import EVIDENCE, WHY

FOUR = (NORTH, SOUTH, EAST, PROSECUTOR)
CLEAR = {key: value for key, value in EVIDENCE.items() if key != "handling_text"}


def passed_on(world: World, name: str, *to: str, **facts: Any) -> str:
    """Have south pass a message of north's on, by the rules; the digest of south's own message."""
    south = world.node(SOUTH)
    sent = south.service.forward(name, to, ("",), "investigate", south.officer(), WHY, text="as you know", **facts)
    assert sent.state == "sent", sent
    return sent.msg or ""


@pytest.mark.spec("NODE-86", "NODE-100")
def test_what_may_not_be_evidence_is_not_exported_as_ones_own_message(tmp_path: Path) -> None:
    """Telling its originator needs no consent; the copy that this leaves here is still the originator's material."""
    with bound(tmp_path, terms()) as world:
        south = world.node(SOUTH)
        name = told(world, handling=["H1"])
        with pytest.raises(EvidenceRefused):
            south.service.export(name, south.officer(), WHY)
        own = passed_on(world, name, NORTH)
        with pytest.raises(EvidenceRefused):
            south.service.export(own, south.officer(), WHY)


@pytest.mark.spec("NODE-81", "NODE-85", "NODE-100")
def test_ones_own_copy_is_for_no_other_reader_or_purpose(tmp_path: Path) -> None:
    with bound(tmp_path, terms(readers={"clearance": "restricted", "training": ["smuggling"]})) as world:
        south = world.node(SOUTH)
        name = told(world)
        reader = able(south, clearance=None, training={})
        trained = other("sp-9", "officer", clearance=Classification.RESTRICTED, training={"smuggling": _far(world)})
        with pytest.raises(ClearanceMissing):
            south.service.open(name, reader, WHY)
        sent = south.service.forward(name, (NORTH,), ("",), "investigate", trained, WHY, text="as you know")
        own = sent.msg or ""
        with pytest.raises((ClearanceMissing, TrainingMissing)):
            south.service.open(own, reader, WHY)
        with pytest.raises(PurposeRefused):
            south.service.open(own, trained, WHY, purpose="border_check")
        south.service.open(own, trained, WHY)


def _far(world: World) -> Any:
    return world.clock() + timedelta(days=400)


@pytest.mark.spec("NODE-88", "NODE-90", "NODE-100")
def test_ones_own_message_in_between_washes_no_mark_off(tmp_path: Path) -> None:
    with bound(tmp_path, terms(), agencies=FOUR) as world:
        south = world.node(SOUTH)
        name = told(world, handling=["H1"])
        own = passed_on(world, name, NORTH)
        content = {**TIP, "sources": [{"msg": own, "fields": [""]}]}
        with pytest.raises(OnwardRefused):
            south.send(content, EAST, src=[own])
        with pytest.raises(PurposeRefused):
            south.send(content, EAST, src=[own], handling=["H1"], purpose="prosecute")


@pytest.mark.spec("NODE-96", "NODE-100")
def test_erasing_reaches_the_copy_of_a_copy(tmp_path: Path) -> None:
    with bound(tmp_path, terms()) as world:
        south = world.node(SOUTH)
        name = told(world)
        own = passed_on(world, name, NORTH)
        far = south.send({**TIP, "sources": [{"msg": own, "fields": [""]}]}, EAST, src=[own])
        assert far.state == "sent", far
        south.service.erase(name, south.officer("release_officer"), WHY)
        for copy in (own, far.msg or ""):
            with pytest.raises(NoLongerHere):
                south.service.open(copy, south.officer(), WHY)
        with south.service.office.store.reading() as books:
            assert [row.content for row in books.rows("outbox")] == [None, None]


@pytest.mark.spec("NODE-91")
def test_a_ruling_is_no_way_round_the_release_where_only_this_node_sees_a_forbid(tmp_path: Path) -> None:
    """South has suspended the agreement that forbids; north has not heard of it, and the broker permits at once."""
    with bound(tmp_path, terms((NORTH, SOUTH), human_release=True)) as world:
        north, south = world.node(NORTH), world.node(SOUTH)
        clause = {key: value for key, value in terms()["clauses"][0].items() if key not in ("class_max", "conditions")}
        no = {**terms((NORTH, SOUTH)), "id": "nothing", "clauses": [{**clause, "id": "no", "effect": "forbid"}]}
        south.service.give_notice("suspend", world.agree(no), south.officer("release_officer"), "not for now")
        assert north.send(TIP, SOUTH, agr=world.agreements["strings-2"]).code == "forbidden"
        sent = north.send(TIP, SOUTH, agr=world.agreements["strings-2"], ruling=True)
        assert sent.state == "pending_release"
        assert south.collect() == []
        assert north.release(sent.ref).state == "sent"


@pytest.mark.spec("AGR-54", "NODE-94")
def test_a_longer_version_of_the_agreement_postpones_no_purge(tmp_path: Path) -> None:
    first = {**terms((NORTH, SOUTH), purge_days=1), "end": "2026-12-01T00:00:00Z"}
    with bound(tmp_path, first) as world:
        south, name = world.node(SOUTH), told(world)
        one = world.agreements["strings-2"]
        world.agree({**first, "version": 2, "replaces": one, "end": "2029-01-01T00:00:00Z"})
        world.clock.now = datetime(2026, 12, 1, 23, 59, tzinfo=UTC)
        south.service.open(name, south.officer(), WHY)
        world.clock.now = datetime(2026, 12, 2, tzinfo=UTC)
        with pytest.raises(NoLongerHere):
            south.service.open(name, south.officer(), WHY)


@pytest.mark.spec("NODE-127", "NODE-90")
@pytest.mark.parametrize("through", ["itself", "its own message to the originator"])
def test_a_node_that_takes_marks_off_is_not_believed(tmp_path: Path, through: str) -> None:
    """South's node lies: what north marked H1 goes on without, and the broker judges no marks."""
    with bound(tmp_path, terms()) as world:
        south, east = world.node(SOUTH), world.node(EAST)
        name = told(world, handling=["H1"])
        if through != "itself":
            content = {**TIP, "sources": [{"msg": name, "fields": [""]}]}
            name = south.send(content, NORTH, src=[name]).msg or ""
        content = {**TIP, "sources": [{"msg": name, "fields": [""]}]}
        south.service.sending._onward.must_pass = lambda *_: None  # type: ignore[method-assign]
        sent = south.send(content, EAST, src=[name])
        assert sent.state == "sent", sent
        assert east.collect() == []
        assert [one["code"] for one in east.service.rejected()] == ["onward_forbidden"]
        honest = south.send(content, EAST, src=[name], handling=["H1"])
        assert east.collect() == [honest.msg]


@pytest.mark.spec("NODE-13", "NODE-91")
@pytest.mark.parametrize("twin", ["SP-DUTY-1", "\uff53\uff50-duty-1", "sp-duty-1\u200b", "sp-duty-1\u00a0"])
def test_nobody_is_listed_twice_to_agree_with_himself(twin: str) -> None:
    one = new_officer("sp-duty-1", "a passphrase of several words", ["release_officer"], cost=2**14)
    new_profile(SOUTH, [one, replace(one, id="sp-duty-2")])
    with pytest.raises(SettingsRefused):
        new_profile(SOUTH, [one, replace(one, id=twin)])


@pytest.mark.spec("NODE-99")
@pytest.mark.parametrize("where", ["a note", "the reason"])
def test_words_are_known_again_in_whichever_member_they_stand(tmp_path: Path, where: str) -> None:
    words = "A compartment behind the cooling unit, reached through the floor of the cab, painted over in blue."
    with bound(tmp_path, terms(onward="none")) as world:
        south = world.node(SOUTH)
        van = {"kind": "transport", "id": "t9", "assertion": "fact", "means": "van", "note": words}
        bare = {key: value for key, value in TIP.items() if key not in ("narrative", "entities", "relationships")}
        told(world, {**bare, "entities": [van]})
        reason = {**bare["spontaneous"], "reason": words if where == "the reason" else "It may concern your crossing."}
        draft = {**bare, "spontaneous": reason, **({"entities": [van]} if where == "a note" else {})}
        with pytest.raises(OnwardRefused):
            south.send(draft, EAST)
        assert south.send(draft, NORTH).state == "sent"

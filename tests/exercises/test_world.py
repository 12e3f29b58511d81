"""A world is whole, its clock is its own, and it hides no crash."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from exercises.wire import Fault
from exercises.world import START, Clock, World, sample

PAIR = ("north.police.sim", "north.prosecutor.sim")
DRAFT = "smuggling_route_request"


def test_time_moves_only_when_it_is_moved_and_never_back() -> None:
    clock = Clock()
    assert clock() == clock() == START
    assert clock.advance(hours=8, minutes=1) == START + timedelta(hours=8, minutes=1)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(seconds=-1)


def test_a_world_agrees_to_what_its_agencies_can_sign(tmp_path: Path) -> None:
    with World(tmp_path, PAIR, agreements=("north-evidence", "victim-referral")) as world:
        assert set(world.agreements) == {"north-evidence"}
        assert [node.id for node in world.nodes] == list(PAIR)
        assert world.node(PAIR[0]).officer("auditor").id == "np-audit"
        assert world.clock() == START


def test_two_worlds_share_nothing(tmp_path: Path) -> None:
    with World(tmp_path / "a", PAIR, agreements=()) as one, World(tmp_path / "b", PAIR, agreements=()) as other:
        assert one.federation.fed != other.federation.fed


def test_every_file_of_a_world_lies_in_its_folder(tmp_path: Path) -> None:
    with World(tmp_path, PAIR, agreements=()) as world:
        world.audit()
    names = {path.name for path in tmp_path.iterdir()}
    assert {"broker.db", *(f"{agency}.db" for agency in PAIR)} <= names


def test_a_crash_nobody_expected_is_raised_when_the_world_closes(tmp_path: Path) -> None:
    async def broken(scope: dict[str, object], receive: object, send: object) -> None:
        if scope["type"] == "http":
            raise LookupError("a fault")

    with pytest.raises(LookupError, match="a fault"), World(tmp_path, PAIR, agreements=()) as world:  # noqa: PT012
        world.wire.attach("broken.sim", broken)
        with world.wire.client("north", "http://broken.sim") as client, pytest.raises(Exception, match="nobody"):
            client.get("/")


def test_a_world_that_cannot_settle_says_so(tmp_path: Path) -> None:
    agencies = ("north.police.sim", "south.police.sim", "harbour.ngo.sim")
    with World(tmp_path, agencies, agreements=("victim-referral",)) as world:
        rule = world.wire.trouble(Fault.LOSE, path="/v1/messages", times=None)
        waiting = world.node("south.police.sim").send(
            sample("victim_referral"),
            "harbour.ngo.sim",
            purpose="victim_protection",
            crime="human_trafficking",
            handling=["H2", "H3"],
        )
        sent = world.node("south.police.sim").release(waiting.ref)
        assert sent.state == "pending"
        with pytest.raises(RuntimeError, match="does not settle"):
            world.settle()
        assert {refusal.code for refusal in world.troubles} <= {"broker_unreachable"}
        rule.lift()
        assert world.clock() > START

"""What a node does by itself: it collects, retries, and outlives every trouble (NODE-29, NODE-44)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agencies.node.rounds import Rounds
from exercises.world import World, WorldNode
from tests.agencies.node.bound import bound, terms, told
from tests.agencies.node.conftest import NORTH, REQUEST, SOUTH


def soon(what: Callable[[], Any], within: float = 10.0) -> None:
    """Wait in real time until something is so."""
    until = time.monotonic() + within
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def rounds(south: WorldNode) -> Iterator[Rounds]:
    made = Rounds(south.service, wait=0, every=0.05, refresh=1)
    made.start()
    yield made
    made.stop()


def test_mail_is_collected_and_receipted_without_anybody_asking(
    north: WorldNode, south: WorldNode, rounds: Rounds
) -> None:
    sent = north.send(REQUEST, SOUTH)
    soon(lambda: south.inbox() == [sent.msg])
    soon(lambda: north.collect() == [] and north.receipts(sent.msg or "") == [(SOUTH, "delivered")])


def test_a_message_that_could_not_leave_leaves_later(world: World, south: WorldNode, rounds: Rounds) -> None:
    with world.wire.cut(SOUTH):
        sent = south.send(REQUEST, NORTH)
        assert sent.state == "pending"
        soon(lambda: rounds.troubles["broker_unreachable"] > 1)
    world.clock.advance(seconds=30)
    soon(lambda: south.service.outbox()[0].state == "sent")
    soon(lambda: rounds.last is None)


def test_a_fault_ends_no_loop_and_is_counted_by_its_kind_alone(
    north: WorldNode, south: WorldNode, rounds: Rounds, crook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the boat lies at Gull Cove")

    crook(south, mailbox=broken)
    soon(lambda: rounds.troubles["fault"] > 1)
    crook(south)
    sent = north.send(REQUEST, SOUTH)
    soon(lambda: south.inbox() == [sent.msg])
    assert "RuntimeError" in caplog.text
    assert "Gull Cove" not in caplog.text


@pytest.mark.spec("NODE-94")
def test_what_has_ended_is_erased_without_anybody_asking(tmp_path: Path) -> None:
    with bound(tmp_path, terms(retention_days=5)) as world:
        name, south = told(world), world.node(SOUTH)
        world.clock.advance(days=5)
        made = Rounds(south.service, wait=0, every=0.05, refresh=1)
        made.start()
        soon(lambda: south.service.state()["held"] == {"held": 0, "restricted": 0, "erased": 1}, within=60)
        made.stop()
        world.settle()
        assert [deed.kind for deed in world.node(NORTH).service.acts.about(name)] == ["erased"]

"""A node goes on without its broker for a while, and then takes nothing more for sending (NODE-205)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

from agencies.node.errors import BrokerUnreachable, StampsTooOld
from agencies.node.mail.sending import Wanted
from agencies.node.mail.stamps import Stamps
from agencies.node.settings import Settings
from exercises.world import World, WorldNode
from tests.agencies.node.conftest import EVIDENCE, REQUEST, SOUTH, WHY, acts

USUAL = timedelta(seconds=float(str(next(one.default for one in fields(Settings) if one.name == "stale"))))


@pytest.fixture
def watched(north: WorldNode) -> WorldNode:
    """North as it is served: what nobody stamped for four hours is too old."""
    north.collect()
    north.service.stamps = Stamps(north.service.office, USUAL)
    return north


def cut(crook: Callable[..., None], node: WorldNode) -> None:
    def silent(*_: Any, **__: Any) -> Any:
        raise BrokerUnreachable("the line is cut")

    crook(node, submit=silent, submit_batch=silent, mailbox=silent)


@pytest.mark.spec("NODE-205")
def test_the_usual_time_is_four_hours() -> None:
    assert timedelta(hours=4) == USUAL


@pytest.mark.spec("NODE-205", "NODE-29")
def test_what_was_taken_without_the_broker_goes_out_in_order_when_it_is_back(
    world: World, watched: WorldNode, south: WorldNode, crook: Callable[..., None]
) -> None:
    cut(crook, watched)
    taken = []
    for _ in range(4):
        world.clock.advance(hours=1)
        taken.append(watched.send(REQUEST, SOUTH))
    assert [one.state for one in taken] == ["pending"] * 4
    crook(watched)
    world.clock.advance(minutes=20)
    assert watched.service.retry_outbox() == 4
    assert south.collect() is not None
    assert [one["msg"] for one in reversed(south.service.inbox())] == [one.msg for one in taken]


@pytest.mark.spec("NODE-205")
def test_after_four_hours_without_a_stamp_nothing_more_is_taken_for_sending(
    world: World, watched: WorldNode, crook: Callable[..., None]
) -> None:
    service, officer, chief = watched.service, watched.officer(), watched.officer("release_officer")
    waits = watched.send(EVIDENCE, SOUTH, purpose="investigate")
    assert waits.state == "pending_release"
    cut(crook, watched)
    world.clock.advance(hours=4, seconds=1)
    draft = watched.draft(REQUEST, SOUTH)
    for attempt in (
        lambda: service.send(draft, officer, WHY),
        lambda: service.send_many([Wanted(draft)], officer, WHY),
        lambda: service.release(waits.ref, chief, WHY, approve=True),
        lambda: service.forward("A" * 43, [SOUTH], [""], "investigate", officer, WHY, text="a word beside it"),
    ):
        before = len(acts(watched))
        with pytest.raises(StampsTooOld, match="has not been heard since 2026"):
            attempt()
        (denied,) = acts(watched)[before:]
        assert (denied["act"], denied["outcome"], denied["why"]) == ("attempt_denied", "stamps_too_old", WHY.text)
    assert service.check(draft, officer).to_json()["outcome"] == "permit"  # asking leaves the node nowhere
    assert service.release(waits.ref, chief, WHY, approve=False).state == "withheld"


@pytest.mark.spec("NODE-205")
def test_one_stamp_is_enough_to_go_on(world: World, watched: WorldNode, crook: Callable[..., None]) -> None:
    cut(crook, watched)
    world.clock.advance(hours=5)
    with pytest.raises(StampsTooOld):
        watched.send(REQUEST, SOUTH)
    crook(watched)
    with pytest.raises(StampsTooOld):  # the broker is there again, and has not been heard yet
        watched.send(REQUEST, SOUTH)
    watched.collect()
    assert watched.send(REQUEST, SOUTH).state == "sent"

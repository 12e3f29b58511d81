"""A handling text is read and acknowledged before what it is about is seen (NODE-84)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agencies.node.errors import NoLongerHere, NotAcknowledged, NotHere, RoleMissing, TrainingMissing
from exercises.wire import Fault
from exercises.world import World
from tests.agencies.node.bound import CONDITION, EAST, NORTH, SOUTH, TIP, TOLD, able, bound, other, terms, told
from tests.agencies.node.conftest import WHY, acts


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with bound(tmp_path, terms()) as made:
        yield made


def conditions(world: World, message: str) -> list[str]:
    """The acts that the originator has about a message of its own."""
    world.node(NORTH).collect()
    return [deed.kind for deed in world.node(NORTH).service.acts.about(message)]


@pytest.mark.spec("NODE-84")
def test_nothing_is_seen_before_the_handling_text_is_acknowledged(world: World) -> None:
    name, south = told(world, TOLD), world.node(SOUTH)
    duty, chief = south.officer(), south.officer("release_officer")
    for act in (south.service.open, south.service.export):
        with pytest.raises(NotAcknowledged):
            act(name, duty, WHY)
    with pytest.raises(NotAcknowledged):
        south.service.forward(name, [EAST], [""], "investigate", duty, WHY, text="take a look")
    with pytest.raises(NotAcknowledged):  # unread
        south.service.acknowledge(name, duty, WHY)
    assert south.service.condition(name, duty, WHY) == CONDITION
    with pytest.raises(NotAcknowledged):  # read is not acknowledged
        south.service.open(name, duty, WHY)
    with pytest.raises(NotAcknowledged):  # and not by somebody else
        south.service.acknowledge(name, chief, WHY)
    south.service.acknowledge(name, duty, WHY)
    assert south.service.open(name, duty, WHY) == TOLD
    with pytest.raises(NotAcknowledged):  # what one has acknowledged opens nothing for another
        south.service.open(name, chief, WHY)
    assert conditions(world, name) == ["acknowledge"]
    assert [act["outcome"] for act in acts(south) if act["act"] == "attempt_denied"] == ["not_acknowledged"] * 7


@pytest.mark.spec("NODE-84")
def test_each_officer_acknowledges_and_the_originator_is_told_once(world: World) -> None:
    name, south = told(world, TOLD), world.node(SOUTH)
    for officer in (south.officer(), south.officer("release_officer"), south.officer()):
        south.service.condition(name, officer, WHY)
        south.service.acknowledge(name, officer, WHY)
        assert south.service.open(name, officer, WHY) == TOLD
    assert conditions(world, name) == ["acknowledge"]
    assert south.service.holdings()[0]["acknowledged"] == 2


@pytest.mark.spec("NODE-84")
def test_the_condition_is_shown_without_the_rest_and_is_itself_a_look(world: World) -> None:
    name, south = told(world, TOLD), world.node(SOUTH)
    assert south.service.condition(name, south.officer(), WHY) == CONDITION
    assert (acts(south)[-1]["act"], acts(south)[-1]["outcome"], acts(south)[-1]["why"]) == (
        "consult", "handling_text", WHY.text,
    )  # fmt: skip
    assert south.service.inbox()[0]["opened"] is None
    with pytest.raises(RoleMissing):
        south.service.condition(name, south.officer("auditor"), WHY)
    with pytest.raises(NotHere):
        world.node(NORTH).service.condition(name, world.node(NORTH).officer(), WHY)
    plain = told(world, TIP)
    assert south.service.condition(plain, south.officer(), WHY) is None
    assert south.service.open(plain, south.officer(), WHY) == TIP


@pytest.mark.spec("NODE-84")
def test_who_may_not_read_it_may_not_read_its_condition(tmp_path: Path) -> None:
    with bound(tmp_path, terms(readers={"training": ["lorries"]}, retention_days=5)) as world:
        name, south = told(world, TOLD), world.node(SOUTH)
        with pytest.raises(TrainingMissing):
            south.service.condition(name, south.officer(), WHY)
        world.clock.advance(days=5)
        fit = able(south, training={"lorries": world.clock.now.replace(year=2029)})
        for act in (south.service.condition, south.service.acknowledge):
            with pytest.raises(NoLongerHere):
                act(name, fit, WHY)


@pytest.mark.spec("NODE-84")
def test_an_acknowledgement_waits_for_a_broker_that_does_not_answer(world: World) -> None:
    name, south = told(world, TOLD), world.node(SOUTH)
    south.service.condition(name, south.officer(), WHY)
    world.wire.trouble(Fault.LOSE, path="/v1/acts", caller=SOUTH)
    south.service.acknowledge(name, south.officer(), WHY)
    assert south.service.open(name, south.officer(), WHY) == TOLD
    assert conditions(world, name) == []
    world.wire.calm()
    world.settle()
    assert conditions(world, name) == ["acknowledge"]
    assert world.audit().clean


def test_an_officer_by_another_name_has_acknowledged_nothing(world: World) -> None:
    name, south = told(world, TOLD), world.node(SOUTH)
    assert south.open(name) == TOLD
    with pytest.raises(NotAcknowledged):
        south.service.open(name, other(south.officer().id + "-b", "officer"), WHY)

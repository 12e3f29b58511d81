"""Whatever the wire does, nothing is lost, nothing arrives twice, nothing arrives unlogged, and the books agree."""

from __future__ import annotations

import os
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from exercises.wire import Fault
from exercises.world import World, sample

NORTH, SOUTH, BORDER = "north.police.sim", "south.police.sim", "east.border.sim"
CALLS = ("/v1/messages", "/v1/mailbox", "/v1/receipts")


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("fault", Fault)
def test_any_one_fault_on_any_one_call_is_mended(world: World, fault: Fault, path: str) -> None:
    rule = world.wire.trouble(fault, path=path, by=timedelta(minutes=3))
    sent = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    world.settle()
    world.node(SOUTH).open(sent.msg)
    world.settle()
    assert rule.hit == 1
    assert world.node(SOUTH).inbox() == [sent.msg]
    assert world.node(NORTH).receipts(sent.msg) == [(SOUTH, "delivered"), (SOUTH, "opened")]
    audit = world.audit()
    assert audit.clean, audit.findings
    assert Counter(d.entry.from_ for d in audit.report.disclosures) == {NORTH: 1}


def test_an_hour_without_a_line_costs_an_hour_and_nothing_else(world: World) -> None:
    north = world.node(NORTH)
    with world.wire.cut(NORTH):
        sent = [north.send(sample("smuggling_route_request"), SOUTH) for _ in range(3)]
        assert {one.state for one in sent} == {"pending"}
        for _ in range(4):
            world.clock.advance(minutes=15)
            assert north.service.retry_outbox() == 0
    world.settle()
    assert sorted(world.node(SOUTH).inbox()) == sorted(one.msg for one in sent)
    assert world.audit().clean


def test_nobody_hears_of_a_message_whose_sender_never_got_through(world: World) -> None:
    with world.wire.cut(NORTH):
        world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
        world.node(SOUTH).collect()
    assert world.node(SOUTH).inbox() == []


def test_a_restarted_node_goes_on_from_its_books(world: World) -> None:
    world.wire.trouble(Fault.DEAF, path="/v1/messages")
    sent = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    assert sent.state == "pending"
    world.restart_node(NORTH)
    world.restart_node(SOUTH)
    world.settle()
    assert world.node(SOUTH).inbox() == [sent.msg]
    assert world.node(NORTH).receipts(sent.msg) == [(SOUTH, "delivered")]
    assert world.audit().clean


def test_a_restarted_broker_goes_on_from_its_books(world: World) -> None:
    sent = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    world.stop_broker()
    unheard = world.node(SOUTH).send(sample("smuggling_route_request"), NORTH)
    assert unheard.state == "pending"
    world.clock.advance(seconds=1)
    world.start_broker()
    world.settle()
    assert world.node(SOUTH).inbox() == [sent.msg]
    assert world.node(NORTH).inbox() == [unheard.msg]
    assert world.audit().clean


@pytest.mark.parametrize("seed", [int(s) for s in os.environ.get("IX_WIRE_SEEDS", "1 2 3").split()])
def test_a_day_of_bad_luck_ends_with_clean_books(tmp_path: Path, seed: int) -> None:
    print(f"wire seed {seed}: run it again with IX_WIRE_SEEDS={seed}")  # noqa: T201  # shown when the test fails
    with World(tmp_path, ("north.police.sim", "south.police.sim", "east.border.sim", "north.fiu.sim", "coast.hub.sim"),
               seed=seed) as world:  # fmt: skip
        for fault in Fault:
            world.wire.trouble(fault, path="/v1/", times=None, chance=0.06, by=timedelta(minutes=20))
        sent = []
        for n in range(12):
            sender, recipient = ((NORTH, SOUTH), (SOUTH, BORDER), (BORDER, NORTH))[n % 3]
            sent.append((world.node(sender).send(sample("smuggling_route_request"), recipient), sender, recipient))
            world.clock.advance(minutes=7)
        for node in world.nodes:  # in the middle of the trouble
            for msg in node.inbox():
                node.open(msg)
        try:
            world.settle()
        except RuntimeError:
            print(f"seed {seed}: still unsettled with trouble planted; the wire is calmed")  # noqa: T201
        world.wire.calm()
        world.settle()
        arrived = Counter(msg for node in world.nodes for msg in node.inbox())
        assert arrived == {one.msg: 1 for one, _, _ in sent}, f"seed {seed}"
        audit = world.audit()
        assert audit.clean, (seed, audit.findings)
        assert Counter(d.entry.msg for d in audit.report.disclosures) == arrived
        for one, sender, recipient in sent:
            assert (recipient, "delivered") in world.node(sender).receipts(one.msg), f"seed {seed}"

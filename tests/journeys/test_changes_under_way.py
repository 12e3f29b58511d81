"""An agreement is suspended, a key rotated or revoked, while messages are on their way."""

from __future__ import annotations

import pytest

from agencies.node.errors import BrokerRefused
from exercises.wire import Fault
from exercises.world import TASK_FORCE, World, sample

NORTH, SOUTH = "north.police.sim", "south.police.sim"


def suspend(world: World, agency: str) -> None:
    node = world.node(agency)
    node.service.give_notice(
        "suspend", world.agreements[TASK_FORCE], node.officer("release_officer"), "an exercise in suspending"
    )


def test_a_message_that_arrives_after_a_suspension_is_denied(world: World) -> None:
    world.wire.trouble(Fault.LOSE, path="/v1/messages", caller=NORTH)
    sent = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    assert sent.state == "pending"
    world.clock.advance(minutes=1)
    suspend(world, SOUTH)
    world.clock.advance(minutes=1)
    world.settle()
    (row,) = world.node(NORTH).service.outbox()
    assert (row.state, row.code) == ("denied", "agreement_suspended")
    assert world.node(SOUTH).inbox() == []
    audit = world.audit()
    assert audit.clean, audit.findings
    assert [d.entry.code for d in audit.report.denials] == ["agreement_suspended"]


def test_a_message_admitted_before_a_suspension_is_refused_by_whoever_collects_it_after(world: World) -> None:
    sent = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    world.clock.advance(minutes=1)
    suspend(world, SOUTH)
    world.clock.advance(minutes=1)
    world.settle()
    assert world.node(SOUTH).inbox() == []
    assert [one["code"] for one in world.node(NORTH).service.receipts(sent.msg or "")] == ["agreement_suspended"]
    assert world.audit().clean


def test_what_was_collected_before_a_suspension_stays_with_its_recipient(world: World) -> None:
    sent = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    world.node(SOUTH).collect()
    suspend(world, SOUTH)
    world.clock.advance(minutes=1)
    world.settle()
    assert world.node(SOUTH).open(sent.msg or "")
    assert world.audit().clean


def test_a_suspended_agreement_can_be_resumed(world: World) -> None:
    suspend(world, SOUTH)
    world.settle()
    world.clock.advance(minutes=1)
    assert world.node(NORTH).send(sample("smuggling_route_request"), SOUTH, agr=world.agreements[TASK_FORCE]).code == (
        "agreement_suspended"
    )
    south = world.node(SOUTH)
    south.service.give_notice("resume", world.agreements[TASK_FORCE], south.officer("release_officer"), "all is well")
    world.settle()
    world.clock.advance(minutes=1)
    assert world.node(NORTH).send(sample("smuggling_route_request"), SOUTH).state == "sent"
    world.settle()
    assert world.audit().clean


def test_a_message_sealed_to_the_old_key_opens_after_a_rotation(world: World) -> None:
    sent = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    world.clock.advance(hours=1)
    world.rotate(SOUTH)
    world.settle()
    assert world.node(SOUTH).open(sent.msg)
    later = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    world.settle()
    assert world.node(SOUTH).open(later.msg)
    world.settle()
    assert world.audit().clean


def test_a_message_signed_with_the_old_key_is_admitted_while_it_overlaps(world: World) -> None:
    with world.wire.cut(NORTH):
        sent = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    world.clock.advance(hours=1)
    world.rotate(NORTH)
    world.settle()
    assert world.node(SOUTH).open(sent.msg)
    world.clock.advance(days=30)  # the old keys have ended; what they signed then still counts
    world.settle()
    audit = world.audit()
    assert audit.clean, audit.findings


def test_a_revoked_key_signs_nothing_any_more(world: World) -> None:
    with world.wire.cut(NORTH):
        sent = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    world.clock.advance(minutes=1)
    world.revoke(NORTH)
    world.settle()
    (row,) = world.node(NORTH).service.outbox()
    assert (row.state, row.code) == ("refused", "key_not_valid")
    assert world.node(SOUTH).inbox() == []
    again = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    world.settle()
    assert world.node(SOUTH).inbox() == [again.msg]
    assert sent.msg != again.msg
    audit = world.audit()
    assert audit.report.clean, audit.findings


def test_a_revoked_transport_key_calls_nobody(world: World) -> None:
    stolen = world.node(NORTH).service.office.broker
    world.clock.advance(minutes=1)
    world.revoke(NORTH)
    with pytest.raises(BrokerRefused) as refused:
        stolen.mailbox(-1)
    assert refused.value.reason == "key_not_valid"


def test_what_was_signed_before_a_revocation_still_opens_and_audits(world: World) -> None:
    sent = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    world.clock.advance(minutes=1)
    world.revoke(NORTH)
    world.settle()
    assert world.node(SOUTH).open(sent.msg)
    world.settle()
    audit = world.audit()
    assert audit.clean, audit.findings

"""Ask, answer, be denied, be robbed: the whole story in one world, and the books are clean at the end."""

from __future__ import annotations

import pytest

from agencies.node.errors import BrokerRefused
from exchange.protocol.message import parse
from exercises.theft import resigned
from exercises.wire import Fault
from exercises.world import REFERRAL, World, sample

NORTH, SOUTH, BORDER, FIU, NGO = (
    "north.police.sim",
    "south.police.sim",
    "east.border.sim",
    "north.fiu.sim",
    "harbour.ngo.sim",
)


def envelope_of(world: World, agency: str, msg: str) -> bytes:
    with world.node(agency).store.reading() as books:
        return bytes(books.get("outbox", msg=msg).envelope)


def test_a_request_is_asked_opened_answered_and_receipted_on_both_sides(world: World) -> None:
    north, south = world.node(NORTH), world.node(SOUTH)
    content = sample("smuggling_route_request")
    asked = north.send(content, SOUTH)
    assert (asked.state, asked.code) == ("sent", "permitted")
    world.settle()
    assert south.inbox() == [asked.msg]
    assert south.open(asked.msg) == content
    answered = south.send(sample("refusal"), NORTH, re=asked.msg)
    assert answered.state == "sent"
    world.settle()
    assert north.open(answered.msg)["refusal"]
    world.settle()
    assert north.receipts(asked.msg) == [(SOUTH, "delivered"), (SOUTH, "opened")]
    assert south.receipts(answered.msg) == [(NORTH, "delivered"), (NORTH, "opened")]
    audit = world.audit()
    assert audit.clean, audit.findings
    assert [(d.entry.from_, d.told[0].agency, d.told[0].clauses) for d in audit.report.disclosures] == [
        (NORTH, SOUTH, ("ask",)),
        (SOUTH, NORTH, ("answer",)),
    ]


def test_what_no_clause_covers_stays_here_unless_a_ruling_is_wanted(world: World) -> None:
    north = world.node(NORTH)
    before = len(world.wire.calls)
    stopped = north.send(sample("smuggling_route_request"), FIU, agr=world.agreements["smuggling-task-force"])
    assert (stopped.state, stopped.code) == ("stopped", "no_clause")
    assert [call for call in world.wire.calls[before:] if call.path == "/v1/messages"] == []
    ruled = north.send(
        sample("smuggling_route_request"), FIU, agr=world.agreements["smuggling-task-force"], ruling=True
    )
    assert (ruled.state, ruled.code) == ("denied", "no_clause")
    world.settle()
    assert world.node(FIU).inbox() == []
    audit = world.audit()
    assert audit.clean, audit.findings
    assert [(d.entry.code, d.entry.to[0].id) for d in audit.report.denials] == [("no_clause", FIU)]


def test_victim_data_goes_to_the_ngo_and_not_to_the_fiu(world: World) -> None:
    south = world.node(SOUTH)
    facts = {"purpose": "victim_protection", "crime": "human_trafficking", "handling": ["H2", "H3"]}
    asked = south.send(
        sample("victim_referral"), FIU, agr=world.agreements["smuggling-task-force"], ruling=True, **facts
    )
    forbidden = south.release(
        asked.ref
    )  # the broker may know better than this node, so a ruling waits like the message
    assert (forbidden.state, forbidden.code) == ("denied", "forbidden")
    waiting = south.send(sample("victim_referral"), NGO, agr=world.agreements[REFERRAL], **facts)
    assert waiting.state == "pending_release"  # what is told of health wants two release officers
    sent = south.release(waiting.ref)
    assert (sent.state, sent.released_by) == ("sent", "sp-release sp-deputy")
    world.settle()
    assert world.node(NGO).open(sent.msg)["referral"]["needs"]
    assert world.node(FIU).inbox() == []
    world.settle()
    assert world.audit().clean


def test_the_same_bytes_again_disclose_nothing_twice(world: World) -> None:
    north = world.node(NORTH)
    sent = north.send(sample("smuggling_route_request"), SOUTH)
    envelope = envelope_of(world, NORTH, sent.msg)
    for _ in range(3):
        again = north.service.office.broker.submit(envelope)
        assert (again.entry, again.outcome) == (sent.entry, "permit")
    world.settle()
    assert world.node(SOUTH).inbox() == [sent.msg]
    audit = world.audit()
    assert audit.clean
    assert len(audit.report.disclosures) == 1


def test_a_byte_altered_on_the_way_is_refused_and_the_message_still_arrives(world: World) -> None:
    rule = world.wire.trouble(Fault.ALTER_REQUEST, path="/v1/messages", caller=NORTH)
    sent = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    assert sent.state == "pending"
    assert rule.hit == 1
    assert b"content_digest_mismatch" in world.wire.calls[-1].answer
    world.settle()
    assert world.node(SOUTH).inbox() == [sent.msg]
    assert world.audit().clean


def test_an_altered_answer_is_not_believed_and_asked_for_again(world: World) -> None:
    world.wire.trouble(Fault.ALTER_ANSWER, path="/v1/messages", caller=NORTH)
    sent = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    assert sent.state == "pending"
    world.settle()
    assert world.node(NORTH).receipts(sent.msg) == [(SOUTH, "delivered")]
    assert world.audit().clean


def test_a_stolen_envelope_is_refused_in_the_thiefs_name(world: World) -> None:
    sent = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    stolen = envelope_of(world, NORTH, sent.msg)
    with pytest.raises(BrokerRefused) as refused:
        world.node(BORDER).service.office.broker.submit(stolen)
    assert refused.value.reason == "sender_mismatch"
    world.settle()
    assert world.audit().clean


def test_a_stolen_seal_signed_anew_opens_for_nobody_and_its_thief_is_found(world: World) -> None:
    sent = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    thief = world.node(BORDER)
    forged = resigned(world.federation.identities[BORDER], envelope_of(world, NORTH, sent.msg), world.clock())
    thief.service.office.broker.submit(forged)
    world.settle()
    south = world.node(SOUTH).service
    assert [one["code"] for one in south.rejected()] == ["unsealing_failed"]
    assert [one["msg"] for one in south.inbox()] == [sent.msg]
    audit = world.audit()
    assert audit.report.clean, "the log is as it should be: the forgery was logged, delivered and rejected"
    found = audit.ledgers[BORDER]
    assert {finding.evidence["msg"] for finding in found} == {parse(forged).digest}, "the border guard never sent it"
    assert not any(found for agency, found in audit.ledgers.items() if agency != BORDER)

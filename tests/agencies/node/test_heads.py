"""Heads of the ledger: kept before they are sent, sent as kept, settled by proof alone (NODE-191, NODE-192)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agencies.node.errors import BrokerRefused, BrokerUnreachable
from agencies.node.ledger import LedgerAct
from exchange.protocol.entry import NodeHeadEntry, parse_entry
from exchange.protocol.ledger_head import verify_head
from exchange.protocol.log import verify_tlog_proof
from exchange.protocol.vocabulary import Act
from exercises.world import World, WorldNode
from keys.encoding import b64u, digest
from tests.agencies.node.conftest import NORTH


def grown(node: WorldNode, count: int = 1) -> None:
    node.service.office.record_alone(*[LedgerAct(Act.RECEIVE)] * count)


def heads(node: WorldNode) -> list[Any]:
    with node.store.reading() as books:
        return list(books.rows("heads"))


def logged(node: WorldNode) -> list[NodeHeadEntry]:
    """The heads that the log has of this node's ledger."""
    watch = node.service.watch
    found = [parse_entry(data) for data in watch.entries(watch.look())]
    return [one for one in found if isinstance(one, NodeHeadEntry) and one.by == node.id]


def evidence(node: WorldNode) -> list[str]:
    with node.store.reading() as books:
        return [row.kind for row in books.rows("evidence")]


@pytest.mark.spec("NODE-190", "NODE-191")
def test_a_head_is_signed_by_the_agency_and_stands_in_the_log(world: World, north: WorldNode) -> None:
    assert north.service.heads.round() == 0  # of nothing there is no head
    grown(north, 3)
    assert north.service.heads.round() == 1
    (row,) = heads(north)
    trust = north.service.office.trust
    said = verify_head(row.note, NORTH, trust.directory, trust.log.origin, world.clock())
    (entry,) = logged(north)
    assert (said.size, said.root, row.state) == (3, row.root, "logged")
    assert (entry.size, entry.root, entry.head) == (3, b64u(row.root), digest(row.note.encode()))
    assert verify_tlog_proof(row.proof, row.entry, trust.log)[0] == row.seq
    assert north.service.heads.round() == 0
    assert world.audit().clean


@pytest.mark.spec("NODE-191", "NODE-192")
def test_no_head_is_signed_without_growth_nor_too_soon_nor_while_one_is_on_its_way(
    world: World, north: WorldNode, crook: Any
) -> None:
    grown(north)
    assert north.service.heads.round() == 1
    world.clock.advance(seconds=59)
    grown(north)
    assert (north.service.heads.round(), len(heads(north))) == (0, 1)
    world.clock.advance(seconds=2)
    crook(north, head=unplugged)
    assert (north.service.heads.round(), [row.state for row in heads(north)]) == (0, ["logged", "pending"])
    grown(north)
    world.clock.advance(seconds=100)
    assert (north.service.heads.round(), len(heads(north))) == (0, 2)
    assert (north.service.heads.sign().size, north.service.heads.sign().size) == (3, 3)  # asked for: as it is now
    crook(north)
    world.clock.advance(hours=1)
    assert north.service.heads.round() == 2
    assert [one.size for one in logged(north)] == [1, 2, 3]
    world.clock.advance(hours=1)
    assert (north.service.heads.round(), len(heads(north))) == (0, 3)


def unplugged(*_: Any) -> Any:
    raise BrokerUnreachable("the line is dead")


@pytest.mark.spec("NODE-191")
def test_a_node_that_ends_between_signing_and_sending_sends_the_same_head_again(
    world: World, north: WorldNode, crook: Any
) -> None:
    grown(north, 2)

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt  # nothing of the node runs after this

    crook(north, head=killed)
    with pytest.raises(KeyboardInterrupt):
        north.service.heads.round()
    (signed,) = heads(north)
    again = world.restart_node(NORTH)
    grown(again)
    world.clock.advance(minutes=2)
    assert again.service.heads.round() == 1
    (entry,) = logged(again)
    assert (entry.size, entry.head) == (2, digest(signed.note.encode()))
    assert [(row.note, row.state) for row in heads(again)] == [(signed.note, "logged")]


@pytest.mark.spec("NODE-191")
def test_an_answer_that_was_lost_is_asked_for_again_with_the_same_bytes(
    world: World, north: WorldNode, crook: Any
) -> None:
    grown(north)
    sent: list[str] = []

    def lost(honest: Any, note: str) -> Any:
        sent.append(note)
        honest.head(note)
        raise BrokerUnreachable("no answer came back")

    crook(north, head=lost)
    assert north.service.heads.round() == 0
    crook(north)
    world.clock.advance(hours=1)
    assert north.service.heads.round() == 1
    (row,), (entry,) = heads(north), logged(north)
    assert (sent, row.state, entry.head) == ([row.note], "logged", row.digest)


@pytest.mark.spec("NODE-191")
def test_an_answer_that_proves_something_else_settles_nothing_and_is_evidence(
    world: World, north: WorldNode, south: WorldNode, crook: Any
) -> None:
    grown(south)
    honest = south.service.office.broker.head(south.service.heads.sign().note)
    grown(north)
    name = north.service.heads.sign().digest
    another = {**honest, "head": name}
    damaged = {**honest, "proof": honest["proof"].replace("index ", "index 9")}
    answers: list[Any] = [honest, another, damaged, {}, [], {**honest, "entry": 3}]
    for answer in answers:
        crook(north, head=lambda *_, answer=answer: answer)
        world.clock.advance(hours=1)
        assert north.service.heads.send() == 0
        assert [row.state for row in heads(north)] == ["pending"]
    assert set(evidence(north)) == {"head_unproved"}
    crook(north)
    world.clock.advance(hours=1)
    assert north.service.heads.send() == 1


@pytest.mark.spec("NODE-191")
def test_a_head_that_the_broker_will_never_log_is_kept_as_evidence(north: WorldNode, crook: Any) -> None:
    grown(north)

    def refused(*_: Any) -> Any:
        raise BrokerRefused("head_forked", "another root was logged for this size", lasting=True)

    crook(north, head=refused)
    assert north.service.heads.round() == 0
    (row,) = heads(north)
    assert (row.state, evidence(north)) == ("refused", ["head_refused"])
    (kept,) = north.service.evidence(north.officer("auditor"))
    assert kept["detail"]["note"] == row.note
    assert json.loads(json.dumps(kept))["kind"] == "head_refused"


@pytest.mark.spec("NODE-192")
def test_reconciling_puts_the_head_into_the_log_first(north: WorldNode, south: WorldNode) -> None:
    grown(north, 2)
    assert [f for f in north.service.reconcile().findings if f.code != "not_in_log"] == []
    assert [one.size for one in logged(north)] == [2]
    assert logged(south) == []


def test_the_rounds_sign_and_send_heads(north: WorldNode) -> None:
    from agencies.node.rounds import Rounds

    grown(north)
    Rounds(north.service, wait=0, every=1, refresh=60)._send(1)
    assert [one.size for one in logged(north)] == [1]


@pytest.mark.spec("NODE-192")
def test_two_processes_on_the_same_books_sign_one_head(world: World, north: WorldNode) -> None:
    grown(north)
    other = WorldNode(world, north.plan)
    assert north.service.heads.sign().note == other.service.heads.sign().note
    assert (other.service.heads.round(), north.service.heads.round(), len(logged(north))) == (1, 0, 1)
    other.store.close()


@pytest.mark.spec("NODE-191")
def test_a_larger_head_does_not_overtake_a_smaller_one(world: World, north: WorldNode, crook: Any) -> None:
    """The log takes up no smaller one behind it: what was honest would be refused for good, or look like a lie."""
    grown(north)
    crook(north, head=unplugged)
    assert north.service.heads.round() == 0
    crook(north)
    grown(north)
    north.service.heads.sign()  # asked for, as an export does, while the first one rests
    assert north.service.heads.send() == 0
    world.clock.advance(hours=1)
    assert north.service.heads.send() == 2
    assert [row.state for row in heads(north)] == ["logged", "logged"]
    assert evidence(north) == []

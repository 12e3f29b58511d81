"""Attacks by the broker itself: it holds the log's key and every envelope, and tells each node what it likes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agencies.node.broker_client import Answer, BrokerClient
from agencies.node.errors import AnswerMismatch, LogForked
from exchange.protocol import admission
from exchange.protocol.log import LogSigner, sign_checkpoint, tlog_proof
from exchange.protocol.merkle import Tree, leaf_hash
from exchange.protocol.message import parse
from exercises.federation import ORIGIN
from exercises.world import World, WorldNode
from keys.encoding import b64u, unb64u
from keys.errors import Refusal
from tests.agencies.node.conftest import HARBOUR, NORTH, REQUEST, SOUTH, TERMS, Crooked, parcels


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, [NORTH, SOUTH, HARBOUR], agreements=()) as made:
        made.agree(TERMS)
        yield made


@pytest.fixture
def north(world: World) -> WorldNode:
    return world.node(NORTH)


@pytest.fixture
def south(world: World) -> WorldNode:
    return world.node(SOUTH)


def crook(node: WorldNode, **changed: Callable[..., Any]) -> None:
    """Make this node's broker lie, or with no names tell the truth again."""
    office = node.service.office
    honest = office.broker
    while isinstance(honest, Crooked):
        honest = honest._honest
    office.broker = Crooked(honest, **changed) if changed else honest  # type: ignore[assignment]


def on_a_branch(world: World, node: WorldNode, envelope: bytes) -> Answer:
    """A permit, logged in a log of one entry that nobody else is shown, under the log's true keys."""
    made, office = parse(envelope), node.service.office
    admitted = admission.admit(made, office.trust.directory, office.trust.book, world.clock())
    tree = Tree()
    tree.append([leaf_hash(admitted.entry)])
    note = sign_checkpoint(1, tree.root(), LogSigner(ORIGIN, world.federation.broker.log), world.clock())
    return Answer("permit", "permitted", made.digest, admitted.entry, tlog_proof(0, (), note), None)


# --- to the sender ---------------------------------------------------------------------------------------------------


@pytest.mark.spec("NODE-34", "NODE-36")
def test_a_sender_is_not_shown_a_log_of_its_own(world: World, north: WorldNode) -> None:
    """The broker neither logs nor delivers, and gives the sender a proof in a branch made for it alone."""
    north.service.watch.look()
    crook(north, submit_batch=lambda _, envelopes: [on_a_branch(world, north, one) for one in envelopes])
    try:
        state = north.send(REQUEST, SOUTH).state
    except LogForked:
        state = "pending"
    assert state == "pending"
    assert north.service.state()["evidence"]


def test_a_sender_believes_the_code_in_the_log_and_no_other(north: WorldNode) -> None:
    def softened(honest: BrokerClient, envelopes: Any) -> Any:

        return [replace(answer, code="agreement_expired") for answer in honest.submit_batch(envelopes)]

    crook(north, submit_batch=softened)
    assert north.send(REQUEST, SOUTH).code != "agreement_expired"


def test_a_permit_is_not_taken_for_a_denial_nor_one_message_for_another(north: WorldNode) -> None:

    for lie in ({"outcome": "deny"}, {"msg": "A" * 43}, {"entry": b"{}"}, {"proof": ""}):
        crook(north, submit_batch=lambda h, e, lie=lie: [replace(a, **lie) for a in h.submit_batch(e)])
        assert north.send(REQUEST, SOUTH).state == "pending"
    crook(north)


# --- to the recipient ------------------------------------------------------------------------------------------------


def test_a_message_shown_twice_is_not_reported_rejected(north: WorldNode, south: WorldNode) -> None:
    """The broker gets the recipient to sign that it rejected what it had opened."""
    sent = north.send(REQUEST, SOUTH)
    south.collect()
    south.open(str(sent.msg))

    def again(honest: BrokerClient, after: int, **named: Any) -> Any:
        items, following = honest.mailbox(-1, **named)
        return items, max(after, following)

    crook(south, mailbox=again)
    south.service.collect()
    crook(south)
    north.collect()
    assert sorted(status for _, status in north.receipts(str(sent.msg))) == ["delivered", "opened"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda item: {"proof": item["proof"].replace("index ", "index 1")},
        lambda item: {"entry": b64u(b"{}")},
        lambda item: {"more": 1},
    ],
    ids=["proof", "entry", "member"],
)
def test_a_parcel_that_the_broker_spoiled_is_not_lost_nor_held_against_its_sender(
    north: WorldNode, south: WorldNode, spoil: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> None:
    """MSG-29: kept as evidence and not receipted; and an honest broker can still deliver it afterwards."""
    sent = north.send(REQUEST, SOUTH)
    crook(south, mailbox=parcels(spoil))
    with suppress(Refusal):
        south.collect()
    crook(south)
    south.collect()
    north.collect()
    assert ("south.police.sim", "rejected") not in north.receipts(str(sent.msg))
    assert south.inbox() == [sent.msg]


def test_a_cursor_that_runs_ahead_of_the_mail_is_not_believed(north: WorldNode, south: WorldNode) -> None:
    """One answer, and the node never sees its mail again, not even from an honest broker."""
    crook(south, mailbox=lambda *_, **__: ([], 10**9))
    with suppress(AnswerMismatch):
        south.collect()
    crook(south)
    sent = north.send(REQUEST, SOUTH)
    assert south.collect() == [sent.msg]


def test_a_receipt_under_new_keys_is_not_lost(world: World, north: WorldNode) -> None:
    """No lie at all: the recipient has new keys, and the sender has not heard of them yet."""
    sent = north.send(REQUEST, SOUTH)
    world.rotate(SOUTH).collect()
    north.collect()
    assert north.receipts(str(sent.msg)) == [(SOUTH, "delivered")]
    assert not north.service.state()["evidence"]


def test_a_branch_in_the_mailbox_is_found_and_nothing_of_it_taken(
    world: World, north: WorldNode, south: WorldNode
) -> None:
    north.send(REQUEST, SOUTH)
    south.service.watch.look()
    log = LogSigner(ORIGIN, world.federation.broker.log)

    def branched(item: Mapping[str, Any]) -> dict[str, Any]:

        tree = Tree()
        tree.append([leaf_hash(unb64u(item["entry"]))])
        note = sign_checkpoint(1, tree.root(), log, world.clock())
        return {"seq": 0, "proof": tlog_proof(0, (), note)}

    crook(south, mailbox=parcels(branched))
    with pytest.raises(LogForked):
        south.collect()
    crook(south)
    assert south.inbox() == []
    assert south.service.state()["evidence"] == 1
    assert len(south.collect()) == 1


def test_another_recipients_parcel_opens_for_nobody_else(world: World, north: WorldNode, south: WorldNode) -> None:
    """Harbour is handed South's mail, whole."""
    north.send(REQUEST, SOUTH)
    items, following = south.service.office.broker.mailbox(-1)
    harbour = world.node(HARBOUR)
    crook(harbour, mailbox=lambda *_, **__: ([i for i in items if i["kind"] == "message"], following))
    harbour.service.collect()
    assert harbour.inbox() == []
    assert [one["code"] for one in harbour.service.rejected()] == ["not_addressed"]

"""What others say they see of the log is held against what is seen here, and costs nobody a receipt (NODE-39)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agencies.node.errors import BrokerUnreachable, LogForked
from agencies.node.mail.gossip import MAX_WORDS
from agencies.node.mail.haul import Batch
from exchange.audit.contradiction import verify_contradiction
from exchange.protocol import seen as seen_module
from exchange.protocol.log import LogSigner, sign_checkpoint, verify_checkpoint
from exchange.protocol.merkle import Tree, leaf_hash
from exchange.protocol.receipt import verify_receipts
from exercises.federation import ORIGIN
from exercises.wire import Fault
from exercises.world import World, WorldNode
from keys.ceremony import RootPlan, next_root
from keys.encoding import digest, read_json, write_json
from keys.signing import Signer, parse_statement
from tests.agencies.node.conftest import REQUEST, SOUTH


def kept(node: WorldNode) -> list[dict[str, Any]]:
    return list(node.service.evidence(node.officer("auditor")))


def says(node: WorldNode, note: Callable[[], str | None]) -> None:
    """Have a node's receipts tell something else than it saw."""
    node.service.receipting._shown = note


def batches(node: WorldNode) -> list[dict[str, Any]]:
    """What a node's signed batches say, in the order in which they were signed."""
    with node.store.reading() as books:
        rows = books.rows("batch")
    return [dict(read_json(parse_statement(row.jws).payload, limit=2**16)) for row in rows]


@pytest.fixture
def signed(world: World) -> Callable[..., str]:
    """A checkpoint of another history, by the log's own keys or by somebody else's."""

    def make(size: int, by: Signer | None = None, origin: str = ORIGIN) -> str:
        tree = Tree()
        tree.append(leaf_hash(f"other {n}".encode()) for n in range(size))
        return sign_checkpoint(size, tree.root(), LogSigner(origin, by or world.federation.broker.log), world.clock())

    return make


def told(north: WorldNode, south: WorldNode) -> str:
    sent = north.send(REQUEST, SOUTH)
    assert south.collect() == [sent.msg]
    return str(sent.msg)


# --- what is told ----------------------------------------------------------------------------------------------------


@pytest.mark.spec("NODE-39", "RCT-7")
def test_every_batch_tells_the_newest_checkpoint_its_giver_verified(
    world: World, north: WorldNode, south: WorldNode
) -> None:
    for _ in range(2):
        told(north, south)
    assert len(batches(south)) == 2
    newest = south.service.watch.newest()
    assert batches(south)[1]["seen"] == newest
    assert newest != batches(south)[0]["seen"]
    log = world.federation.directory.root.log
    assert verify_checkpoint(batches(south)[0]["seen"], log).size < verify_checkpoint(str(newest), log).size


@pytest.mark.spec("NODE-39", "NODE-44")
def test_a_batch_goes_on_telling_what_it_told_when_it_was_signed(
    world: World, north: WorldNode, south: WorldNode
) -> None:
    """Posted again an hour later, and the log much longer: the same bytes, and an older view that is still right."""
    sent = north.send(REQUEST, SOUTH)
    with world.wire.cut(SOUTH), pytest.raises(BrokerUnreachable):
        south.service.collect()
    lost = world.wire.trouble(Fault.LOSE, path="/v1/receipts", caller=SOUTH, times=None)
    assert south.collect() == [sent.msg]
    (before,) = batches(south)
    for _ in range(3):
        north.send(REQUEST, SOUTH)
    north.service.watch.look()
    lost.lift()
    world.clock.advance(hours=1)
    south.service.post_receipts()
    assert batches(south)[0] == before
    north.collect()
    assert north.receipts(str(sent.msg)) == [(SOUTH, "delivered")]
    assert kept(north) == []


@pytest.mark.spec("RCT-7")
def test_who_saw_nothing_tells_nothing_and_its_receipts_count(north: WorldNode, south: WorldNode) -> None:
    says(south, lambda: None)
    message = told(north, south)
    assert "seen" not in batches(south)[0]
    north.collect()
    assert north.receipts(message) == [(SOUTH, "delivered")]


# --- honest races ----------------------------------------------------------------------------------------------------


@pytest.mark.spec("NODE-39")
def test_what_agrees_costs_no_signature(north: WorldNode, south: WorldNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """At whatever size: the sender has seen much less, or much more, than the giver had."""
    messages = [told(north, south) for _ in range(3)]
    north.service.watch.look()
    monkeypatch.setattr(seen_module, "verify_tree", None)
    north.collect()
    assert [north.receipts(one) for one in messages] == [[(SOUTH, "delivered")]] * 3
    assert kept(north) == []


@pytest.mark.spec("NODE-39")
def test_an_older_view_is_compared_also_after_a_restart(world: World, north: WorldNode, south: WorldNode) -> None:
    """Whose tree is not in memory reads it from the log's tiles, against the root it knows."""
    early = north.service.office.broker.checkpoint()
    message = told(north, south)
    for _ in range(3):
        told(north, south)
    says(south, lambda: early)
    south.open(message)
    renewed = world.restart_node(north.id)
    renewed.collect()
    assert renewed.receipts(message) == [(SOUTH, "delivered"), (SOUTH, "opened")]
    assert kept(renewed) == []


@pytest.mark.spec("NODE-39")
def test_tiles_that_are_not_whole_are_no_reason_to_accuse_anybody(
    world: World, north: WorldNode, south: WorldNode, crook: Any
) -> None:
    """What cannot be told now is asked again; it is neither taken nor held against the log or the giver."""
    early = north.service.office.broker.checkpoint()
    message = told(north, south)
    says(south, lambda: early)
    south.open(message)
    north.service.watch.look()
    renewed = world.restart_node(north.id)
    crook(renewed, log_file=lambda honest, path: honest.log_file(path)[:32])
    with pytest.raises(BrokerUnreachable):
        renewed.collect()
    assert kept(renewed) == []
    crook(renewed)
    renewed.collect()
    assert renewed.receipts(message) == [(SOUTH, "delivered"), (SOUTH, "opened")]


# --- lies ------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("NODE-39", "WIT-53", "RCT-8")
@pytest.mark.parametrize("size", [1, 5000])
def test_a_view_that_the_log_never_signed_is_held_against_its_giver_and_the_receipts_count(
    north: WorldNode, south: WorldNode, signed: Any, size: int
) -> None:
    forged = signed(size, Signer.generate())
    says(south, lambda: forged)
    message = told(north, south)
    south.open(message)
    north.collect()
    assert north.receipts(message) == [(SOUTH, "delivered"), (SOUTH, "opened")]
    found = [verify_contradiction(one["detail"], north.service.office.trust.directory) for one in kept(north)]
    assert [(one.code, one.who) for one in found] == [("seen_forged", f"{SOUTH} or broker")] * 2


@pytest.mark.spec("NODE-39")
def test_a_log_of_another_name_is_a_forgery_too(north: WorldNode, south: WorldNode, signed: Any) -> None:
    says(south, lambda: signed(1, origin="elsewhere/log"))
    message = told(north, south)
    north.collect()
    assert north.receipts(message) == [(SOUTH, "delivered")]
    assert [one["kind"] for one in kept(north)] == ["seen_forged"]


@pytest.mark.spec("NODE-39")
def test_who_lies_all_day_fills_no_book(north: WorldNode, south: WorldNode, signed: Any) -> None:
    messages = []
    for n in range(MAX_WORDS + 4):
        says(south, lambda n=n: signed(n + 1, Signer.generate()))  # type: ignore[misc]
        messages.append(told(north, south))
    north.collect()
    assert all(north.receipts(one) == [(SOUTH, "delivered")] for one in messages)
    assert len(kept(north)) == MAX_WORDS


@pytest.mark.spec("NODE-39", "WIT-50")
def test_another_log_under_the_logs_own_keys_stops_the_mail(
    world: World, north: WorldNode, south: WorldNode, signed: Any
) -> None:
    fork = signed(2)
    says(south, lambda: fork)
    message = told(north, south)
    for _ in range(2):
        with pytest.raises(LogForked):
            north.collect()
    assert north.receipts(message) == []
    (one,) = kept(north)
    assert (one["detail"]["older"], one["detail"]["by"]) == (fork, SOUTH)
    found = verify_contradiction(one["detail"], north.service.office.trust.directory)
    assert (found.code, found.who) == ("log_forked", "broker")


@pytest.mark.spec("NODE-39", "WIT-52")
def test_a_view_larger_than_the_place_of_the_receipt_is_a_second_log(
    north: WorldNode, south: WorldNode, signed: Any
) -> None:
    says(south, lambda: signed(5000))
    message = told(north, south)
    for _ in range(2):
        with pytest.raises(LogForked):
            north.collect()
    (one,) = kept(north)
    found = verify_contradiction(one["detail"], north.service.office.trust.directory)
    assert (found.code, found.facts["size"]) == ("log_forked", 5000)
    assert north.receipts(message) == []


@pytest.mark.spec("NODE-39")
def test_what_was_signed_with_keys_that_a_root_has_replaced_stops_nobody(
    world: World, north: WorldNode, south: WorldNode, signed: Any
) -> None:
    """Whoever stole the log's old keys cannot stop the mail of everybody with them; and new keys are a way out."""
    fork = signed(5000)
    says(south, lambda: fork)
    message = told(north, south)
    with pytest.raises(LogForked):
        north.collect()
    (item,) = [one for one in north.service.office.broker.mailbox(-1)[0] if one["kind"] == "receipt"]
    office = north.service.office
    federation, now = world.federation, world.clock()
    plan = replace(RootPlan.of(federation.directory.root), log=Signer.generate().public)
    root = next_root(federation.directory.root, plan, federation.root.signers[:2], now=now)
    office.trust.directory = federation.directory.with_root(root, now)
    jws = write_json(item["batch"])
    batch = Batch(item["batch"], jws, digest(jws), verify_receipts(jws, office.trust.directory, now))
    word = north.service.gossip.hold(batch, item["seq"], item, lambda: False)
    assert word is not None
    assert (word.kind, word.by) == ("seen_unjudged", SOUTH)
    assert verify_contradiction(word.detail, office.trust.directory).facts["keys_of_root"] == 1
    assert north.receipts(message) == []
    assert north.service.gossip.shown() is None  # the newest checkpoint here is one under the old keys

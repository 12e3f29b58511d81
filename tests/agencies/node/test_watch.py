"""Watching the log: it only grows, for everybody alike; where not, the evidence is kept (NODE-34 to NODE-36)."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from agencies.node.errors import BrokerUnreachable, LogForked
from exchange.protocol.log import LogSigner, sign_checkpoint, verify_checkpoint
from exchange.protocol.merkle import Tree, leaf_hash
from exercises.federation import ORIGIN
from exercises.world import World, WorldNode
from tests.agencies.node.conftest import REQUEST, SOUTH


def evidence(node: WorldNode, kind: str = "log_forked") -> list[dict[str, Any]]:
    return [e["detail"] for e in node.service.evidence(node.officer("auditor")) if e["kind"] == kind]


def known(node: WorldNode) -> list[int]:
    with node.store.reading() as books:
        return [row.size for row in books.rows("known")]


@pytest.fixture
def other_log(world: World) -> Any:
    """Checkpoints of another history, signed by the log's own keys: what a lying broker can do."""

    def signed(size: int, seed: str = "other") -> str:
        tree = Tree()
        tree.append(leaf_hash(f"{seed} {n}".encode()) for n in range(size))
        return sign_checkpoint(size, tree.root(), LogSigner(ORIGIN, world.federation.broker.log), world.clock())

    return signed


@pytest.mark.spec("NODE-34")
def test_every_checkpoint_is_held_against_the_newest(north: WorldNode, south: WorldNode) -> None:
    for _ in range(3):
        north.send(REQUEST, SOUTH)
        south.collect()
    sizes = known(south)
    assert sizes == sorted(sizes)
    assert len(sizes) >= 3
    latest = south.service.watch.look()
    assert known(south)[-1] == latest.size
    assert evidence(south) == []


@pytest.mark.spec("NODE-35")
def test_an_old_checkpoint_may_come_late(world: World, north: WorldNode, south: WorldNode) -> None:
    early = north.service.office.broker.checkpoint()
    for _ in range(3):
        north.send(REQUEST, SOUTH)
    south.service.watch.look()
    south.service.watch.see([early])
    assert verify_checkpoint(early, south.service.office.trust.log).size in known(south)


@pytest.mark.spec("NODE-35", "NODE-36")
def test_two_roots_of_one_size_are_kept_as_evidence(south: WorldNode, other_log: Any) -> None:
    size = south.service.watch.look().size
    mine, theirs = south.service.watch.newest(), other_log(size)
    with pytest.raises(LogForked):
        south.service.watch.see([theirs])
    (kept,) = evidence(south)
    assert [kept["older"], kept["newer"]] == [mine, theirs]


@pytest.mark.spec("NODE-35", "NODE-36")
def test_a_larger_log_that_is_another_log_is_refused(south: WorldNode, other_log: Any) -> None:
    size = south.service.watch.look().size
    theirs = other_log(size + 3)
    with pytest.raises((LogForked, BrokerUnreachable)):
        south.service.watch.see([theirs])
    assert theirs != south.service.watch.newest()


@pytest.mark.spec("NODE-36")
def test_mail_with_a_forked_proof_is_not_taken(north: WorldNode, south: WorldNode, crook: Any, other_log: Any) -> None:
    size = south.service.watch.look().size
    north.send(REQUEST, SOUTH)

    def forked(honest: Any, *args: Any, **named: Any) -> Any:
        items, following = honest.mailbox(*args, **named)
        head = [item["proof"].partition("\n\n")[0] for item in items]
        return [{**i, "proof": f"{h}\n\n{other_log(size)}"} for i, h in zip(items, head, strict=True)], following

    crook(south, mailbox=forked)
    with pytest.raises(LogForked):
        south.service.collect()
    assert south.service.inbox() == []
    assert len(evidence(south)) == 1
    crook(south)
    assert len(south.collect()) == 1


@pytest.mark.spec("NODE-35")
def test_an_older_checkpoint_shown_again_is_no_answer_and_no_evidence(
    north: WorldNode, south: WorldNode, crook: Any
) -> None:
    """Nobody signs what `/log` serves: anybody on the way may repeat what was true before."""
    early = north.service.office.broker.checkpoint()
    north.send(REQUEST, SOUTH)
    latest = south.service.watch.look()
    crook(south, checkpoint=lambda _: early)
    with pytest.raises(BrokerUnreachable, match="now shows"):
        south.service.watch.look()
    assert evidence(south) == []
    crook(south)
    assert south.service.watch.look() == latest


@pytest.mark.spec("NODE-35", "NODE-36")
def test_a_fork_shown_again_and_again_is_kept_as_evidence_once(
    north: WorldNode, south: WorldNode, crook: Any, other_log: Any
) -> None:
    forked = other_log(south.service.watch.look().size)
    for _ in range(3):
        crook(south, checkpoint=lambda _: forked)
        with pytest.raises(LogForked):
            south.service.watch.look()
        crook(south)
        north.send(REQUEST, SOUTH)
        south.service.watch.look()
    assert len(evidence(south)) == 1


@pytest.mark.spec("NODE-35")
def test_what_the_log_adds_is_a_tile_to_fetch(world: World, north: WorldNode, south: WorldNode) -> None:
    south.service.watch.look()
    north.send(REQUEST, SOUTH)
    south.service.watch.look()
    north.send(REQUEST, SOUTH)
    before = len(world.wire.calls)
    south.service.watch.look()
    assert [call.path.startswith("/log/tile/0/") for call in world.wire.calls[before:]] == [False, True]


@pytest.mark.spec("NODE-35")
def test_leaves_that_lead_to_another_root_are_looked_into(
    north: WorldNode, south: WorldNode, crook: Any, other_log: Any
) -> None:
    """Once the tree is in memory: a larger log of the same keys that is not this one."""
    for _ in range(3):
        north.send(REQUEST, SOUTH)
        size = south.service.watch.look().size
    crook(south, checkpoint=lambda _: other_log(size + 1), log_file=lambda honest, path: bytes(32 * (size + 1)))
    with pytest.raises(LogForked):
        south.service.watch.look()
    crook(south)
    north.send(REQUEST, SOUTH)
    assert south.service.watch.look().size == size + 1


@pytest.mark.spec("NODE-35")
def test_tiles_that_do_not_lead_to_the_signed_root_are_evidence(
    world: World, north: WorldNode, south: WorldNode, crook: Any
) -> None:
    south.service.watch.look()
    north.send(REQUEST, SOUTH)
    crook(south, log_file=lambda honest, path: bytes(len(honest.log_file(path))))
    with pytest.raises(LogForked, match="tiles"):
        south.service.watch.look()


@pytest.mark.spec("NODE-54")
def test_entries_altered_in_the_brokers_books_are_found(world: World, north: WorldNode, south: WorldNode) -> None:
    sent = north.send(REQUEST, SOUTH)
    books = sqlite3.connect(world.broker_database)
    with books:
        change = "UPDATE entry SET data = CAST(replace(data, 'investigate', 'prosecute') AS BLOB) WHERE seq = ?"
        books.execute(change, (sent.index,))
    books.close()
    with pytest.raises(LogForked):
        south.service.reconcile()
    assert evidence(south, "entries")


def test_a_partial_tile_that_is_gone_is_read_from_the_full_one(south: WorldNode, crook: Any) -> None:
    whole = south.service.office.broker.log_file

    def only_full(_: Any, path: str) -> bytes:
        if ".p/" in path:
            raise BrokerUnreachable("gone")
        for width in range(256, 0, -1):
            try:
                return whole(f"{path}.p/{width}" if width < 256 else path)
            except BrokerUnreachable:
                continue
        raise AssertionError

    checkpoint = south.service.watch.look()
    crook(south, log_file=only_full)
    assert len(south.service.watch.entries(checkpoint)) == checkpoint.size

"""The turn of a year: the log goes on in a tree of its own, and every member follows (LOG-120 to LOG-132, NODE-240)."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from agencies.node.errors import BrokerUnreachable, LogForked
from agencies.node.witnessing import Witnessing
from exchange.audit.contradiction import judge_evidence
from exchange.audit.reconciled import reconcile_export
from exchange.commands_audit import export
from exchange.protocol.cosignature import Cosigner
from exchange.protocol.entry import ShardEntry, parse_entry
from exchange.protocol.errors import OriginUnknown
from exchange.protocol.log import (
    Checkpoint,
    LogSigner,
    bundle,
    parse_bundle,
    parse_tlog_proof,
    sign_checkpoint,
    unverified_checkpoint,
    verify_checkpoint,
)
from exchange.protocol.merkle import Tree, leaf_hash
from exchange.protocol.witnessing import Submission
from exercises.federation import ORIGIN
from exercises.world import World, WorldNode
from keys.encoding import b64u, read_json, write_json
from keys.signing import Signer
from tests.agencies.node.conftest import NORTH, REQUEST, SOUTH, WHY

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


def to_new_year(world: World, year: int = 2027) -> None:
    """The first second of a year; what a year without work lets expire is nobody's business here."""
    world.clock.advance(seconds=int((datetime(year, 1, 1, tzinfo=UTC) - world.clock()).total_seconds()) + 1)


def to_new_years_eve(world: World) -> None:
    world.clock.advance(seconds=int((NEW_YEAR - world.clock()).total_seconds()) - 60)


def exchanged(north: WorldNode, south: WorldNode, times: int = 1) -> list[str]:
    sent = [north.send(REQUEST, SOUTH).msg or "" for _ in range(times)]
    south.collect()
    for msg in sent:
        south.open(msg)
    north.collect()
    return sent


def head(node: WorldNode) -> Checkpoint:
    return node.service.watch.look()


@pytest.mark.spec("LOG-120", "LOG-121", "LOG-122", "NODE-240")
def test_a_federation_crosses_new_year(world: World, north: WorldNode, south: WorldNode) -> None:
    (old,) = exchanged(north, south)
    before = head(south)
    assert (before.origin, before.base) == (ORIGIN, 0)
    to_new_year(world)
    (new,) = exchanged(north, south)
    after = head(south)
    assert (after.origin, after.base) == (f"{ORIGIN}/2027", before.size)
    assert after.end == before.size + after.size
    entries = [parse_entry(data) for data in south.service.watch.entries(after)]
    assert len(entries) == after.end
    first = entries[after.base]
    assert isinstance(first, ShardEntry)
    assert (first.base, first.origin, first.size, first.root) == (before.size, ORIGIN, before.size, b64u(before.root))
    assert [one.ts[:4] for one in entries] == ["2026"] * before.size + ["2027"] * after.size
    assert {one["msg"] for one in south.service.inbox()} == {old, new}
    assert north.receipts(new) == [(SOUTH, "delivered"), (SOUTH, "opened")]
    audit = world.audit()
    assert audit.clean, audit.findings
    assert audit.report.closed[0].size == before.size


@pytest.mark.spec("LOG-121", "LOG-129")
def test_a_proof_has_the_index_in_its_shard_and_everything_else_the_number(
    world: World, north: WorldNode, south: WorldNode
) -> None:
    to_new_year(world)
    sent = north.send(REQUEST, SOUTH)
    with north.store.reading() as books:
        (row,) = books.rows("outbox", msg=sent.msg)
    index, _, note = parse_tlog_proof(row.proof)
    shown = verify_checkpoint(note, north.service.office.trust.log)
    assert (index, row.seq) == (1, shown.base + 1)


@pytest.mark.spec("NODE-240")
def test_a_node_that_was_away_for_years_catches_up(world: World, north: WorldNode, south: WorldNode) -> None:
    exchanged(north, south)
    to_new_year(world)
    north.send(REQUEST, SOUTH)
    world.clock.advance(days=180)
    world.rotate(SOUTH)
    world.rotate(NORTH)
    to_new_year(world, 2028)
    world.node(NORTH).send(REQUEST, SOUTH)
    away = world.node(SOUTH).service.office.trust
    assert away.log.shards == ()
    shown = head(world.node(SOUTH))
    assert shown.origin == f"{ORIGIN}/2028"
    assert [origin for origin, _ in away.log.shards] == [f"{ORIGIN}/2027", f"{ORIGIN}/2028"]
    assert world.audit().report.clean


@pytest.mark.spec("NODE-240")
def test_what_came_before_is_still_proved_and_read_on_after_the_turn(
    world: World, north: WorldNode, south: WorldNode
) -> None:
    to_new_years_eve(world)
    sent = north.send(REQUEST, SOUTH)
    south.service.following.read_on()
    to_new_year(world)
    exchanged(north, south)
    assert south.service.following.size() < south.service.following.read_on() == head(south).end
    restarted = world.restart_node(SOUTH)
    assert restarted.service.following.read_on() == head(restarted).end
    assert sent.msg in restarted.inbox()


# --- a broker that lies about a year -------------------------------------------------------------------


class Liar:
    """Serves a node other files of the log, signed by the log's own keys."""

    def __init__(self, world: World, node: WorldNode) -> None:
        self.world, self.broker = world, node.service.office.broker
        self.honest, self.files = self.broker.log_file, dict[str, bytes]()
        self.broker.log_file = self.read  # type: ignore[method-assign]

    def read(self, path: str) -> bytes:
        return self.files[path] if path in self.files else self.honest(path)

    def show(self, year: str, entries: list[bytes]) -> str:
        """Serve these entries as the tree of a year, or as the first; its signed checkpoint."""
        tree = Tree()
        rows = tree.append(map(leaf_hash, entries))
        prefix, origin = (f"{year}/", f"{ORIGIN}/{year}") if year else ("", ORIGIN)
        signer = LogSigner(origin, self.world.federation.broker.log)
        note = sign_checkpoint(len(entries), tree.root(), signer, self.world.clock())
        self.files[f"{prefix}tile/entries/000.p/{len(entries)}"] = bundle(entries)
        self.files |= {f"{prefix}tile/{row.level}/000.p/{row.width}": row.hashes for row in rows}
        return note

    def entries(self, prefix: str) -> list[bytes]:
        size = unverified_checkpoint(self.honest(f"{prefix}checkpoint").decode())[1]
        return list(parse_bundle(self.honest(f"{prefix}tile/entries/000.p/{size}"), size))


def evidence(node: WorldNode, kind: str) -> list[dict[str, Any]]:
    return [one["detail"] for one in node.service.evidence(node.officer("auditor")) if one["kind"] == kind]


@pytest.mark.spec("NODE-241", "LOG-124")
@pytest.mark.parametrize(
    "change",
    [
        {"base": 4},
        {"size": 4},
        {"root": b64u(bytes(32))},
        {"origin": f"{ORIGIN}/2020"},
        {"ts": "2028-01-01T00:00:00.000Z"},
    ],
)
def test_a_shard_that_does_not_close_the_one_before_is_refused_and_kept(
    world: World, north: WorldNode, south: WorldNode, change: dict[str, Any]
) -> None:
    exchanged(north, south)
    to_new_year(world)
    north.send(REQUEST, SOUTH)
    liar = Liar(world, south)
    first, *rest = liar.entries("2027/")
    note = liar.show("2027", [write_json({**read_json(first, limit=4096), **change}), *rest])
    with pytest.raises(LogForked):
        south.service.watch.see([note])
    (kept,) = evidence(south, "shard_refused")
    assert kept["newer"] == note
    assert south.service.office.trust.log.shards == ()


@pytest.mark.spec("NODE-241")
def test_a_shard_whose_beginning_is_not_shown_teaches_nothing(world: World, north: WorldNode, south: WorldNode) -> None:
    exchanged(north, south)
    to_new_year(world)
    north.send(REQUEST, SOUTH)
    liar = Liar(world, south)
    name = parse_entry(liar.entries("2027/")[0])
    assert isinstance(name, ShardEntry)
    for path, data in ((f"closed/{name.checkpoint}", b"x"), ("2027/tile/0/000.p/2", bytes(64))):
        liar.files = {path: data}
        with pytest.raises(BrokerUnreachable):
            south.service.watch.look()
    liar.files = {}
    assert head(south).origin == f"{ORIGIN}/2027"
    assert south.service.evidence(south.officer("auditor")) == []


@pytest.mark.spec("NODE-242", "LOG-126", "WIT-56")
def test_a_closed_shard_that_grows_is_evidence_that_convinces_a_stranger(
    world: World, north: WorldNode, south: WorldNode
) -> None:
    exchanged(north, south)
    to_new_year(world)
    exchanged(north, south)
    liar = Liar(world, south)
    old = liar.entries("")
    note = liar.show("", [*old, old[-1]])
    with pytest.raises(LogForked, match="closed"):
        south.service.watch.see([note])
    assert convicted(south, world) == ["shard_reopened"]


@pytest.mark.spec("NODE-242", "LOG-126")
def test_a_shard_closed_behind_what_this_node_has_seen_of_it_is_evidence(
    world: World, north: WorldNode, south: WorldNode
) -> None:
    exchanged(north, south)
    liar = Liar(world, south)
    old = liar.entries("")
    liar.files["head"] = liar.show("", [*old, old[-1]]).encode()
    south.service.watch.look()  # shown to this node alone, and signed
    liar.files = {}
    to_new_year(world)
    north.send(REQUEST, SOUTH)
    with pytest.raises(LogForked):
        south.service.watch.look()
    assert convicted(south, world) == ["shard_reopened"]


@pytest.mark.spec("NODE-240", "LOG-4")
def test_a_shard_closed_as_another_log_than_this_node_has_seen_is_evidence(
    world: World, north: WorldNode, south: WorldNode
) -> None:
    north.send(REQUEST, SOUTH)
    liar = Liar(world, south)
    old = liar.entries("")
    liar.files["head"] = liar.show("", [*old[:-1], old[0]]).encode()
    assert south.service.watch.look().size == len(old)
    liar.files = {}
    north.send(REQUEST, SOUTH)
    to_new_year(world)
    north.send(REQUEST, SOUTH)
    with pytest.raises(LogForked):
        south.service.watch.look()
    assert convicted(south, world) == ["log_forked"]


def convicted(node: WorldNode, world: World) -> list[str]:
    """What a stranger finds proven in a node's evidence, all of it against the broker."""
    kept = [{"kind": e["kind"], "detail": e["detail"]} for e in node.service.evidence(node.officer("auditor"))]
    trust = read_json(world.federation.directory.to_bytes(), limit=2**24)
    found = judge_evidence(write_json({"evidence": kept, "trust": trust}), fed=world.federation.fed, now=world.clock())
    assert {one.who for one in found.proven} <= {"broker"}
    return [one.code for one in found.proven]


# --- witnesses, and the word between members -------------------------------------------------------------


@pytest.mark.spec("WIT-55")
def test_a_witness_cosigns_every_shard_as_a_log_of_its_own(world: World, north: WorldNode, south: WorldNode) -> None:
    witness = Witnessing(south.service.office, Cosigner(f"{SOUTH}/witness", Signer.generate()))
    north.send(REQUEST, SOUTH)
    assert witness.add(shown(north)).count("\n") == 2
    to_new_year(world)
    north.send(REQUEST, SOUTH)
    assert witness.add(shown(north)).count("\n") == 2
    for origin in (ORIGIN, f"{ORIGIN}/2027"):
        assert unverified_checkpoint(witness.checkpoint(sha256(origin.encode()).hexdigest()))[0] == origin
    witness.compare(south.service.watch)
    strange = sign_checkpoint(1, bytes(32), LogSigner("another.sim/2027", Signer.generate()), world.clock())
    with pytest.raises(OriginUnknown):
        witness.add(Submission(0, (), strange).to_bytes())


def shown(node: WorldNode) -> bytes:
    return Submission(0, (), node.service.office.broker.checkpoint()).to_bytes()


@pytest.mark.spec("RCT-8", "NODE-39")
def test_what_members_say_they_see_is_compared_across_the_turn(
    world: World, north: WorldNode, south: WorldNode
) -> None:
    to_new_years_eve(world)
    msg = north.send(REQUEST, SOUTH).msg or ""
    south.service.watch.look()
    to_new_year(world)
    north.send(REQUEST, SOUTH)
    exchanged(north, south)
    north.service.watch.look()
    south.collect()
    south.open(msg)
    north.collect()
    assert north.receipts(msg) == [(SOUTH, "delivered"), (SOUTH, "opened")]
    assert north.service.evidence(north.officer("auditor")) == []
    audit = world.audit()
    assert audit.clean, audit.findings
    assert audit.report.counts["views_compared"] >= 2


@pytest.mark.spec("LOG-121", "LOG-103")
def test_books_of_two_years_are_reconciled_three_ways(
    world: World, north: WorldNode, south: WorldNode, tmp_path: Path
) -> None:
    exchanged(north, south)
    to_new_year(world)
    exchanged(north, south, 2)
    ledgers = []
    for node in (north, south):
        _, _, files = node.service.export_ledger(node.officer("auditor"), WHY)
        held = dict(files)
        names = [path.removeprefix("proofs/").removesuffix(".json") for path in held if path.startswith("proofs/")]
        ledgers.append((held.get, names))
    folder = tmp_path / "log"
    export(str(world.home), folder)

    def read(path: str) -> bytes | None:
        return (folder / path).read_bytes() if (folder / path).is_file() else None

    found = reconcile_export(read, ledgers, fed=world.federation.fed, now=world.clock())
    assert [one for one in found.findings if one.severity == "error"] == []
    assert sum(len(taken.book.proofs) for taken in found.ledgers if taken.book) >= 8

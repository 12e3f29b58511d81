"""The log's shards as a node knows them: where each begins, and how the one before it ended (NODE-240 to NODE-243).

A checkpoint says how many entries its own tree has. Which numbers they have in the whole log, the first entry of the
shard tells, which the log signed as any other. So before anything of a new shard counts here, that entry is fetched and
proved, the checkpoint it names is fetched and compared, and what this node knows of the shard before must lead to it.
"""

from __future__ import annotations

from typing import Final, NoReturn

from agencies.node.errors import BrokerUnreachable, LogForked
from agencies.node.office import Office
from exchange.protocol.entry import ShardEntry, parse_entry
from exchange.protocol.log import (
    Checkpoint,
    parse_bundle,
    shard_prefix,
    tlog_proof,
    unverified_checkpoint,
    verify_checkpoint,
    verify_growth,
    verify_tree,
    year_of,
)
from exchange.protocol.merkle import HEIGHT, WIDTH, Tree, entries_path, leaf_hash, tile_path, verify_inclusion
from keys.encoding import b64u, digest, unb64u
from keys.errors import Refusal

MAX_BEHIND: Final = 200
"""Years a node can have been away."""


class Shards:
    """Fetches from one broker, and keeps what was verified."""

    def __init__(self, office: Office) -> None:
        self._office = office

    # -- what is known --

    def prefix(self, base: int) -> str:
        """Where the shard with this base is served, below the log."""
        log = self._office.trust.log
        return next((shard_prefix(log.origin, origin) for origin, begin in log.shards if begin == base), "")

    def base_at(self, size: int) -> int:
        """The base of the shard in which the log ended when it had this size."""
        return max((base for _, base in self._office.trust.log.shards if base < size), default=0)

    def closing(self, base: int) -> str | None:
        """The checkpoint that closed the shard with this base; none of the open one."""
        later = [begin for _, begin in self._office.trust.log.shards if begin > base]
        if not later:
            return None
        with self._office.store.reading() as books:
            row = books.get("shard", base=min(later))
        return str(row.closing) if row else None

    def closings(self) -> list[Checkpoint]:
        """Every closing checkpoint, in the order of the log."""
        log = self._office.trust.log
        notes = [self.closing(base) for base in (0, *(base for _, base in log.shards))]
        return [verify_checkpoint(note, log) for note in notes if note is not None]

    # -- what is new --

    def know(self, note: str) -> None:
        """Take up the shard that a checkpoint is of, and those before it, unless they are known."""
        shown = verify_tree(note, self._office.trust.log)
        if self._office.trust.begins(shown.origin) is None:
            self._take_up(shown, note, MAX_BEHIND)

    def _take_up(self, shown: Checkpoint, note: str, left: int) -> int:
        trust = self._office.trust
        entry, data, proof = self._first_entry(shown, note)
        closing = self._office.broker.log_file(f"closed/{entry.checkpoint}").decode("utf-8", "replace")
        if digest(closing.encode()) != entry.checkpoint:
            raise BrokerUnreachable("the log shows another checkpoint than the one that closed a shard")
        if unverified_checkpoint(closing) != (entry.origin, entry.size, _root(entry)):
            self._refused("a shard begins behind another checkpoint than the one it names", note, data, proof)
        ended = verify_tree(closing, trust.log)
        base = trust.begins(entry.origin)
        if base is None:
            if not left or year_of(trust.log.origin, entry.origin) is None:
                self._refused("a shard begins behind one that is none of this log", note, data, proof)
            base = self._take_up(ended, closing, left - 1)
        before, year = year_of(trust.log.origin, entry.origin), year_of(trust.log.origin, shown.origin)
        if entry.base != base + entry.size or entry.at.year != year or (before or 0) >= (year or 0):
            self._refused("a shard begins at another number, or in another year, than it should", note, data, proof)
        self._must_lead(base, ended, closing, data, proof)
        row = {"base": entry.base, "origin": shown.origin, "entry": data.decode(), "proof": proof, "closing": closing}
        trust.know_shard(row)
        return entry.base

    def _first_entry(self, shown: Checkpoint, note: str) -> tuple[ShardEntry, bytes, str]:
        """A shard's first entry, read and as bytes, with its proof under this checkpoint."""
        prefix = shard_prefix(self._office.trust.log.origin, shown.origin)
        tree = self.load(shown.size, prefix)
        path = prefix + entries_path(0, min(WIDTH, shown.size))
        bundle = self.fetch(path, prefix + entries_path(0))
        try:
            data = parse_bundle(bundle, width_of(bundle))[0]
            way = tree.inclusion(0)
            verify_inclusion(leaf_hash(data), 0, shown.size, way, shown.root)
        except (Refusal, IndexError, ValueError):
            raise BrokerUnreachable("the log's files do not lead to the root of a shard") from None
        proof = tlog_proof(0, way, note)
        try:
            entry = parse_entry(data)
        except Refusal:
            entry = None
        if not isinstance(entry, ShardEntry):
            self._refused("a shard does not begin with an entry of its kind", note, data, proof)
        return entry, data, proof

    def _must_lead(self, base: int, ended: Checkpoint, closing: str, data: bytes, proof: str) -> None:
        """What is known of a shard must lead to the checkpoint that closed it."""
        trust = self._office.trust
        with self._office.store.reading() as books:
            known = [row for row in books.rows("known") if base < row.size and self.base_at(row.size) == base]
        if not known:
            return
        newest = max(known, key=lambda row: row.size)
        if newest.size > base + ended.size:
            detail = {"newer": newest.text, "entry": b64u(data), "proof": proof}
            self._evidence("shard_reopened", "the log closed a shard with fewer entries than it had signed", **detail)
        tree = self.load(ended.size, self.prefix(base))
        hashes = tree.consistency(newest.size - base)
        try:
            verify_growth(newest.text, closing, hashes, trust.log)
        except Refusal as refusal:
            own = tree.root(newest.size - base)
            detail = {"older": newest.text, "newer": closing, "root": b64u(own), "proof": [b64u(one) for one in hashes]}
            self._evidence("log_forked", refusal.sentence, **detail)

    # -- what does not hold --

    def reopened(self, note: str, sentence: str) -> NoReturn:
        """Keep as evidence a checkpoint of a closed shard with more entries than it was closed with (LOG-126)."""
        base = self._office.trust.begins(unverified_checkpoint(note)[0])
        later = min(begin for _, begin in self._office.trust.log.shards if begin > (base or 0))
        with self._office.store.reading() as books:
            (row,) = books.rows("shard", base=later)
        self._evidence("shard_reopened", sentence, newer=note, entry=b64u(row.entry.encode()), proof=row.proof)

    def _refused(self, sentence: str, note: str, data: bytes, proof: str) -> NoReturn:
        self._evidence("shard_refused", sentence, newer=note, entry=b64u(data), proof=proof)

    def _evidence(self, kind: str, sentence: str, **detail: object) -> NoReturn:
        self._office.keep_evidence(kind, sentence=sentence, **detail)
        raise LogForked(f"{sentence}; what the log signed is kept as evidence")

    # -- the files of a shard --

    def load(self, size: int, prefix: str) -> Tree:
        """A shard's tree at a size, read from its tiles."""

        def read(level: int, n: int) -> bytes:
            width = min(WIDTH, (size >> (HEIGHT * level)) - n * WIDTH)
            return self.fetch(prefix + tile_path(level, n, width), prefix + tile_path(level, n))

        try:
            return Tree.load(size, read, cache=16)
        except ValueError as wrong:
            raise BrokerUnreachable(f"the log's tiles are not whole: {wrong}") from None

    def fetch(self, path: str, full: str) -> bytes:
        """A partial tile may be gone once the full one is there (C2SP tlog-tiles)."""
        try:
            return self._office.broker.log_file(path)
        except BrokerUnreachable:
            if path == full:
                raise
            return self._office.broker.log_file(full)


def _root(entry: ShardEntry) -> bytes:
    return unb64u(entry.root)


def width_of(data: bytes) -> int:
    """How many entries a bundle holds, for one that grew since it was asked for."""
    count = at = 0
    while at < len(data):
        at += 2 + int.from_bytes(data[at : at + 2], "big")
        count += 1
    return count

"""Watching the log: every checkpoint a node is shown must fit with all the others (NODE-34 to NODE-36).

A proof convinces only of one view of the log. This module holds each new checkpoint against the newest
one known: same size, same root; larger, and the log's own tiles must prove that it only added. Where
that fails the broker has shown two logs: both checkpoints and the proof are kept as evidence, and the
node takes nothing more from such a log until a person has looked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from agencies.node.errors import BrokerUnreachable, LogForked
from agencies.node.office import Office
from exchange.protocol.errors import LogInconsistent
from exchange.protocol.log import Checkpoint, parse_bundle, verify_checkpoint, verify_growth
from exchange.protocol.merkle import (
    HEIGHT,
    WIDTH,
    Tree,
    bundles,
    entries_path,
    leaf_hash,
    root,
    tile_path,
)
from keys.encoding import b64u

KEPT: Final = 64
"""Checkpoints remembered; an older one is shown consistent again from the tiles."""


class LogWatch:
    """Compares what the broker shows this node with what it showed before."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def newest(self) -> str | None:
        """The newest checkpoint known, as signed."""
        with self._office.store.reading() as books:
            row = books.newest_checkpoint()
        return row.text if row else None

    def see(self, notes: Iterable[str]) -> None:
        """Take in checkpoints, in any order; ``LogForked`` if one does not fit with what was seen before."""
        identity = self._office.trust.log
        with self._office.store.reading() as books:
            newest = books.newest_checkpoint()
            known = {row.size: row.text for row in books.rows("known")}
        fresh: dict[int, str] = {}
        for note in dict.fromkeys(notes):
            size = verify_checkpoint(note, identity).size
            beside = known.get(size) or fresh.get(size)
            if beside == note:
                continue
            if beside is not None:
                self._must_follow(beside, note, lambda _: ())
            elif size:
                fresh[size] = note
        if not fresh:
            return
        everything = {**fresh, **({newest.size: newest.text} if newest else {})}
        self._must_all_fit(everything)
        self._keep(fresh)

    def look(self) -> Checkpoint:
        """Fetch the log's latest checkpoint and take it in; ``LogForked`` also if the log has shrunk."""
        before = self.newest()  # asked first: what arrives meanwhile may well be newer than the answer
        note = self._office.broker.checkpoint()
        latest = verify_checkpoint(note, self._office.trust.log)
        if before is not None and latest.size < (was := verify_checkpoint(before, self._office.trust.log)).size:
            self._forked(f"the log had {was.size} entries and now shows {latest.size}", before, note, ())
        self.see([note])
        return latest

    def entries(self, checkpoint: Checkpoint) -> list[bytes]:
        """Every entry of the log under this checkpoint, verified against its root."""
        listed: list[bytes] = []
        for n, width in bundles(checkpoint.size):
            data = self._fetch(entries_path(n, width), entries_path(n))
            listed += parse_bundle(data, width) if width == WIDTH else parse_bundle(data, _width_of(data))[:width]
        if root([leaf_hash(entry) for entry in listed]) != checkpoint.root:
            self._office.keep_evidence("entries", size=checkpoint.size, root=b64u(checkpoint.root))
            raise LogForked("the entries the log serves are not those under its signed root")
        return listed

    def _must_all_fit(self, notes: dict[int, str]) -> None:
        top = max(notes)
        if len(notes) == 1:
            return  # the first checkpoint ever seen has nothing to fit with
        tree = self._tree(top)
        if tree.root() != verify_checkpoint(notes[top], self._office.trust.log).root:
            self._forked("the tiles the log serves do not lead to its signed root", notes[top], notes[top], ())
        for size in sorted(notes):
            if size != top:
                self._must_follow(notes[size], notes[top], tree.consistency)

    def _must_follow(self, older: str, newer: str, proof: Callable[[int], tuple[bytes, ...]]) -> None:
        identity = self._office.trust.log
        hashes = proof(verify_checkpoint(older, identity).size)
        try:
            verify_growth(older, newer, hashes, identity)
        except LogInconsistent as refusal:
            self._forked(refusal.sentence, older, newer, hashes)

    def _forked(self, sentence: str, older: str, newer: str, proof: tuple[bytes, ...]) -> None:
        detail: dict[str, Any] = {"sentence": sentence, "older": older, "newer": newer}
        self._office.keep_evidence("log_forked", **detail, proof=[b64u(item) for item in proof])
        raise LogForked(f"{sentence}; both checkpoints are kept as evidence")

    def _tree(self, size: int) -> Tree:
        def read(level: int, n: int) -> bytes:
            width = min(WIDTH, (size >> (HEIGHT * level)) - n * WIDTH)
            return self._fetch(tile_path(level, n, width), tile_path(level, n))

        try:
            return Tree.load(size, read)
        except ValueError as wrong:
            raise BrokerUnreachable(f"the log's tiles are not whole: {wrong}") from None

    def _fetch(self, path: str, full: str) -> bytes:
        """A partial tile may be gone once the full one is there (C2SP tlog-tiles)."""
        try:
            return self._office.broker.log_file(path)
        except BrokerUnreachable:
            if path == full:
                raise
            return self._office.broker.log_file(full)

    def _keep(self, notes: dict[int, str]) -> None:
        identity = self._office.trust.log
        rows = [{"size": s, "root": verify_checkpoint(t, identity).root, "text": t} for s, t in notes.items()]
        with self._office.store.writing() as books:
            books.put("known", rows)
            books.prune_checkpoints(KEPT)


def _width_of(data: bytes) -> int:
    """How many entries a bundle holds, for one that grew since it was asked for."""
    count = at = 0
    while at < len(data):
        at += 2 + int.from_bytes(data[at : at + 2], "big")
        count += 1
    return count

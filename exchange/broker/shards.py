"""Closed shards: what is still proved from them (LOG-120 to LOG-123).

A shard is a year of the log, with a tree, a name and a folder of its own. The open one is the clerk's; of a closed one
nothing changes any more, so its tree is taken up from the tiles when somebody first asks for a proof, and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from exchange.broker.store import BooksDamaged, ClosedRow
from exchange.protocol.log import tlog_proof
from exchange.protocol.merkle import Tree

TileOf = Callable[[int, int, int], bytes]
"""``read(level, number, base)`` returns a tile of the shard with that base."""


def _no_tiles(_level: int, _number: int, _base: int) -> bytes:
    return b""


class ClosedShards:
    """The closed shards of one log, in order."""

    __slots__ = ("_read", "_trees", "rows")

    def __init__(self, rows: Sequence[ClosedRow] = (), read: TileOf = _no_tiles) -> None:
        self.rows, self._read = tuple(rows), read
        self._trees: dict[int, Tree] = {}

    def and_then(self, row: ClosedRow, read: TileOf) -> ClosedShards:
        """These and the one that was closed after them."""
        more = ClosedShards((*self.rows, row), read)
        more._trees = dict(self._trees)
        return more

    def named(self, origin: str) -> ClosedRow | None:
        """The closed shard of that name."""
        return next((row for row in self.rows if row.origin == origin), None)

    def tree(self, row: ClosedRow) -> Tree:
        """Its tree, under the checkpoint that closed it."""
        tree = self._trees.get(row.base)
        if tree is None:
            try:
                tree = Tree.load(row.size - row.base, partial(_tile, self._read, row.base), cache=16)
            except ValueError as wrong:
                raise BooksDamaged(f"the tree of the shard `{row.origin}` cannot be rebuilt: {wrong}") from None
            self._trees[row.base] = tree
        return tree

    def proof(self, seq: int) -> str:
        """The tlog-proof of an entry in one of them, by its number in the whole log."""
        row = next(row for row in self.rows if seq < row.size)
        return tlog_proof(seq - row.base, self.tree(row).inclusion(seq - row.base), row.note)


def _tile(read: TileOf, base: int, level: int, number: int) -> bytes:
    return read(level, number, base)

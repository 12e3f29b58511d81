"""Tree arithmetic: roots, tiles and proofs, as RFC 6962 and C2SP tlog-tiles write them (LOG-1 to LOG-13).

Leaves and nodes are hashed apart (0x00 and 0x01 in front), so an entry can never pass for a node. The
tree is kept as *tiles* of up to 256 hashes, eight levels of the tree each; all but the rightmost tile
of a level never change again. ``Tree`` holds that right edge in memory, says which tiles an append
changed, and reads older tiles through a callable. This module stores nothing and knows no entry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from exchange.protocol.errors import InclusionInvalid, LogInconsistent, TilePathInvalid

HASH: Final = 32
HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
"""Hashes in a full tile."""
MAX_SIZE: Final = 2**53 - 1
ENTRIES: Final = -1
"""The "level" of an entry bundle, which is addressed like a tile."""
EMPTY_ROOT: Final = sha256(b"").digest()

TileReader = Callable[[int, int], bytes]
"""``read(level, n)`` returns a stored tile: concatenated hashes, as wide as stored, never narrower than needed."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry as a leaf: SHA-256(0x00 || entry) (RFC 6962 section 2.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into their parent: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


# --- the tree ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TileRow:
    """One tile to be stored: the whole of its hashes, replacing a narrower version of itself."""

    level: int
    index: int
    hashes: bytes

    @property
    def width(self) -> int:
        """How many hashes it has; 256 means it will never change again."""
        return len(self.hashes) // HASH


Rows = tuple[list[bytes], ...]
"""A tile with its inner nodes: row ``r`` holds the complete subtrees of height ``r``, 0 to 7."""


class Tree:
    """An append-only Merkle tree with its right edge in memory.

    Appending costs about two hashes a leaf; a proof for a recent leaf touches no storage. A tree is
    changed by ``append`` at once: if the transaction that stores the changed tiles fails, drop the tree
    and ``load`` it again.
    """

    def __init__(self, read: TileReader | None = None, *, cache: int = 256) -> None:
        self._read, self._capacity = read, cache
        self._size = 0
        self._edge: list[Rows] = []
        self._full: dict[tuple[int, int], Rows] = {}  # least recently used first
        self._ragged: dict[tuple[int, int], bytes] = {}  # subtrees cut off by the current size

    @classmethod
    def load(cls, size: int, read: TileReader, *, cache: int = 256) -> Tree:
        """Take up a stored tree at ``size``, reading one tile a level. Compare ``root()`` with the signed head.

        A tile that is missing or too narrow is a fault (``ValueError``): the store has lost something.
        """
        tree = cls(read, cache=cache)
        tree._size = size
        for level, index, width in edge_tiles(size):
            while len(tree._edge) <= level:
                tree._edge.append(_no_rows())
            if width:
                tree._edge[level] = _expand(_wide_enough(read(level, index), width, level, index), width)
        return tree

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._size

    def append(self, leaf_hashes: Iterable[bytes]) -> tuple[TileRow, ...]:
        """Add leaf hashes; returns every tile that is new or wider now, each once, whole, lowest level first."""
        filled: list[TileRow] = []
        before = self._size
        for leaf in leaf_hashes:
            self._push(leaf, filled)
        if self._size == before:
            return ()
        self._ragged.clear()
        first = [before >> (HEIGHT * level) for level in range(len(self._edge))]
        for level, index, width in edge_tiles(self._size):
            if width and self._size >> (HEIGHT * level) != first[level]:
                filled.append(TileRow(level, index, b"".join(self._edge[level][0])))
        return tuple(sorted(filled, key=lambda row: (row.level, row.index)))

    def _push(self, node: bytes, filled: list[TileRow]) -> None:
        count, level = self._size, 0
        self._size += 1
        while True:
            if level == len(self._edge):
                self._edge.append(_no_rows())
            rows = self._edge[level]
            for row in rows:
                row.append(node)
                if not count & 1:
                    return
                node = sha256(b"\x01" + row[-2] + node).digest()
                count >>= 1
            # The tile is full: its root is one hash of the tile above.
            filled.append(TileRow(level, count, b"".join(rows[0])))
            self._keep((level, count), rows)
            self._edge[level] = _no_rows()
            level += 1

    def root(self, size: int | None = None) -> bytes:
        """The Merkle tree hash at the current size, or at any smaller one."""
        size = self._checked(size)
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        """The audit path of a leaf (RFC 6962 section 2.1.1), leaf's sibling first."""
        size = self._checked(size)
        if not 0 <= index < size:
            raise ValueError(f"no leaf {index} in a tree of {size}")
        inner = (index ^ (size - 1)).bit_length()
        path = [self._node(h, (index >> h) ^ 1) for h in range(inner - 1)]
        if inner:  # the one sibling that the right edge may cut off
            h = inner - 1
            path.append(self._range(((index >> h) + 1) << h, size))
        rest, h = index >> inner, inner
        while rest:
            if rest & 1:
                path.append(self._node(h, rest - 1))
            rest >>= 1
            h += 1
        return tuple(path)

    def consistency(self, old: int, size: int | None = None) -> tuple[bytes, ...]:
        """Proof that the tree of ``size`` only adds to the tree of ``old`` (RFC 6962 section 2.1.2)."""
        size = self._checked(size)
        if not 0 <= old <= size:
            raise ValueError(f"no tree of {old} inside a tree of {size}")
        if old in (0, size):
            return ()
        proof: list[bytes] = []
        begin, end, whole = 0, size, True
        while old != end:
            middle = begin + _split(end - begin)
            if old <= middle:
                proof.append(self._range(middle, end))
                end = middle
            else:
                proof.append(self._range(begin, middle))
                begin, whole = middle, False
        if not whole:
            proof.append(self._range(begin, end))
        return tuple(reversed(proof))

    def _checked(self, size: int | None) -> int:
        if size is None:
            return self._size
        if not 0 <= size <= self._size:
            raise ValueError(f"this tree has {self._size} leaves, not {size}")
        return size

    def _range(self, begin: int, end: int) -> bytes:
        """Root of leaves ``begin`` to ``end``, where ``begin`` starts a subtree at least that large."""
        known = self._ragged.get((begin, end))
        if known is not None:
            return known
        length, at, peaks = end - begin, begin, []
        while length:
            h = length.bit_length() - 1
            peaks.append(self._node(h, at >> h))
            at += 1 << h
            length -= 1 << h
        root = peaks.pop()
        while peaks:
            root = node_hash(peaks.pop(), root)
        if len(self._ragged) < 4096:
            self._ragged[begin, end] = root
        return root

    def _node(self, height: int, index: int) -> bytes:
        """A complete subtree's hash: ``height`` above the leaves, ``index`` from the left."""
        level, row = divmod(height, HEIGHT)
        tile = index >> (HEIGHT - row)
        right_edge = tile == self._size >> HEIGHT * (level + 1)
        rows = self._edge[level] if right_edge else self._tile(level, tile)
        return rows[row][index & ((WIDTH >> row) - 1)]

    def _tile(self, level: int, index: int) -> Rows:
        rows = self._full.pop((level, index), None)
        if rows is None:
            if self._read is None:
                raise ValueError("this tree was given no reader for its older tiles")
            rows = _expand(_wide_enough(self._read(level, index), WIDTH, level, index), WIDTH)
        self._keep((level, index), rows)
        return rows

    def _keep(self, name: tuple[int, int], rows: Rows) -> None:
        self._full[name] = rows
        if len(self._full) > self._capacity:
            del self._full[next(iter(self._full))]


def _no_rows() -> Rows:
    return tuple([] for _ in range(HEIGHT))


def _expand(hashes: bytes, width: int) -> Rows:
    rows: list[list[bytes]] = [[hashes[i : i + HASH] for i in range(0, width * HASH, HASH)]]
    for _ in range(HEIGHT - 1):
        below = rows[-1]
        rows.append([node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])
    return tuple(rows)


def _wide_enough(hashes: bytes, width: int, level: int, index: int) -> bytes:
    if len(hashes) < width * HASH or len(hashes) % HASH or len(hashes) > WIDTH * HASH:
        raise ValueError(f"tile {level}/{index} has {len(hashes)} bytes where {width * HASH} are needed")
    return hashes


def _split(size: int) -> int:
    """The largest power of two smaller than ``size``."""
    return 1 << ((size - 1).bit_length() - 1)


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The Merkle tree hash over all these leaf hashes."""
    row = list(leaf_hashes)
    if not row:
        return EMPTY_ROOT
    while len(row) > 1:  # an odd last node moves up as it is, which is RFC 6962's split
        row = [node_hash(row[i], row[i + 1]) if i + 1 < len(row) else row[i] for i in range(0, len(row), 2)]
    return row[0]


# --- proofs ------------------------------------------------------------------------------------------


def inclusion_root(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root a proof leads to (RFC 9162 section 2.1.3.2); refuses a path of the wrong length."""
    if not 0 <= index < size <= MAX_SIZE:
        raise InclusionInvalid(f"entry {index} is not in a log of {size}")
    inner = (index ^ (size - 1)).bit_length()
    if len(path) != inner + (index >> inner).bit_count():
        raise InclusionInvalid("the inclusion proof has the wrong number of hashes")
    if not {HASH}.issuperset(map(len, path)):
        raise InclusionInvalid("a hash of the inclusion proof does not have 32 bytes")
    node = leaf
    for h, sibling in enumerate(path):
        pair = sibling + node if h >= inner or index >> h & 1 else node + sibling
        node = sha256(b"\x01" + pair).digest()  # node_hash, on the path of every item a node collects
    return node


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Return if the leaf is entry ``index`` of the tree with this root; raise ``InclusionInvalid`` otherwise."""
    if inclusion_root(leaf, index, size, path) != root:
        raise InclusionInvalid(f"the proof does not lead from the entry at {index} to the signed root")


def verify_consistency(old: int, old_root: bytes, size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return if the larger tree only adds to the smaller (RFC 9162 section 2.1.4.2); else raise ``LogInconsistent``."""
    if not 0 <= old <= size <= MAX_SIZE:
        raise LogInconsistent(f"a log of {size} cannot follow one of {old}")
    if any(len(item) != HASH for item in proof):
        raise LogInconsistent("a hash of the consistency proof does not have 32 bytes")
    if old in (0, size):
        if proof:
            raise LogInconsistent("the consistency proof has the wrong number of hashes")
        if old_root != (new_root if old else EMPTY_ROOT):
            raise LogInconsistent(f"two roots for one log of {old}")
        return
    shift = (old & -old).bit_length() - 1  # the complete subtrees at the end of the old tree need no proof
    path = [old_root, *proof] if old == 1 << shift else list(proof)
    inner = ((old - 1) ^ (size - 1)).bit_length() - shift
    index = (old - 1) >> shift
    if len(path) != 1 + inner + (index >> inner).bit_count():
        raise LogInconsistent("the consistency proof has the wrong number of hashes")
    was = now = path[0]
    for h, sibling in enumerate(path[1:]):
        if h >= inner or index >> h & 1:
            was, now = node_hash(sibling, was), node_hash(sibling, now)
        else:
            now = node_hash(now, sibling)
    if was != old_root or now != new_root:
        raise LogInconsistent(f"the log of {size} does not contain the log of {old}")


# --- tiles -------------------------------------------------------------------------------------------


def edge_tiles(size: int) -> Iterator[tuple[int, int, int]]:
    """The rightmost tile of each level, ``(level, n, width)``; width 0 where the level ends with a full tile."""
    level, count = 0, size
    while count:
        yield level, count >> HEIGHT, count & (WIDTH - 1)
        level, count = level + 1, count >> HEIGHT


def tiles(size: int) -> Iterator[tuple[int, int, int]]:
    """Every tile of a tree of ``size``, ``(level, n, width)``, lowest level first; none is empty."""
    for level, last, width in edge_tiles(size):
        yield from ((level, n, WIDTH) for n in range(last))
        if width:
            yield level, last, width


def bundles(size: int) -> Iterator[tuple[int, int]]:
    """Every entry bundle of a log of ``size``, ``(n, width)``."""
    return ((n, width) for level, n, width in tiles(size) if level == 0)


def tile_path(level: int, n: int, width: int = WIDTH) -> str:
    """Where a tile is served: ``tile/0/x001/x234/067``, a partial one with ``.p/<width>`` (tlog-tiles)."""
    parts = [f"{n % 1000:03}"]
    while n >= 1000:
        n //= 1000
        parts.append(f"x{n % 1000:03}")
    name = "entries" if level == ENTRIES else str(level)
    return f"tile/{name}/{'/'.join(reversed(parts))}" + ("" if width == WIDTH else f".p/{width}")


def entries_path(n: int, width: int = WIDTH) -> str:
    """Where an entry bundle is served: ``tile/entries/067.p/5``."""
    return tile_path(ENTRIES, n, width)


_TILE_PATH = re.compile(r"tile/(entries|\d{1,2})/((?:x\d{3}/){0,5}\d{3})(?:\.p/(\d{1,3}))?", re.ASCII)


def parse_tile_path(path: str) -> tuple[int, int, int]:
    """Read ``tile/<L>/<N>[.p/<W>]`` as ``(level, n, width)``; every other spelling is refused."""
    match = _TILE_PATH.fullmatch(path)
    if match:
        level = ENTRIES if match[1] == "entries" else int(match[1])
        n = int(match[2].replace("/", "").replace("x", ""))
        width = int(match[3]) if match[3] else WIDTH
        if level < 64 and 0 < width <= WIDTH and tile_path(level, n, width) == path:
            return level, n, width
    raise TilePathInvalid("not the path of a tile or of an entry bundle")

"""Auditing the tree: is every exported entry the one under the signed root? (LOG-51, LOG-52)

The signed root vouches for the tiles at the right edge, each tile for the full tiles below it, and the
lowest tiles for the entries. So what was changed afterwards is found where it is: an entry that no
longer hashes to its leaf is named by its index. If the entries alone lead to the signed root, they are
right and only tiles can be wrong.

Entries are not held: a log is read bundle by bundle, once to verify it and again by whoever asks what it says. What is
read again must be what was verified, so that nobody can show one log to be checked and another to be believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from exchange.audit.finding import Finding
from exchange.protocol.errors import AuditImpossible, BundleMalformed
from exchange.protocol.log import parse_bundle
from exchange.protocol.merkle import (
    HASH,
    HEIGHT,
    WIDTH,
    Tree,
    bundles,
    edge_tiles,
    entries_path,
    leaf_hash,
    root,
    tile_path,
    tiles,
)
from keys.encoding import b64u

Read = Callable[[str], bytes | None]
"""``read(path)`` returns a file of an export by its path inside it, or None."""
Name = tuple[int, int]
_MOST_MISSING: Final = 2**14
"""Files that may be missing: who signs a size that nobody has files for is not searched for them to the end."""


class Entries:
    """The entries of an export in order, None where they cannot be had; read anew whenever they are walked.

    ``first`` is the number of the first bundle: 0, or a later one where only what is new was asked for.
    """

    def __init__(self, read: Read, first: int = 0) -> None:
        self._read, self.first = read, first
        self._bundles: list[tuple[int, bytes | None]] = []  # the width of each, and the hash of its file if it is one

    def add(self, width: int, data: bytes | None) -> None:
        """Remember the next bundle as it was when it was verified; none if it is missing or broken."""
        self._bundles.append((width, None if data is None else hashlib.sha256(data).digest()))

    def __len__(self) -> int:
        return sum(width for width, _ in self._bundles)

    def __iter__(self) -> Iterator[bytes | None]:
        for n in range(len(self._bundles)):
            yield from self.bundle(self.first + n)

    def bundle(self, n: int) -> tuple[bytes | None, ...]:
        """The entries of one bundle. ``AuditImpossible`` if it is another now than it was."""
        width, known = self._bundles[n - self.first]
        if known is None:
            return (None,) * width
        path = entries_path(n, width)
        data = self._read(path)
        if data is None or hashlib.sha256(data).digest() != known:
            raise AuditImpossible(f"`{path}` was changed while it was being read")
        return parse_bundle(data, width)


@dataclass(slots=True)
class TreeAudit:
    """The entries as exported, which of them not to believe, and why."""

    entries: Entries
    doubtful: set[int] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)


def audit_tree(read: Read, size: int, signed_root: bytes | None) -> TreeAudit:
    """Hold every bundle against the tiles and every tile against the signed root.

    ``signed_root`` is None if no checkpoint could be believed; then only contradictions are found.
    """
    audit = TreeAudit(Entries(read))
    stored = _read_tiles(read, size, audit)
    rebuilt = _read_entries(read, size, audit)
    if rebuilt is not None and rebuilt[1] == signed_root:
        _compare_tiles(stored, rebuilt[0], audit)
        return audit
    edge_root = _edge_root(stored, size)
    if signed_root is not None and edge_root is not None and edge_root != signed_root:
        audit.findings.append(_root_differs(edge_root, rebuilt[1] if rebuilt else None, signed_root))
    _descend(stored, audit)
    return audit


def audit_growth(read: Read, old_size: int, old_root: bytes, size: int, signed_root: bytes) -> TreeAudit:
    """Verify only what was added to a log since a checkpoint that was verified before (LOG-54).

    Reads one tile a level and the bundles from ``old_size`` on; ``entries`` are those of these bundles, the first of
    which may begin before ``old_size``. A log that no longer contains the older one is one finding, `log_rewritten`;
    who wants to know where, verifies the whole.
    """
    if not 0 <= old_size <= size:
        raise ValueError(f"no log of {old_size} inside a log of {size}")
    audit = TreeAudit(Entries(read, old_size // WIDTH))
    edge = {}
    for level, n, width in edge_tiles(old_size):
        now = min(WIDTH, (size >> (HEIGHT * level)) - n * WIDTH)
        path = tile_path(level, n, now) if width else ""
        edge[level, n] = (read(path) or b"")[: width * HASH] if width else b""
        if len(edge[level, n]) != width * HASH:
            audit.findings.append(Finding("file_missing", f"the tile `{path}` is missing or cut", None, {"path": path}))
    if audit.findings:
        return audit
    tree = Tree.load(old_size, lambda level, n: edge[level, n])
    if tree.root() != old_root:
        audit.findings.append(_rewritten(old_size, tree.root(), old_root))
        return audit
    for n in range(old_size // WIDTH, (size + WIDTH - 1) // WIDTH):
        entries = _read_bundle(read, n, min(WIDTH, size - n * WIDTH), audit)
        if entries is None:
            return audit
        tree.append(map(leaf_hash, entries[max(0, old_size - n * WIDTH) :]))
    if tree.root() != signed_root:
        audit.findings.append(_rewritten(size, tree.root(), signed_root))
    return audit


def _rewritten(size: int, found: bytes, known: bytes) -> Finding:
    evidence = {"size": str(size), "known_root": b64u(known), "own_root": b64u(found)}
    return Finding("log_rewritten", f"the first {size} entries are not those under the signed root", None, evidence)


def _read_tiles(read: Read, size: int, audit: TreeAudit) -> dict[Name, bytes]:
    stored: dict[Name, bytes] = {}
    for level, n, width in tiles(size):
        path = tile_path(level, n, width)
        hashes = read(path)
        if hashes is None or len(hashes) != width * HASH:
            what = "is missing" if hashes is None else f"has {len(hashes)} bytes, not {width * HASH}"
            _missing(audit, f"the tile `{path}` {what}", {"path": path})
        else:
            stored[level, n] = hashes
    return stored


def _missing(audit: TreeAudit, sentence: str, evidence: dict[str, str]) -> None:
    audit.findings.append(Finding("file_missing", sentence, None, evidence))
    if len(audit.findings) > _MOST_MISSING:
        raise AuditImpossible(f"more than {_MOST_MISSING} files are missing or cut: this is not what the size says")


def _read_entries(read: Read, size: int, audit: TreeAudit) -> tuple[dict[Name, bytes], bytes] | None:
    """Take all bundles apart; returns the tiles and the root they lead to, or None if any is missing."""
    tree = Tree()
    rows: dict[Name, bytes] = {}
    whole = True
    for n, width in bundles(size):
        entries = _read_bundle(read, n, width, audit)
        whole = whole and entries is not None
        if whole and entries is not None:
            rows.update({(row.level, row.index): row.hashes for row in tree.append(map(leaf_hash, entries))})
    return (rows, tree.root()) if whole else None


def _read_bundle(read: Read, n: int, width: int, audit: TreeAudit) -> tuple[bytes, ...] | None:
    path = entries_path(n, width)
    data = read(path)
    where = {"path": path, "entries": f"{n * WIDTH} to {n * WIDTH + width - 1}"}
    try:
        entries = None if data is None else parse_bundle(data, width)
    except BundleMalformed as refusal:
        audit.findings.append(Finding("bundle_refused", f"`{path}`: {refusal.sentence}", None, where))
        entries = data = None
    else:
        if data is None:
            _missing(audit, f"the entry bundle `{path}` is missing", where)
    audit.entries.add(width, data)
    return entries


def _compare_tiles(stored: dict[Name, bytes], right: dict[Name, bytes], audit: TreeAudit) -> None:
    """The entries lead to the signed root, so a tile that says otherwise is the one that is wrong."""
    for (level, n), hashes in stored.items():
        if hashes != right[level, n]:
            audit.findings.append(_tile_altered(level, n, len(hashes) // HASH, _hashed(right[level, n]), hashes))


def _edge_root(stored: dict[Name, bytes], size: int) -> bytes | None:
    if any(width and (level, n) not in stored for level, n, width in edge_tiles(size)):
        return None
    return Tree.load(size, lambda level, n: stored[level, n]).root()


def _descend(stored: dict[Name, bytes], audit: TreeAudit) -> None:
    """Hold each full tile against the hash above it, and each entry against its leaf hash."""
    for (level, n), hashes in sorted(stored.items(), reverse=True):
        above = stored.get((level + 1, n // WIDTH))
        if len(hashes) == WIDTH * HASH and above is not None:
            expected = above[n % WIDTH * HASH : (n % WIDTH + 1) * HASH]
            if _hashed(hashes) != expected:
                audit.findings.append(_tile_altered(level, n, WIDTH, expected, hashes))
                if level == 0 and _hashed(_leaves(audit.entries.bundle(n))) == expected:
                    continue  # the entries are those that were signed; only their tile is not
        if level == 0:
            for (index, signed), entry in zip(_leaf_hashes(n, hashes), audit.entries.bundle(n), strict=True):
                if entry is not None and leaf_hash(entry) != signed:
                    audit.doubtful.add(index)
                    audit.findings.append(_entry_altered(index, signed, entry))


def _hashed(hashes: bytes) -> bytes:
    return root([hashes[i : i + HASH] for i in range(0, len(hashes), HASH)])


def _leaves(entries: tuple[bytes | None, ...]) -> bytes:
    return b"".join(leaf_hash(entry) for entry in entries if entry is not None)


def _leaf_hashes(n: int, hashes: bytes) -> Iterator[tuple[int, bytes]]:
    for place in range(len(hashes) // HASH):
        yield n * WIDTH + place, hashes[place * HASH : (place + 1) * HASH]


def _tile_altered(level: int, n: int, width: int, expected: bytes, hashes: bytes) -> Finding:
    path, span = tile_path(level, n, width), 1 << (HEIGHT * level)
    first, last = n * WIDTH * span, (n * WIDTH + width) * span - 1
    evidence = {
        "path": path,
        "entries": f"{first} to {last}",
        "signed_hash": b64u(expected),
        "own_hash": b64u(_hashed(hashes)),
    }
    return Finding("tile_altered", f"the tile `{path}` is not the one under the signed root", None, evidence)


def _entry_altered(index: int, signed: bytes, entry: bytes) -> Finding:
    sentence = f"entry {index} was changed after it was logged: it is not what the signed tree holds at that place"
    return Finding("entry_altered", sentence, index, {"signed_hash": b64u(signed), "own_hash": b64u(leaf_hash(entry))})


def _root_differs(tiles_root: bytes, entries_root: bytes | None, signed: bytes) -> Finding:
    evidence = {"signed_root": b64u(signed), "tiles_root": b64u(tiles_root)}
    if entries_root is not None:
        evidence["entries_root"] = b64u(entries_root)
    return Finding("root_differs", "neither the entries nor the tiles lead to the root that was signed", None, evidence)

"""Checking the books against themselves before anything is signed over them (LOG-18, LOG-19).

What is logged stands twice: as an entry under the signed root, and in the tables from which mailboxes are filled and
decisions are made. A signature, a derivation or an act that only one of them knows would make this broker decide what
no auditor can follow, so both must say the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from exchange.broker.store import BooksDamaged, ClosedRow, HeadRow, Reading, Store, unreadable
from exchange.protocol.entry import ActEntry, DisclosureEntry, NodeHeadEntry, ShardEntry, SignatureEntry, parse_entry
from exchange.protocol.log import shard_origin, verify_checkpoint
from exchange.protocol.merkle import HASH, HEIGHT, WIDTH, Tree, leaf_hash, root, tiles
from keys.encoding import digest
from keys.errors import Refusal
from keys.signing import parse_statement
from keys.trust import LogIdentity

_ADVICE = "nothing is signed over such books: restore the database from a backup, and tell the auditor"


def check_books(store: Store, log: LogIdentity, *, every_entry: bool = False) -> HeadRow:
    """Return the head if entries, tiles, head and checkpoint agree; ``BooksDamaged`` says what does not.

    Every tile is hashed again. Of the entries, the newest 256 to 511 are, or with ``every_entry`` all, and held
    against the tables about acts, derivations, signatures and heads: an old entry that was altered does not let this
    broker sign anything false, and an auditor finds it.
    """
    try:
        with store.reading() as view:
            head = view.head()
            wrong = next(_findings(view, head, log, every_entry), None)
    except Exception as fault:
        if not unreadable(fault):
            raise
        raise BooksDamaged(f"the database cannot be read ({type(fault).__name__}); {_ADVICE}") from None
    if wrong:
        raise BooksDamaged(f"{wrong}; {_ADVICE}")
    return head


def _findings(view: Reading, head: HeadRow, log: LogIdentity, every_entry: bool) -> Iterator[str]:
    closed = view.closed()
    wrong = _chained(view, head, closed, log)
    if wrong:
        yield wrong
        return
    log = replace(log, shards=_shards(head, closed))
    try:
        signed = verify_checkpoint(head.checkpoint, log)
    except Refusal as refusal:
        yield f"the stored checkpoint is not this log's: {refusal.sentence}"
        return
    if (signed.end, signed.root) != (head.size, head.root):
        yield f"the head says size {head.size}, its signed checkpoint says {signed.end}, or their roots differ"
    if view.length() != (head.size, head.size - 1):
        yield f"the head says {head.size} entries, and the entries are others"
    for row in closed:
        try:
            ended = verify_checkpoint(row.note, log)
        except Refusal as refusal:
            yield f"the checkpoint that closed `{row.origin}` is not this log's: {refusal.sentence}"
            return
        yield from _tiles(view, row.base, ended.size, ended.root)
        if every_entry:
            yield from _entries(view, row.base, 0, ended.size)
    yield from _tiles(view, head.base, head.length, head.root)
    first = 0 if every_entry else max(0, (head.length >> HEIGHT) - 1) << HEIGHT
    yield from _entries(view, head.base, first, head.length)
    yield from _told_twice(view, 0 if every_entry else head.base + first, head.size)


def _shards(head: HeadRow, closed: list[ClosedRow]) -> tuple[tuple[str, int], ...]:
    return (*((row.origin, row.base) for row in closed if row.base), *([(head.origin, head.base)] if head.base else []))


def _chained(view: Reading, head: HeadRow, closed: list[ClosedRow], log: LogIdentity) -> str:
    """What is wrong with how one shard follows another; nothing, if each begins where the one before was closed."""
    base, origin, row = 0, log.origin, None
    for row in closed:
        if (row.base, row.origin) != (base, origin) or row.size <= base:
            return f"the shard `{row.origin}` does not begin where the one before ended"
        base = row.size
        entry = _first(view, base)
        if entry is None or (entry.base, entry.origin, entry.size) != (base, row.origin, base - row.base):
            return f"entry {base} does not close `{row.origin}` as the books do"
        if entry.checkpoint != digest(row.note.encode()):
            return f"entry {base} closes `{row.origin}` under another checkpoint than the books have"
        origin = shard_origin(log.origin, entry.at.year)
    if head.base != base or (row is not None and head.origin != origin):
        return f"the open shard `{head.origin}` does not begin where the last one was closed"
    return ""


def _first(view: Reading, base: int) -> ShardEntry | None:
    try:
        (data,) = view.entries(base, base + 1)
        entry = parse_entry(data)
    except (Refusal, ValueError):
        return None
    return entry if isinstance(entry, ShardEntry) else None


def _entries(view: Reading, base: int, first: int, length: int) -> Iterator[str]:
    """Which entries of a shard, from a whole bundle on, are not those under its tiles."""
    for begin in range(first, length, WIDTH):
        hashes = view.tile(0, begin >> HEIGHT, base)
        for place, entry in enumerate(view.entries(base + begin, base + min(begin + WIDTH, length))):
            if leaf_hash(entry) != hashes[place * HASH : (place + 1) * HASH]:
                yield f"entry {base + begin + place} is not the one that was logged"


def _told_twice(view: Reading, first: int, size: int) -> Iterator[str]:
    """What entries from ``first`` on and the tables beside them do not say alike."""
    logged: set[Fact] = set()
    for begin in range(first, size, WIDTH):
        for seq, entry in enumerate(view.entries(begin, min(begin + WIDTH, size)), begin):
            logged.update(_facts(seq, entry))
    known: set[Fact] = {("act", row.seq, row.kind, row.by, row.msg, row.re, row.digest) for row in view.acts(first)}
    known |= {("source", row.seq, row.msg, row.src) for row in view.lineage(first)}
    known |= {("signature", row.seq, row.agr, row.by) for row in view.signed_from(first)}
    heads = view.heads(first)
    known |= {("head", row.seq, row.by, row.size, row.root, row.digest) for row in heads}
    for fact in sorted(logged ^ known, key=lambda one: (one[1], one in known)):
        yield f"entry {fact[1]} is about {_NAMED[fact[0]]} that " + (
            "the tables do not have" if fact in logged else "the log does not have"
        )
    for row in view.acts(first):
        if _name(row.jws) != row.digest:
            yield f"the act of entry {row.seq} is not the statement that was logged"
    for row in heads:
        if digest(row.note.encode()) != row.digest:
            yield f"the head of entry {row.seq} is not the note that was logged"
    for seq in view.kept_though_recalled():
        yield f"entry {seq} recalled a message that is still kept"


def _name(jws: str) -> str:
    try:
        return parse_statement(jws.encode()).digest
    except Refusal:
        return "nothing that can be read"


Fact = tuple[Any, ...]
"""What an entry says beside others: a word for its kind, its index, and the rest of it."""
_WORDS: Final = (b'"typ":"act"', b'"typ":"signature"', b'"typ":"node-head"', b'"src":[')
_NAMED: Final = {"act": "an act", "source": "a source", "signature": "a signature", "head": "the head of a ledger"}


def _facts(seq: int, data: bytes) -> Iterator[Fact]:
    """What must be in the tables as well, of one entry; most need not even be read."""
    if not any(word in data for word in _WORDS):
        return
    try:
        entry = parse_entry(data)
    except Refusal:
        return  # it is the one that was logged, and an auditor will say what is wrong with it
    if isinstance(entry, ActEntry):
        yield "act", seq, entry.act.value, entry.by, entry.msg, entry.re, entry.statement
    elif isinstance(entry, SignatureEntry):
        yield "signature", seq, entry.agr, entry.by
    elif isinstance(entry, NodeHeadEntry):
        yield "head", seq, entry.by, entry.size, entry.root, entry.head
    elif isinstance(entry, DisclosureEntry):
        yield from (("source", seq, entry.msg, src) for src in entry.src or ())


def _tiles(view: Reading, base: int, size: int, signed: bytes) -> Iterator[str]:
    for level, number, width in tiles(size):
        hashes = view.tile(level, number, base)
        if len(hashes) != width * HASH:
            yield f"tile {level}/{number} has {len(hashes)} bytes where the head needs {width * HASH}"
            return
        if width == WIDTH:
            place = number & (WIDTH - 1)
            parent = view.tile(level + 1, number >> HEIGHT, base)[place * HASH : (place + 1) * HASH]
            if root([hashes[i : i + HASH] for i in range(0, len(hashes), HASH)]) != parent:
                yield f"tile {level}/{number} is not the one that was logged"
    if Tree.load(size, lambda level, number: view.tile(level, number, base)).root() != signed:
        yield f"the tiles give another root than the head at size {base + size}"

"""Checking the books against themselves before anything is signed over them (LOG-18, LOG-19)."""

from __future__ import annotations

from collections.abc import Iterator

from exchange.broker.store import BooksDamaged, HeadRow, Reading, Store, unreadable
from exchange.protocol.log import verify_checkpoint
from exchange.protocol.merkle import HASH, HEIGHT, WIDTH, Tree, leaf_hash, root, tiles
from keys.errors import Refusal
from keys.trust import LogIdentity

_ADVICE = "nothing is signed over such books: restore the database from a backup, and tell the auditor"


def check_books(store: Store, log: LogIdentity, *, every_entry: bool = False) -> HeadRow:
    """Return the head if entries, tiles, head and checkpoint agree; ``BooksDamaged`` says what does not.

    Every tile is hashed again. Of the entries, the newest 256 to 511 are, or with ``every_entry`` all: an
    old entry that was altered does not let this broker sign anything false, and an auditor finds it.
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
    try:
        signed = verify_checkpoint(head.checkpoint, log)
    except Refusal as refusal:
        yield f"the stored checkpoint is not this log's: {refusal.sentence}"
        return
    if (signed.size, signed.root) != (head.size, head.root):
        yield f"the head says size {head.size}, its signed checkpoint says {signed.size}, or their roots differ"
    if view.length() != (head.size, head.size - 1):
        yield f"the head says {head.size} entries, and the entries are others"
    yield from _tiles(view, head)
    first = 0 if every_entry else max(0, (head.size >> HEIGHT) - 1) << HEIGHT
    for begin in range(first, head.size, WIDTH):
        hashes = view.tile(0, begin >> HEIGHT)
        for place, entry in enumerate(view.entries(begin, min(begin + WIDTH, head.size))):
            if leaf_hash(entry) != hashes[place * HASH : (place + 1) * HASH]:
                yield f"entry {begin + place} is not the one that was logged"


def _tiles(view: Reading, head: HeadRow) -> Iterator[str]:
    for level, number, width in tiles(head.size):
        hashes = view.tile(level, number)
        if len(hashes) != width * HASH:
            yield f"tile {level}/{number} has {len(hashes)} bytes where the head needs {width * HASH}"
            return
        if width == WIDTH:
            place = number & (WIDTH - 1)
            parent = view.tile(level + 1, number >> HEIGHT)[place * HASH : (place + 1) * HASH]
            if root([hashes[i : i + HASH] for i in range(0, len(hashes), HASH)]) != parent:
                yield f"tile {level}/{number} is not the one that was logged"
    if Tree.load(head.size, view.tile).root() != head.root:
        yield f"the tiles give another root than the head at size {head.size}"

"""Auditing the word between members: did all who gave receipts see this log? (RCT-8 to RCT-10)

Every exported batch of receipts may tell a checkpoint that its giver had seen. The log's own root at that size is
worked out from the tiles, and proved to be its own by the signed root; only where the two differ is it asked who signed
what was seen. So an export convicts a log that showed a member another one, if it shows that member's receipts at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from exchange.audit.finding import Finding
from exchange.audit.tree import Read
from exchange.protocol.errors import LogInconsistent
from exchange.protocol.log import Checkpoint
from exchange.protocol.merkle import HEIGHT, WIDTH, Tree, tile_path, verify_consistency
from exchange.protocol.receipt import ReceiptBatch
from exchange.protocol.seen import Seen, names_log_keys, signed_by_log
from keys.encoding import b64u
from keys.trust import Directory

RootAt = Callable[[int], bytes | None]
"""The log's own root at a size, none where that cannot be told."""


def roots(read: Read, checkpoint: Checkpoint) -> RootAt:
    """Roots at any size of an export's log, each proved by the signed root: a tile that was changed proves nothing."""
    trees: list[Tree] = []

    def root_at(size: int) -> bytes | None:
        try:
            if not trees:
                trees.append(Tree.load(checkpoint.size, tiles(read, checkpoint.size)))
            own, proof = trees[0].root(size), trees[0].consistency(size)
            verify_consistency(size, own, checkpoint.size, checkpoint.root, proof)
        except (ValueError, LogInconsistent):  # a tile that is missing, cut or changed, as was found before
            return None
        return own

    return root_at


def tiles(read: Read, size: int) -> Callable[[int, int], bytes]:
    """Reads the tiles of an export of this size for a ``Tree``."""

    def tile(level: int, n: int) -> bytes:
        width = min(WIDTH, (size >> (HEIGHT * level)) - n * WIDTH)
        return read(tile_path(level, n, width)) or b""

    return tile


Trees = Mapping[str, tuple[int, RootAt]]
"""The trees of a log by name: where each begins, and its roots (LOG-120)."""


def judge_seen(
    batches: Iterable[tuple[int, ReceiptBatch]], trees: Trees, directory: Directory
) -> Iterator[Finding | None]:
    """Hold what every batch tells against the log it stands in, each with the index of its first entry.

    Gives a finding, or none for one that agrees. What cannot be told gives nothing.
    """
    for index, batch in batches:
        seen = batch.seen
        if seen is None:
            continue
        base, root_at = trees.get(seen.origin, (0, None))
        end = base + seen.size
        own = root_at(seen.size) if root_at is not None and end <= index else b""
        if own is None:
            continue
        if own == seen.root:
            yield None
        elif signed_by_log(seen.note, directory) is None:
            yield _forged(index, batch, seen, directory)
        elif root_at is not None:
            yield _forked(index, batch, seen, own, end)


def forger(batch: ReceiptBatch, seen: Seen, directory: Directory) -> tuple[str, str]:
    """Who is answerable for a checkpoint that no log key signed which this directory has, and what that is.

    The giver alone, where the lines name the log's keys. Else whoever brought the directory may have left out the root
    under which they are: an older copy of it makes a forger of everybody who has a newer one.
    """
    if names_log_keys(seen.note, directory):
        return batch.by, f"`{batch.by}` says that it saw a checkpoint which the log did not sign"
    said = f"`{batch.by}` says that it saw a checkpoint which no key signed that this directory has of the log"
    return f"{batch.by} or broker", said


def _forged(index: int, batch: ReceiptBatch, seen: Seen, directory: Directory) -> Finding:
    who, sentence = forger(batch, seen, directory)
    return Finding("seen_forged", sentence, index, _told(batch, seen), who)


def _forked(index: int, batch: ReceiptBatch, seen: Seen, own: bytes, end: int) -> Finding:
    evidence = _told(batch, seen)
    if end > index:
        sentence = f"`{batch.by}` had seen a log of {end} before this entry could be in it: the log signed two"
    else:
        sentence = f"`{batch.by}` was shown another log of {seen.size} entries than this one: the log signed both"
        evidence["own_root"] = b64u(own)
    return Finding("log_forked", sentence, index, evidence, "broker")


def _told(batch: ReceiptBatch, seen: Seen) -> dict[str, str]:
    return {"batch": batch.digest, "by": batch.by, "size": str(seen.size), "seen_root": b64u(seen.root)}

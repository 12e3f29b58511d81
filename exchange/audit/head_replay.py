"""Replaying the heads of ledgers: is each its agency's, and does it follow the one before? (LOG-94 to LOG-97)

The part of ``replay`` about the ledgers that agencies keep themselves. What a head says is its agency's word, signed;
that the ledger behind it leads to that root is for whoever has the ledger to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.audit.finding import by_its_key
from exchange.protocol.entry import NodeHeadEntry
from exchange.protocol.errors import CheckpointInvalid
from exchange.protocol.ledger_head import read_head, verify_head
from keys.encoding import b64u, digest, stamp
from keys.errors import Refusal
from keys.trust import Directory

Found = Callable[[str, str, int, dict[str, str] | None], None]
"""Reports a finding: code, sentence, index, evidence."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a ledger as it was logged, against which nothing was found; ``signed`` is when, by its own word."""

    index: int
    entry: NodeHeadEntry
    signed: datetime

    def to_json(self) -> dict[str, Any]:
        """The members as ``ix audit verify --json`` writes them."""
        said = self.entry
        members: dict[str, Any] = {"index": self.index, "ts": said.ts, "by": said.by, "size": said.size}
        return {**members, "root": said.root, "head": said.head, "signed": stamp(self.signed)}


class HeadReplay:
    """The heads one after the other; ``heads`` has those that hold, in the order of the log."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._largest: dict[str, Head] = {}
        self.heads: list[Head] = []

    def judge(self, index: int, entry: NodeHeadEntry, note: bytes, trusted: Directory) -> None:
        """Verify the note as the broker had to, and hold it against its entry and against the largest one before."""
        try:
            head = Head(index, entry, _signed(entry, note, trusted))
        except Refusal as refusal:
            self._found("head_refused", refusal.sentence, index, {"head": entry.head} | by_its_key(refusal))
            return
        before = self._largest.get(entry.by)
        if before is None or before.entry.size < entry.size:
            self._largest[entry.by] = head
        elif before.entry.size > entry.size:
            sentence = f"the ledger of `{entry.by}` has {entry.size} acts here, and had {before.entry.size} before"
            self._found("head_shrank", sentence, index, _both(before, head))
            return
        elif before.entry.root != entry.root:
            sentence = f"`{entry.by}` signed two different ledgers of {entry.size} acts"
            self._found("head_forked", sentence, index, _both(before, head))
            return
        self.heads.append(head)


def _signed(entry: NodeHeadEntry, note: bytes, trusted: Directory) -> datetime:
    """When the head was signed, if it is the one that the entry names and says the same."""
    if digest(note) != entry.head:
        raise CheckpointInvalid("the exported head is not the one that the entry names")
    said = verify_head(read_head(note), entry.by, trusted, trusted.root.log.origin, entry.at)
    if (said.size, b64u(said.root)) != (entry.size, entry.root):
        raise CheckpointInvalid("the signed head does not say what the entry says")
    return said.at


def _both(before: Head, here: Head) -> dict[str, str]:
    """Two heads that one agency signed and that cannot both be of a ledger that only grows."""
    return {
        "first": str(before.index), "head_first": before.entry.head, "signed_first": stamp(before.signed),
        "head": here.entry.head, "signed": stamp(here.signed),
    }  # fmt: skip

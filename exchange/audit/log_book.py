"""The log as one of three books: what it says of whom, found by what it is about (LOG-101, LOG-103).

Made from entries that were verified before and can be believed, and from the signed statements that verify. Nothing
is judged here but places and roots: whether the log has at a place, or at a size, what somebody was shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from exchange.protocol.act import Act, Answer
from exchange.protocol.entry import (
    ActEntry,
    DenialEntry,
    DisclosureEntry,
    LogEntry,
    NodeHeadEntry,
    ReceiptEntry,
)
from exchange.protocol.log import Checkpoint
from exchange.protocol.merkle import MAX_SIZE
from exchange.protocol.receipt import ReceiptBatch

BROKER: Final = "broker"
"""How a finding names whoever keeps the log."""
Decided = DisclosureEntry | DenialEntry


@dataclass(slots=True)
class LogBook:
    """One log: its entries by what they are about. ``at`` is its checkpoint's time; None if nothing waits for it."""

    entries: Mapping[int, LogEntry]
    size: int = MAX_SIZE
    at: datetime | None = None
    batches: Mapping[str, ReceiptBatch] = field(default_factory=dict)
    """The signed batches that were exported and verify, by digest."""
    acts: Mapping[str, Act] = field(default_factory=dict)
    """The signed acts that were exported and verify, by digest."""
    told: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Whom each act was addressed to, by its digest (ACT-10)."""
    notes: Mapping[str, Checkpoint] = field(default_factory=dict)
    """The heads of ledgers that were exported and verify, by digest."""
    roots: Mapping[int, bytes] = field(default_factory=dict)
    """The root of the log at the sizes that somebody was shown."""
    lost: frozenset[int] = frozenset()
    """The places whose entries cannot be believed: nothing is said to be missing that may stand there."""
    stated: bool = True
    """Whether it came with the signed acts, without which nobody can tell an erasure from another answer."""
    decided: dict[str, tuple[int, Decided]] = field(init=False, default_factory=dict)
    receipts: dict[tuple[str, str], list[tuple[int, ReceiptEntry]]] = field(init=False)
    """By giver and message."""
    given: list[tuple[int, ActEntry]] = field(init=False, default_factory=list)
    heads: dict[str, list[tuple[int, NodeHeadEntry]]] = field(init=False)
    agencies: set[str] = field(init=False, default_factory=set)
    """Every agency that decided entries, receipts and acts name."""
    again: list[tuple[str, int, int, str]] = field(init=False, default_factory=list)
    """What the log has twice: the code, both places, and the message."""
    backwards: list[tuple[int, datetime, datetime]] = field(init=False, default_factory=list)
    unsaid: list[tuple[int, ReceiptEntry]] = field(init=False, default_factory=list)
    """Receipts that the batches they name do not have."""
    _below: dict[str, list[str]] = field(init=False)
    statements: dict[str, int] = field(init=False, default_factory=dict)
    """Where each act stands, by digest."""

    def __post_init__(self) -> None:
        self.receipts, self.heads, self._below = defaultdict(list), defaultdict(list), defaultdict(list)
        latest: datetime | None = None
        for index, entry in self.entries.items():
            at = entry.at
            if latest is not None and at < latest:
                self.backwards.append((index, at, latest))
            latest = max(at, latest or at)
            self._take(index, entry)

    def _take(self, index: int, entry: LogEntry) -> None:
        if isinstance(entry, DisclosureEntry | DenialEntry):
            self.agencies.update((entry.from_, *(to.id for to in entry.to)))
            first = self.decided.setdefault(entry.msg, (index, entry))[0]
            if first != index:
                self.again.append(("decided_twice", index, first, entry.msg))
            elif isinstance(entry, DisclosureEntry):
                for source in entry.src or ():
                    self._below[source].append(entry.msg)
        elif isinstance(entry, ReceiptEntry):
            self.agencies.add(entry.by)
            if entry.batch in self.batches and self.batch(entry) is None:
                self.unsaid.append((index, entry))  # such a receipt was not given
                return
            before = self.receipts[entry.by, entry.msg]
            same = next((place for place, one in before if one.status is entry.status), None)
            if same is not None:
                self.again.append(("receipt_repeated", index, same, entry.msg))
            else:
                before.append((index, entry))
        elif isinstance(entry, ActEntry):
            self.agencies.add(entry.by)
            same = self.statements.setdefault(entry.statement, index)
            if same != index:
                self.again.append(("act_refused", index, same, entry.msg))
            else:
                self.given.append((index, entry))
        elif isinstance(entry, NodeHeadEntry):
            self.heads[entry.by].append((index, entry))

    # -- what it has --

    def disclosure(self, msg: str | None) -> tuple[int, DisclosureEntry] | None:
        """Where a message was disclosed, if it was."""
        found = self.decided.get(msg or "")
        return found if found is not None and isinstance(found[1], DisclosureEntry) else None  # type: ignore[return-value]

    def denial(self, msg: str | None) -> tuple[int, DenialEntry] | None:
        """Where a message was denied, if it was."""
        found = self.decided.get(msg or "")
        return found if found is not None and isinstance(found[1], DenialEntry) else None  # type: ignore[return-value]

    def tree(self, msg: str) -> set[str]:
        """A message and everything that was derived from it."""
        found, waiting = {msg}, [msg]
        while waiting:
            for name in self._below.get(waiting.pop(), ()):
                if name not in found:
                    found.add(name)
                    waiting.append(name)
        return found

    def batch(self, entry: ReceiptEntry) -> ReceiptBatch | None:
        """The signed batch that says what a receipt entry says; none if it was not exported or says otherwise."""
        batch = self.batches.get(entry.batch)
        said = batch is not None and batch.by == entry.by and batch.says(entry.msg, entry.status, entry.code)
        return batch if said else None

    def erasures(self, agency: str) -> Iterable[tuple[int, ActEntry, bool]]:
        """Where this agency said that it erased a message; true if it said so of all that came from it, too."""
        for index, entry in self.given:
            if entry.by != agency:
                continue
            act = self.acts.get(entry.statement)
            answered = act is not None and isinstance(act.terms, Answer) and str(act.terms.outcome) == "erased"
            if str(entry.act) == "erased" or answered:
                yield index, entry, answered


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a book may lack what another has (LOG-101)."""

    grace: timedelta = timedelta(hours=72)
    tolerance: timedelta = timedelta(minutes=5)

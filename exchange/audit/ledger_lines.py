"""A ledger as one of three books: its acts and held proofs, found by what they are about (LOG-103).

Values only. ``ledger_book`` reads and verifies them from an export; a node makes them of its own rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from exchange.protocol.entry import LogEntry
from exchange.protocol.manifest import Manifest
from exchange.protocol.vocabulary import Act, ActKind

GIVEN: Final[Mapping[ActKind, Act]] = {
    ActKind.ASK: Act.CONSENT,
    ActKind.CONSENT: Act.CONSENT,
    ActKind.DECLINE: Act.CONSENT,
    ActKind.WITHDRAW: Act.CONSENT,
    ActKind.ACKNOWLEDGE: Act.CONSULT,
    ActKind.RESTRICT: Act.RECALL,
    ActKind.RECTIFY: Act.RECALL,
    ActKind.RECALL: Act.RECALL,
    ActKind.ANSWER: Act.RECALL_ACK,
    ActKind.KEEP: Act.REVIEW,
    ActKind.ERASED: Act.ERASE,
}
"""Which act a ledger has of an act that its agency gave."""
HEARD: Final[Mapping[ActKind, Act]] = {
    **dict.fromkeys(ActKind, Act.CONSENT),
    ActKind.RESTRICT: Act.RECALL,
    ActKind.RECTIFY: Act.RECALL,
    ActKind.RECALL: Act.RECALL,
    ActKind.ANSWER: Act.RECALL_ACK,
}
"""Which act a ledger has of an act that its agency was told."""
_ALWAYS: Final = frozenset({Act.CONSENT, Act.RECALL, Act.RECALL_ACK})
_NAMED: Final = {
    Act.CONSULT: str(ActKind.ACKNOWLEDGE),
    Act.REVIEW: str(ActKind.KEEP),
    Act.ERASE: str(ActKind.ERASED),
}
USED: Final = frozenset({Act.OPEN, Act.EXPORT, Act.KEY_RELEASE})
"""Acts for which the content of a received message must still be there."""


@dataclass(frozen=True, slots=True)
class Line:
    """One act of a ledger; what it does not say, or nobody wrote down, is None and differs from nothing."""

    act: Act
    msg: str | None = None
    index: int | None = None
    n: int = 0
    ts: datetime | None = None
    agr: str | None = None
    sender: str | None = None
    to: tuple[str, ...] = ()
    clauses: tuple[str, ...] | None = None
    purpose: str | None = None
    cats: frozenset[str] | None = None
    """The categories, those of persons among them."""
    outcome: str | None = None
    by: str | None = None
    reasoned: bool = True
    """Whether it has a code and a reason."""

    @property
    def answers(self) -> bool:
        """Whether it is about a signed act that the log has or should have."""
        return self.index is not None and (self.act in _ALWAYS or _NAMED.get(self.act, "") == self.outcome)


@dataclass(frozen=True, slots=True)
class HeldProof:
    """An entry that an agency was shown, and the tree under which it was proved; both verified."""

    name: str
    index: int
    entry: LogEntry
    size: int
    root: bytes
    manifest: Manifest | None = None
    """The signed manifest that it is about, verified."""


@dataclass(slots=True)
class LedgerBook:
    """One agency's ledger. ``at`` is its head's time; None if nothing waits for it."""

    agency: str
    lines: tuple[Line, ...]
    at: datetime | None = None
    proofs: tuple[HeldProof, ...] = ()
    size: int = 0
    root: bytes = b""
    roots: Mapping[int, bytes] = field(default_factory=dict)
    """The root of the ledger at the sizes for which the log has a head of it."""
    since: datetime | None = None
    """When it began, behind a ledger of the version before that nobody hands in (NODE-195)."""
    shows: bool = True
    """Whether it was handed in with its proofs, so that what it cannot show counts."""
    unjudged: frozenset[str] = frozenset()
    """What it shows proofs of that only keys bear out which the log has no more."""
    sent: dict[str, Line] = field(init=False, default_factory=dict)
    denied: dict[str, Line] = field(init=False, default_factory=dict)
    received: dict[str, list[Line]] = field(init=False)
    local: dict[str, list[Line]] = field(init=False)
    """What it did with messages that it holds."""
    answering: dict[int, Line] = field(init=False, default_factory=dict)
    doubled: list[tuple[Line, Line]] = field(init=False, default_factory=list)
    _outcomes: dict[tuple[str, str | None], Line] = field(init=False, default_factory=dict)
    _gone: dict[str, Line] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.received, self.local = defaultdict(list), defaultdict(list)
        for line in self.lines:
            self._take(line)

    def _take(self, line: Line) -> None:
        before: Line | None = None
        msg = line.msg
        if line.answers and line.index is not None:
            before = self.answering.setdefault(line.index, line)
        elif msg is None:
            return
        elif line.act is Act.DISCLOSE:
            before = self.sent.setdefault(msg, line)
        elif line.act is Act.ATTEMPT_DENIED and line.index is not None:
            before = self.denied.setdefault(msg, line)
        elif line.act is Act.RECEIVE:
            before = self._outcomes.setdefault((msg, line.outcome), line)
            if before is line:
                self.received[msg].append(line)
        elif line.act in USED or line.act is Act.ERASE:
            before = self._gone.setdefault(msg, line) if line.act is Act.ERASE else line
            self.local[msg].append(line)
        if before is not None and before is not line:
            self.doubled.append((before, line))

    def erased(self, msg: str) -> Line | None:
        """The act by which it took a message's content away."""
        return self._gone.get(msg)

    def taken(self, msg: str) -> Line | None:
        """The act by which it took a message in."""
        lines = self.received.get(msg, ())
        return next((one for one in lines if one.outcome in (None, "delivered")), None)

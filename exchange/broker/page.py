"""What one group is going to write, and what is known while it does (ADM-9 to ADM-14).

A ``Page`` collects entries and rows in memory; nothing of it exists before the clerk has committed it, and
a job that fails half way is taken off it again. ``Books`` is what a process knows of the books between
two commits: the head, the tree under it, and what decisions depend on.
"""

from __future__ import annotations

from binascii import b2a_base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from exchange.broker.shards import ClosedShards
from exchange.broker.store import BookTable, Earlier, HeadRow, Row, Writing
from exchange.broker.tables import ENTRY, MAIL
from exchange.protocol.errors import Overloaded
from exchange.protocol.log import PROOF_HEADER, tlog_proof
from exchange.protocol.merkle import Tree
from exchange.protocol.policy import PolicyBook
from keys.trust import Directory

ACT: Final = "act"
"""What a page counts besides outcomes of messages: acts, by kind."""
EXEMPT: Final = "exempt"
"""And exemptions from a clause's copy that were used, by code."""
_TICK: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_millis(at: datetime) -> int:
    """An instant as the tables keep it."""
    return (at - _EPOCH) // _TICK


def from_millis(millis: int) -> datetime:
    """A log time as the tables keep it."""
    return _EPOCH + millis * _TICK


def whole_millis(at: datetime) -> datetime:
    """An instant without what the log does not write."""
    return from_millis(to_millis(at))


@dataclass(frozen=True, slots=True)
class State:
    """What decisions depend on, as of one version of the books."""

    directory: Directory
    book: PolicyBook
    version: int


class Page:
    """What one group is going to write, and what it may look at. Nothing of it exists before the commit."""

    __slots__ = (
        "_decided", "_settled", "changed", "earlier", "entries", "found", "now", "outcomes", "recipients", "rows",
        "size", "state", "view",
    )  # fmt: skip

    def __init__(
        self, view: Writing, head: HeadRow, state: State, now: datetime, decided: datetime, earlier: dict[str, Earlier]
    ) -> None:
        self.view, self.state, self.now, self.earlier = view, state, now, earlier
        self.size = head.size
        self.entries: list[bytes] = []
        self.rows: dict[BookTable, list[Row]] = {}
        self.recipients: set[str] = set()
        self.outcomes: dict[tuple[str, str], int] = {}
        self.found: dict[Any, Any] = {}
        """What jobs of this very group wrote, for jobs after them that ask for the same."""
        self.changed = False
        self._decided = decided
        self._settled = 0

    def append(self, entry: bytes) -> int:
        """Add a log entry; returns its index."""
        seq = self.size + len(self.entries)
        self.entries.append(entry)
        return seq

    def entry(self, seq: int) -> bytes:
        """A log entry, committed before or only on this page so far."""
        if seq >= self.size:
            return self.entries[seq - self.size]
        (entry,) = self.view.entries(seq, seq + 1)
        return entry

    def add(self, table: BookTable, *row: Any) -> None:
        """Add a row to a table: every column, in the table's order."""
        rows = self.rows.get(table)
        if rows is None:
            rows = self.rows[table] = []
        rows.append(row)

    def deliver(self, recipient: str, seq: int, kind: str, wrap: bytes | None = None) -> None:
        """Put an entry, and what belongs to it, into somebody's mailbox."""
        self.add(MAIL, recipient, seq, kind, wrap)
        self.recipients.add(recipient)

    def count(self, outcome: str, code: str) -> None:
        """Count a message by what was decided; an act or an exemption under its own name."""
        self.outcomes[outcome, code] = self.outcomes.get((outcome, code), 0) + 1

    def deciding(self) -> datetime:
        """The log time of a decision."""
        self._decided = self.now
        return self.now

    def changing(self) -> datetime:
        """The log time of an entry that changes what is decided: later than any decision before it.

        Whoever replays the log takes the rules by time. So a change may share its millisecond with the
        decisions after it, but never with one before it.
        """
        if self._decided >= self.now:
            later = self._decided + _TICK
            if later.year != self.now.year:  # it would be dated in a year whose shard is not open yet
                raise Overloaded("the year is turning: try again shortly")
            self.now = later
        return self.now

    def change(self, *, directory: Directory | None = None, book: PolicyBook | None = None) -> None:
        """Replace what decisions depend on, for the jobs after this one and for everybody after the commit."""
        old = self.state
        version = old.version if self.changed else old.version + 1
        self.state = State(directory or old.directory, book or old.book, version)
        self.changed = True

    def settle(self) -> None:
        """Write what stands on the page so far into the open transaction, where a job that looks back finds it.

        Nobody else sees it before the commit. What is settled is not taken off again, so this comes before ``mark``.
        """
        self.rows[ENTRY] = list(enumerate(self.entries[self._settled :], self.size + self._settled))
        self.view.add(self.rows)
        self.rows = {}
        self._settled = len(self.entries)

    def mark(self) -> tuple[Any, ...]:
        """Where to go back to if a job fails half way."""
        lengths = {table: len(rows) for table, rows in self.rows.items()}
        return len(self.entries), lengths, self.state, self.now, self._decided, self.changed

    def back_to(self, mark: tuple[Any, ...]) -> None:
        """Forget everything since ``mark``."""
        count, lengths, self.state, self.now, self._decided, self.changed = mark
        del self.entries[count:]
        for table, rows in self.rows.items():
            del rows[lengths.get(table, 0) :]

    @property
    def decided(self) -> datetime:
        """The log time of the newest decision, as far as this process knows."""
        return self._decided


class Books:
    """The books as one process knows them: the head, the tree over it, and what decisions depend on."""

    __slots__ = ("_note", "closed", "decided", "head", "state", "tree")

    def __init__(
        self, head: HeadRow, tree: Tree, state: State, decided: datetime, closed: ClosedShards | None = None
    ) -> None:
        self.head, self.tree, self.state, self.decided = head, tree, state, decided
        self.closed = closed or ClosedShards()
        self._note = head.checkpoint.encode().replace(b"\n", b"\\n") + b'"'

    def proof(self, seq: int) -> str:
        """The tlog-proof of an entry under the newest checkpoint of its shard known here; it has the local index."""
        head = self.head
        if seq < head.base:
            return self.closed.proof(seq)
        return tlog_proof(seq - head.base, self.tree.inclusion(seq - head.base, head.length), head.checkpoint)

    def proof_json(self, seq: int) -> bytes:
        """The same as a JSON string; the checkpoint, most of it, is escaped once for all proofs under it.

        A proof holds base64, digits, line ends and the log's origin, in which JSON escapes nothing but the
        line ends (``sign_checkpoint`` and settings see to the origin).
        """
        head = self.head
        if seq < head.base:
            return b'"%s"' % self.closed.proof(seq).encode().replace(b"\n", b"\\n")
        index = seq - head.base
        path = b"".join([b2a_base64(item) for item in self.tree.inclusion(index, head.length)])
        return b'"%s\\nindex %d\\n%s\\n%s' % (_HEADER, index, path.replace(b"\n", b"\\n"), self._note)


_HEADER: Final = PROOF_HEADER.encode()

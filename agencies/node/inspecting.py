"""Inspecting: the ledger verified, handed out, and held against the log (`spec/nodes.md`, NODE-52, NODE-54, NODE-193).

What others get of a ledger, and what is held against the log, stands under a head that was signed and sent first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeGuard

from agencies.node.errors import BrokerUnreachable, LogForked
from agencies.node.heads import Heads
from agencies.node.ledger import LedgerAct, Why
from agencies.node.ledger_log import LedgerLog
from agencies.node.office import Office
from agencies.node.profile import Officer, OfficerRole
from agencies.node.watch import LogWatch
from exchange.audit.finding import Finding
from exchange.audit.reconciliation import LedgerRow, reconcile
from exchange.protocol.entry import LogEntry, NodeHeadEntry, parse_entry
from exchange.protocol.merkle import Tree
from exchange.protocol.vocabulary import Act, LogPurpose
from keys.encoding import b64u, read_json, unb64u

_LIMIT: Final = 64 * 1024
_LEDGERS: Final = ("ledger_closed", "ledger")


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Ledger and log held against each other: up to which size of the log, how many acts, what was found."""

    size: int
    acts: int
    findings: tuple[Finding, ...]


class Handed(NamedTuple):
    """A ledger as it is handed out: size and root of its head, and the files by their paths."""

    size: int
    root: bytes
    files: Iterator[tuple[str, bytes]]


class Inspection:
    """Inspects the ledger of one office."""

    def __init__(self, office: Office, watch: LogWatch, log: LedgerLog, heads: Heads) -> None:
        self._office, self._watch, self._log, self._heads = office, watch, log, heads

    def verify(self) -> tuple[int, str]:
        """Return size and root of the ledger if all of it holds; ``LedgerBroken`` otherwise."""
        with self._office.store.reading() as books:
            tree = self._log.verify(books)
        return tree.size, b64u(tree.root())

    def export(self, officer: Officer, why: Why, purpose: LogPurpose) -> Handed:
        """The ledger as a log in files, for whoever is to check it; an act says so first (NODE-193)."""
        officer.must_be(OfficerRole.AUDITOR)
        self.verify()
        self._office.record_alone(LedgerAct(Act.LOG_QUERY, officer.id, why, purpose, outcome="ledger exported"))
        head = self._heads.sign()
        self._put_heads()
        return Handed(head.size, head.root, self._files(head.size, head.note))

    def reconcile(self) -> Reconciliation:
        """Hold the ledger against the log, after verifying both; messages still on their way are no finding."""
        office = self._office
        self.verify()
        self._heads.sign()
        self._put_heads()
        checkpoint = self._watch.look()
        entries = [(index, parse_entry(data)) for index, data in enumerate(self._watch.entries(checkpoint))]
        heads = [(index, one) for index, one in entries if _is_head(one, office.me)]
        with office.store.reading() as books:  # after the log was read: what it had is settled, or still pending here
            mine = {row.digest for row in books.after("heads")}
            signed = [(index, one.size, unb64u(one.root)) for index, one in heads if one.head in mine]
            tree = self._log.verify(books, signed)
            told = [read_json(row.body, limit=_LIMIT) for name in _LEDGERS for row in books.after(name)]
            pending = {row.msg for row in books.rows("outbox", state="pending")}
            pending |= {row.digest for row in books.rows("acts", state="pending")}
        acts = [one for act in told if (one := _row_of(act, checkpoint.end))]
        found = [*_strange(office.me, [pair for pair in heads if pair[1].head not in mine], tree)]
        found += reconcile(office.me, acts, entries)
        settled = [f for f in found if not _waits(f, pending)]
        return Reconciliation(checkpoint.end, len(acts), tuple(settled))

    def audited(self, officer: Officer) -> Reconciliation:
        """``reconcile`` for an auditor, noted in the ledger."""
        officer.must_be(OfficerRole.AUDITOR)
        result = self.reconcile()
        outcome = f"reconciled {result.acts} acts to {result.size} entries: {len(result.findings)} findings"
        self._office.record_alone(
            LedgerAct(Act.LOG_QUERY, officer.id, purpose=LogPurpose.SELF_MONITORING, outcome=outcome)
        )
        return result

    def _files(self, size: int, note: str) -> Iterator[tuple[str, bytes]]:
        with self._office.store.reading() as books:
            yield from self._log.export(books, size, note)

    def _put_heads(self) -> None:
        """Put the ledger's heads into the log now rather than at the next round; who does not answer is asked then."""
        with suppress(BrokerUnreachable, LogForked):
            self._heads.send()


def _is_head(entry: LogEntry, agency: str) -> TypeGuard[NodeHeadEntry]:
    return isinstance(entry, NodeHeadEntry) and entry.by == agency


def _strange(me: str, heads: Sequence[tuple[int, NodeHeadEntry]], tree: Tree) -> Iterator[Finding]:
    """Heads in the log that were not signed here, as far as is known here, and that are not of this ledger.

    Either these books were put back, or the log made them up: whoever has the note that the entry names can tell.
    """
    for index, one in heads:
        if one.size > tree.size or tree.root(one.size) != unb64u(one.root):
            sentence = f"the log has a head of `{me}` that is not of this ledger, and that was not signed here"
            told = {"head": one.head, "size": str(one.size), "acts": str(tree.size), "signed_root": one.root}
            yield Finding("ledger_rewritten", sentence, index, told, f"{me} or broker")


def _waits(finding: Finding, pending: set[str]) -> bool:
    return finding.code == "not_in_ledger" and finding.evidence.get("statement", finding.evidence["msg"]) in pending


def _row_of(act: Mapping[str, Any], size: int) -> LedgerRow | None:
    """A ledger act as reconciliation wants it; none for acts that concern no message, or a newer log."""
    if act["msg"] is None or (act["index"] is not None and act["index"] >= size):
        return None
    parties = (act["from"], *act["to"]) if act["from"] else ()
    return LedgerRow(Act(act["act"]), act["msg"], act["index"], act["agr"], parties, act["outcome"])

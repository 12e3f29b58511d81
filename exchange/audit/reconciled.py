"""An exported log reconciled with ledgers that were handed in: verified, compared, and said (LOG-105 to LOG-108).

What an audit of the log alone says stands in the same list, under the codes that the three books share and with who is
answerable, so that one document has everything against everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from exchange.audit.export import CHECKPOINT, Examined, examine_export
from exchange.audit.finding import Finding
from exchange.audit.gossip import RootAt
from exchange.audit.ledger_book import Believed, Taken, read_ledger
from exchange.audit.ledger_lines import LedgerBook
from exchange.audit.log_book import BROKER, LogBook, Patience
from exchange.audit.report import AuditReport
from exchange.audit.shards import base_in, roots_by_end
from exchange.audit.three_way import compare
from exchange.audit.tree import Read
from exchange.protocol.act import AFTER, Act
from exchange.protocol.entry import LogEntry, RecordEntry, parse_entry
from exchange.protocol.errors import AuditImpossible
from exchange.protocol.ledger_head import HEAD_SKEW
from exchange.protocol.log import Checkpoint
from keys.encoding import b64u, instant, stamp, unb64u
from keys.errors import Refusal
from keys.trust import Directory

CANNOT: Final = (
    "what was passed on outside the exchange, or between a sender and a recipient who both keep it out of their books",
    "a look, a search, a copy or an untrue reason inside one node that was never written down, or was made up",
    "which case, which officer and which reason an act had: only its node can read them",
    "what a ledger left out before its first head was logged, and of which nobody else's book speaks",
    "that a copy is really gone",
)
"""What no comparison of books can show (LOG-108)."""
RENAMED: Final[Mapping[str, str]] = {
    "clock_backwards": "clock_out_of_order",
    "not_permitted": "clause_differs",
    "signature_missing": "agreement_unsigned",
    "signature_unfounded": "agreement_unsigned",
    "agreement_refused": "agreement_unsigned",
    "receipt_unfounded": "receipt_without_message",
    "erasure_contradicted": "erasure_not_done",
}
"""Codes of the log's own audit, as the three books have them (LOG-105)."""
_KEYS: Final = ("key_not_valid", "key_unknown")
_BY_HOLDER: Final = ("recall_unanswered", "act_unanswered", "erasure_overdue", "not_acknowledged")


@dataclass(frozen=True, slots=True)
class Reconciled:
    """All that one reconciliation says; ``clean`` is the verdict, and notes do not spoil it."""

    report: AuditReport
    ledgers: tuple[Taken, ...]
    findings: tuple[Finding, ...]
    patience: Patience
    heads: Mapping[str, int] = field(default_factory=dict)
    on_its_way: Mapping[str, int] = field(default_factory=dict)
    not_handed_in: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not any(one.severity == "error" for one in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The members as ``ix audit reconcile --json`` writes them."""
        said = self.report.to_json()
        return {
            "clean": self.clean,
            "federation": said["federation"],
            "log": said["log"],
            "ledgers": [self._ledger(one) for one in self.ledgers],
            "not_handed_in": list(self.not_handed_in),
            "grace_hours": self.patience.grace.total_seconds() / 3600,
            "tolerance_seconds": self.patience.tolerance.total_seconds(),
            "on_its_way": dict(self.on_its_way),
            "findings": [one.to_json() for one in self.findings],
            "cannot_show": list(CANNOT),
        }

    def _ledger(self, taken: Taken) -> dict[str, Any]:
        book = taken.book
        return {
            "agency": taken.agency,
            "acts": len(book.lines) if book else None,
            "root": b64u(book.root) if book else None,
            "signed": stamp(book.at) if book and book.at else None,
            "heads": self.heads.get(taken.agency, 0),
            "proofs": len(book.proofs) if book else 0,
        }


def reconcile_export(
    read: Read,
    ledgers: Iterable[tuple[Read, Iterable[str]]],
    *,
    fed: str,
    now: datetime,
    patience: Patience | None = None,
) -> Reconciled:
    """Verify an export and ledgers, each a reader and the names of its held proofs, and compare them three ways.

    Raises ``AuditImpossible`` for a folder that is no ledger of this federation, and for two of one agency.
    """
    patience = patience or Patience()
    examined = examine_export(read, fed=fed, now=now)
    alone = [judged(one) for one in examined.report.findings]
    head, directory = examined.report.checkpoint, examined.directory
    if head is None or directory is None:
        return Reconciled(examined.report, (), tuple(alone), patience)
    entries = _entries(examined)
    trees = (*examined.report.closed, head)
    root_at = _remembered(roots_by_end(read, trees))
    believed = Believed(directory, Trusted(directory, entries).at, root_at, entries, partial(base_in, trees))
    taken = [read_ledger(one, names, believed, now) for one, names in ledgers]
    if len({one.agency for one in taken}) < len(taken):
        raise AuditImpossible("the same agency's ledger was handed in twice")
    books = [one.book for one in taken if one.book is not None]
    log = _log_book(examined, head, entries, taken, books, root_at)
    compared = compare(log, books, patience)
    findings = _joined(alone, [one for some in taken for one in some.findings], compared.findings)
    given = {one.agency for one in taken}
    return Reconciled(
        examined.report, tuple(taken), findings, patience,
        {agency: len(heads) for agency, heads in log.heads.items()},
        compared.on_its_way, tuple(sorted(log.agencies - given)),
    )  # fmt: skip


def judged(finding: Finding) -> Finding:
    """What an audit of the log alone found, under the code that is shared here and with who is answerable."""
    who = finding.who or _answerable(finding)
    refused = finding.evidence.get("refusal") in _KEYS
    code = "key_not_valid_then" if refused else RENAMED.get(finding.code, finding.code)
    evidence = dict(finding.evidence) | ({"audit": finding.code} if code != finding.code else {})
    evidence.setdefault("proof", "the export of the log, under its own checkpoint")
    return replace(finding, code=code, evidence=evidence, who=who)


def _answerable(finding: Finding) -> str:
    if finding.code in _BY_HOLDER:
        return finding.evidence["holder"]
    if finding.code == "erasure_contradicted":
        return finding.evidence.get("by") or finding.sentence.split("`")[1]
    if finding.code == "head_forked":
        return finding.sentence.split("`")[1]
    if finding.code == "head_shrank":  # a larger one first is the order of the log, not of who signed them
        said, before = instant(finding.evidence["signed"]), instant(finding.evidence["signed_first"])
        return finding.sentence.split("`")[1] if said > before + HEAD_SKEW else BROKER
    return BROKER


def _entries(examined: Examined) -> dict[int, LogEntry]:
    found: dict[int, LogEntry] = {}
    for index, data in enumerate(examined.entries):
        if data is not None and index not in examined.doubtful:
            try:
                found[index] = parse_entry(data)
            except Refusal:
                continue  # reported by the audit
    return found


class Trusted:
    """The directory as it stood at every place of the log: of the records logged before, and no others (LOG-51)."""

    def __init__(self, directory: Directory, entries: Mapping[int, LogEntry]) -> None:
        self._whole = directory
        self._steps: list[tuple[int, Directory]] = []
        known = directory.without_records()
        for index, entry in entries.items():
            if isinstance(entry, RecordEntry):
                try:
                    record = directory.history(entry.agency)[entry.version - 1]
                    known = known.with_record(record.statement.to_bytes(), entry.at)
                except (Refusal, IndexError):
                    continue  # reported by the audit
                self._steps.append((index, known))

    def at(self, index: int) -> Directory:
        """Whose keys count for the entry at this place."""
        return next((known for place, known in reversed(self._steps) if place < index), self._whole)


def _remembered(root_at: RootAt) -> Callable[[int], bytes | None]:
    known: dict[int, bytes | None] = {}

    def remembered(size: int) -> bytes | None:
        if size not in known:
            known[size] = root_at(size)
        return known[size]

    return remembered


def _log_book(
    examined: Examined, head: Checkpoint, entries: Mapping[int, LogEntry], taken: Iterable[Taken],
    books: Iterable[LedgerBook], root_at: Callable[[int], bytes | None],
) -> LogBook:  # fmt: skip
    acts: dict[str, Act] = {digest: act for one in taken for digest, act in one.acts.items()}
    acts |= examined.lineage.statements()
    batches = {digest: batch for one in taken for digest, batch in one.batches.items()} | dict(examined.batches)
    sizes = {proof.size for book in books for proof in book.proofs if proof.size <= head.end}
    heads = examined.report.heads
    return LogBook(
        entries, head.end, head.at, batches, acts, _told(examined),
        {one.entry.head: Checkpoint(one.entry.by, one.entry.size, unb64u(one.entry.root), one.signed) for one in heads},
        {size: root for size in sizes if (root := root_at(size)) is not None},
        frozenset(index for index in range(head.end) if index not in entries),
    )  # fmt: skip


def _told(examined: Examined) -> dict[str, tuple[str, ...]]:
    """Whom every act was addressed to: who held the message then, and not who came to hold it later (ACT-10)."""
    lineage = examined.lineage
    held = {one.act.digest: tuple(one.holders) for one in lineage.followed()}
    return {
        name: held[name] if act.kind in AFTER and name in held else lineage.addressees(act.terms)
        for name, act in lineage.statements().items()
    }


def _joined(alone: list[Finding], ledgers: list[Finding], compared: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """One list in the order of the log, in which one fact is one finding (LOG-106)."""
    known = {(one.code, one.index) for one in alone}
    fresh = [one for one in compared if (one.code, one.index) not in known or one.index is None]
    both = [*alone, *ledgers, *fresh]
    return tuple(sorted(both, key=lambda one: (one.index is None, one.index or 0)))


__all__ = ["CANNOT", "CHECKPOINT", "RENAMED", "Reconciled", "judged", "reconcile_export"]

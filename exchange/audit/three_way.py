"""Three books against each other: sender's ledger, broker's log, recipient's ledger (LOG-100 to LOG-108).

Every pair of facts that must agree is one method of a module in ``pairs``. What a book may still be waiting for is
counted and not reported. A finding names who is answerable: one alone only where its own signature, or its own book,
shows it; else both who may be. ``reconcile`` of a node is the same comparison with one ledger and no proofs.

Pure: the books were read and verified before (``log_book``, ``ledger_book``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from exchange.audit.finding import Finding
from exchange.audit.ledger_lines import LedgerBook
from exchange.audit.log_book import LogBook, Patience
from exchange.audit.pairs.acts import Acts
from exchange.audit.pairs.bench import Bench
from exchange.audit.pairs.by_themselves import ByThemselves
from exchange.audit.pairs.decisions import Decisions
from exchange.audit.pairs.proofs import Proofs
from exchange.audit.pairs.receipts import Receipts


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison found, and how many facts of each kind were still on their way."""

    findings: tuple[Finding, ...]
    on_its_way: Mapping[str, int] = field(default_factory=dict)


def compare(log: LogBook, ledgers: Iterable[LedgerBook], patience: Patience | None = None) -> Compared:
    """Hold every ledger against the log, and through it against the others; findings in the order of the log."""
    bench = Bench(log, {one.agency: one for one in ledgers}, patience or Patience())
    alone, decisions, receipts, acts = ByThemselves(bench), Decisions(bench), Receipts(bench), Acts(bench)
    alone.log_itself()
    for book in bench.ledgers.values():
        alone.itself(book)
        alone.heads(book)
        decisions.sent(book)
        decisions.denied(book)
        decisions.received(book)
        receipts.receipts(book)
        receipts.held(book)
        acts.answering(book)
        if log.stated:
            acts.erased(book)
    decisions.decisions()
    acts.acts()
    Proofs(bench).proofs()  # last: what other findings rest on is not reported again
    ordered = sorted(bench.findings, key=lambda one: (one.index is None, one.index or 0))
    return Compared(tuple(ordered), dict(sorted(bench.waiting.items())))

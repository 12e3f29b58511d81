"""Reconciling: does an agency's own ledger tell the same story as the log? (LOG-53)

The comparison of three books with one ledger and nothing else: no proofs, no signed statements, and no waiting, for a
node knows itself what of its own is still on its way. What only a third book could show is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from exchange.audit.finding import Finding
from exchange.audit.ledger_lines import USED, LedgerBook, Line
from exchange.audit.log_book import LogBook
from exchange.audit.three_way import compare
from exchange.protocol.entry import LogEntry
from exchange.protocol.vocabulary import Act

_AS: Final[Mapping[str, str]] = {
    "disclosed_not_logged": "not_in_log",
    "not_in_log": "not_in_log",
    "logged_not_disclosed": "not_in_ledger",
    "receipt_without_message": "not_in_ledger",
    "not_in_ledger": "not_in_ledger",
    "logged_not_delivered": "not_collected",
    "facts_differ": "differs",
    "clause_differs": "differs",
}
"""What two books can show, under the codes of LOG-53."""
_TOLD: Final = frozenset({"ledger", "n", "proof", "batch"})
"""Evidence that says nothing to whose ledger it is."""


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One act as a node's ledger has it: which message, and the index its proof showed."""

    act: Act
    msg: str
    index: int | None
    agreement: str | None = None
    parties: tuple[str, ...] = ()
    """Sender and recipients as the ledger knows them; empty if it did not write them down."""
    outcome: str | None = None
    """Of a message received: `delivered`, or the code it was rejected with."""

    def line(self) -> Line:
        """The same act for a comparison of books."""
        sender, to = (self.parties[0], self.parties[1:]) if self.parties else (None, ())
        index = None if self.act in USED else self.index  # of a look, which entry it names says nothing here
        return Line(self.act, self.msg, index, agr=self.agreement, sender=sender, to=to, outcome=self.outcome)


def reconcile(agency: str, ledger: Iterable[LedgerRow], entries: Iterable[tuple[int, LogEntry]]) -> tuple[Finding, ...]:
    """Compare the acts of one agency with the entries that name it; findings in the order of the log.

    ``entries`` are all entries of a verified log, up to the newest checkpoint the agency knows.
    """
    book = LedgerBook(agency, tuple(row.line() for row in ledger), shows=False)
    found = compare(LogBook(dict(entries), stated=False), [book]).findings
    return tuple(_told(one) for one in found if one.code in _AS and agency in one.evidence.get("ledger", agency))


def _told(finding: Finding) -> Finding:
    told = _TOLD | ({"act"} if _AS[finding.code] == "differs" else set())
    evidence = {name: value for name, value in finding.evidence.items() if name not in told}
    return replace(finding, code=_AS[finding.code], evidence=evidence, who="")

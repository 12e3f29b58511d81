"""Reconciling: does an agency's own ledger tell the same story as the log? (LOG-53)

The log cannot show what a node did with a message, and a ledger cannot show what others logged about
its agency. Held against each other they can: an act in one and not in the other is a finding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from exchange.audit.finding import Finding
from exchange.protocol.entry import ActEntry, DenialEntry, DisclosureEntry, LogEntry, ReceiptEntry
from exchange.protocol.vocabulary import Act, ReceiptStatus

ACTS: Final = (Act.DISCLOSE, Act.RECEIVE, Act.ATTEMPT_DENIED)
"""The acts that must stand in both books; a denied attempt only if it was put to the broker."""


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


@dataclass(frozen=True, slots=True)
class _Logged:
    index: int
    agreement: str
    parties: tuple[str, ...]


def reconcile(agency: str, ledger: Iterable[LedgerRow], entries: Iterable[tuple[int, LogEntry]]) -> tuple[Finding, ...]:
    """Compare the acts of one agency with the entries that name it; findings in the order of the log.

    ``entries`` are all entries of a verified log, up to the newest checkpoint the agency knows.
    """
    logged: dict[tuple[Act, str], _Logged] = {}
    receipts: dict[str, int] = {}
    opened: dict[str, int] = {}
    answered: dict[tuple[str, str], int] = {}
    given: list[tuple[int, ActEntry]] = []
    for index, entry in entries:
        if isinstance(entry, ReceiptEntry):
            if entry.by == agency:
                receipts.setdefault(entry.msg, index)
                answered.setdefault((entry.msg, entry.code or str(entry.status)), index)
            if entry.by == agency and entry.status is ReceiptStatus.OPENED:
                opened.setdefault(entry.msg, index)
        elif isinstance(entry, ActEntry):
            if entry.by == agency:
                given.append((index, entry))
        elif isinstance(entry, DisclosureEntry | DenialEntry) and (act := _act(agency, entry)):
            parties = (entry.from_, *sorted(to.id for to in entry.to))
            logged.setdefault((act, entry.msg), _Logged(index, entry.agr, parties))
    rows = list(ledger)
    kept = {(row.act, row.msg): row for row in rows if row.act in ACTS and not _local(row)}
    found = [_missing_in_ledger(agency, key, one, receipts) for key, one in logged.items() if key not in kept]
    looked = {row.msg for row in rows if row.act is Act.OPEN}
    unseen = {msg: index for msg, index in opened.items() if (Act.RECEIVE, msg) in kept and msg not in looked}
    found += [_never_opened(agency, msg, index) for msg, index in unseen.items()]
    found += _answered_otherwise(agency, rows, answered)
    written = {(row.msg, row.index) for row in rows}
    found += [_never_given(agency, index, entry) for index, entry in given if (entry.msg, index) not in written]
    for key, row in kept.items():
        entry_says = logged.get(key)
        if entry_says is None:
            found.append(_missing_in_log(agency, row))
        elif differs := _compare(agency, row, entry_says):
            found.append(differs)
    return tuple(sorted(found, key=lambda f: (f.index is None, f.index or 0)))


def _act(agency: str, entry: DisclosureEntry | DenialEntry) -> Act | None:
    if entry.from_ == agency:
        return Act.DISCLOSE if isinstance(entry, DisclosureEntry) else Act.ATTEMPT_DENIED
    received = isinstance(entry, DisclosureEntry) and any(to.id == agency for to in entry.to)
    return Act.RECEIVE if received else None


def _local(row: LedgerRow) -> bool:
    return row.act is Act.ATTEMPT_DENIED and row.index is None


def _missing_in_ledger(agency: str, key: tuple[Act, str], one: _Logged, receipts: dict[str, int]) -> Finding:
    act, msg = key
    if act is Act.RECEIVE and msg not in receipts:
        return Finding("not_collected", f"`{agency}` has not collected this message yet", one.index, {"msg": msg})
    evidence = {"msg": msg, "act": act.value}
    if act is Act.RECEIVE:
        evidence["receipt"] = str(receipts[msg])
    return Finding("not_in_ledger", f"the log says `{agency}` did this; its ledger does not", one.index, evidence)


def _never_opened(agency: str, msg: str, index: int) -> Finding:
    evidence = {"msg": msg, "act": Act.OPEN.value, "receipt": str(index)}
    sentence = f"the log has a receipt that `{agency}` opened this message; its ledger does not say so"
    return Finding("not_in_ledger", sentence, index, evidence)


def _never_given(agency: str, index: int, entry: ActEntry) -> Finding:
    evidence = {"msg": entry.msg, "act": entry.act.value, "statement": entry.statement}
    sentence = f"the log has an act `{entry.act}` in the name of `{agency}`; its ledger does not say so"
    return Finding("not_in_ledger", sentence, index, evidence)


def _answered_otherwise(agency: str, rows: list[LedgerRow], answered: dict[tuple[str, str], int]) -> list[Finding]:
    """Receipts in the agency's name that say what its ledger does not say became of the message."""
    outcomes: dict[str, set[str]] = {}
    for row in rows:
        if row.act is Act.RECEIVE and row.outcome is not None:
            outcomes.setdefault(row.msg, set()).add(row.outcome)
    found = []
    for (msg, said), index in answered.items():
        kept = outcomes.get(msg, {said})
        if said != ReceiptStatus.OPENED and said not in kept:
            evidence = {"msg": msg, "status": f"ledger {' '.join(sorted(kept))}, log {said}"}
            sentence = f"the log has a receipt in the name of `{agency}` that its ledger does not bear out"
            found.append(Finding("differs", sentence, index, evidence))
    return found


def _missing_in_log(agency: str, row: LedgerRow) -> Finding:
    evidence = {"msg": row.msg, "act": row.act.value}
    return Finding("not_in_log", f"the ledger of `{agency}` has an act that the log has not", row.index, evidence)


def _compare(agency: str, row: LedgerRow, one: _Logged) -> Finding | None:
    pairs = {
        "index": (str(row.index), str(one.index)),
        "agreement": (row.agreement or one.agreement, one.agreement),
        "parties": (" ".join(_ordered(row.parties) or one.parties), " ".join(one.parties)),
    }
    evidence = {name: f"ledger {mine}, log {theirs}" for name, (mine, theirs) in pairs.items() if mine != theirs}
    if not evidence:
        return None
    sentence = f"the ledger of `{agency}` and the log disagree about a message: {', '.join(evidence)}"
    return Finding("differs", sentence, one.index, {"msg": row.msg, **evidence})


def _ordered(parties: tuple[str, ...]) -> tuple[str, ...]:
    return (parties[0], *sorted(parties[1:])) if parties else ()

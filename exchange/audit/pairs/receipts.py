"""Receipts: what a recipient says became of messages, in its ledger and under its signature (LOG-103)."""

from __future__ import annotations

from exchange.audit.ledger_lines import LedgerBook, Line
from exchange.audit.log_book import BROKER, Decided
from exchange.audit.pairs.bench import Bench, either
from exchange.protocol.entry import DisclosureEntry, ReceiptEntry
from exchange.protocol.vocabulary import Act, ReceiptStatus

_UNANSWERED = "message_recalled"
"""A message taken back before it was collected gets an answer and no receipt (NODE-42)."""


class Receipts:
    """What became of messages, in two books."""

    def __init__(self, on: Bench) -> None:
        self.on = on

    def receipts(self, book: LedgerBook) -> None:
        """What a ledger says became of messages, against its agency's receipts."""
        me = book.agency
        for msg, lines in book.received.items():
            if self.on.log.disclosure(msg) is None:
                continue
            entries = self.on.log.receipts.get((me, msg), [])
            rejected = any(one.status is ReceiptStatus.REJECTED for _, one in entries)
            for line in lines:
                if line.outcome in (None, _UNANSWERED):
                    continue
                status = "delivered" if line.outcome == "delivered" else "rejected"
                told = rejected if status == "rejected" else any(str(one.status) == status for _, one in entries)
                if not told:
                    self._unreceipted(book, line, msg, status)
            self._outcomes(book, msg, lines, entries)
        for msg, lines in book.local.items():
            opened = next((one for one in lines if one.act is Act.OPEN), None)
            told = any(one.status is ReceiptStatus.OPENED for _, one in self.on.log.receipts.get((me, msg), ()))
            if opened is not None and not told and msg in book.received and self.on.log.disclosure(msg) is not None:
                self._unreceipted(book, opened, msg, "opened")

    def _unreceipted(self, book: LedgerBook, line: Line, msg: str, status: str) -> None:
        against = self.on.contradicting(f"{msg} {book.agency} {status}")
        if not against and not self.on.due_here(line):
            self.on.wait("delivered_not_receipted")
            return
        who, proof = (BROKER, self.on.rests_on(against)) if against else (either(book.agency, BROKER), "")
        sentence = f"the ledger of `{book.agency}` says `{line.act}`; the log has no receipt `{status}` of it"
        told = {"msg": msg, "ledger": book.agency, "n": line.n, "status": status}
        self.on.find("delivered_not_receipted", sentence, who, line.index, proof, **told)

    def _outcomes(self, book: LedgerBook, msg: str, lines: list[Line], entries: list[tuple[int, ReceiptEntry]]) -> None:
        """Receipts in an agency's name, against what its ledger says became of the message."""
        kept = {line.outcome: line for line in lines}
        opens = [one for one in book.local.get(msg, ()) if one.act is Act.OPEN]
        for index, entry in entries:
            batch, said = self.on.log.batch(entry), entry.code or str(entry.status)
            who = book.agency if batch else either(book.agency, BROKER)
            proof = f"the receipt batch `{entry.batch}`, signed by `{book.agency}`" if batch else ""
            told = {"msg": msg, "ledger": book.agency, "batch": entry.batch}
            if entry.status is ReceiptStatus.OPENED:
                line = opens[0] if opens else None
                if line is None and not self.on.due_there(book, entry.at, knew=True):
                    self.on.wait("not_in_ledger")
                elif line is None:
                    sentence = f"the log has a receipt that `{book.agency}` opened this message; its ledger has not"
                    self.on.find("not_in_ledger", sentence, who, index, proof, **told, act=Act.OPEN, receipt=index)
            else:
                line = kept.get(said)
                if line is None and None not in kept:
                    if not self.on.due_there(book, entry.at, knew=True):
                        self.on.wait("facts_differ")
                        continue
                    sentence = f"the log has a receipt of `{book.agency}` that its ledger does not bear out"
                    status = f"ledger {' '.join(sorted(map(str, kept)))}, log {said}"
                    self.on.find("facts_differ", sentence, who, index, proof, **told, status=status)
            told_at = batch.ts if batch else entry.at
            if line is not None and line.ts is not None and line.ts > told_at + self.on.patience.tolerance:
                self.on.late(book, line, f"`{book.agency}` gave a receipt before the act", who, told_at, proof, index)

    def held(self, book: LedgerBook) -> None:
        """What a ledger says was done with messages, against whether the log says that they were there."""
        for msg, lines in book.local.items():
            found = self.on.log.decided.get(msg)
            for line in lines:
                if found is None and msg not in book.received and msg not in book.sent:
                    self.on.unlogged(book, line, "not_in_log", f"says `{line.act}` of a message")
                elif found is not None and line.index is not None and line.index != found[0]:
                    if line.index >= self.on.same_until:
                        continue
                    own = self.on.own(book, msg)
                    who, proof = either(book.agency, BROKER), ""
                    if own is not None:
                        who, proof = book.agency, f"its own proof of entry {own.index}, signed by the log"
                    sentence = f"the ledger of `{book.agency}` names another entry for a message than the log has"
                    differ = f"ledger {line.index}, log {found[0]}"
                    told = {"msg": msg, "ledger": book.agency, "n": line.n, "index_of_message": differ}
                    self.on.find("facts_differ", sentence, who, found[0], proof, **told)
                elif isinstance(found[1] if found else None, DisclosureEntry) and not self._is_party(book, found[1]):  # type: ignore[index]
                    sentence = f"the ledger of `{book.agency}` has `{line.act}` of a message that never came to it"
                    own_head = f"the signed head of the ledger of `{book.agency}`"
                    told = {"msg": msg, "ledger": book.agency, "n": line.n}
                    self.on.find("not_in_log", sentence, book.agency, found[0], own_head, **told)  # type: ignore[index]

    def _is_party(self, book: LedgerBook, entry: Decided) -> bool:
        return entry.from_ == book.agency or any(to.id == book.agency for to in entry.to)

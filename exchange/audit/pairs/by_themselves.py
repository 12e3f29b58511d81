"""The log by itself, and each ledger by itself and under the heads that its agency signed (LOG-103, LOG-104)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from exchange.audit.ledger_lines import LedgerBook, Line
from exchange.audit.log_book import BROKER
from exchange.audit.pairs.bench import Bench, either
from exchange.protocol.vocabulary import Act
from keys.encoding import b64u, stamp

_REASONED = frozenset({Act.DISCLOSE, Act.CONSULT, Act.OPEN, Act.EXPORT, Act.COMBINE, Act.ALTER})
_SOMEBODY = frozenset({Act.OPEN, Act.EXPORT})


class ByThemselves:
    """What one book alone shows."""

    def __init__(self, on: Bench) -> None:
        self.on = on

    def log_itself(self) -> None:
        for code, index, first, msg in self.on.log.again:
            sentence = "the log has this twice"
            self.on.find(code, sentence, BROKER, index, "the log's own checkpoint", first=first, msg=msg)
        for index, at, before in self.on.log.backwards:
            sentence = "the entry is dated before the one in front of it"
            proof = "the log's own checkpoint"
            self.on.find("clock_out_of_order", sentence, BROKER, index, proof, ts=stamp(at), before=stamp(before))
        for index, receipt in self.on.log.unsaid:
            sentence = "the signed batch does not say what this entry says"
            proof = f"the receipt batch `{receipt.batch}`, signed by `{receipt.by}`"
            self.on.find("receipt_refused", sentence, BROKER, index, proof, msg=receipt.msg, batch=receipt.batch)
        for (by, msg), entries in self.on.log.receipts.items():
            found = self.on.log.disclosure(msg)
            index, entry = entries[0]
            if (found is None or found[0] > index or all(to.id != by for to in found[1].to)) and not self.on.log.lost:
                sentence = f"the log has a receipt of `{by}` for a message that was not disclosed to it"
                against = self.on.contradicting(msg)
                proof = self.on.rests_on(against) if against else "the log's own checkpoint"
                self.on.find("receipt_without_message", sentence, BROKER, index, proof, msg=msg, batch=entry.batch)

    def itself(self, book: LedgerBook) -> None:
        me, latest = book.agency, None
        own = f"the signed head of the ledger of `{me}`"
        for first, line in book.doubled:
            sentence = f"the ledger of `{me}` has `{line.act}` of one thing twice"
            self.on.find("ledger_doubled", sentence, me, line.index, own, n=line.n, first=first.n, msg=line.msg)
        for line in book.lines:
            if (line.act in _REASONED and line.by and not line.reasoned) or (
                line.act in _SOMEBODY and line.n and not (line.by and line.reasoned)
            ):
                sentence = f"act {line.n} of `{me}` is `{line.act}` without somebody's code and reason"
                self.on.find("act_unjustified", sentence, me, None, own, n=line.n, act=line.act, msg=line.msg)
            if line.ts is None:
                continue
            if latest is not None and line.ts + self.on.patience.tolerance < latest:
                self.on.late(book, line, f"act {line.n} is dated before the one in front of it", me, latest, own)
            if book.at is not None and line.ts > book.at + self.on.patience.tolerance:
                self.on.late(book, line, f"act {line.n} is dated after the head over it", me, book.at, own)
            latest = max(line.ts, latest or line.ts)

    def heads(self, book: LedgerBook) -> None:
        if book.at is None:
            return
        me, covered, fell = book.agency, 0, False
        numbered = {line.n: line for line in book.lines}  # an act that could not be read has left a gap
        for index, head in self.on.log.heads.get(me, ()):
            note = self.on.log.notes.get(head.head)
            if note is None or (note.size, b64u(note.root)) != (head.size, head.root):
                sentence = f"the log has a head of `{me}`, and not the note in which it says so"
                self.on.find("head_refused", sentence, BROKER, index, "the log, which cannot show the head", by=me)
                continue
            signed, proof = note.at, f"the head `{head.head}`, signed by `{me}`, entry {index}"
            root = book.roots.get(head.size)
            if head.size > book.size and signed + self.on.patience.tolerance < book.at:
                sentence = f"the ledger of `{me}` had {head.size} acts, and has {book.size}"
                self.on.find("ledger_rewritten", sentence, me, index, proof, size=head.size, acts=book.size)
            elif head.size > book.size and self.on.log.at and signed + self.on.patience.grace <= self.on.log.at:
                fell = True
            elif head.size > book.size:
                self.on.wait("ledger_behind")
            elif root is not None and b64u(root) != head.root:
                sentence = f"the first {head.size} acts of `{me}` are not those that it signed"
                told = {"size": head.size, "signed_root": head.root, "own_root": b64u(root)}
                self.on.find("ledger_rewritten", sentence, me, index, proof, **told)
            self._head_times(book, numbered, index, head.size, signed, proof)
            covered = max(covered, head.size)
        if fell:
            sentence = f"the log has heads of `{me}` behind the ledger that was handed in: ask for the rest"
            self.on.find("ledger_behind", sentence, me, None, f"the heads that `{me}` signed", acts=book.size)
        bare = [line for line in book.lines if line.n > covered and line.ts is not None]
        if bare and self.on.due_here(bare[0]):
            sentence = f"no head in the log covers act {bare[0].n} of `{me}` and what is behind it"
            self.on.find("head_missing", sentence, either(me, BROKER), None, "", n=bare[0].n, since=stamp(bare[0].ts))  # type: ignore[arg-type]

    def _head_times(
        self, book: LedgerBook, numbered: Mapping[int, Line], index: int, size: int, signed: datetime, proof: str
    ) -> None:
        tolerance = self.on.patience.tolerance
        last, behind = numbered.get(size), numbered.get(size + 1)
        if last is not None and last.ts is not None and last.ts > signed + tolerance:
            said = f"act {last.n} is dated after the head of {size} acts"
            self.on.late(book, last, said, book.agency, signed, proof, index)
        if behind is not None and behind.ts is not None and behind.ts + tolerance < signed:
            said = f"act {behind.n} was written after the head of {size} acts and is dated before it"
            self.on.late(book, behind, said, book.agency, signed, proof, index)

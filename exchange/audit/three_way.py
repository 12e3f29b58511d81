"""Three books against each other: sender's ledger, broker's log, recipient's ledger (LOG-100 to LOG-108).

Every pair of facts that must agree is one method below, in the order of LOG-103. What a book may still be waiting
for is counted and not reported. A finding names who is answerable: one alone only where its own signature, or its
own book, shows it; else both who may be. ``reconcile`` of a node is the same comparison with one ledger and no proofs.

Pure: the books were read and verified before (``log_book``, ``ledger_book``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from exchange.audit.finding import Finding
from exchange.audit.ledger_lines import GIVEN, HEARD, USED, HeldProof, LedgerBook, Line
from exchange.audit.log_book import BROKER, Decided, LogBook, Patience
from exchange.protocol.act import Answer
from exchange.protocol.entry import ActEntry, DenialEntry, DisclosureEntry, ReceiptEntry
from exchange.protocol.vocabulary import Act, ReceiptStatus
from keys.encoding import b64u, stamp

_REASONED = frozenset({Act.DISCLOSE, Act.CONSULT, Act.OPEN, Act.EXPORT, Act.COMBINE, Act.ALTER})
_SOMEBODY = frozenset({Act.OPEN, Act.EXPORT})
_UNANSWERED = "message_recalled"
"""A message taken back before it was collected gets an answer and no receipt (NODE-42)."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison found, and how many facts of each kind were still on their way."""

    findings: tuple[Finding, ...]
    on_its_way: Mapping[str, int] = field(default_factory=dict)


def compare(log: LogBook, ledgers: Iterable[LedgerBook], patience: Patience | None = None) -> Compared:
    """Hold every ledger against the log, and through it against the others; findings in the order of the log."""
    comparison = Comparison(log, {one.agency: one for one in ledgers}, patience or Patience())
    comparison.run()
    ordered = sorted(comparison.findings, key=lambda one: (one.index is None, one.index or 0))
    return Compared(tuple(ordered), dict(sorted(comparison.waiting.items())))


def either(*who: str) -> str:
    """The name of whoever is answerable, if it is one of these; agencies first."""
    return " or ".join(sorted(set(who), key=lambda one: (one == BROKER, one)))


class Comparison:
    """One comparison; ``findings`` and ``waiting`` are what it leaves."""

    def __init__(self, log: LogBook, ledgers: Mapping[str, LedgerBook], patience: Patience) -> None:
        self.log, self.ledgers, self.patience = log, ledgers, patience
        self.findings: list[Finding] = []
        self.waiting: Counter[str] = Counter()
        self._told: set[tuple[str, str]] = set()  # book and name of proofs that a finding rests on
        self._act_names: dict[str, dict[tuple[int, str | None], str]] = {}

    def run(self) -> None:
        """Compare everything."""
        self._log_itself()
        for book in self.ledgers.values():
            self._itself(book)
            self._heads(book)
            self._sent(book)
            self._denied(book)
            self._received(book)
            self._receipts(book)
            self._held(book)
            self._answering(book)
            self._erased(book)
        self._decisions()
        self._acts()
        self._proofs()

    # -- who, and whether it is due --

    @cached_property
    def _shown(self) -> dict[str, list[tuple[LedgerBook, HeldProof]]]:
        """Every held proof by what it is about: message, receipt or act."""
        found: dict[str, list[tuple[LedgerBook, HeldProof]]] = defaultdict(list)
        for book in self.ledgers.values():
            for proof in book.proofs:
                found[_about(proof)].append((book, proof))
        return found

    def _contradicts(self, proof: HeldProof) -> bool:
        """Whether the log has another entry at its place, or another tree at its size (LOG-103)."""
        here = proof.index < self.log.size and proof.index not in self.log.lost
        if here and self.log.entries.get(proof.index) != proof.entry:
            return True
        known = self.log.roots.get(proof.size)
        return known is not None and known != proof.root

    @cached_property
    def _against(self) -> dict[tuple[str, str], HeldProof]:
        """Held proofs that contradict the log, by book and name."""
        pairs = ((book, proof) for some in self._shown.values() for book, proof in some)
        return {(book.agency, proof.name): proof for book, proof in pairs if self._contradicts(proof)}

    @cached_property
    def _same_until(self) -> int:
        """From where on the log is known to be another than somebody was shown: no index counts behind it."""
        if not self._against:
            return self.log.size
        sizes = [p.size for some in self._shown.values() for _, p in some if self.log.roots.get(p.size) == p.root]
        least = min(min(proof.index, proof.size) for proof in self._against.values())
        return max([size for size in sizes if size <= least], default=0)

    def _contradicting(self, about: str, entry: object = None) -> list[tuple[LedgerBook, HeldProof]]:
        """The proofs about something by which the broker said otherwise than the log says, or than ``entry``."""
        found = [(book, proof) for book, proof in self._shown.get(about, ()) if self._is_against(book, proof)]
        return [one for one in found if entry is None or one[1].entry != entry]

    def _is_against(self, book: LedgerBook, proof: HeldProof) -> bool:
        return (book.agency, proof.name) in self._against

    def _own(self, book: LedgerBook, about: str) -> HeldProof | None:
        """A proof of this book's own that agrees with the log about something."""
        some = self._shown.get(about, ())
        return next((p for one, p in some if one is book and not self._is_against(one, p)), None)

    def _manifest(self, msg: str) -> tuple[LedgerBook, HeldProof] | None:
        return next(((book, p) for book, p in self._shown.get(msg, ()) if p.manifest is not None), None)

    def _due_there(self, book: LedgerBook, at: datetime, *, knew: bool = False) -> bool:
        """Whether a ledger should have by now what happened then; ``knew``: it signed something after writing it."""
        return book.at is None or at + (self.patience.tolerance if knew else self.patience.grace) <= book.at

    def _due_here(self, line: Line) -> bool:
        """Whether the log should have by now what a ledger has."""
        return self.log.at is None or line.ts is None or line.ts + self.patience.grace <= self.log.at

    def _is_lost(self, index: int | None) -> bool:
        return index is not None and index in self.log.lost

    def _wait(self, code: str) -> None:
        self.waiting[code] += 1

    def _find(
        self, code: str, sentence: str, who: str, index: int | None = None, proof: str = "", /, **evidence: object
    ) -> None:
        said = {name: str(value) for name, value in evidence.items() if value is not None}
        self.findings.append(Finding(code, sentence, index, said | ({"proof": proof} if proof else {}), who))

    def _rests_on(self, proofs: Iterable[tuple[LedgerBook, HeldProof]]) -> str:
        """Say which held proofs bear a finding out; they are not reported again."""
        some = list(proofs)
        self._told |= {(book.agency, proof.name) for book, proof in some}
        names = [f"`{book.agency}` holds entry {p.index} proved in a tree of {p.size}" for book, p in some]
        return f"signed by the log: {'; '.join(names)}"

    # -- the log and the ledgers by themselves --

    def _log_itself(self) -> None:
        for code, index, first, msg in self.log.again:
            sentence = "the log has this twice"
            self._find(code, sentence, BROKER, index, "the log's own checkpoint", first=first, msg=msg)
        for index, at, before in self.log.backwards:
            sentence = "the entry is dated before the one in front of it"
            proof = "the log's own checkpoint"
            self._find("clock_out_of_order", sentence, BROKER, index, proof, ts=stamp(at), before=stamp(before))
        for index, receipt in self.log.unsaid:
            sentence = "the signed batch does not say what this entry says"
            proof = f"the receipt batch `{receipt.batch}`, signed by `{receipt.by}`"
            self._find("receipt_refused", sentence, BROKER, index, proof, msg=receipt.msg, batch=receipt.batch)
        for (by, msg), entries in self.log.receipts.items():
            found = self.log.disclosure(msg)
            index, entry = entries[0]
            if (found is None or found[0] > index or all(to.id != by for to in found[1].to)) and not self.log.lost:
                sentence = f"the log has a receipt of `{by}` for a message that was not disclosed to it"
                against = self._contradicting(msg)
                proof = self._rests_on(against) if against else "the log's own checkpoint"
                self._find("receipt_without_message", sentence, BROKER, index, proof, msg=msg, batch=entry.batch)

    def _itself(self, book: LedgerBook) -> None:
        me, latest = book.agency, None
        own = f"the signed head of the ledger of `{me}`"
        for first, line in book.doubled:
            sentence = f"the ledger of `{me}` has `{line.act}` of one thing twice"
            self._find("ledger_doubled", sentence, me, line.index, own, n=line.n, first=first.n, msg=line.msg)
        for line in book.lines:
            if (line.act in _REASONED and line.by and not line.reasoned) or (
                line.act in _SOMEBODY and line.n and not (line.by and line.reasoned)
            ):
                sentence = f"act {line.n} of `{me}` is `{line.act}` without somebody's code and reason"
                self._find("act_unjustified", sentence, me, None, own, n=line.n, act=line.act, msg=line.msg)
            if line.ts is None:
                continue
            if latest is not None and line.ts + self.patience.tolerance < latest:
                self._late(book, line, f"act {line.n} is dated before the one in front of it", me, latest, own)
            if book.at is not None and line.ts > book.at + self.patience.tolerance:
                self._late(book, line, f"act {line.n} is dated after the head over it", me, book.at, own)
            latest = max(line.ts, latest or line.ts)

    def _late(
        self, book: LedgerBook, line: Line, sentence: str, who: str, at: datetime, proof: str, index: int | None = None
    ) -> None:
        told = {"ledger": book.agency, "n": line.n, "act": line.act, "msg": line.msg, "ts": stamp(line.ts or at)}
        self._find("clock_out_of_order", sentence, who, index, proof, **told, other=stamp(at))

    def _heads(self, book: LedgerBook) -> None:
        if book.at is None:
            return
        me, covered, fell = book.agency, 0, False
        for index, head in self.log.heads.get(me, ()):
            note = self.log.notes.get(head.head)
            if note is None or (note.size, b64u(note.root)) != (head.size, head.root):
                sentence = f"the log has a head of `{me}`, and not the note in which it says so"
                self._find("head_refused", sentence, BROKER, index, "the log, which cannot show the head", by=me)
                continue
            signed, proof = note.at, f"the head `{head.head}`, signed by `{me}`, entry {index}"
            root = book.roots.get(head.size)
            if head.size > book.size and signed <= book.at:
                sentence = f"the ledger of `{me}` had {head.size} acts, and has {book.size}"
                self._find("ledger_rewritten", sentence, me, index, proof, size=head.size, acts=book.size)
            elif head.size > book.size and self.log.at and signed + self.patience.grace <= self.log.at:
                fell = True
            elif head.size > book.size:
                self._wait("ledger_behind")
            elif root is not None and b64u(root) != head.root:
                sentence = f"the first {head.size} acts of `{me}` are not those that it signed"
                told = {"size": head.size, "signed_root": head.root, "own_root": b64u(root)}
                self._find("ledger_rewritten", sentence, me, index, proof, **told)
            self._head_times(book, index, head.size, signed, proof)
            covered = max(covered, head.size)
        if fell:
            sentence = f"the log has heads of `{me}` behind the ledger that was handed in: ask for the rest"
            self._find("ledger_behind", sentence, me, None, f"the heads that `{me}` signed", acts=book.size)
        bare = [line for line in book.lines[covered:] if line.ts is not None]
        if bare and self._due_here(bare[0]):
            sentence = f"no head in the log covers act {bare[0].n} of `{me}` and what is behind it"
            self._find("head_missing", sentence, either(me, BROKER), None, "", n=bare[0].n, since=stamp(bare[0].ts))  # type: ignore[arg-type]

    def _head_times(self, book: LedgerBook, index: int, size: int, signed: datetime, proof: str) -> None:
        tolerance = self.patience.tolerance
        covered, behind = book.lines[max(0, size - 1) : size], book.lines[size : size + 1]
        for line in covered:
            if line.ts is not None and line.ts > signed + tolerance:
                said = f"act {line.n} is dated after the head of {size} acts"
                self._late(book, line, said, book.agency, signed, proof, index)
        for line in behind:
            if line.ts is not None and line.ts + tolerance < signed:
                said = f"act {line.n} was written after the head of {size} acts and is dated before it"
                self._late(book, line, said, book.agency, signed, proof, index)

    # -- a ledger's decisions against the log's --

    def _sent(self, book: LedgerBook) -> None:
        for msg, line in book.sent.items():
            found = self.log.disclosure(msg)
            if found is not None and found[1].from_ == book.agency:
                self._compare(book, line, *found)
            else:
                self._unlogged(book, line, "disclosed_not_logged", "says that it disclosed a message")

    def _denied(self, book: LedgerBook) -> None:
        for msg, line in book.denied.items():
            disclosed, denied = self.log.disclosure(msg), self.log.denial(msg)
            if disclosed is not None and (disclosed[0] == line.index or line.sender not in (None, book.agency)):
                continue  # an attempt inside the node, about a message that the log has
            if denied is not None and denied[1].from_ == book.agency:
                self._compare(book, line, *denied)
            elif line.sender in (None, book.agency):
                self._unlogged(book, line, "not_in_log", "says that the broker denied a message")

    def _received(self, book: LedgerBook) -> None:
        for msg, lines in book.received.items():
            found = self.log.disclosure(msg)
            if found is not None and any(to.id == book.agency for to in found[1].to):
                for line in lines:
                    self._compare(book, line, *found)
            else:
                self._unlogged(book, lines[-1], "disclosed_not_logged", "says that it received a message")

    def _unlogged(self, book: LedgerBook, line: Line, code: str, said: str, about: str | None = None) -> None:
        """A ledger says that the log has something, and it has not."""
        me, about = book.agency, about or line.msg or ""
        against = self._contradicting(about)
        if self._is_lost(line.index):
            return
        if not against and line.index is not None and line.index >= self.log.size:
            self._wait(code)
            return
        must_show = book.shows and book.erased(line.msg or "") is None
        must_show = must_show and not (line.act is Act.RECEIVE and line.outcome not in (None, "delivered"))
        if against:
            who, proof = BROKER, self._rests_on(against)
        elif must_show:
            who, proof = me, f"the signed head of the ledger of `{me}`, which can show no proof of the log"
        else:
            who, proof = either(me, BROKER), ""
        sentence = f"the ledger of `{me}` {said}; the log has no such entry"
        told = {"msg": line.msg, "act": line.act, "ledger": me, "n": line.n}
        told |= {"statement": about} if about != line.msg else {}
        self._find(code, sentence, who, line.index, proof, **told)

    def _compare(self, book: LedgerBook, line: Line, index: int, entry: Decided) -> None:
        """One decision, as a ledger and as the log has it."""
        differ = _differences(line, index, entry)
        msg, me = entry.msg, book.agency
        if "index" in differ and line.index is not None and line.index >= self._same_until:
            differ.pop("index")  # the log was moved there: whoever did it is named by the proofs
        manifest = self._manifest(msg)
        if manifest is not None and manifest[1].manifest is not None and line.act is Act.DISCLOSE:
            signed = manifest[1].manifest
            if line.by and line.ts and line.by != signed.by and stamp(line.ts)[:7] == signed.ts[:7]:
                differ["by"] = (line.by, signed.by)
        if line.act is Act.RECEIVE and line.outcome not in (None, "delivered"):
            differ = {name: values for name, values in differ.items() if name == "index"}
        if differ:
            who, proof = self._who_differs(book, entry, differ)
            code = "clause_differs" if set(differ) == {"clauses"} else "facts_differ"
            said = {name: f"ledger {mine}, log {theirs}" for name, (mine, theirs) in differ.items()}
            sentence = f"the ledger of `{me}` and the log disagree about a message: {', '.join(differ)}"
            self._find(code, sentence, who, index, proof, msg=msg, act=line.act, ledger=me, **said)
        if line.ts is not None and line.ts + self.patience.tolerance < entry.at:
            sentence = f"`{me}` wrote down before it was logged what the log had told it"
            self._late(book, line, sentence, either(me, BROKER), entry.at, "", index)

    def _who_differs(self, book: LedgerBook, entry: Decided, differ: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
        me, msg = book.agency, entry.msg
        if against := self._contradicting(msg, entry):
            return BROKER, self._rests_on(against)
        if (found := self._manifest(msg)) is not None and found[1].manifest is not None:
            signed, sender = found[1].manifest, entry.from_
            if wrong := _unlike(signed, entry):
                return BROKER, f"the manifest signed by `{sender}` says otherwise than the entry: {', '.join(wrong)}"
            if set(differ) - {"clauses", "index", "outcome"}:
                return me, f"the manifest signed by `{sender}`, held by `{found[0].agency}`, says what the log says"
        if own := self._own(book, msg):
            return me, f"its own proof of entry {own.index}, signed by the log, says what the log says"
        return either(me, BROKER), ""

    # -- the log's decisions against ledgers --

    def _decisions(self) -> None:
        for index, entry in self.log.decided.values():
            sender = self.ledgers.get(entry.from_)
            if isinstance(entry, DenialEntry):
                if sender is not None and entry.msg not in sender.denied:
                    self._unwritten(sender, index, entry, "not_in_ledger", "the log denied a message of")
                continue
            if sender is not None and entry.msg not in sender.sent:
                self._unwritten(sender, index, entry, "logged_not_disclosed", "the log has a disclosure by")
            for to in entry.to:
                book = self.ledgers.get(to.id)
                if book is not None and entry.msg not in book.received:
                    self._undelivered(book, index, entry)

    def _unwritten(self, book: LedgerBook, index: int, entry: Decided, code: str, said: str) -> None:
        me, own, manifest = book.agency, self._own(book, entry.msg), self._manifest(entry.msg)
        if not self._due_there(book, entry.at, knew=own is not None):
            self._wait(code)
            return
        if own is not None:
            who, proof = me, f"its own proof of entry {own.index}, signed by the log"
        elif manifest is not None:
            who, proof = me, f"the manifest signed by `{me}`, held by `{manifest[0].agency}`"
        else:
            who, proof = either(me, BROKER), ""
        sentence = f"{said} `{me}`; its ledger has not"
        self._find(code, sentence, who, index, proof, msg=entry.msg, ledger=me)

    def _undelivered(self, book: LedgerBook, index: int, entry: DisclosureEntry) -> None:
        me, msg = book.agency, entry.msg
        receipts = self.log.receipts.get((me, msg), [])
        signed = [(i, one) for i, one in receipts if self.log.batch(one)]
        if receipts:
            place, one = (signed or receipts)[0]
            if not self._due_there(book, one.at, knew=True):
                self._wait("receipt_without_message")
                return
            who = me if signed else either(me, BROKER)
            proof = f"the receipt batch `{one.batch}`, signed by `{me}`" if signed else ""
            sentence = f"the log has a receipt of `{me}`; its ledger has not the message"
            told = {"msg": msg, "ledger": me, "batch": one.batch, "receipt": place}
            self._find("receipt_without_message", sentence, who, index, proof, **told)
            return
        own, used = self._own(book, msg), book.local.get(msg)
        if not (used or self._due_there(book, entry.at, knew=own is not None)):
            self._wait("logged_not_delivered")
            return
        who, proof = either(me, BROKER), ""
        if own is not None:
            who, proof = me, f"its own proof of entry {own.index}, signed by the log"
        elif used:
            who, proof = me, f"act {used[0].n} of its own ledger, `{used[0].act}`, about the message"
        sentence = f"the log has a disclosure to `{me}`; its ledger has not the message"
        self._find("logged_not_delivered", sentence, who, index, proof, msg=msg, ledger=me)

    # -- receipts --

    def _receipts(self, book: LedgerBook) -> None:
        """What a ledger says became of messages, against its agency's receipts."""
        me = book.agency
        for msg, lines in book.received.items():
            if self.log.disclosure(msg) is None:
                continue
            entries = self.log.receipts.get((me, msg), [])
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
            told = any(one.status is ReceiptStatus.OPENED for _, one in self.log.receipts.get((me, msg), ()))
            if opened is not None and not told and msg in book.received and self.log.disclosure(msg) is not None:
                self._unreceipted(book, opened, msg, "opened")

    def _unreceipted(self, book: LedgerBook, line: Line, msg: str, status: str) -> None:
        against = self._contradicting(f"{msg} {book.agency} {status}")
        if not against and not self._due_here(line):
            self._wait("delivered_not_receipted")
            return
        who, proof = (BROKER, self._rests_on(against)) if against else (either(book.agency, BROKER), "")
        sentence = f"the ledger of `{book.agency}` says `{line.act}`; the log has no receipt `{status}` of it"
        told = {"msg": msg, "ledger": book.agency, "n": line.n, "status": status}
        self._find("delivered_not_receipted", sentence, who, line.index, proof, **told)

    def _outcomes(self, book: LedgerBook, msg: str, lines: list[Line], entries: list[tuple[int, ReceiptEntry]]) -> None:
        """Receipts in an agency's name, against what its ledger says became of the message."""
        kept = {line.outcome: line for line in lines}
        opens = [one for one in book.local.get(msg, ()) if one.act is Act.OPEN]
        for index, entry in entries:
            batch, said = self.log.batch(entry), entry.code or str(entry.status)
            who = book.agency if batch else either(book.agency, BROKER)
            proof = f"the receipt batch `{entry.batch}`, signed by `{book.agency}`" if batch else ""
            told = {"msg": msg, "ledger": book.agency, "batch": entry.batch}
            if entry.status is ReceiptStatus.OPENED:
                line = opens[0] if opens else None
                if line is None and not self._due_there(book, entry.at, knew=True):
                    self._wait("not_in_ledger")
                elif line is None:
                    sentence = f"the log has a receipt that `{book.agency}` opened this message; its ledger has not"
                    self._find("not_in_ledger", sentence, who, index, proof, **told, act=Act.OPEN, receipt=index)
            else:
                line = kept.get(said)
                if line is None and None not in kept:
                    if not self._due_there(book, entry.at, knew=True):
                        self._wait("facts_differ")
                        continue
                    sentence = f"the log has a receipt of `{book.agency}` that its ledger does not bear out"
                    status = f"ledger {' '.join(sorted(map(str, kept)))}, log {said}"
                    self._find("facts_differ", sentence, who, index, proof, **told, status=status)
            told_at = batch.ts if batch else entry.at
            if line is not None and line.ts is not None and line.ts > told_at + self.patience.tolerance:
                self._late(book, line, f"`{book.agency}` gave a receipt before the act", who, told_at, proof, index)

    def _held(self, book: LedgerBook) -> None:
        """What a ledger says was done with messages, against whether the log says that they were there."""
        for msg, lines in book.local.items():
            found = self.log.decided.get(msg)
            for line in lines:
                if found is None and msg not in book.received and msg not in book.sent:
                    self._unlogged(book, line, "not_in_log", f"says `{line.act}` of a message")
                elif found is not None and line.index is not None and line.index != found[0]:
                    if line.index >= self._same_until:
                        continue
                    own = self._own(book, msg)
                    who, proof = either(book.agency, BROKER), ""
                    if own is not None:
                        who, proof = book.agency, f"its own proof of entry {own.index}, signed by the log"
                    sentence = f"the ledger of `{book.agency}` names another entry for a message than the log has"
                    differ = f"ledger {line.index}, log {found[0]}"
                    told = {"msg": msg, "ledger": book.agency, "n": line.n, "index_of_message": differ}
                    self._find("facts_differ", sentence, who, found[0], proof, **told)
                elif isinstance(found[1] if found else None, DisclosureEntry) and not self._is_party(book, found[1]):  # type: ignore[index]
                    sentence = f"the ledger of `{book.agency}` has `{line.act}` of a message that never came to it"
                    own_head = f"the signed head of the ledger of `{book.agency}`"
                    told = {"msg": msg, "ledger": book.agency, "n": line.n}
                    self._find("not_in_log", sentence, book.agency, found[0], own_head, **told)  # type: ignore[index]

    def _is_party(self, book: LedgerBook, entry: Decided) -> bool:
        return entry.from_ == book.agency or any(to.id == book.agency for to in entry.to)

    # -- acts --

    def _answering(self, book: LedgerBook) -> None:
        """What a ledger says of acts, its own and those it was told, against the log's entries."""
        for index, line in book.answering.items():
            entry, shown = self.log.entries.get(index), self._acts_shown(book).get((index, line.msg))
            if isinstance(entry, ActEntry) and entry.msg == line.msg and shown in (None, entry.statement):
                self._compare_act(book, line, index, entry)
            elif shown is None or index < self._same_until or shown not in self.log.statements:
                self._unlogged(book, line, "not_in_log", "names an act", shown)

    def _acts_shown(self, book: LedgerBook) -> dict[tuple[int, str | None], str]:
        """The acts that a book was shown, by place and message."""
        if book.agency not in self._act_names:
            entries = [(proof.index, proof.entry) for proof in book.proofs]
            named = {(index, one.msg): one.statement for index, one in entries if isinstance(one, ActEntry)}
            self._act_names[book.agency] = named  # type: ignore[assignment]
        return self._act_names[book.agency]

    def _compare_act(self, book: LedgerBook, line: Line, index: int, entry: ActEntry) -> None:
        me, act = book.agency, self.log.acts.get(entry.statement)
        kinds = GIVEN if entry.by == me else HEARD
        differ: dict[str, tuple[str, str]] = {}
        if line.sender is not None:
            said = str(act.terms.outcome) if act and isinstance(act.terms, Answer) else str(entry.act)
            if line.act is not kinds[entry.act]:
                differ["act"] = (str(line.act), str(entry.act))
            if line.sender != entry.by:
                differ["by"] = (line.sender, entry.by)
            if line.outcome != said and (act is not None or str(entry.act) != "answer"):
                differ["outcome"] = (str(line.outcome), said)
        if differ:
            who = me if act is not None else either(me, BROKER)
            proof = f"the act `{entry.statement}`, signed by `{entry.by}`" if act is not None else ""
            said_so = {name: f"ledger {mine}, log {theirs}" for name, (mine, theirs) in differ.items()}
            sentence = f"the ledger of `{me}` and the log disagree about an act: {', '.join(differ)}"
            told = {"msg": entry.msg, "statement": entry.statement, "ledger": me, "n": line.n}
            self._find("facts_differ", sentence, who, index, proof, **told, **said_so)
        if line.ts is not None and line.ts + self.patience.tolerance < entry.at:
            sentence = f"`{me}` wrote down before it was logged what the log had told it"
            self._late(book, line, sentence, either(me, BROKER), entry.at, "", index)

    def _acts(self) -> None:
        """The log's acts against the ledgers of who gave them and who was told."""
        for index, entry in self.log.given:
            given = self.ledgers.get(entry.by)
            if given is not None and not self._has_act(given, index, entry):
                self._not_given(given, index, entry)
            for name in self.log.told.get(entry.statement, ()):
                book = self.ledgers.get(name)
                if book is not None and not self._has_act(book, index, entry):
                    self._not_heard(book, index, entry)

    def _has_act(self, book: LedgerBook, index: int, entry: ActEntry) -> bool:
        line, shown = book.answering.get(index), self._acts_shown(book).get((index, entry.msg))
        if line is not None and line.msg == entry.msg and shown in (None, entry.statement):
            return True
        if index < self._same_until:
            return False
        own = next((p for one, p in self._shown.get(entry.statement, ()) if one is book), None)
        return own is not None and own.index in book.answering  # it stands where this book was shown it

    def _not_given(self, book: LedgerBook, index: int, entry: ActEntry) -> None:
        me, signed = book.agency, entry.statement in self.log.acts
        if not self._due_there(book, entry.at):
            self._wait("not_in_ledger")
            return
        who = me if signed else BROKER
        proof = f"the act `{entry.statement}`, signed by `{me}`" if signed else "the log, which cannot show the act"
        sentence = f"the log has an act `{entry.act}` in the name of `{me}`; its ledger does not say so"
        told = {"msg": entry.msg, "act": entry.act, "statement": entry.statement, "ledger": me}
        self._find("not_in_ledger", sentence, who, index, proof, **told)

    def _not_heard(self, book: LedgerBook, index: int, entry: ActEntry) -> None:
        me, own = book.agency, self._own(book, entry.statement)
        if not self._due_there(book, entry.at, knew=own is not None):
            self._wait("logged_not_delivered")
            return
        who, proof = either(me, BROKER), ""
        if own is not None:
            who, proof = me, f"its own proof of entry {own.index}, signed by the log"
        sentence = f"the log has an act `{entry.act}` of `{entry.by}` for `{me}`; its ledger has not"
        told = {"msg": entry.msg, "act": entry.act, "statement": entry.statement, "ledger": me}
        self._find("logged_not_delivered", sentence, who, index, proof, **told)

    def _erased(self, book: LedgerBook) -> None:
        """An agency's word that it erased something, against its ledger, and the other way round."""
        me, said = book.agency, set[str]()
        for index, entry, with_all in self.log.erasures(me):
            names = self.log.tree(entry.msg) if with_all else {entry.msg}
            said |= names
            act = self.log.acts.get(entry.statement)
            said_at = act.terms.signed_at if act else entry.at
            for msg in sorted(names):
                taken, gone = book.taken(msg), book.erased(msg)
                if taken is None or (self._where(msg) or index) > index:
                    continue
                told = {"msg": msg, "statement": entry.statement, "ledger": me}
                proof = f"the act `{entry.statement}`, signed by `{me}`"
                who = me if act else either(me, BROKER)
                if gone is None and not self._due_there(book, entry.at, knew=True):
                    self._wait("erasure_not_done")
                elif gone is None:
                    sentence = f"`{me}` said that it erased this message; its ledger has no such act"
                    self._find("erasure_not_done", sentence, who, index, proof, **told)
                elif gone.ts is not None and gone.ts > said_at + self.patience.tolerance:
                    self._late(book, gone, f"`{me}` said that it erased this before it did", who, said_at, proof, index)
        for msg, lines in book.local.items():
            gone = book.erased(msg)
            if gone is None or msg not in book.received:
                continue
            for line in lines:
                if line.act in USED and line.n > gone.n:
                    sentence = f"the ledger of `{me}` has `{line.act}` of a message behind its erasure"
                    own = f"the signed head of the ledger of `{me}`"
                    told = {"msg": msg, "ledger": me, "n": str(line.n), "erased": str(gone.n)}
                    self._find("erasure_not_done", sentence, me, line.index, own, **told)
            if msg not in said and self.log.disclosure(msg) is not None:
                self._untold(book, gone, msg)

    def _where(self, msg: str) -> int | None:
        found = self.log.decided.get(msg)
        return found[0] if found else None

    def _untold(self, book: LedgerBook, line: Line, msg: str) -> None:
        me = book.agency
        against = [
            pair for some in self._shown.values() for pair in some
            if isinstance(entry := pair[1].entry, ActEntry) and entry.by == me and self._is_against(*pair)
            and msg in self.log.tree(entry.msg) and str(entry.act) in ("erased", "answer")
        ]  # fmt: skip
        if not against and not self._due_here(line):
            self._wait("not_in_log")
            return
        who, proof = (BROKER, self._rests_on(against)) if against else (either(me, BROKER), "")
        sentence = f"the ledger of `{me}` says that it erased a message; the log has no act that says so"
        told = {"msg": msg, "act": Act.ERASE, "ledger": me, "n": line.n}
        self._find("not_in_log", sentence, who, line.index, proof, **told)

    # -- held proofs --

    def _proofs(self) -> None:
        """Proofs that show another log than the export and that no finding has named; those only moved are one."""
        rest = [
            (book, proof) for some in self._shown.values() for book, proof in some
            if self._is_against(book, proof) and (book.agency, proof.name) not in self._told
        ]  # fmt: skip
        moved = []
        by_entry: dict[object, list[tuple[LedgerBook, HeldProof]]] = defaultdict(list)
        for book, proof in rest:
            if self._knows(proof):
                moved.append((book, proof))
            else:
                by_entry[proof.index, proof.entry.to_bytes()].append((book, proof))
        for pairs in by_entry.values():
            proof = pairs[0][1]
            sentence = f"the log gave proof of entry {proof.index}, `{proof.entry.typ}`, which it does not have"
            names = ("msg", "by", "status", "statement", "head")
            told = {"entry": proof.entry.typ} | {name: getattr(proof.entry, name, None) for name in names}
            self._find("held_proof_contradicts_log", sentence, BROKER, proof.index, self._rests_on(pairs), **told)
        if moved or (self._against and not by_entry and not self._told):
            self._other_tree(moved)

    def _knows(self, proof: HeldProof) -> bool:
        """Whether the log has this very entry, here or elsewhere."""
        return _same_entry(self.log, proof)

    def _other_tree(self, moved: list[tuple[LedgerBook, HeldProof]]) -> None:
        book, first = min(moved, key=lambda pair: (pair[1].size, pair[1].index))
        known = self.log.roots.get(first.size)
        sentence = (
            f"the log as it was shown to {len(moved)} holders of proofs is another from some entry before {first.size}"
        )
        told = {
            "proofs": len(moved), "same_until": self._same_until, "size": first.size, "shown_root": b64u(first.root),
            "log_root": b64u(known) if known else None,
        }  # fmt: skip
        self._find("held_proof_contradicts_log", sentence, BROKER, None, self._rests_on([(book, first)]), **told)


def _same_entry(log: LogBook, proof: HeldProof) -> bool:
    entry = proof.entry
    if log.entries.get(proof.index) == entry:
        return True
    if isinstance(entry, DisclosureEntry | DenialEntry):
        found = log.decided.get(entry.msg)
        return found is not None and found[1] == entry
    if isinstance(entry, ReceiptEntry):
        return any(one == entry for _, one in log.receipts.get((entry.by, entry.msg), ()))
    if isinstance(entry, ActEntry):
        return any(one == entry for _, one in log.given if one.statement == entry.statement)
    return any(one == entry for some in log.heads.values() for _, one in some)


def _about(proof: HeldProof) -> str:
    """What a held proof is about: a message, a receipt for one, an act, or something else by its name."""
    entry = proof.entry
    if isinstance(entry, DisclosureEntry | DenialEntry):
        return entry.msg
    if isinstance(entry, ReceiptEntry):
        return f"{entry.msg} {entry.by} {entry.status}"
    return entry.statement if isinstance(entry, ActEntry) else proof.name


def _differences(line: Line, index: int, entry: Decided) -> dict[str, tuple[str, str]]:
    """What an act and an entry say differently, by name: as the ledger has it, as the log has it."""
    pairs: dict[str, tuple[object, object]] = {"index": (line.index, index)}
    if line.agr is not None:
        pairs["agreement"] = (line.agr, entry.agr)
    if line.sender is not None:
        mine, theirs = (line.sender, *sorted(line.to)), (entry.from_, *sorted(to.id for to in entry.to))
        pairs["parties"] = (" ".join(mine), " ".join(theirs))
    if line.purpose is not None:
        pairs["purpose"] = (line.purpose, entry.purpose)
    if line.cats is not None:
        pairs["categories"] = (" ".join(sorted(line.cats)), " ".join(entry.cats))
    if line.clauses is not None:
        pairs["clauses"] = (" ".join(line.clauses), " ".join(_clauses(entry)))
    if isinstance(entry, DenialEntry) and line.outcome is not None:
        pairs["outcome"] = (line.outcome, entry.code)
    return {name: (str(one), str(other)) for name, (one, other) in pairs.items() if one != other}


def _clauses(entry: Decided) -> Iterator[str]:
    if isinstance(entry, DisclosureEntry):
        yield from dict.fromkeys(clause for to in entry.to for clause in to.clauses)
    else:
        yield from dict.fromkeys(to.nearest for to in entry.to if to.nearest)


def _unlike(manifest: object, entry: Decided) -> list[str]:
    """Which facts of an entry are not those that its sender signed (LOG-39)."""
    names = ("id", "from_", "agr", "type", "purpose", "crime", "class_", "urgency", "exempt")
    wrong = [name.strip("_") for name in names if getattr(manifest, name) != getattr(entry, name)]
    if [to.id for to in manifest.to] != [to.id for to in entry.to]:  # type: ignore[attr-defined]
        wrong.append("to")
    lists = ("handling", "cats", "src")
    wrong += [name for name in lists if tuple(getattr(manifest, name) or ()) != tuple(getattr(entry, name) or ())]
    if isinstance(entry, DisclosureEntry) and manifest.re != entry.re:  # type: ignore[attr-defined]
        wrong.append("re")
    return wrong

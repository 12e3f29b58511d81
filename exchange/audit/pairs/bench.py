"""What every comparison of two books shares: who can show what, what is due by now, and how a finding is said.

One agency, or the broker, is answerable alone only by what it signed, by what it was bound to show and cannot, or where
its own book contradicts itself (LOG-102). What a book may still be waiting for is counted (LOG-101).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property

from exchange.audit.finding import Finding
from exchange.audit.ledger_lines import HeldProof, LedgerBook, Line
from exchange.audit.log_book import BROKER, LogBook, Patience
from exchange.protocol.entry import ActEntry, DenialEntry, DisclosureEntry, ReceiptEntry
from exchange.protocol.vocabulary import Act
from keys.encoding import stamp


def either(*who: str) -> str:
    """The name of whoever is answerable, if it is one of these; agencies first."""
    return " or ".join(sorted(set(who), key=lambda one: (one == BROKER, one)))


class Bench:
    """The log, the ledgers, and what was found in holding them against each other."""

    def __init__(self, log: LogBook, ledgers: Mapping[str, LedgerBook], patience: Patience) -> None:
        self.log, self.ledgers, self.patience = log, ledgers, patience
        self.findings: list[Finding] = []
        self.waiting: Counter[str] = Counter()
        self.told: set[tuple[str, str]] = set()  # book and name of proofs that a finding rests on
        self._act_names: dict[str, dict[tuple[int, str | None], str]] = {}

    @cached_property
    def shown(self) -> dict[str, list[tuple[LedgerBook, HeldProof]]]:
        """Every held proof by what it is about: message, receipt or act."""
        found: dict[str, list[tuple[LedgerBook, HeldProof]]] = defaultdict(list)
        for book in self.ledgers.values():
            for proof in book.proofs:
                found[about_of(proof)].append((book, proof))
        return found

    def contradicts(self, proof: HeldProof) -> bool:
        """Whether the log has another entry at its place, or another tree at its size (LOG-103)."""
        here = proof.index < self.log.size and proof.index not in self.log.lost
        if here and self.log.entries.get(proof.index) != proof.entry:
            return True
        known = self.log.roots.get(proof.size)
        return known is not None and known != proof.root

    @cached_property
    def against(self) -> dict[tuple[str, str], HeldProof]:
        """Held proofs that contradict the log, by book and name."""
        pairs = ((book, proof) for some in self.shown.values() for book, proof in some)
        return {(book.agency, proof.name): proof for book, proof in pairs if self.contradicts(proof)}

    @cached_property
    def same_until(self) -> int:
        """From where on the log is known to be another than somebody was shown: no index counts behind it."""
        if not self.against:
            return self.log.size
        sizes = [p.size for some in self.shown.values() for _, p in some if self.log.roots.get(p.size) == p.root]
        least = min(min(proof.index, proof.size) for proof in self.against.values())
        return max([size for size in sizes if size <= least], default=0)

    def contradicting(self, about: str, entry: object = None) -> list[tuple[LedgerBook, HeldProof]]:
        """The proofs about something by which the broker said otherwise than the log says, or than ``entry``."""
        found = [(book, proof) for book, proof in self.shown.get(about, ()) if self.is_against(book, proof)]
        return [one for one in found if entry is None or one[1].entry != entry]

    def is_against(self, book: LedgerBook, proof: HeldProof) -> bool:
        return (book.agency, proof.name) in self.against

    def own(self, book: LedgerBook, about: str) -> HeldProof | None:
        """A proof of this book's own that agrees with the log about something."""
        some = self.shown.get(about, ())
        return next((p for one, p in some if one is book and not self.is_against(one, p)), None)

    def manifest(self, msg: str) -> tuple[LedgerBook, HeldProof] | None:
        return next(((book, p) for book, p in self.shown.get(msg, ()) if p.manifest is not None), None)

    def due_there(self, book: LedgerBook, at: datetime, *, knew: bool = False) -> bool:
        """Whether a ledger should have by now what happened then; ``knew``: it signed something after writing it."""
        return book.at is None or at + (self.patience.tolerance if knew else self.patience.grace) <= book.at

    def before(self, book: LedgerBook, at: datetime) -> bool:
        """Whether something was logged before this ledger began, so that it need not have it."""
        return book.since is not None and at <= book.since

    def due_here(self, line: Line) -> bool:
        """Whether the log should have by now what a ledger has."""
        return self.log.at is None or line.ts is None or line.ts + self.patience.grace <= self.log.at

    def is_lost(self, index: int | None) -> bool:
        return index is not None and index in self.log.lost

    def wait(self, code: str) -> None:
        self.waiting[code] += 1

    def find(
        self, code: str, sentence: str, who: str, index: int | None = None, proof: str = "", /, **evidence: object
    ) -> None:
        said = {name: str(value) for name, value in evidence.items() if value is not None}
        self.findings.append(Finding(code, sentence, index, said | ({"proof": proof} if proof else {}), who))

    def rests_on(self, proofs: Iterable[tuple[LedgerBook, HeldProof]]) -> str:
        """Say which held proofs bear a finding out; they are not reported again."""
        some = list(proofs)
        self.told |= {(book.agency, proof.name) for book, proof in some}
        names = [f"`{book.agency}` holds entry {p.index} proved in a tree of {p.size}" for book, p in some]
        return f"signed by the log: {'; '.join(names)}"

    def late(
        self, book: LedgerBook, line: Line, sentence: str, who: str, at: datetime, proof: str, index: int | None = None
    ) -> None:
        told = {"ledger": book.agency, "n": line.n, "act": line.act, "msg": line.msg, "ts": stamp(line.ts or at)}
        self.find("clock_out_of_order", sentence, who, index, proof, **told, other=stamp(at))

    def unlogged(self, book: LedgerBook, line: Line, code: str, said: str, about: str | None = None) -> None:
        """A ledger says that the log has something, and it has not."""
        me, about = book.agency, about or line.msg or ""
        against = self.contradicting(about)
        if self.is_lost(line.index):
            return
        if not against and line.index is not None and line.index >= self.log.size:
            self.wait(code)
            return
        must_show = book.shows and book.erased(line.msg or "") is None and about not in book.unjudged
        must_show = must_show and not (line.act is Act.RECEIVE and line.outcome not in (None, "delivered"))
        if against:
            who, proof = BROKER, self.rests_on(against)
        elif must_show:
            who, proof = me, f"the signed head of the ledger of `{me}`, which can show no proof of the log"
        else:
            who, proof = either(me, BROKER), ""
        sentence = f"the ledger of `{me}` {said}; the log has no such entry"
        told = {"msg": line.msg, "act": line.act, "ledger": me, "n": line.n}
        told |= {"statement": about} if about != line.msg else {}
        self.find(code, sentence, who, line.index, proof, **told)

    def where(self, msg: str) -> int | None:
        found = self.log.decided.get(msg)
        return found[0] if found else None

    def acts_shown(self, book: LedgerBook) -> dict[tuple[int, str | None], str]:
        """The acts that a book was shown, by place and message."""
        if book.agency not in self._act_names:
            entries = [(proof.index, proof.entry) for proof in book.proofs]
            named = {(index, one.msg): one.statement for index, one in entries if isinstance(one, ActEntry)}
            self._act_names[book.agency] = named  # type: ignore[assignment]
        return self._act_names[book.agency]


def about_of(proof: HeldProof) -> str:
    """What a held proof is about: a message, a receipt for one, an act, or something else by its name."""
    entry = proof.entry
    if isinstance(entry, DisclosureEntry | DenialEntry):
        return entry.msg
    if isinstance(entry, ReceiptEntry):
        return f"{entry.msg} {entry.by} {entry.status}"
    return entry.statement if isinstance(entry, ActEntry) else proof.name

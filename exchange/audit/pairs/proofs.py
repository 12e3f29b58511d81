"""Held proofs that show another log than the one that was exported (LOG-103, LOG-106)."""

from __future__ import annotations

from collections import defaultdict

from exchange.audit.ledger_lines import HeldProof, LedgerBook
from exchange.audit.log_book import BROKER, LogBook
from exchange.audit.pairs.bench import Bench
from exchange.protocol.entry import ActEntry, DenialEntry, DisclosureEntry, ReceiptEntry
from keys.encoding import b64u


class Proofs:
    """What the log signed before, against what it shows now."""

    def __init__(self, on: Bench) -> None:
        self.on = on

    def proofs(self) -> None:
        """Proofs that show another log than the export and that no finding has named; those only moved are one."""
        rest = [
            (book, proof) for some in self.on.shown.values() for book, proof in some
            if self.on.is_against(book, proof) and (book.agency, proof.name) not in self.on.told
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
            self.on.find("held_proof_contradicts_log", sentence, BROKER, proof.index, self.on.rests_on(pairs), **told)
        if moved or (self.on.against and not by_entry and not self.on.told):
            self._other_tree(moved)

    def _knows(self, proof: HeldProof) -> bool:
        """Whether the log has this very entry, here or elsewhere."""
        return _same_entry(self.on.log, proof)

    def _other_tree(self, moved: list[tuple[LedgerBook, HeldProof]]) -> None:
        book, first = min(moved, key=lambda pair: (pair[1].size, pair[1].index))
        known = self.on.log.roots.get(first.size)
        sentence = (
            f"the log as it was shown to {len(moved)} holders of proofs is another from some entry before {first.size}"
        )
        told = {
            "proofs": len(moved), "same_until": self.on.same_until, "size": first.size, "shown_root": b64u(first.root),
            "log_root": b64u(known) if known else None,
        }  # fmt: skip
        self.on.find("held_proof_contradicts_log", sentence, BROKER, None, self.on.rests_on([(book, first)]), **told)


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

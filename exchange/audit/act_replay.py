"""Replaying acts and signatures: was each its author's to give, and is it borne out? (LOG-46 to LOG-49, LOG-55)

The part of ``replay`` that keeps the tree of onward disclosures while the entries go by. It reads the exported acts,
judges them as the broker had to, tells which sources bind a message, and holds an agency's word that it erased
something against what it did afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from exchange.audit.finding import Finding, by_its_key
from exchange.protocol.act import Acknowledge, Act, Keep, read_act
from exchange.protocol.entry import ActEntry, AgreementEntry, DenialEntry, DisclosureEntry, ReceiptEntry, SignatureEntry
from exchange.protocol.errors import ActRefused
from exchange.protocol.lineage import Lineage
from exchange.protocol.matching import Source
from exchange.protocol.obligations import owed
from exchange.protocol.receipt import ReceiptBatch
from exchange.protocol.vocabulary import ActKind, Handling, ReceiptStatus
from keys.encoding import instant, stamp
from keys.errors import Refusal
from keys.trust import Directory

if TYPE_CHECKING:
    from exchange.protocol.terms import AgreementTerms

Found = Callable[[str, str, int, dict[str, str] | None], None]
"""Reports a finding: code, sentence, index, evidence."""


class ActReplay:
    """What acts and signatures amount to, entry by entry.

    ``known`` says whether all sources are: nothing is missing, and no act was refused that may have bound somebody.
    """

    def __init__(self, found: Found) -> None:
        self._found = found
        self.lineage = Lineage()
        self.known = True
        self._whole = True  # nothing is missing, so whatever does not fit is wrong
        self._refused: set[str] = set()
        self._owing: list[tuple[int, DisclosureEntry, AgreementTerms]] = []
        self._had: set[tuple[str, str]] = set()
        self._opened: dict[tuple[str, str], datetime] = {}
        self._kept: dict[tuple[str, str], datetime] = {}
        self._acknowledged: set[tuple[str, str]] = set()
        self._signed: dict[str, dict[str, int]] = {}
        self._complete: set[str] = set()

    def lose(self) -> None:
        """Something is missing, or not to be believed, that may have been a disclosure or an act."""
        self.known = self._whole = False

    # -- disclosures --

    def sources(self, entry: DisclosureEntry | DenialEntry) -> tuple[Source, ...]:
        """What binds a message that names sources, by the entries and acts before it (ACT-20)."""
        return self.lineage.sources_for(entry.src, entry.from_) if entry.src else ()

    def judge_word(self, index: int, entry: DisclosureEntry | DenialEntry) -> None:
        """Hold what its sender said it had erased against a message that comes from it."""
        act = self.lineage.contradicted(entry.from_, entry.src) if entry.src else None
        if act is not None:
            sentence = f"`{entry.from_}` discloses from a message that it had said it erased"
            self._found("erasure_contradicted", sentence, index, _word(act))

    def take_disclosure(self, index: int, entry: DisclosureEntry, terms: AgreementTerms | None) -> None:
        """Hang a disclosure into the tree."""
        self.lineage.with_disclosure(index, entry, terms)
        if terms is not None:
            self._owing.append((index, entry, terms))

    def judge_receipt(self, index: int, entry: ReceiptEntry, batch: ReceiptBatch | None) -> None:
        """Hold what a recipient said it had erased against its receipt that it opened it."""
        if entry.status is not ReceiptStatus.REJECTED:
            self._had.add((entry.by, entry.msg))
        if entry.status is ReceiptStatus.OPENED:
            self._opened[entry.by, entry.msg] = entry.at
        act = self.lineage.erased(entry.by, entry.msg) if entry.status is ReceiptStatus.OPENED else None
        if act is not None and not (batch is not None and batch.ts <= act.terms.signed_at):
            sentence = f"`{entry.by}` opened a message that it had said it erased"
            self._found("erasure_contradicted", sentence, index, _word(act))

    # -- acts --

    def judge_act(self, index: int, entry: ActEntry, data: bytes | None, trusted: Directory, *, sure: bool) -> bool:
        """Take up an act that holds; whether it could be judged. ``sure`` says that nothing before it is missing."""
        if data is None:
            self.lose()
            return False
        try:
            act = read_act(data, trusted, entry.at)
            said = (act.digest, act.kind, act.terms.by, act.terms.msg, act.terms.refers_to)
            if said != (entry.statement, entry.act, entry.by, entry.msg, entry.re):
                raise ActRefused("the signed act does not say what the entry says")
            if self.lineage.statement(act.digest) is not None:
                raise ActRefused("the same act was logged before")
        except Refusal as refusal:
            self._refuse(index, "act_refused", refusal, entry.statement)
            return True
        return self._take_act(index, act, sure=sure and self._whole and act.terms.refers_to not in self._refused)

    def _refuse(self, index: int, code: str, refusal: Refusal, statement: str) -> None:
        self.known = False
        self._refused.add(statement)
        self._found(code, refusal.sentence, index, {"statement": statement} | by_its_key(refusal))

    def _take_act(self, index: int, act: Act, *, sure: bool) -> bool:
        try:
            self.lineage.may(act.terms)
        except Refusal as refusal:
            if sure:  # else what it rests on may be what is missing or was refused
                self._refuse(index, refusal.code, refusal, act.digest)
                return True
            self.lose()
            self.lineage.with_act(index, act)
            return False
        self.lineage.with_act(index, act)
        if isinstance(act.terms, Keep):
            self._kept[act.terms.by, act.terms.msg] = instant(act.terms.until)
        if isinstance(act.terms, Acknowledge):
            self._acknowledged.add((act.terms.by, act.terms.msg))
        return True

    def silent(self, at: datetime, within: timedelta) -> list[Finding]:
        """Every holder that has not answered in time at ``at`` (LOG-47)."""
        found = []
        for followed, holder in self.lineage.unanswered(at, within):
            act = followed.act
            code = "recall_unanswered" if act.kind is ActKind.RECALL else "act_unanswered"
            sentence = f"`{holder}` has not answered the {act.kind} of `{act.terms.by}` since {stamp(act.at)}"
            evidence = {"msg": act.terms.msg, "holder": holder, "since": stamp(act.at)}
            evidence |= {"through": followed.holders[holder], "statement": act.digest}
            found.append(Finding(code, sentence, followed.seq, evidence))
        return found

    def overdue(self, at: datetime, within: timedelta) -> list[Finding]:
        """Every recipient that had a message, by its own receipt, and has not said in time that it is gone (LOG-49)."""
        found = []
        for index, entry, terms in self._owing:
            for to in entry.to:
                had = (to.id, entry.msg) in self._had and self.lineage.erased(to.id, entry.msg) is None
                due = self._due(entry, to.id, terms) if had else None
                if due is not None and at - due > within:
                    sentence = f"`{to.id}` has not said that it erased this message, which was due at {stamp(due)}"
                    evidence = {"msg": entry.msg, "holder": to.id, "since": stamp(due)}
                    found.append(Finding("erasure_overdue", sentence, index, evidence))
        return found

    def unacknowledged(self, at: datetime, within: timedelta) -> list[Finding]:
        """Every recipient that opened a message with a handling text and has not acknowledged it in time (LOG-55)."""
        found = []
        for index, entry, _ in self._owing:
            for to in entry.to if Handling.H3 in entry.handling else ():
                opened = self._opened.get((to.id, entry.msg))
                if opened is None or (to.id, entry.msg) in self._acknowledged or at - opened <= within:
                    continue
                sentence = f"`{to.id}` has opened this message and not acknowledged its handling text"
                evidence = {"msg": entry.msg, "holder": to.id, "since": stamp(opened)}
                found.append(Finding("not_acknowledged", sentence, index, evidence))
        return found

    def _due(self, entry: DisclosureEntry, recipient: str, terms: AgreementTerms) -> datetime | None:
        try:
            binding = owed(entry, recipient, terms)
        except KeyError:  # a clause that the agreement does not have: found before
            return None
        ends, review = binding.erase_at(entry.at, terms.end), binding.review_at(entry.at)
        kept = self._kept.get((recipient, entry.msg))
        if review is not None and kept is not None:
            review = max(review, kept)
        return min((one for one in (ends, review) if one is not None), default=None)

    # -- signatures --

    def judge_signature(self, index: int, entry: SignatureEntry) -> None:
        """Take up a party's signature; who may sign shows when the agreement is logged."""
        if entry.agr in self._complete:
            sentence = f"`{entry.by}` signs an agreement that was complete before"
            self._found("signature_unfounded", sentence, index, {"agr": entry.agr})
        else:
            self._signed.setdefault(entry.agr, {}).setdefault(entry.by, index)

    def judge_agreement(self, index: int, entry: AgreementEntry, *, sure: bool) -> None:
        """Hold the signatures logged before an agreement against its parties."""
        signed = self._signed.pop(entry.agr, {})
        missing = [party for party in entry.parties if party not in signed]
        if missing and sure and entry.agr not in self._complete:
            evidence = {"agr": entry.agr, "missing": " ".join(missing)}
            sentence = f"no signature of `{missing[0]}` was logged before the agreement"
            self._found("signature_missing", sentence, index, evidence)
        for by, place in signed.items():
            if by not in entry.parties:
                sentence = f"`{by}` is no party to the agreement that it is said to have signed"
                self._found("signature_unfounded", sentence, place, {"agr": entry.agr})
        self._complete.add(entry.agr)


def _word(act: Act) -> dict[str, str]:
    return {"msg": act.terms.msg, "statement": act.digest, "since": stamp(act.at)}

"""The ledger: who looked at, sent or refused what, when and why, in a chain nobody can edit unseen
(`spec/nodes.md`, NODE-50 to NODE-54; Directive (EU) 2016/680 article 25).

An act is written once, as bytes, and named by their SHA-256; each names the one before it. A second
seal, under a key of the node, keeps somebody with the database but not the keystore from writing a new
chain. Cases are pseudonyms, reasons are locked, content is never here. Cutting off the newest acts is
not visible in the chain itself: ``reconcile`` finds the disclosures that the log has and the ledger lacks.

Pure: the service says the time and stores the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from agencies.node.errors import JustificationRefused, LedgerBroken
from exchange.protocol.vocabulary import Act, Justification
from keys.encoding import b64u, digest, read_json, stamp, unb64u, write_json
from keys.errors import Refusal
from keys.sealing import pseudonym
from keys.vault import Vault

MIN_REASON: Final = 20
"""Characters of the shortest reason (NODE-14)."""
MAX_REASON: Final = 2000
MIN_LETTERS: Final = 8
MIN_WORDS: Final = 3
MAX_ACT: Final = 64 * 1024
GENESIS: Final = digest(b"ix/1 ledger")
"""What the first act names as the one before it."""


@dataclass(frozen=True, slots=True)
class Why:
    """A reason that passed ``justify``: a code and a sentence."""

    code: Justification
    text: str


def justify(code: str, text: str) -> Why:
    """Take an officer's reason, or refuse it: too short, repeated, or without words (NODE-14)."""
    try:
        known = Justification(code)
    except ValueError:
        allowed = ", ".join(Justification)
        raise JustificationRefused(f"the justification code is one of: {allowed}") from None
    reason = " ".join(text.split())
    if not MIN_REASON <= len(reason) <= MAX_REASON:
        raise JustificationRefused(f"say why in {MIN_REASON} to {MAX_REASON} characters")
    words = reason.casefold().split()
    letters = {c for c in reason.casefold() if c.isalpha()}
    if len(letters) < MIN_LETTERS or len(set(words)) < MIN_WORDS or len(set(words)) * 2 < len(words):
        raise JustificationRefused("say why in a sentence of your own; repeated characters or words are not a reason")
    return Why(known, reason)


@dataclass(frozen=True, slots=True)
class LedgerAct:
    """One act, before it is chained. ``index`` is the log entry it answers to, where there is one."""

    act: Act
    officer: str | None = None
    why: Why | None = None
    purpose: str | None = None
    agreement: str | None = None
    clauses: tuple[str, ...] = ()
    case: str | None = None
    message: str | None = None
    sender: str | None = None
    recipients: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    outcome: str = "done"
    reasons: tuple[str, ...] = ()
    index: int | None = None
    released_by: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One chained act as it is stored: its number, its exact bytes, their name and the node's seal."""

    n: int
    body: bytes
    hash: str
    seal: bytes


class Scribe:
    """Writes acts for one agency: locks reasons, names officers and cases by pseudonym, and chains."""

    def __init__(self, agency: str, vault: Vault, pseudonym_key: bytes) -> None:
        self._agency, self._vault, self._pseudonyms = agency, vault, pseudonym_key

    def case(self, reference: str) -> str:
        """Name a case so that only this node can tell which it is."""
        return pseudonym(self._pseudonyms, "case", reference)

    def officer(self, officer_id: str) -> str:
        """Name an officer so that only this node can tell who it is; this is a manifest's ``by``."""
        return pseudonym(self._pseudonyms, "officer", officer_id)

    def chain(self, head: tuple[int, str], acts: Iterable[LedgerAct], now: datetime) -> list[Entry]:
        """Write acts after ``head`` (number and hash of the last one), in order."""
        n, prev = head
        ts = stamp(now)
        written: list[Entry] = []
        for act in acts:
            n += 1
            body = write_json(self._members(n, prev, act, ts))
            prev = digest(body)
            written.append(Entry(n, body, prev, self._vault.seal(body)))
        return written

    def read(self, body: bytes) -> dict[str, Any]:
        """Show one stored act to an auditor, its reason unlocked."""
        act: dict[str, Any] = read_json(body, limit=MAX_ACT)
        if act["why"] is not None:
            act["why"] = self._vault.unlock(unb64u(act["why"]), f"ledger {act['n']}").decode()
        return act

    def verify(self, entries: Sequence[Entry]) -> tuple[int, str]:
        """Return number and hash of the last act if the whole chain holds; refused at the first that does not."""
        n, prev = 0, GENESIS
        for entry in entries:
            n += 1
            try:
                members = read_json(entry.body, limit=MAX_ACT)
                self._vault.check_seal(entry.body, entry.seal)
            except Refusal as refusal:
                raise LedgerBroken(f"act {n} of the ledger was changed: {refusal.sentence}") from refusal
            if (entry.n, members["n"], members["prev"], entry.hash) != (n, n, prev, digest(entry.body)):
                raise LedgerBroken(f"act {n} of the ledger does not follow from the one before it")
            prev = entry.hash
        return n, prev

    def _members(self, n: int, prev: str, act: LedgerAct, ts: str) -> dict[str, Any]:
        why = b64u(self._vault.lock(act.why.text.encode(), f"ledger {n}")) if act.why else None
        return {
            "v": "ix/1",
            "typ": "act",
            "n": n,
            "prev": prev,
            "ts": ts,
            "act": act.act.value,
            "agency": self._agency,
            "officer": act.officer,
            "by": self.officer(act.officer) if act.officer else None,
            "code": act.why.code.value if act.why else None,
            "why": why,
            "purpose": act.purpose,
            "agr": act.agreement,
            "clauses": list(act.clauses),
            "case": act.case,
            "msg": act.message,
            "from": act.sender,
            "to": list(act.recipients),
            "persons": [c for c in act.categories if c.startswith("person_")],
            "cats": [c for c in act.categories if not c.startswith("person_")],
            "outcome": act.outcome,
            "reasons": list(act.reasons),
            "index": act.index,
            "released_by": act.released_by,
        }

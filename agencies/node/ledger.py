"""The ledger: who looked at, sent or refused what, when and why, act by act (`spec/nodes.md`, NODE-50 to NODE-54;
Directive (EU) 2016/680 article 25).

An act is written once, as bytes, which are a leaf of the ledger's tree (``ledger_log``) and are named by their
SHA-256. A seal, under a key of the node, keeps somebody with the database but not the keystore from writing
another. Officers and cases are pseudonyms, reasons are locked, content is never here. That the newest acts were
cut off does not show in the acts: the heads show it that were signed over them (``heads``).

Pure: the service says the time and stores the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
MAX_ACT: Final = 2**16 - 1
"""What an entry bundle holds at most (LOG-14)."""


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
    """One act, before it is written down; only here do ``officer`` and ``released_by`` name people.

    ``index`` is the log entry it answers to, where there is one.
    """

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
    """One act as it is stored: its number, what it is found by, its exact bytes, their name and the node's seal."""

    n: int
    ts: str
    act: str
    by: str | None
    msg: str | None
    case_name: str | None
    body: bytes
    hash: str
    seal: bytes


class Scribe:
    """Writes acts for one agency: locks reasons, names officers and cases by pseudonym, and seals."""

    def __init__(self, agency: str, vault: Vault, pseudonym_key: bytes) -> None:
        self._agency, self._vault, self._pseudonyms = agency, vault, pseudonym_key

    def case(self, reference: str) -> str:
        """Name a case so that only this node can tell which it is."""
        return pseudonym(self._pseudonyms, "case", reference)

    def officer(self, officer_id: str) -> str:
        """Name an officer so that only this node can tell who it is; this is a manifest's ``by``."""
        return pseudonym(self._pseudonyms, "officer", officer_id)

    def write(self, after: int, acts: Iterable[LedgerAct], now: datetime) -> list[Entry]:
        """Write acts down behind the one numbered ``after``, in order."""
        written: list[Entry] = []
        for n, act in enumerate(acts, start=after + 1):
            members = self._members(n, act, now)
            if len(body := write_json(members)) > MAX_ACT:
                raise ValueError(f"an act of {len(body)} bytes does not fit into the ledger")
            written.append(Entry(**_found_by(members), body=body, hash=digest(body), seal=self._vault.seal(body)))
        return written

    def read(self, body: bytes) -> dict[str, Any]:
        """Show one stored act to an auditor, its reason unlocked."""
        act: dict[str, Any] = read_json(body, limit=MAX_ACT)
        if act["why"] is not None:
            act["why"] = self._vault.unlock(unb64u(act["why"]), f"ledger {act['n']}").decode()
        return act

    def verify(self, entries: Iterable[Any]) -> Iterator[Entry]:
        """Give the acts back one by one as long as each is whole and follows; refused at the first that does not.

        ``entries`` may be anything with the attributes of an ``Entry``.
        """
        for n, entry in enumerate(entries, start=1):
            try:
                self._vault.check_seal(entry.body, entry.seal)
                members = read_json(entry.body, limit=MAX_ACT)
            except Refusal as refusal:
                raise LedgerBroken(f"act {n} of the ledger was changed: {refusal.sentence}") from refusal
            if members["n"] != n or entry.hash != digest(entry.body):
                raise LedgerBroken(f"act {n} of the ledger does not follow from the one before it")
            if any(getattr(entry, name) != value for name, value in _found_by(members).items()):
                raise LedgerBroken(f"act {n} of the ledger is listed as something else than it says")
            yield entry

    def _members(self, n: int, act: LedgerAct, now: datetime) -> dict[str, Any]:
        why = b64u(self._vault.lock(act.why.text.encode(), f"ledger {n}")) if act.why else None
        return {
            "v": "ix/1",
            "typ": "act",
            "n": n,
            "ts": stamp(now),
            "act": act.act.value,
            "agency": self._agency,
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
            "released_by": " ".join(map(self.officer, act.released_by.split())) if act.released_by else None,
        }


def _found_by(members: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a stored act that repeat what its bytes say, so that it can be searched for."""
    return {**{name: members[name] for name in ("n", "ts", "act", "by", "msg")}, "case_name": members["case"]}

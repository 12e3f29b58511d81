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
from agencies.node.periods import Period, Periods
from agencies.node.store import Books
from exchange.protocol.ledger_act import said
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
MIN_OWN: Final = 2
_STOCK = """
    a above according an and any applicable are as at authorised be because been below business by can case cases
    check checking do done duties duty enforcement enquiries enquiry file files for from general has have i in
    information inquiry internal investigate investigating investigation investigations investigative is it its job
    law lawful legal my n/a necessary need needed needs no none normal not of official on only ongoing operation
    operational or order our per please police procedure procedures purpose purposes reason reasons regular request
    requested require required requirement requirements routine same see some standard task tasks test testing that
    the this to usual valid was we with work
"""
STOCK: Final = frozenset(_STOCK.split())
"""Words of which a sentence can be made that says nothing (NODE-14)."""
MAX_ACT: Final = 2**16 - 1
"""What an entry bundle holds at most (LOG-14)."""


@dataclass(frozen=True, slots=True)
class Why:
    """A reason that passed ``justify``: a code and a sentence."""

    code: Justification
    text: str


def justify(code: str, text: str) -> Why:
    """Take an officer's reason, or refuse it: too short, repeated, or nothing but stock words (NODE-14)."""
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
    if len({word.strip(".,;:!?()'\"-") for word in words} - STOCK - {""}) < MIN_OWN:
        raise JustificationRefused("say what is done and about what; that it is work and needed goes without saying")
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
    who: bytes | None
    """The people in clear, locked so that it opens as long as the month's key is here; null where nobody acted."""


class Scribe:
    """Writes acts for one agency: locks reasons, names officers and cases by pseudonym, and seals."""

    def __init__(self, agency: str, vault: Vault, pseudonym_key: bytes, periods: Periods) -> None:
        self._agency, self._vault, self._pseudonyms, self.periods = agency, vault, pseudonym_key, periods

    def case_name(self, reference: str) -> str:
        """What the node calls a case inside, in every month; it stands in no act and goes to nobody."""
        return pseudonym(self._pseudonyms, "case", reference)

    def officer_name(self, officer_id: str) -> str:
        """What the node's lists call an officer, in every month; it stands in no act and goes to nobody."""
        return pseudonym(self._pseudonyms, "officer", officer_id)

    def case(self, reference: str, now: datetime) -> str:
        """Name a case as acts of this month do; not to be asked inside a transaction."""
        return self.periods.at(now).case(self.case_name(reference))

    def officer(self, officer_id: str, now: datetime) -> str:
        """Name an officer as acts of this month do, and manifests in ``by``; not to be asked inside a transaction."""
        return self.periods.at(now).officer(officer_id)

    def cases(self, books: Books, reference: str) -> list[str]:
        """What a case is called in the acts of every month whose key is still here."""
        name = self.case_name(reference)
        return [period.case(name) for period in self.periods.kept(books)]

    def officers(self, books: Books, officer_id: str) -> list[str]:
        """What an officer is called in the acts of every month whose key is still here."""
        return [period.officer(officer_id) for period in self.periods.kept(books)]

    def write(self, after: int, acts: Iterable[LedgerAct], now: datetime, period: Period) -> list[Entry]:
        """Write acts down behind the one numbered ``after``, in order, under the names of ``period``, that of ``now``.

        The ``case`` of an act to be written is its ``case_name``.
        """
        written: list[Entry] = []
        for n, act in enumerate(acts, start=after + 1):
            members = self._members(n, act, now, period)
            if len(body := write_json(members)) > MAX_ACT:
                raise ValueError(f"an act of {len(body)} bytes does not fit into the ledger")
            seal, who = self._vault.seal(body), _people(act, n, period)
            written.append(Entry(**_found_by(members), body=body, hash=digest(body), seal=seal, who=who))
        return written

    def read(self, books: Books, rows: Iterable[Any]) -> list[dict[str, Any]]:
        """Show stored acts to an auditor: reason and people in clear, as long as the key of their month is here.

        ``officer`` is whom ``by`` names and ``released_by`` whoever let it go; of a month that was ``shredded`` only
        the names of that month are left, and no reason.
        """
        months = {period.name: period for period in self.periods.kept(books)}
        shown = []
        for row in rows:
            act: dict[str, Any] = read_json(row.body, limit=MAX_ACT)
            shown.append(act | _in_clear(act, row.who, months.get(act["ts"][:7])))
        return shown

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

    def _members(self, n: int, act: LedgerAct, now: datetime, period: Period) -> dict[str, Any]:
        why = b64u(period.lock(act.why.text.encode(), f"ledger {n}")) if act.why else None
        members = {
            "v": "ix/1",
            "typ": "act",
            "n": n,
            "ts": stamp(now),
            "act": act.act.value,
            "agency": self._agency,
            "by": _named(period, act.officer),
            "code": act.why.code.value if act.why else None,
            "why": why,
            "purpose": act.purpose,
            "agr": act.agreement,
            "clauses": list(act.clauses),
            "case": period.case(act.case) if act.case else None,
            "msg": act.message,
            "from": act.sender,
            "to": list(act.recipients),
            "persons": [c for c in act.categories if c.startswith("person_")],
            "cats": [c for c in act.categories if not c.startswith("person_")],
            "outcome": act.outcome,
            "reasons": list(act.reasons),
            "index": act.index,
            "released_by": _named(period, act.released_by),
        }
        return {name: said(name, value) for name, value in members.items()}


def _named(period: Period, people: str | None) -> str | None:
    """One person, or several with a space between, by their names of a month."""
    return " ".join(map(period.officer, people.split())) if people else None


def _people(act: LedgerAct, n: int, period: Period) -> bytes | None:
    """The people of an act in clear, locked so that nobody can read them once the month is forgotten."""
    if not act.officer and not act.released_by:
        return None
    people = {"officer": act.officer, "released_by": act.released_by}
    return period.lock(write_json(people), f"ledger {n} who")


def _in_clear(act: Mapping[str, Any], who: bytes | None, period: Period | None) -> dict[str, Any]:
    """What a month's key tells of an act beyond what its bytes say."""
    if period is None:
        return {"officer": None, "why": None, "shredded": True}
    people = {"officer": None, "released_by": None}
    if who is not None:
        people = read_json(period.unlock(who, f"ledger {act['n']} who"), limit=MAX_ACT)
    if (_named(period, people["officer"]), _named(period, people["released_by"])) != (act["by"], act["released_by"]):
        raise LedgerBroken(f"act {act['n']} of the ledger names other people than are kept beside it")
    why = act["why"] and period.unlock(unb64u(act["why"]), f"ledger {act['n']}").decode()
    return {**people, "why": why, "shredded": False}


def _found_by(members: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a stored act that repeat what its bytes say, so that it can be searched for."""
    return {**{name: members[name] for name in ("n", "ts", "act", "by", "msg")}, "case_name": members["case"]}

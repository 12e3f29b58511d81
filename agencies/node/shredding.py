"""Shredding: a month's keys destroyed, so that its acts name nobody any more and still verify (NODE-214 to NODE-218).

With the key goes whatever else in these books would tell an officer, a case or a reason beside an act of that month.
What the acts themselves say stays: times, agencies, codes, clauses and digests of messages, as the log shows them too.
Nothing goes early: not while the log's clock, or this one, says that a month is young, not under a hold, and not while
something waits that a second person has to decide, for then it would be forgotten who the first one was.

A hold is no row that somebody could take away: it is two acts of the ledger, one that sets and one that lifts it.
What backups, file systems and flash memory may keep is told in `docs/threat-model.md`; no program can promise it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from agencies.node.errors import DraftMalformed, NotHere, ShredRefused
from agencies.node.held.holding import Holdings
from agencies.node.ledger import MAX_ACT, LedgerAct, Why
from agencies.node.office import Office
from agencies.node.periods import NAME, count_of, period_of
from agencies.node.profile import Officer, OfficerRole
from agencies.node.store import Books
from exchange.protocol.log import verify_checkpoint
from exchange.protocol.vocabulary import Act
from keys.encoding import read_json, stamp

KEEP: Final = 36
"""Months that are kept at least: three years, as long as those who supervise may ask."""
SET: Final = "hold_set"
LIFTED: Final = "hold_lifted"


@dataclass(frozen=True, slots=True)
class Hold:
    """Months whose keys stay, from ``first`` to ``last``, whatever their age, since a time."""

    id: str
    first: str
    last: str
    since: str

    def to_json(self) -> dict[str, Any]:
        """The members as an officer's desk sees them."""
        return {"id": self.id, "first": self.first, "last": self.last, "since": self.since}


class Shredding:
    """Forgets months for one office; ``keep`` months before the present one are never touched."""

    def __init__(self, office: Office, holdings: Holdings, keep: int = KEEP) -> None:
        if keep < 1:
            raise ValueError("at least one month is kept")
        self._office, self._holdings, self._keep = office, holdings, keep

    def listed(self) -> dict[str, Any]:
        """Every month that had a key, whether it is still here, and the holds that stand."""
        with self._office.store.reading() as books:
            rows = sorted(books.rows("period"), key=lambda row: row.name)
            holds = self._holds(books)
        names = ("made", "destroyed", "wiped")
        months = [{"period": row.name, **{name: getattr(row, name) for name in names}} for row in rows]
        for month in months:
            month["holds"] = [one.id for one in holds if one.first <= month["period"] <= one.last]
        return {"periods": months, "holds": [one.to_json() for one in holds], "keep": self._keep}

    def hold(self, first: str, last: str, officer: Officer, why: Why) -> dict[str, Any]:
        """Keep months whatever their age, until the hold is lifted."""
        officer.must_be(OfficerRole.RELEASE_OFFICER)
        if _month(first) > _month(last):
            raise DraftMalformed("a hold is from one month to the same or a later one")
        office, now = self._office, self._office.clock()
        made = Hold(office.chance(8).hex(), first, last, stamp(now))
        with office.store.writing() as books:
            office.record(books, now, _act(SET, officer, why, (made.id, first, last)))
        return made.to_json()

    def lift(self, hold: str, officer: Officer, why: Why) -> dict[str, Any]:
        """End a hold."""
        officer.must_be(OfficerRole.RELEASE_OFFICER)
        office = self._office
        with office.store.writing() as books:
            lifted = next((one for one in self._holds(books) if one.id == hold), None)
            if lifted is None:
                raise NotHere("no hold of that name stands")
            office.record(books, office.clock(), _act(LIFTED, officer, why, (hold,)))
        return lifted.to_json()

    def shred(self, before: str, officer: Officer, why: Why) -> list[str]:
        """Destroy the keys of all months before this one; the months that were destroyed now. No way back.

        Refused while a month is too young, is held, or has something in it that still waits; that is written down.
        """
        officer.must_be(OfficerRole.RELEASE_OFFICER)
        _month(before)
        office = self._office
        refused: str | None
        with office.store.writing() as books:
            now = office.clock()
            months = [row.name for row in books.rows("period") if row.secret is not None and row.name < before]
            refused = self._refusal(books, before, sorted(months), now)
            if refused is not None:
                denied = LedgerAct(Act.ATTEMPT_DENIED, officer.id, why, outcome=ShredRefused.code, reasons=(before,))
                office.record(books, now, denied)
            else:
                self._forget(books, before, now)
                office.record(
                    books, now, *(LedgerAct(Act.ERASE, officer.id, why, outcome=name) for name in sorted(months))
                )
        if refused is not None:
            raise ShredRefused(refused)
        self.finish()
        return sorted(months)

    def finish(self) -> bool:
        """Write the file anew where keys went and that was not done yet; false if somebody was reading just now."""
        office = self._office
        with office.store.reading() as books:
            left = [row.name for row in books.rows("period") if row.destroyed is not None and row.wiped is None]
        if not left:
            return True
        if not office.store.rewrite():
            return False
        with office.store.writing() as books:
            for name in left:
                books.turn("period", {"name": name, "wiped": None}, {"wiped": stamp(office.clock())})
        return True

    def _forget(self, books: Books, before: str, now: datetime) -> None:
        since = _since(before)
        books.shred(before, since, stamp(now))
        for row in books.rows("held", state="erased"):  # who had read a text that is gone
            inbox = books.get("inbox", msg=row.msg)
            if inbox is not None and inbox.received < since and (row.shown, row.acknowledged) != ("[]", "[]"):
                self._holdings.change(books, self._holdings.read(row), shown="[]", acknowledged="[]")

    def _refusal(self, books: Books, before: str, months: Sequence[str], now: datetime) -> str | None:
        """Why these months may not go, or none."""
        note = books.newest_checkpoint()
        told = verify_checkpoint(note.text, self._office.trust.log).at if note is not None else None
        oldest = min(now, told) if told is not None else None
        if oldest is None or _month(before) > count_of(period_of(oldest)) - self._keep:
            seen = "of the log nothing is known here" if oldest is None else f"the earlier of them says {stamp(oldest)}"
            return f"the {self._keep} months before the present one are kept, by this clock and the log's: {seen}"
        if not months:
            return "no month before that has a key"
        for hold in self._holds(books):
            if any(hold.first <= month <= hold.last for month in months):
                return f"the hold `{hold.id}` keeps {hold.first} to {hold.last}"
        if books.chained(_since(before)):
            return "acts of that time are in a ledger that was a chain and names its officers; it cannot be shredded"
        waiting = books.waiting(_since(before), stamp(now))
        if waiting:
            return f"this still waits for somebody, who may not be whoever began it: {', '.join(waiting)}"
        return None

    def _holds(self, books: Books) -> list[Hold]:
        """The holds that stand, by the ledger, every act of which is checked."""
        found: dict[str, Hold] = {}
        for entry in self._office.scribe.verify(books.after("ledger")):
            if entry.act != Act.REVIEW:
                continue
            act = read_json(entry.body, limit=MAX_ACT)
            if act["outcome"] == SET:
                name, first, last = act["reasons"]
                found[name] = Hold(name, first, last, act["ts"])
            elif act["outcome"] == LIFTED:
                found.pop(act["reasons"][0], None)
        return list(found.values())


def _act(outcome: str, officer: Officer, why: Why, about: tuple[str, ...]) -> LedgerAct:
    return LedgerAct(Act.REVIEW, officer.id, why, outcome=outcome, reasons=about)


def _month(name: str) -> int:
    if NAME.fullmatch(name) is None:
        raise DraftMalformed("a month is written as 2026-11")
    return count_of(name)


def _since(month: str) -> str:
    """The first instant of a month, as the books write times."""
    return f"{month}-01T00:00:00.000Z"


__all__ = ["KEEP", "Hold", "Shredding"]

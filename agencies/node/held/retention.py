"""Retention: what is held ends, on the clock and without anybody's doing (NODE-93 to NODE-98; LED article 5).

Each held message has a date by which it must be gone, from its clauses and its agreement, and perhaps one by which
somebody must have decided to keep it. Before either there is a warning; at a review nobody answered, and at the end,
the content goes with everything made from it, in one transaction with the ledger's act and the signed act that tells
the originator. The sweep asks the books what is due and has nothing in memory: kill it anywhere, and the next one
goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from agencies.node.errors import HoldingBroken, KeepRefused, NoLongerHere, NotHere
from agencies.node.held.ancestry import made_from
from agencies.node.held.holding import LIMIT, Held, Holdings
from agencies.node.ledger import LedgerAct, Why
from agencies.node.office import Office
from agencies.node.profile import Officer, OfficerRole
from agencies.node.store import Books
from exchange.protocol.vocabulary import Act, ActKind, RetainGround
from keys.encoding import instant, read_json, stamp

if TYPE_CHECKING:
    from agencies.node.after.acts import Acts

WARNING: Final = timedelta(days=120)
"""How long before a date it is warned of; a quarter of the period, where that is shorter (NODE-94)."""
AGAIN: Final = timedelta(hours=1)
"""When to look again for an agreement that is not known here yet."""
AT_ONCE: Final = 100
SWEPT: Final = "swept"
"""The policy as of the last sweep: a new one may have ended agreements, and begun to count their purge."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did: digests of the messages warned of, and of those erased with the cause."""

    warned: tuple[str, ...]
    erased: tuple[tuple[str, str], ...]


class Retention:
    """Lets what one office holds end."""

    def __init__(self, office: Office, holdings: Holdings, acts: Acts) -> None:
        self._office, self._holdings, self._acts = office, holdings, acts
        acts.takes_back(ActKind.KEEP, self._unkeep)

    # -- on the clock --

    def sweep(self, now: datetime | None = None) -> Swept:
        """Do what is due: warn, and erase what nobody decided to keep or nobody may keep any longer."""
        now = self._tick(now)
        warned: list[str] = []
        erased: list[tuple[str, str]] = []
        while True:
            with self._office.store.reading() as books:
                rows = books.held_due(stamp(now), AT_ONCE)
            for row in rows:
                try:
                    held = self._holdings.read(row)
                except HoldingBroken:  # shown to nobody any more; it must not hold up the others
                    self._set_aside(row, now)
                    continue
                if (cause := _ends(held, now)) is not None:
                    if self._end(held, cause):
                        erased.append((held.msg, cause))
                elif self._attend(held, now):
                    warned.append(held.msg)
            if len(rows) < AT_ONCE:
                break
        if erased:
            self._office.store.scrub()
            self._acts.retry()
        return Swept(tuple(warned), tuple(erased))

    def _tick(self, now: datetime | None) -> datetime:
        """The time of a sweep, which is never before that of an earlier one; wakes what a new policy may have ended."""
        book = self._office.trust.book
        with self._office.store.reading() as books:
            now = max(now or self._office.clock(), self._holdings.now(books))
            known, policy, latest = books.meta(SWEPT), book.policy(now), books.meta("latest")
        if known == policy and latest and now - instant(latest) < AGAIN:
            return now
        with self._office.store.writing() as books:
            books.set_meta("latest", stamp(max(now, self._holdings.now(books))))
            if known != policy:
                books.set_meta(SWEPT, policy)
                for agreement in book.agreements:
                    if agreement.terms.purge_days is not None:
                        books.rush(agreement.digest, stamp(now))
        return now

    def _attend(self, held: Held, now: datetime) -> bool:
        """Warn if it is time to, and note when to look again; says whether it was warned of."""
        dates = [one for one in (held.erase_at, held.review_at) if one is not None]
        until = min(dates, default=None)
        early = until - min(WARNING, (until - held.entry.at) / 4) if until else None
        warns = held.row.warned is None and early is not None and early <= now
        following = early if early and early > now else until
        if not held.known:
            following = now + AGAIN
        due = stamp(following) if following else None
        with self._office.store.writing() as books:
            row = books.get("inbox", msg=held.msg)
            if warns and row is not None:
                held = self._holdings.change(books, self._holdings.of(books, held.msg), warned=stamp(now), due=due)
                told = self.act(row, Act.REVIEW, outcome=f"warned: erased at {stamp(until or now)}")
                self._office.record(books, now, told)
            else:
                self._holdings.change(books, self._holdings.of(books, held.msg), due=due)
        return warns

    def _set_aside(self, row: Any, now: datetime) -> None:
        """Keep that a row was changed as evidence, and look at it again later."""
        with self._office.store.writing() as books:
            books.turn("held", {"msg": row.msg}, {"due": stamp(now + AGAIN)})
            self._office.note_evidence(books, "holding_broken", [{"msg": row.msg}])

    # -- by somebody's decision --

    def keep(self, message: str, officer: Officer, why: Why, *, ground: str, until: datetime) -> Held:
        """Decide at a review to keep a message until then, on a ground of the list; never beyond its retention."""
        officer.must_be(OfficerRole.RELEASE_OFFICER)
        with self._office.store.reading() as books:
            if not books.inbox_of([message]):
                raise NotHere("there is no received message of that digest")
            held, now = self._holdings.of(books, message), self._holdings.now(books)
        try:
            known = RetainGround(ground)
        except ValueError:
            raise KeepRefused(f"the ground is one of: {', '.join(RetainGround)}") from None
        end = held.erase_at
        if held.row.state == "erased" or _ends(held, now):
            raise NoLongerHere("the time for which this message may be held is over")
        if held.owes.review_days is None and held.row.state != "restricted":
            raise KeepRefused("nothing asks for a review of this message, so there is nothing to decide")
        if until <= now or (end is not None and until > end):
            raise KeepRefused("it is kept until a time after now and not after the end of its retention")

        def beside(books: Books, _: str) -> None:
            current = self._holdings.of(books, message)
            if _ends(current, now) or current.row.state == "erased":
                raise NoLongerHere("the time for which this message may be held is over")
            new = {"kept": known.value, "kept_until": stamp(until), "warned": None, "due": stamp(now)}
            self._holdings.change(books, current, **new)

        self._acts.give(
            ActKind.KEEP, message, officer, why, beside=beside, recipients=(held.originator,), ground=str(known),
            until=until,
        )  # fmt: skip
        self.sweep()
        with self._office.store.reading() as books:
            return self._holdings.of(books, message)

    def _unkeep(self, books: Books, name: str) -> None:
        """The broker will never log a decision to keep: it does not count."""
        row = books.get("acts", digest=name)
        held = self._holdings.of(books, row.msg) if row is not None else None
        if held is not None and held.row.state != "erased":
            self._holdings.change(books, held, kept=None, kept_until=None, due=stamp(self._office.clock()))

    def erase(self, message: str, officer: Officer, why: Why) -> None:
        """Take a received message's content away on a release officer's order, and tell its originator."""
        officer.must_be(OfficerRole.RELEASE_OFFICER)
        with self._office.store.reading() as books:
            if not books.inbox_of([message]):
                raise NotHere("there is no received message of that digest")
            held = self._holdings.of(books, message)
        if held.row.state == "erased" or not self._end(held, "review", officer, why):
            raise NoLongerHere("the content of this message is not here any more")
        self._office.store.scrub()

    # -- for others of this node --

    def restrict(self, books: Books, message: str, ground: str) -> None:
        """Leave a message untouched from now on: its originator said so, or it is kept for a ground alone (NODE-95)."""
        held = self._holdings.of(books, message)
        if held.row.state == "held":
            self._holdings.change(books, held, state="restricted", ground=ground)

    def retain(self, books: Books, message: str, ground: str) -> None:
        """Keep what was recalled, restricted, on a ground of the list; its retention still ends."""
        held = self._holdings.of(books, message)
        if held.row.state != "erased":
            self._holdings.change(books, held, state="restricted", ground="recall", kept=ground)

    def remove(
        self, books: Books, message: str, cause: str, officer: Officer | None = None, why: Why | None = None
    ) -> bool:
        """Take content, sealed original and everything made from it away, with the ledger's act; false if it was gone.

        The caller's transaction also holds the signed act that says so.
        """
        held, now = self._holdings.of(books, message), self._office.clock()
        row: Any = books.get("inbox", msg=message)
        if held.row.state == "erased" or row is None:
            return False
        acts = [self.act(row, Act.ERASE, officer, why, outcome=cause)]
        if row.erased is None:
            books.erase(message, stamp(now))
        books.unquote(message)
        for made in made_from(books, message):
            gone: dict[str, Any] = {"content": None}
            if made.state == "pending_release":  # what waits for a release is not released any more
                gone |= {"state": "withheld", "code": NoLongerHere.code, "draft": None, "act": None}
                outcome = NoLongerHere.code
                acts.append(LedgerAct(Act.ATTEMPT_DENIED, case=row.case_name, message=message, outcome=outcome))
            books.turn("outbox", {"n": made.n}, gone)
        self._holdings.change(books, held, state="erased", cause=cause, due=None)
        self._office.record(books, now, *acts)
        return True

    def _end(self, held: Held, cause: str, officer: Officer | None = None, why: Why | None = None) -> bool:
        """Erase, and commit in the same transaction the act that tells the originator; false if it was gone."""

        def beside(books: Books, _: str) -> None:
            if not self.remove(books, held.msg, cause, officer, why):
                raise NoLongerHere("somebody else has just erased this message")

        try:
            self._acts.give(
                ActKind.ERASED, held.msg, officer, why, beside=beside, recipients=(held.originator,),
                at_once=officer is not None, cause=cause,
            )  # fmt: skip
        except NoLongerHere:
            return False
        return True

    def act(
        self, row: Any, act: Act, officer: Officer | None = None, why: Why | None = None, *, outcome: str
    ) -> LedgerAct:
        """What the ledger says about a held message."""
        facts = read_json(row.summary.encode(), limit=LIMIT)
        return LedgerAct(
            act, officer.id if officer else None, why, facts["purpose"], facts["agr"], case=row.case_name,
            message=row.msg, sender=row.sender, recipients=tuple(facts["to"]), categories=tuple(facts["cats"]),
            outcome=outcome, index=row.seq if act is Act.ERASE else None,
        )  # fmt: skip


def _ends(held: Held, now: datetime) -> str | None:
    """Why it must be gone by now, if it must: its retention, its agreement's purge, or a review nobody answered."""
    owes, logged = held.owes, held.entry.at
    end, review = held.erase_at, held.review_at
    if end is not None and end <= now:
        retained = owes.retention_days is not None and logged + timedelta(days=owes.retention_days) <= now
        return "retention" if retained else "purge"
    return "review" if review is not None and review <= now else None


__all__ = ["Retention", "Swept"]

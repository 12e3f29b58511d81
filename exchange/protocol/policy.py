"""The policy book: which agreements are in force at an instant, and what name that state has (AGR-17 to AGR-28).

A ``PolicyBook`` never changes; adding an agreement or a notice gives a new one. It holds only agreements
that every party signed. Books that follow one another share one ``History`` and each knows how much of it is
its own, so that the next one costs next to nothing; only a book that branches off has to copy. The name of
the policy is a chain over what was logged, in the order of the log (AGR-28); a decision does not look at
agreements it does not need (``period``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from exchange.protocol.agreement import Agreement, Notice, read_agreement, read_notice
from exchange.protocol.errors import AgreementRefused, NoticeRefused, SignaturesMissing
from exchange.protocol.history import History, Logged
from exchange.protocol.period import Period
from exchange.protocol.terms import NoticeAct
from keys.encoding import stamp

if TYPE_CHECKING:
    from keys.trust import Directory

__all__ = ["Period", "PolicyBook", "Standing", "State"]


class State(StrEnum):
    """How an agreement stands at an instant."""

    UNKNOWN = "unknown"
    NOT_YET = "not_yet"
    IN_FORCE = "in_force"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    LEFT = "left"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Standing:
    """A state, with one sentence that says who or what brought it about."""

    state: State
    sentence: str


class PolicyBook:
    """Every complete agreement and every notice logged so far, indexed for deciding."""

    __slots__ = ("_period", "history", "size")

    def __init__(self) -> None:
        self.history = History()
        self.size = 0
        self._period: Period | None = None

    @classmethod
    def _of(cls, history: History, size: int) -> PolicyBook:
        book = cls()
        book.history, book.size = history, size
        return book

    @classmethod
    def build(cls, agreements: Iterable[Agreement] = (), notices: Iterable[Notice] = ()) -> PolicyBook:
        """Make a book at once of what was logged at different times; whoever has the order of the log uses ``replay``.

        Of what shares a log time, agreements come first, older versions before newer; else as they are given.
        """
        logged: list[Logged] = [*agreements, *notices]
        return cls.replay(sorted(logged, key=lambda i: (i.at, isinstance(i, Notice), _version(i))))

    @classmethod
    def replay(cls, logged: Iterable[Logged]) -> PolicyBook:
        """Make a book of what was logged, in the order of the log, each once."""
        book = cls()
        for item in logged:
            book = book.admit(item)
        return book

    def admit(self, item: Logged) -> PolicyBook:
        """A book that also holds this; ``self`` if it was there. Refuses what AGR-12, AGR-20 and AGR-23 refuse."""
        if self._has(item.digest):
            return self
        self._check(item)
        if self.history.claim(item, self.size):
            return self._of(self.history, self.size + 1)
        return self._of(History([*self.history.items[: self.size], item]), self.size + 1)

    def with_agreement(self, data: bytes, directory: Directory, at: datetime) -> PolicyBook:
        """Verify a signed agreement as of log time ``at`` and add it."""
        return self.admit(read_agreement(data, directory, at))

    def with_notice(self, data: bytes, directory: Directory, at: datetime) -> PolicyBook:
        """Verify a signed notice as of log time ``at`` and add it."""
        return self.admit(read_notice(data, directory, at))

    def get(self, digest_: str) -> Agreement | None:
        """The agreement of this digest, in force or not."""
        place = self.history.places.get(digest_)
        if place is None or place >= self.size:
            return None
        item = self.history.items[place]
        return item if isinstance(item, Agreement) else None

    @property
    def agreements(self) -> tuple[Agreement, ...]:
        """Every agreement in the book, in the order of the log."""
        return tuple(item for item in self.history.items[: self.size] if isinstance(item, Agreement))

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Every notice in the book, in the order of the log."""
        return tuple(item for item in self.history.items[: self.size] if isinstance(item, Notice))

    def in_force(self, now: datetime) -> tuple[Agreement, ...]:
        """The agreements that count at ``now``."""
        return tuple(self.counting(now))

    def counting(self, now: datetime) -> Iterable[Agreement]:
        """The same, one after the other. It looks at every agreement; deciding does not."""
        return (agreement for agreement in self.agreements if self.counts(agreement, now))

    def counting_one(self, digest_: str, now: datetime) -> Agreement | None:
        """The agreement of this digest, if it counts at ``now``."""
        agreement = self.get(digest_)
        return agreement if agreement and self.counts(agreement, now) else None

    def counts(self, agreement: Agreement, now: datetime) -> bool:
        """Whether this agreement of the book counts at ``now``."""
        return self._state(agreement, now) is State.IN_FORCE

    def policy(self, now: datetime) -> str:
        """Name what decides at ``now``: the chain over what was logged until then, in force or not (AGR-28)."""
        return self.history.policy(now, self.size)

    def period(self, now: datetime) -> Period:
        """What this book says at ``now``."""
        kept = self._period
        if kept is None or kept.now != now:
            self._period = kept = Period(self, now)
        return kept

    def standing(self, digest_: str, now: datetime) -> Standing:
        """How this agreement stands at ``now``, and because of what (AGR-18)."""
        agreement = self.get(digest_)
        if agreement is None:
            return Standing(State.UNKNOWN, "no agreement of that digest has been signed by all its parties")
        state, name = self._state(agreement, now), f"`{agreement.terms.id}` version {agreement.terms.version}"
        if state is State.NOT_YET:
            return Standing(state, f"{name} is not in force before {stamp(agreement.effective)}")
        if state is State.EXPIRED:
            return Standing(state, f"{name} ended at {stamp(agreement.terms.end)}")
        follower = self._follower(digest_)
        if state is State.SUPERSEDED and follower:
            return Standing(state, f"{name} was replaced by version {follower.terms.version}")
        if state is State.IN_FORCE:
            return Standing(state, f"{name} is in force until {stamp(agreement.terms.end)}")
        act = NoticeAct.LEAVE if state is State.LEFT else NoticeAct.SUSPEND
        notice = next(n for n in self._stopping(digest_, now) if n.terms.act is act)
        return Standing(state, f"`{notice.terms.by}` {state} {name} at {stamp(notice.at)}")

    def turns(self, agreement: Agreement) -> list[datetime]:
        """The instants at which what it says may change: its bounds, its follower's, its notices, its groups."""
        follower = self._follower(agreement.digest)
        turns = [agreement.effective, agreement.terms.end, *([follower.effective] if follower else [])]
        turns += [notice.at for notice in self.history.notices_on(agreement.digest, self.size)]
        return turns + [group.until for group in agreement.terms.groups]

    def _has(self, digest_: str) -> bool:
        return self.history.places.get(digest_, self.size) < self.size

    def _follower(self, digest_: str) -> Agreement | None:
        place = self.history.followers.get(digest_)
        return None if place is None or place >= self.size else self.history.agreement(place)

    def _state(self, agreement: Agreement, now: datetime) -> State:
        """The first of these states that applies, in the order of AGR-18."""
        if now < agreement.effective:
            return State.NOT_YET
        if now >= agreement.terms.end:
            return State.EXPIRED
        follower = self._follower(agreement.digest)
        if follower and now >= follower.effective:
            return State.SUPERSEDED
        if agreement.digest not in self.history.notices:
            return State.IN_FORCE
        acts = [notice.terms.act for notice in self._stopping(agreement.digest, now)]
        if NoticeAct.LEAVE in acts:
            return State.LEFT
        return State.SUSPENDED if acts else State.IN_FORCE

    def _stopping(self, digest_: str, now: datetime) -> list[Notice]:
        """The notices that hold this agreement stopped at ``now``, the earliest first."""
        notices = self.history.notices_on(digest_, self.size)
        return list(_stopped_by(n for n in notices if n.at <= now).values())

    def _check(self, item: Logged) -> None:
        if isinstance(item, Notice):
            self._check_notice(item)
            return
        if item.missing:
            raise SignaturesMissing(f"not signed yet by {', '.join(f'`{p}`' for p in item.missing)}")
        if item.terms.replaces is not None:
            self._check_succession(item, item.terms.replaces)

    def _check_succession(self, agreement: Agreement, replaced: str) -> None:
        old = self.get(replaced)
        if old is None:
            raise AgreementRefused("the agreement it replaces is not known here")
        if self._follower(replaced) is not None:
            raise AgreementRefused("the agreement it replaces has been replaced already")
        if old.terms.id != agreement.terms.id or old.terms.version + 1 != agreement.terms.version:
            raise AgreementRefused("it keeps the id of the agreement it replaces, and its version is one higher")
        notices = self.history.notices_on(replaced, self.size)
        left = {n.terms.by for n in notices if n.terms.act is NoticeAct.LEAVE}
        unasked = [p for p in old.terms.parties if p not in agreement.terms.parties and p not in left]
        if unasked:
            raise AgreementRefused(f"`{unasked[0]}` is a party of the agreement it replaces and has not left it")

    def _check_notice(self, notice: Notice) -> None:
        terms, agreement = notice.terms, self.get(notice.terms.agr)
        if agreement is None:
            raise NoticeRefused("the agreement the notice names is not known here")
        if terms.by not in agreement.terms.parties:
            raise NoticeRefused(f"`{terms.by}` is no party to this agreement")
        earlier = self.history.notices_on(terms.agr, self.size)
        if any(n.terms.by == terms.by and n.terms.ts >= terms.ts for n in earlier):
            raise NoticeRefused("the same party has given a notice of that date or later")
        standing = _stopped_by(earlier).get(terms.by)
        if standing and standing.terms.act is NoticeAct.LEAVE:
            raise NoticeRefused(f"`{terms.by}` has left this agreement for good")
        if terms.act is NoticeAct.RESUME and standing is None:
            raise NoticeRefused(f"`{terms.by}` has not suspended this agreement, so it cannot resume it")
        if terms.act is NoticeAct.SUSPEND and standing is not None:
            raise NoticeRefused(f"`{terms.by}` has suspended this agreement already")


def _version(item: Logged) -> int:
    return item.terms.version if isinstance(item, Agreement) else 0


def _stopped_by(notices: Iterable[Notice]) -> dict[str, Notice]:
    """Which parties hold the agreement stopped, by their last notice."""
    stopped: dict[str, Notice] = {}
    for notice in notices:
        if notice.terms.act is NoticeAct.RESUME:
            stopped.pop(notice.terms.by, None)
        else:
            stopped[notice.terms.by] = notice
    return stopped

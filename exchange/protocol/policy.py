"""The policy book: which agreements are in force at an instant, and what name that state has (AGR-17 to AGR-28).

A ``PolicyBook`` never changes; adding an agreement or a notice gives a new one. It holds only agreements
that every party signed. What it works out for the stretch of time between two changes (a *period*) it
keeps, so a decision does not look at agreements it does not need.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from exchange.protocol.agreement import Agreement, Notice, read_agreement, read_notice
from exchange.protocol.errors import AgreementRefused, NoticeRefused, SignaturesMissing
from exchange.protocol.matching import ForbidTable, PermitTable
from exchange.protocol.terms import Forbid, NoticeAct, Permit
from keys.encoding import digest, stamp

if TYPE_CHECKING:
    from keys.trust import Directory

_ALWAYS: Final = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_KEPT_PAIRS: Final = 16_384


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

    __slots__ = ("_agreements", "_followed", "_kept", "_notices")

    def __init__(self) -> None:
        self._agreements: dict[str, Agreement] = {}
        self._followed: dict[str, Agreement] = {}  # digest of the replaced agreement: the one that replaces it
        self._notices: dict[str, tuple[Notice, ...]] = {}
        self._kept: Period | None = None

    @classmethod
    def build(cls, agreements: Iterable[Agreement] = (), notices: Iterable[Notice] = ()) -> PolicyBook:
        """Make a book of verified agreements and notices at once, in the order of their log times."""
        book = cls()
        logged: list[Agreement | Notice] = [*agreements, *notices]
        for item in sorted(logged, key=lambda i: (i.at, isinstance(i, Notice), _version(i))):
            book._add(item)
        return book

    @classmethod
    def replay(cls, logged: Iterable[Agreement | Notice]) -> PolicyBook:
        """Make a book of what was logged, in the order of the log, each once."""
        book = cls()
        for item in logged:
            book._add(item)
        return book

    def admit(self, item: Agreement | Notice) -> PolicyBook:
        """A book that also holds this; ``self`` if it was there. Refuses what AGR-12, AGR-20 and AGR-23 refuse."""
        if item.digest in self._agreements or any(n.digest == item.digest for n in self._about(item)):
            return self
        book = PolicyBook()
        book._agreements, book._followed, book._notices = (
            dict(self._agreements),
            dict(self._followed),
            dict(self._notices),
        )
        book._add(item)
        return book

    def with_agreement(self, data: bytes, directory: Directory, at: datetime) -> PolicyBook:
        """Verify a signed agreement as of log time ``at`` and add it."""
        return self.admit(read_agreement(data, directory, at))

    def with_notice(self, data: bytes, directory: Directory, at: datetime) -> PolicyBook:
        """Verify a signed notice as of log time ``at`` and add it."""
        return self.admit(read_notice(data, directory, at))

    def get(self, digest_: str) -> Agreement | None:
        """The agreement of this digest, in force or not."""
        return self._agreements.get(digest_)

    @property
    def agreements(self) -> tuple[Agreement, ...]:
        """Every agreement in the book, in the order they were added."""
        return tuple(self._agreements.values())

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Every notice in the book, by agreement and then in the order they were added."""
        return tuple(notice for group in self._notices.values() for notice in group)

    def in_force(self, now: datetime) -> tuple[Agreement, ...]:
        """The agreements that count at ``now``."""
        return tuple(self.period(now).in_force.values())

    def counting(self, now: datetime) -> Iterable[Agreement]:
        """The same, worked out afresh."""
        return (a for a in self._agreements.values() if self._state(a, now) is State.IN_FORCE)

    def policy(self, now: datetime) -> str:
        """Name what decides at ``now``: the digest over agreements in force and notices that count (AGR-28)."""
        return self.period(now).policy

    def period(self, now: datetime) -> Period:
        """The stretch of time around ``now`` in which nothing starts, ends or is suspended."""
        kept = self._kept
        if kept is None or not kept.since <= now < kept.until:
            self._kept = kept = Period(self, now)
        return kept

    def standing(self, digest_: str, now: datetime) -> Standing:
        """How this agreement stands at ``now``, and because of what (AGR-18)."""
        agreement = self._agreements.get(digest_)
        if agreement is None:
            return Standing(State.UNKNOWN, "no agreement of that digest has been signed by all its parties")
        state, name = self._state(agreement, now), f"`{agreement.terms.id}` version {agreement.terms.version}"
        if state is State.NOT_YET:
            return Standing(state, f"{name} is not in force before {stamp(agreement.effective)}")
        if state is State.EXPIRED:
            return Standing(state, f"{name} ended at {stamp(agreement.terms.end)}")
        if state is State.SUPERSEDED:
            return Standing(state, f"{name} was replaced by version {self._followed[digest_].terms.version}")
        if state is State.IN_FORCE:
            return Standing(state, f"{name} is in force until {stamp(agreement.terms.end)}")
        act = NoticeAct.LEAVE if state is State.LEFT else NoticeAct.SUSPEND
        notice = next(n for n in self._stopping(digest_, now) if n.terms.act is act)
        return Standing(state, f"`{notice.terms.by}` {state} {name} at {stamp(notice.at)}")

    def _state(self, agreement: Agreement, now: datetime) -> State:
        """The first of these states that applies, in the order of AGR-18."""
        if now < agreement.effective:
            return State.NOT_YET
        if now >= agreement.terms.end:
            return State.EXPIRED
        follower = self._followed.get(agreement.digest)
        if follower and now >= follower.effective:
            return State.SUPERSEDED
        acts = [notice.terms.act for notice in self._stopping(agreement.digest, now)]
        if NoticeAct.LEAVE in acts:
            return State.LEFT
        return State.SUSPENDED if acts else State.IN_FORCE

    def _stopping(self, digest_: str, now: datetime) -> list[Notice]:
        """The notices that hold this agreement stopped at ``now``, the earliest first."""
        notices = self._notices.get(digest_)
        return list(_stopped_by(n for n in notices if n.at <= now).values()) if notices else []

    def _about(self, item: Agreement | Notice) -> tuple[Notice, ...]:
        return self._notices.get(item.terms.agr, ()) if isinstance(item, Notice) else ()

    def _add(self, item: Agreement | Notice) -> None:
        if isinstance(item, Agreement):
            self._add_agreement(item)
        else:
            self._add_notice(item)

    def _add_agreement(self, agreement: Agreement) -> None:
        if agreement.missing:
            raise SignaturesMissing(f"not signed yet by {', '.join(f'`{p}`' for p in agreement.missing)}")
        replaced = agreement.terms.replaces
        if replaced is not None:
            self._check_succession(agreement, replaced)
            self._followed[replaced] = agreement
        self._agreements[agreement.digest] = agreement

    def _check_succession(self, agreement: Agreement, replaced: str) -> None:
        old = self._agreements.get(replaced)
        if old is None:
            raise AgreementRefused("the agreement it replaces is not known here")
        if replaced in self._followed:
            raise AgreementRefused("the agreement it replaces has been replaced already")
        if old.terms.id != agreement.terms.id or old.terms.version + 1 != agreement.terms.version:
            raise AgreementRefused("it keeps the id of the agreement it replaces, and its version is one higher")
        left = {n.terms.by for n in self._notices.get(replaced, ()) if n.terms.act is NoticeAct.LEAVE}
        unasked = [p for p in old.terms.parties if p not in agreement.terms.parties and p not in left]
        if unasked:
            raise AgreementRefused(f"`{unasked[0]}` is a party of the agreement it replaces and has not left it")

    def _add_notice(self, notice: Notice) -> None:
        terms, agreement = notice.terms, self._agreements.get(notice.terms.agr)
        if agreement is None:
            raise NoticeRefused("the agreement the notice names is not known here")
        if terms.by not in agreement.terms.parties:
            raise NoticeRefused(f"`{terms.by}` is no party to this agreement")
        earlier = self._notices.get(terms.agr, ())
        if any(n.terms.by == terms.by and n.terms.ts >= terms.ts for n in earlier):
            raise NoticeRefused("the same party has given a notice of that date or later")
        standing = _stopped_by(earlier).get(terms.by)
        if standing and standing.terms.act is NoticeAct.LEAVE:
            raise NoticeRefused(f"`{terms.by}` has left this agreement for good")
        if terms.act is NoticeAct.RESUME and standing is None:
            raise NoticeRefused(f"`{terms.by}` has not suspended this agreement, so it cannot resume it")
        if terms.act is NoticeAct.SUSPEND and standing is not None:
            raise NoticeRefused(f"`{terms.by}` has suspended this agreement already")
        self._notices[terms.agr] = (*earlier, notice)


def _version(item: Agreement | Notice) -> int:
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


class Period:
    """What is in force between two instants. Tables are made when first asked for and kept."""

    __slots__ = ("_by_party", "_pairs", "_tables", "in_force", "policy", "since", "until")

    def __init__(self, book: PolicyBook, now: datetime) -> None:
        self.since, self.until = _bounds(book, now)
        self.in_force: dict[str, Agreement] = {a.digest: a for a in book.counting(now)}
        counted = [n.digest for n in book.notices if n.at <= now]
        self.policy = digest("\n".join(sorted([*self.in_force, *counted])).encode())
        self._by_party: dict[str, set[str]] = {}
        for agreement in self.in_force.values():
            for party in agreement.terms.parties:
                self._by_party.setdefault(party, set()).add(agreement.digest)
        self._pairs: dict[tuple[str, str], Shared] = {}
        self._tables: dict[str, PermitTable] = {}

    def permits(self, agreement: Agreement) -> PermitTable:
        """The permit clauses of one agreement in force."""
        table = self._tables.get(agreement.digest)
        if table is None:
            table = PermitTable([(agreement, c) for c in agreement.terms.clauses if isinstance(c, Permit)])
            self._tables[agreement.digest] = table
        return table

    def shared(self, one: str, other: str) -> Shared:
        """What the agreements in force say to which both these agencies are parties."""
        pair = (one, other) if one < other else (other, one)
        found = self._pairs.get(pair)
        if found is None:
            if len(self._pairs) >= _KEPT_PAIRS:
                self._pairs.clear()
            nobody: set[str] = set()
            both = self._by_party.get(one, nobody) & self._by_party.get(other, nobody)
            self._pairs[pair] = found = Shared([self.in_force[d] for d in both])
        return found


class Shared:
    """The clauses of all agreements in force between two agencies."""

    __slots__ = ("_agreements", "_permits", "forbids")

    def __init__(self, agreements: Iterable[Agreement]) -> None:
        self._agreements = sorted(agreements, key=lambda a: (a.terms.id, a.terms.version, a.digest))
        self.forbids = ForbidTable([(a, c) for a in self._agreements for c in a.terms.clauses if isinstance(c, Forbid)])
        self._permits: PermitTable | None = None

    @property
    def permits(self) -> PermitTable:
        """Their permits, needed only to explain a denial."""
        if self._permits is None:
            self._permits = PermitTable(
                [(a, c) for a in self._agreements for c in a.terms.clauses if isinstance(c, Permit)]
            )
        return self._permits


def _bounds(book: PolicyBook, now: datetime) -> tuple[datetime, datetime]:
    since, until = _ALWAYS
    for agreement in book.agreements:
        for instant in (agreement.effective, agreement.terms.end):
            if instant <= now:
                since = max(since, instant)
            else:
                until = min(until, instant)
    for notice in book.notices:
        if notice.at <= now:
            since = max(since, notice.at)
        else:
            until = min(until, notice.at)
    return since, until

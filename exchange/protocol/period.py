"""A period: what the agreements in force say between two instants, worked out for whom it is asked (AGR-18, AGR-32).

Nothing here looks at agreements that it does not need. What two agencies share is put into tables when somebody
first asks for these two, and put anew when one of *their* agreements starts, ends, loses a group or is changed
by the log: the other hundred thousand make no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

from exchange.protocol.agreement import Agreement
from exchange.protocol.floor import FLOOR
from exchange.protocol.history import Slot
from exchange.protocol.matching import ForbidTable, PermitTable
from exchange.protocol.terms import Forbid, Permit, Reach

if TYPE_CHECKING:
    from exchange.protocol.policy import PolicyBook

_ALWAYS: Final = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Worked:
    """Agreements in force for somebody, with how long that stays so, and up to which change of the log."""

    __slots__ = ("agreements", "now", "seen", "since", "until")

    def __init__(self, agreements: Iterable[Agreement], now: datetime, turns: Iterable[datetime], seen: int) -> None:
        self.agreements = sorted(agreements, key=lambda a: (a.terms.id, a.terms.version, a.digest))
        self.now, self.seen = now, seen
        self.since, self.until = _window(turns, now)

    def _forbids(self) -> Iterator[tuple[Agreement, Forbid]]:
        return ((a, c) for a in self.agreements for c in a.terms.clauses if isinstance(c, Forbid))


class Shared(Worked):
    """The clauses of all agreements in force between two agencies; with the floor's forbids, which always count."""

    __slots__ = ("_permits", "forbids")

    def __init__(self, agreements: Iterable[Agreement], now: datetime, turns: Iterable[datetime], seen: int) -> None:
        super().__init__(agreements, now, turns, seen)
        self.forbids = ForbidTable([*((FLOOR, clause) for clause in FLOOR.forbids), *self._forbids()], now)
        self._permits: PermitTable | None = None

    @property
    def permits(self) -> PermitTable:
        """Their permits, needed only to explain a denial."""
        if self._permits is None:
            rows = [(a, c) for a in self.agreements for c in a.terms.clauses if isinstance(c, Permit)]
            self._permits = PermitTable(rows, self.now)
        return self._permits


class Binding(Worked):
    """The forbids that bind one agency whoever the recipient is, of all its agreements in force."""

    __slots__ = ("forbids",)

    def __init__(self, agreements: Iterable[Agreement], now: datetime, turns: Iterable[datetime], seen: int) -> None:
        super().__init__(agreements, now, turns, seen)
        self.forbids = ForbidTable([(a, c) for a, c in self._forbids() if c.reach is Reach.EVERYONE], now)


class Permitting:
    """The permits of one agreement, as long as the same groups of it live."""

    __slots__ = ("permits", "since", "until")

    def __init__(self, agreement: Agreement, now: datetime) -> None:
        self.since, self.until = _window(_ends(agreement), now)
        self.permits = PermitTable([(agreement, c) for c in agreement.terms.clauses if isinstance(c, Permit)], now)


_W = TypeVar("_W", Shared, Binding)


class InForce(Mapping[str, Agreement]):
    """Every agreement in force, by its digest. Looking one up looks at no other; walking through looks at all."""

    __slots__ = ("_book", "_now")

    def __init__(self, book: PolicyBook, now: datetime) -> None:
        self._book, self._now = book, now

    def __getitem__(self, digest_: str) -> Agreement:
        found = self._book.counting_one(digest_, self._now)
        if found is None:
            raise KeyError(digest_)
        return found

    def get(self, digest_: str, default: Agreement | None = None) -> Agreement | None:  # type: ignore[override]
        """The agreement, or nothing."""
        return self._book.counting_one(digest_, self._now) or default

    def __iter__(self) -> Iterator[str]:
        return (agreement.digest for agreement in self._book.counting(self._now))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Period:
    """What a policy book says at an instant, and between which others it says the same."""

    __slots__ = ("_book", "in_force", "now", "policy")

    def __init__(self, book: PolicyBook, now: datetime) -> None:
        self._book, self.now = book, now
        self.policy = book.policy(now)
        self.in_force = InForce(book, now)

    def permits(self, agreement: Agreement) -> PermitTable:
        """The permit clauses of one agreement, with the groups that live now."""
        kept, now = self._book.history.tables.get(agreement.digest), self.now
        if kept is None or not kept.since <= now < kept.until:
            kept = Permitting(agreement, now)
            self._book.history.keep(agreement.digest, kept)
        return kept.permits

    def shared(self, one: str, other: str) -> Shared:
        """What the agreements in force say to which both these agencies are parties."""
        return self._current(self._book.history.between(one, other), Shared)

    def binding(self, agency: str) -> ForbidTable:
        """The forbids that reach everyone, of all agreements in force to which this agency is a party (AGR-32)."""
        return self._current(self._book.history.binding(agency), Binding).forbids

    def _current(
        self, slot: Slot[_W], make: Callable[[Iterable[Agreement], datetime, Iterable[datetime], int], _W]
    ) -> _W:
        kept, seen, now = slot.kept, slot.seen(self._book.size), self.now
        if kept is None or kept.seen != seen or not kept.since <= now < kept.until:
            book = self._book
            names = [book.history.items[place].digest for place in slot.agreements if place < book.size]
            turns = [turn for name in names for turn in book.turns(name)]
            counting = [agreement for name in names if (agreement := book.counting_one(name, now))]
            slot.kept = kept = make(counting, now, turns, seen)
        return kept


def _ends(agreement: Agreement) -> Sequence[datetime]:
    return [group.until for group in agreement.terms.groups]


def _window(turns: Iterable[datetime], now: datetime) -> tuple[datetime, datetime]:
    """From the last turn up to the first one after."""
    since, until = _ALWAYS
    for turn in turns:
        if turn <= now:
            since = max(since, turn)
        else:
            until = min(until, turn)
    return since, until

"""A period: what the agreements in force say between two instants, worked out for whom it is asked (AGR-18, AGR-32).

Nothing here looks at agreements that it does not need. What two agencies share is put into tables when somebody
first asks for these two, and put anew when one of *their* agreements starts, ends, loses a group or is changed
by the log: the other hundred thousand make no difference. What is kept is never changed, only replaced, so it
does not matter who else is asking.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from exchange.protocol.agreement import Agreement
from exchange.protocol.history import reaches_everyone
from exchange.protocol.matching import ForbidTable, PermitTable, Rules
from exchange.protocol.terms import Forbid, Permit, Reach

if TYPE_CHECKING:
    from exchange.protocol.policy import PolicyBook

_ALWAYS: Final = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Shared:
    """The clauses of all agreements in force between two agencies, the floor's not among them.

    Of one agency alone: the forbids that bind it whoever the recipient is.
    """

    __slots__ = ("_now", "_permits", "agreements", "forbids")

    def __init__(self, agreements: Iterable[Agreement], now: datetime, *, alone: bool) -> None:
        self.agreements = sorted(agreements, key=lambda a: (a.terms.id, a.terms.version, a.digest))
        rows: list[tuple[Rules, Forbid]] = []
        for agreement in self.agreements:
            forbids = (clause for clause in agreement.terms.clauses if isinstance(clause, Forbid))
            rows += [(agreement, clause) for clause in forbids if not alone or clause.reach is Reach.EVERYONE]
        self.forbids = ForbidTable(rows, now)
        self._now = now
        self._permits: PermitTable | None = None

    @property
    def permits(self) -> PermitTable:
        """Their permits, needed only to explain a denial."""
        if self._permits is None:
            rows = [(a, c) for a in self.agreements for c in a.terms.clauses if isinstance(c, Permit)]
            self._permits = PermitTable(rows, self._now)
        return self._permits


class Kept:
    """What was worked out for some agencies: for how long it stands, and up to which changes of the log."""

    __slots__ = ("about", "changes", "shared", "since", "until")

    def __init__(
        self, about: tuple[Agreement, ...], changes: tuple[int, ...], shared: Shared, since: datetime, until: datetime
    ) -> None:
        """``about`` is every agreement that concerns them, in force or not."""
        self.about, self.changes, self.shared, self.since, self.until = about, changes, shared, since, until


class Permitting:
    """The permits of one agreement, as long as the same groups of it live."""

    __slots__ = ("permits", "since", "until")

    def __init__(self, agreement: Agreement, now: datetime) -> None:
        self.since, self.until = _window([group.until for group in agreement.terms.groups], now)
        self.permits = PermitTable([(agreement, c) for c in agreement.terms.clauses if isinstance(c, Permit)], now)


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
    """What a policy book says at an instant."""

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
            self._book.history.remember_table(agreement.digest, kept)
        return kept.permits

    def shared(self, one: str, other: str) -> Shared:
        """What the agreements in force say to which both these agencies are parties."""
        return self._current((one, other) if one < other else (other, one))

    def binding(self, agency: str) -> ForbidTable:
        """The forbids that reach everyone, of all agreements in force to which this agency is a party (AGR-52)."""
        return self._current((agency,)).forbids

    def _current(self, agencies: tuple[str, ...]) -> Shared:
        """What was worked out for these, if nothing has changed for them since; else what is worked out now."""
        history, size, now = self._book.history, self._book.size, self.now
        kept, changes = history.kept.get(agencies), history.changes(agencies, size)
        if kept is not None and kept.changes == changes and kept.since <= now < kept.until:
            return kept.shared
        about, changed = self._about(agencies, kept, changes)
        if kept is not None and not changed and kept.since <= now < kept.until:
            kept = Kept(about, changes, kept.shared, kept.since, kept.until)
        else:
            turns = [turn for agreement in about for turn in self._book.turns(agreement)]
            shared = Shared([a for a in about if self._book.counts(a, now)], now, alone=len(agencies) == 1)
            kept = Kept(about, changes, shared, *_window(turns, now))
        history.remember(agencies, kept)
        return kept.shared

    def _about(
        self, agencies: tuple[str, ...], kept: Kept | None, changes: tuple[int, ...]
    ) -> tuple[tuple[Agreement, ...], bool]:
        """The agreements that concern these, and whether anything about them has changed since ``kept``."""
        history = self._book.history
        if kept is None or any(was > now for was, now in zip(kept.changes, changes, strict=True)):
            found = history.agreements_of(agencies, self._book.size)  # nothing kept, or of a newer book than this
            return tuple(agreement for agreement in found if _concerns(agencies, agreement)), True
        changed = [a for a in history.changed(agencies, kept.changes, changes) if _concerns(agencies, a)]
        if not changed:
            return kept.about, False
        return tuple({agreement.digest: agreement for agreement in (*kept.about, *changed)}.values()), True


def _concerns(agencies: tuple[str, ...], agreement: Agreement) -> bool:
    """Whether this is an agreement between two agencies; or, of one alone, whether it binds that one always."""
    return all(map(agreement.has, agencies)) and (len(agencies) > 1 or reaches_everyone(agreement))


def _window(turns: Iterable[datetime], now: datetime) -> tuple[datetime, datetime]:
    """From the last turn up to the first one after."""
    since, until = _ALWAYS
    for turn in turns:
        if turn <= now:
            since = max(since, turn)
        else:
            until = min(until, turn)
    return since, until

"""What was logged: agreements and notices in the order of the log, with the indexes that deciding needs (AGR-28).

A history only grows. Any number of policy books share one: a book is a history and how much of it counts, so the
next book costs an entry in a few lists, and the one before goes on saying what it said. Whoever reads for a book of
``size`` leaves alone what stands at or behind that place, so a reader never minds who is writing; and of two that
would write at one place only one may, the other begins a history of its own.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from exchange.protocol.agreement import Agreement, Notice
from exchange.protocol.terms import Forbid, Reach
from keys.encoding import digest

if TYPE_CHECKING:
    from exchange.protocol.period import Kept, Permitting

Logged = Agreement | Notice

NO_POLICY: Final = digest(b"")
"""The name of the policy before anything was logged."""
KEPT: Final = 16_384
"""For how many pairs, agencies and agreements a history remembers what was worked out."""


def next_policy(policy: str, logged: str) -> str:
    """The name of the policy after the statement of this digest was logged (AGR-28)."""
    return digest(f"{policy}\n{logged}".encode())


class History:
    """Agreements and notices in log order. Nothing is checked here; a policy book does that before it appends."""

    __slots__ = (
        "_claims", "_latest", "_of", "_policies", "_touched", "followers", "items", "kept", "notices", "places",
        "tables",
    )  # fmt: skip

    def __init__(self, items: Iterable[Logged] = ()) -> None:
        self.items: list[Logged] = []
        self.places: dict[str, int] = {}
        self.followers: dict[str, int] = {}  # digest of the replaced agreement: the place of the one that replaces it
        self.notices: dict[str, list[int]] = {}
        self.kept: dict[tuple[str, ...], Kept] = {}
        self.tables: dict[str, Permitting] = {}
        self._claims: dict[int, object] = {}
        self._policies: list[str] = [NO_POLICY]
        self._latest: list[datetime] = []  # the latest log time so far; equals the item's own, or the log went back
        self._of: dict[str, list[int]] = {}  # for each agency the places of its agreements
        self._touched: dict[str, list[int]] = {}  # and those of everything that changed anything about them
        for item in items:
            self._append(item)

    def claim(self, item: Logged, size: int) -> bool:
        """Take in what was logged next, unless something else has that place already."""
        mine = object()
        if len(self.items) != size or self._claims.setdefault(size, mine) is not mine:
            return False
        self._append(item)
        return True

    def policy(self, now: datetime, size: int) -> str:
        """The name of what was logged at or before ``now``, of the first ``size`` items (AGR-28)."""
        if not size or self._latest[size - 1] <= now:
            return self._policies[size]
        return self._policies[bisect_right(self._latest, now, 0, size)]

    def agreement(self, place: int) -> Agreement:
        """The agreement that stands at this place."""
        item = self.items[place]
        if not isinstance(item, Agreement):
            raise TypeError("a notice stands at this place")
        return item

    def notices_on(self, agreement: str, size: int) -> list[Notice]:
        """The notices about an agreement, in the order of the log."""
        found = (self.items[place] for place in self.notices.get(agreement, ()) if place < size)
        return [item for item in found if isinstance(item, Notice)]

    def agreements_of(self, agencies: Sequence[str], size: int) -> list[Agreement]:
        """The agreements to which all these agencies are parties; it looks at those of the one that has fewest."""
        fewest = min((self._of.get(agency, []) for agency in agencies), key=len)
        found = (self.agreement(place) for place in fewest[: _before(fewest, size)])
        return [agreement for agreement in found if all(map(agreement.has, agencies))]

    def changes(self, agencies: Sequence[str], size: int) -> tuple[int, ...]:
        """How often the log changed anything about each one's agreements: equal numbers, equal state."""
        return tuple([_before(self._touched.get(agency, _NOTHING), size) for agency in agencies])

    def changed(self, agencies: Sequence[str], was: Sequence[int], now: Sequence[int]) -> Iterator[Agreement]:
        """The agreements that changed between two such counts, of the agency for which there are fewest."""
        spans = zip(agencies, was, now, strict=True)
        agency, first, last = min(spans, key=lambda span: span[2] - span[1])
        for place in self._touched.get(agency, _NOTHING)[first:last]:
            yield from self._about(self.items[place])

    def remember(self, agencies: tuple[str, ...], kept: Kept) -> None:
        """Keep what was worked out for these."""
        if len(self.kept) >= KEPT:
            self.kept.clear()
        self.kept[agencies] = kept

    def remember_table(self, agreement: str, table: Permitting) -> None:
        """Keep what was worked out for one agreement."""
        if len(self.tables) >= KEPT:
            self.tables.clear()
        self.tables[agreement] = table

    def _append(self, item: Logged) -> None:
        """The item itself comes last: until it is there, nobody has a book that may read any of this."""
        place = len(self.items)
        self.places[item.digest] = place
        if isinstance(item, Agreement):
            for party in item.terms.parties:
                self._of.setdefault(party, []).append(place)
            if item.terms.replaces is not None:
                self.followers[item.terms.replaces] = place
        else:
            self.notices.setdefault(item.terms.agr, []).append(place)
        for party in {party for agreement in self._about(item) for party in agreement.terms.parties}:
            self._touched.setdefault(party, []).append(place)
        self._latest.append(max(item.at, self._latest[-1]) if self._latest else item.at)
        self._policies.append(next_policy(self._policies[-1], item.digest))
        self.items.append(item)

    def _about(self, item: Logged) -> Iterator[Agreement]:
        """The agreements about which this changes something: itself and the one it replaces, or the one it notes."""
        if isinstance(item, Notice):
            yield self.agreement(self.places[item.terms.agr])
            return
        yield item
        if item.terms.replaces is not None:
            yield self.agreement(self.places[item.terms.replaces])


_NOTHING: Final[list[int]] = []


def _before(places: Sequence[int], size: int) -> int:
    """How many of these places a book of this size has."""
    return len(places) if not places or places[-1] < size else bisect_left(places, size)


def reaches_everyone(agreement: Agreement) -> bool:
    """Whether a forbid of it counts whoever the recipient is."""
    return any(isinstance(clause, Forbid) and clause.reach is Reach.EVERYONE for clause in agreement.terms.clauses)

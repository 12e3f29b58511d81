"""What was logged: agreements and notices in the order of the log, with the indexes that deciding needs (AGR-28).

A history only grows. Any number of policy books share one: a book is a history and how much of it counts, so the
next book costs an entry in a few lists, and the one before goes on saying what it said. Whoever reads for a book of
``size`` leaves alone what stands at or behind that place.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import combinations_with_replacement
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from exchange.protocol.agreement import Agreement, Notice
from exchange.protocol.terms import Forbid, Reach
from keys.encoding import digest

if TYPE_CHECKING:
    from exchange.protocol.period import Binding, Permitting, Shared

Logged = Agreement | Notice
Pair = tuple[str, str]

NO_POLICY: Final = digest(b"")
"""The name of the policy before anything was logged."""
_KEPT: Final = 16_384
"""How many pairs, and how many agencies, a history remembers what it worked out for."""

_Kept = TypeVar("_Kept")


def next_policy(policy: str, logged: str) -> str:
    """The name of the policy after the statement of this digest was logged (AGR-28)."""
    return digest(f"{policy}\n{logged}".encode())


class Slot(Generic[_Kept]):
    """Agreements that are asked about together, and every place where the log changed anything about them."""

    __slots__ = ("agreements", "kept", "touched")

    def __init__(self, agreements: list[int], touched: list[int]) -> None:
        self.agreements, self.touched = agreements, touched
        self.kept: _Kept | None = None

    def seen(self, size: int) -> int:
        """How many of those changes stand before this place: equal numbers, equal state."""
        touched = self.touched
        return len(touched) if not touched or touched[-1] < size else bisect_left(touched, size)


class History:
    """Agreements and notices in log order. Nothing is checked here; a policy book does that before it appends."""

    __slots__ = (
        "_binding", "_by_party", "_latest", "_pairs", "_policies", "_reaching", "followers", "items", "lock", "notices",
        "places", "tables",
    )  # fmt: skip

    def __init__(self, items: Iterable[Logged] = ()) -> None:
        self.lock = Lock()
        self.items: list[Logged] = []
        self.places: dict[str, int] = {}
        self.followers: dict[str, int] = {}  # digest of the replaced agreement: the place of the one that replaces it
        self.notices: dict[str, list[int]] = {}
        self._policies: list[str] = [NO_POLICY]
        self._latest: list[datetime] = []  # the latest log time so far; equals the item's own, or the log went back
        self._by_party: dict[str, dict[int, None]] = {}  # places, in order
        self._reaching: dict[str, list[int]] = {}
        self._pairs: dict[Pair, Slot[Shared]] = {}
        self._binding: dict[str, Slot[Binding]] = {}
        self.tables: dict[str, Permitting] = {}
        for item in items:
            self.append(item)

    def append(self, item: Logged) -> None:
        """Take in what was logged next."""
        place = len(self.items)
        if isinstance(item, Agreement):
            self._index(item, place)
        else:
            self.notices.setdefault(item.terms.agr, []).append(place)
            self._touch(item.terms.agr, place)
        self.places[item.digest] = place
        self._latest.append(max(item.at, self._latest[-1]) if self._latest else item.at)
        self._policies.append(next_policy(self._policies[-1], item.digest))
        self.items.append(item)

    def policy(self, now: datetime, size: int) -> str:
        """The name of what was logged at or before ``now``, of the first ``size`` items (AGR-28)."""
        latest = self._latest
        if size == len(latest) and (not size or latest[-1] <= now):
            return self._policies[size]
        return self._policies[min(size, bisect_right(latest, now))]

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

    def between(self, one: str, other: str) -> Slot[Shared]:
        """The agreements to which both are parties."""
        pair = (one, other) if one < other else (other, one)
        slot = self._pairs.get(pair)
        if slot is None:
            with self.lock:
                if len(self._pairs) >= _KEPT:
                    self._pairs.clear()
                mine, theirs = self._by_party.get(one, {}), self._by_party.get(other, {})
                few, many = (mine, theirs) if len(mine) < len(theirs) else (theirs, mine)
                slot = self._pairs[pair] = self._slot([place for place in few if place in many])
        return slot

    def binding(self, agency: str) -> Slot[Binding]:
        """The agreements of this agency that bind it whoever the recipient is."""
        slot = self._binding.get(agency)
        if slot is None:
            with self.lock:
                if len(self._binding) >= _KEPT:
                    self._binding.clear()
                slot = self._binding[agency] = self._slot(list(self._reaching.get(agency, ())))
        return slot

    def keep(self, agreement: str, table: Permitting) -> None:
        """Remember what was worked out for one agreement."""
        if len(self.tables) >= _KEPT:
            self.tables.clear()
        self.tables[agreement] = table

    def _slot(self, agreements: list[int]) -> Slot[Any]:
        touched = set(agreements)
        for place in agreements:
            name = self.items[place].digest
            touched.update(self.notices.get(name, ()))
            touched.update([self.followers[name]] if name in self.followers else ())
        return Slot(agreements, sorted(touched))

    def _index(self, agreement: Agreement, place: int) -> None:
        for party in agreement.terms.parties:
            self._by_party.setdefault(party, {})[place] = None
            if reaches_everyone(agreement):
                self._reaching.setdefault(party, []).append(place)
        if agreement.terms.replaces is not None:
            self.followers[agreement.terms.replaces] = place
            self._touch(agreement.terms.replaces, place)
        for slot in self._slots(agreement):
            slot.agreements.append(place)
            _note(slot, place)

    def _touch(self, name: str, place: int) -> None:
        """Note that something changed about the agreement of this digest."""
        for slot in self._slots(self.agreement(self.places[name])):
            _note(slot, place)

    def _slots(self, agreement: Agreement) -> Iterator[Slot[Shared] | Slot[Binding]]:
        """What was worked out for its parties, as far as it was asked for."""
        parties = sorted(agreement.terms.parties)
        if self._pairs:
            yield from filter(None, map(self._pairs.get, combinations_with_replacement(parties, 2)))
        if self._binding and reaches_everyone(agreement):
            yield from filter(None, map(self._binding.get, parties))


def reaches_everyone(agreement: Agreement) -> bool:
    """Whether a forbid of it counts whoever the recipient is."""
    return any(isinstance(clause, Forbid) and clause.reach is Reach.EVERYONE for clause in agreement.terms.clauses)


def _note(slot: Slot[Shared] | Slot[Binding], place: int) -> None:
    if not slot.touched or slot.touched[-1] != place:  # a new version touches what the old one shares with it once
        slot.touched.append(place)

"""Matching: which clauses does a request meet, and what does each other miss? (AGR-7 to AGR-11, AGR-51 to AGR-58)

A table keeps clauses as columns of bits: bit *i* of a mask stands for clause *i*. Asking is a handful of
integer operations however many clauses there are, which is why the cost of a decision does not grow with
the number of agreements. Order carries no meaning; it only settles ties in explanations. Groups are put
into a table as the members they name at ``now``; whoever keeps a table keeps it no longer than those live.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final, Protocol

from exchange.protocol.obligations import Obligations, bound
from exchange.protocol.terms import ANY, ANY_PARTY, GROUP, Forbid, Group, Permit
from exchange.protocol.vocabulary import Category, Classification, Handling

_CODES: Final = sorted(Classification, key=lambda code: code.rank)
_RANKS: Final = {code.value: code.rank for code in _CODES}
_UP_TO: Final = {ceiling.value: frozenset(c.value for c in _CODES if c.rank <= ceiling.rank) for ceiling in _CODES}
"""For each ceiling, the classifications that are not above it."""


@dataclass(frozen=True, slots=True)
class Party:
    """An agency, with the roles, the ceiling and the territory that its record gives it."""

    id: str
    roles: tuple[str, ...]
    ceiling: str
    territory: str
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """Everything a clause may call this party, but for groups: its id, and then what others are called too."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", _names(self.id, self.roles, self.territory))

    def may_receive(self, classification: str) -> bool:
        """Whether this is not above its ceiling (AGR-39); codes nobody knows are refused on either side."""
        return classification in _UP_TO.get(self.ceiling, ())


@lru_cache(maxsize=4096)
def _names(agency: str, roles: tuple[str, ...], territory: str) -> tuple[str, ...]:
    return (agency, ANY_PARTY, *[f"role:{role}" for role in roles], f"territory:{territory}")


@dataclass(frozen=True, slots=True)
class Consent:
    """What the originator of a source allowed one holder under its signature: to whom, for what, until when."""

    holder: str
    to: frozenset[str]
    purposes: frozenset[str]
    until: datetime
    withdrawn: bool
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A message that the one to be decided is derived from, at first hand or further back, as the log shows it."""

    msg: str
    originator: str
    holder_had: bool
    """Whether the discloser was its sender or one of its recipients, or holds it through one that it received."""
    stopped: bool
    """Recalled or restricted by its originator, or erased by the discloser's own word."""
    onward: str
    """What binds the discloser: an onward rule."""
    parties: frozenset[str]
    """The parties of the agreement it was disclosed under."""
    consents: tuple[Consent, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody wants to disclose: all that a decision may depend on, besides agreements and time."""

    discloser: Party
    recipients: tuple[Party, ...]
    agreement: str
    type: str
    purpose: str
    crime: str
    cats: frozenset[str]
    classification: str
    handling: frozenset[str]
    urgency: str
    exempt: str | None = None
    sources: tuple[Source, ...] = ()


class Terms(Protocol):
    """What a table and an explanation want to know of the terms that a clause stands in; the floor has them too."""

    @property
    def id(self) -> str:
        """What people call it."""

    @property
    def version(self) -> int:
        """Which version of it."""

    @property
    def title(self) -> str:
        """Its title."""

    @property
    def territory(self) -> tuple[str, ...]:
        """Where its parties may be told something without another basis."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups that its clauses may name."""

    @property
    def clauses(self) -> tuple[Permit | Forbid, ...]:
        """Its clauses, in its order."""

    @property
    def purge_days(self) -> int | None:
        """How long after its end things may be kept."""


class Rules(Protocol):
    """What clauses stand in: an agreement, or the floor."""

    @property
    def digest(self) -> str:
        """Its identity."""

    @property
    def terms(self) -> Terms:
        """What it says."""


MEMBERS: Final = (
    "from", "to", "type", "purpose", "crime", "urgency", "class", "ceiling", "cats", "handling", "territory", "copy",
)  # fmt: skip
"""The twelve conditions of a permit, in the order ``PermitTable.met`` answers and explanations list them."""

_KEPT: Final = 16_384
"""How many answers a table remembers before it begins anew."""

Column = dict[str, int]
"""One member of many clauses: for each code, the mask of the clauses that list it."""


def meant(names: Sequence[str], groups: Sequence[Group], now: datetime | None) -> Sequence[str]:
    """The same names with each group replaced by its members; one that is empty, expired or unknown is nobody."""
    if not groups:
        return names
    live = {f"{GROUP}{group.id}": group.members for group in groups if now is not None and group.live(now)}
    return [one for name in names for one in (live.get(name, ()) if name.startswith(GROUP) else (name,))]


def _column(lists: Iterable[Iterable[str]]) -> Column:
    places: dict[str, list[int]] = {}
    for place, codes in enumerate(lists):
        for code in codes:
            places.setdefault(str(code), []).append(place)
    return {code: _bits(found) for code, found in places.items()}


def _bits(places: Sequence[int]) -> int:
    """The mask of these places, the last of them the highest: once through, however many there are."""
    if len(places) < 16:  # the usual agreement; a mask of very many would be copied for every bit
        mask = 0
        for place in places:
            mask |= 1 << place
        return mask
    octets = bytearray((places[-1] >> 3) + 1)
    for place in places:
        octets[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(octets, "little")


def _listing(column: Column, codes: Iterable[str]) -> int:
    """The clauses that list any of these codes."""
    found = 0
    for code in codes:
        found |= column.get(code, 0)
    return found


class ForbidTable:
    """Forbid clauses of any number of agreements; ``any`` in a list stands for every code there is."""

    __slots__ = ("_cats", "_crime", "_every_cat", "_from", "_met", "_purpose", "_to", "_type", "rows")

    def __init__(self, rows: Sequence[tuple[Rules, Forbid]], now: datetime | None = None) -> None:
        self.rows = rows
        clauses = [clause for _, clause in rows]
        self._from = _column(meant(c.from_, r.terms.groups, now) for r, c in rows)
        self._to = _column(meant(c.to, r.terms.groups, now) for r, c in rows)
        self._type, self._purpose = _column(c.types for c in clauses), _column(c.purposes for c in clauses)
        self._crime, self._cats = _column(c.crimes for c in clauses), _column(c.cats for c in clauses)
        self._every_cat = self._cats.pop(ANY, 0)
        self._met: dict[tuple[str, str, str, tuple[str, ...], tuple[str, ...]], int] = {}

    def hits(self, request: Request, discloser: tuple[str, ...], recipient: tuple[str, ...]) -> int:
        """The clauses that forbid this; parties are given by all their ``names``."""
        key = (request.type, request.purpose, request.crime, discloser, recipient)
        met = self._met.get(key)
        if met is None:
            if len(self._met) >= _KEPT:
                self._met.clear()
            met = self._met[key] = self._meet(*key)
        return met and met & (self._every_cat | _listing(self._cats, request.cats))

    def _meet(
        self, type_: str, purpose: str, crime: str, discloser: tuple[str, ...], recipient: tuple[str, ...]
    ) -> int:
        """The clauses that mean these parties, and such a message but for its categories."""
        return (
            _listing(self._from, discloser)
            & _listing(self._to, recipient)
            & _listing(self._type, (ANY, type_))
            & _listing(self._purpose, (ANY, purpose))
            & _listing(self._crime, (ANY, crime))
        )


class PermitTable:
    """Permit clauses of one agreement, or of all that two parties share."""

    __slots__ = (
        "_agreement", "_anywhere", "_bound", "_cats", "_class", "_copied_to", "_copyless", "_crime", "_exempt",
        "_from", "_handling", "_purpose", "_territory", "_to", "_type", "_urgency", "all", "rows",
    )  # fmt: skip

    def __init__(self, rows: Sequence[tuple[Rules, Permit]], now: datetime | None = None) -> None:
        self.rows = rows
        self.all = (1 << len(rows)) - 1
        self._agreement: dict[str, list[int]] = {}
        for place, (rules, _) in enumerate(rows):
            self._agreement.setdefault(rules.digest, []).append(place)
        clauses = [clause for _, clause in rows]
        self._from = _column(meant(c.from_, r.terms.groups, now) for r, c in rows)
        self._to = _column(meant(c.to, r.terms.groups, now) for r, c in rows)
        self._type, self._purpose = _column(c.types for c in clauses), _column(c.purposes for c in clauses)
        self._crime, self._cats = _column(c.crimes for c in clauses), _column(c.cats for c in clauses)
        self._urgency = _column(c.conditions.urgency for c in clauses)
        self._class = _column([k for k, rank in _RANKS.items() if rank <= c.class_max.rank] for c in clauses)
        self._handling = _column(c.conditions.handling_required for c in clauses)
        self._territory = _column(r.terms.territory for r, _ in rows)
        self._anywhere = _mask(c.conditions.transfer is not None for c in clauses)
        self._copyless = _mask(c.conditions.copy_to is None for c in clauses)
        self._copied_to = _column(filter(None, [c.conditions.copy_to]) for c in clauses)
        self._exempt = _column(c.conditions.copy_exempt or () for c in clauses)
        self._bound: dict[tuple[int, str, bool, bool, bool], tuple[tuple[str, ...], Obligations]] = {}

    def met(self, request: Request, discloser: Sequence[str], recipient: Party) -> tuple[int, ...]:
        """For each of ``MEMBERS``, the clauses whose condition on it the request meets."""
        listed = self.all
        for cat in request.cats:
            listed &= self._cats.get(cat, 0)
        return (
            _listing(self._from, discloser),
            _listing(self._to, recipient.names),
            self._type.get(request.type, 0),
            self._purpose.get(request.purpose, 0),
            self._crime.get(request.crime, 0),
            self._urgency.get(request.urgency, 0),
            self._class.get(request.classification, 0),
            self.all if recipient.may_receive(request.classification) else 0,
            listed,
            self.all & ~self._unmarked(request),
            self._anywhere | self._territory.get(recipient.territory, 0),
            self._copied(request),
        )

    def hits(self, request: Request, discloser: Sequence[str], recipient: Party) -> int:
        """The clauses that permit this: every condition met. It gives up at the first that none meets."""
        found = (
            self._type.get(request.type, 0)
            & self._purpose.get(request.purpose, 0)
            & self._crime.get(request.crime, 0)
            & self._urgency.get(request.urgency, 0)
            & self._class.get(request.classification, 0)
            & (self._anywhere | self._territory.get(recipient.territory, 0))
        )
        if not found or not recipient.may_receive(request.classification):
            return 0
        found &= _listing(self._from, discloser) & _listing(self._to, recipient.names)
        for cat in request.cats:
            found &= self._cats.get(cat, 0)
        if found and self._handling:
            found &= ~self._unmarked(request)
        if found & ~self._copyless:
            found &= self._copied(request)
        return found

    def _unmarked(self, request: Request) -> int:
        """The clauses that require a handling code which is not set."""
        return _listing(self._handling, [code for code in self._handling if code not in request.handling])

    def _copied(self, request: Request) -> int:
        """The clauses that want no copy for a third, or whose third takes part, or that exempt this message."""
        told = [request.discloser.id, *[party.id for party in request.recipients]]
        exempt = 0 if request.exempt is None else self._exempt.get(request.exempt, 0)
        return self._copyless | _listing(self._copied_to, told) | exempt

    def tie(self, hits: int, request: Request) -> tuple[tuple[str, ...], Obligations]:
        """The ids of the clauses that permit this, and what they tie to it, the strictest of each."""
        h1, h2 = Handling.H1 in request.handling, Handling.H2 in request.handling
        key = (hits, request.classification, h1, h2, Category.DATA_SPECIAL_CATEGORY in request.cats)
        tied = self._bound.get(key)
        if tied is None:
            if len(self._bound) >= _KEPT:
                self._bound.clear()
            tied = self._bound[key] = self._tie(hits, request)
        return tied

    def _tie(self, hits: int, request: Request) -> tuple[tuple[str, ...], Obligations]:
        found = [self.rows[place] for place in places(hits)]
        clauses, purge_days = [clause for _, clause in found], found[0][0].terms.purge_days
        obligations = bound(
            clauses, purge_days,
            classification=request.classification, cats=request.cats, handling=request.handling,
        )  # fmt: skip
        return tuple([clause.id for clause in clauses]), obligations

    def of(self, agreement: str) -> int:
        """The clauses of one agreement."""
        return _bits(self._agreement.get(agreement, ()))

    def count_misses(self, met: Sequence[int]) -> list[int]:
        """Count for all clauses at once how many conditions each misses; the answer is four masks of binary digits."""
        digits = [0, 0, 0, 0]
        for mask in met:
            carry = self.all & ~mask
            for power, digit in enumerate(digits):
                digits[power], carry = digit ^ carry, digit & carry
                if not carry:
                    break
        return digits


def _mask(bits: Iterable[bool]) -> int:
    return _bits([place for place, bit in enumerate(bits) if bit])


def by_misses(digits: Sequence[int], among: int) -> Iterator[tuple[int, int]]:
    """Walk the clauses in ``among`` as (misses, place), fewest misses first, then in table order."""
    for count in range(len(MEMBERS) + 1 if among else 0):
        group = among
        for power, digit in enumerate(digits):
            group &= digit if count >> power & 1 else ~digit
        for place in places(group):
            yield count, place
        among &= ~group
        if not among:
            return


def places(mask: int) -> Iterator[int]:
    """The positions of the bits that are set, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest

"""Matching: which clauses does a request meet, and what does each other clause miss? (AGR-7 to AGR-9)

A ``ClauseTable`` keeps clauses as columns of bits: bit *i* of a mask stands for clause *i*. Asking is a
handful of integer operations however many clauses there are, which is why the cost of a decision does
not grow with the number of agreements. Order carries no meaning; it only settles ties in explanations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, reduce
from operator import and_
from typing import Final

from exchange.protocol.agreement import Agreement
from exchange.protocol.obligations import Obligations, bound
from exchange.protocol.terms import ANY, ANY_PARTY, Forbid, Permit
from exchange.protocol.vocabulary import Classification

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

    def may_receive(self, classification: str) -> bool:
        """Whether this is not above its ceiling (AGR-39); codes nobody knows are refused on either side."""
        return classification in _UP_TO.get(self.ceiling, ())

    @property
    def names(self) -> tuple[str, ...]:
        """Everything a clause may call this party."""
        return _names(self.id, self.roles, self.territory)


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


MEMBERS: Final = ("from", "to", "type", "purpose", "crime", "urgency", "class", "ceiling", "cats", "handling")
"""The ten conditions of a permit, in the order ``PermitTable.met`` answers and explanations list them."""

Column = dict[str, int]
"""One member of many clauses: for each code, the mask of the clauses that list it."""


def _column(lists: Iterable[Iterable[str]]) -> Column:
    column: Column = {}
    for place, codes in enumerate(lists):
        for code in codes:
            column[str(code)] = column.get(str(code), 0) | 1 << place
    return column


def _listing(column: Column, codes: Iterable[str]) -> int:
    """The clauses that list any of these codes."""
    found = 0
    for code in codes:
        found |= column.get(code, 0)
    return found


class ForbidTable:
    """Forbid clauses of any number of agreements; ``any`` in a list stands for every code there is."""

    __slots__ = ("_cats", "_crime", "_from", "_purpose", "_to", "_type", "rows")

    def __init__(self, rows: Sequence[tuple[Agreement, Forbid]]) -> None:
        self.rows = rows
        clauses = [clause for _, clause in rows]
        self._from, self._to = _column(c.from_ for c in clauses), _column(c.to for c in clauses)
        self._type, self._purpose = _column(c.types for c in clauses), _column(c.purposes for c in clauses)
        self._crime, self._cats = _column(c.crimes for c in clauses), _column(c.cats for c in clauses)

    def hits(self, request: Request, discloser: Sequence[str], recipient: Sequence[str]) -> int:
        """The clauses that forbid this; parties are given by all their ``names``."""
        found = _listing(self._cats, (ANY, *request.cats))
        return found and (
            found
            & _listing(self._from, discloser)
            & _listing(self._to, recipient)
            & _listing(self._type, (ANY, request.type))
            & _listing(self._purpose, (ANY, request.purpose))
            & _listing(self._crime, (ANY, request.crime))
        )


class PermitTable:
    """Permit clauses of one agreement, or of all that two parties share."""

    __slots__ = (
        "_agreement", "_cats", "_class", "_crime", "_from", "_handling", "_purpose", "_to", "_type", "_urgency",
        "all", "rows",
    )  # fmt: skip

    def __init__(self, rows: Sequence[tuple[Agreement, Permit]]) -> None:
        self.rows = rows
        self.all = (1 << len(rows)) - 1
        self._agreement = _column([agreement.digest] for agreement, _ in rows)
        clauses = [clause for _, clause in rows]
        self._from, self._to = _column(c.from_ for c in clauses), _column(c.to for c in clauses)
        self._type, self._purpose = _column(c.types for c in clauses), _column(c.purposes for c in clauses)
        self._crime, self._cats = _column(c.crimes for c in clauses), _column(c.cats for c in clauses)
        self._urgency = _column(c.conditions.urgency for c in clauses)
        self._class = _column([k for k, rank in _RANKS.items() if rank <= c.class_max.rank] for c in clauses)
        self._handling = _column(c.conditions.handling_required for c in clauses)

    def met(self, request: Request, discloser: Sequence[str], recipient: Party) -> tuple[int, ...]:
        """For each of ``MEMBERS``, the clauses whose condition on it the request meets."""
        listed = unmarked = self.all
        for cat in request.cats:
            listed &= self._cats.get(cat, 0)
        for code, mask in self._handling.items():
            if code not in request.handling:
                unmarked &= ~mask
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
            unmarked,
        )

    def hits(self, request: Request, discloser: Sequence[str], recipient: Party) -> int:
        """The clauses that permit this: every condition met."""
        return reduce(and_, self.met(request, discloser, recipient))

    def obligations(self, found: Sequence[int], request: Request) -> Obligations:
        """What the clauses at these places tie to the request, the strictest of each."""
        agreement = self.rows[found[0]][0]
        return bound(
            [self.rows[place][1] for place in found],
            agreement.terms.purge_days,
            classification=request.classification,
            cats=request.cats,
            handling=request.handling,
        )

    def of(self, agreement: str) -> int:
        """The clauses of one agreement."""
        return self._agreement.get(agreement, 0)

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


def by_misses(digits: Sequence[int], among: int) -> Iterator[tuple[int, int]]:
    """Walk the clauses in ``among`` as (misses, place), fewest misses first, then in table order."""
    for count in range(len(MEMBERS) + 1 if among else 0):
        group = among
        for power, digit in enumerate(digits):
            group &= digit if count >> power & 1 else ~digit
        for place in places(group):
            yield count, place


def places(mask: int) -> Iterator[int]:
    """The positions of the bits that are set, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest

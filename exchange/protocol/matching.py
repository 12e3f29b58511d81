"""Matching: which clauses does a request meet, and what does each other clause miss? (AGR-7 to AGR-9)

A ``ClauseTable`` keeps clauses as columns of bits: bit *i* of a mask stands for clause *i*. Asking is a
handful of integer operations however many clauses there are, which is why the cost of a decision does
not grow with the number of agreements. Order carries no meaning; it only settles ties in explanations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Final

from exchange.protocol.agreement import Agreement
from exchange.protocol.terms import ANY, ANY_PARTY, Forbid, Permit
from exchange.protocol.vocabulary import Classification


@dataclass(frozen=True, slots=True)
class Party:
    """An agency and the roles its record gives it."""

    id: str
    roles: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Everything a clause may call this party."""
        return (self.id, ANY_PARTY, *[f"role:{role}" for role in self.roles])


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


MEMBERS: Final = ("from", "to", "type", "purpose", "crime", "urgency", "class", "cats", "handling")
"""The nine conditions of a permit, in the order ``PermitTable.met`` answers and explanations list them."""

_RANKS: Final = {code.value: code.rank for code in Classification}


class _Column:
    """One member of many clauses: for each code, the clauses that list it."""

    __slots__ = ("any", "masks")

    def __init__(self, lists: Iterable[Iterable[str]]) -> None:
        masks: dict[str, int] = {}
        for place, codes in enumerate(lists):
            for code in codes:
                masks[str(code)] = masks.get(str(code), 0) | 1 << place
        self.any = masks.pop(ANY, 0)
        self.masks = {code: mask | self.any for code, mask in masks.items()}

    def has(self, code: str) -> int:
        """The clauses that list this code."""
        return self.masks.get(code, self.any)

    def has_one_of(self, codes: Iterable[str]) -> int:
        """The clauses that list any of these codes."""
        found = self.any
        for code in codes:
            found |= self.masks.get(code, 0)
        return found


class ForbidTable:
    """Forbid clauses of any number of agreements."""

    __slots__ = ("_cats", "_crime", "_from", "_purpose", "_to", "_type", "rows")

    def __init__(self, rows: Sequence[tuple[Agreement, Forbid]]) -> None:
        self.rows = rows
        clauses = [clause for _, clause in rows]
        self._from, self._to = _Column(c.from_ for c in clauses), _Column(c.to for c in clauses)
        self._type, self._purpose = _Column(c.types for c in clauses), _Column(c.purposes for c in clauses)
        self._crime, self._cats = _Column(c.crimes for c in clauses), _Column(c.cats for c in clauses)

    def hits(self, request: Request, discloser: Sequence[str], recipient: Sequence[str]) -> int:
        """The clauses that forbid this; parties are given by all their ``names``."""
        if not self.rows:
            return 0
        return (
            self._type.has(request.type)
            & self._purpose.has(request.purpose)
            & self._crime.has(request.crime)
            & self._cats.has_one_of(request.cats)
            & self._from.has_one_of(discloser)
            & self._to.has_one_of(recipient)
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
        self._agreement = _Column([a.digest] for a, _ in rows)
        clauses = [clause for _, clause in rows]
        self._from, self._to = _Column(c.from_ for c in clauses), _Column(c.to for c in clauses)
        self._type, self._purpose = _Column(c.types for c in clauses), _Column(c.purposes for c in clauses)
        self._crime, self._cats = _Column(c.crimes for c in clauses), _Column(c.cats for c in clauses)
        self._urgency = _Column(c.conditions.urgency for c in clauses)
        self._class = _Column([k for k, rank in _RANKS.items() if rank <= c.class_max.rank] for c in clauses)
        self._handling = _Column(c.conditions.handling_required for c in clauses)

    def met(self, request: Request, discloser: Sequence[str], recipient: Sequence[str]) -> tuple[int, ...]:
        """For each of ``MEMBERS``, the clauses whose condition on it the request meets."""
        listed = self.all
        for cat in request.cats:
            listed &= self._cats.masks.get(cat, 0)
        unmarked = 0
        for code, mask in self._handling.masks.items():
            if code not in request.handling:
                unmarked |= mask
        return (
            self._from.has_one_of(discloser),
            self._to.has_one_of(recipient),
            self._type.has(request.type),
            self._purpose.has(request.purpose),
            self._crime.has(request.crime),
            self._urgency.has(request.urgency),
            self._class.has(request.classification),
            listed,
            self.all & ~unmarked,
        )

    def of(self, agreement: str) -> int:
        """The clauses of one agreement."""
        return self._agreement.has(agreement)

    def hits(self, request: Request, discloser: Sequence[str], recipient: Sequence[str]) -> int:
        """The clauses that permit this: every condition met."""
        return reduce(and_, self.met(request, discloser, recipient), self.all)

    def by_misses(self, met: Sequence[int], among: int) -> Iterator[tuple[int, int]]:
        """Walk the clauses in ``among`` as (misses, place), fewest misses first, then in table order.

        Counting is done for all clauses at once: four masks hold the bits of every clause's count.
        """
        digits = [0, 0, 0, 0]
        for mask in met:
            carry = self.all & ~mask
            for power, digit in enumerate(digits):
                digits[power], carry = digit ^ carry, digit & carry
        for count in range(len(met) + 1):
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

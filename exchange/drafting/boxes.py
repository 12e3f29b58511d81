"""Boxes: sets of requests, described exactly and counted without listing them (DRF-20).

A request between two agencies has *coordinates*: one code of each of six lists (type, purpose, crime area, urgency,
classification, exemption) and any subset of three (categories, handling codes, copied agencies). A *box* says of each
list which codes it has, and of each subset which codes must be in it and which may. What a permit clause allows is a
box; so are the pieces that remain when boxes are taken out of boxes. That is why two agreements can be compared over
all requests there are, some 10^15 of them, and the answer is exact.

Categories that every clause at hand treats alike are one *atom*: it is there or not, and there in 2^n - 1 ways. This
keeps the pieces few and the counts right.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from exchange.protocol.vocabulary import (
    Category,
    Classification,
    CopyExemption,
    CrimeArea,
    Handling,
    MessageType,
    Purpose,
    Urgency,
)

VALUES: Final[dict[str, tuple[str, ...]]] = {
    "type": tuple(code.value for code in MessageType),
    "purpose": tuple(code.value for code in Purpose),
    "crime": tuple(code.value for code in CrimeArea),
    "urgency": tuple(code.value for code in Urgency),
    "class": tuple(code.value for code in sorted(Classification, key=lambda code: code.rank)),
    "exempt": ("", *[code.value for code in CopyExemption]),
}
"""The coordinates of which a request has one code; no exemption is a code of its own, the empty one."""
SETS: Final = ("cats", "handling", "copied")
"""The coordinates of which a request has any subset."""
MAX_PIECES: Final = 20_000
"""Pieces that one subtraction may leave; clauses that people write leave a few dozen."""

_PLACE: Final = {name: {code: 1 << i for i, code in enumerate(codes)} for name, codes in VALUES.items()}
_ORDER: Final = {name: place for place, name in enumerate(VALUES)}


class TooManyPieces(Exception):
    """Two drafts differ in more ways than can be counted in reasonable time."""


@dataclass(frozen=True, slots=True)
class Box:
    """Masks: ``values`` one for each of ``VALUES``; ``sets`` a pair (must, may) for each of ``SETS``."""

    values: tuple[int, ...]
    sets: tuple[tuple[int, int], ...]

    def __and__(self, other: Box) -> Box | None:
        """What is in both, or nothing."""
        values = tuple([mine & theirs for mine, theirs in zip(self.values, other.values, strict=True)])
        if not all(values):
            return None
        sets = tuple([(a | c, b & d) for (a, b), (c, d) in zip(self.sets, other.sets, strict=True)])
        return None if any(must & ~may for must, may in sets) else Box(values, sets)

    def within(self, other: Box) -> bool:
        """Whether the other box holds all of this one."""
        return all(mine & ~theirs == 0 for mine, theirs in zip(self.values, other.values, strict=True)) and all(
            must | theirs == must and may & ~most == 0
            for (must, may), (theirs, most) in zip(self.sets, other.sets, strict=True)
        )

    def minus(self, other: Box) -> list[Box]:
        """What is in this box and not in the other, as boxes that do not overlap."""
        if (self & other) is None:
            return [self]
        pieces, rest = list[Box](), self
        for place, theirs in enumerate(other.values):
            if rest.values[place] & ~theirs:
                pieces.append(rest.with_value(place, rest.values[place] & ~theirs))
                rest = rest.with_value(place, rest.values[place] & theirs)
        for place, (least, most) in enumerate(other.sets):
            must, may = rest.sets[place]
            for bit in _bits(least & ~must):
                pieces.append(rest.with_set(place, must, may & ~bit))
                must |= bit
                rest = rest.with_set(place, must, may)
            for bit in _bits(may & ~most):
                pieces.append(rest.with_set(place, must | bit, may))
                may &= ~bit
                rest = rest.with_set(place, must, may)
        return pieces

    def with_value(self, place: int, mask: int) -> Box:
        """The same box with other codes in one list."""
        return Box((*self.values[:place], mask, *self.values[place + 1 :]), self.sets)

    def with_set(self, place: int, must: int, may: int) -> Box:
        """The same box with another range of one subset."""
        return Box(self.values, (*self.sets[:place], (must, may), *self.sets[place + 1 :]))


def _bits(mask: int) -> Iterator[int]:
    while mask:
        yield mask & -mask
        mask &= mask - 1


def subtract(boxes: Iterable[Box], taken: Iterable[Box]) -> list[Box]:
    """What is left of boxes that do not overlap; ``TooManyPieces`` rather than an answer that is not exact."""
    left = list(boxes)
    for other in taken:
        left = [piece for box in left for piece in box.minus(other)]
        if len(left) > MAX_PIECES:
            raise TooManyPieces
    return left


def apart(boxes: Sequence[Box]) -> list[tuple[int, Box]]:
    """The same requests as boxes that do not overlap, each with the place of the box that it was cut from."""
    found = list[tuple[int, Box]]()
    for place, box in enumerate(boxes):
        found += [(place, piece) for piece in subtract([box], boxes[:place])]
    return found


class Space:
    """The codes of one comparison: which categories form atoms, which agencies may have to be copied."""

    def __init__(self, lists: Iterable[Collection[str]], copied: Iterable[str], alone: Collection[str] = ()) -> None:
        """``lists`` are all lists of categories that occur; ``alone`` are categories that are atoms by themselves."""
        groups = dict[tuple[object, ...], list[str]]()
        known = [frozenset(codes) for codes in lists]
        for cat in sorted(Category):
            same = (*[cat in codes for codes in known], cat.value if cat in alone else "")
            groups.setdefault(same, []).append(cat.value)
        self.atoms = tuple(tuple(group) for group in groups.values())
        self.copied = tuple(sorted(set(copied)))
        self._bit = {cat: 1 << place for place, atom in enumerate(self.atoms) for cat in atom}
        self._sets = {
            "cats": self._bit,
            "handling": {code.value: 1 << place for place, code in enumerate(Handling)},
            "copied": {agency: 1 << place for place, agency in enumerate(self.copied)},
        }
        self.all = Box(
            tuple((1 << len(codes)) - 1 for codes in VALUES.values()),
            ((0, (1 << len(self.atoms)) - 1), (0, (1 << len(Handling)) - 1), (0, (1 << len(self.copied)) - 1)),
        )

    def narrow(self, box: Box, name: str, codes: Iterable[str]) -> Box:
        """Only these codes of one list; or of a subset, none but these. The result may be empty: see ``holds``."""
        if name in VALUES:
            mask = sum({_PLACE[name].get(code, 0) for code in codes})
            return box.with_value(_ORDER[name], box.values[_ORDER[name]] & mask)
        place = SETS.index(name)
        must, may = box.sets[place]
        return box.with_set(place, must, may & self.mask(name, codes))

    def require(self, box: Box, name: str, codes: Iterable[str]) -> Box:
        """Only requests whose subset has all of these codes."""
        place = SETS.index(name)
        must, may = box.sets[place]
        return box.with_set(place, must | self.mask(name, codes), may)

    def exclude(self, box: Box, name: str, codes: Iterable[str]) -> Box:
        """Only requests whose subset has none of these codes."""
        place = SETS.index(name)
        must, may = box.sets[place]
        return box.with_set(place, must, may & ~self.mask(name, codes))

    def mask(self, name: str, codes: Iterable[str]) -> int:
        """The bits of these codes in a subset; codes that nobody knows have none."""
        return sum({self._sets[name].get(code, 0) for code in codes})

    def codes(self, box: Box, name: str) -> tuple[str, ...]:
        """The codes of a list that are in the box; of a subset, those that may be."""
        if name in VALUES:
            return tuple(code for code in VALUES[name] if box.values[_ORDER[name]] & _PLACE[name][code])
        may = box.sets[SETS.index(name)][1]
        return tuple(code for code, bit in self._sets[name].items() if may & bit)

    def required(self, box: Box, name: str) -> tuple[str, ...]:
        """One code for each atom that must be in a subset."""
        must = box.sets[SETS.index(name)][0]
        if name == "cats":
            return tuple(atom[0] for atom in self.atoms if must & self._bit[atom[0]])
        return tuple(code for code, bit in self._sets[name].items() if must & bit)

    def size(self, box: Box) -> int:
        """How many requests are in the box: so many combinations of codes."""
        count = 1
        for mask in box.values:
            count *= mask.bit_count()
        for place, (must, may) in enumerate(box.sets):
            free = may & ~must
            if SETS[place] != "cats":
                count <<= free.bit_count()
                continue
            for atom in self.atoms:
                bit, ways = self._bit[atom[0]], 1 << len(atom)
                count *= ways - 1 if must & bit else ways if free & bit else 1
        return count


def holds(box: Box) -> bool:
    """Whether any request is in the box."""
    return all(box.values) and not any(must & ~may for must, may in box.sets)

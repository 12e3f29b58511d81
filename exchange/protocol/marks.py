"""Marks of other communities: TLP 2.0 mapped to handling and onward rules, never mixed with them (CNT-51 to CNT-53).

A content may bear one TLP mark. The mark counts through what it maps to, and the stricter wins: of the
mark, of the handling codes of the manifest and of what the clause owes. A manifest that is laxer than the
mark, or whose codes contradict it, does not declare its content.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from exchange.protocol.vocabulary import Handling, Onward, Tlp


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a mark asks for here: codes a manifest must have, codes it may not, and the least strict onward rule."""

    handling: frozenset[Handling]
    never: frozenset[Handling]
    onward: Onward


MAPPING: Final = {
    Tlp.RED: Mapped(frozenset({Handling.H1, Handling.H2}), frozenset({Handling.H0}), Onward.NONE),
    Tlp.AMBER_STRICT: Mapped(frozenset({Handling.H2}), frozenset({Handling.H0}), Onward.BY_CONSENT),
    Tlp.AMBER: Mapped(frozenset(), frozenset(), Onward.WITHIN_PARTIES),
    Tlp.GREEN: Mapped(frozenset(), frozenset({Handling.H2}), Onward.WITHIN_PARTIES),
    Tlp.CLEAR: Mapped(frozenset(), frozenset({Handling.H1, Handling.H2, Handling.H3}), Onward.WITHIN_PARTIES),
}
"""The table of CNT-51. No mark widens anything: what an agreement forbids stays forbidden under `clear`."""

_ORDER: Final = list(Tlp)
_IN_TEXT = re.compile(r"TLP[ :]{1,2}(RED|AMBER[+ ]STRICT|AMBER|GREEN|CLEAR|WHITE)", re.IGNORECASE | re.ASCII)
_WRITTEN: Final = {
    "red": Tlp.RED,
    "amber+strict": Tlp.AMBER_STRICT,
    "amber strict": Tlp.AMBER_STRICT,
    "amber": Tlp.AMBER,
    "green": Tlp.GREEN,
    "clear": Tlp.CLEAR,
    "white": Tlp.CLEAR,  # as TLP 1.0 wrote it
}


def agree(tlp: Tlp | str | None, handling: Collection[str]) -> bool:
    """Whether a manifest's handling codes are as strict as the mark, and none contradicts it (CNT-51)."""
    if tlp is None:
        return True
    mapped = MAPPING[Tlp(tlp)]
    return mapped.handling <= set(handling) and mapped.never.isdisjoint(handling)


def stricter(tlp: Tlp | str | None, handling: Collection[str], onward: str) -> tuple[tuple[str, ...], Onward]:
    """Handling codes and onward rule that bind a holder: of mark, codes and clause, the stricter (CNT-53)."""
    codes, rule = {str(code) for code in handling}, Onward(onward)
    if Handling.H2 in codes:
        rule = max(rule, Onward.BY_CONSENT, key=lambda one: one.rank)
    if tlp is not None:
        mapped = MAPPING[Tlp(tlp)]
        codes |= {str(code) for code in mapped.handling}
        rule = max(rule, mapped.onward, key=lambda one: one.rank)
    if len(codes) > 1:
        codes.discard(Handling.H0)
    return tuple(sorted(codes)), rule


def covers(tlp: Tlp | str | None, found: Tlp) -> bool:
    """Whether a content's mark is at least as strict as one that stands in its text (CNT-52)."""
    return tlp is not None and _ORDER.index(Tlp(tlp)) <= _ORDER.index(found)


def mark_in(text: str) -> Tlp | None:
    """The strictest TLP mark that a text bears, such as `TLP:AMBER+STRICT`; none if it bears none."""
    found = [_WRITTEN[mark.casefold()] for mark in _IN_TEXT.findall(text)]
    return min(found, key=_ORDER.index, default=None)

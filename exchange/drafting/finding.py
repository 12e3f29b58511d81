"""What the linter of agreements says and what it wants to know: one finding, and the agencies as it sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from exchange.protocol.terms import ANY_PARTY, AgreementTerms

Level = Literal["error", "warning"]
Place = tuple[str | int, ...]
"""Where in the file: the names and positions that lead there, such as ``("clauses", 2, "types")``."""


class Agency(Protocol):
    """What the linter wants to know of an agency; an agency record has it."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles its record gives it."""

    @property
    def territory(self) -> str:
        """Where it works."""

    @property
    def ceiling(self) -> str:
        """The highest classification it may receive."""


Agencies = Mapping[str, Agency]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a draft, and where: a clause id, or nothing for the agreement itself."""

    code: str
    level: Level
    clause: str | None
    sentence: str
    place: Place = ()


def error(code: str, clause: str | None, sentence: str, *place: str | int) -> Finding:
    """Something the drafter cannot have meant."""
    return Finding(code, "error", clause, sentence, place)


def warning(code: str, clause: str | None, sentence: str, *place: str | int) -> Finding:
    """Something to think about again."""
    return Finding(code, "warning", clause, sentence, place)


def meant(names: Iterable[str], terms: AgreementTerms, agencies: Agencies) -> set[str]:
    """The parties that these names of a clause stand for; a group counts until it ends."""
    listed = set(names)
    grouped = {member for group in terms.groups if f"group:{group.id}" in listed for member in group.members}
    return {
        party
        for party in terms.parties
        if ANY_PARTY in listed
        or party in listed
        or party in grouped
        or (party in agencies and f"territory:{agencies[party].territory}" in listed)
        or (party in agencies and any(f"role:{role}" in listed for role in agencies[party].roles))
    }

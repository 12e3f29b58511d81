"""Who must not be recognisable in a content, and what may not stand open beside them (CNT-22, CNT-27 to CNT-29).

Victims, minors, protected witnesses, informants and those promised anonymity are described without their
identity: no name, no year of birth, no number that leads to them, no telling title. Their identity travels
sealed to a role (`identity`), or not at all. A table cannot read prose: whoever seals an identity looks for
it in every text of the content first.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from exchange.protocol import case_vocabulary as terms
from exchange.protocol.blocks import Attachment, Case, SealedPart
from exchange.protocol.categories import is_minor
from exchange.protocol.entities import (
    Account,
    AnyEntity,
    Communication,
    Document,
    Location,
    Person,
    Relationship,
    fault,
)
from exchange.protocol.vocabulary import PersonCategory


class Described(Protocol):
    """The parts of a content in which somebody could be recognised; a ``CaseMessage`` has them."""

    @property
    def case(self) -> Case: ...
    @property
    def as_of(self) -> str: ...
    @property
    def entities(self) -> tuple[AnyEntity, ...]: ...
    @property
    def relationships(self) -> tuple[Relationship, ...]: ...
    @property
    def attachments(self) -> tuple[Attachment, ...]: ...
    @property
    def sealed_parts(self) -> tuple[SealedPart, ...]: ...


def protected(person: Person, year: int) -> bool:
    """Whether somebody's identity must not stand open (CNT-27); ``year`` is that of the content's ``as_of``."""
    return (
        person.category == PersonCategory.VICTIM
        or (person.category == PersonCategory.WITNESS and bool(person.protection))
        or person.never_named
        or is_minor(person, year)
    )


def refuse_exposed(message: Described) -> None:
    """Refuse a content in which a protected person can be recognised by what a table can see."""
    year = int(message.as_of[:4])
    persons = {one.id: one for one in message.entities if type(one) is Person}
    hidden = {one.id for one in persons.values() if protected(one, year)}
    if message.sealed_parts:
        _check_parts(message.sealed_parts, persons)
    if not hidden:
        return
    for name in hidden:
        if persons[name].names or persons[name].birth_year is not None:
            raise fault("names a victim, minor or protected person in the open; seal the identity instead (CNT-27)")
    _check_things(message, persons, hidden)
    if message.case.title is not None or not all(_PLAIN_FILE.fullmatch(one.name) for one in message.attachments):
        raise fault("has a title or a telling file name beside a protected person (CNT-29)")


_PLAIN_FILE: Final = re.compile(r"file-[0-9]{1,2}(\.[a-z]{2,6})?")
_TIES: Final = frozenset({terms.Relation.OWNS, terms.Relation.USES, terms.Relation.ISSUED_TO})
_SHELTERS: Final = frozenset({terms.LocationKind.ADDRESS, terms.LocationKind.SAFE_HOUSE})


def _check_things(message: Described, persons: dict[str, Person], hidden: set[str]) -> None:
    entities = {one.id: one for one in message.entities}
    for edge in message.relationships:
        ends = {edge.from_, edge.to}
        if ends.isdisjoint(hidden):
            continue
        others = [entities[name] for name in ends - hidden]
        if edge.relation == terms.Relation.FAMILY_OF and any(persons[one.id].names for one in others):
            raise fault("names a relative of a protected person in the open (CNT-28)")
        if any(_leads_to(one, edge) for one in others):
            raise fault("shows a number, an address or a contact of a protected person in the open (CNT-28)")


def _leads_to(thing: AnyEntity, edge: Relationship) -> bool:
    match thing:
        case Communication():
            return edge.relation in _TIES
        case Document():
            return edge.relation in _TIES and thing.number is not None
        case Account():  # not one that was paid: that is somebody else's, and the point of the case
            return edge.relation in _TIES and thing.identifier is not None
        case Location():
            return thing.place in _SHELTERS and (thing.name is not None or thing.locality is not None)
        case _:
            return False


def _check_parts(parts: tuple[SealedPart, ...], persons: dict[str, Person]) -> None:
    for part in parts:
        person = persons.get(part.subject)
        if person is None or person.never_named:
            raise fault("seals an identity of nobody it describes, or of somebody who is never named (CNT-22)")
        if len({key.id for key in part.keys}) != len(part.keys):
            raise fault("seals an identity twice for one recipient (CNT-71)")
    if len({part.subject for part in parts}) != len(parts) or len({part.id for part in parts}) != len(parts):
        raise fault("seals an identity twice (CNT-71)")

"""What a content carries: categories by a fixed table, the same for every implementation (CNT-60).

An agreement rules on these, and the manifest declares them; a table cannot read prose, so what stands in a
narrative is declared passage by passage by its sender.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Final, Protocol

from exchange.protocol import case_vocabulary as terms
from exchange.protocol import entities as ent
from exchange.protocol import vocabulary as voc
from exchange.protocol.blocks import Passage
from exchange.protocol.entities import AnyEntity, Person, Relationship
from exchange.protocol.vocabulary import Category

ADULT: Final = 18


class Carrier(Protocol):
    """The parts of a content that can carry anything; a ``CaseMessage`` has them."""

    @property
    def as_of(self) -> str: ...
    @property
    def narrative(self) -> tuple[Passage, ...]: ...
    @property
    def entities(self) -> tuple[AnyEntity, ...]: ...
    @property
    def relationships(self) -> tuple[Relationship, ...]: ...
    @property
    def attachments(self) -> Sized: ...
    @property
    def sealed_parts(self) -> Sized: ...


def derive_categories(message: Carrier) -> tuple[str, ...]:
    """What a content carries, in ascending order, by the table of CNT-60; the manifest must declare the same."""
    found: set[Category] = set()
    for passage in message.narrative:
        found.update(passage.about)
    year = int(message.as_of[:4])
    for entity in message.entities:
        if type(entity) is Person:
            found.update(_of_person(entity, year))
        else:
            found.update(_of_thing(entity))
    for edge in message.relationships:
        if edge.relation in _BY_RELATION:
            found.add(_BY_RELATION[edge.relation])
    if message.attachments:
        found.add(Category.DATA_ATTACHMENT)
    if message.sealed_parts:
        found.add(Category.DATA_SEALED_IDENTITY)
    return tuple(sorted(str(code) for code in found))


_BY_RELATION: Final = {
    terms.Relation.ROUTE_TO: Category.SMUG_A_ROUTES,
    terms.Relation.DEPARTS_FROM: Category.SMUG_A_ROUTES,
    terms.Relation.ARRIVES_AT: Category.SMUG_A_ROUTES,
    terms.Relation.CARRIED_BY: Category.SMUG_A_ROUTES,
    terms.Relation.RECRUITS: Category.TRAF_C_METHODS,
    terms.Relation.EXPLOITS: Category.TRAF_C_METHODS,
}
_BY_PERSON: Final = {category: Category(f"person_{category}") for category in voc.PersonCategory}


def is_minor(person: Person, year: int) -> bool:
    """Whether to treat somebody as a minor: said to be one, or possibly still one by the year of birth."""
    if person.minor is not None:
        return person.minor
    return person.birth_year is not None and year - person.birth_year <= ADULT


def _of_person(person: Person, year: int) -> Iterator[Category]:
    yield _BY_PERSON[person.category]
    if is_minor(person, year):
        yield Category.DATA_MINOR
    if person.conduct:
        yield Category.DATA_CRIMINAL_CONDUCT
    if person.crossing_status is not None:
        yield Category.TRAF_A_STATUS
    if person.special is not None:
        yield Category.DATA_SPECIAL_CATEGORY
    if person.protection_claim is not None:
        yield Category.DATA_PROTECTION_CLAIM
    if person.victimisation is not None:
        yield Category.DATA_VICTIMISATION


def _of_thing(entity: AnyEntity) -> Iterator[Category]:
    match entity:
        case ent.Organisation(organisation=terms.OrganisationKind.CRIMINAL_GROUP):
            yield Category.SMUG_B_GROUPS
        case ent.Transport():
            yield Category.DATA_TRANSPORT
            if entity.concealment is not None:
                yield Category.SMUG_D_CONCEALMENT
        case ent.Document():
            yield Category.DATA_IDENTIFICATION
            if entity.condition not in _SOUND:
                yield Category.SMUG_C_DOCUMENTS
        case ent.Communication():
            yield Category.DATA_COMMUNICATIONS
        case ent.Account():
            yield Category.DATA_FINANCIAL
        case ent.Event():
            if entity.amount is not None:
                yield Category.DATA_FINANCIAL
            if entity.event == terms.EventKind.OFFENCE:
                yield Category.DATA_CRIMINAL_CONDUCT
        case _:
            return


_SOUND: Final = frozenset({terms.DocumentCondition.UNKNOWN, terms.DocumentCondition.GENUINE})

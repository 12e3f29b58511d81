"""What a case message can describe: eight kinds of entity and how they stand to each other (CNT-20 to CNT-31).

Every entity and relationship is somebody's *assertion*: it says whether it is a fact or an assessment,
and carries a 4x4 evaluation, X4 when nobody evaluated it. Values are frozen; nothing here is looked up.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from exchange.protocol import case_vocabulary as terms
from exchange.protocol import synthetic
from exchange.protocol import vocabulary as voc


def fault(sentence: str) -> PydanticCustomError:
    """A broken rule of the content; the sentence is constant, so it cannot carry a value."""
    return PydanticCustomError("ix", sentence)


def _real_day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise fault("names a day that does not exist") from None
    return text


def _text(longest: int, shortest: int = 1) -> StringConstraints:
    return StringConstraints(min_length=shortest, max_length=longest, pattern=_NOT_BLANK)


# Not `\S`, which means other characters to every engine: some character that is no white space (ENC-12). The escapes
# are written out because this goes into the published schema, and stand for the same in both its readers.
_NOT_BLANK: Final = r"[^\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]"


Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Line = Annotated[str, _text(200)]
Text = Annotated[str, _text(8_000)]
Necessity = Annotated[str, _text(2_000, shortest=20)]
"""A reason of at least 20 characters; a shorter one is boiler-plate."""
Day = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), AfterValidator(_real_day)]
Country = Annotated[str, StringConstraints(pattern=synthetic.FICTIONAL_COUNTRY)]
Number = Annotated[str, StringConstraints(pattern=synthetic.SYNTHETIC_NUMBER)]
AgencyId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*\.sim$", max_length=40)]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?$")]
"""A subset of BCP 47 (RFC 5646): language, then script, then region."""
Year = Annotated[int, Field(ge=1900, le=2100)]
Evaluation = Literal[
    "A1", "A2", "A3", "A4", "B1", "B2", "B3", "B4", "C1", "C2", "C3", "C4", "X1", "X2", "X3", "X4"
]  # fmt: skip
"""Source grade then information grade (Regulation (EU) 2016/794 art. 29)."""


class Part(BaseModel):
    """A part of a content: frozen, strictly typed, no member but those named."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Asserted(Part):
    """A statement somebody makes: fact, assessment or derived, how far it can be relied on, and whose it is.

    ``author`` is an agency; without it the statement is the sender's own.
    """

    assertion: terms.Assertion
    evaluation: Evaluation = "X4"
    author: AgencyId | None = None


class Entity(Asserted):
    """What all eight kinds share; ``id`` is local to this message."""

    id: Id
    note: Text | None = None


class Name(Part):
    """One name of a person; ``script`` says how it is written when that is not the message's language."""

    family: Line | None = None
    given: Line | None = None
    alias: bool = False
    script: Language | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.family is None and self.given is None:
            raise fault("needs `family` or `given`")
        return self


class Special(Part):
    """Special categories of data, only with the reason why they are strictly necessary (LED art. 10)."""

    kinds: Annotated[tuple[terms.SpecialKind, ...], Field(min_length=1, max_length=8)]
    text: Text | None = None
    necessity: Necessity


class ProtectionClaim(Part):
    """A claim to international protection, only with the reason why it must be told.

    ``country`` is where it was made, ``against`` the territories it names as persecutors.
    """

    stage: terms.ClaimStage
    country: Country | None = None
    against: Annotated[tuple[Country, ...], Field(max_length=16)] = ()
    necessity: Necessity

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.against)) != len(self.against) or self.country in self.against:
            raise fault("names a territory in `against` twice, or the one where it was made")
        return self


class Victimisation(Part):
    """What was done to a victim: reason, damage, and how the victim was kept (LED art. 6, Europol Annex II)."""

    exploitation: Annotated[tuple[terms.Exploitation, ...], Field(max_length=9)] = ()
    methods: Annotated[tuple[terms.ControlMethod, ...], Field(max_length=16)] = ()
    reason: Text | None = None
    damage: Text | None = None


class Person(Entity):
    """A natural person, always with a category; a promise of anonymity or an informant leaves no name."""

    kind: Literal["person"]
    category: voc.PersonCategory
    names: Annotated[tuple[Name, ...], Field(max_length=8)] = ()
    birth_year: Year | None = None
    minor: bool | None = None
    nationality: Country | None = None
    protection: Annotated[tuple[terms.ProtectionFlag, ...], Field(max_length=4)] = ()
    conduct: Annotated[tuple[Text, ...], Field(max_length=16)] = ()
    crossing_status: terms.CrossingStatus | None = None
    special: Special | None = None
    protection_claim: ProtectionClaim | None = None
    victimisation: Victimisation | None = None

    @model_validator(mode="after")
    def _kept_promises(self) -> Self:
        if self.names and self.never_named:
            raise fault("carries a name although anonymity was promised; leave `names` out")
        if self.protection_claim and not self.protection_claim.against and self.nationality is None:
            raise fault("claims protection against nobody; give `against`, or at least `nationality` (CNT-24)")
        return self

    @property
    def never_named(self) -> bool:
        """Whether nobody is told the name, not even sealed: an informant, or somebody promised anonymity (CNT-22)."""
        return self.category == "informant" or not _NAMELESS.isdisjoint(self.protection)

    @property
    def feared(self) -> frozenset[str]:
        """The territories named as persecutors: those of the claim, else that of the nationality (CNT-24)."""
        if self.protection_claim is None:
            return frozenset()
        return frozenset(self.protection_claim.against) or frozenset({self.nationality or ""})


_NAMELESS: Final = frozenset({terms.ProtectionFlag.ANONYMITY_GUARANTEED, terms.ProtectionFlag.NEW_IDENTITY})


class Organisation(Entity):
    """A legal person, an authority or a criminal group."""

    kind: Literal["organisation"]
    organisation: terms.OrganisationKind
    name: Line | None = None
    country: Country | None = None


class Location(Entity):
    """A place; countries are fictional ones."""

    kind: Literal["location"]
    place: terms.LocationKind
    name: Line | None = None
    locality: Line | None = None
    country: Country | None = None


class Transport(Entity):
    """A means of transport; ``concealment`` says how people or goods are hidden in it."""

    kind: Literal["transport"]
    means: terms.TransportKind
    registration: Number | None = None
    country: Country | None = None
    name: Line | None = None
    concealment: Text | None = None


class Document(Entity):
    """A document that identifies somebody or lets them travel."""

    kind: Literal["document"]
    document: terms.DocumentKind
    number: Number | None = None
    issuer: Country | None = None
    condition: terms.DocumentCondition = terms.DocumentCondition.UNKNOWN
    issued: Day | None = None
    expires: Day | None = None


class Communication(Entity):
    """A means of communication; its value is one that cannot reach anybody real (CNT-11 to CNT-13)."""

    kind: Literal["communication"]
    medium: terms.CommunicationKind
    value: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    provider: Line | None = None

    @model_validator(mode="after")
    def _unreal(self) -> Self:
        if not VALUE_FORMS[self.medium].search(self.value):
            raise fault("has a `value` that is not of the fictional form CNT-11 to CNT-13 give for its medium")
        return self


VALUE_FORMS: Final = {
    medium: re.compile(form.replace("$", r"\Z"))
    for medium, form in {
        terms.CommunicationKind.PHONE: synthetic.FICTIONAL_PHONE,
        terms.CommunicationKind.EMAIL: r"^[0-9A-Za-z._-]{1,64}@[0-9a-z-]+(\.[0-9a-z-]+)*\.(example|sim)$",
        terms.CommunicationKind.HANDLE: r"^sim_[0-9A-Za-z_.-]{1,59}$",
        terms.CommunicationKind.DEVICE: synthetic.SYNTHETIC_NUMBER,
        terms.CommunicationKind.IP: synthetic.DOCUMENTATION_NETS,
        terms.CommunicationKind.URL: r"^https?://[0-9a-z-]+(\.[0-9a-z-]+)*\.(example|sim)(/[0-9A-Za-z._~/-]*)?$",
    }.items()
}
"""What a communication's value looks like, by medium."""


class Amount(Part):
    """Money in the smallest unit of a currency (ISO 4217 code), because only integers travel."""

    units: Annotated[int, Field(ge=0, le=2**53 - 1)]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class Account(Entity):
    """Where money lies or moves."""

    kind: Literal["account"]
    account: terms.AccountKind
    identifier: Number | None = None
    institution: Line | None = None
    country: Country | None = None
    balance: Amount | None = None


class Event(Entity):
    """Something that happened, or is expected to, on a day or between two."""

    kind: Literal["event"]
    event: terms.EventKind
    on: Day | None = None
    until: Day | None = None
    crime: voc.CrimeArea | None = None
    amount: Amount | None = None
    persons: Annotated[int, Field(ge=0, le=100_000)] | None = None
    text: Text | None = None


AnyEntity = Annotated[
    Person | Organisation | Location | Transport | Document | Communication | Account | Event,
    Field(discriminator="kind"),
]


class Relationship(Asserted):
    """How one entity stands to another, read ``from`` - relation - ``to``."""

    from_: Id = Field(alias="from")
    to: Id
    relation: terms.Relation
    since: Day | None = None
    until: Day | None = None
    text: Text | None = None


_ACTORS: Final = frozenset({"person", "organisation"})
_THINGS: Final = frozenset({"transport", "document", "communication", "account", "location"})
_PLACES: Final = frozenset({"location"})
_EVENTS: Final = frozenset({"event"})
_PERSONS: Final = frozenset({"person"})
_ALL: Final = frozenset(str(kind) for kind in terms.EntityKind)

ENDS: Final[dict[terms.Relation, tuple[frozenset[str], frozenset[str]]]] = {
    terms.Relation.ASSOCIATE_OF: (_ACTORS, _ACTORS),
    terms.Relation.FAMILY_OF: (_PERSONS, _PERSONS),
    terms.Relation.MEMBER_OF: (_ACTORS, frozenset({"organisation"})),
    terms.Relation.LEADS: (_PERSONS, frozenset({"organisation"})),
    terms.Relation.RECRUITS: (_ACTORS, _PERSONS),
    terms.Relation.EXPLOITS: (_ACTORS, _PERSONS),
    terms.Relation.FACILITATES: (_ACTORS, _ACTORS | _EVENTS),
    terms.Relation.OWNS: (_ACTORS, _THINGS),
    terms.Relation.USES: (_ACTORS | _EVENTS, _THINGS),
    terms.Relation.ISSUED_TO: (frozenset({"document", "account", "communication"}), _ACTORS),
    terms.Relation.PAYS: (_ACTORS | {"account"}, _ACTORS | {"account"}),
    terms.Relation.CONTACTS: (_ACTORS | {"communication"}, _ACTORS | {"communication"}),
    terms.Relation.LOCATED_AT: (_ALL - _PLACES, _PLACES),
    terms.Relation.PARTICIPATES_IN: (_ACTORS | {"transport"}, _EVENTS),
    terms.Relation.ROUTE_TO: (_PLACES, _PLACES),
    terms.Relation.DEPARTS_FROM: (_ACTORS | {"transport"}, _PLACES),
    terms.Relation.ARRIVES_AT: (_ACTORS | {"transport"}, _PLACES),
    terms.Relation.CARRIED_BY: (_PERSONS, frozenset({"transport"})),
    terms.Relation.OCCURRED_AT: (_EVENTS, _PLACES),
}
"""Which kinds of entity may stand at each end of a relation (CNT-31)."""

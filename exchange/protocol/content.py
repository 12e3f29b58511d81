"""The content of a message: one case message, the text only sender and recipients see (`spec/content.md`).

A content is JSON of one published schema. What it carries decides its *categories*, derived here by a
fixed table and compared with what the manifest declares, so that a clause can rule on a message whose
text the broker never sees. Content that could be real data is refused (``synthetic``).

A refusal names the member and the rule, never the value: it may be logged and shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from exchange.protocol import entities as ent
from exchange.protocol import vocabulary as voc
from exchange.protocol.entities import (
    AnyEntity,
    Asserted,
    Day,
    Id,
    Language,
    Line,
    Necessity,
    Part,
    Person,
    Relationship,
    Text,
    fault,
)
from exchange.protocol.errors import ContentMalformed
from exchange.protocol.synthetic import refuse_real, where
from exchange.protocol.vocabulary import Category, MessageType
from keys.encoding import b64u, digest, read_json, unb64u, write_json
from keys.errors import MalformedEncoding, TooLarge

CONTENT_VERSION: Final = "ix-case/1"
MAX_CONTENT: Final = 128 * 1024
MAX_ATTACHMENT: Final = 64 * 1024
MAX_ENTITIES: Final = 256
MAX_RELATIONSHIPS: Final = 512
ADULT: Final = 18

AgencyId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*\.sim$", max_length=40)]
Reference = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z][0-9A-Z/._-]{0,39}$")]
InformationCode = Literal[
    Category.SMUG_A_ROUTES,
    Category.SMUG_B_GROUPS,
    Category.SMUG_C_DOCUMENTS,
    Category.SMUG_D_CONCEALMENT,
    Category.SMUG_E_LEGISLATIVE,
    Category.SMUG_F_TECHNICAL,
    Category.TRAF_A_STATUS,
    Category.TRAF_B_DOCUMENTS,
    Category.TRAF_C_METHODS,
]
"""Categories a sender may declare for a passage of text, because no machine can read them off it."""


class CaseLink(Part):
    """Another case this one belongs with."""

    reference: Reference
    relation: Literal["same", "related", "parent", "child"]


class Case(Part):
    """Which case of the sender's this is; the reference means nothing to anybody else."""

    reference: Reference
    title: Line | None = None
    links: Annotated[tuple[CaseLink, ...], Field(max_length=16)] = ()


class Passage(Asserted):
    """One passage of narrative, in its own language; ``about`` declares the information categories in it."""

    text: Text
    lang: Language
    about: Annotated[tuple[InformationCode, ...], Field(max_length=9)] = ()


class Contact(Part):
    """Whom to answer: a desk of an agency, never a person (CNT-42)."""

    agency: AgencyId
    desk: voc.ContactRole


class UrgencyClaim(Part):
    """How soon an answer is needed; urgent only with a coded and a written reason (Directive 2023/977 art. 4)."""

    code: Literal[voc.Urgency.U_DIRECT, voc.Urgency.U_INDIRECT, voc.Urgency.NORMAL]
    reason: voc.UrgencyReason | None = None
    text: Necessity | None = None

    @model_validator(mode="after")
    def _reasoned(self) -> Self:
        urgent = self.code != voc.Urgency.NORMAL
        if urgent != (self.reason is not None) or urgent != (self.text is not None):
            raise fault("needs `reason` and `text` exactly when it is urgent")
        return self


class PersonLink(Part):
    """Why a person named in a request has to do with its purpose."""

    entity: Id
    text: Text


class Question(Part):
    """The mandatory content of a request for information (Directive (EU) 2023/977 art. 4; CNT-40)."""

    sought: Text
    facts: Text
    crime: voc.CrimeArea
    purpose: voc.Purpose
    grounds: Text
    urgency: UrgencyClaim
    links: Annotated[tuple[PersonLink, ...], Field(max_length=64)] = ()
    restrictions: Text | None = None
    contact: Contact


class Answer(Part):
    """The answer to the request the manifest names in ``re``."""

    text: Text
    outstanding: Text | None = None


class RefusalBlock(Part):
    """Why a request is not answered, as the requester may see it."""

    ground: voc.RefusalGround
    text: Text | None = None

    @model_validator(mode="after")
    def _neutral(self) -> Self:
        if self.ground == voc.RefusalGround.CANNOT_RESPOND and self.text is not None:
            raise fault("explains the neutral ground `cannot_respond`, which says nothing more by design")
        return self


class Point(Part):
    """One member of a request that is unclear, or has been made clear."""

    about: Literal["sought", "facts", "crime", "purpose", "grounds", "urgency", "links", "restrictions", "entities"]
    text: Text


Points = Annotated[tuple[Point, ...], Field(min_length=1, max_length=16)]


class Clarification(Part):
    """What is unclear in a request, or the sender's explanation of it."""

    points: Points


class Spontaneous(Part):
    """Why information is sent unasked, and what the recipient may not do with it (Directive 2023/977 art. 7)."""

    reason: Text
    restrictions: Text | None = None
    contact: Contact


class Hit(Part):
    """A match on an alert: where and when, and what was done."""

    alert: Reference
    on: Day
    action: voc.AlertAction
    place: Id
    text: Text | None = None
    contact: Contact


class Referral(Part):
    """A victim passed on to those who help: needs first, and who agreed to it."""

    needs: Annotated[tuple[voc.Need, ...], Field(min_length=1, max_length=7)]
    consent: voc.Consent
    text: Text | None = None
    contact: Contact


class SafetyNotice(Part):
    """A warning about somebody's safety, with what to do until when."""

    level: voc.DangerLevel
    advice: Text
    until: Day
    contact: Contact


class Transfer(Part):
    """Evidence handed over: who seized it, when, under which act."""

    seized_on: Day
    seized_by: AgencyId
    authority: Text
    contact: Contact


class Inject(Part):
    """A step of an exercise, marked as such."""

    exercise: Reference
    step: Annotated[int, Field(ge=1, le=9_999)]
    text: Text


class Attachment(Part):
    """A small file inside the content; ``sha256`` is over its bytes, ``data`` is base64url."""

    name: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,79}$")]
    media_type: Literal[
        "text/plain",
        "text/csv",
        "application/json",
        "application/ld+json",
        "application/pdf",
        "image/png",
        "image/jpeg",
    ]
    sha256: Annotated[str, StringConstraints(min_length=43, max_length=43)]
    data: Annotated[str, StringConstraints(max_length=MAX_ATTACHMENT * 4 // 3 + 4)]

    def content(self) -> bytes:
        """The file's bytes."""
        return unb64u(self.data)


BLOCKS: Final = {
    MessageType.INFO_REQUEST: "question",
    MessageType.INFO_REPLY: "answer",
    MessageType.INFO_PARTIAL: "answer",
    MessageType.INFO_REFUSAL: "refusal",
    MessageType.CLARIFICATION_REQUEST: "clarification",
    MessageType.CLARIFICATION: "clarification",
    MessageType.SPONTANEOUS_INFO: "spontaneous",
    MessageType.HIT_REPORT: "hit",
    MessageType.VICTIM_REFERRAL: "referral",
    MessageType.SAFETY_NOTICE: "notice",
    MessageType.EVIDENCE_TRANSFER: "transfer",
    MessageType.EXERCISE_INJECT: "inject",
}
"""The one block each type of message has, and must have (CNT-6)."""
ANSWERS: Final = frozenset(
    {
        MessageType.INFO_REPLY,
        MessageType.INFO_PARTIAL,
        MessageType.INFO_REFUSAL,
        MessageType.CLARIFICATION_REQUEST,
        MessageType.CLARIFICATION,
    }
)
"""Types that mean nothing without the message they are about; their manifest has ``re`` (CNT-7)."""


def _marked(simulation: bool) -> bool:
    if not simulation:
        raise fault("must be true: only simulated cases travel here (CNT-2)")
    return simulation


# Not Literal[True], which Python would let 1 stand for.
Simulation = Annotated[bool, AfterValidator(_marked), WithJsonSchema({"const": True})]


class CaseMessage(Part):
    """One case message: a case, what is known of it, and the one block that its type asks for (CNT-6)."""

    v: Literal["ix-case/1"]
    simulation: Simulation
    type: MessageType
    case: Case
    as_of: Day
    language: Language
    narrative: Annotated[tuple[Passage, ...], Field(max_length=32)] = ()
    entities: Annotated[tuple[AnyEntity, ...], Field(max_length=MAX_ENTITIES)] = ()
    relationships: Annotated[tuple[Relationship, ...], Field(max_length=MAX_RELATIONSHIPS)] = ()
    question: Question | None = None
    answer: Answer | None = None
    refusal: RefusalBlock | None = None
    clarification: Clarification | None = None
    spontaneous: Spontaneous | None = None
    hit: Hit | None = None
    referral: Referral | None = None
    notice: SafetyNotice | None = None
    transfer: Transfer | None = None
    inject: Inject | None = None
    handling_text: Text | None = None
    attachments: Annotated[tuple[Attachment, ...], Field(max_length=8)] = ()

    @property
    def persons(self) -> Iterator[Person]:
        """The persons it describes."""
        return (e for e in self.entities if type(e) is Person)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _check_block(self)
        _check_graph(self)
        for person in self.persons:
            _check_age(person, int(self.as_of[:4]))
        _BY_TYPE.get(self.type, _nothing_more)(self)
        if not _IMPERSONAL.isdisjoint(code for p in self.narrative for code in p.about) and any(self.persons):
            raise fault("sends `smug_e_legislative` or `smug_f_technical`, which are never about persons, with persons")
        return self


_IMPERSONAL: Final = frozenset({Category.SMUG_E_LEGISLATIVE, Category.SMUG_F_TECHNICAL})


def _check_block(message: CaseMessage) -> None:
    wanted = BLOCKS[message.type]
    for block in _BLOCK_NAMES:
        if (getattr(message, block) is not None) != (block == wanted):
            raise fault("has exactly one block, the one CNT-6 gives for its type")


_BLOCK_NAMES: Final = tuple(sorted(set(BLOCKS.values())))


def _check_graph(message: CaseMessage) -> None:
    kinds: dict[str, str] = {entity.id: entity.kind for entity in message.entities}
    if len(kinds) != len(message.entities):
        raise fault("uses an entity `id` twice")
    for edge in message.relationships:
        sources, targets = ent.ENDS[edge.relation]
        if edge.from_ == edge.to or kinds.get(edge.from_) not in sources or kinds.get(edge.to) not in targets:
            raise fault("has a relationship whose ends are not two entities of the kinds CNT-31 allows")


def _check_age(person: Person, year: int) -> None:
    if person.birth_year is None:
        return
    age = year - person.birth_year  # the age reached in that year; the day of birth is never told
    if age < 0 or (person.minor is False and age < ADULT) or (person.minor is True and age > ADULT):
        raise fault("has a person whose `minor` and `birth_year` contradict each other")


def _check_request(message: CaseMessage) -> None:
    assert message.question is not None  # noqa: S101  # _check_block has run
    linked = Counter(link.entity for link in message.question.links)
    if linked != Counter(person.id for person in message.persons):
        raise fault("must say in `question.links`, once for each person named, what links that person to the purpose")


def _check_reply(message: CaseMessage) -> None:
    assert message.answer is not None  # noqa: S101
    if (message.answer.outstanding is not None) != (message.type == MessageType.INFO_PARTIAL):
        raise fault("has `answer.outstanding` exactly when the answer is partial")


def _check_bare(message: CaseMessage) -> None:
    if message.entities or message.relationships or message.attachments or message.narrative:
        raise fault("is a refusal and carries information all the same")


def _check_hit(message: CaseMessage) -> None:
    assert message.hit is not None  # noqa: S101
    if not any(e.id == message.hit.place and e.kind == "location" for e in message.entities):
        raise fault("has a `hit.place` that is not one of its locations")


def _check_referral(message: CaseMessage) -> None:
    if not any(person.category == voc.PersonCategory.VICTIM for person in message.persons):
        raise fault("is a victim referral without a victim")


def _check_transfer(message: CaseMessage) -> None:
    if not message.attachments:
        raise fault("transfers evidence without an attachment")


def _nothing_more(_: CaseMessage) -> None:
    return


_BY_TYPE: Final = {
    MessageType.INFO_REQUEST: _check_request,
    MessageType.INFO_REPLY: _check_reply,
    MessageType.INFO_PARTIAL: _check_reply,
    MessageType.INFO_REFUSAL: _check_bare,
    MessageType.HIT_REPORT: _check_hit,
    MessageType.VICTIM_REFERRAL: _check_referral,
    MessageType.EVIDENCE_TRANSFER: _check_transfer,
}

_ADAPTER: Final[TypeAdapter[CaseMessage]] = TypeAdapter(CaseMessage)


def parse_content(data: bytes) -> CaseMessage:
    """Read a content strictly (CNT-1 to CNT-43); every refusal is ``ContentMalformed`` and names no value."""
    try:
        value = read_json(data, limit=MAX_CONTENT)
    except (MalformedEncoding, TooLarge) as error:
        raise ContentMalformed(f"the content is not I-JSON of at most {MAX_CONTENT} bytes: {error.sentence}") from None
    refuse_real(value, data)
    try:
        message = _ADAPTER.validate_json(data)
    except ValidationError as error:
        raise ContentMalformed(_explain(error)) from None
    _check_attachments(message)
    return message


def write_content(message: CaseMessage) -> bytes:
    """Write a content compactly, members at their defaults left out; what ``parse_content`` reads back."""
    return write_json(_ADAPTER.dump_python(message, mode="json", by_alias=True, exclude_defaults=True))


def content_from(value: Any) -> CaseMessage:
    """Read a content that is already a JSON value (a form, a sample), under the same rules."""
    return parse_content(write_json(value))


def attach(name: str, media_type: str, data: bytes) -> dict[str, str]:
    """The JSON of an attachment for these bytes."""
    return {"name": name, "media_type": media_type, "sha256": digest(data), "data": b64u(data)}


def _check_attachments(message: CaseMessage) -> None:
    names = set()
    for number, attachment in enumerate(message.attachments):
        try:
            data = attachment.content()
        except MalformedEncoding:
            raise ContentMalformed(f"`attachments.{number}.data` is not base64url in its one spelling") from None
        if len(data) > MAX_ATTACHMENT:
            raise ContentMalformed(f"`attachments.{number}.data` has more than {MAX_ATTACHMENT} bytes")
        if digest(data) != attachment.sha256:
            raise ContentMalformed(f"`attachments.{number}.sha256` is not the digest of its data")
        names.add(attachment.name)
    if len(names) != len(message.attachments):
        raise ContentMalformed("`attachments` has two files of one name")


_SENTENCES: Final = {
    "missing": "is missing",
    "extra_forbidden": "is not a member of this object",
    "string_too_long": "is too long",
    "string_too_short": "is too short",
    "too_long": "has too many items",
    "too_short": "has too few items",
    "enum": "is not a code of the vocabulary",
    "literal_error": "is not a value that is allowed here",
    "union_tag_invalid": "has a `kind` that is not one of the eight",
    "union_tag_not_found": "has no `kind`",
    "string_pattern_mismatch": "is not of the form the schema gives",
}
_SYNTHETIC: Final = "must begin with SIM-: a number that could be real does not travel here (CNT-10)"
_FICTIONAL: Final = "must be a code ISO 3166-1 leaves to users, such as XN: countries are fictional here (CNT-14)"
_HINTS: Final = dict.fromkeys(("number", "registration", "identifier"), _SYNTHETIC) | dict.fromkeys(
    ("country", "nationality", "issuer"), _FICTIONAL
)
_TAGS: Final = frozenset(str(kind) for kind in voc.EntityKind)


def _explain(error: ValidationError) -> str:
    """Say which member broke which rule; a value never enters the sentence."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    loc, kind = first["loc"], first["type"]
    if len(loc) > 2 and loc[0] == "entities" and loc[2] in _TAGS:
        loc = (*loc[:2], *loc[3:])  # pydantic puts the union's tag into the path; the content has no such member
    if kind == "ix":
        rule = first["msg"]
    elif kind == "string_pattern_mismatch" and loc[-1] in _HINTS:
        rule = _HINTS[str(loc[-1])]
    else:
        rule = _SENTENCES.get(kind, "is not of the type the schema gives")
    return f"`{where(loc)}` {rule}" if loc else f"the content {rule}"


def derive_categories(message: CaseMessage) -> tuple[str, ...]:
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
    return tuple(sorted(str(code) for code in found))


_BY_RELATION: Final = {
    voc.Relation.ROUTE_TO: Category.SMUG_A_ROUTES,
    voc.Relation.DEPARTS_FROM: Category.SMUG_A_ROUTES,
    voc.Relation.ARRIVES_AT: Category.SMUG_A_ROUTES,
    voc.Relation.CARRIED_BY: Category.SMUG_A_ROUTES,
    voc.Relation.RECRUITS: Category.TRAF_C_METHODS,
    voc.Relation.EXPLOITS: Category.TRAF_C_METHODS,
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
        case ent.Organisation(organisation=voc.OrganisationKind.CRIMINAL_GROUP):
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
            if entity.event == voc.EventKind.OFFENCE:
                yield Category.DATA_CRIMINAL_CONDUCT
        case _:
            return


_SOUND: Final = frozenset({voc.DocumentCondition.UNKNOWN, voc.DocumentCondition.GENUINE})


def undeclared(
    message: CaseMessage,
    *,
    type: str,  # noqa: A002  # the manifest's own member names
    purpose: str,
    crime: str,
    urgency: str,
    handling: tuple[str, ...],
    cats: tuple[str, ...],
    re: str | None,
) -> tuple[str, ...]:
    """Which members of a manifest do not declare what this content says, in the manifest's order (CNT-61)."""
    question = message.question
    wanted_urgency = question.urgency.code if question else voc.Urgency.NONE
    truths = {
        "type": message.type == type,
        "purpose": question is None or question.purpose == purpose,
        "crime": question is None or question.crime == crime,
        "handling": (voc.Handling.H3 in handling) == (message.handling_text is not None),
        "cats": derive_categories(message) == tuple(cats),
        "urgency": wanted_urgency == urgency,
        "re": re is not None or message.type not in ANSWERS,
    }
    return tuple(member for member, holds in truths.items() if not holds)

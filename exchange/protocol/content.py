"""The content of a message: one case message, the text only sender and recipients see (`spec/content.md`).

A content is JSON of one published schema. What it carries decides its *categories*, derived here by a
fixed table and compared with what the manifest declares, so that a clause can rule on a message whose
text the broker never sees. Content that could be real data is refused (``synthetic``).

A refusal names the member and the rule, never the value: it may be logged and shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, WithJsonSchema, model_validator

from exchange.protocol import case_vocabulary as terms
from exchange.protocol import marks
from exchange.protocol import vocabulary as voc
from exchange.protocol.blocks import (
    ANSWERS,
    BLOCKS,
    MAX_ATTACHMENT,
    Answer,
    Attachment,
    Case,
    Clarification,
    Exculpatory,
    Hit,
    Inject,
    Passage,
    Question,
    Referral,
    RefusalBlock,
    SafetyNotice,
    SealedPart,
    SourceUse,
    Spontaneous,
    Transfer,
    attach,
)
from exchange.protocol.categories import ADULT, derive_categories, is_minor
from exchange.protocol.entities import ENDS, AnyEntity, Day, Language, Part, Person, Relationship, Text, fault
from exchange.protocol.errors import ContentMalformed
from exchange.protocol.safeguards import refuse_exposed
from exchange.protocol.synthetic import refuse_real, texts, where
from exchange.protocol.vocabulary import Category, MessageType
from keys.encoding import digest, read_json, write_json
from keys.errors import MalformedEncoding, TooLarge

__all__ = [
    "ANSWERS",
    "BLOCKS",
    "CONTENT_VERSION",
    "MAX_ATTACHMENT",
    "MAX_CONTENT",
    "CaseMessage",
    "Content",
    "attach",
    "content_from",
    "derive_categories",
    "is_minor",
    "parse_content",
    "read_content",
    "undeclared",
    "write_content",
]

CONTENT_VERSION: Final = "ix-case/1"
MAX_CONTENT: Final = 128 * 1024
MAX_ENTITIES: Final = 256
MAX_RELATIONSHIPS: Final = 512


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
    exculpatory: Exculpatory | None = None
    inject: Inject | None = None
    handling_text: Text | None = None
    tlp: voc.Tlp | None = None
    sources: Annotated[tuple[SourceUse, ...], Field(max_length=4)] = ()
    sealed_parts: Annotated[tuple[SealedPart, ...], Field(max_length=8)] = ()
    attachments: Annotated[tuple[Attachment, ...], Field(max_length=8)] = ()

    @property
    def persons(self) -> Iterator[Person]:
        """The persons it describes."""
        return (e for e in self.entities if type(e) is Person)

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """What it carries (CNT-60): ``derive_categories``, asked for several times and derived once."""
        return derive_categories(self)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _check_block(self)
        _check_graph(self)
        for person in self.persons:
            _check_age(person, int(self.as_of[:4]))
        _BY_TYPE.get(self.type, _nothing_more)(self)
        refuse_exposed(self)
        if any(one.msg >= other.msg for one, other in pairwise(self.sources)):
            raise fault("names its `sources` out of order or twice (CNT-50)")
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
        sources, targets = ENDS[edge.relation]
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
        raise fault("is a refusal or a bare notice and carries information all the same")
    if message.sealed_parts or message.sources:
        raise fault("is a refusal or a bare notice and carries information all the same")


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
    MessageType.EXCULPATORY_NOTICE: _check_bare,
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
    if b"tlp" in data.lower() or b"\\u" in data:  # rare, so looked at only where there may be one
        _check_marks(message, value)
    return message


@dataclass(frozen=True, slots=True)
class Content:
    """A content that was read: its exact bytes, and what they say. ``read_content`` makes it, nobody else."""

    data: bytes
    case: CaseMessage


def read_content(data: bytes) -> Content:
    """Read a content strictly, and keep its bytes beside what they say, so that it is read once."""
    return Content(data, parse_content(data))


def write_content(message: CaseMessage) -> bytes:
    """Write a content compactly, members at their defaults left out; what ``parse_content`` reads back."""
    return write_json(_ADAPTER.dump_python(message, mode="json", by_alias=True, exclude_defaults=True))


def content_from(value: Any) -> CaseMessage:
    """Read a content that is already a JSON value (a form, a sample), under the same rules."""
    return parse_content(write_json(value))


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


def _check_marks(message: CaseMessage, value: Any) -> None:
    for text in texts(value):
        mark = marks.mark_in(text)
        if mark is not None and not marks.covers(message.tlp, mark):
            raise ContentMalformed("a text bears a TLP mark that `tlp` does not: marks are mapped, not mixed (CNT-52)")


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
_TAGS: Final = frozenset(str(kind) for kind in terms.EntityKind)


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
    src: tuple[str, ...] = (),
    parties: frozenset[str] | None = None,
) -> tuple[str, ...]:
    """Which members of a manifest do not declare what this content says, in the manifest's order (CNT-61).

    ``parties`` are sender and recipients; without them nobody asks whom the sealed parts are for.
    """
    question = message.question
    wanted_urgency = question.urgency.code if question else voc.Urgency.NONE
    truths = {
        "type": message.type == type,
        "purpose": question is None or question.purpose == purpose,
        "crime": question is None or question.crime == crime,
        "handling": (voc.Handling.H3 in handling) == (message.handling_text is not None)
        and marks.agree(message.tlp, handling),
        "cats": message.categories == tuple(cats),
        "urgency": wanted_urgency == urgency,
        "re": re is not None or message.type not in ANSWERS,
        "src": tuple(source.msg for source in message.sources) == tuple(src),
        "to": parties is None or all(key.id in parties for part in message.sealed_parts for key in part.keys),
    }
    return tuple(member for member, holds in truths.items() if not holds)

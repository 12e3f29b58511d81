"""Terms: what the payload of an agreement or a notice may say, and the one way to write it (AGR-1 to AGR-11, AGR-22).

Every list is a list of what is meant: empty means nobody and nothing (AGR-7). Nothing is implied by what
is left out, except that an agreement without ``retention_days`` sets no period and version 1 replaces
nothing. What is signed is kept as it was signed; nothing here re-serialises it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic.config import JsonDict

from exchange.protocol.allowed import ALLOWED, MAX_CLAUSES, MAX_GROUPS, MAX_PARTIES, AgreementKind, NoticeAct, Reach
from exchange.protocol.errors import AgreementMalformed, NoticeMalformed
from exchange.protocol.shape import Fault, Place, contradictions, say
from exchange.protocol.synthetic import where
from exchange.protocol.vocabulary import (
    Category,
    Classification,
    CopyExemption,
    CrimeArea,
    Handling,
    LegalBasis,
    MessageType,
    Onward,
    Purpose,
    Role,
    TransferBasis,
    Urgency,
)
from keys.encoding import instant, read_json, stamp, write_json
from keys.errors import MalformedEncoding, Refusal

__all__ = [
    "ANY", "ANY_PARTY", "GROUP", "MAX_CLAUSES", "MAX_GROUPS", "MAX_NOTICE", "MAX_PARTIES", "MAX_TERMS", "RESERVED",
    "AgencyId", "AgreementKind", "AgreementTerms", "Clause", "CodeName", "Conditions", "Digest", "Forbid", "Group",
    "Instant", "NoticeAct", "NoticeTerms", "PartyName", "Permit", "Reach", "Readers", "Text", "faults", "parse_notice",
    "parse_terms", "write_notice", "write_terms",
]  # fmt: skip

MAX_TERMS: Final = 64 * 1024
MAX_NOTICE: Final = 4 * 1024

_ROLES: Final = frozenset(Role)
ANY: Final = "any"
ANY_PARTY: Final = "party:any"
GROUP: Final = "group:"
"""What comes before a group's id where a clause names it."""
RESERVED: Final = "floor"
"""The floor's own name: no agreement has it, and no clause of one has an id that begins with it and `-` (AGR-50)."""
_AGENCY = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.sim", re.ASCII)
_NAMED = re.compile(r"territory:X[A-JL-Z]|group:[a-z][a-z0-9_-]{0,11}", re.ASCII)


def _instant(value: Any) -> datetime:
    if type(value) is not str:
        raise ValueError("a time is a string")
    try:
        return instant(value)
    except MalformedEncoding as refusal:
        raise ValueError(refusal.sentence) from None


def _agency(value: str) -> str:
    if len(value) > 40 or not _AGENCY.fullmatch(value):
        raise ValueError("not the id of a simulated agency, such as `north.police.sim`")
    return value


def _party(value: str) -> str:
    if value == ANY_PARTY:
        return value
    if value.startswith("role:"):
        if value.removeprefix("role:") not in _ROLES:
            raise ValueError(f"after `role:` stands one of: {', '.join(Role)}")
        return value
    if value.startswith(("territory:", GROUP)):
        if not _NAMED.fullmatch(value):
            raise ValueError("neither `group:` and the id of a group, nor `territory:` and a code such as `XN`")
        return value
    return _agency(value)


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        raise ValueError("something is listed twice")
    return values


def _visible(value: str) -> str:
    if _UNSEEN.search(value) or value != value.strip(" "):
        raise ValueError("no control or invisible characters, and no space at either end")
    return value


# Control characters, line and paragraph separators, and what reorders or hides text: a title is for people (AGR-4).
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


_T = TypeVar("_T")


def _said(pattern: str, **more: Any) -> WithJsonSchema:
    """What the published schema says of a text that a function checks here."""
    return WithJsonSchema({"type": "string", "pattern": pattern, **more})


_ID: Final = r"[a-z0-9-]+(\.[a-z0-9-]+)*\.sim"
_NO_EDGE: Final = rf"^(?! )(?!.* $)(?!.*{_UNSEEN.pattern}).+$"
_TIME: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3})?Z$"
_NAME_PATTERN: Final = rf"^(party:any|role:({'|'.join(Role)})|{_NAMED.pattern}|{_ID})$"
_UNIQUE: Final[JsonDict] = {"uniqueItems": True}
_Each = Annotated[tuple[_T, ...], Field(max_length=64, json_schema_extra=_UNIQUE), AfterValidator(_distinct)]
Instant = Annotated[datetime, BeforeValidator(_instant), _said(_TIME)]
AgencyId = Annotated[str, AfterValidator(_agency), _said(f"^{_ID}$", maxLength=40)]
PartyName = Annotated[str, AfterValidator(_party), _said(_NAME_PATTERN, maxLength=40)]
Digest = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")]
Text = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    AfterValidator(_visible),
    _said(_NO_EDGE, minLength=1, maxLength=200),
]
CodeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
_Days = Annotated[int, Field(ge=1, le=3650)]
_Any = Literal["any"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", populate_by_name=False)


class Readers(_Part):
    """Who at the recipient may open it: each member that is there narrows, none widens (AGR-55)."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    clearance: Classification | None = None
    training: _Each[CodeName] = ()
    roles: _Each[CodeName] | None = None


class Conditions(_Part):
    """What a permit asks of a message, and what it ties to the disclosure (AGR-10)."""

    handling_required: _Each[Handling]
    urgency: _Each[Urgency]
    copy_to: AgencyId | None = None
    copy_exempt: _Each[CopyExemption] | None = None
    transfer: TransferBasis | None = None
    onward: Onward
    retention_days: _Days | None = None
    review_days: _Days | None = None
    evidence: bool
    human_release: bool
    second_approver: Classification | None = None
    readers: Readers | None = None


class _Clause(_Part):
    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,11}$")]
    title: Text
    from_: _Each[PartyName] = Field(alias="from")
    to: _Each[PartyName]


class Permit(_Clause):
    """A clause that allows; every member must match, and every category must be listed (AGR-8)."""

    effect: Literal["permit"]
    types: _Each[MessageType]
    purposes: _Each[Purpose]
    crimes: _Each[CrimeArea]
    cats: _Each[Category]
    class_max: Classification
    conditions: Conditions


class Forbid(_Clause):
    """A clause that denies; one listed category is enough, and ``any`` stands for all (AGR-9)."""

    effect: Literal["forbid"]
    types: _Each[MessageType | _Any]
    purposes: _Each[Purpose | _Any]
    crimes: _Each[CrimeArea | _Any]
    cats: _Each[Category | _Any]
    reach: Reach = Reach.PARTIES


Clause = Permit | Forbid


class Group(_Part):
    """Some of the parties under one name, for some purposes and until a time; after it, nobody (AGR-51)."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,11}$")]
    members: Annotated[
        tuple[AgencyId, ...], Field(max_length=MAX_PARTIES, json_schema_extra=_UNIQUE), AfterValidator(_distinct)
    ]
    until: Instant
    purposes: _Each[Purpose]

    def live(self, now: datetime) -> bool:
        """Whether it names its members at ``now``."""
        return now < self.until


class AgreementTerms(_Part):
    """The payload all parties sign (AGR-2 to AGR-6)."""

    v: Literal["ix/1"]
    typ: Literal["agreement"]
    fed: Digest
    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    version: Annotated[int, Field(ge=1, le=9999)]
    replaces: Digest | None = None
    title: Text
    kind: AgreementKind
    parties: Annotated[
        tuple[AgencyId, ...],
        Field(min_length=2, max_length=MAX_PARTIES, json_schema_extra=_UNIQUE),
        AfterValidator(_distinct),
    ]
    groups: Annotated[tuple[Group, ...], Field(max_length=MAX_GROUPS)] = ()
    bases: _Each[LegalBasis]
    territory: _Each[Annotated[str, StringConstraints(pattern=r"^X[A-JL-Z]$")]]
    start: Instant
    end: Instant
    purge_days: Annotated[int, Field(ge=0, le=28)] | None = None
    clauses: Annotated[
        tuple[Annotated[Clause, Field(discriminator="effect")], ...], Field(min_length=1, max_length=MAX_CLAUSES)
    ]

    @model_validator(mode="after")
    def _coherent(self, info: ValidationInfo) -> AgreementTerms:
        if info.context is None:  # else whoever reads looks at the plain values, which is four times as fast
            _check(self.model_dump(by_alias=True, exclude_unset=True), ValueError)
        return self


def _check(terms: Mapping[str, Any], refusal: type[Exception]) -> None:
    for place, sentence in contradictions(terms):
        raise refusal(f"`{where(place)}`: {sentence}")


class NoticeTerms(_Part):
    """The payload of a notice, signed by the one party that gives it (AGR-22)."""

    v: Literal["ix/1"]
    typ: Literal["notice"]
    act: NoticeAct
    fed: Digest
    agr: Digest
    by: AgencyId
    ts: Instant
    reason: Text


def parse_terms(payload: bytes) -> AgreementTerms:
    """Read an agreement's payload strictly; ``AgreementMalformed`` names the first member at fault."""
    return _read(AgreementTerms, payload, MAX_TERMS, AgreementMalformed)


def parse_notice(payload: bytes) -> NoticeTerms:
    """Read a notice's payload strictly; ``NoticeMalformed`` names the first member at fault."""
    return _read(NoticeTerms, payload, MAX_NOTICE, NoticeMalformed)


def faults(terms: Mapping[str, Any]) -> list[Fault]:
    """Everything that keeps such terms from being signed: each place, and a sentence that says what is allowed there.

    ``terms`` are as for ``write_terms``. Empty exactly if that writes them, but for their size.
    """
    terms, found = _as_signed(terms), dict[Place, str]()
    for place in _nulls(terms, ()):
        found.setdefault(
            place, "nothing stands here: leave the member out, or say what it holds (an empty list is `[]`)"
        )
    try:
        AgreementTerms.model_validate_json(write_json(terms), context={"by": "reader"})
    except ValidationError as wrong:
        for error in wrong.errors(include_url=False):
            found.setdefault(*say(error, ALLOWED, _MEMBERS))
    except (TypeError, ValueError):
        return [((), "the terms hold a value that JSON cannot carry; quote it")]
    for place, sentence in contradictions(terms):
        found.setdefault(place, sentence)
    # A list with nothing readable in it looks too short to the model, and something absent looks contradictory.
    hollow = {place[:end] for place in found for end in range(len(place))}
    return [(place, sentence) for place, sentence in found.items() if place not in hollow]


_M = TypeVar("_M", AgreementTerms, NoticeTerms)


def _read(model: type[_M], payload: bytes, limit: int, refusal: type[Refusal]) -> _M:
    value = read_json(payload, limit=limit)  # which also refuses duplicates, floats and deep nests
    if b"null" in payload and any(True for _ in _nulls(value, ())):
        raise refusal("a member that says nothing is absent, not null")
    try:
        terms = model.model_validate_json(payload, context={"by": "reader"})
    except ValidationError as wrong:
        place, sentence = say(wrong.errors(include_url=False)[0], ALLOWED, _MEMBERS)
        raise refusal(f"`{where(place)}`: {sentence}" if place else sentence) from None
    _check(value, refusal)
    return terms


def _nulls(value: Any, place: Place) -> Iterator[Place]:
    if value is None:
        yield place
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        yield from _nulls(item, (*place, name))


def write_terms(terms: Mapping[str, Any]) -> bytes:
    """Write terms as the one payload to sign, members in the order of the spec; refuse what cannot be signed.

    ``terms`` is what a YAML or JSON file said; times may be aware datetimes, ``v`` and ``typ`` may be left out.
    """
    try:
        payload = write_json(_as_signed(terms))
    except (TypeError, ValueError):
        raise AgreementMalformed("the terms hold a value that JSON cannot carry; quote it") from None
    parse_terms(payload)
    return payload


def _as_signed(terms: Mapping[str, Any]) -> dict[str, Any]:
    ordered: dict[str, Any] = _ordered(_stamped({"v": "ix/1", "typ": "agreement", **terms}), _TERMS_ORDER)
    if isinstance(ordered.get("groups"), list):
        ordered["groups"] = [_ordered(_stamped(group), _GROUP_ORDER) for group in ordered["groups"]]
    if isinstance(ordered.get("clauses"), list):
        ordered["clauses"] = [_clause_in_order(clause) for clause in ordered["clauses"]]
    return ordered


_TERMS_ORDER = tuple(AgreementTerms.model_fields)
_GROUP_ORDER = tuple(Group.model_fields)
_FORBID_ORDER = ("id", "effect", "title", "from", "to", "types", "purposes", "crimes", "cats", "reach")
_CLAUSE_ORDER = (*_FORBID_ORDER, "class_max", "conditions")
_CONDITION_ORDER = tuple(Conditions.model_fields)
_READERS_ORDER = tuple(Readers.model_fields)
_MEMBERS: Final = {
    (): _TERMS_ORDER,
    ("groups",): _GROUP_ORDER,
    ("clauses", "permit"): tuple(name for name in _CLAUSE_ORDER if name != "reach"),
    ("clauses", "forbid"): _FORBID_ORDER,
    ("clauses", "conditions"): _CONDITION_ORDER,
    ("clauses", "conditions", "readers"): _READERS_ORDER,
}


def _stamped(value: Any) -> Any:
    """The same with its times as text, for a YAML file may hold times."""
    if not isinstance(value, Mapping):
        return value
    times = {name: stamp(value[name]) for name in ("start", "end", "until") if isinstance(value.get(name), datetime)}
    return {**value, **times}


def _ordered(value: Any, order: tuple[str, ...]) -> Any:
    """An object's members in the order of the spec, those it does not know at the end; anything else as it is."""
    rank = {name: place for place, name in enumerate(order)}
    is_object = isinstance(value, Mapping)
    return dict(sorted(value.items(), key=lambda item: rank.get(item[0], len(order)))) if is_object else value


def _clause_in_order(clause: Any) -> Any:
    if not isinstance(clause, Mapping):
        return clause
    ordered = _ordered(clause, _CLAUSE_ORDER)
    if isinstance(ordered.get("conditions"), Mapping):
        ordered["conditions"] = _ordered(ordered["conditions"], _CONDITION_ORDER)
        if "readers" in ordered["conditions"]:
            ordered["conditions"]["readers"] = _ordered(ordered["conditions"]["readers"], _READERS_ORDER)
    return ordered


def write_notice(act: str, *, fed: str, agreement: str, by: str, ts: datetime, reason: str) -> bytes:
    """Write the payload of a notice, to be signed by ``by`` as ``ix-ntc+jws``."""
    terms = {"v": "ix/1", "typ": "notice", "act": act, "fed": fed, "agr": agreement}
    payload = write_json({**terms, "by": by, "ts": stamp(ts), "reason": reason})
    parse_notice(payload)
    return payload

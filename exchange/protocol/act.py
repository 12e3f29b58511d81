"""Acts: what an agency does about a message after it was disclosed, signed and logged (ACT-1 to ACT-9, `spec/acts.md`).

An act is a JWS with one signature pair, by the agency that does it. Its payload holds digests, agency ids, codes,
JSON pointers and times and no free text at all, because the broker logs it and other parties read it. This module
writes, reads and verifies acts; whether its author has the standing for one is ``lineage``'s to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from exchange.protocol.entry import AgencyId, Digest, LogTime
from exchange.protocol.errors import ActMalformed, ActRefused, FederationMismatch
from exchange.protocol.synthetic import where
from exchange.protocol.vocabulary import (
    ActKind,
    AfterGround,
    ConsentFor,
    HolderAnswer,
    Purpose,
    RefusalGround,
    RetainGround,
)
from keys.encoding import instant, read_json, stamp, write_json
from keys.errors import MalformedEncoding
from keys.signing import Signer, Statement, Typ, parse_statement, sign, verify_pair

if TYPE_CHECKING:
    from keys.trust import Directory

MAX_ACT: Final = 4096
"""Bytes of an act's payload."""
MAX_NAMED: Final = 20
"""Agencies, purposes or fields that one act names of each."""
ACT_SKEW: Final = timedelta(minutes=5)
"""How far after the log's clock an act may be dated (ACT-4)."""
AFTER: Final = frozenset({ActKind.RESTRICT, ActKind.RECTIFY, ActKind.RECALL})
"""What an originator tells every holder, and every holder answers."""


def _ascending(value: tuple[str, ...]) -> tuple[str, ...]:
    if any(a >= b for a, b in pairwise(value)):
        raise ValueError("they stand in ascending order, each once")
    return value


# A JSON pointer into a content: member names and places only, so that no text can hide in one.
Pointer = Annotated[
    str, StringConstraints(pattern=r"^(/([a-z][a-z0-9_]{0,31}|0|[1-9][0-9]{0,3})){0,8}$", max_length=120)
]
_Ascending = AfterValidator(_ascending)
_AsText = Field(strict=False)
_Agencies = Annotated[tuple[AgencyId, ...], Field(strict=False, min_length=1, max_length=MAX_NAMED), _Ascending]
_Purposes = Annotated[
    tuple[Annotated[Purpose, _AsText], ...], Field(strict=False, min_length=1, max_length=MAX_NAMED), _Ascending
]
_Fields = Annotated[tuple[Pointer, ...], Field(strict=False, min_length=1, max_length=MAX_NAMED), _Ascending]
ErasureCause = Literal["retention", "purge", "review", "recall"]
"""Why a holder erased: its retention ran out, the agreement's purge date came, a review, or the originator's recall."""


class _Act(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    addressed_to: ClassVar[Literal["originator", "holders", "asker"]] = "originator"
    v: Literal["ix/1"]
    typ: Literal["act"]
    fed: Digest
    by: AgencyId
    ts: LogTime
    msg: Digest

    @property
    def kind(self) -> ActKind:
        """What is done."""
        return ActKind(self.act)  # type: ignore[attr-defined]

    @property
    def signed_at(self) -> datetime:
        """When its author says it did this."""
        return instant(self.ts)

    @property
    def refers_to(self) -> str | None:
        """The digest of the act that this one answers, if it answers one."""
        found: str | None = getattr(self, "re", None)
        return found


class Ask(_Act):
    """A holder asks the originator for its consent."""

    act: Literal["ask"]
    want: Annotated[ConsentFor, _AsText]
    to: _Agencies | None = None
    purposes: _Purposes
    fields: _Fields
    until: LogTime


class Consent(_Act):
    """The originator consents: to this holder, these recipients and purposes, these fields, until then."""

    addressed_to: ClassVar[Literal["originator", "holders", "asker"]] = "asker"
    act: Literal["consent"]
    re: Digest | None = None
    want: Annotated[ConsentFor, _AsText]
    holder: AgencyId
    to: _Agencies | None = None
    purposes: _Purposes
    fields: _Fields
    until: LogTime


class Decline(_Act):
    """The originator does not consent to what was asked."""

    addressed_to: ClassVar[Literal["originator", "holders", "asker"]] = "asker"
    act: Literal["decline"]
    re: Digest
    ground: Annotated[RefusalGround, _AsText]


class Withdraw(_Act):
    """The originator takes a consent back, from the moment this is logged."""

    addressed_to: ClassVar[Literal["originator", "holders", "asker"]] = "asker"
    act: Literal["withdraw"]
    re: Digest


class Acknowledge(_Act):
    """A recipient has taken note of the handling text of a message with H3."""

    act: Literal["acknowledge"]


class Restrict(_Act):
    """The originator restricts: nobody passes it on or uses it any more; holders may keep it."""

    addressed_to: ClassVar[Literal["originator", "holders", "asker"]] = "holders"
    act: Literal["restrict"]
    ground: Annotated[AfterGround, _AsText]


class Recall(_Act):
    """The originator takes the message back: holders erase it, or say on which ground they keep it."""

    addressed_to: ClassVar[Literal["originator", "holders", "asker"]] = "holders"
    act: Literal["recall"]
    ground: Annotated[AfterGround, _AsText]


class Rectify(_Act):
    """The originator corrects the message by a later one."""

    addressed_to: ClassVar[Literal["originator", "holders", "asker"]] = "holders"
    act: Literal["rectify"]
    ground: Annotated[AfterGround, _AsText]
    by_msg: Digest


class Answer(_Act):
    """A holder says what it did about a restriction, rectification or recall."""

    act: Literal["answer"]
    re: Digest
    outcome: Annotated[HolderAnswer, _AsText]
    ground: Annotated[RetainGround, _AsText] | None = None


class Keep(_Act):
    """A holder decides at a review to keep the message, on a ground and until a date."""

    act: Literal["keep"]
    ground: Annotated[RetainGround, _AsText]
    until: LogTime


class Erased(_Act):
    """A holder has erased the message, and says why."""

    act: Literal["erased"]
    cause: ErasureCause


ActTerms = Ask | Consent | Decline | Withdraw | Acknowledge | Restrict | Recall | Rectify | Answer | Keep | Erased

READER: Final[TypeAdapter[ActTerms]] = TypeAdapter(Annotated[ActTerms, Field(discriminator="act")])
"""Reads a payload's members; ``parse_act`` is what everybody else wants."""


@dataclass(frozen=True, slots=True)
class Act:
    """A verified act; it counts from ``at``, the time it was logged, and never before."""

    digest: str
    statement: Statement
    terms: ActTerms
    at: datetime

    @property
    def kind(self) -> ActKind:
        """What is done."""
        return self.terms.kind


def parse_act(payload: bytes) -> ActTerms:
    """Read an act's payload strictly; ``ActMalformed`` names the member at fault, never its value."""
    value = read_json(payload, limit=MAX_ACT)
    if type(value) is dict and any(member is None for member in value.values()):
        raise ActMalformed("a member that says nothing is absent, not null")
    try:
        terms = READER.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = "act" if first["type"].startswith("union_tag") else where(first["loc"][1:])
        raise ActMalformed(f"act member `{place}` is not as ACT-2 says: {first['type']}") from None
    _check(terms)
    return terms


def _check(terms: ActTerms) -> None:
    """The rules between members (ACT-3)."""
    try:
        signed, until = terms.signed_at, instant(terms.until) if isinstance(terms, Ask | Consent | Keep) else None
    except MalformedEncoding:
        raise ActMalformed("the act names a day or hour that does not exist") from None
    if until is not None and until <= signed:
        raise ActMalformed("`until` is later than `ts`")
    if isinstance(terms, Ask | Consent) and (terms.to is not None) != (terms.want is ConsentFor.ONWARD):
        raise ActMalformed("`to` names to whom it may be passed on, and stands with `onward` and only there")
    if isinstance(terms, Answer) and (terms.ground is not None) != (terms.outcome is HolderAnswer.RETAINED):
        raise ActMalformed("`ground` says why it is retained, and stands with `retained` and only there")
    if isinstance(terms, Rectify) and terms.by_msg == terms.msg:
        raise ActMalformed("a message is not corrected by itself")


def write_act(kind: ActKind | str, *, fed: str, by: str, ts: datetime, msg: str, **members: Any) -> bytes:
    """Write the payload of an act, to be signed by ``by``; refuses what every reader would refuse.

    Lists are put in order, times may be aware datetimes, and what is ``None`` is left out.
    """
    said: dict[str, Any] = {"v": "ix/1", "typ": "act", "act": str(kind), "fed": fed, "by": by, "ts": stamp(ts)}
    said |= {"msg": msg, **{name: _written(value) for name, value in members.items() if value is not None}}
    payload = write_json(said)
    parse_act(payload)
    return payload


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return stamp(value)
    return value if isinstance(value, str) else sorted(set(value))


def sign_act(payload: bytes, signer: Signer) -> bytes:
    """The JWS that is sent to the broker."""
    return sign(payload, signer, Typ.ACT).to_bytes()


def read_act(data: bytes, directory: Directory, at: datetime) -> Act:
    """Verify an act by the one agency that does it, with keys valid at log time ``at`` (ACT-4, ACT-5)."""
    statement = parse_statement(data)
    terms = parse_act(statement.payload)
    if terms.fed != directory.fed:
        raise FederationMismatch("the act belongs to another federation")
    if len(statement.pairs) != 1:
        raise ActRefused("an act carries exactly one pair of signatures, by the agency that does it")
    check_dates(terms, at)
    verify_pair(statement.raw_payload, statement.pairs[0], directory.signing_lookup(terms.by, at), Typ.ACT)
    return Act(statement.digest, statement, terms, at)


def check_dates(terms: ActTerms, at: datetime) -> None:
    """Refuse an act that is dated ahead of the log's clock, and a consent that has ended (ACT-4, ACT-5)."""
    if terms.signed_at > at + ACT_SKEW:
        raise ActRefused("the act is dated in the future")
    if isinstance(terms, Consent) and instant(terms.until) <= at:
        raise ActRefused("the consent had ended before it was logged")

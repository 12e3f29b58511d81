"""The manifest: everything about a message that the broker may see, and how it is read (`spec/messages.md`).

It is signed as the bytes it travels as (MSG-3), and its members are a budget (MSG-1): adding one is a decision of
its own. Pure reading and comparing; who signed it and what is sealed beside it is ``message``'s to judge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    ValidationError,
    field_validator,
)
from pydantic_core import CoreSchema, core_schema

from exchange.protocol.errors import EnvelopeMalformed, MessageExpired, MessageFromTheFuture, SuiteUnknown
from exchange.protocol.synthetic import where
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
from keys.encoding import instant, read_json
from keys.errors import MalformedEncoding
from keys.signing import ALGORITHMS

MAX_ENVELOPE: Final = 256 * 1024
MAX_MANIFEST: Final = 16 * 1024
MAX_RECIPIENTS: Final = 20
MAX_SOURCES: Final = 4
"""Messages that one message may be derived from, at first hand (MSG-34)."""
MAX_LIFETIME: Final = timedelta(days=30)
MAX_SKEW: Final = timedelta(minutes=5)
"""How far ahead of the reader's clock a message may be dated (MSG-8)."""

# A 43-character digest ends in a character whose two spare bits are zero: one spelling only (ENC-1).
Digest = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")]
AgencyId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*\.sim$", max_length=40)]
MessageId = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
]
Stamp = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3})?Z$")
]


@dataclass(frozen=True, slots=True)
class _OneOf:
    """A code of one list, read as the plain string it is: enumeration members cost a third of reading a manifest."""

    codes: type[StrEnum]

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema([code.value for code in self.codes])


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", populate_by_name=False)


class Addressee(_Part):
    """One recipient: agency, the key its wrap is for, and the SHA-256 of that wrap."""

    id: AgencyId
    kid: Digest
    wrap: Digest


class BodyInfo(_Part):
    """The sealed body's SHA-256 and length in bytes, and the commitment to its plaintext."""

    sha256: Digest
    len: Annotated[int, Field(ge=1, le=MAX_ENVELOPE)]
    commit: Digest


class Manifest(_Part):
    """Everything about a message that the broker may see (MSG-3); its members are a budget (MSG-1)."""

    v: Literal["ix/1"]
    typ: Literal["msg"]
    fed: Digest
    id: MessageId
    ts: Stamp
    exp: Stamp
    from_: AgencyId = Field(alias="from")
    to: Annotated[tuple[Addressee, ...], Field(min_length=1, max_length=MAX_RECIPIENTS, strict=False)]
    agr: Digest
    type: Annotated[str, _OneOf(MessageType)]
    purpose: Annotated[str, _OneOf(Purpose)]
    crime: Annotated[str, _OneOf(CrimeArea)]
    class_: Annotated[str, _OneOf(Classification)] = Field(alias="class")
    handling: Annotated[tuple[Annotated[str, _OneOf(Handling)], ...], Field(min_length=1, max_length=4, strict=False)]
    cats: Annotated[tuple[Annotated[str, _OneOf(Category)], ...], Field(max_length=32, strict=False)]
    urgency: Annotated[str, _OneOf(Urgency)]
    re: Digest | None = None
    src: Annotated[tuple[Digest, ...], Field(min_length=1, max_length=MAX_SOURCES, strict=False)] | None = None
    exempt: Annotated[str, _OneOf(CopyExemption)] | None = None
    by: Digest
    body: BodyInfo
    att: Annotated[tuple[()], Field(strict=False)]
    sig: Annotated[tuple[str, str], Field(strict=False)]

    @field_validator("re", "src", "exempt", mode="before")
    @classmethod
    def _absent_not_null(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("a member that says nothing is absent, not null")
        return value

    @field_validator("handling", "cats", "src")
    @classmethod
    def _ascending(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(a >= b for a, b in pairwise(value)):
            raise ValueError("codes and digests stand in ascending order, each once")
        return value

    @field_validator("to")
    @classmethod
    def _each_once(cls, value: tuple[Addressee, ...]) -> tuple[Addressee, ...]:
        if len({a.id for a in value}) != len(value):
            raise ValueError("a recipient is named once")
        return value

    @property
    def sent_at(self) -> datetime:
        """When the sender says it was sent."""
        return instant(self.ts)

    @property
    def expires_at(self) -> datetime:
        """From when on nobody may deliver or open it."""
        return instant(self.exp)


def parse_manifest(payload: bytes) -> Manifest:
    """Read manifest bytes strictly; the refusal names the member, never its value."""
    value = read_json(payload, limit=MAX_MANIFEST)
    try:
        manifest = Manifest.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        member = where(first["loc"])
        raise EnvelopeMalformed(f"manifest member `{member}` is not as MSG-3 says: {first['type']}") from None
    if manifest.type == MessageType.EXCULPATORY_NOTICE and manifest.src is not None:
        raise EnvelopeMalformed("an exculpatory notice is derived from nothing: no agreement would judge its sources")
    try:
        for text in (manifest.ts, manifest.exp):
            instant(text)  # the pattern lets through a 31st of February
    except MalformedEncoding:
        raise EnvelopeMalformed("the manifest names a day or hour that does not exist") from None
    if manifest.sig != ALGORITHMS:
        raise SuiteUnknown("the manifest must declare exactly the signatures Ed25519 and ML-DSA-44")
    return manifest


def verify_times(manifest: Manifest, now: datetime) -> None:
    """Refuse a message that has expired, is dated ahead of the clock, or would live too long (MSG-7, MSG-8)."""
    sent, expires = manifest.sent_at, manifest.expires_at
    if now >= expires:
        raise MessageExpired(f"the message expired at {manifest.exp}")
    if sent > now + MAX_SKEW:
        raise MessageFromTheFuture(f"the message is dated {manifest.ts}, ahead of the clock: set the sender's clock")
    if not sent < expires <= sent + MAX_LIFETIME:
        raise MessageFromTheFuture(f"a message expires after it is sent and at most {MAX_LIFETIME.days} days later")


def context(fed: str, message_id: str, sender: str, agreement: str, recipients: Sequence[tuple[str, str]]) -> bytes:
    """Hash who sends what to whom under which agreement (32 bytes); wraps and body are bound to it (MSG-10)."""
    lines = ["ix/1 msg", f"fed {fed}", f"id {message_id}", f"from {sender}", f"agr {agreement}"]
    lines += [f"to {agency} {kid}" for agency, kid in recipients]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).digest()


def context_of(manifest: Manifest) -> bytes:
    """The context a manifest claims."""
    to = [(a.id, a.kid) for a in manifest.to]
    return context(manifest.fed, manifest.id, manifest.from_, manifest.agr, to)

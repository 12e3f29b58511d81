"""Log entries: the ten facts the log keeps, each in exactly one spelling (LOG-30 to LOG-46, LOG-90, LOG-133).

An entry holds digests, agency ids, clause names and codes of the vocabulary: never content, never a
person's name, so the log can be shown to every party. It is compact JSON with its members in one fixed
order; a reader writes what it understood again and refuses the entry unless the same bytes come out,
which rules out repeated members, other orders, white space and escapes at once. An entry repeats what
the agreement's decision depended on, so an auditor can decide again from the log alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator
from pydantic_core import to_json

from exchange.protocol.errors import EntryMalformed
from exchange.protocol.synthetic import where
from exchange.protocol.vocabulary import (
    ActKind,
    Category,
    Classification,
    CopyExemption,
    CrimeArea,
    Handling,
    MessageType,
    Purpose,
    ReceiptStatus,
    Urgency,
)
from keys.encoding import b64u, instant, stamp
from keys.errors import MalformedEncoding, TooLarge

if TYPE_CHECKING:
    from exchange.protocol.manifest import Manifest

MAX_ENTRY: Final = 4096
"""Bytes of one entry; the largest manifest there can be, each recipient under five clauses, stays below it."""
MAX_RECIPIENTS: Final = 20
MAX_PARTIES: Final = 32
MAX_SOURCES: Final = 4

Digest = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")]
AgencyId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*\.sim$", max_length=40)]
MessageId = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
]
LogTime = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$")
]
Clause = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,11}$")]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Version = Annotated[int, Field(ge=1, le=1_000_000)]
LedgerSize = Annotated[int, Field(ge=1, le=2**53 - 1)]
Count = Annotated[int, Field(ge=1, le=2**53 - 1)]
Origin = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/-]{1,125}$")]
"""A log's name as a root gives it, and with a year behind it."""

# Lax only in this: the vocabulary's text may stand for its term, and a list for a tuple. JSON has no others.
_AsText = Field(strict=False)
Handlings = Annotated[
    tuple[Annotated[Handling, _AsText], ...], Field(strict=False, min_length=1, max_length=len(Handling))
]
Categories = Annotated[tuple[Annotated[Category, _AsText], ...], Field(strict=False, max_length=len(Category))]
Sources = Annotated[tuple[Digest, ...], Field(strict=False, min_length=1, max_length=MAX_SOURCES)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class _Entry(_Part):
    v: Literal["ix/1"] = "ix/1"
    typ: str
    ts: LogTime

    @property
    def at(self) -> datetime:
        """The log time: the broker's clock, not a sender's."""
        return instant(self.ts)

    def to_bytes(self) -> bytes:
        """The entry as it is hashed, logged and sent."""
        return self.__pydantic_serializer__.to_json(self, by_alias=True, exclude_none=True)


class Permitted(_Part):
    """One recipient of a disclosure, and the clauses that permit it."""

    id: AgencyId
    clauses: Annotated[tuple[Clause, ...], Field(strict=False, min_length=1, max_length=64)]


class Denied(_Part):
    """One recipient of a denied message: why, and the clause that came nearest."""

    id: AgencyId
    code: Code
    nearest: Clause | None = None


class DisclosureEntry(_Entry):
    """A message was permitted and delivered: who, to whom, under which clauses, for what."""

    typ: Literal["disclosure"] = "disclosure"
    msg: Digest
    id: MessageId
    from_: AgencyId = Field(alias="from")
    to: Annotated[tuple[Permitted, ...], Field(strict=False, min_length=1, max_length=MAX_RECIPIENTS)]
    agr: Digest
    type: Annotated[MessageType, _AsText]
    purpose: Annotated[Purpose, _AsText]
    crime: Annotated[CrimeArea, _AsText]
    class_: Annotated[Classification, _AsText] = Field(alias="class")
    handling: Handlings
    cats: Categories
    urgency: Annotated[Urgency, _AsText]
    re: Digest | None = None
    src: Sources | None = None
    exempt: Annotated[CopyExemption, _AsText] | None = None
    policy: Digest

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        _orderly(self.to, self.handling, self.cats, self.src or ())
        if any(len(set(to.clauses)) != len(to.clauses) for to in self.to):
            raise ValueError("a clause is named once to each recipient")
        return self


class DenialEntry(_Entry):
    """A message was denied and delivered to nobody; the codes say why, per recipient and as a whole."""

    typ: Literal["denial"] = "denial"
    msg: Digest
    id: MessageId
    from_: AgencyId = Field(alias="from")
    to: Annotated[tuple[Denied, ...], Field(strict=False, min_length=1, max_length=MAX_RECIPIENTS)]
    agr: Digest
    code: Code
    type: Annotated[MessageType, _AsText]
    purpose: Annotated[Purpose, _AsText]
    crime: Annotated[CrimeArea, _AsText]
    class_: Annotated[Classification, _AsText] = Field(alias="class")
    handling: Handlings
    cats: Categories
    urgency: Annotated[Urgency, _AsText]
    src: Sources | None = None
    exempt: Annotated[CopyExemption, _AsText] | None = None
    policy: Digest

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        _orderly(self.to, self.handling, self.cats, self.src or ())
        return self


class ReceiptEntry(_Entry):
    """A recipient said, under its signature, what became of a message; ``batch`` names the signed batch."""

    typ: Literal["receipt"] = "receipt"
    msg: Digest
    by: AgencyId
    status: Annotated[ReceiptStatus, _AsText]
    code: Code | None = None
    batch: Digest

    @model_validator(mode="after")
    def _reason(self) -> Self:
        if (self.status is ReceiptStatus.REJECTED) != (self.code is not None):
            raise ValueError("a rejection has a code, and nothing else has one")
        return self


class AgreementEntry(_Entry):
    """An agreement has the signatures of all its parties from here on."""

    typ: Literal["agreement"] = "agreement"
    agr: Digest
    parties: Annotated[tuple[AgencyId, ...], Field(strict=False, min_length=2, max_length=MAX_PARTIES)]
    replaces: Digest | None = None

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len(set(self.parties)) != len(self.parties):
            raise ValueError("a party is named once")
        return self


class NoticeEntry(_Entry):
    """A party suspended, resumed or left an agreement; ``notice`` names its signed notice."""

    typ: Literal["suspension"] = "suspension"
    agr: Digest
    by: AgencyId
    act: Literal["suspend", "leave", "resume"]
    notice: Digest


class RecordEntry(_Entry):
    """An agency's record of keys, this version, counts from here on."""

    typ: Literal["record"] = "record"
    agency: AgencyId
    version: Version
    record: Digest


class SignatureEntry(_Entry):
    """A party has signed an agreement; when all have, the agreement has its own entry."""

    typ: Literal["signature"] = "signature"
    agr: Digest
    by: AgencyId


class ActEntry(_Entry):
    """An agency did something about a message that was disclosed before; ``statement`` names its signed act."""

    typ: Literal["act"] = "act"
    act: Annotated[ActKind, _AsText]
    by: AgencyId
    msg: Digest
    re: Digest | None = None
    statement: Digest


class NodeHeadEntry(_Entry):
    """An agency's own ledger had this size and root; ``head`` names its signed checkpoint (LOG-90)."""

    typ: Literal["node-head"] = "node-head"
    by: AgencyId
    size: LedgerSize
    root: Digest
    head: Digest


class ShardEntry(_Entry):
    """A shard begins here, at the ``base``-th entry of all; the one before was closed at ``size``, under ``root``."""

    typ: Literal["shard"] = "shard"
    base: Count
    origin: Origin
    size: Count
    root: Digest
    checkpoint: Digest
    """Digest of the note that closed it, with the log's own two lines and no others."""


LogEntry = (
    DisclosureEntry
    | DenialEntry
    | ReceiptEntry
    | AgreementEntry
    | NoticeEntry
    | RecordEntry
    | SignatureEntry
    | ActEntry
    | NodeHeadEntry
    | ShardEntry
)

_READER: Final[TypeAdapter[LogEntry]] = TypeAdapter(Annotated[LogEntry, Field(discriminator="typ")])


def _orderly(
    to: Sequence[Permitted | Denied], handling: Sequence[str], cats: Sequence[str], src: Sequence[str]
) -> None:
    if len({recipient.id for recipient in to}) != len(to):
        raise ValueError("a recipient is named once")
    if any(a >= b for codes in (handling, cats, src) for a, b in pairwise(codes)):
        raise ValueError("codes and digests stand in ascending order, each once")


def parse_entry(data: bytes) -> LogEntry:
    """Read a log entry; ``EntryMalformed`` for anything but the one spelling of one of the ten kinds."""
    if len(data) > MAX_ENTRY:
        raise EntryMalformed(f"{len(data)} bytes where a log entry has at most {MAX_ENTRY}")
    try:
        entry = _READER.validate_json(data)
        instant(entry.ts)  # the pattern lets through a 31st of February
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        member = where(first["loc"][1:])
        raise EntryMalformed(f"log entry member `{member}` is not as it must be: {first['type']}") from None
    except MalformedEncoding:
        raise EntryMalformed("a log entry names a day or hour that does not exist") from None
    if entry.to_bytes() != data:
        raise EntryMalformed("the log entry is not in its one allowed spelling")
    return entry


# --- builders: each returns the bytes to log -----------------------------------------------------------
#
# The first three stand on the broker's hot path, at least three times a message. They write what was
# validated before (a manifest, a receipt batch, digests of our own) without validating it again; only
# clause names and codes, which come from elsewhere, are checked, once each. A test holds them to the models.


def disclosure_entry(
    manifest: Manifest, msg: str, clauses: Sequence[Sequence[str]], policy: str, ts: datetime
) -> bytes:
    """Log that a message was permitted; ``clauses`` names, per recipient of the manifest, what permits it."""
    to = [{"id": a.id, "clauses": [_clause(c) for c in cs]} for a, cs in zip(manifest.to, clauses, strict=True)]
    if not all(recipient["clauses"] for recipient in to):
        raise ValueError("a disclosure names a clause for every recipient")
    members = _members("disclosure", ts, manifest, msg, to)
    members |= _facts(manifest)
    if manifest.re is not None:
        members["re"] = manifest.re
    if manifest.src is not None:
        members["src"] = manifest.src
    if manifest.exempt is not None:
        members["exempt"] = manifest.exempt
    members["policy"] = policy
    return _write(members)


def denial_entry(
    manifest: Manifest, msg: str, reasons: Sequence[tuple[str, str | None]], code: str, policy: str, ts: datetime
) -> bytes:
    """Log that a message was denied; ``reasons`` gives, per recipient, its code and the nearest clause if any."""
    to = [
        {"id": a.id, "code": _code(why)}
        if nearest is None
        else {"id": a.id, "code": _code(why), "nearest": _clause(nearest)}
        for a, (why, nearest) in zip(manifest.to, reasons, strict=True)
    ]
    members = _members("denial", ts, manifest, msg, to)
    members["code"] = _code(code)
    members |= _facts(manifest)
    if manifest.src is not None:
        members["src"] = manifest.src
    if manifest.exempt is not None:
        members["exempt"] = manifest.exempt
    members["policy"] = policy
    return _write(members)


def receipt_entry(msg: str, by: str, status: str, code: str | None, batch: str, ts: datetime) -> bytes:
    """Log one item of a verified receipt batch; ``batch`` is the digest of the batch's payload."""
    members = {"v": "ix/1", "typ": "receipt", "ts": _stamp(ts), "msg": msg, "by": by, "status": status}
    if code is not None:
        members["code"] = _code(code)
    members["batch"] = batch
    return _write(members)


def agreement_entry(agr: str, parties: Sequence[str], replaces: str | None, ts: datetime) -> bytes:
    """Log that all parties have signed an agreement."""
    return AgreementEntry(ts=stamp(ts), agr=agr, parties=tuple(parties), replaces=replaces).to_bytes()


def notice_entry(agr: str, by: str, act: Literal["suspend", "leave", "resume"], notice: str, ts: datetime) -> bytes:
    """Log a party's verified notice about an agreement; ``notice`` is the digest of its payload."""
    return NoticeEntry(ts=stamp(ts), agr=agr, by=by, act=act, notice=notice).to_bytes()


def record_entry(agency: str, version: int, record: str, ts: datetime) -> bytes:
    """Log a new version of an agency's record; ``record`` is its digest."""
    return RecordEntry(ts=stamp(ts), agency=agency, version=version, record=record).to_bytes()


def signature_entry(agr: str, by: str, ts: datetime) -> bytes:
    """Log that a party has signed an agreement."""
    return SignatureEntry(ts=stamp(ts), agr=agr, by=by).to_bytes()


def act_entry(act: ActKind | str, by: str, msg: str, re: str | None, statement: str, ts: datetime) -> bytes:
    """Log a verified act; ``statement`` is the digest of its payload, ``re`` that of the act it answers."""
    return ActEntry(ts=stamp(ts), act=ActKind(act), by=by, msg=msg, re=re, statement=statement).to_bytes()


def node_head_entry(by: str, size: int, root: bytes, head: str, ts: datetime) -> bytes:
    """Log the head of an agency's ledger; ``head`` is the digest of its verified note."""
    return NodeHeadEntry(ts=stamp(ts), by=by, size=size, root=b64u(root), head=head).to_bytes()


def shard_entry(base: int, origin: str, size: int, root: str, checkpoint: str, ts: datetime) -> bytes:
    """Log, before anything else in a shard, which one was closed for it and how."""
    return ShardEntry(ts=stamp(ts), base=base, origin=origin, size=size, root=root, checkpoint=checkpoint).to_bytes()


def _members(typ: str, ts: datetime, manifest: Manifest, msg: str, to: list[dict[str, Any]]) -> dict[str, Any]:
    head = {"v": "ix/1", "typ": typ, "ts": _stamp(ts), "msg": msg, "id": manifest.id, "from": manifest.from_}
    return {**head, "to": to, "agr": manifest.agr}


def _facts(m: Manifest) -> dict[str, Any]:
    return {
        "type": m.type,
        "purpose": m.purpose,
        "crime": m.crime,
        "class": m.class_,
        "handling": m.handling,
        "cats": m.cats,
        "urgency": m.urgency,
    }


def _write(members: dict[str, Any]) -> bytes:
    data = to_json(members)  # the writer the models use, so the spelling is the same
    if len(data) > MAX_ENTRY:
        raise TooLarge(f"the log entry would have {len(data)} bytes; send to fewer recipients at a time")
    return data


_stamp = lru_cache(maxsize=16)(stamp)  # one instant for a whole group


@lru_cache(maxsize=4096)
def _clause(text: str) -> str:
    return TypeAdapter(Clause).validate_python(text)


@lru_cache(maxsize=256)
def _code(text: str) -> str:
    return TypeAdapter(Code).validate_python(text)

"""Receipts: what a recipient says, under its signature, became of its messages (RCT-1 to RCT-9).

One signed batch carries up to 100 items, so that a pair of signatures is spent once for many messages.
The log gets one entry per item, and each names the batch it came from. What a receipt says is the
recipient's word alone; that it said so, and when the log heard it, is proved. With it goes the newest checkpoint its
giver has seen, so that two members who are shown two logs find out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from exchange.protocol.entry import AgencyId, Code, Digest, LogTime
from exchange.protocol.errors import CheckpointInvalid, FederationMismatch, ReceiptMalformed
from exchange.protocol.seen import Seen, read_seen
from exchange.protocol.synthetic import where
from exchange.protocol.vocabulary import ReceiptStatus
from keys.encoding import instant, read_json, stamp, write_json
from keys.errors import MalformedEncoding
from keys.signing import Signer, Statement, Typ, parse_statement, sign, verify_pair
from keys.trust import Directory

MAX_ITEMS: Final = 100
MAX_BATCH: Final = 32 * 1024
"""Bytes of a batch's payload; 100 items of the longest kind and the longest checkpoint stay below it."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class ReceiptItem(_Part):
    """What became of one message; ``code`` is the refusal that a ``rejected`` message met, and only its.

    That rule, and that an absent code is not null, are held batch by batch: a sender reads the items of all
    who share a batch with it, and a call into Python for each cost more than verifying the signatures.
    """

    msg: Digest
    status: Annotated[ReceiptStatus, Field(strict=False)]
    code: Code | None = None


class _Members(_Part):
    v: Literal["ix/1"]
    typ: Literal["receipts"]
    fed: Digest
    by: AgencyId
    ts: LogTime
    items: Annotated[tuple[ReceiptItem, ...], Field(strict=False, min_length=1, max_length=MAX_ITEMS)]
    seen: str | None = None

    @model_validator(mode="after")
    def _items_hold(self) -> Self:
        if len({(item.msg, item.status) for item in self.items}) != len(self.items):
            raise ValueError("a message and status stand in a batch once")
        for item in self.items:
            said = "code" in item.model_fields_set
            if said != (item.status is ReceiptStatus.REJECTED) or (said and item.code is None):
                raise ValueError("a rejection has a code, and nothing else has one, not even null")
        if "seen" in self.model_fields_set and self.seen is None:
            raise ValueError("what was not seen is left out, and not null")
        return self


@dataclass(frozen=True)
class ReceiptBatch:
    """A verified batch: who says it, when it says it was signed, and one item per message and status.

    ``seen`` is the checkpoint its giver says it knew then; that the log signed it is not verified by reading it.
    """

    by: str
    fed: str
    ts: datetime
    items: tuple[ReceiptItem, ...]
    statement: Statement
    seen: Seen | None = None

    @cached_property
    def digest(self) -> str:
        """The batch's name, which each of its log entries cites."""
        return self.statement.digest

    def says(self, msg: str, status: str, code: str | None) -> bool:
        """Whether this is one of its items."""
        return (msg, status, code) in self._said

    @cached_property
    def _said(self) -> frozenset[tuple[str, str, str | None]]:
        return frozenset((item.msg, item.status, item.code) for item in self.items)


def build_receipts(
    items: Sequence[ReceiptItem], *, by: str, fed: str, ts: datetime, signer: Signer, seen: str | None = None
) -> bytes:
    """Sign a batch of at most 100 items; returns the JWS that is sent to the broker.

    ``seen`` is the newest checkpoint verified here, with the log's own two lines (``seen.own_lines``).
    """
    written = [item.model_dump(mode="json", exclude_none=True) for item in items]
    members = {"v": "ix/1", "typ": "receipts", "fed": fed, "by": by, "ts": stamp(ts), "items": written}
    payload = write_json(members if seen is None else {**members, "seen": seen})
    _read(payload)  # refuse here what every reader would refuse there
    return sign(payload, signer, Typ.RECEIPT).to_bytes()


def verify_receipts(data: bytes, directory: Directory, at: datetime) -> ReceiptBatch:
    """Return a batch that its sender signed with both keys, valid at log time ``at``; raise the exact refusal.

    Deliberately not checked: that the sender received these messages. Who keeps the log checks that.
    """
    statement = parse_statement(data)
    members, seen = _read(statement.payload)
    if members.fed != directory.fed:
        raise FederationMismatch("the receipts belong to another federation")
    if len(statement.pairs) != 1:
        raise ReceiptMalformed("receipts are signed by their sender alone: one pair of signatures")
    lookup = directory.signing_lookup(members.by, at)
    verify_pair(statement.raw_payload, statement.pairs[0], lookup, Typ.RECEIPT)
    return ReceiptBatch(members.by, members.fed, instant(members.ts), members.items, statement, seen)


def _read(payload: bytes) -> tuple[_Members, Seen | None]:
    value = read_json(payload, limit=MAX_BATCH)
    try:
        members = _Members.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        member = where(first["loc"])
        raise ReceiptMalformed(f"receipt member `{member}` is not as RCT-2 says: {first['type']}") from None
    try:
        instant(members.ts)  # the pattern lets through a 31st of February
    except MalformedEncoding:
        raise ReceiptMalformed("the receipts name a day or hour that does not exist") from None
    try:
        return members, None if members.seen is None else read_seen(members.seen)
    except CheckpointInvalid as refusal:
        raise ReceiptMalformed(f"receipt member `seen` is not as RCT-7 says: {refusal.sentence}") from None

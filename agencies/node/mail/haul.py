"""Haul: what one look into the mailbox brought, checked and not written down yet (`spec/nodes.md`, NODE-40 to NODE-49).

Values and how they are read out of a parcel; ``collecting`` fills a haul, and writes it in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agencies.node.ledger import LedgerAct
from agencies.node.mail.doubts import Mark, told
from agencies.node.mail.hearing import Heard
from exchange.protocol.message import Opened, Parcel
from exchange.protocol.receipt import ReceiptBatch
from exchange.protocol.vocabulary import Act
from keys.encoding import digest, unb64u
from keys.errors import Refusal


@dataclass(frozen=True, slots=True)
class Batch:
    """A verified batch of receipts: as it came, as bytes, and read."""

    value: Any
    jws: bytes
    name: str
    batch: ReceiptBatch


@dataclass(frozen=True, slots=True)
class Word:
    """What a batch tells of the log and does not hold: which kind of evidence, against whom, and the whole of it."""

    kind: str
    by: str
    batch: str
    detail: dict[str, Any]


@dataclass(slots=True)
class Haul:
    """What one look into the mailbox brought, checked and ready to be written."""

    opened: list[tuple[Parcel, Opened, Mapping[str, Any]]] = field(default_factory=list)
    rejected: list[tuple[str, int, str]] = field(default_factory=list)
    astray: set[str] = field(default_factory=set)
    """Of those, what the log says was for others."""
    recalled: set[str] = field(default_factory=set)
    """Of those, what its originator took back before it was collected: nobody is owed a receipt for it."""
    heard: list[Heard] = field(default_factory=list)
    stopped: dict[str, str] | None = None
    """What originators have stopped, read once for a look."""
    receipts: list[tuple[Mapping[str, Any], dict[str, Any], bytes]] = field(default_factory=list)
    oddities: list[dict[str, Any]] = field(default_factory=list)
    batches: dict[tuple[str, str], Batch] = field(default_factory=dict)
    words: dict[str, Word | None] = field(default_factory=dict)
    """What was found of each batch that was held against this agency's view of the log; none where they agree."""
    marks: list[Mark] = field(default_factory=list)
    news: bool = False
    renewed: bool | None = None
    """Whether the directory was fetched anew for this look; none if there was no need."""

    def doubt(self, what: str, code: str, item: Any) -> Mark:
        """Note an item that the log does not bear out."""
        self.oddities.append({"what": what, "code": code, "item": told(item)})
        return Mark(None, False)


def digest_of(item: Any) -> str | None:
    """The digest of a mailbox item's payload, if it has one that can be decoded."""
    try:
        return digest(unb64u(item["payload"]))
    except (Refusal, KeyError, TypeError, AttributeError):
        return None


def is_behind(item: Any, upto: int) -> bool:
    """Whether an item says that it stands behind a number."""
    number = item.get("seq") if type(item) is dict else None
    return type(number) is int and number > upto


def summary(opened: Opened) -> dict[str, Any]:
    """What is told of a message without its content: the manifest's facts."""
    manifest = opened.manifest
    return {
        "type": manifest.type,
        "purpose": manifest.purpose,
        "crime": manifest.crime,
        "class": manifest.class_,
        "handling": list(manifest.handling),
        "urgency": manifest.urgency,
        "cats": list(manifest.cats),
        "agr": manifest.agr,
        "re": manifest.re,
        "src": list(manifest.src or ()),
        "ts": manifest.ts,
        "exp": manifest.exp,
        "to": [one.id for one in manifest.to],
    }


def received(parcel: Parcel, opened: Opened, row: Mapping[str, Any]) -> LedgerAct:
    """What the ledger says of a message taken in."""
    manifest = opened.manifest
    clauses = tuple(dict.fromkeys(clause for one in opened.entry.to for clause in one.clauses))
    return LedgerAct(
        Act.RECEIVE, purpose=str(manifest.purpose), agreement=manifest.agr, clauses=clauses, case=row["case_name"],
        message=opened.digest, sender=manifest.from_, recipients=tuple(one.id for one in manifest.to),
        categories=tuple(str(c) for c in manifest.cats), outcome="delivered", index=parcel.seq,
    )  # fmt: skip

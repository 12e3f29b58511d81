"""What an audit answers: who disclosed what to whom under which clause, and what is wrong (LOG-47, LOG-52)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from exchange.audit.finding import Finding
from exchange.audit.head_replay import Head
from exchange.protocol.act import Act, Answer
from exchange.protocol.entry import DenialEntry, DisclosureEntry
from exchange.protocol.lineage import Followed
from exchange.protocol.log import Checkpoint
from keys.encoding import b64u, stamp


@dataclass(slots=True)
class Told:
    """One recipient of a disclosure: the clauses that permit it, and its receipts with their log times."""

    agency: str
    clauses: tuple[str, ...]
    receipts: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The members as ``ix audit verify --json`` writes them."""
        return {"id": self.agency, "clauses": list(self.clauses), "receipts": dict(self.receipts)}


@dataclass(frozen=True, slots=True)
class Disclosed:
    """Who disclosed what to whom, under which agreement and clauses, when and for what."""

    index: int
    entry: DisclosureEntry
    agreement: str
    """The agreement's own id and version, or its digest where it is not known."""
    title: str
    told: tuple[Told, ...]

    def to_json(self) -> dict[str, Any]:
        """The members as ``ix audit verify --json`` writes them."""
        members = _facts(self.index, self.entry) | {"agreement": self.agreement, "title": self.title}
        members |= {"to": [one.to_json() for one in self.told], "re": self.entry.re}
        return members | _derived(self.entry)


@dataclass(frozen=True, slots=True)
class Denied:
    """Who was not allowed to disclose what to whom, and the code of why not."""

    index: int
    entry: DenialEntry

    def to_json(self) -> dict[str, Any]:
        """The members as ``ix audit verify --json`` writes them."""
        to = [one.model_dump(mode="json", exclude_none=True) for one in self.entry.to]
        return _facts(self.index, self.entry) | {"code": self.entry.code, "to": to} | _derived(self.entry)


def _head(one: Checkpoint) -> dict[str, Any]:
    members = {"origin": one.origin, "size": one.size, "root": b64u(one.root), "signed": stamp(one.at)}
    return members | ({"base": one.base} if one.base else {})


def _facts(index: int, entry: DisclosureEntry | DenialEntry) -> dict[str, Any]:
    return {
        "index": index,
        "ts": entry.ts,
        "msg": entry.msg,
        "from": entry.from_,
        "agr": entry.agr,
        "type": entry.type.value,
        "purpose": entry.purpose.value,
        "crime": entry.crime.value,
        "class": entry.class_.value,
        "handling": [code.value for code in entry.handling],
        "cats": [code.value for code in entry.cats],
        "urgency": entry.urgency.value,
    }


def _derived(entry: DisclosureEntry | DenialEntry) -> dict[str, Any]:
    members: dict[str, Any] = {} if entry.src is None else {"src": list(entry.src)}
    return members if entry.exempt is None else members | {"exempt": entry.exempt.value}


def _followed(one: Followed) -> dict[str, Any]:
    """A restriction, rectification or recall with what each holder answered, and who is silent (LOG-47)."""
    terms = one.act.terms
    members = {"index": one.seq, "ts": stamp(one.act.at), "act": one.act.kind.value, "msg": terms.msg, "by": terms.by}
    holders = [_answered(holder, through, one.answers.get(holder)) for holder, through in one.holders.items()]
    return {**members, "statement": one.act.digest, "holders": holders}


def _answered(holder: str, through: str, answer: tuple[int, Act] | None) -> dict[str, Any]:
    said: dict[str, Any] = {"id": holder, "through": through}
    if answer is not None and isinstance(terms := answer[1].terms, Answer):
        said["answer"] = {"index": answer[0], "ts": stamp(answer[1].at), "outcome": terms.outcome.value}
        if terms.ground is not None:
            said["answer"]["ground"] = terms.ground.value
    return said


@dataclass(frozen=True, slots=True)
class AuditReport:
    """All that an audit of one export says. ``clean`` is the verdict; notes do not spoil it."""

    fed: str
    name: str
    checkpoint: Checkpoint | None
    findings: tuple[Finding, ...]
    disclosures: tuple[Disclosed, ...]
    denials: tuple[Denied, ...]
    counts: dict[str, int]
    """Entries by kind; ``decided_again``; ``signed_receipts``, and ``unsigned_receipts`` whose batch was not exported;
    ``not_judged``, the entries left aside."""
    followed: tuple[Followed, ...] = ()
    """Every restriction, rectification and recall, with what each holder answered."""
    heads: tuple[Head, ...] = ()
    """Every head of an agency's ledger that holds, in the order of the log."""
    closed: tuple[Checkpoint, ...] = ()
    """How the shards before the newest ended, in order (LOG-120)."""

    @property
    def newest_heads(self) -> tuple[Head, ...]:
        """The newest head of each agency's ledger, agencies in order of their ids."""
        newest = {head.entry.by: head for head in self.heads}
        return tuple(newest[agency] for agency in sorted(newest))

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.severity == "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The report as ``ix audit verify --json`` writes it."""
        head = self.checkpoint
        return {
            "clean": self.clean,
            "federation": {"id": self.fed, "name": self.name},
            "log": None if head is None else _head(head),
            **({"closed": [_head(one) for one in self.closed]} if self.closed else {}),
            "counts": self.counts,
            "findings": [finding.to_json() for finding in self.findings],
            "disclosures": [one.to_json() for one in self.disclosures],
            "denials": [one.to_json() for one in self.denials],
            "followed": [_followed(one) for one in self.followed],
            "heads": [head.to_json() for head in self.newest_heads],
        }

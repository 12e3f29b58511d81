"""The outbox: what was asked to be sent, how it stands, and how a row of it is written and read (NODE-21 to NODE-29).

Content and reasons in a row are locked; what is clear are the facts that the manifest tells the broker
anyway. ``sending`` decides what goes into a row and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from agencies.node.broker_client import MAX_BATCH
from agencies.node.ledger import LedgerAct, Why
from agencies.node.mail.draft import Forecast, OfficerDraft
from agencies.node.profile import Officer
from exchange.protocol.content import CaseMessage
from exchange.protocol.message import Envelope
from exchange.protocol.vocabulary import Act, Justification
from keys.encoding import b64u, read_json, stamp, write_json
from keys.vault import Vault

MAX_BATCH_BYTES: Final = 15 * 1024 * 1024
LIMIT: Final = 1024 * 1024
"""Bytes of one JSON text in a row."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One thing to send. ``key`` makes asking twice safe; ``ruling`` submits even what is denied here."""

    draft: OfficerDraft
    key: str | None = None
    ruling: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one request to send, so far.

    ``state`` is ``pending`` (committed, no proved answer yet), ``pending_release``, ``sent``, ``denied``
    (by the broker, proved), ``stopped`` (denied here, nothing left), ``withheld`` (a release officer said
    no, or what it was derived from was erased) or ``refused`` (the broker would not judge it; ``problem``
    says why). ``approved_by`` is the first of two release officers who must agree.
    """

    ref: str
    state: str
    officer: str
    made: str
    to: tuple[str, ...]
    summary: dict[str, Any]
    msg: str | None
    code: str | None
    reasons: dict[str, Any] | None
    index: int | None
    entry: bytes | None
    proof: str | None
    problem: str | None
    attempts: int
    released_by: str | None
    approved_by: str | None = None
    src: tuple[str, ...] = ()
    exempt: str | None = None

    @classmethod
    def of(cls, row: Any) -> Sent:
        """Read an outbox row."""
        reasons = read_json(row.reasons.encode(), limit=LIMIT) if row.reasons else None
        return cls(
            row.ref, row.state, row.officer, row.made, tuple(row.recipients.split(" ")),
            read_json(row.summary.encode(), limit=LIMIT), row.msg, row.code, reasons, row.seq, row.entry,
            row.proof, row.problem, row.attempts, row.released_by, row.approved_by,
            tuple(row.src.split(" ")) if row.src else (), row.exempt,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """The members as an officer's desk sees them: nobody's name (NODE-222)."""
        members = {name: getattr(self, name) for name in ("ref", "state", "made", "msg", "code", "reasons")}
        members |= {"to": list(self.to), "index": self.index, "entry": b64u(self.entry) if self.entry else None}
        members |= {"proof": self.proof, "problem": self.problem, "attempts": self.attempts}
        members |= {"released": self.released_by is not None, "approved": self.approved_by is not None}
        return {**self.summary, **members, "src": list(self.src), "exempt": self.exempt}


@dataclass(frozen=True, slots=True)
class Letter:
    """A composed message on its way: its outbox row's number, bytes, and what the ledger will say of it."""

    ref: str
    envelope: Envelope
    act: LedgerAct
    attempts: int = 0
    case: CaseMessage | None = None
    """What it says, when it was just composed."""


BLANK: Final[dict[str, Any]] = dict.fromkeys(
    (
        "request_key", "request_digest", "act", "draft", "content", "msg", "envelope", "due", "problem", "code",
        "reasons", "seq", "entry", "proof", "released_by", "approved_by", "src", "exempt",
    )
) | {"attempts": 0, "ruling": False}  # fmt: skip


class Row:
    """A row as it was just written, with the attributes of one read back."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)


def lock_act(vault: Vault, ref: str, act: LedgerAct) -> bytes:
    """Keep what the ledger will say once a message is settled."""
    members = {
        "officer": act.officer, "code": act.why.code if act.why else None, "why": act.why.text if act.why else "",
        "purpose": act.purpose, "agr": act.agreement, "case": act.case, "msg": act.message,
        "to": act.recipients, "cats": act.categories, "released_by": act.released_by, "reasons": act.reasons,
    }  # fmt: skip
    return vault.lock(write_json(members), f"outbox act {ref}")


def unlock_act(vault: Vault, row: Any, me: str) -> LedgerAct:
    """Read it back."""
    members = read_json(vault.unlock(row.act, f"outbox act {row.ref}"), limit=LIMIT)
    return LedgerAct(
        Act.DISCLOSE, members["officer"], Why(Justification(members["code"]), members["why"]), members["purpose"],
        members["agr"], case=members["case"], message=members["msg"], sender=me,
        recipients=tuple(members["to"]), categories=tuple(members["cats"]), released_by=members["released_by"],
        reasons=tuple(members.get("reasons", ())),
    )  # fmt: skip


def summary(seen: Forecast, now: datetime) -> dict[str, Any]:
    draft = seen.draft
    return {
        "type": str(seen.case.type),
        "purpose": str(draft.purpose),
        "crime": str(draft.crime),
        "class": str(draft.class_),
        "handling": sorted(str(code) for code in draft.handling),
        "urgency": str(draft.urgency),
        "cats": list(seen.categories),
        "agr": seen.decision.agreement,
        "re": draft.re,
        "exp": stamp(now + draft.life),
    }


def written(value: Any) -> str | None:
    return None if value is None else write_json(value).decode()


def request_key(one: Wanted, officer: Officer) -> str | None:
    return None if one.key is None else f"{officer.id} {one.key}"


def request_seal(vault: Vault, one: Wanted) -> str:
    """Name a request so that the same one is known again, and nobody with the database can try guesses at it."""
    return b64u(vault.seal(b"request\n" + request_facts(one)))


def request_facts(one: Wanted) -> bytes:
    """What makes a request the same request: the draft, member for member, and whether a ruling is wanted."""
    draft = one.draft
    facts = [
        *draft.to, "", draft.agr or "", draft.purpose, draft.crime, draft.class_, *draft.handling, "", draft.urgency,
        draft.re or "", str(draft.days), "ruling" if one.ruling else "",
    ]  # fmt: skip
    if draft.src or draft.exempt:
        facts += ["", *draft.src, draft.exempt or "", draft.exempt_why or ""]
    return "\n".join(facts).encode() + b"\n" + draft.content_bytes


def loads(letters: Sequence[Letter]) -> list[list[Letter]]:
    """Split letters into calls the broker takes: at most 100, and at most so many bytes."""
    loads: list[list[Letter]] = []
    held = MAX_BATCH_BYTES
    for letter in letters:
        held += len(letter.envelope.raw) + 1
        if held > MAX_BATCH_BYTES or len(loads[-1]) == MAX_BATCH:
            loads.append([])
            held = len(letter.envelope.raw) + 1
        loads[-1].append(letter)
    return loads

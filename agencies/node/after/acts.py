"""Acts: what this agency says about a message after it was disclosed, signed, logged and kept (NODE-120 to NODE-124).

An act is treated like a letter: signed once, committed before the first byte leaves, sent as these very bytes until
the broker's answer proves that the log holds it, and settled with its ledger act in one transaction. An answer that
proves something else is evidence and settles nothing. What it means for asks, duties and holdings is written in the
transaction that commits it, and taken back if the broker will never log it.

``hearing`` takes what others say; ``consents`` and ``recalls`` know what acts are for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from agencies.node.errors import AnswerMismatch, BrokerRefused, BrokerUnreachable, LogForked
from agencies.node.ledger import LedgerAct, Why
from agencies.node.mail.pauses import pause
from agencies.node.office import Office
from agencies.node.profile import Officer
from agencies.node.store import Books
from agencies.node.watch import LogWatch
from exchange.protocol.act import parse_act, sign_act, write_act
from exchange.protocol.entry import ActEntry, parse_entry
from exchange.protocol.log import verify_tlog_proof
from exchange.protocol.vocabulary import Act, ActKind, Justification
from keys.encoding import b64u, instant, read_json, stamp, unb64u, write_json
from keys.errors import Refusal
from keys.signing import Statement, parse_statement

LEASE: Final = timedelta(seconds=60)
"""How long a first attempt has an act to itself before a retry may pick it up."""
MAX_RETRIED: Final = 100
"""Acts sent again in one round."""
LIMIT: Final = 64 * 1024
INSISTS: Final = timedelta(days=1)
"""How long what was done already is told again though it is refused: this node's clock may go ahead of the log's."""
_DONE: Final = frozenset({ActKind.ERASED, ActKind.ACKNOWLEDGE})
LEDGER: Final[Mapping[ActKind, Act]] = {
    ActKind.ASK: Act.CONSENT,
    ActKind.CONSENT: Act.CONSENT,
    ActKind.DECLINE: Act.CONSENT,
    ActKind.WITHDRAW: Act.CONSENT,
    ActKind.ACKNOWLEDGE: Act.CONSULT,
    ActKind.RESTRICT: Act.RECALL,
    ActKind.RECTIFY: Act.RECALL,
    ActKind.RECALL: Act.RECALL,
    ActKind.ANSWER: Act.RECALL_ACK,
    ActKind.KEEP: Act.REVIEW,
    ActKind.ERASED: Act.ERASE,
}
"""Which act of the ledger each kind of act is."""

Beside = Callable[[Books, str], None]
"""What else is written in the transaction that commits an act, or takes one back; the second value is its digest."""


@dataclass(frozen=True, slots=True)
class Deed:
    """One act as these books have it: of ours, ``pending`` until it is proved, or one that came in, ``filed``."""

    digest: str
    way: str
    kind: str
    by: str
    msg: str
    re: str | None
    state: str
    made: str
    at: str | None
    index: int | None
    statement: bytes
    entry: bytes | None
    proof: str | None
    code: str | None
    problem: str | None

    @classmethod
    def of(cls, row: Any) -> Deed:
        """Read a row of the acts."""
        return cls(
            row.digest, row.way, row.kind, row.by, row.msg, row.re, row.state, row.made, row.at, row.seq, row.jws,
            row.entry, row.proof, row.code, row.problem,
        )  # fmt: skip

    @property
    def terms(self) -> Any:
        """What was signed."""
        return parse_act(parse_statement(self.statement).payload)

    def to_json(self) -> dict[str, Any]:
        """The members as an officer's desk sees them: what was signed in words, and all that proves it."""
        names = ("way", "kind", "by", "msg", "re", "state", "made", "at", "index", "proof", "code", "problem")
        return {
            "act": self.digest,
            **{name: getattr(self, name) for name in names},
            "said": read_json(parse_statement(self.statement).payload, limit=LIMIT),
            "statement": read_json(self.statement, limit=LIMIT),
            "entry": b64u(self.entry) if self.entry else None,
        }


class Acts:
    """Gives acts for one office."""

    def __init__(self, office: Office, watch: LogWatch) -> None:
        self._office, self._watch = office, watch
        self._takes_back: dict[ActKind, Beside] = {}

    def takes_back(self, kind: ActKind, undo: Beside) -> None:
        """Say what is undone in the books when the broker refuses an act of this kind for good."""
        self._takes_back[kind] = undo

    def give(
        self,
        kind: ActKind | str,
        msg: str,
        officer: Officer | None = None,
        why: Why | None = None,
        *,
        beside: Beside | None = None,
        recipients: tuple[str, ...] = (),
        at_once: bool = True,
        **members: Any,
    ) -> Deed:
        """Sign an act about a message, commit it, send it; as far as it got. No officer: the node by itself, on a rule.

        ``members`` are those of the kind (`spec/acts.md`). ``recipients`` is for the ledger: who is told. Not
        ``at_once``: it is sent by the next ``retry``, so that many that are due wait for no broker.
        """
        office, now = self._office, self._office.clock()
        payload = write_act(kind, fed=office.trust.directory.fed, by=office.me, ts=now, msg=msg, **members)
        terms, jws = parse_act(payload), sign_act(payload, office.identity.signer)
        name = parse_statement(jws).digest
        told = str(getattr(terms, "outcome", terms.kind))
        act = LedgerAct(
            LEDGER[terms.kind], officer.id if officer else None, why, message=msg, sender=office.me,
            recipients=recipients, outcome=told,
        )  # fmt: skip
        order = replace(act, act=Act.ALTER)  # what was ordered here is written before it leaves (NODE-223)
        row = {
            "digest": name, "way": "out", "kind": str(terms.kind), "by": office.me, "msg": msg, "re": terms.refers_to,
            "state": "pending", "jws": jws, "made": stamp(now), "ledger": self._lock(name, act), "attempts": 0,
            "due": stamp(now + LEASE if at_once else now),
        }  # fmt: skip
        with office.store.writing() as books:
            before = books.get("acts", digest=name)
            if before is None:
                books.add("acts", [row])
                if beside:
                    beside(books, name)
            if terms.kind is not ActKind.ERASED:  # that is an act of its own, written with what it takes away
                office.record(books, now, order)
        if before is not None and before.state != "pending":  # the very same, twice in one instant
            return Deed.of(before)
        return self._submit(self._row(name)) if at_once else Deed.of(self._row(name))

    def retry(self) -> int:
        """Send again, as the same bytes, what is due; says how many acts were settled."""
        with self._office.store.reading() as books:
            rows = books.acts_due(stamp(self._office.clock()), MAX_RETRIED)
        return sum(self._submit(row).state != "pending" for row in rows)

    def deed(self, name: str) -> Deed | None:
        """One act by its digest, given or heard."""
        with self._office.store.reading() as books:
            row = books.get("acts", digest=name)
        return Deed.of(row) if row else None

    def about(self, msg: str) -> list[Deed]:
        """Every act about a message, given or heard, in the order written here."""
        with self._office.store.reading() as books:
            return [Deed.of(row) for row in books.rows("acts", msg=msg)]

    # -- one attempt --

    def _submit(self, row: Any) -> Deed:
        try:
            answer = self._office.broker.act(row.jws)
            index, entry, proof, checkpoints = self._proved(row, answer)
        except BrokerRefused as refusal:
            final = refusal.lasting and not self._insists(row)
            return self._refused(row, refusal) if final else self._later(row, refusal)
        except (BrokerUnreachable, LogForked) as refusal:
            return self._later(row, refusal)
        except Refusal as refusal:  # proved by the broker's own signature on the call: its answer, and not true
            self._office.keep_evidence("act_unproved", act=row.digest, code=refusal.code, answer=answer)
            return self._later(row, refusal)
        office = self._office
        settled = {
            "state": "sent", "due": None, "problem": None, "code": None, "seq": index, "entry": entry.to_bytes(),
            "proof": proof, "at": entry.ts, "ledger": None,
        }  # fmt: skip
        act = self._unlock(row, index)
        with office.store.writing() as books:
            self._watch.keep(books, checkpoints)
            if books.turn("acts", {"n": row.n, "state": "pending"}, settled):
                office.record(books, office.clock(), act)
        return Deed.of(self._row(row.digest))

    def _proved(self, row: Any, answer: Any) -> tuple[int, ActEntry, str, dict[int, str]]:
        """Where the log holds the act, if the answer proves it in the log known here and is about this very act."""
        try:
            name, data, proof = answer["act"], unb64u(answer["entry"]), answer["proof"]
            checkpoints = self._watch.fit(self._watch.inside([proof]))
            index, _ = verify_tlog_proof(proof, data, self._office.trust.log)
        except (KeyError, TypeError, AttributeError):
            raise AnswerMismatch("the answer to an act has the members `act`, `entry` and `proof`") from None
        entry = parse_entry(data)
        if name != row.digest or not isinstance(entry, ActEntry) or entry.statement != row.digest:
            raise AnswerMismatch("the log entry is about something other than the act that was given")
        if (str(entry.act), entry.by, entry.msg, entry.re) != (row.kind, row.by, row.msg, row.re):
            raise AnswerMismatch("the log entry does not say what the act says")
        return index, entry, proof, checkpoints

    def _insists(self, row: Any) -> bool:
        """Whether a refused act is tried again: it tells what cannot be taken back, and was made not long ago."""
        return ActKind(row.kind) in _DONE and self._office.clock() < instant(row.made) + INSISTS

    def _refused(self, row: Any, refusal: BrokerRefused) -> Deed:
        """The broker will never log this: what was written beside it is taken back."""
        office = self._office
        values = {"state": "refused", "code": refusal.reason, "problem": refusal.detail[:500], "due": None}
        denied = self._unlock(row, None, refused=refusal.reason)
        with office.store.writing() as books:
            if books.turn("acts", {"n": row.n, "state": "pending"}, values | {"ledger": None}):
                if undo := self._takes_back.get(ActKind(row.kind)):
                    undo(books, row.digest)
                office.record(books, office.clock(), denied)
        return Deed.of(self._row(row.digest))

    def _later(self, row: Any, refusal: Refusal) -> Deed:
        office = self._office
        due = stamp(office.clock() + pause(row.attempts, office.chance(2)))
        problem = f"{refusal.code}: {refusal.sentence}"[:500]
        with office.store.writing() as books:
            values = {"attempts": row.attempts + 1, "due": due, "problem": problem}
            books.turn("acts", {"n": row.n, "state": "pending"}, values)
        return Deed.of(self._row(row.digest))

    def _row(self, name: str) -> Any:
        with self._office.store.reading() as books:
            return books.get("acts", digest=name)

    # -- what the ledger will say --

    def _lock(self, name: str, act: LedgerAct) -> bytes:
        members = {
            "act": act.act, "officer": act.officer, "code": act.why.code if act.why else None,
            "why": act.why.text if act.why else "", "msg": act.message, "to": act.recipients, "outcome": act.outcome,
        }  # fmt: skip
        return self._office.vault.lock(write_json(members), f"act {name}")

    def _unlock(self, row: Any, index: int | None, *, refused: str | None = None) -> LedgerAct:
        members = read_json(self._office.vault.unlock(row.ledger, f"act {row.digest}"), limit=LIMIT)
        why = Why(Justification(members["code"]), members["why"]) if members["code"] else None
        return LedgerAct(
            Act.ATTEMPT_DENIED if refused else Act(members["act"]), members["officer"], why, message=members["msg"],
            sender=self._office.me, recipients=tuple(members["to"]), outcome=refused or members["outcome"],
            index=index,
        )  # fmt: skip


def statement_of(item: Any) -> Statement:
    """The signed statement of a mailbox item, as it came."""
    return parse_statement(write_json(item))

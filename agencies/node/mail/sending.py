"""Sending: release check, compose, commit, submit, prove (`spec/nodes.md`, NODE-21 to NODE-33, NODE-88 to NODE-92).

The exact bytes are committed to the outbox before anything leaves, and only those bytes are ever sent
for it, however often it takes: the broker gives the first answer again, so a lost answer discloses
nothing twice. A row is settled only by a proof that the log, the one known here, holds an entry about this
very message. What the agreements known here deny does not leave at all, unless the officer asks for a ruling;
what is derived from a message held here does not leave unless its originator lets it, whatever anybody asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from agencies.node.broker_client import MAX_BATCH, Answer
from agencies.node.care.protection import Protection
from agencies.node.errors import (
    AnswerMismatch,
    BrokerRefused,
    BrokerUnreachable,
    LogForked,
    NotHere,
    NotWaiting,
    ReleaseRefused,
    RequestKeyReused,
)
from agencies.node.held.holding import Stopped
from agencies.node.held.onward import Onwards
from agencies.node.ledger import LedgerAct, Why, justify
from agencies.node.mail.draft import Forecast, OfficerDraft, forecast, read_draft
from agencies.node.mail.outbox import (
    BLANK,
    LIMIT,
    Letter,
    Row,
    Sent,
    Wanted,
    loads,
    lock_act,
    request_key,
    request_seal,
    summary,
    unlock_act,
    written,
)
from agencies.node.mail.pauses import pause
from agencies.node.office import Office
from agencies.node.profile import Officer, OfficerRole
from agencies.node.store import Books
from agencies.node.watch import LogWatch
from exchange.protocol.log import DenialEntry, DisclosureEntry, parse_entry, verify_tlog_proof
from exchange.protocol.manifest import Manifest
from exchange.protocol.message import Draft, Envelope, parse, seal
from exchange.protocol.vocabulary import Act
from keys.encoding import read_json, stamp, write_json
from keys.errors import Refusal
from keys.sealing import new_message_id

LEASE: Final = timedelta(seconds=60)
"""How long a first attempt has a row to itself before a retry may pick it up."""

Judged = Answer | BrokerRefused | BrokerUnreachable
"""What a letter may come back with."""
Checkpoints = dict[int, str]

__all__ = ["Sending", "Sent", "Wanted", "prove"]


class Sending:
    """Sends for one office."""

    def __init__(self, office: Office, watch: LogWatch, onward: Onwards, protection: Protection) -> None:
        self._office, self._watch, self._onward, self._protection = office, watch, onward, protection

    # -- asking and sending --

    def check(self, draft: OfficerDraft, officer: Officer) -> Forecast:
        """What would happen if this were sent now. Nothing leaves; only what is refused for what is held is written."""
        try:
            self._protection.must_pass(draft, officer, None)
            seen = forecast(self._office, draft, self._office.clock(), self._onward.sources(draft.src))
            self._onward.must_pass(seen, officer, None)
        except Stopped as stopped:  # such a refusal confirms a guess about what is here (NODE-22)
            self._office.record_alone(stopped.act)
            raise stopped.refusal from None
        return seen

    def send_many(self, wanted: Sequence[Wanted], officer: Officer, why: Why) -> list[Sent | Refusal]:
        """Send up to 100 drafts in one commit and one call; for each, in order, what became of it."""
        office, now = self._office, self._office.clock()
        outcomes: dict[int, Any] = {}  # rows and refusals
        rows: list[dict[str, Any]] = []
        acts: list[LedgerAct] = []
        letters: list[Letter] = []
        earlier = self._earlier(wanted, officer)
        for place, one in enumerate(wanted[:MAX_BATCH]):
            try:
                if (before := self._again(one, officer, earlier)) is not None:
                    outcomes[place] = before
                    continue
                row, act, letter = self._prepare(one, officer, why, now)
            except Stopped as stopped:
                outcomes[place] = stopped.refusal
                acts.append(stopped.act)
                continue
            except Refusal as refusal:
                outcomes[place] = refusal
                continue
            rows.append({**BLANK, **row})
            acts.append(act)
            letters += [letter] if letter else []
            outcomes[place] = made = Row(rows[-1])
            earlier[row["request_key"]] = made
        with office.store.writing() as books:
            books.add("outbox", rows)
            self._own(books, letters)
            office.record(books, now, *acts)
        settled = self._submit(letters)
        found = [outcomes[place] for place in range(len(outcomes))]
        return [one if isinstance(one, Refusal) else settled.get(one.ref) or Sent.of(one) for one in found]

    def send(self, draft: OfficerDraft, officer: Officer, why: Why, *, key: str | None = None, ruling: bool) -> Sent:
        """Send one draft; raises the refusal if it could not even be judged."""
        (outcome,) = self.send_many([Wanted(draft, key, ruling)], officer, why)
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome

    def retry(self) -> int:
        """Submit again, as the same bytes, what is due; says how many rows were settled."""
        office = self._office
        with office.store.reading() as books:
            rows = books.due(stamp(office.clock()), MAX_BATCH)
        letters = [Letter(r.ref, parse(r.envelope), unlock_act(office.vault, r, office.me), r.attempts) for r in rows]
        return sum(one.state != "pending" for one in self._submit(letters).values())

    # -- the second officer --

    def release(self, ref: str, officer: Officer, why: Why, *, approve: bool) -> Sent:
        """Let a waiting message go, or keep it back; the release officer is never the sender (NODE-26)."""
        office, now = self._office, self._office.clock()
        officer.must_be(OfficerRole.RELEASE_OFFICER)
        row = self._row(ref)
        if row.state != "pending_release":
            raise NotWaiting("this message does not wait for a release")
        act = replace(unlock_act(office.vault, row, office.me), officer=officer.id, why=why)
        if officer.id in (row.officer, row.approved_by) and (approve or officer.id == row.officer):
            office.record_alone(replace(act, act=Act.ATTEMPT_DENIED, outcome="release_refused"))
            whose = "wrote a message" if officer.id == row.officer else "has agreed to a message already"
            raise ReleaseRefused(f"who {whose} may not release it")
        if not approve:
            return self._close(row, "withheld", replace(act, act=Act.ATTEMPT_DENIED, outcome="withheld"), now)
        draft = self._waiting_draft(row)
        try:  # somebody may have claimed protection while it waited
            self._protection.must_pass(draft, Officer(row.officer, frozenset()), why)
        except Stopped as stopped:
            denied = replace(stopped.act, officer=officer.id, message=None)
            return self._close(row, "stopped", denied, now)
        seen = forecast(office, draft, now, self._onward.sources(draft.src))  # an agreement may have lapsed meanwhile
        try:
            self._onward.must_pass(seen, None, why)  # a consent as well
        except Stopped as stopped:
            denied = replace(act, act=Act.ATTEMPT_DENIED, outcome=stopped.refusal.code, reasons=stopped.act.reasons)
            return self._close(row, "stopped", denied, now, seen)
        if not seen.decision.permitted and not row.ruling:
            denied = replace(act, act=Act.ATTEMPT_DENIED, outcome=seen.decision.code, reasons=seen.reasons)
            return self._close(row, "stopped", denied, now, seen)
        if seen.approvals > 1 and row.approved_by is None:
            return self._agree(row, replace(act, act=Act.REVIEW, outcome="first_approval"), now)
        together = f"{row.approved_by} {officer.id}" if row.approved_by else officer.id
        wrote = replace(unlock_act(office.vault, row, office.me), released_by=together)
        letter = self._compose(ref, seen, row.officer, wrote, now)
        released = replace(act, act=Act.REVIEW, message=letter.envelope.digest, outcome="released")
        with office.store.writing() as books:
            ready = self._ready(letter, now) | {"released_by": together}
            moved = books.turn("outbox", {"ref": ref, "state": "pending_release"}, ready)
            self._own(books, [letter] if moved else [])
            office.record(books, now, *([released] if moved else []))
        if not moved:
            raise NotWaiting("somebody else has just released or withheld this message")
        return self._submit([letter]).get(ref) or Sent.of(self._row(ref))

    def _agree(self, row: Any, act: LedgerAct, now: datetime) -> Sent:
        """Note that the first of two release officers agrees; it waits on for the second (NODE-91)."""
        with self._office.store.writing() as books:
            waiting = {"ref": row.ref, "state": "pending_release", "approved_by": None}
            if not books.turn("outbox", waiting, {"approved_by": act.officer}):
                raise NotWaiting("somebody else has just agreed to this message or withheld it")
            self._office.record(books, now, act)
        return Sent.of(self._row(row.ref))

    # -- before the commit --

    def _earlier(self, wanted: Sequence[Wanted], officer: Officer) -> dict[str | None, Any]:
        keys = [key for one in wanted if (key := request_key(one, officer)) is not None]
        with self._office.store.reading() as books:
            return {row.request_key: row for row in books.outbox_of("request_key", keys)}

    def _again(self, one: Wanted, officer: Officer, earlier: dict[str | None, Any]) -> Any:
        """The row this very request made before, if it did."""
        row = earlier.get(request_key(one, officer)) if one.key is not None else None
        if row is None:
            return None
        if row.request_digest != request_seal(self._office.vault, one):
            raise RequestKeyReused("this request key was used before, for another draft")
        return row

    def _prepare(
        self, one: Wanted, officer: Officer, why: Why, now: datetime
    ) -> tuple[dict[str, Any], LedgerAct, Letter | None]:
        """Decide about one draft: its outbox row, the ledger's act to write beside it, the letter if it goes."""
        office = self._office
        self._protection.must_pass(one.draft, officer, why)  # before anything is decided, or said of what was decided
        seen = forecast(office, one.draft, now, self._onward.sources(one.draft.src))
        self._onward.must_pass(seen, officer, why)
        draft, ref = seen.draft, new_message_id(now, office.chance)
        if draft.exempt is not None:  # the reason stands, locked, where an auditor finds it (NODE-92)
            told = justify(why.code, draft.exempt_why or "").text
            why = Why(why.code, f"{why.text} [copy exemption {draft.exempt}] {told}")
        case_name = office.scribe.case_name(seen.case.case.reference)
        act = LedgerAct(
            Act.DISCLOSE, officer.id, why, str(draft.purpose), draft.agr, case=case_name,
            sender=office.me, recipients=draft.to, categories=seen.categories,
            reasons=(f"copy exemption: {draft.exempt}",) if draft.exempt else (),
        )  # fmt: skip
        row: dict[str, Any] = {
            "ref": ref,
            "request_key": request_key(one, officer),
            "request_digest": request_seal(office.vault, one) if one.key is not None else None,
            "officer": officer.id,
            "made": stamp(now),
            "ruling": one.ruling,
            "recipients": " ".join(draft.to),
            "summary": write_json(summary(seen, now)).decode(),
            "case_name": case_name,
            "src": " ".join(draft.src) or None,
            "exempt": draft.exempt and str(draft.exempt),
        }
        if not seen.decision.permitted and not one.ruling:
            row |= {"state": "stopped", "code": seen.decision.code, "reasons": written(seen.explanation())}
            reasons = seen.reasons
            return row, replace(act, act=Act.ATTEMPT_DENIED, outcome=seen.decision.code, reasons=reasons), None
        row["content"] = office.vault.lock(seen.content.data, f"outbox content {ref}")
        made = replace(act, act=Act.COMBINE if draft.src else Act.COLLECT)  # before it leaves (NODE-223)
        if seen.waits:
            waiting = office.vault.lock(write_json({**draft.to_json(), "content": {}}), f"outbox draft {ref}")
            row |= {"state": "pending_release", "draft": waiting, "act": lock_act(office.vault, ref, act)}
            return row, replace(made, outcome="waits_for_release"), None
        letter = self._compose(ref, seen, officer.id, act, now)
        return row | self._ready(letter, now), replace(made, message=letter.envelope.digest), letter

    def _compose(self, ref: str, seen: Forecast, officer_id: str, act: LedgerAct, now: datetime) -> Letter:
        office, draft = self._office, seen.draft
        directory = office.trust.directory
        envelope = seal(
            Draft(
                fed=directory.fed,
                id=new_message_id(now, office.chance),
                ts=now,
                exp=now + draft.life,
                sender=office.me,
                recipients=tuple((agency, directory.sealing_key(agency, now)) for agency in draft.to),
                agreement=seen.decision.agreement,
                purpose=str(draft.purpose),
                crime=str(draft.crime),
                classification=str(draft.class_),
                handling=tuple(str(code) for code in draft.handling),
                urgency=str(draft.urgency),
                by=office.scribe.officer(officer_id, now),
                re=draft.re,
                src=draft.src,
                exempt=draft.exempt and str(draft.exempt),
            ),
            seen.content,
            office.identity.signer,
        )
        return Letter(ref, envelope, replace(act, message=envelope.digest), case=seen.case)

    def _own(self, books: Books, letters: Sequence[Letter]) -> None:
        """Note which words of these letters are this agency's own (NODE-99)."""
        for letter in letters:
            if letter.case is not None:
                books.put("quoted", self._onward.quotes.own(books, letter.case))

    def _ready(self, letter: Letter, now: datetime) -> dict[str, Any]:
        return {
            "state": "pending",
            "msg": letter.envelope.digest,
            "envelope": letter.envelope.raw,
            "act": lock_act(self._office.vault, letter.ref, letter.act),
            "due": stamp(now + LEASE),
            "draft": None,
        }

    # -- after the commit --

    def _submit(self, letters: Sequence[Letter]) -> dict[str, Sent]:
        """Submit committed letters and settle those whose answers are proved; by ref, what is known now."""
        settled: dict[str, Sent] = {}
        for some in loads(letters):
            try:
                answers = self._office.broker.submit_batch([letter.envelope.raw for letter in some])
            except (BrokerUnreachable, BrokerRefused) as refusal:
                lasting = isinstance(refusal, BrokerRefused) and refusal.lasting and len(some) == 1
                answers = [refusal if lasting else BrokerUnreachable(refusal.sentence)] * len(some)  # type: ignore[list-item]
            settled |= self._settle(some, *self._in_one_log(some, answers))
        return settled

    def _in_one_log(self, letters: Sequence[Letter], answers: Sequence[Judged]) -> tuple[Sequence[Judged], Checkpoints]:
        """Hold the log that answers prove against the one known: no answers if it is another, else new checkpoints."""
        proved = [answer.proof for answer in answers if isinstance(answer, Answer)]
        try:
            return answers, self._watch.fit(self._watch.inside(proved))
        except LogForked as forked:
            for letter, answer in zip(letters, answers, strict=True):
                if isinstance(answer, Answer):
                    self._keep_answer(letter, answer, forked)
            none = BrokerUnreachable(f"{forked.code}: {forked.sentence}")
        except BrokerUnreachable as unread:
            none = unread
        return [none if isinstance(answer, Answer) else answer for answer in answers], {}

    def _settle(
        self, letters: Sequence[Letter], answers: Sequence[Judged], checkpoints: Checkpoints
    ) -> dict[str, Sent]:
        office, now = self._office, self._office.clock()
        found = [self._judge(letter, answer, now) for letter, answer in zip(letters, answers, strict=True)]
        refs = [letter.ref for letter in letters]
        with office.store.writing() as books:  # nobody else writes in here: a row read as pending stays so
            self._watch.keep(books, checkpoints)
            pending = {row.ref: row.n for row in books.outbox_of("ref", refs) if row.state == "pending"}
            mine = [(pending[one.ref], *made) for one, made in zip(letters, found, strict=True) if one.ref in pending]
            for columns in {tuple(values) for _, values, _ in mine}:
                books.settle([{"n": n, **values} for n, values, _ in mine if tuple(values) == columns])
            office.record(books, now, *(act for _, _, act in mine if act))
            rows = books.outbox_of("ref", refs)
        return {row.ref: Sent.of(row) for row in rows}

    def _judge(self, letter: Letter, answer: Judged, now: datetime) -> tuple[dict[str, Any], LedgerAct | None]:
        """What to write about one letter: the outbox row's new values, and the ledger's act if it is settled."""
        office = self._office
        if isinstance(answer, BrokerRefused) and answer.lasting:
            denied = replace(letter.act, act=Act.ATTEMPT_DENIED, outcome=answer.reason)
            return {"state": "refused", "code": answer.reason, "problem": answer.detail, "due": None}, denied
        if not isinstance(answer, Answer):
            return self._later(letter, answer.sentence, now), None
        try:
            index, entry = prove(letter.envelope, answer, office)
        except Refusal as refusal:
            self._keep_answer(letter, answer, refusal)
            return self._later(letter, f"{refusal.code}: {refusal.sentence}", now), None
        code = entry.code if isinstance(entry, DenialEntry) else "permitted"  # the answer's own is proved by nothing
        values = {"code": code, "seq": index, "entry": answer.entry, "proof": answer.proof, "due": None}
        values |= {"problem": None, "reasons": written(answer.explanation)}
        if isinstance(entry, DisclosureEntry):
            clauses = tuple(dict.fromkeys(clause for one in entry.to for clause in one.clauses))
            return values | {"state": "sent"}, replace(letter.act, clauses=clauses, index=index)
        clauses = tuple(dict.fromkeys(one.nearest for one in entry.to if one.nearest))
        act = replace(letter.act, act=Act.ATTEMPT_DENIED, clauses=clauses, outcome=entry.code, index=index)
        return values | {"state": "denied"}, act

    def _keep_answer(self, letter: Letter, answer: Answer, refusal: Refusal) -> None:
        said = {"outcome": answer.outcome, "proof": answer.proof, "entry": answer.entry.decode("utf-8", "replace")}
        self._office.keep_evidence("answer_unproved", msg=letter.envelope.digest, code=refusal.code, **said)

    def _later(self, letter: Letter, problem: str, now: datetime) -> dict[str, Any]:
        due = stamp(now + pause(letter.attempts, self._office.chance(2)))
        return {"attempts": letter.attempts + 1, "due": due, "problem": problem[:500]}

    # -- rows --

    def _row(self, ref: str) -> Any:
        with self._office.store.reading() as books:
            row = books.get("outbox", ref=ref)
        if row is None:
            raise NotHere("there is no such message in the outbox")
        return row

    def _close(self, row: Any, state: str, act: LedgerAct, now: datetime, seen: Forecast | None = None) -> Sent:
        values = {"state": state, "code": act.outcome, "draft": None, "content": None, "act": None}
        values |= {"released_by": act.officer, "reasons": written(seen.explanation()) if seen else None}
        with self._office.store.writing() as books:
            if not books.move(row.n, "pending_release", values):
                raise NotWaiting("somebody else has just released or withheld this message")
            self._office.record(books, now, act)
        return Sent.of(self._row(row.ref))

    def _waiting_draft(self, row: Any) -> OfficerDraft:
        office = self._office
        members = read_json(office.vault.unlock(row.draft, f"outbox draft {row.ref}"), limit=LIMIT)
        content = read_json(office.vault.unlock(row.content, f"outbox content {row.ref}"), limit=LIMIT)
        return read_draft({**members, "content": content})


_OUTCOME: Final = {DisclosureEntry: "permit", DenialEntry: "deny"}


def prove(envelope: Envelope, answer: Answer, office: Office) -> tuple[int, DisclosureEntry | DenialEntry]:
    """Return where the log holds the answer's entry, if it is proved and is about this very message (NODE-32)."""
    index, _ = verify_tlog_proof(answer.proof, answer.entry, office.trust.log)
    entry = parse_entry(answer.entry)
    if not isinstance(entry, DisclosureEntry | DenialEntry) or answer.outcome != _OUTCOME[type(entry)]:
        raise AnswerMismatch("the log entry does not say what the answer says")
    if answer.msg != envelope.digest or _said(entry) != _signed(envelope.manifest, envelope.digest):
        raise AnswerMismatch("the log entry is about another message than the one submitted")
    if (entry.src, entry.exempt) != (envelope.manifest.src, envelope.manifest.exempt):
        raise AnswerMismatch("the log entry names other sources, or another exemption, than the message submitted")
    if isinstance(entry, DisclosureEntry) and entry.re != envelope.manifest.re:
        raise AnswerMismatch("the log entry names another message as the one answered")
    return index, entry


def _said(entry: DisclosureEntry | DenialEntry) -> tuple[Any, ...]:
    return (
        entry.msg, entry.id, entry.from_, [one.id for one in entry.to], entry.agr, entry.type, entry.purpose,
        entry.crime, entry.class_, list(entry.handling), list(entry.cats), entry.urgency,
    )  # fmt: skip


def _signed(manifest: Manifest, name: str) -> tuple[Any, ...]:
    return (
        name, manifest.id, manifest.from_, [one.id for one in manifest.to], manifest.agr, manifest.type,
        manifest.purpose, manifest.crime, manifest.class_, list(manifest.handling), list(manifest.cats),
        manifest.urgency,
    )  # fmt: skip

"""Node: an agency's post room, one method per thing asked of it (`spec/nodes.md`).

Synchronous, and usable without any HTTP of its own. ``sending`` and ``collecting`` do what crosses the
agency's border, ``looking`` shows content and hands it out by the rules of ``holding``, ``retention`` ends
what is held; this module shows officers what is here, signs agreements, and holds ledger against log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from agencies.node.after.acts import Acts
from agencies.node.after.consents import Consents
from agencies.node.after.following import Following
from agencies.node.after.recalls import Recalls
from agencies.node.after.whereabouts import Whereabouts
from agencies.node.broker_client import BrokerClient
from agencies.node.care.answering import Answering
from agencies.node.care.emergency import Emergency
from agencies.node.care.exculpation import Exculpation
from agencies.node.care.flags import Flags
from agencies.node.care.offences import Offences, OffenceTable
from agencies.node.care.protection import Protection
from agencies.node.errors import NeedToKnowMissing, NotHere
from agencies.node.heads import Heads
from agencies.node.held.holding import Holdings
from agencies.node.held.looking import WORKERS, Looking
from agencies.node.held.onward import Onwards
from agencies.node.held.retention import Retention, Swept
from agencies.node.inspecting import Handed, Inspection, Reconciliation
from agencies.node.ledger import LedgerAct, Why
from agencies.node.ledger_log import LedgerLog
from agencies.node.mail.collecting import Collected, Collecting
from agencies.node.mail.draft import Forecast, OfficerDraft
from agencies.node.mail.gossip import Gossip
from agencies.node.mail.hearing import Hearing
from agencies.node.mail.receipting import Receipting
from agencies.node.mail.sending import Sending, Sent, Wanted
from agencies.node.mail.stamps import Stamps
from agencies.node.office import Office
from agencies.node.oversight import Oversight
from agencies.node.profile import Officer, OfficerRole
from agencies.node.shredding import KEEP, Shredding
from agencies.node.store import Store
from agencies.node.trust_view import TrustView
from agencies.node.watch import LogWatch
from exchange.protocol.agreement import Agreement
from exchange.protocol.terms import write_notice, write_terms
from exchange.protocol.vocabulary import Act, LogPurpose
from keys.encoding import b64u, read_json, stamp
from keys.errors import Refusal
from keys.keystore import Identity
from keys.rolekey import RoleKey
from keys.sealing import Chance
from keys.signing import Typ, cosign, sign
from keys.trust import MAX_DIRECTORY, Directory
from keys.vault import Vault, fresh

_LIMIT: Final = 4 * 1024 * 1024
MAX_LEDGER_PAGE: Final = 500


class Node:
    """One agency's node. ``connect`` makes its way to the broker; tests and exercises give their own."""

    def __init__(
        self,
        identity: Identity,
        store: Store,
        directory: Directory,
        connect: Callable[[Callable[[], Directory]], BrokerClient],
        clock: Callable[[], datetime],
        chance: Chance = fresh,
        *,
        role_key: RoleKey | None = None,
        persecutors: Iterable[str] = (),
        offences: OffenceTable | None = None,
        head_seconds: int = 60,
        stale: timedelta | None = None,
        keep_periods: int = KEEP,
    ) -> None:
        trust = TrustView(directory, store, clock, Vault.derive(identity.pseudonym_key, f"node {identity.agency}"))
        self.office = Office(identity, store, connect(lambda: trust.directory), trust, clock, chance)
        self.watch = LogWatch(self.office)
        self.book = LedgerLog(self.office)
        self.book.begin()
        self.heads = Heads(self.office, self.watch, self.book, timedelta(seconds=head_seconds))
        self.inspection = Inspection(self.office, self.watch, self.book, self.heads)
        self.oversight = Oversight(self.office, self.watch)
        self.stamps = Stamps(self.office, stale)
        self.acts = Acts(self.office, self.watch)
        self.following = Following(self.office, self.watch)
        self.consents = Consents(self.office, self.acts, self.following.originator_of)
        self.holding = Holdings(self.office, self.consents.live)
        self.shredding = Shredding(self.office, self.holding, keep_periods)
        self.onward = Onwards(self.office, self.holding)
        self.looking = Looking(self.office, self.holding, self.acts)
        self.retention = Retention(self.office, self.holding, self.acts)
        self.protection = Protection(self.office, self.holding, role_key, persecutors)
        self.consents.must_reach = self.protection.must_reach
        self.sending = Sending(self.office, self.watch, self.onward, self.protection)
        self.answering = Answering(
            self.office, lambda draft, who, why, key: self.sending.send(draft, who, why, key=key, ruling=False)
        )
        self.emergency = Emergency(self.office, self.holding, self.consents, self.protection.must_be_shown)
        self.flags = Flags(self.office, self.holding, self.answering)
        self.offences = Offences(self.office, self.answering, offences)
        self.exculpation = Exculpation(
            self.office, lambda draft, who, why: self.sending.send(draft, who, why, ruling=False)
        )
        self.gossip = Gossip(self.office, self.watch)
        self.receipting = Receipting(self.office, self.gossip.shown)
        self.recalls = Recalls(self.office, self.acts, self.following, self.retention, self.receipting.post)
        self.whereabouts = Whereabouts(self.office, self.following)
        self.collecting = Collecting(
            self.office, self.watch, self.receipting, self.refresh, self.holding.receive, self.onward.quotes.received,
            Hearing(self.office, self.following, self.recalls), self.gossip,
        )  # fmt: skip
        with store.reading() as books:
            pending = books.count("outbox", state="pending") + books.count("acts", state="pending")
        if pending:
            with store.writing() as books:
                books.wake(stamp(clock()))
        self.holding.adopt()
        if trust.doubts:
            self.office.keep_evidence("agreements", wrong=trust.doubts)

    # -- sending --

    def check(self, draft: OfficerDraft, officer: Officer) -> Forecast:
        """What would happen if this were sent now: decision, reasons, obligations. Only a denied attempt is noted."""
        officer.must_be(*WORKERS)
        return self.sending.check(draft, officer)

    def send(
        self, draft: OfficerDraft, officer: Officer, why: Why, *, key: str | None = None, ruling: bool = False
    ) -> Sent:
        """Send one draft; the same ``key`` and draft again give the first outcome again."""
        officer.must_be(OfficerRole.OFFICER)
        self.stamps.must_be_fresh(officer, why)
        return self.sending.send(draft, officer, why, key=key, ruling=ruling)

    def send_many(self, wanted: Sequence[Wanted], officer: Officer, why: Why) -> list[Sent | Refusal]:
        """Send up to 100 drafts in one commit and one call."""
        officer.must_be(OfficerRole.OFFICER)
        self.stamps.must_be_fresh(officer, why)
        return self.sending.send_many(wanted, officer, why)

    def release(self, ref: str, officer: Officer, why: Why, *, approve: bool) -> Sent:
        """Let a waiting message go, or keep it back; never one's own."""
        if approve:
            self.stamps.must_be_fresh(officer, why)
        return self.sending.release(ref, officer, why, approve=approve)

    def retry_outbox(self) -> int:
        """Submit again what is due, messages and acts, and answer what a rule answers; says how many it settled."""
        answered = self.answering.release_due()
        return self.sending.retry() + self.acts.retry() + self.recalls.answer_what_is_gone() + answered

    def outbox(self, *, newest: int = 100, state: str | None = None) -> list[Sent]:
        """What was sent or stopped here, newest first."""
        where = {"state": state} if state else {}
        with self.office.store.reading() as books:
            return [Sent.of(row) for row in books.rows("outbox", newest=newest, **where)]

    # -- collecting --

    def collect(self, *, wait: int = 0) -> Collected:
        """Look into the mailbox once, check and keep what came, and answer with receipts."""
        return self.collecting.collect(wait=wait)

    def collect_all(self) -> list[str]:
        """Collect until the mailbox is empty; the digests of the messages that came."""
        found: list[str] = []
        while True:
            haul = self.collect()
            found += haul.messages
            if not haul.more:
                return found

    def post_receipts(self) -> int:
        """Post receipts that are still owed."""
        return self.receipting.post()

    def inbox(self, *, newest: int = 100) -> list[dict[str, Any]]:
        """What came in, newest first: the manifests' facts, never the content."""
        with self.office.store.reading() as books:
            return [_listed(row) for row in books.rows("inbox", newest=newest)]

    def rejected(self, *, newest: int = 100) -> list[dict[str, Any]]:
        """Parcels that failed a check: digest, code, time."""
        with self.office.store.reading() as books:
            rows = books.rows("rejected", newest=newest)
        return [{"msg": row.msg, "code": row.code, "at": row.at, "index": row.seq} for row in rows]

    # -- looking --

    def open(
        self, message: str, officer: Officer, why: Why, *, purpose: str | None = None, ground: str | None = None
    ) -> dict[str, Any]:
        """Show a message's content, after the ledger says who looked and why; its sender gets an `opened` receipt.

        ``purpose`` is the declared one unless it is said; ``ground`` is that on which a restricted message is kept.
        """
        content = self.open_bytes(message, officer, why, purpose=purpose, ground=ground)
        return read_json(content, limit=_LIMIT)  # type: ignore[no-any-return]

    def open_bytes(
        self, message: str, officer: Officer, why: Why, *, purpose: str | None = None, ground: str | None = None
    ) -> bytes:
        """The same, as the exact bytes that were sealed."""
        (content,) = self.open_many([message], officer, why, purpose=purpose, ground=ground)
        return content

    def open_many(
        self,
        messages: Sequence[str],
        officer: Officer,
        why: Why,
        *,
        purpose: str | None = None,
        ground: str | None = None,
    ) -> list[bytes]:
        """Show several messages' contents under one reason: an act for each, all on disk before the first is shown."""
        self.protection.must_be_shown(messages)
        return self.looking.open_many(messages, officer, why, purpose, ground)

    def condition(self, message: str, officer: Officer, why: Why) -> str | None:
        """Show the handling text of a received message and nothing else of it; none if it has none."""
        self.protection.must_be_shown([message])
        return self.looking.condition(message, officer, why)

    def acknowledge(self, message: str, officer: Officer, why: Why) -> None:
        """Take note of a handling text after it was shown; its originator gets a signed act."""
        self.looking.acknowledge(message, officer, why)

    def forward(
        self,
        message: str,
        to: Sequence[str],
        fields: Sequence[str],
        purpose: str,
        officer: Officer,
        why: Why,
        *,
        text: str,
        desk: str = "duty_desk",
        key: str | None = None,
        **told: Any,
    ) -> Sent:
        """Pass chosen fields of a received message on, if its originator lets it; ``told`` are members of the draft."""
        officer.must_be(OfficerRole.OFFICER)
        self.stamps.must_be_fresh(officer, why)
        self.protection.must_be_shown([message])
        draft = self.looking.derived(message, to, fields, purpose, officer, why, text=text, desk=desk, told=told)
        return self.sending.send(draft, officer, why, key=key, ruling=False)

    def message(self, message: str) -> dict[str, Any]:
        """What is known about a message without looking into it: facts, state, proof, receipts."""
        with self.office.store.reading() as books:
            ((row, mine),) = self.looking.messages(books, [message])
        known = Sent.of(row).to_json() if mine else _listed(row)
        return {**known, "direction": "out" if mine else "in", "receipts": self.receipts(message)}

    def case(self, reference: str, officer: Officer, why: Why) -> list[dict[str, Any]]:
        """The messages of one of our, or their, cases, oldest first; a ``consult`` in the ledger."""
        officer.must_be(*WORKERS)
        office = self.office
        name = office.scribe.case_name(reference)
        if officer.cases is not None and reference not in officer.cases:
            office.record_alone(
                LedgerAct(Act.ATTEMPT_DENIED, officer.id, why, case=name, outcome=NeedToKnowMissing.code)
            )
            raise NeedToKnowMissing("this case is not the officer's")
        with office.store.writing() as books:
            found = [
                {**_listed(row), "direction": "in", "when": row.received} for row in books.rows("inbox", case_name=name)
            ]
            found += [
                {**Sent.of(row).to_json(), "direction": "out", "when": row.made}
                for row in books.rows("outbox", case_name=name)
            ]
            outcome = f"{len(found)} messages"
            office.record(books, office.clock(), LedgerAct(Act.CONSULT, officer.id, why, case=name, outcome=outcome))
        return sorted(found, key=lambda one: one["when"])

    def receipts(self, message: str) -> list[dict[str, Any]]:
        """The receipts for a message of ours, with the signed batch and the proof that the log has them."""
        with self.office.store.reading() as books:
            rows = books.rows("got", msg=message)
            batches = {name: books.heard(name) for name in {row.batch for row in rows}}
        return [
            {
                "by": row.by,
                "status": row.status,
                "code": row.code,
                "at": row.at,
                "index": row.seq,
                "batch": read_json(batches[row.batch], limit=_LIMIT),
                "entry": b64u(row.entry),
                "proof": row.proof,
            }
            for row in rows
        ]

    def export(
        self, message: str, officer: Officer, why: Why, *, purpose: str | None = None, ground: str | None = None
    ) -> dict[str, Any]:
        """Hand a message out as evidence: everything signed as it came or went, with its proof, and the content."""
        self.protection.must_be_shown([message])
        row, mine, content = self.looking.export(message, officer, why, purpose, ground)
        if mine:
            envelope = read_json(row.envelope, limit=_LIMIT) if row.envelope else None
            return {"msg": message, "envelope": envelope, "entry": b64u(row.entry or b""), "proof": row.proof,
                    "receipts": self.receipts(message), "content": content}  # fmt: skip
        return {"msg": message, "parcel": read_json(row.parcel, limit=_LIMIT), "content": content}

    # -- holding --

    def holdings(self, *, newest: int = 100, state: str | None = None) -> list[dict[str, Any]]:
        """What is held and what it ties this agency to, newest first; without content."""
        with self.office.store.reading() as books:
            rows = books.held_listed(state, newest)
            return [self.holding.read(row).to_json() for row in rows]

    def keep(self, message: str, officer: Officer, why: Why, *, ground: str, until: datetime) -> dict[str, Any]:
        """Decide at a review to keep a message until then, on a ground of the list."""
        return self.retention.keep(message, officer, why, ground=ground, until=until).to_json()

    def erase(self, message: str, officer: Officer, why: Why) -> None:
        """Take a received message's content away for good; that it was here, and the ledger, remain."""
        self.retention.erase(message, officer, why)

    def sweep(self, now: datetime | None = None) -> Swept:
        """Warn of what ends soon and erase what has ended; what the rounds do by themselves."""
        return self.retention.sweep(now)

    # -- ledger --

    def ledger(
        self, officer: Officer, why: Why | None = None, *, after: int = 0, limit: int = 100, where: Mapping[str, str],
        purpose: str = LogPurpose.SELF_MONITORING,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Acts for an auditor; the query itself becomes an act, after what it shows. ``where`` names columns."""
        officer.must_be(OfficerRole.AUDITOR)
        office, meant = self.office, self.oversight.purpose(purpose, officer, why)
        columns = {"act": "act", "officer": "by", "msg": "msg", "since": "since", "until": "until"}
        asked: dict[str, Any] = {columns[name]: value for name, value in where.items() if name in columns}
        name = office.scribe.case_name(where["case"]) if "case" in where else None
        with office.store.writing() as books:  # people and cases have another name in every month
            if "officer" in where:
                asked["by"] = office.scribe.officers(books, where["officer"])
            if "case" in where:
                asked["case_name"] = office.scribe.cases(books, where["case"])
            rows = books.ledger(after=after, limit=min(limit, MAX_LEDGER_PAGE), where=asked)
            outcome = f"{len(rows)} acts"
            query = LedgerAct(Act.LOG_QUERY, officer.id, why, meant, case=name, outcome=outcome)
            office.record(books, office.clock(), query)
            shown = office.scribe.read(books, rows)
        return [{**act, "hash": row.hash} for act, row in zip(shown, rows, strict=True)]

    def verify_ledger(self, officer: Officer | None = None) -> tuple[int, str]:
        """Return size and root of the ledger if all of it holds; ``LedgerBroken`` otherwise.

        It reads every act there is, so an officer who asks for it must be an auditor before anything is read.
        """
        if officer is not None:
            officer.must_be(OfficerRole.AUDITOR)
        return self.inspection.verify()

    def export_ledger(self, officer: Officer, why: Why, *, purpose: str = LogPurpose.INTEGRITY_SECURITY) -> Handed:
        """The ledger as a log in files, for whoever is to check it; an act says so first."""
        officer.must_be(OfficerRole.AUDITOR)
        return self.inspection.export(officer, why, self.oversight.purpose(purpose, officer, why))

    def reconcile(self) -> Reconciliation:
        """Hold the ledger against the log, after verifying both; messages still on their way are no finding."""
        return self.inspection.reconcile()

    def audited(self, officer: Officer) -> Reconciliation:
        """``reconcile`` for an auditor, noted in the ledger."""
        return self.inspection.audited(officer)

    # -- agreements and records --

    def refresh(self) -> None:
        """Fetch directory and agreements from the broker; neither ever goes back."""
        self.office.trust.refresh_directory(self.office.broker)
        self._refresh_agreements()

    def _refresh_agreements(self) -> None:
        wrong = self.office.trust.refresh_agreements(self.office.broker, self.watch.see_proofs)
        if wrong:
            self.office.keep_evidence("agreements", wrong=wrong)

    def agreements(self) -> list[dict[str, Any]]:
        """The agreements this agency is a party to, complete and proposed, and how each stands now."""
        trust, now = self.office.trust, self.office.clock()
        known = [*trust.book.agreements, *trust.proposals.values()]
        return [self._standing(one, now) for one in known if self.office.me in one.terms.parties]

    def agreement(self, agreement: str) -> dict[str, Any]:
        """One of them with its terms, and with the statement whose payload a signature is over."""
        trust = self.office.trust
        if trust.book.get(agreement) is None and agreement not in trust.proposals:
            self._refresh_agreements()
        known = trust.book.get(agreement) or trust.proposals.get(agreement)
        if known is None or self.office.me not in known.terms.parties:
            raise NotHere("no agreement of that digest names this agency as a party")
        statement = known.statement
        terms, signed = read_json(statement.payload, limit=_LIMIT), read_json(statement.to_bytes(), limit=_LIMIT)
        return {**self._standing(known, self.office.clock()), "terms": terms, "statement": signed}

    def propose(self, terms: Mapping[str, Any], officer: Officer) -> dict[str, Any]:
        """Sign terms for this agency and put them to the other parties through the broker."""
        officer.must_be(OfficerRole.RELEASE_OFFICER)
        payload = write_terms({**terms, "fed": self.office.trust.directory.fed})
        return self._offer(sign(payload, self.office.identity.signer, Typ.AGREEMENT).to_bytes())

    def sign_agreement(self, agreement: str, officer: Officer) -> dict[str, Any]:
        """Add this agency's signature to a proposal."""
        officer.must_be(OfficerRole.RELEASE_OFFICER)
        self._refresh_agreements()
        proposal = self.office.trust.proposals.get(agreement)
        if proposal is None:
            raise NotHere("no agreement of that digest waits for signatures")
        return self._offer(cosign(proposal.statement, self.office.identity.signer, Typ.AGREEMENT).to_bytes())

    def give_notice(self, act: str, agreement: str, officer: Officer, reason: str) -> dict[str, Any]:
        """Suspend, resume or leave an agreement, alone and at once."""
        officer.must_be(OfficerRole.RELEASE_OFFICER)
        office = self.office
        if office.trust.book.get(agreement) is None:
            raise NotHere("no agreement of that digest is known here")
        fed, now = office.trust.directory.fed, office.clock()
        payload = write_notice(act, fed=fed, agreement=agreement, by=office.me, ts=now, reason=reason)
        return self._offer(sign(payload, office.identity.signer, Typ.NOTICE).to_bytes())

    def _offer(self, statement: bytes) -> dict[str, Any]:
        try:
            answer = self.office.broker.offer_agreement(statement)
        finally:
            self._refresh_agreements()
        return dict(answer)

    def _standing(self, agreement: Agreement, now: datetime) -> dict[str, Any]:
        terms = agreement.terms
        if agreement.missing:
            state, sentence = "proposed", f"not signed yet by {', '.join(agreement.missing)}"
        else:
            standing = self.office.trust.book.standing(agreement.digest, now)
            state, sentence = str(standing.state), standing.sentence
        return {
            "agr": agreement.digest,
            "id": terms.id,
            "version": terms.version,
            "title": terms.title,
            "parties": list(terms.parties),
            "signed_by": list(agreement.signed_by),
            "start": stamp(terms.start),
            "end": stamp(terms.end),
            "state": state,
            "sentence": sentence,
        }

    # -- how it is --

    def close(self) -> None:
        """Let go of the books; whoever made the line to the broker closes that."""
        self.office.store.close()

    def state(self) -> dict[str, Any]:
        """Counts for the gauges and for readiness; no content, no names."""
        with self.office.store.reading() as books:
            counts = {state: books.count("outbox", state=state) for state in ("pending", "pending_release", "sent")}
            waiting, overdue = self.emergency.unreviewed(books)
            return {
                "outbox": counts,
                "inbox": books.count("inbox"),
                "rejected": books.count("rejected"),
                "doubts": books.count("doubt"),
                "receipts": books.count("got"),
                "batches_unposted": books.count("batch", state="unposted"),
                "batches_refused": books.count("batch", state="refused"),
                "evidence": books.count("evidence"),
                "acts": {state: books.count("acts", state=state) for state in ("pending", "sent", "filed")},
                "asks": books.count("consents", kind="ask", way="in", state="open"),
                "duties": books.count("duties", state="open"),
                "held": {state: books.count("held", state=state) for state in ("held", "restricted", "erased")},
                "exemptions": books.exemptions(),
                "emergencies_unreviewed": waiting,
                "emergencies_overdue": overdue,
                "ledger": books.ledger_size(),
                "heads": {state: books.count("heads", state=state) for state in ("pending", "logged", "refused")},
                "collected": books.meta("collected") or None,
            }

    def trusted(self) -> Any:
        """The directory that this node judges by, as `trust.json` has it: beside evidence, for a stranger (WIT-54)."""
        return read_json(self.office.trust.directory.to_bytes(), limit=MAX_DIRECTORY)

    def evidence(self, officer: Officer, why: Why | None = None) -> list[dict[str, Any]]:
        """What should not have been, for an auditor; that it was looked at becomes an act."""
        officer.must_be(OfficerRole.AUDITOR)
        with self.office.store.writing() as books:
            rows = books.rows("evidence")
            outcome = f"{len(rows)} pieces of evidence"
            act = LedgerAct(Act.LOG_QUERY, officer.id, why, LogPurpose.SELF_MONITORING, outcome=outcome)
            self.office.record(books, self.office.clock(), act)
        return [{"at": r.at, "kind": r.kind, "detail": read_json(r.detail.encode(), limit=_LIMIT)} for r in rows]


def _listed(row: Any) -> dict[str, Any]:
    facts = read_json(row.summary.encode(), limit=_LIMIT)
    return {
        "msg": row.msg,
        "from": row.sender,
        "received": row.received,
        "opened": row.opened,
        "erased": row.erased,
        "index": row.seq,
        **facts,
    }

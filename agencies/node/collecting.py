"""Collecting: mailbox, every check in order, inbox and receipts in one commit (`spec/nodes.md`, NODE-40 to NODE-45).

What passes all of ``open_parcel`` is kept locked and answered with a ``delivered`` receipt; of what fails
nothing is kept but its digest and the code, and the answer is ``rejected`` with that code. Inbox, owed
receipts, ledger and cursor move in one transaction, so a crash anywhere shows a message once and answers
it once. Receipts are signed in batches, kept as signed, and posted until the broker has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from agencies.node.broker_client import MAX_PAGE
from agencies.node.errors import AnswerMismatch, BrokerRefused, BrokerUnreachable
from agencies.node.ledger import LedgerAct
from agencies.node.office import Office
from agencies.node.watch import LogWatch
from exchange.protocol.errors import MessageExpired
from exchange.protocol.log import (
    DisclosureEntry,
    LogIdentity,
    ReceiptEntry,
    parse_entry,
    verify_checkpoint,
    verify_tlog_proof,
)
from exchange.protocol.message import Opened, Parcel, open_parcel
from exchange.protocol.receipt import MAX_ITEMS, ReceiptBatch, ReceiptItem, build_receipts, verify_receipts
from exchange.protocol.vocabulary import Act, ReceiptStatus
from keys.encoding import digest, stamp, unb64u, write_json
from keys.errors import AgencyUnknown, KeyNotValid, KeyUnknown, Refusal

FIRST_PAUSE: Final = timedelta(seconds=2)
LONGEST_PAUSE: Final = timedelta(minutes=15)
NOTED: Final = timedelta(seconds=10)
"""How often it is written down that the mailbox was empty."""
STALE: Final = (AgencyUnknown, KeyUnknown, KeyNotValid)
"""Refusals that a directory older than the message explains: it is fetched anew, once, and the check repeated."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """A verified batch of receipts: as it came, as bytes, and read."""

    value: Any
    jws: bytes
    name: str
    batch: ReceiptBatch


@dataclass(slots=True)
class _Haul:
    """What one look into the mailbox brought, checked and ready to be written."""

    opened: list[tuple[Parcel, Opened, Mapping[str, Any]]] = field(default_factory=list)
    rejected: list[tuple[str, int, str]] = field(default_factory=list)
    receipts: list[tuple[Mapping[str, Any], dict[str, Any], bytes]] = field(default_factory=list)
    oddities: list[dict[str, Any]] = field(default_factory=list)
    batches: dict[tuple[str, str], _Heard] = field(default_factory=dict)
    news: bool = False


@dataclass(frozen=True, slots=True)
class Collected:
    """How much one look into the mailbox brought; ``rejected`` pairs digests with codes."""

    messages: tuple[str, ...]
    rejected: tuple[tuple[str, str], ...]
    receipts: int
    news: bool
    more: bool


class Collecting:
    """Collects for one office. ``on_news`` is called when agreements, notices or records have changed."""

    def __init__(self, office: Office, watch: LogWatch, on_news: Callable[[], None]) -> None:
        self._office, self._watch, self._on_news = office, watch, on_news
        self._keys = {key.public.kid: key for key in office.identity.openings}
        self._noted: datetime | None = None

    def collect(self, *, wait: int = 0, limit: int = MAX_PAGE) -> Collected:
        """Look into the mailbox once, from the stored cursor; then post the receipts that are owed."""
        office = self._office
        with office.store.reading() as books:
            after = int(books.meta("cursor", "-1"))
        items, following = office.broker.mailbox(after, limit=limit, wait=wait)
        if following < after:
            raise AnswerMismatch("the mailbox's cursor went back")
        now = office.clock()
        if not items and following == after and self._noted and timedelta() <= now - self._noted < NOTED:
            self.post_receipts()
            return Collected((), (), 0, False, False)
        self._watch.see(_checkpoints(items, office.trust.log))
        haul = self._sort(items, now)
        written = self._write(haul, after, following, now)
        if haul.news:
            self._on_news()
        if written:
            self.post_receipts()
        return Collected(
            tuple(opened.digest for _, opened, _ in haul.opened) if written else (),
            tuple((msg, code) for msg, _, code in haul.rejected) if written else (),
            len(haul.receipts) if written else 0, haul.news, bool(items),
        )  # fmt: skip

    def post_receipts(self) -> int:
        """Post signed batches that are due, after signing what is owed; says how many batches the broker took."""
        office = self._office
        while self._sign_owed():
            pass
        with office.store.reading() as books:
            due = books.batches_due(stamp(office.clock()))
        return sum(self._post(row) for row in due)

    # -- reading what came --

    def _sort(self, items: Sequence[Any], now: datetime) -> _Haul:
        haul = _Haul()
        names = [digest_of(item) for item in items]
        with self._office.store.reading() as books:
            seen = books.received([name for name in names if name])
        for item, name in zip(items, names, strict=True):
            kind = item.get("kind") if type(item) is dict else None
            if kind == "message":
                self._take_message(item, name, seen, haul, now)
            elif kind == "receipt":
                self._take_receipt(item, haul)
            elif kind in ("agreement", "notice", "record"):
                haul.news = True
            elif kind == "expired":
                self._take_expired(item, haul)
            else:
                haul.oddities.append({"what": "a mailbox item of unknown kind"})
        self._must_be_for_ours(haul)
        return haul

    def _take_message(self, item: Any, name: str | None, seen: set[str], haul: _Haul, now: datetime) -> None:
        office = self._office
        try:
            parcel = Parcel.from_json(item)
            opened = self._open(parcel, seen, now)
        except Refusal as refusal:
            known = self._logged_name(item) or name
            if known is None:
                haul.oddities.append({"what": "a parcel that names no message", "code": refusal.code})
            else:
                seq = item.get("seq")
                haul.rejected.append((known, seq if type(seq) is int else -1, refusal.code))
            return
        seen.add(opened.digest)
        manifest = opened.manifest
        row = {
            "msg": opened.digest,
            "seq": parcel.seq,
            "sender": manifest.from_,
            "received": stamp(now),
            "summary": write_json(_summary(opened)).decode(),
            "case_name": office.scribe.case(opened.content.case.reference),
            "parcel": write_json(item),
            "content": office.vault.lock(opened.content_bytes, f"inbox {opened.digest}"),
        }
        haul.opened.append((parcel, opened, row))

    def _take_expired(self, item: Mapping[str, Any], haul: _Haul) -> None:
        """A message that was not collected in time: the broker has dropped what was sealed."""
        known = self._logged_name(item)
        if known is None:
            haul.oddities.append({"what": "an expired parcel that the log does not know", "item": item})
        else:
            haul.rejected.append((known, item["seq"] if type(item["seq"]) is int else -1, MessageExpired.code))

    def _open(self, parcel: Parcel, seen: set[str], now: datetime) -> Opened:
        trust = self._office.trust
        for attempt in (1, 2):
            try:
                return open_parcel(
                    parcel, me=self._office.me, opening_keys=self._keys, directory=trust.directory, log=trust.log,
                    now=now, seen=seen,
                )  # fmt: skip
            except STALE:
                if attempt == 2:
                    raise
                trust.refresh_directory(self._office.broker)
        raise AssertionError

    def _logged_name(self, item: Mapping[str, Any]) -> str | None:
        """The message this parcel was delivered as, if the log proves that it was delivered to us."""
        try:
            entry_bytes = unb64u(item["entry"])
            verify_tlog_proof(item["proof"], entry_bytes, self._office.trust.log)
            entry = parse_entry(entry_bytes)
        except (Refusal, KeyError, TypeError, AttributeError):
            return None
        mine = isinstance(entry, DisclosureEntry) and any(one.id == self._office.me for one in entry.to)
        return entry.msg if mine and isinstance(entry, DisclosureEntry) else None

    def _take_receipt(self, item: Mapping[str, Any], haul: _Haul) -> None:
        office = self._office
        try:
            entry_bytes = unb64u(item["entry"])
            index, _ = verify_tlog_proof(item["proof"], entry_bytes, office.trust.log)
            entry = parse_entry(entry_bytes)
            if not isinstance(entry, ReceiptEntry) or index != item["seq"]:
                raise AnswerMismatch("the log entry is not this receipt's")
            heard = self._hear(item["batch"], entry, haul)
            said = heard.batch.says(entry.msg, entry.status, entry.code)
            if (heard.batch.by, heard.batch.digest) != (entry.by, entry.batch) or not said:
                raise AnswerMismatch("the log entry does not say what the recipient signed")
        except (Refusal, KeyError, TypeError, AttributeError) as wrong:
            haul.oddities.append(_unheld(item, wrong.code if isinstance(wrong, Refusal) else "malformed"))
            return
        row = {
            "seq": index, "msg": entry.msg, "by": entry.by, "status": str(entry.status), "code": entry.code,
            "at": entry.ts, "batch": heard.name, "entry": entry_bytes, "proof": item["proof"],
        }  # fmt: skip
        haul.receipts.append((item, row, heard.jws))

    def _hear(self, value: Any, entry: ReceiptEntry, haul: _Haul) -> _Heard:
        """Verify a signed batch as of an entry's time; every item of a batch brings the whole of it along."""
        known = haul.batches.get((entry.batch, entry.ts))
        if known is not None and known.value == value:
            return known
        jws = write_json(value)
        batch = verify_receipts(jws, self._office.trust.directory, entry.at)
        heard = haul.batches[entry.batch, entry.ts] = _Heard(value, jws, digest(jws), batch)
        return heard

    def _must_be_for_ours(self, haul: _Haul) -> None:
        """Put aside receipts for what we never sent to the agency that gives them."""
        with self._office.store.reading() as books:
            rows = books.outbox_of("msg", [row["msg"] for _, row, _ in haul.receipts])
        sent_to = {row.msg: row.recipients.split(" ") for row in rows}
        told, haul.receipts = haul.receipts, []
        for item, row, jws in told:
            if row["by"] in sent_to.get(row["msg"], ()):
                haul.receipts.append((item, row, jws))
            else:
                haul.oddities.append(_unheld(item, AnswerMismatch.code))

    # -- writing it down, at once --

    def _write(self, haul: _Haul, after: int, following: int, now: datetime) -> bool:
        """Commit everything with the cursor; false, and nothing written, if somebody else collected first."""
        office = self._office
        with office.store.writing() as books:
            if int(books.meta("cursor", "-1")) != after:
                return False
            books.add("inbox", [row for _, _, row in haul.opened])
            books.add("rejected", [{"msg": m, "seq": s, "code": c, "at": stamp(now)} for m, s, c in haul.rejected])
            owed = [{"msg": o.digest, "status": "delivered", "code": None} for _, o, _ in haul.opened]
            owed += [{"msg": m, "status": "rejected", "code": c} for m, _, c in haul.rejected]
            books.add("owed", owed)
            books.hear({row["batch"]: jws for _, row, jws in haul.receipts})
            books.put("got", [row for _, row, _ in haul.receipts])
            odd = [{"at": stamp(now), "kind": "mailbox", "detail": write_json(o).decode()} for o in haul.oddities]
            books.add("evidence", odd)
            acts = [_received(parcel, opened, row) for parcel, opened, row in haul.opened]
            acts += [LedgerAct(Act.RECEIVE, message=m, outcome=c, index=s) for m, s, c in haul.rejected]
            office.record(books, now, *acts)
            if following != after:
                books.set_meta("cursor", str(following))
            books.set_meta("collected", stamp(now))
        self._noted = now
        return True

    # -- receipts --

    def _sign_owed(self) -> bool:
        """Sign one batch of what is owed and keep it; says whether more may be owed."""
        office, now = self._office, self._office.clock()
        with office.store.reading() as books:
            owed = books.owed(MAX_ITEMS)
        items: dict[tuple[str, str], ReceiptItem] = {}
        held: list[int] = []
        for row in owed:
            if (row.msg, row.status) in items:
                continue  # a batch names a message and status once; the other goes into the next
            items[row.msg, row.status] = _item(row)
            held.append(row.n)
        if not items:
            return False
        fed = office.trust.directory.fed
        jws = build_receipts(list(items.values()), by=office.me, fed=fed, ts=now, signer=office.identity.signer)
        with office.store.writing() as books:
            if {row.n for row in books.owed(MAX_ITEMS)} >= set(held):
                books.new_batch(jws, stamp(now), held)
        return len(owed) == MAX_ITEMS or len(held) < len(owed)

    def _post(self, row: Any) -> bool:
        office = self._office
        try:
            unwanted = office.broker.receipts(row.jws)
        except BrokerRefused as refusal:
            if refusal.lasting:
                self._give_up(row, refusal)
                return False
            return self._put_off(row, refusal)
        except BrokerUnreachable as refusal:
            return self._put_off(row, refusal)
        if unwanted:
            office.keep_evidence("receipts_refused", items=unwanted)
        with office.store.writing() as books:
            books.set_batch(row.n, {"state": "posted", "due": None, "problem": None})
        return True

    def _put_off(self, row: Any, refusal: Refusal) -> bool:
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(row.attempts, 16))
        jitter = 0.5 + int.from_bytes(self._office.chance(2), "big") / 2**17
        due = stamp(self._office.clock() + pause * jitter)
        with self._office.store.writing() as books:
            books.set_batch(row.n, {"attempts": row.attempts + 1, "due": due, "problem": refusal.sentence[:500]})
        return False

    def _give_up(self, row: Any, refusal: BrokerRefused) -> None:
        """The broker will never take this batch. Items that shared it with a bad one get a batch each."""
        office, now = self._office, self._office.clock()
        with office.store.reading() as books:
            owed = books.rows("owed", batch=row.n)
        fed, signer = office.trust.directory.fed, office.identity.signer
        alone = [
            (one.n, build_receipts([_item(one)], by=office.me, fed=fed, ts=now, signer=signer))
            for one in owed
            if len(owed) > 1
        ]
        with office.store.writing() as books:
            books.set_batch(row.n, {"state": "refused", "due": None, "problem": refusal.sentence[:500]})
            for n, jws in alone:
                books.new_batch(jws, stamp(now), [n])


def digest_of(item: Any) -> str | None:
    """The digest of a mailbox item's payload, if it has one that can be decoded."""
    try:
        return digest(unb64u(item["payload"]))
    except (Refusal, KeyError, TypeError, AttributeError):
        return None


def _unheld(item: Mapping[str, Any], code: str) -> dict[str, Any]:
    return {"what": "a receipt that does not hold", "code": code, "item": item}


def _checkpoints(items: Sequence[Any], log: LogIdentity) -> list[str]:
    """The log's checkpoints inside the items' proofs, each once; what is no checkpoint, each item's check refuses."""
    notes: dict[str, None] = {}
    for item in items:
        proof = item.get("proof") if type(item) is dict else None
        if type(proof) is str:
            notes[proof.partition("\n\n")[2]] = None
    for note in list(notes):
        try:
            verify_checkpoint(note, log)
        except Refusal:
            del notes[note]
    return list(notes)


def _item(row: Any) -> ReceiptItem:
    return ReceiptItem(msg=row.msg, status=ReceiptStatus(row.status), **({"code": row.code} if row.code else {}))


def _summary(opened: Opened) -> dict[str, Any]:
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
        "ts": manifest.ts,
        "exp": manifest.exp,
        "to": [one.id for one in manifest.to],
    }


def _received(parcel: Parcel, opened: Opened, row: Mapping[str, Any]) -> LedgerAct:
    manifest = opened.manifest
    clauses = tuple(dict.fromkeys(clause for one in opened.entry.to for clause in one.clauses))
    return LedgerAct(
        Act.RECEIVE, purpose=str(manifest.purpose), agreement=manifest.agr, clauses=clauses, case=row["case_name"],
        message=opened.digest, sender=manifest.from_, recipients=tuple(one.id for one in manifest.to),
        categories=tuple(str(c) for c in manifest.cats), outcome="delivered", index=parcel.seq,
    )  # fmt: skip

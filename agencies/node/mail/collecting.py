"""Collecting: mailbox, every check in order, inbox and receipts in one commit (`spec/nodes.md`, NODE-40 to NODE-45).

What passes all of ``open_parcel`` is kept locked and answered with a ``delivered`` receipt; of what fails
nothing is kept but its digest and the code, and the answer is ``rejected`` with that code. What the log
does not bear out is the broker's doing: evidence, no receipt, and its number is asked for again
(``doubts``). Inbox, owed receipts, ledger and cursor move in one transaction, so a crash anywhere shows a
message once and answers it once. ``receipting`` signs what is owed.

News of agreements in one answer is taken up before any message of it is judged, and acts before messages: what a
party has stopped, or an originator has allowed, counts for what comes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from agencies.node.broker_client import MAX_PAGE
from agencies.node.errors import AnswerMismatch, BrokerRefused, BrokerUnreachable, LogForked, MessageRecalled
from agencies.node.ledger import LedgerAct
from agencies.node.mail.doubts import GIVEN_UP, TOLD, Mark, Span, patience, place, remaining
from agencies.node.mail.gossip import Gossip
from agencies.node.mail.haul import Batch, Haul, digest_of, is_behind, received, summary
from agencies.node.mail.hearing import Heard, Hearing
from agencies.node.mail.receipting import Receipting
from agencies.node.office import Office
from agencies.node.store import Books
from agencies.node.watch import LogWatch
from exchange.protocol.content import CaseMessage
from exchange.protocol.entry import ActEntry
from exchange.protocol.errors import AgreementUnknown, AlreadyReceived, MessageExpired, SealMismatch
from exchange.protocol.log import (
    DisclosureEntry,
    LogEntry,
    ReceiptEntry,
    parse_entry,
    verify_tlog_proof,
)
from exchange.protocol.message import Opened, Parcel, open_parcel, verify_logged
from exchange.protocol.receipt import verify_receipts
from exchange.protocol.vocabulary import Act
from keys.encoding import digest, instant, stamp, unb64u, write_json
from keys.errors import AgencyUnknown, KeyNotTheirs, KeyNotValid, KeyUnknown, Refusal, SignatureInvalid

NOTED: Final = timedelta(seconds=10)
"""How often it is written down that the mailbox was empty."""
STALE: Final = (AgencyUnknown, KeyUnknown, KeyNotValid)
"""Refusals that a directory older than the message explains: it is fetched anew, once, and the check repeated."""
DOUBTFUL: Final = (SignatureInvalid, SealMismatch, KeyNotTheirs, *STALE)
"""Refusals of what a broker must have checked before it logged: its number is asked for again all the same."""
UNHELD: Final = "a receipt that does not hold"
NEWS: Final = ("agreement", "notice", "record", "signature")
"""Kinds of mail after which agreements, notices and records are asked for again."""
Quote = Callable[[str, CaseMessage], Sequence[Mapping[str, Any]]]
Hold = Callable[[str, bytes, str | None, datetime], Mapping[str, Any]]
MAX_ASKED: Final = 8
"""Spans in doubt that one look asks for again."""


@dataclass(frozen=True, slots=True)
class Collected:
    """How much one look into the mailbox brought; ``rejected`` pairs digests with codes."""

    messages: tuple[str, ...]
    rejected: tuple[tuple[str, str], ...]
    receipts: int
    news: bool
    more: bool


class Collecting:
    """Collects for one office. ``on_news`` is called when agreements, notices or records have changed.

    ``hold`` writes what a message taken in ties this agency to: its digest, log entry and mark, and the time.
    ``quote`` writes what its words are known by.
    """

    def __init__(
        self,
        office: Office,
        watch: LogWatch,
        receipts: Receipting,
        on_news: Callable[[], None],
        hold: Hold,
        quote: Quote,
        hearing: Hearing,
        gossip: Gossip,
    ) -> None:
        self._office, self._watch, self._receipts, self._on_news = office, watch, receipts, on_news
        self._gossip = gossip
        self._hold, self._quote, self._hearing = hold, quote, hearing
        self._keys = {key.public.kid: key for key in office.identity.openings}
        self._noted: datetime | None = None

    def collect(self, *, wait: int = 0, limit: int = MAX_PAGE) -> Collected:
        """Look into the mailbox once, from the stored cursor; then post the receipts that are owed."""
        office = self._office
        with office.store.reading() as books:
            after = int(books.meta("cursor", "-1"))
            due = books.doubts_due(stamp(office.clock()), MAX_ASKED)
        hauls = [haul for row in due if (haul := self._ask_again(row))]
        items, following = office.broker.mailbox(after, limit=limit, wait=wait)
        now = office.clock()
        moved = False
        if items or following != after or not (self._noted and timedelta() <= now - self._noted < NOTED):
            haul, fresh = self._sort(items, now)
            upto, spans = place(after, haul.marks, following, self._size(haul, following))

            def ours(books: Books) -> bool:
                if int(books.meta("cursor", "-1")) != after:
                    return False
                self._doubt(books, spans, now, now, 0)
                if upto != after:
                    books.set_meta("cursor", str(upto))
                books.set_meta("collected", stamp(now))
                return True

            if self._write(haul, fresh, now, ours):
                self._noted, moved = now, upto != after
                hauls.append(haul)
            if haul.news:
                self._on_news()
        self._receipts.post()
        return Collected(
            tuple(opened.digest for haul in hauls for _, opened, _ in haul.opened),
            tuple((msg, code) for haul in hauls for msg, _, code in haul.rejected),
            sum(len(haul.receipts) for haul in hauls), any(haul.news for haul in hauls), moved,
        )  # fmt: skip

    def _ask_again(self, row: Any) -> Haul | None:
        """Ask once more for numbers whose mail came spoiled; takes what is good now, and doubts the rest on."""
        office, now = self._office, self._office.clock()
        asked = Span(row.after, row.upto)
        limit = min(MAX_PAGE, asked.upto - asked.after)
        items, _ = office.broker.mailbox(asked.after, limit=limit, wait=0)
        items = [one for one in items if not is_behind(one, asked.upto)]
        try:
            haul, fresh = self._sort(items, now)
        except LogForked:  # both faces are kept; these numbers wait, and the rest goes on
            haul, fresh = Haul(), {}
        spans = remaining(asked, haul.marks, len(items) >= limit)
        if row.attempts >= TOLD:
            haul.oddities.clear()
        if now - instant(row.since) > GIVEN_UP:
            spans = []
            haul.oddities.append({"what": "mail that stayed in doubt", "after": row.after, "upto": row.upto})
        after_pause = now + patience(row.attempts + 1, office.chance(2))

        def ours(books: Books) -> bool:
            if not books.clear_doubt(row.n, row.attempts):
                return False
            self._doubt(books, spans, instant(row.since), after_pause, row.attempts + 1)
            got = books.received([opened.digest for _, opened, _ in haul.opened])  # another look may have been first
            haul.opened = [one for one in haul.opened if one[1].digest not in got]
            return True

        written = self._write(haul, fresh, now, ours)
        if haul.news:
            self._on_news()
        return haul if written else None

    def _doubt(self, books: Books, spans: Sequence[Span], since: datetime, due: datetime, attempts: int) -> None:
        told = {"since": stamp(since), "due": stamp(due), "attempts": attempts}
        books.add("doubt", [{"after": span.after, "upto": span.upto, **told} for span in spans])

    def _size(self, haul: Haul, following: int) -> int:
        """How long the log is known to be; asked for only if that may tell whether ``following`` can be."""
        if not haul.marks or haul.marks[-1].number is not None:
            return 0
        if self._watch.size() <= following:
            try:
                self._watch.look()
            except LogForked:
                raise
            except Refusal:  # no better answer now
                pass
        return self._watch.size()

    # -- reading what came --

    def _sort(self, items: Sequence[Any], now: datetime) -> tuple[Haul, dict[int, str]]:
        """Check every item, after the checkpoints they came with, which are to be kept with them."""
        proofs = [one["proof"] for one in items if type(one) is dict and type(one.get("proof")) is str]
        fresh = self._watch.fit(self._watch.inside(proofs))
        haul = Haul()
        names = [digest_of(item) for item in items]
        with self._office.store.reading() as books:
            seen = books.received([name for name in names if name])
        kinds = [item.get("kind") if type(item) is dict else None for item in items]
        self._take_up_news([one for kind, one in zip(kinds, items, strict=True) if kind in NEWS], haul, fresh)
        marks: dict[int, Mark] = {}
        for n in sorted(range(len(items)), key=lambda n: kinds[n] != "act"):  # acts first, else in their order
            kind, item = kinds[n], items[n]
            if kind == "act":
                marks[n] = self._take_act(item, haul)
            elif kind == "message":
                marks[n] = self._take_message(item, seen, haul, now)
            elif kind == "receipt":
                marks[n] = self._take_receipt(item, haul)
            else:
                marks[n] = self._take_other(kind, item, haul)
        haul.marks += [marks[n] for n in range(len(items))]
        self._must_be_for_ours(haul)
        self._must_be_rejected_first(haul)
        return haul, fresh

    def _take_message(self, item: Any, seen: set[str], haul: Haul, now: datetime) -> Mark:
        office = self._office
        try:
            parcel = Parcel.from_json(item)
        except Refusal as refusal:
            return haul.doubt("a parcel that is none", refusal.code, item)
        try:
            opened = self._open(parcel, seen, haul, now)
        except AlreadyReceived:  # shown once, answered once (MSG-26)
            return Mark(parcel.seq, True)
        except BrokerUnreachable:  # no directory to judge it by
            raise
        except Refusal as refusal:
            return self._refuse(parcel, item, refusal, haul)
        seen.add(opened.digest)
        manifest = opened.manifest
        row = {
            "msg": opened.digest,
            "seq": parcel.seq,
            "sender": manifest.from_,
            "received": stamp(now),
            "summary": write_json(summary(opened)).decode(),
            "case_name": office.scribe.case_name(opened.content.case.reference),
            "parcel": write_json(item),
            "content": office.vault.lock(opened.content_bytes, f"inbox {opened.digest}"),
        }
        haul.opened.append((parcel, opened, row))
        return Mark(parcel.seq, True)

    def _take_up_news(self, items: Sequence[Any], haul: Haul, fresh: dict[int, str]) -> None:
        """Let agreements and notices count from this answer on; what does not hold waits for the listing."""
        if not items:
            return
        with self._office.store.writing() as books:
            self._watch.keep(books, fresh)  # what is taken in below rests on these
        if any(one["kind"] == "record" for one in items):
            self._renew(haul)
        self._office.trust.take_up(items)

    def _take_act(self, item: Mapping[str, Any], haul: Haul) -> Mark:
        """An act of somebody else: filed if it is theirs to do, evidence if not (NODE-125, NODE-126)."""
        proved = self._proved(item)
        if proved is None or not isinstance(proved[1], ActEntry):
            return haul.doubt("an act that the log does not bear out", "proof_mismatch", item)
        number = proved[0]
        try:
            heard = self._hear_act(item, number, proved[1], haul)
        except (BrokerUnreachable, LogForked):
            raise
        except Refusal as refusal:
            haul.doubt("an act that does not hold", refusal.code, item)
            return Mark(number, not isinstance(refusal, DOUBTFUL))
        if heard is not None:
            haul.heard.append(heard)
        return Mark(number, True)

    def _hear_act(self, item: Mapping[str, Any], number: int, entry: ActEntry, haul: Haul) -> Heard | None:
        try:
            return self._hearing.read(item, number, entry, haul.heard)
        except STALE:
            if haul.renewed is not None or not self._renew(haul):
                raise
        return self._hearing.read(item, number, entry, haul.heard)

    def _refuse(self, parcel: Parcel, item: Any, refusal: Refusal, haul: Haul) -> Mark:
        """Say why a parcel is refused: to its sender if it is as logged, else to whoever judges the broker (MSG-29)."""
        try:
            _, entry = verify_logged(parcel, self._office.trust.log)
        except Refusal as wrong:
            return haul.doubt("a parcel that the log does not bear out", wrong.code, item)
        if isinstance(refusal, STALE) and haul.renewed is False:
            return haul.doubt("a parcel, and no directory to judge it by", refusal.code, item)
        if all(one.id != self._office.me for one in entry.to):
            haul.astray.add(entry.msg)
            haul.doubt("a parcel for somebody else", refusal.code, item)
        haul.rejected.append((entry.msg, parcel.seq, refusal.code))
        return Mark(parcel.seq, not isinstance(refusal, DOUBTFUL))

    def _take_other(self, kind: Any, item: Any, haul: Haul) -> Mark:
        """News, what has expired, and kinds unknown here: done with as soon as the log bears their number out."""
        proved = self._proved(item)
        if proved is None:
            return haul.doubt("an item that the log does not bear out", "proof_mismatch", item)
        number, entry, _ = proved
        if kind in NEWS:
            haul.news = True
        elif kind not in ("expired", "recalled"):
            haul.doubt("a mailbox item of unknown kind", "unknown", item)
        elif not isinstance(entry, DisclosureEntry) or all(one.id != self._office.me for one in entry.to):
            haul.doubt(f"{kind} mail that was not for this agency", "unknown", item)
        elif self._has(entry.msg):
            pass  # it was taken in before the broker dropped what was sealed
        elif kind == "recalled":
            haul.recalled.add(entry.msg)
            haul.rejected.append((entry.msg, number, MessageRecalled.code))
        else:
            haul.rejected.append((entry.msg, number, MessageExpired.code))
        return Mark(number, True)

    def _has(self, message: str) -> bool:
        with self._office.store.reading() as books:
            return bool(books.received([message]))

    def _open(self, parcel: Parcel, seen: set[str], haul: Haul, now: datetime) -> Opened:
        try:
            return self._try(parcel, seen, haul, now)
        except STALE:
            if haul.renewed is not None or not self._renew(haul):
                raise
        except AgreementUnknown:
            self._learn()
        return self._try(parcel, seen, haul, now)

    def _try(self, parcel: Parcel, seen: set[str], haul: Haul, now: datetime) -> Opened:
        trust = self._office.trust
        opened = open_parcel(
            parcel, me=self._office.me, opening_keys=self._keys, directory=trust.directory, log=trust.log, now=now,
            seen=seen, standing=trust.book.standing,
        )  # fmt: skip
        if haul.stopped is None:  # acts come first, so that all that came with this is heard by now
            haul.stopped = self._hearing.stopped(haul.heard)
        self._hearing.must_come_rightly(opened, haul.stopped, haul.heard)
        return opened

    def _learn(self) -> None:
        """Fetch the agreements once more, for a message under one that is not known here."""
        try:
            self._on_news()
        except (BrokerUnreachable, BrokerRefused) as none:
            raise BrokerUnreachable(none.sentence) from none

    def _renew(self, haul: Haul) -> bool:
        """Fetch the directory, once for all that one look brought (NODE-37)."""
        try:
            self._office.trust.refresh_directory(self._office.broker)
        except (BrokerUnreachable, BrokerRefused) as none:
            raise BrokerUnreachable(none.sentence) from none
        except Refusal as refusal:
            haul.renewed = False
            haul.oddities.append({"what": "a directory that does not hold", "code": refusal.code})
        else:
            haul.renewed = True
        return haul.renewed

    def _renew_once(self, haul: Haul) -> bool:
        return haul.renewed is None and self._renew(haul)

    def _proved(self, item: Any) -> tuple[int, LogEntry, bytes] | None:
        """The number and entry of an item, read and as bytes, if the log bears them out."""
        try:
            entry_bytes = unb64u(item["entry"])
            index, _ = verify_tlog_proof(item["proof"], entry_bytes, self._office.trust.log)
            entry = parse_entry(entry_bytes)
        except (Refusal, KeyError, TypeError, AttributeError):
            return None
        return (index, entry, entry_bytes) if index == item.get("seq") else None

    def _take_receipt(self, item: Mapping[str, Any], haul: Haul) -> Mark:
        proved = self._proved(item)
        if proved is None:
            return haul.doubt(UNHELD, "proof_mismatch", item)
        index, entry, entry_bytes = proved
        try:
            if not isinstance(entry, ReceiptEntry):
                raise AnswerMismatch("the log entry is not a receipt's")
            heard = self._hear(item["batch"], entry, haul)
            said = heard.batch.says(entry.msg, entry.status, entry.code)
            if (heard.batch.by, heard.batch.digest) != (entry.by, entry.batch) or not said:
                raise AnswerMismatch("the log entry does not say what the recipient signed")
            if heard.name not in haul.words:
                renew = partial(self._renew_once, haul)
                haul.words[heard.name] = self._gossip.hold(heard, index, item, renew)
        except (BrokerUnreachable, LogForked):
            raise
        except (Refusal, KeyError, TypeError, AttributeError) as wrong:
            haul.doubt(UNHELD, wrong.code if isinstance(wrong, Refusal) else "malformed", item)
            return Mark(index, False)
        row = {
            "seq": index, "msg": entry.msg, "by": entry.by, "status": str(entry.status), "code": entry.code,
            "at": entry.ts, "batch": heard.name, "entry": entry_bytes, "proof": item["proof"],
        }  # fmt: skip
        haul.receipts.append((item, row, heard.jws))
        return Mark(index, True)

    def _hear(self, value: Any, entry: ReceiptEntry, haul: Haul) -> Batch:
        """Verify a signed batch as of an entry's time; every item of a batch brings the whole of it along."""
        known = haul.batches.get((entry.batch, entry.ts))
        if known is not None and known.value == value:
            return known
        jws = write_json(value)
        try:
            batch = verify_receipts(jws, self._office.trust.directory, entry.at)
        except STALE:
            if haul.renewed is not None or not self._renew(haul):
                raise
            batch = verify_receipts(jws, self._office.trust.directory, entry.at)
        heard = haul.batches[entry.batch, entry.ts] = Batch(value, jws, digest(jws), batch)
        return heard

    def _must_be_for_ours(self, haul: Haul) -> None:
        """Put aside receipts for what we never sent to the agency that gives them."""
        with self._office.store.reading() as books:
            rows = books.outbox_of("msg", [row["msg"] for _, row, _ in haul.receipts])
        sent_to = {row.msg: row.recipients.split(" ") for row in rows}
        brought, haul.receipts = haul.receipts, []
        for item, row, jws in brought:
            if row["by"] in sent_to.get(row["msg"], ()):
                haul.receipts.append((item, row, jws))
            else:
                haul.doubt(UNHELD, AnswerMismatch.code, item)

    def _must_be_rejected_first(self, haul: Haul) -> None:
        """Leave out what was rejected before for the same reason, and is shown or asked for again."""
        if haul.rejected:
            with self._office.store.reading() as books:
                before = {(msg, code) for msg, _, code in haul.rejected if books.get("rejected", msg=msg, code=code)}
            haul.rejected = [one for one in dict.fromkeys(haul.rejected) if (one[0], one[2]) not in before]

    # -- writing it down, at once --

    def _write(self, haul: Haul, fresh: dict[int, str], now: datetime, ours: Callable[[Books], bool]) -> bool:
        """Commit everything at once; false, and nothing written, if this look is not ours to write any more."""
        office = self._office
        with office.store.writing() as books:
            if not ours(books):
                return False
            self._watch.keep(books, fresh)
            books.add("inbox", [row for _, _, row in haul.opened])
            books.add("held", [self._hold(o.digest, p.entry, o.content.tlp, now) for p, o, _ in haul.opened])
            books.put("quoted", [row for _, o, _ in haul.opened for row in self._quote(o.digest, o.content)])
            books.add("rejected", [{"msg": m, "seq": s, "code": c, "at": stamp(now)} for m, s, c in haul.rejected])
            self._hearing.close_late(books, [o.digest for _, o, _ in haul.opened], haul.stopped or {})
            settled = [(m, s, c) for m, s, c in haul.rejected if m not in haul.astray]
            answered = [one for one in settled if one[0] not in haul.recalled]
            owed = [{"msg": o.digest, "status": "delivered", "code": None} for _, o, _ in haul.opened]
            owed += [{"msg": m, "status": "rejected", "code": c} for m, _, c in answered]
            books.add("owed", owed)
            books.hear({row["batch"]: jws for _, row, jws in haul.receipts})
            books.put("got", [row for _, row, _ in haul.receipts])
            office.note_evidence(books, "mailbox", haul.oddities)
            self._gossip.note(books, [word for word in haul.words.values() if word is not None])
            acts = [received(parcel, opened, row) for parcel, opened, row in haul.opened]
            acts += [LedgerAct(Act.RECEIVE, message=m, outcome=c, index=s) for m, s, c in settled]
            acts += [act for heard in haul.heard if (act := self._hearing.file(books, heard, now))]
            office.record(books, now, *acts)
        return True

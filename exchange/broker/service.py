"""The broker: one method per thing asked of it (`spec/http.md`, `spec/admission.md`).

It judges envelopes, keeps mailboxes, takes receipts, agreements, notices and records, and shows the log.
It cannot open a message: no key that could is anywhere in this package. What is written goes through the
clerk, as jobs; what is read comes from the books. Answers' JSON is put together by hand, from parts that
were checked or made here.

Callers are named by the transport key of their call (``caller``); who that is, the edge has established.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from exchange.broker.clerk import Clerk, Group
from exchange.broker.jobs import Receipts, RecordFiled, Submission, TrustTakenUp
from exchange.broker.jobs_acts import ActGiven
from exchange.broker.jobs_heads import HeadGiven
from exchange.broker.jobs_rules import PROPOSAL_MS, AgreementOffer, NoticeGiven
from exchange.broker.listing import MAX_PAGE_BYTES, agreement_page, mail_item, proposal_page
from exchange.broker.meters import Meters
from exchange.broker.page import State, from_millis, to_millis
from exchange.broker.publishing import Publisher
from exchange.broker.store import ClosedRow, HeadRow, Reading, Store, prepare
from exchange.http import problem_bytes
from exchange.protocol import admission
from exchange.protocol.act import read_act
from exchange.protocol.agreement import Agreement, Notice, read_agreement, read_notice
from exchange.protocol.entry import parse_entry
from exchange.protocol.errors import SenderMismatch, TilePathInvalid
from exchange.protocol.ledger_head import read_head
from exchange.protocol.log import LogSigner, bundle, sign_checkpoint
from exchange.protocol.merkle import EMPTY_ROOT, ENTRIES, HASH, HEIGHT, WIDTH, parse_tile_path
from exchange.protocol.policy import PolicyBook
from exchange.protocol.receipt import verify_receipts
from keys.encoding import digest
from keys.errors import KeyUnknown, MalformedEncoding, Refusal, TooLarge, WrongSignatureType
from keys.signing import PublicKey, Typ, parse_statement
from keys.trust import Directory

MAX_WAITING: Final = 4
"""Calls of one agency that wait for mail at a time; a further one is answered at once (HTTP-35)."""
_FAIRNESS: Final = 8
"""Envelopes of a batch judged in one go; then other callers get a turn of the loop."""


class Broker:
    """The post office. Synchronous where nothing waits; one thread and one event loop at a time use it."""

    def __init__(
        self,
        store: Store,
        log: LogSigner,
        trust: Directory,
        clock: Callable[[], datetime],
        *,
        poll_seconds: float,
        max_queue: int,
        meters: Meters,
        charge: Callable[[str, int], None] = lambda _caller, _cost: None,
    ) -> None:
        self._store, self._trust, self._clock, self._poll, self._meters = store, trust, clock, poll_seconds, meters
        self._charge = charge
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._looked = 0.0
        self._seen = 0  # the log's size up to which everybody who waits was woken
        self._timer: asyncio.TimerHandle | None = None
        self._directory_bytes: tuple[int, bytes] = (-1, b"")
        self._closing = False
        self.publisher: Publisher | None = None
        """Stands between the log and ``/log/checkpoint`` where a policy of witnesses is set."""
        self.clerk = Clerk(store, log, clock, self._load, self._committed, max_queue)

    # -- beginning and ending --

    def open(self) -> None:
        """Take up what the trust file has and the books have not. The books were checked before."""
        for answer in self.clerk.write_now([TrustTakenUp(self._trust)]):
            if isinstance(answer, BaseException):
                raise answer

    def close(self) -> None:
        """Let everybody go who waits, and the file."""
        self.hush()
        self._store.close()

    def hush(self) -> None:
        """Answer every long poll now, and let none wait any more: the service is about to stop."""
        self._closing = True
        self._wake(set(self._waiting))

    def _load(self, view: Reading, head: HeadRow) -> State:
        """Directory and policy book as the books have them, everything verified again at its place in the log (ADM-38).

        A record that came later turns no judgement made before it: an agreement is read under the records that
        stood when it was logged, as an auditor reads it (KEY-12).
        """
        rows = view.trust()
        if not rows:
            return State(self._trust, PolicyBook(), head.version)
        roots = [row.jws.encode() for row in rows if row.kind == "root"]
        directory = Directory.build(roots, [], fed=self._trust.fed, now=self._clock())
        rules: list[Agreement | Notice] = []
        for kind, row in sorted(_changes(view, rows), key=lambda change: change[1].seq):
            if kind == "record":
                (entry,) = view.entries(row.seq, row.seq + 1)
                directory = directory.with_record(row.jws.encode(), parse_entry(entry).at)
                continue
            read = read_agreement if kind == "agreement" else read_notice
            rules.append(read(row.jws.encode(), directory, from_millis(row.ts)))
        return State(directory, PolicyBook.replay(rules), head.version)

    # -- who calls --

    @property
    def directory(self) -> Directory:
        """The directory as last seen."""
        return self.clerk.books.state.directory

    def caller(self, keyid: str, now: datetime) -> tuple[str, PublicKey]:
        """Which agency calls with this transport key; looks again if another process may know better (ADM-37)."""
        looked = time.monotonic()
        if looked - self._looked >= self._poll:
            self._looked = looked
            self.clerk.refresh()
        try:
            found = self.directory.transport_key(keyid, now)
        except KeyUnknown:
            found = self.clerk.refresh().state.directory.transport_key(keyid, now)
        self.directory.agency(found[0])  # the broker itself calls nobody
        return found

    def newcomer(self, record: bytes, keyid: str, now: datetime) -> tuple[str, PublicKey]:
        """Who calls with a key that only the record being filed makes known (ADM-35)."""
        agency, key = self.directory.with_record(record, now).transport_key(keyid, now)
        if self.directory.with_record(record, now) is self.directory:
            raise KeyUnknown(f"no record in this federation lists key `{keyid}`")
        return agency, key

    # -- messages --

    async def submit(self, envelope: bytes, caller: str) -> bytes:
        """Judge one envelope; answers after it is written, or refuses."""
        job = self._arrived(envelope, caller)
        answer: bytes = await self.clerk.submit(job)
        self._charge_denials([job], caller)
        return answer

    def _charge_denials(self, jobs: Sequence[Submission], caller: str) -> None:
        """A denial costs as much as it has recipients to explain it for (HTTP-14); one token was taken before."""
        cost = sum([job.denied_to - 1 for job in jobs if job.denied_to > 1])
        if cost:
            self._charge(caller, cost)

    async def submit_batch(self, lines: Sequence[bytes], caller: str) -> bytes:
        """Judge many; one answer or problem for each, in order, each on a line of its own (HTTP-32)."""
        jobs: list[Submission] = []
        answers: list[bytes | None] = []
        for place, line in enumerate(lines):
            if place % _FAIRNESS == _FAIRNESS - 1:
                await asyncio.sleep(0)
            try:
                jobs.append(self._arrived(line, caller))
                answers.append(None)
            except Refusal as refusal:
                answers.append(self._problem(refusal))
        written = iter(await self.clerk.submit_all(jobs) if jobs else ())
        self._charge_denials(jobs, caller)
        return b"\n".join([self._line(next(written)) if a is None else a for a in answers]) + b"\n"

    def _arrived(self, data: bytes, caller: str) -> Submission:
        """Steps 1 to 7. What is refused from step 4 on may still be known from before: the clerk looks."""
        directory = self.directory
        envelope = admission.read(data, caller, directory)
        try:
            admission.verify_on_arrival(envelope, directory, self._clock())
        except Refusal as refusal:
            return Submission(envelope, refusal)
        return Submission(envelope)

    def _line(self, answer: Any) -> bytes:
        if isinstance(answer, Refusal):
            return self._problem(answer)
        if isinstance(answer, BaseException):
            raise answer
        line: bytes = answer
        return line

    def _problem(self, refusal: Refusal) -> bytes:
        self._meters.refused(refusal.code)
        return problem_bytes(refusal)

    # -- mailboxes --

    async def collect(self, caller: str, after: int, limit: int, wait: float) -> bytes:
        """What came for ``caller`` after index ``after``; waits up to ``wait`` real seconds for anything."""
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while True:
            page = self._mail(caller, after, limit)
            left = until - loop.time()
            crowded = len(self._waiting.get(caller, ())) >= MAX_WAITING
            if page is not None or left <= 0 or self._closing or crowded:
                return page or f'{{"items":[],"next":{after}}}'.encode()
            await self._mail_or(left, caller)

    def _mail(self, caller: str, after: int, limit: int) -> bytes | None:
        books = self.clerk.refresh()
        with self._store.reading() as view:
            rows = view.mail(caller, after, limit)
        items: list[bytes] = []
        size = 0
        for row in rows:
            if row.seq >= books.head.size or size > MAX_PAGE_BYTES:
                break  # committed by another process since we looked, or enough for one answer
            items.append(mail_item(row, books))
            size += len(items[-1])
            after = row.seq
        if not items:
            return None
        return b'{"items":[%s],"next":%d}' % (b",".join(items), after)

    async def _mail_or(self, seconds: float, caller: str) -> None:
        """Wait for mail of this caller or for so many seconds, whichever comes first."""
        arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(caller, set())
        waiting.add(arrival)
        if self._timer is None:
            self._seen = self.clerk.books.head.size
            self._timer = arrival.get_loop().call_later(self._poll, self._look_round, arrival.get_loop())
        try:
            await asyncio.wait([arrival], timeout=seconds)
        finally:
            waiting.discard(arrival)
            if not waiting and self._waiting.get(caller) is waiting:
                del self._waiting[caller]
            if not self._waiting and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _look_round(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look once for all who wait whether another process has written, and if so let them look for themselves."""
        self._timer = loop.call_later(self._poll, self._look_round, loop)
        try:
            size = self.clerk.refresh().head.size
        except Exception:  # noqa: BLE001  # each of them meets it when it looks, and its caller is told
            size = -1
        if size != self._seen:
            self._seen = size
            self._wake(set(self._waiting))

    def _wake(self, recipients: set[str]) -> None:
        for recipient in recipients & self._waiting.keys():
            for arrival in list(self._waiting[recipient]):
                arrival.get_loop().call_soon_threadsafe(_arrive, arrival)

    def _committed(self, group: Group, recipients: set[str]) -> None:
        self._wake(recipients)
        if self._seen == group.log_size - group.entries:  # else somebody else wrote as well: the timer wakes all
            self._seen = group.log_size
        self._meters.committed(group)
        if self.publisher is not None:
            self.publisher.committed()

    # -- receipts, agreements, records --

    async def take_receipts(self, data: bytes, caller: str) -> bytes:
        """Log a signed batch of receipts by ``caller``."""
        batch = verify_receipts(data, self.directory, self._clock())
        if batch.by != caller:
            raise SenderMismatch(f"`{caller}` may not submit receipts of `{batch.by}`")
        answer: bytes = await self.clerk.submit(Receipts(batch))
        return answer

    async def take_act(self, data: bytes, caller: str) -> bytes:
        """Log a signed act by ``caller`` about a message, and deliver it to everybody it is addressed to."""
        act = read_act(data, self.directory, self._clock())
        if act.terms.by != caller:
            raise SenderMismatch(f"`{caller}` may not submit an act of `{act.terms.by}`")
        job = ActGiven(act)
        try:
            answer: bytes = await self.clerk.submit(job)
        finally:
            if job.cost:  # also where it was refused: to look at a large tree costs the same
                self._charge(caller, job.cost)
        return answer

    async def take_head(self, data: bytes, caller: str) -> bytes:
        """Log the signed head of the caller's own ledger."""
        answer: bytes = await self.clerk.submit(HeadGiven(caller, read_head(data)))
        return answer

    async def take_agreement(self, data: bytes, caller: str) -> bytes:
        """Take an agreement, signed by one or more of its parties, or a notice by one of them."""
        statement = parse_statement(data)
        typ = statement.pairs[0][0].typ
        if typ not in (Typ.AGREEMENT, Typ.NOTICE):
            raise WrongSignatureType(f"signed as `{typ[:40]}` where an agreement or a notice is taken")
        job = AgreementOffer if typ == Typ.AGREEMENT else NoticeGiven
        answer: bytes = await self.clerk.submit(job(caller, statement))
        return answer

    def agreements(self, after: int, limit: int) -> bytes:
        """What was logged behind an index, agreements and notices in one order, each with proof (HTTP-39)."""
        return agreement_page(self._store, self.clerk.refresh(), self._clock(), after, limit)

    def proposals(self, caller: str, after: str, limit: int) -> bytes:
        """What awaits signatures, to its parties alone, with who has signed (HTTP-43)."""
        return proposal_page(self._store, self.clerk.refresh(), self._clock(), caller, after, limit)

    async def file_record(self, data: bytes, caller: str) -> bytes:
        """Take the next version of an agency's record."""
        answer: bytes = await self.clerk.submit(RecordFiled(caller, parse_statement(data)))
        return answer

    def directory_bytes(self) -> bytes:
        """The federation's roots and records, as everybody verifies them."""
        state = self.clerk.refresh().state
        if self._directory_bytes[0] != state.version:
            self._directory_bytes = (state.version, state.directory.to_bytes())
        return self._directory_bytes[1]

    # -- the log --

    def checkpoint(self, year: str = "") -> bytes:
        """The published checkpoint of a shard: where a policy is set, the newest that enough witnesses have seen."""
        shard = self._shard(year)
        return self.publisher.note(shard.base).encode() if self.publisher else shard.note.encode()

    def head(self) -> bytes:
        """The newest signed checkpoint, of whichever shard is open, whoever has seen it."""
        return self.clerk.refresh().head.checkpoint.encode()

    def shards(self) -> bytes:
        """The years that have a shard of their own, each on a line, in order; none, in a log that never turned."""
        books = self.clerk.refresh()
        rows = books.closed.rows
        ended = len(rows) if self.publisher is None else self.publisher.ended(rows)
        names = [*(row.origin for row in rows), books.head.origin][1 : ended + 1]
        if not names:
            raise TilePathInvalid("this log has one tree, and no shards")
        return "".join(f"{name.rpartition('/')[2]}\n" for name in names).encode()

    def closing(self, name: str) -> bytes:
        """The checkpoint that closed a shard, by its digest, with the log's own two lines."""
        for row in self.clerk.refresh().closed.rows:
            if digest(row.note.encode()) == name:
                return row.note.encode()
        raise TilePathInvalid("no shard of this log was closed with that checkpoint")

    def _shard(self, year: str) -> ClosedRow:
        """A shard by its year, none for the first: from which entry to which, and its newest signed checkpoint."""
        books, first = self.clerk.refresh(), self.clerk.log.origin
        origin = f"{first}/{year}" if year else first
        if books.head.origin == origin:
            return ClosedRow(books.head.base, origin, books.head.size, books.head.checkpoint)
        found = books.closed.named(origin)
        if found is None:
            raise TilePathInvalid("this log has no shard of that year")
        return found

    def tile(self, path: str, year: str = "") -> bytes:
        """A tile or entry bundle of a shard by its path under ``tile/``; only what a checkpoint requires exists."""
        level, number, width = parse_tile_path(f"tile/{path}")
        base, _, end, _ = self._shard(year)
        size = end - base
        hashes = size if level == ENTRIES else size >> (HEIGHT * level)
        if number * WIDTH + width > hashes:
            raise TilePathInvalid("the log is not long enough to have this tile")
        if level == ENTRIES:
            with self._store.reading() as view:
                return bundle(view.entries(base + number * WIDTH, base + number * WIDTH + width))
        return self._store.tile(level, number, base)[: width * HASH]

    # -- keeping house --

    def ready(self) -> list[str]:
        """What keeps the broker from doing its work; nothing, if it can."""
        try:
            books = self.clerk.refresh()
            wrong = [] if books.tree.root(books.head.length) == books.head.root else ["tree and head disagree"]
        except Exception as fault:  # noqa: BLE001  # whatever it is, it is not ready, and which kind says enough
            return [type(fault).__name__]
        return wrong if self._store.writable() else [*wrong, "the database cannot be written"]

    def purge(self) -> int:
        """Drop proposals that lapsed and the sealed bodies of expired messages; their entries stay. How many bodies."""
        with self._store.writing() as view:
            now = to_millis(self._clock())
            view.forget_proposals(now - PROPOSAL_MS)
            return view.purge(now)

    def counts(self) -> dict[str, int]:
        """Sizes of the tables that grow, and of the log."""
        with self._store.reading() as view:
            return {**view.counts(), "log": view.head().size}


def _changes(view: Reading, trust: Sequence[Any]) -> list[tuple[str, Any]]:
    """All that was logged and that decisions depend on, by kind."""
    changes = [("record", row) for row in trust if row.kind == "record"]
    changes += [("agreement", row) for row in view.agreements() if row.seq is not None]
    return changes + [("notice", row) for row in view.notices()]


def found_books(store_path: Any, log: LogSigner, now: datetime) -> bool:
    """Make empty books with a signed head over nothing, unless there are books; True if made."""
    head = HeadRow(0, EMPTY_ROOT, sign_checkpoint(0, EMPTY_ROOT, log, now), 0, 0)
    return prepare(store_path, head)


def read_lines(body: bytes) -> list[bytes]:
    """Cut an NDJSON batch into its lines; at most 100, each ended by a line feed (the last may lack it)."""
    lines = body.split(b"\n", admission.MAX_BATCH + 1)
    if lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise MalformedEncoding("a batch has at least one line")
    if len(lines) > admission.MAX_BATCH:
        raise TooLarge(f"a batch has at most {admission.MAX_BATCH} lines")
    return lines


def _arrive(arrival: asyncio.Future[None]) -> None:
    if not arrival.done():
        arrival.set_result(None)

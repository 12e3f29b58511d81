"""The clerk: the one hand that writes the books (ADM-8 to ADM-12, LOG-10, LOG-18).

Many requests, one transaction. Whatever is queued when the event loop goes idle is written at once: the
decisions, the log entries, the mailboxes, the tiles, the head moved by compare-and-swap, and one signed
checkpoint over it all. Answers leave only after the commit. There is no waiting window; a lone caller
waits for nobody.

A *job* is one thing to write. It may refuse, without disturbing the others of its group, and it says
after the commit what to answer. The clerk also keeps what decisions need, the directory, the policy book
and the tree's right edge, as of the head it knows; when another process has moved the head it looks
again before it writes. If books and head disagree it writes nothing more.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, Final, Protocol

from exchange.broker.page import Books, Page, State, from_millis, to_millis, whole_millis
from exchange.broker.shards import ClosedShards
from exchange.broker.store import BooksDamaged, ClosedRow, HeadMoved, HeadRow, Reading, Store, Writing, locked
from exchange.broker.tables import ENTRY
from exchange.protocol.errors import Overloaded
from exchange.protocol.log import LogSigner, shard_entry, shard_origin, sign_checkpoint
from exchange.protocol.merkle import Tree, leaf_hash
from keys.encoding import b64u, digest

MAX_GROUP: Final = 256
MAX_QUEUE: Final = 4096
MAX_TRIES: Final = 8
CATCH_UP: Final = 2048
"""Entries of another process that are hashed again rather than reading the tiles again."""

Clock = Callable[[], datetime]


class Job(Protocol):
    """One thing to be written."""

    @property
    def key(self) -> str | None:
        """For messages alone: sender and id, which are looked up for the whole group at once."""

    @property
    def looks_back(self) -> bool:
        """Whether it asks the books for what jobs before it, of the same group, may have written."""

    def write(self, page: Page) -> None:
        """Put onto the page what must be written, or raise a refusal before putting anything."""

    def answer(self, books: Books) -> Any:
        """What the caller is told, asked after the commit."""


@dataclass(slots=True)
class _Waiting:
    jobs: Sequence[Job]
    future: asyncio.Future[list[Any]]


@dataclass(frozen=True, slots=True)
class Group:
    """What one commit did, for the meters: jobs, entries, seconds, and messages by outcome and code."""

    jobs: int
    entries: int
    seconds: float
    outcomes: dict[tuple[str, str], int]
    log_size: int


@dataclass
class Clerk:
    """Queues jobs and writes them in groups. Lives in one event loop; ``open`` before use.

    ``load`` rebuilds directory and policy book from the books; ``told`` hears of every commit.
    """

    store: Store
    log: LogSigner
    clock: Clock
    load: Callable[[Reading, HeadRow], State]
    told: Callable[[Group, set[str]], None] = field(default=lambda _group, _recipients: None)
    max_queue: int = MAX_QUEUE
    _queue: deque[_Waiting] = field(default_factory=deque)
    _queued: int = 0
    _scheduled: bool = False
    _books: Books | None = None
    _stopped: str = ""

    # -- what is known --

    @property
    def books(self) -> Books:
        """The books as last seen. Use ``refresh`` first where another process may have written."""
        if self._stopped:
            raise BooksDamaged(self._stopped)
        if self._books is None:
            with self.store.reading() as view:
                self._books = self._look(view, view.head(), None)
        return self._books

    def refresh(self) -> Books:
        """Look whether another process has written, and take up what it wrote."""
        known = self.books
        with self.store.reading() as view:
            head = view.head()
            if head != known.head:
                self._books = known = self._look(view, head, known)
        return known

    def _look(self, view: Reading, head: HeadRow, known: Books | None) -> Books:
        try:
            tree = _tree(view, head, known, self.store)
        except BooksDamaged as damage:
            self._stopped = str(damage)
            raise
        unchanged = known is not None and known.state.version == head.version
        state = known.state if known is not None and unchanged else self.load(view, head)
        # Not known whether the newest entry is a decision: take it for one, it costs a millisecond at most.
        same = known is not None and known.head.base == head.base
        closed = known.closed if known is not None and same else ClosedShards(view.closed(), self.store.tile)
        return Books(head, tree, state, from_millis(head.ts), closed)

    # -- what is asked --

    async def submit(self, job: Job) -> Any:
        """Have a job written; returns its answer after the commit, or raises its refusal."""
        (answer,) = await self.submit_all([job])
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def submit_all(self, jobs: Sequence[Job]) -> list[Any]:
        """Have jobs written together, in order; per job its answer, or the refusal itself as a value."""
        if self._queued + len(jobs) > self.max_queue:
            raise Overloaded("too much is waiting to be written; nothing of this call was: try again shortly")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(jobs, loop.create_future())
        self._queue.append(waiting)
        self._queued += len(jobs)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._when_idle, loop, self._queued, 0)
        return await waiting.future

    def write_now(self, jobs: Sequence[Job]) -> list[Any]:
        """Write jobs at once, outside any event loop: at start-up, and for tools. Refusals come as values."""
        return self._write_group(jobs)

    def _when_idle(self, loop: asyncio.AbstractEventLoop, seen: int, quiet: int) -> None:
        # Let the loop take in whatever is ready before the group is closed: no timer, only turns of the loop.
        quiet = 0 if self._queued > seen else quiet + 1
        if self._queued < MAX_GROUP and quiet < _QUIET_TURNS:
            loop.call_soon(self._when_idle, loop, self._queued, quiet)
            return
        group = self._take()
        if self._queue:
            loop.call_soon(self._when_idle, loop, self._queued, 0)
        else:
            self._scheduled = False
        self._commit(group)

    def _take(self) -> list[_Waiting]:
        """Whole calls from the front of the queue, up to a group's size; a single call may exceed it."""
        group: list[_Waiting] = []
        jobs = 0
        while self._queue and (not group or jobs + len(self._queue[0].jobs) <= MAX_GROUP):
            group.append(self._queue.popleft())
            jobs += len(group[-1].jobs)
        self._queued -= jobs
        return [waiting for waiting in group if not waiting.future.cancelled()]

    def _commit(self, group: Sequence[_Waiting]) -> None:
        answers = iter(self._write_group([job for waiting in group for job in waiting.jobs]))
        for waiting in group:
            mine = list(islice(answers, len(waiting.jobs)))
            if not waiting.future.cancelled():  # else the caller has gone; asking again finds what was written
                waiting.future.set_result(mine)

    # -- what is written --

    def _write_group(self, jobs: Sequence[Job]) -> list[Any]:
        try:
            return self._write_together(jobs)
        except Exception as fault:  # noqa: BLE001  # one job's fault must not become everybody's
            self._books = None  # whatever was tried, the tree in memory may have grown: look again
            if len(jobs) == 1 or self._stopped:
                return [_as_told(fault)] * len(jobs)
        return [answer for job in jobs for answer in self._write_group([job])]

    def _write_together(self, jobs: Sequence[Job]) -> list[Any]:
        for _ in range(MAX_TRIES):
            try:
                return self._write_once(jobs)
            except HeadMoved:
                self._books = None
        raise Overloaded("other processes kept writing first; try again shortly")

    def _write_once(self, jobs: Sequence[Job]) -> list[Any]:
        started = time.perf_counter()
        known = self.books
        refusals: dict[int, BaseException] = {}
        with self.store.writing() as view:
            head = view.head()
            if head != known.head:
                self._books = known = self._look(view, head, known)
            known, page = self._in_time(view, known, jobs)
            for place, job in enumerate(jobs):
                if place and job.looks_back:
                    page.settle()
                mark = page.mark()
                try:
                    job.write(page)
                except Exception as wrong:  # noqa: BLE001  # undone for this job alone, and told to its caller
                    page.back_to(mark)
                    refusals[place] = wrong
            new = self._turn(view, known, page)
        # Committed. Only now does anybody hear of it, this process's own memory included.
        self._books = known = new
        answers = [refusals.get(place) or job.answer(known) for place, job in enumerate(jobs)]
        seconds = time.perf_counter() - started
        grown = known.head.size - head.size
        self.told(Group(len(jobs), grown, seconds, page.outcomes, known.head.size), page.recipients)
        return answers

    def _in_time(self, view: Writing, known: Books, jobs: Sequence[Job]) -> tuple[Books, Page]:
        """An empty page of the open shard; with the turn of the year behind it, the next shard is opened first."""
        page = self._page(view, known, jobs)
        if known.head.size and page.now.year > from_millis(known.head.ts).year:
            known = self._next_shard(view, known, page.now)
            page = Page(view, known.head, known.state, page.now, known.decided, page.earlier)
        return known, page

    def _next_shard(self, view: Writing, known: Books, now: datetime) -> Books:
        """Close the open shard and begin that of the year, in the transaction of whatever is written next (LOG-123)."""
        old = known.head
        name = digest(old.checkpoint.encode())
        entry = shard_entry(old.size, old.origin, old.length, b64u(old.root), name, now)
        tree = Tree.load(0, partial(self.store.tile, base=old.size))
        tiles = tree.append([leaf_hash(entry)])
        view.add({ENTRY: [(old.size, entry)]})
        view.widen([(old.size, tile.level, tile.index, tile.hashes) for tile in tiles])
        closed = ClosedRow(old.base, old.origin, old.size, old.checkpoint)
        view.close_shard(closed)
        checkpoint = sign_checkpoint(1, tree.root(), self.log.named(shard_origin(self.log.origin, now.year)), now)
        new = HeadRow(old.size + 1, tree.root(), checkpoint, to_millis(now), old.version, old.size)
        view.move_head(old, new)
        return Books(new, tree, known.state, known.decided, known.closed.and_then(closed, self.store.tile))

    def _page(self, view: Writing, known: Books, jobs: Sequence[Job]) -> Page:
        now = max(whole_millis(self.clock()), from_millis(known.head.ts))
        keys = [job.key for job in jobs if job.key is not None]
        return Page(view, known.head, known.state, now, known.decided, view.earlier(keys) if keys else {})

    def _turn(self, view: Writing, known: Books, page: Page) -> Books:
        """Write the page: rows, tiles, and the head with its checkpoint; the tree grows in memory."""
        if not page.entries and not page.rows and not page.changed:
            return known
        old, head = known.head, known.head
        page.settle()
        tree = known.tree
        if page.entries:
            tiles = tree.append([leaf_hash(entry) for entry in page.entries])
            view.widen([(old.base, tile.level, tile.index, tile.hashes) for tile in tiles])
            root = tree.root()
            checkpoint = sign_checkpoint(tree.size, root, self.log.named(old.origin), page.now)
            size = old.base + tree.size
            head = HeadRow(size, root, checkpoint, to_millis(page.now), page.state.version, old.base)
        else:
            head = replace(old, version=page.state.version)
        view.move_head(old, head)
        return Books(head, tree, page.state, page.decided, known.closed)


_QUIET_TURNS: Final = 3
"""Turns of the event loop without a new arrival that count as idle."""


def _as_told(fault: Exception) -> Exception:
    if locked(fault):
        return Overloaded("another process holds the books; try again shortly")
    return fault


def _tree(view: Reading, head: HeadRow, known: Books | None, store: Store) -> Tree:
    """The tree at ``head``: the known one grown by what others wrote, or taken up from the tiles."""
    near = known is not None and known.head.base == head.base
    if known is not None and near and known.head.size <= head.size <= known.head.size + CATCH_UP:
        tree = known.tree
        tree.append([leaf_hash(entry) for entry in view.entries(known.head.size, head.size)])
    else:
        try:
            tree = Tree.load(head.length, partial(store.tile, base=head.base))
        except ValueError as wrong:
            raise BooksDamaged(f"the tree cannot be rebuilt: {wrong}; restore the database from a backup") from None
    if tree.size != head.length or tree.root() != head.root:
        raise BooksDamaged(
            f"the tiles give another root than the head at size {head.size}; the broker signs nothing over them: "
            "restore the database from a backup"
        )
    return tree

"""Publishing: a checkpoint is shown at ``/log/checkpoint`` once enough witnesses have seen it (WIT-40 to WIT-44).

Messages do not wait for this: they are decided, logged and delivered under the head that the broker signed. Beside the
clerk, and after its commits, one task shows the newest head to the witnesses of the policy that have an address, all of
them at once, adds what they answer if it verifies, and publishes when the policy is met. While it asks, commits gather;
the next round takes the newest of them, so a busy log costs its witnesses no more than a quiet one. What was published
is kept in the books and never goes back, whichever of several processes published it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple

from exchange.broker.meters import Meters
from exchange.broker.page import Books
from exchange.broker.store import ClosedRow, Reading, Store
from exchange.broker.witness_client import Ask, Reply
from exchange.protocol.cosignature import VerifierKey, add_lines
from exchange.protocol.errors import QuorumMissing, TilePathInvalid
from exchange.protocol.merkle import Tree
from exchange.protocol.quorum import TrustPolicy
from exchange.protocol.witnessing import Submission

PAUSE: Final = 1.0
"""Seconds from one round to the next: a witness is asked no oftener, however busy the log."""
WAIT: Final = 10.0
"""Seconds a round waits for its slowest witness."""
TRIES: Final = 3
"""Times one witness is asked in a round: it may say twice from which size it wants the proof."""
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,15})\n")


class _Shown(NamedTuple):
    """A checkpoint to be seen: of the shard from ``base`` on, with the log at ``end``."""

    note: str
    base: int
    end: int
    origin: str
    tree: Tree


class Publisher:
    """Knows the policy, whom to ask, and what is published. Lives in the broker's event loop."""

    def __init__(
        self,
        policy: TrustPolicy,
        store: Store,
        newest: Callable[[], Books],
        ask: Ask,
        meters: Meters,
        clock: Callable[[], datetime],
        log: Any = None,
    ) -> None:
        self._policy, self._store, self._newest, self._ask = policy, store, newest, ask
        self._meters, self._clock, self._log = meters, clock, log
        self._addresses: dict[str, tuple[VerifierKey, ...]] = {}
        for name, url in policy.urls.items():
            address = f"{url.rstrip('/')}/add-checkpoint"
            self._addresses[address] = (*self._addresses.get(address, ()), policy.witnesses[name])
        self._known: dict[tuple[str, str], int] = {}
        """The size of each shard that each witness cosigned last, as far as this process knows."""
        self._since: datetime | None = None
        """Since when there has been a head that is not published."""
        self._committed = asyncio.Event()

    def committed(self) -> None:
        """Say that the log may have grown. Costs nothing."""
        self._committed.set()

    def note(self, base: int = 0) -> str:
        """What is published of a shard; refused while nothing is."""
        with self._store.reading() as view:
            published = view.published(base)
        if published is None:
            raise TilePathInvalid("no checkpoint of this log has been seen by enough witnesses yet")
        return published[1]

    def ended(self, rows: Sequence[ClosedRow]) -> int:
        """How many of the closed shards, from the first on, are published to their end, and the one after them too."""
        with self._store.reading() as view:
            shown = [not self._unpublished(view, row.base, row.note) and bool(view.published(row.size)) for row in rows]
        return next((place for place, met in enumerate(shown) if not met), len(rows))

    def state(self) -> dict[str, Any]:
        """The log's size, what of it is published, and for how many seconds something has not been."""
        with self._store.reading() as view:
            head = view.head()
            size, bases = head.size, [row.base for row in view.closed()] if head.base else []
            published = max(filter(None, map(view.published, (*bases, head.base))), default=None)
        seconds = 0.0 if self._since is None else (self._clock() - self._since).total_seconds()
        shown = published[0] if published else 0
        return {"log": size, "published": shown, "behind": size - shown, "seconds": int(max(0.0, seconds))}

    async def run(self) -> None:
        """Publish what is committed, until cancelled."""
        while True:
            self._committed.clear()
            try:
                await self.round()
            except Exception as fault:  # noqa: BLE001  # no fault of a round may end the publishing of all that follow
                self._meters.asked_witness("fault")
                if self._log is not None:
                    self._log.error("publishing", kind=type(fault).__name__)
            await asyncio.sleep(PAUSE)
            with suppress(TimeoutError):  # a witness may be back by then, or another process have committed
                await asyncio.wait_for(self._committed.wait(), WAIT)

    def _behind(self) -> bool:
        """Whether anything signed is not published yet: of the open shard, or how a closed one ended."""
        with self._store.reading() as view:
            head = view.head()
            ends = [(row.base, row.note) for row in view.closed()] if head.base else []
            return any(self._unpublished(view, *end) for end in (*ends, (head.base, head.checkpoint)))

    @staticmethod
    def _unpublished(view: Reading, base: int, note: str) -> bool:
        published = view.published(base)
        return published is None or _signed(published[1]) != _signed(note)

    async def round(self) -> bool:
        """Show the newest head to every witness once; says whether it is published now."""
        if not self._behind():
            self._since = None
            return True
        self._since = self._since or self._clock()
        books = self._newest()
        head = books.head
        met = True
        for row in books.closed.rows:
            with self._store.reading() as view:
                behind = self._unpublished(view, row.base, row.note)
            if behind:
                met = await self._show(_Shown(row.note, row.base, row.size, row.origin, books.closed.tree(row))) and met
        met = await self._show(_Shown(head.checkpoint, head.base, head.size, head.origin, books.tree)) and met
        if met:
            self._since = None
        return met

    async def _show(self, shown: _Shown) -> bool:
        """Show a checkpoint to every witness once; says whether it is published now."""
        note = shown.note
        met = self._publish_if_met(note, shown, met=False)
        asking = [asyncio.ensure_future(self._lines(address, shown)) for address in self._addresses]
        try:
            for answered in asyncio.as_completed(asking, timeout=WAIT):
                lines, keys = await answered
                with_them = add_lines(note, lines, keys)
                if with_them != note:
                    note = with_them
                    met = self._publish_if_met(note, shown, met=met)
        except TimeoutError:
            self._meters.asked_witness("late")
        finally:
            for one in asking:
                one.cancel()
        return met

    def _publish_if_met(self, note: str, shown: _Shown, *, met: bool) -> bool:
        """Publish as soon as the policy is met, and again with each line that comes after."""
        if not met:
            try:
                self._policy.verify(note)
            except QuorumMissing:
                return False
        with self._store.writing() as view:
            view.publish(shown.end, note, shown.base)
        return True

    async def _lines(self, address: str, shown: _Shown) -> tuple[str, tuple[VerifierKey, ...]]:
        """What one witness adds to a checkpoint: nothing, if it does not."""
        size, known = shown.end - shown.base, (address, shown.origin)
        keys, old = self._addresses[address], min(self._known.get(known, 0), size)
        for _ in range(TRIES):
            body = Submission(old, shown.tree.consistency(old, size), shown.note).to_bytes()
            reply = await self._ask(address, body)
            told = self._told(reply)
            if told is None or told > size:  # it is ahead: another process of ours has shown it more
                break
            old = told
        outcome = {200: "cosigned", 409: "ahead", 0: "unreachable"}.get(reply.status, "refused")
        self._meters.asked_witness(outcome)
        if outcome == "refused" and self._log is not None:
            self._log.error("witness_refused", status=reply.status, size=size)
        if reply.status != 200:
            return "", keys
        self._known[known] = size
        return reply.body.decode("utf-8", "replace"), keys

    def _told(self, reply: Reply) -> int | None:
        """From which size a witness wants the proof, if that is what it says."""
        said = _SIZE.fullmatch(reply.body) if reply.status == 409 else None
        return int(said[1]) if said else None


def _signed(note: str) -> list[str]:
    """What a note says, and its first signature: the same for the same tree, until the log has other keys (LOG-15)."""
    return note.split("\n")[:5]

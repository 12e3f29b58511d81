"""What a node does by itself while it runs: collect, retry, post receipts, refresh, sweep (NODE-33, NODE-44, NODE-94).

Two threads, so that a long poll holds up no retry. Neither keeps anything in memory that matters: stop
the process anywhere and the next one goes on from the books. What goes wrong is counted by its code and
tried again; a log that shows two faces (``log_forked``) stays refused until the broker shows one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable

from agencies.node.service import Node
from keys.errors import Refusal

_log = logging.getLogger("ix.node")


class Rounds:
    """Starts and stops the two loops of one node. ``troubles`` counts refusals by code, ``last`` names the last.

    ``also`` is done at every refresh, after the log was looked at.
    """

    def __init__(
        self, node: Node, *, wait: int, every: float, refresh: int, also: Callable[[], object] = lambda: None
    ) -> None:
        self._node, self._wait, self._every, self._also = node, wait, every, also
        self._refresh_rounds = max(1, int(refresh / every))
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.troubles: Counter[str] = Counter()
        self.last: str | None = None

    def start(self) -> None:
        """Begin both loops."""
        for name, job in (("collect", self._collect), ("send", self._send)):
            thread = threading.Thread(target=self._loop, args=(job,), name=f"node-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Ask both loops to end; a long poll under way is left to end by itself, for nothing in memory matters."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=0.5)

    def _loop(self, job: Callable[[int], bool]) -> None:
        turn = 0
        while not self._stop.is_set():
            idle = True
            try:
                idle = job(turn)
                self.last = None
            except Refusal as refusal:
                self.troubles[refusal.code] += 1
                self.last = refusal.code
                _log.warning("a round met %s", refusal.code)
            except Exception as fault:  # noqa: BLE001  # a fault must not end the loop, nor tell content
                self.troubles["fault"] += 1
                self.last = "fault"
                _log.error("a round failed: %s", type(fault).__name__)  # a traceback may hold content
            turn += 1
            if idle:
                self._stop.wait(self._every)

    def _collect(self, turn: int) -> bool:
        if turn == 0:
            self._node.refresh()
        began = time.monotonic()
        haul = self._node.collect(wait=self._wait)
        # A broker that waits less than it was asked to must not be asked without a pause.
        return not haul.more and time.monotonic() - began < self._every

    def _send(self, turn: int) -> bool:
        if turn % self._refresh_rounds == 0:
            self._node.shredding.finish()
            self._node.sweep()  # first of all: a date that came while nobody ran is not waited out again
        if turn % self._refresh_rounds == self._refresh_rounds - 1:
            self._node.refresh()
            self._node.watch.look()
            self._also()
        settled = self._node.retry_outbox()
        self._node.post_receipts()
        self._node.heads.round()
        return settled == 0

"""Heads of ledgers: each agency's own log, under its signature and then under everybody's (ADM-60 to ADM-62).

A job like those of ``jobs``. A head decides nothing; it is compared with the one before inside the transaction that
logs it, so of two that contradict each other one is refused, however many processes write these books.
"""

from __future__ import annotations

from dataclasses import dataclass

from exchange.broker.page import Books, Page
from exchange.broker.tables import NODE_HEAD
from exchange.protocol.entry import node_head_entry
from exchange.protocol.errors import HeadForked, HeadShrank
from exchange.protocol.ledger_head import verify_head
from exchange.protocol.log import Checkpoint
from keys.encoding import b64u, digest


@dataclass(slots=True)
class HeadGiven:
    """The head of the caller's ledger, as it came."""

    caller: str
    note: str
    key: None = None
    looks_back: bool = True
    _digest: str = ""
    _seq: int = -1
    _entry: bytes = b""

    def write(self, page: Page) -> None:
        """Verify it at its log time and hold it against the newest one of this agency; or find what was logged."""
        self._digest = digest(self.note.encode())
        known = page.view.node_head(self._digest)
        if known is not None and known.by == self.caller:
            self._seq, self._entry = known.seq, page.entry(known.seq)
            return
        at, directory = page.deciding(), page.state.directory
        head = verify_head(self.note, self.caller, directory, directory.root.log.origin, at)
        self._follows(head, page)
        self._entry = node_head_entry(self.caller, head.size, head.root, self._digest, at)
        self._seq = page.append(self._entry)
        page.add(NODE_HEAD, self._seq, self._digest, self.caller, head.size, b64u(head.root), self.note)

    def _follows(self, head: Checkpoint, page: Page) -> None:
        newest = page.view.newest_head(self.caller)
        if newest is None or newest.size < head.size:
            return
        if newest.size > head.size:
            raise HeadShrank(f"the ledger had {newest.size} acts in entry {newest.seq} and has {head.size} here")
        if newest.root != b64u(head.root):
            raise HeadForked(f"entry {newest.seq} has another root for the ledger's first {newest.size} acts")

    def answer(self, books: Books) -> bytes:
        """Where the head was logged (HTTP-49)."""
        return b'{"head":"%s","entry":"%s","proof":%s}' % (
            self._digest.encode(), b64u(self._entry).encode(), books.proof_json(self._seq),
        )  # fmt: skip

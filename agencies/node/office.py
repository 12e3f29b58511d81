"""What every act of a node shares: who we are, whom we trust, what time it is, and the books.

Nothing here decides or speaks to anybody. ``trust_view`` knows whom to believe, ``ledger`` how an act is
written; this module puts them where ``sending``, ``collecting`` and ``service`` reach them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from agencies.node.broker_client import BrokerClient
from agencies.node.ledger import LedgerAct, Scribe
from agencies.node.periods import Periods
from agencies.node.recorded import wrote
from agencies.node.store import Books, Store
from agencies.node.trust_view import TrustView
from exchange.protocol.decision import Decision, decide
from exchange.protocol.matching import Party, Request
from keys.encoding import stamp, write_json
from keys.keystore import Identity
from keys.sealing import Chance
from keys.vault import Vault, fresh

MAX_KEPT: Final = 1000
"""Pieces of evidence of one kind."""


@dataclass(slots=True)
class Office:
    """One node's identity, books and view of the federation. Safe to share between threads."""

    identity: Identity
    store: Store
    broker: BrokerClient
    trust: TrustView
    clock: Callable[[], datetime]
    chance: Chance = fresh
    vault: Vault = field(init=False)
    scribe: Scribe = field(init=False)

    def __post_init__(self) -> None:
        self.vault = Vault.derive(self.identity.pseudonym_key, f"node {self.me}")
        periods = Periods(self.store, self.vault)
        self.scribe = Scribe(self.me, self.vault, self.identity.pseudonym_key, periods)

    @property
    def me(self) -> str:
        """This agency's id."""
        return self.identity.agency

    def record(self, books: Books, now: datetime, *acts: LedgerAct) -> None:
        """Write acts into the ledger inside the caller's transaction."""
        if acts:
            period = self.scribe.periods.of(books, now)
            entries = self.scribe.write(books.ledger_size(), acts, now, period)
            books.add("ledger", [asdict(entry) for entry in entries])
            wrote(len(entries))

    def record_alone(self, *acts: LedgerAct) -> None:
        """Write acts in a transaction of their own."""
        with self.store.writing() as books:
            self.record(books, self.clock(), *acts)

    def keep_evidence(self, kind: str, **detail: Any) -> None:
        """Keep something that should not be, whole; met again and again, it is kept once."""
        with self.store.writing() as books:
            self.note_evidence(books, kind, [detail])

    def note_evidence(self, books: Books, kind: str, details: Iterable[Mapping[str, Any]]) -> None:
        """Keep evidence in the caller's transaction; at most so much of a kind, for somebody else decides how much."""
        now = stamp(self.clock())
        for told in dict.fromkeys(write_json(detail).decode() for detail in details):
            if books.get("evidence", kind=kind, detail=told) is None and books.count("evidence", kind=kind) < MAX_KEPT:
                books.add("evidence", [{"at": now, "kind": kind, "detail": told}])

    def party(self, agency: str) -> Party:
        """An agency as a clause sees it."""
        record = self.trust.directory.agency(agency)
        return Party(agency, record.roles, record.ceiling, record.territory)

    def decide(self, request: Request, now: datetime) -> Decision:
        """Ask the agreements this node knows."""
        return decide(request, self.trust.book, now)

"""Acts: what agencies do about a message after its disclosure, logged and delivered down its tree (ADM-54 to ADM-59).

A job like those of ``jobs``. Whether the act's author has the standing for it is asked inside the transaction, of the
log as it stands: a recall reaches whoever holds something of the message at that moment, and no agreement is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exchange.broker.page import ACT as COUNTED
from exchange.broker.page import Books, Page
from exchange.broker.sources import Disclosed, tree_of
from exchange.broker.tables import ACT
from exchange.protocol.act import Act, Recall, check_dates
from exchange.protocol.entry import act_entry
from exchange.protocol.errors import ActsExceeded
from keys.encoding import b64u
from keys.signing import ALGORITHMS

MAX_ACTS: Final = 100
"""Acts of one kind that one agency may give about one message (ADM-58)."""
TREE_PER_TOKEN: Final = 10
"""Messages of a tree that are looked at for one token of the caller's rate."""


@dataclass(slots=True)
class ActGiven:
    """An act whose signatures were verified on arrival."""

    act: Act
    key: None = None
    looks_back: bool = True
    cost: int = 0
    """Tokens it costs besides the call's own (HTTP-14)."""
    _seq: int = -1
    _entry: bytes = b""

    def write(self, page: Page) -> None:
        """Judge it by the log as it stands, log it, tell everybody it is addressed to; or find what was logged."""
        act, terms, self.cost = self.act, self.act.terms, 0
        known = page.view.act(act.digest)
        if known is not None:
            self._seq, self._entry = known.seq, known.entry
            return
        at = page.changing()
        self._verify_at_log_time(page, at)
        lineage, tree = tree_of(page, terms)
        self.cost = len(tree) // TREE_PER_TOKEN
        lineage.may(terms)
        if page.view.count_acts(terms.msg, terms.by, act.kind) >= MAX_ACTS:
            raise ActsExceeded(f"`{terms.by}` has given {MAX_ACTS} acts of this kind about this message")
        told = lineage.addressees(terms)
        for agency in told:
            page.state.directory.agency(agency)
        self._put(page, told, at)
        if isinstance(terms, Recall):
            _take_back(page, tree)

    def _verify_at_log_time(self, page: Page, at: datetime) -> None:
        """Repeat what may have changed since arrival: the keys' validity, and the dates."""
        lookup = page.state.directory.signing_lookup(self.act.terms.by, at)
        for signature, alg in zip(self.act.statement.pairs[0], ALGORITHMS, strict=True):
            lookup(signature.kid, alg)
        check_dates(self.act.terms, at)

    def _put(self, page: Page, told: Sequence[str], at: datetime) -> None:
        act, terms = self.act, self.act.terms
        self._entry = act_entry(act.kind, terms.by, terms.msg, terms.refers_to, act.digest, at)
        self._seq = page.append(self._entry)
        jws = act.statement.to_bytes().decode()
        page.add(ACT, self._seq, act.digest, act.kind.value, terms.by, terms.msg, terms.refers_to, jws)
        page.count(COUNTED, act.kind.value)
        for agency in told:
            page.deliver(agency, self._seq, "act")
        self.cost += max(0, len(told) - 1)

    def answer(self, books: Books) -> bytes:
        """Where the act was logged (HTTP-44)."""
        return b'{"act":"%s","entry":"%s","proof":%s}' % (
            self.act.digest.encode(), b64u(self._entry).encode(), books.proof_json(self._seq),
        )  # fmt: skip


def _take_back(page: Page, tree: Iterable[Disclosed]) -> None:
    """Drop what is kept of a recalled message and of all that was derived from it, and tell its recipients so."""
    for seq, entry in tree:
        page.view.take_back(seq, [to.id for to in entry.to])

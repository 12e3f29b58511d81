"""What changes the rules: agreements with the signatures they have so far, and notices (ADM-30 to ADM-34).

Jobs like those of ``jobs``. Every signature under an agreement is logged when it comes; the agreement itself when
the last one has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from exchange.broker.page import Books, Page, to_millis
from exchange.broker.tables import AGREEMENT, NOTICE, SIGNATURE
from exchange.protocol.agreement import Agreement, join_signatures, read_agreement, read_notice
from exchange.protocol.entry import agreement_entry, notice_entry, signature_entry
from exchange.protocol.errors import AgreementNotTheirs, ProposalsExceeded
from keys.encoding import b64u, write_json
from keys.signing import Statement, parse_statement

MAX_PROPOSALS: Final = 64
"""Agreements put forward by one agency that await signatures (ADM-33)."""
PROPOSAL_MS: Final = 30 * 24 * 3600 * 1000
"""How long one awaits them."""
_Logged = tuple[int, str, str, bytes]
"""A logged signature: index, party, key, entry."""


@dataclass(frozen=True, slots=True)
class _Offered:
    statement: Statement
    seq: int | None
    entry: bytes
    proposer: str | None
    offered: int


@dataclass(slots=True)
class AgreementOffer:
    """An agreement with one or more parties' signatures; it counts once all of them have signed (ADM-30)."""

    caller: str
    statement: Statement
    key: None = None
    looks_back: bool = False
    _state: str = ""
    _signed_by: tuple[str, ...] = ()
    _signatures: tuple[_Logged, ...] = ()
    _done: _Offered | None = None

    def write(self, page: Page) -> None:
        """Add the signatures to those it has; log it when they are complete."""
        directory = page.state.directory
        at = page.changing()  # keys are judged at the very log time, as whoever reads the log will judge them
        agreement = read_agreement(self.statement.to_bytes(), directory, at)
        if not agreement.has(self.caller):
            raise AgreementNotTheirs(f"`{self.caller}` is no party to this agreement")
        page.view.forget_proposals(to_millis(page.now) - PROPOSAL_MS)
        before = page.found.get(agreement.digest) or self._stored(page, agreement.digest)
        self._signatures = self._logged(page, agreement.digest)
        if before is not None and before.seq is not None:
            self._done, self._state, self._signed_by = before, "complete", agreement.terms.parties
            return
        if before is not None:
            agreement = join_signatures(agreement, before.statement, directory)
        elif agreement.missing:
            self._check_room(page)
        self._signatures += tuple(self._sign(page, agreement))
        self._done = page.found[agreement.digest] = self._put(page, agreement, before)
        page.found["signatures", agreement.digest] = self._signatures
        self._state, self._signed_by = "proposed" if agreement.missing else "complete", agreement.signed_by

    @staticmethod
    def _logged(page: Page, name: str) -> tuple[_Logged, ...]:
        here = page.found.get(("signatures", name))
        rows = page.view.signatures(name) if here is None else here
        return tuple([tuple(row) for row in rows])

    def _sign(self, page: Page, agreement: Agreement) -> list[_Logged]:
        """Log every signature that was not yet, in the order of the parties: a key signs an agreement once (LOG-46)."""
        known = {kid for _, _, kid, _ in self._signatures}
        kids = dict(zip(agreement.signed_by, [pair[0].kid for pair in agreement.statement.pairs], strict=True))
        added: list[_Logged] = []
        for party in agreement.terms.parties:
            kid = kids.get(party)
            if kid is not None and kid not in known:
                entry = signature_entry(agreement.digest, party, agreement.at)
                added.append((page.append(entry), party, kid, entry))
                page.add(SIGNATURE, added[-1][0], agreement.digest, party, kid)
        return added

    @staticmethod
    def _stored(page: Page, name: str) -> _Offered | None:
        row = page.view.agreement(name)
        if row is None:
            return None
        entry = page.entry(row.seq) if row.seq is not None else b""
        return _Offered(parse_statement(row.jws.encode()), row.seq, entry, row.proposer, row.ts)

    def _check_room(self, page: Page) -> None:
        here = {row[0] for row in page.rows.get(AGREEMENT, ()) if row[3] is None and row[5] == self.caller}
        if len(page.view.proposals(self.caller) | here) >= MAX_PROPOSALS:
            raise ProposalsExceeded(f"`{self.caller}` has put forward {MAX_PROPOSALS} agreements that await signatures")

    def _put(self, page: Page, agreement: Agreement, before: _Offered | None) -> _Offered:
        terms, name = agreement.terms, agreement.digest
        jws, parties = agreement.statement.to_bytes().decode(), " ".join(agreement.terms.parties)
        at = agreement.at
        proposer, offered = (before.proposer, before.offered) if before else (self.caller, to_millis(at))
        if agreement.missing:
            page.add(AGREEMENT, name, jws, parties, None, offered, proposer)
            return _Offered(agreement.statement, None, b"", proposer, offered)
        book = page.state.book.admit(agreement)
        entry = agreement_entry(name, terms.parties, terms.replaces, at)
        seq = page.append(entry)
        page.add(AGREEMENT, name, jws, parties, seq, to_millis(at), proposer)
        page.change(book=book)
        for party in terms.parties:
            page.deliver(party, seq, "agreement")
        return _Offered(agreement.statement, seq, entry, proposer, offered)

    def answer(self, books: Books) -> bytes:
        """Where the agreement stands now (HTTP-38)."""
        done = self._done
        members: dict[str, Any] = {"agr": self.statement.digest, "state": self._state, "signed_by": self._signed_by}
        members["signatures"] = [
            {"by": by, "seq": seq, "entry": b64u(entry), "proof": books.proof(seq)}
            for seq, by, _, entry in self._signatures
        ]
        if done is not None and done.seq is not None:
            members |= {"entry": b64u(done.entry), "proof": books.proof(done.seq)}
        return write_json(members)


@dataclass(slots=True)
class NoticeGiven:
    """A party's notice: it suspends, resumes or leaves an agreement, alone and at once (ADM-32)."""

    caller: str
    statement: Statement
    key: None = None
    looks_back: bool = False
    _seq: int = -1
    _entry: bytes = b""
    _answered: dict[str, Any] = field(default_factory=dict)

    def write(self, page: Page) -> None:
        """Log the notice and tell every party."""
        name = self.statement.digest
        at = page.changing()
        notice = read_notice(self.statement.to_bytes(), page.state.directory, at)
        terms = notice.terms
        if terms.by != self.caller:
            raise AgreementNotTheirs(f"`{self.caller}` may not give a notice of `{terms.by}`")
        self._answered = {"agr": terms.agr, "state": terms.act.value, "signed_by": [terms.by]}
        known = page.found.get(name) or page.view.notice(name)
        if known is not None:
            self._seq = known if isinstance(known, int) else known.seq
            self._entry = (page.view.entries(self._seq, self._seq + 1) or [b""])[0] or page.entries[
                self._seq - page.size
            ]
            return
        book = page.state.book.admit(notice)
        self._entry = notice_entry(terms.agr, terms.by, terms.act.value, name, at)
        self._seq = page.append(self._entry)
        jws = self.statement.to_bytes().decode()
        page.add(NOTICE, self._seq, name, terms.agr, jws, to_millis(at))
        page.change(book=book)
        agreement = book.get(terms.agr)
        for party in agreement.terms.parties if agreement else ():
            page.deliver(party, self._seq, "notice")
        page.found[name] = self._seq

    def answer(self, books: Books) -> bytes:
        """Where the notice was logged (HTTP-38)."""
        return write_json({**self._answered, "entry": b64u(self._entry), "proof": books.proof(self._seq)})

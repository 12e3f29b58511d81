"""What can be written into the books: one job for each kind (ADM-8 to ADM-12, ADM-20 to ADM-36).

A job's ``write`` runs inside the clerk's transaction. It looks things up on the page, refuses before it
writes anything, and puts down rows and entries; its ``answer`` is asked after the commit. Doing the same
job twice writes once: the second finds what the first wrote, and answers from that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from exchange.broker.page import EXEMPT, Books, Page, to_millis
from exchange.broker.sources import resolve_sources
from exchange.broker.store import Earlier
from exchange.broker.tables import BATCH, LINEAGE, MESSAGE, RECEIPT, TRUST
from exchange.http import problem_bytes
from exchange.protocol import admission
from exchange.protocol.errors import MessageExpired, MessageFromTheFuture, ReceiptNotTheirs, SenderMismatch
from exchange.protocol.log import receipt_entry, record_entry
from exchange.protocol.message import Envelope
from exchange.protocol.receipt import ReceiptBatch, ReceiptItem
from keys.encoding import b64u, write_json
from keys.errors import KeyNotValid, RecordRefused, Refusal
from keys.signing import ALGORITHMS, Statement
from keys.trust import AgencyRecord, Directory

_NOT_ANY_MORE: Final = (KeyNotValid, MessageExpired, MessageFromTheFuture)
"""Refusals that may have come true since the same message was judged."""


@dataclass(slots=True)
class Submission:
    """One envelope. ``refusal`` is what arrival had against it; a message judged before is answered all the same."""

    envelope: Envelope
    refusal: Refusal | None = None
    key: str = ""
    _found: Earlier | None = None

    def __post_init__(self) -> None:
        manifest = self.envelope.manifest
        self.key = f"{manifest.from_} {manifest.id}"

    @property
    def looks_back(self) -> bool:
        """Whether it asks the books for messages that may stand on this very page (ADM-50)."""
        return self.envelope.manifest.src is not None

    def write(self, page: Page) -> None:
        """Judge and write, or find what was written before (ADM-8)."""
        earlier = page.earlier.get(self.key) or page.found.get(self.key)
        refusal = self.refusal
        if earlier is not None and (refusal is None or isinstance(refusal, _NOT_ANY_MORE)):
            admission.check_repetition(self.envelope.digest, earlier.digest)
            self._found = earlier
            return
        if refusal is not None:
            raise refusal
        at = page.deciding()
        admission.verify_at_log_time(self.envelope, page.state.directory, at)
        manifest = self.envelope.manifest
        sources = resolve_sources(page, manifest) if manifest.src else None
        admitted = admission.admit(self.envelope, page.state.directory, page.state.book, at, sources)
        self._found = page.found[self.key] = self._put(page, admitted)

    def _put(self, page: Page, admitted: admission.Admission) -> Earlier:
        envelope, decision = self.envelope, admitted.decision
        manifest, statement = envelope.manifest, envelope.statement
        seq = page.append(admitted.entry)
        explanation = admitted.explanation
        explained = None if explanation is None else write_json(explanation).decode()
        page.add(
            MESSAGE, seq, self.key, envelope.digest, manifest.from_, decision.outcome, decision.code,
            statement.raw_payload, _signatures(statement), envelope.body if admitted.permitted else None,
            to_millis(manifest.expires_at), explained,
        )  # fmt: skip
        page.count(decision.outcome, decision.code)
        if admitted.permitted:
            for src in manifest.src or ():
                page.add(LINEAGE, src, envelope.digest, seq)
            if manifest.exempt is not None:
                page.count(EXEMPT, manifest.exempt)
        for recipient, wrap in admitted.deliveries:
            page.deliver(recipient, seq, "message", wrap)
        return Earlier(self.key, seq, envelope.digest, decision.outcome, decision.code, explained, admitted.entry)

    @property
    def denied_to(self) -> int:
        """To how many recipients it was denied."""
        denied = self._found is not None and self._found.outcome == "deny"
        return len(self.envelope.manifest.to) if denied else 0

    def answer(self, books: Books) -> bytes:
        """The answer's JSON, one line (HTTP-31)."""
        found = self._found
        if found is None:
            raise AssertionError("a job is answered after it was written")
        return b'{"outcome":"%s","code":"%s","msg":"%s","entry":"%s","proof":%s,"explanation":%s}' % (
            found.outcome.encode(),
            found.code.encode(),
            found.digest.encode(),
            b64u(found.entry).encode(),
            books.proof_json(found.seq),
            b"null" if found.explanation is None else found.explanation.encode(),
        )


def _signatures(statement: Statement) -> str:
    """The ``signatures`` member, as ``signatures_json`` has it; every part of it is base64url."""
    pair = statement.pairs[0]
    return "[" + ",".join([f'{{"protected":"{s.protected}","signature":"{b64u(s.value)}"}}' for s in pair]) + "]"


@dataclass(slots=True)
class Receipts:
    """A verified batch of receipts by one recipient."""

    batch: ReceiptBatch
    key: None = None
    looks_back: bool = False
    _results: list[tuple[ReceiptItem, int, bytes] | tuple[ReceiptItem, Refusal]] = field(default_factory=list)

    def write(self, page: Page) -> None:
        """Log each item once; items about messages its signer never got are refused one by one (ADM-20)."""
        batch, at = self.batch, page.deciding()
        lookup = page.state.directory.signing_lookup(batch.by, at)
        for signature, alg in zip(batch.statement.pairs[0], ALGORITHMS, strict=True):
            lookup(signature.kid, alg)
        names = [item.msg for item in batch.items]
        senders, known = page.view.addressed(batch.by, names), page.view.receipts(batch.by, names)
        self._results = []
        if not any(item.msg in senders for item in batch.items):
            raise ReceiptNotTheirs(f"none of these messages was delivered to `{batch.by}`")
        for item in batch.items:
            fact = (batch.by, item.msg, item.status)
            found = known.get((item.msg, item.status)) or page.found.get(fact)
            if found is not None:
                self._results.append((item, *found))
            elif item.msg not in senders:
                self._results.append((item, ReceiptNotTheirs(f"this message was not delivered to `{batch.by}`")))
            else:
                entry = receipt_entry(item.msg, batch.by, item.status, item.code, batch.digest, at)
                seq = page.append(entry)
                page.add(RECEIPT, seq, item.msg, batch.by, item.status.value, batch.digest)
                page.deliver(senders[item.msg], seq, "receipt")
                page.found[fact] = (seq, entry)
                self._results.append((item, seq, entry))
        page.add(BATCH, batch.digest, batch.statement.to_bytes().decode())

    def answer(self, books: Books) -> bytes:
        """One result per item, in order (HTTP-36)."""
        return b'{"results":[' + b",".join(_result(books, *result) for result in self._results) + b"]}"


def _result(books: Books, item: ReceiptItem, *found: Any) -> bytes:
    head = f'{{"msg":"{item.msg}","status":"{item.status.value}",'.encode()
    if len(found) == 1:
        return head + b'"problem":' + problem_bytes(found[0]) + b"}"
    return head + b'"entry":"%s","proof":%s}' % (b64u(found[1]).encode(), books.proof_json(found[0]))


@dataclass(slots=True)
class RecordFiled:
    """The next version of an agency's record, put forward by that agency (ADM-35)."""

    caller: str
    statement: Statement
    key: None = None
    looks_back: bool = False
    _seq: int = -1
    _entry: bytes = b""

    def write(self, page: Page) -> None:
        """Verify that it follows from the one before, and log it."""
        held = page.state.directory
        grown = held.with_record(self.statement.to_bytes(), page.now)
        record = next(r for r in grown.agencies() if r.digest == self.statement.digest)
        if record.agency != self.caller:
            raise SenderMismatch(f"`{self.caller}` may not put forward a record of `{record.agency}`")
        if grown is held:
            known = page.found.get(record.digest)
            self._seq = page.view.trusted(record.digest).seq if known is None else known
            self._entry = page.entry(self._seq)
            return
        self._seq, self._entry = file_record(page, record)
        page.change(directory=grown)

    def answer(self, books: Books) -> bytes:
        """Where the record was logged (HTTP-40)."""
        return write_json({"entry": b64u(self._entry), "proof": books.proof(self._seq)})


def file_record(page: Page, record: AgencyRecord) -> tuple[int, bytes]:
    """Log a record and keep it; returns its index and entry."""
    entry = record_entry(record.agency, record.version, record.digest, page.changing())
    seq = page.append(entry)
    page.add(TRUST, None, "record", record.digest, record.statement.to_bytes().decode(), seq)
    page.found[record.digest] = seq
    return seq, entry


@dataclass(slots=True)
class TrustTakenUp:
    """What the operator's trust file has and the books have not: newer roots, records filed by hand."""

    offered: Directory
    key: None = None
    looks_back: bool = False

    def write(self, page: Page) -> None:
        """Merge, never going back: what the books have stays, and must agree with the file (ADM-36)."""
        held, offered = page.state.directory, self.offered
        merged = merge_directories(held, offered, page.now) if page.state.version else offered
        known = {row.digest: row.jws for row in page.view.trust()}
        news = False
        for kind, items in (("root", merged.roots), ("record", merged.records())):
            for item in items:
                jws = item.statement.to_bytes().decode()
                if known.get(item.digest) == jws:
                    continue
                news = True
                if isinstance(item, AgencyRecord) and item.digest not in known:
                    file_record(page, item)
                else:
                    page.add(TRUST, None, kind, item.digest, jws, None)
        if news:
            page.change(directory=merged)

    def answer(self, books: Books) -> None:
        """Nobody asks."""


def merge_directories(held: Directory, offered: Directory, now: Any) -> Directory:
    """The newest of both, or a refusal if they contradict each other."""
    roots = max(held.roots, offered.roots, key=len)
    shorter = min(held.roots, offered.roots, key=len)
    if [r.digest for r in roots[: len(shorter)]] != [r.digest for r in shorter]:
        raise RecordRefused("the trust file and the books have different roots of the same version")
    records: dict[tuple[str, int], AgencyRecord] = {}
    newer = offered if len(offered.roots) >= len(held.roots) else held
    for record in (*held.records(), *offered.records(), *newer.records()):
        known = records.get((record.agency, record.version))
        if known is not None and known.digest != record.digest:
            raise RecordRefused(f"the trust file and the books have different records of `{record.agency}`")
        records[record.agency, record.version] = record
    ordered = [records[name].statement.to_bytes() for name in sorted(records)]
    return Directory.build([r.statement.to_bytes() for r in roots], ordered, fed=held.fed, now=now)

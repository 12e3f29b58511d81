"""Whom a node believes: the directory and the policy book it goes by (`spec/nodes.md`, NODE-37, NODE-38).

Both are values; this module holds the current ones and replaces them when the broker has newer. Neither
goes back: a directory that forgets a version is refused (``Directory.advance``), and an agreement or
notice once seen stays, also after a restart and with no broker to ask: what was verified is kept under the
node's own seal, and later keys are no reason to judge it again. The broker is believed in nothing here:
agreements and notices carry the parties' signatures, records the enrolment authority's, and the proofs
beside them must fit the one log that is known.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from agencies.node.broker_client import BrokerClient
from agencies.node.errors import AnswerMismatch
from agencies.node.store import Store
from exchange.protocol.agreement import Agreement, Notice, read_agreement, read_notice
from exchange.protocol.log import AgreementEntry, NoticeEntry, parse_entry, verify_tlog_proof
from exchange.protocol.policy import PolicyBook
from exchange.protocol.terms import parse_notice, parse_terms
from keys.encoding import instant, stamp, unb64u, write_json
from keys.errors import Refusal
from keys.signing import parse_statement
from keys.trust import Directory, LogIdentity
from keys.vault import Vault

Item = Agreement | Notice


class TrustView:
    """The directory and the policy book of one node, current and never older than they were."""

    def __init__(self, directory: Directory, store: Store, clock: Callable[[], datetime], vault: Vault) -> None:
        """``doubts`` says what was taken in once and counts no more."""
        self._store, self._clock, self._vault = store, clock, vault
        self._guard = threading.Lock()
        with store.reading() as books:
            rows = {row.digest: row for row in books.rows("signed")}
            known = sorted(books.rows("shard"), key=lambda row: row.base)
        self._shards = tuple((row.origin, row.base) for row in known)
        kept = rows.pop("directory", None)
        self.directory = directory.advance(kept.jws, clock()) if kept else directory
        self.proposals: Mapping[str, Agreement] = {}
        self._items: dict[str, Item] = {}
        self.book = PolicyBook()
        found: list[Item] = []
        self.doubts: list[str] = []
        for name, row in rows.items():
            try:
                found.append(self._kept(row))
            except Refusal as refusal:
                self.doubts.append(f"{name}: {refusal.code}: {refusal.sentence}")
        self.doubts += self._admit(found)
        if unsealed := [i for i in found if rows[i.digest].seal is None]:
            self._keep(unsealed)

    @property
    def log(self) -> LogIdentity:
        """The log's name and keys, with its shards as far as this node has verified where they begin."""
        log = self.directory.root.log
        return replace(log, shards=self._shards) if self._shards else log

    def begins(self, origin: str) -> int | None:
        """The number of the first entry of one of the log's trees; none if it is none that is known."""
        log = self.log
        return 0 if origin == log.origin else dict(log.shards).get(origin)

    def know_shard(self, row: Mapping[str, Any]) -> None:
        """Know a shard of the log from now on: where it begins was verified (NODE-240)."""
        with self._store.writing() as books:
            books.put("shard", [row])
            rows = sorted(books.rows("shard"), key=lambda one: one.base)
        self._shards = tuple((one.origin, one.base) for one in rows)

    def refresh_directory(self, broker: BrokerClient) -> None:
        """Take over the broker's directory if it continues ours; refused if it forgets anything."""
        data = broker.directory()
        with self._guard:
            if data == self.directory.to_bytes():
                return
            self.directory = self.directory.advance(data, self._clock())
            with self._store.writing() as books:
                books.put("signed", [{"digest": "directory", "kind": "directory", "jws": data, "at": ""}])

    def refresh_agreements(self, broker: BrokerClient, see: Callable[[Iterable[str]], None]) -> list[str]:
        """Learn agreements and notices the broker has and this node has not; says what could not be believed.

        ``see`` holds the checkpoints of proofs against those known, and raises if one does not fit.
        """
        answer = broker.agreements()
        if type(answer) is not dict or not all(type(answer.get(m)) is list for m in ("agreements", "notices")):
            raise AnswerMismatch("the answer has not the members `agreements` and `notices`")
        listed = [("agreement", v) for v in answer["agreements"]] + [("notice", v) for v in answer["notices"]]
        see(v["proof"] for _, v in listed if type(v) is dict and type(v.get("proof")) is str)
        with self._guard:
            found: list[Item] = []
            wrong: list[str] = []
            for kind, value in listed:
                try:
                    found.append(self._take(kind, value))
                except Refusal as refusal:
                    wrong.append(f"{kind}: {refusal.code}: {refusal.sentence}")
            self.proposals = {i.digest: i for i in found if isinstance(i, Agreement) and i.missing}
            new = [i for i in found if i.digest not in self._items and i.digest not in self.proposals]
            wrong += self._admit(new)
            self._keep([item for item in new if item.digest in self._items])
            return wrong

    def take_up(self, values: Iterable[Any]) -> list[str]:
        """Take in agreements and notices as mail brings them, so that they count at once; says what does not hold.

        The checkpoints of their proofs were held against those known before. What is not whole yet, or follows
        something not known here, is left to ``refresh_agreements``.
        """
        with self._guard:
            found: list[Item] = []
            wrong: list[str] = []
            for value in values:
                if value.get("kind") in ("agreement", "notice"):
                    try:
                        found.append(self._take(value["kind"], value))
                    except Refusal as refusal:
                        wrong.append(f"{value['kind']}: {refusal.code}: {refusal.sentence}")
            new = [i for i in found if i.digest not in self._items and not (isinstance(i, Agreement) and i.missing)]
            wrong += self._admit(new)
            if taken := [item for item in new if item.digest in self._items]:
                self._keep(taken)
            return wrong

    def _admit(self, items: list[Item]) -> list[str]:
        """Take items into the book in log order; says which do not fit into it, and why."""
        if not self._items:  # all at once costs a thousandth of one after the other
            try:
                self.book = PolicyBook.replay(sorted(items, key=_in_order))
                self._items = {item.digest: item for item in items}
                return []
            except Refusal:
                self.book = PolicyBook()  # one of them does not fit; find out which
        book, fitting, wrong = self.book, dict(self._items), []
        for item in sorted(items, key=_in_order):
            try:
                book = book.admit(item)
                fitting[item.digest] = item
            except Refusal as refusal:
                wrong.append(f"{item.digest}: {refusal.code}: {refusal.sentence}")
        self._items, self.book = fitting, book
        return wrong

    def _take(self, kind: str, value: Any) -> Item:
        """Read one listed statement; what is known already is not verified again."""
        statement = value.get("statement") if type(value) is dict else None
        if type(statement) is not dict:
            raise AnswerMismatch("an item of the agreements is a `statement` with its entry and proof")
        jws = write_json(statement)
        name = parse_statement(jws).digest
        if (known := self._items.get(name)) is not None:
            return known
        at = _log_time(name, value, self.log)
        item = self._read(kind, jws, at or self._clock())
        if at is None and not (isinstance(item, Agreement) and item.missing):
            raise AnswerMismatch("what counts has a place in the log, and this comes without one")
        return item

    def _kept(self, row: Any) -> Item:
        """Read what was taken in before: under our seal as it was verified then, without one by today's keys."""
        at = instant(row.at)
        if row.seal is None:
            return self._read(row.kind, row.jws, at)
        self._vault.check_seal(_sealed(row.kind, row.jws, row.at), row.seal)
        statement = parse_statement(row.jws)
        if row.kind == "notice":
            return Notice(statement.digest, statement, parse_notice(statement.payload), at)
        terms = parse_terms(statement.payload)  # only what all parties have signed is kept
        return Agreement(statement.digest, statement, terms, terms.parties, at)

    def _read(self, kind: str, jws: bytes, at: datetime) -> Item:
        return read_agreement(jws, self.directory, at) if kind == "agreement" else read_notice(jws, self.directory, at)

    def _keep(self, items: list[Item]) -> None:
        rows = []
        for item in items:
            kind = "agreement" if isinstance(item, Agreement) else "notice"
            jws, at = item.statement.to_bytes(), stamp(item.at)
            seal = self._vault.seal(_sealed(kind, jws, at))
            rows.append({"digest": item.digest, "kind": kind, "jws": jws, "at": at, "seal": seal})
        with self._store.writing() as books:
            books.put("signed", rows)


def _sealed(kind: str, jws: bytes, at: str) -> bytes:
    return f"signed {kind} {at}\n".encode() + jws


def _in_order(item: Item) -> tuple[datetime, bool, int, str]:
    """By log time, and at one time what replaces after what it replaces, a notice after its agreement.

    Which of two came first within a millisecond a node need not know: it holds some of the log's statements only, so
    the name it has for its policy is its own (AGR-28), and must only be the same again after a restart.
    """
    return item.at, isinstance(item, Notice), item.terms.version if isinstance(item, Agreement) else 0, item.digest


def _log_time(name: str, value: Mapping[str, Any], log: LogIdentity) -> datetime | None:
    """When the log took a listed statement, proved; none if it is said to wait for signatures still."""
    if "entry" not in value:
        return None
    try:
        entry_bytes = unb64u(value["entry"])
        verify_tlog_proof(value["proof"], entry_bytes, log)
    except (KeyError, TypeError):
        raise AnswerMismatch("an item of the agreements has an entry and no proof") from None
    entry = parse_entry(entry_bytes)
    if isinstance(entry, AgreementEntry | NoticeEntry):
        named = entry.agr if isinstance(entry, AgreementEntry) else entry.notice
        if named == name:
            return entry.at
    raise AnswerMismatch("the log entry beside a statement is about another one")

"""Whom a node believes: the directory and the policy book it goes by (`spec/nodes.md`, NODE-37 to NODE-39).

Both are values; this module holds the current ones and replaces them when the broker has newer. Neither
goes back: a directory that forgets a version is refused (``Directory.advance``), and an agreement or
notice once seen stays, also after a restart and with no broker to ask. The broker is believed in nothing
here: agreements and notices carry the parties' signatures, records the enrolment authority's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from agencies.node.broker_client import BrokerClient
from agencies.node.errors import AnswerMismatch
from agencies.node.store import Store
from exchange.protocol.agreement import Agreement, Notice, read_agreement, read_notice
from exchange.protocol.log import AgreementEntry, NoticeEntry, parse_entry, verify_tlog_proof
from exchange.protocol.policy import PolicyBook
from keys.encoding import instant, stamp, unb64u, write_json
from keys.signing import parse_statement
from keys.trust import Directory, LogIdentity

Item = Agreement | Notice


class TrustView:
    """The directory and the policy book of one node, current and never older than they were."""

    def __init__(self, directory: Directory, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock
        self._guard = threading.Lock()
        with store.reading() as books:
            rows = {row.digest: row for row in books.rows("signed")}
        kept = rows.pop("directory", None)
        self.directory = directory.advance(kept.jws, clock()) if kept else directory
        self.proposals: Mapping[str, Agreement] = {}
        self._items = {name: self._read(row.kind, row.jws, instant(row.at)) for name, row in rows.items()}
        self.book = self._bound(self._items)

    @property
    def log(self) -> LogIdentity:
        """The log's name and keys."""
        return self.directory.root.log

    def refresh_directory(self, broker: BrokerClient) -> None:
        """Take over the broker's directory if it continues ours; refused if it forgets anything."""
        data = broker.directory()
        with self._guard:
            if data == self.directory.to_bytes():
                return
            self.directory = self.directory.advance(data, self._clock())
            with self._store.writing() as books:
                books.put("signed", [{"digest": "directory", "kind": "directory", "jws": data, "at": ""}])

    def refresh_agreements(self, broker: BrokerClient) -> None:
        """Learn agreements and notices that the broker has and this node has not."""
        answer = broker.agreements()
        listed = [("agreement", item) for item in answer["agreements"]] + [("notice", i) for i in answer["notices"]]
        with self._guard:
            found, proposals = dict(self._items), {}
            for kind, value in listed:
                item = self._take(kind, value)
                if isinstance(item, Agreement) and item.missing:
                    proposals[item.digest] = item
                elif item.digest not in found:
                    found[item.digest] = item
            book = self._bound(found)  # before anything is kept: a set that does not fit together is refused
            self._keep([item for name, item in found.items() if name not in self._items])
            self._items, self.book, self.proposals = found, book, proposals

    def _take(self, kind: str, value: Any) -> Item:
        """Read one listed statement; what is known already is not verified again."""
        jws, at = _statement(kind, value, self.log, self._clock())
        known = self._items.get(parse_statement(jws).digest)
        return known or self._read(kind, jws, at)

    def _read(self, kind: str, jws: bytes, at: datetime) -> Item:
        return read_agreement(jws, self.directory, at) if kind == "agreement" else read_notice(jws, self.directory, at)

    def _bound(self, items: Mapping[str, Item]) -> PolicyBook:
        found = list(items.values())
        agreements = [item for item in found if isinstance(item, Agreement)]
        return PolicyBook.build(agreements, [item for item in found if isinstance(item, Notice)])

    def _keep(self, items: list[Item]) -> None:
        rows = [
            {
                "digest": item.digest,
                "kind": "agreement" if isinstance(item, Agreement) else "notice",
                "jws": item.statement.to_bytes(),
                "at": stamp(item.at),
            }
            for item in items
        ]
        with self._store.writing() as books:
            books.put("signed", rows)


def _statement(kind: str, value: Any, log: LogIdentity, now: datetime) -> tuple[bytes, datetime]:
    """The statement inside a listed item, and when the log took it: its entry's time if that is proved, else now."""
    members = value if type(value) is dict else {}
    if "payload" in members:
        return write_json(members), now
    try:
        jws = write_json(members["statement"])
        if members.get("entry") is None:
            return jws, now
        entry_bytes = unb64u(members["entry"])
        verify_tlog_proof(members["proof"], entry_bytes, log)
        entry = parse_entry(entry_bytes)
    except KeyError:
        raise AnswerMismatch("an item of the agreements is not a statement with its entry and proof") from None
    named = entry.agr if isinstance(entry, AgreementEntry) else getattr(entry, "notice", None)
    if not isinstance(entry, AgreementEntry | NoticeEntry) or named != parse_statement(jws).digest:
        raise AnswerMismatch(f"the log entry is not this {kind}'s")
    return jws, entry.at

"""The way that nothing closes: word that something speaks for a suspect (`spec/safeguards.md`, SAFE-40, SAFE-41).

Whoever holds a message and finds material that speaks for the person it suspects tells the originator so. No
handling code, onward rule, restriction, recall, erasure or suspension stands in the way, for the notice
carries no data; what it points to is asked for on the ordinary way. At the originator it is a task with a
clock: somebody acts on it within 72 hours, or it is listed as escalated until somebody does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from agencies.node.errors import NotHere, NotWaiting
from agencies.node.ledger import LedgerAct, Why
from agencies.node.mail.draft import OfficerDraft, read_draft
from agencies.node.mail.outbox import Sent
from agencies.node.office import Office
from agencies.node.profile import Officer, OfficerRole
from agencies.node.store import Books
from exchange.protocol.vocabulary import Act, Classification, MessageType
from keys.encoding import digest, instant, read_json, stamp

TERM: Final = timedelta(hours=72)
PAGE: Final = 500
LIMIT: Final = 64 * 1024
Send = Callable[[OfficerDraft, Officer, Why], Sent]


class Exculpation:
    """Tells and is told for one office."""

    def __init__(self, office: Office, send: Send) -> None:
        self._office, self._send = office, send

    def tell(
        self, message: str, kinds: Sequence[str], text: str, officer: Officer, why: Why, *, desk: str = "evidence_desk"
    ) -> Sent:
        """Tell the originator of a message that was received here that there is material which speaks for somebody."""
        officer.must_be(OfficerRole.OFFICER, OfficerRole.RELEASE_OFFICER)
        office, now = self._office, self._office.clock()
        with office.store.reading() as books:
            row = books.get("inbox", msg=message)
        if row is None:
            raise NotHere("there is no received message of that digest")
        facts = read_json(row.summary.encode(), limit=LIMIT)
        reference = "X-" + "".join(c for c in digest(f"exculpatory {message}".encode()).upper() if c.isalnum())[:20]
        content = {
            "v": "ix-case/1",
            "simulation": True,
            "type": MessageType.EXCULPATORY_NOTICE.value,
            "case": {"reference": reference},
            "as_of": now.date().isoformat(),
            "language": "en",
            "exculpatory": {"kinds": list(kinds), "text": text, "contact": {"agency": office.me, "desk": desk}},
        }
        draft = read_draft(
            {
                "to": [row.sender],
                "agr": facts["agr"],
                "purpose": facts["purpose"],
                "crime": facts["crime"],
                "class": Classification.UNCLASSIFIED.value,  # it names nobody, and no ceiling may stop it
                "handling": ["H0"],
                "urgency": "none",
                "re": message,
                "content": content,
            }
        )
        return self._send(draft, officer, why)

    def tasks(self) -> list[dict[str, Any]]:
        """Every notice that came, the longest due first: what it is about, by when, and whether that has passed."""
        self.learn()
        now = self._office.clock()
        with self._office.store.reading() as books:
            rows = books.rows("task")
            inbox = {row.msg: row for row in books.inbox_of([row.msg for row in rows])}
        found = [self._listed(row, inbox[row.msg], row.done is None and instant(row.due) <= now) for row in rows]
        return sorted(found, key=lambda one: (one["done"] is not None, one["due"], one["msg"]))

    def escalated(self) -> list[dict[str, Any]]:
        """The tasks that nobody acted on in time."""
        return [one for one in self.tasks() if one["escalated"]]

    def done(self, message: str, officer: Officer, why: Why) -> None:
        """Note that an officer has acted on a notice; the ledger says who, when and what was done."""
        officer.must_be(OfficerRole.OFFICER, OfficerRole.RELEASE_OFFICER)
        self.learn()
        office, now = self._office, self._office.clock()
        with office.store.writing() as books:
            row = books.get("inbox", msg=message)
            if row is None or books.get("task", msg=message) is None:
                raise NotHere("there is no exculpatory notice of that digest")
            if not books.turn("task", {"msg": message, "done": None}, {"done": stamp(now), "officer": officer.id}):
                raise NotWaiting("somebody has acted on this notice already")
            office.record(
                books, now,
                LedgerAct(Act.REVIEW, officer.id, why, case=row.case_name, message=message, sender=row.sender,
                          outcome="exculpatory_acted_on", index=row.seq),
            )  # fmt: skip

    def learn(self) -> None:
        """Make tasks of the notices that came since the last time."""
        with self._office.store.writing() as books:
            while self._learn(books):
                pass

    def _learn(self, books: Books) -> bool:
        rows = books.beyond("inbox", int(books.meta("tasks inbox", "0")), MessageType.EXCULPATORY_NOTICE, PAGE)
        new = [
            {"msg": row.msg, "due": stamp(instant(row.received) + TERM), "done": None, "officer": None} for row in rows
        ]
        books.add("task", new)
        if rows:
            books.set_meta("tasks inbox", str(rows[-1].n))
        return len(rows) == PAGE

    def _listed(self, row: Any, inbox: Any, escalated: bool) -> dict[str, Any]:
        facts = read_json(inbox.summary.encode(), limit=LIMIT)
        return {
            "msg": row.msg,
            "from": inbox.sender,
            "re": facts["re"],
            "received": inbox.received,
            "due": row.due,
            "done": row.done,
            "by": self._office.scribe.officer_name(row.officer) if row.officer else None,
            "escalated": escalated,
        }

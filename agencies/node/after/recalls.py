"""Restrict, rectify, recall: down the whole tree, answered by each holder, and listed with proofs (NODE-150 to 154).

What an originator says about its message afterwards reaches everybody who holds something of it. At a holder's node a
recall or restriction closes the content in the transaction that files the act; what is done about it is for an officer
to say, under the agency's signature, within 72 hours. ``whereabouts`` shows the originator the list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from agencies.node.after.acts import Acts, Deed
from agencies.node.after.following import Following
from agencies.node.errors import BrokerUnreachable, DraftMalformed, NotHere, NotWaiting
from agencies.node.held.retention import Retention
from agencies.node.ledger import LedgerAct, Why
from agencies.node.office import Office
from agencies.node.profile import Officer, OfficerRole
from agencies.node.store import Books
from exchange.protocol.act import AFTER, Act, Recall, Rectify, Restrict
from exchange.protocol.lineage import ANSWER_WITHIN
from exchange.protocol.vocabulary import Act as LedgerCode
from exchange.protocol.vocabulary import ActKind, AfterGround, HolderAnswer, RetainGround
from keys.encoding import instant, read_json, stamp, write_json

OUTCOMES: Final = {
    ActKind.RESTRICT: (HolderAnswer.RESTRICTED, HolderAnswer.ERASED, HolderAnswer.RETAINED),
    ActKind.RECTIFY: (HolderAnswer.RECTIFIED, HolderAnswer.RESTRICTED, HolderAnswer.ERASED, HolderAnswer.RETAINED),
    ActKind.RECALL: (HolderAnswer.ERASED, HolderAnswer.RESTRICTED, HolderAnswer.RETAINED),
}
"""What may be answered to each (ACT-9)."""
CAUSE: Final = "recall"
LIMIT: Final = 64 * 1024


class Recalls:
    """Takes back, and obeys, for one office. ``post_receipts`` hands in what is owed before anything is erased."""

    def __init__(
        self,
        office: Office,
        acts: Acts,
        following: Following,
        retention: Retention,
        post_receipts: Callable[[], object],
    ) -> None:
        self._office, self._acts, self._following = office, acts, following
        self._retention, self._post_receipts = retention, post_receipts
        acts.takes_back(ActKind.ANSWER, _unanswered)

    # -- the originator --

    def give(
        self, kind: str, message: str, officer: Officer, why: Why, *, ground: str, by_msg: str | None = None
    ) -> Deed:
        """Restrict, rectify or recall a message of ours, in the hands of everybody who holds something of it."""
        officer.must_be(OfficerRole.RELEASE_OFFICER)
        if kind not in AFTER or (by_msg is not None) != (kind == ActKind.RECTIFY):
            raise DraftMalformed("`act` is restrict, rectify or recall; `by_msg` stands with rectify and only there")
        if ground not in list(AfterGround):
            raise DraftMalformed(f"`ground` is one of: {', '.join(AfterGround)}")
        with self._office.store.reading() as books:
            row = books.get("outbox", msg=message)
        if row is None or row.state != "sent":
            raise NotHere("no message of that digest was sent from here")
        with suppress(BrokerUnreachable):  # the act is committed and sent later; whom it reaches is the log's to say
            self._following.read_on()
        holders = {to.id for one in self._following.disclosures().tree(message) for to in one.entry.to}
        told = tuple(sorted(holders - {self._office.me}))
        return self._acts.give(kind, message, officer, why, recipients=told, ground=ground, by_msg=by_msg)

    # -- the holder --

    def obey(self, books: Books, act: Act, concerned: Sequence[str]) -> None:
        """Queue what an originator wants done, and close at once what it restricts or recalls."""
        terms = act.terms
        if not isinstance(terms, Restrict | Recall | Rectify):
            return
        books.add("duties", [{
            "digest": act.digest, "kind": str(act.kind), "msg": terms.msg, "originator": terms.by,
            "ground": str(terms.ground), "by_msg": getattr(terms, "by_msg", None),
            "held": write_json(list(concerned)).decode(), "told": stamp(act.at),
            "due": stamp(act.at + ANSWER_WITHIN), "state": "open",
        }])  # fmt: skip
        if not isinstance(terms, Rectify):
            self.close(books, concerned, str(terms.kind))

    def stopped(self) -> dict[str, str]:
        """Every message that was recalled or restricted, if it is here or not; a recall outdoes a restriction."""
        found: dict[str, str] = {}
        with self._office.store.reading() as books:
            for row in books.rows("duties"):
                for message in _held(row) if row.kind != ActKind.RECTIFY else ():
                    found[message] = min(found.get(message, row.kind), row.kind)
        return found

    def close(self, books: Books, concerned: Sequence[str], ground: str) -> None:
        """Leave untouched from now on what is here of these messages."""
        for row in books.inbox_of(concerned):
            if row.content is not None:
                self._retention.restrict(books, row.msg, ground)

    def duties(self, *, state: str | None = None) -> list[dict[str, Any]]:
        """What originators want done here: what it is about, by when, what was answered; the oldest first."""
        with self._office.store.reading() as books:
            rows = books.rows("duties", state=state) if state else books.rows("duties")
            return [self._listed(books, row) for row in sorted(rows, key=lambda row: row.told)]

    def answer(self, act: str, officer: Officer, why: Why, *, outcome: str, ground: str | None = None) -> Deed:
        """Do what an originator wants, or say why not, and sign it: ``erased`` really erases, all that came of it."""
        officer.must_be(OfficerRole.RELEASE_OFFICER)
        row = self._duty(act)
        allowed = OUTCOMES[ActKind(row.kind)]
        if outcome not in allowed:
            raise DraftMalformed(f"`outcome` is one of: {', '.join(allowed)}")
        if (ground is not None) != (outcome == HolderAnswer.RETAINED) or ground not in (None, *RetainGround):
            raise DraftMalformed(f"`ground` stands with `retained` alone, and is one of: {', '.join(RetainGround)}")
        if row.state == "answered" and row.outcome == HolderAnswer.ERASED:
            raise NotWaiting("this was answered: everything was erased")
        return self._answer(row, outcome, ground, officer, why)

    def answer_what_is_gone(self) -> int:
        """Answer by rule where nothing is held here, or not any more; says how many were answered."""
        with self._office.store.reading() as books:
            if books.count("doubt"):  # what was spoiled on its way may be what this is about
                return 0
            rows = [row for row in books.rows("duties", state="open") if not _left(books, row)]
        answered = 0
        for row in rows:
            with suppress(BrokerUnreachable):  # receipts about it are still owed; the next round sees to it
                self._answer(row, HolderAnswer.ERASED, None, None, None)
                answered += 1
        return answered

    def _answer(self, row: Any, outcome: str, ground: str | None, officer: Officer | None, why: Why | None) -> Deed:
        now = self._office.clock()
        if outcome == HolderAnswer.ERASED:
            self._hand_in(row)

        def beside(books: Books, name: str) -> None:
            said = {"state": "answered", "outcome": outcome, "retained": ground, "answer": name, "answered": stamp(now)}
            if not books.turn("duties", {"digest": row.digest, "state": row.state, "answer": row.answer}, said):
                raise NotWaiting("somebody else has just answered this")
            self._do(books, row, outcome, ground, officer, why)

        deed = self._acts.give(
            ActKind.ANSWER, row.msg, officer, why, beside=beside, recipients=(row.originator,), re=row.digest,
            outcome=outcome, ground=ground,
        )  # fmt: skip
        if outcome == HolderAnswer.ERASED:
            self._office.store.scrub()
        return deed

    def _do(
        self, books: Books, row: Any, outcome: str, ground: str | None, officer: Officer | None, why: Why | None
    ) -> None:
        """Do to everything here that the answer is about what the answer says, in its transaction."""
        office = self._office
        if outcome == HolderAnswer.ERASED:
            for name in _held(row):  # what was passed on from here: our own copies of it
                sent = books.get("outbox", msg=name)
                if sent is None or sent.content is None:
                    continue
                books.turn("outbox", {"n": sent.n}, {"content": None, "draft": None})
                office.record(books, office.clock(), LedgerAct(
                    LedgerCode.ERASE, officer.id if officer else None, why, case=sent.case_name, message=sent.msg,
                    sender=office.me, recipients=tuple(sent.recipients.split()), outcome=CAUSE,
                ))  # fmt: skip
        for one in books.inbox_of(_held(row)):
            if one.content is None:
                continue
            if outcome == HolderAnswer.ERASED:
                self._retention.remove(books, one.msg, CAUSE, officer, why)
            elif outcome == HolderAnswer.RESTRICTED:
                self._retention.restrict(books, one.msg, row.kind)
            elif ground is not None:
                self._retention.retain(books, one.msg, ground)

    def _hand_in(self, row: Any) -> None:
        """Post what receipts are owed about what will be erased (ACT-15)."""
        self._post_receipts()
        with self._office.store.reading() as books:
            for one in _held(row):
                for owed in books.rows("owed", msg=one):
                    batch = books.get("batch", n=owed.batch) if owed.batch is not None else None
                    if batch is None or batch.state == "unposted":
                        raise BrokerUnreachable("receipts about this are still to be handed in; answer when they are")

    def _duty(self, act: str) -> Any:
        with self._office.store.reading() as books:
            row = books.get("duties", digest=act)
        if row is None:
            raise NotHere("no originator asked anything of this agency by an act of that digest")
        return row

    def _listed(self, books: Books, row: Any) -> dict[str, Any]:
        held = _held(row)
        exported = [
            {"msg": one.msg, "at": one.ts} for name in held for one in books.rows("ledger", msg=name, act="export")
        ]
        onward = [
            {"msg": one.msg, "to": one.recipients.split()}
            for one in books.outbox_of("msg", held)
            if one.state == "sent"
        ]
        late = row.state == "open" and self._office.clock() > instant(row.due)
        return {
            "act": row.digest, "kind": row.kind, "msg": row.msg, "originator": row.originator, "ground": row.ground,
            "by_msg": row.by_msg, "held": held, "passed_on": onward, "exported": exported, "told": row.told,
            "due": row.due, "state": row.state, "overdue": late, "outcome": row.outcome, "retained": row.retained,
            "answer": row.answer, "answered": row.answered, "may_answer": list(OUTCOMES[ActKind(row.kind)]),
        }  # fmt: skip


def closed(books: Books, message: str) -> bool:
    """Whether a message, one of our own also, holds what its originator has restricted or recalled."""
    return any(message in _held(row) for row in books.rows("duties") if row.kind != ActKind.RECTIFY)


def _held(row: Any) -> list[str]:
    return list(read_json(row.held.encode(), limit=LIMIT))


def _left(books: Books, row: Any) -> bool:
    """Whether anything of what a duty is about is still here."""
    names = _held(row)
    ours = [books.get("outbox", msg=one) for one in names]
    return any(one.content is not None for one in books.inbox_of(names)) or any(
        one is not None and one.content is not None for one in ours
    )


def _unanswered(books: Books, name: str) -> None:
    """The broker refused an answer for good: somebody has to look at it again."""
    for row in books.rows("duties", answer=name):
        again = {"state": "open", "outcome": None, "retained": None, "answer": None, "answered": None}
        books.turn("duties", {"digest": row.digest}, again)

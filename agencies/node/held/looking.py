"""Looking: content leaves the vault here and nowhere else, after the rules were asked and the ledger has the act.

Opening, exporting and passing on what was received goes by what binds it (``holding``); one's own messages go by the
officer's clearance and cases. Several messages are shown together or not at all. A handling text (H3) is shown by
itself first, and acknowledged with a signed act to its originator (`spec/nodes.md`, NODE-47, NODE-81 to NODE-90).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agencies.node.after.recalls import closed
from agencies.node.errors import NoLongerHere, NotAcknowledged, NotHere, Restricted
from agencies.node.held.ancestry import behind
from agencies.node.held.deriving import derive
from agencies.node.held.holding import LIMIT, WHOLE, Holdings, Stopped, Use, Wish
from agencies.node.ledger import LedgerAct, Why
from agencies.node.mail.draft import OfficerDraft, read_draft
from agencies.node.office import Office
from agencies.node.profile import Officer, OfficerRole
from agencies.node.store import Books
from exchange.protocol.vocabulary import Act, ActKind, Handling
from keys.encoding import read_json, stamp
from keys.errors import Refusal

if TYPE_CHECKING:
    from agencies.node.after.acts import Acts

WORKERS: Final = (OfficerRole.OFFICER, OfficerRole.RELEASE_OFFICER)


class Looking:
    """Shows and hands out for one office."""

    def __init__(self, office: Office, holdings: Holdings, acts: Acts) -> None:
        self._office, self._holdings, self._acts = office, holdings, acts

    def open_many(
        self, messages: Sequence[str], officer: Officer, why: Why, purpose: str | None, ground: str | None
    ) -> list[bytes]:
        """Show several messages' contents under one reason: an act for each, all on disk before the first is shown."""
        officer.must_be(*WORKERS)
        office, now = self._office, self._office.clock()
        wish = Wish(Use.OPEN, officer, why, purpose, ground)
        with self._holdings.guarded(), office.store.writing() as books:
            found = self.messages(books, messages)
            meant = [self._must(books, row, mine, wish) for row, mine in found]
            acts = [
                self.act(row, mine, Act.CONSULT if mine else Act.OPEN, officer, why, use)
                for (row, mine), use in zip(found, meant, strict=True)
            ]
            office.record(books, now, *acts)
            first = books.mark_opened([row.msg for row, mine in found if not mine], stamp(now))
            books.add("owed", [{"msg": msg, "status": "opened", "code": None} for msg in first])
        return [self._content(row, mine) for row, mine in found]  # only now: the ledger's acts are on disk

    def export(
        self, message: str, officer: Officer, why: Why, purpose: str | None, ground: str | None
    ) -> tuple[Any, bool, Any]:
        """Hand a message out as evidence: its row, whether it is ours, and its content."""
        officer.must_be(*WORKERS)
        office = self._office
        wish = Wish(Use.EXPORT, officer, why, purpose, ground)
        with self._holdings.guarded(), office.store.writing() as books:
            ((row, mine),) = self.messages(books, [message])
            used = self._must(books, row, mine, wish)
            office.record(books, office.clock(), self.act(row, mine, Act.EXPORT, officer, why, used))
        return row, mine, read_json(self._content(row, mine), limit=LIMIT)

    def condition(self, message: str, officer: Officer, why: Why) -> str | None:
        """Show the handling text of a received message and nothing else of it; none if it has none."""
        officer.must_be(*WORKERS)
        office, now = self._office, self._office.clock()
        with self._holdings.guarded(), office.store.writing() as books:
            row = self._received(books, message)
            self._must_read(books, row, officer, why)
            held = self._holdings.of(books, message)
            act = self.act(row, False, Act.CONSULT, officer, why, None)
            there = Handling.H3 in held.handling
            office.record(books, now, _with(act, "handling_text" if there else "no_handling_text"))
            if not there:
                return None
            shown = sorted({*json.loads(held.row.shown), officer.id})
            self._holdings.change(books, held, shown=json.dumps(shown))
        text: str = read_json(self._content(row, False), limit=LIMIT)["handling_text"]
        return text

    def acknowledge(self, message: str, officer: Officer, why: Why) -> None:
        """Take note of a handling text that was shown; the first officer's also goes to the originator, signed."""
        officer.must_be(*WORKERS)

        def note(books: Books, _: str) -> None:
            row = self._received(books, message)
            self._must_read(books, row, officer, why)
            held = self._holdings.of(books, message)
            if officer.id not in json.loads(held.row.shown):
                refusal = NotAcknowledged("read the handling text first; then acknowledge it")
                raise Stopped(refusal, self._holdings.attempt(row, Wish(Use.OPEN, officer, why), refusal))
            both = sorted({*json.loads(held.row.acknowledged), officer.id})
            self._holdings.change(books, held, acknowledged=json.dumps(both))
            if held.row.acknowledged != "[]":  # the first one's act has its own place in the ledger once it is proved
                act = self.act(row, False, Act.CONSULT, officer, why, None)
                self._office.record(books, self._office.clock(), _with(act, "acknowledge"))

        with self._office.store.reading() as books:
            self._received(books, message)
            held = self._holdings.of(books, message)
        if held.acknowledged_by(officer):
            return
        with self._holdings.guarded():
            if held.row.acknowledged == "[]":
                told = (held.originator,)
                self._acts.give(ActKind.ACKNOWLEDGE, message, officer, why, beside=note, recipients=told)
            else:
                with self._office.store.writing() as books:
                    note(books, "")

    def derived(
        self, message: str, to: Sequence[str], fields: Sequence[str], purpose: str, officer: Officer, why: Why,
        *, text: str, desk: str, told: dict[str, Any],
    ) -> OfficerDraft:  # fmt: skip
        """Write the draft that passes chosen fields of a received message on, if its originator lets it (NODE-89)."""
        officer.must_be(*WORKERS)
        wish = Wish(Use.FORWARD, officer, why, purpose, None, tuple(to), tuple(fields) or (WHOLE,))
        with self._holdings.guarded(), self._office.store.reading() as books:
            row = self._received(books, message)
            self._holdings.must(books, row, wish)
            held = self._holdings.of(books, message)
        content = read_json(self._content(row, False), limit=LIMIT)
        answers = "re" in told
        new = derive(content, message, wish.fields, text=text, me=self._office.me, desk=desk, answers=answers)
        facts = {
            "to": list(to), "purpose": purpose, "crime": str(held.entry.crime), "class": str(held.entry.class_),
            "handling": sorted(held.handling), "urgency": "none",
        }  # fmt: skip
        return read_draft({**facts, **told, "src": [message], "content": new})

    # -- rows --

    def messages(self, books: Books, names: Sequence[str]) -> list[tuple[Any, bool]]:
        """The rows of messages by digest, or by an outbox reference, and whether each is ours; all or none."""
        found: dict[str, tuple[Any, bool]] = {row.msg: (row, False) for row in books.inbox_of(names)}
        for name in names:
            if name not in found:
                row = books.get("outbox", msg=name) or books.get("outbox", ref=name)
                if row is None:
                    raise NotHere("there is no message of that digest here")
                found[name] = row, True
        return [found[name] for name in names]

    def act(self, row: Any, mine: bool, act: Act, officer: Officer, why: Why, purpose: str | None) -> LedgerAct:
        """What the ledger says about a look at a message."""
        facts = read_json(row.summary.encode(), limit=LIMIT)
        to = row.recipients.split(" ") if mine else facts["to"]
        return LedgerAct(
            act, officer.id, why, purpose or facts["purpose"], facts["agr"], case=row.case_name, message=row.msg,
            sender=self._office.me if mine else row.sender, recipients=tuple(to), categories=tuple(facts["cats"]),
            index=row.seq,
        )  # fmt: skip

    def _received(self, books: Books, message: str) -> Any:
        rows = books.inbox_of([message])
        if not rows:
            raise NotHere("there is no received message of that digest")
        return rows[0]

    def _must(self, books: Books, row: Any, mine: bool, wish: Wish) -> str | None:
        """The purpose a look is for, if it may be; of what is truly our own only the officer's rights are asked."""
        if not mine:
            return self._holdings.must(books, row, wish)
        assert wish.officer is not None  # noqa: S101  # whoever looks is somebody
        facts = read_json(row.summary.encode(), limit=LIMIT)
        try:
            self._holdings.must_read(wish.officer, row.case_name, facts["class"], None, self._holdings.now(books))
            if closed(books, row.msg or ""):
                raise Restricted("this message of our own came from one that its originator has restricted or recalled")
            sources = books.inbox_of(list(behind(self._office, books, row)))
        except Refusal as refusal:
            assert wish.why is not None  # noqa: S101
            act = self.act(row, True, Act.ATTEMPT_DENIED, wish.officer, wish.why, None)
            raise Stopped(refusal, _with(act, refusal.code, f"{wish.use}: {refusal.sentence}")) from None
        for source in sources:  # a copy is bound like what it was made from (NODE-100)
            self._holdings.must(books, source, wish)
        return None

    def _must_read(self, books: Books, row: Any, officer: Officer, why: Why) -> None:
        """Refuse a handling text to whom the message itself would be refused, but for what it asks to acknowledge."""
        try:
            if row.content is None:
                raise NoLongerHere("the content of this message is not here any more")
            held, now = self._holdings.of(books, row.msg), self._holdings.now(books)
            if held.row.state == "erased" or self._holdings.over(held, now):
                raise NoLongerHere("the time for which this message may be held is over")
            self._holdings.must_read(officer, row.case_name, str(held.entry.class_), held.owes, now)
        except Refusal as refusal:
            raise Stopped(refusal, self._holdings.attempt(row, Wish(Use.OPEN, officer, why), refusal)) from None

    def _content(self, row: Any, mine: bool) -> bytes:
        if row.content is None:
            raise NoLongerHere("the content of this message is not here any more")
        context = f"outbox content {row.ref}" if mine else f"inbox {row.msg}"
        return self._office.vault.unlock(row.content, context)


def _with(act: LedgerAct, outcome: str, *reasons: str) -> LedgerAct:
    return replace(act, outcome=outcome, reasons=reasons, index=None)


__all__ = ["WORKERS", "Looking"]

"""Onward: what is passed on of what was received, and that its originator lets it (NODE-88 to NODE-90).

A draft says what it is derived from: `src` in the manifest, `sources` with their fields in the content, and both
must agree. Each source is asked for by this node before anything else happens to the draft: held here, and free to
go to these recipients, for this purpose, with these fields; nothing it is marked with may be lost on the way. No
ruling is asked about that, for a broker that would say yes could not make it right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agencies.node.errors import NotHere, OnwardRefused
from agencies.node.held.ancestry import behind
from agencies.node.held.deriving import unnamed
from agencies.node.held.holding import LIMIT, Held, Holdings, Stopped, Use, Wish
from agencies.node.held.quoting import Quotes
from agencies.node.ledger import LedgerAct, Why
from agencies.node.office import Office
from agencies.node.profile import Officer
from agencies.node.store import Books
from exchange.protocol.matching import Consent, Source
from exchange.protocol.vocabulary import Act, Classification, ConsentFor, Handling
from keys.encoding import read_json
from keys.errors import Refusal

if TYPE_CHECKING:
    from agencies.node.mail.draft import Forecast


class Onwards:
    """Judges, for one office, what is derived from what it holds."""

    def __init__(self, office: Office, holdings: Holdings) -> None:
        self._office, self._holdings = office, holdings
        self.quotes = Quotes(office, holdings)

    def sources(self, names: Sequence[str]) -> tuple[Source, ...]:
        """What is known here of the messages that a draft is derived from, as a decision wants it."""
        if not names:
            return ()
        with self._office.store.reading() as books:
            every = list(dict.fromkeys([*names, *(far for name in names for far in self._behind(books, name))]))
            return tuple(self._source(books, name) for name in every)

    def _behind(self, books: Books, name: str) -> dict[str, tuple[str, ...]]:
        """What of others stands behind a message, if it is one of our own."""
        ours = None if books.inbox_of([name]) else books.get("outbox", msg=name)
        return behind(self._office, books, ours) if ours is not None else {}

    def must_pass(self, seen: Forecast, officer: Officer | None, why: Why | None) -> None:
        """Return if every source, named or not, may go where the draft goes; else ``Stopped`` (NODE-88, NODE-99)."""
        self.quotes.must_name(seen, officer, why)
        if not seen.draft.src:
            return
        with self._office.store.reading() as books:
            for source in seen.case.sources:
                self._must_pass(books, seen, source.msg, source.fields, officer, why)

    def _must_pass(
        self, books: Books, seen: Forecast, msg: str, fields: tuple[str, ...], officer: Officer | None, why: Why | None
    ) -> None:
        draft = seen.draft
        rows = books.inbox_of([msg])
        if not rows:
            if books.get("outbox", msg=msg) is None:
                refusal = NotHere("a source of this draft is no message of this node")
                raise Stopped(refusal, self._unsourced(seen, officer, why, refusal))
            for far, taken in self._behind(books, msg).items():  # what it came from is not our own to tell
                self._must_pass(books, seen, far, taken, officer, why)
            return
        wish = Wish(Use.FORWARD, officer, why, str(draft.purpose), None, draft.to, fields, str(seen.case.type))
        self._holdings.must(books, rows[0], wish)
        held = self._holdings.of(books, msg)
        if all(agency == held.originator for agency in draft.to):
            return  # it knows what it said, and how it marked it
        try:
            self._must_carry(rows[0], held, seen, fields)
        except Refusal as refusal:
            raise Stopped(refusal, self._holdings.attempt(rows[0], wish, refusal)) from None

    def _must_carry(self, row: Any, held: Held, seen: Forecast, fields: tuple[str, ...]) -> None:
        """Refuse a draft that loses a mark of its source, or carries more of it than it names (NODE-90)."""
        draft = seen.draft
        if Classification(str(draft.class_)).rank < Classification(str(held.entry.class_)).rank:
            raise OnwardRefused("what is passed on keeps at least the classification of its source")
        lost = sorted((held.handling - {Handling.H0}) - {str(code) for code in draft.handling})
        if lost:
            raise OnwardRefused(f"what is passed on keeps the handling codes of its source: {', '.join(lost)}")
        source = read_json(self._office.vault.unlock(row.content, f"inbox {row.msg}"), limit=LIMIT)
        if (source.get("handling_text") or "") not in (seen.case.handling_text or ""):
            raise OnwardRefused("what is passed on keeps the handling text of its source")
        if more := unnamed(draft.content, source, fields):
            raise OnwardRefused(f"it carries more of its source than it names: {', '.join(more)}")

    def _unsourced(self, seen: Forecast, officer: Officer | None, why: Why | None, refusal: Refusal) -> LedgerAct:
        draft = seen.draft
        return LedgerAct(
            Act.ATTEMPT_DENIED, officer.id if officer else None, why, str(draft.purpose), draft.agr,
            case=self._office.scribe.case_name(seen.case.case.reference), sender=self._office.me, recipients=draft.to,
            categories=seen.categories, outcome=refusal.code, reasons=(refusal.sentence,),
        )  # fmt: skip

    def _source(self, books: Books, name: str) -> Source:
        me = self._office.me
        if not books.inbox_of([name]):
            return Source(name, me, books.get("outbox", msg=name) is not None, False, "none", frozenset({me}), ())
        held = self._holdings.of(books, name)
        consents = tuple(
            Consent(one.holder, frozenset(one.to or ()), frozenset(str(p) for p in one.purposes), one.until, False,
                    tuple(one.fields))
            for one in self._holdings.consents(name, ConsentFor.ONWARD)
        )  # fmt: skip
        stopped = held.row.state != "held"
        return Source(name, held.originator, True, stopped, held.owes.onward, held.parties, consents)


__all__ = ["Onwards"]

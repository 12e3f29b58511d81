"""Quoting: what was received is known again word for word, also in a draft that names no source (NODE-99).

Of every longer text and attachment that comes in, the books keep a MAC that only this node can make, until it goes.
A draft that repeats one and does not name where it is from goes only to whom its originator told it, or lets it go
without a consent. Words that this agency used itself before anybody told it them are its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from agencies.node.errors import OnwardRefused
from agencies.node.held.holding import Holdings, Stopped, Use, Wish
from agencies.node.ledger import Why
from agencies.node.office import Office
from agencies.node.profile import Officer
from agencies.node.store import Books
from exchange.protocol.content import CaseMessage
from exchange.protocol.vocabulary import Onward
from keys.encoding import b64u

if TYPE_CHECKING:
    from agencies.node.mail.draft import Forecast

SHORTEST: Final = 40
"""Characters of the shortest passage that is known again; what is shorter may be anybody's words."""
_NOT_WORDS: Final = frozenset({"handling_text", "sources", "sealed_parts", "attachments"})
"""Members of a content that say nothing of the matter, or are known again otherwise."""
OURS: Final = ""
"""What stands for a message where the words are this agency's own."""


def _texts(value: Any) -> Iterator[str]:
    """Every text of a content that is long enough, in whichever member it stands."""
    if isinstance(value, str):
        if len(value) >= SHORTEST:
            yield value
    elif isinstance(value, BaseModel):
        for name, member in value.__dict__.items():
            if member and name not in _NOT_WORDS:
                yield from _texts(member)
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts(item)


class Quotes:
    """Knows for one office whose words are whose."""

    def __init__(self, office: Office, holdings: Holdings) -> None:
        self._office, self._holdings = office, holdings

    def received(self, msg: str, content: CaseMessage) -> list[dict[str, Any]]:
        """The rows to write beside a message that has just been taken in."""
        return [{"quote": quote, "msg": msg} for quote in self._quotes(content)]

    def own(self, books: Books, content: CaseMessage) -> list[dict[str, Any]]:
        """The rows to write beside a message of ours: the words that nobody has told us."""
        quotes = self._quotes(content)
        known = {row.quote for row in books.quoted(quotes)}
        return [{"quote": quote, "msg": OURS} for quote in quotes if quote not in known]

    def must_name(self, seen: Forecast, officer: Officer | None, why: Why | None) -> None:
        """Return if a draft quotes nobody whom it does not name and who does not let it; ``Stopped`` otherwise."""
        with self._office.store.reading() as books:
            rows = books.quoted(self._quotes(seen.case))
            ours = {row.quote for row in rows if row.msg == OURS}
            named = {row.quote for row in rows if row.msg in seen.draft.src}
            for row in rows:
                if row.quote not in ours | named:
                    self._must_name(books, row.msg, seen, officer, why)

    def _must_name(self, books: Books, msg: str, seen: Forecast, officer: Officer | None, why: Why | None) -> None:
        rows, to = books.inbox_of([msg]), seen.draft.to
        if not rows:
            return
        held = self._holdings.of(books, msg)
        others = [one for one in to if one != held.originator and one not in {a.id for a in held.entry.to}]
        rule = Onward(held.owes.onward)
        if rule is Onward.WITHIN_PARTIES:
            others = [one for one in others if one not in held.parties]
        if others:
            refusal = OnwardRefused("it repeats word for word what came from elsewhere, and does not name it in `src`")
            wish = Wish(Use.FORWARD, officer, why, str(seen.draft.purpose), None, tuple(to))
            raise Stopped(refusal, self._holdings.attempt(rows[0], wish, refusal))

    def _quotes(self, content: CaseMessage) -> list[str]:
        said = ["text\n" + " ".join(text.split()) for text in _texts(content)]
        said += ["file\n" + one.sha256 for one in content.attachments]
        return sorted({b64u(self._office.vault.seal(f"quote\n{one}".encode())) for one in said})


__all__: Sequence[str] = ("OURS", "Quotes")

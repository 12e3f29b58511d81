"""Consents: a holder asks, the originator's release officer decides, what was agreed is kept (NODE-140 to NODE-143).

Whoever received a message asks its originator before passing it on, using it for another purpose or as evidence. An
ask waits in the originator's queue until a person who did not send that message decides; nothing is ever agreed by
silence or by the node alone. What was agreed is kept with its proof by holder and recipients, and can be withdrawn.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from agencies.node.after.acts import Acts, Beside, Deed
from agencies.node.errors import DraftMalformed, NotHere, NotWaiting, ReleaseRefused
from agencies.node.held.deriving import is_there
from agencies.node.ledger import Why
from agencies.node.office import Office
from agencies.node.profile import Officer, OfficerRole
from agencies.node.store import Books
from exchange.protocol.act import Ask, Consent, Decline, Withdraw, parse_act, read_act
from exchange.protocol.entry import ActEntry, parse_entry
from exchange.protocol.log import verify_tlog_proof
from exchange.protocol.neutral import NEVER_TOLD
from exchange.protocol.vocabulary import ActKind, ConsentFor, RefusalGround
from keys.encoding import instant, read_json, write_json
from keys.errors import Refusal
from keys.signing import parse_statement

WHOLE: Final = ("",)
"""The field list that means the whole content: the JSON pointer to it."""
LIMIT: Final = 64 * 1024
WIDE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Agreed:
    """One live consent of an originator, as its holder has it."""

    digest: str
    msg: str
    originator: str
    holder: str
    want: str
    to: frozenset[str]
    purposes: frozenset[str]
    fields: tuple[str, ...]
    until: datetime

    @classmethod
    def of(cls, row: Any) -> Agreed:
        """Read a row of the consents."""
        return cls(
            row.digest, row.msg, row.originator, row.holder, row.want, frozenset(row.recipients.split()),
            frozenset(row.purposes.split()), tuple(read_json(row.fields.encode(), limit=LIMIT)), instant(row.until),
        )  # fmt: skip


class Consents:
    """Asks and decides for one office. ``originator_of`` says who sent a message, by the books and the log."""

    def __init__(self, office: Office, acts: Acts, originator_of: Any) -> None:
        self._office, self._acts, self._originator_of = office, acts, originator_of
        self.must_reach: Callable[[str, Collection[str], Officer, Why], None] = lambda *_: None
        """Asked before a consent lets a message of ours go to others; raises if a safeguard forbids it (SAFE-16)."""
        acts.takes_back(ActKind.ASK, lambda books, name: _drop(books, name, "open"))
        acts.takes_back(ActKind.CONSENT, _undecided)
        acts.takes_back(ActKind.DECLINE, _undecided)
        acts.takes_back(ActKind.WITHDRAW, _revive)

    # -- the holder --

    def ask(
        self,
        message: str,
        officer: Officer,
        why: Why,
        *,
        want: str,
        purposes: Sequence[str],
        until: datetime,
        to: Sequence[str] = (),
        fields: Sequence[str] = WHOLE,
        beside: Beside | None = None,
        at_once: bool = True,
    ) -> Deed:
        """Ask a message's originator for its consent; the answer comes through the mailbox.

        ``beside`` is written in the transaction that commits the ask; ``at_once`` as in ``Acts.give``.
        """
        officer.must_be(OfficerRole.OFFICER, OfficerRole.RELEASE_OFFICER)
        originator = self._originator_of(message)
        if originator == self._office.me:
            raise NotHere("a message of our own needs no consent of ours")
        self._must_be_there(message, fields)
        note = self._note(officer)

        def both(books: Books, name: str) -> None:
            note(books, name)
            if beside:
                beside(books, name)

        return self._acts.give(
            ActKind.ASK, message, officer, why, beside=both, recipients=(originator,), at_once=at_once,
            want=_code(ConsentFor, "want", want), purposes=list(purposes), fields=list(fields), until=until,
            to=list(to) or None,
        )  # fmt: skip

    def live(self, message: str, want: str | None = None) -> tuple[Agreed, ...]:
        """The consents for a message that hold now, given to this agency as the holder."""
        now, me = self._office.clock(), self._office.me
        with self._office.store.reading() as books:
            rows = books.rows("consents", msg=message, kind="consent", way="in", state="live", holder=me)
            acts = {row.digest: books.get("acts", digest=row.digest) for row in rows}
            withdrawn = {act.re for act in books.rows("acts", msg=message, kind=str(ActKind.WITHDRAW))}
        kept = [row for row in rows if row.digest not in withdrawn]  # whatever its state says: that can be written over
        found = [Agreed.of(row) for row in kept if self._signed(row, acts[row.digest])]
        return tuple(one for one in found if one.until > now and want in (None, one.want))

    def _signed(self, row: Any, act: Any) -> bool:
        """Whether a consent in the books is the one its originator signed and the log has: books can be edited."""
        trust = self._office.trust
        try:
            verify_tlog_proof(act.proof, bytes(act.entry), trust.log)
            entry = parse_entry(bytes(act.entry))
            given = read_act(bytes(act.jws), trust.directory, entry.at)
        except (Refusal, AttributeError):
            return False
        terms, fields = given.terms, read_json(row.fields.encode(), limit=LIMIT)
        if not isinstance(terms, Consent) or not isinstance(entry, ActEntry) or entry.statement != given.digest:
            return False
        said = _members(given.digest, terms, "in", terms.by, terms.holder, "live")
        noted = [row.digest, row.msg, row.originator, row.want, row.recipients, row.purposes, fields, row.until]
        names = ("digest", "msg", "originator", "want", "recipients", "purposes")
        return noted == [*(said[name] for name in names), list(terms.fields), terms.until]

    # -- the originator --

    def waiting(self) -> list[dict[str, Any]]:
        """What others ask of this agency and nobody has decided, oldest first."""
        with self._office.store.reading() as books:
            found = books.rows("consents", kind="ask", way="in", state="open")
        return [_listed(row) for row in sorted(found, key=lambda row: row.at)]

    def listed(self, *, state: str | None = None) -> list[dict[str, Any]]:
        """Every ask and consent in these books, in and out, the oldest first."""
        with self._office.store.reading() as books:
            found = books.rows("consents", state=state) if state else books.rows("consents")
        return [_listed(row) for row in sorted(found, key=lambda row: (row.at, row.kind))]

    def decide(
        self,
        ask: str,
        officer: Officer,
        why: Why,
        *,
        approve: bool,
        ground: str | None = None,
        to: Sequence[str] | None = None,
        purposes: Sequence[str] | None = None,
        fields: Sequence[str] | None = None,
        until: datetime | None = None,
    ) -> Deed:
        """Consent to what was asked, or to less of it, or decline with a ground; never by who sent the message."""
        row = self._ask(ask, officer, approve=approve)
        if not approve:
            given = _code(RefusalGround, "ground", ground or "")
            given = RefusalGround.CANNOT_RESPOND.value if given in NEVER_TOLD else given  # others read this act
            return self._acts.give(
                ActKind.DECLINE, row.msg, officer, why, beside=_decided(row, "declined", given),
                recipients=(row.holder,), re=ask, ground=given,
            )  # fmt: skip
        asked = Agreed.of(row)
        less = (
            set(to or ()) <= asked.to and set(purposes or ()) <= asked.purposes,
            fields is None or all(any(_within(f, g) for g in asked.fields) for f in fields),
            until is None or until <= asked.until,
        )
        if not all(less) or [] in (to, purposes, fields):
            raise DraftMalformed("a decision may consent to less than was asked, not to more, and not to nothing")
        self._must_be_there(row.msg, fields or ())
        told = sorted(asked.to) if to is None else sorted(to)
        self.must_reach(row.msg, told, officer, why)
        return self._acts.give(
            ActKind.CONSENT, row.msg, officer, why, beside=_decided(row, "consented"), recipients=(row.holder, *told),
            re=ask, want=row.want, holder=row.holder, to=told or None, until=until or asked.until,
            purposes=sorted(asked.purposes) if purposes is None else list(purposes),
            fields=list(asked.fields) if fields is None else list(fields),
        )  # fmt: skip

    def withdraw(self, consent: str, officer: Officer, why: Why) -> Deed:
        """Take a consent of ours back, from the moment the log has it."""
        officer.must_be(OfficerRole.RELEASE_OFFICER)
        with self._office.store.reading() as books:
            row = books.get("consents", digest=consent)
        if row is None or row.kind != "consent" or row.way != "out":
            raise NotHere("there is no consent of ours of that digest")
        if row.state != "live":
            raise NotWaiting(f"this consent is {row.state}")

        def withdrawn(books: Books, name: str) -> None:
            if not books.turn("consents", {"digest": consent, "state": "live"}, {"state": "withdrawn", "answer": name}):
                raise NotWaiting("somebody else has just withdrawn this consent")

        told = (row.holder, *row.recipients.split())
        return self._acts.give(ActKind.WITHDRAW, row.msg, officer, why, beside=withdrawn, recipients=told, re=consent)

    def _ask(self, ask: str, officer: Officer, *, approve: bool) -> Any:
        officer.must_be(OfficerRole.RELEASE_OFFICER)
        with self._office.store.reading() as books:
            row = books.get("consents", digest=ask)
            ours = books.get("outbox", msg=row.msg) if row is not None else None
        if row is None or row.kind != "ask" or row.way != "in":
            raise NotHere("nobody asked this agency for a consent of that digest")
        if row.state != "open":
            raise NotWaiting(f"this was decided already: {row.state}")
        if ours is not None and ours.officer == officer.id:
            raise ReleaseRefused("who sent a message may not decide who else gets it")
        if approve and ours is not None and not ours.officer:
            raise ReleaseRefused("who sent this is not known any more, so nobody can show that it was somebody else")
        return row

    def _must_be_there(self, message: str, fields: Sequence[str]) -> None:
        """Refuse a field that is nothing of the message: others read it, and it could say a name (NODE-144)."""
        with self._office.store.reading() as books:
            rows = books.inbox_of([message])
            row, context = (rows[0], f"inbox {message}") if rows else (books.get("outbox", msg=message), "")
        content = None
        if row is not None and row.content is not None:
            content = read_json(
                self._office.vault.unlock(row.content, context or f"outbox content {row.ref}"), limit=WIDE
            )
        if not all(is_there(content, field) for field in fields):
            raise DraftMalformed(
                "a field is empty for all, or points to an item of the message, perhaps to a member of it"
            )

    def _note(self, officer: Officer) -> Any:
        def note(books: Books, name: str) -> None:
            row = books.get("acts", digest=name)
            terms = parse_act(parse_statement(row.jws).payload)  # type: ignore[union-attr]
            if isinstance(terms, Ask) and books.get("consents", digest=name) is None:
                members = _members(name, terms, "out", self._originator_of(terms.msg), self._office.me, "open")
                books.add("consents", [members | {"officer": officer.id}])

        return note


# -- what came in ---------------------------------------------------------------------------------


def file_heard(books: Books, name: str, terms: Ask | Consent | Decline | Withdraw, me: str) -> None:
    """Write down what somebody else's act about a consent means; one that was written down before changes nothing."""
    if isinstance(terms, Ask):
        if books.get("consents", digest=name) is None:
            books.add("consents", [_members(name, terms, "in", me, terms.by, "open")])
    elif isinstance(terms, Consent):
        if books.get("consents", digest=name) is None:
            books.add("consents", [_members(name, terms, "in", terms.by, terms.holder, "live")])
        if terms.re is not None:
            books.turn("consents", _open_ask(terms.re), {"state": "consented", "answer": name})
    elif isinstance(terms, Decline):
        said = {"state": "declined", "answer": name, "ground": str(terms.ground)}
        books.turn("consents", _open_ask(terms.re), said)
    else:
        consent = {"digest": terms.re, "kind": "consent", "way": "in", "originator": terms.by, "state": "live"}
        books.turn("consents", consent, {"state": "withdrawn", "answer": name})


def _open_ask(name: str) -> dict[str, str]:
    return {"digest": name, "kind": "ask", "way": "out", "state": "open"}


def _members(name: str, terms: Ask | Consent, way: str, originator: str, holder: str, state: str) -> dict[str, Any]:
    return {
        "digest": name, "kind": str(terms.kind), "way": way, "msg": terms.msg, "originator": originator,
        "holder": holder, "want": str(terms.want), "recipients": " ".join(terms.to or ()),
        "purposes": " ".join(terms.purposes), "fields": write_json(list(terms.fields)).decode(),
        "until": terms.until, "state": state, "at": terms.ts, "answer": None, "ground": None, "officer": None,
    }  # fmt: skip


def _decided(row: Any, state: str, ground: str | None = None) -> Any:
    """Write with the decision that it was made, and what was consented to."""

    def note(books: Books, name: str) -> None:
        said = {"state": state, "answer": name, "ground": ground}
        if not books.turn("consents", {"digest": row.digest, "state": "open"}, said):
            raise NotWaiting("somebody else has just decided this")
        act = books.get("acts", digest=name)
        terms = parse_act(parse_statement(act.jws).payload)  # type: ignore[union-attr]
        if isinstance(terms, Consent):
            books.add("consents", [_members(name, terms, "out", terms.by, terms.holder, "live")])

    return note


def _drop(books: Books, name: str, state: str) -> None:
    books.turn("consents", {"digest": name, "state": state}, {"state": "refused"})


def _undecided(books: Books, name: str) -> None:
    """The broker refused a decision for good: the ask is open again."""
    for row in books.rows("consents", answer=name, kind="ask"):
        books.turn("consents", {"digest": row.digest}, {"state": "open", "answer": None, "ground": None})
    _drop(books, name, "live")


def _revive(books: Books, name: str) -> None:
    for row in books.rows("consents", answer=name, kind="consent"):
        books.turn("consents", {"digest": row.digest, "state": "withdrawn"}, {"state": "live", "answer": None})


def _within(field: str, wider: str) -> bool:
    """Whether a JSON pointer is another one or stands below it."""
    return field == wider or field.startswith(wider + "/")


def _code(codes: Any, member: str, said: str) -> str:
    try:
        return str(codes(said))
    except ValueError:
        raise DraftMalformed(f"`{member}` is one of: {', '.join(codes)}") from None


def _listed(row: Any) -> dict[str, Any]:
    return {
        "act": row.digest, "kind": row.kind, "way": row.way, "msg": row.msg, "originator": row.originator,
        "holder": row.holder, "want": row.want, "to": row.recipients.split(), "purposes": row.purposes.split(),
        "fields": read_json(row.fields.encode(), limit=LIMIT), "until": row.until, "state": row.state, "at": row.at,
        "answer": row.answer, "ground": row.ground,
    }  # fmt: skip

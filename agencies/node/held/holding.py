"""Holding: what a received message ties this agency to, and whether an officer may do this now (NODE-81 to NODE-97).

The obligations follow from the log's entry, its agreement, the handling codes and the content's mark, and are worked
out anew whenever somebody wants to look, hand out or pass on; what was done about them (acknowledged, restricted,
kept) rests in one sealed row beside the message. Who may not is told which rule stands in the way and nothing else,
and the ledger has the attempt. Dates and erasure are ``retention``'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from agencies.node.errors import (
    ClearanceMissing,
    EvidenceRefused,
    HoldingBroken,
    NeedToKnowMissing,
    NoLongerHere,
    NotAcknowledged,
    NotHere,
    OnwardRefused,
    PurposeRefused,
    Restricted,
    RoleMissing,
    TrainingMissing,
)
from agencies.node.ledger import LedgerAct, Why
from agencies.node.office import Office
from agencies.node.profile import Officer, OfficerRole
from agencies.node.store import Books
from exchange.protocol import marks
from exchange.protocol.entry import DisclosureEntry
from exchange.protocol.log import parse_entry
from exchange.protocol.obligations import Obligations, owed
from exchange.protocol.vocabulary import (
    Act,
    Classification,
    ConsentFor,
    Handling,
    MessageType,
    Onward,
    Purpose,
    RetainGround,
)
from keys.encoding import b64u, instant, read_json, stamp, unb64u, write_json
from keys.errors import KeystoreRefused, Refusal

LIMIT: Final = 1024 * 1024
ADOPT: Final = "adopt"
"""What the store notes when it brings books of an older schema up to date."""
STRICTEST: Final = Obligations(Onward.NONE.value, False, True, True, None, None, None, None)
"""What binds while the agreement of a disclosure is not known here."""
WHOLE: Final = ""
"""The JSON pointer to all of a content."""
_JUDICIAL: Final = frozenset({Purpose.PROSECUTE, Purpose.EXECUTE_PENALTY})
_COURT: Final = frozenset({RetainGround.JUDICIAL_PROCEEDINGS, RetainGround.EVIDENCE_HOLD})
_SEALED: Final = (
    "msg", "agr", "entry", "tlp", "state", "ground", "shown", "acknowledged", "warned", "kept", "kept_until", "cause",
)  # fmt: skip


class Use(StrEnum):
    """What somebody wants to do with a message."""

    OPEN = "open"
    EXPORT = "export"
    FORWARD = "forward"


class LiveConsent(Protocol):
    """A consent of the originator that is in date and was not withdrawn, as ``acts`` keeps it."""

    @property
    def holder(self) -> str: ...

    @property
    def to(self) -> Any: ...

    @property
    def purposes(self) -> Any: ...

    @property
    def fields(self) -> Any: ...

    @property
    def until(self) -> datetime: ...


Consents = Callable[[str, ConsentFor], Sequence[LiveConsent]]


class Stopped(Exception):  # never leaves this room: `guarded` turns it into the refusal
    """A refusal on its way out, with what the ledger will say of the attempt."""

    def __init__(self, refusal: Refusal, act: LedgerAct) -> None:
        super().__init__(refusal.code)
        self.refusal, self.act = refusal, act


@dataclass(frozen=True, slots=True)
class Held:
    """One received message, and what binds its holder."""

    msg: str
    entry: DisclosureEntry
    owes: Obligations
    handling: frozenset[str]
    parties: frozenset[str]
    known: bool
    ended: datetime | None
    row: Any

    @property
    def originator(self) -> str:
        """Whoever disclosed it."""
        return self.entry.from_

    @property
    def erase_at(self) -> datetime | None:
        """When it must be gone."""
        return self.owes.erase_at(self.entry.at, self.ended)

    @property
    def review_at(self) -> datetime | None:
        """When it goes unless somebody decides to keep it: the first review, or the end of the last decision."""
        kept = instant(self.row.kept_until) if self.row.kept_until else None
        return kept if kept is not None else self.owes.review_at(self.entry.at)

    @property
    def kept(self) -> RetainGround | None:
        """The ground it is kept on."""
        return RetainGround(self.row.kept) if self.row.kept else None

    def acknowledged_by(self, officer: Officer) -> bool:
        """Whether this officer needs to acknowledge nothing more."""
        return Handling.H3 not in self.handling or officer.id in json.loads(self.row.acknowledged)

    def to_json(self) -> dict[str, Any]:
        """The members as an officer's desk sees them."""
        review, erase = self.review_at, self.erase_at
        return {
            "msg": self.msg,
            "from": self.originator,
            "agr": self.entry.agr,
            "purpose": str(self.entry.purpose),
            "state": self.row.state,
            "ground": self.row.ground,
            "handling": sorted(self.handling),
            "obligations": self.owes.to_json(),
            "agreement_known": self.known,
            "acknowledged": len(json.loads(self.row.acknowledged)),
            "review_at": stamp(review) if review else None,
            "erase_at": stamp(erase) if erase else None,
            "warned": self.row.warned,
            "kept": self.row.kept,
            "kept_until": self.row.kept_until,
            "cause": self.row.cause,
        }


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to do, and why. ``officer`` is none where the right to read was asked before."""

    use: Use
    officer: Officer | None = None
    why: Why | None = None
    purpose: str | None = None
    ground: str | None = None
    recipients: tuple[str, ...] = ()
    fields: tuple[str, ...] = (WHOLE,)
    type: str = ""


class Holdings:
    """Holds for one office. ``consents`` gives the live consents of an originator about a message."""

    def __init__(self, office: Office, consents: Consents) -> None:
        self._office, self.consents = office, consents

    # -- what is held --

    def receive(self, msg: str, entry: bytes, tlp: str | None, now: datetime) -> dict[str, Any]:
        """The row to write beside a message that has just been taken in."""
        told = parse_entry(entry)
        assert isinstance(told, DisclosureEntry)  # noqa: S101  # open_parcel has verified it
        row = dict.fromkeys(("ground", "warned", "kept", "kept_until", "cause"))
        row |= {"msg": msg, "agr": told.agr, "entry": entry, "tlp": tlp, "state": "held"}
        row |= {"shown": "[]", "acknowledged": "[]", "due": stamp(now)}
        return {**row, "seal": self._office.vault.seal(_sealing(row))}

    def adopt(self) -> None:
        """Note what was taken in before such notes were kept; done once, when books of an older schema are opened."""
        with self._office.store.reading() as books:
            if not books.meta(ADOPT):
                return
        with self._office.store.writing() as books:
            for row in books.rows("inbox"):
                if row.parcel is None or books.get("held", msg=row.msg) is not None:
                    continue
                entry = unb64u(read_json(bytes(row.parcel), limit=LIMIT)["entry"])
                content = read_json(self._office.vault.unlock(row.content, f"inbox {row.msg}"), limit=LIMIT)
                books.add("held", [self.receive(row.msg, entry, content.get("tlp"), self._office.clock())])
            books.set_meta(ADOPT, "")

    def of(self, books: Books, msg: str) -> Held:
        """What is held of a message, its row believed only with its seal."""
        row = books.get("held", msg=msg)
        if row is None:
            raise HoldingBroken("nothing is noted of what this message ties its holder to: the books were changed")
        return self.read(row)

    def read(self, row: Any) -> Held:
        """Read a row of what is held."""
        try:
            self._office.vault.check_seal(_sealing(_values(row)), bytes(row.seal))
        except KeystoreRefused:
            raise HoldingBroken("what is noted of this message's obligations was changed by somebody else") from None
        entry = parse_entry(bytes(row.entry))
        assert isinstance(entry, DisclosureEntry)  # noqa: S101  # so it was when it was sealed
        agreement = self._office.trust.book.get(entry.agr)
        owes, known = STRICTEST.for_message(entry.cats, entry.handling), agreement is not None
        if agreement is not None:
            try:
                owes = owed(entry, self._office.me, agreement.terms)
            except KeyError:  # a clause that is not the agreement's: nothing eases what it ties to
                known = False
        codes, onward = marks.stricter(row.tlp, [str(code) for code in entry.handling], owes.onward)
        owes = replace(owes, onward=onward.value, evidence=owes.evidence and Handling.H1 not in codes)
        parties = frozenset(agreement.terms.parties) if agreement and known else frozenset()
        ended = self._ended(entry.agr) if owes.purge_days is not None else None
        return Held(row.msg, entry, owes, frozenset(codes), parties, known, ended, row)

    def _ended(self, agr: str) -> datetime | None:
        """When an agreement ended or will: by its date or a party's leaving, not by a later version (AGR-54)."""
        book = self._office.trust.book
        named = book.get(agr)
        if named is None:
            return None
        left = [notice.at for notice in book.notices if notice.terms.agr == agr and notice.terms.act == "leave"]
        return min([named.terms.end, *left])

    def change(self, books: Books, held: Held, **to: Any) -> Held:
        """Note something about a message, sealed anew."""
        row = {**_values(held.row), **to}
        row["seal"] = self._office.vault.seal(_sealing(row))
        books.put("held", [row])
        return self.of(books, held.msg)

    def now(self, books: Books) -> datetime:
        """The time, which does not run backwards here: a clock that was set back ends no obligation later (NODE-97)."""
        latest = books.meta("latest")
        return max(self._office.clock(), instant(latest)) if latest else self._office.clock()

    # -- may they? --

    def may(
        self, message: str, use: str, officer: Officer, *, why: Why | None = None, purpose: str | None = None,
        recipients: Sequence[str] = (), fields: Sequence[str] = (WHOLE,), ground: str | None = None,
    ) -> None:  # fmt: skip
        """Return if the officer may do this with a received message now; else refused, and the attempt noted."""
        wish = Wish(Use(use), officer, why, purpose, ground, tuple(recipients), tuple(fields))
        with self.guarded(), self._office.store.reading() as books:
            found = books.inbox_of([message])
            if not found:
                raise NotHere("there is no received message of that digest")
            self.must(books, found[0], wish)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Write down an attempt that is refused inside, after whatever was begun there was undone."""
        try:
            yield
        except Stopped as stopped:
            self._office.record_alone(stopped.act)
            raise stopped.refusal from None

    def must(self, books: Books, row: Any, wish: Wish) -> str:
        """Return the purpose that a wish about an inbox row is for if it may be granted; ``Stopped`` otherwise."""
        try:
            return self._judge(books, row, wish)
        except Refusal as refusal:
            raise Stopped(refusal, self.attempt(row, wish, refusal)) from None

    def attempt(self, row: Any, wish: Wish, refusal: Refusal) -> LedgerAct:
        """What the ledger says of a wish that was refused."""
        facts = read_json(row.summary.encode(), limit=LIMIT)
        return LedgerAct(
            Act.ATTEMPT_DENIED, wish.officer.id if wish.officer else None, wish.why, wish.purpose or facts["purpose"],
            facts["agr"], case=row.case_name, message=row.msg, sender=row.sender,
            recipients=wish.recipients or tuple(facts["to"]), categories=tuple(facts["cats"]), outcome=refusal.code,
            reasons=(f"{wish.use}: {refusal.sentence}",),
        )  # fmt: skip

    def _judge(self, books: Books, row: Any, wish: Wish) -> str:
        if row.content is None:
            raise NoLongerHere("the content of this message is not here any more")
        held, now = self.of(books, row.msg), self.now(books)
        if held.row.state == "erased" or self.over(held, now):
            raise NoLongerHere("the time for which this message may be held is over")
        if wish.officer is not None:
            self.must_read(wish.officer, row.case_name, str(held.entry.class_), held.owes, now)
        if held.row.state == "restricted":
            self._must_lift(held, wish, now)
        if wish.officer is not None and not held.acknowledged_by(wish.officer):
            raise NotAcknowledged("read the handling text of this message and acknowledge it first")
        purpose = str(held.entry.purpose)
        if wish.use is Use.FORWARD:
            self._must_pass(held, wish, now)
        elif wish.purpose is not None and wish.purpose != purpose:
            self._must_suit(held, wish, now)
        if wish.use is Use.EXPORT or wish.type == MessageType.EVIDENCE_TRANSFER or wish.purpose in _JUDICIAL:
            self._must_serve(held, wish, now)
        return wish.purpose or purpose

    def over(self, held: Held, now: datetime) -> bool:
        """Whether a date has passed by which this must be gone, whether or not anybody has swept."""
        dates = [one for one in (held.erase_at, held.review_at) if one is not None]
        return any(one <= now for one in dates)

    def must_read(
        self, officer: Officer, case_name: str | None, classification: str, owes: Obligations | None, now: datetime
    ) -> None:
        """Refuse an officer who may not be shown this: clearance, training, role, need to know (NODE-81, NODE-82)."""
        readers = owes.readers if owes else None
        level = Classification(classification).rank
        if officer.clearance is not None and officer.clearance.rank < level:
            raise ClearanceMissing("this is classified above the officer's clearance")
        if readers is not None and readers.clearance is not None:
            needed = max(Classification(readers.clearance).rank, level)
            if officer.clearance is None or officer.clearance.rank < needed:
                raise ClearanceMissing("the clause under which this came asks for a clearance the officer has not")
        for code in readers.training if readers else ():
            until = officer.training.get(code)
            if until is None or until <= now:
                raise TrainingMissing(f"the clause asks for a certificate in date of the training `{code}`")
        if readers is not None and readers.roles is not None and officer.roles.isdisjoint(readers.roles):
            wanted = " or ".join(f"`{role}`" for role in readers.roles) or "that nobody has"
            raise RoleMissing(f"the clause under which this came asks for the role {wanted}")
        if officer.cases is not None and case_name not in {self._office.scribe.case_name(one) for one in officer.cases}:
            raise NeedToKnowMissing("this belongs to a case that is not the officer's")

    def _must_lift(self, held: Held, wish: Wish, now: datetime) -> None:
        """Let a restricted message be used only for the ground it is kept on, by a release officer (NODE-95)."""
        ground, row = held.kept, held.row
        named = ground not in (None, RetainGround.CASE_OPEN)  # that a case is open is no reason to go on working on it
        live = named and (row.kept_until is None or now < instant(row.kept_until))
        allowed = wish.use is Use.OPEN or (wish.use is Use.EXPORT and ground in _COURT)
        officer = wish.officer
        if not (
            live and allowed and wish.ground == ground and officer and OfficerRole.RELEASE_OFFICER in officer.roles
        ):
            raise Restricted(
                "this message is restricted: a release officer may use it for the ground it is kept on only"
            )

    def _must_suit(self, held: Held, wish: Wish, now: datetime) -> None:
        """Refuse another purpose than the declared one without the originator's consent (NODE-85)."""
        if not any(_covers(one, wish, now, ()) for one in self.consents(held.msg, ConsentFor.PURPOSE)):
            raise PurposeRefused(
                f"this was disclosed for `{held.entry.purpose}`; another purpose needs its originator's consent"
            )

    def _must_serve(self, held: Held, wish: Wish, now: datetime) -> None:
        """Refuse use as evidence where H1 or the clause bars it and the originator has not consented (NODE-86)."""
        asked = replace(wish, purpose=wish.purpose or str(held.entry.purpose))
        if not held.owes.evidence and not any(
            _covers(one, asked, now, ()) for one in self.consents(held.msg, ConsentFor.EVIDENCE)
        ):
            raise EvidenceRefused("this may not be used as evidence without its originator's consent")

    def _must_pass(self, held: Held, wish: Wish, now: datetime) -> None:
        """Refuse to pass a message on where its originator does not let it go (NODE-88)."""
        others = [one for one in wish.recipients if one != held.originator]
        rule = Onward(held.owes.onward)
        if rule is Onward.NONE and others:
            raise OnwardRefused("the originator lets this be passed on to nobody")
        if rule is Onward.WITHIN_PARTIES:
            others = [one for one in others if one not in held.parties]
        consents = [one for one in self.consents(held.msg, ConsentFor.ONWARD) if one.holder == self._office.me]
        if rule is Onward.BY_FIELD:  # a consent to the whole is none to a field: each is named
            consents = [one for one in consents if WHOLE not in (one.fields or ())]
        for agency in others:
            if not any(_covers(one, wish, now, (agency,)) for one in consents):
                raise OnwardRefused(
                    f"passing this on to `{agency}` needs the originator's consent for this purpose and these fields"
                )
        if wish.purpose != held.entry.purpose and not (others and len(others) == len(wish.recipients)):
            self._must_suit(held, wish, now)


def _covers(consent: LiveConsent, wish: Wish, now: datetime, to: tuple[str, ...]) -> bool:
    """Whether a consent is in date and names these recipients, this purpose and all these fields."""
    if now >= consent.until or getattr(consent, "withdrawn", False):
        return False
    if wish.purpose not in {str(purpose) for purpose in consent.purposes} or not set(to) <= set(consent.to or ()):
        return False
    granted = tuple(consent.fields or ())
    return all(any(within(field, one) for one in granted) for field in wish.fields)


def within(pointer: str, granted: str) -> bool:
    """Whether a JSON pointer names what another one names, or something inside it."""
    return pointer == granted or pointer.startswith(f"{granted}/")


def _values(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in (*_SEALED, "due", "seal")}


def _sealing(row: Mapping[str, Any]) -> bytes:
    told = [row[name] for name in _SEALED]
    return b"held\n" + write_json([b64u(bytes(one)) if isinstance(one, bytes) else one for one in told])


__all__ = ["STRICTEST", "Held", "Holdings", "Stopped", "Use", "Wish", "within"]

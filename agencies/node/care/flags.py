"""Flags: what cannot be executed here, said case by case, with a ground, a reason and an end (NODE-170 to NODE-174).

An officer flags one message or one case of one agency, never an agency: a blanket refusal is an agreement's to make,
where it is seen and argued about, and not a desk's. A flag ends by the clock. It decides nothing by itself: it offers
the answer to a request it is about, and an officer gives it through ``answering``'s two layers. Ground and reason are
locked together with what the flag is about and until when, so that nobody stretches one in the books.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from agencies.node.care.answering import Answered, Answering
from agencies.node.errors import DraftMalformed, FlagTooWide, HoldingBroken, NotHere, NotWaiting
from agencies.node.held.holding import LIMIT, Holdings
from agencies.node.held.looking import WORKERS
from agencies.node.ledger import LedgerAct, Why
from agencies.node.office import Office
from agencies.node.profile import Officer
from agencies.node.store import Books
from exchange.protocol.neutral import public_ground
from exchange.protocol.vocabulary import Act, RefusalGround
from keys.encoding import b64u, read_json, stamp, write_json
from keys.errors import KeystoreRefused

LONGEST: Final = timedelta(days=90)
"""How long a flag lasts at most; it can be set again, with a reason, as often as somebody finds one."""
MANY: Final = 20
"""Live flags on what one agency sent: more would be a flag on the agency, by instalments."""
KINDS: Final = ("message", "case_of")


class Flags:
    """Keeps the flags of one office; ``answering`` gives the answers they offer."""

    def __init__(self, office: Office, holdings: Holdings, answering: Answering) -> None:
        self._office, self._holdings, self._answering = office, holdings, answering

    def set(self, on: Mapping[str, str], ground: str, until: datetime, officer: Officer, why: Why) -> dict[str, Any]:
        """Flag one message (``{"message": digest}``) or the case of one (``{"case_of": digest}``) for a reason."""
        officer.must_be(*WORKERS)
        office = self._office
        if len(on) != 1 or not on.keys() <= set(KINDS) or not all(type(one) is str for one in on.values()):
            raise FlagTooWide(
                "a flag is on one `message` or the case of one (`case_of`), by its digest: never on an agency or all "
                "it sends, which only an agreement can forbid, where its parties see it"
            )
        ((kind, message),) = on.items()
        known = _ground(ground)
        with office.store.writing() as books:
            row = books.get("inbox", msg=message)
            if row is None:
                raise NotHere("there is no received message of that digest")
            now = self._holdings.now(books)
            _must_end(now, until)
            of_theirs = [one for one in books.rows("flag", sender=row.sender) if _state(one, stamp(now)) == "live"]
            if len(of_theirs) >= MANY:
                raise FlagTooWide(
                    f"{MANY} flags are on what this agency sent: more would be a flag on the agency; suspend or amend "
                    "the agreement instead"
                )
            name = row.msg if kind == "message" else row.case_name
            flag = {"id": b64u(office.chance(12)), "kind": kind, "name": name, "sender": row.sender}
            flag |= {"officer": officer.id, "made": stamp(now), "until": stamp(until)}
            secret = write_json({"ground": str(known), "reason": why.text})
            books.add("flag", [{**flag, "secret": office.vault.lock(secret, _place(flag))}])
            self._record(books, flag, officer, why, known, "flagged")
            return self._listed(books.get("flag", id=flag["id"]), stamp(now))

    def renew(self, flag: str, until: datetime, officer: Officer, why: Why) -> dict[str, Any]:
        """Let a live flag last on, for a reason given anew; never more than 90 days from now."""
        officer.must_be(*WORKERS)
        with self._office.store.writing() as books:
            row, now = self._live(books, flag), self._holdings.now(books)
            _must_end(now, until)
            ground = self._secret(row)["ground"]
            new = {name: getattr(row, name) for name in ("id", "kind", "name", "sender", "officer", "made")}
            new |= {"until": stamp(until)}
            locked = self._office.vault.lock(write_json({"ground": ground, "reason": why.text}), _place(new))
            books.turn("flag", {"id": flag}, {"until": stamp(until), "secret": locked})
            self._record(books, new, officer, why, ground, "flag_renewed")
            return self._listed(books.get("flag", id=flag), stamp(now))

    def lift(self, flag: str, officer: Officer, why: Why) -> dict[str, Any]:
        """End a flag before its time."""
        officer.must_be(*WORKERS)
        with self._office.store.writing() as books:
            row, now = self._live(books, flag), self._holdings.now(books)
            books.turn("flag", {"id": flag}, {"lifted": stamp(now)})
            told = {name: getattr(row, name) for name in ("kind", "name", "sender", "until")}
            self._record(books, told, officer, why, self._secret(row)["ground"], "flag_lifted")
            return self._listed(books.get("flag", id=flag), stamp(now))

    def listed(self, *, state: str | None = None) -> list[dict[str, Any]]:
        """Every flag, the first to end first; or those `live`, `expired` or `lifted`."""
        with self._office.store.reading() as books:
            now = stamp(self._holdings.now(books))
            found = [self._listed(row, now) for row in books.rows("flag")]
        return sorted(
            (one for one in found if state in (None, one["state"])), key=lambda one: (one["until"], one["id"])
        )

    def look(self, request: str, officer: Officer, why: Why) -> dict[str, Any]:
        """What ``offer`` says, for an officer who asks: a ``consult`` in the ledger first."""
        officer.must_be(*WORKERS)
        with self._office.store.writing() as books:
            row, _ = self._on(books, request)
            act = LedgerAct(
                Act.CONSULT, officer.id, why, case=row.case_name, message=row.msg, sender=row.sender, outcome="flag",
            )  # fmt: skip
            self._office.record(books, self._office.clock(), act)
        return self.offer(request)

    def offer(self, request: str) -> dict[str, Any]:
        """What a flag offers as the answer to a request: which flag, and the ground the requester would be told."""
        with self._office.store.reading() as books:
            row, flag = self._on(books, request)
        cats = read_json(row.summary.encode(), limit=LIMIT)["cats"]
        public = public_ground(self._secret(flag)["ground"], cats)
        return {"request": request, "flag": flag.id, "until": flag.until, "public": str(public)}

    def answer(self, request: str, officer: Officer, why: Why, *, text: str | None = None) -> Answered:
        """Refuse a flagged request with the flag's ground and reason, through the two layers (SAFE-30)."""
        officer.must_be(*WORKERS)
        with self._office.store.reading() as books:
            _, flag = self._on(books, request)
        secret = self._secret(flag)
        reason = f"flag {flag.id} until {flag.until}: {secret['reason']}"
        return self._answering.refuse(request, secret["ground"], reason, officer, why, text=text)

    # -- rows --

    def _on(self, books: Books, request: str) -> tuple[Any, Any]:
        """A received request and the live flag on it, or on its case; one on the message itself first."""
        row = books.get("inbox", msg=request)
        if row is None:
            raise NotHere("there is no request of that digest here")
        now = stamp(self._holdings.now(books))
        found = [
            *books.rows("flag", kind="message", name=row.msg),
            *books.rows("flag", kind="case_of", name=row.case_name, sender=row.sender),
        ]
        for flag in found:
            if _state(flag, now) == "live":
                return row, flag
        raise NotHere("no flag in date is on this request or its case")

    def _live(self, books: Books, flag: str) -> Any:
        row = books.get("flag", id=flag)
        if row is None:
            raise NotHere("there is no flag of that name here")
        if (state := _state(row, stamp(self._holdings.now(books)))) != "live":
            raise NotWaiting(f"this flag is {state}; set a new one, with its own reason")
        return row

    def _secret(self, row: Any) -> dict[str, Any]:
        told = {name: getattr(row, name) for name in ("id", "kind", "name", "sender", "until")}
        try:
            data = self._office.vault.unlock(bytes(row.secret), _place(told))
        except KeystoreRefused:
            raise HoldingBroken("what is noted of this flag was changed by somebody else") from None
        return read_json(data, limit=LIMIT)  # type: ignore[no-any-return]

    def _record(
        self, books: Books, flag: Mapping[str, Any], officer: Officer, why: Why, ground: str, outcome: str
    ) -> None:
        whole = Why(why.code, f"{why.text} [ground: {ground}, until: {flag['until']}]")
        about = {"message" if flag["kind"] == "message" else "case": flag["name"]}
        act = LedgerAct(Act.ALTER, officer.id, whole, sender=flag["sender"], outcome=outcome, **about)
        self._office.record(books, self._office.clock(), act)

    def _listed(self, row: Any, now: str) -> dict[str, Any]:
        names = ("id", "kind", "sender", "made", "until", "lifted")
        told = {name: getattr(row, name) for name in names}
        told["msg"] = row.name if row.kind == "message" else None  # what a case is called here goes to nobody
        return {**told, "by": self._office.scribe.officer_name(row.officer), "state": _state(row, now)}


def _state(row: Any, now: str) -> str:
    if row.lifted is not None:
        return "lifted"
    return "live" if now < row.until else "expired"


def _place(flag: Mapping[str, Any]) -> str:
    return " ".join(["flag", *(str(flag[name]) for name in ("id", "kind", "name", "sender", "until"))])


def _must_end(now: datetime, until: datetime) -> None:
    if until <= now:
        raise DraftMalformed("`until` is a time after now")
    if until > now + LONGEST:
        raise FlagTooWide(f"a flag lasts at most {LONGEST.days} days, and can be renewed for a reason")


def _ground(code: str) -> RefusalGround:
    try:
        return RefusalGround(code)
    except ValueError:
        raise DraftMalformed("the ground is not a code of the vocabulary") from None


__all__ = ["LONGEST", "MANY", "Flags"]

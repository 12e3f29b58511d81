"""Breaking the glass: a held message shown past its readers' rules because somebody is in danger now (NODE-160 to 165).

Two people together, one of them a release officer, and a coded danger. What is passed over is who may read it and for
which purpose; nothing else is: not a restriction or recall, not an identity sealed to a role, not a date, and never
handing out or passing on. Nobody is asked before, so everybody hears after: the ledger's act, an ask to the
originator and the task of a review are committed in one transaction before the first byte is shown. The
originator's consent or decline is its own review; ours is by somebody who took no part, within 72 hours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agencies.node.after.consents import Consents
from agencies.node.errors import (
    ClearanceMissing,
    DraftMalformed,
    EmergencyRefused,
    HoldingBroken,
    NeedToKnowMissing,
    NotAcknowledged,
    NotHere,
    NotWaiting,
    PurposeRefused,
    ReleaseRefused,
    TrainingMissing,
)
from agencies.node.held.holding import LIMIT, Holdings, Stopped, Use, Wish
from agencies.node.held.looking import WORKERS
from agencies.node.ledger import LedgerAct, Why
from agencies.node.office import Office
from agencies.node.profile import Officer, OfficerRole
from agencies.node.store import Books
from exchange.protocol.vocabulary import Act, Classification, ConsentFor, Danger, Purpose
from keys.encoding import b64u, read_json, stamp, write_json
from keys.errors import KeystoreRefused, Refusal

TERM: Final = timedelta(hours=72)
"""How long a review may take, and how long the ask to the originator stays open."""
PURPOSES: Final = (Purpose.PREVENT, Purpose.LOCATE_PERSON, Purpose.MISSING_PERSON, Purpose.VICTIM_PROTECTION)
"""What averts a danger; no emergency makes evidence, or opens anything to those who police a border."""
_EVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
_SEALED: Final = (
    "id", "msg", "officer", "second", "danger", "purpose", "passed", "at", "due", "ask", "verdict", "reviewer",
    "reviewed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Opened:
    """What was shown, and by when somebody else has to have said whether it should have been."""

    id: str
    content: dict[str, Any]
    passed: tuple[str, ...]
    due: str


class Emergency:
    """Breaks the glass for one office. ``must_be_shown`` refuses what this kind of agency never sees (SAFE-21)."""

    def __init__(
        self, office: Office, holdings: Holdings, consents: Consents, must_be_shown: Callable[[Sequence[str]], None]
    ) -> None:
        self._office, self._holdings, self._consents = office, holdings, consents
        self._must_be_shown = must_be_shown

    def open(self, message: str, officer: Officer, second: Officer, danger: str, why: Why, purpose: str) -> Opened:
        """Show a held message to an officer and a second one who agrees; both have proved who they are."""
        office = self._office
        officer.must_be(*WORKERS)
        second.must_be(*WORKERS)
        known, meant = _code(Danger, "danger", danger), _code(Purpose, "purpose", purpose)
        self._must_be_shown([message])
        wish = Wish(Use.OPEN, officer, why, meant)
        shown: list[tuple[str, Any, tuple[str, ...], str]] = []

        def beside(books: Books, ask: str) -> None:
            row, now = _received(books, message), self._holdings.now(books)
            self._must_be_two(row, wish, officer, second)
            passed = self._pass(books, row, wish, second)
            name, due = b64u(office.chance(12)), stamp(now + TERM)
            new = dict.fromkeys(("verdict", "reviewer", "reviewed"))
            new |= {"id": name, "msg": message, "officer": officer.id, "second": second.id, "danger": known}
            new |= {"purpose": meant, "passed": json.dumps(passed), "at": stamp(now), "due": due, "ask": ask}
            books.add("emergency", [{**new, "seal": office.vault.seal(_sealing(new))}])
            office.record(books, office.clock(), self._act(row, wish, second, (known, *passed)))
            first = books.mark_opened([message], stamp(office.clock()))
            books.add("owed", [{"msg": msg, "status": "opened", "code": None} for msg in first])
            shown.append((name, row, passed, due))

        with self._holdings.guarded():
            with office.store.reading() as books:
                row = _received(books, message)
                self._must_be_two(row, wish, officer, second)
            until = office.clock() + TERM
            deed = self._consents.ask(
                message, officer, why, want=ConsentFor.PURPOSE, purposes=[meant], until=until, beside=beside,
                at_once=False,  # the next round sends it: whoever is in danger does not wait for a broker
            )  # fmt: skip
            if not shown:  # the same was asked in this very instant: one ask, and a review for each opening
                with office.store.writing() as books:
                    beside(books, deed.digest)
        ((name, row, passed, due),) = shown
        content = read_json(office.vault.unlock(row.content, f"inbox {row.msg}"), limit=LIMIT)
        return Opened(name, content, passed, due)

    # -- what is passed over --

    def _must_be_two(self, row: Any, wish: Wish, officer: Officer, second: Officer) -> None:
        wrong = None
        if officer.id == second.id:
            wrong = "two people open it together; the second is somebody else"
        elif OfficerRole.RELEASE_OFFICER not in officer.roles | second.roles:
            wrong = "one of the two is a release officer"
        elif wish.purpose not in PURPOSES:
            wrong = f"an emergency is for averting a danger: {', '.join(f'`{one}`' for one in PURPOSES)}"
        if wrong:
            self._stop(row, wish, EmergencyRefused(wrong))

    def _pass(self, books: Books, row: Any, wish: Wish, second: Officer) -> tuple[str, ...]:
        """The codes of the rules that are passed over. Every rule is asked; only those named here ever give way."""
        passed: list[str] = []
        officer, tried = wish.officer, wish
        assert officer is not None  # noqa: S101  # whoever looks is somebody
        while True:
            try:
                self._holdings.must(books, row, tried)
            except Stopped as stopped:
                eased = self._eased(books, row, tried, stopped.refusal, second)
                if eased is None or stopped.refusal.code in passed:
                    self._stop(row, wish, stopped.refusal)
                passed.append(stopped.refusal.code)
                tried = eased  # type: ignore[assignment]  # `_stop` does not return
            else:
                break
        if not set(passed) - {NotAcknowledged.code}:
            self._stop(row, wish, EmergencyRefused("no rule about readers stands in the way: open it as usual"))
        return tuple(passed)

    def _eased(self, books: Books, row: Any, wish: Wish, refusal: Refusal, second: Officer) -> Wish | None:
        officer = wish.officer
        assert officer is not None  # noqa: S101
        if isinstance(refusal, ClearanceMissing):
            return replace(wish, officer=replace(officer, clearance=list(Classification)[-1]))
        if isinstance(refusal, TrainingMissing):
            readers = self._holdings.of(books, row.msg).owes.readers
            return replace(wish, officer=replace(officer, training=dict.fromkeys(readers.training, _EVER)))  # type: ignore[union-attr]
        if isinstance(refusal, NeedToKnowMissing):
            return replace(wish, officer=replace(officer, cases=None))
        if isinstance(refusal, NotAcknowledged):  # one of the two has read the handling text: both know it now
            return replace(wish, officer=replace(officer, id=second.id))
        if isinstance(refusal, PurposeRefused):
            return replace(wish, purpose=None)
        return None

    def _stop(self, row: Any, wish: Wish, refusal: Refusal) -> None:
        raise Stopped(refusal, self._holdings.attempt(row, wish, refusal)) from None

    def _act(self, row: Any, wish: Wish, second: Officer, reasons: tuple[str, ...]) -> LedgerAct:
        facts = read_json(row.summary.encode(), limit=LIMIT)
        return LedgerAct(
            Act.OPEN, wish.officer.id if wish.officer else None, wish.why, wish.purpose, facts["agr"],
            case=row.case_name, message=row.msg, sender=row.sender, recipients=tuple(facts["to"]),
            categories=tuple(facts["cats"]), outcome="emergency", reasons=reasons, index=row.seq,
            released_by=second.id,
        )  # fmt: skip

    # -- the review --

    def listed(self, *, overdue: bool = False) -> list[dict[str, Any]]:
        """Every opening in an emergency, those without a review first, the first due first; or the overdue alone."""
        with self._office.store.reading() as books:
            now = stamp(self._holdings.now(books))
            found = [self._listed(books, row, now) for row in books.rows("emergency")]
        found = [one for one in found if one["overdue"] or not overdue]
        return sorted(found, key=lambda one: (one["verdict"] is not None, one["due"], one["id"]))

    def unreviewed(self, books: Books) -> tuple[int, int]:
        """How many openings nobody has reviewed, and how many of these are overdue; edited ones are."""
        now = stamp(self._holdings.now(books))
        held = [(self._holds(row), row) for row in books.rows("emergency")]
        waiting = [(holds, row) for holds, row in held if not holds or row.verdict is None]
        return len(waiting), sum(not holds or row.due <= now for holds, row in waiting)

    def review(self, name: str, officer: Officer, why: Why, *, justified: bool) -> dict[str, Any]:
        """Say, as somebody who took no part, whether an opening was justified; the reason stands in the ledger."""
        office = self._office
        officer.must_be(OfficerRole.AUDITOR, OfficerRole.RELEASE_OFFICER)
        with self._holdings.guarded(), office.store.writing() as books:
            row = books.get("emergency", id=name)
            if row is None:
                raise NotHere("nothing was opened in an emergency by that name")
            if not self._holds(row):
                raise HoldingBroken("what is noted of this opening was changed by somebody else")
            inbox = _received(books, row.msg)
            verdict = "justified" if justified else "unjustified"
            act = LedgerAct(
                Act.REVIEW, officer.id, why, row.purpose, case=inbox.case_name, message=row.msg, sender=inbox.sender,
                outcome=f"emergency_{verdict}", reasons=(name,),
            )  # fmt: skip
            if officer.id in (row.officer, row.second):
                refusal = ReleaseRefused("who took part does not review it")
                raise Stopped(refusal, replace(act, act=Act.ATTEMPT_DENIED, outcome=refusal.code))
            if row.verdict is not None:
                raise NotWaiting(f"somebody has reviewed this: {row.verdict}")
            now = self._holdings.now(books)
            to = {"verdict": verdict, "reviewer": officer.id, "reviewed": stamp(now)}
            sealed = {**{one: getattr(row, one) for one in _SEALED}, **to}
            books.turn("emergency", {"id": name}, {**to, "seal": office.vault.seal(_sealing(sealed))})
            office.record(books, office.clock(), act)
            changed = books.get("emergency", id=name)
            return self._listed(books, changed, stamp(now))

    def _listed(self, books: Books, row: Any, now: str) -> dict[str, Any]:
        holds, asked, act = self._holds(row), books.get("consents", digest=row.ask), books.get("acts", digest=row.ask)
        names = ("id", "msg", "danger", "purpose", "at", "due", "verdict", "reviewed")
        name = self._office.scribe.officer_name
        return {
            **{one: getattr(row, one) for one in names},
            "by": name(row.officer),
            "second": name(row.second),
            "reviewer": name(row.reviewer) if row.reviewer else None,
            "passed": json.loads(row.passed),
            "overdue": not holds or (row.verdict is None and row.due <= now),
            "told": act is not None and act.state == "sent",
            "originator": asked.state if asked is not None else None,
            "changed": not holds,
        }

    def _holds(self, row: Any) -> bool:
        try:
            self._office.vault.check_seal(_sealing({one: getattr(row, one) for one in _SEALED}), bytes(row.seal))
        except KeystoreRefused:
            return False
        return True


def _received(books: Books, message: str) -> Any:
    rows = books.inbox_of([message])
    if not rows:
        raise NotHere("there is no received message of that digest")
    return rows[0]


def _sealing(row: dict[str, Any]) -> bytes:
    return b"emergency\n" + write_json([row[name] for name in _SEALED])


def _code(codes: Any, member: str, said: str) -> str:
    try:
        return str(codes(said))
    except ValueError:
        raise DraftMalformed(f"`{member}` is one of: {', '.join(codes)}") from None


__all__ = ["PURPOSES", "TERM", "Emergency", "Opened"]

"""Answering with a refusal, in two layers: what the requester is told, and why (`spec/safeguards.md`, SAFE-30 on).

An officer gives the true ground and the whole reason. Both go into the ledger, locked, for the auditor.
The requester is told the ground only if it speaks of the request; every other becomes the neutral answer,
written when it leaves, by the answering desk, at an hour that follows from when the request came and not
from what was found or who had to think about it. So "no data" and "may not tell" are alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from agencies.node.care.protection import DESK
from agencies.node.errors import AlreadyAnswered, DraftMalformed, NotHere, RequestKeyReused
from agencies.node.ledger import LedgerAct, Why
from agencies.node.mail.draft import OfficerDraft, read_draft
from agencies.node.mail.outbox import Sent
from agencies.node.office import Office
from agencies.node.profile import Officer, OfficerRole
from exchange.protocol.neutral import neutral_answer, public_ground, release_at
from exchange.protocol.vocabulary import Act, Justification, MessageType, RefusalGround
from keys.encoding import b64u, instant, read_json, stamp, write_json
from keys.errors import Refusal

AT_ONCE: Final = 100
LIMIT: Final = 64 * 1024
FAILED: Final = "failed"
"""How the state of an answer begins that could not be sent; the request may then be refused again."""
FINAL: Final = (MessageType.INFO_REPLY, MessageType.INFO_REFUSAL)
"""Answers after which a request has none any more."""
_WHY: Final = Why(
    Justification.REQUEST_ANSWER, "a neutral answer leaves at its hour, whoever decided and for whatever reason"
)
Send = Callable[[OfficerDraft, Officer, Why, str], Sent]


@dataclass(frozen=True, slots=True)
class Answered:
    """What becomes of a refused request: the ground that is told, and when it is (or was) told."""

    request: str
    public: str
    state: str
    due: str
    ref: str | None

    def to_json(self) -> dict[str, Any]:
        """The members as an officer's desk sees them."""
        return {name: getattr(self, name) for name in ("request", "public", "state", "due", "ref")}


class Answering:
    """Refuses for one office. ``send`` sends a draft in an officer's name; ``key`` makes doing it twice safe."""

    def __init__(self, office: Office, send: Send) -> None:
        self._office, self._send = office, send

    def refuse(
        self, request: str, ground: str, reason: str, officer: Officer, why: Why, *, text: str | None = None
    ) -> Answered:
        """Refuse a request on this ground; ``reason`` is for the auditor, ``text`` for the requester if it may be."""
        officer.must_be(OfficerRole.OFFICER, OfficerRole.RELEASE_OFFICER)
        office, now = self._office, self._office.clock()
        private = _ground(ground)
        if not reason.strip():
            raise DraftMalformed("say the whole reason; the auditor reads it, the requester does not")
        with office.store.writing() as books:
            row = books.get("inbox", msg=request)
            if row is None:
                raise NotHere("there is no request of that digest here")
            facts = read_json(row.summary.encode(), limit=LIMIT)
            if facts["type"] != MessageType.INFO_REQUEST:
                raise DraftMalformed("only a request for information is answered with a refusal")
            before = books.get("answer", request=request)
            failed = before is not None and before.state.startswith(FAILED)
            if (before is not None and not failed) or self._has_answer(books, row, request):
                raise AlreadyAnswered("this request has its answer, or one on its way")
            public = public_ground(private, facts["cats"])
            told = public != RefusalGround.CANNOT_RESPOND
            due = now if told else release_at(instant(row.received), facts["urgency"], now)
            secret = write_json(
                {
                    "ground": str(private),
                    "public": str(public),
                    "text": text if told else None,
                    "try": b64u(office.chance(9)),
                }
            )
            books.put(
                "answer",
                [
                    {
                        "request": request, "due": stamp(due), "state": "waiting", "ref": None,
                        "secret": office.vault.lock(secret, f"answer {request}"),
                    }
                ],
            )  # fmt: skip
            whole = Why(why.code, f"{why.text} [refused: {private}, told: {public}] {reason}")
            office.record(books, now, self._act(row, facts, officer, whole))
        if told:
            self.release_due()
        return self.answer(request)

    def look(self, request: str, officer: Officer, why: Why) -> Answered:
        """The same as ``answer``, for an officer who asks: a ``consult`` in the ledger first."""
        officer.must_be(OfficerRole.OFFICER, OfficerRole.RELEASE_OFFICER)
        office = self._office
        with office.store.writing() as books:
            row = books.get("inbox", msg=request)
            if row is None or books.get("answer", request=request) is None:
                raise NotHere("this request has not been refused here")
            act = self._act(row, read_json(row.summary.encode(), limit=LIMIT), officer, why)
            office.record(books, office.clock(), replace(act, act=Act.CONSULT, outcome="answer"))
        return self.answer(request)

    def answer(self, request: str) -> Answered:
        """How the answer to a request stands."""
        with self._office.store.reading() as books:
            row = books.get("answer", request=request)
        if row is None:
            raise NotHere("this request has not been refused here")
        return Answered(request, self._secret(row)["public"], row.state, row.due, row.ref)

    def release_due(self) -> int:
        """Send every answer whose hour has come; says how many. Safe to ask at any moment, by several at once."""
        office = self._office
        with office.store.reading() as books:
            rows = books.answers_due(stamp(office.clock()), AT_ONCE)
        return sum(self._release(row) for row in rows)

    def _release(self, row: Any) -> bool:
        office, secret = self._office, self._secret(row)
        with office.store.reading() as books:
            asked = books.get("inbox", msg=row.request)
        if asked is None:
            raise NotHere("the request of a waiting answer is not here")
        draft = self._draft(asked, secret)
        try:
            sent = self._send(draft, DESK, _WHY, f"answer {row.request} {secret['try']}")
        except RequestKeyReused:  # it left before somebody fell over, and was written anew on another day
            state, ref = "sent", None
        except Refusal as refusal:
            state, ref = f"{FAILED} {refusal.code}", None
        else:
            state, ref = ("sent" if sent.state in _LIVE else f"{FAILED} {sent.code}"), sent.ref
        with office.store.writing() as books:
            return books.turn("answer", {"request": row.request, "state": "waiting"}, {"state": state, "ref": ref})

    def _draft(self, asked: Any, secret: dict[str, Any]) -> OfficerDraft:
        facts = read_json(asked.summary.encode(), limit=LIMIT)
        content = neutral_answer(asked.msg, self._office.clock().date())
        if secret["public"] != RefusalGround.CANNOT_RESPOND:
            content["refusal"] = {"ground": secret["public"]}
            if secret["text"]:
                content["refusal"]["text"] = secret["text"]
        return read_draft(
            {
                "to": [asked.sender],
                "agr": facts["agr"],
                "purpose": facts["purpose"],
                "crime": facts["crime"],
                "class": facts["class"],
                "handling": ["H0"],
                "urgency": "none",
                "re": asked.msg,
                "content": content,
            }
        )

    def _has_answer(self, books: Any, row: Any, request: str) -> bool:
        mine = books.rows("outbox", case_name=row.case_name)
        neutral = self._office.scribe.case_name(
            neutral_answer(request, self._office.clock().date())["case"]["reference"]
        )
        for sent in (*mine, *books.rows("outbox", case_name=neutral)):
            facts = read_json(sent.summary.encode(), limit=LIMIT)
            if facts["re"] == request and facts["type"] in FINAL and sent.state in _LIVE:
                return True
        return False

    def _secret(self, row: Any) -> dict[str, Any]:
        secret: dict[str, Any] = read_json(
            self._office.vault.unlock(bytes(row.secret), f"answer {row.request}"), limit=LIMIT
        )
        return secret

    def _act(self, row: Any, facts: dict[str, Any], officer: Officer, why: Why) -> LedgerAct:
        return LedgerAct(
            Act.REVIEW, officer.id, why, facts["purpose"], facts["agr"], case=row.case_name, message=row.msg,
            sender=row.sender, recipients=(self._office.me,), categories=tuple(facts["cats"]), outcome="answered",
            index=row.seq,
        )  # fmt: skip


_LIVE: Final = frozenset({"pending", "pending_release", "sent"})


def _ground(code: str) -> RefusalGround:
    try:
        return RefusalGround(code)
    except ValueError:
        raise DraftMalformed("the ground is not a code of the vocabulary") from None

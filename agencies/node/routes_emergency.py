"""The officers' calls about emergencies and their review, flags, and offences of other laws (NODE-160 to NODE-183)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request, Response

from agencies.node.errors import DraftMalformed
from agencies.node.routes_forms import REASON, Body, Caller, answer, body_schema, facts, members, reason, reason_of
from keys.encoding import instant
from keys.errors import MalformedEncoding

if TYPE_CHECKING:
    from datetime import datetime

    from agencies.node.service import Node
    from agencies.node.sessions import Sessions

_TEXT: Final = {"type": "string"}
_OBJECT: Final = {"type": "object"}
_EMERGENCY: Final = {"second": str, "passphrase": str, "danger": str, "purpose": str, "justification": dict}


def add_emergency(router: APIRouter, node: Node, sessions: Sessions) -> None:
    """Give a router these calls; ``sessions`` asks the second officer for a passphrase."""

    @router.post("/messages/{msg}/emergency", openapi_extra=body_schema(
        {"second": _TEXT, "passphrase": _TEXT, "danger": _TEXT, "purpose": _TEXT, "justification": REASON}
    ))  # fmt: skip
    def emergency(msg: str, body: Body, caller: Caller) -> Response:
        """Show a message past its readers' rules, two officers together; the second gives a passphrase here."""
        told = members(body, _EMERGENCY)
        why = reason(told["justification"])
        token = sessions.sign_in(told["second"], told["passphrase"])  # guesses are counted as at the door
        sessions.sign_out(token.text)
        opened = node.emergency.open(msg, caller, token.officer, told["danger"], why, told["purpose"])
        known = {"id": opened.id, "passed": list(opened.passed), "due": opened.due}
        return answer({"msg": msg, "content": opened.content, "emergency": known})

    @router.get("/emergencies")
    @facts
    def emergencies(overdue: bool = False) -> Response:
        """What was opened in an emergency, and what reviews said; or those that nobody reviewed in time."""
        return answer({"emergencies": node.emergency.listed(overdue=overdue)})

    @router.post("/emergencies/{name}/review", openapi_extra=body_schema(
        {"justified": {"type": "boolean"}, "justification": REASON}
    ))  # fmt: skip
    def review(name: str, body: Body, caller: Caller) -> Response:
        """Say whether an opening was justified, as an auditor or release officer who took no part."""
        told = members(body, {"justified": bool, "justification": dict})
        return answer(node.emergency.review(name, caller, reason(told["justification"]), justified=told["justified"]))

    @router.get("/flags")
    @facts
    def flags(state: str | None = None) -> Response:
        """What cannot be executed here, and until when; without ground and reason."""
        return answer({"flags": node.flags.listed(state=state)})

    @router.post("/flags", openapi_extra=body_schema(
        {"on": _OBJECT, "ground": _TEXT, "until": _TEXT, "justification": REASON}
    ))  # fmt: skip
    def flag(body: Body, caller: Caller) -> Response:
        """Flag one message, or the case of one, until a time; the justification is the reason."""
        told = members(body, {"on": dict, "ground": str, "until": str, "justification": dict})
        why = reason(told["justification"])
        return answer(node.flags.set(told["on"], told["ground"], _until(told), caller, why))

    @router.post("/flags/{name}/renew", openapi_extra=body_schema({"until": _TEXT, "justification": REASON}))
    def renew(name: str, body: Body, caller: Caller) -> Response:
        """Let a flag last on, for a reason given anew."""
        told = members(body, {"until": str, "justification": dict})
        return answer(node.flags.renew(name, _until(told), caller, reason(told["justification"])))

    @router.post("/flags/{name}/lift", openapi_extra=body_schema({"justification": REASON}))
    def lift(name: str, body: Body, caller: Caller) -> Response:
        """End a flag before its time."""
        return answer(node.flags.lift(name, caller, reason(members(body, {"justification": dict})["justification"])))

    @router.get("/messages/{msg}/flag")
    def offer(msg: str, request: Request, caller: Caller) -> Response:
        """What a flag offers as the answer to a request; needs a justification in the headers."""
        return answer(node.flags.look(msg, caller, reason_of(request)))

    @router.post("/messages/{msg}/flag", openapi_extra=body_schema({"justification": REASON}))
    def refuse(msg: str, body: Body, caller: Caller) -> Response:
        """Refuse a flagged request with the flag's ground; what is told follows from the two layers."""
        told = members(body, {"justification": dict}, {"text": str})
        said = node.flags.answer(msg, caller, reason(told["justification"]), text=told.get("text"))
        return answer(said.to_json())

    @router.get("/offences")
    @facts
    def offence(code: str) -> Response:
        """How a code of another law is read here; null if nobody has placed it."""
        found = node.offences.map(code)
        return answer({"code": code, "offence": found.to_json() if found else None})

    @router.post("/messages/{msg}/offence", openapi_extra=body_schema({"code": _TEXT, "justification": REASON}))
    def judge(msg: str, body: Body, caller: Caller) -> Response:
        """Refuse a request with the ground the table has for its offence; without one nothing is sent."""
        told = members(body, {"code": str, "justification": dict}, {"text": str})
        why = reason(told["justification"])
        judged, said = node.offences.answer(msg, told["code"], caller, why, text=told.get("text"))
        return answer({**judged.to_json(), "answer": said.to_json() if said else None})


def _until(told: dict[str, Any]) -> datetime:
    try:
        return instant(told["until"])
    except MalformedEncoding as wrong:
        raise DraftMalformed(f"`until`: {wrong.sentence}") from None

"""The officers' calls about what is held: its conditions and dates, passing it on, keeping it (NODE-81 to NODE-98)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from agencies.node.errors import DraftMalformed
from agencies.node.routes_forms import REASON, Body, Caller, answer, body_schema, facts, members, reason
from keys.encoding import instant
from keys.errors import MalformedEncoding

if TYPE_CHECKING:
    from agencies.node.service import Node

MAX_KEY: Final = 100
_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_FORWARD: Final = {"to": list, "fields": list, "purpose": str, "text": str, "justification": dict}
_OF_DRAFT: Final = {
    "agr": str, "re": str, "class": str, "handling": list, "days": int, "exempt": str, "exempt_why": str,
}  # fmt: skip


def add_holding(router: APIRouter, node: Node) -> None:
    """Give a router the calls about what is held."""

    @router.get("/holdings")
    @facts
    def holdings(state: str | None = None, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> Response:
        """What is held, what it ties this agency to and until when; without content."""
        return answer({"holdings": node.holdings(newest=limit, state=state)})

    @router.post("/holdings/sweep")
    @facts
    def sweep() -> Response:
        """Warn of what ends soon and erase what has ended, now rather than at the next round."""
        swept = node.sweep()
        erased = [{"msg": msg, "cause": cause} for msg, cause in swept.erased]
        return answer({"warned": list(swept.warned), "erased": erased})

    @router.post("/messages/{msg}/condition", openapi_extra=body_schema({"justification": REASON}))
    def condition(msg: str, body: Body, caller: Caller) -> Response:
        """Show the handling text of a message and nothing else of it."""
        why = reason(members(body, {"justification": dict})["justification"])
        return answer({"msg": msg, "handling_text": node.condition(msg, caller, why)})

    @router.post("/messages/{msg}/acknowledge", openapi_extra=body_schema({"justification": REASON}))
    @facts
    def acknowledge(msg: str, body: Body, caller: Caller) -> Response:
        """Take note of a handling text that was shown; its sender gets a signed act."""
        node.acknowledge(msg, caller, reason(members(body, {"justification": dict})["justification"]))
        return answer({"msg": msg, "state": "acknowledged"})

    @router.post("/messages/{msg}/forward", openapi_extra=body_schema(
        {"to": _TEXTS, "fields": _TEXTS, "purpose": _TEXT, "text": _TEXT, "justification": REASON}
    ))  # fmt: skip
    @facts
    def forward(msg: str, body: Body, caller: Caller) -> Response:
        """Pass chosen fields of a message on, if its originator lets it."""
        told = members(body, _FORWARD, {"desk": str, "key": str, **_OF_DRAFT})
        sent = node.forward(
            msg, _texts(told, "to"), _texts(told, "fields"), told["purpose"], caller, reason(told["justification"]),
            text=told["text"], desk=told.get("desk", "duty_desk"), key=_key(told),
            **{name: told[name] for name in _OF_DRAFT if name in told},
        )  # fmt: skip
        return answer(sent.to_json())

    @router.post("/messages/{msg}/keep", openapi_extra=body_schema(
        {"ground": _TEXT, "until": _TEXT, "justification": REASON}
    ))  # fmt: skip
    def keep(msg: str, body: Body, caller: Caller) -> Response:
        """Decide at a review to keep a message until a time, on a ground of the list (release officers)."""
        told = members(body, {"ground": str, "until": str, "justification": dict})
        try:
            until = instant(told["until"])
        except MalformedEncoding as wrong:
            raise DraftMalformed(f"`until`: {wrong.sentence}") from None
        return answer(node.keep(msg, caller, reason(told["justification"]), ground=told["ground"], until=until))


def _texts(told: dict[str, Any], name: str) -> list[str]:
    if not all(type(one) is str for one in told[name]):
        raise DraftMalformed(f"`{name}` is a list of strings")
    return list(told[name])


def _key(told: dict[str, Any]) -> str | None:
    key = told.get("key")
    if key is not None and not 0 < len(key) <= MAX_KEY:
        raise DraftMalformed(f"`key` is a string of at most {MAX_KEY} characters")
    return key

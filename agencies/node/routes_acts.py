"""The officers' calls about acts: asking, consenting, recalling, obeying, whereabouts (NODE-120 to NODE-157)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Response

from agencies.node.errors import DraftMalformed
from agencies.node.routes_forms import REASON, Body, Caller, answer, body_schema, facts, members, reason
from keys.encoding import instant
from keys.errors import MalformedEncoding

if TYPE_CHECKING:
    from agencies.node.service import Node

_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_TRUTH: Final = {"type": "boolean"}


def add_acts(router: APIRouter, node: Node) -> None:
    """Give a router the calls about acts."""
    _add_consents(router, node)
    _add_recalls(router, node)


def _add_consents(router: APIRouter, node: Node) -> None:
    @router.post("/messages/{msg}/ask", openapi_extra=body_schema(
        {"want": _TEXT, "to": _TEXTS, "purposes": _TEXTS, "fields": _TEXTS, "until": _TEXT, "justification": REASON},
        ["want", "purposes", "until", "justification"],
    ))  # fmt: skip
    def ask(msg: str, body: Body, caller: Caller) -> Response:
        """Ask a message's originator for its consent to passing on, to another purpose, or to use as evidence."""
        wanted = {"want": str, "purposes": list, "until": str, "justification": dict}
        told = members(body, wanted, {"to": list, "fields": list})
        asked = node.consents.ask(
            msg, caller, reason(told["justification"]), want=told["want"], purposes=_texts(told, "purposes"),
            until=_time(told["until"]), to=_texts(told, "to"), fields=_texts(told, "fields") or [""],
        )  # fmt: skip
        return answer(asked.to_json())

    @router.get("/consents")
    @facts
    def consents(state: str | None = None) -> Response:
        """What was asked and consented to, by this agency and of it; `open` ones that came in await a decision."""
        return answer({"consents": node.consents.listed(state=state)})

    @router.post("/consents/{act}/decide", openapi_extra=body_schema(
        {"approve": _TRUTH, "ground": _TEXT, "to": _TEXTS, "purposes": _TEXTS, "fields": _TEXTS, "until": _TEXT,
         "justification": REASON}, ["approve", "justification"],
    ))  # fmt: skip
    def decide(act: str, body: Body, caller: Caller) -> Response:
        """Consent to what was asked, or to less, or decline with a ground (release officers, never who sent it)."""
        allowed = {"ground": str, "to": list, "purposes": list, "fields": list, "until": str}
        told = members(body, {"approve": bool, "justification": dict}, allowed)
        less: dict[str, Any] = {name: _texts(told, name) for name in ("to", "purposes", "fields") if name in told}
        less |= {"until": _time(told["until"])} if "until" in told else {}
        why = reason(told["justification"])
        decided = node.consents.decide(act, caller, why, approve=told["approve"], ground=told.get("ground"), **less)
        return answer(decided.to_json())

    @router.post("/consents/{act}/withdraw", openapi_extra=body_schema({"justification": REASON}))
    def withdraw(act: str, body: Body, caller: Caller) -> Response:
        """Take a consent of this agency back (release officers)."""
        why = reason(members(body, {"justification": dict})["justification"])
        return answer(node.consents.withdraw(act, caller, why).to_json())


def _add_recalls(router: APIRouter, node: Node) -> None:
    @router.post("/messages/{msg}/recall", openapi_extra=body_schema(
        {"act": _TEXT, "ground": _TEXT, "by_msg": _TEXT, "justification": REASON}, ["act", "ground", "justification"]
    ))  # fmt: skip
    def recall(msg: str, body: Body, caller: Caller) -> Response:
        """Restrict, rectify or recall a message of this agency, wherever it went (release officers)."""
        told = members(body, {"act": str, "ground": str, "justification": dict}, {"by_msg": str})
        given = node.recalls.give(
            told["act"], msg, caller, reason(told["justification"]), ground=told["ground"], by_msg=told.get("by_msg")
        )
        return answer(given.to_json())

    @router.get("/recalls")
    @facts
    def recalls() -> Response:
        """Every message of this agency that was restricted, rectified or recalled, and who is silent."""
        return answer({"recalls": node.whereabouts.listed()})

    @router.get("/messages/{msg}/status")
    @facts
    def status(msg: str, read: bool = True) -> Response:
        """Where a message of this agency is: every holder, what it was told and answered, or since when it is silent.

        `read=false` shows what the books say without reading the log on.
        """
        if read:
            node.following.read_on()
        return answer(node.whereabouts.of(msg))

    @router.get("/messages/{msg}/acts")
    @facts
    def acts(msg: str) -> Response:
        """Every act about a message that was given or heard here, with statement, entry and proof."""
        return answer({"msg": msg, "acts": [deed.to_json() for deed in node.acts.about(msg)]})

    @router.get("/duties")
    @facts
    def duties(state: str | None = None) -> Response:
        """What originators want done here, by when, what it concerns, and what was answered."""
        return answer({"duties": node.recalls.duties(state=state)})

    @router.post("/duties/{act}/answer", openapi_extra=body_schema(
        {"outcome": _TEXT, "ground": _TEXT, "justification": REASON}, ["outcome", "justification"]
    ))  # fmt: skip
    def answer_duty(act: str, body: Body, caller: Caller) -> Response:
        """Do what an originator wants or say on which ground not, under this agency's signature (release officers)."""
        told = members(body, {"outcome": str, "justification": dict}, {"ground": str})
        why = reason(told["justification"])
        done = node.recalls.answer(act, caller, why, outcome=told["outcome"], ground=told.get("ground"))
        return answer(done.to_json())


def _texts(told: dict[str, Any], name: str) -> list[str]:
    listed = told.get(name, [])
    if not all(type(one) is str for one in listed):
        raise DraftMalformed(f"`{name}` is a list of strings")
    return list(listed)


def _time(text: str) -> datetime:
    try:
        return instant(text)
    except MalformedEncoding as wrong:
        raise DraftMalformed(f"`until`: {wrong.sentence}") from None

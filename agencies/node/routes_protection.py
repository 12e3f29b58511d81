"""The officers' calls about protected identities, refusals in two layers and exculpatory notices (SAFE-1 on)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request, Response

from agencies.node.errors import DraftMalformed
from agencies.node.routes_forms import REASON, Body, Caller, answer, body_schema, facts, members, reason, reason_of

if TYPE_CHECKING:
    from agencies.node.service import Node
    from agencies.node.sessions import Sessions

_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_OBJECT: Final = {"type": "object"}


def add_protection(router: APIRouter, node: Node, sessions: Sessions) -> None:
    """Give a router these calls; ``sessions`` asks an officer for the passphrase once more."""

    @router.post("/identities/seal", openapi_extra=body_schema(
        {"identity": _OBJECT, "content": _OBJECT, "to": _TEXTS, "justification": REASON}
    ))  # fmt: skip
    def seal(body: Body, caller: Caller) -> Response:
        """Seal a person's identity for the protection roles of these agencies; nothing of it is kept."""
        told = members(body, {"identity": dict, "content": dict, "to": list, "justification": dict})
        why = reason(told["justification"])
        part = node.protection.seal(told["identity"], told["content"], _texts(told["to"]), caller, why)
        return answer({"part": part})

    @router.get("/messages/{msg}/identities")
    def identities(msg: str, request: Request, caller: Caller) -> Response:
        """The sealed identities of a message: of whom, and whether one is for us; a justification in the headers."""
        return answer({"msg": msg, "identities": node.protection.parts(msg, caller, reason_of(request))})

    @router.post("/messages/{msg}/identities/{part}", openapi_extra=body_schema(
        {"passphrase": _TEXT, "justification": REASON}
    ))  # fmt: skip
    def identity(msg: str, part: str, body: Body, caller: Caller) -> Response:
        """Show one sealed identity to an officer of the role, who gives the passphrase again; it is kept nowhere."""
        told = members(body, {"passphrase": str, "justification": dict})
        why = reason(told["justification"])
        token = sessions.sign_in(caller.id, told["passphrase"])  # guesses are counted as at the door
        sessions.sign_out(token.text)
        return answer({"identity": node.protection.open(msg, part, told["passphrase"], caller, why)})

    @router.post("/claims", openapi_extra=body_schema(
        {"identity": _OBJECT, "against": _TEXTS, "justification": REASON}
    ))  # fmt: skip
    def claim(body: Body, caller: Caller) -> Response:
        """Tell the firewall of a claimant whom no message here describes (protection officers)."""
        told = members(body, {"identity": dict, "against": list, "justification": dict}, {"cases": list})
        why, cases = reason(told["justification"]), _texts(told.get("cases", []))
        return answer({"noted": node.protection.claim(told["identity"], _texts(told["against"]), caller, why, cases)})

    @router.post("/messages/{msg}/refuse", openapi_extra=body_schema(
        {"ground": _TEXT, "reason": _TEXT, "justification": REASON}
    ))  # fmt: skip
    def refuse(msg: str, body: Body, caller: Caller) -> Response:
        """Refuse a request; the requester is told the ground if it may be, and the auditor the whole reason."""
        told = members(body, {"ground": str, "reason": str, "justification": dict}, {"text": str})
        why = reason(told["justification"])
        said = node.answering.refuse(msg, told["ground"], told["reason"], caller, why, text=told.get("text"))
        return answer(said.to_json())

    @router.get("/messages/{msg}/refuse")
    def refused(msg: str, request: Request, caller: Caller) -> Response:
        """How the refusal of a request stands: what ground is told, and when; a justification in the headers."""
        return answer(node.answering.look(msg, caller, reason_of(request)).to_json())

    @router.post("/messages/{msg}/exculpate", openapi_extra=body_schema(
        {"kinds": _TEXTS, "text": _TEXT, "justification": REASON}
    ))  # fmt: skip
    def exculpate(msg: str, body: Body, caller: Caller) -> Response:
        """Tell a message's originator that there is material which speaks for the person suspected."""
        told = members(body, {"kinds": list, "text": str, "justification": dict}, {"desk": str})
        why, desk = reason(told["justification"]), told.get("desk", "evidence_desk")
        sent = node.exculpation.tell(msg, _texts(told["kinds"]), told["text"], caller, why, desk=desk)
        return answer(sent.to_json())

    @router.get("/tasks")
    @facts
    def tasks(escalated: bool = False) -> Response:
        """The exculpatory notices that came, the first due first; or those that nobody acted on in time."""
        return answer({"tasks": node.exculpation.escalated() if escalated else node.exculpation.tasks()})

    @router.post("/tasks/{msg}", openapi_extra=body_schema({"justification": REASON}))
    def done(msg: str, body: Body, caller: Caller) -> Response:
        """Note what was done about an exculpatory notice."""
        node.exculpation.done(msg, caller, reason(members(body, {"justification": dict})["justification"]))
        return answer({"msg": msg, "state": "done"})


def _texts(items: list[Any]) -> list[str]:
    if not all(type(item) is str for item in items):
        raise DraftMalformed("a list of strings is wanted here")
    return items

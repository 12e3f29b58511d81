"""The officers' calls about months: which keys are here, which are held, and which are to go (NODE-214 to NODE-218)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Response

from agencies.node.routes_forms import REASON, Body, Caller, answer, body_schema, facts, members, reason

if TYPE_CHECKING:
    from agencies.node.service import Node

_TEXT: Final = {"type": "string"}


def add_periods(router: APIRouter, node: Node) -> None:
    """Give a router these calls."""

    @router.get("/periods")
    @facts
    def periods() -> Response:
        """Every month that had a key, whether it is still here, and the holds that stand."""
        return answer(node.shredding.listed())

    @router.post("/periods/shred", openapi_extra=body_schema({"before": _TEXT, "justification": REASON}))
    def shred(body: Body, caller: Caller) -> Response:
        """Destroy the keys of all months before one, for good (release officers)."""
        told = members(body, {"before": str, "justification": dict})
        return answer({"shredded": node.shredding.shred(told["before"], caller, reason(told["justification"]))})

    @router.post("/holds", openapi_extra=body_schema({"first": _TEXT, "last": _TEXT, "justification": REASON}))
    def hold(body: Body, caller: Caller) -> Response:
        """Keep months, whatever their age, until the hold is lifted (release officers)."""
        told = members(body, {"first": str, "last": str, "justification": dict})
        return answer(node.shredding.hold(told["first"], told["last"], caller, reason(told["justification"])))

    @router.post("/holds/{name}/lift", openapi_extra=body_schema({"justification": REASON}))
    def lift(name: str, body: Body, caller: Caller) -> Response:
        """End a hold (release officers)."""
        why = reason(members(body, {"justification": dict})["justification"])
        return answer(node.shredding.lift(name, caller, why))

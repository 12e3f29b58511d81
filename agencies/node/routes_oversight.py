"""The auditors' call that asks the log, and is itself in the ledger first (NODE-200 to NODE-204)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Response

from agencies.node.oversight import KINDS
from agencies.node.routes_forms import REASON, Body, Caller, answer, body_schema, members, reason

if TYPE_CHECKING:
    from agencies.node.service import Node

_TEXT: Final = {"type": "string"}
_SAID: Final = {name: kind for said in KINDS.values() for part in said for name, kind in part.items()}
"""Everything that some question says."""


def add_oversight(router: APIRouter, node: Node) -> None:
    """Give a router this call."""

    @router.post("/questions", openapi_extra=body_schema(
        {"question": {"enum": list(KINDS)}, "purpose": _TEXT, "justification": REASON}
    ))  # fmt: skip
    def ask(body: Body, caller: Caller) -> Response:
        """Ask the log who received, who holds, whom a breach concerns or how often; the ledger says so first."""
        told = members(body, {"question": str, "purpose": str, "justification": dict}, _SAID)
        why = reason(told.pop("justification"))
        return answer(node.oversight.ask(told, told.pop("purpose"), caller, why))

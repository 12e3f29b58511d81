"""A witness's two calls, exactly as C2SP tlog-witness has them (WIT-30 to WIT-34). No officer, no token.

Whoever asks proves nothing about himself: the checkpoint's own signatures are all that counts. So what an address may
ask for in a while is limited, before its body is read.
"""

from __future__ import annotations

import time
from typing import Annotated, Final

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from agencies.node.routes_forms import SIMULATION, read_body
from agencies.node.witnessing import Witnessing
from exchange.http import PROBLEM, RateLimit, problem
from exchange.protocol.errors import CheckpointInvalid, WitnessAhead
from exchange.protocol.witnessing import MAX_REQUEST
from keys.encoding import write_json

RATE: Final = 10.0
BURST: Final = 100.0
MAX_ADDRESSES: Final = 10_000
"""Addresses remembered; beyond it all of them begin anew, rather than fill the memory."""
NOTE: Final = "text/plain; charset=utf-8"
SIZE: Final = "text/x.tlog.size"


class _Gate:
    """How much each address may ask for; only the event loop comes here."""

    def __init__(self) -> None:
        self._asked: dict[str, RateLimit] = {}

    def let(self, address: str) -> None:
        if address not in self._asked and len(self._asked) >= MAX_ADDRESSES:
            self._asked.clear()
        self._asked.setdefault(address, RateLimit(RATE, BURST)).take(address, time.monotonic())


async def _asked(request: Request) -> bytes:
    request.app.state.witness_gate.let(request.client.host if request.client else "")
    return await read_body(request, MAX_REQUEST)


def add_witness(app: FastAPI, witnessing: Witnessing) -> None:
    """Give an application the calls of a witness, under ``/witness``."""
    app.state.witness_gate = _Gate()
    router = APIRouter(prefix="/witness", default_response_class=Response)

    @router.post("/add-checkpoint")
    def add_checkpoint(body: Annotated[bytes, Depends(_asked)]) -> Response:
        """Cosign a checkpoint that extends the last one cosigned here; the lines to add to it."""
        try:
            return Response(witnessing.add(body), 200, SIMULATION, NOTE)
        except WitnessAhead as ahead:
            # As a header: given as a type, it would be given a charset too, and tlog-witness has none.
            return Response(f"{ahead.size}\n", 409, {**SIMULATION, "Content-Type": SIZE})
        except CheckpointInvalid as refusal:  # 403 in this call alone, as tlog-witness has it
            told = {**problem(refusal.code, refusal.sentence), "status": 403}
            return Response(write_json(told), 403, SIMULATION, PROBLEM)

    @router.get("/{origin}/checkpoint")
    def checkpoint(origin: str) -> Response:
        """The last checkpoint cosigned here of the log whose origin has this SHA-256, in hexadecimal."""
        return Response(witnessing.checkpoint(origin), 200, SIMULATION, NOTE)

    app.include_router(router)

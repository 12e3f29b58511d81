"""HTTP in, HTTP out, nothing between (`spec/http.md`).

The three calls that every message needs are plain functions that the edge calls itself: a body model was
measured at 180 microseconds a call, routing at 60, and judging a message costs 300. The rest are ordinary
FastAPI endpoints. All run in the event loop, beside the clerk: there is no thread to hand anything to.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from fastapi import APIRouter, FastAPI, Request, Response

from exchange.broker.edge import CALL, Call, Direct
from exchange.broker.listing import MAX_PAGE
from exchange.broker.meters import METRICS_TYPE, Meters
from exchange.broker.routes_log import log_routes
from exchange.broker.service import Broker, read_lines
from exchange.http import RateLimit
from exchange.protocol.errors import MediaTypeUnknown, ParameterInvalid
from exchange.protocol.message import MEDIA_TYPE, NDJSON
from keys.encoding import write_json

JSON: Final = "application/json"
JOSE: Final = "application/jose+json"
"""A single signed statement: receipts, agreements, notices, records (RFC 7515 section 9.2.1)."""
NOTE: Final = "text/plain"
"""A signed note: the head of a ledger."""
NOW_ONLY: Final = {"Cache-Control": "no-store"}

_NUMBER = re.compile(r"-?[0-9]{1,16}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_FIRST: Final = "-" * 43
"""Stands for no digest: one that comes before all."""


def direct_calls(broker: Broker, rate: RateLimit, max_wait: int) -> dict[tuple[str, str], Direct]:
    """The calls that every message needs, by method and path."""

    async def messages(call: Call) -> tuple[str, bytes]:
        if call.media == MEDIA_TYPE:
            return JSON, await broker.submit(call.body, call.caller)
        if call.media != NDJSON:
            raise MediaTypeUnknown(f"a message is sent as `{MEDIA_TYPE}`, up to 100 of them as `{NDJSON}`")
        lines = read_lines(call.body)
        if len(lines) > 1:
            rate.take(call.caller, time.monotonic(), len(lines) - 1)
        return NDJSON, await broker.submit_batch(lines, call.caller)

    async def mailbox(call: Call) -> tuple[str, bytes]:
        after, limit, wait = read_mailbox_query(call.query)
        return JSON, await broker.collect(call.caller, after, limit, min(wait, max_wait))

    async def receipts(call: Call) -> tuple[str, bytes]:
        return JSON, await broker.take_receipts(_statement(call), call.caller)

    return {("POST", "/v1/messages"): messages, ("GET", "/v1/mailbox"): mailbox, ("POST", "/v1/receipts"): receipts}


def add_routes(app: FastAPI, broker: Broker, meters: Meters, direct: Mapping[tuple[str, str], Direct]) -> None:
    """Give an app every call of `spec/http.md`. The direct ones never come here; their routes refuse other methods."""
    for (method, path), answer in direct.items():
        app.add_route(path, _as_route(answer), methods=[method])
    app.include_router(_parties(broker))
    app.include_router(log_routes(broker))
    app.include_router(_health(broker, meters))


def _as_route(answer: Direct) -> Callable[[Request], Awaitable[Response]]:
    async def route(request: Request) -> Response:
        media, body = await answer(request.scope[CALL])
        return Response(body, media_type=media)

    return route


def _parties(broker: Broker) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["parties"])

    @router.post("/acts", response_class=Response)
    async def give_act(request: Request) -> Response:
        """Take an act by the caller about a message that was disclosed."""
        call: Call = request.scope[CALL]
        return Response(await broker.take_act(_statement(call), call.caller), media_type=JSON)

    @router.post("/heads", response_class=Response)
    async def take_head(request: Request) -> Response:
        """Take the signed head of the caller's own ledger."""
        call: Call = request.scope[CALL]
        if call.media != NOTE:
            raise MediaTypeUnknown(f"the head of a ledger is sent as `{NOTE}`")
        return Response(await broker.take_head(call.body, call.caller), media_type=JSON)

    @router.post("/agreements", response_class=Response)
    async def offer_agreement(request: Request) -> Response:
        """Take an agreement signed by one or more parties, or a notice by one."""
        call: Call = request.scope[CALL]
        return Response(await broker.take_agreement(_statement(call), call.caller), media_type=JSON)

    @router.get("/agreements", response_class=Response)
    async def agreements(request: Request) -> Response:
        """List agreements and notices that were logged, by pages."""
        call: Call = request.scope[CALL]
        return Response(broker.agreements(*read_page_query(call.query)), media_type=JSON)

    @router.get("/proposals", response_class=Response)
    async def proposals(request: Request) -> Response:
        """List the agreements that await signatures and that the caller is a party to, by pages."""
        call: Call = request.scope[CALL]
        return Response(broker.proposals(call.caller, *read_proposals_query(call.query)), media_type=JSON)

    @router.get("/directory", response_class=Response)
    async def directory() -> Response:
        """Show the federation's roots and the agencies' records."""
        return Response(broker.directory_bytes(), media_type=JSON)

    @router.post("/records", response_class=Response)
    async def file_record(request: Request) -> Response:
        """Take the next version of the caller's record."""
        call: Call = request.scope[CALL]
        return Response(await broker.file_record(_statement(call), call.caller), media_type=JSON)

    return router


def _health(broker: Broker, meters: Meters) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz", response_class=Response)
    async def alive() -> Response:
        """Say that the process runs."""
        return Response(b'{"alive":true}', media_type=JSON, headers=NOW_ONLY)

    @router.get("/readyz", response_class=Response)
    async def ready() -> Response:
        """Say whether the broker can do its work, and if not, why."""
        wrong = broker.ready()
        behind = {"publishing": broker.publisher.state()} if broker.publisher else {}
        body = write_json({"ready": not wrong, "wrong": wrong, **behind})
        return Response(body, 503 if wrong else 200, media_type=JSON, headers=NOW_ONLY)

    @router.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Show the counters."""
        if broker.publisher is not None:
            state = broker.publisher.state()
            meters.publishing(state["published"], state["seconds"])
        return Response(meters.text(broker.counts), media_type=METRICS_TYPE, headers=NOW_ONLY)

    return router


def _statement(call: Call) -> bytes:
    if call.media not in (JOSE, JSON):
        raise MediaTypeUnknown(f"a signed statement is sent as `{JOSE}`")
    return call.body


def read_mailbox_query(query: str) -> tuple[int, int, int]:
    """Read ``after``, ``limit`` and ``wait``; refuses what is unknown, repeated or out of range (HTTP-13)."""
    found = _numbers(query, {"after": -1, "limit": 100, "wait": 0})
    after, limit, wait = found["after"], found["limit"], found["wait"]
    if after < -1 or not 1 <= limit <= MAX_PAGE or wait < 0:
        raise ParameterInvalid(f"`after` is -1 or more, `limit` 1 to {MAX_PAGE}, `wait` 0 or more seconds")
    return after, limit, wait


def read_page_query(query: str) -> tuple[int, int]:
    """Read ``after``, an index, and ``limit``; refuses what is unknown, repeated or out of range (HTTP-13)."""
    found = _numbers(query, {"after": -1, "limit": 100})
    if found["after"] < -1 or not 1 <= found["limit"] <= MAX_PAGE:
        raise ParameterInvalid(f"`after` is -1 or more, `limit` 1 to {MAX_PAGE}")
    return found["after"], found["limit"]


def read_proposals_query(query: str) -> tuple[str, int]:
    """Read ``after``, a digest, and ``limit``; refuses what is unknown, repeated or out of range (HTTP-13)."""
    found = _parameters(query, ("after", "limit"))
    after, limit = found.get("after", ""), found.get("limit", "100")
    if not _DIGEST.fullmatch(after or _FIRST) or not _NUMBER.fullmatch(limit) or not 1 <= int(limit) <= MAX_PAGE:
        raise ParameterInvalid(f"`after` is the digest of an agreement, `limit` 1 to {MAX_PAGE}")
    return after, int(limit)


def _numbers(query: str, found: dict[str, int]) -> dict[str, int]:
    for name, value in _parameters(query, tuple(found)).items():
        if not _NUMBER.fullmatch(value):
            raise ParameterInvalid(f"the parameter `{name}` is a whole number")
        found[name] = int(value)
    return found


def _parameters(query: str, names: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if name not in names or name in found:
            raise ParameterInvalid(f"the parameters are {', '.join(f'`{one}`' for one in names)}, each once")
        found[name] = value
    return found

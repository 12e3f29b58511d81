"""What calls of the officers' API say, and how they are answered, for all modules of routes (NODE-70, NODE-71)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import unquote

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from agencies.node.errors import DraftMalformed, TokenRefused
from agencies.node.ledger import Why, justify
from agencies.node.profile import Officer
from agencies.node.recorded import counting
from exchange.http import MAX_BATCH_BODY, MAX_BODY
from keys.encoding import read_json, write_json
from keys.errors import TooLarge

JSON: Final = "application/json"
SIMULATION: Final = {"Ix-Simulation": "synthetic data only", "Cache-Control": "no-store"}
REASON: Final = {
    "type": "object",
    "required": ["code", "text"],
    "properties": {"code": {"type": "string"}, "text": {"type": "string", "minLength": 20}},
}


Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def facts(endpoint: Endpoint) -> Endpoint:
    """Mark a call that answers with facts alone: nothing of a case that the log does not show (NODE-222)."""
    endpoint.facts = True  # type: ignore[attr-defined]
    return endpoint


class Recorded(APIRoute):
    """A call that is answered only if it left an act in the ledger, or is marked to answer with ``facts`` alone.

    A call that forgets its act is a fault of ours: nothing of what it found goes out (NODE-221).
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the call."""
        call = super().get_route_handler()
        if getattr(self.endpoint, "facts", False):
            return call

        async def recorded(request: Request) -> Response:
            with counting() as written:
                answered = await call(request)
            if not written:
                raise RuntimeError(f"{self.path} answers about a case and left no act in the ledger")
            return answered

        return recorded


def answer(value: Any, status: int = 200) -> Response:
    """Write one answer."""
    return Response(write_json(value), status, SIMULATION, JSON)


async def read_body(request: Request, limit: int) -> bytes:
    """Read a body and stop at the first byte too many, whatever its stated length."""
    held = bytearray()
    async for chunk in request.stream():
        held += chunk
        if len(held) > limit:
            raise TooLarge(f"more than the {limit} bytes allowed")
    return bytes(held)


async def one_body(request: Request) -> bytes:
    """The body of a call, at most 256 KiB."""
    return await read_body(request, MAX_BODY)


async def batch_body(request: Request) -> bytes:
    """The body of a batch, at most 16 MiB."""
    return await read_body(request, MAX_BATCH_BODY)


Body = Annotated[bytes, Depends(one_body)]
BatchBody = Annotated[bytes, Depends(batch_body)]


def _caller(request: Request) -> Officer:
    officer: Officer = request.state.officer
    return officer


Caller = Annotated[Officer, Depends(_caller)]
"""The officer whom the router's own dependency found behind the token."""


def token_of(request: Request) -> str:
    """The bearer token of a call."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenRefused("sign in first: this call needs a bearer token")
    return token


def members(
    body: bytes, wanted: Mapping[str, type], allowed: Mapping[str, type] | None = None, *, limit: int = MAX_BODY
) -> dict[str, Any]:
    """Read a body: a JSON object with the ``wanted`` members, perhaps the ``allowed`` ones, and nothing unknown."""
    value = read_json(body, limit=limit)
    kinds = {**wanted, **(allowed or {})}
    if type(value) is not dict or not wanted.keys() <= value.keys() <= kinds.keys():
        names = ", ".join(f"`{name}`" for name in wanted)
        raise DraftMalformed(f"the body is a JSON object with {names} and nothing unknown")
    for name, member in value.items():
        if type(member) is not kinds[name]:
            raise DraftMalformed(f"`{name}` is of the wrong type")
    return value


def reason(told: Mapping[str, Any]) -> Why:
    """Take the justification of a body."""
    return justify(str(told.get("code", "")), str(told.get("text", "")))


def reason_of(request: Request) -> Why:
    """Take the justification of a call's headers."""
    return justify(request.headers.get("justification-code", ""), unquote(request.headers.get("justification", "")))


def body_schema(properties: Mapping[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    """Describe a body for the published description of the API."""
    schema = {"type": "object", "required": required or list(properties), "properties": dict(properties)}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}}

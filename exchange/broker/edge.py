"""The edge of the broker: who calls, and the broker's signature under every answer (HTTP-1 to HTTP-15).

One piece of ASGI middleware around ``/v1/``. Before a route sees a call, the caller is proven, the nonce
is new, the rate allows it, and only then is the body read, within its limit, and is the one that was signed.
After it, the answer, whatever it is, is signed over the call it answers. Everything else (``/log``, health,
metrics) is open and unsigned: the log proves itself.

The three calls that every message needs are answered from here directly: the way through two frameworks'
routing costs as much as verifying a signature.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from exchange.broker.meters import Meters, trace
from exchange.broker.service import Broker
from exchange.broker.settings import Settings
from exchange.http import (
    FAULT_BYTES,
    MAX_BATCH_BODY,
    MAX_BODY,
    MAX_FIRST_BODY,
    PROBLEM,
    NonceMemory,
    Proof,
    RateLimit,
    check_authority,
    check_digest,
    check_fresh,
    problem_bytes,
    read_call_proof,
    sign_answer,
    status_of,
    verify_call,
)
from exchange.protocol.errors import CallProofMalformed, RateLimited
from exchange.protocol.message import NDJSON
from keys.errors import KeyUnknown, Refusal, TooLarge

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

CALL: Final = "ix.call"
"""Where a route finds the ``Call`` in its scope."""
_CALLS: Final = ("messages", "mailbox", "receipts", "acts", "heads", "agreements", "proposals", "directory", "records")
_PATHS: Final = frozenset(f"/v1/{name}" for name in _CALLS)


@dataclass(frozen=True, slots=True)
class Call:
    """A call whose caller is proven: which agency, with what body of what type, when."""

    caller: str
    body: bytes
    media: str
    query: str
    now: datetime


Direct = Callable[[Call], Awaitable[tuple[str, bytes]]]
"""A call that is answered with 200, a media type and a body, or refused."""


class _Gone(Exception):
    """The caller hung up before it had said everything."""


class Edge:
    """ASGI middleware; one per app, with the app's memory of nonces and rates."""

    def __init__(
        self,
        app: Asgi,
        *,
        direct: Mapping[tuple[str, str], Direct],
        broker: Broker,
        settings: Settings,
        nonces: NonceMemory,
        rate: RateLimit,
        clock: Callable[[], datetime],
        meters: Meters,
        log: Any,
    ) -> None:
        self._app, self._broker, self._clock, self._meters, self._log = app, broker, clock, meters, log
        self._authorities, self._transport = settings.authorities, settings.transport
        self._nonces, self._rate, self._direct = nonces, rate, direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry one call through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"].startswith("/v1/"):
            await self._proven(scope, receive, send)
        else:
            await self._open(scope, receive, send)

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer()
        try:
            await self._app(scope, receive, answer.take)
        except Refusal as refusal:
            answer = refused(refusal)
        except Exception as fault:  # noqa: BLE001  # a fault of ours: a bare 500 outside, the place of it in our log
            answer = self._fault(fault, scope)
        await answer.give(send, {})

    async def _proven(self, scope: Scope, receive: Receive, send: Send) -> None:
        proof: Proof | None = None
        caller = ""
        now = self._clock()
        try:
            headers = _headers(scope)
            check_authority(headers.get("host", "").lower(), self._authorities)
            proof = read_call_proof(headers)
            scope[CALL] = call = await self._establish(scope, receive, proof, headers, now)
            caller = call.caller
            direct = self._direct.get((scope["method"], scope["path"]))
            if direct is not None:
                media, body = await direct(call)
                answer = _Answer(200, [(b"content-type", media.encode())], body)
            else:
                answer = _Answer()
                await self._app(scope, _replay(call.body), answer.take)
        except _Gone:
            return
        except Refusal as refusal:
            answer = refused(refusal)
            self._meters.refused(refusal.code)
        except Exception as fault:  # noqa: BLE001  # as above
            answer = self._fault(fault, scope)
        if answer.status >= 400:
            path = scope["path"] if scope["path"] in _PATHS else "other"
            self._log.info("refused", status=answer.status, code=answer.code, path=path, caller=caller or None)
        signed = {}
        if proof is not None:
            signed = sign_answer(answer.status, answer.body, proof, self._transport, created=int(now.timestamp()))
        await answer.give(send, signed)

    async def _establish(
        self, scope: Scope, receive: Receive, proof: Proof, headers: Mapping[str, str], now: datetime
    ) -> Call:
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        method, raw_path = scope["method"], scope.get("raw_path") or scope["path"].encode()
        path, query = raw_path.partition(b"?")[0].decode("latin-1"), scope["query_string"].decode("latin-1")
        authority = headers["host"].lower()
        check_fresh(proof, now)
        body: bytes | None = None
        try:
            caller, key = self._broker.caller(proof.keyid, now)
        except KeyUnknown:
            if (method, scope["path"]) != ("POST", "/v1/records"):
                raise
            body = await _body(receive, headers, MAX_FIRST_BODY)
            caller, key = self._broker.newcomer(body, proof.keyid, now)
        verify_call(proof, key, method, authority, path, query, headers)
        # Nothing is awaited from here until the nonce is remembered: two copies of one call cannot both pass.
        self._nonces.check(proof, caller, now)
        self._rate.take(caller, time.monotonic())
        self._nonces.remember(proof, caller, now)
        if body is None:
            body = await _body(receive, headers, MAX_BATCH_BODY if media == NDJSON else MAX_BODY)
        check_digest(headers.get("content-digest") or "", body)
        return Call(caller, body, media, query, now)

    def _fault(self, fault: Exception, scope: Scope) -> _Answer:
        self._meters.refused("fault")
        self._log.error("fault", method=scope["method"], trace=trace(fault))
        return _Answer(500, [(b"content-type", PROBLEM.encode())], FAULT_BYTES, "fault")


@dataclass(slots=True)
class _Answer:
    """An answer held back until it can be signed."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] | None = None
    body: bytes = b""
    code: str = ""

    async def take(self, message: MutableMapping[str, Any]) -> None:
        """Receive what the app sends."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    async def give(self, send: Send, more: Mapping[str, str]) -> None:
        """Send it on, with further header fields."""
        headers = self.headers or []
        if self.status != 304 and not any(name == b"content-length" for name, _ in headers):
            headers.append((b"content-length", str(len(self.body)).encode()))
        headers += [(name.lower().encode(), value.encode()) for name, value in more.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def refused(refusal: Refusal) -> _Answer:
    """The answer to a refused call."""
    headers = [(b"content-type", PROBLEM.encode())]
    if isinstance(refusal, RateLimited):
        headers.append((b"retry-after", str(refusal.retry_after).encode()))
    return _Answer(status_of(refusal.code), headers, problem_bytes(refusal), refusal.code)


_ONCE: Final = frozenset(
    (b"host", b"signature", b"signature-input", b"content-digest", b"content-type", b"content-length")
)


def _headers(scope: Scope) -> dict[str, str]:
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _ONCE:
            if name in found:
                raise CallProofMalformed(f"the field `{name.decode('ascii')}` appears twice")
            found[name] = value
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in found.items()}


async def _body(receive: Receive, headers: Mapping[str, str], limit: int) -> bytes:
    """Read a body and stop at the first byte too many, whatever Content-Length says (HTTP-11)."""
    stated = headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > limit:
        raise TooLarge(f"{int(stated)} bytes where at most {limit} are allowed")
    chunks: list[bytes] = []
    held = 0
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise _Gone
        chunk = message.get("body", b"")
        held += len(chunk)
        if held > limit:
            raise TooLarge(f"more than the {limit} bytes allowed")
        chunks.append(chunk)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _replay(body: bytes) -> Receive:
    message: MutableMapping[str, Any] = {"type": "http.request", "body": body, "more_body": False}

    async def receive() -> MutableMapping[str, Any]:
        return message

    return receive

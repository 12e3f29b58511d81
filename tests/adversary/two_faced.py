"""A broker with two faces: two real brokers on two books, with the same keys, behind one address.

What anybody submits is carried to both books, and each caller is answered from the one that it is to see; which caller
it is, the liar knows from the address it calls from. Until ``hide_from`` is said both books hold the same. Nodes call
it over HTTP through sockets of this machine.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import httpx
import uvicorn

from exchange.broker.app import create_app
from exchange.broker.settings import Settings
from exchange.protocol.log import LogSigner
from exercises.federation import ORIGIN
from exercises.world import BROKER_HOST, World

FACES: Final = ("a", "b")
Send = Callable[[Any], Awaitable[None]]


class TwoFaces:
    """The one address. ``sees`` says which face each caller's address is shown; the first, if nothing is said."""

    def __init__(self, faces: dict[str, Any]) -> None:
        self._faces = faces
        self.sees: dict[str, str] = {}
        self.hidden: str | None = None
        """From which face what is submitted now is kept."""
        self._life = AsyncExitStack()

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        """Answer one call from the caller's face, after carrying what it says to the other."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event.get("body", b""), event.get("more_body", False)
        own = self.sees.get(scope["client"][0], FACES[0])
        other = next(face for face in FACES if face != own)
        if scope["method"] == "POST" and other != self.hidden:
            await self._faces[other](dict(scope), _said(body), _nowhere)
        await self._faces[own](dict(scope), _said(body), send)

    async def _live(self, receive: Any, send: Send) -> None:
        await receive()
        for app in self._faces.values():
            await self._life.enter_async_context(app.router.lifespan_context(app))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._life.aclose()
        await send({"type": "lifespan.shutdown.complete"})


def _said(body: bytes) -> Any:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _nowhere(_: Any) -> None:
    """Throw an answer away."""


class Line(httpx.BaseTransport):
    """A way to one port of this machine, from an address of one's own; the name that is called stays in the call."""

    def __init__(self, port: int, address: str) -> None:
        self._port, self._way = port, httpx.HTTPTransport(local_address=address)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one call."""
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        return self._way.handle_request(request)

    def close(self) -> None:
        """Let go of the sockets."""
        self._way.close()


class TwoFacedWorld(World):
    """A world whose broker has two faces. ``shown`` says which agencies see the second one."""

    def __init__(self, home: Path, agencies: list[str], *, shown: tuple[str, ...]) -> None:
        self._addresses: dict[str, str] = {}
        self._shown = shown
        super().__init__(home, agencies, agreements=())

    def start_broker(self) -> None:
        """Start both faces, and serve them at one port."""
        keys = self.federation.broker
        faces = {}
        for face in FACES:
            settings = Settings(
                database=self.home / f"broker-{face}.db", fed=self.federation.fed,
                trust=self.federation.directory.to_bytes(), log=LogSigner(ORIGIN, keys.log),
                transport=keys.transport, authorities=frozenset({BROKER_HOST}), rate=100_000, burst=1_000_000,
            )  # fmt: skip
            faces[face] = create_app(settings, clock=self.clock)
        self.faces = TwoFaces(faces)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._server = uvicorn.Server(uvicorn.Config(self.faces, log_level="error", ws="none", lifespan="on"))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def client(self, caller: str) -> Any:
        """A line over a socket from an address that is this caller's alone."""
        address = self._addresses.setdefault(caller, f"127.0.0.{len(self._addresses) + 2}")
        self.faces.sees[address] = FACES[caller in self._shown]
        client = httpx.Client(transport=Line(self.port, address), base_url=f"http://{BROKER_HOST}", trust_env=False)
        self._clients.append(client)
        return client

    def hide_from(self, face: str | None) -> None:
        """From now on, keep what is submitted from one face; from neither, with none."""
        self.faces.hidden = face

    def close(self) -> None:
        """Stop everybody."""
        super().close()
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.close()

"""A broker with two faces: two real brokers on two books, with the same keys, behind one address.

What anybody submits is carried to both books, and each caller is answered from the one that it is to see; which caller
it is, the liar knows from the address it calls from. Until something is hidden from one of them, both hold the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

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


def both_faces(world: World) -> TwoFaces:
    """Two brokers with the keys of a world's broker, each on books of its own."""
    keys, faces = world.federation.broker, {}
    for face in FACES:
        settings = Settings(
            database=world.home / f"broker-{face}.db", fed=world.federation.fed,
            trust=world.federation.directory.to_bytes(), log=LogSigner(ORIGIN, keys.log),
            transport=keys.transport, authorities=frozenset({BROKER_HOST}), rate=100_000, burst=1_000_000,
        )  # fmt: skip
        faces[face] = create_app(settings, clock=world.clock)
    return TwoFaces(faces)


class TwoFacedWorld(World):
    """A world whose broker has two faces, on the world's own wire."""

    def start_broker(self) -> None:
        """Start both faces under the broker's one name."""
        self.faces = both_faces(self)
        self.wire.attach(BROKER_HOST, self.faces)

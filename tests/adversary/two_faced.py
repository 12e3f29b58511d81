"""A broker with two faces (``exercises.faces``) that nodes call over HTTP, through sockets of this machine."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import uvicorn

from exercises.faces import FACES, both_faces
from exercises.world import BROKER_HOST, World


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
        self.faces = both_faces(self)
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

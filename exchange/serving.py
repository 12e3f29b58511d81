"""Serving an app from a command: the port is taken before anything is opened, and the address is said once it answers.

Both ``ix broker serve`` and ``ix node serve`` stand on this.
"""

from __future__ import annotations

import errno
import gc
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
import uvicorn


@contextmanager
def taken(host: str, port: int) -> Iterator[list[socket.socket]]:
    """Bind every address of a host, and listen at none yet. ``ValueError`` says in a sentence why that cannot be."""
    held: list[socket.socket] = []
    try:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as wrong:
            raise ValueError(f"`{host}` is no address of this machine: {wrong.strerror}") from None
        failures = [failed for family, *_, address in found if (failed := _bind(held, family, address))]
        for failure in failures:
            if failure.errno == errno.EADDRINUSE:
                raise ValueError(f"port {port} on `{host}` is taken by another program: choose one with --port")
        if not held:
            raise ValueError(f"port {port} on `{host}` cannot be had: {failures[0].strerror}")
        yield held
    finally:
        for one in held:
            one.close()


def _bind(held: list[socket.socket], family: int, address: tuple[Any, ...]) -> OSError | None:
    try:
        one = socket.socket(family, socket.SOCK_STREAM)
    except OSError as wrong:  # a machine without IPv6
        return wrong
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
    except OSError as wrong:
        one.close()
        return wrong
    held.append(one)
    return None


def settle_memory() -> None:
    """Tell the collector that what is loaded by now stays, and to look at the rest less often.

    Call it once, when a process has made what it will serve.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


class Server(uvicorn.Server):
    """Says one line with its address when it answers."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say where."""
        await super().startup(sockets)
        if self.started:
            host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
            typer.echo(f"ready at http://{host}:{self.config.port} (Ctrl-C stops it)", err=True)

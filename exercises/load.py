"""A load that costs its maker little: requests written out beforehand, sent from many waiting callers.

Each caller holds one HTTP/1.1 connection, sends a request, waits for the whole answer, and takes the next
one from the common pile. Nothing is signed, composed or parsed while the clock runs, so that on a small
machine the server gets the time it would have if its callers were elsewhere. Answers are kept, and judged
after the clock has stopped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer: status, body, and the seconds its caller waited."""

    status: int
    body: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Volley:
    """What came of a pile of requests; ``answers`` are in the order of the requests."""

    seconds: float
    answers: tuple[Answered, ...]

    def percentile_ms(self, share: float) -> float:
        """How long the callers waited: ``share`` of them no longer than this."""
        waits = sorted(answer.seconds for answer in self.answers)
        return 1000 * waits[min(len(waits) - 1, int(share * len(waits)))]


def write_request(method: str, url: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Write one HTTP/1.1 request out in full."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"host: {parts.netloc}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def fire(url: str, requests: Sequence[bytes], callers: int) -> Volley:
    """Send every request from ``callers`` connections, each waiting for its answer before the next."""
    return asyncio.run(_fire(url, requests, callers))


async def _fire(url: str, requests: Sequence[bytes], callers: int) -> Volley:
    parts = urlsplit(url)
    lines = [await asyncio.open_connection(parts.hostname, parts.port) for _ in range(min(callers, len(requests)))]
    answers: dict[int, Answered] = {}
    pile = iter(enumerate(requests))
    began = time.perf_counter()
    await asyncio.gather(*(_caller(reader, writer, pile, answers) for reader, writer in lines))
    seconds = time.perf_counter() - began
    for _, writer in lines:
        writer.close()
    return Volley(seconds, tuple(answers[n] for n in range(len(requests))))


async def _caller(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    pile: Iterator[tuple[int, bytes]],
    answers: dict[int, Answered],
) -> None:
    for number, request in pile:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await _body(reader, head.lower())
        answers[number] = Answered(int(head[9:12]), body, time.perf_counter() - began)


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    _, found, rest = head.partition(b"\r\ncontent-length:")
    if found:
        return await reader.readexactly(int(rest.partition(b"\r\n")[0]))
    parts = []  # chunked, which is how a streamed answer comes
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(parts)

"""Real broker processes, started quickly and killed at will: ``python -m tests.exchange.broker.host HOME PORT...``.

A host imports everything once. For each line with a port on its standard input it forks a broker that serves
HOME there, and answers with the broker's process id. The brokers are as real as any: own process, own file
handles, own event loop; only the two seconds of importing are saved, fifty times over. Behind the port may stand
what the library of ``faults`` shall do to this broker, and at which change of its files.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer

from exchange.http import new_nonce, sign_request
from exchange.protocol.message import MEDIA_TYPE, NDJSON, parse
from keys.encoding import write_json
from tests.exchange.broker.office import NORTH, SOUTH, Cast

PASSPHRASE = "for tests only"


def main(home: str) -> None:
    """Fork brokers until standard input ends."""
    from exchange.broker.commands import _answering, _serve
    from exchange.broker.settings import Settings

    settings = Settings.from_home(Path(home), PASSPHRASE, datetime.now(UTC))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    for line in sys.stdin:
        port, *fault = map(int, line.split())
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(0)
            if fault:
                signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # when the server has left, not instead of leaving
                ctypes.CDLL(None).ix_fault_arm(*fault)
            try:
                with _answering():
                    _serve(settings, "127.0.0.1", port)
            except typer.Exit:
                pass  # it has said why
            except Exception:  # noqa: BLE001  # nothing of the host's may run on in its child
                traceback.print_exc()
            finally:
                if fault:
                    sys.stderr.write(f"changes {ctypes.CDLL(None).ix_fault_seen()}\n")
                sys.stderr.flush()
                os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


@dataclass
class Host:
    """The host process and its brokers."""

    process: subprocess.Popen[str]
    brokers: dict[int, int] = field(default_factory=dict)

    def start(self, port: int) -> None:
        """Start a broker on a port and return when it answers."""
        self.launch(port)
        asyncio.run(_ready(port))

    def launch(self, port: int, *fault: int) -> None:
        """Start a broker on a port, with something that shall happen to it or nothing, and do not wait."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, (port, *fault))) + "\n")
        self.process.stdin.flush()
        self.brokers[port] = int(self.process.stdout.readline())

    def alive(self, port: int) -> bool:
        """Whether the broker of a port still runs."""
        with suppress(ProcessLookupError):
            os.kill(self.brokers[port], 0)
            return True
        return False

    def end(self, port: int, within: float = 8.0) -> bool:
        """SIGTERM, and SIGKILL if that is not enough; whether it was."""
        with suppress(ProcessLookupError):
            os.kill(self.brokers[port], signal.SIGTERM)
        deadline = time.monotonic() + within
        while self.alive(port) and time.monotonic() < deadline:
            time.sleep(0.002)
        left = not self.alive(port)
        self.kill(port)
        return left

    def kill(self, port: int) -> None:
        """SIGKILL: no goodbye, no flush, no close; returns when the process is gone."""
        pid = self.brokers.pop(port)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        while True:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.002)

    def close(self) -> None:
        for port in list(self.brokers):
            self.kill(port)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


async def _ready(port: int) -> None:
    for _ in range(600):
        line = Line(port)
        try:
            status, _ = await line.ask("GET", "/readyz")
        except OSError:
            status = 0
        await line.close()
        if status == 200:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the broker did not become ready")


@contextmanager
def hosted(home: Path, log: Path, **environment: str) -> Iterator[Host]:
    """A host for one home."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(home)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            env={**os.environ, **environment, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        )  # fmt: skip
        host = Host(process)
        try:
            yield host
        finally:
            host.close()


def make_home(folder: Path) -> tuple[Cast, str]:
    """A broker's home for a federation that began yesterday; and the digest of an agreement to be posted first."""
    cast = Cast.build(datetime.now(UTC) - timedelta(days=1))
    folder.mkdir()
    cast.keys.save(folder / "keys.json", PASSPHRASE)
    (folder / "trust.json").write_bytes(cast.directory.to_bytes())
    (folder / "broker.json").write_bytes(write_json({"fed": cast.fed, "rate": 100000, "burst": 1000000}))
    return cast, cast.agreement(NORTH, SOUTH).digest


# --- callers -----------------------------------------------------------------------------------------


class Line:
    """One HTTP/1.1 connection, made when needed; a broker that dies shows as an ``OSError``."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, target: str, body: bytes = b"", headers: Sequence[str] = ()) -> tuple[int, bytes]:
        """One call; its status and the whole body of its answer."""
        if self._open is None:
            self._open = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._open
        lines = [
            f"{method} {target} HTTP/1.1",
            f"host: 127.0.0.1:{self.port}",
            f"content-length: {len(body)}",
            *headers,
        ]
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
            return int(head[9:12]), await reader.readexactly(length)
        except asyncio.IncompleteReadError:
            raise ConnectionResetError from None

    async def close(self) -> None:
        if self._open is not None:
            writer, self._open = self._open[1], None
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


@dataclass
class Caller:
    """Somebody with a transport key and a line."""

    cast: Cast
    who: str
    port: int

    def __post_init__(self) -> None:
        self.line = Line(self.port)

    async def call(
        self, method: str, path: str, body: bytes = b"", media: str = "", query: str = ""
    ) -> tuple[int, Any]:
        proof = sign_request(
            method, f"127.0.0.1:{self.port}", path, query, body, self.cast.identities[self.who].transport,
            created=int(time.time()), nonce=new_nonce(),
        )  # fmt: skip
        headers = [f"{name}: {value}" for name, value in {**proof, "Content-Type": media}.items() if value]
        status, answer = await self.line.ask(method, f"{path}?{query}" if query else path, body, headers)
        return status, [json.loads(line) for line in answer.splitlines()] if media == NDJSON else json.loads(answer)

    async def submit(self, envelopes: Sequence[bytes]) -> list[Any]:
        """Post one envelope or many; their answers."""
        if len(envelopes) == 1:
            status, answer = await self.call("POST", "/v1/messages", envelopes[0], MEDIA_TYPE)
            answers = [answer]
        else:
            status, answers = await self.call("POST", "/v1/messages", b"\n".join(envelopes), NDJSON)
        assert status == 200, answers
        assert [a["msg"] for a in answers] == [parse(e).digest for e in envelopes]
        return answers


class Pile:
    """Envelopes waiting to be sent, shared by callers; one that was not answered goes back on top, as in an outbox."""

    def __init__(self, envelopes: Sequence[bytes], chance: random.Random) -> None:
        self.waiting, self.chance = list(envelopes), chance
        self.answered: dict[str, Any] = {}
        self.tries = 0

    async def work(self, caller: Caller) -> None:
        """Send until the pile is empty or the broker is gone."""
        while self.waiting:
            count = self.chance.choice((1, 1, 1, 2, 10))
            taken = [self.waiting.pop() for _ in range(min(count, len(self.waiting)))]
            self.tries += 1
            try:
                answers = await caller.submit(taken)
            except OSError:
                self.waiting += taken
                await caller.line.close()
                return
            for answer in answers:
                known = self.answered.setdefault(answer["msg"], answer)
                assert known["entry"] == answer["entry"]
        await caller.line.close()


if __name__ == "__main__":
    main(sys.argv[1])

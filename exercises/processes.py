"""Real processes for the demo and the bench: started, waited for, measured and always ended.

Every child gets its own process group and its own log file. ``Processes`` is a context manager: whatever
happens inside, Ctrl-C included, every child it started has ended when it is left. It ends only what it
started.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from exercises.wire import answers

READY_WITHIN: Final = 45.0
"""Real seconds a child has to become ready."""
LEAVE_WITHIN: Final = 8.0
"""Real seconds a child has to leave after SIGTERM before it is killed."""
_CPU_CLOCK_OF_PROCESS: Final = 2
"""CPUCLOCK_SCHED: clock_getcpuclockid(3) makes a clock id of a process as ``(~pid << 3) | 2``."""


class ChildFailed(RuntimeError):
    """A child process ended, or never became ready; the sentence carries the end of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """One running process, where it listens and where its log is."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    url: str = ""

    def cpu_seconds(self) -> float:
        """CPU time the process itself has used so far: user and system, all its threads (Linux; nanoseconds exact)."""
        return time.clock_gettime((~self.process.pid << 3) | _CPU_CLOCK_OF_PROCESS)

    def ending(self, lines: int = 12) -> str:
        """The last lines of its log."""
        with suppress(OSError):
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        return ""


class Processes:
    """The children of one run."""

    def __init__(self, logs: Path) -> None:
        self.logs, self.children = logs, dict[str, Child]()
        logs.mkdir(parents=True, exist_ok=True)

    def start(
        self, name: str, arguments: Sequence[str | Path], *, url: str = "", env: dict[str, str] | None = None
    ) -> Child:
        """Start ``python -m`` with these arguments; its output goes to ``<name>.log``."""
        log = self.logs / f"{name}.log"
        with log.open("ab") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**here(), **(env or {})},
                start_new_session=True,
            )
        child = self.children[name] = Child(name, process, log, url)
        return child

    def wait_ready(self, tell: Callable[[Child], None] = lambda _: None) -> None:
        """Return when every child with an address answers 200 on /readyz; ``tell`` hears of each as it does."""
        waiting = [child for child in self.children.values() if child.url]
        deadline = time.monotonic() + READY_WITHIN
        while waiting:
            for child in list(waiting):
                if child.process.poll() is not None:
                    raise ChildFailed(f"`{child.name}` ended with {child.process.returncode}:\n{child.ending()}")
                if answers(f"{child.url}/readyz"):
                    waiting.remove(child)
                    tell(child)
            if waiting and time.monotonic() > deadline:
                raise ChildFailed(f"`{waiting[0].name}` did not become ready:\n{waiting[0].ending()}")
            time.sleep(0.05)

    def must_live(self, *, done: Sequence[str] = ()) -> None:
        """Raise ``ChildFailed`` if a child has ended that was not ``done``."""
        for child in self.children.values():
            if child.process.poll() is not None and child.name not in done:
                raise ChildFailed(f"`{child.name}` ended with {child.process.returncode}:\n{child.ending()}")

    def stop(self, name: str) -> int:
        """Ask one child to leave and wait until it has; kills it if it will not. Says its exit code."""
        child = self.children.pop(name)
        _signal(child, signal.SIGTERM)
        try:
            return child.process.wait(LEAVE_WITHIN)
        except subprocess.TimeoutExpired:
            _signal(child, signal.SIGKILL)
            return child.process.wait()

    def stop_all(self) -> None:
        """End every child: all are asked at once, then each is waited for."""
        for child in self.children.values():
            _signal(child, signal.SIGTERM)
        for name in list(self.children):
            self.stop(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.stop_all()


def free_ports(count: int) -> list[int]:
    """Find loopback ports nobody listens on; all are held until all are found, so none comes twice."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for held in sockets:
            held.bind(("127.0.0.1", 0))
        return [int(held.getsockname()[1]) for held in sockets]
    finally:
        for held in sockets:
            held.close()


def here() -> dict[str, str]:
    """The environment in which a child imports what we import, whether or not the project is installed."""
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


def _signal(child: Child, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.process.pid, number)

"""Whatever goes wrong at any write of the books, nothing acknowledged is missing and the log verifies (LOG-84).

A library that is compiled here and preloaded into a broker process (``faults/faults.c``) strikes at the n-th change of
the database's files: the process dies before it or in the middle of it, a write is cut short, the disk is full from
there on, an operation fails once, or no sync succeeds any more. The load is short and goes through the whole commit
path: the first books, an agreement, messages alone and together, receipts, a recall, and the checkpoint of the
write-ahead log when the broker leaves. After each the books are judged as they lie; then a broker without faults
starts on them, and finishes.

``make crash N=2000`` strikes two thousand times, which is at every place there is.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exchange.broker.store import Store
from tests.exchange.broker.host import Caller, Host, hosted
from tests.exchange.broker.office import NORTH, SOUTH
from tests.exchange.broker.test_crash import JOSE, NOTE, Scene, times

SOURCE = Path(__file__).resolve().parent / "faults" / "faults.c"
KILL, TORN, SHORT, FULL, EIO, SYNCS = range(1, 7)
NAMES = {KILL: "kill", TORN: "torn", SHORT: "short", FULL: "full", EIO: "eio", SYNCS: "syncs"}
NEVER = 10**9


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The preloaded library, compiled for this machine."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler, or not Linux: the library that makes writes fail cannot be made")
    out = tmp_path_factory.mktemp("faults") / "faults.so"
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(out), str(SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(f"the library that makes writes fail does not compile here: {done.stderr.strip()[:200]}")
    return out


class Struck(Scene):
    """One federation and one home, whose books begin anew for each fault."""

    def __init__(self, folder: Path, library: Path) -> None:
        super().__init__(folder, messages=8)
        self.first = [*self.pile.waiting]
        self.library = library
        self.gone_full = 0

    @contextmanager
    def hosted(self) -> Iterator[Host]:
        with hosted(self.home, self.folder / "host.log", LD_PRELOAD=str(self.library)) as host:
            yield host

    def forget(self) -> None:
        """No books, and nothing promised."""
        for path in self.home.glob("broker.db*"):
            path.unlink()
        self.pile.answered.clear()
        for kept in (self.receipted, self.collected, self.recalls, self.recalled, self.headed):
            kept.clear()
        self.cursor = -1

    def strike(self, host: Host, kind: int, number: int) -> None:
        """One life with a fault, judged; and one without."""
        self.forget()
        host.launch(self.port, kind, number)
        asyncio.run(self._try(host))
        host.end(self.port)
        self.judge_if_any()
        host.start(self.port)
        asyncio.run(self._all())
        self.judge()
        assert len(self.pile.answered) == len(self.first)
        assert host.end(self.port)
        self.judge()

    def judge_if_any(self) -> None:
        """Judge the books as they lie; with nothing promised they need not have come about."""
        promised = len(self.pile.answered) + len(self.receipted) + len(self.recalled) + len(self.headed)
        try:
            self.judge()
        except Exception:
            if promised or self.has_head():
                raise

    def has_head(self) -> bool:
        """Whether the books were ever founded."""
        store = Store(self.folder / "copy" / "broker.db")
        try:
            with store.reading() as view:
                return view.head() is not None
        except Exception:  # noqa: BLE001  # no table, no file: whatever it is, no books
            return False
        finally:
            store.close()

    # -- the load --

    async def _try(self, host: Host) -> None:
        """The load, as far as it goes; each step is tried twice, as its sender would."""
        deadline = time.monotonic() + 20
        while host.alive(self.port) and time.monotonic() < deadline:
            if await self._step(self._answers):
                break
            await asyncio.sleep(0.005)
        for step in (self._agreed, self._one, self._several, self._receipts, self._recalls, self._put, self._rest):
            if not (await self._step(step) or await self._step(step)):
                return

    async def _all(self) -> None:
        for step in (self._agreed, self._one, self._several, self._receipts, self._recalls, self._put, self._rest):
            assert await self._step(step), step

    async def _step(self, step: Any) -> bool:
        north, south = (Caller(self.cast, who, self.port) for who in (NORTH, SOUTH))
        try:
            return bool(await step(north, south))
        except OSError:
            return False
        finally:
            await north.line.close()
            await south.line.close()

    async def _answers(self, north: Caller, _: Caller) -> bool:
        return (await north.line.ask("GET", "/healthz"))[0] == 200

    async def _agreed(self, north: Caller, _: Caller) -> bool:
        status, said = await north.call("POST", "/v1/agreements", self.cast.agreement(NORTH, SOUTH).to_bytes(), JOSE)
        return bool(status == 200 and said["state"] == "complete")

    async def _send(self, north: Caller, envelopes: list[bytes]) -> bool:
        media = "application/ix-message+json" if len(envelopes) == 1 else "application/ix-message+ndjson"
        status, said = await north.call("POST", "/v1/messages", b"\n".join(envelopes), media)
        if status != 200:
            return False
        answers = said if isinstance(said, list) else [said]
        for answer in answers:
            if answer.get("outcome") == "permit":
                assert self.pile.answered.setdefault(answer["msg"], answer)["entry"] == answer["entry"]
        return all(answer.get("outcome") == "permit" for answer in answers)

    async def _one(self, north: Caller, _: Caller) -> bool:
        return await self._send(north, self.first[:1])

    async def _several(self, north: Caller, _: Caller) -> bool:
        return await self._send(north, self.first[1:5])

    async def _rest(self, north: Caller, _: Caller) -> bool:
        return await self._send(north, self.first[5:])

    async def _receipts(self, _: Caller, south: Caller) -> bool:
        status, page = await south.call("GET", "/v1/mailbox", query="after=-1&limit=50")
        if status != 200:
            return False
        names = list(self.pile.answered)[:3]
        batch = self.cast.receipts(SOUTH, datetime.now(UTC), *((name, "delivered") for name in names))
        status, said = await south.call("POST", "/v1/receipts", batch, JOSE)
        if status != 200:
            return False
        self.receipted |= {f"item {item['seq']}": item for item in page["items"]}
        self.receipted |= {one["msg"]: one for one in said["results"] if "entry" in one}
        return all("entry" in one for one in said["results"])

    async def _recalls(self, north: Caller, _: Caller) -> bool:
        name = next(iter(self.pile.answered))
        if name not in self.recalls:
            self.recalls[name] = self.cast.act("recall", NORTH, name, datetime.now(UTC), ground="sent_in_error")
        status, said = await north.call("POST", "/v1/acts", self.recalls[name], JOSE)
        if status == 200:
            assert self.recalled.setdefault(name, said)["entry"] == said["entry"]
        return bool(status == 200)

    async def _put(self, north: Caller, _: Caller) -> bool:
        self.heads = self.heads or [self.cast.head(NORTH, size, at=datetime.now(UTC)) for size in (1, 2)]
        for note in self.heads:
            status, said = await north.call("POST", "/v1/heads", note.encode(), NOTE)
            if status != 200:
                return False
            assert self.headed.setdefault(note, said)["entry"] == said["entry"]
        return True


def play(folder: Path, library: Path, faults: int) -> str:
    """Strike so often, spread over the whole load and every kind of fault, and say what was done."""
    scene = Struck(folder, library)
    with scene.hosted() as host:
        changes = count(scene, host)
        step = max(1, len(NAMES) * changes // faults)
        plan = [(kind, n) for kind in NAMES for n in range(1 + kind * step // (len(NAMES) + 1), changes + 1, step)]
        for kind, number in plan:
            sys.stderr.write(f"{NAMES[kind]} at {number} of {changes}\n")  # pytest shows it if anything fails
            scene.strike(host, kind, number)
    log = (folder / "host.log").read_text(encoding="utf-8", errors="replace")
    assert "Traceback" not in log
    return f"{len(plan)} faults at {changes} changes of the books"


def count(scene: Struck, host: Host) -> int:
    """How many changes of the files the load makes, from the first books to the last checkpoint."""
    scene.strike(host, KILL, NEVER)
    said = (scene.folder / "host.log").read_text(encoding="utf-8", errors="replace")
    return int(said.split("changes ")[-1].split()[0])


@pytest.mark.spec("LOG-84", "ADM-11", "ADM-12", "LOG-3", "LOG-4", "LOG-18")
def test_a_few_faults_of_every_kind_lose_nothing_that_was_acknowledged(tmp_path: Path, library: Path) -> None:
    play(tmp_path, library, 6)


@pytest.mark.slow
@pytest.mark.spec("LOG-84", "ADM-11", "ADM-12", "LOG-3", "LOG-4", "LOG-18")
def test_faults_all_over_the_commit_path_lose_nothing_that_was_acknowledged(tmp_path: Path, library: Path) -> None:
    sys.stderr.write(play(tmp_path, library, times()) + "\n")

"""A broker killed at any moment has lost nothing it answered, delivers nothing unlogged, and nothing twice.

``make crash N=1000`` kills it a thousand times; ``CRASH_SEED`` repeats a run's chances. The broker is a
process of its own under load; SIGKILL comes at a random moment. After each death its books are copied and
judged as they lie, before anybody repairs anything; then it is started again on the originals.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sys
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exchange.broker.books_check import check_books
from exchange.broker.store import Store
from exchange.protocol.log import verify_tlog_proof
from exchange.protocol.merkle import Tree, leaf_hash
from exchange.protocol.message import parse
from exercises.processes import free_ports
from keys.encoding import unb64u
from tests.exchange.broker.host import Caller, Host, Pile, hosted, make_home
from tests.exchange.broker.office import NORTH, SOUTH, Cast

CALLERS = 12
JOSE = "application/jose+json"
NOTE = "text/plain"


def times() -> int:
    return int(os.environ.get("CRASH_N") or 50)


@pytest.mark.spec("ADM-11", "ADM-12", "LOG-3", "LOG-4")
def test_a_broker_killed_a_few_times_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    Scene(tmp_path, messages=300).play(4)


@pytest.mark.slow
@pytest.mark.spec("ADM-11", "ADM-12", "LOG-3", "LOG-4")
def test_a_broker_killed_many_times_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    Scene(tmp_path, messages=min(2500, 40 * times())).play(times())


ENOUGH = 600
"""Messages waiting when a life begins: more than a broker takes in the third of a second it has at most."""


class Scene:
    """One federation, one broker's home, a pile of messages, and what was promised so far."""

    def __init__(self, folder: Path, messages: int) -> None:
        self.folder, self.home = folder, folder / "home"
        self.seed = int(os.environ.get("CRASH_SEED") or random.SystemRandom().randrange(10**9))
        self.chance = random.Random(self.seed)
        self.cast, self.agreement = make_home(self.home)
        (self.port,) = free_ports(1)
        self.number = messages
        self.pile = Pile(self._more(), self.chance)
        self.receipted: dict[str, Any] = {}
        self.collected: dict[int, str] = {}
        self.recalls: dict[str, bytes] = {}
        self.recalled: dict[str, Any] = {}
        self.heads: list[str] = []
        self.headed: dict[str, Any] = {}
        self.cursor = -1
        self.kills_under_load = 0

    def _more(self) -> list[bytes]:
        now = datetime.now(UTC)
        return [self.cast.compose(self.agreement, now=now) for _ in range(self.number)]

    def play(self, lives: int) -> None:
        sys.stderr.write(f"CRASH_SEED={self.seed}\n")  # pytest shows it if anything fails
        with hosted(self.home, self.folder / "host.log") as host:
            host.start(self.port)
            asyncio.run(self._agree())
            for life in range(lives):
                if life:
                    host.start(self.port)
                if len(self.pile.waiting) < ENOUGH:
                    self.pile.waiting.extend(self._more())
                asyncio.run(self._live(host))
                self.judge()
            host.start(self.port)
            asyncio.run(self._finish())
        self.judge()
        assert not self.pile.waiting
        assert set(self.collected.values()) == set(self.pile.answered)
        assert self.kills_under_load * 2 > lives  # where a machine is quick, some lives end with nothing left to send
        sys.stderr.write(f"{lives} kills, {self.kills_under_load} under load; {len(self.pile.answered)} messages\n")

    async def _agree(self) -> None:
        caller = Caller(self.cast, NORTH, self.port)
        status, said = await caller.call("POST", "/v1/agreements", self.cast.agreement(NORTH, SOUTH).to_bytes(), JOSE)
        assert (status, said["state"], said["agr"]) == (200, "complete", self.agreement)
        await caller.line.close()

    async def _live(self, host: Host) -> None:
        """Callers send and take back, the recipient collects and gives receipts, and in the midst the broker dies."""
        work = [asyncio.create_task(self.pile.work(Caller(self.cast, NORTH, self.port))) for _ in range(CALLERS)]
        work += [asyncio.create_task(self._collect()), asyncio.create_task(self._recall())]
        work.append(asyncio.create_task(self._put_heads()))
        await asyncio.sleep(self.chance.uniform(0.01, 0.3))
        self.kills_under_load += any(not task.done() for task in work[:CALLERS])
        await asyncio.to_thread(host.kill, self.port)
        await asyncio.gather(*work)

    async def _recall(self) -> None:
        """The originator takes messages back, now and then the same one again, until the broker is gone."""
        caller = Caller(self.cast, NORTH, self.port)
        with suppress(OSError):
            while True:
                names = list(self.recalls) if len(self.recalls) > len(self.recalled) else list(self.pile.answered)
                if names:
                    await self._take_back(caller, self.chance.choice(names))
                await caller.call("GET", "/v1/proposals")
        await caller.line.close()

    async def _put_heads(self) -> None:
        """The originator's ledger grows, and its head is put into the log, the unanswered one again, until the end."""
        caller = Caller(self.cast, NORTH, self.port)
        with suppress(OSError):
            while True:
                if len(self.heads) == len(self.headed):
                    self.heads.append(self.cast.head(NORTH, len(self.heads) + 1, at=datetime.now(UTC)))
                await self._put_head(caller, self.heads[-1])
                older = self.chance.choice(self.heads)  # whatever came after it
                if older in self.headed:
                    await self._put_head(caller, older)
        await caller.line.close()

    async def _put_head(self, caller: Caller, note: str) -> None:
        status, said = await caller.call("POST", "/v1/heads", note.encode(), NOTE)
        assert status == 200, said
        assert self.headed.setdefault(note, said)["entry"] == said["entry"]

    async def _take_back(self, caller: Caller, name: str) -> None:
        if name not in self.recalls:
            self.recalls[name] = self.cast.act("recall", NORTH, name, datetime.now(UTC), ground="sent_in_error")
        status, said = await caller.call("POST", "/v1/acts", self.recalls[name], JOSE)
        assert status == 200, said
        assert self.recalled.setdefault(name, said)["entry"] == said["entry"]

    async def _collect(self, *, until_empty: bool = False) -> None:
        caller = Caller(self.cast, SOUTH, self.port)
        with suppress(OSError):
            while True:
                gone = set(self.recalled)  # a page asked for earlier may have been read before a later answer
                _, page = await caller.call("GET", "/v1/mailbox", query=f"after={self.cursor}&limit=50&wait=1")
                names = [self._take(item, gone) for item in page["items"]]
                self.cursor = page["next"]
                if until_empty and not page["items"]:
                    break
                if told := [(name, "delivered") for name in names if name]:
                    batch = self.cast.receipts(SOUTH, datetime.now(UTC), *told)
                    status, said = await caller.call("POST", "/v1/receipts", batch, JOSE)
                    assert status == 200, said
                    self.receipted |= {r["msg"]: r for r in said["results"]}
        await caller.line.close()

    def _take(self, item: Any, gone: set[str]) -> str:
        """Judge a delivered item as its recipient does: what it says is in the log, at that very index.

        gone is what had been taken back, and answered, before the page was asked for.
        """
        entry = unb64u(item["entry"])
        index, _ = verify_tlog_proof(item["proof"], entry, self.cast.directory.root.log)
        assert index == item["seq"] > self.cursor
        if item["kind"] not in ("message", "recalled"):
            return ""
        name = str(json.loads(entry)["msg"])
        assert index not in self.collected
        assert name not in self.collected.values(), "delivered twice"
        assert item["kind"] == "message" or name in self.recalls, "taken back by nobody"
        assert item["kind"] == "recalled" or name not in gone, "delivered after it was taken back"
        self.collected[index] = name
        return name if item["kind"] == "message" else ""

    async def _finish(self) -> None:
        """No more deaths: everything is sent and collected."""
        await self.pile.work(Caller(self.cast, NORTH, self.port))
        await self._collect(until_empty=True)

    # -- the judgement --

    def judge(self) -> None:
        """Look at the books as they lie, on a copy, and hold them against everything that was promised."""
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for name in ("broker.db", "broker.db-wal"):
            if (self.home / name).exists():
                shutil.copyfile(self.home / name, copy / name)
        store = Store(copy / "broker.db")
        try:
            check_books(store, self.cast.directory.root.log, every_entry=True)
            with store.reading() as view:
                entries = view.entries(0, view.head().size)
                mail = view._connection.exec_driver_sql("SELECT recipient, seq, kind FROM mail").all()
        finally:
            store.close()
        promised = [
            *self.pile.answered.values(),
            *self.receipted.values(),
            *self.recalled.values(),
            *self.headed.values(),
        ]
        judge_log(entries, mail, self.cast, promised)
        assert set(self.collected.values()) <= {json.loads(entries[index])["msg"] for index in self.collected}


def judge_log(entries: list[bytes], mail: Any, cast: Cast, promised: list[Any]) -> None:
    """Everything promised is in the log, once, under the root that was signed; every mailbox item is logged."""
    tree = Tree()
    tree.append([leaf_hash(entry) for entry in entries])
    logged = [json.loads(entry) for entry in entries]
    facts = Counter((e["typ"], e.get("msg"), e.get("by"), e.get("status")) for e in logged if "msg" in e)
    assert set(facts.values()) <= {1}, "logged twice"
    for answer in promised:
        index, checkpoint = verify_tlog_proof(answer["proof"], unb64u(answer["entry"]), cast.directory.root.log)
        assert entries[index] == unb64u(answer["entry"]), "acknowledged and lost"
        assert tree.root(checkpoint.size) == checkpoint.root, "the log was forked"
    sizes = [e["size"] for e in logged if e["typ"] == "node-head"]
    assert sizes == sorted(set(sizes)), "a head was logged twice, or out of order"
    items = Counter((recipient, seq) for recipient, seq, _ in mail)
    assert set(items.values()) <= {1}
    due = {(to["id"], seq) for seq, e in enumerate(logged) if e["typ"] == "disclosure" for to in e["to"]}
    assert {(recipient, seq) for recipient, seq, kind in mail if kind in ("message", "recalled")} == due
    taken_back = {e["msg"] for e in logged if e["typ"] == "act"}
    assert {logged[seq]["msg"] for _, seq, kind in mail if kind == "recalled"} == taken_back
    due = {(SOUTH, seq) for seq, e in enumerate(logged) if e["typ"] == "act"}
    assert {(recipient, seq) for recipient, seq, kind in mail if kind == "act"} == due
    senders = {e["msg"]: e["from"] for e in logged if e["typ"] == "disclosure"}
    due = {(senders[e["msg"]], seq) for seq, e in enumerate(logged) if e["typ"] == "receipt"}
    assert {(recipient, seq) for recipient, seq, kind in mail if kind == "receipt"} == due


# --- two brokers on one database -----------------------------------------------------------------------


@pytest.mark.spec("LOG-4", "LOG-10", "ADM-8")
def test_two_broker_processes_under_load_keep_one_log(tmp_path: Path) -> None:
    """Both are sent the same messages at once, by many callers; one of them is killed on the way and comes back."""
    scene = Scene(tmp_path, messages=240)
    ports = free_ports(2)
    envelopes = list(scene.pile.waiting)
    piles = [Pile(envelopes, random.Random(n)) for n in range(2)]

    async def load(host: Host) -> None:
        scene.port = ports[0]
        await scene._agree()
        work = [
            asyncio.create_task(pile.work(Caller(scene.cast, NORTH, port)))
            for pile, port in zip(piles, ports, strict=True)
            for _ in range(6)
        ]
        await asyncio.sleep(0.25)
        await asyncio.to_thread(host.kill, ports[1])
        await asyncio.to_thread(host.start, ports[1])
        await asyncio.gather(*work)
        await asyncio.gather(*(piles[1].work(Caller(scene.cast, NORTH, ports[1])) for _ in range(6)))

    with hosted(scene.home, tmp_path / "host.log") as host:
        for port in ports:
            host.start(port)
        asyncio.run(load(host))
        scene.port, scene.pile = ports[1], piles[0]
        asyncio.run(scene._collect(until_empty=True))
    names = {parse(envelope).digest for envelope in envelopes}
    for pile in piles:
        assert set(pile.answered) == names
    assert {n: a["entry"] for n, a in piles[0].answered.items()} == {
        n: a["entry"] for n, a in piles[1].answered.items()
    }
    assert sorted(scene.collected.values()) == sorted(names)
    scene.pile.answered = {
        f"{n} {name}": answer for n, pile in enumerate(piles) for name, answer in pile.answered.items()
    }
    scene.judge()

"""``ix bench``: what the exchange costs, all of it measured side by side in one run, as one JSON document.

The floor, the broker over real HTTP (alone and in batches), the naive broker with the same callers, the
time from sender to opened between real processes, a day of 4,900 messages among 70 agencies, decisions beside
Cedar's with 10, 1,000 and 100,000 agreements (``bench_decisions``), the log alone with 1,000,000 entries beside
pymerkle (``bench_log``), and a node's ledger of 100,000 acts (``bench_ledger``). Messages for the brokers are composed
before their clocks run; the day composes its own. Rounds of floor, single, batch and naive alternate, so that a machine
that drifts, drifts for all of them; figures are medians of rounds. The day is one round, and its clock stops when every
sender holds both receipts for every message. Nothing here knows what would be a good result.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from agencies.node.broker_client import BrokerClient, new_client
from exchange.protocol.message import MEDIA_TYPE, NDJSON
from exercises import bench_decisions, bench_ledger, bench_log
from exercises.bench_load import Pair, compose, content, floor_us, found, pairs, write_post
from exercises.bench_worker import pack
from exercises.federation import Federation, settle_broker
from exercises.load import Volley, fire, write_request
from exercises.machine import machine
from exercises.processes import Child, Processes, free_ports
from keys.encoding import read_json, write_json
from keys.keystore import replace_file

CALLERS: Final = 32
BATCH: Final = 50
BATCH_CALLERS: Final = 4
WARM: Final = 40
NODE_PROCESSES: Final = 4
"""How many processes share the day's nodes: enough that some compute while others wait for the broker or the disk."""
PATIENCE: Final = 300.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int = 3
    single: int = 1200
    batched: int = 3000
    naive: int = 600
    opened: int = 300
    agencies: int = 70
    day: int = 4900


QUICK: Final = Size(rounds=1, single=64, batched=100, naive=32, opened=10, agencies=14, day=140)


@dataclass
class Bench:
    """One run."""

    home: Path
    size: Size
    say: Callable[[str], None] = lambda _: None
    rounds: dict[str, list[float]] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Measure everything; the document."""
        began, on = time.perf_counter(), machine()
        brokers = self._brokers()
        opened = self._opened()
        day = self._day()
        quick = self.size is QUICK
        decisions, log = bench_decisions.measure_apart(quick=quick), bench_log.measure_apart(quick=quick)
        measured = ("floor_us", "broker_single_us", "broker_batch_us", "naive_us")
        floor, single, batch, naive = (self._median(name) for name in measured)
        return {
            "floor_us": round(floor, 1),
            "broker_single_us": round(single, 1),
            "broker_batch_us": round(batch, 1),
            "single_over_floor": round(single / floor, 2),
            "batch_over_floor": round(batch / floor, 2),
            "naive_us": round(naive, 1),
            **brokers,
            **opened,
            **day,
            **decisions,
            **log,
            **bench_ledger.measure_apart(quick=quick),
            "rounds": {name: [round(value, 1) for value in values] for name, values in self.rounds.items()},
            "machine": {**on, "load_after": machine()["load_before"]},
            "seconds": round(time.perf_counter() - began, 1),
        }

    def _note(self, name: str, value: float) -> None:
        self.rounds.setdefault(name, []).append(value)

    def _median(self, name: str) -> float:
        return statistics.median(self.rounds[name])

    # -- the broker over HTTP, and the one everyone writes first --

    def _brokers(self) -> dict[str, Any]:
        size, federation = self.size, self._federation("http", 10)
        self.say("composing messages")
        singles = _chunks(_composed(federation, size.single), size.rounds)
        batched = _chunks(_composed(federation, size.batched), size.rounds)
        plain = _chunks(_composed(federation, size.naive), size.rounds)
        with Processes(self.home / "http" / "logs") as processes:
            broker = _serve(processes, federation, self.home / "http")
            naive = _serve_naive(processes, federation, self.home / "http")
            self._warm(federation, broker, naive)
            for number in range(size.rounds):
                self.say(f"brokers, round {number + 1} of {size.rounds}")
                self._note("floor_us", floor_us(federation, [body for _, body in singles[number]]))
                self._single(federation, broker, singles[number])
                self._batches(federation, broker, batched[number])
                self._naive(naive, plain[number])
        rate, p50, p99 = (self._median(name) for name in ("http_msgs_per_s", "http_p50_ms", "http_p99_ms"))
        naive_rate = self._median("naive_msgs_per_s")
        envelope = statistics.median(len(body) for chunk in singles for _, body in chunk)
        return {
            "http_msgs_per_s": round(rate),
            "http_batch_msgs_per_s": round(self._median("http_batch_msgs_per_s")),
            "naive_msgs_per_s": round(naive_rate),
            "http_over_naive": round(rate / naive_rate, 2),
            "http_p50_ms": round(p50, 1),
            "http_p99_ms": round(p99, 1),
            "callers": CALLERS,
            "batch": BATCH,
            "envelope_bytes": int(envelope),
        }

    def _warm(self, federation: Federation, broker: Child, naive: Child) -> None:
        """Imports, caches and the first pages: not part of any message."""
        _permitted(_post(federation, broker, _composed(federation, WARM), callers=CALLERS))
        _permitted(_post_naive(naive, _composed(federation, WARM)))

    def _single(self, federation: Federation, broker: Child, messages: Sequence[tuple[str, bytes]]) -> None:
        before = broker.cpu_seconds()
        volley = _post(federation, broker, messages, callers=CALLERS)
        self._note("broker_single_us", 1e6 * (broker.cpu_seconds() - before) / len(messages))
        _permitted(volley)
        self._note("http_msgs_per_s", len(messages) / volley.seconds)
        self._note("http_p50_ms", volley.percentile_ms(0.50))
        self._note("http_p99_ms", volley.percentile_ms(0.99))

    def _batches(self, federation: Federation, broker: Child, messages: Sequence[tuple[str, bytes]]) -> None:
        by_sender: dict[str, list[bytes]] = {}
        for sender, body in messages:
            by_sender.setdefault(sender, []).append(body)
        posts = [
            (sender, b"\n".join(bodies[first : first + BATCH]) + b"\n")
            for sender, bodies in by_sender.items()
            for first in range(0, len(bodies), BATCH)
        ]
        before = broker.cpu_seconds()
        volley = _post(federation, broker, posts, callers=BATCH_CALLERS, media=NDJSON)
        self._note("broker_batch_us", 1e6 * (broker.cpu_seconds() - before) / len(messages))
        _permitted(volley)
        self._note("http_batch_msgs_per_s", len(messages) / volley.seconds)

    def _naive(self, naive: Child, messages: Sequence[tuple[str, bytes]]) -> None:
        before = naive.cpu_seconds()
        volley = _post_naive(naive, messages)
        self._note("naive_us", 1e6 * (naive.cpu_seconds() - before) / len(messages))
        _permitted(volley)
        self._note("naive_msgs_per_s", len(messages) / volley.seconds)

    # -- from sender to opened --

    def _opened(self) -> dict[str, Any]:
        self.say("from sender to opened")
        home, federation = self.home / "opened", self._federation("opened", 2)
        drawn = [pair for pair in pairs(federation, 2 * self.size.opened) if pair.sender == "agency-00.sim"]
        with Processes(home / "logs") as processes:
            broker = _serve(processes, federation, home)
            sender = _plan(home, "send", federation, broker, ["agency-00.sim"], drawn)
            recipient = _plan(home, "await", federation, broker, ["agency-01.sim"], drawn)
            sent, came = self._work(processes, home, [sender, recipient])
        waits = sorted((came["times"][msg] - at) / 1e6 for msg, at in sent["times"].items())
        return {
            "opened_p50_ms": round(waits[len(waits) // 2], 1),
            "opened_p99_ms": round(waits[min(len(waits) - 1, int(0.99 * len(waits)))], 1),
            "opened_messages": len(waits),
        }

    # -- a day of SIENA --

    def _day(self) -> dict[str, Any]:
        size = self.size
        self.say(f"a day: {size.day} messages among {size.agencies} agencies")
        home, federation = self.home / "day", self._federation("day", size.agencies)
        drawn, agencies = pairs(federation, size.day), sorted(federation.identities)
        shares = [agencies[n::NODE_PROCESSES] for n in range(NODE_PROCESSES)]
        with Processes(home / "logs") as processes:
            broker = _serve(processes, federation, home)
            plans = [
                _plan(home, "day", federation, broker, share, drawn, name=f"day-{n}") for n, share in enumerate(shares)
            ]
            before = broker.cpu_seconds()
            done = self._work(processes, home, plans)
            cpu = broker.cpu_seconds() - before
        start = min(one["start"] for one in done)
        took = {name: (max(one[name] for one in done) - start) / 1e9 for name in ("sent", "done", "receipted")}
        nodes = {phase: sum(one["cpu"][phase] for one in done) / 1e9 for phase in ("send", "receive")}
        opened, receipts = (sum(one[name] for one in done) for name in ("opened", "receipts"))
        logged = _logged(home / "broker" / "broker.db")
        expected = {"disclosure": size.day, "delivered": size.day, "opened": size.day}
        if logged != expected or (opened, receipts) != (size.day, 2 * size.day):
            raise RuntimeError(f"the day is not whole: {opened} opened, {receipts} receipts, {logged} in the log")
        return {
            "siena_day_s": round(took["receipted"], 2),
            "siena": {
                "messages": size.day,
                "agencies": size.agencies,
                "node_processes": len(plans),
                "all_sent_s": round(took["sent"], 2),
                "all_opened_and_receipted_s": round(took["done"], 2),
                "all_senders_have_both_receipts_s": round(took["receipted"], 2),
                "broker_cpu_s": round(cpu, 2),
                "nodes_cpu_s": round(sum(nodes.values()), 2),
                "nodes_cpu_sending_s": round(nodes["send"], 2),
                "nodes_cpu_receiving_s": round(nodes["receive"], 2),
                "opened": opened,
                "receipts_collected": receipts,
                "log_entries": logged,
            },
        }

    # -- what they share --

    def _federation(self, name: str, agencies: int) -> Federation:
        federation = found(agencies, _now())
        (self.home / name).mkdir()
        return federation

    def _work(self, processes: Processes, home: Path, plans: Sequence[Path]) -> list[dict[str, Any]]:
        """Start workers, let them go together, and wait for what they found."""
        for plan in plans:
            processes.start(plan.stem, ["exercises.bench_worker", plan])
        _await(processes, [plan.with_suffix(".ready") for plan in plans])
        (home / "go").touch()
        _await(processes, [plan.with_suffix(".done") for plan in plans])
        return [read_json(plan.with_suffix(".done").read_bytes(), limit=64 << 20) for plan in plans]


def _composed(federation: Federation, count: int) -> list[tuple[str, bytes]]:
    drawn = pairs(federation, count)
    return [(pair.sender, body) for pair, body in zip(drawn, compose(federation, drawn), strict=True)]


def _chunks(messages: Sequence[tuple[str, bytes]], count: int) -> list[Sequence[tuple[str, bytes]]]:
    each = len(messages) // count
    return [messages[n * each : (n + 1) * each] for n in range(count)]


def _serve(processes: Processes, federation: Federation, home: Path) -> Child:
    """Start the broker as anybody would, with the agreements in its log."""
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    settle_broker(federation, home / "broker", address, rate=100_000, burst=1_000_000)
    arguments: list[str | Path] = ["ix", "broker", "serve", home / "broker", "--port", str(port)]
    arguments += ["--passphrase-file", home / "broker" / "passphrase"]
    broker = processes.start("broker", arguments, url=f"http://{address}")
    processes.wait_ready()
    for signed in federation.agreements.values():
        party = read_json(_payload(signed), limit=1 << 16)["parties"][0]
        with closing(new_client(broker.url)) as line:
            signer = federation.identities[party].transport
            BrokerClient(line, broker.url, signer, lambda: federation.directory, _now).offer_agreement(signed)
    return broker


def _serve_naive(processes: Processes, federation: Federation, home: Path) -> Child:
    """Start the naive broker, with the same federation and agreement."""
    (port,) = free_ports(1)
    trust, agreement = home / "trust.json", home / "agreement.json"
    trust.write_bytes(federation.directory.to_bytes())
    agreement.write_bytes(federation.agreements["room-0"])
    arguments: list[str | Path] = ["exercises.naive", home / "naive.db", trust, federation.fed, agreement, str(port)]
    naive = processes.start("naive", arguments, url=f"http://127.0.0.1:{port}")
    processes.wait_ready()
    return naive


def _payload(signed: bytes) -> bytes:
    from keys.signing import parse_statement

    return parse_statement(signed).payload


def _post(
    federation: Federation,
    broker: Child,
    messages: Sequence[tuple[str, bytes]],
    *,
    callers: int,
    media: str = MEDIA_TYPE,
) -> Volley:
    posts = [write_post(broker.url, federation.identities[sender], body, media) for sender, body in messages]
    return fire(broker.url, posts, callers)


def _post_naive(naive: Child, messages: Sequence[tuple[str, bytes]]) -> Volley:
    headers = {"content-type": "application/json"}
    posts = [write_request("POST", f"{naive.url}/v1/messages", body, headers) for _, body in messages]
    return fire(naive.url, posts, CALLERS)


def _permitted(volley: Volley) -> None:
    """A figure counts only if every message was admitted."""
    for answer in volley.answers:
        lines = answer.body.splitlines()
        if answer.status != 200 or not all(json.loads(line).get("outcome") == "permit" for line in lines):
            raise RuntimeError(f"a message was not admitted: {answer.status} {answer.body[:300]!r}")


def _plan(
    home: Path,
    act: str,
    federation: Federation,
    broker: Child,
    agencies: Sequence[str],
    drawn: Sequence[Pair],
    *,
    name: str = "",
) -> Path:
    mine = set(agencies)
    send: dict[str, list[dict[str, str]]] = {}
    for pair in drawn if act != "await" else ():
        if pair.sender in mine:
            send.setdefault(pair.sender, []).append({"to": pair.recipient, "agr": pair.agreement})
    plan = {
        "act": act,
        "broker": broker.url,
        "fed": federation.fed,
        "trust": federation.directory.to_bytes().decode(),
        "identities": [pack(federation.identities[agency]) for agency in agencies],
        "send": send,
        "expected": {agency: sum(pair.recipient == agency for pair in drawn) for agency in agencies},
        "facts": {
            "purpose": "prevent",
            "crime": "immigrant_smuggling",
            "class": "restricted",
            "handling": ["H0"],
            "urgency": "none",
        },
        "content": read_json(content(), limit=1 << 20),
    }
    path = home / f"{name or act}.json"
    replace_file(path, write_json(plan))
    return path


def _await(processes: Processes, files: Sequence[Path]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not all(path.exists() for path in files):
        processes.must_live(done=[path.stem for path in files if path.exists()])
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited in vain for {[path.name for path in files if not path.exists()]}")
        time.sleep(0.01)


def _logged(database: Path) -> dict[str, int]:
    """What the log holds, by kind; receipts by what they say."""
    found: dict[str, int] = {}
    with closing(sqlite3.connect(database)) as books:
        for (data,) in books.execute("SELECT data FROM entry"):
            entry = json.loads(data)
            kind = entry["status"] if entry["typ"] == "receipt" else entry["typ"]
            found[kind] = found.get(kind, 0) + 1
    return {kind: found.get(kind, 0) for kind in ("disclosure", "delivered", "opened")}


def _now() -> datetime:
    return datetime.now(UTC)


def main(arguments: Sequence[str]) -> int:
    """Run the bench and print one JSON document on standard output; progress goes to standard error."""
    size = QUICK if "--quick" in arguments else Size()

    def say(what: str) -> None:
        sys.stderr.write(f"bench: {what}\n")

    with tempfile.TemporaryDirectory(prefix="ix-bench-") as home:
        document = Bench(Path(home), size, say).run()
    sys.stdout.write(json.dumps({"quick": size is QUICK, **document}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

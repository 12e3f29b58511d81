"""Nodes at work in a process of their own, for the bench: ``python -m exercises.bench_worker PLAN``.

A plan is a JSON file: whose nodes, where the broker is, and what to do. The worker makes its nodes, says
``<plan>.ready``, waits for the file ``go`` beside it, works, and leaves ``<plan>.done`` with its times
(``time.monotonic``, which is one clock for all processes of a machine). Keys lie in the plan, mode 0600:
these are keys of a bench that lives for a minute.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agencies.node.broker_client import MAX_BATCH, BrokerClient, new_client
from agencies.node.ledger import Why, justify
from agencies.node.mail.draft import OfficerDraft, read_draft
from agencies.node.mail.outbox import Wanted
from agencies.node.profile import Officer, OfficerRole
from agencies.node.service import Node
from agencies.node.store import Store
from exchange.serving import settle_memory
from keys.encoding import b64u, read_json, unb64u, write_json
from keys.keystore import Identity
from keys.sealing import OpeningKey
from keys.signing import Signer, TransportSigner
from keys.trust import Directory

OFFICER = Officer("bench-1", frozenset({OfficerRole.OFFICER}), "Bench desk")
WHY: Why = justify("training", "a measurement with invented messages")
PATIENCE = 240.0
IDLE = 0.02
"""Seconds to wait when no mailbox had anything."""
_LIMIT = 64 * 1024 * 1024


def pack(identity: Identity) -> dict[str, Any]:
    """An identity's seeds, as JSON."""
    ed25519, mldsa44 = identity.signer.unsafe_seeds()
    return {
        "agency": identity.agency,
        "signing": [b64u(ed25519), b64u(mldsa44)],
        "opening": b64u(identity.opening.unsafe_seed()),
        "transport": b64u(identity.transport.unsafe_seed()),
        "pseudonym": b64u(identity.pseudonym_key),
    }


def unpack(seeds: dict[str, Any]) -> Identity:
    """The identity again."""
    opening = OpeningKey.from_seed(unb64u(seeds["opening"]))
    signer = Signer.from_seeds(*map(unb64u, seeds["signing"]))
    transport = TransportSigner.from_seed(unb64u(seeds["transport"]))
    return Identity(seeds["agency"], signer, opening, (opening,), transport, unb64u(seeds["pseudonym"]))


@dataclass(slots=True)
class Worker:
    """The nodes of one process, and what they are to send."""

    nodes: dict[str, Node]
    drafts: dict[str, list[OfficerDraft]]
    expected: dict[str, int]
    """How many messages each node will get."""

    @classmethod
    def make(cls, plan: dict[str, Any], home: Path) -> Worker:
        """Make every node of a plan, with its own books and its own connection to the broker."""
        directory = Directory.from_bytes(plan["trust"].encode(), fed=plan["fed"], now=_now())
        nodes = {seeds["agency"]: _node(unpack(seeds), plan["broker"], directory, home) for seeds in plan["identities"]}
        for node in nodes.values():
            node.refresh()
            node.collect_all()  # yesterday's mail: the agreements
        drafts = {agency: [read_draft(_draft(plan, one)) for one in listed] for agency, listed in plan["send"].items()}
        return cls(nodes, drafts, plan["expected"])


def _draft(plan: dict[str, Any], one: dict[str, str]) -> dict[str, Any]:
    return {**plan["facts"], "to": [one["to"]], "agr": one["agr"], "content": plan["content"]}


def _now() -> datetime:
    return datetime.now(UTC)


def _node(identity: Identity, broker: str, directory: Directory, home: Path) -> Node:
    line = new_client(broker)
    return Node(
        identity,
        Store(home / f"{identity.agency}.db"),
        directory,
        lambda current: BrokerClient(line, broker, identity.transport, current, _now),
        _now,
    )


def a_day(worker: Worker) -> dict[str, Any]:
    """Send everything; then look into every mailbox in turn, open and receipt what came, until nothing is missing.

    A node that has all its messages and both receipts for each of its own is asked no more: it would only wait.
    """
    start, cpu = time.monotonic(), time.process_time()
    for agency, drafts in worker.drafts.items():
        for first in range(0, len(drafts), MAX_BATCH):
            wanted = [Wanted(draft) for draft in drafts[first : first + MAX_BATCH]]
            _all_sent(worker.nodes[agency].send_many(wanted, OFFICER, WHY))
    sent, sent_cpu = time.monotonic(), time.process_time()
    opened = receipts = 0
    missing = {agency: [worker.expected[agency], 2 * len(worker.drafts.get(agency, ()))] for agency in worker.nodes}
    done = sent
    while missing:
        before = opened, receipts
        for agency, owing in list(missing.items()):
            messages, answers = _take(worker.nodes[agency])
            opened, receipts = opened + messages, receipts + answers
            owing[:] = owing[0] - messages, owing[1] - answers
            if messages:
                done = time.monotonic()
            if owing == [0, 0]:
                del missing[agency]
        if (opened, receipts) == before:
            time.sleep(IDLE)
        _in_time(start)
    return {
        "start": start,
        "sent": sent,
        "done": done,
        "receipted": time.monotonic(),
        "opened": opened,
        "receipts": receipts,
        "cpu": {"send": sent_cpu - cpu, "receive": time.process_time() - sent_cpu},
    }


def _take(node: Node) -> tuple[int, int]:
    """Collect what is there, open every message of it, and post both receipts of each; how much of both came."""
    came = node.collect()
    if came.messages:
        node.open_many(came.messages, OFFICER, WHY)
        node.post_receipts()
    return len(came.messages), came.receipts


def _all_sent(outcomes: Sequence[Any]) -> None:
    for outcome in outcomes:
        if getattr(outcome, "state", "") != "sent":
            raise SystemExit(f"a message was not sent: {outcome}")


def _in_time(began: float) -> None:
    if time.monotonic() - began > PATIENCE:
        raise SystemExit("the day takes too long; something is lost")


def one_by_one(worker: Worker) -> dict[str, Any]:
    """Send message after message, noting when each was handed to the node."""
    ((agency, drafts),) = worker.drafts.items()
    times = {}
    for draft in drafts:
        began = time.monotonic()
        outcome = worker.nodes[agency].send(draft, OFFICER, WHY)
        _all_sent([outcome])
        times[outcome.msg] = began
        time.sleep(0.005)
    return {"times": times}


def await_mail(worker: Worker) -> dict[str, Any]:
    """Wait at the mailbox, open whatever comes, and note when it was open."""
    (node,) = worker.nodes.values()
    times: dict[str, float] = {}
    began = time.monotonic()
    while len(times) < sum(worker.expected.values()):
        for msg in node.collect(wait=5).messages:
            node.open_bytes(msg, OFFICER, WHY)
            times[msg] = time.monotonic()
        _in_time(began)
    return {"times": times}


ACTS = {"day": a_day, "send": one_by_one, "await": await_mail}


def main(path: str) -> None:
    """Work one plan off."""
    place = Path(path)
    plan = read_json(place.read_bytes(), limit=_LIMIT)
    worker = Worker.make(plan, place.parent)
    settle_memory()  # as `ix node serve` does
    place.with_suffix(".ready").touch()
    began = time.monotonic()
    while not (place.parent / "go").exists():
        time.sleep(0.002)
        _in_time(began)
    result = ACTS[plan["act"]](worker)
    scratch = place.with_suffix(".part")
    scratch.write_bytes(write_json({name: _ns(value) for name, value in result.items()}))
    scratch.rename(place.with_suffix(".done"))


def _ns(value: Any) -> Any:
    """Seconds as whole nanoseconds, because our JSON has integers only."""
    if isinstance(value, dict):
        return {name: _ns(item) for name, item in value.items()}
    return round(value * 1e9) if isinstance(value, float) else value


if __name__ == "__main__":
    main(sys.argv[1])

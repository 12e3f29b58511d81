"""Two agencies' nodes witness the log over HTTP, and what the broker publishes is what both have seen."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from agencies.node.app import create_app
from agencies.node.profile import MIN_COST, new_officer, new_profile
from agencies.node.settings import Settings
from exchange.broker.meters import Meters
from exchange.broker.publishing import Publisher
from exchange.broker.witness_client import Reply
from exchange.protocol.cosignature import Cosigner, log_keys
from exchange.protocol.log import LogSigner, verify_checkpoint
from exchange.protocol.quorum import parse_policy
from exercises.federation import ORIGIN
from exercises.world import BROKER_HOST, World, sample
from keys.signing import Signer

NORTH, SOUTH = "north.police.sim", "south.police.sim"


def node_app(world: World, agency: str, cosigner: Cosigner) -> Any:
    """An agency's node as a service that witnesses, on books of its own."""
    officers = [new_officer("duty", "a boat in the harbour", ["officer"], cost=MIN_COST)]
    settings = Settings(
        database=world.home / f"witness-{agency}.db", fed=world.federation.fed,
        trust=world.federation.directory.to_bytes(), identity=world.federation.identities[agency],
        profile=new_profile(agency, officers), broker=f"http://{BROKER_HOST}", background=False, witness=cosigner,
    )  # fmt: skip
    return create_app(settings, clock=world.clock, http=world.client(agency))


def test_what_is_published_was_seen_by_both_nodes_and_a_second_log_by_neither(tmp_path: Path) -> None:
    """WIT-14, WIT-22, WIT-41, WIT-42: the whole way, from a message to a checkpoint that a stranger can demand."""
    with World(tmp_path) as world:
        signer = LogSigner(ORIGIN, world.federation.broker.log)
        seers = {agency: Cosigner(f"{agency}/witness", Signer.generate()) for agency in (NORTH, SOUTH)}
        lines = [f"log {log_keys(signer.identity)[0]}"]
        calls: dict[str, Any] = {}
        for agency, seer in seers.items():
            name, host = agency.partition(".")[0], f"witness.{agency}"
            world.wire.attach(host, node_app(world, agency, seer))
            url = f"http://{host}/witness"
            calls[f"{url}/add-checkpoint"] = world.wire.client("broker", f"http://{host}")
            lines += [f"witness {name}-{n} {key} {url}" for n, key in enumerate(seer.keys)]
            lines += [f"group {name} all {name}-0 {name}-1"]
        policy = parse_policy("\n".join([*lines, "group both all north south", "quorum both", ""]).encode())
        broker = world.wire._apps[BROKER_HOST].state.broker  # type: ignore[attr-defined]

        async def ask(url: str, body: bytes) -> Reply:
            answer = await asyncio.to_thread(calls[url].post, "/witness/add-checkpoint", content=body)
            return Reply(answer.status_code, answer.content)

        clerk = broker.clerk
        publisher = Publisher(policy, clerk.store, clerk.refresh, ask, Meters(), world.clock)
        broker.publisher = publisher

        def publish() -> bool:
            return asyncio.run_coroutine_threadsafe(publisher.round(), world.wire._loop).result(30)

        sizes = []
        for _ in range(2):
            world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
            world.settle()
            assert publish()
            shown = world.wire.client("stranger", f"http://{BROKER_HOST}").get("/log/checkpoint").text
            assert set(policy.verify(shown)) == {"north-0", "north-1", "south-0", "south-1"}
            sizes.append(verify_checkpoint(shown, signer.identity).size)
        assert sizes[0] < sizes[1]
        assert world.audit().clean
        for client in calls.values():
            client.close()

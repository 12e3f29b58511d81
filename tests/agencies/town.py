"""Two nodes served over real HTTP on one world's wire, and the command in front of them."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from typer.testing import CliRunner

import ix
from agencies.node.app import create_app
from agencies.node.care.offences import read_table
from agencies.node.profile import MIN_COST, new_officer, new_profile
from agencies.node.settings import Settings
from agencies.profiles import load_offences
from exercises.world import BROKER_HOST, World
from tests.agencies.node.tree import CONTENT, WHY, A, B, lorry_watch

PASSPHRASE = "a boat in the harbour"
run = CliRunner()


@dataclass(frozen=True)
class Town:
    """Two served nodes on one world's wire."""

    world: World
    urls: dict[str, str]
    nodes: dict[str, Any]

    def ix(self, agency: str, *arguments: str, officer: str = "chief", given: str | None = None) -> Any:
        env = {"IX_NODE": self.urls[agency], "IX_OFFICER": officer, "IX_PASSPHRASE": PASSPHRASE, "COLUMNS": "300"}
        return run.invoke(ix.app, list(arguments), env=env, input=given)


@contextmanager
def two_towns(home: Path) -> Iterator[Town]:
    """North and south under one agreement by which any may tell another."""
    with lorry_watch(home) as world, town_of(world, home) as town:
        yield town


@contextmanager
def town_of(world: World, home: Path) -> Iterator[Town]:
    """North and south of a world, each with a duty officer, a release officer, another one and an auditor."""
    officers = [
        new_officer("duty", PASSPHRASE, ["officer"], cost=MIN_COST),
        new_officer("chief", PASSPHRASE, ["officer", "release_officer"], cost=MIN_COST),
        new_officer("deputy", PASSPHRASE, ["release_officer"], cost=MIN_COST),
        new_officer("audit", PASSPHRASE, ["auditor"], cost=MIN_COST),
    ]
    servers, threads, urls, nodes = [], [], {}, {}
    for agency in (A, B):
        app = served(world, agency, officers, home / f"{agency}.served.db")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        servers.append(server)
        threads.append(thread)
        urls[agency], nodes[agency] = f"http://127.0.0.1:{port}", app.state.node
    yield Town(world, urls, nodes)
    for server in servers:
        server.should_exit = True
    for thread in threads:
        thread.join(timeout=10)


def served(world: World, agency: str, officers: Any, database: Path) -> Any:
    settings = Settings(
        database=database, fed=world.federation.fed, trust=world.federation.directory.to_bytes(),
        identity=world.federation.identities[agency], profile=new_profile(agency, officers),
        broker=f"http://{BROKER_HOST}", background=False, offences=read_table(load_offences()[agency]),
    )  # fmt: skip
    app = create_app(settings, clock=world.clock, http=world.client(agency))
    app.state.node.refresh()
    return app


def sent(town: Town, folder: Path, **facts: Any) -> str:
    """The digest of something A has just told B, by command; or its reference, while it waits for a release."""
    draft = {
        "to": [B], "purpose": "investigate", "crime": "immigrant_smuggling", "class": "restricted",
        "handling": ["H0"], "urgency": "none", "content": CONTENT, **facts,
    }  # fmt: skip
    town.world.clock.advance(minutes=1)
    path = folder / "draft.json"
    path.write_text(json.dumps(draft))
    found = town.ix(A, "send", str(path), "--why", WHY.text, "--json", officer="duty")
    assert found.exit_code == 0, found.output
    collect(town, B)
    answer = json.loads(found.stdout)
    return str(answer["msg"] or answer["ref"])


def collect(town: Town, agency: str) -> None:
    """Have a node look into its mailbox."""
    town.nodes[agency].collect_all()

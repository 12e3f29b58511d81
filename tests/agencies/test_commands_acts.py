"""``ix ask``, ``consent``, ``recall``, ``duties`` and ``status`` in front of two nodes over real HTTP (CLI)."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from typer.testing import CliRunner

import ix
from agencies.node.app import create_app
from agencies.node.profile import MIN_COST, new_officer, new_profile
from agencies.node.settings import Settings
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

    def ix(self, agency: str, *arguments: str, officer: str = "chief") -> Any:
        env = {"IX_NODE": self.urls[agency], "IX_OFFICER": officer, "IX_PASSPHRASE": PASSPHRASE, "COLUMNS": "300"}
        return run.invoke(ix.app, list(arguments), env=env)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    home = tmp_path_factory.mktemp("town")
    officers = [
        new_officer("duty", PASSPHRASE, ["officer"], cost=MIN_COST),
        new_officer("chief", PASSPHRASE, ["officer", "release_officer"], cost=MIN_COST),
    ]
    with lorry_watch(home) as world:
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
        broker=f"http://{BROKER_HOST}", background=False,
    )  # fmt: skip
    app = create_app(settings, clock=world.clock, http=world.client(agency))
    app.state.node.refresh()
    return app


@pytest.fixture
def message(town: Town, tmp_path: Path) -> str:
    """Something A has just told B, by command."""
    draft = {
        "to": [B], "purpose": "investigate", "crime": "immigrant_smuggling", "class": "restricted",
        "handling": ["H0"], "urgency": "none", "content": CONTENT,
    }  # fmt: skip
    town.world.clock.advance(minutes=1)
    path = tmp_path / "draft.json"
    path.write_text(json.dumps(draft))
    found = town.ix(A, "send", str(path), "--why", WHY.text, "--json", officer="duty")
    assert found.exit_code == 0, found.output
    collect(town, B)
    return str(json.loads(found.stdout)["msg"])


def collect(town: Town, agency: str) -> None:
    town.nodes[agency].collect_all()


def test_an_ask_is_made_listed_declined_and_heard(town: Town, message: str) -> None:
    asked = town.ix(
        B, "ask", f"--msg={message}", "--want", "evidence", "--purpose", "prosecute", "--until",
        "2026-12-31T00:00:00.000Z", "--why", WHY.text, officer="duty",
    )  # fmt: skip
    assert asked.exit_code == 0, asked.output
    act = asked.stdout.split()[-1]
    collect(town, A)
    assert f"{act}  ask of us  open" in town.ix(A, "consent").stdout
    refused = town.ix(A, "consent", f"--act={act}", "--decline", "case_open", "--why", WHY.text)
    assert (refused.exit_code, refused.stderr.startswith("draft_malformed")) == (1, True)
    given = town.ix(A, "consent", f"--act={act}", "--approve", "--why", WHY.text, "--json")
    assert given.exit_code == 0, given.output
    consent = json.loads(given.stdout)["act"]
    assert town.ix(A, "consent", f"--act={consent}", "--withdraw", "--why", WHY.text).exit_code == 0
    collect(town, B)
    assert "ask by us  consented" in town.ix(B, "consent").stdout
    assert "consent to us  withdrawn" in town.ix(B, "consent").stdout


def test_a_recall_is_given_obeyed_and_shown(town: Town, message: str) -> None:
    given = town.ix(A, "recall", f"--msg={message}", "--ground", "inaccurate", "--why", WHY.text)
    assert given.exit_code == 0, given.output
    collect(town, B)
    listed = town.ix(B, "duties")
    (line,) = [one for one in listed.stdout.splitlines() if "recall by" in one and "open" in one]
    act = line.split()[0]
    town.world.clock.advance(hours=73)
    late = town.ix(A, "status", f"--msg={message}")
    assert (late.exit_code, "OVERDUE" in late.stdout) == (1, True)
    assert town.ix(A, "status").exit_code == 1
    done = town.ix(B, "duties", f"--act={act}", "--outcome", "erased", "--why", WHY.text)
    assert done.exit_code == 0, done.output
    collect(town, A)
    shown = town.ix(A, "status", f"--msg={message}", "--offline")
    assert (shown.exit_code, f"{B}: erased at" in shown.stdout) == (0, True)
    assert "settled" in town.ix(A, "status").stdout
    assert json.loads(town.ix(A, "status", f"--msg={message}", "--json").stdout)["settled"] is True


@pytest.mark.spec("CLI-3")
@pytest.mark.parametrize(
    "arguments",
    [
        ("consent", "--approve"), ("consent", "--act=A"), ("consent", "--act=A", "--approve", "--withdraw"),
        ("duties", "--act=A"), ("duties", "--outcome", "erased"), ("recall", "--ground", "unlawful"), ("ask",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_cannot_be_meant_is_misuse(town: Town, arguments: tuple[str, ...]) -> None:
    assert town.ix(A, *arguments).exit_code == 2


@pytest.mark.spec("CLI-3")
def test_what_is_refused_ends_with_one_and_a_code(town: Town) -> None:
    nothing = "A" * 43
    for arguments, code in (
        (("status", f"--msg={nothing}"), "not_here"),
        (("recall", f"--msg={nothing}", "--ground", "unlawful", "--why", WHY.text), "not_here"),
        (("duties", f"--act={nothing}", "--outcome", "erased", "--why", WHY.text), "not_here"),
        (("consent", f"--act={nothing}", "--withdraw", "--why", WHY.text), "not_here"),
        (("consent", f"--act={nothing}", "--withdraw"), "justification_refused"),
    ):
        found = town.ix(A, *arguments)
        assert (found.exit_code, found.stderr.partition(":")[0]) == (1, code)

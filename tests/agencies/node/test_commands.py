"""``ix node`` and the people's ``ix send`` and ``ix inbox``, on a real process over real HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from agencies.commands import app as parties
from agencies.node.commands import app as node
from agencies.profiles import load_plans
from exchange.protocol.cosignature import COSIGN_ED25519, COSIGN_MLDSA44
from exchange.protocol.quorum import parse_policy
from exercises.federation import Federation
from tests.agencies.node.conftest import REQUEST, SOUTH

NORTH, PASSPHRASE = "north.police.sim", "a boat in the harbour"
WHY = "the landing at Gull Cove is mine since this morning"
DRAFT = {
    "to": [SOUTH], "agr": "A" * 43, "purpose": "investigate", "crime": "immigrant_smuggling", "class": "restricted",
    "handling": ["H0"], "urgency": "u_direct", "content": REQUEST,
}  # fmt: skip
run = CliRunner()


@dataclass(frozen=True)
class Served:
    """A home that is served, with no broker behind it: what officers see does not depend on one."""

    home: Path
    url: str
    passphrases: dict[str, str]
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A federation's folder with north's key file in it, as `ix keys` leaves one."""
    made = tmp_path_factory.mktemp("federation")
    federation = Federation.found([p for p in load_plans() if p.id in (NORTH, SOUTH)], datetime.now(UTC))
    (made / "trust.json").write_bytes(federation.directory.to_bytes())
    (made / "federation.id").write_text(federation.fed + "\n")
    federation.identities[NORTH].save(made / "keys.json", PASSPHRASE)
    return made


def make_home(folder: Path, home: Path, *more: str) -> Any:
    told = ["init", str(folder), str(home), "--keys", str(folder / "keys.json"), "--broker", "http://127.0.0.1:9"]
    officers = ["--officer", "duty:officer", "--officer", "chief:officer,release_officer", "--officer", "audit:auditor"]
    return run.invoke(node, [*told, *officers, *more], env={"IX_PASSPHRASE": PASSPHRASE})


@pytest.fixture(scope="module")
def served(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("nodes") / "north"
    made = make_home(folder, home)
    assert made.exit_code == 0, made.output
    passphrases = dict(line.split() for line in made.output.splitlines())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call = "from agencies.node.commands import app; app()"
    process = subprocess.Popen(
        [sys.executable, "-c", call, "serve", str(home), "--port", str(port)],
        env={**os.environ, "IX_PASSPHRASE": PASSPHRASE, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 30
        while True:
            assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
            assert time.monotonic() < until
            try:
                if httpx.get(f"{url}/readyz", trust_env=False).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield Served(home, url, passphrases, process)
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        assert f"ready at {url} ".encode() in err
        assert b"Gull Cove" not in out + err
        assert not any(passphrase.encode() in out + err for passphrase in passphrases.values())


def test_a_new_home_is_a_witness_and_says_how_a_policy_names_it(folder: Path, tmp_path: Path) -> None:
    """WIT-1, WIT-30, WIT-20: keys of its own, the same at every look; a home that lost them is given new ones."""
    home = tmp_path / "home"
    assert make_home(folder, home).exit_code == 0
    said = [
        run.invoke(
            node, ["witness", str(home), "--url", "https://n.example/witness"], env={"IX_PASSPHRASE": PASSPHRASE}
        )
        for _ in range(2)
    ]
    assert [one.exit_code for one in said] == [0, 0]
    assert said[0].output == said[1].output
    policy = parse_policy(said[0].output.encode() + b"quorum north.police\n")
    assert [key.kind for key in policy.witnesses.values()] == [COSIGN_ED25519, COSIGN_MLDSA44]
    assert {key.name for key in policy.witnesses.values()} == {f"{NORTH}/witness"}
    assert set(policy.urls.values()) == {"https://n.example/witness"}
    assert (home / "witness.keys").stat().st_mode & 0o077 == 0
    (home / "witness.keys").unlink()
    again = run.invoke(node, ["witness", str(home)], env={"IX_PASSPHRASE": PASSPHRASE})
    assert again.exit_code == 0
    assert again.output.split()[2] != said[0].output.split()[2]


def ask(served: Served, officer: str, *arguments: str, **env: str) -> Any:
    known = {"IX_NODE": served.url, "IX_OFFICER": officer, "IX_PASSPHRASE": served.passphrases.get(officer, "x" * 20)}
    return run.invoke(parties, list(arguments), env={**known, **env})


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("drafts") / "draft.json"
    path.write_text(json.dumps(DRAFT))
    return str(path)


def test_an_officer_asks_what_would_happen_and_is_told_why_not(served: Served, draft: str) -> None:
    found = ask(served, "duty", "send", draft, "--check", "--why", WHY)
    assert found.exit_code == 1
    assert "agreement_unknown" in found.output
    assert SOUTH in found.stderr


def test_a_message_denied_here_ends_with_one_and_says_so(served: Served, draft: str) -> None:
    found = ask(served, "duty", "send", draft, "--why", WHY, "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["state"] == "stopped"


def test_a_ruling_about_an_agreement_unknown_here_waits_for_two_release_officers(served: Served, draft: str) -> None:
    found = ask(served, "duty", "send", draft, "--why", WHY, "--ruling", "--key", "one", "--json")
    assert (found.exit_code, json.loads(found.stdout)["state"]) == (0, "pending_release")
    again = ask(served, "duty", "send", "-", "--why", WHY, "--ruling", "--key", "one")
    assert again.exit_code == 2  # nothing on standard input is no draft
    msg = json.loads(found.stdout)["ref"]
    opened = ask(served, "duty", "inbox", "--open", msg, "--why", WHY)
    assert json.loads(opened.stdout) == REQUEST


def test_a_handling_text_is_asked_for_by_itself(served: Served) -> None:
    for more in (["--condition"], ["--acknowledge"]):
        found = ask(served, "duty", "inbox", "--open", "A" * 43, "--why", WHY, *more)
        assert (found.exit_code, found.stderr.startswith("not_here")) == (1, True)


def test_the_inbox_is_listed(served: Served) -> None:
    found = ask(served, "duty", "inbox", "--json")
    assert (found.exit_code, json.loads(found.stdout)) == (0, {"messages": [], "rejected": []})
    assert ask(served, "duty", "inbox").stdout == "nothing has come in\n"


def test_a_refusal_is_one_sentence_with_its_code(served: Served, draft: str) -> None:
    for officer, arguments, code in (
        ("nobody", ["inbox"], "sign_in_refused"),
        ("audit", ["send", draft, "--why", WHY], "role_missing"),
        ("duty", ["send", draft, "--why", "because"], "justification_refused"),
        ("duty", ["inbox", "--open", "A" * 43, "--why", WHY], "not_here"),
        ("duty", ["inbox", "--collect"], "broker_unreachable"),
    ):
        found = ask(served, officer, *arguments)
        assert (found.exit_code, found.stdout) == (1, "")
        assert found.stderr.startswith(f"{code}: ")
        assert "Traceback" not in found.stderr


@pytest.mark.spec("CLI-3")
def test_a_file_that_cannot_be_read_is_misuse(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff")
    (tmp_path / "draft.json").write_text("{}")
    said = ["--officer", "x", "--why", WHY]
    for arguments in (
        ["send", str(tmp_path / "nosuch.json"), *said],
        ["send", str(tmp_path), *said],
        ["send", str(tmp_path / "bytes"), *said],
        ["send", str(tmp_path / "draft.json"), *said, "--token-file", str(tmp_path / "nosuch")],
    ):
        found = run.invoke(parties, arguments, env={"COLUMNS": "300"})
        assert (found.exit_code, found.stdout) == (2, "")
        assert "cannot be read" in found.stderr or "not text" in found.stderr, found.stderr


def test_a_token_can_be_given_in_place_of_a_passphrase(served: Served, tmp_path: Path) -> None:
    told = {"officer": "duty", "passphrase": served.passphrases["duty"]}
    token = httpx.post(f"{served.url}/v1/sign-in", json=told, trust_env=False).json()["token"]
    (tmp_path / "token").write_text(token + "\n")
    assert ask(served, "", "inbox", "--token-file", str(tmp_path / "token")).exit_code == 0
    assert ask(served, "", "inbox", IX_TOKEN=token).exit_code == 0
    assert ask(served, "", "inbox", IX_TOKEN="nonsense").stderr.startswith("token_refused")
    assert ask(served, "", "inbox").exit_code == 2


def test_a_node_that_is_not_there_is_named(served: Served) -> None:
    found = ask(served, "duty", "inbox", "--node", "http://127.0.0.1:9")
    assert (found.exit_code, "does not answer" in found.stderr) == (1, True)


def test_the_ledger_is_checked_with_nothing_running(served: Served) -> None:
    found = run.invoke(node, ["check", str(served.home)], env={"IX_PASSPHRASE": PASSPHRASE})
    assert (found.exit_code, "acts hold" in found.stdout) == (0, True)


def test_a_home_is_made_once_and_is_private(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "north"
    assert make_home(folder, home).exit_code == 0
    assert home.stat().st_mode & 0o077 == 0
    assert {path.stat().st_mode & 0o077 for path in home.iterdir()} == {0}
    assert make_home(folder, home).exit_code == 2


@pytest.mark.parametrize("officer", ["x:chief", "x:auditor,officer", ":officer", "x"])
def test_an_officer_without_a_proper_role_is_not_made(folder: Path, tmp_path: Path, officer: str) -> None:
    found = make_home(folder, tmp_path / "north", "--officer", officer)
    assert (found.exit_code, "Traceback" in found.output) == (1, False)


@pytest.mark.spec("NODE-2")
def test_serving_beyond_this_machine_has_to_be_called_unsafe(folder: Path, tmp_path: Path) -> None:
    make_home(folder, tmp_path / "north")
    told = ["serve", str(tmp_path / "north"), "--host", "0.0.0.0"]
    found = run.invoke(node, told, env={"IX_PASSPHRASE": PASSPHRASE})
    assert (found.exit_code, "--unsafe-open-wire" in found.stderr) == (1, True)
    found = run.invoke(node, told, env={"IX_PASSPHRASE": "another passphrase"})
    assert (found.exit_code, found.stderr.startswith("keystore_refused")) == (1, True)


@pytest.mark.spec("CLI-9")
def test_a_port_that_is_taken_is_said_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    make_home(folder, tmp_path / "north")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        told = ["serve", str(tmp_path / "north"), "--port", str(port)]
        found = run.invoke(node, told, env={"IX_PASSPHRASE": PASSPHRASE})
    assert (found.exit_code, found.stdout, found.stderr.count("\n")) == (1, "", 1)
    assert f"port {port} on `127.0.0.1` is taken" in found.stderr
    assert not (tmp_path / "north" / "node.db").exists()


def test_a_home_that_is_none_is_said_once(tmp_path: Path) -> None:
    found = run.invoke(node, ["serve", str(tmp_path / "nosuch")], env={"IX_PASSPHRASE": PASSPHRASE})
    assert (found.exit_code, found.stderr.count("node.json"), found.stderr.count("\n")) == (1, 1, 1)


def test_help_is_there_with_an_example() -> None:
    for app, name in ((node, "init"), (node, "serve"), (node, "check"), (parties, "send"), (parties, "inbox")):
        found = run.invoke(app, [name, "--help"])
        assert (found.exit_code, "Example: ix" in found.output) == (0, True)

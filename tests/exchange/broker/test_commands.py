"""`ix broker`: a home is made, served, checked and tidied; what is wrong is said in one sentence. HTTP-60."""

from __future__ import annotations

import json
import shutil
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exchange.broker.app import open_broker, system_clock
from exchange.broker.commands import app
from exchange.broker.meters import Meters
from exchange.broker.settings import Settings, UnsafeSettings
from keys.commands import app as keys
from tests.exchange.broker.office import open_office

RUN = CliRunner(env={"IX_PASSPHRASE": "for tests only"})


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("f") / "federation"
    done = RUN.invoke(keys, ["init", str(folder)])
    assert done.exit_code == 0, done.output
    return folder


def made(federation: Path, home: Path, *more: str) -> Path:
    done = RUN.invoke(app, ["init", str(federation), str(home), *more])
    assert done.exit_code == 0, done.output
    return home


def test_a_home_is_made_and_read(federation: Path, tmp_path: Path) -> None:
    home = made(federation, tmp_path / "home", "--authority", "broker.example:8400")
    assert (home / "keys.json").stat().st_mode & 0o777 == 0o600
    settings = Settings.from_home(home, "for tests only", datetime.now(UTC))
    assert settings.authorities == frozenset({"broker.example:8400"})
    assert settings.fed == (federation / "federation.id").read_text().strip()
    assert RUN.invoke(app, ["init", str(federation), str(home)]).exit_code == 2


def test_books_are_made_purged_and_checked(federation: Path, tmp_path: Path) -> None:
    home = made(federation, tmp_path / "home")
    assert "0 sealed bodies" in RUN.invoke(app, ["purge", str(home)]).output
    done = RUN.invoke(app, ["check", str(home)])
    assert (done.exit_code, done.output) == (0, "0 entries, tiles, head and checkpoint agree\n")


@pytest.mark.spec("ADM-37")
def test_a_newer_directory_is_taken_up_beside_a_broker_that_has_the_books_open(
    federation: Path, tmp_path: Path
) -> None:
    home, mine = made(federation, tmp_path / "home"), tmp_path / "federation"
    shutil.copytree(federation, mine)
    serving = open_broker(Settings.from_home(home, "for tests only", datetime.now(UTC)), system_clock, Meters())
    enrol = ["enrol", str(mine), "west.police.sim", "--name", "West", "--role", "police", "--territory", "XW",
             "--ceiling", "restricted", "--keys", str(tmp_path / "west.json")]  # fmt: skip
    done = RUN.invoke(keys, enrol)
    assert done.exit_code == 0, done.output
    done = RUN.invoke(app, ["trust", str(home), str(mine / "trust.json")])
    assert (done.exit_code, done.output) == (0, "the books hold root version 1 and 1 records\n")
    assert serving.clerk.refresh().state.directory.agency("west.police.sim").ceiling == "restricted"
    assert "1 records" in RUN.invoke(app, ["trust", str(home), str(federation / "trust.json")]).output
    serving.close()
    foreign = tmp_path / "foreign"
    assert RUN.invoke(keys, ["init", str(foreign)]).exit_code == 0
    done = RUN.invoke(app, ["trust", str(home), str(foreign / "trust.json")])
    assert (done.exit_code, done.stderr.split(":")[0]) == (1, "root_refused")


@pytest.mark.spec("HTTP-60")
def test_what_keeps_a_broker_from_starting_is_said_in_one_sentence(federation: Path, tmp_path: Path) -> None:
    home = made(federation, tmp_path / "home")
    open_to_all = RUN.invoke(app, ["serve", str(home), "--host", "0.0.0.0"])  # it would not know what it is called
    assert (open_to_all.exit_code, open_to_all.stderr.count("\n")) == (1, 1)
    assert "--authority" in open_to_all.stderr
    wrong = CliRunner(env={"IX_PASSPHRASE": "another"}).invoke(app, ["serve", str(home)])
    assert (wrong.exit_code, wrong.stderr.split(":")[0]) == (1, "keystore_refused")
    told = json.loads((home / "broker.json").read_text())
    (home / "broker.json").write_text(json.dumps({**told, "rate": 0}))
    assert "rate" in RUN.invoke(app, ["serve", str(home)]).stderr
    (home / "broker.json").write_text(json.dumps({**told, "rat": 1}))
    assert "rat" in RUN.invoke(app, ["serve", str(home)]).stderr
    (home / "broker.json").write_text("{}")
    assert "fed" in RUN.invoke(app, ["serve", str(home)]).stderr
    (home / "broker.json").unlink()
    assert RUN.invoke(app, ["serve", str(home)]).exit_code == 1


@pytest.mark.spec("CLI-9")
def test_a_port_that_is_taken_is_said_in_one_sentence(federation: Path, tmp_path: Path) -> None:
    home = made(federation, tmp_path / "home")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        found = RUN.invoke(app, ["serve", str(home), "--port", str(port)])
    assert (found.exit_code, found.stdout, found.stderr.count("\n")) == (1, "", 1)
    assert f"port {port} on `127.0.0.1` is taken" in found.stderr


@pytest.mark.spec("HTTP-60")
def test_members_for_people_are_left_alone_and_numbers_are_taken(federation: Path, tmp_path: Path) -> None:
    home = made(federation, tmp_path / "home")
    told = json.loads((home / "broker.json").read_text())
    (home / "broker.json").write_text(json.dumps({**told, "name": "for people", "burst": 7, "max_wait": 5}))
    settings = Settings.from_home(home, "for tests only", datetime.now(UTC))
    assert (settings.burst, settings.max_wait, settings.authorities) == (7, 5, None)
    (home / "broker.json").write_text("[]")
    with pytest.raises(UnsafeSettings):
        Settings.from_home(home, "for tests only", datetime.now(UTC))


def test_nothing_secret_shows_in_settings(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        shown = repr(office.settings())
        for seed in (*office.cast.keys.log.unsafe_seeds(), office.cast.keys.transport.unsafe_seed()):
            assert repr(seed) not in shown

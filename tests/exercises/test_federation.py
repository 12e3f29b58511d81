"""A federation made for an exercise is a real one, and its homes start as they are."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agencies.node.settings import Settings as NodeSettings
from agencies.profiles import load_plans, load_terms
from exchange.broker.settings import Settings as BrokerSettings
from exchange.protocol.agreement import read_agreement, read_notice
from exercises.commands import federation as command
from exercises.federation import Federation
from keys.commands import app as keys_command
from keys.keystore import Identity
from keys.trust import Directory

NOW = datetime(2026, 11, 21, 16, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("sim") / "sim"
    made = CliRunner().invoke(command, [str(home), "--port", "9000"])
    assert made.exit_code == 0, made.output
    assert made.stdout.strip() == json.loads((home / "federation.json").read_text())["fed"]
    assert "ix broker serve" in made.stderr
    assert made.stderr.count("ix node serve") == len(load_plans())
    return home


def test_every_agency_of_the_profiles_is_enrolled_and_every_agreement_can_be_signed() -> None:
    federation = Federation.found(load_plans(), NOW)
    assert {record.agency for record in federation.directory.agencies()} == {plan.id for plan in load_plans()}
    for name, terms in load_terms().items():
        agreement = read_agreement(federation.agree(name, terms), federation.directory, NOW)
        assert agreement.missing == ()
    notice = federation.notice("suspend", agreement.digest, terms["parties"][0], NOW, "an exercise")
    assert read_notice(notice, federation.directory, NOW).terms.act == "suspend"


def test_the_homes_can_be_started_from(home: Path) -> None:
    now = datetime.now(UTC)
    broker = BrokerSettings.from_home(home / "broker", (home / "broker" / "passphrase").read_text().strip(), now)
    directory = Directory.from_bytes(broker.trust, fed=broker.fed, now=now)
    assert directory.root.log.origin == broker.log.origin
    for plan in load_plans():
        folder = home / "nodes" / plan.id
        node = NodeSettings.from_home(folder, (folder / "passphrase").read_text().strip())
        assert node.identity.agency == plan.id
        assert node.witness is not None
        assert node.witness.name == f"{plan.id}/witness"
        assert set(node.profile.officers) == {officer.id for officer in plan.officers}


def test_secrets_are_private_and_differ(home: Path) -> None:
    secrets = [p for p in home.rglob("*") if p.is_file() and (p.suffix == ".passphrase" or p.name == "passphrase")]
    keys = [*home.rglob("keys.json"), *home.rglob("*.keys")]
    assert len(secrets) > 20
    assert len({p.read_text() for p in secrets}) == len(secrets)
    assert [p for p in (*secrets, *keys) if stat.S_IMODE(p.stat().st_mode) != 0o600] == []


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    assert CliRunner().invoke(command, [str(tmp_path)]).exit_code == 2


@pytest.mark.spec("CLI-5")
def test_an_agencys_keys_are_rotated_and_revoked_though_its_home_has_a_passphrase_of_its_own(home: Path) -> None:
    fed, mine = home / "federation", home / "nodes" / "north.police.sim"
    own, before = mine / "passphrase", (fed / "trust.json").read_bytes()
    more = ["--keys", mine / "keys.json", "--passphrase-file", fed / "passphrase"]
    held = (mine / "keys.json").read_bytes()
    for words in (["rotate"], ["revoke", "--all", "--reason", "stolen"]):
        line = [str(word) for word in (words[0], fed, mine.name, *words[1:], *more)]
        refused = CliRunner().invoke(keys_command, line)
        assert (refused.exit_code, refused.stderr.partition(":")[0]) == (1, "keystore_refused")
        done = CliRunner().invoke(keys_command, [*line, "--agency-passphrase-file", str(own)])
        assert done.exit_code == 0, done.output
        directory = Directory.from_bytes(
            (fed / "trust.json").read_bytes(), fed=(fed / "federation.id").read_text().strip(), now=datetime.now(UTC)
        )
        kid = Identity.load(mine / "keys.json", own.read_text().strip()).opening.public.kid
        assert kid in {key.kid for key in directory.agency(mine.name).keys if key.revoked is None}
    (fed / "trust.json").write_bytes(before)
    (mine / "keys.json").write_bytes(held)

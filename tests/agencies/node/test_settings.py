"""Settings: what is unsafe does not start (NODE-1 to NODE-3)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agencies.node.app import build_node
from agencies.node.errors import SettingsRefused
from agencies.node.profile import MIN_COST, new_officer, new_profile
from agencies.node.settings import WITNESS, Settings, new_witness, write_home
from agencies.profiles import load_plans
from exercises.federation import Federation
from exercises.world import START
from keys.errors import AgencyUnknown, KeystoreRefused, Refusal
from keys.keystore import Identity, WitnessKeys

NORTH, PASSPHRASE = "north.police.sim", "a boat in the harbour"


@pytest.fixture(scope="module")
def federation() -> Federation:
    return Federation.found([plan for plan in load_plans() if plan.id == NORTH], START)


@pytest.fixture
def home(tmp_path: Path, federation: Federation) -> Path:
    made = tmp_path / "home"
    profile = new_profile(NORTH, [new_officer("np-1", PASSPHRASE, ["officer"], cost=MIN_COST)])
    trust = federation.directory.to_bytes()
    write_home(made, fed=federation.fed, broker="http://127.0.0.1:8400", trust=trust, profile=profile, wait=3)
    federation.identities[NORTH].save(made / "keys.json", PASSPHRASE)
    return made


@pytest.mark.spec("NODE-1")
def test_a_home_becomes_settings(home: Path, federation: Federation) -> None:
    settings = Settings.from_home(home, PASSPHRASE)
    assert (settings.identity.agency, settings.fed, settings.wait) == (NORTH, federation.fed, 3)
    assert PASSPHRASE not in repr(settings)
    node = build_node(settings, clock=lambda: START)
    assert node.office.me == NORTH
    node.office.store.close()
    assert {path.stat().st_mode & 0o077 for path in home.iterdir()} == {0}


def told(**members: Any) -> Callable[[Path], None]:
    def change(home: Path) -> None:
        value = {**json.loads((home / "node.json").read_bytes()), **members}
        (home / "node.json").write_text(json.dumps({k: v for k, v in value.items() if v is not None}))

    return change


@pytest.mark.spec("NODE-2", "NODE-3")
@pytest.mark.parametrize(
    "change",
    [
        lambda home: (home / "keys.json").chmod(0o640),
        lambda home: (home / "profile.json").chmod(0o604),
        lambda home: (home / "keys.json").unlink(),
        lambda home: (home / "trust.json").unlink(),
        lambda home: (home / "node.json").write_text("{"),
        lambda home: (home / "node.json").write_text("[]"),
        told(agency="south.police.sim"),
        told(agency="north.police.org"),
        told(fed="another"),
        told(fed=None),
        told(broker="http://broker.example:80"),
        told(broker="ftp://127.0.0.1"),
        told(broker="http://127.0.0.1/path"),
        told(wait=31),
        told(wait="3"),
        told(session=5),
        told(refresh=0),
        told(every=0),
        told(background="yes"),
        told(debug=True),
    ],
)
def test_an_unsafe_home_does_not_start(home: Path, change: Callable[[Path], None]) -> None:
    change(home)
    with pytest.raises((SettingsRefused, KeystoreRefused)):
        Settings.from_home(home, PASSPHRASE)


@pytest.mark.spec("NODE-2")
def test_plain_http_beyond_this_machine_has_to_be_called_unsafe(home: Path) -> None:
    told(broker="http://broker:8080")(home)
    with pytest.raises(SettingsRefused, match="https"):
        Settings.from_home(home, PASSPHRASE)
    assert Settings.from_home(home, PASSPHRASE, unsafe_open_wire=True).unsafe_open_wire
    told(broker="https://broker:8443")(home)
    assert not Settings.from_home(home, PASSPHRASE).unsafe_open_wire


def test_a_wrong_passphrase_opens_no_home(home: Path) -> None:
    with pytest.raises(KeystoreRefused):
        Settings.from_home(home, "another passphrase")


@pytest.mark.spec("NODE-2", "NODE-3")
def test_profile_and_keys_are_of_one_simulated_agency(home: Path) -> None:
    settings = Settings.from_home(home, PASSPHRASE)
    for other in ("south.police.sim", "north.police.org"):
        with pytest.raises(SettingsRefused):
            replace(settings, identity=replace(settings.identity, agency=other))


@pytest.mark.spec("NODE-1")
def test_a_directory_that_does_not_know_us_or_is_not_pinned_does_not_start(
    home: Path, federation: Federation, tmp_path: Path
) -> None:
    settings = Settings.from_home(home, PASSPHRASE)
    stranger = Identity.generate("somebody.sim")
    profile = new_profile("somebody.sim", [])
    with pytest.raises(AgencyUnknown):
        build_node(replace(settings, identity=stranger, profile=profile), clock=lambda: START)
    with pytest.raises(Refusal):
        build_node(replace(settings, fed="A" * 43), clock=lambda: START)


@pytest.mark.spec("WIT-30")
def test_a_home_with_a_witness_s_keys_is_a_witness_of_its_own_agency_alone(home: Path) -> None:
    assert Settings.from_home(home, PASSPHRASE).witness is None
    made = new_witness(home, NORTH, PASSPHRASE)
    held = Settings.from_home(home, PASSPHRASE).witness
    assert held is not None
    assert (held.name, held.keys) == (made.name, made.keys)
    WitnessKeys.generate("south.police.sim/witness").save(home / WITNESS, PASSPHRASE)
    with pytest.raises(SettingsRefused, match="south"):
        Settings.from_home(home, PASSPHRASE)

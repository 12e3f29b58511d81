"""``ix keys`` as a person uses it: what it writes, what it refuses, and that a change cut off is mended."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import keys.commands as commands
from keys.commands import app
from keys.errors import KeystoreRefused
from keys.keystore import Authority, BrokerKeys, Identity
from keys.rolekey import RoleKey

PASSPHRASE = "a passphrase for tests"
NORTH = "north.police.sim"


def ix(*words: str | Path, typed: str | None = None, **variables: str) -> Result:
    env = {"IX_PASSPHRASE": None, "IX_PASSPHRASE_FILE": None, "COLUMNS": "120", **variables}
    return CliRunner().invoke(app, [str(word) for word in words], input=typed, env=env)


def done(*words: str | Path) -> str:
    result = ix(*words, IX_PASSPHRASE=PASSPHRASE)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def shown(folder: Path, *more: str) -> Any:
    return json.loads(done("show", folder, "--json", *more))


def enrolment(folder: Path, agency: str = NORTH) -> list[str | Path]:
    keys = folder.parent / agency / "keys.json"
    return [
        "enrol",
        folder,
        agency,
        "--name",
        "North",
        "--role",
        "police",
        "--territory",
        "XN",
        "--ceiling",
        "confidential",
        "--keys",
        keys,
    ]


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a federation with one agency: made once, because each key file costs a tenth of a second."""
    base = tmp_path_factory.mktemp("founded")
    done("init", base / "fed", "--name", "Test")
    done(*enrolment(base / "fed"))
    return {str(p.relative_to(base)): p.read_bytes() for p in base.rglob("*") if p.is_file()}


@pytest.fixture
def folder(tmp_path: Path, founded: dict[str, bytes]) -> Path:
    for name, data in founded.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o600)
    return tmp_path / "fed"


@pytest.fixture
def keys(folder: Path) -> Path:
    return folder.parent / NORTH / "keys.json"


def test_a_federation_is_begun_in_a_folder_of_its_own(tmp_path: Path) -> None:
    fed = done("init", tmp_path / "fed", "--name", "Harbour", "--root-keys", "2", "--threshold", "1")
    assert (tmp_path / "fed" / "federation.id").read_text().strip() == fed
    assert shown(tmp_path / "fed")["root"]["keys"] == 2
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "fed").iterdir()}
    assert {name for name, mode in modes.items() if mode == 0o600} == {
        "root-1.keys",
        "root-2.keys",
        "enrolment.keys",
        "broker.keys",
    }
    assert len(Authority.load(tmp_path / "fed" / "enrolment.keys", PASSPHRASE).signers) == 1
    assert BrokerKeys.load(tmp_path / "fed" / "broker.keys", PASSPHRASE).broker == "broker.sim"
    assert ix("init", tmp_path / "fed", IX_PASSPHRASE="x").exit_code == 2
    assert ix("init", tmp_path / "new", "--threshold", "4", IX_PASSPHRASE="x").exit_code == 2


def test_an_agency_is_enrolled_and_shown(folder: Path, keys: Path) -> None:
    (agency,) = shown(folder)["agencies"]
    assert (agency["agency"], agency["version"], agency["roles"]) == (NORTH, 1, ["police"])
    assert {key["state"] for key in agency["keys"]} == {"valid"}
    identity = Identity.load(keys, PASSPHRASE)
    assert identity.opening.public.kid in {key["kid"] for key in agency["keys"]}
    table = done("show", folder)
    assert NORTH in table
    assert "SIMULATION" in table
    assert {key["state"] for key in shown(folder, "--at", "2020-01-01T00:00:00Z")["agencies"][0]["keys"]} == {"not yet"}
    assert {key["state"] for key in shown(folder, "--at", "2099-01-01T00:00:00Z")["agencies"][0]["keys"]} == {"expired"}


@pytest.mark.spec("KEY-37")
def test_an_enrolment_cut_off_after_its_keys_were_written_is_taken_up_again(folder: Path, tmp_path: Path) -> None:
    words = enrolment(folder, "south.police.sim")
    Identity.generate("south.police.sim").save(tmp_path / "made.json", PASSPHRASE)
    words[-1] = tmp_path / "made.json"
    done(*words)
    kid = Identity.load(tmp_path / "made.json", PASSPHRASE).opening.public.kid
    assert kid in {key["kid"] for key in shown(folder)["agencies"][1]["keys"]}


@pytest.mark.spec("KEY-36")
def test_keys_are_rotated(folder: Path, keys: Path) -> None:
    old = Identity.load(keys, PASSPHRASE)
    done("rotate", folder, NORTH, "--keys", keys)
    new = Identity.load(keys, PASSPHRASE)
    assert new.signer.public != old.signer.public
    assert old.opening.public.kid in {key.public.kid for key in new.openings}
    (agency,) = shown(folder)["agencies"]
    assert (agency["version"], len(agency["keys"])) == (2, 8)
    assert [path.name for path in keys.parent.iterdir()] == ["keys.json"]


def test_keys_are_revoked_one_or_all_with_or_without_new_ones(folder: Path, keys: Path) -> None:
    kid = Identity.load(keys, PASSPHRASE).transport.public.kid
    done("revoke", folder, NORTH, "--kid", kid, "--reason", "lost")
    states = {key["kid"]: key["state"] for key in shown(folder)["agencies"][0]["keys"]}
    assert [k for k, state in states.items() if state == "revoked"] == [kid]
    done("revoke", folder, NORTH, "--all", "--reason", "stolen", "--keys", keys)
    agency = shown(folder)["agencies"][0]
    assert [key["state"] for key in agency["keys"]] == ["revoked"] * 4 + ["valid"] * 4
    assert {key["reason"] for key in agency["keys"] if "reason" in key} == {"lost", "stolen"}


@pytest.mark.spec("KEY-37")
@pytest.mark.parametrize("step", ["before the record", "before the swap"])
def test_a_rotation_cut_off_is_mended_by_the_next(
    folder: Path, keys: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    before = keys.read_bytes()
    with monkeypatch.context() as patch:
        if step == "before the record":
            patch.setattr(commands, "replace_file", die)
        else:
            patch.setattr(
                Path, "replace", lambda path, target: die() if path.suffix == ".next" else path.rename(target)
            )
        assert ix("rotate", folder, NORTH, "--keys", keys, IX_PASSPHRASE=PASSPHRASE).exit_code != 0
    assert keys.read_bytes() == before
    assert shown(folder)["agencies"][0]["version"] == (1 if step == "before the record" else 2)
    done("rotate", folder, NORTH, "--keys", keys)
    listed = {key["kid"]: key["state"] for key in shown(folder)["agencies"][0]["keys"]}
    mine = Identity.load(keys, PASSPHRASE)
    assert {listed[key.kid] for key in (*mine.signer.public, mine.opening.public, mine.transport.public)} == {"valid"}
    assert {listed[key.public.kid] for key in mine.openings} == {"valid"}
    assert {path.name for path in keys.parent.iterdir()} == {"keys.json"}


@pytest.mark.spec("KEY-38")
def test_the_agencys_key_file_may_have_a_passphrase_of_its_own(folder: Path, tmp_path: Path) -> None:
    south, own, keys = "south.police.sim", tmp_path / "own", tmp_path / "own.json"
    own.write_text("the agency's own\n")
    Identity.generate(south).save(keys, "the agency's own")
    words = [*enrolment(folder, south)[:-1], keys]
    refused("keystore_refused", *words)
    more: list[str | Path] = ["--agency-passphrase-file", own]
    done(*words, *more)
    done("rotate", folder, south, "--keys", keys, *more)
    done("revoke", folder, south, "--all", "--reason", "stolen", "--keys", keys, *more)
    refused("keystore_refused", "rotate", folder, south, "--keys", keys)
    listed = {key["kid"]: key["state"] for key in shown(folder)["agencies"][1]["keys"]}
    assert listed[Identity.load(keys, "the agency's own").opening.public.kid] == "valid"


def test_a_change_says_that_the_broker_does_not_know_of_it(folder: Path, keys: Path) -> None:
    line = f"the broker does not know yet: ix broker trust <broker home> {folder / 'trust.json'}\n"
    assert ix("rotate", folder, NORTH, "--keys", keys, IX_PASSPHRASE=PASSPHRASE).stderr == line
    assert ix("revoke", folder, NORTH, "--all", "--reason", "lost", IX_PASSPHRASE=PASSPHRASE).stderr == line


# refused, misused


def test_a_role_no_agreement_can_name_is_not_enrolled(folder: Path) -> None:
    words = ["wizard" if word == "police" else word for word in enrolment(folder, "south.police.sim")]
    result = ix(*words, IX_PASSPHRASE=PASSPHRASE)
    assert (result.exit_code, len(shown(folder)["agencies"])) == (2, 1)
    assert "wizard" in result.stderr
    assert "border_guard" in result.stderr


def refused(code: str, *words: str | Path, passphrase: str = PASSPHRASE) -> None:
    result = ix(*words, IX_PASSPHRASE=passphrase)
    assert result.exit_code == 1, result.output
    assert re.fullmatch(rf"{code}: [^\n]+\n", result.stderr), result.stderr
    assert result.stdout == ""
    assert passphrase not in result.stderr


def test_a_refusal_is_a_code_and_a_sentence_on_standard_error(folder: Path, keys: Path, tmp_path: Path) -> None:
    before = (folder / "trust.json").read_bytes()
    refused("keystore_refused", "rotate", folder, NORTH, "--keys", keys, passphrase="something else")
    refused("agency_unknown", "revoke", folder, "nobody.sim", "--all", "--reason", "x")
    refused("key_unknown", "revoke", folder, NORTH, "--kid", "x" * 43, "--reason", "x")
    refused("record_refused", *enrolment(folder, "North"))
    refused("record_refused", *enrolment(folder))
    refused("malformed", "show", folder, "--at", "noon")
    refused("file", "show", tmp_path / "nowhere")
    assert (folder / "trust.json").read_bytes() == before
    assert not (folder.parent / "North").exists()


def test_a_directory_that_was_tampered_with_is_refused(folder: Path) -> None:
    trust = folder / "trust.json"
    trust.write_bytes(trust.read_bytes().replace(b'"payload":"e', b'"payload":"f', 1))
    refused("[a-z_]+", "show", folder)
    (folder / "federation.id").write_text("A" * 43)
    refused("root_refused", "show", folder)


def test_another_agencys_keys_are_not_rotated(folder: Path, keys: Path, tmp_path: Path) -> None:
    Identity.generate("south.police.sim").save(tmp_path / "k", PASSPHRASE)
    refused("record_refused", "rotate", folder, NORTH, "--keys", tmp_path / "k")


@pytest.mark.parametrize(
    "words",
    [
        ["rotate"],
        ["revoke", "x", NORTH, "--reason", "r"],
        ["revoke", "x", NORTH, "--reason", "r", "--all", "--kid", "k"],
        ["enrol", "x", NORTH],
        ["show", "x", "--nonsense"],
        ["nonsense"],
    ],
)
def test_misuse_ends_with_2(words: list[str]) -> None:
    assert ix(*words, IX_PASSPHRASE=PASSPHRASE).exit_code == 2


# passphrases


@pytest.mark.spec("KEY-38")
def test_a_passphrase_comes_from_a_file_a_variable_or_a_prompt_that_does_not_show_it(folder: Path, keys: Path) -> None:
    file = folder.parent / "passphrase"
    file.write_text(PASSPHRASE + "\nsecond line\n")
    assert ix("rotate", folder, NORTH, "--keys", keys, "--passphrase-file", file).exit_code == 0
    assert ix("rotate", folder, NORTH, "--keys", keys, IX_PASSPHRASE_FILE=str(file)).exit_code == 0
    typed = ix("rotate", folder, NORTH, "--keys", keys, typed=PASSPHRASE + "\n")
    assert typed.exit_code == 0
    assert PASSPHRASE not in typed.output
    file.write_text("")
    assert ix("rotate", folder, NORTH, "--keys", keys, "--passphrase-file", file).exit_code == 2
    assert ix("rotate", folder, NORTH, "--keys", keys, "--passphrase-file", folder / "absent").exit_code == 2


@pytest.mark.spec("KEY-38")
def test_no_command_takes_a_passphrase_as_an_argument_and_each_has_an_example() -> None:
    for command in ("init", "enrol", "rotate", "revoke", "show"):
        text = ix(command, "--help").output
        assert f"Example: ix keys {command} " in text
        assert not re.search(r"--passphrase\b(?!-file)", text)


# --- role keys ---


@pytest.fixture
def phrases(tmp_path: Path) -> dict[str, Path]:
    made = {name: tmp_path / f"{name}.txt" for name in ("ada", "bea")}
    for name, path in made.items():
        path.write_text(f"{name} has her own passphrase\n", encoding="utf-8")
    return made


def protected(folder: Path, phrases: dict[str, Path], *more: str, who: str = "ada") -> list[str | Path]:
    key = folder.parent / NORTH / "protection.json"
    officer = ["--officer", who, "--officer-passphrase-file", phrases[who]]
    return ["protect", folder, NORTH, "--role-key", key, *officer, *more]


def uses(folder: Path) -> list[tuple[str, str]]:
    return [(key["use"], key["kid"]) for key in shown(folder)["agencies"][0]["keys"] if key["use"] == "prot"]


def test_an_agency_gets_a_role_key_that_only_its_officers_open(folder: Path, phrases: dict[str, Path]) -> None:
    """KEY-27, KEY-38 to KEY-40."""
    done(*protected(folder, phrases))
    path = folder.parent / NORTH / "protection.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    role = RoleKey.from_bytes(path.read_bytes())
    (key,) = role.unlock("ada", "ada has her own passphrase")
    assert uses(folder) == [("prot", key.public.kid)]
    for officer, phrase in (("ada", PASSPHRASE), ("bea", "bea has her own passphrase")):
        with pytest.raises(KeystoreRefused):
            role.unlock(officer, phrase)
    again = ix(*protected(folder, phrases), IX_PASSPHRASE=PASSPHRASE)
    assert (again.exit_code, "--renew" in again.stderr) == (1, True)
    done(*protected(folder, phrases, "--renew"))
    assert len(uses(folder)) == 2
    assert len(RoleKey.from_bytes(path.read_bytes()).unlock("ada", "ada has her own passphrase")) == 2


def test_a_role_key_whose_publishing_was_cut_off_is_published_when_asked_again(
    folder: Path, phrases: dict[str, Path]
) -> None:
    """KEY-37."""
    trust = (folder / "trust.json").read_bytes()
    done(*protected(folder, phrases))
    published = uses(folder)
    (folder / "trust.json").write_bytes(trust)
    done(*protected(folder, phrases))
    assert uses(folder) == published


def test_an_officer_is_admitted_and_removed_by_one_who_is_there(folder: Path, phrases: dict[str, Path]) -> None:
    """KEY-39, KEY-40."""
    done(*protected(folder, phrases))
    path = folder.parent / NORTH / "protection.json"
    by_ada = ["--by", "ada", "--by-passphrase-file", phrases["ada"]]
    stranger = ix("admit", path, "--officer", "bea", "--officer-passphrase-file", phrases["bea"], "--by", "bea",
                  "--by-passphrase-file", phrases["bea"])  # fmt: skip
    assert (stranger.exit_code, stranger.stderr.startswith("keystore_refused")) == (1, True)
    assert done("admit", path, "--officer", "bea", "--officer-passphrase-file", phrases["bea"], *by_ada) == "ada\nbea"
    assert RoleKey.from_bytes(path.read_bytes()).unlock("bea", "bea has her own passphrase")
    by_bea = ["--by", "bea", "--by-passphrase-file", phrases["bea"]]
    assert done("admit", path, "--officer", "ada", "--remove", *by_bea) == "bea"
    with pytest.raises(KeystoreRefused):
        RoleKey.from_bytes(path.read_bytes()).unlock("ada", "ada has her own passphrase")
    last = ix("admit", path, "--officer", "bea", "--remove", *by_bea)
    assert last.exit_code == 1

"""``ix agreement`` on files: from readable terms to an agreement that every party signed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from exchange.commands_agreement import app
from exchange.protocol.agreement import read_agreement
from exchange.protocol.vocabulary import Role
from keys.ceremony import RootPlan, enrol, federation_id, new_root
from keys.commands import ROLES
from keys.encoding import digest
from keys.keystore import BrokerKeys, Identity
from keys.signing import Signer
from keys.trust import Directory

NOW = datetime(2026, 11, 21, 16, 20, tzinfo=UTC)
AT = ["--at", "2026-11-21T16:25:00Z"]
PASSPHRASE = "a passphrase of this test only"
TERMS = files("agencies.profiles").joinpath("agreements", "victim-referral.yaml").read_text(encoding="utf-8")
PARTIES = {"north.police.sim": "police", "south.police.sim": "police", "harbour.ngo.sim": "ngo"}


@dataclass
class Desk:
    """A folder with terms, keys and trust, and a way to run commands in it."""

    folder: Path
    directory: Directory

    def run(self, *words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, list(words), env={"IX_PASSPHRASE": PASSPHRASE})
        assert result.exit_code == code, result.output
        return result

    def path(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def trust(self) -> list[str]:
        return ["--trust", self.path("trust.json"), "--fed", self.directory.fed, *AT]


@pytest.fixture(scope="module")
def desk_keys(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    root, authority, broker = Signer.generate(), Signer.generate(), BrokerKeys.generate("broker.sim")
    plan = RootPlan(
        "test", (root.public,), 1, (authority.public,), "test.sim/log", broker.log.public, "broker.sim",
        (broker.transport.public,),
    )  # fmt: skip
    first = new_root(plan, [root], now=NOW)
    fed, records = federation_id(first), []
    for agency, role in {**PARTIES, "north.fiu.sim": "fiu"}.items():
        keys = Identity.generate(agency)
        keys.save(folder / f"{agency}.keys", PASSPHRASE)
        records.append(
            enrol(fed, keys.public, authority, agency=agency, name=agency, roles=[role], territory="XN",
                  ceiling="restricted", now=NOW)
        )  # fmt: skip
    directory = Directory.build([first], records, fed=fed, now=NOW)
    (folder / "trust.json").write_bytes(directory.to_bytes())
    return Desk(folder, directory)


@pytest.fixture
def desk(desk_keys: Desk, tmp_path: Path) -> Desk:
    for source in desk_keys.folder.iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes())
        (tmp_path / source.name).chmod(0o600)
    (tmp_path / "terms.yaml").write_text(TERMS, encoding="utf-8")
    return Desk(tmp_path, desk_keys.directory)


def test_from_terms_to_an_agreement_signed_by_all(desk: Desk) -> None:
    made = desk.run("new", desk.path("terms.yaml"), "--fed", desk.directory.fed)
    payload = (desk.folder / "terms.payload.json").read_bytes()
    assert made.stdout.strip() == digest(payload)
    signed = desk.path("agreement.json")
    first, *others = PARTIES
    desk.run("sign", desk.path("terms.payload.json"), "--key", desk.path(f"{first}.keys"), "-o", signed)
    for party in others:
        desk.run("sign", signed, "--key", desk.path(f"{party}.keys"))
    agreement = read_agreement(Path(signed).read_bytes(), desk.directory, NOW)
    assert (agreement.missing, agreement.digest) == ((), digest(payload))
    shown = json.loads(desk.run("show", signed, *desk.trust, "--json").stdout)
    assert shown["signed_by"] == list(PARTIES)
    assert shown["missing"] == []
    assert shown["agreement"] == digest(payload)
    assert "any police may tell" in shown["clauses"][0]["in_words"]
    assert "still to sign" not in desk.run("show", signed, *desk.trust).stdout


def test_show_reads_terms_nobody_has_signed(desk: Desk) -> None:
    shown = json.loads(desk.run("show", desk.path("terms.yaml"), "--json").stdout)
    assert (shown["signatures"], shown["agreement"]) == (0, None)
    for trust in ([], desk.trust):
        said = desk.run("show", desk.path("terms.yaml"), *trust).stdout
        assert "not yet signed" in said
        assert "signed by none of 3 parties" in said
        assert "no --trust" not in said


def test_show_refuses_a_signature_that_does_not_verify(desk: Desk) -> None:
    desk.run("new", desk.path("terms.yaml"), "--fed", desk.directory.fed)
    desk.run("sign", desk.path("terms.payload.json"), "--key", desk.path("north.police.sim.keys"))
    signed = desk.folder / "terms.signed.json"
    value = json.loads(signed.read_bytes())
    value["signatures"][0]["signature"] = "A" * 86
    signed.write_text(json.dumps(value), encoding="utf-8")
    assert "signature_invalid" in desk.run("show", str(signed), *desk.trust, code=1).stderr


def test_nobody_signs_twice_or_without_being_a_party(desk: Desk) -> None:
    desk.run("new", desk.path("terms.yaml"), "--fed", desk.directory.fed)
    payload, signed = desk.path("terms.payload.json"), desk.path("terms.signed.json")
    desk.run("sign", payload, "--key", desk.path("north.police.sim.keys"))
    again = desk.run("sign", signed, "--key", desk.path("north.police.sim.keys"), code=1)
    assert "signed_twice" in again.stderr
    stranger = desk.run("sign", payload, "--key", desk.path("north.fiu.sim.keys"), code=1)
    assert "signer_not_party" in stranger.stderr


def test_a_new_version_names_the_one_it_replaces(desk: Desk) -> None:
    (desk.folder / "terms.yaml").write_text(TERMS.replace("version: 1", "version: 2"), encoding="utf-8")
    refused = desk.run("new", desk.path("terms.yaml"), "--fed", desk.directory.fed, code=1)
    assert "a later version names the one it replaces" in refused.stderr
    desk.run("new", desk.path("terms.yaml"), "--fed", desk.directory.fed, "--replaces", digest(b"before"))


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (TERMS + "\nid: twice\n", "member `id` is written twice"),
        (TERMS + "\nbases: &b [untoc_27]\nterritory: *b\n", "an alias"),
        ("- a list\n", "terms are members with names"),
        ("{", "neither YAML nor JSON, at line 1"),
        ("id: a\ntitle: b: c\n", "neither YAML nor JSON, at line 2"),
        (TERMS.replace("2026-01-01T00", "2096-01-01T00"), "an agreement must end after it starts"),
        ("!!python/object/apply:os.getcwd []", "neither YAML nor JSON"),
        ("id: a\n\ttitle: b\n", "at line 2: a tab stands there; indent with spaces"),
        ("id: a\n  title: b\n", "at line 2: put quotes around a text that has `: ` in it"),
        ("", "the file is empty"),
        ("PK\x03\x04\x00", "save it as plain text"),
        (TERMS.replace('"2026-01-01T00:00:00Z"', "2026-01-01"), "`start`: a time is not of the form"),
        (TERMS.replace('"2026-01-01T00:00:00Z"', "2026-11-31"), "`start`: a time is not of the form"),
        (TERMS.replace("title: ", "title: 2026-01-01\nkind2: !!set {a} #", 1), "JSON cannot carry; quote it"),
        (TERMS.replace("types: [safety_notice]", "types: [gossip]"), "types"),
        ("x" * 70_000, "70000 bytes"),
    ],
)  # fmt: skip
def test_terms_that_cannot_be_signed_are_refused_in_words(desk: Desk, terms: str, words: str) -> None:
    (desk.folder / "terms.yaml").write_text(terms, encoding="utf-8")
    refused = desk.run("new", desk.path("terms.yaml"), "--fed", desk.directory.fed, code=1)
    assert words in refused.stderr
    assert refused.stdout == ""


def test_times_may_be_written_as_yaml_writes_them(desk: Desk) -> None:
    (desk.folder / "terms.yaml").write_text(TERMS.replace('"', ""), encoding="utf-8")
    desk.run("new", desk.path("terms.yaml"), "--fed", desk.directory.fed)
    assert b'"start":"2026-01-01T00:00:00.000Z"' in (desk.folder / "terms.payload.json").read_bytes()


def test_check_says_nothing_against_sound_terms(desk: Desk) -> None:
    assert "0 errors, 0 warnings" in desk.run("check", desk.path("terms.yaml")).stdout
    assert "0 errors" in desk.run("check", desk.path("terms.yaml"), *desk.trust).stdout


def test_check_says_what_is_wrong_and_ends_with_one(desk: Desk) -> None:
    bad = TERMS.replace("bases: [trafficking_prot_10, led_domestic]", "bases: []").replace(
        "types: [safety_notice]", "types: []"
    )
    (desk.folder / "terms.yaml").write_text(bad, encoding="utf-8")
    said = desk.run("check", desk.path("terms.yaml"), code=1).stdout
    assert "error: no legal basis is named" in said
    assert "error: clause safety: `types` is empty" in said
    found = json.loads(desk.run("check", desk.path("terms.yaml"), "--json", code=1).stdout)["findings"]
    assert [one["code"] for one in found] == ["no_basis", "empty_list"]
    (desk.folder / "terms.yaml").write_text(TERMS.replace("types: [safety_notice]", "types: []"), encoding="utf-8")
    assert ": 1 error, 0 warnings" in desk.run("check", desk.path("terms.yaml"), code=1).stdout


def test_an_agency_is_enrolled_under_exactly_the_roles_an_agreement_can_name() -> None:
    assert tuple(Role) == ROLES


def test_a_trust_file_is_believed_only_with_its_pinned_id(desk: Desk) -> None:
    desk.run("check", desk.path("terms.yaml"), "--trust", desk.path("trust.json"), code=2)
    other = ["--trust", desk.path("trust.json"), "--fed", digest(b"another"), *AT]
    assert "root_refused" in desk.run("check", desk.path("terms.yaml"), *other, code=1).stderr


def test_a_payload_never_overwrites_its_terms(desk: Desk) -> None:
    before = (desk.folder / "terms.yaml").read_bytes()
    desk.run("new", desk.path("terms.yaml"), "--fed", desk.directory.fed, "-o", desk.path("terms.yaml"), code=2)
    assert (desk.folder / "terms.yaml").read_bytes() == before


def test_a_place_that_cannot_be_written_is_misuse(desk: Desk) -> None:
    result = desk.run("new", desk.path("terms.yaml"), "--fed", desk.directory.fed, "-o", desk.path("no/such"), code=2)
    assert "cannot be written" in result.output

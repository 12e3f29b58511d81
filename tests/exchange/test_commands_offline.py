"""seal, open and inspect work on files alone, and refuse by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from exchange.commands_offline import app
from exchange.protocol.message import parse
from keys.ceremony import RootPlan, enrol, federation_id, new_root
from keys.encoding import digest
from keys.keystore import BrokerKeys, Identity
from keys.signing import Signer
from keys.trust import Directory

NOW = datetime(2026, 11, 21, 16, 20, tzinfo=UTC)
AT = ["--at", "2026-11-21T16:25:00Z"]
AGREEMENT = digest(b"an agreement")
PASSPHRASE = "correct horse battery staple"  # of a key made for this test
SAMPLES = Path(__file__).resolve().parents[2] / "exercises" / "samples"
CONTENT = SAMPLES / "spontaneous_info.json"


@dataclass(frozen=True)
class Office:
    """A folder with two agencies' keys and the trust file of their federation."""

    folder: Path
    fed: str

    def key(self, name: str) -> list[str]:
        return ["--key", str(self.folder / f"{name}.json"), "--passphrase-file", str(self.folder / "passphrase")]

    @property
    def trust(self) -> list[str]:
        return ["--trust", str(self.folder / "trust.json"), "--fed", self.fed]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    folder = tmp_path_factory.mktemp("office")
    root, enrolment, broker = Signer.generate(), Signer.generate(), BrokerKeys.generate("broker.ix.sim")
    plan = RootPlan(
        name="Test (SIMULATION)",
        root_keys=(root.public,),
        threshold=1,
        enrolment=(enrolment.public,),
        origin="ix.sim/log",
        log=broker.log.public,
        broker=broker.broker,
        transport=(broker.transport.public,),
    )
    first = new_root(plan, [root], now=NOW)
    fed, records = federation_id(first), []
    for name in ("north", "south", "east"):
        identity = Identity.generate(f"{name}.police.sim")
        identity.save(folder / f"{name}.json", PASSPHRASE)
        about = {"agency": identity.agency, "name": name, "roles": ["police"], "territory": "XN", "ceiling": "secret"}
        records.append(enrol(fed, identity.public, enrolment, now=NOW, **about))
    (folder / "trust.json").write_bytes(Directory.build([first], records, fed=fed, now=NOW).to_bytes())
    (folder / "passphrase").write_text(PASSPHRASE + "\n")
    (folder / "passphrase").chmod(0o600)
    return Office(folder, fed)


@pytest.fixture
def run() -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def _seal(run: Callable[..., Result], office: Office, out: Path, *more: str, content: Path = CONTENT) -> Result:
    to = ["--to", "south.police.sim", "--agreement", AGREEMENT]
    return run("seal", content, *office.key("north"), *office.trust, *to, "-o", out, *AT, *more)


@pytest.mark.spec("CLI-20", "CLI-21")
def test_what_one_seals_the_other_opens(run: Callable[..., Result], office: Office, tmp_path: Path) -> None:
    sealed = _seal(run, office, tmp_path / "envelope.json")
    assert sealed.exit_code == 0, sealed.output
    assert sealed.stdout == ""
    envelope = parse((tmp_path / "envelope.json").read_bytes())
    assert envelope.digest in sealed.stderr
    assert envelope.manifest.from_ == "north.police.sim"
    opened = run("open", tmp_path / "envelope.json", *office.key("south"), *office.trust, *AT)
    assert opened.exit_code == 0, opened.output
    assert opened.stdout_bytes == CONTENT.read_bytes()
    assert "no proof that it was logged" in " ".join(opened.stderr.split())


@pytest.mark.parametrize("name", sorted(p.name for p in SAMPLES.glob("*.json")))
def test_every_sample_can_be_sealed_as_it_declares_itself(
    run: Callable[..., Result], office: Office, tmp_path: Path, name: str
) -> None:
    sealed = _seal(run, office, tmp_path / "e.json", "--re", digest(b"a request"), content=SAMPLES / name)
    assert sealed.exit_code == 0, sealed.output
    out = tmp_path / "content.json"
    assert run("open", tmp_path / "e.json", *office.key("south"), *office.trust, *AT, "-o", out).exit_code == 0
    assert out.read_bytes() == (SAMPLES / name).read_bytes()


@pytest.mark.spec("CLI-3")
def test_an_output_that_cannot_be_written_is_misuse(run: Callable[..., Result], office: Office, tmp_path: Path) -> None:
    nowhere = tmp_path / "nosuch" / "e.json"
    _seal(run, office, tmp_path / "e.json")
    for done in (
        _seal(run, office, nowhere),
        run("open", tmp_path / "e.json", *office.key("south"), *office.trust, *AT, "-o", nowhere),
        run("open", tmp_path / "e.json", *office.key("south"), *office.trust, *AT, "-o", tmp_path),
    ):
        assert (done.exit_code, done.stdout) == (2, "")
        assert "cannot be written" in done.stderr


@pytest.mark.spec("CLI-22")
def test_what_was_opened_is_for_its_owner_alone(run: Callable[..., Result], office: Office, tmp_path: Path) -> None:
    _seal(run, office, tmp_path / "e.json")
    (tmp_path / "before.json").write_text("a file that others could read, and longer than nothing" * 99)
    (tmp_path / "before.json").chmod(0o644)
    for out in (tmp_path / "new.json", tmp_path / "before.json"):
        assert run("open", tmp_path / "e.json", *office.key("south"), *office.trust, *AT, "-o", out).exit_code == 0
        assert (out.stat().st_mode & 0o777, out.read_bytes()) == (0o600, CONTENT.read_bytes())


def test_an_instant_of_another_form_is_misuse_and_the_form_is_shown(
    run: Callable[..., Result], office: Office, tmp_path: Path
) -> None:
    _seal(run, office, tmp_path / "e.json")
    done = run("inspect", tmp_path / "e.json", "--at", "yesterday")
    assert (done.exit_code, "2026-11-21T16:20:00Z" in done.stderr) == (2, True)


@pytest.mark.spec("CLI-22", "CLI-3")
def test_somebody_else_cannot_open_it(run: Callable[..., Result], office: Office, tmp_path: Path) -> None:
    _seal(run, office, tmp_path / "envelope.json")
    opened = run("open", tmp_path / "envelope.json", *office.key("east"), *office.trust, *AT)
    assert opened.exit_code == 1
    assert "not_addressed: " in opened.stderr
    assert opened.stdout == ""


@pytest.mark.spec("CLI-22", "CLI-23")
def test_one_flipped_byte_is_refused_by_name(run: Callable[..., Result], office: Office, tmp_path: Path) -> None:
    _seal(run, office, path := tmp_path / "envelope.json")
    data = json.loads(path.read_bytes())
    body = data["sealed"]["body"]
    data["sealed"]["body"] = ("A" if body[0] != "A" else "B") + body[1:]
    path.write_text(json.dumps(data))
    assert "seal_mismatch: " in run("open", path, *office.key("south"), *office.trust, *AT).stderr
    shown = run("inspect", path, *office.trust, *AT, "--json")
    assert shown.exit_code == 1
    codes = {check["check"]: check["code"] for check in json.loads(shown.stdout)["checks"]}
    assert codes["wraps and body are those the manifest names"] == "seal_mismatch"
    assert codes["signed by the sender, both algorithms"] == "ok"


@pytest.mark.spec("CLI-23", "CLI-4")
def test_inspect_shows_the_manifest_and_never_the_content(
    run: Callable[..., Result], office: Office, tmp_path: Path
) -> None:
    _seal(run, office, path := tmp_path / "envelope.json")
    shown = run("inspect", path, *office.trust, *AT)
    assert shown.exit_code == 0, shown.output
    for wanted in ("SIMULATION", "north.police.sim", "spontaneous_info", "passes"):
        assert wanted in shown.stdout
    text = json.loads(CONTENT.read_bytes())["narrative"][0]["text"]
    report = run("inspect", path, *office.trust, *AT, "--json").stdout
    assert text[:30] not in shown.stdout + report
    assert {check["code"] for check in json.loads(report)["checks"]} == {"ok"}


def test_inspect_without_a_trust_file_judges_no_signature(
    run: Callable[..., Result], office: Office, tmp_path: Path
) -> None:
    _seal(run, office, path := tmp_path / "envelope.json")
    shown = run("inspect", path, *AT, "--json")
    assert shown.exit_code == 0
    codes = [check["code"] for check in json.loads(shown.stdout)["checks"]]
    assert codes == ["ok", "ok", "ok", "not_checked", "not_checked"]


@pytest.mark.spec("CLI-6")
def test_a_trust_file_is_not_believed_unpinned(run: Callable[..., Result], office: Office, tmp_path: Path) -> None:
    _seal(run, office, path := tmp_path / "envelope.json")
    trust = ["--trust", str(office.folder / "trust.json")]
    assert run("inspect", path, *trust).exit_code == 2
    other = run("inspect", path, *trust, "--fed", digest(b"another federation"), *AT)
    assert (other.exit_code, "root_refused: " in other.stderr) == (1, True)


@pytest.mark.spec("CLI-5")
def test_a_key_file_needs_its_passphrase(
    run: Callable[..., Result], office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _seal(run, office, path := tmp_path / "envelope.json")
    key = office.key("south")[:2]
    monkeypatch.delenv("IX_PASSPHRASE", raising=False)
    assert run("open", path, *key, *office.trust, *AT).exit_code == 1, "it asks, and nobody answers"
    monkeypatch.setenv("IX_PASSPHRASE", "wrong")
    assert "keystore_refused: " in run("open", path, *key, *office.trust, *AT).stderr
    monkeypatch.setenv("IX_PASSPHRASE", PASSPHRASE)
    assert run("open", path, *key, *office.trust, *AT).exit_code == 0


def test_a_content_that_is_no_case_message_is_not_sealed(
    run: Callable[..., Result], office: Office, tmp_path: Path
) -> None:
    (tmp_path / "content.json").write_text('{"v":"ix-case/1"}')
    sealed = _seal(run, office, tmp_path / "envelope.json", content=tmp_path / "content.json")
    assert (sealed.exit_code, "content_malformed: " in sealed.stderr) == (1, True)
    assert not (tmp_path / "envelope.json").exists()


def test_an_envelope_past_its_end_does_not_open(run: Callable[..., Result], office: Office, tmp_path: Path) -> None:
    _seal(run, office, path := tmp_path / "envelope.json", "--days", "1")
    late = ["--at", "2026-11-23T00:00:00Z"]
    assert "message_expired: " in run("open", path, *office.key("south"), *office.trust, *late).stderr

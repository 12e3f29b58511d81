"""Our log and our witnesses convince aics-tlog, a verifier that nobody here wrote.

It wants Python 3.12 or newer, which need not be the one that runs the tests; it is installed once, from a list pinned
by hash, under ``build/`` of this checkout. Where that cannot be done the tests are skipped, saying why. It reads
Ed25519 lines only: ML-DSA-44 lines are checked by Noble (``test_sigstore``).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exchange.protocol.cosignature import Cosigner
from exchange.protocol.log import LogSigner, checkpoint_text, sign_checkpoint, vkeys
from exchange.protocol.merkle import Tree, leaf_hash
from exchange.protocol.merkle import root as merkle_root
from exchange.protocol.witnessing import Submission
from exercises.federation import ORIGIN
from exercises.world import World
from tests.agencies.node.conftest import NORTH
from tests.agencies.node.test_witnessing import serve
from tests.exchange.test_commands_audit import served
from tests.foreign.test_gosumdb import LOG, write_log
from tests.vectors.stage import signer

HERE = Path(__file__).resolve().parent
INSTALLED = HERE.parent.parent / "build" / "foreign-python"
NOW = datetime(2026, 11, 21, 16, 20, tzinfo=UTC)
WITNESSES = [Cosigner(f"{name}.sim/witness", signer(f"witness {name}")) for name in ("north.police", "harbour.ngo")]
ENTRIES = [b"entry number %d" % n for n in range(300)]
ROOT = merkle_root([leaf_hash(entry) for entry in ENTRIES])
NEW_ENOUGH = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))"


def newer_python() -> str | None:
    """An interpreter that aics-tlog runs in."""
    beside = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.1[2-9]*/bin/python"))
    named = [shutil.which(f"python3.{minor}") for minor in (12, 13, 14)]
    for candidate in [sys.executable, *named, *map(str, beside)]:
        if candidate and not subprocess.run([candidate, "-c", NEW_ENOUGH], capture_output=True, check=False).returncode:
            return candidate
    return None


@pytest.fixture(scope="module")
def interpreter() -> Path:
    """The Python that has aics-tlog; the first test of all to need it installs it."""
    python = newer_python()
    if python is None:
        pytest.skip("no Python 3.12 or newer with venv is installed, and aics-tlog wants one")
    wanted = HERE / "requirements-aics.txt"
    place = INSTALLED / hashlib.sha256(wanted.read_bytes() + python.encode()).hexdigest()[:16]
    if not place.is_dir():
        INSTALLED.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=INSTALLED))
        subprocess.run([python, "-m", "venv", fresh], check=True, capture_output=True, timeout=120)
        quiet = ["--disable-pip-version-check", "--no-input", "-q", "--require-hashes", "--only-binary", ":all:"]
        try:
            done = subprocess.run(
                [fresh / "bin" / "python", "-m", "pip", "install", *quiet, "-r", wanted],
                capture_output=True, text=True, timeout=180, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            pytest.skip("aics-tlog could not be had: pip did not answer in time")
        if done.returncode:
            pytest.skip(f"aics-tlog could not be had: {(done.stderr.strip().splitlines() or ['pip failed'])[-1]}")
        try:
            place.symlink_to(fresh.name)  # a virtual environment knows its own path, so it is not moved
        except FileExistsError:
            shutil.rmtree(fresh)  # another test process was quicker
    return place / "bin" / "python"


def tree_of(entries: list[bytes]) -> Tree:
    tree = Tree()
    tree.append([leaf_hash(entry) for entry in entries])
    return tree


@pytest.fixture
def judge(interpreter: Path, tmp_path: Path) -> Any:
    tree = write_log(tmp_path, ENTRIES)

    def run(
        lines: str = "", *, quorum: int = 0, old: int = 7, root: bytes | None = None, log: LogSigner = LOG, at: str = ""
    ) -> Any:
        note = sign_checkpoint(300, tree.root(), log, NOW)
        (tmp_path / "checkpoint").write_text(note + lines, encoding="utf-8")
        proof = [base64.b64encode(one).decode() for one in tree.consistency(old)]
        asked = {
            "folder": at or str(tmp_path),
            "log": vkeys(log.identity)[0],
            "witnesses": [str(one.keys[0]) for one in WITNESSES],
            "quorum": quorum,
            "old": [old, base64.b64encode(root or tree.root(old)).decode(), proof],
        }
        done = subprocess.run(
            [interpreter, HERE / "judge_aics.py"],
            input=json.dumps(asked), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_it_verifies_checkpoint_root_and_every_entry(judge: Any) -> None:
    """LOG-1, LOG-5, LOG-7, LOG-11, LOG-14, LOG-17: by tiles alone, as a stranger would read them."""
    said = judge()
    assert (said["ok"], said["size"], said["root"], said["included"], said["grown"]) == (True, 300, True, 300, True)
    assert judge(root=bytes(32))["grown"] is False


@pytest.mark.spec("LOG-80", "LOG-81")
def test_it_reads_the_same_from_any_web_server(judge: Any, tmp_path: Path) -> None:
    with served(tmp_path) as url:
        said = judge(at=url)
    assert (said["ok"], said["size"], said["root"], said["included"], said["grown"]) == (True, 300, True, 300, True)


def test_it_counts_our_witnesses(judge: Any) -> None:
    """WIT-3: and a quorum that is not reached is not reached."""
    text = checkpoint_text(LOG.origin, 300, ROOT)
    one, two = (witness.cosign(text, NOW) for witness in WITNESSES)
    said = judge(one + two, quorum=2)
    assert said["ok"]
    assert set(said["times"].values()) == {int(NOW.timestamp())}
    assert len(said["witnesses"]) == 2
    assert not judge(one, quorum=2)["ok"]
    moved = WITNESSES[1].cosign(checkpoint_text(LOG.origin, 299, ROOT), NOW)
    assert not judge(one + moved, quorum=2)["ok"]


def test_it_counts_what_two_of_our_nodes_answered(judge: Any, tmp_path: Path) -> None:
    """WIT-31: the lines that two nodes gave over HTTP are a quorum, and those of one are not."""
    lines, tree = [], tree_of(ENTRIES)
    with World(tmp_path / "world", [NORTH], agreements=()) as world:
        world.clock.now = NOW
        log = LogSigner(ORIGIN, world.federation.broker.log)
        for witness in WITNESSES:
            for node in serve(world, tmp_path, witness):
                for old, size in ((0, 7), (7, 300)):
                    proof = tree.consistency(old, size) if old else ()
                    answer = node.post(Submission(old, proof, node.head(size, tree)).to_bytes())
                    assert answer.status_code == 200
            (tmp_path / "served.db").unlink()
            lines.append(answer.text)
    said = judge("".join(lines), quorum=2, log=log)
    assert said["ok"], said["error"]
    assert len(said["witnesses"]) == 2
    assert not judge(lines[0], quorum=2, log=log)["ok"]

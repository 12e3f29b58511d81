"""The programs printed in the README and in the tour really do what is said of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.protocol.log import LogSigner, bundle, sign_checkpoint
from exchange.protocol.merkle import bundles, entries_path, leaf_hash, root
from keys.signing import Signer

REPOSITORY = Path(__file__).resolve().parent.parent.parent
ENTRIES = tuple(f'{{"v":"ix/1","n":{n}}}'.encode() for n in range(600))


def printed_in(document: str) -> str:
    (found,) = re.findall(r"^```python\n(.*?)^```", (REPOSITORY / document).read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "check.py"
    path.write_text(printed_in("README.md"))
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    for n, width in bundles(len(ENTRIES)):
        path = folder / entries_path(n, width)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bundle(ENTRIES[n * 256 : n * 256 + width]))
    signer = LogSigner("example.sim/log", Signer.generate())
    head = root([leaf_hash(entry) for entry in ENTRIES])
    (folder / "checkpoint").write_text(sign_checkpoint(len(ENTRIES), head, signer, datetime.now(UTC)))
    return folder


def check(program: Path, log: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-I", program, log], capture_output=True, text=True, check=False)


def test_the_program_in_the_readme_checks_a_log(program: Path, log: Path) -> None:
    done = check(program, log)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("600 entries of example.sim/log")


def test_the_program_in_the_readme_notices_one_altered_byte(program: Path, log: Path) -> None:
    path = log / entries_path(1, 256)
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    assert check(program, log).returncode != 0


def test_the_program_in_the_tour_sends_a_message_through_a_whole_exchange(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", printed_in("docs/tour.md")],
        cwd=REPOSITORY, env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

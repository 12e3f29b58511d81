"""A verifier in one file, in another language and without packages, verifies our evidence or refuses it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from exchange.audit.bundle import write_evidence
from exchange.audit.export import examine_export
from keys.encoding import digest, write_json
from tests.vectors.logbook import Logbook, told

VERIFIER = Path(__file__).resolve().parents[2] / "conformance" / "verify_bundle.mjs"
AT = "2026-11-22T00:00:00Z"
SECOND_HALF = 2420
"""Bytes of an ML-DSA-44 signature."""

SWEEP = """
const { verify, HAS_ML_DSA } = await import(process.argv[1]);
const { readFileSync } = await import("node:fs");
const [file, fed, at, step] = process.argv.slice(2);
const bytes = readFileSync(file), held = [];
verify(bytes, fed, Date.parse(at));
let tried = 0;
for (let place = 0; place < bytes.length; place += Number(step), tried++) {
  const changed = Buffer.from(bytes);
  changed[place] ^= 1 << (place % 8);
  try { verify(changed, fed, Date.parse(at)); held.push(place); } catch { }
}
console.log(JSON.stringify({ held, tried, whole: HAS_ML_DSA }));
"""


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("Node.js is not installed, so the one-file verifier cannot be run")
    return found


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> tuple[Logbook, Path]:
    book, files = told()
    log = examine_export(files.get, fed=book.on.fed, now=book.now)
    path = tmp_path_factory.mktemp("evidence") / "evidence.json"
    path.write_bytes(write_evidence(files.get, log, [log.report.disclosures[4].entry.msg]))
    return book, path


def verify(node: str, path: Path, fed: str) -> Any:
    words = [node, str(VERIFIER), str(path), f"--fed={fed}", f"--at={AT}"]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.spec("LOG-75", "LOG-76", "LOG-77")
def test_it_verifies_and_says_what_it_did_not(node: str, evidence: tuple[Logbook, Path]) -> None:
    book, path = evidence
    done = verify(node, path, book.on.fed)
    assert done.returncode in (0, 4), done.stderr
    assert ("ML-DSA-44 half" in done.stdout) == (done.returncode == 4)
    assert "nothing shows that nothing is missing" in done.stdout
    assert "disclosure: north.police.sim -> south.police.sim (c1)" in done.stdout


@pytest.mark.spec("LOG-73", "LOG-75")
def test_it_verifies_the_golden_file(node: str, evidence: tuple[Logbook, Path]) -> None:
    golden = VERIFIER.parents[1] / "tests" / "vectors" / "log" / "evidence.json"
    assert verify(node, golden, evidence[0].on.fed).returncode in (0, 4)


@pytest.mark.spec("LOG-75")
def test_it_refuses_what_was_changed_with_care(node: str, evidence: tuple[Logbook, Path], tmp_path: Path) -> None:
    book, path = evidence
    value = json.loads(path.read_bytes())
    kept = [one for one in value["entries"] if '"suspension"' not in one["entry"]]
    changes = {
        "another federation": (value, digest(b"another")),
        "a rule left out": (value | {"entries": kept, "notices": {}}, book.on.fed),
        "a message not in it": (value | {"messages": [digest(b"x")]}, book.on.fed),
        "an entry's other place": (value | {"entries": value["entries"][::-1]}, book.on.fed),
        "a statement that is missing": (value | {"acts": {}}, book.on.fed),
        "no records": (value | {"trust": value["trust"] | {"records": []}}, book.on.fed),
    }
    for name, (changed, fed) in changes.items():
        (tmp_path / "e.json").write_bytes(write_json(changed))
        done = verify(node, tmp_path / "e.json", fed)
        assert (done.returncode, done.stderr[:9]) == (1, "refused: "), name
    (tmp_path / "e.json").write_bytes(path.read_bytes() + b"\n")
    assert verify(node, tmp_path / "e.json", book.on.fed).returncode == 1
    assert verify(node, tmp_path / "none.json", book.on.fed).returncode == 2
    assert verify(node, path, "short").returncode == 2


@pytest.mark.slow
@pytest.mark.spec("LOG-77")
def test_a_changed_byte_is_refused_unless_it_is_in_what_was_said_to_be_unchecked(
    node: str, evidence: tuple[Logbook, Path]
) -> None:
    book, path = evidence
    words = [node, "--input-type=module", "-e", SWEEP, "--", VERIFIER.as_uri(), str(path), book.on.fed, AT, "211"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    swept = json.loads(done.stdout)
    unchecked = set() if swept["whole"] else second_halves(path.read_bytes())
    assert set(swept["held"]) <= unchecked
    assert swept["tried"] > 500


def second_halves(data: bytes) -> set[int]:
    """Every place in an ML-DSA-44 signature: of a statement, and of the checkpoint with its time."""
    places: set[int] = set()
    statement = (SECOND_HALF * 8 + 5) // 6
    line = -(-(4 + 8 + SECOND_HALF) // 3) * 4
    for found in re.finditer(rb"[A-Za-z0-9_+/-]{200,}=*", data):
        if len(found[0]) in (statement, line):
            places |= set(range(*found.span()))
    return places

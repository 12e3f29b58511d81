"""A verifier in one file, in another language and without packages, verifies our evidence or refuses it.

Needs Node.js. One that can check both halves of a pair of signatures, 24.6 or later, is looked for in ``IX_NODE`` and
then on the PATH (``npx -y -p node@24 -c 'command -v node'`` prints the path of one); without it some tests are skipped.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from exchange.audit.bundle import verify_evidence, write_evidence
from exchange.audit.export import examine_export
from exchange.protocol.log import LogSigner, read_checkpoint_text, sign_checkpoint, split_note
from keys.encoding import b64u, digest, stamp, write_json
from tests.foreign.histories import History
from tests.vectors.logbook import Logbook, told
from tests.vectors.stage import signer

VERIFIER = Path(__file__).resolve().parents[2] / "conformance" / "verify_bundle.mjs"
GOLDEN = VERIFIER.parents[1] / "tests" / "vectors" / "log" / "evidence.json"
AT = "2026-11-22T00:00:00Z"
SECOND_HALF = 2420
"""Bytes of an ML-DSA-44 signature."""

SWEEP = """
const { verify, HAS_ML_DSA } = await import(process.argv[1]);
const { readFileSync } = await import("node:fs");
const [file, fed, at] = process.argv.slice(2);
const bytes = readFileSync(file), held = [];
verify(bytes, fed, Date.parse(at));
const places = JSON.parse(readFileSync(0));
for (const place of places) {
  const changed = Buffer.from(bytes);
  changed[place] ^= 1 << (place % 8);
  try { verify(changed, fed, Date.parse(at)); held.push(place); } catch { }
}
console.log(JSON.stringify({ held, tried: places.length, whole: HAS_ML_DSA }));
"""
MANY = """
const { verify } = await import(process.argv[1]);
const { readFileSync } = await import("node:fs");
console.log(JSON.stringify(JSON.parse(readFileSync(0)).map(({ file, fed, at }) => {
  try { verify(readFileSync(file), fed, Date.parse(at)); } catch (wrong) { return wrong.message || "refused"; }
  return "";
})));
"""
LEFT_OUT = {
    "not_permitted",
    "wrongly_denied",
    "decision_differs",
    "erasure_contradicted",
    "act_not_theirs",
    "act_refused",
}
"""What it says that it does not check: decisions, standing, and words about erasure."""


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("Node.js is not installed, so the one-file verifier cannot be run")
    return found


@pytest.fixture(scope="module")
def newer() -> str:
    """A Node.js that has ML-DSA-44."""
    probe = "require('node:crypto').generateKeyPairSync('ml-dsa-44')"
    for found in filter(None, (os.environ.get("IX_NODE"), shutil.which("node"))):
        with suppress(OSError):
            if subprocess.run([found, "-e", probe], capture_output=True, timeout=60, check=False).returncode == 0:
                return found
    pytest.skip("no Node.js with ML-DSA-44 (24.6 or later) is named by IX_NODE or on the PATH")


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
    assert verify(node, GOLDEN, evidence[0].on.fed).returncode in (0, 4)


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


def run(node: str, script: str, *arguments: str, given: Any) -> Any:
    words = [node, "--input-type=module", "-e", script, "--", VERIFIER.as_uri(), *arguments]
    done = subprocess.run(words, input=json.dumps(given), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.spec("LOG-77")
def test_a_changed_byte_is_refused_unless_it_is_in_what_was_said_to_be_unchecked(
    node: str, evidence: tuple[Logbook, Path]
) -> None:
    book, path = evidence
    data = path.read_bytes()
    swept = run(node, SWEEP, str(path), book.on.fed, AT, given=[*range(0, len(data), 211)])
    unchecked = set() if swept["whole"] else set().union(*second_halves(data))
    assert set(swept["held"]) <= unchecked
    assert swept["tried"] > 500


# --- with both halves of every pair ----------------------------------------------------------------------------------


@pytest.mark.spec("LOG-75", "LOG-77")
def test_a_newer_node_checks_both_halves_and_leaves_none_out(newer: str, evidence: tuple[Logbook, Path]) -> None:
    book, path = evidence
    for one in (path, GOLDEN):
        done = verify(newer, one, book.on.fed)
        assert (done.returncode, done.stderr) == (0, "")
        assert "ML-DSA" not in done.stdout


@pytest.mark.spec("LOG-77")
def test_with_both_halves_checked_no_second_half_can_be_another(newer: str, evidence: tuple[Logbook, Path]) -> None:
    book, path = evidence
    data = path.read_bytes()
    halves = second_halves(data)
    assert len(halves) == data.count(b'"signature"') // 2 + 1  # one of every pair, and the checkpoint's
    places = [half[len(half) * part // 7] for half in halves for part in (0, 3, 6)]
    swept = run(newer, SWEEP, str(path), book.on.fed, AT, given=places)
    assert swept == {"held": [], "tried": len(places), "whole": True}


@pytest.mark.slow
@pytest.mark.spec("LOG-77")
def test_with_both_halves_checked_every_changed_byte_is_refused(newer: str, evidence: tuple[Logbook, Path]) -> None:
    book, path = evidence
    swept = run(newer, SWEEP, str(path), book.on.fed, AT, given=[*range(0, path.stat().st_size, 131)])
    assert (swept["held"], swept["whole"]) == ([], True)


@pytest.mark.spec("LOG-75", "LOG-77")
def test_who_has_only_the_first_half_of_the_logs_keys_convinces_a_newer_node_of_nothing(
    newer: str, evidence: tuple[Logbook, Path], tmp_path: Path
) -> None:
    """A well-formed ML-DSA-44 line by another key, under the true key's id: as if Ed25519 had been broken."""
    book, path = evidence
    log, value = book.on.log, json.loads(path.read_bytes())
    size, root = read_checkpoint_text(split_note(value["checkpoint"])[0])[1:]
    mixed = LogSigner(log.origin, signer("somebody with another ML-DSA key"))
    theirs = sign_checkpoint(size, root, mixed, book.now).splitlines()[-1]
    mine = value["checkpoint"].splitlines()[-1]
    raw = [base64.b64decode(line.split(" ")[2]) for line in (mine, theirs)]
    line = f"{mine.rpartition(' ')[0]} {base64.b64encode(raw[0][:4] + raw[1][4:]).decode()}"
    (tmp_path / "e.json").write_bytes(write_json(value | {"checkpoint": value["checkpoint"].replace(mine, line)}))
    done = verify(newer, tmp_path / "e.json", book.on.fed)
    assert (done.returncode, done.stderr) == (1, "refused: an ML-DSA-44 signature does not verify\n")


# --- beside ours -----------------------------------------------------------------------------------------------------


def both_judge(node: str, seeds: range, folder: Path) -> list[tuple[frozenset[str], str]]:
    """Evidence about messages of random histories: which errors we find in it, and with what words it is refused."""
    asked, ours = [], []
    for seed in seeds:
        book = History(seed).written()
        files = book.export()
        log = examine_export(files.get, fed=book.on.fed, now=book.now)
        decided = (*log.report.disclosures, *log.report.denials)
        for place, one in enumerate(decided[:12]):
            path = folder / f"{seed}-{place}.json"
            path.write_bytes(write_evidence(files.get, log, [one.entry.msg]))
            report = verify_evidence(path.read_bytes(), fed=book.on.fed, now=book.now).report
            ours.append(frozenset(found.code for found in report.findings if found.severity == "error"))
            asked.append({"file": str(path), "fed": book.on.fed, "at": stamp(book.now)})
    return list(zip(ours, run(node, MANY, given=asked), strict=True))


def judge_alike(node: str, seeds: range, folder: Path) -> None:
    judged = both_judge(node, seeds, folder)
    for ours, theirs in judged:
        assert not theirs or ours, f"refused though nothing is wrong: {theirs}"
        assert theirs or ours <= LEFT_OUT, f"believed: {ours}"
    assert any(theirs for _, theirs in judged)
    assert any(not ours for ours, _ in judged)


@pytest.mark.spec("LOG-75", "LOG-76")
def test_it_believes_nothing_that_ours_does_not_but_for_what_it_leaves_out(node: str, tmp_path: Path) -> None:
    judge_alike(node, range(3), tmp_path)


@pytest.mark.slow
@pytest.mark.spec("LOG-75", "LOG-76", "LOG-77")
def test_a_newer_node_and_ours_agree_about_many_histories(newer: str, tmp_path: Path) -> None:
    judge_alike(newer, range(100, 112), tmp_path)


@pytest.mark.spec("LOG-98")
def test_a_head_of_a_ledger_in_the_file_is_not_judged(
    node: str, evidence: tuple[Logbook, Path], tmp_path: Path
) -> None:
    book, path = evidence
    value, place = json.loads(path.read_bytes()), len(book.entries) - 1
    assert b'"typ":"node-head"' in book.entries[place]
    proof = [b64u(one) for one in book.tree().inclusion(place)]
    value["entries"].append({"index": place, "entry": book.entries[place].decode(), "proof": proof})
    (tmp_path / "e.json").write_bytes(write_json(value))
    assert verify(node, tmp_path / "e.json", book.on.fed).returncode in (0, 4)
    assert verify_evidence((tmp_path / "e.json").read_bytes(), fed=book.on.fed, now=book.now).holds


def second_halves(data: bytes) -> list[range]:
    """Where the ML-DSA-44 signatures stand: of statements, and of the checkpoint with its time."""
    statement = (SECOND_HALF * 8 + 5) // 6
    line = -(-(4 + 8 + SECOND_HALF) // 3) * 4
    runs = re.finditer(rb"[A-Za-z0-9_+/-]{200,}=*", data)
    return [range(*found.span()) for found in runs if len(found[0]) in (statement, line)]

"""Our proofs convince verifiers that nobody here wrote: Sigstore's, and Noble's ML-DSA-44.

Needs Node.js and npm, and the packages named in ``package.json``, pinned by hash in ``package-lock.json``. They are
installed once, under ``build/`` of this checkout; where that cannot be done the tests are skipped, saying why.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exchange.protocol.log import LogSigner, sign_checkpoint, tlog_proof, verify_tlog_proof, vkeys
from exchange.protocol.merkle import Tree, leaf_hash
from keys.errors import Refusal
from tests.vectors.stage import signer

HERE = Path(__file__).resolve().parent
INSTALLED = HERE.parent.parent / "build" / "foreign"
NOW = datetime(2026, 11, 21, 16, 20, tzinfo=UTC)
LOG = LogSigner("log.foreign.sim/ix", signer("foreign log"))
ENTRIES = [f"entry number {i}".encode() for i in range(700)]


@pytest.fixture(scope="module")
def modules() -> Path:
    """Where the packages are; the first test of all to need them installs them."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("Node.js or npm is not installed, so no verifier of others can be run")
    lock = (HERE / "package-lock.json").read_bytes()
    place = INSTALLED / hashlib.sha256(lock).hexdigest()[:16]
    if not place.is_dir():
        _install(npm, place)
    return place / "node_modules"


def _install(npm: str, place: Path) -> None:
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=INSTALLED) as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(HERE / name, Path(folder) / name)
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        try:
            done = subprocess.run(
                [npm, "ci", *quiet], cwd=folder, capture_output=True, text=True, timeout=180, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.skip("the packages could not be had: npm did not answer in time")
        if done.returncode:
            pytest.skip(f"the packages could not be had: {(done.stderr.strip().splitlines() or ['npm failed'])[-1]}")
        try:
            Path(folder).rename(place)
        except OSError:
            return  # another test process was quicker
        Path(folder).mkdir()  # for the context manager to remove


@dataclass(frozen=True)
class Verdict:
    """What the verifiers said."""

    ok: bool
    said: Any


@pytest.fixture
def judge(modules: Path) -> Any:
    def verify(proof: str, entry: bytes, *, keys: tuple[str, str] = vkeys(LOG.identity), **more: Any) -> Verdict:
        asked = {
            "modules": str(modules),
            "vkeys": keys,
            "proof": proof,
            "entry": base64.b64encode(entry).decode(),
            **more,
        }
        node = shutil.which("node") or "node"
        done = subprocess.run(
            [node, str(HERE / "verify_log.mjs")],
            input=json.dumps(asked), capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        return Verdict(done.returncode == 0, json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip())

    return verify


def prove(index: int, size: int) -> str:
    tree = Tree()
    tree.append([leaf_hash(entry) for entry in ENTRIES[:size]])
    return tlog_proof(index, tree.inclusion(index), sign_checkpoint(size, tree.root(), LOG, NOW))


@pytest.mark.spec("LOG-1", "LOG-5", "LOG-16", "LOG-17", "LOG-22", "LOG-23")
@pytest.mark.parametrize(("index", "size"), [(0, 1), (4, 7), (255, 256), (256, 257), (130, 700), (699, 700)])
def test_others_verify_our_checkpoint_in_both_algorithms_and_our_inclusion_proof(
    judge: Any, index: int, size: int
) -> None:
    verdict = judge(prove(index, size), ENTRIES[index])
    assert verdict.ok, verdict.said
    assert (verdict.said["origin"], verdict.said["index"], verdict.said["size"]) == (LOG.origin, index, size)
    assert verdict.said["time"] == int(NOW.timestamp())


def test_others_refuse_what_we_refuse(judge: Any) -> None:
    """LOG-6, LOG-20: or the test above would prove nothing."""
    proof = prove(130, 700)
    another = LogSigner(LOG.origin, signer("another foreign log")).identity
    ours, theirs = vkeys(LOG.identity), vkeys(another)
    for verdict, reason in (
        (judge(proof, ENTRIES[131]), "root hash does not match"),
        (judge(proof.replace("index 130", "index 131"), ENTRIES[130]), "root hash does not match"),
        (judge(proof.replace("\n700\n", "\n699\n"), ENTRIES[130]), "invalid checkpoint signature"),
        (judge(proof, ENTRIES[130], keys=(theirs[0], ours[1])), "invalid checkpoint signature"),
        (judge(proof, ENTRIES[130], keys=(ours[0], theirs[1])), "no ML-DSA-44 line"),
    ):
        assert not verdict.ok
        assert reason in verdict.said


def change(text: str, place: int, bit: int) -> bytes:
    data = bytearray(text.encode())
    data[place] ^= 1 << bit
    return bytes(data)


def lenient(coded: bytes) -> bytes:
    """What a reader makes of base64 that minds neither padding, nor unused bits, nor what is no base64 at all."""
    kept = re.sub(rb"[^A-Za-z0-9+/]", b"", coded)
    return base64.b64decode(kept[: len(kept) - (len(kept) % 4 == 1)] + b"==")


def says_the_same(proof: str, place: int, bit: int) -> bool:
    """Whether the change leaves what is said as it is, only spelt otherwise, for such a reader."""
    lines, changed = proof.encode().split(b"\n"), change(proof, place, bit).split(b"\n")
    if len(lines) != len(changed):
        return place == len(proof.encode()) - 1  # the line feed at the very end
    ((old, new),) = [(one, other) for one, other in zip(lines, changed, strict=True) if one != other]
    name, _, coded = old.rpartition(b" ")
    return new.startswith(name) and lenient(coded) == lenient(new[len(name) :])


def sweep(judge: Any, step: int) -> None:
    """Flip bits of a proof, checkpoint included, and of its entry; every one is found, by them or else by us."""
    proof, entry = prove(130, 700), ENTRIES[130]
    places = [(place, place // step % 8) for place in range(0, len(proof.encode()), step)]
    swept = judge(proof, entry, flips=places, of="proof")
    assert swept.ok, swept.said
    assert swept.said["tried"] == len(places)
    for place, bit in swept.said["missed"]:
        assert says_the_same(proof, place, bit), (place, bit)
        with pytest.raises((Refusal, UnicodeDecodeError)):
            verify_tlog_proof(change(proof, place, bit).decode(), entry, LOG.identity)
    bits = [(place, bit) for place in range(len(entry)) for bit in range(8)]
    swept = judge(proof, entry, flips=bits[::step], of="entry")
    assert swept.ok, swept.said
    assert swept.said["missed"] == []


@pytest.mark.spec("LOG-83")
def test_others_find_changed_bytes_of_a_proof_and_its_checkpoint(judge: Any) -> None:
    sweep(judge, 17)


@pytest.mark.slow
@pytest.mark.spec("LOG-83")
def test_others_find_every_changed_byte_of_a_proof_and_its_checkpoint(judge: Any) -> None:
    """But for bits that base64 leaves unused and that they do not look at: ours refuses those as well."""
    sweep(judge, 1)

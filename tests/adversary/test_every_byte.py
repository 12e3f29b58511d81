"""No byte of an export or of a proof can be changed without the verifier saying so (LOG-83).

Every file of the exported log of the test vectors, tiles, bundle, checkpoint, directory, agreements, notices, acts and
receipt batches; each time one bit of one byte is another, and the whole audit runs. All eight bits are tried wherever a
byte is not deep inside a run of base64, where one bit says what the others would.

Always: some of every file. Marked slow: more of them, and with ``SWEEP=all`` all (half an hour of computing; a file is
a test, so that several processes share it). A signature over the same bytes by the same key is verified once.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from exchange.audit.export import verify_export
from exchange.protocol.errors import AuditImpossible
from exchange.protocol.log import parse_bundle, tlog_proof, verify_tlog_proof
from exchange.protocol.merkle import Tree, leaf_hash
from keys.errors import Refusal, SignatureInvalid
from keys.signing import PublicKey
from keys.trust import Directory

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "log"
EXPECTED: dict[str, Any] = json.loads((VECTORS / "expected.json").read_text(encoding="utf-8"))
FILES = {
    path.relative_to(VECTORS / "export").as_posix(): path.read_bytes()
    for path in sorted((VECTORS / "export").rglob("*"))
    if path.is_file()
}
NOW = datetime(2026, 11, 22, tzinfo=UTC)
RUN = re.compile(rb"[A-Za-z0-9+/_-]{40,}")
EDGE = 6
"""Characters at either end of a run of base64 of which all eight bits are tried."""


@pytest.fixture(autouse=True)
def verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember every signature's verdict; the sweep asks for the same ones again and again."""
    plainly = PublicKey.verify

    @cache
    def verdict(key: PublicKey, signature: bytes, data: bytes) -> SignatureInvalid | None:
        try:
            plainly(key, signature, data)
        except SignatureInvalid as wrong:
            return wrong
        return None

    def verify(key: PublicKey, signature: bytes, data: bytes) -> None:
        wrong = verdict(key, signature, data)
        if wrong is not None:
            raise wrong

    monkeypatch.setattr(PublicKey, "verify", verify)


def flips(data: bytes) -> list[tuple[int, int]]:
    """Every byte's place with a bit: one of each byte deep inside a run of base64, all eight of every other."""
    deep = set[int]()
    for run in RUN.finditer(data):
        deep.update(range(run.start() + EDGE, run.end() - EDGE))
    binary = not RUN.search(data)  # a tile: hashes, of which a bit is a bit
    return [
        (place, bit) for place in range(len(data)) for bit in ([place * 5 % 7] if place in deep or binary else range(8))
    ]


def flipped(data: bytes, place: int, bit: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def every(data: bytes, step: int) -> Iterator[tuple[int, int, bytes]]:
    for place, bit in flips(data)[::step]:
        yield place, bit, flipped(data, place, bit)


def unnoticed(path: str, data: bytes) -> bool:
    try:
        return verify_export({**FILES, path: data}.get, fed=EXPECTED["fed"], now=NOW).clean
    except AuditImpossible:
        return False


def sweep(path: str, step: int) -> list[str]:
    """Which changes of a file the audit did not notice."""
    return [
        f"{path}: bit {bit} of byte {place}" for place, bit, data in every(FILES[path], step) if unnoticed(path, data)
    ]


def test_the_export_is_clean_as_it_is() -> None:
    assert verify_export(FILES.get, fed=EXPECTED["fed"], now=NOW).findings == ()
    assert {path.partition("/")[0] for path in FILES} == {
        "checkpoint", "trust.json", "tile", "agreements", "notices", "acts", "receipts", "heads",
    }  # fmt: skip


@pytest.mark.spec("LOG-83")
@pytest.mark.parametrize("path", FILES)
def test_a_changed_byte_of_any_file_is_found(path: str) -> None:
    assert sweep(path, max(1, len(flips(FILES[path])) // 25)) == []


@pytest.mark.slow
@pytest.mark.spec("LOG-83")
@pytest.mark.parametrize("path", FILES)
def test_every_changed_byte_of_any_file_is_found(path: str) -> None:
    assert sweep(path, 1 if os.environ.get("SWEEP") == "all" else max(1, len(flips(FILES[path])) // 150)) == []


@pytest.mark.spec("LOG-83", "LOG-20", "LOG-24", "LOG-26")
def test_a_changed_byte_of_a_proof_or_its_entry_is_refused() -> None:
    log = Directory.from_bytes(FILES["trust.json"], fed=EXPECTED["fed"], now=NOW).root.log
    (path,) = (path for path in FILES if path.startswith("tile/entries/"))
    entries = parse_bundle(FILES[path], int(path.rpartition("/")[2]))
    tree = Tree()
    tree.append(map(leaf_hash, entries))
    proof = tlog_proof(7, tree.inclusion(7), FILES["checkpoint"].decode())
    assert verify_tlog_proof(proof, entries[7], log)[0] == 7

    def believed(changed: bytes, entry: bytes) -> bool:
        try:
            verify_tlog_proof(changed.decode(), entry, log)
        except (Refusal, UnicodeDecodeError):
            return False
        return True

    assert [(place, bit) for place, bit, data in every(proof.encode(), 1) if believed(data, entries[7])] == []
    assert [(place, bit) for place, bit, data in every(entries[7], 1) if believed(proof.encode(), data)] == []

"""The committed export reads today as it did when it was made: a change of format cannot pass unseen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exchange.audit.export import verify_export
from exchange.protocol.log import vkeys
from exchange.protocol.merkle import Tree, leaf_hash, tile_path, tiles, verify_consistency, verify_inclusion
from keys.encoding import b64u, instant, unb64u
from tests.vectors.make_log import apply
from tests.vectors.stage import stage

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "log"
EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
TREE: dict[str, Any] = json.loads((FOLDER / "tree.json").read_text(encoding="utf-8"))


def export(name: str) -> dict[str, bytes]:
    folder = FOLDER / name
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


FILES = export("export")


def audit(files: dict[str, bytes]) -> Any:
    return verify_export(files.get, fed=EXPECTED["fed"], now=instant(EXPECTED["now"]))


@pytest.mark.spec("LOG-30", "LOG-42", "LOG-50", "LOG-51")
def test_the_committed_export_audits_as_it_did() -> None:
    assert audit(FILES).to_json() == EXPECTED["report"]
    assert EXPECTED["vkeys"] == list(vkeys(stage().log.identity))


@pytest.mark.spec("LOG-46", "LOG-47", "LOG-48", "LOG-51", "ACT-6", "ACT-20")
def test_the_lies_of_the_other_export_are_found_as_they_were() -> None:
    told = EXPECTED["lies"]
    report = verify_export(export("lies").get, fed=EXPECTED["fed"], now=instant(told["now"]))
    assert report.to_json() == told["report"]
    assert len({finding.code for finding in report.findings}) == 11


@pytest.mark.spec("LOG-52")
@pytest.mark.parametrize("edit", EXPECTED["edits"], ids=lambda edit: edit["findings"][0][0])
def test_each_edit_is_found_as_it_was(edit: dict[str, Any]) -> None:
    found = audit(apply(FILES, edit)).findings
    assert [[finding.code, finding.index] for finding in found] == edit["findings"]


@pytest.fixture(scope="module")
def grown() -> Tree:
    stored: dict[tuple[int, int], bytes] = {}
    tree = Tree(lambda level, n: stored[level, n])
    most = max(map(int, TREE["roots"]))
    for row in tree.append([leaf_hash(f"entry {i}".encode()) for i in range(most)]):
        stored[row.level, row.index] = row.hashes
    return tree


@pytest.mark.spec("LOG-1", "LOG-2", "LOG-5", "LOG-7", "LOG-12")
def test_roots_and_proofs_are_those_that_were_written_down(grown: Tree) -> None:
    assert {size: b64u(grown.root(int(size))) for size in TREE["roots"]} == TREE["roots"]
    for size, paths in TREE["edge"].items():
        assert [tile_path(*one) for one in tiles(int(size)) if one[2] < 256] == paths
    for one in TREE["inclusion"]:
        proof = [unb64u(item) for item in one["proof"]]
        assert list(grown.inclusion(one["index"], one["size"])) == proof
        leaf = leaf_hash(f"entry {one['index']}".encode())
        verify_inclusion(leaf, one["index"], one["size"], proof, grown.root(one["size"]))
    for one in TREE["consistency"]:
        proof = [unb64u(item) for item in one["proof"]]
        assert list(grown.consistency(one["old"], one["size"])) == proof
        verify_consistency(one["old"], grown.root(one["old"]), one["size"], grown.root(one["size"]), proof)

"""``ix node ledger`` in front of a node over real HTTP: a folder that others can check (NODE-193)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agencies.commands_ledger import _FILE
from exchange.audit.tree import audit_tree
from exchange.protocol.ledger_head import verify_head
from tests.agencies.node.tree import A
from tests.agencies.town import Town

WHY = ("--code", "supervision", "--why", "the yearly inspection of what was looked up")


@pytest.mark.spec("NODE-193")
def test_an_auditor_takes_a_ledger_out_and_it_says_so(town: Town, tmp_path: Path) -> None:
    found = town.ix(A, "node", "ledger", "--out", str(tmp_path / "out"), *WHY, officer="audit")
    assert found.exit_code == 0, found.output
    trust = town.nodes[A].office.trust
    note = (tmp_path / "out" / "checkpoint").read_text()
    head = verify_head(note, A, trust.directory, trust.log.origin, town.world.clock())
    assert audit_tree(lambda path: (tmp_path / "out" / path).read_bytes(), head.size, head.root).findings == []
    assert found.stdout.startswith(f"{head.size} acts, root ")
    (bundle,) = (tmp_path / "out" / "tile" / "entries").rglob("*.p/*")
    assert json.loads(bundle.read_bytes()[bundle.read_bytes().rindex(b'{"v"') :])["act"] == "log_query"
    again = town.ix(A, "node", "ledger", "--out", str(tmp_path / "out"), *WHY, officer="audit")
    assert (again.exit_code, "is not empty" in again.output) == (2, True)


@pytest.mark.spec("NODE-13", "NODE-14")
def test_nobody_else_takes_one_out_nor_without_a_reason(town: Town, tmp_path: Path) -> None:
    found = town.ix(A, "node", "ledger", "--out", str(tmp_path / "out"), *WHY, officer="chief")
    assert (found.exit_code, found.stderr.split(":")[0]) == (1, "role_missing")
    found = town.ix(A, "node", "ledger", "--out", str(tmp_path / "out"), *WHY[:3], "because", officer="audit")
    assert (found.exit_code, found.stderr.split(":")[0]) == (1, "justification_refused")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("checkpoint", True), ("tile/0/000.p/3", True), ("tile/entries/x001/234", True), ("tile/10/000", True),
        (f"proofs/{'a' * 43}.json", True), ("../checkpoint", False), ("/checkpoint", False), ("tile/0/../../x", False),
        ("proofs/../x.json", False), ("tile/0/000/x", False), ("checkpoint\n", False), ("", False),
        ("keys.json", False),
    ],
)  # fmt: skip
def test_a_node_cannot_name_files_elsewhere(path: str, good: Any) -> None:
    assert bool(_FILE.fullmatch(path)) is good

"""A node's exported ledger is a log like any other: what others wrote for transparency logs verifies it as it is."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agencies.node.ledger import LedgerAct, justify
from exchange.protocol.ledger_head import ledger_origin
from exchange.protocol.log import vkeys
from exchange.protocol.vocabulary import Act
from exercises.world import World, WorldNode
from keys.trust import LogIdentity
from tests.foreign.test_aics_tlog import HERE, interpreter
from tests.foreign.test_gosumdb import judge

__all__ = ["interpreter", "judge"]
NORTH = "north.police.sim"
WHY = justify("supervision", "the yearly inspection of what was looked up")


Made = tuple[Path, str, WorldNode]


def exported(node: WorldNode, folder: Path) -> Made:
    """The folder of a node's ledger, the verifier key of its Ed25519 line, and the node."""
    office = node.service.office
    for path, data in node.service.export_ledger(node.officer("auditor"), WHY).files:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    public = office.identity.signer.public
    identity = LogIdentity(ledger_origin(office.trust.log.origin, NORTH), public.ed25519, public.mldsa44)
    return folder, vkeys(identity)[0], node


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with World(tmp_path_factory.mktemp("world"), [NORTH], agreements=()) as world:
        world.node(NORTH).service.office.record_alone(LedgerAct(Act.CONSULT, "np-duty-1", WHY))
        yield exported(world.node(NORTH), tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def ledger(small: Made, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Of some 300 acts, so that there is a full tile."""
    node = small[2]
    acts = [LedgerAct(Act.CONSULT, "np-duty-1", WHY, outcome=f"look {n}") for n in range(300)]
    node.service.office.record_alone(*acts)
    return exported(node, tmp_path_factory.mktemp("ledger"))


def root_of(folder: Path) -> tuple[str, int, str]:
    origin, size, root = (folder / "checkpoint").read_text().split("\n")[:3]
    return origin, int(size), root


@pytest.mark.spec("NODE-190", "NODE-193", "LOG-80")
def test_go_verifies_checkpoint_tiles_and_acts_of_a_ledger(judge: Any, ledger: Made) -> None:
    folder, vkey, _ = ledger
    origin, size, root = root_of(folder)
    assert (origin.endswith(f"/ledger/{NORTH}"), size) == (True, 303)
    assert judge("log", folder, vkey=vkey) == {"origin": origin, "size": size, "root": root}


@pytest.mark.spec("NODE-193")
def test_go_finds_every_changed_byte_of_an_exported_ledger(judge: Any, small: Made) -> None:
    folder, vkey, _ = small
    said = judge("sweep", folder, vkey=vkey)
    size = sum(path.stat().st_size for path in (folder / "tile").rglob("*") if path.is_file())
    assert said == {"files": 2, "bytes": size, "detected": size, "missed": []}


@pytest.mark.spec("NODE-193")
def test_aics_tlog_verifies_every_act_of_a_ledger_and_that_it_grew(interpreter: Path, ledger: Made) -> None:
    folder, vkey, node = ledger
    size = root_of(folder)[1]
    with node.store.reading() as books:
        tree = node.service.book.verify(books)
    proof = [base64.b64encode(one).decode() for one in tree.consistency(7)]
    old = [7, base64.b64encode(tree.root(7)).decode(), proof]
    asked = {"folder": str(folder), "log": vkey, "witnesses": [], "quorum": 0, "old": old}
    done = subprocess.run(
        [interpreter, HERE / "judge_aics.py"], input=json.dumps(asked), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["ok"], said["size"], said["root"], said["included"], said["grown"]) == (True, size, True, size, True)

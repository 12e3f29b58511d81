"""A node that witnesses, over HTTP: statuses, bodies and types of tlog-witness; what it keeps."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agencies.node.app import create_app
from agencies.node.errors import LogForked
from agencies.node.profile import MIN_COST, new_officer, new_profile
from agencies.node.rounds import Rounds
from agencies.node.routes_witness import BURST
from agencies.node.settings import Settings
from agencies.node.witnessing import Witnessing
from exchange.protocol.cosignature import Cosigner, verify_line
from exchange.protocol.errors import LogInconsistent, WitnessAhead
from exchange.protocol.log import LogSigner, sign_checkpoint, split_note, verify_checkpoint, verify_growth
from exchange.protocol.merkle import Tree, leaf_hash
from exchange.protocol.witnessing import Submission
from exercises.federation import ORIGIN
from exercises.world import BROKER_HOST, World, WorldNode
from keys.encoding import unb64u
from keys.signing import Signer
from tests.agencies.node.conftest import NORTH, REQUEST, SOUTH

WITNESS = Cosigner(f"{NORTH}/witness", Signer.generate())
NAME = hashlib.sha256(ORIGIN.encode()).hexdigest()


def grown(*leaves: bytes) -> Tree:
    tree = Tree()
    tree.append([leaf_hash(leaf) for leaf in leaves])
    return tree


TREE = grown(*[b"entry %d" % n for n in range(300)])
OTHER = grown(*[b"other %d" % n for n in range(300)])


class Asked:
    """The log's keys, and a node to be asked over HTTP."""

    def __init__(self, world: World, line: Any, app: Any) -> None:
        self.log = LogSigner(ORIGIN, world.federation.broker.log)
        self.line, self.office, self.clock, self.app = line, app.state.node.office, world.clock, app

    def head(self, size: int, tree: Tree = TREE) -> str:
        return sign_checkpoint(size, tree.root(size), self.log, self.clock())

    def step(self, old: int, size: int, tree: Tree = TREE) -> bytes:
        return Submission(old, tree.consistency(old, size) if old else (), self.head(size, tree)).to_bytes()

    def post(self, body: bytes) -> Any:
        return self.line.request("POST", "/witness/add-checkpoint", content=body)

    def kept(self) -> Any:
        return self.line.request("GET", f"/witness/{NAME}/checkpoint")

    def evidence(self, kind: str) -> list[Any]:
        with self.office.store.reading() as books:
            return list(books.rows("evidence", kind=kind))


def serve(world: World, folder: Path, witness: Cosigner | None) -> Iterator[Asked]:
    settings = Settings(
        database=folder / "served.db", fed=world.federation.fed, trust=world.federation.directory.to_bytes(),
        identity=world.federation.identities[NORTH],
        profile=new_profile(NORTH, [new_officer("duty", "a boat in the harbour", ["officer"], cost=MIN_COST)]),
        broker=f"http://{BROKER_HOST}", background=False, witness=witness,
    )  # fmt: skip
    app = create_app(settings, clock=world.clock, http=world.client(NORTH))
    world.wire.attach("node.sim", app)
    line = world.wire.client("log", "http://node.sim")
    yield Asked(world, line, app)
    line.close()
    world.wire.detach("node.sim")  # which ends the app, and the node with it


@pytest.fixture
def node(world: World, tmp_path: Path) -> Iterator[Asked]:
    yield from serve(world, tmp_path, WITNESS)


@pytest.mark.spec("WIT-31")
@pytest.mark.spec("WIT-33")
def test_what_only_grows_is_cosigned_and_shown_to_everybody(node: Asked) -> None:
    assert node.kept().status_code == 404
    for old, size in ((0, 1), (1, 1), (1, 255), (255, 300)):
        answer = node.post(node.step(old, size))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
        assert [verify_line(node.head(size) + answer.text, key) for key in WITNESS.keys] == [node.clock()] * 2
        shown = node.kept()
        assert shown.status_code == 200
        assert verify_checkpoint(shown.text, node.log.identity).size == size
        assert len(split_note(shown.text)[1]) == 4
        assert shown.text.endswith(answer.text)
    assert node.line.request("GET", f"/witness/{NAME.upper()}/checkpoint").status_code == 404
    assert node.line.request("GET", f"/witness/{'0' * 64}/checkpoint").status_code == 404


@pytest.mark.spec("WIT-12")
def test_another_old_size_is_told_the_one_that_is_known(node: Asked) -> None:
    assert node.post(node.step(0, 7)).status_code == 200
    for old in (0, 6):
        answer = node.post(node.step(old, 8))
        assert (answer.status_code, answer.headers["content-type"], answer.content) == (409, "text/x.tlog.size", b"7\n")
    assert node.evidence("witness_forked") == node.evidence("growth_unproven") == []


@pytest.mark.spec("WIT-10")
@pytest.mark.spec("WIT-11")
def test_each_refusal_has_the_status_of_tlog_witness(node: Asked) -> None:
    stranger = LogSigner("other.sim/log", Signer.generate())
    forger = LogSigner(ORIGIN, Signer.generate())
    unknown = Submission(0, (), sign_checkpoint(7, TREE.root(7), stranger, node.clock())).to_bytes()
    forged = Submission(0, (), sign_checkpoint(7, TREE.root(7), forger, node.clock())).to_bytes()
    for status, code, body in (
        (400, "witness_request_malformed", b"hello"),
        (400, "witness_request_malformed", Submission(9, (), node.head(7)).to_bytes()),
        (404, "origin_unknown", unknown),
        (403, "checkpoint_invalid", forged),
        (422, "log_inconsistent", Submission(0, (bytes(32),), node.head(7)).to_bytes()),
        (422, "log_inconsistent", Submission(0, (), sign_checkpoint(0, bytes(32), node.log, node.clock())).to_bytes()),
        (413, "too_large", b"x" * 200_000),
    ):  # fmt: skip
        answer = node.post(body)
        assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (status, code, status)
        assert answer.headers["content-type"] == "application/problem+json"
    assert node.kept().status_code == 404
    assert len(node.evidence("witness_forked")) == 1  # a log that signs a root for nothing needs nobody else's word


@pytest.mark.spec("WIT-34")
def test_a_second_log_is_kept_with_both_notes_and_a_bad_proof_is_not_called_one(node: Asked) -> None:
    assert node.post(node.step(0, 200)).status_code == 200
    first = node.kept().text
    stray = node.post(Submission(200, OTHER.consistency(200, 300), node.head(300)).to_bytes())
    assert stray.status_code == 422
    (unproven,) = node.evidence("growth_unproven")
    assert node.evidence("witness_forked") == []
    assert "300" in unproven.detail
    for old, status in ((200, 422), (150, 409)):
        assert node.post(Submission(old, (), node.head(200, OTHER)).to_bytes()).status_code == status
    kept = [json.loads(row.detail) for row in node.evidence("witness_forked")]
    for one in kept:
        older, newer = (verify_checkpoint(one[name], node.log.identity) for name in ("older", "newer"))
        assert (older.size, newer.size, older.root == newer.root) == (200, 200, False)
        assert one["older"] == first
    assert node.kept().text == first


@pytest.mark.spec("WIT-32")
def test_of_many_at_once_one_line_of_growth_is_cosigned(node: Asked) -> None:
    witnessing = Witnessing(node.office, WITNESS)
    witnessing.add(node.step(0, 10))
    outcomes: list[Any] = []

    def ask(tree: Tree, size: int) -> None:
        body = Submission(10, TREE.consistency(10, size), node.head(size, tree)).to_bytes()
        try:
            outcomes.append((size, Witnessing(node.office, WITNESS).add(body)))
        except WitnessAhead as ahead:
            outcomes.append(ahead.size)

    threads = [threading.Thread(target=ask, args=(TREE, size)) for size in range(11, 27)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [one for one in outcomes if isinstance(one, tuple)]
    assert len(outcomes) == 16
    assert len(won) == 1
    assert {one for one in outcomes if isinstance(one, int)} == {won[0][0]}


@pytest.mark.spec("WIT-31")
def test_an_address_that_asks_too_often_is_told_to_wait(node: Asked) -> None:
    statuses = [node.post(b"hello").status_code for _ in range(int(BURST) + 20)]
    assert statuses[: int(BURST)] == [400] * int(BURST)
    assert 429 in statuses
    assert node.kept().status_code == 404


@pytest.mark.spec("WIT-30")
def test_a_node_without_a_witness_s_keys_is_none(world: World, tmp_path: Path) -> None:
    for node in serve(world, tmp_path, None):
        assert node.post(node.step(0, 7)).status_code == 404
        assert node.kept().json()["code"] == "not_found"


@pytest.mark.spec("WIT-35")
def test_another_log_for_witnesses_than_for_members_is_found_at_the_next_look(
    world: World, node: Asked, north: WorldNode, south: WorldNode
) -> None:
    """The evidence speaks for itself: both notes are the log's, and no proof can join them."""
    for _ in range(3):
        north.send(REQUEST, SOUTH)
    served, watch = node.app.state.node, node.app.state.node.watch
    witnessing = Witnessing(served.office, WITNESS)
    witnessing.compare(watch)  # nothing was cosigned yet
    honest = served.office.broker.checkpoint()
    assert node.post(Submission(0, (), honest).to_bytes()).status_code == 200
    watch.look()
    witnessing.compare(watch)
    assert node.evidence("log_forked") == []
    size = verify_checkpoint(honest, node.log.identity).size
    with node.office.store.writing() as books:  # a node that was only ever shown the other log
        other = node.head(size - 1, OTHER)
        row = {"origin": ORIGIN, "size": size - 1, "root": OTHER.root(size - 1), "note": other}
        books.put("witnessed", [row])
    with pytest.raises(LogForked):
        witnessing.compare(watch)
    (kept,) = [json.loads(row.detail) for row in node.evidence("log_forked")]
    older, newer = (verify_checkpoint(kept[name], node.log.identity) for name in ("older", "newer"))
    assert (older.size, newer.size) == (size - 1, size)
    assert older.root == OTHER.root(size - 1)
    with pytest.raises(LogInconsistent):
        verify_growth(kept["older"], kept["newer"], [unb64u(one) for one in kept["proof"]], node.log.identity)
    rounds = Rounds(served, wait=0, every=0.05, refresh=1, also=lambda: witnessing.compare(watch))
    with pytest.raises(LogForked):
        rounds._send(rounds._refresh_rounds - 1)

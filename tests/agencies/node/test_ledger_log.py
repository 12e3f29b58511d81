"""The ledger as a log: one tree whoever wrote, nothing changed or cut off unseen, files for any verifier (NODE-190)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from agencies.node.errors import LedgerBroken, RoleMissing
from agencies.node.ledger import LedgerAct
from agencies.node.ledger_log import CHAIN, LedgerLog
from agencies.node.office import Office
from agencies.node.store import Store
from exchange.audit.ledger_book import Believed, read_ledger
from exchange.audit.tree import audit_tree
from exchange.broker import jobs_heads
from exchange.protocol.ledger_head import ledger_origin, verify_head
from exchange.protocol.log import Checkpoint, parse_bundle, verify_tlog_proof
from exchange.protocol.merkle import EMPTY_ROOT, entries_path, leaf_hash, root
from exchange.protocol.vocabulary import Act
from exercises.world import World, WorldNode
from keys.encoding import digest, read_json, stamp, unb64u, write_json
from keys.errors import Refusal
from keys.signing import parse_statement
from tests.agencies.node.conftest import NORTH, REQUEST, SOUTH, WHY
from tests.agencies.node.old_books import as_schema_5

Change = Callable[[sqlite3.Connection], object]


def written(node: WorldNode, count: int) -> Office:
    """So many more acts in a node's ledger."""
    office = node.service.office
    office.record_alone(*[LedgerAct(Act.CONSULT, "np-duty-1", WHY, outcome=f"look {n}") for n in range(count)])
    return office


def bodies(node: WorldNode) -> list[bytes]:
    with node.store.reading() as books:
        return [row.body for row in books.rows("ledger")]


def plain(node: WorldNode) -> sqlite3.Connection:
    """A node's books, in the hands of somebody who has the file and not the keys."""
    return sqlite3.connect(node.world.home / f"{node.id}.db", isolation_level=None)


def exported(node: WorldNode) -> dict[str, bytes]:
    return dict(node.service.export_ledger(node.officer("auditor"), WHY).files)


def judge(node: WorldNode, files: dict[str, bytes]) -> list[str]:
    """What a stranger finds wrong with the tree of an export: nothing but files, the directory and the log's name."""
    trust = node.service.office.trust
    try:
        note = files["checkpoint"].decode()
        head = verify_head(note, node.id, trust.directory, trust.log.origin, node.world.clock())
    except (Refusal, UnicodeDecodeError) as refusal:
        return [str(refusal)]
    return [found.sentence for found in audit_tree(files.get, head.size, head.root).findings]


# -- the tree ---------------------------------------------------------------------------------------------


@pytest.mark.spec("NODE-190")
def test_the_acts_are_the_leaves_of_one_tree_whichever_process_wrote_them(world: World, north: WorldNode) -> None:
    log, other = north.service.book, LedgerLog(north.service.office)
    with north.store.reading() as books:
        assert log.edge(books) == (0, EMPTY_ROOT)
    for count in (1, 2, 300):
        written(north, count)
        again = Store(world.home / f"{NORTH}.db")  # another process, on the same books
        with again.writing() as books:
            north.service.office.record(books, world.clock(), LedgerAct(Act.RECEIVE))
        again.close()
        expected = len(bodies(north)), root([leaf_hash(body) for body in bodies(north)])
        with north.store.reading() as books:
            tree = log.verify(books)
            assert log.edge(books) == other.edge(books) == (tree.size, tree.root()) == expected


def test_acts_of_a_transaction_that_came_to_nothing_are_not_in_the_tree(north: WorldNode) -> None:
    office = written(north, 1)

    def fail() -> None:
        with north.store.writing() as books:
            office.record(books, office.clock(), LedgerAct(Act.OPEN))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with north.store.reading() as books:
        assert north.service.book.edge(books)[0] == 1
    written(north, 1)
    with north.store.reading() as books:
        assert north.service.book.edge(books)[1] == north.service.book.verify(books).root()


# -- what shows -------------------------------------------------------------------------------------------


@pytest.mark.spec("NODE-52", "NODE-192")
@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.execute("DELETE FROM ledger WHERE n = 3"),
        lambda c: c.execute("DELETE FROM ledger WHERE n = 5"),
        lambda c: c.execute("DELETE FROM ledger"),
        lambda c: c.execute("UPDATE ledger SET msg = 'another' WHERE n = 2"),
        lambda c: c.execute("UPDATE ledger SET body = CAST(replace(body, 'look 1', 'look 9') AS BLOB) WHERE n = 2"),
        lambda c: c.execute("UPDATE heads SET root = zeroblob(32)"),
        lambda c: c.execute("UPDATE heads SET size = 4"),
        lambda c: c.execute("UPDATE heads SET note = replace(note, char(10) || '5' || char(10), char(10) || '4')"),
        lambda c: c.execute("UPDATE heads SET note = ''"),
    ],
)
def test_what_was_changed_or_cut_off_behind_a_signed_head_stops_everything(
    world: World, north: WorldNode, change: Change
) -> None:
    written(north, 5)
    assert north.service.heads.sign().size == 5
    with plain(north) as books:
        change(books)
    books.close()
    for ask in (
        lambda: north.service.verify_ledger(),
        lambda: north.service.reconcile(),
        lambda: exported(north),
        lambda: world.restart_node(NORTH),
    ):
        with pytest.raises(LedgerBroken):
            ask()
    north.store.close()


@pytest.mark.spec("NODE-52")
def test_a_ledger_written_anew_with_its_own_keys_is_not_the_one_a_head_was_signed_of(north: WorldNode) -> None:
    """The agency itself: it has every key, and can make every seal."""
    office = written(north, 5)
    north.service.heads.sign()
    with north.store.writing() as books:
        period = office.scribe.periods.of(books, office.clock())
        anew = office.scribe.write(1, [LedgerAct(Act.CONSULT, outcome="nothing to see")], office.clock(), period)
        books.put("ledger", [asdict(one) for one in anew])
    with pytest.raises(LedgerBroken, match="first 5 acts"):
        north.service.verify_ledger()


@pytest.mark.spec("NODE-54")
def test_a_ledger_cut_off_with_its_heads_is_shorter_than_the_log_says(world: World, north: WorldNode) -> None:
    written(north, 5)
    assert north.service.heads.round() == 1
    with plain(north) as books:
        books.execute("DELETE FROM ledger WHERE n > 3")
        books.execute("DELETE FROM heads")
    books.close()
    again = world.restart_node(NORTH)  # its own books do not show it
    (found,) = [one for one in again.service.reconcile().findings if one.code == "ledger_rewritten"]
    assert (found.who, found.evidence["size"]) == (f"{NORTH} or broker", "5")


@pytest.mark.spec("NODE-54")
def test_a_ledger_written_anew_with_its_heads_is_another_one_than_the_log_says(world: World, north: WorldNode) -> None:
    written(north, 3)
    assert north.service.heads.round() == 1
    with plain(north) as books:
        for table in ("ledger", "heads"):
            books.execute(f"DELETE FROM {table}")
    books.close()
    again = world.restart_node(NORTH)
    written(again, 4)
    (found,) = [one for one in again.service.reconcile().findings if one.code == "ledger_rewritten"]
    assert (found.who, found.evidence["size"]) == (f"{NORTH} or broker", "3")


@pytest.mark.spec("NODE-54")
def test_a_head_that_the_broker_made_up_breaks_no_ledger(
    world: World, north: WorldNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one entry of its own would keep a node from ever reconciling, and would look like the node's doing."""
    office = written(north, 3)
    assert north.service.heads.round() == 1
    made_up = Checkpoint(ledger_origin(office.trust.log.origin, NORTH), 999, bytes(32), world.clock())
    monkeypatch.setattr(jobs_heads, "verify_head", lambda *_: made_up)
    office.broker.head("what north never signed")
    (found,) = north.service.reconcile().findings
    assert (found.code, found.who) == ("ledger_rewritten", f"{NORTH} or broker")
    assert found.evidence["size"] == "999"


@pytest.mark.spec("NODE-52")
def test_a_running_node_signs_no_head_of_a_ledger_that_was_cut(north: WorldNode) -> None:
    written(north, 4)
    north.service.heads.sign()
    with plain(north) as books:
        books.execute("DELETE FROM ledger WHERE n > 2")
    books.close()
    with pytest.raises(LedgerBroken):
        north.service.heads.sign()


# -- the export -------------------------------------------------------------------------------------------


def talked(north: WorldNode, south: WorldNode) -> str:
    """A message that was sent, opened and receipted."""
    message = north.send(REQUEST, SOUTH).msg
    assert message is not None
    assert south.collect() == [message]
    south.open(message)
    north.collect()
    return message


@pytest.mark.spec("NODE-193", "NODE-194")
def test_an_export_is_a_log_under_the_newest_head_with_all_that_was_given_as_proof(
    world: World, north: WorldNode, south: WorldNode
) -> None:
    message = talked(north, south)
    for node in (north, south):
        files = exported(node)
        assert judge(node, files) == []
        last = json.loads(parse_bundle(files[entries_path(0, len(bodies(node)))], len(bodies(node)))[-1])
        assert (last["act"], last["outcome"]) == ("log_query", "ledger exported")
        held = {path: json.loads(data) for path, data in files.items() if path.startswith("proofs/")}
        log = world.federation.directory.root.log
        for path, told in held.items():
            assert path == f"proofs/{told['msg']}.json"
            entry = unb64u(told["entry"])
            verify_tlog_proof(told["proof"], entry, log)
            if "manifest" in told:
                assert parse_statement(unb64u(told["manifest"])).digest == told["msg"] == json.loads(entry)["msg"]
        assert held[f"proofs/{message}.json"]["typ"] == "held-proof"
    kinds = {json.loads(unb64u(told["entry"]))["typ"] for told in map(json.loads, proofs(exported(north)))}
    assert kinds == {"disclosure", "receipt", "node-head"}


def proofs(files: dict[str, bytes]) -> Iterator[bytes]:
    return (data for path, data in files.items() if path.startswith("proofs/"))


@pytest.mark.spec("NODE-193")
def test_an_export_is_an_auditors_to_take_and_says_nothing_of_people_cases_or_content(
    north: WorldNode, south: WorldNode
) -> None:
    talked(north, south)
    with pytest.raises(RoleMissing):
        north.service.export_ledger(north.officer(), WHY)
    reference = REQUEST["case"]["reference"]
    for node in (north, south):
        told = b"".join(data + path.encode() for path, data in exported(node).items())
        told += b"".join(unb64u(v) for p in proofs(exported(node)) for v in members_of(p))
        for secret in (reference, WHY.text, *(officer.id for officer in node.officers)):
            assert secret.encode() not in told


def members_of(held: bytes) -> list[str]:
    return [v for name, v in json.loads(held).items() if name in ("entry", "manifest", "statement")]


@pytest.mark.spec("NODE-193")
def test_an_export_has_every_tile_of_a_long_ledger(north: WorldNode) -> None:
    written(north, 700)
    files = exported(north)
    assert {path for path in files if path.startswith("tile/")} == {
        "tile/0/000", "tile/0/001", "tile/0/002.p/189", "tile/1/000.p/2", "tile/entries/000", "tile/entries/001",
        "tile/entries/002.p/189",
    }  # fmt: skip
    assert judge(north, files) == []


@pytest.mark.spec("NODE-193")
def test_whichever_byte_of_an_exported_ledger_is_changed_it_shows(north: WorldNode) -> None:
    written(north, 3)
    files = exported(north)
    places = [(path, at) for path, data in files.items() if not path.startswith("proofs/") for at in range(len(data))]
    assert [place for place in places if judge(north, flipped(files, *place)) == []] == []
    for path in [path for path in files if path.startswith("tile/")]:
        assert judge(north, {name: data for name, data in files.items() if name != path}) != []


def distrust(node: WorldNode, files: dict[str, bytes], name: str) -> list[Any]:
    """What an auditor finds wrong with one held proof who has nothing of the log but its keys."""
    directory = node.service.office.trust.directory
    believed = Believed(directory, lambda _: directory, lambda _: None, {})
    return read_ledger(files.get, [name], believed, node.world.clock()).findings


@pytest.mark.spec("NODE-194")
def test_held_proofs_are_believed_as_they_are_and_no_byte_otherwise(north: WorldNode, south: WorldNode) -> None:
    talked(north, south)
    files = exported(north)
    names = [path[7:-5] for path in files if path.startswith("proofs/")]
    assert [distrust(north, files, name) for name in names] == [[], [], [], []]
    places = [(name, at) for name in names for at in range(0, len(files[f"proofs/{name}.json"]), 149)]
    for name, at in places:
        assert distrust(north, flipped(files, f"proofs/{name}.json", at), name), (name, at)


@pytest.mark.slow
@pytest.mark.spec("NODE-194")
def test_more_changed_bytes_of_held_proofs_are_not_believed(north: WorldNode, south: WorldNode) -> None:
    talked(north, south)
    files = exported(north)
    for path in [path for path in files if path.startswith("proofs/")]:
        for at in range(0, len(files[path]), 11):
            assert distrust(north, flipped(files, path, at), path[7:-5]), (path, at)


def flipped(files: dict[str, bytes], path: str, at: int) -> dict[str, bytes]:
    data = bytearray(files[path])
    data[at] ^= 1 << at % 8
    return {**files, path: bytes(data)}


# -- older books ------------------------------------------------------------------------------------------


@pytest.fixture
def old(world: World, north: WorldNode, south: WorldNode) -> WorldNode:
    """A node whose ledger was a chain: what it had sent is written there, as a version before wrote it."""
    talked(north, south)
    office, prev = north.service.office, CHAIN
    rows = []
    for n, body in enumerate(bodies(north), start=1):
        told = {**json.loads(body), "officer": "np-duty-1", "prev": prev}
        chained = write_json(told)
        prev = digest(chained)
        rows.append((n, told["ts"], told["act"], "np-duty-1", told["msg"], told["case"], chained, prev,
                     office.vault.seal(chained)))  # fmt: skip
    with plain(north) as books:
        as_schema_5(books)
        books.executemany("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    books.close()
    return north


@pytest.mark.spec("NODE-195")
def test_a_chain_is_closed_and_kept_and_the_tree_begins_with_its_last_name(world: World, old: WorldNode) -> None:
    node = world.restart_node(NORTH)
    with node.store.reading() as books:
        closed, (first,) = books.rows("ledger_closed"), books.rows("ledger")
    told = read_json(first.body, limit=2**16)
    assert (told["act"], told["outcome"], told["by"]) == ("review", "ledger_closed", None)
    assert told["reasons"] == [closed[-1].hash, str(len(closed))]
    assert told["ts"] == stamp(world.clock())
    assert node.service.reconcile().findings == ()  # what stands in the chain still counts
    assert judge(node, exported(node)) == []
    assert len(bodies(world.restart_node(NORTH))) == 2  # it begins once, and the export is an act


@pytest.mark.spec("NODE-195")
@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.execute("DELETE FROM ledger_closed WHERE n = (SELECT max(n) FROM ledger_closed)"),
        lambda c: c.execute("DELETE FROM ledger_closed WHERE n = 1"),
        lambda c: c.execute("UPDATE ledger_closed SET seal = zeroblob(32) WHERE n = 1"),
        lambda c: c.execute("UPDATE ledger_closed SET body = CAST(replace(body, 'np-', 'xp-') AS BLOB)"),
    ],
)
def test_a_closed_ledger_that_was_changed_shows_as_well(world: World, old: WorldNode, change: Change) -> None:
    world.restart_node(NORTH).store.close()
    with plain(old) as books:
        change(books)
    books.close()
    with pytest.raises(LedgerBroken, match="closed"):
        WorldNode(world, old.plan)


@pytest.mark.spec("NODE-195")
def test_a_chain_that_does_not_hold_is_not_taken_over(world: World, old: WorldNode) -> None:
    with plain(old) as books:
        books.execute("UPDATE ledger SET seal = zeroblob(32) WHERE n = 2")
    books.close()
    with pytest.raises(LedgerBroken, match="act 2 of the closed ledger"):
        world.restart_node(NORTH)


@pytest.mark.spec("NODE-190")
def test_the_ledger_has_a_name_of_its_own(north: WorldNode) -> None:
    written(north, 1)
    note: Any = north.service.heads.sign().note
    assert note.split("\n")[0] == ledger_origin(north.service.office.trust.log.origin, NORTH)


@pytest.mark.spec("NODE-60")
def test_a_full_disk_answers_nothing_tells_no_log_what_was_written_and_is_got_over(
    world: World, north: WorldNode
) -> None:
    office = written(north, 3)
    engine = north.store._engine
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    engine.dispose()

    def small(connection: Any, _: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(engine, "connect", small)
    with pytest.raises(OperationalError) as full:
        office.record_alone(*[LedgerAct(Act.CONSULT, "np-duty-1", WHY, outcome="kept short")] * 2000)
    with suppress(OperationalError):
        while True:
            office.record_alone(LedgerAct(Act.CONSULT, "np-duty-1"))
    assert "np-duty-1" not in str(full.value)
    assert "kept short" not in str(full.value)
    auditor = north.officer("auditor")
    with pytest.raises(OperationalError):
        north.service.oversight.ask({"question": "stats", "year": 2026}, "self_monitoring", auditor, WHY)
    with pytest.raises(OperationalError):
        north.service.export_ledger(auditor, WHY)
    event.remove(engine, "connect", small)
    engine.dispose()
    assert north.service.reconcile().findings == ()
    assert north.service.heads.sign().size == north.service.inspection.verify()[0]

"""What a node shows of what is here, and what it writes down about it (NODE-46 to NODE-54, NODE-60)."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from agencies.node.errors import LedgerBroken, NoLongerHere, NotHere, RoleMissing
from exchange.protocol.vocabulary import Act
from exercises.world import World, WorldNode
from keys.encoding import read_json
from tests.agencies.node.conftest import EVIDENCE, NORTH, REQUEST, SOUTH, WHY, acts

SECRETS = [b"Gull Cove", b"Marrow", b"XN-2026/0417", b"Night boats", b"SIM-BT-0921", b"mine since this morning"]


def in_clear(world: World, *agencies: str) -> list[tuple[str, bytes]]:
    files = [path for agency in agencies for path in world.home.glob(f"{agency}.db*")]
    return [(path.name, word) for path in files for word in SECRETS if word in path.read_bytes()]


def sql(world: World, agency: str, statement: str) -> None:
    books = sqlite3.connect(world.home / f"{agency}.db", isolation_level=None)
    books.execute(statement)
    books.close()


@pytest.fixture
def exchanged(north: WorldNode, south: WorldNode) -> str:
    sent = north.service.send(north.draft(REQUEST, SOUTH), north.officer(), WHY)
    south.collect()
    south.service.open(sent.msg or "", south.officer(), WHY)
    south.service.post_receipts()
    north.collect()
    return sent.msg or ""


@pytest.mark.spec("NODE-60")
def test_content_case_and_reason_rest_in_no_file_in_clear(world: World, north: WorldNode, exchanged: str) -> None:
    north.service.send(north.draft(EVIDENCE, SOUTH, purpose="investigate"), north.officer(), WHY)
    north.service.case("XN-2026/0417", north.officer(), WHY)
    assert north.service.outbox()[0].state == "pending_release"
    assert in_clear(world, NORTH, SOUTH) == []
    assert not any(word in path.read_bytes() for path in world.home.glob("broker.db*") for word in SECRETS)


@pytest.mark.spec("NODE-61")
def test_content_moved_to_another_message_does_not_open(world: World, north: WorldNode, south: WorldNode) -> None:
    one, two = (north.send(REQUEST, SOUTH).msg or "" for _ in range(2))
    south.collect()
    sql(world, SOUTH, f"UPDATE inbox SET content = (SELECT content FROM inbox WHERE msg = '{one}') WHERE msg = '{two}'")
    assert south.open(one) == REQUEST
    with pytest.raises(Exception, match="moved"):
        south.open(two)


def test_ones_own_message_can_be_read_again_as_a_consult(north: WorldNode, exchanged: str) -> None:
    assert north.service.open(exchanged, north.officer(), WHY) == REQUEST
    assert acts(north)[-1]["act"] == "consult"
    assert [one["status"] for one in north.service.message(exchanged)["receipts"]] == ["delivered", "opened"]


@pytest.mark.spec("NODE-47")
def test_several_are_opened_under_one_reason_with_an_act_for_each(north: WorldNode, south: WorldNode) -> None:
    names = [north.send(case, SOUTH).msg or "" for case in (REQUEST, REQUEST, REQUEST)]
    mine = south.send(REQUEST, NORTH).msg or ""
    south.collect()
    south.service.open(names[1], south.officer(), WHY)
    before = len(acts(south))
    asked = [names[2], mine, names[1], names[0]]
    assert [read_json(data, limit=1 << 20) for data in south.service.open_many(asked, south.officer(), WHY)] == [
        REQUEST
    ] * 4
    assert [(act["act"], act["msg"]) for act in acts(south)[before:]] == [
        ("consult" if name == mine else "open", name) for name in asked
    ]
    assert len({act["why"] for act in acts(south)[before:]}) == 1
    south.service.post_receipts()
    north.collect()
    assert [[status for _, status in north.receipts(name)] for name in names] == [["delivered", "opened"]] * 3


@pytest.mark.spec("NODE-40", "NODE-47")
def test_of_several_none_is_opened_if_one_is_not_here(north: WorldNode, south: WorldNode) -> None:
    name = north.send(REQUEST, SOUTH).msg or ""
    south.collect()
    before = acts(south)
    with pytest.raises(NotHere):
        south.service.open_many([name, "A" * 43], south.officer(), WHY)
    with pytest.raises(RoleMissing):
        south.service.open_many([name], south.officer("auditor"), WHY)
    assert south.service.open_many([], south.officer(), WHY) == []
    assert acts(south) == before
    assert south.service.inbox()[0]["opened"] is None


@pytest.mark.spec("NODE-48")
def test_a_case_is_found_by_its_reference_on_both_sides(north: WorldNode, south: WorldNode, exchanged: str) -> None:
    for node, direction in ((north, "out"), (south, "in")):
        (found,) = node.service.case("XN-2026/0417", node.officer(), WHY)
        assert (found["msg"], found["direction"]) == (exchanged, direction)
        assert node.service.case("XN-2026/9999", node.officer(), WHY) == []
        assert [act["act"] for act in acts(node)[-2:]] == ["consult", "consult"]
    assert acts(north)[-1]["case"] != acts(south)[-1]["case"]


def test_a_reference_and_an_officer_leave_only_as_pseudonyms(world: World, north: WorldNode, exchanged: str) -> None:
    for call in world.wire.calls:
        assert b"XN-2026/0417" not in call.body
        assert north.officer().id.encode() not in call.body


@pytest.mark.spec("NODE-46")
def test_erased_content_is_gone_and_its_facts_remain(world: World, south: WorldNode, exchanged: str) -> None:
    with pytest.raises(RoleMissing):
        south.service.erase(exchanged, south.officer(), WHY)
    south.service.erase(exchanged, south.officer("release_officer"), WHY)
    with pytest.raises(NoLongerHere):
        south.open(exchanged)
    with south.store.reading() as books:
        row: Any = books.get("inbox", msg=exchanged)
    assert (row.content, row.parcel) == (None, None)
    assert south.service.inbox()[0]["erased"]
    assert "erase" in [act["act"] for act in acts(south)]
    assert world.audit().clean


def test_only_what_was_received_is_erased(north: WorldNode, exchanged: str) -> None:
    with pytest.raises(NotHere):
        north.service.erase(exchanged, north.officer("release_officer"), WHY)


def test_an_export_holds_everything_signed_and_the_proof(north: WorldNode, south: WorldNode, exchanged: str) -> None:
    got = south.service.export(exchanged, south.officer(), WHY)
    assert got["content"] == REQUEST
    assert {"payload", "signatures", "wrap", "body", "entry", "proof"} <= got["parcel"].keys()
    gave = north.service.export(exchanged, north.officer(), WHY)
    assert {"payload", "signatures", "sealed"} == gave["envelope"].keys()
    assert [acts(node)[-1]["act"] for node in (north, south)] == ["export", "export"]


@pytest.mark.spec("NODE-50")
def test_every_kind_of_act_is_written(world: World, north: WorldNode, south: WorldNode, exchanged: str) -> None:
    south.service.export(exchanged, south.officer(), WHY)
    south.service.case("XN-2026/0417", south.officer(), WHY)
    south.service.erase(exchanged, south.officer("release_officer"), WHY)
    south.send(REQUEST, NORTH)
    south.send(REQUEST, NORTH, classification="secret")
    south.service.ledger(south.officer("auditor"), where={})
    wanted = {
        Act.COLLECT,
        Act.DISCLOSE,
        Act.ATTEMPT_DENIED,
        Act.RECEIVE,
        Act.OPEN,
        Act.CONSULT,
        Act.EXPORT,
        Act.ERASE,
        Act.LOG_QUERY,
    }
    assert {act["act"] for act in acts(south)} == set(wanted)


@pytest.mark.spec("NODE-53")
def test_the_ledger_is_for_the_auditor_and_reading_it_is_an_act(south: WorldNode, exchanged: str) -> None:
    for role in ("officer", "release_officer"):
        with pytest.raises(RoleMissing):
            south.service.ledger(south.officer(role), where={})
    auditor = south.officer("auditor")
    shown = south.service.ledger(auditor, where={"msg": exchanged})
    assert [act["act"] for act in shown] == ["receive", "open"]
    assert shown[1]["why"] == WHY.text
    assert south.service.ledger(auditor, where={"case": "XN-2026/0417", "act": "open"}) == shown[1:]
    assert south.service.ledger(auditor, where={}, after=1, limit=1) == shown[1:]
    assert south.service.ledger(auditor, where={"since": "2027-01-01T00:00:00.000Z"}) == []
    assert [act["act"] for act in acts(south)[-4:]] == ["log_query"] * 4
    with pytest.raises(RoleMissing):
        south.service.evidence(south.officer())
    with pytest.raises(RoleMissing):
        south.service.audited(south.officer())


@pytest.mark.spec("NODE-52")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET body = CAST(replace(body, 'receive', 'consult') AS BLOB) WHERE n = 1",
        "UPDATE ledger SET hash = 'x' WHERE n = 1",
        "UPDATE ledger SET seal = zeroblob(32) WHERE n = 2",
        "DELETE FROM ledger WHERE n = 1",
        "UPDATE ledger SET n = 7 WHERE n = 2",
    ],
)
def test_an_edited_ledger_is_detected(world: World, south: WorldNode, exchanged: str, statement: str) -> None:
    assert south.service.verify_ledger()[0] == 2
    sql(world, SOUTH, statement)
    with pytest.raises(LedgerBroken):
        south.service.verify_ledger()
    with pytest.raises(LedgerBroken):
        south.service.reconcile()


@pytest.mark.spec("NODE-54")
def test_a_ledger_cut_off_at_its_end_is_found_by_the_log(world: World, south: WorldNode, exchanged: str) -> None:
    sql(world, SOUTH, "DELETE FROM ledger")
    assert south.service.verify_ledger()[0] == 0  # the chain alone cannot tell
    (finding,) = south.service.reconcile().findings
    assert (finding.code, finding.evidence["msg"]) == ("not_in_ledger", exchanged)


@pytest.mark.spec("NODE-54")
def test_ledgers_and_log_tell_one_story(world: World, north: WorldNode, south: WorldNode, exchanged: str) -> None:
    north.send(REQUEST, SOUTH, classification="secret", ruling=True)
    north.send(REQUEST, SOUTH, classification="secret")
    south.send(REQUEST, NORTH)
    north.collect()
    for node in (north, south):
        assert node.service.reconcile().findings == ()
    result = north.service.audited(north.officer("auditor"))
    assert (result.findings, result.size) == ((), north.service.watch.look().size)
    assert "0 findings" in acts(north)[-1]["outcome"]


@pytest.mark.spec("NODE-54")
def test_a_message_still_unsettled_is_no_finding(world: World, north: WorldNode) -> None:
    from exercises.wire import Fault

    world.wire.trouble(Fault.DEAF, path="/v1/messages", caller=NORTH)
    assert north.send(REQUEST, SOUTH).state == "pending"
    assert north.service.reconcile().findings == ()
    with north.store.writing() as books:
        row: Any = books.rows("outbox")[0]
        books.move(row.n, "pending", {"state": "sent"})
    assert [f.code for f in north.service.reconcile().findings] == ["not_in_ledger"]


def test_a_disclosure_in_ones_name_that_one_did_not_make_is_found(world: World, north: WorldNode) -> None:
    north.send(REQUEST, SOUTH)
    twin = world.restart_node(NORTH)  # the same identity on other books, as a thief of the keys would run it
    stolen = twin.service.office.broker
    sent = twin.send(REQUEST, SOUTH)
    assert stolen is not None
    sql(world, NORTH, f"DELETE FROM outbox WHERE msg = '{sent.msg}'")
    sql(world, NORTH, "DELETE FROM ledger WHERE n > 2")
    assert [f.code for f in twin.service.reconcile().findings] == ["not_in_ledger"]

"""The broker's database is edited behind its back: whoever looks finds it, and names the place."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from exchange.audit.export import AuditReport, verify_export
from exchange.commands_audit import export
from exercises.aftermath import rewrite
from exercises.markers import search, words_of
from exercises.world import World, sample

NORTH, SOUTH, BORDER = "north.police.sim", "south.police.sim", "east.border.sim"


@pytest.fixture
def index(world: World) -> int:
    """A world in which some messages have passed; the log index of one of them."""
    sent = [world.node(NORTH).send(sample("smuggling_route_request"), to) for to in (SOUTH, BORDER, SOUTH)]
    world.settle()
    assert world.audit().clean
    assert sent[1].index is not None
    return sent[1].index


def audited(world: World, name: str) -> AuditReport:
    folder = world.home / name
    export(str(world.home), folder)

    def read(path: str) -> bytes | None:
        return (folder / path).read_bytes() if (folder / path).is_file() else None

    return verify_export(read, fed=world.federation.fed, now=world.clock())


def edit(world: World, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(world.broker_database)) as books:
        assert books.execute(statement, values).rowcount >= 1
        books.commit()


def test_an_edited_entry_is_named(world: World, index: int) -> None:
    assert rewrite(world.broker_database, index, BORDER.encode(), b"coast.hub.sim")
    report = audited(world, "edited")
    assert not report.clean
    assert index in {finding.index for finding in report.findings}
    assert {finding.index for finding in report.findings if finding.severity == "error"} == {index}


EDITS: dict[str, Callable[[World, int], None]] = {
    "one entry for another": lambda w, i: edit(
        w, "UPDATE entry SET data=(SELECT data FROM entry WHERE seq=0) WHERE seq=?", i
    ),
    "a tile": lambda w, _: edit(w, "UPDATE tile SET hashes=zeroblob(length(hashes)) WHERE level=0"),
    "a shorter head": lambda w, _: edit(w, "UPDATE head SET size=size-1"),
    "an older checkpoint": lambda w, i: edit(w, "UPDATE head SET checkpoint=replace(checkpoint, 'ix', 'iy')"),
}


@pytest.mark.parametrize("what", [name for name in EDITS if name != "a shorter head"])
def test_any_edit_of_the_log_is_found(world: World, index: int, what: str) -> None:
    EDITS[what](world, index)
    report = audited(world, "edited")
    assert not report.clean, what
    assert report.findings


@pytest.mark.parametrize("what", ["a tile", "a shorter head"])
def test_a_broker_does_not_start_on_books_that_contradict_themselves(world: World, index: int, what: str) -> None:
    world.stop_broker()
    EDITS[what](world, index)
    with pytest.raises(Exception, match=r"books|tiles|head|checkpoint|root"):
        world.start_broker()


def test_a_sealed_body_exchanged_in_the_mailbox_is_rejected_by_name(world: World) -> None:
    first = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    second = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    edit(
        world, "UPDATE message SET body=(SELECT body FROM message WHERE digest=?) WHERE digest=?", first.msg, second.msg
    )
    world.settle()
    south = world.node(SOUTH).service
    assert [(one["msg"], one["code"]) for one in south.rejected()] == [(second.msg, "seal_mismatch")]
    assert world.node(NORTH).receipts(second.msg) == [(SOUTH, "rejected")]
    assert world.node(SOUTH).inbox() == [first.msg]


def test_a_message_delivered_without_an_entry_is_not_opened(world: World, index: int) -> None:
    sent = world.node(NORTH).send(sample("smuggling_route_request"), SOUTH)
    edit(world, "UPDATE entry SET data=(SELECT data FROM entry WHERE seq=?) WHERE seq=?", index, sent.index)
    world.settle()
    assert sent.msg not in world.node(SOUTH).inbox()
    found = world.node(SOUTH).service.evidence(world.node(SOUTH).officer("auditor"))
    assert found or world.node(SOUTH).service.rejected()


def test_no_word_of_any_message_is_in_the_brokers_files(world: World) -> None:
    words: set[str] = set()
    for name in ("smuggling_route_request", "spontaneous_info", "evidence_transfer"):
        content = sample(name)
        words |= words_of(content)
        world.node(NORTH).send(content, SOUTH, classification="restricted")
    world.settle()
    for msg in world.node(SOUTH).inbox():
        world.node(SOUTH).open(msg)
    world.settle()
    world.audit()
    broker = world.home / "broker-files"
    broker.mkdir()
    for part in world.home.glob("broker.db*"):
        (broker / part.name).write_bytes(part.read_bytes())
    for exported in world.home.glob("export-*"):
        exported.rename(broker / exported.name)
    assert len(words) > 20
    assert search(broker, words) == []
    assert search(world.home, {BORDER}), "the search does find what is there"


def test_no_word_of_a_case_is_in_the_clear_in_a_nodes_files_either(world: World) -> None:
    content = sample("smuggling_route_request")
    sent = world.node(NORTH).send(content, SOUTH)
    world.settle()
    world.node(SOUTH).open(sent.msg)
    assert [hit for hit in search(world.home, words_of(content)) if ".db" in hit] == []
    assert json.dumps(content)


def test_the_wire_carried_no_word_of_any_message(world: World, tmp_path: Path) -> None:
    content = sample("smuggling_route_request")
    sent = world.node(NORTH).send(content, SOUTH)
    world.settle()
    world.node(SOUTH).open(sent.msg)
    tap = tmp_path / "tap"
    tap.mkdir()
    for call in world.wire.calls:
        (tap / str(call.number)).write_bytes(call.body + b"\n" + call.answer + repr(call.headers).encode())
    assert search(tap, words_of(content)) == []

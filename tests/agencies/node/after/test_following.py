"""The log is read on, verified, kept, and asked without a broker (NODE-130, NODE-131)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agencies.node.errors import BrokerUnreachable, LogForked, NotHere
from exercises.world import World
from tests.agencies.node.tree import A, B, C, D, chain, lorry_watch, told


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with lorry_watch(tmp_path) as made:
        yield made


@pytest.mark.spec("NODE-130")
def test_the_log_is_read_on_from_where_it_stopped_also_by_the_next_process(world: World, crook: Any) -> None:
    first = told(world, B, C)
    following = world.node(D).service.following
    assert following.read_on() == following.read_on() == following.size()
    asked: list[str] = []
    told(world, B)
    world.restart_node(D)

    def counted(honest: Any, path: str) -> bytes:
        asked.append(path)
        return bytes(honest.log_file(path))

    crook(world.node(D), log_file=counted)
    again = world.node(D).service.following
    assert again.read_on() == world.node(D).service.watch.size()
    assert len([path for path in asked if "entries" in path]) == 1
    passage = again.disclosures().get(first)
    assert passage is not None
    assert [to.id for to in passage.entry.to] == [B, C]
    with again._office.store.reading() as books:
        rows = books.rows("logged", typ="disclosure")
    assert len(rows) == len({row.seq for row in rows}) == 2


@pytest.mark.spec("NODE-130")
def test_entries_that_are_not_those_under_the_signed_root_are_not_read(world: World) -> None:
    first = told(world, B)
    with sqlite3.connect(world.broker_database) as books:
        change = "UPDATE entry SET data = CAST(replace(data, ?, ?) AS BLOB)"
        books.execute(change, (f'"from":"{A}"', f'"from":"{C}"'))
    books.close()
    node = world.node(D)
    with pytest.raises(LogForked):
        node.service.following.read_on()
    assert (node.service.following.size(), node.service.following.disclosures().get(first)) == (0, None)
    assert [one["kind"] for one in node.service.evidence(node.officer("auditor"))] == ["entries"]


@pytest.mark.spec("NODE-130")
def test_a_log_that_is_another_than_the_one_read_is_not_read_on(world: World) -> None:
    told(world, B)
    node = world.node(D)
    node.service.following.read_on()
    with node.store.writing() as books:
        size, _, root = books.meta("followed").partition(" ")
        books.set_meta("followed", f"{size} {root[::-1]}")
    with pytest.raises(BrokerUnreachable):
        world.restart_node(D).service.following.read_on()


@pytest.mark.spec("NODE-131")
def test_who_sent_what_and_what_came_of_it_is_told_without_a_broker(world: World) -> None:
    first, second, third = chain(world)
    node = world.node(A)
    node.service.following.read_on()
    world.stop_broker()
    following = node.service.following
    assert [following.originator_of(one) for one in (first, second, third)] == [A, B, C]
    assert [one.entry.msg for one in following.disclosures().tree(first)] == [first, second, third]
    assert [one.entry.msg for one in following.disclosures().roots([third])] == [first, second, third]
    assert [one.entry.msg for one in following.disclosures().tree(second)] == [second, third]
    with pytest.raises(BrokerUnreachable):
        following.originator_of("A" * 43)
    world.start_broker()
    with pytest.raises(NotHere):
        following.originator_of("A" * 43)

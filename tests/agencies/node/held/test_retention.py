"""What is held ends on the clock, with a warning before and a signed act after (NODE-93 to NODE-98)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies.node.after.acts import Acts
from agencies.node.broker_client import BrokerClient
from agencies.node.errors import BrokerRefused, KeepRefused, NoLongerHere, NotHere, RoleMissing
from agencies.node.held.holding import Holdings
from agencies.node.held.retention import AT_ONCE
from agencies.node.mail.outbox import Wanted
from agencies.node.office import Office
from agencies.node.store import Books
from exercises.wire import Fault
from exercises.world import World, WorldNode
from tests.agencies.node.bound import EAST, NORTH, SOUTH, TIP, bound, terms, told
from tests.agencies.node.conftest import WHY, acts


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with bound(tmp_path, terms(retention_days=40, review_days=20)) as made:
        yield made


def erased(world: World, message: str) -> list[tuple[str, str]]:
    """What north has been told of a message being erased: by whom, and the cause."""
    north = world.node(NORTH)
    north.collect()
    return [(d.by, d.terms.cause) for d in north.service.acts.about(message) if d.kind == "erased" and d.way == "in"]


def reviews(node: WorldNode) -> list[str]:
    return [act["outcome"] for act in acts(node) if act["act"] == "review"]


def keep(node: WorldNode, message: str, until: Any, ground: str = "case_open") -> Any:
    return node.service.keep(message, node.officer("release_officer"), WHY, ground=ground, until=until)


@pytest.mark.spec("NODE-94", "NODE-96", "NODE-98")
def test_what_nobody_decides_to_keep_is_erased_at_its_review(world: World) -> None:
    name, south = told(world), world.node(SOUTH)
    world.clock.advance(days=20, seconds=-1)
    assert south.service.sweep().erased == ()
    assert south.open(name) == TIP
    world.clock.advance(seconds=1)
    assert south.service.sweep().erased == ((name, "review"),)
    with pytest.raises(NoLongerHere):
        south.open(name)
    assert erased(world, name) == [(SOUTH, "review")]
    act = next(act for act in acts(south) if act["act"] == "erase")
    assert (act["msg"], act["outcome"], act["officer"]) == (name, "review", None)
    with south.store.reading() as books:
        row: Any = books.get("inbox", msg=name)
    assert (row.content, row.parcel) == (None, None)
    assert south.service.inbox()[0]["purpose"] == "investigate"  # the facts remain
    assert world.audit().clean


@pytest.mark.spec("NODE-94")
def test_there_is_a_warning_before_and_only_one(world: World) -> None:
    name, south = told(world), world.node(SOUTH)
    world.clock.advance(days=15, seconds=-1)
    assert south.service.sweep().warned == ()
    world.clock.advance(seconds=1)  # a quarter of 20 days before
    assert south.service.sweep().warned == (name,)
    world.clock.advance(days=1)
    assert south.service.sweep().warned == ()
    assert [outcome.split(":")[0] for outcome in reviews(south)] == ["warned"]
    assert south.service.holdings()[0]["warned"] is not None


@pytest.mark.spec("NODE-94")
def test_a_long_retention_is_warned_of_120_days_before(tmp_path: Path) -> None:
    with bound(tmp_path, terms(retention_days=1000)) as world:
        name, south = told(world), world.node(SOUTH)
        world.clock.advance(days=880, seconds=-1)
        assert south.service.sweep().warned == ()
        world.clock.advance(seconds=1)
        assert south.service.sweep().warned == (name,)


@pytest.mark.spec("NODE-93")
def test_a_decision_to_keep_holds_until_it_says_and_never_beyond_retention(world: World) -> None:
    name, south = told(world), world.node(SOUTH)
    logged = world.clock()
    world.clock.advance(days=15)
    assert south.service.sweep().warned == (name,)
    for until, ground in (
        (logged + timedelta(days=41), "case_open"),
        (world.clock(), "case_open"),
        (logged + timedelta(days=30), "because"),
        (logged + timedelta(days=30), "inaccurate"),
    ):
        with pytest.raises(KeepRefused):
            keep(south, name, until, ground)
    with pytest.raises(RoleMissing):
        south.service.keep(name, south.officer(), WHY, ground="case_open", until=logged + timedelta(days=30))
    kept = keep(south, name, logged + timedelta(days=30))
    assert (kept["kept"], kept["review_at"][:10]) == ("case_open", "2026-12-21")
    world.node(NORTH).collect()
    assert [d.kind for d in world.node(NORTH).service.acts.about(name)] == ["keep"]
    world.clock.advance(days=10)
    assert south.service.sweep().erased == ()
    assert south.open(name) == TIP
    keep(south, name, logged + timedelta(days=40))
    world.clock.advance(days=10)
    assert south.open(name) == TIP
    world.clock.advance(days=5)
    assert south.service.sweep().erased == ((name, "retention"),)
    with pytest.raises(NoLongerHere):
        keep(south, name, world.clock() + timedelta(days=1))


@pytest.mark.spec("NODE-93")
def test_a_decision_that_the_log_never_takes_keeps_nothing(world: World, crook: Any) -> None:
    def refuse(_honest: BrokerClient, _jws: bytes) -> Any:
        raise BrokerRefused("act_refused", "no")

    name, south = told(world), world.node(SOUTH)
    crook(south, act=refuse)
    keep(south, name, world.clock() + timedelta(days=30))
    assert south.service.holdings()[0]["kept"] is None
    world.clock.advance(days=20)
    assert south.service.sweep().erased == ((name, "review"),)


def test_what_has_no_review_has_nothing_to_decide(tmp_path: Path) -> None:
    with bound(tmp_path, terms(retention_days=40)) as world:
        name, south = told(world), world.node(SOUTH)
        with pytest.raises(KeepRefused):
            keep(south, name, world.clock() + timedelta(days=3))
        with pytest.raises(NotHere):
            keep(world.node(NORTH), name, world.clock() + timedelta(days=3))


@pytest.mark.spec("NODE-94")
def test_without_a_period_it_stays(tmp_path: Path) -> None:
    with bound(tmp_path, terms()) as world:
        name, south = told(world), world.node(SOUTH)
        world.clock.advance(days=1500)
        assert (south.service.sweep().erased, south.open(name)) == ((), TIP)


@pytest.mark.spec("NODE-94")
def test_a_purge_counts_from_the_end_of_the_agreement(tmp_path: Path) -> None:
    strings = {**terms(purge_days=7), "end": "2027-01-01T00:00:00Z"}
    with bound(tmp_path, strings) as world:
        name, south = told(world), world.node(SOUTH)
        assert south.service.holdings()[0]["erase_at"] == "2027-01-08T00:00:00.000Z"
        world.clock.now = world.clock.now.replace(year=2027, month=1, day=7)
        assert south.service.sweep().erased == ()
        world.clock.now = world.clock.now.replace(day=8, hour=0, minute=0)
        assert south.service.sweep().erased == ((name, "purge"),)
        assert erased(world, name) == [(SOUTH, "purge")]


@pytest.mark.spec("NODE-94")
def test_a_purge_counts_from_the_day_a_party_leaves(tmp_path: Path) -> None:
    with bound(tmp_path, terms(purge_days=7)) as world:
        name, south, east = told(world), world.node(SOUTH), world.node(EAST)
        south.service.sweep()
        world.clock.advance(days=3)
        agreement = world.agreements["strings-3"]
        east.service.give_notice("leave", agreement, east.officer("release_officer"), "the exercise is over for us")
        south.collect()
        south.service.sweep()
        world.clock.advance(days=7)
        assert south.service.sweep().erased == ((name, "purge"),)


@pytest.mark.spec("NODE-97")
def test_a_clock_set_back_ends_nothing_later(world: World) -> None:
    name, south = told(world), world.node(SOUTH)
    began = world.clock()
    world.clock.advance(days=15)
    south.service.sweep()
    world.clock.now = began + timedelta(days=6)  # the node has seen day 15
    with pytest.raises(KeepRefused):
        keep(south, name, began + timedelta(days=14))
    assert south.service.sweep(began + timedelta(days=20)).erased == ((name, "review"),)
    world.clock.now = began
    with pytest.raises(NoLongerHere):
        south.open(name)


@pytest.mark.spec("NODE-97")
def test_a_clock_set_back_after_the_date_shows_nothing_again(tmp_path: Path) -> None:
    with bound(tmp_path, terms(retention_days=10)) as world:
        one, south = told(world), world.node(SOUTH)
        began = world.clock()
        world.clock.advance(days=9)
        two = told(world)
        south.service.sweep()
        world.clock.advance(days=1)
        assert south.service.sweep().erased == ((one, "retention"),)
        world.clock.now = began
        with pytest.raises(NoLongerHere):
            south.open(one)
        assert south.open(two) == TIP


@pytest.mark.spec("NODE-96", "NODE-46")
def test_a_message_shown_again_after_its_erasure_is_not_taken_in_again(world: World) -> None:
    name, south = told(world), world.node(SOUTH)
    world.clock.advance(days=6)
    south.service.erase(name, south.officer("release_officer"), WHY)
    assert erased(world, name) == [(SOUTH, "review")]
    with south.store.writing() as books:
        books.set_meta("cursor", "-1")
    assert south.collect() == []
    with pytest.raises(NoLongerHere):
        south.open(name)
    for act in (south.service.export, south.service.condition):
        with pytest.raises(NoLongerHere):
            act(name, south.officer(), WHY)
    with pytest.raises(NoLongerHere):
        south.service.erase(name, south.officer("release_officer"), WHY)


@pytest.mark.spec("NODE-96")
def test_what_was_made_of_it_goes_as_well(tmp_path: Path) -> None:
    with bound(tmp_path, terms(retention_days=10, human_release=True)) as world:
        north, south = world.node(NORTH), world.node(SOUTH)
        waiting = north.send(TIP, SOUTH)
        name = north.release(waiting.ref).msg or ""
        south.collect()
        told_on = [
            south.service.forward(name, [EAST], [""], "investigate", south.officer(), WHY, text="for you") for _ in "12"
        ]
        gone = south.release(told_on[0].ref)
        assert gone.state == "sent"
        world.clock.advance(days=10)
        south.service.sweep()
        states = {one.ref: (one.state, one.code) for one in south.service.outbox()}
        assert states == {told_on[0].ref: ("sent", "permitted"), told_on[1].ref: ("withheld", "erased")}
        with pytest.raises(NoLongerHere):
            south.service.open(gone.msg or "", south.officer(), WHY)
        with pytest.raises(NoLongerHere):
            south.service.open(told_on[1].ref, south.officer(), WHY)


@pytest.mark.spec("NODE-96")
def test_nothing_of_it_is_left_in_any_file(world: World) -> None:
    name, south = told(world), world.node(SOUTH)
    with south.store.reading() as books:
        row: Any = books.get("inbox", msg=name)
        boxes = [bytes(row.content), bytes(row.parcel)[200:400]]
    files = lambda: [p.read_bytes() for p in world.home.glob(f"{SOUTH}.db*")]  # noqa: E731
    assert all(any(box in data for data in files()) for box in boxes)
    world.clock.advance(days=20)
    south.service.sweep()
    assert not any(box in data for data in files() for box in boxes)


@pytest.mark.spec("NODE-98")
def test_a_node_killed_anywhere_still_tells_the_originator(world: World) -> None:
    name, south = told(world), world.node(SOUTH)
    world.clock.advance(days=20)
    world.wire.trouble(Fault.LOSE, path="/v1/acts", caller=SOUTH)
    south.service.sweep()
    world.wire.calm()
    again = world.restart_node(SOUTH)  # nothing was in memory
    assert erased(world, name) == []
    assert again.service.sweep().erased == ()
    world.settle()
    assert erased(world, name) == [(SOUTH, "review")]
    assert [act["act"] for act in acts(again)].count("erase") == 2  # that it was erased, and that the log says so
    assert world.audit().clean


@pytest.mark.spec("NODE-98")
@pytest.mark.parametrize(
    ("where", "what"), [(Office, "record"), (Holdings, "change"), (Books, "erase"), (Acts, "retry")]
)
def test_a_node_killed_within_its_erasure_has_done_all_of_it_or_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, where: Any, what: str
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    name, south = told(world), world.node(SOUTH)
    world.clock.advance(days=20)
    monkeypatch.setattr(where, what, die)
    with pytest.raises(Killed):
        south.service.sweep()
    monkeypatch.undo()
    again = world.restart_node(SOUTH)
    done = again.service.holdings()[0]["state"] == "erased"
    assert done == bool(again.service.acts.about(name)) == (what == "retry")
    assert again.service.sweep().erased == (() if done else ((name, "review"),))
    world.settle()
    assert erased(world, name) == [(SOUTH, "review")]
    assert world.audit().clean


@pytest.mark.spec("NODE-83")
def test_a_note_changed_in_the_books_holds_up_no_other_erasure(world: World) -> None:
    one, two, south = told(world), told(world), world.node(SOUTH)
    with south.store.writing() as books:
        books.turn("held", {"msg": one}, {"kept_until": "2036-01-01T00:00:00.000Z"})
    world.clock.advance(days=20)
    assert south.service.sweep().erased == ((two, "review"),)
    assert "holding_broken" in [one["kind"] for one in south.service.evidence(south.officer("auditor"))]


def test_a_sweep_asks_for_more_than_one_page(world: World) -> None:
    north, south = world.node(NORTH), world.node(SOUTH)
    draft = north.draft(TIP, SOUTH)
    made = [north.service.send_many([Wanted(draft)] * 55, north.officer(), WHY) for _ in range(2)]
    assert sum(map(len, made)) == 110 > AT_ONCE
    south.collect()
    world.clock.advance(days=15)
    assert len(south.service.sweep().warned) == 110

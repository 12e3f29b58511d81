"""What cannot be executed here: case by case, with a reason and an end, never wholesale (NODE-170 to NODE-174)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies.node.care.flags import MANY
from agencies.node.errors import (
    AlreadyAnswered,
    DraftMalformed,
    FlagTooWide,
    HoldingBroken,
    NotHere,
    NotWaiting,
    RoleMissing,
)
from agencies.node.ledger import justify
from exercises.world import World, WorldNode
from keys.errors import Refusal
from tests.adversary.test_safeguards_refusals import request
from tests.agencies.node.bound import EAST, NORTH, SOUTH, bound, other, terms
from tests.agencies.node.conftest import acts

WHY = justify("request_answer", "the court here has stayed everything that is asked in this case")
AGAIN = justify("request_answer", "its appeal is still open, and the stay was prolonged in October")
AUDIT = other("audit", "auditor")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with bound(tmp_path, terms()) as made:
        yield made


@pytest.fixture
def south(world: World) -> WorldNode:
    return world.node(SOUTH)


def asked(world: World, case: str = "XN-2026/77", by: str = NORTH, *, impersonal: bool = False) -> str:
    content = request(impersonal=impersonal)
    content["case"] = {"reference": case}
    sent = world.node(by).send(content, SOUTH)
    assert sent.state == "sent", sent
    world.node(SOUTH).collect()
    return sent.msg or ""


def flag(
    node: WorldNode, message: str, kind: str = "message", ground: str = "judicial_authorisation_refused", **days: int
) -> dict[str, Any]:
    return node.service.flags.set({kind: message}, ground, until(node, **days), node.officer(), WHY)


def until(node: WorldNode, days: int = 30) -> datetime:
    return node.world.clock() + timedelta(days=days)


@pytest.mark.spec("NODE-170", "NODE-173")
def test_a_flagged_request_is_refused_with_the_flags_ground_and_reason(world: World, south: WorldNode) -> None:
    name, free = asked(world, impersonal=True), asked(world, "XN-2026/78", impersonal=True)
    one = flag(south, name)
    assert (one["state"], one["kind"], one["sender"]) == ("live", "message", NORTH)
    assert south.service.flags.offer(name)["public"] == "judicial_authorisation_refused"
    said = south.service.flags.answer(name, south.officer(), WHY, text="Ask again when the stay is over.")
    assert (said.public, said.state) == ("judicial_authorisation_refused", "sent")
    (act,) = [act for act in acts(south) if act["outcome"] == "answered"]
    assert one["id"] in act["why"]
    assert WHY.text in act["why"]
    for call in (south.service.flags.offer, lambda m: south.service.flags.answer(m, south.officer(), WHY)):
        with pytest.raises(NotHere):
            call(free)
    with pytest.raises(AlreadyAnswered):
        south.service.flags.answer(name, south.officer(), WHY)
    with pytest.raises(RoleMissing):
        south.service.flags.answer(name, AUDIT, WHY)


@pytest.mark.spec("NODE-173", "SAFE-31")
def test_about_somebody_the_answer_is_the_neutral_one_at_its_hour(world: World, south: WorldNode) -> None:
    name = asked(world)
    flag(south, name, ground="jeopardise_investigation_or_safety")
    assert south.service.flags.offer(name)["public"] == "cannot_respond"
    assert "jeopardise" not in str((south.service.flags.listed(), south.service.flags.offer(name)))
    said = south.service.flags.answer(name, south.officer(), WHY)
    assert (said.public, said.state) == ("cannot_respond", "waiting")


@pytest.mark.spec("NODE-170")
def test_a_flag_on_a_case_is_on_that_senders_case_alone(world: World, south: WorldNode) -> None:
    first, second = asked(world), asked(world)
    elsewhere, namesake = asked(world, "XN-2026/78"), asked(world, by=EAST)
    one = flag(south, first, "case_of", "disproportionate")
    assert [south.service.flags.offer(name)["flag"] for name in (first, second)] == [one["id"]] * 2
    for name in (elsewhere, namesake):
        with pytest.raises(NotHere):
            south.service.flags.offer(name)
    nearer = flag(south, second, "message", "minor_offence")
    assert south.service.flags.offer(second) == {
        "request": second, "flag": nearer["id"], "until": nearer["until"], "public": "minor_offence",
    }  # fmt: skip
    assert "XN-2026/77" not in str(south.service.flags.listed())


@pytest.mark.spec("NODE-171")
def test_no_flag_is_on_an_agency_or_for_long(world: World, south: WorldNode) -> None:
    name = asked(world)
    wrong: list[tuple[dict[str, Any], int, str, type[Refusal]]] = [
        ({"agency": NORTH}, 30, "minor_offence", FlagTooWide),
        ({"from": NORTH}, 30, "minor_offence", FlagTooWide),
        ({"message": name, "agency": NORTH}, 30, "minor_offence", FlagTooWide),
        ({}, 30, "minor_offence", FlagTooWide),
        ({"message": [name]}, 30, "minor_offence", FlagTooWide),
        ({"message": "*"}, 30, "minor_offence", NotHere),
        ({"message": NORTH}, 30, "minor_offence", NotHere),
        ({"case_of": ""}, 30, "minor_offence", NotHere),
        ({"message": name}, 91, "minor_offence", FlagTooWide),
        ({"message": name}, 0, "minor_offence", DraftMalformed),
        ({"message": name}, 30, "we_do_not_like_them", DraftMalformed),
    ]
    for on, days, ground, refusal in wrong:
        with pytest.raises(refusal) as refused:
            south.service.flags.set(on, ground, until(south, days), south.officer(), WHY)
        assert len(refused.value.sentence.split()) > 4
    with pytest.raises(RoleMissing):
        south.service.flags.set({"message": name}, "minor_offence", until(south), AUDIT, WHY)
    assert south.service.flags.listed() == []


@pytest.mark.spec("NODE-171")
def test_an_agency_is_not_flagged_by_instalments(world: World, south: WorldNode) -> None:
    name, theirs = asked(world), asked(world, by=EAST)
    made = [flag(south, name, days=1 + n) for n in range(MANY)]
    with pytest.raises(FlagTooWide, match="more would be a flag on the agency"):
        flag(south, name)
    flag(south, theirs)  # others' are counted for themselves
    south.service.flags.lift(made[-1]["id"], south.officer(), WHY)
    flag(south, name)
    world.clock.advance(days=2)
    assert {one["state"] for one in south.service.flags.listed() if one["until"] < made[2]["until"]} == {"expired"}
    flag(south, name)


@pytest.mark.spec("NODE-172")
def test_a_flag_ends_by_the_clock_and_is_renewed_before_with_a_reason(world: World, south: WorldNode) -> None:
    name, flags, officer = asked(world), south.service.flags, south.officer()
    one = flag(south, name, days=90)
    world.clock.advance(days=89)
    with pytest.raises(FlagTooWide):
        flags.renew(one["id"], until(south, 91), officer, AGAIN)
    flags.renew(one["id"], until(south, 90), officer, AGAIN)
    world.clock.advance(days=90, seconds=-1)
    assert flags.offer(name)["flag"] == one["id"]
    world.clock.advance(seconds=1)
    south.service.sweep()
    assert flags.listed(state="expired")[0]["id"] == one["id"]
    for _ in range(2):
        with pytest.raises(NotHere):
            flags.offer(name)
        for ended in (
            lambda: flags.renew(one["id"], until(south), officer, AGAIN),
            lambda: flags.lift(one["id"], officer, AGAIN),
        ):
            with pytest.raises(NotWaiting):
                ended()
        world.clock.now -= timedelta(days=3)  # set back: it stays ended
    outcomes = [act["outcome"] for act in acts(south) if "flag" in act["outcome"]]
    assert outcomes == ["flagged", "flag_renewed"]


@pytest.mark.spec("NODE-172")
def test_a_flag_that_was_lifted_offers_nothing(world: World, south: WorldNode) -> None:
    name = asked(world)
    one = flag(south, name)
    assert south.service.flags.lift(one["id"], south.officer(), WHY)["state"] == "lifted"
    with pytest.raises(NotHere):
        south.service.flags.offer(name)
    with pytest.raises(NotWaiting):
        south.service.flags.lift(one["id"], south.officer(), WHY)
    with pytest.raises(NotHere):
        south.service.flags.renew("nothing", until(south), south.officer(), WHY)
    assert acts(south)[-1]["outcome"] == "flag_lifted"


@pytest.mark.spec("NODE-174")
def test_ground_and_reason_are_locked_and_a_flag_is_not_stretched_in_the_books(world: World, south: WorldNode) -> None:
    name, elsewhere = asked(world), asked(world, "XN-2026/78")
    flag(south, name)
    for file in world.home.glob(f"{SOUTH}.db*"):
        data = file.read_bytes()
        assert b"judicial_authorisation" not in data
        assert b"stayed everything" not in data
    books = sqlite3.connect(world.home / f"{SOUTH}.db", isolation_level=None)
    books.execute("UPDATE flag SET until = '2036-01-01T00:00:00.000Z'")
    with pytest.raises(HoldingBroken):
        south.service.flags.offer(name)
    books.execute("UPDATE flag SET name = ?", (elsewhere,))
    books.close()
    with pytest.raises(HoldingBroken):
        south.service.flags.answer(elsewhere, south.officer(), WHY)

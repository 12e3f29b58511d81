"""A broker that keeps two logs under one name, and shows one to some and the other to others (NODE-39, RCT-9).

Two real brokers with the same keys on two books, real nodes, real sockets. Nobody witnesses, and nobody compares by
hand: the first receipt that one of the two gives the other is enough.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import ix
from agencies.node.errors import LogForked
from exercises.world import WorldNode
from keys.encoding import stamp
from tests.adversary.two_faced import TwoFacedWorld
from tests.agencies.node.conftest import HARBOUR, NORTH, REQUEST, SOUTH, TERMS

run = CliRunner()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[TwoFacedWorld]:
    """North sees one face of the broker; south sees the other."""
    with TwoFacedWorld(tmp_path, [NORTH, SOUTH, HARBOUR], shown=(SOUTH,)) as made:
        made.agreements["shore"] = made.agree(TERMS)
        yield made


@pytest.fixture
def north(world: TwoFacedWorld) -> WorldNode:
    return world.node(NORTH)


@pytest.fixture
def south(world: TwoFacedWorld) -> WorldNode:
    return world.node(SOUTH)


def kept(node: WorldNode) -> list[dict[str, Any]]:
    return list(node.service.evidence(node.officer("auditor")))


def judged(world: TwoFacedWorld, node: WorldNode, folder: Path) -> Any:
    """What a stranger finds in what a node kept, with a file, a command and the federation's id."""
    told = {"evidence": kept(node), "trust": node.service.trusted()}
    file = folder / "kept.json"
    file.write_text(json.dumps(told, ensure_ascii=False))
    at = stamp(world.clock())
    return run.invoke(ix.app, ["audit", "evidence", str(file), f"--fed={world.federation.fed}", "--json", "--at", at])


def exchanged(north: WorldNode, south: WorldNode) -> str:
    """One exchange: a message, and the receipt for it on its way back."""
    sent = north.send(REQUEST, SOUTH)
    assert sent.state == "sent"
    assert south.collect() == [sent.msg]
    return str(sent.msg)


@pytest.mark.spec("NODE-39")
def test_two_books_that_are_one_log_are_no_lie(world: TwoFacedWorld, north: WorldNode, south: WorldNode) -> None:
    """Two processes, two sets of signatures on the same roots: nobody is accused of anything."""
    message = exchanged(north, south)
    south.open(message)
    north.collect()
    assert north.receipts(message) == [(SOUTH, "delivered"), (SOUTH, "opened")]
    assert kept(north) == kept(south) == []


@pytest.mark.spec("NODE-39", "WIT-50", "WIT-51", "WIT-54")
def test_a_second_log_is_found_by_the_sender_within_one_exchange(
    world: TwoFacedWorld, north: WorldNode, south: WorldNode, tmp_path: Path
) -> None:
    """What one asked is kept from the other's log. Then one message and its receipt, and the broker is convicted."""
    world.hide_from("b")
    assert north.send(REQUEST, SOUTH).state == "sent"
    world.hide_from(None)
    message = exchanged(north, south)
    for _ in range(3):  # asked again, it stays so, and is kept once
        with pytest.raises(LogForked):
            north.collect()
    (one,) = kept(north)
    assert (one["kind"], one["detail"]["by"]) == ("log_forked", SOUTH)
    assert north.receipts(message) == []
    found = judged(world, north, tmp_path)
    assert found.exit_code == 0, found.output
    (proven,) = json.loads(found.stdout)["proven"]
    assert (proven["code"], proven["who"]) == ("log_forked", "broker")
    assert proven["facts"]["size"] < proven["facts"]["larger"]
    assert proven["facts"]["signed_root"] != proven["facts"]["own_root"]


@pytest.mark.spec("NODE-39", "RCT-9", "WIT-52")
def test_a_log_that_was_longer_than_the_place_of_its_own_receipt_convicts_itself(
    world: TwoFacedWorld, north: WorldNode, south: WorldNode, tmp_path: Path
) -> None:
    """The other face is the longer one: the sender has no root at that size, and needs none."""
    world.hide_from("a")
    for _ in range(3):
        south.send(REQUEST, NORTH)
    world.hide_from(None)
    message = exchanged(north, south)
    with pytest.raises(LogForked):
        north.collect()
    (one,) = kept(north)
    assert {"batch", "entry", "proof", "by"} <= one["detail"].keys()
    assert north.receipts(message) == []
    found = judged(world, north, tmp_path)
    assert found.exit_code == 0, found.output
    (proven,) = json.loads(found.stdout)["proven"]
    assert (proven["code"], proven["who"]) == ("log_forked", "broker")
    assert proven["facts"]["size"] > proven["facts"]["index"]


@pytest.mark.spec("NODE-39")
def test_what_such_a_broker_has_left_is_to_keep_every_receipt_back(
    world: TwoFacedWorld, north: WorldNode, south: WorldNode
) -> None:
    """Nothing is found out then; but a sender without a receipt knows that it has none, and asks by other ways."""
    world.hide_from("b")
    north.send(REQUEST, SOUTH)
    world.hide_from(None)
    sent = north.send(REQUEST, SOUTH)
    world.hide_from("a")
    assert south.collect() == [sent.msg]
    north.collect()
    assert kept(north) == []
    assert north.receipts(str(sent.msg)) == []


@pytest.mark.spec("NODE-36", "WIT-51")
@pytest.mark.parametrize(("hers", "theirs"), [(1, 3), (3, 1), (2, 2)])
def test_who_is_shown_the_other_log_later_has_something_to_show_to_strangers(
    world: TwoFacedWorld, north: WorldNode, south: WorldNode, tmp_path: Path, hers: int, theirs: int
) -> None:
    """What a node keeps of its own line of checkpoints convicts as well as what another member tells."""
    world.hide_from("b")
    for _ in range(hers):
        north.send(REQUEST, SOUTH)
    world.hide_from("a")
    for _ in range(theirs):
        south.send(REQUEST, NORTH)
    north.service.watch.look()
    for address in world.faces.sees:
        world.faces.sees[address] = "b"
    with pytest.raises(LogForked):
        north.service.watch.look()
    found = judged(world, north, tmp_path)
    assert found.exit_code == 0, found.output
    assert [one["code"] for one in json.loads(found.stdout)["proven"]] == ["log_forked"]

"""Where a message is: every holder, with proofs anybody can check, by the originator's own books (NODE-155 to 157)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agencies.node.errors import NotHere
from exchange.protocol.act import read_act
from exchange.protocol.entry import ActEntry, parse_entry
from exchange.protocol.log import verify_tlog_proof
from exercises.world import World
from keys.encoding import unb64u, write_json
from tests.agencies.node.tree import CONTENT, A, B, C, D, answer, chain, lorry_watch, recalled, stands, told


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with lorry_watch(tmp_path) as made:
        yield made


@pytest.mark.spec("NODE-155", "NODE-124")
def test_everything_that_is_shown_can_be_verified_by_a_stranger(world: World) -> None:
    first, _, _ = chain(world)
    recalled(world, first)
    answer(world.node(C), "restricted")
    world.settle()
    log, directory = world.federation.directory.root.log, world.federation.directory
    found = stands(world, first)[C]["answers"][0]["answer"]
    (told_,) = world.node(A).service.whereabouts.of(first)["told"]
    for proved, by in ((found, C), (told_, A)):
        data = unb64u(proved["entry"])
        index, _ = verify_tlog_proof(proved["proof"], data, log)
        entry = parse_entry(data)
        assert isinstance(entry, ActEntry)
        act = read_act(write_json(proved["statement"]), directory, entry.at)
        assert (index, entry.statement, act.terms.by, act.terms.msg) == (proved["index"], act.digest, by, first)


@pytest.mark.spec("NODE-156")
def test_the_list_is_shown_with_no_broker_and_says_how_far_it_goes(world: World) -> None:
    first, second, third = chain(world)
    recalled(world, first)
    answer(world.node(B), "erased")
    world.settle()
    north = world.node(A)
    size = north.service.following.read_on()
    world.stop_broker()
    shown = world.restart_node(A).service.whereabouts.of(first)
    assert shown["log_size"] == size
    ways = {one["id"]: [(way["msg"], way["depth"]) for way in one["through"]] for one in shown["holders"]}
    assert ways == {B: [(first, 0)], C: [(second, 1)], D: [(third, 2)]}
    assert (shown["silent"], shown["settled"]) == ([C, D], False)
    with pytest.raises(NotHere):
        north.service.whereabouts.of(second)
    world.start_broker()


@pytest.mark.spec("NODE-155")
def test_before_anything_is_asked_nobody_is_silent(world: World) -> None:
    first = told(world, B, C)
    shown = world.node(A).service.whereabouts.of(first)
    assert (shown["told"], shown["silent"], shown["overdue"], shown["settled"]) == ([], [], [], False)
    assert [one["id"] for one in shown["holders"]] == [B, C]


@pytest.mark.spec("NODE-157")
def test_a_holder_that_opens_what_it_says_it_erased_is_named(world: World) -> None:
    first, south = told(world, B), world.node(B)
    recalled(world, first)
    answer(south, "erased")
    with south.store.writing() as books:
        books.add("owed", [{"msg": first, "status": "opened", "code": None}])
    world.settle()
    (wrong,) = stands(world, first)[B]["contradictions"]
    assert (wrong["did"], wrong["code"]) == ("receipt", "erasure_contradicted")
    assert wrong["index"] > wrong["said_index"]
    assert world.node(A).service.whereabouts.of(first)["contradicted"] == [B]


@pytest.mark.spec("NODE-157")
def test_a_disclosure_after_the_recall_stands_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first, liar = told(world, B), world.node(B)
    recalled(world, first)
    monkeypatch.setattr("exchange.protocol.decision.judge_sources", lambda *_: None)
    monkeypatch.setattr(liar.service.sending._onward, "must_pass", lambda *_: None)
    sent = liar.send({**CONTENT, "sources": [{"msg": first, "fields": [""]}]}, D, src=[first])
    found = stands(world, first)
    (way,) = found[D]["through"]
    assert (way["msg"], way["after_the_recall"], found[D]["answers"]) == (sent.msg, True, [])

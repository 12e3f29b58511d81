"""Restrict, rectify, recall at a holder: closed at once, answered by an officer, really erased (NODE-150 to 154)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agencies.node.errors import (
    BrokerUnreachable,
    DraftMalformed,
    NoLongerHere,
    NotHere,
    NotWaiting,
    Restricted,
    RoleMissing,
)
from exchange.protocol.vocabulary import AfterGround
from exercises.world import World, WorldNode
from keys.errors import Refusal
from tests.agencies.node.conftest import acts
from tests.agencies.node.tree import (
    CONTENT,
    WHY,
    A,
    B,
    C,
    answer,
    chain,
    consented,
    forwarded,
    lorry_watch,
    recalled,
    stands,
    told,
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with lorry_watch(tmp_path) as made:
        yield made


def give(world: World, message: str, kind: str = "recall", **how: Any) -> Any:
    north = world.node(A)
    return north.service.recalls.give(
        kind, message, north.officer("release_officer"), WHY, **{"ground": "inaccurate", **how}
    )


def duty(node: WorldNode) -> dict[str, Any]:
    (found,) = node.service.recalls.duties()
    return found


@pytest.mark.spec("NODE-150")
@pytest.mark.parametrize("ground", list(AfterGround))
def test_a_release_officer_takes_a_message_back_on_a_ground_of_the_list(world: World, ground: str) -> None:
    first, north = told(world, B), world.node(A)
    with pytest.raises(RoleMissing):
        north.service.recalls.give("recall", first, north.officer(), WHY, ground=ground)
    assert give(world, first, ground=ground).state == "sent"
    world.node(B).collect()
    assert duty(world.node(B))["ground"] == ground
    last = acts(north)[-1]
    assert (last["act"], last["outcome"], last["to"], last["why"]) == ("recall", "recall", [B], WHY.text)


@pytest.mark.spec("NODE-150")
@pytest.mark.parametrize(
    ("how", "refusal"),
    [
        ({"kind": "answer"}, DraftMalformed), ({"ground": "regret"}, DraftMalformed),
        ({"by_msg": "A" * 43}, DraftMalformed), ({"kind": "rectify"}, DraftMalformed),
        ({"message": "A" * 43}, NotHere),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_recall_is_refused_before_anything_is_signed(
    world: World, how: dict[str, Any], refusal: type[Refusal]
) -> None:
    first = told(world, B)
    with pytest.raises(refusal):
        give(world, **{"message": first, **how})
    assert world.node(A).service.acts.about(first) == []


@pytest.mark.spec("NODE-151")
@pytest.mark.parametrize("kind", ["recall", "restrict"])
def test_a_recall_closes_what_came_and_what_was_made_of_it_in_the_transaction_that_files_it(
    world: World, kind: str
) -> None:
    first, second, _ = chain(world)
    south, before = world.node(B), world.node(B).open(first)
    assert before["type"] == "spontaneous_info"
    give(world, first, kind)
    south.service.collect()  # one look, no round, no officer
    for message in (first, second):
        with pytest.raises(Restricted):
            south.service.open(message, south.officer(), WHY)
        with pytest.raises(Restricted):
            south.service.export(message, south.officer(), WHY)
    with pytest.raises(Refusal):
        forwarded(world, B, C, first)
    assert {act["outcome"] for act in acts(south) if act["act"] == "attempt_denied"} == {"restricted"}


@pytest.mark.spec("NODE-151")
def test_a_rectification_closes_nothing_and_names_the_message_that_corrects(world: World) -> None:
    first, north, south = told(world, B), world.node(A), world.node(B)
    better = north.send({**CONTENT, "as_of": "2026-11-20"}, B).msg or ""
    give(world, first, "rectify", by_msg=better)
    world.settle()
    assert (duty(south)["by_msg"], duty(south)["may_answer"][0]) == (better, "rectified")
    assert south.open(first)["as_of"] == "2026-11-19"
    with pytest.raises(Refusal):
        forwarded(world, B, C, first)
    answer(south, "rectified")
    world.settle()
    assert stands(world, first)[B]["answers"][0]["answer"]["outcome"] == "rectified"


@pytest.mark.spec("NODE-152")
def test_the_list_tells_what_is_concerned_where_it_went_and_by_when_to_answer(world: World) -> None:
    first, second, _ = chain(world)
    south = world.node(B)
    south.service.export(first, south.officer(), WHY)
    give(world, first)
    world.settle()
    found = duty(south)
    assert found["held"] == [first, second]
    assert found["passed_on"] == [{"msg": second, "to": [C]}]
    assert [one["msg"] for one in found["exported"]] == [first]
    assert (found["kind"], found["originator"], found["state"], found["overdue"]) == ("recall", A, "open", False)
    world.clock.advance(hours=73)
    assert duty(south)["overdue"] is True


@pytest.mark.spec("NODE-152")
@pytest.mark.parametrize(
    ("outcome", "ground"),
    [("rectified", None), ("gone", None), ("retained", None), ("erased", "case_open"), ("retained", "because")],
)
def test_an_answer_that_does_not_fit_is_refused_and_changes_nothing(
    world: World, outcome: str, ground: str | None
) -> None:
    recalled(world, told(world, B))
    south = world.node(B)
    with pytest.raises(DraftMalformed):
        answer(south, outcome, ground)
    with pytest.raises(RoleMissing):
        south.service.recalls.answer(duty(south)["act"], south.officer(), WHY, outcome="erased")
    with pytest.raises(NotHere):
        south.service.recalls.answer("A" * 43, south.officer("release_officer"), WHY, outcome="erased")
    assert duty(south)["state"] == "open"


@pytest.mark.spec("NODE-153")
def test_erased_means_that_nothing_of_it_is_left_in_the_books(world: World) -> None:
    first, second, _ = chain(world)
    south = world.node(B)
    south.open(first)
    recalled(world, first)
    answer(south, "erased")
    with south.store.reading() as books:
        (inbox,) = books.inbox_of([first])
        outbox: Any = books.get("outbox", msg=second)
    assert (inbox.content, inbox.parcel, outbox.content, outbox.draft) == (None, None, None, None)
    for message in (first, second):
        with pytest.raises((NoLongerHere, Restricted)):
            south.service.open(message, south.officer(), WHY)
    erased = [act for act in acts(south) if act["act"] == "erase"]
    assert {act["msg"] for act in erased} == {first, second}
    assert {act["officer"] for act in erased} == {"sp-release"}
    assert [act["outcome"] for act in acts(south) if act["act"] == "recall_ack"] == ["erased"]
    with pytest.raises(NotWaiting):
        south.service.recalls.answer(duty(south)["act"], south.officer("release_officer"), WHY, outcome="erased")


@pytest.mark.spec("NODE-153")
def test_what_is_retained_opens_for_its_ground_and_nothing_else(world: World) -> None:
    first, south = told(world, B), world.node(B)
    recalled(world, first)
    answer(south, "retained", "judicial_proceedings")
    release = south.officer("release_officer")
    for officer, ground in ((release, None), (release, "case_open"), (south.officer(), "judicial_proceedings")):
        with pytest.raises(Restricted):
            south.service.open(first, officer, WHY, ground=ground)
    assert south.service.open(first, release, WHY, ground="judicial_proceedings")
    world.settle()
    said = stands(world, first)[B]["answers"][0]["answer"]
    assert (said["outcome"], said["ground"]) == ("retained", "judicial_proceedings")
    act = duty(south)["act"]
    south.service.recalls.answer(act, release, WHY, outcome="erased")  # the court is done
    world.settle()
    assert stands(world, first)[B]["answers"][0]["answer"]["outcome"] == "erased"
    assert world.audit().clean


@pytest.mark.spec("NODE-153", "ACT-15")
def test_nothing_is_erased_before_the_receipts_about_it_are_handed_in(world: World, crook: Any) -> None:
    first, south = told(world, B), world.node(B)

    def deaf(*_: Any) -> None:
        raise BrokerUnreachable("the line is dead")

    recalled(world, first)
    with south.store.writing() as books:
        books.add("owed", [{"msg": first, "status": "opened", "code": None}])
    crook(south, receipts=deaf)
    with pytest.raises(BrokerUnreachable):
        answer(south, "erased")
    assert duty(south)["state"] == "open"
    with south.store.reading() as books:
        (row,) = books.inbox_of([first])
    assert row.content is not None
    crook(south)
    world.clock.advance(hours=1)
    answer(south, "erased")


@pytest.mark.spec("NODE-154", "ACT-14")
def test_what_was_erased_before_is_answered_by_rule_and_not_while_mail_is_in_doubt(world: World) -> None:
    first, south = told(world, B), world.node(B)
    south.service.erase(first, south.officer("release_officer"), WHY)
    give(world, first)
    with south.store.writing() as books:
        books.add("doubt", [{"after": 1, "upto": 2, "since": "2026-11-21T16:20:00.000Z", "attempts": 9, "due": "2027"}])
    south.service.collect()
    south.service.retry_outbox()
    assert duty(south)["state"] == "open"
    with south.store.writing() as books:
        assert books.clear_doubt(1, 9)
    assert south.service.retry_outbox() == 1
    assert (duty(south)["state"], duty(south)["outcome"]) == ("answered", "erased")
    world.settle()
    assert stands(world, first)[B]["answers"][0]["answer"]["outcome"] == "erased"
    assert world.node(A).service.whereabouts.of(first)["contradicted"] == []


@pytest.mark.spec("NODE-121")
def test_an_answer_that_the_broker_refuses_is_open_again(world: World, crook: Any) -> None:
    from agencies.node.errors import BrokerRefused

    recalled(world, told(world, B))
    south = world.node(B)

    def no(*_: Any) -> None:
        raise BrokerRefused("act_refused", "not like this")

    crook(south, act=no)
    (open_,) = south.service.recalls.duties(state="open")
    release = south.officer("release_officer")
    deed = south.service.recalls.answer(open_["act"], release, WHY, outcome="restricted")
    assert (deed.state, deed.code) == ("refused", "act_refused")
    assert (duty(south)["state"], duty(south)["answer"]) == ("open", None)
    crook(south)
    world.clock.advance(minutes=1)
    answer(south, "restricted")


@pytest.mark.spec("NODE-151")
def test_a_recall_that_comes_while_the_log_cannot_be_read_still_closes_what_is_here(world: World, crook: Any) -> None:
    first, south = told(world, B), world.node(B)
    give(world, first)

    def gone(*_: Any) -> bytes:
        raise BrokerUnreachable("the log is not served")

    south.service.watch.look()
    honest = south.service.office.broker

    def some(_: Any, path: str) -> bytes:
        if path == "checkpoint" or "entries" in path:
            raise BrokerUnreachable("the log is not served")
        return honest.log_file(path)

    crook(south, log_file=some, checkpoint=gone)
    south.service.collect()
    with pytest.raises(Restricted):
        south.service.open(first, south.officer(), WHY)


def test_a_second_holder_of_the_same_message_answers_for_itself(world: World) -> None:
    first = told(world, B, C)
    consented(world, A, B, C, first)
    forwarded(world, B, C, first)
    recalled(world, first)
    answer(world.node(C), "erased")
    world.settle()
    found = stands(world, first)
    assert [way["depth"] for way in found[C]["through"]] == [0, 1]
    assert (found[C]["silent_since"], found[B]["silent_since"] is None) == (None, False)

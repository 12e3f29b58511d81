"""Consents: asked for, decided by a person who did not send it, never more than was asked (NODE-140 to NODE-143)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies.node.after.consents import _decided
from agencies.node.errors import DraftMalformed, NotHere, NotWaiting, OnwardRefused, ReleaseRefused, RoleMissing
from agencies.node.profile import Officer, OfficerRole
from exercises.world import World
from tests.agencies.node.conftest import acts
from tests.agencies.node.tree import WHY, A, B, C, D, forwarded, lorry_watch, told, until


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with lorry_watch(tmp_path) as made:
        yield made


def ask(world: World, message: str, **other: Any) -> str:
    south = world.node(B)
    wanted: dict[str, Any] = {"want": "onward", "to": [C], "purposes": ["investigate"], "until": until(world)}
    deed = south.service.consents.ask(message, south.officer(), WHY, **{**wanted, **other})
    assert deed.state == "sent", deed
    world.node(A).collect()
    return deed.digest


def decide(world: World, act: str, **how: Any) -> Any:
    north = world.node(A)
    deed = north.service.consents.decide(act, north.officer("release_officer"), WHY, **{"approve": True, **how})
    world.node(B).collect()
    return deed


@pytest.mark.spec("NODE-140", "ACT-12")
def test_nothing_goes_on_until_a_release_officer_has_agreed_and_then_only_what_was_agreed(world: World) -> None:
    first, south = told(world, B), world.node(B)
    act = ask(world, first)
    for _ in range(3):
        world.settle()
    assert south.service.consents.live(first) == ()
    with pytest.raises(OnwardRefused):
        forwarded(world, B, C, first)
    decide(world, act)
    (agreed,) = south.service.consents.live(first, "onward")
    assert (agreed.holder, agreed.to, agreed.purposes, agreed.fields) == (B, {C}, {"investigate"}, ("",))
    assert south.service.consents.live(first, "evidence") == ()
    with pytest.raises(OnwardRefused):
        forwarded(world, B, D, first)
    forwarded(world, B, C, first)
    assert world.audit().clean


@pytest.mark.spec("NODE-140")
def test_an_ask_is_decided_by_a_release_officer_who_did_not_send_the_message(world: World) -> None:
    first, north = told(world, B), world.node(A)
    act = ask(world, first)
    with pytest.raises(RoleMissing):
        north.service.consents.decide(act, north.officer(), WHY, approve=True)
    sender = Officer(north.officer().id, frozenset({OfficerRole.RELEASE_OFFICER}))
    with pytest.raises(ReleaseRefused):
        north.service.consents.decide(act, sender, WHY, approve=True)
    assert [one["state"] for one in north.service.consents.listed()] == ["open"]
    deed = decide(world, act)
    last = acts(north)[-1]
    assert (last["act"], last["outcome"], last["to"]) == ("consent", "consent", [B, C])
    assert deed.terms.re == act


@pytest.mark.spec("NODE-141")
@pytest.mark.parametrize(
    "more",
    [
        {"to": [C, D]}, {"to": []}, {"purposes": ["border_check"]}, {"purposes": []}, {"fields": [""]}, {"fields": []},
        {"days": 60}, {"approve": False}, {"approve": False, "ground": "because"},
    ],
    ids=str,
)  # fmt: skip
def test_a_decision_gives_no_more_than_was_asked_and_says_on_which_ground_it_declines(
    world: World, more: dict[str, Any]
) -> None:
    act = ask(world, told(world, B), fields=["/narrative/0"])
    if "days" in more:
        more = {"until": until(world, more["days"])}
    with pytest.raises(DraftMalformed):
        decide(world, act, **more)
    assert [one["state"] for one in world.node(A).service.consents.listed()] == ["open"]


@pytest.mark.spec("NODE-141")
def test_less_than_was_asked_may_be_agreed(world: World) -> None:
    first = told(world, B)
    act = ask(world, first, to=[C, D], purposes=["border_check", "investigate"])
    decide(world, act, to=[C], purposes=["border_check"], fields=["/entities/0"], until=until(world, 1))
    (agreed,) = world.node(B).service.consents.live(first)
    assert (agreed.to, agreed.purposes, agreed.fields) == ({C}, {"border_check"}, ("/entities/0",))
    world.clock.advance(days=1)
    assert world.node(B).service.consents.live(first) == ()


@pytest.mark.spec("NODE-142")
def test_what_was_decided_stays_decided_and_the_asker_learns_it(world: World) -> None:
    first = told(world, B)
    act = ask(world, first)
    decide(world, act, approve=False, ground="jeopardise_investigation_or_safety")
    (asked,) = world.node(B).service.consents.listed()
    assert (asked["state"], asked["ground"]) == ("declined", "jeopardise_investigation_or_safety")
    with pytest.raises(NotWaiting):
        decide(world, act)
    with pytest.raises(NotHere):
        decide(world, "A" * 43)


@pytest.mark.spec("NODE-142", "NODE-143")
def test_a_consent_that_was_withdrawn_lets_nothing_go_on_any_more(world: World) -> None:
    first, north, south = told(world, B), world.node(A), world.node(B)
    consent = decide(world, ask(world, first)).digest
    release = north.officer("release_officer")
    north.service.consents.withdraw(consent, release, WHY)
    with pytest.raises(NotWaiting):
        north.service.consents.withdraw(consent, release, WHY)
    world.clock.advance(minutes=1)
    for nothing in ("A" * 43, ask(world, first)):
        with pytest.raises(NotHere):
            north.service.consents.withdraw(nothing, release, WHY)
    assert len(south.service.consents.live(first)) == 1  # it has not heard yet
    world.settle()
    assert south.service.consents.live(first) == ()
    with pytest.raises(OnwardRefused):
        forwarded(world, B, C, first)
    told_as_well = world.node(C).service.consents.listed()
    assert [(one["way"], one["holder"], one["state"]) for one in told_as_well] == [("in", B, "withdrawn")]
    assert world.node(C).service.consents.live(first) == ()  # it names another as the holder


def test_a_code_that_nobody_knows_and_an_own_message_are_refused(world: World) -> None:
    first, north = told(world, B), world.node(A)
    with pytest.raises(DraftMalformed):
        ask(world, first, want="everything")
    with pytest.raises(NotHere):
        north.service.consents.ask(
            first, north.officer(), WHY, want="evidence", purposes=["prosecute"], until=until(world)
        )
    with pytest.raises(NotHere):
        ask(world, "A" * 43)
    assert world.clock() + timedelta(days=30) == until(world)


@pytest.mark.spec("NODE-143")
@pytest.mark.parametrize(
    "edit",
    [
        {"recipients": f"{C} {D}"}, {"purposes": "investigate prosecute"}, {"fields": '["","/narrative"]'},
        {"until": "2036-01-01T00:00:00.000Z"}, {"want": "evidence"}, {"originator": D},
    ],
    ids=lambda edit: next(iter(edit)),
)  # fmt: skip
def test_a_consent_that_somebody_wrote_into_the_books_allows_nothing(world: World, edit: dict[str, str]) -> None:
    first, south = told(world, B), world.node(B)
    consent = decide(world, ask(world, first)).digest
    assert len(south.service.consents.live(first)) == 1
    with south.store.writing() as books:
        assert books.turn("consents", {"digest": consent}, edit)
    assert south.service.consents.live(first) == ()
    with south.store.writing() as books:
        row = books.get("consents", digest=consent)
        books.add("consents", [{**row._mapping, "digest": "A" * 43}])  # type: ignore[union-attr]
    assert south.service.consents.live(first) == ()


@pytest.mark.spec("NODE-120", "NODE-142")
def test_of_two_officers_who_decide_at_once_one_decides_and_the_other_signs_nothing(world: World) -> None:
    first, north = told(world, B), world.node(A)
    act = ask(world, first)
    with north.store.reading() as books:
        row = books.get("consents", digest=act)
    decide(world, act)
    with pytest.raises(NotWaiting):
        north.service.acts.give(
            "decline", first, north.officer("release_officer"), WHY, beside=_decided(row, "declined", "minor_offence"),
            re=act, ground="minor_offence",
        )  # fmt: skip
    assert [one.kind for one in north.service.acts.about(first)] == ["ask", "consent"]

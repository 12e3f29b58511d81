"""A recall goes down the whole tree, whatever became of the agreements (MISP's issues #4681 and #7409 as regressions).

In MISP a deletion stopped where the event had been passed on, and whoever had deleted what they were sent could not
be told from whoever had not. Here everybody down the chain is told, everybody's answer is signed and logged, silence
has a name and a clock, and a word that is broken is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies.node.errors import NoLongerHere, Restricted
from agencies.node.ledger import justify
from exercises.world import World, WorldNode, sample
from keys.errors import Refusal

A, B, C, D, HUB = "north.police.sim", "south.police.sim", "east.border.sim", "north.fiu.sim", "coast.hub.sim"
WHY = justify("case_assigned", "what was said about the lorry turned out to be wrong")
CONTENT = sample("spontaneous_info")
CATS = [
    "smug_a_routes", "smug_c_documents", "smug_d_concealment", "traf_b_documents", "data_identification",
    "data_transport",
]  # fmt: skip
CLAUSE = {
    "id": "tell", "effect": "permit", "title": "Any of us may tell another", "from": ["party:any"],
    "to": ["party:any"], "types": ["spontaneous_info"], "purposes": ["investigate", "border_check"],
    "crimes": ["immigrant_smuggling"], "cats": CATS, "class_max": "restricted",
    "conditions": {
        "handling_required": [], "urgency": ["u_direct", "u_indirect", "normal", "none"], "onward": "by_consent",
        "retention_days": 90, "evidence": True, "human_release": False,
    },
}  # fmt: skip
TERMS: dict[str, Any] = {
    "id": "lorry-watch", "version": 1, "title": "Lorry watch (SIMULATION)", "kind": "police_cooperation",
    "parties": [A, B, C, D], "bases": ["multilateral_agreement"], "territory": ["XE", "XN", "XS"],
    "start": "2026-01-01T00:00:00Z", "end": "2036-01-01T00:00:00Z", "clauses": [CLAUSE],
}  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, [A, B, C, D], agreements=()) as made:
        made.agreements["lorry"] = made.agree(TERMS)
        yield made


def until(world: World, days: int = 30) -> datetime:
    return world.clock() + timedelta(days=days)


def consented(world: World, originator: str, holder: str, to: str, message: str) -> None:
    """Have a holder ask, and the originator's release officer agree."""
    asks, owner = world.node(holder), world.node(originator)
    asked = asks.service.consents.ask(
        message, asks.officer(), WHY, want="onward", to=[to], purposes=["investigate"], until=until(world)
    )
    assert asked.state == "sent"
    owner.collect()
    (waiting,) = owner.service.consents.waiting()
    assert (waiting["holder"], waiting["to"], waiting["msg"]) == (holder, [to], message)
    given = owner.service.consents.decide(waiting["act"], owner.officer("release_officer"), WHY, approve=True)
    assert given.state == "sent"
    world.settle()


def forwarded(world: World, by: str, to: str, message: str) -> str:
    node = world.node(by)
    sent = node.service.forward(
        message, [to], [""], "investigate", node.officer(), WHY, text="The lorry was seen on your side of the border."
    )
    assert sent.state == "sent", [one["nearest"] for one in (sent.reasons or {})["recipients"]]
    assert world.node(to).collect() == [sent.msg]
    return sent.msg or ""


def chain(world: World) -> tuple[str, str, str]:
    """A tells B, B tells C, C tells D, each with the consents that takes."""
    sent = world.node(A).send(CONTENT, B)
    assert sent.state == "sent", [one["nearest"] for one in (sent.reasons or {})["recipients"]]
    first = sent.msg or ""
    world.node(B).collect()
    consented(world, A, B, C, first)
    second = forwarded(world, B, C, first)
    consented(world, A, C, D, first)
    consented(world, B, C, D, second)
    return first, second, forwarded(world, C, D, second)


def recalled(world: World, message: str) -> str:
    node = world.node(A)
    deed = node.service.recalls.give("recall", message, node.officer("release_officer"), WHY, ground="inaccurate")
    assert deed.state == "sent"
    world.settle()
    return deed.digest


def answer(node: WorldNode, outcome: str, ground: str | None = None) -> str:
    (duty,) = node.service.recalls.duties(state="open")
    deed = node.service.recalls.answer(
        duty["act"], node.officer("release_officer"), WHY, outcome=outcome, ground=ground
    )
    assert deed.state == "sent"
    return deed.digest


def stands(world: World, message: str) -> dict[str, dict[str, Any]]:
    node = world.node(A).service
    node.following.read_on()
    return {one["id"]: one for one in node.whereabouts.of(message)["holders"]}


@pytest.mark.spec("NODE-150", "NODE-151", "NODE-155", "ACT-13", "ACT-14")
def test_a_recall_reaches_everybody_down_the_chain_though_the_agreement_has_lapsed(world: World) -> None:
    first, second, third = chain(world)
    world.node(B).service.give_notice("leave", world.agreements["lorry"], world.node(B).officer("release_officer"), "x")
    world.settle()
    recalled(world, first)
    for agency, message in ((B, first), (C, second), (D, third)):  # closed at once, before anybody has looked
        with pytest.raises(Restricted):
            world.node(agency).open(message)
    answer(world.node(B), "erased")
    answer(world.node(C), "retained", "judicial_proceedings")
    world.settle()
    found = stands(world, first)
    assert {name: len(one["answers"]) for name, one in found.items()} == {B: 1, C: 1, D: 1}
    assert found[B]["answers"][0]["answer"]["outcome"] == "erased"
    assert found[C]["answers"][0]["answer"]["ground"] == "judicial_proceedings"
    assert (found[D]["silent_since"] is not None, found[D]["overdue"]) == (True, False)
    world.clock.advance(hours=73)
    assert stands(world, first)[D]["overdue"] is True
    with pytest.raises(NoLongerHere):
        world.node(B).open(first)
    answer(world.node(D), "erased")
    world.settle()
    assert world.node(A).service.whereabouts.of(first)["settled"] is True
    assert world.audit().clean

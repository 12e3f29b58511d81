"""A tells B, B tells C, C tells D: a tree of onward disclosures, each with the consents that it takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agencies.node.ledger import justify
from exercises.world import World, WorldNode, sample

A, B, C, D = "north.police.sim", "south.police.sim", "east.border.sim", "north.fiu.sim"
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


@contextmanager
def lorry_watch(home: Path) -> Iterator[World]:
    """A world of four agencies under one agreement: what is told goes on only by consent."""
    with World(home, [A, B, C, D], agreements=()) as made:
        made.agreements["lorry"] = made.agree(TERMS)
        yield made


def until(world: World, days: int = 30) -> datetime:
    """So many days from now."""
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
    """Have one agency pass a message on to another, whole."""
    node = world.node(by)
    sent = node.service.forward(
        message, [to], [""], "investigate", node.officer(), WHY, text="The lorry was seen on your side of the border."
    )
    assert sent.state == "sent", [one["nearest"] for one in (sent.reasons or {})["recipients"]]
    assert world.node(to).collect() == [sent.msg]
    return sent.msg or ""


def told(world: World, *to: str) -> str:
    """Have A tell others something, and have them collect it."""
    sent = world.node(A).send(CONTENT, *to)
    assert sent.state == "sent", [one["nearest"] for one in (sent.reasons or {})["recipients"]]
    for agency in to:
        world.node(agency).collect()
    return sent.msg or ""


def chain(world: World) -> tuple[str, str, str]:
    """A tells B, B tells C, C tells D, each with the consents that takes."""
    first = told(world, B)
    consented(world, A, B, C, first)
    second = forwarded(world, B, C, first)
    consented(world, A, C, D, first)
    consented(world, B, C, D, second)
    return first, second, forwarded(world, C, D, second)


def recalled(world: World, message: str) -> str:
    """Have A recall a message, and everybody hear of it."""
    node = world.node(A)
    deed = node.service.recalls.give("recall", message, node.officer("release_officer"), WHY, ground="inaccurate")
    assert deed.state == "sent"
    world.settle()
    return deed.digest


def answer(node: WorldNode, outcome: str, ground: str | None = None) -> str:
    """Have a holder do the one thing that is wanted of it, and say so."""
    (duty,) = node.service.recalls.duties(state="open")
    deed = node.service.recalls.answer(
        duty["act"], node.officer("release_officer"), WHY, outcome=outcome, ground=ground
    )
    assert deed.state == "sent"
    return deed.digest


def stands(world: World, message: str) -> dict[str, dict[str, Any]]:
    """How every holder of a message of A's stands."""
    node = world.node(A).service
    node.following.read_on()
    return {one["id"]: one for one in node.whereabouts.of(message)["holders"]}

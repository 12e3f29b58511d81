"""Two police forces and a border guard under an agreement whose strings each test ties as it needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from agencies.node.profile import Officer, OfficerRole
from exchange.protocol.vocabulary import Category, MessageType
from exercises.world import World, WorldNode, sample
from tests.agencies.node.conftest import WHY

NORTH, SOUTH, EAST, PROSECUTOR = "north.police.sim", "south.police.sim", "east.border.sim", "north.prosecutor.sim"
TIP = sample("spontaneous_info")
"""A lorry with a compartment: two passages, three entities, one relationship, no person and no handling text."""
CONDITION = "To be shown to officers at the crossing only."
TOLD = {**TIP, "handling_text": CONDITION}
CONDITIONS = {
    "handling_required": [], "urgency": ["u_direct", "u_indirect", "normal", "none"], "onward": "within_parties",
    "evidence": True, "human_release": False,
}  # fmt: skip
PURPOSES = ["investigate", "prosecute", "detect", "border_check"]


def terms(
    parties: tuple[str, ...] = (NORTH, SOUTH, EAST), purge_days: int | None = None, **more: Any
) -> dict[str, Any]:
    """An agreement under which everybody may tell everybody everything, with these conditions."""
    clause = {
        "id": "all", "effect": "permit", "title": "Everybody may tell everybody", "from": ["party:any"],
        "to": ["party:any"], "types": [str(t) for t in MessageType if t != "exculpatory_notice"],
        "purposes": PURPOSES, "crimes": ["immigrant_smuggling"],
        "cats": [str(c) for c in Category], "class_max": "restricted", "conditions": {**CONDITIONS, **more},
    }  # fmt: skip
    purge = {} if purge_days is None else {"purge_days": purge_days}
    return {
        "id": f"strings-{len(parties)}", "version": 1, "title": "Strings attached (SIMULATION)",
        "kind": "police_cooperation", "parties": list(parties), "bases": ["multilateral_agreement"],
        "territory": ["XN", "XS", "XE"], **purge, "start": "2026-01-01T00:00:00Z", "end": "2030-01-01T00:00:00Z",
        "clauses": [clause],
    }  # fmt: skip


@contextmanager
def bound(home: Path, *agreements: dict[str, Any], agencies: tuple[str, ...] = (NORTH, SOUTH, EAST)) -> Iterator[World]:
    """A world with these agreements in force."""
    with World(home, agencies, agreements=()) as world:
        for one in agreements:
            world.agreements[one["id"]] = world.agree(one)
        yield world


def told(world: World, content: dict[str, Any] = TIP, to: tuple[str, ...] = (SOUTH,), **facts: Any) -> str:
    """Have north tell the others something, and have them collect it; its digest."""
    sent = world.node(NORTH).send(content, *to, **facts)
    assert sent.state == "sent", sent
    for agency in to:
        world.node(agency).collect()
    return sent.msg or ""


def able(node: WorldNode, role: str = "officer", **rights: Any) -> Officer:
    """An officer of a node with these rights."""
    return replace(node.officer(role), **rights)


def other(name: str, *roles: str, **rights: Any) -> Officer:
    """One more officer."""
    return Officer(name, frozenset(OfficerRole(role) for role in roles), **rights)


def consent(
    world: World, message: str, *, want: str, holder: str = SOUTH, to: tuple[str, ...] = (), purposes: tuple[str, ...],
    until: datetime, fields: tuple[str, ...] = ("",),
) -> str:  # fmt: skip
    """Have a holder ask north and north's release officer consent; the digest of the consent."""
    node, north = world.node(holder), world.node(NORTH)
    asked = node.service.consents.ask(
        message, node.officer(), WHY, want=want, purposes=purposes, until=until, to=to, fields=fields
    )
    north.collect()
    given = north.service.consents.decide(asked.digest, north.officer("release_officer"), WHY, approve=True)
    assert given.state == "sent", given
    node.collect()
    return given.digest

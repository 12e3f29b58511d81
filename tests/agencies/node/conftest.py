"""Two police forces and a victims' organisation around a real broker, in one process, on temporary files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agencies.node.broker_client import BrokerClient
from agencies.node.ledger import justify
from exercises.world import World, WorldNode, sample

NORTH, SOUTH, HARBOUR = "north.police.sim", "south.police.sim", "harbour.ngo.sim"
WHY = justify("case_assigned", "the landing at Gull Cove is mine since this morning")

_CONDITIONS = {
    "handling_required": [], "urgency": ["u_direct", "u_indirect", "normal", "none"], "onward": "none",
    "retention_days": 90, "evidence": True, "human_release": False,
}  # fmt: skip
_ASK = {
    "id": "ask", "effect": "permit", "title": "Either may ask the other", "from": ["role:police"],
    "to": ["role:police"], "types": ["info_request", "spontaneous_info"], "purposes": ["investigate"],
    "crimes": ["immigrant_smuggling"],
    "cats": [
        "smug_a_routes", "smug_b_groups", "smug_d_concealment", "person_suspect", "data_communications",
        "data_transport", "data_criminal_conduct", "data_identification", "traf_b_documents",
    ],
    "class_max": "restricted", "conditions": _CONDITIONS,
}  # fmt: skip
_SLOW = {
    **_ASK, "id": "slow", "title": "Evidence wants a second pair of eyes", "types": ["evidence_transfer"],
    "cats": [*_ASK["cats"], "data_attachment", "smug_c_documents"],
    "conditions": {**_CONDITIONS, "human_release": True},
}  # fmt: skip
TERMS: dict[str, Any] = {
    "id": "shore-to-shore", "version": 1, "title": "Shore to shore (SIMULATION)", "kind": "police_cooperation",
    "parties": [NORTH, SOUTH], "bases": ["bilateral_agreement"], "territory": ["XN", "XS"],
    "start": "2026-01-01T00:00:00Z", "end": "2036-01-01T00:00:00Z", "clauses": [_ASK, _SLOW],
}  # fmt: skip
CONDITIONAL = sample("smuggling_route_request")
"""A request with a handling text, which has to be acknowledged before it is opened."""
REQUEST = {name: value for name, value in CONDITIONAL.items() if name != "handling_text"}
EVIDENCE = sample("evidence_transfer")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world of three agencies; north and south have an agreement, harbour has none with anybody."""
    with World(tmp_path, [NORTH, SOUTH, HARBOUR], agreements=()) as made:
        made.agreements["shore"] = made.agree(TERMS)
        yield made


@pytest.fixture
def north(world: World) -> WorldNode:
    return world.node(NORTH)


@pytest.fixture
def south(world: World) -> WorldNode:
    return world.node(SOUTH)


class Crooked:
    """A broker's line on which some answers are changed after they were believed: a broker that lies."""

    def __init__(self, honest: BrokerClient, **changed: Callable[..., Any]) -> None:
        self._honest, self._changed = honest, changed

    def __getattr__(self, name: str) -> Any:
        if name in self._changed:
            return lambda *a, **k: self._changed[name](self._honest, *a, **k)
        return getattr(self._honest, name)


@pytest.fixture
def crook() -> Callable[..., None]:
    """Make a node's broker lie: ``crook(node, mailbox=lambda honest, *a, **k: ...)``; no names make it honest again."""

    def turn(node: WorldNode, **changed: Callable[..., Any]) -> None:
        office = node.service.office
        honest = office.broker
        while isinstance(honest, Crooked):
            honest = honest._honest
        office.broker = Crooked(honest, **changed) if changed else honest  # type: ignore[assignment]

    return turn


def acts(node: WorldNode) -> list[dict[str, Any]]:
    """The ledger as it stands, without asking as an auditor would."""
    with node.store.reading() as books:
        return node.service.office.scribe.read(books, books.rows("ledger"))


def parcels(change: Callable[[dict[str, Any]], Any]) -> Callable[..., Any]:
    """A mailbox in which every message was changed."""

    def mailbox(honest: BrokerClient, *args: Any, **named: Any) -> Any:
        items, following = honest.mailbox(*args, **named)
        changed = [{**item, **(change(item) or {})} if item["kind"] == "message" else item for item in items]
        return changed, following

    return mailbox


__all__ = ["CONDITIONAL", "EVIDENCE", "REQUEST", "TERMS", "WHY", "acts", "parcels", "replace"]

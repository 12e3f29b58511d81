"""Matrix: who may tell whom what, under all agreements in force at one instant (DRF-44).

For every two agencies it has the clauses that let one tell the other something, each with what is left of it after
forbids, floor, ceilings and territory. What a clause permits on paper and never in fact is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from exchange.drafting.boxes import VALUES, Box, Space
from exchange.drafting.reach import Lane, Scene, lanes, space_of
from exchange.drafting.wording import more_strings, strings
from exchange.protocol.floor import FLOOR
from exchange.protocol.obligations import Obligations
from exchange.protocol.terms import Conditions, Permit
from exchange.protocol.vocabulary import Category

NAMES = ("type", "purpose", "crime", "urgency", "class")


@dataclass(frozen=True, slots=True)
class Row:
    """What one clause lets one agency tell another: codes that occur in what is left of it, and the parts it has."""

    agreement: str
    version: int
    clause: str
    title: str
    codes: dict[str, tuple[str, ...]]
    needs: tuple[str, ...]
    ties: tuple[str, ...]
    parts: tuple[dict[str, tuple[str, ...]], ...]
    conditions: Conditions
    copied: bool
    purge_days: int | None

    def permits(self, **wanted: str) -> bool:
        """Whether some one request of this clause has all of these codes."""
        return any(all(code in part[name] for name, code in wanted.items()) for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """As ``matrix --json`` prints it."""
        return {
            "agreement": self.agreement, "version": self.version, "clause": self.clause, "title": self.title,
            **{name: list(codes) for name, codes in self.codes.items()}, "needs": list(self.needs),
            "in_words": list(self.ties),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Matrix:
    """The agencies, and for each two of them the rows that let the first tell the second something."""

    agencies: tuple[str, ...]
    cells: dict[tuple[str, str], tuple[Row, ...]]

    def to_json(self) -> dict[str, Any]:
        """As ``matrix --json`` prints it."""
        cells = [
            {"from": discloser, "to": recipient, "clauses": [row.to_json() for row in rows]}
            for (discloser, recipient), rows in self.cells.items()
        ]
        return {"simulation": True, "agencies": list(self.agencies), "cells": cells}


def matrix(scene: Scene) -> Matrix:
    """Who may tell whom what. Agencies that no agreement binds are left out; the floor's own permit is too."""
    space = space_of(scene.agreements, list(Category))  # every category by itself, for here they are shown one by one
    known = sorted({party for a in scene.agreements for party in a.terms.parties if party in scene.parties})
    cells = dict[tuple[str, str], tuple[Row, ...]]()
    for one in known:
        for other in known:
            if one != other:
                cells[one, other] = tuple(_rows(space, scene, one, other))
    return Matrix(tuple(known), cells)


def _rows(space: Space, scene: Scene, one: str, other: str) -> list[Row]:
    pair = scene.parties[one], scene.parties[other]
    return [
        _row(space, agreement.terms.id, agreement.terms.version, lane)
        for agreement in scene.shared(one, other)
        for lane in lanes(space, scene, agreement, *pair)
        if lane.left and lane.rules is not FLOOR
    ]


def _row(space: Space, agreement: str, version: int, lane: Lane) -> Row:
    clause: Permit = lane.clause
    codes = {name: _occurring(space, lane.left, name) for name in (*NAMES, "cats")}
    parts = tuple({name: _occurring(space, [box], name) for name in ("type", "purpose", "cats")} for box in lane.left)
    needs = [f"marked {code.value}" for code in clause.conditions.handling_required]
    copied = clause.conditions.copy_to is not None and any(space.required(box, "copied") for box in lane.left)
    if copied:
        needs.append(f"copy to {clause.conditions.copy_to}")
    purge = lane.rules.terms.purge_days
    ties = strings(Obligations.of(clause.conditions, codes["class"][0], purge))
    ties += more_strings(clause.conditions, codes["class"], codes["cats"])
    said = (tuple(needs), tuple(ties), parts)
    return Row(agreement, version, clause.id, clause.title, codes, *said, clause.conditions, copied, purge)


def _occurring(space: Space, boxes: Sequence[Box], name: str) -> tuple[str, ...]:
    found = {code for box in boxes for code in space.codes(box, name)}
    order = VALUES[name] if name in VALUES else tuple(code.value for code in Category)
    return tuple(code for code in order if code in found)

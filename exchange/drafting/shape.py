"""The shape of a draft: every member that could not be signed, at once, and what is left without them (DRF-2).

Reading an agreement strictly stops at the first fault, for what is not an agreement needs no further look. A drafter
wants all of them. So what is at fault is named, set aside, and the rest is read again; what only then comes to light
is named too, always under its place in the file as it was written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from exchange.drafting.finding import Place
from exchange.protocol.terms import AgreementTerms, faults
from keys.encoding import stamp

_ROUNDS: Final = 8
_STAND_IN: Final[dict[str, Any]] = {
    "v": "ix/1", "typ": "agreement", "fed": "A" * 43, "id": "draft", "version": 1, "title": "untitled",
    "kind": "exercise", "bases": [], "territory": [], "start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z",
    "class_max": "unclassified", "handling_required": [], "urgency": ["none"], "onward": "none", "evidence": False,
    "human_release": False,
}  # fmt: skip
"""What is put where a member is missing, so that the rest can be read; never signed, never shown."""

_PERMITTING: Final = ("allow", "permit", "may")
_FORBIDDING: Final = ("forbid", "den", "prohibit", "refuse")
"""How people begin what they write for ``permit`` and ``forbid``."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that an agreement may not hold, or lacks, and its place in the file."""

    place: Place
    sentence: str
    value: Any = None


@dataclass(slots=True)
class _Node:
    """A value with its place in the file; what is taken out of the tree moves nothing else."""

    place: Place
    value: Any
    members: dict[str, _Node] = field(default_factory=dict)
    items: list[_Node] = field(default_factory=list)

    @classmethod
    def of(cls, value: Any, place: Place = ()) -> _Node:
        node = cls(place, value)
        if isinstance(value, Mapping):
            node.members = {str(name): cls.of(one, (*place, str(name))) for name, one in value.items()}
        elif isinstance(value, list | tuple):
            node.items = [cls.of(one, (*place, position)) for position, one in enumerate(value)]
        return node

    def plain(self) -> Any:
        """The value as JSON carries it; a time is written as one."""
        if isinstance(self.value, Mapping):
            return {name: node.plain() for name, node in self.members.items()}
        if isinstance(self.value, list | tuple):
            return [node.plain() for node in self.items]
        if isinstance(self.value, datetime) and self.value.tzinfo:
            return stamp(self.value)
        return self.value if isinstance(self.value, str | int | float | bool | None) else str(self.value)


def read_draft(value: Mapping[str, Any]) -> tuple[tuple[Fault, ...], AgreementTerms | None]:
    """All faults of terms as somebody wrote them, and what can be read of them without; nothing if nothing can."""
    root = _Node.of({"v": "ix/1", "typ": "agreement", "fed": _STAND_IN["fed"], **value})
    found, said = list[Fault](), set[Place]()
    for _ in range(_ROUNDS):
        plain = root.plain()
        wrong = faults(plain)
        if not wrong:
            return tuple(found), AgreementTerms.model_validate_json(json.dumps(plain))
        heard = [_hear(root, place, sentence) for place, sentence in wrong]
        for fault, path, missing in heard:
            if not any(_heard(fault, place) for place in said):
                found.append(fault)
            _set_aside(path, missing)
        said |= {fault.place for fault, _, _ in heard}
        if any(not place for place, _ in wrong):
            break
    return tuple(found), None


def _heard(fault: Fault, before: Place) -> bool:
    """Whether this was said, or comes of what was set aside before; a list too short does, a double in it does not."""
    inside = fault.place[: len(before)] == before
    return inside or (before[: len(fault.place)] == fault.place and "twice" not in fault.sentence)


def _hear(root: _Node, place: Place, sentence: str) -> tuple[Fault, list[_Node], str]:
    """A fault under its place in the file as it was written; the way there; and the name of what is not there."""
    path = [root]
    for step in place:
        node = path[-1]
        if isinstance(step, int) and step < len(node.items):
            path.append(node.items[step])
        elif isinstance(step, str) and step in node.members:
            path.append(node.members[step])
        else:
            return Fault((*node.place, step), sentence), path, str(step)
    return Fault(path[-1].place, sentence, path[-1].value), path, ""


def _set_aside(path: list[_Node], missing: str) -> None:
    """Take it out of its list or object; for what is missing, put a stand-in there, or take out what lacks it."""
    node = path[-1]
    clause = node if missing else path[-2] if len(path) > 1 else node
    if "effect" in (missing, *node.place[-1:]) and (meant := _effect(clause)):
        clause.members["effect"] = _Node.of(meant, (*clause.place, "effect"))
    elif missing == "replaces":
        node.members["version"] = _Node.of(1, (*node.place, "version"))
    elif missing in _STAND_IN:
        # The id of a clause has to be its own, and its place in the file is.
        value = f"x{node.place[-1]}" if missing == "id" and node.place else _STAND_IN[missing]
        node.members[missing] = _Node.of(value, (*node.place, missing))
    elif once := _once(node):
        node.items = once
    elif len(path) > 1:
        holder = path[-2]
        if node.place == ("end",):  # with a start of its own it might still end before it
            holder.members["start"] = _Node.of(_STAND_IN["start"], ("start",))
        holder.items = [one for one in holder.items if one is not node]
        holder.members = {name: one for name, one in holder.members.items() if one is not node}


def _effect(clause: _Node) -> str:
    """What a clause without a known effect was meant to have, if it can be told."""
    given = clause.members.get("effect")
    said = str(given.value).lower() if given else ""
    if said.startswith(_FORBIDDING):
        return "forbid"
    return "permit" if said.startswith(_PERMITTING) or {"class_max", "conditions"} & clause.members.keys() else ""


def _once(node: _Node) -> list[_Node]:
    """The items of a list without its doubles; nothing if it has none."""
    kept = {json.dumps(one.plain(), default=str): one for one in reversed(node.items)}
    return list(reversed(kept.values())) if len(kept) < len(node.items) else []

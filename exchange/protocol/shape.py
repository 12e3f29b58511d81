"""The shape of terms: what may stand where, and what cannot stand together, in words a drafter can act on (AGR-2).

Reading is done by the models in ``terms``; they know what is wrong, this module knows how to say it. A place is
a path of member names and positions. A value is repeated only if it could be a code or an id, for it may be data.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final

from keys.encoding import instant
from keys.errors import MalformedEncoding

Place = tuple[str | int, ...]
Fault = tuple[Place, str]
"""Where something is wrong, and what: the sentence says what is allowed there."""

_EFFECTS: Final = ("permit", "forbid")
_CODE_LIKE = re.compile(r"[A-Za-z0-9_.:/-]{1,40}", re.ASCII)
_LISTED: Final = 16
"""Codes a sentence lists; a longer list it names instead."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may stand at a place, in words; for a list, what its items are; and the codes, if they are codes."""

    words: str
    each: str = ""
    codes: tuple[str, ...] = ()

    @classmethod
    def one_of(cls, name: str, codes: Iterable[str]) -> Allowed:
        """One code of a vocabulary."""
        listed = tuple(str(code) for code in codes)
        return cls(_choice(name, listed), codes=listed)

    @classmethod
    def several(cls, name: str, codes: Iterable[str]) -> Allowed:
        """A list of codes of a vocabulary."""
        listed = tuple(str(code) for code in codes)
        return cls(f"a list of at most 64 codes, each once: {_choice(name, listed)}", _choice(name, listed), listed)


def _choice(name: str, codes: tuple[str, ...]) -> str:
    if len(codes) > _LISTED:
        return f"one of the {len(codes)} codes of {name} in spec/vocabulary.md"
    return f"{name}: " + " or ".join(filter(None, [", ".join(f"`{code}`" for code in codes[:-1]), f"`{codes[-1]}`"]))


Table = Mapping[tuple[str, ...], Allowed]
"""What may stand where: places without positions."""
Members = Mapping[tuple[str, ...], tuple[str, ...]]
"""Which members an object has, by its place without positions, and for a clause by its effect."""


def say(error: Mapping[str, Any], table: Table, members: Members) -> Fault:
    """One complaint of a model, as a place in what was written and a sentence of our own."""
    kind, loc = error["type"], tuple(error["loc"])
    effect = next((str(step) for step in loc if step in _EFFECTS), "")
    place = tuple(step for step in loc if step not in _EFFECTS)
    if kind.startswith("union_tag"):
        return (*place, "effect"), "a clause has the effect `permit` or `forbid`"
    place = _within(place, table)
    names = _names(place)
    if kind == "extra_forbidden":
        holder = names[:-1]
        there = members.get((*holder, effect)) or members.get(holder, ())
        known = f"; those of this object are {', '.join(f'`{name}`' for name in there)}" if there else ""
        return place, f"there is no such member here{_meant(place[-1], there)}{known}"
    allowed = table.get(names, Allowed("what the spec allows there"))
    item = bool(place) and type(place[-1]) is int and bool(allowed.each)
    words = allowed.each if item else allowed.words
    if kind == "missing":
        return place, f"it is missing; it is {words}"
    if kind == "value_error":
        return place, _own(error["msg"])
    value = error.get("input")
    if type(value) is str and _CODE_LIKE.fullmatch(value):
        if allowed.each and not item:
            return place, f"`{value}` stands here without brackets; write `[{value}]`, for it is {words}"
        return place, f"`{value}` cannot stand here{_meant(value, allowed.codes)}; it is {words}"
    return place, f"it is {words}"


def _within(place: Place, table: Table) -> Place:
    """Cut what a model adds after a code to say which of several types it tried."""
    if len(place) > 2 and type(place[-2]) is int and (listed := table.get(_names(place[:-2]))) and listed.codes:
        return place[:-1]
    return place


def _names(place: Place) -> tuple[str, ...]:
    return tuple(step for step in place if isinstance(step, str))


def _meant(value: Any, codes: Iterable[str]) -> str:
    near = get_close_matches(str(value), list(codes), 1, 0.75)
    return f" (did you mean `{near[0]}`?)" if near else ""


def _own(message: str) -> str:
    return message.removeprefix("Value error, ")


def contradictions(terms: Mapping[str, Any]) -> Iterator[Fault]:
    """What cannot stand together in terms, whether or not the rest has its form (AGR-50).

    ``terms`` are plain values; times are datetimes or text. What is malformed itself is passed over here.
    """
    start, end = _moment(terms.get("start")), _moment(terms.get("end"))
    if start and end and end <= start:
        yield ("end",), "an agreement must end after it starts"
    version = terms.get("version")
    if version == 1 and terms.get("replaces") is not None:
        yield ("replaces",), "version 1 replaces nothing: leave it out, or give the version"
    if type(version) is int and version > 1 and terms.get("replaces") is None:
        yield ("replaces",), "a later version names the one it replaces"
    if terms.get("id") == "floor":
        yield ("id",), "`floor` is the name of the clauses that no agreement can sign away"
    parties = _texts(terms.get("parties"))
    groups = yield from _about_groups(terms, parties)
    seen = set[str]()
    for place, clause in _objects(terms.get("clauses"), ("clauses",)):
        name = clause.get("id")
        if isinstance(name, str):
            if name in seen:
                yield (*place, "id"), f"the clause id `{name}` is used twice"
            if name.startswith("floor-"):
                yield (*place, "id"), "ids that begin with `floor-` are those of the floor"
            seen.add(name)
        yield from _about_names(clause, place, groups)
        if isinstance(clause.get("conditions"), Mapping):
            yield from _about_conditions(clause["conditions"], (*place, "conditions"), parties)


def _about_groups(terms: Mapping[str, Any], parties: list[str]) -> Generator[Fault, None, dict[str, set[str]]]:
    groups: dict[str, set[str]] = {}
    for place, group in _objects(terms.get("groups"), ("groups",)):
        name = group.get("id")
        if isinstance(name, str):
            if name in groups:
                yield (*place, "id"), f"the group id `{name}` is used twice"
            groups.setdefault(name, set()).update(_texts(group.get("purposes")))
        for position, member in enumerate(_texts(group.get("members"))):
            if member and member not in parties:
                yield (*place, "members", position), f"`{member}` is no party, and a group names parties only"
    return groups


def _about_names(clause: Mapping[str, Any], place: Place, groups: Mapping[str, set[str]]) -> Iterator[Fault]:
    used = set[str]()
    for member in ("from", "to"):
        for position, name in enumerate(_texts(clause.get(member))):
            group = name.removeprefix("group:")
            if group == name:
                continue
            if group in groups:
                used.add(group)
            else:
                yield (*place, member, position), f"`{name}` names no group of this agreement"
    for group in sorted(used):
        for position, purpose in enumerate(_texts(clause.get("purposes"))):
            if purpose not in groups[group] and (purpose != "any" or clause.get("effect") != "forbid"):
                sentence = f"the group `{group}` is not for `{purpose}`, and a clause that names it is not either"
                yield (*place, "purposes", position), sentence


def _about_conditions(conditions: Mapping[str, Any], place: Place, parties: list[str]) -> Iterator[Fault]:
    third, kept, review = (conditions.get(name) for name in ("copy_to", "retention_days", "review_days"))
    if isinstance(third, str) and third not in parties:
        yield (*place, "copy_to"), f"`{third}` is no party, so nothing could be told to it under this agreement"
    if third is None and conditions.get("copy_exempt") is not None:
        yield (*place, "copy_exempt"), "there is no `copy_to` to be exempt from"
    if type(kept) is int and type(review) is int and review > kept:
        yield (*place, "review_days"), "a review comes no later than the end of retention (`retention_days`)"
    readers = conditions.get("readers")
    if isinstance(readers, Mapping) and not any(readers.get(name) is not None for name in readers):
        yield (*place, "readers"), "it says nothing: leave it out, or say `clearance`, `training` or `roles`"


def _objects(value: Any, place: Place) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    for position, item in enumerate(value if isinstance(value, list | tuple) else ()):
        if isinstance(item, Mapping):
            yield (*place, position), item


def _texts(value: Any) -> list[str]:
    """The texts of a list in their places; what is no text is nothing that anybody could name."""
    return [item if isinstance(item, str) else "" for item in (value if isinstance(value, list | tuple) else ())]


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    try:
        return instant(value) if isinstance(value, str) else None
    except MalformedEncoding:
        return None

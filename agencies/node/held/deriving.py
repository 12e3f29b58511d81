"""Deriving: a new content out of chosen fields of one that is held, and what goes along with them (NODE-88, NODE-89).

Fields are JSON pointers into the source's content. What is chosen goes along as it was said, with who said it; a
relationship goes only with both its ends. The handling text of the source always goes along.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from agencies.node.errors import DraftMalformed
from agencies.node.held.holding import WHOLE, within
from exchange.protocol.vocabulary import MessageType

LISTS: Final = ("narrative", "entities", "relationships", "attachments")
"""The members of a content whose items may be chosen."""
_STANDING: Final = ("id", "kind", "assertion", "evaluation", "category", "necessity")
"""Members that go along with whatever is chosen of an item, because nothing can be read without them."""
_POINTER: Final = re.compile(
    r"/(narrative|entities|relationships|attachments)/(0|[1-9][0-9]{0,3})(/[a-z][a-z0-9_]{0,31})?"
)


def derive(
    content: Mapping[str, Any], message: str, fields: Sequence[str], *, text: str, me: str, desk: str, answers: bool
) -> dict[str, Any]:
    """Write a content that tells these fields of another and nothing else of it.

    It is an answer (`info_reply`) to a request if ``answers``, and spontaneous information otherwise; ``text`` is
    what the desk has to say about it.
    """
    chosen = _choose(content, fields)
    contact = {"agency": me, "desk": desk}
    block = {"answer": {"text": text}} if answers else {"spontaneous": {"reason": text, "contact": contact}}
    kept = {name: content[name] for name in ("as_of", "language", "handling_text", "tlp") if name in content}
    return {
        "v": content["v"],
        "simulation": True,
        "type": str(MessageType.INFO_REPLY if answers else MessageType.SPONTANEOUS_INFO),
        "case": {"reference": content["case"]["reference"]},
        **kept,
        **{name: items for name, items in chosen.items() if items},
        **block,
        "sources": [{"msg": message, "fields": sorted(set(fields))}],
    }


def _choose(content: Mapping[str, Any], fields: Sequence[str]) -> dict[str, list[Any]]:
    chosen: dict[tuple[str, int], set[str]] = {}
    for field in fields:
        for name, place, member in _named(content, field):
            chosen.setdefault((name, place), set()).add(member)
    picked: dict[str, list[Any]] = {name: [] for name in LISTS}
    for name, place in sorted(chosen, key=lambda one: (LISTS.index(one[0]), one[1])):
        item, members = content[name][place], chosen[name, place]
        if WHOLE not in members:
            item = {
                key: value for key, value in item.items() if key in members or key in _STANDING or _binds(name, key)
            }
        picked[name].append(item)
    there = {entity["id"] for entity in picked["entities"]}
    picked["relationships"] = [one for one in picked["relationships"] if {one["from"], one["to"]} <= there]
    return picked


def _binds(name: str, key: str) -> bool:
    """Whether a member says what sort of thing an item is, so that the schema asks for it."""
    return name == "entities" and key in {"organisation", "place", "means", "document", "medium", "account", "event"}


def _named(content: Mapping[str, Any], field: str) -> Iterator[tuple[str, int, str]]:
    """Each item that a pointer names, and which member of it."""
    if field == WHOLE:
        for name in LISTS:
            yield from ((name, place, WHOLE) for place in range(len(content.get(name, ()))))
        return
    found = _POINTER.fullmatch(field)
    if found is None or int(found[2]) >= len(content.get(found[1], ())):
        raise DraftMalformed(
            "a field is empty for all, or `/narrative/0`, `/entities/0`, `/relationships/0` or `/attachments/0`, "
            "perhaps with a member, and names something the message has"
        )
    yield found[1], int(found[2]), (found[3] or "").removeprefix("/")


def is_there(content: Mapping[str, Any] | None, field: str) -> bool:
    """Whether a pointer names something this content has; of one that is not here, whether it could, in codes alone."""
    found = _POINTER.fullmatch(field)
    if field == WHOLE or found is None:
        return field == WHOLE
    if content is None:
        return found[3] is None
    items, place, member = content.get(found[1], ()), int(found[2]), (found[3] or "").removeprefix("/")
    return place < len(items) and (not member or member in items[place])


def unnamed(content: Mapping[str, Any], source: Mapping[str, Any], fields: Iterable[str]) -> list[str]:
    """Pointers to what a content carries word for word from a source without naming it among its fields."""
    granted, found = tuple(fields), []
    for name in ("narrative", "entities", "attachments"):
        told = [_told(item) for item in content.get(name, ())]
        for place, item in enumerate(source.get(name, ())):
            pointer = f"/{name}/{place}"
            if _told(item) in told and not any(within(pointer, one) for one in granted):
                found.append(pointer)
    return found


def _told(item: Mapping[str, Any]) -> Any:
    """What an item says, whatever number or name it goes by here."""
    return item.get("sha256") or {key: value for key, value in item.items() if key not in ("id", "evaluation")}


__all__ = ["derive", "is_there", "unnamed"]

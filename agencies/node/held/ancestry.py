"""Ancestry: what of others stands behind a message of ours, and what of ours was made from one of theirs.

A copy that this agency made of what it received is its own only in name: what ties it to the original ties it to
the copy, also where the copy was made from another copy (NODE-88, NODE-96, NODE-100).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agencies.node.errors import NoLongerHere
from agencies.node.held.holding import LIMIT
from agencies.node.office import Office
from agencies.node.store import Books
from keys.encoding import read_json


def behind(office: Office, books: Books, row: Any) -> dict[str, tuple[str, ...]]:
    """The received messages that one of our own came from, near and far, each with the fields that were taken of it.

    Refused if a copy on the way is not here any more: nobody could say what it took.
    """
    found: dict[str, tuple[str, ...]] = {}
    waiting, seen = [row], {row.ref}
    while waiting:
        mine = waiting.pop()
        if mine.content is None:
            if mine.src:
                raise NoLongerHere("what this was derived from is not here any more")
            continue
        content = read_json(office.vault.unlock(mine.content, f"outbox content {mine.ref}"), limit=LIMIT)
        for source in content.get("sources", ()):  # what the content says is sealed; a column can be written over
            ours = books.get("outbox", msg=source["msg"])
            if ours is None or books.inbox_of([source["msg"]]):
                taken = {*found.get(source["msg"], ()), *source["fields"]}
                found[source["msg"]] = tuple(sorted(taken))
            elif ours.ref not in seen:
                seen.add(ours.ref)
                waiting.append(ours)
    return found


def made_from(books: Books, message: str) -> Iterator[Any]:
    """The outbox rows that were derived from a message, and from these, however far down; each once."""
    waiting, seen = [message], {message}
    while waiting:
        for one in books.derived(waiting.pop()):
            row = books.get("outbox", n=one.n)
            if row is not None and row.ref not in seen:
                seen.add(row.ref)
                yield row
                if row.msg:
                    waiting.append(row.msg)

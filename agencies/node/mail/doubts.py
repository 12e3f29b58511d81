"""Mail that came spoiled: which numbers to ask for again, and when (`spec/nodes.md`, NODE-49).

What the broker hands over and the log does not bear out is neither taken nor held against its sender. Its
true number is not known either, for the number may be what was spoiled: what is known is the last good
number before it and the next one behind it. So a doubt is a span of numbers, ``after`` to ``upto``. The
node goes on with the rest, and asks for every span again until all in it is good.

Pure: no store, no clock, no broker.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

from agencies.node.errors import AnswerMismatch
from agencies.node.mail.pauses import pause
from keys.encoding import digest, write_json

SOON: Final = 3
"""How often a span is asked for at the very next look, before the pauses begin."""
GIVEN_UP: Final = timedelta(days=31)
"""No message lives longer than 30 days (MSG-8)."""
TOLD: Final = 8
"""How many looks at one span are kept as evidence."""
MAX_TOLD: Final = 64 * 1024


class Mark(NamedTuple):
    """One item of an answer: its number if the log bears it out, and whether the node is done with it."""

    number: int | None
    done: bool


class Span(NamedTuple):
    """Numbers behind ``after`` and not behind ``upto``."""

    after: int
    upto: int


def walk(after: int, marks: Sequence[Mark]) -> tuple[int, int | None, list[Span]]:
    """Go through marks: the last number that is sure, where a doubt begins that nothing ends, and all other doubts."""
    at, begin = after, None
    spans: list[Span] = []
    for number, done in marks:
        if number is None:
            begin = at if begin is None else begin
        elif number > at:  # what is shown again is taken or refused like the rest, and moves nothing
            if begin is not None and begin < number - 1:
                spans.append(Span(begin, number - 1))
            if not done:
                spans.append(Span(number - 1, number))
            at, begin = number, None
    return at, begin, spans


def place(after: int, marks: Sequence[Mark], following: int, size: int) -> tuple[int, list[Span]]:
    """Say how far a mailbox has been read, and which spans in it are in doubt.

    ``following`` must be the number of the last item, or ``after`` if nothing came: whoever is sent further ahead
    would never see what is between. Behind an item whose number nobody can tell it is taken for a bound, if the
    log is known to be longer than that (``size``); else the reader stays at the last number it is sure of.
    """
    at, begin, spans = walk(after, marks)
    if begin is None:
        if following != at:
            raise AnswerMismatch("the mailbox's cursor is not the number of the last item shown")
    elif at < following < size:
        spans.append(Span(begin, following))
        at = following
    return at, spans


def remaining(asked: Span, marks: Sequence[Mark], full: bool) -> list[Span]:
    """What is still in doubt after a span was asked for again; a ``full`` answer may have left the end of it out.

    An answer that shows nothing good settles nothing.
    """
    at, begin, spans = walk(asked.after, marks)
    if at == asked.after:
        return [asked]
    if begin is not None or full:
        rest = Span(at if begin is None else begin, asked.upto)
        spans += [rest] if rest.after < rest.upto else []
    return spans


def patience(attempts: int, chance: bytes) -> timedelta:
    """How long to wait before the next attempt: not at all at first, then as for anything else that failed."""
    return timedelta() if attempts < SOON else pause(attempts - SOON, chance)


def told(item: Any) -> Any:
    """An item as evidence: all of it but what is sealed, of which only the digests are kept."""
    if type(item) is dict:
        item = {
            name: {"digest": digest(value.encode())} if name in ("wrap", "body") and type(value) is str else value
            for name, value in item.items()
        }
    data = write_json(item)
    return item if len(data) <= MAX_TOLD else {"digest": digest(data), "len": len(data)}

"""What a reader should know of a content's quality before relying on it (CNT-54; LED art. 7).

Facts, assessments and what was derived, the 4x4 evaluation and the day a content speaks of travel with it.
This module only reads them: warnings for whoever opens a content, in codes that name no value.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from exchange.protocol.content import CaseMessage
from exchange.protocol.entities import Asserted

STALE: Final = timedelta(days=90)
"""From when on what a content says of a day is to be checked before it is used."""


class Warning(StrEnum):  # noqa: A001  # the domain's own word
    """One thing to know before relying on a content."""

    STALE = "stale"
    UNEVALUATED = "unevaluated"
    ASSESSMENT_ONLY = "assessment_only"
    UNRELIABLE = "unreliable"
    SECOND_HAND = "second_hand"
    AHEAD = "ahead"


def warnings(content: CaseMessage, today: date) -> tuple[str, ...]:
    """What to tell whoever opens this content on this day, in the order of the list."""
    made = date.fromisoformat(content.as_of)
    said = list(_asserted(content))
    grades = {one.evaluation for one in said}
    found = {
        Warning.STALE: today - made > STALE,
        Warning.UNEVALUATED: bool(said) and grades == {"X4"},
        Warning.ASSESSMENT_ONLY: bool(said) and all(one.assertion != "fact" for one in said),
        Warning.UNRELIABLE: any(grade[0] == "C" or grade[1] == "4" for grade in grades - {"X4"}),
        Warning.SECOND_HAND: any(one.author is not None for one in said),
        Warning.AHEAD: made > today + timedelta(days=1),
    }
    return tuple(str(code) for code, holds in found.items() if holds)


def _asserted(content: CaseMessage) -> Iterator[Asserted]:
    yield from content.narrative
    yield from content.entities
    yield from content.relationships

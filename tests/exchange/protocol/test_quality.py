"""What whoever opens a content is told of its quality. See `spec/content.md`, CNT-54."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from exchange.protocol.content import content_from
from exchange.protocol.quality import warnings
from tests.exchange.protocol.test_content import base, person

TODAY = date(2026, 11, 20)
GOOD = {"assertion": "fact", "evaluation": "B2", "lang": "en", "text": "x"}


def told(*passages: dict[str, Any], on: date = TODAY, **members: Any) -> tuple[str, ...]:
    return warnings(content_from(base(narrative=list(passages), **members)), on)


@pytest.mark.spec("CNT-54")
@pytest.mark.parametrize(
    ("days", "wanted"), [(0, ()), (90, ()), (91, ("stale",)), (4000, ("stale",)), (-1, ()), (-2, ("ahead",))]
)
def test_a_content_of_long_ago_or_of_tomorrow_says_so(days: int, wanted: tuple[str, ...]) -> None:
    assert told(GOOD, on=TODAY + timedelta(days=days)) == wanted


@pytest.mark.spec("CNT-54", "CNT-20")
def test_what_nobody_evaluated_or_is_weak_or_from_others_says_so() -> None:
    assert told() == ()
    assert told({**GOOD, "evaluation": "X4"}) == ("unevaluated",)
    assert told({**GOOD, "evaluation": "X4"}, GOOD) == ()
    for weak in ("C1", "A4", "C4"):
        assert told({**GOOD, "evaluation": weak}) == ("unreliable",)
    assert told({**GOOD, "assertion": "assessment"}, {**GOOD, "assertion": "derived"}) == ("assessment_only",)
    assert told({**GOOD, "assertion": "assessment"}, GOOD) == ()
    assert told({**GOOD, "author": "east.border.sim"}) == ("second_hand",)


@pytest.mark.spec("CNT-54")
def test_entities_and_relationships_count_as_passages_do() -> None:
    assert told(entities=[person()]) == ("unevaluated",)
    assert told(GOOD, entities=[person(evaluation="C4", author="a.sim")]) == ("unreliable", "second_hand")

"""What is read, and what is asked for again: every number is read, in doubt, or still to come (NODE-43, NODE-49)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agencies.node.errors import AnswerMismatch
from agencies.node.mail.doubts import Mark, Span, patience, place, remaining, told
from agencies.node.mail.pauses import LONGEST, pause

UNKNOWN = Mark(None, False)


def good(*numbers: int) -> list[Mark]:
    return [Mark(number, True) for number in numbers]


@pytest.mark.spec("NODE-43")
def test_the_cursor_is_the_last_number_shown() -> None:
    assert place(3, good(4, 9), 9, 0) == (9, [])
    assert place(3, [], 3, 0) == (3, [])
    assert place(9, good(4, 9), 9, 0) == (9, [])


@pytest.mark.spec("NODE-43")
@pytest.mark.parametrize(("marks", "following"), [((), 4), ((), 2), ((4, 9), 10), ((4, 9), 8), ((2,), 2)])
def test_a_cursor_that_is_not_is_refused(marks: tuple[int, ...], following: int) -> None:
    with pytest.raises(AnswerMismatch):
        place(3, good(*marks), following, 100)


@pytest.mark.spec("NODE-49")
def test_a_doubt_reaches_from_the_last_good_number_to_before_the_next() -> None:
    assert place(3, [UNKNOWN, *good(9)], 9, 0) == (9, [Span(3, 8)])
    assert place(3, [*good(5), UNKNOWN, UNKNOWN, *good(9)], 9, 0) == (9, [Span(5, 8)])
    assert place(3, [*good(4), UNKNOWN, *good(5)], 5, 0) == (5, [])
    assert place(3, [Mark(5, False), *good(6)], 6, 0) == (6, [Span(4, 5)])


@pytest.mark.spec("NODE-49")
def test_behind_the_last_good_number_the_log_is_the_bound() -> None:
    assert place(3, [*good(4), UNKNOWN], 7, 8) == (7, [Span(4, 7)])
    assert place(3, [*good(4), UNKNOWN], 8, 8) == (4, [])
    assert place(3, [*good(4), UNKNOWN], 2, 8) == (4, [])


@pytest.mark.spec("NODE-49")
def test_what_was_asked_again_stays_in_doubt_until_it_is_all_good() -> None:
    asked = Span(3, 8)
    assert remaining(asked, [], False) == [asked]
    assert remaining(asked, [UNKNOWN], False) == [asked]
    assert remaining(asked, good(2, 3), False) == [asked]
    assert remaining(asked, good(4, 6), False) == []
    assert remaining(asked, good(4, 6), True) == [Span(6, 8)]
    assert remaining(asked, good(8), True) == []
    assert remaining(asked, [*good(4), UNKNOWN, *good(7)], False) == [Span(4, 6)]
    assert remaining(asked, [*good(4), UNKNOWN], False) == [Span(4, 8)]
    assert remaining(asked, [Mark(4, False)], False) == [Span(3, 4)]


@pytest.mark.spec("NODE-49")
@given(st.data())
def test_no_mail_is_lost_however_an_answer_is_spoiled(data: st.DataObject) -> None:
    """True mail at some numbers; each item shown good, or refused, or without a number, or with others put between."""
    after = data.draw(st.integers(-1, 5))
    mail = sorted(data.draw(st.sets(st.integers(after + 1, after + 30), max_size=10)))
    marks: list[Mark] = []
    spoiled = set()
    for number in mail:
        kind = data.draw(st.sampled_from(["good", "refused", "unknown", "twice", "old"]))
        spoiled |= {number} if kind in ("refused", "unknown") else set()
        marks += {"unknown": [UNKNOWN], "refused": [Mark(number, False)]}.get(kind, good(number))
        marks += good(number) if kind == "twice" else good(after) if kind == "old" else []
    following = data.draw(st.integers(-5, 60)) if marks and marks[-1].number is None else mail[-1] if mail else after
    if marks and marks[-1].number is not None:
        following = max([after, *(m.number for m in marks if m.number is not None)])
    upto, spans = place(after, marks, following, data.draw(st.integers(0, 60)))
    assert after <= upto
    for number in spoiled:
        assert number > upto or any(span.after < number <= span.upto for span in spans)


@pytest.mark.spec("NODE-29")
def test_pauses_begin_late_and_grow_to_a_quarter_of_an_hour() -> None:
    assert [patience(n, b"\xff\xff") for n in (0, 1, 2)] == [timedelta()] * 3
    assert patience(3, b"\0\0") == pause(0, b"\0\0") == timedelta(seconds=1)
    assert timedelta(seconds=1) < pause(0, b"\xff\xff") < timedelta(seconds=2)
    assert LONGEST / 2 == pause(99, b"\0\0") <= pause(99, b"\xff\xff") < LONGEST


def test_evidence_holds_no_sealed_body_and_no_more_than_so_much() -> None:
    kept = told({"kind": "message", "seq": 4, "body": "A" * 300_000, "wrap": "B", "proof": "p"})
    assert kept == {"kind": "message", "seq": 4, "body": kept["body"], "wrap": kept["wrap"], "proof": "p"}
    assert [*kept["body"]] == ["digest"]
    assert set(told("x" * 100_000)) == {"digest", "len"}
    assert told(7) == 7

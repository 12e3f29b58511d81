"""A message whose agreement lapsed while it travelled is refused when it is opened, and by which code."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exchange.protocol.decision import CODES
from exchange.protocol.message import Opened, open_parcel, parse
from exchange.protocol.policy import State
from exchange.protocol.standing import LAPSED, verify_in_force
from keys.errors import Refusal
from tests.vectors.logbook import Logbook
from tests.vectors.stage import NGO, NOW, SMALL, SOUTH, stage

ON = stage()
LATER = NOW + timedelta(seconds=60)


def agreed() -> Logbook:
    book = Logbook()
    book.agree()
    return book


def opened(book: Logbook, *, seen: bool = False, hours: int = 0) -> Opened:
    """What South makes of a message under the agreement, by what it read of the log so far."""
    now = LATER + timedelta(hours=hours)
    parcel = ON.deliver(ON.compose(SMALL, agreement=book.agreement))
    opening = ON[SOUTH].opening
    return open_parcel(
        parcel,
        me=SOUTH,
        opening_keys={opening.public.kid: opening},
        directory=ON.directory,
        log=ON.log.identity,
        now=now,
        seen=[parcel.statement.digest] if seen else [],
        standing=book.book.standing,
    )


def code(book: Logbook, *, seen: bool = False, hours: int = 0) -> str:
    with pytest.raises(Refusal) as caught:
        opened(book, seen=seen, hours=hours)
    return caught.value.code


@pytest.mark.spec("MSG-33")
def test_it_opens_while_the_agreement_is_in_force_and_again_when_it_was_resumed() -> None:
    book = agreed()
    assert opened(book).content_bytes == SMALL
    book.notify("suspend")
    assert code(book) == "agreement_suspended"
    book.notify("resume")
    assert opened(book).content_bytes == SMALL


@pytest.mark.spec("MSG-33")
def test_each_way_to_lapse_has_its_code_and_its_sentence() -> None:
    left, ended, early, replaced, unknown = agreed(), Logbook(), Logbook(), agreed(), Logbook()
    left.notify("leave")
    ended.agree(end=NOW + timedelta(hours=1))
    early.agree(start=NOW + timedelta(hours=1), end=NOW + timedelta(days=9))
    replaced.agree(version=2, replaces=replaced.agreement)
    unknown.agreement = left.agreement
    for book, hours, why in (
        (left, 0, "agreement_not_in_force"),
        (ended, 2, "agreement_expired"),
        (early, 0, "agreement_not_in_force"),
        (replaced, 0, "agreement_superseded"),
        (unknown, 0, "agreement_unknown"),
    ):
        assert code(book, hours=hours) == why


@pytest.mark.spec("MSG-27", "MSG-33")
def test_what_was_taken_in_before_is_no_reason_to_report_it_lapsed() -> None:
    book = agreed()
    book.notify("suspend")
    assert code(book, seen=True) == "already_received"
    assert code(book, hours=24 * 8) == "message_expired"


@pytest.mark.spec("MSG-33")
def test_exculpatory_material_has_its_path_whatever_became_of_the_agreement() -> None:
    book = agreed()
    book.notify("leave", by=NGO)
    plain = parse(ON.compose(SMALL, agreement=book.agreement)).manifest
    notice = plain.model_copy(update={"type": "exculpatory_notice"})
    with pytest.raises(Refusal):
        verify_in_force(plain, book.book.standing, LATER)
    verify_in_force(notice, book.book.standing, LATER)
    with pytest.raises(Refusal) as caught:
        verify_in_force(notice, Logbook().book.standing, LATER)
    assert caught.value.code == "agreement_unknown"


def test_every_state_but_one_is_a_refusal_with_a_decisions_code() -> None:
    """MSG-33: the sender reads in the receipt what a decision would have told it."""
    assert {*LAPSED, State.IN_FORCE} == set(State)
    assert {refusal.code for refusal in LAPSED.values()} <= set(CODES)

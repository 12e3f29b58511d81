"""The policy book: growing costs nothing, an old book says what it said, and time turns only what it concerns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from random import Random
from threading import Thread
from typing import Any

import pytest
from hypothesis import given

from exchange.protocol import history
from exchange.protocol.agreement import Agreement, Notice
from exchange.protocol.decision import decide
from exchange.protocol.errors import AgreementRefused, NoticeRefused
from exchange.protocol.matching import Party, Request
from exchange.protocol.policy import PolicyBook, State
from exchange.protocol.terms import write_notice, write_terms
from keys.encoding import digest, stamp
from tests.exchange.protocol import reference_policy as ref
from tests.exchange.protocol.reference_policy import FED, T0, admitted, noted

POLICE, SOUTH, FIU, NGO, PLAIN = ref.AGENCIES
DAY = timedelta(days=1)
PERMIT: dict[str, Any] = {
    "id": "p1",
    "effect": "permit",
    "title": "Police may ask",
    "from": ["party:any"],
    "to": ["party:any"],
    "types": ["info_request"],
    "purposes": ["investigate"],
    "crimes": ["immigrant_smuggling"],
    "cats": ["smug_a_routes"],
    "class_max": "restricted",
    "conditions": {
        "handling_required": [],
        "urgency": ["normal"],
        "onward": "by_consent",
        "evidence": True,
        "human_release": False,
    },
}
FORBID: dict[str, Any] = {
    "id": "f1",
    "effect": "forbid",
    "title": "Not this",
    "from": ["party:any"],
    "to": ["party:any"],
    "types": ["any"],
    "purposes": ["any"],
    "crimes": ["any"],
    "cats": ["smug_a_routes"],
}
EVERYONE = {**FORBID, "reach": "everyone"}
_numbers = count()


def agreed(
    *parties: Party, at: datetime = T0, clauses: tuple[dict[str, Any], ...] = (PERMIT,), **more: Any
) -> Agreement:
    """An agreement between these, logged at this time."""
    members: dict[str, Any] = {
        "fed": FED,
        "id": f"agreement-{next(_numbers)}",
        "version": 1,
        "title": "An agreement",
        "kind": "exercise",
        "parties": [party.id for party in parties],
        "bases": ["untoc_27"],
        "territory": ["XN", "XA", "XZ"],
        "start": T0,
        "end": T0 + 365 * DAY,
        "clauses": list(clauses),
    }
    return admitted(write_terms({**members, **more}), at)


def note(act: str, agreement: Agreement, by: Party, at: datetime) -> Notice:
    """A notice by this party, logged at this time."""
    return noted(write_notice(act, fed=FED, agreement=agreement.digest, by=by.id, ts=at, reason="an exercise"), at)


def ask(agreement: Agreement, discloser: Party = POLICE, recipient: Party = SOUTH) -> Request:
    """A request that `PERMIT` permits."""
    cats, handling = frozenset({"smug_a_routes"}), frozenset({"H0"})
    return Request(
        discloser, (recipient,), agreement.digest, "info_request", "investigate", "immigrant_smuggling", cats,
        "restricted", handling, "normal",
    )  # fmt: skip


def named(*statements: Agreement | Notice) -> str:
    """The chain over these, by hand."""
    name = digest(b"")
    for statement in statements:
        name = digest(f"{name}\n{statement.digest}".encode("ascii"))
    return name


# --- the name ----------------------------------------------------------------------------------------------------


@pytest.mark.spec("AGR-28")
def test_the_name_follows_the_order_of_the_log_and_not_the_time_in_the_terms() -> None:
    one, two = agreed(POLICE, SOUTH, start=T0 + 9 * DAY), agreed(POLICE, FIU)
    notice = note("suspend", one, SOUTH, T0)
    book = PolicyBook.replay([one, two, notice])
    assert book.policy(T0) == named(one, two, notice)
    assert PolicyBook.replay([two, one, notice]).policy(T0) == named(two, one, notice) != book.policy(T0)
    assert [book.policy(T0), book.policy(T0 + 400 * DAY)] == [named(one, two, notice)] * 2


@pytest.mark.spec("AGR-28")
def test_the_name_stops_before_the_first_statement_logged_later() -> None:
    one, two, three = (agreed(POLICE, SOUTH, at=T0 + days * DAY) for days in (0, 5, 9))
    book = PolicyBook.replay([one, two, three])
    expected = {-1: (), 0: (one,), 4: (one,), 5: (one, two), 9: (one, two, three), 99: (one, two, three)}
    assert {days: book.policy(T0 + days * DAY) for days in expected} == {d: named(*s) for d, s in expected.items()}


@pytest.mark.spec("AGR-28")
def test_a_log_that_went_back_in_time_is_named_up_to_the_first_statement_from_the_future() -> None:
    one, two, three = (agreed(POLICE, SOUTH, at=T0 + days * DAY) for days in (1, 8, 3))
    book = PolicyBook.replay([one, two, three])
    assert book.policy(T0 + 5 * DAY) == named(one)
    assert book.policy(T0 + 8 * DAY) == named(one, two, three)


@pytest.mark.spec("AGR-28")
def test_a_book_grown_as_a_broker_grows_it_and_one_replayed_as_an_auditor_does_have_one_name() -> None:
    logged = ref.random_log(Random(5))
    agreements = {payload for payload, _ in logged.agreements}
    items = [(admitted if payload in agreements else noted)(payload, at) for payload, at in logged.in_order()]
    grown = PolicyBook()
    for place, item in enumerate(items, 1):
        grown = grown.admit(item)
        assert grown.policy(item.at) == PolicyBook.replay(items[:place]).policy(item.at) == named(*items[:place])
    assert grown.admit(items[0]) is grown


# --- books that follow one another -------------------------------------------------------------------------------


@pytest.mark.spec("AGR-17")
def test_an_old_book_says_what_it_said() -> None:
    first = agreed(POLICE, SOUTH)
    old = PolicyBook().admit(first)
    request, now = ask(first), T0 + 9 * DAY
    assert decide(request, old, now).permitted
    version_two = agreed(POLICE, SOUTH, id=first.terms.id, version=2, replaces=first.digest)
    suspended = old.admit(note("suspend", first, SOUTH, T0 + DAY))
    replaced, forbidden = old.admit(version_two), old.admit(agreed(POLICE, SOUTH, clauses=(FORBID,)))
    codes = [decide(request, book, now).code for book in (old, suspended, replaced, forbidden, old)]
    assert codes == ["permitted", "agreement_suspended", "agreement_superseded", "forbidden", "permitted"]
    assert old.agreements == (first,)
    assert old.notices == ()
    assert suspended.agreements == (first,)
    assert replaced.agreements == (first, version_two)
    assert old.get(version_two.digest) is None
    assert old.standing(version_two.digest, now).state is State.UNKNOWN
    assert [len(book.in_force(now)) for book in (old, suspended, replaced, forbidden)] == [1, 0, 1, 2]
    assert old.policy(now) == named(first)


@pytest.mark.spec("AGR-17")
def test_two_books_grown_from_one_know_nothing_of_each_other() -> None:
    first = agreed(POLICE, SOUTH)
    old = PolicyBook().admit(first)
    one, two = old.admit(agreed(POLICE, FIU)), old.admit(agreed(POLICE, NGO))
    assert one.agreements != two.agreements
    assert [len(book.agreements) for book in (old, one, two)] == [1, 2, 2]
    again = agreed(POLICE, SOUTH, id=first.terms.id, version=2, replaces=first.digest)
    assert [len(book.admit(again).agreements) for book in (old, one, two)] == [2, 3, 3]


@pytest.mark.spec("AGR-20", "AGR-23")
def test_what_a_book_refuses_leaves_no_trace_in_it() -> None:
    first = agreed(POLICE, SOUTH)
    book = PolicyBook().admit(first)
    with pytest.raises(AgreementRefused):
        book.admit(agreed(POLICE, SOUTH, version=2, replaces=digest(b"nothing")))
    with pytest.raises(NoticeRefused):
        book.admit(note("suspend", first, FIU, T0))
    assert len(book.history.items) == book.size == 1
    assert book.admit(agreed(POLICE, SOUTH)).history is book.history


@given(ref.CHANCE)
def test_every_book_of_a_history_decides_as_one_made_for_it_alone(rng: Random) -> None:
    """Whatever was asked of newer and older books in between, and at whatever instants."""
    logged = ref.random_log(rng)
    agreements = {payload for payload, _ in logged.agreements}
    items = [(admitted if payload in agreements else noted)(payload, at) for payload, at in logged.in_order()]
    books = [PolicyBook()]
    for item in items:
        books.append(books[-1].admit(item))
        decide(ref.random_request(rng, logged), books[-1], ref.random_now(rng))
    for _ in range(8):
        place, now = rng.randrange(len(books)), ref.random_now(rng)
        request = ref.random_request(rng, logged, now)
        alone = PolicyBook.replay(items[:place])
        assert decide(request, books[place], now).to_json() == decide(request, alone, now).to_json()


def test_books_may_grow_and_be_asked_in_several_threads() -> None:
    base = PolicyBook.replay(agreed(POLICE, SOUTH) for _ in range(20))
    grown: list[PolicyBook] = []

    def grow(other: Party) -> None:
        book = base
        for _ in range(30):
            mine = agreed(POLICE, other)
            book = book.admit(mine)
            assert decide(ask(mine, POLICE, other), book, T0 + DAY).permitted
        grown.append(book)

    threads = [Thread(target=grow, args=(other,)) for other in (SOUTH, FIU, replace(PLAIN, ceiling="secret"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(book.agreements) for book in grown] == [50, 50, 50]
    assert len({book.policy(T0) for book in grown}) == 3
    assert len(base.agreements) == 20


# --- what a change costs -----------------------------------------------------------------------------------------


def test_a_change_elsewhere_keeps_every_table() -> None:
    """Somebody else's agreement, notice or new version makes nothing anew; one's own makes one's own anew."""
    mine, theirs = agreed(POLICE, SOUTH), agreed(FIU, NGO)
    book, now = PolicyBook.replay([mine, theirs]), T0 + 9 * DAY
    decide(ask(mine), book, now)
    shared, permits = book.period(now).shared(POLICE.id, SOUTH.id), book.period(now).permits(mine)
    elsewhere: list[Agreement | Notice] = [
        agreed(POLICE, FIU),
        agreed(SOUTH, NGO, clauses=(EVERYONE,)),
        note("suspend", theirs, NGO, T0 + DAY),
        agreed(FIU, NGO, id=theirs.terms.id, version=2, replaces=theirs.digest),
    ]
    for item in elsewhere:
        book = book.admit(item)
        assert book.period(now).shared(SOUTH.id, POLICE.id) is shared
        assert book.period(now).permits(mine) is permits
    book = book.admit(agreed(POLICE, SOUTH, PLAIN))
    assert book.period(now).shared(POLICE.id, SOUTH.id) is not shared
    assert len(book.period(now).shared(POLICE.id, SOUTH.id).agreements) == 2


def test_a_book_that_grows_copies_nothing() -> None:
    book = PolicyBook()
    first = book.history
    for _ in range(200):
        book = book.admit(agreed(POLICE, SOUTH))
    assert book.history is first


def test_deciding_never_walks_through_the_agreements(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = agreed(POLICE, SOUTH)
    book = PolicyBook.replay([*(agreed(FIU, NGO) for _ in range(50)), mine])
    monkeypatch.setattr(PolicyBook, "counting", lambda *_: pytest.fail("it looked at every agreement"))
    assert decide(ask(mine), book, T0 + DAY).permitted
    assert decide(replace(ask(mine), agreement=digest(b"?")), book, T0 + DAY).code == "agreement_unknown"


def test_no_more_is_kept_than_so_many_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT", 3)
    mine = agreed(POLICE, SOUTH, FIU, NGO, PLAIN, clauses=(PERMIT, EVERYONE))
    book, codes = PolicyBook.replay([mine]), []
    for now in (T0, T0 + DAY):
        for one in ref.AGENCIES:
            codes += [decide(ask(mine, one, other), book, now).code for other in ref.AGENCIES if other is not one]
    assert codes == ["forbidden"] * 40
    assert len(book.history.kept) <= 3
    several = [agreed(POLICE, SOUTH) for _ in range(7)]
    book = PolicyBook.replay(several)
    assert all(decide(ask(one), book, T0).permitted for one in [*several, *several])
    assert len(book.history.tables) <= 3


def test_even_what_one_tells_oneself_is_decided_by_what_is_in_the_book_now() -> None:
    mine = agreed(POLICE, SOUTH)
    book, request = PolicyBook.replay([mine]), ask(mine, POLICE, POLICE)
    assert decide(request, book, T0 + DAY).permitted
    assert decide(request, book.admit(agreed(POLICE, FIU, clauses=(FORBID,))), T0 + DAY).code == "forbidden"


# --- what time changes -------------------------------------------------------------------------------------------


def codes_at(book: PolicyBook, request: Request, instants: list[datetime]) -> list[str]:
    """The codes at these instants, asked in this order and then backwards: what is kept must not matter."""
    forward = [decide(request, book, now).code for now in instants]
    backward = [decide(request, book, now).code for now in reversed(instants)]
    assert forward == backward[::-1]
    return forward


TICK = timedelta(milliseconds=1)


def around(*instants: datetime) -> list[datetime]:
    return [moment for instant in instants for moment in (instant - TICK, instant)]


@pytest.mark.spec("AGR-18")
def test_start_end_and_follower_turn_at_their_instant() -> None:
    old = agreed(POLICE, SOUTH, start=T0 + DAY, end=T0 + 9 * DAY)
    new = agreed(POLICE, SOUTH, at=T0 + 2 * DAY, id=old.terms.id, version=2, replaces=old.digest, start=T0 + 5 * DAY)
    book = PolicyBook.replay([old, new])
    assert codes_at(book, ask(old), around(T0 + DAY, T0 + 5 * DAY, T0 + 9 * DAY)) == [
        "agreement_not_in_force", "permitted", "permitted", "agreement_superseded", "agreement_superseded",
        "agreement_expired",
    ]  # fmt: skip
    assert codes_at(book, ask(new), around(T0 + 5 * DAY)) == ["agreement_not_in_force", "permitted"]


@pytest.mark.spec("AGR-32")
def test_a_forbid_of_another_agreement_starts_is_suspended_resumes_and_ends() -> None:
    mine = agreed(POLICE, SOUTH)
    other = agreed(POLICE, SOUTH, clauses=(FORBID,), start=T0 + DAY, end=T0 + 9 * DAY)
    suspended, resumed = note("suspend", other, SOUTH, T0 + 3 * DAY), note("resume", other, SOUTH, T0 + 5 * DAY)
    book = PolicyBook.replay([mine, other, suspended, resumed])
    turns = around(T0 + DAY, T0 + 3 * DAY, T0 + 5 * DAY, T0 + 9 * DAY)
    free, stopped = "permitted", "forbidden"
    assert codes_at(book, ask(mine), turns) == [free, stopped, stopped, free, free, stopped, stopped, free]


@pytest.mark.spec("AGR-51")
def test_an_expired_or_empty_group_is_nobody_in_a_permit_and_in_a_forbid() -> None:
    group = {"id": "desk", "members": [SOUTH.id], "until": stamp(T0 + 5 * DAY), "purposes": ["investigate"]}
    empty = {**group, "id": "none", "members": [], "until": stamp(T0 + 50 * DAY)}
    to_group = {**PERMIT, "to": ["group:desk"]}
    mine = agreed(
        POLICE, SOUTH, FIU, clauses=(to_group, {**PERMIT, "id": "p2", "to": ["group:none"]}), groups=[group, empty]
    )
    book, turns = PolicyBook.replay([mine]), around(T0 + 5 * DAY)
    assert codes_at(book, ask(mine), turns) == ["permitted", "no_clause"]
    assert codes_at(book, ask(mine, recipient=FIU), turns) == ["no_clause", "no_clause"]
    against = {**FORBID, "to": ["group:desk"], "purposes": ["investigate"]}
    other = agreed(POLICE, SOUTH, FIU, clauses=(PERMIT, against), groups=[group])
    book = PolicyBook.replay([other])
    assert codes_at(book, ask(other), turns) == ["forbidden", "permitted"]
    assert codes_at(book, ask(other, recipient=FIU), turns) == ["permitted", "permitted"]


@pytest.mark.spec("AGR-52")
def test_a_forbid_that_reaches_everyone_binds_its_parties_whoever_they_tell() -> None:
    mine = agreed(POLICE, SOUTH)
    bond = agreed(POLICE, NGO, clauses=(EVERYONE,), start=T0 + DAY, end=T0 + 9 * DAY)
    left = note("leave", bond, NGO, T0 + 5 * DAY)
    book = PolicyBook.replay([mine, bond])
    turns = around(T0 + DAY, T0 + 5 * DAY, T0 + 9 * DAY)
    free, stopped = "permitted", "forbidden"
    assert codes_at(book, ask(mine), turns) == [free, stopped, stopped, stopped, stopped, free]
    assert codes_at(book, ask(mine, SOUTH, POLICE), turns) == [free] * 6  # SOUTH has not signed it
    assert codes_at(book.admit(left), ask(mine), turns) == [free, stopped, stopped, free, free, free]
    near = agreed(POLICE, NGO, clauses=(FORBID,))
    assert decide(ask(mine), PolicyBook.replay([mine, near]), T0 + DAY).permitted
    period = book.period(T0 + DAY)
    assert [clause.id for _, clause in period.binding(POLICE.id).rows] == ["f1"]
    assert period.binding(SOUTH.id).rows == []


def test_what_is_in_force_can_be_looked_up_and_walked_through() -> None:
    one, two = agreed(POLICE, SOUTH), agreed(POLICE, FIU, start=T0 + 5 * DAY)
    book = PolicyBook.replay([one, two])
    early, late = book.period(T0).in_force, book.period(T0 + 5 * DAY).in_force
    assert dict(early) == {one.digest: one}
    assert dict(late) == {one.digest: one, two.digest: two}
    assert early.get(two.digest) is None
    assert (len(early), len(late), two.digest in early, two.digest in late) == (1, 2, False, True)
    assert book.in_force(T0) == (one,)


def _pairs() -> Iterator[tuple[Party, Party]]:
    return ((one, other) for one in ref.AGENCIES for other in ref.AGENCIES if one is not other)


@given(ref.CHANCE)
def test_a_kept_table_is_what_a_fresh_one_would_be(rng: Random) -> None:
    logged = ref.random_log(rng)
    book = logged.book()
    for _ in range(6):
        now, fresh = ref.random_now(rng), logged.book()
        for one, other in _pairs():
            kept, made = book.period(now).shared(one.id, other.id), fresh.period(now).shared(one.id, other.id)
            assert kept.agreements == made.agreements
            assert kept.forbids.rows == made.forbids.rows
            assert book.period(now).binding(one.id).rows == fresh.period(now).binding(one.id).rows

"""Each pair of facts: what one book lacks or says otherwise, under which code, and whom that convicts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from exchange.audit.finding import Finding
from exchange.audit.ledger_lines import GIVEN, HEARD, Line
from exchange.audit.log_book import Patience
from exchange.audit.reconciled import RENAMED, judged
from exchange.audit.three_way import compare
from exchange.protocol.entry import ActEntry, DenialEntry, DisclosureEntry, ReceiptEntry
from exchange.protocol.vocabulary import Act, ActKind, Purpose, ReceiptStatus
from keys.encoding import digest, stamp
from tests.exchange.audit.traffic import Books, Traffic

MANY = 40


@cache
def traffic() -> Traffic:
    return Traffic(11, messages=MANY)


@pytest.fixture
def books() -> Books:
    """Honest books, new for every test."""
    return Books(traffic())


def found(books: Books, patience: Patience | None = None) -> list[Finding]:
    return list(compare(books.log(), books.ledgers(), patience).findings)


def charges(books: Books, msg: str | None = None) -> set[tuple[str, str]]:
    return {(one.code, one.who) for one in found(books) if msg is None or one.evidence.get("msg") == msg}


class Case:
    """One message that was taken in, opened and receipted with a signed batch, and nothing more came of it."""

    def __init__(self, books: Books) -> None:
        for index, entry in enumerate(books.entries):
            if not isinstance(entry, DisclosureEntry) or len(entry.to) != 1:
                continue
            about = [one for one in books.entries if getattr(one, "msg", None) == entry.msg]
            kinds = [str(one.status) for one in about if isinstance(one, ReceiptEntry)]
            signed = [one for one in about if isinstance(one, ReceiptEntry) and one.batch in books.traffic.batches]
            heard = [p for p in books.proofs[entry.from_] if getattr(p.entry, "msg", "") == entry.msg]
            if kinds == ["delivered", "opened"] and len(about) == 3 and len(signed) == 2 and len(heard) == 3:
                self.books, self.index, self.entry, self.msg = books, index, entry, entry.msg
                self.sender, self.recipient = entry.from_, entry.to[0].id
                return
        raise AssertionError("no such message in this traffic")

    def act(self, agency: str, act: Act) -> int:
        return next(i for i, one in enumerate(self.books.lines[agency]) if (one.act, one.msg) == (act, self.msg))

    def drop(self, agency: str, act: Act) -> None:
        lines = self.books.lines[agency]
        lines[:] = [one for one in lines if (one.act, one.msg) != (act, self.msg)]
        self.settle(agency)

    def change(self, agency: str, act: Act, **members: Any) -> None:
        lines, place = self.books.lines[agency], self.act(agency, act)
        lines[place] = replace(lines[place], **members)
        self.settle(agency)

    def settle(self, agency: str) -> None:
        """It lied when it wrote: its heads were signed over just this."""
        self.books.lines[agency][:] = [replace(one, n=n) for n, one in enumerate(self.books.lines[agency], start=1)]
        signed_at_once(self.books, agency)

    def forget(self, *agencies: str) -> None:
        """Nobody of these has kept a proof about the message."""
        for agency in agencies:
            mine = self.books.proofs[agency]
            self.books.proofs[agency] = [one for one in mine if getattr(one.entry, "msg", None) != self.msg]


def signed_at_once(books: Books, agency: str) -> None:
    """Take the heads of an agency out of the comparison: other tests are about them."""
    for name, note in list(books.notes.items()):
        if note.origin == agency:
            books.notes[name] = replace(note, at=note.at)
    original = books.ledger

    def ledger(one: str) -> Any:
        book = original(one)
        if one == agency:
            sizes = [e.size for e in books.entries if getattr(e, "by", None) == agency and e.typ == "node-head"]
            book.roots = {}
            book.size = max([book.size, *sizes])
        return book

    books.ledger = ledger  # type: ignore[method-assign]


@pytest.mark.spec("LOG-103")
def test_a_disclosure_that_its_senders_ledger_lacks(books: Books) -> None:
    case = Case(books)
    case.drop(case.sender, Act.DISCLOSE)
    assert charges(books, case.msg) == {("logged_not_disclosed", case.sender)}
    case.forget(case.sender, case.recipient)
    assert charges(books, case.msg) == {("logged_not_disclosed", f"{case.sender} or broker")}


@pytest.mark.spec("LOG-103")
def test_a_message_that_its_recipients_ledger_lacks(books: Books) -> None:
    case = Case(books)
    case.drop(case.recipient, Act.RECEIVE)
    case.drop(case.recipient, Act.OPEN)
    assert charges(books, case.msg) == {("receipt_without_message", case.recipient)}
    for batch in [e.batch for e in books.entries if isinstance(e, ReceiptEntry) and e.msg == case.msg]:
        books.traffic.batches = {name: one for name, one in books.traffic.batches.items() if name != batch}
    try:
        assert charges(books, case.msg) == {("receipt_without_message", f"{case.recipient} or broker")}
    finally:
        traffic.cache_clear()


@pytest.mark.spec("LOG-103")
def test_an_opening_that_the_recipients_ledger_lacks(books: Books) -> None:
    case = Case(books)
    case.drop(case.recipient, Act.OPEN)
    assert charges(books, case.msg) == {("not_in_ledger", case.recipient)}


@pytest.mark.spec("LOG-103")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"purpose": "prosecute"}, "facts_differ"),
        ({"to": ("e.fiu.sim", "d.ngo.sim")}, "facts_differ"),
        ({"agr": digest(b"another")}, "facts_differ"),
        ({"cats": frozenset({"smug_b_groups"})}, "facts_differ"),
        ({"by": digest(b"another officer")}, "facts_differ"),
        ({"index": 2}, "facts_differ"),
        ({"clauses": ("c9",)}, "clause_differs"),
    ],
)
def test_what_a_sender_says_otherwise_than_it_signed(books: Books, change: dict[str, Any], code: str) -> None:
    case = Case(books)
    case.change(case.sender, Act.DISCLOSE, **change)
    assert charges(books, case.msg) == {(code, case.sender)}


@pytest.mark.spec("LOG-103")
def test_a_recipient_that_says_it_refused_what_it_receipted(books: Books) -> None:
    case = Case(books)
    case.change(case.recipient, Act.RECEIVE, outcome="seal_mismatch")
    assert ("facts_differ", case.recipient) in charges(books, case.msg)


@pytest.mark.spec("LOG-103")
@pytest.mark.parametrize("status", [ReceiptStatus.DELIVERED, ReceiptStatus.OPENED])
def test_a_receipt_that_the_log_lacks(books: Books, status: ReceiptStatus) -> None:
    case = Case(books)
    place = next(
        i for i, one in enumerate(books.entries)
        if isinstance(one, ReceiptEntry) and (one.msg, one.status) == (case.msg, status)
    )  # fmt: skip
    del books.entries[place]
    assert ("delivered_not_receipted", "broker") in charges(books, case.msg)
    assert {one.who for one in found(books)} == {"broker"}


@pytest.mark.spec("LOG-102", "LOG-106")
def test_a_disclosure_taken_out_of_the_log_is_named_and_what_only_moved_is_one_finding(books: Books) -> None:
    case = Case(books)
    del books.entries[case.index]
    all_found = found(books)
    assert {one.who for one in all_found} == {"broker"}
    assert ("disclosed_not_logged", "broker") in charges(books, case.msg)
    moved = [one for one in all_found if one.code == "held_proof_contradicts_log" and one.index is None]
    assert len(moved) == 1
    assert int(moved[0].evidence["proofs"]) > 10
    assert int(moved[0].evidence["same_until"]) <= case.index


@pytest.mark.spec("LOG-103")
def test_an_entry_that_says_otherwise_than_the_manifest_convicts_the_broker(books: Books) -> None:
    case = Case(books)
    books.entries[case.index] = case.entry.model_copy(update={"purpose": Purpose.BORDER_CHECK})
    assert charges(books, case.msg) == {("facts_differ", "broker")}


@pytest.mark.spec("LOG-103")
def test_acts_that_one_book_lacks(books: Books) -> None:
    index, act = next((i, e) for i, e in enumerate(books.entries) if isinstance(e, ActEntry) and str(e.act) == "answer")
    by = act.by
    lines = books.lines[by]
    books.lines[by] = [replace(one, n=n) for n, one in enumerate((x for x in lines if x.index != index), start=1)]
    signed_at_once(books, by)
    assert [(one.code, one.who) for one in found(books) if one.evidence.get("statement") == act.statement] == [
        ("not_in_ledger", by)
    ]


@pytest.mark.spec("LOG-103")
def test_an_erasure_that_the_ledger_lacks_or_that_came_to_nothing(books: Books) -> None:
    agency, line = next(
        (agency, one) for agency, lines in books.lines.items() for one in lines
        if one.act is Act.ERASE and one.outcome == "retention"
    )  # fmt: skip
    lines = books.lines[agency]
    later = Line(
        Act.OPEN, line.msg, line.index, ts=books.traffic.now - timedelta(days=1), by=digest(b"x"), n=len(lines) + 1
    )
    books.lines[agency] = [*lines, later]
    signed_at_once(books, agency)
    assert ("erasure_not_done", agency) in charges(books, line.msg)
    books.lines[agency] = [replace(one, n=n) for n, one in enumerate((x for x in lines if x is not line), start=1)]
    assert ("erasure_not_done", agency) in charges(books, line.msg)


@pytest.mark.spec("LOG-104")
def test_what_is_dated_before_what_it_followed_from(books: Books) -> None:
    case = Case(books)
    place = case.act(case.recipient, Act.OPEN)
    lines = books.lines[case.recipient]
    lines[place] = replace(lines[place], ts=lines[place].ts - timedelta(days=30))  # type: ignore[operator]
    signed_at_once(books, case.recipient)
    assert ("clock_out_of_order", case.recipient) in charges(books, case.msg)
    lenient = Patience(tolerance=timedelta(days=60))
    assert not [one for one in found(books, lenient) if one.code == "clock_out_of_order"]


@pytest.mark.spec("LOG-104")
def test_an_entry_dated_before_the_one_in_front_of_it(books: Books) -> None:
    case = Case(books)
    early = stamp(books.entries[case.index].at - timedelta(days=40))
    books.entries[case.index] = case.entry.model_copy(update={"ts": early})
    assert ("clock_out_of_order", "broker") in charges(books)


@pytest.mark.spec("LOG-103")
def test_a_reason_that_is_missing_and_an_opening_by_nobody(books: Books) -> None:
    case = Case(books)
    case.change(case.recipient, Act.OPEN, reasoned=False)
    assert charges(books, case.msg) == {("act_unjustified", case.recipient)}
    case.change(case.recipient, Act.OPEN, reasoned=True, by=None)
    assert charges(books, case.msg) == {("act_unjustified", case.recipient)}


@pytest.mark.spec("LOG-101")
def test_a_ledger_that_began_later_is_not_asked_for_what_was_before(books: Books) -> None:
    case = Case(books)
    agency = case.recipient
    books.lines[agency] = []
    signed_at_once(books, agency)
    assert [one for one in found(books) if agency in one.who]
    everything, ledger = books.traffic.now, books.ledger

    def began(one: str) -> Any:
        book = ledger(one)
        book.since = everything if one == agency else None
        return book

    books.ledger = began  # type: ignore[method-assign]
    assert not [one for one in found(books) if agency in one.who]


@pytest.mark.spec("LOG-101")
def test_grace_and_tolerance_are_arguments(books: Books) -> None:
    case = Case(books)
    case.drop(case.sender, Act.DISCLOSE)
    case.forget(case.sender, case.recipient)
    assert "logged_not_disclosed" in {one.code for one in found(books)}
    waiting = compare(books.log(), books.ledgers(), Patience(grace=timedelta(days=400)))
    assert "logged_not_disclosed" not in {one.code for one in waiting.findings}
    assert waiting.on_its_way["logged_not_disclosed"] == 1


@pytest.mark.spec("LOG-105")
def test_what_the_log_shows_alone_has_the_shared_codes_and_who_is_answerable() -> None:
    for code, shared in RENAMED.items():
        one = judged(Finding(code, "`a.police.sim` did so", 3, {"msg": "x"}))
        assert (one.code, one.evidence["audit"]) == (shared, code)
    assert judged(Finding("clock_backwards", "x", 1)).who == "broker"
    assert judged(Finding("recall_unanswered", "x", 1, {"holder": "a.police.sim"})).who == "a.police.sim"
    invalid = judged(Finding("receipt_refused", "x", 1, {"refusal": "key_not_valid"}))
    assert (invalid.code, invalid.evidence["audit"]) == ("key_not_valid_then", "receipt_refused")


def test_a_node_writes_acts_as_a_comparison_expects_them() -> None:
    """LOG-103: the two lists of what a ledger has of a signed act are one."""
    from agencies.node.after.acts import LEDGER
    from agencies.node.mail.hearing import _TOLD

    assert dict(LEDGER) == dict(GIVEN)
    assert {kind: _TOLD.get(kind, Act.CONSENT) for kind in ActKind} == dict(HEARD)
    assert DenialEntry.model_fields

"""Many jobs, one transaction; one log, however many processes. See `spec/admission.md`, LOG-10, LOG-41, LOG-42."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange.broker.page import Page
from exchange.broker.store import MAIL, BooksDamaged, HeadMoved
from exchange.protocol.errors import Overloaded, ReceiptNotTheirs
from exchange.protocol.log import verify_checkpoint, verify_growth, verify_tlog_proof
from exchange.protocol.merkle import Tree, leaf_hash
from exchange.protocol.message import MEDIA_TYPE, parse
from keys.ceremony import revoke
from keys.encoding import instant, unb64u
from tests.exchange.broker.office import FIU, NORTH, SOUTH, Office, open_office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as opened:
        yield opened


class Scribble:
    """A job of the tests': writes what it is told, and may stumble after it has written."""

    key = None
    looks_back = False

    def __init__(self, text: str, stumble: Exception | None = None, mail: int | None = None) -> None:
        self.text, self.stumble, self.mail, self.seq = text, stumble, mail, -1

    def write(self, page: Page) -> None:
        self.seq = page.append(self.text.encode())
        page.deliver(SOUTH, self.seq if self.mail is None else self.mail, "note")
        if self.stumble:
            raise self.stumble

    def answer(self, books: Any) -> tuple[int, str]:
        return self.seq, books.proof(self.seq)


def entries(office: Office) -> list[bytes]:
    with office.broker._store.reading() as view:
        return list(view.entries(0, 10**6))


def consistent(office: Office) -> None:
    """Every entry is under the head, and the head's checkpoint is the log's."""
    with office.broker._store.reading() as view:
        head = view.head()
        tree = Tree()
        tree.append([leaf_hash(entry) for entry in view.entries(0, head.size)])
        assert view.length() == (head.size, head.size - 1)
    assert (tree.size, tree.root()) == (head.size, head.root)
    signed = verify_checkpoint(head.checkpoint, office.cast.directory.root.log)
    assert (signed.size, signed.root) == (head.size, head.root)


@pytest.mark.spec("ADM-36", "ADM-37")
def test_the_authority_has_a_key_revoked_while_the_broker_runs_and_its_agency_says_nothing(office: Office) -> None:
    cast, record = office.cast, office.cast.directory.agency(SOUTH)
    assert office.call(SOUTH, "GET", "/v1/mailbox").status == 200
    office.clock.advance(hours=1)
    kids = [key.kid for key in record.keys]
    revoked = revoke(
        cast.fed, record, kids, cast.enrolment, reason="stolen", now=office.clock.now,
        replacement=cast.identities[SOUTH].renewed().public,
    )  # fmt: skip
    newer = cast.directory.with_record(revoked, office.clock.now).to_bytes()
    Office(office.path, office.clock, cast, {**office.changes, "trust": newer}).close()
    assert office.entries()[-1]["version"] == 2
    time.sleep(0.06)  # the office looks every 50 ms
    assert office.call(SOUTH, "GET", "/v1/directory").code == "key_not_valid"


@pytest.mark.spec("ADM-11", "LOG-10")
def test_a_job_that_stumbles_leaves_nothing_and_the_others_are_written(office: Office) -> None:
    clerk, size = office.broker.clerk, office.size
    jobs = [
        Scribble("one"),
        Scribble("two", ReceiptNotTheirs("no")),
        Scribble("three", ValueError("ours")),
        Scribble("four"),
    ]
    one, two, three, four = clerk.write_now(jobs)
    assert (one[0], four[0]) == (size, size + 1)
    assert isinstance(two, ReceiptNotTheirs)
    assert isinstance(three, ValueError)
    assert entries(office)[size:] == [b"one", b"four"]
    assert [row.seq for row in _mail(office, SOUTH)] == [size, size + 1]
    consistent(office)


def _mail(office: Office, who: str) -> Any:
    with office.broker._store.reading() as view:
        return view.mail(who, -1, 100)


@pytest.mark.spec("ADM-11")
def test_one_that_the_database_refuses_does_not_take_the_group_down(office: Office) -> None:
    size = office.size
    bad, good = office.broker.clerk.write_now([Scribble("bad", mail=10**6), Scribble("good")])
    assert isinstance(bad, Exception)
    assert good[0] == size
    assert entries(office)[size:] == [b"good"]
    consistent(office)


@pytest.mark.spec("ADM-12")
def test_nothing_is_answered_when_the_commit_fails(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    from exchange.broker.store import Writing

    size = office.size

    def fail(*_: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Writing, "move_head", fail)
    (answer,) = office.broker.clerk.write_now([Scribble("lost")])
    assert isinstance(answer, OSError)
    monkeypatch.undo()
    assert office.size == size
    (answer,) = office.broker.clerk.write_now([Scribble("kept")])
    assert answer[0] == size
    consistent(office)


@pytest.mark.spec("LOG-10")
def test_two_brokers_on_one_database_take_turns_and_keep_one_log(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH)
    second = office.second()
    try:
        checkpoints = [office.call(None, "GET", "/log/checkpoint").body.decode()]
        seen: list[int] = []
        for number in range(12):
            one = (office, second)[number % 2 if number < 8 else 0]
            answer = one.submit(office.cast.compose(agreement)).json
            index, _ = verify_tlog_proof(answer["proof"], unb64u(answer["entry"]), office.cast.directory.root.log)
            seen.append(index)
            checkpoints.append(one.call(None, "GET", "/log/checkpoint").body.decode())
        assert seen == list(range(seen[0], seen[0] + 12))
        tree = Tree()
        tree.append([leaf_hash(entry) for entry in entries(office)])
        for old, new in itertools.pairwise(checkpoints):
            sizes = [int(text.split("\n")[1]) for text in (old, new)]
            verify_growth(old, new, tree.consistency(*sizes), office.cast.directory.root.log)
        consistent(office)
    finally:
        second.close()


@pytest.mark.spec("LOG-10", "ADM-8")
def test_the_same_message_to_two_brokers_is_logged_once(office: Office) -> None:
    envelope = office.cast.compose(office.agree(NORTH, SOUTH))
    second = office.second()
    try:
        first = office.submit(envelope).json
        assert {**second.submit(envelope).json, "proof": ""} == {**first, "proof": ""}
        consistent(office)
    finally:
        second.close()


@pytest.mark.spec("LOG-10")
def test_a_head_that_moved_in_between_is_seen_and_the_work_redone(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    clerk, moves = office.broker.clerk, [HeadMoved(), HeadMoved()]
    turn = type(clerk)._turn

    def unlucky(self: Any, *args: Any) -> Any:
        if moves:
            raise moves.pop()
        return turn(self, *args)

    monkeypatch.setattr(type(clerk), "_turn", unlucky)
    size = office.size
    (answer,) = clerk.write_now([Scribble("persistent")])
    assert answer[0] == size
    moves += [HeadMoved() for _ in range(100)]
    (answer,) = clerk.write_now([Scribble("unlucky")])
    assert isinstance(answer, Overloaded)


@pytest.mark.spec("LOG-10")
def test_the_head_moves_only_from_where_it_was_believed_to_be(office: Office) -> None:
    store = office.broker._store
    with store.reading() as view:
        head = view.head()
    for wrong in ({"size": head.size + 1}, {"root": b"x" * 32}):
        believed = type(head)(**{**{n: getattr(head, n) for n in head.__slots__}, **wrong})
        with pytest.raises(HeadMoved), store.writing() as view:
            view.move_head(believed, head)


def test_what_another_broker_decided_by_is_known_before_the_next_decision(office: Office) -> None:
    second = office.second()
    try:
        agreement = second.agree(NORTH, SOUTH)
        assert office.submit(office.cast.compose(agreement)).json["code"] == "permitted"
        notice = office.cast.notice("suspend", agreement, SOUTH, office.clock.now).to_bytes()
        second.statement(SOUTH, "/v1/agreements", notice)
        office.clock.advance(seconds=1)
        assert office.submit(office.cast.compose(agreement)).json["code"] == "agreement_suspended"
    finally:
        second.close()


@pytest.mark.spec("LOG-18")
def test_a_broker_whose_books_stop_agreeing_signs_nothing_more(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH)
    office.submit(office.cast.compose(agreement))
    with office.broker._store.writing() as view:
        view._connection.exec_driver_sql("UPDATE head SET root = ?, size = size - 1", (b"x" * 32,))
    for _ in range(2):
        got = office.submit(office.cast.compose(agreement))
        assert (got.status, got.code) == (500, "fault")
    with pytest.raises(BooksDamaged):
        _ = office.broker.clerk.books
    assert office.call(None, "GET", "/readyz").status == 503


@pytest.mark.spec("LOG-41")
def test_log_time_never_runs_backwards(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH)
    envelopes = [office.cast.compose(agreement) for _ in range(2)]
    office.submit(envelopes[0])
    office.clock.advance(seconds=-30)
    office.submit(envelopes[1], created=int(office.clock.now.timestamp()) + 30)
    office.second().close()
    times = [instant(entry["ts"]) for entry in office.entries()]
    assert times == sorted(times)


def test_a_caller_that_leaves_before_the_commit_disturbs_nobody(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH)
    envelopes = [office.cast.compose(agreement) for _ in range(3)]

    async def scene() -> Any:
        tasks = [
            asyncio.create_task(office.acall(NORTH, "POST", "/v1/messages", envelope, media=MEDIA_TYPE))
            for envelope in envelopes
        ]
        while not office.broker.clerk._queue:  # noqa: ASYNC110  # the clerk has no event to wait for
            await asyncio.sleep(0)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    (got,) = office.together(scene())
    assert isinstance(got[0], asyncio.CancelledError)
    assert [g.json["msg"] for g in got[1:]] == [parse(e).digest for e in envelopes[1:]]
    assert office.submit(envelopes[0]).json["outcome"] == "permit"
    consistent(office)


@pytest.mark.spec("ADM-11", "HTTP-34")
def test_a_proof_in_json_is_the_proof(office: Office) -> None:
    agreement = office.agree(NORTH, SOUTH, FIU)
    office.submit_batch([office.cast.compose(agreement) for _ in range(70)])
    books = office.broker.clerk.books
    for seq in (0, 5, 63, 64, office.size - 1):
        assert json.loads(books.proof_json(seq)) == books.proof(seq)


def test_a_page_forgets_what_came_after_a_mark(office: Office) -> None:
    with office.broker._store.writing() as view:
        books = office.broker.clerk.books
        page = Page(view, books.head, books.state, office.clock.now, books.decided, {})
        page.append(b"kept")
        mark = page.mark()
        page.append(b"dropped")
        page.add(MAIL, SOUTH, 1, "note", None)
        page.change()
        page.back_to(mark)
        assert (page.entries, page.rows[MAIL], page.changed, page.state) == ([b"kept"], [], False, books.state)
        assert page.entry(books.head.size) == b"kept"

"""A log is closed at the end of a year and goes on in the next shard, in one transaction (LOG-120 to LOG-131)."""

from __future__ import annotations

import os
import signal
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.broker.books_check import check_books
from exchange.broker.store import BooksDamaged, Store, Writing
from exchange.protocol.log import parse_bundle, unverified_checkpoint, verify_checkpoint, verify_local_proof
from exchange.protocol.merkle import Tree, leaf_hash
from keys.encoding import b64u, digest, unb64u
from tests.exchange.broker.office import NORTH, ORIGIN, SOUTH, Office, open_office

EVE = datetime(2026, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
TICK = timedelta(milliseconds=1)


def sent(office: Office, agreement: str) -> Any:
    got = office.submit(office.cast.compose(agreement, now=office.clock.now))
    assert got.status == 200, got.body
    return got.json


def turned(office: Office) -> tuple[str, Any, Any]:
    """An agreement, a message sent in the last millisecond of the year, and one in the first of the next."""
    office.clock.now = EVE - timedelta(seconds=1)
    agreement = office.agree(NORTH, SOUTH)
    office.clock.now = EVE
    old = sent(office, agreement)
    office.clock.now = EVE + TICK
    return agreement, old, sent(office, agreement)


def place(answer: Any, office: Office) -> tuple[str, int, int]:
    index, checkpoint = verify_local_proof(answer["proof"], unb64u(answer["entry"]), office.cast.directory.root.log)
    return checkpoint.origin, index, checkpoint.size


@pytest.mark.spec("LOG-120", "LOG-121", "LOG-122", "LOG-123")
def test_the_first_commit_of_a_year_begins_a_shard(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        _, old, new = turned(office)
        (origin, index, size), entries = place(old, office), office.entries()
        assert (origin, index + 1) == (ORIGIN, size)
        assert place(new, office) == (f"{ORIGIN}/2027", 1, 2)
        assert len(entries) == size + 2
        first = entries[size]
        assert list(first) == ["v", "typ", "ts", "base", "origin", "size", "root", "checkpoint"]
        assert (first["typ"], first["ts"], first["base"]) == ("shard", "2027-01-01T00:00:00.000Z", size)
        closing = office.call(None, "GET", f"/log/closed/{first['checkpoint']}").body
        assert digest(closing) == first["checkpoint"]
        assert unverified_checkpoint(closing.decode())[:2] == (ORIGIN, size) == (first["origin"], first["size"])
        assert b64u(unverified_checkpoint(closing.decode())[2]) == first["root"]


@pytest.mark.spec("LOG-3", "LOG-123")
def test_an_answer_of_last_year_is_given_again_under_the_checkpoint_that_closed_it(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        office.clock.now = EVE
        envelope = office.cast.compose(office.agree(NORTH, SOUTH), now=EVE)
        before = office.submit(envelope).json
        size = office.size
        office.clock.now = EVE + TICK
        again = office.submit(envelope).json
        assert again["entry"] == before["entry"]
        assert place(again, office) == (ORIGIN, size - 1, size)
        assert office.size == size + 1  # the year has turned all the same


@pytest.mark.spec("LOG-123", "ADM-11")
def test_mail_of_both_years_is_collected_by_one_cursor(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        turned(office)
        page = office.mailbox(SOUTH)
        numbers = [item["seq"] for item in page["items"]]
        assert numbers == sorted(numbers)
        assert [item["kind"] for item in page["items"]][-2:] == ["message", "message"]
        later = office.mailbox(SOUTH, after=numbers[-2])
        assert [item["seq"] for item in later["items"]] == numbers[-1:]


@pytest.mark.spec("LOG-123")
def test_a_year_with_nothing_in_it_has_no_shard(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        assert office.call(None, "GET", "/log/shards").status == 404
        turned(office)
        office.clock.now = datetime(2029, 5, 1, tzinfo=UTC)
        assert office.submit(b"{}").status == 403
        assert office.call(None, "GET", "/log/shards").body == b"2027\n"
        office.broker.clerk.write_now([Nothing()])
        assert office.call(None, "GET", "/log/shards").body == b"2027\n2029\n"


class Nothing:
    """A job that writes nothing."""

    key = None
    looks_back = False

    def write(self, page: Any) -> None:
        page.changing()

    def answer(self, books: Any) -> None:
        """Nobody asks."""


@pytest.mark.spec("LOG-131", "HTTP-52")
def test_every_shard_is_served_as_a_log_of_its_own(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        turned(office)
        for prefix, origin in (("/log", ORIGIN), ("/log/2027", f"{ORIGIN}/2027")):
            note = office.call(None, "GET", f"{prefix}/checkpoint").body.decode()
            name, size, root = unverified_checkpoint(note)
            tile = office.call(None, "GET", f"{prefix}/tile/0/000.p/{size}").body
            entries = parse_bundle(office.call(None, "GET", f"{prefix}/tile/entries/000.p/{size}").body, size)
            tree = Tree()
            tree.append(map(leaf_hash, entries))
            assert (name, tree.root(), tile) == (origin, root, b"".join(map(leaf_hash, entries)))
            assert office.call(None, "GET", f"{prefix}/tile/0/000.p/{size + 1}").code == "tile_path_invalid"
        assert office.call(None, "GET", "/log/head").body == office.call(None, "GET", "/log/2027/checkpoint").body
        for path in ("/log/2026/checkpoint", "/log/20271/checkpoint", "/log/x/tile/0/000", "/log/closed/x"):
            assert office.call(None, "GET", path).code == "tile_path_invalid"


@pytest.mark.spec("LOG-10", "LOG-123")
def test_of_two_processes_one_turns_the_year_and_the_other_follows(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        agreement, _, _ = turned(office)
        office.clock.now = datetime(2028, 1, 1, tzinfo=UTC)
        other = office.second()
        try:
            for one in (other, office, other):
                one.broker.clerk.write_now([Nothing()])
            sizes = {one.broker.clerk.refresh().head.size for one in (office, other)}
        finally:
            other.close()
        assert len(sizes) == 1
        assert [entry["typ"] for entry in office.entries()].count("shard") == 2
        assert agreement


@pytest.mark.spec("LOG-122")
def test_a_change_that_would_be_dated_in_the_next_year_waits_for_it(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        office.clock.now = EVE
        sent(office, office.agree(NORTH, SOUTH))
        offer = office.cast.agreement(NORTH, SOUTH, id="second")
        got = office.statement(NORTH, "/v1/agreements", offer.to_bytes())
        assert (got.status, got.code) == (503, "overloaded")
        office.clock.now = EVE + TICK
        assert office.statement(NORTH, "/v1/agreements", offer.to_bytes()).status == 200
        assert [entry["ts"][:4] for entry in office.entries()[-4:]] == ["2027"] * 4


@pytest.mark.spec("LOG-84", "LOG-123")
@pytest.mark.parametrize("step", ["add", "widen", "close_shard", "move_head", "second move_head"])
def test_a_broker_killed_while_the_year_turns_has_turned_it_or_not(tmp_path: Path, step: str) -> None:
    with open_office(tmp_path) as office:
        office.clock.now = EVE
        agreement = office.agree(NORTH, SOUTH)
        envelope = office.cast.compose(agreement, now=EVE)
        size = office.size
    child = os.fork()
    if child == 0:
        _die_at(tmp_path, step, envelope)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
    with open_office(tmp_path) as office:
        assert office.size == size
        office.clock.now = EVE + TICK
        assert office.submit(envelope).status == 200
        assert [entry["typ"] for entry in office.entries()[size:]] == ["shard", "disclosure"]
        check_books(office.broker._store, office.cast.directory.root.log, every_entry=True)


def _die_at(folder: Path, step: str, envelope: bytes) -> None:
    """In a process of its own: die by SIGKILL behind one step of the transaction that turns the year."""
    try:
        name, left = step.removeprefix("second "), [2 if step.startswith("second") else 1]
        whole = getattr(Writing, name)

        def dying(self: Any, *args: Any) -> None:
            whole(self, *args)
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

        with open_office(folder) as office:
            office.clock.now = EVE + TICK
            setattr(Writing, name, dying)
            office.submit(envelope)
    finally:
        os._exit(1)


@pytest.mark.spec("LOG-18", "LOG-124")
@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE closed SET size = size - 1",
        "UPDATE closed SET note = replace(note, 'ix', 'iy') || ' '",
        "DELETE FROM closed",
        "UPDATE head SET base = base - 1",
        "UPDATE entry SET data = replace(data, '\"base\":', '\"base\":1') WHERE seq = (SELECT base FROM head)",
        "UPDATE tile SET hashes = zeroblob(length(hashes)) WHERE base = 0 AND level = 0",
    ],
)
def test_books_whose_shards_do_not_fit_are_not_signed_over(tmp_path: Path, edit: str) -> None:
    with open_office(tmp_path) as office:
        turned(office)
    plain = sqlite3.connect(tmp_path / "broker.db")
    plain.execute("PRAGMA foreign_keys=OFF")
    plain.execute(edit)
    plain.commit()
    plain.close()
    with pytest.raises(BooksDamaged):
        Office(tmp_path / "broker.db", type(office.clock)(EVE + timedelta(days=1)))


def test_an_older_entry_that_was_changed_is_found_by_a_whole_check(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        turned(office)
        log = office.cast.directory.root.log
    plain = sqlite3.connect(tmp_path / "broker.db")
    plain.execute("UPDATE entry SET data = replace(data, 'record', 'recall') WHERE seq = 0")
    plain.commit()
    plain.close()
    store = Store(tmp_path / "broker.db")
    with pytest.raises(BooksDamaged, match="entry 0 is not"):
        check_books(store, log, every_entry=True)
    store.close()


def test_decisions_go_on_by_the_rules_of_last_year_after_a_restart(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        agreement, _, _ = turned(office)
    with open_office(tmp_path) as office:
        office.clock.now = EVE + timedelta(hours=1)
        assert sent(office, agreement)["outcome"] == "permit"
        head = verify_local_head(office)
        assert (head.origin, head.size) == (f"{ORIGIN}/2027", 3)


def verify_local_head(office: Office) -> Any:
    note = office.call(None, "GET", "/log/head").body.decode()
    origin, size, _ = unverified_checkpoint(note)
    log = office.cast.directory.root.log
    from dataclasses import replace

    return verify_checkpoint(note, replace(log, shards=((origin, office.size - size),)))

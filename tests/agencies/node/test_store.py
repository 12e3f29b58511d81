"""The books on disk: all of a block or nothing, durable, one writer at a time (NODE-60)."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agencies.node.store import Store
from tests.agencies.node.old_books import as_schema_5


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "node.db")
    yield made
    made.close()


def test_a_block_is_written_whole_or_not_at_all(store: Store) -> None:
    def fail() -> None:
        with store.writing() as books:
            books.set_meta("cursor", "7")
            books.add("rejected", [{"msg": "m", "seq": 1, "code": "c", "at": "t"}])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with store.reading() as books:
        assert (books.meta("cursor", "none"), books.count("rejected")) == ("none", 0)


@pytest.mark.spec("NODE-60")
def test_a_commit_is_on_disk_when_it_returns(store: Store) -> None:
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == 1


def test_the_file_is_its_owners_alone(store: Store, tmp_path: Path) -> None:
    with store.writing() as books:
        books.set_meta("x", "y")
    assert {path.name: path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {
        "node.db": 0, "node.db-wal": 0, "node.db-shm": 0,
    }  # fmt: skip


def test_writers_wait_for_one_another_and_readers_for_nobody(store: Store) -> None:
    def count_up() -> None:
        for _ in range(20):
            with store.writing() as books:
                books.set_meta("n", str(int(books.meta("n", "0")) + 1))

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    with store.reading() as books:
        books.meta("n")
    for thread in threads:
        thread.join()
    with store.reading() as books:
        assert books.meta("n") == "80"


def test_books_of_another_schema_are_not_touched(tmp_path: Path) -> None:
    Store(tmp_path / "node.db").close()
    other = sqlite3.connect(tmp_path / "node.db", isolation_level=None)
    other.execute("PRAGMA user_version=99")
    other.close()
    with pytest.raises(RuntimeError, match="schema"):
        Store(tmp_path / "node.db")


def test_statements_are_compiled_for_all_nodes_of_a_process_at_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        made = Store(tmp_path / name)
        with made.writing() as books:
            books.set_meta("x", name)
            assert books.meta("x") == name
            assert books.received(["a" * 43]) == set()
        assert made._engine._compiled_cache == {}
        made.close()


def test_an_outbox_row_moves_once(store: Store) -> None:
    row = {"ref": "r", "state": "pending_release", "officer": "o", "made": "t", "recipients": "a", "summary": "{}"}
    with store.writing() as books:
        books.add("outbox", [{**row, "case_name": "c", "ruling": False, "attempts": 0}])
        assert books.move(1, "pending_release", {"state": "pending", "due": "a"})
        assert not books.move(1, "pending_release", {"state": "withheld"})
        assert [r.ref for r in books.due("b", 10)] == ["r"]
        books.settle([{"n": 1, "state": "sent", "due": None}])
        assert books.due("b", 10) == []
        assert [r.state for r in books.outbox_of("ref", ["r", "x"])] == ["sent"]
        assert books.outbox_of("ref", []) == []


def test_books_of_the_first_schema_are_brought_up_to_date(tmp_path: Path) -> None:
    Store(tmp_path / "old.db").close()
    with sqlite3.connect(tmp_path / "old.db") as plain:
        as_schema_5(plain)
        for table in ("doubt", "acts", "consents", "duties", "held", "logged"):
            plain.execute(f"DROP TABLE {table}")
        for column in ("approved_by", "src", "exempt"):
            plain.execute(f"ALTER TABLE outbox DROP COLUMN {column}")
        plain.execute("ALTER TABLE signed DROP COLUMN seal")
        plain.execute("INSERT INTO signed VALUES ('d', 'agreement', x'00', 't')")
        plain.execute("PRAGMA user_version=1")
    plain.close()
    again = Store(tmp_path / "old.db")
    with again.writing() as books:
        assert books.get("signed", digest="d").seal is None  # type: ignore[union-attr]
        books.add("doubt", [{"after": 3, "upto": 4, "since": "t", "attempts": 0, "due": "t"}])
        assert books.count("held") + books.count("acts") + books.exemptions() == 0
    with again.writing() as books:
        (due,) = books.doubts_due("t", 8)
        assert [books.clear_doubt(due.n, attempts) for attempts in (1, 0, 0)] == [False, True, False]
    again.close()


@pytest.mark.spec("NODE-60")
def test_books_that_others_could_read_are_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "open.db"
    path.touch(mode=0o644)
    path.chmod(0o644)
    Store(path).close()
    assert path.stat().st_mode & 0o077 == 0

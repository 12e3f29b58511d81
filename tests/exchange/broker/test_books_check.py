"""A broker does not start, and signs nothing, over books that contradict themselves. LOG-18, ADM-36, HTTP-60."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exchange.broker.app import create_app
from exchange.broker.books_check import check_books
from exchange.broker.settings import Settings, UnsafeSettings
from exchange.broker.store import BooksDamaged, HeadRow, Store, prepare
from exchange.protocol.log import LogSigner, sign_checkpoint
from exchange.protocol.merkle import EMPTY_ROOT
from keys.ceremony import amend
from keys.errors import RecordRefused, RootRefused
from keys.signing import Signer, TransportSigner
from tests.exchange.broker.office import HOST, NORTH, ORIGIN, SOUTH, START, Cast, Clock, Office, cast, open_office


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A closed broker's database with 600 messages."""
    folder = tmp_path_factory.mktemp("books")
    with open_office(folder) as office:
        agreement = office.agree(NORTH, SOUTH)
        for _ in range(6):
            office.submit_batch([office.cast.compose(agreement) for _ in range(100)])
    return (folder / "broker.db").read_bytes()


_LAST, _FIRST = "WHERE level = 0 AND number = 2", "WHERE level = 0 AND number = 0"
EDITS = {
    "a tile's last hash": (
        f"UPDATE tile SET hashes = CAST(substr(hashes, 1, length(hashes) - 1) || 'x' AS BLOB) {_LAST}",
        "root",
    ),
    "an old tile": (f"UPDATE tile SET hashes = CAST('x' || substr(hashes, 2) AS BLOB) {_FIRST}", "tile 0/0"),
    "a tile turned to text": (f"UPDATE tile SET hashes = hex(hashes) {_FIRST}", "tile 0/0"),
    "a tile gone": (f"DELETE FROM tile {_FIRST}", "tile 0/0"),
    "a tile cut": (f"UPDATE tile SET hashes = substr(hashes, 1, 64) {_LAST}", "tile 0/2"),
    "a tile too wide": (f"UPDATE tile SET hashes = CAST(hashes || hashes AS BLOB) {_LAST}", "tile 0/2"),
    "an upper tile": ("UPDATE tile SET hashes = zeroblob(32) WHERE level = 1", "tile 0/0"),
    "the head's root": ("UPDATE head SET root = zeroblob(32)", "head"),
    "the head's size": ("UPDATE head SET size = size - 1", "head"),
    "the checkpoint": ("UPDATE head SET checkpoint = replace(checkpoint, 'log', 'lag')", "checkpoint"),
    "a new entry changed": ("UPDATE entry SET data = data || ' ' WHERE seq = 299", "entry 299"),
    "an entry added": ("INSERT INTO entry SELECT seq + 1, data FROM entry ORDER BY seq DESC LIMIT 1", "entries"),
    "no head": ("DELETE FROM head", "head"),
    "no entries": ("DROP TABLE entry", "cannot be read"),
}


def edited(tmp_path: Path, books: bytes, statement: str) -> Path:
    path = tmp_path / "broker.db"
    path.write_bytes(books)
    plain = sqlite3.connect(path)
    plain.execute(statement)
    plain.commit()
    plain.close()
    return path


@pytest.mark.spec("LOG-18")
@pytest.mark.parametrize("what", EDITS)
def test_books_edited_behind_the_brokers_back_keep_it_from_starting(tmp_path: Path, books: bytes, what: str) -> None:
    statement, said = EDITS[what]
    path = edited(tmp_path, books, statement)
    with pytest.raises(BooksDamaged) as caught:
        Office(path, Clock())
    assert said in str(caught.value)
    assert "backup" in str(caught.value)


@pytest.mark.spec("LOG-18")
def test_untouched_books_start_and_an_old_entry_is_found_by_the_full_check(tmp_path: Path, books: bytes) -> None:
    path = edited(tmp_path, books, "SELECT 1")
    office = Office(path, Clock())
    assert office.size == 607  # four records, two signatures and their agreement
    office.close()
    store = Store(edited(tmp_path, books, "UPDATE entry SET data = data || ' ' WHERE seq = 7"))
    try:
        check_books(store, cast().directory.root.log)
        with pytest.raises(BooksDamaged, match="entry 7 is not the one"):
            check_books(store, cast().directory.root.log, every_entry=True)
    finally:
        store.close()


@pytest.fixture(scope="module")
def acted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A closed broker's database with a derived message, two acts, one of them a recall, and two heads of a ledger."""
    folder = tmp_path_factory.mktemp("acted")
    with open_office(folder) as office:
        agreement = office.agree(NORTH, SOUTH)
        msg = office.submit(office.derived(agreement, SOUTH, sender=NORTH)).json["msg"]
        derived = office.derived(agreement, NORTH, sender=SOUTH, src=(msg,))
        assert office.submit(derived, SOUTH).json["code"] == "permitted"
        until = office.clock.now + timedelta(days=1)
        asked = office.act("ask", SOUTH, msg, want="purpose", purposes=["investigate"], fields=[""], until=until)
        assert asked.status == 200
        assert office.act("recall", NORTH, msg, ground="unlawful").status == 200
        assert [office.head(NORTH, size).status for size in (3, 5)] == [200, 200]
    return (folder / "broker.db").read_bytes()


ACTED = {
    "an act that nobody logged": (
        "INSERT INTO act SELECT 0, 'x', kind, by, msg, re, jws FROM act WHERE kind = 'recall'", "the log does not have"
    ),
    "an act forgotten": ("DELETE FROM act WHERE kind = 'ask'", "the tables do not have"),
    "an act turned into another": ("UPDATE act SET kind = 'restrict' WHERE kind = 'recall'", "the tables do not have"),
    "an act by somebody else": ("UPDATE act SET by = 'x.sim' WHERE kind = 'recall'", "the tables do not have"),
    "another statement": ("UPDATE act SET jws = (SELECT jws FROM act LIMIT 1)", "is not the statement"),
    "no statement": ("UPDATE act SET jws = 'x'", "is not the statement"),
    "a source forgotten": ("DELETE FROM lineage", "the tables do not have"),
    "a source added": ("INSERT INTO lineage SELECT 'x', msg, seq FROM lineage", "the log does not have"),
    "a signature forgotten": ("DELETE FROM signature WHERE seq = (SELECT max(seq) FROM signature)", "the tables do"),
    "a head forgotten": ("DELETE FROM nodehead WHERE size = 5", "the tables do not have"),
    "a head that nobody logged": (
        "INSERT INTO nodehead SELECT 0, 'x', by, 9, root, note FROM nodehead WHERE size = 5", "the log does not have"
    ),
    "a head made smaller": ("UPDATE nodehead SET size = 4 WHERE size = 5", "the tables do not have"),
    "a head with another root": ("UPDATE nodehead SET root = digest WHERE size = 5", "the tables do not have"),
    "another note": ("UPDATE nodehead SET note = (SELECT note FROM nodehead WHERE size = 3)", "is not the note"),
    "a recalled message kept": ("UPDATE message SET body = zeroblob(9)", "recalled a message that is still kept"),
}  # fmt: skip


@pytest.mark.spec("LOG-18", "ADM-57")
@pytest.mark.parametrize("what", ACTED)
def test_tables_about_acts_that_the_log_contradicts_keep_it_from_starting(
    tmp_path: Path, acted: bytes, what: str
) -> None:
    statement, said = ACTED[what]
    Office(edited(tmp_path, acted, "SELECT 1"), Clock()).close()
    path = edited(tmp_path, acted, statement)
    with pytest.raises(BooksDamaged, match=said):
        Office(path, Clock())


@pytest.mark.spec("LOG-18")
def test_a_head_set_back_to_an_older_signed_checkpoint_is_noticed(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        with office.broker._store.reading() as view:
            old = view.head()
        office.agree(NORTH, SOUTH)
        with office.broker._store.writing() as view:
            view._connection.exec_driver_sql(
                "UPDATE head SET size = ?, root = ?, checkpoint = ?", (old.size, old.root, old.checkpoint)
            )
        with pytest.raises(BooksDamaged):
            office.second()


def test_a_database_of_another_schema_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    plain = sqlite3.connect(path)
    plain.execute("PRAGMA user_version = 7")
    plain.close()
    with pytest.raises(BooksDamaged, match="schema 7"):
        Office(path, Clock())


@pytest.mark.parametrize("version", [1, 2, 4])
def test_a_database_of_a_schema_before_is_taken_over(tmp_path: Path, version: int) -> None:
    with open_office(tmp_path) as office:
        size = office.size
    plain = sqlite3.connect(tmp_path / "broker.db")
    for table in ("nodehead", *(("act", "lineage", "signature") if version < 3 else ())):
        plain.execute(f"DROP TABLE {table}")
    if version < 3:
        plain.execute("DROP INDEX agreement_logged")
    plain.execute("ALTER TABLE head DROP COLUMN base")
    plain.execute("CREATE TABLE old (level INTEGER, number INTEGER, hashes BLOB, PRIMARY KEY (level, number))")
    plain.execute("INSERT INTO old SELECT level, number, hashes FROM tile")
    plain.execute("DROP TABLE tile")
    plain.execute("ALTER TABLE old RENAME TO tile")
    plain.execute("DROP TABLE closed")
    if version == 1:
        plain.execute("ALTER TABLE agreement DROP COLUMN proposer")
    plain.commit()
    plain.execute(f"PRAGMA user_version = {version}")
    plain.close()
    store = Store(tmp_path / "broker.db")
    with store.reading() as view:
        assert list(view.heads()) == []
    store.close()
    with open_office(tmp_path) as office:
        assert office.size == size
        agreement = office.agree(NORTH, SOUTH)
        offer = office.cast.agreement(NORTH, SOUTH, signers=[NORTH], id="another")
        assert office.statement(NORTH, "/v1/agreements", offer.to_bytes()).json["state"] == "proposed"
        msg = office.submit(office.cast.compose(agreement)).json["msg"]
        assert office.act("recall", NORTH, msg, ground="unlawful").status == 200
        assert office.head(NORTH, 3).status == 200


def test_preparing_twice_changes_nothing(tmp_path: Path) -> None:
    log = LogSigner(ORIGIN, cast().keys.log)
    head = HeadRow(0, EMPTY_ROOT, sign_checkpoint(0, EMPTY_ROOT, log, START), 0, 0)
    assert prepare(tmp_path / "b.db", head)
    assert not prepare(tmp_path / "b.db", replace(head, size=9))
    assert (tmp_path / "b.db").stat().st_mode & 0o777 == 0o600
    store = Store(tmp_path / "b.db")
    try:
        assert check_books(store, log.identity) == head
    finally:
        store.close()


# --- keys and trust ----------------------------------------------------------------------------------


@pytest.mark.spec("HTTP-60")
def test_a_broker_does_not_start_with_keys_the_root_does_not_name(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        for change in (
            {"log": LogSigner(ORIGIN, Signer.generate())},
            {"log": LogSigner("other.sim/log", office.cast.keys.log)},
            {"transport": TransportSigner.generate()},
        ):
            with pytest.raises(UnsafeSettings):
                create_app(office.settings(**change), clock=office.clock)


@pytest.mark.spec("HTTP-60")
def test_a_broker_does_not_start_for_another_federation_than_its_pinned_one(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        other = Cast.build(START)
        with pytest.raises(RootRefused):
            create_app(office.settings(trust=other.directory.to_bytes()), clock=office.clock)


@pytest.mark.spec("ADM-36")
def test_a_newer_trust_file_is_taken_up_and_an_older_one_takes_nothing_back(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        old, size = office.cast.directory, office.size
        record = amend(
            office.cast.fed, old.agency(SOUTH), office.cast.enrolment, now=office.clock.now, roles=("police", "hub")
        )
        newer = old.with_record(record, office.clock.now)
        create_app(office.settings(trust=newer.to_bytes()), clock=office.clock).state.broker.close()
        assert office.size == size + 1
        assert office.entries()[-1]["record"] == newer.agency(SOUTH).digest
        create_app(office.settings(trust=old.to_bytes()), clock=office.clock).state.broker.close()
        assert office.size == size + 1
        assert office.broker.clerk.refresh().state.directory.agency(SOUTH).roles == ("police", "hub")


@pytest.mark.spec("ADM-36")
def test_a_trust_file_that_contradicts_the_books_keeps_the_broker_from_starting(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        held, now = office.cast.directory, office.clock.now
        one, other = (
            held.with_record(amend(office.cast.fed, held.agency(SOUTH), office.cast.enrolment, now=now, name=name), now)
            for name in ("One", "Other")
        )
        create_app(office.settings(trust=one.to_bytes()), clock=office.clock).state.broker.close()
        with pytest.raises(RecordRefused):
            create_app(office.settings(trust=other.to_bytes()), clock=office.clock)


# --- settings ----------------------------------------------------------------------------------------


@pytest.mark.spec("HTTP-60")
@pytest.mark.parametrize(
    "change",
    [
        {"rate": 0}, {"rate": 1e9}, {"burst": 0}, {"max_queue": 0}, {"max_wait": 61}, {"poll_seconds": 0},
        {"nonces": 1}, {"authorities": frozenset()}, {"authorities": frozenset({"UPPER:1"})},
        {"authorities": frozenset({"http://a"})},
    ],
)  # fmt: skip
def test_unsafe_settings_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    keys = cast().keys
    members = {"database": tmp_path / "b.db", "fed": cast().fed, "trust": b"", "log": LogSigner(ORIGIN, keys.log),
               "transport": keys.transport, "authorities": frozenset({HOST})}  # fmt: skip
    Settings(**members)  # type: ignore[arg-type]  # as a caller would
    with pytest.raises(UnsafeSettings):
        Settings(**{**members, **change})  # type: ignore[arg-type]

"""A log is exported from a broker's books or over HTTP, and verified with nothing running."""

from __future__ import annotations

import functools
import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from exchange.commands_audit import app
from exchange.protocol.log import parse_bundle
from exchange.protocol.merkle import leaf_hash
from keys.encoding import b64u, digest
from tests.exchange.broker.office import NGO, NORTH, SOUTH, open_office
from tests.vectors.logbook import told

AT = ["--at", "2026-11-22T00:00:00Z"]
Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    # Wide enough that no table breaks a word.
    return lambda *args: CliRunner().invoke(app, [str(a) for a in args], env={"COLUMNS": "400", "IX_FED": ""})


@dataclass(frozen=True)
class Kept:
    """A broker's home after a short day, nothing running."""

    home: Path
    fed: str
    denied: str


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    home = tmp_path_factory.mktemp("broker")
    with open_office(home) as office:
        agreement = office.agree(NORTH, SOUTH, NGO)
        first = office.submit(office.cast.compose(agreement)).json
        office.clock.advance(seconds=2)
        batch = office.cast.receipts(SOUTH, office.clock.now, (first["msg"], "delivered"), (first["msg"], "opened"))
        assert office.statement(SOUTH, "/v1/receipts", batch).status == 200
        denied = office.submit(office.cast.compose(agreement, NGO)).json
        assert denied["outcome"] == "deny"
        assert office.head(SOUTH, 4).status == 200
        return Kept(home, office.cast.fed, denied["msg"])


@pytest.fixture
def books(kept: Kept, tmp_path: Path) -> Kept:
    """A copy of the home that a test may damage."""
    copy = tmp_path / "home"
    copy.mkdir()
    with sqlite3.connect(kept.home / "broker.db") as old, sqlite3.connect(copy / "broker.db") as new:
        old.backup(new)
    old.close()
    new.close()
    return Kept(copy, kept.fed, kept.denied)


def change(home: Path, sql: str, *values: Any) -> None:
    """Edit the books behind the broker's back."""
    connection = sqlite3.connect(home / "broker.db")
    with connection:
        connection.execute(sql, values)
    connection.close()


def export(run: Run, source: object, out: Path, *more: object) -> Path:
    done = run("export", "--from", source, "--out", out, *more)
    assert done.exit_code == 0, done.output
    assert f"ix audit verify {out} --fed=" in done.stdout.replace("\n", " ")
    return out


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A log as plain files behind an HTTP server, which is all that C2SP asks of one."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# --- from the books ------------------------------------------------------------------------------------


@pytest.mark.spec("LOG-50", "LOG-51")
def test_a_brokers_books_export_and_audit_clean(run: Run, kept: Kept, tmp_path: Path) -> None:
    out = export(run, kept.home, tmp_path / "evidence")
    done = run("verify", out, "--federation", kept.fed, *AT)
    assert done.exit_code == 0, done.output
    assert "clean" in done.stdout
    for shown in (NORTH, SOUTH, "task-force v1 c1", "delivered, opened", "no_clause", f"{SOUTH}, 4 acts"):
        assert shown in done.stdout, done.stdout


@pytest.mark.parametrize("columns", [80, 120])
def test_people_read_it_in_eighty_columns(run: Run, kept: Kept, tmp_path: Path, columns: int) -> None:
    out = export(run, kept.home, tmp_path / "evidence")
    told = ["verify", str(out), "--fed", kept.fed, *map(str, AT)]
    shown = CliRunner().invoke(app, told, env={"COLUMNS": str(columns)}).stdout.splitlines()
    assert max(map(len, shown)) <= columns
    assert any(re.fullmatch(rf" +\d+  \d\d:\d\d:\d\d  {NORTH} -> {SOUTH}", line) for line in shown), shown
    assert sum(re.fullmatch(r"\d{4}-\d\d-\d\d", line) is not None for line in shown) == 2  # once in each list
    assert not any("decided_again" in line or "not judged" in line for line in shown)


def test_what_was_not_judged_is_explained(run: Run, books: Kept, tmp_path: Path) -> None:
    change(books.home, "UPDATE entry SET data = CAST(replace(data, 'ix/1', 'ix/7') AS BLOB) WHERE seq = 5")
    shown = run("verify", export(run, books.home, tmp_path / "e"), "--fed", books.fed, *AT).stdout
    assert "not judged: they cannot be believed, or rest on one that cannot" in " ".join(shown.split())


def test_the_json_report_is_one_document_that_says_it_all(run: Run, kept: Kept, tmp_path: Path) -> None:
    out = export(run, kept.home, tmp_path / "evidence")
    done = run("verify", out, "--fed", kept.fed, "--json", *AT)
    assert (done.exit_code, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["clean"] is True
    assert report["counts"] == {
        "record": 4, "signature": 3, "agreement": 1, "disclosure": 1, "receipt": 2, "denial": 1,
        "node-head": 1, "decided_again": 2, "signed_receipts": 2,
    }  # fmt: skip
    (row,) = report["disclosures"]
    assert (row["from"], row["to"][0]["id"], row["to"][0]["clauses"]) == (NORTH, SOUTH, ["c1"])
    assert set(row["to"][0]["receipts"]) == {"delivered", "opened"}
    assert [one["msg"] for one in report["denials"]] == [kept.denied]
    assert [(one["index"], one["by"], one["size"]) for one in report["heads"]] == [(12, SOUTH, 4)]


@pytest.mark.spec("LOG-52")
@pytest.mark.parametrize("index", range(13))
def test_an_entry_edited_in_the_database_is_named(run: Run, books: Kept, tmp_path: Path, index: int) -> None:
    change(books.home, "UPDATE entry SET data = CAST(replace(data, 'ix/1', 'ix/7') AS BLOB) WHERE seq = ?", index)
    done = run("verify", export(run, books.home, tmp_path / "e"), "--fed", books.fed, "--json", *AT)
    assert done.exit_code == 1
    (finding,) = json.loads(done.stdout)["findings"]
    assert (finding["code"], finding["index"]) == ("entry_altered", index)
    (path,) = (tmp_path / "e" / "tile" / "entries").glob("000.p/*")
    altered = parse_bundle(path.read_bytes(), 13)[index]
    assert finding["evidence"]["own_hash"] == b64u(leaf_hash(altered))
    assert finding["evidence"]["signed_hash"] == b64u(leaf_hash(altered.replace(b"ix/7", b"ix/1")))


@pytest.mark.spec("LOG-52")
@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("DELETE FROM entry WHERE seq = 12", "bundle_refused"),
        ("DELETE FROM entry WHERE seq = 3", "bundle_refused"),
        ("DELETE FROM tile", "file_missing"),
        ("UPDATE tile SET hashes = zeroblob(length(hashes))", "tile_altered"),
        ("UPDATE tile SET hashes = substr(hashes, 1, 32)", "file_missing"),
        ("UPDATE head SET checkpoint = replace(checkpoint, char(10) || '13' || char(10), char(10) || '8' || char(10))",
         "checkpoint_refused"),
        ("UPDATE agreement SET jws = replace(jws, 'A', 'B')", "agreement_refused"),
        ("DELETE FROM agreement", "file_missing"),
        ("DELETE FROM trust WHERE kind = 'root'", "trust_refused"),
        ("DELETE FROM trust WHERE n = 3", "record_refused"),
        ("UPDATE batch SET jws = replace(jws, 'A', 'B')", "receipt_refused"),
        ("UPDATE nodehead SET note = replace(note, 'A', 'B')", "head_refused"),
        ("DELETE FROM nodehead", "file_missing"),
        ("UPDATE head SET size = 3", None),
    ],
)  # fmt: skip
def test_whatever_is_edited_in_the_database_is_found(
    run: Run, books: Kept, tmp_path: Path, sql: str, code: str | None
) -> None:
    change(books.home, sql)
    done = run("verify", export(run, books.home, tmp_path / "e"), "--fed", books.fed, "--json", *AT)
    report = json.loads(done.stdout)
    if code is None:  # what the broker believes of itself is no evidence: the signed checkpoint is
        assert (done.exit_code, report["clean"]) == (0, True)
    else:
        assert done.exit_code == 1
        assert code in [finding["code"] for finding in report["findings"]], report["findings"]


def test_findings_are_shown_to_people_with_their_evidence(run: Run, books: Kept, tmp_path: Path) -> None:
    change(books.home, "UPDATE entry SET data = CAST(replace(data, 'ix/1', 'ix/7') AS BLOB) WHERE seq = 5")
    done = run("verify", export(run, books.home, tmp_path / "e"), "--fed", books.fed, *AT)
    assert done.exit_code == 1
    for shown in ("entry 5 was changed after it was logged", "signed_hash: ", "own_hash: ", "1 finding: "):
        assert shown in done.stdout


def test_books_that_are_none_cannot_be_exported(run: Run, books: Kept, tmp_path: Path) -> None:
    assert run("export", "--from", tmp_path / "nowhere", "--out", tmp_path / "a").exit_code == 3
    change(books.home, "UPDATE head SET checkpoint = 'nothing'")
    assert run("export", "--from", books.home, "--out", tmp_path / "b").exit_code == 3
    change(books.home, "DELETE FROM head")
    assert run("export", "--from", books.home, "--out", tmp_path / "c").exit_code == 3
    (books.home / "broker.db").write_bytes(b"this is no database, whatever its name says" * 100)
    done = run("export", "--from", books.home, "--out", tmp_path / "d")
    assert (done.exit_code, done.stdout) == (3, "")
    assert "cannot be read" in done.stderr


# --- over HTTP -----------------------------------------------------------------------------------------


@pytest.mark.spec("LOG-11", "LOG-50")
def test_a_served_log_exports_to_the_same_evidence(run: Run, kept: Kept, tmp_path: Path) -> None:
    home = export(run, kept.home, tmp_path / "home")
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "log").symlink_to(home)
    with served(tmp_path / "www") as url:
        given = ["--trust", home / "trust.json", "--statements", home]
        web = export(run, url + "/", tmp_path / "web", *given)
    files = {path.relative_to(home): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert files == {path.relative_to(web): path.read_bytes() for path in web.rglob("*") if path.is_file()}
    assert run("verify", web, "--federation", kept.fed, *AT).exit_code == 0


@pytest.mark.spec("LOG-80", "LOG-81", "LOG-82")
def test_an_export_on_a_plain_web_server_is_exported_again_whole(run: Run, kept: Kept, tmp_path: Path) -> None:
    """Python's own http.server, with the folder as it is: nothing but its address and the federation's id is needed."""
    home = export(run, kept.home, tmp_path / "home")
    with served(home) as url:
        web = export(run, url, tmp_path / "web")
    files = {path.relative_to(home): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert {path.parts[0] for path in files} >= {"checkpoint", "trust.json", "tile", "agreements", "receipts", "heads"}
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,48}", part) for path in files for part in path.parts)
    assert files == {path.relative_to(web): path.read_bytes() for path in web.rglob("*") if path.is_file()}
    assert run("verify", web, "--federation", kept.fed, *AT).exit_code == 0


@pytest.mark.spec("LOG-81")
def test_a_server_that_lies_is_found_out_after_the_fact(run: Run, kept: Kept, tmp_path: Path) -> None:
    home = export(run, kept.home, tmp_path / "home")
    (place,) = (home / "tile" / "entries").rglob("000.p/*")
    place.write_bytes(place.read_bytes().replace(b'"delivered"', b'"delivereD"'))
    with served(home) as url:
        web = export(run, url, tmp_path / "web")
    assert run("verify", web, "--federation", kept.fed, *AT).exit_code == 1


def test_a_log_that_outgrew_its_partial_tiles_is_cut_from_the_full_ones(run: Run, tmp_path: Path) -> None:
    """LOG-13: the checkpoint was fetched before the log grew, and C2SP lets the partial tiles go then."""
    book, files = told()
    size = len(book.entries)
    short = {path: data for path, data in files.items() if "tile/" not in path}
    while len(book.entries) < 256:
        book.send()
    full = {path: data for path, data in book.export().items() if path in ("tile/0/000", "tile/entries/000")}
    del book.entries[size:]
    for path, data in {**short, **full}.items():
        place = tmp_path / "www" / "log" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    root = tmp_path / "www" / "log"
    with served(tmp_path / "www") as url:
        web = export(run, url, tmp_path / "web", "--trust", root / "trust.json", "--statements", root)
    assert {path: (web / path).read_bytes() for path in files} == files


def test_a_log_that_does_not_answer_cannot_be_exported(run: Run, tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    with served(tmp_path / "www") as url:
        done = run("export", "--from", url, "--out", tmp_path / "a")
    assert done.exit_code == 3
    assert "log/checkpoint` cannot be read" in done.stderr
    assert run("export", "--from", url, "--out", tmp_path / "b").exit_code == 3
    assert run("export", "--from", "http://", "--out", tmp_path / "c").exit_code == 3


# --- misuse --------------------------------------------------------------------------------------------


def test_what_is_no_export_cannot_be_verified(run: Run, kept: Kept, tmp_path: Path) -> None:
    assert run("verify", tmp_path / "nowhere", "--fed", kept.fed).exit_code == 3
    done = run("verify", tmp_path, "--fed", kept.fed)
    assert done.exit_code == 3
    assert "trust.json" in done.stderr


def test_another_federations_log_is_not_believed(run: Run, kept: Kept, tmp_path: Path) -> None:
    """LOG-51"""
    out = export(run, kept.home, tmp_path / "e")
    done = run("verify", out, "--federation", digest(b"another"), *AT)
    assert done.exit_code == 1
    assert "trust_refused" in done.stdout
    assert "not believed" in done.stdout


@pytest.mark.spec("CLI-7")
def test_a_federation_whose_id_begins_with_a_dash_can_be_named(run: Run, tmp_path: Path) -> None:
    book, files = told()
    assert book.on.fed.startswith("-")
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    for named in (["--fed", book.on.fed], [f"--fed={book.on.fed}"], ["--federation", book.on.fed]):
        assert run("verify", tmp_path, *named, *AT).exit_code == 0


def test_misuse_is_said_so(run: Run, kept: Kept, tmp_path: Path) -> None:
    assert run("verify", tmp_path).exit_code == 2
    assert run("verify", tmp_path, "--fed", "short").exit_code == 2
    assert run("verify", tmp_path, "--fed", kept.fed, "--at", "yesterday").exit_code == 2
    (tmp_path / "something").touch()
    beyond = run("export", "--from", kept.home, "--out", tmp_path / "something" / "e")
    assert (beyond.exit_code, "Traceback" in beyond.output) == (2, False)
    assert run("export", "--from", kept.home, "--out", tmp_path).exit_code == 2


@pytest.mark.spec("LOG-47")
def test_who_answered_a_recall_is_shown_and_silence_is_noted(run: Run, tmp_path: Path) -> None:
    book, files = told()
    for path, data in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    done = run("verify", tmp_path, "--fed", book.on.fed, *AT)
    shown = " ".join(done.stdout.split())
    assert f"recall by {NORTH}" in shown
    assert f"{SOUTH}: erased, entry 32" in shown
    assert f"{NGO}: no answer" in shown
    assert "recall_unanswered" not in shown
    hasty = run("verify", tmp_path, "--fed", book.on.fed, "--answer-within", "0", *AT)
    assert hasty.exit_code == 0
    assert "note, recall_unanswered" in hasty.stdout


def test_rows_can_be_limited_and_the_rest_is_counted(run: Run, tmp_path: Path) -> None:
    book, files = told()
    for path, data in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    done = run("verify", tmp_path, "--fed", book.on.fed, "--rows", "1", *AT)
    assert done.exit_code == 0
    assert "5 more: --rows 0 shows all" in done.stdout
    assert "more:" not in run("verify", tmp_path, "--fed", book.on.fed, "--rows", "0", *AT).stdout

"""Questions to an exported log are asked on the command line, by people and by machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from exchange.commands_audit import app
from tests.vectors.logbook import Logbook, told
from tests.vectors.stage import NGO, NORTH, SOUTH

AT = ["--at", "2026-11-22T00:00:00Z"]
Run = Callable[..., Result]


def lay(files: dict[str, bytes], folder: Path) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay(told()[1], tmp_path_factory.mktemp("evidence"))


@pytest.fixture
def run() -> Run:
    return lambda *args: CliRunner().invoke(
        app, [str(a) for a in args], env={"COLUMNS": "400", "IX_FED": told()[0].on.fed}
    )


def asking(msg: str) -> list[list[Any]]:
    return [
        ["who", "FOLDER", f"--msg={msg}"],
        ["to", SOUTH, "FOLDER"],
        ["holders", "FOLDER", f"--msg={msg}"],
        ["breach", SOUTH, "2026-11-20T00:00:00Z", "FOLDER", "--aware", "2026-11-21T09:00:00Z"],
        ["stats", "FOLDER", "--year", "2026"],
        ["anomalies", "FOLDER"],
    ]


def first() -> str:
    book, files = told()
    return next(one.entry.msg for one in book.audit(dict(files)).disclosures)


QUESTIONS = ["who", "to", "holders", "breach", "stats", "anomalies"]


@pytest.mark.spec("CLI-60", "LOG-60", "CLI-4")
@pytest.mark.parametrize("place", range(6), ids=QUESTIONS)
def test_every_question_has_an_answer_for_people_and_one_for_machines(run: Run, folder: Path, place: int) -> None:
    words = [folder if word == "FOLDER" else word for word in asking(first())[place]]
    shown = run(*words, *AT)
    assert shown.exit_code == 0, shown.output
    assert "verified: nothing in it is wrong" in shown.stdout
    done = run(*words, "--json", *AT)
    answer = json.loads(done.stdout)
    assert (done.exit_code, done.stderr, answer["question"], answer["clean"]) == (0, "", QUESTIONS[place], True)


@pytest.mark.spec("CLI-60", "LOG-60")
@pytest.mark.parametrize("place", range(6), ids=QUESTIONS)
def test_a_log_that_lies_is_said_to_and_exits_with_one(run: Run, tmp_path: Path, place: int) -> None:
    book = Logbook()
    book.agree()
    msg = book.pretend(NORTH, (NGO,), [["c1"]])
    lay(book.export(), tmp_path)
    done = run(*[tmp_path if word == "FOLDER" else word for word in asking(msg)[place]], *AT)
    assert done.exit_code == 1
    assert "not to be relied on" in done.stdout


def test_people_see_who_when_why_and_under_which_clause(run: Run, folder: Path) -> None:
    shown = run("who", folder, f"--msg={first()}", *AT).stdout
    for said in (f"{NORTH} -> {SOUTH}", "info_request for investigate", "c1 (Requests and answers about smuggling)",
                 "opened 2026-11-21", "the log names no case"):  # fmt: skip
        assert said in shown, shown


@pytest.mark.spec("LOG-61")
def test_a_case_is_asked_for_by_a_file_of_its_messages(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "case.json").write_text(json.dumps({"case": "k" * 43, "messages": [first()]}))
    asked = json.loads(run("who", folder, "--messages", tmp_path / "case.json", "--json", *AT).stdout)
    assert asked["asked"] == [first()]
    (tmp_path / "case.json").write_text("nothing of the kind")
    done = run("who", folder, "--messages", tmp_path / "case.json", *AT)
    assert (done.exit_code, done.stderr.split(":")[0]) == (1, "question_malformed")


def test_a_deadline_that_has_passed_is_said_so(run: Run, folder: Path) -> None:
    words = ["breach", SOUTH, "2026-11-20T00:00:00Z", folder, "--aware", "2026-11-18T00:00:00Z"]
    assert "by 2026-11-21 00:00:00 UTC, which has passed" in run(*words, *AT).stdout
    assert "is in no log" in run(*words[:4], *AT).stdout


@pytest.mark.spec("LOG-68")
def test_small_counts_are_suppressed_unless_all_is_asked_for(run: Run, folder: Path) -> None:
    assert "disclosed <5" in run("stats", folder, "--year", "2026", *AT).stdout
    shown = run("stats", folder, "--year", "2026", "--all", *AT).stdout
    assert "<5" not in shown
    assert "not for publication" in shown


def test_misuse_of_a_question_is_said_so(run: Run, folder: Path, tmp_path: Path) -> None:
    assert run("who", folder, *AT).exit_code == 2
    assert run("who", folder, "--msg", "short", *AT).exit_code == 2
    assert run("breach", SOUTH, "yesterday", folder, *AT).exit_code == 2
    assert run("anomalies", folder, "--night", "late", *AT).exit_code == 2
    assert run("to", "nobody.sim", folder, *AT).exit_code == 1
    assert run("holders", folder, "--msg", "A" * 43, *AT).exit_code == 1
    assert run("who", tmp_path / "nowhere", "--msg", "A" * 43, *AT).exit_code == 3


@pytest.mark.spec("CLI-61")
def test_reading_an_export_writes_nothing_and_claims_nothing(run: Run, folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shown = run("to", SOUTH, folder, *AT).stdout
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert "reading this folder is recorded nowhere" in shown

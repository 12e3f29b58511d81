"""The vectors of the three books: one command charges whom they say, honest and lying, and after an edit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.commands_audit import app
from tests.vectors.make_books import FOLDER, charges

TOLD: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text("utf-8"))


def said(folder: Path, name: str) -> dict[str, Any]:
    it = TOLD[name]
    given = [word for agency in TOLD["ledgers"] for word in ("--ledger", str(folder / agency))]
    asked = ["reconcile", str(folder / "log"), f"--fed={it['fed']}", "--at", it["now"], *given, "--json"]
    report: dict[str, Any] = json.loads(CliRunner().invoke(app, asked).stdout)
    return report


@pytest.mark.spec("LOG-103", "LOG-107")
@pytest.mark.parametrize("name", ["honest", "lying"])
def test_the_books_of_the_vectors_charge_whom_they_say(name: str) -> None:
    found = said(FOLDER / name, name)
    assert charges(found) == TOLD[name]["charges"]
    members = set(TOLD[name]) - {"fed", "now", "charges"}
    assert {one: found[one] for one in members} == {one: TOLD[name][one] for one in members}


@pytest.mark.spec("LOG-100")
@pytest.mark.parametrize("edit", TOLD["edits"], ids=lambda edit: f"{edit['file'][-12:]} {edit['find'].strip()}")
def test_one_edit_of_honest_books_is_found(edit: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(FOLDER / "honest", tmp_path / "edited")
    file = tmp_path / "edited" / edit["file"]
    file.write_bytes(file.read_bytes().replace(edit["find"].encode(), edit["replace"].encode(), 1))
    assert charges(said(tmp_path / "edited", "honest")) == edit["charges"] != []

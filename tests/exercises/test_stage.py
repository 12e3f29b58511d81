"""A stage has its folder to itself, or says why not before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from exercises import demo
from exercises.stage import MARK, OutInUse, Stage


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    with Stage(tmp_path / "out"), pytest.raises(OutInUse, match="another demo is at work"), Stage(tmp_path / "out"):
        pytest.fail("the second demo got in")


def test_a_folder_is_free_again_once_its_demo_has_ended(tmp_path: Path) -> None:
    for _ in range(2):
        with Stage(tmp_path / "out") as stage:
            stage.keep_evidence("note.txt", "invented")
    assert (tmp_path / "out" / MARK).read_text(encoding="utf-8").startswith("SIMULATION")


def test_a_folder_that_cannot_be_made_is_named_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(OutInUse, match="cannot be used"), Stage(tmp_path / "file" / "out"):
        pytest.fail("there is no such folder")


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(OutInUse, match="no demo put there"), Stage(tmp_path):
        pytest.fail("this folder is not a demo's")
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_a_command_is_shown_as_it_can_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    shown = demo._here("ix audit verify folder")
    assert shown.endswith(" audit verify folder")
    assert shown.split(" ")[0].endswith("ix") or "-m ix" in shown

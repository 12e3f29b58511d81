"""``ix forward`` in front of two nodes over real HTTP (CLI)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.agencies.node.tree import WHY, A, B, C
from tests.agencies.town import Town, collect, sent

UNTIL = "2026-12-31T00:00:00.000Z"


def forward(town: Town, msg: str, *more: str, to: str = C, officer: str = "duty") -> Any:
    said = ("--purpose", "investigate", "--text", "The lorry was seen on your side.", "--why", WHY.text)
    return town.ix(B, "forward", f"--msg={msg}", "--to", to, *said, *more, officer=officer)


def consented(town: Town, msg: str) -> None:
    """Have B ask whether C may know, and A agree."""
    asked = town.ix(
        B, "ask", f"--msg={msg}", "--want", "onward", "--to", C, "--purpose", "investigate", "--until", UNTIL,
        "--why", WHY.text, officer="duty",
    )  # fmt: skip
    assert asked.exit_code == 0, asked.output
    collect(town, A)
    given = town.ix(A, "consent", f"--act={asked.stdout.split()[-1]}", "--approve", "--why", WHY.text)
    assert given.exit_code == 0, given.output
    collect(town, B)


def test_what_is_held_is_passed_on_field_by_field_once_its_originator_agrees(town: Town, tmp_path: Path) -> None:
    msg = sent(town, tmp_path)
    early = forward(town, msg, "--field", "/entities/0")
    assert (early.exit_code, early.stderr.partition(":")[0]) == (1, "onward_refused")
    consented(town, msg)
    found = forward(town, msg, "--field", "/entities/0", "--field", "/narrative/0", "--key", "once", "--json")
    assert found.exit_code == 0, found.output
    passed = json.loads(found.stdout)
    assert (passed["state"], passed["to"], passed["src"]) == ("sent", [C], [msg])
    again = forward(town, msg, "--field", "/entities/0", "--field", "/narrative/0", "--key", "once")
    assert again.stdout.strip() == f"sent: {passed['msg']}"
    world = town.world.node(C)
    assert passed["msg"] in world.collect()
    shown = world.service.open(passed["msg"], world.officer(), WHY)
    assert (len(shown["entities"]), len(shown["narrative"])) == (1, 1)
    assert shown["spontaneous"]["reason"] == "The lorry was seen on your side."


def test_the_whole_goes_with_what_the_officer_says_of_it(town: Town, tmp_path: Path) -> None:
    msg = sent(town, tmp_path)
    back = forward(town, msg, "--field", "", "--desk", "border_desk", "--handling", "H1", "--days", "3", "--json", to=A)
    assert back.exit_code == 0, back.output
    assert json.loads(back.stdout)["handling"] == ["H1"]
    under = forward(town, msg, "--field", "", "--class", "unclassified", to=C)
    assert (under.exit_code, under.stdout) == (1, "")


@pytest.mark.spec("CLI-3")
def test_what_cannot_be_passed_on_ends_with_one_and_a_code(town: Town, tmp_path: Path) -> None:
    msg = sent(town, tmp_path)
    for made, code in (
        (forward(town, "A" * 43, "--field", ""), "not_here"),
        (forward(town, msg, "--field", "/case/title", to=A), "draft_malformed"),
        (forward(town, msg, "--field", "", officer="deputy"), "role_missing"),
    ):
        assert (made.exit_code, made.stderr.partition(":")[0]) == (1, code)
    assert forward(town, msg).exit_code == 2
    assert town.ix(B, "forward", f"--msg={msg}", "--field", "").exit_code == 2

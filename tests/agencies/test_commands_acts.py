"""``ix ask``, ``consent``, ``recall``, ``duties`` and ``status`` in front of two nodes over real HTTP (CLI)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.agencies.node.tree import WHY, A, B
from tests.agencies.town import Town, collect, sent


@pytest.fixture
def message(town: Town, tmp_path: Path) -> str:
    """Something A has just told B, by command."""
    return sent(town, tmp_path)


def test_an_ask_is_made_listed_declined_and_heard(town: Town, message: str) -> None:
    asked = town.ix(
        B, "ask", f"--msg={message}", "--want", "evidence", "--purpose", "prosecute", "--until",
        "2026-12-31T00:00:00.000Z", "--why", WHY.text, officer="duty",
    )  # fmt: skip
    assert asked.exit_code == 0, asked.output
    act = asked.stdout.split()[-1]
    collect(town, A)
    assert f"{act}  ask of us  open" in town.ix(A, "consent").stdout
    refused = town.ix(A, "consent", f"--act={act}", "--decline", "case_open", "--why", WHY.text)
    assert (refused.exit_code, refused.stderr.startswith("draft_malformed")) == (1, True)
    given = town.ix(A, "consent", f"--act={act}", "--approve", "--why", WHY.text, "--json")
    assert given.exit_code == 0, given.output
    consent = json.loads(given.stdout)["act"]
    assert town.ix(A, "consent", f"--act={consent}", "--withdraw", "--why", WHY.text).exit_code == 0
    collect(town, B)
    assert "ask by us  consented" in town.ix(B, "consent").stdout
    assert "consent to us  withdrawn" in town.ix(B, "consent").stdout


def test_a_recall_is_given_obeyed_and_shown(town: Town, message: str) -> None:
    given = town.ix(A, "recall", f"--msg={message}", "--ground", "inaccurate", "--why", WHY.text)
    assert given.exit_code == 0, given.output
    collect(town, B)
    listed = town.ix(B, "duties")
    (line,) = [one for one in listed.stdout.splitlines() if "recall by" in one and "open" in one]
    act = line.split()[0]
    town.world.clock.advance(hours=73)
    late = town.ix(A, "status", f"--msg={message}")
    assert (late.exit_code, "OVERDUE" in late.stdout) == (1, True)
    assert town.ix(A, "status").exit_code == 1
    done = town.ix(B, "duties", f"--act={act}", "--outcome", "erased", "--why", WHY.text)
    assert done.exit_code == 0, done.output
    collect(town, A)
    shown = town.ix(A, "status", f"--msg={message}", "--offline")
    assert (shown.exit_code, f"{B}: erased at" in shown.stdout) == (0, True)
    assert "settled" in town.ix(A, "status").stdout
    assert json.loads(town.ix(A, "status", f"--msg={message}", "--json").stdout)["settled"] is True


@pytest.mark.spec("CLI-3")
@pytest.mark.parametrize(
    "arguments",
    [
        ("consent", "--approve"), ("consent", "--act=A"), ("consent", "--act=A", "--approve", "--withdraw"),
        ("duties", "--act=A"), ("duties", "--outcome", "erased"), ("recall", "--ground", "unlawful"), ("ask",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_cannot_be_meant_is_misuse(town: Town, arguments: tuple[str, ...]) -> None:
    assert town.ix(A, *arguments).exit_code == 2


@pytest.mark.spec("CLI-3")
def test_what_is_refused_ends_with_one_and_a_code(town: Town) -> None:
    nothing = "A" * 43
    for arguments, code in (
        (("status", f"--msg={nothing}"), "not_here"),
        (("recall", f"--msg={nothing}", "--ground", "unlawful", "--why", WHY.text), "not_here"),
        (("duties", f"--act={nothing}", "--outcome", "erased", "--why", WHY.text), "not_here"),
        (("consent", f"--act={nothing}", "--withdraw", "--why", WHY.text), "not_here"),
        (("consent", f"--act={nothing}", "--withdraw"), "justification_refused"),
    ):
        found = town.ix(A, *arguments)
        assert (found.exit_code, found.stderr.partition(":")[0]) == (1, code)

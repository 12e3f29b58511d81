"""``ix forward``, ``release``, ``holdings`` and ``keep`` in front of two nodes over real HTTP (CLI)."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keys.encoding import stamp
from tests.agencies.node.tree import CLAUSE, TERMS, WHY, A, B, C
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


@pytest.fixture(scope="module")
def strict(town: Town, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An agreement, made by command, under which two release officers agree and what is held is reviewed."""
    conditions = CLAUSE["conditions"] | {
        "human_release": True, "second_approver": "restricted", "review_days": 20, "retention_days": 40,
        "evidence": False,
    }  # fmt: skip
    clause = CLAUSE | {"id": "court", "purposes": ["prosecute"], "conditions": conditions}
    file = tmp_path_factory.mktemp("strict") / "terms.json"
    terms = TERMS | {"id": "court", "parties": [A, B], "territory": ["XN", "XS"], "clauses": [clause]}
    file.write_text(json.dumps(terms))
    agr = str(town.ix(A, "agreements", "propose", str(file)).stdout.split()[-1])
    assert town.ix(B, "agreements", "sign", f"--agr={agr}", "--yes").exit_code == 0
    for node in town.nodes.values():
        node.refresh()
    return agr


def waiting(town: Town) -> list[str]:
    return [line for line in town.ix(A, "release").stdout.splitlines() if "->" in line]


def test_two_release_officers_let_go_what_waits(town: Town, strict: str, tmp_path: Path) -> None:
    assert strict
    ref = sent(town, tmp_path, purpose="prosecute")
    assert [line.split()[0] for line in waiting(town)] == [ref]
    first = town.ix(A, "release", ref, "--approve", "--why", WHY.text)
    assert (first.exit_code, first.stdout.strip()) == (0, f"pending_release: {ref}"), first.output
    assert "second release officer" in first.stderr
    assert "one release officer agrees" in waiting(town)[0]
    twice = town.ix(A, "release", ref, "--approve", "--why", WHY.text)
    assert (twice.exit_code, twice.stderr.partition(":")[0]) == (1, "release_refused")
    second = town.ix(A, "release", ref, "--approve", "--why", WHY.text, "--json", officer="deputy")
    assert (second.exit_code, json.loads(second.stdout)["state"]) == (0, "sent"), second.output
    assert town.ix(A, "release").stdout.strip() == "nothing waits for a release"
    late = town.ix(A, "release", ref, "--withhold", "--why", WHY.text)
    assert (late.exit_code, late.stderr.partition(":")[0]) == (1, "not_waiting")


def test_what_waits_is_kept_back(town: Town, strict: str, tmp_path: Path) -> None:
    assert strict
    ref = sent(town, tmp_path, purpose="prosecute")
    found = town.ix(A, "release", ref, "--withhold", "--why", WHY.text)
    assert (found.exit_code, found.stdout.strip()) == (0, f"withheld: {ref}"), found.output


def held(town: Town, msg: str, *more: str) -> str:
    (line,) = [one for one in town.ix(B, "holdings", *more, officer="duty").stdout.splitlines() if one.startswith(msg)]
    return line


def test_what_is_held_is_shown_with_its_dates_and_kept(town: Town, strict: str, tmp_path: Path) -> None:
    assert strict
    ref = sent(town, tmp_path, purpose="prosecute", handling=["H1"])
    town.ix(A, "release", ref, "--approve", "--why", WHY.text)
    found = town.ix(A, "release", ref, "--approve", "--why", WHY.text, officer="deputy")
    collect(town, B)
    msg = found.stdout.split()[-1]
    at = town.world.clock()
    line = held(town, msg)
    assert line.split()[1:4] == ["held", A, "prosecute"]
    assert line.split()[4:6] == [str((at + timedelta(days=days)).date()) for days in (20, 40)]
    assert line.endswith("H1, onward by_consent, no evidence, two releases")
    keep = ("keep", f"--msg={msg}", "--why", WHY.text, "--ground", "case_open", "--until")
    beyond = town.ix(B, *keep, "2035-01-01T00:00:00.000Z")
    assert (beyond.exit_code, beyond.stderr.partition(":")[0]) == (1, "keep_refused")
    until = stamp(at + timedelta(days=30))
    kept = town.ix(B, *keep, until)
    assert (kept.exit_code, kept.stdout.strip()) == (0, f"kept until {until}: {msg}"), kept.output
    assert (held(town, msg).split()[4], "kept for case_open" in held(town, msg)) == (until[:10], True)
    assert town.ix(B, "holdings", "--state", "erased").stdout.strip() == "nothing is held"
    listed = json.loads(town.ix(B, "holdings", "--limit", "1", "--json").stdout)["holdings"]
    assert [one["msg"] for one in listed] == [msg]


@pytest.mark.spec("CLI-3")
@pytest.mark.parametrize(
    "arguments",
    [("release", "A"), ("release", "--approve"), ("release", "A", "--approve", "--withhold"),
     ("holdings", "--state", "lost"), ("holdings", "--limit", "0"), ("keep", "--msg=A", "--why", "x")],
    ids=" ".join,
)  # fmt: skip
def test_what_cannot_be_meant_is_misuse(town: Town, arguments: tuple[str, ...]) -> None:
    assert town.ix(B, *arguments).exit_code == 2

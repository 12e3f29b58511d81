"""``ix auditor`` in front of two nodes over real HTTP: ledger and log, and that each look is written down (CLI)."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.agencies.node.tree import CONTENT, A, B
from tests.agencies.town import Town, collect, sent, two_towns

CASE = CONTENT["case"]["reference"]
WHY = ("--why", "a complaint says that too many people were told")
FOR = ("--for", "lawfulness_check")


@pytest.fixture(scope="module")
def told(town: Town, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What A has told B, opened there."""
    msg = sent(town, tmp_path_factory.mktemp("told"))
    found = town.ix(B, "inbox", f"--open={msg}", "--why", "assigned to me this morning", officer="duty")
    assert found.exit_code == 0, found.output
    collect(town, B)
    collect(town, A)
    return msg


def audit(town: Town, agency: str, *arguments: str) -> Any:
    return town.ix(agency, "auditor", *arguments, officer="audit")


def last_act(town: Town, agency: str) -> dict[str, Any]:
    found = audit(town, agency, "ledger", "--json", "--limit", "500")
    assert found.exit_code == 0, found.output
    return dict(json.loads(found.stdout)["acts"][-1])


@pytest.mark.spec("CLI-70", "NODE-201", "NODE-202")
def test_an_auditor_asks_who_was_told_in_a_case_and_that_is_in_the_ledger(town: Town, told: str) -> None:
    found = audit(town, A, "who", CASE, *FOR, *WHY)
    assert found.exit_code == 0, found.output
    assert told in found.stdout
    assert f"{B}: 1 message" in found.stdout
    assert "stands in the node's ledger" in found.stdout
    assert "recorded nowhere" not in found.stdout
    act = last_act(town, A)
    assert (act["act"], act["purpose"], act["code"], act["why"], act["msg"]) == (
        "log_query", "lawfulness_check", "supervision", WHY[1], told,
    )  # fmt: skip
    answer = json.loads(audit(town, B, "who", f"--msg={told}", "--alone", *FOR, *WHY, "--json").stdout)
    assert ([row["msg"] for row in answer["disclosures"]], answer["clean"]) == ([told], True)


@pytest.mark.spec("CLI-70")
def test_every_question_is_asked_by_command(town: Town, told: str) -> None:
    since = "2026-01-01T00:00:00Z"
    for arguments, wanted in (
        (("to", B), told),
        (("holders", f"--msg={told}"), B),
        (("breach", B, since, "--aware", "2026-11-21T09:00:00Z"), "72 hours from 2026-11-21 09:00:00"),
        (("stats", "--year", "2026"), "urgent share"),
        (("stats", "--year", "2026", "--all"), "not for publication"),
        (("anomalies",), "a note is a reason to ask"),
    ):
        found = audit(town, A, *arguments, *FOR, *WHY)
        assert (found.exit_code, wanted in found.stdout) == (0, True), found.output


@pytest.mark.spec("CLI-70", "NODE-53")
def test_the_ledger_is_read_verified_and_filtered(town: Town, told: str) -> None:
    every = audit(town, B, "ledger", "--limit", "500")
    assert every.exit_code == 0, every.output
    assert "acts hold; root" in every.stderr
    opened = audit(town, B, "ledger", "--act", "open", "--case", CASE, "--by", "duty", f"--msg={told}")
    lines = [line for line in opened.stdout.splitlines() if line[:5].strip().isdigit()]
    assert len(lines) == 1, opened.stdout
    assert "duty" in lines[0]
    assert "case_assigned: assigned to me this morning" in opened.stdout
    assert audit(town, B, "ledger", "--since", "2027-01-01T00:00:00.000Z").stdout == ""
    first = audit(town, B, "ledger", "--limit", "1")
    assert "there may be more: --after 1" in first.stderr
    reason = audit(town, B, "ledger", "--for", "criminal_proceedings", *WHY, "--limit", "1")
    assert reason.exit_code == 0
    act = last_act(town, B)
    assert (act["purpose"], act["why"], act["outcome"]) == ("criminal_proceedings", WHY[1], "1 acts")


@pytest.mark.spec("CLI-70", "NODE-54")
def test_an_auditor_reconciles_and_looks_at_evidence(town: Town, told: str) -> None:
    found = audit(town, B, "reconcile")
    assert (found.exit_code, "0 errors" in found.stdout) == (0, True), found.output
    assert json.loads(audit(town, B, "reconcile", "--json").stdout)["findings"] == []
    assert audit(town, B, "evidence").stdout.strip() == "nothing was kept as evidence"
    town.nodes[B].office.keep_evidence("strange", what="a thing that should not be")
    shown = audit(town, B, "evidence", *WHY)
    assert "  what: a thing that should not be" in shown.stdout


@pytest.mark.spec("CLI-3")
def test_what_is_refused_ends_with_one_and_a_code(town: Town, told: str) -> None:
    for arguments, officer, code in (
        (("who", "XN-1999/0001", *FOR, *WHY), "audit", "not_here"),
        (("who", CASE, *FOR, *WHY), "duty", "role_missing"),
        (("who", CASE, *FOR, "--why", "because"), "audit", "justification_refused"),
        (("to", "nobody.sim", *FOR, *WHY), "audit", "question_malformed"),
        (("ledger",), "chief", "role_missing"),
        (("evidence",), "chief", "role_missing"),
        (("reconcile",), "chief", "role_missing"),
    ):
        found = town.ix(A, "auditor", *arguments, officer=officer)
        assert (found.exit_code, found.stderr.partition(":")[0], found.stdout) == (1, code, ""), found.output


@pytest.mark.spec("CLI-3", "NODE-200")
@pytest.mark.parametrize(
    "arguments",
    [
        ("who", *FOR, *WHY), ("who", CASE, *WHY), ("who", CASE, "--msg=x", *FOR, *WHY), ("ledger", "--act", "peek"),
        ("who", CASE, "--for", "curiosity", *WHY), ("ledger", "--for", "curiosity"), ("holders", *FOR, *WHY),
        ("who", CASE, *FOR), ("stats", *FOR, *WHY), ("breach", B, *FOR, *WHY),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_cannot_be_meant_is_misuse(town: Town, arguments: tuple[str, ...]) -> None:
    assert audit(town, A, *arguments).exit_code == 2


@pytest.mark.spec("CLI-3", "NODE-52")
def test_a_ledger_that_was_changed_is_neither_shown_nor_reconciled(tmp_path: Path) -> None:
    with two_towns(tmp_path) as town:
        sent(town, tmp_path)
        with sqlite3.connect(tmp_path / f"{A}.served.db") as books:
            assert books.execute(
                "UPDATE ledger SET body = CAST(replace(body, 'disclose', 'discloze') AS BLOB)"
            ).rowcount
        books.close()
        for arguments in (("ledger",), ("reconcile",)):
            found = audit(town, A, *arguments)
            assert (found.exit_code, found.stderr.partition(":")[0], found.stdout) == (1, "ledger_broken", "")

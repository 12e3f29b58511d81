"""``ix case``, ``erase``, ``refuse``, ``flags``, ``offence``, ``emergency`` over real HTTP (CLI)."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exercises.world import sample
from keys.encoding import stamp
from tests.agencies.node.bound import bound, terms
from tests.agencies.node.tree import CONTENT, A, B
from tests.agencies.town import PASSPHRASE, Town, collect, sent, town_of

CASE = CONTENT["case"]["reference"]
WHY = ("--why", "assigned to me this morning")
GROUND = "jeopardise_investigation_or_safety"


def until(town: Town, days: int = 30) -> str:
    return stamp(town.world.clock() + timedelta(days=days))


def lines(town: Town, agency: str, *arguments: str, officer: str = "duty") -> list[str]:
    found = town.ix(agency, *arguments, officer=officer)
    assert found.exit_code == 0, found.output
    return str(found.stdout).splitlines()


def last_act(town: Town, agency: str) -> dict[str, Any]:
    node = town.nodes[agency]
    with node.office.store.reading() as books:
        (act,) = node.office.scribe.read(books, books.rows("ledger", newest=1))
    return dict(act)


def test_a_case_is_listed_in_and_out(town: Town, tmp_path: Path) -> None:
    msg = sent(town, tmp_path)
    for agency, said in ((A, ("out", "sent", f"to {B}")), (B, ("in", "new", f"from {A}"))):
        (line,) = [one for one in lines(town, agency, "case", CASE, *WHY) if one.startswith(msg)]
        assert all(word in line for word in said), line
        assert last_act(town, agency)["act"] == "consult"
    assert json.loads("\n".join(lines(town, B, "case", CASE, *WHY, "--json")))["messages"][0]["from"] == A
    assert lines(town, B, "case", "XN-1999/0001", *WHY) == ["no message of that case is here"]


def test_a_message_is_erased_and_gone(town: Town, tmp_path: Path) -> None:
    msg = sent(town, tmp_path)
    refused = town.ix(B, "erase", f"--msg={msg}", *WHY, officer="duty")
    assert (refused.exit_code, refused.stderr.partition(":")[0]) == (1, "role_missing")
    assert lines(town, B, "erase", f"--msg={msg}", *WHY, officer="chief") == [f"erased: {msg}"]
    opened = town.ix(B, "inbox", f"--open={msg}", *WHY, officer="duty")
    assert (opened.exit_code, opened.stderr.partition(":")[0]) == (1, "erased")


def test_a_flag_is_set_listed_renewed_and_lifted(town: Town, tmp_path: Path) -> None:
    msg = sent(town, tmp_path)
    begun, later = until(town), until(town, 60)
    (set_,) = lines(town, B, "flags", f"--msg={msg}", "--ground", GROUND, "--until", begun, *WHY)
    assert (set_.startswith("live: "), set_.endswith(f" until {begun}")) == (True, True)
    flag = set_.split()[1]
    (line,) = [one for one in lines(town, B, "flags") if one.startswith(flag)]
    assert f"message {msg}  from {A}" in line
    assert lines(town, B, "flags", f"--id={flag}", "--until", later, *WHY) == [f"live: {flag} until {later}"]
    assert lines(town, B, "flags", f"--id={flag}", "--lift", *WHY)[0].startswith("lifted: ")
    assert not [one for one in lines(town, B, "flags", "--state", "live") if one.startswith(flag)]
    again = town.ix(B, "flags", f"--id={flag}", "--lift", *WHY, officer="duty")
    assert (again.exit_code, again.stderr.partition(":")[0]) == (1, "not_waiting")
    case_of = lines(town, B, "flags", f"--case-of={msg}", "--ground", GROUND, "--until", begun, *WHY)
    assert lines(town, B, "flags", f"--id={case_of[0].split()[1]}", "--lift", *WHY)[0].startswith("lifted: ")


def test_a_message_is_opened_in_an_emergency_by_two_and_reviewed_by_a_third(town: Town, tmp_path: Path) -> None:
    msg = sent(town, tmp_path, **{"class": "restricted"})
    second = tmp_path / "second.passphrase"
    second.write_text(f"{PASSPHRASE}\n")
    how = ("--second", "chief", "--danger", "danger_to_life", "--purpose", "locate_person", *WHY)
    found = town.ix(
        B, "emergency", f"--msg={msg}", *how, "--second-passphrase-file", str(second), officer="duty"
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["case"]["reference"] == CASE
    assert found.stderr.startswith("passed over: purpose_refused")
    name = found.stderr.split()[-1]
    (line,) = [one for one in lines(town, B, "emergency", officer="audit") if one.startswith(name)]
    assert "to be reviewed" in line
    town.world.clock.advance(hours=73)
    overdue = town.ix(B, "emergency", "--overdue", officer="audit")
    assert (overdue.exit_code, "OVERDUE" in overdue.stdout) == (1, True), overdue.output
    why = ("--why", "two saw the boat drift and the position was in it")
    own = town.ix(B, "emergency", f"--review={name}", "--justified", *why, officer="chief")
    assert (own.exit_code, own.stderr.partition(":")[0]) == (1, "release_refused")
    said = lines(town, B, "emergency", f"--review={name}", "--justified", *why, officer="audit")
    assert said == [f"justified: {name}"]
    assert name not in town.ix(B, "emergency", "--overdue", officer="audit").stdout


def test_the_second_officer_is_asked_and_is_not_the_first_ones_passphrase(town: Town, tmp_path: Path) -> None:
    msg = sent(town, tmp_path)
    how = ("--second", "chief", "--danger", "danger_to_life", "--purpose", "locate_person", *WHY)
    found = town.ix(B, "emergency", f"--msg={msg}", *how, officer="duty", given="a wrong one altogether\n")
    assert (found.exit_code, "sign_in_refused" in found.stderr) == (1, True), found.output
    asked = town.ix(B, "emergency", f"--msg={msg}", *how, officer="duty", given=f"{PASSPHRASE}\n")
    assert asked.exit_code == 0, asked.output


@pytest.mark.spec("CLI-3", "CLI-7")
@pytest.mark.parametrize(
    "arguments",
    [
        ("case", CASE), ("erase", *WHY), ("refuse", *WHY), ("refuse", "--msg=x", "--ground", GROUND, *WHY),
        ("refuse", "--msg=x", "--flag", "--offence", "x", *WHY), ("refuse", "--msg=x", "--text", "x", *WHY),
        ("flags", "--msg=x", *WHY), ("flags", "--msg=x", "--case-of=x", "--ground", GROUND, "--until", "x"),
        ("flags", "--id=x", *WHY), ("flags", "--lift"), ("flags", "--until", "x"),
        ("flags", "--id=x", "--lift", "--state", "live"),
        ("emergency", "--msg=x", *WHY), ("emergency", "--review=x"), ("emergency", "--justified"),
        ("emergency", "--msg=x", "--review=x", "--justified"), ("emergency", "--second", "chief"), ("offence",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_cannot_be_meant_is_misuse(town: Town, arguments: tuple[str, ...]) -> None:
    assert town.ix(B, *arguments, officer="duty").exit_code == 2


def test_requests_are_refused_by_ground_by_flag_and_by_offence(tmp_path: Path) -> None:
    """Under an agreement that lets requests pass, and their refusals."""
    with bound(tmp_path, terms()) as world, town_of(world, tmp_path) as town:
        asked = {name: value for name, value in sample("smuggling_route_request").items() if name != "handling_text"}
        requests = []
        for n in range(4):
            content = {**asked, "case": {**asked["case"], "reference": f"XN-2026/100{n}"}}
            requests.append(sent(town, tmp_path, urgency=asked["question"]["urgency"]["code"], content=content))
        plain, hidden, flagged, cited = (f"--msg={one}" for one in requests)
        why = ("--why", "the request is mine to answer")
        ground = ("--ground", "request_incomplete", "--reason", "it names no boat and no day")
        assert lines(town, B, "refuse", plain, *ground, *why) == ["sent: request_incomplete"]
        assert lines(town, B, "refuse", plain, *why) == ["sent: request_incomplete"]
        ground = ("--ground", "not_available", "--reason", "our register has no such boat")
        assert lines(town, B, "refuse", hidden, *ground, *why) == ["waiting: cannot_respond"]
        on = ("--ground", "disproportionate", "--until", until(town), "--why", "too much is asked of us here")
        lines(town, B, "flags", flagged, *on)
        assert lines(town, B, "refuse", flagged, "--flag", *why) == ["sent: disproportionate"]
        assert "Sleeping on a beach; no offence here" in lines(town, B, "offence", "XN-PC 411")[0]
        assert "immigrant_smuggling; 95 of 100 sure; up to 8 years" in lines(town, B, "offence", "XN-PC 211")[0]
        assert lines(town, B, "offence", "XN-PC 999") == ["XN-PC 999: nobody has placed it here"]
        fits = town.ix(B, "refuse", cited, "--offence", "XN-PC 211", *why, officer="duty")
        assert (fits.exit_code, fits.stdout.startswith("not refused")) == (1, True), fits.output
        assert lines(town, B, "refuse", cited, "--offence", "XN-PC 411", *why) == ["sent: not_an_offence_here"]
        collect(town, A)
        assert sum("info_refusal" in line for line in lines(town, A, "inbox")) == 3

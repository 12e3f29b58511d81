"""``ix agreements`` in front of two nodes over real HTTP: from the first signature to the last notice (CLI)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from exchange.agreement_files import NOBODY
from exchange.protocol.terms import write_terms
from tests.agencies.node.tree import TERMS, A, B
from tests.agencies.town import Town

TWO: dict[str, Any] = {**TERMS, "parties": [A, B], "territory": ["XN", "XS"]}


def proposed(town: Town, file: Path, *more: str) -> str:
    found = town.ix(A, "agreements", "propose", str(file), *more)
    assert found.exit_code == 0, found.output
    state, agr = found.stdout.split()
    assert (state, found.stderr.strip()) == ("proposed:", f"signed by {A}")
    return agr


def stands(town: Town, agency: str, agr: str) -> str:
    town.nodes[agency].refresh()
    found = town.ix(agency, "agreements", "list", officer="duty")
    assert found.exit_code == 0, found.output
    (line,) = [one for one in found.stdout.splitlines() if one.startswith(agr)]
    return str(line.split()[1])


def test_an_agreement_is_proposed_signed_suspended_resumed_and_left(town: Town, tmp_path: Path) -> None:
    file = tmp_path / "terms.yaml"
    file.write_text(yaml.safe_dump({**TWO, "id": "by-command", "title": "Signed by command (SIMULATION)"}))
    agr = proposed(town, file)
    assert stands(town, A, agr) == "proposed"
    signed = town.ix(B, "agreements", "sign", f"--agr={agr}", "--yes")
    assert (signed.exit_code, signed.stdout.splitlines()[-1]) == (0, f"complete: {agr}"), signed.output
    assert stands(town, A, agr) == "in_force"
    for by, act, state in ((B, "suspend", "suspended"), (B, "resume", "in_force"), (A, "leave", "left")):
        given = town.ix(by, "agreements", act, f"--agr={agr}", "--reason", "under review in parliament")
        assert (given.exit_code, given.stdout.strip()) == (0, f"{act}: {agr}"), given.output
        town.world.clock.advance(seconds=1)
        assert {stands(town, A, agr), stands(town, B, agr)} == {state}
    (found,) = [one for one in json.loads(town.ix(A, "agreements", "list", "--json").stdout)["agreements"]
                if one["agr"] == agr]  # fmt: skip
    assert (found["state"], found["parties"]) == ("left", [A, B])


@pytest.mark.spec("CLI-71", "NODE-204")
def test_what_is_signed_is_read_first_and_confirmed(town: Town, tmp_path: Path) -> None:
    file = tmp_path / "terms.yaml"
    file.write_text(yaml.safe_dump({**TWO, "id": "read-first", "title": "Read before it is signed (SIMULATION)"}))
    agr = proposed(town, file)
    for arguments, answer in ((("sign", f"--agr={agr}"), "n\n"), (("sign", f"--agr={agr}", "--json"), "")):
        found = town.ix(B, "agreements", *arguments, given=answer)
        assert found.exit_code == 1, found.output
        assert "Read before it is signed" in found.output
        assert "Any of us may tell another" in found.output
    assert stands(town, A, agr) == "proposed"
    shown = town.ix(B, "agreements", "show", f"--agr={agr}", officer="duty")
    assert (shown.exit_code, f"still to sign: {B}" in shown.stdout, agr in shown.stdout) == (0, True, True)
    french = town.ix(B, "agreements", "show", f"--agr={agr}", "--lang", "fr", officer="duty")
    assert "Coopération policière" in french.stdout
    told = json.loads(town.ix(B, "agreements", "show", f"--agr={agr}", "--json", officer="duty").stdout)
    assert (told["terms"]["id"], told["state"], told["signed_by"]) == ("read-first", "proposed", [A])
    signed = town.ix(B, "agreements", "sign", f"--agr={agr}", given="y\n")
    assert (signed.exit_code, signed.stdout.splitlines()[-1]) == (0, f"complete: {agr}"), signed.output
    late = town.ix(B, "agreements", "sign", f"--agr={agr}", given="y\n")
    assert (late.exit_code, late.stderr.partition(":")[0]) == (1, "not_waiting")
    town.nodes[A].refresh()
    again = town.ix(A, "agreements", "show", f"--agr={agr}", officer="duty")
    assert f"verified: {A}, {B}" in again.stdout or f"verified: {B}, {A}" in again.stdout, again.stdout


@pytest.mark.spec("CLI-71")
def test_a_node_that_shows_other_terms_than_those_to_be_signed_is_not_believed(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "terms.json"
    digests = []
    for name in ("wanted", "other"):
        file.write_text(json.dumps({**TWO, "id": name}))
        digests.append(proposed(town, file))
    node, honest = town.nodes[B], town.nodes[B].agreement
    monkeypatch.setattr(node, "agreement", lambda agr: honest(digests[1]))
    found = town.ix(B, "agreements", "sign", f"--agr={digests[0]}", "--yes")
    assert (found.exit_code, found.stderr.partition(":")[0]) == (1, "agreement_malformed")
    assert stands(town, A, digests[0]) == "proposed"


def test_what_is_proposed_from_terms_and_from_a_payload_is_the_same(town: Town, tmp_path: Path) -> None:
    terms = {**TWO, "id": "two-forms"}
    (tmp_path / "terms.json").write_text(json.dumps(terms, indent=2))
    (tmp_path / "payload.json").write_bytes(write_terms({**terms, "fed": NOBODY}))
    agr = proposed(town, tmp_path / "terms.json")
    again = town.ix(A, "agreements", "propose", str(tmp_path / "payload.json"), "--json")
    assert (again.exit_code, json.loads(again.stdout)["agr"]) == (0, agr), again.output


def test_a_new_version_names_the_one_it_replaces(town: Town, tmp_path: Path) -> None:
    file = tmp_path / "terms.json"
    file.write_text(json.dumps({**TWO, "id": "versions"}))
    first = proposed(town, file)
    file.write_text(json.dumps({**TWO, "id": "versions", "version": 2}))
    unsaid = town.ix(A, "agreements", "propose", str(file))
    assert (unsaid.exit_code, unsaid.stderr.partition(":")[0]) == (1, "agreement_malformed")
    assert proposed(town, file, f"--replaces={first}") != first


@pytest.mark.spec("CLI-3")
def test_what_is_refused_ends_with_one_and_a_code(town: Town, tmp_path: Path) -> None:
    file, nothing = tmp_path / "terms.json", "A" * 43
    file.write_text(json.dumps({**TWO, "id": "refused"}))
    broken = tmp_path / "broken.yaml"
    broken.write_text("parties: [")
    for arguments, officer, code in (
        (("propose", str(broken)), "chief", "agreement_malformed"),
        (("propose", str(file)), "duty", "role_missing"),
        (("sign", f"--agr={nothing}"), "chief", "not_here"),
        (("suspend", f"--agr={nothing}", "--reason", "why not"), "chief", "not_here"),
        (("resume", f"--agr={nothing}", "--reason", "why not"), "duty", "role_missing"),
        (("leave", f"--agr={nothing}", "--reason", "why not"), "chief", "not_here"),
    ):
        found = town.ix(A, "agreements", *arguments, officer=officer)
        assert (found.exit_code, found.stderr.partition(":")[0], found.stdout) == (1, code, "")
    waits = proposed(town, file)
    found = town.ix(B, "agreements", "sign", f"--agr={waits}", "--yes", officer="duty")
    assert (found.exit_code, found.stderr.partition(":")[0]) == (1, "role_missing")


@pytest.mark.spec("CLI-3", "CLI-7")
@pytest.mark.parametrize(
    "arguments",
    [("propose",), ("propose", "nowhere.json"), ("sign", "A" * 43), ("leave", "--agr=A"), ("suspend", "--reason=x")],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_misuse(town: Town, arguments: tuple[str, ...]) -> None:
    assert town.ix(A, "agreements", *arguments).exit_code == 2

"""``ix agreement explain``, ``matrix``, ``diff`` and ``replay`` on files, with no server and no signature."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from exchange.commands_agreement import app

REPOSITORY = Path(__file__).parents[2]
PLANS = ["--agencies", str(REPOSITORY / "agencies" / "profiles")]
FOLDER = REPOSITORY / "agencies" / "profiles" / "agreements"
LIBRARY = [str(path) for path in sorted(FOLDER.glob("*.yaml"))]
BAD = str(FOLDER / "training" / "harbour-accord.yaml")
LOG = REPOSITORY / "tests" / "vectors" / "log"
FED = json.loads((LOG / "expected.json").read_text(encoding="utf-8"))["fed"]
EXPORT = ["--export", str(LOG / "export"), f"--fed={FED}"]
AT = ["--at", "2026-11-21T16:20:00Z"]
PAIR = ["--from", "north.police.sim", "--to", "harbour.ngo.sim", *AT]


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(words), env={"COLUMNS": "120"})
    assert result.exit_code == code, result.output
    return result


@pytest.mark.spec("CLI-50", "CLI-51")
def test_explain_says_yes_with_clause_and_strings_and_ends_with_zero() -> None:
    said = run("explain", *LIBRARY, *PLANS, *PAIR, "--type", "victim_referral", "--cat", "person_victim")
    assert said.stdout.startswith("YES: north.police.sim -> harbour.ngo.sim, as of 2026-11-21T16:20:00.000Z")
    assert "victim-referral version 1, clause refer" in said.stdout
    assert "only: marked H2" in said.stdout
    assert "- the recipient never passes it on" in said.stdout
    assert "taken as if all parties had signed" in said.stderr
    found = json.loads(run("explain", *LIBRARY, *PLANS, *PAIR, "--type", "victim_referral", "--json").stdout)
    assert (found["answer"], found["at"]) == ("yes", "2026-11-21T16:20:00.000Z")
    assert found["ways"][0]["obligations"]["retention_days"] == 180


@pytest.mark.spec("CLI-51")
def test_explain_says_no_with_the_least_that_would_have_to_change_and_ends_with_one() -> None:
    asked = ["--type", "victim_referral", "--cat", "person_victim", "--cat", "person_suspect"]
    said = run("explain", *LIBRARY, *PLANS, *PAIR, *asked, code=1).stdout
    assert "forbidden: clause floor-ngo of `floor`" in said
    assert "1. leave out `person_suspect`: then clause refer of `victim-referral` permits it" in said
    found = json.loads(run("explain", *LIBRARY, *PLANS, *PAIR, *asked, "--json", code=1).stdout)
    assert found["least"][0]["request"]["cats"] == ["person_victim"]
    nobody = run("explain", *LIBRARY, *PLANS, "--from", "harbour.ngo.sim", "--to", "north.fiu.sim", *AT, code=1).stdout
    assert "No agreement in force has both harbour.ngo.sim and north.fiu.sim as parties." in nobody


def test_what_is_not_in_force_is_said_with_its_reason() -> None:
    late = ["--from", "north.police.sim", "--to", "north.prosecutor.sim", "--at", "2027-08-01T00:00:00Z"]
    said = run("explain", str(FOLDER / "two-harbours-team.yaml"), *PLANS, *late, code=1).stdout
    assert "No agreement in force has both north.police.sim and north.prosecutor.sim as parties." in said
    assert "Not in force: `two-harbours-team` version 1 ended at 2027-07-01T00:00:00.000Z." in said
    assert "Nothing north.police.sim could change in the message would help." in said


def test_explain_takes_agreements_and_agencies_from_an_export() -> None:
    said = run("explain", *EXPORT, "--from", "north.police.sim", "--to", "south.police.sim", "--type", "info_request")
    assert "north-south version" in said.stdout
    assert "taken as if" not in said.stderr
    run("explain", "--export", str(LOG / "export"), "--from", "a.sim", "--to", "b.sim", code=2)


def test_a_file_that_cannot_be_read_is_named_among_several() -> None:
    accord = Path(__file__).parents[2] / "agencies" / "profiles" / "agreements" / "training" / "harbour-accord.yaml"
    refused = run("explain", *LIBRARY, str(accord), *PLANS, *PAIR, code=1)
    assert refused.stderr.startswith("agreement_malformed: harbour-accord.yaml: `bases.0`: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*LIBRARY, *PAIR], "say who the agencies are"),
        ([*LIBRARY, *PLANS, "--from", "west.sim", "--to", "north.fiu.sim"], "--from names nobody known here"),
        ([*LIBRARY, *PLANS, *PAIR, "--type", "gossip"], "`gossip` is no code of --type"),
        ([*LIBRARY, *PLANS, "--from", "north.fiu.sim", "--to", "north.fiu.sim"], "nobody tells itself"),
        ([*PLANS, *PAIR], "name the files of the agreements to ask"),
    ],
)
def test_a_question_that_makes_no_sense_is_misuse(words: list[str], message: str) -> None:
    said = run("explain", *words, code=2).output
    assert message in " ".join(said.replace("\u2502", " ").split())


@pytest.mark.spec("CLI-50")
def test_matrix_is_a_table_a_document_and_a_page(tmp_path: Path) -> None:
    table = run("matrix", *LIBRARY, *PLANS, *AT).stdout
    assert "who may tell whom" in table
    found = json.loads(run("matrix", *LIBRARY, *PLANS, *AT, "--json").stdout)
    assert len(found["agencies"]) == 7
    assert len(found["cells"]) == 42
    page = tmp_path / "matrix.html"
    run("matrix", *LIBRARY, *PLANS, *AT, "-o", str(page))
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "taken as if all parties had signed" in text
    run("matrix", *LIBRARY, *PLANS, "-o", str(tmp_path / "no" / "such"), code=2)


def test_diff_tells_what_is_gained_lost_and_tied_otherwise(tmp_path: Path) -> None:
    old = FOLDER / "north-evidence.yaml"
    new = tmp_path / "new.yaml"
    text = old.read_text(encoding="utf-8").replace("version: 1", "version: 2").replace("days: 1825,", "days: 365,")
    new.write_text(text.replace("types: [info_request, clar", "types: [spontaneous_info, clar"), encoding="utf-8")
    said = run("diff", str(old), str(new), *PLANS).stdout
    assert "north-evidence version 1 -> north-evidence version 2" in said
    assert "LOST by clause direct" in said
    assert "GAINED by clause direct" in said
    assert "retention days 1825 -> 365 (tighter)" in said
    found = json.loads(run("diff", str(old), str(new), *PLANS, "--json").stdout)
    assert (found["same"], found["gained"][0]["requests"]) == (False, found["lost"][0]["requests"])
    assert found["gained"][0]["before"]["outcome"] == "deny"
    assert "Both decide every request alike" in run("diff", str(old), str(old), *PLANS).stdout
    run("diff", str(old), str(new), code=2)


@pytest.mark.spec("DRF-20")
def test_what_cannot_be_exact_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = FOLDER / "smuggling-task-force.yaml", tmp_path / "new.yaml"
    new.write_text(old.read_text(encoding="utf-8").replace("[any]", "[info_request]", 1), encoding="utf-8")
    monkeypatch.setattr("exchange.drafting.boxes.MAX_PIECES", 0)
    assert "too many ways to be exact" in run("diff", str(old), str(new), *PLANS, code=1).stderr
    assert "too many ways to be exact" in run("matrix", *LIBRARY, *PLANS, code=1).stderr
    assert "[too_intricate]" in run("check", str(old), *PLANS).stdout


@pytest.mark.spec("CLI-53", "DRF-35")
def test_replay_counts_what_would_change_and_asks_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    path = next((LOG / "export" / "agreements").glob("*.json"))
    first = run("replay", str(path), *EXPORT, "--json").stdout
    counts = json.loads(first)["counts"]
    assert counts["unchanged"] == counts["total"] > 0

    def no_clock(*_: object) -> None:
        raise AssertionError("a replay asked what time it is")

    monkeypatch.setattr("exchange.agreement_files.instant_of", no_clock)
    monkeypatch.setattr("exchange.agreement_scene.instant_of", no_clock)
    monkeypatch.setattr("exchange.commands_agreement_comparing.instant_of", no_clock)
    assert run("replay", str(path), *EXPORT, "--json").stdout == first
    run("replay", str(path), "--export", str(LOG / "export"), code=2)
    said = run("replay", str(FOLDER / "north-south-police.yaml"), *EXPORT).stdout
    assert "beside what was in force" in said
    cases = ["--cases", str(LOG.parent / "decisions.json")]
    counts = json.loads(run("replay", str(FOLDER / "north-south-police.yaml"), *cases, "--json").stdout)["counts"]
    assert counts["total"] >= 60
    run("replay", str(path), *EXPORT, *cases, code=2)
    run("replay", str(path), "--cases", str(path), code=2)


@pytest.mark.spec("DRF-1")
def test_check_names_line_clause_and_code_of_every_fault() -> None:
    said = run("check", BAD, *PLANS, code=1).stdout
    lines = said.splitlines()
    assert len(lines) > 25
    assert any(line.startswith("harbour-accord.yaml:18: error: `coastal_consultative_process` is") for line in lines)
    assert "[not_binding]" in said
    assert "did you mean `info_request`?" in said
    assert "errors," in lines[-1]
    found = json.loads(run("check", BAD, *PLANS, "--json", code=1).stdout)["findings"]
    assert len({one["code"] for one in found}) >= 12
    assert all(one["line"] > 1 for one in found)
    text = Path(BAD).read_text(encoding="utf-8").splitlines()
    for one in found:
        if one["code"] == "no_transfer":
            assert "conditions" in text[one["line"] - 1]


@pytest.mark.parametrize("path", LIBRARY)
def test_the_library_is_sound(path: str) -> None:
    assert "0 errors, 0 warnings" in run("check", path, *PLANS).stdout


def test_check_of_a_later_version_does_not_miss_what_new_is_given(tmp_path: Path) -> None:
    later = tmp_path / "later.yaml"
    later.write_text(
        (FOLDER / "north-evidence.yaml").read_text(encoding="utf-8").replace("version: 1", "version: 2"),
        encoding="utf-8",
    )
    assert "0 errors, 0 warnings" in run("check", str(later), *PLANS).stdout


def test_show_says_what_is_new_in_the_language_in_words() -> None:
    said = json.loads(run("show", str(FOLDER / "two-harbours-team.yaml"), "--json").stdout)
    assert "what was received under it is erased 28 days after it ends" in said["in_words"]
    assert any(line.startswith("group core is north.police.sim, south.police.sim and") for line in said["in_words"])
    words = {clause["id"]: clause["in_words"] for clause in said["clauses"]}
    assert "anybody in group core may tell anybody in group core" in words["common"]
    assert (
        "opened only by officers cleared for confidential, with training in joint team that is in date"
        in words["common"]
    )
    assert "From confidential upward two release officers must agree." in words["to-court"]
    assert "nor to anybody who is no party to this one" in words["no-claims"]
    hub = json.loads(run("show", str(FOLDER / "coast-hub.yaml"), "--json").stdout)["clauses"][0]["in_words"]
    assert (
        "coast.hub.sim must get a copy, unless exempt for sensitive case, source protection or imminent danger." in hub
    )


@pytest.mark.spec("CLI-54", "VOC-14")
@pytest.mark.parametrize(
    ("lang", "who", "word"),
    [("en", "Border or coast guard (role:border_guard)", "From"), ("fr", "Police (role:police)", "De"),
     ("es", "Policía (role:police)", "De"), ("ar", "الشرطة (role:police)", "من")],
)  # fmt: skip
def test_show_says_every_code_beside_its_label(lang: str, who: str, word: str) -> None:
    shown = CliRunner().invoke(app, ["show", str(FOLDER / "coast-hub.yaml"), "--lang", lang], env={"COLUMNS": "2000"})
    assert shown.exit_code == 0
    assert who in shown.stdout
    assert f"{word}: " in shown.stdout
    found = json.loads(run("show", str(FOLDER / "coast-hub.yaml"), "--lang", lang, "--json").stdout)
    assert found["lang"] == lang
    assert "in_words" not in found
    clause = {line["member"]: line for line in found["clauses"][0]["labelled"]}
    assert [one["code"] for one in clause["copy_exempt"]["values"]] == [
        "sensitive_case", "source_protection", "imminent_danger",
    ]  # fmt: skip
    assert all(one["label"] for name in ("types", "purposes", "crimes", "cats") for one in clause[name]["values"])
    whole = {line["member"]: line for line in found["labelled"]}
    assert whole["bases"]["values"][0]["code"] == "multilateral_agreement"


@pytest.mark.spec("CLI-54")
@pytest.mark.parametrize("path", [*LIBRARY, BAD])
def test_every_clause_of_the_library_is_said_whole_in_every_language(path: str) -> None:
    """Whatever a clause lists is in the lines, code for code."""
    for lang in ("en", "fr", "es", "ar"):
        if path == BAD:
            run("show", path, "--lang", lang, code=1)
            continue
        found = json.loads(run("show", path, "--lang", lang, "--json").stdout)
        written = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        for clause, source in zip(found["clauses"], written["clauses"], strict=True):
            said = {line["member"]: [one["code"] for one in line["values"]] for line in clause["labelled"]}
            for member in ("from", "to", "types", "purposes", "crimes", "cats"):
                assert [code for code in said[member] if code] == source[member]
            for member, value in source.get("conditions", {}).items():
                if member == "readers":
                    assert {"clearance", "training", "roles"} & value.keys() <= said.keys()
                elif value not in (None, []):
                    one = (
                        value if isinstance(value, list) else [str(value).lower() if value in (True, False) else value]
                    )
                    assert said[member] == [str(code) for code in one]


@pytest.mark.spec("CLI-54", "VOC-14")
def test_matrix_speaks_a_language_on_its_page_only(tmp_path: Path) -> None:
    page = tmp_path / "matrix.html"
    run("matrix", *LIBRARY, *PLANS, *AT, "--lang", "ar", "-o", str(page))
    text = page.read_text(encoding="utf-8")
    assert '<html lang="ar" dir="rtl">' in text
    assert "من يجوز له أن يفصح لمن وعن ماذا" in text
    run("matrix", *LIBRARY, *PLANS, *AT, "--lang", "ar", code=2)
    run("matrix", *LIBRARY, *PLANS, *AT, "--lang", "de", "-o", str(page), code=2)
    run("explain", *LIBRARY, *PLANS, *PAIR, "--type", "Request for information", code=2)

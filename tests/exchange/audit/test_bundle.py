"""Evidence in one file shows what it shows to anybody, and nothing once a byte of it was changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.audit.bundle import CANNOT, read_evidence, verify_evidence, write_evidence
from exchange.audit.export import examine_export
from exchange.commands_audit import app
from exchange.protocol.cosignature import Cosigner
from exchange.protocol.errors import EvidenceMalformed, QuestionMalformed
from exchange.protocol.log import checkpoint_text
from keys.encoding import digest, write_json
from keys.errors import Refusal
from tests.exchange.test_commands_audit_questions import AT, lay
from tests.vectors.logbook import REFERRAL, Logbook, lies, told
from tests.vectors.stage import NGO, NORTH, SOUTH, signer

LONG = re.compile(rb"[A-Za-z0-9_+/-]{200,}=*")
"""Payloads, keys and signatures: most of a file's bytes."""


def bundled(book: Logbook, *messages: str, files: dict[str, bytes] | None = None) -> bytes:
    files = book.export() if files is None else files
    return write_evidence(files.get, examine_export(files.get, fed=book.on.fed, now=book.now), messages)


def holds(book: Logbook, data: bytes) -> bool:
    try:
        return verify_evidence(data, fed=book.on.fed, now=book.now).holds
    except Refusal:
        return False


@pytest.fixture(scope="module")
def passed_on() -> tuple[Logbook, bytes]:
    """Evidence about a message that was passed on by consent and recalled."""
    book, files = told()
    audited = book.audit(dict(files))
    return book, bundled(book, audited.disclosures[4].entry.msg, files=dict(files))


def test_every_decision_of_the_story_can_be_shown_alone() -> None:
    """LOG-73, LOG-75"""
    book, files = told()
    audited = book.audit(dict(files))
    for one in (*audited.disclosures, *audited.denials):
        data = bundled(book, one.entry.msg, files=dict(files))
        found = verify_evidence(data, fed=book.on.fed, now=book.now)
        assert found.holds, found.report.findings
        assert found.messages == (one.entry.msg,)
        assert found.report.counts["decided_again"] == len(found.report.disclosures) + len(found.report.denials)
        assert "not_judged" not in found.report.counts


@pytest.mark.spec("LOG-73", "LOG-75")
def test_the_golden_file_still_holds_and_is_still_written_the_same() -> None:
    folder = Path(__file__).resolve().parents[2] / "vectors" / "log"
    book, golden = told()[0], (folder / "evidence.json").read_bytes()
    found = verify_evidence(golden, fed=book.on.fed, now=book.now)
    assert (found.holds, found.report.counts["decided_again"]) == (True, 5)

    def read(path: str) -> bytes | None:
        return (folder / "export" / path).read_bytes() if (folder / "export" / path).is_file() else None

    log = examine_export(read, fed=book.on.fed, now=book.now)
    assert write_evidence(read, log, found.messages) == golden


@pytest.mark.spec("LOG-73")
def test_what_a_message_came_from_and_what_was_done_about_it_come_along(passed_on: tuple[Logbook, bytes]) -> None:
    book, data = passed_on
    found = verify_evidence(data, fed=book.on.fed, now=book.now)
    assert [(one.entry.from_, one.told[0].agency) for one in found.report.disclosures] == [(NORTH, SOUTH), (SOUTH, NGO)]
    assert found.report.counts["act"] == 6
    assert [one.act.kind for one in found.report.followed] == ["recall"]
    assert len(found.indices) < len(book.entries)


@pytest.mark.spec("LOG-76")
def test_a_rule_that_was_left_out_shows_and_an_entry_that_was_left_out_does_not(
    passed_on: tuple[Logbook, bytes],
) -> None:
    book, data = passed_on
    value = json.loads(data)
    assert without(value, book, lambda entry: entry["typ"] == "receipt").holds
    found = without(value, book, lambda entry: entry["typ"] == "suspension")
    assert "decision_differs" in [one.code for one in found.report.findings]
    found = without(value, book, lambda entry: entry.get("act") == "consent")
    assert found.report.counts["not_judged"] > 0  # what rests on it is not called wrong
    assert CANNOT[0].startswith("that nothing is missing")


def without(value: Any, book: Logbook, gone: Callable[[Any], bool]) -> Any:
    kept = [one for one in value["entries"] if not gone(json.loads(one["entry"]))]
    said = [json.loads(one["entry"]) for one in kept]
    named = {entry[name] for entry in said for name in ("notice", "statement", "batch") if name in entry}
    kinds = {kind: {n: s for n, s in value[kind].items() if n in named} for kind in ("notices", "acts", "receipts")}
    return verify_evidence(write_json({**value, "entries": kept, **kinds}), fed=book.on.fed, now=book.now)


@pytest.mark.spec("LOG-75")
def test_what_a_lying_log_says_is_found_in_the_file_as_well() -> None:
    book = lies()
    entries = book.audit().disclosures
    found = verify_evidence(bundled(book, entries[1].entry.msg), fed=book.on.fed, now=book.now)
    assert not found.holds
    assert {"not_permitted", "signature_missing"} <= {one.code for one in found.report.findings}


@pytest.mark.spec("LOG-75")
def test_another_federation_another_log_and_another_entry_are_refused(passed_on: tuple[Logbook, bytes]) -> None:
    book, data = passed_on
    (one,) = verify_evidence(data, fed=digest(b"another"), now=book.now).report.findings
    assert one.code == "trust_refused"
    value = json.loads(data)
    value["checkpoint"] = value["checkpoint"].replace("\n35\n", "\n36\n")
    (one,) = verify_evidence(write_json(value), fed=book.on.fed, now=book.now).report.findings
    assert one.code == "checkpoint_refused"
    value = json.loads(data)
    value["entries"][0]["entry"] = value["entries"][0]["entry"].replace('"ix/1"', '"ix/2"')
    (one,) = verify_evidence(write_json(value), fed=book.on.fed, now=book.now).report.findings
    assert (one.code, one.index) == ("entry_altered", value["entries"][0]["index"])


@pytest.mark.spec("LOG-74")
@pytest.mark.parametrize("change", [
    lambda value: value | {"more": 1},
    lambda value: dict(reversed(value.items())),
    lambda value: value | {"v": "ix/2"},
    lambda value: value | {"messages": []},
    lambda value: value | {"messages": value["messages"] * 2},
    lambda value: value | {"messages": [digest(b"not in it")]},
    lambda value: value | {"entries": value["entries"][::-1]},
    lambda value: value | {"entries": value["entries"] + value["entries"][-1:]},
    lambda value: value | {"entries": [1]},
    lambda value: value | {"entries": None},
    lambda value: value | {"checkpoint": None},
    lambda value: value | {"acts": []},
    lambda value: value | {"notices": value["notices"] | {"z" * 42 + "A": next(iter(value["acts"].values()))}},
])  # fmt: skip
def test_a_file_of_another_form_is_refused(passed_on: tuple[Logbook, bytes], change: Callable[[Any], Any]) -> None:
    book, data = passed_on
    with pytest.raises(EvidenceMalformed):
        verify_evidence(write_json(change(json.loads(data))), fed=book.on.fed, now=book.now)


@pytest.mark.spec("LOG-74")
@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"nothing"])
def test_what_is_no_evidence_is_refused(data: bytes) -> None:
    with pytest.raises(EvidenceMalformed):
        read_evidence(data)


@pytest.mark.spec("LOG-74")
def test_there_is_one_spelling(passed_on: tuple[Logbook, bytes]) -> None:
    _, data = passed_on
    for other in (b" " + data, data + b"\n", data.replace(b'"v":', b'"v": ', 1), json.dumps(json.loads(data)).encode()):
        with pytest.raises(EvidenceMalformed):
            read_evidence(other)


@pytest.mark.slow
@pytest.mark.spec("LOG-77")
def test_whichever_byte_is_changed_the_file_is_refused() -> None:
    """Every 29th byte of its structure, and of each long base64 every 701st and the last; one bit of each."""
    book, files = told()
    data = bundled(book, book.audit(dict(files)).denials[0].entry.msg, files=dict(files))
    long = [range(*found.span()) for found in LONG.finditer(data)]
    inside = {place for one in long for place in one}
    places = [place for place in range(len(data)) if place not in inside][::29]
    places += [place for one in long for place in (*one[::701], one[-1])]
    assert holds(book, data)
    unnoticed = []
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        if holds(book, bytes(changed)):
            unnoticed.append(place)
    assert unnoticed == []
    assert len(places) > 250


@pytest.mark.spec("LOG-77")
def test_only_a_line_of_an_unknown_key_may_be_changed() -> None:
    book = Logbook()
    book.agree()
    msg, files = book.send(), book.export()
    note, tree = files["checkpoint"].decode(), book.tree()
    witness = Cosigner("witness.sim", signer("a witness"))
    files["checkpoint"] = (
        note + witness.cosign(checkpoint_text(book.on.log.origin, tree.size, tree.root()), book.now)
    ).encode()
    data = bundled(book, msg, files=files)
    found = verify_evidence(data, fed=book.on.fed, now=book.now)
    assert (found.holds, found.others) == (True, ("witness.sim",))
    changed = data.replace(b"witness.sim", b"witless.sim")
    assert verify_evidence(changed, fed=book.on.fed, now=book.now).others == ("witless.sim",)


def test_only_what_was_decided_can_be_shown() -> None:
    book = Logbook()
    book.agree()
    for messages in ((digest(b"not in it"),), ()):
        with pytest.raises(QuestionMalformed):
            bundled(book, *messages)


def test_a_later_record_does_not_turn_what_was_shown() -> None:
    """LOG-75"""
    from keys.ceremony import amend

    book = Logbook()
    book.agree(clauses=[c for c in _clauses() if c["id"] != "f1"])
    msg = book.send()
    book.record(
        amend(book.on.fed, book.directory.agency(SOUTH), book.on.enrolment, now=book.now, ceiling="secret"), SOUTH
    )
    assert holds(book, bundled(book, msg))
    assert holds(book, bundled(book, book.send(to=(NGO,), **REFERRAL)))


def _clauses() -> tuple[dict[str, Any], ...]:
    from tests.vectors.logbook import CLAUSES

    return CLAUSES


# --- on the command line --------------------------------------------------------------------------------


def run(*args: object) -> Any:
    return CliRunner().invoke(app, [str(one) for one in args], env={"COLUMNS": "300", "IX_FED": told()[0].on.fed})


@pytest.mark.spec("LOG-73", "LOG-75", "LOG-76")
def test_a_bundle_is_made_and_verified_by_one_command_each(tmp_path: Path) -> None:
    book, files = told()
    folder, out = lay(files, tmp_path / "e"), tmp_path / "evidence.json"
    first = book.audit(dict(files)).disclosures[0].entry.msg
    assert run("bundle", folder, f"--msg={first}", "--out", out, *AT).exit_code == 0
    shown = run("verify-bundle", out, *AT)
    assert shown.exit_code == 0, shown.output
    for said in (f"{NORTH} disclosed to", f"{SOUTH}, under north-south v1 c1", "holds: ", "that nothing is missing"):
        assert said in shown.stdout
    said = json.loads(run("verify-bundle", out, "--json", *AT).stdout)
    assert (said["holds"], said["messages"], said["cannot_show"]) == (True, [first], list(CANNOT))
    assert run("bundle", folder, f"--msg={first}", "--exchange", "--out", out, *AT).exit_code == 0
    assert len(json.loads(run("verify-bundle", out, "--json", *AT).stdout)["messages"]) == 2


@pytest.mark.spec("LOG-74", "LOG-75")
def test_what_does_not_hold_exits_with_one(tmp_path: Path) -> None:
    book, files = told()
    folder, out = lay(files, tmp_path / "e"), tmp_path / "evidence.json"
    first = book.audit(dict(files)).disclosures[0].entry.msg
    run("bundle", folder, f"--msg={first}", "--out", out, *AT)
    data = out.read_bytes()
    out.write_bytes(data + b"\n")
    done = run("verify-bundle", out, *AT)
    assert (done.exit_code, done.stderr.split(":")[0]) == (1, "evidence_malformed")
    value = json.loads(data)
    value["entries"][-1]["entry"] = value["entries"][-1]["entry"].replace(SOUTH, NORTH)
    out.write_bytes(write_json(value))
    done = run("verify-bundle", out, *AT)
    assert (done.exit_code, "entry_altered" in done.stdout) == (1, True)
    assert run("bundle", folder, f"--msg={'A' * 43}", "--out", out, *AT).exit_code == 1
    assert run("bundle", folder, "--msg=short", "--out", out, *AT).exit_code == 2


def test_witnesses_that_must_have_signed_are_asked_for(tmp_path: Path) -> None:
    book, files = told()
    folder, out, policy = lay(files, tmp_path / "e"), tmp_path / "evidence.json", tmp_path / "policy"
    first = book.audit(dict(files)).disclosures[0].entry.msg
    run("bundle", folder, f"--msg={first}", "--out", out, *AT)
    key = Cosigner("witness.sim", signer("a witness")).keys[0]
    policy.write_text(f"witness w {key}\nquorum w\n")
    done = run("verify-bundle", out, "--witnesses", policy, *AT)
    assert (done.exit_code, done.stderr.split(":")[0]) == (1, "quorum_missing")
    policy.write_text("quorum none\n")
    assert run("verify-bundle", out, "--witnesses", policy, *AT).exit_code == 0

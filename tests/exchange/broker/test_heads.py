"""The head of a ledger is logged once, under its agency's own keys, and never goes back (LOG-94 to LOG-97).

Every call goes through the app, proved and with its answer's proof verified; every head is really signed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.audit.export import AuditReport, verify_export
from exchange.broker.jobs_heads import HeadGiven
from exchange.commands_audit import app as audit
from exchange.commands_audit_common import reader
from exchange.protocol.entry import NodeHeadEntry
from exchange.protocol.ledger_head import MAX_HEAD, verify_head
from exchange.protocol.log import parse_entry, verify_tlog_proof
from keys.ceremony import revoke
from keys.encoding import b64u, digest, unb64u
from keys.errors import Refusal
from tests.exchange.broker.office import NORTH, ORIGIN, SOUTH, START, Office, open_office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as opened:
        yield opened


def proved(office: Office, answer: Any) -> tuple[int, NodeHeadEntry]:
    entry = unb64u(answer["entry"])
    index, _ = verify_tlog_proof(answer["proof"], entry, office.cast.directory.root.log)
    read = parse_entry(entry)
    assert isinstance(read, NodeHeadEntry)
    return index, read


def exported(office: Office, tmp_path: Path) -> Path:
    folder = tmp_path / f"export-{office.size}"
    args = ["export", "--from", str(office.path.parent), "--out", str(folder)]
    assert CliRunner().invoke(audit, args).exit_code == 0
    return folder


def audited(office: Office, tmp_path: Path) -> AuditReport:
    now = office.clock.now
    return verify_export(reader(exported(office, tmp_path)), fed=office.cast.fed, now=now)


# --- what is logged ----------------------------------------------------------------------------------


@pytest.mark.spec("HTTP-49", "LOG-94", "LOG-95", "ADM-60", "ADM-62")
def test_a_head_is_logged_once_with_what_it_says(office: Office) -> None:
    note = office.cast.head(NORTH, 7)
    first = office.note(NORTH, note)
    assert (first.status, first.json["head"]) == (200, digest(note.encode()))
    index, entry = proved(office, first.json)
    root = sha256(f"{NORTH} 7".encode()).digest()
    assert (entry.by, entry.size, entry.root, entry.head) == (NORTH, 7, b64u(root), first.json["head"])
    assert office.head(NORTH, 9).status == 200
    size = office.size
    office.clock.advance(days=40)  # long after its time, after a larger one, and after its keys might have ended
    again = office.note(NORTH, note)
    assert {**again.json, "proof": ""} == {**first.json, "proof": ""}
    assert (proved(office, again.json), office.size) == ((index, entry), size)


@pytest.mark.spec("LOG-95", "ADM-61")
def test_a_ledger_does_not_shrink_and_has_one_root_for_each_size(office: Office) -> None:
    assert office.head(NORTH, 7).status == 200
    size = office.size
    for refused, code in ((office.head(NORTH, 6), "head_shrank"), (office.head(NORTH, 7, bytes(32)), "head_forked")):
        assert (refused.status, refused.code, office.size) == (409, code, size)
        assert f"entry {size - 1}" in refused.json["detail"]
    assert office.head(SOUTH, 3).status == 200  # another agency's is another ledger
    resigned = office.head(NORTH, 7, at=office.clock.now + timedelta(seconds=9))
    assert proved(office, resigned.json)[1].size == 7  # the same root under another note says nothing wrong
    assert office.head(NORTH, 8).status == 200


@pytest.mark.spec("ADM-61", "LOG-10")
def test_of_two_heads_that_contradict_each_other_in_one_group_one_is_refused(office: Office) -> None:
    notes = [office.cast.head(NORTH, 7), office.cast.head(NORTH, 7, bytes(32)), office.cast.head(NORTH, 6)]
    jobs = [HeadGiven(NORTH, note) for note in (*notes, notes[0])]
    first, forked, shrunk, again = office.broker.clerk.write_now(jobs)
    assert [getattr(one, "code", "") for one in (forked, shrunk)] == ["head_forked", "head_shrank"]
    assert {**json.loads(again), "proof": ""} == {**json.loads(first), "proof": ""}
    assert sum(entry["typ"] == "node-head" for entry in office.entries()) == 1


@pytest.mark.spec("ADM-61", "LOG-10")
def test_two_brokers_on_one_database_see_each_others_heads(office: Office) -> None:
    second = office.second()
    try:
        assert office.head(NORTH, 7).status == 200
        assert second.head(NORTH, 7, bytes(32)).code == "head_forked"
        assert second.head(NORTH, 8).status == 200
        assert office.head(NORTH, 7).code == "head_shrank"
    finally:
        second.close()


# --- what is refused ---------------------------------------------------------------------------------


@pytest.mark.spec("ADM-60", "LOG-92", "HTTP-12")
def test_a_head_that_is_not_the_callers_own_leaves_no_entry(office: Office) -> None:
    size, note = office.size, office.cast.head(NORTH, 7)
    early = office.cast.head(NORTH, 7, at=START + timedelta(minutes=6))
    refused = [
        (office.note(SOUTH, note), "checkpoint_invalid"),
        (office.note(NORTH, note.replace("\n7\n", "\n8\n")), "checkpoint_invalid"),
        (office.note(NORTH, early), "checkpoint_invalid"),
        (office.note(NORTH, b"\xff\n"), "checkpoint_invalid"),
        (office.note(NORTH, b""), "checkpoint_invalid"),
        (office.note(NORTH, b"x" * (MAX_HEAD + 1)), "too_large"),
        (office.note(NORTH, note, media="application/jose+json"), "media_type_unknown"),
    ]
    assert [got.code for got, _ in refused] == [code for _, code in refused]
    assert office.size == size
    assert office.note(NORTH, note).status == 200
    taken = office.note(SOUTH, note)  # also once it was logged: it is not South's
    assert (taken.status, taken.code) == (422, "checkpoint_invalid")


@pytest.mark.spec("LOG-93", "ADM-60", "ADM-62")
def test_a_head_counts_by_the_keys_of_its_log_time(office: Office) -> None:
    assert office.head(NORTH, 7).status == 200
    before = office.cast.head(NORTH, 8)
    held = office.broker.directory.agency(NORTH)
    kids = [key.kid for key in held.keys if key.use == "sig"]
    now = office.clock.advance(hours=1)
    revoked = revoke(office.cast.fed, held, kids, office.cast.enrolment, reason="compromised", now=now)
    assert office.statement(NORTH, "/v1/records", revoked).status == 200
    late = office.note(NORTH, before)  # signed while the key was good, and nobody can know that
    assert (late.status, late.code) == (403, "key_not_valid")
    assert office.head(NORTH, 7, at=START).code == "key_not_valid"
    assert office.note(NORTH, office.cast.head(NORTH, 7)).code == "key_not_valid"


# --- what an auditor gets ----------------------------------------------------------------------------


@pytest.mark.spec("LOG-96", "LOG-97")
def test_an_export_has_every_head_and_the_audit_shows_the_newest(office: Office, tmp_path: Path) -> None:
    notes = {size: office.cast.head(NORTH, size) for size in (7, 9)}
    answers = [office.note(NORTH, note).json for note in notes.values()]
    assert office.head(SOUTH, 3).status == 200
    folder = exported(office, tmp_path)
    for answer, note in zip(answers, notes.values(), strict=True):
        assert (folder / "heads" / answer["head"]).read_text() == note
    report = verify_export(reader(folder), fed=office.cast.fed, now=office.clock.now)
    assert report.clean, report.findings
    assert [(one.entry.by, one.entry.size) for one in report.heads] == [(NORTH, 7), (NORTH, 9), (SOUTH, 3)]
    assert [(one["by"], one["size"]) for one in report.to_json()["heads"]] == [(NORTH, 9), (SOUTH, 3)]
    shown = CliRunner().invoke(audit, ["verify", str(folder), f"--fed={office.cast.fed}"]).output
    assert f"{NORTH}, 9 acts" in shown
    assert report.newest_heads[0].entry.root in shown
    assert "3 node-heads" in shown


@pytest.mark.spec("LOG-94", "ADM-60")
def test_what_the_broker_takes_is_what_an_auditor_believes(office: Office, tmp_path: Path) -> None:
    """Heads, records and messages in turn, and nothing that was logged is refused afterwards."""
    agreement = office.agree(NORTH, SOUTH)
    for size in (1, 2, 300):
        office.submit(office.cast.compose(agreement, now=office.clock.now))
        assert office.head(NORTH, size).status == 200
        office.clock.advance(seconds=1)
    held = office.broker.directory.agency(NORTH)
    kids = [key.kid for key in held.keys if key.use == "sig"]
    revoked = revoke(office.cast.fed, held, kids, office.cast.enrolment, reason="compromised", now=office.clock.now)
    assert office.head(NORTH, 301).status == 200
    assert office.statement(NORTH, "/v1/records", revoked).status == 200  # in the same millisecond
    assert office.head(NORTH, 302).code == "key_not_valid"
    report = audited(office, tmp_path)
    assert report.clean, report.findings
    assert [one.entry.size for one in report.heads] == [1, 2, 300, 301]
    with pytest.raises(Refusal):
        verify_head(office.cast.head(NORTH, 301), NORTH, office.broker.directory, ORIGIN, office.clock.now)

"""An auditor believes no head of a ledger that its agency did not sign, and none that goes back on one before."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta

import pytest

from exchange.audit.bundle import verify_evidence, write_evidence
from exchange.audit.export import AuditReport, examine_export, statement_path
from exchange.audit.questions import who
from exchange.audit.statistics import count
from exchange.protocol.entry import node_head_entry, parse_entry
from keys.encoding import b64u, digest, write_json
from tests.vectors.logbook import Logbook, ledger_root, story
from tests.vectors.stage import NORTH, SOUTH, seed, signer


def found(report: AuditReport) -> list[tuple[str, int | None]]:
    return [(finding.code, finding.index) for finding in report.findings]


def sizes(report: AuditReport) -> list[tuple[str, int]]:
    return [(head.entry.by, head.entry.size) for head in report.heads]


def grown(heads: Iterable[tuple[str, int]]) -> Logbook:
    book = Logbook()
    for by, size in heads:
        book.head(by, size)
    return book


@pytest.mark.spec("LOG-97")
def test_heads_that_grow_or_are_signed_again_are_believed() -> None:
    report = grown([(NORTH, 1), (SOUTH, 300), (NORTH, 2), (NORTH, 2), (NORTH, 300), (SOUTH, 301)]).audit()
    assert report.clean, report.findings
    assert sizes(report) == [(NORTH, 1), (SOUTH, 300), (NORTH, 2), (NORTH, 2), (NORTH, 300), (SOUTH, 301)]
    assert [(head.entry.by, head.entry.size) for head in report.newest_heads] == [(NORTH, 300), (SOUTH, 301)]
    assert report.counts["node-head"] == 6


@pytest.mark.spec("LOG-95", "LOG-97")
def test_a_ledger_that_shrinks_or_has_two_roots_is_found_with_both_heads() -> None:
    book = grown([(NORTH, 5), (SOUTH, 2)])
    size = len(book.entries)
    first, smaller = book.statements, book.head(NORTH, 4)
    forked = book.head(NORTH, 5, seed("another ledger"))
    book.head(NORTH, 5)
    book.head(SOUTH, 3)
    report = book.audit()
    assert found(report) == [("head_shrank", size), ("head_forked", size + 1)]
    shrank, fork = report.findings
    for finding, name in ((shrank, smaller), (fork, forked)):
        assert finding.evidence["head"] == name
        assert statement_path("heads", finding.evidence["head_first"]) in first
        assert finding.evidence["first"] == str(size - 2)
    assert sizes(report) == [(NORTH, 5), (SOUTH, 2), (NORTH, 5), (SOUTH, 3)]


@pytest.mark.spec("LOG-97", "LOG-93")
def test_a_head_that_its_agency_did_not_sign_is_refused_and_not_compared_with() -> None:
    book = Logbook()
    begun = len(book.entries)
    book.head(NORTH, 9, signer=signer("nobody"))
    book.head(NORTH, 9, signer=book.on[SOUTH].signer)
    book.head(NORTH, 3)
    book.head(NORTH, 4, said=9)  # the entry says more than the head
    book.head(NORTH, 5)
    report = book.audit()
    assert found(report) == [("head_refused", begun), ("head_refused", begun + 1), ("head_refused", begun + 3)]
    assert sizes(report) == [(NORTH, 3), (NORTH, 5)]


@pytest.mark.spec("LOG-94", "LOG-97")
def test_the_entry_must_say_what_the_head_says() -> None:
    book = Logbook()
    name = book.head(NORTH, 3)
    root = ledger_root(NORTH, 3)
    for by, size, said, head in (
        (SOUTH, 3, root, name), (NORTH, 4, root, name), (NORTH, 3, seed("other"), name),
        (NORTH, 3, root, digest(b"another note")),
    ):  # fmt: skip
        other = Logbook(statements=dict(book.statements))
        other.log(node_head_entry(by, size, said, head, other.now))
        if head != name:
            other.statements[statement_path("heads", head)] = book.statements[statement_path("heads", name)]
        assert found(other.audit()) == [("head_refused", len(other.entries) - 1)], (by, size)


@pytest.mark.spec("LOG-93", "LOG-97")
def test_a_head_is_judged_by_the_keys_of_its_place_in_the_log() -> None:
    """A key that is revoked later has still signed; one that was revoked before has not."""
    book = Logbook()
    note = book.head(NORTH, 3)
    held = book.directory.agency(NORTH)
    revoked = book.on.without_keys_of(NORTH, book.now).agency(NORTH).statement.to_bytes()
    book.record(revoked, NORTH)
    assert held.version == 1
    refused = len(book.entries)
    book.head(NORTH, 4)
    report = book.audit()
    assert found(report) == [("head_refused", refused)]
    assert "revoked" in report.findings[0].sentence
    assert [head.entry.head for head in report.heads] == [note]


@pytest.mark.spec("LOG-96", "LOG-97", "LOG-52")
def test_a_head_that_is_not_exported_is_missing_and_nothing_is_said_of_it() -> None:
    book = Logbook()
    name = book.head(NORTH, 5)
    place = len(book.entries) - 1
    book.head(NORTH, 4)  # smaller than one that nobody can see
    files = book.export()
    del files[statement_path("heads", name)]
    report = book.audit(files)
    assert found(report) == [("file_missing", place)]
    assert (report.counts["not_judged"], sizes(report)) == (1, [(NORTH, 4)])


@pytest.mark.spec("LOG-83", "LOG-52")
def test_an_altered_entry_or_head_is_named_and_keeps_nothing_else_from_being_judged() -> None:
    book = story()
    place = len(book.entries) - 2
    name = parse_entry(book.entries[place]).head  # type: ignore[union-attr]
    book.send(purpose="detect")
    files = book.export()
    path = next(one for one in files if one.startswith("tile/entries/"))
    altered = {**files, path: files[path].replace(b'"size":9', b'"size":8')}
    report = book.audit(altered)
    assert found(report) == [("entry_altered", place)]
    assert report.counts["decided_again"] == 13
    note = statement_path("heads", name)
    for change in (files[note][:-1], files[note] + b"\n", files[note].replace(b"\n9\n", b"\n8\n"), b""):
        assert found(book.audit({**files, note: change})) == [("head_refused", place)]


@pytest.mark.spec("LOG-98")
def test_evidence_questions_and_statistics_know_no_heads() -> None:
    """With heads between the messages the log answers as it does without."""
    answered = []
    for put in (False, True):
        book = Logbook()
        book.agree()
        for number in (1, 2, 3):
            if put:
                book.head(SOUTH, number)
            msg = book.send()
            book.receipt(msg)
        examined = examine_export(book.export().get, fed=book.on.fed, now=book.now)
        assert examined.report.clean, examined.report.findings
        said = who(examined, [msg])
        answered.append((count(examined, book.now.year), len(said["disclosures"]), said.keys()))
        data = write_evidence(book.export().get, examined, [msg])
        assert b"node-head" not in data
        assert verify_evidence(data, fed=book.on.fed, now=book.now).holds
    assert answered[0] == answered[1]


@pytest.mark.spec("LOG-98", "LOG-76")
def test_a_head_in_evidence_is_counted_as_not_judged() -> None:
    book = story()
    examined = examine_export(book.export().get, fed=book.on.fed, now=book.now)
    value = json.loads(write_evidence(book.export().get, examined, [examined.report.disclosures[0].entry.msg]))
    place = len(book.entries) - 1
    proof = [b64u(one) for one in book.tree().inclusion(place)]
    value["entries"].append({"index": place, "entry": book.entries[place].decode(), "proof": proof})
    checked = verify_evidence(write_json(value), fed=book.on.fed, now=book.now)
    assert checked.holds, checked.report.findings
    assert checked.report.counts["not_judged"] >= 1


@pytest.mark.spec("LOG-93")
def test_an_agency_without_a_record_has_no_head() -> None:
    book = Logbook(enrolled=3)  # the first three in order of their ids
    book.head(book.directory.agencies()[3].agency, 2)
    assert ("head_refused", 3) in found(book.audit())


def test_a_head_may_be_logged_long_after_it_was_signed() -> None:
    """LOG-92: a node keeps its head until it reaches the broker."""
    book = Logbook()
    book.head(NORTH, 2)
    late = book.statements.copy()
    other = Logbook(statements=late)
    other.now += timedelta(days=9)
    (name,) = [one.removeprefix("heads/") for one in late]
    other.log(node_head_entry(NORTH, 2, ledger_root(NORTH, 2), name, other.now))
    assert other.audit().clean

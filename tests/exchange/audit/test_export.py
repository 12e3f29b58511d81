"""An auditor with an export and the federation's id finds every lie a broker could tell in its log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.audit.export import AuditReport, Finding, statement_path, verify_export
from exchange.audit.finding import SEVERITIES
from exchange.protocol.entry import (
    agreement_entry,
    denial_entry,
    disclosure_entry,
    notice_entry,
    parse_entry,
    receipt_entry,
    record_entry,
    signature_entry,
)
from exchange.protocol.errors import AuditImpossible
from exchange.protocol.log import bundle, parse_bundle
from exchange.protocol.manifest import Manifest
from keys.ceremony import amend
from keys.encoding import digest, read_json, write_json
from keys.signing import Typ, parse_statement, sign
from tests.vectors.logbook import (
    CLAUSES,
    REFERRAL,
    Export,
    Logbook,
    between_two_agreements,
    ceilings,
    lies,
    signed_by_all,
    story,
    told,
)
from tests.vectors.stage import FIU, NGO, NORTH, NOW, SOUTH, signer, stage

ON = stage()


BEGIN = 7
"""Entries before a test's first: the records of the four agencies and the signatures of the first agreement."""


def codes(report: AuditReport) -> list[tuple[str, int | None]]:
    """Each finding's code, and its place counted from the test's first entry."""
    return [(f.code, f.index if f.index is None else f.index - BEGIN) for f in report.findings]


def only(report: AuditReport) -> Finding:
    assert len(report.findings) == 1, codes(report)
    assert not report.clean
    return report.findings[0]


def agreed() -> Logbook:
    book = Logbook()
    book.agree()
    return book


def log_disclosure(book: Logbook, clauses: list[list[str]], policy: str | None = None, **changes: Any) -> Manifest:
    """Log a disclosure as a broker would that does not keep to the agreements."""
    manifest, name = book.manifest(**changes)
    book.log(disclosure_entry(manifest, name, clauses, policy or book.book.policy(book.now), book.now))
    return manifest


# --- an honest log -------------------------------------------------------------------------------------


def test_an_honest_export_is_clean_and_everything_in_it_was_looked_at() -> None:
    """LOG-42, LOG-50, LOG-51"""
    book, files = told()
    report = book.audit(dict(files))
    assert (report.clean, report.findings) == (True, ())
    assert report.counts["decided_again"] == 12
    assert report.counts["signed_receipts"] == 5
    assert report.checkpoint is not None
    assert report.checkpoint.size == len(book.entries)


def test_the_report_says_who_told_whom_what_under_which_clause_and_when() -> None:
    """LOG-51"""
    book, files = told()
    report = book.audit(dict(files))
    told_of = [
        (d.entry.from_, t.agency, d.agreement, t.clauses, set(t.receipts)) for d in report.disclosures for t in d.told
    ]
    assert told_of == [
        (NORTH, SOUTH, "north-south v1", ("c1",), {"delivered", "opened"}),
        (SOUTH, NORTH, "north-south v1", ("c1",), {"opened"}),
        (NORTH, NGO, "north-south v1", ("c2",), {"rejected"}),
        (NORTH, SOUTH, "north-south v1", ("c1",), set()),
        (NORTH, SOUTH, "north-south v1", ("c1",), {"opened"}),
        (SOUTH, NGO, "north-south v1", ("c2",), set()),
    ]
    assert [d.entry.code for d in report.denials] == [
        "forbidden", "no_clause", "agreement_suspended", "consent_missing", "consent_missing", "source_stopped",
    ]  # fmt: skip
    written = report.to_json()
    assert written == read_json(write_json(written), limit=2**20)
    assert written["disclosures"][1]["re"] == written["disclosures"][0]["msg"]
    assert written["disclosures"][5]["src"] == [written["disclosures"][4]["msg"]]
    assert written["disclosures"][5]["exempt"] == "source_protection"
    assert written["clean"] is True


def test_an_empty_log_is_clean() -> None:
    report = Logbook().audit()
    assert (report.clean, report.counts) == (True, {"record": 4})


def test_receipt_batches_may_be_left_out() -> None:
    """LOG-50"""
    book, files = told()
    files = {path: data for path, data in files.items() if not path.startswith("receipts/")}
    report = book.audit(files)
    assert report.clean
    assert "signed_receipts" not in report.counts


def test_nothing_can_be_audited_without_trust_and_checkpoint() -> None:
    """LOG-50"""
    book, files = told()
    for path in ("trust.json", "checkpoint"):
        with pytest.raises(AuditImpossible):
            book.audit({name: data for name, data in files.items() if name != path})


# --- trust, checkpoint, tree ---------------------------------------------------------------------------


def test_trust_that_does_not_follow_from_the_pinned_id_ends_the_audit() -> None:
    """LOG-51"""
    _, files = told()
    report = verify_export(files.get, fed=digest(b"another federation"), now=NOW)
    assert codes(report) == [("trust_refused", None)]
    assert not report.disclosures
    assert not report.clean
    report = verify_export(files.get, fed=ON.fed, now=NOW + timedelta(days=3650))
    assert codes(report) == [("trust_refused", None)]


def test_a_checkpoint_that_does_not_verify_is_found_and_the_rest_looked_at() -> None:
    """LOG-20, LOG-51"""
    book, files = told()
    files = dict(files)
    lines = files["checkpoint"].decode().split("\n")
    files["checkpoint"] = "\n".join([*lines[:4], lines[4], lines[4], ""]).encode()
    report = book.audit(files)
    assert codes(report) == [("checkpoint_refused", None)]
    assert len(report.disclosures) == 6
    for junk in (b"", b"\xff\xfe", b"nothing like a checkpoint"):
        assert codes(book.audit({**files, "checkpoint": junk})) == [("checkpoint_refused", None)]


def edit(files: Export, index: int, change: Callable[[bytes], bytes]) -> Export:
    """Edit one entry of a short export behind the broker's back."""
    files = dict(files)
    path = next(p for p in files if p.startswith("tile/entries/"))
    entries = list(parse_bundle(files[path], int(path.rpartition("/")[2])))
    entries[index] = change(entries[index])
    files[path] = bundle(entries)
    return files


@pytest.mark.parametrize("index", range(BEGIN + 14))
def test_an_entry_edited_behind_the_brokers_back_is_the_one_thing_named(index: int) -> None:
    """LOG-3, LOG-52: whichever kind it is, and nothing else is blamed for what follows from it."""
    book, files = told()
    for old, new in ((b"2026-11-21", b"2026-11-22"), (b".sim", b".sin"), (b"ix/1", b"ix/9")):
        finding = only(book.audit(edit(files, index, lambda e, o=old, n=new: e.replace(o, n))))  # type: ignore[misc]
        assert (finding.code, finding.index) == ("entry_altered", index)
        assert set(finding.evidence) == {"signed_hash", "own_hash"}


def test_decisions_that_may_rest_on_an_altered_entry_are_not_judged_and_counted() -> None:
    """LOG-52"""
    book, files = told()
    report = book.audit(edit(files, BEGIN, lambda e: e.replace(SOUTH.encode(), FIU.encode())))
    assert report.counts["not_judged"] == 13  # the agreement and twelve decisions
    assert "decided_again" not in report.counts
    assert codes(report) == [("entry_altered", 0)]


def test_a_forged_statement_or_none_is_found() -> None:
    """LOG-50, LOG-51"""
    book, files = told()
    agreement = statement_path("agreements", book.agreement)
    without = {path: data for path, data in files.items() if path != agreement}
    assert codes(book.audit(without)) == [("file_missing", 0)]
    for notice in [path for path in files if path.startswith("notices/")]:
        report = book.audit({path: data for path, data in files.items() if path != notice})
        assert only(report).code == "file_missing"
    receipt = next(path for path in files if path.startswith("receipts/"))
    damaged = {**files, receipt: files[receipt].replace(b'"signature":"', b'"signature":"A', 1)}
    assert [code for code, _ in codes(book.audit(damaged))] == ["receipt_refused"]


@pytest.mark.spec("LOG-34", "LOG-42")
def test_the_clause_of_another_agreement_is_never_named_as_one_of_this() -> None:
    book = between_two_agreements()
    assert book.audit().clean
    entry = parse_entry(book.entries[-1])
    assert [(to.code, to.nearest) for to in entry.to] == [("forbidden", None)]  # type: ignore[union-attr]
    manifest, name = book.manifest(cats=["person_victim"])
    why = [("forbidden", "theirs")]
    book.log(denial_entry(manifest, name, why, "forbidden", book.book.policy(book.now), book.now))
    assert only(book.audit()).code == "decision_differs"


# --- a broker that lies in its own log -----------------------------------------------------------------


def test_a_disclosure_that_no_clause_permits_is_found() -> None:
    """LOG-42, LOG-51"""
    book = agreed()
    log_disclosure(book, [["c1"]], purpose="detect")
    finding = only(book.audit())
    assert (finding.code, finding.index, finding.evidence["code"]) == ("not_permitted", BEGIN + 1, "no_clause")
    assert SOUTH in finding.evidence


def test_a_disclosure_that_a_clause_forbids_is_found() -> None:
    """LOG-42, LOG-51"""
    book = agreed()
    log_disclosure(book, [["c1"]], cats=["person_victim"])
    assert only(book.audit()).evidence["code"] == "forbidden"


def test_a_disclosure_logged_before_its_agreement_is_found() -> None:
    """LOG-42"""
    later = agreed()
    book = Logbook(agreement=later.agreement)
    log_disclosure(book, [["c1"]])
    book.agree()
    finding = only(book.audit())
    assert (finding.code, finding.index, finding.evidence["code"]) == ("not_permitted", BEGIN - 3, "agreement_unknown")


def test_a_disclosure_under_a_suspended_agreement_is_found() -> None:
    """LOG-42"""
    book = agreed()
    book.notify("suspend")
    log_disclosure(book, [["c1"]])
    assert only(book.audit()).evidence["code"] == "agreement_suspended"


def test_other_clauses_or_another_policy_than_decided_are_found() -> None:
    """LOG-42, LOG-51"""
    book = agreed()
    log_disclosure(book, [["c2"]])
    log_disclosure(book, [["c1"]], policy=digest(b"another policy"))
    report = book.audit()
    assert codes(report) == [("decision_differs", 1), ("decision_differs", 2)]
    assert [set(f.evidence) for f in report.findings] == [{SOUTH}, {"policy"}]


@pytest.mark.spec("AGR-39")
def test_a_ceiling_is_taken_from_the_record_that_was_in_force() -> None:
    report = ceilings().audit()
    assert report.clean, report.findings
    assert [(d.entry.code, d.entry.to[0].nearest) for d in report.denials] == [("above_ceiling", "c1")] * 3
    assert [d.entry.class_ for d in report.disclosures] == ["confidential", "secret", "confidential"]


def test_a_denial_of_what_is_permitted_is_found() -> None:
    """LOG-42, LOG-51"""
    book = agreed()
    manifest, name = book.manifest()
    policy = book.book.policy(book.now)
    book.log(denial_entry(manifest, name, [("no_clause", "c1")], "no_clause", policy, book.now))
    assert only(book.audit()).code == "wrongly_denied"


def test_a_denial_with_another_code_is_found() -> None:
    """LOG-42, LOG-51"""
    book = agreed()
    manifest, name = book.manifest(purpose="detect")
    policy = book.book.policy(book.now)
    book.log(denial_entry(manifest, name, [("not_a_party", "c1")], "not_a_party", policy, book.now))
    finding = only(book.audit())
    assert (finding.code, set(finding.evidence)) == ("decision_differs", {SOUTH, "code"})


def test_a_message_decided_twice_is_found() -> None:
    """LOG-51: the same message, and another message under the same id."""
    book = agreed()
    manifest = log_disclosure(book, [["c1"]])
    book.log(book.entries[-1])
    other, name = book.manifest(id=manifest.id)
    book.log(disclosure_entry(other, name, [["c1"]], book.book.policy(book.now), book.now))
    report = book.audit()
    assert [code for code in codes(report) if code[0] != "clock_backwards"] == [
        ("decided_twice", 2),
        ("decided_twice", 3),
    ]
    assert {f.evidence["first"] for f in report.findings} == {str(BEGIN + 1)}


def test_a_clock_that_goes_back_is_found() -> None:
    """LOG-41"""
    book = agreed()
    book.send()
    book.now -= timedelta(seconds=30)
    book.agree(id="another")
    report = book.audit()
    assert codes(report) == [("clock_backwards", place) for place in (2, 3, 4, 5)]


def test_an_agency_that_nobody_enrolled_is_found() -> None:
    """LOG-51"""
    book = agreed()
    manifest, name = book.manifest()
    entry = disclosure_entry(manifest, name, [["c1"]], book.book.policy(book.now), book.now)
    book.log(entry.replace(SOUTH.encode(), b"secret.police.sim"))
    assert only(book.audit()).code == "party_unknown"


def test_receipts_that_nobody_could_give_are_found() -> None:
    """LOG-51"""
    book = agreed()
    msg = book.send()
    book.receipt(msg, by=NGO)
    book.receipt(digest(b"no such message"))
    book.receipt(msg)
    book.receipt(msg)
    report = book.audit()
    assert codes(report) == [("receipt_unfounded", 2), ("receipt_unfounded", 3), ("receipt_repeated", 5)]


def test_a_receipt_before_its_message_or_for_a_denied_one_is_found() -> None:
    """LOG-51"""
    book = agreed()
    denied = book.send(purpose="detect")
    book.receipt(denied)
    assert only(book.audit()).code == "receipt_unfounded"


@pytest.mark.spec("LOG-51", "RCT-6")
def test_a_receipt_that_its_signed_batch_does_not_say_is_found() -> None:
    book = agreed()
    msg, other = book.send(), book.send()
    batch = book.receipt(msg)
    book.log(receipt_entry(other, SOUTH, "opened", None, batch, book.now))
    book.log(receipt_entry(msg, SOUTH, "rejected", "body_damaged", batch, book.now))
    assert codes(book.audit()) == [("receipt_refused", 4), ("receipt_refused", 5)]


def test_an_agreement_that_not_everybody_signed_is_found() -> None:
    """LOG-51: neither with a signature missing nor with one by a key that was never theirs."""
    for parties in ((NORTH, SOUTH), (NORTH, SOUTH, FIU)):
        book = agreed()
        path = statement_path("agreements", book.agreement)
        statement = read_json(book.statements[path], limit=2**20)
        payload = signed_by_all(ON, _payload(book.statements[path]), parties)
        book.statements[path] = payload
        assert statement["payload"] == read_json(payload, limit=2**20)["payload"]
        assert codes(book.audit()) == [("agreement_refused", 0)]


def _payload(data: bytes) -> bytes:
    return parse_statement(data).payload


def test_an_agreement_entry_with_other_parties_is_found() -> None:
    """LOG-36, LOG-51"""
    book = agreed()
    book.entries[BEGIN] = agreement_entry(book.agreement, (NORTH, SOUTH), None, NOW + timedelta(seconds=BEGIN))
    book.send()
    assert codes(book.audit()) == [("signature_unfounded", -1), ("agreement_refused", 0)]


def test_another_agreement_in_its_place_is_found() -> None:
    """LOG-51"""
    book = agreed()
    other = Logbook()
    other.agree(title="Another title")
    swapped = statement_path("agreements", book.agreement)
    book.statements[swapped] = other.statements[statement_path("agreements", other.agreement)]
    assert codes(book.audit()) == [("agreement_refused", 0)]


def test_a_notice_that_says_something_else_is_found() -> None:
    """LOG-37, LOG-51"""
    book = agreed()
    notice = book.notify("suspend")
    book.entries[-1] = notice_entry(book.agreement, NORTH, "leave", notice, book.now)
    assert codes(book.audit()) == [("notice_refused", 1)]


def test_a_notice_nobody_could_give_is_found() -> None:
    """LOG-51"""
    book = agreed()
    book.notify("suspend")
    path = next(path for path in book.statements if path.startswith("notices/"))
    book.statements[path] = sign(_payload(book.statements[path]), signer("impostor"), Typ.NOTICE).to_bytes()
    assert codes(book.audit()) == [("notice_refused", 1)]


# --- records -------------------------------------------------------------------------------------------


def new_roles(book: Logbook, agency: str, roles: tuple[str, ...]) -> bytes:
    return amend(ON.fed, book.directory.agency(agency), ON.enrolment, now=book.now, roles=roles)


def test_decisions_use_the_roles_of_their_own_time() -> None:
    """LOG-42: what the NGO could be told as police it could be told, before and not after."""
    book = agreed()
    book.send(to=(NGO,))
    book.record(new_roles(book, NGO, ("ngo", "police")), NGO)
    book.send(to=(NGO,))
    book.record(new_roles(book, NGO, ("ngo",)), NGO)
    book.send(to=(NGO,))
    report = book.audit()
    assert report.findings == ()
    assert [parse_entry(entry).typ for entry in book.entries[BEGIN + 1 :: 2]] == ["denial", "disclosure", "denial"]


def test_a_disclosure_by_roles_given_later_is_found() -> None:
    """LOG-42"""
    book = agreed()
    log_disclosure(book, [["c1"]], to=(NGO,))
    book.record(new_roles(book, NGO, ("ngo", "police")), NGO)
    assert codes(book.audit()) == [("not_permitted", 1)]


def test_records_logged_wrongly_are_found() -> None:
    """LOG-38, LOG-51"""
    book = agreed()
    book.log(record_entry(NGO, 1, digest(b"another record"), book.now))
    book.log(record_entry(NGO, 7, ON.directory.agency(NGO).digest, book.now))
    book.log(record_entry("nobody.sim", 1, digest(b"x"), book.now))
    book.log(record_entry(NGO, 1, ON.directory.agency(NGO).digest, book.now))
    assert codes(book.audit()) == [("record_refused", place) for place in (1, 2, 3, 4)]


def test_an_agency_that_acts_before_its_record_is_logged_is_found() -> None:
    """LOG-42"""
    book = Logbook(enrolled=3)
    late = ON.directory.agencies()[3]
    book.agree((NORTH, NGO))
    book.send()
    book.agree(id="with-south")
    book.log(record_entry(late.agency, 1, late.digest, book.now))
    assert late.agency == SOUTH
    assert codes(book.audit()) == [("party_unknown", -1), ("agreement_refused", 3)]


@pytest.mark.spec("LOG-52")
def test_behind_a_refused_agreement_or_notice_no_decision_is_made_again() -> None:
    book, files = told()
    agreement = statement_path("agreements", book.agreement)
    forged = {**files, agreement: files[agreement].replace(b"eyJ", b"eyK", 1)}
    report = book.audit(forged)
    assert codes(report) == [("agreement_refused", 0)]
    assert "decided_again" not in report.counts
    suspend, resume = (path for path in files if path.startswith("notices/"))
    report = book.audit({**files, suspend: files[resume]})
    assert [finding.code for finding in report.findings] == ["notice_refused"]
    assert report.counts["decided_again"] == 5  # those in front of it


def test_a_record_that_was_never_logged_is_found() -> None:
    """LOG-42, LOG-51: roles or keys that came from nowhere."""
    book = agreed()
    book.directory = book.directory.with_record(new_roles(book, NGO, ("ngo", "police")), book.now)
    assert codes(book.audit()) == [("record_not_logged", None)]


# --- findings ------------------------------------------------------------------------------------------


def test_an_unreadable_entry_under_a_good_signature_is_found() -> None:
    """LOG-30, LOG-51"""
    book = agreed()
    book.log(b'{"v":"ix/1","typ":"rumour"}')
    book.log(b"\xff")
    assert codes(book.audit()) == [("entry_refused", 1), ("entry_refused", 2)]


# --- acts, sources and signatures -----------------------------------------------------------------------


def place_of(book: Logbook, typ: str, act: str = "") -> int:
    said = [parse_entry(entry) for entry in book.entries]
    return next(n for n, entry in enumerate(said) if entry.typ == typ and getattr(entry, "act", "") == act)


def act_path(book: Logbook, act: str) -> str:
    entry = parse_entry(book.entries[place_of(book, "act", act)])
    return statement_path("acts", entry.statement)  # type: ignore[union-attr]


@pytest.mark.spec("LOG-42", "LOG-46", "LOG-48", "LOG-51", "ACT-6")
def test_a_broker_that_lies_about_acts_sources_and_signatures_is_found_lie_by_lie() -> None:
    report = lies().audit()
    assert codes(report) == [
        ("signature_unfounded", -1),
        ("signature_missing", 0),
        ("not_acknowledged", 1),
        ("not_permitted", 2),
        ("not_permitted", 3),
        ("act_not_theirs", 4),
        ("act_not_theirs", 5),
        ("act_refused", 6),
        ("erasure_contradicted", 8),
        ("recall_unanswered", 9),
        ("recall_unanswered", 9),
        ("erasure_contradicted", 10),
        ("head_shrank", 12),
        ("head_forked", 13),
        ("head_refused", 14),
        ("head_refused", 15),
    ]
    reasons = [f.evidence["code"] for f in report.findings if f.code == "not_permitted"]
    assert reasons == ["consent_missing", "source_unknown"]


@pytest.mark.spec("LOG-46")
def test_an_agreement_needs_the_signature_of_every_party_and_of_nobody_else() -> None:
    for signed, expected in (
        ((NORTH, SOUTH), ["signature_missing"]),
        ((), ["signature_missing"]),
        ((NORTH, SOUTH, NGO, NORTH), []),  # signed again, because the first fell away
        ((NGO, NORTH, SOUTH), []),
        ((NORTH, SOUTH, NGO, FIU), ["signature_unfounded"]),
    ):
        book = Logbook()
        book.agree(signed=signed)
        assert [finding.code for finding in book.audit().findings] == expected, signed
    book = agreed()
    book.log(signature_entry(book.agreement, NORTH, book.now))
    assert codes(book.audit()) == [("signature_unfounded", 1)]


@pytest.mark.spec("LOG-46")
def test_an_agreement_that_still_awaits_signatures_is_no_finding() -> None:
    book = agreed()
    book.log(signature_entry(digest(b"a proposal"), FIU, book.now))
    assert book.audit().findings == ()


@pytest.mark.spec("LOG-47", "ACT-14")
def test_silence_is_reported_with_a_clock_that_does_not_run_on_after_the_export() -> None:
    book, files = told()
    assert book.audit(dict(files)).findings == ()
    hasty = verify_export(files.get, fed=ON.fed, now=book.now, answer_within=timedelta(seconds=1))
    (finding,) = hasty.findings
    assert (finding.code, finding.severity, hasty.clean) == ("recall_unanswered", "note", True)
    assert finding.index == place_of(book, "act", "recall")
    assert finding.evidence["holder"] == NGO
    a_year_later = verify_export(files.get, fed=ON.fed, now=book.now + timedelta(days=300))
    assert a_year_later.to_json() == book.audit(dict(files)).to_json()


@pytest.mark.spec("LOG-47")
def test_the_originator_can_show_who_answered_what() -> None:
    book, files = told()
    (followed,) = book.audit(dict(files)).to_json()["followed"]
    assert (followed["act"], followed["by"]) == ("recall", NORTH)
    south, ngo = followed["holders"]
    assert (south["id"], south["through"], south["answer"]["outcome"]) == (SOUTH, followed["msg"], "erased")
    assert parse_entry(book.entries[south["answer"]["index"]]).typ == "act"
    assert (ngo["id"], "answer" in ngo) == (NGO, False)
    assert ngo["through"] != followed["msg"]


@pytest.mark.spec("LOG-48", "ACT-15")
def test_a_receipt_signed_before_the_erasure_contradicts_nothing() -> None:
    for late, expected in ((False, []), (True, ["erasure_contradicted"])):
        book = agreed()
        told_ = book.send()
        said = book.now + timedelta(seconds=2)
        if not late:
            book.act("erased", SOUTH, told_, at=said, cause="retention")
            book.receipt(told_)  # dated a second after its entry, and a second before it says that it erased
        else:
            book.act("erased", SOUTH, told_, cause="retention")
            book.receipt(told_)
        assert [finding.code for finding in book.audit().findings] == expected


@pytest.mark.spec("LOG-48")
def test_opening_what_the_log_alone_says_was_erased_counts_without_the_batch() -> None:
    book = agreed()
    msg = book.send()
    book.act("erased", SOUTH, msg, cause="retention")
    book.receipt(msg)
    files = {path: data for path, data in book.export().items() if not path.startswith("receipts/")}
    assert codes(book.audit(files)) == [("erasure_contradicted", 3)]


@pytest.mark.spec("LOG-49")
def test_who_had_to_erase_and_does_not_say_so_is_listed() -> None:
    """A node that keeps what it must not cannot say that it erased it without lying, nor be silent without notice."""
    reviewed = {**CLAUSES[0], "conditions": {**CLAUSES[0]["conditions"], "retention_days": 90, "review_days": 30}}
    for days, how, expected in (
        (34, "opened", True), (32, "opened", False), (34, "never collected", False), (34, "rejected", False),
        (34, "kept", False), (64, "kept", True), (94, "kept long", True), (94, "erased", False),
    ):  # fmt: skip
        book = Logbook()
        book.agree(clauses=[reviewed])
        msg = book.send()
        if how == "rejected":
            book.receipt(msg, status="rejected", code="misdeclared")
        elif how != "never collected":
            book.receipt(msg)
        if how.startswith("kept"):
            until = NOW + timedelta(days=89 if how == "kept long" else 60)
            book.act("keep", SOUTH, msg, ground="case_open", until=until)
        if how == "erased":
            book.act("erased", SOUTH, msg, cause="retention")
        book.now = NOW + timedelta(days=days)
        report = book.audit()
        assert [f.code for f in report.findings] == ["erasure_overdue"] * expected, (days, how)
        assert report.clean
        assert all(f.evidence["holder"] == SOUTH for f in report.findings)


@pytest.mark.spec("LOG-55", "ACT-16")
def test_who_opens_and_does_not_acknowledge_is_listed() -> None:
    for handling, receipt, acknowledged, days, expected in (
        (["H2", "H3"], "opened", False, 4, True),
        (["H2", "H3"], "opened", False, 2, False),
        (["H2", "H3"], "opened", True, 4, False),
        (["H2", "H3"], "delivered", False, 4, False),
        (["H2"], "opened", False, 4, False),
    ):
        book = agreed()
        msg = book.send(handling=handling)
        book.receipt(msg, status=receipt)
        if acknowledged:
            book.act("acknowledge", SOUTH, msg)
        book.now += timedelta(days=days)
        assert [f.code for f in book.audit().findings] == ["not_acknowledged"] * expected


@pytest.mark.spec("LOG-51", "LOG-52")
def test_an_act_forged_swapped_or_repeated_is_found_and_does_not_count() -> None:
    book, files = told()
    consent, ask = act_path(book, "consent"), act_path(book, "ask")
    place = place_of(book, "act", "consent")
    for wrong in (files[ask], sign(parse_statement(files[consent]).payload, ON[SOUTH].signer, Typ.ACT).to_bytes()):
        found = [(finding.code, finding.index) for finding in book.audit({**files, consent: wrong}).findings]
        assert found == [("act_refused", place)]  # nothing is said of what rests on it: a disclosure, a withdrawal
    again = agreed()
    msg = again.send(handling=["H2", "H3"])
    again.act("acknowledge", SOUTH, msg)
    again.entries.append(again.entries[-1])
    assert codes(again.audit()) == [("act_refused", 3)]


@pytest.mark.spec("LOG-52")
def test_what_may_rest_on_a_missing_act_or_disclosure_is_not_judged() -> None:
    book, files = told()
    consent = act_path(book, "consent")
    without = {path: data for path, data in files.items() if path != consent}
    report = book.audit(without)
    assert [(f.code, f.index) for f in report.findings] == [("file_missing", place_of(book, "act", "consent"))]
    assert report.counts["decided_again"] == 12 - 3  # the three that name a source behind it
    source = place_of(book, "act", "acknowledge") - 2
    report = book.audit(edit(files, source, lambda e: e.replace(b'"H2","H3"', b'"H1","H2"')))
    assert [(f.code, f.index) for f in report.findings] == [("entry_altered", source)]
    assert report.counts["decided_again"] == 12 - 5  # itself, and the four that name it


@pytest.mark.spec("LOG-42", "ACT-20")
def test_a_chain_is_decided_again_from_the_log_alone() -> None:
    """What an agency holds by a chain is bound by the first rule, whoever writes the last message."""
    book = agreed()
    first = book.send()
    second = book.pretend(SOUTH, (NGO,), [["c2"]], src=[first], **REFERRAL)
    book.pretend(NGO, (SOUTH,), [["c1"]], src=[second])
    report = book.audit()
    assert codes(report) == [("not_permitted", 2), ("not_permitted", 3)]
    assert report.findings[1].evidence["code"] == "consent_missing"  # North's, for the first; the second is South's own


def test_every_finding_the_specification_lists_exists() -> None:
    """LOG-52"""
    text = (Path(__file__).resolve().parents[3] / "spec" / "log.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    listed = {
        row[1].strip(" `"): row[2].strip() for row in rows if len(row) == 5 and row[2].strip() in ("error", "note")
    }
    assert listed == dict(SEVERITIES)
    assert Finding("not_collected", "x").severity == "note"


def test_a_long_log_with_one_lie_names_that_one() -> None:
    """LOG-52: across several tiles."""
    book = story()
    for _ in range(290):
        book.send()
    log_disclosure(book, [["c1"]], purpose="detect")
    for _ in range(20):
        book.send()
    report = book.audit()
    assert codes(report) == [("not_permitted", 318)]
    assert report.counts["disclosure"] == 6 + 290 + 1 + 20

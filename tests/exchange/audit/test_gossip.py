"""An export convicts a log that showed a member another one, by that member's own receipts (RCT-10)."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.audit.bundle import verify_evidence, write_evidence
from exchange.audit.export import AuditReport, examine_export
from exchange.protocol.log import LogSigner, sign_checkpoint
from exchange.protocol.merkle import EMPTY_ROOT, Tree, leaf_hash
from keys.signing import Signer
from tests.vectors.logbook import Logbook
from tests.vectors.stage import NOW, SOUTH


def other(book: Logbook, size: int, by: Signer | None = None, origin: str | None = None) -> str:
    """A checkpoint of another history."""
    tree = Tree()
    tree.append(leaf_hash(f"other {n}".encode()) for n in range(size))
    log = LogSigner(origin or book.on.log.origin, by or book.on.log.signer)
    return sign_checkpoint(size, tree.root(), log, NOW)


def mislabelled(book: Logbook, size: int) -> str:
    """A checkpoint that is called by the log's keys and that they did not sign."""
    right, wrong = other(book, size), other(book, size + 1)
    return right.split("\n\n")[0] + "\n\n" + wrong.split("\n\n")[1]


@pytest.fixture
def book() -> Logbook:
    """A log of an agreement and one message from north to south."""
    made = Logbook()
    made.agree()
    return made


def found(report: AuditReport) -> list[tuple[str, str, int | None]]:
    return [(one.code, one.who, one.index) for one in report.findings]


@pytest.mark.spec("RCT-10")
def test_what_givers_saw_of_this_log_is_no_finding_at_whatever_size(book: Logbook) -> None:
    early = book.seen()
    message = book.send()
    for _ in range(300):  # over the edge of a tile
        book.send()
    book.receipt(message, status="delivered", seen=early)
    book.receipt(message, seen=book.seen())
    second = book.send()
    book.receipt(second, status="delivered", seen=sign_checkpoint(0, EMPTY_ROOT, book.on.log, NOW))
    book.receipt(second)
    report = book.audit()
    assert report.clean, found(report)
    assert report.counts["views_compared"] == 3
    assert report.counts["signed_receipts"] == 4


@pytest.mark.spec("RCT-10")
def test_another_log_under_the_logs_keys_is_the_brokers_doing(book: Logbook) -> None:
    message = book.send()
    fork = other(book, 3)
    book.receipt(message, status="delivered", seen=fork)
    book.receipt(message, seen=fork)
    place = len(book.entries) - 2
    report = book.audit()
    assert found(report) == [("log_forked", "broker", place), ("log_forked", "broker", place + 1)]
    evidence = report.findings[0].evidence
    assert (evidence["by"], evidence["size"]) == (SOUTH, "3")
    assert evidence["own_root"] != evidence["seen_root"]
    (told,) = report.disclosures[0].told
    assert list(told.receipts) == ["delivered", "opened"]  # a receipt is a receipt (RCT-8)


@pytest.mark.spec("RCT-9", "RCT-10")
def test_a_checkpoint_larger_than_its_own_receipts_place_is_one_too_many(book: Logbook) -> None:
    message = book.send()
    place = len(book.entries)
    book.receipt(message, seen=other(book, place + 1))
    assert found(book.audit()) == [("log_forked", "broker", place)]
    assert "before this entry" in book.audit().findings[0].sentence


@pytest.mark.spec("RCT-9", "RCT-10")
def test_the_size_at_the_receipts_own_place_is_the_largest_there_can_be(book: Logbook) -> None:
    message = book.send()
    book.receipt(message, seen=book.seen())
    assert book.audit().clean


@pytest.mark.spec("RCT-10")
@pytest.mark.parametrize("size", [2, 10_000])
def test_what_the_log_never_signed_is_its_givers_doing(book: Logbook, size: int) -> None:
    message = book.send()
    book.receipt(message, seen=mislabelled(book, size))
    assert found(book.audit()) == [("seen_forged", SOUTH, len(book.entries) - 1)]


@pytest.mark.spec("RCT-10")
@pytest.mark.parametrize("size", [2, 10_000])
def test_under_keys_that_this_directory_lacks_it_is_its_givers_doing_or_the_brokers(book: Logbook, size: int) -> None:
    """With the directory from before its keys were replaced, a broker would convict all who know the new ones."""
    message = book.send()
    book.receipt(message, seen=other(book, size, Signer.generate()))
    assert found(book.audit()) == [("seen_forged", f"{SOUTH} or broker", len(book.entries) - 1)]


@pytest.mark.spec("RCT-10")
def test_a_log_of_another_name_that_nobody_knows_is_a_forgery(book: Logbook) -> None:
    message = book.send()
    book.receipt(message, seen=other(book, 2, origin="elsewhere/log"))
    assert found(book.audit()) == [("seen_forged", f"{SOUTH} or broker", len(book.entries) - 1)]


@pytest.mark.spec("RCT-10")
def test_a_batch_of_many_is_held_against_the_log_once_and_one_that_does_not_hold_never(book: Logbook) -> None:
    messages = [book.send() for _ in range(3)]
    name = book.receipt(*messages, seen=other(book, 2))
    report = book.audit()
    assert [code for code, _, _ in found(report)] == ["log_forked"]
    files: dict[str, Any] = dict(book.export())
    spoiled = files[f"receipts/{name}.json"]
    files[f"receipts/{name}.json"] = spoiled.replace(b'"signature":"', b'"signature":"A', 1)
    assert {code for code, _, _ in found(book.audit(files))} == {"receipt_refused"}


@pytest.mark.spec("RCT-10")
def test_where_tiles_are_wrong_nobody_is_accused_by_them(book: Logbook) -> None:
    message = book.send()
    early = book.seen()
    book.send()
    book.receipt(message, seen=early)
    files = dict(book.export())
    (tile,) = [name for name in files if name.startswith("tile/0/")]
    files[tile] = bytes(32) + files[tile][32:]
    codes = {code for code, _, _ in found(book.audit(files))}
    assert codes
    assert not codes & {"log_forked", "seen_forged"}


@pytest.mark.spec("RCT-9", "LOG-75")
def test_a_file_of_evidence_shows_what_needs_no_comparing(book: Logbook) -> None:
    """It has no tiles, so another root is not seen in it; that the log was too long is."""
    message = book.send()
    for seen, expected in ((other(book, 2), []), (other(book, 5000), ["log_forked"])):
        status = "opened" if expected else "delivered"
        book.receipt(message, status=status, seen=seen)
        files = book.export()
        examined = examine_export(files.get, fed=book.on.fed, now=book.now)
        data = write_evidence(files.get, examined, [message])
        verified = verify_evidence(data, fed=book.on.fed, now=book.now)
        assert [one.code for one in verified.report.findings] == expected

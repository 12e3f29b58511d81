"""A ledger and the log tell one story, or the difference is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange.audit.export import LedgerRow, reconcile
from exchange.protocol.entry import ActEntry, LogEntry, ReceiptEntry, parse_entry
from exchange.protocol.vocabulary import Act, ReceiptStatus
from keys.encoding import digest
from tests.vectors.logbook import told
from tests.vectors.stage import FIU, NGO, NORTH, SOUTH

BOOK, _ = told()
LOG: list[tuple[int, LogEntry]] = list(enumerate(map(parse_entry, BOOK.entries)))


def honest(agency: str) -> list[LedgerRow]:
    """The ledger of an agency that wrote down all it did."""
    rows = []
    for index, entry in LOG:
        if entry.typ not in {"disclosure", "denial"}:
            continue
        parties = (entry.from_, *(to.id for to in entry.to))  # type: ignore[union-attr]
        if entry.from_ == agency:  # type: ignore[union-attr]
            act = Act.DISCLOSE if entry.typ == "disclosure" else Act.ATTEMPT_DENIED
        elif entry.typ == "disclosure" and agency in parties:
            act = Act.RECEIVE
        else:
            continue
        rows.append(LedgerRow(act, entry.msg, index, entry.agr, parties))  # type: ignore[union-attr]
    opened = [(index, e) for index, e in LOG if isinstance(e, ReceiptEntry) and e.status is ReceiptStatus.OPENED]
    rows += [LedgerRow(Act.OPEN, entry.msg, index) for index, entry in opened if entry.by == agency]
    given = [(index, entry) for index, entry in LOG if isinstance(entry, ActEntry) and entry.by == agency]
    return rows + [LedgerRow(Act.RECALL, entry.msg, index) for index, entry in given]


def found(agency: str, rows: list[LedgerRow]) -> list[tuple[str, int | None]]:
    return [(finding.code, finding.index) for finding in reconcile(agency, rows, LOG)]


@pytest.mark.parametrize("agency", [NORTH, SOUTH, NGO, FIU])
def test_an_honest_ledger_reconciles(agency: str) -> None:
    """LOG-53"""
    assert found(agency, honest(agency)) == []


@pytest.mark.parametrize("agency", [NORTH, SOUTH, NGO])
def test_every_act_left_out_of_a_ledger_is_found(agency: str) -> None:
    """LOG-53: except that mail not receipted may simply not have been collected."""
    receipted = {entry.msg for _, entry in LOG if entry.typ == "receipt" and entry.by == agency}  # type: ignore[union-attr]
    for row in honest(agency):
        rest = [one for one in honest(agency) if one != row]
        waiting = row.act is Act.RECEIVE and row.msg not in receipted
        assert found(agency, rest) == [("not_collected" if waiting else "not_in_ledger", row.index)]


def test_a_receipt_that_was_never_given_is_found() -> None:
    """LOG-53: who keeps the log may write that somebody opened a message; the batch need not be exported."""
    index, entry = next((i, e) for i, e in LOG if isinstance(e, ReceiptEntry) and e.status is ReceiptStatus.OPENED)
    rows = [row for row in honest(entry.by) if (row.act, row.msg) != (Act.OPEN, entry.msg)]
    assert found(entry.by, rows) == [("not_in_ledger", index)]


def test_an_act_the_log_does_not_have_is_found() -> None:
    """LOG-53"""
    extra = LedgerRow(Act.DISCLOSE, digest(b"never logged"), 99)
    assert found(NORTH, [*honest(NORTH), extra]) == [("not_in_log", 99)]
    claimed = replace(honest(SOUTH)[0], msg=digest(b"other"), act=Act.RECEIVE)
    assert ("not_in_log", claimed.index) in found(SOUTH, [*honest(SOUTH), claimed])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"index": 77}, "index"),
        ({"index": None}, "index"),
        ({"agreement": digest(b"another")}, "agreement"),
        ({"parties": (NORTH, FIU)}, "parties"),
        ({"parties": (SOUTH, NORTH)}, "parties"),
    ],
)
def test_what_ledger_and_log_say_differently_is_found(change: dict[str, object], what: str) -> None:
    """LOG-53"""
    first, *rest = honest(NORTH)
    (finding,) = reconcile(NORTH, [replace(first, **change), *rest], LOG)  # type: ignore[arg-type]
    assert (finding.code, finding.index) == ("differs", first.index)
    assert set(finding.evidence) == {"msg", what}


def test_a_ledger_may_know_less_than_the_log() -> None:
    """LOG-53: what it did not write down cannot differ; the order of recipients means nothing."""
    rows = [LedgerRow(row.act, row.msg, row.index) for row in honest(NORTH)]
    assert found(NORTH, rows) == []


def test_acts_that_stay_inside_the_node_are_not_looked_for() -> None:
    """LOG-53: an attempt the node itself denied never reached the broker."""
    inside = [LedgerRow(Act.CONSULT, digest(b"x"), None), LedgerRow(Act.ATTEMPT_DENIED, digest(b"y"), None)]
    assert found(NORTH, [*honest(NORTH), *inside]) == []


def test_a_receipt_that_says_otherwise_than_the_ledger_is_found() -> None:
    """LOG-53: signed and logged as rejected, and kept here as delivered; or the other way round."""
    index, entry = next((i, e) for i, e in LOG if isinstance(e, ReceiptEntry) and e.status is ReceiptStatus.DELIVERED)

    def kept(*outcomes: str) -> list[LedgerRow]:
        mine = next(row for row in honest(entry.by) if (row.act, row.msg) == (Act.RECEIVE, entry.msg))
        rest = [row for row in honest(entry.by) if row != mine]
        return [*rest, *(replace(mine, outcome=outcome) for outcome in outcomes)]

    assert found(entry.by, kept("delivered")) == []
    assert found(entry.by, kept("seal_mismatch", "delivered")) == []
    assert found(entry.by, kept("seal_mismatch")) == [("differs", index)]
    refused = ReceiptEntry.model_validate(
        entry.model_dump(exclude={"status", "code"}) | {"status": ReceiptStatus.REJECTED, "code": "seal_mismatch"}
    )
    log = [(i, refused if i == index else e) for i, e in LOG]
    for outcomes, codes in ((("delivered",), ["differs"]), (("seal_mismatch",), []), (("body_damaged",), ["differs"])):
        assert [one.code for one in reconcile(entry.by, kept(*outcomes), log) if one.index == index] == codes

"""Receipts are believed only signed, whole, and by an agency of this federation."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.protocol.errors import FederationMismatch, ReceiptMalformed
from exchange.protocol.log import LogSigner, sign_checkpoint
from exchange.protocol.merkle import EMPTY_ROOT
from exchange.protocol.receipt import MAX_BATCH, ReceiptItem, build_receipts, verify_receipts
from exchange.protocol.vocabulary import ReceiptStatus
from keys.encoding import digest, read_json, stamp, write_json
from keys.errors import (
    AgencyUnknown,
    KeyNotTheirs,
    KeyNotValid,
    MalformedEncoding,
    Refusal,
    SignatureInvalid,
    TooLarge,
    WrongSignatureType,
)
from keys.signing import Signer, Typ, cosign, parse_statement, sign
from tests.vectors.stage import NORTH, NOW, SOUTH, stage

ON = stage()
MSG = digest(b"a manifest")
OPENED = ReceiptItem(msg=MSG, status=ReceiptStatus.OPENED)
REJECTED = ReceiptItem(msg=digest(b"another"), status=ReceiptStatus.REJECTED, code="commitment_mismatch")
LOG = LogSigner("broker.example/log", Signer.generate())
SEEN = sign_checkpoint(0, EMPTY_ROOT, LOG, NOW)


def batch(*items: ReceiptItem, seen: str | None = None) -> bytes:
    return build_receipts(items, by=SOUTH, fed=ON.fed, ts=NOW, signer=ON[SOUTH].signer, seen=seen)


def signed(members: Any, by: str = SOUTH, typ: Typ = Typ.RECEIPT) -> bytes:
    return sign(write_json(members), ON[by].signer, typ).to_bytes()


def payload(**changes: Any) -> dict[str, Any]:
    items = [{"msg": MSG, "status": "opened"}]
    members = {"v": "ix/1", "typ": "receipts", "fed": ON.fed, "by": SOUTH, "ts": stamp(NOW), "items": items}
    return {**members, **changes}


def test_a_batch_says_what_was_put_in() -> None:
    """RCT-1, RCT-2, RCT-6"""
    data = batch(OPENED, REJECTED)
    read = verify_receipts(data, ON.directory, NOW)
    assert (read.by, read.fed, read.ts, read.items) == (SOUTH, ON.fed, NOW, (OPENED, REJECTED))
    assert read.digest == digest(parse_statement(data).payload)
    assert read.statement.payload == write_json(
        payload(
            items=[
                {"msg": MSG, "status": "opened"},
                {"msg": REJECTED.msg, "status": "rejected", "code": "commitment_mismatch"},
            ]
        )
    )


def test_a_batch_says_its_items_and_nothing_near_them() -> None:
    read = verify_receipts(batch(OPENED, REJECTED), ON.directory, NOW)
    assert read.says(MSG, "opened", None)
    assert read.says(REJECTED.msg, "rejected", "commitment_mismatch")
    assert not any(
        read.says(*item)
        for item in (
            (MSG, "delivered", None),
            (MSG, "opened", "x"),
            (REJECTED.msg, "opened", None),
            (REJECTED.msg, "rejected", "padding_invalid"),
            (REJECTED.msg, "rejected", None),
        )
    )


def test_a_hundred_items_are_a_batch_and_one_more_is_not() -> None:
    """RCT-3"""
    items = [ReceiptItem(msg=digest(str(i).encode()), status=ReceiptStatus.DELIVERED) for i in range(101)]
    assert len(verify_receipts(batch(*items[:100]), ON.directory, NOW).items) == 100
    for wrong in (items, [], [OPENED, OPENED]):
        with pytest.raises(ReceiptMalformed):
            batch(*wrong)


def test_one_message_may_have_several_statuses_in_a_batch() -> None:
    """RCT-3"""
    delivered = ReceiptItem(msg=MSG, status=ReceiptStatus.DELIVERED)
    assert verify_receipts(batch(delivered, OPENED), ON.directory, NOW).items == (delivered, OPENED)


def test_the_longest_batch_fits() -> None:
    """RCT-2, RCT-7: a hundred of the longest items, and a checkpoint of the longest name, size and spelling in JSON."""
    items = [ReceiptItem(msg=digest(str(i).encode()), status=ReceiptStatus.REJECTED, code="c" * 40) for i in range(100)]
    seen = sign_checkpoint(2**53 - 1, bytes(32), LogSigner('"' * 255, Signer.generate()), NOW)
    data = batch(*items, seen=seen)
    assert len(parse_statement(data).payload) <= MAX_BATCH * 2 // 3
    read = verify_receipts(data, ON.directory, NOW)
    assert (len(read.items), read.seen and read.seen.size) == (100, 2**53 - 1)


@pytest.mark.spec("RCT-2", "RCT-3", "RCT-4")
@pytest.mark.parametrize(
    "changes",
    [
        {"v": "ix/2"}, {"typ": "receipt"}, {"by": "south"}, {"by": 5}, {"ts": "2026-11-21T16:20:00Z"}, {"extra": 1},
        {"items": []}, {"items": {}}, {"items": [{"msg": MSG}]}, {"items": [{"msg": MSG, "status": "seen"}]},
        {"items": [{"msg": "x", "status": "opened"}]}, {"items": [{"msg": MSG, "status": "opened", "note": "hello"}]},
        {"items": [{"msg": MSG, "status": "rejected"}]}, {"items": [{"msg": MSG, "status": "opened", "code": "x"}]},
        {"items": [{"msg": MSG, "status": "opened", "code": None}]},
        {"items": [{"msg": MSG, "status": "rejected", "code": None}]},
        {"items": [{"msg": MSG, "status": "opened"}] * 2},
        {"items": [{"msg": MSG, "status": "rejected", "code": "Not A Code"}]}, {"fed": "short"},
        {"items": [{"msg": digest(str(i).encode()), "status": "opened"} for i in range(101)]},
    ],
)  # fmt: skip
def test_a_batch_of_another_form_is_refused_though_signed(changes: dict[str, Any]) -> None:
    with pytest.raises(ReceiptMalformed):
        verify_receipts(signed(payload(**changes)), ON.directory, NOW)


@pytest.mark.spec("RCT-7")
def test_a_batch_tells_which_log_its_giver_sees() -> None:
    read = verify_receipts(batch(OPENED, seen=SEEN), ON.directory, NOW)
    assert read.seen == ("broker.example/log", 0, EMPTY_ROOT, SEEN)
    assert list(read_json(read.statement.payload, limit=MAX_BATCH)) == ["v", "typ", "fed", "by", "ts", "items", "seen"]
    assert verify_receipts(batch(OPENED), ON.directory, NOW).seen is None


@pytest.mark.spec("RCT-7", "RCT-8")
def test_what_nobody_signed_is_read_all_the_same_for_only_the_form_is_the_readers() -> None:
    """The broker, and who reads a receipt, judge no view of a log: a wrong one costs its giver no receipt."""
    other = SEEN.replace("\n0\n", "\n5\n")
    read = verify_receipts(signed(payload(seen=other)), ON.directory, NOW)
    assert read.says(MSG, "opened", None)
    assert read.seen is not None
    assert read.seen.size == 5


def lines(note: str) -> list[str]:
    return note.splitlines(keepends=True)


@pytest.mark.spec("RCT-7")
@pytest.mark.parametrize(
    "seen",
    [
        None, 5, "", "broker.example/log", SEEN[:-1], SEEN + "\n", "".join(lines(SEEN)[:-1]), SEEN + lines(SEEN)[-1],
        "".join([*lines(SEEN)[:4], lines(SEEN)[5], lines(SEEN)[4]]), SEEN.replace("\n0\n", "\n00\n"),
        SEEN.replace("\n0\n", f"\n{2**53}\n"), SEEN.replace("\n\n", "\nmore\n\n"), "other" + SEEN,
        SEEN.replace("broker.example/log", "broker.example/" + "l" * 241), SEEN.replace("\u2014", "-"),
        SEEN.replace("broker.example/log", "a b"), SEEN.replace("\n\n", "\r\n\r\n"),
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_form_is_refused(seen: object) -> None:
    """Exactly two lines, both the log's: there is no room in a receipt for a letter."""
    with pytest.raises(ReceiptMalformed):
        verify_receipts(signed(payload(seen=seen)), ON.directory, NOW)


@pytest.mark.spec("RCT-2")
@pytest.mark.parametrize("name", ["v", "typ", "fed", "by", "ts", "items"])
def test_no_member_may_be_missing(name: str) -> None:
    members = payload()
    del members[name]
    with pytest.raises(ReceiptMalformed):
        verify_receipts(signed(members), ON.directory, NOW)


def test_a_day_that_does_not_exist_and_a_member_twice_are_refused() -> None:
    """RCT-2"""
    with pytest.raises(ReceiptMalformed):
        verify_receipts(signed(payload(ts="2026-02-30T00:00:00.000Z")), ON.directory, NOW)
    twice = write_json(payload()).replace(b'"v":"ix/1"', b'"v":"ix/1","v":"ix/1"')
    with pytest.raises(MalformedEncoding):
        verify_receipts(sign(twice, ON[SOUTH].signer, Typ.RECEIPT).to_bytes(), ON.directory, NOW)
    long = write_json(payload()) + b" " * MAX_BATCH
    with pytest.raises(TooLarge):
        verify_receipts(sign(long, ON[SOUTH].signer, Typ.RECEIPT).to_bytes(), ON.directory, NOW)


def test_nobody_gives_receipts_for_somebody_else() -> None:
    """RCT-1"""
    with pytest.raises(KeyNotTheirs):
        verify_receipts(signed(payload(), by=NORTH), ON.directory, NOW)
    with pytest.raises(AgencyUnknown):
        verify_receipts(signed(payload(by="stranger.sim")), ON.directory, NOW)


def test_a_signature_made_for_something_else_is_refused() -> None:
    """RCT-1"""
    with pytest.raises(WrongSignatureType):
        verify_receipts(signed(payload(), typ=Typ.MESSAGE), ON.directory, NOW)


def test_a_batch_has_one_signer() -> None:
    """RCT-1"""
    both = cosign(parse_statement(batch(OPENED)), ON[NORTH].signer, Typ.RECEIPT)
    with pytest.raises(ReceiptMalformed, match="one pair"):
        verify_receipts(both.to_bytes(), ON.directory, NOW)


def test_an_altered_item_breaks_the_signature() -> None:
    """RCT-1"""
    jws = read_json(batch(OPENED), limit=2**16)
    other = parse_statement(batch(REJECTED))
    with pytest.raises(SignatureInvalid):
        verify_receipts(write_json({**jws, "payload": other.raw_payload}), ON.directory, NOW)


def test_a_receipt_of_another_federation_is_refused() -> None:
    """RCT-5"""
    with pytest.raises(FederationMismatch):
        verify_receipts(signed(payload(fed=digest(b"elsewhere"))), ON.directory, NOW)


def test_keys_are_judged_by_log_time() -> None:
    """RCT-5"""
    later = NOW + timedelta(hours=1)
    directory = ON.without_keys_of(SOUTH, later)
    assert verify_receipts(batch(OPENED), directory, NOW).by == SOUTH
    with pytest.raises(KeyNotValid):
        verify_receipts(batch(OPENED), directory, later)


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    for one in (data, sign(data, ON[SOUTH].signer, Typ.RECEIPT).to_bytes()):
        with pytest.raises(Refusal):
            verify_receipts(one, ON.directory, NOW)

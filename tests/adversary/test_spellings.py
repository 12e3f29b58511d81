"""Attacks with a second spelling, or with text where a name should be: what an implementer who guesses would let in."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from exchange.protocol.agreement import read_agreement, read_notice
from exchange.protocol.content import parse_content
from exchange.protocol.entry import disclosure_entry, parse_entry
from exchange.protocol.manifest import parse_manifest
from exchange.protocol.message import Parcel, open_parcel, parse
from exchange.protocol.receipt import _read as read_receipts
from exchange.protocol.receipt import verify_receipts
from exchange.protocol.terms import parse_notice, parse_terms
from keys.encoding import b64u, read_json, unb64u, write_json
from keys.errors import Refusal
from keys.signing import Typ, parse_statement, sign
from tests.vectors.logbook import told
from tests.vectors.stage import NOW, POLICY, SMALL, SOUTH, Stage, stage

STEERING = ["\x1b[2J", "\x9b31m", "[link=http://x]", "[/]", "\u202e", "a b", "\x00", "é", "k" * 65]


@pytest.fixture(scope="module")
def on() -> Stage:
    return stage()


@pytest.fixture(scope="module")
def honest(on: Stage) -> bytes:
    return on.compose(SMALL)


def code(attack: Any) -> str:
    with pytest.raises(Refusal) as refusal:
        attack()
    return refusal.value.code


@pytest.mark.parametrize("text", STEERING)
@pytest.mark.parametrize("member", ["alg", "kid", "typ"])
def test_a_header_holds_no_text_that_could_steer_a_screen(honest: bytes, member: str, text: str) -> None:
    """Whoever refuses a statement says what its header said; an officer's terminal must not obey it."""
    value = read_json(honest, limit=2**20)
    header = json.loads(unb64u(value["signatures"][0]["protected"])) | {member: text}
    value["signatures"][0]["protected"] = b64u(write_json(header))
    assert code(lambda: parse(write_json(value))) == "malformed"


@pytest.mark.parametrize("text", [*STEERING, "A" * 42 + "B", "", "A" * 44])
def test_a_wrap_is_for_a_key_id_and_for_no_other_text(honest: bytes, text: str) -> None:
    value = read_json(honest, limit=2**20)
    value["sealed"]["keys"][0]["kid"] = text
    assert code(lambda: parse(write_json(value))) == "envelope_malformed"


def test_two_byte_strings_of_one_envelope_are_one_message(honest: bytes) -> None:
    """Members in another order and white space: the manifest's bytes are the same, and so is the name."""
    value = read_json(honest, limit=2**20)
    other = json.dumps(dict(reversed(list(value.items()))), indent=1).encode()
    assert other != honest
    assert parse(other).digest == parse(honest).digest


def test_a_manifest_written_again_is_another_message_and_unsigned(on: Stage, honest: bytes) -> None:
    value = read_json(honest, limit=2**20)
    manifest = parse(honest).statement.payload
    again = json.dumps(json.loads(manifest), indent=1).encode()
    value["payload"] = b64u(again)
    changed = write_json(value)
    assert parse(changed).digest != parse(honest).digest
    parcel = on.deliver(changed)
    assert code(lambda: _opened(on, parcel)) == "signature_invalid"


def test_signatures_in_the_other_order_or_twice_are_refused(honest: bytes) -> None:
    value = read_json(honest, limit=2**20)
    first, second = value["signatures"]
    assert code(lambda: parse(write_json({**value, "signatures": [second, first]}))) == "wrong_algorithm"
    assert code(lambda: parse(write_json({**value, "signatures": [first, first]}))) == "wrong_algorithm"
    assert code(lambda: parse(write_json({**value, "signatures": [first]}))) == "wrong_algorithm"


def test_a_statement_signed_for_one_purpose_is_none_for_another(on: Stage, honest: bytes) -> None:
    """A manifest put forward as receipts, an agreement, a record, a root, a notice."""
    statement = parse_statement(parse(honest).statement.to_bytes()).to_bytes()
    assert code(lambda: verify_receipts(statement, on.directory, NOW)) == "receipt_malformed"
    assert code(lambda: read_agreement(statement, on.directory, NOW)) == "agreement_malformed"
    assert code(lambda: read_notice(statement, on.directory, NOW)) == "notice_malformed"
    assert code(lambda: on.directory.with_record(statement, NOW)) == "key_unknown"


def _opened(on: Stage, parcel: Parcel, now: datetime = NOW) -> Any:
    keys = {on[SOUTH].opening.public.kid: on[SOUTH].opening}
    log = on.log.identity
    return open_parcel(parcel, me=SOUTH, opening_keys=keys, directory=on.directory, log=log, now=now)


@pytest.mark.spec("MSG-19", "MSG-8")
def test_a_broker_that_dates_an_entry_at_will_is_noticed(on: Stage, honest: bytes) -> None:
    """The log time decides which keys and rules count, so it has to fit the message and the reader's clock."""
    manifest = parse(honest).manifest

    def dated(at: datetime) -> Parcel:
        entry = disclosure_entry(manifest, parse(honest).digest, [["c1"]], POLICY, at)
        return on.deliver(honest, entry=entry)

    minutes, week = timedelta(minutes=5), timedelta(days=7)
    assert _opened(on, dated(NOW - minutes)).digest == parse(honest).digest
    assert code(lambda: _opened(on, dated(NOW - minutes - timedelta(milliseconds=1)))) == "proof_mismatch"
    assert code(lambda: _opened(on, dated(NOW + week))) == "proof_mismatch"
    assert _opened(on, dated(NOW + minutes)).digest == parse(honest).digest
    assert code(lambda: _opened(on, dated(NOW + minutes + timedelta(milliseconds=1)))) == "message_time"


STRANGE = "\x1b]0;owned\x07 Zebra"


def _with(payload: bytes, *path: str | int, to: Any) -> bytes:
    value: Any = json.loads(payload)
    place = value
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return write_json(value)


def test_no_refusal_repeats_a_member_or_value_that_a_stranger_wrote(on: Stage, honest: bytes) -> None:
    """Names of members are text like any other: they may be content, or steer the screen they are shown on."""
    manifest, book = parse(honest), told()[0]
    agreement, notice, receipts = (
        next(parse_statement(data).payload for path, data in book.statements.items() if path.startswith(kind))
        for kind in ("agreements", "notices", "receipts")
    )
    record = on.directory.agency(SOUTH).statement.payload

    def read_record(data: bytes) -> Any:
        return on.directory.with_record(sign(data, on.enrolment, Typ.RECORD).to_bytes(), NOW)

    attacks = [
        (parse_manifest, manifest.statement.payload, (STRANGE,)),
        (parse_terms, agreement, (STRANGE,)),
        (parse_terms, agreement, ("clauses", 0, STRANGE)),
        (parse_terms, agreement, ("clauses", 0, "effect")),
        (parse_terms, agreement, ("clauses", 0, "from")),
        (parse_notice, notice, (STRANGE,)),
        (parse_notice, notice, ("act",)),
        (read_receipts, receipts, (STRANGE,)),
        (parse_entry, book.entries[-1], (STRANGE,)),
        (parse_content, SMALL, (STRANGE,)),
        (read_record, record, (STRANGE,)),
        (read_record, record, ("keys", 0, STRANGE)),
        (read_record, record, ("keys", 0, "alg")),
    ]
    for read, payload, path in attacks:
        value: Any = ["role:" + STRANGE] if path[-1] == "from" else STRANGE
        with pytest.raises(Refusal) as refusal:
            read(_with(payload, *path, to=value))
        assert "Zebra" not in refusal.value.sentence, (read, path)
        assert refusal.value.sentence.isprintable()

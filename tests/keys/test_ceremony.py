"""Ceremonies: what enrolment, rotation and revocation write, each checked by the directory as a stranger's would be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from keys.ceremony import amend, federation_id, new_root, revoke, rotate, sign_again
from keys.encoding import read_json
from keys.errors import KeyUnknown, RecordRefused, RootRefused
from keys.signing import Typ, parse_statement, sign, verify_pair
from keys.trust import Directory

NORTH = "north.police.sim"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def directory(federation: Any) -> Directory:
    return federation.directory(federation.enrol(federation.north))


@pytest.mark.spec("KEY-20")
def test_a_federation_is_named_by_the_payload_of_its_first_root(federation: Any) -> None:
    assert federation_id(federation.root) == parse_statement(federation.root).digest
    by_others = new_root(federation.plan, federation.roots[1:], now=federation.now)
    assert federation_id(by_others) == federation.fed  # who signed does not change the name
    Directory.build([by_others], [], fed=federation.fed, now=federation.now)


def test_a_plan_that_cannot_be_kept_makes_no_federation(federation: Any) -> None:
    root = new_root(federation.plan, federation.roots[:1], now=federation.now)
    with pytest.raises(RootRefused):
        Directory.build([root], [], fed=federation_id(root), now=federation.now)


def test_an_agency_is_enrolled_for_a_year_unless_said_otherwise(federation: Any, directory: Directory) -> None:
    assert {key.exp - key.nbf for key in directory.agency(NORTH).keys} == {timedelta(days=365)}
    short = federation.directory(federation.enrol(federation.south, exp=federation.now + DAY))
    assert {key.exp - key.nbf for key in short.agency("south.police.sim").keys} == {DAY}


@pytest.mark.spec("KEY-16")
def test_a_rotation_adds_new_keys_and_ends_the_old_ones_after_an_overlap(federation: Any, directory: Directory) -> None:
    at, renewed = federation.now + 30 * DAY, federation.north.renewed()
    before = directory.agency(NORTH)
    for overlap in (timedelta(0), 3 * DAY):
        record = rotate(federation.fed, before, renewed.public, federation.enrolment, now=at, overlap=overlap)
        after = directory.with_record(record, at).agency(NORTH)
        assert (after.version, after.prev) == (2, before.digest)
        assert [key.kid for key in after.keys[:4]] == [key.kid for key in before.keys]
        assert {key.exp for key in after.keys[:4]} == {at + overlap}
        assert {(key.nbf, key.exp) for key in after.keys[4:]} == {(at, at + 365 * DAY)}


@pytest.mark.spec("KEY-16")
def test_a_rotation_stretches_no_key_that_ends_sooner(federation: Any) -> None:
    directory = federation.directory(federation.enrol(federation.north, exp=federation.now + 2 * DAY))
    at = federation.now + DAY
    record = rotate(
        federation.fed, directory.agency(NORTH), federation.north.renewed().public, federation.enrolment, now=at
    )
    after = directory.with_record(record, at).agency(NORTH)
    assert {key.exp for key in after.keys[:4]} == {federation.now + 2 * DAY}


def test_ten_rotations_keep_every_key(federation: Any, directory: Directory) -> None:
    identity, at = federation.north, federation.now
    for number in range(2, 12):
        identity, at = identity.renewed(), at + 20 * DAY
        record = rotate(federation.fed, directory.agency(NORTH), identity.public, federation.enrolment, now=at)
        directory = directory.with_record(record, at)
        assert (directory.agency(NORTH).version, len(directory.agency(NORTH).keys)) == (number, 4 * number)
    assert len(identity.openings) == 11
    assert directory.sealing_key(NORTH, at).kid == identity.opening.public.kid
    assert Directory.from_bytes(directory.to_bytes(), fed=federation.fed, now=at).agency(NORTH).version == 11


def test_a_revocation_names_keys_and_a_reason_and_may_bring_new_keys(federation: Any, directory: Directory) -> None:
    at, renewed = federation.now + DAY, federation.north.renewed()
    gone = [key.kid for key in directory.agency(NORTH).keys]
    record = revoke(
        federation.fed,
        directory.agency(NORTH),
        gone,
        federation.enrolment,
        reason="laptop stolen",
        now=at,
        replacement=renewed.public,
    )
    after = directory.with_record(record, at)
    keys = after.agency(NORTH).keys
    assert {(key.revoked, key.reason) for key in keys[:4]} == {(at, "laptop stolen")}
    assert {(key.revoked, key.reason) for key in keys[4:]} == {(None, None)}
    assert after.sealing_key(NORTH, at).kid == renewed.opening.public.kid


def test_what_cannot_be_revoked_is_said(federation: Any, directory: Directory) -> None:
    at, kid = federation.now + DAY, federation.north.transport.public.kid
    record = directory.agency(NORTH)
    with pytest.raises(KeyUnknown):
        revoke(federation.fed, record, ["x" * 43], federation.enrolment, reason="?", now=at)
    gone = directory.with_record(revoke(federation.fed, record, [kid], federation.enrolment, reason="lost", now=at), at)
    with pytest.raises(RecordRefused, match="already"):
        revoke(federation.fed, gone.agency(NORTH), [kid], federation.enrolment, reason="lost", now=at)


def test_a_record_is_amended_without_touching_its_keys(federation: Any, directory: Directory) -> None:
    at = federation.now + DAY
    record = amend(federation.fed, directory.agency(NORTH), federation.enrolment, now=at, roles=("police", "hub"))
    after = directory.with_record(record, at).agency(NORTH)
    assert (after.roles, after.keys) == (("police", "hub"), directory.agency(NORTH).keys)


def test_a_record_signed_again_keeps_its_name(federation: Any, directory: Directory) -> None:
    record = directory.agency(NORTH)
    again = parse_statement(sign_again(record, federation.enrolment))
    assert (again.payload, again.digest) == (record.statement.payload, record.digest)


def test_the_enrolment_key_cannot_speak_for_an_agency(federation: Any, directory: Directory) -> None:
    statement = sign(b"{}", federation.enrolment, Typ.MESSAGE)
    with pytest.raises(KeyUnknown):
        verify_pair(
            statement.raw_payload, statement.pairs[0], directory.signing_lookup(NORTH, federation.now), Typ.MESSAGE
        )


def test_a_record_holds_no_private_key(federation: Any) -> None:
    from keys.encoding import b64u

    text = federation.enrol(federation.north).decode()
    payload = parse_statement(text.encode()).payload.decode()
    north = federation.north
    for seed in (*north.signer.unsafe_seeds(), north.opening.unsafe_seed(), north.transport.unsafe_seed()):
        assert b64u(seed) not in payload
        assert b64u(seed) not in text
    assert read_json(payload.encode(), limit=10**6)["agency"] == NORTH

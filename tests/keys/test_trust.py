"""The directory: whose key it is, when it counts, and that what is known is not unlearned."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.ceremony import amend, revoke, rotate
from keys.encoding import write_json
from keys.errors import (
    AgencyUnknown,
    KeyNotTheirs,
    KeyNotValid,
    KeyUnknown,
    MalformedEncoding,
    RecordRefused,
    Refusal,
    RootRefused,
    WrongAlgorithm,
)
from keys.keystore import Identity
from keys.signing import Typ, sign, verify_pair
from keys.trust import Directory

NORTH, SOUTH = "north.police.sim", "south.police.sim"
DAY = timedelta(days=1)
TICK = timedelta(milliseconds=1)


@pytest.fixture(scope="module")
def directory(federation: Any) -> Directory:
    return federation.directory(federation.enrol(federation.north), federation.enrol(federation.south))


@pytest.fixture(scope="module")
def renewed(federation: Any) -> Identity:
    return federation.north.renewed()


@pytest.fixture(scope="module")
def rotated(federation: Any, directory: Directory, renewed: Identity) -> Directory:
    """North changed its keys after ten days; the old ones count for 14 days more."""
    at = federation.now + 10 * DAY
    return directory.with_record(
        rotate(federation.fed, directory.agency(NORTH), renewed.public, federation.enrolment, now=at), at
    )


def verify(directory: Directory, identity: Identity, agency: str, at: Any) -> None:
    statement = sign(b"{}", identity.signer, Typ.MESSAGE)
    verify_pair(statement.raw_payload, statement.pairs[0], directory.signing_lookup(agency, at), Typ.MESSAGE)


# who


def test_a_directory_knows_its_agencies(directory: Directory) -> None:
    assert [record.agency for record in directory.agencies()] == [NORTH, SOUTH]
    assert directory.history(NORTH) == (directory.agency(NORTH),)


@pytest.mark.spec("KEY-13")
@pytest.mark.parametrize("ask", ["agency", "signing_lookup", "sealing_key", "sealing_kid_valid", "history"])
def test_an_agency_nobody_enrolled_is_unknown(federation: Any, directory: Directory, ask: str) -> None:
    more = {"signing_lookup": (federation.now,), "sealing_key": (federation.now,)}
    more["sealing_kid_valid"] = ("kid", federation.now)
    with pytest.raises(AgencyUnknown):
        getattr(directory, ask)("nobody.sim", *more.get(ask, ()))


@pytest.mark.spec("KEY-10", "KEY-11")
def test_a_signature_counts_only_for_the_agency_whose_key_it_is(federation: Any, directory: Directory) -> None:
    verify(directory, federation.north, NORTH, federation.now)
    with pytest.raises(KeyNotTheirs):
        verify(directory, federation.north, SOUTH, federation.now)
    with pytest.raises(KeyUnknown):
        verify(directory, Identity.generate(NORTH), NORTH, federation.now)


@pytest.mark.spec("KEY-10")
def test_a_key_of_the_federation_itself_signs_for_no_agency(federation: Any, directory: Directory) -> None:
    lookup = directory.signing_lookup(NORTH, federation.now)
    for key in (*federation.enrolment.public, *federation.roots[0].public, *federation.broker.log.public):
        with pytest.raises(KeyUnknown):
            lookup(key.kid, key.alg)


@pytest.mark.spec("KEY-9", "KEY-12", "KEY-3")
def test_a_key_counts_for_its_use_and_algorithm_alone(federation: Any, directory: Directory) -> None:
    lookup, north = directory.signing_lookup(NORTH, federation.now), federation.north
    with pytest.raises(KeyNotValid, match="tls"):
        lookup(north.transport.public.kid, "Ed25519")
    with pytest.raises(KeyNotValid, match="enc"):
        lookup(north.opening.public.kid, "Ed25519")
    with pytest.raises(WrongAlgorithm):
        lookup(north.signer.public.ed25519.kid, "ML-DSA-44")
    with pytest.raises(KeyNotValid, match="sig"):
        directory.transport_key(north.signer.public.ed25519.kid, federation.now)
    with pytest.raises(KeyNotValid, match="sig"):
        directory.sealing_kid_valid(NORTH, north.signer.public.ed25519.kid, federation.now)


def test_a_key_has_an_owner(federation: Any, directory: Directory) -> None:
    assert directory.owner(federation.north.opening.public.kid) == NORTH
    assert directory.owner(federation.broker.transport.public.kid) == "broker.sim"
    with pytest.raises(KeyUnknown):
        directory.owner("x" * 43)


# when


@pytest.mark.spec("KEY-12")
def test_a_key_counts_from_its_first_instant_to_before_its_last(federation: Any, directory: Directory) -> None:
    key = directory.agency(NORTH).keys[0]
    for at in (key.nbf, key.nbf + DAY, key.exp - TICK):
        verify(directory, federation.north, NORTH, at)
    for at in (key.nbf - TICK, key.exp, key.exp + DAY):
        with pytest.raises(KeyNotValid):
            verify(directory, federation.north, NORTH, at)


@pytest.mark.spec("KEY-12")
def test_a_revoked_key_cannot_sign_after_its_revocation_and_what_it_signed_before_stands(
    federation: Any, directory: Directory
) -> None:
    at, public = federation.now + 5 * DAY, federation.north.signer.public
    for gone in ([public.ed25519.kid], [public.mldsa44.kid], [key.kid for key in public]):
        record = revoke(federation.fed, directory.agency(NORTH), gone, federation.enrolment, reason="lost", now=at)
        newer = directory.with_record(record, at)
        verify(newer, federation.north, NORTH, at - TICK)
        for after in (at, at + DAY):
            with pytest.raises(KeyNotValid, match="lost"):
                verify(newer, federation.north, NORTH, after)


@pytest.mark.spec("KEY-12", "KEY-26")
def test_after_a_rotation_both_keys_count_until_the_old_one_ends(
    federation: Any, rotated: Directory, renewed: Identity
) -> None:
    begin, end = federation.now + 10 * DAY, federation.now + 24 * DAY
    verify(rotated, federation.north, NORTH, begin - TICK)
    with pytest.raises(KeyNotValid):
        verify(rotated, renewed, NORTH, begin - TICK)
    for at in (begin, end - TICK):
        verify(rotated, federation.north, NORTH, at)
        verify(rotated, renewed, NORTH, at)
    verify(rotated, renewed, NORTH, end)
    with pytest.raises(KeyNotValid):
        verify(rotated, federation.north, NORTH, end)


@pytest.mark.spec("KEY-26")
def test_a_sender_seals_to_the_newest_key_that_counts(federation: Any, rotated: Directory, renewed: Identity) -> None:
    begin, end = federation.now + 10 * DAY, federation.now + 24 * DAY
    old, new = federation.north.opening.public.kid, renewed.opening.public.kid
    assert rotated.sealing_key(NORTH, begin - TICK).kid == old
    assert rotated.sealing_key(NORTH, begin).kid == new
    rotated.sealing_kid_valid(NORTH, old, end - TICK)  # in flight
    with pytest.raises(KeyNotValid):
        rotated.sealing_kid_valid(NORTH, old, end)
    with pytest.raises(KeyNotValid):
        rotated.sealing_kid_valid(NORTH, new, begin - TICK)
    with pytest.raises(KeyNotTheirs):
        rotated.sealing_kid_valid(SOUTH, new, begin)
    with pytest.raises(KeyUnknown):
        rotated.sealing_kid_valid(NORTH, "x" * 43, begin)
    with pytest.raises(KeyNotValid, match="no encryption key"):
        rotated.sealing_key(NORTH, federation.now + 400 * DAY)


@pytest.mark.spec("KEY-19")
def test_a_transport_key_tells_who_calls(federation: Any, rotated: Directory, renewed: Identity) -> None:
    at = federation.now + 10 * DAY
    for identity in (federation.north, renewed):
        assert rotated.transport_key(identity.transport.public.kid, at) == (NORTH, identity.transport.public)
    assert rotated.transport_key(federation.broker.transport.public.kid, at)[0] == "broker.sim"
    with pytest.raises(KeyUnknown):
        rotated.transport_key("x" * 43, at)
    with pytest.raises(KeyNotValid):
        rotated.transport_key(federation.north.transport.public.kid, at + 14 * DAY)


# what is known is not unlearned


def test_a_directory_never_changes(federation: Any, directory: Directory) -> None:
    before = directory.to_bytes()
    at = federation.now + DAY
    newer = directory.with_record(amend(federation.fed, directory.agency(NORTH), federation.enrolment, now=at), at)
    assert directory.to_bytes() == before != newer.to_bytes()
    assert directory.agency(NORTH).version == 1


@pytest.mark.spec("KEY-18", "KEY-14")
def test_an_older_record_and_another_of_the_same_version_are_refused(federation: Any, directory: Directory) -> None:
    at = federation.now + DAY
    record = directory.agency(NORTH)
    second = amend(federation.fed, record, federation.enrolment, now=at)
    rival = amend(federation.fed, record, federation.enrolment, now=at, name="Rival")
    newer = directory.with_record(second, at)
    assert newer.with_record(second, at) is newer
    for other in (rival, record.statement.to_bytes()):
        with pytest.raises(RecordRefused):
            newer.with_record(other, at)
    skipped = amend(federation.fed, newer.agency(NORTH), federation.enrolment, now=at)
    with pytest.raises(RecordRefused):
        directory.with_record(skipped, at)


@pytest.mark.spec("KEY-18")
def test_a_copy_that_lost_or_changed_what_is_known_is_refused(federation: Any, directory: Directory) -> None:
    from dataclasses import replace

    from keys.ceremony import next_root

    at = federation.now + DAY
    north = directory.agency(NORTH)
    newer = directory.with_record(amend(federation.fed, north, federation.enrolment, now=at), at)
    rival = directory.with_record(amend(federation.fed, north, federation.enrolment, now=at, name="Rival"), at)
    assert directory.advance(newer.to_bytes(), at).agency(NORTH).version == 2
    assert newer.advance(newer.to_bytes(), at).to_bytes() == newer.to_bytes()
    for older in (directory, rival, federation.directory()):
        with pytest.raises(RecordRefused, match="already known"):
            newer.advance(older.to_bytes(), at)
    second = next_root(directory.root, replace(federation.plan, name="Renamed"), federation.roots[:2], now=at)
    with pytest.raises(RootRefused, match="already known"):
        directory.with_root(second, at).advance(newer.to_bytes(), at)


@pytest.mark.spec("KEY-25")
def test_a_directory_travels(federation: Any, rotated: Directory) -> None:
    now = federation.now + 10 * DAY
    data = rotated.to_bytes()
    assert Directory.from_bytes(data, fed=federation.fed, now=now).to_bytes() == data
    value = json.loads(data)
    assert len(value["roots"]) == 1
    assert len(value["records"]) == 3
    mixed = {"roots": value["roots"], "records": [value["records"][i] for i in (2, 0, 1)]}
    assert Directory.from_bytes(write_json(mixed), fed=federation.fed, now=now).to_bytes() == data


@pytest.mark.spec("KEY-25", "KEY-18")
@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.pop("roots"),
        lambda v: v.update(more=1),
        lambda v: v.update(records={}),
        lambda v: v.update(roots=[]),
        lambda v: v["records"].pop(0),
        lambda v: v["records"].reverse(),
        lambda v: v["records"].append(v["records"][0]),
        lambda v: v["records"].append(v["roots"][0]),
        lambda v: v["records"].append(None),
        lambda v: v["records"][0].update(more=1),
        lambda v: v["records"][0]["signatures"].pop(),
        lambda v: v["records"][0].update(signatures=v["records"][1]["signatures"]),
    ],
)
def test_a_damaged_directory_is_refused_as_a_whole(
    federation: Any, rotated: Directory, change: Callable[[Any], Any]
) -> None:
    value = json.loads(rotated.to_bytes())
    change(value)
    with pytest.raises(Refusal):
        Directory.from_bytes(write_json(value), fed=federation.fed, now=federation.now + 10 * DAY)


def test_a_directory_of_another_federation_is_refused(federation: Any, rotated: Directory) -> None:
    with pytest.raises(RootRefused):
        Directory.from_bytes(rotated.to_bytes(), fed="A" * 43, now=federation.now)


def test_a_directory_that_is_no_directory_is_malformed(federation: Any) -> None:
    for data in (b"", b"[]", b"null", b'{"roots":[]}', b'{"roots":{},"records":[]}'):
        with pytest.raises((MalformedEncoding, RootRefused)):
            Directory.from_bytes(data, fed=federation.fed, now=federation.now)


@given(st.data())
def test_no_bit_of_a_directory_can_change_unnoticed(federation: Any, directory: Directory, data: st.DataObject) -> None:
    raw = bytearray(directory.to_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Refusal):
        Directory.from_bytes(bytes(raw), fed=federation.fed, now=federation.now)


def test_a_look_up_takes_microseconds(federation: Any, directory: Directory) -> None:
    """Generously bounded: it guards against parsing keys on the broker's hot path, which costs forty times more."""
    import timeit

    kid = federation.north.signer.public.mldsa44.kid
    ask = lambda: directory.signing_lookup(NORTH, federation.now)(kid, "ML-DSA-44")  # noqa: E731
    assert min(timeit.repeat(ask, number=500, repeat=5)) / 500 < 20e-6

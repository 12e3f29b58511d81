"""Agency records: what one must hold, and that a version changes what is to come and never what has been."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from keys.ceremony import amend, enrol, revoke, rotate
from keys.encoding import b64u, read_json, stamp
from keys.errors import KeyUnknown, MalformedEncoding, RecordRefused, Refusal, SignatureInvalid, WrongSignatureType
from keys.signing import Signer, Typ, cosign, parse_statement, sign
from keys.trust import Directory

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def first(federation: Any) -> bytes:
    return federation.enrol(federation.north)


@pytest.fixture(scope="module")
def directory(federation: Any, first: bytes) -> Directory:
    return federation.directory(first)


@pytest.mark.spec("KEY-13", "KEY-15")
def test_a_record_says_what_an_agency_is_and_holds(federation: Any, directory: Directory, first: bytes) -> None:
    record = directory.agency("north.police.sim")
    assert (record.version, record.prev, record.roles, record.territory) == (1, None, ("police",), "XN")
    assert (record.name, record.ceiling, record.issued) == ("North", "confidential", federation.now)
    assert [(k.use, k.alg) for k in record.keys] == [
        ("sig", "Ed25519"),
        ("sig", "ML-DSA-44"),
        ("enc", "HPKE-647a-0001-0002"),
        ("tls", "Ed25519"),
    ]
    assert record.digest == parse_statement(first).digest
    payload = read_json(parse_statement(first).payload, limit=10**6)
    assert list(payload) == [
        "v",
        "typ",
        "fed",
        "agency",
        "name",
        "roles",
        "territory",
        "ceiling",
        "version",
        "issued",
        "keys",
    ]
    assert list(payload["keys"][0]) == ["use", "alg", "kid", "pub", "nbf", "exp"]


def _set(**changes: Any) -> Callable[[Any], None]:
    return lambda payload: payload.update(changes)


def _del(name: str) -> Callable[[Any], None]:
    return lambda payload: payload.pop(name)


def _key(place: int, **changes: Any) -> Callable[[Any], None]:
    return lambda payload: payload["keys"][place].update(changes)


@pytest.mark.spec("KEY-15", "KEY-13", "KEY-7", "ENC-8")
@pytest.mark.parametrize(
    "change",
    [
        *(
            _del(n)
            for n in ["v", "typ", "fed", "agency", "name", "roles", "territory", "ceiling", "version", "issued", "keys"]
        ),
        *((lambda p, n=n: p["keys"][0].pop(n)) for n in ["use", "alg", "kid", "pub", "nbf", "exp"]),
        _set(more=1),
        _set(v="ix/2"),
        _set(typ="root"),
        _set(fed="A" * 43),
        _set(fed="short"),
        _set(name=""),
        _set(name="bell\x07"),
        _set(name="x" * 121),
        _set(roles=[]),
        _set(roles=["police", "police"]),
        _set(roles=["Police"]),
        _set(roles="police"),
        _set(roles=[f"r{n}" for n in range(9)]),
        _set(territory="FR"),
        _set(territory="QL"),
        _set(territory="xn"),
        _set(ceiling="TOP SECRET"),
        _set(version=0),
        _set(version=2),
        _set(version="1"),
        _set(version=1.5),
        _set(prev=None),
        _set(prev="A" * 43),
        _set(issued="yesterday"),
        _set(issued="2026-11-21T16:26:00Z"),  # six minutes ahead
        _set(keys=[]),
        _set(keys={}),
        _key(0, use="enc"),
        _key(0, use="x"),
        _key(0, alg="ML-DSA-44"),
        _key(0, alg="EdDSA"),
        _key(0, alg=None),
        _key(2, alg="ML-KEM-768"),
        _key(3, use="sig", alg="ML-DSA-44"),
        _key(0, kid="A" * 43),
        _key(0, kid="x"),
        _key(0, pub=b64u(bytes(31))),
        _key(0, pub="AB"),
        _key(2, pub=b64u(b"\xff" * 1216)),
        _key(0, pub=7),
        _key(0, exp="2026-11-21T16:20:00Z"),
        _key(0, nbf="2026-11-21T16:19:59.999Z"),
        _key(0, nbf=None),
        _key(0, revoked="2026-12-01T00:00:00Z"),
        _key(0, reason="lost"),
        _key(0, revoked=None, reason="lost"),
        _key(0, revoked="2026-12-01T00:00:00Z", reason=""),
        _key(0, revoked="2026-11-21T16:19:00Z", reason="before it began"),
        _key(0, more=1),
        lambda p: p["keys"].append(p["keys"][0]),
        lambda p: p["keys"].pop(0),
        lambda p: p["keys"].pop(3),
        lambda p: p["keys"][3].update(p["keys"][0] | {"use": "tls"}),
    ],
)
def test_a_record_of_another_shape_is_refused(federation: Any, first: bytes, change: Callable[[Any], Any]) -> None:
    with pytest.raises(Refusal) as caught:
        federation.directory(federation.bend_record(first, change))
    assert type(caught.value) in {RecordRefused, MalformedEncoding}


@pytest.mark.spec("KEY-13")
@pytest.mark.parametrize(
    "name",
    [
        "",
        ".sim",
        "sim",
        "north",
        "north.police",
        "North.sim",
        "north.sim.",
        "a..sim",
        "-.sim/..",
        "n\u00f6rd.sim",
        "a b.sim",
        "a_b.sim",
        "north.sim\n",
        "x" * 37 + ".sim",
        "broker.sim",
        "north.simx",
    ],
)
def test_an_agency_id_of_another_form_is_refused(federation: Any, first: bytes, name: str) -> None:
    with pytest.raises(RecordRefused):
        federation.directory(federation.bend_record(first, _set(agency=name)))


@pytest.mark.spec("KEY-13")
@pytest.mark.parametrize("name", ["a.sim", "x" * 36 + ".sim", "north.police.sim", "0-1.a--b.sim"])
def test_an_agency_id_of_the_right_form_is_taken(federation: Any, first: bytes, name: str) -> None:
    assert federation.directory(federation.bend_record(first, _set(agency=name))).agency(name).agency == name


@pytest.mark.spec("KEY-15")
def test_a_record_not_signed_by_the_enrolment_key_is_refused(
    federation: Any, first: bytes, make_signer: Callable[[str], Signer]
) -> None:
    for signer in (make_signer("mallory"), federation.roots[0], federation.north.signer, federation.broker.log):
        with pytest.raises(KeyUnknown):
            federation.directory(federation.bend_record(first, lambda payload: None, signer))


@pytest.mark.spec("KEY-15", "KEY-5", "KEY-4")
def test_a_record_with_a_borrowed_or_second_signature_is_refused(
    federation: Any, first: bytes, make_signer: Callable[[str], Signer]
) -> None:
    payload = parse_statement(first).payload
    with pytest.raises(WrongSignatureType):
        federation.directory(sign(payload, federation.enrolment, Typ.ROOT).to_bytes())
    twice = cosign(parse_statement(first), make_signer("mallory"), Typ.RECORD)
    with pytest.raises(RecordRefused, match="exactly one"):
        federation.directory(twice.to_bytes())
    altered = payload.replace(b'"North"', b'"Nerth"')
    statement = parse_statement(first).to_json() | {"payload": b64u(altered)}
    from keys.encoding import write_json

    with pytest.raises(SignatureInvalid):
        federation.directory(write_json(statement))


# versions


def following(federation: Any, directory: Directory, at: Any, change: Callable[[Any], Any] | None = None) -> bytes:
    """An unchanged next version of the record at an instant, bent before it is signed."""
    record = amend(federation.fed, directory.agency("north.police.sim"), federation.enrolment, now=at)
    return federation.bend_record(record, change) if change else record


@pytest.mark.spec("KEY-14")
@pytest.mark.parametrize(
    "change",
    [_set(version=1), _set(version=3), _set(prev="A" * 43), _del("prev"), _set(issued="2026-11-21T16:19:59Z")],
)
def test_a_version_that_does_not_follow_is_refused(
    federation: Any, directory: Directory, change: Callable[[Any], Any]
) -> None:
    at = federation.now + DAY
    assert directory.with_record(following(federation, directory, at), at).agency("north.police.sim").version == 2
    with pytest.raises(RecordRefused):
        directory.with_record(following(federation, directory, at, change), at)


NEXT_DAY = "2026-11-22T16:20:00.000Z"
BEFORE = "2026-11-22T16:19:59.999Z"
LATER = "2026-12-24T00:00:00.000Z"


@pytest.mark.spec("KEY-16")
@pytest.mark.parametrize(
    "change",
    [
        _key(0, exp="2030-01-01T00:00:00Z"),
        _key(0, exp=BEFORE),
        _key(0, nbf=NEXT_DAY),
        _key(0, nbf="2026-11-20T00:00:00Z"),
        _key(0, revoked=BEFORE, reason="said too late"),
        lambda p: p["keys"].pop(0),
        lambda p: p["keys"].pop(),
    ],
)
def test_a_version_may_not_reach_into_the_past(
    federation: Any, directory: Directory, change: Callable[[Any], Any]
) -> None:
    at = federation.now + DAY
    with pytest.raises(RecordRefused):
        directory.with_record(following(federation, directory, at, change), at)


@pytest.mark.spec("KEY-16")
@pytest.mark.parametrize(
    "change",
    [
        _key(0, exp=NEXT_DAY),
        _key(0, exp=LATER),
        _key(0, revoked=NEXT_DAY, reason="lost"),
        _key(0, revoked=LATER, reason="will be handed in"),
        _set(name="North, renamed"),
        _set(roles=["police", "border_guard"]),
        lambda p: p["keys"].reverse(),
    ],
)
def test_a_version_may_change_what_is_to_come(
    federation: Any, directory: Directory, change: Callable[[Any], Any]
) -> None:
    at = federation.now + DAY
    newer = directory.with_record(following(federation, directory, at, change), at)
    assert len(newer.history("north.police.sim")) == 2


@pytest.mark.spec("KEY-16")
@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        (lambda p: None, True),
        (lambda p: (p["keys"][0].pop("revoked"), p["keys"][0].pop("reason")), False),
        (_key(0, revoked=LATER), False),
        (_key(0, revoked="2026-11-23T00:00:00Z"), False),
        (_key(0, reason="another story"), False),
        (lambda p: p["keys"].pop(0), False),
    ],
)
def test_a_revoked_key_stays_revoked(
    federation: Any, directory: Directory, change: Callable[[Any], Any], allowed: bool
) -> None:
    at = federation.now + DAY
    kid = federation.north.signer.public.ed25519.kid
    record = directory.agency("north.police.sim")
    gone = directory.with_record(revoke(federation.fed, record, [kid], federation.enrolment, reason="lost", now=at), at)
    later = at + DAY
    if allowed:
        gone.with_record(following(federation, gone, later, change), later)
    else:
        with pytest.raises(RecordRefused):
            gone.with_record(following(federation, gone, later, change), later)


@pytest.mark.spec("KEY-16")
@pytest.mark.parametrize(
    ("revoked", "allowed"),
    [("2026-11-23T16:20:00Z", True), ("2026-11-23T16:19:59Z", False), ("2026-12-25T00:00:00Z", False)],
)
def test_an_announced_revocation_may_be_brought_forward_but_not_put_off(
    federation: Any, directory: Directory, revoked: str, allowed: bool
) -> None:
    at = federation.now + DAY
    announced = following(federation, directory, at, _key(0, revoked=LATER, reason="to be handed in"))
    newer = directory.with_record(announced, at)
    change = following(federation, newer, at + DAY, _key(0, revoked=revoked, reason="stolen"))
    if allowed:
        newer.with_record(change, at + DAY)
    else:
        with pytest.raises(RecordRefused):
            newer.with_record(change, at + DAY)


@pytest.mark.spec("KEY-16")
def test_a_new_key_may_not_have_been_valid_before_the_record_that_brings_it(
    federation: Any, directory: Directory
) -> None:
    at = federation.now + DAY
    renewed = federation.north.renewed()
    record = rotate(federation.fed, directory.agency("north.police.sim"), renewed.public, federation.enrolment, now=at)
    directory.with_record(record, at)
    for place in range(4, 8):
        with pytest.raises(RecordRefused, match="reaches back"):
            directory.with_record(federation.bend_record(record, _key(place, nbf=stamp(at - HOUR))), at)


# one key, one owner, one use


@pytest.mark.spec("KEY-17")
def test_a_key_may_never_belong_to_two_agencies(federation: Any, directory: Directory) -> None:
    for place in range(4):
        stolen = directory.agency("north.police.sim").keys[place].to_json()
        record = federation.bend_record(
            federation.enrol(federation.south), lambda p, s=stolen, n=place: p["keys"].__setitem__(n, s)
        )
        with pytest.raises(RecordRefused, match="somebody else"):
            directory.with_record(record, federation.now)


@pytest.mark.spec("KEY-17")
def test_a_key_of_the_root_is_no_agencys(federation: Any) -> None:
    from keys.ceremony import AgencyKeys

    north = federation.north.public
    for keys in (
        AgencyKeys(federation.broker.log.public, north.sealing, north.transport),
        AgencyKeys(federation.enrolment.public, north.sealing, north.transport),
        AgencyKeys(federation.roots[2].public, north.sealing, north.transport),
        AgencyKeys(north.signing, north.sealing, federation.broker.transport.public),
    ):
        record = enrol(
            federation.fed,
            keys,
            federation.enrolment,
            agency="north.police.sim",
            name="North",
            roles=["police"],
            territory="XN",
            ceiling="secret",
            now=federation.now,
        )
        with pytest.raises(RecordRefused, match="somebody else"):
            federation.directory(record)


@pytest.mark.spec("KEY-15")
def test_a_record_holds_at_most_256_keys(federation: Any, first: bytes) -> None:
    with pytest.raises(RecordRefused, match="keys"):
        federation.directory(federation.bend_record(first, lambda p: p.update(keys=[{}] * 257)))

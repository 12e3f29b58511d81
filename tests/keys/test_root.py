"""The federation root: what pins it, who must sign it, and that nothing but a simulation gets past."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keys.ceremony import RootPlan, federation_id, new_root, next_root
from keys.encoding import b64u, read_json, write_json
from keys.errors import MalformedEncoding, Refusal, RootRefused, SignatureInvalid, WrongSignatureType
from keys.signing import Signer, Typ, parse_statement, sign
from keys.trust import Directory

DAY = timedelta(days=1)


def build(federation: Any, *roots: bytes, fed: str | None = None, now: Any = None) -> Directory:
    return Directory.build(roots, [], fed=fed or federation_id(roots[0]), now=now or federation.now)


@pytest.mark.spec("KEY-20", "KEY-21")
def test_a_root_says_who_enrols_who_logs_and_who_delivers(federation: Any) -> None:
    root = federation.directory().root
    assert (root.version, root.threshold, root.name, root.min_protocol) == (1, 2, "Exercise Harbour", "ix/1")
    assert root.fed == root.digest == federation.fed
    assert root.root_keys == tuple(signer.public for signer in federation.roots)
    assert root.enrolment == (federation.enrolment.public,)
    assert (root.log.origin, root.log.ed25519) == ("log.broker.sim/ix", federation.broker.log.public.ed25519)
    assert root.broker.transport == (federation.broker.transport.public,)
    assert root.expires - root.issued == timedelta(days=730)


@pytest.mark.spec("KEY-20")
def test_a_root_that_is_not_the_pinned_one_is_refused(federation: Any) -> None:
    other = new_root(replace(federation.plan, name="Another"), federation.roots[:2], now=federation.now)
    with pytest.raises(RootRefused, match="federation's id"):
        build(federation, other, fed=federation.fed)
    with pytest.raises(RootRefused):
        Directory.build([], [], fed=federation.fed, now=federation.now)


@pytest.mark.spec("KEY-20")
@pytest.mark.parametrize("mark", [False, 1, "true", "yes", None, [], {}, "absent"])
def test_a_root_not_marked_as_a_simulation_is_refused_whoever_signed_it(federation: Any, mark: Any) -> None:
    def unmark(payload: Any) -> None:
        if mark == "absent":
            del payload["simulation"]
        else:
            payload["simulation"] = mark

    with pytest.raises(RootRefused, match="simulation"):
        build(federation, federation.bend_root(unmark, signers=3))


@pytest.mark.spec("KEY-22")
def test_a_root_under_its_threshold_is_refused(federation: Any) -> None:
    with pytest.raises(RootRefused, match="fewer than the 2"):
        build(federation, federation.bend_root(lambda payload: None, signers=1))
    for signers in (2, 3):
        build(federation, federation.bend_root(lambda payload: None, signers=signers))


@pytest.mark.spec("KEY-22")
def test_one_root_key_signing_twice_counts_for_nothing(federation: Any) -> None:
    one = federation.roots[0]
    with pytest.raises(RootRefused, match="twice"):
        build(federation, new_root(federation.plan, [one, one], now=federation.now))


@pytest.mark.spec("KEY-22")
def test_a_signature_by_a_stranger_is_refused_even_beside_enough_others(
    federation: Any, make_signer: Callable[[str], Signer]
) -> None:
    for stranger in (make_signer("mallory"), federation.enrolment, federation.broker.log):
        with pytest.raises(RootRefused, match="no root key"):
            build(federation, new_root(federation.plan, [*federation.roots[:2], stranger], now=federation.now))


@pytest.mark.spec("KEY-22")
def test_a_pair_made_of_two_root_keys_is_no_pair(federation: Any) -> None:
    """The Ed25519 half of one root key and the ML-DSA half of another."""
    statement = parse_statement(federation.root)
    (a, b), (c, d) = statement.pairs
    with pytest.raises(RootRefused, match="no root key"):
        build(federation, replace(statement, pairs=((a, d), (c, b))).to_bytes())


@pytest.mark.spec("KEY-22", "KEY-5")
def test_a_root_signature_that_does_not_verify_is_refused(federation: Any) -> None:
    statement = parse_statement(federation.root)
    other = parse_statement(federation.bend_root(lambda payload: payload.update(name="Other")))
    with pytest.raises(SignatureInvalid):
        build(federation, replace(statement, pairs=(statement.pairs[0], other.pairs[1])).to_bytes())
    with pytest.raises(WrongSignatureType):
        build(federation, sign(statement.payload, federation.roots[0], Typ.RECORD).to_bytes())


def _set(**changes: Any) -> Callable[[Any], None]:
    return lambda payload: payload.update(changes)


def _del(name: str) -> Callable[[Any], None]:
    return lambda payload: payload.pop(name)


def _copy(source: str, target: str) -> Callable[[Any], None]:
    return lambda payload: payload[target].append(payload[source][0])


@pytest.mark.spec("KEY-21", "ENC-8")
@pytest.mark.parametrize(
    "change",
    [
        *(
            _del(name)
            for name in [
                "v",
                "typ",
                "notice",
                "name",
                "version",
                "issued",
                "expires",
                "threshold",
                "root_keys",
                "enrolment",
                "log",
                "broker",
                "min_protocol",
            ]
        ),
        _set(more=1),
        _set(v="ix/2"),
        _set(typ="record"),
        _set(notice="for real"),
        _set(name=""),
        _set(name="x" * 121),
        _set(name="two\nlines"),
        _set(name="right \u202e left"),
        _set(version=0),
        _set(version="1"),
        _set(version=True),
        _set(version=2),
        _set(prev=None),
        _set(prev="A" * 43),
        _set(issued=0),
        _set(issued="2026-11-21"),
        _set(expires="2020-01-01T00:00:00Z"),
        _set(threshold=0),
        _set(threshold=4),
        _set(threshold=True),
        _set(root_keys=[]),
        _set(enrolment=[]),
        _set(enrolment={}),
        _set(enrolment=["x"]),
        _set(log={"origin": "a"}),
        _set(min_protocol="ix/2"),
        _set(min_protocol="1"),
        lambda p: p["log"].update(origin="two words"),
        lambda p: p["log"].update(origin="a+b"),
        lambda p: p["log"].update(ed25519="AAAA"),
        lambda p: p["log"].update(more=""),
        lambda p: p["broker"].update(id="broker.example"),
        lambda p: p["broker"].update(transport=[]),
        lambda p: p["broker"].update(transport=["AA=="]),
        lambda p: p["root_keys"][0].update(mldsa44=p["root_keys"][0]["ed25519"]),
        lambda p: p["root_keys"][0].pop("mldsa44"),
        _copy("root_keys", "root_keys"),
        _copy("root_keys", "enrolment"),
        _copy("enrolment", "enrolment"),
        lambda p: p["broker"]["transport"].append(p["log"]["ed25519"]),
        lambda p: p["log"].update(ed25519=p["enrolment"][0]["ed25519"]),
    ],
)
def test_a_root_of_another_shape_is_refused(federation: Any, change: Callable[[Any], Any]) -> None:
    with pytest.raises((RootRefused, MalformedEncoding)):
        build(federation, federation.bend_root(change))


@pytest.mark.spec("KEY-23")
def test_an_expired_root_is_refused_and_so_is_one_of_the_future(federation: Any) -> None:
    issued, expires = federation.now, federation.directory().root.expires
    build(federation, federation.root, now=expires - timedelta(milliseconds=1))
    with pytest.raises(RootRefused, match="expired"):
        build(federation, federation.root, now=expires)
    build(federation, federation.root, now=issued - timedelta(minutes=5))
    with pytest.raises(RootRefused, match="yet to come"):
        build(federation, federation.root, now=issued - timedelta(minutes=5, seconds=1))


# successors


@pytest.fixture
def fresh(make_signer: Callable[[str], Signer]) -> list[Signer]:
    return [make_signer(f"new root {n}") for n in (1, 2, 3)]


def plan_of(federation: Any, signers: list[Signer], **changes: Any) -> RootPlan:
    plan = RootPlan.of(federation.directory().root)
    return replace(plan, root_keys=tuple(signer.public for signer in signers), **changes)


@pytest.mark.spec("KEY-22", "KEY-24")
def test_a_new_root_needs_the_old_keys_and_the_new(federation: Any, fresh: list[Signer]) -> None:
    old, now = federation.directory().root, federation.now + DAY
    plan = plan_of(federation, fresh)
    assert RootPlan.of(old) == federation.plan
    whole = next_root(old, plan, [*federation.roots[:2], *fresh[:2]], now=now)
    directory = build(federation, federation.root, whole, now=now)
    assert (directory.root.version, directory.fed) == (2, federation.fed)
    for signers in (federation.roots, fresh, [federation.roots[0], *fresh], [*federation.roots, fresh[0]]):
        with pytest.raises(RootRefused, match="fewer than the 2"):
            build(federation, federation.root, next_root(old, plan, signers, now=now), now=now)


@pytest.mark.spec("KEY-22")
def test_keys_that_stay_count_for_both_thresholds(federation: Any, fresh: list[Signer]) -> None:
    kept = [federation.roots[0], federation.roots[1], fresh[0]]
    following = next_root(
        federation.directory().root, plan_of(federation, kept), federation.roots[:2], now=federation.now + DAY
    )
    assert build(federation, federation.root, following, now=federation.now + DAY).root.version == 2


@pytest.mark.spec("KEY-24")
def test_a_chain_with_a_gap_a_fork_or_time_running_back_is_refused(federation: Any) -> None:
    first, now = federation.directory().root, federation.now + DAY
    second = next_root(first, federation.plan, federation.roots[:2], now=now)
    forked = next_root(first, replace(federation.plan, name="Fork"), federation.roots[:2], now=now)
    newer = build(federation, federation.root, second, now=now)
    third = next_root(newer.root, federation.plan, federation.roots[:2], now=now)
    early = next_root(newer.root, federation.plan, federation.roots[:2], now=federation.now)
    assert build(federation, federation.root, second, third, now=now).root.version == 3
    for chain in ([third], [second, second], [forked, third], [third, second], [federation.root], [second, early]):
        with pytest.raises(RootRefused):
            build(federation, federation.root, *chain, now=now)
    with pytest.raises(RootRefused):
        build(federation, second, fed=federation.fed, now=now)


@pytest.mark.spec("KEY-23")
def test_only_the_newest_root_must_be_fresh(federation: Any) -> None:
    old = federation.directory().root
    later = old.expires + DAY
    following = next_root(old, federation.plan, federation.roots[:2], now=later)
    assert build(federation, federation.root, following, now=later).root.version == 2


@pytest.mark.spec("KEY-24")
def test_a_root_that_drops_an_enrolment_key_withdraws_what_it_signed(
    federation: Any, make_signer: Callable[[str], Signer]
) -> None:
    from keys.ceremony import sign_again

    directory = federation.directory(federation.enrol(federation.north))
    now, successor = federation.now + DAY, make_signer("enrolment 2")
    plan = replace(federation.plan, enrolment=(successor.public,))
    root = next_root(directory.root, plan, federation.roots[:2], now=now)
    with pytest.raises(Refusal) as caught:
        directory.with_root(root, now)
    assert caught.value.code == "key_unknown"
    again = [sign_again(record, successor) for record in directory.records()]
    newer = directory.with_root(root, now, again)
    assert newer.agency("north.police.sim").digest == directory.agency("north.police.sim").digest
    assert directory.advance(newer.to_bytes(), now).root.version == 2


def test_the_payload_holds_what_the_specification_lists(federation: Any) -> None:
    payload = read_json(parse_statement(federation.root).payload, limit=10**6)
    assert list(payload) == [
        "v",
        "typ",
        "simulation",
        "notice",
        "name",
        "version",
        "issued",
        "expires",
        "threshold",
        "root_keys",
        "enrolment",
        "log",
        "broker",
        "min_protocol",
    ]
    assert payload["root_keys"][0]["ed25519"] == b64u(federation.roots[0].public.ed25519.raw)
    assert write_json(payload) == parse_statement(federation.root).payload

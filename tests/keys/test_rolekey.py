"""A role's key opens to its officers one by one and to nothing else. See `spec/keys.md`, KEY-27, KEY-39, KEY-40."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keys import rolekey
from keys.ceremony import protect, rotate
from keys.encoding import b64u
from keys.errors import KeyNotValid, KeystoreRefused, RecordRefused
from keys.keystore import read_private, replace_file
from keys.rolekey import RoleKey
from keys.sealing import OpeningKey
from keys.signing import Signer

NORTH = "north.police.sim"
ADA, BEA = "ada passphrase here", "bea passphrase here"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def made() -> tuple[RoleKey, Any]:
    return RoleKey.generate(NORTH, {"ada": ADA})


@pytest.mark.spec("KEY-39", "KEY-40")
def test_each_officer_opens_with_their_own_passphrase_and_nobody_elses(made: tuple[RoleKey, Any]) -> None:
    role, public = made
    role = role.admit("bea", BEA, by="ada", by_passphrase=ADA)
    assert role.officers == ("ada", "bea")
    for officer, passphrase in (("ada", ADA), ("bea", BEA)):
        assert [key.public.kid for key in role.unlock(officer, passphrase)] == [public.kid]
    sentences = set()
    for officer, passphrase in (("ada", BEA), ("bea", ADA), ("cyd", ADA), ("ada", ADA + " "), ("ADA", ADA)):
        with pytest.raises(KeystoreRefused) as caught:
            role.unlock(officer, passphrase)
        sentences.add(caught.value.sentence)
    assert len(sentences) == 1
    with pytest.raises(KeystoreRefused, match="empty"):
        role.unlock("ada", "")


@pytest.mark.spec("KEY-40")
def test_a_stranger_costs_as_much_work_as_an_officer(
    made: tuple[RoleKey, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(rolekey, "stretch", lambda _p, _s, n: (asked.append(n), b"x" * 32)[1])
    for officer in ("ada", "nobody"):
        with pytest.raises(KeystoreRefused):
            made[0].unlock(officer, "whatever it is")
    assert len(asked) == 2
    assert len(set(asked)) == 1


@pytest.mark.spec("KEY-39")
def test_the_file_is_private_and_holds_no_seed_in_clear(made: tuple[RoleKey, Any], tmp_path: Path) -> None:
    role, _ = made
    replace_file(tmp_path / "protection.json", role.to_bytes())
    assert stat.S_IMODE((tmp_path / "protection.json").stat().st_mode) == 0o600
    (key,) = role.unlock("ada", ADA)
    raw = (tmp_path / "protection.json").read_bytes()
    for seed in (key.unsafe_seed(), b64u(key.unsafe_seed()).encode(), key.unsafe_seed().hex().encode()):
        assert seed not in raw
    assert ADA.encode() not in raw
    assert ADA not in repr(role)
    assert RoleKey.from_bytes(read_private(tmp_path / "protection.json")) == role
    (tmp_path / "protection.json").chmod(0o640)
    with pytest.raises(KeystoreRefused):
        read_private(tmp_path / "protection.json")


@pytest.mark.spec("KEY-39")
def test_any_byte_changed_or_moved_opens_nothing(made: tuple[RoleKey, Any]) -> None:
    role, _ = made
    for changed in (
        replace(role, agency="south.police.sim"),
        replace(role, box=role.box[:-1] + bytes([role.box[-1] ^ 1])),
        replace(role, locks=(replace(role.locks[0], officer="bea"),)),
        replace(role, locks=(replace(role.locks[0], salt=bytes(16)),)),
    ):
        with pytest.raises(KeystoreRefused):
            changed.unlock(changed.locks[0].officer, ADA)


BENT: list[Callable[[Any], Any]] = [
    lambda v: v.update(kind="identity"), lambda v: v.update(v="ix/2"), lambda v: v.update(typ="key"),
    lambda v: v.update(note="x"), lambda v: v.pop("label"), lambda v: v.update(locks=[]), lambda v: v.update(locks={}),
    lambda v: v["locks"].append(v["locks"][0]), lambda v: v["locks"][0].update(n=2**14),
    lambda v: v["locks"][0].update(n=2**21), lambda v: v["locks"][0].update(n=2**15 + 1),
    lambda v: v["locks"][0].update(salt=b64u(b"short")), lambda v: v["locks"][0].update(sealed="AAAA"),
    lambda v: v["locks"][0].update(hint="x"), lambda v: v.update(sealed=1), lambda v: v.update(label=1),
]  # fmt: skip


@pytest.mark.spec("KEY-39")
@pytest.mark.parametrize("change", BENT)
def test_a_file_of_another_shape_is_refused(made: tuple[RoleKey, Any], change: Callable[[Any], Any]) -> None:
    value = json.loads(made[0].to_bytes())
    change(value)
    with pytest.raises(KeystoreRefused):
        RoleKey.from_bytes(json.dumps(value).encode())


@pytest.mark.spec("KEY-39", "KEY-40")
def test_a_lock_is_given_only_by_somebody_who_has_one_and_the_last_one_stays(made: tuple[RoleKey, Any]) -> None:
    role, public = made
    with pytest.raises(KeystoreRefused):
        role.admit("bea", BEA, by="bea", by_passphrase=BEA)
    both = role.admit("bea", BEA, by="ada", by_passphrase=ADA)
    alone = both.without("ada")
    with pytest.raises(KeystoreRefused):
        alone.unlock("ada", ADA)
    assert alone.unlock("bea", BEA)[0].public.kid == public.kid
    for role_key, officer in ((alone, "bea"), (alone, "ada")):
        with pytest.raises(KeystoreRefused):
            role_key.without(officer)
    with pytest.raises(KeystoreRefused):
        RoleKey.generate(NORTH, {})


@pytest.mark.spec("KEY-36", "KEY-39")
def test_a_renewed_role_key_still_opens_what_was_sealed_before(made: tuple[RoleKey, Any]) -> None:
    role, before = made
    renewed, after = role.renewed("ada", ADA)
    assert [key.public.kid for key in renewed.unlock("ada", ADA)] == [after.kid, before.kid]


@pytest.mark.spec("KEY-27", "KEY-16")
def test_a_record_may_have_a_role_key_and_a_rotation_leaves_it(federation: Any, make_seed: Any) -> None:
    first = federation.enrol(federation.north)
    directory = federation.directory(first)
    with pytest.raises(KeyNotValid):
        directory.protection_key(NORTH, federation.now)
    public = OpeningKey.from_seed(make_seed("role")).public
    at = federation.now + DAY
    record = protect(federation.fed, directory.agency(NORTH), public, federation.enrolment, now=at)
    directory = directory.with_record(record, at)
    assert directory.protection_key(NORTH, at).kid == public.kid
    assert directory.sealing_key(NORTH, at).kid == federation.north.opening.public.kid
    for uses in (directory.sealing_kid_valid,):
        with pytest.raises(KeyNotValid):
            uses(NORTH, public.kid, at)
    later = at + 60 * DAY
    fresh = rotate(
        federation.fed, directory.agency(NORTH), federation.north.renewed().public, federation.enrolment, now=later
    )
    directory = directory.with_record(fresh, later)
    assert directory.protection_key(NORTH, later + 30 * DAY).kid == public.kid
    another = OpeningKey.from_seed(make_seed("role 2")).public
    record = protect(federation.fed, directory.agency(NORTH), another, federation.enrolment, now=later + DAY)
    directory = directory.with_record(record, later + DAY)
    assert directory.protection_key(NORTH, later + 2 * DAY).kid == another.kid


@pytest.mark.spec("KEY-15", "KEY-27")
def test_a_record_with_a_role_key_alone_or_of_another_algorithm_is_refused(federation: Any, make_seed: Any) -> None:
    first = federation.enrol(federation.north)

    def bent(change: Callable[[Any], Any], signer: Signer | None = None) -> None:
        with pytest.raises(RecordRefused):
            federation.directory(federation.bend_record(first, change, signer))

    def without_sealing(payload: Any) -> None:
        next(key for key in payload["keys"] if key["use"] == "enc")["use"] = "prot"

    def signs(payload: Any) -> None:
        payload["keys"].append({**payload["keys"][0], "use": "prot"})

    bent(without_sealing)
    bent(signs)

"""Officers: roles that exclude one another, passphrases that are not kept (NODE-2, NODE-10, NODE-13)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agencies.node.errors import RoleMissing, SettingsRefused
from agencies.node.profile import (
    MIN_COST,
    OfficerRole,
    Profile,
    hash_passphrase,
    new_officer,
    new_profile,
    passphrase_fits,
)
from exchange.protocol.vocabulary import Classification

PASSPHRASE = "a boat in the harbour"


@pytest.fixture(scope="module")
def profile() -> Profile:
    officers = [new_officer("np-1", PASSPHRASE, ["officer"], display="Duty officer", cost=MIN_COST)]
    return new_profile("north.police.sim", [*officers, new_officer("np-a", PASSPHRASE, ["auditor"], cost=MIN_COST)])


def test_a_profile_survives_being_written(profile: Profile) -> None:
    assert Profile.from_bytes(profile.to_bytes()) == profile


@pytest.mark.spec("NODE-80")
def test_what_an_officer_may_be_shown_survives_being_written() -> None:
    one = new_officer("np-1", PASSPHRASE, ["officer", "protection_officer"], cost=MIN_COST)
    until = datetime(2027, 3, 1, tzinfo=UTC)
    able = replace(one, clearance=Classification.SECRET, training={"victims": until}, cases=frozenset({"XN-2026/0417"}))
    profile = new_profile("north.police.sim", [able, replace(one, id="np-2", cases=frozenset())])
    again = Profile.from_bytes(profile.to_bytes())
    assert again == profile
    assert again.officers["np-1"].training == {"victims": until}
    assert again.officers["np-2"].cases == frozenset()  # no case at all, which is not every case
    assert (one.clearance, dict(one.training), one.cases) == (None, {}, None)


@pytest.mark.spec("NODE-10")
def test_a_passphrase_is_kept_as_a_salted_hash(profile: Profile) -> None:
    assert PASSPHRASE.encode() not in profile.to_bytes()
    one, other = hash_passphrase(PASSPHRASE, MIN_COST), hash_passphrase(PASSPHRASE, MIN_COST)
    assert one != other
    assert passphrase_fits(PASSPHRASE, one)
    assert not passphrase_fits(PASSPHRASE + " ", one)


@pytest.mark.spec("NODE-13")
def test_an_auditor_has_no_second_role() -> None:
    for other in ("officer", "release_officer"):
        with pytest.raises(SettingsRefused, match="auditor"):
            new_profile("north.police.sim", [new_officer("np-a", PASSPHRASE, ["auditor", other], cost=MIN_COST)])


def test_a_role_is_asked_for_by_name(profile: Profile) -> None:
    profile.officers["np-1"].must_be(OfficerRole.OFFICER, OfficerRole.RELEASE_OFFICER)
    with pytest.raises(RoleMissing, match="release_officer"):
        profile.officers["np-1"].must_be(OfficerRole.RELEASE_OFFICER)


@pytest.mark.spec("NODE-2")
@pytest.mark.parametrize(
    "change",
    [
        {"roles": []},
        {"roles": ["chief"]},
        {"roles": "officer"},
        {"id": ""},
        {"id": "np 1"},
        {"passphrase": PASSPHRASE},
        {"passphrase": "scrypt$8192$" + "A" * 22 + "$" + "A" * 43},
        {"passphrase": "scrypt$16385$" + "A" * 22 + "$" + "A" * 43},
        {"passphrase": "scrypt$16384$AAAA$" + "A" * 43},
        {"name": "Tobin Marrow"},
        {"clearance": "cosmic"},
        {"clearance": None},
        {"training": ["traffic"]},
        {"training": {"Traffic": "2027-01-01T00:00:00Z"}},
        {"training": {"traffic": "next year"}},
        {"training": {"traffic": None}},
        {"cases": "XN-2026/0417"},
        {"cases": [""]},
        {"cases": [7]},
    ],
)
def test_an_unsafe_profile_is_refused(profile: Profile, change: dict[str, object]) -> None:
    value = json.loads(profile.to_bytes())
    value["officers"][0] |= change
    with pytest.raises(SettingsRefused):
        Profile.from_bytes(json.dumps(value).encode())


def test_an_officer_is_listed_once(profile: Profile) -> None:
    one = profile.officers["np-1"]
    with pytest.raises(SettingsRefused, match="twice"):
        new_profile("north.police.sim", [one, one])


def test_a_short_passphrase_is_not_taken() -> None:
    with pytest.raises(SettingsRefused):
        hash_passphrase("short")

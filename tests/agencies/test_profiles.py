"""The simulated agencies are sound data: known codes, posts instead of names, agreements that can be signed."""

from __future__ import annotations

import re

import pytest

from agencies.profiles import OFFICER_ROLES, Plan, load_plans, load_terms
from exchange.protocol.terms import parse_terms, write_terms
from exchange.protocol.vocabulary import Classification, Role
from keys.encoding import digest

PLANS = load_plans()


def test_the_agencies_of_the_story_are_there() -> None:
    roles = {role for plan in PLANS for role in plan.roles}
    assert {"police", "border_guard", "fiu", "ngo", "hub", "prosecutor"} <= roles
    assert len({plan.territory for plan in PLANS if "police" in plan.roles}) >= 2


@pytest.mark.parametrize("plan", PLANS, ids=[plan.id for plan in PLANS])
def test_an_agency_is_plainly_invented(plan: Plan) -> None:
    assert plan.id.endswith(".sim")
    assert "(SIMULATION)" in plan.name
    assert re.fullmatch(r"X[A-Z]", plan.territory)
    assert all(Role(role) for role in plan.roles)
    assert Classification(plan.ceiling)


@pytest.mark.parametrize("plan", PLANS, ids=[plan.id for plan in PLANS])
def test_officers_are_posts_and_an_auditor_is_nothing_else(plan: Plan) -> None:
    roles = [role for officer in plan.officers for role in officer.roles]
    assert {"officer", "release_officer", "auditor"} <= set(roles) <= OFFICER_ROLES
    assert roles.count("release_officer") >= 2  # where a second approver is asked for, one person is not enough
    assert len({officer.id for officer in plan.officers}) == len(plan.officers)
    for officer in plan.officers:
        assert "auditor" not in officer.roles or officer.roles == ("auditor",)
        assert re.search(r"officer|analyst|auditor|worker|lead|counsel|desk", officer.display, re.IGNORECASE)


def test_every_agreement_can_be_signed_by_agencies_that_exist() -> None:
    known = {plan.id for plan in PLANS}
    for name, terms in load_terms().items():
        read = parse_terms(write_terms({**terms, "fed": digest(b"x")}))
        assert set(read.parties) <= known
        assert name == read.id
        assert "(SIMULATION)" in read.title

"""The comparison of two versions is exact: its witnesses differ, and what it does not name does not."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from agencies.profiles import load_plans, load_terms
from exchange.drafting.difference import Difference, compare
from exchange.drafting.reach import suppose
from exchange.protocol.agreement import Agreement
from exchange.protocol.decision import RecipientDecision, decide
from exchange.protocol.matching import Party, Request
from exchange.protocol.obligations import Obligations
from exchange.protocol.terms import write_terms
from keys.encoding import digest
from tests.exchange.drafting.test_reach import point
from tests.exchange.protocol import random_drafts as drafts

LIBRARY = load_terms()
PLANS = {plan.id: Party(plan.id, plan.roles, plan.ceiling, plan.territory) for plan in load_plans()}


def agreement(terms: dict[str, Any]) -> Agreement:
    return suppose(write_terms({**terms, "fed": digest(b"x")}), drafts.SINCE)


def compared(old: dict[str, Any], new: dict[str, Any], *beside: dict[str, Any]) -> Difference:
    parties = PLANS if old["id"] in LIBRARY else drafts.PARTIES
    return compare(agreement(old), agreement(new), parties, drafts.NOW, [agreement(one) for one in beside])


class Asked:
    """One version in force beside others, to be asked."""

    def __init__(self, terms: dict[str, Any], *beside: dict[str, Any]) -> None:
        self.named, *others = (drafts.in_force(one) for one in (terms, *beside))
        self.book = drafts.scene_of(self.named, *others).book

    def __call__(self, request: Request) -> RecipientDecision:
        return decide(replace(request, agreement=self.named.digest), self.book, drafts.NOW).per_recipient[0]


@pytest.mark.spec("DRF-30", "DRF-31")
def test_every_witness_differs_under_decide_and_what_no_box_holds_does_not() -> None:
    rng, seen = Random(30), {"gained": 0, "lost": 0, "shift": 0, "same": 0}
    for _ in range(120):
        old = drafts.random_terms(rng)
        new, other = drafts.changed(rng, old), drafts.random_terms(rng, "other", 2)
        found, was, will = compared(old, new, other), Asked(old, other), Asked(new, other)
        for change in (*found.gained, *found.lost):
            before, after = was(change.witness.request), will(change.witness.request)
            assert (before.outcome, after.outcome) == (
                ("deny", "permit") if change.kind == "gained" else ("permit", "deny")
            )
            assert (change.witness.before, change.witness.after) == (before, after)
            assert change.count == sum(found.space.size(box) for _, _, box in change.boxes) > 0
            seen[change.kind] += 1
        for shift in found.shifts:
            before, after = was(shift.witness.request), will(shift.witness.request)
            assert before.outcome == after.outcome == "permit"
            assert before.obligations != after.obligations
            seen["shift"] += 1
        for _ in range(40):
            request = drafts.random_request(rng, "")
            before, after = was(request), will(request)
            pair = request.discloser.id, request.recipients[0].id
            here = point(found.space, request)
            kinds = {
                c.kind for c in (*found.gained, *found.lost) for d, r, b in c.boxes if (d, r) == pair and here.within(b)
            }
            real = {"deny": "gained", "permit": "lost"}[before.outcome] if before.outcome != after.outcome else None
            assert kinds == ({real} if real else set())
            if not found.shifts and before.outcome == after.outcome:
                assert before.obligations == after.obligations
            seen["same"] += found.none
    assert all(count > 5 for count in seen.values()), seen


@pytest.mark.spec("DRF-32")
def test_counts_are_exact() -> None:
    """A type more for one pair: as many requests as the clause has with that type, and no other."""
    old = LIBRARY["north-evidence"]
    direct = old["clauses"][1]
    new = {**old, "clauses": [old["clauses"][0], {**direct, "types": [*direct["types"], "spontaneous_info"]}]}
    (change,), found = compared(old, new).gained, compared(old, new)
    assert (change.clause, change.pairs) == ("direct", (("north.prosecutor.sim", "north.police.sim"),))
    # purposes x crimes x urgencies x levels up to confidential x exemptions or none x sets of categories x of marks
    assert change.count == 2 * 5 * 4 * 3 * 4 * 2 ** len(direct["cats"]) * 2**4
    assert found.lost == ()
    assert found.shifts == ()
    assert change.witness.request.type == "spontaneous_info"
    back = compared(new, old)
    assert [(one.count, one.pairs) for one in back.lost] == [(change.count, change.pairs)]


def test_the_same_agreement_does_not_differ_from_itself() -> None:
    for terms in LIBRARY.values():
        assert compared(terms, terms).none
        turned = {**terms, "version": 1, "clauses": terms["clauses"][::-1], "title": "Another title (SIMULATION)"}
        found = compared(terms, turned)
        assert found.none
        assert found.frame == (f"title: {terms['title']} -> Another title (SIMULATION)",)


@pytest.mark.spec("DRF-33")
@pytest.mark.parametrize(
    ("change", "member", "way"),
    [
        ({"retention_days": 30}, "retention_days", "tighter"),
        ({"retention_days": 3000}, "retention_days", "looser"),
        ({"onward": "none"}, "onward", "tighter"),
        ({"onward": "within_parties"}, "onward", "looser"),
        ({"evidence": False}, "evidence", "tighter"),
        ({"human_release": False}, "human_release", "looser"),
        ({"review_days": 20}, "review_days", "tighter"),
        ({"readers": {"training": ["evidence"]}}, "readers", "tighter"),
    ],
)
def test_obligations_are_tightened_or_loosened(change: dict[str, Any], member: str, way: str) -> None:
    old = LIBRARY["north-evidence"]
    clause = old["clauses"][0]
    new = {**old, "clauses": [{**clause, "conditions": {**clause["conditions"], **change}}, old["clauses"][1]]}
    found = compared(old, new)
    assert not found.gained
    assert not found.lost
    assert {(name, direction) for shift in found.shifts for name, _, _, direction in shift.members} == {(member, way)}
    before, after = found.shifts[0].witness.before.obligations, found.shifts[0].witness.after.obligations
    assert isinstance(before, Obligations)
    assert isinstance(after, Obligations)
    assert getattr(before, member) != getattr(after, member)


def test_a_level_from_which_two_must_agree_changes_only_what_is_above_it() -> None:
    old = LIBRARY["north-evidence"]
    clause = old["clauses"][0]
    ties = {**clause["conditions"], "second_approver": "confidential"}
    found = compared(old, {**old, "clauses": [{**clause, "conditions": ties}, old["clauses"][1]]})
    (shift,) = found.shifts
    assert shift.members == (("second_approver", False, True, "tighter"),)
    assert shift.witness.request.classification == "confidential"


def test_what_differs_around_the_clauses_is_said() -> None:
    old = LIBRARY["two-harbours-team"]
    new = {**old, "purge_days": 7, "bases": ["untoc_19"], "territory": ["XN", "XS"], "end": "2027-06-01T00:00:00Z"}
    said = compared(old, {**new, "groups": [{**old["groups"][0], "until": "2027-02-01T00:00:00Z"}, old["groups"][1]]})
    assert set(said.frame) == {
        "legal basis gone: jit_fd", "territory gone: XE", "purge_days: 28 -> 7", "group changed: core",
        "end: 2027-07-01T00:00:00.000Z -> 2027-06-01T00:00:00.000Z",
    }  # fmt: skip
    assert {change.clause for change in said.lost} == {"watch-for"}
    assert {member[0] for shift in said.shifts for member in shift.members} == {"purge_days"}

"""The linter finds what a drafter cannot have meant, and says nothing about sound agreements."""

from __future__ import annotations

from typing import Any

import pytest

from agencies.profiles import load_plans, load_terms
from exchange.protocol.drafting import Finding, find_faults, in_words
from exchange.protocol.terms import parse_terms, write_terms
from keys.encoding import digest

PLANS = {plan.id: plan for plan in load_plans()}
PERMIT: dict[str, Any] = {
    "id": "c1",
    "effect": "permit",
    "title": "Police may ask",
    "from": ["role:police"],
    "to": ["role:border_guard"],
    "types": ["info_request"],
    "purposes": ["investigate"],
    "crimes": ["immigrant_smuggling"],
    "cats": ["smug_a_routes", "person_suspect"],
    "class_max": "restricted",
    "conditions": {
        "handling_required": ["H2"],
        "urgency": ["normal"],
        "onward": "none",
        "retention_days": 90,
        "evidence": False,
        "human_release": True,
    },
}
FORBID: dict[str, Any] = {
    "id": "f1",
    "effect": "forbid",
    "title": "No",
    "from": ["party:any"],
    "to": ["role:border_guard"],
    "types": ["any"],
    "purposes": ["any"],
    "crimes": ["any"],
    "cats": ["person_victim"],
}


def faults(*clauses: dict[str, Any], roles: bool = True, **changes: Any) -> tuple[Finding, ...]:
    terms = {
        "fed": digest(b"x"), "id": "draft", "version": 1, "title": "A draft", "kind": "task_force",
        "parties": ["north.police.sim", "south.police.sim", "east.border.sim"], "bases": ["untoc_27"],
        "territory": ["XN", "XS", "XE"], "start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z",
        "clauses": list(clauses), **changes,
    }  # fmt: skip
    return find_faults(parse_terms(write_terms(terms)), PLANS if roles else None)


def test_a_sound_draft_has_no_findings() -> None:
    assert faults(PERMIT, FORBID) == ()
    assert faults(PERMIT, FORBID, roles=False) == ()


@pytest.mark.parametrize("name", sorted(load_terms()))
def test_the_agreements_of_the_simulation_have_no_errors(name: str) -> None:
    terms = parse_terms(write_terms({**load_terms()[name], "fed": digest(b"x")}))
    assert find_faults(terms, PLANS) == ()


CASES: list[tuple[str, tuple[dict[str, Any], ...], dict[str, Any], str]] = [
    ("no_basis", (PERMIT,), {"bases": []}, "no legal basis"),
    ("no_permit", (FORBID,), {}, "only forbids"),
    ("unknown_party", (PERMIT,), {"parties": ["north.police.sim", "east.border.sim", "west.sim"]}, "`west.sim`"),
    ("outside_territory", (PERMIT,), {"territory": ["XN", "XE"]}, "`south.police.sim` works in XS"),
    ("not_a_party", ({**PERMIT, "to": ["north.fiu.sim"]},), {}, "`to` names `north.fiu.sim`"),
    ("role_of_nobody", ({**PERMIT, "to": ["role:hub", "role:border_guard"]},), {}, "no party has that role"),
    ("only_itself", ({**PERMIT, "from": ["role:border_guard"]},), {}, "only `east.border.sim`"),
    ("empty_list", ({**PERMIT, "types": []},), {}, "`types` is empty"),
    ("empty_list", ({**PERMIT, "conditions": {**PERMIT["conditions"], "urgency": []}},), {}, "`conditions.urgency`"),
    ("empty_list", (PERMIT, {**FORBID, "cats": []}), {}, "`cats` is empty"),
    ("mixed_categories", ({**PERMIT, "cats": ["smug_e_legislative", "person_contact"]},), {}, "make two clauses"),
    ("unreachable", (PERMIT, {**FORBID, "cats": ["any"]}), {}, "can never match"),
    ("unreachable", (PERMIT, {**FORBID, "cats": PERMIT["cats"]}), {}, "every category"),
    ("contradiction", ({**PERMIT, "cats": ["smug_a_routes", "person_victim"]}, FORBID), {}, "`person_victim`"),
    ("above_ceiling", ({**PERMIT, "class_max": "secret"},), {}, "`east.border.sim` may receive restricted at most"),
]


@pytest.mark.parametrize(
    ("code", "clauses", "changes", "words"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)]
)
def test_what_cannot_have_been_meant_is_found(
    code: str, clauses: tuple[dict[str, Any], ...], changes: dict[str, Any], words: str
) -> None:
    found = faults(*clauses, **changes)
    assert [finding.code for finding in found] == [code]
    assert words in found[0].sentence


def test_person_data_without_a_retention_period_is_found() -> None:
    conditions = {name: value for name, value in PERMIT["conditions"].items() if name != "retention_days"}
    (found,) = faults({**PERMIT, "conditions": conditions})
    assert (found.code, found.level, found.clause) == ("no_retention", "warning", "c1")
    assert faults({**PERMIT, "cats": ["smug_a_routes"], "conditions": conditions}) == ()


def test_a_forbid_for_some_only_makes_nothing_unreachable() -> None:
    narrow = {**FORBID, "cats": ["any"], "types": ["info_reply"]}
    assert faults(PERMIT, narrow) == ()
    assert faults(PERMIT, {**FORBID, "cats": ["any"], "from": ["south.police.sim"]}) == ()


def test_errors_come_first() -> None:
    levels = [finding.level for finding in faults({**PERMIT, "class_max": "secret"}, bases=[], territory=["XQ"])]
    assert levels == sorted(levels)
    assert levels[0] == "error"


def test_clauses_are_said_in_words() -> None:
    terms = parse_terms(write_terms({**load_terms()["victim-referral"], "fed": digest(b"x")}))
    said = {clause.id: in_words(clause) for clause in terms.clauses}
    assert said["refer"].startswith("any police may tell any NGO what carries nothing but person victim, data minor,")
    assert "only if marked H2" in said["refer"]
    assert "keeps it 180 days at most, never passes it on, and may not use it as evidence." in said["refer"]
    assert said["no-query"] == (
        "any NGO may not tell any party anything at all. As info request; for anything; about anything."
    )

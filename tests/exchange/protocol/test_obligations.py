"""Obligations: the strictest of what clauses, agreement and message ask, worked out from the log alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.protocol.decision import decide
from exchange.protocol.entry import DisclosureEntry, Permitted
from exchange.protocol.matching import Request
from exchange.protocol.obligations import Obligations, Readers, bound, owed
from exchange.protocol.policy import PolicyBook
from exchange.protocol.terms import Permit, parse_terms, write_terms
from exchange.protocol.vocabulary import Onward
from keys.encoding import digest, stamp
from tests.exchange.protocol import reference_policy as ref
from tests.exchange.protocol.reference_policy import admitted
from tests.exchange.protocol.test_terms import PERMIT, TERMS

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LOOSE = Obligations("within_parties", True, False, False, None, None, None, None)


def clause(**conditions: Any) -> Permit:
    said = {**PERMIT, "conditions": {**_BARE, **conditions}}
    (permit,) = parse_terms(write_terms({**TERMS, "clauses": [said]})).clauses
    assert isinstance(permit, Permit)
    return permit


_BARE: dict[str, Any] = {
    "handling_required": [], "urgency": ["normal"], "onward": "within_parties", "evidence": True,
    "human_release": False,
}  # fmt: skip


def tied(*clauses: Permit, cats: tuple[str, ...] = (), handling: tuple[str, ...] = ("H0",), **more: Any) -> Obligations:
    return bound(
        clauses, more.get("purge_days"), classification=more.get("level", "restricted"), cats=cats, handling=handling
    )


@pytest.mark.spec("AGR-53")
@pytest.mark.parametrize(
    ("onward", "handling", "bound_to"),
    [
        ("within_parties", ("H0",), "within_parties"), ("within_parties", ("H2",), "by_consent"),
        ("within_parties", ("H1", "H2", "H3"), "by_consent"), ("by_consent", ("H2",), "by_consent"),
        ("by_field", ("H2",), "by_field"), ("none", ("H2",), "none"), ("by_field", ("H0",), "by_field"),
    ],
)  # fmt: skip
def test_h2_makes_onward_sharing_ask_for_consent_and_never_opens_it(
    onward: str, handling: tuple[str, ...], bound_to: str
) -> None:
    assert tied(clause(onward=onward), handling=handling).onward == bound_to


@pytest.mark.spec("AGR-53")
def test_h1_takes_evidence_back_and_nothing_gives_it() -> None:
    assert tied(clause(evidence=True)).evidence
    assert not tied(clause(evidence=True), handling=("H1",)).evidence
    assert not tied(clause(evidence=False), handling=("H0", "H2", "H3")).evidence


@pytest.mark.spec("AGR-53", "AGR-56")
def test_special_categories_always_take_two() -> None:
    both = tied(clause(), cats=("data_special_category",))
    assert (both.second_approver, both.human_release) == (True, True)
    assert (tied(clause(), cats=("person_victim",)).second_approver, tied(clause()).human_release) == (False, False)


@pytest.mark.spec("AGR-56")
@pytest.mark.parametrize(
    ("level", "two"), [("unclassified", False), ("restricted", False), ("confidential", True), ("secret", True)]
)
def test_from_the_named_level_upward_two_release_officers_must_agree(level: str, two: bool) -> None:
    found = tied(clause(second_approver="confidential"), level=level)
    assert (found.second_approver, found.human_release) == (two, two)
    assert tied(clause(second_approver="unclassified"), level=level).second_approver
    assert tied(clause(), clause(second_approver="confidential"), level=level).second_approver is two


@pytest.mark.spec("AGR-55")
def test_readers_of_several_clauses_must_satisfy_all() -> None:
    officers = {"clearance": "restricted", "training": ["smuggling", "trafficking"], "roles": ["officer", "analyst"]}
    analysts = {"clearance": "secret", "training": ["asylum"], "roles": ["analyst", "auditor"]}
    found = tied(clause(readers=officers), clause(readers=analysts), clause(), clause(readers={"training": []}))
    assert found.readers == Readers("secret", ("asylum", "smuggling", "trafficking"), ("analyst",))
    nobody = tied(clause(readers={"roles": ["officer"]}), clause(readers={"roles": ["auditor"]}))
    assert nobody.readers == Readers(None, (), ())
    assert nobody.to_json()["readers"] == {"training": [], "roles": []}
    assert tied(clause()).readers is None


@pytest.mark.spec("AGR-36")
def test_the_strictest_of_each_binds_and_the_order_means_nothing() -> None:
    one = clause(onward="by_field", retention_days=90, review_days=30, evidence=True)
    two = clause(onward="by_consent", retention_days=60, evidence=False, human_release=True)
    found = tied(one, two, purge_days=7)
    assert found == tied(two, one, purge_days=7)
    assert found == Obligations("by_field", False, True, False, 60, 30, 7, None)


@given(st.randoms(use_true_random=False))
def test_one_more_clause_and_one_more_code_only_ever_tighten(rng: Any) -> None:
    rank = {str(onward): onward.rank for onward in Onward}
    clauses = [clause(**_random(rng)) for _ in range(3)]
    few, many = tied(*clauses[:2]), tied(*clauses, cats=("data_special_category",), handling=("H1", "H2"))
    assert rank[many.onward] >= rank[few.onward]
    assert many.evidence <= few.evidence
    assert (many.human_release, many.second_approver) >= (few.human_release, few.second_approver)
    assert (many.retention_days or 9999) <= (few.retention_days or 9999)
    assert (many.review_days or 9999) <= (few.review_days or 9999)


def _random(rng: Any) -> dict[str, Any]:
    """Some obligations, in any combination."""
    said: dict[str, Any] = {
        "onward": rng.choice([str(onward) for onward in Onward]),
        "evidence": rng.random() < 0.5,
        "human_release": rng.random() < 0.5,
    }
    more: dict[str, Any] = {
        "retention_days": rng.randint(100, 200),
        "review_days": rng.randint(1, 100),
        "second_approver": rng.choice(["restricted", "secret"]),
        "readers": {"training": rng.sample(["a", "b", "c"], 2), "roles": rng.sample(["d", "e", "f"], 2)},
    }
    return said | {name: value for name, value in more.items() if rng.random() < 0.5}


@given(st.randoms(use_true_random=False))
def test_what_is_written_is_read_back(rng: Any) -> None:
    found = tied(clause(**_random(rng)), clause(**_random(rng)), purge_days=rng.choice([None, 0, 7]))
    assert Obligations.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.spec("AGR-54")
def test_days_count_from_the_log_time_and_a_purge_from_the_end() -> None:
    ended = NOW + timedelta(days=10)
    kept = replace(LOOSE, retention_days=90, review_days=30, purge_days=7)
    assert kept.review_at(NOW) == NOW + timedelta(days=30)
    assert kept.erase_at(NOW, None) == NOW + timedelta(days=90)
    assert kept.erase_at(NOW, ended) == ended + timedelta(days=7)
    assert kept.erase_at(NOW, NOW + timedelta(days=85)) == NOW + timedelta(days=90)
    assert kept.erase_at(ended, NOW) == ended + timedelta(days=7)  # disclosed after the end: by the floor alone
    assert replace(kept, retention_days=None).erase_at(NOW, None) is None
    assert replace(kept, purge_days=0).erase_at(NOW, ended) == ended
    assert (LOOSE.review_at(NOW), LOOSE.erase_at(NOW, ended)) == (None, None)


# --- from the log --------------------------------------------------------------------------------------------------


def entry_of(request: Request, clauses: list[tuple[str, ...]], policy: str) -> DisclosureEntry:
    return DisclosureEntry(
        ts=stamp(NOW), msg=digest(b"m"), id="01900000-0000-7000-8000-000000000000", from_=request.discloser.id,
        to=tuple(Permitted(id=p.id, clauses=c) for p, c in zip(request.recipients, clauses, strict=True)),
        agr=request.agreement, type=request.type, purpose=request.purpose, crime=request.crime,
        class_=request.classification, handling=tuple(sorted(request.handling)), cats=tuple(sorted(request.cats)),
        urgency=request.urgency, policy=policy,
    )  # fmt: skip


@pytest.mark.spec("AGR-59")
def test_a_recipient_works_out_from_the_entry_what_the_decision_tied_to_it() -> None:
    rng, permitted = Random(59), 0
    for _ in range(300):
        logged = ref.random_log(rng, forbid=0)
        now = ref.random_now(rng)
        request = ref.random_request(rng, logged, now)
        decision = decide(request, logged.book(), now)
        if not decision.permitted:
            continue
        permitted += 1
        named = logged.book().get(request.agreement)
        assert named is not None
        entry = entry_of(request, [one.clauses for one in decision.per_recipient], decision.policy)
        for one in decision.per_recipient:
            assert owed(entry, one.recipient, named.terms) == one.obligations
    assert permitted > 20


@pytest.mark.spec("AGR-59", "AGR-67")
def test_what_came_by_the_floor_is_bound_by_the_floor_and_never_purged() -> None:
    payload = write_terms({**TERMS, "parties": [*TERMS["parties"], ref.AGENCIES[0].id][:3], "purge_days": 0})
    request = Request(
        ref.AGENCIES[0], (ref.AGENCIES[1],), digest(payload), "exculpatory_notice", "prosecute", "terrorism",
        frozenset(), "restricted", frozenset({"H2"}), "none",
    )  # fmt: skip
    decision = decide(request, PolicyBook.build([admitted(payload, NOW)]), NOW)
    (one,) = decision.per_recipient
    entry = entry_of(request, [one.clauses], decision.policy)
    assert owed(entry, one.recipient, parse_terms(payload)) == one.obligations
    assert one.obligations == replace(LOOSE, onward="by_consent")


def test_an_entry_that_names_what_the_agreement_does_not_have_is_nobodys_obligation() -> None:
    payload = write_terms(TERMS)
    request = Request(
        ref.AGENCIES[0], (ref.AGENCIES[1],), digest(payload), "info_request", "investigate", "terrorism", frozenset(),
        "restricted", frozenset({"H0"}), "none",
    )  # fmt: skip
    for clauses, recipient in ((("c9",), ref.AGENCIES[1].id), (("c1",), "nobody.sim"), (("f1",), ref.AGENCIES[1].id)):
        with pytest.raises(KeyError):
            owed(entry_of(request, [clauses], digest(b"")), recipient, parse_terms(payload))

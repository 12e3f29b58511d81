"""What ``ix agreement explain`` answers: yes exactly when something is permitted, and what it proposes is permitted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest

from agencies.profiles import load_plans, load_terms
from exchange.drafting.asking import Answer, Question, ask
from exchange.drafting.reach import Scene, suppose
from exchange.protocol.decision import decide
from exchange.protocol.matching import Party
from exchange.protocol.policy import PolicyBook
from exchange.protocol.terms import write_terms
from keys.encoding import digest
from tests.exchange.protocol import random_drafts as drafts

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PLANS = {plan.id: Party(plan.id, plan.roles, plan.ceiling, plan.territory) for plan in load_plans()}
LIBRARY = Scene(
    PLANS,
    PolicyBook.build(suppose(write_terms({**terms, "fed": digest(b"x")}), NOW) for terms in load_terms().values()),
    NOW,
)
NORTH, SOUTH, EAST, FIU = "north.police.sim", "south.police.sim", "east.border.sim", "north.fiu.sim"
NGO, HUB, COURT = "harbour.ngo.sim", "coast.hub.sim", "north.prosecutor.sim"
REFERRAL = Question(
    NORTH, NGO, None, "victim_referral", "victim_protection", "human_trafficking", frozenset({"person_victim"}),
    "restricted", frozenset({"H2"}), "normal",
)  # fmt: skip


def asked(question: Question) -> Answer:
    return ask(question, LIBRARY)


@pytest.mark.spec("DRF-40")
def test_a_yes_names_agreement_clause_and_strings() -> None:
    (way,) = asked(REFERRAL).ways
    assert (way.agreement.terms.id, way.decision.clauses, way.whole, way.needs) == (
        "victim-referral",
        ("refer",),
        True,
        (),
    )
    assert way.decision.obligations is not None
    assert way.decision.obligations.onward == "none"
    said = way.to_json()["in_words"]
    assert "the recipient never passes it on" in said
    assert "it is erased after 180 days" in said


def test_what_is_left_open_is_answered_by_the_codes_with_which_it_holds() -> None:
    found = asked(Question(FIU, NORTH, type="info_reply", purpose="asset_tracing"))
    ways = {way.agreement.terms.id: way for way in found.ways}
    assert set(ways) == {"fiu-police", "smuggling-task-force"}
    assert not ways["fiu-police"].whole
    assert ways["fiu-police"].needs == ("marked H1", "marked H2")
    assert "data_financial" in ways["fiu-police"].open["cats"]
    assert "corruption" in ways["fiu-police"].open["crime"]
    assert "corruption" not in ways["smuggling-task-force"].open["crime"]


def test_what_ties_only_some_of_what_was_left_open_is_said_too() -> None:
    ways = {way.agreement.terms.id: way for way in asked(Question(NORTH, SOUTH, type="info_reply")).ways}
    assert ways["north-south-police"].more == (
        "from confidential upward two release officers of the sender must agree",
    )
    (refer,) = asked(Question(NORTH, NGO, type="victim_referral")).ways
    assert refer.more == ("with special categories of data two release officers of the sender must agree",)
    assert asked(REFERRAL).ways[0].more == ()


def test_a_copy_is_named_as_needed() -> None:
    (way,) = asked(
        Question(EAST, SOUTH, agreement="coast-hub", type="hit_report", cats=frozenset({"person_suspect"}))
    ).ways
    assert way.needs == ("a copy to coast.hub.sim",)
    assert [party.id for party in way.request.recipients] == [SOUTH, HUB]


CASES = [
    (replace(REFERRAL, cats=frozenset({"person_victim", "person_suspect"})), "forbidden", "leave out `person_suspect`"),
    (replace(REFERRAL, handling=frozenset()), "no_clause", "mark it `H2`"),
    (replace(REFERRAL, classification="confidential"), "above_ceiling", "classified restricted or lower"),
    (replace(REFERRAL, purpose="prevent"), "no_clause", "`victim_protection` instead of `prevent`"),
    (replace(REFERRAL, type="info_reply"), "no_clause", "send it as `victim_referral`"),
    (replace(REFERRAL, discloser=NGO, type="info_request"), "forbidden", "tell `north.police.sim`"),
    (replace(REFERRAL, recipient=COURT), "no_clause", "tell `harbour.ngo.sim` (ngo) instead"),
    (replace(REFERRAL, agreement="north-evidence"), "not_a_party", "name the agreement `victim-referral`"),
    (replace(REFERRAL, crime="corruption"), "no_clause", "if it is really about `immigrant_smuggling`"),
]


@pytest.mark.spec("DRF-41")
@pytest.mark.parametrize(("question", "code", "words"), CASES, ids=[words for _, _, words in CASES])
def test_a_no_says_why_and_what_is_the_least_to_change(question: Question, code: str, words: str) -> None:
    if question.discloser == question.recipient:
        question = replace(question, recipient=SOUTH)
    found = asked(question)
    assert found.denial is not None
    assert found.denial.code == code or not found.bound
    assert any(words in remedy.sentence for remedy in found.remedies) or code == "forbidden"
    assert found.remedies


def test_a_no_holds_nothing_against_what_was_left_open() -> None:
    denial = asked(Question(NORTH, COURT, cats=frozenset({"data_minor", "smug_e_legislative"}))).denial
    assert denial is not None
    assert set(denial.nearest[0].members) == {"cats"}


def test_the_least_is_named_before_the_rest() -> None:
    question = Question(
        EAST, NORTH, "coast-hub", "info_reply", "investigate", "human_trafficking", frozenset({"person_suspect"}),
        "restricted", frozenset(), "normal", frozenset(),
    )  # fmt: skip
    found = asked(question).remedies
    order = [(len(remedy.changes), remedy.weight) for remedy in found]
    assert order == sorted(order)
    assert "send a copy to `coast.hub.sim`" in [said for remedy in found for _, said in remedy.changes]
    assert found[-1].changes[0][0] == "exempt"


def test_nobody_is_told_to_send_an_exculpatory_notice_instead() -> None:
    assert not asked(Question(NGO, FIU)).permitted
    assert not asked(Question(NGO, FIU)).bound
    said = str(asked(replace(REFERRAL, type="info_request")).to_json())
    assert "floor-exculp" not in said
    yes = asked(Question(NGO, NORTH, type="exculpatory_notice", cats=frozenset()))
    assert {way.decision.clauses for way in yes.ways} == {("floor-exculp",)}


@pytest.mark.spec("DRF-40", "DRF-41", "DRF-22")
def test_an_answer_is_yes_exactly_when_decide_permits_and_no_proposal_would_be_denied() -> None:
    """Over random agreements: one fully given question is one request, and every proposal has been decided."""
    rng, seen = Random(40), {True: 0, False: 0, "remedies": 0}
    for _ in range(60):
        agreements = [drafts.in_force(drafts.random_terms(rng, name)) for name in ("one", "two")]
        scene = drafts.scene_of(*agreements)
        for _ in range(4):
            request = drafts.near_request(rng, rng.choice(agreements))
            question = Question(
                request.discloser.id, request.recipients[0].id, request.agreement, request.type, request.purpose,
                request.crime, request.cats, request.classification, request.handling, request.urgency,
                frozenset(party.id for party in request.recipients), request.exempt or "",
            )  # fmt: skip
            found, real = ask(question, scene), decide(request, scene.book, drafts.NOW).per_recipient[0]
            if request.type != "exculpatory_notice" and real.clauses != ("floor-exculp",):
                assert found.permitted == (real.outcome == "permit"), (question, real)
            seen[found.permitted] += 1
            for remedy in found.remedies:
                again = decide(remedy.request, scene.book, drafts.NOW).per_recipient[0]
                assert again.outcome == "permit"
                seen["remedies"] += 1
            members = [{member for member, _ in remedy.changes} for remedy in found.remedies]
            assert not any(one < other for one in members for other in members)
    assert all(count > 10 for count in seen.values()), seen

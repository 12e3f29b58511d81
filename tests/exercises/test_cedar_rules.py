"""Cedar and we agree on every generated case, and on which clauses decided it, as far as Cedar can say (AGR-30)."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import cedarpy
import pytest

from exchange.protocol.decision import FORBIDDEN, PERMITTED, RecipientDecision, decide
from exchange.protocol.floor import FLOOR
from exchange.protocol.matching import Request
from exchange.protocol.policy import PolicyBook
from exchange.protocol.terms import write_terms
from exercises import cedar_rules
from tests.exchange.protocol import reference_policy as ref
from tests.exchange.protocol.reference_policy import T0, Logged, admitted


class Cedar:
    """The rules of a book at an instant, in Cedar's hands."""

    def __init__(self, book: PolicyBook, now: datetime) -> None:
        self.now = now
        self.policies = cedarpy.PolicySet.from_str(cedar_rules.policies(book, now))
        self.entities = cedarpy.Entities.from_json_str(json.dumps(cedar_rules.entities(book, ref.AGENCIES)))

    def asked(self, request: Request) -> list[tuple[bool, set[str]]]:
        """For each recipient whether Cedar allows, and the policies that decided."""
        questions = [cedar_rules.request(request, recipient, self.now) for recipient in request.recipients]
        answers = cedarpy.is_authorized_batch(questions, self.policies, self.entities)
        assert [answer.diagnostics.errors for answer in answers] == [[] for _ in answers]
        return [(a.allowed, set(a.diagnostics.id_annotations_by_reason.values())) for a in answers]


def ours(one: RecipientDecision, agreement: str) -> tuple[bool, set[str]]:
    """The same of our decision: a denial by default has no clause that decided it."""
    if one.code == PERMITTED:
        freed = {clause.id for clause in FLOOR.permits}
        decided = {f"{FLOOR.digest if clause in freed else agreement}/{clause}" for clause in one.clauses}
        # A notice that the floor frees may be permitted by the agreement as well; Cedar then names both.
        return True, decided
    return False, {f"{miss.agreement}/{miss.clause}" for miss in one.nearest} if one.code == FORBIDDEN else set()


def agree(seed: int, worlds: int, per_world: int) -> Counter[str]:
    """Ask both, many times; counts our codes."""
    rng, codes = Random(seed), Counter[str]()
    for _ in range(worlds):
        logged, now = ref.random_log(rng), ref.random_now(rng)
        book = logged.book()
        cedar = Cedar(book, now)
        for _ in range(per_world):
            request = replace(ref.random_request(rng, logged, now), sources=())
            decision = decide(request, book, now)
            codes[decision.code] += 1
            answers = cedar.asked(request)
            assert all(allowed for allowed, _ in answers) == decision.permitted
            for one, (allowed, decided) in zip(decision.per_recipient, answers, strict=True):
                expected, clauses = ours(one, request.agreement)
                assert allowed == expected, one.code
                assert clauses <= decided if one.clauses == ("floor-exculp",) else clauses == decided
    return codes


@pytest.mark.spec("AGR-30", "AGR-32")
def test_cedar_agrees_on_every_generated_case() -> None:
    codes = agree(seed=30, worlds=60, per_world=25)
    assert min(codes["permitted"], codes["forbidden"], codes["no_clause"]) > 50
    assert len(codes) >= 8


@pytest.mark.slow
@pytest.mark.spec("AGR-30")
def test_cedar_agrees_on_ten_thousand_more() -> None:
    assert agree(seed=31, worlds=200, per_world=50)["permitted"] > 500


def test_a_rule_changed_in_one_of_the_two_is_noticed() -> None:
    """So agreement means something: Cedar with one code more in one clause answers otherwise."""
    rng = Random(9)
    terms = {**ref.random_terms(rng, 1, forbid=0), "start": T0, "end": T0 + timedelta(days=90)}
    book, now = Logged([(write_terms(terms), T0)]).book(), T0 + timedelta(days=1)
    for clause in terms["clauses"]:
        clause["purposes"] = []
    stricter = PolicyBook.replay([admitted(write_terms(terms), T0)])
    cedar, differ = Cedar(stricter, now), 0
    for _ in range(200):
        logged = Logged([(book.agreements[0].statement.payload, T0)])
        request = replace(ref.random_request(rng, logged, now), sources=())
        differ += any(allowed for allowed, _ in cedar.asked(request)) != decide(request, book, now).permitted
    assert differ > 10

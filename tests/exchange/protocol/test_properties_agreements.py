"""Properties of deciding over random agreements and requests: nothing is permitted that no clause permits (AGR-30).

Whatever chance brings, the real decision equals that of the slow reference; order means nothing; a forbid only
ever takes away; a permit only ever tightens; and what was stored decides again, byte for byte.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given

from exchange.protocol.agreement import Agreement
from exchange.protocol.decision import CODES, Decision, decide
from exchange.protocol.matching import PermitTable, Request, by_misses
from exchange.protocol.policy import PolicyBook
from exchange.protocol.terms import Permit, write_terms
from exchange.protocol.vocabulary import Onward
from keys.encoding import digest, read_json
from tests.exchange.protocol import reference_policy as ref
from tests.exchange.protocol.decision_requests import read_request, write_request
from tests.exchange.protocol.reference_policy import T0, Logged, admitted, noted

NOW = T0 + timedelta(days=10)
Seen = Counter[str]


def compare(request: Request, logged: Logged, book: PolicyBook, now: datetime) -> Decision:
    """The real decision, after holding it against the slow one member by member."""
    real, slow = decide(request, book, now), ref.decide(request, logged, now)
    assert real.code == slow["code"]
    assert real.policy == slow["policy"]
    assert real.permitted == (real.code == "permitted")
    for one, expected in zip(real.per_recipient, slow["recipients"], strict=True):
        assert one.code == expected["code"]
        assert list(one.clauses) == expected["clauses"]
        assert (one.obligations.to_json() if one.obligations else None) == expected.get("obligations")
        found = [(miss.agreement, miss.clause, [c.member for c in miss.missed]) for miss in one.nearest]
        if one.code == "forbidden":
            assert [near[:2] for near in found] == [near[:2] for near in expected["nearest"]]
        elif one.code != "permitted":
            assert found == expected["nearest"]
    return real


def must_have_matched(real: Decision, request: Request, logged: Logged, now: datetime) -> None:
    """A permit names clauses of the agreement that the message named, and the request meets each in every condition."""
    for one, recipient in zip(real.per_recipient, request.recipients, strict=True):
        if ref.freed(request, recipient, logged, now):
            assert one.clauses == ("floor-exculp",)
            continue
        (terms,) = [terms for name, terms in ref.in_force(logged, now) if name == request.agreement]
        named = [clause for clause in terms["clauses"] if clause["id"] in one.clauses]
        assert named
        assert not any(ref.misses(clause, terms, request, recipient, now) for clause in named)
        assert not any(ref.judge_source(source, request, recipient, now) for source in request.sources)


def sweep(seed: int, requests: int, per_log: int = 20, every: int = 1) -> tuple[Seen, Seen]:
    """Decide so many random requests and hold every so-manieth against the reference, every permit against its clauses.

    Counts codes and missed conditions, to show that all occurred.
    """
    rng, codes, missed = Random(seed), Seen(), Seen()
    for _ in range(requests // per_log):
        logged = ref.random_log(rng)
        book = logged.book()
        for number in range(per_log):
            now = ref.random_now(rng)
            request = ref.random_request(rng, logged, now)
            real = decide(request, book, now) if number % every else compare(request, logged, book, now)
            codes[real.code] += 1
            missed.update(m for one in real.per_recipient for miss in one.nearest for m in miss.members)
            if real.permitted:
                must_have_matched(real, request, logged, now)
    return codes, missed


@pytest.mark.spec("AGR-30", "AGR-31", "AGR-33", "AGR-40")
def test_three_thousand_random_requests_are_decided_as_the_slow_reference_decides() -> None:
    """And not one is permitted without a clause that matches it in every member."""
    codes, missed = sweep(seed=4200, requests=3_000)
    assert set(codes) == {"permitted", *CODES}
    assert min(codes["permitted"], codes["forbidden"], codes["no_clause"]) > 150
    assert set(missed) == set(ref.MEMBERS)


@pytest.mark.slow
@pytest.mark.spec("AGR-30")
def test_of_a_hundred_thousand_random_requests_none_is_permitted_without_a_clause_that_matches() -> None:
    codes, _ = sweep(seed=7, requests=100_000, per_log=100, every=10)
    assert sum(codes.values()) == 100_000
    assert codes["permitted"] > 5_000


@given(ref.CHANCE)
def test_any_world_hypothesis_can_think_of_is_decided_as_the_reference_decides(rng: Random) -> None:
    logged, now = ref.random_log(rng), ref.random_now(rng)
    compare(ref.random_request(rng, logged, now), logged, logged.book(), now)


def shuffled(rng: Random, payload: bytes) -> bytes:
    """The same terms with every list in another order."""

    def stir(value: Any) -> Any:
        if type(value) is dict:
            return {name: stir(inner) for name, inner in value.items()}
        if type(value) is not list:
            return value
        stirred = [stir(inner) for inner in value]
        rng.shuffle(stirred)
        return stirred

    return write_terms(stir(read_json(payload, limit=10**6)))


@pytest.mark.spec("AGR-34")
@given(ref.CHANCE)
def test_the_order_of_clauses_agreements_and_listed_values_never_changes_an_outcome(rng: Random) -> None:
    logged = Logged([(write_terms(ref.random_terms(rng, n)), T0) for n in range(3)])
    request = ref.random_request(rng, logged)
    again = {payload: shuffled(rng, payload) for payload, _ in logged.agreements}
    other = Logged([(payload, T0) for payload in again.values()])
    rng.shuffle(other.agreements)
    renamed = {digest(old): digest(new) for old, new in again.items()}
    recipients = list(request.recipients)
    rng.shuffle(recipients)
    asked = replace(
        request,
        agreement=renamed.get(request.agreement, request.agreement),
        recipients=tuple(recipients),
        sources=tuple(reversed(request.sources)),
    )
    one, two = decide(request, logged.book(), NOW), decide(asked, other.book(), NOW)
    assert one.code == two.code
    said = [
        {r.recipient: (r.code, frozenset(r.clauses), r.obligations) for r in decision.per_recipient}
        for decision in (one, two)
    ]
    assert said[0] == said[1]


@pytest.mark.spec("AGR-32")
@given(ref.CHANCE)
def test_adding_a_forbid_never_permits(rng: Random) -> None:
    terms = ref.random_terms(rng, 1, forbid=0)
    before = Logged([(write_terms(terms), T0)])
    request = ref.random_request(rng, before)
    clause = ref.random_clause(rng, "extra", forbid=1)
    after = Logged([(write_terms({**terms, "clauses": [*terms["clauses"], clause]}), T0)])
    second = {**ref.random_terms(rng, 2), "clauses": [clause]}
    second.pop("groups", None)
    elsewhere = Logged([*before.agreements, (write_terms(second), T0)])
    was = decide(request, before.book(), NOW)
    inside = decide(replace(request, agreement=digest(after.agreements[0][0])), after.book(), NOW)
    outside = decide(request, elsewhere.book(), NOW)
    if request.agreement == digest(before.agreements[0][0]):
        assert inside.permitted <= was.permitted
    assert outside.permitted <= was.permitted


@pytest.mark.spec("AGR-36")
@given(ref.CHANCE)
def test_adding_a_permit_loosens_no_obligation(rng: Random) -> None:
    """Stricter wins among all clauses that permit, so a new one can only tighten (AGR-36)."""
    terms = ref.random_terms(rng, 1, forbid=0)
    before = Logged([(write_terms(terms), T0)])
    request = ref.random_request(rng, before)
    more = {**terms, "clauses": [*terms["clauses"], ref.random_clause(rng, "extra", forbid=0)]}
    after = Logged([(write_terms(more), T0)])
    was = decide(request, before.book(), NOW)
    then = decide(replace(request, agreement=digest(after.agreements[0][0])), after.book(), NOW)
    if was.permitted:
        assert then.permitted
        for one, two in zip(was.per_recipient, then.per_recipient, strict=True):
            assert one.obligations
            assert two.obligations
            must_be_no_looser(one.obligations.to_json(), two.obligations.to_json())


def must_be_no_looser(was: dict[str, Any], then: dict[str, Any]) -> None:
    """Nothing that the first asks for is given up by the second."""
    assert Onward(then["onward"]).rank >= Onward(was["onward"]).rank
    assert then["evidence"] <= was["evidence"]
    assert then["human_release"] >= was["human_release"]
    assert then["second_approver"] >= was["second_approver"]
    for member in ("retention_days", "review_days", "purge_days"):
        assert then.get(member, 10**6) <= was.get(member, 10**6)
    if "readers" in was:
        old, new = was["readers"], then["readers"]
        assert set(new["training"]) >= set(old["training"])
        assert ref.LEVELS.index(new.get("clearance", "unclassified")) >= ref.LEVELS.index(
            old.get("clearance", "unclassified")
        )
        assert "roles" not in old or set(new["roles"]) <= set(old["roles"])


@pytest.mark.spec("AGR-34", "AGR-38")
@given(ref.CHANCE)
def test_a_decision_replayed_from_its_inputs_is_identical(rng: Random) -> None:
    """As one was asked: in a busy book, in a fresh one, in one grown step by step, and from what was stored as JSON."""
    logged, now = ref.random_log(rng), ref.random_now(rng)
    request = ref.random_request(rng, logged, now)
    book, grown = logged.book(), PolicyBook()
    for _ in range(5):
        then = ref.random_now(rng)
        decide(ref.random_request(rng, logged, then), book, then)
    agreements = {payload for payload, _ in logged.agreements}
    for payload, at in logged.in_order():
        grown = grown.admit((admitted if payload in agreements else noted)(payload, at))
    stored = json.dumps(
        {
            "request": write_request(request),
            "agreements": [[payload.decode(), at.isoformat()] for payload, at in logged.agreements],
            "notices": [[payload.decode(), at.isoformat()] for payload, at in logged.notices],
            "now": now.isoformat(),
        }
    )
    answers = [decide(request, one, now) for one in (book, logged.book(), grown)] + [decide_stored(stored)]
    assert len({json.dumps(answer.to_json()) for answer in answers}) == 1


def decide_stored(stored: str) -> Decision:
    """Decide from nothing but a JSON text."""
    read = json.loads(stored)
    kept = {
        kind: [(payload.encode(), datetime.fromisoformat(at)) for payload, at in read[kind]]
        for kind in ("agreements", "notices")
    }
    return decide(read_request(read["request"]), Logged(**kept).book(), datetime.fromisoformat(read["now"]))


@given(ref.CHANCE)
def test_the_two_ways_to_ask_a_table_agree(rng: Random) -> None:
    """Counting all clauses at once finds what counting them one by one finds."""
    agreement: Agreement = admitted(write_terms(ref.random_terms(rng, 1, forbid=0)), T0)
    rows = [(agreement, c) for c in agreement.terms.clauses if isinstance(c, Permit)] * 7
    table = PermitTable(rows, NOW)
    request = ref.random_request(rng, Logged([(agreement.statement.payload, T0)]))
    met = table.met(request, request.discloser.names, request.recipients[0])
    counted = list(by_misses(table.count_misses(met), table.all))
    one_by_one = sorted((sum(not mask >> place & 1 for mask in met), place) for place in range(len(table.rows)))
    assert counted == one_by_one
    hits = table.hits(request, request.discloser.names, request.recipients[0])
    assert [place for count, place in counted if count == 0] == [p for p in range(len(table.rows)) if hits >> p & 1]

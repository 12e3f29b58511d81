"""The mandated decisions, run as anybody else would run them (AGR-68), and held to be complete."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from exchange.protocol.agreement import Agreement, Notice
from exchange.protocol.decision import CODES, PERMITTED, Decision, RecipientDecision, decide
from exchange.protocol.decision_cases import Case, CaseExpected, read_cases
from exchange.protocol.explanation import Miss
from exchange.protocol.matching import MEMBERS
from exchange.protocol.policy import PolicyBook
from exchange.protocol.terms import Forbid, parse_notice, parse_terms
from keys.encoding import b64u, digest, write_json
from keys.signing import Statement
from tests.exchange.protocol.decision_requests import read_request
from tests.vectors import make_decisions

DATA = make_decisions.FILE.read_bytes()
FILE = read_cases(DATA)
RAW: dict[str, Any] = json.loads(DATA)
PAYLOADS = {one["digest"]: write_json(one["terms"]) for one in [*RAW["agreements"], *RAW["notices"]]}
PAIRS = list(zip(FILE.cases, RAW["cases"], strict=True))
AGENCIES = {agency["id"]: agency for agency in RAW["agencies"]}


def logged(entry: Any) -> Agreement | Notice:
    """What an entry logs, as if all who must had signed it."""
    payload = PAYLOADS[entry.statement]
    statement = Statement(b64u(payload), payload, ())
    if any(agreement.digest == entry.statement for agreement in FILE.agreements):
        terms = parse_terms(payload)
        return Agreement(entry.statement, statement, terms, terms.parties, entry.at)
    return Notice(entry.statement, statement, parse_notice(payload), entry.at)


def run(case: Case, raw: dict[str, Any]) -> Decision:
    """Decide one case."""
    asked = {
        **raw["request"],
        "from": AGENCIES[raw["request"]["from"]],
        "to": [AGENCIES[i] for i in raw["request"]["to"]],
    }
    return decide(read_request(asked), PolicyBook.replay(map(logged, case.log)), case.now)


def told(decision: Decision) -> dict[str, Any]:
    """A decision in the form of a case's ``expected``."""
    return {
        "outcome": decision.outcome,
        "code": decision.code,
        "policy": decision.policy,
        "recipients": [_recipient(one) for one in decision.per_recipient],
    }


def _recipient(one: RecipientDecision) -> dict[str, Any]:
    owed = {} if one.obligations is None else {"obligations": one.obligations.to_json()}
    nearest = [_near(miss) for miss in one.nearest]
    return {"id": one.recipient, "code": one.code, "clauses": list(one.clauses), **owed, "nearest": nearest}


def _near(miss: Miss) -> dict[str, Any]:
    members = {"agreement": miss.agreement, "clause": miss.clause}
    if isinstance(miss.rule, Forbid):
        (condition,) = miss.missed
        return {**members, "caught": list(condition.have) if condition.member == "cats" else []}
    return {**members, "missed": [condition.member for condition in miss.missed]}


@pytest.mark.spec("AGR-68")
@pytest.mark.parametrize(("case", "raw"), PAIRS, ids=[case.name for case in FILE.cases])
def test_a_mandated_decision_is_made(case: Case, raw: dict[str, Any]) -> None:
    assert told(run(case, raw)) == raw["expected"]


def test_there_are_enough_of_them_and_none_twice() -> None:
    assert len(FILE.cases) >= 60
    assert len({case.name for case in FILE.cases}) == len(FILE.cases)
    asked = [json.dumps([raw["log"], raw["now"], raw["request"]]) for raw in RAW["cases"]]
    assert len(set(asked)) == len(asked)


def test_every_code_every_condition_and_every_clause_of_the_floor_has_a_case() -> None:
    expected: list[CaseExpected] = [case.expected for case in FILE.cases]
    everyone = [one for e in expected for one in e.recipients]
    assert {one.code for one in everyone} == {PERMITTED, *CODES}
    assert {e.code for e in expected} == {PERMITTED, *CODES}
    alone = {near.missed[0] for one in everyone for near in one.nearest if near.missed and len(near.missed) == 1}
    assert alone == {*MEMBERS, "source"}
    clauses = {clause for one in everyone for clause in one.clauses if clause.startswith("floor-")}
    assert clauses == {"floor-exculp", "floor-query", "floor-ngo", "floor-victim", "floor-source"}
    owed = [one.obligations for one in everyone if one.obligations]
    for member in ("retention_days", "review_days", "purge_days", "readers", "second_approver", "human_release"):
        assert any(getattr(one, member) for one in owed), member
    assert {one.onward for one in owed} == {"within_parties", "by_consent", "by_field", "none"}


def test_the_rules_that_a_case_follows_from_are_those_of_the_specification() -> None:
    cited = {rule for case in FILE.cases for rule in case.rules}
    text = (make_decisions.FILE.parents[2] / "spec" / "agreements.md").read_text(encoding="utf-8")
    assert not [rule for rule in cited if f"**{rule}**" not in text]
    assert cited >= {f"AGR-{n}" for n in (7, 8, 9, 11, 18, 21, 25, 26, 30, 31, 32, 33, 35, 36, 39, 40, 41, 42)}
    assert cited >= {f"AGR-{n}" for n in (51, 52, 53, 54, 55, 56, 57, 58, 61, 62, 63, 66, 67)}


def test_digests_are_of_the_terms_as_they_stand_in_the_file() -> None:
    assert all(digest(payload) == name for name, payload in PAYLOADS.items())


def test_the_file_is_the_one_that_is_written() -> None:
    """Write it again with: python -m tests.vectors.make_decisions"""
    assert DATA.decode() == make_decisions.write()


def test_a_file_of_another_form_is_refused() -> None:
    for change in ({"more": 1}, {"cases": []}, {"agencies": None}):
        with pytest.raises(ValidationError):
            read_cases(json.dumps({**RAW, **change}).encode())
    with pytest.raises(ValueError, match="too long"):
        read_cases(b" " * (4 * 1024 * 1024 + 1))


def test_an_expectation_that_is_wrong_is_noticed() -> None:
    """So passing means something."""
    case, raw = FILE.cases[0], RAW["cases"][0]
    found = told(run(case, raw))
    for change in ({"code": "no_clause"}, {"policy": digest(b"")}, {"recipients": []}):
        assert found != {**raw["expected"], **change}

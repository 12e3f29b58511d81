"""Drafts: read strictly, decided as the broker would (NODE-20)."""

from __future__ import annotations

from typing import Any

import pytest

from agencies.node.errors import DraftMalformed
from agencies.node.mail.draft import read_draft
from exchange.protocol.errors import ContentMalformed, Misdeclared
from exercises.world import World, WorldNode
from tests.agencies.node.conftest import HARBOUR, REQUEST, SOUTH, TERMS

DRAFT: dict[str, Any] = {
    "to": [SOUTH], "purpose": "investigate", "crime": "immigrant_smuggling", "class": "restricted",
    "handling": ["H0"], "urgency": "u_direct", "content": REQUEST,
}  # fmt: skip


def test_a_draft_survives_being_written() -> None:
    assert read_draft(read_draft(DRAFT).to_json()) == read_draft(DRAFT)


@pytest.mark.spec("NODE-20")
@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"to": []}, "to"),
        ({"to": ["north.police.org"]}, "to.0"),
        ({"to": [f"a{n}.sim" for n in range(21)]}, "to"),
        ({"agr": "short"}, "agr"),
        ({"purpose": "curiosity"}, "purpose"),
        ({"crime": 7}, "crime"),
        ({"class": "cosmic"}, "class"),
        ({"handling": []}, "handling"),
        ({"handling": ["H9"]}, "handling.0"),
        ({"urgency": "now"}, "urgency"),
        ({"days": 0}, "days"),
        ({"days": 31}, "days"),
        ({"days": "7"}, "days"),
        ({"content": "text"}, "content"),
        ({"type": "info_request"}, "type"),
        ({"cats": []}, "cats"),
        ({"curiosity \x1b[2J": 1}, "(unknown)"),
    ],
)
def test_a_draft_is_read_strictly_and_the_refusal_names_no_value(change: dict[str, Any], member: str) -> None:
    with pytest.raises(DraftMalformed) as refusal:
        read_draft({**DRAFT, **change})
    assert f"`{member}`" in refusal.value.sentence
    assert "curiosity" not in refusal.value.sentence


def test_content_that_is_no_case_message_is_refused(north: WorldNode) -> None:
    with pytest.raises(ContentMalformed):
        north.send({**REQUEST, "simulation": False}, SOUTH)


@pytest.mark.spec("NODE-20")
def test_a_draft_that_says_otherwise_than_its_content_is_refused_at_once(north: WorldNode) -> None:
    for wrong in ({"urgency": "none"}, {"purpose": "prevent"}, {"handling": ["H3"]}, {"crime": "human_trafficking"}):
        with pytest.raises(Misdeclared, match=next(iter(wrong))):
            north.service.check(north.draft(REQUEST, SOUTH, **wrong), north.officer())


@pytest.mark.spec("NODE-20")
def test_the_one_agreement_that_permits_is_found(world: World, north: WorldNode) -> None:
    seen = north.service.check(north.draft(REQUEST, SOUTH), north.officer())
    assert seen.decision.agreement == world.agreements["shore"]
    with pytest.raises(DraftMalformed, match="no agreement"):
        north.service.check(north.draft(REQUEST, HARBOUR), north.officer())
    second = world.agree({**TERMS, "id": "second-shore"})
    with pytest.raises(DraftMalformed, match="several"):
        north.service.check(north.draft(REQUEST, SOUTH), north.officer())
    assert north.service.check(north.draft(REQUEST, SOUTH, agr=second), north.officer()).decision.permitted


@pytest.mark.spec("NODE-22")
def test_a_denial_names_what_would_count_if_it_were_not_suspended(world: World, north: WorldNode) -> None:
    second = world.agree({**TERMS, "id": "second-shore", "clauses": [TERMS["clauses"][0] | {"types": ["hit_report"]}]})
    south, shore = world.node(SOUTH), world.agreements["shore"]
    south.service.give_notice("suspend", shore, south.officer("release_officer"), "an exercise in stopping")
    world.settle()
    seen = north.service.check(north.draft(REQUEST, SOUTH), north.officer())
    assert (seen.decision.code, seen.decision.agreement) == ("no_clause", second)
    (sentence,) = seen.to_json()["not_in_force"]
    assert "suspended `shore-to-shore` version 1" in sentence
    assert f"not in force: {sentence}" in seen.reasons
    world.clock.advance(minutes=1)
    south.service.give_notice("resume", shore, south.officer("release_officer"), "the exercise is over")
    world.settle()
    assert "not_in_force" not in north.service.check(north.draft(REQUEST, SOUTH), north.officer()).to_json()

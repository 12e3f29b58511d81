"""Asking the log through a node: written down before it is answered, for what the law allows (NODE-200 to NODE-204)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from agencies.node.errors import BrokerUnreachable, NotHere, PurposeRefused, RoleMissing
from agencies.node.ledger import justify
from exchange.protocol.errors import QuestionMalformed
from exchange.protocol.vocabulary import LogPurpose
from exercises.world import World, WorldNode
from tests.agencies.node.conftest import NORTH, REQUEST, SOUTH, acts

WHY = justify("supervision", "the yearly look at who was told about the landing")
CASE = REQUEST["case"]["reference"]


def ask(node: WorldNode, question: str, purpose: str = "lawfulness_check", role: str = "auditor", **said: Any) -> Any:
    return node.service.oversight.ask({"question": question, **said}, purpose, node.officer(role), WHY)


@pytest.fixture
def told(world: World, north: WorldNode, south: WorldNode) -> str:
    """The digest of what north told south, and south has opened."""
    sent = north.send(REQUEST, SOUTH)
    assert sent.msg is not None
    south.collect()
    south.open(sent.msg)
    world.clock.advance(seconds=5)
    south.collect()
    north.collect()
    return str(sent.msg)


@pytest.mark.spec("NODE-201", "NODE-202", "NODE-203")
def test_an_auditor_asks_about_a_case_and_learns_who_was_told(north: WorldNode, south: WorldNode, told: str) -> None:
    for node in (north, south):
        found = ask(node, "who", case=CASE)
        assert (found["clean"], found["findings"], found["unseen"]) == (True, [], 0), found["findings"]
        assert [row["msg"] for row in found["disclosures"]] == [told]
        assert found["received"] == [{"id": SOUTH, "messages": [told]}]
        (to,) = found["disclosures"][0]["to"]
        assert (to["clauses"][0]["id"], sorted(to["receipts"])) == ("ask", ["delivered", "opened"])
        last = acts(node)[-1]
        assert (last["act"], last["purpose"], last["code"], last["why"]) == (
            "log_query", "lawfulness_check", "supervision", WHY.text,
        )  # fmt: skip
        assert (last["msg"], last["outcome"]) == (told, "who: 1 messages")
        assert last["case"] is not None
        assert CASE not in json.dumps([found, {**last, "why": ""}])


@pytest.mark.spec("NODE-201")
def test_what_was_asked_is_on_disk_before_anything_is_read(
    south: WorldNode, told: str, crook: Callable[..., None]
) -> None:
    seen: list[str] = []

    def checkpoint(honest: Any) -> str:
        seen.append(acts(south)[-1]["act"])
        raise BrokerUnreachable("the line is cut")

    crook(south, checkpoint=checkpoint)
    with pytest.raises(BrokerUnreachable):
        ask(south, "holders", message=told)
    assert seen == ["log_query"]
    assert acts(south)[-1]["outcome"] == "holders"


@pytest.mark.spec("NODE-200")
def test_the_purposes_of_the_list_open_the_log_and_no_other(south: WorldNode, told: str) -> None:
    for purpose in ("investigate", "curiosity", "", "Self_Monitoring", "internal_discipline"):
        before = len(acts(south))
        with pytest.raises(PurposeRefused, match="lawfulness_check, self_monitoring, integrity_security, crim"):
            ask(south, "who", purpose, messages=[told])
        (denied,) = acts(south)[before:]
        assert (denied["act"], denied["outcome"], denied["why"]) == ("attempt_denied", "purpose_refused", WHY.text)
    for good in LogPurpose:
        assert ask(south, "holders", good, message=told)["purpose"] == good
        assert acts(south)[-1]["purpose"] == good
    with pytest.raises(PurposeRefused):
        south.service.ledger(south.officer("auditor"), WHY, where={}, purpose="curiosity")


@pytest.mark.spec("NODE-13", "NODE-201")
def test_only_an_auditor_asks(south: WorldNode, told: str) -> None:
    before = acts(south)
    for role in ("officer", "release_officer"):
        with pytest.raises(RoleMissing):
            ask(south, "who", role=role, messages=[told])
    assert acts(south) == before


@pytest.mark.spec("NODE-202")
def test_a_case_of_which_nothing_is_here_is_said_to_be_that_and_the_asking_is_noted(south: WorldNode) -> None:
    with pytest.raises(NotHere):
        ask(south, "who", case="XN-1999/0001")
    last = acts(south)[-1]
    assert (last["act"], last["outcome"], last["msg"]) == ("log_query", "who: 0 messages", None)


@pytest.mark.spec("NODE-203")
def test_every_question_of_the_log_can_be_asked(world: World, south: WorldNode, told: str) -> None:
    year = world.clock().year
    assert ask(south, "to", agency=SOUTH)["disclosures"][0]["msg"] == told
    assert [one["id"] for one in ask(south, "holders", message=told)["holders"]] == [SOUTH]
    assert ask(south, "stats", year=year, all=True)["all"]["disclosed"] == 1
    assert ask(south, "stats", year=year)["all"]["disclosed"] == {"least": 1, "most": 4}
    assert ask(south, "anomalies")["notes"] == []
    assert acts(south)[-3]["outcome"] == f"stats {year}"


@pytest.mark.spec("NODE-203", "LOG-64", "LOG-65")
def test_a_breach_names_whom_to_tell_and_when_seventy_two_hours_are_over(
    world: World, south: WorldNode, told: str
) -> None:
    aware = "2026-11-21T09:00:00.000Z"
    found = ask(south, "breach", agency=SOUTH, since="2026-01-01T00:00:00.000Z", aware=aware)
    assert [(one["id"], one["as"], one["messages"]) for one in found["tell"]] == [(NORTH, ["originator"], [told])]
    assert found["clock"]["deadline"] == "2026-11-24T09:00:00.000Z"
    assert found["clock"]["overdue"] is (world.clock().isoformat() > "2026-11-24T09")
    assert acts(south)[-1]["outcome"] == f"breach {SOUTH} since 2026-01-01T00:00:00.000Z aware {aware}"
    without = ask(south, "breach", agency=SOUTH, since="2026-01-01T00:00:00.000Z")
    assert without["clock"]["deadline"] is None


NONE: list[dict[str, Any]] = [
    {"question": "whence"}, {"question": "who"}, {"question": "who", "case": "a", "messages": []},
    {"question": "who", "messages": []}, {"question": "who", "messages": ["x"]}, {"question": "holders"},
    {"question": "holders", "message": "x"}, {"question": "to", "agency": 1}, {"question": "stats", "year": 99},
    {"question": "stats", "year": True}, {"question": "breach", "agency": SOUTH, "since": "yesterday"},
    {"question": "anomalies", "case": "a"}, {}, {"question": "to", "agency": "Aylin Demir, born in Farhaven"},
    {"question": "breach", "agency": "Aylin Demir", "since": "2026-01-01T00:00:00.000Z"},
]  # fmt: skip


@pytest.mark.spec("NODE-201")
def test_what_is_no_question_is_refused_and_nothing_was_read(south: WorldNode) -> None:
    before = acts(south)
    for said in NONE:
        with pytest.raises(QuestionMalformed):
            south.service.oversight.ask(said, "self_monitoring", south.officer("auditor"), WHY)
    assert acts(south) == before


@pytest.mark.spec("NODE-203")
def test_what_others_signed_and_never_showed_is_counted_and_not_blamed(tmp_path: Any) -> None:
    from tests.agencies.node.tree import A, B, C, D, consented, lorry_watch

    with lorry_watch(tmp_path) as world:
        sent = world.node(A).send({**_content(), "case": {"reference": "XN-2026/0001"}}, B, purpose="investigate")
        world.node(B).collect()
        consented(world, A, B, C, str(sent.msg))
        found = ask(world.node(D), "who", messages=[sent.msg])
        assert (found["clean"], found["unseen"]) == (True, 2)  # an ask and a consent
        assert any("2 acts and heads that others signed" in one for one in found["cautions"])
        assert ask(world.node(A), "who", messages=[sent.msg])["unseen"] == 0


def _content() -> dict[str, Any]:
    from tests.agencies.node.tree import CONTENT

    return dict(CONTENT)


@pytest.mark.spec("NODE-203")
def test_a_log_that_was_changed_is_not_relied_on(south: WorldNode, told: str, crook: Callable[..., None]) -> None:
    def log_file(honest: Any, path: str) -> bytes:
        data: bytes = honest.log_file(path)
        return data.replace(b'"purpose":"investigate"', b'"purpose":"prosecutexx"') if "entries" in path else data

    crook(south, log_file=log_file)
    found = ask(south, "who", messages=[told])
    assert not found["clean"]
    assert {one["code"] for one in found["findings"]} == {"entry_altered"}
    assert found["disclosures"] == []
    crook(south)
    assert ask(south, "who", messages=[told])["clean"]


@pytest.mark.spec("NODE-203")
def test_ones_own_heads_are_here_and_those_of_others_are_counted(world: World, told: str) -> None:
    north, south = world.node(NORTH), world.node(SOUTH)
    north.service.reconcile()  # puts a head of north's ledger into the log
    assert ask(north, "who", messages=[told])["unseen"] == 0
    found = ask(south, "who", messages=[told])
    assert (found["clean"], found["unseen"]) == (True, 1)

"""Acts: committed before they are sent, the same bytes ever after, settled by proof (NODE-120 to NODE-124)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agencies.node.errors import BrokerUnreachable
from exchange.protocol.act import sign_act, write_act
from exercises.wire import Fault
from exercises.world import World, WorldNode
from keys.encoding import b64u
from keys.signing import parse_statement
from tests.agencies.node.conftest import acts
from tests.agencies.node.tree import WHY, A, B, C, lorry_watch, told, until


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with lorry_watch(tmp_path) as made:
        yield made


def asked(world: World, message: str) -> Any:
    south = world.node(B)
    return south.service.consents.ask(
        message, south.officer(), WHY, want="onward", to=[C], purposes=["investigate"], until=until(world)
    )


def evidence(node: WorldNode) -> list[str]:
    return [one["kind"] for one in node.service.evidence(node.officer("auditor"))]


@pytest.mark.spec("NODE-120", "NODE-121")
def test_an_act_whose_answer_was_lost_is_sent_again_as_the_same_bytes_and_logged_once(world: World) -> None:
    first = told(world, B)
    world.wire.trouble(Fault.DEAF, caller=B, path="/v1/acts")
    deed = asked(world, first)
    assert (deed.state, deed.index) == ("pending", None)
    assert acts(world.node(B))[-1]["act"] != "consent"
    world.clock.advance(minutes=2)
    assert world.node(B).service.retry_outbox() == 1
    sent = [call.body for call in world.wire.calls if (call.caller, call.path) == (B, "/v1/acts")]
    assert len(sent) == 2
    assert len(set(sent)) == 1
    settled = world.node(B).service.acts.deed(deed.digest)
    assert settled is not None
    assert (settled.state, settled.proof is not None) == ("sent", True)
    world.node(A).collect()
    assert len(world.node(A).service.consents.waiting()) == 1
    assert [act["act"] for act in acts(world.node(B))].count("consent") == 1


@pytest.mark.spec("NODE-120")
def test_a_node_that_was_stopped_before_it_sent_an_act_sends_it_when_it_starts_again(world: World, crook: Any) -> None:
    first = told(world, B)

    def unplugged(*_: Any) -> None:
        raise BrokerUnreachable("the line is dead")

    crook(world.node(B), act=unplugged)
    deed = asked(world, first)
    assert deed.state == "pending"
    assert world.restart_node(B).service.retry_outbox() == 1
    world.node(A).collect()
    assert [one["act"] for one in world.node(A).service.consents.waiting()] == [deed.digest]


@pytest.mark.spec("NODE-122")
def test_an_answer_that_proves_another_entry_settles_nothing_and_is_evidence(world: World, crook: Any) -> None:
    first = told(world, B)
    south = world.node(B)
    with south.store.reading() as books:
        entry = bytes(books.get("held", msg=first).entry)  # type: ignore[union-attr]
    other = south.service.office.broker.mailbox(-1)[0]
    proof = next(item["proof"] for item in other if item["kind"] == "message")

    def lying(_: Any, jws: bytes) -> dict[str, str]:
        return {"act": parse_statement(jws).digest, "entry": b64u(entry), "proof": proof}

    crook(south, act=lying)
    deed = asked(world, first)
    assert deed.state == "pending"
    assert evidence(south) == ["act_unproved"]
    for broken in ({}, {"act": deed.digest, "entry": 3, "proof": proof}, []):
        crook(south, act=lambda *_, broken=broken: broken)
        world.clock.advance(hours=1)
        assert south.service.retry_outbox() == 0
    crook(south)
    world.clock.advance(hours=1)
    assert south.service.retry_outbox() == 1


@pytest.mark.spec("NODE-121")
def test_an_act_that_the_broker_refuses_for_good_is_written_down_as_denied_and_its_effect_taken_back(
    world: World,
) -> None:
    """The ask was withdrawn by nobody: the originator's decision met a broker that had logged another one first."""
    first = told(world, B)
    deed = asked(world, first)
    north = world.node(A)
    north.collect()
    service, release = north.service, north.officer("release_officer")
    fed, signer = service.office.trust.directory.fed, service.office.identity.signer
    declined = write_act("decline", fed=fed, by=A, ts=world.clock(), msg=first, re=deed.digest, ground="not_available")
    service.office.broker.act(sign_act(declined, signer))  # from another desk of the same agency
    given = service.consents.decide(deed.digest, release, WHY, approve=True)
    assert (given.state, given.code) == ("refused", "act_refused")
    assert [(one["kind"], one["state"]) for one in service.consents.listed()] == [
        ("ask", "open"),
        ("consent", "refused"),
    ]
    last = acts(north)[-1]
    assert (last["act"], last["outcome"], last["officer"]) == ("attempt_denied", "act_refused", release.id)


@pytest.mark.spec("NODE-123", "NODE-124")
def test_the_ledger_has_every_act_given_and_heard_and_the_books_all_that_proves_it(world: World) -> None:
    first = told(world, B)
    deed = asked(world, first)
    world.node(A).collect()
    mine, theirs = acts(world.node(B))[-1], acts(world.node(A))[-1]
    assert (mine["act"], mine["outcome"], mine["officer"], mine["why"]) == ("consent", "ask", "sp-duty-1", WHY.text)
    assert (theirs["act"], theirs["outcome"], theirs["from"], theirs["officer"]) == ("consent", "ask", B, None)
    assert mine["index"] == theirs["index"] == deed.index
    (heard,) = world.node(A).service.acts.about(first)
    shown = heard.to_json()
    assert (shown["way"], shown["state"], shown["said"]["want"]) == ("in", "filed", "onward")
    assert all(shown[name] for name in ("statement", "entry", "proof", "at"))
    assert world.audit().clean


def test_the_very_same_act_twice_in_one_instant_is_one(world: World) -> None:
    first = told(world, B)
    assert asked(world, first) == asked(world, first)
    assert len(world.node(B).service.consents.listed()) == 1

"""What others say about messages: filed if it was theirs to say, evidence if not (NODE-125 to NODE-129)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agencies.node.errors import Restricted
from exchange.protocol.lineage import Lineage
from exercises.world import World, WorldNode
from tests.agencies.node.conftest import acts
from tests.agencies.node.tree import (
    CLAUSE,
    CONTENT,
    TERMS,
    WHY,
    A,
    B,
    C,
    D,
    answer,
    consented,
    forwarded,
    lorry_watch,
    recalled,
    told,
    until,
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with lorry_watch(tmp_path) as made:
        yield made


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that logs and delivers any act whoever gives it: it lies, or was broken into."""
    monkeypatch.setattr(Lineage, "may", lambda *_: None)


def codes(node: WorldNode) -> list[str]:
    return [one["detail"]["code"] for one in node.service.evidence(node.officer("auditor"))]


def items(change: Callable[[dict[str, Any]], Any], kind: str) -> Callable[..., Any]:
    """A mailbox in which every item of a kind was changed."""

    def mailbox(honest: Any, *args: Any, **named: Any) -> Any:
        found, following = honest.mailbox(*args, **named)
        return [{**one, **change(one)} if one["kind"] == kind else one for one in found], following

    return mailbox


@pytest.mark.spec("NODE-126")
@pytest.mark.usefixtures("careless")
@pytest.mark.parametrize("kind", ["recall", "restrict"])
def test_a_recall_by_somebody_who_is_not_the_originator_is_evidence_and_not_obeyed(world: World, kind: str) -> None:
    first = told(world, B, C)
    given = world.node(B).service.acts.give(kind, first, ground="inaccurate")
    assert given.state == "sent"
    east = world.node(C)
    east.collect()
    assert codes(east) == ["act_not_theirs"]
    assert (east.service.recalls.duties(), east.service.acts.about(first)) == ([], [])
    assert [act["act"] for act in acts(east)] == ["receive", "log_query"]  # the evidence was looked at
    assert east.open(first)["type"] == "spontaneous_info"
    assert east.service.state()["doubts"] == 0  # it is done with; asking again would change nothing


@pytest.mark.spec("NODE-126")
@pytest.mark.usefixtures("careless")
def test_an_originator_hears_no_answer_from_who_holds_nothing_and_none_to_what_it_never_asked(world: World) -> None:
    north, first = world.node(A), told(world, B)
    other = told(world, B, C)
    deed = north.service.recalls.give("recall", first, north.officer("release_officer"), WHY, ground="unlawful")
    world.node(D).service.acts.give("answer", first, re=deed.digest, outcome="erased")
    world.node(C).service.acts.give("answer", other, re=deed.digest, outcome="erased")
    world.node(C).service.acts.give("acknowledge", first)
    world.node(B).service.acts.give("consent", first, want="evidence", holder=B, purposes=["detect"], fields=[""],
                                    until="2026-12-24T00:00:00.000Z")  # fmt: skip
    north.collect()
    assert sorted(codes(north)) == ["act_not_theirs", "act_not_theirs", "act_refused"]
    assert [one.kind for one in north.service.acts.about(first)] == ["recall"]
    assert north.service.consents.listed() == []


@pytest.mark.spec("NODE-125")
@pytest.mark.parametrize(
    ("change", "code", "again"),
    [
        (lambda i: {"statement": {**i["statement"], "payload": i["statement"]["payload"][:-4]}}, "malformed", False),
        (
            lambda i: {"statement": {**i["statement"], "signatures": i["statement"]["signatures"][::-1]}},
            "wrong_algorithm",
            False,
        ),
        (lambda i: {"statement": None}, "malformed", False),
        (lambda i: {"seq": i["seq"] + 1}, "proof_mismatch", True),
    ],
    ids=["payload", "signatures", "none", "number"],
)
def test_an_act_that_is_not_as_it_was_signed_and_logged_is_evidence(
    world: World, crook: Any, change: Any, code: str, again: bool
) -> None:
    first = told(world, B)
    world.node(A).service.recalls.give(
        "recall", first, world.node(A).officer("release_officer"), WHY, ground="unlawful"
    )
    south = world.node(B)
    crook(south, mailbox=items(change, "act"))
    south.service.collect()
    assert codes(south) == [code]
    assert south.service.recalls.duties() == []
    assert bool(south.service.state()["doubts"]) is again


@pytest.mark.spec("NODE-125")
def test_an_act_of_another_that_was_put_beside_a_true_entry_is_evidence(world: World, crook: Any) -> None:
    first, north = told(world, B), world.node(A)
    release = north.officer("release_officer")
    north.service.recalls.give("restrict", first, release, WHY, ground="unlawful")
    recall = north.service.recalls.give("recall", first, release, WHY, ground="unlawful")
    statement = recall.to_json()["statement"]
    south = world.node(B)
    crook(south, mailbox=items(lambda i: {"statement": statement}, "act"))
    south.service.collect()
    assert codes(south) == ["proof_mismatch"]
    assert [one["kind"] for one in south.service.recalls.duties()] == ["recall"]


@pytest.mark.spec("NODE-125")
def test_an_act_that_is_shown_again_is_filed_once(world: World) -> None:
    first, south = told(world, B), world.node(B)
    recalled(world, first)
    with south.store.writing() as books:
        books.set_meta("cursor", "-1")
    south.collect()
    assert len(south.service.recalls.duties()) == 1
    assert [act["act"] for act in acts(south)] == ["receive", "recall"]


@pytest.mark.spec("NODE-127", "ACT-20")
def test_a_lying_holder_with_a_lying_broker_gains_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they let pass, the recipient's own node has no consent that names it, and says so in the log."""
    first, south, east = told(world, B), world.node(B), world.node(C)
    monkeypatch.setattr("exchange.protocol.decision.judge_sources", lambda *_: None)
    monkeypatch.setattr(south.service.sending._onward, "must_pass", lambda *_: None)
    content = {**CONTENT, "sources": [{"msg": first, "fields": [""]}]}
    sent = south.send(content, C, src=[first])
    assert sent.state == "sent"
    east.collect()
    assert east.inbox() == []
    assert [(one["msg"], one["code"]) for one in east.service.rejected()] == [(sent.msg, "consent_missing")]
    south.collect()
    assert [one["code"] for one in south.service.receipts(sent.msg or "")] == ["consent_missing"]
    monkeypatch.undo()
    assert {one.code for one in world.audit().report.findings} == {"not_permitted"}


@pytest.mark.spec("NODE-127")
@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({}, None),
        ({"fields": ["/narrative/0"]}, "consent_missing"),
        ({"purpose": "border_check"}, "consent_missing"),
        ({"to": D}, "consent_missing"),
        ({"withdrawn": True}, "consent_missing"),
        ({"recalled": True}, "source_stopped"),
    ],
    ids=["as agreed", "other fields", "other purpose", "other recipient", "withdrawn", "recalled"],
)
def test_a_derived_message_is_held_against_the_very_consent(
    world: World, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any], code: str | None
) -> None:
    first, north, south = told(world, B), world.node(A), world.node(B)
    if "fields" in how:
        asked = south.service.consents.ask(
            first, south.officer(), WHY, want="onward", to=[C], purposes=["investigate"], fields=how["fields"],
            until=until(world),
        )  # fmt: skip
        north.collect()
        north.service.consents.decide(asked.digest, north.officer("release_officer"), WHY, approve=True)
        world.settle()
    else:
        consented(world, A, B, C, first)
    if how.get("withdrawn"):
        (given,) = [one for one in north.service.consents.listed() if one["kind"] == "consent"]
        north.service.consents.withdraw(given["act"], north.officer("release_officer"), WHY)
    if how.get("recalled"):
        recalled(world, first)
    monkeypatch.setattr("exchange.protocol.decision.judge_sources", lambda *_: None)
    monkeypatch.setattr(south.service.sending._onward, "must_pass", lambda *_: None)
    to = how.get("to", C)
    content = {**CONTENT, "sources": [{"msg": first, "fields": [""]}]}
    sent = south.send(content, to, src=[first], purpose=how.get("purpose", "investigate"))
    assert sent.state == "sent"
    collected = world.node(to).collect()
    assert [one["code"] for one in world.node(to).service.rejected()] == ([code] if code else [])
    assert collected == ([] if code else [sent.msg])


@pytest.mark.spec("NODE-127")
def test_a_source_that_its_sender_never_had_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first, liar = told(world, B), world.node(D)
    monkeypatch.setattr("exchange.protocol.decision.judge_sources", lambda *_: None)
    monkeypatch.setattr(liar.service.sending._onward, "must_pass", lambda *_: None)
    content = {**CONTENT, "sources": [{"msg": first, "fields": [""]}]}
    assert liar.send(content, C, src=[first]).state == "sent"
    world.node(C).collect()
    assert [one["code"] for one in world.node(C).service.rejected()] == ["source_unknown"]


@pytest.mark.spec("NODE-128")
def test_a_message_that_a_lying_broker_shows_after_its_recall_is_not_taken_in(world: World, crook: Any) -> None:
    south = world.node(B)
    first = world.node(A).send(CONTENT, B).msg or ""
    found, _ = south.service.office.broker.mailbox(-1)
    (parcel,) = (one for one in found if one["kind"] == "message")
    recalled(world, first)
    south.service.collect()
    with south.store.writing() as books:
        books.set_meta("cursor", str(parcel["seq"] - 1))
    crook(south, mailbox=lambda *_, **__: ([parcel], parcel["seq"]))
    assert south.service.collect().messages == ()
    assert {one["code"] for one in south.service.rejected()} == {"message_recalled"}


@pytest.mark.spec("NODE-128")
def test_a_message_that_was_restricted_on_its_way_is_closed_when_it_comes(world: World) -> None:
    north, south = world.node(A), world.node(B)
    first = north.send(CONTENT, B).msg or ""
    north.service.recalls.give("restrict", first, north.officer("release_officer"), WHY, ground="court_order")
    assert south.collect() == [first]
    with pytest.raises(Restricted):
        south.open(first)
    answer(south, "restricted")


@pytest.mark.spec("NODE-129", "MSG-33")
@pytest.mark.parametrize("first", [True, False], ids=["notice before the message", "message before the notice"])
@pytest.mark.parametrize(("act", "code"), [("suspend", "agreement_suspended"), ("leave", "agreement_not_in_force")])
def test_a_message_whose_agreement_lapsed_on_its_way_is_refused_and_its_sender_learns_why(
    world: World, act: str, code: str, first: bool
) -> None:
    """The notice stands in the same answer, before the message or behind it."""
    north, south, east = world.node(A), world.node(B), world.node(C)
    east.collect()

    def stop() -> None:
        release = south.officer("release_officer")
        south.service.give_notice(act, world.agreements["lorry"], release, "the treaty is under review")

    if first:  # the sender has not heard, and a broker that looks away lets it pass
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("exchange.protocol.policy.PolicyBook.admit", lambda book, _: book)
            stop()
            sent = north.send(CONTENT, C)
    else:
        sent = north.send(CONTENT, C)
        stop()
    assert sent.state == "sent"
    world.clock.advance(seconds=1)
    assert east.service.collect().messages == ()
    assert [(one["msg"], one["code"]) for one in east.service.rejected()] == [(sent.msg, code)]
    north.collect()
    assert [(one["by"], one["code"]) for one in north.service.receipts(sent.msg or "")] == [(C, code)]


@pytest.mark.spec("NODE-129", "MSG-33")
def test_a_message_whose_agreement_ended_or_was_replaced_on_its_way_is_refused(world: World) -> None:
    north, east = world.node(A), world.node(C)
    sent = north.send(CONTENT, C)
    replaced = world.agreements["lorry"]
    world.clock.advance(seconds=1)
    newer = {**TERMS, "version": 2, "replaces": replaced, "clauses": [CLAUSE]}
    first, *others = (world.node(party) for party in TERMS["parties"])
    agreement = first.service.propose(newer, first.officer("release_officer"))["agr"]
    for node in others:
        node.service.sign_agreement(agreement, node.officer("release_officer"))
    world.clock.advance(seconds=1)
    assert east.service.collect().messages == ()
    assert [one["code"] for one in east.service.rejected()] == ["agreement_superseded"]
    north.collect()
    assert [one["code"] for one in north.service.receipts(sent.msg or "")] == ["agreement_superseded"]
    again = north.send(CONTENT, C)
    assert again.state == "sent"
    assert east.collect() == [again.msg]


@pytest.mark.spec("MSG-33")
def test_an_exculpatory_notice_comes_through_though_the_agreement_was_left(world: World) -> None:
    first, north, east = told(world, C), world.node(A), world.node(C)
    release = world.node(B).officer("release_officer")
    notice = east.service.exculpation.tell(first, ["alibi"], "A record speaks for the driver.", east.officer(), WHY)
    world.node(B).service.give_notice("leave", world.agreements["lorry"], release, "the treaty is at an end")
    world.clock.advance(seconds=1)
    assert (notice.state, north.collect()) == ("sent", [notice.msg])


def test_a_chain_that_was_agreed_to_is_taken_in_at_every_step(world: World) -> None:
    first = told(world, B)
    consented(world, A, B, C, first)
    second = forwarded(world, B, C, first)
    assert world.node(C).open(second)["sources"] == [{"msg": first, "fields": [""]}]
    assert world.audit().clean


@pytest.mark.spec("NODE-125", "NODE-37")
def test_an_act_under_keys_that_are_newer_than_the_directory_here_is_taken_after_it_is_fetched(world: World) -> None:
    first = told(world, B)
    world.rotate(A)
    world.clock.advance(days=1)
    deed = world.node(A).service.recalls.give(
        "recall", first, world.node(A).officer("release_officer"), WHY, ground="unlawful"
    )
    assert deed.state == "sent"
    world.node(B).service.collect()
    assert [one["act"] for one in world.node(B).service.recalls.duties()] == [deed.digest]

"""A recall goes down the whole tree, whatever became of the agreements (MISP's issues #4681 and #7409 as regressions).

In MISP a deletion stopped where the event had been passed on, and whoever had deleted what they were sent could not
be told from whoever had not. Here everybody down the chain is told, everybody's answer is signed and logged, silence
has a name and a clock, and a word that is broken is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agencies.node.errors import NoLongerHere, Restricted
from exercises.wire import Fault
from exercises.world import World, WorldNode
from keys.encoding import read_json
from keys.errors import Refusal
from tests.agencies.node.conftest import acts
from tests.agencies.node.tree import CONTENT, WHY, A, B, C, D, answer, chain, lorry_watch, recalled, stands


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with lorry_watch(tmp_path) as made:
        yield made


@pytest.mark.spec("NODE-150", "NODE-151", "NODE-155", "ACT-13", "ACT-14")
def test_a_recall_reaches_everybody_down_the_chain_though_the_agreement_has_lapsed(world: World) -> None:
    first, second, third = chain(world)
    world.node(B).service.give_notice("leave", world.agreements["lorry"], world.node(B).officer("release_officer"), "x")
    world.settle()
    recalled(world, first)
    for agency, message in ((B, first), (C, second), (D, third)):  # closed at once, before anybody has looked
        with pytest.raises(Restricted):
            world.node(agency).open(message)
    answer(world.node(B), "erased")
    answer(world.node(C), "retained", "judicial_proceedings")
    world.settle()
    found = stands(world, first)
    assert {name: len(one["answers"]) for name, one in found.items()} == {B: 1, C: 1, D: 1}
    assert found[B]["answers"][0]["answer"]["outcome"] == "erased"
    assert found[C]["answers"][0]["answer"]["ground"] == "judicial_proceedings"
    assert (found[D]["silent_since"] is not None, found[D]["overdue"]) == (True, False)
    world.clock.advance(hours=73)
    assert stands(world, first)[D]["overdue"] is True
    with pytest.raises(NoLongerHere):
        world.node(B).open(first)
    answer(world.node(D), "erased")
    world.settle()
    assert world.node(A).service.whereabouts.of(first)["settled"] is True
    assert world.audit().clean


@pytest.mark.spec("NODE-157", "LOG-48")
def test_a_holder_that_says_it_erased_and_tells_others_is_found_by_the_audit_and_by_the_originator(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tries with an honest broker, which denies it, and then with one that lets it: both are seen."""
    first, second, _ = chain(world)
    recalled(world, first)
    answer(world.node(D), "erased")
    answer(world.node(C), "erased")
    liar = world.node(B)
    kept = copied(liar, first)
    answer(liar, "erased")
    world.settle()
    assert world.node(A).service.whereabouts.of(first)["contradicted"] == []
    monkeypatch.setattr(liar.service.sending._onward, "must_pass", lambda *_: None)
    denied = liar.service.sending.send(liar.draft(kept, C, src=[first]), liar.officer(), WHY, ruling=True)
    assert (denied.state, denied.code) == ("denied", "source_stopped")
    monkeypatch.setattr("exchange.protocol.decision.judge_sources", lambda *_: None)
    told = liar.service.sending.send(liar.draft(kept, C, src=[first]), liar.officer(), WHY, ruling=False)
    assert told.state == "sent"
    monkeypatch.undo()
    world.node(C).service.collect()
    (rejected,) = world.node(C).service.rejected()
    assert (rejected["msg"], rejected["code"]) == (told.msg, "source_stopped")
    found = stands(world, first)[B]["contradictions"]
    assert [(one["code"], one["did"], one["msg"]) for one in found] == [
        ("erasure_contradicted", "denial", denied.msg), ("erasure_contradicted", "disclosure", told.msg),
    ]  # fmt: skip
    codes = {finding.code for finding in world.audit().report.findings}
    assert "erasure_contradicted" in codes
    assert second


def copied(node: WorldNode, message: str) -> dict[str, object]:
    """What a dishonest officer copied out before it was erased."""
    with node.store.reading() as books:
        (row,) = books.inbox_of([message])
    content = read_json(node.service.office.vault.unlock(row.content, f"inbox {message}"), limit=1024 * 1024)
    return {**content, "sources": [{"msg": message, "fields": [""]}]}


@pytest.mark.spec("NODE-128", "HTTP-46")
def test_what_was_not_collected_yet_is_settled_as_recalled_and_answered_by_rule(world: World) -> None:
    north, south = world.node(A), world.node(B)
    first = north.send(CONTENT, B).msg or ""
    recalled(world, first)
    assert south.inbox() == []
    assert [(one["msg"], one["code"]) for one in south.service.rejected()] == [(first, "message_recalled")]
    assert north.receipts(first) == []
    found = stands(world, first)[B]
    assert found["answers"][0]["answer"]["outcome"] == "erased"
    assert north.service.whereabouts.of(first)["settled"] is True
    assert world.audit().clean


@pytest.mark.spec("NODE-121", "NODE-43")
@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DEAF, Fault.DUPLICATE, Fault.ALTER_ANSWER], ids=str)
def test_a_wire_that_loses_and_repeats_changes_nothing_of_who_was_told_and_what_was_answered(
    world: World, fault: Fault
) -> None:
    first, _, _ = chain(world)
    rules = [world.wire.trouble(fault, path=path, times=None, chance=0.5) for path in ("/v1/acts", "/v1/mailbox")]
    north = world.node(A)
    north.service.recalls.give("recall", first, north.officer("release_officer"), WHY, ground="source_protection")
    holders = [world.node(agency) for agency in (B, C, D)]
    for _ in range(200):
        world.wire.deliver_due()
        for node in (north, *holders):
            with suppress(Refusal):
                node.service.retry_outbox()
                node.collect()
            for duty in node.service.recalls.duties(state="open"):
                with suppress(Refusal):
                    release = node.officer("release_officer")
                    node.service.recalls.answer(duty["act"], release, WHY, outcome="erased")
        world.clock.advance(minutes=16)
        if north.service.whereabouts.of(first)["settled"]:
            break
    for rule in rules:
        rule.lift()
    world.settle()
    assert {name: one["answers"][0]["answer"]["outcome"] for name, one in stands(world, first).items()} == {
        B: "erased", C: "erased", D: "erased",
    }  # fmt: skip
    for node in holders:
        assert [one["kind"] for one in node.service.recalls.duties()] == ["recall"]
        assert [act["act"] for act in acts(node)].count("recall_ack") == 1
    assert world.audit().clean

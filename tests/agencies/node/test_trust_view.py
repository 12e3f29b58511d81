"""Whom a node believes: what it knows never goes back, with or without a broker (NODE-37, NODE-38)."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from agencies.node.errors import LogForked
from exchange.protocol.log import LogSigner, sign_checkpoint, tlog_proof
from exchange.protocol.merkle import leaf_hash
from exercises.federation import ORIGIN
from exercises.world import World, WorldNode
from keys.encoding import read_json
from keys.errors import RecordRefused
from keys.signing import Signer, Typ, cosign, sign
from tests.agencies.node.conftest import HARBOUR, NORTH, REQUEST, SOUTH, TERMS, WHY


@pytest.mark.spec("NODE-38")
def test_what_was_taken_in_is_there_after_a_restart_without_a_broker(world: World, north: WorldNode) -> None:
    policy = north.service.office.trust.book.policy(world.clock())
    world.stop_broker()
    north = world.restart_node(NORTH)
    assert north.service.office.trust.book.policy(world.clock()) == policy
    assert north.service.check(north.draft(REQUEST, SOUTH), north.officer()).decision.permitted
    assert north.send(REQUEST, SOUTH).state == "pending"


@pytest.mark.spec("NODE-38")
def test_a_broker_that_hides_a_suspension_is_not_followed(world: World, north: WorldNode, crook: Any) -> None:
    world.node(SOUTH).service.give_notice(
        "suspend", world.agreements["shore"], world.node(SOUTH).officer("release_officer"), "an exercise"
    )
    north.collect()
    assert north.send(REQUEST, SOUTH).code == "agreement_suspended"
    crook(north, agreements=lambda honest: {**honest.agreements(), "notices": []})
    north.service.refresh()
    assert north.send(REQUEST, SOUTH).code == "agreement_suspended"
    assert world.restart_node(NORTH).send(REQUEST, SOUTH).code == "agreement_suspended"


@pytest.mark.spec("NODE-37")
def test_a_directory_that_forgets_is_refused(world: World, north: WorldNode, crook: Any) -> None:
    old = north.service.office.broker.directory()
    world.clock.advance(minutes=1)
    world.rotate(SOUTH)
    north.service.refresh()
    crook(north, directory=lambda _: old)
    with pytest.raises(RecordRefused, match="lacks a record"):
        north.service.refresh()
    newest = north.service.office.trust.directory.agency(SOUTH).version
    assert (newest, world.restart_node(NORTH).service.office.trust.directory.agency(SOUTH).version) == (2, 2)


def one_more(world: World, node: WorldNode) -> bytes:
    """An agreement that both parties signed and no log has."""
    from exchange.protocol.terms import write_terms

    payload = write_terms({**TERMS, "id": "behind-the-shed", "fed": world.federation.fed})
    first, second = (world.federation.identities[one].signer for one in (NORTH, SOUTH))
    return cosign(sign(payload, first, Typ.AGREEMENT), second, Typ.AGREEMENT).to_bytes()


@pytest.mark.spec("NODE-38")
def test_an_agreement_without_a_place_in_the_log_does_not_count(world: World, north: WorldNode, crook: Any) -> None:
    extra = read_json(one_more(world, north), limit=100_000)

    def listed(honest: Any) -> Any:
        found = honest.agreements()
        borrowed = {name: found["agreements"][0][name] for name in ("seq", "entry", "proof")}
        return {**found, "agreements": [*found["agreements"], {"statement": extra}, {"statement": extra, **borrowed}]}

    crook(north, agreements=listed)
    north.service.refresh()
    assert [one["id"] for one in north.service.agreements()] == ["shore-to-shore"]
    (kept,) = north.service.evidence(north.officer("auditor"))
    assert len(kept["detail"]["wrong"]) == 2


@pytest.mark.spec("NODE-38")
def test_a_signature_by_nobody_we_know_does_not_count(world: World, north: WorldNode, crook: Any) -> None:
    from exchange.protocol.terms import write_terms

    payload = write_terms({**TERMS, "id": "forged", "fed": world.federation.fed})
    statement = sign(payload, Signer.generate(), Typ.AGREEMENT)
    crook(north, agreements=lambda h: {**h.agreements(), "agreements": [{"statement": statement.to_json()}, 7]})
    north.service.refresh()
    assert [one["id"] for one in north.service.agreements()] == ["shore-to-shore"]


def test_a_proposal_is_signed_party_by_party(world: World, north: WorldNode) -> None:
    harbour, release = world.node(HARBOUR), north.officer("release_officer")
    offered = north.service.propose({**TERMS, "id": "second", "parties": [NORTH, HARBOUR]}, release)
    assert (offered["state"], offered["signed_by"]) == ("proposed", [NORTH])
    harbour.service.refresh()
    (listed,) = harbour.service.agreements()
    assert (listed["state"], listed["signed_by"]) == ("proposed", [NORTH])
    signed = harbour.service.sign_agreement(offered["agr"], harbour.officer("release_officer"))
    assert signed["state"] == "complete"
    assert harbour.service.agreements()[0]["state"] == "in_force"
    north.collect()  # a mailbox item says that something is new
    assert {one["id"]: one["state"] for one in north.service.agreements()}["second"] == "in_force"


def test_a_suspension_can_be_taken_back(world: World, north: WorldNode) -> None:
    agreement, release = world.agreements["shore"], north.officer("release_officer")
    north.service.give_notice("suspend", agreement, release, "an exercise in stopping")
    assert north.service.send(north.draft(REQUEST, SOUTH, agr=agreement), north.officer(), WHY).state == "stopped"
    world.clock.advance(minutes=1)
    north.service.give_notice("resume", agreement, release, "and in going on")
    assert north.send(REQUEST, SOUTH).state == "sent"


def edit(world: World, node: str, statement: str) -> None:
    """Change a stopped node's books behind its back."""
    world.node(node).store.close()
    with sqlite3.connect(world.home / f"{node}.db") as books:
        books.execute(statement)
    books.close()


@pytest.mark.spec("NODE-38")
def test_what_was_taken_in_is_under_a_seal(world: World, north: WorldNode) -> None:
    north.service.refresh()
    edit(world, NORTH, "UPDATE signed SET at = '2026-01-02T00:00:00.000Z' WHERE kind = 'agreement'")
    north = world.restart_node(NORTH)
    assert north.service.office.trust.book.agreements == ()
    assert any("seal" in doubt for doubt in north.service.office.trust.doubts)


@pytest.mark.spec("NODE-38")
def test_what_was_taken_in_before_there_were_seals_is_verified_once_and_sealed(world: World, north: WorldNode) -> None:
    north.service.refresh()
    edit(world, NORTH, "UPDATE signed SET seal = NULL")
    north = world.restart_node(NORTH)
    assert len(north.service.office.trust.book.agreements) == 1
    with north.store.reading() as books:
        assert all(row.seal for row in books.rows("signed", kind="agreement"))


@pytest.mark.spec("NODE-34", "NODE-38")
def test_agreements_proved_in_a_branch_of_the_log_are_not_taken(world: World, north: WorldNode, crook: Any) -> None:
    north.service.watch.look()
    log, entry = LogSigner(ORIGIN, world.federation.broker.log), b"another first entry"

    def branched(honest: Any) -> Any:
        found = honest.agreements()
        note = sign_checkpoint(1, leaf_hash(entry), log, world.clock())
        proof = tlog_proof(0, (), note)
        return {**found, "agreements": [{**one, "proof": proof} for one in found["agreements"]]}

    crook(north, agreements=branched)
    with pytest.raises(LogForked):
        north.service.refresh()
    assert north.service.state()["evidence"] == 1


@pytest.mark.spec("NODE-129", "NODE-38")
def test_a_notice_counts_from_the_mail_that_brings_it_though_the_listing_hides_it(
    world: World, north: WorldNode, crook: Any
) -> None:
    agreement = world.agreements["shore"]
    world.node(SOUTH).service.give_notice(
        "suspend", agreement, world.node(SOUTH).officer("release_officer"), "an exercise"
    )
    world.clock.advance(seconds=1)
    crook(north, agreements=lambda honest: {**honest.agreements(), "notices": []})
    north.service.collect()
    assert north.service.office.trust.book.standing(agreement, world.clock()).state == "suspended"
    world.stop_broker()
    again = world.restart_node(NORTH).service.office.trust.book
    assert again.standing(agreement, world.clock()).state == "suspended"


@pytest.mark.spec("NODE-129", "NODE-38")
def test_news_that_nobody_signed_or_no_log_has_counts_for_nothing(world: World, north: WorldNode) -> None:
    agreement = world.agreements["shore"]
    world.node(SOUTH).service.give_notice(
        "suspend", agreement, world.node(SOUTH).officer("release_officer"), "an exercise"
    )
    world.clock.advance(seconds=1)
    found, _ = north.service.office.broker.mailbox(-1)
    (notice,) = (one for one in found if one["kind"] == "notice")
    trust = north.service.office.trust
    first, second = notice["statement"]["signatures"]
    other = {**second, "signature": second["signature"][:-8] + "AAAAAAAA"}
    for spoiled in (
        {**notice, "statement": {**notice["statement"], "signatures": [first, other]}},
        {name: value for name, value in notice.items() if name not in ("entry", "proof")},
        {**notice, "statement": None},
        {**notice, "proof": found[0]["proof"]},
    ):
        assert len(trust.take_up([spoiled])) == 1
        assert trust.book.standing(agreement, world.clock()).state == "in_force"
    assert trust.take_up([{"kind": "record"}]) == []
    assert trust.take_up([notice, notice]) == []
    assert trust.book.standing(agreement, world.clock()).state == "suspended"

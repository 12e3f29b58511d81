"""Agencies try to make acts and trees do what they must not: hang the books, reach into trees, vanish on the way."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies.node.broker_client import Answer
from agencies.node.errors import BrokerUnreachable, DraftMalformed, EvidenceRefused
from exchange.protocol.content import read_content
from exchange.protocol.message import Draft, seal
from exercises.world import World, sample
from keys.encoding import read_json, unb64u, write_json
from keys.sealing import new_message_id
from keys.signing import Typ, sign
from tests.agencies.node.bound import EAST, NORTH, SOUTH, TIP, bound, consent, terms, told
from tests.agencies.node.conftest import WHY
from tests.exchange.protocol.test_lineage import A, B, E, Log


@pytest.mark.spec("ACT-20")
def test_a_lattice_of_messages_has_more_ways_through_it_than_anybody_could_walk() -> None:
    """Sixty-two layers of four messages, each from all four before: within the limit of 256, and 4^62 ways."""
    log, layer = Log(), list[str]()
    for depth in range(62):
        layer = [log.send(f"{depth} {place}", A, [E], *layer, rule="within_parties") for place in range(4)]
    last = log.send("last", A, [B], *layer, rule="by_field")
    assert {one.onward for one in log.source(B, last).values()} == {"by_field"}
    assert len(log.source(B, last)) == 249


def lying(world: World, by: str, to: tuple[str, ...], content: dict[str, Any], **members: Any) -> Any:
    """Submit a message whose manifest a node would not write; what the broker says."""
    office, now = world.node(by).service.office, world.clock()
    directory = office.trust.directory
    keys = tuple((agency, directory.sealing_key(agency, now)) for agency in to)
    facts: dict[str, Any] = {
        "fed": directory.fed,
        "id": new_message_id(now, office.chance),
        "ts": now,
        "exp": now + timedelta(days=2),
    }
    codes: dict[str, Any] = {"purpose": "investigate", "crime": "immigrant_smuggling", "classification": "restricted"}
    agreement, re = members.pop("agr"), members.pop("re", None)
    draft = Draft(
        **facts, **codes, sender=by, recipients=keys, agreement=agreement, handling=("H0",), urgency="none",
        by=office.scribe.officer("nobody", now), re=re,
    )  # fmt: skip
    envelope = read_json(seal(draft, read_content(write_json(content)), office.identity.signer).raw, limit=300_000)
    manifest = {**read_json(unb64u(envelope["payload"]), limit=20_000), **members}
    signed = read_json(sign(write_json(manifest), office.identity.signer, Typ.MESSAGE).to_bytes(), limit=100_000)
    (answer,) = office.broker.submit_batch([write_json({**envelope, **signed})])
    return answer


@pytest.mark.spec("MSG-34", "AGR-67")
def test_what_speaks_for_a_suspect_is_no_way_into_the_tree_of_a_message(tmp_path: Path) -> None:
    """Its sources are not judged; so a stranger could make itself and others holders of whatever it can name."""
    with bound(tmp_path, terms((NORTH, SOUTH)), terms()) as world:
        name = told(world, agr=world.agreements["strings-2"])
        notice, agr = sample("exculpatory_notice"), world.agreements["strings-3"]
        answer = lying(world, EAST, (SOUTH,), notice, agr=agr, re=name, src=[name])
        assert not isinstance(answer, Answer)
        assert answer.reason == "envelope_malformed"
        assert lying(world, EAST, (SOUTH,), notice, agr=agr, re=name).outcome == "permit"


@pytest.mark.spec("NODE-126")
def test_an_ask_that_overtakes_the_answer_about_its_message_is_heard(tmp_path: Path) -> None:
    with bound(tmp_path, terms(onward="by_consent")) as world:
        north, south = world.node(NORTH), world.node(SOUTH)
        broker = north.service.office.broker
        honest = broker.submit_batch

        def lost(envelopes: Any) -> Any:
            honest(envelopes)
            raise BrokerUnreachable("the answer was lost")

        broker.submit_batch = lost  # type: ignore[method-assign]
        message = north.send(TIP, SOUTH).msg or ""
        south.collect()
        south.service.consents.ask(
            message, south.officer(), WHY, want="onward", purposes=["investigate"], to=[EAST],
            until=world.clock() + timedelta(days=3),
        )  # fmt: skip
        north.collect()
        assert [one["msg"] for one in north.service.consents.waiting()] == [message]
        broker.submit_batch = honest  # type: ignore[method-assign]
        world.settle()
        assert world.audit().clean


@pytest.mark.spec("NODE-121", "NODE-98")
@pytest.mark.parametrize("minutes", [5.5, 20])
def test_an_erasure_is_told_however_fast_the_clock_ran_that_dated_it(tmp_path: Path, minutes: float) -> None:
    with bound(tmp_path, terms(retention_days=2)) as world:
        south, name = world.node(SOUTH), told(world)
        world.clock.advance(days=3)
        office = south.service.office
        office.clock = lambda: world.clock() + timedelta(minutes=minutes)
        south.service.sweep()
        assert [act.state for act in south.service.acts.about(name)] == ["pending"]
        office.clock = world.clock
        world.settle()
        assert [act.state for act in south.service.acts.about(name)] == ["sent"]


@pytest.mark.spec("NODE-144")
def test_a_field_tells_the_broker_no_name(tmp_path: Path) -> None:
    """Pointers stand in clear in the act; one that points to nothing can be any text in small letters."""
    with bound(tmp_path, terms(onward="by_consent")) as world:
        north, south, name = world.node(NORTH), world.node(SOUTH), told(world)
        asked: dict[str, Any] = {"want": "onward", "purposes": ["investigate"], "to": [EAST]}
        asked["until"] = world.clock() + timedelta(days=3)
        for field in ("/amina_valemoor", "/entities/0/amina_valemoor", "/entities/99", "/narrative/0/text/amina"):
            with pytest.raises(DraftMalformed):
                south.service.consents.ask(name, south.officer(), WHY, **asked, fields=[field])
        act = south.service.consents.ask(name, south.officer(), WHY, **asked)
        north.collect()
        for field in ("/amina_valemoor", "/entities/0/amina_valemoor"):
            with pytest.raises(DraftMalformed):
                north.service.consents.decide(
                    act.digest, north.officer("release_officer"), WHY, approve=True, fields=[field]
                )
        said = [call for call in world.wire.calls if call.path == "/v1/acts"]
        assert len(said) == 1


@pytest.mark.spec("NODE-143")
def test_a_consent_that_was_withdrawn_is_not_brought_back_by_a_line_in_the_books(tmp_path: Path) -> None:
    with bound(tmp_path, terms(evidence=False)) as world:
        north, south, name = world.node(NORTH), world.node(SOUTH), told(world)
        until = world.clock() + timedelta(days=3)
        given = consent(world, name, want="evidence", purposes=("investigate",), until=until)
        assert [one.digest for one in south.service.consents.live(name)] == [given]
        north.service.consents.withdraw(given, north.officer("release_officer"), WHY)
        south.collect()
        with south.store.writing() as books:
            assert books.turn("consents", {"digest": given}, {"state": "live", "answer": None})
        assert south.service.consents.live(name) == ()
        with pytest.raises(EvidenceRefused):
            south.service.export(name, south.officer(), WHY)

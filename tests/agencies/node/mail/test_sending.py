"""Sending: what leaves, what does not, and that nothing is disclosed twice (NODE-21 to NODE-33)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies.node.broker_client import Answer, BrokerClient
from agencies.node.errors import (
    AnswerMismatch,
    BrokerUnreachable,
    DraftMalformed,
    JustificationRefused,
    NotWaiting,
    ReleaseRefused,
    RequestKeyReused,
    RoleMissing,
)
from agencies.node.mail.outbox import Sent, Wanted
from agencies.node.mail.sending import prove
from agencies.node.profile import Officer, OfficerRole
from exchange.protocol.entry import disclosure_entry
from exchange.protocol.errors import ContentMalformed
from exchange.protocol.log import DenialEntry, DisclosureEntry, LogSigner, parse_entry, sign_checkpoint, tlog_proof
from exchange.protocol.merkle import leaf_hash
from exchange.protocol.message import parse
from exchange.protocol.policy import PolicyBook
from exercises.federation import ORIGIN
from exercises.wire import Fault
from exercises.world import World, WorldNode, sample
from keys.errors import AgencyUnknown, Refusal
from keys.signing import Signer
from tests.agencies.node.bound import TIP, bound, terms
from tests.agencies.node.conftest import EVIDENCE, HARBOUR, NORTH, REQUEST, SOUTH, WHY, acts


def messages_sent(world: World) -> list[bytes]:
    return [call.body for call in world.wire.calls if call.path == "/v1/messages" and call.method == "POST"]


def disclosures(world: World, msg: str | None = None) -> list[Any]:
    watch = world.nodes[0].service.watch
    entries = [parse_entry(data) for data in watch.entries(watch.look())]
    return [e for e in entries if isinstance(e, DisclosureEntry) and msg in (None, e.msg)]


def outbox_row(node: WorldNode, ref: str) -> Any:
    with node.store.reading() as books:
        return books.get("outbox", ref=ref)


@pytest.mark.spec("NODE-33")
def test_a_permitted_message_is_settled_with_entry_proof_and_a_ledger_act(north: WorldNode) -> None:
    sent = north.send(REQUEST, SOUTH)
    assert (sent.state, sent.code) == ("sent", "permitted")
    entry = parse_entry(sent.entry or b"")
    assert isinstance(entry, DisclosureEntry)
    assert entry.msg == sent.msg
    made, act = acts(north)
    assert (made["act"], made["msg"], made["index"], made["why"]) == ("collect", sent.msg, None, act["why"])
    assert (act["act"], act["msg"], act["index"], act["clauses"]) == ("disclose", sent.msg, sent.index, ["ask"])
    assert act["to"] == [SOUTH]
    assert "person_suspect" in act["persons"]


@pytest.mark.spec("NODE-28")
def test_the_bytes_are_on_disk_before_the_first_of_them_is_sent(world: World, north: WorldNode, crook: Any) -> None:
    found: list[bytes] = []

    def look(honest: BrokerClient, envelopes: list[bytes]) -> Any:
        with north.store.reading() as books:
            found.extend(row.envelope for row in books.rows("outbox", state="pending"))
        return honest.submit_batch(envelopes)

    crook(north, submit_batch=look)
    north.send(REQUEST, SOUTH)
    assert found == messages_sent(world)[-1:]


@pytest.mark.spec("NODE-28", "NODE-29")
def test_a_crash_between_commit_and_send_loses_nothing_and_sends_the_same_bytes(world: World, crook: Any) -> None:
    def die(*_: Any) -> Any:
        raise KeyboardInterrupt

    north = world.node(NORTH)
    crook(north, submit_batch=die)
    with pytest.raises(KeyboardInterrupt):
        north.send(REQUEST, SOUTH)
    (waiting,) = north.service.outbox()
    assert waiting.state == "pending"
    stored = outbox_row(north, waiting.ref).envelope
    north = world.restart_node(NORTH)
    assert north.service.retry_outbox() == 1
    assert messages_sent(world) == [stored]
    assert north.service.outbox()[0].state == "sent"
    assert [act["act"] for act in acts(north)] == ["collect", "disclose"]


@pytest.mark.spec("NODE-29")
def test_a_lost_answer_is_cured_by_the_same_bytes_and_discloses_once(world: World, north: WorldNode) -> None:
    world.wire.trouble(Fault.DEAF, path="/v1/messages", caller=NORTH)
    sent = north.send(REQUEST, SOUTH)
    assert (sent.state, sent.attempts) == ("pending", 1)
    assert north.service.retry_outbox() == 0  # not due yet
    world.clock.advance(seconds=2)
    assert north.service.retry_outbox() == 1
    first, second = messages_sent(world)
    assert first == second
    settled = north.service.outbox()[0]
    assert (settled.state, len(disclosures(world, settled.msg))) == ("sent", 1)
    assert [act["act"] for act in acts(north)] == ["collect", "disclose"]


@pytest.mark.spec("NODE-29")
def test_the_pauses_grow_to_a_bound(world: World, north: WorldNode) -> None:
    with world.wire.cut(NORTH):
        sent = north.send(REQUEST, SOUTH)
        for attempt in range(14):
            row = outbox_row(north, sent.ref)
            pause = timedelta(seconds=min(2.0 * 2**attempt, 900))
            due = row.due
            world.clock.advance(seconds=pause.total_seconds() / 2 - 0.01)
            before = len(messages_sent(world))
            north.service.retry_outbox()
            assert len(messages_sent(world)) == before, "earlier than half the pause"
            world.clock.advance(seconds=pause.total_seconds() / 2 + 0.01)
            north.service.retry_outbox()
            assert len(messages_sent(world)) == before + 1
            assert outbox_row(north, sent.ref).due > due
    world.clock.advance(minutes=16)
    assert north.service.retry_outbox() == 1


@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DEAF, Fault.DELAY, Fault.DUPLICATE, Fault.ALTER_ANSWER])
def test_whatever_happens_on_the_way_a_message_is_disclosed_once(world: World, north: WorldNode, fault: Fault) -> None:
    world.wire.trouble(fault, path="/v1/messages", caller=NORTH)
    sent = north.send(REQUEST, SOUTH)
    world.settle()
    settled = north.service.outbox()[0]
    assert settled.ref == sent.ref
    assert settled.state == "sent"
    assert len(disclosures(world, settled.msg)) == 1
    assert world.audit().clean


@pytest.mark.spec("NODE-31")
def test_bytes_altered_on_the_way_are_sent_again_unaltered(world: World, north: WorldNode) -> None:
    world.wire.trouble(Fault.ALTER_REQUEST, path="/v1/messages", caller=NORTH)
    assert north.send(REQUEST, SOUTH).state == "pending"
    world.settle()
    assert north.service.outbox()[0].state == "sent"


@pytest.mark.spec("NODE-23")
def test_what_is_denied_here_does_not_leave(world: World, north: WorldNode) -> None:
    before = len(world.wire.calls)
    sent = north.send(sample("victim_referral"), HARBOUR, purpose="victim_protection", agr=world.agreements["shore"])
    assert (sent.state, sent.code, sent.msg) == ("stopped", "not_a_party", None)
    assert len(world.wire.calls) == before
    (act,) = acts(north)
    assert (act["act"], act["outcome"], act["index"]) == ("attempt_denied", "not_a_party", None)
    assert any(HARBOUR in reason for reason in act["reasons"])
    assert outbox_row(north, sent.ref).content is None


@pytest.mark.spec("NODE-23")
def test_a_local_denial_names_the_nearest_clause_and_what_it_missed(north: WorldNode) -> None:
    sent = north.send(REQUEST, SOUTH, classification="confidential")
    (recipient,) = (sent.reasons or {})["recipients"]
    assert (sent.code, recipient["nearest"][0]["clause"]) == ("no_clause", "ask")
    assert [missed["member"] for missed in recipient["nearest"][0]["missed"]] == ["class"]


@pytest.mark.spec("NODE-24")
def test_a_ruling_is_the_brokers_logged_denial_with_proof(world: World, north: WorldNode, south: WorldNode) -> None:
    sent = north.send(REQUEST, SOUTH, classification="confidential", ruling=True)
    assert (sent.state, sent.code) == ("denied", "no_clause")
    entry = parse_entry(sent.entry or b"")
    assert isinstance(entry, DenialEntry)
    assert entry.msg == sent.msg
    assert south.collect() == []
    _, act = acts(north)
    assert (act["act"], act["index"], act["clauses"]) == ("attempt_denied", sent.index, ["ask"])
    assert world.audit().clean


@pytest.mark.spec("NODE-22")
def test_asking_what_would_happen_leaves_no_trace(world: World, north: WorldNode) -> None:
    before = len(world.wire.calls)
    seen = north.service.check(north.draft(REQUEST, SOUTH), north.officer())
    assert seen.decision.permitted
    assert seen.to_json()["recipients"][0]["obligations"]["retention_days"] == 90
    assert north.service.check(north.draft(EVIDENCE, SOUTH, purpose="investigate"), north.officer()).waits
    assert len(world.wire.calls) == before
    assert acts(north) == []
    assert north.service.outbox() == []


@pytest.mark.spec("NODE-21")
def test_the_same_request_key_gives_the_first_outcome_again(world: World, north: WorldNode) -> None:
    first = north.send(REQUEST, SOUTH, key="morning-1")
    second = north.send(REQUEST, SOUTH, key="morning-1")
    assert first == second
    assert len(messages_sent(world)) == 1
    with pytest.raises(RequestKeyReused):
        north.send(REQUEST, SOUTH, key="morning-1", classification="unclassified")
    other = Officer("np-duty-2", frozenset({OfficerRole.OFFICER}))
    third = north.service.send(north.draft(REQUEST, SOUTH), other, WHY, key="morning-1")
    assert third.ref != first.ref  # a key is an officer's own


@pytest.mark.spec("NODE-21")
def test_a_key_twice_in_one_batch_sends_once(world: World, north: WorldNode) -> None:
    wanted = [Wanted(north.draft(REQUEST, SOUTH), "twin")] * 2
    one, two = north.service.send_many(wanted, north.officer(), WHY)
    assert isinstance(one, Sent)
    assert isinstance(two, Sent)
    assert one.ref == two.ref
    assert len(north.service.outbox()) == 1


def test_a_batch_is_one_call_and_one_answer_each(world: World, north: WorldNode) -> None:
    drafts = [north.draft(REQUEST, SOUTH), north.draft(REQUEST, SOUTH, classification="secret")]
    drafts += [north.draft(REQUEST, "nowhere.sim", agr=world.agreements["shore"]), north.draft(REQUEST, SOUTH)]
    outcomes = north.service.send_many([Wanted(d) for d in drafts], north.officer(), WHY)
    assert [one.state if isinstance(one, Sent) else one.code for one in outcomes] == [
        "sent", "stopped", AgencyUnknown.code, "sent",
    ]  # fmt: skip
    assert len(messages_sent(world)) == 1
    number, _ = north.service.verify_ledger()
    assert number == 5


@pytest.mark.spec("NODE-13")
def test_who_is_no_officer_sends_nothing(north: WorldNode) -> None:
    auditor = north.officer("auditor")
    with pytest.raises(RoleMissing):
        north.service.send(north.draft(REQUEST, SOUTH), auditor, WHY)
    with pytest.raises(RoleMissing):
        north.service.check(north.draft(REQUEST, SOUTH), auditor)


# -- release --------------------------------------------------------------------------------------------


@pytest.fixture
def waiting(north: WorldNode) -> Sent:
    sent = north.send(EVIDENCE, SOUTH, purpose="investigate")
    assert (sent.state, sent.reasons) == ("pending_release", None)
    return sent


@pytest.mark.spec("NODE-25")
def test_a_message_waits_until_another_officer_lets_it_go(world: World, north: WorldNode, waiting: Sent) -> None:
    assert messages_sent(world) == []
    assert b"Gull" not in (outbox_row(north, waiting.ref).draft or b"")
    world.clock.advance(hours=3)
    sent = north.release(waiting.ref)
    assert (sent.state, sent.ref) == ("sent", waiting.ref)
    (entry,) = disclosures(world, sent.msg)
    assert [one.clauses for one in entry.to] == [("slow",)]
    waited, released, act = acts(north)
    assert (waited["act"], waited["outcome"], released["act"]) == ("collect", "waits_for_release", "review")
    assert (act["officer"], act["released_by"]) == (north.officer().id, north.officer("release_officer").id)


@pytest.mark.spec("NODE-26")
def test_nobody_releases_a_message_of_their_own(north: WorldNode) -> None:
    both = north.officer("release_officer")
    assert OfficerRole.OFFICER in both.roles
    draft = north.draft(EVIDENCE, SOUTH, purpose="investigate")
    sent = north.service.send(draft, both, WHY)
    with pytest.raises(ReleaseRefused):
        north.service.release(sent.ref, both, WHY, approve=True)
    with pytest.raises(RoleMissing):
        north.service.release(sent.ref, north.officer(), WHY, approve=True)
    _, act = acts(north)
    assert (act["act"], act["outcome"]) == ("attempt_denied", "release_refused")
    assert north.service.outbox()[0].state == "pending_release"


@pytest.mark.spec("NODE-25", "NODE-27")
def test_a_message_kept_back_never_leaves(world: World, north: WorldNode, waiting: Sent) -> None:
    assert north.release(waiting.ref, approve=False).state == "withheld"
    with pytest.raises(NotWaiting):
        north.release(waiting.ref)
    assert messages_sent(world) == []
    assert outbox_row(north, waiting.ref).content is None
    assert acts(north)[-1]["outcome"] == "withheld"


@pytest.mark.spec("NODE-25")
def test_an_agreement_that_lapsed_meanwhile_stops_a_waiting_message(
    world: World, north: WorldNode, waiting: Sent
) -> None:
    release = north.officer("release_officer")
    north.service.give_notice("suspend", world.agreements["shore"], release, "an exercise in stopping")
    sent = north.release(waiting.ref)
    assert (sent.state, sent.code) == ("stopped", "agreement_suspended")
    assert messages_sent(world) == []


# -- what is not believed -------------------------------------------------------------------------------


def lying(change: Callable[[Answer], Answer]) -> Callable[..., Any]:
    def submit_batch(honest: BrokerClient, envelopes: list[bytes]) -> Any:
        return [change(one) if isinstance(one, Answer) else one for one in honest.submit_batch(envelopes)]

    return submit_batch


def changed(answer: Answer, **members: Any) -> Answer:
    told = {name: getattr(answer, name) for name in ("outcome", "code", "msg", "entry", "proof", "explanation")}
    return Answer(**{**told, **members})


def forged(answer: Answer) -> Answer:
    """A perfect proof of the very entry, by somebody else's log keys."""
    thief = LogSigner("ix.sim/log", Signer.generate())
    note = sign_checkpoint(1, leaf_hash(answer.entry), thief, sample_time())
    return changed(answer, proof=tlog_proof(0, (), note))


def sample_time() -> Any:
    from exercises.world import START

    return START


def about_another(answer: Answer) -> Answer:
    told = json.loads(answer.entry)
    return changed(answer, entry=json.dumps({**told, "purpose": "prevent"}, separators=(",", ":")).encode())


@pytest.mark.spec("NODE-32")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (forged, "checkpoint_invalid"),
        (about_another, "inclusion_invalid"),
        (lambda a: changed(a, outcome="deny"), AnswerMismatch.code),
        (lambda a: changed(a, msg="A" * 43), AnswerMismatch.code),
        (lambda a: changed(a, proof=a.proof.replace("index ", "index 1")), "inclusion_invalid"),
        (lambda a: changed(a, proof="c2sp.org/tlog-proof@v1\n"), "tlog_proof_malformed"),
    ],
)
def test_an_answer_that_proves_nothing_settles_nothing(
    world: World, north: WorldNode, crook: Any, change: Any, code: str
) -> None:
    crook(north, submit_batch=lying(change))
    sent = north.send(REQUEST, SOUTH)
    assert sent.state == "pending"
    assert (sent.problem or "").startswith(code)
    assert [act["act"] for act in acts(north)] == ["collect"]
    (kept,) = [e for e in north.service.evidence(north.officer("auditor")) if e["kind"] == "answer_unproved"]
    assert (kept["detail"]["msg"], kept["detail"]["code"]) == (sent.msg, code)
    crook(north)
    world.settle()
    assert north.service.outbox()[0].state == "sent"
    assert world.audit().clean


@pytest.mark.spec("NODE-32")
def test_the_proof_of_another_message_settles_nothing(world: World, north: WorldNode, crook: Any) -> None:
    first = north.send(REQUEST, SOUTH)
    assert first.entry is not None
    crook(north, submit_batch=lying(lambda a: changed(a, entry=first.entry, proof=first.proof)))
    second = north.send(REQUEST, SOUTH)
    assert second.state == "pending"
    assert (second.problem or "").startswith(AnswerMismatch.code)


@pytest.mark.spec("NODE-30")
def test_a_refusal_that_is_not_provably_the_brokers_is_not_believed(world: World, north: WorldNode) -> None:
    world.wire.trouble(Fault.ALTER_ANSWER, path="/v1/messages", caller=NORTH, times=3)
    sent = north.send(REQUEST, SOUTH)
    assert sent.state == "pending"
    assert "not proved" in (sent.problem or "")


@pytest.mark.spec("NODE-31")
def test_a_proved_refusal_of_the_message_is_final(world: World, north: WorldNode, south: WorldNode) -> None:
    # The directory here is older than the revocation of south's keys: the broker refuses what was sealed to them.
    world.clock.advance(minutes=1)
    world.revoke(SOUTH)
    sent = north.send(REQUEST, SOUTH)
    assert (sent.state, sent.code) == ("refused", "key_not_valid")
    _, act = acts(north)
    assert (act["act"], act["outcome"], act["index"]) == ("attempt_denied", "key_not_valid", None)
    north.service.refresh()
    assert north.send(REQUEST, SOUTH).state == "sent"


def test_an_unreachable_broker_keeps_nobody_from_sending(world: World, north: WorldNode) -> None:
    world.stop_broker()
    sent = north.send(REQUEST, SOUTH)
    assert sent.state == "pending"
    with pytest.raises(BrokerUnreachable):
        north.service.refresh()
    world.start_broker()
    world.settle()
    assert north.service.outbox()[0].state == "sent"


def test_nobody_writes_to_itself_or_twice(north: WorldNode) -> None:
    for to in ([NORTH], [SOUTH, SOUTH]):
        with pytest.raises(Refusal, match="named once"):
            north.send(REQUEST, *to)


@pytest.mark.spec("NODE-32")
def test_an_entry_that_names_another_message_as_the_one_answered_settles_nothing(
    world: World, north: WorldNode
) -> None:
    sent = north.send(REQUEST, SOUTH)
    envelope, office = parse(outbox_row(north, sent.ref).envelope), north.service.office
    log = LogSigner(ORIGIN, world.federation.broker.log)

    def logged(re: str | None) -> Answer:
        manifest = envelope.manifest.model_copy(update={"re": re})
        entry = disclosure_entry(manifest, envelope.digest, [["ask"]], "A" * 43, world.clock())
        proof = tlog_proof(0, (), sign_checkpoint(1, leaf_hash(entry), log, world.clock()))
        return Answer("permit", "permitted", envelope.digest, entry, proof, None)

    assert prove(envelope, logged(None), office)[0] == 0
    with pytest.raises(AnswerMismatch, match="answered"):
        prove(envelope, logged("A" * 43), office)


# -- two release officers, and what is exempt from a copy --


def four_eyes(home: Path, **strings: Any) -> Any:
    return bound(home, terms(**strings))


def special() -> dict[str, Any]:
    """A tip about a person with health data, which comes with the reason why it is strictly necessary."""
    health = {"kinds": ["health"], "necessity": "The medics at the crossing need to know before they open the door."}
    person = {
        "kind": "person", "id": "p1", "assertion": "fact", "evaluation": "A1", "category": "witness", "special": health,
    }  # fmt: skip
    return {**TIP, "entities": [*TIP["entities"], person]}


@pytest.mark.spec("NODE-91")
@pytest.mark.parametrize(
    ("strings", "content", "facts", "wanted"),
    [
        ({"second_approver": "restricted"}, TIP, {}, 2),
        ({"second_approver": "confidential"}, TIP, {}, 0),
        ({"second_approver": "confidential", "human_release": True}, TIP, {}, 1),
        ({}, None, {}, 2),
    ],
)
def test_as_many_release_officers_agree_as_the_clause_and_the_data_ask_for(
    tmp_path: Path, strings: dict[str, Any], content: Any, facts: dict[str, Any], wanted: int
) -> None:
    with four_eyes(tmp_path, **strings) as world:
        north = world.node("north.police.sim")
        draft = north.draft(content or special(), SOUTH, **facts)
        seen = north.service.check(draft, north.officer())
        assert (seen.approvals, seen.to_json()["approvals"], seen.waits) == (wanted, wanted, wanted > 0)
        sent = north.service.send(draft, north.officer(), WHY)
        assert sent.state == ("pending_release" if wanted else "sent")
        if wanted:
            assert north.release(sent.ref).released_by == " ".join(["np-release", "np-deputy"][:wanted])


@pytest.mark.spec("NODE-91", "NODE-26")
def test_neither_the_author_nor_one_person_twice_makes_two(tmp_path: Path) -> None:
    with four_eyes(tmp_path, second_approver="restricted") as world:
        north = world.node("north.police.sim")
        first, second = (o for o in north.officers if OfficerRole.RELEASE_OFFICER in o.roles)
        waiting = north.service.send(north.draft(TIP, SOUTH), first, WHY)
        with pytest.raises(ReleaseRefused):  # the author
            north.service.release(waiting.ref, first, WHY, approve=True)
        agreed = north.service.release(waiting.ref, second, WHY, approve=True)
        assert (agreed.state, agreed.approved_by, agreed.msg) == ("pending_release", second.id, None)
        for again in (second, first):
            with pytest.raises(ReleaseRefused):
                north.service.release(waiting.ref, again, WHY, approve=True)
        with pytest.raises(RoleMissing):
            north.service.release(waiting.ref, north.officers[0], WHY, approve=True)
        assert [c for c in world.wire.calls if c.path == "/v1/messages"] == []
        assert north.service.outbox()[0].state == "pending_release"
        third = Officer("np-third", frozenset({OfficerRole.RELEASE_OFFICER}))
        sent = north.service.release(waiting.ref, third, WHY, approve=True)
        assert (sent.state, sent.released_by) == ("sent", f"{second.id} np-third")
        done = acts(north)
        assert [act["outcome"] for act in done if act["act"] == "attempt_denied"] == ["release_refused"] * 3
        assert [act["outcome"] for act in done if act["act"] == "review"] == ["first_approval", "released"]
        assert done[-1]["released_by"] == f"{second.id} np-third"


@pytest.mark.spec("NODE-91")
def test_either_of_two_may_withhold(tmp_path: Path) -> None:
    with four_eyes(tmp_path, second_approver="restricted") as world:
        north = world.node("north.police.sim")
        first, second = (o for o in north.officers if OfficerRole.RELEASE_OFFICER in o.roles)
        for who in (first, second):
            waiting = north.send(TIP, SOUTH)
            north.service.release(waiting.ref, first, WHY, approve=True)
            assert north.service.release(waiting.ref, who, WHY, approve=False).state == "withheld"


@pytest.mark.spec("NODE-91", "NODE-24")
def test_a_ruling_is_no_way_round_the_second_approver(tmp_path: Path) -> None:
    with four_eyes(tmp_path, second_approver="restricted") as world:
        north = world.node("north.police.sim")
        (agreement,) = world.agreements.values()
        north.service.office.trust.book = PolicyBook()  # a node that has not heard of the agreement yet
        waiting = north.send(TIP, SOUTH, agr=agreement, ruling=True)
        assert waiting.state == "pending_release"
        assert [c for c in world.wire.calls if c.path == "/v1/messages"] == []
        assert north.release(waiting.ref).released_by == "np-release np-deputy"


@pytest.mark.spec("NODE-91", "NODE-24")
@pytest.mark.parametrize(("strings", "state"), [({}, "denied"), ({"human_release": True}, "pending_release")])
def test_a_ruling_under_a_lapsed_agreement_waits_as_its_clauses_ask(
    tmp_path: Path, strings: dict[str, Any], state: str
) -> None:
    with four_eyes(tmp_path, **strings) as world:
        north = world.node("north.police.sim")
        (agreement,) = world.agreements.values()
        north.service.give_notice("suspend", agreement, north.officer("release_officer"), "an exercise in stopping")
        sent = north.send(TIP, SOUTH, agr=agreement, ruling=True)
        assert sent.state == state
        if state == "pending_release":
            assert north.release(sent.ref).code == "agreement_suspended"


def test_special_categories_come_with_the_reason_why(tmp_path: Path) -> None:
    with four_eyes(tmp_path) as world:
        content = special()
        del content["entities"][-1]["special"]["necessity"]
        with pytest.raises(ContentMalformed):
            world.node("north.police.sim").send(content, SOUTH)


@pytest.mark.spec("NODE-92")
def test_an_exemption_from_a_copy_has_a_reason_and_is_counted(tmp_path: Path) -> None:
    east = "east.border.sim"
    with four_eyes(tmp_path, copy_to=east, copy_exempt=["sensitive_case"]) as world:
        north = world.node("north.police.sim")
        why = "the colleague at the crossing is a brother of the person named"
        assert north.send(TIP, SOUTH).state == "stopped"
        assert north.send(TIP, SOUTH, east).state == "sent"
        for wrong in ({"exempt": "sensitive_case"}, {"exempt_why": why}):
            with pytest.raises(DraftMalformed):
                north.send(TIP, SOUTH, **wrong)
        with pytest.raises(JustificationRefused):
            north.send(TIP, SOUTH, exempt="sensitive_case", exempt_why="because")
        assert north.send(TIP, SOUTH, exempt="imminent_danger", exempt_why=why).state == "stopped"
        sent = north.send(TIP, SOUTH, exempt="sensitive_case", exempt_why=why)
        assert (sent.state, sent.exempt) == ("sent", "sensitive_case")
        act = acts(north)[-1]
        assert act["why"].endswith(f"[copy exemption sensitive_case] {why}")
        assert act["reasons"] == ["copy exemption: sensitive_case"]
        assert north.service.state()["exemptions"] == 1
        assert not any(why.encode() in path.read_bytes() for path in world.home.glob("*.db*"))


@pytest.mark.spec("NODE-21", "NODE-92")
def test_another_source_or_exemption_is_another_request(tmp_path: Path) -> None:
    with four_eyes(tmp_path) as world:
        north = world.node("north.police.sim")
        mine = north.send(TIP, SOUTH, key="one").msg or ""
        derived = {**TIP, "sources": [{"msg": mine, "fields": [""]}]}
        why = "the colleague at the crossing is a brother of the person named"
        for facts in ({"exempt": "sensitive_case", "exempt_why": why}, {"src": [mine], "content": derived}):
            content = facts.pop("content", TIP)
            with pytest.raises(RequestKeyReused):
                north.send(content, SOUTH, key="one", **facts)

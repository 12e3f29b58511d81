"""Refusals in two layers: what the requester can see of why, and of when, which must be nothing.

South asks North about somebody. Whatever North finds, and whoever decides after however long, the answer is the same
in bytes but for its names, the same in size, and leaves at the same hour; the auditor alone has the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies.node.errors import (
    AlreadyAnswered,
    DraftMalformed,
    NotHere,
    RefusalWouldTell,
    RoleMissing,
    SafeguardRefused,
)
from agencies.node.ledger import justify
from exchange.protocol.neutral import DELAY, neutral_answer, public_ground, release_at
from exchange.protocol.vocabulary import DEADLINE_HOURS, RefusalGround, Urgency
from exercises.world import START, World, WorldNode
from keys.encoding import digest, instant, read_json, unb64u
from keys.errors import Refusal
from tests.adversary.test_safeguards_asylum import CLAIMANT, EAST, NORTH, SOUTH, checked, claim, content, terms

SPEC = Path(__file__).resolve().parents[2] / "spec" / "safeguards.md"
HASTY = justify("request_answer", "nothing was found in any of our registers")
CAREFUL = justify("request_answer", "the prosecutor's office was asked and thought about it for long")
OFFICE_HOURS = [timedelta(minutes=1), timedelta(hours=3), timedelta(hours=9), timedelta(hours=26), timedelta(hours=71)]


def request(name: str = "Belin Orrowby", *, impersonal: bool = False, **question: Any) -> dict[str, Any]:
    """A request about a person; or about a van, and nobody."""
    made = content("info_request")
    made["question"] = {**made["question"], **question}
    if impersonal:
        made["entities"] = [{"kind": "transport", "id": "t1", "assertion": "fact", "means": "van"}]
        return made
    given, family = name.split()
    names = [{"family": family, "given": given}]
    made["entities"] = [
        {"kind": "person", "id": "p1", "assertion": "fact", "category": "contact", "minor": False, "names": names}
    ]
    made["question"]["links"] = [{"entity": "p1", "text": "Seen at the port."}]
    return made


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, [NORTH, SOUTH, EAST], agreements=()) as made:
        made.agreements["far"] = made.agree(terms("far", [NORTH, SOUTH]))
        made.agreements["near"] = made.agree(terms("near", [NORTH, EAST]))
        yield made


@pytest.fixture
def north(world: World) -> WorldNode:
    return world.node(NORTH)


def ask(world: World, value: dict[str, Any], **facts: Any) -> str:
    sent = world.node(SOUTH).send(value, NORTH, agr=world.agreements["far"], **facts)
    assert sent.msg is not None
    world.node(NORTH).collect()
    return sent.msg


def table() -> dict[str, tuple[str, str]]:
    """The table of SAFE-31, read from the specification: private ground to (about somebody, otherwise)."""
    rows = SPEC.read_text(encoding="utf-8").split("**SAFE-31**")[1].split("**SAFE-32**")[0].splitlines()
    cells = [[cell.strip() for cell in row.strip("| ").split("|")] for row in rows if row.startswith("| `")]
    found: dict[str, tuple[str, str]] = {}
    for private, public in cells:
        for ground in re.findall(r"`(\w+)`", private):
            found[ground] = (ground, ground) if public == "the same" else ("cannot_respond", "cannot_respond")
    return {str(ground): found.get(ground, ("cannot_respond", str(ground))) for ground in RefusalGround}


CATS = [
    (), ("data_transport",), ("data_attachment", "smug_a_routes"), ("person_unknown",), ("data_identification",),
    ("data_financial", "smug_b_groups"), ("data_minor",),
]  # fmt: skip


@pytest.mark.spec("SAFE-31")
@pytest.mark.parametrize("ground", RefusalGround)
@pytest.mark.parametrize("cats", CATS, ids=" ".join)
def test_the_ground_that_is_told_follows_from_the_table(ground: RefusalGround, cats: tuple[str, ...]) -> None:
    somebody, otherwise = table()[ground]
    impersonal = not any(code.startswith(("person_", "data_")) and code != "data_transport" for code in cats)
    impersonal = impersonal or cats == ("data_attachment", "smug_a_routes")
    assert public_ground(ground, cats) == (otherwise if impersonal else somebody)


def test_the_table_is_read_whole() -> None:
    """SAFE-31: seven grounds speak of the request, four are never told, the rest depend on what was asked."""
    kinds = list(table().values())
    assert sum(a == b != "cannot_respond" for a, b in kinds) == 6
    assert table()["cannot_respond"] == table()["victim_safety"] == ("cannot_respond", "cannot_respond")
    assert table()["not_available"] == ("cannot_respond", "not_available")


GROUNDS = ["not_available", "asylum_confidentiality", "victim_safety", "jeopardise_investigation_or_safety",
           "third_party_consent_missing"]  # fmt: skip


def seen_by_south(world: World, request_: str) -> tuple[bytes, dict[str, Any], int, datetime]:
    """All that the requester's side, the broker and the wire can see of an answer."""
    south = world.node(SOUTH)
    (answer,) = [one for one in south.service.inbox() if one["re"] == request_]
    with south.store.reading() as books:
        row = books.get("inbox", msg=answer["msg"])
    assert row is not None
    parcel = read_json(row.parcel, limit=2**20)
    manifest = read_json(unb64u(parcel["payload"]), limit=2**16)
    plain = south.service.open_bytes(answer["msg"], south.officer(), HASTY)
    sealed = sum(len(parcel[member]) for member in ("payload", "wrap", "body"))  # the proof grows with the log
    return plain, manifest, sealed, instant(manifest["ts"])


@pytest.mark.spec("SAFE-17", "SAFE-30", "SAFE-32", "SAFE-33")
def test_no_data_and_may_not_tell_are_alike_in_bytes_in_size_and_in_the_hour(world: World, north: WorldNode) -> None:
    assert world.node(EAST).send(claim(CLAIMANT), NORTH, agr=world.agreements["near"], handling=["H2"]).msg
    world.settle()
    persons = ["Belin Orrowby", f"{CLAIMANT['given'].split()[0]} {CLAIMANT['family']}"]
    asked: dict[str, tuple[datetime, timedelta]] = {}
    waiting: list[tuple[datetime, str, str, Any]] = []
    for n, thought in enumerate((*OFFICE_HOURS, *OFFICE_HOURS[::-1], *OFFICE_HOURS, *OFFICE_HOURS[::-1])):
        name = ask(world, request(persons[n % 2]))
        asked[name] = (world.clock(), thought)
        who = north.officer("officer" if n % 3 else "release_officer")
        waiting.append((world.clock() + thought, name, GROUNDS[n % len(GROUNDS)], who))
        world.clock.advance(minutes=7)
    second = timedelta(seconds=1)
    hours = {at + timedelta(hours=72) for at, _ in asked.values()}
    moments = sorted({*(due for due, *_ in waiting), *hours, *(hour - second for hour in hours)})
    for moment in (one for one in moments if one >= world.clock()):
        world.clock.now = moment
        for due, name, ground, who in list(waiting):
            if due <= moment:
                waiting.remove((due, name, ground, who))
                why = HASTY if ground == "not_available" else CAREFUL
                north.service.answering.refuse(name, ground, f"the whole story of {name}: {ground}", who, why)
        north.service.retry_outbox()
    world.settle()
    seen = {name: seen_by_south(world, name) for name in asked}
    assert len(seen) == 20
    shapes = set()
    for name, (plain, manifest, length, sent) in seen.items():
        reference = read_json(plain, limit=2**16)["case"]["reference"]
        assert reference.startswith("R-")
        shapes.add(plain.replace(reference.encode(), b"R"))
        varying = {"id", "ts", "exp", "re", "to", "body"}
        same = {member: value for member, value in manifest.items() if member not in varying}
        shapes.add(repr(sorted(same.items())).encode())
        shapes.add(f"{len(plain)} {manifest['body']['len']} {length}".encode())
        assert sent - asked[name][0] == timedelta(hours=72)
        assert manifest["re"] == name
    assert len(shapes) == 3, shapes  # one content, one manifest, one size


@pytest.mark.spec("SAFE-33")
@pytest.mark.parametrize("urgency", Urgency)
def test_the_hour_follows_from_the_request_and_comes_before_its_deadline(urgency: Urgency) -> None:
    step = DELAY[urgency]
    if urgency in DEADLINE_HOURS:
        assert step < timedelta(hours=DEADLINE_HOURS[urgency])
    for thought in (timedelta(0), timedelta(seconds=1), step / 2, step):
        assert release_at(START, urgency, START + thought) == START + step
    for turns in (1, 2, 5):
        late = START + step * turns + timedelta(microseconds=1)
        assert release_at(START, urgency, late) == START + step * (turns + 1)


@pytest.mark.spec("SAFE-32", "SAFE-17")
@pytest.mark.parametrize("ground", RefusalGround)
def test_no_officer_sends_by_hand_a_ground_that_would_tell(
    world: World, north: WorldNode, ground: RefusalGround
) -> None:
    personal, impersonal = ask(world, request()), ask(world, request(impersonal=True))
    by_hand = {**content("info_refusal"), "refusal": {"ground": str(ground)}}
    for name, column in ((personal, 0), (impersonal, 1), (digest(b"never received"), 0)):
        refusal = checked(north, by_hand, SOUTH, agr=world.agreements["far"], re=name)
        tells = table()[ground][column] != ground or ground == RefusalGround.CANNOT_RESPOND
        assert isinstance(refusal, RefusalWouldTell) is tells, (ground, column, refusal)


@pytest.mark.spec("SAFE-32")
def test_not_even_the_neutral_answer_itself_goes_by_hand_or_early(world: World, north: WorldNode) -> None:
    asked = ask(world, request())
    copied = neutral_answer(asked, world.clock().date())
    with pytest.raises(RefusalWouldTell):
        north.send(copied, SOUTH, agr=world.agreements["far"], re=asked)
    said = north.service.answering.refuse(asked, "not_available", "no register has her", north.officer(), HASTY)
    assert (said.public, said.state, instant(said.due)) == (
        "cannot_respond",
        "waiting",
        world.clock() + timedelta(hours=72),
    )
    world.clock.advance(hours=71, minutes=59)
    world.settle()
    assert world.node(SOUTH).service.inbox() == []
    world.clock.advance(minutes=1)
    world.settle()
    assert len(world.node(SOUTH).service.inbox()) == 1
    assert north.service.answering.answer(asked).state == "sent"


ANSWERS = {
    "a reply that she is not known": {**content("info_reply"), "answer": {"text": "This person is not known here."}},
    "a reply in part": content("info_partial"),
    "a question back": content("clarification_request"),
}


@pytest.mark.spec("SAFE-13", "SAFE-17")
@pytest.mark.parametrize("how", ANSWERS)
def test_a_persecutor_who_asks_about_a_claimant_gets_no_answer_but_the_neutral_one(
    world: World, north: WorldNode, how: str
) -> None:
    assert world.node(EAST).send(claim(CLAIMANT), NORTH, agr=world.agreements["near"], handling=["H2"]).msg
    world.settle()
    known = ask(world, request(f"{CLAIMANT['given'].split()[0]} {CLAIMANT['family']}"))
    unknown = ask(world, request())
    agr = world.agreements["far"]
    assert isinstance(checked(north, ANSWERS[how], SOUTH, agr=agr, re=known), SafeguardRefused)
    assert not isinstance(checked(north, ANSWERS[how], SOUTH, agr=agr, re=unknown), SafeguardRefused)
    for name in (known, unknown):  # what can be read off the request is told of both, at once
        said = north.service.answering.refuse(name, "disproportionate", "asked too much", north.officer(), HASTY)
        assert (said.public, said.state) == ("disproportionate", "sent")
    world.settle()
    grounds = {seen_by_south(world, name)[0].partition(b'"refusal"')[2] for name in (known, unknown)}
    assert len(grounds) == 1


@pytest.mark.spec("SAFE-30", "SAFE-35")
def test_the_auditor_has_the_whole_reason_and_no_file_has_it_in_clear(world: World, north: WorldNode) -> None:
    asked = ask(world, request())
    reason = "her brother is our Lanternfish source in the port"
    north.service.answering.refuse(asked, "jeopardise_investigation_or_safety", reason, north.officer(), CAREFUL)
    audited = north.service.ledger(north.officer("auditor"), CAREFUL, where={})
    (act,) = [one for one in audited if one["outcome"] == "answered"]
    assert reason in act["why"]
    assert "jeopardise_investigation_or_safety" in act["why"]
    assert act["msg"] == asked
    world.clock.advance(hours=73)
    world.settle()
    for path in world.home.iterdir():
        if path.is_file():
            assert b"Lanternfish" not in path.read_bytes(), path.name
            if path.name.startswith(NORTH):
                assert b"jeopardise" not in path.read_bytes(), path.name
    assert world.audit().clean


@pytest.mark.spec("SAFE-31", "SAFE-33")
def test_a_ground_that_speaks_of_the_request_is_told_at_once_with_its_words(world: World, north: WorldNode) -> None:
    asked = ask(world, request())
    text = "Please say which month is meant."
    said = north.service.answering.refuse(
        asked, "request_incomplete", "no month was given", north.officer(), HASTY, text=text
    )
    assert (said.public, said.state) == ("request_incomplete", "sent")
    world.settle()
    plain, *_ = seen_by_south(world, asked)
    assert read_json(plain, limit=2**16)["refusal"] == {"ground": "request_incomplete", "text": text}


@pytest.mark.spec("SAFE-34")
def test_a_request_is_answered_once(world: World, north: WorldNode) -> None:
    asked, other = ask(world, request()), ask(world, request(impersonal=True))
    answering, officer = north.service.answering, north.officer()
    answering.refuse(asked, "not_available", "nothing there", officer, HASTY)
    with pytest.raises(AlreadyAnswered):
        answering.refuse(asked, "victim_safety", "thought again", officer, CAREFUL)
    answering.refuse(other, "disproportionate", "too much", officer, HASTY)
    with pytest.raises(AlreadyAnswered):
        answering.refuse(other, "disproportionate", "too much", officer, HASTY)
    for _ in range(3):
        north.service.retry_outbox()
    world.clock.advance(hours=80)
    for _ in range(3):
        north.service.retry_outbox()
    world.settle()
    assert len(world.node(SOUTH).service.inbox()) == 2


@pytest.mark.spec("SAFE-30")
def test_a_refusal_needs_an_officer_a_request_a_ground_and_a_reason(world: World, north: WorldNode) -> None:
    asked = ask(world, request())
    answering, officer = north.service.answering, north.officer()
    wrong: list[tuple[type[Refusal], tuple[Any, ...]]] = [
        (RoleMissing, (asked, "not_available", "x", north.officer("auditor"), HASTY)),
        (NotHere, (digest(b"nothing"), "not_available", "x", officer, HASTY)),
        (DraftMalformed, (asked, "because", "x", officer, HASTY)),
        (DraftMalformed, (asked, "not_available", "  ", officer, HASTY)),
    ]
    for code, said in wrong:
        with pytest.raises(code):
            answering.refuse(*said)
    told = world.node(SOUTH).send(content("spontaneous_info"), NORTH, agr=world.agreements["far"])
    north.collect()
    with pytest.raises(DraftMalformed):
        answering.refuse(told.msg or "", "not_available", "it is no request", officer, HASTY)


@pytest.mark.spec("SAFE-33")
def test_an_answer_whose_hour_came_while_the_node_was_down_leaves_when_it_is_up(world: World, north: WorldNode) -> None:
    asked = ask(world, request())
    north.service.answering.refuse(asked, "victim_safety", "she is with us", north.officer(), CAREFUL)
    world.clock.advance(hours=100)
    again = world.restart_node(NORTH)
    assert again.service.answering.answer(asked).state == "waiting"
    world.settle()
    assert again.service.answering.answer(asked).state == "sent"
    assert len(world.node(SOUTH).service.inbox()) == 1


@pytest.mark.spec("SAFE-34")
def test_an_answer_that_could_not_be_sent_may_be_given_again(world: World, north: WorldNode) -> None:
    """And nothing of it left: an agreement suspended at the hour stops it as it stops anything else."""
    asked = ask(world, request())
    agr, chief = world.agreements["far"], north.officer("release_officer")
    north.service.answering.refuse(asked, "not_available", "no register has her", north.officer(), HASTY)
    north.service.give_notice("suspend", agr, chief, "an exercise in what lapses meanwhile")
    world.clock.advance(hours=72)
    world.settle()
    assert north.service.answering.answer(asked).state == "failed agreement_suspended"
    assert world.node(SOUTH).service.inbox() == []
    north.service.give_notice("resume", agr, chief, "an exercise in what goes on again")
    world.settle()
    again = north.service.answering.refuse(asked, "not_available", "and still none has", north.officer(), HASTY)
    assert again.state == "waiting"
    assert instant(again.due) - world.clock() <= timedelta(hours=72)
    world.clock.advance(hours=72)
    world.settle()
    assert north.service.answering.answer(asked).state == "sent"
    assert len(world.node(SOUTH).service.inbox()) == 1


@pytest.mark.spec("SAFE-33")
def test_an_answer_whose_sending_was_cut_off_is_not_sent_twice_on_another_day(
    world: World, north: WorldNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(world, request())
    answering = north.service.answering
    answering.refuse(asked, "not_available", "no register has her", north.officer(), HASTY)
    world.clock.advance(hours=72)
    send = answering._send

    def cut_off(*said: Any) -> Any:
        send(*said)
        raise KeyboardInterrupt

    monkeypatch.setattr(answering, "_send", cut_off)
    with pytest.raises(KeyboardInterrupt):
        answering.release_due()
    monkeypatch.undo()
    assert answering.answer(asked).state == "waiting"
    world.clock.advance(hours=20)  # past midnight
    world.settle()
    assert answering.answer(asked).state == "sent"
    assert len(world.node(SOUTH).service.inbox()) == 1

"""Everything that would lead a persecutor to a claimant, held against a node that knows of the claim.

North took in a claim against the territory of South. Every case is a draft of North's that says, asks or lets infer
something about the claimant, and is refused; beside it stands the same draft about a stranger, which no safeguard
stops. What the officer is told is the same in every case; the ledger has the rule.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from agencies.node.errors import SafeguardRefused
from exchange.protocol.blocks import attach
from exchange.protocol.vocabulary import Category, CrimeArea, MessageType, Purpose, Urgency
from exercises.world import WHY, World, WorldNode
from keys.encoding import digest
from keys.errors import Refusal

NORTH, SOUTH, EAST, HARBOUR = "north.police.sim", "south.police.sim", "east.border.sim", "harbour.ngo.sim"
WHY_CLAIM = "Needed to place the person safely."
CLAIMANT = {
    "family": "Valemoor", "given": "Amina Jorun", "alias": "Swiftwater", "year": 1991, "number": "SIM-PP-44170",
    "account": "SIM-ACC-7781", "phone": "+9995550177", "email": "a.valemoor@mail.example", "handle": "sim_swiftwater",
    "case": "XN-2026/0900", "link": "XE-2026/0031",
}  # fmt: skip
STRANGER = {
    "family": "Orrowby", "given": "Belin Kast", "alias": "Longshore", "year": 1979, "number": "SIM-PP-90001",
    "account": "SIM-ACC-9902", "phone": "+9995550999", "email": "b.orrowby@mail.example", "handle": "sim_longshore",
    "case": "XN-2026/0555", "link": "XE-2026/0555",
}  # fmt: skip
Who = dict[str, Any]


def terms(name: str, parties: list[str]) -> dict[str, Any]:
    """An agreement that permits whatever the floor does not forbid."""
    clause = {
        "id": "all", "effect": "permit", "title": "Everything, so that only safeguards are left",
        "from": sorted(parties), "to": sorted(parties), "types": [str(code) for code in MessageType],
        "purposes": [str(code) for code in Purpose],
        "crimes": [str(code) for code in CrimeArea], "cats": [str(code) for code in Category],
        "class_max": "restricted",
        "conditions": {
            "handling_required": [], "urgency": [str(code) for code in Urgency], "onward": "within_parties",
            "retention_days": 90, "evidence": True, "human_release": False,
        },
    }  # fmt: skip
    return {
        "id": name, "version": 1, "title": f"{name} (SIMULATION)", "kind": "police_cooperation", "parties": parties,
        "bases": ["multilateral_agreement"], "territory": ["XE", "XN", "XS"], "start": "2026-01-01T00:00:00Z",
        "end": "2036-01-01T00:00:00Z", "clauses": [clause],
    }  # fmt: skip


def content(type_: str, **members: Any) -> dict[str, Any]:
    contact = {"agency": NORTH, "desk": "duty_desk"}
    blocks: dict[str, Any] = {
        "info_request": {
            "question": {
                "sought": "What is known here.", "facts": "A landing.", "crime": "immigrant_smuggling",
                "purpose": "investigate", "grounds": "Seen in your port.", "urgency": {"code": "normal"},
                "contact": contact,
            },
        },
        "info_reply": {"answer": {"text": "What we have."}},
        "info_partial": {"answer": {"text": "What we have.", "outstanding": "The rest."}},
        "info_refusal": {"refusal": {"ground": "disproportionate"}},
        "clarification_request": {"clarification": {"points": [{"about": "sought", "text": "Which one?"}]}},
        "clarification": {"clarification": {"points": [{"about": "sought", "text": "This one."}]}},
        "spontaneous_info": {"spontaneous": {"reason": "It may concern you.", "contact": contact}},
        "hit_report": {
            "entities": [{"kind": "location", "id": "l9", "assertion": "fact", "place": "port"}],
            "hit": {"alert": "XS-1", "on": "2026-11-20", "action": "executed", "place": "l9", "contact": contact},
        },
        "victim_referral": {
            "entities": [{"kind": "person", "id": "v9", "assertion": "fact", "category": "victim"}],
            "referral": {"needs": ["shelter"], "consent": "given", "contact": contact},
        },
        "safety_notice": {
            "notice": {"level": "warning", "advice": "Take care.", "until": "2026-12-01", "contact": contact},
        },
        "evidence_transfer": {
            "transfer": {"seized_on": "2026-11-20", "seized_by": NORTH, "authority": "An order.", "contact": contact},
            "attachments": [
                {"name": "file-1.txt", "media_type": "text/plain", "sha256": digest(b"x"), "data": "eA"},
            ],
        },
        "exculpatory_notice": {"exculpatory": {"kinds": ["alibi"], "text": "A record.", "contact": contact}},
        "exercise_inject": {"inject": {"exercise": "EX-1", "step": 1, "text": "The boat is late."}},
    }  # fmt: skip
    head = {"v": "ix-case/1", "simulation": True, "type": type_, "case": {"reference": "XN-2026/0417"}}
    made = {**head, "as_of": "2026-11-21", "language": "en", **blocks[type_]}
    for name, value in members.items():
        made[name] = [*made.get(name, []), *value] if isinstance(value, list) else value
    return made


def person(who: Who, **members: Any) -> dict[str, Any]:
    return {"kind": "person", "id": "p1", "assertion": "fact", "category": "contact", "minor": False, **members}


def about(who: Who, names: list[dict[str, Any]], **members: Any) -> dict[str, Any]:
    return content("spontaneous_info", entities=[person(who, names=names, **members)])


def saying(text: str, **members: Any) -> dict[str, Any]:
    passage = {"assertion": "assessment", "lang": "en", "text": text}
    return content("spontaneous_info", narrative=[passage], **members)


def thing(kind: str, **members: Any) -> dict[str, Any]:
    return content("spontaneous_info", entities=[{"kind": kind, "id": "t1", "assertion": "fact", **members}])


def asking(who: Who, member: str, text: str) -> dict[str, Any]:
    made = content("info_request")
    made["question"][member] = text
    return made


def full(who: Who) -> str:
    return f"{who['given']} {who['family']}"


def first(who: Who) -> str:
    return str(who["given"].split()[0])


def put(made: dict[str, Any], block: str, member: str, text: Any) -> dict[str, Any]:
    made[block] = {**made[block], member: text}
    return made


def linked(who: Who) -> dict[str, Any]:
    made = content("info_request", entities=[person(who)])
    made["question"]["links"] = [{"entity": "p1", "text": f"Said to be {full(who)}."}]
    return made


CASES: dict[str, Callable[[Who], dict[str, Any]]] = {
    # described
    "by family and given name": lambda w: about(w, [{"family": w["family"], "given": w["given"]}]),
    "by family and first of two given names": lambda w: about(w, [{"family": w["family"], "given": first(w)}]),
    "with the halves exchanged": lambda w: about(w, [{"family": w["given"], "given": w["family"]}]),
    "in capitals": lambda w: about(w, [{"family": w["family"].upper(), "given": w["given"].upper()}]),
    "in full-width letters": lambda w: about(w, [{"family": wide(w["family"]), "given": wide(w["given"])}]),
    "among other names": lambda w: about(w, [{"family": "Marrow"}, {"family": w["family"], "given": w["given"]}]),
    "by family name and year of birth": lambda w: about(w, [{"family": w["family"]}], birth_year=w["year"]),
    "by alias": lambda w: about(w, [{"given": w["alias"], "alias": True}]),
    "as a suspect": lambda w: about(w, [{"family": w["family"], "given": w["given"]}], category="suspect"),
    # things
    "passport": lambda w: thing("document", document="passport", number=w["number"]),
    "account": lambda w: thing("account", account="bank", identifier=w["account"]),
    "telephone": lambda w: thing("communication", medium="phone", value=w["phone"]),
    "e-mail address": lambda w: thing("communication", medium="email", value=w["email"]),
    "handle": lambda w: thing("communication", medium="handle", value=w["handle"]),
    # in words
    "name in a narrative": lambda w: saying(f"A woman called {full(w)} was seen."),
    "family name first": lambda w: saying(f"{w['family']}, {w['given']}: seen at the port."),
    "name around an initial": lambda w: saying(f"Seen: {first(w)} J. {w['family']}."),
    "name in lower case": lambda w: saying(full(w).lower()),
    "name in another language": lambda w: saying(f"رأينا {full(w)} في الميناء"),
    "passport in a narrative": lambda w: saying(f"She showed ({w['number']})."),
    "telephone in a narrative": lambda w: saying(f"Ring {w['phone']}!"),
    "e-mail address in a narrative": lambda w: saying(f"write to <{w['email']}>.".replace("<", "").replace(">", "")),
    "handle in a narrative": lambda w: saying(f"known as {w['handle']}, we think"),
    "name in a note": lambda w: thing("transport", means="van", note=f"Rented by {full(w)}."),
    "name of a company": lambda w: thing("organisation", organisation="company", name=f"{full(w)} Ltd"),
    "name of a place": lambda w: thing("location", place="other", name=f"Home of {full(w)}"),
    "name in an event": lambda w: thing("event", event="meeting", text=f"Met {full(w)}."),
    "name of a boat": lambda w: thing("transport", means="boat", name=full(w)),
    "name in a concealment": lambda w: thing("transport", means="van", concealment=f"Built by {full(w)}."),
    "name of a bank's customer": lambda w: thing("account", account="bank", institution=f"Bank of {full(w)}"),
    "name in a conduct": lambda w: content(
        "spontaneous_info", entities=[person(w, conduct=[f"Drove {full(w)} to the boat."])]
    ),
    "name in a title": lambda w: content(
        "spontaneous_info", case={"reference": "XN-2026/0417", "title": f"The {full(w)} matter"}
    ),
    "name in a handling text": lambda w: content("spontaneous_info", handling_text=f"Not to be shown to {full(w)}."),
    "name in the reason": lambda w: put(content("spontaneous_info"), "spontaneous", "reason", f"About {full(w)}."),
    "name in a restriction": lambda w: put(
        content("spontaneous_info"), "spontaneous", "restrictions", f"Do not approach {full(w)}."
    ),
    # asked
    "asked for by name": lambda w: asking(w, "sought", f"Where does {full(w)} live?"),
    "asked for by passport": lambda w: asking(w, "sought", f"To whom was {w['number']} issued?"),
    "asked for by telephone": lambda w: asking(w, "sought", f"Who has {w['phone']}?"),
    "in the facts": lambda w: asking(w, "facts", f"{full(w)} came ashore."),
    "in the grounds": lambda w: asking(w, "grounds", f"{full(w)} is a national of yours."),
    "in a request's restrictions": lambda w: asking(w, "restrictions", f"Do not tell the family of {full(w)}."),
    "in what links a person": linked,
    # by every type
    "in a reply": lambda w: put(content("info_reply"), "answer", "text", f"{full(w)} is not known here."),
    "in what is outstanding": lambda w: put(content("info_partial"), "answer", "outstanding", f"{full(w)}'s file."),
    "in a clarification request": lambda w: {
        **content("clarification_request"),
        "clarification": {"points": [{"about": "entities", "text": f"Is it {full(w)}?"}]},
    },
    "in a clarification": lambda w: {
        **content("clarification"), "clarification": {"points": [{"about": "entities", "text": f"It is {full(w)}."}]},
    },
    "in a hit report": lambda w: put(content("hit_report"), "hit", "text", f"{full(w)} was heard."),
    "in a safety notice": lambda w: put(content("safety_notice"), "notice", "advice", f"Keep {full(w)} inside."),
    "in an evidence transfer": lambda w: put(
        content("evidence_transfer"), "transfer", "authority", f"Order against {full(w)}."
    ),
    "in an attached text": lambda w: content(
        "spontaneous_info",
        attachments=[attach("log.txt", "text/plain", f"22:41 {full(w)} boards the boat".encode())],
    ),
    "in an attached table": lambda w: content(
        "spontaneous_info", attachments=[attach("log.csv", "text/csv", f"22:41,{w['number']},boat".encode())]
    ),
    "in a drill": lambda w: put(content("exercise_inject"), "inject", "text", f"{full(w)} arrives."),
    "in an exculpatory notice's text": lambda w: put(
        content("exculpatory_notice"), "exculpatory", "text", f"{full(w)} was with us."
    ),
    # the case
    "under the case of the claim": lambda w: content("spontaneous_info", case={"reference": w["case"]}),
    "linking the case of the claim": lambda w: content(
        "spontaneous_info",
        case={"reference": "XN-2026/0417", "links": [{"reference": w["case"], "relation": "related"}]},
    ),
    "linking what the claim was linked to": lambda w: content(
        "spontaneous_info",
        case={"reference": "XN-2026/0417", "links": [{"reference": w["link"], "relation": "related"}]},
    ),
    "under what the claim was linked to": lambda w: content("info_request", case={"reference": w["link"]}),
}  # fmt: skip


def wide(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


def claim(who: Who, **members: Any) -> dict[str, Any]:
    """A content that tells a claim against the south, with all that leads to the person."""
    told = {"stage": "lodged", "country": "XN", "against": ["XS"], "necessity": WHY_CLAIM, **members}
    names = [{"family": who["family"], "given": who["given"]}, {"given": who["alias"], "alias": True}]
    entities: list[dict[str, Any]] = [
        person(who, names=names, birth_year=who["year"], protection_claim=told),
        {"kind": "document", "id": "d1", "assertion": "fact", "document": "passport", "number": who["number"]},
        {"kind": "account", "id": "a1", "assertion": "fact", "account": "bank", "identifier": who["account"]},
    ]
    values = (("phone", who["phone"]), ("email", who["email"]), ("handle", who["handle"]))
    entities += [
        {"kind": "communication", "id": f"c{n}", "assertion": "fact", "medium": medium, "value": value}
        for n, (medium, value) in enumerate(values)
    ]
    uses = [{"from": "p1", "to": entity["id"], "relation": "uses", "assertion": "fact"} for entity in entities[1:]]
    case = {"reference": who["case"], "links": [{"reference": who["link"], "relation": "related"}]}
    return content("spontaneous_info", entities=entities, relationships=uses, case=case)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("asylum"), [NORTH, SOUTH, EAST, HARBOUR], agreements=()) as made:
        made.agreements["north-east"] = made.agree(terms("north-east", [NORTH, EAST]))
        made.agreements["north-south"] = made.agree(terms("north-south", [NORTH, SOUTH, HARBOUR]))
        made.agreements["all-three"] = made.agree(terms("all-three", [NORTH, EAST, SOUTH]))
        sent = made.node(EAST).send(
            claim(CLAIMANT), NORTH, agr=made.agreements["north-east"], handling=["H2"], purpose="investigate"
        )
        assert sent.state == "sent", sent
        made.settle()
        yield made


@pytest.fixture(scope="module")
def north(world: World) -> WorldNode:
    return world.node(NORTH)


def checked(node: WorldNode, value: dict[str, Any], *to: str, **facts: Any) -> Refusal | None:
    """What asking about a draft comes to: a refusal, or none where it was judged."""
    handling = facts.pop("handling", ["H3"] if "handling_text" in value else ["H0"])
    if value["type"] in ("info_reply", "info_partial", "info_refusal", "clarification", "clarification_request",
                         "exculpatory_notice"):  # fmt: skip
        facts.setdefault("re", digest(b"some request"))
    try:
        node.service.check(node.draft(value, *to, handling=handling, **facts), node.officer())
    except Refusal as refusal:
        return refusal
    return None


def last_act(node: WorldNode) -> dict[str, Any]:
    with node.store.reading() as books:
        (act,) = node.service.office.scribe.read(books, books.rows("ledger", newest=1))
    return act


@pytest.mark.spec("SAFE-10", "SAFE-11", "SAFE-12", "SAFE-13", "SAFE-15")
@pytest.mark.parametrize("how", CASES)
def test_nothing_leads_a_persecutor_to_a_claimant(world: World, north: WorldNode, how: str) -> None:
    make, agr = CASES[how], world.agreements["north-south"]
    refusal = checked(north, make(CLAIMANT), SOUTH, agr=agr)
    assert isinstance(refusal, SafeguardRefused), refusal
    assert str(refusal) == str(SafeguardRefused(refusal.act))  # one sentence for all
    act = last_act(north)
    assert (act["act"], act["outcome"]) == ("attempt_denied", "asylum_confidentiality")
    assert act["reasons"][0] in ("person_known", "case_known")
    assert act["to"] == [SOUTH]
    assert not isinstance(checked(north, make(STRANGER), SOUTH, agr=agr), SafeguardRefused)
    assert not isinstance(checked(north, make(CLAIMANT), EAST, agr=world.agreements["north-east"]), SafeguardRefused)


SOMETHING = CASES["name in a narrative"]
ROUNDABOUT: dict[str, tuple[tuple[str, ...], dict[str, Any], bool]] = {
    "to another agency of that territory": ((HARBOUR,), {"agr": "north-south"}, True),
    "to it among others": ((EAST, SOUTH), {"agr": "all-three"}, True),
    "to it last of several": ((EAST, SOUTH), {}, True),
    "to a neighbour who may pass it on to it": ((EAST,), {"agr": "all-three"}, True),
    "to a neighbour, the agreement left open": ((EAST,), {}, True),
    "to a neighbour who has to ask first": ((EAST,), {"agr": "all-three", "handling": ["H2"]}, False),
    "to a neighbour bound by evidence only": ((EAST,), {"agr": "all-three", "handling": ["H1"]}, True),
    "to a neighbour under an agreement without it": ((EAST,), {"agr": "north-east"}, False),
}


@pytest.mark.spec("SAFE-14")
@pytest.mark.parametrize("how", ROUNDABOUT)
def test_nor_through_somebody_else(world: World, north: WorldNode, how: str) -> None:
    to, facts, stopped = ROUNDABOUT[how]
    facts = {**facts, **({"agr": world.agreements[facts["agr"]]} if "agr" in facts else {})}
    assert isinstance(checked(north, SOMETHING(CLAIMANT), *to, **facts), SafeguardRefused) is stopped
    assert not isinstance(checked(north, SOMETHING(STRANGER), *to, **facts), SafeguardRefused)


@pytest.mark.spec("SAFE-14", "CNT-53")
@pytest.mark.parametrize(("tlp", "handling", "stopped"), [("red", ["H1", "H2"], False), ("amber", ["H0"], True)])
def test_a_mark_that_binds_the_neighbour_counts_like_a_code(
    world: World, north: WorldNode, tlp: str, handling: list[str], stopped: bool
) -> None:
    value = {**SOMETHING(CLAIMANT), "tlp": tlp}
    refusal = checked(north, value, EAST, agr=world.agreements["all-three"], handling=handling)
    assert isinstance(refusal, SafeguardRefused) is stopped


@pytest.mark.spec("SAFE-12", "SAFE-13")
@pytest.mark.parametrize("stage", ["intended", "lodged", "granted", "refused", "withdrawn"])
@pytest.mark.parametrize("who", [CLAIMANT, STRANGER], ids=["known", "not known before"])
def test_a_claim_itself_never_goes_there_whatever_became_of_it(
    world: World, north: WorldNode, stage: str, who: Who
) -> None:
    value = claim({**who, "case": "XN-2026/0417", "link": "XN-2026/0418"}, stage=stage)
    for to, agr in (((SOUTH,), "north-south"), ((EAST, SOUTH), "all-three"), ((EAST,), "all-three")):
        assert isinstance(checked(north, value, *to, agr=world.agreements[agr]), SafeguardRefused)
        assert last_act(north)["reasons"] == ["claim_carried"]
    assert not isinstance(
        checked(north, value, EAST, agr=world.agreements["north-east"], handling=["H2"]), SafeguardRefused
    )


@pytest.mark.spec("SAFE-12", "CNT-24")
def test_a_claim_that_names_nobody_counts_against_the_nationality(world: World, north: WorldNode) -> None:
    value = claim({**STRANGER, "case": "XN-2026/0417", "link": "XN-2026/0418"})
    del value["entities"][0]["protection_claim"]["against"]
    for nationality, agr, to in (("XS", "north-south", SOUTH), ("XE", "north-east", EAST)):
        value["entities"][0]["nationality"] = nationality
        assert isinstance(checked(north, value, to, agr=world.agreements[agr], handling=["H2"]), SafeguardRefused)


VICTIM = {"kind": "person", "id": "v1", "assertion": "fact", "category": "victim"}
TELLING: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "an asylum assessment": (content("spontaneous_info"), {"purpose": "asylum_assessment"}, True),
    "an asylum assessment of somebody": (
        content("spontaneous_info", entities=[VICTIM]), {"purpose": "asylum_assessment"}, True,
    ),
    "the protection of a victim": (
        content("spontaneous_info", entities=[VICTIM]), {"purpose": "victim_protection"}, True,
    ),
    "the referral of a victim": (content("victim_referral"), {"purpose": "victim_protection"}, True),
    "a referral for another purpose": (content("victim_referral"), {"purpose": "investigate"}, True),
    "a safety notice about somebody": (
        content("safety_notice", entities=[VICTIM]), {"purpose": "victim_protection"}, True,
    ),
    "victim protection in general": (content("spontaneous_info"), {"purpose": "victim_protection"}, False),
    "an investigation of somebody": (content("spontaneous_info", entities=[VICTIM]), {"purpose": "investigate"}, False),
}  # fmt: skip


@pytest.mark.spec("SAFE-13")
@pytest.mark.parametrize("how", TELLING)
def test_no_purpose_or_type_gives_away_that_somebody_is_protected(world: World, north: WorldNode, how: str) -> None:
    value, facts, stopped = TELLING[how]
    agr = world.agreements["north-south"]
    assert isinstance(checked(north, value, SOUTH, agr=agr, **facts), SafeguardRefused) is stopped
    if stopped:
        assert last_act(north)["reasons"] == ["purpose_tells"]
    east = checked(north, value, EAST, agr=world.agreements["north-east"], **facts)
    assert not isinstance(east, SafeguardRefused)  # nobody fears the east


@pytest.mark.spec("SAFE-15")
def test_a_refused_draft_leaves_nothing_in_the_outbox_and_no_ruling_can_be_asked_for(
    world: World, north: WorldNode
) -> None:
    before = north.service.state()["outbox"]
    calls = len(world.wire.calls)
    for ruling in (False, True):
        with pytest.raises(SafeguardRefused):
            north.send(SOMETHING(CLAIMANT), SOUTH, agr=world.agreements["north-south"], ruling=ruling)
        act = last_act(north)
        assert (act["outcome"], act["officer"]) == ("asylum_confidentiality", north.officer().id)
    assert north.service.state()["outbox"] == before
    assert len(world.wire.calls) == calls  # nobody was asked


@pytest.mark.spec("SAFE-10")
def test_the_books_alone_tell_neither_who_claims_nor_against_whom(world: World, north: WorldNode) -> None:
    north.service.protection.firewall.learn()
    with north.store.reading() as books:
        rows = books.rows("claim")
    assert len(rows) > 10
    assert len({row.mark for row in rows}) == len(rows)
    for row in rows:
        assert not {"XS", "XN"} & {row.mark, row.place}
    raw = b"".join(path.read_bytes() for path in world.home.glob(f"{NORTH}.db*"))
    for word in (
        "Valemoor",
        "valemoor",
        "Amina",
        "Swiftwater",
        "swiftwater",
        "SIM-PP-44170",
        "sim-pp-44170",
        "5550177",
    ):
        assert word.encode() not in raw


@pytest.mark.spec("SAFE-10", "SAFE-11")
def test_a_claim_of_our_own_is_known_before_the_next_draft_is_judged(tmp_path: Any) -> None:
    with World(tmp_path, [NORTH, SOUTH, EAST], agreements=()) as made:
        near, far = made.agree(terms("near", [NORTH, EAST])), made.agree(terms("far", [NORTH, SOUTH]))
        node = made.node(NORTH)
        assert not isinstance(checked(node, SOMETHING(CLAIMANT), SOUTH, agr=far), SafeguardRefused)
        assert node.send(claim(CLAIMANT), EAST, agr=near, handling=["H2"]).state == "sent"
        assert isinstance(checked(node, SOMETHING(CLAIMANT), SOUTH, agr=far), SafeguardRefused)
        again = made.restart_node(NORTH)
        assert isinstance(checked(again, SOMETHING(CLAIMANT), SOUTH, agr=far), SafeguardRefused)
        assert not isinstance(checked(again, SOMETHING(STRANGER), SOUTH, agr=far), SafeguardRefused)


@pytest.mark.spec("SAFE-15")
def test_what_waits_for_release_is_held_against_a_claim_that_came_meanwhile(tmp_path: Any) -> None:
    slow = terms("slow", [NORTH, SOUTH])
    slow["clauses"][0]["conditions"]["human_release"] = True
    with World(tmp_path, [NORTH, SOUTH, EAST], agreements=()) as made:
        near, far = made.agree(terms("near", [NORTH, EAST])), made.agree(slow)
        node = made.node(NORTH)
        waiting = node.send(SOMETHING(CLAIMANT), SOUTH, agr=far)
        assert waiting.state == "pending_release"
        assert made.node(EAST).send(claim(CLAIMANT), NORTH, agr=near, handling=["H2"]).state == "sent"
        node.collect()
        released = node.release(waiting.ref)
        assert (released.state, released.msg) == ("stopped", None)
        assert last_act(node)["outcome"] == "asylum_confidentiality"


@pytest.mark.spec("SAFE-12")
def test_a_territory_that_the_settings_name_gets_no_claim_and_no_telling_purpose(tmp_path: Any) -> None:
    with World(tmp_path, [NORTH, SOUTH], agreements=()) as made:
        agr = made.agree(terms("far", [NORTH, SOUTH]))
        value, facts = claim(STRANGER, against=["XQ"]), {"agr": agr, "handling": ["H2"]}
        assert not isinstance(checked(made.node(NORTH), value, SOUTH, **facts), SafeguardRefused)
        made.persecutors = frozenset({"XS"})
        named = made.restart_node(NORTH)
        assert isinstance(checked(named, value, SOUTH, **facts), SafeguardRefused)
        purposed = checked(named, content("spontaneous_info"), SOUTH, agr=agr, purpose="asylum_assessment")
        assert isinstance(purposed, SafeguardRefused)
        assert not isinstance(checked(named, SOMETHING(STRANGER), SOUTH, agr=agr), SafeguardRefused)


@pytest.mark.spec("SAFE-11", "SAFE-1")
def test_a_protection_officer_adds_claimants_whom_no_message_describes(tmp_path: Any) -> None:
    from agencies.node.errors import DraftMalformed, RoleMissing
    from agencies.node.profile import Officer, OfficerRole

    keeper = Officer("keeper", frozenset({OfficerRole.PROTECTION_OFFICER}))
    identity = {
        "v": "ix-identity/1", "simulation": True, "subject": "x",
        "names": [{"family": CLAIMANT["family"], "given": CLAIMANT["given"]}],
        "documents": [{"document": "passport", "number": CLAIMANT["number"]}],
    }  # fmt: skip
    with World(tmp_path, [NORTH, SOUTH], agreements=()) as made:
        agr = made.agree(terms("far", [NORTH, SOUTH]))
        node = made.node(NORTH)
        protection = node.service.protection
        with pytest.raises(RoleMissing):
            protection.claim(identity, ["XS"], node.officer(), WHY)
        for nowhere in ([], ["GB"], ["Xsland"], ["XS\n"]):
            with pytest.raises(DraftMalformed):
                protection.claim(identity, nowhere, keeper, WHY)
        assert not isinstance(checked(node, SOMETHING(CLAIMANT), SOUTH, agr=agr), SafeguardRefused)
        assert protection.claim(identity, ["XS"], keeper, WHY, ["XN-77"]) > 0
        assert protection.claim(identity, ["XS"], keeper, WHY, ["XN-77"]) == 0
        for value in (
            SOMETHING(CLAIMANT),
            CASES["passport"](CLAIMANT),
            content("info_request", case={"reference": "XN-77"}),
        ):
            assert isinstance(checked(node, value, SOUTH, agr=agr), SafeguardRefused)


@pytest.mark.spec("SAFE-16")
def test_no_consent_lets_a_message_go_where_it_could_not_be_sent(tmp_path: Any) -> None:
    """East asks North to let it tell South what North told it about the claimant, and about a stranger."""
    with World(tmp_path, [NORTH, SOUTH, EAST], agreements=()) as made:
        near = made.agree(terms("near", [NORTH, EAST]))
        made.agree(terms("beyond", [EAST, SOUTH]))
        north, east = made.node(NORTH), made.node(EAST)
        who = north.officer("release_officer")
        assert north.send(claim(CLAIMANT), EAST, agr=near, handling=["H2"]).msg
        for value, stopped in ((SOMETHING(CLAIMANT), True), (SOMETHING(STRANGER), False)):
            sent = north.send(value, EAST, agr=near, handling=["H2"])
            made.settle()
            east.service.consents.ask(
                str(sent.msg), east.officer(), WHY, want="onward", purposes=["investigate"], to=[SOUTH],
                until=made.clock() + timedelta(days=2),
            )  # fmt: skip
            made.settle()
            (asked,) = north.service.consents.waiting()
            decide = north.service.consents.decide
            if stopped:
                with pytest.raises(SafeguardRefused):
                    decide(asked["act"], who, WHY, approve=True)
                last = last_act(north)
                assert (last["outcome"], last["to"]) == ("asylum_confidentiality", [SOUTH])
                decide(asked["act"], who, WHY, approve=False, ground="asylum_confidentiality")
            else:
                decide(asked["act"], who, WHY, approve=True)
            made.settle()
        assert "asylum_confidentiality" not in json.dumps(east.service.consents.listed())
        from tests.adversary.test_safeguards_identity import holds, spellings

        wanted = {code: spellings(code) for code in ("asylum_confidentiality", "cannot_respond")}
        crossed = {code for one in made.wire.calls for code in holds(one.body + one.answer, wanted)}
        assert crossed == {"cannot_respond"}  # the ground of the decline, as everybody may read it

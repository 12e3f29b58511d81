"""The floor: what no agreement can sign away, and what none can forbid."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.protocol.decision import Decision, decide
from exchange.protocol.floor import FLOOR, write_floor
from exchange.protocol.matching import Request, Source
from exchange.protocol.policy import PolicyBook
from exchange.protocol.terms import write_notice, write_terms
from exchange.protocol.vocabulary import Category, CrimeArea, MessageType, Purpose, Urgency
from keys.encoding import digest
from tests.exchange.protocol import reference_policy as ref
from tests.exchange.protocol.reference_policy import FED, T0, admitted, noted

POLICE, SOUTH, FIU, NGO, PLAIN = ref.AGENCIES
SPEC = Path(__file__).parents[3] / "spec"
NOW = T0 + timedelta(days=10)
EVERYTHING: dict[str, Any] = {
    "id": "all", "effect": "permit", "title": "Everybody may tell everybody everything", "from": ["party:any"],
    "to": ["party:any"], "types": [str(code) for code in MessageType], "purposes": [str(code) for code in Purpose],
    "crimes": [str(code) for code in CrimeArea], "cats": [str(code) for code in Category], "class_max": "secret",
    "conditions": {
        "handling_required": [], "urgency": [str(code) for code in Urgency], "transfer": "adequacy",
        "onward": "within_parties", "evidence": True, "human_release": False,
    },
}  # fmt: skip
NOTHING: dict[str, Any] = {
    "id": "none", "effect": "forbid", "title": "Nobody may tell anybody anything", "from": ["party:any"],
    "to": ["party:any"], "types": ["any"], "purposes": ["any"], "crimes": ["any"], "cats": ["any"], "reach": "everyone",
}  # fmt: skip


def terms(*clauses: dict[str, Any], **changes: Any) -> bytes:
    members: dict[str, Any] = {
        "fed": FED, "id": "anything-goes", "version": 1, "title": "Anything goes", "kind": "exercise",
        "parties": [party.id for party in ref.AGENCIES], "bases": [], "territory": [], "start": T0,
        "end": T0 + timedelta(days=90), "clauses": list(clauses),
    }  # fmt: skip
    return write_terms({**members, **changes})


def asked(payload: bytes, now: Any = NOW, **changes: Any) -> Decision:
    request = Request(
        POLICE, (SOUTH,), digest(payload), "info_reply", "investigate", "human_trafficking", frozenset(),
        "restricted", frozenset({"H0"}), "normal",
    )  # fmt: skip
    return decide(replace(request, **changes), PolicyBook.build([admitted(payload, T0)]), now)


@pytest.mark.spec("AGR-64", "AGR-65")
def test_the_floor_is_published_and_never_another() -> None:
    """It is constant data: there is nothing to sign, to suspend or to replace."""
    published = (SPEC / "floor.json").read_text(encoding="utf-8")
    assert published == write_floor()
    assert FLOOR.digest == digest(published.encode())
    assert f"`{FLOOR.digest}`" in (SPEC / "agreements.md").read_text(encoding="utf-8")
    assert FLOOR.terms.id == json.loads(published)["id"] == "floor"
    assert all(clause.id.startswith("floor-") for clause in FLOOR.terms.clauses)
    assert {name.split(":")[0] for clause in FLOOR.terms.clauses for name in clause.from_ + clause.to} == {
        "party", "role",
    }  # fmt: skip


QUERIES = ["info_request", "clarification_request"]
SUSPECTS = ["person_suspect", "person_potential_offender", "person_informant", "data_criminal_conduct"]
VICTIMS = ["person_victim", "data_victimisation", "data_sealed_identity", "data_protection_claim"]
AGAINST_THEM = ["immigration_enforcement", "asylum_assessment", "border_check", "execute_penalty", "asset_tracing"]


def forbidden_by(decision: Decision) -> set[str]:
    (one,) = decision.per_recipient
    assert one.code in ("permitted", "forbidden", "above_ceiling")
    assert all(miss.agreement == FLOOR.digest for miss in one.nearest if one.code == "forbidden")
    return set(one.clauses) if one.code == "forbidden" else set()


@pytest.mark.spec("AGR-66")
@pytest.mark.parametrize("kind", list(MessageType))
def test_an_ngo_refers_and_receives_and_never_queries(kind: str) -> None:
    payload = terms(EVERYTHING)
    assert forbidden_by(asked(payload, discloser=NGO, type=kind)) == ({"floor-query"} if kind in QUERIES else set())
    assert not forbidden_by(asked(payload, type=kind))
    assert not forbidden_by(asked(payload, type=kind, recipients=(NGO,)))  # it may be asked


@pytest.mark.spec("AGR-66")
@pytest.mark.parametrize("cat", list(Category))
def test_an_ngo_never_receives_what_is_known_of_suspects_or_sources(cat: str) -> None:
    payload = terms(EVERYTHING)
    cats = frozenset({cat, "smug_b_groups"})
    assert forbidden_by(asked(payload, recipients=(NGO,), cats=cats)) == ({"floor-ngo"} if cat in SUSPECTS else set())
    assert not forbidden_by(asked(payload, cats=cats))
    assert not forbidden_by(asked(payload, discloser=NGO, cats=cats))  # it may tell


@pytest.mark.spec("AGR-66")
@pytest.mark.parametrize("purpose", list(Purpose))
@pytest.mark.parametrize("cat", VICTIMS)
def test_what_is_known_of_victims_is_never_used_against_them(cat: str, purpose: str) -> None:
    for parties in ({}, {"discloser": NGO}, {"recipients": (NGO,)}, {"recipients": (PLAIN,)}):
        decision = asked(terms(EVERYTHING), cats=frozenset({cat}), purpose=purpose, **parties)
        assert forbidden_by(decision) == ({"floor-victim"} if purpose in AGAINST_THEM else set())


@pytest.mark.spec("AGR-66")
def test_an_informant_never_becomes_evidence() -> None:
    cats = frozenset({"person_informant", "smug_b_groups"})
    assert forbidden_by(asked(terms(EVERYTHING), cats=cats, type="evidence_transfer")) == {"floor-source"}
    assert asked(terms(EVERYTHING), cats=cats, type="info_reply").permitted


@pytest.mark.spec("AGR-42", "AGR-64", "AGR-66")
def test_the_floor_explains_itself_like_any_forbid() -> None:
    decision = asked(terms(EVERYTHING), recipients=(NGO,), cats=frozenset({"person_suspect"}))
    (one,) = decision.per_recipient
    (near,) = one.nearest
    assert one.sentence == "clause floor-ngo of `floor` forbids telling `harbour.ngo.sim` this"
    assert near.to_json()["agreement"] == FLOOR.digest
    assert "leave out `person_suspect`" in near.sentence
    assert one.logged_nearest is None


@pytest.mark.spec("AGR-66")
def test_the_floor_counts_where_there_is_no_agreement_at_all() -> None:
    request = Request(
        NGO, (POLICE,), digest(b"none"), "info_request", "investigate", "terrorism", frozenset(), "restricted",
        frozenset({"H0"}), "normal",
    )  # fmt: skip
    assert decide(request, PolicyBook(), NOW).code == "forbidden"


# --- what speaks for an accused ------------------------------------------------------------------------------------

NOTICE: dict[str, Any] = {"type": "exculpatory_notice"}
SOURCE = Source(digest(b"m"), FIU.id, False, True, "none", frozenset(), ())


@pytest.mark.spec("AGR-33", "AGR-67")
def test_an_exculpatory_notice_passes_every_forbid_and_every_silence() -> None:
    for clauses in ([NOTHING], [NOTHING, EVERYTHING], [{**EVERYTHING, "types": []}]):
        decision = asked(terms(*clauses), **NOTICE)
        (one,) = decision.per_recipient
        assert (decision.code, one.clauses) == ("permitted", ("floor-exculp",))
        assert one.obligations
        assert one.obligations.to_json() == {
            "onward": "within_parties", "evidence": True, "human_release": False, "second_approver": False,
        }  # fmt: skip
    assert asked(terms(NOTHING), **NOTICE, sources=(SOURCE,)).permitted
    assert asked(terms(NOTHING), **NOTICE, recipients=(replace(SOUTH, territory="XZ"), NGO)).permitted


@pytest.mark.spec("AGR-67")
def test_it_passes_whatever_became_of_the_agreement() -> None:
    payload = terms(NOTHING)
    assert asked(payload, now=T0 - timedelta(days=1), **NOTICE).permitted
    assert asked(payload, now=T0 + timedelta(days=900), **NOTICE).permitted
    request = Request(
        POLICE, (SOUTH,), digest(payload), "exculpatory_notice", "prosecute", "terrorism", frozenset(), "secret",
        frozenset({"H0"}), "none",
    )  # fmt: skip
    for act in ("suspend", "leave"):
        note = write_notice(act, fed=FED, agreement=digest(payload), by=SOUTH.id, ts=T0, reason="an exercise")
        assert decide(request, PolicyBook.build([admitted(payload, T0)], [noted(note, T0)]), NOW).permitted
    new = terms(NOTHING, version=2, replaces=digest(payload))
    assert decide(request, PolicyBook.build([admitted(payload, T0), admitted(new, T0)]), NOW).permitted


@pytest.mark.spec("AGR-67")
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cats": frozenset({"person_suspect"})}, "forbidden"),
        ({"cats": frozenset({"smug_f_technical"})}, "forbidden"),
        ({"type": "info_reply"}, "forbidden"),
        ({"agreement": digest(b"another")}, "agreement_unknown"),
        ({"discloser": replace(POLICE, id="west.police.sim")}, "not_a_party"),
        ({"recipients": (replace(SOUTH, id="west.police.sim"),)}, "forbidden"),
        ({"recipients": (replace(SOUTH, ceiling="unclassified"),)}, "forbidden"),
        ({"purpose": "gossip"}, "forbidden"),
        ({"classification": "cosmic"}, "forbidden"),
    ],
)
def test_nothing_else_slips_through_with_it(changes: dict[str, Any], code: str) -> None:
    """Without the vow of everybody to say nothing these would be denied for other reasons; none is permitted."""
    forbidding = terms(NOTHING)
    decision = asked(forbidding, **{**NOTICE, **changes})
    if code == "agreement_unknown":
        assert decision.code in (code, "forbidden")
    else:
        assert decision.code == code
    assert not decision.permitted
    assert not asked(terms({**EVERYTHING, "types": []}), **{**NOTICE, **changes}).permitted


@pytest.mark.spec("AGR-67")
def test_one_recipient_who_may_not_have_it_stops_the_message_to_all() -> None:
    decision = asked(terms(NOTHING), **NOTICE, recipients=(SOUTH, PLAIN))
    assert [one.code for one in decision.per_recipient] == ["permitted", "forbidden"]
    assert decision.code == "forbidden"


def test_an_agreement_may_still_let_more_pass_as_exculpatory() -> None:
    decision = asked(terms(EVERYTHING), **NOTICE, cats=frozenset({"person_suspect"}))
    assert decision.per_recipient[0].clauses == ("all",)

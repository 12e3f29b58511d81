"""Decisions: default deny, forbid beats permit, empty is nobody, stricter wins, and every denial says why."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from exchange.protocol.decision import Decision, decide
from exchange.protocol.matching import Party, Request
from exchange.protocol.policy import PolicyBook
from exchange.protocol.terms import write_notice, write_terms
from exchange.protocol.vocabulary import Classification, MessageType
from keys.encoding import digest, read_json
from tests.exchange.protocol import reference_policy as ref
from tests.exchange.protocol.reference_policy import FED, T0, admitted, noted

POLICE, SOUTH, FIU, NGO, PLAIN = ref.AGENCIES
NOW = T0 + timedelta(days=10)
PERMIT: dict[str, Any] = {
    "id": "c1",
    "effect": "permit",
    "title": "Police may ask",
    "from": ["role:police"],
    "to": ["role:police", "role:fiu"],
    "types": ["info_request"],
    "purposes": ["investigate"],
    "crimes": ["immigrant_smuggling"],
    "cats": ["smug_a_routes", "person_suspect"],
    "class_max": "restricted",
    "conditions": {
        "handling_required": [],
        "urgency": ["u_direct", "normal"],
        "onward": "by_consent",
        "retention_days": 90,
        "evidence": True,
        "human_release": False,
    },
}
FORBID: dict[str, Any] = {
    "id": "f1",
    "effect": "forbid",
    "title": "No victims",
    "from": ["party:any"],
    "to": ["role:fiu"],
    "types": ["any"],
    "purposes": ["any"],
    "crimes": ["any"],
    "cats": ["person_victim"],
}
TERMS: dict[str, Any] = {
    "fed": FED,
    "id": "task-force",
    "version": 1,
    "title": "A task force",
    "kind": "task_force",
    "parties": [POLICE.id, SOUTH.id, FIU.id],
    "bases": ["untoc_27"],
    "territory": ["XN"],
    "start": T0,
    "end": T0 + timedelta(days=365),
    "clauses": [PERMIT],
}
REQUEST = Request(
    POLICE, (SOUTH,), "", "info_request", "investigate", "immigrant_smuggling", frozenset({"smug_a_routes"}),
    "restricted", frozenset({"H0"}), "u_direct",
)  # fmt: skip


def with_clauses(*clauses: dict[str, Any], **changes: Any) -> bytes:
    return write_terms({**TERMS, "clauses": list(clauses), **changes})


def conditions(**changes: Any) -> dict[str, Any]:
    return {"conditions": {**PERMIT["conditions"], **changes}}


def asked(payload: bytes, *others: bytes, **changes: Any) -> Decision:
    """Decide the standard request, changed, under ``payload``; ``others`` are in force as well."""
    book = PolicyBook.build([admitted(p, T0) for p in (payload, *others)])
    return decide(replace(REQUEST, agreement=digest(payload), **changes), book, NOW)


# --- one rule at a time ------------------------------------------------------------------------------------------


@pytest.mark.spec("AGR-30")
def test_what_a_clause_covers_is_permitted_and_the_clause_is_named() -> None:
    decision = asked(with_clauses(PERMIT, {**PERMIT, "id": "c2", "to": ["role:ngo"]}))
    assert (decision.outcome, decision.code) == ("permit", "permitted")
    assert decision.per_recipient[0].clauses == ("c1",)


MISSES: list[tuple[str, dict[str, Any], str]] = [
    ("from", {"discloser": FIU}, "`north.fiu.sim`"),
    ("type", {"type": "info_reply"}, "`info_request`, not `info_reply`"),
    ("purpose", {"purpose": "border_check"}, "`investigate`, not `border_check`"),
    ("crime", {"crime": "terrorism"}, "`immigrant_smuggling`, not `terrorism`"),
    ("urgency", {"urgency": "none"}, "`u_direct` or `normal`, not `none`"),
    ("class", {"classification": "secret"}, "`restricted` at most, not `secret`"),
    ("cats", {"cats": frozenset({"smug_a_routes", "person_victim", "data_minor"})}, "`data_minor` and `person_victim`"),
]


@pytest.mark.spec("AGR-8", "AGR-41")
@pytest.mark.parametrize(("member", "changes", "words"), MISSES, ids=[m[0] for m in MISSES])
def test_one_condition_missed_denies_and_is_named(member: str, changes: dict[str, Any], words: str) -> None:
    decision = asked(with_clauses(PERMIT), **changes)
    assert decision.code == "no_clause"
    (miss,) = decision.per_recipient[0].nearest
    assert [condition.member for condition in miss.missed] == [member]
    assert words in miss.missed[0].sentence
    assert miss.missed[0].sentence in miss.sentence


@pytest.mark.spec("AGR-33", "AGR-39")
def test_a_message_above_a_recipients_ceiling_is_denied_whatever_a_clause_says() -> None:
    payload = with_clauses({**PERMIT, "class_max": "secret"})
    for ceiling, level, passes in (
        ("restricted", "restricted", True), ("restricted", "confidential", False), ("confidential", "secret", False),
        ("secret", "secret", True), ("unclassified", "unclassified", True), ("unclassified", "restricted", False),
    ):  # fmt: skip
        decision = asked(payload, recipients=(replace(SOUTH, ceiling=ceiling),), classification=level)
        assert decision.code == ("permitted" if passes else "above_ceiling")
    (one,) = decision.per_recipient
    assert one.sentence == "`south.police.sim` may receive `unclassified` at most, not `restricted`"
    (missed,) = one.nearest[0].missed
    assert (missed.member, missed.have, missed.want) == ("ceiling", ("restricted",), ("unclassified",))
    assert missed.sentence in one.nearest[0].sentence
    assert asked(payload, discloser=replace(POLICE, ceiling="unclassified")).permitted  # it binds who receives


@pytest.mark.spec("AGR-33", "AGR-35", "AGR-39")
def test_one_recipients_ceiling_denies_the_message_and_comes_before_clauses_that_do_not_match() -> None:
    low = replace(SOUTH, ceiling="unclassified")
    decision = asked(with_clauses(PERMIT), recipients=(low, FIU))
    assert [one.code for one in decision.per_recipient] == ["above_ceiling", "permitted"]
    assert (decision.outcome, decision.code) == ("deny", "above_ceiling")
    both = asked(with_clauses(PERMIT), recipients=(low, FIU), type="info_reply")
    assert [one.code for one in both.per_recipient] == ["above_ceiling", "no_clause"]
    assert both.code == "above_ceiling"
    assert [c.member for c in both.per_recipient[0].nearest[0].missed] == ["type", "ceiling"]


@pytest.mark.spec("AGR-39")
def test_a_ceiling_nobody_knows_lets_nothing_through() -> None:
    for level in ("unclassified", "secret", "no such code"):
        decision = asked(with_clauses(PERMIT), recipients=(replace(SOUTH, ceiling="cosmic"),), classification=level)
        assert decision.code == "above_ceiling"


@pytest.mark.spec("AGR-8")
def test_required_handling_codes_must_all_be_set() -> None:
    payload = with_clauses({**PERMIT, **conditions(handling_required=["H1", "H2"])})
    assert asked(payload, handling=frozenset({"H1", "H2", "H3"})).permitted
    decision = asked(payload, handling=frozenset({"H1"}))
    assert decision.per_recipient[0].nearest[0].missed[0].want == ("H2",)
    assert "is marked `H2`" in decision.per_recipient[0].nearest[0].sentence


@pytest.mark.spec("AGR-8")
def test_a_recipient_the_clause_does_not_name_is_denied() -> None:
    decision = asked(with_clauses({**PERMIT, "to": [FIU.id]}))
    assert [c.member for c in decision.per_recipient[0].nearest[0].missed] == ["to"]


@pytest.mark.spec("AGR-7")
@pytest.mark.parametrize("member", ["from", "to", "types", "purposes", "crimes"])
def test_an_empty_list_in_a_permit_is_nobody_and_nothing(member: str) -> None:
    """Where an empty sharing group once meant everybody (MISP issue 4200), here it means nobody (AGR-7)."""
    assert asked(with_clauses({**PERMIT, member: []})).code == "no_clause"


@pytest.mark.spec("AGR-7")
def test_no_urgency_listed_covers_no_message() -> None:
    assert asked(with_clauses({**PERMIT, **conditions(urgency=[])})).code == "no_clause"


@pytest.mark.spec("AGR-7", "AGR-8")
def test_no_category_listed_covers_only_messages_that_carry_none() -> None:
    payload = with_clauses({**PERMIT, "cats": []})
    assert asked(payload).code == "no_clause"
    assert asked(payload, cats=frozenset()).permitted


@pytest.mark.spec("AGR-7", "AGR-35")
def test_a_message_to_nobody_is_denied() -> None:
    decision = asked(with_clauses(PERMIT), recipients=())
    assert (decision.outcome, decision.code) == ("deny", "no_clause")


@pytest.mark.spec("AGR-7")
@pytest.mark.parametrize("member", ["from", "to", "types", "purposes", "crimes", "cats"])
def test_an_empty_list_in_a_forbid_forbids_nothing(member: str) -> None:
    forbid = {**FORBID, "to": ["role:police"], "cats": ["any"], member: []}
    assert asked(with_clauses(PERMIT, forbid)).permitted


def test_a_role_that_nobody_holds_is_nobody() -> None:
    assert asked(with_clauses({**PERMIT, "to": ["role:hub"]})).code == "no_clause"


@pytest.mark.spec("AGR-11")
def test_a_role_means_only_parties_of_the_agreement() -> None:
    """Any police at all may be told, says the clause; a police force that did not sign may not."""
    stranger = Party("west.police.sim", ("police",), "secret", "XN")
    assert asked(with_clauses(PERMIT), recipients=(stranger,)).code == "not_a_party"
    assert asked(with_clauses(PERMIT), discloser=stranger).code == "not_a_party"
    assert asked(with_clauses({**PERMIT, "to": ["party:any"]}), recipients=(stranger,)).code == "not_a_party"
    assert asked(with_clauses({**PERMIT, "to": [stranger.id]}), recipients=(stranger,)).code == "not_a_party"


@pytest.mark.spec("AGR-9", "AGR-32")
def test_a_forbid_beats_a_permit_and_says_what_to_leave_out() -> None:
    permit = {**PERMIT, "cats": ["smug_a_routes", "person_victim"]}
    cats = frozenset({"smug_a_routes", "person_victim"})
    decision = asked(with_clauses(permit, FORBID), recipients=(FIU,), cats=cats)
    (one,) = decision.per_recipient
    assert (one.code, one.clauses, one.obligations) == ("forbidden", ("f1",), None)
    assert one.nearest[0].missed[0].have == ("person_victim",)
    assert "forbids telling `north.fiu.sim` `person_victim`: leave out `person_victim`" in one.nearest[0].sentence
    assert asked(with_clauses(permit, FORBID), recipients=(FIU,)).permitted
    assert asked(with_clauses(permit, FORBID), cats=cats).permitted


@pytest.mark.spec("AGR-32")
def test_a_forbid_of_another_agreement_between_the_two_counts_as_well() -> None:
    other = with_clauses({**FORBID, "to": ["role:police"], "cats": ["any"]}, id="other", parties=[POLICE.id, SOUTH.id])
    decision = asked(with_clauses(PERMIT), other)
    assert decision.code == "forbidden"
    assert decision.per_recipient[0].nearest[0].agreement == digest(other)


@pytest.mark.spec("AGR-32")
def test_a_forbid_of_an_agreement_only_one_of_them_signed_counts_for_nothing() -> None:
    other = with_clauses({**FORBID, "to": ["role:police"], "cats": ["any"]}, id="other", parties=[POLICE.id, NGO.id])
    assert asked(with_clauses(PERMIT), other).permitted


@pytest.mark.spec("AGR-32")
def test_a_forbid_of_an_agreement_that_has_ended_counts_for_nothing() -> None:
    forbid = {**FORBID, "to": ["role:police"], "cats": ["any"]}
    assert asked(with_clauses(PERMIT), with_clauses(forbid, id="other", end=NOW)).permitted
    assert not asked(with_clauses(PERMIT), with_clauses(forbid, id="other", end=NOW + timedelta(seconds=1))).permitted


@pytest.mark.spec("AGR-31")
def test_a_permit_of_another_agreement_does_not_help_but_is_pointed_out() -> None:
    covering = with_clauses({**PERMIT, "types": ["info_reply"]}, id="other")
    decision = asked(with_clauses(PERMIT), covering, type="info_reply")
    assert decision.code == "no_clause"
    first, second = decision.per_recipient[0].nearest
    assert (first.agreement, first.missed) == (digest(covering), ())
    assert f"name that agreement (`{digest(covering)}`)" in first.sentence
    assert [c.member for c in second.missed] == ["type"]


@pytest.mark.spec("LOG-34", "AGR-42")
def test_a_denials_entry_names_a_clause_of_the_agreement_named_or_none() -> None:
    """Ids of clauses mean nothing outside of their agreement; explanations go by AGR-40's order, named first or not."""
    forbid = {**FORBID, "to": ["role:police"], "cats": ["any"]}
    covering = with_clauses({**PERMIT, "id": "theirs", "types": ["info_reply"]}, id="a-other")
    (one,) = asked(with_clauses(PERMIT), covering, type="info_reply").per_recipient
    assert [miss.clause for miss in one.nearest] == ["theirs", "c1"]
    assert one.logged_nearest == "c1"
    elsewhere = with_clauses({**forbid, "id": "theirs"}, id="a-other", parties=[POLICE.id, SOUTH.id])
    (one,) = asked(with_clauses(PERMIT), elsewhere).per_recipient
    assert ([miss.clause for miss in one.nearest], one.logged_nearest) == (["theirs"], None)
    (one,) = asked(with_clauses(PERMIT, {**forbid, "id": "ours"}), elsewhere).per_recipient
    assert ([miss.clause for miss in one.nearest], one.logged_nearest) == (["theirs", "ours"], "ours")


@pytest.mark.spec("AGR-35")
def test_one_recipient_denied_denies_the_message() -> None:
    payload = with_clauses(PERMIT, FORBID)
    decision = asked(payload, recipients=(SOUTH, FIU, NGO), cats=frozenset({"smug_a_routes"}))
    assert [one.code for one in decision.per_recipient] == ["permitted", "permitted", "not_a_party"]
    assert (decision.outcome, decision.code) == ("deny", "not_a_party")
    worse = asked(payload, recipients=(SOUTH, FIU, NGO), cats=frozenset({"person_victim"}))
    assert [one.code for one in worse.per_recipient] == ["no_clause", "forbidden", "not_a_party"]
    assert worse.code == "forbidden"


@pytest.mark.spec("AGR-36")
def test_the_strictest_of_all_matching_clauses_binds() -> None:
    loose = conditions(onward="within_parties", retention_days=365, evidence=True, human_release=False)
    other = {**conditions(onward="none", evidence=False, human_release=True), "id": "c2"}
    unlimited = {k: v for k, v in PERMIT["conditions"].items() if k != "retention_days"}
    payload = with_clauses({**PERMIT, **loose}, {**PERMIT, **other}, {**PERMIT, "id": "c3", "conditions": unlimited})
    (one,) = asked(payload).per_recipient
    assert one.clauses == ("c1", "c2", "c3")
    assert one.obligations
    assert one.obligations.to_json() == {
        "onward": "none", "evidence": False, "human_release": True, "second_approver": False, "retention_days": 90,
    }  # fmt: skip


@pytest.mark.spec("AGR-42")
def test_where_nothing_is_shared_there_is_nothing_near() -> None:
    decision = asked(with_clauses(PERMIT), discloser=PLAIN, recipients=(NGO,))
    assert decision.per_recipient[0].nearest == ()


@pytest.mark.spec("AGR-40")
def test_nearest_is_what_misses_least_and_ties_go_by_order() -> None:
    far = {**PERMIT, "id": "far", "types": ["info_reply"], "purposes": ["prosecute"]}
    near = {**PERMIT, "id": "near", "types": ["info_reply"]}
    also = {**PERMIT, "id": "also", "crimes": ["terrorism"]}
    more = {**PERMIT, "id": "more", "crimes": ["corruption"]}
    decision = asked(with_clauses(far, near, also, more))
    assert [miss.clause for miss in decision.per_recipient[0].nearest] == ["near", "also"]


@pytest.mark.spec("AGR-44")
def test_a_denial_to_many_shows_no_more_than_a_denial_to_few() -> None:
    """Twenty recipients, sixty-four clauses with long lists: what is kept of it stays within bounds."""
    many = [Party(f"agency-{n}.police.sim", ("police",), "secret", "XN") for n in range(20)]
    names = [f"nobody-with-a-long-name-{n}.police.sim" for n in range(64)]
    clauses = [{**PERMIT, "id": f"c{n}", "from": names, "to": names, "types": ["info_reply"]} for n in range(8)]
    payload = with_clauses(*clauses, parties=[POLICE.id, *[party.id for party in many]])
    for count, shown in ((1, [2]), (2, [2, 2]), (3, [2] * 3), (5, [1] * 5), (20, [1] * 8 + [0] * 12)):
        decision = asked(payload, recipients=tuple(many[:count]), type="hit_report")
        written = decision.to_json()["recipients"]
        assert [len(one["nearest"]) for one in written] == shown
        assert [one.get("more", 0) for one in written] == [2 - n for n in shown]
        assert all(one.logged_nearest == "c0" for one in decision.per_recipient)
        assert len(json.dumps(written)) < 64 * 1024
    assert "or 56 more, not `north.police.sim`" in written[0]["nearest"][0]["sentence"]


@pytest.mark.spec("AGR-44")
def test_of_many_forbids_eight_are_shown_and_the_rest_counted() -> None:
    forbids = [{**FORBID, "id": f"f{n}", "to": ["role:police"], "cats": ["any"]} for n in range(30)]
    decision = asked(with_clauses(PERMIT, *forbids), recipients=(SOUTH,))
    (written,) = decision.to_json()["recipients"]
    assert (len(written["clauses"]), len(written["nearest"]), written["more"]) == (8, 8, 22)
    assert len(decision.per_recipient[0].clauses) == 30


@pytest.mark.spec("AGR-43")
def test_the_full_explanation_is_json_and_the_public_one_is_a_code() -> None:
    decision = asked(with_clauses(PERMIT), type="info_reply")
    written = read_json(json.dumps(decision.to_json()).encode(), limit=10**5)
    assert written["recipients"][0]["nearest"][0]["missed"][0] == {
        "member": "type", "have": ["info_reply"], "want": ["info_request"],
        "sentence": "its type is `info_request`, not `info_reply`",
    }  # fmt: skip
    assert decision.public() == {"outcome": "deny", "code": "no_clause"}


def test_codes_may_come_as_members_of_the_vocabulary() -> None:
    assert asked(
        with_clauses(PERMIT), type=MessageType.INFO_REQUEST, classification=Classification.RESTRICTED
    ).permitted


@pytest.mark.spec("AGR-33")
@pytest.mark.parametrize("member", ["type", "purpose", "crime", "urgency", "classification"])
@pytest.mark.parametrize("code", ["", "any", "party:any", "no such code"])
def test_a_code_nobody_knows_is_denied(member: str, code: str) -> None:
    assert not asked(with_clauses(PERMIT), **{member: code}).permitted


# --- while it travelled ------------------------------------------------------------------------------------------


def lapsing(act: str | None = None, **changes: Any) -> tuple[Request, PolicyBook]:
    payload = with_clauses(PERMIT, **changes)
    book = PolicyBook.build([admitted(payload, T0)])
    if act:
        ts = NOW + timedelta(hours=1)
        note = write_notice(act, fed=FED, agreement=digest(payload), by=SOUTH.id, ts=ts, reason="an exercise")
        book = book.admit(noted(note, ts))
    return replace(REQUEST, agreement=digest(payload)), book


@pytest.mark.spec("AGR-18", "AGR-38")
@pytest.mark.parametrize(
    ("act", "code", "words"),
    [
        ("suspend", "agreement_suspended", "`south.police.sim` suspended `task-force` version 1 at 2026-01-11T01:00"),
        ("leave", "agreement_not_in_force", "`south.police.sim` left `task-force` version 1"),
    ],
)
def test_an_agreement_stopped_while_a_message_travelled_permits_it_no_more(act: str, code: str, words: str) -> None:
    request, book = lapsing(act)
    assert decide(request, book, NOW).permitted
    assert decide(request, book, NOW + timedelta(minutes=59)).permitted
    late = decide(request, book, NOW + timedelta(hours=1))
    assert late.code == code
    assert words in late.per_recipient[0].sentence


@pytest.mark.spec("AGR-18", "AGR-38")
def test_an_agreement_that_expired_while_a_message_travelled_permits_it_no_more() -> None:
    end = NOW + timedelta(milliseconds=1)
    request, book = lapsing(end=end)
    assert decide(request, book, NOW).permitted
    assert decide(request, book, end).code == "agreement_expired"
    assert "ended at" in decide(request, book, end).per_recipient[0].sentence


@pytest.mark.spec("AGR-18")
def test_before_its_start_and_before_it_was_logged_an_agreement_permits_nothing() -> None:
    payload = with_clauses(PERMIT)
    request = replace(REQUEST, agreement=digest(payload))
    late = PolicyBook.build([admitted(payload, NOW)])
    assert decide(request, late, NOW - timedelta(milliseconds=1)).code == "agreement_not_in_force"
    assert decide(request, late, NOW).permitted
    early = PolicyBook.build([admitted(payload, T0 - timedelta(days=9))])
    assert decide(request, early, T0 - timedelta(days=1)).code == "agreement_not_in_force"
    assert decide(request, PolicyBook(), NOW).code == "agreement_unknown"


@pytest.mark.spec("AGR-18", "AGR-21")
def test_a_new_version_takes_over_when_it_starts() -> None:
    old = with_clauses(PERMIT)
    turn = NOW + timedelta(days=1)
    new = with_clauses({**PERMIT, "cats": []}, version=2, replaces=digest(old), start=turn)
    book = PolicyBook.build([admitted(old, T0), admitted(new, NOW)])
    request = replace(REQUEST, agreement=digest(old))
    assert decide(request, book, NOW).permitted
    assert decide(request, book, turn).code == "agreement_superseded"
    assert "replaced by version 2" in decide(request, book, turn).per_recipient[0].sentence
    assert decide(replace(request, agreement=digest(new), cats=frozenset()), book, turn).permitted


# --- cost --------------------------------------------------------------------------------------------------------


def test_a_decision_does_not_look_at_agreements_it_does_not_need() -> None:
    """Ten agreements or two thousand: the same tables, each built once, answer by a few integer operations."""
    rng = Random(1)
    named = with_clauses(PERMIT)
    crowd = [admitted(write_terms(ref.random_terms(rng, n, forbid=0)), T0) for n in range(300)]
    book = PolicyBook.build([admitted(named, T0), *crowd])
    request = replace(REQUEST, agreement=digest(named))
    decide(request, book, NOW)
    period = book.period(NOW)
    tables = (period.shared(POLICE.id, SOUTH.id), period.permits(period.in_force[digest(named)]))
    decide(request, book, NOW)
    assert period is book.period(NOW)
    assert tables == (period.shared(POLICE.id, SOUTH.id), period.permits(period.in_force[digest(named)]))
    assert len(tables[1].rows) == 1

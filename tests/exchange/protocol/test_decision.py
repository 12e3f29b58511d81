"""Decisions: default deny, forbid beats permit, empty is nobody, stricter wins, and every denial says why."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from random import Random
from typing import Any

import pytest

from exchange.protocol.decision import Decision, decide
from exchange.protocol.errors import AgreementMalformed
from exchange.protocol.matching import Consent, Party, Request, Source
from exchange.protocol.policy import PolicyBook
from exchange.protocol.terms import write_notice, write_terms
from exchange.protocol.vocabulary import Classification, MessageType
from keys.encoding import digest, read_json, stamp
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


# --- groups: an empty one once meant everybody elsewhere (MISP issue 4200); here it means nobody --------------------

GROUP: dict[str, Any] = {
    "id": "core",
    "members": [POLICE.id, SOUTH.id],
    "until": NOW + timedelta(days=1),
    "purposes": ["investigate"],
}


def grouped(*clauses: dict[str, Any], **changes: Any) -> bytes:
    until = stamp(changes.get("until", GROUP["until"]))
    return with_clauses(*clauses, groups=[{**GROUP, **changes, "until": until}])


@pytest.mark.spec("AGR-11", "AGR-51")
@pytest.mark.parametrize("side", ["from", "to"])
def test_a_group_names_its_members_and_nobody_else(side: str) -> None:
    payload = grouped({**PERMIT, side: ["group:core"]})
    assert asked(payload).permitted
    outside = {"from": {"discloser": FIU}, "to": {"recipients": (FIU,)}}[side]
    decision = asked(payload, **outside)
    assert decision.code == "no_clause"
    assert side in decision.per_recipient[0].nearest[0].members
    assert "`group:core`" in decision.per_recipient[0].nearest[0].sentence


@pytest.mark.spec("AGR-7", "AGR-51")
@pytest.mark.parametrize("side", ["from", "to"])
def test_a_group_without_members_is_nobody_in_every_list(side: str) -> None:
    assert asked(grouped({**PERMIT, side: ["group:core"]}, members=[])).code == "no_clause"
    forbid = {**FORBID, "to": ["role:police"], "cats": ["any"], side: ["group:core"]}
    assert asked(grouped(PERMIT, forbid, members=[])).permitted
    assert asked(grouped(PERMIT, forbid)).code == "forbidden"
    assert asked(grouped({**PERMIT, side: ["group:core", "role:police"]}, members=[])).permitted


@pytest.mark.spec("AGR-7")
def test_a_group_without_purposes_serves_none() -> None:
    with pytest.raises(AgreementMalformed, match="not for `investigate`"):
        grouped({**PERMIT, "to": ["group:core"]}, purposes=[])
    assert asked(grouped({**PERMIT, "to": ["group:core"], "purposes": []}, purposes=[])).code == "no_clause"


@pytest.mark.spec("AGR-7", "AGR-58")
def test_no_exemption_listed_exempts_nothing_and_no_category_listed_forbids_nothing() -> None:
    payload = with_clauses({**PERMIT, **conditions(copy_to=FIU.id, copy_exempt=[])})
    assert asked(payload, exempt="sensitive_case").code == "no_clause"
    assert asked(with_clauses(PERMIT, {**FORBID, "to": ["role:police"], "cats": []})).permitted


@pytest.mark.spec("AGR-51")
def test_a_group_is_nobody_from_its_last_instant_on_and_forbids_nobody_then() -> None:
    forbid = {**FORBID, "to": ["group:core"], "cats": ["any"], "types": ["info_reply"]}
    payload = grouped({**PERMIT, "to": ["group:core"]}, forbid)
    book, request = PolicyBook.build([admitted(payload, T0)]), replace(REQUEST, agreement=digest(payload))
    last = GROUP["until"] - timedelta(milliseconds=1)
    for _ in range(2):  # whatever was worked out for one instant must not answer for another
        assert decide(request, book, last).permitted
        assert decide(replace(request, type="info_reply"), book, last).code == "forbidden"
        late = decide(request, book, GROUP["until"])
        assert late.code == "no_clause"
        assert "`group:core` is nobody since 2026-01-12T00:00:00.000Z" in late.per_recipient[0].nearest[0].sentence
        assert decide(replace(request, type="info_reply"), book, GROUP["until"]).code == "no_clause"


@pytest.mark.spec("AGR-11")
def test_a_group_of_one_agreement_means_nothing_in_another() -> None:
    """Two agreements have a group of the same name; neither speaks of the other's members."""
    mine = grouped({**PERMIT, "to": ["group:core"]}, members=[FIU.id])
    theirs = with_clauses(
        {**FORBID, "to": ["group:core"], "cats": ["any"]},
        id="other", groups=[{**GROUP, "until": stamp(GROUP["until"]), "members": [SOUTH.id]}],
    )  # fmt: skip
    assert asked(mine, theirs, recipients=(FIU,)).permitted
    assert asked(mine, theirs).code == "forbidden"


# --- territory and copies ------------------------------------------------------------------------------------------

ABROAD = replace(SOUTH, territory="XZ")


@pytest.mark.spec("AGR-8", "AGR-41", "AGR-57")
def test_who_works_outside_the_territory_is_told_nothing_without_a_basis() -> None:
    decision = asked(with_clauses(PERMIT), recipients=(ABROAD,))
    (missed,) = decision.per_recipient[0].nearest[0].missed
    assert (decision.code, missed.member, missed.have, missed.want) == ("no_clause", "territory", ("XZ",), ("XN",))
    assert "`south.police.sim` works in `XZ`, and the clause names no basis for a transfer" in missed.sentence
    for basis in ("adequacy", "safeguards", "derogation"):
        assert asked(with_clauses({**PERMIT, **conditions(transfer=basis)}), recipients=(ABROAD,)).permitted
    assert asked(with_clauses(PERMIT, territory=["XN", "XZ"]), recipients=(ABROAD,)).permitted
    assert asked(with_clauses(PERMIT), discloser=replace(POLICE, territory="XZ")).permitted  # it binds who receives


@pytest.mark.spec("AGR-7", "AGR-57")
def test_an_agreement_without_territory_reaches_nowhere() -> None:
    assert asked(with_clauses(PERMIT, territory=[])).code == "no_clause"
    assert asked(with_clauses({**PERMIT, **conditions(transfer="adequacy")}, territory=[])).permitted
    assert asked(with_clauses(PERMIT, territory=[]), recipients=(replace(SOUTH, territory=""),)).code == "no_clause"


@pytest.mark.spec("AGR-11")
def test_a_territory_may_be_named_like_a_role() -> None:
    payload = with_clauses({**PERMIT, "to": ["territory:XZ"], **conditions(transfer="safeguards")})
    assert asked(payload, recipients=(ABROAD,)).permitted
    assert asked(payload).code == "no_clause"
    forbid = {**FORBID, "to": ["territory:XN"], "cats": ["any"]}
    assert asked(with_clauses(PERMIT, forbid)).code == "forbidden"


@pytest.mark.spec("AGR-8", "AGR-41", "AGR-58")
def test_who_must_have_a_copy_takes_part_or_the_message_is_exempt() -> None:
    clause = {**PERMIT, **conditions(copy_to=FIU.id, copy_exempt=["imminent_danger"])}
    payload = with_clauses(clause)
    decision = asked(payload)
    (missed,) = decision.per_recipient[0].nearest[0].missed
    assert (missed.member, missed.have, missed.want) == ("copy", (POLICE.id, SOUTH.id), (FIU.id,))
    assert missed.sentence == "it is told to `north.fiu.sim` as well, or it is exempt for `imminent_danger`"
    assert asked(payload, recipients=(SOUTH, FIU)).permitted
    assert asked(payload, recipients=(FIU,)).permitted
    assert asked(with_clauses({**clause, "from": [FIU.id]}), discloser=FIU).permitted
    assert asked(payload, exempt="imminent_danger").permitted
    assert asked(payload, exempt="sensitive_case").code == "no_clause"
    assert asked(payload, exempt="any").code == "no_clause"
    assert asked(with_clauses(PERMIT), exempt="imminent_danger").permitted


@pytest.mark.spec("AGR-58")
def test_a_copy_that_may_not_be_told_stops_the_message() -> None:
    """The exemption is the only way past: naming the third as a recipient does not make it one that may be told."""
    clause = {**PERMIT, "to": ["role:police"], **conditions(copy_to=FIU.id)}
    decision = asked(with_clauses(clause), recipients=(SOUTH, FIU))
    assert [one.code for one in decision.per_recipient] == ["permitted", "no_clause"]
    assert not decision.permitted


# --- reach ---------------------------------------------------------------------------------------------------------


@pytest.mark.spec("AGR-32", "AGR-52")
def test_a_forbid_that_reaches_everyone_binds_a_party_under_other_agreements_too() -> None:
    vow = {**FORBID, "to": ["party:any"], "cats": ["smug_a_routes"]}
    aside = {"id": "vow", "parties": [POLICE.id, NGO.id]}
    assert asked(with_clauses(PERMIT), with_clauses(vow, **aside)).permitted
    reaching = with_clauses({**vow, "reach": "everyone"}, **aside)
    decision = asked(with_clauses(PERMIT), reaching)
    (one,) = decision.per_recipient
    assert (one.code, one.clauses, one.nearest[0].agreement) == ("forbidden", ("f1",), digest(reaching))
    # It binds its parties and nobody else, and says whom it spares.
    assert asked(
        with_clauses({**PERMIT, "from": [SOUTH.id]}), reaching, discloser=SOUTH, recipients=(POLICE,)
    ).permitted
    assert asked(
        with_clauses(PERMIT), with_clauses({**vow, "reach": "everyone", "to": ["role:hub"]}, **aside)
    ).permitted
    ended = with_clauses({**vow, "reach": "everyone"}, **aside, end=NOW)
    assert asked(with_clauses(PERMIT), ended).permitted


@pytest.mark.spec("AGR-42", "AGR-52")
def test_a_forbid_that_counts_twice_is_named_once() -> None:
    forbid = {**FORBID, "to": ["role:police"], "cats": ["any"], "reach": "everyone"}
    (one,) = asked(with_clauses(PERMIT, forbid)).per_recipient
    assert (one.clauses, len(one.nearest)) == (("f1",), 1)


@pytest.mark.spec("AGR-42", "AGR-66")
def test_forbids_of_all_three_kinds_are_named_in_one_order() -> None:
    forbid = {**FORBID, "to": ["role:police"], "cats": ["any"]}
    late = with_clauses({**forbid, "id": "z"}, {**forbid, "id": "a"}, id="z-last")
    early = with_clauses({**forbid, "reach": "everyone"}, id="a-first", parties=[POLICE.id, NGO.id])
    victims = {"cats": frozenset({"person_victim"}), "purpose": "border_check"}
    (one,) = asked(with_clauses(PERMIT), late, early, **victims).per_recipient
    assert one.clauses == ("f1", "floor-victim", "z", "a")
    assert "of `a-first` forbids" in one.sentence


# --- sources -------------------------------------------------------------------------------------------------------

MSG = digest(b"a message")
CONSENT = Consent(
    POLICE.id, frozenset({SOUTH.id}), frozenset({"investigate"}), NOW + timedelta(days=1), withdrawn=False, fields=("",)
)
SOURCE = Source(MSG, FIU.id, True, False, "by_consent", frozenset({POLICE.id, FIU.id}), ())


def derived(*sources: Source, **changes: Any) -> Decision:
    return asked(with_clauses(PERMIT), sources=sources, **changes)


@pytest.mark.spec("AGR-60", "AGR-61")
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"holder_had": False}, "source_unknown"),
        ({"holder_had": False, "stopped": True, "onward": "none"}, "source_unknown"),
        ({"holder_had": False, "originator": POLICE.id}, "source_unknown"),
        ({"stopped": True}, "source_stopped"),
        ({"stopped": True, "onward": "none", "consents": (CONSENT,)}, "source_stopped"),
        ({"stopped": True, "originator": SOUTH.id}, "source_stopped"),
        ({"onward": "none"}, "onward_forbidden"),
        ({"onward": "none", "consents": (CONSENT,)}, "onward_forbidden"),
        ({"onward": "no such rule", "consents": (CONSENT,)}, "onward_forbidden"),
        ({"onward": "by_consent"}, "consent_missing"),
        ({"onward": "by_field"}, "consent_missing"),
        ({"onward": "within_parties"}, "consent_missing"),
        ({"consents": (CONSENT,)}, "permitted"),
        ({"onward": "by_field", "consents": (CONSENT,)}, "consent_missing"),
        ({"onward": "by_field", "consents": (replace(CONSENT, fields=("/entities/0",)),)}, "permitted"),
        ({"onward": "by_field", "consents": (replace(CONSENT, fields=("", "/entities/0")),)}, "consent_missing"),
        ({"onward": "within_parties", "consents": (CONSENT,)}, "permitted"),
        ({"onward": "within_parties", "parties": frozenset({SOUTH.id})}, "permitted"),
        ({"onward": "none", "originator": SOUTH.id}, "permitted"),
        ({"onward": "none", "stopped": True, "originator": POLICE.id}, "permitted"),
    ],
)
def test_a_source_stands_against_a_message_or_does_not(changes: dict[str, Any], code: str) -> None:
    assert derived(replace(SOURCE, **changes)).code == code


@pytest.mark.spec("AGR-62")
@pytest.mark.parametrize(
    "changes",
    [
        {"holder": SOUTH.id}, {"to": frozenset({FIU.id})}, {"to": frozenset()}, {"purposes": frozenset({"prosecute"})},
        {"purposes": frozenset()}, {"until": NOW}, {"withdrawn": True}, {"fields": ()},
    ],
)  # fmt: skip
def test_a_consent_that_means_something_else_covers_nothing(changes: dict[str, Any]) -> None:
    assert derived(replace(SOURCE, consents=(CONSENT,))).permitted
    assert derived(replace(SOURCE, consents=(replace(CONSENT, **changes),))).code == "consent_missing"
    both = (replace(CONSENT, **changes), CONSENT)
    assert derived(replace(SOURCE, consents=both)).permitted


@pytest.mark.spec("AGR-33", "AGR-63")
def test_every_source_that_stands_against_it_is_named_and_the_first_code_counts() -> None:
    other = replace(SOURCE, msg=digest(b"another"), stopped=True)
    decision = derived(SOURCE, other, replace(SOURCE, consents=(CONSENT,)))
    (one,) = decision.per_recipient
    assert (decision.code, one.clauses, one.obligations, one.logged_nearest) == ("source_stopped", (), None, "c1")
    (near,) = one.nearest
    assert [(c.member, c.have, c.want) for c in near.missed] == [
        ("source", (other.msg,), ()), ("source", (MSG,), (FIU.id,)),
    ]  # fmt: skip
    assert "`north.fiu.sim` consents that `north.police.sim` tells `south.police.sim`" in near.sentence
    assert "that was recalled, restricted or erased" in near.sentence
    assert "name that agreement" not in near.sentence
    assert json.loads(json.dumps(decision.to_json()))["recipients"][0]["nearest"][0]["missed"][1]["have"] == [MSG]


@pytest.mark.spec("AGR-44", "AGR-63")
def test_a_message_that_comes_from_very_many_is_denied_in_few_words() -> None:
    many = [replace(SOURCE, msg=digest(b"%d" % n)) for n in range(256)]
    last = replace(SOURCE, msg=digest(b"last"), holder_had=False)
    decision = derived(*many, last, recipients=(SOUTH, replace(SOUTH, id=NGO.id), FIU))
    (one, _, free) = derived(*many, last, recipients=(SOUTH, SOUTH, FIU)).per_recipient
    assert (one.code, len(one.nearest[0].missed), free.code) == ("source_unknown", 8, "source_unknown")
    assert one.nearest[0].missed[0].have == (last.msg,)
    assert len(json.dumps(decision.to_json())) < 16 * 1024


@pytest.mark.spec("AGR-33", "AGR-35")
def test_sources_are_judged_last_and_for_each_recipient() -> None:
    assert derived(SOURCE, type="info_reply").code == "no_clause"
    decision = derived(replace(SOURCE, consents=(CONSENT,)), recipients=(SOUTH, replace(FIU, id=FIU.id)))
    assert decision.permitted  # one by consent, the other is the originator
    decision = derived(replace(SOURCE, originator=NGO.id, consents=(CONSENT,)), recipients=(SOUTH, FIU))
    assert [one.code for one in decision.per_recipient] == ["permitted", "consent_missing"]
    assert decision.code == "consent_missing"


@pytest.mark.spec("AGR-34")
def test_the_order_of_sources_and_consents_changes_no_code() -> None:
    sources = [SOURCE, replace(SOURCE, onward="none"), replace(SOURCE, consents=(CONSENT,))]
    assert {derived(*order).code for order in permutations(sources)} == {"onward_forbidden"}


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

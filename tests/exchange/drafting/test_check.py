"""The linter finds what a drafter cannot have meant, and says nothing about sound agreements."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agencies.profiles import load_plans, load_terms
from exchange.drafting.check import Finding, check_draft, find_faults, in_words
from exchange.drafting.legal_basis import TABLE, why_not_binding
from exchange.protocol.terms import parse_terms, write_terms
from exchange.protocol.vocabulary import Category, CrimeArea, LegalBasis, Purpose, Role
from keys.encoding import digest

PLANS = {plan.id: plan for plan in load_plans()}
PERMIT: dict[str, Any] = {
    "id": "c1",
    "effect": "permit",
    "title": "Police may ask",
    "from": ["role:police"],
    "to": ["role:border_guard"],
    "types": ["spontaneous_info"],
    "purposes": ["investigate"],
    "crimes": ["immigrant_smuggling"],
    "cats": ["smug_a_routes", "person_suspect"],
    "class_max": "restricted",
    "conditions": {
        "handling_required": ["H2"],
        "urgency": ["normal"],
        "onward": "none",
        "retention_days": 90,
        "evidence": False,
        "human_release": True,
    },
}
FORBID: dict[str, Any] = {
    "id": "f1",
    "effect": "forbid",
    "title": "No",
    "from": ["party:any"],
    "to": ["role:border_guard"],
    "types": ["any"],
    "purposes": ["any"],
    "crimes": ["any"],
    "cats": ["person_victim"],
}


ASYLUM: dict[str, Any] = {
    **FORBID,
    "id": "asylum",
    "to": ["party:any"],
    "cats": ["data_protection_claim"],
    "reach": "everyone",
}


def draft(*clauses: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Terms that are sound but for what a test makes of them."""
    return {
        "fed": digest(b"x"), "id": "draft", "version": 1, "title": "A draft", "kind": "task_force",
        "parties": ["north.police.sim", "south.police.sim", "east.border.sim"], "bases": ["multilateral_agreement"],
        "territory": ["XN", "XS", "XE"], "start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z",
        "clauses": [*clauses, ASYLUM], **changes,
    }  # fmt: skip


def faults(*clauses: dict[str, Any], roles: bool = True, **changes: Any) -> tuple[Finding, ...]:
    return find_faults(parse_terms(write_terms(draft(*clauses, **changes))), PLANS if roles else None)


def with_ties(**changes: Any) -> dict[str, Any]:
    ties = {**PERMIT["conditions"], **changes}
    return {**PERMIT, "conditions": {name: value for name, value in ties.items() if value is not None}}


def test_a_sound_draft_has_no_findings() -> None:
    assert faults(PERMIT, FORBID) == ()
    assert faults(PERMIT, FORBID, roles=False) == ()


@pytest.mark.parametrize("name", sorted(load_terms()))
def test_the_agreements_of_the_simulation_have_no_errors(name: str) -> None:
    terms = parse_terms(write_terms({**load_terms()[name], "fed": digest(b"x")}))
    assert find_faults(terms, PLANS) == ()


CASES: list[tuple[str, tuple[dict[str, Any], ...], dict[str, Any], str]] = [
    ("no_basis", (PERMIT,), {"bases": []}, "no legal basis"),
    ("no_permit", (FORBID,), {}, "only forbids"),
    (
        "unknown_party",
        (PERMIT,),
        {"parties": ["north.police.sim", "south.police.sim", "east.border.sim", "west.sim"]},
        "`west.sim`",
    ),
    ("outside_territory", (PERMIT,), {"territory": ["XN", "XE"]}, "`south.police.sim` works in XS"),
    ("not_a_party", ({**PERMIT, "to": ["north.fiu.sim"]},), {}, "`to` names `north.fiu.sim`"),
    ("role_of_nobody", ({**PERMIT, "to": ["role:hub", "role:border_guard"]},), {}, "no party has that role"),
    ("only_itself", ({**PERMIT, "from": ["role:border_guard"]},), {}, "only `east.border.sim`"),
    ("empty_list", ({**PERMIT, "types": []},), {}, "`types` is empty"),
    ("empty_list", ({**PERMIT, "conditions": {**PERMIT["conditions"], "urgency": []}},), {}, "`conditions.urgency`"),
    ("empty_list", (PERMIT, {**FORBID, "cats": []}), {}, "`cats` is empty"),
    ("mixed_categories", ({**PERMIT, "cats": ["smug_e_legislative", "person_contact"]},), {}, "make two clauses"),
    ("unreachable", (PERMIT, {**FORBID, "cats": ["any"], "purposes": ["investigate"]}), {}, "can never match"),
    ("unreachable", (PERMIT, {**FORBID, "cats": PERMIT["cats"]}), {}, "every category"),
    ("contradiction", ({**PERMIT, "cats": ["smug_a_routes", "person_victim"]}, FORBID), {}, "`person_victim`"),
    ("above_ceiling", ({**PERMIT, "class_max": "secret"},), {}, "`east.border.sim` may receive restricted at most"),
]


VICTIM = {
    **PERMIT,
    "from": ["role:police"],
    "to": ["role:police"],
    "cats": ["person_victim"],
    "types": ["safety_notice"],
}
ASK = {**PERMIT, "types": ["info_request"], "id": "c2"}
GROUP: dict[str, Any] = {
    "id": "few", "members": ["east.border.sim"], "until": "2026-06-01T00:00:00Z", "purposes": ["investigate"],
}  # fmt: skip
GROUPED = {**PERMIT, "to": ["group:few"]}
WITH_NGO = ["north.police.sim", "south.police.sim", "east.border.sim", "harbour.ngo.sim"]
WITH_HUB = ["north.police.sim", "south.police.sim", "east.border.sim", "coast.hub.sim"]
TEAM = {"kind": "joint_investigation_team", "bases": ["untoc_19"], "purge_days": 28}
CASES += [
    ("title_not_binding", (PERMIT,), {"title": "Rabat action plan"}, "an action plan, which says what is intended"),
    ("empty_territory", (with_ties(transfer="safeguards"), {**VICTIM, "id": "c2"}),
     {"territory": []}, "empty means nowhere"),
    ("overlong_term", (PERMIT,), {"end": "2036-02-01T00:00:00Z"}, "over ten years"),
    ("overlong_term", (PERMIT,), {**TEAM, "end": "2028-06-01T00:00:00Z"}, "renew it instead"),
    ("no_purge", (PERMIT,), {"kind": "joint_investigation_team", "bases": ["untoc_19"]}, "`purge_days`"),
    ("basis_kind", (PERMIT,), {"bases": ["jit_fd", "multilateral_agreement"]}, "carries joint investigation teams"),
    ("basis_kind", (PERMIT,), {**TEAM, "bases": ["untoc_27"]}, "rests on `untoc_19`, `jit_fd` or a treaty"),
    ("basis_kind", (PERMIT,), {"bases": ["bilateral_agreement"]}, "the parties are of 3 territories"),
    ("basis_kind", (PERMIT,), {"bases": ["europol_reg", "multilateral_agreement"]}, "no party is one"),
    ("basis_nothing", (PERMIT,), {"bases": ["national_law"]}, "national law ends at the border"),
    ("basis_nothing", (PERMIT,), {"bases": ["emergency_imminent_danger"]}, "no basis for what is not urgent"),
    ("basis_purpose", (with_ties(urgency=["u_direct"]),), {"bases": ["emergency_imminent_danger"]}, "`investigate`"),
    ("basis_crime", ({**PERMIT, "crimes": ["corruption"]},), {"bases": ["smuggling_prot_10"]}, "`corruption`"),
    ("basis_category", ({**PERMIT, "cats": ["data_financial"]},), {"bases": ["smuggling_prot_10"]}, "`data_financial`"),
    ("basis_recipient", ({**PERMIT, "cats": ["data_transport"]},), {"bases": ["prum2"]}, "`east.border.sim`"),
    ("basis_together", ({**PERMIT, "purposes": ["victim_protection", "locate_person"], "cats": ["person_victim"]},),
     {"bases": ["untoc_27", "trafficking_prot_10"]}, "split the clause"),
    ("victim_purpose", ({**VICTIM, "purposes": ["operational_analysis"]},), {}, "serves the victim and the case"),
    ("victim_purpose", ({**VICTIM, "types": ["info_reply"], "purposes": ["prevent"]},), {}, "`prevent`"),
    ("claim_told", ({**PERMIT, "cats": ["smug_a_routes", "data_protection_claim"]},), {}, "the state they fled from"),
    ("persons_for_statistics", ({**PERMIT, "purposes": ["strategic_analysis"]},), {}, "needs no persons"),
    ("special_purpose", ({**PERMIT, "cats": ["data_special_category"], "purposes": ["detect"]},), {}, "strictly"),
    ("informant_named", ({**PERMIT, "cats": ["person_informant"]},), {}, "never be what you tell"),
    ("minor_unguarded", ({**with_ties(human_release=False, retention_days=365), "cats": ["data_minor"]},), {}, "minor"),
    ("retention_long", (with_ties(retention_days=3000),), {}, "3000 days"),
    ("mark_contradiction", (with_ties(handling_required=["H1"], evidence=True),), {}, "marked H1"),
    ("mark_contradiction", (with_ties(onward="within_parties"),), {}, "marked H2"),
    ("mark_contradiction", (with_ties(handling_required=["H0", "H3"]),), {}, "H0 says"),
    ("evidence_withheld", ({**PERMIT, "types": ["evidence_transfer"]},), {}, "may be used as evidence"),
    ("delicate_onward", ({**VICTIM, "conditions": {**PERMIT["conditions"], "handling_required": [],
                                                   "onward": "within_parties"}},), {}, "travel on to every party"),
    ("copy_untold", (with_ties(copy_to="coast.hub.sim"),),
     {"parties": WITH_HUB, "territory": ["XN", "XS", "XE", "XC"]}, "no clause lets it be told"),
    ("copy_untold", (with_ties(copy_to="coast.hub.sim"),
                     {**PERMIT, "id": "c3", "to": ["role:hub"], "cats": ["smug_a_routes"]}),
     {"parties": WITH_HUB, "territory": ["XN", "XS", "XE", "XC"]}, "may not be told `person_suspect`"),
    ("derogation_routine", (with_ties(transfer="derogation"),), {"territory": ["XN", "XS"]}, "a standing exchange"),
    ("derogation_unweighed", (with_ties(transfer="derogation", urgency=["u_direct"], human_release=False),),
     {"territory": ["XN", "XS"]}, "weighed case by case"),
    ("transfer_needless", (with_ties(transfer="adequacy"),), {}, "inside the territory"),
    ("no_transfer", (PERMIT,), {"territory": ["XN", "XS"]}, "works outside the territory (`XN`, `XS`)"),
    ("approver_never", (with_ties(second_approver="secret"),), {}, "the clause ends at restricted"),
    ("readers_nobody", (with_ties(readers={"roles": []}),), {}, "no officer could ever open"),
    ("blanket_forbid", (PERMIT, {**FORBID, "from": ["role:border_guard"], "to": ["party:any"], "cats": ["any"]}), {},
     "never for a partner"),
    ("group_empty", (GROUPED, {**PERMIT, "id": "c2"}), {"groups": [{**GROUP, "members": []}]}, "empty means nobody"),
    ("group_expired", (PERMIT, GROUPED | {"id": "g"}),
     {"groups": [{**GROUP, "until": "2025-01-01T00:00:00Z"}]}, "ended at 2025"),
    ("group_overlong", (GROUPED,),
     {"groups": [{**GROUP, "until": "2028-01-01T00:00:00Z"}]}, "longer than its agreement"),
    ("group_unused", (PERMIT,), {"groups": [GROUP]}, "no clause names group few"),
    ("redundant", (PERMIT, {**PERMIT, "id": "c9", "cats": ["smug_a_routes"]}), {}, "clause c1 says all of it already"),
    ("redundant", ({**with_ties(retention_days=365), "id": "c9"}, PERMIT), {}, "its looser obligations never count"),
    ("no_answer", (ASK,), {}, "may ask `east.border.sim` (`info_request`), but no clause lets it answer"),
    ("against_floor", ({**PERMIT, "to": ["role:border_guard", "role:ngo"]},),
     {"parties": WITH_NGO}, "from `north.police.sim` to `harbour.ngo.sim`, `south.police.sim` to `harbour.ngo.sim`"),
    ("unreachable", ({**ASK, "from": ["role:ngo"]},), {"parties": WITH_NGO}, "the floor forbids it (floor-query"),
    ("contradiction", (PERMIT, {**FORBID, "from": ["north.police.sim"], "cats": ["person_suspect"]},
                       {**FORBID, "id": "f2", "from": ["south.police.sim"], "cats": ["person_suspect"]}), {},
     "permits `person_suspect` in vain: clause f1 forbids it; clause f2 forbids it"),
]  # fmt: skip


@pytest.mark.spec("DRF-3", "DRF-11", "DRF-13")
@pytest.mark.parametrize(
    ("code", "clauses", "changes", "words"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)]
)
def test_what_cannot_have_been_meant_is_found(
    code: str, clauses: tuple[dict[str, Any], ...], changes: dict[str, Any], words: str
) -> None:
    found = faults(*clauses, **changes)
    outside = ["outside_territory"]
    beside = {"no_transfer": outside, "derogation_routine": outside, "derogation_unweighed": outside}
    beside |= {"empty_territory": ["no_transfer"], "claim_told": ["contradiction"]}
    assert [f.code for f in found if f.code not in beside.get(code, ())] == [code]
    assert any(words in finding.sentence for finding in found)


def test_person_data_without_a_retention_period_is_found() -> None:
    conditions = {name: value for name, value in PERMIT["conditions"].items() if name != "retention_days"}
    (found,) = faults({**PERMIT, "conditions": conditions})
    assert (found.code, found.level, found.clause) == ("no_retention", "warning", "c1")
    assert faults({**PERMIT, "cats": ["smug_a_routes"], "conditions": conditions}) == ()


def test_a_forbid_for_some_only_makes_nothing_unreachable() -> None:
    narrow = {**FORBID, "cats": ["any"], "types": ["info_reply"]}
    assert faults(PERMIT, narrow) == ()
    south = {**FORBID, "cats": ["any"], "types": ["spontaneous_info"], "from": ["south.police.sim"]}
    assert faults(PERMIT, south) == ()


def test_errors_come_first() -> None:
    levels = [finding.level for finding in faults({**PERMIT, "class_max": "secret"}, bases=[], territory=["XQ"])]
    assert levels == sorted(levels)
    assert levels[0] == "error"


def test_clauses_are_said_in_words() -> None:
    terms = parse_terms(write_terms({**load_terms()["victim-referral"], "fed": digest(b"x")}))
    said = {clause.id: in_words(clause) for clause in terms.clauses}
    assert said["refer"].startswith("any police may tell any NGO what tells of nothing but victims, minors,")
    assert "only if marked H2" in said["refer"]
    assert "keeps it 180 days at most, never passes it on, and may not use it as evidence." in said["refer"]
    assert said["no-query"] == (
        "any NGO may not tell any party anything at all. As info request; for anything; about anything."
    )


def test_the_asylum_rule_must_be_there_and_reach_everyone() -> None:
    terms = draft(PERMIT)
    (found,) = check_draft({**terms, "clauses": [PERMIT]}, PLANS)
    assert (found.code, found.level, found.clause) == ("no_asylum_rule", "warning", None)
    narrow = {name: value for name, value in ASYLUM.items() if name != "reach"}
    (found,) = check_draft({**terms, "clauses": [PERMIT, narrow]}, PLANS)
    assert (found.code, found.clause, found.place) == ("asylum_rule_narrow", "asylum", ("clauses", 1))
    at_home = {"parties": ["north.police.sim", "north.prosecutor.sim"], "bases": ["national_law"]}
    at_home |= {"clauses": [{**PERMIT, "to": ["role:prosecutor"]}], "territory": ["XN"]}
    assert check_draft({**terms, **at_home}, PLANS) == ()


@pytest.mark.spec("DRF-2")
def test_everything_is_found_at_once_and_said_with_its_place() -> None:
    value = draft(
        {**PERMIT, "types": ["gossip", "info_reply", "info_reply"], "hello": 1, "class_max": "top"},
        {**PERMIT, "id": "c2", "effect": "maybe"},
        {**PERMIT, "id": "c3", "cats": ["person_informant"]},
        bases=["multilateral_agreement", "khazar_process", "lex_maritima"],
        start="yesterday",
    )
    del value["title"]
    found = check_draft(value, PLANS)
    said = {(f.code, f.clause, f.place): f.sentence for f in found}
    assert said["not_binding", None, ("bases", 1)].startswith("`khazar_process` is a consultative process")
    assert "no legal basis of the vocabulary" in said["unknown_basis", None, ("bases", 2)]
    assert said["malformed", "c1", ("clauses", 0, "types", 0)].startswith("`types`: `gossip` cannot stand here")
    assert "listed twice" in said["malformed", "c1", ("clauses", 0, "types")]
    assert said["malformed", "c1", ("clauses", 0, "hello")].startswith("`hello`: there is no such member here")
    assert said["malformed", "c1", ("clauses", 0, "class_max")].startswith("`class_max`: `top` cannot stand here")
    assert "`permit` or `forbid`" in said["malformed", "c2", ("clauses", 1, "effect")]
    assert "informant_named" in {f.code for f in found if f.clause == "c3" and f.place[:2] == ("clauses", 2)}
    assert said["malformed", None, ("title",)].startswith("`title`: it is missing; it is a text")
    assert ("malformed", None, ("start",)) in said
    assert not {f.code for f in found} - {"malformed", "not_binding", "unknown_basis", "informant_named"}


@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        ({"end": "2025-01-01T00:00:00Z"}, ("end",), "must end after it starts"),
        ({"version": 2}, ("replaces",), "names the one it replaces"),
        ({"clauses": [PERMIT, PERMIT]}, ("clauses", 1, "id"), "the clause id `c1` is used twice"),
        ({"clauses": []}, ("clauses",), "1 to 64 clauses"),
        ({"parties": ["north.police.sim", "Interpol"]}, ("parties", 1), "not the id of a simulated agency"),
        ({"territory": ["FR"]}, ("territory", 0), "`FR` cannot stand here"),
        ({"kind": "police_coperation"}, ("kind",), "did you mean `police_cooperation`?"),
        ({"version": True}, ("version",), "1 to 9999"),
        ({"fed": object()}, ("fed",), "digest"),
        ({"bases": "untoc_18"}, ("bases",), "`untoc_18` stands here without brackets; write `[untoc_18]`"),
        ({"territory": None}, ("territory",), "an empty list is `[]`"),
    ],
)  # fmt: skip
def test_what_cannot_stand_together_is_named_once(change: dict[str, Any], place: tuple[Any, ...], words: str) -> None:
    found = [f for f in check_draft({**draft(PERMIT), **change}, PLANS) if f.code == "malformed"]
    assert [(f.place, words in f.sentence) for f in found] == [(place, True)]


@pytest.mark.parametrize(
    ("effect", "there"),
    [
        ("allow", {"class_max"}),
        ("Permitted", {"class_max"}),
        ("perhaps", {"class_max"}),
        ("deny", set()),
        (None, {"class_max"}),
    ],
)
def test_a_clause_whose_effect_is_misspelt_is_read_on(effect: str | None, there: set[str]) -> None:
    clause = {**PERMIT, "effect": effect, "types": ["gossip"]}
    if effect is None:
        del clause["effect"]
    found = {f.place[2:] for f in check_draft(draft(clause), PLANS) if f.code == "malformed"}
    assert {("effect",), ("types", 0)} <= found
    assert (("class_max",) in found) == (not there)


def test_the_linter_never_fails_whatever_it_is_given() -> None:
    odd: list[Any] = [None, 0, -1, True, "", "x", [], {}, ["x"], {"x": 1}, [None], 1.5, "any", ["any"]]
    base = draft(PERMIT, FORBID, groups=[GROUP])
    for name in base:
        for value in odd:
            assert check_draft({**base, name: value}, PLANS) is not None
            assert check_draft({key: one for key, one in base.items() if key != name}, None) is not None
    for name in PERMIT:
        for value in odd:
            check_draft({**base, "clauses": [{**PERMIT, name: value}, FORBID]}, PLANS)
    for name in PERMIT["conditions"]:
        for value in odd:
            check_draft({**base, "clauses": [with_ties(**{name: value})]}, PLANS)


@pytest.mark.spec("DRF-10")
def test_every_legal_basis_has_a_row_and_the_published_table_is_this_one(repository: Path) -> None:
    assert set(TABLE) == set(LegalBasis)
    rows = dict(
        re.findall(
            r"^\| `(\w+)` \| ([^|]+ \| [^|]+ \| [^|]+ \| [^|]+) \|$",
            (repository / "spec" / "drafting.md").read_text(encoding="utf-8"),
            flags=re.MULTILINE,
        )
    )
    for basis, row in TABLE.items():
        lists = (row.purposes, row.crimes, row.cats, row.recipients)
        for cell, codes, every in zip(
            rows[basis].split(" | "), lists, (Purpose, CrimeArea, Category, Role), strict=True
        ):
            said = set(re.findall(r"`(\w+)`", cell))
            if cell.startswith("all"):
                said = {code.value for code in every} - said
            assert said == {code.value for code in codes}, (basis, cell)


@pytest.mark.spec("DRF-12")
@pytest.mark.parametrize(
    "name",
    ["coastal_consultative_process", "Ministerial Declaration of 2019", "action_plan", "memorandum_of_understanding",
     "MoU", "a letter of intent", "Joint communiqué", "partnership_framework", "not binding arrangement"],
)  # fmt: skip
def test_what_binds_nobody_is_recognised_by_its_name(name: str) -> None:
    assert why_not_binding(name)
    assert why_not_binding("treaty_on_processing") is None


@pytest.mark.spec("DRF-3")
def test_the_published_codes_are_those_the_linter_has(repository: Path) -> None:
    said = (repository / "spec" / "drafting.md").read_text(encoding="utf-8")
    table = said[said.index("**DRF-3**") : said.index("**DRF-4**")]
    published = {
        code for row in re.findall(r"^\| (`[^|]+)\|", table, flags=re.MULTILINE) for code in re.findall(r"`(\w+)`", row)
    }
    sources = sorted((repository / "exchange" / "drafting").glob("*.py"))
    code = re.compile(r"(?:error|warning)\(\s*\"(\w+)\"|\"(basis_(?!kind|nothing)\w+)\"")
    used = {one for path in sources for found in code.findall(path.read_text(encoding="utf-8")) for one in found if one}
    assert published == used | {"contradiction", "against_floor"}


@pytest.mark.spec("DRF-4")
@pytest.mark.parametrize("name", sorted(load_terms()))
def test_order_changes_no_finding(name: str) -> None:
    terms = load_terms()[name]
    turned = {**terms, "clauses": [{**clause, "cats": clause["cats"][::-1]} for clause in terms["clauses"][::-1]]}
    assert {(f.code, f.clause) for f in check_draft({**turned, "fed": digest(b"x")}, PLANS)} == set()


@pytest.mark.spec("DRF-1")
def test_the_agreement_for_training_has_more_than_a_dozen_faults(repository: Path) -> None:
    place = repository / "agencies" / "profiles" / "agreements" / "training" / "harbour-accord.yaml"
    found = check_draft(yaml.safe_load(place.read_text(encoding="utf-8")), PLANS)
    handbook = (repository / "docs" / "agreements.md").read_text(encoding="utf-8")
    answer = handbook[handbook.index("## The exercise") :]
    assert len({f.code for f in found}) >= 12
    assert "harbour-accord" not in load_terms()
    assert {f.code for f in found} <= set(re.findall(r"`(\w+)`", answer))

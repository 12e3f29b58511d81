"""Terms of agreements: one form, one order, and what is wrong with others said in our own words, all at once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exchange.protocol.errors import AgreementMalformed
from exchange.protocol.schemas import published
from exchange.protocol.terms import Permit, faults, parse_terms, write_terms
from exchange.protocol.vocabulary import Category, MessageType, Purpose
from keys.encoding import digest, write_json
from keys.errors import Refusal
from tests.exchange.protocol import reference_policy as ref

T0 = datetime(2026, 1, 1, tzinfo=UTC)
NORTH, SOUTH, HUB = "north.police.sim", "south.police.sim", "coast.hub.sim"
PERMIT: dict[str, Any] = {
    "id": "c1", "effect": "permit", "title": "The core may ask", "from": ["group:core"], "to": ["territory:XS", HUB],
    "types": ["info_request"], "purposes": ["investigate"], "crimes": ["immigrant_smuggling"],
    "cats": ["smug_a_routes"], "class_max": "restricted",
    "conditions": {
        "handling_required": [], "urgency": ["normal"], "copy_to": HUB, "copy_exempt": ["sensitive_case"],
        "transfer": "adequacy", "onward": "by_field", "retention_days": 90, "review_days": 30, "evidence": False,
        "human_release": False, "second_approver": "restricted",
        "readers": {"clearance": "restricted", "training": ["smuggling"], "roles": ["officer"]},
    },
}  # fmt: skip
FORBID: dict[str, Any] = {
    "id": "f1", "effect": "forbid", "title": "Never", "from": ["group:core"], "to": ["party:any"], "types": ["any"],
    "purposes": ["any"], "crimes": ["any"], "cats": ["person_victim"], "reach": "everyone",
}  # fmt: skip
GROUP: dict[str, Any] = {
    "id": "core", "members": [NORTH, SOUTH], "until": "2026-06-01T00:00:00Z", "purposes": ["investigate", "prosecute"],
}  # fmt: skip
TERMS: dict[str, Any] = {
    "v": "ix/1", "typ": "agreement", "fed": digest(b"a federation"), "id": "task-force", "version": 1,
    "title": "A task force", "kind": "task_force", "parties": [NORTH, SOUTH, HUB], "groups": [GROUP],
    "bases": ["untoc_27"], "territory": ["XN"], "start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z",
    "purge_days": 28, "clauses": [PERMIT, FORBID],
}  # fmt: skip


def changed(path: str, value: Any = ...) -> dict[str, Any]:
    """The standard terms with one member changed; gone, if no value is given."""
    terms = deepcopy(TERMS)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = terms
    for step in steps:
        place = place[step]
    if value is ...:
        del place[last]
    elif isinstance(place, list):
        place[last:] = [value]
    else:
        place[last] = value
    return terms


# --- what may be said --------------------------------------------------------------------------------------------


@pytest.mark.spec("AGR-3", "AGR-6", "AGR-10", "AGR-51", "AGR-52", "AGR-55")
def test_everything_the_language_can_say_is_read_back_as_it_was_said() -> None:
    terms = parse_terms(write_terms(TERMS))
    permit, forbid = terms.clauses
    assert isinstance(permit, Permit)
    assert terms.groups[0].members == (NORTH, SOUTH)
    assert (permit.conditions.copy_to, permit.conditions.transfer, permit.conditions.review_days) == (
        HUB,
        "adequacy",
        30,
    )
    assert permit.conditions.readers is not None
    assert (permit.conditions.readers.training, permit.conditions.readers.roles) == (("smuggling",), ("officer",))
    assert (terms.purge_days, getattr(forbid, "reach", None)) == (28, "everyone")


@pytest.mark.spec("AGR-3", "AGR-6", "AGR-10")
def test_whatever_order_somebody_writes_in_the_same_bytes_are_signed() -> None:
    def upside_down(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: upside_down(value[name]) for name in reversed(value)}
        return [upside_down(item) for item in value] if isinstance(value, list) else value

    assert write_terms(upside_down(TERMS)) == write_json(TERMS)


@pytest.mark.spec("AGR-3")
def test_times_in_yaml_are_times_and_need_no_quotes() -> None:
    terms = changed("groups.0.until", T0 + timedelta(days=151))
    assert write_terms({**terms, "start": T0, "end": T0 + timedelta(days=365)}) == write_terms(
        {**changed("groups.0.until", "2026-06-01T00:00:00.000Z"), "start": "2026-01-01T00:00:00.000Z",
         "end": "2027-01-01T00:00:00.000Z"}
    )  # fmt: skip


AS_YAML = f"""
id: task-force
version: 1
fed: {TERMS["fed"]}
kind: task_force
title: A task force
parties: [north.police.sim, south.police.sim, coast.hub.sim]
groups:
  - {{id: core, purposes: [investigate, prosecute], members: [north.police.sim, south.police.sim], until: 2026-06-01T00:00:00Z}}
bases: [untoc_27]
territory: [XN]
start: 2026-01-01T00:00:00Z
end: 2027-01-01T00:00:00Z
purge_days: 28
clauses:
  - id: c1
    effect: permit
    title: The core may ask
    from: ["group:core"]
    to: ["territory:XS", coast.hub.sim]
    types: [info_request]
    purposes: [investigate]
    crimes: [immigrant_smuggling]
    cats: [smug_a_routes]
    class_max: restricted
    conditions:
      onward: by_field
      retention_days: 90
      review_days: 30
      evidence: no
      human_release: false
      second_approver: restricted
      copy_to: coast.hub.sim
      copy_exempt: [sensitive_case]
      transfer: adequacy
      handling_required: []
      urgency: [normal]
      readers: {{roles: [officer], training: [smuggling], clearance: restricted}}
  - {{id: f1, effect: forbid, reach: everyone, title: Never, from: ["group:core"], to: ["party:any"], types: [any],
     purposes: [any], crimes: [any], cats: [person_victim]}}
"""  # noqa: E501


@pytest.mark.spec("AGR-2", "AGR-3")
def test_what_is_written_in_yaml_is_signed_as_the_one_json() -> None:
    times = {"start": "2026-01-01T00:00:00.000Z", "end": "2027-01-01T00:00:00.000Z"}
    expected = {**changed("groups.0.until", "2026-06-01T00:00:00.000Z"), **times}
    assert write_terms(yaml.safe_load(AS_YAML)) == write_json(expected)


def test_a_draft_with_times_and_without_what_every_agreement_says_has_no_faults() -> None:
    draft = {name: value for name, value in TERMS.items() if name not in ("v", "typ")}
    assert faults({**draft, "start": T0, "end": T0 + timedelta(days=365)}) == []
    assert [place for place, _ in faults({**draft, "title": T0})] == [()]


def test_terms_without_the_new_members_say_what_they_said_before() -> None:
    plain = {name: value for name, value in TERMS.items() if name not in ("groups", "purge_days")}
    plain["clauses"] = [{**PERMIT, "from": ["role:police"]}]
    terms = parse_terms(write_terms(plain))
    assert (terms.groups, terms.purge_days) == ((), None)


# --- what may not ------------------------------------------------------------------------------------------------

FORM: list[tuple[str, Any]] = [
    ("groups", {}), ("groups", [GROUP, "core"]), ("groups", [{**GROUP, "id": f"g{n}"} for n in range(17)]),
    ("groups.0.id", "Core"), ("groups.0.id", "a" * 13), ("groups.0.id", ...), ("groups.0.until", ...),
    ("groups.0.until", "soon"), ("groups.0.until", 7), ("groups.0.members", [NORTH, NORTH]),
    ("groups.0.members", ["role:police"]), ("groups.0.members", ...), ("groups.0.purposes", ["gossip"]),
    ("groups.0.purposes", ["any"]), ("groups.0.purposes", ...), ("groups.0.title", "x"), ("purge_days", 29),
    ("purge_days", -1), ("purge_days", True), ("purge_days", "7"), ("purge_days", None),
    ("clauses.0.from.0", "group:Core"), ("clauses.0.from.0", "group:"), ("clauses.0.to.0", "territory:FR"),
    ("clauses.0.to.0", "territory:XK"), ("clauses.0.to.0", "territory:any"), ("clauses.0.to.0", "country:XN"),
    ("clauses.0.reach", "everyone"), ("clauses.1.reach", "all"), ("clauses.1.reach", None),
    ("clauses.1.conditions", PERMIT["conditions"]), ("clauses.0.conditions.copy_to", "role:hub"),
    ("clauses.0.conditions.copy_to", [HUB]), ("clauses.0.conditions.copy_exempt", ["boredom"]),
    ("clauses.0.conditions.copy_exempt", "sensitive_case"), ("clauses.0.conditions.transfer", "friendship"),
    ("clauses.0.conditions.transfer", True), ("clauses.0.conditions.review_days", 0),
    ("clauses.0.conditions.review_days", "30"), ("clauses.0.conditions.second_approver", True),
    ("clauses.0.conditions.second_approver", "cosmic"), ("clauses.0.conditions.readers", []),
    ("clauses.0.conditions.readers", {}), ("clauses.0.conditions.readers.clearance", "cosmic"),
    ("clauses.0.conditions.readers.training", ["Smuggling"]), ("clauses.0.conditions.readers.training", ["a", "a"]),
    ("clauses.0.conditions.readers.roles", "officer"), ("clauses.0.conditions.readers.names", ["x"]),
]  # fmt: skip


def ids(cases: list[tuple[str, Any]]) -> list[str]:
    return [f"{path}-{number}" for number, (path, _) in enumerate(cases)]


@pytest.mark.spec("AGR-2", "AGR-4", "AGR-10", "AGR-11", "AGR-51", "AGR-52", "AGR-55")
@pytest.mark.parametrize(("path", "value"), FORM, ids=ids(FORM))
def test_what_has_another_form_is_refused(path: str, value: Any) -> None:
    with pytest.raises(AgreementMalformed):
        parse_terms(write_json(changed(path, value)))
    assert faults(changed(path, value))


CONTRADICTIONS: list[tuple[str, Any, str]] = [
    ("end", "2026-01-01T00:00:00Z", "`end`: an agreement must end after it starts"),
    ("version", 2, "`replaces`: a later version names the one it replaces"),
    ("replaces", digest(b"x"), "`replaces`: version 1 replaces nothing"),
    ("id", "floor", "`id`: `floor` is the name of the clauses that no agreement can sign away"),
    ("groups", [GROUP, GROUP], "`groups.1.id`: the group id `core` is used twice"),
    ("groups.0.members", [NORTH, "east.border.sim"], "`groups.0.members.1`: `east.border.sim` is no party"),
    ("clauses", [PERMIT, {**FORBID, "id": "c1"}], "`clauses.1.id`: the clause id `c1` is used twice"),
    ("clauses.0.id", "floor-query", "`clauses.0.id`: ids that begin with `floor-` are those of the floor"),
    ("clauses.0.from", ["group:corps"], "`clauses.0.from.0`: `group:corps` names no group of this agreement"),
    ("clauses.0.purposes", ["investigate", "border_check"], "`clauses.0.purposes.1`: the group `core` is not for `bor"),
    ("clauses.1.purposes", ["border_check"], "`clauses.1.purposes.0`: the group `core` is not for `border_check`"),
    ("clauses.0.conditions.copy_to", "far.hub.sim", "`clauses.0.conditions.copy_to`: `far.hub.sim` is no party"),
    ("clauses.0.conditions.copy_to", ..., "`clauses.0.conditions.copy_exempt`: there is no `copy_to`"),
    ("clauses.0.conditions.review_days", 91, "`clauses.0.conditions.review_days`: a review comes no later"),
]  # fmt: skip


@pytest.mark.spec("AGR-50")
@pytest.mark.parametrize(
    ("path", "value", "words"), CONTRADICTIONS, ids=[f"{c[0]}-{c[2][:30]}" for c in CONTRADICTIONS]
)
def test_terms_that_contradict_themselves_are_refused_with_the_place(path: str, value: Any, words: str) -> None:
    with pytest.raises(AgreementMalformed, match=re.escape(words)):
        parse_terms(write_json(changed(path, value)))


@pytest.mark.spec("AGR-50")
def test_what_stands_at_the_very_edge_is_allowed() -> None:
    for terms in (
        changed("clauses.0.conditions.review_days", 90),
        changed("clauses.0.purposes", ["investigate", "prosecute"]),
        changed("clauses.1.purposes", ["any"]),
        changed("clauses.0.id", "floors"),
        changed("id", "floor-plan"),
        changed("groups.0.members", []),
        changed("purge_days", 0),
    ):
        assert faults(terms) == []
        assert parse_terms(write_json(terms))


# --- said in words -----------------------------------------------------------------------------------------------


def test_every_fault_is_named_at_once_with_its_place() -> None:
    terms = deepcopy(TERMS)
    terms["kind"] = "treaty"
    terms["start"] = 5
    terms["groups"][0]["members"] = ["far.sim"]
    terms["clauses"][0]["types"] = ["info_requst", "info_reply"]
    terms["clauses"][0]["conditions"]["urgncy"] = ["normal"]
    terms["clauses"][1]["crimes"] = ["any", "jaywalking"]
    del terms["clauses"][1]["cats"]
    terms["clauses"].append({"effect": "allow"})
    found = dict(faults(terms))
    assert set(found) == {
        ("kind",), ("start",), ("groups", 0, "members", 0), ("clauses", 0, "types", 0),
        ("clauses", 0, "conditions", "urgncy"), ("clauses", 1, "crimes", 1), ("clauses", 1, "cats"),
        ("clauses", 2, "effect"),
    }  # fmt: skip
    assert "(did you mean `info_request`?)" in found["clauses", 0, "types", 0]
    assert "(did you mean `urgency`?)" in found["clauses", 0, "conditions", "urgncy"]
    assert "`jaywalking` cannot stand here" in found["clauses", 1, "crimes", 1]
    assert found["clauses", 2, "effect"] == "a clause has the effect `permit` or `forbid`"
    assert "`police_cooperation`" in found["kind",]


_RAW = re.compile(
    r"[Ii]nput should|[Ff]ield required|[Ee]xtra inputs|[Vv]alue error|pydantic|valid (string|integer)|tag"
)


@pytest.mark.parametrize(("path", "value"), FORM, ids=ids(FORM))
def test_no_sentence_is_a_librarys_own(path: str, value: Any) -> None:
    for place, sentence in faults(changed(path, value)):
        assert place
        assert not _RAW.search(sentence), sentence
        assert "what the spec allows" not in sentence
    with pytest.raises(AgreementMalformed) as caught:
        parse_terms(write_json(changed(path, value)))
    assert not _RAW.search(caught.value.sentence)


def test_a_sentence_repeats_what_could_be_a_code_and_nothing_else() -> None:
    for value in ("María's secret", "a\x00b", "x" * 41, {"name": "Amara Test"}):
        ((_, sentence),) = faults(changed("clauses.0.class_max", value))
        assert "Mar" not in sentence
        assert "Amara" not in sentence
        assert "xxxx" not in sentence


@given(st.randoms(use_true_random=False))
def test_faults_are_found_exactly_where_the_reader_refuses(rng: Random) -> None:
    """Whatever is broken: there are faults if and only if the terms could not be signed."""
    terms = deepcopy(TERMS)
    for _ in range(rng.randint(0, 3)):
        _break(terms, rng)
    if faults(terms):
        with pytest.raises(Refusal):
            write_terms(terms)
    else:
        assert parse_terms(write_terms(terms))


def _break(terms: dict[str, Any], rng: Random) -> None:
    holder, key = rng.choice(list(_places(terms)))
    junk = [0, 1, True, "", "x", "any", [], {}, ["any"], None, NORTH, "2026-01-01T00:00:00Z", "restricted", 40]
    action = rng.random()
    if action < 0.2:
        del holder[key]
    elif action < 0.3 and isinstance(holder, dict):
        holder["surplus"] = rng.choice(junk)
    else:
        holder[key] = deepcopy(rng.choice(junk))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


# --- the published schema ----------------------------------------------------------------------------------------

SCHEMA = json.loads((Path(__file__).parents[3] / "spec" / "schemas" / "agreement.json").read_text(encoding="utf-8"))
_KINDS: dict[str, Callable[[Any], bool]] = {
    "string": lambda v: type(v) is str,
    "integer": lambda v: type(v) is int,
    "boolean": lambda v: type(v) is bool,
    "array": lambda v: type(v) is list,
    "object": lambda v: type(v) is dict,
}


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """As much of JSON Schema 2020-12 as the schema uses; a word that is not known here fails the test."""
    for word, said in schema.items():
        known = _WORDS.get(word)
        assert known is not None or word in _NOTES, word
        if known is not None and not known(value, said, schema):
            return False
    return True


def _properties(value: Any, said: Any, schema: dict[str, Any]) -> bool:
    if type(value) is not dict:
        return True
    closed = schema.get("additionalProperties", True) is False
    return all(fits(value[name], said[name]) if name in said else not closed for name in value)


_NOTES = {"$schema", "$id", "$defs", "title", "description", "default", "discriminator", "additionalProperties"}
_WORDS: dict[str, Callable[[Any, Any, dict[str, Any]], bool]] = {
    "$ref": lambda v, s, _: fits(v, SCHEMA["$defs"][s.removeprefix("#/$defs/")]),
    "type": lambda v, s, _: _KINDS[s](v),
    "enum": lambda v, s, _: any(v == one and type(v) is type(one) for one in s),
    "const": lambda v, s, _: v == s and type(v) is type(s),
    "pattern": lambda v, s, _: type(v) is not str or re.search(s.replace("$", r"\Z"), v) is not None,
    "minLength": lambda v, s, _: type(v) is not str or len(v) >= s,
    "maxLength": lambda v, s, _: type(v) is not str or len(v) <= s,
    "minimum": lambda v, s, _: type(v) is not int or v >= s,
    "maximum": lambda v, s, _: type(v) is not int or v <= s,
    "minItems": lambda v, s, _: type(v) is not list or len(v) >= s,
    "maxItems": lambda v, s, _: type(v) is not list or len(v) <= s,
    "uniqueItems": lambda v, s, _: type(v) is not list or not s or len({json.dumps(i) for i in v}) == len(v),
    "items": lambda v, s, _: type(v) is not list or all(fits(item, s) for item in v),
    "minProperties": lambda v, s, _: type(v) is not dict or len(v) >= s,
    "required": lambda v, s, _: type(v) is not dict or all(name in v for name in s),
    "properties": _properties,
    "oneOf": lambda v, s, _: sum(fits(v, one) for one in s) == 1,
    "anyOf": lambda v, s, _: any(fits(v, one) for one in s),
}


@pytest.mark.spec("AGR-2")
def test_the_schema_is_the_published_one_and_takes_what_the_reader_takes() -> None:
    assert published()["agreement"] == SCHEMA
    assert fits(TERMS, SCHEMA)
    rng = Random(33)
    for number in range(200):
        assert fits(json.loads(write_terms(ref.random_terms(rng, number))), SCHEMA)


@pytest.mark.spec("AGR-2")
@pytest.mark.parametrize(("path", "value"), FORM, ids=ids(FORM))
def test_the_schema_refuses_what_has_another_form(path: str, value: Any) -> None:
    assert not fits(changed(path, value), SCHEMA)


@pytest.mark.spec("AGR-2")
@given(st.randoms(use_true_random=False))
def test_the_schema_refuses_nothing_that_the_reader_takes(rng: Random) -> None:
    terms = deepcopy(TERMS)
    for _ in range(rng.randint(0, 2)):
        _break(terms, rng)
    try:
        parse_terms(write_json(terms))
    except Refusal:
        return
    assert fits(terms, SCHEMA)


def test_lists_of_codes_in_the_schema_are_those_of_the_vocabulary() -> None:
    for name, codes in (("MessageType", MessageType), ("Purpose", Purpose), ("Category", Category)):
        assert SCHEMA["$defs"][name]["enum"] == [code.value for code in codes]

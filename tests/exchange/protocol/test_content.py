"""Contents: what a case message may be, what it may not, and what it carries. See `spec/content.md`."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.protocol.case_vocabulary import EntityKind, Relation
from exchange.protocol.content import (
    BLOCKS,
    MAX_ATTACHMENT,
    MAX_CONTENT,
    CaseMessage,
    attach,
    content_from,
    derive_categories,
    is_minor,
    parse_content,
    undeclared,
    write_content,
)
from exchange.protocol.entities import ENDS, Person
from exchange.protocol.errors import ContentMalformed
from exchange.protocol.schemas import published, write_schema
from exchange.protocol.vocabulary import Category, MessageType, PersonCategory
from keys.encoding import b64u, digest, unb64u, write_json

REPOSITORY = Path(__file__).resolve().parents[3]
SAMPLES = sorted((REPOSITORY / "exercises" / "samples").glob("*.json"))


def sample(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((REPOSITORY / "exercises" / "samples" / f"{name}.json").read_bytes())
    return value


def base(**members: Any) -> dict[str, Any]:
    """The smallest content that may carry anything."""
    return {
        "v": "ix-case/1",
        "simulation": True,
        "type": "spontaneous_info",
        "case": {"reference": "XN-1"},
        "as_of": "2026-11-20",
        "language": "en",
        "spontaneous": {"reason": "It may concern you.", "contact": {"agency": "a.sim", "desk": "spoc"}},
        **members,
    }


def person(**members: Any) -> dict[str, Any]:
    return {"kind": "person", "id": "p1", "assertion": "fact", "category": "contact", **members}


def thing(kind: str, **members: Any) -> dict[str, Any]:
    least = {
        "organisation": {"organisation": "company"},
        "location": {"place": "port"},
        "transport": {"means": "van"},
        "document": {"document": "passport"},
        "communication": {"medium": "phone", "value": "+9995550100"},
        "account": {"account": "bank"},
        "event": {"event": "meeting"},
    }
    return {"kind": kind, "id": kind[0] + "1", "assertion": "fact", **least.get(kind, {}), **members}


def cats(**members: Any) -> tuple[str, ...]:
    return derive_categories(content_from(base(**members)))


def refused(value: Any, *words: str) -> str:
    """The sentence of the refusal, if it is refused and says each of the words."""
    with pytest.raises(ContentMalformed) as caught:
        parse_content(value if isinstance(value, bytes) else write_json(value))
    for word in words:
        assert word in caught.value.sentence, caught.value.sentence
    return caught.value.sentence


def put(value: dict[str, Any], *path: str | int, to: Any) -> dict[str, Any]:
    """A copy with one place set."""
    made = copy.deepcopy(value)
    at: Any = made
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = to
    return made


def without(value: dict[str, Any], *path: str | int) -> dict[str, Any]:
    made = copy.deepcopy(value)
    at: Any = made
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    return made


# --- samples and round trips --------------------------------------------------------------------------------


@pytest.mark.spec("CNT-1", "CNT-2", "CNT-5")
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_read_written_and_read_again(path: Path) -> None:
    message = parse_content(path.read_bytes())
    written = write_content(message)
    assert parse_content(written) == message
    assert write_content(parse_content(written)) == written
    assert b"null" not in written
    assert derive_categories(parse_content(written)) == derive_categories(message)


def test_the_samples_show_every_type_but_the_drill_and_the_variants() -> None:
    """CNT-6."""
    shown = {parse_content(path.read_bytes()).type for path in SAMPLES}
    assert set(MessageType) - shown == {"info_partial", "clarification", "exercise_inject"}


def test_the_samples_are_listed_in_their_readme() -> None:
    text = (REPOSITORY / "exercises" / "samples" / "README.md").read_text(encoding="utf-8")
    assert all(f"`{path.name}`" in text for path in SAMPLES)
    assert "Everything in these files is invented" in text


SAMPLE_CATEGORIES = {
    "border_hit": "data_identification data_minor data_transport person_potential_offender person_unknown "
    "smug_a_routes smug_c_documents traf_a_status",
    "clarification_request": "",
    "evidence_transfer": "data_attachment data_transport smug_a_routes",
    "exculpatory_notice": "",
    "fiu_reply": "data_financial person_suspect smug_b_groups",
    "refusal": "",
    "safety_notice": "data_minor person_victim",
    "smuggling_route_request": "data_communications data_criminal_conduct data_transport person_suspect smug_a_routes "
    "smug_b_groups smug_d_concealment",
    "spontaneous_info": "data_identification data_transport smug_a_routes smug_c_documents smug_d_concealment "
    "traf_b_documents",
    "victim_referral": "data_minor data_special_category data_victimisation person_victim",
}


@pytest.mark.spec("CNT-60")
def test_the_samples_carry_what_a_person_would_say_they_carry() -> None:
    derived = {path.stem: " ".join(derive_categories(parse_content(path.read_bytes()))) for path in SAMPLES}
    assert derived == SAMPLE_CATEGORIES


def test_a_content_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        content_from(base()).language = "fr"  # type: ignore[misc]


# --- form ---------------------------------------------------------------------------------------------------


@pytest.mark.spec("CNT-1")
@pytest.mark.parametrize(
    "raw",
    [
        b"", b"x", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"\xef\xbb\xbf{}", write_json(base()) + b"{}",
        write_json(base())[:-1] + b',"v":"ix-case/1"}', write_json(base())[:-1] + b',"x":1.5}',
        write_json(base())[:-1] + b',"x":NaN}', b'{"x":' + b"[" * 50 + b"]" * 50 + b"}",
        b'{"x":' + b"[" * 20_000, write_json(base())[:-1] + b',"x":9007199254740992}',
        write_json(base())[:-1] + b',"x":"\\ud800"}', write_json(base())[:-1] + b" " * MAX_CONTENT + b"}",
    ],
)  # fmt: skip
def test_a_content_that_is_not_strict_json_is_refused(raw: bytes) -> None:
    refused(raw)


@pytest.mark.spec("CNT-2")
@pytest.mark.parametrize("member", ["v", "simulation", "type", "case", "as_of", "language"])
def test_a_content_without_one_of_its_first_members_is_refused(member: str) -> None:
    refused(without(base(), member), f"`{member}`", "missing")


@pytest.mark.spec("CNT-2")
@pytest.mark.parametrize("value", [False, 1, "true", None, [True]])
def test_a_content_not_marked_as_a_simulation_is_refused(value: Any) -> None:
    refused(base(simulation=value), "`simulation`")


@pytest.mark.spec("CNT-3", "VOC-1", "VOC-2")
@pytest.mark.parametrize("name", [path.stem for path in SAMPLES])
def test_an_unknown_member_is_refused_at_every_level(name: str) -> None:
    value = sample(name)
    for path in objects(value):
        refused(put(value, *path, "surplus", to="x"))


@pytest.mark.spec("CNT-4")
@pytest.mark.parametrize("name", [path.stem for path in SAMPLES])
def test_null_is_refused_everywhere(name: str) -> None:
    value = sample(name)
    for path in places(value):
        refused(put(value, *path, to=None))
    for member in CaseMessage.model_fields:
        refused(put(value, member, to=None))


@pytest.mark.spec("CNT-3", "CNT-5", "CNT-17")
@pytest.mark.parametrize("name", [path.stem for path in SAMPLES])
def test_a_value_of_another_type_is_refused_everywhere_and_never_repeated(name: str) -> None:
    value = sample(name)
    for path in places(value):
        for wrong in ("Tobin\tSecret\tMarrow\x01", {"Tobin Marrow": 1}, [["Tobin Marrow"]], 2**53, -1):
            assert "Marrow" not in refused(put(value, *path, to=wrong))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for name, item in value.items():
            found += places(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += places(item, (*path, index))
    return found


def objects(value: Any) -> list[tuple[Any, ...]]:
    def at(path: tuple[Any, ...]) -> Any:
        here = value
        for step in path:
            here = here[step]
        return here

    return [(), *(path for path in places(value) if isinstance(at(path), dict))]


@pytest.mark.spec("CNT-17")
def test_a_refusal_names_the_member_and_masks_names_that_may_be_data() -> None:
    refused(base(entities=[thing("document", number="X1234")]), "`entities.0.number`", "SIM-", "CNT-10")
    sentence = refused(base(entities=[person(**{"Tobin Marrow": "x"})]), "(unknown)")
    assert "Tobin" not in sentence
    refused(base(entities=[{**person(), "kind": "Tobin"}]), "kind")
    assert "Tobin" not in refused(base(type="Tobin"))


@pytest.mark.parametrize(
    "day", ["2026-02-29", "2026-13-01", "2026-00-10", "20261120", "2026-11-20T00:00:00Z", "2026-W47-5", "", "2026-11-2"]
)
def test_a_day_that_does_not_exist_or_is_written_otherwise_is_refused(day: str) -> None:
    """CNT-5."""
    refused(base(as_of=day))


@pytest.mark.parametrize("language", ["english", "EN", "e", "en_GB", "en-gb", "en-US-x-private", "", "zh-hans"])
def test_a_language_outside_the_subset_is_refused(language: str) -> None:
    """CNT-5."""
    refused(base(language=language))


@pytest.mark.parametrize("language", ["en", "fr", "ar", "zh-Hans", "sr-Latn-XS", "es-XN", "tig"])
def test_a_language_of_the_subset_is_accepted(language: str) -> None:
    """CNT-5."""
    assert content_from(base(language=language)).language == language


# --- one block per type -------------------------------------------------------------------------------------


def whole(kind: MessageType) -> dict[str, Any]:
    """A content of each type."""
    by_type = {sample(path.stem)["type"]: sample(path.stem) for path in SAMPLES}
    if kind in by_type:
        return by_type[kind]
    if kind == MessageType.INFO_PARTIAL:
        return put(put(sample("fiu_reply"), "type", to=kind), "answer", "outstanding", to="Two more banks.")
    if kind == MessageType.CLARIFICATION:
        return put(sample("clarification_request"), "type", to=kind)
    inject = {"exercise": "EX-1", "step": 3, "text": "The boat is late."}
    return {**without(base(), "spontaneous"), "type": kind, "inject": inject}


@pytest.mark.spec("CNT-6")
@pytest.mark.parametrize("kind", MessageType)
def test_each_type_has_its_one_block(kind: MessageType) -> None:
    value = whole(kind)
    content_from(value)
    refused(without(value, BLOCKS[kind]), "block")
    for other in MessageType:
        if BLOCKS[other] != BLOCKS[kind]:
            refused({**value, BLOCKS[other]: whole(other)[BLOCKS[other]]}, "block")


@pytest.mark.spec("CNT-6")
def test_an_answer_says_what_is_outstanding_exactly_when_it_is_partial() -> None:
    refused(put(whole(MessageType.INFO_REPLY), "answer", "outstanding", to="More."), "outstanding")
    refused(without(whole(MessageType.INFO_PARTIAL), "answer", "outstanding"), "outstanding")


@pytest.mark.spec("CNT-6", "VOC-8")
def test_a_refusal_carries_no_information() -> None:
    value = sample("refusal")
    for member, item in (
        ("entities", [person()]),
        ("narrative", [{"assertion": "fact", "lang": "en", "text": "x"}]),
        ("attachments", [attach("a.txt", "text/plain", b"x")]),
    ):
        refused({**value, member: item}, "refusal")
    neutral = put(value, "refusal", to={"ground": "cannot_respond"})
    assert content_from(neutral).refusal is not None
    refused(put(neutral, "refusal", "text", to="Because."), "neutral")


@pytest.mark.spec("CNT-6")
def test_a_hit_report_needs_its_place_a_referral_its_victim_and_a_transfer_its_file() -> None:
    refused(put(sample("border_hit"), "hit", "place", to="p1"), "place")
    refused(put(sample("border_hit"), "hit", "place", to="nowhere"), "place")
    refused(put(sample("victim_referral"), "entities", 0, "category", to="witness"), "victim")
    refused(without(sample("evidence_transfer"), "attachments"), "attachment")


# --- the mandatory content of a request (F1) ----------------------------------------------------------------

REQUEST = sample("smuggling_route_request")


@pytest.mark.spec("CNT-40")
@pytest.mark.parametrize("member", ["sought", "facts", "crime", "purpose", "grounds", "urgency", "contact", "links"])
def test_a_request_that_lacks_mandatory_content_is_refused(member: str) -> None:
    refused(without(REQUEST, "question", member), "question" if member != "links" else "links")


@pytest.mark.spec("CNT-40")
@pytest.mark.parametrize("member", ["sought", "facts", "grounds"])
@pytest.mark.parametrize("empty", ["", " ", "\n\t "])
def test_a_request_cannot_be_filled_with_nothing(member: str, empty: str) -> None:
    refused(put(REQUEST, "question", member, to=empty))


@pytest.mark.spec("CNT-40")
@pytest.mark.parametrize("code", ["u_direct", "u_indirect"])
def test_urgency_needs_a_coded_and_a_written_reason(code: str) -> None:
    urgent = {"code": code, "reason": "danger_to_life", "text": "Another overloaded boat may sail tonight."}
    content_from(put(REQUEST, "question", "urgency", to=urgent))
    for member in ("reason", "text"):
        refused(put(REQUEST, "question", "urgency", to=without(urgent, member)), "urgen")
    refused(put(REQUEST, "question", "urgency", to={**urgent, "text": "urgent!"}))
    refused(put(REQUEST, "question", "urgency", to={**urgent, "reason": "because"}))


@pytest.mark.spec("CNT-40")
def test_what_is_not_urgent_has_no_reason_for_urgency() -> None:
    content_from(put(REQUEST, "question", "urgency", to={"code": "normal"}))
    refused(put(REQUEST, "question", "urgency", to={"code": "normal", "reason": "danger_to_life"}))
    refused(put(REQUEST, "question", "urgency", to={"code": "none"}))


@pytest.mark.spec("CNT-41")
def test_every_person_named_in_a_request_is_linked_to_its_purpose_once() -> None:
    link = REQUEST["question"]["links"][0]
    for links in (
        [],
        [link, link],
        [{**link, "entity": "o1"}],
        [link, {**link, "entity": "t1"}],
        [{**link, "entity": "zz"}],
    ):
        refused(put(REQUEST, "question", "links", to=links), "links")
    second = put(REQUEST, "entities", to=[*REQUEST["entities"], person(id="p2")])
    refused(second, "links")
    content_from(put(second, "question", "links", to=[link, {"entity": "p2", "text": "Seen on the boat."}]))


@pytest.mark.spec("CNT-42")
@pytest.mark.parametrize(
    "contact",
    [
        "jones@north.police.sim",
        {"agency": "north.police.sim", "desk": "Mary Jones"},
        {"agency": "north.police.sim"},
        {"agency": "police.real", "desk": "spoc"},
        {"agency": "north.police.sim", "desk": "spoc", "name": "M. Jones"},
    ],
)
def test_a_contact_is_a_desk_and_never_a_person(contact: Any) -> None:
    refused(put(REQUEST, "question", "contact", to=contact), "contact")


# --- invented data only -------------------------------------------------------------------------------------


@pytest.mark.spec("CNT-10")
@pytest.mark.parametrize(
    "number", ["X1234567", "SIM", "SIM-", "sim-1", "SIM-a", "SIM--1", "SIM-1 2", "SIM-" + "1" * 33, "XSIM-1", "SIM-1\n"]
)
def test_a_number_that_could_be_real_is_refused(number: str) -> None:
    for kind, member in (("document", "number"), ("transport", "registration"), ("account", "identifier")):
        refused(base(entities=[thing(kind, **{member: number})]), member)
    refused(base(entities=[thing("communication", medium="device", value=number)]), "value")
    content_from(base(entities=[thing("document", number="SIM-P-0001")]))


GOOD_VALUES = {
    "phone": ["+9991234", "+99912345678901"],
    "email": ["a.b_c-d@mail.example", "duty@south.police.sim"],
    "handle": ["sim_lantern.crew"],
    "device": ["SIM-DEV-1"],
    "ip": ["192.0.2.1", "198.51.100.0", "203.0.113.254", "2001:db8::1"],
    "url": ["https://boats.example/a/b", "http://x.sim"],
}
BAD_VALUES = {
    "phone": ["+442071234567", "+999", "9991234567", "+999 1234", "+999123456789012", "+9991234\n", "020 7946 0000"],
    "email": ["a@b.com", "a@example", "a@x.example.com", "a b@x.example", "@x.example", "a@x.example\n", "a@b@x.sim"],
    "handle": ["lantern", "Sim_x", "sim_", "sim_a b"],
    "device": ["356938035643809", "DEV-1"],
    "ip": ["8.8.8.8", "192.0.2.01", "192.0.2.1000", "192.0.3.1", "2001:db9::1", "192.0.2.1\n", "x192.0.2.1"],
    "url": ["https://example.com", "ftp://x.example", "https://x.example?q", "https://user@x.example", "https://x.example:8000"],
}  # fmt: skip


@pytest.mark.spec("CNT-11", "CNT-12", "CNT-13")
@pytest.mark.parametrize("medium", GOOD_VALUES)
def test_a_means_of_communication_reaches_nobody_real(medium: str) -> None:
    for value in GOOD_VALUES[medium]:
        content_from(base(entities=[thing("communication", medium=medium, value=value)]))
    others = [v for other, values in GOOD_VALUES.items() if other != medium for v in values]
    for value in [*BAD_VALUES[medium], *others]:
        refused(base(entities=[thing("communication", medium=medium, value=value)]))


@pytest.mark.spec("CNT-14")
def test_only_countries_that_do_not_exist_are_named() -> None:
    real = ["XK", "GB", "DE", "US", "xn", "XNN", "X", "QL", "AB", ""]
    for code in real:
        refused(base(entities=[person(nationality=code)]), "nationality")
        refused(base(entities=[thing("location", country=code)]), "country")
        refused(base(entities=[thing("document", issuer=code)]), "issuer")
    for code in ("XN", "XS", "XA", "XJ", "XL", "XZ", "QM", "QZ", "AA", "ZZ"):
        content_from(base(entities=[person(nationality=code)]))


def narrative(text: str) -> dict[str, Any]:
    return base(narrative=[{"assertion": "fact", "lang": "en", "text": text}])


@pytest.mark.spec("CNT-16")
@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("call +44 20 7946 0000 now", "telephone"),
        ("call +44 (0)20-7946.0000", "telephone"),
        ("+1234567", "telephone"),
        ("call +٤٤٢٠٧٩٤٦٠٠٠", "telephone"),
        ("\u0061ccount 123456789", "nine digits"),
        ("رقم ١٢٣٤٥٦٧٨٩", "nine digits"),
        ("123456789", "nine digits"),
        ("SIM123456789", "nine digits"),
        ("+998123456", "telephone"),
        ("P<XNMARROW<<TOBIN<<<<<", "machine-readable"),
        ("write to tobin@mail.com", "e-mail"),
        ("write to tobin@mail.example.com.", "e-mail"),
        ("write to tobin@exämple.example", "e-mail"),
        ("see https://news.org/boats", "web"),
        ("see HTTPS://NEWS.ORG", "web"),
        ("see ftp://10.0.0.1/x", "web"),
    ],
)
def test_text_that_could_be_real_data_is_refused(text: str, word: str) -> None:
    sentence = refused(narrative(text), word, "`narrative.0.text`")
    assert text not in sentence
    escaped = json.dumps(narrative(text)).replace("@", "\\u0040").replace("+", "\\u002b").replace("://", ":\\/\\/")
    refused(escaped.encode(), word)
    refused(base(entities=[person(note=text)]), word, "`entities.0.note`")
    refused(base(case={"reference": "XN-1", "title": text}), word, "`case.title`")


@pytest.mark.spec("CNT-16")
@pytest.mark.parametrize(
    "text",
    [
        "On 2026-11-18 at 22:41 eleven people paid 350000 each.",
        "call +9995550134 or +9991234",
        "document SIM-123456789012 of the series SIM-ID-B7-0042",
        "write to duty_desk@south.police.sim, or to x@mail.example.",
        "see https://boats.example/x and http://north.police.sim.",
        "see HTTPS://BOATS.EXAMPLE and X@MAIL.Example",
        "12345678 and 8765 4321, 3 < 4, a < b",
        "user @ home, @handle, null and void, 1+1",
        "Les personnes secourues ont été accueillies; مرحبا بكم; 欢迎",
        'a "quoted" back\\slash and a/slash\n\tindented',
    ],
)
def test_text_that_is_plainly_invented_or_harmless_is_accepted(text: str) -> None:
    message = content_from(narrative(text))
    assert message.narrative[0].text == text
    assert parse_content(json.dumps(narrative(text)).encode()) == message


@pytest.mark.spec("CNT-15")
@pytest.mark.parametrize("char", ["\x00", "\x07", "\x1b", "\r", "\x7f", "\x85", "\u202e", "\u2066", "\u202a", "\u2069"])
def test_control_and_direction_override_characters_are_refused(char: str) -> None:
    refused(narrative(f"a{char}b"), "control")
    refused(json.dumps(narrative(f"a{char}b"), ensure_ascii=True).encode(), "control")


@given(st.text(max_size=60))
def test_the_quick_look_at_a_content_never_misses_what_the_rules_refuse(text: str) -> None:
    """CNT-15, CNT-16: the search over the whole JSON may suspect too much, never too little."""
    from exchange.protocol import synthetic

    value = {"text": text}
    for raw in (json.dumps(value).encode("utf-8", "surrogatepass"), write_json_lenient(value)):
        if raw is not None and synthetic._broken(text):
            assert synthetic._worth_a_look(raw)


def write_json_lenient(value: Any) -> bytes | None:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return None


SEEDS = ["+44 20 7946 0000", "123456789", "a@b.com", "://x.org", "<<", "\u202e", "١٢٣٤٥٦٧٨٩", "+٤٤٢٠٧٩٤٦٠", "\x7f"]


@given(st.sampled_from(SEEDS), st.text(max_size=12), st.text(max_size=12))
def test_the_quick_look_sees_real_looking_text_wherever_it_stands(seed: str, before: str, after: str) -> None:
    """CNT-16."""
    from exchange.protocol import synthetic

    text = before + seed + after
    raw = json.dumps({"text": text}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if synthetic._broken(text) and (raw := write_json_lenient({"text": text}) or b""):
        assert synthetic._worth_a_look(raw)


# --- what is said about whom --------------------------------------------------------------------------------


@pytest.mark.spec("CNT-20", "VOC-6")
def test_every_assertion_says_fact_or_assessment_and_is_x4_unless_evaluated() -> None:
    for kind in EntityKind:
        entity = person() if kind == "person" else thing(kind)
        refused(base(entities=[without(entity, "assertion")]), "assertion")
        refused(base(entities=[{**entity, "assertion": "rumour"}]), "assertion")
        assert content_from(base(entities=[entity])).entities[0].evaluation == "X4"
        for wrong in ("D1", "A5", "A0", "4X", "x4", "A", ""):
            refused(base(entities=[{**entity, "evaluation": wrong}]), "evaluation")
        for grade in (s + i for s in "ABCX" for i in "1234"):
            content_from(base(entities=[{**entity, "evaluation": grade}]))
    refused(base(narrative=[{"lang": "en", "text": "x"}]), "assertion")
    two = [thing("location"), thing("location", id="l2")]
    refused(base(entities=two, relationships=[{"from": "l1", "to": "l2", "relation": "route_to"}]), "assertion")


@pytest.mark.spec("CNT-21")
def test_a_person_without_a_category_is_refused() -> None:
    refused(base(entities=[without(person(), "category")]), "category")
    refused(base(entities=[person(category="terrorist")]), "category")


@pytest.mark.spec("CNT-22")
def test_a_promise_of_anonymity_leaves_no_name() -> None:
    named = {"names": [{"family": "Marrow"}]}
    content_from(base(entities=[person(**named)]))
    content_from(base(entities=[person(**named, protection=["protection_by"])]))
    for promise in ("anonymity_guaranteed", "new_identity"):
        refused(base(entities=[person(**named, protection=[promise])]), "anonymity")
        content_from(base(entities=[person(protection=[promise])]))
    refused(base(entities=[person(**named, category="informant")]), "anonymity")
    refused(base(entities=[person(names=[{"alias": True}])]), "family")


@pytest.mark.spec("CNT-23", "CNT-60")
@pytest.mark.parametrize(
    ("minor", "born", "treated"),
    [(None, None, False), (None, 2008, True), (None, 2007, False), (None, 2009, True), (True, None, True),
     (False, None, False), (True, 2008, True), (False, 2008, False), (True, 2015, True), (False, 1980, False),
     (None, 2026, True)],
)  # fmt: skip
def test_who_may_still_be_a_minor_is_treated_as_one(minor: bool | None, born: int | None, treated: bool) -> None:
    """CNT-27: and a minor's year of birth is not told in the open."""
    said = {k: v for k, v in {"minor": minor, "birth_year": born}.items() if v is not None}
    assert is_minor(Person.model_validate_json(write_json(person(**said))), 2026) is treated
    if treated and born is not None:
        refused(base(entities=[person(**said)]), "CNT-27")
    else:
        assert ("data_minor" in cats(entities=[person(**said)])) is treated


@pytest.mark.spec("CNT-23")
@pytest.mark.parametrize(("minor", "born"), [(True, 2007), (False, 2009), (None, 2027), (True, 1980)])
def test_an_age_that_contradicts_itself_is_refused(minor: bool | None, born: int) -> None:
    said = {"birth_year": born} if minor is None else {"minor": minor, "birth_year": born}
    refused(base(entities=[person(**said)]), "contradict")


@pytest.mark.spec("CNT-24")
def test_special_categories_and_protection_claims_need_a_reason() -> None:
    reason = "Needed to keep the person safe tonight."
    content_from(base(entities=[person(special={"kinds": ["health"], "necessity": reason})]))
    claim = {"stage": "lodged", "necessity": reason}
    content_from(base(entities=[person(protection_claim={**claim, "against": ["XQ"]})]))
    content_from(base(entities=[person(protection_claim=claim, nationality="XQ")]))
    refused(base(entities=[person(protection_claim=claim)]), "CNT-24")
    refused(base(entities=[person(protection_claim={**claim, "against": ["XQ", "XQ"]})]), "against")
    refused(base(entities=[person(protection_claim={**claim, "against": ["XQ"], "country": "XQ"})]), "against")
    for block in (
        {"kinds": ["health"]},
        {"kinds": ["health"], "necessity": "needed"},
        {"kinds": [], "necessity": reason},
    ):
        refused(base(entities=[person(special=block)]), "special")
    refused(base(entities=[person(protection_claim={"stage": "lodged"})]), "necessity")


@pytest.mark.spec("CNT-25", "VOC-9")
@pytest.mark.parametrize("code", ["smug_e_legislative", "smug_f_technical"])
def test_impersonal_information_does_not_travel_with_persons(code: str) -> None:
    passage = {"assertion": "fact", "lang": "en", "text": "x", "about": [code]}
    assert code in cats(narrative=[passage])
    refused(base(narrative=[passage], entities=[person()]), code)
    content_from(base(narrative=[passage], entities=[thing("transport")]))


@pytest.mark.spec("CNT-3")
def test_only_information_codes_can_be_declared_for_a_passage() -> None:
    for code in ("person_victim", "data_minor", "smug_g"):
        refused(base(narrative=[{"assertion": "fact", "lang": "en", "text": "x", "about": [code]}]), "about")


@pytest.mark.spec("CNT-30")
def test_an_entity_id_is_used_once() -> None:
    refused(base(entities=[person(), person()]), "twice")
    refused(base(entities=[person(), thing("transport", id="p1")]), "twice")
    for wrong in ("", "P1", "a" * 33, "-a", "é", "a b"):
        refused(base(entities=[person(id=wrong)]), "id")


@pytest.mark.spec("CNT-31")
@pytest.mark.parametrize("relation", Relation)
def test_a_relation_joins_the_kinds_it_is_made_for_and_no_others(relation: Relation) -> None:
    sources, targets = ENDS[relation]
    assert sources | targets <= set(EntityKind)
    for source in EntityKind:
        for target in EntityKind:
            ends = [
                {**(person() if kind == "person" else thing(kind)), "id": name}
                for kind, name in ((source, "x1"), (target, "x2"))
            ]
            edge = {"from": "x1", "to": "x2", "relation": relation, "assertion": "fact"}
            value = base(entities=ends, relationships=[edge])
            if source in sources and target in targets:
                content_from(value)
            else:
                refused(value, "CNT-31")


@pytest.mark.spec("CNT-31")
def test_a_relation_to_nobody_or_oneself_is_refused() -> None:
    edge = {"from": "p1", "to": "p1", "relation": "family_of", "assertion": "fact"}
    refused(base(entities=[person()], relationships=[edge]), "CNT-31")
    refused(base(entities=[person()], relationships=[{**edge, "to": "p2"}]), "CNT-31")
    refused(base(relationships=[edge]), "CNT-31")


def test_the_table_of_relations_in_the_spec_is_the_table_of_the_code() -> None:
    """CNT-31."""
    text = (REPOSITORY / "spec" / "content.md").read_text(encoding="utf-8")
    listed: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
    for line in text.split("**CNT-31**")[1].split("## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if len(cells) == 3 and cells[0].startswith("`"):
            ends = [
                frozenset(EntityKind) - {"location"} if "any but" in c else frozenset(c.split(", ")) for c in cells[1:]
            ]
            for name in cells[0].replace("`", "").split(", "):
                listed[name] = (ends[0], ends[1])
    assert listed == {str(r): (frozenset(map(str, a)), frozenset(map(str, b))) for r, (a, b) in ENDS.items()}


# --- attachments --------------------------------------------------------------------------------------------


@pytest.mark.spec("CNT-43", "CNT-5")
def test_an_attachment_is_what_its_digest_says() -> None:
    good = attach("log.txt", "text/plain", b"invented")
    message = content_from(base(attachments=[good]))
    assert message.attachments[0].content() == b"invented"
    for wrong, word in (
        ({"sha256": digest(b"other")}, "sha256"),
        ({"data": b64u(b"other")}, "sha256"),
        ({"data": good["data"] + "="}, "base64url"),
        ({"data": "***"}, "base64url"),
        ({"name": "../log.txt"}, "name"),
        ({"name": ".hidden"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"media_type": "application/x-msdownload"}, "media_type"),
        ({"media_type": "text/html"}, "media_type"),
    ):
        refused(base(attachments=[{**good, **wrong}]), word)
    refused(base(attachments=[good, good]), "one name")
    refused(base(attachments=[{**good, "name": f"a{n}"} for n in range(9)]), "attachments")


@pytest.mark.spec("CNT-43")
def test_an_attachment_has_a_largest_size() -> None:
    content_from(base(attachments=[attach("a", "text/plain", b"x" * MAX_ATTACHMENT)]))
    refused(base(attachments=[attach("a", "text/plain", b"x" * (MAX_ATTACHMENT + 1))]), "attachments.0.data")


def test_bytes_of_an_attachment_are_not_searched_for_real_data() -> None:
    """CNT-16: attachments are opaque; their digest and category say that they are there."""
    assert "data_attachment" in cats(attachments=[attach("a.txt", "text/plain", bytes(range(256)) * 8)])
    digits = attach("a.txt", "text/plain", unb64u("1234567890123456"))
    assert digits["data"] == "1234567890123456"
    content_from(base(attachments=[digits]))


# --- categories ---------------------------------------------------------------------------------------------


@pytest.mark.spec("CNT-60")
@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ({}, ""),
        ({"entities": [thing("location")]}, ""),
        ({"entities": [thing("organisation")]}, ""),
        ({"entities": [thing("organisation", organisation="criminal_group")]}, "smug_b_groups"),
        ({"entities": [thing("transport")]}, "data_transport"),
        ({"entities": [thing("transport", concealment="A false floor.")]}, "data_transport smug_d_concealment"),
        ({"entities": [thing("document")]}, "data_identification"),
        ({"entities": [thing("document", condition="genuine")]}, "data_identification"),
        ({"entities": [thing("document", condition="forged")]}, "data_identification smug_c_documents"),
        ({"entities": [thing("document", condition="stolen_blank")]}, "data_identification smug_c_documents"),
        ({"entities": [thing("communication")]}, "data_communications"),
        ({"entities": [thing("account")]}, "data_financial"),
        ({"entities": [thing("event")]}, ""),
        ({"entities": [thing("event", amount={"units": 5, "currency": "XTS"})]}, "data_financial"),
        ({"entities": [thing("event", event="offence")]}, "data_criminal_conduct"),
        ({"entities": [person(conduct=["Steered the boat."])]}, "data_criminal_conduct person_contact"),
        ({"entities": [person(crossing_status="victim")]}, "person_contact traf_a_status"),
        ({"entities": [person(victimisation={})]}, "data_victimisation person_contact"),
        (
            {"entities": [person(special={"kinds": ["health"], "necessity": "x" * 20})]},
            "data_special_category person_contact",
        ),
        (
            {"entities": [person(protection_claim={"stage": "lodged", "against": ["XQ"], "necessity": "x" * 20})]},
            "data_protection_claim person_contact",
        ),
        ({"attachments": [attach("a", "text/plain", b"")]}, "data_attachment"),
        (
            {
                "narrative": [
                    {"assertion": "fact", "lang": "en", "text": "x", "about": ["traf_b_documents", "smug_a_routes"]}
                ]
            },
            "smug_a_routes traf_b_documents",
        ),
    ],
)
def test_what_a_content_carries(members: dict[str, Any], wanted: str) -> None:
    assert " ".join(cats(**members)) == wanted


@pytest.mark.spec("CNT-60")
@pytest.mark.parametrize("category", PersonCategory)
def test_each_person_category_has_its_own(category: PersonCategory) -> None:
    assert cats(entities=[person(category=category)]) == (f"person_{category}",)


@pytest.mark.spec("CNT-60")
@pytest.mark.parametrize("relation", Relation)
def test_some_relations_carry_information_by_themselves(relation: Relation) -> None:
    routes = {"route_to", "departs_from", "arrives_at", "carried_by"}
    wanted = (
        {"smug_a_routes"}
        if relation in routes
        else {"traf_c_methods"}
        if relation in {"recruits", "exploits"}
        else set()
    )
    source, target = (min(kinds) for kinds in ENDS[relation])
    ends = [{**(person() if k == "person" else thing(k)), "id": name} for k, name in ((source, "x1"), (target, "x2"))]
    alone = set(cats(entities=ends))
    edge = {"from": "x1", "to": "x2", "relation": relation, "assertion": "fact"}
    assert set(cats(entities=ends, relationships=[edge])) - alone == wanted


def test_every_category_can_be_carried() -> None:
    """CNT-60: no category is a dead letter, and the spec's table names each."""
    text = (REPOSITORY / "spec" / "content.md").read_text(encoding="utf-8").split("**CNT-60**")[1]
    for category in Category:
        if category.startswith(("person_", "traf_b", "smug_e", "smug_f")):
            continue
        assert f"| `{category}` |" in text


@given(st.lists(st.sampled_from([p.stem for p in SAMPLES]), min_size=2, max_size=2, unique=True))
def test_categories_are_a_union_in_order(names: list[str]) -> None:
    """CNT-60: what two contents carry together is what each carries."""
    one, two = (sample(name) for name in names)
    for value, prefix in ((one, "a"), (two, "b")):
        for entity in value.get("entities", []):
            entity["id"] = prefix + entity["id"]
        for edge in value.get("relationships", []):
            edge["from"], edge["to"] = prefix + edge["from"], prefix + edge["to"]
        for number, attachment in enumerate(value.get("attachments", [])):
            attachment["name"] = f"file-{number}.txt"  # beside a victim, no other name passes
    parts = {m: [*one.get(m, []), *two.get(m, [])] for m in ("entities", "relationships", "narrative", "attachments")}
    both = cats(**{member: items for member, items in parts.items() if items}, as_of="2026-11-20")
    alone = set(SAMPLE_CATEGORIES[names[0]].split()) | set(SAMPLE_CATEGORIES[names[1]].split())
    assert set(both) == alone
    assert list(both) == sorted(both)


@pytest.mark.spec("CNT-61")
def test_what_a_manifest_must_declare() -> None:
    message = content_from(REQUEST)
    said: dict[str, Any] = {
        "type": "info_request",
        "purpose": "investigate",
        "crime": "immigrant_smuggling",
        "urgency": "u_direct",
        "handling": ("H3",),
        "cats": derive_categories(message),
        "re": None,
    }
    assert undeclared(message, **said) == ()
    for member, wrong in (
        ("type", "info_reply"), ("purpose", "prosecute"), ("crime", "terrorism"), ("urgency", "normal"),
        ("urgency", "none"), ("handling", ("H2",)), ("handling", ()), ("cats", ()), ("cats", said["cats"][1:]),
        ("cats", (*said["cats"], "traf_a_status")),
    ):  # fmt: skip
        assert undeclared(message, **{**said, member: wrong}) == (member,)
    answer = content_from(sample("refusal"))
    answered = {**said, "type": "info_refusal", "cats": (), "urgency": "none", "handling": ("H0",)}
    assert undeclared(answer, **answered) == ("re",)
    assert undeclared(answer, **{**answered, "re": "x" * 43}) == ()
    plain = content_from(base())
    assert (
        undeclared(plain, **{**said, "type": "spontaneous_info", "cats": (), "urgency": "none", "handling": ("H0",)})
        == ()
    )
    assert undeclared(plain, **{**said, "type": "spontaneous_info", "cats": ()}) == ("handling", "urgency")


# --- anything at all ----------------------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_reading_any_bytes_refuses_and_never_fails(raw: bytes) -> None:
    """CNT-1."""
    refused(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(st.data())
def test_any_value_anywhere_is_refused_or_makes_a_content_that_comes_back(data: st.DataObject) -> None:
    """CNT-1 and CNT-5."""
    value = sample(data.draw(st.sampled_from([path.stem for path in SAMPLES])))
    changed = put(value, *data.draw(st.sampled_from(places(value))), to=data.draw(JSON))
    raw = json.dumps(changed).encode("utf-8", "surrogatepass")
    try:
        message = parse_content(raw)
    except ContentMalformed:
        return
    assert parse_content(write_content(message)) == message


# --- schemas ------------------------------------------------------------------------------------------------


@pytest.mark.spec("CNT-5", "MSG-2", "MSG-3")
@pytest.mark.parametrize("name", published())
def test_a_published_schema_is_current(name: str) -> None:
    """Write it again with: python -m exchange.protocol.schemas NAME > spec/schemas/NAME.json"""
    assert (REPOSITORY / "spec" / "schemas" / f"{name}.json").read_text(encoding="utf-8") == write_schema(name)


def test_nothing_else_lies_among_the_schemas() -> None:
    assert {path.stem for path in (REPOSITORY / "spec" / "schemas").iterdir()} == set(published())


def test_a_schema_says_of_every_object_that_it_has_no_other_members() -> None:
    """CNT-3, CNT-4."""
    for schema in published().values():
        text = json.dumps(schema)
        assert '"null"' not in text
        assert text.count('"type": "object"') == text.count('"additionalProperties": ')  # a map's values have a schema
        assert '"additionalProperties": true' not in text


def test_persons_of_a_message_are_its_persons() -> None:
    persons = list(content_from(sample("border_hit")).persons)
    assert [type(one) for one in persons] == [Person, Person]

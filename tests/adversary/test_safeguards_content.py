"""Every way to show a protected person in the open, one by one; each beside the same content about anybody else.

A case fails the test if the content passes, and also if its innocent twin does not: so no case is refused for another
reason than the one it is about.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from exchange.protocol import marks
from exchange.protocol.blocks import attach
from exchange.protocol.content import content_from, undeclared
from exchange.protocol.errors import ContentMalformed
from exchange.protocol.vocabulary import Tlp
from keys.encoding import b64u, digest

PROTECTED: dict[str, dict[str, Any]] = {
    "a victim": {"category": "victim"},
    "a victim who is a child": {"category": "victim", "minor": True},
    "a minor": {"category": "contact", "minor": True},
    "a minor who is a suspect": {"category": "suspect", "minor": True},
    "a witness under protection": {"category": "witness", "protection": ["protection_by"]},
    "a witness who may be heard in court": {"category": "witness", "protection": ["court_participation_possible"]},
    "an informant": {"category": "informant"},
    "somebody promised anonymity": {"category": "contact", "protection": ["anonymity_guaranteed"]},
    "a suspect with a new identity": {"category": "suspect", "protection": ["new_identity"]},
}
ANYBODY: dict[str, Any] = {"category": "witness", "minor": False}


def base(**members: Any) -> dict[str, Any]:
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


def with_person(person: dict[str, Any], *others: dict[str, Any], edges: Any = (), **members: Any) -> dict[str, Any]:
    one = {"kind": "person", "id": "p1", "assertion": "fact", **person}
    joined = [{"assertion": "fact", **edge} for edge in edges]
    return base(entities=[one, *others], relationships=joined, **members)


def thing(kind: str, **members: Any) -> dict[str, Any]:
    return {"kind": kind, "id": "t1", "assertion": "fact", **members}


def edge(relation: str, *, back: bool = False) -> dict[str, str]:
    ends = ("t1", "p1") if back else ("p1", "t1")
    return {"from": ends[0], "to": ends[1], "relation": relation}


def born(person: dict[str, Any]) -> int:
    return 2012 if person.get("minor") else 1984


PASSPORT = {"document": "passport", "number": "SIM-PP-0001"}
EXPOSED: dict[str, Any] = {
    "family name": lambda p: with_person({**p, "names": [{"family": "Invented"}]}),
    "given name": lambda p: with_person({**p, "names": [{"given": "Invented"}]}),
    "alias": lambda p: with_person({**p, "names": [{"given": "Invented", "alias": True}]}),
    "year of birth": lambda p: with_person({**p, "birth_year": born(p)}),
    "own passport's number": lambda p: with_person(p, thing("document", **PASSPORT), edges=[edge("owns")]),
    "used passport's number": lambda p: with_person(p, thing("document", **PASSPORT), edges=[edge("uses")]),
    "passport issued to them": lambda p: with_person(
        p, thing("document", **PASSPORT), edges=[edge("issued_to", back=True)]
    ),
    "own account's number": lambda p: with_person(
        p, thing("account", account="bank", identifier="SIM-ACC-1"), edges=[edge("owns")]
    ),
    "account issued to them": lambda p: with_person(
        p, thing("account", account="bank", identifier="SIM-ACC-1"), edges=[edge("issued_to", back=True)]
    ),
    "telephone": lambda p: with_person(
        p, thing("communication", medium="phone", value="+9995550101"), edges=[edge("uses")]
    ),
    "handle issued to them": lambda p: with_person(
        p, thing("communication", medium="handle", value="sim_somebody"), edges=[edge("issued_to", back=True)]
    ),
    "address": lambda p: with_person(
        p, thing("location", place="address", locality="Millbrook"), edges=[edge("located_at")]
    ),
    "safe house": lambda p: with_person(
        p, thing("location", place="safe_house", name="The Blue Door"), edges=[edge("located_at")]
    ),
    "a safe house gone to": lambda p: with_person(
        p, thing("location", place="safe_house", name="The Blue Door"), edges=[edge("arrives_at")]
    ),
    "named relative": lambda p: with_person(
        p, thing("person", category="contact", minor=False, names=[{"family": "Invented"}]), edges=[edge("family_of")]
    ),
    "relative named the other way round": lambda p: with_person(
        p, thing("person", category="contact", minor=False, names=[{"family": "Invented"}]),
        edges=[edge("family_of", back=True)],
    ),
    "title": lambda p: with_person(p, case={"reference": "XN-1", "title": "The Millbrook girl"}),
    "file name": lambda p: with_person(p, attachments=[attach("portrait-of-her.png", "image/png", b"x")]),
}  # fmt: skip
SHOWN = [(who, how) for who in PROTECTED for how in EXPOSED]


@pytest.mark.spec("CNT-22", "CNT-27", "CNT-28", "CNT-29")
@pytest.mark.parametrize(("who", "how"), SHOWN, ids=[f"{who}: {how}" for who, how in SHOWN])
def test_nothing_that_shows_a_protected_person_stands_open(who: str, how: str) -> None:
    exposing = EXPOSED[how]
    with pytest.raises(ContentMalformed) as caught:
        content_from(exposing(PROTECTED[who]))
    for told in ("Invented", "SIM-", "+999", "Millbrook", "Blue Door", "portrait", "2012", "1984"):
        assert told not in caught.value.sentence
    content_from(with_person(PROTECTED[who]))  # the person alone may be described
    content_from(exposing(ANYBODY))  # and the very same may be said of anybody else


@pytest.mark.spec("CNT-27")
@pytest.mark.parametrize(
    ("as_of", "birth", "open_"), [("2026-11-20", 2008, False), ("2026-11-20", 2007, True), ("2025-01-01", 2007, False)]
)
def test_who_may_still_be_a_minor_by_the_year_of_birth_is_protected(as_of: str, birth: int, open_: bool) -> None:
    value = with_person({"category": "suspect", "birth_year": birth}, as_of=as_of)
    if open_:
        content_from(value)
    else:
        with pytest.raises(ContentMalformed, match="CNT-27"):
            content_from(value)


@pytest.mark.spec("CNT-28")
def test_a_smugglers_account_and_a_suspects_van_may_be_told_beside_a_victim() -> None:
    account = thing("account", account="bank", identifier="SIM-ACC-1")
    van = {**thing("transport", means="van", registration="SIM-VN-1"), "id": "t2"}
    paid = [edge("pays"), {"from": "p1", "to": "t2", "relation": "carried_by"}]
    content_from(with_person({"category": "victim"}, account, van, edges=paid))


# --- sealed parts ---------------------------------------------------------------------------------


def part(**members: Any) -> dict[str, Any]:
    key = {"id": "south.police.sim", "kid": digest(b"k"), "wrap": b64u(b"w" * 1168)}
    sealed = {"id": "i" + "g" * 30, "for": "protection_officer", "subject": "p1", "keys": [key]}
    return {**sealed, "body": b64u(b"b" * 600), "commit": digest(b"c"), **members}


KEY = part()["keys"][0]
BAD_PARTS: dict[str, list[dict[str, Any]]] = {
    "for somebody who is not there": [part(subject="p9")],
    "for a thing": [part(subject="t1")],
    "two for one person": [part(), part(id="i2")],
    "two with one id": [part(), part(subject="p2")],
    "for another role": [part(**{"for": "officer"})],
    "for no role": [{name: value for name, value in part().items() if name != "for"}],
    "for nobody's key": [part(keys=[])],
    "two keys of one agency": [part(keys=[KEY, {**KEY, "kid": digest(b"other")}])],
    "a key of a person": [part(keys=[{**KEY, "id": "Ms Jones"}])],
    "a key id that is none": [part(keys=[{**KEY, "kid": "short"}])],
    "with a name beside it": [part(name="Invented")],
    "a body that is no base64url": [part(body="Invented Name")],
    "a wrap with the name in it": [part(keys=[{**KEY, "wrap": "Invented Name"}])],
    "a commitment that is none": [part(commit="Invented")],
    "nine of them": [part(id=f"i{n}", subject="p1" if n == 0 else f"p{n}") for n in range(9)],
}


@pytest.mark.spec("CNT-22", "CNT-70", "CNT-71")
@pytest.mark.parametrize("how", BAD_PARTS)
def test_a_sealed_part_of_another_form_or_of_nobody_is_refused(how: str) -> None:
    second = {"kind": "person", "id": "p2", "assertion": "fact", "category": "victim"}
    there = with_person({"category": "victim"}, thing("location", place="port"), second)
    assert "data_sealed_identity" in content_from({**there, "sealed_parts": [part()]}).categories
    with pytest.raises(ContentMalformed):
        content_from({**there, "sealed_parts": BAD_PARTS[how]})


@pytest.mark.spec("CNT-22")
@pytest.mark.parametrize("who", PROTECTED)
def test_whoever_is_never_named_is_not_named_under_seal_either(who: str) -> None:
    value = {**with_person(PROTECTED[who]), "sealed_parts": [part()]}
    if who in ("an informant", "somebody promised anonymity", "a suspect with a new identity"):
        with pytest.raises(ContentMalformed, match="never named"):
            content_from(value)
    else:
        content_from(value)


@pytest.mark.spec("CNT-61")
def test_an_identity_sealed_for_an_agency_that_the_message_does_not_go_to_is_misdeclared() -> None:
    message = content_from({**with_person({"category": "victim"}), "sealed_parts": [part()]})
    said: dict[str, Any] = {"type": "spontaneous_info", "purpose": "investigate", "crime": "human_trafficking"}
    said |= {"urgency": "none", "handling": ("H0",), "cats": message.categories, "re": None}
    assert undeclared(message, **said, parties=frozenset({"a.sim", "south.police.sim"})) == ()
    assert undeclared(message, **said, parties=frozenset({"a.sim", "east.border.sim"})) == ("to",)
    hidden = tuple(code for code in message.categories if code != "data_sealed_identity")
    assert undeclared(message, **{**said, "cats": hidden}) == ("cats",)


# --- claims ----------------------------------------------------------------------------------------

WHY = "Needed to place the person safely."
CLAIM = {"stage": "lodged", "against": ["XQ"], "necessity": WHY}
BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "against nobody": {"stage": "lodged", "necessity": WHY},
    "against an empty list": {**CLAIM, "against": []},
    "against one twice": {**CLAIM, "against": ["XQ", "XQ"]},
    "against where it was made": {**CLAIM, "country": "XQ"},
    "against a real state": {**CLAIM, "against": ["GB"]},
    "against a state in words": {**CLAIM, "against": ["Xquetia"]},
    "without a reason": {"stage": "lodged", "against": ["XQ"]},
    "with a boiler-plate reason": {**CLAIM, "necessity": "needed"},
    "at no stage": {"against": ["XQ"], "necessity": WHY},
    "at an invented stage": {**CLAIM, "stage": "suspected"},
    "with the story": {**CLAIM, "story": "They came at night."},
}


@pytest.mark.spec("CNT-24")
@pytest.mark.parametrize("how", BAD_CLAIMS)
def test_a_claim_says_against_whom_and_why_it_must_be_told(how: str) -> None:
    content_from(with_person({"category": "contact", "protection_claim": CLAIM}))
    with pytest.raises(ContentMalformed):
        content_from(with_person({"category": "contact", "protection_claim": BAD_CLAIMS[how]}))


@pytest.mark.spec("CNT-24")
def test_a_claim_without_territories_counts_against_the_nationality() -> None:
    claim = BAD_CLAIMS["against nobody"]
    (one,) = content_from(with_person({"category": "contact", "nationality": "XQ", "protection_claim": claim})).persons
    assert one.feared == {"XQ"}
    named = {**with_person({"category": "contact", "nationality": "XN", "protection_claim": CLAIM})}
    (other,) = content_from(named).persons
    assert other.feared == {"XQ"}


# --- marks -----------------------------------------------------------------------------------------

HANDLINGS = [("H0",), ("H1",), ("H2",), ("H3",), ("H1", "H2"), ("H2", "H3"), ("H1", "H2", "H3"), ("H0", "H2")]
AGREES = {
    "red": {("H1", "H2"), ("H1", "H2", "H3")},
    "amber_strict": {("H2",), ("H1", "H2"), ("H2", "H3"), ("H1", "H2", "H3")},
    "amber": set(HANDLINGS),
    "green": {("H0",), ("H1",), ("H3",)},
    "clear": {("H0",)},
}
MARKED = [(tlp, handling) for tlp in Tlp for handling in HANDLINGS]


@pytest.mark.spec("CNT-51", "CNT-61")
@pytest.mark.parametrize(("tlp", "handling"), MARKED, ids=[f"{t}-{'+'.join(h)}" for t, h in MARKED])
def test_a_manifest_is_as_strict_as_the_mark_and_never_contradicts_it(tlp: Tlp, handling: tuple[str, ...]) -> None:
    members = {"handling_text": "Ask first."} if "H3" in handling else {}
    message = content_from(base(tlp=tlp.value, **members))
    said: dict[str, Any] = {"type": "spontaneous_info", "purpose": "investigate", "crime": "human_trafficking"}
    wrong = undeclared(message, **said, urgency="none", handling=handling, cats=(), re=None)
    assert wrong == (() if handling in AGREES[tlp.value] else ("handling",))


@pytest.mark.spec("CNT-53")
def test_of_mark_codes_and_clause_the_strictest_binds() -> None:
    order = ["within_parties", "by_consent", "by_field", "none"]
    for tlp in (None, *Tlp):
        for handling in HANDLINGS:
            for onward in order:
                codes, rule = marks.stricter(tlp, handling, onward)
                assert order.index(rule) >= order.index(onward)
                assert set(codes) >= set(handling) - {"H0"}
                if tlp is not None:
                    assert order.index(rule) >= order.index(marks.MAPPING[tlp].onward)
                    assert set(codes) >= marks.MAPPING[tlp].handling
                if "H2" in handling:
                    assert order.index(rule) >= 1
                assert codes == ("H0",) or "H0" not in codes


TEXTS = [
    ("TLP:RED", "amber"), ("tlp:red", "amber_strict"), ("TLP RED", None), ("see TLP: AMBER+STRICT below", "amber"),
    ("TLP:AMBER STRICT", "green"), ("TLP:AMBER", "green"), ("TLP:AMBER", None), ("TLP:GREEN", "clear"),
    ("TLP:CLEAR", None), ("TLP:WHITE", None), ("[Tlp:Red] and TLP:CLEAR", "green"), ("xTLP:GREENx", None),
]  # fmt: skip


@pytest.mark.spec("CNT-52")
@pytest.mark.parametrize(("text", "tlp"), TEXTS, ids=[f"{text} under {tlp}" for text, tlp in TEXTS])
def test_a_mark_in_a_text_that_the_content_does_not_bear_is_refused(text: str, tlp: str | None) -> None:
    def marked(mark: str | None) -> dict[str, Any]:
        value = base(narrative=[{"assertion": "fact", "lang": "en", "text": text}])
        return {**value, "tlp": mark} if mark else value

    with pytest.raises(ContentMalformed, match="CNT-52"):
        content_from(marked(tlp))
    content_from(marked("red"))  # the strictest covers every one
    hidden = copy.deepcopy(marked(tlp))
    hidden["narrative"][0]["text"] = "a lamp"
    content_from(hidden)


# --- sources and bare notices -----------------------------------------------------------------------

A, B = sorted((digest(b"a"), digest(b"b")))
BAD_SOURCES: dict[str, list[dict[str, Any]]] = {
    "out of order": [{"msg": B, "fields": [""]}, {"msg": A, "fields": [""]}],
    "one twice": [{"msg": A, "fields": [""]}, {"msg": A, "fields": ["/entities"]}],
    "with no field": [{"msg": A, "fields": []}],
    "with a field that is no pointer": [{"msg": A, "fields": ["entities"]}],
    "with a broken escape": [{"msg": A, "fields": ["/a~2b"]}],
    "with no digest": [{"msg": "the last one", "fields": [""]}],
    "five of them": [{"msg": digest(bytes([n])), "fields": [""]} for n in range(5)],
}


@pytest.mark.spec("CNT-50")
@pytest.mark.parametrize("how", BAD_SOURCES)
def test_sources_that_are_not_in_their_one_form_are_refused(how: str) -> None:
    content_from(base(sources=[{"msg": A, "fields": ["", "/entities/0/names"]}, {"msg": B, "fields": ["/case~1x"]}]))
    with pytest.raises(ContentMalformed):
        content_from(base(sources=BAD_SOURCES[how]))


@pytest.mark.spec("CNT-61", "CNT-50")
def test_a_manifest_names_exactly_the_sources_of_its_content() -> None:
    message = content_from(base(sources=[{"msg": A, "fields": [""]}, {"msg": B, "fields": [""]}]))
    said: dict[str, Any] = {"type": "spontaneous_info", "purpose": "investigate", "crime": "human_trafficking"}
    said |= {"urgency": "none", "handling": ("H0",), "cats": (), "re": None}
    assert undeclared(message, **said, src=(A, B)) == ()
    for src in ((), (A,), (B,), (B, A), (A, B, digest(b"c"))):
        assert undeclared(message, **said, src=src) == ("src",)


NOTICE: dict[str, Any] = {
    **{name: value for name, value in base().items() if name != "spontaneous"},
    "type": "exculpatory_notice",
    "exculpatory": {
        "kinds": ["alibi"], "text": "We hold a record that speaks for the person you suspect.",
        "contact": {"agency": "a.sim", "desk": "evidence_desk"},
    },
}  # fmt: skip
PASSAGE = {"assertion": "fact", "lang": "en", "text": "x"}
MORE: dict[str, Any] = {
    "narrative": [PASSAGE],
    "entities": [{"kind": "person", "id": "p1", "assertion": "fact", "category": "suspect"}],
    "attachments": [attach("a.txt", "text/plain", b"x")],
    "sources": [{"msg": A, "fields": [""]}],
    "question": {},
    "answer": {"text": "x"},
}


@pytest.mark.spec("CNT-6", "CNT-44")
@pytest.mark.parametrize("member", MORE)
def test_an_exculpatory_notice_carries_word_and_no_data(member: str) -> None:
    assert content_from(NOTICE).categories == ()
    with pytest.raises(ContentMalformed):
        content_from({**NOTICE, member: MORE[member]})


@pytest.mark.spec("CNT-44", "CNT-7")
def test_an_exculpatory_notice_says_what_kind_it_is_and_what_it_is_about() -> None:
    block = NOTICE["exculpatory"]
    for wrong in ({"kinds": []}, {"kinds": ["innocent"]}, {"text": " "}, {"contact": "Ms Jones"}):
        with pytest.raises(ContentMalformed):
            content_from({**NOTICE, "exculpatory": {**block, **wrong}})
    said: dict[str, Any] = {"type": "exculpatory_notice", "purpose": "investigate", "crime": "human_trafficking"}
    said |= {"urgency": "none", "handling": ("H0",), "cats": ()}
    assert undeclared(content_from(NOTICE), **said, re=None) == ("re",)
    assert undeclared(content_from(NOTICE), **said, re=A) == ()


@pytest.mark.spec("CNT-20")
def test_a_statement_can_be_derived_and_have_an_author_who_is_an_agency() -> None:
    derived = {**PASSAGE, "assertion": "derived", "author": "east.border.sim"}
    assert content_from(base(narrative=[derived])).narrative[0].author == "east.border.sim"
    for author in ("Ms Jones", "east.border", ""):
        with pytest.raises(ContentMalformed):
            content_from(base(narrative=[{**derived, "author": author}]))

"""An act has one form, one author, and no room for a sentence."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.protocol.act import MAX_ACT, READER, ActTerms, parse_act, read_act, sign_act, write_act
from exchange.protocol.agreement import read_notice
from exchange.protocol.errors import ActMalformed, ActRefused, FederationMismatch
from exchange.protocol.terms import write_notice
from exchange.protocol.vocabulary import ActKind
from keys.encoding import digest, read_json, stamp, write_json
from keys.errors import AgencyUnknown, KeyNotTheirs, KeyNotValid, MalformedEncoding, TooLarge, WrongSignatureType
from keys.signing import Typ, cosign, parse_statement, sign
from tests.vectors.stage import FIU, NGO, NORTH, NOW, SOUTH, stage

ON = stage()
MSG, OTHER = digest(b"a message"), digest(b"another")
LATER = NOW + timedelta(days=30)
WHOLE: dict[str, Any] = {
    "want": "onward",
    "to": [FIU, NGO],
    "purposes": ["investigate"],
    "fields": [""],
    "until": LATER,
}
EVERY: dict[str, dict[str, Any]] = {
    "ask": WHOLE,
    "consent": {**WHOLE, "re": OTHER, "holder": SOUTH},
    "decline": {"re": OTHER, "ground": "handling_restriction"},
    "withdraw": {"re": OTHER},
    "acknowledge": {},
    "restrict": {"ground": "victim_safety"},
    "recall": {"ground": "sent_in_error"},
    "rectify": {"ground": "inaccurate", "by_msg": OTHER},
    "answer": {"re": OTHER, "outcome": "retained", "ground": "judicial_proceedings"},
    "keep": {"ground": "case_open", "until": LATER},
    "erased": {"cause": "retention"},
}


def payload(kind: str, **changes: Any) -> bytes:
    members = {**EVERY[kind], **changes}
    return write_act(kind, fed=ON.fed, by=NORTH, ts=NOW, msg=MSG, **members)


def said(kind: str, **changes: Any) -> dict[str, Any]:
    """The members as they travel, edited by hand."""
    members: dict[str, Any] = read_json(payload(kind), limit=MAX_ACT)
    return {name: value for name, value in (members | changes).items() if value is not ...}


# --- one form -------------------------------------------------------------------------------------------


@pytest.mark.spec("ACT-2")
@pytest.mark.parametrize("kind", list(ActKind))
def test_every_kind_is_written_and_read_back(kind: str) -> None:
    terms = parse_act(payload(kind))
    assert (terms.kind, terms.by, terms.msg, terms.signed_at) == (kind, NORTH, MSG, NOW)
    assert terms.refers_to == EVERY[kind].get("re")
    assert list(said(kind))[:7] == ["v", "typ", "act", "fed", "by", "ts", "msg"]


@pytest.mark.spec("ACT-2")
def test_lists_are_put_in_order_and_what_says_nothing_is_left_out() -> None:
    assert said("ask", to=...)["purposes"] == ["investigate"]
    assert said("consent")["to"] == sorted([FIU, NGO])
    assert b'"re"' not in payload("consent", re=None)
    assert b'"ground"' not in payload("answer", outcome="erased", ground=None)


@pytest.mark.spec("ACT-2")
@pytest.mark.parametrize("kind", list(ActKind))
def test_no_member_may_be_missing_added_null_or_of_another_type(kind: str) -> None:
    whole = said(kind)
    optional = {"re"} if kind == "consent" else set()
    for name, value in whole.items():
        wrong: list[dict[str, Any]] = [{**whole, name: None}, {**whole, name: {"x": value}}, {**whole, name: 7}]
        if name not in optional:
            wrong.append({key: item for key, item in whole.items() if key != name})
        for one in wrong:
            with pytest.raises(ActMalformed):
                parse_act(write_json(one))
    for more in ({"reason": "a sentence"}, {"subject": "Jane Roe"}, {"note": ""}):
        with pytest.raises(ActMalformed):
            parse_act(write_json({**whole, **more}))


@pytest.mark.spec("ACT-2", "ACT-3")
@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("ask", {"to": []}), ("ask", {"purposes": []}), ("ask", {"fields": []}), ("ask", {"to": ["party:any"]}),
        ("ask", {"to": [NGO, FIU, NGO]}), ("ask", {"to": sorted([FIU, NGO], reverse=True)}),
        ("ask", {"purposes": ["gossip"]}), ("ask", {"purposes": "investigate"}), ("ask", {"want": "everything"}),
        ("ask", {"to": [f"a{i:02}.sim" for i in range(21)]}),
        ("ask", {"want": "purpose"}), ("ask", {"want": "evidence"}), ("ask", {"to": ...}),
        ("consent", {"to": ...}), ("consent", {"want": "purpose"}), ("consent", {"until": stamp(NOW)}),
        ("consent", {"until": "2026-02-30T00:00:00.000Z"}), ("consent", {"until": "2027-01-01T00:00:00Z"}),
        ("keep", {"until": stamp(NOW - timedelta(seconds=1))}), ("keep", {"ground": "sent_in_error"}),
        ("ask", {"fields": ["/Jane Roe"]}), ("ask", {"fields": ["entities"]}), ("ask", {"fields": ["/a/01"]}),
        ("ask", {"fields": ["/" + "/".join("a" * 9)]}), ("ask", {"fields": ["/a~1b"]}),
        ("ask", {"fields": ["/" + "a" * 33]}), ("ask", {"fields": ["/a\n"]}), ("ask", {"fields": ["/a/12345"]}),
        ("answer", {"outcome": "erased"}), ("answer", {"ground": ...}), ("answer", {"outcome": "forgotten"}),
        ("rectify", {"by_msg": MSG}), ("recall", {"ground": "case_open"}), ("erased", {"cause": "whim"}),
        ("recall", {"ts": "2026-11-31T00:00:00.000Z"}), ("recall", {"msg": MSG[:-1] + "B"}), ("recall", {"v": "ix/2"}),
        ("recall", {"act": "forget"}), ("recall", {"act": None}), ("recall", {"typ": "notice"}),
    ],
)  # fmt: skip
def test_no_value_of_another_form_is_accepted(kind: str, changes: dict[str, Any]) -> None:
    with pytest.raises((ActMalformed, MalformedEncoding)):
        parse_act(write_json(said(kind, **changes)))


@pytest.mark.spec("ACT-3")
def test_an_empty_list_of_recipients_is_nobody_and_never_everybody() -> None:
    """The regression of MISP #4200: what names nobody cannot even be written."""
    for empty in ({"to": []}, {"purposes": []}, {"fields": []}):
        with pytest.raises(ActMalformed):
            payload("consent", **empty)


@pytest.mark.spec("ACT-2")
def test_an_act_longer_than_allowed_is_refused_and_the_longest_fits() -> None:
    longest = payload(
        "consent",
        to=[f"{i:034}.a.sim"[-40:] for i in range(20)],
        fields=["/" + "a" * 32 + "/" + "b" * 32 + f"/{i}" for i in range(20)],
    )
    assert len(longest) <= MAX_ACT
    with pytest.raises(TooLarge):
        parse_act(longest + b" " * (MAX_ACT - len(longest) + 1))


@pytest.mark.spec("ACT-2")
def test_no_act_has_room_for_free_text() -> None:
    """Every string of every kind is held to a pattern, a code list or a constant."""
    for kind in get_args(ActTerms):
        schema = json.dumps(kind.model_json_schema())
        assert schema.count('"type": "string"') == sum(
            schema.count(f'"{held}"') for held in ("pattern", "enum", "const")
        )
    assert READER.json_schema()["discriminator"]["propertyName"] == "act"


def test_refusals_name_the_member_and_never_its_value() -> None:
    """ACT-2: whoever sends a name gets it back in no message."""
    for wrong in ({"holder": "Jane Roe"}, {"Jane Roe": "x"}, {"fields": ["/Jane Roe"]}):
        with pytest.raises(ActMalformed) as caught:
            parse_act(write_json(said("consent", **wrong)))
        assert "Jane" not in str(caught.value)


@given(st.binary(max_size=200) | st.sampled_from(list(EVERY)).map(payload))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    """ACT-2"""
    try:
        parse_act(data)
    except (ActMalformed, MalformedEncoding, TooLarge):
        return


# --- one author -------------------------------------------------------------------------------------------


def signed(kind: str = "recall", by: str = NORTH, at: datetime = NOW, **changes: Any) -> bytes:
    members = {**EVERY[kind], **changes}
    return sign_act(write_act(kind, fed=ON.fed, by=by, ts=at, msg=MSG, **members), ON[by].signer)


@pytest.mark.spec("ACT-1", "ACT-5")
def test_an_act_is_verified_and_named_by_its_payload() -> None:
    data = signed()
    act = read_act(data, ON.directory, NOW)
    assert (act.kind, act.terms.by, act.at) == (ActKind.RECALL, NORTH, NOW)
    assert act.digest == digest(parse_statement(data).payload)


@pytest.mark.spec("ACT-1", "ACT-5")
def test_an_act_of_another_key_kind_or_number_of_signers_is_refused() -> None:
    made = payload("recall")
    for data, refusal in (
        (sign_act(made, ON[SOUTH].signer), KeyNotTheirs),
        (sign(made, ON[NORTH].signer, Typ.NOTICE).to_bytes(), WrongSignatureType),
        (sign(made, ON[NORTH].signer, Typ.MESSAGE).to_bytes(), WrongSignatureType),
        (cosign(sign(made, ON[NORTH].signer, Typ.ACT), ON[SOUTH].signer, Typ.ACT).to_bytes(), ActRefused),
    ):
        with pytest.raises(refusal):
            read_act(data, ON.directory, NOW)
    with pytest.raises(KeyNotValid):
        read_act(signed(), ON.without_keys_of(NORTH, NOW - timedelta(hours=1)), NOW)
    stranger = write_act("recall", fed=ON.fed, by="nobody.sim", ts=NOW, msg=MSG, ground="unlawful")
    with pytest.raises(AgencyUnknown):
        read_act(sign_act(stranger, ON[NORTH].signer), ON.directory, NOW)
    notice = write_notice("suspend", fed=ON.fed, agreement=OTHER, by=NORTH, ts=NOW, reason="We must look first.")
    with pytest.raises(WrongSignatureType):  # nor does an act's signature do for anything else
        read_notice(sign(notice, ON[NORTH].signer, Typ.ACT).to_bytes(), ON.directory, NOW)


@pytest.mark.spec("ACT-4")
def test_an_act_from_the_future_or_another_federation_is_refused() -> None:
    ahead = timedelta(minutes=5, seconds=1)
    read_act(signed(at=NOW + timedelta(minutes=5)), ON.directory, NOW)
    with pytest.raises(ActRefused, match="future"):
        read_act(signed(at=NOW + ahead), ON.directory, NOW)
    with pytest.raises(ActRefused, match="ended"):
        read_act(signed("consent", at=NOW - timedelta(days=40)), ON.directory, LATER)
    read_act(signed("consent"), ON.directory, LATER - timedelta(seconds=1))
    elsewhere = write_act("recall", fed=OTHER, by=NORTH, ts=NOW, msg=MSG, ground="unlawful")
    with pytest.raises(FederationMismatch):
        read_act(sign_act(elsewhere, ON[NORTH].signer), ON.directory, NOW)

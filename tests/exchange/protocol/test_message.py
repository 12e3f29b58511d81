"""Messages: what honest parties can do, and every way we know of cheating them. See `spec/messages.md`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.protocol.content import MAX_ATTACHMENT, MAX_CONTENT, parse_content, read_content, write_content
from exchange.protocol.log import denial_entry, disclosure_entry
from exchange.protocol.manifest import MAX_ENVELOPE, MAX_MANIFEST, context, context_of, parse_manifest, verify_times
from exchange.protocol.message import Envelope, Parcel, open_parcel, parse, seal, verify
from exchange.protocol.vocabulary import Category, Handling, MessageType
from keys.encoding import b64u, digest, stamp, unb64u, write_json
from keys.errors import Refusal
from keys.sealing import CHUNK, HEADER, TAG, commit, padded_length
from keys.signing import Typ, cosign
from tests.vectors.stage import (
    AGREEMENT,
    FIU,
    NGO,
    NORTH,
    NOW,
    POLICY,
    SMALL,
    SOUTH,
    Forge,
    Repeatable,
    Stage,
    content_of,
    resigned,
    signer,
    stage,
)

LATER = NOW + timedelta(seconds=3)
OTHER = digest(b"something else")
OTHER_ID = "019370ab-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def on() -> Stage:
    return stage()


@pytest.fixture(scope="module")
def honest(on: Stage) -> bytes:
    """One honest envelope, to be altered."""
    return on.compose(SMALL)


def payload_of(data: bytes) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(parse(data).statement.payload)
    return value


def with_manifest(data: bytes, payload: bytes) -> bytes:
    """The same envelope around other manifest bytes: the signatures no longer fit."""
    return write_json({**json.loads(data), "payload": b64u(payload)})


def opened(on: Stage, data: bytes, me: str = SOUTH, **changes: Any) -> Any:
    now = changes.pop("now", LATER)
    seen = changes.pop("seen", ())
    return open_parcel(
        on.deliver(data, me, **changes),
        me=me,
        opening_keys=on[me].keys,
        directory=on.directory,
        log=on.log.identity,
        now=now,
        seen=seen,
    )


def refused(code: str, act: Callable[[], object]) -> Refusal:
    """The refusal, if the act is refused with exactly this code."""
    with pytest.raises(Refusal) as caught:
        act()
    assert caught.value.code == code, caught.value.sentence
    return caught.value


# --- what honest parties can do -----------------------------------------------------------------------------


@pytest.mark.spec("MSG-1", "MSG-2", "MSG-3", "MSG-9")
def test_an_honest_message_is_verified_and_opened_by_its_recipient(on: Stage, honest: bytes) -> None:
    envelope = parse(honest)
    verify(envelope, on.directory, NOW)
    got = opened(on, honest)
    assert got.content == parse_content(SMALL)
    assert got.content_bytes == SMALL
    assert got.digest == envelope.digest == digest(envelope.statement.payload)
    assert got.manifest.cats == (Category.DATA_TRANSPORT,)
    assert got.index == 1


def test_what_a_sender_sealed_is_what_every_reader_parses(on: Stage) -> None:
    made = seal(on.draft(SMALL, (SOUTH, NGO)), read_content(SMALL), on[NORTH].signer)
    assert parse(made.raw) == made


@pytest.mark.spec("MSG-11", "MSG-18")
def test_each_of_several_recipients_opens_with_its_own_wrap(on: Stage) -> None:
    data = on.compose(SMALL, (SOUTH, NGO, FIU))
    assert len({wrap for _, wrap in parse(data).wraps}) == 3
    for agency in (SOUTH, NGO, FIU):
        assert opened(on, data, agency).content == parse_content(SMALL)


def test_a_message_of_every_size_comes_back_byte_for_byte(on: Stage) -> None:
    """Around every boundary of padding and of chunks (MSG-13, MSG-14)."""
    bare = json.loads(SMALL)
    for size in (0, 1, 3000, CHUNK - 600, CHUNK, 40_000):
        bare["attachments"] = []
        text = b"x" * size
        bare["attachments"] = [
            {"name": "a.txt", "media_type": "text/plain", "sha256": digest(text), "data": b64u(text)}
        ]
        content = write_json(bare)
        assert opened(on, on.compose(content)).content_bytes == content


@pytest.mark.spec("MSG-13", "MSG-14")
@pytest.mark.parametrize(
    ("plain", "padded"), [(36, 512), (512, 512), (513, 544), (1000, 1024), (4097, 4352), (131108, 135168)]
)
def test_padding_tells_only_the_magnitude(plain: int, padded: int) -> None:
    assert padded_length(plain) == padded


@pytest.mark.spec("MSG-10")
def test_the_context_is_the_hash_of_the_lines_of_the_spec(on: Stage) -> None:
    data = on.compose(SMALL, (SOUTH, NGO))
    m = payload_of(data)
    lines = f"ix/1 msg\nfed {m['fed']}\nid {m['id']}\nfrom {m['from']}\nagr {m['agr']}\n"
    lines += "".join(f"to {a['id']} {a['kid']}\n" for a in m["to"])
    assert context_of(parse(data).manifest) == hashlib.sha256(lines.encode()).digest()


@pytest.mark.spec("MSG-10")
def test_every_member_of_the_context_changes_it() -> None:
    base = ("fed", "id", "from", "agr", [("a.sim", "k1"), ("b.sim", "k2")])
    contexts = {context(*base)}  # type: ignore[arg-type]
    for n, other in enumerate(("x", "x", "x", "x", [("b.sim", "k2"), ("a.sim", "k1")])):
        contexts.add(context(*(*base[:n], other, *base[n + 1 :])))  # type: ignore[arg-type]
    contexts.add(context(*base[:4], [("a.sim", "k1")]))  # type: ignore[arg-type]
    assert len(contexts) == 7


@pytest.mark.spec("MSG-15")
def test_the_manifest_names_the_bytes_of_wraps_and_body(honest: bytes) -> None:
    envelope, manifest = parse(honest), payload_of(honest)
    assert manifest["body"]["sha256"] == digest(envelope.body)
    assert manifest["body"]["len"] == len(envelope.body)
    assert [a["wrap"] for a in manifest["to"]] == [digest(wrap) for _, wrap in envelope.wraps]
    assert all(len(wrap) == 1168 for _, wrap in envelope.wraps)


@pytest.mark.spec("MSG-16")
def test_one_text_to_the_same_recipient_twice_gives_nothing_to_compare(on: Stage) -> None:
    one, two = on.compose(SMALL, label="one"), on.compose(SMALL, label="two")
    first, second = payload_of(one), payload_of(two)
    assert first["body"]["commit"] != second["body"]["commit"]
    assert parse(one).body[:HEADER] != parse(two).body[:HEADER]
    assert len(parse(one).body) == len(parse(two).body)


@pytest.mark.spec("MSG-17")
def test_a_sender_cannot_compose_what_every_reader_would_refuse(on: Stage) -> None:
    request = content_of(json.loads(SMALL))
    for changes, code in (
        ({"urgency": "normal"}, "misdeclared"),
        ({"handling": ("H3",)}, "misdeclared"),
        ({"handling": ()}, "envelope_malformed"),
        ({"purpose": "curiosity"}, "envelope_malformed"),
        ({"id": "not an id"}, "envelope_malformed"),
        ({"by": "Officer Mary Jones"}, "envelope_malformed"),
        ({"recipients": ()}, "envelope_malformed"),
        ({"recipients": ((SOUTH, on[SOUTH].opening.public),) * 2}, "envelope_malformed"),
        ({"recipients": tuple((f"a{n}.sim", on[SOUTH].opening.public) for n in range(21))}, "envelope_malformed"),
    ):
        refused(code, lambda changes=changes: on.compose(request, **changes))


@pytest.mark.spec("MSG-17", "CNT-1", "CNT-43")
def test_the_largest_content_for_the_most_recipients_still_fits_into_an_envelope(on: Stage) -> None:
    bare = json.loads(SMALL)
    text = b"x" * MAX_ATTACHMENT
    bare["attachments"] = [{"name": "a.txt", "media_type": "text/plain", "sha256": digest(text), "data": b64u(text)}]
    bare["narrative"] = [dict(bare["narrative"][0]) for _ in range(8)]
    for passage in bare["narrative"]:
        room = MAX_CONTENT - len(write_json(bare)) + len(passage["text"])
        passage["text"] = "y" * min(8000, room)
    content = write_json(bare)
    assert len(content) == MAX_CONTENT
    everybody = tuple((f"{n:036}.sim", on[SOUTH].opening.public) for n in range(20))
    assert len(on.compose(content, recipients=everybody)) < MAX_ENVELOPE
    bare["case"]["reference"] += "1"
    refused("content_malformed", lambda: on.draft(write_json(bare)))


def test_a_refusal_of_a_manifest_names_the_member_and_not_its_value(honest: bytes) -> None:
    """MSG-32: a refusal may be logged and shown."""
    payload = write_json({**payload_of(honest), "purpose": "Tobin Marrow"})
    refusal = refused("envelope_malformed", lambda: parse_manifest(payload))
    assert "purpose" in refusal.sentence
    assert "Marrow" not in refusal.sentence


# --- every member of the manifest, ill-formed ---------------------------------------------------------------

NOT_DIGESTS = ["", "a" * 42, "a" * 44, "a" * 42 + "B", "a" * 42 + "=", "é" * 43, "a" * 42 + "\n", 7, None, [], {}]
NOT_AGENCIES = [
    "",
    "north",
    "north.police",
    "North.police.sim",
    "north police.sim",
    "a" * 37 + ".sim",
    ".sim",
    "x.sim\n",
    1,
    None,
]
NOT_TIMES = [
    "", "2026-11-21", "2026-11-21T16:20:00", "2026-11-21T16:20:00+00:00", "2026-11-21t16:20:00z", "2026-11-21T16:20Z",
    "2026-11-21T16:20:00.1Z", "2026-11-21T16:20:00.123456Z", "2026-11-21 16:20:00Z",
    1795277400, None, "2026-11-21T16:20:00Z\n",
]  # fmt: skip
NO_SUCH_TIMES = [
    "2026-02-30T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-11-21T24:00:00Z",
    "2026-11-21T16:60:00Z",
    "0000-01-01T00:00:00Z",
]
NOT_CODES = ["", "H4", "nonsense", "Investigate", " investigate", 0, True, None, ["investigate"], {}]
NOT_TO: list[Any] = [
    [], {}, None, "south.police.sim", ["south.police.sim"], [None],
    *([{"id": i, "kid": OTHER, "wrap": OTHER}] for i in NOT_AGENCIES),
    *([{"id": SOUTH, "kid": d, "wrap": OTHER}] for d in NOT_DIGESTS),
    *([{"id": SOUTH, "kid": OTHER, "wrap": d}] for d in NOT_DIGESTS),
    [{"id": SOUTH, "kid": OTHER}], [{"id": SOUTH, "wrap": OTHER}], [{"kid": OTHER, "wrap": OTHER}],
    [{"id": SOUTH, "kid": OTHER, "wrap": OTHER, "name": "x"}],
    [{"id": SOUTH, "kid": OTHER, "wrap": OTHER}] * 2,
    [{"id": f"a{n}.sim", "kid": OTHER, "wrap": OTHER} for n in range(21)],
]  # fmt: skip
GOOD_BODY = {"sha256": OTHER, "len": 584, "commit": OTHER}
NOT_BODIES: list[Any] = [
    None, [], "x", {}, {**GOOD_BODY, "name": "x"}, {"sha256": OTHER, "len": 584}, {"sha256": OTHER, "commit": OTHER},
    *({**GOOD_BODY, "len": n} for n in (0, -1, "584", True, None, 262_145, [584])),
    *({**GOOD_BODY, "sha256": d} for d in NOT_DIGESTS), *({**GOOD_BODY, "commit": d} for d in NOT_DIGESTS),
]  # fmt: skip
ILL_FORMED: dict[str, list[Any]] = {
    "v": ["ix/2", "ix/1 ", "", 1, None],
    "typ": ["rcpt", "", None, 1],
    "fed": NOT_DIGESTS,
    "id": [
        "", OTHER_ID.upper().replace("0193", "0193AB"), OTHER_ID.replace("-", ""), OTHER_ID.replace("-7", "-4"),
        OTHER_ID.replace("-8", "-c"), OTHER_ID + "\n", "{" + OTHER_ID + "}", "urn:uuid:" + OTHER_ID, 7, None,
    ],
    "ts": NOT_TIMES,
    "exp": NOT_TIMES,
    "from": NOT_AGENCIES,
    "to": NOT_TO,
    "agr": NOT_DIGESTS,
    "type": [*NOT_CODES, "INFO_REQUEST", "receipt"],
    "purpose": NOT_CODES,
    "crime": NOT_CODES,
    "class": [*NOT_CODES, "top_secret"],
    "handling": [[], ["H2", "H2"], ["H3", "H2"], ["H9"], "H2", None, {}, [None], ["H2"] * 5, [["H2"]]],
    "cats": [["data_transport"] * 2, ["person_victim", "data_minor"], ["data_everything"], None, "data_minor", {}, [1]],
    "urgency": NOT_CODES,
    "re": NOT_DIGESTS,
    "by": NOT_DIGESTS,
    "body": NOT_BODIES,
    "att": [None, {}, "", [{}], ["x"], [None]],
    "sig": [None, [], ["Ed25519"], "Ed25519", ["Ed25519", "ML-DSA-44", "RS256"], [1, 2], {}],
}  # fmt: skip


def test_the_sweep_knows_every_member_of_the_manifest(honest: bytes) -> None:
    assert set(ILL_FORMED) == set(payload_of(honest))


@pytest.mark.spec("MSG-1", "MSG-3")
@pytest.mark.parametrize("member", ILL_FORMED)
def test_a_manifest_member_that_is_ill_formed_is_refused(honest: bytes, member: str) -> None:
    for value in ILL_FORMED[member]:
        payload = write_json({**payload_of(honest), member: value})
        refused("envelope_malformed", lambda payload=payload: parse(with_manifest(honest, payload)))


@pytest.mark.spec("MSG-1")
@pytest.mark.parametrize("member", [m for m in ILL_FORMED if m != "re"])
def test_a_manifest_member_that_is_missing_is_refused(honest: bytes, member: str) -> None:
    manifest = payload_of(honest)
    del manifest[member]
    refused("envelope_malformed", lambda: parse_manifest(write_json(manifest)))


@pytest.mark.parametrize("extra", ["subject", "from_", "class_", "alg", "", "__class__", "model_config"])
def test_an_unknown_manifest_member_is_refused(honest: bytes, extra: str) -> None:
    """MSG-1: the budget is closed, also for names Python would know."""
    refused("envelope_malformed", lambda: parse_manifest(write_json({**payload_of(honest), extra: "x"})))


@pytest.mark.parametrize("member", ["ts", "exp"])
@pytest.mark.parametrize("value", NO_SUCH_TIMES)
def test_a_time_that_does_not_exist_is_refused(honest: bytes, member: str, value: str) -> None:
    """MSG-3."""
    refused("envelope_malformed", lambda: parse_manifest(write_json({**payload_of(honest), member: value})))


@pytest.mark.spec("MSG-4")
@pytest.mark.parametrize(
    "value", [["ML-DSA-44", "Ed25519"], ["Ed25519", "Ed25519"], ["Ed25519", "none"], ["ed25519", "ml-dsa-44"]]
)
def test_a_manifest_that_declares_other_signatures_is_refused(honest: bytes, value: list[str]) -> None:
    refused("suite_unknown", lambda: parse_manifest(write_json({**payload_of(honest), "sig": value})))


MANGLED_JSON: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "a member twice": ("malformed", lambda raw: raw[:-1] + b',"v":"ix/1"}'),
    "a member twice, nested": ("malformed", lambda raw: raw.replace(b'"len":', b'"len":1,"len":', 1)),
    "a float": ("malformed", lambda raw: raw.replace(b'"len":', b'"len":1.0e1,"x":', 1)),
    "NaN": ("malformed", lambda raw: raw.replace(b'"att":[]', b'"att":[NaN]', 1)),
    "infinity": ("malformed", lambda raw: raw.replace(b'"att":[]', b'"att":[-Infinity]', 1)),
    "a huge integer": ("malformed", lambda raw: raw.replace(b'"att":[]', b'"att":[9007199254740993]', 1)),
    "half a surrogate pair": ("malformed", lambda raw: raw.replace(b'"att":[]', b'"att":["\\ud800"]', 1)),
    "not UTF-8": ("malformed", lambda raw: raw.replace(b'"att":[]', b'"att":["\xff"]', 1)),
    "UTF-16": ("malformed", lambda raw: raw.decode().encode("utf-16")),
    "a byte order mark": ("malformed", lambda raw: b"\xef\xbb\xbf" + raw),
    "bytes after it": ("malformed", lambda raw: raw + b"{}"),
    "cut short": ("malformed", lambda raw: raw[:-1]),
    "a trailing comma": ("malformed", lambda raw: raw[:-1] + b",}"),
    "a comment": ("malformed", lambda raw: raw[:-1] + b"/* */}"),
    "single quotes": ("malformed", lambda raw: raw.replace(b'"', b"'")),
    "nothing": ("malformed", lambda raw: b""),
    "too deep": ("too_large", lambda raw: raw.replace(b'"att":[]', b'"att":' + b"[" * 40 + b"]" * 40, 1)),
    "far too deep": ("too_large", lambda raw: raw.replace(b'"att":[]', b'"att":' + b"[" * 5000 + b"]" * 5000, 1)),
    "too long": ("too_large", lambda raw: raw[:-1] + b" " * MAX_MANIFEST + b"}"),
    "a list": ("envelope_malformed", lambda raw: b"[]"),
    "a number": ("envelope_malformed", lambda raw: b"1"),
    "null": ("envelope_malformed", lambda raw: b"null"),
}


@pytest.mark.parametrize("how", MANGLED_JSON)
def test_a_manifest_that_is_not_strict_json_is_refused(honest: bytes, how: str) -> None:
    """MSG-3: before anything in it is believed."""
    code, mangle = MANGLED_JSON[how]
    refused(code, lambda: parse(with_manifest(honest, mangle(parse(honest).statement.payload))))


# --- the envelope, ill-formed ---------------------------------------------------------------------------------


def edited(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    value = json.loads(data)
    change(value)
    return write_json(value)


def put(*path: str | int, to: Any) -> Callable[[dict[str, Any]], object]:
    """Set one place of an envelope."""

    def change(value: Any) -> None:
        for step in path[:-1]:
            value = value[step]
        value[path[-1]] = to

    return change


def header(**changes: Any) -> str:
    """A protected header; None leaves a member out."""
    members = {"alg": "Ed25519", "kid": OTHER, "typ": "ix-msg+jws", **changes}
    return b64u(write_json({name: value for name, value in members.items() if value is not None}))


ENVELOPE_SHAPES: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "an unknown member": ("envelope_malformed", put("note", to="x")),
    "no payload": ("envelope_malformed", lambda e: e.pop("payload")),
    "no signatures": ("envelope_malformed", lambda e: e.pop("signatures")),
    "no sealed part": ("envelope_malformed", lambda e: e.pop("sealed")),
    "a payload that is an object": ("malformed", put("payload", to={})),
    "a payload with padding": ("malformed", lambda e: put("payload", to=e["payload"] + "=")(e)),
    "a payload in standard base64": ("malformed", lambda e: put("payload", to=e["payload"][:-2] + "+/")(e)),
    "a payload with white space": (
        "malformed",
        lambda e: put("payload", to=e["payload"][:40] + "\n" + e["payload"][40:])(e),
    ),
    "signatures in an object": ("malformed", put("signatures", to={})),
    "a signature with a header": ("malformed", put("signatures", 0, "header", to={})),
    "a signature without its value": ("malformed", lambda e: e["signatures"][0].pop("signature")),
    "a signature that is null": ("malformed", put("signatures", 0, to=None)),
    "a protected header that is not JSON": ("malformed", put("signatures", 0, "protected", to=b64u(b"x"))),
    "a protected header with more": (
        "malformed",
        put("signatures", 0, "protected", to=header(crit=[])),
    ),
    "a protected header without typ": (
        "malformed",
        put("signatures", 0, "protected", to=header(typ=None)),
    ),
    "one signature stripped": ("wrong_algorithm", lambda e: e["signatures"].pop()),
    "the other signature stripped": ("wrong_algorithm", lambda e: e["signatures"].pop(0)),
    "all signatures stripped": ("wrong_algorithm", put("signatures", to=[])),
    "signatures swapped": ("wrong_algorithm", lambda e: e["signatures"].reverse()),
    "Ed25519 twice": ("wrong_algorithm", lambda e: put("signatures", 1, to=e["signatures"][0])(e)),
    "ML-DSA twice": ("wrong_algorithm", lambda e: put("signatures", 0, to=e["signatures"][1])(e)),
    "algorithm none": (
        "wrong_algorithm",
        put("signatures", 0, "protected", to=header(alg="none")),
    ),
    "an odd number of signatures": ("wrong_algorithm", lambda e: e["signatures"].append(e["signatures"][0])),
    "another suite": ("suite_unknown", put("sealed", "suite", to="0020-0001-0002")),
    "a suite that is null": ("suite_unknown", put("sealed", "suite", to=None)),
    "an unknown sealed member": ("envelope_malformed", put("sealed", "tag", to="x")),
    "no keys": ("envelope_malformed", put("sealed", "keys", to=[])),
    "keys in an object": ("envelope_malformed", put("sealed", "keys", to={})),
    "a key that is null": ("envelope_malformed", put("sealed", "keys", 0, to=None)),
    "a key with a header": ("envelope_malformed", put("sealed", "keys", 0, "header", to={})),
    "a wrap that is a number": ("envelope_malformed", put("sealed", "keys", 0, "wrap", to=1)),
    "a wrap that is not base64url": ("malformed", put("sealed", "keys", 0, "wrap", to="***")),
    "too many keys": ("envelope_malformed", lambda e: put("sealed", "keys", to=e["sealed"]["keys"] * 21)(e)),
    "a body that is null": ("envelope_malformed", put("sealed", "body", to=None)),
    "a body that is not base64url": ("malformed", put("sealed", "body", to="a===")),
}


@pytest.mark.spec("MSG-2", "MSG-4")
@pytest.mark.parametrize("how", ENVELOPE_SHAPES)
def test_an_envelope_of_another_shape_is_refused(honest: bytes, how: str) -> None:
    code, change = ENVELOPE_SHAPES[how]
    refused(code, lambda: parse(edited(honest, change)))


@pytest.mark.spec("MSG-2")
def test_an_envelope_that_is_not_strict_json_or_too_big_is_refused(honest: bytes) -> None:
    for code, data in (
        ("malformed", honest[:-1] + b',"sealed":{}}'),
        ("malformed", honest[:-1]),
        ("malformed", honest + honest),
        ("malformed", b"\x00" + honest),
        ("envelope_malformed", b"[]"),
        ("envelope_malformed", b'"payload"'),
        ("too_large", honest[:-1] + b" " * MAX_ENVELOPE + b"}"),
        ("too_large", b"[" * 100_000),
    ):
        refused(code, lambda data=data: parse(data))


def test_order_of_members_and_white_space_carry_no_meaning(on: Stage, honest: bytes) -> None:
    """MSG-2, MSG-3."""
    value = json.loads(honest)
    turned = json.dumps({name: value[name] for name in reversed(value)}, indent=1).encode()
    assert parse(turned).digest == parse(honest).digest
    verify(parse(turned), on.directory, NOW)
    backwards = write_json(dict(reversed(payload_of(honest).items())))
    assert parse_manifest(backwards) == parse(honest).manifest


# --- nobody can speak in another's name -----------------------------------------------------------------------

# For every member: a value that is well-formed and different.
WELL_FORMED: dict[str, Any] = {
    "fed": OTHER,
    "id": OTHER_ID,
    "ts": stamp(NOW + timedelta(seconds=1)),
    "exp": stamp(NOW + timedelta(days=8)),
    "from": SOUTH,
    "to": [{"id": NGO, "kid": OTHER, "wrap": OTHER}],
    "agr": OTHER,
    "type": "safety_notice",
    "purpose": "prosecute",
    "crime": "terrorism",
    "class": "unclassified",
    "handling": ["H0"],
    "cats": [],
    "urgency": "u_direct",
    "re": OTHER,
    "by": OTHER,
    "body": GOOD_BODY,
}
FIXED = {"v", "typ", "att", "sig"}
"""Members that have one value only."""


def test_the_sweeps_know_every_member(honest: bytes) -> None:
    assert set(WELL_FORMED) | FIXED == set(payload_of(honest))


@pytest.mark.spec("MSG-9", "MSG-5")
@pytest.mark.parametrize("member", WELL_FORMED)
def test_a_manifest_changed_after_signing_is_refused(on: Stage, honest: bytes, member: str) -> None:
    manifest = payload_of(honest)
    assert manifest[member] != WELL_FORMED[member]
    altered = parse(with_manifest(honest, write_json({**manifest, member: WELL_FORMED[member]})))
    code = {"fed": "federation_mismatch", "from": "key_not_theirs"}.get(member, "signature_invalid")
    refused(code, lambda: verify(altered, on.directory, NOW))


def test_even_white_space_in_a_manifest_is_signed(on: Stage, honest: bytes) -> None:
    """MSG-9: the bytes that were signed are the bytes that count."""
    spaced = parse(with_manifest(honest, json.dumps(payload_of(honest)).encode()))
    refused("signature_invalid", lambda: verify(spaced, on.directory, NOW))


def bit_flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.spec("MSG-6", "MSG-9")
@pytest.mark.parametrize(
    ("path", "code"),
    [
        (("signatures", 0, "signature"), "signature_invalid"),
        (("signatures", 1, "signature"), "signature_invalid"),
        (("sealed", "keys", 0, "wrap"), "seal_mismatch"),
        (("sealed", "body"), "seal_mismatch"),
    ],
)
def test_a_flipped_bit_anywhere_in_signatures_and_sealed_part_is_refused(
    on: Stage, honest: bytes, path: tuple[str | int, ...], code: str
) -> None:
    value: Any = json.loads(honest)
    for step in path:
        value = value[step]
    raw = unb64u(value)
    for at in {0, 1, len(raw) // 3, len(raw) // 2, len(raw) - 1}:
        altered = parse(edited(honest, put(*path, to=b64u(bit_flipped(raw, at)))))
        refused(code, lambda altered=altered: verify(altered, on.directory, NOW))


@pytest.mark.parametrize("which", [0, 1])
def test_a_signature_of_another_length_is_refused(on: Stage, honest: bytes, which: int) -> None:
    """MSG-9."""
    value = unb64u(json.loads(honest)["signatures"][which]["signature"])
    for raw in (b"", value[:-1], value + b"\0", bytes(len(value))):
        altered = parse(edited(honest, put("signatures", which, "signature", to=b64u(raw))))
        refused("signature_invalid", lambda altered=altered: verify(altered, on.directory, NOW))


@pytest.mark.spec("MSG-9")
@pytest.mark.parametrize("typ", [typ for typ in Typ if typ is not Typ.MESSAGE])
def test_a_statement_signed_for_something_else_is_no_message(on: Stage, typ: Typ) -> None:
    refused("wrong_typ", lambda: verify(parse(Forge(typ=typ).strike(on)), on.directory, NOW))


def test_one_signature_of_the_pair_for_something_else_is_refused(on: Stage, honest: bytes) -> None:
    """MSG-9: each half says what it is for."""
    receipt = json.loads(Forge(typ=Typ.RECEIPT).strike(on))
    for which in (0, 1):
        mixed = parse(edited(honest, put("signatures", which, to=receipt["signatures"][which])))
        refused("wrong_typ", lambda mixed=mixed: verify(mixed, on.directory, NOW))


@pytest.mark.spec("MSG-9")
def test_a_key_of_another_agency_cannot_sign(on: Stage) -> None:
    forged = parse(Forge(signer=on[FIU].signer).strike(on))
    refused("key_not_theirs", lambda: verify(forged, on.directory, NOW))


def test_a_key_that_nobody_enrolled_cannot_sign(on: Stage) -> None:
    """MSG-9."""
    forged = parse(Forge(signer=signer("a stranger")).strike(on))
    refused("key_unknown", lambda: verify(forged, on.directory, NOW))


def test_half_of_a_pair_by_another_agency_is_refused(on: Stage, honest: bytes) -> None:
    """MSG-9: both signatures are the sender's."""
    theirs = json.loads(Forge(signer=on[FIU].signer).strike(on))
    for which in (0, 1):
        mixed = parse(edited(honest, put("signatures", which, to=theirs["signatures"][which])))
        refused("key_not_theirs", lambda mixed=mixed: verify(mixed, on.directory, NOW))


@pytest.mark.parametrize("kid", ["opening", "transport", "other"])
def test_a_kid_that_is_not_a_signing_key_is_refused(on: Stage, honest: bytes, kid: str) -> None:
    """MSG-9: an encryption or transport key signs no message, nor does a key that is nowhere listed."""
    named = {"opening": on[NORTH].opening.public.kid, "transport": on[NORTH].transport.public.kid, "other": OTHER}[kid]
    altered = parse(edited(honest, put("signatures", 0, "protected", to=header(kid=named))))
    refused("key_unknown" if kid == "other" else "key_not_valid", lambda: verify(altered, on.directory, NOW))


def test_an_algorithm_label_on_the_other_algorithms_key_is_refused(on: Stage, honest: bytes) -> None:
    """MSG-4: a kid is a key of one algorithm."""
    named = on[NORTH].signer.public.mldsa44.kid
    altered = parse(edited(honest, put("signatures", 0, "protected", to=header(kid=named))))
    refused("wrong_algorithm", lambda: verify(altered, on.directory, NOW))


@pytest.mark.spec("MSG-9")
def test_a_revoked_key_signs_nothing_after_its_revocation(on: Stage, honest: bytes) -> None:
    directory = on.without_keys_of(NORTH, NOW)
    verify(parse(honest), directory, NOW - timedelta(seconds=1))
    refused("key_not_valid", lambda: verify(parse(honest), directory, NOW + timedelta(seconds=1)))


def test_a_sender_nobody_enrolled_is_refused(on: Stage, honest: bytes) -> None:
    """MSG-9."""
    altered = parse(resigned(honest, on, put("from", to="nobody.sim")))
    refused("agency_unknown", lambda: verify(altered, on.directory, NOW))


@pytest.mark.spec("MSG-4", "MSG-9")
def test_a_second_signer_is_refused(on: Stage, honest: bytes) -> None:
    both = cosign(parse(honest).statement, on[FIU].signer, Typ.MESSAGE)
    two = write_json({**both.to_json(), "sealed": json.loads(honest)["sealed"]})
    refused("suite_unknown", lambda: verify(parse(two), on.directory, NOW))


@pytest.mark.spec("MSG-10", "MSG-21")
def test_a_stolen_envelope_signed_again_in_the_thiefs_name_opens_for_nobody(on: Stage, honest: bytes) -> None:
    stolen = resigned(honest, on, put("from", to=FIU), by=FIU)
    verify(parse(stolen), on.directory, NOW)  # the thief's own signature is good; so the broker would log it
    refused("unsealing_failed", lambda: opened(on, stolen))


def test_a_stolen_envelope_signed_again_in_the_owners_name_is_refused(on: Stage, honest: bytes) -> None:
    """MSG-9: the thief has no key of the owner."""
    stolen = parse(resigned(honest, on, lambda m: None, by=FIU))
    refused("key_not_theirs", lambda: verify(stolen, on.directory, NOW))


# --- the sender itself cheats: everything well signed ----------------------------------------------------------


def retargeted(on: Stage, honest: bytes, agency: str) -> bytes:
    """The recipient's wrap, said to be for another agency's key."""
    kid = on[agency].opening.public.kid
    moved = resigned(honest, on, lambda m: m["to"][0].update(id=agency, kid=kid))
    return edited(moved, put("sealed", "keys", 0, "kid", to=kid))


@pytest.mark.spec("MSG-21")
def test_a_wrap_pointed_at_another_agency_opens_for_nobody(on: Stage, honest: bytes) -> None:
    moved = retargeted(on, honest, NGO)
    verify(parse(moved), on.directory, NOW)
    refused("unsealing_failed", lambda: opened(on, moved, NGO))
    refused("not_addressed", lambda: opened(on, moved, SOUTH))


@pytest.mark.spec("MSG-9")
def test_a_recipient_with_a_key_that_is_not_its_own_is_refused(on: Stage, honest: bytes) -> None:
    def set_kid(kid: str) -> bytes:
        return edited(
            resigned(honest, on, lambda m: m["to"][0].update(kid=kid)), put("sealed", "keys", 0, "kid", to=kid)
        )

    for kid, code in (
        (on[NGO].opening.public.kid, "key_not_theirs"),
        (on[SOUTH].signer.public.ed25519.kid, "key_not_valid"),
        (OTHER, "key_unknown"),
    ):
        refused(code, lambda kid=kid: verify(parse(set_kid(kid)), on.directory, NOW))
    nobody = resigned(honest, on, lambda m: m["to"][0].update(id="nobody.sim"))
    refused("agency_unknown", lambda: verify(parse(nobody), on.directory, NOW))


@pytest.mark.spec("MSG-6")
@pytest.mark.parametrize(
    ("how", "change"),
    [
        ("kid", lambda e: put("sealed", "keys", 0, "kid", to=OTHER)(e)),
        ("order", lambda e: e["sealed"]["keys"].reverse()),
        ("one fewer", lambda e: e["sealed"]["keys"].pop()),
        ("one more", lambda e: e["sealed"]["keys"].append(e["sealed"]["keys"][0])),
        ("the other's wrap", lambda e: put("sealed", "keys", 0, "wrap", to=e["sealed"]["keys"][1]["wrap"])(e)),
    ],
)
def test_wraps_other_than_those_signed_for_are_refused(
    on: Stage, how: str, change: Callable[[dict[str, Any]], object]
) -> None:
    altered = parse(edited(on.compose(SMALL, (SOUTH, NGO)), change))
    refused("seal_mismatch", lambda: verify(altered, on.directory, NOW))


@pytest.mark.spec("MSG-6")
def test_a_recipient_checks_the_sealed_bytes_itself(on: Stage, honest: bytes) -> None:
    parcel = on.deliver(honest)
    refused("seal_mismatch", lambda: opened(on, honest, wrap=bit_flipped(parcel.wrap, 5)))
    refused("seal_mismatch", lambda: opened(on, honest, body=bit_flipped(parcel.body, 5)))
    refused("seal_mismatch", lambda: opened(on, honest, body=parcel.body + b"\0"))


@pytest.mark.spec("MSG-6", "MSG-15")
@pytest.mark.parametrize("member", ["sha256", "len", "commit"])
def test_each_member_of_the_body_is_checked_on_its_own(on: Stage, honest: bytes, member: str) -> None:
    wrong = {"sha256": OTHER, "len": payload_of(honest)["body"]["len"] + 1, "commit": OTHER}[member]
    changed = resigned(honest, on, put("body", member, to=wrong))
    if member == "commit":
        verify(parse(changed), on.directory, NOW)
        refused("commitment_mismatch", lambda: opened(on, changed))
        return
    refused("seal_mismatch", lambda: verify(parse(changed), on.directory, NOW))
    refused("seal_mismatch", lambda: opened(on, changed))


RESIGNED = {
    # member: what a recipient says when its sender declares something else, and the log agrees with the sender
    "fed": "federation_mismatch",
    "id": "unsealing_failed",
    "ts": None,
    "exp": None,
    "from": "key_not_theirs",
    "to": "not_addressed",
    "agr": "unsealing_failed",
    "type": "misdeclared",
    "purpose": None,
    "crime": None,
    "class": None,
    "handling": None,
    "cats": "misdeclared",
    "urgency": "misdeclared",
    "re": None,
    "by": None,
    "body": "seal_mismatch",
}
"""None: a member that is the sender's to choose in this message; its signature stands for it."""


@pytest.mark.parametrize("member", WELL_FORMED)
def test_a_member_the_sender_changes_under_its_own_signature(on: Stage, honest: bytes, member: str) -> None:
    """MSG-27: whoever signs answers for it, and what must fit the seal or the content is checked against it."""
    changed = resigned(honest, on, put(member, to=WELL_FORMED[member]))
    code = RESIGNED[member]
    if code is None:
        assert opened(on, changed).content == parse_content(SMALL)
    else:
        refused(code, lambda: opened(on, changed))


@pytest.mark.spec("MSG-22")
def test_two_recipients_cannot_be_given_different_content_keys(on: Stage) -> None:
    forged = Forge(to=(SOUTH, NGO), content_keys=[b"1" * 32, b"2" * 32]).strike(on)
    verify(parse(forged), on.directory, NOW)
    assert opened(on, forged, SOUTH).content == parse_content(SMALL)
    refused("key_commitment_mismatch", lambda: opened(on, forged, NGO))


LONG = content_of({**json.loads(SMALL), "handling_text": "x" * 8000, "entities": [
    {"kind": "transport", "id": f"t{n}", "assertion": "fact", "means": "van", "note": "y" * 900} for n in range(60)
]})  # fmt: skip
FULL = CHUNK + TAG


def chunk(body: bytes, n: int) -> bytes:
    return body[HEADER + n * FULL : HEADER + (n + 1) * FULL]


BODIES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "another salt": ("key_commitment_mismatch", lambda b: bit_flipped(b, 0)),
    "another commitment": ("key_commitment_mismatch", lambda b: bit_flipped(b, 30)),
    "first chunk altered": ("body_damaged", lambda b: bit_flipped(b, HEADER)),
    "second chunk altered": ("body_damaged", lambda b: bit_flipped(b, HEADER + FULL + 9)),
    "last tag altered": ("body_damaged", lambda b: bit_flipped(b, len(b) - 1)),
    "last byte gone": ("body_damaged", lambda b: b[:-1]),
    "last chunk gone": ("body_damaged", lambda b: b[: HEADER + FULL * ((len(b) - HEADER) // FULL)]),
    "last two chunks gone": ("body_damaged", lambda b: b[: HEADER + FULL]),
    "first chunk gone": ("body_damaged", lambda b: b[:HEADER] + b[HEADER + FULL :]),
    "chunks swapped": ("body_damaged", lambda b: b[:HEADER] + chunk(b, 1) + chunk(b, 0) + b[HEADER + 2 * FULL :]),
    "a chunk twice": ("body_damaged", lambda b: b[: HEADER + FULL] + b[HEADER:]),
    "a byte more": ("body_damaged", lambda b: b + b"\0"),
    "an empty chunk more": ("body_damaged", lambda b: b + bytes(16)),
    "header alone": ("body_damaged", lambda b: b[:HEADER]),
    "less than a header": ("body_damaged", lambda b: b[:20]),
    "one byte": ("body_damaged", lambda b: b[:1]),
}  # fmt: skip


@pytest.mark.spec("MSG-14", "MSG-22", "MSG-23")
@pytest.mark.parametrize("how", BODIES)
def test_a_damaged_body_under_a_good_signature_is_refused(on: Stage, how: str) -> None:
    code, damage = BODIES[how]
    forged = Forge(content=LONG, body=damage).strike(on)
    verify(parse(forged), on.directory, NOW)
    refused(code, lambda: opened(on, forged))


WRAPS: dict[str, Callable[[bytes], bytes]] = {
    "ML-KEM part altered": lambda w: bit_flipped(w, 0),
    "X25519 part altered": lambda w: bit_flipped(w, 1100),
    "sealed key altered": lambda w: bit_flipped(w, 1130),
    "tag altered": lambda w: bit_flipped(w, 1167),
    "a byte short": lambda w: w[:-1],
    "a byte long": lambda w: w + b"\0",
    "zeros": lambda w: bytes(1168),
    "empty": lambda w: b"",
}


@pytest.mark.spec("MSG-21", "MSG-11")
@pytest.mark.parametrize("how", WRAPS)
def test_a_damaged_wrap_under_a_good_signature_is_refused(on: Stage, how: str) -> None:
    refused("unsealing_failed", lambda: opened(on, Forge(wrap=WRAPS[how]).strike(on)))


@pytest.mark.spec("MSG-21")
@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_wrap_that_holds_no_content_key_is_refused(on: Stage, length: int) -> None:
    forged = Forge(content_keys=[b"k" * 32]).strike(on)
    short = on[SOUTH].opening.public.wrap(b"k" * length, context_of(parse(forged).manifest))
    refused("unsealing_failed", lambda: opened(on, Forge(content_keys=[b"k" * 32], wrap=lambda _: short).strike(on)))


def laid_out(
    k: bytes, content: bytes, length: int | None = None, total: int | None = None, fill: bytes = b"\0"
) -> bytes:
    plain = k + (len(content) if length is None else length).to_bytes(4, "big") + content
    return plain.ljust(padded_length(len(plain)) if total is None else total, fill)


PADDINGS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "not zero": lambda k, c: laid_out(k, c, fill=b"\1"),
    "one byte not zero": lambda k, c: laid_out(k, c)[:-1] + b"\1",
    "none": lambda k, c: laid_out(k, c, total=0),
    "one byte short": lambda k, c: laid_out(k, c)[:-1],
    "one byte long": lambda k, c: laid_out(k, c) + b"\0",
    "doubled": lambda k, c: laid_out(k, c, total=2 * padded_length(36 + len(c))),
    "a length beyond the end": lambda k, c: laid_out(k, c, length=2**32 - 1),
    "a length past the padding": lambda k, c: laid_out(k, c, length=padded_length(36 + len(c)) - 35),
    "a length too small": lambda k, c: laid_out(k, c, length=len(c) - 1),
    "a length of nothing": lambda k, c: laid_out(k, c, length=0),
    "a plaintext too short for any": lambda k, c: bytes(40),
    "no plaintext": lambda k, c: b"",
}


@pytest.mark.spec("MSG-12", "MSG-13", "MSG-24")
@pytest.mark.parametrize("how", PADDINGS)
def test_a_plaintext_laid_out_otherwise_is_refused(on: Stage, how: str) -> None:
    refused("padding_invalid", lambda: opened(on, Forge(content=LONG, plaintext=PADDINGS[how]).strike(on)))


@pytest.mark.spec("MSG-25", "MSG-16")
def test_a_commitment_to_another_text_is_refused(on: Stage) -> None:
    refused("commitment_mismatch", lambda: opened(on, Forge(commitment=bytes(32)).strike(on)))
    swapped = Forge(plaintext=lambda k, c: laid_out(b"\7" * 32, c)).strike(on)
    refused("commitment_mismatch", lambda: opened(on, swapped))
    other = SMALL.replace(b"grey van", b"blue van")
    refused("commitment_mismatch", lambda: opened(on, Forge(plaintext=lambda k, c: laid_out(k, other)).strike(on)))


@pytest.mark.spec("MSG-30")
@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"hello", SMALL + b" {}", SMALL.replace(b'"simulation":true', b'"simulation":false'), b"\xff"],
)
def test_a_content_that_is_no_case_message_is_refused_after_every_seal_is_good(on: Stage, content: bytes) -> None:
    commitment = _commitment_for(on, content)  # to the bytes that are really sealed
    forged = Forge(plaintext=lambda k, _: laid_out(k, content), commitment=commitment)
    refused("content_malformed", lambda: opened(on, forged.strike(on)))


def _commitment_for(on: Stage, content: bytes) -> bytes:
    chance = Repeatable("forge")
    _, k = chance(32), chance(32)
    return commit(k, context_of(parse(Forge().strike(on)).manifest), content)


# --- what is declared is what is inside ------------------------------------------------------------------------


@pytest.mark.spec("MSG-31", "CNT-61")
@pytest.mark.parametrize("category", Category)
def test_a_category_declared_in_vain_is_refused(on: Stage, honest: bytes, category: Category) -> None:
    if category == Category.DATA_TRANSPORT:
        return
    declared = sorted(["data_transport", category])
    refusal = refused("misdeclared", lambda: opened(on, resigned(honest, on, put("cats", to=declared))))
    assert category in refusal.sentence


@pytest.mark.spec("MSG-31", "CNT-61")
def test_a_category_hidden_is_refused(on: Stage) -> None:
    content = content_of({**json.loads(SMALL), "entities": [
        {"kind": "person", "id": "p1", "assertion": "fact", "category": "victim", "minor": True},
        {"kind": "transport", "id": "t1", "assertion": "fact", "means": "van"},
    ]})  # fmt: skip
    data = on.compose(content)
    cats = payload_of(data)["cats"]
    assert cats == ["data_minor", "data_transport", "person_victim"]
    for hidden in cats:
        less = resigned(data, on, put("cats", to=[c for c in cats if c != hidden]))
        refusal = refused("misdeclared", lambda less=less: opened(on, less))
        assert hidden in refusal.sentence


@pytest.mark.spec("MSG-31", "CNT-61", "CNT-7")
def test_a_request_must_be_declared_with_its_own_purpose_crime_urgency_and_restriction(
    on: Stage, repository: Any
) -> None:
    content = write_content(parse_content((repository / "exercises/samples/smuggling_route_request.json").read_bytes()))
    data = on.compose(content, re=None)
    assert opened(on, data).content.question is not None
    for member, value in (
        ("purpose", "prosecute"),
        ("crime", "terrorism"),
        ("urgency", "none"),
        ("urgency", "normal"),
        ("handling", ["H2"]),
        ("type", "spontaneous_info"),
    ):
        refusal = refused(
            "misdeclared",
            lambda member=member, value=value: opened(on, resigned(data, on, put(member, to=value))),
        )
        assert f"`{member}`" in refusal.sentence
    assert opened(on, resigned(data, on, put("class", to="secret"))).content.question is not None


@pytest.mark.spec("CNT-7", "CNT-61")
def test_an_answer_must_name_what_it_answers(on: Stage, repository: Any) -> None:
    content = write_content(parse_content((repository / "exercises/samples/refusal.json").read_bytes()))
    refused("misdeclared", lambda: on.compose(content, re=None))
    data = on.compose(content)
    refused("misdeclared", lambda: opened(on, resigned(data, on, lambda m: m.pop("re"))))


@pytest.mark.spec("VOC-4")
def test_all_handling_codes_may_stand_together_in_order(on: Stage) -> None:
    content = content_of({**json.loads(SMALL), "handling_text": "Only for the desk named."})
    data = on.compose(content, handling=("H3", "H0", "H2", "H1"))
    assert opened(on, data).manifest.handling == tuple(Handling)


# --- time, replay, log -----------------------------------------------------------------------------------------


@pytest.mark.spec("MSG-7")
def test_a_message_is_refused_from_its_expiry_on(on: Stage, honest: bytes) -> None:
    expiry = parse(honest).manifest.expires_at
    opened(on, honest, now=expiry - timedelta(milliseconds=1))
    refused("message_expired", lambda: opened(on, honest, now=expiry))
    refused("message_expired", lambda: verify_times(parse(honest).manifest, expiry))


@pytest.mark.spec("MSG-8")
def test_a_message_from_the_future_or_that_lives_too_long_is_refused(on: Stage, honest: bytes) -> None:
    manifest = parse(honest).manifest
    verify_times(manifest, NOW - timedelta(minutes=5))
    refused("message_time", lambda: verify_times(manifest, NOW - timedelta(minutes=5, milliseconds=1)))
    lives = parse(resigned(honest, on, put("exp", to=stamp(NOW + timedelta(days=30))))).manifest
    verify_times(lives, NOW)
    for exp in (NOW + timedelta(days=30, milliseconds=1), NOW + timedelta(days=4000)):
        long = parse(resigned(honest, on, put("exp", to=stamp(exp)))).manifest
        refused("message_time", lambda long=long: verify_times(long, NOW))
    backwards = parse(resigned(honest, on, put("ts", to=stamp(NOW + timedelta(minutes=2))))).manifest
    reversed_ = parse(resigned(honest, on, put("exp", to=stamp(NOW + timedelta(minutes=1))))).manifest
    verify_times(backwards, NOW)
    both = reversed_.model_copy(update={"ts": backwards.ts})
    refused("message_time", lambda: verify_times(both, NOW))


@pytest.mark.spec("MSG-26")
def test_a_message_received_before_is_refused(on: Stage, honest: bytes) -> None:
    name = parse(honest).digest
    refused("already_received", lambda: opened(on, honest, seen={name}))
    refused("already_received", lambda: opened(on, honest, seen=lambda one: one == name))
    assert opened(on, honest, seen={OTHER}).digest == name


@pytest.mark.spec("MSG-20")
def test_a_message_to_others_is_refused(on: Stage, honest: bytes) -> None:
    refused("not_addressed", lambda: opened(on, honest, NGO))


@pytest.mark.spec("MSG-20")
def test_a_message_to_a_key_i_no_longer_hold_is_refused(on: Stage, honest: bytes) -> None:
    parcel = on.deliver(honest)
    refused(
        "not_addressed",
        lambda: open_parcel(
            parcel, me=SOUTH, opening_keys=on[NGO].keys, directory=on.directory, log=on.log.identity, now=LATER
        ),
    )


def entry_of(data: bytes, manifest: dict[str, Any] | None = None, msg: str | None = None) -> bytes:
    envelope = parse(data)
    said = envelope.manifest if manifest is None else parse_manifest(write_json(manifest))
    clauses = [["c1"]] * len(said.to)
    return disclosure_entry(said, msg or envelope.digest, clauses, POLICY, NOW + timedelta(seconds=1))


LOGGED = ("id", "from", "to", "agr", "type", "purpose", "crime", "class", "handling", "cats", "urgency", "re")


@pytest.mark.spec("MSG-19", "MSG-18")
@pytest.mark.parametrize("member", LOGGED)
def test_an_entry_that_says_something_else_is_refused(on: Stage, honest: bytes, member: str) -> None:
    lying = entry_of(honest, {**payload_of(honest), member: WELL_FORMED[member]})
    refused("proof_mismatch", lambda: opened(on, honest, entry=lying, proof=on.prove(lying)))


@pytest.mark.spec("MSG-19")
def test_an_entry_about_another_message_or_of_another_kind_is_refused(on: Stage, honest: bytes) -> None:
    other = entry_of(honest, msg=OTHER)
    refused("proof_mismatch", lambda: opened(on, honest, entry=other, proof=on.prove(other)))
    manifest = parse(honest)
    denial = denial_entry(manifest.manifest, manifest.digest, [("no_clause", None)], "no_clause", POLICY, NOW)
    refused("proof_mismatch", lambda: opened(on, honest, entry=denial, proof=on.prove(denial)))
    refused("proof_mismatch", lambda: opened(on, honest, seq=2))


@pytest.mark.spec("MSG-19")
def test_a_message_that_was_not_logged_is_refused(on: Stage, honest: bytes) -> None:
    entry = entry_of(honest)
    elsewhere = on.prove(entry_of(honest, msg=OTHER))
    with pytest.raises(Refusal) as caught:
        opened(on, honest, entry=entry, proof=elsewhere)
    assert caught.value.code not in {"proof_mismatch", "signature_invalid"}
    for proof in ("", on.prove(entry)[:-30], on.prove(entry).replace("index 1", "index 0")):
        with pytest.raises(Refusal):
            opened(on, honest, proof=proof)
    with pytest.raises(Refusal):
        opened(on, honest, entry=entry[:-1])


@pytest.mark.spec("MSG-9")
def test_a_recipient_judges_keys_at_the_time_of_the_entry(on: Stage, honest: bytes) -> None:
    directory = on.without_keys_of(NORTH, NOW + timedelta(hours=1))
    tomorrow = NOW + timedelta(days=1)

    def look(entry: bytes) -> Any:
        return open_parcel(
            on.deliver(honest, entry=entry),
            me=SOUTH,
            opening_keys=on[SOUTH].keys,
            directory=directory,
            log=on.log.identity,
            now=tomorrow,
        )

    assert look(entry_of(honest)).content == parse_content(SMALL)
    envelope = parse(honest)
    after = disclosure_entry(envelope.manifest, envelope.digest, [["c1"]], POLICY, NOW + timedelta(hours=2))
    refused("key_not_valid", lambda: look(after))


# --- order ------------------------------------------------------------------------------------------------------


@pytest.mark.spec("MSG-27", "MSG-28", "MSG-29")
def test_the_first_check_that_fails_gives_the_code(on: Stage, honest: bytes) -> None:
    """A message with every fault at once, healed one by one from the first check to the last."""
    expired = NOW + timedelta(days=9)
    name = parse(honest).digest
    parcel = on.deliver(honest)
    foreign = resigned(honest, on, put("fed", to=OTHER), by=FIU)
    by_thief = resigned(honest, on, lambda m: None, by=FIU)

    def late(data: bytes, me: str = SOUTH, **changes: Any) -> Callable[[], object]:
        return lambda: opened(on, data, me, now=expired, **changes)

    def forged(**wrong: Any) -> Callable[[], object]:
        return late(Forge(**wrong).strike(on))

    undeclared = resigned(honest, on, put("cats", to=[]))
    bad_padding = PADDINGS["not zero"]
    steps: list[tuple[str, Callable[[], object]]] = [
        ("proof_mismatch", late(foreign, NGO, entry=entry_of(foreign, msg=OTHER))),
        ("federation_mismatch", late(foreign, NGO)),
        ("key_not_theirs", late(by_thief, NGO)),
        ("not_addressed", late(honest, NGO, wrap=b"x")),
        ("seal_mismatch", late(honest, wrap=bit_flipped(parcel.wrap, 0), body=b"x")),
        ("seal_mismatch", late(honest, body=b"x", seen={name})),
        ("unsealing_failed", forged(wrap=lambda w: bit_flipped(w, 0), body=lambda b: b[:9])),
        ("body_damaged", forged(body=lambda b: bit_flipped(b, 0)[:60])),
        ("key_commitment_mismatch", forged(body=lambda b: bit_flipped(bit_flipped(b, 0), HEADER))),
        ("body_damaged", forged(body=lambda b: bit_flipped(b, HEADER), plaintext=bad_padding)),
        ("padding_invalid", forged(plaintext=bad_padding, commitment=bytes(32))),
        ("commitment_mismatch", forged(commitment=bytes(32))),
        ("message_expired", late(undeclared, seen=lambda _: True)),
        ("already_received", lambda: opened(on, undeclared, seen=lambda _: True)),
        ("misdeclared", lambda: opened(on, undeclared)),
    ]
    for code, act in steps:
        refused(code, act)


def test_codes_of_the_recipients_checks_differ(on: Stage) -> None:
    """MSG-27: whoever reads a rejected receipt knows which check failed."""
    codes = [r.code for r in _refusals(Refusal)]
    assert len(codes) == len(set(codes))


def _refusals(base: type[Refusal]) -> list[type[Refusal]]:
    found = []
    for one in base.__subclasses__():
        found += [one, *_refusals(one)]
    return found


# --- parcels ----------------------------------------------------------------------------------------------------


@pytest.mark.spec("MSG-18")
def test_a_parcel_comes_back_from_its_json(on: Stage, honest: bytes) -> None:
    parcel = on.deliver(honest)
    item = json.loads(write_json(parcel.to_json()))
    assert Parcel.from_json(item) == parcel
    assert set(item) == {"kind", "seq", "payload", "signatures", "wrap", "body", "entry", "proof"}


@pytest.mark.spec("MSG-18")
def test_a_parcel_of_another_shape_is_refused(on: Stage, honest: bytes) -> None:
    item = on.deliver(honest).to_json()
    for member in item:
        less = {name: value for name, value in item.items() if name != member}
        refused("envelope_malformed", lambda less=less: Parcel.from_json(less))
        code = "malformed" if member in ("payload", "signatures") else "envelope_malformed"
        for wrong in (None, 1.5, {}, True):
            refused(code, lambda less={**item, member: wrong}: Parcel.from_json(less))
    refused("envelope_malformed", lambda: Parcel.from_json({**item, "seq": -1}))
    refused("envelope_malformed", lambda: Parcel.from_json({**item, "wraps": []}))
    refused("envelope_malformed", lambda: Parcel.from_json([item]))
    refused("envelope_malformed", lambda: Parcel.from_json({**item, "kind": "receipt"}))
    refused("malformed", lambda: Parcel.from_json({**item, "wrap": "=="}))


@pytest.mark.spec("MSG-18")
def test_a_parcel_holds_nobody_elses_wrap(on: Stage) -> None:
    data = on.compose(SMALL, (SOUTH, NGO))
    text = json.dumps(on.deliver(data, SOUTH).to_json())
    mine, theirs = (b64u(wrap) for _, wrap in parse(data).wraps)
    assert mine in text
    assert theirs not in text


# --- anything at all --------------------------------------------------------------------------------------------


def parses_or_refuses(data: bytes) -> Envelope | None:
    try:
        return parse(data)
    except Refusal:
        return None


@given(st.binary(max_size=400))
def test_parsing_any_bytes_either_succeeds_or_refuses(data: bytes) -> None:
    """MSG-2."""
    assert parses_or_refuses(data) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    found = [path] if path else []
    if isinstance(value, dict):
        for name, item in value.items():
            found += places(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += places(item, (*path, index))
    return found


@given(st.data())
def test_any_value_anywhere_in_an_envelope_is_refused_or_changes_nothing(data: st.DataObject) -> None:
    """MSG-2, MSG-9: no replaced value ever verifies."""
    on, envelope = stage(), json.loads(_honest())
    path = data.draw(st.sampled_from(places(envelope)))
    put(*path, to=data.draw(JSON))(envelope)
    read = parses_or_refuses(json.dumps(envelope).encode("utf-8", "surrogatepass"))
    if read is not None and json.loads(_honest()) != envelope:
        with pytest.raises(Refusal):
            verify(read, on.directory, NOW)


@given(st.data())
def test_any_value_anywhere_in_a_manifest_is_refused_or_well_formed(data: st.DataObject) -> None:
    """MSG-3: what is accepted writes back to what was read."""
    manifest = payload_of(_honest())
    path = data.draw(st.sampled_from(places(manifest)))
    put(*path, to=data.draw(JSON))(manifest)
    try:
        read = parse_manifest(json.dumps(manifest).encode("utf-8", "surrogatepass"))
    except Refusal:
        return
    assert json.loads(read.model_dump_json(by_alias=True, exclude_none=True)) == manifest


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_no_changed_byte_of_an_envelope_goes_through(at: int, mask: int) -> None:
    """MSG-2, MSG-6, MSG-9."""
    on, honest = stage(), _honest()
    at %= len(honest)
    read = parses_or_refuses(honest[:at] + bytes([honest[at] ^ mask]) + honest[at + 1 :])
    if read is not None:
        with pytest.raises(Refusal):
            verify(read, on.directory, NOW)


@given(st.binary(max_size=300), st.sampled_from(["wrap", "body", "entry", "proof"]))
@settings(max_examples=40)
def test_a_parcel_with_any_bytes_in_it_is_refused(junk: bytes, member: str) -> None:
    """MSG-27."""
    on = stage()
    value = junk.decode("latin-1") if member == "proof" else junk
    parcel = replace(on.deliver(_honest()), **{member: value})
    with pytest.raises(Refusal):
        open_parcel(
            parcel, me=SOUTH, opening_keys=on[SOUTH].keys, directory=on.directory, log=on.log.identity, now=LATER
        )


_HONEST: list[bytes] = []


def _honest() -> bytes:
    if not _HONEST:
        _HONEST.append(stage().compose(SMALL))
    return _HONEST[0]


def test_every_type_of_message_has_its_name_in_the_manifest() -> None:
    """VOC-1."""
    assert len(MessageType) == 13
    assert AGREEMENT != POLICY

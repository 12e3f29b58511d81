"""A log entry has one spelling, and says of a message exactly what its manifest says."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.protocol import entry as e
from exchange.protocol.entry import MAX_ENTRY, LogEntry, denial_entry, disclosure_entry, parse_entry
from exchange.protocol.errors import EntryMalformed
from exchange.protocol.manifest import Manifest, parse_manifest
from exchange.protocol.vocabulary import (
    Category,
    Classification,
    CopyExemption,
    CrimeArea,
    Handling,
    MessageType,
    Purpose,
    ReceiptStatus,
    Urgency,
)
from keys.encoding import digest, unb64u, write_json
from keys.errors import TooLarge

D = digest(b"something")
ID = "01939b5e-0000-7000-8000-000000000000"
TS = datetime(2026, 11, 21, 16, 20, 0, 123_000, tzinfo=UTC)
HEAD = '{"v":"ix/1","typ":"%s","ts":"2026-11-21T16:20:00.123Z",'
FACTS = (
    '"type":"info_request","purpose":"investigate","crime":"immigrant_smuggling","class":"restricted",'
    '"handling":["H2","H3"],"cats":["data_minor","person_suspect"],"urgency":"u_direct"'
)
DISCLOSURE = (
    HEAD % "disclosure" + f'"msg":"{D}","id":"{ID}","from":"a.sim","to":[{{"id":"b.sim","clauses":["c1","c2"]}}],'
    f'"agr":"{D}",{FACTS},"re":"{D}","policy":"{D}"}}'
)
DENIAL = (
    HEAD % "denial" + f'"msg":"{D}","id":"{ID}","from":"a.sim",'
    '"to":[{"id":"b.sim","code":"permitted"},{"id":"c.sim","code":"no_clause","nearest":"c9"}],'
    f'"agr":"{D}","code":"no_clause",{FACTS},"policy":"{D}"}}'
)
RECEIPT = HEAD % "receipt" + f'"msg":"{D}","by":"b.sim","status":"rejected","code":"body_damaged","batch":"{D}"}}'
AGREEMENT = HEAD % "agreement" + f'"agr":"{D}","parties":["a.sim","b.sim"],"replaces":"{D}"}}'
SUSPENSION = HEAD % "suspension" + f'"agr":"{D}","by":"a.sim","act":"leave","notice":"{D}"}}'
SOURCES = sorted([D, digest(b"something else")])
DERIVED = DISCLOSURE.replace('"policy"', f'"src":["{SOURCES[0]}","{SOURCES[1]}"],"exempt":"sensitive_case","policy"')
DENIED = DENIAL.replace('"policy"', f'"src":["{D}"],"exempt":"imminent_danger","policy"')
SIGNATURE = HEAD % "signature" + f'"agr":"{D}","by":"a.sim"}}'
ACT = HEAD % "act" + f'"act":"consent","by":"a.sim","msg":"{D}","re":"{D}","statement":"{D}"}}'
RECORD = HEAD % "record" + f'"agency":"a.sim","version":2,"record":"{D}"}}'
NODE_HEAD = HEAD % "node-head" + f'"by":"a.sim","size":9007199254740991,"root":"{D}","head":"{D}"}}'
EVERY_KIND = [DISCLOSURE, DENIAL, RECEIPT, AGREEMENT, SUSPENSION, RECORD, DERIVED, DENIED, SIGNATURE, ACT, NODE_HEAD]


def manifest(**changes: Any) -> Manifest:
    """A manifest as a broker holds it when it writes an entry."""
    members: dict[str, Any] = {
        "v": "ix/1",
        "typ": "msg",
        "fed": D,
        "id": ID,
        "ts": "2026-11-21T16:19:00.000Z",
        "exp": "2026-11-28T16:19:00.000Z",
        "from": "a.sim",
        "to": [{"id": "b.sim", "kid": D, "wrap": D}],
        "agr": D,
        "type": "info_request",
        "purpose": "investigate",
        "crime": "immigrant_smuggling",
        "class": "restricted",
        "handling": ["H2", "H3"],
        "cats": ["data_minor", "person_suspect"],
        "urgency": "u_direct",
        "re": D,
        "by": D,
        "body": {"sha256": D, "len": 600, "commit": D},
        "att": [],
        "sig": ["Ed25519", "ML-DSA-44"],
    }
    members |= changes
    return parse_manifest(write_json({name: value for name, value in members.items() if value is not None}))


# --- what is written -----------------------------------------------------------------------------------


@pytest.mark.spec(
    "LOG-30",
    "LOG-31",
    "LOG-33",
    "LOG-34",
    "LOG-35",
    "LOG-36",
    "LOG-37",
    "LOG-38",
    "LOG-39",
    "LOG-44",
    "LOG-45",
    "LOG-90",
)
def test_every_kind_is_written_as_the_specification_shows_it() -> None:
    two = manifest(to=[{"id": a, "kid": D, "wrap": D} for a in ("b.sim", "c.sim")])
    written = [
        disclosure_entry(manifest(), D, [["c1", "c2"]], D, TS),
        denial_entry(two, D, [("permitted", None), ("no_clause", "c9")], "no_clause", D, TS),
        e.receipt_entry(D, "b.sim", "rejected", "body_damaged", D, TS),
        e.agreement_entry(D, ["a.sim", "b.sim"], D, TS),
        e.notice_entry(D, "a.sim", "leave", D, TS),
        e.record_entry("a.sim", 2, D, TS),
        disclosure_entry(manifest(src=SOURCES, exempt="sensitive_case"), D, [["c1", "c2"]], D, TS),
        denial_entry(
            two.model_copy(update={"src": (D,), "exempt": "imminent_danger"}),
            D,
            [("permitted", None), ("no_clause", "c9")],
            "no_clause",
            D,
            TS,
        ),
        e.signature_entry(D, "a.sim", TS),
        e.act_entry("consent", "a.sim", D, D, D, TS),
        e.node_head_entry("a.sim", 2**53 - 1, unb64u(D), D, TS),
    ]
    assert [data.decode() for data in written] == EVERY_KIND


@pytest.mark.spec("LOG-30")
def test_what_is_not_there_is_left_out() -> None:
    assert b'"re"' not in disclosure_entry(manifest(re=None), D, [["c1"]], D, TS)
    assert b'"code"' not in e.receipt_entry(D, "b.sim", "opened", None, D, TS)
    assert b'"re"' not in e.act_entry("recall", "a.sim", D, None, D, TS)
    assert b'"src"' not in disclosure_entry(manifest(), D, [["c1"]], D, TS)
    assert b'"exempt"' not in denial_entry(manifest(), D, [("no_clause", None)], "no_clause", D, TS)
    assert b"replaces" not in e.agreement_entry(D, ["a.sim", "b.sim"], None, TS)


@pytest.mark.parametrize("text", EVERY_KIND)
def test_every_kind_reads_back(text: str) -> None:
    """LOG-30"""
    entry = parse_entry(text.encode())
    assert entry.to_bytes().decode() == text
    assert entry.at == TS


agencies = st.from_regex(r"[a-z0-9-]{1,12}(\.[a-z0-9-]{1,9}){0,2}\.sim", fullmatch=True)
clauses = st.from_regex(r"[a-z][a-z0-9_-]{0,11}", fullmatch=True)
digests = st.binary(max_size=8).map(digest)


def codes(kind: Any, least: int = 0) -> st.SearchStrategy[list[str]]:
    return st.sets(st.sampled_from(sorted(kind)), min_size=least).map(sorted)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    to = draw(st.lists(agencies, min_size=1, max_size=20, unique=True))
    kind = draw(st.sampled_from(list(MessageType)))
    sources = st.none() | st.sets(digests, min_size=1, max_size=4).map(sorted)
    return manifest(
        to=[{"id": a, "kid": D, "wrap": D} for a in to],
        agr=draw(digests),
        re=draw(st.none() | digests),
        type=kind,
        purpose=draw(st.sampled_from(list(Purpose))),
        crime=draw(st.sampled_from(list(CrimeArea))),
        **{"class": draw(st.sampled_from(list(Classification)))},
        handling=draw(codes(Handling, 1)),
        cats=draw(codes(Category)),
        urgency=draw(st.sampled_from(list(Urgency))),
        src=None if kind is MessageType.EXCULPATORY_NOTICE else draw(sources),
        exempt=draw(st.none() | st.sampled_from(list(CopyExemption))),
    )


@given(manifests(), st.data())
def test_what_the_fast_writers_write_is_what_the_models_would(m: Manifest, data: st.DataObject) -> None:
    """LOG-30, LOG-39: the broker's hot path writes without validating, so this holds it to the reader."""
    named = [data.draw(st.lists(clauses, min_size=1, max_size=3, unique=True)) for _ in m.to]
    why = [data.draw(st.tuples(st.sampled_from(["no_clause", "forbidden"]), st.none() | clauses)) for _ in m.to]
    for written in (disclosure_entry(m, D, named, D, TS), denial_entry(m, D, why, "no_clause", D, TS)):
        entry = parse_entry(written)
        assert isinstance(entry, e.DisclosureEntry | e.DenialEntry)
        facts = (entry.id, entry.from_, entry.agr, entry.type, entry.purpose, entry.crime, entry.class_)
        assert facts == (m.id, m.from_, m.agr, m.type, m.purpose, m.crime, m.class_)
        assert (entry.handling, entry.cats, entry.urgency) == (m.handling, m.cats, m.urgency)
        assert (entry.src, entry.exempt) == (m.src, m.exempt)
        assert [to.id for to in entry.to] == [a.id for a in m.to]
        if isinstance(entry, e.DisclosureEntry):
            assert ([list(to.clauses) for to in entry.to], entry.re) == (named, m.re)


@given(digests, agencies, st.sampled_from(list(ReceiptStatus)), digests)
def test_receipt_entries_read_back(msg: str, by: str, status: ReceiptStatus, batch: str) -> None:
    """LOG-35"""
    code = "misdeclared" if status is ReceiptStatus.REJECTED else None
    entry = parse_entry(e.receipt_entry(msg, by, status.value, code, batch, TS))
    assert isinstance(entry, e.ReceiptEntry)
    assert (entry.msg, entry.by, entry.status, entry.code, entry.batch) == (msg, by, status, code, batch)


@pytest.mark.spec("LOG-30", "LOG-43")
def test_the_largest_manifest_fits_and_a_larger_entry_is_refused() -> None:
    def longest(kind: Any) -> str:
        return str(max(kind, key=lambda code: len(code.value)))

    to = [{"id": f"{i:034}.a.sim"[-40:], "kid": D, "wrap": D} for i in range(20)]
    largest = manifest(
        to=to,
        cats=sorted(Category),
        handling=sorted(Handling),
        src=sorted(digest(bytes([i])) for i in range(4)),
        exempt=longest(CopyExemption),
        type=longest(MessageType),
        purpose=longest(Purpose),
        crime=longest(CrimeArea),
        urgency=longest(Urgency),
        **{"from": "x" * 36 + ".sim", "class": longest(Classification)},
    )
    names = ["c" * 11 + str(i) for i in range(5)]
    assert len(disclosure_entry(largest, D, [names] * 20, D, TS)) <= MAX_ENTRY
    with pytest.raises(TooLarge, match="fewer recipients"):
        disclosure_entry(largest, D, [names * 2] * 20, D, TS)


def test_a_builder_given_nonsense_is_our_own_fault() -> None:
    for wrong in (
        lambda: disclosure_entry(manifest(), D, [[]], D, TS),
        lambda: disclosure_entry(manifest(), D, [], D, TS),
        lambda: disclosure_entry(manifest(), D, [['c"1']], D, TS),
        lambda: denial_entry(manifest(), D, [("No Clause", None)], "no_clause", D, TS),
        lambda: e.record_entry("nobody", 1, D, TS),
        lambda: e.agreement_entry(D, ["a.sim", "a.sim"], None, TS),
        lambda: e.record_entry("a.sim", 1, D, TS.replace(tzinfo=None)),
        lambda: e.node_head_entry("a.sim", 0, bytes(32), D, TS),
        lambda: e.node_head_entry("a.sim", 1, bytes(31), D, TS),
    ):
        with pytest.raises(ValueError):
            wrong()


# --- what is refused -----------------------------------------------------------------------------------


def members(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(text)
    return parsed


@pytest.mark.spec("LOG-30", "LOG-32")
@pytest.mark.parametrize("text", EVERY_KIND)
def test_no_member_may_be_missing_added_null_moved_or_of_another_type(text: str) -> None:
    whole = members(text)
    optional = {"re", "replaces", "nearest", "src", "exempt"}
    for name, value in whole.items():
        others = {key: item for key, item in whole.items() if key != name}
        wrong: list[dict[str, Any]] = [{**whole, name: None}, {**whole, name: {"x": value}}, {**whole, name: 7.5}]
        if name != next(reversed(whole)):
            wrong.append({**others, name: value})
        if name not in optional:
            wrong.append(others)
        wrong += [{**whole, "subject": "a free text"}, {"subject": "x", **whole}]
        for one in wrong:
            with pytest.raises(EntryMalformed):
                parse_entry(write_json(one))


@pytest.mark.spec("LOG-30")
@pytest.mark.parametrize("text", EVERY_KIND)
def test_no_second_spelling_is_accepted(text: str) -> None:
    for other in (
        text.replace(":", ": ", 1),
        " " + text,
        text + "\n",
        text.replace('"v":"ix/1"', '"v":"ix/1","v":"ix/1"'),
        text.replace("ix/1", "ix\\/1"),
        text.replace('"a.sim"', '"\\u0061.sim"') if "a.sim" in text else text + " ",
        text.replace("ix/1", "ix/2"),
        text.replace("ts", "TS"),
        "\ufeff" + text,
        f"[{text}]",
        text[:-1],
    ):
        with pytest.raises(EntryMalformed):
            parse_entry(other.encode())
    with pytest.raises(EntryMalformed):
        parse_entry(text.encode("utf-16"))


@pytest.mark.spec("LOG-31", "LOG-40")
@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (RECORD, "16:20:00.123Z", "16:20:00Z"), (RECORD, "2026-11-21", "2026-02-30"), (RECORD, "123Z", "123+00:00"),
        (RECORD, "16:20", "24:20"), (RECORD, '"version":2', '"version":0'), (RECORD, '"version":2', '"version":"2"'),
        (RECORD, '"version":2', '"version":2.0'), (RECORD, "a.sim", "a.police"), (RECORD, "a.sim", "A.sim"),
        (RECORD, "a.sim", "a" * 37 + ".sim"), (RECORD, D, D[:-1]), (RECORD, D, D[:-1] + "B"), (RECORD, D, D[:-1] + "+"),
        (RECORD, '"typ":"record"', '"typ":"records"'), (DISCLOSURE, ID, ID.upper().replace("B", "C")),
        (DISCLOSURE, "-7000-", "-4000-"), (DISCLOSURE, '"H2","H3"', '"H3","H2"'),
        (DISCLOSURE, '"H2","H3"', '"H2","H2"'), (DISCLOSURE, '["H2","H3"]', "[]"),
        (DISCLOSURE, '"data_minor","person_suspect"', '"person_suspect","data_minor"'),
        (DISCLOSURE, "info_request", "gossip"), (DISCLOSURE, '["c1","c2"]', "[]"), (DISCLOSURE, '"c1"', '"C 1"'),
        (DISCLOSURE, '"c1","c2"]}]', '"c1"]},{"id":"b.sim","clauses":["c2"]}]'), (DISCLOSURE, "u_direct", "now"),
        (DENIAL, '"c.sim"', '"b.sim"'), (DENIAL, ',"nearest":"c9"', ',"nearest":null'),
        (DENIAL, '"code":"no', '"code":"No'),
        (RECEIPT, '"status":"rejected"', '"status":"opened"'), (RECEIPT, '"code":"body_damaged",', ""),
        (RECEIPT, "rejected", "seen"), (AGREEMENT, '"a.sim","b.sim"', '"a.sim","a.sim"'), (AGREEMENT, ',"b.sim"', ""),
        (DERIVED, f'"{SOURCES[0]}","{SOURCES[1]}"', f'"{SOURCES[1]}","{SOURCES[0]}"'),
        (DERIVED, f'"{SOURCES[0]}","{SOURCES[1]}"', f'"{D}","{D}"'), (DERIVED, "sensitive_case", "inconvenient"),
        (DENIED, f'["{D}"]', "[]"), (DENIED, f'["{D}"]', json.dumps([letter * 42 + "A" for letter in "ABCDE"])),
        (SIGNATURE, "a.sim", "a.police"), (ACT, '"consent"', '"grant"'), (ACT, f'"re":"{D}"', '"re":null'),
        (NODE_HEAD, "9007199254740991", "9007199254740992"), (NODE_HEAD, "9007199254740991", "0"),
        (NODE_HEAD, "9007199254740991", "01"), (NODE_HEAD, "9007199254740991", '"1"'),
        (NODE_HEAD, f'"root":"{D}"', f'"root":"{D}="'), (NODE_HEAD, "node-head", "node_head"),
        (SUSPENSION, "leave", "revoke"), (SUSPENSION, "suspension", "notice"),
    ],
)  # fmt: skip
def test_no_value_of_another_form_is_accepted(text: str, old: str, new: str) -> None:
    assert old in text
    with pytest.raises(EntryMalformed):
        parse_entry(text.replace(old, new).encode())


def test_an_entry_longer_than_allowed_is_refused_before_it_is_read() -> None:
    """LOG-30"""
    with pytest.raises(EntryMalformed, match="at most"):
        parse_entry(b"{" * (MAX_ENTRY + 1))


@given(st.binary(max_size=200) | st.sampled_from(EVERY_KIND).map(str.encode))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    """LOG-30: what is read is what would be written."""
    try:
        entry: LogEntry = parse_entry(data)
    except EntryMalformed:
        return
    assert entry.to_bytes() == data


@given(st.sampled_from(EVERY_KIND), st.data())
def test_no_edited_entry_crashes_the_reader(text: str, data: st.DataObject) -> None:
    raw = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with suppress(EntryMalformed):
        assert parse_entry(bytes(raw)).to_bytes() == raw


def test_refusals_name_the_member_and_never_its_value() -> None:
    """LOG-32: whoever sends a name gets it back in no message."""
    secret = write_json({**members(RECORD), "agency": "Jane Roe"})
    with pytest.raises(EntryMalformed) as caught:
        parse_entry(secret)
    assert "agency" in str(caught.value)
    assert "Jane" not in str(caught.value)


@pytest.mark.spec("LOG-32")
def test_no_entry_has_room_for_free_text() -> None:
    """Every string of every kind is held to a pattern, a code list or a constant."""
    for kind in get_args(LogEntry):
        schema = json.dumps(kind.model_json_schema())
        assert schema.count('"type": "string"') == schema.count('"pattern"') + schema.count('"enum"') + schema.count(
            '"const"'
        )

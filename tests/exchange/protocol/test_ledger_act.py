"""A biometric value is refused by every schema of the log and of ledgers (NODE-206)."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import shake_256
from pathlib import Path
from typing import Any

import pytest

from exchange.audit.ledger_book import MEMBERS, read_line
from exchange.protocol.act import parse_act
from exchange.protocol.entry import parse_entry
from exchange.protocol.ledger_act import LEFT_OUT, MAX_OUTCOME, MAX_WORD, must_be_plain, said
from exchange.protocol.manifest import parse_manifest
from exchange.protocol.receipt import _read as read_batch
from keys.encoding import b64u, digest, unb64u, write_json
from keys.errors import Refusal

ROOT = Path(__file__).resolve().parents[3]
EXPORT = ROOT / "tests" / "vectors" / "log" / "export"
TEMPLATES = {name: b64u(shake_256(name.encode()).digest(size)) for name, size in (
    ("fingerprint minutiae", 240), ("iris code", 256), ("face embedding", 512), ("genetic profile", 80),
)}  # fmt: skip
"""Made up, of the sizes that such values have; the shortest has 107 characters."""

ACT = {
    "v": "ix/1", "typ": "act", "n": 1, "ts": "2026-11-21T16:20:00.000Z", "act": "consult", "agency": "north.police.sim",
    "by": digest(b"an officer"), "code": "case_assigned", "why": b64u(b"locked" * 40), "purpose": "investigate",
    "agr": digest(b"agreement"), "clauses": ["ask"], "case": digest(b"case"), "msg": digest(b"message"),
    "from": "north.police.sim", "to": ["south.police.sim"], "persons": ["person_suspect"], "cats": ["data_transport"],
    "outcome": "done", "reasons": ["clause ask of `shore` version 1 would permit this if: it is classified less"],
    "index": 7, "released_by": None,
}  # fmt: skip


@pytest.mark.spec("NODE-206")
def test_an_act_as_nodes_write_them_is_plain() -> None:
    assert tuple(ACT) == MEMBERS
    must_be_plain(ACT)
    assert read_line(write_json(ACT), "north.police.sim", 1).msg == ACT["msg"]
    assert {name: said(name, value) for name, value in ACT.items()} == ACT


@pytest.mark.spec("NODE-206")
@pytest.mark.parametrize("value", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize("member", [name for name, one in ACT.items() if type(one) in (str, list) and name != "why"])
def test_no_member_of_an_act_takes_a_biometric_value(member: str, value: str) -> None:
    for held in (value, f"search by {value} found nothing", value.replace("A", "A ")[:999] + "x" * 65):
        act = {**ACT, member: [held] if type(ACT[member]) is list else held}
        with pytest.raises(ValueError, match=r"`\w+` holds more than a code|another number|not a valid Act|members"):
            read_line(write_json(act), "north.police.sim", 1)
        with pytest.raises(ValueError, match=f"`{member}`"):
            must_be_plain(act)
        written = said(member, act[member])
        must_be_plain({**ACT, member: written})
        assert value not in json.dumps(written)
        assert LEFT_OUT in json.dumps(written)


@pytest.mark.spec("NODE-206")
@pytest.mark.parametrize("name", ["biometric", "template", "fingerprint", "minutiae"])
def test_an_act_has_no_member_for_one(name: str) -> None:
    with pytest.raises(ValueError, match="other members"):
        read_line(write_json({**ACT, name: TEMPLATES["fingerprint minutiae"]}), "north.police.sim", 1)


def test_what_is_too_long_is_cut_and_what_fits_stays() -> None:
    assert said("outcome", "x" * MAX_WORD) == "x" * MAX_WORD
    assert said("outcome", "x" * (MAX_WORD + 1)) == LEFT_OUT
    assert len(said("outcome", "word " * 100)) == MAX_OUTCOME
    assert said("index", 7) == 7
    assert said("why", "x" * 500) == "x" * 500


def entries() -> list[dict[str, Any]]:
    """One entry of each kind of the log of the vectors."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((EXPORT / "tile" / "entries").rglob("*")):
        data, at = path.read_bytes() if path.is_file() else b"", 0
        while at < len(data):
            size = int.from_bytes(data[at : at + 2], "big")
            entry = json.loads(data[at + 2 : at + 2 + size])
            found.setdefault(entry["typ"], entry)
            at += 2 + size
    return list(found.values())


@pytest.mark.spec("NODE-206")
@pytest.mark.parametrize("entry", entries(), ids=lambda one: one["typ"])
def test_no_entry_of_the_log_takes_a_biometric_value(entry: dict[str, Any]) -> None:
    value = TEMPLATES["fingerprint minutiae"]
    parse_entry(write_json(entry))
    for name, one in entry.items():
        held = [value] if type(one) is list else value
        with pytest.raises(Refusal):
            parse_entry(write_json({**entry, name: held}))
    for name in ("biometric", "template"):
        with pytest.raises(Refusal):
            parse_entry(write_json({**entry, name: value}))


def statements(kind: str) -> list[dict[str, Any]]:
    """The payloads of the signed statements of one kind beside the log of the vectors."""
    return [
        json.loads(unb64u(json.loads(path.read_text(encoding="utf-8"))["payload"]))
        for path in sorted((EXPORT / kind).glob("*.json"))
    ]


def manifest() -> dict[str, Any]:
    """A manifest as the vectors have it."""
    good = json.loads((ROOT / "tests" / "vectors" / "messages" / "good.json").read_text(encoding="utf-8"))
    return dict(json.loads(good["messages"][0]["manifest"]))


@pytest.mark.spec("NODE-206")
@pytest.mark.parametrize(
    ("read", "good"),
    [(parse_manifest, manifest()), *((parse_act, one) for one in statements("acts"))],
    ids=lambda one: one.get("act", "manifest") if isinstance(one, dict) else "",
)
def test_no_signed_statement_takes_a_biometric_value(read: Callable[[bytes], Any], good: dict[str, Any]) -> None:
    value = TEMPLATES["iris code"]
    read(write_json(good))
    for name, one in [*good.items(), ("biometric", None), ("template", None)]:
        held = [value] if type(one) is list else value
        with pytest.raises(Refusal):
            read(write_json({**good, name: held}))


@pytest.mark.spec("NODE-206")
def test_no_receipt_takes_one() -> None:
    value, (good, *_) = TEMPLATES["genetic profile"], statements("receipts")
    item = dict(good["items"][0])
    for name in (*item, "biometric"):
        with pytest.raises(Refusal):
            read_batch(write_json({**good, "items": [{**item, name: value}]}))
    for name in good:
        with pytest.raises(Refusal):
            read_batch(write_json({**good, name: value}))

"""The published vectors of the edges: where two readers of the specification once differed, this one keeps to it.

``tests/vectors/edges.json`` is judged alike by the second implementation (``tests/foreign``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from exchange.protocol.content import parse_content
from exchange.protocol.ledger_head import ledger_origin, verify_head
from exchange.protocol.log import parse_entry, verify_checkpoint, verify_tlog_proof
from exchange.protocol.message import Parcel, open_parcel, parse, verify
from exchange.protocol.receipt import verify_receipts
from exchange.protocol.terms import parse_terms
from keys.encoding import instant, read_json, unb64u, write_json
from keys.errors import Refusal, RootRefused
from keys.members import Strict, Text, read_members
from keys.signing import ED25519, PublicKey
from keys.trust import Directory
from tests.vectors.stage import NOW, SMALL, Stage, stage

FILE = Path(__file__).resolve().parents[2] / "vectors" / "edges.json"


@cache
def vectors() -> Any:
    return json.loads(FILE.read_bytes())


@pytest.fixture(scope="module")
def on() -> Stage:
    return stage()


def outcome(act: Callable[[], object]) -> str:
    """The code of the refusal, or that there was none."""
    try:
        act()
    except Refusal as refusal:
        return refusal.code
    return "taken"


def each(place: str) -> Any:
    items = vectors()[place]
    items = items if isinstance(items, list) else items["vectors"]
    return pytest.mark.parametrize("vector", items, ids=[item["name"] for item in items])


def test_the_file_says_what_it_is() -> None:
    assert "TEST VECTORS" in vectors()["notice"]


@pytest.mark.spec("ENC-1", "ENC-4", "ENC-6", "ENC-7")
def test_times_and_texts_are_read_by_their_one_spelling() -> None:
    for text, code in vectors()["times"].items():
        assert outcome(lambda t=text: instant(t)) == code, text  # type: ignore[misc]
    for text, code in vectors()["json"].items():
        assert outcome(lambda t=text: read_json(t.encode(), limit=1000)) == code, text  # type: ignore[misc]


class _Named(Strict):
    name: Text


@pytest.mark.spec("KEY-21")
def test_a_character_prints_or_not_whatever_unicode_this_runs_with() -> None:
    for code, texts in (("taken", "taken"), ("root_refused", "refused")):
        for text in vectors()["printable"][texts]:
            assert outcome(lambda t=text: read_members(_Named, {"name": t}, RootRefused)) == code, ascii(text)  # type: ignore[misc]


@pytest.mark.spec("KEY-1")
@each("ed25519")
def test_ed25519_is_verified_in_one_of_its_variants(vector: Any) -> None:
    def judge() -> None:
        PublicKey(ED25519, unb64u(vector["public"])).verify(unb64u(vector["signature"]), unb64u(vector["message"]))

    assert outcome(judge) == vector["code"]


@pytest.mark.spec("ENC-8", "KEY-15", "KEY-16", "KEY-21")
@each("federations")
def test_a_directory_is_taken_or_refused_by_its_code(vector: Any) -> None:
    federations = vectors()["federations"]
    written = {
        kind: [write_json(federations["statements"][name]) for name in vector[kind]] for kind in ("roots", "records")
    }
    now = instant(federations["now"])
    assert outcome(lambda: Directory.build(**written, fed=vector["fed"], now=now)) == vector["code"]


def edited(base: Any, edits: list[Any]) -> Any:
    value = json.loads(json.dumps(base))
    for path, new in edits:
        at = value
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = new
    return value


@pytest.mark.spec("KEY-3", "KEY-4", "KEY-6", "MSG-2", "MSG-3", "MSG-4")
@each("envelopes")
def test_an_envelope_is_taken_or_refused_by_its_code(vector: Any, on: Stage) -> None:
    envelopes = vectors()["envelopes"]
    data = write_json(edited(envelopes["base"], vector["set"]))
    assert outcome(lambda: verify(parse(data), on.directory, instant(envelopes["at"]))) == vector["code"]


@pytest.mark.spec("MSG-18", "MSG-19")
@each("parcels")
def test_a_parcel_is_taken_or_refused_by_its_code(vector: Any, on: Stage) -> None:
    parcels = vectors()["parcels"]
    me = parcels["me"]

    def judge() -> None:
        parcel = Parcel.from_json(edited(parcels["base"], vector["set"]))
        log, now = on.directory.root.log, instant(parcels["now"])
        open_parcel(parcel, me=me, opening_keys=on[me].keys, directory=on.directory, log=log, now=now)

    assert outcome(judge) == vector["code"]


@pytest.mark.spec("CNT-5", "CNT-14", "CNT-16", "CNT-22", "CNT-23", "CNT-26", "CNT-43")
@each("contents")
def test_a_content_is_taken_or_refused(vector: Any) -> None:
    assert outcome(lambda: parse_content(vector["content"].encode())) == vector["code"]


@pytest.mark.spec("CNT-5", "CNT-16", "ENC-12")
def test_a_line_is_taken_or_refused_whatever_unicode_this_runs_with() -> None:
    value = json.loads(SMALL)
    for code, lines in (("taken", "taken"), ("content_malformed", "refused")):
        for line in vectors()["contents"]["lines"][lines]:
            value["narrative"][0]["text"] = line
            assert outcome(lambda: parse_content(write_json(value))) == code, ascii(line)


def filled(vector: Any, member: str) -> str:
    text: str = vector[member]
    return text.replace("{pad}", "A" * vector["pad"]) if "pad" in vector else text


@pytest.mark.spec("LOG-19", "ENC-12")
@each("notes")
def test_a_checkpoint_is_taken_or_refused(vector: Any, on: Stage) -> None:
    assert outcome(lambda: verify_checkpoint(filled(vector, "note"), on.directory.root.log)) == vector["code"]


@pytest.mark.spec("LOG-24")
@each("proofs")
def test_a_proof_is_taken_or_refused(vector: Any, on: Stage) -> None:
    entry = unb64u(vectors()["proofs"]["entry"])
    proof = filled(vector, "proof")
    assert outcome(lambda: verify_tlog_proof(proof, entry, on.directory.root.log)) == vector["code"]


@pytest.mark.spec("LOG-30", "LOG-31", "LOG-33", "LOG-34", "LOG-35", "LOG-38", "LOG-40", "LOG-90")
@each("entries")
def test_an_entry_is_taken_or_refused(vector: Any) -> None:
    assert outcome(lambda: parse_entry(vector["entry"].encode())) == vector["code"]


@pytest.mark.spec("LOG-91", "LOG-92", "LOG-93")
@each("heads")
def test_the_head_of_a_ledger_is_taken_or_refused(vector: Any, on: Stage) -> None:
    told, at = vectors()["heads"], instant(vector["at"])
    trust = Directory.from_bytes(write_json(told["trust"]), fed=on.fed, now=NOW)
    assert ledger_origin(on.log.origin, told["agency"]) == told["origin"]
    judged = outcome(lambda: verify_head(vector["note"], told["agency"], trust, trust.root.log.origin, at))
    assert judged == vector["code"]


@pytest.mark.spec("RCT-2", "RCT-7", "RCT-8")
@each("receipts")
def test_a_batch_of_receipts_is_taken_or_refused(vector: Any, on: Stage) -> None:
    at = instant(vectors()["receipts"]["at"])
    assert outcome(lambda: verify_receipts(write_json(vector["batch"]), on.directory, at)) == vector["code"]


@pytest.mark.spec("AGR-3")
@each("agreements")
def test_an_agreement_is_taken_or_refused(vector: Any) -> None:
    assert outcome(lambda: parse_terms(vector["payload"].encode())) == vector["code"]

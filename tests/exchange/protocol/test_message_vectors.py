"""The published vectors of messages: each opens to what it says, or is refused with the code it says."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from exchange.protocol.content import derive_categories, parse_content
from exchange.protocol.log import vkeys
from exchange.protocol.manifest import context_of, verify_times
from exchange.protocol.message import Parcel, open_parcel, parse, verify
from exchange.protocol.policy import Standing, State
from keys.encoding import b64u, digest, instant, unb64u, write_json
from keys.errors import Refusal
from keys.sealing import HEADER, OpeningKey, commit, decrypt_chunks, encrypt_chunks, pad
from keys.signing import Signer
from keys.trust import Directory
from tests.vectors.stage import stage

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "messages"


@cache
def vectors(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_bytes())


def named(name: str, member: str) -> Any:
    items = vectors(name)[member]
    return pytest.mark.parametrize("vector", items, ids=[item["name"] for item in items])


@pytest.fixture(scope="module")
def directory() -> Directory:
    parties = vectors("parties")
    return Directory.from_bytes(
        write_json(parties["directory"]), fed=parties["fed"], now=instant("2026-11-21T16:20:00Z")
    )


def opening_keys(agency: str) -> dict[str, OpeningKey]:
    key = OpeningKey.from_seed(unb64u(vectors("parties")["parties"][agency]["sealing_seed"]))
    return {key.public.kid: key}


def opened(item: Any, me: str, directory: Directory, now: str, seen: list[str], *, standing: str = "in_force") -> Any:
    return open_parcel(
        Parcel.from_json(item),
        me=me,
        opening_keys=opening_keys(me),
        directory=directory,
        log=directory.root.log,
        now=instant(now),
        seen=seen,
        standing=lambda _agreement, _at: Standing(State(standing), "as the books say"),
    )


@pytest.mark.parametrize("name", ["parties", "good", "bad_envelopes", "bad_parcels"])
def test_a_file_of_vectors_says_what_it_is(name: str) -> None:
    assert "TEST VECTORS" in vectors(name)["notice"]


def test_the_keys_of_the_parties_follow_from_their_seeds(directory: Directory) -> None:
    parties = vectors("parties")
    for agency, keys in parties["parties"].items():
        signer = Signer.from_seeds(unb64u(keys["ed25519_seed"]), unb64u(keys["mldsa44_seed"]))
        (sealing,) = opening_keys(agency).values()
        assert (signer.public.ed25519.kid, signer.public.mldsa44.kid) == (keys["ed25519_kid"], keys["mldsa44_kid"])
        assert (sealing.public.kid, b64u(sealing.public.raw)) == (keys["sealing_kid"], keys["sealing_public"])
        assert {e.kid for e in directory.agency(agency).keys} >= {keys["ed25519_kid"], keys["sealing_kid"]}
    assert list(vkeys(directory.root.log)) == parties["log"]["vkeys"]
    assert {agency: party.opening.public.kid for agency, party in stage().parties.items()} == {
        agency: keys["sealing_kid"] for agency, keys in parties["parties"].items()
    }


@pytest.mark.spec("MSG-10", "MSG-11", "MSG-12", "MSG-13", "MSG-14", "MSG-15", "MSG-16")
@named("good", "messages")
def test_every_intermediate_value_can_be_made_again(vector: Any, directory: Directory) -> None:
    content, key = vector["content"].encode(), bytes.fromhex(vector["content_key"])
    k, salt, ctx = (bytes.fromhex(vector[name]) for name in ("commitment_key", "body_salt", "ctx"))
    envelope = parse(vector["envelope"].encode())
    verify(envelope, directory, instant(vector["at"]))
    assert digest(vector["context_lines"].encode()) == b64u(ctx) == b64u(context_of(envelope.manifest))
    assert vector["wrap_info"] == (b"ix/1 cek\n" + ctx).hex()
    plain = pad(k, content)
    assert (len(plain), digest(plain)) == (vector["plaintext_length"], vector["plaintext_sha256"])
    body_context = bytes.fromhex(vector["body_context"])
    assert body_context == b"ix/1 body\n" + ctx
    assert encrypt_chunks(plain, key, body_context, salt=salt) == envelope.body
    assert decrypt_chunks(envelope.body, key, body_context) == plain
    assert envelope.body[24:HEADER].hex() == vector["body_commitment"]
    assert len(envelope.body) == vector["body_length"] == envelope.manifest.body.len
    assert b64u(commit(k, ctx, content)) == vector["commit"] == envelope.manifest.body.commit
    assert vector["manifest"].encode() == envelope.statement.payload
    assert vector["message"] == envelope.digest
    for (_, wrap), addressee in zip(envelope.wraps, envelope.manifest.to, strict=True):
        assert opening_keys(addressee.id)[addressee.kid].unwrap(wrap, ctx) == key
        assert len(wrap) == 1168


@pytest.mark.spec("MSG-18", "MSG-27", "CNT-60")
@named("good", "messages")
def test_every_recipient_of_a_good_message_opens_its_parcel(vector: Any, directory: Directory) -> None:
    assert vector["parcels"]
    for agency, item in vector["parcels"].items():
        got = opened(item, agency, directory, vector["open_at"], [])
        assert got.content_bytes == vector["content"].encode()
        assert got.digest == vector["message"]
        assert list(derive_categories(parse_content(got.content_bytes))) == vector["categories"]
        assert list(got.manifest.cats) == vector["categories"]


def test_the_good_messages_cover_several_chunks_and_recipients() -> None:
    messages = vectors("good")["messages"]
    manifests = [json.loads(one["manifest"]) for one in messages]
    assert [len(manifest["src"]) for manifest in manifests if "src" in manifest] == [2]
    assert [manifest["exempt"] for manifest in manifests if "exempt" in manifest] == ["source_protection"]
    assert max(len(one["parcels"]) for one in messages) == 2
    assert max(one["body_length"] for one in messages) > 2 * 16384
    assert 16384 in {one["plaintext_length"] for one in messages}  # the chunk after a full one is empty


@named("bad_envelopes", "vectors")
def test_a_bad_envelope_is_refused_with_its_code(vector: Any, directory: Directory) -> None:
    """MSG-2 to MSG-9."""
    at = instant(vector["at"])

    def admit() -> None:
        envelope = parse(vector["envelope"].encode())
        verify(envelope, directory, at)
        verify_times(envelope.manifest, at)

    with pytest.raises(Refusal) as caught:
        admit()
    assert caught.value.code == vector["code"]


@named("bad_parcels", "vectors")
def test_a_bad_parcel_is_refused_with_its_code(vector: Any, directory: Directory) -> None:
    """MSG-19 to MSG-33."""
    with pytest.raises(Refusal) as caught:
        opened(vector["parcel"], vector["me"], directory, vector["now"], vector["seen"], standing=vector["standing"])
    assert caught.value.code == vector["code"]


def test_every_code_of_a_recipients_checks_has_a_vector() -> None:
    """MSG-27."""
    codes = {vector["code"] for name in ("bad_envelopes", "bad_parcels") for vector in vectors(name)["vectors"]}
    assert codes >= {
        "malformed", "too_large", "envelope_malformed", "wrong_algorithm", "suite_unknown", "federation_mismatch",
        "wrong_typ", "key_unknown", "key_not_theirs", "signature_invalid", "seal_mismatch", "message_expired",
        "message_time", "proof_mismatch", "not_addressed", "unsealing_failed", "key_commitment_mismatch",
        "body_damaged", "padding_invalid", "commitment_mismatch", "already_received", "content_malformed",
        "misdeclared", "agreement_expired", "agreement_superseded", "agreement_suspended", "agreement_not_in_force",
        "agreement_unknown",
    }  # fmt: skip

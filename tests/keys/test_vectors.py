"""The known answers of ``tests/vectors/keys.json``, which other implementations read, hold for this one."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from keys.encoding import b64u, digest, instant, read_json, unb64u, write_json
from keys.errors import Refusal
from keys.sealing import OpeningKey, decrypt_chunks, encrypt_chunks, open_body, padded_length, pseudonym, seal_body
from keys.signing import ED25519, ML_DSA_44, PublicKey, Signer, TransportSigner, Typ, statement_from, verify_pair
from keys.trust import Directory


@pytest.fixture(scope="module")
def vectors(repository: Any) -> Any:
    return json.loads((repository / "tests" / "vectors" / "keys.json").read_bytes())


def secret(label: str) -> bytes:
    return hashlib.sha256(f"ix/1 test vector {label}".encode()).digest()


def test_the_file_says_that_its_keys_are_public(vectors: Any) -> None:
    assert vectors["notice"] == "TEST VECTORS - these private keys are public"


@pytest.mark.spec("ENC-5", "ENC-6", "ENC-9")
def test_values_are_read_and_refused_as_written(vectors: Any) -> None:
    for text, data in vectors["base64url"]["read"].items():
        assert unb64u(text).hex() == data
    for text, millis in vectors["times"]["read"].items():
        assert round(instant(text).timestamp() * 1000) == millis
    for text in vectors["base64url"]["refused"]:
        with pytest.raises(Refusal):
            unb64u(text)
    for text in vectors["times"]["refused"]:
        with pytest.raises(Refusal):
            instant(text)
    assert {text: digest(text.encode()) for text in vectors["digest"]} == vectors["digest"]


@pytest.mark.spec("ENC-1", "ENC-2", "ENC-3", "ENC-4", "ENC-7")
def test_json_is_refused_as_written(vectors: Any) -> None:
    for text, code in vectors["json"]["refused"].items():
        with pytest.raises(Refusal) as caught:
            read_json(text.encode("utf-8"), limit=1000)
        assert caught.value.code == code, text


@pytest.mark.spec("KEY-1", "KEY-2", "KEY-7", "KEY-8", "KEY-9")
def test_seeds_make_the_keys_and_names_written(vectors: Any) -> None:
    keys = vectors["keys"]
    for label, key in keys.items():
        assert unb64u(key["seed"]) == secret(label)
    signer = Signer.from_seeds(secret("alice ed25519"), secret("alice mldsa44"))
    opening = OpeningKey.from_seed(secret("alice opening"))
    made = {"alice ed25519": signer.public.ed25519, "alice mldsa44": signer.public.mldsa44}
    made |= {
        "alice opening": opening.public,
        "alice transport": TransportSigner.from_seed(secret("alice transport")).public,
    }
    assert {label: (b64u(key.raw), key.kid) for label, key in made.items()} == {
        label: (key["public"], key["kid"]) for label, key in keys.items()
    }
    assert hashlib.shake_256(secret("alice opening")).digest(96) == unb64u(keys["alice opening"]["expanded"])


def lookup_in(vectors: Any) -> Any:
    public = {ED25519: vectors["keys"]["alice ed25519"], ML_DSA_44: vectors["keys"]["alice mldsa44"]}

    def find(kid: str, alg: str) -> PublicKey:
        assert kid == public[alg]["kid"]
        return PublicKey(alg, unb64u(public[alg]["public"]))

    return find


def judge(members: Any, lookup: Any) -> None:
    statement = statement_from(members["payload"], members["signatures"])
    verify_pair(statement.raw_payload, statement.pairs[0], lookup, Typ.MESSAGE)


@pytest.mark.spec("KEY-3", "KEY-4", "KEY-5", "KEY-6")
def test_the_statement_verifies_and_its_mutants_are_refused_by_name(vectors: Any) -> None:
    lookup = lookup_in(vectors)
    good = vectors["statement"]
    statement = statement_from(good["json"]["payload"], good["json"]["signatures"])
    verify_pair(statement.raw_payload, statement.pairs[0], lookup, Typ(good["typ"]))
    assert statement.payload == good["payload"].encode()
    signer = Signer.from_seeds(secret("alice ed25519"), secret("alice mldsa44"))
    first = statement.pairs[0][0]
    assert signer.sign_ed25519(f"{first.protected}.{statement.raw_payload}".encode()) == first.value
    for bad in vectors["statements_refused"]:
        with pytest.raises(Refusal) as caught:
            judge(bad["json"], lookup)
        assert caught.value.code == bad["code"], bad["why"]


@pytest.mark.spec("MSG-11", "MSG-21")
def test_the_wrap_opens(vectors: Any) -> None:
    wrap = vectors["wrap"]
    opening = OpeningKey.from_seed(secret(wrap["to"]))
    assert opening.unwrap(unb64u(wrap["wrap"]), unb64u(wrap["context"])) == unb64u(wrap["content_key"])


@pytest.mark.spec("MSG-14", "MSG-23")
def test_bodies_are_chunked_as_written(vectors: Any) -> None:
    for one in vectors["chunked"]:
        plain = bytes(n % 251 for n in range(one["length"]))
        key, context, salt = unb64u(one["input_key"]), one["context"].encode(), unb64u(one["salt"])
        body = encrypt_chunks(plain, key, context, salt=salt)
        assert digest(body) == one["sha256"]
        assert decrypt_chunks(body, key, context) == plain
        assert one.get("body", b64u(body)) == b64u(body)


@pytest.mark.spec("MSG-12", "MSG-13", "MSG-16", "MSG-24", "MSG-25")
def test_a_content_is_sealed_and_opened_as_written(vectors: Any) -> None:
    one = vectors["body"]
    key, context, commitment = (unb64u(one[name]) for name in ("content_key", "context", "commitment"))
    chance = {32: unb64u(one["commitment_key"]), 24: unb64u(one["salt"])}
    assert seal_body(one["content"].encode(), key, context, chance.__getitem__) == (unb64u(one["body"]), commitment)
    assert open_body(unb64u(one["body"]), key, context, commitment) == one["content"].encode()
    assert {n: padded_length(int(n)) for n in vectors["padded_lengths"]} == vectors["padded_lengths"]
    who = vectors["pseudonym"]
    assert pseudonym(unb64u(who["key"]), who["label"], who["value"]) == who["pseudonym"]


@pytest.mark.spec("KEY-12", "KEY-15", "KEY-20", "KEY-21", "KEY-25")
def test_the_federation_verifies_and_judges_keys_as_written(vectors: Any) -> None:
    federation = vectors["federation"]
    directory = Directory.from_bytes(
        write_json(federation["directory"]), fed=federation["fed"], now=instant(federation["now"])
    )
    signer = Signer.from_seeds(secret("alice ed25519"), secret("alice mldsa44"))
    for asked in federation["signing_keys_at"]:
        lookup = directory.signing_lookup("north.police.sim", instant(asked["at"]))
        for key, answer in zip(signer.public, (asked["ed25519"], asked["mldsa44"]), strict=True):
            if answer == "counts":
                assert lookup(key.kid, key.alg) == key
            else:
                with pytest.raises(Refusal) as caught:
                    lookup(key.kid, key.alg)
                assert caught.value.code == answer


@pytest.mark.spec("KEY-20", "KEY-22", "KEY-23")
def test_the_roots_that_must_be_refused_are(vectors: Any) -> None:
    for bad in vectors["federation"]["roots_refused"]:
        with pytest.raises(Refusal) as caught:
            Directory.build([write_json(bad["json"])], [], fed=bad["fed"], now=instant(vectors["federation"]["now"]))
        assert caught.value.code == bad["code"], bad["why"]

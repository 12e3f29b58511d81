"""Two signatures, each for one purpose: what verifies, and every way of taking one away, swapping or borrowing it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.encoding import b64u, digest, unb64u, write_json
from keys.errors import (
    KeyUnknown,
    MalformedEncoding,
    Refusal,
    SignatureInvalid,
    TooLarge,
    WrongAlgorithm,
    WrongSignatureType,
)
from keys.signing import (
    ED25519,
    ML_DSA_44,
    KeyLookup,
    PublicKey,
    Signature,
    Signer,
    Statement,
    TransportSigner,
    Typ,
    cosign,
    ed25519_kid,
    mldsa_kid,
    parse_statement,
    sign,
    statement_from,
    verify_pair,
)

PAYLOAD = b'{"v":"ix/1","typ":"msg"}'


@pytest.fixture(scope="module")
def signer(make_signer: Callable[[str], Signer]) -> Signer:
    return make_signer("alice")


@pytest.fixture(scope="module")
def other(make_signer: Callable[[str], Signer]) -> Signer:
    return make_signer("bob")


@pytest.fixture(scope="module")
def statement(signer: Signer) -> Statement:
    return sign(PAYLOAD, signer, Typ.MESSAGE)


@pytest.fixture(scope="module")
def lookup(signer: Signer, other: Signer) -> KeyLookup:
    known = {key.kid: key for pair in (signer.public, other.public) for key in pair}

    def find(kid: str, alg: str) -> PublicKey:
        if kid not in known:
            raise KeyUnknown(f"no key `{kid}`")
        if known[kid].alg != alg:
            raise WrongAlgorithm("the key is of another algorithm")
        return known[kid]

    return find


def check(statement: Statement, lookup: KeyLookup, typ: Typ = Typ.MESSAGE) -> None:
    for pair in statement.pairs:
        verify_pair(statement.raw_payload, pair, lookup, typ)


def members(statement: Statement) -> Any:
    return json.loads(statement.to_bytes())


# names


@pytest.mark.spec("KEY-7", "KEY-1")
def test_a_key_is_named_by_its_thumbprint_as_rfc_8037_says() -> None:
    public = unb64u("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")  # RFC 8037 appendix A.2 and A.3
    assert ed25519_kid(public) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    seed = unb64u("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
    assert TransportSigner.from_seed(seed).public.raw == public


@pytest.mark.spec("KEY-7", "KEY-2")
def test_an_ml_dsa_key_is_named_by_its_thumbprint(signer: Signer) -> None:
    key = signer.public.mldsa44
    assert len(key.raw) == 1312
    assert key.kid == mldsa_kid(key.raw)
    assert key.kid == digest(f'{{"alg":"ML-DSA-44","kty":"AKP","pub":"{b64u(key.raw)}"}}'.encode())


@pytest.mark.spec("KEY-1", "KEY-2")
def test_a_seed_makes_the_same_keys_every_time(make_seed: Callable[[str], bytes]) -> None:
    seeds = (make_seed("a"), make_seed("b"))
    assert Signer.from_seeds(*seeds).public == Signer.from_seeds(*seeds).public
    assert Signer.from_seeds(*seeds).unsafe_seeds() == seeds
    assert Signer.generate().public != Signer.generate().public


@pytest.mark.parametrize(("alg", "length"), [(ED25519, 31), (ED25519, 33), (ML_DSA_44, 1311), (ML_DSA_44, 0)])
def test_a_public_key_of_another_length_is_refused(alg: str, length: int) -> None:
    with pytest.raises(MalformedEncoding):
        PublicKey(alg, bytes(length))


P = 2**255 - 19
Y8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")  # a point of order 8


@pytest.mark.spec("KEY-1")
@pytest.mark.parametrize("y", [0, 1, P - 1, P, P + 1, int.from_bytes(Y8, "little"), P - int.from_bytes(Y8, "little")])
def test_an_ed25519_key_of_low_order_is_refused(y: int) -> None:
    for sign_bit in (0, 1 << 255):
        with pytest.raises(MalformedEncoding, match="low order"):
            PublicKey(ED25519, (y | sign_bit).to_bytes(32, "little"))


def test_a_public_key_of_another_algorithm_is_refused() -> None:
    with pytest.raises(WrongAlgorithm):
        PublicKey("ES256", bytes(32))


def test_a_signer_tells_no_seed_when_printed(signer: Signer) -> None:
    transport = TransportSigner.generate()
    for seed in (*signer.unsafe_seeds(), transport.unsafe_seed()):
        assert repr(seed)[2:-1] not in repr(signer) + repr(transport)


# what verifies


@pytest.mark.spec("KEY-3", "KEY-4", "KEY-6")
def test_a_statement_travels_and_verifies(statement: Statement, lookup: KeyLookup) -> None:
    read = parse_statement(statement.to_bytes())
    assert read == statement
    assert read.payload == PAYLOAD
    assert read.digest == digest(PAYLOAD)
    check(read, lookup)


@pytest.mark.spec("KEY-4")
def test_the_signed_bytes_are_the_two_strings_with_a_dot(statement: Statement, signer: Signer) -> None:
    for item, key in zip(members(statement)["signatures"], signer.public, strict=True):
        data = f"{item['protected']}.{b64u(PAYLOAD)}".encode()
        key.verify(unb64u(item["signature"]), data)
        assert unb64u(item["protected"]) == f'{{"alg":"{key.alg}","kid":"{key.kid}","typ":"ix-msg+jws"}}'.encode()


@pytest.mark.spec("KEY-2")
def test_ml_dsa_signs_with_an_empty_context(signer: Signer) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

    key = MLDSA44PublicKey.from_public_bytes(signer.public.mldsa44.raw)
    value = signer.sign_mldsa44(b"data")
    assert len(value) == 2420
    key.verify(value, b"data", b"")
    with pytest.raises(InvalidSignature):
        key.verify(value, b"data", b"ix/1")


def test_parties_sign_the_same_payload_one_after_another(signer: Signer, other: Signer, lookup: KeyLookup) -> None:
    both = cosign(sign(PAYLOAD, signer, Typ.AGREEMENT), other, Typ.AGREEMENT)
    check(parse_statement(both.to_bytes()), lookup, Typ.AGREEMENT)
    assert len(both.pairs) == 2
    assert both.digest == digest(PAYLOAD)


# what does not


@pytest.mark.spec("KEY-3")
@pytest.mark.parametrize(
    "keep", [[], [0], [1], [1, 0], [0, 0], [1, 1], [0, 1, 0], [0, 1, 1], [0, 0, 1, 1], [1, 0, 0, 1]]
)
def test_every_other_sequence_of_signatures_is_refused(statement: Statement, keep: list[int]) -> None:
    value = members(statement)
    value["signatures"] = [value["signatures"][i] for i in keep]
    with pytest.raises(WrongAlgorithm):
        parse_statement(write_json(value))


@pytest.mark.spec("KEY-3")
@pytest.mark.parametrize("alg", ["EdDSA", "none", "HS256", "ed25519", "ML-DSA-65", "ES256", ""])
def test_every_other_algorithm_is_refused(statement: Statement, alg: str, signer: Signer) -> None:
    for place in (0, 1):
        value = members(statement)
        header = json.loads(unb64u(value["signatures"][place]["protected"]))
        value["signatures"][place]["protected"] = b64u(write_json(header | {"alg": alg}))
        with pytest.raises(WrongAlgorithm):
            parse_statement(write_json(value))


@pytest.mark.spec("KEY-3", "KEY-4")
def test_an_ed25519_signature_under_the_name_of_ml_dsa_is_refused(signer: Signer, lookup: KeyLookup) -> None:
    """A header that claims ML-DSA-44 but names, and is signed by, the Ed25519 key."""
    ours = sign(PAYLOAD, signer, Typ.MESSAGE)
    protected = b64u(write_json({"alg": ML_DSA_44, "kid": signer.public.ed25519.kid, "typ": "ix-msg+jws"}))
    value = signer.sign_ed25519(f"{protected}.{ours.raw_payload}".encode())
    forged = Signature(protected, ML_DSA_44, signer.public.ed25519.kid, "ix-msg+jws", value)
    with pytest.raises(WrongAlgorithm):
        check(parse_statement(replace(ours, pairs=((ours.pairs[0][0], forged),)).to_bytes()), lookup)


@pytest.mark.spec("KEY-5")
@pytest.mark.parametrize("signed", list(Typ))
def test_a_signature_for_one_purpose_is_refused_for_every_other(signed: Typ, signer: Signer, lookup: KeyLookup) -> None:
    statement = sign(PAYLOAD, signer, signed)
    for typ in Typ:
        if typ is signed:
            check(statement, lookup, typ)
        else:
            with pytest.raises(WrongSignatureType):
                check(statement, lookup, typ)


@pytest.mark.spec("KEY-5")
def test_half_a_pair_for_another_purpose_is_refused(signer: Signer, lookup: KeyLookup) -> None:
    message, receipt = sign(PAYLOAD, signer, Typ.MESSAGE), sign(PAYLOAD, signer, Typ.RECEIPT)
    for pair in ((message.pairs[0][0], receipt.pairs[0][1]), (receipt.pairs[0][0], message.pairs[0][1])):
        with pytest.raises(WrongSignatureType):
            check(replace(message, pairs=(pair,)), lookup)


@pytest.mark.spec("KEY-4")
def test_a_signature_rewritten_to_another_typ_no_longer_verifies(statement: Statement, lookup: KeyLookup) -> None:
    value = members(statement)
    for item in value["signatures"]:
        header = json.loads(unb64u(item["protected"]))
        item["protected"] = b64u(write_json(header | {"typ": Typ.RECEIPT.value}))
    with pytest.raises(SignatureInvalid):
        check(parse_statement(write_json(value)), lookup, Typ.RECEIPT)


@pytest.mark.spec("KEY-4")
def test_a_signature_over_another_payload_is_refused(signer: Signer, statement: Statement, lookup: KeyLookup) -> None:
    elsewhere = sign(b"something else", signer, Typ.MESSAGE)
    for pair in (
        elsewhere.pairs[0],
        (statement.pairs[0][0], elsewhere.pairs[0][1]),
        (elsewhere.pairs[0][0], statement.pairs[0][1]),
    ):
        with pytest.raises(SignatureInvalid):
            check(replace(statement, pairs=(pair,)), lookup)


@pytest.mark.spec("KEY-4")
def test_a_stolen_signature_under_another_key_id_is_refused(
    statement: Statement, other: Signer, lookup: KeyLookup
) -> None:
    value = members(statement)
    for item, key in zip(value["signatures"], other.public, strict=True):
        header = json.loads(unb64u(item["protected"]))
        item["protected"] = b64u(write_json(header | {"kid": key.kid}))
    with pytest.raises(SignatureInvalid):
        check(parse_statement(write_json(value)), lookup)


@pytest.mark.spec("KEY-4")
@given(st.data())
def test_no_bit_of_a_statement_can_change(statement: Statement, lookup: KeyLookup, data: st.DataObject) -> None:
    raw = bytearray(statement.to_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Refusal):
        check(parse_statement(bytes(raw)), lookup)


@pytest.mark.spec("KEY-4")
@pytest.mark.parametrize("length", [0, 1, 63, 65, 2419, 2421, 4000])
def test_a_signature_of_another_length_is_refused(statement: Statement, lookup: KeyLookup, length: int) -> None:
    for place in (0, 1):
        pair = list(statement.pairs[0])
        pair[place] = replace(pair[place], value=bytes(length))
        with pytest.raises(SignatureInvalid):
            check(replace(statement, pairs=((pair[0], pair[1]),)), lookup)


# shape


def _drop(*path: Any) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        for part in path[:-1]:
            value = value[part]
        del value[path[-1]]

    return change


def _put(new: Any, *path: Any) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        for part in path[:-1]:
            value = value[part]
        value[path[-1]] = new

    return change


@pytest.mark.spec("KEY-6", "ENC-8")
@pytest.mark.parametrize(
    "change",
    [
        _drop("payload"),
        _drop("signatures"),
        _drop("signatures", 0, "protected"),
        _drop("signatures", 1, "signature"),
        _put(1, "more"),
        _put({}, "signatures", 0, "header"),
        _put(None, "payload"),
        _put(7, "payload"),
        _put("AB", "payload"),
        _put("AA==", "payload"),
        _put({}, "signatures"),
        _put(None, "signatures", 0),
        _put("x", "signatures", 0),
        _put(None, "signatures", 0, "signature"),
        _put("!", "signatures", 0, "signature"),
        _put("", "signatures", 0, "protected"),
        _put([], "signatures", 0, "protected"),
        _put(b64u(b"[]"), "signatures", 0, "protected"),
        _put(b64u(b'{"alg":"Ed25519","kid":"k"}'), "signatures", 0, "protected"),
        _put(b64u(b'{"alg":"Ed25519","kid":"k","typ":1}'), "signatures", 0, "protected"),
        _put(b64u(b'{"alg":"Ed25519","kid":"k","typ":"t","crit":["b64"]}'), "signatures", 0, "protected"),
        _put(b64u(b'{"alg":"Ed25519","kid":"k","typ":"t","jwk":{}}'), "signatures", 0, "protected"),
        _put(b64u(b'{"alg":"Ed25519","alg":"none","kid":"k","typ":"t"}'), "signatures", 0, "protected"),
    ],
)
def test_a_statement_of_another_shape_is_malformed(statement: Statement, change: Callable[[Any], None]) -> None:
    value = members(statement)
    change(value)
    with pytest.raises(MalformedEncoding):
        parse_statement(write_json(value))


@pytest.mark.spec("ENC-7")
def test_a_statement_too_large_is_refused(statement: Statement, signer: Signer) -> None:
    with pytest.raises(TooLarge):
        parse_statement(statement.to_bytes(), limit=100)
    with pytest.raises(TooLarge):
        parse_statement(sign(bytes(200_000), signer, Typ.MESSAGE).to_bytes())
    value = members(statement)
    value["signatures"][0]["protected"] = "A" * 516
    with pytest.raises(TooLarge):
        parse_statement(write_json(value))


@pytest.mark.spec("KEY-6")
def test_a_statement_has_at_most_64_pairs(statement: Statement) -> None:
    pair = members(statement)["signatures"]
    assert len(statement_from(statement.raw_payload, pair * 64).pairs) == 64
    with pytest.raises(WrongAlgorithm):
        statement_from(statement.raw_payload, pair * 65)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_statement_or_refused(data: bytes) -> None:
    with pytest.raises(Refusal):
        parse_statement(data)


_LEAF = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=6) | st.binary(max_size=30).map(b64u)
_ANY = st.recursive(_LEAF, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=4), x, max_size=3))
_ITEM = st.fixed_dictionaries({"protected": _ANY, "signature": _ANY}) | _ANY


@given(_ANY, st.lists(_ITEM, max_size=4) | _ANY)
def test_any_members_are_a_statement_or_refused(payload: Any, signatures: Any) -> None:
    with pytest.raises(Refusal):
        statement_from(payload, signatures)

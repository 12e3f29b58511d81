"""Project Wycheproof's edge cases, as far as they test what we call. Skipped where the public data is not at hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keys.encoding import b64u
from keys.errors import MalformedEncoding, SignatureInvalid
from keys.sealing import OpeningKey, SealingKey
from keys.signing import ED25519, PublicKey, ed25519_kid


def cases(folder: Path, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    path = folder / "C2SP+wycheproof" / "testvectors_v1" / f"{name}_test.json"
    if not path.is_file():
        pytest.skip(f"Wycheproof's {path.name} is not among the public data")
    for group in json.loads(path.read_bytes())["testGroups"]:
        for case in group["tests"]:
            yield group, case


@pytest.mark.spec("KEY-1", "KEY-4")
def test_ed25519_signatures(public_data: Path) -> None:
    seen = 0
    for group, case in cases(public_data, "ed25519"):
        seen += 1
        raw = bytes.fromhex(group["publicKey"]["pk"])
        key = PublicKey(ED25519, raw)
        assert group["publicKeyJwk"]["x"] == b64u(raw)
        assert key.kid == ed25519_kid(raw)
        message, value = bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])
        if case["result"] == "valid":
            key.verify(value, message)
        else:
            with pytest.raises(SignatureInvalid):
                key.verify(value, message)
    assert seen > 100


@pytest.mark.spec("KEY-8")
def test_x25519_agreements_and_the_low_order_keys_that_are_refused(public_data: Path) -> None:
    mlkem = OpeningKey.generate().public.raw[:1184]
    refused = 0
    for _, case in cases(public_data, "x25519"):
        public, private = bytes.fromhex(case["public"]), bytes.fromhex(case["private"])
        if "ZeroSharedSecret" in case["flags"]:
            refused += 1
            with pytest.raises(MalformedEncoding):
                SealingKey(mlkem + public)
            continue
        assert len(SealingKey(mlkem + public).wrap(bytes(32), bytes(32))) == 1168
        shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
        assert shared.hex() == case["shared"]
    assert refused > 10


@pytest.mark.spec("KEY-8")
def test_ml_kem_768_keys_and_ciphertexts(public_data: Path) -> None:
    seen = 0
    for _, case in cases(public_data, "mlkem_768"):
        seen += 1
        seed, ciphertext = bytes.fromhex(case["seed"]), bytes.fromhex(case["c"])
        if case["result"] == "valid":
            key = MLKEM768PrivateKey.from_seed_bytes(seed)
            assert key.decapsulate(ciphertext).hex() == case["K"]
            assert key.public_key().public_bytes_raw().hex() == case["ek"]
            MLKEM768PublicKey.from_public_bytes(bytes.fromhex(case["ek"]))
        else:
            with pytest.raises(ValueError):
                MLKEM768PrivateKey.from_seed_bytes(seed).decapsulate(ciphertext)
    assert seen > 100


@pytest.mark.spec("KEY-33")
def test_aes_256_gcm_with_the_nonces_we_use(public_data: Path) -> None:
    seen = 0
    for group, case in cases(public_data, "aes_gcm"):
        if (group["keySize"], group["ivSize"], group["tagSize"]) != (256, 96, 128):
            continue
        seen += 1
        nonce, aad = bytes.fromhex(case["iv"]), bytes.fromhex(case["aad"])
        plain, sealed = bytes.fromhex(case["msg"]), bytes.fromhex(case["ct"] + case["tag"])
        aead = AESGCM(bytes.fromhex(case["key"]))
        if case["result"] == "valid":
            assert aead.encrypt(nonce, plain, aad) == sealed
            assert aead.decrypt(nonce, sealed, aad) == plain
        else:
            with pytest.raises(InvalidTag):
                aead.decrypt(nonce, sealed, aad)
    assert seen > 50


@pytest.mark.spec("MSG-11")
def test_hkdf_sha256_which_hpke_uses(public_data: Path) -> None:
    for _, case in cases(public_data, "hkdf_sha256"):
        salt, info, ikm = (bytes.fromhex(case[name]) for name in ("salt", "info", "ikm"))
        if case["result"] == "valid":
            assert HKDF(SHA256(), case["size"], salt, info).derive(ikm).hex() == case["okm"]
        else:
            with pytest.raises(ValueError):
                HKDF(SHA256(), case["size"], salt, info)


@pytest.mark.spec("MSG-16")
def test_hmac_sha256_which_commitments_use(public_data: Path) -> None:
    import hmac

    for group, case in cases(public_data, "hmac_sha256"):
        tag = hmac.digest(bytes.fromhex(case["key"]), bytes.fromhex(case["msg"]), "sha256")
        same = hmac.compare_digest(tag[: group["tagSize"] // 8].hex(), case["tag"])
        assert same == (case["result"] == "valid")

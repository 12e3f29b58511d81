"""Writes ``keys.json``: known answers for `spec/encoding.md` and `spec/keys.md`. Run: python -m tests.vectors.make_keys

Private keys are SHA-256 of a label, so that anybody can make them again. ML-DSA signatures and HPKE wraps are
randomised: a second run writes others, equally good, so the file is written once and checked ever after.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from keys.ceremony import AgencyKeys, RootPlan, enrol, federation_id, new_root, revoke
from keys.encoding import b64u, digest, read_json, stamp, write_json
from keys.errors import Refusal
from keys.sealing import OpeningKey, encrypt_chunks, padded_length, pseudonym, seal_body
from keys.signing import Signer, Statement, TransportSigner, Typ, cosign, sign
from keys.trust import Directory

FILE = Path(__file__).with_name("keys.json")
NOTICE = "TEST VECTORS - these private keys are public"
NOW = datetime(2026, 11, 21, 16, 20, tzinfo=UTC)
AGENCY = "north.police.sim"


def seed(label: str) -> bytes:
    """SHA-256 of ``ix/1 test vector <label>``."""
    return hashlib.sha256(f"ix/1 test vector {label}".encode()).digest()


def a_signer(label: str) -> Signer:
    """Both signing keys of a label."""
    return Signer.from_seeds(seed(f"{label} ed25519"), seed(f"{label} mldsa44"))


def pattern(length: int) -> bytes:
    """Bytes 0, 1, ... 250, 0, 1, ...: the plaintext of the chunked bodies."""
    return bytes(n % 251 for n in range(length))


def make() -> dict[str, Any]:
    """All vectors, as they are written."""
    signer, opening = a_signer("alice"), OpeningKey.from_seed(seed("alice opening"))
    transport = TransportSigner.from_seed(seed("alice transport"))
    context = hashlib.sha256(b"context").digest()
    return {
        "notice": NOTICE,
        "seeds": "a private seed is SHA-256 of the ASCII `ix/1 test vector ` and the label",
        "base64url": {"read": {b64u(data): data.hex() for data in (b"", b"\0", b"\xfb\xff\xbf", b"ix/1")},
                      "refused": ["A", "AA==", "AB", "AAB", "+/+/", "AA A", "AAA\n", "ÄAAA"]},
        "times": {"read": {"2026-11-21T16:20:00Z": 1795278000000, "2026-11-21T16:20:00.123Z": 1795278000123},
                  "refused": ["2026-11-21T16:20:00+00:00", "2026-11-21T16:20:00.1Z", "2026-02-29T00:00:00Z",
                              "2026-11-21T24:00:00Z", "2026-11-21T16:20:60Z", "2026-11-21 16:20:00Z"]},
        "json": {"refused": _json()},
        "digest": {"ix/1": digest(b"ix/1")},
        "keys": {
            "alice ed25519": _key(seed("alice ed25519"), signer.public.ed25519.raw, signer.public.ed25519.kid),
            "alice mldsa44": _key(seed("alice mldsa44"), signer.public.mldsa44.raw, signer.public.mldsa44.kid),
            "alice opening": _key(seed("alice opening"), opening.public.raw, opening.public.kid)
            | {"expanded": b64u(hashlib.shake_256(seed("alice opening")).digest(96))},
            "alice transport": _key(seed("alice transport"), transport.public.raw, transport.public.kid),
        },
        "statement": {"payload": '{"v":"ix/1","typ":"example"}', "typ": "ix-msg+jws",
                      "json": sign(b'{"v":"ix/1","typ":"example"}', signer, Typ.MESSAGE).to_json()},
        "statements_refused": _statements(signer),
        "wrap": {"to": "alice opening", "content_key": b64u(seed("content key")), "context": b64u(context),
                 "wrap": b64u(opening.public.wrap(seed("content key"), context))},
        "chunked_plaintext": "byte i of a plaintext is i modulo 251",
        "chunked": [_chunked(length) for length in (0, 1, 1024, 16383, 16384, 16385, 32768)],
        "body": _body(context),
        "padded_lengths": {str(n): padded_length(n) for n in (36, 512, 513, 544, 545, 1024, 1025, 4097, 16385, 200000)},
        "pseudonym": {"key": b64u(seed("pseudonym")), "label": "officer", "value": "n.example",
                      "pseudonym": pseudonym(seed("pseudonym"), "officer", "n.example")},
        "federation": _federation(signer, opening, transport),
    }  # fmt: skip


def _key(private: bytes, public: bytes, kid: str) -> dict[str, str]:
    return {"seed": b64u(private), "public": b64u(public), "kid": kid}


def _json() -> dict[str, str]:
    deep = "[" * 16 + "1" + "]" * 16
    twice = ['{"a":1,"a":1}', '{"a":1,"\\u0061":2}']
    numbers = ["1.0", "1e3", "9007199254740992", "NaN"]
    return {deep: "too_large"} | dict.fromkeys(
        [*twice, *numbers, '"\\ud800"', "\ufeff{}", "{} {}", "[1,]"], "malformed"
    )


def _statements(signer: Signer) -> list[dict[str, Any]]:
    good = sign(b'{"v":"ix/1","typ":"example"}', signer, Typ.MESSAGE)
    (a, b), bob = good.pairs[0], sign(b"{}", signer, Typ.MESSAGE).pairs[0]

    def of(*signatures: Any) -> dict[str, Any]:
        return {"payload": good.raw_payload, "signatures": [
            {"protected": s.protected, "signature": b64u(s.value)} for s in signatures]}  # fmt: skip

    receipt = sign(good.payload, signer, Typ.RECEIPT).pairs[0]
    eddsa = replace(a, protected=b64u(write_json({"alg": "EdDSA", "kid": a.kid, "typ": a.typ})))
    return [
        {"why": "one signature stripped", "code": "wrong_algorithm", "json": of(a)},
        {"why": "the other stripped", "code": "wrong_algorithm", "json": of(b)},
        {"why": "in the other order", "code": "wrong_algorithm", "json": of(b, a)},
        {"why": "an algorithm of another name", "code": "wrong_algorithm", "json": of(eddsa, b)},
        {"why": "signed as a receipt", "code": "wrong_typ", "json": of(*receipt)},
        {"why": "half of it signed as a receipt", "code": "wrong_typ", "json": of(a, receipt[1])},
        {"why": "signatures over another payload", "code": "signature_invalid", "json": of(*bob)},
        {"why": "one signature over another payload", "code": "signature_invalid", "json": of(a, bob[1])},
        {"why": "a signature with a byte too many", "code": "signature_invalid",
         "json": of(replace(a, value=a.value + b"\0"), b)},
        {"why": "an unprotected header", "code": "malformed",
         "json": {"payload": good.raw_payload, "signatures": [{**of(a, b)["signatures"][0], "header": {}},
                                                              of(b)["signatures"][0]]}},
        {"why": "padding in the payload", "code": "malformed", "json": of(a, b) | {"payload": good.raw_payload + "="}},
    ]  # fmt: skip


def _chunked(length: int) -> dict[str, Any]:
    body = encrypt_chunks(pattern(length), seed("input key"), b"ix/1 test", salt=seed("salt")[:24])
    made = {"length": length, "input_key": b64u(seed("input key")), "context": "ix/1 test",
            "salt": b64u(seed("salt")[:24]), "sha256": digest(body)}  # fmt: skip
    return made | ({"body": b64u(body)} if length <= 1024 else {})


def _body(context: bytes) -> dict[str, str]:
    chance = {32: seed("commitment key"), 24: seed("salt")[:24]}
    body, commitment = seal_body(b'{"example":true}', seed("content key"), context, chance.__getitem__)
    return {"content": '{"example":true}', "content_key": b64u(seed("content key")), "context": b64u(context),
            "commitment_key": b64u(seed("commitment key")), "salt": b64u(seed("salt")[:24]), "body": b64u(body),
            "commitment": b64u(commitment)}  # fmt: skip


def _federation(signer: Signer, opening: OpeningKey, transport: TransportSigner) -> dict[str, Any]:
    roots, enrolment, log = [a_signer(f"root {n}") for n in (1, 2, 3)], a_signer("enrolment"), a_signer("log")
    broker = TransportSigner.from_seed(seed("broker transport"))
    plan = RootPlan("Test vectors", tuple(s.public for s in roots), 2, (enrolment.public,), "log.broker.sim/ix",
                    log.public, "broker.sim", (broker.public,))  # fmt: skip
    root = new_root(plan, roots[:2], now=NOW)
    fed, keys = federation_id(root), AgencyKeys(signer.public, opening.public, transport.public)
    record = enrol(fed, keys, enrolment, agency=AGENCY, name="North", roles=["police"], territory="XN",
                   ceiling="confidential", now=NOW)  # fmt: skip
    directory = Directory.build([root], [record], fed=fed, now=NOW)
    later = NOW + timedelta(days=10)
    gone = revoke(fed, directory.agency(AGENCY), [signer.public.ed25519.kid], enrolment, reason="lost", now=later)
    directory = directory.with_record(gone, later)
    ask = [NOW - timedelta(milliseconds=1), NOW, later - timedelta(milliseconds=1), later, NOW + timedelta(days=365)]
    return {
        "fed": fed,
        "now": stamp(later),
        "directory": read_json(directory.to_bytes(), limit=10**6),
        "signing_keys_at": [_judge(directory, signer, at) for at in ask],
        "roots_refused": _roots(roots, read_json(directory.root.statement.payload, limit=10**6)),
    }


def _judge(directory: Directory, signer: Signer, at: datetime) -> dict[str, Any]:
    lookup, answer = directory.signing_lookup(AGENCY, at), {"at": stamp(at)}
    for name, key in zip(("ed25519", "mldsa44"), signer.public, strict=True):
        try:
            lookup(key.kid, key.alg)
            answer[name] = "counts"
        except Refusal as refusal:
            answer[name] = refusal.code
    return answer


def _roots(roots: list[Signer], payload: dict[str, Any]) -> list[dict[str, Any]]:
    def signed(changed: dict[str, Any], signers: list[Signer], why: str) -> dict[str, Any]:
        statement = _sign_all(write_json(changed), signers)
        return {"why": why, "code": "root_refused", "fed": statement.digest, "json": statement.to_json()}

    unmarked = {name: value for name, value in payload.items() if name != "simulation"}
    return [
        signed(payload, roots[:1], "under its threshold"),
        signed(payload, [roots[0], roots[0]], "twice by the same key"),
        signed(unmarked, roots, "not marked as a simulation"),
        signed(payload | {"simulation": False}, roots, "marked as no simulation"),
        signed(payload | {"simulation": 1}, roots, "marked in another type"),
        signed(payload | {"more": 1}, roots, "a member too many"),
        signed(payload | {"min_protocol": "ix/2"}, roots, "needs a newer protocol"),
    ]


def _sign_all(payload: bytes, signers: list[Signer]) -> Statement:
    statement = sign(payload, signers[0], Typ.ROOT)
    for signer in signers[1:]:
        statement = cosign(statement, signer, Typ.ROOT)
    return statement


if __name__ == "__main__":
    FILE.write_text(json.dumps(make(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

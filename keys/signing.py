"""Signatures: every statement is signed twice, Ed25519 and ML-DSA-44, and says what it is for (KEY-1 to KEY-6).

The form is JWS General JSON (RFC 7515) with ``alg`` from RFC 9864 and RFC 9964 (both fully specified),
two signatures over the same payload bytes, and a ``typ`` that keeps messages, receipts, agreements,
records, roots and notices apart. A break of either algorithm alone forges nothing. There is one suite
and no negotiation.

This module owns the signing keys in memory. It reads no file (``keystore`` does) and knows no agency
(``trust`` does).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from keys.encoding import b64u, digest, read_json, unb64u, write_json
from keys.errors import MalformedEncoding, SignatureInvalid, TooLarge, WrongAlgorithm, WrongSignatureType

ED25519: Final = "Ed25519"
ML_DSA_44: Final = "ML-DSA-44"
ALGORITHMS: Final = (ED25519, ML_DSA_44)
"""The two signatures of every statement, in the order they are written (KEY-3)."""


_P = 2**255 - 19
_Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_LOW_ORDER_Y = frozenset({0, 1, _P - 1, _Y8, _P - _Y8})
"""The y coordinates of the eight points of low order on edwards25519."""


class Typ(StrEnum):
    """What a signature is for; one made for one purpose is refused for every other (KEY-5)."""

    MESSAGE = "ix-msg+jws"
    RECEIPT = "ix-rcpt+jws"
    AGREEMENT = "ix-agr+jws"
    RECORD = "ix-rec+jws"
    ROOT = "ix-root+jws"
    NOTICE = "ix-ntc+jws"
    ACT = "ix-act+jws"


def ed25519_kid(public: bytes) -> str:
    """Name a 32-byte Ed25519 public key by its RFC 7638 thumbprint."""
    return digest(write_json({"crv": "Ed25519", "kty": "OKP", "x": b64u(public)}))


def mldsa_kid(public: bytes) -> str:
    """Name a 1312-byte ML-DSA-44 public key by its RFC 7638 thumbprint (key type AKP, RFC 9964)."""
    return digest(write_json({"alg": ML_DSA_44, "kty": "AKP", "pub": b64u(public)}))


class PublicKey:
    """One public signing key of one algorithm, parsed once, named by its thumbprint."""

    __slots__ = ("_verify", "alg", "kid", "raw")

    def __init__(self, alg: str, raw: bytes) -> None:
        self.alg, self.raw = alg, raw
        try:
            if alg == ED25519:
                y = int.from_bytes(raw, "little") % 2**255  # the highest bit is the sign of x
                if y >= _P or y in _LOW_ORDER_Y:
                    raise MalformedEncoding("an Ed25519 key of low order, or in a second spelling, is none")
                self.kid, self._verify = ed25519_kid(raw), Ed25519PublicKey.from_public_bytes(raw).verify
            elif alg == ML_DSA_44:
                self.kid, self._verify = mldsa_kid(raw), MLDSA44PublicKey.from_public_bytes(raw).verify
            else:
                raise WrongAlgorithm(f"`{alg}` is not a signature algorithm of ix/1")
        except ValueError:
            raise MalformedEncoding(f"these {len(raw)} bytes are not an {alg} public key") from None

    def verify(self, signature: bytes, data: bytes) -> None:
        """Return if ``signature`` is this key's over ``data``; raise ``SignatureInvalid`` otherwise."""
        try:
            self._verify(signature, data)
        except (InvalidSignature, ValueError):
            raise SignatureInvalid(f"the {self.alg} signature does not verify") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and other.kid == self.kid

    def __hash__(self) -> int:
        return hash(self.kid)

    def __repr__(self) -> str:
        return f"PublicKey({self.alg} {self.kid})"


@dataclass(frozen=True, slots=True)
class PublicPair:
    """The two public keys with which one party signs: ``ed25519`` and ``mldsa44``."""

    ed25519: PublicKey
    mldsa44: PublicKey

    def __iter__(self) -> Any:
        return iter((self.ed25519, self.mldsa44))


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs statements with both algorithms. Private halves are the two 32-byte seeds (D9)."""

    public: PublicPair
    _ed25519: Ed25519PrivateKey = field(repr=False)
    _mldsa44: MLDSA44PrivateKey = field(repr=False)
    _seeds: tuple[bytes, bytes] = field(repr=False)

    @classmethod
    def from_seeds(cls, ed25519_seed: bytes, mldsa44_seed: bytes) -> Signer:
        """Expand two 32-byte seeds (RFC 8032; FIPS 204 algorithm 6) into a signer."""
        ed, ml = Ed25519PrivateKey.from_private_bytes(ed25519_seed), MLDSA44PrivateKey.from_seed_bytes(mldsa44_seed)
        public = PublicPair(
            PublicKey(ED25519, ed.public_key().public_bytes_raw()),
            PublicKey(ML_DSA_44, ml.public_key().public_bytes_raw()),
        )
        return cls(public, ed, ml, (ed25519_seed, mldsa44_seed))

    @classmethod
    def generate(cls) -> Signer:
        """Make a signer from fresh randomness."""
        return cls.from_seeds(os.urandom(32), os.urandom(32))

    def unsafe_seeds(self) -> tuple[bytes, bytes]:
        """Hand out the private seeds; only ``keystore`` has a reason to ask."""
        return self._seeds

    def sign_ed25519(self, data: bytes) -> bytes:
        """Sign raw bytes with the Ed25519 half alone (64 bytes): signed notes and HTTP calls."""
        return self._ed25519.sign(data)

    def sign_mldsa44(self, data: bytes) -> bytes:
        """Sign raw bytes with the ML-DSA-44 half alone (2420 bytes): checkpoint cosignatures."""
        return self._mldsa44.sign(data)


@dataclass(frozen=True, slots=True)
class Signature:
    """One parsed JWS signature: who (``kid``), how (``alg``), what for (``typ``), not yet verified."""

    protected: str
    alg: str
    kid: str
    typ: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Statement:
    """A parsed JWS General JSON object: the payload as it travelled, and one signature pair per signer.

    Nothing is verified yet. ``raw_payload`` is the base64url text that was signed; ``payload`` its bytes.
    """

    raw_payload: str
    payload: bytes
    pairs: tuple[tuple[Signature, Signature], ...]

    @property
    def digest(self) -> str:
        """The statement's name: SHA-256 of the payload bytes."""
        return digest(self.payload)

    def to_json(self) -> dict[str, Any]:
        """The JWS General JSON members, to be written with ``write_json``."""
        return {"payload": self.raw_payload, "signatures": signatures_json(self.pairs)}

    def to_bytes(self) -> bytes:
        """The statement as it is stored and sent."""
        return write_json(self.to_json())


def signatures_json(pairs: Sequence[tuple[Signature, Signature]]) -> list[dict[str, str]]:
    """Write signature pairs as the ``signatures`` member of a JWS."""
    return [{"protected": s.protected, "signature": b64u(s.value)} for pair in pairs for s in pair]


def sign(payload: bytes, signer: Signer, typ: Typ) -> Statement:
    """Sign payload bytes for one purpose; the result carries one pair of signatures."""
    raw = b64u(payload)
    return Statement(raw, payload, (_sign_pair(raw, signer, typ),))


def cosign(statement: Statement, signer: Signer, typ: Typ) -> Statement:
    """Add another party's pair over the same payload (an agreement has one pair per party)."""
    pair = _sign_pair(statement.raw_payload, signer, typ)
    return Statement(statement.raw_payload, statement.payload, (*statement.pairs, pair))


def _sign_pair(raw_payload: str, signer: Signer, typ: Typ) -> tuple[Signature, Signature]:
    made: list[Signature] = []
    for key, sign_one in zip(signer.public, (signer.sign_ed25519, signer.sign_mldsa44), strict=True):
        protected = _protected(key.alg, key.kid, typ)
        value = sign_one(f"{protected}.{raw_payload}".encode("ascii"))
        made.append(Signature(protected, key.alg, key.kid, typ.value, value))
    return made[0], made[1]


@lru_cache(maxsize=256)  # the same in all that one key signs for one purpose
def _protected(alg: str, kid: str, typ: Typ) -> str:
    return b64u(write_json({"alg": alg, "kid": kid, "typ": typ.value}))


MAX_STATEMENT: Final = 256 * 1024
MAX_SIGNERS: Final = 64
MAX_PROTECTED: Final = 512
_TOKEN = re.compile(r"[A-Za-z0-9+._-]{0,64}", re.ASCII)
"""What a header's values look like: they stand in sentences that people read, so nothing in them may steer a screen."""


def parse_statement(data: bytes, *, limit: int = MAX_STATEMENT) -> Statement:
    """Read a JWS General JSON object strictly; believe nothing yet."""
    value = read_json(data, limit=limit)
    if type(value) is not dict or set(value) != {"payload", "signatures"}:
        raise MalformedEncoding("a signed statement has exactly the members `payload` and `signatures`")
    return statement_from(value["payload"], value["signatures"])


def statement_from(raw_payload: Any, signatures: Any) -> Statement:
    """Read the two members of a JWS that were found inside a larger object (the envelope)."""
    if type(raw_payload) is not str or type(signatures) is not list:
        raise MalformedEncoding("`payload` is a string and `signatures` a list")
    if not signatures or len(signatures) % 2 or len(signatures) > 2 * MAX_SIGNERS:
        raise WrongAlgorithm("every signer signs exactly twice, Ed25519 and then ML-DSA-44")
    read = [_parse_signature(item) for item in signatures]
    pairs = tuple((read[i], read[i + 1]) for i in range(0, len(read), 2))
    for pair in pairs:
        if (pair[0].alg, pair[1].alg) != ALGORITHMS:
            raise WrongAlgorithm("every signer signs exactly twice, Ed25519 and then ML-DSA-44")
    return Statement(raw_payload, unb64u(raw_payload), pairs)


def _parse_signature(item: Any) -> Signature:
    if type(item) is not dict or set(item) != {"protected", "signature"}:
        raise MalformedEncoding("a signature has exactly the members `protected` and `signature`")
    protected, value = item["protected"], item["signature"]
    if type(protected) is not str or type(value) is not str:
        raise MalformedEncoding("`protected` and `signature` are base64url strings")
    if len(protected) > MAX_PROTECTED:
        raise TooLarge(f"a protected header has at most {MAX_PROTECTED} characters")
    return Signature(protected, *_parse_protected(protected), unb64u(value))


@lru_cache(maxsize=4096)  # a sender's protected header is the same in all its messages
def _parse_protected(protected: str) -> tuple[str, str, str]:
    header = read_json(unb64u(protected), limit=MAX_PROTECTED)
    if type(header) is not dict or set(header) != {"alg", "kid", "typ"}:
        raise MalformedEncoding("a protected header has exactly `alg`, `kid` and `typ`")
    if not all(type(v) is str and _TOKEN.fullmatch(v) for v in header.values()):
        raise MalformedEncoding("`alg`, `kid` and `typ` are strings of at most 64 of A-Z a-z 0-9 + - . _")
    return header["alg"], header["kid"], header["typ"]


KeyLookup = Callable[[str, str], PublicKey]
"""``lookup(kid, alg)`` returns the key that may sign here, or raises a refusal that says why not."""


def verify_pair(raw_payload: str, pair: tuple[Signature, Signature], lookup: KeyLookup, typ: Typ) -> None:
    """Return if both signatures of one signer verify for ``typ``; raise the exact refusal otherwise."""
    for signature, alg in zip(pair, ALGORITHMS, strict=True):
        if signature.typ != typ:
            raise WrongSignatureType(f"signed as `{signature.typ}` where `{typ.value}` is needed")
        if signature.alg != alg:
            raise WrongAlgorithm("every signer signs exactly twice, Ed25519 and then ML-DSA-44")
        signing_input = f"{signature.protected}.{raw_payload}".encode("ascii")
        lookup(signature.kid, alg).verify(signature.value, signing_input)


@dataclass(frozen=True, slots=True)
class TransportSigner:
    """Signs HTTP calls (RFC 9421). Ed25519 alone: it protects a call that is over in seconds, not evidence."""

    public: PublicKey
    _key: Ed25519PrivateKey = field(repr=False)
    _seed: bytes = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> TransportSigner:
        """Expand a 32-byte seed into a transport key."""
        key = Ed25519PrivateKey.from_private_bytes(seed)
        return cls(PublicKey(ED25519, key.public_key().public_bytes_raw()), key, seed)

    @classmethod
    def generate(cls) -> TransportSigner:
        """Make a transport key from fresh randomness."""
        return cls.from_seed(os.urandom(32))

    def sign(self, data: bytes) -> bytes:
        """Sign an RFC 9421 signature base (64 bytes)."""
        return self._key.sign(data)

    def unsafe_seed(self) -> bytes:
        """Hand out the private seed; only ``keystore`` has a reason to ask."""
        return self._seed

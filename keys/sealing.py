"""Seals: a content key wrapped for each recipient, and a body that only that key opens (MSG-10 to MSG-25).

The content key travels by HPKE base mode (RFC 9180) with MLKEM768-X25519 (0x647a), HKDF-SHA256 and
AES-256-GCM. The body is C2SP chunked-encryption, Cobblestone-256, which commits to its key: no two
recipients can be shown two texts. Both are bound to a *context*, the hash of who sends what to whom
under which agreement, so a wrap or body moved into another message opens for nobody.

This module owns the encryption keys and all randomness of a message. ``Chance`` can be replaced in
tests and vectors only.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from keys.encoding import b64u, digest, write_json
from keys.errors import (
    BodyDamaged,
    CommitmentMismatch,
    KeyCommitmentMismatch,
    MalformedEncoding,
    PaddingInvalid,
    UnsealingFailed,
)

SUITE: Final = "647a-0001-0002"
"""The one suite of ix/1: HPKE KEM, KDF and AEAD numbers (IANA), in hexadecimal."""
HPKE_ALG: Final = "HPKE-647a-0001-0002"
PUBLIC_LENGTH: Final = 1216
WRAP_LENGTH: Final = 1120 + 48
CHUNK: Final = 16 * 1024
TAG: Final = 16
SALT: Final = 24
HEADER: Final = SALT + 32
MIN_PLAINTEXT: Final = 512
PLAINTEXT_HEADER: Final = 36
"""32 bytes of commitment key and a 4-byte length stand before the content."""

_HPKE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_ANY_X25519 = X25519PrivateKey.from_private_bytes(bytes(31) + b"\x40")
_COBBLESTONE = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00"

Chance = Callable[[int], bytes]
"""Where random bytes come from: ``chance(n)`` returns n of them."""
SYSTEM_CHANCE: Final[Chance] = os.urandom
"""The operating system's randomness; other rooms take it from here and draw none themselves."""


def sealing_kid(public: bytes) -> str:
    """Name a 1216-byte MLKEM768-X25519 public key by its RFC 7638 thumbprint."""
    return digest(write_json({"alg": HPKE_ALG, "kty": "AKP", "pub": b64u(public)}))


class SealingKey:
    """A recipient's public encryption key: ML-KEM-768 (1184 bytes) then X25519 (32 bytes)."""

    __slots__ = ("_key", "kid", "raw")

    def __init__(self, raw: bytes) -> None:
        if len(raw) != PUBLIC_LENGTH:
            raise MalformedEncoding(f"an encryption key has {PUBLIC_LENGTH} bytes, not {len(raw)}")
        try:
            self._key = MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(raw[:1184]), X25519PublicKey.from_public_bytes(raw[1184:])
            )
            # A low-order X25519 part adds no secret, and wrapping for it would fail (RFC 7748 section 6.1).
            _ANY_X25519.exchange(X25519PublicKey.from_public_bytes(raw[1184:]))
        except ValueError:
            raise MalformedEncoding("these bytes are not an MLKEM768-X25519 public key") from None
        self.raw, self.kid = raw, sealing_kid(raw)

    def wrap(self, content_key: bytes, context: bytes) -> bytes:
        """Wrap a 32-byte content key for this recipient in this 32-byte context (1168 bytes)."""
        return _HPKE.encrypt(content_key, self._key, info=b"ix/1 cek\n" + context)

    def __repr__(self) -> str:
        return f"SealingKey({self.kid})"


@dataclass(frozen=True, slots=True)
class OpeningKey:
    """A recipient's private encryption key, expanded once from its 32-byte seed."""

    public: SealingKey
    _key: MLKEM768X25519PrivateKey = field(repr=False)
    _seed: bytes = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> OpeningKey:
        """Expand a 32-byte seed: SHAKE256(seed, 96) is the 64-byte ML-KEM seed, then the X25519 scalar."""
        if len(seed) != 32:
            raise MalformedEncoding("an encryption key's seed has 32 bytes")
        expanded = hashlib.shake_256(seed).digest(96)
        mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        x25519 = X25519PrivateKey.from_private_bytes(expanded[64:])
        public = SealingKey(mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw())
        return cls(public, MLKEM768X25519PrivateKey(mlkem, x25519), seed)

    @classmethod
    def generate(cls) -> OpeningKey:
        """Make an opening key from fresh randomness."""
        return cls.from_seed(os.urandom(32))

    def unsafe_seed(self) -> bytes:
        """Hand out the private seed; only ``keystore`` has a reason to ask."""
        return self._seed

    def unwrap(self, wrap: bytes, context: bytes) -> bytes:
        """Recover the content key, or refuse: the wrap is not for this key or not of this context."""
        if len(wrap) != WRAP_LENGTH:
            raise UnsealingFailed(f"a wrap has {WRAP_LENGTH} bytes, not {len(wrap)}")
        try:
            content_key = _HPKE.decrypt(wrap, self._key, info=b"ix/1 cek\n" + context)
        except (InvalidTag, ValueError):
            raise UnsealingFailed("this key cannot open this wrap in this context") from None
        if len(content_key) != 32:
            raise UnsealingFailed("the wrap holds something other than a 32-byte content key")
        return content_key


def new_content_key(chance: Chance = os.urandom) -> bytes:
    """Draw a 32-byte content key, used for one message and no other."""
    return chance(32)


def new_period_key() -> bytes:
    """Draw a 32-byte key for pseudonyms, which follows from nothing and can be forgotten."""
    return os.urandom(32)


def commit(commitment_key: bytes, context: bytes, content: bytes) -> bytes:
    """Commit to a content in a context: HMAC-SHA-256 under a key that travels inside the ciphertext."""
    return hmac.digest(commitment_key, b"ix/1 commit\n" + context + content, "sha256")


def seal_body(content: bytes, content_key: bytes, context: bytes, chance: Chance = os.urandom) -> tuple[bytes, bytes]:
    """Seal a content; returns the body bytes and the 32-byte commitment for the manifest."""
    commitment_key = chance(32)
    plain = pad(commitment_key, content)
    body = encrypt_chunks(plain, content_key, b"ix/1 body\n" + context, salt=chance(SALT))
    return body, commit(commitment_key, context, content)


def open_body(body: bytes, content_key: bytes, context: bytes, commitment: bytes) -> bytes:
    """Open a body and return its content, checking key commitment, chunks, padding and commitment in turn."""
    plain = decrypt_chunks(body, content_key, b"ix/1 body\n" + context)
    commitment_key, content = unpad(plain)
    if not hmac.compare_digest(commit(commitment_key, context, content), commitment):
        raise CommitmentMismatch("the content is not the one the manifest commits to")
    return content


def padded_length(length: int) -> int:
    """Round a plaintext length up so that it tells at most its magnitude (Padme), and 512 at least."""
    if length <= MIN_PLAINTEXT:
        return MIN_PLAINTEXT
    exponent = length.bit_length() - 1
    low_bits = exponent - exponent.bit_length()
    mask = (1 << low_bits) - 1
    return (length + mask) & ~mask


def pad(commitment_key: bytes, content: bytes) -> bytes:
    """Lay out a plaintext: commitment key, content length (u32, big-endian), content, zeros."""
    head = commitment_key + struct.pack(">I", len(content))
    length = padded_length(len(head) + len(content))
    return (head + content).ljust(length, b"\0")


def unpad(plain: bytes) -> tuple[bytes, bytes]:
    """Take a plaintext apart; any length or padding other than the one ``pad`` writes is refused."""
    if len(plain) < MIN_PLAINTEXT:
        raise PaddingInvalid("the plaintext is shorter than any message")
    (length,) = struct.unpack_from(">I", plain, 32)
    end = PLAINTEXT_HEADER + length
    if padded_length(end) != len(plain) or plain.count(b"\0", end) != len(plain) - end:
        raise PaddingInvalid("the plaintext's length field and padding do not agree")
    return plain[:32], plain[PLAINTEXT_HEADER:end]


def encrypt_chunks(plain: bytes, input_key: bytes, context: bytes, *, salt: bytes) -> bytes:
    """Encrypt with C2SP chunked-encryption, Cobblestone-256; the salt must never repeat for a key."""
    aead, nonce, commitment = _derive(input_key, salt, context)
    chunks = [plain[i : i + CHUNK] for i in range(0, len(plain) + 1, CHUNK)]
    sealed = [aead.encrypt((nonce ^ n).to_bytes(12, "big"), chunk, None) for n, chunk in enumerate(chunks)]
    return b"".join((salt, commitment, *sealed))


def decrypt_chunks(body: bytes, input_key: bytes, context: bytes) -> bytes:
    """Decrypt a Cobblestone-256 message; nothing is returned unless every chunk and the ending are right."""
    if len(body) < HEADER + TAG or (len(body) - HEADER) % (CHUNK + TAG) < TAG:
        raise BodyDamaged("the body is truncated: no valid message has this length")
    aead, nonce, commitment = _derive(input_key, body[:SALT], context)
    if not hmac.compare_digest(commitment, body[SALT:HEADER]):
        raise KeyCommitmentMismatch("the body was not sealed under this content key in this context")
    plain: list[bytes] = []
    try:
        for n, at in enumerate(range(HEADER, len(body), CHUNK + TAG)):
            plain.append(aead.decrypt((nonce ^ n).to_bytes(12, "big"), body[at : at + CHUNK + TAG], None))
    except InvalidTag:
        raise BodyDamaged(f"chunk {len(plain)} of the body does not authenticate") from None
    return b"".join(plain)


def _derive(input_key: bytes, salt: bytes, context: bytes) -> tuple[AESGCM, int, bytes]:
    derived = HKDFExpand(SHA512(), 32 + 12 + 32, _COBBLESTONE + salt + context).derive(input_key)
    return AESGCM(derived[:32]), int.from_bytes(derived[32:44], "big"), derived[44:]


def pseudonym(key: bytes, label: str, value: str) -> str:
    """Name a person or case so that only the holder of ``key`` (32 bytes) can tell who it is (HMAC-SHA-256)."""
    return b64u(hmac.digest(key, f"ix/1 {label}\n{value}".encode(), "sha256"))


def new_message_id(now: datetime, chance: Chance = os.urandom) -> str:
    """Make a UUIDv7 (RFC 9562 section 5.7): time-ordered, so that indexes stay dense."""
    millis = int(now.timestamp() * 1000)
    value = (millis << 80) | int.from_bytes(chance(10), "big")
    value = (value & ~(0xF << 76) & ~(0x3 << 62)) | (0x7 << 76) | (0x2 << 62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

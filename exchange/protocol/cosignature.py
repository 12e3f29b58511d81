"""Cosignatures: what others say about a log's checkpoint, as C2SP tlog-cosignature writes it (WIT-1 to WIT-5).

A cosigner states that, at a time, the largest tree of a log it has seen is this one, and that it fits with every other
it has seen. Ours say it twice, in Ed25519 (type 0x04) and in ML-DSA-44 (0x06), so that verifiers who know only one of
the two can count them. Keys travel as C2SP verifier keys, names and all; what a cosigner must check before it signs is
in ``witnessing``, how many of them are enough in ``quorum``.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from exchange.protocol.errors import CheckpointInvalid, CosignatureInvalid, VerifierKeyMalformed
from exchange.protocol.log import (
    MAX_TIMESTAMP,
    NoteSignature,
    cosigned_message,
    key_id,
    key_name,
    read_checkpoint_text,
    split_note,
)
from keys.errors import MalformedEncoding, SignatureInvalid
from keys.signing import ED25519, ML_DSA_44, PublicKey, Signer
from keys.trust import LogIdentity

LOG_ED25519: Final = 0x01
COSIGN_ED25519: Final = 0x04
COSIGN_MLDSA44: Final = 0x06
_ALGORITHM: Final = {LOG_ED25519: ED25519, COSIGN_ED25519: ED25519, COSIGN_MLDSA44: ML_DSA_44}
_LENGTH: Final = {LOG_ED25519: 64, COSIGN_ED25519: 8 + 64, COSIGN_MLDSA44: 8 + 2420}
MAX_NAME: Final = 255
"""Bytes of a cosigner's name: its length travels in one byte."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """Whose signature line to look for, and the key that verifies it; written as a C2SP *vkey*."""

    name: str
    kind: int
    key: PublicKey

    @property
    def id(self) -> bytes:
        """The four bytes by which a signature line names this key."""
        return key_id(self.name, self.kind, self.key.raw)

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.kind]) + self.key.raw).decode()}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a vkey strictly: a name, the key id that follows from the rest, and a key of a type known here."""
        name, _, rest = text.partition("+")
        shown, _, encoded = rest.partition("+")
        try:
            data = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            data = b""
        if (
            not key_name(name)
            or len(name.encode()) > MAX_NAME
            or base64.b64encode(data).decode() != encoded
            or not data
        ):
            raise VerifierKeyMalformed("a verifier key is a name, a key id and a base64 text, joined by `+`")
        algorithm = _ALGORITHM.get(data[0])
        if algorithm is None:
            raise VerifierKeyMalformed("a verifier key is of type 0x01, 0x04 (Ed25519) or 0x06 (ML-DSA-44)")
        try:
            key = cls(name, data[0], PublicKey(algorithm, data[1:]))
        except MalformedEncoding as refusal:
            raise VerifierKeyMalformed(refusal.sentence) from None
        if shown != key.id.hex():
            raise VerifierKeyMalformed("the key id of a verifier key does not follow from its name and key")
        return key


def log_keys(identity: LogIdentity) -> tuple[VerifierKey, VerifierKey]:
    """A log's own two keys, as those of anybody else who signs its checkpoints."""
    return (
        VerifierKey(identity.origin, LOG_ED25519, identity.ed25519),
        VerifierKey(identity.origin, COSIGN_MLDSA44, identity.mldsa44),
    )


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A name and a pair of keys that cosign checkpoints. Keys of its own: no other statement is made with them."""

    name: str
    signer: Signer = field(repr=False)

    @property
    def keys(self) -> tuple[VerifierKey, VerifierKey]:
        """The two public keys others verify with, Ed25519 first."""
        public = self.signer.public
        return (
            VerifierKey(self.name, COSIGN_ED25519, public.ed25519),
            VerifierKey(self.name, COSIGN_MLDSA44, public.mldsa44),
        )

    def cosign(self, text: str, now: datetime) -> str:
        """The two signature lines to add to a checkpoint of this text (origin, size, root, each with its LF)."""
        origin, size, root = read_checkpoint_text(text)
        timestamp = int(now.timestamp())
        signatures = (
            self.signer.sign_ed25519(_timed_text(text, timestamp)),
            self.signer.sign_mldsa44(cosigned_message(self.name, origin, size, root, timestamp)),
        )
        return "".join(
            _line(key, struct.pack(">Q", timestamp) + made) for key, made in zip(self.keys, signatures, strict=True)
        )


def _line(key: VerifierKey, signature: bytes) -> str:
    return f"\u2014 {key.name} {base64.b64encode(key.id + signature).decode()}\n"


def _timed_text(text: str, timestamp: int) -> bytes:
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()


def verify_line(note: str, key: VerifierKey) -> datetime | None:
    """Say when ``key`` signed this checkpoint, or none if it did not; a line of its that does not hold is refused.

    A log's own Ed25519 line (0x01) carries no time; it counts as signed at the epoch's first second.
    """
    text, signatures = split_note(note)
    found = [line.signature for line in _of(signatures, key)]
    if not found:
        return None
    if len(found) != 1 or len(found[0]) != _LENGTH[key.kind]:
        raise CosignatureInvalid(f"`{key.name}` signs a checkpoint once, with {_LENGTH[key.kind]} bytes")
    timestamp, signature = 0, found[0]
    if key.kind != LOG_ED25519:
        timestamp, signature = int.from_bytes(found[0][:8], "big"), found[0][8:]
    if timestamp > MAX_TIMESTAMP or (key.kind != LOG_ED25519 and not timestamp):
        raise CosignatureInvalid(f"the time at which `{key.name}` says it signed is none")
    try:
        key.key.verify(signature, _message(key, text, timestamp))
    except SignatureInvalid:
        raise CosignatureInvalid(f"the line of `{key.name}` on this checkpoint does not verify") from None
    return datetime.fromtimestamp(timestamp, UTC)


def _message(key: VerifierKey, text: str, timestamp: int) -> bytes:
    if key.kind == LOG_ED25519:
        return text.encode()
    if key.kind == COSIGN_ED25519:
        return _timed_text(text, timestamp)
    return cosigned_message(key.name, *read_checkpoint_text(text), timestamp)


def _of(signatures: tuple[NoteSignature, ...], key: VerifierKey) -> Iterator[NoteSignature]:
    return (line for line in signatures if line.name == key.name and line.key_id == key.id)


def add_lines(note: str, lines: str, keys: tuple[VerifierKey, ...]) -> str:
    """The checkpoint with those of ``lines`` that known keys made and that verify, each once; others are left out.

    So a witness's answer may hold anything, and nothing of it is passed on that was not verified here.
    """
    kept = note
    for line in lines.splitlines(keepends=True):
        try:
            with_it = kept + line
            _, signatures = split_note(with_it)
            made = next((key for key in keys if list(_of(signatures[-1:], key))), None)
            if made is not None and not list(_of(signatures[:-1], made)) and verify_line(with_it, made) is not None:
                kept = with_it
        except (CheckpointInvalid, CosignatureInvalid):
            continue
    return kept

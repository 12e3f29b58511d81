"""A box for what rests: bytes locked under a key that only this machine's keystore yields (NODE-60 to NODE-62).

AES-256-GCM with a fresh 96-bit random nonce per box and the *context* (what the bytes are, and whose) as
associated data, so a box moved to another place does not open there. One key may lock 2^32 boxes; a node
that reaches that number has run for a century.

This module draws its own randomness and reads no file. It is not for messages that travel: those are
sealed (``sealing``), and commit to their key. Nothing here does.
"""

from __future__ import annotations

import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.errors import KeystoreRefused

NONCE: Final = 12
TAG: Final = 16


def fresh(count: int) -> bytes:
    """Draw random bytes for what is neither a key nor a seal: tokens, salts, the jitter of a retry."""
    return os.urandom(count)


class Vault:
    """Locks bytes for storage, opens what it locked, and seals a hash so that only it could have."""

    __slots__ = ("_aead", "_seal_key")

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError("a vault's key has 32 bytes")
        self._aead = AESGCM(hmac.digest(key, b"ix/1 vault box", "sha256"))
        self._seal_key = hmac.digest(key, b"ix/1 vault seal", "sha256")

    @classmethod
    def derive(cls, secret: bytes, label: str) -> Vault:
        """Make the vault of one purpose (``label``) out of a 32-byte secret that the keystore holds."""
        if len(secret) < 32:
            raise ValueError("a vault is derived from a secret of at least 32 bytes")
        return cls(hmac.digest(secret, f"ix/1 vault\n{label}".encode(), "sha256"))

    def lock(self, data: bytes, context: str) -> bytes:
        """Encrypt for storage under a context, such as ``inbox <digest>``: nonce, then ciphertext and tag."""
        nonce = os.urandom(NONCE)
        return nonce + self._aead.encrypt(nonce, data, context.encode())

    def unlock(self, box: bytes, context: str) -> bytes:
        """Open a box locked under this very context; refused if a bit of it, or its place, was changed."""
        if len(box) < NONCE + TAG:
            raise KeystoreRefused("a stored box is too short to be one")
        try:
            return self._aead.decrypt(box[:NONCE], box[NONCE:], context.encode())
        except InvalidTag:
            raise KeystoreRefused("a stored box was changed, moved, or locked under another key") from None

    def seal(self, data: bytes) -> bytes:
        """Authenticate bytes that stay readable: HMAC-SHA-256 under a key of its own (32 bytes)."""
        return hmac.digest(self._seal_key, data, "sha256")

    def check_seal(self, data: bytes, seal: bytes) -> None:
        """Return if this vault made ``seal`` over ``data``; refused otherwise."""
        if not hmac.compare_digest(self.seal(data), seal):
            raise KeystoreRefused("a stored seal was not made by this vault over these bytes")

    def __repr__(self) -> str:
        return "Vault()"

"""Refusals: what the other party did wrong, each with a stable code.

A *refusal* is not a fault of ours and not a decision of an agreement. It says, in one sentence a
person can act on, which rule of ``spec/`` was broken, and it never carries a secret, a plaintext or a
person's name. ``exchange/http.py`` gives each family its HTTP status; nothing else does.
"""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """Base of every refusal; ``code`` is stable and listed in ``spec/errors.md``."""

    code: ClassVar[str] = "refused"

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class MalformedEncoding(Refusal):
    """Bytes that are not the one encoding `spec/encoding.md` allows (ENC-1 to ENC-6)."""

    code = "malformed"


class TooLarge(Refusal):
    """More bytes, items or nesting than the spec allows (ENC-7)."""

    code = "too_large"


class SignatureInvalid(Refusal):
    """A signature is absent, of the wrong kind, or does not verify (KEY-4)."""

    code = "signature_invalid"


class WrongSignatureType(Refusal):
    """A signature made for another kind of statement (KEY-5)."""

    code = "wrong_typ"


class WrongAlgorithm(Refusal):
    """Algorithms other than exactly Ed25519 then ML-DSA-44 (KEY-3)."""

    code = "wrong_algorithm"


class KeyUnknown(Refusal):
    """No agency record in this federation lists the key (KEY-10)."""

    code = "key_unknown"


class KeyNotTheirs(Refusal):
    """The key exists, but belongs to somebody other than the one who claims to have signed (KEY-11)."""

    code = "key_not_theirs"


class KeyNotValid(Refusal):
    """The key was not valid, or had been revoked, at the time that counts (KEY-12)."""

    code = "key_not_valid"


class AgencyUnknown(Refusal):
    """The federation has no record of this agency (KEY-13)."""

    code = "agency_unknown"


class RootRefused(Refusal):
    """The federation root is not pinned, not marked as a simulation, or under its threshold (KEY-20)."""

    code = "root_refused"


class RecordRefused(Refusal):
    """An agency record that does not follow from the one before it (KEY-14)."""

    code = "record_refused"


class UnsealingFailed(Refusal):
    """This key cannot open this wrap in this context (MSG-21)."""

    code = "unsealing_failed"


class KeyCommitmentMismatch(Refusal):
    """The body was sealed under another content key than the one in the wrap (MSG-22)."""

    code = "key_commitment_mismatch"


class BodyDamaged(Refusal):
    """A chunk of the body was altered, truncated, reordered or added (MSG-23)."""

    code = "body_damaged"


class PaddingInvalid(Refusal):
    """The plaintext's length field or padding is not the one allowed (MSG-24)."""

    code = "padding_invalid"


class CommitmentMismatch(Refusal):
    """The plaintext is not the one the manifest commits to (MSG-25)."""

    code = "commitment_mismatch"


class KeystoreRefused(Refusal):
    """A key file that cannot be read safely: wrong passphrase, open permissions, damage (KEY-30)."""

    code = "keystore_refused"

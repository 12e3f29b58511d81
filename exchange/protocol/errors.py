"""Refusals about messages, agreements and the log. One class per rule; codes are listed in `spec/errors.md`.

They share the base and the manners of ``keys.errors``: a stable code, one sentence to act on, no
secret, no plaintext, no person's name.
"""

from __future__ import annotations

from keys.errors import Refusal


class EnvelopeMalformed(Refusal):
    """The envelope or manifest has unknown, missing or wrongly typed members (MSG-2, MSG-3)."""

    code = "envelope_malformed"


class SuiteUnknown(Refusal):
    """A cipher suite, version or signature list other than the one of ix/1 (MSG-4)."""

    code = "suite_unknown"


class FederationMismatch(Refusal):
    """The message belongs to another federation (MSG-5)."""

    code = "federation_mismatch"


class SenderMismatch(Refusal):
    """The caller is not the agency the message says it is from (ADM-3)."""

    code = "sender_mismatch"


class SealMismatch(Refusal):
    """Wraps or body are not those the manifest names (MSG-6)."""

    code = "seal_mismatch"


class MessageExpired(Refusal):
    """The message's expiry has passed (MSG-7)."""

    code = "message_expired"


class MessageFromTheFuture(Refusal):
    """The message is dated later than the clock allows, or lives longer than allowed (MSG-8)."""

    code = "message_time"


class MessageIdReused(Refusal):
    """The sender used this message id before, for other bytes (ADM-8)."""

    code = "id_reused"


class NotAddressedToMe(Refusal):
    """The message does not name this agency and key as a recipient (MSG-20)."""

    code = "not_addressed"


class AlreadyReceived(Refusal):
    """This message was received before (MSG-26)."""

    code = "already_received"


class Misdeclared(Refusal):
    """The content carries what the manifest does not declare, or the reverse (MSG-31)."""

    code = "misdeclared"


class ContentMalformed(Refusal):
    """The content is not a case message of the published schema (MSG-30)."""

    code = "content_malformed"


class ProofMismatch(Refusal):
    """The log entry or its proof is about something other than what was delivered (MSG-19)."""

    code = "proof_mismatch"

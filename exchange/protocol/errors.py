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
    """A cipher suite or signature list other than the one of ix/1, or a message with several pairs (MSG-4)."""

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


class CallProofMissing(Refusal):
    """A call without the caller's proof (HTTP-2)."""

    code = "call_proof_missing"


class CallProofMalformed(Refusal):
    """A caller's proof in another form than the one allowed (HTTP-3)."""

    code = "call_proof_malformed"


class CallProofInvalid(Refusal):
    """A caller's proof whose signature does not verify over the call (HTTP-5)."""

    code = "call_proof_invalid"


class CallProofStale(Refusal):
    """A caller's proof made too long ago, in the future, or before this service started (HTTP-6, HTTP-8)."""

    code = "call_proof_stale"


class CallReplayed(Refusal):
    """A call that was made before, sent again as it was (HTTP-8)."""

    code = "call_replayed"


class ContentDigestMismatch(Refusal):
    """A body other than the one whose digest was signed (HTTP-7)."""

    code = "content_digest_mismatch"


class AuthorityMismatch(Refusal):
    """A call signed for another host and carried here (HTTP-4)."""

    code = "authority_mismatch"


class AnswerUnproven(Refusal):
    """An answer that the broker's key did not sign for this call (HTTP-9)."""

    code = "answer_unproven"


class MediaTypeUnknown(Refusal):
    """A body of another media type than the call takes (HTTP-12)."""

    code = "media_type_unknown"


class ParameterInvalid(Refusal):
    """A query parameter that is unknown, repeated, or out of its range (HTTP-13)."""

    code = "parameter_invalid"


class RateLimited(Refusal):
    """More calls than this caller may make; ``retry_after`` is in seconds (HTTP-14)."""

    code = "rate_limited"

    def __init__(self, sentence: str, *, retry_after: int = 60) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class Overloaded(Refusal):
    """More is waiting to be written than the broker takes; nothing of this call was written (HTTP-15)."""

    code = "overloaded"


class ReceiptNotTheirs(Refusal):
    """A receipt for a message that the caller did not receive (ADM-20)."""

    code = "receipt_not_theirs"


class AgreementNotTheirs(Refusal):
    """An agreement or notice put forward by somebody who is not a party to it (ADM-30)."""

    code = "agreement_not_theirs"


class InclusionInvalid(Refusal):
    """An inclusion proof that does not lead from the entry to the signed root (LOG-6)."""

    code = "inclusion_invalid"


class LogInconsistent(Refusal):
    """Two signed views of the log that cannot both be true: evidence of misconduct (LOG-8)."""

    code = "log_inconsistent"

    def __init__(self, sentence: str, *, older: str = "", newer: str = "", proof: tuple[bytes, ...] = ()) -> None:
        super().__init__(sentence)
        self.older, self.newer, self.proof = older, newer, proof


class TilePathInvalid(Refusal):
    """A path that is not the one spelling of a tile or an entry bundle (LOG-11)."""

    code = "tile_path_invalid"


class CheckpointInvalid(Refusal):
    """A checkpoint in another form, of another log, or without both of the log's valid signatures (LOG-20)."""

    code = "checkpoint_invalid"


class ShardUnknown(CheckpointInvalid):
    """A checkpoint of a shard whose beginning was not verified here, so that its entries have no number (LOG-125)."""

    code = "shard_unknown"


class ShardReopened(CheckpointInvalid):
    """A checkpoint of a closed shard with more entries than it was closed with: evidence (LOG-126)."""

    code = "shard_reopened"


class ShardRefused(Refusal):
    """A shard whose first entry does not close the one before as that was signed (LOG-124)."""

    code = "shard_refused"


class TlogProofMalformed(Refusal):
    """A tlog-proof in another form than the one allowed (LOG-24)."""

    code = "tlog_proof_malformed"


class EntryMalformed(Refusal):
    """A log entry that is not the one spelling of one of the nine kinds (LOG-30)."""

    code = "entry_malformed"


class BundleMalformed(Refusal):
    """An entry bundle that is cut short, or holds more or fewer entries than it should (LOG-14)."""

    code = "bundle_malformed"


class ReceiptMalformed(Refusal):
    """A receipt batch with unknown, missing, repeated or wrongly typed members (RCT-2)."""

    code = "receipt_malformed"


class AgreementMalformed(Refusal):
    """An agreement with unknown, missing or wrongly typed members, or with terms that contradict (AGR-2, AGR-50)."""

    code = "agreement_malformed"


class SignerNotParty(Refusal):
    """A signature on an agreement by somebody who is no party to it (AGR-13)."""

    code = "signer_not_party"


class SignedTwice(Refusal):
    """One party signed the same agreement twice (AGR-14)."""

    code = "signed_twice"


class SignaturesMissing(Refusal):
    """An agreement that not every party has signed cannot be in force (AGR-12)."""

    code = "signatures_missing"


class AgreementRefused(Refusal):
    """An agreement that does not follow from the one it says it replaces (AGR-20)."""

    code = "agreement_refused"


class NoticeMalformed(Refusal):
    """A notice with unknown, missing or wrongly typed members (AGR-22)."""

    code = "notice_malformed"


class NoticeRefused(Refusal):
    """A notice by somebody who is no party, out of order, or against nothing it could change (AGR-23)."""

    code = "notice_refused"


class AuditImpossible(Refusal):
    """What was given is no export of a log: it lacks the files an audit begins with (LOG-50)."""

    code = "audit_impossible"


class QuestionMalformed(Refusal):
    """A question to a log that it cannot be asked: no such agency, no such message, or no digests (LOG-61)."""

    code = "question_malformed"


class EvidenceMalformed(Refusal):
    """A file of evidence has another form or spelling, or something in it that nothing names (LOG-74)."""

    code = "evidence_malformed"


class ContradictionUnproven(Refusal):
    """Something kept as evidence against a log or a member that does not prove it to a stranger (WIT-51)."""

    code = "contradiction_unproven"


class NothingThere(Refusal):
    """A path that no call of ix/1 has (HTTP-1)."""

    code = "not_found"


class MethodNotAllowed(Refusal):
    """A path that takes another method (HTTP-1)."""

    code = "method_not_allowed"


class ProposalsExceeded(Refusal):
    """An agency that has put forward as many agreements awaiting signatures as it may (ADM-33)."""

    code = "proposals_exceeded"


class VerifierKeyMalformed(Refusal):
    """A verifier key in another form than C2SP's, or whose key id does not follow from it (WIT-2)."""

    code = "verifier_key_malformed"


class CosignatureInvalid(Refusal):
    """A known cosigner's line on a checkpoint that does not verify (WIT-4)."""

    code = "cosignature_invalid"


class WitnessRequestMalformed(Refusal):
    """A call to a witness in another form than tlog-witness gives (WIT-10)."""

    code = "witness_request_malformed"


class OriginUnknown(Refusal):
    """A checkpoint of a log this witness does not watch (WIT-11)."""

    code = "origin_unknown"


class WitnessAhead(Refusal):
    """The size from which the checkpoint is proved is not the one last cosigned here (WIT-12)."""

    code = "witness_ahead"

    def __init__(self, sentence: str, *, size: int) -> None:
        super().__init__(sentence)
        self.size = size


class TrustPolicyMalformed(Refusal):
    """A policy file in another form than C2SP tlog-policy (WIT-20)."""

    code = "trust_policy_malformed"


class QuorumMissing(Refusal):
    """A checkpoint that too few of the witnesses a policy names have seen (WIT-22)."""

    code = "quorum_missing"


class ActMalformed(Refusal):
    """An act with unknown, missing or wrongly typed members, or with members that contradict (ACT-2)."""

    code = "act_malformed"


class ActRefused(Refusal):
    """An act about a message that was not disclosed, or that what happened before leaves no room for (ACT-6)."""

    code = "act_refused"


class ActNotTheirs(Refusal):
    """An act by an agency that is not the originator or the holder who alone may do it (ACT-6)."""

    code = "act_not_theirs"


class ActsExceeded(Refusal):
    """An agency that has given as many acts of one kind about one message as it may (ADM-58)."""

    code = "acts_exceeded"


class HeadShrank(Refusal):
    """The head of a ledger that is smaller than the one logged last: what it had was taken away (LOG-95)."""

    code = "head_shrank"


class HeadForked(Refusal):
    """The head of a ledger that has another root than the one logged for the same size (LOG-95)."""

    code = "head_forked"


class AgreementUnknown(Refusal):
    """A message opened under an agreement that its recipient's books do not have (MSG-33)."""

    code = "agreement_unknown"


class AgreementNotInForce(Refusal):
    """A message whose agreement has not begun, or was left by a party, when its recipient opens it (MSG-33)."""

    code = "agreement_not_in_force"


class AgreementExpired(Refusal):
    """A message whose agreement ended before its recipient opened it (MSG-33)."""

    code = "agreement_expired"


class AgreementSuperseded(Refusal):
    """A message whose agreement was replaced before its recipient opened it (MSG-33)."""

    code = "agreement_superseded"


class AgreementSuspended(Refusal):
    """A message whose agreement a party suspended before its recipient opened it (MSG-33)."""

    code = "agreement_suspended"


class IdentityExposed(Refusal):
    """A content whose open texts tell the identity that is to be sealed beside them (CNT-72)."""

    code = "identity_exposed"

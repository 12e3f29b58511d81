"""What a node refuses its own officers, and what it refuses to believe. Codes are listed in `spec/errors.md`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keys.errors import Refusal

if TYPE_CHECKING:
    from agencies.node.ledger import LedgerAct


class SettingsRefused(Refusal):
    """The node's folder or settings are not safe to start with (NODE-2)."""

    code = "settings_refused"


class SignInRefused(Refusal):
    """No such officer, or another passphrase; it is not said which (NODE-10)."""

    code = "sign_in_refused"


class SignInThrottled(Refusal):
    """Too many failed attempts; ``retry_after`` is in seconds (NODE-11)."""

    code = "sign_in_throttled"

    def __init__(self, sentence: str, *, retry_after: int = 60) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class TokenRefused(Refusal):
    """A bearer token that is absent, unknown or expired (NODE-12)."""

    code = "token_refused"


class RoleMissing(Refusal):
    """The officer's roles do not allow this act (NODE-13)."""

    code = "role_missing"


class JustificationRefused(Refusal):
    """A reason that is absent, too short, or says nothing (NODE-14)."""

    code = "justification_refused"


class DraftMalformed(Refusal):
    """A draft with unknown, missing or wrongly typed members (NODE-20)."""

    code = "draft_malformed"


class RequestKeyReused(Refusal):
    """The officer used this request key before, for another draft (NODE-21)."""

    code = "request_key_reused"


class NotHere(Refusal):
    """This node has nothing by that name (NODE-40)."""

    code = "not_here"


class NoLongerHere(Refusal):
    """The content was here and has been erased (NODE-46)."""

    code = "erased"


class ReleaseRefused(Refusal):
    """The message may not be released by this person (NODE-26)."""

    code = "release_refused"


class NotWaiting(Refusal):
    """The message does not wait for a release, or no longer (NODE-27)."""

    code = "not_waiting"


class BrokerUnreachable(Refusal):
    """The broker did not answer, or nothing it said can be believed; ask again later (NODE-30)."""

    code = "broker_unreachable"


class BrokerRefused(Refusal):
    """The broker refused a call, with its own code and sentence (NODE-31).

    ``lasting`` is true when the refusal is about what was said, so that saying it again would not help.
    """

    code = "broker_refused"

    def __init__(self, code: str, sentence: str, *, lasting: bool = True) -> None:
        super().__init__(f"the broker refused with `{code}`: {sentence}")
        self.reason, self.detail, self.lasting = code, sentence, lasting


class AnswerMismatch(Refusal):
    """An answer whose proof is good but is about something else than was asked (NODE-32)."""

    code = "answer_mismatch"


class LogForked(Refusal):
    """Two signed views of the log that cannot both be true; both are kept as evidence (NODE-36)."""

    code = "log_forked"


class LedgerBroken(Refusal):
    """The ledger is not what was sealed, or what a head was signed over: somebody changed it (NODE-52)."""

    code = "ledger_broken"


class ClearanceMissing(Refusal):
    """The officer is not cleared for what this message is, or for what its clause asks (NODE-81)."""

    code = "clearance_missing"


class TrainingMissing(Refusal):
    """A clause asks for a training certificate that the officer has not, or not any more (NODE-81)."""

    code = "training_missing"


class NeedToKnowMissing(Refusal):
    """The message belongs to a case that is not the officer's (NODE-82)."""

    code = "need_to_know_missing"


class NotAcknowledged(Refusal):
    """The message has a handling text that this officer has not acknowledged yet (NODE-84)."""

    code = "not_acknowledged"


class PurposeRefused(Refusal):
    """Another purpose than the declared one, without the originator's consent (NODE-85), or of a log (NODE-200)."""

    code = "purpose_refused"


class StampsTooOld(Refusal):
    """The broker has not been heard for so long that nothing new is accepted for sending (NODE-205)."""

    code = "stamps_too_old"


class EvidenceRefused(Refusal):
    """Use as evidence that the originator has not consented to (NODE-86)."""

    code = "evidence_refused"


class OnwardRefused(Refusal):
    """Passing on what the originator does not let pass: to these, for this purpose, or with these fields (NODE-88)."""

    code = "onward_refused"


class Restricted(Refusal):
    """The message is restricted: it stays here untouched, for the ground named and nothing else (NODE-95)."""

    code = "restricted"


class KeepRefused(Refusal):
    """A decision to keep that no rule allows: no such ground or date, or beyond the end of retention (NODE-93)."""

    code = "keep_refused"


class HoldingBroken(Refusal):
    """What is noted of a message's obligations does not hold: somebody changed the books (NODE-83)."""

    code = "holding_broken"


class MessageRecalled(Refusal):
    """A message that its originator, or that of a source of it, recalled before it was collected (NODE-128)."""

    code = "message_recalled"


class SourceUnknown(Refusal):
    """A message derived from one that its sender never had (NODE-127)."""

    code = "source_unknown"


class SourceStopped(Refusal):
    """A message derived from one that its originator has stopped, or its sender has erased (NODE-127)."""

    code = "source_stopped"


class OnwardForbidden(Refusal):
    """A message derived from one that its originator lets nobody pass on (NODE-127)."""

    code = "onward_forbidden"


class ConsentMissing(Refusal):
    """A message passed on without its originator's consent for this recipient, purpose and these fields (NODE-127)."""

    code = "consent_missing"


class SafeguardRefused(Refusal):
    """A safeguard stands in the way of a draft; which one, the ledger says and nobody else (SAFE-15)."""

    code = "safeguard_refused"

    def __init__(self, act: LedgerAct) -> None:
        super().__init__("a safeguard does not let this go to these recipients as it stands; the auditor can say more")
        self.act = act


class NgoCannotQuery(Refusal):
    """An organisation that supports victims refers and receives; it asks for nothing (SAFE-20)."""

    code = "ngo_cannot_query"


class NgoMayNotSee(Refusal):
    """A message with data about suspects or sources that came to an organisation that supports victims (SAFE-21)."""

    code = "ngo_may_not_see"


class RefusalWouldTell(Refusal):
    """A refusal whose ground would tell what it is to hide; it goes as a neutral answer instead (SAFE-32)."""

    code = "refusal_would_tell"


class AlreadyAnswered(Refusal):
    """The request has its final answer, or one on its way (SAFE-34)."""

    code = "already_answered"


class EmergencyRefused(Refusal):
    """No opening in an emergency: not needed, not for such a danger or purpose, or not by two people (NODE-160)."""

    code = "emergency_refused"


class PeriodShredded(Refusal):
    """A month whose keys were destroyed: nobody can tell any more whom its names mean (NODE-214)."""

    code = "period_shredded"


class ShredRefused(Refusal):
    """A month that may not be shredded: too young, held, or with something in it that still waits (NODE-215)."""

    code = "shred_refused"


class FlagTooWide(Refusal):
    """A flag on more than one case or message, for longer than allowed, or on too much of one agency's (NODE-171)."""

    code = "flag_too_wide"


class RoleKeyMissing(Refusal):
    """This node has no role key for protected identities, or none that this part was sealed to (SAFE-3)."""

    code = "role_key_missing"

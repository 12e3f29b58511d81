"""Findings: what an audit says is wrong, with a stable code and the evidence (LOG-52).

A finding is a value, not an exception: an auditor wants all of them. Its code is in one table here, with
its severity; the sentence says it in words and the evidence lets anybody check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from keys.errors import KeyNotValid, KeyUnknown, Refusal

SEVERITIES: Final[Mapping[str, str]] = {
    "trust_refused": "error",
    "checkpoint_refused": "error",
    "quorum_missing": "error",
    "file_missing": "error",
    "root_differs": "error",
    "log_rewritten": "error",
    "tile_altered": "error",
    "bundle_refused": "error",
    "entry_altered": "error",
    "entry_refused": "error",
    "clock_backwards": "error",
    "shard_refused": "error",
    "shard_reopened": "error",
    "decided_twice": "error",
    "party_unknown": "error",
    "not_permitted": "error",
    "wrongly_denied": "error",
    "decision_differs": "error",
    "receipt_unfounded": "error",
    "receipt_repeated": "error",
    "receipt_refused": "error",
    "agreement_refused": "error",
    "notice_refused": "error",
    "signature_missing": "error",
    "signature_unfounded": "error",
    "act_refused": "error",
    "act_not_theirs": "error",
    "recall_unanswered": "note",
    "act_unanswered": "note",
    "erasure_contradicted": "error",
    "erasure_overdue": "note",
    "not_acknowledged": "note",
    "head_refused": "error",
    "head_shrank": "error",
    "head_forked": "error",
    "log_forked": "error",
    "seen_forged": "error",
    "record_refused": "error",
    "record_not_logged": "error",
    "denial_burst": "note",
    "asks_many": "note",
    "out_of_hours": "note",
    "always_urgent": "note",
    "recalls_ignored": "note",
    "not_in_ledger": "error",
    "not_collected": "note",
    "not_in_log": "error",
    "differs": "error",
    "disclosed_not_logged": "error",
    "logged_not_disclosed": "error",
    "logged_not_delivered": "error",
    "delivered_not_receipted": "error",
    "receipt_without_message": "error",
    "facts_differ": "error",
    "clause_differs": "error",
    "clock_out_of_order": "error",
    "key_not_valid_then": "error",
    "act_unjustified": "error",
    "erasure_not_done": "error",
    "agreement_unsigned": "error",
    "held_proof_contradicts_log": "error",
    "held_proof_refused": "error",
    "ledger_altered": "error",
    "ledger_behind": "error",
    "ledger_doubled": "error",
    "ledger_rewritten": "error",
    "head_missing": "error",
}
"""Every code an audit can report, and whether it is an error or only worth knowing."""


def by_its_key(refusal: Refusal) -> dict[str, str]:
    """The evidence that something was refused for the time of its key, and nothing where it was for another reason."""
    return {"refusal": refusal.code} if isinstance(refusal, KeyNotValid | KeyUnknown) else {}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: ``index`` is the log entry it is about, if it is about one."""

    code: str
    sentence: str
    index: int | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)
    who: str = ""
    """Who is answerable, where that was asked: an agency, ``broker``, or several, ``a or b`` (LOG-102)."""

    @property
    def severity(self) -> str:
        """``error``, or ``note`` for what may well be right."""
        return SEVERITIES[self.code]

    def to_json(self) -> dict[str, Any]:
        """The members as ``ix audit verify --json`` writes them; ``who`` where it was asked."""
        who = {"who": self.who} if self.who else {}
        return {
            "code": self.code,
            "severity": self.severity,
            **who,
            "index": self.index,
            "sentence": self.sentence,
            "evidence": dict(self.evidence),
        }

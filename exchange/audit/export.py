"""Auditing: was everything in the log allowed, and is the log what was signed? (LOG-47 to LOG-52)

``verify_export`` needs an exported folder (through a callable that reads its files) and the pinned id of
the federation, and nothing else: no server, no network, nobody's word. It checks trust, checkpoint and
tree, then has every decision made again. What it finds wrong are values; what it can answer is who
disclosed what to whom under which clause, and when. ``reconcile`` holds one node's ledger against the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from exchange.audit.finding import Finding
from exchange.audit.reconciliation import LedgerRow, reconcile
from exchange.audit.replay import Replay, statement_path
from exchange.audit.report import AuditReport, Denied, Disclosed, Told
from exchange.audit.shards import CHECKPOINT, audit_log, years
from exchange.audit.tree import Read
from exchange.protocol.errors import AuditImpossible, CheckpointInvalid, QuorumMissing
from exchange.protocol.lineage import ANSWER_WITHIN, Lineage
from exchange.protocol.policy import PolicyBook
from exchange.protocol.quorum import TrustPolicy
from exchange.protocol.receipt import ReceiptBatch
from keys.errors import Refusal
from keys.trust import Directory

__all__ = [
    "CHECKPOINT",
    "TRUST",
    "AuditReport",
    "Denied",
    "Disclosed",
    "Examined",
    "Finding",
    "LedgerRow",
    "Read",
    "Told",
    "examine_export",
    "reconcile",
    "statement_path",
    "verify_export",
]

TRUST: Final = "trust.json"


@dataclass(frozen=True, slots=True)
class Examined:
    """A verified export, for whoever has questions: the report, and what the log amounts to at its end."""

    report: AuditReport
    lineage: Lineage = field(default_factory=Lineage)
    book: PolicyBook = field(default_factory=PolicyBook)
    directory: Directory | None = None
    """None where trust was refused: then nothing was read."""
    entries: Iterable[bytes | None] = ()
    """Read again from the export at each walk; those of ``doubtful`` are not the ones that were signed."""
    doubtful: frozenset[int] = frozenset()
    batches: Mapping[str, ReceiptBatch] = field(default_factory=dict)
    """The signed batches of receipts that were exported and verify, by digest."""


def verify_export(
    read: Read,
    *,
    fed: str,
    now: datetime,
    answer_within: timedelta = ANSWER_WITHIN,
    policy: TrustPolicy | None = None,
) -> AuditReport:
    """Verify an export from the pinned federation id up. ``now`` judges whether the root has expired.

    ``answer_within`` is how long a holder may be silent about a recall, or about what it had to erase, by the log's
    own time (LOG-47, LOG-49, LOG-55). With a ``policy``, its witnesses must have seen the checkpoint (WIT-45).

    Raises ``AuditImpossible`` if there is nothing to begin with; whatever is wrong with what is there is
    a finding.
    """
    report = examine_export(read, fed=fed, now=now, answer_within=answer_within).report
    if policy is None:
        return report
    for path in (CHECKPOINT, *(f"{year}/{CHECKPOINT}" for year in years(read))):
        try:
            policy.verify((read(path) or b"").decode("utf-8", "replace"))
        except (QuorumMissing, CheckpointInvalid) as refusal:
            return replace(report, findings=(Finding("quorum_missing", refusal.sentence), *report.findings))
    return report


def examine_export(read: Read, *, fed: str, now: datetime, answer_within: timedelta = ANSWER_WITHIN) -> Examined:
    """Verify an export as ``verify_export`` does, and keep what questions are answered from."""
    trust, note = read(TRUST), read(CHECKPOINT)
    if trust is None or note is None:
        raise AuditImpossible(f"an export has the files `{TRUST}` and `{CHECKPOINT}`; this one does not")
    try:
        directory = Directory.from_bytes(trust, fed=fed, now=now)
    except Refusal as refusal:
        return Examined(AuditReport(fed, "", None, (Finding("trust_refused", refusal.sentence),), (), (), {}))
    tree = audit_log(read, directory.root.log)
    checkpoint = tree.checkpoint
    replay = Replay(read, directory, tree.findings)
    replay.begins = tree.begins
    replay.run(tree.entries, tree.doubtful, whole=checkpoint is not None)
    if checkpoint is not None:
        replay.compare_words(tree.roots(read))
    last = checkpoint.at if checkpoint else replay.latest
    if last is not None:
        replay.findings += replay.acts.silent(last, answer_within)
        replay.findings += replay.acts.overdue(last, answer_within)
        replay.findings += replay.acts.unacknowledged(last, answer_within)
    ordered = tuple(sorted(replay.findings, key=lambda f: -1 if f.index is None else f.index))
    disclosures, denials = tuple(replay.disclosures.values()), tuple(replay.denials)
    followed, counts = replay.acts.lineage.followed(), dict(replay.counts)
    report = AuditReport(
        fed,
        directory.root.name,
        checkpoint,
        ordered,
        disclosures,
        denials,
        counts,
        followed,
        tuple(replay.ledgers.heads),
        tree.closed,
    )
    doubtful = frozenset(tree.doubtful)
    return Examined(
        report, replay.acts.lineage, replay.book, directory, tree.entries, doubtful, replay.verified_batches()
    )

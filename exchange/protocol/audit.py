"""Auditing: was everything in the log allowed, and is the log what was signed? (LOG-47 to LOG-52)

``verify_export`` needs an exported folder (through a callable that reads its files) and the pinned id of
the federation, and nothing else: no server, no network, nobody's word. It checks trust, checkpoint and
tree, then has every decision made again. What it finds wrong are values; what it can answer is who
disclosed what to whom under which clause, and when. ``reconcile`` holds one node's ledger against the log.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from exchange.protocol.audit_report import AuditReport, Denied, Disclosed, Told
from exchange.protocol.errors import AuditImpossible, CheckpointInvalid
from exchange.protocol.finding import Finding
from exchange.protocol.lineage import ANSWER_WITHIN
from exchange.protocol.log import Checkpoint, unverified_checkpoint, verify_checkpoint
from exchange.protocol.reconciliation import LedgerRow, reconcile
from exchange.protocol.replay import Replay, statement_path
from exchange.protocol.tree_audit import Read, audit_tree
from keys.errors import Refusal
from keys.trust import Directory

__all__ = [
    "CHECKPOINT",
    "TRUST",
    "AuditReport",
    "Denied",
    "Disclosed",
    "Finding",
    "LedgerRow",
    "Read",
    "Told",
    "reconcile",
    "statement_path",
    "verify_export",
]

CHECKPOINT: Final = "checkpoint"
TRUST: Final = "trust.json"
_MOST_UNSIGNED: Final = 2**20
"""Entries looked for under a checkpoint that nobody signed, so that a made-up size costs little."""


def verify_export(read: Read, *, fed: str, now: datetime, answer_within: timedelta = ANSWER_WITHIN) -> AuditReport:
    """Verify an export from the pinned federation id up. ``now`` judges whether the root has expired.

    ``answer_within`` is how long a holder may be silent about a recall, or about what it had to erase, by the log's
    own time (LOG-47, LOG-49, LOG-55).

    Raises ``AuditImpossible`` if there is nothing to begin with; whatever is wrong with what is there is
    a finding.
    """
    trust, note = read(TRUST), read(CHECKPOINT)
    if trust is None or note is None:
        raise AuditImpossible(f"an export has the files `{TRUST}` and `{CHECKPOINT}`; this one does not")
    try:
        directory = Directory.from_bytes(trust, fed=fed, now=now)
    except Refusal as refusal:
        return AuditReport(fed, "", None, (Finding("trust_refused", refusal.sentence),), (), (), {})
    checkpoint, size, findings = _checkpoint(note, directory)
    tree = audit_tree(read, size, checkpoint.root if checkpoint else None)
    replay = Replay(read, directory, [*findings, *tree.findings])
    replay.run(tree.entries, tree.doubtful, whole=checkpoint is not None)
    last = checkpoint.at if checkpoint else replay.latest
    if last is not None:
        replay.findings += replay.acts.silent(last, answer_within)
        replay.findings += replay.acts.overdue(last, answer_within)
        replay.findings += replay.acts.unacknowledged(last, answer_within)
    ordered = tuple(sorted(replay.findings, key=lambda f: -1 if f.index is None else f.index))
    disclosures, denials = tuple(replay.disclosures.values()), tuple(replay.denials)
    followed, counts = replay.acts.lineage.followed(), dict(replay.counts)
    return AuditReport(fed, directory.root.name, checkpoint, ordered, disclosures, denials, counts, followed)


def _checkpoint(note: bytes, directory: Directory) -> tuple[Checkpoint | None, int, list[Finding]]:
    """The verified checkpoint; or none, a finding, and the size it claims so that the rest can be looked at."""
    try:
        text = note.decode()
        checkpoint = verify_checkpoint(text, directory.root.log)
        return checkpoint, checkpoint.size, []
    except UnicodeDecodeError:
        return None, 0, [Finding("checkpoint_refused", "the checkpoint is not UTF-8")]
    except CheckpointInvalid as refusal:
        finding = Finding("checkpoint_refused", refusal.sentence)
    try:
        return None, min(unverified_checkpoint(text)[1], _MOST_UNSIGNED), [finding]
    except CheckpointInvalid:
        return None, 0, [finding]

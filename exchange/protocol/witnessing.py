"""Witnessing: what a witness checks before it cosigns, and the one call by which it is asked (WIT-10 to WIT-14).

C2SP tlog-witness, ``add-checkpoint``: a log shows its new checkpoint and a consistency proof from the size the witness
last saw. The witness keeps one checkpoint for each log and never goes back, so two witnesses that talk to nobody else
still make it impossible to show them different logs for long. Pure: whoever keeps the last checkpoint must compare and
swap it in one transaction, and answer only after it is on disk.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exchange.protocol.cosignature import Cosigner
from exchange.protocol.errors import LogInconsistent, OriginUnknown, WitnessAhead, WitnessRequestMalformed
from exchange.protocol.log import Checkpoint, checkpoint_text, split_note, verify_checkpoint
from exchange.protocol.merkle import MAX_SIZE, verify_consistency
from keys.trust import LogIdentity

MAX_REQUEST: Final = 192 * 1024
MAX_HASHES: Final = 63
_OLD = re.compile("old (0|[1-9][0-9]{0,15})", re.ASCII)
_EMPTY: Final = hashlib.sha256(b"").digest()


@dataclass(frozen=True, slots=True)
class Submission:
    """What a log shows a witness: the size it believes the witness knows, the proof from there, the checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    note: str

    def to_bytes(self) -> bytes:
        """The body of the call."""
        hashes = "".join(f"{base64.b64encode(one).decode()}\n" for one in self.proof)
        return f"old {self.old}\n{hashes}\n{self.note}".encode()


def parse_submission(data: bytes) -> Submission:
    """Read the body of the call strictly; nothing in it is believed yet."""
    try:
        text = data.decode() if len(data) <= MAX_REQUEST else ""
    except UnicodeDecodeError:
        text = ""
    head, blank, note = text.partition("\n\n")
    first, *rest = head.split("\n")
    old = _OLD.fullmatch(first)
    hashes = [_hash(line) for line in rest]
    if not blank or old is None or int(old[1]) > MAX_SIZE or len(hashes) > MAX_HASHES or None in hashes:
        raise WitnessRequestMalformed("a request is `old` and a size, at most 63 hashes, an empty line, a checkpoint")
    return Submission(int(old[1]), tuple(one for one in hashes if one is not None), note)


def _hash(line: str) -> bytes | None:
    try:
        data = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if len(data) == 32 and base64.b64encode(data).decode() == line else None


def origin_of(note: str) -> str:
    """Which log a checkpoint says it is of; believed only once its signatures are verified."""
    return split_note(note)[0].partition("\n")[0]


def witness(
    asked: Submission, logs: Sequence[LogIdentity], latest: Checkpoint | None, cosigner: Cosigner, now: datetime
) -> tuple[Checkpoint, str]:
    """Return the checkpoint to keep and the lines to answer with, or refuse as tlog-witness says.

    ``latest`` is what this witness last cosigned of that log, none if nothing. In order: `origin_unknown` (404),
    `checkpoint_invalid` (403), `witness_request_malformed` (400), `witness_ahead` (409, with the size),
    `log_inconsistent` (422, with the evidence where both checkpoints are signed).
    """
    origin = origin_of(asked.note)
    log = next((one for one in logs if one.origin == origin), None)
    if log is None:
        raise OriginUnknown("this witness does not watch the log of that origin")
    shown = verify_checkpoint(asked.note, log)
    if asked.old > shown.size:
        raise WitnessRequestMalformed("the old size is larger than the checkpoint's")
    known = latest.size if latest else 0
    if asked.old != known:
        raise WitnessAhead(f"the last checkpoint cosigned here has size {known}", size=known)
    if shown.size == 0 and shown.root != _EMPTY:
        raise LogInconsistent("an empty log has the hash of nothing as its root", newer=asked.note)
    if known == 0 and asked.proof:
        raise LogInconsistent("no proof is needed from an empty log, and none may be given", newer=asked.note)
    if latest is not None and known:
        _verify_step(latest, shown, asked)
    return shown, cosigner.cosign(checkpoint_text(shown.origin, shown.size, shown.root), now)


def _verify_step(latest: Checkpoint, shown: Checkpoint, asked: Submission) -> None:
    try:
        verify_consistency(latest.size, latest.root, shown.size, shown.root, asked.proof)
    except LogInconsistent as refusal:
        raise LogInconsistent(refusal.sentence, newer=asked.note, proof=asked.proof) from None

"""The head of a node's ledger: a checkpoint signed with its agency's own keys, and put into the log (LOG-90 to LOG-98).

A node keeps its ledger as a log of the same kind as the federation's, and has the head of it entered there now and
then. Since then the past of its ledger stands under two signatures, its own and the log's: what it changes or leaves
out of it afterwards has another root than the one that everybody can read.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product
from typing import Final

from exchange.protocol.errors import CheckpointInvalid
from exchange.protocol.log import (
    ED25519_NOTE,
    MLDSA44_COSIGNATURE,
    Checkpoint,
    NoteSignature,
    key_id,
    split_note,
    verify_checkpoint,
)
from keys.encoding import stamp
from keys.errors import KeyNotValid, KeyUnknown, TooLarge
from keys.record import KeyEntry
from keys.signing import ED25519, ML_DSA_44, PublicKey
from keys.trust import Directory, LogIdentity

MAX_HEAD: Final = 8192
"""Bytes of a head; one with the longest origin and both lines stays below it."""
HEAD_SKEW: Final = timedelta(minutes=5)
"""How far a head may be dated after the time at which it is judged."""


def ledger_origin(log_origin: str, agency: str) -> str:
    """The name of an agency's ledger as a log; ``log_origin`` is the one in the federation root (LOG-91)."""
    return f"{log_origin}/ledger/{agency}"


def read_head(data: bytes) -> str:
    """The note in these bytes, as it is to be verified; verifies nothing."""
    if len(data) > MAX_HEAD:
        raise TooLarge(f"{len(data)} bytes where the head of a ledger has at most {MAX_HEAD}")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise CheckpointInvalid("the head of a ledger is not UTF-8") from None


def verify_head(note: str, agency: str, directory: Directory, log_origin: str, at: datetime) -> Checkpoint:
    """Return what the head says if both its lines are this agency's, by keys valid at ``at`` (LOG-92, LOG-93).

    Refuses lines of anybody else: what a key is called is free text, and the note is to be shown to all.
    """
    signatures = split_note(note)[1]
    origin = ledger_origin(log_origin, agency)
    form = [(line.name, len(line.signature)) for line in signatures]
    if len(note) > MAX_HEAD or form != [(origin, 64), (origin, 8 + 2420)]:
        raise CheckpointInvalid(f"the head of this ledger has exactly two signature lines, both by `{origin}`")
    keys = [entry for entry in directory.agency(agency).keys if entry.use == "sig"]
    of_first = list(_keys_of(signatures[0], origin, ED25519, ED25519_NOTE, keys, at))
    of_second = list(_keys_of(signatures[1], origin, ML_DSA_44, MLDSA44_COSIGNATURE, keys, at))
    checkpoint = _verify(note, [LogIdentity(origin, *pair) for pair in product(of_first, of_second)])
    if not checkpoint.size:
        raise CheckpointInvalid("the head of an empty ledger says nothing")
    if checkpoint.at > at + HEAD_SKEW:
        raise CheckpointInvalid(f"the head of the ledger is dated {stamp(checkpoint.at)}, after its own time")
    return checkpoint


def _keys_of(
    line: NoteSignature, origin: str, alg: str, kind: int, keys: list[KeyEntry], at: datetime
) -> Iterator[PublicKey]:
    """The agency's keys that may have signed this line: nearly always one, for key ids have four bytes."""
    named = [key for key in keys if key.alg == alg and key_id(origin, kind, key.raw) == line.key_id]
    if not named:
        raise KeyUnknown(f"the record of this agency lists no {alg} signing key `{line.key_id.hex()}`")
    if not any(key.valid(at) for key in named):
        named[0].check(at)
    yield from (key.key() for key in named if key.valid(at))


def _verify(note: str, identities: list[LogIdentity]) -> Checkpoint:
    refusal: CheckpointInvalid | None = None
    for identity in identities:
        try:
            return verify_checkpoint(note, identity)
        except CheckpointInvalid as wrong:
            refusal = refusal or wrong
    raise refusal or KeyNotValid("no signing key of this agency is valid")

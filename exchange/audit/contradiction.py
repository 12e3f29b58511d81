"""Proof that a log contradicted itself, checked by a stranger (WIT-50 to WIT-54).

Two checkpoints of one size with two roots speak for themselves. Two of different sizes do not, and that a consistency
proof fails shows nothing, for anybody can write one that fails. What shows it is a proof that *holds*: from the root
that the larger log has at the smaller one's size, to the larger one's. That root is not the one that was signed.

The third kind needs no comparing. A batch of receipts is signed before it is logged. Where it tells a checkpoint larger
than the index at which the log has it, that checkpoint is of a log that had the place already.

And what was never signed by the log convicts whoever signed that it had seen it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from exchange.audit.gossip import forger
from exchange.protocol.entry import ReceiptEntry, ShardEntry, parse_entry
from exchange.protocol.errors import ContradictionUnproven, EntryMalformed
from exchange.protocol.log import Checkpoint, verify_local_proof
from exchange.protocol.merkle import HASH, verify_consistency
from exchange.protocol.receipt import ReceiptBatch, verify_receipts
from exchange.protocol.seen import signed_by_log
from keys.encoding import b64u, read_json, stamp, unb64u, write_json
from keys.errors import MalformedEncoding, Refusal
from keys.trust import Directory

MAX_FILE: Final = 256 * 1024 * 1024
KINDS: Final = ("log_forked", "witness_forked", "seen_forged", "seen_unjudged", "shard_reopened")
"""Kinds of evidence that can be such a proof; whatever else a node keeps is for people to judge."""
LOG_FORKED: Final = "log_forked"
SEEN_FORGED: Final = "seen_forged"
SHARD_REOPENED: Final = "shard_reopened"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What a piece of evidence proves: ``code`` and ``who`` as an audit names them, and in a sentence why."""

    code: str
    who: str
    sentence: str
    facts: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The members as ``ix audit evidence --json`` writes them."""
        return {"code": self.code, "who": self.who, "sentence": self.sentence, "facts": dict(self.facts)}


@dataclass(frozen=True, slots=True)
class Judged:
    """What a file of evidence proves, what in it proves nothing and why, and how much is of kinds not judged so."""

    proven: tuple[Contradiction, ...]
    unproven: tuple[tuple[int, str], ...]
    others: int

    def to_json(self) -> dict[str, Any]:
        """The members as ``ix audit evidence --json`` writes them."""
        return {
            "proven": [one.to_json() for one in self.proven],
            "unproven": [{"place": place, "sentence": sentence} for place, sentence in self.unproven],
            "others": self.others,
        }


def judge_evidence(data: bytes, *, fed: str, now: datetime) -> Judged:
    """Judge a file as a node hands it out: ``evidence`` and the directory beside it. Refused if it is no such file."""
    try:
        value = read_json(data, limit=MAX_FILE)
        if type(value) is not dict or type(value.get("evidence")) is not list:
            raise ContradictionUnproven("it has no list `evidence`")
        directory = Directory.from_bytes(write_json(value["trust"]), fed=fed, now=now)
    except KeyError:
        raise ContradictionUnproven("the file has no `trust`, the directory to judge it by") from None
    except Refusal as refusal:
        raise ContradictionUnproven(f"the file is not evidence that can be judged: {refusal.sentence}") from None
    proven: list[Contradiction] = []
    unproven: list[tuple[int, str]] = []
    others = 0
    for place, piece in enumerate(value["evidence"]):
        if type(piece) is not dict or piece.get("kind") not in KINDS:
            others += 1
            continue
        try:
            proven.append(verify_contradiction(piece.get("detail"), directory))
        except Refusal as refusal:
            unproven.append((place, refusal.sentence))
    return Judged(tuple(proven), tuple(unproven), others)


def verify_contradiction(detail: Any, directory: Directory) -> Contradiction:
    """Say what one piece proves, by the keys of this directory; ``ContradictionUnproven`` if it proves nothing."""
    try:
        if "batch" in detail:
            return _of_a_word(detail, directory)
        if "entry" in detail:
            return _of_a_shard(detail, directory)
        return _of_two(detail, directory)
    except (KeyError, TypeError, ValueError, AttributeError, MalformedEncoding):
        raise ContradictionUnproven("a member is missing, or of another form") from None


# --- two checkpoints ------------------------------------------------------------------------------------


def _of_two(detail: Mapping[str, Any], directory: Directory) -> Contradiction:
    older, age = _signed(detail["older"], directory)
    newer, _ = _signed(detail["newer"], directory)
    if older.origin != newer.origin:
        raise ContradictionUnproven("the two checkpoints are of two logs, which nobody said were one")
    alike = older.size == newer.size
    own = newer.root if alike else unb64u(detail["root"])
    proof = () if alike else tuple(map(unb64u, detail["proof"]))
    if older.size > newer.size or len(own) != HASH:
        raise ContradictionUnproven("the smaller checkpoint stands first, and a root has 32 bytes")
    _must_lead(own, older, newer, proof)
    if own == older.root:
        raise ContradictionUnproven("the larger log contains the smaller: both can be true")
    facts = {
        "log": older.origin, "keys_of_root": age, "size": older.size, "signed_root": b64u(older.root),
        "own_root": b64u(own), "larger": newer.size, "signed": [stamp(older.at), stamp(newer.at)],
    }  # fmt: skip
    what = f"of {older.size} entries" if older.size == newer.size else f"of {older.size} and of {newer.size} entries"
    return Contradiction(LOG_FORKED, "broker", f"the log signed two checkpoints {what} that cannot both be true", facts)


def _must_lead(own: bytes, older: Checkpoint, newer: Checkpoint, proof: Sequence[bytes]) -> None:
    try:
        verify_consistency(older.size, own, newer.size, newer.root, proof)
    except Refusal as refusal:
        sentence = f"it is not shown which root the larger log has at the smaller one's size: {refusal.sentence}"
        raise ContradictionUnproven(sentence) from None


def _signed(note: Any, directory: Directory) -> tuple[Checkpoint, int]:
    found = signed_by_log(note, directory) if type(note) is str else None
    if found is None:
        raise ContradictionUnproven("one of the checkpoints was not signed by the log of this federation")
    return found


# --- a shard that was closed ----------------------------------------------------------------------------


def _of_a_shard(detail: Mapping[str, Any], directory: Directory) -> Contradiction:
    """A checkpoint of a shard with more entries than the first entry of the next one closed it with (WIT-56)."""
    newer, age = _signed(detail["newer"], directory)
    data = unb64u(detail["entry"])
    try:
        index, log = _proven(detail["proof"], data, directory)
        entry = parse_entry(data)
    except EntryMalformed as refusal:
        raise ContradictionUnproven(refusal.sentence) from None
    if not isinstance(entry, ShardEntry) or index or newer.origin != entry.origin:
        raise ContradictionUnproven("the entry does not close the shard that the checkpoint is of")
    if newer.size <= entry.size:
        raise ContradictionUnproven("the checkpoint is of the shard before it was closed: both can be true")
    facts = {
        "log": newer.origin, "keys_of_root": age, "closed_by": log.origin, "size": entry.size, "larger": newer.size,
        "signed": [entry.ts, stamp(newer.at)],
    }  # fmt: skip
    sentence = f"the log closed `{newer.origin}` with {entry.size} entries and signed it with {newer.size}"
    return Contradiction(SHARD_REOPENED, "broker", sentence, facts)


# --- a batch of receipts --------------------------------------------------------------------------------


def _of_a_word(detail: Mapping[str, Any], directory: Directory) -> Contradiction:
    index, batch, log = _logged(detail, directory)
    seen = batch.seen
    if seen is None:
        raise ContradictionUnproven("the batch tells nothing of the log")
    signed = signed_by_log(seen.note, directory)
    facts: dict[str, Any] = {
        "batch": batch.digest, "by": batch.by, "index": index, "size": seen.size, "seen_root": b64u(seen.root),
    }  # fmt: skip
    if signed is None:
        who, sentence = forger(batch, seen, directory)
        return Contradiction(SEEN_FORGED, who, sentence, facts)
    if seen.origin != log.origin:
        raise ContradictionUnproven("what the giver saw is of a log of another name")
    if seen.size <= index:
        raise ContradictionUnproven("the log signed what the giver saw, and nothing here shows that it signed another")
    sentence = f"the log signed a checkpoint of {seen.size} entries before entry {index}, which names it, was there"
    return Contradiction(LOG_FORKED, "broker", sentence, {**facts, "keys_of_root": signed[1]})


def _proven(proof: Any, data: bytes, directory: Directory) -> tuple[int, Checkpoint]:
    """Where the log has an entry, within the tree that the proof is of."""
    for root in reversed(directory.roots):
        try:
            return verify_local_proof(proof, data, root.log)
        except Refusal:
            continue
    raise ContradictionUnproven("it is not proved that the log has the entry")


def _logged(detail: Mapping[str, Any], directory: Directory) -> tuple[int, ReceiptBatch, Checkpoint]:
    """The batch, the place where a log that was signed has it, and the checkpoint that proves so."""
    data = unb64u(detail["entry"])
    index, log = _proven(detail["proof"], data, directory)
    try:
        entry = parse_entry(data)
        at = entry.at if isinstance(entry, ReceiptEntry) else None
        batch = verify_receipts(write_json(detail["batch"]), directory, at) if at else None
    except Refusal as refusal:
        raise ContradictionUnproven(f"the batch or its entry does not hold: {refusal.sentence}") from None
    if batch is None or not isinstance(entry, ReceiptEntry) or (batch.digest, batch.by) != (entry.batch, entry.by):
        raise ContradictionUnproven("the entry is not one that names this batch")
    return index, batch, log

"""The log's signed face: notes, checkpoints, tlog-proofs and entry bundles, as C2SP writes them (LOG-14 to LOG-26).

A *checkpoint* is a signed note that says how long the log is and what its root is. It carries two lines
of the log's own, Ed25519 and ML-DSA-44, and both must verify: a break of either algorithm alone lets
nobody show a forged log. A *proof* is a checkpoint, an index and the hashes between the entry and the
root; it convinces offline. What entries say is in ``entry``; how trees hash is in ``merkle``.

Two checkpoints that cannot both be true are evidence: ``verify_growth`` raises a refusal that carries
both, to be kept.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

from exchange.protocol.entry import (
    MAX_ENTRY,
    ActEntry,
    AgreementEntry,
    DenialEntry,
    DisclosureEntry,
    LogEntry,
    NodeHeadEntry,
    NoticeEntry,
    ReceiptEntry,
    RecordEntry,
    ShardEntry,
    SignatureEntry,
    act_entry,
    agreement_entry,
    denial_entry,
    disclosure_entry,
    node_head_entry,
    notice_entry,
    parse_entry,
    receipt_entry,
    record_entry,
    shard_entry,
    signature_entry,
)
from exchange.protocol.errors import (
    BundleMalformed,
    CheckpointInvalid,
    LogInconsistent,
    ShardReopened,
    ShardUnknown,
    TlogProofMalformed,
)
from exchange.protocol.merkle import HASH, MAX_SIZE, WIDTH, leaf_hash, verify_consistency, verify_inclusion
from keys.errors import SignatureInvalid
from keys.signing import PublicKey, Signer
from keys.trust import LogIdentity

__all__ = [
    "MAX_ENTRY",
    "ActEntry",
    "AgreementEntry",
    "Checkpoint",
    "DenialEntry",
    "DisclosureEntry",
    "LogEntry",
    "LogIdentity",
    "LogSigner",
    "NodeHeadEntry",
    "NoteSignature",
    "NoticeEntry",
    "ReceiptEntry",
    "RecordEntry",
    "ShardEntry",
    "SignatureEntry",
    "act_entry",
    "agreement_entry",
    "bundle",
    "checkpoint_text",
    "cosigned_message",
    "denial_entry",
    "disclosure_entry",
    "key_id",
    "key_name",
    "node_head_entry",
    "notice_entry",
    "parse_bundle",
    "own_lines",
    "parse_entry",
    "read_checkpoint_text",
    "receipt_entry",
    "record_entry",
    "shard_entry",
    "sign_checkpoint",
    "signature_entry",
    "split_note",
    "shard_origin",
    "shard_prefix",
    "tlog_proof",
    "unverified_checkpoint",
    "verify_checkpoint",
    "verify_growth",
    "verify_local_proof",
    "verify_tlog_proof",
    "verify_tree",
    "vkeys",
    "year_of",
]

ED25519_NOTE: Final = 0x01
MLDSA44_COSIGNATURE: Final = 0x06
MAX_NOTE: Final = 128 * 1024
MAX_SIGNATURE_LINES: Final = 32
MAX_TIMESTAMP: Final = 253402300799
"""The last second of the year 9999: what a ``datetime`` can say."""
PROOF_HEADER: Final = "c2sp.org/tlog-proof@v1"

_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
_HASH_LINE = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=", re.ASCII)
"""The base64 of 32 bytes, in its one spelling."""
_YEAR = re.compile(r"[0-9]{4}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_WHITE_SPACE = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]")
"""ENC-12's list, which no version of Unicode changes."""


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _unb64(text: str) -> bytes | None:
    """Read standard base64 in its one spelling; None for anything else."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if _b64(data) == text else None


def _number(text: str) -> int | None:
    """Read a decimal without leading zeroes, at most 2^53 - 1; None for anything else."""
    value = int(text) if _NUMBER.fullmatch(text) else None
    return value if value is not None and value <= MAX_SIZE else None


# --- signed notes (C2SP signed-note) -------------------------------------------------------------------


class NoteSignature(NamedTuple):
    """One signature line of a note, not verified: whose, by which key, and the bytes."""

    name: str
    key_id: bytes
    signature: bytes


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """The four bytes that name a note key: SHA-256(name || LF || type || public key), truncated."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def key_name(text: str) -> bool:
    """Whether this can be the name of a note key (LOG-19): not empty, no white space, no plus sign."""
    return bool(text) and "+" not in text and not _WHITE_SPACE.search(text)


def split_note(note: str) -> tuple[str, tuple[NoteSignature, ...]]:
    """Take a note apart into its text (with the last newline) and its signature lines; verifies nothing."""
    if _too_long(note) or _CONTROL.search(note):
        raise CheckpointInvalid(f"a signed note is UTF-8 of at most {MAX_NOTE} bytes without control characters")
    head, blank, tail = note.rpartition("\n\n")
    if not blank or not tail.endswith("\n"):
        raise CheckpointInvalid("a signed note is a text, an empty line, and signature lines that end in a newline")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURE_LINES:
        raise CheckpointInvalid(f"a signed note has at most {MAX_SIGNATURE_LINES} signature lines here")
    return head + "\n", tuple(_signature_line(line) for line in lines)


def _too_long(text: str) -> bool:
    """Whether it has more bytes than a note may have, or cannot be written as UTF-8 at all."""
    try:
        return len(text) > MAX_NOTE or len(text.encode()) > MAX_NOTE
    except UnicodeEncodeError:
        return True


def _signature_line(line: str) -> NoteSignature:
    name, _, encoded = line.removeprefix("\u2014 ").partition(" ")
    data = _unb64(encoded)
    if not line.startswith("\u2014 ") or not key_name(name) or data is None or len(data) < 5:
        raise CheckpointInvalid("a signature line is an em dash, a key name and the base64 of key id and signature")
    return NoteSignature(name, data[:4], data[4:])


# --- checkpoints (C2SP tlog-checkpoint, tlog-cosignature) -----------------------------------------------


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the log signed: a tree's name, its length, its root, and when it said so (to the second).

    ``base`` is the number of the tree's first entry: how many entries the shards before it have (LOG-121).
    """

    origin: str
    size: int
    root: bytes
    at: datetime
    base: int = 0

    @property
    def end(self) -> int:
        """How many entries the whole log has under it, earlier shards included."""
        return self.base + self.size


@dataclass(frozen=True, slots=True)
class LogSigner:
    """The log's name and keys; ``identity`` is what a federation root lists of them."""

    origin: str
    signer: Signer = field(repr=False)

    @property
    def identity(self) -> LogIdentity:
        """The public side: who verifies this log's checkpoints needs exactly this."""
        return LogIdentity(self.origin, self.signer.public.ed25519, self.signer.public.mldsa44)

    def named(self, origin: str) -> LogSigner:
        """The same keys under the name of one of the log's shards."""
        return LogSigner(origin, self.signer)


def vkeys(identity: LogIdentity) -> tuple[str, str]:
    """The log's two verifier keys in C2SP notation, Ed25519 first, for verifiers that others wrote."""
    pairs = ((ED25519_NOTE, identity.ed25519), (MLDSA44_COSIGNATURE, identity.mldsa44))
    one, two = (
        f"{identity.origin}+{key_id(identity.origin, kind, key.raw).hex()}+{_b64(bytes([kind]) + key.raw)}"
        for kind, key in pairs
    )
    return one, two


def checkpoint_text(origin: str, size: int, root: bytes) -> str:
    """The three lines that are signed: origin, size, root."""
    return f"{origin}\n{size}\n{_b64(root)}\n"


def cosigned_message(cosigner: str, origin: str, size: int, root: bytes, timestamp: int) -> bytes:
    """What an ML-DSA-44 line signs (tlog-cosignature); on its own checkpoints the log is its own cosigner."""
    by, log = _named(cosigner), _named(origin)
    return b"subtree/v1\n\0" + by + struct.pack(">Q", timestamp) + log + struct.pack(">QQ", 0, size) + root


def _named(name: str) -> bytes:
    written = name.encode()
    return bytes([len(written)]) + written


def sign_checkpoint(size: int, root: bytes, log: LogSigner, now: datetime) -> str:
    """Sign the log's head with both keys. Sign no size twice with different roots: that is misconduct."""
    text = checkpoint_text(log.origin, size, root)
    timestamp = int(now.timestamp())
    identity = log.identity
    ed25519 = log.signer.sign_ed25519(text.encode())
    mldsa44 = log.signer.sign_mldsa44(cosigned_message(log.origin, log.origin, size, root, timestamp))
    ids = _key_ids(log.origin, identity.ed25519, identity.mldsa44)
    return (
        f"{text}\n"
        f"\u2014 {log.origin} {_b64(ids[0] + ed25519)}\n"
        f"\u2014 {log.origin} {_b64(ids[1] + struct.pack('>Q', timestamp) + mldsa44)}\n"
    )


@lru_cache(maxsize=64)
def _key_ids(origin: str, ed25519: PublicKey, mldsa44: PublicKey) -> tuple[bytes, bytes]:
    return key_id(origin, ED25519_NOTE, ed25519.raw), key_id(origin, MLDSA44_COSIGNATURE, mldsa44.raw)


def verify_checkpoint(note: str, identity: LogIdentity) -> Checkpoint:
    """Return the checkpoint if both of the log's keys signed it; ``CheckpointInvalid`` otherwise.

    Lines of keys other than the log's two are ignored, as C2SP asks: they may be witnesses'. A checkpoint of a
    shard that ``identity`` does not know is refused with `shard_unknown`, and one that goes on behind the end of a
    closed shard with `shard_reopened` (LOG-125, LOG-126).
    """
    found = _verified(note, identity)
    closed = next((begin for _, begin in identity.shards if begin > found.base), None)
    if closed is not None and found.end > closed:
        sentence = f"the shard `{found.origin}` was closed with {closed - found.base} entries and here has {found.size}"
        raise ShardReopened(sentence)
    return found


def verify_tree(note: str, identity: LogIdentity) -> Checkpoint:
    """The same for a checkpoint of any of the log's trees, whether or not it is known where that begins or ends.

    Its ``base`` is 0 where it is not known: what is said of one tree needs none.
    """
    origin = read_checkpoint_text(split_note(note)[0])[0]
    if year_of(identity.origin, origin) is not None and all(name != origin for name, _ in identity.shards):
        identity = replace(identity, shards=((origin, 0),))
    return _verified(note, identity)


@lru_cache(maxsize=512)  # all items of one commit come under one checkpoint
def _verified(note: str, identity: LogIdentity) -> Checkpoint:
    text, signatures = split_note(note)
    origin, size, root = read_checkpoint_text(text)
    base = _base(origin, identity)
    ed25519_id, mldsa44_id = _key_ids(origin, identity.ed25519, identity.mldsa44)
    _verify_line(identity.ed25519, _the_one(signatures, origin, ed25519_id, 64), text.encode())
    stamped = _the_one(signatures, origin, mldsa44_id, 8 + 2420)
    timestamp: int = struct.unpack(">Q", stamped[:8])[0]
    if timestamp > MAX_TIMESTAMP:
        raise CheckpointInvalid("the checkpoint's time is beyond the year 9999")
    _verify_line(identity.mldsa44, stamped[8:], cosigned_message(origin, origin, size, root, timestamp))
    return Checkpoint(origin, size, root, datetime.fromtimestamp(timestamp, UTC), base)


def _base(origin: str, identity: LogIdentity) -> int:
    """The number of a tree's first entry, as far as the identity knows the log's shards."""
    if origin == identity.origin:
        return 0
    for name, base in identity.shards:
        if name == origin:
            return base
    if year_of(identity.origin, origin) is not None:
        raise ShardUnknown(f"where the shard `{origin}` begins is not known here: verify its first entry before")
    raise CheckpointInvalid("the checkpoint is of another log")


def year_of(log: str, origin: str) -> int | None:
    """The year of one of a log's shards, by their names; None for the first tree, and for whatever is no shard."""
    head, slash, year = origin.rpartition("/")
    return int(year) if slash and head == log and _YEAR.fullmatch(year) else None


def shard_origin(log: str, year: int) -> str:
    """The name of the shard of a year (LOG-120)."""
    return f"{log}/{year:04}"


def shard_prefix(log: str, origin: str) -> str:
    """Where a tree is served below the log's own prefix: nothing for the first, ``2027/`` for a year's (LOG-131)."""
    year = year_of(log, origin)
    return "" if year is None else f"{year:04}/"


def own_lines(note: str, identity: LogIdentity) -> str:
    """A checkpoint with the log's own two lines and nobody else's, in their order: what a shard entry names."""
    text, signatures = split_note(note)
    origin = text.partition("\n")[0]
    ids = _key_ids(origin, identity.ed25519, identity.mldsa44)
    mine = [s for key in ids for s in signatures if s.name == origin and s.key_id == key]
    return f"{text}\n" + "".join(f"\u2014 {s.name} {_b64(s.key_id + s.signature)}\n" for s in mine)


def _the_one(signatures: Sequence[NoteSignature], name: str, key: bytes, length: int) -> bytes:
    found = [s.signature for s in signatures if s.name == name and s.key_id == key]
    if len(found) != 1 or len(found[0]) != length:
        raise CheckpointInvalid("the checkpoint must carry each of the log's two signatures exactly once")
    return found[0]


def _verify_line(key: PublicKey, signature: bytes, data: bytes) -> None:
    try:
        key.verify(signature, data)
    except SignatureInvalid:
        raise CheckpointInvalid(f"the log's {key.alg} signature on the checkpoint does not verify") from None


def unverified_checkpoint(note: str) -> tuple[str, int, bytes]:
    """Read origin, size and root of a checkpoint that nobody vouches for, to look further into damage."""
    return read_checkpoint_text(split_note(note)[0])


def read_checkpoint_text(text: str) -> tuple[str, int, bytes]:
    """Read the text of a checkpoint strictly (LOG-16): origin, size and root."""
    lines = text[:-1].split("\n")
    if len(lines) != 3 or not lines[0]:
        raise CheckpointInvalid("a checkpoint's text is exactly three lines: origin, size and root")
    size, root = _number(lines[1]), _unb64(lines[2])
    if size is None or root is None or len(root) != HASH:
        raise CheckpointInvalid("a checkpoint's size is a plain decimal and its root the base64 of 32 bytes")
    return lines[0], size, root


def verify_growth(
    older: str, newer: str, proof: Sequence[bytes], identity: LogIdentity
) -> tuple[Checkpoint, Checkpoint]:
    """Verify two checkpoints and that the newer only adds to the older; ``LogInconsistent`` carries the evidence."""
    old, new = verify_checkpoint(older, identity), verify_checkpoint(newer, identity)
    if old.origin != new.origin:
        raise CheckpointInvalid("the checkpoints are of two shards: each grows by itself")
    try:
        verify_consistency(old.size, old.root, new.size, new.root, proof)
    except LogInconsistent as refusal:
        raise LogInconsistent(refusal.sentence, older=older, newer=newer, proof=tuple(proof)) from None
    return old, new


# --- proofs (C2SP tlog-proof) ---------------------------------------------------------------------------


def tlog_proof(index: int, path: Sequence[bytes], checkpoint: str) -> str:
    """Write an inclusion proof as it travels: header, index, hashes, empty line, checkpoint verbatim."""
    hashes = "".join(f"{_b64(item)}\n" for item in path)
    return f"{PROOF_HEADER}\nindex {index}\n{hashes}\n{checkpoint}"


def verify_tlog_proof(proof: str, entry: bytes, identity: LogIdentity) -> tuple[int, Checkpoint]:
    """Return the entry's number and the checkpoint that proves it; refuses what is malformed, unsigned or misleading.

    The proof has the index in its tree; the number is that and the tree's base (LOG-121).
    """
    index, path, note = parse_tlog_proof(proof)
    checkpoint = verify_checkpoint(note, identity)
    verify_inclusion(leaf_hash(entry), index, checkpoint.size, path, checkpoint.root)
    return checkpoint.base + index, checkpoint


def verify_local_proof(proof: str, entry: bytes, identity: LogIdentity) -> tuple[int, Checkpoint]:
    """The same within the tree of the proof alone: the index is that in the tree, whichever shard it is."""
    index, path, note = parse_tlog_proof(proof)
    checkpoint = verify_tree(note, identity)
    verify_inclusion(leaf_hash(entry), index, checkpoint.size, path, checkpoint.root)
    return index, checkpoint


def parse_tlog_proof(proof: str) -> tuple[int, tuple[bytes, ...], str]:
    """Take a proof apart into index, hashes and the note; verifies nothing. ``extra`` lines are refused (LOG-25)."""
    if _too_long(proof):
        raise TlogProofMalformed(f"a proof is UTF-8 of at most {MAX_NOTE} bytes")
    head, blank, note = proof.partition("\n\n")
    lines = head.split("\n")
    if not blank or len(lines) < 2 or lines[0] != PROOF_HEADER:
        raise TlogProofMalformed(f"a proof starts with `{PROOF_HEADER}` and has an empty line before its checkpoint")
    index = _number(lines[1].removeprefix("index ")) if lines[1].startswith("index ") else None
    if index is None:
        raise TlogProofMalformed("a proof's second line is `index` and a plain decimal")
    if len(lines) > 65 or not all(map(_HASH_LINE.fullmatch, lines[2:])):
        raise TlogProofMalformed("a proof's hashes are at most 63 lines of the base64 of 32 bytes")
    return index, tuple(map(binascii.a2b_base64, lines[2:])), note


# --- entry bundles (C2SP tlog-tiles) --------------------------------------------------------------------


def bundle(entries: Sequence[bytes]) -> bytes:
    """Write up to 256 entries as they are served: each behind its length in two bytes, big-endian."""
    if not 0 < len(entries) <= WIDTH:
        raise ValueError(f"a bundle has 1 to {WIDTH} entries, not {len(entries)}")
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def parse_bundle(data: bytes, width: int) -> tuple[bytes, ...]:
    """Take a bundle of exactly ``width`` entries apart; ``BundleMalformed`` otherwise. Entries are not read."""
    entries: list[bytes] = []
    at, end = 0, len(data)
    while at < end and len(entries) < width:
        length = int.from_bytes(data[at : at + 2], "big")
        entries.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    if at != end or len(entries) != width:
        raise BundleMalformed(f"the bundle does not hold exactly {width} whole entries")
    return tuple(entries)

"""The word between members: the checkpoint a giver of receipts has seen, inside what it signs (RCT-7 to RCT-9).

Who receives from one broker sees one log, and cannot tell whether others see the same. A batch of receipts goes from
one member to another through the broker's hands and under its giver's signatures, so what it says of the log can be
held back with the receipts, but not changed. What such a word is worth beside one's own view is judged by whoever keeps
a view (``watch`` in a node, ``gossip`` in an audit); here is only how it is written.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Final, NamedTuple

from exchange.protocol.errors import CheckpointInvalid
from exchange.protocol.log import (
    ED25519_NOTE,
    MLDSA44_COSIGNATURE,
    Checkpoint,
    key_id,
    read_checkpoint_text,
    split_note,
    verify_tree,
    year_of,
)
from keys.signing import PublicKey
from keys.trust import Directory, LogIdentity

MAX_ORIGIN: Final = 255
"""Bytes of a log's name, for its length travels in one byte of what is signed."""
_LENGTHS: Final = (64, 8 + 2420)


class Seen(NamedTuple):
    """What a giver says it saw, not verified: the checkpoint's own three lines, and the note whole."""

    origin: str
    size: int
    root: bytes
    note: str


@lru_cache(maxsize=512)  # one look into a mailbox brings the same few notes again and again
def read_seen(note: str) -> Seen:
    """Read the form of a ``seen``; ``CheckpointInvalid`` for any other. Whether the log signed it is not asked here."""
    text, lines = split_note(note)
    origin, size, root = read_checkpoint_text(text)
    if len(origin.encode()) > MAX_ORIGIN:
        raise CheckpointInvalid(f"the name of a log has at most {MAX_ORIGIN} bytes")
    if [line.name for line in lines] != [origin] * 2 or tuple(len(line.signature) for line in lines) != _LENGTHS:
        raise CheckpointInvalid("a checkpoint that was seen carries the log's own two lines and no others")
    return Seen(origin, size, root, note)


def own_lines(note: str, identity: LogIdentity) -> str:
    """A checkpoint with the log's own two lines alone, to tell others; refused where it lacks one of them."""
    text, lines = split_note(note)
    made, origin = f"{text}\n", text.partition("\n")[0]
    for kind, key in log_keys(identity):
        name = key_id(origin, kind, key.raw)
        found = [line for line in lines if (line.name, line.key_id) == (origin, name)]
        if len(found) != 1:
            raise CheckpointInvalid("the checkpoint must carry each of the log's two signatures exactly once")
        made += f"\u2014 {origin} {base64.b64encode(name + found[0].signature).decode()}\n"
    return read_seen(made).note


def names_log_keys(note: str, directory: Directory) -> bool:
    """Whether both lines are called by one root's log keys, so that what they do not verify under was not theirs.

    Of other keys nobody can say so: they may be the log's under a root that this directory does not have yet.
    """
    text, lines = split_note(note)
    origin, named = text.partition("\n")[0], {(line.name, line.key_id) for line in lines}
    return any(
        named == {(name, key_id(name, kind, key.raw)) for kind, key in log_keys(log)}
        for log in (root.log for root in directory.roots)
        for name in (log.origin, *([origin] if year_of(log.origin, origin) is not None else []))
    )


def log_keys(identity: LogIdentity) -> tuple[tuple[int, PublicKey], tuple[int, PublicKey]]:
    """The log's two keys, each with the kind of its signature line."""
    return (ED25519_NOTE, identity.ed25519), (MLDSA44_COSIGNATURE, identity.mldsa44)


def signed_by_log(note: str, directory: Directory) -> tuple[Checkpoint, int] | None:
    """The checkpoint and the version of the root whose log keys signed it, the newest first; none if none did."""
    for version, root in reversed(list(enumerate(directory.roots, 1))):
        try:
            return verify_tree(note, root.log), version
        except CheckpointInvalid:
            continue
    return None

"""A checkpoint is told to others with the log's own lines, and only with those."""

from __future__ import annotations

import pytest

from exchange.protocol.cosignature import Cosigner
from exchange.protocol.errors import CheckpointInvalid
from exchange.protocol.log import LogSigner, sign_checkpoint, split_note
from exchange.protocol.merkle import leaf_hash
from exchange.protocol.seen import own_lines, read_seen, signed_by_log
from keys.signing import Signer
from tests.vectors.stage import NOW, stage

LOG = LogSigner("broker.example/log", Signer.generate())
NOTE = sign_checkpoint(1, leaf_hash(b"one"), LOG, NOW)


@pytest.mark.spec("RCT-7")
def test_the_lines_of_witnesses_are_left_out_wherever_they_stand() -> None:
    text, _ = split_note(NOTE)
    line = Cosigner("north.police.sim/witness", Signer.generate()).cosign(text, NOW)
    before = f"{text}\n{line}{NOTE[len(text) + 1 :]}"
    for note in (NOTE, NOTE + line, before):
        assert own_lines(note, LOG.identity) == NOTE
    assert read_seen(NOTE) == ("broker.example/log", 1, leaf_hash(b"one"), NOTE)


@pytest.mark.spec("RCT-7")
def test_a_checkpoint_without_one_of_the_logs_lines_is_not_told() -> None:
    for note in (NOTE[: NOTE.rindex("\u2014")], NOTE + NOTE.splitlines(keepends=True)[-1]):
        with pytest.raises(CheckpointInvalid):
            own_lines(note, LOG.identity)
    with pytest.raises(CheckpointInvalid):
        own_lines(NOTE, LogSigner(LOG.origin, Signer.generate()).identity)


def test_who_signed_is_looked_for_among_all_roots() -> None:
    on = stage()
    assert signed_by_log(NOTE, on.directory) is None
    forged = LogSigner(on.log.origin, Signer.generate())
    assert signed_by_log(sign_checkpoint(1, bytes(32), forged, NOW), on.directory) is None
    found = signed_by_log(sign_checkpoint(1, bytes(32), on.log, NOW), on.directory)
    assert found is not None
    assert (found[0].size, found[0].root, found[1]) == (1, bytes(32), 1)

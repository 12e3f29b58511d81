"""Witnessing: a witness never goes back, and signs nothing that does not follow. See `spec/witness.md`."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from exchange.protocol.cosignature import Cosigner, verify_line
from exchange.protocol.errors import (
    CheckpointInvalid,
    LogInconsistent,
    OriginUnknown,
    WitnessAhead,
    WitnessRequestMalformed,
)
from exchange.protocol.log import LogSigner, sign_checkpoint, verify_checkpoint
from exchange.protocol.merkle import Tree, leaf_hash
from exchange.protocol.witnessing import Submission, parse_submission, witness
from keys.signing import Signer

NOW = datetime(2026, 11, 21, 16, 20, tzinfo=UTC)
LOG = LogSigner("log.sim/2026", Signer.generate())
WITNESS = Cosigner("north.police.sim/witness", Signer.generate())


def grown(*leaves: bytes) -> Tree:
    """A tree of these entries."""
    tree = Tree()
    tree.append([leaf_hash(leaf) for leaf in leaves])
    return tree


ENTRIES = [b"entry %d" % n for n in range(300)]
TREE = grown(*ENTRIES)


def head(size: int, tree: Tree = TREE) -> str:
    """The checkpoint of the first ``size`` entries."""
    return sign_checkpoint(size, tree.root(size), LOG, NOW)


def step(old: int, size: int) -> Submission:
    """What an honest log shows."""
    return Submission(old, TREE.consistency(old, size) if old else (), head(size))


@pytest.mark.spec("WIT-13")
@pytest.mark.spec("WIT-14")
def test_a_log_that_only_grows_is_cosigned_at_every_step() -> None:
    latest = None
    for old, size in ((0, 1), (1, 1), (1, 2), (2, 255), (255, 256), (256, 300)):
        latest, lines = witness(step(old, size), [LOG.identity], latest, WITNESS, NOW)
        assert latest.size == size
        assert [verify_line(head(size) + lines, key) for key in WITNESS.keys] == [NOW, NOW]


@pytest.mark.spec("WIT-10")
def test_a_request_reads_back() -> None:
    for old, size in ((0, 7), (7, 300), (300, 300)):
        shown = step(old, size)
        assert parse_submission(shown.to_bytes()) == shown


@pytest.mark.spec("WIT-10")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"old 1\n",
        b"old 01\n\n" + head(7).encode(),
        b"old -1\n\n" + head(7).encode(),
        b"new 1\n\n" + head(7).encode(),
        b"old 1\nnot base64\n\n" + head(7).encode(),
        b"old 1\nAAAA\n\n" + head(7).encode(),
        b"old 1\n" + b"A" * 43 + b"=\n\n",
        b"old 1\n" + (b"A" * 43 + b"=\n") * 64 + b"\n" + head(7).encode(),
        b"old 99999999999999999999\n\n" + head(7).encode(),
        b"old 1\n\n" + b"x" * (200 * 1024),
    ],
    ids=range(12),
)
def test_a_request_in_another_form_is_refused(body: bytes) -> None:
    with pytest.raises((WitnessRequestMalformed, CheckpointInvalid)):
        witness(parse_submission(body), [LOG.identity], None, WITNESS, NOW)


@pytest.mark.spec("WIT-10")
def test_an_old_size_beyond_the_checkpoint_is_refused() -> None:
    with pytest.raises(WitnessRequestMalformed):
        witness(Submission(8, (), head(7)), [LOG.identity], None, WITNESS, NOW)


@pytest.mark.spec("WIT-11")
def test_a_log_nobody_watches_here_is_refused() -> None:
    with pytest.raises(OriginUnknown):
        witness(step(0, 7), [], None, WITNESS, NOW)


@pytest.mark.spec("WIT-11")
def test_a_checkpoint_that_the_log_did_not_sign_is_refused() -> None:
    forger = LogSigner(LOG.origin, Signer.generate())
    forged = sign_checkpoint(7, TREE.root(7), forger, NOW)
    with pytest.raises(CheckpointInvalid):
        witness(Submission(0, (), forged), [LOG.identity], None, WITNESS, NOW)


@pytest.mark.spec("WIT-12")
@pytest.mark.parametrize("old", [0, 6, 8])
def test_whoever_starts_from_another_size_is_told_which_one_is_known(old: int) -> None:
    latest = verify_checkpoint(head(7), LOG.identity)
    with pytest.raises(WitnessAhead) as refused:
        witness(step(old, 300), [LOG.identity], latest, WITNESS, NOW)
    assert refused.value.size == 7


@pytest.mark.spec("WIT-13")
def test_a_log_that_rewrites_history_gets_no_signature() -> None:
    latest = verify_checkpoint(head(7), LOG.identity)
    other = grown(*[b"rewritten", *ENTRIES[1:]])
    for size in (7, 8, 300):
        shown = Submission(7, other.consistency(7, size), head(size, other))
        with pytest.raises(LogInconsistent) as refused:
            witness(shown, [LOG.identity], latest, WITNESS, NOW)
        assert refused.value.newer == shown.note


@pytest.mark.spec("WIT-13")
def test_a_proof_where_none_is_needed_and_a_root_of_nothing_that_is_something_are_refused() -> None:
    with pytest.raises(LogInconsistent):
        witness(Submission(0, (bytes(32),), head(7)), [LOG.identity], None, WITNESS, NOW)
    empty = sign_checkpoint(0, bytes(32), LOG, NOW)
    with pytest.raises(LogInconsistent):
        witness(Submission(0, (), empty), [LOG.identity], None, WITNESS, NOW)

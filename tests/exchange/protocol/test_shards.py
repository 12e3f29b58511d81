"""What a checkpoint, a proof and an entry are worth where a log has shards (LOG-120 to LOG-126)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from exchange.protocol.cosignature import log_keys
from exchange.protocol.entry import MAX_ENTRY, ShardEntry, parse_entry, shard_entry
from exchange.protocol.errors import CheckpointInvalid, EntryMalformed, ShardReopened, ShardUnknown
from exchange.protocol.log import (
    LogSigner,
    own_lines,
    shard_origin,
    shard_prefix,
    sign_checkpoint,
    tlog_proof,
    verify_checkpoint,
    verify_growth,
    verify_local_proof,
    verify_tlog_proof,
    verify_tree,
    year_of,
)
from exchange.protocol.merkle import Tree, leaf_hash
from exchange.protocol.quorum import TrustPolicy
from keys.encoding import b64u
from keys.trust import LogIdentity
from tests.vectors.stage import signer

NOW = datetime(2027, 3, 1, tzinfo=UTC)
NAME = "log.shards.sim/ix"
LOG = LogSigner(NAME, signer("log of shards"))
ENTRIES = [f"entry {n}".encode() for n in range(5)]
TREE = Tree()
TREE.append(map(leaf_hash, ENTRIES))


def note(year: int = 0, size: int = 5) -> str:
    return sign_checkpoint(size, TREE.root(size), LOG.named(shard_origin(NAME, year)) if year else LOG, NOW)


def knowing(*bases: tuple[int, int]) -> LogIdentity:
    return replace(LOG.identity, shards=tuple((shard_origin(NAME, year), base) for year, base in bases))


@pytest.mark.spec("LOG-120", "LOG-121")
def test_a_checkpoint_of_a_shard_has_the_numbers_behind_all_before_it() -> None:
    shown = verify_checkpoint(note(2027), knowing((2027, 100)))
    assert (shown.origin, shown.base, shown.size, shown.end) == (f"{NAME}/2027", 100, 5, 105)
    proof = tlog_proof(3, TREE.inclusion(3), note(2027))
    assert verify_tlog_proof(proof, ENTRIES[3], knowing((2027, 100)))[0] == 103
    assert verify_local_proof(proof, ENTRIES[3], LOG.identity)[0] == 3


@pytest.mark.spec("LOG-125")
def test_a_shard_whose_beginning_is_not_known_numbers_nothing() -> None:
    for identity in (LOG.identity, knowing((2028, 7))):
        with pytest.raises(ShardUnknown):
            verify_checkpoint(note(2027), identity)
        assert verify_tree(note(2027), identity).size == 5
    for origin in (
        "another.sim/2027",
        f"{NAME}/227",
        f"{NAME}/2027/1",
        f"{NAME}/ledger/north.police.sim",
        f"{NAME}2027",
    ):
        strange = sign_checkpoint(5, TREE.root(), LOG.named(origin), NOW)
        with pytest.raises(CheckpointInvalid) as refusal:
            verify_checkpoint(strange, knowing((2027, 100)))
        assert refusal.value.code == "checkpoint_invalid"


@pytest.mark.spec("LOG-120")
def test_one_shards_checkpoint_does_not_pass_for_anothers() -> None:
    identity = knowing((2027, 5), (2028, 10))
    renamed = note(2027).replace("/2027", "/2028")
    with pytest.raises(CheckpointInvalid):
        verify_checkpoint(renamed, identity)
    with pytest.raises(CheckpointInvalid, match="two shards"):
        verify_growth(note(2027, 4), note(2028, 5), TREE.consistency(4), identity)
    assert verify_growth(note(2028, 4), note(2028), TREE.consistency(4), identity)[1].end == 15


@pytest.mark.spec("LOG-126")
def test_a_closed_tree_that_grew_is_refused() -> None:
    assert verify_checkpoint(note(size=4), knowing((2027, 4))).end == 4
    with pytest.raises(ShardReopened):
        verify_checkpoint(note(size=5), knowing((2027, 4)))
    with pytest.raises(ShardReopened):
        verify_checkpoint(note(2027), knowing((2027, 4), (2029, 8)))
    assert verify_checkpoint(note(2027), knowing((2027, 4), (2029, 9))).end == 9


@pytest.mark.spec("LOG-120")
def test_a_policy_that_names_a_log_names_its_shards() -> None:
    policy = TrustPolicy(log_keys(LOG.identity)[:1], {}, {}, "none")
    assert policy.verify(note()) == policy.verify(note(2027)) == {}
    with pytest.raises(Exception, match="none of the policy's logs"):
        policy.verify(sign_checkpoint(5, TREE.root(), LogSigner(f"{NAME}/2027", signer("another")), NOW))


def test_names_and_folders_follow_from_each_other() -> None:
    assert [year_of(NAME, one) for one in (NAME, f"{NAME}/2027", f"{NAME}/20", "x/2027")] == [None, 2027, None, None]
    assert [shard_prefix(NAME, one) for one in (NAME, f"{NAME}/2027")] == ["", "2027/"]
    once = note(2027)
    assert own_lines(once + "\u2014 w.sim AAAAAAAA\n", LOG.identity) == once


@pytest.mark.spec("LOG-133", "LOG-30")
def test_a_shard_entry_has_one_spelling() -> None:
    data = shard_entry(5, NAME, 5, b64u(TREE.root()), b64u(bytes(32)), NOW)
    assert len(data) < MAX_ENTRY
    entry = parse_entry(data)
    assert isinstance(entry, ShardEntry)
    assert (entry.base, entry.origin, entry.size, entry.to_bytes()) == (5, NAME, 5, data)
    for wrong in (
        data.replace(b'"base":5', b'"base":0'), data.replace(b'"base":5', b'"base":"5"'), data[:-1] + b',"note":"x"}',
        data.replace(NAME.encode(), b"log \xc3\xa4"), data.replace(b'"size":5', b'"size":-1'),
    ):  # fmt: skip
        with pytest.raises(EntryMalformed):
            parse_entry(wrong)

"""Quorum: enough witnesses, named in a file that other tools read too. See `spec/witness.md`."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from exchange.protocol.cosignature import Cosigner
from exchange.protocol.errors import QuorumMissing, TrustPolicyMalformed
from exchange.protocol.log import LogSigner, checkpoint_text, sign_checkpoint, vkeys
from exchange.protocol.quorum import parse_policy
from keys.signing import Signer

NOW = datetime(2026, 11, 21, 16, 20, tzinfo=UTC)
LOG = LogSigner("log.sim/2026", Signer.generate())
NAMES = ("north", "south", "ngo")
WITNESSES = {name: Cosigner(f"{name}.sim/witness", Signer.generate()) for name in NAMES}
TEXT = checkpoint_text(LOG.origin, 7, bytes(32))
NOTE = sign_checkpoint(7, bytes(32), LOG, NOW)


def policy(*last: str) -> bytes:
    """A policy of the log and three agencies of two keys each; ``last`` are its last lines."""
    lines = ["# who has to have seen it", f"log {vkeys(LOG.identity)[0]}", f"\tlog  {vkeys(LOG.identity)[1]} ", ""]
    for name, one in WITNESSES.items():
        ed25519, mldsa44 = one.keys
        lines += [f"witness {name}-ed {ed25519} https://{name}.example/", f"witness {name}-ml {mldsa44}"]
        lines += [f"group {name} all {name}-ed {name}-ml"]
    return ("\n".join([*lines, *last]) + "\n").encode()


def seen_by(*names: str) -> str:
    """The checkpoint as these witnesses have cosigned it."""
    return NOTE + "".join(WITNESSES[name].cosign(TEXT, NOW) for name in names)


TWO_OF_THREE = policy("group two 2 north south ngo", "quorum two")


@pytest.mark.spec("WIT-21")
@pytest.mark.spec("WIT-22")
def test_two_of_three_are_enough_and_one_is_not() -> None:
    rule = parse_policy(TWO_OF_THREE)
    for pair in (("north", "south"), ("south", "ngo"), NAMES):
        assert set(rule.verify(seen_by(*pair))) == {f"{name}-{kind}" for name in pair for kind in ("ed", "ml")}
    for few in ((), ("north",)):
        with pytest.raises(QuorumMissing):
            rule.verify(seen_by(*few))


@pytest.mark.spec("WIT-21")
def test_an_agency_of_which_one_signature_is_missing_does_not_count() -> None:
    half = seen_by("north") + WITNESSES["south"].cosign(TEXT, NOW).splitlines(keepends=True)[0]
    with pytest.raises(QuorumMissing):
        parse_policy(TWO_OF_THREE).verify(half)


@pytest.mark.spec("WIT-22")
def test_a_line_that_does_not_hold_counts_as_missing() -> None:
    moved = WITNESSES["south"].cosign(checkpoint_text(LOG.origin, 8, bytes(32)), NOW)
    with pytest.raises(QuorumMissing):
        parse_policy(TWO_OF_THREE).verify(seen_by("north") + moved)
    assert parse_policy(TWO_OF_THREE).verify(seen_by("north", "ngo") + moved)


@pytest.mark.spec("WIT-22")
def test_witnesses_of_another_log_say_nothing() -> None:
    other = LogSigner(LOG.origin, Signer.generate())
    note = sign_checkpoint(7, bytes(32), other, NOW)
    lines = "".join(one.cosign(TEXT, NOW) for one in WITNESSES.values())
    with pytest.raises(QuorumMissing):
        parse_policy(TWO_OF_THREE).verify(note + lines)


@pytest.mark.spec("WIT-22")
def test_no_quorum_is_met_by_the_log_alone() -> None:
    assert parse_policy(policy("quorum none")).verify(NOTE) == {}
    assert parse_policy(b"quorum none\n").verify(NOTE) == {}


@pytest.mark.spec("WIT-20")
def test_a_policy_reads_back() -> None:
    rule = parse_policy(TWO_OF_THREE)
    assert parse_policy(rule.to_bytes()) == rule


@pytest.mark.spec("WIT-20")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        policy(),
        policy("quorum north", "quorum south"),
        policy("quorum nobody"),
        policy("group none any north", "quorum none"),
        policy("group north any south", "quorum north"),
        policy("group two 0 north south", "quorum two"),
        policy("group two 3 north south", "quorum two"),
        policy("group two 02 north south", "quorum two"),
        policy("group two some north south", "quorum two"),
        policy("group two 2", "quorum two"),
        policy("group two any none", "quorum two"),
        policy("group a any north", "group b any north", "quorum b"),
        policy("group two any north north", "quorum two"),
        policy("group two any later", "group later any north", "quorum two"),
        policy(f"witness again {WITNESSES['north'].keys[0]}", "quorum again"),
        policy(f"log {vkeys(LOG.identity)[0]}", "quorum none"),
        policy(f"witness log {vkeys(LOG.identity)[0]}", "quorum log"),
        policy("witness x rubbish", "quorum x"),
        policy("surprise", "quorum none"),
        policy("quorum none")[:-1],
        policy("quorum none\0"),
        policy("quorum none\r"),
    ],
    ids=range(23),
)
def test_a_policy_in_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(TrustPolicyMalformed):
        parse_policy(data)


@pytest.mark.spec("WIT-20")
def test_a_refusal_names_the_line() -> None:
    with pytest.raises(TrustPolicyMalformed, match="line 2"):
        parse_policy(b"# first\nsurprise\nquorum none\n")

"""The head of a ledger is a checkpoint by its agency's own keys, valid when it is logged, and by nobody else's."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.protocol.errors import CheckpointInvalid
from exchange.protocol.ledger_head import HEAD_SKEW, MAX_HEAD, ledger_origin, read_head, verify_head
from exchange.protocol.log import LogSigner, key_id, sign_checkpoint
from exchange.protocol.merkle import EMPTY_ROOT
from keys.ceremony import AgencyKeys, rotate
from keys.errors import AgencyUnknown, KeyNotValid, KeyUnknown, Refusal, TooLarge
from keys.sealing import OpeningKey
from keys.signing import Signer, TransportSigner
from keys.trust import Directory
from tests.vectors.stage import NORTH, NOW, ORIGIN, SOUTH, seed, signer, stage

ROOT = bytes(range(32))
DASH = "\u2014"


def head(
    size: int = 7,
    root: bytes = ROOT,
    *,
    of: str = NORTH,
    by: Signer | None = None,
    at: datetime = NOW,
    origin: str = "",
) -> str:
    return sign_checkpoint(size, root, LogSigner(origin or ledger_origin(ORIGIN, of), by or stage()[of].signer), at)


def judged(note: str, agency: str = NORTH, *, directory: Directory | None = None, at: datetime = NOW) -> int:
    return verify_head(note, agency, directory or stage().directory, ORIGIN, at).size


# --- what counts ---------------------------------------------------------------------------------------


@pytest.mark.spec("LOG-91", "LOG-92")
def test_the_head_of_a_ledger_is_a_checkpoint_by_its_agency() -> None:
    assert ledger_origin("log.ix.sim/log", NORTH) == "log.ix.sim/log/ledger/north.police.sim"
    checkpoint = verify_head(read_head(head().encode()), NORTH, stage().directory, ORIGIN, NOW)
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (ledger_origin(ORIGIN, NORTH), 7, ROOT)
    assert checkpoint.at == NOW.replace(microsecond=0)


@pytest.mark.spec("LOG-92")
def test_the_longest_head_there_can_be_is_short_enough() -> None:
    longest = head(2**53 - 1, origin="o" * 120 + "/ledger/" + "a" * 36 + ".sim")
    assert len(longest.encode()) < MAX_HEAD


@pytest.mark.spec("LOG-92")
def test_a_head_may_wait_for_weeks_and_be_five_minutes_ahead() -> None:
    assert judged(head(), at=NOW + timedelta(days=60)) == 7
    assert judged(head(at=NOW + HEAD_SKEW), at=NOW) == 7


# --- what is refused -----------------------------------------------------------------------------------


@pytest.mark.spec("LOG-91", "LOG-92")
@pytest.mark.parametrize(
    "note",
    [
        pytest.param(head(of=SOUTH), id="another agency's ledger"),
        pytest.param(head(origin=ORIGIN), id="the log itself"),
        pytest.param(head(origin=ledger_origin("other.sim/log", NORTH)), id="a ledger under another log"),
        pytest.param(head(0, EMPTY_ROOT), id="an empty ledger"),
        pytest.param(head(at=NOW + HEAD_SKEW + timedelta(seconds=1)), id="dated in the future"),
        pytest.param(head() + head().splitlines()[-1] + "\n", id="a line twice"),
        pytest.param(head() + f"{DASH} a.witness+anybody AAAAAAAA\n", id="a line that is none"),
        pytest.param(head() + f"{DASH} text.that.anybody.wrote AAAAAAAA\n", id="a line of somebody else"),
        pytest.param("\n".join(head().split("\n")[:-2]) + "\n", id="one line only"),
        pytest.param("\n".join([*head().split("\n")[:4], *head().split("\n")[5:3:-1], ""]), id="the other line first"),
        pytest.param(head().replace("\n7\n", "\n8\n"), id="another size"),
        pytest.param(head().replace("\n7\n", "\n07\n"), id="another spelling"),
        pytest.param(head().replace("\n\n", "\nand more\n\n"), id="an extension line"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_is_not_exactly_this_agencys_head_is_refused(note: str) -> None:
    with pytest.raises(Refusal) as refused:
        judged(note)
    assert refused.value.code in ("checkpoint_invalid", "key_unknown")


@pytest.mark.spec("LOG-92", "LOG-93")
def test_both_lines_must_be_by_listed_keys() -> None:
    """The keys of another agency, or of nobody, sign nothing here."""
    for other in (stage()[SOUTH].signer, signer("nobody")):
        with pytest.raises(KeyUnknown):
            judged(head(by=other))
    mine, theirs = head().split("\n"), head(by=signer("nobody")).split("\n")
    with pytest.raises(KeyUnknown, match="ML-DSA-44"):
        judged("\n".join([*mine[:5], *theirs[5:]]))
    with pytest.raises(CheckpointInvalid, match="ML-DSA-44"):
        judged("\n".join([*head(8).split("\n")[:5], *mine[5:]]))
    with pytest.raises(AgencyUnknown):
        judged(head(origin=ledger_origin(ORIGIN, "nobody.sim")), "nobody.sim")


@pytest.mark.spec("LOG-93")
def test_the_keys_count_at_the_log_time() -> None:
    revoked = stage().without_keys_of(NORTH, NOW)
    with pytest.raises(KeyNotValid, match="revoked"):
        judged(head(), directory=revoked, at=NOW)
    assert judged(head(), directory=revoked, at=NOW - timedelta(milliseconds=1)) == 7
    with pytest.raises(KeyNotValid):
        judged(head(at=NOW - timedelta(days=90)), at=NOW - timedelta(days=60))


@pytest.mark.spec("LOG-93")
def test_any_of_several_valid_keys_may_have_signed() -> None:
    on, new = stage(), signer("north's next")
    sealing = OpeningKey.from_seed(seed("north's next sealing")).public
    keys = AgencyKeys(new.public, sealing, TransportSigner.from_seed(seed("north's next transport")).public)
    rotated = on.directory.with_record(rotate(on.fed, on.directory.agency(NORTH), keys, on.enrolment, now=NOW), NOW)
    later = NOW + timedelta(hours=1)
    assert judged(head(by=new), directory=rotated, at=later) == 7
    assert judged(head(), directory=rotated, at=later) == 7
    with pytest.raises(KeyUnknown):
        judged(head(by=new), at=later)


@pytest.mark.spec("LOG-92")
def test_bytes_that_cannot_be_a_note_are_refused() -> None:
    with pytest.raises(TooLarge):
        read_head(b"x" * (MAX_HEAD + 1))
    with pytest.raises(CheckpointInvalid):
        read_head(b"\xff" + head().encode())
    with pytest.raises(CheckpointInvalid):
        judged(head() + "x" * MAX_HEAD)


def test_a_key_is_named_by_the_origin_of_the_ledger() -> None:
    """LOG-93: what is signed for one ledger names another key than what is signed for the next."""
    public = stage()[NORTH].signer.public.ed25519.raw
    ids = {key_id(ledger_origin(ORIGIN, agency), 1, public) for agency in (NORTH, SOUTH)}
    assert len(ids) == 2


# --- whatever comes ------------------------------------------------------------------------------------

HONEST = head().encode()


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    """LOG-92"""
    with pytest.raises(Refusal):
        judged(read_head(data))


@given(st.data())
def test_no_edited_head_is_believed_or_crashes_the_reader(data: st.DataObject) -> None:
    """LOG-92: nor is a second spelling of an honest one."""
    raw = bytearray(HONEST)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw) - 1))
        match data.draw(st.sampled_from(["change", "insert", "remove"])):
            case "change":
                raw[place] = data.draw(st.integers(0, 255))
            case "insert":
                raw.insert(place, data.draw(st.integers(0, 255)))
            case _:
                del raw[place]
    if bytes(raw) != HONEST:
        with pytest.raises(Refusal):
            judged(read_head(bytes(raw)))

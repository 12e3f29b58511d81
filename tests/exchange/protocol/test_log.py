"""Checkpoints, proofs and bundles are C2SP's, and each is accepted in one form only."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.protocol.errors import (
    BundleMalformed,
    CheckpointInvalid,
    InclusionInvalid,
    LogInconsistent,
    TlogProofMalformed,
)
from exchange.protocol.log import (
    LogIdentity,
    LogSigner,
    bundle,
    checkpoint_text,
    cosigned_message,
    key_id,
    parse_bundle,
    parse_tlog_proof,
    sign_checkpoint,
    split_note,
    tlog_proof,
    unverified_checkpoint,
    verify_checkpoint,
    verify_growth,
    verify_tlog_proof,
    vkeys,
)
from exchange.protocol.merkle import Tree, leaf_hash
from keys.signing import ED25519, PublicKey
from tests.vectors.stage import NOW, signer

ORIGIN = "log.test.ix.sim/one"
LOG = LogSigner(ORIGIN, signer("test log"))
ENTRIES = [f"entry {i}".encode() for i in range(300)]
DASH = "\u2014"


def tree(size: int = 300) -> Tree:
    grown = Tree()
    grown.append([leaf_hash(entry) for entry in ENTRIES[:size]])
    return grown


TREE = tree()
NOTE = sign_checkpoint(300, TREE.root(), LOG, NOW)
TEXT, (ED_LINE, ML_LINE) = NOTE.split("\n\n")[0] + "\n", NOTE.split("\n\n")[1].splitlines()
PROOF = tlog_proof(255, TREE.inclusion(255, 299), sign_checkpoint(299, TREE.root(299), LOG, NOW))


def note(text: str = TEXT, *lines: str) -> str:
    return text + "\n" + "".join(f"{line}\n" for line in lines or (ED_LINE, ML_LINE))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# --- signed notes --------------------------------------------------------------------------------------


def test_the_example_of_the_specification_reads_and_verifies() -> None:
    """LOG-17, LOG-19: the vkey and note that C2SP signed-note gives as its example."""
    vkey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    name, kid, encoded = vkey.split("+")
    public = base64.b64decode(encoded)
    assert key_id(name, public[0], public[1:]).hex() == kid
    example = (
        "This is an example message.\n\n\u2014 example.com/foo "
        "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
    )
    text, (line,) = split_note(example)
    assert (text, line.name, line.key_id.hex()) == ("This is an example message.\n", name, kid)
    PublicKey(ED25519, public[1:]).verify(line.signature, text.encode())


def test_a_note_is_split_at_its_last_empty_line() -> None:
    """LOG-19"""
    text, lines = split_note("one\n\ntwo\n\n\n\u2014 a.example AAAAAAA=\n")
    assert text == "one\n\ntwo\n\n"
    assert [line.name for line in lines] == ["a.example"]


@pytest.mark.spec("LOG-19")
@pytest.mark.parametrize(
    "wrong",
    [
        "", "\n", "\n\n", TEXT, TEXT + "\n", note()[:-1], note() + "\n", note() + "x", TEXT + ED_LINE + "\n",
        note(TEXT, ED_LINE, ""), note(TEXT, ED_LINE.replace(DASH, "-")), note(TEXT, f"{DASH}{ORIGIN} AAAAAAA="),
        note(TEXT, f"{DASH}  AAAAAAA="), note(TEXT, f"{DASH} a+b AAAAAAA="), note(TEXT, f"{DASH} a\u00a0b AAAAAAA="),
        note(TEXT, f"{DASH} a\u2003b AAAAAAA="), note(TEXT, f"{DASH} a AAAAAAA"), note(TEXT, f"{DASH} a AAAAAAB="),
        note(TEXT, f"{DASH} a AAAA"), note(TEXT, f"{DASH} a AAAAAA=="), note(TEXT, f"{DASH} a AAAA_AA="),
        note(TEXT, f"{DASH} a AAAAAAA= "), note(TEXT, f"{DASH} a"), note(TEXT, f" {ED_LINE}"),
        note().replace("\n", "\r\n"),
        note("a\tb\n1\nx\n"), note("a\x00b\n1\nx\n"), note("a\ud800b\n1\nx\n"), note(TEXT, *([ED_LINE] * 33)),
        note("x" * 131_072 + "\n"),
    ],
)  # fmt: skip
def test_a_note_of_any_other_form_is_refused(wrong: str) -> None:
    with pytest.raises(CheckpointInvalid):
        split_note(wrong)
    with pytest.raises(CheckpointInvalid):
        verify_checkpoint(wrong, LOG.identity)


@given(st.text(max_size=200) | st.text(alphabet=f"{DASH} \naA=+1", max_size=200))
def test_no_text_crashes_the_reader_of_notes(text: str) -> None:
    for one in (text, TEXT + text, NOTE[:700] + text, "x" + text + NOTE):
        with pytest.raises(CheckpointInvalid):
            verify_checkpoint(one, LOG.identity)


# --- checkpoints ---------------------------------------------------------------------------------------


def test_a_checkpoint_is_three_lines_and_two_signatures() -> None:
    """LOG-15, LOG-16, LOG-17, LOG-20"""
    assert TEXT == f"{ORIGIN}\n300\n{b64(TREE.root())}\n" == checkpoint_text(ORIGIN, 300, TREE.root())
    assert [line.split(" ")[:2] for line in (ED_LINE, ML_LINE)] == [[DASH, ORIGIN]] * 2
    checkpoint = verify_checkpoint(NOTE, LOG.identity)
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (ORIGIN, 300, TREE.root())
    assert checkpoint.at == NOW.replace(microsecond=0)
    assert unverified_checkpoint(NOTE) == (ORIGIN, 300, TREE.root())


def test_the_second_line_signs_what_tlog_cosignature_says() -> None:
    """LOG-17: written out here from the structure in the specification."""
    kid = key_id(ORIGIN, 6, LOG.identity.mldsa44.raw)
    raw = base64.b64decode(ML_LINE.split(" ")[2])
    seconds = int(NOW.timestamp())
    assert raw[:12] == kid + struct.pack(">Q", seconds)
    assert len(raw) == 4 + 8 + 2420
    name = bytes([len(ORIGIN)]) + ORIGIN.encode()
    signed = b"subtree/v1\n\x00" + name + seconds.to_bytes(8, "big") + name + bytes(8) + (300).to_bytes(8, "big")
    assert cosigned_message(ORIGIN, ORIGIN, 300, TREE.root(), seconds) == signed + TREE.root()
    LOG.identity.mldsa44.verify(raw[12:], signed + TREE.root())


def test_an_empty_log_has_a_checkpoint() -> None:
    """LOG-1, LOG-16"""
    empty = sign_checkpoint(0, Tree().root(), LOG, NOW)
    assert empty.split("\n")[1] == "0"
    assert verify_checkpoint(empty, LOG.identity).root == Tree().root()


def test_verifier_keys_are_written_as_c2sp_writes_them() -> None:
    """LOG-22"""
    for vkey, kind, key in zip(vkeys(LOG.identity), (1, 6), (LOG.identity.ed25519, LOG.identity.mldsa44), strict=True):
        name, kid, encoded = vkey.split("+", 2)
        assert (name, bytes.fromhex(kid)) == (ORIGIN, key_id(ORIGIN, kind, key.raw))
        assert base64.b64decode(encoded) == bytes([kind]) + key.raw


def test_lines_of_strangers_are_ignored_wherever_they_stand() -> None:
    """LOG-21: also those that share the log's name or key id, but not both."""
    kid = key_id(ORIGIN, 1, LOG.identity.ed25519.raw)
    strangers = [
        f"{DASH} witness.example/w1 {b64(bytes(76))}",
        f"{DASH} {ORIGIN} {b64(bytes(68))}",
        f"{DASH} witness.example/w2 {b64(kid + bytes(64))}",
    ]
    for lines in ([*strangers, ED_LINE, ML_LINE], [ML_LINE, *strangers, ED_LINE], [ED_LINE, ML_LINE, *strangers * 10]):
        assert verify_checkpoint(note(TEXT, *lines), LOG.identity).size == 300


@pytest.mark.spec("LOG-20")
def test_both_lines_are_needed_once_each() -> None:
    for lines in ([ED_LINE], [ML_LINE], [ED_LINE, ED_LINE, ML_LINE], [ED_LINE, ML_LINE, ML_LINE], [ED_LINE, ED_LINE]):
        with pytest.raises(CheckpointInvalid, match="exactly once"):
            verify_checkpoint(note(TEXT, *lines), LOG.identity)


def _with(line: str, change: Callable[[bytearray], None]) -> str:
    dash, name, encoded = line.split(" ")
    raw = bytearray(base64.b64decode(encoded))
    change(raw)
    return f"{dash} {name} {b64(bytes(raw))}"


def _flip(place: int) -> Callable[[bytearray], None]:
    def change(raw: bytearray) -> None:
        raw[place] ^= 1

    return change


@pytest.mark.spec("LOG-20")
@pytest.mark.parametrize("place", [4, 30, 67])
def test_a_damaged_ed25519_signature_is_refused(place: int) -> None:
    with pytest.raises(CheckpointInvalid, match="Ed25519"):
        verify_checkpoint(note(TEXT, _with(ED_LINE, _flip(place)), ML_LINE), LOG.identity)


@pytest.mark.spec("LOG-20")
@pytest.mark.parametrize("place", [11, 12, 1000, 2431])
def test_a_damaged_ml_dsa_signature_or_timestamp_is_refused(place: int) -> None:
    with pytest.raises(CheckpointInvalid, match="ML-DSA-44"):
        verify_checkpoint(note(TEXT, ED_LINE, _with(ML_LINE, _flip(place))), LOG.identity)


@pytest.mark.spec("LOG-20")
def test_a_signature_of_another_length_or_an_absurd_time_is_refused() -> None:
    for lines in (
        (_with(ED_LINE, lambda raw: raw.append(0)), ML_LINE),
        (_with(ED_LINE, lambda raw: raw.pop()), ML_LINE),
        (ED_LINE, _with(ML_LINE, lambda raw: raw.append(0))),
        (ED_LINE, _with(ML_LINE, _flip(4))),
    ):
        with pytest.raises(CheckpointInvalid):
            verify_checkpoint(note(TEXT, *lines), LOG.identity)


@pytest.mark.spec("LOG-9", "LOG-16", "LOG-20")
@pytest.mark.parametrize(
    "text",
    [
        "{o}\n300\n", "{o}\n300\n{r}\nextension\n", "\n300\n{r}\n", "{o}\n0300\n{r}\n", "{o}\n+300\n{r}\n",
        "{o}\n-1\n{r}\n",
        "{o}\n 300\n{r}\n", "{o}\n300 \n{r}\n", "{o}\n3e2\n{r}\n", "{o}\n\u0663\n{r}\n", "{o}\n9007199254740992\n{r}\n",
        "{o}\n300\n{r}=\n", "{o}\n300\nAAAA\n", "{o}\n300\n{u}\n", "{o}\n\n300\n{r}\n", "{o}\n300\n{r}\n\n",
        " {o}\n300\n{r}\n",
        "other.ix.sim/log\n300\n{r}\n",
    ],
)  # fmt: skip
def test_a_text_of_any_other_form_is_refused_even_signed(text: str) -> None:
    root = TREE.root()
    loose = b64(root)[:-2] + chr(ord(b64(root)[-2]) + 1) + "="  # the same 32 bytes, unused bits not zero
    written = text.format(o=ORIGIN, r=b64(root), u=loose)
    kids = [key_id(ORIGIN, 1, LOG.identity.ed25519.raw), key_id(ORIGIN, 6, LOG.identity.mldsa44.raw)]
    ed25519 = LOG.signer.sign_ed25519(written.encode())
    mldsa44 = LOG.signer.sign_mldsa44(cosigned_message(ORIGIN, ORIGIN, 300, root, 5))
    lines = (
        f"{DASH} {ORIGIN} {b64(kids[0] + ed25519)}",
        f"{DASH} {ORIGIN} {b64(kids[1] + struct.pack('>Q', 5) + mldsa44)}",
    )
    with pytest.raises(CheckpointInvalid):
        verify_checkpoint(note(written, *lines), LOG.identity)


@pytest.mark.spec("LOG-15", "LOG-20")
def test_another_logs_checkpoint_is_refused() -> None:
    """Under another name or other keys, though every signature is good."""
    elsewhere = LogSigner("other.ix.sim/log", LOG.signer)
    impostor = LogSigner(ORIGIN, signer("impostor"))
    half = LogIdentity(ORIGIN, LOG.identity.ed25519, impostor.identity.mldsa44)
    for identity in (elsewhere.identity, impostor.identity, half):
        with pytest.raises(CheckpointInvalid):
            verify_checkpoint(NOTE, identity)


def test_a_checkpoint_of_another_size_or_root_does_not_verify() -> None:
    """LOG-17, LOG-20: each line alone would catch it."""
    other = checkpoint_text(ORIGIN, 301, TREE.root())
    with pytest.raises(CheckpointInvalid, match="Ed25519"):
        verify_checkpoint(note(other), LOG.identity)
    resigned = f"{DASH} {ORIGIN} " + b64(
        key_id(ORIGIN, 1, LOG.identity.ed25519.raw) + LOG.signer.sign_ed25519(other.encode())
    )
    with pytest.raises(CheckpointInvalid, match="ML-DSA-44"):
        verify_checkpoint(note(other, resigned, ML_LINE), LOG.identity)


# --- growth --------------------------------------------------------------------------------------------


def test_a_log_that_only_grew_proves_it() -> None:
    """LOG-7, LOG-8"""
    older = sign_checkpoint(120, TREE.root(120), LOG, NOW)
    old, new = verify_growth(older, NOTE, TREE.consistency(120), LOG.identity)
    assert (old.size, new.size) == (120, 300)
    verify_growth(older, sign_checkpoint(120, TREE.root(120), LOG, NOW + timedelta(hours=1)), (), LOG.identity)


@pytest.mark.spec("LOG-4", "LOG-8")
def test_two_views_of_the_log_are_evidence() -> None:
    forked = Tree()
    forked.append([leaf_hash(e) for e in [*ENTRIES[:50], b"another", *ENTRIES[51:]]])
    for size in (300, 120, 51):
        older, proof = sign_checkpoint(size, forked.root(size), LOG, NOW), TREE.consistency(size)
        with pytest.raises(LogInconsistent) as caught:
            verify_growth(older, NOTE, proof, LOG.identity)
        assert (caught.value.older, caught.value.newer, caught.value.proof) == (older, NOTE, proof)
    with pytest.raises(LogInconsistent):
        verify_growth(NOTE, sign_checkpoint(120, TREE.root(120), LOG, NOW), TREE.consistency(120), LOG.identity)
    with pytest.raises(CheckpointInvalid):  # nothing that is not signed is evidence
        verify_growth(note(checkpoint_text(ORIGIN, 1, TREE.root(1))), NOTE, TREE.consistency(1), LOG.identity)


# --- proofs --------------------------------------------------------------------------------------------


def test_a_proof_is_text_and_convinces_offline() -> None:
    """LOG-23, LOG-26"""
    lines = PROOF.split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 255"]
    assert [base64.b64decode(line) for line in lines[2:11]] == list(TREE.inclusion(255, 299))
    assert lines[11] == ""
    index, checkpoint = verify_tlog_proof(PROOF, ENTRIES[255], LOG.identity)
    assert (index, checkpoint.size) == (255, 299)


def test_the_proof_of_a_lone_entry_has_no_hashes() -> None:
    """LOG-5, LOG-23"""
    alone = tree(1)
    proof = tlog_proof(0, alone.inclusion(0), sign_checkpoint(1, alone.root(), LOG, NOW))
    assert proof.startswith(f"c2sp.org/tlog-proof@v1\nindex 0\n\n{ORIGIN}\n1\n")
    assert verify_tlog_proof(proof, ENTRIES[0], LOG.identity)[0] == 0


@pytest.mark.spec("LOG-26")
def test_a_proof_proves_its_own_entry_only() -> None:
    for entry in (ENTRIES[254], ENTRIES[255] + b" ", b"", leaf_hash(ENTRIES[255])):
        with pytest.raises(InclusionInvalid):
            verify_tlog_proof(PROOF, entry, LOG.identity)
    with pytest.raises(InclusionInvalid):
        verify_tlog_proof(PROOF.replace("index 255", "index 254"), ENTRIES[255], LOG.identity)
    with pytest.raises(CheckpointInvalid):
        verify_tlog_proof(PROOF, ENTRIES[255], LogSigner(ORIGIN, signer("impostor")).identity)


@pytest.mark.spec("LOG-9", "LOG-24", "LOG-25")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"), ("c2sp.org", " c2sp.org"), ("index 255", "index 0255"),
        ("index 255", "index +255"), ("index 255", "index  255"), ("index 255", "index 9007199254740992"),
        ("index 255", "Index 255"), ("index 255", "index \u0661"), ("index 255", "extra AAAA\nindex 255"),
        ("index 255\n", ""),
        ("index 255", "index 255\nAAAA"), ("index 255", "index 255 "), ("index 255", "index 255\n" + "A" * 43),
        ("index 255", "index 255\n" + "A" * 42 + "B="), ("index 255", "index 255" + ("\n" + "A" * 43 + "=") * 60),
        ("c2sp.org", "c2sp.org" * 20_000),
    ],
)  # fmt: skip
def test_a_proof_of_any_other_form_is_refused(old: str, new: str) -> None:
    with pytest.raises(TlogProofMalformed):
        verify_tlog_proof(PROOF.replace(old, new, 1), ENTRIES[255], LOG.identity)


@given(st.integers(0, len(PROOF) - 1), st.sampled_from("\n \u2014AB0=+/x"))
def test_a_proof_with_any_character_changed_is_refused_or_the_same(place: int, char: str) -> None:
    """LOG-24, LOG-26"""
    altered = PROOF[:place] + char + PROOF[place + 1 :]
    if altered != PROOF:
        with pytest.raises((TlogProofMalformed, CheckpointInvalid, InclusionInvalid)):
            verify_tlog_proof(altered, ENTRIES[255], LOG.identity)


@given(st.text(max_size=120))
def test_no_text_crashes_the_reader_of_proofs(text: str) -> None:
    for one in (text, "c2sp.org/tlog-proof@v1\n" + text, "c2sp.org/tlog-proof@v1\nindex 5\n" + text + "\n\n"):
        try:
            index, hashes, _ = parse_tlog_proof(one)
        except TlogProofMalformed:
            continue
        assert index >= 0
        assert all(len(item) == 32 for item in hashes)


# --- bundles -------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_a_bundle_gives_back_its_entries(entries: list[bytes]) -> None:
    """LOG-14"""
    data = bundle(entries)
    assert parse_bundle(data, len(entries)) == tuple(entries)
    assert data[:2] == len(entries[0]).to_bytes(2, "big")
    for wrong, width in ((data + b"\0", len(entries)), (data[:-1], len(entries)), (data, len(entries) + 1)):
        with pytest.raises(BundleMalformed):
            parse_bundle(wrong, width)
    if len(entries) > 1:
        with pytest.raises(BundleMalformed):
            parse_bundle(data, len(entries) - 1)


@given(st.binary(max_size=600), st.integers(1, 256))
def test_no_bytes_crash_the_reader_of_bundles(data: bytes, width: int) -> None:
    try:
        entries = parse_bundle(data, width)
    except BundleMalformed:
        return
    assert bundle(entries) == data


def test_a_bundle_of_none_or_too_many_is_our_own_fault() -> None:
    for entries in ([], [b""] * 257):
        with pytest.raises(ValueError, match="1 to 256"):
            bundle(entries)


def test_times_are_whole_seconds_of_utc() -> None:
    """LOG-17"""
    at = datetime(2026, 1, 1, 12, 0, 0, 999_000, tzinfo=UTC)
    assert verify_checkpoint(sign_checkpoint(300, TREE.root(), LOG, at), LOG.identity).at == at.replace(microsecond=0)

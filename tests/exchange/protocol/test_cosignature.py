"""Cosignatures: both kinds verify, and nothing that was altered does. See `spec/witness.md`."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from exchange.protocol.cosignature import Cosigner, VerifierKey, add_lines, verify_line
from exchange.protocol.errors import CosignatureInvalid, VerifierKeyMalformed
from exchange.protocol.log import LogSigner, checkpoint_text, sign_checkpoint, split_note, vkeys
from keys.signing import Signer

NOW = datetime(2026, 11, 21, 16, 20, tzinfo=UTC)
LOG = LogSigner("log.sim/2026", Signer.generate())
WITNESS = Cosigner("north.police.sim/witness", Signer.generate())
OTHER = Cosigner("harbour.ngo.sim/witness", Signer.generate())
NOTE = sign_checkpoint(7, bytes(range(32)), LOG, NOW)
TEXT = checkpoint_text(LOG.origin, 7, bytes(range(32)))
COSIGNED = NOTE + WITNESS.cosign(TEXT, NOW)


@pytest.mark.spec("WIT-3")
def test_a_witness_signs_twice_and_says_when() -> None:
    _, lines = split_note(COSIGNED)
    assert [line.name for line in lines] == [LOG.origin, LOG.origin, WITNESS.name, WITNESS.name]
    assert [len(line.signature) for line in lines[2:]] == [72, 2428]
    assert [verify_line(COSIGNED, key) for key in WITNESS.keys] == [NOW, NOW]


@pytest.mark.spec("WIT-1")
@pytest.mark.spec("WIT-3")
def test_the_signed_bytes_are_those_that_c2sp_gives() -> None:
    ed25519, mldsa44 = WITNESS.keys
    stamp = int(NOW.timestamp())
    lines = split_note(COSIGNED)[1]
    text = b"cosignature/v1\ntime %d\nlog.sim/2026\n7\n" % stamp + base64.b64encode(bytes(range(32))) + b"\n"
    ed25519.key.verify(lines[2].signature[8:], text)
    tree = (
        b"subtree/v1\n\0\x18north.police.sim/witness" + stamp.to_bytes(8, "big") + b"\x0clog.sim/2026"
        + bytes(8) + (7).to_bytes(8, "big") + bytes(range(32))
    )  # fmt: skip
    mldsa44.key.verify(lines[3].signature[8:], tree)


@pytest.mark.spec("WIT-4")
@pytest.mark.parametrize("key", WITNESS.keys, ids=["ed25519", "mldsa44"])
def test_a_line_made_for_another_checkpoint_is_refused(key: VerifierKey) -> None:
    for size, root in ((8, bytes(range(32))), (7, bytes(32))):
        moved = sign_checkpoint(size, root, LOG, NOW) + WITNESS.cosign(TEXT, NOW)
        with pytest.raises(CosignatureInvalid):
            verify_line(moved, key)


@pytest.mark.spec("WIT-4")
def test_every_altered_byte_of_a_line_is_noticed() -> None:
    key = WITNESS.keys[0]
    line = WITNESS.cosign(TEXT, NOW).splitlines()[0]
    head, encoded = line.rsplit(" ", 1)
    signature = base64.b64decode(encoded)
    for place in range(4, len(signature)):
        spoiled = bytearray(signature)
        spoiled[place] ^= 1
        note = f"{NOTE}{head} {base64.b64encode(spoiled).decode()}\n"
        with pytest.raises(CosignatureInvalid):
            verify_line(note, key)


@pytest.mark.spec("WIT-4")
def test_a_line_that_stands_twice_or_has_no_time_is_refused() -> None:
    key = WITNESS.keys[0]
    with pytest.raises(CosignatureInvalid):
        verify_line(COSIGNED + WITNESS.cosign(TEXT, NOW + timedelta(seconds=1)), key)
    with pytest.raises(CosignatureInvalid):
        verify_line(NOTE + WITNESS.cosign(TEXT, datetime.fromtimestamp(0, UTC)), key)


@pytest.mark.spec("WIT-4")
def test_lines_of_others_are_ignored() -> None:
    assert verify_line(COSIGNED, OTHER.keys[0]) is None
    namesake = Cosigner(WITNESS.name, Signer.generate())
    assert verify_line(COSIGNED, namesake.keys[0]) is None


@pytest.mark.spec("WIT-2")
def test_a_verifier_key_reads_back_and_the_logs_own_are_read_too() -> None:
    for key in WITNESS.keys:
        assert VerifierKey.parse(str(key)) == key
    one, two = (VerifierKey.parse(text) for text in vkeys(LOG.identity))
    assert verify_line(NOTE, one) is not None
    assert verify_line(NOTE, two) == NOW


@pytest.mark.spec("WIT-2")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text.replace("+", " ", 1),
        lambda text: text.upper(),
        lambda text: "x" + text,
        lambda text: text[:-1],
        lambda text: text.split("+")[0] + "+00000000+" + text.split("+")[2],
        lambda text: "+".join([*text.split("+")[:2], base64.b64encode(b"\x05" + bytes(32)).decode()]),
        lambda text: "+".join([*text.split("+")[:2], base64.b64encode(b"\x04" + bytes(31)).decode()]),
        lambda text: "n" * 256 + text,
    ],
)
def test_a_verifier_key_in_another_form_is_refused(spoil: object) -> None:
    with pytest.raises(VerifierKeyMalformed):
        VerifierKey.parse(spoil(str(WITNESS.keys[0])))  # type: ignore[operator]


@pytest.mark.spec("WIT-5")
def test_of_an_answer_only_what_was_verified_is_added() -> None:
    stranger = OTHER.cosign(TEXT, NOW)
    wrong = WITNESS.cosign(checkpoint_text(LOG.origin, 9, bytes(32)), NOW)
    right = WITNESS.cosign(TEXT, NOW)
    assert add_lines(NOTE, stranger + wrong + "rubbish\n" + right + right, WITNESS.keys) == NOTE + right
    assert add_lines(NOTE, stranger + wrong, WITNESS.keys) == NOTE

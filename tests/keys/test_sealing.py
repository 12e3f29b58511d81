"""Seals: who can open what, and everything that can be done to a wrap or a body so that nobody can."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.encoding import b64u, digest
from keys.errors import (
    BodyDamaged,
    CommitmentMismatch,
    KeyCommitmentMismatch,
    MalformedEncoding,
    PaddingInvalid,
    Refusal,
    UnsealingFailed,
)
from keys.sealing import (
    CHUNK,
    HEADER,
    TAG,
    WRAP_LENGTH,
    OpeningKey,
    SealingKey,
    decrypt_chunks,
    encrypt_chunks,
    new_content_key,
    new_message_id,
    open_body,
    pad,
    padded_length,
    pseudonym,
    seal_body,
    unpad,
)

CONTEXT = bytes(range(32))
ELSEWHERE = bytes(32)
KEY = b"\x07" * 32


@pytest.fixture(scope="module")
def opening(make_seed: Callable[[str], bytes]) -> OpeningKey:
    return OpeningKey.from_seed(make_seed("opening"))


# keys


@pytest.mark.spec("KEY-8")
def test_a_seed_is_expanded_as_x_wing_says() -> None:
    """KEY-8, against the first vector of draft-connolly-cfrg-xwing-kem-10, appendix C (begin and end of the key)."""
    key = OpeningKey.from_seed(bytes.fromhex("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26"))
    assert len(key.public.raw) == 1216
    assert key.public.raw.hex().startswith("e2236b35a8c24b39b10aa1323a96a919a2ced88400633a7b07131713fc14b2b5b19cfc3d")
    assert key.public.raw.hex().endswith("27dce59844570216223593d4ba32d9abac8cd049040ef6534")


@pytest.mark.spec("KEY-7")
def test_an_encryption_key_is_named_by_its_thumbprint(opening: OpeningKey) -> None:
    text = f'{{"alg":"HPKE-647a-0001-0002","kty":"AKP","pub":"{b64u(opening.public.raw)}"}}'
    assert opening.public.kid == digest(text.encode())


@pytest.mark.spec("KEY-8")
def test_what_is_no_encryption_key_is_refused(opening: OpeningKey) -> None:
    raw = opening.public.raw
    for wrong in (
        b"",
        raw[:-1],
        raw + b"\0",
        b"\xff" * 1216,
        b"\xff\xff" + raw[2:],
    ):  # the last two fail the modulus check
        with pytest.raises(MalformedEncoding):
            SealingKey(wrong)
    for length in (0, 31, 33, 64):
        with pytest.raises(MalformedEncoding):
            OpeningKey.from_seed(bytes(length))


def test_an_opening_key_tells_no_seed_when_printed(opening: OpeningKey) -> None:
    assert repr(opening.unsafe_seed())[2:-1] not in repr(opening)


# wraps


@pytest.mark.spec("MSG-21")
def test_a_wrap_opens_for_its_recipient_in_its_context(opening: OpeningKey) -> None:
    content_key = new_content_key()
    wrap = opening.public.wrap(content_key, CONTEXT)
    assert len(wrap) == WRAP_LENGTH
    assert opening.unwrap(wrap, CONTEXT) == content_key
    assert opening.public.wrap(content_key, CONTEXT) != wrap


@pytest.mark.spec("MSG-21")
def test_a_wrap_opens_for_nobody_else_and_nowhere_else(opening: OpeningKey) -> None:
    wrap = opening.public.wrap(KEY, CONTEXT)
    with pytest.raises(UnsealingFailed):
        opening.unwrap(wrap, ELSEWHERE)
    with pytest.raises(UnsealingFailed):
        OpeningKey.generate().unwrap(wrap, CONTEXT)


@pytest.mark.spec("MSG-21")
@given(st.data())
def test_no_bit_of_a_wrap_can_change(opening: OpeningKey, data: st.DataObject) -> None:
    wrap = bytearray(opening.public.wrap(KEY, CONTEXT))
    wrap[data.draw(st.integers(0, len(wrap) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(UnsealingFailed):
        opening.unwrap(bytes(wrap), CONTEXT)


@pytest.mark.spec("MSG-21")
@pytest.mark.parametrize("length", [0, 1, 1120, WRAP_LENGTH - 1, WRAP_LENGTH + 1, 5000])
def test_a_wrap_of_another_length_is_refused(opening: OpeningKey, length: int) -> None:
    with pytest.raises(UnsealingFailed):
        opening.unwrap(bytes(length), CONTEXT)


# bodies, in Cobblestone-256 form


def cobblestone(plain: bytes, key: bytes, context: bytes, salt: bytes) -> bytes:
    """C2SP chunked-encryption written again from its text, with HKDF-Expand made of HMAC by hand."""
    import hmac

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    info = b"c2sp.org/chunked-encryption@v1+" + b"AEAD_AES_256_GCM" + b"\x00" + salt + context
    first = hmac.digest(key, info + b"\x01", "sha512")
    derived = first + hmac.digest(key, first + info + b"\x02", "sha512")
    aead_key, base, commitment = derived[:32], derived[32:44], derived[44:76]
    out = salt + commitment
    for number in range(len(plain) // 16384 + 1):
        nonce = bytes(a ^ b for a, b in zip(base, number.to_bytes(12, "big"), strict=True))
        out += AESGCM(aead_key).encrypt(nonce, plain[number * 16384 : (number + 1) * 16384], b"")
    return out


@pytest.mark.spec("MSG-23")
@pytest.mark.parametrize("length", [0, 1, 1024, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 5 * CHUNK // 2])
def test_a_body_is_chunked_as_c2sp_says(length: int) -> None:
    plain, salt = bytes(i % 251 for i in range(length)), b"\x05" * 24
    body = encrypt_chunks(plain, KEY, CONTEXT, salt=salt)
    assert body == cobblestone(plain, KEY, CONTEXT, salt)
    assert len(body) == 56 + length + TAG * (length // CHUNK + 1)
    assert decrypt_chunks(body, KEY, CONTEXT) == plain


def a_body(length: int = 2 * CHUNK + 100) -> bytes:
    return encrypt_chunks(bytes(i % 251 for i in range(length)), KEY, CONTEXT, salt=b"\x05" * 24)


@pytest.mark.spec("MSG-23")
def test_a_truncated_body_is_refused_at_every_boundary() -> None:
    body = a_body()
    step = CHUNK + TAG
    edges = [0, 24, 55, HEADER, HEADER + 1, HEADER + TAG - 1, HEADER + TAG, *(HEADER + n * step for n in (1, 2))]
    cuts = {cut + near for cut in edges for near in (-1, 0, 1)} | {len(body) - n for n in (1, TAG, TAG + 1, 100, 116)}
    for cut in sorted(cuts & set(range(len(body)))):
        with pytest.raises(BodyDamaged):
            decrypt_chunks(body[:cut], KEY, CONTEXT)


@pytest.mark.spec("MSG-23")
def test_a_body_cut_to_whole_chunks_is_truncated_even_where_each_chunk_is_good() -> None:
    body = a_body(2 * CHUNK)
    for chunks in (1, 2):
        with pytest.raises(BodyDamaged, match="truncated"):
            decrypt_chunks(body[: HEADER + chunks * (CHUNK + TAG)], KEY, CONTEXT)


@pytest.mark.spec("MSG-23")
def test_chunks_reordered_repeated_or_dropped_are_refused() -> None:
    body = a_body()
    head, step = body[:HEADER], CHUNK + TAG
    first, second, last = (
        body[HEADER : HEADER + step],
        body[HEADER + step : HEADER + 2 * step],
        body[HEADER + 2 * step :],
    )
    for chunks in (
        (second, first, last),
        (first, first, last),
        (second, last),
        (first, last),
        (last,),
        (first, second, second, last),
        (first, second, last, last),
        (last, first, second),
    ):
        with pytest.raises(BodyDamaged):
            decrypt_chunks(head + b"".join(chunks), KEY, CONTEXT)


@pytest.mark.spec("MSG-23")
@pytest.mark.parametrize("more", [1, TAG - 1, TAG, TAG + 1, 100, CHUNK, CHUNK + TAG])
def test_an_extended_body_is_refused(more: int) -> None:
    for body in (a_body(), a_body(CHUNK)):
        with pytest.raises(BodyDamaged):
            decrypt_chunks(body + bytes(more), KEY, CONTEXT)


@pytest.mark.spec("MSG-22", "MSG-23")
@given(st.data())
def test_no_bit_of_a_body_can_change(data: st.DataObject) -> None:
    body = bytearray(a_body(CHUNK + 50))
    place = data.draw(st.integers(0, len(body) - 1) | st.integers(0, HEADER + TAG))
    body[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(KeyCommitmentMismatch if place < HEADER else BodyDamaged):
        decrypt_chunks(bytes(body), KEY, CONTEXT)


@pytest.mark.spec("MSG-22")
def test_a_body_opens_under_no_other_key_and_in_no_other_context() -> None:
    for key, context in ((b"\x08" * 32, CONTEXT), (KEY, ELSEWHERE), (KEY, b"")):
        with pytest.raises(KeyCommitmentMismatch):
            decrypt_chunks(a_body(), key, context)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_as_a_body(body: bytes) -> None:
    with pytest.raises(Refusal):
        open_body(body, KEY, CONTEXT, bytes(32))


# padding


def padme(length: int) -> int:
    """Padme as its authors write it (Nikitin and others, PETS 2019), in floating point logarithms."""
    e = math.floor(math.log2(length))
    s = math.floor(math.log2(e)) + 1
    last = e - s
    return math.ceil(length / 2**last) * 2**last


@pytest.mark.spec("MSG-24")
@given(st.integers(513, 2**31))
def test_lengths_are_padded_as_padme_says(length: int) -> None:
    assert padded_length(length) == padme(length)
    assert length <= padded_length(length) <= length * 1.12


@pytest.mark.spec("MSG-24")
def test_known_padded_lengths() -> None:
    known = {0: 512, 36: 512, 511: 512, 512: 512, 513: 544, 544: 544, 545: 576, 1000: 1024, 1023: 1024, 1025: 1088}
    known |= {4000: 4096, 4097: 4352, 10_000: 10_240, 100_000: 100_352, 262_145: 270_336, 1_000_000: 1_015_808}
    assert {length: padded_length(length) for length in known} == known


@pytest.mark.spec("MSG-24")
@given(st.binary(max_size=1200), st.binary(min_size=32, max_size=32))
def test_a_padded_plaintext_is_read_back(content: bytes, key: bytes) -> None:
    plain = pad(key, content)
    assert len(plain) == padded_length(36 + len(content))
    assert plain[:36] == key + struct.pack(">I", len(content))
    assert unpad(plain) == (key, content)


@pytest.mark.spec("MSG-24")
@pytest.mark.parametrize(
    "plain",
    [
        b"",
        bytes(35),
        bytes(511),
        bytes(513),  # not a length that padding makes
        bytes(544),  # a length for more content than the field says
        bytes(32) + struct.pack(">I", 477) + bytes(476),  # a field one beyond what 512 bytes hold
        bytes(32) + struct.pack(">I", 2**32 - 1) + bytes(476),
        bytes(32) + struct.pack(">I", 10) + bytes(475) + b"\1",  # padding that is not zero, at the end
        bytes(32) + struct.pack(">I", 10) + bytes(10) + b"\1" + bytes(465),  # and at the start
        bytes(32) + struct.pack(">I", 0) + bytes(476 + 512),  # twice the padding needed
    ],
)
def test_every_other_padding_is_refused(plain: bytes) -> None:
    with pytest.raises(PaddingInvalid):
        unpad(plain)


# the whole


@pytest.mark.spec("MSG-25")
@given(st.binary(max_size=2000))
def test_a_sealed_content_is_opened(content: bytes) -> None:
    body, commitment = seal_body(content, KEY, CONTEXT)
    assert open_body(body, KEY, CONTEXT, commitment) == content
    assert content[:16] not in body or len(content) < 4


@pytest.mark.spec("MSG-25")
def test_a_content_other_than_the_one_committed_to_is_refused() -> None:
    body, commitment = seal_body(b"what was signed", KEY, CONTEXT)
    other, _ = seal_body(b"what was not", KEY, CONTEXT)
    with pytest.raises(CommitmentMismatch):
        open_body(other, KEY, CONTEXT, commitment)
    for wrong in (b"", bytes(32), commitment[:-1], commitment + b"\0"):
        with pytest.raises(CommitmentMismatch):
            open_body(body, KEY, CONTEXT, wrong)


@pytest.mark.spec("MSG-24")
def test_bad_padding_under_a_good_key_is_refused() -> None:
    plain = bytearray(pad(bytes(32), b"hello"))
    plain[-1] = 1
    body = encrypt_chunks(bytes(plain), KEY, b"ix/1 body\n" + CONTEXT, salt=bytes(24))
    with pytest.raises(PaddingInvalid):
        open_body(body, KEY, CONTEXT, bytes(32))


# names


def test_a_message_id_is_a_uuid_of_version_7_and_sorts_by_time() -> None:
    import uuid

    now = datetime(2026, 11, 21, 16, 20, 0, 123000, tzinfo=UTC)
    made = uuid.UUID(new_message_id(now))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == 1795278000123
    assert new_message_id(now, lambda n: b"\xff" * n) < new_message_id(now.replace(second=1), lambda n: bytes(n))
    assert new_message_id(now) != new_message_id(now)


def test_a_pseudonym_depends_on_key_label_and_value() -> None:
    made = {pseudonym(k, label, v) for k in (KEY, CONTEXT) for label in ("officer", "case") for v in ("a", "b")}
    assert len(made) == 8
    assert pseudonym(KEY, "officer", "a") == pseudonym(KEY, "officer", "a")

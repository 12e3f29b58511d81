"""One spelling per value: what is read back, and everything that must not be accepted."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.encoding import MAX_INTEGER, b64u, digest, instant, read_json, stamp, unb64u, write_json
from keys.errors import MalformedEncoding, Refusal, TooLarge

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def slow_unb64u(text: str) -> bytes:
    """The rule written the slow way: decode by hand, and look at the bits that are left over."""
    value = bits = 0
    out = bytearray()
    for character in text:
        value, bits = value << 6 | ALPHABET.index(character), bits + 6
        if bits >= 8:
            bits -= 8
            out.append(value >> bits & 0xFF)
    if bits >= 6 or value & ((1 << bits) - 1):
        raise ValueError
    return bytes(out)


# base64url


@pytest.mark.spec("ENC-5")
@given(st.binary(max_size=300))
def test_base64url_is_read_back_and_agrees_with_the_standard_library(data: bytes) -> None:
    text = b64u(data)
    assert text == base64.urlsafe_b64encode(data).decode().rstrip("=")
    assert unb64u(text) == data


@pytest.mark.spec("ENC-5")
@given(st.text(ALPHABET, max_size=12) | st.text(max_size=12) | st.text(ALPHABET + "+/=\n ", max_size=12))
def test_base64url_has_one_spelling(text: str) -> None:
    try:
        wanted = slow_unb64u(text)
    except ValueError:
        with pytest.raises(MalformedEncoding):
            unb64u(text)
    else:
        assert unb64u(text) == wanted
        assert b64u(wanted) == text


@pytest.mark.spec("ENC-5")
@pytest.mark.parametrize(
    "text",
    [
        "A",
        "AAAAA",
        "AB",
        "AAB",
        "AA=",
        "AA==",
        "AA+A",
        "AA/A",
        "A A",
        " AAA",
        "AAA\n",
        "AA\u00e9A",
        "AA\x00A",
        "AA\\u0041",
        '"AA"',
        "\ud800AA",
        "\uff21AAA",
        "AA.A",
        "AA,A",
        "A" * 4097,
    ],
)
def test_other_spellings_of_base64url_are_refused(text: str) -> None:
    with pytest.raises(MalformedEncoding):
        unb64u(text)


@pytest.mark.spec("ENC-5")
def test_every_character_outside_the_alphabet_is_refused_in_every_place() -> None:
    for point in [*range(256), 0x2010, 0x2212, 0xFF0D, 0x1F600]:
        if chr(point) not in ALPHABET:
            for place in range(4):
                with pytest.raises(MalformedEncoding):
                    unb64u("AAAA"[:place] + chr(point) + "AAAA"[place + 1 :])


@pytest.mark.spec("ENC-9")
def test_a_digest_is_sha256_in_43_characters() -> None:
    assert digest(b"") == "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    assert len(digest(b"anything")) == 43


# times


@pytest.mark.spec("ENC-6")
@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_an_instant_is_read_back_to_the_millisecond(when: datetime) -> None:
    cut = when.replace(microsecond=when.microsecond // 1000 * 1000)
    assert instant(stamp(when)) == cut


@pytest.mark.spec("ENC-6")
def test_an_instant_is_written_in_utc() -> None:
    east = datetime(2026, 11, 21, 18, 20, 0, 123999, tzinfo=timezone(timedelta(hours=2)))
    assert stamp(east) == "2026-11-21T16:20:00.123Z"
    assert instant("2026-11-21T16:20:00Z") == instant("2026-11-21T16:20:00.000Z")
    with pytest.raises(ValueError, match="time zone"):
        stamp(datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.spec("ENC-6")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-21",
        "2026-11-21T16:20Z",
        "2026-11-21T16:20:00",
        "2026-11-21 16:20:00Z",
        "2026-11-21t16:20:00z",
        "2026-11-21T16:20:00+00:00",
        "2026-11-21T16:20:00.1Z",
        "2026-11-21T16:20:00.123456Z",
        "2026-11-21T16:20:00,123Z",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T16:60:00Z",
        "2026-11-21T16:20:60Z",
        "0000-01-01T00:00:00Z",
        "20261121T162000Z",
        "2026-11-21T16:20:00Z\n",
        " 2026-11-21T16:20:00Z",
        "+026-11-21T16:20:00Z",
        "\u0662\u0660\u0662\u0666-11-21T16:20:00Z",
        "2026-W47-6T16:20:00Z",
        "2026-11-21T16:20:00.123ZZ",
    ],
)
def test_other_spellings_of_a_time_are_refused(text: str) -> None:
    with pytest.raises(MalformedEncoding):
        instant(text)


@given(st.text(max_size=30) | st.from_regex(r"[0-9T:.Z-]{18,26}", fullmatch=True))
def test_any_text_is_a_time_of_one_spelling_or_refused(text: str) -> None:
    try:
        when = instant(text)
    except MalformedEncoding:
        return
    assert stamp(when) in {text, text.replace("Z", ".000Z")}


# JSON

I_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.spec("ENC-1", "ENC-10")
@given(I_JSON)
def test_what_is_written_is_read_back(value: Any) -> None:
    data = write_json(value)
    assert read_json(data, limit=10_000) == value
    assert read_json(json.dumps(value, indent=2).encode(), limit=100_000) == value  # escapes and white space too


@pytest.mark.spec("ENC-10")
def test_json_is_written_compactly_in_the_order_given() -> None:
    assert write_json({"b": [1, None], "a": "é\u2028"}) == '{"b":[1,null],"a":"é\u2028"}'.encode()


@given(st.binary(max_size=200) | st.text('{}[]",:0123456789.eE-+\\ud8trunlfas \n', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_and_never_crash(data: bytes) -> None:
    try:
        value = read_json(data, limit=200)
    except Refusal:
        return
    assert read_json(write_json(value), limit=10_000) == value


@pytest.mark.spec("ENC-1")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"\xef\xbb\xbf{}",
        b"{}{}",
        b"{} x",
        b"{},",
        b"{",
        b"[1,]",
        b"{a:1}",
        b"{'a':1}",
        b"[01]",
        b"[+1]",
        b"[.5]",
        b'"\x00"',
        b'"\n"',
        b'"\xff"',
        b'"\xc0\x80"',
        b'"\xed\xa0\x80"',
        b'"\\x41"',
        b"\xfe\xff\x00{",
        b"{}\x00",
        b"// c\n{}",
        b"\xa0{}",
        "\u00a0{}".encode(),
        b"{\x0b}",
        b"[1 2]",
        b"tru",
        b"True",
        b'{"a":1,}',
        b'{"a"}',
    ],
)
def test_what_is_not_one_json_text_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedEncoding):
        read_json(data, limit=1000)


@pytest.mark.spec("ENC-2")
@pytest.mark.parametrize(
    "data", [b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}', b'[{"x":{"b":1,"c":2,"b":3}}]', b'{"":1,"":2}']
)
def test_a_member_named_twice_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedEncoding, match="twice"):
        read_json(data, limit=1000)


@pytest.mark.spec("ENC-3")
@pytest.mark.parametrize(
    "number",
    [
        "1.0",
        "1e3",
        "1E3",
        "-0.0",
        "1e-3",
        "NaN",
        "Infinity",
        "-Infinity",
        "9007199254740992",
        "-9007199254740992",
        "1" + "0" * 400,
        "9" * 5000,
    ],
)
def test_every_number_but_a_safe_integer_is_refused(number: str) -> None:
    for text in (number, f"[{number}]", f'{{"a":{number}}}', f'["\\n",{number}]'):
        with pytest.raises(MalformedEncoding):
            read_json(text.encode(), limit=10_000)


@pytest.mark.spec("ENC-3")
def test_the_largest_integers_are_read() -> None:
    assert read_json(b"[9007199254740991,-9007199254740991,0]", limit=100) == [MAX_INTEGER, -MAX_INTEGER, 0]


@pytest.mark.spec("ENC-4")
@pytest.mark.parametrize(
    "text",
    [
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '["x","\\udfff"]',
        '{"\\ud800":1}',
        '{"a":{"b":["\\uDBFF"]}}',
        '"\\ud83d \\ude00"',
    ],
)
def test_half_a_surrogate_pair_is_refused(text: str) -> None:
    with pytest.raises(MalformedEncoding, match="surrogate"):
        read_json(text.encode(), limit=1000)


@pytest.mark.spec("ENC-4")
def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert read_json(b'"\\ud83d\\ude00"', limit=100) == "\U0001f600"


@pytest.mark.spec("ENC-7")
def test_size_is_checked_before_anything_is_parsed() -> None:
    assert read_json(b"[1]", limit=3) == [1]
    with pytest.raises(TooLarge):
        read_json(b"not json at all", limit=3)


@pytest.mark.spec("ENC-7")
@pytest.mark.parametrize("depth", [16, 17, 1000, 100_000])
def test_a_deep_nest_is_refused(depth: int) -> None:
    assert read_json(b"[" * 15 + b"1" + b"]" * 15, limit=100)
    assert read_json(b"[" * 16 + b"]" * 16, limit=100)
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        with pytest.raises(TooLarge):
            read_json(opening * depth + b"1" + closing * depth, limit=10**7)

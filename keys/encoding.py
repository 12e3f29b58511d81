"""How bytes are written: base64url, instants, strict JSON, digests. One form each (ENC-1 to ENC-10).

Everything signed or hashed in ix/1 is compared byte for byte, so every value has exactly one spelling
and every reader refuses the others. Nothing here re-serialises what somebody else signed.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from pydantic_core import CoreConfig, SchemaSerializer, SchemaValidator, core_schema, from_json, to_json

from keys.errors import MalformedEncoding, TooLarge

MAX_DEPTH: Final = 16
MAX_INTEGER: Final = 2**53 - 1
"""The largest integer I-JSON (RFC 7493) lets travel; the smallest is its negative."""

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d(\.\d{3})?Z", re.ASCII)


# Pydantic's codec is Rust: a tenth of the time that base64 and re-encoding take, on the broker's hottest path.
# It refuses foreign characters, wrong lengths and trailing bits, and takes `+`, `/` and `=`, which we do not.
_ENCODER = SchemaSerializer(core_schema.bytes_schema(), CoreConfig(ser_json_bytes="base64"))
_READER = SchemaValidator(core_schema.bytes_schema(), CoreConfig(val_json_bytes="base64"))


def b64u(data: bytes) -> str:
    """Write bytes as base64url without padding (RFC 4648 section 5, RFC 7515)."""
    text: str = _ENCODER.to_python(data, mode="json")
    return text.rstrip("=")


def unb64u(text: str) -> bytes:
    """Read base64url, refusing padding, foreign characters and any second spelling of the same bytes."""
    if "=" in text or "+" in text or "/" in text:
        raise MalformedEncoding("a base64url value is not in its one allowed spelling")
    try:
        data: bytes = _READER.validate_strings(text)  # type: ignore[arg-type]  # a string is one
    except ValueError:
        raise MalformedEncoding("a base64url value is not in its one allowed spelling") from None
    return data


def digest(data: bytes) -> str:
    """Name bytes by their SHA-256, in base64url (43 characters)."""
    return b64u(hashlib.sha256(data).digest())


def stamp(instant: datetime) -> str:
    """Write an aware instant as UTC with milliseconds, ``2026-11-21T16:20:00.123Z``."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def instant(text: str) -> datetime:
    """Read ``YYYY-MM-DDThh:mm:ss[.mmm]Z`` (a profile of RFC 3339); every other form is refused."""
    if not _STAMP.fullmatch(text):
        raise MalformedEncoding("a time is not of the form 2026-11-21T16:20:00.123Z")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise MalformedEncoding("a time names a day or hour that does not exist") from None


def write_json(value: Any) -> bytes:
    """Write a value once, compactly, members in the order given; the result is what gets signed.

    What JSON cannot carry is a ``TypeError`` or ``ValueError``, not a guess at a spelling.
    """
    return _WRITER.encode(value).encode()


_WRITER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def read_json(data: bytes, *, limit: int) -> Any:
    """Read I-JSON (RFC 7493) strictly: no duplicate members, floats, NaN, lone surrogates or deep nests.

    ``limit`` is in bytes. Raises ``TooLarge`` before parsing anything, else ``MalformedEncoding``.
    """
    if len(data) > limit:
        raise TooLarge(f"{len(data)} bytes where at most {limit} are allowed")
    try:
        # What is written compactly, as ix/1 writes it, is read by pydantic's Rust: a fifth of the time. If writing
        # it again gives the same bytes, no member was lost to a twin, and nothing was spelled in a second way.
        value = from_json(data, allow_inf_nan=False)
        compact = to_json(value) == data
    except ValueError:
        compact = False
    escapes = False
    if not compact:
        value, escapes = _read_any(data)
    _check(value, escapes)
    return value


def _read_any(data: bytes) -> tuple[Any, bool]:
    """Read JSON in whatever spelling, refusing exactly what is wrong with it; says if it holds an escape."""
    try:
        text = data.decode("utf-8")
        value = _DECODER.decode(text)
    except UnicodeDecodeError:
        raise MalformedEncoding("the bytes are not UTF-8") from None
    except RecursionError:
        raise TooLarge(f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError:
        raise MalformedEncoding("the bytes are not JSON") from None
    return value, "\\" in text  # looking for one character is fifty times faster than for two


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedEncoding("a member appears twice")
    return members


def _no_number(_: str) -> NoReturn:
    raise MalformedEncoding("only integers are allowed as numbers")


# One decoder for all: the C scanner with three hooks. Built once, because building costs as much as reading.
_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_float=_no_number, parse_constant=_no_number)


_HALF = re.compile("[\ud800-\udfff]")


def _check(value: Any, escapes: bool) -> None:
    """Refuse what the scanner lets through: depth, huge integers, and surrogates written as escapes."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        if not level:
            return
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is str:  # most of them, so asked first
                if escapes and not item.isascii() and _HALF.search(item):
                    raise MalformedEncoding("a string holds half a surrogate pair")
            elif kind is dict:
                below.extend(item.values())
                if escapes:
                    below.extend(item)
            elif kind is list:
                below.extend(item)
            elif kind is float:
                _no_number("")
            elif kind is int and not -MAX_INTEGER <= item <= MAX_INTEGER:
                raise MalformedEncoding("an integer is beyond 2^53 - 1")
        level = below
    raise TooLarge(f"nested deeper than {MAX_DEPTH} levels")

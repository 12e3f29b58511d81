"""The guard against real data: text that could be somebody's real number or address is refused (CNT-10 to CNT-16).

ix carries invented data only. This guard stops accidents (a real telephone number typed into a
narrative, a passport number pasted from a screen); it does not stop somebody who means to cheat. It
looks at every string of a content except the bytes of attachments and their digests, which are opaque.

A refusal says which member and which rule, never the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from exchange.protocol.errors import ContentMalformed

SYNTHETIC_NUMBER: Final = r"^SIM-[0-9A-Z][0-9A-Z-]{0,31}$"
"""The form of every document, account, registration and device number (CNT-10)."""
FICTIONAL_PHONE: Final = r"^\+999[0-9]{4,11}$"
"""+999 is not assigned to any country (ITU-T E.164), so nobody can be rung (CNT-11)."""
RESERVED_HOSTS: Final = (".example", ".sim")
"""`.example` is reserved by RFC 2606; `.sim` is how this federation names its agencies (CNT-12)."""
DOCUMENTATION_NETS: Final = r"^(192\.0\.2|198\.51\.100|203\.0\.113)\.(0|[1-9][0-9]{0,2})$|^2001:db8:[0-9a-f:]{1,32}$"
"""Address blocks kept for documentation (RFC 5737, RFC 3849; CNT-13)."""
FICTIONAL_COUNTRY: Final = r"^(AA|Q[M-Z]|X[A-JL-Z]|ZZ)$"
"""Codes ISO 3166-1 leaves to users; XK is left out because it is in use for Kosovo (CNT-14)."""

ZEROS: Final = (
    0x0030, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6,
    0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40,
    0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10, 0x104A0, 0x10D30, 0x10D40, 0x11066, 0x110F0,
    0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x116D0, 0x116DA, 0x11730, 0x118E0, 0x11950, 0x11BF0,
    0x11C50, 0x11D50, 0x11DA0, 0x11DE0, 0x11F50, 0x16130, 0x16A60, 0x16AC0, 0x16B50, 0x16D70, 0x1CCF0, 0x1D7CE, 0x1D7D8,
    0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E5F1, 0x1E950, 0x1FBF0,
)  # fmt: skip
"""Where each script's ten decimal digits begin: one list for ever, where `\\d` follows Python's Unicode (CNT-16)."""

_D: Final = f"[{''.join(f'{chr(zero)}-{chr(zero + 9)}' for zero in ZEROS)}]"
_OURS = re.compile(r"SIM-[0-9A-Z-]+|\+999[0-9]{4,11}")
_PHONE = re.compile(rf"\+{_D}(?:[ .()/-]{{0,2}}{_D}){{6,}}")
_LONG_NUMBER = re.compile(_D + "{9}")
_MAIL = re.compile(r"[^\t\n @]@([0-9A-Za-z.-]*)")
_HOST = re.compile(r"://([0-9A-Za-z.-]*)")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

# For the first look, over bytes.
_RARE: Final = (b"@", b"<", b"\x7f", b"//", b"null")
_ESCAPE = re.compile(rb"\\[ubfr/]")
_NINE: Final = b"000000000"
_ASCII: Final = bytes(range(128))
_UNREAL_PHONE = re.compile(rb"\+999[0-9]{4,11}")
_DIGITS: Final = bytes.maketrans(b"123456789", b"000000000")
_FOREIGN = re.compile(f"{_CONTROL.pattern}|{_D}")
_PLUS = re.compile(rb"\+(?!999[0-9]{4,11}(?![0-9]))")


def refuse_real(value: Any, data: bytes) -> None:
    """Refuse null, control characters and anything that looks real in a parsed content; ``data`` is its JSON.

    A few searches over the whole JSON clear most contents at once; only the others are looked at string
    by string. The searches are allowed to suspect too much, never too little.
    """
    if type(value) is not dict:
        raise ContentMalformed("the content is not a JSON object")
    if _worth_a_look(data):
        _walk(value, ())


def _worth_a_look(data: bytes) -> bool:
    if any(text in data for text in _RARE) or _ESCAPE.search(data) or _PLUS.search(data):
        return True
    if _NINE in data.translate(_DIGITS) and _NINE in _UNREAL_PHONE.sub(b" ", data).translate(_DIGITS):
        return True
    foreign = data.translate(None, _ASCII).decode()  # whole UTF-8 sequences stay whole
    return _FOREIGN.search(foreign) is not None


_OPAQUE: Final[dict[str | int, frozenset[str]]] = {
    "attachments": frozenset({"data", "sha256"}),
    "sealed_parts": frozenset({"kid", "wrap", "body", "commit"}),
    "sources": frozenset({"msg"}),
}
"""Members that are no text, by where they stand: one digest in a million has nine decimal digits in a row."""


def _walk(value: Any, path: tuple[str | int, ...]) -> None:
    items = value.items() if type(value) is dict else enumerate(value)
    for name, item in items:
        kind = type(item)
        if kind is str:
            if (rule := _broken(item)) and not (path and name in _OPAQUE.get(path[0], ())):
                raise ContentMalformed(f"`{where((*path, name))}` {rule}")
        elif kind is dict or kind is list:
            _walk(item, (*path, name))
        elif item is None:
            raise ContentMalformed(f"`{where((*path, name))}` is null; a member without a value is left out")


def texts(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[str]:
    """Every string of a content that is text: all but what is opaque."""
    items = value.items() if type(value) is dict else enumerate(value)
    for name, item in items:
        if type(item) is str:
            if not (path and name in _OPAQUE.get(path[0], ())):
                yield item
        elif type(item) is dict or type(item) is list:
            yield from texts(item, (*path, name))


def _broken(text: str) -> str | None:
    """Which rule of CNT-15 and CNT-16 a string breaks; the cheap tests only spare the regular expressions."""
    if not text.isprintable() and _CONTROL.search(text):
        return "holds control or direction-override characters"
    if "SIM-" in text or "+999" in text:
        text = _OURS.sub(" ", text)
    if "+" in text and _PHONE.search(text):
        return "could hold a real telephone number; only +999 and 4 to 11 digits is fictional"
    if len(text) > 8 and _LONG_NUMBER.search(text):
        return "could hold a real number of nine digits or more; write it as SIM-..."
    if "<<" in text:
        return "could hold the machine-readable zone of a real document"
    if "@" in text and not _reserved(_MAIL, text):
        return "could hold a real e-mail address; only those under .example and .sim are fictional"
    if "://" in text and not _reserved(_HOST, text):
        return "could hold a real web address; only those under .example and .sim are fictional"
    return None


def _reserved(pattern: re.Pattern[str], text: str) -> bool:
    return all(found[1].rstrip(".-").lower().endswith(RESERVED_HOSTS) for found in pattern.finditer(text))


_PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


def where(path: tuple[str | int, ...]) -> str:
    """Write a member path for people; a name no schema would use is masked, for it may itself be data."""
    parts = (str(p) if type(p) is int or _PLAIN_NAME.fullmatch(str(p)) else "(unknown)" for p in path)
    return ".".join(parts) or "(whole)"

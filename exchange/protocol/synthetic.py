"""The guard against real data: text that could be somebody's real number or address is refused (CNT-10 to CNT-16).

ix carries invented data only. This guard stops accidents (a real telephone number typed into a
narrative, a passport number pasted from a screen); it does not stop somebody who means to cheat. It
looks at every string of a content except the bytes of attachments, which are opaque.

A refusal says which member and which rule, never the text.
"""

from __future__ import annotations

import re
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

_OURS = re.compile(r"SIM-[0-9A-Z-]+|\+999[0-9]{4,11}")
_PHONE = re.compile(r"\+\d(?:[ .()/-]{0,2}\d){6,}")
_LONG_NUMBER = re.compile(r"\d{9}")
_MAIL = re.compile(r"[^\s@]@([0-9A-Za-z.-]*)")
_HOST = re.compile(r"://([0-9A-Za-z.-]*)")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


# One pass over the JSON text finds everything the rules below could object to, and a little more; only
# then are the strings looked at one by one. Escapes could hide something from it, so they count too.
_SUSPECT = re.compile(
    "[\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
    r"|@(?![0-9A-Za-z.-]*?\.(?:example|sim)(?![0-9A-Za-z.-]))|://(?![0-9A-Za-z.-]*?\.(?:example|sim)(?![0-9A-Za-z.-]))"
    r"|\+\d|\d{9}|<<|\\[ubfr/]|null"
)


def refuse_real(value: Any, text: str) -> None:
    """Refuse null, control characters and anything that looks real in a parsed content; ``text`` is its JSON."""
    if _SUSPECT.search(_OURS.sub(" ", text)):
        _walk(value, ())


def _walk(value: Any, path: tuple[str | int, ...]) -> None:
    kind = type(value)
    if kind is dict:
        for name, item in value.items():
            if name != "data" or path[:1] != ("attachments",):
                _walk(item, (*path, name))
    elif kind is list:
        for index, item in enumerate(value):
            _walk(item, (*path, index))
    elif kind is str:
        _judge(value, path)
    elif value is None:
        raise ContentMalformed(f"`{where(path)}` is null; a member without a value is left out")


def _judge(text: str, path: tuple[str | int, ...]) -> None:
    if _CONTROL.search(text):
        raise ContentMalformed(f"`{where(path)}` holds control or direction-override characters")
    rest = _OURS.sub(" ", text)
    if _PHONE.search(rest):
        raise ContentMalformed(f"`{where(path)}` could hold a real telephone number; only +999 numbers are fictional")
    if _LONG_NUMBER.search(rest):
        raise ContentMalformed(f"`{where(path)}` could hold a real number of nine digits or more; write it as SIM-...")
    if "<<" in rest:
        raise ContentMalformed(f"`{where(path)}` could hold the machine-readable zone of a real document")
    for pattern, what in ((_MAIL, "e-mail address"), (_HOST, "web address")):
        for found in pattern.finditer(rest):
            if not found[1].rstrip(".-").lower().endswith(RESERVED_HOSTS):
                raise ContentMalformed(f"`{where(path)}` could hold a real {what}; .example and .sim are fictional")


_PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


def where(path: tuple[str | int, ...]) -> str:
    """Write a member path for people; a name no schema would use is masked, for it may itself be data."""
    parts = (str(p) if type(p) is int or _PLAIN_NAME.fullmatch(str(p)) else "(unknown)" for p in path)
    return ".".join(parts) or "(whole)"

"""What roots and records are made of, and how strictly their members are read (KEY-13, KEY-20, ENC-8).

Shared by ``root`` and ``record`` and of no use elsewhere. Every model refuses a member it does not know,
and every parsed key is kept, for parsing one costs more than a thousand look-ups.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from keys.encoding import instant, unb64u
from keys.errors import MalformedEncoding, Refusal
from keys.sealing import SealingKey
from keys.signing import ED25519, KeyLookup, PublicKey, PublicPair

PROTOCOL: Final = "ix/1"
SKEW: Final = timedelta(minutes=5)
"""How far in the future a root or record may say it was issued, because clocks differ."""

AGENCY_ID: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.sim", re.ASCII)
MAX_AGENCY_ID: Final = 40
_NAME = re.compile(r"[a-z0-9_]{1,24}", re.ASCII)  # a member's name as people may be shown it; any other is masked

# KEY-21's list: one list for ever, where `str.isprintable` would follow the Unicode version of the Python that runs.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u1680\u180e\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u3000\ud800-\uf8ff\ufeff\ufff0-\uffff\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff]"
)


@lru_cache(maxsize=16384)
def public_key(alg: str, raw: bytes) -> PublicKey:
    """Parse a signing or transport key once."""
    return PublicKey(alg, raw)


@lru_cache(maxsize=4096)
def sealing_key(raw: bytes) -> SealingKey:
    """Parse an encryption key once."""
    return SealingKey(raw)


def _bytes(value: Any) -> bytes:
    if type(value) is not str:
        raise MalformedEncoding("a key is written as a base64url string")
    return unb64u(value)


def _time(value: Any) -> datetime:
    if type(value) is not str:
        raise ValueError("a time is written as a string")
    try:
        return instant(value)
    except MalformedEncoding as refusal:
        raise ValueError(refusal.sentence) from None


def _agency_id(value: Any) -> Any:
    if type(value) is str and (len(value) > MAX_AGENCY_ID or not AGENCY_ID.fullmatch(value)):
        raise ValueError("an agency id is lower-case labels that end in `.sim`, at most 40 characters")
    return value


def _printable(value: Any) -> Any:
    if type(value) is str and _UNPRINTABLE.search(value):
        raise ValueError("a text holds characters that do not print")
    return value


Raw = Annotated[bytes, BeforeValidator(_bytes)]
Instant = Annotated[datetime, BeforeValidator(_time)]
Digest = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
Id = Annotated[str, BeforeValidator(_agency_id)]
Text = Annotated[str, BeforeValidator(_printable), StringConstraints(min_length=1, max_length=120)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Territory = Annotated[str, StringConstraints(pattern=r"^(AA|Q[M-Z]|X[A-JL-Z]|ZZ)$")]
Origin = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/-]{1,120}$")]
Version = Annotated[int, Field(ge=1, le=1_000_000)]


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


_M = TypeVar("_M", bound=Strict)


def read_members(model: type[_M], value: Any, refusal: type[Refusal]) -> _M:
    try:
        return model.model_validate(value)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) if _NAME.fullmatch(str(part)) else "(unknown)" for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ") if first["type"] == "value_error" else first["type"]
        raise refusal(f"member `{place}`: {said}") from None


def pair_of(ed25519_kid: str, mldsa44_kid: str, pairs: Iterable[PublicPair]) -> PublicPair | None:
    return next((p for p in pairs if (p.ed25519.kid, p.mldsa44.kid) == (ed25519_kid, mldsa44_kid)), None)


def only(pair: PublicPair) -> KeyLookup:
    """Look up in one pair, whose key ids have been compared already."""
    return lambda _kid, alg: pair.ed25519 if alg == ED25519 else pair.mldsa44

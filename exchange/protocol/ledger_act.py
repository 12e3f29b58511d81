"""What an act of a ledger may say besides its locked reason: codes, names, digests, and short sentences (NODE-206).

The law wants searches by a person's body in a log by their kind alone (Regulation (EU) 2018/1862 art. 12). Nothing of
a fingerprint, an iris, a face or a genetic profile fits into what is allowed here: each word is shorter than the
shortest of them. Meaning is not judged: short words that somebody strings together are not known again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

MAX_WORD: Final = 64
"""Characters without white space between them; a digest has 43, an agency's id or a code fewer than this."""
MAX_OUTCOME: Final = 200
MAX_TEXT: Final = 1000
LOCKED: Final = "why"
LEFT_OUT: Final = "(left out)"


def said(member: str, value: Any) -> Any:
    """A member as it may be written down: what is too long for a code or a name is left out, and said to be."""
    if type(value) is list:
        return [said(member, one) for one in value]
    if type(value) is not str or member == LOCKED:
        return value
    if _fits(member, value):
        return value
    short = " ".join(word if len(word) <= MAX_WORD else LEFT_OUT for word in value.split())
    return short[: _most(member)]


def must_be_plain(members: Mapping[str, Any]) -> None:
    """Return if an act says nothing but what it may; ``ValueError`` names the member that says more."""
    for member, value in members.items():
        for one in value if type(value) is list else [value]:
            if type(one) is str and member != LOCKED and not _fits(member, one):
                raise ValueError(f"`{member}` holds more than a code, a name or a sentence")


def _fits(member: str, text: str) -> bool:
    return len(text) <= _most(member) and all(len(word) <= MAX_WORD for word in text.split())


def _most(member: str) -> int:
    return MAX_OUTCOME if member == "outcome" else MAX_TEXT

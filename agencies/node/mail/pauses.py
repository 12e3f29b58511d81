"""How long to wait before asking again: longer each time, and never all at the same moment (NODE-29)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

FIRST: Final = timedelta(seconds=2)
LONGEST: Final = timedelta(minutes=15)


def pause(attempts: int, chance: bytes) -> timedelta:
    """Between half and all of a pause that doubles with each attempt, as two random bytes say."""
    longest: timedelta = min(LONGEST, FIRST * 2 ** min(attempts, 16))
    share: float = 0.5 + int.from_bytes(chance, "big") / 2**17
    return longest * share

"""The broker's one way out: asking a witness (WIT-40). Nothing else in this package calls anybody.

What is sent is public: a checkpoint and a proof that it grew. What comes back is read up to a limit and believed in no
word; ``publishing`` verifies it. No redirect is followed and no proxy of the environment used, so the broker speaks to
the addresses its operator wrote into the policy, and to no others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import httpx

PATIENCE: Final = 5.0
MAX_ANSWER: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """What a witness answered; status 0 if it did not."""

    status: int
    body: bytes = b""


Ask = Callable[[str, bytes], Awaitable[Reply]]
"""Posts a body to an address."""


class WitnessClient:
    """Connections to witnesses, kept open between calls."""

    def __init__(self, *, patience: float = PATIENCE) -> None:
        self._http = httpx.AsyncClient(timeout=patience, trust_env=False, follow_redirects=False)

    async def ask(self, url: str, body: bytes) -> Reply:
        """Post to a witness; whatever goes wrong on the way is no answer."""
        try:
            async with self._http.stream(
                "POST", url, content=body, headers={"Content-Type": "text/plain; charset=utf-8"}
            ) as answer:
                held = bytearray()
                async for chunk in answer.aiter_raw():
                    held += chunk
                    if len(held) > MAX_ANSWER:
                        return Reply(0)
                return Reply(answer.status_code, bytes(held))
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            return Reply(0)

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

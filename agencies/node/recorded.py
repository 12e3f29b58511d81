"""What a call wrote into the ledger, so that no answer about a case leaves without an act (`spec/nodes.md`, NODE-221).

``Office.record`` says what it wrote; ``routes_forms.Recorded`` asks before it lets an answer go. Work on other threads
that no call started is counted nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_WRITTEN: ContextVar[list[int] | None] = ContextVar("acts written in this call", default=None)


@contextmanager
def counting() -> Iterator[list[int]]:
    """Give a list that grows with every act written inside, also by the thread pool's part of a call."""
    written: list[int] = []
    token = _WRITTEN.set(written)
    try:
        yield written
    finally:
        _WRITTEN.reset(token)


def wrote(acts: int) -> None:
    """Count acts that go into the ledger with the transaction now open; if that fails, so does the call."""
    written = _WRITTEN.get()
    if written is not None:
        written.append(acts)


__all__ = ["counting", "wrote"]

"""The life of one message on its way to one recipient: one table of states (ADM-40, ADM-41).

A state is never stored. It follows from the facts that the log and the two parties hold, in whatever
order they become known, so nobody can put a message into a state that its facts do not give it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from exchange.protocol.vocabulary import ReceiptStatus


class Fact(StrEnum):
    """What can be learnt about a message and one recipient."""

    DISCLOSED = "disclosed"
    DENIED = "denied"
    DELIVERED = "delivered"
    OPENED = "opened"
    REJECTED = "rejected"
    EXPIRED = "expired"
    RECALLED = "recalled"

    @classmethod
    def of_receipt(cls, status: ReceiptStatus) -> Fact:
        """The fact that a receipt's status tells."""
        return cls(status.value)


class State(StrEnum):
    """Where a message stands for one recipient."""

    SUBMITTED = "submitted"
    DENIED = "denied"
    ADMITTED = "admitted"
    COLLECTED = "collected"
    OPENED = "opened"
    REJECTED = "rejected"
    EXPIRED = "expired"
    RECALLED = "recalled"


TABLE: Final[Mapping[tuple[State, Fact], State]] = {
    (State.SUBMITTED, Fact.DISCLOSED): State.ADMITTED,
    (State.SUBMITTED, Fact.DENIED): State.DENIED,
    (State.SUBMITTED, Fact.EXPIRED): State.EXPIRED,
    (State.ADMITTED, Fact.DELIVERED): State.COLLECTED,
    (State.ADMITTED, Fact.OPENED): State.OPENED,
    (State.ADMITTED, Fact.REJECTED): State.REJECTED,
    (State.ADMITTED, Fact.EXPIRED): State.EXPIRED,
    (State.ADMITTED, Fact.RECALLED): State.RECALLED,
    (State.COLLECTED, Fact.OPENED): State.OPENED,
    (State.COLLECTED, Fact.REJECTED): State.REJECTED,
    (State.COLLECTED, Fact.EXPIRED): State.EXPIRED,
    (State.COLLECTED, Fact.RECALLED): State.RECALLED,
    (State.OPENED, Fact.RECALLED): State.RECALLED,
}
"""Every move there is; any other fact leaves the state as it is (one cannot un-read a message)."""

_ORDER: Final = list(Fact)


def state(facts: Iterable[Fact]) -> State:
    """The state that these facts give, whatever order they became known in."""
    where = State.SUBMITTED
    for fact in sorted(set(facts), key=_ORDER.index):
        where = TABLE.get((where, fact), where)
    return where


def final(where: State) -> bool:
    """Whether no further fact can move a message from here."""
    return all(before != where for before, _ in TABLE)

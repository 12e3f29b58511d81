"""Standing: a message whose agreement lapsed while it travelled is not opened (MSG-33).

The broker decided by the rules of the log time. Between then and the moment a recipient opens, the agreement may have
ended, been replaced, suspended or left; whoever opens asks its own books once more. Exculpatory material always has
its path: the floor carries it, whatever became of the agreement (AGR-67).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from exchange.protocol.errors import (
    AgreementExpired,
    AgreementNotInForce,
    AgreementSuperseded,
    AgreementSuspended,
    AgreementUnknown,
)
from exchange.protocol.policy import Standing, State
from exchange.protocol.vocabulary import MessageType
from keys.errors import Refusal

if TYPE_CHECKING:
    from exchange.protocol.manifest import Manifest

Standings = Callable[[str, datetime], Standing]
"""How an agreement stands at an instant, by somebody's books: ``PolicyBook.standing``."""

LAPSED: Final[Mapping[State, type[Refusal]]] = {
    State.UNKNOWN: AgreementUnknown,
    State.NOT_YET: AgreementNotInForce,
    State.EXPIRED: AgreementExpired,
    State.SUPERSEDED: AgreementSuperseded,
    State.LEFT: AgreementNotInForce,
    State.SUSPENDED: AgreementSuspended,
}
"""Every state but one, and the refusal of a message that meets it."""


def verify_in_force(manifest: Manifest, standing: Standings, now: datetime) -> None:
    """Refuse a message whose named agreement is not in force at ``now``, with the code that a decision would have."""
    found = standing(manifest.agr, now)
    free = manifest.type == MessageType.EXCULPATORY_NOTICE and found.state is not State.UNKNOWN
    if found.state is not State.IN_FORCE and not free:
        raise LAPSED[found.state](found.sentence)

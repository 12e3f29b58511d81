"""Stamps: how long ago the broker last said what time it is, and when that is too long (`spec/nodes.md`, NODE-205).

Every answer of the broker is signed with the time at which it was made, and believed only near to our own clock. Each
look into the mailbox that was answered so is therefore a stamp. A node goes on without stamps for a while, so that
work does not stop with the broker: drafts are taken, sealed and kept until they can be sent. Then it stops taking
them, as an X-Road security server does when it could not have its messages stamped for four hours: what nobody
stamps has no time that others would believe.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from agencies.node.errors import StampsTooOld
from agencies.node.ledger import LedgerAct, Why
from agencies.node.office import Office
from agencies.node.profile import Officer
from exchange.protocol.vocabulary import Act
from keys.encoding import instant, stamp


class Stamps:
    """Watches one office's stamps. Without ``longest`` nothing is ever too old, as in a world whose clock leaps."""

    def __init__(self, office: Office, longest: timedelta | None) -> None:
        self._office, self._longest = office, longest

    def last(self) -> datetime | None:
        """When the broker last answered for its mailbox; none before it first did, when no agreement is known yet."""
        with self._office.store.reading() as books:
            noted = books.meta("collected")
        return instant(noted) if noted else None

    def must_be_fresh(self, officer: Officer, why: Why) -> None:
        """Return if there is a stamp that is young enough; else refuse what an officer wants to send, and note it."""
        last, now = self.last(), self._office.clock()
        if self._longest is None or last is None or now - last <= self._longest:
            return
        refusal = StampsTooOld(
            f"the broker has not been heard since {stamp(last)}: nothing is accepted for sending until it is"
        )
        self._office.record_alone(LedgerAct(Act.ATTEMPT_DENIED, officer.id, why, outcome=refusal.code))
        raise refusal

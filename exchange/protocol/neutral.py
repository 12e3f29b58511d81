"""Refusals in two layers: what a requester is told, and what only the auditor learns (SAFE-30 to SAFE-35).

A ground that speaks of the request may be told. A ground that speaks of the data would say that there is
data; and once "may not tell" has to be hidden, "no data" has to look the same. So for a request about
anybody both become one neutral answer, alike in every byte but its names, in size and in the hour it leaves.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import Any, Final

from exchange.protocol.vocabulary import MessageType, RefusalGround, Urgency
from keys.encoding import digest

ABOUT_REQUEST: Final = frozenset(
    {
        RefusalGround.REQUEST_INCOMPLETE,
        RefusalGround.DATA_CATEGORY_NOT_PERMITTED,
        RefusalGround.MINOR_OFFENCE,
        RefusalGround.NOT_AN_OFFENCE_HERE,
        RefusalGround.PURPOSE_INCOMPATIBLE,
        RefusalGround.DISPROPORTIONATE,
        RefusalGround.CANNOT_RESPOND,
    }
)
"""Grounds that can be read off the request itself: told as they are."""
NEVER_TOLD: Final = frozenset(
    {
        RefusalGround.VICTIM_SAFETY,
        RefusalGround.ASYLUM_CONFIDENTIALITY,
        RefusalGround.CLEARANCE_INSUFFICIENT,
        RefusalGround.TRAINING_MISSING,
    }
)
"""Grounds that tell on somebody by their very name, whatever was asked."""
IMPERSONAL: Final = frozenset({"data_transport", "data_attachment"})
DELAY: Final = {
    Urgency.U_DIRECT: timedelta(hours=4),
    Urgency.U_INDIRECT: timedelta(hours=24),
    Urgency.NORMAL: timedelta(hours=72),
    Urgency.NONE: timedelta(hours=72),
}
"""How long after its request arrived a neutral answer leaves; before the deadline of each class (SAFE-33)."""


def about_somebody(cats: Collection[str]) -> bool:
    """Whether a request is about people, or what leads to them, so that an answer tells whether they are known."""
    return any(code.startswith(("person_", "data_")) and code not in IMPERSONAL for code in cats)


def public_ground(ground: RefusalGround | str, cats: Collection[str]) -> RefusalGround:
    """The ground a requester is told, for a private one and the categories of the request (SAFE-31)."""
    known = RefusalGround(ground)
    if known in ABOUT_REQUEST:
        return known
    if known in NEVER_TOLD or about_somebody(cats):
        return RefusalGround.CANNOT_RESPOND
    return known


def release_at(received: datetime, urgency: Urgency | str, decided: datetime) -> datetime:
    """When a neutral answer leaves: a fixed time after the request came, or a whole number of such times (SAFE-33)."""
    step = DELAY[Urgency(urgency)]
    turns = max(1, -((received - decided) // step))  # rounded up
    return received + step * turns


def neutral_answer(request: str, day: date) -> dict[str, Any]:
    """The neutral refusal of a request, the same for every reason; its reference follows from the request alone."""
    reference = "R-" + "".join(c for c in digest(request.encode()).upper() if c.isalnum())[:20].ljust(20, "0")
    return {
        "v": "ix-case/1",
        "simulation": True,
        "type": MessageType.INFO_REFUSAL.value,
        "case": {"reference": reference},
        "as_of": day.isoformat(),
        "language": "en",
        "refusal": {"ground": RefusalGround.CANNOT_RESPOND.value},
    }

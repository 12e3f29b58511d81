"""Deciding: may this agency tell these agencies this, under that agreement, now? (AGR-30 to AGR-44, AGR-60 to AGR-67)

``decide`` is pure, total and deterministic. What no clause of the named agreement permits is denied; what
any agreement in force between the two parties forbids, or the floor, is denied all the same; and so is what
was taken from a message that may not be passed on. One recipient denied denies the message. A denial carries
the nearest clauses and what each of them missed, for the sender's own side and the auditor; everybody else
sees the code alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from exchange.protocol.agreement import Agreement
from exchange.protocol.explanation import Miss, blocked, forbidding, nearest
from exchange.protocol.floor import FLOOR
from exchange.protocol.matching import ForbidTable, Party, PermitTable, Request, Rules, places
from exchange.protocol.obligations import Obligations
from exchange.protocol.onward import SOURCE_CODES, judge_sources
from exchange.protocol.period import Period
from exchange.protocol.policy import PolicyBook, State
from exchange.protocol.terms import Forbid
from exchange.protocol.vocabulary import MessageType

Outcome = Literal["permit", "deny"]

PERMITTED: Final = "permitted"
FORBIDDEN: Final = "forbidden"
NOT_A_PARTY: Final = "not_a_party"
ABOVE_CEILING: Final = "above_ceiling"
NO_CLAUSE: Final = "no_clause"
_LAPSED: Final = {
    State.UNKNOWN: "agreement_unknown",
    State.NOT_YET: "agreement_not_in_force",
    State.EXPIRED: "agreement_expired",
    State.SUPERSEDED: "agreement_superseded",
    State.LEFT: "agreement_not_in_force",
    State.SUSPENDED: "agreement_suspended",
}
CODES: Final = (
    FORBIDDEN,
    "agreement_unknown",
    "agreement_not_in_force",
    "agreement_expired",
    "agreement_superseded",
    "agreement_suspended",
    NOT_A_PARTY,
    ABOVE_CEILING,
    NO_CLAUSE,
    *SOURCE_CODES,
)
"""The codes of a denial; where recipients differ, the message gets the one that stands first here."""
MAX_SHOWN: Final = 8
"""Clauses that the explanation of one denial shows in all (AGR-44)."""

_FLOOR_FORBIDS: Final = ForbidTable([(FLOOR, clause) for clause in FLOOR.forbids])
_FLOOR_PERMITS: Final = PermitTable([(FLOOR, clause) for clause in FLOOR.permits])


@dataclass(frozen=True, slots=True)
class RecipientDecision:
    """The decision about one recipient: the clauses that made it, and for a denial what would change it.

    ``clauses`` are ids of the named agreement for a permit, and of any agreement for a prohibition, where
    ``nearest`` then names each forbidding clause with its agreement.
    """

    recipient: str
    outcome: Outcome
    code: str
    sentence: str
    clauses: tuple[str, ...]
    obligations: Obligations | None
    nearest: tuple[Miss, ...]

    @property
    def logged_nearest(self) -> str | None:
        """The clause that a denial's entry names: the first of the agreement the message names, if any (LOG-34).

        The entry names no other agreement, and a clause's id means nothing outside of its own.
        """
        return next((miss.clause for miss in self.nearest if miss.agreement == miss.request.agreement), None)

    def to_json(self, shown: int = MAX_SHOWN) -> dict[str, Any]:
        """The members as they are written in an explanation, with ``shown`` clauses of a denial at most."""
        denied = self.outcome == "deny"
        members: dict[str, Any] = {
            "id": self.recipient,
            "outcome": self.outcome,
            "code": self.code,
            "sentence": self.sentence,
            "clauses": list(self.clauses[:shown] if denied else self.clauses),
        }
        if self.obligations is not None:
            members["obligations"] = self.obligations.to_json()
        if denied:
            members["nearest"] = [miss.to_json() for miss in self.nearest[:shown]]
            if len(self.nearest) > shown:
                members["more"] = len(self.nearest) - shown
        return members


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision about a whole message."""

    outcome: Outcome
    code: str
    per_recipient: tuple[RecipientDecision, ...]
    policy: str
    agreement: str

    @property
    def permitted(self) -> bool:
        """Whether the message may go to every recipient it names."""
        return self.outcome == "permit"

    def to_json(self) -> dict[str, Any]:
        """The full explanation: for the sender's own side and the auditor, never for anybody else (AGR-43)."""
        return {
            "outcome": self.outcome,
            "code": self.code,
            "agreement": self.agreement,
            "policy": self.policy,
            "recipients": [one.to_json(shown) for one, shown in zip(self.per_recipient, self._shares(), strict=True)],
        }

    def _shares(self) -> list[int]:
        """How many clauses are shown for each recipient: a message to many costs no more to explain (AGR-44)."""
        denied = sum(one.outcome == "deny" for one in self.per_recipient)
        share, left, shares = max(1, MAX_SHOWN // max(1, denied)), MAX_SHOWN, list[int]()
        for one in self.per_recipient:
            shares.append(min(share, left))
            left -= min(shares[-1], len(one.nearest))
        return shares

    def public(self) -> dict[str, Any]:
        """What anybody else may see: the outcome and its code."""
        return {"outcome": self.outcome, "code": self.code}


def decide(request: Request, book: PolicyBook, now: datetime) -> Decision:
    """Say whether ``request`` may pass at ``now``, by which clauses and with which obligations.

    Nobody to tell is a denial with ``no_clause``: an empty list of recipients means nobody, not everybody.
    """
    period = book.period(now)
    named = period.in_force.get(request.agreement)
    names, binding = request.discloser.names, period.binding(request.discloser.id)
    free = request.type == MessageType.EXCULPATORY_NOTICE and book.get(request.agreement)
    made = []
    for recipient in request.recipients:
        one = _permit_by_floor(request, recipient, names, free) if free else None
        if one is None:
            one = _forbid(request, recipient, names, binding, period)
        made.append(one or _by_agreement(request, recipient, named, names, book, period, now))
    denials = {one.code for one in made if one.outcome == "deny"}
    if made and not denials:
        return Decision("permit", PERMITTED, tuple(made), period.policy, request.agreement)
    code = min(denials, key=CODES.index, default=NO_CLAUSE)
    return Decision("deny", code, tuple(made), period.policy, request.agreement)


def _permit_by_floor(
    request: Request, recipient: Party, names: tuple[str, ...], named: Agreement
) -> RecipientDecision | None:
    """Permit what the floor permits between two parties, in whatever state their agreement is (AGR-67)."""
    if not named.has(request.discloser.id) or not named.has(recipient.id):
        return None
    hits = _FLOOR_PERMITS.hits(request, names, recipient)
    return _permitted(recipient, _FLOOR_PERMITS, hits, request) if hits else None


def _forbid(
    request: Request, recipient: Party, names: tuple[str, ...], binding: ForbidTable, period: Period
) -> RecipientDecision | None:
    """Deny what a clause forbids: of the floor, of what the two share, or of what binds the discloser always."""
    shared, theirs = period.shared(request.discloser.id, recipient.id).forbids, recipient.names
    by_floor = _FLOOR_FORBIDS.hits(request, names[1:], theirs[1:])  # it names nobody by id, so few answers serve all
    by_both = shared.hits(request, names, theirs) if shared.rows else 0
    by_one = binding.hits(request, names, theirs) if binding.rows else 0
    if not by_floor | by_both | by_one:
        return None
    hit = [*_rows(_FLOOR_FORBIDS, by_floor), *_rows(shared, by_both), *_rows(binding, by_one)]
    found = {(rules.digest, clause.id): (rules, clause) for rules, clause in hit}
    rows = sorted(found.values(), key=_by_name)
    misses, ids = forbidding(request, recipient, rows), tuple([clause.id for _, clause in rows])
    sentence = f"clause {ids[0]} of `{rows[0][0].terms.id}` forbids telling `{recipient.id}` this"
    return RecipientDecision(recipient.id, "deny", FORBIDDEN, sentence, ids, None, misses)


def _rows(table: ForbidTable, hits: int) -> list[tuple[Rules, Forbid]]:
    return [table.rows[place] for place in places(hits)]


def _by_name(row: tuple[Rules, Forbid]) -> tuple[str, int, str, int]:
    rules, clause = row
    return rules.terms.id, rules.terms.version, rules.digest, [c.id for c in rules.terms.clauses].index(clause.id)


def _by_agreement(
    request: Request,
    recipient: Party,
    named: Agreement | None,
    names: tuple[str, ...],
    book: PolicyBook,
    period: Period,
    now: datetime,
) -> RecipientDecision:
    """Decide by the permits of the named agreement, and then by what the message was taken from."""
    if named is None or not named.has(request.discloser.id) or not named.has(recipient.id):
        return _out_of_reach(request, recipient, named, book, period, now)
    table = period.permits(named)
    hits = table.hits(request, names, recipient)
    if not hits:
        if not recipient.may_receive(request.classification):
            sentence = f"`{recipient.id}` may receive `{recipient.ceiling}` at most, not `{request.classification}`"
            return _denied(request, recipient, ABOVE_CEILING, sentence, period)
        sentence = f"no clause of `{named.terms.id}` lets `{request.discloser.id}` tell `{recipient.id}` this"
        return _denied(request, recipient, NO_CLAUSE, sentence, period)
    against = judge_sources(request, recipient, now) if request.sources else None
    if against is None:
        return _permitted(recipient, table, hits, request)
    code, sources = against
    near = blocked(request, recipient, [table.rows[place] for place in places(hits)], sources)
    sentence = f"what this was taken from stands in the way of telling `{recipient.id}`"
    return RecipientDecision(recipient.id, "deny", code, sentence, (), None, near)


def _permitted(recipient: Party, table: PermitTable, hits: int, request: Request) -> RecipientDecision:
    ids, obligations = table.tie(hits, request)
    return RecipientDecision(recipient.id, "permit", PERMITTED, "", ids, obligations, ())


def _out_of_reach(
    request: Request, recipient: Party, named: Agreement | None, book: PolicyBook, period: Period, now: datetime
) -> RecipientDecision:
    """Deny because the named agreement does not count now, or does not bind both of them."""
    if named is None:
        standing = book.standing(request.agreement, now)
        return _denied(request, recipient, _LAPSED[standing.state], standing.sentence, period)
    outsider = recipient.id if named.has(request.discloser.id) else request.discloser.id
    sentence = f"`{outsider}` is no party to `{named.terms.id}` version {named.terms.version}"
    return _denied(request, recipient, NOT_A_PARTY, sentence, period)


def _denied(request: Request, recipient: Party, code: str, sentence: str, period: Period) -> RecipientDecision:
    permits = period.shared(request.discloser.id, recipient.id).permits
    return RecipientDecision(recipient.id, "deny", code, sentence, (), None, nearest(request, recipient, permits))

"""Obligations: what a disclosure ties its recipient to, and the strictest of several (AGR-36, AGR-53 to AGR-59).

They come from three places: from every clause that permits the disclosure, from its agreement as a whole
(``purge_days``), and from the message itself, whose handling codes and categories may be stricter than any
clause. Where they meet, the stricter wins. A recipient works out what it owes from the log's entry and the
agreement alone, so that sender, recipient, broker and auditor arrive at the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from exchange.protocol.floor import FLOOR
from exchange.protocol.terms import RESERVED, Conditions, Permit
from exchange.protocol.vocabulary import Category, Classification, Handling, Onward

if TYPE_CHECKING:
    from exchange.protocol import terms
    from exchange.protocol.entry import DisclosureEntry
    from exchange.protocol.terms import AgreementTerms

_STRICTNESS: Final = {onward.value: onward.rank for onward in Onward}
_RANKS: Final = {code.value: code.rank for code in Classification}
_TOP: Final = len(_RANKS)


@dataclass(frozen=True, slots=True)
class Readers:
    """Who at the recipient may open it: how high cleared, trained in what, and in which roles, unless in any."""

    clearance: str | None = None
    training: tuple[str, ...] = ()
    roles: tuple[str, ...] | None = None

    @classmethod
    def of(cls, readers: terms.Readers) -> Readers:
        """What one clause says; the order in which it says it means nothing."""
        clearance = None if readers.clearance is None else readers.clearance.value
        roles = None if readers.roles is None else tuple(sorted(readers.roles))
        return cls(clearance, tuple(sorted(readers.training)), roles)

    @classmethod
    def strictest(cls, several: Sequence[Readers]) -> Readers:
        """Cleared for the highest, trained in everything, in a role that every clause accepts."""
        clearances = [one.clearance for one in several if one.clearance is not None]
        accepted = [set(one.roles) for one in several if one.roles is not None]
        return cls(
            max(clearances, key=_RANKS.__getitem__, default=None),
            tuple(sorted({code for one in several for code in one.training})),
            tuple(sorted(set.intersection(*accepted))) if accepted else None,
        )

    def to_json(self) -> dict[str, Any]:
        """The members as they are written in an explanation."""
        clearance = {} if self.clearance is None else {"clearance": self.clearance}
        roles = {} if self.roles is None else {"roles": list(self.roles)}
        return {**clearance, "training": list(self.training), **roles}


@dataclass(frozen=True, slots=True)
class Obligations:
    """What a disclosure ties its recipient to; days count from the disclosure's log time (AGR-54)."""

    onward: str
    evidence: bool
    human_release: bool
    second_approver: bool
    retention_days: int | None
    review_days: int | None
    purge_days: int | None
    readers: Readers | None

    @classmethod
    def of(cls, conditions: Conditions, classification: str, purge_days: int | None) -> Obligations:
        """What one clause ties to a message of this classification."""
        level = conditions.second_approver
        second = level is not None and _RANKS.get(classification, _TOP) >= level.rank
        return cls(
            conditions.onward.value,
            conditions.evidence,
            conditions.human_release or second,
            second,
            conditions.retention_days,
            conditions.review_days,
            purge_days,
            None if conditions.readers is None else Readers.of(conditions.readers),
        )

    @classmethod
    def strictest(cls, several: Sequence[Obligations]) -> Obligations:
        """Bind by the strictest of each (AGR-36), so that no choice between clauses loosens anything."""
        if len(several) == 1:
            return several[0]
        readers = [one.readers for one in several if one.readers is not None]
        return cls(
            max([one.onward for one in several], key=_STRICTNESS.__getitem__),
            all(one.evidence for one in several),
            any(one.human_release for one in several),
            any(one.second_approver for one in several),
            _least(one.retention_days for one in several),
            _least(one.review_days for one in several),
            _least(one.purge_days for one in several),
            Readers.strictest(readers) if readers else None,
        )

    def for_message(self, cats: Collection[str], handling: Collection[str]) -> Obligations:
        """The same, tightened by what the message itself says (AGR-53)."""
        special = Category.DATA_SPECIAL_CATEGORY in cats
        onward = self.onward
        if Handling.H2 in handling and _STRICTNESS[onward] < _STRICTNESS[Onward.BY_CONSENT.value]:
            onward = Onward.BY_CONSENT.value
        return Obligations(
            onward,
            self.evidence and Handling.H1 not in handling,
            self.human_release or special,
            self.second_approver or special,
            self.retention_days,
            self.review_days,
            self.purge_days,
            self.readers,
        )

    def review_at(self, disclosed: datetime) -> datetime | None:
        """When its need is to be reviewed, for what was disclosed at this log time; nothing if never."""
        return None if self.review_days is None else disclosed + timedelta(days=self.review_days)

    def erase_at(self, disclosed: datetime, ended: datetime | None) -> datetime | None:
        """When it must be gone: the earlier of its retention, and of the purge after its agreement ``ended``."""
        dates = [disclosed + timedelta(days=self.retention_days)] if self.retention_days is not None else []
        if self.purge_days is not None and ended is not None:
            dates.append(max(ended, disclosed) + timedelta(days=self.purge_days))
        return min(dates, default=None)

    def to_json(self) -> dict[str, Any]:
        """The members as they are written in an explanation."""
        members: dict[str, Any] = {
            "onward": self.onward,
            "evidence": self.evidence,
            "human_release": self.human_release,
            "second_approver": self.second_approver,
        }
        for name in ("retention_days", "review_days", "purge_days"):
            if getattr(self, name) is not None:
                members[name] = getattr(self, name)
        if self.readers is not None:
            members["readers"] = self.readers.to_json()
        return members

    @classmethod
    def from_json(cls, members: dict[str, Any]) -> Obligations:
        """Read back what ``to_json`` wrote."""
        readers = members.get("readers")
        return cls(
            members["onward"],
            members["evidence"],
            members["human_release"],
            members["second_approver"],
            members.get("retention_days"),
            members.get("review_days"),
            members.get("purge_days"),
            None if readers is None else _readers(readers),
        )


def _readers(members: dict[str, Any]) -> Readers:
    roles = members.get("roles")
    return Readers(members.get("clearance"), tuple(members["training"]), None if roles is None else tuple(roles))


def _least(several: Any) -> int | None:
    return min((days for days in several if days is not None), default=None)


def bound(
    clauses: Sequence[Permit],
    purge_days: int | None,
    *,
    classification: str,
    cats: Collection[str],
    handling: Collection[str],
) -> Obligations:
    """What these permitting clauses tie to such a message; ``clauses`` holds at least one."""
    each = [Obligations.of(clause.conditions, classification, purge_days) for clause in clauses]
    return Obligations.strictest(each).for_message(cats, handling)


def owed(entry: DisclosureEntry, recipient: str, terms: AgreementTerms) -> Obligations:
    """What ``recipient`` is bound to by a logged disclosure, from the entry and its agreement's terms alone.

    ``KeyError`` if the entry does not name the recipient, or names a clause that the agreement does not have:
    nobody who verified the entry gets there.
    """
    named = {to.id: to.clauses for to in entry.to}[recipient]
    by_floor = named[0].startswith(f"{RESERVED}-")
    permits = {c.id: c for c in (FLOOR.terms if by_floor else terms).clauses if isinstance(c, Permit)}
    return bound(
        [permits[clause] for clause in named],
        None if by_floor else terms.purge_days,
        classification=entry.class_,
        cats=entry.cats,
        handling=entry.handling,
    )

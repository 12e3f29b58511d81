"""Reach: everything that agreements let one agency tell another, as boxes (DRF-21, DRF-22).

``decide`` answers one request; this answers all of them at once, for one pair of agencies: what the permits of the
named agreement allow, less what any forbid that counts takes back, less what the floor, the recipient's ceiling and
the territory take back. Both must agree on every single request, and tests hold them against each other. Sources are
not looked at: whether something may be passed on depends on a message, not on an agreement alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from exchange.drafting.boxes import VALUES, Box, Space, apart, holds, subtract
from exchange.protocol.agreement import Agreement
from exchange.protocol.floor import FLOOR
from exchange.protocol.matching import Party, Request, Rules, Terms
from exchange.protocol.policy import PolicyBook
from exchange.protocol.terms import ANY, ANY_PARTY, Forbid, Permit, Reach, parse_terms
from exchange.protocol.vocabulary import Urgency
from keys.encoding import b64u, digest
from keys.signing import Statement


def suppose(payload: bytes, at: datetime) -> Agreement:
    """An agreement as if all its parties had signed it at ``at``: to think with, never to decide a message by."""
    terms = parse_terms(payload)
    return Agreement(digest(payload), Statement(b64u(payload), payload, ()), terms, terms.parties, at)


def always(agreement: Agreement, since: datetime, until: datetime) -> Agreement:
    """The same agreement as if it were in force from one time to another: an amendment replaces nothing."""
    changes = {"start": since, "end": until, "replaces": None}
    return replace(agreement, terms=agreement.terms.model_copy(update=changes), at=since)


@dataclass(frozen=True)
class Scene:
    """Agencies, and a policy book looked at at one instant."""

    parties: Mapping[str, Party]
    book: PolicyBook
    at: datetime

    @cached_property
    def agreements(self) -> tuple[Agreement, ...]:
        """Those in force at that instant, by id and version."""
        return tuple(sorted(self.book.in_force(self.at), key=lambda a: (a.terms.id, a.terms.version, a.digest)))

    def shared(self, discloser: str, recipient: str) -> tuple[Agreement, ...]:
        """The agreements to which both are parties."""
        return tuple(a for a in self.agreements if a.has(discloser) and a.has(recipient))

    def pairs(self) -> Iterator[tuple[Party, Party]]:
        """Every two parties of some agreement, both ways round."""
        for discloser in sorted(self.parties):
            for recipient in sorted(self.parties):
                if discloser != recipient and self.shared(discloser, recipient):
                    yield self.parties[discloser], self.parties[recipient]

    def forbids(self, discloser: Party, recipient: Party) -> list[tuple[Rules, Forbid]]:
        """The forbids that count between these two and name them (AGR-32)."""
        mine = [agreement for agreement in self.agreements if agreement.has(discloser.id)]
        found: list[tuple[Rules, Forbid]] = [
            (agreement, clause)
            for agreement in mine
            for clause in agreement.terms.clauses
            if isinstance(clause, Forbid) and (clause.reach is Reach.EVERYONE or agreement.has(recipient.id))
        ]
        found += [(FLOOR, clause) for clause in FLOOR.forbids]
        return [(rules, clause) for rules, clause in found if self.speaks(clause, rules.terms, discloser, recipient)]

    def speaks(self, clause: Permit | Forbid, terms: Terms, discloser: Party, recipient: Party) -> bool:
        """Whether the clause names these two, one on each side."""
        return bool(
            names_of(discloser, terms, self.at).intersection(clause.from_)
            and names_of(recipient, terms, self.at).intersection(clause.to)
        )


def names_of(party: Party, terms: Terms, at: datetime) -> frozenset[str]:
    """Everything a clause of these terms may call this party at that instant (AGR-11, AGR-51)."""
    groups = [f"group:{group.id}" for group in terms.groups if group.live(at) and party.id in group.members]
    roles = [f"role:{role}" for role in party.roles]
    return frozenset((party.id, ANY_PARTY, f"territory:{party.territory}", *roles, *groups))


def space_of(agreements: Iterable[Agreement], alone: Collection[str] = ()) -> Space:
    """The space in which clauses of all these agreements, and of the floor, can be compared."""
    clauses = [clause for agreement in agreements for clause in agreement.terms.clauses]
    clauses += FLOOR.terms.clauses
    copied = [c.conditions.copy_to for c in clauses if isinstance(c, Permit) and c.conditions.copy_to]
    return Space([[str(cat) for cat in clause.cats] for clause in clauses], copied, alone)


@dataclass(frozen=True, slots=True)
class Lane:
    """What one permit lets one agency tell another: as written, and what is left of it (boxes do not overlap)."""

    rules: Rules
    clause: Permit
    written: tuple[Box, ...]
    left: tuple[Box, ...]
    lost: tuple[str, ...] = field(default=())
    """What took the rest: ids of forbids with their agreement's, or ``ceiling`` or ``territory``."""


def lanes(space: Space, scene: Scene, agreement: Agreement, discloser: Party, recipient: Party) -> list[Lane]:
    """What each permit of the named agreement comes to between these two, in the order of the agreement."""
    if not (agreement.has(discloser.id) and agreement.has(recipient.id)):
        return []
    barred = [(where, clause, forbidden(space, clause)) for where, clause in scene.forbids(discloser, recipient)]
    found = [_lane(space, FLOOR, clause, discloser, recipient, ()) for clause in FLOOR.permits]
    found += [
        _lane(space, agreement, clause, discloser, recipient, barred)
        for clause in agreement.terms.clauses
        if isinstance(clause, Permit) and scene.speaks(clause, agreement.terms, discloser, recipient)
    ]
    return found


def _lane(
    space: Space,
    rules: Rules,
    clause: Permit,
    discloser: Party,
    recipient: Party,
    barred: Iterable[tuple[Rules, Forbid, list[Box]]],
) -> Lane:
    written, lost = permitted(space, clause, discloser, recipient), list[str]()
    below = [code for code in VALUES["class"] if recipient.may_receive(code)]
    left = [box for box in (space.narrow(box, "class", below) for box in written) if holds(box)]
    if left != list(written):
        lost.append("ceiling")
    if recipient.territory not in rules.terms.territory and clause.conditions.transfer is None:
        left, lost = [], [*lost, "territory"]
    for where, forbid, boxes in barred:
        rest = subtract(left, boxes)
        if rest != left:
            left, lost = rest, [*lost, f"{where.terms.id}/{forbid.id}"]
    return Lane(rules, clause, tuple(written), tuple(left), tuple(lost))


def permitted(space: Space, clause: Permit, discloser: Party, recipient: Party) -> list[Box]:
    """The requests that meet every condition of a permit, save territory and ceiling, as boxes that do not overlap."""
    ties = clause.conditions
    box = space.all
    for name, codes in (
        ("type", clause.types),
        ("purpose", clause.purposes),
        ("crime", clause.crimes),
        ("urgency", ties.urgency),
        ("class", [code for code in VALUES["class"] if VALUES["class"].index(code) <= clause.class_max.rank]),
        ("cats", clause.cats),
    ):
        box = space.narrow(box, name, [str(code) for code in codes])
    box = space.require(box, "handling", [code.value for code in ties.handling_required])
    if ties.copy_to is None or ties.copy_to in (discloser.id, recipient.id):
        boxes = [box]
    else:
        copied = space.require(box, "copied", [ties.copy_to])
        others = space.exclude(box, "copied", [ties.copy_to])
        boxes = [copied, space.narrow(others, "exempt", [code.value for code in ties.copy_exempt or ()])]
    return [box for box in boxes if holds(box)]


def forbidden(space: Space, clause: Forbid) -> list[Box]:
    """The requests that meet a forbid, as boxes that do not overlap."""
    box = space.all
    for name, codes in (("type", clause.types), ("purpose", clause.purposes), ("crime", clause.crimes)):
        if ANY not in codes:
            box = space.narrow(box, name, [str(code) for code in codes])
    if not holds(box):
        return []
    if ANY in clause.cats:
        return [box]
    found, rest = list[Box](), box
    for atom in space.atoms:
        if atom[0] in clause.cats:
            found.append(space.require(rest, "cats", atom[:1]))
            rest = space.exclude(rest, "cats", atom)
    return found


def merged(found: Iterable[Lane]) -> list[tuple[Lane, Box]]:
    """What several lanes leave together, as boxes that do not overlap, each with the first lane that has it."""
    rows = [(lane, box) for lane in found for box in lane.left]
    return [(rows[place][0], box) for place, box in apart([box for _, box in rows])]


def example(
    space: Space, box: Box, agreement: str, discloser: Party, recipient: Party, parties: Mapping[str, Party]
) -> Request:
    """One plain request out of a box: the first code of each list, and of each subset no more than it must have."""
    first = {name: space.codes(box, name)[0] for name in VALUES}
    if Urgency.NORMAL in space.codes(box, "urgency"):  # what is urgent has a reason, and an example has none
        first["urgency"] = Urgency.NORMAL.value
    copied = [parties[agency] for agency in space.required(box, "copied") if agency in parties]
    return Request(
        discloser=discloser,
        recipients=(recipient, *copied),
        agreement=agreement,
        type=first["type"],
        purpose=first["purpose"],
        crime=first["crime"],
        cats=frozenset(space.required(box, "cats")),
        classification=first["class"],
        handling=frozenset(space.required(box, "handling")),
        urgency=first["urgency"],
        exempt=first["exempt"] or None,
    )

"""Asking: may this agency tell that one this, by which clause, tied to what; and if not, what is the least to change?

A question may leave things open: then the answer says for which codes it holds (DRF-40). A denial is explained as
``decide`` explains it, and beside that every disclosure that *is* permitted from the same agency is searched for the
ones that differ from the question in least: another agreement, a mark, a copy, a category left out, somebody else to
tell (DRF-41). What is proposed has been decided, so it is never a proposal that would be denied as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from exchange.drafting.boxes import VALUES, Box, Space, holds, subtract
from exchange.drafting.reach import Lane, Scene, example, lanes, space_of
from exchange.drafting.wording import listed, more_strings, strings
from exchange.protocol.agreement import Agreement
from exchange.protocol.decision import FORBIDDEN, NOT_A_PARTY, RecipientDecision, decide
from exchange.protocol.floor import FLOOR
from exchange.protocol.matching import Party, Request
from exchange.protocol.policy import State
from exchange.protocol.terms import Permit
from exchange.protocol.vocabulary import MessageType

SHOWN: Final = 4
"""Ways out of a denial that an answer shows."""
_WEIGHTS: Final = {
    "agreement": 1, "handling": 1, "copied": 1, "urgency": 1, "cats": 2, "exempt": 3, "type": 3, "class": 4, "to": 5,
    "crime": 6, "purpose": 7,
}  # fmt: skip
"""How much it takes to change something. A purpose is what the data is needed for: it is not changed to get it."""


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to know. None means open: whatever is permitted; no categories means none are carried."""

    discloser: str
    recipient: str
    agreement: str | None = None
    type: str | None = None
    purpose: str | None = None
    crime: str | None = None
    cats: frozenset[str] | None = None
    classification: str | None = None
    handling: frozenset[str] | None = None
    urgency: str | None = None
    copied: frozenset[str] | None = None
    exempt: str = ""

    def values(self) -> dict[str, str | None]:
        """What it says of each list of codes."""
        return {
            "type": self.type, "purpose": self.purpose, "crime": self.crime, "urgency": self.urgency,
            "class": self.classification, "exempt": self.exempt,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Way:
    """One agreement that permits what was asked, or some of it: the clauses, what ties it, what it is bound to."""

    agreement: Agreement
    decision: RecipientDecision
    request: Request
    whole: bool
    """Whether everything the question left open is permitted too."""
    open: dict[str, tuple[str, ...]]
    """For what was left open, the codes with which it is permitted."""
    needs: tuple[str, ...]
    """What a message has to have for it: marks, a copy."""
    more: tuple[str, ...]
    """What ties only some of what was left open."""

    def to_json(self) -> dict[str, Any]:
        """As ``explain --json`` prints it."""
        ties = self.decision.obligations
        return {
            "agreement": self.agreement.terms.id,
            "version": self.agreement.terms.version,
            "digest": self.agreement.digest,
            "clauses": list(self.decision.clauses),
            "whole": self.whole,
            "open": {name: list(codes) for name, codes in self.open.items()},
            "needs": list(self.needs),
            "obligations": ties.to_json() if ties else None,
            "in_words": [*(strings(ties) if ties else []), *self.more],
        }


@dataclass(frozen=True, slots=True)
class Remedy:
    """The least that would have to be otherwise for one clause to permit it."""

    changes: tuple[tuple[str, str], ...]
    agreement: Agreement
    clause: str
    request: Request
    weight: int

    @property
    def sentence(self) -> str:
        """All of it in one sentence."""
        what = ", and ".join(said for _, said in self.changes)
        return f"{what}: then clause {self.clause} of `{self.agreement.terms.id}` permits it"

    def to_json(self) -> dict[str, Any]:
        """As ``explain --json`` prints it."""
        request = self.request
        return {
            "changes": [{"member": member, "sentence": said} for member, said in self.changes],
            "agreement": self.agreement.terms.id,
            "clause": self.clause,
            "sentence": self.sentence,
            "request": {
                "to": [party.id for party in request.recipients], "type": request.type, "purpose": request.purpose,
                "crime": request.crime, "cats": sorted(request.cats), "class": request.classification,
                "handling": sorted(request.handling), "urgency": request.urgency,
                **({"exempt": request.exempt} if request.exempt else {}),
            },
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """Yes, by these ways; or no, with the decision that says so and what would have to change."""

    question: Question
    ways: tuple[Way, ...]
    denial: RecipientDecision | None
    remedies: tuple[Remedy, ...]
    bound: bool
    """Whether any agreement in force has both as parties."""
    lapsed: tuple[str, ...] = ()
    """Of agreements that have both as parties and are not in force: how they stand."""

    @property
    def permitted(self) -> bool:
        """Whether at least one way is open."""
        return bool(self.ways)

    def to_json(self) -> dict[str, Any]:
        """As ``explain --json`` prints it."""
        asked = self.question
        return {
            "simulation": True,
            "from": asked.discloser,
            "to": asked.recipient,
            "answer": "yes" if self.permitted else "no",
            "agreement_between_them": self.bound,
            "not_in_force": list(self.lapsed),
            "ways": [way.to_json() for way in self.ways],
            "denial": self.denial.to_json() if self.denial else None,
            "least": [remedy.to_json() for remedy in self.remedies],
        }


def ask(question: Question, scene: Scene) -> Answer:
    """Answer it by the agreements in force in the scene. ``KeyError`` if it names an agency that is not there."""
    discloser, recipient = scene.parties[question.discloser], scene.parties[question.recipient]
    space = space_of(scene.agreements, question.cats or ())
    asked = _box(space, question)
    ways = list[Way]()
    for agreement in _named(scene, question):
        found = _lanes(space, scene, question, agreement, (discloser, recipient))
        way = _way(space, scene, question, asked, agreement, found)
        if way is not None:
            ways.append(way)
    if ways:
        return Answer(question, tuple(ways), None, (), bound=True)
    remedies = sorted(
        _remedies(space, scene, question, asked), key=lambda one: (len(one.changes), one.weight, one.sentence)
    )
    denial, bound = _denial(space, scene, question, asked), bool(scene.shared(discloser.id, recipient.id))
    return Answer(question, (), denial, tuple(_least(remedies))[:SHOWN], bound, tuple(_lapsed(scene, question)))


def _lanes(
    space: Space, scene: Scene, question: Question, agreement: Agreement, pair: tuple[Party, Party]
) -> list[Lane]:
    """What clauses permit; that exculpatory notices always pass is an answer only to who asks about them."""
    asked = question.type == MessageType.EXCULPATORY_NOTICE
    return [lane for lane in lanes(space, scene, agreement, *pair) if asked or lane.rules is not FLOOR]


def _lapsed(scene: Scene, question: Question) -> Iterator[str]:
    """What would bind them if it were in force, and why it does not."""
    for agreement in scene.book.agreements:
        if agreement.has(question.discloser) and agreement.has(question.recipient):
            standing = scene.book.standing(agreement.digest, scene.at)
            if standing.state is not State.IN_FORCE:
                yield standing.sentence


def _named(scene: Scene, question: Question) -> list[Agreement]:
    return [a for a in scene.agreements if question.agreement in (None, a.terms.id, a.digest)]


def _box(space: Space, question: Question) -> Box:
    """Everything that the question asks about."""
    box = space.all
    for name, code in question.values().items():
        box = space.narrow(box, name, VALUES[name] if code is None else [code])
    for name, codes in (("cats", question.cats), ("handling", question.handling), ("copied", question.copied)):
        if codes is not None:
            box = space.require(space.narrow(box, name, codes), name, codes)
    return box


def _way(
    space: Space, scene: Scene, question: Question, asked: Box, agreement: Agreement, found: list[Lane]
) -> Way | None:
    boxes = [both for lane in found for box in lane.left if (both := box & asked) is not None]
    if not boxes:
        return None
    plainest = min(boxes, key=lambda box: sum(must.bit_count() for must, _ in box.sets))
    discloser, recipient = scene.parties[question.discloser], scene.parties[question.recipient]
    request = example(space, plainest, agreement.digest, discloser, recipient, scene.parties)
    decision = decide(request, scene.book, scene.at).per_recipient[0]
    needs = [f"marked {code}" for code in space.required(plainest, "handling") if code not in (question.handling or ())]
    told = question.copied or ()
    needs += [f"a copy to {agency}" for agency in space.required(plainest, "copied") if agency not in told]
    left = {
        name: tuple(code for code in VALUES[name] if any(code in space.codes(box, name) for box in boxes))
        for name, code in question.values().items()
        if code is None
    }
    if question.cats is None:
        left["cats"] = tuple(sorted({code for box in boxes for code in space.codes(box, "cats")}))
    levels, cats = left.get("class", ()), left.get("cats", ())
    clauses = [lane.clause for lane in found if lane.clause.id in decision.clauses]
    more = [line for clause in clauses for line in more_strings(clause.conditions, levels, cats)]
    return Way(agreement, decision, request, not subtract([asked], boxes), left, tuple(needs), tuple(more))


def _denial(space: Space, scene: Scene, question: Question, asked: Box) -> RecipientDecision:
    """How ``decide`` explains it, for the agreement that was named, or the one that comes nearest."""
    discloser, recipient = scene.parties[question.discloser], scene.parties[question.recipient]
    named = _named(scene, question)
    digests = [a.digest for a in named] or [question.agreement or "A" * 43]
    narrowed = [space.narrow(asked, "type", [code]) for code in space.codes(asked, "type")]
    narrowed += _as_permitted(space, asked, named)
    made = [
        decide(example(space, box, digest, discloser, recipient, scene.parties), scene.book, scene.at).per_recipient[0]
        for digest in digests
        for box in narrowed
    ]
    return min(made, key=_farness)


def _as_permitted(space: Space, asked: Box, named: Iterable[Agreement]) -> Iterator[Box]:
    """For each permit what was asked, as the permit has it where that was left open: nobody misses what nobody said."""
    for agreement in named:
        for clause in agreement.terms.clauses:
            box = asked
            if not isinstance(clause, Permit):
                continue
            lists = (clause.types, clause.purposes, clause.crimes, clause.conditions.urgency)
            for name, codes in zip(("type", "purpose", "crime", "urgency"), lists, strict=True):
                narrower = space.narrow(box, name, [str(code) for code in codes])
                box = narrower if space.codes(narrower, name) else box
            yield box


def _farness(one: RecipientDecision) -> tuple[bool, int, int]:
    """A denial tells most that comes nearest to a permit."""
    missed = len(one.nearest[0].members) if one.nearest and one.code != FORBIDDEN else 0
    return one.code == NOT_A_PARTY, one.code == FORBIDDEN, missed


# --- the least that would have to change -----------------------------------------------------------------------------


def _remedies(space: Space, scene: Scene, question: Question, asked: Box) -> Iterator[Remedy]:
    discloser = scene.parties[question.discloser]
    for recipient in scene.parties.values():
        if recipient.id == discloser.id:
            continue
        for agreement in scene.shared(discloser.id, recipient.id):
            for lane in _lanes(space, scene, question, agreement, (discloser, recipient)):
                for box in lane.left:
                    remedy = _remedy(space, scene, question, asked, (discloser, recipient), lane, agreement, box)
                    if remedy is not None:
                        yield remedy


def _remedy(
    space: Space,
    scene: Scene,
    question: Question,
    asked: Box,
    pair: tuple[Party, Party],
    lane: Lane,
    agreement: Agreement,
    box: Box,
) -> Remedy | None:
    discloser, recipient = pair
    changes, reached = list(_apart(space, question, asked, box)), _toward(asked, box)
    if recipient.id != question.recipient:
        roles = " or ".join(recipient.roles) or "no role"
        changes.append(("to", f"tell `{recipient.id}` ({roles}) instead"))
    if question.agreement not in (None, agreement.terms.id, agreement.digest):
        changes.append(("agreement", f"name the agreement `{agreement.terms.id}`"))
    request = example(space, reached, agreement.digest, discloser, recipient, scene.parties)
    if not changes or not holds(reached):
        return None
    if decide(request, scene.book, scene.at).per_recipient[0].outcome == "deny":
        return None
    extra = len(question.cats or ()) - len(request.cats)
    weight = sum(_WEIGHTS[member] for member, _ in changes) + max(0, extra - 1)
    return Remedy(tuple(changes), agreement, lane.clause.id, request, weight)


def _apart(space: Space, question: Question, asked: Box, box: Box) -> Iterator[tuple[str, str]]:
    """In what a box differs from the question, and what to do about each."""
    for place, name in enumerate(VALUES):
        if asked.values[place] & box.values[place]:
            continue
        codes = [code for code in space.codes(box, name) if code]
        have = question.values()[name]
        if name == "exempt":
            yield name, f"claim the exemption {listed(codes)}, if it holds"
        elif name == "class":
            yield name, f"tell only what is classified {codes[-1]} or lower, not `{have}`"
        else:
            word = {"type": "send it as", "purpose": "if it is really for", "crime": "if it is really about"}
            yield name, f"{word.get(name, 'with urgency')} {listed(codes)} instead of `{have}`"
    if question.cats is not None:
        extra = sorted(question.cats - set(space.codes(box, "cats")))
        if extra:
            yield "cats", f"leave out {listed(extra)}"
    for name, said in (("handling", "mark it"), ("copied", "send a copy to")):
        given = question.handling if name == "handling" else question.copied
        missing = [code for code in space.required(box, name) if given is not None and code not in given]
        if missing:
            yield name, f"{said} {listed(missing)}"


def _toward(asked: Box, box: Box) -> Box:
    """The requests of a box that are like the question in everything in which they can be."""
    values = tuple(both if (both := a & b) else b for a, b in zip(asked.values, box.values, strict=True))
    sets = tuple(
        (must | (least & may), may & (most | must) if (must | (least & may)) & ~(may & (most | must)) == 0 else may)
        for (least, most), (must, may) in zip(asked.sets, box.sets, strict=True)
    )
    return Box(values, sets)


def _least(remedies: Iterable[Remedy]) -> Iterator[Remedy]:
    """Leave out what changes all that another changes, and more; and what changes the same in the same way."""
    kept = list[Remedy]()
    for remedy in remedies:
        said = set(remedy.changes)
        members = {member for member, _ in remedy.changes}
        if any(set(one.changes) <= said or {m for m, _ in one.changes} < members for one in kept):
            continue
        kept.append(remedy)
        yield remedy

"""Difference: what a new version of an agreement lets pass that the old did not, and the reverse (DRF-30 to DRF-33).

Two texts are compared by what they do. Over all requests there are, those that only one of them permits are worked out
exactly and counted, and for each clause behind them one request is shown that shows it: a *witness*, which anybody can
put to ``decide`` under either version. Where both permit, the obligations are compared the same way.

Both are looked at as if in force at one instant: alone with the floor, or beside other agreements where given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from exchange.drafting.boxes import MAX_PIECES, VALUES, Box, Space, TooManyPieces, apart, subtract
from exchange.drafting.reach import Lane, Scene, always, example, lanes, space_of
from exchange.protocol.agreement import Agreement
from exchange.protocol.decision import RecipientDecision, decide
from exchange.protocol.matching import Party, Request
from exchange.protocol.obligations import Obligations
from exchange.protocol.policy import PolicyBook
from exchange.protocol.terms import AgreementTerms
from exchange.protocol.vocabulary import Category, Handling
from keys.encoding import stamp

Kind = Literal["gained", "lost"]
Direction = Literal["tighter", "looser", "other"]
SHOWN: Final = ("type", "purpose", "crime", "urgency", "class", "cats")
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Witness:
    """A request that the two versions decide differently, with both decisions about its first recipient."""

    request: Request
    before: RecipientDecision
    after: RecipientDecision


@dataclass(frozen=True, slots=True)
class Change:
    """Disclosures gained or lost through one clause: between whom, how many requests, which codes occur in them."""

    kind: Kind
    clause: str
    title: str
    pairs: tuple[tuple[str, str], ...]
    count: int
    codes: Mapping[str, tuple[str, ...]]
    witness: Witness
    boxes: tuple[tuple[str, str, Box], ...]


@dataclass(frozen=True, slots=True)
class Shift:
    """Disclosures that both versions permit, with other obligations."""

    members: tuple[tuple[str, Any, Any, Direction], ...]
    pairs: tuple[tuple[str, str], ...]
    count: int
    witness: Witness


@dataclass(frozen=True, slots=True)
class Difference:
    """All of it. ``space`` is where the boxes of the changes are to be read."""

    before: Agreement
    after: Agreement
    frame: tuple[str, ...]
    gained: tuple[Change, ...]
    lost: tuple[Change, ...]
    shifts: tuple[Shift, ...]
    space: Space

    @property
    def none(self) -> bool:
        """Whether both versions decide every request alike, with the same obligations."""
        return not (self.gained or self.lost or self.shifts)


def compare(
    before: Agreement,
    after: Agreement,
    parties: Mapping[str, Party],
    at: datetime,
    beside: Iterable[Agreement] = (),
) -> Difference:
    """Work out what changes from one to the other; ``TooManyPieces`` rather than an answer that is not exact."""
    others = [agreement for agreement in beside if agreement.digest not in {before.digest, after.digest}]
    sides = [_Side.of(one, others, parties, at) for one in (before, after)]
    space = space_of([before, after, *others], [Category.DATA_SPECIAL_CATEGORY])
    walk = _Walk(space, *sides)
    gained, lost, shifts = list[_Piece](), list[_Piece](), list[_Shifted]()
    known = dict[Any, _Found]()
    for pair in _both_ways(parties):
        old, new = walk.lanes(pair, sides[0]), walk.lanes(pair, sides[1])
        if _kinds(old) == _kinds(new):
            continue
        alike = tuple((id(lane.clause), lane.left) for lane in old), tuple((id(lane.clause), lane.left) for lane in new)
        if alike not in known:  # what two agencies share with two others has been worked out for these
            known[alike] = walk.only(new, old), walk.only(old, new), list(walk.shifted(pair, old, new))
        more, less, other = known[alike]
        gained += [(pair, lane, box) for lane, box in more]
        lost += [(pair, lane, box) for lane, box in less]
        shifts += [(pair, box, one, another) for box, one, another in other]
    return Difference(
        before, after, tuple(_frame(before.terms, after.terms)),
        tuple(walk.changes("gained", gained)), tuple(walk.changes("lost", lost)), tuple(walk.shifts(shifts)), space,
    )  # fmt: skip


Pair = tuple[Party, Party]
_Piece = tuple[Pair, Lane, Box]
_Tied = tuple[Box, RecipientDecision, RecipientDecision]
_Shifted = tuple[Pair, Box, RecipientDecision, RecipientDecision]
_Found = tuple[list[tuple[Lane, Box]], list[tuple[Lane, Box]], list[_Tied]]


@dataclass(frozen=True, slots=True)
class _Side:
    agreement: Agreement
    scene: Scene

    @classmethod
    def of(cls, one: Agreement, others: list[Agreement], parties: Mapping[str, Party], at: datetime) -> _Side:
        since, until = at - _DAY, at + _DAY
        kept = [always(agreement, since, until) for agreement in (one, *others)]
        return cls(kept[0], Scene(parties, PolicyBook.build(kept), at))


@dataclass(frozen=True, slots=True)
class _Walk:
    space: Space
    old: _Side
    new: _Side

    def lanes(self, pair: Pair, side: _Side) -> list[Lane]:
        return lanes(self.space, side.scene, side.agreement, *pair)

    def only(self, here: list[Lane], there: list[Lane]) -> list[tuple[Lane, Box]]:
        """What one side permits and the other does not, in pieces that do not overlap."""
        taken = [box for lane in there for box in lane.left]
        rows = [(lane, box) for lane in here for box in lane.left if not any(box.within(other) for other in taken)]
        pieces = [(rows[place][0], box) for place, box in apart([box for _, box in rows])]
        return [(lane, piece) for lane, box in pieces for piece in subtract([box], taken)]

    def shifted(self, pair: Pair, old: list[Lane], new: list[Lane]) -> Iterator[_Tied]:
        """What both permit and tie otherwise: every piece meets the same clauses throughout, on either side."""
        kinds = _kinds(old), _kinds(new)
        turned = [lane for lane in old if _kind(lane) not in kinds[1]]
        turned += [lane for lane in new if _kind(lane) not in kinds[0]]
        common = [box for _, box in apart([box for lane in turned for box in lane.left])]
        for side in (old, new):
            common = _within(common, [box for lane in side for box in lane.left])
        for lane in [*old, *new]:
            for box in lane.left:
                common = [piece for whole in common for piece in _parted(whole, box)]
                if len(common) > MAX_PIECES:
                    raise TooManyPieces
        for piece in common:
            meets = [
                _ties([lane for lane in side if any(piece.within(box) for box in lane.left)]) for side in (old, new)
            ]
            if meets[0] != meets[1]:
                yield from self._compared(pair, piece)

    def _compared(self, pair: Pair, piece: Box) -> Iterator[_Tied]:
        """Obligations also come of classification, H1, H2 and special categories: one part for each of them."""
        parts = [self.space.narrow(piece, "class", [code]) for code in self.space.codes(piece, "class")]
        for name, code in (
            ("handling", Handling.H1),
            ("handling", Handling.H2),
            ("cats", Category.DATA_SPECIAL_CATEGORY),
        ):
            whole = self.space.all
            parts = [part for one in parts for part in _parted(one, self.space.require(whole, name, [code.value]))]
        for part in parts:
            before, after = self._decided(pair, part)
            if before.obligations != after.obligations:
                yield part, before, after

    def _decided(self, pair: Pair, box: Box) -> tuple[RecipientDecision, RecipientDecision]:
        witness = self.witness(pair, box)
        return witness.before, witness.after

    def witness(self, pair: Pair, box: Box) -> Witness:
        """One request out of a box, put to both sides."""
        request = example(self.space, box, "", *pair, self.old.scene.parties)
        answers = [
            decide(replace(request, agreement=side.agreement.digest), side.scene.book, side.scene.at).per_recipient[0]
            for side in (self.old, self.new)
        ]
        return Witness(request, *answers)

    def changes(self, kind: Kind, pieces: Iterable[_Piece]) -> Iterator[Change]:
        grouped = dict[str, list[_Piece]]()
        for piece in pieces:
            grouped.setdefault(piece[1].clause.id, []).append(piece)
        for clause, found in sorted(grouped.items()):
            simplest = min(found, key=lambda piece: _plainness(self.space, piece[2]))
            yield Change(
                kind, clause, found[0][1].clause.title, _pairs(pair for pair, _, _ in found),
                sum(self.space.size(box) for _, _, box in found),
                {name: _codes(self.space, [box for _, _, box in found], name) for name in SHOWN},
                self.witness(simplest[0], simplest[2]),
                tuple((pair[0].id, pair[1].id, box) for pair, _, box in found),
            )  # fmt: skip

    def shifts(self, found: Iterable[_Shifted]) -> Iterator[Shift]:
        grouped = dict[tuple[Any, ...], list[_Shifted]]()
        for one in found:
            key = tuple(
                (name, repr(a), repr(b), way) for name, a, b, way in _turns(one[2].obligations, one[3].obligations)
            )
            grouped.setdefault(key, []).append(one)
        for _, several in sorted(grouped.items()):
            pair, box, before, after = min(several, key=lambda one: _plainness(self.space, one[1]))
            yield Shift(
                tuple(_turns(before.obligations, after.obligations)), _pairs(one[0] for one in several),
                sum(self.space.size(one[1]) for one in several), self.witness(pair, box),
            )  # fmt: skip


def _ties(found: Iterable[Lane]) -> set[tuple[str, int | None]]:
    """What the clauses of some lanes tie to a disclosure; equal sets come to equal obligations."""
    return {(repr(lane.clause.conditions), lane.rules.terms.purge_days) for lane in found}


def _both_ways(parties: Mapping[str, Party]) -> Iterator[Pair]:
    names = sorted(parties)
    yield from ((parties[one], parties[other]) for one in names for other in names if one != other)


def _kinds(several: Iterable[Lane]) -> set[tuple[str, int | None, tuple[Box, ...]]]:
    return {_kind(lane) for lane in several}


def _kind(lane: Lane) -> tuple[str, int | None, tuple[Box, ...]]:
    """What a lane permits and ties; lanes of one kind on both sides change nothing by themselves."""
    return repr(lane.clause.conditions), lane.rules.terms.purge_days, lane.left


def _within(pieces: list[Box], boxes: Iterable[Box]) -> list[Box]:
    """The parts of pieces that are in any of the boxes, without overlap."""
    found, rest = list[Box](), pieces
    for box in boxes:
        found += [both for piece in rest if (both := piece & box) is not None]
        rest = subtract(rest, [box])
    return found


def _parted(piece: Box, box: Box) -> list[Box]:
    """The part inside a box, and what is outside of it."""
    inside = piece & box
    return [piece] if inside is None else [inside, *piece.minus(box)]


def _plainness(space: Space, box: Box) -> tuple[int, int]:
    """Prefer for a witness what needs to carry least, and of these what stands for most."""
    return sum(must.bit_count() for must, _ in box.sets), -space.size(box)


def _pairs(pairs: Iterable[Pair]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({(discloser.id, recipient.id) for discloser, recipient in pairs}))


def _codes(space: Space, boxes: Sequence[Box], name: str) -> tuple[str, ...]:
    found = {code for box in boxes for code in space.codes(box, name)}
    order: Sequence[str] = VALUES[name] if name in VALUES else sorted(found)
    return tuple(code for code in order if code in found)


def _turns(before: Obligations | None, after: Obligations | None) -> Iterator[tuple[str, Any, Any, Direction]]:
    """Which obligations differ, and which way: the stricter of two is the one that ``strictest`` keeps."""
    if before is None or after is None:
        return
    stricter = Obligations.strictest([before, after])
    for name in (
        "onward",
        "evidence",
        "human_release",
        "second_approver",
        "retention_days",
        "review_days",
        "purge_days",
        "readers",
    ):
        one, other, most = (getattr(ties, name) for ties in (before, after, stricter))
        if one != other:
            way: Direction = "tighter" if most == other else "looser" if most == one else "other"
            yield name, _plain(one), _plain(other), way


def _plain(value: Any) -> Any:
    return value.to_json() if hasattr(value, "to_json") else value


def _frame(old: AgreementTerms, new: AgreementTerms) -> Iterator[str]:
    """What differs around the clauses, in words."""
    for name in ("title", "kind"):
        if getattr(old, name) != getattr(new, name):
            yield f"{name}: {getattr(old, name)} -> {getattr(new, name)}"
    for name, said in (("parties", "party"), ("bases", "legal basis"), ("territory", "territory")):
        one, other = set(getattr(old, name)), set(getattr(new, name))
        yield from (f"{said} added: {value}" for value in sorted(other - one))
        yield from (f"{said} gone: {value}" for value in sorted(one - other))
    for name in ("start", "end"):
        if getattr(old, name) != getattr(new, name):
            yield f"{name}: {stamp(getattr(old, name))} -> {stamp(getattr(new, name))}"
    if old.purge_days != new.purge_days:
        yield f"purge_days: {old.purge_days} -> {new.purge_days}"
    before, after = ({group.id: group for group in terms.groups} for terms in (old, new))
    yield from (f"group added: {name}" for name in sorted(after.keys() - before.keys()))
    yield from (f"group gone: {name}" for name in sorted(before.keys() - after.keys()))
    yield from (
        f"group changed: {name}" for name in sorted(before.keys() & after.keys()) if before[name] != after[name]
    )

"""Reach and boxes are exact: what they say of all requests at once is what ``decide`` says of each."""

from __future__ import annotations

from random import Random

import pytest

from exchange.drafting.boxes import VALUES, Box, Space, TooManyPieces, apart, holds, subtract
from exchange.drafting.reach import example, lanes, merged, space_of
from exchange.protocol.decision import decide
from exchange.protocol.matching import Request
from tests.exchange.protocol import random_drafts as drafts


def point(space: Space, request: Request) -> Box:
    """A request as the smallest box it is in."""
    box = space.all
    values = {
        "type": request.type, "purpose": request.purpose, "crime": request.crime, "urgency": request.urgency,
        "class": request.classification, "exempt": request.exempt or "",
    }  # fmt: skip
    for name, code in values.items():
        box = space.narrow(box, name, [code])
    told = [request.discloser.id, *[party.id for party in request.recipients]]
    for name, codes in (("cats", request.cats), ("handling", request.handling), ("copied", told)):
        box = space.require(box, name, codes)
        place = ("cats", "handling", "copied").index(name)
        box = box.with_set(place, box.sets[place][0], box.sets[place][0])
    return box


@pytest.mark.spec("DRF-20", "DRF-21")
def test_what_is_left_of_clauses_is_what_decide_permits() -> None:
    rng, permits = Random(20), 0
    for _ in range(250):
        agreements = [drafts.in_force(drafts.random_terms(rng, name)) for name in ("one", "two")]
        scene, space = drafts.scene_of(*agreements), space_of(agreements, drafts.CATS)
        for _ in range(12):
            agreement = rng.choice(agreements)
            request = drafts.random_request(rng, agreement.digest)
            decision = decide(request, scene.book, drafts.NOW)
            for one, recipient in zip(decision.per_recipient, request.recipients, strict=True):
                found = lanes(space, scene, agreement, request.discloser, recipient)
                here = point(space, request)
                clauses = tuple(lane.clause.id for lane in found if any(here.within(box) for box in lane.left))
                assert bool(clauses) == (one.outcome == "permit")
                assert one.outcome == "deny" or clauses == one.clauses or clauses[0].startswith("floor")
                permits += bool(clauses)
    assert permits > 50


def test_an_example_of_a_box_is_permitted() -> None:
    rng = Random(21)
    for _ in range(80):
        agreement = drafts.in_force(drafts.random_terms(rng))
        scene, space = drafts.scene_of(agreement), space_of([agreement])
        for discloser, recipient in scene.pairs():
            for lane, box in merged(lanes(space, scene, agreement, discloser, recipient)):
                request = example(space, box, agreement.digest, discloser, recipient, drafts.PARTIES)
                first = decide(request, scene.book, drafts.NOW).per_recipient[0]
                assert first.outcome == "permit", (lane.clause, request)


def random_box(rng: Random, space: Space) -> Box:
    box = space.all
    for name, codes in VALUES.items():
        box = space.narrow(box, name, rng.sample(codes, rng.randint(1, len(codes))))
    box = space.narrow(box, "cats", rng.sample(drafts.CATS, 4))
    box = space.require(box, "cats", rng.sample(space.codes(box, "cats"), 1) if rng.random() < 0.3 else [])
    return space.require(box, "handling", rng.sample(drafts.MARKS, rng.randint(0, 2)))


@pytest.mark.spec("DRF-20")
def test_pieces_do_not_overlap_and_no_request_is_counted_twice_or_lost() -> None:
    rng = Random(22)
    space = Space([drafts.CATS[:2], drafts.CATS[1:4], drafts.CATS[4:]], ["coast.hub.sim"])
    for _ in range(200):
        one, other = random_box(rng, space), random_box(rng, space)
        both, rest = one & other, one.minus(other)
        assert space.size(one) == sum(map(space.size, rest)) + (space.size(both) if both else 0)
        assert all((piece & other) is None and holds(piece) and piece.within(one) for piece in rest)
        assert all((a & b) is None for i, a in enumerate(rest) for b in rest[:i])
        pieces = [piece for _, piece in apart([one, other])]
        assert sum(map(space.size, pieces)) == space.size(one) + space.size(other) - (space.size(both) if both else 0)


def test_the_size_of_everything_is_every_combination_of_codes() -> None:
    space = Space([["smug_a_routes"], ["smug_a_routes", "person_victim"]], ["coast.hub.sim"])
    values = 1
    for codes in VALUES.values():
        values *= len(codes)
    cats = sum(len(atom) for atom in space.atoms)
    assert space.size(space.all) == values * 2**cats * 2**4 * 2
    assert not holds(space.narrow(space.all, "type", []))
    assert space.required(space.require(space.all, "cats", ["person_victim"]), "cats") == ("person_victim",)


def test_an_answer_that_would_not_be_exact_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchange.drafting.boxes.MAX_PIECES", 3)
    space = Space([[cat] for cat in drafts.CATS], [])
    with pytest.raises(TooManyPieces):
        subtract([space.all], [space.narrow(space.all, "cats", [])])

"""The bench of decisions measures both engines on the same questions, and says so where it cannot."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from exchange.protocol.decision import decide
from exercises.bench_decisions import MISSING, NOW, SHARED, Cedar, World, measure, measure_apart


def test_both_are_measured_at_every_size_and_the_growth_is_the_difference() -> None:
    document = measure((10, 40), rounds=1, cedar_seconds=0.01)
    few, many = document["decisions"]["10"], document["decisions"]["40"]
    assert document["decision_growth_us"] == pytest.approx(many["explained_us"] - few["explained_us"], abs=0.11)
    assert all(one["ours_per_s"] > 0 and one["change_elsewhere_us"] > 0 for one in (few, many))
    assert [one["cedar"]["policies"] for one in (few, many)] == [25, 85]
    assert all(one["cedar"]["asked"] >= 5 for one in (few, many))


def test_its_requests_are_permitted_not_covered_and_forbidden_alike() -> None:
    world = World(30)
    assert len(world.shared) == SHARED
    codes = Counter(decide(request, world.book, NOW).code for request in world.requests)
    assert codes == dict.fromkeys(("permitted", "no_clause", "forbidden"), len(world.requests) // 3)


def test_without_cedarpy_it_says_so_and_measures_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cedarpy", None)
    document = measure((10,), rounds=1, cedar_seconds=0.01)
    assert document["decisions"]["10"]["cedar"] == MISSING
    assert document["decisions"]["10"]["ours_per_s"] > 0


def test_an_answer_of_cedars_that_is_not_ours_stops_it() -> None:
    world = World(12)
    cedar = Cedar(world)
    world.book = type(world.book)()
    with pytest.raises(RuntimeError, match="do not agree"):
        cedar.measure(world, 0.01)


def test_in_a_process_of_its_own_it_measures_the_same_things() -> None:
    document = measure_apart(quick=True)
    assert document["decisions"].keys() == {"10", "300"}
    assert document["decision_growth_from_to"] == [10, 300]

"""Agencies try to make acts and trees do what they must not: hang the books, reach into trees, vanish on the way."""

from __future__ import annotations

import pytest

from tests.exchange.protocol.test_lineage import A, B, E, Log


@pytest.mark.spec("ACT-20")
def test_a_lattice_of_messages_has_more_ways_through_it_than_anybody_could_walk() -> None:
    """Sixty-two layers of four messages, each from all four before: within the limit of 256, and 4^62 ways."""
    log, layer = Log(), list[str]()
    for depth in range(62):
        layer = [log.send(f"{depth} {place}", A, [E], *layer, rule="within_parties") for place in range(4)]
    last = log.send("last", A, [B], *layer, rule="by_field")
    assert {one.onward for one in log.source(B, last).values()} == {"by_field"}
    assert len(log.source(B, last)) == 249

"""``ix node periods``, ``hold`` and ``shred`` in front of a node over real HTTP (CLI; NODE-214, NODE-215)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agencies.node.shredding import Shredding
from tests.agencies.node.tree import WHY, A
from tests.agencies.town import Town, sent


@pytest.mark.spec("NODE-214", "NODE-215", "NODE-218")
def test_a_release_officer_holds_lifts_and_shreds_by_command(town: Town, tmp_path: Path) -> None:
    node = town.nodes[A]
    sent(town, tmp_path)
    why = ("--why", WHY.text)
    early = town.ix(A, "node", "shred", "--before", "2026-12", *why)
    assert (early.exit_code, early.stderr.partition(":")[0]) == (1, "shred_refused")
    town.world.clock.advance(days=62)
    node.watch.look()
    sent(town, tmp_path)
    node.shredding = Shredding(node.office, node.holding, 1)
    made = town.ix(A, "node", "hold", "--from", "2026-11", *why, "--json")
    held = json.loads(made.stdout)
    assert (held["first"], held["last"]) == ("2026-11", "2026-11")
    refused = town.ix(A, "node", "shred", "--before", "2026-12", *why)
    assert held["id"] in refused.stderr
    listed = town.ix(A, "node", "periods")
    assert f"2026-11  here  held by {held['id']}" in listed.stdout
    assert town.ix(A, "node", "hold", "--lift", held["id"], *why).exit_code == 0
    done = town.ix(A, "node", "shred", "--before", "2026-12", *why)
    assert (done.exit_code, done.stdout.strip()) == (0, "shredded: 2026-11")
    assert "2026-11  destroyed 2027-01" in town.ix(A, "node", "periods").stdout
    again = town.ix(A, "node", "shred", "--before", "2026-12", *why)
    assert (again.exit_code, again.stderr.partition(":")[0]) == (1, "shred_refused")


def test_a_hold_is_set_by_a_month_or_lifted_by_its_name(town: Town) -> None:
    for wrong in ((), ("--from", "2026-11", "--lift", "x")):
        assert town.ix(A, "node", "hold", *wrong, "--why", WHY.text).exit_code == 2
    assert town.ix(A, "node", "shred", "--before", "2026-12", "--why", "because").exit_code == 1
    denied = town.ix(A, "node", "hold", "--from", "2026-11", "--why", WHY.text, officer="duty")
    assert (denied.exit_code, denied.stderr.partition(":")[0]) == (1, "role_missing")

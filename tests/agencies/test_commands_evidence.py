"""From a node that found a lie to a stranger who believes nobody: two commands and a file (WIT-54)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agencies.node.errors import LogForked
from exchange.protocol.log import LogSigner, sign_checkpoint
from exercises.federation import ORIGIN
from keys.encoding import stamp
from tests.agencies.node.tree import A, B
from tests.agencies.town import collect, sent, two_towns


@pytest.mark.spec("WIT-54")
def test_what_a_node_kept_goes_through_a_file_to_a_stranger(tmp_path: Path) -> None:
    with two_towns(tmp_path) as town:
        world = town.world
        forked = sign_checkpoint(3, bytes(32), LogSigner(ORIGIN, world.federation.broker.log), world.clock())
        town.nodes[B].receipting._shown = lambda: forked
        sent(town, tmp_path)
        with pytest.raises(LogForked):
            collect(town, A)
        why = ("--why", "a second look at what the log shows us here")
        kept = town.ix(A, "auditor", "evidence", "--json", *why, officer="audit")
        assert kept.exit_code == 0, kept.output
        file = tmp_path / "kept.json"
        file.write_text(kept.stdout)
        pinned = (f"--fed={world.federation.fed}", f"--at={stamp(world.clock())}")
        told = town.ix(A, "audit", "evidence", str(file), *pinned, "--json")
        assert told.exit_code == 0, told.output
        assert [(one["code"], one["who"]) for one in json.loads(told.stdout)["proven"]] == [("log_forked", "broker")]

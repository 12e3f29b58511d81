"""The chapter of the three books, as far as it is played in one process; ``test_demo`` has the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.protocol.ledger_head import ledger_origin
from exchange.protocol.log import LogSigner
from exercises.books import shredding, two_logs
from exercises.liars import leaves_of, without, written_anew
from exercises.scene import NORTH
from exercises.stage import Stage
from exercises.world import WHY, World
from keys.encoding import read_json


@pytest.mark.spec("NODE-39", "WIT-51")
def test_a_broker_with_two_faces_is_convicted_by_the_first_receipt(tmp_path: Path) -> None:
    with Stage(tmp_path / "out") as stage:
        scene = two_logs(stage)
        assert (stage.evidence / "lies" / "two-logs.json").is_file()
    assert (scene.facts["proven"], scene.facts["who"]) == ("log_forked", "broker")


@pytest.mark.spec("NODE-214", "NODE-215", "LOG-100")
def test_a_month_is_shredded_and_three_books_still_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Stage(tmp_path / "out") as stage:
        scene = shredding(stage)
    assert scene.facts["clean"]
    assert scene.facts["refused"] == "shred_refused"
    assert capsys.readouterr().out == ""  # the one JSON document of `ix demo --json` stays alone


def test_a_liars_ledger_is_a_ledger_like_any_other(tmp_path: Path) -> None:
    """Numbers, tree and signatures are as they should be; what gives the liar away is in other books."""
    with World(tmp_path, [NORTH], agreements=()) as world:
        north = world.node(NORTH)
        for _ in range(3):
            north.service.ledger(north.officer("auditor"), WHY, where={})
        for name, data in north.service.export_ledger(north.officer("auditor"), WHY).files:
            (tmp_path / "ledger" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "ledger" / name).write_bytes(data)
        acts = leaves_of(tmp_path / "ledger")
        fewer = without(acts, lambda act: act["n"] == 2)
        assert [read_json(act, limit=65536)["n"] for act in fewer] == list(range(1, len(acts)))
        origin = ledger_origin(world.federation.directory.root.log.origin, NORTH)
        signer = LogSigner(origin, world.federation.identities[NORTH].signer)
        written_anew(tmp_path / "ledger", fewer, signer, world.clock())
    assert leaves_of(tmp_path / "ledger") == fewer
    assert (tmp_path / "ledger" / "checkpoint").read_text().startswith(f"{origin}\n{len(fewer)}\n")

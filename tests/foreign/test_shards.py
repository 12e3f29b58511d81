"""Each shard of a log is a log by itself to a verifier that nobody here wrote: Go's sumdb, from plain files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exchange.commands_audit import export
from exchange.protocol.log import vkeys
from exercises.federation import ORIGIN
from exercises.world import World
from tests.agencies.node.conftest import NORTH, REQUEST, SOUTH, TERMS
from tests.foreign.test_gosumdb import judge

__all__ = ["judge"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Any]]:
    with World(tmp_path_factory.mktemp("world"), [NORTH, SOUTH], agreements=()) as world:
        world.agree(TERMS)
        world.node(NORTH).send(REQUEST, SOUTH)
        world.clock.advance(seconds=int((datetime(2027, 1, 1, tzinfo=UTC) - world.clock()).total_seconds()) + 1)
        world.node(NORTH).send(REQUEST, SOUTH)
        export(str(world.home), world.home / "log")
        yield world.home / "log", world.federation.directory.root.log


@pytest.mark.spec("LOG-120", "LOG-131")
@pytest.mark.parametrize(("folder", "origin"), [("", ORIGIN), ("2027", f"{ORIGIN}/2027")])
def test_go_verifies_the_tree_of_every_shard(judge: Any, exported: tuple[Path, Any], folder: str, origin: str) -> None:
    place, log = exported
    vkey = vkeys(replace(log, origin=origin))[0]
    said, size, root = (place / folder / "checkpoint").read_text().split("\n")[:3]
    assert said == origin
    assert judge("log", place / folder, vkey=vkey) == {"origin": origin, "size": int(size), "root": root}

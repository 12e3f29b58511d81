"""A fresh world for every journey."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exercises.world import World

CAST = ("north.police.sim", "south.police.sim", "east.border.sim", "north.fiu.sim", "harbour.ngo.sim", "coast.hub.sim")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Six agencies with both agreements in force; it must close without a crash."""
    with World(tmp_path, CAST) as made:
        yield made

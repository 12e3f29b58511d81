"""Shared by the tests of the officers' commands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agencies.town import Town, two_towns


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with two_towns(tmp_path_factory.mktemp("town")) as made:
        yield made

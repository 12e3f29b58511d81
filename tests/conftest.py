"""What every test shares: where public data is, and how hard Hypothesis tries.

``IX_PUBLIC_DATA`` names a folder of public data (see ``docs/tour.md``); nothing in it is ours to commit, and a test
that wants it is skipped, saying so, where it is absent. ``CI`` makes Hypothesis repeatable; ``IX_HYPOTHESIS`` picks a
profile by name (``dev``, ``ci``, ``long``).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).resolve().parent.parent

_patient = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("dev", max_examples=60, **_patient)
settings.register_profile("ci", max_examples=60, derandomize=True, database=None, print_blob=True, **_patient)
settings.register_profile("long", max_examples=3000, **_patient)
settings.load_profile(os.environ.get("IX_HYPOTHESIS") or ("ci" if os.environ.get("CI") else "dev"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def public_data() -> Path:
    """The folder of public data that nobody in this project wrote; skips the test where there is none."""
    folder = Path(os.environ.get("IX_PUBLIC_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (folder / "MANIFEST.csv").is_file():
        pytest.skip("the public data folder is not here; name it in IX_PUBLIC_DATA to run this test")
    return folder

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real mammograms; tests that need it are skipped where it is not named."""
    name = os.environ.get("DISASYMNET_TEST_DATA")
    if not name:
        pytest.skip("DISASYMNET_TEST_DATA names no folder with real mammograms")
    return Path(name)


@pytest.fixture(autouse=True)
def _one_thread(request: pytest.FixtureRequest) -> None:
    # Two torch threads on two busy cores are slower than one, and threads change the order of sums.
    if "torch" in __import__("sys").modules:
        __import__("torch").set_num_threads(1)

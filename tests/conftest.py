from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from disasymnet.data.cache import Cache


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real mammograms; tests that need it are skipped where it is not named."""
    name = os.environ.get("DISASYMNET_TEST_DATA")
    if not name:
        pytest.skip("DISASYMNET_TEST_DATA names no folder with real mammograms")
    return Path(name)


@pytest.fixture(scope="session")
def phantom_cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Sixteen women's phantoms with easy lesions, 64 x 32, CC and MLO; 20 training, 4 validation and 8 test pairs."""
    from disasymnet.data.prepare import PrepareOptions, prepare
    from disasymnet.datasets import find
    from disasymnet.phantom import PhantomSettings, make_exams
    from disasymnet.settings import ImageSettings

    folder = tmp_path_factory.mktemp("phantoms")
    settings = PhantomSettings(exams=16, rows=128, val=2, test=4, symmetric=0.5, tumours=12)
    make_exams(folder / "exams", settings, workers=1, say=lambda line: None)
    options = PrepareOptions("phantom", True, workers=1, tumours=folder / "exams" / "tumours")
    scan = find("phantom").scan(folder / "exams")
    return prepare(scan, ImageSettings(height=64, width=32), folder / "cache", options, lambda line: None)


@pytest.fixture(autouse=True)
def _one_thread(request: pytest.FixtureRequest) -> None:
    # Two torch threads on two busy cores are slower than one, and threads change the order of sums.
    if "torch" in __import__("sys").modules:
        __import__("torch").set_num_threads(1)

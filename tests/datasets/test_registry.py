from __future__ import annotations

from pathlib import Path

import pytest

from disasymnet.datasets import DATASETS, find
from disasymnet.errors import DatasetError


def test_every_data_set_refuses_an_empty_folder(tmp_path: Path) -> None:
    assert set(DATASETS) == {"mini-mias", "table", "phantom"}
    for dataset in DATASETS.values():
        with pytest.raises(DatasetError):
            dataset.scan(tmp_path)


def test_only_ones_own_pictures_are_secret() -> None:
    assert [name for name, dataset in DATASETS.items() if not dataset.public] == ["table"]


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(DatasetError, match="Did you mean mini-mias"):
        find("minimias")
    with pytest.raises(DatasetError, match="There are"):
        find("xyz")

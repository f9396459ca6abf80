"""Every data set from its files to a cache: outlines, masks and boxes arrive on the model grid."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from disasymnet.data.prepare import PrepareOptions, prepare
from disasymnet.datasets import find
from disasymnet.settings import ImageSettings
from disasymnet.testkit import MAKERS, READ_AS

SETTINGS = ImageSettings(height=128, width=64, scale="fit")

# Pairs, single pictures with places, and what is left out: by hand from the plans of the imitations. Pairs of which one
# picture is refused lose the other as `partner`.
EXPECTED: dict[str, tuple[int, int, dict[str, int]]] = {
    "mini-mias": (6, 0, {"missing": 309, "unpaired": 1}),
    "inbreast": (
        9,
        2,
        {
            "superseded": 1,
            "copy": 1,
            "missing": 1,
            "name": 1,
            "view": 1,
            "unpaired": 1,
            "no_table_row": 1,
            "not_a_picture": 1,
        },
    ),
    "ddsm": (13, 0, {"duplicate": 4, "missing": 1, "gzipped": 1}),
    "mini-ddsm": (9, 1, {"missing": 1}),
    "cbis-ddsm": (1, 6, {"missing": 1, "duplicate": 1, "unpaired": 1, "copy": 1, "unnamed": 1}),
    # The picture For Processing and its partner; R MLO of the study with L CC twice; R MLO whose partner is missing.
    "vindr": (8, 1, {"superseded": 1, "missing": 2, "for_processing": 1, "unpaired": 2, "unnamed": 1}),
    "cmmd": (
        7,
        0,
        {"missing": 1, "not_dicom": 1, "unpaired": 3, "no_view": 1, "unnamed": 1, "not_a_picture": 1},
    ),
    "folder": (
        8,
        0,
        {
            "for_processing": 1,
            "directory": 1,
            "not_a_picture": 1,
            "hidden": 2,
            "spot": 1,
            "superseded": 1,
            "unpaired": 1,
        },
    ),
    "table": (6, 1, {"missing": 1, "unpaired": 1, "no_side": 1}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_from_files_to_cache(tmp_path: Path, name: str) -> None:
    planted = MAKERS[name](tmp_path / "set")
    dataset = READ_AS.get(name, name)
    options = PrepareOptions(dataset, public=True, workers=1)
    cache = prepare(find(dataset).read(tmp_path / "set"), SETTINGS, tmp_path / "cache", options, lambda line: None)
    pairs, singles, left_out = EXPECTED[name]
    with (tmp_path / "cache" / "rejected.csv").open() as file:
        codes = Counter(row["code"] for row in csv.DictReader(file))
    assert (len(cache.pairs), len(cache.singles), codes) == (pairs, singles, left_out)
    labels = Counter((pair.abnormal.right, pair.abnormal.left) for pair in cache.pairs)
    assert all(labels[sides] <= number for sides, number in planted.pairs.items())
    drawn = []
    for pair in cache.pairs:
        arrays = cache.arrays(pair.id)
        for side in (0, 1):
            placed = any(finding.box for finding in (pair.findings.right, pair.findings.left)[side])
            assert arrays.lesion[side].any() == placed
            if placed:
                drawn.append(arrays.lesion[side][arrays.breast[side]].sum() / arrays.lesion[side].sum())
    # Lesions lie in the breast, whatever was mirrored, scaled and cut on the way.
    assert not drawn or np.median(drawn) > 0.95
    assert (not drawn) == (name in ("cmmd", "folder"))

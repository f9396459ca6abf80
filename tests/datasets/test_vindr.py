from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from disasymnet.data.pairing import pair_up
from disasymnet.datasets import find
from disasymnet.errors import DatasetError
from disasymnet.images.read import read_picture
from disasymnet.records import Box, Mammogram, Scan
from disasymnet.terms import FindingKind, Laterality, View
from disasymnet.testkit.films import box_of, pick, shoot
from disasymnet.testkit.planted import Planted
from disasymnet.testkit.vindr import PADDING, image_id, make_vindr
from tests.datasets.counted import counted

scan = find("vindr").scan


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Planted]:
    root = tmp_path_factory.mktemp("vindr")
    return root, make_vindr(root)


@pytest.fixture
def copy(made: tuple[Path, Planted], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0], tmp_path / "copy"))


def picture(found: Scan, study: str, name: str) -> Mammogram:
    side, view = name.split("_")
    wanted = (study * 32, Laterality.parse(side), View(view))
    return next(each for each in found.pictures if (each.exam, each.laterality, each.view) == wanted)


def test_the_counts_that_were_planted(made: tuple[Path, Planted]) -> None:
    assert counted(scan(made[0])) == made[1]


def test_labels_are_of_the_breast(made: tuple[Path, Planted]) -> None:
    found = scan(made[0])
    assert picture(found, "c", "RIGHT_MLO").abnormal is True  # BI-RADS 2, without any box
    assert picture(found, "c", "RIGHT_MLO").findings == ()
    assert picture(found, "c", "LEFT_MLO").abnormal is False
    assert {each.density for each in found.pictures} == {"C"}
    assert Counter(each.split for each in found.pictures) == {"train": 17, "test": 3}


def test_boxes_lie_where_they_were_drawn(made: tuple[Path, Planted]) -> None:
    found = scan(made[0])
    film = pick(shoot(21, False, True), "LEFT_CC")
    (finding,) = picture(found, "b", "LEFT_CC").findings
    assert finding.region == box_of(film.lesions[0])
    assert (finding.kind, finding.name) == (FindingKind.MASS, "Mass, Skin Retraction")
    (cut,) = picture(found, "b", "LEFT_MLO").findings
    assert isinstance(cut.region, Box)
    assert cut.region.x1 == film.pixels.shape[1]
    (nipple,) = picture(found, "e", "LEFT_CC").findings
    assert (nipple.kind, nipple.region) == (FindingKind.OTHER, Box(3.5, 60.25, 20, 80))
    assert "boxes that stuck out of their picture and were cut: 1" in found.warnings


def test_the_study_with_one_view_twice(made: tuple[Path, Planted]) -> None:
    found = scan(made[0])
    assert picture(found, "d", "LEFT_CC").path.stem == image_id("d", 2)
    pairs, left_over = pair_up(found.pictures)
    assert [(entry.code, entry.path.stem) for entry in left_over if "d" in entry.path.stem] == [
        ("unpaired", image_id("d", 1)),
        ("superseded", image_id("d", 3)),
    ]
    # The lower id was not downloaded: the other one steps in.
    (pair,) = [pair for pair in pairs if pair.exam == "f" * 32]
    assert pair.pictures.left.path.stem == image_id("f", 2)


def test_the_reader_takes_the_files_as_they_are(made: tuple[Path, Planted]) -> None:
    """MONOCHROME1 in JPEG 2000 with two windows and padding gives the grey of the film; For Processing is refused."""
    found = scan(made[0])
    film = pick(shoot(20, False, False), "LEFT_CC")
    read = read_picture(picture(found, "a", "LEFT_CC").path)
    breast = film.pixels > 4095 - PADDING  # what is darker was stored as dark as padding lets it
    assert breast.mean() > 0.2
    assert np.abs(read.pixels[breast] - film.pixels[breast] / 4095).max() < 0.001
    assert read.pixels[film.pixels <= np.percentile(film.pixels, 20)].max() == 0
    (raw,) = [entry for entry in found.rejected if entry.code == "for_processing"]
    assert raw.path.stem == image_id("c", 0)


def test_a_partial_download(copy: Path) -> None:
    shutil.rmtree(copy / "images" / ("b" * 32))
    (copy / "finding_annotations.csv").unlink()
    found = scan(copy)
    assert Counter(entry.code for entry in found.rejected)["missing"] == 6
    assert found.warnings == ("finding_annotations.csv is missing: labels are known, no finding is",)
    shutil.rmtree(copy / "images")
    with pytest.raises(DatasetError, match="no picture of VinDr-Mammo"):
        scan(copy)
    (copy / "breast-level_annotations.csv").unlink()
    with pytest.raises(DatasetError, match=r"breast-level_annotations\.csv is missing"):
        scan(copy)


@pytest.mark.parametrize(
    ("table", "old", "new", "words"),
    [
        ("breast-level_annotations.csv", "BI-RADS 4", "BI-RADS 9", "the row of image"),
        ("breast-level_annotations.csv", "training", "trainig", "the row of image"),
        ("breast-level_annotations.csv", "breast_birads", "birads", "no column 'breast_birads'"),
        ("finding_annotations.csv", "['Mass']", "[Mass", "a finding of image"),
        ("finding_annotations.csv", "60.25", "60,25", "a finding of image"),
    ],
)
def test_rows_that_are_not_understood_are_named(copy: Path, table: str, old: str, new: str, words: str) -> None:
    path = copy / table
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, f'"{new}"' if "," in new else new, 1))
    with pytest.raises(DatasetError, match=words):
        scan(copy)

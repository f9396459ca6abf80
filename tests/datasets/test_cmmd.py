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
from disasymnet.records import Mammogram, Scan
from disasymnet.terms import FindingKind, Laterality, View
from disasymnet.testkit.cmmd import make_cmmd
from disasymnet.testkit.files import write_xlsx
from disasymnet.testkit.films import pick, shoot
from disasymnet.testkit.planted import Planted
from tests.datasets.counted import counted

scan = find("cmmd").scan


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Planted]:
    root = tmp_path_factory.mktemp("cmmd")
    return root, make_cmmd(root)


@pytest.fixture
def copy(made: tuple[Path, Planted], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0], tmp_path / "copy"))


def picture(found: Scan, patient: str, name: str) -> Mammogram:
    side, view = name.split("_")
    wanted = (patient, Laterality.parse(side), View(view))
    return next(each for each in found.pictures if (each.patient, each.laterality, each.view) == wanted)


def test_the_counts_that_were_planted(made: tuple[Path, Planted]) -> None:
    assert counted(scan(made[0])) == made[1]


def test_unknown_stays_unknown(made: tuple[Path, Planted]) -> None:
    found = scan(made[0])
    assert picture(found, "D1-0002", "RIGHT_CC").abnormal is None
    assert picture(found, "D1-0002", "LEFT_CC").abnormal is True
    assert False not in {each.abnormal for each in found.pictures}
    pairs, _ = pair_up(found.pictures)
    assert False not in {pair.asymmetric for pair in pairs}
    assert "pictures of breasts that the table does not name: unknown, not normal: 8" in found.warnings
    assert "breasts with fewer pictures than the table states: 1" in found.warnings


def test_views_come_from_their_codes(made: tuple[Path, Planted]) -> None:
    found = scan(made[0])
    assert Counter(each.view for each in found.pictures) == {View.CC: 9, View.MLO: 8, None: 1}
    film = pick(shoot(41, False, True), "LEFT_MLO")
    read = read_picture(picture(found, "D1-0002", "LEFT_MLO").path)
    levels = film.pixels >> 4  # without a window the picture's own range is shown
    assert np.array_equal(np.rint(read.pixels * levels.max()), levels)
    _, left_over = pair_up(found.pictures)
    assert Counter(entry.code for entry in left_over) == {"unpaired": 3, "no_view": 1}


def test_findings_of_a_breast(made: tuple[Path, Planted]) -> None:
    findings = picture(scan(made[0]), "D2-0001", "LEFT_CC").findings
    assert [finding.kind for finding in findings] == [FindingKind.MASS, FindingKind.CALCIFICATION]
    assert {finding.malignant for finding in findings} == {True}
    assert {finding.region for finding in findings} == {None}


def test_a_partial_download(copy: Path) -> None:
    (copy / "CMMD_clinicaldata_revision.xlsx").unlink()
    found = scan(copy)
    assert {each.abnormal for each in found.pictures} == {None}
    assert found.warnings[0] == "CMMD_clinicaldata_revision.xlsx is missing: every label is unknown"
    write_xlsx(
        copy / "CMMD_clinicaldata_revision.xlsx",
        [["ID1", "LeftRight", "abnormality", "classification"], ["D1-0001", "R", "mass", "perhaps"]],
    )
    with pytest.raises(DatasetError, match="the row of D1-0001 R is not understood"):
        scan(copy)
    (copy / "CMMD_clinicaldata_revision.xlsx").unlink()
    shutil.rmtree(copy / "manifest-1616439774456")
    with pytest.raises(DatasetError, match="no picture of CMMD"):
        scan(copy)

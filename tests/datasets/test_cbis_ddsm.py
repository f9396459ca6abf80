from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from disasymnet.data.lesions import region_mask
from disasymnet.datasets import find
from disasymnet.errors import DatasetError
from disasymnet.images.read import read_picture
from disasymnet.records import Mammogram, MaskFile, Scan
from disasymnet.terms import FindingKind, Laterality, View
from disasymnet.testkit.cbis_ddsm import make_cbis_ddsm
from disasymnet.testkit.films import LARGE
from disasymnet.testkit.planted import Planted
from tests.datasets.counted import counted

scan = find("cbis-ddsm").scan


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Planted]:
    root = tmp_path_factory.mktemp("cbis")
    return root, make_cbis_ddsm(root)


@pytest.fixture
def copy(made: tuple[Path, Planted], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0], tmp_path / "copy"))


def picture(found: Scan, patient: int, name: str) -> Mammogram:
    side, view = name.split("_")
    wanted = (f"P_{patient:05d}", Laterality.parse(side), View(view))
    return next(each for each in found.pictures if (each.patient, each.laterality, each.view) == wanted)


def test_the_counts_that_were_planted(made: tuple[Path, Planted]) -> None:
    assert counted(scan(made[0])) == made[1]


def test_every_mask_is_a_mask_on_its_film(made: tuple[Path, Planted]) -> None:
    """Names exchanged, a mask alone in its series, a mask of 0.87: content decides, and the lesion is hit."""
    found = scan(made[0])
    for each in found.pictures:
        pixels = read_picture(each.path).pixels
        for finding in each.findings:
            if isinstance(finding.region, MaskFile):
                mask, _ = region_mask(finding.region, pixels.shape)
                assert 20 < mask.sum() < pixels.size / 4
                assert pixels[mask].mean() > pixels.mean()
    exchanged = picture(found, 2, "RIGHT_CC").findings[0].region
    assert isinstance(exchanged, MaskFile)
    assert exchanged.path.name == "1-1.dcm"
    assert region_mask(exchanged, LARGE)[1] == ()
    smaller = picture(found, 4, "RIGHT_MLO").findings[0].region
    assert smaller is not None
    _, (note,) = region_mask(smaller, (301, 241))
    assert "262 x 210 pixels was stretched to its picture's 301 x 241" in note  # ceil(0.87 x 301) x ceil(0.87 x 241)


def test_facts_of_the_tables_and_of_the_sizes(made: tuple[Path, Planted]) -> None:
    found = scan(made[0])
    first = picture(found, 1, "LEFT_MLO")
    assert [finding.name for finding in first.findings] == ["mass irregular"] * 2
    assert {finding.malignant for finding in first.findings} == {True}
    assert (first.pixel_mm, first.density, first.detector, first.chest_wall) == (0.05, "3", "film", None)
    assert picture(found, 2, "RIGHT_CC").density == "3"  # the column is spelt with a blank there
    assert picture(found, 3, "LEFT_MLO").pixel_mm == 0.0435
    assert picture(found, 5, "RIGHT_CC").density is None  # 0 in the table
    assert picture(found, 2, "RIGHT_CC").findings[0].malignant is False


def test_patients_of_both_official_splits_are_training(made: tuple[Path, Planted]) -> None:
    found = scan(made[0])
    splits = {(each.patient, each.split) for each in found.pictures}
    assert ("P_00005", "train") in splits
    assert ("P_00005", "test") not in splits
    assert Counter(split for _, split in splits) == {"train": 5, "test": 2}
    assert "patients in a training and in a test table, taken as training: 1" in found.warnings
    assert "lesions without a mask file, which count but have no place: 1" in found.warnings


def test_a_view_of_both_halves_is_one_picture_with_both_lesions(made: tuple[Path, Planted]) -> None:
    found = scan(made[0])
    kinds = [finding.kind for finding in picture(found, 6, "LEFT_CC").findings]
    assert kinds == [FindingKind.MASS, FindingKind.CALCIFICATION]
    (double,) = [entry for entry in found.rejected if entry.code == "duplicate"]
    assert "Calc-Training_P_00006_LEFT_CC" in str(double.path)


def test_a_partial_download_says_what_is_missing(copy: Path) -> None:
    (copy / "calc_case_description_train_set.csv").unlink()
    (copy / "calc_case_description_test_set.csv").unlink()
    found = scan(copy)
    assert "tables that are missing: calc_case_description_train_set.csv" in found.warnings[0]
    assert Counter(entry.code for entry in found.rejected) == {
        "no_table_row": 3, "unnamed": 7, "copy": 1,  # unnamed: crop and mask of each, and the one that was planted
    }  # fmt: skip
    shutil.rmtree(copy / "CBIS-DDSM")
    with pytest.raises(DatasetError, match="no picture of CBIS-DDSM"):
        scan(copy)


def test_damaged_files_cost_a_row(copy: Path) -> None:
    path = picture(scan(copy), 1, "LEFT_CC").path
    path.write_bytes(b"no DICOM")
    found = scan(copy)
    assert [entry.path for entry in found.rejected if entry.code == "not_dicom"] == [path]
    assert len(found.pictures) == 8


def test_other_folders_and_tables_are_refused(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(DatasetError, match="none of the four case tables"):
        scan(tmp_path / "copy" / "CBIS-DDSM")
    table = copy / "mass_case_description_train_set.csv"
    table.write_text(table.read_text().replace("pathology", "outcome", 1))
    with pytest.raises(DatasetError, match="no column 'pathology'"):
        scan(copy)


@pytest.mark.data
def test_a_real_woman(real_data: Path, tmp_path: Path) -> None:
    """P_00173, whose four views were marked; her rows as in the published test table."""
    header = (
        "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,mass shape,"
        "mass margins,assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path"
    )
    rows = [header]
    files = {"LEFT_CC": "LEFT_CC.rle", "LEFT_MLO": "LEFT_MLO.reduced4", "RIGHT_CC": "RIGHT_CC.j2k",
             "RIGHT_MLO": "RIGHT_MLO.reduced4"}  # fmt: skip
    for name, file in files.items():
        folder = f"Mass-Test_P_00173_{name}"
        side, view = name.split("_")
        target = tmp_path / folder / "1" / "2" / "1-1.dcm"
        target.parent.mkdir(parents=True)
        shutil.copy(real_data / "real-samples" / "cbis-ddsm-P_00173" / f"{file}.dcm", target)
        for number, shape in enumerate(["LOBULATED"] if side == "LEFT" else ["OVAL", "LOBULATED"], 1):
            paths = f'{folder}/1/2/000000.dcm,{folder}_{number}/1/2/000000.dcm,"{folder}_{number}/1/2/000001.dcm\n"'
            rows.append(f"P_00173,2,{side},{view},{number},mass,{shape},CIRCUMSCRIBED,3,BENIGN,4,{paths}")
    (tmp_path / "mass_case_description_test_set.csv").write_text("\n".join(rows) + "\n")
    found = scan(tmp_path)
    assert counted(found).pairs == {(True, True): 2}
    assert counted(found).lesions == {"mass": 6}
    assert picture(found, 173, "LEFT_CC").pixel_mm == 0.05  # 4432 x 2864, both divisible by 8
    assert picture(found, 173, "LEFT_MLO").pixel_mm is None  # a reduced picture obeys no law of scans
    for each in found.pictures:
        facts = read_picture(each.path).facts
        assert (facts.laterality, facts.view, facts.patient) == (each.laterality, each.view, each.patient)


def test_without_the_tables_only_whole_films_are_breasts(made: tuple[Path, Planted]) -> None:
    """Crops and masks carry side, view and PatientID of their film: as a plain folder they must not be paired."""
    every = {path.relative_to(made[0]) for path in made[0].rglob("*") if path.suffix.lower() == ".dcm"}
    lesions = {path for path in every if re.search(r"_\d/", path.as_posix())}
    found = find("folder").scan(made[0])
    assert {picture.path.relative_to(made[0]) for picture in found.pictures} <= every - lesions
    refused = {entry.path.relative_to(made[0]): entry.code for entry in found.rejected}
    assert lesions
    assert {refused[path] for path in lesions} == {"derived"}

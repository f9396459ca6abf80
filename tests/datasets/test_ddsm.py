from __future__ import annotations

import shutil
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from disasymnet.data.lesions import region_mask
from disasymnet.datasets.ddsm import scan
from disasymnet.errors import DatasetError
from disasymnet.images.read import read_picture
from disasymnet.records import Mammogram, MaskFile, Outline, Scan
from disasymnet.terms import Laterality, View
from disasymnet.testkit.ddsm import make_ddsm
from disasymnet.testkit.films import LARGE, Film, pick, shoot
from disasymnet.testkit.mini_ddsm import make_mini_ddsm
from disasymnet.testkit.planted import Planted
from tests.datasets.counted import counted


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Planted]:
    root = tmp_path_factory.mktemp("ddsm")
    return root, make_ddsm(root)


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Planted]:
    root = tmp_path_factory.mktemp("mini")
    return root, make_mini_ddsm(root)


@pytest.fixture
def copy(original: tuple[Path, Planted], tmp_path: Path) -> Path:
    return Path(shutil.copytree(original[0], tmp_path / "copy"))


def picture(found: Scan, exam: str, name: str) -> Mammogram:
    side, view = name.split("_")
    wanted = (Laterality.parse(side), View(view))
    (one,) = [each for each in found.pictures if exam in str(each.path) and (each.laterality, each.view) == wanted]
    return one


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def test_the_counts_that_were_planted(original: tuple[Path, Planted], mini: tuple[Path, Planted]) -> None:
    for root, planted in (original, mini):
        assert counted(scan(root)) == planted


def test_a_part_of_the_data_set_is_read_as_the_whole(original: tuple[Path, Planted]) -> None:
    found = scan(original[0] / "cases" / "cancers" / "cancer_01")
    assert len(found.pictures) == 8
    normal = scan(original[0] / "cases" / "normals" / "normal_01" / "case3001")
    assert {each.abnormal for each in normal.pictures} == {False}


def test_outlines_are_the_lesions_that_were_drawn(original: tuple[Path, Planted], mini: tuple[Path, Planted]) -> None:
    def check(each: Mammogram, film: Film, lesions: int) -> None:
        assert len(each.findings) == lesions
        for finding, lesion in zip(each.findings, film.lesions, strict=False):
            assert isinstance(finding.region, Outline)
            assert np.array_equal(region_mask(finding.region, film.pixels.shape)[0], lesion)

    found = scan(original[0])
    check(picture(found, "A_3001", "LEFT_MLO"), pick(shoot(0, False, True, shape=LARGE), "LEFT_MLO"), 1)  # not its CORE
    check(
        picture(found, "benign_01/case1511", "RIGHT_CC"),
        pick(shoot(2, True, False, lesions=2, shape=LARGE), "RIGHT_CC"),
        2,
    )
    small = scan(mini[0])
    check(picture(small, "C_0236", "RIGHT_CC"), pick(shoot(11, True, False, lesions=2), "RIGHT_CC"), 3)
    (mask,) = picture(small, "A_0100", "RIGHT_CC").findings
    assert mask.region is not None
    film = pick(shoot(12, True, False), "RIGHT_CC")
    assert overlap(region_mask(mask.region, film.pixels.shape)[0], film.lesions[0]) > 0.85  # a lossy line, filled


def test_every_scanner_gives_the_same_grey(original: tuple[Path, Planted]) -> None:
    """All films were computed on one scale and stored through their scanner's curve: reading turns it back."""
    cases = {
        "A_3001": shoot(0, False, True, shape=LARGE),
        "D_3001": shoot(1, False, False, shape=LARGE),
        "benign_01/case1511": shoot(2, True, False, shape=LARGE, lesions=2),
        "B_0200": shoot(5, False, True, shape=LARGE),
    }
    found = scan(original[0])
    for exam, films in cases.items():
        for film in films:
            read = read_picture(picture(found, exam, film.name).path)
            truth = film.pixels / 4095
            # Both Howtek curves end at an optical density of 3.79 and 3.97.
            error = np.abs(read.pixels - truth)[truth > 0.06]
            # One step of a Lumisys scanner is 1 / 1009 of optical density; DBA's curve is steep in the dark.
            assert error.max() < (0.011 if "1511" in exam else 0.0002), exam
    notes = read_picture(picture(found, "A_3001", "LEFT_MLO").path).facts.notes
    assert notes == ("the stream has lines and columns exchanged: read as the .ics says",)


def test_facts_of_the_card(original: tuple[Path, Planted], mini: tuple[Path, Planted]) -> None:
    found = scan(original[0])
    howtek, dba = picture(found, "A_3001", "LEFT_CC"), picture(found, "benign_01/case1511", "RIGHT_CC")
    blank = picture(found, "B_0200", "LEFT_CC")
    assert (howtek.patient, howtek.density, howtek.pixel_mm) == ("A_3001", "3", 0.0435)
    assert (dba.pixel_mm, blank.pixel_mm, blank.density) == (0.042, 0.05, None)
    assert [finding.name for finding in dba.findings] == ["mass irregular", "calcification pleomorphic"]
    assert [finding.malignant for finding in howtek.findings + dba.findings] == [True, False, False]
    assert blank.findings[0].malignant is None  # UNPROVEN
    small = picture(scan(mini[0]), "C_0029", "LEFT_CC")
    assert small.pixel_mm == 0.1  # half of the scan's size
    assert picture(scan(mini[0]), "A_0100", "LEFT_CC").density == "3"  # from the table: it has no .ics


def test_identity_is_the_image_id(original: tuple[Path, Planted]) -> None:
    found = scan(original[0])
    assert {each.patient for each in found.pictures if "case3001" in str(each.path)} == {"A_3001", "D_3001"}
    exams = {each.exam for each in found.pictures if each.patient == "A_1500"}
    assert len(exams) == 2
    doubles = [entry for entry in found.rejected if entry.code == "duplicate"]
    assert all("benign_02" in str(entry.path) for entry in doubles)


def test_what_was_guessed_or_passed_over_is_counted(original: tuple[Path, Planted]) -> None:
    warnings = scan(original[0]).warnings
    assert "stray files that were passed over: 4" in warnings
    assert "marked pictures without a readable outline: abnormal, place unknown: 1" in warnings
    assert any(line.endswith("(the paper counts them as normal): 2") for line in warnings)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda text: text.replace("TOTAL_ABNORMALITIES 1", "TOTAL_ABNORMALITIES 2"), "overlay", "announces 2"),
        (lambda text: text.replace(" 4 ", " 9 "), "overlay", "after line 8 is not understood"),
        (lambda text: text.replace(" #", ""), "overlay", "after line 8 is not understood"),
    ],
)
def test_damaged_overlays_cost_their_film(copy: Path, change: object, code: str, words: str) -> None:
    path = copy / "cases/cancers/cancer_01/case3001/A_3001_1.LEFT_CC.OVERLAY"
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    (entry,) = [entry for entry in scan(copy).rejected if entry.code == code]
    assert entry.path.name == "A_3001_1.LEFT_CC.LJPEG"
    assert words in entry.reason


def test_a_packed_overlay_is_told_and_its_film_stays_abnormal(copy: Path) -> None:
    path = copy / "cases/cancers/cancer_01/case3001/A_3001_1.LEFT_CC.OVERLAY"
    path.rename(path.with_name(path.name + ".gz"))
    found = scan(copy)
    (told,) = [line for line in found.warnings if "packed" in line]
    assert told == "OVERLAY files that are packed: unpack them with gunzip, their outlines are not read: 1"
    film = picture(found, "A_3001", "LEFT_CC")
    assert film.abnormal is True
    assert [finding.region for finding in film.findings] == [None]


def test_films_without_their_card_are_refused(copy: Path) -> None:
    (copy / "cases/normals/normal_01/case3001/D-3001-1.ics").unlink()
    found = scan(copy)
    assert Counter(entry.code for entry in found.rejected)["no_ics"] == 4
    assert len(found.pictures) == 22


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no film of DDSM"):
        scan(tmp_path)
    with pytest.raises(DatasetError, match="no such folder"):
        scan(tmp_path / "nowhere")


@pytest.mark.data
def test_ten_real_women(real_data: Path, tmp_path: Path) -> None:
    """Sides and outlines as counted by hand in the ten cases; outlines decoded from OVERLAY equal the masks."""
    with zipfile.ZipFile(real_data / "mini-ddsm-sample" / "mini-ddsm-10.zip") as archive:
        archive.extractall(tmp_path)
    found = scan(tmp_path)
    counts = counted(found)
    assert (counts.women, counts.pictures, counts.normal, counts.abnormal) == (10, 40, 20, 20)
    assert counts.pairs == {(True, False): 12, (False, True): 8}
    assert counts.lesions == {"mass": 14, "calcification": 10}
    assert {each.pixel_mm for each in found.pictures} == {0.1}
    compared = []
    for each in found.pictures:
        masks = [path for path in each.path.parent.iterdir() if path.name.startswith(each.path.stem + "_")]
        if not masks:
            continue
        shape = read_picture(each.path).pixels.shape
        outlines, drawn = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        for finding in each.findings:
            assert isinstance(finding.region, Outline)
            outlines |= region_mask(finding.region, shape)[0]
        for mask in masks:
            drawn |= region_mask(MaskFile(mask, outline=True), shape)[0]
        compared.append((each.patient == "C_0236", overlap(outlines, drawn)))
    assert len(compared) == 20
    # C_0236 has three abnormalities and only two masks.
    lowest = min(value for third_is_lost, value in compared if not third_is_lost)
    print(f"lowest IoU of OVERLAY and mask: {lowest:.3f}")
    assert lowest >= 0.97
    assert all(0.6 < value < 0.75 for third_is_lost, value in compared if third_is_lost)

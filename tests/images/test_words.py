"""Words beside breast and view: what they make of a picture, in a code string and in free text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from disasymnet.data.pairing import pair_up
from disasymnet.datasets import find
from disasymnet.errors import PairingError, PictureError
from disasymnet.images.read import Reading, read_facts
from disasymnet.predict import Source, as_pair
from disasymnet.testkit.mammograms import drawn, mammogram, write

FILM = {"SOPClassUID": SecondaryCaptureImageStorage, "PresentationIntentType": None}


def file(path: Path, **tags: Any) -> Path:
    pixels = drawn(48, 32)
    with config.disable_value_validation():
        path.write_bytes(write(mammogram(pixels, **tags), pixels))
    return path


def answer(folder: Path, **tags: Any) -> str:
    """`plain`, why it is no screening view, or the code of the refusal."""
    try:
        facts = read_facts(file(folder / "x.dcm", **tags))
    except PictureError as error:
        return error.code
    assert facts.exposure is not None
    return facts.exposure.special or ("displaced" if facts.exposure.implant_displaced else "plain")


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ("CC", "plain"), ("LEFT CC", "plain"), ("LCC", "plain"), (" cc ", "plain"), ("CC VIEW", "plain"),
        ("CC NP", "plain"), ("CC AX", "plain"), ("CC ID", "displaced"), ("CCID", "displaced"),
        ("CC RL", "rolled"), ("CC RM", "rolled"), ("CC RI", "rolled"), ("CC RS", "rolled"), ("CCRL", "rolled"),
        ("CC ROLL", "rolled"), ("CC ROLLED LATERAL", "rolled"),
        ("CC M", "magnification"), ("MCC", "magnification"), ("LMCC", "magnification"), ("CC MAGN", "magnification"),
        ("CC_MAG", "magnification"), ("CC MAGNIFIED", "magnification"), ("MAG CC", "magnification"),
        ("CC S", "spot"), ("SCC", "spot"), ("CC SPOTMAG", "spot"), ("CC SPOT COMPRESSION", "spot"),
        ("CC CONED", "spot"),
        ("CC TAN", "tangential"), ("CC TANGENTIAL", "tangential"), ("CC CV", "cleavage"), ("CC AT", "axillary_tail"),
        ("CC AC", "partial"), ("CC IMF", "partial"),
        ("CC XL", "exaggerated"), ("CC EXAG", "exaggerated"), ("CC XM", "exaggerated"),
        ("CC SPECIMEN", "specimen"), ("CC BIOPSY", "biopsy"), ("CC STEREO", "biopsy"), ("CC BIOP", "biopsy"),
        ("CC WIRE", "biopsy"), ("CC NEEDLE LOC", "biopsy"), ("CC LUPE", "magnification"), ("CC X1.8", "magnification"),
        ("CC GALACTOGRAM", "contrast"), ("LT CC", "plain"), ("CC LINKS", "plain"), ("RT CC", "laterality_conflict"),
        ("CC X1.0", "modifier"), ("CC ID 4711", "modifier"),
        ("CC TOMO", "tomosynthesis"), ("CC DBT", "tomosynthesis"), ("CC C-VIEW", "synthetic"),
        ("CC COMP", "modifier"), ("CC IMPLANT", "modifier"), ("CC 2", "modifier"), ("CC STANDARD", "modifier"),
        ("CC NOT MLO", "view_conflict"), ("RIGHT CC", "laterality_conflict"),
    ],
)  # fmt: skip
def test_every_word_of_view_position_counts(tmp_path: Path, position: str, expected: str) -> None:
    assert answer(tmp_path, ViewPosition=position) == expected


@pytest.mark.parametrize("tag", ["SeriesDescription", "ProtocolName"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("L CC", "plain"), ("Standard screening L CC", "plain"), ("L CC Opdose W/Rh", "plain"), ("LCC ID", "displaced"),
        ("L CC Eklund", "displaced"), ("L CC implant displaced", "displaced"),
        ("L SPOT CC", "spot"), ("Spot LCC", "spot"), ("LEFT SPOT MAG CC", "spot"), ("L CC Spotkompression", "spot"),
        ("L MAG CC", "magnification"), ("CC L MAG", "magnification"), ("L CC MAGN", "magnification"),
        ("LMCC", "magnification"), ("L CC Vergroesserung", "magnification"), ("L CC Vergrößerung", "magnification"),
        ("Mag CC", "magnification"), ("SPOT MAG", "spot"), ("Spot compression", "spot"),
        ("L CC ROLL", "rolled"), ("L CC RL", "rolled"), ("L CC tangential", "tangential"), ("L CC AT", "axillary_tail"),
        ("L CC specimen", "specimen"), ("Left breast specimen CC", "specimen"), ("L CC biopsy", "biopsy"),
        ("L CC stereotactic", "biopsy"), ("L CC Präparat", "specimen"), ("L XCC", "exaggerated"),
        ("L CC Lupe", "magnification"), ("L CC Lupenaufnahme", "magnification"), ("L CC x1.8", "magnification"),
        ("L CC 1,5x", "magnification"), ("L CC \N{MULTIPLICATION SIGN}1.8", "magnification"),
        ("L CC x 2.0", "magnification"), ("L CC localizada", "spot"),
        ("L CC Biop", "biopsy"), ("L CC wire localization", "biopsy"), ("L CC needle loc", "biopsy"),
        ("L CC Drahtmarkierung", "biopsy"), ("L CC Nadellokalisation", "biopsy"),
        ("L CC galactogram", "contrast"), ("L ductogram CC", "contrast"), ("L CC Galaktographie", "contrast"),
        ("L CC ID 4711", "plain"), ("L CC ID: 4711", "plain"), ("L CC ID4711", "plain"), ("L CC ID Nr. 47", "plain"),
        ("L CC x1.0", "plain"), ("L CC local", "plain"), ("L CC wired", "plain"), ("L CC ductal", "plain"),
        # breasts, of a left one
        ("LT CC", "plain"), ("CC LINKS", "plain"), ("LEFT BREAST", "plain"), ("linke Brust", "plain"),
        ("RIGHT BREAST", "laterality_conflict"), ("Right", "laterality_conflict"), ("RT CC", "laterality_conflict"),
        ("CC RECHTS", "laterality_conflict"), ("rechte Mamma", "laterality_conflict"),
        ("R breast", "laterality_conflict"), ("Rt. breast spot", "laterality_conflict"),
        ("RIGHT AND LEFT", "plain"), ("RIGHT LEFT", "plain"), ("Right breast cancer", "plain"), ("R", "plain"),
        ("RT", "plain"), ("s/p RT, L CC", "plain"),
        ("L CC DBT", "tomosynthesis"), ("L CC tomo slice", "tomosynthesis"), ("L CC C-View", "synthetic"),
        ("L CC recombined", "contrast"), ("CESM subtracted", "contrast"), ("CEDM L CC", "contrast"),
        # of several pictures, or of none
        ("Screening and spot views", "plain"), ("RCC LCC RMLO LMLO spot", "plain"), ("LCC vs RCC mag", "plain"),
        ("Magdalena Spital, L CC", "plain"), ("MCC hospital, screening", "plain"), ("L CC R/O mass", "plain"),
        ("L CC at 10:30", "plain"), ("High contrast", "plain"), ("M", "plain"),
        # a combined exam is named for its tomosynthesis
        ("L CC Combo", "plain"), ("Combo Tomo L CC", "plain"), ("Screening L CC with tomo", "plain"), ("TOMO", "plain"),
    ],
)  # fmt: skip
def test_known_words_count_in_a_text_about_one_picture(tmp_path: Path, tag: str, text: str, expected: str) -> None:
    assert answer(tmp_path, SpecificCharacterSet="ISO_IR 192", **{tag: text}) == expected


def test_the_description_of_the_processing_names_no_breast_but_may_tell_a_magnified_view(tmp_path: Path) -> None:
    tag = "AcquisitionDeviceProcessingDescription"
    assert answer(tmp_path, **{tag: "SPOT MAG"}) == "spot"
    assert answer(tmp_path, **{tag: "PREMIUM VIEW"}) == "plain"
    assert answer(tmp_path, **{tag: "R CC standard"}) == "plain"


@pytest.mark.parametrize(
    ("text", "tag"), [("SeriesDescription", "Series Description"), ("ProtocolName", "Protocol Name")]
)
def test_the_tag_that_said_it_is_the_one_that_is_named(tmp_path: Path, text: str, tag: str) -> None:
    with pytest.raises(PictureError, match=rf"R \({text}\)"):
        read_facts(file(tmp_path / "x.dcm", **{text: "R CC"}))
    with pytest.raises(PictureError, match=rf"MLO \({text}\)"):
        read_facts(file(tmp_path / "x.dcm", **{text: "L MLO"}))
    bare = {"ImageLaterality": None, "ViewPosition": None, "PatientOrientation": None}
    alone = read_facts(file(tmp_path / "x.dcm", **bare, **{text: "L CC"}))
    assert (alone.laterality_from, alone.view_from) == (text, text)
    assert f"breast taken from the {tag.lower()}" in alone.notes
    with pytest.raises(PictureError) as caught:
        read_facts(file(tmp_path / "x.dcm", **bare, **{text: "L CC"}), Reading(strict=True))
    assert caught.value.code == "strict_side"
    with pytest.raises(PictureError) as caught:
        read_facts(file(tmp_path / "x.dcm", **FILM, **{text: "L CC CAD"}))
    assert tag in str(caught.value.tag)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"ImageType": ["DERIVED", "PRIMARY"]}, "plain"),  # as every picture for presentation
        ({"ImageType": ["ORIGINAL", "PRIMARY", ""]}, "plain"),
        ({"ImageType": ["DERIVED", "PRIMARY", "", "RECOMBINED"]}, "contrast"),
        ({"ImageType": ["DERIVED", "PRIMARY", "", "RIGHT", "SUBTRACTION"]}, "contrast"),
        ({"ImageType": ["DERIVED", "PRIMARY", "SUBTRACTION"]}, "contrast"),
        ({"ImageType": ["DERIVED", "PRIMARY", "", "HIGH_ENERGY"]}, "contrast"),
        ({"ImageType": ["DERIVED", "PRIMARY", "POST_CONTRAST"]}, "contrast"),
        ({"ContrastBolusAgent": "Iohexol"}, "contrast"),
        ({"ContrastBolusAgent": "NONE"}, "plain"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "", "LOW_ENERGY"], "ContrastBolusAgent": "Iohexol"}, "plain"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "POST_CONTRAST", "LOW_ENERGY"]}, "plain"),
        ({"SeriesDescription": "CESM L CC low energy"}, "plain"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "", "LOW_ENERGY"], "SeriesDescription": "CESM recombined"}, "plain"),
        ({"ImageType": ["DERIVED", "PRIMARY", "STEREO_SCOUT"]}, "derived"),
        ({**FILM, "ImageType": ["DERIVED", "SECONDARY"], "BurnedInAnnotation": "YES"}, "derived"),
        ({**FILM, "ImageType": ["DERIVED", "SECONDARY"], "BurnedInAnnotation": "NO"}, "plain"),
        ({**FILM, "ImageType": ["ORIGINAL", "SECONDARY"], "BurnedInAnnotation": "YES"}, "plain"),  # a film's label
        ({**FILM, "SeriesDescription": "CAD results"}, "derived"),
        ({**FILM, "SeriesDescription": "cropped images"}, "derived"),  # CBIS-DDSM: of lesions
        ({**FILM, "SeriesDescription": "ROI mask images"}, "derived"),
        ({**FILM, "SeriesDescription": "full mammogram images"}, "plain"),
        ({**FILM, "PatientID": "Calc-Test_P_00038_LEFT_CC_1"}, "derived"),
        ({**FILM, "PatientID": "Calc-Test_P_00038_LEFT_CC"}, "plain"),
        ({**FILM, "SeriesDescription": "iCAD SecondLook"}, "derived"),
        ({"SeriesDescription": "L CC CAD"}, "derived"),
        ({"BurnedInAnnotation": "YES"}, "plain"),
    ],
)
def test_kinds_of_picture(tmp_path: Path, tags: dict[str, Any], expected: str) -> None:
    assert answer(tmp_path, **tags) == expected


LOW = {"ImageType": ["ORIGINAL", "PRIMARY", "", "LOW_ENERGY"]}
RIGHT = {"ImageLaterality": "R", "PatientOrientation": ["P", "L"]}


def paired(folder: Path, *each: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Names of the files in pairs, and the codes of the others."""
    folder.mkdir()
    for number, tags in enumerate(each):
        file(folder / f"{number}.dcm", SOPInstanceUID=f"1.2.3.{number}", StudyInstanceUID="1.2", **tags)
    pairs, rejected = pair_up(find("folder").scan(folder).pictures)
    return [picture.path.stem for pair in pairs for picture in pair.pictures], {
        each.path.stem: each.code for each in rejected
    }


def test_a_low_energy_picture_makes_a_pair_with_its_like_alone(tmp_path: Path) -> None:
    assert paired(tmp_path / "like", {**RIGHT, **LOW}, LOW) == (["0", "1"], {})
    assert paired(tmp_path / "unlike", {**RIGHT, **LOW}, {}) == ([], {"0": "unpaired", "1": "unpaired"})
    both = paired(tmp_path / "both", {**RIGHT, **LOW}, LOW, RIGHT, {})
    assert both == (["2", "3"], {"0": "superseded", "1": "superseded"})


def test_two_files_one_of_them_of_low_energy_are_no_pair(tmp_path: Path) -> None:
    right, left = file(tmp_path / "r.dcm", SOPInstanceUID="1.2.1", **RIGHT, **LOW), file(tmp_path / "l.dcm")
    with pytest.raises(PairingError, match="low-energy"):
        as_pair(Source.read(right), Source.read(left))
    low = file(tmp_path / "l2.dcm", **LOW)
    sides, _, _ = as_pair(Source.read(right), Source.read(low))
    assert "low-energy picture of a contrast mammogram" in sides.left.picture.facts.notes


@pytest.mark.parametrize(
    ("factor", "detector", "support", "expected", "size"),
    [
        (None, "660", "360", "magnification", 0.1 * 360 / 660),  # 1.83, on a stand
        (None, "660", "630", "plain", 0.1 * 630 / 660),  # 1.05, on the table
        (None, "650", "650", "plain", 0.1),
        (None, "660", "500", "magnification", 0.1 * 500 / 660),  # 1.32: the limit is that of the factor
        (None, "660", "510", "plain", 0.1 * 510 / 660),  # 1.29
        ("1.05", "660", "360", "plain", 0.1 / 1.05),  # the factor stands before them
        ("0", "660", "360", "magnification", 0.1 * 360 / 660),
        (None, "660", "", "plain", 0.1), (None, "660", "0", "plain", 0.1), (None, "-660", "-360", "plain", 0.1),
        (None, "660", "66", "plain", 0.1), (None, "360", "660", "plain", 0.1),
    ],
)  # fmt: skip
def test_distances_tell_the_magnification_where_the_factor_is_missing(
    tmp_path: Path, factor: str | None, detector: str, support: str, expected: str, size: float
) -> None:
    tags = {"DistanceSourceToDetector": detector, "DistanceSourceToPatient": support}
    tags |= {} if factor is None else {"EstimatedRadiographicMagnificationFactor": factor}
    assert answer(tmp_path, **tags) == expected
    facts = read_facts(tmp_path / "x.dcm")
    assert facts.pixel_mm == pytest.approx(size)
    by_distances = size != 0.1 and factor in (None, "0")
    assert any("by the distances" in note for note in facts.notes) == by_distances


def test_a_code_of_the_partial_view_counts_where_partial_view_is_missing(tmp_path: Path) -> None:
    anterior = Dataset()
    anterior.CodeValue, anterior.CodingSchemeDesignator = "255561001", "SCT"
    assert answer(tmp_path, PartialViewCodeSequence=[anterior]) == "partial"
    assert answer(tmp_path, PartialViewCodeSequence=[anterior], PartialView="YES") == "partial"
    assert answer(tmp_path, PartialViewCodeSequence=[anterior], PartialView="NO") == "plain"
    assert answer(tmp_path, PartialViewCodeSequence=[]) == "plain"


def test_a_breast_that_stands_alone_is_taken_where_nothing_else_names_one(tmp_path: Path) -> None:
    facts = read_facts(file(tmp_path / "x.dcm", ImageLaterality=None, SeriesDescription="Left breast"))
    assert (facts.laterality, facts.laterality_from) == ("L", "SeriesDescription")
    assert "breast taken from the series description" in facts.notes

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    DigitalMammographyXRayImageStorageForProcessing,
    JPEG2000Lossless,
    MRImageStorage,
    RLELossless,
)

from disasymnet.errors import PictureError
from disasymnet.images.picture import MOST_PIXELS
from disasymnet.images.read import Facts, read_facts, read_picture
from disasymnet.terms import Laterality, View
from tests.images.drawn import film, mammogram, save

PIXELS = np.random.default_rng(1).integers(0, 4096, (48, 32)).astype(np.uint16)


def facts(tmp_path: Path, **tags: Any) -> Facts:
    return read_picture(save(mammogram(PIXELS, **tags), tmp_path / "x.dcm")).facts


def code(path: Path) -> str:
    with pytest.raises(PictureError) as caught:
        read_picture(path)
    assert str(path) in str(caught.value)
    return caught.value.code


def coded(value: str, modifier: str | None = None) -> Dataset:
    item = Dataset()
    item.CodeValue = value
    if modifier:
        item.ViewModifierCodeSequence = [coded(modifier)]
    return item


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_files_hold_the_same_pixels(tmp_path: Path, syntax: str) -> None:
    plain = read_picture(save(mammogram(PIXELS), tmp_path / "plain.dcm"))
    dataset = mammogram(PIXELS)
    dataset.compress(syntax, generate_instance_uid=False)
    packed = read_picture(save(dataset, tmp_path / "packed.dcm"))
    np.testing.assert_array_equal(packed.pixels, plain.pixels)
    assert packed.pixels.dtype == np.float32
    assert not packed.pixels.flags.writeable


def test_facts_of_a_digital_mammogram(tmp_path: Path) -> None:
    got = facts(tmp_path, ImageLaterality="L", ViewPosition="MLO", ImagerPixelSpacing=[0.07, 0.07])
    assert (got.laterality, got.view) == (Laterality.LEFT, View.MLO)
    assert (got.detector, got.bits, got.patient, got.exam) == ("digital", 12, "17", "1.2.3")
    assert got.pixel_mm == pytest.approx(0.07)
    assert "17" not in repr(got)


def test_pixel_size_is_that_in_the_breast(tmp_path: Path) -> None:
    magnified = {"ImagerPixelSpacing": [0.1, 0.1], "EstimatedRadiographicMagnificationFactor": 1.25}
    assert facts(tmp_path, **magnified).pixel_mm == pytest.approx(0.08)
    assert facts(tmp_path, PixelSpacing=[0.05, 0.05]).pixel_mm == pytest.approx(0.05)
    assert facts(tmp_path).pixel_mm is None
    for bad in ([0.1, 0.2], [8.0, 8.0]):
        got = facts(tmp_path, ImagerPixelSpacing=bad)
        assert got.pixel_mm is None
        assert "unknown" in got.notes[0]


def test_view_codes_of_both_schemes(tmp_path: Path) -> None:
    both = facts(tmp_path, ViewCodeSequence=[coded("399162004")], ViewPosition="CC")
    assert (both.view, both.view_from) == (View.CC, "ViewCodeSequence")
    dataset = mammogram(PIXELS, ViewCodeSequence=[coded("399162004")], ViewPosition="ML")
    assert code(save(dataset, tmp_path / "two.dcm")) == "view_conflict"
    assert facts(tmp_path, ViewCodeSequence=[coded("R-10226")]).view is View.MLO
    assert facts(tmp_path, ViewPosition="ML").view is View.ML
    assert facts(tmp_path).view is None


def test_views_of_a_part_are_no_screening_views(tmp_path: Path) -> None:
    spot = facts(tmp_path, ViewCodeSequence=[coded("399162004", "399055006")], ViewPosition="CC")
    assert spot.exposure is not None
    assert (spot.view, spot.exposure.special) == (View.CC, "spot")
    assert spot.notes == ("not a screening view: spot",)
    partial = facts(tmp_path, PartialView="YES", ViewPosition="CC").exposure
    assert partial is not None
    assert partial.special == "partial"
    nipple = facts(tmp_path, ViewCodeSequence=[coded("399162004", "442581004")])
    assert nipple.view is View.CC


def test_sides_must_agree(tmp_path: Path) -> None:
    assert facts(tmp_path, Laterality="R").laterality is Laterality.RIGHT
    assert facts(tmp_path, ViewPosition="RIGHT CC").laterality is Laterality.RIGHT
    assert facts(tmp_path, ImageLaterality="B").laterality is None
    weak = facts(tmp_path, SeriesDescription="screening L-MLO")
    assert (weak.laterality, weak.view) == (Laterality.LEFT, View.MLO)
    assert len(weak.notes) == 2
    dataset = mammogram(PIXELS, ImageLaterality="L", Laterality="R")
    assert code(save(dataset, tmp_path / "both.dcm")) == "laterality_conflict"


def test_film_of_cbis_ddsm(tmp_path: Path) -> None:
    dataset = film(PIXELS, PatientOrientation="MLO", Laterality="R", PatientID="Mass-Test_P_00173_RIGHT_MLO")
    got = read_picture(save(dataset, tmp_path / "x.dcm")).facts
    assert (got.laterality, got.view, got.detector) == (Laterality.RIGHT, View.MLO, "film")
    assert (got.patient, got.exam) == ("P_00173", "P_00173")
    assert len(got.notes) == 2


def test_film_of_modality_rg(tmp_path: Path) -> None:
    dataset = film(PIXELS, Modality="RG", ViewPosition="MLO", Laterality="L", PatientOrientation=["A", "F"])
    got = read_picture(save(dataset, tmp_path / "x.dcm")).facts
    assert (got.laterality, got.view, got.detector) == (Laterality.LEFT, View.MLO, "film")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"SOPClassUID": DigitalMammographyXRayImageStorageForProcessing}, "for_processing"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "for_processing"),
        ({"SOPClassUID": BreastTomosynthesisImageStorage}, "tomosynthesis"),
        ({"SOPClassUID": MRImageStorage, "Modality": "MR"}, "not_mammogram"),
        ({"NumberOfFrames": 2, "PixelData": PIXELS.tobytes() * 2}, "multi_frame"),
        ({"ImageType": ["DERIVED", "PRIMARY", "GENERATED_2D"]}, "synthetic"),
        ({"ImageType": ["DERIVED", "PRIMARY", "", "GENERATED_2D"]}, "synthetic"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "STEREO_PLUS"]}, "derived"),
        ({"SamplesPerPixel": 3}, "colour"),
        ({"PixelData": None}, "no_pixels"),
        ({"Rows": 47}, "pixel_length"),
        ({"Rows": 60}, "pixel_length"),
        ({"Rows": 0}, "size"),
        ({"Rows": 60000, "Columns": 60000}, "too_large"),
        ({"BitsStored": 17}, "depth"),
    ],
)
def test_refusals_have_codes(tmp_path: Path, tags: dict[str, Any], expected: str) -> None:
    assert code(save(mammogram(PIXELS, **tags), tmp_path / "x.dcm")) == expected


def test_a_large_announced_size_is_refused_before_decoding(tmp_path: Path) -> None:
    dataset = mammogram(PIXELS)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    dataset.Rows = dataset.Columns = int(MOST_PIXELS**0.5) + 1
    assert code(save(dataset, tmp_path / "x.dcm")) == "too_large"


def test_a_stream_of_another_size_than_announced(tmp_path: Path) -> None:
    dataset = mammogram(PIXELS)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    dataset.Rows = 47
    assert code(save(dataset, tmp_path / "x.dcm")) in ("pixel_length", "damaged")


def test_cut_files_are_damaged(tmp_path: Path) -> None:
    whole = save(mammogram(PIXELS), tmp_path / "x.dcm").read_bytes()
    for length in (140, 300, len(whole) - 500):
        path = tmp_path / f"{length}.dcm"
        path.write_bytes(whole[:length])
        assert code(path) in ("damaged", "pixel_length", "no_pixels", "not_mammogram")
    (tmp_path / "text.dcm").write_text("no DICOM at all")
    assert code(tmp_path / "text.dcm") == "not_dicom"


@pytest.mark.data
def test_the_five_real_samples(real_data: Path) -> None:
    files = sorted((real_data / "real-samples").glob("*/*.dcm"))
    assert len(files) == 5
    for path in files:
        picture = read_picture(path)
        assert picture.facts.detector == "film"
        assert picture.facts.view in (View.CC, View.MLO)
        assert picture.facts.laterality is (Laterality.RIGHT if "RIGHT" in path.name else Laterality.LEFT)
        assert 0.05 < float(picture.pixels.mean()) < 0.5


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"ImageType": ["DERIVED", "PRIMARY", "", "GENERATED_2D"]}, "synthetic"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "TOMO_PROJ"]}, "tomosynthesis"),
        ({"SeriesDescription": "L MLO C-View"}, "synthetic"),
        ({"SeriesDescription": "L MLO tomosynthesis"}, "tomosynthesis"),
    ],
)
def test_screen_copies_of_computed_pictures_are_no_films(tmp_path: Path, tags: dict[str, Any], expected: str) -> None:
    assert code(save(film(PIXELS, **tags), tmp_path / "copy.dcm")) == expected


def test_films_of_two_years_are_two_exams(tmp_path: Path) -> None:
    exams = []
    for year in ("1999", "2009"):
        dataset = film(PIXELS, AcquisitionDate=f"{year}0101", StudyInstanceUID=None)
        exams.append(read_picture(save(dataset, tmp_path / f"{year}.dcm")).facts.exam)
    assert exams == ["19990101", "20090101"]


def test_implant_displaced_in_words(tmp_path: Path) -> None:
    path = save(film(PIXELS, SeriesDescription="L MLO implant displaced"), tmp_path / "x.dcm")
    exposure = read_picture(path).facts.exposure
    assert exposure is not None
    assert exposure.implant_displaced


@pytest.mark.parametrize(
    ("photometric", "expected"), [("PALETTE COLOR", "colour"), ("RGB", "grey_scale"), ("", "grey_scale")]
)
def test_what_is_no_grey_is_refused_by_the_header(tmp_path: Path, photometric: str, expected: str) -> None:
    path = save(mammogram(PIXELS, PhotometricInterpretation=photometric), tmp_path / "x.dcm")
    with pytest.raises(PictureError) as caught:
        read_facts(path)
    assert caught.value.code == expected
    assert "Photometric Interpretation" in str(caught.value.tag)


@pytest.mark.parametrize("name", ["x.dcm", "IM0001"])
def test_a_data_set_without_its_preamble_is_no_dicom_file(tmp_path: Path, name: str) -> None:
    whole = save(mammogram(PIXELS), tmp_path / "whole.dcm").read_bytes()
    (tmp_path / name).write_bytes(whole[132:])
    assert code(tmp_path / name) == "not_dicom"
    for implicit in (True, False):
        dataset = mammogram(PIXELS)
        del dataset.file_meta
        with (tmp_path / name).open("wb") as out:
            pydicom.dcmwrite(out, dataset, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
        assert (tmp_path / name).read_bytes()[:4] == b"\x08\0\x16\0"
        assert code(tmp_path / name) == "not_dicom"

"""Whatever a header says, reading gives a picture in [0, 1] of the stated size, or one refusal that names a tag."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, RLELossless

from disasymnet.errors import PictureError
from disasymnet.images.dicom import open_dicom
from disasymnet.images.grey import Grey
from disasymnet.images.picture import Facts, Reading
from disasymnet.images.refusals import NEXT_STEP
from disasymnet.testkit.mammograms import drawn, mammogram, write

PIXELS = drawn(24, 16)

number, small = some.integers(0, 65535), some.integers(0, 32767)
bits = some.sampled_from([0, 1, 7, 8, 9, 11, 12, 15, 16, 17, 32, 64])
decimal = some.one_of(
    some.sampled_from(["0", "1", "-1", "0.5", "1e300", "-1e-300", "nan", "inf", "", "abc", "4096", "-2048", "1\\2\\3"]),
    some.floats(allow_nan=False, width=32).map(lambda value: f"{value:.9g}"),
)
word = some.one_of(
    some.sampled_from(
        ["R", "L", "B", "CC", "MLO", "ML", "RIGHT CC", "A\\R", "P\\L", "YES", "", "\\", "INVERSE", "IDENTITY"]
    ),
    some.text("ABCLMORX \\-_=0123", max_size=16),
)
FIELDS: dict[str, some.SearchStrategy[Any]] = {
    "Rows": number, "Columns": number, "BitsAllocated": bits, "BitsStored": bits, "HighBit": bits,
    "PixelRepresentation": some.integers(0, 3), "SamplesPerPixel": some.integers(0, 4),
    "PhotometricInterpretation": some.sampled_from(["MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", ""]),
    "PresentationLUTShape": word, "VOILUTFunction": some.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID", "X", ""]),
    "RescaleSlope": decimal, "RescaleIntercept": decimal, "WindowCenter": decimal, "WindowWidth": decimal,
    "PixelPaddingValue": small, "PixelPaddingRangeLimit": small, "NumberOfFrames": some.integers(-2, 3).map(str),
    "ImageLaterality": word, "Laterality": word, "ViewPosition": word, "PatientOrientation": word, "PartialView": word,
    "SeriesDescription": word, "ImageType": word, "Modality": word, "PresentationIntentType": word,
    "ImagerPixelSpacing": decimal, "EstimatedRadiographicMagnificationFactor": decimal, "BurnedInAnnotation": word,
}  # fmt: skip
headers = some.lists(some.sampled_from(sorted(FIELDS)), max_size=5, unique=True).flatmap(
    lambda names: some.fixed_dictionaries({name: FIELDS[name] for name in names})
)


def file_of(tags: dict[str, Any], syntax: str) -> bytes:
    with config.disable_value_validation():
        dataset = mammogram(PIXELS)
        for name, value in tags.items():
            _set(dataset, name, value)
        return write(dataset, PIXELS, syntax)


def _set(dataset: Dataset, name: str, value: Any) -> None:
    """The value as text of the file, whatever pydicom thinks of it."""
    try:
        setattr(dataset, name, value)
    except (ValueError, OverflowError, TypeError):
        dataset.add_new(name, "LO", str(value))


def tried(content: bytes, reading: Reading) -> tuple[Grey, Facts] | PictureError:
    """What was opened, or the refusal, which helps; any other exception comes through."""
    try:
        return open_dicom(io.BytesIO(content), Path("drawn.dcm"), reading)
    except PictureError as refusal:
        error = refusal
    assert error.code in NEXT_STEP
    assert error.code != "unexpected"
    assert (error.where, bool(error.tag), bool(error.hint)) == ("drawn.dcm", True, True)
    return error


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    headers,
    some.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEGLosslessSV1, JPEG2000Lossless]),
    some.booleans(),
)
def test_any_header_gives_a_picture_or_one_refusal(tags: dict[str, Any], syntax: str, strict: bool) -> None:
    opened = tried(file_of(tags, syntax), Reading(strict=strict))
    if isinstance(opened, PictureError):
        return
    ways, facts = opened
    pixels = ways.pixels()
    assert pixels.shape == (tags.get("Rows", 24), tags.get("Columns", 16))
    assert pixels.dtype == np.float32
    assert np.isfinite(pixels).all()
    assert 0 <= pixels.min() < pixels.max() <= 1
    assert all(np.isfinite([step.low, step.high]).all() for step in ways.steps)
    assert facts.pixel_mm is None or 0.01 <= facts.pixel_mm <= 2


@settings(max_examples=300, deadline=None)
@given(some.data())
def test_any_bytes_turned_over_give_a_picture_or_one_refusal(data: some.DataObject) -> None:
    content = bytearray(file_of({}, ExplicitVRLittleEndian))
    for place in data.draw(some.lists(some.integers(132, len(content) - 1), min_size=1, max_size=20)):
        content[place] = data.draw(some.integers(0, 255))
    opened = tried(bytes(content), Reading())
    if not isinstance(opened, PictureError):
        assert np.isfinite(opened[0].pixels()).all()


def test_values_that_cannot_be_are_named_by_their_tag() -> None:
    for tags, tag in (
        ({"WindowWidth": "-3", "WindowCenter": "1"}, "(0028,1051)"),
        ({"HighBit": 3}, "(0028,0102)"),
        ({"RescaleSlope": "0"}, "(0028,1053)"),
    ):
        with pytest.raises(PictureError) as caught:
            open_dicom(io.BytesIO(file_of(tags, ExplicitVRLittleEndian)), Path("x.dcm"), Reading())
        assert tag in str(caught.value)

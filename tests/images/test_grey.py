from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from disasymnet.errors import PictureError
from disasymnet.images.grey import window
from disasymnet.images.read import read_picture
from disasymnet.testkit import mammograms as testkit
from tests.images.drawn import mammogram, save

RAMP = np.arange(0, 4096, 64, dtype=np.uint16).reshape(8, 8)


def pixels(tmp_path: Path, stored: Any = RAMP, **tags: Any) -> Any:
    return read_picture(save(mammogram(stored, **tags), tmp_path / "x.dcm")).pixels


def test_window_linear_by_hand() -> None:
    """PS3.3 C.11.2.1.2.1, its own example: centre 2048, width 4096 maps 0..4095 onto the whole range."""
    values = np.array([-1.0, 0, 2047.5, 4095, 5000])
    np.testing.assert_allclose(window(values, 2048, 4096), [0, 0, 0.5, 1, 1], atol=1e-12)
    np.testing.assert_array_equal(window(np.array([99.0, 100]), 100, 1), [0, 1])
    np.testing.assert_allclose(window(np.array([0.0, 2.5, 10]), 5, 10, "LINEAR_EXACT"), [0, 0.25, 1])
    np.testing.assert_allclose(
        window(np.array([-1e9, 100, 150.0, 1e9]), 100, 200, "SIGMOID"), [0, 0.5, 1 / (1 + np.exp(-1)), 1], atol=1e-12
    )


@pytest.mark.parametrize(
    ("width", "function"), [(0.5, "LINEAR"), (0.0, "SIGMOID"), (-3.0, "LINEAR_EXACT"), (10.0, "CUBIC")]
)
def test_window_refuses_what_the_standard_forbids(width: float, function: str) -> None:
    with pytest.raises(PictureError) as caught:
        window(np.zeros(3), 1, width, function)
    assert caught.value.code == "grey_scale"


def test_without_a_window_the_pictures_own_range_is_used(tmp_path: Path) -> None:
    picture = read_picture(save(mammogram(RAMP + 10), tmp_path / "x.dcm"))
    np.testing.assert_allclose(picture.pixels, np.linspace(0, 1, 64).reshape(8, 8), atol=1e-6)
    assert [step.name for step in picture.steps] == ["stored", "modality", "voi", "inversion"]
    assert (picture.steps[0].low, picture.steps[0].high) == (10, 4042)
    assert "none in the file" in picture.steps[2].detail


def test_first_of_several_windows(tmp_path: Path) -> None:
    got = pixels(tmp_path, WindowCenter=[1024, 5], WindowWidth=[2048, 7], VOILUTFunction="LINEAR_EXACT")
    np.testing.assert_allclose(got, np.clip(RAMP / 2048, 0, 1), atol=1e-6)


def test_rescale_runs_before_the_window(tmp_path: Path) -> None:
    got = pixels(
        tmp_path, RescaleSlope=2, RescaleIntercept=-100, WindowCenter=1000, WindowWidth=2000,
        VOILUTFunction="LINEAR_EXACT",
    )  # fmt: skip
    np.testing.assert_allclose(got, np.clip((2.0 * RAMP - 100) / 2000, 0, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME1", None, True),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True),
    ],
)
def test_inverted_once_or_not_at_all(tmp_path: Path, photometric: str, shape: str | None, inverted: bool) -> None:
    """Never twice: PS3.3 C.8.11.3 has INVERSE accompany MONOCHROME1."""
    tags = {} if shape is None else {"PresentationLUTShape": shape}
    got = pixels(tmp_path, PhotometricInterpretation=photometric, **tags)
    ramp = np.linspace(0, 1, 64).reshape(8, 8)
    np.testing.assert_allclose(got, 1 - ramp if inverted else ramp, atol=1e-6)


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 1900, "WindowWidth": 3000}])
def test_monochrome1_equals_monochrome2_exactly(tmp_path: Path, window: dict[str, int]) -> None:
    """The same picture three times: as it is, stored inverted, and stored inverted with both tags that say so."""
    rng = np.random.default_rng(5)
    stored = rng.integers(0, 4096, (64, 64)).astype(np.uint16)
    mirrored = {"WindowCenter": 4096 - window["WindowCenter"], "WindowWidth": window["WindowWidth"]} if window else {}
    one = pixels(tmp_path, stored, **window)
    for shape in ({}, {"PresentationLUTShape": "INVERSE"}):
        tags = {"PhotometricInterpretation": "MONOCHROME1", **shape, **mirrored}
        np.testing.assert_array_equal(pixels(tmp_path, 4095 - stored, **tags), one)


def test_a_window_that_leaves_one_grey_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="leaves one grey") as caught:
        pixels(tmp_path, WindowCenter=-5000, WindowWidth=10)
    assert caught.value.code == "constant"


def test_padding_is_air_and_takes_no_part_in_the_range(tmp_path: Path) -> None:
    stored = RAMP.copy()
    stored[0] = 4095
    got = pixels(tmp_path, stored, PixelPaddingValue=4095, PhotometricInterpretation="MONOCHROME1")
    assert (got[0] == 0).all()
    inner = stored[1:].astype(float)
    np.testing.assert_allclose(got[1:], 1 - (inner - inner.min()) / np.ptp(inner), atol=1e-6)


def test_padding_range(tmp_path: Path) -> None:
    got = pixels(tmp_path, PixelPaddingValue=0, PixelPaddingRangeLimit=640)
    assert (got.ravel()[:11] == 0).all()
    assert got.ravel()[12] > 0


def test_bits_above_the_stored_ones_are_dropped(tmp_path: Path) -> None:
    """Old files keep overlays in the upper four of sixteen bits."""
    np.testing.assert_array_equal(pixels(tmp_path, RAMP | 0x8000), pixels(tmp_path, RAMP))


def test_signed_values(tmp_path: Path) -> None:
    signed = (RAMP.astype(np.int16) - 2048).astype(np.int16)
    tags = {"WindowCenter": 0, "WindowWidth": 4096, "VOILUTFunction": "LINEAR_EXACT"}
    got = pixels(tmp_path, signed, **tags)
    np.testing.assert_allclose(got, (signed + 2048) / 4096, atol=1e-6)
    # The same numbers in twelve bits, the sign not extended.
    np.testing.assert_array_equal(pixels(tmp_path, (signed & 0x0FFF).astype(np.int16), **tags), got)


def lut(first: int, data: list[int], bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(data) % 65536, first, bits])
    item.add_new("LUTData", "US", data)
    return item


def test_voi_lut_wins_over_the_window(tmp_path: Path) -> None:
    table = [0] * 1024 + list(range(0, 4096, 4)) + [4095]
    got = pixels(tmp_path, VOILUTSequence=[lut(0, table, 12), lut(0, [0, 1], 12)], WindowCenter=1, WindowWidth=1)
    expected = np.clip(4.0 * (RAMP.astype(float) - 1024), 0, 4096) / 4095
    np.testing.assert_allclose(got, np.minimum(expected, 1), atol=1e-6)


def test_a_modality_lut_and_then_a_voi_lut(tmp_path: Path) -> None:
    got = pixels(
        tmp_path, ModalityLUTSequence=[lut(0, list(range(4096)), 16)], VOILUTSequence=[lut(0, list(range(4096)), 12)]
    )
    np.testing.assert_allclose(got, RAMP / 4095, atol=1e-6)


@pytest.mark.parametrize(
    ("bits", "top", "range_", "told"),
    [
        (16, 20000, 65535, "entries up to 20000, 65535 by the bits that it declares: dark"),
        (16, 4095, 65535, "entries up to 4095, 65535 by the bits that it declares: dark"),
        (16, 40000, 65535, None),
        (12, 4095, 4095, None),
        (10, 4095, 4095, "entries up to 4095, 1023 by the bits that it declares: its entries are the range"),
    ],
)
def test_the_bits_that_a_voi_lut_declares_are_its_range(
    tmp_path: Path, bits: int, top: int, range_: int, told: str | None
) -> None:
    table = [round(entry * top / 4095) for entry in range(4096)]
    picture = read_picture(save(mammogram(RAMP, VOILUTSequence=[lut(0, table, bits)]), tmp_path / "x.dcm"))
    np.testing.assert_allclose(picture.pixels, np.array(table)[RAMP] / range_, atol=1e-6)
    notes = [note for note in picture.facts.notes if note.startswith("VOI LUT 1: ")]
    assert len(notes) == (told is not None)
    assert told is None or told in notes[0]


def framed(macro: str, **tags: Any) -> Dataset:
    """A functional group of one macro."""
    item, group = Dataset(), Dataset()
    for name, value in tags.items():
        setattr(item, name, value)
    setattr(group, macro, [item])
    return group


@pytest.mark.parametrize("groups", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_voi_and_rescale_of_a_functional_group(tmp_path: Path, groups: str) -> None:
    window = {"WindowCenter": 1000, "WindowWidth": 800, "VOILUTFunction": "LINEAR_EXACT"}
    straight = pixels(tmp_path, **window)
    np.testing.assert_array_equal(pixels(tmp_path, **{groups: [framed("FrameVOILUTSequence", **window)]}), straight)
    # What the picture itself states comes first.
    other = framed("FrameVOILUTSequence", WindowCenter=5, WindowWidth=7)
    np.testing.assert_array_equal(pixels(tmp_path, **window, **{groups: [other]}), straight)
    table = [0] * 2048 + list(range(2048, 4096))
    by_table = framed("FrameVOILUTSequence", VOILUTSequence=[lut(0, table, 12)])
    np.testing.assert_allclose(pixels(tmp_path, **{groups: [by_table]}), np.array(table)[RAMP] / 4095, atol=1e-6)
    rescale = {"RescaleSlope": 2, "RescaleIntercept": -100}
    by_macro = pixels(tmp_path, **window, **{groups: [framed("PixelValueTransformationSequence", **rescale)]})
    np.testing.assert_array_equal(by_macro, pixels(tmp_path, **window, **rescale))


def test_a_broken_look_up_table_is_named(tmp_path: Path) -> None:
    item = lut(0, [1, 2, 3], 12)
    item.LUTDescriptor = [400, 0, 12]
    with pytest.raises(PictureError, match="look-up table") as caught:
        pixels(tmp_path, VOILUTSequence=[item])
    assert caught.value.code == "grey_scale"


@pytest.mark.parametrize("tags", [{"RescaleSlope": 0, "RescaleIntercept": 0}, {"PhotometricInterpretation": "RGB"}])
def test_refuses_broken_grey_scales(tmp_path: Path, tags: dict[str, Any]) -> None:
    with pytest.raises(PictureError) as caught:
        pixels(tmp_path, **tags)
    assert caught.value.code == "grey_scale"


def test_refuses_a_constant_picture(tmp_path: Path) -> None:
    with pytest.raises(PictureError) as caught:
        pixels(tmp_path, np.full((8, 8), 7, dtype=np.uint16))
    assert caught.value.code == "constant"
    padded = np.full((8, 8), 7, dtype=np.uint16)
    padded[0] = 0
    with pytest.raises(PictureError) as caught:
        pixels(tmp_path, padded, PixelPaddingValue=0)
    assert caught.value.code == "constant"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("bits", [8, 12])
def test_a_table_of_words_has_the_byte_order_of_the_file(tmp_path: Path, syntax: str, keyword: str, bits: int) -> None:
    """LUTData of VR OW: twelve bits are a word each; of eight bits two share a word, the first in its low byte."""
    entries = np.array([0, 1, 2, 255] if bits == 8 else [0, 1, 256, 4095])
    words = entries[::2] | entries[1::2] << 8 if bits == 8 else entries
    item = Dataset()
    item.LUTDescriptor = [4, 0, bits]
    item.add_new("LUTData", "OW", words.astype(">u2" if syntax == ExplicitVRBigEndian else "<u2").tobytes())
    stored = np.tile(np.arange(4, dtype=np.uint16), (4, 1))
    dataset = testkit.mammogram(stored, **{keyword: [item]})
    if keyword == "ModalityLUTSequence":
        item.ModalityLUTType = "US"
    (tmp_path / "x.dcm").write_bytes(testkit.write(dataset, stored, syntax))
    expected = np.tile(entries / entries[-1], (4, 1))
    np.testing.assert_allclose(read_picture(tmp_path / "x.dcm").pixels, expected, atol=1e-6)

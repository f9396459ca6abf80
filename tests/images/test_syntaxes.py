"""Every transfer syntax gives the pixels of the native file; the decoders agree with others than ours."""

from __future__ import annotations

import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from disasymnet.errors import PictureError
from disasymnet.images import codecs
from disasymnet.images.read import read_picture
from disasymnet.images.skeleton import walk
from disasymnet.testkit.mammograms import LOSSY, SYNTAXES, drawn, encode, mammogram, write, write_stream

# Of an 8-bit or 12-bit picture, in grey levels of the picture.
LOSSY_BOUND = dict.fromkeys(LOSSY, 0.02)


def saved(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_the_reader_knows_what_the_kit_writes() -> None:
    assert set(SYNTAXES) == set(codecs.SYNTAXES)


@pytest.mark.parametrize("syntax", sorted(set(SYNTAXES) - set(LOSSY)))
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless_pixels_equal_those_of_the_native_file(tmp_path: Path, syntax: str, bits: int) -> None:
    stored = drawn(bits=bits, rows=97, columns=63)  # odd sizes: streams and lines are padded
    stored = stored.astype(np.uint8) if bits == 8 else stored
    dataset = mammogram(stored, bits=bits)
    native = read_picture(saved(tmp_path / "native.dcm", write(dataset, stored)))
    packed = read_picture(saved(tmp_path / "packed.dcm", write(dataset, stored, syntax)))
    np.testing.assert_array_equal(packed.pixels, native.pixels)
    assert packed.steps == native.steps
    assert packed.facts == native.facts


@pytest.mark.parametrize("syntax", sorted(set(LOSSY) - {JPEGExtended12Bit}))
def test_lossy_pixels_equal_those_of_another_decoder(tmp_path: Path, syntax: str) -> None:
    """Pillow, pyjpegls and openjpeg, each by way of pydicom; extended JPEG of 12 bits is compared with dcmtk."""
    stored = drawn(rows=97, columns=63, bits=8 if syntax == JPEGBaseline8Bit else 12)
    stored = stored.astype(np.uint8) if syntax == JPEGBaseline8Bit else stored
    window = {"WindowCenter": 2 ** (stored.itemsize * 4), "WindowWidth": 2 ** (stored.itemsize * 4 + 1)}
    path = saved(tmp_path / "packed.dcm", write(mammogram(stored, **window), stored, syntax))
    expected = pydicom.dcmread(path).pixel_array.astype(float)
    width = window["WindowWidth"] - 1
    np.testing.assert_allclose(
        read_picture(path).pixels, np.clip((expected - window["WindowCenter"] + 0.5) / width + 0.5, 0, 1), atol=1e-6
    )
    assert (expected != stored).any()


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEG2000Lossless, HTJ2KLossless, RLELossless])
def test_signed_pixels_too(tmp_path: Path, syntax: str) -> None:
    signed = (drawn().astype(np.int32) - 2048).astype(np.int16)
    dataset = mammogram(signed)
    native = read_picture(saved(tmp_path / "native.dcm", write(dataset, signed)))
    held = signed if syntax in (JPEG2000Lossless, HTJ2KLossless) else signed.view(np.uint16)
    packed = read_picture(saved(tmp_path / "packed.dcm", write(dataset, held, syntax)))
    np.testing.assert_array_equal(packed.pixels, native.pixels)
    assert packed.steps[0].low < 0


@pytest.mark.parametrize(
    "name",
    [
        "MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "JPEGLSNearLossless_08.dcm",
        "JPEGLSNearLossless_16.dcm", "JPEG2000.dcm", "image_dfl.dcm",
    ],
)  # fmt: skip
def test_other_decoders_give_the_same_stored_values(name: str) -> None:
    """pydicom's own test files, decoded by pydicom, pyjpegls and openjpeg."""
    found = get_testdata_file(name, download=False)
    assert found is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(found)
        expected = dataset.pixel_array
    with Path(found).open("rb") as file:
        skeleton = walk(file, Path(found))
        layout = codecs.Layout(
            dataset.Rows, dataset.Columns, dataset.BitsAllocated, dataset.PixelRepresentation == 1, skeleton.little
        )
        ours = codecs.decode(skeleton.read_pixels(), skeleton.syntax, layout)
    mask = (1 << dataset.BitsStored) - 1
    np.testing.assert_array_equal(ours.astype(np.int64) & mask, expected.astype(np.int64) & mask)


def test_a_stream_in_fragments_and_one_in_a_jp2_file(tmp_path: Path) -> None:
    stored = drawn()
    native = read_picture(saved(tmp_path / "native.dcm", write(mammogram(stored), stored))).pixels
    whole = bytes(encode(stored, JPEG2000Lossless))
    one = write_stream(mammogram(stored), whole, JPEG2000Lossless)
    several = one.replace(encapsulate([whole]), encapsulate([whole], fragments_per_frame=3))
    assert several != one
    boxed = imagecodecs.jpeg2k_encode(stored, 0, codecformat="JP2", reversible=True)
    for content in (several, write_stream(mammogram(stored), boxed, JPEG2000Lossless)):
        np.testing.assert_array_equal(read_picture(saved(tmp_path / "x.dcm", content)).pixels, native)


def test_eight_bits_in_words_of_big_endian(tmp_path: Path) -> None:
    """Bytes lie in pairs turned round (PS3.5 8.1.2, annex A.3)."""
    stored = drawn(bits=8).astype(np.uint8)
    native = read_picture(saved(tmp_path / "native.dcm", write(mammogram(stored, bits=8), stored)))
    turned = write(mammogram(stored, bits=8), stored.view(np.uint16).byteswap().view(np.uint8), ExplicitVRBigEndian)
    path = saved(tmp_path / "x.dcm", turned.replace(b"\x7f\xe0\x00\x10OB", b"\x7f\xe0\x00\x10OW"))
    np.testing.assert_array_equal(pydicom.dcmread(path).pixel_array, stored)
    np.testing.assert_array_equal(read_picture(path).pixels, native.pixels)


def refused(path: Path) -> PictureError:
    with pytest.raises(PictureError) as caught:
        read_picture(path)
    assert caught.value.tag is not None
    assert caught.value.hint
    return caught.value


def test_a_stream_of_another_kind_is_named_with_both_kinds(tmp_path: Path) -> None:
    stored = drawn(bits=8).astype(np.uint8)
    baseline = imagecodecs.jpeg8_encode(stored)
    error = refused(saved(tmp_path / "x.dcm", write_stream(mammogram(stored, bits=8), baseline, JPEGLosslessSV1)))
    assert error.code == "stream"
    assert "JPEG lossless" in error.what
    assert "JPEG baseline" in error.what


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (JPEGLosslessSV1, lambda pixels: imagecodecs.jpeg8_encode(pixels, lossless=True, bitspersample=16)),
        (JPEGLSLossless, imagecodecs.jpegls_encode),
        (JPEG2000Lossless, lambda pixels: imagecodecs.jpeg2k_encode(pixels, 0, codecformat="J2K", reversible=True)),
        (HTJ2KLossless, lambda pixels: imagecodecs.htj2k_encode(pixels, reversible=True)),
    ],
)
def test_a_stream_of_another_size_is_refused_before_its_decoder_runs(
    tmp_path: Path, syntax: str, encode: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = drawn()
    layout = codecs.Layout(*stored.shape, 16, signed=False)
    larger = bytes(encode(np.zeros((500, 400), np.uint16)))  # type: ignore[operator]
    monkeypatch.setattr(codecs, "_DECODERS", {})
    with pytest.raises(codecs.StreamError, match="400 x 500") as caught:
        codecs.decode(larger, syntax, layout)
    assert caught.value.code == "pixel_length"
    assert refused(saved(tmp_path / "x.dcm", write_stream(mammogram(stored), larger, syntax))).code == "pixel_length"


def test_a_colour_stream_is_refused(tmp_path: Path) -> None:
    stored = drawn(bits=8).astype(np.uint8)
    colour = imagecodecs.jpeg8_encode(np.stack([stored] * 3, axis=2))
    path = saved(tmp_path / "x.dcm", write_stream(mammogram(stored, bits=8), colour, JPEGBaseline8Bit))
    assert refused(path).code == "colour"


def test_unknown_transfer_syntaxes_are_named(tmp_path: Path) -> None:
    content = write(mammogram(drawn()), drawn()).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0")
    error = refused(saved(tmp_path / "x.dcm", content))
    assert error.code == "syntax"
    assert "1.2.840.10008.1.2.9" in error.what

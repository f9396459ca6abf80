from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from disasymnet.errors import PictureError
from disasymnet.images.read import read_mask, read_picture

STORED = np.random.default_rng(0).integers(0, 65536, (20, 30)).astype(np.uint16)


def code(path: Path) -> str:
    with pytest.raises(PictureError) as caught:
        read_picture(path)
    return caught.value.code


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_stay_sixteen(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(STORED).save(path)
    picture = read_picture(path)
    assert picture.facts.bits == 16
    np.testing.assert_array_equal(np.rint(picture.pixels * 65535).astype(np.uint16), STORED)


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_eight_bits_over_255(tmp_path: Path, suffix: str) -> None:
    """The range is the format's, not the picture's: nothing is stretched."""
    stored = (STORED // 512).astype(np.uint8)
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(stored).save(path)
    picture = read_picture(path)
    assert picture.facts.bits == 8
    np.testing.assert_allclose(picture.pixels, stored / 255, atol=1e-6)


def test_pgm_of_twelve_bits(tmp_path: Path) -> None:
    stored = STORED // 16
    path = tmp_path / "x.pgm"
    path.write_bytes(b"P5\n# a comment\n30 20\n4095\n" + stored.astype(">u2").tobytes())
    picture = read_picture(path)
    assert picture.facts.bits == 12
    np.testing.assert_allclose(picture.pixels, stored / 4095, atol=1e-5)


def test_webp_of_three_equal_channels(tmp_path: Path) -> None:
    stored = np.tile(np.arange(30, dtype=np.uint8) * 8, (20, 1))
    Image.fromarray(stored).save(tmp_path / "x.webp", lossless=True)
    np.testing.assert_allclose(read_picture(tmp_path / "x.webp").pixels, stored / 255, atol=1e-6)


def test_tiff_with_white_as_zero(tmp_path: Path) -> None:
    path = tmp_path / "x.tiff"
    Image.fromarray(STORED).save(path, tiffinfo={262: 0})
    with Image.open(path) as file:
        assert file.tag_v2[262] == 0
    np.testing.assert_allclose(read_picture(path).pixels, 1 - STORED / 65535, atol=1e-6)


def test_a_dark_sixteen_bit_file_is_noted(tmp_path: Path) -> None:
    Image.fromarray(STORED // 16).save(tmp_path / "x.png")
    assert "not stretched" in read_picture(tmp_path / "x.png").facts.notes[0]


def test_a_tiff_of_twelve_bits_has_the_range_of_twelve_bits(tmp_path: Path) -> None:
    """Two samples in three bytes, as TIFF 6.0 packs them; written by hand, as Pillow writes 8 and 16 bits only."""
    stored = (STORED // 16).astype(int)
    pairs = stored.reshape(-1, 2)
    first, second = pairs[:, 0], pairs[:, 1]
    body = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1).astype(np.uint8).tobytes()
    entries = [(256, 30), (257, 20), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 20)]
    entries.append((279, len(body)))
    directory = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in entries)
    head = b"II*\0" + struct.pack("<L", 8 + len(body))
    path = tmp_path / "x.tiff"
    path.write_bytes(head + body + struct.pack("<H", len(entries)) + directory + bytes(4))
    picture = read_picture(path)
    assert picture.facts.bits == 12
    assert picture.facts.notes == ()
    np.testing.assert_allclose(picture.pixels, stored / 4095, atol=1e-6)


# Where EXIF has the first row and the first column of the stored picture (TIFF 6.0, tag 274).
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.T,
    6: lambda stored: stored[::-1].T,  # the first row is the right edge
    7: lambda stored: stored[::-1, ::-1].T,
    8: lambda stored: stored[:, ::-1].T,  # the first row is the left edge
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp", "jpg"])
def test_exif_turns_the_picture_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    stored = np.add.outer(np.arange(16) * 8, np.arange(24) * 3).astype(np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"x.{suffix}"
    exact: dict[str, Any] = {"lossless": True} if suffix == "webp" else {"quality": 100} if suffix == "jpg" else {}
    Image.fromarray(stored).save(path, exif=exif, **exact)
    picture = read_picture(path)
    np.testing.assert_allclose(picture.pixels * 255, UPRIGHT[orientation](stored), atol=2 if suffix == "jpg" else 1e-4)
    noted = f"turned upright as its EXIF orientation {orientation} says" in picture.facts.notes
    assert noted == (orientation != 1)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_exif_turns_sixteen_bits_too(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(STORED).save(path, exif=exif)
    np.testing.assert_allclose(read_picture(path).pixels, STORED[::-1].T / 65535, atol=1e-6)


def test_colours_palettes_frames_and_constants_are_refused(tmp_path: Path) -> None:
    colour = np.zeros((20, 30, 3), dtype=np.uint8)
    colour[5, 5, 0] = 90
    Image.fromarray(colour).save(tmp_path / "colour.png")
    assert code(tmp_path / "colour.png") == "colour"
    Image.fromarray(STORED.astype(np.uint8)).convert("P").save(tmp_path / "palette.png")
    assert code(tmp_path / "palette.png") == "depth"
    Image.fromarray(STORED > 9).save(tmp_path / "bits.png")
    assert code(tmp_path / "bits.png") == "depth"
    frames = [Image.fromarray(STORED), Image.fromarray(STORED)]
    frames[0].save(tmp_path / "frames.tiff", save_all=True, append_images=frames[1:])
    assert code(tmp_path / "frames.tiff") == "multi_frame"
    Image.fromarray(np.full((20, 30), 7, dtype=np.uint8)).save(tmp_path / "flat.png")
    assert code(tmp_path / "flat.png") == "constant"


def test_sixteen_bit_colour_would_lose_bits(tmp_path: Path) -> None:
    """A PNG of 2 x 2 pixels, 16 bits, RGB, written by hand: Pillow decodes it to 8 bits."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    lines = b"".join(b"\0" + bytes(range(row, row + 12)) for row in (1, 40))
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert code(tmp_path / "x.png") == "depth"


def test_size_is_checked_before_pixels_are_touched(tmp_path: Path) -> None:
    (tmp_path / "x.pgm").write_bytes(b"P5\n50000 50000\n255\n")
    assert code(tmp_path / "x.pgm") == "too_large"


def test_damaged_missing_and_foreign_files(tmp_path: Path) -> None:
    Image.fromarray(STORED).save(tmp_path / "x.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "x.png").read_bytes()[:400])
    assert code(tmp_path / "cut.png") == "damaged"
    (tmp_path / "text.png").write_text("no picture")
    assert code(tmp_path / "text.png") == "damaged"
    assert code(tmp_path / "none.png") == "missing"
    assert code(tmp_path) == "unreadable"


def test_masks(tmp_path: Path) -> None:
    drawn = np.zeros((20, 30), dtype=np.uint8)
    drawn[4:9, 3:12] = 200
    drawn[10, 10] = 60  # below half of the maximum
    Image.fromarray(drawn).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "x.png"), drawn == 200)
    Image.fromarray(np.zeros((20, 30), dtype=np.uint8)).save(tmp_path / "empty.png")
    with pytest.raises(PictureError, match="marks nothing"):
        read_mask(tmp_path / "empty.png")

"""Raster files as stored values and pixels in [0, 1]: PGM, PNG, TIFF, WebP and JPEG.

The range of a raster file is that of its format (255, 65535, a PGM's own maximum, a TIFF's own bits), never the
picture's. Sixteen bits stay sixteen: a file that would decode to fewer is refused. Size, frames and colours are
checked before decoding.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from disasymnet.errors import PictureError
from disasymnet.images.grey import look_up
from disasymnet.images.picture import MOST_PIXELS, Facts, GreyStep, Picture
from disasymnet.images.refusals import refusal

T = TypeVar("T")

_FORMATS = ("PPM", "PNG", "TIFF", "WEBP", "JPEG")
_SUFFIXES = (".pgm", ".ppm", ".pnm", ".png", ".tif", ".tiff", ".webp", ".jpg", ".jpeg")
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # TIFF tags and value

# A lossy coder of a grey picture may leave its three channels this many levels apart.
_CHANNEL_NOISE = 2


def read_raster(path: Path, most_pixels: int = MOST_PIXELS) -> Picture:
    """A raster file's picture; it states no facts but its bits. PictureError with a code if it cannot be used."""
    stored, bits, full, notes = _raster(path, most_pixels)
    low, high = int(stored.min()), int(stored.max())
    if low == high:
        raise refusal("constant", "all pixels hold the same value", path)
    if bits > 8 and high < full / 8:
        notes.append(f"{bits}-bit file whose highest value is {high}: a smaller range was perhaps not stretched")
    table = np.arange(full + 1, dtype=np.float32) * np.float32(1 / full)
    pixels = look_up(table, stored)
    pixels.setflags(write=False)
    steps = (
        GreyStep("stored", f"{bits} bits, unsigned", low, high),
        GreyStep("voi", f"range of the file's format, 0 to {full}", low / full, high / full),
    )
    return Picture(pixels, Facts(bits=bits, notes=tuple(notes)), steps)


def raster_facts(path: Path, most_pixels: int = MOST_PIXELS) -> Facts:
    """Its bits, from the file's header alone. PictureError if it is none of our formats, or too large."""
    return Facts(bits=_open(path, lambda file: _check(file, path, most_pixels), most_pixels))


def read_values(path: Path) -> NDArray[Any]:
    """A raster file's stored values, uint8 or uint16 (rows, columns); a mask may hold one value only."""
    return _raster(path, MOST_PIXELS)[0]


def _raster(path: Path, most_pixels: int) -> tuple[NDArray[Any], int, int, list[str]]:
    """Stored values uint8 or uint16 (rows, columns), the file's bits a sample, the end of its range, and notes."""

    def values(file: Image.Image) -> tuple[NDArray[Any], int, int, list[str]]:
        bits = _check(file, path, most_pixels)
        # Pillow stretches a PGM's range to 16 bits, and leaves a TIFF of 12 bits as it is.
        full = 255 if bits == 8 else 2**bits - 1 if file.format == "TIFF" else 65535
        notes = _notes(file)
        if (turned := file.getexif().get(ExifTags.Base.Orientation, 1)) != 1:
            notes.append(f"turned upright as its EXIF orientation {turned} says")
        ImageOps.exif_transpose(file, in_place=True)  # of a TIFF loading does it, and this nothing more
        return _values(file, bits, full, path), bits, full, notes

    return _open(path, values, most_pixels)


def _open(path: Path, work: Callable[[Image.Image], T], most_pixels: int) -> T:
    """What `work` gives for the open file; whatever goes wrong is a PictureError."""
    try:
        # Pillow warns of its own size limit; ours is lower and refuses below.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Not by its path: Pillow would map a plain TIFF, and scrambles one that EXIF turns by a quarter.
            with path.open("rb") as raw, Image.open(raw, formats=_FORMATS) as file:
                return work(file)
    except (PictureError, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise refusal("too_large", f"it has more than {most_pixels:,} pixels", path) from None
    except Exception as error:
        if isinstance(error, UnidentifiedImageError) and path.suffix.lower() not in _SUFFIXES:
            raise refusal("not_a_picture", "it does not begin as a picture of any kind", path) from None
        # Damaged files raise whatever their decoder happens to meet.
        raise PictureError(
            f"the file cannot be read as a picture ({type(error).__name__})",
            where=path,
            hint="DICOM, PGM, PNG, TIFF, WebP and JPEG are read; check that the file was copied whole.",
            code="damaged",
        ) from error


def _check(file: Image.Image, path: Path, most_pixels: int) -> int:
    """Bits a sample, from the header alone. PictureError if the picture should not be decoded."""
    columns, rows = file.size
    if rows * columns > most_pixels:
        raise refusal("too_large", f"{columns:,} x {rows:,} pixels are more than {most_pixels:,}", path)
    if getattr(file, "n_frames", 1) > 1:
        raise refusal("multi_frame", "it holds several frames", path)
    bits = _bits(file, path)
    if file.mode in ("1", "P", "PA", "F", "CMYK", "RGBA", "LA", "La") or bits not in range(8, 17):
        raise PictureError(
            f"a {file.format} of mode {file.mode} with {bits} bits is not a plain grey picture",
            where=path,
            hint="Save it as grey with 8 or 16 bits, without palette and transparency.",
            code="depth",
        )
    if bits > 8 and not file.mode.startswith("I"):
        raise PictureError(
            f"{bits} bits would be read as 8", where=path, hint="Save it as one-channel 16-bit grey.", code="depth"
        )
    return bits


def _bits(file: Image.Image, path: Path) -> int:
    if file.format == "PNG":
        with path.open("rb") as raw:
            return raw.read(25)[24]  # IHDR: bit depth
    if file.format == "TIFF":
        samples = file.tag_v2.get(_BITS_PER_SAMPLE, (1,))  # type: ignore[attr-defined]
        return int(max(samples))
    if file.format == "PPM":
        return _pgm_bits(path)
    return 8


def _pgm_bits(path: Path) -> int:
    """Bits of the maximum in a PGM's header: the fourth word, comments left out."""
    with path.open("rb") as raw:
        head = raw.read(1024)
    words = b" ".join(line.split(b"#")[0] for line in head.split(b"\n")).split()
    return max(8, int(words[3]).bit_length()) if words[0] in (b"P5", b"P2") else 8


def _values(file: Image.Image, bits: int, full: int, path: Path) -> NDArray[Any]:
    if file.mode == "RGB":
        channels = np.asarray(file)
        if int(np.ptp(channels, axis=2).max()) > _CHANNEL_NOISE:
            raise refusal("colour", "it is a colour picture", path)
        return np.ascontiguousarray(channels[..., 1])
    stored = np.asarray(file)
    if bits == 8:
        return stored.astype(np.uint8, copy=False)
    if stored.min() < 0 or stored.max() > full:
        raise refusal("depth", f"its values leave 0 to {full}", path)
    stored = stored.astype(np.uint16)
    if file.format == "TIFF" and file.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # type: ignore[attr-defined]
        stored = full - stored  # Pillow inverts 8-bit files of this kind, but not 16-bit ones
    return stored


def _notes(file: Image.Image) -> list[str]:
    if file.format == "JPEG":
        return ["JPEG: lossy, 8 bits"]
    return ["lossy, 8 bits"] if file.format == "WEBP" and file.mode == "RGB" else []

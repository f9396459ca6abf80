"""Any picture file as pixels in [0, 1], in this very process. `disasymnet.images.read` is for files of strangers."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disasymnet.errors import DisAsymNetError
from disasymnet.images.codecs import SYNTAXES
from disasymnet.images.ddsm_film import read_ljpeg
from disasymnet.images.dicom import open_dicom, open_facts, read_dicom, unreadable
from disasymnet.images.masks import dicom_mask, fill_outline
from disasymnet.images.picture import LENIENT, Facts, GreyStep, Picture, Reading
from disasymnet.images.raster import raster_facts, read_raster, read_values
from disasymnet.images.refusals import refusal
from disasymnet.images.skeleton import walk

Report = tuple[Facts, tuple[tuple[GreyStep, NDArray[np.uint8]], ...], str]
"""Facts, each grey step with the picture after it, and how the pixels are stored."""


def decode_facts(path: Path, reading: Reading = LENIENT) -> Facts:
    """As `disasymnet.images.read.read_facts`."""
    if not is_dicom(path):
        film = path.suffix.upper() == ".LJPEG"
        found = Facts(detector="film") if film else raster_facts(path, reading.most_pixels)
        if reading.strict:
            # What is no picture at all was refused as such.
            raise refusal("strict_raster", "it is no DICOM file", path)
        return found
    try:
        with path.open("rb") as file:
            return open_facts(file, path, reading)[0]
    except (DisAsymNetError, MemoryError):
        raise
    except Exception as error:
        raise unreadable(path, error) from error


def decode_picture(path: Path, reading: Reading = LENIENT) -> Picture:
    """As `disasymnet.images.read.read_picture`; MemoryError may leave it too."""
    if not is_dicom(path):
        if reading.strict:
            decode_facts(path, reading)
        if path.suffix.upper() == ".LJPEG":
            return read_ljpeg(path)
        return read_raster(path, reading.most_pixels)
    try:
        return read_dicom(path, reading)
    except (DisAsymNetError, MemoryError):
        raise
    except Exception as error:
        raise unreadable(path, error) from error


def decode_mask(path: Path, *, outline: bool = False) -> NDArray[np.bool_]:
    """As `disasymnet.images.read.read_mask`."""
    stored = dicom_mask(path) if is_dicom(path) else read_values(path)
    if not stored.any():
        raise refusal("constant", "the mask marks nothing", path)
    mask: NDArray[np.bool_] = stored > stored.max() / 2
    return fill_outline(mask, path) if outline else mask


def decode_steps(path: Path, reading: Reading = LENIENT) -> Report:
    """As `disasymnet.images.read.read_steps`."""
    if not is_dicom(path):
        picture = decode_picture(path, reading)
        eight = np.rint(picture.pixels * 255).astype(np.uint8)
        return picture.facts, tuple((step, eight) for step in picture.steps), "raster file"
    try:
        with path.open("rb") as file:
            ways, found = open_dicom(file, path, reading)
            known = SYNTAXES[walk(file, path).syntax]
    except (DisAsymNetError, MemoryError):
        raise
    except Exception as error:
        raise unreadable(path, error) from error
    pictures = tuple((step, ways.picture(number)) for number, step in enumerate(ways.steps))
    return found, pictures, f"{known.name}, decoded by {known.by}"


def is_dicom(path: Path) -> bool:
    """By its first bytes, else by its name. PictureError if the file cannot be opened."""
    try:
        # Opening a pipe would wait for its writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise refusal("unreadable", "it is no plain file", path)
        with path.open("rb") as file:
            head: Any = file.read(132)
    except FileNotFoundError:
        raise refusal("missing", "there is no such file", path) from None
    except OSError as error:
        raise refusal("unreadable", f"the file cannot be opened ({error.strerror})", path) from error
    if not head:
        raise refusal("damaged", "the file is empty", path)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        raise refusal("not_dicom", "it is an archive", path)
    if head[128:] != b"DICM" and _begins_as_data_set(head):
        raise refusal("not_dicom", "it is a DICOM data set without its preamble", path)
    return head[128:] == b"DICM" or path.suffix.lower() in (".dcm", ".dicom")


def _begins_as_data_set(head: bytes) -> bool:
    """True for the first bytes of a meta group, or of group 8 with a known VR or a plausible length."""
    if head[:8] == b"\2\0\0\0UL\4\0":
        return True
    if head[:2] != b"\x08\0" or len(head) < 8 or head[3] != 0 or head[2] not in (0x00, 0x01, 0x05, 0x08, 0x12, 0x16):
        return False
    return head[4:6] in (b"UL", b"CS", b"DA", b"UI") or int.from_bytes(head[4:8], "little") <= 128

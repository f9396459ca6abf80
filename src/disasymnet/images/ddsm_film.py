"""DDSM's films: lossless JPEG without a scale of its own, and the `.ics` beside it that says size and scanner.

Grey is brought to optical density with the calibration of each scanner, so that the scanners of the data set cannot be
told apart by their grey. The formulas are those that the makers of DDSM published with their software.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disasymnet.errors import MissingExtraError, PictureError
from disasymnet.images.picture import MOST_PIXELS, Facts, GreyStep, Picture
from disasymnet.records import Identity
from disasymnet.terms import Laterality, View

FILM = re.compile(r"(?P<id>[A-D]_\d{4}_\d+)\.(?P<side>LEFT|RIGHT)_(?P<view>CC|MLO)\.(?P<format>LJPEG|jpe?g|png)", re.I)
"""Name of a film: image id, side and view."""

BRIGHTEST = 4.0
"""Optical density that becomes black, the end of the scanners' range; 0 becomes white."""

_END = b"\xff\xd9"
_LOSSLESS, _SCAN, _RESTART = 0xC3, 0xDA, 0xDD  # JPEG markers: frame of process 14, start of scan, restart interval
_VIEW = re.compile(
    r"(?P<name>(?:LEFT|RIGHT)_(?:CC|MLO)) LINES (?P<lines>\d+) PIXELS_PER_LINE (?P<columns>\d+) "
    r"BITS_PER_PIXEL (?P<bits>\d+) RESOLUTION (?:(?P<micrometre>[\d.]+) )?(?P<overlay>NON_OVERLAY|OVERLAY)"
)


@dataclass(frozen=True)
class FilmView:
    """What the `.ics` says of one film."""

    shape: tuple[int, int]
    """LINES x PIXELS_PER_LINE."""
    bits: int
    pixel_mm: float | None
    overlay: bool
    """An abnormality is marked in it."""


@dataclass(frozen=True)
class Case:
    """An `.ics` file; fields that are blank there are None."""

    scanner: str | None
    """`LUMISYS`, `HOWTEK` or `DBA`, without the words that may follow."""
    density: str | None
    """ACR, 1 to 4."""
    views: Mapping[str, FilmView]
    """By name, such as `LEFT_CC`."""


def ics_path(folder: Path, image_id: str) -> Path:
    """Where the `.ics` of `B_3024_1` lies: its name has hyphens."""
    return folder / f"{image_id.replace('_', '-')}.ics"


def read_ics(path: Path) -> Case:
    """The case's card. PictureError if it is missing or names no view."""
    try:
        lines = [" ".join(line.split()) for line in path.read_text(encoding="latin-1").splitlines()]
    except OSError:
        hint = "It lies beside the films on the server and says their size and scanner."
        raise PictureError(f"{path.name} is missing", where=path.parent, hint=hint, code="no_ics") from None
    words = dict(line.split(" ", 1) for line in lines if " " in line)
    views = {
        match["name"]: FilmView(
            (int(match["lines"]), int(match["columns"])),
            int(match["bits"]),
            float(match["micrometre"]) / 1000 if match["micrometre"] else None,
            match["overlay"] == "OVERLAY",
        )
        for line in lines
        if (match := _VIEW.fullmatch(line))
    }
    if not views:
        raise PictureError("it names no view", where=path, hint="Download it again.", code="ics")
    scanner = words.get("DIGITIZER", "").split(" ")[0].upper()
    density = words.get("DENSITY", "")
    return Case(scanner or None, density if density in ("1", "2", "3", "4") else None, views)


def optical_density(stored: NDArray[Any], scanner: str | None, image_id: str) -> NDArray[np.float32]:
    """Optical density of stored values, 0 to 4, each scanner by its own curve.

    The two Howtek scanners stood in two hospitals, which the first letter of the image id names. PictureError for a
    scanner without a known curve.
    """
    value = stored.astype(np.float32)
    if scanner == "LUMISYS":
        density = (value.clip(61, 4097) - 4096.99) / -1009.01
    elif scanner == "HOWTEK" and image_id.startswith("A"):
        density = 3.789 - 0.00094568 * value.clip(max=4006)
    elif scanner == "HOWTEK" and image_id.startswith("D"):
        density = 3.96604096240593 - 0.00099055807612 * value.clip(max=4003)
    elif scanner == "DBA":
        density = (np.log10(value.clip(4, 64064)) - 4.80662) / -1.07553
    else:
        hint = "Lumisys, DBA, and Howtek of sites A and D are known; its .ics may be damaged."
        what = f"no grey curve is known for scanner {scanner or '(blank)'} of site {image_id[:1]}"
        raise PictureError(what, hint=hint, code="scanner")
    clipped: NDArray[np.float32] = density.clip(0, BRIGHTEST).astype(np.float32)
    return clipped


def read_ljpeg(path: Path) -> Picture:
    """A `.LJPEG` of DDSM with the `.ics` beside it: grey = 1 - optical density / 4.

    PictureError if the name, the `.ics` or the stream is not as DDSM's are; MissingExtraError without imagecodecs.
    """
    name = FILM.fullmatch(path.name)
    if name is None:
        hint = "DDSM's files are called such as B_3024_1.LEFT_CC.LJPEG; their .ics is found by that name."
        raise PictureError("the name is not one of DDSM", where=path, hint=hint, code="name")
    image_id, view = name["id"].upper(), f"{name['side']}_{name['view']}".upper()
    case = read_ics(ics_path(path.parent, image_id))
    if view not in case.views:
        raise PictureError(f"its .ics does not name {view}", where=path, hint="Download both again.", code="ics")
    stated = case.views[view]
    notes: list[str] = []
    stored = _decode(path, stated.shape, notes)
    if stored.max() > 2**stated.bits + 1:  # the published curve of Lumisys ends at 4097
        what = f"values up to {stored.max()} in a film of {stated.bits} bits: the stream was not read as it was written"
        raise PictureError(what, where=path, hint="Please report it, with the film's name.", code="values")
    try:
        density = optical_density(stored, case.scanner, image_id)
    except PictureError as error:
        raise PictureError(error.what, where=path, hint=error.hint, code=error.code) from None
    if stored.min() == stored.max():
        raise PictureError("all pixels hold the same value", where=path, code="constant")
    pixels = 1 - density / np.float32(BRIGHTEST)
    pixels.setflags(write=False)
    steps = (
        GreyStep("stored", f"{stated.bits} bits, unsigned", float(stored.min()), float(stored.max())),
        GreyStep("modality", f"optical density, {case.scanner}", float(density.min()), float(density.max())),
        GreyStep("voi", f"1 - density / {BRIGHTEST:g}", float(pixels.min()), float(pixels.max())),
    )
    facts = Facts(
        laterality=Laterality.parse(name["side"]),
        view=View.parse(name["view"]),
        pixel_mm=stated.pixel_mm,
        detector="film",
        bits=stated.bits,
        identity=Identity(image_id.rsplit("_", 1)[0]),
        notes=tuple(notes),
    )
    return Picture(pixels, facts, steps)


def _decode(path: Path, shape: tuple[int, int], notes: list[str]) -> NDArray[np.uint16]:
    """Stored values (LINES, PIXELS_PER_LINE); the size in the stream, which is sometimes exchanged, is not believed."""
    try:
        import imagecodecs
    except ImportError:
        hint = "Install disasymnet[datasets]."
        raise MissingExtraError("lossless JPEG needs imagecodecs", where=path, hint=hint) from None
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise PictureError("there is no such file", where=path, code="missing") from None
    size = _size(content, path)
    if sorted(size) != sorted(shape):
        what = f"the stream has {size[0]} x {size[1]} pixels, its .ics says {shape[0]} x {shape[1]}"
        raise PictureError(what, where=path, hint="Download both again.", code="size")
    if size[0] * size[1] > MOST_PIXELS:
        raise PictureError(f"it has more than {MOST_PIXELS:,} pixels", where=path, code="too_large")
    if _END not in content[-4096:]:
        raise PictureError("the file is cut off", where=path, hint="Download it again.", code="damaged")
    try:
        # Of the two decoders of lossless JPEG in this library, this one survives damaged streams.
        stored = np.asarray(imagecodecs.ljpeg_decode(content), dtype=np.uint16)
    except Exception as error:
        what = f"the lossless JPEG cannot be read ({type(error).__name__})"
        raise PictureError(what, where=path, hint="Download it again.", code="damaged") from error
    if stored.size != shape[0] * shape[1]:
        raise PictureError(f"{stored.size} pixels came out of the stream", where=path, code="size")
    if stored.shape != shape:
        notes.append("the stream has lines and columns exchanged: read as the .ics says")
    return stored.reshape(shape)


def _size(content: bytes, path: Path) -> tuple[int, int]:
    """Lines and columns of a lossless JPEG stream, from its segments up to the scan (T.81 annex B)."""
    at, size = 2, None
    while content[:2] == b"\xff\xd8" and at + 4 <= len(content) and content[at] == 0xFF:
        marker, body = content[at + 1], content[at + 4 :]
        if marker == _LOSSLESS and len(body) >= 5:
            size = int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
        elif marker == _RESTART and any(body[:2]):
            what = "the stream has restart intervals, which the decoder would read wrongly"
            raise PictureError(what, where=path, hint="Convert it with DDSM's own software.", code="restart")
        elif marker == _SCAN and size is not None:
            return size
        at += 2 + int.from_bytes(content[at + 2 : at + 4])
    hint = "DDSM's .LJPEG files are lossless JPEG (process 14)."
    raise PictureError("the file is no lossless JPEG", where=path, hint=hint, code="damaged")

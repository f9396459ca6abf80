"""A DICOM mammogram as pixels in [0, 1] and facts: MG For Presentation, and digitised film as data sets hand it out.

The order is that of cost and of risk: the file's skeleton, its header, what must be refused, the sizes, the pixels, the
grey. Everything that can go wrong becomes one PictureError with a stable code, the tag and the next step.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID, ExplicitVRBigEndian

from disasymnet.errors import PictureError
from disasymnet.images.breast import find_breast
from disasymnet.images.codecs import SYNTAXES, Layout, StreamError, decode
from disasymnet.images.grey import Grey, grey
from disasymnet.images.header import Header
from disasymnet.images.kinds import refuse_other_kinds
from disasymnet.images.picture import Facts, Picture, Reading
from disasymnet.images.refusals import refusal
from disasymnet.images.skeleton import Skeleton, walk
from disasymnet.images.tags import WEAK, expected_wall, facts, head_down
from disasymnet.images.views import Texts


def read_dicom(path: Path, reading: Reading) -> Picture:
    """A DICOM file's picture. PictureError with a code if it is none, or one that a pair cannot use."""
    with path.open("rb") as file:
        ways, found = open_dicom(file, path, reading)
        pixels = ways.pixels()
    pixels.setflags(write=False)
    return Picture(pixels, found, ways.steps)


def open_dicom(file: BinaryIO, path: Path, reading: Reading) -> tuple[Grey, Facts]:
    """The grey steps and the facts of an open DICOM file; errors as for `read_dicom`."""
    found, header, skeleton, layout = open_facts(file, path, reading)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ways = grey(header, _decode(header, skeleton, layout), reading.voi)
    if reading.strict:
        _refuse_wall(header, found, ways)
    return ways, found.with_notes(ways.notes)


def open_facts(file: BinaryIO, path: Path, reading: Reading) -> tuple[Facts, Header, Skeleton, Layout]:
    """What an open DICOM file states and how its pixels are laid out; errors as for `read_dicom`, but of pixels."""
    # pydicom's warnings quote values of the file, which may name a person.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        skeleton = walk(file, path)
        header = Header.read(skeleton, path)
        texts = Texts.of(header)
        refuse_other_kinds(header, texts, reading)
        layout = _layout(header, skeleton, reading)
        found = facts(header, texts)
        if reading.strict:
            _refuse_weak(header, found)
            _refuse_hanging(header, found)
    return found, header, skeleton, layout


def _layout(header: Header, skeleton: Skeleton, reading: Reading) -> Layout:
    """Sizes and depth of the pixels, all within the limits."""
    if skeleton.pixels is None:
        raise header.refusal("no_pixels", "it holds no pixels", "PixelData")
    rows, columns = header.whole("Rows"), header.whole("Columns")
    if min(rows, columns) < 1:
        raise header.refusal("size", f"{columns} x {rows} pixels", "Rows" if rows < 1 else "Columns")
    if rows * columns > reading.most_pixels:
        what = f"{columns:,} x {rows:,} pixels are more than {reading.most_pixels:,}"
        raise header.refusal("too_large", what, "Rows")
    allocated, stored = header.whole("BitsAllocated"), header.whole("BitsStored")
    if allocated not in (8, 16):
        raise header.refusal("depth", f"{allocated} bits for a pixel are not supported", "BitsAllocated")
    if not 1 < stored <= allocated:
        raise header.refusal("depth", f"{stored} of {allocated} bits a pixel are not supported", "BitsStored")
    if not stored - 1 <= header.whole("HighBit", stored - 1) < allocated:
        raise header.refusal("depth", f"the high bit of {stored} in {allocated} cannot lie there", "HighBit")
    if header.whole("PixelRepresentation", 0) not in (0, 1):
        raise header.refusal("depth", "the sign is neither 0 nor 1", "PixelRepresentation")
    if skeleton.syntax not in SYNTAXES:
        name = UID(skeleton.syntax).name
        what = f"the transfer syntax {name[:64]} is not read"
        raise header.refusal("syntax", what, "TransferSyntaxUID")
    # A stream longer than the pixels themselves holds something else; the shortest ones carry tables.
    if sum(span.length for span in skeleton.pixels) > 2 * rows * columns * allocated // 8 + 2**16:
        raise header.refusal("pixel_length", "the pixels are longer than any stream of that size", "PixelData")
    return Layout(
        rows,
        columns,
        allocated,
        signed=header.whole("PixelRepresentation", 0) == 1,
        little=skeleton.little,
        swapped=skeleton.syntax == ExplicitVRBigEndian and skeleton.pixel_vr == "OW" and allocated == 8,
    )


def _decode(header: Header, skeleton: Skeleton, layout: Layout) -> NDArray[Any]:
    """The stored integers (rows, columns)."""
    try:
        return np.ascontiguousarray(decode(skeleton.read_pixels(), skeleton.syntax, layout))
    except StreamError as error:
        raise header.refusal(error.code, error.what, "PixelData") from error
    except MemoryError:
        raise
    except Exception as error:
        # Codecs raise errors of their own kinds.
        name = SYNTAXES[skeleton.syntax].name
        raise header.refusal("damaged", f"the {name} stream cannot be decoded", "PixelData") from error


def _refuse_weak(header: Header, found: Facts) -> None:
    """Strict mode: side and view from the tags that a modality fills."""
    if found.laterality is None or found.laterality_from in WEAK:
        raise header.refusal("strict_side", "no tag of the picture states its breast", "ImageLaterality")
    if found.view is None or found.view_from in WEAK:
        raise header.refusal("strict_view", "no tag of the picture states a screening view", "ViewPosition")


def _refuse_hanging(header: Header, found: Facts) -> None:
    """Strict mode: nothing in a CC shows which way is up, so that a tag alone would decide."""
    if found.exposure is not None and head_down(found):
        said = "/".join(found.exposure.orientation or ())
        what = f"by PatientOrientation {said} the {found.view} of the {found.laterality} breast lies upside down"
        raise header.refusal("strict_orientation", what, "PatientOrientation")


def _refuse_wall(header: Header, found: Facts, ways: Grey) -> None:
    """Strict mode: the chest wall lies where the tags have it (PS3.3 C.7.6.1.1.1)."""
    expected = expected_wall(found)
    try:
        seen = find_breast(ways.pixels()).chest_wall
    except PictureError as error:
        raise header.refusal(error.code, error.reason, "PixelData") from None
    if expected != seen:
        what = f"the chest wall lies at the {seen} edge, by the tags of the {found.laterality} breast at the {expected}"
        raise header.refusal("strict_wall", what, "PatientOrientation")


def unreadable(path: Path, error: Exception) -> PictureError:
    """What is left: an error that no step above has foreseen."""
    return refusal("damaged", f"the DICOM file cannot be read ({type(error).__name__})", path, "PixelData")

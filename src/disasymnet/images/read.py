"""Any picture file as pixels in [0, 1]: DICOM, PGM, PNG, TIFF, WebP, JPEG, and DDSM's lossless JPEG.

The door for files of strangers: they are decoded in a child process with bounds on memory and time, so that a decoder
that dies or hangs costs one picture and not the run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from disasymnet.images.child import ask
from disasymnet.images.picture import LENIENT, Facts, GreyStep, Picture, Reading

__all__ = [
    "LENIENT",
    "Facts",
    "GreyStep",
    "Picture",
    "Reading",
    "read_facts",
    "read_mask",
    "read_picture",
    "read_steps",
]


def read_picture(path: Path, reading: Reading = LENIENT) -> Picture:
    """The file's picture: pixels float32 (rows, columns) in [0, 1], bright = dense tissue, with facts and grey steps.

    Raster files state no facts but their bits. PictureError with a code of `disasymnet.images.refusals.NEXT_STEP` if
    the file is damaged, exceeds a limit, is none that a pair can use, or holds one value only.
    """
    answer = ask("picture", path, reading)
    (pixels,) = answer.arrays
    pixels.setflags(write=False)
    return Picture(pixels, answer.facts, answer.steps)


def read_facts(path: Path, reading: Reading = LENIENT) -> Facts:
    """What the file states, from its header alone: some milliseconds a file, however large.

    PictureError as `read_picture`, but for what only the pixels show (damage, one grey, no breast, a wrong wall).
    """
    return ask("facts", path, reading).facts


def read_mask(path: Path, *, outline: bool = False) -> NDArray[np.bool_]:
    """A mask, bool (rows, columns): pixels above half of its maximum; with `outline` what these enclose, too.

    PictureError if it marks nothing, a DICOM mask holds more than two values, or an outline is open.
    """
    (mask,) = ask("outline" if outline else "mask", path, LENIENT).arrays
    return mask.view(np.bool_)


def read_steps(path: Path, reading: Reading = LENIENT) -> tuple[Facts, list[tuple[GreyStep, NDArray[np.uint8]]], str]:
    """Facts, each grey step with the picture after it, and how the pixels are stored.

    Pictures are uint8 (rows, columns), the step's lowest value 0 and its highest 255. PictureError as `read_picture`.
    """
    answer = ask("steps", path, reading)
    return answer.facts, list(zip(answer.steps, answer.arrays, strict=True)), answer.storage

"""Lesion masks as data sets hand them out: DICOM files of two values, and pictures that draw an outline only."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from scipy import ndimage

from disasymnet.errors import PictureError
from disasymnet.images.dicom import MOST_PIXELS

Mask = NDArray[np.bool_]

_GAP = 2  # pixels: a lossy coder leaves gaps in a line of one pixel


def dicom_mask(path: Path) -> NDArray[Any]:
    """Stored values (rows, columns) of a DICOM mask: two of them at most.

    PictureError if the file cannot be read, is too large, or holds more: then it is a picture and no mask.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path)
            rows, columns = int(dataset.Rows), int(dataset.Columns)
            if rows * columns > MOST_PIXELS or int(dataset.get("NumberOfFrames") or 1) > 1:
                raise PictureError(f"{columns} x {rows} pixels are too many", where=path, code="too_large")
            stored = np.asarray(dataset.pixel_array)
    except (PictureError, MemoryError):
        raise
    except Exception as error:
        # As for pictures: pydicom and its decoders raise many kinds of exception on damaged files.
        what = f"the DICOM mask cannot be read ({type(error).__name__})"
        raise PictureError(what, where=path, hint="Check that it was copied whole.", code="damaged") from error
    if stored.ndim != 2 or not ((stored == stored.min()) | (stored == stored.max())).all():
        raise PictureError("the file holds a picture and no mask", where=path, code="mask_values")
    return stored


def fill_outline(line: Mask, path: Path) -> Mask:
    """The line and all that it encloses, gaps of a few pixels bridged. PictureError if it encloses nothing."""
    y, x = np.flatnonzero(line.any(axis=1)), np.flatnonzero(line.any(axis=0))
    window = (slice(y[0], y[-1] + 1), slice(x[0], x[-1] + 1))
    # The pad keeps the closing from biting into what touches the border.
    closed = ndimage.binary_closing(np.pad(line[window], _GAP), np.ones((3, 3)), iterations=_GAP)
    filled = ndimage.binary_fill_holes(closed)[_GAP:-_GAP, _GAP:-_GAP]
    if filled.sum() <= closed.sum():
        raise PictureError("the outline of a region is not closed", where=path, code="open_outline")
    area = np.zeros_like(line)
    area[window] = filled
    return area

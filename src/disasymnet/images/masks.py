"""Lesion masks as data sets hand them out: DICOM files of two values, pictures of an outline, and curves."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from disasymnet.errors import PictureError
from disasymnet.images.picture import MOST_PIXELS

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


def fill_curve(points: NDArray[np.float64], shape: tuple[int, int]) -> Mask:
    """What a closed curve (N, 2) of points x, y encloses or runs through, bool (rows, columns).

    Enclosed are pixels whose centre lies inside (even-odd rule). What lies outside of the picture is cut off.
    """
    rows, columns = shape
    if not len(points):
        return np.zeros(shape, dtype=np.bool_)
    start, stop = points, np.roll(points, -1, axis=0)
    # Rows whose centre line an edge crosses, its lower end left out: each crossing counts once.
    first, last = (
        np.ceil(end(start[:, 1], stop[:, 1]) - 0.5).clip(0, rows).astype(int) for end in (np.minimum, np.maximum)
    )
    edge = np.repeat(np.arange(len(points)), last - first)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(last - first) - last, last - first)
    share = (row + 0.5 - start[edge, 1]) / (stop[edge, 1] - start[edge, 1])
    x = start[edge, 0] + share * (stop[edge, 0] - start[edge, 0])
    column = np.ceil(x - 0.5).clip(0, columns).astype(int)
    crossings = np.bincount(row * (columns + 1) + column, minlength=rows * (columns + 1)).astype(np.uint8)
    # Bytes overflow at 256, which is even.
    inside = np.cumsum(crossings.reshape(rows, columns + 1), axis=1, dtype=np.uint8)[:, :columns] % 2 == 1
    line = Image.new("1", (columns, rows))
    corners = np.floor(points).astype(int).tolist()
    ImageDraw.Draw(line).line([tuple(corner) for corner in [*corners, corners[0]]], fill=1)
    marked: Mask = inside | np.asarray(line)
    return marked

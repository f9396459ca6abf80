"""The breast in the picture: its mask, and the edge of the picture where the chest wall lies.

No grey value is fixed beforehand: every threshold is a share of what the picture's own histogram shows, so that film
(grey close to density) and digital pictures (dark, fine steps) go the same way. The shares and lengths below were
chosen by looking at the masks of mini-MIAS, CBIS-DDSM and DDSM films with their labels, markers, white frames and
saturated strips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from disasymnet.images.refusals import refusal
from disasymnet.records import Edge

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

_LONG_SIDE = 384  # pixels of the reduced picture: about 0.6 mm each, well below the width of a label's letters
_WHITE = 0.9  # share of the maximum from which frames and labels count as white
_FLAT = 0.04  # their range over 3 x 3 pixels, as a share of the maximum; dense tissue is rougher
_FRAME_DEPTH = 0.12  # frames reach at most this deep into the picture
_SKIN = 0.1  # of the way from air to tissue: where the skin's ramp begins
_STRIP = 0.035  # of the long side, 8 mm of a 24 cm film: what is thinner and ends at the border is no breast
_APPENDAGE = 0.06  # of the long side, 14 mm: skin of the abdomen below the breast, strips and labels are narrower
_NIPPLE = 0.035  # of the long side, 8 mm: how far narrow parts that stay may stand out
_SUSPECT = (0.05, 0.95)  # shares of the picture outside of which a mask is doubtful
_SMALLEST = 0.005  # share of the picture below which there is no breast at all


@dataclass(frozen=True)
class Breast:
    """What `find_breast` found."""

    mask: Mask
    """(rows, columns) of the source grid; one region without holes."""
    chest_wall: Edge
    coverage: float
    """Share of the picture that the mask covers."""
    warnings: tuple[str, ...] = ()


def find_breast(pixels: Floats, chest_wall: Edge | None = None) -> Breast:
    """The breast of a picture (rows, columns) in [0, 1], bright = dense.

    `chest_wall` is what the data set says; it wins, and a picture that shows the other edge gives a warning. Without
    it the edge is read from the mask. PictureError if there is no breast.
    """
    factor = max(1, round(max(pixels.shape) / _LONG_SIDE))
    small = np.asarray(Image.fromarray(pixels).reduce(factor))
    if min(small.shape) < 16:
        raise refusal("no_breast", "the picture is too small to hold a breast")
    small = _median_of_five(_median_of_five(small, axis=0), axis=1)
    inner = _inside_frames(small)
    mask = np.zeros(small.shape, dtype=np.bool_)
    mask[inner] = _region(small[inner])
    coverage = float(mask.mean())
    if coverage < _SMALLEST:
        raise refusal("no_breast", "no breast was found in the picture")
    seen = _wall(mask)
    warnings = []
    if not _SUSPECT[0] <= coverage <= _SUSPECT[1]:
        warnings.append(f"the breast covers {coverage:.0%} of the picture: the mask is doubtful")
    elif chest_wall is not None and chest_wall != seen:
        warnings.append(f"the chest wall was expected at the {chest_wall} edge, the picture shows it at the {seen}")
    return Breast(_enlarge(mask, factor, pixels.shape), chest_wall or seen, coverage, tuple(warnings))


def _median_of_five(picture: Floats, axis: int) -> Floats:
    """The median of each pixel and its two neighbours on either side along one axis.

    Columns, then rows: takes away specks as a 5 x 5 median does, at a twentieth of its cost, by comparisons of whole
    arrays (the median of five is that of the middle three after both extremes of two pairs are gone).
    """
    padded = np.pad(picture, [(2, 2) if each == axis else (0, 0) for each in (0, 1)], mode="edge")
    length = picture.shape[axis]
    a, b, c, d, e = (np.take(padded, range(start, start + length), axis) for start in range(5))
    low = np.maximum(np.minimum(a, b), np.minimum(d, e))  # the smallest of the four is out
    high = np.minimum(np.maximum(a, b), np.maximum(d, e))  # and the largest
    median: Floats = np.maximum(np.minimum(low, high), np.minimum(np.maximum(low, high), c))
    return median


def _inside_frames(small: Floats) -> tuple[slice, slice]:
    """The picture without the white lines along its borders (more than half of such a line is white)."""
    white = small >= _WHITE * small.max()
    rows, columns = (slice(*_frame_free(white, axis)) for axis in (1, 0))
    return rows, columns


def _frame_free(white: Mask, axis: int) -> tuple[int, int]:
    share = white.mean(axis=axis)
    depth = max(1, int(_FRAME_DEPTH * share.size))
    start, stop = _white_lines(share[:depth]), _white_lines(share[::-1][:depth])
    return start, share.size - stop


def _white_lines(share: NDArray[np.float64]) -> int:
    """How many lines from the border inwards go: to the last white one, gaps of four bridged, and two blurred ones."""
    last = -1
    for index in np.flatnonzero(share > 0.5):
        if index > last + 5:
            break
        last = int(index)
    return 0 if last < 0 else last + 3


def _region(small: Floats) -> Mask:
    """The breast within the frames: the largest region that is brighter than air and not flat white."""
    top = small.max()
    rough = ndimage.maximum_filter(small, 3) - ndimage.minimum_filter(small, 3) >= _FLAT * top
    tissue = rough | (small < _WHITE * top)
    bright = small > _threshold(small[tissue])
    bright = ndimage.binary_opening(bright & ~_labels(small, ~tissue), iterations=3)
    region = _largest(bright, tissue)
    # The pad keeps the closing from biting into what touches the border.
    region = ndimage.binary_closing(np.pad(region, 8), iterations=3)[8:-8, 8:-8]
    return _largest(_without_appendages(_without_strips(ndimage.binary_fill_holes(region))))


def _labels(small: Floats, flat_white: Mask) -> Mask:
    """Flat white patches that most of their surroundings are much darker than: lead markers and paper labels.

    Saturated muscle at the film's edge stays: half of what surrounds it is tissue.
    """
    labels, _ = ndimage.label(ndimage.binary_dilation(flat_white))
    marked = np.zeros(small.shape, dtype=np.bool_)
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        around = (
            slice(max(rows.start - 12, 0), rows.stop + 12),
            slice(max(columns.start - 12, 0), columns.stop + 12),
        )
        patch = labels[around] == number
        # Four pixels wider, as the median filter and the range over 3 x 3 pixels blur its edge; letters closed.
        grown = ndimage.binary_dilation(patch, iterations=8)
        grown = ndimage.binary_erosion(grown, iterations=4, border_value=1)
        ring = ndimage.binary_dilation(grown, iterations=3) & ~grown
        if ring.any() and np.percentile(small[around][ring], 70) < 0.5 * small.max():
            marked[around] |= grown
    return marked


def _threshold(values: Floats) -> float:
    """Grey a little above the air: a tenth of the way from the air's median to the tissue's.

    Otsu's split gives a first tissue level; the air is what lies in the lowest quarter below it, so that a breast which
    fills its film does not count its own fat as air.
    """
    if values.size == 0 or values.min() == values.max():
        return float("inf")
    tissue = float(np.median(values[values > _otsu(values)]))
    lowest = float(np.percentile(values, 0.5))
    air = values[values <= lowest + 0.25 * (tissue - lowest)]
    level = float(np.median(air))
    spread = float(np.percentile(air, 84)) - level
    threshold = level
    for _ in range(2):  # Otsu's tissue is the dense part; the second turn takes all that the first one found
        way = tissue - level
        threshold = level + max(_SKIN * way, 3 * min(spread, 0.05 * way))
        tissue = float(np.median(values[values > threshold]))
    return threshold


def _otsu(values: Floats) -> float:
    """The split that separates two classes best (Otsu 1979), over 256 bins."""
    counts, edges = np.histogram(values, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below, sums = np.cumsum(counts)[:-1], np.cumsum(counts * centres)[:-1]
    total, mean = values.size, float((counts * centres).sum()) / values.size
    inner = (below > 0) & (below < total)
    between = np.zeros(below.size)
    between[inner] = (mean * below[inner] - sums[inner]) ** 2 / (below[inner] * (total - below[inner]))
    return float(centres[between.argmax()])


def _largest(mask: Mask, counted: Mask | None = None) -> Mask:
    """The region with most pixels, or most of the counted ones; empty if there is none."""
    labels, number = ndimage.label(mask)
    sizes = np.bincount((labels if counted is None else labels[counted]).ravel(), minlength=number + 1)
    sizes[0] = 0
    largest: Mask = (labels == sizes.argmax()) & mask
    return largest


def _without_strips(mask: Mask) -> Mask:
    """The mask without thin parts that end at the border (rests of frames); a nipple does not end there."""
    length = max(3, round(_STRIP * max(mask.shape)))
    kept = mask
    for shape in ((1, length), (length, 1)):
        thin, number = ndimage.label(mask & ~ndimage.binary_opening(mask, np.ones(shape, dtype=np.bool_)))
        at_border = np.zeros(number + 1, dtype=np.bool_)
        for line in (thin[0], thin[-1], thin[:, 0], thin[:, -1]):
            at_border[line] = True
        at_border[0] = False
        kept = kept & ~at_border[thin]
    return kept


def _without_appendages(mask: Mask) -> Mask:
    """The mask without what stands out from the breast and is narrow: folds of the abdomen, strips, labels.

    A nipple stays: narrow parts are kept as far as it stands out.
    """
    length = max(mask.shape)
    # Nothing beyond the border, or a strip along it would count as wide.
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    core = _largest(depth > _APPENDAGE * length / 2)
    if not core.any():
        return mask
    kept: Mask = mask & (ndimage.distance_transform_edt(~core) <= (_APPENDAGE / 2 + _NIPPLE) * length)
    return kept


def _wall(mask: Mask) -> Edge:
    """The edge where the mask is tall: the breast narrows towards the nipple."""
    heights = mask.sum(axis=0)
    heights = heights[np.flatnonzero(heights)[0] : np.flatnonzero(heights)[-1] + 1]
    outer = max(1, heights.size // 6)
    return "left" if heights[:outer].sum() >= heights[-outer:].sum() else "right"


def _enlarge(mask: Mask, factor: int, shape: tuple[int, ...]) -> Mask:
    """The reduced mask on the source grid, its edge interpolated."""
    rows, columns = mask.shape
    grown = Image.fromarray(mask.astype(np.uint8) * 255).resize(
        (columns * factor, rows * factor), Image.Resampling.BILINEAR
    )
    large: Mask = np.asarray(grown)[: shape[0], : shape[1]] >= 128
    return large

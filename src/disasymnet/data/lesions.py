"""Findings on the model grid: their shapes for tables, their pixels for scores. They never teach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disasymnet.data.manifest import CachedFinding
from disasymnet.errors import PictureError
from disasymnet.images.geometry import Geometry
from disasymnet.images.masks import fill_curve
from disasymnet.images.read import read_mask
from disasymnet.records import Box, Circle, Finding, MaskFile, Outline, Region

Mask = NDArray[np.bool_]

_SAME_PROPORTION = 0.02  # a mask of other proportions than its picture belongs to another picture


def draw_findings(
    findings: Sequence[Finding], geometry: Geometry
) -> tuple[Mask, tuple[CachedFinding, ...], tuple[str, ...]]:
    """All regions of one picture as a mask (H, W), the findings on the model grid, and warnings.

    Circles are discs and boxes are filled. A region smaller than a pixel keeps the one its centre lies in.
    PictureError if a mask file cannot be read or is not of the picture's size.
    """
    mask = np.zeros(geometry.model_shape, dtype=np.bool_)
    found: list[CachedFinding] = []
    warnings: list[str] = []
    for finding in findings:
        drawn, box, circle, notes = _region(finding, geometry)
        warnings += notes
        if box is not None and not drawn.any():
            warnings.append("a finding's region lies outside the model grid")
        mask |= drawn
        found.append(CachedFinding(finding.kind, finding.name, finding.malignant, box, circle))
    return mask, tuple(found), tuple(warnings)


def region_mask(region: Region, shape: tuple[int, int]) -> tuple[Mask, tuple[str, ...]]:
    """The region on the source grid, bool (rows, columns), and notes. Nothing is marked outside of the picture.

    PictureError if a mask file cannot be read or is not of the picture's size.
    """
    if isinstance(region, MaskFile):
        return _read(region, shape)
    if isinstance(region, Outline):
        return fill_curve(np.array(region.corners(), dtype=np.float64).reshape(-1, 2), shape), ()
    y, x = _centres(shape)
    return _inside(region, y, x), ()


def _region(finding: Finding, geometry: Geometry) -> tuple[Mask, Box | None, Circle | None, tuple[str, ...]]:
    region = finding.region
    y, x = _centres(geometry.model_shape)
    if isinstance(region, Circle):
        circle = geometry.circle(region)
        r = circle.radius
        box = Box(circle.x - r, circle.y - r, circle.x + r, circle.y + r)
        return _at_least_one(_inside(circle, y, x), box), box, circle, ()
    if isinstance(region, Box):
        box = geometry.box(region)
        return _at_least_one(_inside(box, y, x), box), box, None, ()
    if region is None:
        return np.zeros(geometry.model_shape, dtype=np.bool_), None, None, ()
    source, notes = region_mask(region, geometry.source_shape)
    if not source.any():
        notes = (*notes, "a finding's region lies outside its picture")
        return np.zeros(geometry.model_shape, dtype=np.bool_), None, None, notes
    return geometry.mask(source), geometry.box(mask_box(source)), None, notes


def mask_box(mask: Mask) -> Box:
    """The box around all that is marked; ValueError if nothing is."""
    y, x = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not y.size:
        raise ValueError("nothing is marked")
    return Box(float(x[0]), float(y[0]), float(x[-1]) + 1, float(y[-1]) + 1)


def _inside(region: Circle | Box, y: NDArray[Any], x: NDArray[Any]) -> Mask:
    inside: Mask
    if isinstance(region, Circle):
        inside = (y - region.y) ** 2 + (x - region.x) ** 2 <= region.radius**2
    else:
        inside = (y >= region.y0) & (y < region.y1) & (x >= region.x0) & (x < region.x1)
    return inside


def _read(region: MaskFile, shape: tuple[int, int]) -> tuple[Mask, tuple[str, ...]]:
    mask = read_mask(region.path, outline=region.outline)
    if mask.shape == shape:
        return mask, ()
    (rows, columns), (height, width) = mask.shape, shape
    alike = abs((rows / height) / (columns / width) - 1) <= _SAME_PROPORTION
    if not (region.stretch and alike):
        what = f"a finding's mask has {rows} x {columns} pixels, its picture {height} x {width}"
        raise PictureError(what, where=region.path, code="mask_size")
    nearest_row = ((np.arange(height) + 0.5) * rows / height).astype(int)
    nearest_column = ((np.arange(width) + 0.5) * columns / width).astype(int)
    note = f"a finding's mask of {rows} x {columns} pixels was stretched to its picture's {height} x {width}"
    return mask[nearest_row][:, nearest_column], (note,)


def _centres(shape: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    height, width = shape
    return np.arange(0.5, height).reshape(-1, 1), np.arange(0.5, width).reshape(1, -1)


def _at_least_one(mask: Mask, box: Box) -> Mask:
    if not mask.any():
        row, column = int(np.floor((box.y0 + box.y1) / 2)), int(np.floor((box.x0 + box.x1) / 2))
        if 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]:
            mask[row, column] = True
    return mask

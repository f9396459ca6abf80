"""Findings on the model grid: their shapes for tables, their pixels for scores. They never teach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disasymnet.data.manifest import CachedFinding
from disasymnet.errors import PictureError
from disasymnet.images.geometry import Geometry
from disasymnet.images.read import read_mask
from disasymnet.records import Box, Circle, Finding, MaskFile

Mask = NDArray[np.bool_]


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
        drawn, box, circle = _region(finding, geometry)
        if box is not None and not drawn.any():
            warnings.append("a finding's region lies outside the model grid")
        mask |= drawn
        found.append(CachedFinding(finding.kind, finding.name, finding.malignant, box, circle))
    return mask, tuple(found), tuple(warnings)


def _region(finding: Finding, geometry: Geometry) -> tuple[Mask, Box | None, Circle | None]:
    region = finding.region
    if isinstance(region, Circle):
        circle = geometry.circle(region)
        r = circle.radius
        box = Box(circle.x - r, circle.y - r, circle.x + r, circle.y + r)
        y, x = _centres(geometry)
        return _at_least_one((y - circle.y) ** 2 + (x - circle.x) ** 2 <= r**2, box), box, circle
    if isinstance(region, Box):
        box = geometry.box(region)
        y, x = _centres(geometry)
        inside = (y >= box.y0) & (y < box.y1) & (x >= box.x0) & (x < box.x1)
        return _at_least_one(inside, box), box, None
    if isinstance(region, MaskFile):
        return *_of_mask(region, geometry), None
    return np.zeros(geometry.model_shape, dtype=np.bool_), None, None


def _of_mask(region: MaskFile, geometry: Geometry) -> tuple[Mask, Box]:
    source = read_mask(region.path)
    if source.shape != geometry.source_shape:
        rows, columns = geometry.source_shape
        what = f"a finding's mask has {source.shape[0]} x {source.shape[1]} pixels, its picture {rows} x {columns}"
        raise PictureError(what, where=region.path, code="mask_size")
    y, x = np.flatnonzero(source.any(axis=1)), np.flatnonzero(source.any(axis=0))
    around = Box(float(x[0]), float(y[0]), float(x[-1]) + 1, float(y[-1]) + 1)
    return geometry.mask(source), geometry.box(around)


def _centres(geometry: Geometry) -> tuple[NDArray[Any], NDArray[Any]]:
    height, width = geometry.model_shape
    return np.arange(0.5, height).reshape(-1, 1), np.arange(0.5, width).reshape(1, -1)


def _at_least_one(mask: Mask, box: Box) -> Mask:
    if not mask.any():
        row, column = int(np.floor((box.y0 + box.y1) / 2)), int(np.floor((box.x0 + box.x1) / 2))
        if 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]:
            mask[row, column] = True
    return mask

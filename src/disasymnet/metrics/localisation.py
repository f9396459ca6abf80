"""How well a map shows where a lesion is (E15), side by side and then averaged over sides with a marked lesion.

All maps and masks lie on the model grid. `ior_ref` is the share of the lesion that is found; `ior_det` the share of the
marked area that is lesion. The paper says "intersection over reference" but follows HAM, whose code computes the
second; both are reported, and mean TIoR is taken on `ior_det`, as HAM's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

Mask = npt.NDArray[np.bool_]
Map = npt.NDArray[Any]

TIOU_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)  # [P], after HAM
TIOR_THRESHOLDS = (0.1, 0.25, 0.5, 0.75, 0.9)  # [P]
MINMAX_CUT = 0.4 + math.log(999) / 100  # n >= 0.469: HAM marks where sigmoid(100 (n - 0.4)) >= 0.999

ABSOLUTE_GRID = (0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
RELATIVE_GRID = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True)
class Overlap:
    """Agreement of a marked area P with a lesion mask G, each in [0, 1]."""

    iou: float
    ior_ref: float
    ior_det: float
    dice: float

    @property
    def tiou(self) -> float:
        """Share of the thresholds .1 to .7 that the IoU reaches; its mean over sides is "mean TIoU"."""
        return reached(self.iou, TIOU_THRESHOLDS)

    @property
    def tior(self) -> float:
        """Share of the thresholds .1, .25, .5, .75, .9 that `ior_det` reaches; its mean is "mean TIoR"."""
        return reached(self.ior_det, TIOR_THRESHOLDS)


@dataclass(frozen=True)
class Threshold:
    """Where a map is cut; `relative` ones are shares of the map's own maximum."""

    value: float
    relative: bool = False

    def cut(self, heat: Map) -> Mask:
        """The marked area: `heat` at or above the threshold, and above 0."""
        level = self.value * float(heat.max()) if self.relative else self.value
        marked: Mask = (heat >= level) & (heat > 0)
        return marked


def overlap(marked: Mask, lesion: Mask) -> Overlap:
    """The four ratios; an empty marked area scores 0 in each (a lesion mask is never empty here)."""
    both = int((marked & lesion).sum())
    p, g = int(marked.sum()), int(lesion.sum())
    return Overlap(
        iou=both / max(p + g - both, 1),
        ior_ref=both / max(g, 1),
        ior_det=both / max(p, 1),
        dice=2 * both / max(p + g, 1),
    )


def reached(value: float, thresholds: Sequence[float]) -> float:
    """Share of `thresholds` that `value` is at or above."""
    return sum(value >= threshold for threshold in thresholds) / len(thresholds)


def pointing(heat: Map, lesion: Mask, breast: Mask) -> float:
    """1 if the maximum of the map within the breast lies in the lesion, else 0.

    A maximum that several pixels share counts the share of them that lie in the lesion, so that a flat map scores
    chance and not the luck of the first pixel.
    """
    inside = heat[breast]
    if not inside.size:
        return 0.0
    top = breast & (heat >= inside.max())
    return float((top & lesion).sum() / top.sum())


def grown(mask: Mask, radius_px: float) -> Mask:
    """All pixels whose centre lies within `radius_px` of a pixel of `mask`."""
    if radius_px <= 0 or not mask.any():
        return mask.copy()
    near: Mask = distance_transform_edt(~mask) <= radius_px
    return near


GRID = tuple(Threshold(value) for value in ABSOLUTE_GRID) + tuple(Threshold(value, True) for value in RELATIVE_GRID)


def over_grid(heat: Map, lesion: Mask) -> tuple[Overlap, ...]:
    """The overlap at each threshold of GRID."""
    return tuple(overlap(each.cut(heat), lesion) for each in GRID)


def best_of_grid(sides: Sequence[Sequence[Overlap]]) -> int | None:
    """Index in GRID with the best mean IoU over these sides (`over_grid` of each); None without a side.

    A tie goes to the first.
    """
    if not sides:
        return None
    return int(np.mean([[each.iou for each in side] for side in sides], axis=0).argmax())


def equivalent_diameter(mask: Mask, pixel_mm: float) -> float:
    """Diameter in mm of the disc with the mask's area."""
    return float(2 * np.sqrt(mask.sum() / np.pi) * pixel_mm)


SIZES = ("under 5 mm", "5 to 10 mm", "10 to 20 mm", "over 20 mm")


def size_stratum(diameter_mm: float) -> str:
    """One of SIZES; a lower edge belongs to its stratum."""
    return SIZES[sum(diameter_mm >= edge for edge in (5, 10, 20))]


def share_outside(heat: Map, breast: Mask) -> float | None:
    """Share of the map's mass that lies outside the breast; None for an empty map."""
    total = float(heat.sum())
    return None if total <= 0 else float(heat[~breast].sum() / total)

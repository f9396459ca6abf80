"""One side under the measuring rod: everything that the tables need of it, so that no map has to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from disasymnet.data.manifest import CachedFinding, CachedPair
from disasymnet.metrics import localisation, reconstruction
from disasymnet.metrics.localisation import Mask, Overlap, Threshold
from disasymnet.metrics.reconstruction import Removal
from disasymnet.records import Box, Circle

MAPS = ("cam", "x_ab", "difference")
NEAR_MM = 4.0
FRAME_MM = 204.8  # height of the model grid at the fixed scale (0.2 mm x 1024 rows): for pictures of unknown size
SMOOTH = 1 / 128
"""Gaussian sigma for x_ab and the difference in units of the grid's height (1.6 mm at the fixed scale): their single
brightest pixel is noise, the CAM's is not."""


@dataclass(frozen=True)
class Pictures:
    """What is known of one side, (H, W) on the model grid; `truth` is the side without its lesions, where known."""

    image: npt.NDArray[Any]
    breast: Mask
    lesion: Mask
    cam: npt.NDArray[Any] | None = None
    normal: npt.NDArray[Any] | None = None
    abnormal_part: npt.NDArray[Any] | None = None
    truth: npt.NDArray[Any] | None = None

    def heat(self, name: str) -> npt.NDArray[np.float64] | None:
        """One of MAPS as it is scored: inside the breast, x_ab and the difference smoothed; None if not made."""
        parts = {"cam": self.cam, "x_ab": self.abnormal_part, "difference": self.difference()}
        part: npt.NDArray[Any] | None = parts[name]
        if part is None:
            return None
        inside = np.where(self.breast, part, 0.0).astype(np.float64)
        if name == "cam":
            return inside
        smooth: npt.NDArray[np.float64] = gaussian_filter(inside, SMOOTH * len(inside))
        return smooth

    def difference(self) -> npt.NDArray[np.float64] | None:
        """|x - x_n|."""
        if self.normal is None:
            return None
        change: npt.NDArray[np.float64] = np.abs(self.image.astype(np.float64) - self.normal)
        return change


@dataclass(frozen=True)
class Lesion:
    """One marked lesion of a side."""

    kind: str
    diameter_mm: float
    inside_ratio: float | None
    """None where the lesion-free truth is not known or does not differ."""


@dataclass(frozen=True)
class MapScore:
    """How one map did on a side with a marked lesion."""

    hit: float
    near: float
    fixed: Overlap | None
    """At the threshold that belongs to the map's form; None for maps whose threshold is chosen."""
    grid: tuple[Overlap, ...]


@dataclass(frozen=True)
class Signature:
    """What a collapsed decoder gives away (grey level; `background` outside the breast)."""

    spread_before: float
    spread_after: float
    background: float


@dataclass(frozen=True)
class Side:
    """One side, scored."""

    pair: CachedPair
    laterality: str
    label: float
    """1, 0 or NaN."""
    logit: float | None
    """Of the side head; None for a method without one."""
    fold: int | None = None
    judged: float | None = None
    """p(abnormal | x_n): the method's second look, at its own symmetric picture."""
    kinds: frozenset[str] = frozenset()
    maps: dict[str, MapScore] = field(default_factory=dict)
    lesions: tuple[Lesion, ...] = ()
    chance: float | None = None
    """Share of the breast that the lesions cover: what a map without knowledge would hit."""
    cam_outside: float | None = None
    removal: Removal | None = None
    change: float | None = None
    """mean |x - x_n| in the breast of a normal side."""
    signature: Signature | None = None

    @property
    def patient(self) -> str:
        """The woman that the bootstrap draws."""
        return self.pair.patient

    @property
    def diameter_mm(self) -> float | None:
        """Of the largest marked lesion."""
        return max((lesion.diameter_mm for lesion in self.lesions), default=None)


def score_maps(seen: Pictures, pixel_mm: float, cam_cut: float) -> dict[str, MapScore]:
    """Every map that the method made, on a side with a marked lesion."""
    near = localisation.grown(seen.lesion, NEAR_MM / pixel_mm)
    scores = {}
    for name in MAPS:
        heat = seen.heat(name)
        if heat is None:
            continue
        scores[name] = MapScore(
            hit=localisation.pointing(heat, seen.lesion, seen.breast),
            near=localisation.pointing(heat, near, seen.breast),
            fixed=localisation.overlap(Threshold(cam_cut).cut(heat), seen.lesion) if name == "cam" else None,
            grid=localisation.over_grid(heat, seen.lesion),
        )
    return scores


def lesions_of(seen: Pictures, findings: Sequence[CachedFinding], pixel_mm: float) -> tuple[Lesion, ...]:
    """Each marked finding with its size and, where the truth is known, what is left of it."""
    out = []
    for finding in findings:
        where = seen.lesion & region_mask(finding.circle or finding.box, seen.lesion.shape)
        if where.any():
            left = _inside_ratio(seen, where)
            out.append(Lesion(kind_of(finding), localisation.equivalent_diameter(where, pixel_mm), left))
    return tuple(out)


def kind_of(finding: CachedFinding) -> str:
    """The finding's kind as one word; `unknown` where the data set does not say."""
    return "unknown" if finding.kind is None else finding.kind.value


def region_mask(region: Box | Circle | None, shape: tuple[int, ...]) -> Mask:
    """Pixels whose centre lies in the region (and the pixel that holds its centre); empty without one."""
    mask = np.zeros(shape, bool)
    if region is None:
        return mask
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    if isinstance(region, Circle):
        mask |= (x - region.x) ** 2 + (y - region.y) ** 2 <= region.radius**2
        middle = (region.x, region.y)
    else:
        mask |= (x >= region.x0) & (x < region.x1) & (y >= region.y0) & (y < region.y1)
        middle = ((region.x0 + region.x1) / 2, (region.y0 + region.y1) / 2)
    column, row = int(np.floor(middle[0])), int(np.floor(middle[1]))
    if 0 <= row < shape[0] and 0 <= column < shape[1]:
        mask[row, column] = True
    return mask


def grid_mm(pair: CachedPair, height: int) -> float:
    """Millimetres a pixel of the model grid; by the fixed scale where the pictures do not say."""
    return pair.pixel_mm or FRAME_MM / height


def signature(seen: Pictures) -> Signature | None:
    """Grey spread in the breast before and after, and what the background became; None without a decoder."""
    if seen.normal is None or not seen.breast.any():
        return None
    outside = seen.normal[~seen.breast]
    return Signature(
        spread_before=float(seen.image[seen.breast].std()),
        spread_after=float(seen.normal[seen.breast].std()),
        background=float(np.abs(outside).mean()) if outside.size else 0.0,
    )


def removal_of(seen: Pictures) -> Removal | None:
    """The removal of all lesions of a side; None without truth, decoder or lesion."""
    if seen.truth is None or seen.normal is None:
        return None
    return reconstruction.removal(seen.image, seen.normal, seen.truth, seen.lesion, seen.breast)


def _inside_ratio(seen: Pictures, where: Mask) -> float | None:
    if seen.truth is None or seen.normal is None:
        return None
    before = np.abs(seen.image.astype(np.float64) - seen.truth)[where].mean()
    after = np.abs(seen.normal.astype(np.float64) - seen.truth)[where].mean()
    return None if before < reconstruction.FAINT else float(after / before)

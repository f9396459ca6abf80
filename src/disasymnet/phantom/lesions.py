"""Lesions as signals that are added to a breast: kind, sub-type, size, contrast and shape in both views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from disasymnet.phantom.fields import Array, Frame, power_law
from disasymnet.records import Circle
from disasymnet.terms import FindingKind, View

MASK_SHARE = 0.25
"""A lesion's mask: signal above this share of its peak."""

CLUSTER_BLUR_MM = 1.2
"""A cluster's peak and mask are those of its signal blurred by this: its outline, not its grains."""

Preset = Literal["easy", "realistic"]

KINDS: dict[Preset, tuple[tuple[FindingKind, str, float], ...]] = {
    # Shares: 45 % smooth and 35 % spiculated masses, 20 % others; realistic follows screening more closely.
    "easy": (
        (FindingKind.MASS, "round", 0.22),
        (FindingKind.MASS, "lobulated", 0.20),
        (FindingKind.MASS, "spiculated", 0.28),
        (FindingKind.CALCIFICATION, "cluster", 0.14),
        (FindingKind.ARCHITECTURAL_DISTORTION, "radiating", 0.06),
        (FindingKind.ASYMMETRY, "focal", 0.10),
    ),
    "realistic": (
        (FindingKind.MASS, "round", 0.16),
        (FindingKind.MASS, "lobulated", 0.16),
        (FindingKind.MASS, "spiculated", 0.22),
        (FindingKind.CALCIFICATION, "cluster", 0.24),
        (FindingKind.ARCHITECTURAL_DISTORTION, "radiating", 0.10),
        (FindingKind.ASYMMETRY, "focal", 0.12),
    ),
}


REALISTIC: dict[FindingKind, tuple[float, float, float, float]] = {
    # Median diameter in mm and its spread (of the logarithm), then the same of the contrast (grey range 1): size and
    # grey against the ring around them have about mini-MIAS's quartiles (benchmarks/lesion_circles.py measures both).
    FindingKind.MASS: (17.0, 0.55, 0.115, 0.55),
    FindingKind.CALCIFICATION: (10.0, 0.55, 0.040, 0.60),
    FindingKind.ARCHITECTURAL_DISTORTION: (21.0, 0.40, 0.105, 0.60),
    FindingKind.ASYMMETRY: (17.0, 0.55, 0.210, 0.50),
}

ISLANDS = (
    (FindingKind.MASS, "round", 0.3),
    (FindingKind.MASS, "lobulated", 0.3),
    (FindingKind.ASYMMETRY, "focal", 0.4),
)
"""What both breasts of a woman have alike: cysts, fibroadenomas, islands of gland. Alone each may pass for a lesion."""
ISLAND_CONTRAST = 0.55
"""Of a lesion's. So the largest alarms of a detector in both breasts of a healthy woman agree as on mini-MIAS:
correlation 0.48 (ranks 0.50) against 0.43 (0.55); at a lesion's own contrast 0.62, without islands 0.26."""


@dataclass(frozen=True)
class Lesion:
    """One lesion of a breast, the same in every view up to its projection."""

    kind: FindingKind
    form: str
    diameter_mm: float
    contrast: float
    to_nipple: float
    """Distance to the nipple relative to the breast's reach: alike in CC and MLO."""
    shape_seed: int

    @property
    def name(self) -> str:
        """Kind and sub-type in words, such as `mass, spiculated`."""
        return f"{self.kind.value.replace('_', ' ')}, {self.form}"


@dataclass(frozen=True)
class Placed:
    """A lesion in one picture: signal on a window of the grid with corner (row, column), and its mask there."""

    lesion: Lesion
    circle: Circle
    """Its place, mm."""
    corner: tuple[int, int]
    signal: Array
    mask: NDArray[np.bool_]
    contrast: float

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the window."""
        rows, cols = self.signal.shape
        return slice(self.corner[0], self.corner[0] + rows), slice(self.corner[1], self.corner[1] + cols)


def draw_lesion(rng: np.random.Generator, preset: Preset, reach_mm: float) -> Lesion:
    """Kind, size and contrast of a lesion; sizes stay below 40 % of the breast's reach."""
    return _draw(rng, KINDS[preset], preset, reach_mm)


def draw_island(rng: np.random.Generator, reach_mm: float) -> Lesion:
    """What a woman has in both breasts, as large as realistic lesions and fainter."""
    island = _draw(rng, ISLANDS, "realistic", reach_mm)
    return replace(island, contrast=island.contrast * ISLAND_CONTRAST)


def on_one_side(rng: np.random.Generator, island: Lesion) -> Lesion:
    """The island as it is in one breast: like the other one in kind, place, size and contrast, never equal."""
    return replace(
        island,
        diameter_mm=float(island.diameter_mm * rng.lognormal(0, 0.15)),
        contrast=float(min(0.5, island.contrast * rng.lognormal(0, 0.25))),
        shape_seed=int(rng.integers(2**32)),
    )


def _draw(
    rng: np.random.Generator, table: Sequence[tuple[FindingKind, str, float]], preset: Preset, reach_mm: float
) -> Lesion:
    kind, form, _ = table[int(rng.choice(len(table), p=[share for _, _, share in table]))]
    if preset == "easy":
        # To be seen on 64 x 32 cells of 3 to 4 mm: at least four cells wide, and brighter than any gland.
        diameter = rng.uniform(18, 30) if kind is FindingKind.CALCIFICATION else rng.uniform(20, 40)
        contrast = rng.uniform(0.40, 0.60)
    else:
        size, spread, grey, fading = REALISTIC[kind]
        diameter = float(np.clip(rng.lognormal(np.log(size), spread), 5, 50))
        contrast = float(np.clip(rng.lognormal(np.log(grey), fading), 0.015, 0.5))
    return Lesion(
        kind=kind,
        form=form,
        diameter_mm=float(min(diameter, 0.4 * reach_mm)),
        contrast=float(contrast),
        to_nipple=float(rng.uniform(0.28, 0.72)),
        shape_seed=int(rng.integers(2**32)),
    )


def shape(lesion: Lesion, pixel_mm: float, view: View) -> tuple[Array, NDArray[np.bool_]]:
    """Signal with peak 1 on an odd square window centred on the lesion, and its mask."""
    # The same seed gives like spicules and lobes in both views; the view number turns them.
    rng = np.random.default_rng([lesion.shape_seed, 0 if view is View.CC else 1])
    radius = lesion.diameter_mm / 2
    half = int(np.ceil(2.3 * radius / pixel_mm)) + 2
    axis = np.arange(-half, half + 1, dtype=np.float32) * np.float32(pixel_mm)
    x, y = axis[None, :], axis[:, None]
    make = {
        "round": _body,
        "lobulated": _body,
        "spiculated": _spiculated,
        "cluster": _cluster,
        "radiating": _radiating,
        "focal": _focal,
    }[lesion.form]
    signal = make(rng, lesion, x, y)
    edge = np.clip((axis[-1] - np.maximum(np.abs(x), np.abs(y))) / 2.0, 0, 1)
    signal = signal * edge
    outline = crest(signal, lesion, pixel_mm)
    peak = float(outline.max())
    return np.asarray(signal / peak, dtype=np.float32), np.asarray(outline > MASK_SHARE * peak)


def crest(signal: Array, lesion: Lesion, pixel_mm: float) -> Array:
    """The signal whose peak is a lesion's contrast: blurred where it is made of grains or lines."""
    if lesion.form not in ("cluster", "radiating"):
        return signal
    return np.asarray(gaussian_filter(signal, CLUSTER_BLUR_MM / pixel_mm, mode="constant"), dtype=np.float32)


def _body(rng: np.random.Generator, lesion: Lesion, x: Array, y: Array) -> Array:
    """A ball in projection: bright middle, edge soft over about a tenth of the radius."""
    radius = lesion.diameter_mm / 2
    turn, squeeze = rng.uniform(0, np.pi), rng.uniform(0.75, 1.0)
    u, v = x * np.cos(turn) + y * np.sin(turn), (y * np.cos(turn) - x * np.sin(turn)) / squeeze
    angle = np.arctan2(v, u)
    lobes = 0.22 if lesion.form == "lobulated" else 0.03
    rim = 1 + sum(
        lobes / np.sqrt(k) * rng.uniform(0.3, 0.8) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4, 5)
    )
    r = np.hypot(u, v) / (radius * rim)
    ball = np.sqrt(np.clip(1 - 0.8 * r * r, 0.05, 1))
    return np.asarray(ball / (1 + np.exp((r - 0.97) / 0.05)), dtype=np.float32)


def _spicules(rng: np.random.Generator, x: Array, y: Array, radius: float, count: int) -> Array:
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    for angle in rng.uniform(0, 2 * np.pi, count):
        bend = rng.normal(0, 0.12) / radius
        u = x * np.cos(angle) + y * np.sin(angle)
        v = y * np.cos(angle) - x * np.sin(angle) + bend * u * u
        length = radius * rng.uniform(0.9, 1.9)
        width = 0.09 * radius * (1 - 0.6 * np.clip(u / length, 0, 1)) + 0.15
        fade = np.clip(1 - u / length, 0, 1) * (u > 0)
        total = np.maximum(total, rng.uniform(0.5, 1.0) * fade * np.exp(-0.5 * (v / width) ** 2))
    return total


def _spiculated(rng: np.random.Generator, lesion: Lesion, x: Array, y: Array) -> Array:
    radius = lesion.diameter_mm / 2
    r = np.hypot(x, y) / (0.55 * radius)
    core = np.exp(-0.5 * r**2.4)
    return np.asarray(core + 0.55 * _spicules(rng, x, y, radius, int(rng.integers(14, 26))), dtype=np.float32)


def _cluster(rng: np.random.Generator, lesion: Lesion, x: Array, y: Array) -> Array:
    radius = lesion.diameter_mm / 2
    pixel = float(x[0, 1] - x[0, 0])
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    # As many grains an area in a wide group as in one of 12 mm.
    for _ in range(int(rng.integers(30, 60) * max(1.0, (lesion.diameter_mm / 12) ** 2))):
        px, py = rng.normal(0, 0.45 * radius, 2)
        sigma = max(rng.uniform(0.15, 0.40), 0.45 * pixel)
        total += rng.lognormal(0, 0.4) * np.exp(-0.5 * ((x - px) ** 2 + (y - py) ** 2) / sigma**2)
    # A faint haze of unresolved grains joins them.
    return total + 0.12 * np.exp(-0.5 * (x * x + y * y) / (0.55 * radius) ** 2)


def _radiating(rng: np.random.Generator, lesion: Lesion, x: Array, y: Array) -> Array:
    radius = lesion.diameter_mm / 2
    lines = _spicules(rng, x, y, radius, int(rng.integers(18, 30)))
    return lines + 0.15 * np.exp(-0.5 * (x * x + y * y) / (0.4 * radius) ** 2)


def _focal(rng: np.random.Generator, lesion: Lesion, x: Array, y: Array) -> Array:
    """Tissue like the gland's own, without a convex border."""
    radius = lesion.diameter_mm / 2
    pixel = float(x[0, 1] - x[0, 0])
    noise = power_law(rng, Frame(y.size, x.size, pixel), 3.0, shortest_mm=0.6)
    r = np.hypot(x, y) / radius
    return np.asarray(np.exp(-0.5 * (r / 0.6) ** 2) * np.clip(1 + 0.35 * noise, 0.1, 2), dtype=np.float32)

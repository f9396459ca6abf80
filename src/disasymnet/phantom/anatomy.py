"""A woman, her breasts, and outline, muscle and gland of each in one view, with the chest wall at column 0."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from disasymnet.phantom.fields import Array, Frame, Spectrum, enlarge, power_law, shared_noise, smoothstep
from disasymnet.phantom.settings import DENSITIES, Density
from disasymnet.terms import View

Points = NDArray[np.float64]

COARSE_ROWS = 160
"""Smooth maps are made at 1.5 mm and enlarged."""

AMOUNT: dict[Density, float] = {"A": -1.0, "B": -0.35, "C": 0.35, "D": 0.95}
"""Mean of the dense tissue inside the gland before its random part, from almost none to nearly full."""

WIDE: dict[Density, tuple[float, float]] = {"A": (0.75, 1.05), "B": (0.8, 1.1), "C": (0.9, 1.2), "D": (0.95, 1.25)}
"""Extent of the gland across its axis relative to the breast's reach."""


@dataclass(frozen=True)
class Woman:
    """What both breasts of a woman share; lengths in mm."""

    density: Density
    reach: float  # nipple to chest wall
    plumpness: float  # height of the lower half relative to `reach`
    nipple_y: float  # of the MLO view
    shoulder: float  # width at the upper edge of the MLO view relative to `reach`
    muscle_x: float
    muscle_y: float
    muscle_bend: float  # convex above 0
    amount: float
    gland: float  # length of the gland relative to `reach`
    gland_wide: float
    tilt: float  # of the gland's axis in the MLO view
    fold: float  # width of what is seen of the fold below the breast
    fibres: float
    exposure: float
    contrast: float


@dataclass(frozen=True)
class Breast:
    """One breast: its woman, and how it differs from the other one."""

    woman: Woman
    size: float
    shift_mm: float
    muscle: float
    amount: float
    exposure: float


@dataclass(frozen=True)
class Anatomy:
    """Maps of one view on its frame: depth under the skin in mm (negative in air), muscle and gland in [0, 1]."""

    frame: Frame
    depth: Array
    muscle: Array
    gland: Array
    nipple: tuple[float, float]
    reach: float

    @property
    def breast(self) -> NDArray[np.bool_]:
        """Everything that is not air, muscle included."""
        return np.asarray(self.depth > 0)


@dataclass(frozen=True)
class SharedNoise:
    """Low-frequency noise that both breasts of a woman share in one view, by what it shapes."""

    border: Spectrum
    clumps: Spectrum
    strands: Spectrum
    texture: Spectrum


def draw_shared_noise(rng: np.random.Generator) -> SharedNoise:
    """Independent noise for each of the four."""
    return SharedNoise(*(shared_noise(rng) for _ in range(4)))


def draw_woman(rng: np.random.Generator, density: Density) -> Woman:
    """A woman with a given breast density; sizes follow those of screening films (outline areas 100 to 270 cm2)."""
    grade = DENSITIES.index(density)
    return Woman(
        density=density,
        reach=float(np.clip(rng.normal(100 - 6 * grade, 16), 60, 142)),
        plumpness=float(rng.uniform(0.72, 0.95)),
        nipple_y=float(rng.uniform(122, 150)),
        shoulder=float(rng.uniform(0.55, 0.88)),
        muscle_x=float(rng.uniform(34, 62)),
        muscle_y=float(rng.uniform(85, 165)),
        muscle_bend=float(rng.uniform(-0.12, 0.16)),
        amount=float(AMOUNT[density] + rng.normal(0, 0.15)),
        gland=float(rng.uniform(0.78, 0.98)),
        gland_wide=float(rng.uniform(*WIDE[density])),
        tilt=float(rng.uniform(0.2, 0.5)),
        fold=float(max(0.0, rng.normal(-1, 6))),
        fibres=float(rng.uniform(0.7, 1.3)),
        exposure=float(rng.normal(0, 1)),
        contrast=float(rng.normal(0, 1)),
    )


def draw_breast(rng: np.random.Generator, woman: Woman) -> Breast:
    """One of her breasts: a few per cent larger or smaller, a few mm higher or lower, a little other exposure.

    The spreads give the likeness of right and left that mini-MIAS has (benchmarks/phantom_targets.py).
    """
    size, plump, shoulder, wide, long = np.exp(rng.normal(0, (0.03, 0.05, 0.06, 0.08, 0.05)))
    own = replace(
        woman,
        plumpness=float(woman.plumpness * plump),
        shoulder=float(min(woman.shoulder * shoulder, 0.95)),
        gland=float(min(woman.gland * long, 1.0)),
        gland_wide=float(woman.gland_wide * wide),
        tilt=float(woman.tilt + rng.normal(0, 0.06)),
        fold=float(max(0.0, woman.fold + rng.normal(0, 3))),
    )
    return Breast(
        woman=own,
        size=float(size),
        shift_mm=float(rng.normal(0, 5)),
        muscle=float(np.exp(rng.normal(0, 0.10))),
        amount=float(rng.normal(0, 0.10)),
        exposure=float(rng.normal(0, 0.6)),
    )


def outline(woman: Woman, breast: Breast, view: View, rng: np.random.Generator) -> tuple[Points, tuple[float, float]]:
    """Skin line as points (x, y) about 1 mm apart from top to bottom, and the tip of the nipple."""
    reach = woman.reach * breast.size
    line = _mlo(woman, reach, breast) if view is View.MLO else _cc(woman, reach, breast)
    line = _evenly(line, 1.0)
    line = gaussian_filter1d(line, 4.0, axis=0, mode="nearest")
    tangent = np.gradient(line, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1)
    along = np.arange(len(line))
    waves = sum(
        rng.normal(0, 1.3 / k) * np.sin(2 * np.pi * (k * along / len(line) + rng.uniform())) for k in range(2, 7)
    )
    tip = int(np.argmax(line[:, 0]))
    bump = rng.uniform(0.5, 4.0) * np.exp(-(((along - tip) / rng.uniform(4.5, 6.0)) ** 4))
    line = line + normal * (waves + bump)[:, None]
    return line, (float(line[tip, 0]), float(line[tip, 1]))


def _mlo(woman: Woman, reach: float, breast: Breast) -> Points:
    nipple_y = woman.nipple_y + breast.shift_mm
    y = np.arange(-40.0, nipple_y, 1.0)
    s = np.clip((nipple_y - y) / nipple_y, 0, 1)
    bell = 0.5 * (1 + np.cos(np.pi * s))
    top = woman.shoulder * reach
    x = top + (reach - top) * (0.6 * bell + 0.4 * (1 - s**2)) - 0.25 * np.minimum(y, 0)
    t = np.linspace(0, np.pi / 2, 200)
    height = woman.plumpness * reach
    lower = np.stack([reach * np.cos(t) ** 0.95, nipple_y + height * np.sin(t) ** 0.95], axis=1)
    upper = np.stack([x, y], axis=1)
    if woman.fold <= 0:
        return np.concatenate([upper, lower, [[-25.0, lower[-1, 1]]]])
    lower = lower[lower[:, 0] > woman.fold]
    belly_y = np.arange(lower[-1, 1] + 1, 300.0, 1.0)
    belly = np.stack([woman.fold + 0.08 * (belly_y - belly_y[0]), belly_y], axis=1)
    return np.concatenate([upper, lower, belly])


def _cc(woman: Woman, reach: float, breast: Breast) -> Points:
    middle = 120 + breast.shift_mm
    t = np.linspace(-np.pi / 2, np.pi / 2, 400)
    half = min(112.0, (0.25 + woman.plumpness) * 0.86 * reach)
    x = 0.93 * reach * np.cos(t) ** 0.9
    y = middle + half * np.sign(t) * np.abs(np.sin(t)) ** 0.92
    body = np.stack([x, y], axis=1)
    above = np.stack([[-25.0, -1.0], [y[0], y[0]]], axis=1)
    below = np.stack([[-1.0, -25.0], [y[-1], y[-1]]], axis=1)
    return np.concatenate([above, body, below])


def _evenly(line: Points, step: float) -> Points:
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.arange(0.0, way[-1], step)
    return np.stack([np.interp(at, way, line[:, 0]), np.interp(at, way, line[:, 1])], axis=1)


def depth_below(line: Points, frame: Frame) -> Array:
    """Distance in mm of each pixel of `frame` to the skin line, negative outside."""
    tangent = np.gradient(line, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    x, y = frame.axes()
    places = np.stack(np.broadcast_arrays(x, y), axis=-1).reshape(-1, 2).astype(np.float64)
    _, nearest = cKDTree(line).query(places)
    away = places - line[nearest]
    # Towards the wall (left of a line that runs downwards) is inside.
    depth = away[:, 1] * tangent[nearest, 0] - away[:, 0] * tangent[nearest, 1]
    return np.asarray(depth.reshape(frame.shape), dtype=np.float32)


def draw_anatomy(rng: np.random.Generator, breast: Breast, view: View, frame: Frame, shared: SharedNoise) -> Anatomy:
    """Outline, muscle and gland of a breast in one view."""
    woman = breast.woman
    line, nipple = outline(woman, breast, view, rng)
    coarse = frame.coarse(COARSE_ROWS)
    depth = depth_below(line, coarse)
    noise = power_law(rng, coarse, 3.0, shared=(shared.border, 0.85))
    muscle = _muscle(rng, breast, view, coarse)
    gland = _gland(breast, view, coarse, nipple, noise) * smoothstep((depth - 2) / 12) * (1 - 0.75 * muscle)
    return Anatomy(
        frame=frame,
        depth=enlarge(depth, frame),
        muscle=np.clip(enlarge(muscle, frame), 0, 1),
        gland=np.clip(enlarge(gland, frame), 0, 1),
        nipple=nipple,
        reach=woman.reach * breast.size,
    )


def _muscle(rng: np.random.Generator, breast: Breast, view: View, frame: Frame) -> Array:
    x, y = frame.axes()
    woman = breast.woman
    if view is View.CC:
        # The muscle shows in a minority of CC views, as a flat crescent at the wall.
        deep = rng.uniform(3, 10) if rng.uniform() < 0.15 else 0.0
        return smoothstep((deep * (1 - ((y - 120) / 70) ** 2) - x) / 6) * np.float32(deep > 0)
    # A strip of fat always parts the muscle from the skin.
    wide = min(woman.muscle_x * breast.muscle, 0.68 * woman.shoulder * woman.reach * breast.size)
    high = woman.muscle_y * breast.muscle + breast.shift_mm
    bend = woman.muscle_bend + rng.normal(0, 0.03)
    t = np.clip(y / high, 0, 2)
    edge = wide * (1 - t + bend * np.sin(np.pi * np.clip(t, 0, 1)))
    return smoothstep((edge - x) / rng.uniform(8, 20) + 0.5)


def _gland(breast: Breast, view: View, frame: Frame, nipple: tuple[float, float], noise: Array) -> Array:
    x, y = frame.axes()
    woman = breast.woman
    reach = woman.reach * breast.size
    # In the MLO view the gland reaches up towards the axilla.
    tilt = woman.tilt if view is View.MLO else 0.3 * woman.tilt
    length, wide = 0.5 * woman.gland * reach, 0.5 * woman.gland_wide * reach * (1.0 if view is View.MLO else 1.1)
    cx, cy = nipple[0] - 0.98 * length - 3, nipple[1] - 0.9 * tilt * length
    cos, sin = np.cos(tilt), np.sin(tilt)
    u = ((x - cx) * cos + (y - cy) * sin) / length
    v = (-(x - cx) * sin + (y - cy) * cos) / wide
    # Narrow at the nipple, wide towards the wall.
    v = v / np.clip(0.75 - 0.35 * u, 0.35, 1.1)
    q = np.sqrt(u * u + v * v)
    return smoothstep((1.25 - q + 0.18 * noise) / 0.6)

"""Grey of a breast without lesions, in two styles, from its anatomy and its random fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from disasymnet.phantom.anatomy import COARSE_ROWS, Anatomy, Breast, SharedNoise
from disasymnet.phantom.fibres import draw_fibres
from disasymnet.phantom.fields import Array, Frame, enlarge, power_law, smoothstep


@dataclass(frozen=True)
class Look:
    """Constants of a style, in [0, 1] of the grey range unless said; calibrated by benchmarks/phantom_targets.py."""

    fat: float
    dense: float
    texture: float
    fibre: float
    muscle: float
    skin: float
    ramp_mm: float
    ramp_power: float
    top: float  # grey that the brightest tissue approaches
    knee: float  # sharpness of that approach
    exposure: float  # spread of the gain between women
    air: float
    glow: float
    noise: float
    levels: int


LOOKS: dict[Literal["digital", "film"], Look] = {
    "film": Look(
        fat=0.52, dense=0.38, texture=0.042, fibre=0.082, muscle=0.39, skin=0.008, ramp_mm=11.0,
        ramp_power=1.3, top=0.91, knee=5.0,
        exposure=0.10, air=0.008, glow=0.04, noise=0.0033, levels=256,
    ),
    "digital": Look(
        fat=0.185, dense=0.46, texture=0.035, fibre=0.085, muscle=0.36, skin=0.03, ramp_mm=4.0,
        ramp_power=0.9, top=0.90, knee=3.0,
        exposure=0.08, air=0.004, glow=0.02, noise=0.002, levels=4096,
    ),
}  # fmt: skip

SPREAD = {"A": 0.55, "B": 0.75, "C": 0.70, "D": 0.55}
"""Spread of the random part of the dense tissue about its mean."""


def draw_tissue(rng: np.random.Generator, breast: Breast, anatomy: Anatomy, shared: SharedNoise, look: Look) -> Array:
    """Grey in [0, 1] without noise, view marker and lesions; air included."""
    frame = anatomy.frame
    half = frame.coarse(max(128, frame.rows // 2))
    clumps = power_law(rng, half, 3.2, shared=(shared.clumps, 0.8))
    streaks = _towards_nipple(power_law(rng, half, 3.0, shared=(shared.strands, 0.8)), half, anatomy.nipple)
    clumps = enlarge(0.6 * clumps + 0.8 * streaks, frame)
    fine = power_law(rng, frame, 2.85, shared=(shared.texture, 0.5))
    woman = breast.woman
    level = woman.amount + breast.amount
    web = _web(rng, half, frame)
    dense = anatomy.gland * smoothstep(0.38 + 0.36 * (level + SPREAD[woman.density] * clumps))
    fibres = draw_fibres(rng, anatomy, woman.fibres)
    return _grey(breast, anatomy, look, (dense, fine, fibres + web))


def _web(rng: np.random.Generator, coarse: Frame, frame: Frame) -> Array:
    """Septa: thin curved sheets where a smooth field passes zero, strong here and faint there."""
    folds = power_law(rng, coarse, 2.6, shortest_mm=2.2)
    strength = power_law(rng, coarse.coarse(COARSE_ROWS), 3.0)
    ridge = np.exp(-((enlarge(folds, frame) / 0.09) ** 2))
    return np.asarray(0.45 * ridge * np.clip(0.5 + 0.6 * enlarge(strength, frame), 0, 2), dtype=np.float32)


def _towards_nipple(field: Array, frame: Frame, nipple: tuple[float, float]) -> Array:
    """The field read in polar coordinates about the nipple and stretched along the radius: strands to the nipple."""
    x, y = frame.axes()
    dx, dy = nipple[0] + 12 - x, y - nipple[1]
    radius = np.hypot(dx, dy)
    angle = np.arctan2(dy, dx)
    col = radius / 3.0 / frame.pixel_mm
    row = (frame.size_mm[0] / 2 + angle * 65.0) / frame.pixel_mm
    return _bilinear(field, row, col)


def _bilinear(field: Array, row: Array, col: Array) -> Array:
    row, col = np.clip(row, 0, field.shape[0] - 1.001), np.clip(col, 0, field.shape[1] - 1.001)
    top, left = row.astype(np.int32), col.astype(np.int32)
    fy, fx = (row - top).astype(np.float32), (col - left).astype(np.float32)
    at = top * field.shape[1] + left
    flat = field.ravel()
    upper = flat[at] * (1 - fx) + flat[at + 1] * fx
    at = at + field.shape[1]
    lower = flat[at] * (1 - fx) + flat[at + 1] * fx
    return np.asarray(upper * (1 - fy) + lower * fy, dtype=np.float32)


def _grey(breast: Breast, anatomy: Anatomy, look: Look, parts: tuple[Array, Array, Array]) -> Array:
    dense, fine, fibres = parts
    woman = breast.woman
    depth = np.maximum(anatomy.depth, 0)
    # Compression rounds the rim off: the path through tissue, and with it the grey, falls towards the skin.
    thick = 1 - np.exp(-((depth / look.ramp_mm) ** look.ramp_power))
    gain = np.float32(1 + look.exposure * (woman.exposure + breast.exposure))
    soft = 1 - 0.35 * anatomy.muscle
    tissue = look.fat + look.dense * (1 + 0.12 * woman.contrast) * dense
    tissue = tissue + look.texture * (0.36 + 1.0 * dense) * fine * soft
    tissue = tissue + look.fibre * (0.55 + 0.6 * dense) * fibres * soft
    # Muscle thickens from its edge towards the axilla.
    x, y = anatomy.frame.axes()
    thicker = 0.7 + 0.4 * np.exp(-x / 30) * np.exp(-y / 90)
    tissue = tissue + look.muscle * (1 + 0.1 * woman.contrast) * thicker * anatomy.muscle * (1 - 0.6 * dense)
    rim = look.skin * np.exp(-(((anatomy.depth - 1.0) / 0.8) ** 2))
    value = np.maximum((tissue * thick + rim) * gain, 0)
    value = value / (1 + (value / look.top) ** look.knee) ** (1 / look.knee)
    air = look.air + look.glow * np.exp(np.minimum(anatomy.depth, 0) / 5)
    return np.asarray(value + air * (1 - thick), dtype=np.float32)


def add_noise(rng: np.random.Generator, grey: Array, look: Look) -> Array:
    """White noise that grows with the square root of the grey (quanta), little: texture dominates in real pictures."""
    noise = rng.standard_normal(grey.shape, dtype=np.float32)
    return np.asarray(look.noise * noise * np.sqrt(0.3 + 0.7 * grey / 0.5), dtype=np.float32)


def blur(grey: Array, frame: Frame) -> Array:
    """Sharpness of the detector and of optics, about 0.08 mm; coarser pixels are sharper than that."""
    sigma = 0.08 / frame.pixel_mm
    return grey if sigma < 0.35 else np.asarray(gaussian_filter(grey, sigma), dtype=np.float32)


def stored(grey: Array, look: Look) -> NDArray[np.uint16]:
    """12-bit values; a film has only 256 levels among them."""
    level = np.rint(np.clip(grey, 0, 1) * (look.levels - 1))
    return np.rint(level * (4095 / (look.levels - 1))).astype(np.uint16)

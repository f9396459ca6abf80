"""Thin bright curves: ducts that run to the nipple, Cooper's ligaments across, a few vessels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from disasymnet.phantom.anatomy import Anatomy
from disasymnet.phantom.fields import Array, Frame

STEP_MM = 2.0
WIDTHS_MM = (0.20, 0.45)
"""Standard deviation across a thin and a thick fibre."""


def draw_fibres(rng: np.random.Generator, anatomy: Anatomy, amount: float) -> Array:
    """Brightness of all fibres, about 1 on the crest of a strong one, 0 between them."""
    count = int(anatomy.breast.sum() * anatomy.frame.pixel_mm**2 / 10_000 * 900 * amount)
    total = np.zeros(anatomy.frame.shape, dtype=np.float32)
    for width, share in zip(WIDTHS_MM, (0.88, 0.12), strict=True):
        number = max(1, int(count * share))
        x, y, light = _curves(rng, anatomy, number)
        sigma = max(width / anatomy.frame.pixel_mm, 0.35)
        drawn = gaussian_filter(_splat(x, y, light, anatomy.frame), sigma, truncate=3.0)
        # A line of unit weight per pixel of length, blurred, has the crest 1 / (sqrt(2 pi) sigma).
        total += drawn * np.float32(np.sqrt(2 * np.pi) * sigma)
    return total


def _curves(rng: np.random.Generator, anatomy: Anatomy, number: int) -> tuple[Array, Array, Array]:
    """Points (x, y) in mm, a pixel apart, and their weight; one row a curve."""
    steps = 45
    x0, y0 = _starts(rng, anatomy, number)
    nx, ny = anatomy.nipple
    heading = np.arctan2(ny - y0, nx - x0) + rng.normal(0, 0.55, number)
    # A quarter runs anywhere: ligaments and vessels.
    stray = rng.uniform(size=number) < 0.25
    heading = np.where(stray, rng.uniform(0, 2 * np.pi, number), heading)
    bend = np.cumsum(rng.normal(0, 0.012, (number, steps)), axis=1) + rng.normal(0, 0.03, (number, 1))
    wiggle = rng.normal(0, 0.13, (number, steps))
    way = heading[:, None] + np.cumsum(bend + wiggle, axis=1)
    x = x0[:, None] + np.cumsum(np.cos(way), axis=1) * STEP_MM
    y = y0[:, None] + np.cumsum(np.sin(way), axis=1) * STEP_MM
    length = np.clip(rng.lognormal(np.log(13), 0.5, number), 3, steps - 1)
    strength = rng.lognormal(-1.55, 0.65, number)
    return _refine(_single(x), _single(y), (_single(length), _single(strength)), anatomy.frame.pixel_mm)


def _single(values: NDArray[np.float64]) -> Array:
    return values.astype(np.float32)


def _starts(rng: np.random.Generator, anatomy: Anatomy, number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    step = max(1, anatomy.frame.rows // 128)
    weight = (0.5 + anatomy.gland[::step, ::step]) * (anatomy.depth[::step, ::step] > 5)
    total = np.cumsum(weight.ravel(), dtype=np.float64)
    at = np.searchsorted(total, rng.uniform(0, max(total[-1], 1e-9), number)).clip(0, weight.size - 1)
    rows, cols = np.divmod(at, weight.shape[1])
    jitter = rng.uniform(0, 1, (2, number))
    scale = step * anatomy.frame.pixel_mm
    return (cols + jitter[0]) * scale, (rows + jitter[1]) * scale


def _refine(x: Array, y: Array, curves: tuple[Array, Array], pixel: float) -> tuple[Array, Array, Array]:
    length, strength = curves
    # Points a pixel apart: after the blur a line's brightness ripples by less than 1 %.
    fine = max(1, round(STEP_MM / pixel))
    at = np.arange(0, x.shape[1] - 1, 1 / fine, dtype=np.float32)
    curve, point = np.nonzero(at[None, :] < length[:, None])
    place = at[point]
    low = place.astype(np.intp)
    part = place - low
    light = fading(place, length[curve]) * strength[curve] * np.float32(STEP_MM / fine / pixel)
    px = x[curve, low] * (1 - part) + x[curve, low + 1] * part
    py = y[curve, low] * (1 - part) + y[curve, low + 1] * part
    return px, py, light


def fading(place: Array, length: Array) -> Array:
    """Brightness along a curve, float32: 1 in the middle, 0 at both ends."""
    # In float32 pi is too large, and the sine just before the far end below 0.
    light: Array = np.maximum(np.sin(np.pi * place / length), 0) ** 0.7
    return light


def _splat(x: Array, y: Array, light: Array, frame: Frame) -> Array:
    """Weights shared among the four nearest pixels."""
    col, row = x / frame.pixel_mm - 0.5, y / frame.pixel_mm - 0.5
    inside = (col >= 0) & (row >= 0) & (col < frame.cols - 1) & (row < frame.rows - 1)
    col, row, light = col[inside], row[inside], light[inside]
    left, top = col.astype(np.intp), row.astype(np.intp)
    fx, fy = col - left, row - top
    at = top * frame.cols + left
    lower = light * fy
    upper = light - lower
    drawn = np.zeros(frame.rows * frame.cols)
    for step, weight in ((0, upper), (frame.cols, lower)):
        drawn += np.bincount(at + step, weight - weight * fx, drawn.size)
        drawn += np.bincount(at + step + 1, weight * fx, drawn.size)
    return drawn.reshape(frame.shape).astype(np.float32)

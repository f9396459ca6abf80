"""Where lesions stand: at like distance to the nipple in every view, inside the breast, apart from each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from disasymnet.phantom.anatomy import Anatomy
from disasymnet.phantom.fields import Array
from disasymnet.phantom.lesions import Lesion, Placed, crest, shape
from disasymnet.records import Circle
from disasymnet.terms import View

HEADROOM = 0.985
"""Grey that the brightest point of a lesion stays below, so that nothing is clipped."""


def place(
    rng: np.random.Generator,
    anatomy: Anatomy,
    grey: Array,
    lesions: tuple[Lesion, ...],
    view: View,
    apart_from: Sequence[Placed] = (),
) -> tuple[Placed, ...]:
    """Each lesion's signal and mask on the picture's grid, away from what is there; masks do not overlap."""
    taken = np.zeros(anatomy.frame.shape, dtype=bool)
    circles = [other.circle for other in apart_from]
    placed = []
    for lesion in lesions:
        row, col = _spot(rng, anatomy, lesion, circles)
        pixel = anatomy.frame.pixel_mm
        circles.append(Circle((col + 0.5) * pixel, (row + 0.5) * pixel, lesion.diameter_mm / 2))
        one = _cut(lesion, circles[-1], (row, col), anatomy, grey, view)
        one = replace(one, mask=one.mask & ~taken[one.window])
        taken[one.window] |= one.mask
        placed.append(one)
    return tuple(placed)


def add(grey: Array, placed: Sequence[Placed]) -> Array:
    """`grey` with all signals added."""
    total = grey.copy()
    for one in placed:
        total[one.window] += one.signal
    return total


def _spot(rng: np.random.Generator, anatomy: Anatomy, lesion: Lesion, others: list[Circle]) -> tuple[int, int]:
    frame = anatomy.frame
    step = max(1, frame.rows // 128)
    grid = (slice(step // 2, None, step), slice(step // 2, None, step))
    depth, muscle, gland = anatomy.depth[grid], anatomy.muscle[grid], anatomy.gland[grid]
    x, y = frame.axes()
    x, y = x[:, step // 2 :: step], y[step // 2 :: step]
    radius = lesion.diameter_mm / 2
    room = np.minimum(depth, np.minimum(x, np.minimum(y, frame.size_mm[0] - y)))
    away = np.hypot(x - anatomy.nipple[0], y - anatomy.nipple[1])
    wanted = np.exp(-0.5 * ((away - lesion.to_nipple * anatomy.reach) / 7) ** 2) + 1e-6
    weight = wanted * (0.25 + gland) * (muscle < 0.3)
    for other in others:
        weight = weight * (np.hypot(x - other.x, y - other.y) > other.radius + radius + 4)
    for margin in (1.25 * radius + 3, 0.9 * radius, 0.4 * radius, 0.0):
        allowed = weight * (room > margin)
        if allowed.sum() > 0:
            break
    else:
        allowed = np.where(depth == depth.max(), 1.0, 0.0)
    total = np.cumsum(allowed.ravel(), dtype=np.float64)
    at = int(np.searchsorted(total, rng.uniform(0, total[-1])).clip(0, total.size - 1))
    row, col = divmod(at, depth.shape[1])
    return row * step + step // 2, col * step + step // 2


def _cut(lesion: Lesion, circle: Circle, centre: tuple[int, int], anatomy: Anatomy, grey: Array, view: View) -> Placed:
    """The lesion's window, cut at the picture's edge and faded out at the skin."""
    frame = anatomy.frame
    signal, mask = shape(lesion, frame.pixel_mm, view)
    half = signal.shape[0] // 2
    r0, c0 = centre[0] - half, centre[1] - half
    rows = slice(max(0, -r0), min(signal.shape[0], frame.rows - r0))
    cols = slice(max(0, -c0), min(signal.shape[1], frame.cols - c0))
    r0, c0 = max(0, r0), max(0, c0)
    signal, mask = signal[rows, cols], mask[rows, cols]
    window = (slice(r0, r0 + signal.shape[0]), slice(c0, c0 + signal.shape[1]))
    inside = np.clip((anatomy.depth[window] - 0.5) / 2.0, 0, 1)
    signal = signal * inside
    base = grey[window]
    # Grains of calcium are several times brighter than their cluster's mean; they saturate softly.
    room = np.maximum(HEADROOM - base, 0.02)
    added = lesion.contrast * signal
    added = np.asarray(added / (1 + (added / room) ** 4) ** 0.25, dtype=np.float32)
    peak = float(crest(added, lesion, frame.pixel_mm).max())
    return Placed(lesion, circle, (r0, c0), added, mask & (inside > 0), peak)

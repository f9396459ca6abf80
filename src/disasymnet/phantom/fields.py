"""Random fields and the frames that they live on; lengths in millimetres, so that any pixel size gives like tissue."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft

Array = NDArray[np.floating[Any]]
"""float32 in practice."""
Spectrum = NDArray[np.complex64]

SHARED_BINS = 24
"""Lowest frequencies that right and left breast share; at 240 mm a bin is 1/240 cycle per mm, so up to 0.1."""


@dataclass(frozen=True)
class Frame:
    """Rows, columns and pixel size; chest wall at column 0, x grows to the nipple, y downwards, both in mm."""

    rows: int
    cols: int
    pixel_mm: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.cols

    @property
    def size_mm(self) -> tuple[float, float]:
        """Height and width."""
        return self.rows * self.pixel_mm, self.cols * self.pixel_mm

    def coarse(self, rows: int) -> Frame:
        """The same field with about that many rows, never finer than this frame."""
        if rows >= self.rows:
            return self
        step = self.rows / rows
        return Frame(rows, max(8, round(self.cols / step)), self.pixel_mm * step)

    def axes(self) -> tuple[Array, Array]:
        """Pixel centres x (1, cols) and y (rows, 1) in mm."""
        x = (np.arange(self.cols, dtype=np.float32) + 0.5) * np.float32(self.pixel_mm)
        y = (np.arange(self.rows, dtype=np.float32) + 0.5) * np.float32(self.pixel_mm)
        return x[None, :], y[:, None]


def enlarge(field: Array, frame: Frame) -> Array:
    """`field` of a coarser frame on the grid of `frame`, bicubic."""
    if field.shape == frame.shape:
        return field
    picture = Image.fromarray(np.ascontiguousarray(field, dtype=np.float32))
    return np.asarray(picture.resize((frame.cols, frame.rows), Image.Resampling.BICUBIC), dtype=np.float32)


def smoothstep(value: Array) -> Array:
    """0 below 0, 1 above 1, a cubic in between."""
    t = np.clip(value, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


@lru_cache(maxsize=16)
def _amplitude(rows: int, cols: int, pixel_mm: float, beta: float, shortest_mm: float) -> Array:
    fy = np.fft.fftfreq(rows, pixel_mm)[:, None]
    fx = np.fft.rfftfreq(cols, pixel_mm)[None, :]
    f2 = fx * fx + fy * fy
    # Below one cycle in 120 mm (a breast) the power law of real tissue no longer holds: the spectrum is flat there.
    amplitude = (f2 + (1 / 120) ** 2) ** (-beta / 4)
    if shortest_mm:
        amplitude *= np.exp(-0.5 * f2 * shortest_mm**2)
    amplitude[0, 0] = 0
    weight = np.full(amplitude.shape, 2.0)
    weight[:, 0] = 1
    # Unit variance: the sum over all frequencies of the power is the square of the grid's size.
    scale = rows * cols / np.sqrt((weight * amplitude**2).sum())
    return np.asarray(amplitude * scale, dtype=np.float32)


def shared_noise(rng: np.random.Generator) -> Spectrum:
    """White noise of the lowest frequencies, (2 SHARED_BINS, SHARED_BINS), for both breasts of a woman."""
    return _white(rng, 2 * SHARED_BINS, SHARED_BINS)


def _white(rng: np.random.Generator, rows: int, cols: int) -> Spectrum:
    pair = rng.standard_normal((rows, cols, 2), dtype=np.float32) * np.float32(np.sqrt(0.5))
    return pair.view(np.complex64)[..., 0]


def power_law(
    rng: np.random.Generator,
    frame: Frame,
    beta: float,
    *,
    shortest_mm: float = 0.0,
    shared: tuple[Spectrum, float] | None = None,
) -> Array:
    """Gaussian field, mean 0, variance 1, with P(f) ~ f^-beta above one cycle in 120 mm.

    `shared` = noise of both breasts and its correlation at the lowest frequency, falling to 0 at SHARED_BINS.
    `shortest_mm` damps detail finer than about that length.
    """
    rows, cols = fft.next_fast_len(frame.rows, real=True), fft.next_fast_len(frame.cols, real=True)
    spectrum = _white(rng, rows, cols // 2 + 1)
    if shared is not None:
        _mix(spectrum, *shared)
    spectrum *= _amplitude(rows, cols, frame.pixel_mm, beta, shortest_mm)
    field = fft.irfft2(spectrum, s=(rows, cols))
    return np.asarray(field[: frame.rows, : frame.cols], dtype=np.float32)


def _mix(spectrum: Spectrum, shared: Spectrum, correlation: float) -> None:
    bins = min(SHARED_BINS, spectrum.shape[0] // 2, spectrum.shape[1])
    k = np.arange(bins)
    fall = correlation * np.clip(1 - np.hypot(k[:, None], k[None, :]) / SHARED_BINS, 0, 1).astype(np.float32)
    own = np.sqrt(1 - fall * fall)
    spectrum[:bins, :bins] = fall * shared[:bins, :bins] + own * spectrum[:bins, :bins]
    # Negative row frequencies -1, -2, ... stand at the end of the spectrum.
    low = slice(1, bins)
    spectrum[-1:-bins:-1, :bins] = (
        fall[low] * shared[SHARED_BINS : SHARED_BINS + bins - 1, :bins] + own[low] * spectrum[-1:-bins:-1, :bins]
    )

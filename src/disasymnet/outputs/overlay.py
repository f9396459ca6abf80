"""Heat maps on mammograms: one hue that grows lighter and denser with the value, and a contour, so that no meaning
hangs on colour alone."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin
from scipy.ndimage import binary_erosion

Rgb = npt.NDArray[np.uint8]

# From dark red to pale yellow with rising lightness: readable in grey and with red-green blindness.
_STOPS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
_COLOURS = np.array([[64, 0, 20], [150, 25, 30], [222, 88, 24], [250, 168, 52], [255, 240, 180]], dtype=np.float64)
_CONTOUR = np.array([255, 240, 180], dtype=np.uint8)
_DENSEST = 0.6
NOTE = "Research use only. Not for diagnosis."
SYNTHETIC_NOTE = "Synthetic picture: computed, not measured. " + NOTE


def colours(value: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(..., 3) RGB in [0, 255] of values in [0, 1]."""
    clipped = np.clip(np.asarray(value, dtype=np.float64), 0, 1)
    return np.stack([np.interp(clipped, _STOPS, _COLOURS[:, channel]) for channel in range(3)], axis=-1)


def heat_map(pixels: npt.NDArray[Any], cam: npt.NDArray[Any], level: float | None = 0.5) -> Rgb:
    """(rows, columns, 3): the picture in grey, the map over it with opacity by value, a contour where it is `level`.

    Both inputs in [0, 1] on one grid.
    """
    grey = np.clip(np.asarray(pixels, dtype=np.float64), 0, 1)[..., None] * 255
    opacity = (_DENSEST * np.clip(cam, 0, 1))[..., None]
    mixed: Rgb = np.round(grey * (1 - opacity) + colours(cam) * opacity).astype(np.uint8)
    if level is not None:
        mixed[contour(np.asarray(cam) >= level)] = _CONTOUR
    return mixed


def contour(mask: npt.NDArray[np.bool_], thick: int | None = None) -> npt.NDArray[np.bool_]:
    """The inner rim of a mask, `thick` pixels wide; None: as one pixel of a 512-row picture."""
    thick = max(1, round(mask.shape[0] / 512)) if thick is None else thick
    rim: npt.NDArray[np.bool_] = mask & ~binary_erosion(mask, iterations=thick, border_value=1)
    return rim


def grey16(values: npt.NDArray[Any], note: str = NOTE) -> bytes:
    """A 16-bit grey PNG of values in [0, 1], with a note in its text."""
    stored = np.round(np.clip(np.asarray(values, dtype=np.float64), 0, 1) * 65535).astype(np.uint16)
    return _png(Image.fromarray(stored), note)


def rgb8(values: Rgb, note: str = NOTE) -> bytes:
    """An 8-bit PNG, (rows, columns, 3) in colour or (rows, columns) in grey, with a note in its text."""
    return _png(Image.fromarray(values), note)


def _png(image: Image.Image, note: str) -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", note)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=text)
    return buffer.getvalue()

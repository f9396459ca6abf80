"""View markers: letters burnt into the air beside the breast, as on real pictures."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from disasymnet.phantom.anatomy import Anatomy
from disasymnet.phantom.fields import Array
from disasymnet.terms import Laterality, View

CLEAR_MM = 6.0
"""Distance that a marker keeps to the skin."""


def draw_marker(rng: np.random.Generator, anatomy: Anatomy, side: Laterality, view: View, style: str) -> Array | None:
    """Brightness of the marker in [0, 1] on the canonical grid, mirrored for the right breast; None without room."""
    frame = anatomy.frame
    tag = _tag(f"{side.value} {view.value}", max(9, round(7.0 / frame.pixel_mm)), lead=style == "film")
    if style == "film":
        turned = Image.fromarray(tag).rotate(rng.uniform(-12, 12), expand=True, resample=Image.Resampling.BILINEAR)
        tag = np.asarray(turned)
    if side is Laterality.RIGHT:
        tag = tag[:, ::-1]
    rows, cols = tag.shape
    left = frame.cols - cols - max(2, round(rng.uniform(2, 8) / frame.pixel_mm))
    if left < 0:
        return None
    top_mm, bottom_mm = rng.uniform(5, 20), frame.size_mm[0] - 15
    for start in (top_mm, bottom_mm):
        top = min(round(start / frame.pixel_mm), frame.rows - rows - 1)
        place = (slice(top, top + rows), slice(left, left + cols))
        if top >= 0 and anatomy.depth[place].max() < -CLEAR_MM:
            marker = np.zeros(frame.shape, dtype=np.float32)
            marker[place] = tag.astype(np.float32) / 255
            return marker
    return None


def _tag(text: str, height: int, *, lead: bool) -> np.ndarray:
    """Letters on black, or, in films, black letters on an exposed plate."""
    font = ImageFont.load_default(height)
    x0, y0, x1, y1 = font.getbbox(text)
    pad = max(1, height // 4)
    size = (int(x1 - x0) + 2 * pad, int(y1 - y0) + 2 * pad)
    plate = Image.new("L", size, 235 if lead else 0)
    ImageDraw.Draw(plate).text((pad - x0, pad - y0), text, font=font, fill=15 if lead else 230)
    return np.asarray(plate)

"""The gallery as pictures, hung as radiologists hang: right breast on the screen's left, chest walls together."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from PIL import Image
from safetensors import SafetensorError

from disasymnet.errors import CheckpointError
from disasymnet.outputs.overlay import NOTE, SYNTHETIC_NOTE, Rgb, colours, contour, heat_map, rgb8

HEIGHT = 288
"""Rows of a panel on the page."""
FULL_DIFFERENCE = 0.2
"""Grey at which the difference is at full colour; fixed, never stretched to the picture."""
_REMOVED, _ADDED = np.array([255, 176, 64.0]), np.array([84, 160, 255.0])
_MARK = np.array([120, 230, 210], dtype=np.uint8)
_GAP = 2


@dataclass(frozen=True)
class Panel:
    """One picture of a pair."""

    title: str
    uri: str
    alt: str


@dataclass(frozen=True)
class Hung:
    """One pair with its panels and what is known and said of it."""

    facts: dict[str, Any]
    panels: tuple[Panel, ...]


def read_gallery(folder: Path, level: float) -> tuple[list[Hung], str]:
    """The pairs of an evaluation's gallery with the rule they were chosen by; `level` draws the CAM's contour."""
    try:
        listed = json.loads((folder / "gallery.json").read_text(encoding="utf-8"))
        arrays = safetensors.numpy.load_file(folder / "gallery.safetensors")
        entries, rule = listed["pairs"], str(listed["rule"])
        return [Hung(entry, _panels(number, entry, arrays, level)) for number, entry in enumerate(entries)], rule
    except (OSError, ValueError, KeyError, SafetensorError):
        raise CheckpointError(
            "the gallery of this evaluation is missing or damaged", where=folder, hint="Run disasymnet evaluate again."
        ) from None


def _panels(
    number: int, entry: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], level: float
) -> tuple[Panel, ...]:
    def stack(part: str) -> npt.NDArray[np.float64] | None:
        found = arrays.get(f"{number:02d}.{part}")
        return None if found is None else np.stack([_enlarged(side) for side in found])

    image, cam = (_needed(stack(part), part) / 255 for part in ("image", "cam"))
    breast, lesion = (_needed(stack(part), part) >= 0.5 for part in ("breast", "lesion"))
    cam = cam * breast
    name = f"pair {entry['pair']}, {entry['view']}"
    window = max(float(np.percentile(image[breast], 99.5)) if breast.any() else 1.0, 0.05)

    def shown(grey: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.clip(grey / window, 0, 1)

    def panel(title: str, rgb: npt.NDArray[Any], note: str = NOTE) -> Panel:
        return Panel(title, _uri(rgb8(hang(rgb), note)), f"{title}: {name}; right breast on the left")

    grey = np.stack([shown(image)] * 3, -1) * 255
    made = [panel("Input", grey)]
    made.append(panel("Heat map", np.stack([heat_map(shown(x), m, level) for x, m in zip(image, cam, strict=True)])))
    normal, signed, truth = stack("normal"), stack("difference"), stack("truth")
    if normal is not None:
        made.append(panel("Symmetric (synthetic)", np.stack([shown(normal / 255)] * 3, -1) * 255, SYNTHETIC_NOTE))
    if signed is not None:
        made.append(panel("Difference", difference(signed / 1000)))
    if truth is not None:
        made.append(panel("Truth, lesion marked", _marked(np.stack([shown(truth / 255)] * 3, -1) * 255, lesion)))
    elif lesion.any():
        made.append(panel("Marked by the reader", _marked(grey, lesion)))
    return tuple(made)


def _needed(found: npt.NDArray[np.float64] | None, part: str) -> npt.NDArray[np.float64]:
    if found is None:
        raise KeyError(part)
    return found


def hang(both: npt.NDArray[Any]) -> Rgb:
    """(2, H, W, 3), chest walls at column 0, right first -> one picture: right mirrored on the left, walls together."""
    right, left = np.clip(np.round(both), 0, 255).astype(np.uint8)
    gap = np.full((len(right), _GAP, 3), 60, dtype=np.uint8)
    hung: Rgb = np.concatenate([right[:, ::-1], gap, left], axis=1)
    return hung


def _enlarged(side: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """One side at the panel's height. Before anything is drawn on it, so that contours stay thin."""
    width = max(1, round(side.shape[1] * HEIGHT / side.shape[0]))
    picture = Image.fromarray(side.astype(np.float32))
    return np.asarray(picture.resize((width, HEIGHT), Image.Resampling.BICUBIC), dtype=np.float64)


def difference(signed: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(..., 3) RGB of x - x_n: amber where something was taken out, blue where something was put in, black for none."""
    share = np.clip(signed / FULL_DIFFERENCE, -1, 1)[..., None]
    mixed: npt.NDArray[np.float64] = np.where(share > 0, share * _REMOVED, -share * _ADDED)
    return mixed


def _marked(rgb: npt.NDArray[np.float64], lesion: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    marked = rgb.copy()
    for side, mask in zip(marked, lesion, strict=True):
        side[contour(mask, 2)] = _MARK
    return marked


def scale_bar(kind: str) -> str:
    """A small horizontal colour bar as data URI: `cam` from 0 to 1, `difference` from -0.2 to 0.2."""
    ramp = np.linspace(0, 1, 160)
    line = colours(ramp) if kind == "cam" else difference((2 * ramp - 1) * FULL_DIFFERENCE)
    return _uri(rgb8(np.repeat(np.round(line).astype(np.uint8)[None], 10, 0)))


def _uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()

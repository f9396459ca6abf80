"""Figure 2 as curves, Figure 3 as pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from disasymnet.data.files import replace_file
from disasymnet.errors import CheckpointError
from disasymnet.outputs.gallery import difference, hang
from disasymnet.outputs.plots import Point, against, pictures
from disasymnet.reproduce.rows import Column

Tree = dict[str, Any]
PAIRS = 6
SYNTHETIC = "Symmetric pictures are computed, not measured. Research use only. Not for diagnosis."


def write_figure2(folder: Path, tree: Tree, column: Column) -> Path | None:
    """figure2.svg: `column` against the share of the training patients; None while there is no point."""
    lines: dict[str, list[Point]] = {}
    for row in tree["rows"]:
        cell = row["cells"][column.key]
        if cell["value"] is not None:
            point = Point(100 * row["share"], cell["value"], cell["ci"], tuple(cell["seeds"].values()))
            lines.setdefault(row["label"], []).append(point)
    if not lines:
        return None
    path = folder / "figure2.svg"
    title = f"{tree['dataset']}: {column.label}. Research use only. Not for diagnosis."
    replace_file(path, against(lines, "share of the training patients, %", column.label, title).encode())
    return path


def write_figure3(folder: Path, with_synthesis: Path, without: Path) -> Path:
    """figure3.png of two evaluations' galleries: the same pairs, chosen by the gallery's rule, never by their look.

    CheckpointError where the galleries are damaged or show different pairs.
    """
    (listed, arrays), (other, bare) = _gallery(with_synthesis), _gallery(without)
    names = [entry["pair"] for entry in listed["pairs"]]
    if names != [entry["pair"] for entry in other["pairs"]]:
        raise CheckpointError("the two galleries show different pairs", where=without)
    chosen = [round(at) for at in np.linspace(0, len(names) - 1, min(PAIRS, len(names)))] if names else []
    columns = []
    for number in chosen:
        key = f"{number:02d}"
        grey = [arrays[f"{key}.image"], arrays[f"{key}.normal"], bare[f"{key}.normal"]]
        breast = arrays[f"{key}.breast"].astype(bool)
        top = max(float(np.percentile(grey[0][breast], 99.5)) if breast.any() else 255.0, 1.0)
        shown = [hang(_rgb(np.clip(one / top, 0, 1) * 255)) for one in grey]
        changes = [hang(difference(part[f"{key}.difference"] / 1000)) for part in (arrays, bare)]
        columns.append((names[number], [shown[0], shown[1], changes[0], shown[2], changes[1]]))
    rows = ["input", "x_n with\nSynthesis", "input - x_n\nwith", "x_n without\nSynthesis", "input - x_n\nwithout"]
    path = folder / "figure3.png"
    replace_file(path, pictures(rows, columns, SYNTHETIC))
    return path


def _gallery(folder: Path) -> tuple[Tree, dict[str, npt.NDArray[Any]]]:
    try:
        listed: Tree = json.loads((folder / "gallery.json").read_text(encoding="utf-8"))
        return listed, safetensors.numpy.load_file(folder / "gallery.safetensors")
    except (OSError, ValueError, safetensors.SafetensorError):
        raise CheckpointError("the gallery of this evaluation is missing or damaged", where=folder) from None


def _rgb(grey: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.stack([grey] * 3, -1)

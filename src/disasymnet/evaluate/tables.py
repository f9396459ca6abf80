"""What an evaluation leaves on disk besides its figures: every score as CSV, and a gallery of pairs chosen by rule."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from disasymnet.data.files import replace_file
from disasymnet.data.manifest import CachedPair
from disasymnet.evaluate.forward import Kept, Seen
from disasymnet.evaluate.scores import NOT_CHOSEN, Cuts
from disasymnet.evaluate.sides import MAPS, Pictures, Side

GALLERY = 12
TALLEST = 512
"""Rows of a gallery picture; larger grids are averaged down to it."""
CAM_OVERLAPS = ("cam_iou", "cam_ior_ref", "cam_ior_det", "cam_dice")
REMOVAL = ("inside_ratio", "outside_error", "black_holes")
RULE = (
    "Two thirds asymmetric and one third symmetric pairs (as far as there are), each evenly spaced in the order of "
    "their ids; never chosen by their look or score."
)


def choose_gallery(pairs: Sequence[CachedPair], count: int = GALLERY) -> list[str]:
    """Ids of about `count` pairs by RULE."""
    ordered = sorted(pairs, key=lambda pair: pair.id)
    asymmetric = [pair.id for pair in ordered if pair.asymmetric]
    rest = [pair.id for pair in ordered if not pair.asymmetric]
    few = min(len(rest), max(count // 3, count - len(asymmetric)))
    return spaced(asymmetric, count - few) + spaced(rest, few)


def spaced(ids: Sequence[str], count: int) -> list[str]:
    """`count` of the ids, or all if there are fewer, evenly spaced from the first to the last."""
    if not ids or count <= 0:
        return []
    return [ids[index] for index in sorted({round(at) for at in np.linspace(0, len(ids) - 1, min(count, len(ids)))})]


def write_predictions(path: Path, seen: Iterable[Seen], cuts: Cuts) -> None:
    """One row for each side, and after them one for each pair (column `unit`).

    `cam_iou` and the other overlaps are those of the CAM at its fixed threshold, `cam_chosen_iou` at that of `cuts`.
    `p_derived` of a pair is max(p_r, p_l): what a method without an asymmetry head can say.
    """
    pairs = list(seen)
    rows: list[dict[str, object]] = []
    for pair in pairs:
        rows += [_side_row(side, cuts) for side in pair.sides]
    for pair in pairs:
        rows.append(
            _facts(pair.pair)
            | {"unit": "pair", "y": pair.label, "logit": pair.logit, "p": _sigmoid(pair.logit)}
            | {"p_derived": _sigmoid(pair.derived), "fold": pair.sides.right.fold}
        )
    columns = ["unit", "pair", "patient", "side", "view", "density", "kinds", "y", "p", "logit", "p_derived", "fold"]
    columns += [
        "p_of_normal",
        *(f"pointing_{name}" for name in MAPS),
        *CAM_OVERLAPS,
        "cam_chosen_iou",
        "lesion_mm",
        *REMOVAL,
    ]
    write_csv(path, columns, rows)


def _side_row(side: Side, cuts: Cuts) -> dict[str, object]:
    removal = side.removal
    return (
        _facts(side.pair)
        | {"unit": "side", "side": side.laterality, "kinds": " ".join(sorted(side.kinds)), "y": side.label}
        | {"p": _sigmoid(side.logit), "logit": side.logit, "fold": side.fold, "p_of_normal": side.judged}
        | {f"pointing_{name}": score.hit for name, score in side.maps.items()}
        | _cam_overlaps(side, cuts)
        | {"lesion_mm": side.diameter_mm}
        | ({} if removal is None else {name: getattr(removal, name) for name in REMOVAL})
    )


def _cam_overlaps(side: Side, cuts: Cuts) -> dict[str, object]:
    """What a test over images needs: the CAM at its fixed and at its chosen threshold against the lesions."""
    score = side.maps.get("cam")
    if score is None or score.fixed is None:
        return {}
    cut = cuts("cam", side)
    found: dict[str, object] = {name: getattr(score.fixed, name.removeprefix("cam_")) for name in CAM_OVERLAPS}
    return found if cut.chosen_on == NOT_CHOSEN else found | {"cam_chosen_iou": score.grid[cut.index].iou}


def _facts(pair: CachedPair) -> dict[str, object]:
    return {"pair": pair.id, "patient": pair.patient, "view": pair.view.value, "density": pair.density}


def _sigmoid(logit: float | None) -> float | None:
    if logit is None:
        return None
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, object]]) -> None:
    """A table whose text no spreadsheet takes for a formula; unknown values (None, NaN) are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    replace_file(path, text.getvalue().encode())


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.9g}"
    text = str(value)
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t") else text


def write_gallery(folder: Path, kept: Sequence[Kept], *, names: bool) -> None:
    """gallery.safetensors (uint8, 255 = 1.0; masks 0 or 1) and gallery.json; `names` if the data set is public."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    entries = []
    for number, entry in enumerate(kept):
        for part in ("image", "cam", "normal", "abnormal_part", "truth", "lesion", "breast"):
            stack = _stack([getattr(view, part) for view in entry.pictures], mask=part in ("lesion", "breast"))
            if stack is not None:
                arrays[f"{number:02d}.{part}"] = stack
        signed = _signed_difference(list(entry.pictures))
        if signed is not None:
            arrays[f"{number:02d}.difference"] = signed
        entries.append(_entry(entry, names=names))
    replace_file(folder / "gallery.safetensors", safetensors.numpy.save(arrays))
    body = {"schema": 1, "rule": RULE, "pairs": entries}
    replace_file(folder / "gallery.json", (json.dumps(body, indent=1) + "\n").encode())


def _entry(kept: Kept, *, names: bool) -> dict[str, Any]:
    pair = kept.pair
    return {
        "pair": pair.name if names else pair.id,
        "view": pair.view.value,
        "density": pair.density,
        "label": {"right": pair.abnormal.right, "left": pair.abnormal.left, "asymmetric": pair.asymmetric},
        "kinds": {
            side: sorted({"unknown" if f.kind is None else f.kind.value for f in findings})
            for side, findings in (("right", pair.findings.right), ("left", pair.findings.left))
        },
        "abnormality": {"right": kept.side_probability[0], "left": kept.side_probability[1]},
        "asymmetry": kept.asymmetry_probability,
    }


def _stack(views: Sequence[npt.NDArray[Any] | None], *, mask: bool) -> npt.NDArray[np.uint8] | None:
    """(2, H, W) uint8; None where a side lacks it."""
    if any(view is None for view in views):
        return None
    both = smaller(np.stack([np.asarray(view, dtype=np.float32) for view in views]))
    return (both >= 0.5).astype(np.uint8) if mask else np.round(np.clip(both, 0, 1) * 255).astype(np.uint8)


def _signed_difference(views: Sequence[Pictures]) -> npt.NDArray[np.int16] | None:
    """x - x_n in thousandths of the grey range: uint8 pictures would round small changes away."""
    differences = [None if view.normal is None else view.image - view.normal for view in views]
    if any(difference is None for difference in differences):
        return None
    both = smaller(np.stack([np.asarray(difference, dtype=np.float32) for difference in differences]))
    return np.round(both * 1000).astype(np.int16)


def smaller(stack: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(2, H, W) averaged down by a whole factor until it has at most TALLEST rows."""
    _, height, width = stack.shape
    factor = -(-height // TALLEST)
    if factor == 1:
        return stack
    rows, columns = height // factor * factor, width // factor * factor
    blocks = stack[:, :rows, :columns].reshape(len(stack), rows // factor, factor, columns // factor, factor)
    small: npt.NDArray[np.float32] = blocks.mean((2, 4), dtype=np.float32)
    return small

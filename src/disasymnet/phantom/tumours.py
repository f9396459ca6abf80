"""A tumour set: lesions cut from other phantom patients than those of the exams."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from disasymnet.phantom.exam import Row, full_mask
from disasymnet.phantom.lesions import Placed
from disasymnet.phantom.settings import DENSITIES, PhantomSettings
from disasymnet.phantom.shoot import TUMOURS, Plan, shoot_exam, stream
from disasymnet.phantom.write import to_16_bit, write_bytes, write_png
from disasymnet.records import Sides
from disasymnet.terms import Laterality

SOURCE = "phantom-tumours"
WINDOW = 1.5
"""A crop is this many times as large as the lesion's box."""

COLUMNS = (
    "file", "mask", "source", "patient", "kind", "name", "pixel_mm", "box_w", "box_h", "split", "diameter_mm",
    "contrast",
)  # fmt: skip


def make_tumour(out: Path, settings: PhantomSettings, index: int) -> Row:
    """Write crop and mask of one lesion of tumour patient `index`; its row of tumours.csv."""
    rng = stream(settings.seed, TUMOURS, index, 9)
    view = str(rng.choice(settings.views))
    one_picture = settings.model_copy(update={"views": (view,), "second_lesion": 0.0})
    density = DENSITIES[int(rng.choice(4, p=np.asarray(settings.densities) / sum(settings.densities)))]
    plan = Plan(index, "", density, Sides(right=False, left=True))
    shot = next(shot for shot in shoot_exam(one_picture, plan, TUMOURS) if shot.side is Laterality.LEFT)
    placed = shot.placed[0]
    name = f"{placed.lesion.kind.value}_{index + 1:04d}.png"
    rows, cols, box = _crop(placed, shot.with_lesions.shape)
    write_png(out / "crops" / name, to_16_bit(np.ascontiguousarray(shot.with_lesions[rows, cols])))
    write_png(out / "masks" / name, np.ascontiguousarray(full_mask(placed, shot.anatomy.frame)[rows, cols]))
    return {
        "file": f"crops/{name}",
        "mask": f"masks/{name}",
        "source": SOURCE,
        "patient": f"tumour-{index + 1:05d}",
        "kind": placed.lesion.kind.value,
        "name": placed.lesion.name,
        "pixel_mm": repr(settings.pixel_mm),
        "box_w": str(box[0]),
        "box_h": str(box[1]),
        "split": split_of(index),
        "diameter_mm": f"{placed.lesion.diameter_mm:.2f}",
        "contrast": f"{placed.contrast:.4f}",
    }


def split_of(index: int) -> str:
    """Every tenth patient is val, every tenth test."""
    return {8: "val", 9: "test"}.get(index % 10, "train")


def _crop(placed: Placed, shape: tuple[int, ...]) -> tuple[slice, slice, tuple[int, int]]:
    """Rows and columns of the crop, and width and height of the box; the window is cut at the picture's edge."""
    at_row, at_col = np.nonzero(placed.mask)
    top, bottom = int(at_row.min()) + placed.corner[0], int(at_row.max()) + 1 + placed.corner[0]
    left, right = int(at_col.min()) + placed.corner[1], int(at_col.max()) + 1 + placed.corner[1]
    more_rows = round((bottom - top) * (WINDOW - 1) / 2)
    more_cols = round((right - left) * (WINDOW - 1) / 2)
    rows = slice(max(0, top - more_rows), min(shape[0], bottom + more_rows))
    cols = slice(max(0, left - more_cols), min(shape[1], right + more_cols))
    return rows, cols, (right - left, bottom - top)


def write_table(path: Path, columns: tuple[str, ...], rows: list[Row]) -> None:
    """CSV with a header line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())

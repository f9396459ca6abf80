"""A table of one's own, as a spreadsheet of a country with a decimal comma saves it, with its column map.

| patient | planted |
|---|---|
| 101 | left 4a, a box in each view |
| 102 | two exams: the first normal, in the second BI-RADS 0, and 2 written as `2.0` |
| 103 | right breast without BI-RADS: unknown; left one with a mask |
| 104 | one picture only, with a circle: kept for its place |
| 105 | a file that is not there |
| 106 | a picture without side |
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from disasymnet.testkit.files import write, write_csv
from disasymnet.testkit.films import Film, box_of, pick, shoot
from disasymnet.testkit.planted import Planted

PLANTED = Planted(
    women=6,
    exams=7,
    pictures=15,
    normal=7,
    abnormal=6,
    unknown=2,
    pairs={(False, True): 2, (False, False): 2, (True, True): 1, (None, True): 1},
    lesions={"unknown": 4},
    located=4,
    rejected={"missing": 1},
)
COLUMNS = {
    "patient_id": "PatNr", "exam_id": "Date", "image_path": "File", "laterality": "Side", "view": "Projection",
    "birads": "BI-RADS", "boxes": "Boxes", "circles": "Circles", "mask_path": "Mask", "pixel_mm": "Pixel (mm)",
}  # fmt: skip
"""The column map: our name -> the table's. A further column, `Remark`, is not used."""


def make_table(root: Path) -> Planted:
    """Write the imitation below `root`."""
    maker = _Maker(root)
    for film in shoot(70, False, True):
        boxes = [[box.x0, box.y0, box.x1, box.y1] for box in map(box_of, film.lesions)]
        maker.row("101", "2019", film, "4a" if film.lesions else "1", Boxes=boxes or "")
    for film in shoot(71, False, False):
        maker.row("102", "2019", film, "1")
    for name, birads in (("RIGHT_CC", "0"), ("LEFT_CC", "2.0")):
        maker.row("102", "2021", pick(shoot(71, True, True), name), birads)
    films = shoot(72, False, True)
    maker.row("103", "2020", pick(films, "RIGHT_CC"), "")
    left = pick(films, "LEFT_CC")
    maker.row(
        "103", "2020", left, "5", Mask=maker.picture("103_mask", left.lesions[0].astype(np.uint8) * np.uint8(255))
    )
    alone = pick(shoot(73, False, True), "LEFT_MLO")
    around = box_of(alone.lesions[0])
    x, y = (around.x0 + around.x1) / 2, (around.y0 + around.y1) / 2
    maker.row("104", "2020", alone, "4", Circles=[[x, y, max(around.x1 - around.x0, around.y1 - around.y0) / 2]])
    films = shoot(74, False, False)
    maker.row("105", "2020", pick(films, "RIGHT_CC"), "1")
    maker.row("105", "2020", pick(films, "LEFT_CC"), "1", there=False)
    maker.row("106", "2020", pick(shoot(75, False, False), "RIGHT_CC"), "", Side="")
    maker.table_out()
    return PLANTED


class _Maker:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: list[Sequence[str]] = []

    def row(
        self, patient: str, date: str, film: Film, birads: str, *, there: bool = True, **cells: str | list[list[float]]
    ) -> None:
        """One picture, of 16 bits, and its row; cells that are lists stand as JSON."""
        name = f"{patient}_{date}_{film.name}"
        path = self.picture(name, film.pixels * np.uint16(16)) if there else f"pictures/{name}.png"
        known = {
            "PatNr": patient, "Date": date, "File": path, "Side": film.side.value, "Projection": film.view.value,
            "BI-RADS": birads, "Pixel (mm)": "1,5", "Remark": "of the test kit",
        }  # fmt: skip
        known |= {column: cell if isinstance(cell, str) else json.dumps(cell) for column, cell in cells.items()}
        self.rows.append([known.get(column, "") for column in (*COLUMNS.values(), "Remark")])

    def picture(self, name: str, pixels: NDArray[np.uint8 | np.uint16]) -> str:
        """A PNG, and its path relative to the table."""
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="PNG")
        write(self.root / "pictures" / f"{name}.png", buffer.getvalue())
        return f"pictures/{name}.png"

    def table_out(self) -> None:
        """The table and the column map beside it."""
        write_csv(self.root / "pictures.csv", [(*COLUMNS.values(), "Remark"), *self.rows], delimiter=";", end="\r\n")
        write(self.root / "columns.json", json.dumps(COLUMNS, indent=1).encode())

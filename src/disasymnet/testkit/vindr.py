"""VinDr-Mammo as PhysioNet hands it out: three tables, a folder a study, DICOM files called `.dicom`.

| study | split | planted |
|---|---|---|
| a | training | normal; MONOCHROME1, two windows, a padding value, JPEG 2000 |
| b | training | left BI-RADS 4: a box of two categories, a box that sticks out |
| c | training | right BI-RADS 2 without any box; one file is For Processing |
| d | training | L CC twice under two series, no L MLO |
| f | training | L CC twice, the lower id was not downloaded; no MLO; a name in capitals; a file without a row |
| e | test | both abnormal; a box without BI-RADS; left MLO was not downloaded |
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import JPEG2000Lossless

from disasymnet.testkit.files import code, write_csv, write_mammogram
from disasymnet.testkit.films import Film, box_of, shoot
from disasymnet.testkit.planted import Planted

PLANTED = Planted(
    women=6,
    exams=6,
    pictures=20,
    normal=14,
    abnormal=6,
    unknown=0,
    pairs={(False, False): 4, (False, True): 2, (True, False): 1, (True, True): 1},
    lesions={"mass": 2, "calcification": 2, "other": 1},
    located=5,
    rejected={"missing": 2, "for_processing": 1, "unnamed": 1},
)
_HEAD = (
    "study_id", "series_id", "image_id", "laterality", "view_position", "height", "width", "breast_birads",
    "breast_density",
)  # fmt: skip
_FINDING_HEAD = ("finding_categories", "finding_birads", "xmin", "ymin", "xmax", "ymax")
PADDING = 4000
"""Stored value of the background in study a, which is black: the picture is MONOCHROME1."""


def make_vindr(root: Path) -> Planted:
    """Write the imitation below `root`."""
    maker = _Maker(root)
    maker.study("a", shoot(20, False, False), {"R": 1, "L": 1}, inverse=True)
    maker.study("b", shoot(21, False, True), {"R": 1, "L": 4}, categories="['Mass', 'Skin Retraction']", beyond="MLO")
    maker.study("c", shoot(22, True, False), {"R": 2, "L": 1}, raw="RIGHT_CC")
    right, left = shoot(23, False, False)[:2], shoot(23, False, False)[2:3]
    maker.study("d", [*right, *left, *left], {"R": 1, "L": 1})
    maker.study("e", shoot(24, True, True), {"R": 5, "L": 4}, split="test", categories="['Suspicious Calcification']")
    films = shoot(25, False, False)
    maker.study("f", [films[0], films[2], films[2]], {"R": 1, "L": 1})
    folder = root / "images" / ("f" * 32)
    (folder / f"{image_id('f', 1)}.dicom").unlink()
    (folder / f"{image_id('f', 0)}.dicom").rename(folder / f"{image_id('f', 0)}.DICOM")
    _write(folder / f"{image_id('f', 9)}.dicom", films[1], inverse=False, raw=False)
    maker.tables_out()
    return PLANTED


def image_id(study: str, number: int) -> str:
    """32 hexadecimal digits, rising with the number."""
    return f"{number}{study * 31}"


class _Maker:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.breasts: list[list[Any]] = []
        self.findings: list[list[Any]] = []
        self.metadata: list[list[Any]] = []

    def study(
        self, study: str, films: list[Film], birads: dict[str, int], *, split: str = "training", **how: Any
    ) -> None:
        """One study: its files and rows."""
        for number, film in enumerate(films):
            side, view = film.side.value, film.view.value
            row = [study * 32, f"{number % 2}{study * 31}", image_id(study, number), side, view, *film.pixels.shape,
                   f"BI-RADS {birads[side]}", "DENSITY C"]  # fmt: skip
            self.breasts.append([*row, split])
            self.findings += [[*row, *cells, split] for cells in _boxes(study, film, how)]
            self.metadata.append([row[2], "MONOCHROME1" if how.get("inverse") else "MONOCHROME2"])
            if (study, film.name) != ("e", "LEFT_MLO"):
                path = self.root / "images" / row[0] / f"{row[2]}.dicom"
                _write(path, film, inverse=bool(how.get("inverse")), raw=how.get("raw") == film.name)

    def tables_out(self) -> None:
        """The three tables."""
        write_csv(self.root / "breast-level_annotations.csv", [[*_HEAD, "split"], *self.breasts])
        write_csv(self.root / "finding_annotations.csv", [[*_HEAD, *_FINDING_HEAD, "split"], *self.findings])
        write_csv(self.root / "metadata.csv", [["SOP Instance UID", "Photometric Interpretation"], *self.metadata])


def _boxes(study: str, film: Film, how: dict[str, Any]) -> list[list[Any]]:
    """Cells of the finding table."""
    if not film.lesions or "categories" not in how:
        return [["['No Finding']", "", "", "", "", ""]]
    if study == "e" and film.side.value == "L":
        # The skin has no BI-RADS of its own, and its box is in one view.
        return [["['Nipple Retraction']", "", 3.5, 60.25, 20.0, 80.0]] if film.view.value == "CC" else [
            ["['No Finding']", "", "", "", "", ""]
        ]  # fmt: skip
    box = box_of(film.lesions[0])
    categories = "['Mass']" if how.get("beyond") == film.view.value else how["categories"]
    right = film.pixels.shape[1] + 4.5 if how.get("beyond") == film.view.value else box.x1
    return [[categories, "BI-RADS 4", box.x0, box.y0, right, box.y1]]


def _write(path: Path, film: Film, *, inverse: bool, raw: bool) -> None:
    tags: dict[str, Any] = {
        "ImageLaterality": film.side.value,
        "ViewPosition": film.view.value,
        "ViewCodeSequence": [code("399162004" if film.view.value == "CC" else "399368009", "")],
        "PatientID": path.stem,
        "WindowCenter": [2048, 1800],
        "WindowWidth": [4096, 3000],
        "RescaleIntercept": 0,
        "RescaleSlope": 1,
        "ImagerPixelSpacing": [1.5, 1.5],
    }
    pixels = film.pixels
    if inverse:
        tags |= {"PhotometricInterpretation": "MONOCHROME1", "PixelPaddingValue": PADDING}
        # Black film of MONOCHROME1 has the highest values; what is darkest becomes background.
        pixels = np.minimum(4095 - pixels, PADDING - 1).astype(np.uint16)
        pixels[film.pixels <= np.percentile(film.pixels, 20)] = PADDING
    if raw:
        tags["PresentationIntentType"] = "FOR PROCESSING"
    write_mammogram(path, pixels, tags, syntax=JPEG2000Lossless if inverse else None)

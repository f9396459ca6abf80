"""INbreast as it is handed out: AllDICOMs, AllXML, and the table as .csv and as .xls.

| woman | planted |
|---|---|
| 1 | left `4a ` with a blank; a mass, a single-point calcification, an `Espiculated Region` |
| 2 | two dates: first normal, then right 6 with `Assymetry` and `Cluster` |
| 3 | one breast only, BI-RADS 2: dots called `Point 1`, `Calcifications`, `Unnamed` |
| 4 | left CC twice, an FB picture, other BI-RADS in left CC than in MLO, points outside of the picture |
| 5 | both breasts abnormal; a file missing; MLO of another size; a folder-mate with a foreign name |
| - | a second folder with a copy, a name in capitals, a file without a row, a file of another kind |
"""

from __future__ import annotations

import plistlib
from pathlib import Path
from typing import Any

import numpy as np

from disasymnet.testkit.files import write, write_csv, write_mammogram, write_xls
from disasymnet.testkit.films import Film, Points, chain_code, pick, shoot, walk
from disasymnet.testkit.planted import Planted

PLANTED = Planted(
    women=5,
    exams=6,
    pictures=24,
    normal=11,
    abnormal=13,
    unknown=0,
    pairs={(False, True): 4, (False, False): 2, (True, False): 2, (True, True): 1},
    lesions={"mass": 3, "calcification": 5, "asymmetry": 1, "architectural_distortion": 1},
    located=10,
    rejected={"missing": 1, "name": 1, "no_table_row": 1, "not_a_picture": 1},
)
_COLUMNS = (
    "Patient ID", "Patient age", "Laterality", "View", "Acquisition date", "File Name", "ACR", "Bi-Rads",
)  # fmt: skip
_MORE = ("Mass ", "Micros", "Distortion", "Asymmetry", "Lesion Annotation Status")


def token(woman: int) -> str:
    """The 16 hexadecimal digits that stand for a woman in the file names."""
    return f"{woman:x}" * 16


def make_inbreast(root: Path, *, csv: bool = True) -> Planted:
    """Write the imitation below `root`; without `csv` the table is there as .xls only."""
    maker = _Maker(root)
    films = shoot(30, False, True)
    files = maker.exam(1, 200901, films, {"R": "1", "L": "4a "})
    maker.outlines(files["LEFT_CC"], [("Mass", _curve(films, "LEFT_CC")), ("Calcification", [(60, 70)])])
    maker.outlines(files["LEFT_MLO"], [("Espiculated Region", _curve(films, "LEFT_MLO"))])
    write(root / "AllDICOMs 2" / files["RIGHT_MLO"].name, files["RIGHT_MLO"].read_bytes())
    files = maker.exam(2, 200901, shoot(31, False, False), {"R": "1", "L": "1"})
    files["LEFT_CC"].rename(files["LEFT_CC"].with_suffix(".DCM"))
    write(root / "AllDICOMs" / f"50000000_{token(2)}_MG_R_CC_ANON.dcm", files["RIGHT_MLO"].read_bytes())
    write(root / "AllROI" / "20586908.roi", b"an outline of another program")
    films = shoot(31, True, False)
    files = maker.exam(2, 201003, films, {"R": "6", "L": "1"})
    maker.outlines(files["RIGHT_CC"], [("Assymetry", _curve(films, "RIGHT_CC"))])
    maker.outlines(files["RIGHT_MLO"], [("Cluster", _curve(films, "RIGHT_MLO"))])
    files = maker.exam(3, 200812, shoot(32, False, True)[2:], {"L": "2"})
    maker.outlines(files["LEFT_CC"], [("Point 1", [(50, 60)]), ("Calcifications", [(40, 60), (48, 66)])])
    maker.outlines(files["LEFT_MLO"], [("Unnamed", [(45, 80)])])
    films = shoot(33, False, True)
    files = maker.exam(4, 201001, films, {"R": "1", "L_CC": "4c", "L_MLO": "2"})
    maker.picture(4, 201001, pick(films, "LEFT_CC"), "4c")
    maker.picture(4, 201001, pick(films, "LEFT_CC"), "2", view="FB")
    maker.outlines(files["LEFT_CC"], [("Spiculated region", [(-30, 70), (20, 60), (30, 90)])])
    small, large = shoot(34, True, True), shoot(34, True, True, shape=(200, 150))
    files = maker.exam(5, 201005, [small[0], large[1], small[2], large[3]], {"R": "5", "L": "3"})
    maker.outlines(files["RIGHT_CC"], [("Distortion", _curve(small, "RIGHT_CC"))])
    files["RIGHT_MLO"].unlink()
    write(root / "AllDICOMs" / "renamed.dcm", files["RIGHT_CC"].read_bytes())
    maker.tables_out(csv)
    return PLANTED


def _curve(films: list[Film], name: str) -> Points:
    """The outline of the film's lesion, left open as some are."""
    return walk(*chain_code(pick(films, name).lesions[0]))[:-1]


class _Maker:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: list[list[Any]] = []

    def exam(self, woman: int, date: int, films: list[Film], birads: dict[str, str]) -> dict[str, Path]:
        """All films of one date, with the BI-RADS of their breast or of themselves."""
        files = {}
        for film in films:
            side = film.side.value
            stated = birads.get(f"{side}_{film.view.value}") or birads[side]
            files[film.name] = self.picture(woman, date, film, stated)
        return files

    def picture(self, woman: int, date: int, film: Film, birads: str, *, view: str | None = None) -> Path:
        """One file and its row. The header is anonymised, and the file's name says ML for MLO."""
        number = 20586908 + 26 * len(self.rows)
        stated = view or film.view.value
        name = f"{number}_{token(woman)}_MG_{film.side.value}_{'ML' if stated == 'MLO' else stated}_ANON.dcm"
        path = self.root / "AllDICOMs" / name
        spacing = 240 / film.pixels.shape[0]
        tags = {"PatientID": "removed", "PatientName": "removed", "ImagerPixelSpacing": [spacing, spacing]}
        write_mammogram(path, film.pixels * np.uint16(4), tags, bits=14)
        density = "" if len(self.rows) == 4 else 2
        self.rows.append(["removed", "removed", film.side.value, stated, date, number, density, birads])
        return path

    def outlines(self, picture: Path, rois: list[tuple[str, Points]]) -> None:
        """The property list of a picture."""
        body = [
            {"Name": word, "NumberOfPoints": len(points), "Point_px": [f"({x:.6f}, {y:.6f})" for x, y in points]}
            for word, points in rois
        ]
        path = self.root / "AllXML" / f"{picture.name[:8]}.xml"
        write(path, plistlib.dumps({"Images": [{"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": body}]}))

    def tables_out(self, csv: bool) -> None:
        """The .csv with semicolons and CRLF, and the .xls with more columns, a blank row and one of sums."""
        if csv:
            write_csv(self.root / "INbreast.csv", [_COLUMNS, *self.rows], delimiter=";", end="\r\n")
        body = [
            [*row[:7], float(row[7]) if row[7].isdigit() else row[7], "X", "", "", "", "Spiculated Region"]
            for row in self.rows
        ]
        sums = [""] * 8 + [len(self.rows)]
        write_xls(self.root / "INbreast.xls", [[*_COLUMNS, *_MORE], *body, [""] * 13, sums])

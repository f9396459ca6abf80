"""CBIS-DDSM as TCIA's downloader leaves it: four case tables, a folder a view, a folder a lesion.

| patient | table | planted |
|---|---|---|
| 1 | mass train | two views; files named as the table says; two lesions in MLO |
| 2 | calc train | crop and mask exchanged; density spelt with a blank |
| 3 | mass test | the mask alone in a series of its own; the other scanner's size; mirrored |
| 4 | mass train | a mask of 0.87 of the film |
| 5 | mass train, calc test | a patient on both sides of the official split, both breasts; density 0 |
| 6 | mass train, calc train | the same view in both halves |
| 7 | calc test | its folders were not downloaded |
| 8 | mass test | the film without its lesion's folder; a name in capitals, a copy and another file beside it |
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disasymnet.testkit.files import write, write_csv, write_secondary_capture
from disasymnet.testkit.films import LARGE, Film, Mask, box_of, pick, shoot
from disasymnet.testkit.planted import Planted

_SHAPE_8, _SHAPE_15 = LARGE, (301, 241)
_MASS = (
    "patient_id", "breast_density", "left or right breast", "image view", "abnormality id", "abnormality type",
    "mass shape", "mass margins", "assessment", "pathology", "subtlety", "image file path", "cropped image file path",
    "ROI mask file path",
)  # fmt: skip
_CALC = tuple(
    {"breast_density": "breast density", "mass shape": "calc type", "mass margins": "calc distribution"}.get(name, name)
    for name in _MASS
)
_OLD_UIDS = "1.3.6.1.4.1.9590.100.1.2.1/1.3.6.1.4.1.9590.100.1.2.2"  # of the tables: not those of the folders
_NEW_UIDS = "1.3.6.1.4.1.9590.100.1.2.8/1.3.6.1.4.1.9590.100.1.2.9"

PLANTED = Planted(
    women=7,
    exams=7,
    pictures=9,
    normal=0,
    abnormal=9,
    unknown=0,
    pairs={(True, True): 1},
    lesions={"mass": 8, "calcification": 3},
    located=10,
    rejected={"missing": 1, "duplicate": 1, "copy": 1, "unnamed": 1},
)


def make_cbis_ddsm(root: Path) -> Planted:
    """Write the imitation below `root`."""
    maker = _Maker(root)
    films = shoot(0, False, True, shape=_SHAPE_8, lesions=2)
    maker.view("Mass-Training", 1, pick(films, "LEFT_CC"), lesions=1)
    maker.view("Mass-Training", 1, pick(films, "LEFT_MLO"), lesions=2)
    maker.view("Calc-Training", 2, pick(shoot(1, True, False, shape=_SHAPE_8), "RIGHT_CC"), exchanged=True)
    maker.view("Mass-Test", 3, pick(shoot(2, False, True, shape=_SHAPE_15), "LEFT_MLO"), apart=True, mirrored=True)
    maker.view("Mass-Training", 4, pick(shoot(3, True, False, shape=_SHAPE_15), "RIGHT_MLO"), mask_scale=0.87)
    both = shoot(4, True, True, shape=_SHAPE_8)
    maker.view("Mass-Training", 5, pick(both, "LEFT_CC"))
    maker.view("Calc-Test", 5, pick(both, "RIGHT_CC"), density="0")
    twice = pick(shoot(5, False, True, shape=_SHAPE_8, lesions=2), "LEFT_CC")
    maker.view("Mass-Training", 6, twice)
    maker.view("Calc-Training", 6, twice)
    maker.rows("Calc-Test", 7, "RIGHT_MLO", 1)
    maker.view("Mass-Test", 8, pick(shoot(7, True, False, shape=_SHAPE_8), "RIGHT_MLO"), folders=False)
    folder = root / "CBIS-DDSM" / "Mass-Test_P_00008_RIGHT_MLO" / _NEW_UIDS
    film = (folder / "1-1.dcm").rename(folder / "1-1.DCM").read_bytes()
    write(folder / "1-2.dcm", film)
    write(folder / "1-3.dcm", film[:-2] + b"\1\1")
    maker.tables_out()
    return PLANTED


class _Maker:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.tables: dict[str, list[list[str]]] = {
            "Mass-Training": [], "Mass-Test": [], "Calc-Training": [], "Calc-Test": [],
        }  # fmt: skip

    def view(self, part: str, patient: int, film: Film, *, lesions: int = 1, density: str = "3", **how: Any) -> None:
        """One film, its lesions, and their rows."""
        mirrored = bool(how.get("mirrored"))
        name = f"{part}_P_{patient:05d}_{film.name}"
        # 12-bit steps stretched to 16 bits.
        pixels = _turned(film.pixels, mirrored) * np.uint16(16)
        _write(self.root / "CBIS-DDSM" / name / _NEW_UIDS / "1-1.dcm", pixels, name, film)
        for number, lesion in enumerate(film.lesions[:lesions], 1):
            if how.get("folders", True):
                self._lesion(f"{name}_{number}", pixels, _turned(lesion, mirrored), film, how)
        self.rows(part, patient, film.name, lesions, density)

    def _lesion(self, name: str, pixels: NDArray[np.uint16], mask: Mask, film: Film, how: dict[str, Any]) -> None:
        folder = self.root / "CBIS-DDSM" / name
        if "mask_scale" in how:
            mask = _scaled(mask, how["mask_scale"])
        box = box_of(mask) if "mask_scale" not in how else box_of(film.lesions[0])
        crop = pixels[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]
        first, second = ("1-2.dcm", "1-1.dcm") if how.get("exchanged") else ("1-1.dcm", "1-2.dcm")
        _write(folder / _NEW_UIDS / first, crop, name, film)
        apart = folder / "1.3.6.1.4.1.9590.100.1.2.8" / "1.3.6.1.4.1.9590.100.1.2.7" / "1-1.dcm"
        _write(apart if how.get("apart") else folder / _NEW_UIDS / second, mask * np.uint8(255), name, film)

    def rows(self, part: str, patient: int, view: str, lesions: int, density: str = "3") -> None:
        """The rows of a view's lesions, with the newline that the last path of the real tables ends with."""
        side, projection = view.split("_")
        name = f"{part}_P_{patient:05d}_{view}"
        mass = part.startswith("Mass")
        for number in range(1, lesions + 1):
            crop, mask = (f"{name}_{number}/{_OLD_UIDS}/{file}.dcm" for file in ("000000", "000001"))
            paths = [crop, mask + "\n"] if mass else [mask + "\n", crop]
            words = ["IRREGULAR", "SPICULATED"] if mass else ["PLEOMORPHIC", "CLUSTERED"]
            pathology = "MALIGNANT" if patient % 2 else "BENIGN_WITHOUT_CALLBACK"
            self.tables[part].append(
                [f"P_{patient:05d}", density, side, projection, str(number), "mass" if mass else "calcification",
                 *words, "4", pathology, "3", f"{name}/{_OLD_UIDS}/000000.dcm", *paths]
            )  # fmt: skip

    def tables_out(self) -> None:
        """The four tables."""
        for part, rows in self.tables.items():
            kind, split = part.lower().split("-")
            name = f"{kind}_case_description_{split.removesuffix('ing')}_set.csv"
            write_csv(self.root / name, [_MASS if kind == "mass" else _CALC, *rows])


def _write(path: Path, pixels: NDArray[Any], name: str, film: Film) -> None:
    tags = {"PatientID": name, "PatientOrientation": film.view.value, "Laterality": film.side.value}
    write_secondary_capture(path, pixels, tags)


def _turned(picture: NDArray[Any], mirrored: bool) -> NDArray[Any]:
    return np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture


def _scaled(mask: Mask, scale: float) -> Mask:
    rows, columns = (math.ceil(scale * length) for length in mask.shape)
    at_row = ((np.arange(rows) + 0.5) * mask.shape[0] / rows).astype(int)
    at_column = ((np.arange(columns) + 0.5) * mask.shape[1] / columns).astype(int)
    scaled: Mask = mask[at_row][:, at_column]
    return scaled

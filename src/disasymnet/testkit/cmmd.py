"""CMMD as TCIA's downloader leaves it, and its workbook.

| woman | planted |
|---|---|
| D1-0001 | one breast, two pictures; a file that is no DICOM |
| D1-0002 | four pictures, one row: the other breast is unknown |
| D1-0003 | in the workbook only |
| D1-0004 | one file without ViewCodeSequence; a picture fewer than the workbook states |
| D1-0005 | not in the workbook |
| D2-0001 | both breasts with a row, one of them mass and calcification; names in capitals |
| - | a picture that lies in no woman's folder, a licence |
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from disasymnet.phantom.write import uid
from disasymnet.testkit.files import code, write, write_mammogram, write_xlsx
from disasymnet.testkit.films import Film, shoot
from disasymnet.testkit.planted import Planted

PLANTED = Planted(
    women=5,
    exams=5,
    pictures=18,
    normal=0,
    abnormal=10,
    unknown=8,
    pairs={(None, True): 2, (True, True): 2, (True, None): 1, (None, None): 2},
    lesions={"mass": 8, "calcification": 4},
    located=0,
    rejected={"missing": 1, "not_dicom": 1, "unnamed": 1, "not_a_picture": 1},
)
_COLUMNS = ("ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype")
_CODES = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}


def make_cmmd(root: Path) -> Planted:
    """Write the imitation below `root`."""
    _woman(root, "D1-0001", shoot(40, True, False)[:2])
    _woman(root, "D1-0002", shoot(41, False, True))
    _woman(root, "D1-0004", shoot(42, True, False), without_view="LEFT_MLO")
    _woman(root, "D1-0005", shoot(43, False, False))
    _woman(root, "D2-0001", shoot(44, True, True))
    for path in sorted(_folder(root, "D2-0001").iterdir()):
        path.rename(path.with_suffix(".DCM"))
    write(_folder(root, "D1-0001") / "1-5.dcm", b"no DICOM")
    write(root / "strays" / "1-1.dcm", (_folder(root, "D1-0005") / "1-1.dcm").read_bytes()[:-2])
    write(root / "manifest-1616439774456" / "CMMD" / "LICENSE", b"CC BY 4.0")
    rows: list[list[Any]] = [
        ["D1-0001", "R", 44, 2, "calcification", "Benign", ""],
        ["D1-0002", "L", 40, 2, "mass", "Malignant", ""],
        ["D1-0003", "R", 51, 2, "mass", "Benign", ""],
        ["D1-0004", "R", 47, 3, "mass", "Benign", ""],
        ["D2-0001", "L", 62, 2, "both", "Malignant", "Luminal A"],
        ["D2-0001", "R", 62, 2, "mass", "Benign", ""],
    ]
    write_xlsx(root / "CMMD_clinicaldata_revision.xlsx", [_COLUMNS, *rows])
    return PLANTED


def _folder(root: Path, patient: str) -> Path:
    return root / "manifest-1616439774456" / "CMMD" / patient / "07-18-2010-NA-NA-79377" / "1.000000-NA-70244"


def _woman(root: Path, patient: str, films: list[Film], *, without_view: str | None = None) -> None:
    """Her pictures, 8 bits: the view stands in ViewCodeSequence and nowhere else."""
    for number, film in enumerate(films, 1):
        tags: dict[str, Any] = {
            "PatientID": patient,
            "StudyInstanceUID": uid("testkit cmmd", patient),
            "ImageLaterality": film.side.value,
        }
        if film.name != without_view:
            tags["ViewCodeSequence"] = [code(*_CODES[film.view.value])]
        path = _folder(root, patient) / f"1-{number}.dcm"
        write_mammogram(path, (film.pixels >> 4).astype(np.uint8), tags, bits=8)

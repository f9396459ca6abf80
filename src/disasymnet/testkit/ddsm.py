"""DDSM as its server held it, with films of all four scanners.

| case | scanner | planted |
|---|---|---|
| cancers/cancer_01/case3001 A | Howtek | left mass, BOUNDARY with a CORE; lines and columns exchanged in one stream |
| normals/normal_01/case3001 D | Howtek | the same case number, another woman; nothing marked |
| benigns/benign_01/case1511 A | DBA | right breast with two abnormalities a view; and once more in benign_02 |
| benigns/benign_01/case1500 A | Lumisys | right breast; the same image id with other films in cancers, both breasts |
| ...without_callback_01/case0200 B | Lumisys | marked in left CC only: both labels of MLO unknown; blank fields |
| cancers/cancer_02/case3100 C | Lumisys | one film missing, one packed, one OVERLAY missing |
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disasymnet.testkit.files import write, write_ljpeg
from disasymnet.testkit.films import LARGE, Film, Mask, chain_code, shoot
from disasymnet.testkit.planted import Planted

MASS = "MASS SHAPE IRREGULAR MARGINS SPICULATED"
CLUSTER = "CALCIFICATION TYPE PLEOMORPHIC DISTRIBUTION CLUSTERED"

_shoot = partial(shoot, shape=LARGE)

PLANTED = Planted(
    women=6,
    exams=7,
    pictures=26,
    normal=12,
    abnormal=12,
    unknown=2,
    pairs={(False, True): 4, (False, False): 2, (True, False): 4, (True, True): 2, (None, None): 1},
    lesions={"mass": 8, "calcification": 4, "other": 1, "unknown": 1},
    located=13,
    rejected={"duplicate": 4, "missing": 1, "gzipped": 1},
)


def make_ddsm(root: Path) -> Planted:
    """Write the imitation below `root`."""
    cases = root / "cases"
    _case(cases / "cancers/cancer_01/case3001", "A_3001_1", "HOWTEK 15", _shoot(0, False, True), core=True, turned=True)
    _case(cases / "normals/normal_01/case3001", "D_3001_1", "HOWTEK", _shoot(1, False, False))
    first = cases / "benigns/benign_01/case1511"
    _case(first, "A_1511_1", "DBA 21", _shoot(2, True, False, lesions=2), types=[(MASS,), (CLUSTER, MASS)])
    shutil.copytree(first, cases / "benigns/benign_02/case1511")
    _case(cases / "benigns/benign_01/case1500", "A_1500_1", "LUMISYS LASER", _shoot(3, True, False), types=[(CLUSTER,)])
    _case(cases / "cancers/cancer_01/case1500", "A_1500_1", "LUMISYS LASER", _shoot(4, True, True))
    only_cc = cases / "benign_without_callbacks/benign_without_callback_01/case0200"
    _case(only_cc, "B_0200_1", "LUMISYS", _shoot(5, False, True), types=[("OTHER",)], marked=("LEFT_CC",), blank=True)
    broken = cases / "cancers/cancer_02/case3100"
    _case(broken, "C_3100_1", "LUMISYS", _shoot(6, False, True))
    (broken / "C_3100_1.LEFT_MLO.LJPEG").unlink()
    (broken / "C_3100_1.LEFT_CC.OVERLAY").unlink()
    packed = broken / "C_3100_1.RIGHT_MLO.LJPEG"
    packed.rename(packed.with_name(packed.name + ".gz"))
    for stray in ("A_3001_1.LEFT_CC.LJPEG.1", "jpeg", "A-3001-1.ics~", "A_3001_1.LEFT_CC.OVERLAYu"):
        write(cases / "cancers/cancer_01/case3001" / stray, b"left behind by a decoder or an editor")
    return PLANTED


def _case(folder: Path, image_id: str, scanner: str, films: list[Film], **how: Any) -> None:
    """One case: films, card, overlays, and the overview that is for looking only."""
    lines = []
    bits, micrometre = {"DBA": (16, "42"), "HOW": (12, "43.5"), "LUM": (12, "50")}[scanner[:3]]
    marked = how.get("marked") or [film.name for film in films if film.lesions]
    for film in films:
        path = folder / f"{image_id}.{film.name}.LJPEG"
        stored = raw(film.pixels, scanner, image_id)
        exchanged = how.get("turned") and film.name == "LEFT_MLO"
        write_ljpeg(path, stored.reshape(stored.shape[::-1]) if exchanged else stored, 16)
        rows, columns = stored.shape
        word = "OVERLAY" if film.name in marked else "NON_OVERLAY"
        size = f"LINES {rows} PIXELS_PER_LINE {columns} BITS_PER_PIXEL {bits} RESOLUTION {micrometre}"
        lines.append(f"{film.name} {size} {word}")
        if film.name in marked:
            types = how.get("types") or [(MASS,)] * len(film.lesions)
            pathology = "UNPROVEN" if types == [("OTHER",)] else "MALIGNANT" if "cancer" in str(folder) else "BENIGN"
            text = overlay(film.lesions, types, pathology, core=bool(how.get("core")))
            write(path.with_suffix(".OVERLAY"), text.encode())
    write(folder / f"{image_id.replace('_', '-')}.ics", ics(image_id, scanner, lines, blank=bool(how.get("blank"))))
    write(folder / f"TAPE_{image_id}.COMB.16_PGM", b"P5\n4 4\n65535\n" + bytes(32))


def raw(pixels: NDArray[np.uint16], scanner: str, image_id: str) -> NDArray[np.uint16]:
    """The values that this scanner would have stored for a film of that grey: its curve, turned round."""
    density = 4 * (1 - pixels / 4095)
    if scanner.startswith("LUMISYS"):
        value = 4096.99 - 1009.01 * density
    elif scanner.startswith("DBA"):
        value = 10 ** (4.80662 - 1.07553 * density)
    elif image_id.startswith("A"):
        value = (3.789 - density) / 0.00094568
    else:
        value = (3.96604096240593 - density) / 0.00099055807612
    stored: NDArray[np.uint16] = np.rint(value).clip(0, 65535).astype(np.uint16)
    return stored


def ics(image_id: str, scanner: str, views: list[str], *, blank: bool = False) -> bytes:
    """The case's card. Hyphens in the name, and blanks at the end of some lines, as in the real ones."""
    head = [
        "ics_version 1.0", f"filename {image_id.replace('_', '-')}", "DATE_OF_STUDY 2 7 1995",
        "PATIENT_AGE" if blank else "PATIENT_AGE 42", "FILM ", "FILM_TYPE REGULAR",
        "DENSITY " if blank else "DENSITY 3", "DATE_DIGITIZED 7 22 1997 ", f"DIGITIZER {scanner} ", "SELECTED",
    ]  # fmt: skip
    return "\n".join([*head, *views, ""]).encode()


def overlay(
    lesions: Sequence[Mask], types: Sequence[Sequence[str]], pathology: str, *, core: bool = False, scale: int = 1
) -> str:
    """The abnormalities of a film. A CORE lies inside its BOUNDARY, and a reader must not take it for the lesion."""
    lines = [f"TOTAL_ABNORMALITIES {len(lesions)}"]
    for number, (lesion, words) in enumerate(zip(lesions, types, strict=False), 1):
        lines += [f"ABNORMALITY {number}", *(f"LESION_TYPE {word}" for word in words), "ASSESSMENT 4", "SUBTLETY 3"]
        lines += [f"PATHOLOGY {pathology}", f"TOTAL_OUTLINES {2 if core else 1} ", "BOUNDARY", _chain(lesion, scale)]
        if core:
            inner = np.zeros_like(lesion)
            rows, columns = (int(np.median(axis)) for axis in np.nonzero(lesion))
            inner[rows - 1 : rows + 2, columns - 1 : columns + 2] = True
            lines += ["CORE", _chain(inner, scale)]
    return "\n".join([*lines, ""])


def _chain(mask: Mask, scale: int) -> str:
    """Start and codes on a grid that is `scale` times finer."""
    (column, row), codes = chain_code(np.kron(mask, np.ones((scale, scale), np.bool_)))
    return f"{column} {row} {' '.join(map(str, codes))} #"

"""Mini-DDSM: pictures of half the scan's size, masks that are lines in a lossy JPEG, a table of its own.

| case | planted |
|---|---|
| Benign/0029 C | left mass, with `.ics` and OVERLAY beside the masks, as some copies have them |
| Benign/0236 C | right breast with three abnormalities in the OVERLAY and masks of two |
| Cancer/0100 A | right breast, masks only |
| Cancer/0300 B | marked in left CC only: both labels of MLO unknown; right CC missing, as the table shows |
| Normal/0200 D | nothing marked; the age is a word |
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from disasymnet.testkit.ddsm import CLUSTER, MASS, ics, overlay
from disasymnet.testkit.files import write, write_xlsx
from disasymnet.testkit.films import Film, Mask, chain_code, shoot, walk
from disasymnet.testkit.planted import Planted

PLANTED = Planted(
    women=5,
    exams=5,
    pictures=19,
    normal=10,
    abnormal=7,
    unknown=2,
    pairs={(False, True): 2, (True, False): 4, (False, False): 2, (None, None): 1},
    lesions={"mass": 2, "calcification": 6, "unknown": 3},
    located=11,
    rejected={"missing": 1},
)
_COLUMNS = (
    "fullPath", "fileName", "View", "Side", "Status", "Tumour_Contour", "Tumour_Contour2", "Age", "Density",
)  # fmt: skip


def make_mini_ddsm(root: Path) -> Planted:
    """Write the imitation below `root`."""
    rows: list[list[Any]] = []
    rows += _case(root, "Benign/0029", "C_0029_1", shoot(10, False, True), with_ics=MASS)
    three = [_with_a_third(film) for film in shoot(11, True, False, lesions=2)]
    rows += _case(root, "Benign/0236", "C_0236_1", three, with_ics=CLUSTER)
    rows += _case(root, "Cancer/0100", "A_0100_1", shoot(12, True, False))
    one_view = [replace(film, lesions=()) if film.name == "LEFT_MLO" else film for film in shoot(13, False, True)]
    rows += _case(root, "Cancer/0300", "B_0300_1", one_view)
    (root / "Cancer/0300/B_0300_1.RIGHT_CC.jpg").unlink()
    rows += _case(root, "Normal/0200", "D_0200_1", shoot(14, False, False), age="DICOM")
    write_xlsx(root / "DataWMask.xlsx", [_COLUMNS, *rows])
    return PLANTED


def _case(
    root: Path, place: str, image_id: str, films: list[Film], *, with_ics: str | None = None, age: object = 66.0
) -> list[list[Any]]:
    folder = root / place
    rows, views = [], []
    for film in films:
        path = folder / f"{image_id}.{film.name}.jpg"
        write(path, _jpeg(Image.fromarray((film.pixels >> 4).astype(np.uint8))))
        masks = [path.with_name(f"{path.stem}_{word}.jpg") for word in ("Mask", "MASK2")][: len(film.lesions)]
        for mask, lesion in zip(masks, film.lesions, strict=False):
            write(mask, _outline(lesion))
        if with_ics and film.lesions:
            text = overlay(film.lesions, [(with_ics,)] * len(film.lesions), "BENIGN", scale=2)
            write(path.with_suffix(".OVERLAY"), text.encode())
        lines, columns = (2 * length for length in film.pixels.shape)
        word = "OVERLAY" if film.lesions else "NON_OVERLAY"
        size = f"LINES {lines} PIXELS_PER_LINE {columns} BITS_PER_PIXEL 12 RESOLUTION 50"
        views.append(f"{film.name} {size} {word}")
        rows.append(_row(place, path.name, film, masks, age))
    if with_ics:
        write(folder / f"{image_id.replace('_', '-')}.ics", ics(image_id, "LUMISYS LASER", views))
    return rows


def _row(place: str, name: str, film: Film, masks: Sequence[Path], age: object) -> list[Any]:
    folder = place.replace("/", "\\")
    contours = [f"{folder}\\{mask.name}" for mask in masks] + ["-", "-"]
    side, view = film.name.split("_")
    return [f"{folder}\\{name}", name, view, side, place.split("/")[0], *contours[:2], age, 3.0]


def _with_a_third(film: Film) -> Film:
    """A film whose breast is marked, marked once more near the chest wall."""
    if not film.lesions:
        return film
    third: Mask = np.zeros(film.pixels.shape, np.bool_)
    third[76:88, -20:-8] = True
    return replace(film, lesions=(*film.lesions, third))


def _outline(lesion: Mask) -> bytes:
    """A line of one pixel, as the masks of Mini-DDSM are."""
    drawn = Image.new("L", lesion.shape[::-1])
    ImageDraw.Draw(drawn).line(walk(*chain_code(lesion)), fill=255)
    return _jpeg(drawn)


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()

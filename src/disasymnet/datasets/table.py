"""Your own pictures: one row a picture in a CSV or Parquet table, with whatever is known about each.

`patient_id` and `image_path` are needed; an empty cell of any other column means unknown, never normal. Columns:

| column | holds |
|---|---|
| image_path | file, relative to the table's folder, or absolute |
| patient_id, exam_id | any text; pairs are made within one exam, splits by patient |
| laterality, view | R or L; CC, MLO, ... |
| abnormal | 0 or 1 |
| birads | 0 to 6, 4a, 4b, 4c: 1 is normal, all others abnormal (0: assessment incomplete, with a warning) |
| boxes, circles | JSON lists of [x0, y0, x1, y1] and of [x, y, radius], in pixels of the file |
| mask_path | a picture of the file's size, bright where the lesion is |
| pixel_mm, chest_wall, detector | millimetres; left or right edge of the file; film or digital |
| density, split | any text; train, val or test |
| deidentified | 1: the file's PatientID and StudyInstanceUID were replaced and name nobody; the table alone does |

A file `columns.json` beside the table may map these names to the table's own: {"patient_id": "PatNr"}.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from disasymnet.datasets.rows import Row, read_rows
from disasymnet.errors import DatasetError
from disasymnet.records import Box, Circle, Detector, Edge, Finding, Identity, Mammogram, MaskFile, Rejected, Scan
from disasymnet.terms import Laterality, View

_BIRADS = ("0", "1", "2", "3", "4", "4A", "4B", "4C", "5", "6")
_TRUTH = {"0": False, "1": True, "FALSE": False, "TRUE": True}
_EDGES: dict[str, Edge] = {"LEFT": "left", "RIGHT": "right"}
_DETECTORS: dict[str, Detector] = {"FILM": "film", "DIGITAL": "digital"}
_SPLITS = ("train", "val", "test")
_SHOWN = 5  # missing files that a message names


def scan(root: Path) -> Scan:
    """The pictures of a table, in its order; `root` is the table, or a folder with exactly one.

    Files that are missing are listed. DatasetError naming row and column if a cell is not understood, one exam has two
    pictures of a breast and view, or a patient stands in two splits.
    """
    table, rows, warnings = read_rows(root)
    pictures = [(row, _mammogram(row, table.parent)) for row in rows]
    _check_unique(pictures)
    _check_splits(pictures)
    there = [picture for _, picture in pictures if picture.path.is_file()]
    gone = [picture.path for _, picture in pictures if not picture.path.is_file()]
    if not there:
        names = ", ".join(path.name for path in gone[:_SHOWN]) or "the table is empty"
        hint = "Paths are relative to the table's folder."
        raise DatasetError(f"no picture of the table exists: {names}", where=table, hint=hint)
    incomplete = sum(_whole(row["birads"]) == "0" for row in rows)
    if incomplete:
        warnings = (*warnings, f"{incomplete} pictures with BI-RADS 0 (assessment incomplete) count as abnormal")
    rejected = tuple(Rejected(path, "missing", "the file is not there", "Check image_path.") for path in gone)
    return Scan(tuple(there), rejected, warnings)


def _mammogram(row: Row, folder: Path) -> Mammogram:
    findings = tuple(_findings(row, folder))
    abnormal = _abnormal(row)
    if abnormal is False and findings:
        row.fail("abnormal", "the picture is called normal, but a lesion is marked in it")
    if not row["patient_id"]:
        row.fail("patient_id", "it is empty", "Pictures without a patient cannot be kept apart in splits.")
    return Mammogram(
        path=_path(row, "image_path", folder),
        patient=row["patient_id"],
        exam=row["exam_id"] or None,
        laterality=row.parsed("laterality", Laterality.parse, "R or L"),
        view=row.parsed("view", View.parse, "CC, MLO or another DICOM view"),
        abnormal=abnormal,
        findings=findings,
        density=row["density"] or None,
        pixel_mm=row.parsed("pixel_mm", _pixel_mm, "0.01 to 2 millimetres"),
        chest_wall=row.parsed("chest_wall", lambda text: _EDGES.get(text.upper()), "left or right"),
        detector=row.parsed("detector", lambda text: _DETECTORS.get(text.upper()), "film or digital"),
        split=row.parsed("split", lambda text: text if text in _SPLITS else None, "train, val or test"),
        identity=Identity() if row.parsed("deidentified", _truth, "0 or 1") else None,
    )


def _abnormal(row: Row) -> bool | None:
    stated = row.parsed("abnormal", _truth, "0 or 1")
    birads = row.parsed(
        "birads", lambda text: _whole(text).upper() if _whole(text).upper() in _BIRADS else None, "0 to 6, 4a, 4b or 4c"
    )
    if birads is None:
        return stated
    if stated is not None and stated != (birads != "1"):
        row.fail("abnormal", f"{row['abnormal']} contradicts BI-RADS {birads}")
    return birads != "1"


def _truth(text: str) -> bool | None:
    return _TRUTH.get(_whole(text).upper())


def _whole(text: str) -> str:
    """Tables with empty cells turn whole numbers into 1.0."""
    return text.removesuffix(".0")


def _pixel_mm(text: str) -> float | None:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if 0.01 <= value <= 2 else None


def _path(row: Row, column: str, folder: Path) -> Path:
    """The file that the cell names. A relative path stays inside the table's folder."""
    text = row[column]
    if not text:
        row.fail(column, "it is empty")
    path = Path(text)
    if path.is_absolute():
        return path
    if Path(os.path.normpath(text)).parts[:1] == (os.pardir,):
        row.fail(column, f"{text} leaves the table's folder", "Write an absolute path if that is meant.")
    return folder / path


def _findings(row: Row, folder: Path) -> Iterator[Finding]:
    for x0, y0, x1, y1 in _numbers(row, "boxes", 4):
        if not (0 <= x0 < x1 and 0 <= y0 < y1):
            row.fail("boxes", f"[{x0:g}, {y0:g}, {x1:g}, {y1:g}] is no box: x0 < x1 and y0 < y1 are needed")
        yield Finding(region=Box(x0, y0, x1, y1))
    for x, y, radius in _numbers(row, "circles", 3):
        if radius <= 0:
            row.fail("circles", f"radius {radius:g} is not positive")
        yield Finding(region=Circle(x, y, radius))
    if row["mask_path"]:
        path = _path(row, "mask_path", folder)
        if not path.is_file():
            row.fail("mask_path", f"{row['mask_path']} is missing")
        yield Finding(region=MaskFile(path))


def _numbers(row: Row, column: str, count: int) -> list[list[float]]:
    """A JSON list of lists of so many numbers; empty where the cell is."""
    entries: Any = row.json(column)
    if entries is None:
        return []
    if not isinstance(entries, list) or not all(_is_numbers(entry, count) for entry in entries):
        row.fail(column, f"{row[column]!r} is not a list of lists of {count} numbers", "One entry: [[10, 20, 50, 80]].")
    return [[float(number) for number in entry] for entry in entries]


def _is_numbers(entry: Any, count: int) -> bool:
    return (
        isinstance(entry, list)
        and len(entry) == count
        and all(isinstance(number, int | float) and not isinstance(number, bool) for number in entry)
        and all(math.isfinite(number) for number in entry)
    )


def _check_unique(pictures: list[tuple[Row, Mammogram]]) -> None:
    """One picture of each exam, breast and view, and each file once."""
    seen: dict[object, Row] = {}
    for row, picture in pictures:
        keys: list[tuple[str, object]] = [("image_path", picture.path)]
        if picture.laterality and picture.view:
            exam = (picture.patient, picture.exam, picture.laterality, picture.view)
            keys.append(("exam_id" if picture.exam else "patient_id", exam))
        for column, key in keys:
            first = seen.setdefault(key, row)
            if first is not row:
                what = "the same file" if column == "image_path" else "the same exam, breast and view"
                row.fail(column, f"{what} as in {first.place}", "Give other exams other names, or drop one row.")


def _check_splits(pictures: list[tuple[Row, Mammogram]]) -> None:
    """A patient stands in one split only."""
    seen: dict[str | None, tuple[str | None, Row]] = {}
    for row, picture in pictures:
        split, first = seen.setdefault(picture.patient, (picture.split, row))
        if split != picture.split:
            what = f"the patient is in {picture.split or 'no split'} here and in {split or 'none'} in {first.place}"
            row.fail("split", what, "All pictures of a patient belong to one split.")

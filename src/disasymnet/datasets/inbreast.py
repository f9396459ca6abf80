"""INbreast (Moreira et al. 2012): 410 full-field digital pictures, 115 women, outlines of every finding.

What a reader of the original files has to know:

- The patient is known only by the token in the DICOM file's name; table and headers say `removed`.
- `ML` in a file's name means MLO; one picture is FB and makes no pair.
- BI-RADS is given for each picture, as text (`4a`, one with a blank): 1 is normal, all others abnormal.
- Exams of a woman are told apart by the acquisition date (year and month). Of repeated exposures the one with the
  lowest number counts.
- The .xls makes floats of numbers and has a blank row and one with sums. The .csv is separated by semicolons.
- Outlines are property lists, x before y. A calcification is one or two points: a dot, drawn as a small disc. Some
  points lie outside of their picture. Kinds are spelt in a dozen ways.
"""

from __future__ import annotations

import math
import plistlib
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from xml.parsers.expat import ExpatError

from disasymnet.datasets.below import matching
from disasymnet.datasets.tables import Record, read_table
from disasymnet.errors import DatasetError
from disasymnet.records import Circle, Finding, Mammogram, Outline, Region, Rejected, Scan
from disasymnet.terms import FindingKind, Laterality, View

COLUMNS = ("Laterality", "View", "Acquisition date", "File Name", "ACR", "Bi-Rads")
BIRADS = ("0", "1", "2", "3", "4", "4a", "4b", "4c", "5", "6")

KINDS = {
    "mass": FindingKind.MASS,
    "spiculated region": FindingKind.MASS,
    "espiculated region": FindingKind.MASS,
    "calcification": FindingKind.CALCIFICATION,
    "calcifications": FindingKind.CALCIFICATION,
    "cluster": FindingKind.CALCIFICATION,
    "unnamed": FindingKind.CALCIFICATION,
    "point 1": FindingKind.CALCIFICATION,
    "point 3": FindingKind.CALCIFICATION,
    "distortion": FindingKind.ARCHITECTURAL_DISTORTION,
    "asymmetry": FindingKind.ASYMMETRY,
    "assymetry": FindingKind.ASYMMETRY,
}
"""Names of outlines in lower case; others count as `other`, with a warning."""

DOT = 2.0
"""Radius in pixels (0.14 mm) of a calcification that is a single point."""

_NAME = re.compile(r"(?P<id>\d{8})_(?P<patient>[0-9a-f]{16})_MG_(?P<side>[LR])_(?P<view>CC|MLO?|FB)_ANON\.dcm", re.I)
_POINT = re.compile(r"\(\s*([-+.\deE]+)\s*,\s*([-+.\deE]+)\s*\)")
_AGAIN = "Get it again, or use what is there."


@dataclass(frozen=True)
class _File:
    path: Path
    patient: str
    side: Laterality
    view: View


def scan(root: Path) -> Scan:
    """The pictures of the table, by their numbers; what is missing, double or in doubt is listed.

    DatasetError if table or pictures are missing, or a row is not understood; MissingExtraError for an .xls without
    python-calamine.
    """
    table = _table(root)
    files, rejected = _files(root)
    if not files:
        hint = "Name the folder that holds AllDICOMs, AllXML and INbreast.csv or INbreast.xls."
        raise DatasetError("no picture of INbreast is here", where=root, hint=hint)
    rows = _rows(table)
    outlines = {path.stem: path for path in matching(root, "*.xml") if re.fullmatch(r"\d{8}", path.stem)}
    counts: Counter[str] = Counter()
    repeats: Counter[object] = Counter()
    pictures: list[Mammogram] = []
    for number, row in sorted(rows.items()):
        if number not in files:
            path = table.parent / "AllDICOMs" / f"{number}_*.dcm"
            rejected.append(Rejected(path, "missing", "the table lists it, it is not there", _AGAIN))
            continue
        for file in files[number]:
            picture = _mammogram(row, file, table, outlines.get(number), counts)
            shown = (picture.patient, picture.exam, picture.laterality, picture.view)
            pictures.append(replace(picture, repeat=repeats[shown]))
            repeats[shown] += 1
            counts["abnormal pictures without outlines"] += bool(picture.abnormal) and not picture.findings
    for number in sorted(files.keys() - rows):
        reason, hint = "the table has no row for it", "Its label is unknown."
        rejected += [Rejected(file.path, "no_table_row", reason, hint) for file in files[number]]
    warnings = tuple(f"{what}: {count}" for what, count in sorted(counts.items()) if count)
    used = (*_tables(root), *(path for number, path in outlines.items() if number in rows))
    return Scan(tuple(pictures), tuple(rejected), warnings, used)


def _table(root: Path) -> Path:
    found = _tables(root) if root.is_dir() else []
    if not found:
        hint = "INbreast.csv or INbreast.xls lies beside AllDICOMs; without it there are no labels."
        raise DatasetError("INbreast.csv is missing", where=root, hint=hint)
    return found[0]


def _tables(root: Path) -> list[Path]:
    """The best one first."""
    return list(matching(root, "INbreast.csv", "INbreast.xls", "INbreast.xlsx"))


def _rows(table: Path) -> dict[str, Record]:
    delimiter = ";" if table.suffix.lower() == ".csv" else ","
    rows = {row["File Name"]: row for row in read_table(table, COLUMNS, delimiter=delimiter)}
    return {number: row for number, row in rows.items() if re.fullmatch(r"\d{8}", number)}


def _files(root: Path) -> tuple[dict[str, list[_File]], list[Rejected]]:
    """Pictures by their eight digits; files with other names cannot be told apart by patient."""
    files: dict[str, list[_File]] = defaultdict(list)
    rejected = []
    for path in matching(root, "*.dcm"):
        name = _NAME.fullmatch(path.name)
        side = Laterality.parse(name["side"]) if name else None
        if name is None or side is None:
            reason = "the name is not one of INbreast's, and only the name tells the patient"
            rejected.append(Rejected(path, "name", reason, "Leave the files as they were called."))
            continue
        view = View.MLO if name["view"].upper() == "ML" else View(name["view"].upper())
        files[name["id"]].append(_File(path, name["patient"].lower(), side, view))
    return files, rejected


def _mammogram(row: Record, file: _File, table: Path, outline: Path | None, counts: Counter[str]) -> Mammogram:
    birads = row["Bi-Rads"].lower()
    if birads not in BIRADS:
        what = f"picture {row['File Name']}: BI-RADS {row['Bi-Rads']!r} is not understood"
        raise DatasetError(what, where=table, hint="Use the table as it was published.")
    view = View.parse(row["View"])
    if (Laterality.parse(row["Laterality"]), view) != (file.side, file.view):
        counts["pictures whose table row names another side or view than the file: the file is believed"] += 1
    normal = birads == "1"
    counts["normal pictures with outlines, which are left out"] += normal and outline is not None
    return Mammogram(
        path=file.path,
        patient=file.patient,
        exam=f"{file.patient}-{row['Acquisition date']}",
        laterality=file.side,
        view=file.view,
        abnormal=not normal,
        findings=() if normal or outline is None else _findings(outline, counts),
        density=row["ACR"] if row["ACR"] in ("1", "2", "3", "4") else None,
        detector="digital",
    )


def _findings(path: Path, counts: Counter[str]) -> tuple[Finding, ...]:
    """The outlines of a picture; none, and counted, if the file is damaged: the label stands in the table."""
    try:
        with path.open("rb") as file:
            rois = plistlib.load(file)["Images"][0]["ROIs"]
        outlines = [(str(roi["Name"]).strip(), [_point(text) for text in roi["Point_px"]]) for roi in rois]
    except (OSError, ValueError, KeyError, IndexError, TypeError, ExpatError, plistlib.InvalidFileException):
        counts["outline files that cannot be read"] += 1
        return ()
    for name, _ in outlines:
        if name.lower() not in KINDS:
            counts[f"outlines called {name!r}, taken as other"] += 1
    return tuple(
        Finding(kind=KINDS.get(name.lower(), FindingKind.OTHER), region=_region(points), name=name)
        for name, points in outlines
    )


def _point(text: str) -> tuple[float, float]:
    """x, y with the centre of the first pixel at 0.5; the files count from the centre."""
    match = _POINT.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    x, y = float(match[1]) + 0.5, float(match[2]) + 0.5
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ValueError(text)
    return x, y


def _region(points: list[tuple[float, float]]) -> Region | None:
    """Curve, or a disc where two points at most are given."""
    if len(points) > 2:
        return Outline.of(points)
    if not points:
        return None
    (x0, y0), (x1, y1) = points[0], points[-1]
    return Circle((x0 + x1) / 2, (y0 + y1) / 2, max(DOT, math.hypot(x1 - x0, y1 - y0) / 2))

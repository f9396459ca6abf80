"""VinDr-Mammo (Nguyen et al. 2023): 5,000 four-view screening exams, BI-RADS for each breast, boxes for some findings.

What a reader of the original files has to know:

- There is no patient: the exam (study_id) stands for her. series_id is no key: some studies have several.
- BI-RADS is given for a breast, so both its views have one label. 1 is normal, 2 to 5 are abnormal.
- Only findings of BI-RADS 3 and more have a box: 1,768 of 6,594 abnormal pictures. Localisation means these.
- `finding_categories` is a Python list in a string; 174 boxes have several. Some boxes stick out of their picture.
- One study has L CC twice and no L MLO: the first image id counts, the single R MLO makes no pair.
- The publishers' split (training, test) is kept, but used only on demand: the paper draws its own.
- Windows with several values, MONOCHROME1, padding values and For Processing files are the reader's business.
"""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from disasymnet.datasets.below import matching
from disasymnet.datasets.tables import Record, read_table
from disasymnet.errors import DatasetError
from disasymnet.records import Box, Finding, Mammogram, Rejected, Scan
from disasymnet.terms import FindingKind, Laterality, View

BREASTS, FINDINGS, METADATA = "breast-level_annotations.csv", "finding_annotations.csv", "metadata.csv"
COLUMNS = ("study_id", "image_id", "laterality", "view_position", "breast_birads", "breast_density", "split")
FINDING_COLUMNS = ("image_id", "height", "width", "finding_categories", "xmin", "ymin", "xmax", "ymax")

KINDS = {
    "Mass": FindingKind.MASS,
    "Suspicious Calcification": FindingKind.CALCIFICATION,
    "Architectural Distortion": FindingKind.ARCHITECTURAL_DISTORTION,
    "Asymmetry": FindingKind.ASYMMETRY,
    "Focal Asymmetry": FindingKind.ASYMMETRY,
    "Global Asymmetry": FindingKind.ASYMMETRY,
}
"""Of a box with several categories the first of these; what stands in none of them is `other`."""

NOTHING = "No Finding"
_SPLITS = {"training": "train", "test": "test"}
_AGAIN = "Download it again, or use what is there."


def scan(root: Path) -> Scan:
    """The pictures of the breast-level table, by study, side and view; missing and double ones are listed.

    DatasetError if that table or every picture is missing, or a row is not understood.
    """
    table = _find(root, BREASTS)
    if table is None:
        hint = f"Name the folder that holds {BREASTS}, {FINDINGS} and images/."
        raise DatasetError(f"{BREASTS} is missing", where=root, hint=hint)
    findings, warnings = _findings(_find(root, FINDINGS))
    files = _files(table.parent)
    pictures: list[Mammogram] = []
    rejected: list[Rejected] = []
    repeats: Counter[object] = Counter()
    rows = read_table(table, COLUMNS)
    for row in sorted(rows, key=lambda row: (row["study_id"], row["image_id"])):
        paths = files.get((row["study_id"], row["image_id"]), [])
        stated = _mammogram(row, table, findings[row["image_id"]])
        if not paths:
            rejected.append(Rejected(stated.path, "missing", "the table lists it, it is not there", _AGAIN))
        for path in paths:
            shown = (stated.exam, stated.laterality, stated.view)
            pictures.append(replace(stated, path=path, repeat=repeats[shown]))
            repeats[shown] += 1
    if not pictures:
        raise DatasetError(
            "no picture of VinDr-Mammo is here", where=table.parent, hint="Put images/ beside the tables."
        )
    used = [path for path in map(partial(_find, root), (BREASTS, FINDINGS, METADATA)) if path is not None]
    return Scan(tuple(pictures), tuple(rejected), warnings, tuple(used))


def _files(folder: Path) -> dict[tuple[str, str], list[Path]]:
    """Study and image -> its file, or several where a study's folder was copied."""
    files: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in matching(folder, "*.dicom"):
        files[path.parent.name, path.stem].append(path)
    return files


def _find(root: Path, name: str) -> Path | None:
    return next(matching(root, name), None) if root.is_dir() else None


def _mammogram(row: Record, table: Path, findings: list[Finding]) -> Mammogram:
    side, view = Laterality.parse(row["laterality"]), View.parse(row["view_position"])
    birads = re.fullmatch(r"BI-RADS ([1-5])", row["breast_birads"])
    if side is None or view is None or birads is None or row["split"] not in _SPLITS:
        what = f"the row of image {row['image_id']} is not understood"
        raise DatasetError(what, where=table, hint="Use the table as it was published.")
    density = row["breast_density"].removeprefix("DENSITY ")
    return Mammogram(
        path=table.parent / "images" / row["study_id"] / f"{row['image_id']}.dicom",
        patient=row["study_id"],
        exam=row["study_id"],
        laterality=side,
        view=view,
        abnormal=birads[1] != "1",
        findings=tuple(findings),
        density=density if density in ("A", "B", "C", "D") else None,
        detector="digital",
        split=_SPLITS[row["split"]],
    )


def _findings(table: Path | None) -> tuple[defaultdict[str, list[Finding]], tuple[str, ...]]:
    """Image id -> its boxes, and warnings."""
    found: defaultdict[str, list[Finding]] = defaultdict(list)
    if table is None:
        return found, (f"{FINDINGS} is missing: labels are known, no finding is",)
    counts: Counter[str] = Counter()
    for row in read_table(table, FINDING_COLUMNS):
        found[row["image_id"]] += _boxes(row, table, counts)
    return found, tuple(f"{what}: {count}" for what, count in sorted(counts.items()))


def _boxes(row: Record, table: Path, counts: Counter[str]) -> Iterator[Finding]:
    try:
        categories = ast.literal_eval(row["finding_categories"])
        if NOTHING in categories:
            return
        height, width = int(row["height"]), int(row["width"])
        x0, y0, x1, y1 = (float(row[name]) for name in ("xmin", "ymin", "xmax", "ymax"))
        if not (x0 < x1 and y0 < y1 and x0 < width and y0 < height and x1 > 0 and y1 > 0):
            raise ValueError("the box lies nowhere")
    except (ValueError, SyntaxError, TypeError):
        what = f"a finding of image {row['image_id']} is not understood"
        raise DatasetError(what, where=table, hint="Use the table as it was published.") from None
    box = Box(max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
    counts["boxes that stuck out of their picture and were cut"] += box != Box(x0, y0, x1, y1)
    kind = next((KINDS[word] for word in KINDS if word in categories), FindingKind.OTHER)
    yield Finding(kind=kind, region=box, name=", ".join(categories))

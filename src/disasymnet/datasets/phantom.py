"""Phantom exams as `disasymnet.phantom` writes them: pictures, lesion masks, and the same breast without lesions."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from disasymnet.errors import DatasetError
from disasymnet.records import Finding, Mammogram, MaskFile, Scan
from disasymnet.terms import FindingKind, Laterality, View

SCHEMA = 1
"""Version of phantom.json and pictures.csv that is read here."""

NEEDED = (
    "picture", "patient", "exam", "laterality", "view", "density", "abnormal", "pixel_mm", "split", "lesion_free",
    "findings",
)  # fmt: skip


def scan(root: Path) -> Scan:
    """All pictures of a phantom folder, in the order of its table.

    Truth comes along: each lesion's kind, name and mask file, and the lesion-free picture of the same grid.
    DatasetError if the folder, a column, a value or a file is missing or wrong.
    """
    detector = _style(root)
    table = root / "pictures.csv"
    if not table.is_file():
        raise DatasetError("pictures.csv is missing", where=root, hint="Make the exams again into a new folder.")
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
        if missing:
            raise DatasetError(f"no column {', '.join(missing)}", where=table, hint="Make the exams again.")
        rows = list(reader)
    return Scan(tuple(_picture(root, table, line, row, detector) for line, row in enumerate(rows, 2)))


def _style(root: Path) -> Any:
    card = root / "phantom.json"
    try:
        content = json.loads(card.read_text(encoding="utf-8"))
        schema, style = content["schema"], content["settings"]["style"]
    except FileNotFoundError:
        hint = "Name the folder that `disasymnet phantom` wrote."
        raise DatasetError("phantom.json is missing: this is no phantom folder", where=root, hint=hint) from None
    except (ValueError, KeyError, TypeError):
        raise DatasetError("not a phantom's card", where=card, hint="Make the exams again.") from None
    if schema != SCHEMA or style not in ("film", "digital"):
        what = f"schema {schema!r} with style {style!r}, expected schema {SCHEMA} and film or digital"
        raise DatasetError(what, where=card, hint="Make the exams again with this version.")
    return style


def _picture(root: Path, table: Path, line: int, row: dict[str, str], detector: Any) -> Mammogram:
    try:
        side, view = Laterality.parse(row["laterality"]), View.parse(row["view"])
        findings = tuple(_finding(root, entry) for entry in json.loads(row["findings"]))
        abnormal = {"0": False, "1": True}[row["abnormal"]]
        pixel_mm = float(row["pixel_mm"])
        if side is None or view is None or abnormal is not bool(findings):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise DatasetError(f"line {line} cannot be read", where=table, hint="Make the exams again.") from None
    return Mammogram(
        path=_there(root, row["picture"]),
        patient=row["patient"],
        exam=row["exam"],
        laterality=side,
        view=view,
        abnormal=abnormal,
        findings=findings,
        density=row["density"],
        pixel_mm=pixel_mm,
        chest_wall="left" if side is Laterality.LEFT else "right",
        detector=detector,
        split=row["split"] or None,
        lesion_free=_there(root, row["lesion_free"]) if row["lesion_free"] else None,
    )


def _finding(root: Path, entry: dict[str, Any]) -> Finding:
    return Finding(kind=FindingKind(entry["kind"]), region=MaskFile(_there(root, entry["mask"])), name=entry["name"])


def _there(root: Path, name: str) -> Path:
    path = root / name
    if not path.is_file():
        raise DatasetError(f"{name} is missing", where=root, hint="Make the exams again into a new folder.")
    return path

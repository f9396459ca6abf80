"""CMMD, the Chinese Mammography Database (Cui et al. 2021): 1,775 women with a biopsied breast. Not in the paper.

What a reader of the original files has to know:

- Labels are of a breast: one row of the table for (ID1, LeftRight), always with a finding, benign or malignant.
- **No breast is declared normal.** A woman with four pictures and one row has a second breast without a label: it is
  unknown here. Loaders that call it normal invent labels. So no pair is symmetric for certain.
- Women with two pictures have one breast: no pair.
- The side is in ImageLaterality, the view only in ViewCodeSequence; some files lack it.
- No finding has a place.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

from disasymnet.datasets.below import matching
from disasymnet.datasets.tables import Record, read_table
from disasymnet.errors import DatasetError, PictureError
from disasymnet.images.read import Facts, read_facts
from disasymnet.progress import track
from disasymnet.records import Finding, Mammogram, Rejected, Scan
from disasymnet.terms import FindingKind, Laterality

TABLE = "CMMD_clinicaldata_revision"
COLUMNS = ("ID1", "LeftRight", "abnormality", "classification")
KINDS = {
    "mass": (FindingKind.MASS,),
    "calcification": (FindingKind.CALCIFICATION,),
    "both": (FindingKind.MASS, FindingKind.CALCIFICATION),
}

_ID = re.compile(r"D[12]-\d{4}")
_MALIGNANT = {"malignant": True, "benign": False}
Breast = tuple[str, Laterality]


def scan(root: Path) -> Scan:
    """The pictures below `root` by their folders; women of the table without a folder are listed.

    DatasetError if no picture is there or a row is not understood; MissingExtraError for the .xlsx without
    python-calamine.
    """
    table = _table(root)
    rows = {} if table is None else _rows(table)
    pictures: list[Mammogram] = []
    rejected: list[Rejected] = []
    files = [path for path in matching(root, "*.dcm") if _woman(path) is not None] if root.is_dir() else []
    for path in track(files, "headers", len(files)):
        try:
            pictures.append(_mammogram(path, read_facts(path), rows))
        except PictureError as error:
            rejected.append(Rejected(path, error.code, error.what, error.hint or ""))
    if not pictures:
        hint = "Name the folder of the download, which holds CMMD/D1-0001 and so on."
        raise DatasetError("no picture of CMMD is here", where=root, hint=hint)
    there = {picture.patient for picture in pictures}
    for patient in sorted({patient for patient, _ in rows} - there):
        reason, hint = "the table lists this woman, no picture of her is there", "Download her, or use what is there."
        rejected.append(Rejected(root / patient, "missing", reason, hint))
    used = () if table is None else (table,)
    return Scan(tuple(pictures), tuple(rejected), _warnings(table, rows, pictures), used)


def _table(root: Path) -> Path | None:
    found = matching(root, f"{TABLE}.xlsx", f"{TABLE}.csv")
    return next(found, None)


def _rows(table: Path) -> dict[Breast, Record]:
    rows: dict[Breast, Record] = {}
    for row in read_table(table, COLUMNS):
        side = Laterality.parse(row["LeftRight"])
        known = row["abnormality"].lower() in KINDS and row["classification"].lower() in _MALIGNANT
        if side is None or not known or not _ID.fullmatch(row["ID1"]):
            what = f"the row of {row['ID1'] or '(no ID1)'} {row['LeftRight']} is not understood"
            raise DatasetError(what, where=table, hint="Use the table as it was published.")
        rows[row["ID1"], side] = row
    return rows


def _woman(path: Path) -> int | None:
    """Which part of the path is the woman's id."""
    return next((at for at in reversed(range(len(path.parts) - 1)) if _ID.fullmatch(path.parts[at])), None)


def _mammogram(path: Path, facts: Facts, rows: dict[Breast, Record]) -> Mammogram:
    # From the woman's folder on: her id, the exam's folder, the series', the file.
    parts = path.parts[_woman(path) :]
    patient, side = parts[0], facts.laterality
    row = rows.get((patient, side)) if side is not None else None
    return Mammogram(
        path=path,
        patient=patient,
        exam="-".join(parts[:2]) if len(parts) > 2 else patient,
        laterality=side,
        view=facts.view,
        abnormal=None if row is None else True,
        findings=() if row is None else _findings(row),
        pixel_mm=facts.pixel_mm,
        detector="digital",
        exposure=facts.exposure,
        identity=facts.identity,
    )


def _findings(row: Record) -> tuple[Finding, ...]:
    malignant = _MALIGNANT[row["classification"].lower()]
    name = row["abnormality"].lower()
    return tuple(Finding(kind=kind, malignant=malignant, name=name) for kind in KINDS[name])


def _warnings(table: Path | None, rows: dict[Breast, Record], pictures: list[Mammogram]) -> tuple[str, ...]:
    counts: Counter[str] = Counter()
    found: dict[Breast, int] = defaultdict(int)
    for picture in pictures:
        counts["pictures of breasts that the table does not name: unknown, not normal"] += picture.abnormal is None
        if picture.patient is not None and picture.laterality is not None:
            found[picture.patient, picture.laterality] += 1
    for breast, row in rows.items():
        stated = row.get("number", "")
        counts["breasts with fewer pictures than the table states"] += stated.isdigit() and (
            0 < found[breast] < int(stated)
        )
    lines = [] if table is not None else [f"{TABLE}.xlsx is missing: every label is unknown"]
    return (*lines, *(f"{what}: {count}" for what, count in sorted(counts.items()) if count))

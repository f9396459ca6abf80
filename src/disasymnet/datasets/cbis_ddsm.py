"""CBIS-DDSM (Lee et al. 2017): DDSM's marked views as DICOM, one tight mask a lesion. For T and for single pictures.

What a reader of the original files has to know:

- Only marked views are here: no picture is normal, and pairs (247 views of 142 patients) are abnormal on both sides.
- A view's folder is `Mass-Training_P_00001_LEFT_CC`, its lesions' are `..._1`, `..._2`. The UIDs in the tables do not
  match newer downloads, and downloaders rename files: only the first component of a path is a key.
- Crop and mask of a lesion share a folder under names that say nothing. The mask has the proportions of the whole film
  (its size, or 0.87 of it); where sizes decide nothing, the file with two values is the mask.
- 31 patients stand in a training table of one half (mass, calcification) and in a test table of the other: here they
  belong to training. A view may stand in both halves: its pictures are one, the lesions add up.
- Sizes tell the scanner: rows and columns divisible by 8: 0.05 mm; both 1 more than a multiple of 15: 0.0435 mm.
- Hanging is not uniform, so the chest wall is left to the picture.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from disasymnet.datasets.below import matching
from disasymnet.datasets.headers import read_header
from disasymnet.datasets.tables import Record, read_table
from disasymnet.errors import DatasetError, PictureError
from disasymnet.images.read import read_mask
from disasymnet.records import Finding, Mammogram, MaskFile, Rejected, Scan
from disasymnet.terms import FindingKind, Laterality, View

TABLES = {f"{kind}_case_description_{split}_set.csv": split for kind in ("mass", "calc") for split in ("train", "test")}
"""Name of a table -> its official split."""

COLUMNS = (
    "patient_id", "left or right breast", "image view", "abnormality id", "abnormality type", "assessment",
    "pathology", "image file path", "cropped image file path", "ROI mask file path",
)  # fmt: skip
_PARTS = ("cropped image file path", "ROI mask file path")
KINDS = {
    "ARCHITECTURAL_DISTORTION": FindingKind.ARCHITECTURAL_DISTORTION,
    "ASYMMETRIC_BREAST_TISSUE": FindingKind.ASYMMETRY,
    "FOCAL_ASYMMETRIC_DENSITY": FindingKind.ASYMMETRY,
    "LYMPH_NODE": FindingKind.OTHER,
}
"""Shapes of entries of type mass that are something else."""

_FOLDER = re.compile(r"(?:Mass|Calc)-(?:Training|Test)_P_\d+_(?:LEFT|RIGHT)_(?:CC|MLO)(?:_\d+)?")
_AGAIN = "Download it again, or use what is there."
_SAME_PROPORTION = 0.01
_WHOLE = 0.8  # of the film's height: masks have 1 or 0.87 of it


@dataclass
class _View:
    """One view of a breast, over all tables."""

    patient: str
    side: Laterality
    view: View
    density: str | None
    rows: list[Record] = field(default_factory=list)

    @property
    def folders(self) -> list[str]:
        """The folders of its whole picture: one for each half of the data set that has it."""
        return list(dict.fromkeys(_key(row["image file path"]) for row in self.rows))


def scan(root: Path) -> Scan:
    """The marked views of the tables, by patient, side and view; what is missing or double is listed.

    DatasetError if no table or no picture is there, or a table is not understood.
    """
    tables, absent = _tables(root)
    folders = _folders(root)
    notes = _Notes()
    pictures: list[Mammogram] = []
    rejected: list[Rejected] = []
    views, splits = _views(tables, notes)
    for view in views:
        picture, refused = _mammogram(view, root, folders, splits, notes)
        pictures += [] if picture is None else [picture]
        rejected += refused
    if not pictures:
        hint = (
            "Name the folder that holds the tables and the downloaded folders, such as Mass-Training_P_00001_LEFT_CC."
        )
        raise DatasetError("no picture of CBIS-DDSM is here", where=root, hint=hint)
    known = {name for view in views for name in view.folders}
    for name, files in sorted(folders.items()):
        if not re.search(r"_\d+$", name) and name not in known:
            reason = "no table has a row for it" + (f": {', '.join(absent)} missing" if absent else "")
            rejected += [Rejected(path, "no_table_row", reason, "Put all four tables there.") for path in files]
    parts = {_key(row[column]) for view in views for row in view.rows for column in _PARTS}
    used = [*_places(root).values(), *(path for name in parts for path in folders.get(name, []))]
    return Scan(tuple(pictures), tuple(rejected), notes.lines(absent), tuple(used))


@dataclass
class _Notes:
    """What is counted on the way."""

    in_both: int = 0
    without_mask: int = 0

    def lines(self, absent: list[str]) -> tuple[str, ...]:
        found = []
        if absent:
            found.append(f"tables that are missing: {', '.join(absent)}")
        if self.in_both:
            found.append(f"patients in a training and in a test table, taken as training: {self.in_both}")
        if self.without_mask:
            found.append(f"lesions without a mask file, which count but have no place: {self.without_mask}")
        return tuple(found)


def _tables(root: Path) -> tuple[dict[str, list[Record]], list[str]]:
    if not root.is_dir():
        raise DatasetError("there is no such folder", where=root, hint="Name the folder with tables and pictures.")
    places = _places(root)
    tables = {name: read_table(places[name], COLUMNS) for name in TABLES if name in places}
    if not tables:
        hint = f"Download them beside the pictures: {', '.join(TABLES)}."
        raise DatasetError("none of the four case tables is here", where=root, hint=hint)
    return tables, [name for name in TABLES if name not in places]


def _places(root: Path) -> dict[str, Path]:
    return {path.name.lower(): path for path in matching(root, *TABLES)}


def _folders(root: Path) -> dict[str, list[Path]]:
    """Case folder -> its DICOM files, at whatever depth both lie."""
    folders: dict[str, list[Path]] = defaultdict(list)
    for path in matching(root, "*.dcm"):
        for part in path.relative_to(root).parts[:-1]:
            if _FOLDER.fullmatch(part):
                folders[part].append(path)
    return folders


def _views(tables: dict[str, list[Record]], notes: _Notes) -> tuple[list[_View], dict[str, str]]:
    """All views, and the split of each patient."""
    views: dict[tuple[str, Laterality, View], _View] = {}
    splits: dict[str, set[str]] = defaultdict(set)
    for name, rows in tables.items():
        for row in rows:
            side, view = Laterality.parse(row["left or right breast"]), View.parse(row["image view"])
            if side is None or view is None or not row["patient_id"]:
                what = f"a row of patient {row['patient_id'] or '(none)'} names no side or view"
                raise DatasetError(what, where=name, hint="Use the table as it was published.")
            # The mass tables spell it with an underline, the calcification tables with a blank; 0 is no density.
            density = row.get("breast_density", row.get("breast density", ""))
            key = (row["patient_id"], side, view)
            entry = views.setdefault(key, _View(*key, density if density in ("1", "2", "3", "4") else None))
            entry.rows.append(row)
            splits[row["patient_id"]].add(TABLES[name])
    notes.in_both = sum(len(found) == 2 for found in splits.values())
    ordered = [views[key] for key in sorted(views)]
    return ordered, {patient: "train" if "train" in found else "test" for patient, found in splits.items()}


def _mammogram(
    view: _View, root: Path, folders: dict[str, list[Path]], splits: dict[str, str], notes: _Notes
) -> tuple[Mammogram | None, list[Rejected]]:
    there: list[tuple[Path, tuple[int, int]]] = []
    rejected: list[Rejected] = []
    for name in view.folders:
        if not folders.get(name):
            rejected.append(Rejected(root / name, "missing", "its folder is not there or empty", _AGAIN))
            continue
        for path in folders[name]:
            try:
                there.append((path, _size(path)))
                break
            except PictureError as error:
                rejected.append(Rejected(path, error.code, error.what, error.hint or ""))
    if not there:
        return None, rejected
    (path, shape), *doubles = there
    for double, _ in doubles:
        reason = "the same view stands in the other half of the data set, and that picture is taken"
        rejected.append(Rejected(double, "duplicate", reason, "Its lesions are not lost."))
    findings = tuple(_findings(view, folders, {_key_of(path): size for path, size in there}, shape, notes))
    return Mammogram(
        path=path,
        patient=view.patient,
        exam=view.patient,
        laterality=view.side,
        view=view.view,
        abnormal=True,
        findings=findings,
        density=view.density,
        pixel_mm=_pixel_mm(shape),
        detector="film",
        split=splits[view.patient],
    ), rejected


def _findings(
    view: _View,
    folders: dict[str, list[Path]],
    sizes: dict[str, tuple[int, int]],
    shape: tuple[int, int],
    notes: _Notes,
) -> Iterator[Finding]:
    for row in view.rows:
        files = [path for column in reversed(_PARTS) for path in folders.get(_key(row[column]), [])]
        mask = _mask(dict.fromkeys(files), sizes.get(_key(row["image file path"]), shape))
        notes.without_mask += mask is None
        words = row.get("mass shape") or row.get("calc type") or ""
        mass = row["abnormality type"] == "mass"
        yield Finding(
            kind=KINDS.get(words, FindingKind.MASS) if mass else FindingKind.CALCIFICATION,
            region=None if mask is None else MaskFile(mask, stretch=True),
            malignant=row["pathology"] == "MALIGNANT",
            name=f"{row['abnormality type']} {words.lower().replace('_', ' ')}".strip(),
        )


def _mask(files: Iterable[Path], film: tuple[int, int]) -> Path | None:
    """The mask among a lesion's files, by size where that decides and by content where it does not."""
    readable = {}
    for path in files:
        try:
            readable[path] = _size(path)
        except PictureError:
            continue
    whole = [path for path, size in readable.items() if _proportioned(size, film)]
    candidates = whole or list(readable)
    return candidates[0] if len(whole) == 1 else next((path for path in candidates if _two_values(path)), None)


def _proportioned(size: tuple[int, int], film: tuple[int, int]) -> bool:
    rows, columns = size[0] / film[0], size[1] / film[1]
    return rows >= _WHOLE and abs(rows / columns - 1) <= _SAME_PROPORTION


def _two_values(path: Path) -> bool:
    try:
        read_mask(path)
    except PictureError:
        return False
    return True


def _size(path: Path) -> tuple[int, int]:
    header = read_header(path)
    rows, columns = header.whole("Rows", 0), header.whole("Columns", 0)
    if min(rows, columns) < 1:
        raise PictureError("the file holds no picture", where=path, hint=_AGAIN, code="no_pixels")
    return rows, columns


def _pixel_mm(shape: tuple[int, int]) -> float | None:
    """From the law of the scan sizes, which 1,097 of 1,098 films of known size obey; None for others."""
    if all(length % 8 == 0 for length in shape):
        return 0.05
    return 0.0435 if all(length % 15 == 1 for length in shape) else None


def _key(path: str) -> str:
    return path.strip().split("/")[0]


def _key_of(path: Path) -> str:
    return next(part for part in reversed(path.parts) if _FOLDER.fullmatch(part))

"""DDSM (Heath et al. 1998) as its server held it, and Mini-DDSM (Lekamlage et al. 2020), its reduced copy.

What a reader of the original files has to know:

- A case's folder holds `B_3024_1.LEFT_CC.LJPEG`, `..OVERLAY` where something is marked, and `B-3024-1.ics`. Mini-DDSM
  has half-size JPEG (or PNG) pictures instead, and masks that draw a one-pixel outline.
- Case numbers are no identity: 322 occur in two groups, 18 image ids in two folders. The patient is the image id with
  its letter (`B_3024`), the exam is the folder; exact doubles are dropped.
- Outlines are chain codes in pixels of the scan. Only BOUNDARY counts. Masks of Mini-DDSM are at most two a picture,
  so the OVERLAY wins where there is one.
- A picture is abnormal if something is outlined in it. The other breast is normal. Where a case of a benign or cancer
  group has no outline on either side of a projection, both labels are unknown; the paper counts them as normal.
- Grey depends on the scanner: `disasymnet.images.ddsm_film`. Hanging is not uniform: the wall is left to the picture.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from disasymnet.datasets.below import matching
from disasymnet.datasets.overlay import Abnormality, read_overlay
from disasymnet.datasets.tables import Record, read_table
from disasymnet.errors import DatasetError, PictureError
from disasymnet.images.ddsm_film import FILM, Case, ics_path, read_ics
from disasymnet.records import Finding, Mammogram, MaskFile, Outline, Rejected, Scan
from disasymnet.terms import FindingKind, Laterality, View

GROUPS = ("normal", "cancer", "benign")
"""What a group's or volume's folder begins with, in both layouts; `benign_without_callbacks` is benign."""
TABLE = "DataWMask"
"""Mini-DDSM's own table, .xlsx or .csv: not needed, but it tells what is missing."""

KINDS = {
    "MASS": FindingKind.MASS,
    "CALCIFICATION": FindingKind.CALCIFICATION,
    "OTHER": FindingKind.OTHER,
}
SHAPES = {
    "ARCHITECTURAL_DISTORTION": FindingKind.ARCHITECTURAL_DISTORTION,
    "ASYMMETRIC_BREAST_TISSUE": FindingKind.ASYMMETRY,
    "FOCAL_ASYMMETRIC_DENSITY": FindingKind.ASYMMETRY,
    "LYMPH_NODE": FindingKind.OTHER,
}
"""Shapes of masses that are something else."""

_MASK = re.compile(r"(?P<film>.+)_mask\d?\.(?:jpe?g|png)", re.I)
_STRAY = re.compile(r".*(?:\.LJPEG\.[12]|~|#|\.OVERLAYu)|jpeg", re.I)
_PACKED = re.compile(r"[A-D]_\d{4}_\d+\.(?:LEFT|RIGHT)_(?:CC|MLO)\.OVERLAY\.gz", re.I)
_NO_CARD = Case(None, None, {})
_AGAIN = "Download it again, or use what is there."


@dataclass
class _Folder:
    """One case: what lies beside each other under one image id."""

    path: Path
    image_id: str
    films: dict[str, Path] = field(default_factory=dict)
    """By name of the view, `LEFT_CC`."""
    masks: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    zipped: list[Path] = field(default_factory=list)
    card: Case = _NO_CARD
    """Its .ics, as far as there is one."""
    steps: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Pixels of the picture for each pixel of the scan, along x and y, where the .ics names the view."""
    marks: dict[str, tuple[Finding, ...]] = field(default_factory=dict)

    @property
    def group(self) -> str | None:
        """`normal`, `cancer` or `benign`, from the nearest folder that says so."""
        words = [part.lower() for part in reversed(self.path.parts)]
        return next((group for word in words for group in GROUPS if word.startswith(group)), None)

    def overlay(self, name: str) -> Path:
        """The view's OVERLAY, whether it is there or not."""
        return self.path / f"{self.image_id}.{name}.OVERLAY"


@dataclass
class _Notes:
    """What is counted on the way."""

    stray: int = 0
    packed: int = 0
    unknown: int = 0
    unplaced: int = 0

    def lines(self) -> tuple[str, ...]:
        words = {
            "stray files that were passed over": self.stray,
            "OVERLAY files that are packed: unpack them with gunzip, their outlines are not read": self.packed,
            "pictures of cancer or benign cases without an outline on either side, label unknown "
            "(the paper counts them as normal)": self.unknown,
            "marked pictures without a readable outline: abnormal, place unknown": self.unplaced,
        }
        return tuple(f"{what}: {count}" for what, count in words.items() if count)


def scan(root: Path) -> Scan:
    """The films below `root`, whichever part of the data set that is, case by case; what is missing is listed.

    DatasetError if no film is there.
    """
    if not root.is_dir():
        raise DatasetError("there is no such folder", where=root, hint="Name the folder with the cases.")
    notes = _Notes()
    folders = _folders(root, notes)
    table = _table(root)
    pictures: list[Mammogram] = []
    rejected: list[Rejected] = []
    for folder in folders:
        found, refused = _case(folder, root, table, notes)
        pictures += found
        rejected += refused
    if not pictures:
        hint = "Name a folder that holds cases: .LJPEG and .ics files, or Mini-DDSM's pictures."
        raise DatasetError("no film of DDSM is here", where=root, hint=hint)
    seen = {picture.path.name for picture in pictures} | {entry.path.name for entry in rejected}
    for name, row in table.items():
        if name not in seen:
            path = root / row["fullPath"].replace("\\", "/")
            rejected.append(Rejected(path, "missing", f"{TABLE} lists it, it is not there", _AGAIN))
    kept, doubles = _without_doubles(pictures)
    return Scan(tuple(kept), (*rejected, *doubles), notes.lines())


def _folders(root: Path, notes: _Notes) -> list[_Folder]:
    folders: dict[tuple[Path, str], _Folder] = {}

    def of(path: Path, image_id: str) -> _Folder:
        return folders.setdefault((path.parent, image_id.upper()), _Folder(path.parent, image_id.upper()))

    for path in (each for each in matching(root, "*") if each.is_file()):
        if film := FILM.fullmatch(path.name):
            of(path, film["id"]).films[f"{film['side']}_{film['view']}".upper()] = path
        elif film := FILM.fullmatch(path.name.removesuffix(".gz")):
            of(path, film["id"]).zipped.append(path)
        elif (mask := _MASK.fullmatch(path.name)) and (film := FILM.fullmatch(mask["film"] + ".jpg")):
            of(path, film["id"]).masks[f"{film['side']}_{film['view']}".upper()].append(path)
        elif path.suffix.lower() == ".ics" and re.fullmatch(r"[A-D]-\d{4}-\d+", path.stem, re.I):
            of(path, path.stem.replace("-", "_"))
        else:
            notes.stray += bool(_STRAY.fullmatch(path.name))
            notes.packed += bool(_PACKED.fullmatch(path.name))
    return [folders[key] for key in sorted(folders)]


def _table(root: Path) -> dict[str, Record]:
    """Rows of Mini-DDSM's table by file name; empty where it is not there."""
    found = list(matching(root, TABLE + ".xlsx", TABLE + ".csv"))
    columns = ("fullPath", "fileName", "Tumour_Contour", "Density")
    return {row["fileName"]: row for row in read_table(found[0], columns)} if found else {}


def _case(
    folder: _Folder, root: Path, table: dict[str, Record], notes: _Notes
) -> tuple[list[Mammogram], list[Rejected]]:
    hint = "Unpack it with gunzip."
    rejected = [Rejected(path, "gzipped", "the film is packed", hint) for path in folder.zipped]
    try:
        folder.card = read_ics(ics_path(folder.path, folder.image_id))
    except PictureError as error:
        # Pictures of Mini-DDSM can be read without; films of DDSM cannot.
        if error.code != "no_ics" or any(path.suffix.upper() == ".LJPEG" for path in folder.films.values()):
            reasons = [Rejected(path, error.code, error.what, error.hint or "") for path in folder.films.values()]
            return [], [*rejected, *reasons]
    packed = {path.name.removesuffix(".gz") for path in folder.zipped}
    for name in folder.card.views:
        path = folder.path / f"{folder.image_id}.{name}.{_format(folder)}"
        if name not in folder.films and path.name not in packed:
            rejected.append(Rejected(path, "missing", "its .ics names it, it is not there", _AGAIN))
    for name, path in sorted(folder.films.items()):
        try:
            if name in folder.card.views:
                folder.steps[name] = _step(path, folder.card.views[name].shape)
            folder.marks[name] = tuple(_findings(folder, name, table, notes))
        except PictureError as error:
            rejected.append(Rejected(path, error.code, error.what, error.hint or ""))
    return [_mammogram(folder, root, name, table, notes) for name in folder.marks], rejected


def _format(folder: _Folder) -> str:
    return next((path.suffix.removeprefix(".") for path in folder.films.values()), "LJPEG")


def _findings(folder: _Folder, name: str, table: dict[str, Record], notes: _Notes) -> Iterator[Finding]:
    """OVERLAY, else masks, else the bare word of `.ics` or table that something is marked."""
    overlay, stated = folder.overlay(name), folder.card.views.get(name)
    if overlay.is_file() and name in folder.steps:
        for abnormality in read_overlay(overlay):
            yield _finding(abnormality, folder.steps[name])
    elif folder.masks[name]:
        for mask in folder.masks[name]:
            yield Finding(region=MaskFile(mask, outline=True))
    elif (
        overlay.is_file()
        or (stated is not None and stated.overlay)
        or table.get(folder.films[name].name, {}).get("Tumour_Contour", "-") != "-"
    ):
        notes.unplaced += 1
        yield Finding()


def _step(path: Path, shape: tuple[int, int]) -> tuple[float, float]:
    if path.suffix.upper() == ".LJPEG":
        return 1.0, 1.0
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as file:
            return file.width / shape[1], file.height / shape[0]
    except (OSError, ValueError, SyntaxError) as error:
        what = f"the picture cannot be read ({type(error).__name__})"
        raise PictureError(what, where=path, hint=_AGAIN, code="damaged") from None


def _finding(abnormality: Abnormality, step: tuple[float, float]) -> Finding:
    words = abnormality.types[0].split() if abnormality.types else []
    form = words[words.index(key) + 1] if (key := "SHAPE" if "SHAPE" in words else "TYPE") in words[:-1] else ""
    kind = KINDS.get(words[0]) if words else None
    return Finding(
        kind=SHAPES.get(form, kind),
        region=Outline.of(((x + 0.5) * step[0], (y + 0.5) * step[1]) for x, y in abnormality.boundary),
        malignant={"MALIGNANT": True, "BENIGN": False, "BENIGN_WITHOUT_CALLBACK": False}.get(abnormality.pathology),
        name=" ".join([*words[:1], form]).lower().replace("_", " ").strip() or None,
    )


def _mammogram(folder: _Folder, root: Path, name: str, table: dict[str, Record], notes: _Notes) -> Mammogram:
    path = folder.films[name]
    side, view = name.split("_")
    abnormal = _label(folder, name)
    notes.unknown += abnormal is None
    density = folder.card.density or table.get(path.name, {}).get("Density")
    scan_mm = folder.card.views[name].pixel_mm if name in folder.steps else None
    return Mammogram(
        path=path,
        patient=folder.image_id.rsplit("_", 1)[0],
        exam="-".join([*folder.path.relative_to(root).parts, folder.image_id]),
        laterality=Laterality.parse(side),
        view=View.parse(view),
        abnormal=abnormal,
        findings=folder.marks[name],
        density=density if density in ("1", "2", "3", "4") else None,
        pixel_mm=None if scan_mm is None else scan_mm / folder.steps[name][0],
        detector="film",
    )


def _label(folder: _Folder, name: str) -> bool | None:
    if folder.marks[name]:
        return True
    side, view = name.split("_")
    other = f"{'LEFT' if side == 'RIGHT' else 'RIGHT'}_{view}"
    return False if folder.group == "normal" or folder.marks.get(other) else None


def _without_doubles(pictures: list[Mammogram]) -> tuple[list[Mammogram], list[Rejected]]:
    """The same bytes of one patient and view in a second folder are dropped; other bytes are another exam."""
    groups: dict[object, list[Mammogram]] = defaultdict(list)
    for picture in pictures:
        groups[picture.patient, picture.laterality, picture.view].append(picture)
    doubles = []
    for group in groups.values():
        seen: dict[str, Mammogram] = {}
        for picture in group if len(group) > 1 else []:
            with picture.path.open("rb") as file:
                first = seen.setdefault(hashlib.file_digest(file, "sha256").hexdigest(), picture)
            if first is not picture:
                doubles.append(picture)
    gone = {picture.path for picture in doubles}
    reason = "the very same film lies in another folder, too"
    return (
        [picture for picture in pictures if picture.path not in gone],
        [Rejected(picture.path, "duplicate", reason, "The first one is used.") for picture in doubles],
    )

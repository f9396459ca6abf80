"""Where every file ended: the pair table or the list of those left out, as two CSV files."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from disasymnet.data.files import replace_file
from disasymnet.errors import PictureError, printable
from disasymnet.images.read import Reading, read_facts, read_picture
from disasymnet.records import Mammogram, Rejected, Scan
from disasymnet.terms import Laterality, View

PAIRS, REJECTED = "pairs.csv", "rejected.csv"
_SIDE_COLUMNS = ("laterality_from", "view_from", "pixel_mm", "pixel_mm_from", "presentation")
_PAIR_COLUMNS = (
    "id", "patient", "exam", "view", "implant_displaced", "right", "left",
    *(f"{side}_{name}" for side in ("right", "left") for name in _SIDE_COLUMNS), "notes",
)  # fmt: skip

# Codes of files that lost nothing, or only their partner.
_BYSTANDERS = ("not_a_picture", "hidden", "partner", "copy", "superseded")


@dataclass(frozen=True)
class Listed:
    """A pair, or a picture that is kept without partner, with the names it may be called by."""

    id: str
    patient: str
    exam: str
    view: View
    pictures: tuple[Mammogram, ...]
    implant_displaced: bool = False
    notes: tuple[str, ...] = ()


def write_pairs(path: Path, pairs: Iterable[Listed], name_of: Callable[[Path], str]) -> None:
    """The pair table: which file stands on which side, and which tag said so (`data set` where no tag was asked)."""
    write_table(path, _PAIR_COLUMNS, sorted(_pair_row(pair, name_of) for pair in pairs))


def write_rejected(
    path: Path, rejected: Iterable[Rejected], name_of: Callable[[Path], str], plain: Callable[[str, Path], str]
) -> None:
    """The list of those left out: stable code, reason, next step. `plain` takes names out of a text."""
    rows = sorted(
        (name_of(entry.path), entry.code, plain(entry.reason, entry.path), plain(entry.hint, entry.path))
        for entry in rejected
    )
    write_table(path, ("picture", "code", "reason", "hint"), rows)


def cause(rejected: Sequence[Rejected]) -> Rejected:
    """Why nothing is left: one of those left out for the commonest reason; what never was a picture comes last."""
    codes = Counter(entry.code for entry in rejected)
    reasons = Counter((entry.code, entry.reason) for entry in rejected)

    def rank(entry: Rejected) -> tuple[int, ...]:
        return entry.code in _BYSTANDERS, -codes[entry.code], -reasons[entry.code, entry.reason]

    return min(rejected, key=rank)


def readable(found: Scan, reading: Reading, *, pixels: bool) -> Scan:
    """The pictures that can be read so, by their headers or by their pixels too; the others join those left out."""
    kept, rejected = [], list(found.rejected)
    for picture in found.pictures:
        try:
            (read_picture if pixels else read_facts)(picture.path, reading)
        except PictureError as error:
            rejected.append(Rejected(picture.path, error.code, error.what, error.hint or ""))
        else:
            kept.append(picture)
    return replace(found, pictures=tuple(kept), rejected=tuple(rejected))


def without(found: Scan, lost: Iterable[Rejected]) -> Scan:
    """The scan as if the files that turned out not to be usable were not there: what they displaced steps in."""
    gone = {entry.path for entry in lost if entry.code != "partner"}
    return replace(found, pictures=tuple(picture for picture in found.pictures if picture.path not in gone))


def with_lost(left_over: Iterable[Rejected], lost: Iterable[Rejected]) -> list[Rejected]:
    """Those that pairing left out of `without`, and the lost ones; what such a one leaves alone is its `partner`."""
    gone = [entry for entry in lost if entry.code != "partner"]
    partners = {entry.path: entry for entry in lost if entry.code == "partner"}
    return [*(partners.get(entry.path, entry) if entry.code == "unpaired" else entry for entry in left_over), *gone]


def _pair_row(pair: Listed, name_of: Callable[[Path], str]) -> tuple[str, ...]:
    sides = {picture.laterality: picture for picture in pair.pictures}
    right, left = sides.get(Laterality.RIGHT), sides.get(Laterality.LEFT)
    return (
        pair.id,
        pair.patient,
        pair.exam,
        pair.view.value,
        "yes" if pair.implant_displaced else "no",
        *("" if side is None else name_of(side.path) for side in (right, left)),
        *_side_cells(right),
        *_side_cells(left),
        "; ".join(pair.notes),
    )


def _side_cells(picture: Mammogram | None) -> tuple[str, ...]:
    if picture is None:
        return ("",) * len(_SIDE_COLUMNS)
    size = "" if picture.pixel_mm is None else f"{picture.pixel_mm:.6g}"
    tags = picture.exposure
    if tags is None:
        return "data set", "data set", size, "data set" if size else "", ""
    kind = "for presentation" if tags.for_presentation else "secondary capture"
    size_from = tags.pixel_mm_from or "data set" if size else ""
    return tags.laterality_from or "data set", tags.view_from or "data set", size, size_from, kind


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A CSV file whose cells no spreadsheet takes for formulas."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    replace_file(path, text.getvalue().encode())


def _cell(cell: str) -> str:
    """A cell of one line that no spreadsheet takes for a formula."""
    return f"'{printable(cell)}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else printable(cell)

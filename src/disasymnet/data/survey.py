"""What a folder holds, in words: for `disasymnet scan`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from disasymnet.data.pairing import pair_up
from disasymnet.datasets import find
from disasymnet.datasets.folder import scan as scan_files
from disasymnet.errors import DatasetError, PictureError
from disasymnet.images.read import Reading, read_picture
from disasymnet.records import Pair, Rejected, Scan

SHOWN = 10  # refusals of one kind that are listed by name


def survey(folder: Path, dataset: str | None, *, strict: bool = False) -> str:
    """Pictures, pairs by label, and what takes no part and why. DatasetError if nothing here is a picture.

    `strict` leaves out what strict mode refuses (`disasymnet.images.read.Reading`).
    """
    found: Scan = scan_files(folder) if dataset is None else find(dataset).scan(folder)
    if strict:
        found = _strict_only(found)
    pairs, left_over = pair_up(found.pictures)
    rejected = [*found.rejected, *left_over]
    if not found.pictures and not rejected:
        raise DatasetError("the folder holds no file", where=folder, hint="Give the folder that holds the pictures.")
    patients = {picture.patient for picture in found.pictures if picture.patient}
    lines = [
        f"{len(found.pictures)} pictures of {len(patients)} patients, {len(pairs)} pairs, {len(rejected)} left out",
        *_pairs(pairs),
        *(f"warning: {warning}" for warning in found.warnings),
        *_rejected(rejected, folder),
    ]
    return "\n".join(lines)


def _strict_only(found: Scan) -> Scan:
    """The pictures that strict mode reads; the others join those left out."""
    kept, rejected = [], list(found.rejected)
    for picture in found.pictures:
        try:
            read_picture(picture.path, Reading(strict=True))
        except PictureError as error:
            rejected.append(Rejected(picture.path, error.code, error.what, error.hint or ""))
        else:
            kept.append(picture)
    return replace(found, pictures=tuple(kept), rejected=tuple(rejected))


def _pairs(pairs: list[Pair]) -> list[str]:
    words = {False: "normal", True: "abnormal", None: "unknown"}
    views = Counter(str(pair.view) for pair in pairs)
    labels = Counter((words[p.pictures.right.abnormal], words[p.pictures.left.abnormal]) for p in pairs)
    lines = [f"  {count:6} {view} pairs" for view, count in sorted(views.items())]
    return lines + [f"  {count:6} right {right}, left {left}" for (right, left), count in sorted(labels.items())]


def _rejected(rejected: list[Rejected], folder: Path) -> list[str]:
    lines = []
    for code, count in Counter(entry.code for entry in rejected).most_common():
        of_code = [entry for entry in rejected if entry.code == code]
        lines.append(f"left out, {code} ({count}): {of_code[0].reason}. {of_code[0].hint}".rstrip())
        for entry in of_code[:SHOWN]:
            inside = entry.path.is_relative_to(folder)
            lines.append(f"  {entry.path.relative_to(folder) if inside else entry.path.name}")
        if count > SHOWN:
            lines.append(f"  and {count - SHOWN} more")
    return lines

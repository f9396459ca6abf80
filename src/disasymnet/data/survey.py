"""What a folder holds, in words: for `disasymnet scan`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from disasymnet.data.identity import Names
from disasymnet.data.listing import PAIRS, REJECTED, Listed, readable, write_pairs, write_rejected
from disasymnet.data.pairing import pair_up
from disasymnet.datasets import find
from disasymnet.errors import DatasetError, printable
from disasymnet.images.read import Reading
from disasymnet.records import Pair, Rejected, Scan

SHOWN = 10  # files that are listed by name for one reason
REASONS = 5  # that are shown of one code


def survey(
    folder: Path, dataset: str | None, *, strict: bool = False, pixels: bool = False, out: Path | None = None
) -> str:
    """Pictures, pairs by label, and what takes no part and why. DatasetError if nothing here is a picture.

    Headers are read, with `pixels` all of each picture. `strict` leaves out what strict mode refuses
    (`disasymnet.images.read.Reading`). With `out`, every file stands in `pairs.csv` or in `rejected.csv` there;
    patients and exams as salted hashes where the data set is not public.
    """
    found: Scan = find(dataset or "folder").scan(folder)
    if strict or pixels:
        found = readable(found, Reading(strict), pixels=pixels)
    pairs, left_over = pair_up(found.pictures)
    rejected = [*found.rejected, *left_over]
    if not found.pictures and not rejected:
        raise DatasetError("the folder holds no file", where=folder, hint="Give the folder that holds the pictures.")
    if out is not None:
        _write(out, folder, pairs, rejected, public=dataset is not None and find(dataset).public)
    patients = {picture.patient for picture in found.pictures if picture.patient}
    lines = [
        f"{len(found.pictures)} pictures of {len(patients)} patients, {len(pairs)} pairs, {len(rejected)} left out",
        *_pairs(pairs),
        *(f"warning: {warning}" for warning in found.warnings),
        *_rejected(rejected, folder),
    ]
    return "\n".join(lines)


def _write(out: Path, folder: Path, pairs: list[Pair], rejected: list[Rejected], *, public: bool) -> None:
    names = Names.of_cache(out, public=public)

    listed = [
        Listed(
            id=names.id(pair.patient, pair.exam, pair.view, *(["ID"] if pair.implant_displaced else [])),
            patient=names.of("patient", pair.patient),
            exam=names.of("exam", pair.patient, pair.exam),
            view=pair.view,
            pictures=tuple(pair.pictures),
            implant_displaced=pair.implant_displaced,
            notes=pair.notes,
        )
        for pair in pairs
    ]
    write_pairs(out / PAIRS, listed, lambda path: _name(path, folder))
    write_rejected(out / REJECTED, rejected, lambda path: _name(path, folder), lambda text, path: text)


def _pairs(pairs: list[Pair]) -> list[str]:
    words = {False: "normal", True: "abnormal", None: "unknown"}
    views = Counter(str(pair.view) for pair in pairs)
    labels = Counter((words[p.pictures.right.abnormal], words[p.pictures.left.abnormal]) for p in pairs)
    lines = [f"  {count:6} {view} pairs" for view, count in sorted(views.items())]
    return lines + [f"  {count:6} right {right}, left {left}" for (right, left), count in sorted(labels.items())]


def _rejected(rejected: list[Rejected], folder: Path) -> list[str]:
    """The commonest code first; of each code its reasons, with the files that they are true of."""
    lines = []
    for code, _ in Counter(entry.code for entry in rejected).most_common():
        of_code = [entry for entry in rejected if entry.code == code]
        reasons = Counter((entry.reason, entry.hint) for entry in of_code).most_common()
        for (reason, hint), count in reasons[:REASONS]:
            lines.append(f"left out, {code} ({count}): {reason}. {hint}".rstrip())
            names = [_name(entry.path, folder) for entry in of_code if (entry.reason, entry.hint) == (reason, hint)]
            lines += [f"  {name}" for name in names[:SHOWN]]
            lines += [f"  and {count - SHOWN} more"] if count > SHOWN else []
        if others := sum(count for _, count in reasons[REASONS:]):
            lines.append(f"left out, {code} ({others} more, for other reasons): --out DIR lists them")
    return lines


def _name(path: Path, folder: Path) -> str:
    folder = folder.parent if folder.is_file() else folder  # of a table
    return printable(path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name)

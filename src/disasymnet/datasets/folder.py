"""Any folder of pictures, known only by what the files themselves state."""

from __future__ import annotations

from pathlib import Path

from disasymnet.errors import DatasetError, PictureError
from disasymnet.images.read import read_picture
from disasymnet.records import Mammogram, Rejected, Scan


def scan(root: Path) -> Scan:
    """Every file below `root`: a picture with the facts it states, or a refusal with the reason.

    Names of files decide nothing. Labels are unknown. Hidden files are passed over. DatasetError without a folder.
    """
    if not root.is_dir():
        raise DatasetError("there is no such folder", where=root, hint="Give the folder that holds the pictures.")
    pictures: list[Mammogram] = []
    rejected: list[Rejected] = []
    for path in sorted(each for each in root.rglob("*") if each.is_file() and not _hidden(each, root)):
        try:
            facts = read_picture(path).facts
        except PictureError as error:
            rejected.append(Rejected(path, error.code, error.what, error.hint or ""))
            continue
        pictures.append(
            Mammogram(
                path, facts.patient, facts.exam, facts.laterality, facts.view,
                pixel_mm=facts.pixel_mm, detector=facts.detector,
            )
        )  # fmt: skip
    return Scan(tuple(pictures), tuple(rejected))


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)

"""Any folder of DICOM mammograms, known only by what the files themselves state."""

from __future__ import annotations

from pathlib import Path

from disasymnet.datasets.below import files_below
from disasymnet.errors import DatasetError, PictureError
from disasymnet.images.read import read_facts
from disasymnet.progress import track
from disasymnet.records import Mammogram, Rejected, Scan


def scan(root: Path) -> Scan:
    """Every file below `root`, by its header: a picture with the facts it states, or a refusal with the reason.

    Names of files decide nothing. Labels are unknown. Hidden files are refused; links are followed to files below
    `root` only. A picture without PatientID belongs to the patient of its study. DatasetError without a folder, or
    without a file in it.
    """
    if not root.is_dir():
        raise DatasetError("there is no such folder", where=root, hint="Give the folder that holds the pictures.")
    pictures: list[Mammogram] = []
    rejected: list[Rejected] = []
    files = list(files_below(root))
    for path, error in track(files, "scan", len(files)):
        try:
            if error is not None:
                raise error
            pictures.append(_mammogram(path))
        except PictureError as found:
            rejected.append(Rejected(path, found.code, found.what, found.hint or ""))
    if not pictures and not rejected:
        raise DatasetError("the folder holds no file", where=root, hint="Give the folder that holds the pictures.")
    return Scan(tuple(pictures), tuple(rejected))


def _mammogram(path: Path) -> Mammogram:
    facts = read_facts(path)
    return Mammogram(
        path=path,
        patient=facts.patient or facts.exam,
        exam=facts.exam,
        laterality=facts.laterality,
        view=facts.view,
        pixel_mm=facts.pixel_mm,
        detector=facts.detector,
        exposure=facts.exposure,
    )

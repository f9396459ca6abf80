"""Any folder of DICOM mammograms, known only by what the files themselves state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from disasymnet.datasets.below import every_file
from disasymnet.errors import PictureError
from disasymnet.images.read import Facts, read_facts
from disasymnet.progress import track
from disasymnet.records import Mammogram, Rejected, Scan


def scan(root: Path) -> Scan:
    """Every file below `root`, by its header: a picture with the facts it states, or a refusal with the reason.

    Names of files decide nothing. Labels are unknown. Hidden files are refused; links are followed to files below
    `root` only. A picture without PatientID belongs to the patient of its study; a PatientID that several issuers gave
    stands for as many patients. DatasetError without a folder, or without a file in it.
    """
    files = every_file(root)
    read: list[tuple[Path, Facts]] = []
    rejected: list[Rejected] = []
    for path, error in track(files, "scan", len(files)):
        try:
            if error is not None:
                raise error
            read.append((path, read_facts(path)))
        except PictureError as found:
            rejected.append(Rejected(path, found.code, found.what, found.hint or ""))
    several = _of_several_issuers(facts for _, facts in read)
    what = f"PatientIDs that several issuers gave, each taken for several patients: {len(several)}"
    pictures = tuple(_mammogram(path, facts, several) for path, facts in read)
    return Scan(pictures, tuple(rejected), (what,) if several else ())


def _of_several_issuers(every: Iterable[Facts]) -> set[str]:
    """PatientIDs that more than one IssuerOfPatientID gave. Of one issuer a picture that names none is taken to be."""
    issuers: dict[str, set[str]] = defaultdict(set)
    for facts in every:
        if facts.identity.patient and facts.identity.issuer:
            issuers[facts.identity.patient].add(facts.identity.issuer)
    return {patient for patient, found in issuers.items() if len(found) > 1}


def _mammogram(path: Path, facts: Facts, several: set[str]) -> Mammogram:
    # Written as HL7 writes an identifier with its issuer (CX).
    patient = facts.identity.patient
    if patient in several:
        patient = f"{patient}^^^{facts.identity.issuer}"
    return Mammogram(
        path=path,
        patient=patient or facts.exam,
        exam=facts.exam,
        laterality=facts.laterality,
        view=facts.view,
        pixel_mm=facts.pixel_mm,
        detector=facts.detector,
        exposure=facts.exposure,
        identity=facts.identity,
    )

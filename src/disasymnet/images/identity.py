"""Whom and which study a mammogram's tags name."""

from __future__ import annotations

import hashlib
import re

from disasymnet.images.header import Header
from disasymnet.records import Identity

_DATES = ("StudyDate", "AcquisitionDate", "SeriesDate", "ContentDate")
_CBIS = re.compile(r"(?:Mass|Calc)-(?:Training|Test)_(P_\d+)_(?:LEFT|RIGHT)_(?:CC|MLO)(_\d+)?")
_CBIS_LESION_SERIES = ("CROPPED IMAGES", "ROI MASK IMAGES")


def lesion_tag(header: Header) -> str | None:
    """The attribute that tells a crop or a mask of a lesion in CBIS-DDSM; None for a film.

    They carry side, view and PatientID of their film, the latter with the number of the lesion behind it.
    """
    cbis = _CBIS.fullmatch(header.text("PatientID"))
    if cbis and cbis[2]:
        return "PatientID"
    return "SeriesDescription" if header.text("SeriesDescription").upper() in _CBIS_LESION_SERIES else None


def whose(header: Header, notes: list[str], *, film: bool) -> Identity:
    """The patient and the study, as far as the tags name them; what was guessed is noted."""
    patient = header.text("PatientID")
    if film and (cbis := _CBIS.fullmatch(patient)):
        # CBIS-DDSM gives each picture a patient and a study of its own; its tables know women, no exams.
        notes.append("CBIS-DDSM: patient taken from within PatientID, study ignored")
        return Identity(cbis[1], study=cbis[1])
    return Identity(
        patient,
        header.text("IssuerOfPatientID").upper(),
        header.text("StudyInstanceUID"),
        # When the pictures were taken or made, where the study has no date.
        day=next((date for name in _DATES if (date := header.text(name))), "") if patient else "",
        accession=header.text("AccessionNumber"),
        number=header.text("StudyID"),
        name=_digest(header.text("PatientName")),
        born=_digest(header.text("PatientBirthDate")),
    )


def _digest(text: str) -> str:
    """The same for `DOE^JANE` and `Doe^Jane^^`; empty for nothing."""
    words = " ".join(re.findall(r"\w+", text.upper()))
    return hashlib.sha256(words.encode()).hexdigest()[:16] if words else ""

"""Whom and which study a mammogram's tags name."""

from __future__ import annotations

import hashlib
import re

from disasymnet.images.header import Header
from disasymnet.records import Identity

_DATES = ("StudyDate", "AcquisitionDate", "SeriesDate", "ContentDate")
_CBIS = re.compile(r"(?:Mass|Calc)-(?:Training|Test)_(P_\d+)_.*")


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

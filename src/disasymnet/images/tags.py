"""What a mammogram's tags state: which breast, which view, which pixel size; each with the rung that named it.

Digitised films are Secondary Captures, sometimes with Modality RG, and CBIS-DDSM writes its view into
PatientOrientation and side and view into PatientID: this is read, and noted.
"""

from __future__ import annotations

import re

from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from disasymnet.images.header import Header
from disasymnet.images.picture import Facts
from disasymnet.records import Edge
from disasymnet.terms import Laterality, View

WEAK = ("PatientOrientation", "SeriesDescription")
"""Rungs that a person, not a modality, fills in: good for research data, not for strict mode."""

# PS3.16 CID 4014, SNOMED CT and the older SNOMED RT codes.
_VIEW_CODES = {
    "399162004": View.CC, "R-10242": View.CC, "399368009": View.MLO, "R-10226": View.MLO,
    "399260004": View.ML, "R-10224": View.ML, "399352003": View.LM, "R-10228": View.LM,
    "399099002": View.LMO, "R-10230": View.LMO, "399192008": View.XCCL, "R-1024A": View.XCCL,
    "399101009": View.XCCM, "R-1024B": View.XCCM, "399196006": View.FB, "R-10244": View.FB,
    "399188001": View.SIO, "R-102D0": View.SIO, "441555000": View.ISO, "R-40AAA": View.ISO,
}  # fmt: skip

# PS3.16 CID 4015: what shows a part of the breast or a turned one makes no pair with a screening view.
_NOT_SCREENING = {
    "399163009": "magnification", "R-102D6": "magnification", "399055006": "spot compression",
    "R-102D7": "spot compression", "399197002": "rolled", "399226006": "rolled", "415670009": "rolled",
    "414493004": "rolled", "399110001": "tangential", "399161006": "cleavage", "R-102D2": "cleavage",
}  # fmt: skip

# PS3.16 CID 6022.
_SIDE_CODES = {
    "80248007": Laterality.LEFT, "T-04030": Laterality.LEFT,
    "73056007": Laterality.RIGHT, "T-04020": Laterality.RIGHT,
}  # fmt: skip


def is_film(header: Header) -> bool:
    """True for a Secondary Capture: digitised film, as far as mammograms go."""
    return header.text("SOPClassUID") == SecondaryCaptureImageStorage


def facts(header: Header, notes: list[str]) -> Facts:
    """What the file states. PictureError `laterality_conflict` if its tags name both breasts."""
    film = is_film(header)
    if header.text("BurnedInAnnotation").upper() == "YES":
        notes.append("text is burnt into the picture")
    if header.text("BreastImplantPresent").upper() == "YES":
        notes.append("breast implant")
    patient, exam = header.text("PatientID") or None, header.text("StudyInstanceUID") or None
    if film and patient and (cbis := re.fullmatch(r"(?:Mass|Calc)-(?:Training|Test)_(P_\d+)_.*", patient)):
        # CBIS-DDSM gives each picture a patient and a study of its own.
        patient, exam = cbis[1], None
        notes.append("CBIS-DDSM: patient taken from within PatientID, study ignored")
    laterality, side_from = _laterality(header, notes)
    view, view_from = _view(header, notes)
    return Facts(
        laterality=laterality,
        view=view,
        pixel_mm=_pixel_mm(header, notes),
        detector="film" if film else "digital",
        bits=header.whole("BitsStored"),
        patient=patient,
        exam=exam,
        notes=tuple(notes),
        laterality_from=side_from,
        view_from=view_from,
    )


def wall_by_tags(header: Header, laterality: Laterality | None) -> Edge | None:
    """The edge where the chest wall should be: PatientOrientation's rows, else the usual hanging of the breast."""
    rows = (header.texts("PatientOrientation") or [""])[0].upper()
    if len(header.texts("PatientOrientation")) == 2 and rows[:1] in ("A", "P"):
        return "left" if rows[0] == "A" else "right"
    if laterality is None:
        return None
    return "left" if laterality is Laterality.LEFT else "right"


def _laterality(header: Header, notes: list[str]) -> tuple[Laterality | None, str | None]:
    """The first rung that names a breast; a lower rung that names the other one is an error (PS3.3 C.8.11.7)."""
    found: list[tuple[Laterality, str]] = []

    def add(side: Laterality | None, rung: str) -> None:
        if side is not None:
            found.append((side, rung))

    for shared in header.items("SharedFunctionalGroupsSequence")[:1]:
        for frame in header.items("FrameAnatomySequence", of=shared)[:1]:
            add(Laterality.parse(str(header.inside(frame, "FrameLaterality") or "")), "FrameLaterality")
    for tag in ("ImageLaterality", "Laterality"):
        add(Laterality.parse(header.text(tag)), tag)
    for region in header.items("AnatomicRegionSequence"):
        for code in (region, *header.items("AnatomicRegionModifierSequence", of=region)):
            add(_SIDE_CODES.get(header.code(code)), "AnatomicRegionSequence")
    for word in header.text("ViewPosition").split():
        add(Laterality.parse(word), "ViewPosition")
    if len({side for side, _ in found}) > 1:
        raise header.refusal("laterality_conflict", "its tags name both breasts", found[-1][1])
    if found:
        return found[0]
    weak = {Laterality(side) for side, _ in _tokens(header)}
    if len(weak) == 1:
        notes.append("breast taken from the series description")
        return weak.pop(), "SeriesDescription"
    return None, None


def _view(header: Header, notes: list[str]) -> tuple[View | None, str | None]:
    """ViewCodeSequence, ViewPosition, PatientOrientation (CBIS-DDSM), description; None for views of a part."""
    codes = header.items("ViewCodeSequence")
    if why := _partial(header, codes):
        notes.append(f"not a screening view: {why}")
        return None, None
    for item in codes:
        if view := _VIEW_CODES.get(header.code(item)):
            return view, "ViewCodeSequence"
    for word in header.text("ViewPosition").split():
        if view := View.parse(word):
            return view, "ViewPosition"
    orientation = header.texts("PatientOrientation")
    if len(orientation) == 1 and (view := View.parse(orientation[0])) and view.pairable:
        notes.append("view taken from PatientOrientation")
        return view, "PatientOrientation"
    weak = {View(view) for _, view in _tokens(header)}
    if len(weak) == 1:
        notes.append("view taken from the series description")
        return weak.pop(), "SeriesDescription"
    return None, None


def _partial(header: Header, codes: list[Dataset]) -> str | None:
    """Why the picture shows a part of the breast, or a turned one."""
    for item in codes:
        for modifier in header.items("ViewModifierCodeSequence", of=item):
            if why := _NOT_SCREENING.get(header.code(modifier)):
                return why
    return "partial" if header.text("PartialView").upper() == "YES" else None


def _tokens(header: Header) -> list[tuple[str, str]]:
    """(side, view) of words like `RCC` or `L-MLO` in the free text of the series."""
    text = f"{header.text('SeriesDescription')} {header.text('ProtocolName')}".upper()
    return re.findall(r"\b([RL])[ _-]?(CC|MLO)\b", text)


def _pixel_mm(header: Header, notes: list[str]) -> float | None:
    """Millimetres a pixel in the breast: spacing at the detector over the magnification, else the plain spacing."""
    factor = header.number("EstimatedRadiographicMagnificationFactor", 1) or 1.0
    for tag, divisor in (("ImagerPixelSpacing", factor), ("PixelSpacing", 1.0), ("NominalScannedPixelSpacing", 1.0)):
        spacing = header.numbers(tag)
        if len(spacing) != 2 or min(spacing) <= 0 or divisor < 1:
            continue
        if abs(spacing[0] / spacing[1] - 1) > 0.01:
            notes.append(f"{tag} is not square: pixel size unknown")
            return None
        if not 0.01 <= spacing[0] / divisor <= 2:  # detectors have 0.05 to 0.1 mm
            notes.append(f"{tag} of {spacing[0]:g} mm is no mammogram's: pixel size unknown")
            return None
        return spacing[0] / divisor
    return None

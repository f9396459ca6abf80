"""What a mammogram's tags state: which breast, which view, which pixel size; each with the rung that named it.

Digitised films are Secondary Captures, sometimes with Modality RG, and CBIS-DDSM writes its view into
PatientOrientation and side and view into PatientID: this is read, and noted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from disasymnet.images.hanging import (
    Orientation,
    breast_by,
    orientation,
    turned_by_a_quarter,
    upside_down,
    usual_wall,
    wall_by,
)
from disasymnet.images.header import Header
from disasymnet.images.identity import whose
from disasymnet.images.kinds import is_film, is_low_energy
from disasymnet.images.picture import Facts
from disasymnet.images.views import NAMING, SPOKEN, Texts, magnification, projection
from disasymnet.records import Edge, Exposure
from disasymnet.terms import Laterality, View

WEAK = ("PatientOrientation", *NAMING)
"""Rungs that a person, not a modality, fills in: good for research data, not for strict mode."""

# PS3.16 CID 6022.
_SIDE_CODES = {
    "80248007": Laterality.LEFT, "T-04030": Laterality.LEFT,
    "73056007": Laterality.RIGHT, "T-04020": Laterality.RIGHT,
}  # fmt: skip


def facts(header: Header, texts: Texts) -> Facts:
    """What the file states. PictureError `laterality_conflict` or `view_conflict` if its tags contradict each other."""
    film, notes = is_film(header), []
    if header.text("BurnedInAnnotation").upper() == "YES":
        notes.append("text is burnt into the picture")
    implant = header.text("BreastImplantPresent").upper()
    if implant == "YES":
        notes.append("breast implant")
    identity = whose(header, notes, film=film)
    laterality, side_from = _laterality(header, texts, notes)
    shown = projection(header, texts, notes)
    if shown.special is not None:
        notes.append(f"not a screening view: {shown.special.replace('_', ' ')}")
    if shown.implant_displaced and implant == "NO":
        notes.append("implant displaced, where BreastImplantPresent says that there is none")
    low_energy = is_low_energy(header, texts)
    if low_energy:
        notes.append("low-energy picture of a contrast mammogram")
    pixel_mm, size_from = _pixel_mm(header, notes)
    found = Facts(
        laterality=laterality,
        view=shown.view,
        pixel_mm=pixel_mm,
        detector="film" if film else "digital",
        bits=header.whole("BitsStored"),
        identity=identity,
        notes=tuple(notes),
        exposure=Exposure(
            for_presentation=not film,
            special=shown.special,
            implant_displaced=shown.implant_displaced,
            extra=shown.extra,
            low_energy=low_energy,
            rows=header.whole("Rows"),
            columns=header.whole("Columns"),
            taken=_seconds(header.text("AcquisitionTime") or header.text("AcquisitionDateTime")[8:]),
            day=_day(header),
            number=int(number) if re.fullmatch(r"[+-]?\d{1,12}", number := header.text("InstanceNumber")) else None,
            uid=header.text("SOPInstanceUID"),
            laterality_from=side_from,
            view_from=shown.view_from,
            pixel_mm_from=size_from,
            orientation=_orientation(header),
            notes=tuple(notes),
        ),
    )
    return placed(found, None, None)


def placed(found: Facts, side: Laterality | None, view: View | None) -> Facts:
    """The facts with the breast and view that a data set, or a file's place, names; None leaves the tags' own.

    How a picture should lie depends on both: what PatientOrientation then says is noted. Files without tags, which hang
    in any way, stay as they are.
    """
    if found.exposure is None:
        return found
    found = replace(found, laterality=side or found.laterality, view=view or found.view)
    new = tuple(note for note in _hanging(found) if note not in found.notes)
    exposure = found.exposure
    return replace(
        found.with_notes(new), exposure=None if exposure is None else replace(exposure, notes=(*exposure.notes, *new))
    )


def head_down(found: Facts) -> bool:
    """Whether the picture lies upside down: by PatientOrientation, for the breast and view that the facts name."""
    return found.exposure is not None and upside_down(found.exposure.orientation, found.view, found.laterality)


def expected_wall(found: Facts) -> Edge | None:
    """The edge where the chest wall should be: PatientOrientation's rows, else the usual hanging of the breast.

    A film hangs in any way: of a breast that its own tags do not name nothing is expected.
    """
    exposure = found.exposure
    if exposure is None:
        return usual_wall(found.laterality)
    hangs = exposure.for_presentation or exposure.laterality_from is not None
    return wall_by(exposure.orientation) or (usual_wall(found.laterality) if hangs else None)


def _orientation(header: Header) -> Orientation | None:
    """PatientOrientation; a picture that lies on its side by it is refused."""
    lies = orientation(header.texts("PatientOrientation"))
    if turned_by_a_quarter(lies):
        said = "/".join(lies or ())
        raise header.refusal("turned", f"it lies on its side: PatientOrientation {said}", "PatientOrientation")
    return lies


def _hanging(found: Facts) -> Iterator[str]:
    """What PatientOrientation says against the breast and view that the facts name."""
    lies = None if found.exposure is None else found.exposure.orientation
    said = "/".join(lies or ())
    if head_down(found):
        yield f"upside down by PatientOrientation {said}: preparing turns it, if the chest wall agrees"
    stated = breast_by(lies, found.view)
    if None not in (stated, found.laterality) and stated is not found.laterality:
        or_turned = ", or this one's turned by half" if head_down(found) and found.view is View.CC else ""
        yield f"PatientOrientation {said} is that of the other breast's {found.view}{or_turned}"


def _day(header: Header) -> int | None:
    """The day on which the picture was taken; None where no tag names one."""
    for tag in ("AcquisitionDate", "AcquisitionDateTime", "ContentDate"):
        try:
            return datetime.strptime(header.text(tag)[:8], "%Y%m%d").toordinal()
        except ValueError:
            continue
    return None


def _seconds(text: str) -> float | None:
    """DICOM's time of day in seconds, its zone left out; None where it is none."""
    known = re.fullmatch(r"(\d\d):?(\d\d)?:?(\d\d(?:\.\d+)?)?(?:[+-]\d{4})?", text)
    if known is None:
        return None
    return sum(float(part or 0) * unit for part, unit in zip(known.groups(), (3600, 60, 1), strict=True))


def _laterality(header: Header, texts: Texts, notes: list[str]) -> tuple[Laterality | None, str | None]:
    """The first rung that names a breast; a lower rung that names the other one is an error (PS3.3 C.8.11.7)."""
    found: list[tuple[Laterality, str]] = []
    both = False

    def add(side: Laterality | None, rung: str) -> None:
        if side is not None:
            found.append((side, rung))

    for frame in header.frame("FrameAnatomySequence"):
        both |= frame.text("FrameLaterality").upper() == "B"
        add(Laterality.parse(frame.text("FrameLaterality")), "FrameLaterality")
    for tag in ("ImageLaterality", "Laterality"):
        both |= tag == "ImageLaterality" and header.text(tag).upper() == "B"
        add(Laterality.parse(header.text(tag)), tag)
    for region in header.items("AnatomicRegionSequence"):
        for code in (region, *header.items("AnatomicRegionModifierSequence", of=region)):
            add(_SIDE_CODES.get(header.code(code)), "AnatomicRegionSequence")
    for side in texts.position.sides:
        add(side, "ViewPosition")
    for name in NAMING:
        for side in texts.free[name].sides:
            add(side, name)
    if len({side for side, _ in found}) > 1:
        named = " and ".join(f"{side} ({rung})" for side, rung in dict(reversed(found)).items())
        raise header.refusal("laterality_conflict", f"its tags name both breasts: {named}", found[0][1])
    if both:
        notes.append("the tags say that it shows both breasts")
        return None, None
    if not found:
        return None, None
    if found[0][1] in NAMING:
        notes.append(f"breast taken from {SPOKEN[found[0][1]]}")
    return found[0]


def _pixel_mm(header: Header, notes: list[str]) -> tuple[float | None, str | None]:
    """Millimetres a pixel in the breast: spacing at the detector over the magnification, else the plain spacing."""
    factor, by = magnification(header)
    for tag, divisor in (("ImagerPixelSpacing", factor), ("PixelSpacing", 1.0), ("NominalScannedPixelSpacing", 1.0)):
        spacing = header.numbers(tag)
        if len(spacing) != 2 or min(spacing) <= 0 or divisor < 1:
            continue
        if abs(spacing[0] / spacing[1] - 1) > 0.01:
            notes.append(f"{tag} is not square: pixel size unknown")
            return None, None
        if not 0.01 <= spacing[0] / divisor <= 2:  # detectors have 0.05 to 0.1 mm
            notes.append(f"{tag} of {spacing[0]:g} mm is no mammogram's: pixel size unknown")
            return None, None
        if divisor > 1 and by == "DistanceSourceToPatient":
            notes.append(f"pixel size over a magnification of {divisor:.2f}, by the distances of detector and support")
        return spacing[0] / divisor, tag
    return None, None

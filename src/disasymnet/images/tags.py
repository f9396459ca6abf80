"""What a mammogram's tags state: which breast, which view, which pixel size; each with the rung that named it.

Digitised films are Secondary Captures, sometimes with Modality RG, and CBIS-DDSM writes its view into
PatientOrientation and side and view into PatientID: this is read, and noted.
"""

from __future__ import annotations

import re

from pydicom.uid import SecondaryCaptureImageStorage

from disasymnet.images.header import Header
from disasymnet.images.identity import whose
from disasymnet.images.picture import Facts
from disasymnet.images.views import Named, named_in_text, projection, words_of_position
from disasymnet.records import Edge, Exposure
from disasymnet.terms import Laterality, View

WEAK = ("PatientOrientation", "SeriesDescription")
"""Rungs that a person, not a modality, fills in: good for research data, not for strict mode."""

# PS3.16 CID 6022.
_SIDE_CODES = {
    "80248007": Laterality.LEFT, "T-04030": Laterality.LEFT,
    "73056007": Laterality.RIGHT, "T-04020": Laterality.RIGHT,
}  # fmt: skip


def is_film(header: Header) -> bool:
    """True for a Secondary Capture: digitised film, as far as mammograms go."""
    return header.text("SOPClassUID") == SecondaryCaptureImageStorage


def facts(header: Header) -> Facts:
    """What the file states. PictureError `laterality_conflict` or `view_conflict` if its tags contradict each other."""
    film, notes = is_film(header), []
    if header.text("BurnedInAnnotation").upper() == "YES":
        notes.append("text is burnt into the picture")
    implant = header.text("BreastImplantPresent").upper()
    if implant == "YES":
        notes.append("breast implant")
    identity = whose(header, notes, film=film)
    laterality, side_from = _laterality(header, notes)
    shown = projection(header, notes)
    if shown.special is not None:
        notes.append(f"not a screening view: {shown.special.replace('_', ' ')}")
    if shown.implant_displaced and implant == "NO":
        notes.append("implant displaced, where BreastImplantPresent says that there is none")
    orientation = _orientation(header)
    stated = side_of(orientation, shown.view)
    if None not in (stated, laterality) and stated is not laterality:
        notes.append(f"PatientOrientation {'/'.join(orientation or ())} is that of the other breast's {shown.view}")
    pixel_mm, size_from = _pixel_mm(header, notes)
    return Facts(
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
            rows=header.whole("Rows"),
            columns=header.whole("Columns"),
            taken=_seconds(header.text("AcquisitionTime")),
            number=int(number) if re.fullmatch(r"[+-]?\d{1,12}", number := header.text("InstanceNumber")) else None,
            uid=header.text("SOPInstanceUID"),
            laterality_from=side_from,
            view_from=shown.view_from,
            pixel_mm_from=size_from,
            orientation=orientation,
            notes=tuple(notes),
        ),
    )


def usual_wall(found: Facts) -> Edge | None:
    """The edge where the chest wall should be: PatientOrientation's rows, else the usual hanging of the breast."""
    orientation = None if found.exposure is None else found.exposure.orientation
    if orientation is not None and orientation[0][0] in "AP":
        return "left" if orientation[0][0] == "A" else "right"
    if found.laterality is None:
        return None
    return "left" if found.laterality is Laterality.LEFT else "right"


def side_of(orientation: tuple[str, str] | None, view: View | None) -> Laterality | None:
    """The breast that an orientation belongs to, where it tells (PS3.3 C.7.6.1.1.1).

    The plane of an MLO runs from above and outside to below and inside, so its columns lead to the foot and away from
    the breast's side, or back. A CC tells by the hanging alone: A\\R is the left breast's, P\\L the right one's.
    """
    if orientation is None or view is None:
        return None
    rows, columns = orientation
    if view is View.CC:
        return {("A", "R"): Laterality.LEFT, ("P", "L"): Laterality.RIGHT}.get((rows, columns))
    if view is View.MLO and len(columns) == 2 and set(columns) & set("FH"):
        inwards = (set(columns) - set("FH")) & set("LR")
        if len(inwards) != 1:
            return None
        away = Laterality(inwards.pop())
        return away.contralateral if "F" in columns else away
    return None


def _orientation(header: Header) -> tuple[str, str] | None:
    """PatientOrientation where it is one: CBIS-DDSM writes the view into it."""
    values = [value.upper() for value in header.texts("PatientOrientation")]
    if len(values) != 2 or not all(value and set(value) <= set("APRLHF") for value in values):
        return None
    return values[0], values[1]


def _seconds(text: str) -> float | None:
    """DICOM's time of day in seconds; None where it is none."""
    known = re.fullmatch(r"(\d\d):?(\d\d)?:?(\d\d(?:\.\d+)?)?", text)
    if known is None:
        return None
    return sum(float(part or 0) * unit for part, unit in zip(known.groups(), (3600, 60, 1), strict=True))


def _laterality(header: Header, notes: list[str]) -> tuple[Laterality | None, str | None]:
    """The first rung that names a breast; a lower rung that names the other one is an error (PS3.3 C.8.11.7)."""
    found: list[tuple[Laterality, str]] = []
    both = False

    def add(side: Laterality | None, rung: str) -> None:
        if side is not None:
            found.append((side, rung))

    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in header.items(groups)[:1]:
            for frame in header.items("FrameAnatomySequence", of=group)[:1]:
                value = str(header.inside(frame, "FrameLaterality") or "").strip()
                both |= value.upper() == "B"
                add(Laterality.parse(value), "FrameLaterality")
    for tag in ("ImageLaterality", "Laterality"):
        both |= tag == "ImageLaterality" and header.text(tag).upper() == "B"
        add(Laterality.parse(header.text(tag)), tag)
    for region in header.items("AnatomicRegionSequence"):
        for code in (region, *header.items("AnatomicRegionModifierSequence", of=region)):
            add(_SIDE_CODES.get(header.code(code)), "AnatomicRegionSequence")
    for word in words_of_position(header):
        add(word.laterality if isinstance(word, Named) else Laterality.parse(word), "ViewPosition")
    text = named_in_text(header)
    if text is not None:
        add(text.laterality, "SeriesDescription")
    if len({side for side, _ in found}) > 1:
        named = " and ".join(f"{side} ({rung})" for side, rung in dict(reversed(found)).items())
        raise header.refusal("laterality_conflict", f"its tags name both breasts: {named}", found[0][1])
    if both:
        notes.append("the tags say that it shows both breasts")
        return None, None
    if not found:
        return None, None
    if found[0][1] == "SeriesDescription":
        notes.append("breast taken from the series description")
    return found[0]


def _pixel_mm(header: Header, notes: list[str]) -> tuple[float | None, str | None]:
    """Millimetres a pixel in the breast: spacing at the detector over the magnification, else the plain spacing."""
    factor = header.number("EstimatedRadiographicMagnificationFactor", 1) or 1.0
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
        return spacing[0] / divisor, tag
    return None, None

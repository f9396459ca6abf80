"""Which projection a mammogram's tags name, and why it may be no screening view (PS3.16 CID 4014 and 4015).

ML is never MLO: a view is a code or a whole word, not a part of one.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from disasymnet.images.header import Header
from disasymnet.images.words import Words, of_code_string, of_free_text
from disasymnet.terms import View

# CID 4014, SNOMED CT and the older SNOMED RT codes.
_VIEW_CODES = {
    "399162004": View.CC, "R-10242": View.CC, "399368009": View.MLO, "R-10226": View.MLO,
    "399260004": View.ML, "R-10224": View.ML, "399352003": View.LM, "R-10228": View.LM,
    "399099002": View.LMO, "R-10230": View.LMO, "399192008": View.XCCL, "R-1024A": View.XCCL,
    "399101009": View.XCCM, "R-1024B": View.XCCM, "399196006": View.FB, "R-10244": View.FB,
    "399188001": View.SIO, "R-102D0": View.SIO, "441555000": View.ISO, "R-40AAA": View.ISO,
}  # fmt: skip
_SPECIMEN = ("127457009", "G-8310")

# CID 4015: what shows a part of the breast, or a turned one, makes no pair with a screening view.
_SPECIAL_CODES = {
    "399163009": "magnification", "R-102D6": "magnification", "399055006": "spot", "R-102D7": "spot",
    "399197002": "rolled", "R-102D3": "rolled", "399226006": "rolled", "R-102D4": "rolled",
    "415670009": "rolled", "R-102C9": "rolled", "414493004": "rolled", "R-102CA": "rolled",
    "399110001": "tangential", "R-102C2": "tangential", "399161006": "cleavage", "R-102D2": "cleavage",
    "399011000": "axillary_tail", "R-102D1": "axillary_tail", "441752004": "partial", "P2-00161": "partial",
    "442593008": "partial", "R-40ABE": "partial",
}  # fmt: skip
_IMPLANT_DISPLACED = ("399209000", "R-102D5")
_HARMLESS = ("442581004", "R-40AB3", "442580003", "R-40AB2")  # nipple in profile, axillary tissue
_MAGNIFIED = 1.3
"""Breasts on the table are magnified 1.0 to 1.1 times, those on a magnification stand 1.5 to 2 times."""
_MOST_MAGNIFIED = 4
"""Distances that make more of it are wrong."""

SPOKEN = {
    "SeriesDescription": "the series description",
    "ProtocolName": "the protocol name",
    "AcquisitionDeviceProcessingDescription": "the description of the processing",
}
"""Attributes as notes call them."""
FREE_TEXTS = tuple(SPOKEN)
"""Where words of any kind stand, and only the known ones tell."""
NAMING = FREE_TEXTS[:2]
"""Those of them that may name breast and view."""


@dataclass(frozen=True)
class Texts:
    """What the words of a file say, by attribute."""

    position: Words
    free: dict[str, Words]
    """Of `FREE_TEXTS`."""

    @classmethod
    def of(cls, header: Header) -> Texts:
        """From the header."""
        free = {name: of_free_text(header.text(name)) for name in FREE_TEXTS}
        return cls(of_code_string(header.text("ViewPosition")), free)

    @property
    def kinds(self) -> dict[str, str]:
        """Other kinds of picture that these words make of this one, with the attribute that says so."""
        every = {"ViewPosition": self.position, **self.free}
        return {kind: name for name in reversed(every) for kind in every[name].kinds}


@dataclass(frozen=True)
class Projection:
    """What the tags say of the view."""

    view: View | None
    view_from: str | None
    special: str | None
    implant_displaced: bool
    extra: bool


def projection(header: Header, texts: Texts, notes: list[str]) -> Projection:
    """The first rung that names a view; a lower rung that names another is PictureError `view_conflict`.

    ViewCodeSequence, ViewPosition, PatientOrientation (as CBIS-DDSM has it), free text of the series.
    """
    codes = header.items("ViewCodeSequence")
    modifiers = [item for code in codes for item in header.items("ViewModifierCodeSequence", of=code)]
    # Some writers put the modifiers beside the view and not into it.
    modifiers += header.items("ViewModifierCodeSequence")
    found = [(view, "ViewCodeSequence") for item in codes if (view := _VIEW_CODES.get(header.code(item)))]
    found += [(view, "ViewPosition") for view in texts.position.views]
    orientation = header.texts("PatientOrientation")
    misused = View.parse(orientation[0]) if len(orientation) == 1 else None
    if misused is not None and misused.pairable:
        found.append((misused, "PatientOrientation"))
    found += [(view, name) for name in NAMING for view in texts.free[name].views]
    if len({view for view, _ in found}) > 1:
        named = " and ".join(f"{view} ({rung})" for view, rung in dict(reversed(found)).items())
        raise header.refusal("view_conflict", f"its tags name several views: {named}", found[0][1])
    view, rung = found[0] if found else (None, None)
    if rung in ("PatientOrientation", *NAMING):
        notes.append(f"view taken from {SPOKEN.get(rung, rung)}")
    known = [header.code(item) for item in modifiers]
    displaced = texts.position.displaced or any(code in _IMPLANT_DISPLACED for code in known)
    if not displaced:
        said = next((name for name, words in texts.free.items() if words.displaced), None)
        if said is not None:
            displaced = True
            notes.append(f"implant displaced: taken from {SPOKEN[said]}")
    extra = texts.position.extra or any(code in _HARMLESS for code in known)
    return Projection(view, rung, _special(header, codes, known, texts), displaced, extra)


def magnification(header: Header) -> tuple[float, str]:
    """How many times larger the breast is at the detector, and the attribute that says so; 1 without one.

    Where the factor is missing the distances tell it: source to detector over source to the breast's support
    (PS3.3 C.8.11.5); they are believed from 1 to 4.
    """
    tag = "EstimatedRadiographicMagnificationFactor"
    if factor := header.number(tag, 0):
        return factor, tag
    whole, near = header.number("DistanceSourceToDetector", 0), header.number("DistanceSourceToPatient", 0)
    if min(whole, near) > 0 and 1 <= whole / near <= _MOST_MAGNIFIED:
        return whole / near, "DistanceSourceToPatient"
    return 1.0, ""


def _special(header: Header, codes: list[Dataset], modifiers: list[str], texts: Texts) -> str | None:
    """Why the picture is no screening view."""
    if any(header.code(item) in _SPECIMEN for item in codes):
        return "specimen"
    for code in modifiers:
        if code not in _HARMLESS and code not in _IMPLANT_DISPLACED:
            # What is not understood is not overlooked either.
            return _SPECIAL_CODES.get(code, "modifier")
    if texts.position.special is not None:
        return texts.position.special
    if magnification(header)[0] >= _MAGNIFIED:
        return "magnification"
    partial = header.text("PartialView").upper()
    if partial == "YES" or (not partial and header.items("PartialViewCodeSequence")):
        return "partial"
    in_text = (words.special for words in texts.free.values() if words.special is not None)
    return next(in_text, "modifier" if texts.position.unknown else None)

"""Which projection a mammogram's tags name, and why it may be no screening view (PS3.16 CID 4014 and 4015).

ML is never MLO: a view is a code or a whole word, not a part of one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

from disasymnet.images.header import Header
from disasymnet.terms import Laterality, View

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
_SPECIAL_WORDS = {
    "MAG": "magnification", "MAGNIFICATION": "magnification", "MAGNIFIED": "magnification", "SPOT": "spot",
    "ROLLED": "rolled", "TANGENTIAL": "tangential", "TAN": "tangential", "CLEAVAGE": "cleavage", "CV": "cleavage",
    "AT": "axillary_tail", "SPECIMEN": "specimen",
}  # fmt: skip
_MAGNIFIED = 1.3
"""Breasts on the table are magnified 1.0 to 1.1 times, those on a magnification stand 1.5 to 2 times."""

_NAMES = "|".join(sorted(View, key=len, reverse=True))
_WORD = re.compile(rf"([RL])?({_NAMES})(ID)?")  # RCC, LMLO, CCID
_TOKEN = re.compile(rf"(?<![A-Z0-9])(R|L|RIGHT|LEFT)[ _-]?({_NAMES})[ _-]?(ID)?(?![A-Z0-9])")
_DISPLACED = re.compile(r"\bIMPLANTS?[ _-]DISPLACED\b|\bEKLUND\b")
_SYNTHETIC = re.compile(r"\b(C-?VIEW|S-?VIEW|V-?PREVIEW|SYNTHETIC|SYNTHESI[SZ]ED|INTELLIGENT 2D)\b")
_TOMOSYNTHESIS = re.compile(r"\b(TOMO|TOMOSYNTHESIS|DBT)\b")


@dataclass(frozen=True)
class Named:
    """What one of our words says: `RCC`, `L-MLO`, `CCID`."""

    laterality: Laterality | None
    view: View
    implant_displaced: bool


@dataclass(frozen=True)
class Projection:
    """What the tags say of the view."""

    view: View | None
    view_from: str | None
    special: str | None
    implant_displaced: bool
    extra: bool


def words_of_position(header: Header) -> list[Named | str]:
    """ViewPosition's words, understood where they name a view; systems write `CC`, `RIGHT CC`, `RCC` or `MLO ID`."""
    found: list[Named | str] = []
    for word in re.split(r"[\s\\_-]+", header.text("ViewPosition").upper()):
        known = None if (plain := View.parse(word)) else _WORD.fullmatch(word)
        if plain is not None:
            found.append(Named(None, plain, False))
        elif known is not None:
            found.append(Named(Laterality.parse(known[1] or ""), View(known[2]), known[3] is not None))
        elif word:
            found.append(word)
    return found


def named_in_text(header: Header) -> Named | None:
    """Breast and view that the free text of the series names, if it names one and no other: `RCC`, `LEFT MLO`."""
    found = {
        Named(Laterality.parse(side), View(view), bool(displaced))
        for side, view, displaced in _TOKEN.findall(_free_text(header))
    }
    return found.pop() if len(found) == 1 else None


def computed_by_name(header: Header) -> str | None:
    """`synthetic` or `tomosynthesis` where the series is named so."""
    text = _free_text(header)
    return "synthetic" if _SYNTHETIC.search(text) else "tomosynthesis" if _TOMOSYNTHESIS.search(text) else None


def projection(header: Header, notes: list[str]) -> Projection:
    """The first rung that names a view; a lower rung that names another is PictureError `view_conflict`.

    ViewCodeSequence, ViewPosition, PatientOrientation (as CBIS-DDSM has it), free text of the series.
    """
    codes = header.items("ViewCodeSequence")
    modifiers = [item for code in codes for item in header.items("ViewModifierCodeSequence", of=code)]
    # Some writers put the modifiers beside the view and not into it.
    modifiers += header.items("ViewModifierCodeSequence")
    position, text = words_of_position(header), named_in_text(header)
    found = [(view, "ViewCodeSequence") for item in codes if (view := _VIEW_CODES.get(header.code(item)))]
    found += [(word.view, "ViewPosition") for word in position if isinstance(word, Named)]
    orientation = header.texts("PatientOrientation")
    misused = View.parse(orientation[0]) if len(orientation) == 1 else None
    if misused is not None and misused.pairable:
        found.append((misused, "PatientOrientation"))
    if text is not None:
        found.append((text.view, "SeriesDescription"))
    if len({view for view, _ in found}) > 1:
        named = " and ".join(f"{view} ({rung})" for view, rung in dict(reversed(found)).items())
        raise header.refusal("view_conflict", f"its tags name several views: {named}", found[0][1])
    view, rung = found[0] if found else (None, None)
    if rung in ("PatientOrientation", "SeriesDescription"):
        notes.append("view taken from " + {"PatientOrientation": rung}.get(rung, "the series description"))
    known = [header.code(item) for item in modifiers]
    displaced = any(code in _IMPLANT_DISPLACED for code in known)
    displaced = displaced or any(word.implant_displaced for word in position if isinstance(word, Named))
    displaced = displaced or "ID" in position
    in_words = text is not None and (text.implant_displaced or _DISPLACED.search(_free_text(header)) is not None)
    if not displaced and in_words:
        displaced = True
        notes.append("implant displaced: taken from the series description")
    special = _special(header, codes, known, position, text)
    return Projection(view, rung, special, displaced, any(code in _HARMLESS for code in known))


def _special(
    header: Header, codes: list[Dataset], modifiers: list[str], position: list[Named | str], text: Named | None
) -> str | None:
    """Why the picture is no screening view."""
    if any(header.code(item) in _SPECIMEN for item in codes):
        return "specimen"
    for code in modifiers:
        if code not in _HARMLESS and code not in _IMPLANT_DISPLACED:
            # What is not understood is not overlooked either.
            return _SPECIAL_CODES.get(code, "modifier")
    for word in position:
        if isinstance(word, str) and word in _SPECIAL_WORDS:
            return _SPECIAL_WORDS[word]
    if header.number("EstimatedRadiographicMagnificationFactor", 1) >= _MAGNIFIED:
        return "magnification"
    if header.text("PartialView").upper() == "YES":
        return "partial"
    if text is not None:
        # `RCC SPOT` speaks of this picture, `Screening and spot views` of several.
        for word in re.split(r"[^A-Z]+", _free_text(header)):
            if word in _SPECIAL_WORDS and word != "AT":
                return _SPECIAL_WORDS[word]
    return None


def _free_text(header: Header) -> str:
    return f"{header.text('SeriesDescription')} {header.text('ProtocolName')}".upper()

"""What kind of picture a DICOM file holds, and the refusal of all but one grey mammogram for presentation.

By SOP class, ImageType and the words of the file. Every picture for presentation is DERIVED: that alone says nothing.
Of contrast mammography the low-energy picture looks as a plain mammogram does, and makes a pair with its like; what was
recombined or subtracted shows the contrast medium.
"""

from __future__ import annotations

from pydicom.uid import (
    UID,
    BreastProjectionXRayImageStorageForPresentation,
    BreastProjectionXRayImageStorageForProcessing,
    BreastTomosynthesisImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    MediaStorageDirectoryStorage,
    SecondaryCaptureImageStorage,
)

from disasymnet.images.header import Header
from disasymnet.images.identity import lesion_tag
from disasymnet.images.picture import Reading
from disasymnet.images.views import FREE_TEXTS, NAMING, Texts
from disasymnet.images.words import kinds

_TOMOSYNTHESIS = (
    BreastTomosynthesisImageStorage,
    BreastProjectionXRayImageStorageForPresentation,
    BreastProjectionXRayImageStorageForProcessing,
)
_FILM_MODALITIES = ("MG", "RG", "CR", "DX")
_NO_AGENT = ("", "NO", "NONE", "NA", "N/A", "N", "0")


def is_film(header: Header) -> bool:
    """True for a Secondary Capture: digitised film, as far as mammograms go."""
    return header.text("SOPClassUID") == SecondaryCaptureImageStorage


def refuse_other_kinds(header: Header, texts: Texts, reading: Reading) -> None:
    """PictureError for everything that is not one grey mammogram for presentation."""
    _refuse_class(header, reading)
    if is_film(header) and (tag := lesion_tag(header)) is not None:
        raise header.refusal("derived", "it is the crop or the mask of a lesion, not a whole film", tag)
    if (frames := header.whole("NumberOfFrames", 1)) > 1:
        raise header.refusal("multi_frame", f"it holds {frames:,} frames", "NumberOfFrames")
    _refuse_computed(header, texts)
    _refuse_contrast(header, texts)
    types = _types(header)
    if not is_film(header) and len(types) > 2 and types[2] and not is_low_energy(header, texts):
        raise header.refusal("derived", f"it is a derived picture: {types[2][:16]}", "ImageType")
    _refuse_screen_copy(header, texts)
    _refuse_colour(header)


def is_low_energy(header: Header, texts: Texts) -> bool:
    """True for the low-energy picture of a contrast mammogram."""
    return _contrast(header, texts)[0] == "low_energy"


def _types(header: Header) -> list[str]:
    return [value.upper() for value in header.texts("ImageType")]


def _refuse_class(header: Header, reading: Reading) -> None:
    kind, modality = header.text("SOPClassUID"), header.text("Modality")
    if kind == MediaStorageDirectoryStorage:
        raise header.refusal("directory", "it is a DICOMDIR, a list of other files", "SOPClassUID")
    if kind in _TOMOSYNTHESIS:
        raise header.refusal("tomosynthesis", "it is a tomosynthesis, not a plain mammogram", "SOPClassUID")
    if kind == DigitalMammographyXRayImageStorageForProcessing:
        raise header.refusal("for_processing", "it is raw detector data (For Processing)", "SOPClassUID")
    if header.text("PresentationIntentType").upper() == "FOR PROCESSING":
        raise header.refusal("for_processing", "it is raw detector data (For Processing)", "PresentationIntentType")
    film = is_film(header) and modality in _FILM_MODALITIES
    if kind != DigitalMammographyXRayImageStorageForPresentation and not film:
        name = UID(kind).name if UID(kind).name != kind else "unknown SOP class"
        what = f"it is no mammogram: {name}, modality {modality[:16] or 'none'}"
        raise header.refusal("not_mammogram", what, "SOPClassUID")
    if film and reading.strict:
        raise header.refusal("strict_film", "it is a Secondary Capture, not a mammography system's", "SOPClassUID")
    if reading.strict and modality != "MG":
        raise header.refusal("not_mammogram", f"the modality is {modality[:16] or 'not stated'}", "Modality")


def _refuse_computed(header: Header, texts: Texts) -> None:
    """Tomosynthesis and what is computed from it; of screen copies the name of the series is all that tells."""
    by_type = kinds(header.text("ImageType"))
    if "synthetic" in by_type:
        raise header.refusal("synthetic", "it is computed from a tomosynthesis", "ImageType")
    if is_film(header) and "tomosynthesis" in by_type:
        raise header.refusal("tomosynthesis", "it is part of a tomosynthesis, not a plain mammogram", "ImageType")
    for code in ("synthetic", "tomosynthesis"):
        # A combined exam may be named for its tomosynthesis.
        of_any = NAMING if code == "synthetic" or is_film(header) else ()
        named = texts.kinds.get(code) or next((tag for tag in of_any if code in kinds(header.text(tag))), None)
        if named is not None:
            raise header.refusal(code, f"it is named as {code}, not as a plain mammogram", named)


def _contrast(header: Header, texts: Texts) -> tuple[str | None, str]:
    """`contrast`, `low_energy` or None, and the tag that says so; ImageType before words, words before the agent."""
    by_type = kinds(header.text("ImageType"))
    by_words = {kind: tag for tag in reversed(NAMING) for kind in kinds(header.text(tag))} | texts.kinds
    for said in (dict.fromkeys(by_type, "ImageType"), by_words):
        for kind in ("contrast", "low_energy"):
            if kind in said:
                return kind, said[kind]
    if "contrast_exam" in by_type:
        return "contrast", "ImageType"
    if "contrast_exam" in by_words:
        return "contrast", by_words["contrast_exam"]
    if header.text("ContrastBolusAgent").upper() not in _NO_AGENT:
        return "contrast", "ContrastBolusAgent"
    return None, ""


def _refuse_contrast(header: Header, texts: Texts) -> None:
    kind, tag = _contrast(header, texts)
    if kind == "contrast":
        raise header.refusal("contrast", "it shows contrast medium, or does not say that it is the low-energy one", tag)


def _refuse_screen_copy(header: Header, texts: Texts) -> None:
    """A result of computer-aided detection, or another screen copy with its marks."""
    film = is_film(header)
    if film and _types(header)[:2] == ["DERIVED", "SECONDARY"] and header.text("BurnedInAnnotation").upper() == "YES":
        raise header.refusal("derived", "it is a screen copy with marks burnt in", "BurnedInAnnotation")
    named = texts.kinds.get("cad")
    if film and named is None:
        named = next((tag for tag in (*FREE_TEXTS, "ImageType") if "cad" in kinds(header.text(tag))), None)
    if named is not None:
        raise header.refusal("derived", "it is named as a result of computer-aided detection", named)


def _refuse_colour(header: Header) -> None:
    if (samples := header.whole("SamplesPerPixel", 1)) != 1:
        raise header.refusal("colour", f"it has {samples} values a pixel", "SamplesPerPixel")
    photometric = header.text("PhotometricInterpretation").upper()
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        code = "colour" if photometric == "PALETTE COLOR" else "grey_scale"
        what = f"{photometric[:16] or 'nothing'} is no grey scale"
        raise header.refusal(code, what, "PhotometricInterpretation")

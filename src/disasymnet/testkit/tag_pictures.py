"""More cases of the tag matrix: how pictures lie, the words beside the view, and other kinds of picture.

Written from PS3.3 C.7.6.1.1.1 (Patient Orientation) and C.8.11.7.1.4 (Image Type), PS3.16 CID 4015 and docs/dicom.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydicom.uid import SecondaryCaptureImageStorage

from disasymnet.testkit.studies import FOUR, ORIENTATIONS, Shot, Study, bad, four

_UNTOLD = {
    "usual": "upright", "mirrored": "upright", "upside down": "upside down", "turned": "upside down",
    "quarter left": "on its side", "quarter right": "on its side",
}  # fmt: skip
"""How a picture lies on the model grid of which no tag says how it lies in its file."""
_NO_TAG = {"PatientOrientation": None}

_IN_POSITION = {
    "RL": "rolled", "RM": "rolled", "RI": "rolled", "RS": "rolled", "ROLL": "rolled", "ROLLED LATERAL": "rolled",
    "M": "magnification", "MAGN": "magnification", "MAGNIFIED": "magnification", "S": "spot", "SPOTMAG": "spot",
    "SPOT COMPRESSION": "spot", "TAN": "tangential", "CV": "cleavage", "AT": "axillary_tail", "AC": "partial",
    "IMF": "partial", "XL": "exaggerated", "EXAG": "exaggerated", "SPECIMEN": "specimen", "BIOPSY": "biopsy",
    "STEREO": "biopsy", "TOMO": "tomosynthesis", "COMP": "modifier", "IMPLANT": "modifier", "STANDARD": "modifier",
    "NP": "pair", "AX": "pair", "VIEW": "pair",
}  # fmt: skip
"""Words behind `CC` in ViewPosition."""
_IN_TEXT = {
    "R SPOT CC": "spot", "RIGHT SPOT MAG CC": "spot", "Spot RCC": "spot", "R CC Spotkompression": "spot",
    "Spot compression": "spot", "R MAG CC": "magnification", "R CC MAGN": "magnification", "CC R MAG": "magnification",
    "RMCC": "magnification", "R CC Vergroesserung": "magnification", "R CC ROLL": "rolled", "R CC RM": "rolled",
    "R CC tangential": "tangential", "R CC specimen": "specimen", "Right breast specimen CC": "specimen",
    "R CC biopsy": "biopsy", "R CC stereotactic": "biopsy", "R CC DBT": "tomosynthesis",
    "R CC tomo slice": "tomosynthesis", "R CC C-View": "synthetic", "R CC recombined": "contrast",
    "CESM subtracted": "contrast", "R CC CAD": "derived",
    "Standard screening R CC": "pair", "R CC Combo": "pair", "R CC Opdose": "pair", "R CC R/O mass": "pair",
    "R CC at 10:30": "pair", "LCC vs RCC spot": "pair", "Magdalena hospital": "pair", "High contrast": "pair",
}  # fmt: skip
_LOW = {"ImageType": ["ORIGINAL", "PRIMARY", "", "LOW_ENERGY"]}
_RECOMBINED = {"ImageType": ["DERIVED", "PRIMARY", "", "RECOMBINED"]}
_COPY = {"SOPClassUID": SecondaryCaptureImageStorage, "PresentationIntentType": None}


def studies() -> Iterator[Study]:
    """All of them."""
    yield from _lying()
    yield from _wrong_tags()
    yield from _words()
    yield from _contrast()
    yield from _other()


def _lying() -> Iterator[Study]:
    """Pictures that lie otherwise, with the tag that says so and without."""
    for orientation in ORIENTATIONS:
        told = [Shot(name, tags=_NO_TAG, seen=_UNTOLD[orientation]) for name in FOUR]
        yield Study(f"{orientation}, no PatientOrientation", told, orientation=orientation)
        films = [Shot(name, seen=_UNTOLD[orientation]) for name in FOUR]
        yield Study(f"film, {orientation}", films, "film", orientation)
        if orientation == "usual":
            continue
        for name in FOUR:
            if orientation.startswith("quarter"):
                yield Study(f"{name} alone lies {orientation}", bad(name, "turned", {}, lies=orientation))
            else:
                yield Study(f"{name} alone lies {orientation}", four(Shot(name, lies=orientation)))
    for name, said in (
        ("LCC", "A\\RF"), ("RCC", "P\\LH"), ("LCC", "AF\\R"), ("LMLO", "A\\F"), ("RMLO", "P\\LF"), ("RMLO", "P\\L"),
    ):  # fmt: skip
        yield Study(f"oblique, {name} {said}", four(Shot(name, tags={"PatientOrientation": said})))
    for name, said in (("LCC", "A\\LH"), ("LMLO", "A\\H"), ("RMLO", "P\\RH"), ("RMLO", "P\\R")):
        shot = Shot(name, tags={"PatientOrientation": said}, lies="upside down")
        yield Study(f"oblique and upside down, {name} {said}", four(shot))
    for name, said in (("LCC", "A\\F"), ("RMLO", "R\\F"), ("RCC", "X\\Y"), ("LMLO", "A")):
        yield Study(f"tells nothing, {name} {said}", four(Shot(name, tags={"PatientOrientation": said})))


def _wrong_tags() -> Iterator[Study]:
    """The tag of a picture that hangs as usual; what its rows say is checked against the picture, columns are not."""
    for name, half, down in (("LCC", "P\\L", "A\\L"), ("RCC", "A\\R", "P\\R"), ("LMLO", "P\\HL", "A\\HL")):
        yield Study(f"{name} is said to be turned", four(Shot(name, tags={"PatientOrientation": half})))
        believed = Shot(name, tags={"PatientOrientation": down}, seen="upside down")
        yield Study(f"{name} is said to be upside down", four(believed))
    for name, said in (("LCC", "R\\P"), ("RMLO", "FL\\A")):
        yield Study(f"{name} is said to lie on its side", bad(name, "turned", {"PatientOrientation": said}))


def _words() -> Iterator[Study]:
    for word, code in _IN_POSITION.items():
        tags = {"ViewPosition": f"CC {word}"}
        yield Study(f"CC {word} in ViewPosition", _rcc(code, tags))
    for word, code in (("MCC", "magnification"), ("SCC", "spot"), ("RCCRL", "rolled"), ("RMCC", "magnification")):
        yield Study(f"{word} in ViewPosition", bad("RCC", code, {"ViewPosition": word}))
    for text, code in _IN_TEXT.items():
        tags = {"SeriesDescription": text}
        yield Study(f"description: {text}", _rcc(code, tags))
    for text, code in (("R MAG CC", "magnification"), ("R CC Spotkompression", "spot")):
        yield Study(f"protocol: {text}", bad("RCC", code, {"ProtocolName": text}))
    processing = {"AcquisitionDeviceProcessingDescription": "SPOT MAG"}
    yield Study("processing: SPOT MAG", bad("RCC", "spot", processing))
    yield Study("protocol names another breast", bad("RCC", "laterality_conflict", {"ProtocolName": "L CC"}))
    yield Study("protocol names another view", bad("RCC", "view_conflict", {"ProtocolName": "R MLO"}))


def _rcc(code: str, tags: dict[str, Any]) -> list[Shot]:
    return four(Shot("RCC", tags=tags)) if code == "pair" else bad("RCC", code, tags)


def _contrast() -> Iterator[Study]:
    def shots(suffix: str, tags: dict[str, Any], expect: str = "pair") -> list[Shot]:
        return [Shot(f"{name}{suffix}", expect, tags=tags) for name in FOUR]

    yield Study("contrast, low energy and recombined", shots("", _LOW) + shots(".2", _RECOMBINED, "contrast"))
    by_words = {"SeriesDescription": "CESM low energy"}
    yield Study("contrast, low energy by words", shots("", by_words))
    agent = {"ContrastBolusAgent": "Iohexol"}
    yield Study("contrast, agent and low energy", shots("", {**_LOW, **agent}))
    yield Study("contrast, agent alone", shots("", agent, "contrast"))
    yield Study("no contrast agent", shots("", {"ContrastBolusAgent": "NONE"}))
    yield Study("low energy beside plain pictures", [*four(), *shots(".2", _LOW, "superseded")])
    mixed = [Shot("RCC", "unpaired", tags=_LOW), Shot("LCC", "unpaired"), *four()[2:]]
    yield Study("low energy of one breast, plain of the other", mixed)
    for value in ("SUBTRACTION", "HIGH_ENERGY"):
        tags = {"ImageType": ["DERIVED", "PRIMARY", "", "RIGHT", value]}
        yield Study(f"contrast, {value} for RCC", bad("RCC", "contrast", tags))


def _other() -> Iterator[Study]:
    derived = {"ImageType": ["DERIVED", "PRIMARY"]}
    yield Study("all are derived, as pictures for presentation are", [Shot(name, tags=derived) for name in FOUR])
    marks = {**_COPY, "ImageType": ["DERIVED", "SECONDARY"], "BurnedInAnnotation": "YES"}
    yield Study("screen copies with marks", [Shot(name, "derived", tags=marks) for name in FOUR])
    yield Study("screen copies with marks besides", [*four(), *(Shot(f"{n}.2", "derived", tags=marks) for n in FOUR)])
    cad = {**_COPY, "SeriesDescription": "CAD results"}
    yield Study("CAD results besides", [*four(), *(Shot(f"{name}.2", "derived", tags=cad) for name in FOUR)])
    yield Study("films with a label", [Shot(name, tags={"BurnedInAnnotation": "YES"}) for name in FOUR], "film")
    palette = {"PhotometricInterpretation": "PALETTE COLOR"}
    yield Study("palette for RCC", bad("RCC", "colour", palette))
    yield Study("no photometric interpretation", bad("LMLO", "grey_scale", {"PhotometricInterpretation": None}))

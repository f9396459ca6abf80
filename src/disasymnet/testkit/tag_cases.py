"""The cases of the tag matrix: what stands in the tags, and beside it what a reader should make of each picture.

Written from PS3.3 C.8.11.7 and the ladders of docs/dicom.md, not from any program's answers. A case is the usual four
pictures of one study with some of them changed; where one is left out, its partner is `unpaired`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import BreastTomosynthesisImageStorage, DigitalMammographyXRayImageStorageForProcessing

from disasymnet.phantom.write import uid
from disasymnet.terms import Laterality, View
from disasymnet.testkit import tag_pictures
from disasymnet.testkit.studies import (
    FOUR,
    ORIENTATIONS,
    STYLES,
    WORDS,
    Shot,
    Study,
    alone,
    bad,
    codes,
    concept,
    four,
)

_POSITION = ("position", "words", "fused", "lower case")

# What each modifier makes of a picture that would pair.
_SPECIAL = {
    "magnification": "magnification", "spot compression": "spot", "rolled lateral": "rolled", "rolled medial": "rolled",
    "rolled superior": "rolled", "rolled inferior": "rolled", "tangential": "tangential", "cleavage": "cleavage",
    "axillary tail": "axillary_tail", "anterior compression": "partial", "infra-mammary fold": "partial",
}  # fmt: skip


def studies() -> Iterator[Study]:
    """All studies of the matrix."""
    for style in STYLES:
        for orientation in ORIENTATIONS if style != "film" else ("usual",):
            shots = [Shot(name, "turned") for name in FOUR] if orientation.startswith("quarter") else four()
            yield Study(f"plain, {style}, {orientation}", shots, style, orientation)
    yield from tag_pictures.studies()
    yield from _other_views()
    yield from _special_views()
    yield from _implants()
    yield from _repeats()
    yield from _missing()
    yield from _conflicts()
    yield from _kinds()
    yield from _sizes()
    yield from _apart()


def _other_views() -> Iterator[Study]:
    """ML is no MLO, XCCL no CC."""
    for view in (View.ML, View.LM, View.LMO, View.SIO, View.ISO, View.XCCL, View.XCCM, View.FB):
        kin = "CC" if view in (View.XCCL, View.XCCM, View.FB) else "MLO"
        for style in ("modern", "srt", "snm3", *_POSITION, "text"):
            shots = four(Shot(f"L{kin}", "view", view=view), alone(f"R{kin}"))
            yield Study(f"{view} for {kin}, {style}", shots, style)
        yield Study(f"{view} besides", four(Shot(f"L{view}", "view"), Shot(f"R{view}", "view")))


def _special_views() -> Iterator[Study]:
    for modifier, code in _SPECIAL.items():
        for style in ("modern", "srt", "snm3", "beside"):
            yield Study(f"{modifier} for LMLO, {style}", bad("LMLO", code, {}, modifier=modifier), style)
        yield Study(f"{modifier} besides", four(Shot("RCC.2", code, modifier=modifier)))
        if modifier in WORDS:
            for style in ("position", "words", "lower case"):
                yield Study(f"{modifier} in words, {style}", bad("RCC", code, {}, modifier=modifier), style)
    for word in ("MAG", "SPOT"):
        tags = {"SeriesDescription": f"R CC {word}"}
        code = "magnification" if word == "MAG" else "spot"
        yield Study(f"{word} in the description only", bad("RCC", code, tags, style="text"))
    many = {"SeriesDescription": "Screening and spot views"}
    yield Study("description of many pictures", [replace(shot, tags=many) for shot in four()])
    for name in ("nipple in profile", "axillary tissue"):
        yield Study(f"{name} does no harm", four(Shot("LMLO", modifier=name)))
        yield Study(f"{name} beside the plain view", four(Shot("LMLO.2", "superseded", modifier=name)))
    private = concept("399368009", "SCT", concept("X1", "99VENDOR"))
    yield Study("private modifier", bad("RMLO", "modifier", {"ViewCodeSequence": [private]}))
    yield Study("magnified by factor", bad("LCC", "magnification", {"EstimatedRadiographicMagnificationFactor": 1.8}))
    for name in FOUR:
        yield Study(f"partial {name}", bad(name, "partial", {"PartialView": "YES"}))
    specimen = {"ViewCodeSequence": [concept("127457009", "SCT")], "ViewPosition": None}
    old = {"ViewCodeSequence": [concept("G-8310", "SRT")], "ViewPosition": None}
    yield Study("specimen besides", four(Shot("RCC.2", "specimen", tags=specimen)))
    yield Study("specimen, old code", four(Shot("RCC.2", "specimen", tags=old)))


def _implants() -> Iterator[Study]:
    displaced = [Shot(f"{name}.ID", modifier="implant displaced") for name in FOUR]
    for style in ("modern", "srt", "snm3", "beside", "position", "fused", "text"):
        yield Study(f"implants, eight views, {style}", [*four(), *displaced], style)
    for style in ("modern", "srt", "fused"):
        shots = [Shot("RCC", "unpaired"), Shot("LCC.ID", "unpaired", modifier="implant displaced"), *four()[2:]]
        yield Study(f"displaced in one breast only, {style}", shots, style)
        extra = Shot("RMLO.ID", "unpaired", modifier="implant displaced")
        yield Study(f"a third displaced view, {style}", four(extra), style)
    spot = {"ViewCodeSequence": [concept("399162004", "SCT", concept("399209000", "SCT"), concept("399055006", "SCT"))]}
    yield Study("displaced and spot", [*four(), *displaced, Shot("RCC.2", "spot", tags=spot)])


def _repeats() -> Iterator[Study]:
    for style in ("modern", "srt", "words"):
        again = {"InstanceNumber": 2}
        for name in FOUR:
            first, second = Shot(name, "superseded"), Shot(f"{name}.2", tags=again)
            yield Study(f"{name} repeated, {style}", four(first, second), style)
        twins = [Shot("RCC", "duplicate"), Shot("RCC.2", "duplicate"), alone("LCC")]
        yield Study(f"RCC twice, nothing tells them apart, {style}", four(*twins), style)
    uid_of = {"SOPInstanceUID": uid("picture", "copied", "RCC")}
    yield Study("copied", four(Shot("RCC", tags=uid_of), Shot("RCC.2", "copy", tags=uid_of)))
    shared = {"SOPInstanceUID": uid("picture", "one UID")}
    both = [Shot("RCC", "uid_conflict", tags=shared), Shot("LCC", "uid_conflict", tags=shared)]
    yield Study("one UID for two breasts", four(*both))
    late = {"AcquisitionTime": "101500"}
    timed = [Shot("RCC", "superseded", tags={"AcquisitionTime": "101000"}), Shot("RCC.2", tags=late)]
    yield Study("repeated later, without numbers", four(*timed))
    other = {"InstanceNumber": 9, "ImagerPixelSpacing": [0.05, 0.05]}
    yield Study("repeated on another detector", four(Shot("RCC.2", "superseded", tags=other)))
    day = [Shot(name, tags={"AcquisitionTime": "090000"}) for name in FOUR]
    evening = Shot("RCC.2", "superseded", tags={"AcquisitionTime": "170000", "InstanceNumber": 9})
    yield Study("repeated in another sitting", [*day, evening])
    twice = [replace(Shot(f"{name}.2"), tags={"InstanceNumber": 5}) for name in FOUR]
    yield Study("all four repeated", [*(Shot(name, "superseded") for name in FOUR), *twice])
    films = [Shot(f"{name}.film", "superseded", style="film") for name in FOUR]
    yield Study("screen copies of all", [*four(), *films])
    mixed = [Shot("RCC.film", "unpaired", style="film"), alone("LCC")]
    yield Study("film and digital", four(*mixed, without=("RCC",)))


def _missing() -> Iterator[Study]:
    for style in STYLES:
        shots = four(alone("RMLO"), without=("LMLO",))
        yield Study(f"no LMLO, {style}", shots, style)
    for name in FOUR:
        other = ("L" if name[0] == "R" else "R") + name[1:]
        yield Study(f"only {name} is missing", four(alone(other), without=(name,)))
        yield Study(f"only {name} is there", [alone(name)])
        yield Study(f"no side, {name}", bad(name, "no_side", {"ImageLaterality": None}))
        yield Study(f"no view, {name}", bad(name, "no_view", {"ViewPosition": None, "ViewCodeSequence": None}))
    yield Study("no PatientID", [replace(shot, tags={"PatientID": ""}) for shot in four()])
    dated = {"StudyInstanceUID": "", "StudyDate": "20240102"}
    yield Study("no study UID, but a date", [replace(shot, tags=dated) for shot in four()])
    nothing = {"StudyInstanceUID": ""}
    yield Study("no study at all", [Shot(name, "no_study", tags=nothing) for name in FOUR])
    nobody = {"StudyInstanceUID": "", "PatientID": "", "StudyDate": "20240102"}
    yield Study("no patient and no study", [Shot(name, "no_patient", tags=nobody) for name in FOUR])
    odd = {"ViewCodeSequence": [concept("V-CC", "99VENDOR")]}
    yield Study("private view code, ViewPosition tells", four(Shot("RCC", tags=odd)))
    only = {**odd, "ViewPosition": None}
    yield Study("private view code alone", bad("RCC", "no_view", only))
    for word in ("LATERAL", "MEDIOLATERAL", "CCMLO", "MLOX"):
        tags = {"ViewCodeSequence": None, "ViewPosition": word}
        yield Study(f"ViewPosition {word}", bad("LMLO", "no_view", tags))
    yield Study("both breasts", bad("RCC", "no_side", {"ImageLaterality": "B"}))


def _conflicts() -> Iterator[Study]:
    """Two tags that name two breasts, or two views: never the first one silently."""
    left, right = (concept(*(value, "SCT")) for value in ("80248007", "73056007"))
    breast = concept("76752008", "SCT")
    breast.AnatomicRegionModifierSequence = [left]
    for name, opposite, word in (("RCC", "L", "LEFT"), ("RMLO", "L", "LEFT"), ("LCC", "R", "RIGHT")):
        view = name[1:]
        anatomy = [breast if opposite == "L" else right]
        for what, tags in (
            ("Laterality", {"Laterality": opposite}),
            ("anatomy", {"AnatomicRegionSequence": anatomy}),
            ("words", {"ViewPosition": f"{word} {view}"}),
            ("fused", {"ViewPosition": f"{opposite}{view}"}),
            ("description", {"SeriesDescription": f"{opposite}{view}"}),
            ("frame", {"SharedFunctionalGroupsSequence": [_frame(opposite)]}),
        ):
            yield Study(f"{name}, another breast in {what}", bad(name, "laterality_conflict", tags))
        another = "MLO" if view == "CC" else "CC"
        two = {"ViewCodeSequence": [*codes(Shot(name), "SCT")["ViewCodeSequence"], *codes(Shot("R" + another), "SRT")[
            "ViewCodeSequence"]]}  # fmt: skip
        for what, tags in (
            ("ViewPosition", {"ViewPosition": another}),
            ("ViewPosition, ML", {"ViewPosition": "ML"}),
            ("ViewPosition, XCCL", {"ViewPosition": "XCCL"}),
            ("a second code", two),
            ("description", {"SeriesDescription": f"{name[0]} {another}"}),
            ("PatientOrientation", {"PatientOrientation": another}),
        ):
            yield Study(f"{name}, another view in {what}", bad(name, "view_conflict", tags))
    several = {"SeriesDescription": "RCC LCC RMLO LMLO"}
    yield Study("description of all four", [replace(shot, tags=several) for shot in four()])
    agreeing = {"Laterality": "R", "SeriesDescription": "R-CC", "ProtocolName": "RCC"}
    yield Study("all agree", four(Shot("RCC", tags=agreeing)))


def _frame(side: str) -> Dataset:
    anatomy, group = Dataset(), Dataset()
    anatomy.FrameLaterality, group.FrameAnatomySequence = Laterality(side).value, [anatomy]
    return group


def _kinds() -> Iterator[Study]:
    """What is no mammogram for presentation."""
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "tomosynthesis": ("tomosynthesis", {"SOPClassUID": BreastTomosynthesisImageStorage, "NumberOfFrames": 40}),
        "raw data": ("for_processing", {"SOPClassUID": DigitalMammographyXRayImageStorageForProcessing}),
        "raw by intent": ("for_processing", {"PresentationIntentType": "FOR PROCESSING"}),
        "synthetic 2-D": ("synthetic", {"ImageType": ["DERIVED", "PRIMARY", "GENERATED_2D"]}),
        "synthetic 2-D, value 4": ("synthetic", {"ImageType": ["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D"]}),
        "projection": ("derived", {"ImageType": ["ORIGINAL", "PRIMARY", "TOMO_PROJ"]}),
        "contrast": ("contrast", {"ImageType": ["DERIVED", "PRIMARY", "SUBTRACTION"]}),
        "many frames": ("multi_frame", {"NumberOfFrames": 5}),
        "ultrasound": ("not_mammogram", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1", "Modality": "US"}),
        "colour": ("colour", {"SamplesPerPixel": 3}),
    }
    for name, (code, tags) in kinds.items():
        yield Study(f"{name} for RCC", bad("RCC", code, tags))
        yield Study(f"{name} besides", four(Shot("RCC.2", code, tags=tags), Shot("LMLO.2", code, tags=tags)))


def _sizes() -> Iterator[Study]:
    factor = {"EstimatedRadiographicMagnificationFactor": 1.08}
    yield Study("a factor on one side", four(Shot("RCC", tags=factor)))
    yield Study("other spacing on one side", four(Shot("LMLO", tags={"ImagerPixelSpacing": [0.07, 0.07]})))
    yield Study("no spacing on one side", four(Shot("LMLO", tags={"ImagerPixelSpacing": None})))


def _apart() -> Iterator[Study]:
    first, second = ({"StudyInstanceUID": uid("apart", name)} for name in ("first", "second"))
    shots = [Shot(name, tags=first) for name in FOUR] + [Shot(f"{name}.2", tags=second) for name in FOUR]
    yield Study("two whole studies of one patient", shots)
    halves = [Shot("RCC", "unpaired", tags=first), Shot("LCC", "unpaired", tags=second)]
    yield Study("the two sides in two studies", halves)
    dates = [
        Shot(name, "unpaired", tags={"StudyInstanceUID": "", "StudyDate": date})
        for name, date in (("RCC", "20230101"), ("LCC", "20240101"))
    ]
    yield Study("the two sides on two days", dates)
    women = [Shot("RCC", "unpaired", tags={"PatientID": "A"}), Shot("LCC", "unpaired", tags={"PatientID": "B"})]
    yield Study("one study UID, two patients", women)

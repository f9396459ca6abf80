"""What a data set says of a picture, held against what the file's own tags say.

A data set is there to state what the tags do not: an absent tag contradicts nothing. A tag that says otherwise does,
and then nobody can know which of the two is wrong: the picture is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from disasymnet.datasets import Tags
from disasymnet.datasets.below import is_dicom, same_bytes
from disasymnet.errors import DatasetError, PictureError
from disasymnet.images.read import Facts, read_facts
from disasymnet.images.refusals import NEXT_STEP as PICTURE_STEP
from disasymnet.images.tags import placed
from disasymnet.progress import track
from disasymnet.records import Mammogram, Rejected, Scan
from disasymnet.terms import Laterality, View

_LOOK = "Look at the picture (`disasymnet explain FILE --out DIR`) and correct the table or the tag."
_TWO_NAMES = (
    "Give one woman one patient_id, so that she stands in one split; where PatientID was replaced by one word for all, "
    "fill `deidentified` with 1."
)
NEXT_STEP = {
    "laterality_conflict": _LOOK,
    "view_conflict": _LOOK,
    "same_file": PICTURE_STEP["same_file"],
}


def compare(found: Scan, tags: Tags) -> Scan:
    """The scan with what its DICOM files' headers state, some milliseconds a file.

    Left out are files whose headers are refused (`disasymnet.images.read.read_facts`), those whose tags name another
    breast or view (`laterality_conflict`, `view_conflict`), and the same bytes as both breasts of an exam
    (`same_file`). What a data set does not state of side, view and pixel size comes from the tags. DatasetError if the
    set must not give a woman two names, and does.
    """
    rejected = list(found.rejected)
    twice = {picture.path: picture for picture in _same_files(found.pictures)}
    rejected += [
        _rejected(picture, "same_file", "the other breast is the very same file") for picture in twice.values()
    ]
    pictures = [picture for picture in found.pictures if picture.path not in twice]
    headers = {picture.path for picture in pictures if picture.exposure is None and is_dicom(picture.path)}
    facts: dict[Path, Facts] = {}
    for path in track(sorted(headers), "headers", len(headers)):
        try:
            facts[path] = read_facts(path)
        except PictureError as error:
            rejected.append(Rejected(path, error.code, error.what, error.hint or ""))
    kept = []
    for picture in pictures:
        if picture.path not in headers:
            kept.append(picture)
        elif picture.path in facts:
            known = facts[picture.path]
            conflict = _conflict(picture, known, tags)
            rejected += [] if conflict is None else [conflict]
            kept += [] if conflict is not None else [_joined(picture, known, tags)]
    if tags.one_woman:
        _check_women(kept)
    return replace(found, pictures=tuple(kept), rejected=tuple(rejected))


def _check_women(pictures: list[Mammogram]) -> None:
    """DatasetError where files of one PatientID, and not of two issuers, are called two patients."""
    seen: dict[str, dict[str, Mammogram]] = defaultdict(dict)
    for picture in pictures:
        identity = picture.identity
        if identity is None or not identity.patient:
            continue
        known = seen[identity.patient]
        for issuer, other in known.items():
            if other.patient != picture.patient and (issuer == identity.issuer or "" in (issuer, identity.issuer)):
                what = f"patients {other.patient} and {picture.patient} are one by the PatientID of their files"
                raise DatasetError(what, where=f"{other.path.name} and {picture.path.name}", hint=_TWO_NAMES)
        known.setdefault(identity.issuer, picture)


def _conflict(picture: Mammogram, facts: Facts, tags: Tags) -> Rejected | None:
    if None not in (picture.laterality, facts.laterality) and picture.laterality is not facts.laterality:
        reason = f"the data set says {picture.laterality}, the file's {facts.laterality_from} {facts.laterality}"
        return _rejected(picture, "laterality_conflict", reason)
    stated = View.MLO if tags.ml_is_mlo and facts.view is View.ML else facts.view
    if None not in (picture.view, stated) and picture.view is not stated:
        reason = f"the data set says {picture.view}, the file's {facts.view_from} {facts.view}"
        return _rejected(picture, "view_conflict", reason)
    return None


def _joined(picture: Mammogram, facts: Facts, tags: Tags) -> Mammogram:
    facts = placed(facts, picture.laterality, picture.view)
    exposure = facts.exposure
    if exposure is not None and picture.pixel_mm is not None:
        exposure = replace(exposure, pixel_mm_from=None)
    if exposure is not None and picture.identity is not None:
        # The set says that the files' own identifiers name nothing, be it a woman, a study or a picture.
        exposure = replace(exposure, uid="")
    return replace(
        picture,
        # A data set without exams has one exam a patient.
        exam=picture.exam or picture.patient,
        laterality=facts.laterality,
        view=facts.view,
        pixel_mm=facts.pixel_mm if picture.pixel_mm is None else picture.pixel_mm,
        exposure=exposure,
        identity=facts.identity if tags.identity and picture.identity is None else picture.identity,
    )


def _same_files(pictures: tuple[Mammogram, ...]) -> Iterator[Mammogram]:
    """Pictures whose bytes stand for the other breast of their exam, too."""
    exams: dict[object, list[Mammogram]] = defaultdict(list)
    for picture in pictures:
        exams[picture.patient, picture.exam].append(picture)
    for exam in exams.values():
        right, left = ([each for each in exam if each.laterality is side] for side in Laterality)
        for one in right:
            for other in left:
                if same_bytes(one.path, other.path):
                    yield from (one, other)


def _rejected(picture: Mammogram, code: str, reason: str) -> Rejected:
    return Rejected(picture.path, code, reason, NEXT_STEP[code])

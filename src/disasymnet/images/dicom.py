"""A DICOM mammogram as pixels in [0, 1] and facts: MG For Presentation, and digitised film as data sets hand it out.

Everything that pydicom can throw becomes one PictureError with a stable code; sizes are checked before pixels are
decoded. Digitised films are Secondary Captures, sometimes with Modality RG, and CBIS-DDSM writes its view into
PatientOrientation and side and view into PatientID: this is read, and noted.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    BreastProjectionXRayImageStorageForPresentation,
    BreastProjectionXRayImageStorageForProcessing,
    BreastTomosynthesisImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from disasymnet.errors import PictureError
from disasymnet.images.grey import grey
from disasymnet.images.picture import Facts, Picture
from disasymnet.terms import Laterality, View

MOST_PIXELS = 40_000_000
"""The largest detectors and film scans have about 27 million pixels; more is a mistake or an attack."""

_TOMOSYNTHESIS = (
    BreastTomosynthesisImageStorage,
    BreastProjectionXRayImageStorageForPresentation,
    BreastProjectionXRayImageStorageForProcessing,
)
_FILM_MODALITIES = ("MG", "RG", "CR", "DX")

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


def read_dicom(path: Path) -> Picture:
    """A DICOM file's picture. PictureError with a code if it is none, or one that a pair cannot use."""
    try:
        # pydicom's warnings quote values of the file, which may name a person.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path)
            _refuse(dataset, path)
            notes: list[str] = []
            stored = _decode(dataset, path, notes)
            pixels, steps = grey(dataset, stored, path)
            facts = _facts(dataset, path, notes)
    except (PictureError, MemoryError):
        raise
    except FileNotFoundError:
        raise PictureError("there is no such file", where=path, code="missing") from None
    except Exception as error:
        # pydicom and the decoders raise at least seven kinds of exception on damaged files.
        raise PictureError(
            f"the DICOM file cannot be read ({type(error).__name__})",
            where=path,
            hint="Check that it was copied whole; another viewer or `dcmdump` shows where it breaks.",
            code="damaged",
        ) from error
    pixels.setflags(write=False)
    return Picture(pixels, facts, steps)


def _refuse(dataset: Dataset, path: Path) -> None:
    """PictureError for everything that is not one grey mammogram for presentation."""
    kind, modality = dataset.get("SOPClassUID"), str(dataset.get("Modality", ""))
    intent = str(dataset.get("PresentationIntentType", ""))
    if kind in _TOMOSYNTHESIS:
        raise PictureError("it is a tomosynthesis, not a plain mammogram", where=path, code="tomosynthesis")
    if kind == DigitalMammographyXRayImageStorageForProcessing or intent == "FOR PROCESSING":
        raise PictureError(
            "it is raw detector data (For Processing)",
            where=path,
            hint="Use the For Presentation picture of the same exposure.",
            code="for_processing",
        )
    film = kind == SecondaryCaptureImageStorage and modality in _FILM_MODALITIES
    if kind != DigitalMammographyXRayImageStorageForPresentation and not film:
        name = getattr(kind, "name", "unknown")
        raise PictureError(
            f"it is no mammogram: {name}, modality {modality or 'none'}", where=path, code="not_mammogram"
        )
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise PictureError("it holds several frames", where=path, code="multi_frame")
    types = dataset.get("ImageType") or []
    if not film and not isinstance(types, str) and len(types) > 2 and types[2]:
        raise PictureError(f"it is a derived picture: ImageType {types[2]}", where=path, code="derived")
    if int(dataset.get("SamplesPerPixel", 1)) != 1:
        raise PictureError("it is a colour picture", where=path, code="colour")
    if "PixelData" not in dataset:
        raise PictureError("it holds no pixels", where=path, code="no_pixels")
    _refuse_size(dataset, path)


def _refuse_size(dataset: Dataset, path: Path) -> None:
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    if min(rows, columns) < 1:
        raise PictureError(f"{columns} x {rows} pixels", where=path, code="size")
    if rows * columns > MOST_PIXELS:
        raise PictureError(f"{columns} x {rows} pixels are more than {MOST_PIXELS:,}", where=path, code="too_large")
    if allocated not in (8, 16) or not 1 < stored <= allocated:
        raise PictureError(f"{stored} of {allocated} bits a pixel are not supported", where=path, code="depth")
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        return
    expected, found = rows * columns * allocated // 8, len(dataset.PixelData)
    if not expected <= found <= expected + 1:  # one byte may pad to an even length
        raise PictureError(f"{found} bytes of pixels where {expected} are announced", where=path, code="pixel_length")


def _decode(dataset: Dataset, path: Path, notes: list[str]) -> NDArray[Any]:
    """The stored integers (rows, columns)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stored = dataset.pixel_array
    if caught:
        notes.append(f"the decoder gave {len(caught)} warning{'s' if len(caught) > 1 else ''}")
    if stored.shape != (dataset.Rows, dataset.Columns):
        raise PictureError(
            f"the pixels are {stored.shape}, the header says {(dataset.Rows, dataset.Columns)}",
            where=path,
            code="pixel_length",
        )
    return np.asarray(stored)


def _facts(dataset: Dataset, path: Path, notes: list[str]) -> Facts:
    film = dataset.SOPClassUID == SecondaryCaptureImageStorage
    if dataset.get("BurnedInAnnotation") == "YES":
        notes.append("text is burnt into the picture")
    if dataset.get("BreastImplantPresent") == "YES":
        notes.append("breast implant")
    patient, exam = str(dataset.get("PatientID") or "") or None, str(dataset.get("StudyInstanceUID") or "") or None
    if film and patient and (cbis := re.fullmatch(r"(?:Mass|Calc)-(?:Training|Test)_(P_\d+)_.*", patient)):
        # CBIS-DDSM gives each picture a patient and a study of its own.
        patient, exam = cbis[1], None
        notes.append("CBIS-DDSM: patient taken from within PatientID, study ignored")
    return Facts(
        laterality=_laterality(dataset, path, notes),
        view=_view(dataset, notes),
        pixel_mm=_pixel_mm(dataset, notes),
        detector="film" if film else "digital",
        bits=int(dataset.BitsStored),
        patient=patient,
        exam=exam,
        notes=tuple(notes),
    )


def _laterality(dataset: Dataset, path: Path, notes: list[str]) -> Laterality | None:
    """The first rung that names a breast; a lower rung that names the other one is an error (PS3.3 C.8.11.7)."""
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    frame = (shared.get("FrameAnatomySequence") or [Dataset()])[0]
    words = [str(group.get(tag) or "") for group, tag in (
        (frame, "FrameLaterality"), (dataset, "ImageLaterality"), (dataset, "Laterality"),
    )]  # fmt: skip
    found = [side for word in words if (side := Laterality.parse(word))]
    for region in dataset.get("AnatomicRegionSequence") or []:
        codes = [region, *(region.get("AnatomicRegionModifierSequence") or [])]
        found += [_SIDE_CODES[code.CodeValue] for code in codes if code.get("CodeValue") in _SIDE_CODES]
    found += [side for word in str(dataset.get("ViewPosition") or "").split() if (side := Laterality.parse(word))]
    if len(set(found)) > 1:
        raise PictureError("its tags name both breasts", where=path, code="laterality_conflict")
    if found:
        return found[0]
    weak = {Laterality(side) for side, _ in _tokens(dataset)}
    if len(weak) == 1:
        notes.append("breast taken from the series description")
        return weak.pop()
    return None


def _view(dataset: Dataset, notes: list[str]) -> View | None:
    """ViewCodeSequence, ViewPosition, PatientOrientation (CBIS-DDSM), description; None for views of a part."""
    for item in dataset.get("ViewCodeSequence") or []:
        for modifier in item.get("ViewModifierCodeSequence") or []:
            if why := _NOT_SCREENING.get(str(modifier.get("CodeValue"))):
                notes.append(f"not a screening view: {why}")
                return None
    if dataset.get("PartialView") == "YES":
        notes.append("not a screening view: partial")
        return None
    for item in dataset.get("ViewCodeSequence") or []:
        if view := _VIEW_CODES.get(str(item.get("CodeValue"))):
            return view
    for word in str(dataset.get("ViewPosition") or "").split():
        if view := View.parse(word):
            return view
    orientation = dataset.get("PatientOrientation")
    if isinstance(orientation, str) and (view := View.parse(orientation)) and view.pairable:
        notes.append("view taken from PatientOrientation")
        return view
    weak = {View(view) for _, view in _tokens(dataset)}
    if len(weak) == 1:
        notes.append("view taken from the series description")
        return weak.pop()
    return None


def _tokens(dataset: Dataset) -> list[tuple[str, str]]:
    """(side, view) of words like `RCC` or `L-MLO` in the free text of the series."""
    text = f"{dataset.get('SeriesDescription') or ''} {dataset.get('ProtocolName') or ''}".upper()
    return re.findall(r"\b([RL])[ _-]?(CC|MLO)\b", text)


def _pixel_mm(dataset: Dataset, notes: list[str]) -> float | None:
    """Millimetres a pixel in the breast: spacing at the detector over the magnification, else the plain spacing."""
    factor = float(dataset.get("EstimatedRadiographicMagnificationFactor") or 1)
    for tag, divisor in (("ImagerPixelSpacing", factor), ("PixelSpacing", 1.0), ("NominalScannedPixelSpacing", 1.0)):
        spacing = [float(value) for value in dataset.get(tag) or []]
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

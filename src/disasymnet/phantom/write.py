"""Files of a phantom: DICOM for the pictures, PNG for the truth; each under a temporary name first."""

from __future__ import annotations

import io
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from disasymnet.terms import Laterality, View

FOR_PRESENTATION = UID("1.2.840.10008.5.1.4.1.1.1.2")


def uid(*words: str) -> UID:
    """UID that depends only on `words`: a name-based UUID under 2.25 (Part 5 B.2)."""
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, '/'.join(('disasymnet phantom', *words))).int}")


IMPLEMENTATION_UID = uid("writer")
DATE, TIME = "20200101", "120000"
"""Fixed: the same seed writes the same bytes on any day."""

_VIEW_CODE = {View.CC: ("399162004", "cranio-caudal"), View.MLO: ("399368009", "medio-lateral oblique")}
# Part 3 C.7.6.1.1.1: direction of rows, then of columns. Left: rows run to the front, away from the chest wall.
_ORIENTATION = {
    (Laterality.LEFT, View.CC): ["A", "R"],
    (Laterality.RIGHT, View.CC): ["P", "L"],
    (Laterality.LEFT, View.MLO): ["A", "FR"],
    (Laterality.RIGHT, View.MLO): ["P", "FL"],
}


@dataclass(frozen=True)
class Label:
    """Who and what a picture shows."""

    patient: str
    exam: str
    laterality: Laterality
    view: View
    number: int
    pixel_mm: float
    style: str
    digest: str
    """Stands for all settings: other pixels must never carry the same UID."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write under a temporary name, then rename: a file is whole or not there."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    temporary.replace(path)


def write_png(path: Path, picture: NDArray[np.uint16] | NDArray[np.uint8]) -> None:
    """Grey PNG of 8 or 16 bits."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", compress_level=1)
    write_bytes(path, buffer.getvalue())


def to_16_bit(stored: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """12-bit values stretched to 16 bits: the same grey in [0, 1] as the DICOM file, within 1 / 131070."""
    stretched: NDArray[np.uint16] = np.rint(stored * (65535 / 4095)).astype(np.uint16)
    return stretched


def write_dicom(path: Path, stored: NDArray[np.uint16], label: Label) -> None:
    """Digital Mammography X-Ray Image, For Presentation (Part 3 A.27), 12 bits in 16, Explicit VR Little Endian."""
    file = Dataset()
    _who(file, label)
    _how(file, label)
    _pixels(file, stored, label)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = FOR_PRESENTATION
    meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = "DISASYMNET"
    file.file_meta = meta
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, file, enforce_file_format=True)
    write_bytes(path, buffer.getvalue())


def _uid(label: Label, *words: str) -> UID:
    return uid(label.digest, *words)


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _who(file: Dataset, label: Label) -> None:
    side, view = label.laterality.value, label.view.value
    file.SpecificCharacterSet = "ISO_IR 192"
    file.SOPClassUID = FOR_PRESENTATION
    file.SOPInstanceUID = _uid(label, label.exam, side, view)
    file.StudyInstanceUID = _uid(label, label.exam)
    file.SeriesInstanceUID = _uid(label, label.exam, "series")
    file.PatientName = f"PHANTOM^{label.patient.upper()}"
    file.PatientID = label.patient
    file.PatientBirthDate = ""
    file.PatientSex = "F"
    file.StudyDate = file.SeriesDate = file.AcquisitionDate = file.ContentDate = DATE
    file.StudyTime = file.SeriesTime = file.AcquisitionTime = file.ContentTime = TIME
    file.StudyID = label.exam
    file.StudyDescription = "Phantom, computed"
    file.SeriesDescription = "Phantom mammogram, computed, no patient"
    file.AccessionNumber = ""
    file.ReferringPhysicianName = ""
    file.SeriesNumber = 1
    file.InstanceNumber = label.number
    file.Modality = "MG"
    file.PresentationIntentType = "FOR PRESENTATION"


def _how(file: Dataset, label: Label) -> None:
    side, view = label.laterality, label.view
    file.Manufacturer = "DisAsymNet phantom"
    file.ManufacturerModelName = f"phantom, {label.style} style"
    file.DeviceSerialNumber = "0"
    file.SoftwareVersions = "1"
    file.BodyPartExamined = "BREAST"
    file.OrganExposed = "BREAST"
    file.BreastImplantPresent = "NO"
    file.PositionerType = "MAMMOGRAPHIC"
    file.PositionerPrimaryAngle = 0 if view is View.CC else (45 if side is Laterality.LEFT else -45)
    file.DetectorType = "DIRECT"
    file.DetectorConfiguration = "AREA"
    file.DetectorID = "PHANTOM"
    file.ImagerPixelSpacing = [label.pixel_mm, label.pixel_mm]
    file.EstimatedRadiographicMagnificationFactor = 1
    file.ImageLaterality = side.value
    file.ViewPosition = view.value
    file.PatientOrientation = _ORIENTATION[side, view]
    value, meaning = _VIEW_CODE[view]
    item = _code(value, "SCT", meaning)
    item.ViewModifierCodeSequence = Sequence([])
    file.ViewCodeSequence = Sequence([item])
    file.AnatomicRegionSequence = Sequence([_code("76752008", "SCT", "Breast")])
    file.AcquisitionContextSequence = Sequence([])
    file.PartialView = "NO"


def _pixels(file: Dataset, stored: NDArray[np.uint16], label: Label) -> None:
    file.ImageType = ["DERIVED", "PRIMARY", ""]
    file.DerivationDescription = "Computed phantom, not acquired from a patient"
    file.ImageComments = "Computed phantom. Not for diagnosis."
    file.SamplesPerPixel = 1
    file.PhotometricInterpretation = "MONOCHROME2"
    file.Rows, file.Columns = stored.shape
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 12, 11
    file.PixelRepresentation = 0
    file.PixelIntensityRelationship = "LOG"
    file.PixelIntensityRelationshipSign = -1
    file.RescaleIntercept, file.RescaleSlope, file.RescaleType = 0, 1, "US"
    # Part 3 C.11.2.1.2: this linear window maps 0 to black and 4095 to white.
    file.WindowCenter, file.WindowWidth = 2048, 4096
    file.WindowCenterWidthExplanation = "full range"
    file.VOILUTFunction = "LINEAR"
    file.PresentationLUTShape = "IDENTITY"
    file.LossyImageCompression = "00"
    file.BurnedInAnnotation = "YES"
    file.QualityControlImage = "NO"
    file.PixelData = stored.astype("<u2").tobytes()
    file["PixelData"].VR = "OW"

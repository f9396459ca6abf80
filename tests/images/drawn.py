"""Drawn breasts and DICOM files made in memory: no real picture is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)


def breast(
    rows: int = 400, columns: int = 300, wall: str = "left", reach: float = 0.5, height: float = 0.8
) -> NDArray[np.float32]:
    """A half ellipse of textured tissue at one edge, air of low noise elsewhere; [0, 1]."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:rows, :columns] + 0.5
    depth = 1 - (x / (reach * columns)) ** 2 - ((y - rows / 2) / (height * rows / 2)) ** 2
    tissue = 0.25 + 0.3 * np.clip(depth, 0, 1) + 0.05 * rng.standard_normal((rows, columns))
    picture = np.where(depth > 0, tissue, 0.02 + 0.005 * rng.standard_normal((rows, columns)))
    picture = np.clip(picture, 0, 1).astype(np.float32)
    return picture if wall == "left" else np.ascontiguousarray(picture[:, ::-1])


def mammogram(pixels: NDArray[Any], **tags: Any) -> Dataset:
    """An MG For Presentation file of unsigned 12-bit pixels; `tags` are set afterwards, None removes one."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["disasymnet"])
    dataset.Modality = "MG"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.PatientID, dataset.StudyInstanceUID = "17", "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = min(12, dataset.BitsAllocated)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = pixels.tobytes()
    for name, value in tags.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


def film(pixels: NDArray[Any], **tags: Any) -> Dataset:
    """The same as a Secondary Capture of digitised film, without presentation intent."""
    return mammogram(pixels, SOPClassUID=SecondaryCaptureImageStorage, PresentationIntentType=None, **tags)


def save(dataset: Dataset, path: Path) -> Path:
    """The file, written."""
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)
    return path

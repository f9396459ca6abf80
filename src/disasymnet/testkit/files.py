"""The file formats that data sets come in, written plainly."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from disasymnet.errors import MissingExtraError
from disasymnet.phantom.write import IMPLEMENTATION_UID, uid, write_bytes

Cells = Sequence[Sequence[Any]]


def write(path: Path, content: bytes) -> None:
    """A file, whole or not there, in folders that are made for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)


def write_csv(path: Path, rows: Cells, *, delimiter: str = ",", end: str = "\n") -> None:
    """A table; the first row is its header."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(rows)
    write(path, text.getvalue().encode())


def write_xlsx(path: Path, rows: Cells) -> None:
    """A workbook of one sheet as Excel has written it since 2007."""
    buffer = io.BytesIO()
    book = _library("xlsxwriter").Workbook(buffer, {"in_memory": True})
    sheet = book.add_worksheet()
    for number, row in enumerate(rows):
        sheet.write_row(number, 0, row)
    book.close()
    write(path, buffer.getvalue())


def write_xls(path: Path, rows: Cells) -> None:
    """A workbook of one sheet as Excel wrote it until 2003; whole numbers become floats in it."""
    buffer = io.BytesIO()
    book = _library("xlwt").Workbook()
    sheet = book.add_sheet("Sheet1")
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            if value != "":
                sheet.write(number, column, value)
    book.save(buffer)
    write(path, buffer.getvalue())


def write_ljpeg(path: Path, stored: NDArray[np.uint16], bits: int = 12) -> None:
    """Lossless JPEG (process 14), one component."""
    write(path, _library("imagecodecs").ljpeg_encode(np.ascontiguousarray(stored), bitspersample=bits))


def write_secondary_capture(path: Path, pixels: NDArray[Any], tags: Mapping[str, Any] | None = None) -> None:
    """A digitised film or a mask as CBIS-DDSM stores them: Secondary Capture, 8 or 16 bits, no window."""
    _write_dicom(path, pixels, SecondaryCaptureImageStorage, pixels.dtype.itemsize * 8, tags or {})


def write_mammogram(
    path: Path, pixels: NDArray[Any], tags: Mapping[str, Any], *, bits: int = 12, syntax: UID | None = None
) -> None:
    """A Digital Mammography X-Ray Image For Presentation; `syntax` compresses it."""
    presentation = {"PresentationIntentType": "FOR PRESENTATION", **tags}
    _write_dicom(path, pixels, DigitalMammographyXRayImageStorageForPresentation, bits, presentation, syntax)


def code(value: str, meaning: str) -> Dataset:
    """An item of a code sequence, SNOMED CT."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def _write_dicom(
    path: Path, pixels: NDArray[Any], kind: UID, bits: int, tags: Mapping[str, Any], syntax: UID | None = None
) -> None:
    file = Dataset()
    file.SOPClassUID = kind
    file.SOPInstanceUID = uid("testkit", *path.parts[-4:])
    file.StudyInstanceUID = uid("testkit study", *path.parts[-4:])
    file.SeriesInstanceUID = uid("testkit series", *path.parts[-4:])
    file.Modality = "MG"
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.Rows, file.Columns = pixels.shape
    file.BitsAllocated = pixels.dtype.itemsize * 8
    file.BitsStored, file.HighBit, file.PixelRepresentation = bits, bits - 1, 0
    content = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    file.PixelData = content + b"\0" * (len(content) % 2)
    file["PixelData"].VR = "OW"
    for name, value in tags.items():
        setattr(file, name, value)
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta.ImplementationClassUID = IMPLEMENTATION_UID
    file.file_meta.MediaStorageSOPClassUID, file.file_meta.MediaStorageSOPInstanceUID = kind, file.SOPInstanceUID
    if syntax is not None:
        file.compress(syntax, generate_instance_uid=False)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, file, enforce_file_format=True)
    write(path, buffer.getvalue())


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        hint = "Install disasymnet[testkit]."
        raise MissingExtraError(f"this file format is written by {name}", hint=hint) from None

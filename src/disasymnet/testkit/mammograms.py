"""Small drawn mammograms as DICOM files, written in every transfer syntax that the reader knows."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    generate_uid,
)

Pixels = NDArray[Any]

LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K)
"""Transfer syntaxes whose streams are written with loss here; all others give the very same pixels back."""

_ENCODERS: dict[str, Callable[[Pixels], bytes | bytearray]] = {
    JPEGBaseline8Bit: lambda pixels: imagecodecs.jpeg8_encode(pixels, 95, bitspersample=8),
    JPEGExtended12Bit: lambda pixels: imagecodecs.jpeg8_encode(pixels, 95, bitspersample=12),
    JPEGLossless: lambda pixels: _lossless(pixels, 4),
    JPEGLosslessSV1: lambda pixels: _lossless(pixels, 1),
    JPEGLSLossless: lambda pixels: imagecodecs.jpegls_encode(pixels),
    JPEGLSNearLossless: lambda pixels: imagecodecs.jpegls_encode(pixels, 2),
    JPEG2000Lossless: lambda pixels: imagecodecs.jpeg2k_encode(pixels, 0, codecformat="J2K", reversible=True),
    JPEG2000: lambda pixels: imagecodecs.jpeg2k_encode(pixels, 45, codecformat="J2K"),
    HTJ2KLossless: lambda pixels: imagecodecs.htj2k_encode(pixels, reversible=True),
    HTJ2KLosslessRPCL: lambda pixels: imagecodecs.htj2k_encode(pixels, reversible=True),
    HTJ2K: lambda pixels: imagecodecs.htj2k_encode(pixels, 0.001),
    RLELossless: lambda pixels: _rle(pixels),
}
SYNTAXES = (
    ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, *_ENCODERS,
)  # fmt: skip


def drawn(rows: int = 96, columns: int = 64, seed: int = 0, bits: int = 12) -> NDArray[np.uint16]:
    """A half ellipse of textured tissue at the left edge, in unsigned integers of so many bits."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns] + 0.5
    depth = 1 - (x / (0.7 * columns)) ** 2 - ((y - rows / 2) / (0.42 * rows)) ** 2
    tissue = 0.25 + 0.3 * np.clip(depth, 0, 1) + 0.03 * rng.standard_normal((rows, columns))
    grey = np.where(depth > 0, tissue, 0.02 + 0.005 * rng.standard_normal((rows, columns)))
    stored: NDArray[np.uint16] = (np.clip(grey, 0, 1) * (2**bits - 1)).astype(np.uint16)
    return stored


def mammogram(pixels: Pixels, *, bits: int = 12, **tags: Any) -> Dataset:
    """An MG For Presentation data set, left CC; `tags` are set last, None removes one."""
    dataset = Dataset()
    dataset.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["disasymnet.testkit"])
    dataset.Modality, dataset.PresentationIntentType = "MG", "FOR PRESENTATION"
    dataset.PatientID, dataset.StudyInstanceUID = "testkit", generate_uid(entropy_srcs=["disasymnet.testkit", "study"])
    dataset.ImageLaterality, dataset.ViewPosition, dataset.PatientOrientation = "L", "CC", ["A", "R"]
    dataset.ImagerPixelSpacing = [0.1, 0.1]
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = min(bits, dataset.BitsAllocated)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in tags.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


def encode(pixels: Pixels, syntax: str) -> bytes | bytearray:
    """The stream of a compressed transfer syntax."""
    return _ENCODERS[syntax](pixels)


def write(dataset: Dataset, pixels: Pixels, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The file of a data set and its pixels (rows, columns), 8 or 16 bits, in a transfer syntax of `SYNTAXES`."""
    if syntax in _ENCODERS:
        return write_stream(dataset, encode(pixels, syntax), syntax)
    stored = pixels.byteswap() if syntax == ExplicitVRBigEndian else pixels
    return _file(dataset, stored.tobytes(), syntax)


def write_stream(dataset: Dataset, stream: bytes | bytearray, syntax: str) -> bytes:
    """The file of a data set and a stream as it is, encapsulated."""
    return _file(dataset, encapsulate([bytes(stream)]), syntax)


def _file(dataset: Dataset, value: bytes, syntax: str) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "1.2.3")
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3")
    meta.TransferSyntaxUID, meta.ImplementationClassUID = UID(syntax), UID("1.2.3")
    head = DicomBytesIO()
    write_file_meta_info(head, meta)
    body = DicomBytesIO()
    body.is_little_endian, body.is_implicit_VR = (syntax != ExplicitVRBigEndian), (syntax == ImplicitVRLittleEndian)
    write_dataset(body, dataset)
    body.write(_pixel_element(value, syntax, dataset.get("BitsAllocated", 16)))
    content = body.getvalue()
    if syntax == DeflatedExplicitVRLittleEndian:
        content = deflated(content)
    return b"\0" * 128 + b"DICM" + head.getvalue() + content


def _pixel_element(value: bytes, syntax: str, allocated: int) -> bytes:
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    tag = struct.pack(f"{order}HH", 0x7FE0, 0x0010)
    value += b"\0" * (len(value) % 2)
    if syntax == ImplicitVRLittleEndian:
        return tag + struct.pack("<L", len(value)) + value
    vr = b"OB" if syntax in _ENCODERS or allocated == 8 else b"OW"
    length = 0xFFFFFFFF if syntax in _ENCODERS else len(value)
    end = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0) if syntax in _ENCODERS else b""
    return tag + vr + b"\0\0" + struct.pack(f"{order}L", length) + value + end


def deflated(content: bytes) -> bytes:
    """A data set as the deflated transfer syntax holds it (PS3.5 A.5)."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = engine.compress(content) + engine.flush()
    return packed + b"\0" * (len(packed) % 2)


def _lossless(pixels: Pixels, predictor: int) -> bytes | bytearray:
    bits = 8 * pixels.dtype.itemsize
    return imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=predictor, bitspersample=bits)


def _rle(pixels: Pixels) -> bytes:
    """One PackBits segment a byte, the highest first, each row by itself (PS3.5 G.3)."""
    planes = np.ascontiguousarray(pixels).view(np.uint8).reshape(*pixels.shape, pixels.dtype.itemsize)
    segments = []
    for number in reversed(range(pixels.dtype.itemsize)):
        packed = b"".join(bytes(imagecodecs.packbits_encode(row.tobytes())) for row in planes[:, :, number])
        segments.append(packed + b"\0" * (len(packed) % 2))
    offsets = np.cumsum([64, *(len(segment) for segment in segments)])[:-1]
    header = struct.pack("<16L", len(segments), *offsets, *[0] * (15 - len(segments)))
    return header + b"".join(segments)


def as_bytes(dataset: Dataset) -> bytes:
    """The elements of a data set, explicit and little endian."""
    body = DicomBytesIO()
    body.is_little_endian, body.is_implicit_VR = True, False
    write_dataset(body, dataset)
    return body.getvalue()

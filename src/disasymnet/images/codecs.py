"""One frame of a DICOM stream to its stored integers, for every transfer syntax of mammography.

Sizes are read from the stream's own header and compared with the DICOM header before its decoder runs: decoders believe
the stream. All codecs come from imagecodecs (BSD; libjpeg-turbo, CharLS, OpenJPEG), so that one file gives the same
pixels on every machine.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
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
)

_RLE = struct.Struct("<16L")


class StreamError(Exception):
    """A stream that does not hold what its header says, with the code of the refusal."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.code, self.what = code, what


class _Announced(NamedTuple):
    """What a stream says of itself."""

    kind: str
    rows: int
    columns: int
    samples: int
    bits: int


@dataclass(frozen=True)
class Layout:
    """What the DICOM header says of the pixels."""

    rows: int
    columns: int
    allocated: int
    """8 or 16 bits."""
    signed: bool
    little: bool = True
    swapped: bool = False
    """Bytes in words, written big endian (8 bits in OW)."""


@dataclass(frozen=True)
class Syntax:
    """A transfer syntax: its name, its decoder's, and the kinds of stream that it allows."""

    name: str
    by: str
    kinds: tuple[str, ...] = ()


_NATIVE = "numpy"
_JPEG, _JPEG_LS, _JPEG_2000 = "libjpeg-turbo", "CharLS", "OpenJPEG"
SYNTAXES: dict[str, Syntax] = {
    ImplicitVRLittleEndian: Syntax("implicit little endian", _NATIVE),
    ExplicitVRLittleEndian: Syntax("explicit little endian", _NATIVE),
    ExplicitVRBigEndian: Syntax("explicit big endian", _NATIVE),
    DeflatedExplicitVRLittleEndian: Syntax("deflated", _NATIVE),
    RLELossless: Syntax("RLE", "PackBits", ("RLE",)),
    JPEGBaseline8Bit: Syntax("JPEG baseline", _JPEG, ("JPEG baseline",)),
    JPEGExtended12Bit: Syntax("JPEG extended", _JPEG, ("JPEG extended", "JPEG baseline")),
    JPEGLossless: Syntax("JPEG lossless", _JPEG, ("JPEG lossless",)),
    JPEGLosslessSV1: Syntax("JPEG lossless, first order", _JPEG, ("JPEG lossless",)),
    JPEGLSLossless: Syntax("JPEG-LS lossless", _JPEG_LS, ("JPEG-LS",)),
    JPEGLSNearLossless: Syntax("JPEG-LS", _JPEG_LS, ("JPEG-LS",)),
    JPEG2000Lossless: Syntax("JPEG 2000 lossless", _JPEG_2000, ("JPEG 2000",)),
    JPEG2000: Syntax("JPEG 2000", _JPEG_2000, ("JPEG 2000",)),
    HTJ2KLossless: Syntax("HTJ2K lossless", _JPEG_2000, ("JPEG 2000",)),
    HTJ2KLosslessRPCL: Syntax("HTJ2K lossless, RPCL", _JPEG_2000, ("JPEG 2000",)),
    HTJ2K: Syntax("HTJ2K", _JPEG_2000, ("JPEG 2000",)),
}
"""Transfer syntaxes that are read."""

_DECODERS: dict[str, Callable[[bytes], Any]] = {
    _JPEG: imagecodecs.jpeg8_decode,
    _JPEG_LS: imagecodecs.jpegls_decode,
    _JPEG_2000: imagecodecs.jpeg2k_decode,
}


def decode(data: bytes, syntax: str, layout: Layout) -> NDArray[Any]:
    """Stored values (rows, columns), uint8 or uint16, or signed where the header says so.

    Bits above the stored ones are whatever the file holds. StreamError where stream and header disagree; the decoders
    themselves raise what they like.
    """
    known = SYNTAXES[syntax]
    if known.by == _NATIVE:
        return _native(data, layout)
    if known.by == "PackBits":
        return _signed(_rle(data, layout), layout)
    said = _announced(data)
    if said.kind not in known.kinds:
        raise StreamError("stream", f"the header says {known.name}, the stream is {said.kind}")
    if said.samples != 1:
        raise StreamError("colour", f"the stream has {said.samples} colours")
    if (said.rows, said.columns) != (layout.rows, layout.columns):
        what = f"the stream has {said.columns} x {said.rows} pixels, the header says {layout.columns} x {layout.rows}"
        raise StreamError("pixel_length", what)
    if said.bits > layout.allocated:
        raise StreamError("stream", f"the stream has {said.bits} bits a pixel, the header says {layout.allocated}")
    pixels = np.asarray(_DECODERS[known.by](data))
    if pixels.shape != (layout.rows, layout.columns) or pixels.dtype.kind not in "iu":
        raise StreamError("stream", f"the stream gave {pixels.dtype} of shape {pixels.shape}")
    return _signed(pixels, layout)


def _native(data: bytes, layout: Layout) -> NDArray[Any]:
    expected = layout.rows * layout.columns * layout.allocated // 8
    if not expected <= len(data) <= expected + 1:  # one byte may pad to an even length
        raise StreamError("pixel_length", f"{len(data):,} bytes of pixels where {expected:,} are announced")
    if layout.swapped:
        data = np.frombuffer(data + b"\0" * (len(data) % 2), "<u2").byteswap().tobytes()
    letter = "u1" if layout.allocated == 8 else "<u2" if layout.little else ">u2"
    pixels = np.frombuffer(data, letter, count=layout.rows * layout.columns).reshape(layout.rows, layout.columns)
    return _signed(pixels, layout)


def _signed(pixels: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """The same bits as the integers that the header allocates, in this machine's byte order."""
    unsigned = pixels.astype(np.uint8 if layout.allocated == 8 else np.uint16, copy=False)
    return unsigned.view(np.int8 if layout.allocated == 8 else np.int16) if layout.signed else unsigned


def _rle(data: bytes, layout: Layout) -> NDArray[Any]:
    """PackBits segments, the byte of the highest value first (PS3.5 annex G)."""
    count, size = layout.allocated // 8, layout.rows * layout.columns
    if len(data) < _RLE.size:
        raise StreamError("damaged", "the stream has no RLE header")
    segments, *offsets = _RLE.unpack_from(data)
    if segments != count:
        raise StreamError("stream", f"{segments} RLE segments where {count} are needed")
    ends = [*offsets[1:segments], len(data)]
    out = np.empty((size, count), np.uint8)
    for number, (start, end) in enumerate(zip(offsets, ends, strict=False)):
        if not _RLE.size <= start <= end <= len(data):
            raise StreamError("damaged", f"RLE segment {number + 1} lies outside of the stream")
        # A segment may be padded to an even length; the decoder stops at the size wanted.
        try:
            segment = imagecodecs.packbits_decode(data[start:end], out=size)
        except imagecodecs.PackbitsError:  # the only thing that can be wrong is the length
            segment = b""
        if len(segment) != size:
            raise StreamError("pixel_length", f"RLE segment {number + 1} does not hold {size:,} bytes")
        out[:, count - 1 - number] = np.frombuffer(segment, np.uint8)
    return out.view("<u2" if count == 2 else np.uint8).reshape(layout.rows, layout.columns)


def _announced(data: bytes) -> _Announced:
    """Kind and sizes from the stream's header. StreamError if it is none that is known."""
    if data[:2] == b"\xff\xd8":
        return _jpeg_header(data)
    if data[:4] == b"\xff\x4f\xff\x51":
        return _jpeg_2000_header(data, 4)
    if data[4:8] == b"jP  ":  # a whole JP2 file, which the standard forbids and some writers store
        place = data.find(b"\xff\x4f\xff\x51", 0, 4096)
        if place >= 0:
            return _jpeg_2000_header(data, place + 4)
    raise StreamError("stream", "the pixels are no JPEG stream of any kind")


_FRAMES = {0xC0: "JPEG baseline", 0xC1: "JPEG extended", 0xC3: "JPEG lossless", 0xF7: "JPEG-LS"}


def _jpeg_header(data: bytes) -> _Announced:
    """The first frame header (ITU-T T.81 B.2.2, T.87 C.2.2)."""
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            break
        marker = data[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            if marker not in _FRAMES:
                raise StreamError("stream", f"JPEG frames of type {marker - 0xC0} are not used in DICOM")
            if place + 10 > len(data):
                break
            bits, rows, columns, samples = struct.unpack_from(">BHHB", data, place + 4)
            return _Announced(_FRAMES[marker], rows, columns, samples, bits)
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    raise StreamError("damaged", "the JPEG stream has no frame header")


def _jpeg_2000_header(data: bytes, place: int) -> _Announced:
    """The SIZ segment (ITU-T T.800 A.5.1)."""
    if place + 39 > len(data):
        raise StreamError("damaged", "the JPEG 2000 stream ends in its header")
    x1, y1, x0, y0, tile_x, tile_y, *_ = struct.unpack_from(">8L", data, place + 4)
    samples, depth = struct.unpack_from(">HB", data, place + 36)
    rows, columns = y1 - y0, x1 - x0
    if min(rows, columns, tile_x, tile_y) < 1 or -(-columns // tile_x) * -(-rows // tile_y) > 65535:
        raise StreamError("damaged", "the JPEG 2000 stream has no possible sizes")
    return _Announced("JPEG 2000", rows, columns, samples, (depth & 0x7F) + 1)

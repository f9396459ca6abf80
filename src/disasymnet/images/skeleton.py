"""A DICOM file walked tag by tag before any of it is parsed (PS3.5 section 7, PS3.10 section 7).

Lengths are compared with what is there, nesting and header are bounded, and a deflated file is inflated no further than
the limit. What comes out are the bytes of the header and the places of the pixels: the parser never sees more. pydicom
would take any length, inflate any stream and recurse to any depth.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pydicom.datadict import dictionary_VR
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from disasymnet.images.limits import LIMITS
from disasymnet.images.refusals import refusal

MOST_HEADER = 32 * 2**20
"""Bytes before the pixels. A mammogram has some 10 kB; look-up tables, overlays and private data some hundreds."""
MOST_ELEMENTS = 100_000
DEEPEST = 16
"""Sequences within sequences; the deepest of mammography, structured anatomy codes, have four levels."""
MOST_INFLATED = MOST_HEADER + 2 * LIMITS.pixels

_UNDEFINED = 0xFFFFFFFF
_PIXELS = 0x7FE00010
_META = 0x00020000
_SYNTAX = 0x00020010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = {vr.encode() for vr in EXPLICIT_VR_LENGTH_32}


class Span(NamedTuple):
    """A stretch of the file."""

    start: int
    length: int


class _Element(NamedTuple):
    tag: int
    vr: bytes
    """Empty in implicit encoding."""
    length: int


@dataclass(frozen=True)
class Skeleton:
    """What the walk found. `file` holds the inflated bytes where the data set was deflated."""

    file: BinaryIO
    syntax: str
    implicit: bool
    little: bool
    header: bytes
    """From the first element of the data set up to its pixels."""
    pixels: tuple[Span, ...] | None
    """The stored values, or the stream's fragments without the offset table; None if there are no pixels."""
    pixel_vr: str

    def read_pixels(self) -> bytes:
        """The bytes of all spans, in order."""
        parts = []
        for span in self.pixels or ():
            self.file.seek(span.start)
            parts.append(self.file.read(span.length))
        return parts[0] if len(parts) == 1 else b"".join(parts)


def walk(file: BinaryIO, path: Path) -> Skeleton:
    """The skeleton of an open DICOM file. PictureError with code and tag where it breaks or exceeds a limit."""
    start, syntax = _meta(file, path)
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    if syntax == DeflatedExplicitVRLittleEndian:
        file.seek(start)
        file, start = _inflate(file, path), 0
    walker = _Walker(file, path, implicit=implicit, little=little)
    found = walker.data_set(start)
    end = walker.end if found is None else found.start
    if end - start > MOST_HEADER:
        raise refusal("header", f"the header has more than {MOST_HEADER >> 20} MiB", path, walker.last)
    file.seek(start)
    header = file.read(end - start)
    spans = None if found is None else walker.spans(found)
    vr = "" if found is None else walker.pixel_vr
    return Skeleton(file, syntax, implicit, little, header, spans, vr)


def _meta(file: BinaryIO, path: Path) -> tuple[int, str]:
    """Where the data set begins, and its transfer syntax. The meta group is always explicit and little endian."""
    file.seek(0)
    if file.read(132)[128:] != b"DICM":
        raise refusal("not_dicom", "it does not begin as a DICOM file", path, _META)
    walker = _Walker(file, path, implicit=False, little=True)
    place, syntax = 132, ""
    while place < walker.end:
        # The data set may be big endian: group 2 is 0200 there.
        file.seek(place)
        if file.read(2) != b"\x02\x00":
            break
        element, value = walker.element(place)
        if element.length > 2**16 or value + element.length > walker.end:
            raise refusal("damaged", f"a length of {element.length:,} bytes", path, element.tag)
        if element.tag == _SYNTAX:
            file.seek(value)
            syntax = file.read(element.length).rstrip(b"\0 ").decode("ascii", errors="replace")
        place = value + element.length
    if not syntax:
        raise refusal("damaged", "the transfer syntax is not stated", path, _SYNTAX)
    return place, syntax


def _inflate(file: BinaryIO, path: Path) -> BinaryIO:
    """The rest of the file inflated (PS3.5 A.5), no further than the limit."""
    engine, out = zlib.decompressobj(-zlib.MAX_WBITS), io.BytesIO()
    try:
        while not engine.eof and (block := engine.unconsumed_tail or file.read(2**20)):
            out.write(engine.decompress(block, 2**20))
            if out.tell() > MOST_INFLATED:
                what = f"the deflated data set grows beyond {MOST_INFLATED >> 20} MiB"
                raise refusal("too_large", what, path, _SYNTAX)
    except zlib.error:
        raise refusal("damaged", "the deflated data set is broken", path, _SYNTAX) from None
    if not engine.eof:
        raise refusal("damaged", "the deflated data set is cut off", path, _SYNTAX)
    return out


class _Walker:
    """Places and lengths of elements; values are not read."""

    def __init__(self, file: BinaryIO, path: Path, *, implicit: bool, little: bool) -> None:
        self._file, self._path = file, path
        self._implicit, self._order = implicit, "<" if little else ">"
        self._count = 0
        self.end = file.seek(0, io.SEEK_END)
        self.last = _META
        self.pixel_vr = ""

    def data_set(self, place: int) -> Span | None:
        """Where the pixels' element stands, and its length; None if the data set ends without."""
        if not self._implicit:
            # Some writers state explicit encoding and write implicit; pydicom looks at the first VR, and so do we.
            vr = self._read(place + 4, 2) if place + 6 <= self.end else b"AA"
            self._implicit = not _is_vr(vr)
        return self._elements(place, None, 0, self._implicit)[1]

    def spans(self, pixels: Span) -> tuple[Span, ...]:
        """The stretches that hold the pixels, checked against the end of the file."""
        element, value = self.element(pixels.start)
        self.pixel_vr = element.vr.decode("ascii", errors="replace")
        if element.length != _UNDEFINED:
            return (Span(value, min(element.length, self.end - value)),)
        spans = self._fragments(value)[0]
        return tuple(spans[1:])  # the first one is the offset table

    def element(self, place: int, *, implicit: bool | None = None) -> tuple[_Element, int]:
        """The element at a place, and where its value begins."""
        head = self._read(place, 8)
        group, number = struct.unpack(f"{self._order}HH", head[:4])
        tag = self.last = group << 16 | number
        self._count += 1
        if self._count > MOST_ELEMENTS:
            raise refusal("header", f"the header has more than {MOST_ELEMENTS:,} elements", self._path, tag)
        vr = head[4:6]
        if group == 0xFFFE or (self._implicit if implicit is None else implicit) or not _is_vr(vr):
            return _Element(tag, b"", struct.unpack(f"{self._order}L", head[4:])[0]), place + 8
        if vr in _LONG:
            return _Element(tag, vr, struct.unpack(f"{self._order}L", self._read(place + 8, 4))[0]), place + 12
        return _Element(tag, vr, struct.unpack(f"{self._order}H", head[6:])[0]), place + 8

    def _elements(self, place: int, end: int | None, depth: int, implicit: bool) -> tuple[int, Span | None]:
        """Over the elements to `end`, to the item's delimiter, or at the top to the pixels."""
        if depth > DEEPEST:
            raise refusal("nesting", f"sequences lie more than {DEEPEST} deep", self._path, self.last)
        stop = self.end if end is None else end
        while place < stop:
            if depth == 0 and self.end - place < 8 and not self._read(place, self.end - place).strip(b"\0"):
                break  # padding at the end of the file
            element, value = self.element(place, implicit=implicit)
            if depth == 0 and element.tag == _PIXELS:
                return place, Span(place, element.length)
            if element.tag == _ITEM_END and end is None and depth:
                return value, None
            place = self._over(element, value, stop, depth, implicit)
        if end is None and depth:
            raise refusal("damaged", "an item of a sequence does not end", self._path, self.last)
        return place, None

    def _over(self, element: _Element, value: int, stop: int, depth: int, implicit: bool) -> int:
        """The place behind the element."""
        if element.length == _UNDEFINED:
            if element.vr in (b"OB", b"OW"):
                return self._fragments(value)[1]
            # UN of undefined length is a sequence in implicit encoding (PS3.5 6.2.2).
            return self._sequence(value, None, depth, implicit or element.vr == b"UN")
        end = value + element.length
        if end > stop:
            what = f"a length of {element.length:,} bytes, where {max(stop - value, 0):,} are left"
            raise refusal("damaged", what, self._path, element.tag)
        if element.vr == b"SQ" or (not element.vr and _is_sequence(element.tag)):
            return self._sequence(value, end, depth, implicit)
        return end

    def _sequence(self, place: int, end: int | None, depth: int, implicit: bool) -> int:
        stop = self.end if end is None else end
        tag = self.last
        while place < stop:
            item, value = self.element(place)
            if item.tag == _SEQUENCE_END and end is None:
                return value
            if item.tag != _ITEM:
                raise refusal("damaged", "a sequence holds what is no item", self._path, tag)
            inner = None if item.length == _UNDEFINED else value + item.length
            if inner is not None and inner > stop:
                raise refusal("damaged", f"an item of {item.length:,} bytes runs past its end", self._path, tag)
            # An item may be implicit inside an explicit data set (seen in private sequences).
            vr = self._read(value + 4, 2) if value + 6 <= stop and item.length else b"AA"
            empty = self._read(value, 2) == struct.pack(f"{self._order}H", 0xFFFE) if value + 2 <= stop else False
            place = self._elements(value, inner, depth + 1, implicit or not (empty or _is_vr(vr)))[0]
        if end is None:
            raise refusal("damaged", "a sequence does not end", self._path, tag)
        return place

    def _fragments(self, place: int) -> tuple[list[Span], int]:
        """The items of an encapsulated stream (PS3.5 A.4), and the place behind them."""
        spans: list[Span] = []
        tag = self.last
        while place + 8 <= self.end:
            item, value = self.element(place)
            if item.tag == _SEQUENCE_END:
                return spans, value
            if item.tag != _ITEM or value + item.length > self.end:
                raise refusal("damaged", f"fragment {len(spans) + 1} of the pixels is broken or cut", self._path, tag)
            spans.append(Span(value, item.length))
            place = value + item.length
        raise refusal("damaged", "the pixels do not end: the file is cut off", self._path, tag)

    def _read(self, place: int, count: int) -> bytes:
        self._file.seek(place)
        found = self._file.read(count)
        if len(found) < count:
            raise refusal("damaged", "the file ends inside its header", self._path, self.last)
        return found


def _is_vr(letters: bytes) -> bool:
    """Two capitals, as pydicom tells explicit from implicit encoding."""
    return letters.isalpha() and letters.isupper()


def _is_sequence(tag: int) -> bool:
    try:
        return dictionary_VR(Tag(tag)) == "SQ"
    except KeyError:
        return False

"""Ways to break a DICOM mammogram: each function makes one bad file and says what a careful reader should answer.

Every function takes a numpy generator and gives a `Bad`; `KINDS` names them. Same generator state, same bytes.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.random import Generator
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    RLELossless,
)

from disasymnet.testkit.mammograms import SYNTAXES, as_bytes, deflated, drawn, encode, mammogram, write, write_stream

ANY = ("ok", "refused")
REFUSED = ("refused",)


@dataclass(frozen=True)
class Bad:
    """A broken file."""

    content: bytes
    what: str
    expect: tuple[str, ...] = REFUSED
    """Codes of refusals that are right; `refused` stands for any code, `ok` for a picture."""
    suffix: str = ".dcm"


def _base(rng: Generator, syntaxes: tuple[str, ...] = SYNTAXES, **tags: Any) -> tuple[bytes, str]:
    """A good file and its transfer syntax."""
    syntax = str(rng.choice(list(syntaxes)))
    pixels = drawn(seed=int(rng.integers(1000)))
    if syntax == JPEGBaseline8Bit:
        pixels = (pixels >> 4).astype(np.uint8)
    return write(mammogram(pixels, **tags), pixels, syntax), syntax


def truncated(rng: Generator) -> Bad:
    """A copy that was broken off."""
    content, syntax = _base(rng)
    length = int(rng.integers(0, len(content) - 8))
    return Bad(content[:length], f"{length} of {len(content)} bytes, {syntax}")


def bit_flips(rng: Generator) -> Bad:
    """A few bits turned over, anywhere."""
    content, syntax = _base(rng)
    count = int(2 ** rng.integers(0, 7))
    return Bad(_flipped(content, rng, 0, count), f"{count} bits turned over, {syntax}", ANY)


def bit_flips_in_header(rng: Generator) -> Bad:
    """Bits turned over between the preamble and the pixels."""
    content, syntax = _base(rng, (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian))
    count = int(2 ** rng.integers(0, 6))
    cut = len(content) - 12288
    return Bad(_flipped(content[:cut], rng, 132, count) + content[cut:], f"{count} bits of the header, {syntax}", ANY)


def bit_flips_in_stream(rng: Generator) -> Bad:
    """Bits turned over in a compressed stream: what decoders die of."""
    content, syntax = _base(rng, SYNTAXES[4:])
    count = int(2 ** rng.integers(0, 8))
    start = content.rfind(b"\xe0\x7f\x10\x00OB") + 28
    return Bad(_flipped(content, rng, start, count), f"{count} bits of the stream, {syntax}", ANY)


def _flipped(content: bytes, rng: Generator, start: int, count: int) -> bytes:
    changed = np.frombuffer(content, np.uint8).copy()
    for place in rng.integers(start, len(content), count):
        changed[place] ^= 1 << int(rng.integers(8))
    return changed.tobytes()


def lengths(rng: Generator) -> Bad:
    """An element whose length lies."""
    content, _ = _base(rng, (ExplicitVRLittleEndian, ImplicitVRLittleEndian))
    # Lengths of the elements of groups 8 to 28 hexadecimal, where their tags can be found.
    groups = [b"\x08\x00\x16\x00", b"\x10\x00\x20\x00", b"\x28\x00\x10\x00", b"\x28\x00\x00\x01", b"\xe0\x7f\x10\x00"]
    place = content.index(groups[int(rng.integers(len(groups)))], 300)
    lie = int(rng.choice([0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 0x00FFFFFF, 0xFFFF, 1, 3]))
    lied = content[: place + 6] + struct.pack("<L", lie) + content[place + 10 :]
    return Bad(lied, f"a length of {lie:#x} at byte {place + 6}", ANY)


def nesting(rng: Generator) -> Bad:
    """Sequences within sequences, with lengths or without."""
    depth = int(rng.choice([17, 40, 200, 1500, 20_000]))
    open_ended = bool(rng.integers(2)) or depth > 1000
    tag = struct.pack("<HH", 0x0040, 0xA730)
    if open_ended:
        level = tag + b"SQ\0\0" + b"\xff" * 4 + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
        ends = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
        deep = level * depth + ends * depth
    else:
        deep = b""
        for _ in range(depth):
            item = struct.pack("<HHL", 0xFFFE, 0xE000, len(deep)) + deep
            deep = tag + b"SQ\0\0" + struct.pack("<L", len(item)) + item
    pixels = drawn()
    content = write(mammogram(pixels), pixels)
    place = content.rindex(b"\xe0\x7f\x10\x00OW")
    return Bad(content[:place] + deep + content[place:], f"{depth} sequences deep", ("nesting", "header"))


def shapes(rng: Generator) -> Bad:
    """Rows and columns that are not those of the pixels."""
    choices: list[tuple[dict[str, Any], tuple[str, ...]]] = [
        ({"Rows": 0}, ("size",)),
        ({"Columns": 0}, ("size",)),
        ({"Rows": 65535, "Columns": 65535}, ("too_large",)),
        ({"Rows": 6400, "Columns": 6400}, ("too_large",)),
        ({"Rows": 6000, "Columns": 6000}, ("pixel_length",)),
        ({"Rows": 95}, ("pixel_length",)),
        ({"Rows": 97}, ("pixel_length",)),
        ({"Rows": 1, "Columns": 1}, ("pixel_length",)),
        ({"Rows": None}, ("damaged",)),
        ({"Columns": [64, 64]}, ("ok",)),
        ({"NumberOfFrames": 10**9}, ("multi_frame",)),
        ({"NumberOfFrames": 2}, ("multi_frame",)),
        ({"SamplesPerPixel": 3}, ("colour",)),
        ({"SamplesPerPixel": 0}, ("colour",)),
    ]
    tags, expect = choices[int(rng.integers(len(choices)))]
    content, syntax = _base(rng, (ExplicitVRLittleEndian, RLELossless, JPEGLosslessSV1, JPEG2000Lossless), **tags)
    return Bad(content, f"{tags}, {syntax}", expect)


def bits(rng: Generator) -> Bad:
    """Depths that cannot be."""
    tags = [
        {"BitsAllocated": 1}, {"BitsAllocated": 12}, {"BitsAllocated": 32}, {"BitsAllocated": 64},
        {"BitsAllocated": 0}, {"BitsStored": 17}, {"BitsStored": 0}, {"BitsStored": 1}, {"BitsStored": 65535},
        {"HighBit": 16}, {"HighBit": 3}, {"HighBit": 65535}, {"PixelRepresentation": 7},
    ][int(rng.integers(13))]  # fmt: skip
    content, syntax = _base(rng, (ExplicitVRLittleEndian, RLELossless, JPEGLSLossless), **tags)
    return Bad(content, f"{tags}, {syntax}", ("depth",))


def photometric(rng: Generator) -> Bad:
    """Pixels that are no grey."""
    word = str(
        rng.choice(["RGB", "YBR_FULL", "PALETTE COLOR", "", "MONOCHROME", "MONOCHROME3", "=cmd()", "\\", "X" * 60])
    )
    content, syntax = _base(rng, PhotometricInterpretation=word)
    code = "colour" if word == "PALETTE COLOR" else "grey_scale"
    return Bad(content, f"PhotometricInterpretation {word[:16]!r}, {syntax}", (code,))


def grey_scale(rng: Generator) -> Bad:
    """Rescale, window and look-up tables that lead nowhere."""
    pixels = drawn()
    dataset = mammogram(pixels)
    numbers = ["0", "nan", "inf", "-inf", "1e300", "1e-300", "abc", "", "1,5", "--1", "9" * 16, "1\\2\\3"]
    keyword = str(rng.choice(["RescaleSlope", "RescaleIntercept", "WindowWidth", "WindowCenter", "PixelPaddingValue"]))
    if keyword == "PixelPaddingValue":
        dataset.add_new(0x00280120, "US", int(rng.integers(0, 65536)))
        dataset.add_new(0x00280121, "US", int(rng.integers(0, 65536)))
        return Bad(write(dataset, pixels), "padding over much of the range", ANY)
    if rng.integers(4) == 0:
        item = Dataset()
        item.add_new(0x00283002, "US", [int(number) for number in rng.integers(0, 65536, int(rng.integers(0, 5)))])
        item.add_new(0x00283006, "OW", rng.integers(0, 256, int(rng.integers(0, 300))).astype(np.uint8).tobytes())
        dataset.VOILUTSequence = Sequence([item])
        return Bad(write(dataset, pixels), "a look-up table of chance", ANY)
    number = numbers[int(rng.integers(len(numbers)))]
    dataset.WindowCenter, dataset.WindowWidth = "2048", "4096"
    dataset.RescaleSlope, dataset.RescaleIntercept = "1", "0"
    content = write(dataset, pixels)
    tag = {"RescaleSlope": 0x1053, "RescaleIntercept": 0x1052, "WindowWidth": 0x1051, "WindowCenter": 0x1050}[keyword]
    place = content.index(struct.pack("<HH", 0x0028, tag) + b"DS")
    end = place + 8 + struct.unpack_from("<H", content, place + 6)[0]
    value = number.encode() + b" " * (len(number) % 2)
    content = content[: place + 6] + struct.pack("<H", len(value)) + value + content[end:]
    return Bad(content, f"{keyword} {number[:16]!r}", ANY)


def lying_syntax(rng: Generator) -> Bad:
    """A transfer syntax that is not that of the file."""
    content, syntax = _base(rng)
    other = str(rng.choice([uid for uid in SYNTAXES if uid != syntax] + ["1.2.840.10008.1.2.4.100", "1.2.3", "x" * 60]))
    place = content.index(b"\x02\x00\x10\x00UI")
    end = place + 8 + struct.unpack_from("<H", content, place + 6)[0]
    value = other.encode() + b"\0" * (len(other) % 2)
    content = content[: place + 6] + struct.pack("<H", len(value)) + value + content[end:]
    return Bad(content, f"{syntax} called {other[:32]}", ANY)


def lying_stream(rng: Generator) -> Bad:
    """A stream of another size, kind, depth or number of colours than the header says."""
    syntax = str(rng.choice([JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless]))
    dataset = mammogram(drawn())
    rows, columns = ((48, 64), (96, 128), (1000, 1000), (96, 63))[int(rng.integers(4))]
    choice = int(rng.integers(4))
    if choice == 0:
        return Bad(write_stream(dataset, encode(drawn(rows, columns), syntax), syntax), f"{rows} x {columns}, {syntax}")
    if choice == 1:
        other = imagecodecs.jpeg8_encode(np.zeros((96, 64, 3), np.uint8))
        return Bad(write_stream(dataset, other, JPEGBaseline8Bit), "three colours", ("colour",))
    if choice == 2:
        return Bad(write_stream(dataset, imagecodecs.png_encode(drawn()), syntax), f"a PNG as {syntax}")
    stream = bytearray(encode(drawn(), JPEG2000Lossless))
    struct.pack_into(">LL", stream, 8, 60_000, 60_000)  # SIZ: the picture's far corner
    if rng.integers(2):
        struct.pack_into(">LL", stream, 24, 1, 1)  # and tiles of one pixel
    return Bad(write_stream(dataset, stream, JPEG2000Lossless), "JPEG 2000 of 60000 x 60000 in its own header")


def bombs(rng: Generator) -> Bad:
    """Small files that want to be large."""
    pixels = drawn()
    choice = int(rng.integers(7))
    if choice == 0:
        header = as_bytes(mammogram(pixels))
        bomb = header + struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, 150_000_000) + bytes(150_000_000)
        empty = write(mammogram(pixels), pixels, DeflatedExplicitVRLittleEndian)
        head = empty[: len(empty) - len(deflated(as_bytes(mammogram(pixels)) + _native(pixels)))]
        return Bad(head + deflated(bomb), "150 MB of zeros deflated", ("too_large",))
    if choice == 1:
        tags = {"Rows": 65535, "Columns": 65535}
        return Bad(
            write_stream(mammogram(pixels, **tags), b"\2\0\0\0" + bytes(124), RLELossless),
            "8 GiB of RLE",
            ("too_large",),
        )
    if choice == 2:
        # 39.9 million pixels of one value: allowed by their number, to be decoded and found constant.
        rows, columns = 6300, 6300
        runs = (b"\x81\0" * 49 + b"\xe5\0") * rows  # 49 runs of 128 and one of 28: a row
        stream = struct.pack("<16L", 2, 64, 64 + len(runs), *[0] * 13) + runs + runs
        tags = {"Rows": rows, "Columns": columns}
        return Bad(
            write_stream(mammogram(pixels, **tags), stream, RLELossless),
            "39.7 Mpx of RLE zeros",
            ("constant",),
        )
    if choice == 3:
        elements = b"".join(struct.pack("<HH2sH", 0x0009, 0x1000 + n % 0xE000, b"LO", 0) for n in range(120_000))
        content = write(mammogram(pixels), pixels)
        place = content.rindex(b"\xe0\x7f\x10\x00OW")
        return Bad(content[:place] + elements + content[place:], "120,000 elements", ("header",))
    if choice == 4:
        return Bad(_png(60_000, 60_000), "a PNG of 60000 x 60000", ("too_large", "damaged"), ".png")
    if choice == 5:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("../../outside.dcm", bytes(10_000_000))
        return Bad(buffer.getvalue(), "a zip with a way out", ("not_dicom",), str(rng.choice([".dcm", ".zip"])))
    record = Dataset()
    record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", ["..", "..", "outside.dcm"]
    directory = Dataset()
    directory.SOPClassUID, directory.DirectoryRecordSequence = MediaStorageDirectoryStorage, Sequence([record])
    return Bad(write(directory, pixels), "a DICOMDIR with a way out", ("directory",), "")


def strangers(rng: Generator) -> Bad:
    """Files that are something else."""
    noise = rng.integers(0, 256, int(rng.integers(1, 4000))).astype(np.uint8).tobytes()
    choices: list[tuple[bytes, str]] = [
        (b"", ".dcm"), (b"", ".png"), (b"DICM", ".dcm"), (bytes(128) + b"DICM", ".dcm"), (noise, ".dcm"),
        (noise, ".tif"), (bytes(128) + b"DICM" + noise, ".dcm"), (b"P5\n99999999 99999999\n65535\n", ".pgm"),
        (b"P5\n10 10\n65535\n" + noise[:50], ".pgm"), (b"\x89PNG\r\n\x1a\n" + noise, ".png"), (b"text", ".txt"),
        (_png(20, 20)[:60], ".png"), (b"II*\0" + noise, ".tif"), (b"\xff\xd8\xff" + noise, ".jpg"),
    ]  # fmt: skip
    content, suffix = choices[int(rng.integers(len(choices)))]
    return Bad(content, f"{len(content)} bytes that are no picture", REFUSED, suffix)


def _native(pixels: Any) -> bytes:
    value = pixels.tobytes()
    return struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, len(value)) + bytes(value)


def _png(rows: int, columns: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))

    header = struct.pack(">LLBBBBB", columns, rows, 16, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9999))) + chunk(b"IEND", b"")
    )


KINDS: dict[str, Callable[[Generator], Bad]] = {
    "truncation": truncated,
    "bit-flips": bit_flips,
    "bit-flips-header": bit_flips_in_header,
    "bit-flips-stream": bit_flips_in_stream,
    "lengths": lengths,
    "nesting": nesting,
    "shapes": shapes,
    "bits": bits,
    "photometric": photometric,
    "grey-scale": grey_scale,
    "lying-syntax": lying_syntax,
    "lying-stream": lying_stream,
    "bombs": bombs,
    "strangers": strangers,
}

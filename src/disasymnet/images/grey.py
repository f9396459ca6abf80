"""DICOM's way from stored values to [0, 1], step by step in the standard's order, each step recorded.

stored value -> sign and bits -> padding out -> Modality LUT or rescale -> VOI LUT or window -> inversion -> [0, 1]
(PS3.3 C.7.6.3, C.11.1, C.11.2, C.11.6). There is no default window: without VOI the picture's own lowest and highest
value become 0 and 1. As stored values are integers of at most 16 bits, every step runs on the table of all of them, and
the pixels are looked up once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from disasymnet.images.header import Header
from disasymnet.images.picture import GreyStep
from disasymnet.images.refusals import refusal

Values = NDArray[np.float64]

_BLOCK = 2**20  # pixels looked up at once: numpy would widen all indices to 8 bytes


@dataclass(frozen=True)
class Grey:
    """The steps, with the table of values after each, and what to look up in them."""

    index: NDArray[Any]
    """(rows, columns), the stored bits as unsigned integers."""
    steps: tuple[GreyStep, ...]
    tables: tuple[Values, ...]
    final: NDArray[np.float32]
    notes: tuple[str, ...]

    def pixels(self) -> NDArray[np.float32]:
        """float32 (rows, columns) in [0, 1], dense tissue bright, padding 0."""
        return look_up(self.final, self.index)

    def picture(self, number: int) -> NDArray[np.uint8]:
        """The picture after a step, (rows, columns), its lowest value 0 and its highest 255."""
        step, table = self.steps[number], self.tables[number]
        width = (step.high - step.low) or 1.0
        return look_up(np.rint(np.clip((table - step.low) / width, 0, 1) * 255).astype(np.uint8), self.index)


class _Tape:
    """The values of the table, which of them occur in the picture, and the steps so far."""

    def __init__(self, values: Values, present: NDArray[np.bool_]) -> None:
        self.values = values
        self.present = present
        self.steps: list[GreyStep] = []
        self.tables: list[Values] = []
        self.notes: list[str] = []

    def write(self, name: str, detail: str) -> None:
        seen = self.values[self.present]
        self.steps.append(GreyStep(name, detail, float(seen.min()), float(seen.max())))
        self.tables.append(self.values)


def grey(header: Header, stored: NDArray[Any], voi: str = "auto") -> Grey:
    """The grey steps of decoded integers (rows, columns), by a word of `disasymnet.settings.VOI_POLICY`.

    PictureError if a tag of the grey scale is broken, the VOI asked for is not there, or one grey is all there is.
    """
    index = stored.view(stored.dtype.str.replace("i", "u"))
    occurs = _occurring(index)
    tape = _Tape(_meaning(header, occurs.size), occurs)
    sign = "signed" if header.whole("PixelRepresentation", 0) else "unsigned"
    tape.write("stored", f"{header.whole('BitsStored')} bits, {sign}")
    padding = _padding(header, tape)
    tape.present = occurs & ~padding
    _refuse_constant(header, tape, "all pixels hold the same value")
    if padding.any():
        tape.write("padding", "values of the padding range become 0")
    _modality(header, tape)
    _voi(header, tape, voi)
    _inversion(header, tape)
    final = np.clip(tape.values, 0, 1).astype(np.float32)
    tape.values = final.astype(np.float64)  # a window so wide that float32 sees one grey is refused, too
    _refuse_constant(header, tape, "its window leaves one grey")
    final[padding] = 0
    return Grey(index, tuple(tape.steps), tuple(tape.tables), final, tuple(tape.notes))


def look_up(table: NDArray[Any], index: NDArray[Any]) -> NDArray[Any]:
    """table[index] of the index's shape, without an index of 8 bytes a pixel."""
    out = np.empty(index.shape, table.dtype)
    flat, given = out.reshape(-1), index.reshape(-1)
    for start in range(0, given.size, _BLOCK):
        flat[start : start + _BLOCK] = table[given[start : start + _BLOCK]]
    return out


def _occurring(index: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of all 256 or 65,536 bit patterns the picture holds."""
    counts = np.zeros(256**index.itemsize, dtype=np.int64)
    given = index.reshape(-1)
    for start in range(0, given.size, _BLOCK):
        counts += np.bincount(given[start : start + _BLOCK], minlength=counts.size)
    return counts > 0


def _meaning(header: Header, patterns: int) -> Values:
    """The value of each bit pattern: bits outside the stored ones (old overlays lie there) off, sign extended."""
    bits = header.whole("BitsStored")
    unsigned = np.arange(patterns) >> max(header.whole("HighBit", bits - 1) - (bits - 1), 0)
    unsigned &= (1 << bits) - 1
    if header.whole("PixelRepresentation", 0):
        unsigned = np.where(unsigned >= 1 << (bits - 1), unsigned - (1 << bits), unsigned)
    return unsigned.astype(np.float64)


def _refuse_constant(header: Header, tape: _Tape, what: str) -> None:
    seen = tape.values[tape.present]
    if not seen.size or seen.min() == seen.max():
        raise header.refusal("constant", what, "PixelData")


def _padding(header: Header, tape: _Tape) -> NDArray[np.bool_]:
    found = header.numbers("PixelPaddingValue")
    if not found:
        return np.zeros(tape.values.size, dtype=np.bool_)
    limit = header.number("PixelPaddingRangeLimit", found[0])
    low, high = sorted((found[0], limit))
    marked: NDArray[np.bool_] = (tape.values >= low) & (tape.values <= high)
    return marked & tape.present


def _modality(header: Header, tape: _Tape) -> None:
    """Modality LUT, else rescale (PS3.3 C.11.1)."""
    items = header.items("ModalityLUTSequence")
    if items:
        tape.values = _through(header, "ModalityLUTSequence", items[0], tape.values)[0]
        tape.write("modality", "Modality LUT")
        _refuse_constant(header, tape, "its Modality LUT leaves one grey")
        return
    where = _stated(header, ("RescaleSlope", "RescaleIntercept"), "PixelValueTransformationSequence")
    slope, intercept = where.number("RescaleSlope", 1), where.number("RescaleIntercept", 0)
    # A slope so small or large that sixteen bits no longer differ, or overflow, is no slope.
    if not 1e-9 <= abs(slope) <= 1e9 or abs(intercept) > 1e12 or abs(intercept) > 1e9 * abs(slope):
        raise header.refusal("grey_scale", f"slope {slope:g} and intercept {intercept:g}", "RescaleSlope")
    tape.values = tape.values * slope + intercept
    tape.write("modality", f"rescale: slope {slope:g}, intercept {intercept:g}")


def _voi(header: Header, tape: _Tape, voi: str) -> None:
    """The VOI LUT or window (PS3.3 C.11.2) that the policy takes, else the picture's own range; ends in [0, 1]."""
    header = _stated(header, ("VOILUTSequence", "WindowCenter"), "FrameVOILUTSequence")
    luts = header.items("VOILUTSequence")
    centres, widths = header.numbers("WindowCenter"), header.numbers("WindowWidth")
    windows = min(len(centres), len(widths))
    kind, number = _chosen(header, voi, len(luts), windows)
    if len(luts) + windows > 1:
        all_luts = [f"lut{place}" for place in range(1, len(luts) + 1)]
        all_windows = [
            f"window{place} ({centres[place - 1]:g}, {widths[place - 1]:g})" for place in range(1, windows + 1)
        ]
        tape.notes.append(f"VOI: {kind}{number or ''} taken; the file has {', '.join((all_luts + all_windows)[:9])}")
    if kind == "lut":
        mapped, full, top = _through(header, "VOILUTSequence", luts[number - 1], tape.values)
        # The declared bits are the range, also of those systems that declare 16 and fill 12: every viewer shows it so.
        tape.values = mapped / max(full, top)
        if top > full or top < full / 2:
            why = "its entries are the range" if top > full else "dark; a window, or none, stretches it (--voi)"
            tape.notes.append(f"VOI LUT {number}: entries up to {top:g}, {full:g} by the bits that it declares: {why}")
        tape.write("voi", f"VOI LUT, item {number} of {len(luts)}")
    elif kind == "window":
        function = header.text("VOILUTFunction").upper() or "LINEAR"
        centre, width = centres[number - 1], widths[number - 1]
        tape.values = window(tape.values, centre, width, function, header.path)
        tape.write("voi", f"window {number} of {windows}: {function}, centre {centre:g}, width {width:g}")
    else:
        seen = tape.values[tape.present]
        low, high = float(seen.min()), float(seen.max())
        tape.values = (tape.values - low) / (high - low)
        why = "none in the file" if not luts and not windows else "none wanted"
        tape.write("voi", f"{why}: whole range of the picture, {low:g} to {high:g}")


def _stated(header: Header, keywords: tuple[str, ...], macro: str) -> Header:
    """The header itself where it states one of these, else the frame's functional group that may (PS3.3 C.7.6.16)."""
    groups = header.frame(macro)
    return header if not groups or any(header.value(keyword) is not None for keyword in keywords) else groups[0]


def _chosen(header: Header, voi: str, luts: int, windows: int) -> tuple[str, int]:
    """`lut` or `window` with its number from 1, or `none`."""
    if voi == "auto":
        return ("lut", 1) if luts else ("window", 1) if windows else ("none", 0)
    kind, number = voi.rstrip("123456789"), int(voi[-1]) if voi[-1].isdigit() else 0
    there = {"lut": luts, "window": windows, "none": 0}[kind]
    if number > there:
        name = "VOILUTSequence" if kind == "lut" else "WindowCenter"
        raise header.refusal("voi", f"{kind} {number} is asked for, the file has {there}", name)
    return kind, number


def window(values: Values, centre: float, width: float, function: str = "LINEAR", where: object = None) -> Values:
    """Values through a VOI window, in [0, 1] (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    `function` is LINEAR, LINEAR_EXACT or SIGMOID. PictureError if it is another or the width is too small for it.
    """
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise refusal("grey_scale", f"function {function[:16]!r} is unknown", where, "VOILUTFunction")
    if not np.isfinite([centre, width]).all() or (width < 1 if function == "LINEAR" else width <= 0):
        raise refusal("grey_scale", f"WindowWidth is {width:g}", where, "WindowWidth")
    if function == "SIGMOID":
        # Beyond +-700 the exponential overflows; there the sigmoid is 0 or 1 anyway.
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700))))
    if function == "LINEAR_EXACT":
        return np.clip((values - centre) / width + 0.5, 0, 1)
    if width == 1:
        return (values > centre - 0.5).astype(np.float64)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def _inversion(header: Header, tape: _Tape) -> None:
    """MONOCHROME1 shows low values bright, and so does the shape INVERSE; a mammogram that says both says it once.

    PS3.3 C.8.11.3 has INVERSE stand with MONOCHROME1, and IDENTITY with MONOCHROME2: the shape repeats the photometric
    interpretation and does not undo it. Where the two contradict each other, the one that inverts is believed.
    """
    photometric = header.text("PhotometricInterpretation").upper()  # one of the two: see `kinds`
    shape = header.text("PresentationLUTShape").upper()[:16]
    said = f"{photometric}, {shape}" if shape else photometric
    if (photometric, shape) in (("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")):
        tape.notes.append(f"{said}: they contradict each other, taken as inverted")
    if photometric == "MONOCHROME2" and shape != "INVERSE":
        tape.write("inversion", f"none: {said}")
        return
    tape.values = 1 - tape.values
    tape.write("inversion", f"inverted: {said}")


def _through(header: Header, keyword: str, item: Dataset, values: Values) -> tuple[Values, float, float]:
    """Values through a LUT item, the end of the range that it declares, and its highest entry (PS3.3 C.11.1.1.1)."""
    try:
        count, first, bits = (int(number) for number in header.inside(item, "LUTDescriptor"))
        table = _entries(header.inside(item, "LUTData"), count % 65536 or 65536, little=header.little)
    except (AttributeError, TypeError, ValueError) as error:
        raise header.refusal("grey_scale", "the look-up table is broken", keyword) from error
    if not 1 <= bits <= 16:
        raise header.refusal("grey_scale", f"the look-up table has entries of {bits} bits", keyword)
    if first > 32767 and values.min() < 0:
        first -= 65536  # a signed number that was written as an unsigned one
    mapped = table[np.clip(np.rint(values) - first, 0, table.size - 1).astype(np.int64)].astype(np.float64)
    return mapped, float(2**bits - 1), float(table.max())


def _entries(data: Any, count: int, *, little: bool) -> NDArray[Any]:
    """The table of LUTData: numbers (US), or bytes (OW), which are words in the byte order of the file."""
    if isinstance(data, bytes):
        table = np.frombuffer(data, dtype="<u2" if little else ">u2")
        if len(data) == count + count % 2:
            table = table.astype("<u2").view(np.uint8)
    else:
        table = np.atleast_1d(np.asarray(data, dtype=np.int64))
        if count > table.size >= count // 2:  # two entries of 8 bits in each word
            table = table.astype("<u2").view(np.uint8)
    if table.size < count:
        raise ValueError(f"{table.size} entries instead of {count}")
    return table[:count]

"""DICOM's way from stored values to [0, 1], step by step in the standard's order, each step recorded.

stored value -> sign and bits -> padding out -> Modality LUT or rescale -> VOI LUT or window -> inversion -> [0, 1]
(PS3.3 C.7.6.3, C.11.1, C.11.2, C.11.6). There is no default window: without VOI the picture's own lowest and highest
value become 0 and 1. As the stored values are integers of at most 16 bits, every step runs on the table of all values
between the lowest and the highest one, and the pixels are looked up once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from disasymnet.errors import PictureError
from disasymnet.images.picture import GreyStep

Values = NDArray[np.float64]


class _Tape:
    """The values of the table, which of them occur in the picture, and the steps so far."""

    def __init__(self, values: Values, present: NDArray[np.bool_]) -> None:
        self.values = values
        self.present = present
        self.steps: list[GreyStep] = []

    def write(self, name: str, detail: str) -> None:
        seen = self.values[self.present]
        self.steps.append(GreyStep(name, detail, float(seen.min()), float(seen.max())))


def grey(dataset: Dataset, stored: NDArray[Any], where: object) -> tuple[NDArray[np.float32], tuple[GreyStep, ...]]:
    """Pixels float32 in [0, 1] with dense tissue bright, and the steps.

    `stored` are the decoded integers (rows, columns). Padding becomes 0. PictureError if a tag of the grey scale is
    broken or the picture holds one value only.
    """
    stored = _clean(dataset, stored)
    low = int(stored.min())
    index = (stored - low).astype(np.uint16) if low else stored.astype(np.uint16, copy=False)
    occurs = np.bincount(index.ravel()) > 0
    tape = _Tape(np.arange(low, low + occurs.size, dtype=np.float64), occurs)
    tape.write("stored", f"{dataset.BitsStored} bits, {'signed' if dataset.PixelRepresentation else 'unsigned'}")
    padding = _padding(dataset, tape)
    tape.present = occurs & ~padding
    if tape.present.sum() < 2:
        raise PictureError("all pixels hold the same value", where=where, code="constant")
    if padding.any():
        tape.write("padding", "values of the padding range become 0")
    _modality(dataset, tape, where)
    _voi(dataset, tape, where)
    _inversion(dataset, tape, where)
    table = np.clip(tape.values, 0, 1).astype(np.float32)
    table[padding] = 0
    return table[index], tuple(tape.steps)


def _clean(dataset: Dataset, stored: NDArray[Any]) -> NDArray[Any]:
    """Bits outside the stored ones (old overlays lie there) off, sign extended."""
    bits, allocated = int(dataset.BitsStored), int(dataset.BitsAllocated)
    if bits == allocated:
        return stored
    unsigned = stored.astype(np.int32) >> max(int(dataset.get("HighBit", bits - 1)) - (bits - 1), 0)
    unsigned &= (1 << bits) - 1
    if not dataset.PixelRepresentation:
        return unsigned
    return np.where(unsigned >= 1 << (bits - 1), unsigned - (1 << bits), unsigned)


def _padding(dataset: Dataset, tape: _Tape) -> NDArray[np.bool_]:
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(tape.values.size, dtype=np.bool_)
    limit = dataset.get("PixelPaddingRangeLimit", value)
    marked: NDArray[np.bool_] = (tape.values >= min(value, limit)) & (tape.values <= max(value, limit))
    return marked & tape.present


def _modality(dataset: Dataset, tape: _Tape, where: object) -> None:
    """Modality LUT, else rescale (PS3.3 C.11.1)."""
    items = dataset.get("ModalityLUTSequence")
    if items:
        tape.values = _look_up(items[0], tape.values, where)[0]
        tape.write("modality", "Modality LUT")
        return
    slope, intercept = float(dataset.get("RescaleSlope", 1) or 0), float(dataset.get("RescaleIntercept", 0) or 0)
    if not slope or not np.isfinite([slope, intercept]).all():
        raise PictureError(f"RescaleSlope is {slope:g}", where=where, code="grey_scale")
    tape.values = tape.values * slope + intercept
    tape.write("modality", f"rescale: slope {slope:g}, intercept {intercept:g}")


def _voi(dataset: Dataset, tape: _Tape, where: object) -> None:
    """The first VOI LUT, else the first window (PS3.3 C.11.2), else the picture's own range; ends in [0, 1]."""
    items = dataset.get("VOILUTSequence")
    if items:
        tape.values, top = _look_up(items[0], tape.values, where)
        tape.values = tape.values / top
        tape.write("voi", f"VOI LUT, item 1 of {len(items)}")
        return
    centres, widths = _numbers(dataset.get("WindowCenter")), _numbers(dataset.get("WindowWidth"))
    if centres and widths:
        function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
        tape.values = window(tape.values, centres[0], widths[0], function, where)
        tape.write("voi", f"window 1 of {len(centres)}: {function}, centre {centres[0]:g}, width {widths[0]:g}")
        return
    seen = tape.values[tape.present]
    low, high = float(seen.min()), float(seen.max())
    tape.values = (tape.values - low) / (high - low)
    tape.write("voi", f"none in the file: whole range of the picture, {low:g} to {high:g}")


def window(values: Values, centre: float, width: float, function: str = "LINEAR", where: object = None) -> Values:
    """Values through a VOI window, in [0, 1] (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    `function` is LINEAR, LINEAR_EXACT or SIGMOID. PictureError if it is another or the width is too small for it.
    """
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise PictureError(f"VOILUTFunction {function} is unknown", where=where, code="grey_scale")
    if not np.isfinite([centre, width]).all() or (width < 1 if function == "LINEAR" else width <= 0):
        raise PictureError(f"WindowWidth is {width:g}", where=where, code="grey_scale")
    if function == "SIGMOID":
        # Beyond +-700 the exponential overflows; there the sigmoid is 0 or 1 anyway.
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700))))
    if function == "LINEAR_EXACT":
        return np.clip((values - centre) / width + 0.5, 0, 1)
    if width == 1:
        return (values > centre - 0.5).astype(np.float64)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def _inversion(dataset: Dataset, tape: _Tape, where: object) -> None:
    """MONOCHROME1 shows low values bright, and so does the shape INVERSE: one of them inverts, both do not."""
    photometric = str(dataset.get("PhotometricInterpretation", "")).strip().upper()
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise PictureError(
            f"PhotometricInterpretation is {photometric or 'missing'}, not a grey scale", where=where, code="grey_scale"
        )
    shape = str(dataset.get("PresentationLUTShape") or "IDENTITY").strip().upper()
    if (photometric == "MONOCHROME1") == (shape == "INVERSE"):
        tape.write("inversion", f"none: {photometric}, {shape}")
        return
    tape.values = 1 - tape.values
    tape.write("inversion", f"inverted: {photometric}, {shape}")


def _look_up(item: Dataset, values: Values, where: object) -> tuple[Values, float]:
    """Values through a LUT item, and the value that stands for full scale (PS3.3 C.11.1.1.1)."""
    try:
        count, first, bits = (int(number) for number in item.LUTDescriptor)
        table = _entries(item.LUTData, count % 65536 or 65536)
    except (AttributeError, TypeError, ValueError) as error:
        raise PictureError("a look-up table is broken", where=where, code="grey_scale") from error
    if first > 32767 and values.min() < 0:
        first -= 65536  # a signed number that was written as an unsigned one
    mapped = table[np.clip(np.rint(values) - first, 0, table.size - 1).astype(np.int64)].astype(np.float64)
    full, top = float(2**bits - 1), float(table.max())
    # Some files declare 16 bits for entries of 12: then the table's own top is full scale.
    return mapped, full if full / 2 < top <= full else max(top, 1.0)


def _entries(data: Any, count: int) -> NDArray[Any]:
    if isinstance(data, bytes):
        table = np.frombuffer(data, dtype=np.uint8 if len(data) in (count, count + count % 2) else "<u2")
    else:
        table = np.atleast_1d(np.asarray(data, dtype=np.int64))
        if count > table.size >= count // 2:  # two entries of 8 bits in each word
            table = table.astype("<u2").view(np.uint8)
    if table.size < count:
        raise ValueError(f"{table.size} entries instead of {count}")
    return table[:count]


def _numbers(value: Any) -> list[float]:
    if value is None or value == "":
        return []
    return [float(number) for number in (value if hasattr(value, "__iter__") else [value])]

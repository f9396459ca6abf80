"""How one file becomes a picture, for a person: its facts, its grey steps with their ranges, and a picture of each."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from disasymnet.data.files import replace_file
from disasymnet.images.read import Facts, GreyStep, Reading, read_steps
from disasymnet.outputs.overlay import NOTE


def explain(path: Path, reading: Reading, out: Path | None) -> str:
    """The lines; with `out`, one 8-bit PNG a step, stretched from the step's minimum (black) to its maximum (white).

    PictureError if the file cannot be used.
    """
    facts, steps, storage = read_steps(path, reading)
    rows, columns = steps[0][1].shape
    lines = [
        f"{rows} rows x {columns} columns, {storage}; read in {'strict' if reading.strict else 'lenient'} mode",
        _facts(facts),
        "",
        f"{'step':10} {'minimum':>10} {'maximum':>10}",
        *(f"{step.name:10} {step.low:10.6g} {step.high:10.6g}  {step.detail}" for step, _ in steps),
        *(f"note: {note}" for note in facts.notes),
    ]
    if out is not None:
        for number, (step, picture) in enumerate(steps, 1):
            replace_file(out / f"{number}-{step.name}.png", _png(picture, step))
        lines.append(f"{out}: a picture of each step, its minimum black and its maximum white")
    return "\n".join(lines)


def _facts(facts: Facts) -> str:
    breast = "breast not stated" if facts.laterality is None else f"breast {facts.laterality} ({facts.laterality_from})"
    view = "view not stated" if facts.view is None else f"view {facts.view} ({facts.view_from})"
    size_from = None if facts.exposure is None else facts.exposure.pixel_mm_from
    pixel = "pixel size not stated" if facts.pixel_mm is None else f"{facts.pixel_mm:.4g} mm a pixel ({size_from})"
    return ", ".join([breast, view, pixel, facts.detector or "detector not stated", f"{facts.bits} bits"])


def _png(picture: NDArray[np.uint8], step: GreyStep) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    text, buffer = PngInfo(), io.BytesIO()
    text.add_text("Description", f"{step.name}: {step.low:g} to {step.high:g}. {NOTE}")
    Image.fromarray(picture).save(buffer, format="PNG", pnginfo=text)
    return buffer.getvalue()

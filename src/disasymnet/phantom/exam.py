"""One phantom exam on disk: pictures, truth, and the rows of its table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from disasymnet.phantom.fields import Frame
from disasymnet.phantom.lesions import Placed
from disasymnet.phantom.settings import PhantomSettings
from disasymnet.phantom.shoot import Plan, Shot, shoot_exam
from disasymnet.phantom.write import Label, to_16_bit, write_dicom, write_png
from disasymnet.terms import Laterality

COLUMNS = (
    "picture", "patient", "exam", "laterality", "view", "density", "abnormal", "pixel_mm", "split", "lesion_free",
    "findings",
)  # fmt: skip
Row = dict[str, str]
Pixels = TypeVar("Pixels", NDArray[np.uint8], NDArray[np.uint16])


def make_exam(out: Path, settings: PhantomSettings, plan: Plan) -> list[Row]:
    """Write the pictures and the truth of one exam below `out`; the rows of pictures.csv."""
    patient = f"phantom-{plan.index + 1:05d}"
    folder = out / patient
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    rows = []
    for number, shot in enumerate(shoot_exam(settings, plan), 1):
        label = Label(
            patient=patient,
            exam=f"{patient}-1",
            laterality=shot.side,
            view=shot.view,
            number=number,
            pixel_mm=settings.pixel_mm,
            style=settings.style,
            digest=settings.digest,
        )
        write_dicom(folder / f"{_stem(shot)}.dcm", hung(shot.with_lesions, shot.side), label)
        rows.append(_row(settings, plan, patient, shot) | _write_truth(folder, shot))
    return rows


def hung(picture: Pixels, side: Laterality) -> Pixels:
    """Usual hanging: the chest wall of the right breast at the right edge, of the left at the left edge."""
    return np.ascontiguousarray(picture[:, ::-1] if side is Laterality.RIGHT else picture)


def full_mask(one: Placed, frame: Frame) -> NDArray[np.uint8]:
    """The lesion's mask on the whole grid, 0 or 255."""
    mask = np.zeros(frame.shape, dtype=np.uint8)
    mask[one.window][one.mask] = 255
    return mask


def _stem(shot: Shot) -> str:
    return f"{shot.side.value}_{shot.view.value}"


def _row(settings: PhantomSettings, plan: Plan, patient: str, shot: Shot) -> Row:
    return {
        "picture": f"{patient}/{_stem(shot)}.dcm",
        "patient": patient,
        "exam": f"{patient}-1",
        "laterality": shot.side.value,
        "view": shot.view.value,
        "density": plan.density,
        "abnormal": "1" if shot.placed else "0",
        "pixel_mm": repr(settings.pixel_mm),
        "split": plan.split,
    }


def _write_truth(folder: Path, shot: Shot) -> Row:
    """The lesion-free picture and one mask a lesion; their columns, empty for a normal breast."""
    if not shot.placed:
        return {"lesion_free": "", "findings": "[]"}
    free = folder / "truth" / f"{_stem(shot)}_lesion_free.png"
    write_png(free, to_16_bit(hung(shot.without, shot.side)))
    findings = []
    for count, one in enumerate(shot.placed, 1):
        mask = folder / "truth" / f"{_stem(shot)}_lesion_{count}.png"
        write_png(mask, hung(full_mask(one, shot.anatomy.frame), shot.side))
        findings.append(
            {
                "kind": one.lesion.kind.value,
                "name": one.lesion.name,
                "mask": f"{folder.name}/truth/{mask.name}",
                "diameter_mm": round(one.lesion.diameter_mm, 2),
                "contrast": round(one.contrast, 4),
            }
        )
    return {"lesion_free": f"{folder.name}/truth/{free.name}", "findings": json.dumps(findings)}

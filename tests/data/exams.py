"""Picture files of made-up exams: half ellipses of tissue at the edge where the chest wall is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from disasymnet.records import Box, Circle, Finding, Mammogram, Scan
from disasymnet.settings import ImageSettings
from disasymnet.terms import FindingKind, Laterality, View

ROWS, COLUMNS = 120, 100
SETTINGS = ImageSettings(height=64, width=32, mm_per_pixel=2.0)
PIXEL_MM = 1.0


def save_picture(path: Path, seed: int, side: Laterality, *, bright: float = 0.0) -> Path:
    """A 16-bit PNG; the wall at the left edge for left breasts. `bright` adds a disc at (30, 60) from the wall."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:ROWS, :COLUMNS] + 0.5
    inside = ((y - 60) / 45) ** 2 + (x / 55) ** 2 < 1
    tissue = 0.3 + 0.1 * rng.random((ROWS, COLUMNS)) + bright * (((y - 60) ** 2 + (x - 30) ** 2) < 25)
    grey = np.where(inside, tissue, 0.01)
    if side is Laterality.RIGHT:
        grey = grey[:, ::-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((grey * 65535).astype(np.uint16)).save(path)
    return path


def mammogram(path: Path, patient: str, side: Laterality, view: View = View.CC, **facts: object) -> Mammogram:
    return Mammogram(path, patient, f"{patient}-1", side, view, pixel_mm=PIXEL_MM, **facts)  # type: ignore[arg-type]


def make_scan(root: Path, patients: int = 6) -> Scan:
    """CC pairs; every second patient has a lesion in the right breast, drawn as circle or box."""
    pictures = []
    for number in range(patients):
        name = f"anna{number:02d}"
        for side in (Laterality.RIGHT, Laterality.LEFT):
            sick = number % 2 == 1 and side is Laterality.RIGHT
            path = save_picture(root / f"{name}_{side}.png", 10 * number + (side == "L"), side, bright=0.3 * sick)
            region = Circle(COLUMNS - 30, 60, 5) if number % 4 == 1 else Box(COLUMNS - 35, 55, COLUMNS - 25, 65)
            findings = (Finding(FindingKind.MASS, region),) if sick else ()
            pictures.append(mammogram(path, name, side, abnormal=sick, findings=findings))
    return Scan(tuple(pictures))

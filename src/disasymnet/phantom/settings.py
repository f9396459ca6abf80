"""What a set of phantom exams is made of, as one closed, frozen section."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from disasymnet.settings import Section, Share

DRAWING = 3
"""Version of what a seed draws."""
SCHEMA = 1
"""Version of the files on disk: phantom.json and pictures.csv."""

FIELD_MM = 240.0
"""Height of the picture: that of a 24 x 30 cm detector in its usual orientation, cut to 240 mm."""

PROPORTION = 2560 / 3328
"""Columns to rows of a common full-field detector."""

ISLANDS = 1.0
"""Per woman; with their contrast (lesions.py) chosen against mini-MIAS."""

Density = Literal["A", "B", "C", "D"]
DENSITIES: tuple[Density, ...] = ("A", "B", "C", "D")


class PhantomSettings(Section):
    """Number, size, grey, label mix and splits of the exams; everything else follows from the seed."""

    exams: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """Exams of one woman each: right and left breast, each in every view."""
    seed: Annotated[int, Field(ge=0)] = 0
    rows: Annotated[int, Field(ge=64, le=3328)] = 512
    columns: Annotated[int, Field(ge=48, le=2560)] | None = None
    """None: in the proportion 3328 : 2560."""
    views: tuple[Literal["CC", "MLO"], ...] = ("CC", "MLO")
    style: Literal["digital", "film"] = "digital"
    """`digital`: 12 bits, median of the breast at about a quarter of full scale; `film`: 256 levels, grey as in
    digitised films of the 1990s."""
    lesions: Literal["easy", "realistic"] = "easy"
    symmetric: Share = 0.5
    """Share of exams without any lesion."""
    bilateral: Share = 0.15
    """Share of the other exams with lesions in both breasts."""
    second_lesion: Share = 0.2
    """Share of abnormal breasts with two lesions instead of one."""
    islands: Annotated[float, Field(ge=0, le=9)] | None = None
    """Mean number of benign look-alikes of a woman, alike in both breasts. None: 0 beside easy lesions, 1 beside
    realistic ones."""
    densities: tuple[Share, Share, Share, Share] = (0.15, 0.35, 0.35, 0.15)
    """Shares of breast density A to D (ACR)."""
    val: Annotated[float, Field(ge=0)] = 0.1
    test: Annotated[float, Field(ge=0)] = 0.1
    """Patients in the validation and test split: below 1 a share, from 1 on a number."""
    tumours: Annotated[int, Field(ge=0, le=100_000)] = 60
    """Crops of lesions of other phantom patients, written to OUT/tumours."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of every picture."""
        return self.rows, self.columns if self.columns is not None else max(48, round(self.rows * PROPORTION))

    @property
    def mean_islands(self) -> float:
        """Mean number of benign look-alikes that a woman has in each breast."""
        return self.islands if self.islands is not None else ISLANDS if self.lesions == "realistic" else 0.0

    @property
    def pixel_mm(self) -> float:
        """Pixel size at the detector, rounded to what DICOM's decimal string keeps without loss."""
        return round(FIELD_MM / self.rows, 6)

    @property
    def digest(self) -> str:
        """Digest of all settings and of the versions of files and drawing."""
        return hashlib.sha256(f"{SCHEMA} {DRAWING} {self.model_dump_json()}".encode()).hexdigest()

    def count(self, part: float) -> int:
        """Number of patients that `val` or `test` means: a share below 1, else a number."""
        return round(part * self.exams) if part < 1 else int(part)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.views or len(set(self.views)) != len(self.views):
            raise ValueError("views: name CC, MLO or both, each once")
        if self.count(self.val) + self.count(self.test) > self.exams:
            raise ValueError("val + test: more patients than exams")
        for name in ("val", "test"):
            part = getattr(self, name)
            if part >= 1 and part != int(part):
                raise ValueError(f"{name}: a share below 1 or a whole number of patients")
        if abs(sum(self.densities) - 1) > 1e-6:
            raise ValueError("densities: the four shares must sum to 1")
        return self

"""The field's words as closed sets, with parsers for the spellings met in files and tables."""

from __future__ import annotations

from enum import StrEnum


class Laterality(StrEnum):
    """Which breast, as DICOM spells it. Unknown is `None`, never a guess."""

    RIGHT = "R"
    LEFT = "L"

    @property
    def contralateral(self) -> Laterality:
        """The other breast."""
        return Laterality.LEFT if self is Laterality.RIGHT else Laterality.RIGHT

    @classmethod
    def parse(cls, text: str) -> Laterality | None:
        """`R`, `right`, `LEFT` ... or None. `B` (both) names no breast."""
        return {"R": cls.RIGHT, "RIGHT": cls.RIGHT, "L": cls.LEFT, "LEFT": cls.LEFT}.get(text.strip().upper())


class View(StrEnum):
    """Projection. Only CC and MLO make pairs; the others are recorded so that they can be named."""

    CC = "CC"
    MLO = "MLO"
    ML = "ML"
    LM = "LM"
    LMO = "LMO"
    XCCL = "XCCL"
    XCCM = "XCCM"
    FB = "FB"
    SIO = "SIO"
    ISO = "ISO"

    @property
    def pairable(self) -> bool:
        """True for the two screening projections."""
        return self in (View.CC, View.MLO)

    @classmethod
    def parse(cls, text: str) -> View | None:
        """Exact DICOM abbreviation, any case; anything else is None (ML is never MLO)."""
        try:
            return cls(text.strip().upper())
        except ValueError:
            return None


class FindingKind(StrEnum):
    """What a radiologist (or the phantom) marked."""

    MASS = "mass"
    CALCIFICATION = "calcification"
    ARCHITECTURAL_DISTORTION = "architectural_distortion"
    ASYMMETRY = "asymmetry"
    OTHER = "other"

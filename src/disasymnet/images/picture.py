"""What reading a file gives: pixels in [0, 1] with dense tissue bright, the file's facts, and how the grey was made."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from disasymnet.errors import RecipeError
from disasymnet.images.limits import LIMITS
from disasymnet.records import Detector, Exposure, Identity
from disasymnet.settings import VOI_POLICY
from disasymnet.terms import Laterality, View

MOST_PIXELS = LIMITS.pixels
"""The largest detectors and film scans have about 27 million pixels; more is a mistake or an attack."""


@dataclass(frozen=True)
class Reading:
    """How a file is read."""

    strict: bool = False
    """Only what a mammography system itself states: no films, no raster files, no side or view from free text, and the
    chest wall where the tags have it."""
    voi: str = "auto"
    """Which VOI look-up table or window: a word of `disasymnet.settings.VOI_POLICY`."""
    most_pixels: int = MOST_PIXELS

    def __post_init__(self) -> None:
        if not re.fullmatch(VOI_POLICY, self.voi):
            raise RecipeError(
                f"voi {self.voi!r} is unknown", hint="There are: auto, none, lut1 to lut9, window1 to window9."
            )


LENIENT = Reading()
"""How research data are read."""


@dataclass(frozen=True)
class GreyStep:
    """One step from stored values to [0, 1], with the lowest and highest value of the picture after it."""

    name: str
    """`stored`, `padding`, `modality`, `voi` or `inversion`."""
    detail: str
    low: float
    high: float


_NOBODY = Identity()


@dataclass(frozen=True)
class Facts:
    """What the file itself states; what it does not state is None. No names of persons."""

    laterality: Laterality | None = None
    view: View | None = None
    pixel_mm: float | None = None
    """Millimetres in the breast's plane: corrected for magnification where the file gives the factor."""
    detector: Detector | None = None
    bits: int | None = None
    """Stored bits a pixel."""
    identity: Identity = _NOBODY
    """Whom and which study the tags name: to pair pictures by, never to be shown."""
    notes: tuple[str, ...] = ()
    """What was odd or guessed, in words that name nobody."""
    exposure: Exposure | None = None
    """Of a DICOM file: how the picture was taken, and which attributes named breast, view and pixel size."""

    @property
    def laterality_from(self) -> str | None:
        """The DICOM attribute that named the breast."""
        return None if self.exposure is None else self.exposure.laterality_from

    @property
    def view_from(self) -> str | None:
        """The DICOM attribute that named the view."""
        return None if self.exposure is None else self.exposure.view_from

    @property
    def patient(self) -> str | None:
        """PatientID, never to be shown."""
        return self.identity.patient or None

    @property
    def exam(self) -> str | None:
        """The study, never to be shown."""
        return self.identity.exam

    def with_notes(self, notes: tuple[str, ...]) -> Facts:
        """The same facts with further notes."""
        return replace(self, notes=(*self.notes, *notes)) if notes else self


@dataclass(frozen=True)
class Picture:
    """A mammogram on its source grid."""

    pixels: NDArray[np.float32]
    """(rows, columns), [0, 1], bright = dense tissue; not writeable."""
    facts: Facts = Facts()
    steps: tuple[GreyStep, ...] = ()

    def with_pixel_mm(self, pixel_mm: float | None) -> Picture:
        """The same picture with the pixel size that its data set states; None leaves the file's own."""
        return self if pixel_mm is None else replace(self, facts=replace(self.facts, pixel_mm=pixel_mm))

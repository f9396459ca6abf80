"""Plain data that travels between rooms. No pixels in the records of files, no paths in those of results.

Grids: *source grid* = the file's pixels; *model grid* = H x W, chest wall at column 0, both sides alike;
*feature grid* = h x w cells of the encoder. Points are (x, y) in pixels with the centre of the first pixel at
(0.5, 0.5); boxes are x0, y0, x1, y1 (edges, half-open); arrays are indexed [row, column].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, TypeVar

from disasymnet.terms import FindingKind, Laterality, View

T = TypeVar("T")
U = TypeVar("U")

Edge = Literal["left", "right"]
"""An edge of the picture on the screen, never a breast."""


Detector = Literal["film", "digital"]
"""Digitised film, or a digital detector's picture."""


@dataclass(frozen=True)
class Sides(Generic[T]):
    """One thing of each breast, right first."""

    right: T
    left: T

    def map(self, change: Callable[[T], U]) -> Sides[U]:
        """The same function on both sides."""
        return Sides(change(self.right), change(self.left))

    def swap(self) -> Sides[T]:
        """Right and left exchanged."""
        return Sides(self.left, self.right)

    def __iter__(self) -> Iterator[T]:
        return iter((self.right, self.left))

    def __getitem__(self, laterality: Laterality) -> T:
        return self.right if laterality is Laterality.RIGHT else self.left


@dataclass(frozen=True)
class Circle:
    """Centre (x, y) and radius, in pixels of the source grid."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Box:
    """Edges x0, y0, x1, y1 in pixels of the source grid; x1 and y1 lie outside."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Outline:
    """A closed curve in pixels of the source grid; what it encloses and what it runs through is the region."""

    points: str
    """`x,y x,y ...`, as SVG writes polygons: a fiftieth of the memory of pairs, and data sets have millions."""

    @classmethod
    def of(cls, points: Iterable[tuple[float, float]]) -> Outline:
        """The curve through these points (x, y), closed from the last to the first."""
        return cls(" ".join(f"{x:.7g},{y:.7g}" for x, y in points))

    def corners(self) -> list[tuple[float, float]]:
        """The points (x, y) in their order."""
        pairs = (pair.split(",") for pair in self.points.split())
        return [(float(x), float(y)) for x, y in pairs]


@dataclass(frozen=True)
class MaskFile:
    """A picture of the same size as the mammogram; pixels above half of its maximum are the region."""

    path: Path
    outline: bool = False
    """The file draws the region's closed edge only: it is filled when it is read."""
    stretch: bool = False
    """The file may be of another size and is stretched to the mammogram's, as CBIS-DDSM needs it."""


Region = Circle | Box | Outline | MaskFile


@dataclass(frozen=True)
class Finding:
    """One entry of a radiologist. A finding without a region is still a finding."""

    kind: FindingKind | None = None
    region: Region | None = None
    malignant: bool | None = None
    name: str | None = None
    """The data set's own word for it (`CIRC`, `spiculated mass`), for tables by kind."""


@dataclass(frozen=True)
class Identity:
    """Whom and which study a file's tags name: to be compared, never to be shown. Empty is what they do not name."""

    patient: str = field(default="", repr=False)
    """PatientID."""
    issuer: str = field(default="", repr=False)
    """IssuerOfPatientID in capitals: the same PatientID of two issuers names two patients."""
    study: str = field(default="", repr=False)
    """StudyInstanceUID."""
    day: str = field(default="", repr=False)
    """StudyDate, or the day on which the picture was taken or made."""
    accession: str = field(default="", repr=False)
    """AccessionNumber."""
    number: str = field(default="", repr=False)
    """StudyID."""
    name: str = field(default="", repr=False)
    """Digest of PatientName: no name leaves its file."""
    born: str = field(default="", repr=False)
    """Digest of PatientBirthDate."""

    @property
    def exam(self) -> str | None:
        """What tells the patient's studies apart: StudyInstanceUID, without it the day with its further numbers."""
        if self.study or not self.day:
            return self.study or None
        return " ".join(part for part in (self.day, self.accession, self.number) if part)


@dataclass(frozen=True)
class Exposure:
    """How a DICOM file says that its picture was taken: what it may be compared with, and which of several is meant.

    No names of persons.
    """

    for_presentation: bool
    """A mammography system's picture; else digitised film, or another Secondary Capture."""
    special: str | None = None
    """Why it is no screening view: `magnification`, `spot`, `rolled`, `partial` ...; a code of pairing."""
    implant_displaced: bool = False
    extra: bool = False
    """With a view modifier that does no harm, as nipple in profile: taken where the plain view is not there."""
    low_energy: bool = False
    """The low-energy picture of a contrast mammogram: makes a pair with its like alone."""
    rows: int = 0
    columns: int = 0
    taken: float | None = field(default=None, repr=False)
    """Time of the acquisition, seconds of its day."""
    day: int | None = field(default=None, repr=False)
    """Day of the acquisition, counted as `datetime.date.toordinal` does."""
    number: int | None = None
    """InstanceNumber."""
    uid: str = field(default="", repr=False)
    """SOPInstanceUID."""
    pixels: str = field(default="", repr=False)
    """Digest of the pixels, where files of this SOPInstanceUID hold different ones."""
    laterality_from: str | None = None
    """The DICOM attribute that named the breast."""
    view_from: str | None = None
    pixel_mm_from: str | None = None
    orientation: tuple[str, str] | None = None
    """PatientOrientation: the directions of rows and of columns, as `A` and `FR`."""
    notes: tuple[str, ...] = ()
    """What was odd or guessed."""


@dataclass(frozen=True)
class Mammogram:
    """One picture's facts as its data set states them; what is not stated is None."""

    path: Path
    patient: str | None
    exam: str | None
    laterality: Laterality | None
    view: View | None
    abnormal: bool | None = None
    findings: tuple[Finding, ...] = ()
    density: str | None = None
    pixel_mm: float | None = None
    chest_wall: Edge | None = None
    """Edge of the picture with the chest wall, where the data set knows; else found from the picture."""
    detector: Detector | None = None
    repeat: int = 0
    """Of several exposures of this breast and view in one exam, which it is in the data set's order: the first counts.
    """
    split: str | None = None
    """`train`, `val` or `test` where the data set brings its own split."""
    lesion_free: Path | None = None
    """Phantoms: the same breast without its lesions, same grid."""
    exposure: Exposure | None = None
    """What the file's tags state besides, where they were read."""
    identity: Identity | None = None
    """Whom and which study the file's tags name, where those of two files can be compared."""


@dataclass(frozen=True)
class Pair:
    """Right and left picture of one exam and one view."""

    patient: str
    exam: str
    view: View
    pictures: Sides[Mammogram]
    implant_displaced: bool = False
    notes: tuple[str, ...] = ()
    """Which of several pictures was taken, and what the sides differ in."""

    @property
    def asymmetric(self) -> bool | None:
        """y_asy = max(y_r, y_l): symmetric only if both sides are normal; unknown while it is undecided."""
        sides = {picture.abnormal for picture in self.pictures}
        if True in sides:
            return True
        return None if None in sides else False


@dataclass(frozen=True)
class Rejected:
    """A picture that takes no part, with the reason; nothing is dropped without one."""

    path: Path
    code: str
    reason: str
    hint: str = ""


@dataclass(frozen=True)
class Scan:
    """What a data set's folder holds: pictures, and what was left out."""

    pictures: tuple[Mammogram, ...]
    rejected: tuple[Rejected, ...] = field(default=())
    warnings: tuple[str, ...] = ()
    """What was guessed or not used, in words that name nobody."""
    used: tuple[Path, ...] = field(default=(), repr=False)
    """Files that are no pictures of their own but were read: tables, outlines, parts of a lesion."""

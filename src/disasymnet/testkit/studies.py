"""Mammography studies as tags: how systems write side, view and modifiers, with small pictures that show how they lie.

A `Shot` is what was really taken, a `Style` how one system puts it into tags. For readers that pair by tags: see
`tag_matrix`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from disasymnet.phantom.write import uid
from disasymnet.terms import Laterality, View
from disasymnet.testkit.files import write as write_file
from disasymnet.testkit.mammograms import Pixels, drawn, mammogram, write

Tags = dict[str, Any]

VIEWS = {
    View.CC: ("399162004", "R-10242"), View.MLO: ("399368009", "R-10226"), View.ML: ("399260004", "R-10224"),
    View.LM: ("399352003", "R-10228"), View.LMO: ("399099002", "R-10230"), View.XCCL: ("399192008", "R-1024A"),
    View.XCCM: ("399101009", "R-1024B"), View.FB: ("399196006", "R-10244"), View.SIO: ("399188001", "R-102D0"),
    View.ISO: ("441555000", "R-40AAA"),
}  # fmt: skip
"""PS3.16 CID 4014: SNOMED CT and SNOMED RT code of each view."""
MODIFIERS = {
    "magnification": ("399163009", "R-102D6"), "spot compression": ("399055006", "R-102D7"),
    "implant displaced": ("399209000", "R-102D5"), "rolled lateral": ("399197002", "R-102D3"),
    "rolled medial": ("399226006", "R-102D4"), "rolled superior": ("415670009", "R-102C9"),
    "rolled inferior": ("414493004", "R-102CA"), "tangential": ("399110001", "R-102C2"),
    "cleavage": ("399161006", "R-102D2"), "axillary tail": ("399011000", "R-102D1"),
    "nipple in profile": ("442581004", "R-40AB3"), "anterior compression": ("441752004", "P2-00161"),
    "infra-mammary fold": ("442593008", "R-40ABE"), "axillary tissue": ("442580003", "R-40AB2"),
}  # fmt: skip
"""PS3.16 CID 4015."""
SIDES = {Laterality.LEFT: ("80248007", "T-04030"), Laterality.RIGHT: ("73056007", "T-04020")}
"""PS3.16 CID 6022."""
WORDS = {"magnification": "MAG", "spot compression": "SPOT", "rolled lateral": "ROLLED", "tangential": "TAN",
         "cleavage": "CV", "implant displaced": "ID"}  # fmt: skip

ORIENTATIONS = {
    "usual": {("L", "CC"): "A\\R", ("R", "CC"): "P\\L", ("L", "MLO"): "A\\FR", ("R", "MLO"): "P\\FL"},
    "mirrored": {("L", "CC"): "P\\R", ("R", "CC"): "A\\L", ("L", "MLO"): "P\\FR", ("R", "MLO"): "A\\FL"},
    "upside down": {("L", "CC"): "A\\L", ("R", "CC"): "P\\R", ("L", "MLO"): "A\\HL", ("R", "MLO"): "P\\HR"},
    "turned": {("L", "CC"): "P\\L", ("R", "CC"): "A\\R", ("L", "MLO"): "P\\HL", ("R", "MLO"): "A\\HR"},
    "quarter left": {("L", "CC"): "R\\P", ("R", "CC"): "L\\A", ("L", "MLO"): "FR\\P", ("R", "MLO"): "FL\\A"},
    "quarter right": {("L", "CC"): "L\\A", ("R", "CC"): "R\\P", ("L", "MLO"): "HL\\A", ("R", "MLO"): "HR\\P"},
}
"""PatientOrientation of a picture that hangs as usual, mirrored, upside down, turned by half, or by a quarter."""
_LAID: dict[str, Callable[[Pixels], Pixels]] = {
    "usual": lambda pixels: pixels,
    "mirrored": np.fliplr,
    "upside down": np.flipud,
    "turned": lambda pixels: np.rot90(pixels, 2),
    "quarter left": np.rot90,
    "quarter right": lambda pixels: np.rot90(pixels, -1),
}


def marked(seed: int = 0, rows: int = 160, columns: int = 96) -> Pixels:
    """A breast with the chest wall at the left edge and a bright block in its upper part near the wall, 12 bits.

    Above lies the outer half of a CC, the upper half of an MLO: the block is where it belongs if it is there again.
    """
    pixels = drawn(rows, columns, seed)
    pixels[rows // 4 : 3 * rows // 8, columns // 8 : 3 * columns // 8] = 3900
    return pixels


def laid(pixels: Pixels, side: Laterality, orientation: str = "usual") -> Pixels:
    """The picture of `marked` as it lies in the file of a breast that hangs as one of `ORIENTATIONS` says."""
    usual = np.fliplr(pixels) if side is Laterality.RIGHT else pixels
    return np.ascontiguousarray(_LAID[orientation](usual))


def mark_lies(image: NDArray[np.floating[Any]], breast: NDArray[np.bool_]) -> str:
    """Where the block lies in a picture (rows, columns) with the chest wall at column 0, seen beside its breast.

    `upright` or `upside down`; `elsewhere` if it does not lie near the wall, or is not there.
    """
    rows, columns = np.flatnonzero(breast.any(axis=1)), np.flatnonzero(breast.any(axis=0))
    y, x = np.nonzero(breast & (image > 0.7 * image.max()))
    if not y.size or x.mean() > (columns[0] + columns[-1]) / 2:
        return "elsewhere"
    return "upright" if y.mean() < (rows[0] + rows[-1]) / 2 else "upside down"


@dataclass(frozen=True)
class Shot:
    """One picture, and what a reader should make of it."""

    name: str
    """`RCC`, `LMLO`; whatever stands behind a dot tells several of one kind apart."""
    expect: str = "pair"
    """`pair`, or the code of those left out."""
    view: View | None = None
    """Else that of the name."""
    modifier: str | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    """Set last; None removes one."""
    style: str | None = None
    """Else that of the study."""
    lies: str | None = None
    """How the picture lies in its file, a word of `ORIENTATIONS`; else as those of the study."""
    seen: str = "upright"
    """How it should lie on the model grid, where it makes a pair: `upright`, `upside down`, or `on its side`."""

    @property
    def side(self) -> Laterality:
        """The breast that was really taken."""
        return Laterality(self.name[0])

    @property
    def shown(self) -> View:
        """The view that was really taken."""
        return self.view or View(self.name[1:].split(".")[0])


def concept(value: str, scheme: str, *modifiers: Dataset) -> Dataset:
    """An item of a code sequence, with its modifiers where it is a view."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "of the test kit"
    if modifiers:
        item.ViewModifierCodeSequence = list(modifiers)
    return item


def codes(shot: Shot, scheme: str) -> Tags:
    """ViewCodeSequence in SCT, SRT or SNM3, the modifier inside the view."""
    which = 0 if scheme == "SCT" else 1
    modifiers = [] if shot.modifier is None else [concept(MODIFIERS[shot.modifier][which], scheme)]
    return {"ViewCodeSequence": [concept(VIEWS[shot.shown][which], scheme, *modifiers)]}


def _word(shot: Shot, separator: str = " ") -> str:
    return shot.shown.value + ("" if shot.modifier is None else separator + WORDS[shot.modifier])


def _modern(shot: Shot) -> Tags:
    return {"ImageLaterality": shot.side.value, "ViewPosition": shot.shown.value, **codes(shot, "SCT")}


def _frame(shot: Shot) -> Tags:
    anatomy, group = Dataset(), Dataset()
    anatomy.FrameLaterality, group.FrameAnatomySequence = shot.side.value, [anatomy]
    return {"SharedFunctionalGroupsSequence": [group], **codes(shot, "SCT")}


def _anatomy(shot: Shot, scheme: str) -> Tags:
    breast = concept(*(("76752008", "SCT") if scheme == "SCT" else ("T-04000", scheme)))
    breast.AnatomicRegionModifierSequence = [concept(SIDES[shot.side][scheme != "SCT"], scheme)]
    return {"AnatomicRegionSequence": [breast], **codes(shot, scheme)}


def _beside(shot: Shot) -> Tags:
    tags = codes(shot, "SRT")
    (item,) = tags["ViewCodeSequence"]
    if "ViewModifierCodeSequence" in item:
        tags["ViewModifierCodeSequence"] = list(item.ViewModifierCodeSequence)
        del item.ViewModifierCodeSequence
    return {"ImageLaterality": shot.side.value, **tags}


def _film(shot: Shot) -> Tags:
    return {
        "SOPClassUID": SecondaryCaptureImageStorage, "PresentationIntentType": None, "ImagerPixelSpacing": None,
        "Laterality": shot.side.value, "PatientOrientation": _word(shot),
    }  # fmt: skip


STYLES: dict[str, Callable[[Shot], Tags]] = {
    "modern": _modern,
    "srt": lambda shot: {"ImageLaterality": shot.side.value, **codes(shot, "SRT")},
    "snm3": lambda shot: {"Laterality": shot.side.value, **codes(shot, "SNM3")},
    "frame": _frame,
    "anatomy": lambda shot: _anatomy(shot, "SCT"),
    "old anatomy": lambda shot: _anatomy(shot, "SRT"),
    "beside": _beside,
    "position": lambda shot: {"Laterality": shot.side.value, "ViewPosition": _word(shot)},
    "words": lambda shot: {"ViewPosition": f"{shot.side.name} {_word(shot)}"},
    "fused": lambda shot: {"ViewPosition": shot.side.value + _word(shot, "" if _displaced(shot) else " ")},
    "lower case": lambda shot: {"ImageLaterality": shot.side.value, "ViewPosition": f" {_word(shot).lower()} "},
    "text": lambda shot: {"SeriesDescription": f"Mammo {shot.side.value} {_word(shot)}"},
    "film": _film,
}
"""How systems state side, view and modifier; what a style leaves out, its files lack."""


def _displaced(shot: Shot) -> bool:
    return shot.modifier == "implant displaced"


@dataclass(frozen=True)
class Study:
    """One patient's study."""

    name: str
    shots: Sequence[Shot]
    style: str = "modern"
    orientation: str = "usual"

    def write(self, path: Path, shot: Shot, number: int) -> None:
        """One of its files; its UID draws its noise, so that copies have its pixels."""
        style, lies = shot.style or self.style, shot.lies or self.orientation
        tags: Tags = {
            "ImageLaterality": None, "ViewPosition": None, "PatientOrientation": None,
            "PatientID": f"patient of {self.name}", "StudyInstanceUID": uid("study", self.name),
            "SOPInstanceUID": uid("picture", self.name, shot.name), "InstanceNumber": 1,
        }  # fmt: skip
        hanging = ORIENTATIONS[lies].get((shot.side.value, shot.shown.value))
        if hanging is not None:
            tags["PatientOrientation"] = hanging
        tags |= {**STYLES[style](shot), **shot.tags}
        pixels = laid(marked(crc32(str(shot.tags.get("SOPInstanceUID", number)).encode())), shot.side, lies)
        dataset = mammogram(pixels)
        for name, value in tags.items():
            if value is not None:
                setattr(dataset, name, value)
            elif name in dataset:
                delattr(dataset, name)
        write_file(path, write(dataset, pixels))


FOUR = ("RCC", "LCC", "RMLO", "LMLO")


def four(*changed: Shot, without: tuple[str, ...] = ()) -> list[Shot]:
    """The usual four, some of them changed, and others besides."""
    new = {shot.name: shot for shot in changed}
    kept = [new.pop(name, Shot(name)) for name in FOUR if name not in without]
    return [*kept, *new.values()]


def alone(name: str) -> Shot:
    """The picture whose partner is lost."""
    return Shot(name, "unpaired")


def bad(name: str, code: str, tags: Mapping[str, Any], **more: Any) -> list[Shot]:
    """Four pictures, of which one is left out for its tags and its partner for want of it."""
    other = ("L" if name[0] == "R" else "R") + name[1:]
    return four(Shot(name, code, tags=tags, **more), alone(other))

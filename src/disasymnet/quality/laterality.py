"""Does each picture agree with its tags? The chest wall that is seen against the breast and the orientation stated.

A left breast hangs with its wall at the left edge, a right one at the right; where PatientOrientation says that a
picture hangs otherwise (rows run from the wall to the front, `A`, or back, `P`; PS3.3 C.7.6.1.1.1), the wall must lie
there. An orientation that belongs to the other breast is told as well, and so are tags that name both breasts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from disasymnet.data.listing import write_rejected
from disasymnet.datasets.folder import files_below
from disasymnet.errors import DatasetError, PictureError
from disasymnet.images.breast import find_breast
from disasymnet.images.picture import Facts
from disasymnet.images.read import read_picture
from disasymnet.images.tags import side_of, usual_wall
from disasymnet.progress import track
from disasymnet.records import Edge, Rejected

_LOOK = "Look at the picture (`disasymnet explain FILE --out DIR`): tags or pixels are wrong."
NEXT_STEP = {
    "wall_side": f"{_LOOK} A mirrored picture needs a PatientOrientation that says so.",
    "wall_orientation": _LOOK,
    "orientation_side": f"{_LOOK} Have the sender correct ImageLaterality or PatientOrientation.",
}
"""Codes of disagreement, each with the next step; `laterality_conflict` comes from the reader."""


@dataclass(frozen=True)
class Checked:
    """What became of a folder's files."""

    agree: int
    disagreements: tuple[Rejected, ...]
    unchecked: dict[str, int]
    """Files that could not be compared: by the code of their refusal, or `no_side` where no tag tells."""

    def text(self, folder: Path) -> str:
        """One line a disagreement, then the counts."""
        lines = [f"{_inside(found.path, folder)}: {found.code}: {found.reason}" for found in self.disagreements]
        wrong = len({found.path for found in self.disagreements})
        rest = ", ".join(f"{count} {code}" for code, count in sorted(self.unchecked.items()))
        counts = f"{self.agree} pictures agree with their tags, {wrong} do not"
        return "\n".join([*lines, counts + (f"; not compared: {rest}" if rest else "")])


def check(folder: Path, out: Path | None = None) -> Checked:
    """Compare every picture below a folder with its tags; `out`: a CSV file, one row a disagreement.

    DatasetError if there is no file.
    """
    files = list(files_below(folder)) if folder.is_dir() else []
    if not files:
        what = "the folder holds no file" if folder.is_dir() else "there is no such folder"
        raise DatasetError(what, where=folder, hint="Give the folder that holds the pictures.")
    agree, found, unchecked = 0, list[Rejected](), Counter[str]()
    for path, refused in track(files, "check", len(files)):
        try:
            if refused is not None:
                raise refused
            picture = read_picture(path)
            if usual_wall(picture.facts) is None:
                unchecked["no_side"] += 1
                continue
            wrong = list(_disagreements(path, picture.facts, find_breast(picture.pixels).chest_wall))
        except PictureError as error:
            if error.code != "laterality_conflict":
                unchecked[error.code] += 1
                continue
            wrong = [Rejected(path, error.code, error.reason, error.hint or "")]
        found += wrong
        agree += not wrong
    if out is not None:
        write_rejected(out, found, lambda path: _inside(path, folder), lambda text, path: text)
    return Checked(agree, tuple(found), dict(unchecked))


def _disagreements(path: Path, facts: Facts, seen: Edge) -> Iterator[Rejected]:
    """The wall where PatientOrientation has it, else where the breast usually has it; and these two with each other."""
    expected = usual_wall(facts)
    orientation = None if facts.exposure is None else facts.exposure.orientation
    rows = orientation is not None and orientation[0][0] in "AP"
    shown = "/".join(orientation or ())
    if seen != expected:
        code = "wall_orientation" if rows else "wall_side"
        by = f"PatientOrientation {shown}" if rows else f"{facts.laterality_from} {facts.laterality}"
        reason = f"the chest wall lies at the {seen} edge, by {by} at the {expected}"
        yield Rejected(path, code, reason, NEXT_STEP[code])
    side = side_of(orientation, facts.view)
    if side is not None and facts.laterality is not None and side is not facts.laterality:
        reason = (
            f"PatientOrientation {shown} is that of the {side.name.lower()} breast's {facts.view}, "
            f"{facts.laterality_from} says {facts.laterality}"
        )
        yield Rejected(path, "orientation_side", reason, NEXT_STEP["orientation_side"])


def _inside(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name

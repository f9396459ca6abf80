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

from disasymnet.data.listing import write_table
from disasymnet.data.pairing import NEXT_STEP as PAIR_STEP
from disasymnet.datasets.below import every_file
from disasymnet.errors import PictureError, printable
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
COLUMNS = ("picture", "result", "code", "reason", "hint")


@dataclass(frozen=True)
class Checked:
    """What became of a folder's files."""

    agree: int
    disagreements: tuple[Rejected, ...]
    not_compared: tuple[Rejected, ...]
    """Files that could not be compared, with the code of their refusal, or `no_side` where no tag tells."""

    def text(self, folder: Path) -> str:
        """One line a disagreement, one a file that was not compared, then the counts."""
        lines = [f"{_inside(found.path, folder)}: {found.code}: {found.reason}" for found in self.disagreements]
        lines += [
            f"{_inside(found.path, folder)}: not compared, {found.code}: {found.reason}" for found in self.not_compared
        ]
        wrong = len({found.path for found in self.disagreements})
        codes = Counter(found.code for found in self.not_compared)
        rest = ", ".join(f"{count} {code}" for code, count in sorted(codes.items()))
        counts = f"{self.agree} pictures agree with their tags, {wrong} do not"
        return "\n".join([*lines, counts + (f"; not compared: {rest}" if rest else "")])

    def write(self, path: Path, folder: Path) -> None:
        """The same as a CSV file of `COLUMNS`: one row a disagreement, one a file that was not compared."""
        results = (("disagrees", self.disagreements), ("not compared", self.not_compared))
        rows = [
            (_inside(found.path, folder), result, found.code, found.reason, found.hint)
            for result, entries in results
            for found in entries
        ]
        write_table(path, COLUMNS, sorted(rows))


def check(folder: Path, out: Path | None = None) -> Checked:
    """Compare every picture below a folder with its tags; `out`: a CSV file as `Checked.write` makes it.

    DatasetError without a folder, or without a file in it.
    """
    files = every_file(folder)
    agree, found, rest = 0, list[Rejected](), list[Rejected]()
    for path, refused in track(files, "check", len(files)):
        try:
            if refused is not None:
                raise refused
            picture = read_picture(path)
            if usual_wall(picture.facts) is None:
                rest.append(Rejected(path, "no_side", "no tag says which breast it shows", PAIR_STEP["no_side"]))
                continue
            wrong = list(_disagreements(path, picture.facts, find_breast(picture.pixels).chest_wall))
        except PictureError as error:
            refusal = Rejected(path, error.code, error.what, error.hint or "")
            if error.code != "laterality_conflict":
                rest.append(refusal)
                continue
            wrong = [refusal]
        found += wrong
        agree += not wrong
    checked = Checked(agree, tuple(found), tuple(rest))
    if out is not None:
        checked.write(out, folder)
    return checked


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
    return printable(path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name)

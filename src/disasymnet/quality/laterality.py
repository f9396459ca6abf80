"""Does each picture agree with its tags? The chest wall that is seen against the breast and the orientation stated.

A left breast hangs with its wall at the left edge, a right one at the right; where PatientOrientation says that a
picture hangs otherwise (rows run from the wall to the front, `A`, or back, `P`; PS3.3 C.7.6.1.1.1), the wall must lie
there. An orientation that belongs to the other breast is told as well, and so are tags that name both breasts.

Which way is up shows in an MLO alone, by the bright muscle in its upper corner, and not in every one: of a CC, and of
an MLO without a clear muscle, PatientOrientation's columns are not checked, and the last line says of how many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from disasymnet.data.listing import write_table
from disasymnet.data.pairing import NEXT_STEP as PAIR_STEP
from disasymnet.datasets.below import every_file
from disasymnet.errors import PictureError, printable
from disasymnet.images.breast import Breast, find_breast
from disasymnet.images.hanging import breast_by, wall_by
from disasymnet.images.picture import Facts, Picture
from disasymnet.images.read import read_picture
from disasymnet.images.tags import expected_wall, head_down
from disasymnet.progress import track
from disasymnet.records import Edge, Rejected
from disasymnet.terms import View

_LOOK = "Look at the picture (`disasymnet explain FILE --out DIR`): tags or pixels are wrong."
NEXT_STEP = {
    "wall_side": f"{_LOOK} A mirrored picture needs a PatientOrientation that says so.",
    "wall_orientation": _LOOK,
    "upside_down": f"{_LOOK} An upside-down picture needs a PatientOrientation that says so.",
    "orientation_side": f"{_LOOK} Have the sender correct ImageLaterality or PatientOrientation.",
}
"""Codes of disagreement, each with the next step; `laterality_conflict` comes from the reader."""
_MUSCLE = 0.4
"""How much brighter than the other corner at the chest wall the muscle's is, in medians of the breast's grey: the 322
films of mini-MIAS all lie upright: no lower corner is so much brighter, and 257 upper ones are."""
COLUMNS = ("picture", "result", "code", "reason", "hint")


@dataclass(frozen=True)
class Checked:
    """What became of a folder's files."""

    agree: int
    disagreements: tuple[Rejected, ...]
    not_compared: tuple[Rejected, ...]
    """Files that could not be compared, with the code of their refusal, or `no_side` where no tag tells."""
    up_unseen: int
    """Pictures of which only the chest wall was compared: nothing in them shows which way is up."""

    @property
    def passed(self) -> bool:
        """True if pictures were compared, and none disagrees."""
        return self.agree > 0 and not self.disagreements

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
        if not self.agree and not wrong:
            counts = "nothing could be compared: no file is a picture whose tags tell where its chest wall lies"
        lines.append(counts + (f"; not compared: {rest}" if rest else ""))
        if self.up_unseen:
            lines.append(f"which way is up does not show in {self.up_unseen} of them: there the tags are not checked")
        return "\n".join(lines)

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
    agree, unseen, found, rest = 0, 0, list[Rejected](), list[Rejected]()
    for path, refused in track(files, "check", len(files)):
        try:
            if refused is not None:
                raise refused
            picture = read_picture(path)
            if expected_wall(picture.facts) is None:
                rest.append(Rejected(path, "no_side", "no tag says which breast it shows", PAIR_STEP["no_side"]))
                continue
            breast = find_breast(picture.pixels)
            up = _up(picture, breast)
            unseen += up is None
            wrong = list(_disagreements(path, picture.facts, breast.chest_wall, up))
        except PictureError as error:
            refusal = Rejected(path, error.code, error.what, error.hint or "")
            if error.code != "laterality_conflict":
                rest.append(refusal)
                continue
            wrong = [refusal]
        found += wrong
        agree += not wrong
    checked = Checked(agree, tuple(found), tuple(rest), unseen)
    if out is not None:
        checked.write(out, folder)
    return checked


def _disagreements(path: Path, facts: Facts, seen: Edge, up: bool | None) -> Iterator[Rejected]:
    """Wall and upper edge where PatientOrientation has them, else where they usually lie; and tags with each other."""
    expected = expected_wall(facts)
    exposure = facts.exposure
    orientation = None if exposure is None else exposure.orientation
    shown = "/".join(orientation or ())
    if seen != expected:
        code = "wall_orientation" if wall_by(orientation) else "wall_side"
        by = f"PatientOrientation {shown}" if wall_by(orientation) else f"{facts.laterality_from} {facts.laterality}"
        reason = f"the chest wall lies at the {seen} edge, by {by} at the {expected}"
        yield Rejected(path, code, reason, NEXT_STEP[code])
    by_tags = not head_down(facts)
    if up is not None and up is not by_tags:
        by = f"by PatientOrientation {shown} " if orientation else "where it hangs as usual "
        reason = f"the muscle lies at the {_edge(up)} edge, {by}at the {_edge(by_tags)}"
        yield Rejected(path, "upside_down", reason, NEXT_STEP["upside_down"])
    side = breast_by(orientation, facts.view)
    if side is not None and facts.laterality is not None and side is not facts.laterality:
        reason = (
            f"PatientOrientation {shown} is that of the {side.name.lower()} breast's {facts.view}, "
            f"{facts.laterality_from} says {facts.laterality}"
        )
        yield Rejected(path, "orientation_side", reason, NEXT_STEP["orientation_side"])


def _edge(up: bool) -> str:
    return "upper" if up else "lower"


def _up(picture: Picture, breast: Breast) -> bool | None:
    """Whether an MLO stands upright, by the brighter corner at its chest wall; None where it is not clear."""
    if picture.facts.view is not View.MLO:
        return None
    pixels, mask = (
        array[:, ::-1] if breast.chest_wall == "right" else array for array in (picture.pixels, breast.mask)
    )
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    depth, width = (rows[-1] + 1 - rows[0]) // 5, 3 * (columns[-1] + 1 - columns[0]) // 10
    wide = slice(columns[0], columns[0] + width)
    corners = [
        pixels[high, wide][mask[high, wide]]
        for high in (slice(rows[0], rows[0] + depth), slice(rows[-1] + 1 - depth, rows[-1] + 1))
    ]
    upper, lower = (float(corner.mean()) if corner.size else 0.0 for corner in corners)
    if abs(upper - lower) < _MUSCLE * float(np.median(pixels[mask])):
        return None
    return upper > lower


def _inside(path: Path, folder: Path) -> str:
    return printable(path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name)

"""mini-MIAS as its archive unpacks: square pictures of 8 bits, and one list that must be read with care.

| files | planted |
|---|---|
| mdb001, 002 | both breasts: a circle in each |
| mdb003, 004 | nothing; lines with blanks at their end |
| mdb005, 006 | two lines for one picture |
| mdb059, 060 | a lesion whose circle was never written down |
| mdb211, 212 | a circle that lies in the air |
| mdb215, 216 | `*NOTE 3*` in place of a circle |
| mdb321 | its partner was not unpacked, nor was any other file |
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from disasymnet.testkit.files import write
from disasymnet.testkit.films import Film, Mask, pick, shoot
from disasymnet.testkit.planted import Planted

SIDE = 1024
_SCALE = 6

PLANTED = Planted(
    women=7,
    exams=7,
    pictures=13,
    normal=7,
    abnormal=6,
    unknown=0,
    pairs={(True, True): 1, (False, False): 1, (False, True): 2, (True, False): 2},
    lesions={"mass": 5, "calcification": 2},
    located=4,
    rejected={"missing": 309},
)
_HEAD = """INFORMATION ON THE PICTURES, written for the test kit

NOTES
1) The pairs are left (even numbers) and right (odd numbers).
2) Places count from the bottom left corner.
3) In some pictures calcifications lie all over: no place is given for them.
"""
"""The first note says the opposite of the lead markers in the films, as in the archive's own list."""


def make_mini_mias(root: Path) -> Planted:
    """Write the imitation below `root`."""
    lines: dict[int, list[str]] = defaultdict(list)
    _pair(root, 1, shoot(60, True, True), {1: "G CIRC B", 2: "G SPIC M"}, lines)
    _pair(root, 3, shoot(61, False, False), {}, lines)
    _pair(root, 5, shoot(62, False, True, lesions=2), {5: "F CIRC B"}, lines)
    _pair(root, 59, shoot(63, False, True), {}, lines)
    _pair(root, 211, shoot(64, True, False), {}, lines)
    _pair(root, 215, shoot(65, True, False), {}, lines)
    _pair(root, 321, shoot(66, False, False), {}, lines)
    (root / "all-mias" / "mdb322.pgm").unlink()
    lines |= {59: ["F CIRC B"], 212: ["G CALC B 687 882 3"], 216: ["D CALC M *NOTE 3* "]}
    listed = [f"mdb{number:03d} {line}" for number in range(1, 323) for line in lines.get(number, ["D NORM "])]
    write(root / "all-mias" / "Info.txt", "\n".join([_HEAD, *listed, ""]).encode("latin-1"))
    return PLANTED


def _pair(root: Path, odd: int, films: list[Film], marked: dict[int, str], lines: dict[int, list[str]]) -> None:
    """Left breast under the odd number, right one under the next; a line for each lesion of a marked picture."""
    for number, name in ((odd, "LEFT_MLO"), (odd + 1, "RIGHT_MLO")):
        film = pick(films, name)
        wall_right = number % 2 == 1
        pixels = _square((film.pixels >> 4).astype(np.uint8), wall_right=wall_right)
        write(root / "all-mias" / f"mdb{number:03d}.pgm", b"P5\n1024 1024\n255\n" + pixels.tobytes())
        for lesion in film.lesions if number in marked else ():
            x, y, radius = _circle(_square(lesion.astype(np.uint8), wall_right=wall_right) > 0)
            lines[number].append(f"{marked[number]} {x} {y} {radius} ")


def _square(picture: NDArray[np.uint8], *, wall_right: bool) -> NDArray[np.uint8]:
    """Mirrored, so that a left breast has its wall at the right edge, and enlarged into the square of all films."""
    large = np.kron(picture[:, ::-1], np.ones((_SCALE, _SCALE), np.uint8))
    square = np.zeros((SIDE, SIDE), np.uint8)
    top, width = (SIDE - large.shape[0]) // 2, large.shape[1]
    at = slice(SIDE - width, SIDE) if wall_right else slice(0, width)
    square[top : top + large.shape[0], at] = large
    return square


def _circle(mask: Mask) -> tuple[int, int, int]:
    """Column, row from the bottom, and radius of a disc of the same place and area."""
    rows, columns = np.nonzero(mask)
    radius = max(1, round(float(np.sqrt(mask.sum() / np.pi))))
    return round(float(columns.mean())), SIDE - 1 - round(float(rows.mean())), radius

"""Phantom breasts in memory, as the makers of imitations need them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from disasymnet.phantom.exam import full_mask, hung
from disasymnet.phantom.settings import PhantomSettings
from disasymnet.phantom.shoot import Plan, shoot_exam
from disasymnet.records import Box, Sides
from disasymnet.terms import Laterality, View

Mask = NDArray[np.bool_]
Points = list[tuple[int, int]]

LARGE = (320, 240)
"""Rows and columns of films whose lesions are large enough for a crop at 0.2 mm a pixel."""

# Directions of a chain code as (column, row): 0 is up, then clockwise.
DIRECTIONS = ((0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1))


@dataclass(frozen=True)
class Film:
    """One picture in the usual hanging, with what is wrong in it."""

    side: Laterality
    view: View
    pixels: NDArray[np.uint16]
    """(rows, columns), 12 bits."""
    lesions: tuple[Mask, ...]
    """One region without holes each, (rows, columns)."""

    @property
    def name(self) -> str:
        """Such as `LEFT_MLO`, as DDSM and its kin name views."""
        return f"{self.side.name}_{self.view.value}"


def shoot(woman: int, right: bool, left: bool, *, shape: tuple[int, int] = (160, 120), lesions: int = 1) -> list[Film]:
    """The four pictures of a woman, right CC, right MLO, left CC, left MLO; an abnormal breast has 1 or 2 lesions."""
    settings = PhantomSettings(
        exams=1, rows=shape[0], columns=shape[1], style="film", lesions="easy", second_lesion=float(lesions - 1), seed=7
    )
    shots = shoot_exam(settings, Plan(woman, "", "B", Sides(right, left)))
    return [
        Film(
            shot.side,
            shot.view,
            hung(shot.with_lesions, shot.side),
            tuple(_solid(hung(full_mask(one, shot.anatomy.frame), shot.side) > 0) for one in shot.placed),
        )
        for shot in shots
    ]


def pick(films: list[Film], name: str) -> Film:
    """The film of that name, such as `RIGHT_CC`."""
    return next(film for film in films if film.name == name)


def _solid(mask: Mask) -> Mask:
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    sizes = ndimage.sum_labels(mask, labels, range(1, count + 1))
    solid: Mask = ndimage.binary_fill_holes(labels == 1 + int(np.argmax(sizes)))
    return solid


def box_of(mask: Mask) -> Box:
    """The box around a lesion."""
    y, x = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(float(x[0]), float(y[0]), float(x[-1]) + 1, float(y[-1]) + 1)


def chain_code(mask: Mask) -> tuple[tuple[int, int], list[int]]:
    """Start (column, row) and codes of the walk round a region along its own outermost pixels, clockwise."""
    rows, columns = np.nonzero(mask)
    start = (int(columns[0]), int(rows[0]))
    padded = np.pad(mask, 1)
    codes: list[int] = []
    here, came = start, 2  # the topmost, leftmost pixel: nothing lies above or to its left
    while True:
        # Begin three eighths of a turn to the left of where the last step led.
        turns = [(came + 5 + step) % 8 for step in range(8)]
        free = [code for code in turns if padded[here[1] + DIRECTIONS[code][1] + 1, here[0] + DIRECTIONS[code][0] + 1]]
        if not free or (here == start and codes and free[0] == codes[0]):
            return start, codes
        came = free[0]
        codes.append(came)
        here = (here[0] + DIRECTIONS[came][0], here[1] + DIRECTIONS[came][1])


def walk(start: tuple[int, int], codes: list[int]) -> Points:
    """The pixels (column, row) of a chain code; the last one is the start again."""
    points = [start]
    for code in codes:
        points.append((points[-1][0] + DIRECTIONS[code][0], points[-1][1] + DIRECTIONS[code][1]))
    return points

"""The pictures of one exam in memory, with and without lesions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from disasymnet.phantom.anatomy import (
    Anatomy,
    Breast,
    SharedNoise,
    draw_anatomy,
    draw_breast,
    draw_shared_noise,
    draw_woman,
)
from disasymnet.phantom.fields import Frame
from disasymnet.phantom.lesions import Lesion, Placed, draw_island, draw_lesion, on_one_side
from disasymnet.phantom.marker import draw_marker
from disasymnet.phantom.placing import add, place
from disasymnet.phantom.settings import Density, PhantomSettings
from disasymnet.phantom.tissue import LOOKS, add_noise, blur, draw_tissue, stored
from disasymnet.records import Sides
from disasymnet.terms import Laterality, View

EXAMS, TUMOURS = 1, 2
"""First key of the random streams: exams of the set, and the patients that its tumour set is cut from."""


@dataclass(frozen=True)
class Plan:
    """What exam `index` is to show, decided before any picture is made."""

    index: int
    split: str
    density: Density
    abnormal: Sides[bool]


@dataclass(frozen=True)
class Shot:
    """One picture, chest wall at column 0: 12-bit values with and without its lesions, the lesions, the anatomy."""

    side: Laterality
    view: View
    with_lesions: NDArray[np.uint16]
    without: NDArray[np.uint16]
    placed: tuple[Placed, ...]
    anatomy: Anatomy


def stream(seed: int, *key: int) -> np.random.Generator:
    """The random numbers of one part of one exam: independent of all others and of the order of work."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def shoot_exam(settings: PhantomSettings, plan: Plan, branch: int = EXAMS) -> list[Shot]:
    """All pictures of an exam, right breast first, views in the order of the settings."""
    key = (branch, plan.index)
    woman = draw_woman(stream(settings.seed, *key, 0), plan.density)
    frame = Frame(*settings.shape, settings.pixel_mm)
    alike = stream(settings.seed, *key, 4)
    islands = tuple(draw_island(alike, woman.reach) for _ in range(alike.poisson(settings.mean_islands)))
    made = []
    for side_number, side in enumerate((Laterality.RIGHT, Laterality.LEFT)):
        rng = stream(settings.seed, *key, 2, side_number)
        breast = draw_breast(rng, woman)
        lesions = _draw_lesions(rng, settings, woman.reach) if plan.abnormal[side] else ()
        here = stream(settings.seed, *key, 4, side_number)
        benign = tuple(on_one_side(here, island) for island in islands)
        for view in map(View, settings.views):
            view_number = (View.CC, View.MLO).index(view)
            shared = draw_shared_noise(stream(settings.seed, *key, 1, view_number))
            rng = stream(settings.seed, *key, 3, side_number, view_number)
            anatomy = draw_anatomy(rng, breast, view, frame, shared)
            # The same numbers for both breasts: islands lie at about mirrored places.
            places = stream(settings.seed, *key, 5, view_number)
            scene = _Scene(settings, breast, anatomy, side, view)
            made.append(scene.shoot(rng, lesions, shared, benign, places))
    return made


def _draw_lesions(rng: np.random.Generator, settings: PhantomSettings, reach: float) -> tuple[Lesion, ...]:
    count = 2 if rng.uniform() < settings.second_lesion else 1
    return tuple(draw_lesion(rng, settings.lesions, reach) for _ in range(count))


@dataclass(frozen=True)
class _Scene:
    settings: PhantomSettings
    breast: Breast
    anatomy: Anatomy
    side: Laterality
    view: View

    def shoot(
        self,
        rng: np.random.Generator,
        lesions: tuple[Lesion, ...],
        shared: SharedNoise,
        islands: tuple[Lesion, ...],
        places: np.random.Generator,
    ) -> Shot:
        """Both pictures have the same tissue and the same noise; lesions draw their places from a child stream."""
        look = LOOKS[self.settings.style]
        frame = self.anatomy.frame
        for_lesions, rng = rng.spawn(2)
        grey = draw_tissue(rng, self.breast, self.anatomy, shared, look)
        benign = place(places, self.anatomy, grey, islands, self.view)
        grey = add(grey, benign)
        marker = draw_marker(rng, self.anatomy, self.side, self.view, self.settings.style)
        if marker is not None:
            grey = np.maximum(grey, marker)
        noise = add_noise(rng, grey, look)
        without = stored(blur(grey, frame) + noise, look)
        placed = place(for_lesions, self.anatomy, grey, lesions, self.view, benign)
        if not placed:
            return Shot(self.side, self.view, without, without, (), self.anatomy)
        with_lesions = stored(blur(add(grey, placed), frame) + noise, look)
        return Shot(self.side, self.view, with_lesions, without, placed, self.anatomy)

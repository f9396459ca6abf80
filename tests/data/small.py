"""Small caches, tumour sets and recipes, made in a moment and without any picture file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from disasymnet.data.cache import (
    Cache,
    CachedFinding,
    CachedPair,
    CachedSingle,
    Manifest,
    PairArrays,
    member_of,
    write_cache,
)
from disasymnet.data.splits import make_splits
from disasymnet.data.tumours import Tumour, TumourSet
from disasymnet.images.geometry import Geometry
from disasymnet.recipe import Recipe
from disasymnet.records import Box, Sides
from disasymnet.settings import ImageSettings
from disasymnet.terms import FindingKind, Laterality, View

HEIGHT, WIDTH = 64, 32
IMAGE = ImageSettings(height=HEIGHT, width=WIDTH, mm_per_pixel=2.0)
GEOMETRY = Geometry((2 * HEIGHT, 2 * WIDTH), (HEIGHT, WIDTH), False, False, (2.0, 2.0), (0.0, 0.0))
LABELS: tuple[tuple[bool | None, bool | None], ...] = ((False, False), (True, False), (False, False), (False, True))


def breast_mask() -> NDArray[np.bool_]:
    """A half ellipse at the left edge."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return ((y - (HEIGHT - 1) / 2) / 26) ** 2 + (x / 24) ** 2 < 1


def make_arrays(seed: int, sides: int = 2, *, lesion_right: bool = True) -> PairArrays:
    rng = np.random.default_rng(seed)
    breast = np.stack([breast_mask()] * sides)
    image = rng.integers(10000, 40000, breast.shape).astype(np.uint16) * breast
    lesion = np.zeros_like(breast)
    lesion[0, 30:34, 8:12] = lesion_right
    return PairArrays(image=image, breast=breast, lesion=lesion)


def make_pair(number: int, labels: tuple[bool | None, bool | None]) -> CachedPair:
    """Two pairs a patient, CC and MLO."""
    patient, view = f"p{number // 2:03d}", (View.CC, View.MLO)[number % 2]
    finding = CachedFinding(FindingKind.MASS, "CIRC", None, Box(8, 30, 12, 34))
    return CachedPair(
        id=f"{patient}-{view}",
        name=f"{patient} {view}",
        patient=patient,
        exam=patient,
        view=view,
        abnormal=Sides(*labels),
        geometry=Sides(GEOMETRY, GEOMETRY),
        findings=Sides((finding,) if labels[0] else (), ()),
        pixel_mm=2.0,
    )


def make_single(number: int) -> CachedSingle:
    name = f"s{number:03d}"
    return CachedSingle(name, name, name, name, View.CC, Laterality.LEFT, True, GEOMETRY)


def make_tumours(count: int = 20, source: str = "other set") -> TumourSet:
    """Bright discs of 8 pixels in a window of 12; women of train, val and test in turn."""
    y, x = np.mgrid[:12, :12] - 5.5
    disc = np.where(y**2 + x**2 < 16, 50000, 20000).astype(np.uint16)
    splits = ("train", "val", "test")
    tumours = tuple(
        Tumour(disc + np.uint16(number), "mass", source, f"w{number:02d}", (8.0, 8.0), 1.0, splits[number % 3])
        for number in range(count)
    )
    return TumourSet(tumours)


def make_cache(
    root: Path,
    pairs: int = 24,
    *,
    labels: tuple[tuple[bool | None, bool | None], ...] = LABELS,
    singles: int = 0,
    tumours: TumourSet | None = None,
) -> Cache:
    """A cache of a made-up data set; two pairs a patient."""
    records = tuple(make_pair(number, labels[number // 2 % len(labels)]) for number in range(pairs))
    alone = tuple(make_single(number) for number in range(singles))
    splits = make_splits([member_of(item) for item in (*records, *alone)])
    arrays = [make_arrays(n, lesion_right=bool(pair.abnormal.right)) for n, pair in enumerate(records)]
    arrays += [make_arrays(900 + n, 1) for n in range(singles)]
    return write_cache(root, Manifest("made-up", True, IMAGE, records, alone), splits, arrays, tumours)


def make_recipe(*changes: str) -> Recipe:
    """The recommended recipe at the small caches' size."""
    return Recipe.load("recommended", [f"image.height={HEIGHT}", f"image.width={WIDTH}", *changes])

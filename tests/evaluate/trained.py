"""Small caches with known truth, and runs on them, made in a moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from disasymnet import checkpoint
from disasymnet.checkpoint import Card, Checkpoint
from disasymnet.data.cache import Cache, Manifest, PairArrays, member_of, write_cache
from disasymnet.data.splits import make_splits
from disasymnet.data.tumours import TumourSet
from disasymnet.methods import build
from disasymnet.methods.base import Method, PairOutput
from disasymnet.recipe import Recipe
from tests.data.small import HEIGHT, IMAGE, LABELS, WIDTH, breast_mask, make_pair, make_recipe

SMALL = (
    "image.mm_per_pixel=2.0",
    "model.encoder.stem=3x3",
    "model.encoder.widths=[8, 8, 16, 16]",
    "model.encoder.blocks=[1, 1, 1, 1]",
    "model.encoder.strides=[2, 2, 2, 1]",
    "model.transformer.layers=1",
    "model.transformer.heads=4",
    "model.decoder.widths=[16, 8, 8]",
    "train.batch=4",
)
GLOW = 0.25  # of every lesion


def small_recipe(*changes: str) -> Recipe:
    return make_recipe(*SMALL, *changes)


def lesion_mask() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[30:34, 8:12] = True
    return mask


def known_arrays(number: int, abnormal: tuple[bool | None, bool | None], *, truth: bool = True) -> PairArrays:
    """Smooth grey; abnormal sides glow inside the lesion mask, and the picture without the glow is known."""
    rng = np.random.default_rng(number)
    breast = np.stack([breast_mask()] * 2)
    free = (0.3 + 0.02 * rng.random(breast.shape)) * breast
    lesion = np.stack([lesion_mask() & bool(side) for side in abnormal])
    seen = free + GLOW * lesion
    grey, without = (np.round(65535 * each).astype(np.uint16) for each in (seen, free))
    return PairArrays(grey, breast, lesion, without if truth and lesion.any() else None)


def known_cache(root: Path, pairs: int = 40, *, truth: bool = True, tumours: TumourSet | None = None) -> Cache:
    """Two pairs a patient; a quarter abnormal on the right (with a finding), a quarter on the left."""
    labels = [LABELS[number // 2 % len(LABELS)] for number in range(pairs)]
    records = []
    for number, both in enumerate(labels):
        pair = make_pair(number, both)
        finding = make_pair(0, (True, False)).findings.right
        findings = pair.findings if both[0] else replace(pair.findings, left=finding if both[1] else ())
        records.append(replace(pair, findings=findings, density="AB"[number // 8 % 2]))
    splits = make_splits([member_of(pair) for pair in records], shares=(0.4, 0.2, 0.4))
    arrays = [known_arrays(number, both, truth=truth) for number, both in enumerate(labels)]
    return write_cache(root, Manifest("made-up", True, IMAGE, tuple(records)), splits, arrays, tumours)


def card_of(cache: Cache, recipe: Recipe) -> Card:
    return Card(
        method=recipe.method,
        recipe=recipe.digest,
        cache=cache.digest,
        dataset=cache.dataset,
        height=HEIGHT,
        width=WIDTH,
    )


def save_run(folder: Path, cache: Cache, recipe: Recipe) -> Path:
    """An untrained run."""
    torch.manual_seed(0)
    checkpoint.save(folder / "best", build(recipe), recipe, card_of(cache, recipe))
    return folder


class Knowing(Method):
    """Sees the glow by its grey: a method whose scores can be worked out by hand."""

    def __init__(self, kept: float = 0.0) -> None:
        super().__init__()
        self.kept = kept

    def forward(self, image: Tensor, breast: Tensor) -> PairOutput:
        glow = (image > 0.4).float()
        right, left = glow.amax((1, 2, 3)).chunk(2)
        side = 8 * torch.cat([right, left]) - 4 + 0.1 * image.mean((1, 2, 3))
        pair = 8 * torch.maximum(right, left) - 4
        return PairOutput(side, pair, glow, image - (1 - self.kept) * GLOW * glow, glow * image)


def knowing(cache: Cache, kept: float = 0.0) -> Checkpoint:
    recipe = small_recipe()
    return Checkpoint(Knowing(kept), recipe, card_of(cache, recipe))

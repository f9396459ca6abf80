from __future__ import annotations

import pytest
import torch

from disasymnet.data.batch import Labels, PairBatch
from disasymnet.recipe import Recipe

SMALL = [
    "image.height=64",
    "image.width=32",
    "model.encoder.stem=3x3",
    "model.encoder.widths=[8, 8, 16, 16]",
    "model.encoder.blocks=[1, 1, 1, 1]",
    "model.encoder.strides=[2, 2, 2, 1]",
    "model.transformer.layers=2",
    "model.transformer.heads=4",
    "model.decoder.widths=[16, 8, 8]",
]


@pytest.fixture
def small() -> list[str]:
    """Changes that make any preset small enough for a test."""
    return list(SMALL)


def make_batch(pairs: int, seed: int = 0, synthetic: int = 1) -> PairBatch:
    """Pairs whose abnormal sides hold a bright disc; the first `synthetic` pairs carry a known lesion-free picture."""
    generator = torch.Generator().manual_seed(seed)
    x = 0.3 + 0.1 * torch.rand(2 * pairs, 1, 64, 32, generator=generator)
    side = torch.zeros(2 * pairs)
    side[: pairs // 2 or 1] = 1
    side[:synthetic] = 1
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(32), indexing="ij")
    disc = ((rows - 30) ** 2 + (columns - 12) ** 2 < 49).float()
    image = (x + 0.4 * disc * side[:, None, None, None]).clamp(0, 1)
    chosen = torch.zeros(pairs, dtype=torch.bool)
    chosen[:synthetic] = True
    breast = torch.ones_like(x, dtype=torch.bool)
    breast[..., 26:] = False
    return PairBatch(
        image=image * breast,
        breast=breast,
        labels=Labels.of_sides(side),
        ids=tuple(f"pair-{index}" for index in range(pairs)),
        real=x * breast,
        synthetic=chosen,
    )


@pytest.fixture
def batch() -> PairBatch:
    return make_batch(4)


@pytest.fixture
def recommended(small: list[str]) -> Recipe:
    return Recipe.load("recommended", small)

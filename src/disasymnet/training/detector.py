"""The trunk as a fully convolutional lesion detector: one logit for each feature cell.

Cell (i, j) looks at pixel (S i, S j) of the model grid, S the encoder's stride.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from disasymnet import checkpoint
from disasymnet.data.cache import Cache
from disasymnet.errors import CheckpointError
from disasymnet.methods.base import Losses
from disasymnet.networks.encoder import Encoder, GreyStatistics
from disasymnet.recipe import Recipe
from disasymnet.training.start import DETECTOR

PLAIN_SHARE = 0.3  # of the loss over all cells in the hard phase, so that the easy cells are not forgotten
FIRST_BIAS = -3.0  # few cells are lesion; from 0 the first hundred steps would only learn that


@dataclass(frozen=True)
class CropBatch:
    """N crops of pictures, with the truth of each feature cell."""

    image: Tensor
    """(N, 1, h, w) float32 in [0, 1]."""
    breast: Tensor
    """(N, 1, h, w) bool."""
    statistics: GreyStatistics
    """Of the whole pictures: in use there are no crops."""
    truth: Tensor
    """(N, 1, h / S, w / S) 1 = lesion, 0 = background, NaN = between the two."""
    hard: bool
    """Crops of the second phase."""
    ids: tuple[str, ...]

    def to(self, device: torch.device) -> CropBatch:
        """The same batch on another device."""
        statistics = GreyStatistics(self.statistics.mean.to(device), self.statistics.std.to(device))
        image, breast, truth = (tensor.to(device) for tensor in (self.image, self.breast, self.truth))
        return CropBatch(image, breast, statistics, truth, self.hard, self.ids)


class Detector(nn.Module):
    """Encoder and a 1x1 head; `head` has the form of a side head's weights."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.settings = recipe.pretrain
        self.encoder = Encoder(recipe.model.encoder)
        self.head = nn.Conv2d(recipe.model.encoder.widths[-1], 1, 1)
        nn.init.constant_(self.head.bias, FIRST_BIAS)  # type: ignore[arg-type]

    def forward(self, image: Tensor, breast: Tensor, statistics: GreyStatistics | None = None) -> Tensor:
        """(N, 1, H, W) grey in [0, 1] and bool masks -> (N, 1, H / S, W / S) lesion logits."""
        logits: Tensor = self.head(self.encoder(image, breast, statistics).out)
        return logits

    def objectives(self, batch: CropBatch) -> Iterator[Losses]:
        """All cells; in the hard phase above all the worst background cells of each crop."""
        logits = self(batch.image, batch.breast, batch.statistics).float()
        plain = cell_loss(logits, batch.truth, self.settings.positive_weight)
        if not batch.hard:
            yield {"cells": (1.0, plain)}
            return
        losses: Losses = {
            "hard_negatives": (1.0, worst_negatives(logits, batch.truth, self.settings.hard_cells)),
            "cells": (PLAIN_SHARE, plain),
        }
        if bool((batch.truth == 1).any()):
            losses["positives"] = (1.0, F.softplus(-logits[batch.truth == 1]).mean())
        yield losses


def cell_loss(logits: Tensor, truth: Tensor, positive_weight: float) -> Tensor:
    """Mean binary cross-entropy over the cells whose truth is known, lesion cells weighted."""
    known = ~truth.isnan()
    weight = torch.tensor(positive_weight, device=logits.device)
    each = F.binary_cross_entropy_with_logits(logits, truth.nan_to_num(0), pos_weight=weight, reduction="none")
    return (each * known).sum() / known.sum().clamp_min(1)


def worst_negatives(logits: Tensor, truth: Tensor, cells: int) -> Tensor:
    """Mean cross-entropy of the `cells` highest background cells of each crop."""
    background = logits.masked_fill(truth != 0, -torch.inf).flatten(1)  # NaN != 0 is true: unknown cells are out
    worst = background.topk(min(cells, background.shape[1]), dim=1).values
    return F.softplus(worst[worst.isfinite()]).mean() if bool(worst.isfinite().any()) else logits.sum() * 0


def load_detector(folder: Path) -> Detector:
    """The detector that `pretrain` wrote, in eval mode. CheckpointError if it is another thing or damaged."""
    stored = checkpoint.read(folder)
    if stored.recipe.method != DETECTOR:
        raise CheckpointError(f"holds {stored.recipe.method!r}, no detector", where=stored.folder)
    detector = Detector(stored.recipe)
    checkpoint.put(detector, stored.weights, where=stored.folder)
    return detector.eval()


@dataclass(frozen=True)
class Maps:
    """A detector's answers on pairs it was never taught, right sides first."""

    ids: tuple[str, ...]
    cells: NDArray[np.float32]
    """(n, 2, H / S, W / S) lesion logits; cell (i, j) at pixel (S i, S j)."""
    highest: NDArray[np.float32]
    """(n, 2) the largest cell of each side."""
    log_sum_exp: NDArray[np.float32]
    """(n, 2) the soft maximum over the cells of each side."""
    stride: int

    def place(self, pair: int, side: int) -> tuple[float, float]:
        """(x, y) of a side's largest cell in pixels of the model grid."""
        row, column = np.unravel_index(int(self.cells[pair, side].argmax()), self.cells.shape[2:])
        return float(column * self.stride + 0.5), float(row * self.stride + 0.5)


def zero_shot(
    detector: Detector, cache: Cache, ids: Sequence[str], *, device: torch.device | None = None, batch: int = 16
) -> Maps:
    """The detector's maps and scores of pairs of a cache, without any label of theirs."""
    where = device or torch.device("cpu")
    detector.to(where).eval()
    parts = []
    with torch.inference_mode():
        for first in range(0, len(ids), batch):
            arrays = [cache.arrays(name) for name in ids[first : first + batch]]
            # Pairs stay together here: (n, 2, H, W) -> (2n, 1, H, W).
            grey = np.concatenate([one.image for one in arrays]).astype(np.float32) / 65535
            breast = np.concatenate([one.breast for one in arrays])
            image = torch.from_numpy(grey)[:, None].to(where)
            parts.append(detector(image, torch.from_numpy(breast)[:, None].to(where)).float().cpu())
    cells = torch.cat(parts)
    cells = cells.view(len(ids), 2, *cells.shape[2:])
    flat = cells.flatten(2)
    return Maps(
        tuple(ids),
        cells.numpy(),
        flat.amax(2).numpy(),
        flat.logsumexp(2).numpy(),
        detector.encoder.settings.stride,
    )

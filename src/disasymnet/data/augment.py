"""Random zoom and crop of a pair [P], the same for both sides but for a small jitter of each; seeded by the pair.

A breast keeps its chest wall at column 0: zooming in crops at the air side, above and below. A jitter along x only
moves the breast out of the picture, never away from its edge: no mammogram has air behind the chest wall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional as F

from disasymnet.data.batch import Labels, PairBatch
from disasymnet.settings import AugmentSettings


@dataclass(frozen=True)
class Change:
    """What is drawn for one pair."""

    zoom: float = 1.0
    """Above 1: the breast becomes larger."""
    shift: float = 0.0
    """Downwards, in units of the height; both sides."""
    jitter: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 0.0), (0.0, 0.0))
    """Of each side, x and y in units of width and height; x is never positive."""
    flip: bool = False
    """Top and bottom of both sides."""
    swap: bool = False
    """Right and left exchanged, with their labels."""
    gain: float = 1.0
    gamma: float = 1.0

    @property
    def moves(self) -> bool:
        """False if every pixel stays where it is."""
        return (self.zoom, self.shift, self.jitter, self.flip) != (1.0, 0.0, ((0.0, 0.0), (0.0, 0.0)), False)


NONE = Change()


def draw(rng: np.random.Generator, settings: AugmentSettings) -> Change:
    """One pair's change. Takes the same count of numbers whatever the settings: switching one leaves the others."""
    zoom, shift, gain, gamma = (float(value) for value in rng.uniform(-1, 1, 4))
    flip, swap = (bool(value < 0.5) for value in rng.random(2))
    (x_r, y_r), (x_l, y_l) = rng.uniform(-1, 1, (2, 2)).tolist()
    jitter = settings.jitter
    return Change(
        zoom=1 + settings.zoom * zoom,
        shift=settings.shift * shift,
        jitter=((-jitter * abs(x_r), jitter * y_r), (-jitter * abs(x_l), jitter * y_l)),
        flip=flip and settings.vertical_flip,
        swap=swap and settings.swap_sides,
        gain=1 + settings.grey * gain,
        gamma=1 + settings.grey * gamma,
    )


def apply(batch: PairBatch, changes: Sequence[Change]) -> PairBatch:
    """The batch with each pair changed as drawn; breast and lesion masks go along. Outside the breast stays 0."""
    batch = _swap(batch, [change.swap for change in changes])
    if any(change.moves for change in changes):
        batch = _move(batch, changes)
    if any((change.gain, change.gamma) != (1.0, 1.0) for change in changes):
        gain, gamma = (
            torch.tensor([getattr(change, name) for change in changes] * 2, device=batch.image.device).view(-1, 1, 1, 1)
            for name in ("gain", "gamma")
        )
        batch = replace(batch, image=(gain * batch.image**gamma).clamp(0, 1))
    return batch


def _swap(batch: PairBatch, swaps: Sequence[bool]) -> PairBatch:
    if not any(swaps):
        return batch
    count = batch.pairs
    right = [pair + count * swap for pair, swap in enumerate(swaps)]
    left = [pair + count * (not swap) for pair, swap in enumerate(swaps)]
    order = torch.tensor(right + left, device=batch.image.device)
    return replace(
        batch,
        image=batch.image[order],
        breast=batch.breast[order],
        labels=Labels(batch.labels.side[order], batch.labels.asymmetric),
        lesion=None if batch.lesion is None else batch.lesion[order],
    )


def _move(batch: PairBatch, changes: Sequence[Change]) -> PairBatch:
    """All pictures and masks resampled together: one grid for the channels of one side."""
    parts = [batch.image, batch.breast.float()] + ([] if batch.lesion is None else [batch.lesion.float()])
    theta = torch.tensor(
        [_theta(change, side) for side in (0, 1) for change in changes],
        dtype=torch.float32,
        device=batch.image.device,
    )
    stack = torch.cat(parts, 1)
    grid = F.affine_grid(theta, list(stack.shape), align_corners=False)
    moved = F.grid_sample(stack, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    image, breast, *lesion = (channel.unsqueeze(1) for channel in moved.unbind(1))
    inside = breast > 0.5
    # The mean of the breast's own pixels: with the zeros around it its rim would be darker than in use.
    image = image / breast.clamp_min(0.5)
    return replace(
        batch,
        image=torch.where(inside, image, 0.0).clamp(0, 1),
        breast=inside,
        lesion=lesion[0] > 0.5 if lesion else None,
    )


def _theta(change: Change, side: int) -> list[list[float]]:
    """Rows of the map from an output pixel to the input pixel it shows, both in [-1, 1] across the picture.

    Along x the fixed point is the chest wall, -1; along y the middle, 0. A shift of s heights is 2 s in these units.
    """
    jitter_x, jitter_y = change.jitter[side]
    z = change.zoom
    up = -1.0 if change.flip else 1.0
    return [
        [1 / z, 0.0, (1 - 2 * jitter_x) / z - 1],
        [0.0, up / z, -2 * up * (change.shift + jitter_y) / z],
    ]

"""What the networks see: a batch of pairs as tensors.

Both sides travel as one stack of 2B pictures, right sides first: one forward for both, one BatchNorm statistic for
both, and no second copy of the code for the other side.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Labels:
    """Truth of a batch, float32 with 1 = yes, 0 = no, NaN = unknown (takes no part in a loss or a score)."""

    side: Tensor
    """(2B,) abnormal, right sides first."""
    asymmetric: Tensor
    """(B,) max of the two sides."""

    def all_normal(self) -> Labels:
        """The labels of a pair without any finding (E9)."""
        return Labels(torch.zeros_like(self.side), torch.zeros_like(self.asymmetric))

    @classmethod
    def of_sides(cls, side: Tensor) -> Labels:
        """Both labels from those of the sides: y_asy = max(y_r, y_l); unknown unless one is 1 or both are known."""
        right, left = side.chunk(2)
        known = torch.maximum(right.nan_to_num(0), left.nan_to_num(0))
        undecided = (right.isnan() | left.isnan()) & (known < 1)
        return cls(side, known.masked_fill(undecided, torch.nan))


@dataclass(frozen=True)
class PairBatch:
    """B pairs on the model grid (chest wall at column 0, both sides alike), right sides first."""

    image: Tensor
    """(2B, 1, H, W) float32 in [0, 1]; outside the breast 0."""
    breast: Tensor
    """(2B, 1, H, W) bool."""
    labels: Labels
    ids: tuple[str, ...]
    """B names for logs and errors."""
    real: Tensor | None = None
    """(2B, 1, H, W) the pictures before Synthesis, the target of E12; None where nothing was synthesised."""
    synthetic: Tensor | None = None
    """(B,) bool, pairs with blended tumours."""
    lesion: Tensor | None = None
    """(2B, 1, H, W) bool, where the tumours were blended or the lesions are known; never used by a loss."""
    extra: PairBatch | None = None
    """Synthesised pairs of a second forward (`synthesis.mode = extra`)."""

    @property
    def pairs(self) -> int:
        """B."""
        return self.image.shape[0] // 2

    def to(self, device: torch.device) -> PairBatch:
        """The same batch on another device."""

        def move(value: object) -> object:
            if isinstance(value, Tensor):
                return value.to(device, non_blocking=True)
            if isinstance(value, Labels):
                return Labels(*(getattr(value, f.name).to(device, non_blocking=True) for f in fields(value)))
            return value.to(device) if isinstance(value, PairBatch) else value

        moved: dict[str, Any] = {f.name: move(getattr(self, f.name)) for f in fields(self)}
        return replace(self, **moved)

    def swap(self) -> PairBatch:
        """Right and left exchanged."""

        def exchange(stack: Tensor | None) -> Tensor | None:
            return None if stack is None else swap_sides(stack)

        return replace(
            self,
            image=swap_sides(self.image),
            breast=swap_sides(self.breast),
            labels=Labels(swap_sides(self.labels.side), self.labels.asymmetric),
            real=exchange(self.real),
            lesion=exchange(self.lesion),
            extra=None if self.extra is None else self.extra.swap(),
        )


def swap_sides(stack: Tensor) -> Tensor:
    """(2B, ...) right first -> (2B, ...) left first."""
    right, left = stack.chunk(2)
    return torch.cat([left, right])

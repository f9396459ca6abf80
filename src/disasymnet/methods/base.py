"""What the loop, prediction and evaluation may rely on, whichever the method."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from disasymnet.data.batch import PairBatch

Losses = dict[str, tuple[float, Tensor]]
"""name -> (weight, scalar)."""


@dataclass(frozen=True)
class PairOutput:
    """A method's answer on B pairs; a head that a method lacks is None, never a made-up number."""

    side_logit: Tensor
    """(2B,) abnormal, right sides first."""
    asymmetry_logit: Tensor | None
    """(B,)."""
    cam: Tensor
    """(2B, 1, H, W) float32 in [0, 1]: M, where the side head sees an abnormality. Not cut by the breast."""
    normal: Tensor | None = None
    """(2B, 1, H, W) x_n, the side as it would look if it were normal."""
    abnormal_part: Tensor | None = None
    """(2B, 1, H, W) x_ab."""


class Method(nn.Module):
    """A network with its training objectives."""

    def forward(self, image: Tensor, breast: Tensor) -> PairOutput:
        """(2B, 1, H, W) grey in [0, 1] and breast mask, right sides first -> answers."""
        raise NotImplementedError

    def objectives(self, batch: PairBatch) -> Iterator[Losses]:
        """The objectives of one training step, in order; the loop optimises each before asking for the next."""
        raise NotImplementedError

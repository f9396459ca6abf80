"""AsymMirai's rule: the largest local difference of both sides' features is the asymmetry (Donnelly et al., 2024).

Radiology 310(3). The rule alone, on the common encoder instead of Mirai's. It has no side head: it never says which
breast is abnormal.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from disasymnet.methods.base import Classifier
from disasymnet.networks.heads import Answers
from disasymnet.recipe import Recipe

GRID = 5  # places in each direction


class AsymMirai(Classifier):
    """z = (s - mean) / std, s the largest norm over 5 x 5 places of |f_r - f_l|, max-pooled to them.

    Norms are in units of sqrt(C), so that mean and std, which are learned, may start from 1 at any width.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.mean = nn.Parameter(torch.ones(()))
        self.log_std = nn.Parameter(torch.zeros(()))

    def answers(self, image: Tensor, breast: Tensor) -> Answers:
        """An asymmetry logit; the evidence is the pair's, cell by cell on the same scale, for both sides."""
        f_r, f_l = self.encoder(image, breast).out.chunk(2)
        difference = (f_r - f_l).abs()
        places = _norm(F.adaptive_max_pool2d(difference, GRID)).flatten(1)
        cells = self._standardised(_norm(difference))
        return Answers(None, self._standardised(places.amax(1)), torch.cat([cells, cells]), cells.new_zeros(()))

    def _standardised(self, norm: Tensor) -> Tensor:
        return (norm - self.mean) / self.log_std.exp()


def _norm(features: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, 1, h, w): length over the channels, divided by sqrt(C)."""
    return (features.float().square().mean(1, keepdim=True) + 1e-12).sqrt()  # 1e-12: finite slope at no difference

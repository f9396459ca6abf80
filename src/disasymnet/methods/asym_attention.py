"""asym-attention: the difference of the sides says where to look.

A reconstruction of ours from an abstract: "Looking for abnormalities using asymmetrical information from bilateral
mammograms" (Wang et al., MIDL 2022), of which neither code nor layers are public. Its numbers are not those of that
work and are never called so.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from disasymnet.methods.base import Classifier
from disasymnet.networks.heads import Answers, Heads
from disasymnet.recipe import Recipe


class AsymAttention(Classifier):
    """D = |f_r - f_l|, A = sigmoid(conv1x1(D)), f' = f (1 + A) for both sides, and the heads on f'.

    The asymmetry head sees |f'_r - f'_l| = D (1 + A).
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        width = recipe.model.encoder.widths[-1]
        self.attention = nn.Conv2d(width, 1, 1)
        self.heads = Heads(width, recipe.model.heads)

    def answers(self, image: Tensor, breast: Tensor) -> Answers:
        """As `Classifier.answers`."""
        f = self.encoder(image, breast).out
        f_r, f_l = f.chunk(2)
        attention = self.attention((f_r - f_l).abs()).sigmoid()  # (B, 1, h, w), one for both sides
        answers: Answers = self.heads(f * (1 + torch.cat([attention, attention])), breast)
        return answers

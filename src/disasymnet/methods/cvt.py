"""CVT: a cross-view transformer between the third and the last stage of the encoder, then late fusion.

After van Tulder, Tong and Marchiori (MICCAI 2021), who joined CC and MLO. Here the views are left and right: both sides
share one encoder and one attention, which works in both directions.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from disasymnet.data.batch import swap_sides
from disasymnet.methods.base import Classifier
from disasymnet.networks.concat_heads import ConcatHeads
from disasymnet.networks.heads import Answers
from disasymnet.recipe import Recipe
from disasymnet.settings import CvtSettings

KEY_WIDTH = 32  # of a head


class Cvt(Classifier):
    """Encoder with cross-view attention in front of its last stage, and linear heads on both sides' features."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        widths = recipe.model.encoder.widths
        self.attention = CrossViewAttention(widths[2], recipe.model.cvt)
        self.heads = ConcatHeads(widths[-1], recipe.model.heads)

    def answers(self, image: Tensor, breast: Tensor) -> Answers:
        """As `Classifier.answers`."""
        features = self.encoder(image, breast, before_last=self.attention)
        answers: Answers = self.heads(features.out, breast)
        return answers


class CrossViewAttention(nn.Module):
    """f + Linear(what the other side's features answer); the values are those features themselves."""

    def __init__(self, width: int, settings: CvtSettings) -> None:
        super().__init__()
        self.settings = settings
        self.query = nn.Linear(width, settings.heads * KEY_WIDTH, bias=False)
        self.key = nn.Linear(width, settings.heads * KEY_WIDTH, bias=False)
        self.merge = nn.Linear(settings.heads * width, width, bias=False)
        self.add = nn.Linear(width, width, bias=False)
        if settings.zero_init:
            nn.init.zeros_(self.add.weight)
        self.tokens = nn.Linear(width, settings.tokens, bias=False) if settings.form == "token" else None

    def forward(self, f: Tensor) -> Tensor:
        """(2B, C, h, w) features, right sides first -> the same shape."""
        factor = self.settings.pool if self.tokens is None else 1
        small = F.max_pool2d(f, factor, ceil_mode=True) if factor > 1 else f
        cells = small.flatten(2).transpose(1, 2)  # (2B, L, C)
        asked = swap_sides(cells)
        if self.tokens is not None:
            asked = self.tokens(asked).softmax(1).transpose(1, 2) @ asked  # (2B, T, C), means over the cells
        change = self.add(self._attend(cells, asked)).transpose(1, 2).reshape(small.shape)
        if factor > 1:
            change = F.interpolate(change, scale_factor=float(factor), mode="nearest")
        changed: Tensor = f + change[..., : f.shape[2], : f.shape[3]]
        return changed

    def _attend(self, cells: Tensor, asked: Tensor) -> Tensor:
        heads = self.settings.heads
        q, k = (
            layer(x).unflatten(2, (heads, KEY_WIDTH)).transpose(1, 2)  # (2B, heads, L or T, 32)
            for layer, x in ((self.query, cells), (self.key, asked))
        )
        v = asked[:, None].expand(-1, heads, -1, -1)
        found = F.scaled_dot_product_attention(q, k, v)  # (2B, heads, L, C)
        merged: Tensor = self.merge(found.transpose(1, 2).flatten(2))
        return merged

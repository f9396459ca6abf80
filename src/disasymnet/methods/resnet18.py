"""ResNet18: one breast at a time, the single-view row of the comparison. It has no asymmetry head."""

from __future__ import annotations

from torch import Tensor

from disasymnet.methods.base import Classifier
from disasymnet.networks.heads import Answers, Heads
from disasymnet.recipe import Recipe


class ResNet18(Classifier):
    """Encoder, pooling, one linear head."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.heads = Heads(recipe.model.encoder.widths[-1], recipe.model.heads, pair=False)

    def answers(self, image: Tensor, breast: Tensor) -> Answers:
        """As `Classifier.answers`, without an asymmetry logit."""
        answers: Answers = self.heads(self.encoder(image, breast).out, breast)
        return answers

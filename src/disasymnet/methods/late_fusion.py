"""Late fusion: each side encoded and pooled alone, the classifiers on both results.

The idea of Li et al. (IEEE/ACM TCBB 18(3), 2021, density from several views) brought to a left-right pair, as the
DisAsymNet paper names it; the paper's rows without AsyC classify in the same way.
"""

from __future__ import annotations

from torch import Tensor

from disasymnet.methods.base import Classifier
from disasymnet.networks.concat_heads import ConcatHeads, ConcatMlpHeads
from disasymnet.networks.heads import Answers
from disasymnet.recipe import Recipe


class LateFusion(Classifier):
    """Encoder, and linear or MLP heads on [own side, other side]."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        kind = ConcatMlpHeads if recipe.model.late_fusion.head == "mlp" else ConcatHeads
        self.heads = kind(recipe.model.encoder.widths[-1], recipe.model.heads)

    def answers(self, image: Tensor, breast: Tensor) -> Answers:
        """As `Classifier.answers`."""
        answers: Answers = self.heads(self.encoder(image, breast).out, breast)
        return answers

"""What the loop, prediction and evaluation may rely on, whichever the method."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from disasymnet.data.batch import PairBatch
from disasymnet.methods.losses import classification_loss
from disasymnet.networks.encoder import Encoder
from disasymnet.networks.heads import Answers, class_activation_map
from disasymnet.recipe import Recipe

Losses = dict[str, tuple[float, Tensor]]
"""name -> (weight, scalar)."""


@dataclass(frozen=True)
class PairOutput:
    """A method's answer on B pairs; a head that a method lacks is None, never a made-up number."""

    side_logit: Tensor | None
    """(2B,) abnormal, right sides first; None for a method that answers for the pair alone."""
    asymmetry_logit: Tensor | None
    """(B,); None for a method that looks at one breast alone."""
    cam: Tensor
    """(2B, 1, H, W) float32 in [0, 1]: M, where the side head sees an abnormality (without one: where the pair
    differs, the same map for both sides). Not cut by the breast."""
    normal: Tensor | None = None
    """(2B, 1, H, W) x_n, the side as it would look if it were normal."""
    abnormal_part: Tensor | None = None
    """(2B, 1, H, W) x_ab."""
    evidence: tuple[Tensor, Tensor] | None = None
    """(2B, 1, h, w) twice: the side head's logit of each cell before and after the sides were compared, where training
    asks for it."""


class Method(nn.Module):
    """A network with its training objectives."""

    def forward(self, image: Tensor, breast: Tensor) -> PairOutput:
        """(2B, 1, H, W) grey in [0, 1] and breast mask, right sides first -> answers."""
        raise NotImplementedError

    def objectives(self, batch: PairBatch) -> Iterator[Losses]:
        """The objectives of one training step, in order; the loop optimises each before asking for the next."""
        raise NotImplementedError

    def start_from_detector(self, weight: Tensor, bias: Tensor) -> bool:
        """Let a linear side head begin as a lesion detector's 1x1 head: weight (1, C, 1, 1), bias (1,).

        On joined features the own side's part, and nothing of the other side; False where the method has no such head.
        """
        side = getattr(getattr(self, "heads", None), "side", None)
        if not isinstance(side, nn.Linear):
            return False
        with torch.no_grad():
            side.weight.zero_()[:, : weight.shape[1]].copy_(weight[:, :, 0, 0])
            side.bias.copy_(bias)
        return True


class Classifier(Method):
    """A method of the comparison: the common encoder and CAM, its own classifiers, and L_cls as only objective."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.settings = recipe.model
        self.encoder = Encoder(recipe.model.encoder)

    def answers(self, image: Tensor, breast: Tensor) -> Answers:
        """(2B, 1, H, W) grey in [0, 1] and bool masks, right sides first -> logits and evidence."""
        raise NotImplementedError

    def forward(self, image: Tensor, breast: Tensor) -> PairOutput:
        """(2B, 1, H, W) grey in [0, 1] and bool masks, right sides first -> logits and M."""
        answers = self.answers(image, breast)
        cam = class_activation_map(answers, self.settings.encoder.stride, self.settings.cam)  # E14
        return PairOutput(answers.side, answers.asymmetry, cam)

    def objectives(self, batch: PairBatch) -> Iterator[Losses]:
        """L_cls (E6) on the heads that the method has."""
        out = self(batch.image, batch.breast)
        loss = classification_loss(out.side_logit, out.asymmetry_logit, batch.labels)
        yield {"diag": (self.settings.losses.diag, loss)}

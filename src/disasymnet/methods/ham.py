"""HAM, hierarchical attention mining (Ouyang et al., IEEE TMI 40(10), 2021), reduced to one class: abnormal.

One breast at a time; no asymmetry head. Foreground attention, then an anomaly and a class head on the same features,
whose maps two losses pull together. With one class both heads have the label "abnormal". Losses that need boxes are
left out: no method of the comparison sees any.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from disasymnet.data.batch import PairBatch
from disasymnet.methods.base import Classifier, Losses
from disasymnet.methods.losses import classification_loss
from disasymnet.networks.heads import Answers, log_mean_exp, pooled_cells, weigh
from disasymnet.recipe import Recipe

TEMPERATURE = 6.0  # of its log-sum-exp pooling
SLOPE, OFFSET = 100.0, 0.75  # of the soft mask in bound and union


class Ham(Classifier):
    """Encoder, foreground attention, two heads without bias."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        width = recipe.model.encoder.widths[-1]
        self.foreground = nn.Sequential(
            _conv3x3(width, width // 4), ForegroundAttention(width // 4), _conv3x3(width // 4, width // 4)
        )
        self.fuse = nn.Sequential(_conv3x3(width + width // 4, width), nn.ReLU(inplace=True), nn.Dropout2d(0.1))
        self.anomaly = nn.Linear(width, 1, bias=False)
        self.abnormal = nn.Linear(width, 1, bias=False)

    def answers(self, image: Tensor, breast: Tensor) -> Answers:
        """As `Classifier.answers`, without an asymmetry logit; the evidence is the class head's."""
        features, side = self._features(image, breast)
        evidence = weigh(features, self.abnormal.weight.detach())
        return Answers(self.abnormal(side)[:, 0], None, evidence, evidence.new_zeros(()))

    def objectives(self, batch: PairBatch) -> Iterator[Losses]:
        """Both heads, and bound and union on their maps."""
        features, side = self._features(batch.image, batch.breast)
        # The maps teach the features, not the heads' weights.
        of_class, of_anomaly = (
            weigh(features, head.weight.detach()).float().relu() for head in (self.abnormal, self.anomaly)
        )
        abnormal = batch.labels.side == 1
        weights = self.settings.ham
        yield {
            "diag": (self.settings.losses.diag, classification_loss(self.abnormal(side)[:, 0], None, batch.labels)),
            "anomaly": (weights.anomaly, classification_loss(self.anomaly(side)[:, 0], None, batch.labels)),
            "bound": (weights.bound, bound_loss(of_class, of_anomaly, abnormal)),
            "union": (weights.union, union_loss(of_class, of_anomaly, abnormal)),
        }

    def _features(self, image: Tensor, breast: Tensor) -> tuple[Tensor, Tensor]:
        """(2B, C, h, w) fused features, and (2B, C) pooled."""
        f = self.encoder(image, breast).out
        features: Tensor = self.fuse(torch.cat([f, self.foreground(f)], dim=1))
        where = pooled_cells(features, breast, self.settings.heads)
        return features, log_mean_exp(features.flatten(2).float(), where.flatten(2), TEMPERATURE)


class ForegroundAttention(nn.Module):
    """x + gamma (what stands out by channel, and then by place); gamma starts at 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = max(1, width // 8)
        self.looks = nn.Conv2d(width, 1, 1, bias=False)
        self.gate = nn.Sequential(
            nn.Linear(width, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, width, bias=False), nn.Sigmoid()
        )
        self.mix = nn.Conv2d(width, width, 1, bias=False)
        self.single = nn.Conv2d(width, 1, 1, bias=False)
        self.place = nn.Sequential(nn.Conv2d(1, 1, 3, 1, 1, bias=False), nn.BatchNorm2d(1), nn.Sigmoid())
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> the same shape."""
        where = self.looks(x).flatten(2).softmax(2)  # (N, 1, L)
        context = (x.flatten(2) * where).sum(2)  # (N, C)
        standing_out = self.single(self.mix(x) * self.gate(context)[:, :, None, None])  # (N, 1, h, w)
        change: Tensor = self.gamma * standing_out * self.place(standing_out)
        return x + change


def bound_loss(of_class: Tensor, of_anomaly: Tensor, abnormal: Tensor) -> Tensor:
    """The class map must lie inside the anomaly map; maps (N, 1, h, w) >= 0, mean over `abnormal` (N,) bool."""
    covered = torch.minimum(of_class, of_anomaly) * soft_mask(of_class)
    return _mean_share_left(of_class, covered, abnormal)


def union_loss(of_class: Tensor, of_anomaly: Tensor, abnormal: Tensor) -> Tensor:
    """The anomaly map must be covered by the class map (of several classes: by their maximum)."""
    covered = torch.minimum(of_class, of_anomaly) * soft_mask(of_anomaly)
    return _mean_share_left(of_anomaly, covered, abnormal)


def soft_mask(value: Tensor) -> Tensor:
    """sigmoid(100 (v - 0.75))."""
    return torch.sigmoid(SLOPE * (value - OFFSET))


def _mean_share_left(whole: Tensor, covered: Tensor, chosen: Tensor) -> Tensor:
    total = whole.sum((1, 2, 3))
    left = (total - covered.sum((1, 2, 3))) / total.clamp_min(1e-5)
    return (left * chosen).sum() / chosen.sum().clamp_min(1)


def _conv3x3(width_in: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width_in, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

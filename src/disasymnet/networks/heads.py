"""E5 and E14: the two classifiers and the online class activation map.

Each head is one linear layer on every cell, pooled afterwards: with average pooling this is the usual linear head on
pooled features, and the map that makes the decision is at hand in the same forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from disasymnet.data.batch import swap_sides
from disasymnet.settings import CamSettings, HeadSettings


@dataclass(frozen=True)
class Answers:
    """Logits of B pairs, and the side head's evidence cell by cell."""

    side: Tensor
    """(2B,)."""
    asymmetry: Tensor
    """(B,)."""
    evidence: Tensor
    """(2B, 1, h, w) w . f without bias, from the own side's features."""
    bias: Tensor
    """() of the side head."""


class Heads(nn.Module):
    """Abnormal head, shared by the sides, and asymmetry head."""

    def __init__(self, width: int, settings: HeadSettings) -> None:
        super().__init__()
        self.settings = settings
        inputs = width if settings.fusion == "difference" else 2 * width
        self.side = nn.Linear(inputs, 1)
        self.asymmetry = nn.Linear(inputs, 1)
        nn.init.constant_(self.side.bias, settings.bias)
        nn.init.zeros_(self.asymmetry.bias)

    def forward(self, f_out: Tensor, breast: Tensor) -> Answers:
        """(2B, C, h, w) features and (2B, 1, H, W) bool masks, right sides first -> logits and evidence."""
        where = F.adaptive_max_pool2d(breast.float(), f_out.shape[2:]).bool()  # (2B, 1, h, w)
        if self.settings.region == "image":
            where = torch.ones_like(where)
        if self.settings.fusion == "concat-linear":
            return self._late_fusion(f_out, where)
        f_r, f_l = f_out.chunk(2)
        evidence = _cells(f_out, self.side.weight)
        f_asy = (f_r - f_l).abs()  # E5, on the map, before any pooling
        in_r, in_l = where.chunk(2)
        return Answers(
            side=self._pool(evidence, where) + self.side.bias,
            asymmetry=self._pool(_cells(f_asy, self.asymmetry.weight), in_r | in_l) + self.asymmetry.bias,
            evidence=evidence,
            bias=self.side.bias[0],
        )

    def _late_fusion(self, f: Tensor, where: Tensor) -> Answers:
        """Both sides side by side, own side first; the asymmetry head averages the two orders."""
        own, other = (_cells(f, weight) for weight in self.side.weight.chunk(2, dim=1))
        first, second = (_cells(f, weight) for weight in self.asymmetry.weight.chunk(2, dim=1))
        either = self._pool(first, where) + swap_sides(self._pool(second, where))
        return Answers(
            side=self._pool(own, where) + swap_sides(self._pool(other, where)) + self.side.bias,
            asymmetry=sum(either.chunk(2)) / 2 + self.asymmetry.bias,
            evidence=own,
            bias=self.side.bias[0],
        )

    def _pool(self, cells: Tensor, where: Tensor) -> Tensor:
        flat, inside = cells.flatten(1).float(), where.flatten(1)
        if self.settings.pooling == "average":
            return (flat * inside).sum(1) / inside.sum(1).clamp_min(1)
        return log_mean_exp(flat, inside, self.settings.temperature)


def log_mean_exp(cells: Tensor, inside: Tensor, temperature: float) -> Tensor:
    """(N, L) values and bool mask -> (N,): log-sum-exp pooling, between the mean (temperature 0) and the maximum."""
    count = inside.sum(1).clamp_min(1)
    kept = (temperature * cells).masked_fill(~inside, -1e4)  # finite: a picture without any cell stays finite too
    return (torch.logsumexp(kept, dim=1) - count.log()) / temperature


def _cells(features: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(features, weight[:, :, None, None])  # (N, 1, h, w)


def class_activation_map(answers: Answers, stride: int, settings: CamSettings) -> Tensor:
    """E14: M (2B, 1, H, W) in [0, 1], float32.

    `sigmoid`: of the logit map. `minmax`: ReLU, min-max per map, sigmoid(slope (n - offset)); its maximum is 1 in
    every picture, also in a normal one.
    """
    with torch.autocast(answers.evidence.device.type, enabled=False):
        evidence = (answers.evidence.detach() if settings.detach else answers.evidence).float()
        if settings.form == "sigmoid":
            bias = answers.bias.detach() if settings.detach else answers.bias
            return enlarge(evidence + bias, stride).sigmoid()
        cam = enlarge(evidence.relu(), stride)
        low, high = cam.amin((2, 3), keepdim=True), cam.amax((2, 3), keepdim=True)
        n = (cam - low) / (high - low).clamp_min(1e-5)
        return torch.sigmoid(settings.slope * (n - settings.offset))


def enlarge(cells: Tensor, stride: int) -> Tensor:
    """(N, 1, h, w) cells -> (N, 1, S h, S w) pixels, bilinear, cell i drawn at pixel S i.

    In a stack of padded, strided convolutions cell i looks at pixel S i; the usual enlargement draws it at
    S i + (S - 1) / 2, half a cell too far to the lower right.
    """
    height, width = cells.shape[2:]
    size = (stride * (height - 1) + 1, stride * (width - 1) + 1)
    drawn = F.interpolate(cells, size=size, mode="bilinear", align_corners=True)
    return F.pad(drawn, (0, stride - 1, 0, stride - 1), mode="replicate")

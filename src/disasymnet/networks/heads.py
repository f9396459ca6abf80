"""E5 and E14: the two classifiers and the online class activation map.

Each head is one linear layer on every cell, pooled afterwards: with average pooling this is the usual linear head on
pooled features, and the map that makes the decision is at hand in the same forward. Heads that join both sides'
features stand in `concat_heads.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from disasymnet.settings import CamSettings, HeadSettings


@dataclass(frozen=True)
class Answers:
    """Logits of B pairs, and the evidence cell by cell; a head that a method lacks answers None."""

    side: Tensor | None
    """(2B,)."""
    asymmetry: Tensor | None
    """(B,)."""
    evidence: Tensor
    """(2B, 1, h, w) w . f of the side head without bias, from the own side's features."""
    bias: Tensor
    """() of the side head, or (2B, 1, 1, 1) where each side has its own."""


class Heads(nn.Module):
    """Abnormal head, shared by the sides, and asymmetry head; `pair=False`: the abnormal head alone."""

    def __init__(self, width: int, settings: HeadSettings, *, pair: bool = True) -> None:
        super().__init__()
        self.settings = settings
        self.side = nn.Linear(width, 1)
        self.asymmetry = nn.Linear(width, 1) if pair else None
        nn.init.constant_(self.side.bias, settings.bias)
        if self.asymmetry is not None:
            nn.init.zeros_(self.asymmetry.bias)

    def forward(self, f_out: Tensor, breast: Tensor) -> Answers:
        """(2B, C, h, w) features and (2B, 1, H, W) bool masks, right sides first -> logits and evidence."""
        where = pooled_cells(f_out, breast, self.settings)
        evidence = weigh(f_out, self.side.weight)
        asymmetry = None
        if self.asymmetry is not None:
            f_r, f_l = f_out.chunk(2)
            in_r, in_l = where.chunk(2)
            f_asy = (f_r - f_l).abs()  # E5, on the map, before any pooling
            asymmetry = pool(weigh(f_asy, self.asymmetry.weight), in_r | in_l, self.settings) + self.asymmetry.bias
            asymmetry = asymmetry[:, 0]
        side = pool(evidence, where, self.settings) + self.side.bias
        return Answers(side[:, 0], asymmetry, evidence, self.side.bias[0])


def pooled_cells(features: Tensor, breast: Tensor, settings: HeadSettings) -> Tensor:
    """(N, C, h, w) features and (N, 1, H, W) bool masks -> (N, 1, h, w) bool: the cells that are pooled."""
    where = breast_cells(breast, features)
    return torch.ones_like(where) if settings.region == "image" else where


def breast_cells(breast: Tensor, features: Tensor) -> Tensor:
    """(N, 1, H, W) bool masks -> (N, 1, h, w) bool: the cells of `features` (N, ..., h, w) that hold breast."""
    return F.adaptive_max_pool2d(breast.float(), features.shape[2:]).bool()


def pool(cells: Tensor, where: Tensor, settings: HeadSettings) -> Tensor:
    """(N, C, h, w) and (N, 1, h, w) bool -> (N, C) float32, each channel over the chosen cells."""
    flat, inside = cells.flatten(2).float(), where.flatten(2)
    if settings.pooling == "average":
        return (flat * inside).sum(2) / inside.sum(2).clamp_min(1)
    return log_mean_exp(flat, inside, settings.temperature)


def log_mean_exp(cells: Tensor, inside: Tensor, temperature: float) -> Tensor:
    """(..., L) values and bool mask -> (...): log-sum-exp pooling, between mean (temperature 0) and maximum."""
    count = inside.sum(-1).clamp_min(1)
    kept = (temperature * cells).masked_fill(~inside, -1e4)  # finite: a picture without any cell stays finite too
    return (torch.logsumexp(kept, dim=-1) - count.log()) / temperature


def weigh(features: Tensor, weight: Tensor) -> Tensor:
    """(N, C, h, w) features and a linear layer's (1, C) weight -> (N, 1, h, w), its sum at each cell."""
    return F.conv2d(features, weight[:, :, None, None])


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

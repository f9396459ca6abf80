"""The loss terms as pure functions: E6, E8, E12. All are means; both sides count alike."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from disasymnet.data.batch import Labels, swap_sides

# Measured on detector maps of mini-MIAS (docs/log.md); 0.25 to 1 and 1 to 5 are about as good.
HALF = 0.5  # of the other side's strongest evidence
SHARPNESS = 2.0  # of the softmax that finds it: soft, so that attention can express it


def classification_loss(side: Tensor | None, asymmetry: Tensor | None, labels: Labels) -> Tensor:
    """E6: L_cls = BCE(y_asy) + BCE(y), each the mean over its known labels.

    `side` (2B,) and `asymmetry` (B,) are logits; the 2B side predictions share one mean. A head that a method lacks
    (None) has no term.
    """
    terms = [(side, labels.side), (asymmetry, labels.asymmetric)]
    return torch.stack([_known_bce(logit, label) for logit, label in terms if logit is not None]).sum()


def _known_bce(logit: Tensor, label: Tensor) -> Tensor:
    known = ~label.isnan()
    each = F.binary_cross_entropy_with_logits(logit.float(), label.nan_to_num(0), reduction="none")
    return (each * known).sum() / known.sum().clamp_min(1)


def reconstruction_loss(image: Tensor, cam: Tensor, normal: Tensor, abnormal_part: Tensor, where: Tensor) -> Tensor:
    """E8: L_rec = L1((1 - M) x, (1 - M) x_n) + L1(M x, x_ab); all (2B, 1, H, W).

    x_n is free where M = 1, and x_ab is all the tissue there: the two pictures do not add up to x.
    """
    outside = ((1 - cam) * (image - normal)).abs()
    inside = (cam * image - abnormal_part).abs()
    return masked_mean(outside + inside, where)


def synthesis_loss(real: Tensor, normal: Tensor, where: Tensor) -> Tensor:
    """E12: L_syn = L1(x_real, x_n of x_fake), both sides of the synthesised pairs."""
    return masked_mean((real - normal).abs(), where)


def blended(real: Tensor, fake: Tensor) -> Tensor:
    """Pixels that blending changed by at least one of 255 grey levels, bool."""
    return (fake - real).abs() >= 1 / 255


def contralateral_loss(before: Tensor, after: Tensor, where: Tensor) -> Tensor:
    """Ours: comparing shall take half of the other side's strongest evidence off each cell.

    `before` and `after` (2B, 1, h, w) are the side head's logits of each cell on the features that enter and leave
    psi_asyt, right sides first; `where` bool, the breast's cells. The mean square from after to
    before - sum(a before) / 2 of the other side, a = softmax(2 before). It needs no label: a detector's false alarms
    come in pairs, lesions seldom do. `before` is a constant here.
    """
    before = before.detach().float()
    attention = torch.softmax((SHARPNESS * before).masked_fill(~where, -1e4).flatten(1), dim=1)
    strongest = (attention * before.flatten(1)).sum(1)[:, None, None, None]
    return masked_mean((after.float() - before + HALF * swap_sides(strongest)) ** 2, where)


def masked_mean(value: Tensor, where: Tensor) -> Tensor:
    """Mean of `value` where the weights `where` (broadcastable, 0 or 1) are 1."""
    weights = where.to(value.dtype).expand_as(value)
    return (value * weights).sum() / weights.sum().clamp_min(1)


def of_pairs(chosen: Tensor) -> Tensor:
    """(B,) bool per pair -> (2B, 1, 1, 1) per side."""
    return torch.cat([chosen, chosen])[:, None, None, None]

"""The loss terms as pure functions: E6, E8, E12. All are means; both sides count alike."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from disasymnet.data.batch import Labels


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


def masked_mean(value: Tensor, where: Tensor) -> Tensor:
    """Mean of `value` where the weights `where` (broadcastable, 0 or 1) are 1."""
    weights = where.to(value.dtype).expand_as(value)
    return (value * weights).sum() / weights.sum().clamp_min(1)


def of_pairs(chosen: Tensor) -> Tensor:
    """(B,) bool per pair -> (2B, 1, 1, 1) per side."""
    return torch.cat([chosen, chosen])[:, None, None, None]

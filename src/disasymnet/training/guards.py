"""Signatures of a training that goes wrong, as numbers from pictures, maps and logits, with a warning by name.

x, x_n, breast and M are stacks (N, 1, H, W): grey in [0, 1], bool, and M in [0, 1]; the region of a map is M >= 0.5.
Each pictures' function gives a sum and a count, so that batches can be added up before dividing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

Fraction = tuple[float, float]
"""Sum and count."""
Numbers = dict[str, float | None]


def change_inside(x: Tensor, x_n: Tensor, cam: Tensor) -> Fraction:
    """Sum of |x_n - x| and of x where M marks: a ratio near 0 is a copy."""
    marked = cam >= 0.5
    return float(((x_n - x).abs() * marked).sum()), float((x * marked).sum())


def change_where(x: Tensor, x_n: Tensor, where: Tensor) -> Fraction:
    """Sum of |x_n - x| over `where`, and its pixels."""
    return float(((x_n - x).abs() * where).sum()), float(where.sum())


def black_holes(x_n: Tensor, cam: Tensor, breast: Tensor) -> Fraction:
    """Pixels where M marks with x_n under half the median of the ring around the region, and all marked pixels.

    The ring is 1/32 of the height wide (at least 2 pixels) and lies inside the breast; a picture whose region has no
    ring there takes no part.
    """
    marked = (cam >= 0.5) & breast
    reach = max(2, cam.shape[2] // 32)
    around = F.max_pool2d(marked.float(), 2 * reach + 1, 1, reach) > 0
    ring = around & ~marked & breast
    holes = count = 0
    for picture, region, edge in zip(x_n, marked, ring, strict=True):
        if bool(region.any()) and bool(edge.any()):
            holes += int((picture[region] < 0.5 * picture[edge].median()).sum())
            count += int(region.sum())
    return float(holes), float(count)


def mean_over(values: Tensor, where: Tensor) -> Fraction:
    """Sum of `values` over `where`, and its pixels."""
    return float((values * where).sum()), float(where.sum())


@dataclass
class Spread:
    """Pixelwise variance over pictures, added up batch by batch."""

    count: int = 0
    first: Tensor | None = None
    second: Tensor | None = None

    def add(self, pictures: Tensor) -> None:
        """Take (N, 1, H, W) in."""
        values = pictures.detach().double().cpu()
        self.count += len(values)
        total, squares = values.sum(0), values.square().sum(0)
        self.first = total if self.first is None else self.first + total
        self.second = squares if self.second is None else self.second + squares

    def mean_std(self) -> float | None:
        """Standard deviation of each pixel over the pictures, averaged over the pixels."""
        if self.first is None or self.second is None or self.count < 2:
            return None
        mean = self.first / self.count
        return float((self.second / self.count - mean.square()).clamp_min(0).sqrt().mean())


def ratio(fraction: Fraction) -> float | None:
    """Sum over count; None where nothing was counted."""
    return fraction[0] / fraction[1] if fraction[1] else None


def spread_of(logits: Tensor) -> float | None:
    """Standard deviation of logits (without Bessel's correction); None for fewer than two."""
    return float(logits.double().std(correction=0)) if len(logits) > 1 else None


def rises(history: list[float], *, times: int = 3, by: float = 0.1) -> bool:
    """True if the last `times` steps all went up, by more than `by` in all."""
    last = history[-(times + 1) :]
    return len(last) > times and last[-1] - last[0] > by and all(a < b for a, b in pairwise(last))


@dataclass(frozen=True)
class Signature:
    """A way to fail: the number that shows it, what it means, whence it comes, and what helps."""

    number: str
    is_bad: Callable[[float], bool]
    symptom: str
    cause: str
    remedy: str


SIGNATURES = {
    "collapse": Signature(
        "spread", lambda v: v < 0.5, "x_n is nearly the same picture for every input",
        "x_n is drawn freely and BatchNorm mixes two distributions",
        "decoder.output=residual with the gate, adversary.refine_batch_norm=frozen",
    ),
    "copy": Signature(
        "copy", lambda v: v < 0.01, "x_n repeats x where the CAM marks",
        "skips leak the lesion, L_disc is weak, or training has just begun",
        "decoder.skips=none or gated, more losses.syn",
    ),
    "black hole": Signature(
        "black_holes", lambda v: v > 0.2, "x_n is dark where the CAM marks",
        "nothing holds x_n there and darkness fools the frozen classifier",
        "synthesis.on=true, the residual gate",
    ),
    "global darkening": Signature(
        "brightness", lambda v: v < 0.9, "x_n is darker than x over the whole breast",
        "the frozen classifier reads brightness", "more losses.rec, augment.grey",
    ),
    "CAM all": Signature(
        "cam", lambda v: v > 0.5, "the CAM marks more than half of abnormal breasts",
        "the map is flat, or trained to avoid a term of L_rec", "cam.detach=true, heads.pooling=lse",
    ),
    "CAM none": Signature(
        "cam", lambda v: v < 0.001, "the CAM marks nothing in abnormal breasts",
        "a dead or too steep map, or training has just begun", "cam.slope=10, heads.pooling=lse",
    ),
    "background": Signature(
        "background", lambda v: v > 0.01, "x_n is grey in the air",
        "x_n is drawn freely", "decoder.output=residual with the gate",
    ),
    "universal pattern": Signature(
        "pattern", lambda v: v > 0.02, "x_n changes normal sides as much as the tissue around lesions",
        "one pattern for all pictures fools the frozen classifier", "the residual gate, more losses.rec and losses.syn",
    ),
    "noise fooling": Signature(
        "fooled", lambda v: v > 0.2, "x_n of abnormal sides is called normal, and abnormal again once blurred",
        "a fine pattern fools the frozen classifier", "the residual gate, fewer losses.disc, more losses.syn",
    ),
    "frozen copy in the wrong mode": Signature(
        "least_p_drawn", lambda v: v > 0.95, "x_n of normal and of abnormal sides alike is called abnormal",
        "the frozen copy judges by batch statistics", "adversary.frozen_batch_norm=eval",
    ),
    "refine drift": Signature(
        "refine_drift", lambda v: v > 0.05, "x_n of normal sides looks more abnormal than the sides themselves",
        "the classifier learns the decoder's fingerprint", "fewer losses.refine, adversary.refine_batch_norm=frozen",
    ),
    "normal drift": Signature(
        "normal_rise", lambda v: v > 0, "normal sides look more abnormal from epoch to epoch",
        "the classifier learns the decoder's fingerprint", "fewer losses.refine, adversary.refine_batch_norm=frozen",
    ),
    "asymmetry constant": Signature(
        "asymmetry_spread", lambda v: v < 0.05, "all pairs get the same asymmetry logit",
        "both sides' features became alike", "fewer transformer.layers, transformer.norm and residual on",
    ),
    "spoilt running statistics": Signature(
        "batch_norm_gap", lambda v: v > 0.05, "batch statistics give a better AUC than the running ones",
        "x_n took part in them, or a held encoder's are of other pictures",
        "adversary.refine_batch_norm=frozen, or train.freeze=[]",
    ),
    "side shortcut": Signature(
        "side_gap", lambda v: v > 0.2, "asymmetry is told far better than the abnormal side of a pair",
        "scanner, density or outline give the exam away", "look at the outline baseline and at side accuracy",
    ),
}  # fmt: skip


def warnings_of(numbers: Mapping[str, float | None]) -> dict[str, str]:
    """Name -> one line with value, meaning, usual cause and remedy, for each signature that shows."""
    found = {}
    for name, signature in SIGNATURES.items():
        value = numbers.get(signature.number)
        if value is not None and signature.is_bad(value):
            found[name] = (
                f"{name} ({signature.number} {value:.3g}): {signature.symptom}."
                f" Usual cause: {signature.cause}. Remedy: {signature.remedy}."
            )
    return found


def universal_pattern(normal: float | None, outside: float | None) -> float | None:
    """Change of normal sides where it is about as large (four fifths) as that of abnormal sides outside M, else 0."""
    if normal is None or outside is None:
        return None
    return normal if normal >= 0.8 * outside else 0.0


def probability_sum(logits: Tensor, chosen: Tensor) -> Fraction:
    """Sum of the probabilities of the chosen sides, and their number."""
    return float(torch.sigmoid(logits[chosen].double()).sum()), float(chosen.sum())

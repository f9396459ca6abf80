"""How well the lesion was taken out and the rest left alone, where the lesion-free truth is known.

x is the picture, x_n the picture that the method calls normal, t the truth; all (H, W) grey in [0, 1] on one grid, with
bool masks of the lesion and of the breast. The paper shows reconstructions but measures none; these are ours. What is
measured on which sides, and why, stands in docs/counterfactual-protocol.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, label
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import spsolve

from disasymnet.metrics.localisation import Mask, grown

Picture = npt.NDArray[Any]

HOLE = 0.1  # grey by which a pixel is darker than the truth to count as a hole
GUARD_PX = 2.0  # the lesion's rim, left out of "outside"
RING_PX = 4.0  # beyond the rim: the width of the ring that a lesion is filled from
REMOVED, MISSED = 0.5, 0.9  # inside ratio below / above
FAINT = 1e-4  # mean |x - t| under which a lesion is not in the picture at all
PSNR_LIMIT = 100.0  # dB, for pictures that agree


@dataclass(frozen=True)
class Removal:
    """One side with a lesion and a known truth."""

    error_in: float
    """mean |x_n - t| inside the lesion."""
    error_before: float
    """mean |x - t| inside the lesion."""
    outside_error: float
    """mean |x_n - t| in the breast, farther than 2 pixels from the lesion."""
    black_holes: float
    """Share of lesion pixels more than 0.1 darker than t."""
    contrast_removed: float
    """1 - amplitude of the lesion's own pattern x - t that is left in x_n: 1 gone, 0 untouched, above 1 overdone."""
    psnr: float
    """dB, in the breast, peak 1, at most 100."""
    psnr_in: float
    """The same inside the lesion."""
    psnr_out: float
    """The same in the breast, farther than 2 pixels from the lesion."""
    ssim: float
    """Mean over the breast."""
    ssim_in: float
    """Mean over the lesion's pixels."""
    ssim_out: float
    """Mean over the breast, farther than 2 pixels from the lesion; the windows of the nearest still reach into it."""

    @property
    def inside_ratio(self) -> float:
        """error_in / error_before: 0 perfect, 1 untouched, above 1 worse than before."""
        return self.error_in / self.error_before

    @property
    def removed(self) -> bool:
        """Less than half of the error is left."""
        return self.inside_ratio < REMOVED

    @property
    def missed(self) -> bool:
        """More than nine tenths of the error is left."""
        return self.inside_ratio > MISSED


def removal(x: Picture, normal: Picture, truth: Picture, lesion: Mask, breast: Mask) -> Removal | None:
    """All measures of one side; None where the mask is empty or x does not differ from t inside it."""
    x, normal, truth = (np.asarray(each, dtype=np.float64) for each in (x, normal, truth))
    if not lesion.any():
        return None
    before, after = (x - truth)[lesion], (normal - truth)[lesion]
    if np.abs(before).mean() < FAINT:
        return None
    rest = breast & ~grown(lesion, GUARD_PX)
    similar = ssim_map(normal, truth)
    return Removal(
        error_in=float(np.abs(after).mean()),
        error_before=float(np.abs(before).mean()),
        outside_error=float(np.abs(normal - truth)[rest].mean()) if rest.any() else 0.0,
        black_holes=float((after < -HOLE).mean()),
        contrast_removed=1 - float((after @ before) / (before @ before)),
        psnr=psnr(normal, truth, breast),
        psnr_in=psnr(normal, truth, lesion),
        psnr_out=psnr(normal, truth, rest),
        ssim=_mean(similar, breast),
        ssim_in=_mean(similar, lesion),
        ssim_out=_mean(similar, rest),
    )


def psnr(first: Picture, second: Picture, where: Mask) -> float:
    """Peak signal-to-noise ratio in dB over `where`, peak 1, at most 100."""
    error = float(np.mean((np.asarray(first, float) - np.asarray(second, float))[where] ** 2)) if where.any() else 0.0
    return PSNR_LIMIT if error <= 10 ** (-PSNR_LIMIT / 10) else -10 * math.log10(error)


def ssim_map(first: Picture, second: Picture) -> npt.NDArray[np.float64]:
    """Structural similarity at each pixel (Wang et al. 2004): Gaussian 11 x 11, sigma 1.5, range 1, K .01 and .03."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)

    def smooth(picture: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        blurred: npt.NDArray[np.float64] = gaussian_filter(picture, 1.5, truncate=3.5)
        return blurred

    mean_a, mean_b = smooth(a), smooth(b)
    variance_a, variance_b = smooth(a * a) - mean_a**2, smooth(b * b) - mean_b**2
    covariance = smooth(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    alike: npt.NDArray[np.float64] = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    size = (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    return alike / size


def ssim(first: Picture, second: Picture, where: Mask) -> float:
    """Mean structural similarity over `where`; 1 where that is empty."""
    return _mean(ssim_map(first, second), where)


def _mean(similar: npt.NDArray[np.float64], where: Mask) -> float:
    return float(similar[where].mean()) if where.any() else 1.0


def ring_fill(x: Picture, lesion: Mask, breast: Mask) -> npt.NDArray[np.float64]:
    """x with each connected lesion filled with the mean grey of its ring: a reference that is told the place.

    The ring: breast, no lesion, farther than 2 and at most 6 pixels away. Where it is empty the lesion stays.
    """
    filled = np.array(x, dtype=np.float64)
    parts, count = label(lesion)
    for number in range(1, count + 1):
        part: Mask = parts == number
        ring = grown(part, GUARD_PX + RING_PX) & ~grown(part, GUARD_PX) & breast & ~lesion
        if ring.any():
            filled[part] = np.asarray(x, dtype=np.float64)[ring].mean()
    return filled


def rim_fill(x: Picture, lesion: Mask, breast: Mask) -> npt.NDArray[np.float64]:
    """x with each connected lesion filled from its border inwards: a reference that is told the place, pixel by pixel.

    Laplace's equation: each pixel of the lesion is the mean of its neighbours (4) that are breast or lesion, the breast
    around fixed. The smoothest picture that goes on from all sides. A lesion without such breast stays.
    """
    filled = np.array(x, dtype=np.float64)
    grey, rim = np.pad(filled, 1).ravel(), np.pad(breast & ~lesion, 1).ravel()
    parts, count = label(np.pad(lesion, 1))
    width = parts.shape[1]
    order = np.zeros(parts.size, dtype=np.int64)
    for number in range(1, count + 1):
        inside = np.flatnonzero(parts == number)
        order[inside] = np.arange(len(inside))
        beside = inside + np.array([[-1], [1], [-width], [width]])  # (4, n)
        known, unknown = rim[beside], parts.ravel()[beside] == number
        if known.any():
            _, of = np.nonzero(unknown)
            links = coo_array((np.ones(len(of)), (of, order[beside[unknown]])), shape=(len(inside), len(inside)))
            system = diags_array((known | unknown).sum(0).astype(float)) - links
            filled[parts[1:-1, 1:-1] == number] = spsolve(system.tocsc(), (known * grey[beside]).sum(0))
    return filled


def change(x: Picture, normal: Picture, breast: Mask) -> float:
    """mean |x - x_n| in the breast: on a normal side nothing should change."""
    return float(np.abs(np.asarray(x, float) - np.asarray(normal, float))[breast].mean()) if breast.any() else 0.0

"""What the breast outlines alone say about asymmetry: the figure to read beside every asymmetry AUC.

On mini-MIAS a logistic regression on two 16 x 8 outlines, without one pixel of tissue, reaches an AUC of about 0.7:
an asymmetry AUC there proves little unless it is well above this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from disasymnet.metrics.classification import auc_metric
from disasymnet.metrics.interval import Floats, Metric

GRID = (16, 8)
STRENGTH = 0.01  # C: weight of the data against the L2 penalty
FOLDS = 5


def outline_features(breast: npt.NDArray[Any], scale: Sequence[float]) -> Floats:
    """(n, 259) features that do not change when the sides are exchanged.

    `breast`: (n, 2, H, W) masks, right first, H and W multiples of 16 and 8 or cut down to them; `scale`: (n,) source
    pixels a model pixel. Sum and absolute difference of the 16 x 8 share maps and of the areas, and the scale.
    """
    cells = _share_maps(breast)
    area = cells.mean(2)
    return np.concatenate(
        [
            cells.sum(1),
            np.abs(cells[:, 0] - cells[:, 1]),
            area.sum(1, keepdims=True),
            np.abs(area[:, :1] - area[:, 1:]),
            np.asarray(scale, dtype=np.float64)[:, None],
        ],
        axis=1,
    )


def _share_maps(breast: npt.NDArray[Any]) -> Floats:
    """(n, 2, 128) share of breast in each of 16 x 8 cells."""
    count, _, height, width = breast.shape
    rows, columns = height // GRID[0], width // GRID[1]
    cut = breast[:, :, : rows * GRID[0], : columns * GRID[1]].astype(np.float64)
    shares: Floats = cut.reshape(count, 2, GRID[0], rows, GRID[1], columns).mean((3, 5)).reshape(count, 2, -1)
    return shares


def fit_logistic(features: Floats, label: Floats, strength: float = STRENGTH) -> Floats:
    """(d + 1,) weights, the bias last: minimum of |w|^2 / 2 + strength * sum of the log losses, by Newton's method."""
    design = np.c_[features, np.ones(len(features))]
    penalty = np.r_[np.ones(features.shape[1]), 0.0]  # the bias is free
    weights = np.zeros(design.shape[1])

    def loss(at: Floats) -> float:
        logit = design @ at
        return float(0.5 * (penalty * at**2).sum() + strength * (np.logaddexp(0, logit) - label * logit).sum())

    for _ in range(100):
        probability = 1 / (1 + np.exp(-np.clip(design @ weights, -500, 500)))
        gradient = penalty * weights + strength * design.T @ (probability - label)
        if np.abs(gradient).max() < 1e-10:
            break
        curvature = strength * (design * (probability * (1 - probability))[:, None]).T @ design + np.diag(penalty)
        curvature[-1, -1] += 1e-12  # a free bias with saturated probabilities has no curvature
        step = np.linalg.solve(curvature, gradient)
        size, here = 1.0, loss(weights)
        while loss(weights - size * step) > here and size > 1e-8:
            size /= 2
        weights = weights - size * step
    return weights


def patient_folds(patients: Sequence[object], label: Floats, folds: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """(n,) fold of each pair: pairs of one woman share one; women with a positive are spread evenly."""
    names, member = np.unique(np.asarray(patients), return_inverse=True)
    positive = np.zeros(len(names))
    np.maximum.at(positive, member, label)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(positive[order], kind="stable")]
    fold = np.empty(len(names), dtype=np.int64)
    fold[order] = np.arange(len(names)) % folds
    return fold[member]


def outline_auc(
    breast: npt.NDArray[Any], scale: Sequence[float], label: Sequence[float] | Floats, patients: Sequence[object]
) -> Metric:
    """Asymmetry AUC of the outlines alone, each pair scored by a fit without its woman (5 folds)."""
    return _fitted_auc(outline_features(breast, scale), label, patients, "pair")


def blank_features(breast: npt.NDArray[Any], scale: Sequence[float], grey: Floats) -> Floats:
    """(2n, 132) features of each side, right and left in turn, from which all texture is gone.

    `breast` and `scale` as for `outline_features`, `grey` (n, 2) mean grey of the breasts. A side's 16 x 8 share map,
    its area, its mean grey, that less the other side's, and the scale.
    """
    cells = _share_maps(breast)
    greys = np.stack([grey, grey - grey[:, ::-1]], axis=2)
    scales = np.broadcast_to(np.asarray(scale, dtype=np.float64)[:, None, None], (len(cells), 2, 1))
    whole = np.concatenate([cells, cells.mean(2, keepdims=True), greys, scales], axis=2)
    return whole.reshape(2 * len(cells), -1)


def blank_auc(
    breast: npt.NDArray[Any], scale: Sequence[float], grey: Floats, label: Floats, patients: Sequence[object]
) -> Metric:
    """Abnormality AUC of outline and mean grey alone, by fits as for `outline_auc`; `label` (n, 2)."""
    who = np.repeat(np.asarray(patients), 2).tolist()
    return _fitted_auc(blank_features(breast, scale, grey), label.ravel(), who, "side")


def _fitted_auc(features: Floats, label: Sequence[float] | Floats, patients: Sequence[object], of: str) -> Metric:
    truth = np.asarray(label, dtype=np.float64)
    known = ~np.isnan(truth)
    truth, features, who = truth[known], features[known], np.asarray(patients)[known]
    women = len(np.unique(who))
    if women < 2 * FOLDS or truth.min(initial=1) == truth.max(initial=0):
        return Metric(None, n=len(truth), of=of, note=f"too few {of}s, or one class only")
    fold = patient_folds(who.tolist(), truth, FOLDS)
    score = np.zeros(len(truth))
    for number in range(FOLDS):
        test = fold == number
        middle, spread = features[~test].mean(0), features[~test].std(0)
        scaled = (features - middle) / np.where(spread > 1e-9, spread, 1.0)
        weights = fit_logistic(scaled[~test], truth[~test])
        score[test] = scaled[test] @ weights[:-1] + weights[-1]
    return auc_metric(truth, score, who, of=of)

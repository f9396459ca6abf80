"""AUC and what belongs to it (E15): ties count one half, unknown labels take no part, one class has no AUC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from disasymnet.metrics.interval import Floats, Metric, Statistic, mean, measure

Numbers = Sequence[float] | npt.NDArray[Any]


def known(label: Numbers, *others: Numbers) -> tuple[npt.NDArray[Any], ...]:
    """`label` and the arrays beside it without the rows whose label is NaN."""
    truth = np.asarray(label, dtype=np.float64)
    keep = ~np.isnan(truth)
    return (truth[keep], *(np.asarray(other)[keep] for other in others))


def auc(label: Numbers, score: Numbers) -> float | None:
    """Share of (positive, negative) pairs in the right order, ties one half; None where a class is missing."""
    truth, rank = known(label, score)
    positive = truth > 0.5
    p, n = int(positive.sum()), int((~positive).sum())
    if not p or not n:
        return None
    midrank = rankdata(np.asarray(rank, dtype=np.float64))
    return float((midrank[positive].sum() - p * (p + 1) / 2) / (p * n))


def auc_statistic(label: Numbers, score: Numbers) -> Statistic:
    """The AUC of weighted units, for all resamples at once: sorted once, then sums over groups of equal scores."""
    truth, value = np.asarray(label, dtype=np.float64), np.asarray(score, dtype=np.float64)
    order = np.argsort(value, kind="stable")
    positive = truth[order] > 0.5
    starts = np.flatnonzero(np.r_[True, np.diff(value[order]) > 0])

    def statistic(weights: Floats) -> Floats:
        ordered = weights[:, order]
        above = np.add.reduceat(np.where(positive, ordered, 0.0), starts, axis=1)
        below = np.add.reduceat(np.where(positive, 0.0, ordered), starts, axis=1)
        right = (above * (below.cumsum(1) - below / 2)).sum(1)
        both = above.sum(1) * below.sum(1)
        with np.errstate(invalid="ignore"):
            return np.where(both > 0, right / both, np.nan)

    return statistic


def auc_metric(label: Numbers, score: Numbers, patients: Sequence[object] | npt.NDArray[Any], *, of: str) -> Metric:
    """The AUC with its intervals; `of` names the unit (`side`, `pair`)."""
    truth, value, who = known(label, score, np.asarray(patients))
    positives = int((truth > 0.5).sum())
    single = auc(truth, value)
    note = None if single is not None else "one class only" if len(truth) else "no labelled cases"
    return measure(single, auc_statistic(truth, value), who, of=of, positives=positives, note=note)


def auc_difference(
    label: Numbers, first: Numbers, second: Numbers, patients: Sequence[object] | npt.NDArray[Any], *, of: str
) -> Metric:
    """AUC of `first` minus AUC of `second` on the same units, resampled together (paired)."""
    truth, one, two, who = known(label, first, second, np.asarray(patients))
    a, b = auc(truth, one), auc(truth, two)
    if a is None or b is None:
        return Metric(None, n=len(truth), of=of, note="one class only")
    statistic_a, statistic_b = auc_statistic(truth, one), auc_statistic(truth, two)
    return measure(a - b, lambda weights: statistic_a(weights) - statistic_b(weights), who, of=of)


@dataclass(frozen=True)
class DeLong:
    """Two AUCs on the same units, compared. `z` and `p` are None where the variance of the difference is 0."""

    first: float
    second: float
    variance: tuple[float, float]
    covariance: float
    z: float | None
    p: float | None


def delong_components(label: Numbers, score: Numbers) -> tuple[Floats, Floats]:
    """V10 (one value a positive) and V01 (one a negative) of DeLong, DeLong and Clarke-Pearson 1988.

    By midranks (Sun and Xu 2014), so that the cost is that of sorting.
    """
    truth, value = known(label, score)
    positive = truth > 0.5
    x, y = value[positive].astype(np.float64), value[~positive].astype(np.float64)
    together = rankdata(np.r_[x, y])
    v10 = (together[: len(x)] - rankdata(x)) / len(y)
    v01 = 1 - (together[len(x) :] - rankdata(y)) / len(x)
    return v10, v01


def delong_test(label: Numbers, first: Numbers, second: Numbers) -> DeLong | None:
    """Paired, two-sided; None unless each class has two units. Assumes independent units (no clustering)."""
    truth = np.asarray(label, dtype=np.float64)
    if (truth > 0.5).sum() < 2 or (truth <= 0.5).sum() < 2:
        return None
    a10, a01 = delong_components(label, first)
    b10, b01 = delong_components(label, second)
    covariance = np.cov(a10, b10) / len(a10) + np.cov(a01, b01) / len(a01)
    spread = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    difference = float(a10.mean() - b10.mean())
    z = difference / math.sqrt(spread) if spread > 1e-15 else None
    return DeLong(
        first=float(a10.mean()),
        second=float(b10.mean()),
        variance=(float(covariance[0, 0]), float(covariance[1, 1])),
        covariance=float(covariance[0, 1]),
        z=z,
        p=None if z is None else math.erfc(abs(z) / math.sqrt(2)),
    )


def holm(p: Sequence[float]) -> list[float]:
    """p values of one family, adjusted by Holm's step-down rule, in the given order."""
    order = sorted(range(len(p)), key=lambda index: p[index])
    adjusted = [0.0] * len(p)
    floor = 0.0
    for step, index in enumerate(order):
        floor = max(floor, min(1.0, (len(p) - step) * p[index]))
        adjusted[index] = floor
    return adjusted


def side_accuracy(
    right: tuple[Numbers, Numbers],
    left: tuple[Numbers, Numbers],
    patients: Sequence[object] | npt.NDArray[Any],
) -> Metric:
    """Share of pairs with exactly one abnormal side where that side scores higher, ties one half.

    `right`, `left`: (labels, scores) of n pairs. What is alike on both sides of a woman (scanner, density, age)
    cannot help here: a high AUC beside a side accuracy near 0.5 is a shortcut.
    """
    hit, one = side_hits(right, left)
    return mean(hit[one], np.asarray(patients)[one], of="pair with one abnormal side")


def side_hits(right: tuple[Numbers, Numbers], left: tuple[Numbers, Numbers]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(n,) 1 where the abnormal side scores higher, 0.5 for a tie, else 0; and which pairs have one abnormal side."""
    truth_r, truth_l = np.asarray(right[0], dtype=np.float64), np.asarray(left[0], dtype=np.float64)
    difference = np.asarray(right[1], dtype=np.float64) - np.asarray(left[1], dtype=np.float64)
    one = (truth_r + truth_l) == 1  # NaN, an unknown side, is never 1
    hit: Floats = 0.5 + 0.5 * np.sign(np.where(truth_r > truth_l, difference, -difference))
    return hit, one


@dataclass(frozen=True)
class Roc:
    """Points of the curve from (0, 0) to (1, 1); `threshold[i]`: scores at or above it are called positive."""

    false_positive: Floats
    true_positive: Floats
    threshold: Floats


def roc(label: Numbers, score: Numbers) -> Roc | None:
    """One point for each distinct score; None where a class is missing."""
    truth, value = known(label, score)
    positive = truth > 0.5
    if positive.all() or not positive.any():
        return None
    order = np.argsort(-value, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(value[order]) != 0, True])
    true = positive[order].cumsum()[last] / positive.sum()
    false = (~positive[order]).cumsum()[last] / (~positive).sum()
    return Roc(np.r_[0.0, false], np.r_[0.0, true], np.r_[np.inf, value[order][last]])

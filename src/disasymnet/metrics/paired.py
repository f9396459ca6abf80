"""Is one method ahead of another on the same units? Differences with intervals and p values, two-sided.

Women contribute several sides and pairs, so that units are not independent: the test by whole patients is the main one.
DeLong's (`classification.delong_test`) and Wilcoxon's take every unit as independent and stand beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import wilcoxon

from disasymnet.metrics.classification import Numbers, auc, auc_statistic, delong_test, known
from disasymnet.metrics.interval import Floats, Metric, Statistic, bootstrap

RESAMPLES = 5000  # as Yala et al. 2021; the smallest p is then 0.0004, small enough for a family of ten

ROUNDING = 1e-12  # no difference: sums in another order leave the last digits


@dataclass(frozen=True)
class Paired:
    """`first` minus `second`."""

    difference: Metric
    """With the 95 % interval over whole patients."""
    p: float | None
    """Of the bootstrap over whole patients; None where there is no difference to resample."""
    p_units: float | None
    """Units taken as independent: DeLong for AUCs, Wilcoxon's signed ranks for means; None where it cannot say."""


def paired_auc(
    label: Numbers, first: Numbers, second: Numbers, patients: Sequence[object] | npt.NDArray[Any], *, of: str
) -> Paired:
    """AUC of `first` minus that of `second`: (n,) scores of the same units; unknown labels (NaN) take no part."""
    truth, one, two, who = known(label, first, second, np.asarray(patients))
    a, b = auc(truth, one), auc(truth, two)
    if a is None or b is None:
        return Paired(Metric(None, n=len(truth), of=of, note="one class only"), None, None)
    above, below = auc_statistic(truth, one), auc_statistic(truth, two)
    units = delong_test(truth, one, two)
    return _paired(a - b, lambda weights: above(weights) - below(weights), who, of, units.p if units else None)


def paired_mean(
    first: Sequence[float] | Floats,
    second: Sequence[float] | Floats,
    patients: Sequence[object] | npt.NDArray[Any],
    *,
    of: str,
) -> Paired:
    """Mean of `first` minus mean of `second`: (n,) values of the same units; NaN in one of them is left out."""
    change = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    there = ~np.isnan(change)
    change, who = change[there], np.asarray(patients)[there]
    if not len(change):
        return Paired(Metric(None, of=of, note="no cases"), None, None)

    def statistic(weights: Floats) -> Floats:
        total: Floats = weights @ change / weights.sum(1)
        return total

    return _paired(float(change.mean()), statistic, who, of, wilcoxon_p(change))


def wilcoxon_p(change: Floats) -> float | None:
    """Wilcoxon's signed-rank test of (n,) differences; zeros take part, shared out between the signs.

    None where all are zero.
    """
    if not np.any(change):
        return None
    return float(wilcoxon(change, zero_method="zsplit").pvalue)


def bootstrap_p(values: Floats) -> float | None:
    """Twice the smaller tail of resampled differences beyond zero, each tail counted with one more; at most 1."""
    if not len(values):
        return None
    smaller = min(int((values <= ROUNDING).sum()), int((values >= -ROUNDING).sum()))
    return min(1.0, 2 * (smaller + 1) / (len(values) + 1))


def _paired(value: float, statistic: Statistic, who: npt.NDArray[Any], of: str, p_units: float | None) -> Paired:
    drawn = bootstrap(statistic, who, resamples=RESAMPLES)
    women = len(np.unique(who))
    difference = Metric(value, drawn.ci, n=len(who), of=of, patients=women, redrawn=drawn.redrawn)
    return Paired(difference, bootstrap_p(drawn.values), p_units)

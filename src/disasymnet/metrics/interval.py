"""A number with its uncertainty: percentile bootstrap, by unit and clustered by patient (E15).

The paper draws 1,000 bootstrap samples and leaves the unit open. Two pictures of one woman are not independent, so
the interval that draws whole women is the main one here; the one that draws single units (sides, pairs), closer to
what the paper's widths suggest, stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""(R, n) weights of the n units in R resamples -> (R,) values; NaN where a resample leaves the value undefined."""

RESAMPLES = 1000  # [P]
_CHUNK = 4_000_000  # weights held at once: 32 MB
_HOPELESS = 100  # redraws per wanted resample before the interval is given up


@dataclass(frozen=True)
class Metric:
    """A value, its intervals, and what they were computed from; `value` is None where the data cannot say."""

    value: float | None
    ci: tuple[float, float] | None = None
    """95 %, whole patients resampled."""
    unit: str = "patient"
    """What `ci` resamples."""
    n: int = 0
    """Units that the value is computed from."""
    of: str = "side"
    """What one unit is: `side`, `pair`, `abnormal side`, ..."""
    ci_unit: tuple[float, float] | None = None
    """95 %, single units resampled."""
    patients: int | None = None
    positives: int | None = None
    redrawn: int = 0
    """Resamples without both classes; drawn again, never scored."""
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: value, ci, unit and n always, the rest where it says something."""
        known: dict[str, Any] = {
            "value": self.value,
            "ci": None if self.ci is None else list(self.ci),
            "unit": self.unit,
            "n": self.n,
            "of": self.of,
        }
        extra = {
            "ci_unit": None if self.ci_unit is None else list(self.ci_unit),
            "patients": self.patients,
            "positives": self.positives,
            "redrawn": self.redrawn or None,
            "note": self.note,
        }
        return known | {key: value for key, value in extra.items() if value is not None}


@dataclass(frozen=True)
class Resampled:
    """Bootstrap values of a statistic, with the number of draws that were undefined and drawn again."""

    values: Floats
    redrawn: int

    @property
    def ci(self) -> tuple[float, float] | None:
        """Percentiles 2.5 and 97.5."""
        if not len(self.values):
            return None
        low, high = np.percentile(self.values, (2.5, 97.5))
        return float(low), float(high)


def bootstrap(
    statistic: Statistic, groups: Sequence[object] | npt.NDArray[Any], *, resamples: int = RESAMPLES, seed: int = 0
) -> Resampled:
    """Values of `statistic` on resamples of whole groups; no value where there are fewer than two groups.

    `groups`: (n,) name of each unit's group (its patient; or a running number to draw single units).
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    count = len(names)
    if count < 2:
        return Resampled(np.empty(0), 0)
    draw = _Draw(count, seed, resamples)
    parts: list[Floats] = []
    wanted, redrawn = resamples, 0
    while wanted and redrawn <= _HOPELESS * resamples:
        rows = min(wanted, max(1, _CHUNK // len(member)))
        values = statistic(draw.next(rows).astype(np.float64)[:, member])
        defined = values[~np.isnan(values)]
        parts.append(defined)
        wanted -= len(defined)
        redrawn += rows - len(defined)
    return Resampled(np.empty(0) if wanted else np.concatenate(parts), redrawn)


class _Draw:
    """How often each of `count` groups is drawn, resample by resample: one stream, whose first part is kept."""

    def __init__(self, count: int, seed: int, resamples: int) -> None:
        self.count, self.seed, self.resamples = count, seed, resamples
        self.kept = _draws(count, seed, resamples)
        self.beyond: np.random.Generator | None = None

    def next(self, rows: int) -> npt.NDArray[Any]:
        """(rows, count)."""
        first, self.kept = self.kept[:rows], self.kept[rows:]
        if len(first) == rows:
            return first
        if self.beyond is None:
            self.beyond = np.random.default_rng(self.seed)
            _multinomial(self.beyond, self.count, self.resamples)  # those that were kept
        return np.concatenate([first, _multinomial(self.beyond, self.count, rows - len(first))])


def _multinomial(draw: np.random.Generator, count: int, rows: int) -> npt.NDArray[Any]:
    return draw.multinomial(count, np.full(count, 1 / count), size=rows)


@lru_cache(maxsize=8)
def _draws(count: int, seed: int, resamples: int) -> npt.NDArray[np.uint8]:
    """(resamples, count). They depend on nothing else, and an evaluation's figures ask for the same again and again.

    No group is drawn 256 times: with 300 groups the chance is below 1e-500.
    """
    return _multinomial(np.random.default_rng(seed), count, resamples).astype(np.uint8)


def measure(
    value: float | None,
    statistic: Statistic,
    patients: Sequence[object] | npt.NDArray[Any],
    *,
    of: str,
    positives: int | None = None,
    note: str | None = None,
) -> Metric:
    """`value` with both intervals; `statistic` must give `value` where all weights are 1."""
    n = len(patients)
    women = len(np.unique(np.asarray(patients))) if n else 0
    if value is None:
        return Metric(None, n=n, of=of, patients=women, positives=positives, note=note or "no cases")
    clustered = bootstrap(statistic, patients)
    single = bootstrap(statistic, np.arange(n))
    if clustered.ci is None:
        note = note or "no interval: fewer than two patients"
    return Metric(
        value,
        clustered.ci,
        n=n,
        of=of,
        ci_unit=single.ci,
        patients=women,
        positives=positives,
        redrawn=clustered.redrawn,
        note=note,
    )


def mean(
    values: Sequence[float] | Floats,
    patients: Sequence[object] | npt.NDArray[Any],
    *,
    of: str,
    note: str | None = None,
) -> Metric:
    """The mean over units as a Metric; NaN values (undefined there) are left out."""
    number = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(number)
    number, who = number[known], np.asarray(patients)[known]
    if not len(number):
        return Metric(None, of=of, note=note or "no cases")

    def statistic(weights: Floats) -> Floats:
        total: Floats = weights @ number / weights.sum(1)
        return total

    return measure(float(number.mean()), statistic, who, of=of, note=note)


def ratio(
    above: Sequence[float] | Floats,
    below: Sequence[float] | Floats,
    patients: Sequence[object] | npt.NDArray[Any],
    *,
    of: str,
) -> Metric:
    """Sum of `above` over sum of `below`: large units weigh more than in the mean of ratios."""
    top, bottom = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    if not len(top) or bottom.sum() == 0:
        return Metric(None, n=len(top), of=of, note="no cases")

    def statistic(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            total: Floats = (weights @ top) / (weights @ bottom)
        return np.where(np.isfinite(total), total, np.nan)

    return measure(float(top.sum() / bottom.sum()), statistic, patients, of=of)

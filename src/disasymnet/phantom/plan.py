"""Labels, densities and splits of all exams, exact in number and shuffled by the seed."""

from __future__ import annotations

import numpy as np

from disasymnet.phantom.settings import DENSITIES, PhantomSettings
from disasymnet.phantom.shoot import Plan, stream
from disasymnet.records import Sides

_NONE, _RIGHT, _LEFT, _BOTH = range(4)
_ABNORMAL = {
    _NONE: Sides(right=False, left=False),
    _RIGHT: Sides(right=True, left=False),
    _LEFT: Sides(right=False, left=True),
    _BOTH: Sides(right=True, left=True),
}


def shares(total: int, parts: list[float]) -> list[int]:
    """`total` divided in proportion to `parts` (largest remainders), so that small sets keep the mix too."""
    exact = np.asarray(parts, dtype=np.float64) * total / max(sum(parts), 1e-12)
    counts = np.floor(exact + 1e-9).astype(int)
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: total - counts.sum()]] += 1
    return [int(count) for count in counts]


def plan_exams(settings: PhantomSettings) -> list[Plan]:
    """One plan an exam; every split holds the label mix and the densities as nearly as its size allows."""
    rng = stream(settings.seed, 0)
    test, val = settings.count(settings.test), settings.count(settings.val)
    sizes = {"train": settings.exams - test - val, "val": val, "test": test}
    splits = [name for name, size in sizes.items() for _ in range(size)]
    labels, densities = [], []
    for size in sizes.values():
        labels += _mixed(rng, size, _label_mix(settings))
        densities += _mixed(rng, size, list(settings.densities))
    order = rng.permutation(settings.exams)
    return [
        Plan(index, splits[at], DENSITIES[densities[at]], _ABNORMAL[labels[at]])
        for index, at in enumerate(order.tolist())
    ]


def _label_mix(settings: PhantomSettings) -> list[float]:
    asymmetric = 1 - settings.symmetric
    one_sided = asymmetric * (1 - settings.bilateral) / 2
    return [settings.symmetric, one_sided, one_sided, asymmetric * settings.bilateral]


def _mixed(rng: np.random.Generator, size: int, mix: list[float]) -> list[int]:
    values = np.repeat(np.arange(len(mix)), shares(size, mix))
    return [int(value) for value in rng.permutation(values)]

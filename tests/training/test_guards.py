from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from disasymnet.training import guards
from disasymnet.training.guards import SIGNATURES, Spread, ratio, warnings_of


def stack(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows)[None, None]


def test_change_inside_counts_marked_pixels_only() -> None:
    x, x_n = stack([0.2, 0.4], [0.6, 0.8]), stack([0.2, 0.5], [0.1, 0.6])
    cam = stack([0.0, 0.4], [1.0, 0.5])
    assert guards.change_inside(x, x_n, cam) == pytest.approx((0.5 + 0.2, 0.6 + 0.8))
    assert ratio(guards.change_inside(x, x_n, torch.zeros_like(cam))) is None


def test_black_holes_compare_with_the_ring() -> None:
    x_n, cam = torch.full((1, 1, 16, 16), 0.4), torch.zeros(1, 1, 16, 16)
    breast = torch.ones_like(cam, dtype=torch.bool)
    cam[..., 6:9, 6:9] = 1
    x_n[..., 6, 6:9] = 0.19  # under half of 0.4: three holes among nine
    x_n[..., 7, 6:9] = 0.21
    assert guards.black_holes(x_n, cam, breast) == (3, 9)
    assert guards.black_holes(x_n, cam * 0, breast) == (0, 0)


def test_black_holes_take_the_ring_inside_the_breast() -> None:
    x_n, cam = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    breast = torch.zeros_like(cam, dtype=torch.bool)
    breast[..., :8] = True
    x_n[breast] = 0.4
    cam[..., 4:12, 5:8] = 1
    x_n[..., 4:12, 5:8] = 0.15  # the air on the other side of the skin line must not lower the ring's median
    assert guards.black_holes(x_n, cam, breast) == (24, 24)


def test_spread_is_the_mean_of_pixel_deviations() -> None:
    spread = Spread()
    assert spread.mean_std() is None
    spread.add(stack([0.0, 1.0]))
    spread.add(torch.cat([stack([1.0, 1.0]), stack([0.5, 1.0])]))
    assert spread.mean_std() == pytest.approx((math.sqrt(1 / 6) + 0) / 2)


@given(st.integers(0, 2**32 - 1))
def test_spread_of_batches_is_that_of_the_whole(seed: int) -> None:
    pictures = torch.rand(6, 1, 4, 3, generator=torch.Generator().manual_seed(seed))
    parts = Spread()
    for part in pictures.split([1, 3, 2]):
        parts.add(part)
    assert parts.mean_std() == pytest.approx(float(pictures.double().std(0, correction=0).mean()))


def test_probability_sum_takes_the_chosen() -> None:
    logits = torch.tensor([0.0, 2.0, -50.0])
    total, count = guards.probability_sum(logits, torch.tensor([True, True, False]))
    assert (total, count) == pytest.approx((0.5 + 0.880797, 2))


@pytest.mark.parametrize(
    ("history", "wanted"),
    [
        ([0.1, 0.2, 0.3, 0.4], True),
        ([0.9, 0.1, 0.2, 0.3, 0.4], True),
        ([0.2, 0.3, 0.4], False),
        ([0.1, 0.2, 0.2, 0.4], False),
        ([0.10, 0.11, 0.12, 0.13], False),
    ],
)
def test_rises(history: list[float], wanted: bool) -> None:
    assert guards.rises(history) is wanted


def test_universal_pattern_needs_both() -> None:
    assert guards.universal_pattern(0.03, 0.02) == 0.03
    assert guards.universal_pattern(0.03, 0.04) == 0.0
    assert guards.universal_pattern(None, 0.04) is None


HEALTHY = {
    "spread": 0.95, "copy": 0.3, "black_holes": 0.02, "brightness": 1.0, "cam": 0.05, "background": 0.0,
    "pattern": 0.0, "fooled": -0.05, "least_p_drawn": 0.1, "refine_drift": 0.0, "normal_rise": 0.0,
    "asymmetry_spread": 1.2, "batch_norm_gap": 0.01, "side_gap": 0.05,
}  # fmt: skip
ILL = {
    "collapse": 0.4, "copy": 0.001, "black hole": 0.5, "global darkening": 0.8, "CAM all": 0.7, "CAM none": 0.0005,
    "background": 0.38, "universal pattern": 0.03, "noise fooling": 0.4, "frozen copy in the wrong mode": 0.99,
    "refine drift": 0.2, "normal drift": 1.0, "asymmetry constant": 0.01, "spoilt running statistics": 0.31,
    "side shortcut": 0.3,
}  # fmt: skip


def test_a_healthy_run_is_not_warned_of() -> None:
    assert warnings_of(HEALTHY) == {}
    assert warnings_of(dict.fromkeys(HEALTHY)) == {}


@pytest.mark.parametrize("name", SIGNATURES)
def test_each_signature_is_warned_of_by_name(name: str) -> None:
    warnings = warnings_of(HEALTHY | {SIGNATURES[name].number: ILL[name]})
    assert list(warnings) == [name]
    assert f"{ILL[name]:.3g}" in warnings[name]
    assert "Usual cause" in warnings[name]
    assert "\n" not in warnings[name]

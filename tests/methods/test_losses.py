"""Formulas against numbers computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from disasymnet.data.batch import Labels
from disasymnet.methods.losses import (
    classification_loss,
    contralateral_loss,
    reconstruction_loss,
    synthesis_loss,
)

NAN = float("nan")


def _labels(right: list[float], left: list[float]) -> Labels:
    return Labels.of_sides(torch.tensor(right + left, dtype=torch.float32))


@pytest.mark.parametrize(
    ("z", "y", "loss"), [(0.0, 1.0, 0.693147), (2.0, 1.0, 0.126928), (2.0, 0.0, 2.126928), (-1.0, 1.0, 1.313262)]
)
def test_bce(z: float, y: float, loss: float) -> None:
    labels = Labels(torch.tensor([y, y]), torch.tensor([NAN]))
    assert classification_loss(torch.tensor([z, z]), torch.zeros(1), labels).item() == pytest.approx(loss, abs=1e-6)


def test_l_diag() -> None:
    labels = _labels([0, 0], [1, 0])
    side = torch.tensor([0.5, -1.0, 2.0, -3.0])
    loss = classification_loss(side, torch.tensor([1.0, -2.0]), labels)
    assert labels.asymmetric.tolist() == [1, 0]
    assert loss.item() == pytest.approx(0.220095 + 0.365714, abs=1e-6)
    assert classification_loss(side, None, labels).item() == pytest.approx(0.365714, abs=1e-6)


def test_l_disc_and_l_refine_on_the_same_logits() -> None:
    labels = _labels([0, 0], [1, 0])
    side, asymmetry = torch.tensor([-2.0, 0.5, 1.0, -1.0]), torch.tensor([-1.0, 0.0])
    assert classification_loss(side, asymmetry, labels.all_normal()).item() == pytest.approx(1.185087, abs=1e-6)
    assert classification_loss(side, asymmetry, labels).item() == pytest.approx(1.435087, abs=1e-6)


def test_unknown_labels_take_no_part() -> None:
    side = torch.tensor([0.5, 9.0, 2.0, 9.0])
    labels = _labels([0, NAN], [1, NAN])
    alone = classification_loss(side[::2], torch.tensor([1.0]), _labels([0], [1]))
    assert classification_loss(side, torch.tensor([1.0, 9.0]), labels).item() == pytest.approx(alone.item())


@pytest.mark.parametrize(
    ("right", "left", "asymmetric"),
    [(0, 0, 0.0), (1, 0, 1.0), (1, 1, 1.0), (1, NAN, 1.0), (NAN, 0, None), (NAN, NAN, None)],
)
def test_a_pair_is_symmetric_only_if_both_sides_are_known_normal(
    right: float, left: float, asymmetric: float | None
) -> None:
    found = _labels([right], [left]).asymmetric.item()
    assert found == asymmetric if asymmetric is not None else found != found


def test_l_rec_leaves_x_n_free_under_the_mask() -> None:
    x = torch.tensor([[0.2, 0.4], [0.6, 0.8]])[None, None]
    cam = torch.tensor([[0.0, 0.0], [1.0, 0.5]])[None, None]
    x_n = torch.tensor([[0.2, 0.5], [0.1, 0.6]])[None, None]  # 0.5 darker under M = 1: costs nothing, a black hole
    x_ab = torch.tensor([[0.0, 0.1], [0.5, 0.3]])[None, None]
    everywhere = torch.ones_like(x)
    assert reconstruction_loss(x, cam, x_n, x_ab, everywhere).item() == pytest.approx(0.125)
    assert reconstruction_loss(x, cam, x, cam * x, everywhere).item() == 0
    assert synthesis_loss(x, x_n, everywhere).item() == pytest.approx(0.2)


def test_means_may_run_over_the_breast_only() -> None:
    x, x_n = torch.zeros(1, 1, 1, 4), torch.tensor([0.4, 0.0, 0.0, 0.0]).view(1, 1, 1, 4)
    breast = torch.tensor([True, True, False, False]).view(1, 1, 1, 4)
    assert synthesis_loss(x, x_n, breast).item() == pytest.approx(0.2)


def test_comparing_takes_half_of_the_other_sides_strongest_evidence() -> None:
    air = 9.0  # the strongest of all, and in no breast
    before = torch.tensor([[1.0, 1.0, air], [0.5 * math.log(3), 0.0, air]]).view(2, 1, 1, 3)
    breast = torch.tensor([True, True, False]).view(1, 1, 1, 3).expand(2, 1, 1, 3)
    # softmax(2 before): right 1/2, 1/2, so 1; left 3/4, 1/4, so 0.411980. Right must fall by 0.205990, left by 0.5.
    loss = contralateral_loss(before, before, breast)
    assert loss.item() == pytest.approx((2 * 0.205990**2 + 2 * 0.25) / 4, abs=1e-6)
    wanted = before - torch.tensor([0.205990, 0.5]).view(2, 1, 1, 1)
    assert contralateral_loss(before, wanted, breast).item() == pytest.approx(0, abs=1e-9)

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from disasymnet.data.augment import NONE, Change, apply, draw
from disasymnet.data.batch import Labels, PairBatch
from disasymnet.settings import AugmentSettings

from .small import HEIGHT, WIDTH, breast_mask

ALL = AugmentSettings(zoom=0.2, shift=0.1, jitter=0.02, vertical_flip=True, swap_sides=True, grey=0.2)


def batch_of(pairs: int, seed: int = 0) -> PairBatch:
    breast = torch.from_numpy(breast_mask()).expand(2 * pairs, 1, HEIGHT, WIDTH)
    image = torch.rand(2 * pairs, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed)) * breast
    lesion = torch.zeros_like(breast)
    lesion[:, :, 20:30, 5:12] = True
    labels = Labels.of_sides(torch.arange(2.0 * pairs).remainder(2))
    return PairBatch(image, breast, labels, tuple(f"p{number}" for number in range(pairs)), lesion=lesion)


def without_grey(settings: AugmentSettings) -> AugmentSettings:
    return settings.model_copy(update={"grey": 0.0})


def moved(change: Change) -> PairBatch:
    return apply(batch_of(1), [change])


def test_without_a_change_every_bit_stays() -> None:
    batch = batch_of(2)
    made = apply(batch, [NONE, NONE])
    assert made.image is batch.image
    assert made.breast is batch.breast


def test_a_whole_shift_moves_rows_down() -> None:
    batch, made = batch_of(1), moved(Change(shift=4 / HEIGHT))
    torch.testing.assert_close(made.image[:, :, 4:], batch.image[:, :, :-4], rtol=0, atol=1e-4)
    assert made.image[:, :, :4].max() == 0
    assert made.lesion is not None
    assert made.lesion[0, 0, 24:34, 5:12].all()
    assert made.lesion[0].sum() == 70


def test_a_flip_turns_both_sides_upside_down() -> None:
    batch, made = batch_of(1), moved(Change(flip=True))
    torch.testing.assert_close(made.image, batch.image.flip(2), rtol=0, atol=1e-4)
    assert torch.equal(made.breast, batch.breast.flip(2))


def test_a_jitter_crops_the_chest_wall_of_its_side_only() -> None:
    batch, made = batch_of(1), moved(Change(jitter=((-2 / WIDTH, 0.0), (0.0, 1 / HEIGHT))))
    torch.testing.assert_close(made.image[0, :, :, :-2], batch.image[0, :, :, 2:], rtol=0, atol=1e-4)
    torch.testing.assert_close(made.image[1, :, 1:], batch.image[1, :, :-1], rtol=0, atol=1e-4)


def test_zoom_keeps_the_chest_wall_and_the_middle() -> None:
    made = moved(Change(zoom=1.25))
    inside = breast_mask()
    grown = made.breast[0, 0].numpy()
    assert grown[HEIGHT // 2].sum() == pytest.approx(1.25 * inside[HEIGHT // 2].sum(), abs=1)
    assert grown[:, 0].all()  # 52 rows at the wall become 65
    shrunk = moved(Change(zoom=0.8)).breast[0, 0].numpy()
    assert shrunk[:, 0].sum() == pytest.approx(0.8 * inside[:, 0].sum(), abs=1)
    assert shrunk[HEIGHT // 2, 0]
    rows = np.flatnonzero(shrunk[:, 0])
    assert rows[0] + rows[-1] == HEIGHT - 1


def test_swapped_sides_take_their_labels_along() -> None:
    batch = batch_of(2)
    made = apply(batch, [Change(swap=True), NONE])
    assert torch.equal(made.image, batch.image[[2, 1, 0, 3]])
    assert torch.equal(made.labels.side, batch.labels.side[[2, 1, 0, 3]])
    assert torch.equal(made.labels.asymmetric, batch.labels.asymmetric)


def test_grey_is_the_same_on_both_sides_and_leaves_the_air() -> None:
    batch = replace(batch_of(1), image=0.25 * batch_of(1).breast)
    made = apply(batch, [Change(gain=1.2, gamma=0.5)])
    inside = batch.breast
    torch.testing.assert_close(made.image[inside], torch.full_like(made.image[inside], 0.6))  # 1.2 * sqrt(0.25)
    assert made.image[~inside].max() == 0


@given(st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_ranges_hold_and_air_is_black(seed: int) -> None:
    rng = np.random.default_rng(seed)
    changes = [draw(rng, ALL) for _ in range(3)]
    for change in changes:
        assert 0.8 <= change.zoom <= 1.2
        assert abs(change.shift) <= 0.1
        assert all(-0.02 <= x <= 0 and abs(y) <= 0.02 for x, y in change.jitter)
    made = apply(batch_of(3, seed), changes)
    assert made.image.min() >= 0
    assert made.image.max() <= 1
    assert made.image[~made.breast].max() == 0
    assert made.breast[:, :, HEIGHT // 2, 0].all()


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_an_even_breast_stays_even_to_its_rim(seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch = replace(batch_of(2), image=0.5 * batch_of(2).breast)
    made = apply(batch, [draw(rng, without_grey(ALL)) for _ in range(2)])
    torch.testing.assert_close(made.image[made.breast], torch.full_like(made.image[made.breast], 0.5))


def test_each_setting_switches_its_own_change_and_no_other() -> None:
    full = draw(np.random.default_rng(3), ALL)
    for name, off, neutral in (
        ("zoom", 0.0, {"zoom": 1.0}),
        ("shift", 0.0, {"shift": 0.0}),
        ("vertical_flip", False, {"flip": False}),
        ("swap_sides", False, {"swap": False}),
        ("grey", 0.0, {"gain": 1.0, "gamma": 1.0}),
    ):
        partly = draw(np.random.default_rng(3), ALL.model_copy(update={name: off}))
        assert partly == replace(full, **neutral)


def test_all_off_moves_nothing() -> None:
    still = AugmentSettings(zoom=0, shift=0, jitter=0)
    assert not any(draw(np.random.default_rng(seed), still).moves for seed in range(20))

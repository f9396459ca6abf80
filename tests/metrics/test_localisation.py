from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from disasymnet.metrics.localisation import (
    GRID,
    MINMAX_CUT,
    TIOR_THRESHOLDS,
    TIOU_THRESHOLDS,
    Overlap,
    Threshold,
    best_of_grid,
    equivalent_diameter,
    grown,
    over_grid,
    overlap,
    pointing,
    reached,
    share_outside,
    size_stratum,
)


def _block(rows: slice, columns: slice, shape: tuple[int, int] = (4, 4)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


def test_overlap_by_hand():
    seen = overlap(_block(slice(0, 2), slice(0, 2)), _block(slice(0, 3), slice(1, 3)))
    assert seen == Overlap(iou=0.25, ior_ref=pytest.approx(1 / 3), ior_det=0.5, dice=0.4)


def test_nothing_marked_scores_nothing():
    assert overlap(np.zeros((4, 4), bool), _block(slice(0, 1), slice(0, 1))) == Overlap(0, 0, 0, 0)


@given(arrays(bool, (5, 5)), arrays(bool, (5, 5)).filter(np.any))
@settings(max_examples=60, deadline=None)
def test_dice_and_iou_say_the_same(marked, lesion):
    seen = overlap(marked, lesion)
    assert seen.dice == pytest.approx(2 * seen.iou / (1 + seen.iou))
    back = overlap(lesion, marked)
    assert (back.iou, back.dice) == (seen.iou, seen.dice)
    if marked.any():
        assert (back.ior_ref, back.ior_det) == (seen.ior_det, seen.ior_ref)


def test_mean_tiou_and_tior_by_hand():
    assert np.mean([reached(iou, TIOU_THRESHOLDS) for iou in (0.25, 0, 0.55, 0.8)]) == pytest.approx(0.5)
    assert np.mean([reached(ior, TIOR_THRESHOLDS) for ior in (1 / 3, 0, 0.9, 0.95)]) == pytest.approx(0.6)
    assert Overlap(0.7, 0, 0.9, 0).tiou == 1.0
    assert Overlap(0.7, 0, 0.9, 0).tior == 1.0  # "at or above", as HAM counts


def test_fixed_cut_of_a_minmax_map_is_that_of_ham():
    assert pytest.approx(0.999, abs=1e-9) == 1 / (1 + np.exp(-100 * (MINMAX_CUT - 0.4)))


def test_pointing_counts_a_shared_maximum_by_its_share():
    breast = np.ones((4, 4), bool)
    lesion = _block(slice(0, 2), slice(0, 2))
    heat = np.zeros((4, 4))
    assert pointing(heat, lesion, breast) == 0.25  # flat: chance, the lesion's share of the breast
    heat[1, 1] = 1
    assert pointing(heat, lesion, breast) == 1
    heat[3, 3] = 1
    assert pointing(heat, lesion, breast) == 0.5
    heat[3, 3] = 2
    assert pointing(heat, lesion, breast) == 0
    breast[3, 3] = False  # a maximum outside the breast is not shown and not asked
    assert pointing(heat, lesion, breast) == 1
    assert pointing(heat, lesion, np.zeros((4, 4), bool)) == 0


def test_grown_reaches_as_far_as_its_radius():
    lesion = _block(slice(3, 4), slice(3, 4), (7, 7))
    assert grown(lesion, 1).sum() == 5
    assert grown(lesion, 1.5).sum() == 9
    assert grown(lesion, 0).sum() == 1
    assert not grown(np.zeros((3, 3), bool), 2).any()


def test_threshold_is_the_best_of_the_grid():
    lesion = _block(slice(0, 2), slice(0, 2))
    chosen = best_of_grid([over_grid(np.where(lesion, 0.32, 0.22), lesion)])
    assert GRID[chosen] == Threshold(0.3)
    # greys that differ between the pictures: only a share of the maximum fits both
    maps = [np.where(lesion, 0.9, 0.5), np.where(lesion, 0.09, 0.05)]
    assert GRID[best_of_grid([over_grid(heat, lesion) for heat in maps])] == Threshold(0.6, relative=True)
    assert best_of_grid([]) is None


def test_an_empty_map_is_never_marked():
    assert not Threshold(0.5, relative=True).cut(np.zeros((3, 3))).any()
    assert Threshold(0.5).cut(np.array([[0.5, 0.49]])).tolist() == [[True, False]]


def test_sizes():
    assert equivalent_diameter(np.ones((10, 10), bool), 0.4) == pytest.approx(0.4 * 2 * np.sqrt(100 / np.pi))
    assert [size_stratum(d) for d in (4.9, 5, 10, 19.9, 20)] == [
        "under 5 mm",
        "5 to 10 mm",
        "10 to 20 mm",
        "10 to 20 mm",
        "over 20 mm",
    ]


def test_share_outside_the_breast():
    breast = _block(slice(0, 4), slice(0, 2))
    assert share_outside(np.ones((4, 4)), breast) == 0.5
    assert share_outside(np.zeros((4, 4)), breast) is None

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from disasymnet.metrics.reconstruction import PSNR_LIMIT, change, psnr, removal, rim_fill, ring_fill, ssim, ssim_map

BREAST = np.ones((40, 20), bool)
LESION = np.zeros((40, 20), bool)
LESION[10:20, 5:15] = True
TRUTH = np.full((40, 20), 0.4)
SEEN = TRUTH + 0.2 * LESION


def test_untouched_and_perfect():
    before = removal(SEEN, SEEN, TRUTH, LESION, BREAST)
    assert before.inside_ratio == 1
    assert before.contrast_removed == pytest.approx(0)
    assert before.missed
    assert before.outside_error == 0
    after = removal(SEEN, TRUTH, TRUTH, LESION, BREAST)
    assert after.inside_ratio == 0
    assert after.contrast_removed == 1
    assert after.removed
    assert after.psnr == PSNR_LIMIT
    assert after.ssim == pytest.approx(1)


def test_half_removed_by_hand():
    half = removal(SEEN, TRUTH + 0.1 * LESION, TRUTH, LESION, BREAST)
    assert half.inside_ratio == pytest.approx(0.5)
    assert half.contrast_removed == pytest.approx(0.5)
    assert half.black_holes == 0
    assert not half.missed
    assert half.psnr == pytest.approx(-10 * np.log10(0.01 * 100 / 800))


def test_a_hole_is_counted_where_it_is_darker_than_the_truth_by_more_than_a_tenth():
    normal = TRUTH.copy()
    normal[10:13, 5:15] -= 0.11
    normal[13:16, 5:15] -= 0.09
    normal[16:20, 5:15] += 0.5
    assert removal(SEEN, normal, TRUTH, LESION, BREAST).black_holes == pytest.approx(0.3)


def test_overdone_removal_is_above_one():
    over = removal(SEEN, TRUTH - 0.1 * LESION, TRUTH, LESION, BREAST)
    assert over.contrast_removed == pytest.approx(1.5)
    assert over.inside_ratio == pytest.approx(0.5)


def test_outside_leaves_the_rim_out_and_counts_the_breast_only():
    normal = TRUTH.copy()
    normal[8:10, 5:15] += 0.5  # within two pixels of the lesion
    breast = BREAST.copy()
    breast[30:] = False
    normal[30:] += 0.9  # not breast
    assert removal(SEEN, normal, TRUTH, LESION, breast).outside_error == 0
    normal[7, 10] += 0.5  # three pixels away
    assert removal(SEEN, normal, TRUTH, LESION, breast).outside_error > 0


def test_no_lesion_no_answer():
    assert removal(SEEN, SEEN, TRUTH, np.zeros_like(LESION), BREAST) is None
    assert removal(TRUTH, TRUTH, TRUTH, LESION, BREAST) is None  # marked, but nothing in the picture


def test_ssim_and_psnr_agree_with_scikit_image():
    rng = np.random.default_rng(0)
    first = rng.random((60, 40))
    second = np.clip(first + rng.normal(0, 0.1, first.shape), 0, 1)
    value, full = structural_similarity(
        first, second, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    inside = (slice(5, -5), slice(5, -5))
    assert ssim_map(first, second)[inside] == pytest.approx(full[inside], abs=1e-12)
    everywhere = np.zeros(first.shape, bool)
    everywhere[inside] = True
    assert ssim(first, second, everywhere) == pytest.approx(value)
    everywhere[:] = True
    assert psnr(first, second, everywhere) == pytest.approx(peak_signal_noise_ratio(first, second, data_range=1))


def test_change_is_over_the_breast_only():
    breast = BREAST.copy()
    breast[20:] = False
    assert change(SEEN, TRUTH, breast) == pytest.approx(0.2 * 100 / 400)
    assert change(SEEN, TRUTH, np.zeros_like(BREAST)) == 0


def test_inside_and_outside_by_hand():
    normal = TRUTH.copy()
    normal[10:15, 5:15] += 0.2  # half of the lesion: mean square 0.02 inside
    normal[30, :] += 0.1  # 20 pixels of the rest
    found = removal(SEEN, normal, TRUTH, LESION, BREAST)
    # A square of 10 with a rim of 2: each side grows by 2 rows, each corner by the one pixel within 2 of it.
    rest = 800 - (100 + 4 * 10 * 2 + 4)
    assert found.psnr_in == pytest.approx(-10 * np.log10(0.02))
    assert found.psnr_out == pytest.approx(-10 * np.log10(20 * 0.01 / rest))
    assert found.psnr == pytest.approx(-10 * np.log10((50 * 0.04 + 20 * 0.01) / 800))
    assert found.ssim_in == pytest.approx(ssim(normal, TRUTH, LESION))
    assert found.ssim_in < found.ssim < 1


def test_ssim_outside_sees_nothing_of_a_change_beyond_the_window():
    breast = BREAST.copy()
    breast[:26] = False  # the lesion ends at row 19, the window reaches 5 pixels
    found = removal(SEEN, SEEN, TRUTH, LESION, breast | LESION)
    assert found.ssim_out == pytest.approx(1)
    assert found.ssim_in < 0.99


def test_lesion_is_filled_from_its_ring_by_hand():
    x = np.full((40, 20), 0.1)
    x[10:20, 5:15] = 0.9
    x[7:23, 2:18] = np.where(x[7:23, 2:18] == 0.9, 0.9, 0.7)  # nearer than 2 or barely farther
    x[8:22, 3:17] = np.where(x[8:22, 3:17] == 0.9, 0.9, 0.5)  # the rim: not in the ring
    filled = ring_fill(x, LESION, BREAST)
    y, column = np.mgrid[:40, :20]
    away = np.hypot(np.maximum(np.maximum(10 - y, y - 19), 0), np.maximum(np.maximum(5 - column, column - 14), 0))
    ring = (away > 2) & (away <= 6)
    assert filled[LESION] == pytest.approx(x[ring].mean())
    assert np.array_equal(filled[~LESION], x[~LESION])


def test_each_lesion_is_filled_from_its_own_ring():
    two = np.zeros((40, 40), bool)
    two[10:14, 4:8] = two[10:14, 30:34] = True
    x = np.where(np.arange(40) < 20, 0.2, 0.6) * np.ones((40, 1)) + 0.3 * two
    filled = ring_fill(x, two, np.ones_like(two))
    assert filled[11, 5] == pytest.approx(0.2)
    assert filled[11, 31] == pytest.approx(0.6)
    assert np.array_equal(ring_fill(x, two, two), x)  # no breast around: nothing to fill from


def test_rim_is_carried_inwards_by_hand():
    x = np.array([[0.1, 0.2, 0.3, 0.9], [0.2, 9.0, 9.0, 0.5], [0.1, 0.4, 0.6, 0.9]])
    lesion = np.zeros(x.shape, bool)
    lesion[1, 1:3] = True
    # 4a - b = 0.2 + 0.2 + 0.4 and 4b - a = 0.3 + 0.6 + 0.5
    filled = rim_fill(x, lesion, np.ones_like(lesion))
    assert filled[1, 1:3] == pytest.approx([(4 * 0.8 + 1.4) / 15, (4 * 1.4 + 0.8) / 15])
    assert np.array_equal(filled[~lesion], x[~lesion])
    breast = np.ones_like(lesion)
    breast[1, 3] = False  # no neighbour any more: 4a - b = 0.8, 3b - a = 0.9
    assert rim_fill(x, lesion, breast)[1, 1:3] == pytest.approx([(3 * 0.8 + 0.9) / 11, (4 * 0.9 + 0.8) / 11])
    assert np.array_equal(rim_fill(x, lesion, lesion), x)  # no breast around: nothing to fill from


@settings(max_examples=20, deadline=None)
@given(slope=st.tuples(st.floats(-0.01, 0.01), st.floats(-0.01, 0.01)), seed=st.integers(0, 1000))
def test_rim_fill_goes_on_a_slope_exactly(slope, seed):
    y, column = np.mgrid[:30, :20]
    plane = 0.5 + slope[0] * y + slope[1] * column
    lesion = np.zeros(plane.shape, bool)
    lesion[3:26, 3:16] = np.random.default_rng(seed).random((23, 13)) < 0.7  # many parts, of any shape
    assert rim_fill(plane + lesion, lesion, np.ones_like(lesion)) == pytest.approx(plane)


@settings(max_examples=40, deadline=None)
@given(left=st.floats(-1, 2), seed=st.integers(0, 1000))
def test_what_is_left_of_a_lesion_is_what_is_measured(left, seed):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.3, 0.5, BREAST.shape)
    x = truth + rng.uniform(0.1, 0.4, BREAST.shape) * LESION
    found = removal(x, truth + left * (x - truth), truth, LESION, BREAST)
    assert found.inside_ratio == pytest.approx(abs(left))
    assert found.contrast_removed == pytest.approx(1 - left)
    assert found.outside_error == pytest.approx(0)
    assert found.psnr_out == PSNR_LIMIT
    assert found.psnr_in <= found.psnr or left == 0 or found.psnr == PSNR_LIMIT
    assert found.black_holes == 0 or left < 0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_two_reference_points_bound_the_scale(seed):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.3, 0.5, BREAST.shape)
    x = truth + 0.3 * LESION
    copied, told = (removal(x, each, truth, LESION, BREAST) for each in (x, ring_fill(x, LESION, BREAST)))
    assert copied.inside_ratio == 1
    assert copied.contrast_removed == 0
    assert removal(x, truth, truth, LESION, BREAST).inside_ratio == 0
    assert told.inside_ratio < 0.5  # tissue varies by a third of the lesion
    assert told.outside_error == 0

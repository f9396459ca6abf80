from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from disasymnet.metrics.reconstruction import PSNR_LIMIT, change, psnr, removal, ssim, ssim_map

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

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from disasymnet.metrics.classification import (
    auc,
    auc_difference,
    auc_metric,
    auc_statistic,
    delong_components,
    delong_test,
    holm,
    roc,
    side_accuracy,
)
from disasymnet.metrics.interval import bootstrap

LABEL = [1, 1, 1, 1, 0, 0, 0, 0]
A = [0.9, 0.8, 0.6, 0.4, 0.7, 0.5, 0.3, 0.1]
B = [0.7, 0.9, 0.35, 0.2, 0.6, 0.5, 0.4, 0.3]


def test_auc_counts_ties_one_half():
    assert auc([1, 1, 1, 0, 0], [0.9, 0.5, 0.3, 0.5, 0.1]) == pytest.approx(4.5 / 6)


def test_auc_of_one_class_is_none_and_unknown_labels_take_no_part():
    assert auc([1, 1], [0.1, 0.2]) is None
    assert auc([], []) is None
    assert auc([1, 0, np.nan, np.nan], [0.9, 0.1, 0.0, 1.0]) == 1.0


@st.composite
def _scored(draw):
    n = draw(st.integers(4, 40))
    label = draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(lambda each: 0 < sum(each) < len(each)))
    score = draw(st.lists(st.integers(-6, 6), min_size=n, max_size=n))
    return np.array(label, float), np.array(score, float)


@given(_scored())
@settings(max_examples=150, deadline=None)
def test_auc_is_the_mann_whitney_share_and_agrees_with_scikit_learn(case):
    label, score = case
    positive, negative = score[label == 1], score[label == 0]
    pairs = (positive[:, None] > negative).mean() + 0.5 * (positive[:, None] == negative).mean()
    assert auc(label, score) == pytest.approx(pairs)
    assert auc(label, score) == pytest.approx(roc_auc_score(label, score))


@given(_scored())
@settings(max_examples=50, deadline=None)
def test_auc_does_not_change_under_monotone_maps_and_turns_over_under_falling_ones(case):
    label, score = case
    assert auc(label, np.arctan(score) * 3 + 7) == pytest.approx(auc(label, score))
    assert auc(label, -score) == pytest.approx(1 - auc(label, score))


@given(_scored(), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_weighted_auc_is_that_of_repeated_rows(case, seed):
    label, score = case
    times = np.random.default_rng(seed).integers(0, 4, len(label))
    value = auc_statistic(label, score)(times[None].astype(float))[0]
    plain = auc(np.repeat(label, times), np.repeat(score, times))
    assert np.isnan(value) if plain is None else value == pytest.approx(plain)


def test_delong_by_hand():
    a10, a01 = delong_components(LABEL, A)
    b10, b01 = delong_components(LABEL, B)
    assert a10.tolist() == [1, 1, 0.75, 0.5]
    assert a01.tolist() == [0.5, 0.75, 1, 1]
    assert b10.tolist() == [1, 1, 0.25, 0]
    assert b01.tolist() == [0.5, 0.5, 0.5, 0.75]
    test = delong_test(LABEL, A, B)
    assert (test.first, test.second) == (0.8125, 0.5625)
    assert test.variance == pytest.approx((0.0286458, 0.0703125), abs=1e-7)
    assert test.covariance == pytest.approx(0.0338542, abs=1e-7)
    assert test.z == pytest.approx(1.414214, abs=1e-6)
    assert test.p == pytest.approx(0.157299, abs=1e-6)


def test_delong_says_nothing_where_it_cannot():
    assert delong_test([1, 0, 0], [0.3, 0.2, 0.1], [0.1, 0.2, 0.3]) is None
    same = delong_test(LABEL, A, A)
    assert same.z is None
    assert same.p is None


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_interval_of_the_auc_is_that_of_a_plain_loop():
    rng = np.random.default_rng(5)
    label = rng.integers(0, 2, 80).astype(float)
    score = rng.normal(label, 1.0)
    fast = auc_metric(label, score, np.arange(80), of="side")
    plain = [auc(label[rows], score[rows]) for rows in rng.integers(0, 80, (4000, 80))]
    assert fast.ci == pytest.approx(np.percentile(plain, [2.5, 97.5]), abs=0.015)
    assert fast.ci == fast.ci_unit  # every unit is its own patient
    assert (fast.n, fast.patients, fast.positives) == (80, 80, label.sum())


def test_women_with_many_alike_pictures_widen_the_interval():
    rng = np.random.default_rng(0)
    label = np.repeat(rng.integers(0, 2, 40), 4).astype(float)
    score = np.repeat(rng.normal(label[::4], 1.0), 4)
    metric = auc_metric(label, score, np.repeat(np.arange(40), 4), of="side")
    width = metric.ci[1] - metric.ci[0]
    assert width > 1.6 * (metric.ci_unit[1] - metric.ci_unit[0])


def test_one_class_resamples_are_drawn_again_and_counted():
    metric = auc_metric([1, 0, 0, 0, 0], [0.9, 0.5, 0.2, 0.1, 0.3], list("abcde"), of="side")
    assert metric.value == 1.0
    assert metric.ci == (1.0, 1.0)
    # without the positive: (4/5)^5 = 0.33 of the draws; with only it: 0.0003
    assert 0.25 < metric.redrawn / (1000 + metric.redrawn) < 0.41


def test_no_interval_from_one_patient_and_no_number_from_one_class():
    alone = auc_metric([1, 0], [0.9, 0.1], ["w", "w"], of="side")
    assert alone.value == 1.0
    assert alone.ci is None
    assert "fewer than two patients" in alone.note
    single = auc_metric([1, 1], [0.9, 0.1], ["v", "w"], of="side")
    assert single.to_dict() == {
        "value": None,
        "ci": None,
        "unit": "patient",
        "n": 2,
        "of": "side",
        "patients": 2,
        "positives": 2,
        "note": "one class only",
    }


def test_same_seed_same_interval_and_chunks_do_not_matter():
    label, score = np.tile([0.0, 1.0], 50), np.linspace(0, 1, 100)
    once, again = (auc_metric(label, score, np.arange(100) // 2, of="side") for _ in range(2))
    assert once == again


def test_paired_difference_is_zero_for_the_same_score_and_tighter_than_unpaired():
    rng = np.random.default_rng(1)
    label = np.tile([0.0, 1.0], 60)
    score = rng.normal(label, 1)
    assert auc_difference(label, score, score, np.arange(120), of="side").ci == (0.0, 0.0)
    near = auc_difference(label, score, score + rng.normal(0, 0.2, 120), np.arange(120), of="side")
    alone = auc_metric(label, score, np.arange(120), of="side")
    assert near.ci[1] - near.ci[0] < 0.5 * (alone.ci[1] - alone.ci[0])
    assert auc_difference([1, 1], [1, 2], [1, 2], [0, 1], of="side").value is None


def test_side_accuracy_uses_one_sided_pairs_only():
    right = ([1, 0, 1, 0, 1, np.nan], [0.9, 0.8, 0.1, 0.3, 0.4, 0.9])
    left = ([0, 1, 1, 0, 0, 1], [0.1, 0.1, 0.9, 0.2, 0.4, 0.1])
    metric = side_accuracy(right, left, list("abcdef"))
    assert metric.value == pytest.approx((1 + 0 + 0.5) / 3)
    assert metric.n == 3
    assert side_accuracy(([0], [0.1]), ([0], [0.2]), ["a"]).value is None


def test_roc_points_agree_with_scikit_learn():
    curve = roc(LABEL, A)
    false, true, cut = roc_curve(LABEL, A, drop_intermediate=False)
    assert curve.false_positive == pytest.approx(false)
    assert curve.true_positive == pytest.approx(true)
    assert curve.threshold[1:] == pytest.approx(cut[1:])
    assert roc([1, 1], [0, 1]) is None


def test_bootstrap_gives_up_where_no_resample_is_defined():
    nothing = bootstrap(lambda weights: np.full(len(weights), np.nan), ["a", "b"], resamples=10)
    assert nothing.ci is None
    assert nothing.redrawn >= 1000


def test_large_sets_stay_quick():
    n = 20_000
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, n).astype(float)
    start = time.process_time()
    bootstrap(auc_statistic(label, rng.normal(label)), np.arange(n) // 4, resamples=100)
    assert time.process_time() - start < 5  # a thousand resamples of VinDr's size in under a minute


@pytest.mark.parametrize("undefined", [0.0, 0.3])
def test_resamples_come_from_one_stream_whatever_was_kept(undefined: float) -> None:
    """Undefined ones are drawn again from where the stream stands, and asking twice changes nothing."""
    groups = np.array([0, 0, 1, 2, 2, 3])

    def statistic(weights: np.ndarray) -> np.ndarray:
        value = weights @ np.arange(6.0)
        return np.where(value % 10 < 10 * undefined, np.nan, value)

    draw, expected = np.random.default_rng(0), []
    while len(expected) < 1000:
        times = draw.multinomial(4, np.full(4, 0.25)).astype(float)
        (value,) = statistic(times[None, groups])
        expected += [] if np.isnan(value) else [value]
    for _ in range(2):
        assert np.array_equal(bootstrap(statistic, groups).values, expected)

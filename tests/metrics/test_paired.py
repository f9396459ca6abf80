from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disasymnet.metrics.classification import auc
from disasymnet.metrics.paired import bootstrap_p, paired_auc, paired_mean, wilcoxon_p

LABEL = [1, 1, 1, 1, 0, 0, 0, 0]
A = [0.9, 0.8, 0.6, 0.4, 0.7, 0.5, 0.3, 0.1]
B = [0.7, 0.9, 0.35, 0.2, 0.6, 0.5, 0.4, 0.3]


def test_difference_of_two_aucs_with_delong_by_hand() -> None:
    test = paired_auc(LABEL, A, B, range(8), of="side")
    assert test.difference.value == 0.25
    assert test.p_units == pytest.approx(0.157299, abs=1e-6)
    assert (test.difference.n, test.difference.patients) == (8, 8)
    low, high = test.difference.ci
    assert low < 0.25 < high


def test_p_of_resamples_by_hand() -> None:
    assert bootstrap_p(np.array([0.1, 0.2, 0.3, -0.1])) == pytest.approx(2 * 2 / 5)
    assert bootstrap_p(np.full(99, 0.1)) == pytest.approx(0.02)
    assert bootstrap_p(np.zeros(9)) == 1.0
    assert bootstrap_p(np.empty(0)) is None


def test_the_clustered_p_is_that_of_all_resamples() -> None:
    """Four women with 2 pairs each: all 256 draws are enumerated, those with one class left out."""
    who = np.repeat(np.arange(4), 2)
    label = np.array([1, 0, 1, 0, 1, 0, 1, 0])
    first = np.array([0.9, 0.1, 0.8, 0.3, 0.4, 0.5, 0.7, 0.6])
    second = np.array([0.2, 0.6, 0.9, 0.1, 0.3, 0.4, 0.5, 0.8])
    below = above = 0
    for draw in itertools.product(range(4), repeat=4):
        rows = np.concatenate([np.flatnonzero(who == woman) for woman in draw])
        change = auc(label[rows], first[rows]) - auc(label[rows], second[rows])
        below, above = below + (change <= 1e-12), above + (change >= -1e-12)
    exact = min(1.0, 2 * min(below, above) / 256)
    assert paired_auc(label, first, second, who, of="pair").p == pytest.approx(exact, abs=0.02)


def test_copies_of_a_woman_do_not_make_the_difference_surer() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(0.3, 1, 30), rng.normal(0, 1, 30)
    once = paired_mean(first, second, np.arange(30), of="image")
    often = paired_mean(np.repeat(first, 9), np.repeat(second, 9), np.repeat(np.arange(30), 9), of="image")
    assert often.p == pytest.approx(once.p, abs=0.02)
    assert often.p_units < once.p_units / 5  # which is why units are not the main test


def test_signed_ranks_by_hand() -> None:
    # Differences 1 to 5, all positive: 2 of the 32 equally likely sign patterns are as extreme.
    assert wilcoxon_p(np.arange(1.0, 6.0)) == pytest.approx(2 / 32)
    # Ranks 1 2 3 4, one of rank 1 negative: W = 1, as small in 2 of 16 patterns, both tails.
    assert wilcoxon_p(np.array([-1.0, 2.0, 3.0, 4.0])) == pytest.approx(4 / 16)
    assert wilcoxon_p(np.zeros(4)) is None


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=12))
def test_exchanging_the_methods_turns_the_sign_and_keeps_p(values: list[tuple[float, float]]) -> None:
    first, second = (np.array(column) for column in zip(*values, strict=True))
    one, other = (paired_mean(*both, np.arange(len(first)), of="image") for both in ((first, second), (second, first)))
    assert one.difference.value == pytest.approx(-other.difference.value)
    assert one.p == pytest.approx(other.p)
    assert (one.p_units is None) == (other.p_units is None)
    if one.p_units is not None:
        assert one.p_units == pytest.approx(other.p_units)


def test_unknown_labels_and_values_take_no_part() -> None:
    nan = math.nan
    kept = paired_auc([*LABEL, nan], [*A, 5.0], [*B, -5.0], range(9), of="side")
    assert (kept.difference.value, kept.difference.n) == (0.25, 8)
    assert paired_mean([1.0, nan, 3.0], [0.0, 1.0, 0.0], list("aab"), of="image").difference.n == 2
    assert paired_mean([nan], [0.0], ["a"], of="image").difference.value is None
    assert paired_auc([1, 1], [0.1, 0.2], [0.3, 0.4], list("ab"), of="side").p is None

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from disasymnet.metrics.outline import (
    blank_auc,
    blank_features,
    fit_logistic,
    outline_auc,
    outline_features,
    patient_folds,
)


def test_logistic_regression_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(120, 30))
    label = (features[:, 0] + rng.normal(size=120) > 0.8).astype(float)
    for strength in (0.01, 1.0):
        theirs = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000).fit(features, label)
        ours = fit_logistic(features, label, strength)
        assert ours[:-1] == pytest.approx(theirs.coef_[0], abs=1e-5)
        assert ours[-1] == pytest.approx(theirs.intercept_[0], abs=1e-5)


def test_features_do_not_know_which_side_is_which():
    rng = np.random.default_rng(1)
    breast = rng.random((3, 2, 64, 32)) > 0.5
    assert outline_features(breast, [1, 2, 3]) == pytest.approx(outline_features(breast[:, ::-1], [1, 2, 3]))
    assert outline_features(breast, [1, 2, 3]).shape == (3, 259)


def test_folds_keep_women_together_and_spread_the_positives():
    patients = [f"w{number // 2}" for number in range(100)]
    label = np.array([float(number % 10 == 0) for number in range(100)])
    fold = patient_folds(patients, label, 5)
    assert all(len(set(fold[2 * woman : 2 * woman + 2])) == 1 for woman in range(50))
    assert [label[fold == number].sum() for number in range(5)] == [2] * 5
    assert (patient_folds(patients, label, 5) == fold).all()
    assert (patient_folds(patients, label, 5, seed=1) != fold).any()


def test_outlines_that_differ_give_the_label_away_and_equal_ones_do_not():
    rng = np.random.default_rng(2)
    count = 100
    label = np.arange(count) % 2.0
    breast = np.zeros((count, 2, 64, 32), bool)
    for number in range(count):
        width = rng.integers(14, 20)
        breast[number, 0, 8:56, :width] = True
        breast[number, 1, 8:56, : width + (6 if label[number] else 0)] = True
    patients = [str(number) for number in range(count)]
    assert outline_auc(breast, [4.0] * count, label, patients).value > 0.95
    blind = outline_auc(breast, [4.0] * count, rng.permutation(label), patients)
    assert blind.ci[0] < 0.5 < blind.ci[1]


def test_mean_grey_of_a_side_gives_its_label_away_only_where_it_hangs_on_it():
    rng = np.random.default_rng(3)
    count = 100
    breast = np.zeros((count, 2, 64, 32), bool)
    breast[:, :, 8:56, :16] = True
    label = (rng.random((count, 2)) > 0.7).astype(float)
    grey = rng.normal(0.4, 0.05, (count, 1)) + 0.05 * label + rng.normal(0, 0.005, (count, 2))
    features = blank_features(breast, [4.0] * count, grey)
    assert features.shape == (2 * count, 132)
    assert features[3, 129:131] == pytest.approx([grey[1, 1], grey[1, 1] - grey[1, 0]])
    patients = [str(number) for number in range(count)]
    found = blank_auc(breast, [4.0] * count, grey, label, patients)
    assert found.value > 0.9
    assert (found.n, found.of) == (2 * count, "side")
    blind = blank_auc(breast, [4.0] * count, grey, rng.permutation(label.ravel()).reshape(count, 2), patients)
    assert blind.ci[0] < 0.5 < blind.ci[1]


def test_too_few_pairs_give_no_number():
    breast = np.ones((4, 2, 64, 32), bool)
    assert outline_auc(breast, [1.0] * 4, [0, 1, 0, np.nan], list("abcd")).value is None

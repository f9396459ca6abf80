"""Cells and tests, against hand-computed numbers and scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import wilcoxon
from sklearn.metrics import roc_auc_score

from disasymnet.metrics.classification import holm
from disasymnet.reproduce.compare import Filled, cell, family_of, paired_tests
from disasymnet.reproduce.rows import (
    ABNORMAL,
    ASYMMETRIC,
    COMPARATORS,
    DERIVED,
    IOU,
    IOU_CHOSEN,
    REMOVAL,
    SIDES,
    TARGETS,
    TIOU,
)
from tests.reproduce.answered import answers, filled

INSIDE = REMOVAL[0]
LABEL = np.array([1.0, 1, 1, 1, 0, 0, 0, 0])
A = np.array([0.9, 0.8, 0.6, 0.4, 0.7, 0.5, 0.3, 0.1])
B = np.array([0.7, 0.9, 0.35, 0.2, 0.6, 0.5, 0.4, 0.3])


def _random(seed: int, gain: float, *, pair: bool = True, n: int = 60):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2.0
    side = rng.normal(0, 1, (n, 2)) + gain * np.stack([y, np.zeros(n)], 1)
    iou = np.where(np.stack([y, np.zeros(n)], 1) == 1, rng.uniform(0, 0.2 + 0.2 * gain, (n, 2)), np.nan)
    measured = {"cam_iou": iou, "cam_dice": 2 * iou / (1 + iou), "pointing_cam": np.where(iou > 0.2, 1.0, 0.0)}
    return answers(y, side.max(1) if pair else np.full(n, np.nan), side, **measured)


def test_a_cell_is_the_mean_over_seeds_beside_ensemble_and_paper():
    line = filled("disasymnet", answers(LABEL, A), answers(LABEL, B))
    found = cell(line, ASYMMETRIC, "DDSM")
    assert found["seeds"] == {"0": 0.8125, "1": 0.5625}
    assert found["value"] == pytest.approx(0.6875)
    assert found["sd"] == pytest.approx(0.25 / 2**0.5)
    assert found["ensemble"] == pytest.approx(roc_auc_score(LABEL, (A + B) / 2))
    assert found["paper"] == [0.958, 0.938, 0.975]
    assert (found["n"], found["of"], found["patients"]) == (8, "pair", 8)
    assert found["ci"] == found["ci_unit"]  # each pair is a woman of her own
    assert found["ci"][0] < 0.6875 < found["ci"][1]
    alone = cell(filled("disasymnet", answers(LABEL, A)), ASYMMETRIC, None)
    assert (alone["value"], alone["sd"], alone["paper"]) == (0.8125, None, None)


def test_what_a_method_cannot_answer_is_na_and_the_derived_score_stands_apart():
    single = filled("resnet18", _random(1, 1.0, pair=False))
    asymmetric = cell(single, ASYMMETRIC, "DDSM")
    assert asymmetric["value"] is None
    assert asymmetric["note"] == "this method has no asymmetry head"
    derived, seen = cell(single, DERIVED, "DDSM"), single.answers[0]
    assert derived["value"] == pytest.approx(roc_auc_score(seen.pair["y"], seen.side["logit"].max(1)))
    assert derived["paper"] is None
    abnormal = cell(single, ABNORMAL, "DDSM")
    assert abnormal["value"] == pytest.approx(roc_auc_score(seen.side["y"].ravel(), seen.side["logit"].ravel()))
    assert abnormal["of"] == "side"
    assert abnormal["patients"] == 60
    right, left = seen.side["logit"].T
    one = seen.pair["y"] == 1
    assert cell(single, SIDES, None)["value"] == pytest.approx(np.mean(right[one] > left[one]))
    pair_only = filled("asymmirai", answers(LABEL, A))
    assert cell(pair_only, ABNORMAL, None)["note"] == cell(pair_only, DERIVED, None)["note"]
    assert cell(pair_only, ABNORMAL, None)["note"] == "this method has no side head"


def test_a_figure_that_an_earlier_evaluation_lacks_is_na_and_says_so():
    new = {"reconstruction": {"inside_ratio": {"value": 0.3, "ci": [0.2, 0.4], "ci_unit": [0.2, 0.4]}}}
    old = {"reconstruction": {}}
    line = filled("disasymnet", answers(LABEL, A), answers(LABEL, B))
    for order in ((new, old), (old, new)):
        found = cell(replace(line, results=dict(enumerate(order))), INSIDE, None)
        assert found["value"] is None
        assert found["note"] == "evaluated before this was measured"
    assert cell(replace(line, results={0: new, 1: new}), INSIDE, None)["value"] == pytest.approx(0.3)


def test_removal_from_phantoms_has_intervals_for_several_seeds():
    left = np.array([[0.2, np.nan], [0.6, np.nan], [0.4, np.nan], [0.8, np.nan]])
    line = filled("disasymnet", *(answers(np.ones(4), np.zeros(4), inside_ratio=left + shift) for shift in (0, 0.1)))
    found = cell(line, INSIDE, None)
    assert found["value"] == pytest.approx(0.55)
    assert found["ci"][0] < 0.55 < found["ci"][1]
    assert (found["n"], found["sd"]) == (4, pytest.approx(0.1 / 2**0.5))


def test_a_cut_that_nobody_chose_is_na():
    iou = np.array([[0.25, np.nan]] * 4)
    found = cell(filled("disasymnet", answers(np.ones(4), np.zeros(4), cam_iou=iou)), IOU_CHOSEN, None)
    assert (found["value"], found["note"]) == (None, "no pair with a marked lesion to choose by")


def test_mean_tiou_by_hand():
    iou = np.array([[0.25, np.nan], [0.0, np.nan], [0.55, np.nan], [0.8, np.nan]])
    found = cell(filled("disasymnet", answers(np.ones(4), np.zeros(4), cam_iou=iou)), TIOU, "INBreast")
    assert found["value"] == pytest.approx(0.5)
    assert (found["n"], found["paper"]) == (4, [60.0, None, None])


def test_the_seeds_tiou_is_averaged_not_that_of_their_mean_iou():
    low, high = (answers(np.ones(4), np.zeros(4), cam_iou=np.array([[value, np.nan]] * 4)) for value in (0.09, 0.75))
    found = cell(filled("disasymnet", low, high), TIOU, None)
    assert found["ensemble"] == found["value"] == pytest.approx(0.5)  # the mean .42 reaches 4 of 7


def test_delong_of_the_ensemble_by_hand():
    made = paired_tests([filled("cvt", answers(LABEL, B)), filled("disasymnet", answers(LABEL, A))], TARGETS["table1"])
    found = next(test for test in made if test["column"] == "asymmetric")
    assert found["difference"]["value"] == 0.25
    assert found["p_units"] == pytest.approx(0.157299, abs=1e-6)
    assert found["units_test"] == "DeLong"
    twice = [filled("cvt", answers(LABEL, B), answers(LABEL, B)), filled("disasymnet", answers(LABEL, A + B), _same())]
    ensembled = next(test for test in paired_tests(twice, TARGETS["table1"]) if test["column"] == "asymmetric")
    assert ensembled["difference"]["value"] == pytest.approx(0.25)  # mean of A + B and A - B is A
    assert len(ensembled["seeds"]) == 2
    assert ensembled["seeds"]["0"]["difference"] == pytest.approx(roc_auc_score(LABEL, A + B) - 0.5625)


def test_a_row_with_more_seeds_is_tested_on_those_that_both_have():
    more = filled("disasymnet", answers(LABEL, B), answers(LABEL, 10 * A))
    found = paired_tests([filled("cvt", answers(LABEL, B)), more], TARGETS["table1"])[0]
    assert (found["difference"]["value"], list(found["seeds"])) == (0.0, ["0"])
    assert cell(more, ASYMMETRIC, None)["ensemble"] > 0.8  # all seeds, in the table
    one, two = (Filled(more.line, {seed: more.answers[seed]}, {}) for seed in (0, 1))
    none = paired_tests([Filled(filled("cvt").line, one.answers, {}), two], TARGETS["table1"])[0]
    assert (none["p"], none["note"]) == (None, "no seed that both have")


def _same():
    return answers(LABEL, A - B)


def test_the_declared_family_is_eight_cells():
    family = family_of(TARGETS["table1"])
    assert len(family) == 8  # five comparators and two tasks, less two methods without an asymmetry head
    assert {name for name, _ in family} == set(COMPARATORS)
    assert ("resnet18", "asymmetric") not in family
    assert len(family_of(TARGETS["table2"])) == 20  # five comparators; IoU and mean TIoU at two cuts
    assert {name for name, _ in family_of(TARGETS["ablations"])} == {"asyc", "asyd", "asyd-syn", "asyc-asyd"}


def test_holm_runs_over_the_declared_family_and_waits_for_what_is_missing():
    lines = [filled(name, _random(seed, 0.3, pair=name not in ("resnet18", "ham")))
             for seed, name in enumerate((*COMPARATORS, "late-fusion", "asyc"))]  # fmt: skip
    lines.append(filled("disasymnet", _random(99, 1.5)))
    made = {(test["row"], test["column"]): test for test in paired_tests(lines, TARGETS["table1"])}
    family = family_of(TARGETS["table1"])
    for raw, corrected in (("p", "p_holm"), ("p_units", "p_units_holm")):
        expected = holm([made[each][raw] for each in family])
        assert [made[each][corrected] for each in family] == pytest.approx(expected)
    assert {each for each, test in made.items() if test["in_family"]} == set(family)
    assert "p_holm" not in made["late-fusion", "abnormal"]
    assert "p_holm" not in made["asyc", "asymmetric"]
    # Two of the five comparators are there: the others count with p = 1, so nothing looks surer than it will be.
    few = [line for line in lines if line.line.row.name in ("cvt", "asym-attention", "disasymnet")]
    early = {(test["row"], test["column"]): test for test in paired_tests(few, TARGETS["table1"])}
    least = min(early, key=lambda each: early[each]["p"])
    assert early[least]["p_holm"] == pytest.approx(min(1.0, 8 * early[least]["p"]))
    waiting = [*few, filled("ham")]
    note = next(test for test in paired_tests(waiting, TARGETS["table1"]) if test["row"] == "ham")
    assert (note["p"], note["note"]) == (None, "not yet evaluated")


def test_images_are_tested_by_signed_ranks():
    ours, other = _random(5, 1.5), _random(6, 0.3)
    lines = [filled("cvt", other), filled("disasymnet", ours)]
    made = {test["column"]: test for test in paired_tests(lines, TARGETS["table2"])}
    for column, name in ((IOU, "cam_iou"), (TIOU, "cam_tiou")):
        first, second = (seen.side[name][~np.isnan(seen.side[name])] for seen in (ours, other))
        found = made[column.key]
        assert found["units_test"] == "Wilcoxon"
        assert found["p_units"] == pytest.approx(wilcoxon(first, second, zero_method="zsplit").pvalue)
        assert found["difference"]["value"] == pytest.approx(first.mean() - second.mean())


def test_other_units_are_not_paired_and_no_other_row_means_no_test():
    strange = filled("strangers", answers(LABEL[::-1].copy(), A))
    ours = filled("disasymnet", answers(LABEL, A))
    found = paired_tests([strange, ours], TARGETS["ablations"])[0]
    assert found["difference"] is None
    assert found["note"] == "not the same units: nothing is paired"
    assert paired_tests([strange], TARGETS["ablations"]) == []
    assert paired_tests([ours], TARGETS["table1"]) == []

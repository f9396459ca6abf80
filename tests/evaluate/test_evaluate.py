from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from sklearn.metrics import roc_auc_score
from torch import Tensor

from disasymnet import checkpoint
from disasymnet.checkpoint import Checkpoint
from disasymnet.data.cache import Cache
from disasymnet.errors import CacheError, CheckpointError
from disasymnet.evaluate import evaluate, summary
from disasymnet.evaluate.forward import all_sides, cam_cut, look_at
from disasymnet.evaluate.scores import (
    chosen_on_other_folds,
    chosen_on_validation,
    classification,
    localisation,
    plain,
    pointing,
    reconstruction,
    signatures,
    strata,
)
from disasymnet.evaluate.synthetic import look_at_synthetic
from disasymnet.evaluate.tables import choose_gallery, write_csv
from disasymnet.methods.base import PairOutput
from disasymnet.metrics.localisation import MINMAX_CUT
from disasymnet.recipe import Recipe
from disasymnet.settings import CamSettings
from tests.data.small import breast_mask, make_pair, make_tumours
from tests.evaluate.trained import Knowing, card_of, knowing, known_cache, save_run, small_recipe


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return known_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def results(cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    run = save_run(tmp_path_factory.mktemp("run"), cache, small_recipe())
    return evaluate(run, cache, "test", None, _quiet), run / "evaluation" / "test"


def _quiet(line: str) -> None:
    assert line


def _test_sides(cache: Cache, kept: float = 0.0) -> tuple[list, list]:
    seen = look_at(knowing(cache, kept), cache, cache.split("test"))
    return seen, list(all_sides(seen))


def test_a_method_that_knows_is_perfect_in_every_figure(cache):
    seen, sides = _test_sides(cache)
    tree = classification(seen)
    assert tree["asymmetry"]["auc"].value == 1
    assert tree["abnormality"]["auc"].value == 1
    assert tree["side_accuracy"].value == 1
    assert tree["side_accuracy"].n == sum(pair.label == 1 for pair in seen)
    where = pointing(sides)
    assert [where[name].value for name in ("cam", "x_ab", "difference")] == [1, 1, 1]
    assert where["chance"].value == pytest.approx(16 / breast_mask().sum())
    found = localisation(sides, chosen_on_validation(sides), 0.5)
    assert found["cam"]["iou"].value == 1
    assert found["cam"]["tior"].value == 1
    assert found["cam"]["threshold"] == [{"value": 0.5, "relative": False, "chosen_on": "fixed"}]
    assert found["difference"]["threshold"][0]["chosen_on"] == "validation"


class Faint(Knowing):
    """Knows the place, but no cell of its map reaches the fixed cut."""

    def forward(self, image: Tensor, breast: Tensor) -> PairOutput:
        seen = super().forward(image, breast)
        return replace(seen, cam=0.3 * seen.cam)


def test_a_chosen_cut_forgives_a_faint_map_and_the_fixed_one_does_not(cache):
    faint = Checkpoint(Faint(), small_recipe(), card_of(cache, small_recipe()))
    test, validation = (list(all_sides(look_at(faint, cache, cache.split(split)))) for split in ("test", "val"))
    found = localisation(test, chosen_on_validation(validation), 0.5)
    assert found["cam"]["iou"].value == 0
    assert found["cam_at_chosen_cut"]["iou"].value == 1
    assert found["cam_at_chosen_cut"]["threshold"][0]["chosen_on"] == "validation"
    unchosen = localisation(test, chosen_on_validation([]), 0.5)["cam_at_chosen_cut"]["iou"]
    assert unchosen.value is None
    assert "no pair" in unchosen.note


def test_removal_by_hand(cache):
    for kept in (0.0, 0.4, 1.0):
        tree = reconstruction(_test_sides(cache, kept)[1], "truth")
        assert tree["inside_ratio"].value == pytest.approx(kept, abs=1e-3)
        assert tree["inside_ratio_pooled"].value == pytest.approx(kept, abs=1e-3)
        assert tree["contrast_removed"].value == pytest.approx(1 - kept, abs=1e-3)
        assert tree["outside_error"].value == pytest.approx(0, abs=1e-4)
        assert tree["removed_share"].value == (kept < 0.5)
        assert tree["missed_share"].value == (kept > 0.9)
        assert set(tree["by_kind"]) == {"mass"}
        assert set(tree["by_size"]) == {"5 to 10 mm"}  # 16 pixels of 2 mm: a disc of 9.03 mm


def test_too_much_removed_is_a_hole(cache):
    tree = reconstruction(_test_sides(cache, kept=-0.5)[1], "truth")
    assert tree["black_holes"].value == 1  # 0.125 darker than the truth
    assert tree["inside_ratio"].value == pytest.approx(0.5, abs=1e-3)
    assert tree["contrast_removed"].value == pytest.approx(1.5, abs=1e-3)


def test_signatures_of_a_healthy_method(cache):
    assert signatures(_test_sides(cache, kept=1.0)[1])["spread"].value == pytest.approx(1)
    tree = signatures(_test_sides(cache)[1])
    assert tree["spread"].value < 1
    assert tree["background"].value == 0
    assert tree["normal_change"].value == 0
    assert tree["judged_normal"].value is None  # no second look for a method without one


def test_strata_cover_the_pairs(cache):
    seen, _ = _test_sides(cache)
    tree = strata(seen, chosen_on_validation([]), 0.5)
    assert sum(part["n_pairs"] for part in tree["density"].values()) == len(seen)
    assert "without_calcification" not in tree  # none is there to leave out
    assert tree["kind"]["mass"]["auc_against_normal"].value == 1


def test_threshold_of_a_fold_is_chosen_on_the_others(cache):
    _, sides = _test_sides(cache)
    marked = [side for side in sides if side.maps]
    parted = [replace(side, fold=number % 2) for number, side in enumerate(marked)]
    wrong = [replace(side, maps=_turned(side.maps)) if side.fold == 0 else side for side in parted]
    cuts = chosen_on_other_folds(wrong)
    assert cuts("difference", wrong[1]) != cuts("difference", wrong[0])
    assert cuts("difference", wrong[0]) == chosen_on_other_folds(parted)("difference", parted[0])


def _turned(maps: dict) -> dict:
    return {name: replace(score, grid=score.grid[::-1]) for name, score in maps.items()}


def test_results_file_has_the_promised_keys_and_no_number_that_json_lacks(results):
    tree, folder = results
    stored = json.loads((folder / "results.json").read_text(), parse_constant=pytest.fail)
    assert stored == tree
    for metric in (
        stored["asymmetry"]["auc"],
        stored["asymmetry"]["outline_auc"],
        stored["abnormality"]["auc"],
        stored["side_accuracy"],
        *(stored["pointing"][name] for name in ("cam", "x_ab", "difference")),
        *(
            stored["localisation"][name][key]
            for name in ("cam", "x_ab", "difference")
            for key in ("iou", "ior_ref", "ior_det", "dice", "tiou", "tior")
        ),
        *(stored["reconstruction"][key] for key in ("inside_ratio", "outside_error", "black_holes", "psnr", "ssim")),
    ):
        assert {"value", "ci", "unit", "n"} <= set(metric)
        assert metric["unit"] == "patient"
    assert stored["schema"] == 1
    assert stored["n_pairs"] == 16
    assert stored["provenance"]["cache"]
    assert stored["provenance"]["machine"]["cores"] >= 1
    assert "Not for diagnosis" in stored["use"]
    assert summary(stored).count("\n") == 9


def test_untrained_residual_decoder_leaves_every_lesion(results):
    tree, _ = results
    assert tree["reconstruction"]["inside_ratio"]["value"] == pytest.approx(1, abs=1e-3)
    assert tree["reconstruction"]["missed_share"]["value"] == 1
    assert tree["reconstruction"]["truth"].startswith("phantoms")


def test_scores_can_be_computed_again_from_the_table(results):
    tree, folder = results
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    sides, pairs = ([row for row in rows if row["unit"] == unit] for unit in ("side", "pair"))
    assert (len(sides), len(pairs)) == (32, 16)
    for part, name in ((sides, "abnormality"), (pairs, "asymmetry")):
        again = roc_auc_score([float(row["y"]) for row in part], [float(row["logit"]) for row in part])
        assert tree[name]["auc"]["value"] == pytest.approx(again)
    assert all(0 <= float(row["p"]) <= 1 for row in rows)


def test_gallery_is_chosen_by_rule_and_holds_both_sides(results):
    _, folder = results
    listed = json.loads((folder / "gallery.json").read_text())
    arrays = safetensors.numpy.load_file(folder / "gallery.safetensors")
    assert len(listed["pairs"]) == 12
    assert sum(bool(entry["label"]["asymmetric"]) for entry in listed["pairs"]) == 8
    assert arrays["00.image"].shape == (2, 64, 32)
    assert arrays["00.truth"].shape == (2, 64, 32)
    assert arrays["00.difference"].dtype == np.int16
    ids = [make_pair(number, (number % 2 == 0, False)) for number in range(30)]
    assert choose_gallery(ids) == choose_gallery(ids[::-1])
    assert len(choose_gallery(ids[:3])) == 3


def test_scores_do_not_depend_on_the_batch(cache):
    recipe = small_recipe()
    one = checkpoint.Checkpoint(knowing(cache).method, recipe, card_of(cache, recipe))
    alone = replace(one, recipe=small_recipe("train.batch=1"))
    first, second = (look_at(each, cache, cache.split("test")) for each in (one, alone))
    assert [side.logit for side in all_sides(first)] == pytest.approx([side.logit for side in all_sides(second)])


def _folds(folder: Path, cache: Cache, change: Callable[[int], Recipe]) -> Path:
    for number in range(3):
        save_run(folder / f"fold-{number}", cache, change(number))
    return folder


def test_folds_are_pooled_and_each_pair_is_tested_once(cache, tmp_path):
    run = _folds(tmp_path, cache, lambda number: small_recipe("data.folds=3", f"data.fold={number}"))
    tree = evaluate(run, cache.path, "test", tmp_path / "out", _quiet)
    assert tree["n_pairs"] == len(cache.pairs)
    assert set(tree["folds"]) == {"0", "1", "2"}
    assert sum(fold["abnormality"]["auc"]["n"] for fold in tree["folds"].values()) == 2 * len(cache.pairs)
    assert tree["localisation"]["difference"]["threshold"][0]["chosen_on"] == "other folds"
    with pytest.raises(CheckpointError, match="test pairs"):
        evaluate(run, cache, "val", None, _quiet)


def test_the_same_fold_twice_is_refused(cache, tmp_path):
    run = _folds(tmp_path, cache, lambda number: small_recipe("data.folds=3", "data.fold=0"))
    with pytest.raises(CheckpointError, match="two of the folds are the same"):
        evaluate(run, cache, "test", None, _quiet)


def test_a_cache_that_does_not_fit_is_refused_and_another_one_is_named(cache, tmp_path):
    run = save_run(tmp_path / "run", cache, small_recipe())
    other = known_cache(tmp_path / "other", 24)
    said: list[str] = []
    evaluate(run, other, "all", tmp_path / "out", said.append)
    assert any("its training pairs may be among these" in line for line in said)
    with pytest.raises(CacheError, match="has learned from this cache"):
        evaluate(run, cache, "all", None, _quiet)
    with pytest.raises(CacheError, match="no split"):
        evaluate(run, cache, "tests", None, _quiet)
    large = save_run(tmp_path / "large", cache, small_recipe("image.height=128", "image.width=64"))
    with pytest.raises(CacheError, match="64 x 32, the model wants 128 x 64"):
        evaluate(large, cache, "test", None, _quiet)
    folds = _folds(tmp_path / "folds", other, lambda number: small_recipe("data.folds=3", f"data.fold={number}"))
    with pytest.raises(CacheError, match="another cache"):
        evaluate(folds, cache, "test", None, _quiet)


def test_removal_of_test_tumours_where_no_truth_is_known(tmp_path):
    cache = known_cache(tmp_path / "cache", truth=False, tumours=make_tumours())
    warnings: list[str] = []
    sides = look_at_synthetic(knowing(cache), cache, cache.split("test"), warnings)
    normal = [name for name in cache.split("test") if cache.pair(name).asymmetric is False]
    assert {side.pair.id for side in sides} == set(normal)
    assert not warnings
    assert all(side.removal is not None and side.removal.error_before > 0.05 for side in sides)
    assert all(side.kinds == {"mass"} for side in sides)
    assert [side.removal for side in sides] == [
        side.removal for side in look_at_synthetic(knowing(cache), cache, cache.split("test"), warnings)
    ]


def test_no_tumours_no_removal_but_a_warning(tmp_path):
    cache = known_cache(tmp_path / "cache", truth=False)
    said: list[str] = []
    run = save_run(tmp_path / "run", cache, small_recipe())
    tree = evaluate(run, cache, "test", None, said.append)
    assert tree["reconstruction"]["inside_ratio"]["value"] is None
    assert any("no removal of synthetic lesions" in line for line in tree["warnings"])
    assert any("no removal of synthetic lesions" in line for line in said)


def test_fixed_cut_of_the_cam():
    assert cam_cut(CamSettings(form="sigmoid")) == 0.5
    assert cam_cut(CamSettings(form="minmax")) == pytest.approx(0.999)
    soft = CamSettings(form="minmax", slope=10.0)
    assert cam_cut(soft) == pytest.approx(1 / (1 + np.exp(-10 * (MINMAX_CUT - 0.4))))


def test_no_spreadsheet_takes_a_name_for_a_formula(tmp_path):
    write_csv(tmp_path / "table.csv", ["name", "value"], [{"name": "=1+1", "value": -0.5}, {"name": None}])
    assert (tmp_path / "table.csv").read_text() == "name,value\n'=1+1,-0.5\n,\n"


def test_patients_of_a_private_set_are_not_named(tmp_path):
    cache = known_cache(tmp_path / "cache")
    private = replace(cache, manifest=replace(cache.manifest, public=False))
    run = save_run(tmp_path / "run", cache, small_recipe())
    evaluate(run, private, "test", tmp_path / "out", _quiet)
    listed = (tmp_path / "out" / "gallery.json").read_text()
    assert "p000-CC" in listed or "-CC" in listed
    assert " CC" not in listed  # `p000 CC` is the data set's own name of the pair


def test_numbers_become_plain_json(cache):
    tree = plain({"a": classification(look_at(knowing(cache), cache, cache.split("val")))})
    assert json.dumps(tree)
    assert tree["a"]["abnormality"]["auc"]["positives"] >= 1


def test_overlaps_of_the_cam_stand_in_the_table_for_tests_over_images(results):
    tree, folder = results
    with (folder / "predictions.csv").open(newline="") as file:
        marked = [row for row in csv.DictReader(file) if row["cam_iou"]]
    for name in ("iou", "ior_ref", "ior_det", "dice"):
        metric = tree["localisation"]["cam"][name]
        assert metric["n"] == len(marked)
        assert metric["value"] == pytest.approx(np.mean([float(row[f"cam_{name}"]) for row in marked]))
    chosen = tree["localisation"]["cam_at_chosen_cut"]["iou"]["value"]
    assert chosen == pytest.approx(np.mean([float(row["cam_chosen_iou"]) for row in marked]))
    holes = [float(row["black_holes"]) for row in marked if row["black_holes"]]
    assert tree["reconstruction"]["black_holes"]["value"] == pytest.approx(np.mean(holes))

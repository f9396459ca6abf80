"""Comparison methods, splits by shares and exchanged partners, from training to results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from disasymnet.data.cache import Cache
from disasymnet.data.partners import NOTE
from disasymnet.evaluate import evaluate
from disasymnet.training.loop import TrainOptions, train, train_folds
from tests.evaluate.trained import known_cache, small_recipe

ONE = TrainOptions(threads=1, device="cpu")
SHORT = ("train.epochs=1", "synthesis.on=false", "train.channels_last=false")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return known_cache(tmp_path_factory.mktemp("cache"))


def _quiet(line: str) -> None:
    assert line


def _epoch(run: Path) -> dict:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return next(line for line in lines if line["event"] == "epoch")


@pytest.mark.parametrize(
    ("method", "losses", "unknown"),
    [
        ("resnet18", {"diag"}, set()),
        ("ham", {"diag", "anomaly", "bound", "union"}, set()),
        ("cvt", {"diag"}, set()),
        ("asymmirai", {"diag"}, {"abnormality_auc", "side_accuracy"}),
    ],
)
def test_a_run_of_each_kind(method: str, losses: set[str], unknown: set[str], cache: Cache, tmp_path: Path) -> None:
    run = train(small_recipe(*SHORT, f"method={method}"), cache, tmp_path / "run", ONE, _quiet)
    epoch = _epoch(run)
    assert set(epoch["losses"]) == losses
    assert {name for name, value in epoch["validation"].items() if value is None} == unknown
    assert (run / "best").is_dir()
    results = evaluate(run, cache, "test", None, _quiet)
    assert results["provenance"]["method"] == method
    assert results["reconstruction"]["inside_ratio"]["value"] is None  # no decoder, no removal


def test_a_recipes_shares_hold_from_training_to_test(cache: Cache, tmp_path: Path) -> None:
    recipe = small_recipe(*SHORT, "method=resnet18", "data.shares=[0.6, 0.2, 0.2]")
    said: list[str] = []
    run = train(recipe, cache, tmp_path / "run", ONE, said.append)
    assert any(line.startswith("24 training and 8 validation pairs") for line in said)
    results = evaluate(run, cache, "test", None, _quiet)
    assert results["n_pairs"] == 8  # the cache's own split has 16
    predicted = (run / "evaluation" / "test" / "predictions.csv").read_text()
    tested = cache.redrawn((0.6, 0.2, 0.2)).split("test")
    assert all(f",{name}," in predicted for name in tested)
    assert not any(f",{name}," in predicted for name in cache.redrawn((0.6, 0.2, 0.2)).split("train"))


def test_exchanged_partners_are_said_and_are_others_in_the_test_too(cache: Cache, tmp_path: Path) -> None:
    said: list[str] = []
    recipe = small_recipe(*SHORT, "method=late-fusion", "data.partners=strangers")
    run = train(recipe, cache, tmp_path / "run", ONE, said.append)
    assert NOTE in said
    results = evaluate(run, cache, "test", None, _quiet)
    assert results["warnings"].count(NOTE) == 1
    own = [cache.pair(name).asymmetric for name in cache.split("test")]
    assert results["counts"]["asymmetric_pairs"] != sum(map(bool, own))  # abnormal sides now meet normal ones
    assert results["counts"]["abnormal_sides"] == sum(map(bool, own))  # every side is there once


def test_folds_of_exchanged_partners_warn_once(cache: Cache, tmp_path: Path) -> None:
    recipe = small_recipe(*SHORT, "method=resnet18", "data.partners=strangers", "data.folds=2")
    run = train_folds(recipe, cache, tmp_path / "run", ONE, _quiet)
    results = evaluate(run, cache, "test", None, _quiet)
    assert results["warnings"].count(NOTE) == 1
    assert results["n_pairs"] == 40

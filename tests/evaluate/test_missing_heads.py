"""A head that a method lacks: NA everywhere, never a made-up number; what is derived is marked as derived."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from disasymnet import checkpoint
from disasymnet.data.cache import Cache
from disasymnet.evaluate import evaluate, summary
from disasymnet.outputs.html import report
from disasymnet.outputs.prediction import predict_to
from tests.data.small import make_recipe
from tests.evaluate.trained import SMALL, card_of, known_cache, save_run


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return known_cache(tmp_path_factory.mktemp("cache"))


def _run(folder: Path, cache: Cache, method: str) -> tuple[dict, Path]:
    recipe = make_recipe(*SMALL, f"method={method}", "synthesis.on=false")
    run = save_run(folder / "run", cache, recipe)
    return evaluate(run, cache, "test", None, _quiet), run


def _quiet(line: str) -> None:
    assert line


def _rows(run: Path, unit: str) -> list[dict[str, str]]:
    with (run / "evaluation" / "test" / "predictions.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["unit"] == unit]


def test_without_an_asymmetry_head(cache: Cache, tmp_path: Path) -> None:
    results, run = _run(tmp_path, cache, "resnet18")
    assert results["asymmetry"]["auc"]["value"] is None
    assert results["asymmetry"]["auc"]["note"] == "this method has no asymmetry head"
    assert results["asymmetry"]["auc_of_larger_side"]["value"] is not None
    lines = summary(results).splitlines()
    assert "NA (this method has no asymmetry head)" in lines[1]
    assert "derived, of max(p_r, p_l)" in lines[2]
    assert "NA" not in lines[2]
    sides = {(row["pair"], row["side"]): float(row["p"]) for row in _rows(run, "side")}
    for row in _rows(run, "pair"):
        assert row["p"] == row["logit"] == ""
        larger = max(sides[row["pair"], "R"], sides[row["pair"], "L"])
        assert float(row["p_derived"]) == pytest.approx(larger, abs=1e-6)
    report(run, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "this method has no asymmetry head" in page
    assert "derived" in page


def test_without_a_side_head(cache: Cache, tmp_path: Path) -> None:
    results, run = _run(tmp_path, cache, "asymmirai")
    assert results["asymmetry"]["auc"]["value"] is not None
    for metric in (
        results["abnormality"]["auc"],
        results["side_accuracy"],
        results["asymmetry"]["auc_of_larger_side"],
        *(stratum["auc_against_normal"] for stratum in results["strata"]["kind"].values()),
    ):
        assert metric["value"] is None
        assert metric["note"] == "this method has no side head"
    assert all(row["p"] == row["logit"] == "" for row in _rows(run, "side"))
    assert all(row["p"] != "" and row["p_derived"] == "" for row in _rows(run, "pair"))
    listed = json.loads((run / "evaluation" / "test" / "gallery.json").read_text())
    assert listed["pairs"][0]["abnormality"] == {"right": None, "left": None}
    assert results["pointing"]["cam"]["value"] is not None  # its map is scored all the same
    report(run, tmp_path / "page.html")


@pytest.mark.parametrize(
    ("method", "missing"), [("ham", ["asymmetry"]), ("asymmirai", ["right abnormality", "left abnormality"])]
)
def test_a_prediction_says_na(method: str, missing: list[str], cache: Cache, tmp_path: Path) -> None:
    recipe = make_recipe(*SMALL, f"method={method}")
    run = save_run(tmp_path / "run", cache, recipe)
    assert checkpoint.load(run).card.method == card_of(cache, recipe).method == method
    for seed, name in enumerate("RL"):
        y, x = np.mgrid[:256, :160]
        breast = ((y - 128) / 110) ** 2 + (x / 120) ** 2 < 1
        grey = np.random.default_rng(seed).integers(90, 160, breast.shape) * breast
        Image.fromarray(grey.astype(np.uint8)).save(tmp_path / f"{name}.png")
    said = predict_to([tmp_path / "R.png", tmp_path / "L.png"], run, tmp_path / "out", _quiet)
    lines = said.splitlines()
    assert [line for line in lines if "NA, not given" in line] == [
        line for line in lines if line.startswith(tuple(missing))
    ]
    answer = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert (answer["asymmetry"] is None) == ("asymmetry" in missing)
    assert (answer["right"]["abnormality"] is None) == ("right abnormality" in missing)
    assert (tmp_path / "out" / "left-heatmap.png").is_file()

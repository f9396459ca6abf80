from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.caches import make_cache, tiny_recipe

from disasymnet import checkpoint
from disasymnet.data.cache import Cache, write_cache
from disasymnet.errors import CheckpointError, TrainingError
from disasymnet.evaluate.evaluation import evaluate
from disasymnet.networks.encoder import GreyStatistics
from disasymnet.recipe import Recipe
from disasymnet.settings import PretrainSettings
from disasymnet.training.crops import Crops, cell_truth, pictures_of
from disasymnet.training.detector import cell_loss, worst_negatives
from disasymnet.training.loop import TrainOptions, train
from disasymnet.training.pretrain import Detector, load_detector, pretrain, two_cosines, zero_shot

SETTINGS = {
    "steps": 60, "batch": 8, "crop_mm": 48.0, "hard_steps": 20, "hard_batch": 4, "hard_crop_mm": 64.0,
    "hard_cells": 3, "rate": 1e-2, "hard_rate": 1e-3,
}  # fmt: skip
ONE = TrainOptions(threads=1, device="cpu")


def fine_recipe(**changes: dict) -> Recipe:
    """Cells of 4 pixels: the lesions are squares of 4."""
    model = {"encoder": {"stem": "5x5", "widths": [8, 8, 16, 16], "blocks": [1, 1, 1, 1], "strides": [1, 2, 1, 1]}}
    model["decoder"] = {"widths": [8, 8]}
    return tiny_recipe(model=model, pretrain={**SETTINGS, **changes.get("pretrain", {})})


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return make_cache(tmp_path_factory.mktemp("cache"), pairs=32)


@pytest.fixture(scope="module")
def run(cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrain(fine_recipe(), cache, tmp_path_factory.mktemp("runs") / "trunk", ONE, print)


def test_cells_in_the_ellipse_between_and_outside() -> None:
    # Box 20 wide, 10 high around (20, 20): ellipse radii 10 and 5; inner 7.5 and 3.75, outer 15 and 7.5.
    boxes = np.array([[10.0, 15.0, 30.0, 25.0]])
    x, y = np.array([0.0, 6.0, 12.0, 13.0, 20.0, 27.0, 36.0]), np.array([12.0, 16.0, 20.0, 24.0])
    nan = np.nan
    wanted = [
        [0, 0, 0, 0, 0, 0, 0],  # 8 above: 1.6 radii
        [0, 0, nan, nan, nan, nan, 0],  # 4 above: 0.8 radii; at x = 6: hypot(1.4, 0.8) = 1.61
        [0, nan, nan, 1, 1, 1, 0],  # 8 aside 0.8; 7 aside 0.7; 16 aside 1.6
        [0, 0, nan, nan, nan, nan, 0],
    ]
    np.testing.assert_array_equal(cell_truth(boxes, x, y, 0.75, 1.5), wanted)


def test_a_small_lesion_keeps_its_nearest_cell() -> None:
    boxes = np.array([[17.0, 17.0, 20.0, 20.0]])
    grid = np.arange(4) * 16 + 0.5
    truth = cell_truth(boxes, grid, grid, 0.75, 1.5)
    assert truth[1, 1] == 1
    assert truth.sum() == 1


def test_cell_loss_by_hand() -> None:
    logits, truth = torch.tensor([2.0, 2.0, -1.0, 5.0]), torch.tensor([1.0, 0.0, 1.0, torch.nan])
    assert float(cell_loss(logits, truth, 3.0)) == pytest.approx((3 * 0.126928 + 2.126928 + 3 * 1.313262) / 3, abs=1e-5)


def test_worst_negatives_by_hand() -> None:
    logits = torch.tensor([[2.0, -1.0, 9.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    truth = torch.tensor([[0.0, 0.0, 1.0, torch.nan], [1.0, 1.0, 1.0, 1.0]])
    assert float(worst_negatives(logits, truth, 1)) == pytest.approx(2.126928, abs=1e-5)
    assert float(worst_negatives(logits, truth, 3)) == pytest.approx((2.126928 + 0.313262) / 2, abs=1e-5)


def test_two_cosines() -> None:
    settings = PretrainSettings(steps=100, hard_steps=50, rate=1e-3, hard_rate=3e-4)
    rate = two_cosines(settings, 150)
    assert [rate(s) for s in (0, 50, 100, 125)] == pytest.approx([1e-3, 5e-4, 3e-4, 1.5e-4])
    assert rate(99) < 1e-6
    assert rate(149) < 1e-6


def test_pictures_without_place_or_label_do_not_teach(cache: Cache) -> None:
    pictures, notes = pictures_of(cache, "train")
    assert notes == []
    labels = [label for name in cache.split("train") for label in cache.pair(name).abnormal]
    assert sum(len(picture.boxes) > 0 for picture in pictures) == sum(bool(label) for label in labels)
    assert len(pictures) == len(labels)


@pytest.mark.parametrize("step", [0, 60])
def test_truth_lies_where_the_crop_shows_the_lesion(cache: Cache, step: int) -> None:
    pictures, _ = pictures_of(cache, "train")
    crops = Crops(cache, pictures, PretrainSettings(**SETTINGS), 4, 0, 80)
    bright = dark = 0
    for number in range(step, step + 8):
        batch = crops.batch(number)
        assert batch.hard == (step == 60)
        assert batch.truth.shape[2:] == (batch.image.shape[2] // 4, batch.image.shape[3] // 4)
        at_cells = batch.image[:, :, ::4, ::4]
        z = (at_cells - batch.statistics.mean) / batch.statistics.std
        bright += int((z[batch.truth == 1] > 1.5).sum())
        dark += int((z[batch.truth == 1] <= 1.5).sum())
        assert float(z[(batch.truth == 0) & batch.breast[:, :, ::4, ::4]].median()) < 0.7
    assert bright + dark >= 16  # every second crop lies around a lesion; the hard ones are 8 x 4
    assert dark < 0.1 * bright


def test_crops_depend_on_seed_and_step_only(cache: Cache) -> None:
    pictures, _ = pictures_of(cache, "train")
    settings = PretrainSettings(**SETTINGS)
    whole = Crops(cache, pictures, settings, 4, 0, 40)
    shared = [Crops(cache, pictures, settings, 4, 0, 40, (rank, 2)).batch(45) for rank in (0, 1)]
    batch = next(iter(whole.batches(1, start=5)))
    assert torch.equal(batch.image[0::2], shared[0].image)
    assert torch.equal(batch.truth[1::2].nan_to_num(9), shared[1].truth.nan_to_num(9))


def test_statistics_are_those_of_the_whole_picture(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disasymnet.training.crops.GAMMA", (1.0, 1.0))
    pictures, _ = pictures_of(cache, "train")
    picture = next(picture for picture in pictures if len(picture.boxes))
    crops = Crops(cache, [picture], PretrainSettings(**SETTINGS), 4, 0, 40)
    seen = {float(mean) for step in (0, 1) for mean in crops.batch(step).statistics.mean.flatten()}
    arrays = cache.arrays(picture.id)
    grey = torch.from_numpy(arrays.image[picture.side].astype(np.float32) / 65535)[None, None]
    whole = GreyStatistics.of(grey, torch.tensor(arrays.breast[picture.side])[None, None])
    assert len(seen) == 1  # sixteen crops, one picture
    assert seen.pop() == pytest.approx(float(whole.mean), rel=0.03)


def test_detector_learns_and_starts_the_method(run: Path, cache: Cache, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    last = [line for line in lines if line["event"] == "epoch"][-1]
    assert set(last["losses"]) == {"cells", "hard_negatives", "positives"}
    assert last["validation"]["patch_auc"] > 0.95
    assert last["validation"]["maximum_in_box"] > 0.8
    stored = checkpoint.read(run)
    assert stored.folder.name == "last"
    assert stored.card.method == "detector"
    assert set(stored.weights) == {f"encoder.{n}" for n in Detector(fine_recipe()).encoder.state_dict()} | {
        "head.weight",
        "head.bias",
    }
    said: list[str] = []
    recipe = fine_recipe()
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"rate": 1e-12})})
    out = train(recipe, cache, tmp_path / "run", TrainOptions(threads=1, init=run, stop_after=1), said.append)
    state = checkpoint.read_tensors(out / "state" / "state.safetensors")
    for own, theirs in (("heads.side.weight", "head.weight"), ("heads.side.bias", "head.bias")):
        wanted = stored.weights[theirs].flatten()
        torch.testing.assert_close(state[f"method/{own}"].flatten(), wanted, rtol=0, atol=1e-9)
    assert any("head included" in line for line in said)


def test_places_that_a_start_has_learned_stay_on_the_card(run: Path, cache: Cache, tmp_path: Path) -> None:
    """And so no figure of them passes as weakly supervised."""
    assert checkpoint.read(run).card.boxes == (cache.dataset,)
    recipe = fine_recipe()
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 1})})
    first = train(recipe, cache, tmp_path / "first", TrainOptions(threads=1, init=run), print)
    then = train(recipe, cache, tmp_path / "then", TrainOptions(threads=1, init=first), print)
    assert checkpoint.read(then).card.boxes == (cache.dataset,)
    assert evaluate(then, cache, "test", None, print)["weakly_supervised"] is False
    alone = train(recipe, cache, tmp_path / "alone", TrainOptions(threads=1), print)
    assert evaluate(alone, cache, "test", None, print)["weakly_supervised"] is True


def test_zero_shot_scores_sides_and_finds_the_lesions(run: Path, cache: Cache) -> None:
    ids = [pair.id for pair in cache.pairs]
    detector = load_detector(run)
    maps = zero_shot(detector, cache, ids, batch=5)
    assert maps.cells.shape == (len(ids), 2, 16, 8)
    abnormal = np.array([[bool(label) for label in cache.pair(name).abnormal] for name in ids])
    assert maps.highest[abnormal].min() > maps.highest[~abnormal].mean()
    np.testing.assert_array_equal(maps.highest, maps.cells.max((2, 3)))
    assert (maps.log_sum_exp > maps.highest).all()
    pair, side = np.argwhere(abnormal)[0]
    x, y = maps.place(pair, side)
    assert 7 <= x <= 13
    assert 29 <= y <= 35
    one = zero_shot(detector, cache, ids[3:4])
    np.testing.assert_allclose(one.cells[0], maps.cells[3], rtol=1e-4, atol=1e-4)


def test_it_teaches_an_encoder_that_the_recipe_holds_later_on(cache: Cache, tmp_path: Path) -> None:
    held = {"freeze": ("encoder",), "keep_statistics": ("encoder",)}
    recipe = fine_recipe(pretrain={"steps": 1, "hard_steps": 0})
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update=held)})
    trained = load_detector(pretrain(recipe, cache, tmp_path / "run", ONE, print)).state_dict()
    torch.manual_seed(recipe.train.seed)
    for name, first in Detector(recipe).state_dict().items():
        assert not torch.equal(trained[name], first), name


def test_pretraining_stops_and_resumes_to_the_same_bytes(run: Path, cache: Cache, tmp_path: Path) -> None:
    out = tmp_path / "parts"
    for stop in (7, 50, None):
        pretrain(fine_recipe(), cache, out, TrainOptions(threads=1, resume=True, stop_after=stop), print)
    for name in ("weights.safetensors",):
        assert (out / "last" / name).read_bytes() == (run / "last" / name).read_bytes()


def test_a_cache_without_boxes_is_refused(cache: Cache, tmp_path: Path) -> None:
    from dataclasses import replace

    from disasymnet.records import Sides

    bare = [replace(pair, findings=Sides((), ()), abnormal=Sides(None, None)) for pair in cache.pairs]
    arrays = [cache.arrays(pair.id) for pair in bare]
    other = write_cache(tmp_path / "c", replace(cache.manifest, pairs=tuple(bare)), cache.splits, arrays)
    with pytest.raises(TrainingError, match="no training picture has a box"):
        pretrain(fine_recipe(), other, tmp_path / "run", ONE, print)


def test_a_method_is_no_detector(cache: Cache, tmp_path: Path) -> None:
    out = train(tiny_recipe(train={"epochs": 1}), cache, tmp_path / "run", ONE, print)
    with pytest.raises(CheckpointError, match="no detector"):
        load_detector(out)

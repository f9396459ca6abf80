"""The real method on a tiny cache, through the public door."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tests.training.caches import make_cache, tiny_recipe

from disasymnet import checkpoint
from disasymnet.data.cache import Cache
from disasymnet.errors import CheckpointError, TrainingError
from disasymnet.recipe import Recipe
from disasymnet.training import epochs
from disasymnet.training.loop import TrainOptions, train, train_folds
from disasymnet.training.state import Position

ONE = TrainOptions(threads=1, device="cpu")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return make_cache(tmp_path_factory.mktemp("cache"), pairs=24)


@pytest.fixture(scope="module")
def finished(cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    lines: list[str] = []
    return train(tiny_recipe(), cache, tmp_path_factory.mktemp("runs") / "run", ONE, lines.append), lines


class Clock:
    """Stands still but for a millisecond a look, and for what is added."""

    now = 0.0

    def monotonic(self) -> float:
        self.now += 0.001
        return self.now


def test_a_state_that_takes_long_to_write_is_written_seldom(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, written, save = Clock(), list[int](), epochs.save_state

    def slow(path: Path, method: torch.nn.Module, optimisers: list[torch.optim.Optimizer], position: Position) -> None:
        clock.now += 20
        written.append(position.epoch)
        save(path, method, optimisers, position)

    monkeypatch.setattr(epochs, "time", clock)
    monkeypatch.setattr(epochs, "save_state", slow)
    recipe = tiny_recipe()
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 4, "validate_every": 4})})
    run = train(recipe, cache, tmp_path / "run", ONE, print)
    assert written == [1, 4]  # the first shows what it costs; ten times as long has not gone by since
    assert checkpoint.read(run / "last").card.epochs == 4


def events(run: Path, kind: str) -> list[dict]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == kind]


def test_a_run_says_what_it_does(finished: tuple[Path, list[str]]) -> None:
    run, lines = finished
    said = "\n".join(lines)
    assert "NO PRE-TRAINED WEIGHTS" in said
    assert "of memory" in said
    assert "of disk" in said
    assert "on CPU, 1 thread" in said
    last = events(run, "epoch")[-1]
    assert {"diag", "rec", "disc", "syn", "refine"} == set(last["losses"])
    assert {"asymmetry_auc", "abnormality_auc", "side_accuracy"} == set(last["validation"])
    assert {"spread", "copy", "brightness", "cam", "background", "p_normal", "batch_norm_gap"} <= set(last["guards"])
    assert last["guards"]["background"] == 0.0


def test_the_card_tells_what_was_learned_from(finished: tuple[Path, list[str]], cache: Cache) -> None:
    card = checkpoint.read(finished[0]).card
    assert (card.dataset, card.cache, card.method) == (cache.dataset, cache.digest, "disasymnet")
    assert (card.height, card.width, card.pixel_mm) == (64, 32, (2.0, 2.0))
    step = cache.pair(cache.split("train")[0]).geometry.right.step[0]
    assert card.file_pixel_mm == pytest.approx((2.0 / step, 2.0 / step))
    assert card.pictures == 2 * len(cache.split("train"))
    assert card.grey == ((0.1, 0.1), (0.2, 0.2), (0.3, 0.3), (0.4, 0.4), (0.5, 0.6))
    assert (card.detectors, card.views) == (("unknown",), ("CC", "MLO"))
    assert card.scores is not None
    assert checkpoint.load(finished[0]).method.training is False


def test_the_same_seed_gives_the_same_bytes(finished: tuple[Path, list[str]], cache: Cache, tmp_path: Path) -> None:
    again = train(tiny_recipe(), cache, tmp_path / "run", ONE, print)
    for part in ("last", "best"):
        one, other = (run / part / "weights.safetensors" for run in (finished[0], again))
        assert one.read_bytes() == other.read_bytes()


def test_stopped_and_resumed_gives_the_same_bytes(
    finished: tuple[Path, list[str]], cache: Cache, tmp_path: Path
) -> None:
    run, lines = tmp_path / "run", []
    for _ in range(20):
        options = TrainOptions(threads=1, device="cpu", resume=True, stop_after=2)
        train(tiny_recipe(), cache, run, options, lines.append)
        if any("is finished" in line for line in lines):
            break
    for part in ("last", "best"):
        wanted = (finished[0] / part / "weights.safetensors").read_bytes()
        assert (run / part / "weights.safetensors").read_bytes() == wanted


def test_bf16_keeps_weights_in_float32(cache: Cache, tmp_path: Path) -> None:
    run = train(tiny_recipe(train={"precision": "bf16", "epochs": 1}), cache, tmp_path / "run", ONE, print)
    assert {tensor.dtype for tensor in checkpoint.read(run).weights.values()} == {torch.float32, torch.int64}
    assert all(value < 10 for value in events(run, "epoch")[0]["losses"].values())


def test_a_used_folder_is_refused(finished: tuple[Path, list[str]], cache: Cache) -> None:
    with pytest.raises(TrainingError, match="not empty") as caught:
        train(tiny_recipe(), cache, finished[0], ONE, print)
    assert "--resume" in str(caught.value.hint)


def test_resume_of_another_recipe_names_the_difference(finished: tuple[Path, list[str]], cache: Cache) -> None:
    other = tiny_recipe(train={"rate": 0.5})
    with pytest.raises(TrainingError, match=r"train.rate was 0.001 and is 0.5"):
        train(other, cache, finished[0], TrainOptions(threads=1, resume=True), print)


def test_resume_on_another_cache_is_refused(finished: tuple[Path, list[str]], tmp_path: Path) -> None:
    other = make_cache(tmp_path, pairs=28)
    with pytest.raises(TrainingError, match=r"the cache was \w+ and is \w+"):
        train(tiny_recipe(), other, finished[0], TrainOptions(threads=1, resume=True), print)


def test_resume_of_a_finished_run_says_so(finished: tuple[Path, list[str]], cache: Cache) -> None:
    lines: list[str] = []
    train(tiny_recipe(), cache, finished[0], TrainOptions(threads=1, resume=True), lines.append)
    assert len(lines) == 1
    assert "is finished (2 epochs)" in lines[0]


def test_a_start_from_another_cache_of_the_same_set_is_told(finished: tuple[Path, list[str]], tmp_path: Path) -> None:
    other, lines = make_cache(tmp_path / "cache", pairs=28), []
    options = TrainOptions(threads=1, init=finished[0], stop_after=1)
    train(tiny_recipe(), other, tmp_path / "run", options, lines.append)
    assert any(line.startswith("warning: the start has learned from another cache of small") for line in lines)


def test_resume_wants_the_start_it_was_begun_with(
    finished: tuple[Path, list[str]], cache: Cache, tmp_path: Path
) -> None:
    def going_on(init: Path | None) -> Path:
        return train(tiny_recipe(), cache, tmp_path / "run", TrainOptions(threads=1, resume=True, init=init), print)

    train(tiny_recipe(), cache, tmp_path / "run", TrainOptions(threads=1, init=finished[0], stop_after=1), print)
    other = train(tiny_recipe(train={"seed": 7, "epochs": 1}), cache, tmp_path / "other", ONE, print)
    for init in (None, other):
        with pytest.raises(TrainingError, match="begun otherwise: started from disasymnet") as caught:
            going_on(init)
        assert "--init" in str(caught.value.hint)
    assert checkpoint.read(going_on(finished[0])).card.start.startswith("started from disasymnet")


def test_a_run_begun_before_a_setting_existed_goes_on(
    finished: tuple[Path, list[str]], cache: Cache, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    recipe = json.loads((run / "recipe.json").read_text())
    del recipe["model"]["losses"]["syn_lesion"]
    (run / "recipe.json").write_text(json.dumps(recipe))
    options, lines = TrainOptions(threads=1, resume=True), []
    train(tiny_recipe(), cache, run, options, lines.append)
    assert "is finished" in lines[0]
    with pytest.raises(TrainingError, match=r"syn_lesion was 0.0 and is 1.0"):
        train(tiny_recipe(model={"losses": {"syn_lesion": 1.0}}), cache, run, options, print)


def test_resume_without_a_run_begins_one(cache: Cache, tmp_path: Path) -> None:
    lines: list[str] = []
    options = TrainOptions(threads=1, resume=True, stop_after=1)
    train(tiny_recipe(), cache, tmp_path / "new", options, lines.append)
    assert "starts from the beginning" in lines[0]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("")
    with pytest.raises(TrainingError, match="not empty"):
        train(tiny_recipe(), cache, tmp_path / "other", options, print)


def test_folds_each_have_a_run_without_choice(cache: Cache, tmp_path: Path) -> None:
    recipe = tiny_recipe(data={"folds": 2}, train={"epochs": 1})
    out = train_folds(recipe, cache, tmp_path / "cv", ONE, print)
    for fold in (0, 1):
        stored = checkpoint.read(out / f"fold-{fold}")
        assert (stored.folder.name, stored.recipe.data.fold) == ("last", fold)
        assert events(out / f"fold-{fold}", "epoch")[0]["validation"] == {}
        assert "spread" in events(out / f"fold-{fold}", "epoch")[0]["guards"]
    lines: list[str] = []
    train_folds(recipe, cache, out, TrainOptions(threads=1, resume=True), lines.append)
    assert sum("is finished" in line for line in lines) == 2


def test_each_fold_starts_from_its_own_and_never_from_what_it_tests(
    finished: tuple[Path, list[str]], cache: Cache, tmp_path: Path
) -> None:
    recipe = tiny_recipe(data={"folds": 2}, train={"epochs": 1})
    first = train_folds(recipe, cache, tmp_path / "first", ONE, print)
    held = recipe.model_copy(update={"train": recipe.train.model_copy(update={"freeze": ("encoder", "transformer")})})
    then = train_folds(held, cache, tmp_path / "then", TrainOptions(threads=1, init=first), print)
    one, two = (checkpoint.read(first / f"fold-{fold}").weights for fold in (0, 1))
    name = next(key for key in one if key.startswith("encoder.") and not torch.equal(one[key], two[key]))
    for fold, wanted in enumerate((one, two)):
        torch.testing.assert_close(checkpoint.read(then / f"fold-{fold}").weights[name], wanted[name])
    # Drawn anew by these shares, the test holds pairs that the first training learned from by the cache's own split.
    anew = tiny_recipe(data={"shares": [0.1, 0.1, 0.8]})
    with pytest.raises(TrainingError, match="has learned from"):
        train(anew, cache, tmp_path / "anew", TrainOptions(threads=1, init=finished[0]), print)
    for seen in (first / "fold-1", finished[0]):
        with pytest.raises(TrainingError, match="has learned from"):
            train_folds(recipe, cache, tmp_path / f"not {seen.name}", TrainOptions(threads=1, init=seen), print)


def test_start_from_a_run_takes_what_fits(finished: tuple[Path, list[str]], cache: Cache, tmp_path: Path) -> None:
    lines: list[str] = []
    options = TrainOptions(threads=1, init=finished[0], stop_after=1)
    recipe = tiny_recipe(model={"transformer": {"layers": 2}}, train={"rate": 1e-12})
    run = train(recipe, cache, tmp_path / "run", options, lines.append)
    state = checkpoint.read_tensors(run / "state" / "state.safetensors")
    wanted = checkpoint.read(finished[0]).weights
    for name in ("encoder.conv1.weight", "heads.side.weight"):
        torch.testing.assert_close(state[f"method/{name}"], wanted[name], rtol=0, atol=1e-9)
    said = "\n".join(lines)
    assert "started from disasymnet of small" in said
    assert "left as they were: transformer" in said


def test_heads_on_both_sides_features_start_from_a_runs_head_too(
    finished: tuple[Path, list[str]], cache: Cache, tmp_path: Path
) -> None:
    lines: list[str] = []
    options = TrainOptions(threads=1, init=finished[0], stop_after=1)
    recipe = tiny_recipe(model={"heads": {"fusion": "concat-linear"}, "decoder": {"on": False}}, train={"rate": 1e-12})
    run = train(recipe, cache, tmp_path / "run", options, lines.append)
    weight = checkpoint.read_tensors(run / "state" / "state.safetensors")["method/heads.side.weight"]
    wanted = checkpoint.read(finished[0]).weights["heads.side.weight"]
    width = wanted.shape[1]
    torch.testing.assert_close(weight[:, :width], wanted, rtol=0, atol=1e-9)
    torch.testing.assert_close(weight[:, width:], torch.zeros_like(wanted), rtol=0, atol=1e-9)
    assert "head included" in "\n".join(lines)


def test_an_encoder_that_does_not_fit_is_an_error(
    finished: tuple[Path, list[str]], cache: Cache, tmp_path: Path
) -> None:
    wide = {"encoder": {"stem": "7x7-pool", "widths": [12, 12, 24, 24], "strides": [1, 2, 1, 1]}}
    options = TrainOptions(threads=1, init=finished[0])
    with pytest.raises(CheckpointError, match="no convolution of its encoder fits"):
        train(tiny_recipe(model=wide), cache, tmp_path / "run", options, print)


def test_too_little_room_is_said_before_anything_is_trained(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(TrainingError, match=r"needs about .* of disk"):
        train(tiny_recipe(), cache, tmp_path / "run", ONE, print)
    assert not (tmp_path / "run" / "state").exists()


def test_settings_of_the_grid_are_the_caches(cache: Cache, tmp_path: Path) -> None:
    lines: list[str] = []
    recipe = tiny_recipe(image={"height": 64, "width": 32, "scale": "fit", "mm_per_pixel": None})
    run = train(recipe, cache, tmp_path / "run", TrainOptions(threads=1, stop_after=1), lines.append)
    assert Recipe.parse((run / "recipe.json").read_text()).image == cache.image
    assert "image settings are the cache's: scale mm, 2 mm a pixel" in lines


def test_an_inner_fold_is_there_to_choose_by(cache: Cache, tmp_path: Path) -> None:
    recipe = tiny_recipe(data={"folds": 5, "fold": 3, "inner": 4}, train={"epochs": 1, "batch": 4, "rate": 1e-3})
    run = train(recipe, cache, tmp_path / "run", ONE, print)
    tested, chosen = cache.split("test", 5, 3), cache.split("test", 5, 2)
    assert checkpoint.read(run).card.pictures == 2 * (24 - len(tested) - len(chosen))
    assert events(run, "epoch")[0]["validation"].keys() == {"asymmetry_auc", "abnormality_auc", "side_accuracy"}

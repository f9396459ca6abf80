"""Which runs, in which part, with which seeds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from disasymnet import checkpoint
from disasymnet.checkpoint import Card
from disasymnet.data.cache import Cache
from disasymnet.errors import CheckpointError, RecipeError
from disasymnet.methods import build
from disasymnet.recipe import Recipe
from disasymnet.reproduce.paper import column_of, printed
from disasymnet.reproduce.plan import Run, Wanted, plan, recipe_of, shard, with_folds
from disasymnet.reproduce.rows import KNOWN, TARGETS, rows_of, seeds_of, target_of
from disasymnet.training.start import weights_of_start


@given(st.integers(0, 60), st.integers(1, 12))
def test_the_parts_hold_every_run_exactly_once(count: int, parts: int) -> None:
    runs = [Run(f"row {number}", 0, Recipe(), (), Path(str(number))) for number in range(count)]
    shared = [shard(runs, f"{part}/{parts}") for part in range(1, parts + 1)]
    assert sorted(run.name for part in shared for run in part) == sorted(run.name for run in runs)
    assert max(map(len, shared)) - min(map(len, shared)) <= 1


@pytest.mark.parametrize("words", ["0/3", "4/3", "1", "1/0", "a/b", "-1/3", "1/3/5"])
def test_a_wrong_part_is_refused(words: str) -> None:
    with pytest.raises(RecipeError, match="is no part"):
        shard([], words)


def test_seeds_of_all_and_of_some() -> None:
    target = TARGETS["table1"]
    rows = rows_of(target, "disasymnet,ham,cvt")
    assert seeds_of(target, rows, None) == dict.fromkeys(("disasymnet", "ham", "cvt"), (0, 1, 2))
    assert seeds_of(target, rows, ["5"]) == dict.fromkeys(("disasymnet", "ham", "cvt"), (5,))
    mixed = seeds_of(target, rows, ["0,1,2", "ham,cvt=0", "cvt=7,8"])
    assert mixed == {"disasymnet": (0, 1, 2), "ham": (0,), "cvt": (7, 8)}
    for wrong in ("a", "ham=", "asyc=1", "1,,2"):
        with pytest.raises(RecipeError):
            seeds_of(target, rows, [wrong])


def test_wrong_words_are_named() -> None:
    with pytest.raises(RecipeError, match="nothing to reproduce"):
        target_of("table3")
    for methods in ("", "ham,ham"):
        with pytest.raises(RecipeError, match="each method once"):
            rows_of(TARGETS["table1"], methods)
    with pytest.raises(RecipeError, match="nothing else"):
        rows_of(TARGETS["figure3"], "ham,disasymnet")


def _plan(cache: Cache, name: str, methods: str | None = None, *changes: str) -> list[tuple[str, str | None]]:
    target = TARGETS[name]
    rows = rows_of(target, methods)
    made = plan(Wanted(target, cache.path, Path("out"), "phantom", changes), rows, seeds_of(target, rows, None), cache)
    assert len({run.folder for run in made.runs}) == len(made.runs)
    assert {run.folder for line in made.lines for run in line.runs} == {run.folder for run in made.runs}
    return [(line.row.name, line.same_as) for line in made.lines]


def test_rows_with_the_same_settings_share_their_runs(phantom_cache: Cache) -> None:
    found = dict(_plan(phantom_cache, "ablations"))
    assert found["positions-none"] == "disasymnet"  # as recommended has it
    assert found["layers-1"] is None
    assert found["asyc"] is None


def test_a_change_that_undoes_a_row_is_refused(phantom_cache: Cache) -> None:
    with pytest.raises(RecipeError, match=r"--set model.transformer.layers=1 would undo .* asyd\b"):
        _plan(phantom_cache, "table1", None, "model.transformer.layers=1")
    with pytest.raises(RecipeError, match="resnet18"):
        _plan(phantom_cache, "table1", "disasymnet,resnet18", "synthesis.on=true")
    assert _plan(phantom_cache, "table1", "asyc,disasymnet", "model.transformer.layers=1")
    assert _plan(phantom_cache, "table1", "disasymnet,resnet18", "synthesis.on=false")


@pytest.mark.parametrize(
    ("row", "change"),
    [
        ("positions-none", "model.transformer.positions=sine"),
        ("late-fusion", "model.late_fusion.head=mlp"),
        ("disasymnet", "method=ham"),
        ("layers-4", "model.transformer={layers = 1}"),
    ],
)
def test_a_change_that_undoes_a_row_like_the_recipe_itself_is_refused(
    row: str, change: str, phantom_cache: Cache
) -> None:
    with pytest.raises(RecipeError, match=f"would undo what makes the row {row}"):
        _plan(phantom_cache, "ablations", row, change)


def test_figure_2_has_a_run_for_each_share_and_shares_the_whole_with_the_tables(phantom_cache: Cache) -> None:
    target = TARGETS["figure2"]
    rows = rows_of(target, "disasymnet")
    wanted = Wanted(target, phantom_cache.path, Path("out"), "phantom")
    made = plan(wanted, rows, {"disasymnet": (3,)}, phantom_cache)
    assert [run.recipe.data.share for run in made.runs] == [0.1, 0.25, 0.5, 0.75, 1.0]
    assert made.runs[0].folder == Path("out/runs/disasymnet-share-10/seed-3")
    assert made.runs[-1].folder == Path("out/runs/disasymnet/seed-3")
    assert {run.recipe.train.seed for run in made.runs} == {3}


def test_a_run_of_folds_has_a_part_for_each(phantom_cache: Cache) -> None:
    assert with_folds("phantom", [], True) == ("data.folds=5",)
    assert with_folds("mini-mias", [], True) == ()
    run = Run("x", 0, Recipe.load("mini-mias"), (), Path("run"))
    assert [folder.name for folder, _ in run.parts] == [f"fold-{fold}" for fold in range(5)]
    assert [recipe.data.fold for _, recipe in run.parts] == list(range(5))
    assert recipe_of(phantom_cache, None) == "phantom"
    assert recipe_of(phantom_cache, "paper+ddsm") == "paper+ddsm"


def test_each_fold_starts_from_its_own_fold(tmp_path: Path) -> None:
    recipe, digests = Recipe.load("phantom", ["data.folds=2", "model.encoder.widths=[8,8,16,16]"]), []
    for fold in range(2):
        torch.manual_seed(fold)
        folder = tmp_path / "run" / f"fold-{fold}"
        card = Card(method="disasymnet", recipe="", cache="", dataset="phantom", height=64, width=32)
        checkpoint.save(folder / "best", build(recipe), recipe, card)
        digests.append(checkpoint.read(folder).card.weights[:12])
    assert digests[0] != digests[1]
    run = Run("x", 0, recipe, (), Path("out"))
    assert [weights_of_start(tmp_path / "run", part.data) for _, part in run.parts] == digests
    assert weights_of_start(tmp_path / "run" / "fold-1", recipe.data) == digests[1]
    assert weights_of_start(None, recipe.data) is None
    with pytest.raises(CheckpointError, match="no such run"):
        weights_of_start(tmp_path / "other", recipe.data)


@pytest.mark.parametrize("name", list(KNOWN))
def test_the_heads_that_the_family_counts_on_are_those_of_the_methods(name: str) -> None:
    row = KNOWN[name]
    method = build(Recipe.load(f"phantom+{name}")).eval()
    image = torch.rand(2, 1, 64, 32)
    with torch.no_grad():
        out = method(image, torch.ones(2, 1, 64, 32, dtype=torch.bool))
    assert (out.asymmetry_logit is not None) == row.asymmetry
    assert (out.side_logit is not None) == row.sides


def test_the_papers_numbers_stand_as_printed() -> None:
    ours = printed("Ours", "INBreast", ("asymmetric", "AUC"))
    assert (ours.value, ours.low, ours.high) == (0.907, 0.792, 0.990)
    misprint = printed("HAM", "VinDr-Mammo", ("abnormal", "AUC"))
    assert (misprint.value, misprint.low, misprint.high) == (0.780, 0.778, 0.822)
    assert printed("ResNet18", "DDSM", ("asymmetric", "AUC")) is None
    assert printed("Ours", "DDSM", ("segmentation", "IoU")) is None
    assert printed("Ours", "DDSM", ("localization", "mean TIoR %")).value == 26.5
    assert printed(None, "DDSM", ("abnormal", "AUC")) is None
    assert column_of("paper+vindr-mammo") == "VinDr-Mammo"
    assert column_of("phantom") is None
    assert column_of("mini-mias") is None
    every = [row.paper for row in KNOWN.values() if row.paper]
    assert all(printed(name, "In-house", ("abnormal", "AUC")) for name in every)

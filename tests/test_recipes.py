"""The package's recipes: data sets, methods and ablations, alone and joined."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from disasymnet.cli import app
from disasymnet.data.cache import Cache
from disasymnet.data.loader import Loader
from disasymnet.errors import RecipeError
from disasymnet.methods import build
from disasymnet.recipe import ABLATIONS, METHODS, Recipe, presets
from disasymnet.training.device import take_place
from disasymnet.training.steps import Stepper, step_rate

DATASETS = ("inbreast", "ddsm", "vindr-mammo", "in-house", "mini-mias", "phantom")
SMALL = (
    "image.height=64",
    "image.width=32",
    "model.encoder.stem=3x3",
    "model.encoder.widths=[8, 8, 16, 16]",
    "model.encoder.blocks=[1, 1, 1, 1]",
    "model.encoder.strides=[2, 2, 2, 1]",
    "model.encoder.weights=none",
    "model.transformer.heads=4",
    "model.decoder.widths=[16, 8, 8]",
    "synthesis.sources=[]",
    "train.batch=4",
)


def _two_steps(recipe: Recipe, cache: Cache) -> dict[str, float]:
    """The losses of the second of two updates."""
    torch.manual_seed(0)
    method, data = build(recipe), recipe.data
    cache = cache.redrawn(data.shares)
    loader = Loader(cache, cache.split("train", data.folds, data.fold), recipe, training=True)
    stepper = Stepper(method, method.objectives, recipe.train, take_place("cpu", 1))
    stepper.train_mode()
    values = {}
    for step, batch in enumerate(islice(loader.batches(0), 2)):
        values = stepper.update([batch], step, recipe.train.rate)
    assert step == 1
    return {name: numbers[0] for name, numbers in values.items()}


@pytest.mark.parametrize("method", presets(METHODS))
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_method_takes_two_steps_with_every_data_sets_recipe(
    dataset: str, method: str, phantom_cache: Cache
) -> None:
    recipe = Recipe.load(f"{dataset}+{method}", list(SMALL))
    alone = Recipe.load(dataset)
    assert (recipe.train.epochs, recipe.train.decay_at) == (alone.train.epochs, alone.train.decay_at)
    assert recipe.data == alone.data
    assert recipe.synthesis.on == (method == "disasymnet")
    losses = _two_steps(recipe, phantom_cache)
    assert all(value == value for value in losses.values())
    assert ("rec" in losses) == (method == "disasymnet")


@pytest.mark.parametrize(
    "recipe", ["mini-mias-compare", "mini-mias-draw", "mini-mias-attention", "mini-mias-attention+asyc", "phantom-128"]
)
def test_the_other_presets_take_two_steps(recipe: str, phantom_cache: Cache) -> None:
    losses = _two_steps(Recipe.load(recipe, list(SMALL)), phantom_cache)
    assert all(value == value for value in losses.values())
    assert ("contralateral" in losses) == recipe.startswith(("mini-mias-compare", "mini-mias-attention"))


@pytest.mark.parametrize("ablation", presets(ABLATIONS))
def test_every_ablation_takes_two_steps_and_is_another_recipe(ablation: str, phantom_cache: Cache) -> None:
    for dataset in DATASETS:
        Recipe.load(f"{dataset}+{ablation}")
    recipe = Recipe.load(f"phantom+{ablation}", list(SMALL))
    changed = [base for base in ("phantom", "paper") if Recipe.load(f"{base}+{ablation}") != Recipe.load(base)]
    assert changed
    losses = _two_steps(recipe, phantom_cache)
    assert ("rec" in losses) == (ablation not in ("asyc", "asyc-syn"))
    assert ("refine" in losses) == (ablation not in ("asyc", "asyc-syn", "no-refine"))
    if ablation in ("asyc", "asyc-syn", "asyd", "asyc-asyd"):
        assert "syn" not in losses


@pytest.mark.parametrize(
    ("row", "transformer", "decoder", "synthesis", "parameters"),
    [
        ("asyc", True, False, False, 39_574_978),
        ("asyd", False, True, False, 13_598_340),
        ("asyd-syn", False, True, True, 13_598_340),
        ("asyc-asyd", True, True, False, 42_001_028),
        ("disasymnet", True, True, True, 42_001_028),
    ],
)
def test_the_rows_of_the_papers_ablation(
    row: str, transformer: bool, decoder: bool, synthesis: bool, parameters: int
) -> None:
    recipe = Recipe.load(f"paper+{row}", ["model.decoder.skips=none"])  # the sizes known from elsewhere have no skips
    model = recipe.model
    assert (model.transformer.layers > 0, model.decoder.on, recipe.synthesis.on) == (transformer, decoder, synthesis)
    assert (model.heads.fusion == "difference") == transformer
    assert sum(parameter.numel() for parameter in build(recipe).parameters()) == parameters


def test_late_fusion_is_the_papers_classifier_without_its_transformer() -> None:
    changes = ["model.decoder.on=false", "synthesis.on=false"]
    one, other = (build(Recipe.load(name, changes)).state_dict() for name in ("paper+late-fusion", "paper+asyd"))
    assert {name: value.shape for name, value in one.items()} == {name: value.shape for name, value in other.items()}


def test_the_rates_of_the_paper() -> None:
    """INbreast drops after epochs 20 and 40, the others after 10, at any number of steps an epoch."""
    for name, epochs, expected in (
        ("inbreast", (0, 19, 20, 39, 40, 49), (1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6)),
        ("ddsm", (0, 9, 10, 19), (1e-4, 1e-4, 1e-5, 1e-5)),
        ("vindr-mammo", (0, 9, 10, 19), (1e-4, 1e-4, 1e-5, 1e-5)),
        ("in-house", (0, 9, 10, 19), (1e-4, 1e-4, 1e-5, 1e-5)),
    ):
        train = Recipe.load(name).train
        for steps in (1, 7, 13, 1049):
            rate = step_rate(train, steps * train.epochs)
            for epoch, wanted in zip(epochs, expected, strict=True):
                for step in (epoch * steps, (epoch + 1) * steps - 1):
                    assert rate(step) == pytest.approx(wanted), (name, epoch)


def test_the_papers_splits_and_sources_of_tumours() -> None:
    inbreast = Recipe.load("inbreast")
    assert inbreast.data.shares == (0.6, 0.2, 0.2)
    assert "ddsm" in inbreast.synthesis.sources
    assert "inbreast" not in inbreast.synthesis.sources
    for name in ("ddsm", "vindr-mammo", "in-house"):
        recipe = Recipe.load(name)
        assert recipe.data.shares == (0.8, 0.1, 0.1)
        assert recipe.synthesis.sources == ("inbreast",)
    for name in ("inbreast", "ddsm", "vindr-mammo", "in-house"):
        recipe = Recipe.load(name)
        assert recipe.model.encoder.weights == "imagenet"
        assert (recipe.image.height, recipe.image.width, recipe.train.batch) == (1024, 512, 8)


def test_names_are_joined_by_their_own_lines() -> None:
    joined = Recipe.load("mini-mias+late-fusion")
    assert joined.method == "late-fusion"
    assert joined.image == Recipe.load("mini-mias").image  # what late-fusion extends does not come along
    assert joined.model.encoder == Recipe.load("mini-mias").model.encoder
    paper = Recipe.load("paper+inbreast+asyc")
    assert paper.model.cam == Recipe.load("paper").model.cam
    assert paper.train.epochs == 50
    assert paper.model.decoder.on is False
    assert Recipe.load("phantom+layers-4+no-refine").model.transformer.layers == 4
    assert Recipe.load("asyc") == Recipe.load("recommended+asyc")


def test_files_are_joined_too(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('extends = "phantom+ham"\n[train]\nepochs = 3\n')
    (tmp_path / "a+b.toml").write_text('extends = "mine.toml+resnet18+ham"\n')
    (tmp_path / "c.toml").write_text('extends = "a+b.toml"\n')
    names = ("mine.toml", "a+b.toml", "c.toml", "mine.toml+strangers")
    for source in (str(tmp_path / name) for name in names):
        recipe = Recipe.load(source)
        assert (recipe.method, recipe.train.epochs, recipe.image.height) == ("ham", 3, 64)
    assert recipe.data.partners == "strangers"


@pytest.mark.parametrize("name", ["phantom+nothing", "nothing+ham", "phantom+", "+", "phantom++ham"])
def test_a_wrong_part_is_named(name: str) -> None:
    with pytest.raises(RecipeError, match="no preset is called") as caught:
        Recipe.load(name)
    assert "`disasymnet recipe` lists all" in str(caught.value)


def test_no_two_recipes_have_one_name() -> None:
    names = [name for folder in ("", METHODS, ABLATIONS) for name in presets(folder)]
    assert len(names) == len(set(names))
    assert not any("+" in name for name in names)


def test_the_program_lists_and_prints_them() -> None:
    listed = CliRunner().invoke(app, ["recipe"]).output
    for folder in ("", METHODS, ABLATIONS):
        for name, about in presets(folder).items():
            assert f"  {name} " in listed
            assert about in listed
            assert len(about) <= 120
    printed = CliRunner().invoke(app, ["recipe", "inbreast+late-fusion-mlp"]).output
    assert Recipe.parse(printed) == Recipe.load("inbreast+late-fusion-mlp")

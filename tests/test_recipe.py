from __future__ import annotations

from pathlib import Path

import pytest

from disasymnet.errors import RecipeError
from disasymnet.recipe import Recipe, keys, presets


@pytest.mark.parametrize("name", presets())
def test_every_preset_loads_and_comes_back_from_json(name: str) -> None:
    recipe = Recipe.load(name)
    assert Recipe.parse(recipe.to_json()) == recipe
    assert len(recipe.digest) == 12


def test_the_papers_numbers_are_the_defaults() -> None:
    paper = Recipe.load("paper")
    losses = paper.model.losses
    assert (losses.diag, losses.rec, losses.disc, losses.syn, losses.refine) == (1, 0.1, 1, 0.5, 1)
    assert (paper.image.height, paper.image.width) == (1024, 512)
    assert (paper.model.transformer.layers, paper.model.transformer.heads) == (12, 8)
    assert (paper.train.batch, paper.train.rate, paper.train.epochs, paper.train.decay_at) == (8, 1e-4, 20, (0.5,))
    assert paper.synthesis.most == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("model.cam.fomr=sigmoid", "Did you mean 'model.cam.form'?"),
        ("trian.epochs=3", "Did you mean 'train'?"),
        ("train.epochs=many", "train.epochs"),
        ("train.epochs=0", "train.epochs"),
        ("train.epochs", "Write --set section.key=value."),
        ("model.encoder.strides=[1, 2, 2, 1]", "decoder.widths"),
        ("image.height=1000", "no multiple"),
        ("data.folds=1", "folds"),
        ("model.transformer.heads=7", "transformer.heads"),
        ("synthesis.peak=[2, 1]", "synthesis.peak: the range begins at 2, above its end 1"),
        ("synthesis.resize=[1.25, 0.8]", "synthesis.resize: the range begins at 1.25, above its end 0.8"),
        ("train.seed=99999999999999999999", "train.seed"),
        ("train.epochs=2026-01-02", "train.epochs: Input should be a valid integer (got '2026-01-02')"),
    ],
)
def test_a_wrong_change_names_the_setting(change: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.load("recommended", [change])
    assert words in str(caught.value)


def test_a_bare_word_and_toml_values_are_understood() -> None:
    recipe = Recipe.load("paper", ["model.cam.form=sigmoid", "train.freeze=['encoder.conv1']", "synthesis.on=false"])
    assert recipe.model.cam.form == "sigmoid"
    assert recipe.train.freeze == ("encoder.conv1",)
    assert recipe.synthesis.on is False


def test_a_recipe_extends_another_by_name_or_path(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('extends = "phantom"\n[train]\nepochs = 3\n')
    (tmp_path / "yours.toml").write_text('extends = "mine.toml"\n[train]\nseed = 7\n')
    recipe = Recipe.load(tmp_path / "yours.toml")
    assert (recipe.train.epochs, recipe.train.seed, recipe.image.height) == (3, 7, 64)


def test_recipes_in_a_circle_and_missing_ones_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('extends = "b.toml"\n')
    (tmp_path / "b.toml").write_text('extends = "a.toml"\n')
    with pytest.raises(RecipeError, match="circle"):
        Recipe.load(tmp_path / "a.toml")
    with pytest.raises(RecipeError, match=r"Presets: .*literal, mini-mias, .*paper, phantom, .*recommended"):
        Recipe.load("papr")
    with pytest.raises(RecipeError, match="no such recipe file"):
        Recipe.load(tmp_path / "none.toml")


def test_a_recipe_in_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "wide.toml").write_text('extends = "phantom"\n', encoding="utf-16")
    with pytest.raises(RecipeError, match=r"wide\.toml: not a text in UTF-8"):
        Recipe.load(tmp_path / "wide.toml")


@pytest.mark.parametrize("change", ["train.rate=inf", "train.rate=nan", "model.losses.syn=inf"])
def test_numbers_are_finite(change: str) -> None:
    with pytest.raises(RecipeError, match=change.partition("=")[0]):
        Recipe.load("phantom", [change])


def test_keys_name_every_setting_once() -> None:
    names = keys()
    assert len(names) == len(set(names))
    assert {"model.decoder.residual_gate", "train.rate", "method"} <= set(names)

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from disasymnet import checkpoint
from disasymnet.checkpoint import Card
from disasymnet.errors import CheckpointError
from disasymnet.methods import build
from disasymnet.methods.base import Method
from disasymnet.recipe import Recipe

SMALL = {
    "image": {"height": 64, "width": 32},
    "model": {
        "encoder": {"widths": [8, 8, 16, 16], "blocks": [1, 1, 1, 1], "strides": [1, 1, 2, 1]},
        "transformer": {"layers": 1, "heads": 2},
        "decoder": {"widths": [8, 8, 8]},
    },
}


@pytest.fixture
def recipe() -> Recipe:
    return Recipe.parse(json.dumps(SMALL))


@pytest.fixture
def method(recipe: Recipe) -> Method:
    torch.manual_seed(0)
    return build(recipe)


@pytest.fixture
def folder(tmp_path: Path, recipe: Recipe, method: Method) -> Path:
    card = Card(recipe.method, recipe.digest, "c4c4e", "phantom", grey=((0.1, 0.9),), pixel_mm=(0.2, 0.25), seed=3)
    checkpoint.save(tmp_path / "last", method, recipe, card)
    return tmp_path / "last"


def test_loaded_answers_are_the_saved_ones(folder: Path, method: Method, recipe: Recipe) -> None:
    loaded = checkpoint.load(folder)
    assert loaded.recipe == recipe
    assert loaded.card.pixel_mm == (0.2, 0.25)
    assert loaded.card.use.startswith("Research use only")
    image, breast = torch.rand(4, 1, 64, 32), torch.ones(4, 1, 64, 32, dtype=torch.bool)
    with torch.no_grad():
        wanted, got = method.eval()(image, breast), loaded.method(image, breast)
    assert torch.equal(wanted.side_logit, got.side_logit)
    assert torch.equal(wanted.normal, got.normal)


def test_a_run_gives_its_best_else_its_last(folder: Path, method: Method, recipe: Recipe) -> None:
    run = folder.parent
    assert checkpoint.find(run) == folder
    checkpoint.save(run / "best", method, recipe, Card(recipe.method, recipe.digest, "c", "phantom", epochs=7))
    assert checkpoint.load(run).card.epochs == 7
    assert checkpoint.find(run / "last") == folder


def test_files_are_three_and_none_is_a_pickle(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "recipe.json", "weights.safetensors"]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["last"]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such run"):
        checkpoint.load(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"no weights.safetensors here"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("name", ["card.json", "recipe.json"])
def test_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        checkpoint.load(folder)


def test_changed_byte_is_found(folder: Path) -> None:
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(folder)


def test_changed_recipe_is_found(folder: Path) -> None:
    path = folder / "recipe.json"
    path.write_text(path.read_text().replace('"sine"', '"none"'))
    with pytest.raises(CheckpointError, match="not the recipe"):
        checkpoint.load(folder)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"method": 3}'])
def test_card_of_another_make(folder: Path, text: str) -> None:
    (folder / "card.json").write_text(text)
    with pytest.raises(CheckpointError, match="not a card"):
        checkpoint.load(folder)


def test_later_schema_is_refused(folder: Path) -> None:
    path = folder / "card.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(CheckpointError, match="schema 2"):
        checkpoint.load(folder)


def test_strict_loading_lists_the_names(method: Method) -> None:
    weights = method.state_dict()
    renamed = {name.replace("conv1", "conv_one"): tensor for name, tensor in weights.items()}
    with pytest.raises(CheckpointError, match=r"weights missing: .*encoder\.conv1\.weight"):
        checkpoint.put(method, renamed, where="x")
    with pytest.raises(CheckpointError, match=r"weights unexpected: extra"):
        checkpoint.put(method, weights | {"extra": torch.zeros(1)}, where="x")
    with pytest.raises(CheckpointError, match=r"heads.side.bias is \(2,\), wanted \(1,\)"):
        checkpoint.put(method, weights | {"heads.side.bias": torch.zeros(2)}, where="x")


def test_a_detector_is_no_method(tmp_path: Path, recipe: Recipe) -> None:
    detector = recipe.model_copy(update={"method": "detector"})
    checkpoint.save(tmp_path, nn.Linear(1, 1), detector, Card("detector", detector.digest, "c", "d"))
    with pytest.raises(CheckpointError, match="--init"):
        checkpoint.load(tmp_path)
    assert checkpoint.read(tmp_path).weights.keys() == {"weight", "bias"}


@pytest.mark.parametrize("killed_after", ["part", "part -> new", "folder -> old", "new -> folder"])
def test_replacing_survives_a_kill_between_any_two_renames(tmp_path: Path, killed_after: str) -> None:
    folder = tmp_path / "last"
    with checkpoint.replaced(folder) as new:
        (new / "file").write_text("first")
    part, complete, old = (tmp_path / f".last.{kind}" for kind in ("part", "new", "old"))
    part.mkdir()
    (part / "file").write_text("second")
    steps = {"part -> new": (part, complete), "folder -> old": (folder, old), "new -> folder": (complete, folder)}
    for name, (source, target) in steps.items():
        if killed_after == "part":
            break
        source.rename(target)
        if name == killed_after:
            break
    seen = (checkpoint.settled(folder) / "file").read_text()
    assert seen == ("second" if killed_after in ("folder -> old", "new -> folder") else "first")
    with checkpoint.replaced(folder) as new:
        (new / "file").write_text("third")
    assert (folder / "file").read_text() == "third"
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_an_error_while_writing_leaves_the_old_folder(tmp_path: Path) -> None:
    folder = tmp_path / "last"
    with checkpoint.replaced(folder) as new:
        (new / "file").write_text("first")
    with pytest.raises(FileNotFoundError), checkpoint.replaced(folder) as new:
        (new / "no folder" / "file").write_text("half")
    assert (folder / "file").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_a_checkpoint_outlives_new_settings(tmp_path: Path) -> None:
    """A recipe written before a setting existed still is the recipe that the card names."""
    recipe = Recipe.load("phantom", ["model.decoder.on=false"])
    folder = tmp_path / "last"
    checkpoint.save(folder, build(recipe), recipe, Card(recipe.method, recipe.digest, "c", "phantom"))
    values = json.loads((folder / "recipe.json").read_text())
    del values["model"]["heads"]["region"]
    older = json.dumps(values, indent=1) + "\n"
    (folder / "recipe.json").write_text(older)
    card = json.loads((folder / "card.json").read_text())
    card["recipe"] = hashlib.sha256(older.encode()).hexdigest()[:12]
    (folder / "card.json").write_text(json.dumps(card))
    assert checkpoint.load(folder).recipe.model.heads.region == "image"

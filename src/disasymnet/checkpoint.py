"""A trained method as a folder: weights.safetensors, recipe.json, card.json. No pickle, strict loading.

A folder is replaced as a whole: the new one is written beside it and takes its place by renaming, so that neither a
kill nor a full disk leaves half of one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from disasymnet import __version__
from disasymnet.errors import CheckpointError
from disasymnet.methods import METHODS, build
from disasymnet.methods.base import Method
from disasymnet.recipe import Recipe, digest_of

SCHEMA = 1
WEIGHTS, RECIPE, CARD = "weights.safetensors", "recipe.json", "card.json"
RESEARCH_USE = "Research use only. Not a medical device, not for diagnosis."
Range = tuple[float, float]


@dataclass(frozen=True)
class Card:
    """What one must know of weights before using them."""

    method: str
    recipe: str
    """Digest of the recipe."""
    cache: str
    """Digest of the cache that was learned from."""
    dataset: str
    pictures: int = 0
    """Training pictures; a pair counts two."""
    height: int = 0
    width: int = 0
    pixel_mm: Range | None = None
    """Smallest and largest pixel of the model grid among the training pictures; None: no size was known."""
    file_pixel_mm: Range | None = None
    """The same of the files' own pixels."""
    grey: tuple[Range, ...] = ()
    """Smallest and largest 5, 25, 50, 75 and 95 % quantile of the grey inside the breast, in [0, 1]."""
    detectors: tuple[str, ...] = ()
    """`film`, `digital`, `unknown`: the kinds that were met."""
    views: tuple[str, ...] = ()
    epochs: int = 0
    steps: int = 0
    seed: int = 0
    start: str = "random weights"
    boxes: tuple[str, ...] = ()
    """Data sets whose lesions' places these weights, or those they started from, have learned."""
    scores: dict[str, float | None] | None = None
    """Validation figures of these weights, by name."""
    weights: str = ""
    """SHA-256 of weights.safetensors."""
    package: str = __version__
    schema: int = SCHEMA
    use: str = RESEARCH_USE

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Stored:
    """A checkpoint folder's content, verified against its card."""

    folder: Path
    weights: dict[str, Tensor]
    recipe: Recipe
    card: Card


@dataclass(frozen=True)
class Checkpoint:
    """A method with its weights, in eval mode on the CPU."""

    method: Method
    recipe: Recipe
    card: Card


def save(folder: Path, method: nn.Module, recipe: Recipe, card: Card) -> None:
    """Write the three files into `folder`, replacing it as a whole; the card gets the digest of the weights."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in method.state_dict().items()}
    with replaced(folder) as new:
        write_tensors(new / WEIGHTS, tensors)
        (new / RECIPE).write_text(recipe.to_json(), encoding="utf-8")
        complete = replace(card, recipe=recipe.digest, method=recipe.method, weights=sha256(new / WEIGHTS))
        (new / CARD).write_text(json.dumps(asdict(complete), indent=1) + "\n", encoding="utf-8")


def load(folder: Path) -> Checkpoint:
    """The method of a checkpoint folder, or of a run (its `best`, else its `last`), in eval mode.

    Raises CheckpointError where a file is missing, damaged or of another make, or a weight does not fit.
    """
    stored = read(folder)
    if stored.recipe.method not in METHODS:
        raise CheckpointError(
            f"these weights belong to {stored.recipe.method!r}, which answers no pairs",
            where=stored.folder,
            hint="A pre-trained detector is a start: disasymnet train RECIPE --init RUN.",
        )
    method = build(stored.recipe)
    put(method, stored.weights, where=stored.folder)
    return Checkpoint(method.eval(), stored.recipe, stored.card)


def read(folder: Path) -> Stored:
    """The verified content of a checkpoint folder or run; CheckpointError as for `load`."""
    folder = find(Path(folder))
    try:
        card = TypeAdapter(Card).validate_json((folder / CARD).read_bytes())
        text = (folder / RECIPE).read_text(encoding="utf-8")
        recipe = Recipe.parse(text, where=folder / RECIPE)
    except FileNotFoundError as error:
        raise CheckpointError(f"{Path(error.filename).name} is missing", where=folder) from None
    except (ValidationError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(f"{CARD} is not a card of this version: {first}", where=folder) from None
    if card.schema != SCHEMA:
        raise CheckpointError(f"written by another version (schema {card.schema}, here {SCHEMA})", where=folder)
    if digest_of(text) != card.recipe:
        raise CheckpointError("recipe.json is not the recipe that the card names", where=folder)
    if sha256(folder / WEIGHTS) != card.weights:
        raise CheckpointError(
            "weights.safetensors is damaged: its SHA-256 is not the card's",
            where=folder,
            hint="Copy the folder again, or take another checkpoint of the run.",
        )
    return Stored(folder, read_tensors(folder / WEIGHTS), recipe, card)


def find(folder: Path) -> Path:
    """The folder with the weights: `folder` itself, or the `best`, else `last`, of a run."""
    for candidate in (folder, folder / "best", folder / "last"):
        there = settled(candidate)
        if (there / WEIGHTS).is_file():
            return there
    if not folder.exists():
        raise CheckpointError("no such run or checkpoint", where=folder)
    raise CheckpointError(
        f"no {WEIGHTS} here, nor in best/ or last/",
        where=folder,
        hint="Give the folder that `disasymnet train --out` wrote.",
    )


def put(module: nn.Module, weights: dict[str, Tensor], *, where: object) -> None:
    """Copy `weights` into `module`; CheckpointError lists missing, unexpected and ill-shaped names."""
    own = module.state_dict()
    shaped = [
        f"{name} is {tuple(weights[name].shape)}, wanted {tuple(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    for problem, names in (
        ("missing", sorted(own.keys() - weights.keys())),
        ("unexpected", sorted(weights.keys() - own.keys())),
        ("of another shape", shaped),
    ):
        if names:
            shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
            raise CheckpointError(f"weights {problem}: {shown}", where=where)
    module.load_state_dict(weights)


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """A safetensors file, OSError where the disk is full."""
    try:
        save_file(tensors, path)
    except SafetensorError as error:
        raise OSError(f"{path.name} could not be written: {error}") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, on the CPU; CheckpointError if it is not one."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path.name} is missing", where=path.parent) from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {error}", where=path.parent) from None


def sha256(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits; CheckpointError where it is missing."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise CheckpointError(f"{path.name} is missing", where=path.parent) from None


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A fresh folder to write into, which takes the place of `folder` when the block ends without an error.

    `.NAME.part` is being written, `.NAME.new` is complete. A kill between the last two renames leaves no `folder` but
    a complete new one, where `settled` and the next writing find it.
    """
    part, new, old = (folder.with_name(f".{folder.name}.{kind}") for kind in ("part", "new", "old"))
    if not folder.exists() and new.exists():
        new.rename(folder)
    for stale in (part, new, old):
        shutil.rmtree(stale, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        for file in part.iterdir():
            with file.open("rb+") as handle:
                os.fsync(handle.fileno())
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    part.rename(new)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def settled(folder: Path) -> Path:
    """`folder`, or its complete successor where a kill came between the renames of `replaced`."""
    new = folder.with_name(f".{folder.name}.new")
    return new if not folder.exists() and new.is_dir() else folder

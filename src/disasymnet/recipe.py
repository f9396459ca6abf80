"""The one typed configuration of a training, as TOML.

A recipe may start from another: `extends = "recommended"` (a preset's name or a path beside the file). Recipes are
joined by `+`: `inbreast+late-fusion` is the recipe `inbreast`, and over it the lines that `late-fusion` itself holds,
without what that one extends. Unknown keys are errors that name the nearest valid key. The settings themselves stand in
`settings.py`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ValidationError, model_validator

from disasymnet.errors import RecipeError
from disasymnet.settings import (
    AugmentSettings,
    DataSettings,
    ImageSettings,
    ModelSettings,
    PretrainSettings,
    Section,
    SynthesisSettings,
    TrainSettings,
)


class Recipe(Section):
    """A whole training. `disasymnet train RECIPE --set section.key=value` changes single settings."""

    method: str = "disasymnet"
    image: ImageSettings = ImageSettings()
    model: ModelSettings = ModelSettings()
    synthesis: SynthesisSettings = SynthesisSettings()
    augment: AugmentSettings = AugmentSettings()
    data: DataSettings = DataSettings()
    train: TrainSettings = TrainSettings()
    pretrain: PretrainSettings = PretrainSettings()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        stride = self.model.encoder.stride
        if self.image.height % stride or self.image.width % stride:
            raise ValueError(f"image: {self.image.height} x {self.image.width} is no multiple of the stride {stride}")
        if self.data.folds == 1 or (self.data.folds and self.data.fold >= self.data.folds):
            raise ValueError("data: folds is 0 or at least 2, and fold counts from 0 to folds - 1")
        if self.data.inner and self.data.inner >= self.data.folds:
            raise ValueError("data: inner counts from 1 to folds - 1")
        return self

    @classmethod
    def load(cls, source: str | Path, changes: list[str] | None = None) -> Recipe:
        """Read presets by name or TOML files, joined by `+`; `changes` are `section.key=value` strings.

        Raises RecipeError with the file, the key and the nearest valid key.
        """
        values = _joined(str(source), ())
        for change in changes or []:
            _apply(values, change)
        return _validated(values, where=source)

    @classmethod
    def parse(cls, text: str, *, where: object = None) -> Recipe:
        """A recipe from TOML or JSON text, as stored in runs and checkpoints."""
        try:
            values = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
        except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
            raise RecipeError(f"not a recipe: {error}", where=where) from None
        return _validated(values, where=where)

    def to_json(self) -> str:
        """All settings, resolved, in a stable order."""
        return json.dumps(self.model_dump(mode="json"), indent=1) + "\n"

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that stand for all settings."""
        return digest_of(self.to_json())


def digest_of(text: str) -> str:
    """A recipe's digest from its stored text: still the same when a later version has more settings."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


PRESETS, METHODS, ABLATIONS = "", "methods", "ablations"
"""Folders of the package's recipes."""


def presets(folder: str = PRESETS) -> dict[str, str]:
    """Names of the recipes in the package, with the first line of each as description.

    `folder`: PRESETS are whole recipes (of a data set, or of no one in particular), METHODS and ABLATIONS are made to
    be joined to one of them by `+`. Alone they are changes of `recommended`.
    """
    entries = [entry for entry in (_package() / folder).iterdir() if entry.name.endswith(".toml")]
    found = {entry.name.removesuffix(".toml"): entry for entry in entries}
    return {name: found[name].read_text().splitlines()[0].lstrip("# ") for name in sorted(found)}


def describe() -> str:
    """All recipes of the package, for a person to choose from."""
    lines = []
    for title, folder in (
        ("Recipes:", PRESETS),
        ("Methods, to be joined to a recipe (inbreast+late-fusion; without one, DisAsymNet):", METHODS),
        ("Ablations of DisAsymNet, to be joined likewise (phantom+asyc; several too):", ABLATIONS),
    ):
        found = presets(folder)
        width = max(map(len, found))
        lines += [title, *(f"  {name:{width}}  {about}" for name, about in found.items()), ""]
    return "\n".join(lines[:-1])


def _package() -> Traversable:
    return resources.files("disasymnet") / "recipes"


def lines_of(source: str) -> dict[str, Any]:
    """The settings that a recipe to be joined brings itself, by full name: of `late-fusion+asyc` those of both."""
    parts = [source] if Path(source).is_file() else source.split("+")
    values: dict[str, Any] = {}
    for part in parts:
        values = _merge(values, _own(part))
    return dict(_leaves({key: value for key, value in values.items() if key != "extends"}))


def _leaves(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _joined(source: str, seen: tuple[str, ...]) -> dict[str, Any]:
    """The values of `first+second+...`: all of the first, and of the others their own lines."""
    first, *others = [source] if Path(source).is_file() else source.split("+")
    values = _read(first, seen)
    for other in others:
        values = _merge(values, {key: value for key, value in _own(other).items() if key != "extends"})
    return values


def _read(source: str, seen: tuple[str, ...]) -> dict[str, Any]:
    """A recipe with all that it extends."""
    if source in seen:
        raise RecipeError("recipes extend each other in a circle", where=" -> ".join((*seen, source)))
    values = _own(source)
    base = values.pop("extends", None)
    if base is None:
        return values
    return _merge(_joined(_beside(source, str(base)), (*seen, source)), values)


def _beside(source: str, base: str) -> str:
    """What `source` extends; files are named from its folder."""
    folder = Path(source).parent
    if (folder / base).is_file():
        return str(folder / base)
    return "+".join(str(folder / part) if part.endswith(".toml") else part for part in base.split("+"))


def _own(source: str) -> dict[str, Any]:
    """What one recipe's own file says."""
    if source.endswith(".toml"):
        path = Path(source)
        if not path.is_file():
            raise RecipeError("no such recipe file", where=path, hint=_preset_hint())
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise RecipeError("not a text in UTF-8", where=path, hint="Save it again in this encoding.") from None
    else:
        folder = next((folder for folder in (PRESETS, METHODS, ABLATIONS) if source in presets(folder)), None)
        if folder is None:
            raise RecipeError(f"no preset is called {source!r}", hint=_preset_hint())
        text = (_package() / folder / f"{source}.toml").read_text()
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"not valid TOML: {error}", where=source) from None


def _preset_hint() -> str:
    return "Presets: " + ", ".join(presets()) + "; or give the path of a .toml file. `disasymnet recipe` lists all."


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _apply(values: dict[str, Any], change: str) -> None:
    name, sign, text = change.partition("=")
    if not sign or not name.strip():
        raise RecipeError(f"{change!r} is no change", hint="Write --set section.key=value.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string, so that --set model.cam.form=sigmoid needs no quotes
    *path, last = name.strip().split(".")
    for key in path:
        below = values.setdefault(key, {})
        if not isinstance(below, dict):
            raise RecipeError(f"{key!r} is a value, not a section", where=f"--set {change}")
        values = below
    values[last] = value


def _validated(values: dict[str, Any], *, where: object) -> Recipe:
    try:
        # JSON mode: strict about types, yet a TOML array may become a tuple. Dates, which no setting is, become words.
        return Recipe.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = {key.rsplit(".", cut)[0] for key in keys() for cut in range(key.count(".") + 1)}  # sections too
            near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)
            raise RecipeError(f"there is no setting {name!r}", where=where, hint=f"Did you mean {near[0]!r}?") from None
        message = first["msg"].removeprefix("Value error, ")
        raise RecipeError(
            f"{name}: {message} (got {first['input']!r})" if name and first["type"] != "value_error" else message,
            where=where,
            hint="`disasymnet recipe NAME` prints a preset with all its settings.",
        ) from None


def keys(model: type[BaseModel] = Recipe, above: str = "") -> list[str]:
    """Every setting's full name."""
    names: list[str] = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names += keys(kind, f"{above}{name}.")
        else:
            names.append(f"{above}{name}")
    return names

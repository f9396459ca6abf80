"""Which trainings a table needs, where each stands, and which of them this machine takes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from disasymnet import checkpoint
from disasymnet.data.cache import Cache
from disasymnet.errors import CheckpointError, RecipeError
from disasymnet.recipe import Recipe, lines_of
from disasymnet.reproduce.answers import NUMBERS
from disasymnet.reproduce.rows import OURS, Row, Target
from disasymnet.training.loop import TrainOptions, is_done, with_grid_of
from disasymnet.training.state import read_position

RECIPES = {
    "phantom": "phantom",
    "mini-mias": "mini-mias",
    "inbreast": "inbreast",
    "ddsm": "ddsm",
    "vindr": "vindr-mammo",
}
"""Data set of a cache -> the recipe that is taken where none is named."""
OWN = "in-house"
"""The recipe of tables and folders of one's own."""
FOLDS = 5
PATIENCE = 5


@dataclass(frozen=True)
class Wanted:
    """What the person asked for."""

    target: Target
    cache: Path
    out: Path
    recipe: str
    changes: tuple[str, ...] = ()
    init: Path | None = None


@dataclass(frozen=True)
class Run:
    """One training (of all its folds) and its evaluation."""

    name: str
    """Also its folder's below OUT/runs."""
    seed: int
    recipe: Recipe
    words: tuple[str, ...]
    """Of the `train` command: the recipe's name and changes."""
    folder: Path

    @property
    def parts(self) -> list[tuple[Path, Recipe]]:
        """Each model of the run, with its recipe: itself, or one a fold."""
        data = self.recipe.data
        if not data.folds:
            return [(self.folder, self.recipe)]
        change = (data.model_copy(update={"fold": fold}) for fold in range(data.folds))
        return [
            (self.folder / f"fold-{fold}", self.recipe.model_copy(update={"data": one}))
            for fold, one in enumerate(change)
        ]

    @property
    def results(self) -> Path:
        """Folder of its evaluation."""
        return self.folder / "evaluation" / "test"

    def __str__(self) -> str:
        return f"{self.name}, seed {self.seed}"


@dataclass(frozen=True)
class Line:
    """One line of the table: a row at a share of the training patients, with a run for each seed."""

    row: Row
    share: float
    runs: tuple[Run, ...]
    same_as: str | None = None
    """The row whose settings are the same here; its runs are this line's."""


@dataclass(frozen=True)
class Plan:
    """All lines, and the distinct runs behind them in a fixed order."""

    lines: tuple[Line, ...]
    runs: tuple[Run, ...] = field(default=())


def recipe_of(cache: Cache, named: str | None) -> str:
    """The data set's recipe. RecipeError where none belongs to the cache and none is named."""
    recipe = named or RECIPES.get(cache.dataset, None if cache.manifest.public else OWN)
    if recipe is None:
        raise RecipeError(
            f"no recipe belongs to {cache.dataset}", hint="Name one: --recipe in-house, or your own .toml."
        )
    return recipe


def with_folds(recipe: str, changes: Sequence[str], folds: bool) -> tuple[str, ...]:
    """The changes, with cross-validation by patient where it is asked for and the recipe has none."""
    if folds and not Recipe.load(recipe, list(changes)).data.folds:
        return (*changes, f"data.folds={FOLDS}")
    return tuple(changes)


def plan(wanted: Wanted, rows: Sequence[Row], seeds: dict[str, tuple[int, ...]], cache: Cache) -> Plan:
    """Lines in the order of `rows`, by share; rows whose settings are the same share their runs.

    RecipeError from the recipes.
    """
    first: dict[str, str] = {_bare(wanted, OURS, cache).digest: OURS.name}
    lines: list[Line] = []
    runs: dict[Path, Run] = {}
    for row in rows:
        _refuse_undoing(wanted, row)
        owner = first.setdefault(_bare(wanted, row, cache).digest, row.name)
        own = Row(owner, owner) if owner != row.name else row
        for share in wanted.target.shares:
            some = [_run(wanted, own, seed, share, cache) for seed in seeds[row.name]]
            lines.append(Line(row, share, tuple(some), owner if owner != row.name else None))
            runs |= {run.folder: run for run in some}
    return Plan(tuple(lines), tuple(runs.values()))


def _bare(wanted: Wanted, row: Row, cache: Cache) -> Recipe:
    return with_grid_of(cache, Recipe.load(f"{wanted.recipe}+{row.name}", list(wanted.changes)), _quiet)


def _refuse_undoing(wanted: Wanted, row: Row) -> None:
    """A change comes last: one of a setting that makes the row what it is would leave the name and take the row."""
    changed = Recipe.load(f"{wanted.recipe}+{row.name}", list(wanted.changes)).model_dump(mode="json")
    for name, value in lines_of(row.name).items():
        if _at(changed, name.split(".")) == value:
            continue
        paths = {change: f"{change.partition('=')[0].strip()}." for change in wanted.changes}
        for change in (change for change, path in paths.items() if f"{name}.".startswith(path)):
            raise RecipeError(
                f"--set {change} would undo what makes the row {row.name}",
                hint=f'Write it into a recipe of your own (extends = "{wanted.recipe}"), for --recipe: rows come last.',
            )


def _at(values: Any, path: Sequence[str]) -> Any:
    for key in path:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def _run(wanted: Wanted, row: Row, seed: int, share: float, cache: Cache) -> Run:
    source = f"{wanted.recipe}+{row.name}"
    changes = [*wanted.changes, f"train.seed={seed}"] + ([f"data.share={share:g}"] if share < 1 else [])
    recipe = with_grid_of(cache, Recipe.load(source, changes), _quiet)
    name = row.folder + (f"-share-{100 * share:g}" if share < 1 else "")
    words = [source, *(word for change in changes for word in ("--set", change))]
    return Run(name, seed, recipe, tuple(words), wanted.out / "runs" / name / f"seed-{seed}")


def shard(runs: Sequence[Run], words: str | None) -> list[Run]:
    """Part i of n (`i/n`, i from 1): every n-th run, so that each part gets some of every method.

    RecipeError where it is no such thing.
    """
    if words is None:
        return list(runs)
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", words)
    if not found or int(found[1]) > int(found[2]):
        raise RecipeError(f"--shard {words} is no part", hint="Parts are 1/4, 2/4, 3/4 and 4/4.")
    return list(runs[int(found[1]) - 1 :: int(found[2])])


@dataclass(frozen=True)
class Standing:
    """How far a run is."""

    begun: bool
    progress: float
    """Epochs done, of all."""
    trained: bool
    evaluated: bool

    def __str__(self) -> str:
        if self.evaluated:
            return "done"
        if self.trained:
            return "trained, to be evaluated"
        return f"cut off at {100 * self.progress:.0f} %" if self.begun else "to be trained"


def standing(run: Run, cache: Cache, init: Path | None) -> Standing:
    """Where the run stands. TrainingError if its folder holds a training of other settings, cache or start."""
    for _ in range(PATIENCE):
        try:
            return _standing(run, cache, init)
        except FileNotFoundError:  # a training has just replaced its state
            time.sleep(0.2)
    return _standing(run, cache, init)


def _standing(run: Run, cache: Cache, init: Path | None) -> Standing:
    drawn = cache.redrawn(run.recipe.data.shares)
    done = epochs = begun = 0
    options = TrainOptions(resume=True, init=init)
    for folder, recipe in run.parts:
        if not folder.exists():
            continue
        done += is_done(folder, recipe, drawn.digest, options, _quiet)
        position = read_position(folder / "state")
        begun += (folder / "run.json").is_file()
        epochs += position.epoch if position else 0
    trained = done == len(run.parts)
    progress = epochs / (len(run.parts) * run.recipe.train.epochs)
    return Standing(begun > 0, progress, trained, trained and _evaluated(run, cache))


def _evaluated(run: Run, cache: Cache) -> bool:
    """True if the evaluation there is one of these very weights on this cache, with all columns."""
    try:
        tree: dict[str, Any] = json.loads((run.results / "results.json").read_text(encoding="utf-8"))
        with (run.results / "predictions.csv").open(encoding="utf-8") as file:
            columns = file.readline().strip().split(",")
        cards = [json.loads((checkpoint.find(folder) / "card.json").read_text()) for folder, _ in run.parts]
        made = tree["provenance"]
        weights = [card["weights"][:12] for card in cards]
        return made["cache"] == cache.digest and made["weights"] == weights and set(NUMBERS) <= set(columns)
    except (OSError, ValueError, KeyError, CheckpointError):
        return False


def missing(lines: Sequence[Line], standings: dict[Path, Standing]) -> Iterator[str]:
    """A sentence for each run that the table still lacks."""
    told: set[Path] = set()
    for line in lines:
        for run in line.runs:
            state = standings[run.folder]
            if not state.evaluated and run.folder not in told:
                told.add(run.folder)
                yield f"{run}: {state}"


def _quiet(line: str) -> None:
    """The plan speaks for itself."""

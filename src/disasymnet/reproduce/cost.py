"""What each training will take: two trial steps of each kind of run, once for a machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from disasymnet.data.cache import Cache
from disasymnet.data.files import digest_of, replace_file
from disasymnet.progress import Say
from disasymnet.recipe import Recipe
from disasymnet.reproduce.plan import Run
from disasymnet.training.device import Place, take_place
from disasymnet.training.estimate import estimate
from disasymnet.training.loop import prepare
from disasymnet.training.task import TrainOptions


@dataclass(frozen=True)
class Cost:
    """Of a whole run, all folds together: bytes of memory, seconds and updates of training."""

    memory: int
    seconds: float
    steps: int


def costs(runs: Sequence[Run], cache: Cache, kept: Path, threads: int | None, say: Say, *, keep: bool) -> list[Cost]:
    """The cost of each run; runs that differ in their seed alone are timed once.

    `kept`: the file that remembers them (with `keep`). CacheError where the cache does not fit the recipe.
    """
    place = take_place("auto", threads)
    known = _read(kept)
    found: list[Cost] = []
    for run in runs:
        train = run.recipe.train.model_copy(update={"seed": 0})
        key = digest_of([run.recipe.model_copy(update={"train": train}).digest, cache.digest, str(place)])[:16]
        if key not in known:
            say(f"timing two steps of {run.name} ...")
            known[key] = _time(run.recipe, cache, place)
            if keep:
                _write(kept, known)
        found.append(known[key])
    return found


def _time(recipe: Recipe, cache: Cache, place: Place) -> Cost:
    """The estimate that `train` itself gives, of the first fold times the folds."""
    encoder = recipe.model.encoder.model_copy(update={"weights": "none"})  # which weights it starts from costs nothing
    model = recipe.model.model_copy(update={"encoder": encoder})
    plain = recipe.model_copy(update={"model": model})
    options = TrainOptions(threads=place.threads)
    task = prepare(plain, cache, options, place, lambda line: None)
    one = estimate(task, place)
    if place.device.type == "cuda":
        torch.cuda.empty_cache()  # the trainings need it
    folds = recipe.data.folds or 1
    return Cost(one.memory, one.seconds * folds, one.steps * folds)


def _read(path: Path) -> dict[str, Cost]:
    try:
        return {key: Cost(**values) for key, values in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # nothing is lost but the time of a few steps


def _write(path: Path, known: dict[str, Cost]) -> None:
    text = json.dumps({key: asdict(cost) for key, cost in known.items()}, indent=1) + "\n"
    replace_file(path, text.encode())

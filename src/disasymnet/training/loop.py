"""A training from recipe and cache to a run folder; the loop itself stands in `epochs.py`."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from disasymnet import __version__
from disasymnet.checkpoint import Card
from disasymnet.data.cache import Cache, CachedPair
from disasymnet.data.loader import Loader
from disasymnet.data.manifest import Cached
from disasymnet.errors import TrainingError
from disasymnet.methods import build
from disasymnet.progress import Say
from disasymnet.recipe import Recipe
from disasymnet.training.device import Place, take_place, wait_for_all
from disasymnet.training.epochs import fit
from disasymnet.training.estimate import check_room, estimate
from disasymnet.training.start import boxes_behind, refuse_seen, start, start_of_fold, weights_of_start
from disasymnet.training.state import read_position
from disasymnet.training.steps import step_rate
from disasymnet.training.task import Task, TrainOptions
from disasymnet.training.validation import PairValidation

__all__ = ["TrainOptions", "train", "train_folds"]

WATCHED = 64  # training pairs whose signatures are watched where there are no validation pairs


def train(recipe: Recipe, cache: Cache, out: Path, options: TrainOptions, say: Say) -> Path:
    """Train the recipe's method on the cache into the run folder `out`; the folder.

    With folds, the fold `data.fold` alone. Raises TrainingError if `out` is in use or of another training, if a loss is
    not finite or the disk is full; CacheError and CheckpointError from the parts.
    """
    recipe = with_grid_of(cache, recipe, say)
    place = take_place(options.device, options.threads)
    quiet = say if place.first else _nothing
    if is_done(out, recipe, cache.redrawn(recipe.data.shares).digest, options, quiet):
        return out
    wait_for_all(place)  # or a slow process would find the folder in use
    task = prepare(recipe, cache, options, place, quiet)
    return begin(task, recipe, out, options, place, quiet)


def train_folds(recipe: Recipe, cache: Cache, out: Path, options: TrainOptions, say: Say) -> Path:
    """Train every fold into `out`/fold-0, fold-1, ...; with `resume` finished folds are passed over."""
    if recipe.data.folds < 2:
        raise TrainingError("data.folds names no folds", hint="--set data.folds=5")
    if not options.resume:
        _refuse_used(out)
    for fold in range(recipe.data.folds):
        say(f"fold {fold + 1} of {recipe.data.folds}")
        one = recipe.model_copy(update={"data": recipe.data.model_copy(update={"fold": fold})})
        train(one, cache, out / f"fold-{fold}", options, say)
    return out


def prepare(recipe: Recipe, cache: Cache, options: TrainOptions, place: Place, say: Say) -> Task:
    """Method with its first weights, its stream of batches, and its validation."""
    settings, data = recipe.train, recipe.data
    if settings.batch % place.world:
        raise TrainingError(f"train.batch = {settings.batch} cannot be shared evenly by {place.world} processes")
    torch.manual_seed(settings.seed)
    method = build(recipe)
    init = None if options.init is None else start_of_fold(options.init, data)
    if init is not None:
        refuse_seen(init, cache, data, say)
    started = start(method, recipe.model.encoder, init, say)
    cache = cache.redrawn(data.shares)
    ids = cache.split("train", data.folds, data.fold, inner=data.inner, share=data.share)
    process, makers = (place.rank, place.world), place.makers
    batches = Loader(cache, ids, recipe, training=True, device=place.device, process=process, ahead=makers)
    for note in batches.notes:
        say(note)
    chooses = cache.split("val", data.folds, data.fold, inner=data.inner)
    watched = chooses or ids[:: max(1, len(ids) // WATCHED)][:WATCHED]
    if not chooses:
        say("no validation pairs: no checkpoint is chosen, the last one counts")
    say(f"{len(ids)} training and {len(chooses)} validation pairs of {cache.dataset}")
    looked_at = Loader(cache, watched, recipe, training=False, device=place.device, ahead=makers)
    return Task(
        method,
        method.objectives,
        batches,
        settings,
        lambda total: step_rate(settings, total),
        card_of(recipe, cache, [cache.pair(name) for name in ids], started, boxes_behind(init)),
        PairValidation(looked_at, chooses=bool(chooses)),
    )


def begin(task: Task, recipe: Recipe, out: Path, options: TrainOptions, place: Place, say: Say) -> Path:
    """Write down what is trained, say what it will take, and train; the run folder."""
    if place.first:
        out.mkdir(parents=True, exist_ok=True)
        fresh = read_position(out / "state") is None
        if fresh:
            _write_facts(out, recipe, task, place)
            check_room(estimate(task, place), out, place, say)
        say(f"on {place}, seed {task.settings.seed}, {task.settings.precision}")
    wait_for_all(place)
    done = fit(task, recipe, out, options, place, say)
    say(f"{'done' if done else 'stopped; --resume goes on'}: {out}")
    return out


def is_done(out: Path, recipe: Recipe, cache_digest: str, options: TrainOptions, say: Say) -> bool:
    """True if the run in `out` is finished. TrainingError if it may not be begun or gone on with."""
    if not options.resume:
        _refuse_used(out)
        return False
    facts = out / "run.json"
    if not facts.is_file():
        _refuse_used(out, but=("recipe.json", ".recipe.json.part", ".run.json.part"))  # killed in its first moment
        say(f"{out}: nothing to go on with, starts from the beginning")
        return False
    # Parsed, so that settings which only a later version has count as their defaults.
    stored = Recipe.parse((out / "recipe.json").read_text(), where=out / "recipe.json")
    differences = _differences(stored.model_dump(mode="json"), recipe.model_dump(mode="json"))
    begun = json.loads(facts.read_text())
    if begun["cache"] != cache_digest:
        differences.append(f"the cache was {begun['cache']} and is {cache_digest}")
    if differences:
        raise TrainingError(
            "this run was begun otherwise: " + "; ".join(differences[:4]),
            where=out,
            hint="Go on with the recipe and cache it was begun with, or take another --out.",
        )
    start, wanted = str(begun["start"]), weights_of_start(options.init, recipe.data)
    if start.startswith("started from") if wanted is None else wanted not in start:
        raise TrainingError(
            f"this run was begun otherwise: {start}",
            where=out,
            hint="Give the --init it was begun with, or take another --out.",
        )
    for name, now in (("torch", torch.__version__), ("threads", torch.get_num_threads())):
        if begun[name] != now:
            say(f"warning: begun with {name} {begun[name]}, now {now}: the last digits will differ")
    position = read_position(out / "state")
    if position is not None and position.done:
        say(f"{out}: this run is finished ({position.epoch} epochs)")
        return True
    return False


def card_of(recipe: Recipe, cache: Cache, items: Sequence[Cached], started: str, boxes: tuple[str, ...] = ()) -> Card:
    """The card's facts of the pictures that teach."""
    greys = [g for item in items for g in (item.grey if isinstance(item, CachedPair) else (item.grey,)) if any(g)]
    sizes = [item.pixel_mm for item in items if item.pixel_mm is not None]
    sources = [
        item.pixel_mm / geometry.step[0]
        for item in items
        if item.pixel_mm is not None
        for geometry in (item.geometry if isinstance(item, CachedPair) else (item.geometry,))
    ]
    return Card(
        method=recipe.method,
        recipe=recipe.digest,
        cache=cache.digest,
        dataset=cache.dataset,
        pictures=sum(2 if isinstance(item, CachedPair) else 1 for item in items),
        height=cache.image.height,
        width=cache.image.width,
        pixel_mm=(min(sizes), max(sizes)) if sizes else None,
        file_pixel_mm=(min(sources), max(sources)) if sources else None,
        grey=tuple((min(column), max(column)) for column in zip(*greys, strict=True)),
        detectors=tuple(sorted({item.detector or "unknown" for item in items})),
        views=tuple(sorted({item.view.value for item in items})),
        start=started,
        boxes=boxes,
    )


def with_grid_of(cache: Cache, recipe: Recipe, say: Say) -> Recipe:
    """The recipe with the cache's way of scaling; another size is an error of the loader's."""
    made, wanted = cache.image, recipe.image
    if made == wanted or (made.height, made.width) != (wanted.height, wanted.width):
        return recipe
    say(f"image settings are the cache's: scale {made.scale}, {made.pixel_mm:g} mm a pixel")
    return recipe.model_copy(update={"image": made})


def _write_facts(out: Path, recipe: Recipe, task: Task, place: Place) -> None:
    facts = {
        "schema": 1,
        "method": recipe.method,
        "recipe": recipe.digest,
        "cache": task.card.cache,
        "dataset": task.card.dataset,
        "start": task.card.start,
        "package": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "place": str(place),
        "threads": torch.get_num_threads(),
        "processes": place.world,
    }
    for name, text in (("recipe.json", recipe.to_json()), ("run.json", json.dumps(facts, indent=1) + "\n")):
        part = out / f".{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(out / name)


def _refuse_used(out: Path, but: tuple[str, ...] = ()) -> None:
    if out.exists() and (not out.is_dir() or any(path.name not in but for path in out.iterdir())):
        raise TrainingError(
            "the folder is not empty", where=out, hint="--resume goes on with a run; or take another --out."
        )


def _differences(begun: dict[str, Any], now: dict[str, Any], above: str = "") -> list[str]:
    """`train.rate was 0.1 and is 0.2`, for each setting that differs."""
    found: list[str] = []
    for name in sorted(begun.keys() | now.keys()):
        one, other = begun.get(name), now.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            found += _differences(one, other, f"{above}{name}.")
        elif one != other:
            found.append(f"{above}{name} was {one} and is {other}")
    return found


def _nothing(line: str) -> None:
    """Of several processes only the first speaks."""

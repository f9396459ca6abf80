"""The loop over epochs. All it knows of a method: `objectives(batch)` yields the losses of each objective in order.

RUN/ holds recipe.json, run.json (what was trained where), log.jsonl, last/ and best/ (checkpoints) and state/ (from
which --resume goes on).
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from disasymnet import checkpoint
from disasymnet.errors import TrainingError
from disasymnet.progress import Say, clock
from disasymnet.recipe import Recipe
from disasymnet.training.device import Place, wait_for_all
from disasymnet.training.runlog import RunLog, collect, means
from disasymnet.training.state import Position, load_state, save_state
from disasymnet.training.steps import Batch, Rate, Stepper
from disasymnet.training.task import Task, TrainOptions, Validation

SAVING_SHARE = 10  # writing the state at an epoch's end may cost at most the tenth part of the time


@dataclass
class Run:
    """A training under way."""

    task: Task
    recipe: Recipe
    out: Path
    options: TrainOptions
    place: Place
    stepper: Stepper
    log: RunLog
    position: Position
    saved: float
    """When the state was last written."""
    saving_s: float = 0.0
    """How long that took at the last end of an epoch."""

    @property
    def updates(self) -> int:
        """Updates of an epoch."""
        return -(-len(self.task.batches) // self.task.settings.accumulate)


def fit(task: Task, recipe: Recipe, out: Path, options: TrainOptions, place: Place, say: Say) -> bool:
    """Train `task` into `out`, going on from its state if it has one; True when done, False when stopped before.

    Raises TrainingError where a loss is not finite, the disk is full or there are too few pairs.
    """
    try:
        return _fit(_begin(task, recipe, out, options, place, say))
    except OSError as error:
        if error.errno != errno.ENOSPC and "No space left" not in str(error):
            raise
        raise TrainingError(
            "the disk is full",
            where=out,
            hint="The last checkpoint and state are whole: make room, then go on with --resume.",
        ) from None


def _begin(task: Task, recipe: Recipe, out: Path, options: TrainOptions, place: Place, say: Say) -> Run:
    task.method.to(device=place.device)
    if task.settings.channels_last:
        task.method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    stepper = Stepper(task.method, task.objectives, task.settings, place, task.optimiser)
    log = RunLog(out, say, speaks=place.first, every_s=options.say_every_s)
    found = load_state(out / "state", task.method, stepper.optimisers)
    position = found or Position()
    run = Run(task, recipe, out, options, place, stepper, log, position, time.monotonic())
    log.cut(position.log_bytes)
    if found:
        log.say(f"goes on behind step {position.step} (epoch {position.epoch + 1})")
        log.write("note", text="resumed", step=position.step)
    return run


def _fit(run: Run) -> bool:
    begun, steps = run.position.elapsed_s - time.monotonic(), 0
    epochs = run.task.settings.epochs
    rate = run.task.rate(epochs * run.updates)
    while run.position.epoch < epochs:
        run.stepper.train_mode()
        for group in _groups(run):
            position = run.position
            values = run.stepper.update(group, position.step, rate(position.step))
            collect(position, values, len(group))
            position.update += 1
            position.step += 1
            position.elapsed_s = begun + time.monotonic()
            steps += 1
            if position.step % run.options.log_every == 0:
                now = {name: sum(v) / len(v) for name, v in values.items()}
                run.log.write("step", epoch=position.epoch + 1, step=position.step, losses=now)
            run.log.progress(position, epochs, run.updates, values)
            stop = run.options.stop_after is not None and steps >= run.options.stop_after
            if position.update < run.updates and (stop or time.monotonic() - run.saved > run.options.save_every_s):
                _save_state(run)
                if stop:
                    return False
        stop = run.options.stop_after is not None and steps >= run.options.stop_after
        _end_epoch(run, rate, stop)
        if stop:
            break
    return run.position.done


def _groups(run: Run) -> Iterator[list[Batch]]:
    """The updates that are left of this epoch, each with its batches."""
    size = run.task.settings.accumulate
    stream = run.task.batches.batches(run.position.epoch, run.position.update * size)
    while group := [batch.to(run.place.device) for batch in islice(stream, size)]:
        yield group


def _end_epoch(run: Run, rate: Rate, stop: bool) -> None:
    position, settings = run.position, run.task.settings
    wait_for_all(run.place)
    position.epoch, position.update = position.epoch + 1, 0
    last = position.epoch == settings.epochs
    judged: Validation | None = None
    if run.place.first and run.task.validate and (last or position.epoch % settings.validate_every == 0):
        judged = run.task.validate(run.task.method, run.place, position.memory)
    # A large model's short epochs would be spent on writing it.
    saves = last or stop or time.monotonic() - run.saved > min(run.options.save_every_s, SAVING_SHARE * run.saving_s)
    begun = time.monotonic()
    if run.place.first:
        _report(run, judged, rate(position.step - 1))
        _keep(run, judged, saves)
    position.sums, position.batches = {}, 0
    position.done = last
    if last:
        if position.best is not None:
            run.log.say(f"best: epoch {position.best_epoch}, mean validation AUC {position.best:.3f}, kept in best/")
        run.log.write("note", text="done", step=position.step, time_s=round(position.elapsed_s, 3))
    if saves:
        _save_state(run)
        run.saving_s = run.saved - begun
    wait_for_all(run.place)


def _report(run: Run, judged: Validation | None, rate: float) -> None:
    position = run.position
    mean, missing = means(position)
    figures = judged.figures if judged else {}
    run.log.write(
        "epoch",
        epoch=position.epoch,
        step=position.step,
        rate=rate,
        time_s=round(position.elapsed_s, 3),
        losses=mean,
        missing=missing,
        validation=figures,
        guards=judged.guards if judged else {},
        warnings=sorted(judged.warnings) if judged else [],
    )
    parts = [f"{name} {value:.4f}" for name, value in mean.items()]
    parts += [f"{name} " + ("-" if value is None else f"{value:.3f}") for name, value in figures.items()]
    took = clock(position.elapsed_s)
    run.log.say(f"epoch {position.epoch} of {run.task.settings.epochs} done after {took}: " + ", ".join(parts))
    if judged:
        for name, line in judged.warnings.items():
            if name not in position.warned:
                run.log.say(f"warning: {line}")
        position.warned = tuple(judged.warnings)


def _keep(run: Run, judged: Validation | None, last: bool) -> None:
    """Write last/ if asked to; best/ where this epoch has the best score of those behind the last drop of the rate."""
    position = run.position
    scores = judged.figures if judged else None
    card = replace(
        run.task.card, epochs=position.epoch, steps=position.step, seed=run.task.settings.seed, scores=scores
    )
    if last:
        checkpoint.save(run.out / "last", run.task.method, run.recipe, card)
    if judged is None or judged.score is None or not _candidate(run):
        return
    if position.best is None or judged.score > position.best:  # a tie stays with the earlier epoch
        position.best, position.best_epoch = judged.score, position.epoch
        checkpoint.save(run.out / "best", run.task.method, run.recipe, card)


def _candidate(run: Run) -> bool:
    """True behind the last drop of the rate (before it x_n still swings from epoch to epoch), or if there is none."""
    total = run.task.settings.epochs * run.updates
    drops = [drop for share in run.task.settings.decay_at if (drop := round(share * total)) < total]
    return not drops or run.position.step > max(drops)


def _save_state(run: Run) -> None:
    if run.place.first:
        path = run.log.path
        run.position.log_bytes = path.stat().st_size if path.exists() else 0
        save_state(run.out / "state", run.task.method, run.stepper.optimisers, run.position)
    run.saved = time.monotonic()

"""From the person's words to trained runs and a written table."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from disasymnet.data.cache import Cache
from disasymnet.errors import TrainingError
from disasymnet.evaluate import provenance
from disasymnet.evaluate.evaluation import RESEARCH_USE
from disasymnet.progress import Say, clock
from disasymnet.reproduce.compare import cell, declared, fill, paired_tests
from disasymnet.reproduce.cost import Cost, costs
from disasymnet.reproduce.figures import write_figure2, write_figure3
from disasymnet.reproduce.jobs import Job, command, work
from disasymnet.reproduce.paper import column_of
from disasymnet.reproduce.plan import (
    Line,
    Plan,
    Standing,
    Wanted,
    missing,
    plan,
    recipe_of,
    shard,
    standing,
    with_folds,
)
from disasymnet.reproduce.rows import OURS, rows_of, seeds_of, target_of
from disasymnet.reproduce.tables import write_table
from disasymnet.training.device import physical_cores, take_place
from disasymnet.training.estimate import free_memory
from disasymnet.training.start import boxes_behind, start_of_fold, weights_of_start

SCHEMA = 1
NOTES = {
    "asym-attention": "asym-attention is our reconstruction from the abstract of Wang et al. (2022); the paper's value"
    " beside it is of their own model.",
    "late-fusion": "The paper does not say which head its late fusion has: its one value stands beside both.",
    "asymmirai": "AsymMirai's rule is not in the paper; it answers for pairs only.",
}


@dataclass(frozen=True)
class Options:
    """How the work is done; nothing here changes a result but, in the last digits, the threads."""

    methods: str | None = None
    seeds: tuple[str, ...] = ()
    folds: bool = False
    shard: str | None = None
    jobs: int = 1
    threads: int | None = None
    """Of each run; None: the physical cores shared out."""
    dry_run: bool = False


def reproduce(
    name: str, data: Path, out: Path, recipe: str | None, changes: Sequence[str], init: Path | None, options: Options,
    say: Say,
) -> str:  # fmt: skip
    """Train, evaluate and write what is missing of a table into `out`; what to tell the person.

    Raises RecipeError for words it does not know, TrainingError for runs begun otherwise or (after the table is
    written as far as it goes) that failed, and what `Cache.open` raises.
    """
    target, cache = target_of(name), Cache.open(data)
    source = recipe_of(cache, recipe)
    wanted = Wanted(target, data, out, source, with_folds(source, changes, options.folds), init)
    rows = rows_of(target, options.methods)
    made = plan(wanted, rows, seeds_of(target, rows, list(options.seeds)), cache)
    for chosen in {part.data for run in made.runs for _, part in run.parts}:
        weights_of_start(init, chosen)  # an --init that is no run is named before anything is trained
    mine = shard(made.runs, options.shard)
    threads = options.threads or max(1, physical_cores() // options.jobs)
    standings = {run.folder: standing(run, cache, init) for run in made.runs}
    todo = [run for run in mine if not standings[run.folder].evaluated]
    untrained = [run for run in todo if not standings[run.folder].trained]
    known = costs(untrained, cache, out / "estimates.json", threads, say, keep=not options.dry_run)
    cost = {run.folder: one for run, one in zip(untrained, known, strict=True)}
    jobs = [Job(run, standings[run.folder], cost.get(run.folder, Cost(0, 0.0, 0))) for run in todo]
    told = _listing(wanted, jobs, len(mine), options)
    if options.dry_run:
        return told
    say(told)

    def write() -> list[Path]:
        now = {run.folder: standing(run, cache, init) for run in made.runs}
        return _write(wanted, made, now, cache)

    memory = free_memory(take_place("auto", threads)) if options.jobs > 1 else None
    failed = work(wanted, jobs, options.jobs, threads, memory, lambda: _written(write(), say), say) if jobs else []
    paths = write()
    left = list(missing(made.lines, {run.folder: standing(run, cache, init) for run in made.runs}))
    if failed:
        raise TrainingError(
            f"{len(failed)} of {len(jobs)} runs failed, the first: {failed[0]}",
            hint=f"The table is written as far as it goes ({paths[0]}). Mend it and run the same command again.",
        )
    return "\n".join(
        [*map(str, paths), *([f"not complete: {len(left)} runs are missing"] if left else []), RESEARCH_USE]
    )


def _written(paths: Sequence[Path], say: Say) -> None:
    say(f"written as far as it goes: {paths[0].with_suffix('.md')}")


def _listing(wanted: Wanted, jobs: Sequence[Job], mine: int, options: Options) -> str:
    part = "" if options.shard is None else f" of part {options.shard}"
    lines = [f"{wanted.target.title}, recipe {wanted.recipe}: {mine} runs{part}, {mine - len(jobs)} done"]
    for job in jobs:
        line = f"  {job.run}: {job.state}"
        if not job.state.trained:
            line += f", about {clock(job.seconds)} of training ({job.cost.steps} steps), {_mib(job.cost.memory)}"
        lines.append(line)
        if options.dry_run:
            lines.append("    disasymnet " + shlex.join(command(wanted, job.run)))
    total = sum(job.seconds for job in jobs)
    if jobs:
        lines.append(
            f"  in all about {clock(total / options.jobs)} of training, {options.jobs} at once; evaluation besides"
        )
    return "\n".join(lines)


def _mib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB of memory" if count >= 2**30 else f"{count / 2**20:.0f} MiB of memory"


def _write(wanted: Wanted, made: Plan, standings: dict[Path, Standing], cache: Cache) -> list[Path]:
    """The table (and figure) of what is evaluated now; the paths, the JSON file first."""
    target, dataset = wanted.target, column_of(wanted.recipe)
    filled = fill(made.lines, standings)
    tree: dict[str, Any] = {
        "schema": SCHEMA,
        "use": RESEARCH_USE,
        "target": target.name,
        "title": target.title,
        "dataset": cache.dataset,
        "recipe": wanted.recipe,
        "set": list(wanted.changes),
        "paper": dataset,
        "missing": list(missing(made.lines, standings)),
        "rows": [
            {
                "name": one.line.row.name,
                "label": one.line.row.label,
                "share": one.line.share,
                "seeds": sorted(one.answers),
                "same_as": one.line.same_as,
                "cells": {column.key: cell(one, column, dataset) for column in target.columns},
            }
            for one in filled
        ],
        "tests": paired_tests(filled, target),
        "declared": declared(target),
        "notes": _notes(wanted, made.lines, dataset, cache),
        "provenance": {
            "cache": cache.digest,
            "runs": {str(run.folder.relative_to(wanted.out)): run.recipe.digest for run in made.runs},
            "commit": provenance.commit(),
            "versions": provenance.versions(),
            "machine": provenance.machine(),
            "command": provenance.command(),
        },
    }
    paths = write_table(wanted.out, tree, target.columns)
    if target.name == "figure2":
        drawn = write_figure2(wanted.out, tree, target.columns[0])
        paths += [drawn] if drawn else []
    if target.name == "figure3" and not tree["missing"]:
        ours, bare = sorted(made.lines, key=lambda line: line.row.name != OURS.name)
        paths.append(write_figure3(wanted.out, ours.runs[0].results, bare.runs[0].results))
    return paths


def _notes(wanted: Wanted, lines: Sequence[Line], dataset: str | None, cache: Cache) -> list[str]:
    notes = []
    if dataset is not None:
        notes.append(
            f"The paper's values are of {dataset}, as printed; these are of {cache.dataset}, splits of our own."
        )
    names = {line.row.name for line in lines}
    notes += [note for name, note in NOTES.items() if name in names and (dataset is not None or name == "asymmirai")]
    same = {line.row.label: line.same_as for line in lines if line.same_as is not None}
    notes += [f"{label} has the settings of {other} here: it is the same runs." for label, other in same.items()]
    if wanted.init is not None:
        _, first = lines[0].runs[0].parts[0]
        boxes = boxes_behind(start_of_fold(wanted.init, first.data))
        taught = f", which have learned places of lesions in {' and '.join(boxes)} data" if boxes else ""
        notes.append(f"Every run started from the same pre-trained weights{taught}.")
    return notes

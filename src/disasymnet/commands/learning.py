"""Training, and the recipes that say how."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from disasymnet.commands.options import CacheFolder, Changes, RecipeName, Resume, RunFolder, Threads
from disasymnet.progress import say

app = typer.Typer()


@app.command()
def pretrain(
    recipe: RecipeName, data: CacheFolder, out: RunFolder, changes: Changes = None, resume: Resume = False,
    threads: Threads = None,
) -> None:  # fmt: skip
    """Teach the trunk to find lesions, from any data set with boxes; `train --init RUN` starts from it."""
    from disasymnet.data.cache import Cache
    from disasymnet.recipe import Recipe
    from disasymnet.training.loop import TrainOptions
    from disasymnet.training.pretrain import pretrain as run

    options = TrainOptions(resume=resume, threads=threads)
    typer.echo(run(Recipe.load(recipe, changes), Cache.open(data), out, options, say))


@app.command()
def train(
    recipe: RecipeName, data: CacheFolder, out: RunFolder, changes: Changes = None, resume: Resume = False,
    init: Annotated[Path | None, typer.Option(help="Start from this run's weights; each fold from its own.")] = None,
    threads: Threads = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.")] = "auto",
) -> None:  # fmt: skip
    """Train a model. With `--set data.folds=5` all folds, one after the other, each pair tested once.

    Where `data.fold` is set too, by `--set` or in the recipe's file, that fold alone, into RUN itself.

    Example: disasymnet train recommended --data cache --out run --set train.epochs=10
    """
    from disasymnet.data.cache import Cache
    from disasymnet.recipe import Recipe
    from disasymnet.training import loop

    options = loop.TrainOptions(resume=resume, init=init, threads=threads, device=device)
    found = Recipe.load(recipe, changes)
    one = not found.data.folds or "fold" in found.data.model_fields_set
    run = loop.train if one else loop.train_folds
    typer.echo(run(found, Cache.open(data), out, options, say))


@app.command()
def recipe(
    name: Annotated[
        str | None, typer.Argument(metavar="[RECIPE]", help="A preset or .toml file; + joins them.")
    ] = None,
    changes: Changes = None,
) -> None:
    """List the presets, or print one with all its settings.

    Example: disasymnet recipe inbreast+late-fusion
    """
    from disasymnet.recipe import Recipe, describe

    typer.echo(describe() if name is None else Recipe.load(name, changes).to_json(), nl=name is None)

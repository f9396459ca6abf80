"""What a trained model answers, and how good that is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from disasymnet.commands.options import RESEARCH, CacheFolder, Changes, Strict, out_file, out_folder
from disasymnet.progress import say

app = typer.Typer()


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished training.")],
    data: CacheFolder,
    split: Annotated[str, typer.Option(help="train | val | test; all: every pair of another data set")] = "test",
    out: Annotated[Path | None, out_folder(metavar="DIR", help="Default: RUN/evaluation/SPLIT.")] = None,
) -> None:
    """Measure a run on a split, with intervals; a run of folds is pooled, each pair judged by its test fold."""
    from disasymnet.evaluate import evaluate as measure
    from disasymnet.evaluate import summary

    typer.echo(summary(measure(run, data, split, out, say)))


@app.command()
def counterfactual(
    data: CacheFolder,
    out: Annotated[Path, out_folder(metavar="DIR", help="Folder for table, pictures and JSON.")],
    runs: Annotated[list[str] | None, typer.Option(metavar="NAME=RUN", help="A row: a run. May be repeated.")] = None,
    pictures: Annotated[
        list[str] | None, typer.Option(metavar="NAME=DIR", help="A row: pictures of another program. May be repeated.")
    ] = None,
    judge: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Independent classifier: another run, or a detector.")
    ] = None,
    tumours: Annotated[
        Path | None, typer.Option(metavar="T", help="Tumour set to blend into normal pairs; default: the cache's.")
    ] = None,
    split: Annotated[str, typer.Option(help="train | val | test; all: every pair of another data set")] = "test",
    export: Annotated[bool, typer.Option("--export", help="Only write the inputs, for another program.")] = False,
) -> None:
    """Measure how well lesions are taken out where the lesion-free truth is known (docs/counterfactual-protocol.md).

    Example: disasymnet counterfactual --data cache --runs ours=run --runs asyd=run-asyd --judge run-1 --out bench
    """
    from disasymnet.outputs.counterfactual import Request, counterfactual_to

    request = Request(data, out, runs or (), pictures or (), judge, tumours, split, export)
    typer.echo(counterfactual_to(request, say))


@app.command()
def shortcuts(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished training.")],
    data: CacheFolder,
    out: Annotated[Path, out_folder(metavar="DIR", help="Folder for shortcuts.md and shortcuts.json.")],
    split: Annotated[str, typer.Option(help="train | val | test; all: every pair of another data set")] = "test",
) -> None:
    """Check whether a run answers by shortcuts: outline, air, what both sides share, or one breast alone.

    Example: disasymnet shortcuts run --data cache --out checks
    """
    from disasymnet.evaluate.shortcuts import shortcuts as check

    typer.echo(check(run, data, out, say, split))


@app.command()
def predict(
    pictures: Annotated[list[Path], typer.Argument(metavar="[RIGHT LEFT | FOLDER]", help="Two files, or a folder.")],
    model: Annotated[Path, typer.Option("--model", metavar="RUN", help="A run or checkpoint folder.")],
    out: Annotated[Path, out_folder(metavar="DIR", help="Folder for JSON and pictures.")],
    strict: Strict = False,
) -> None:
    """Compare right and left: probabilities, heat map, and the symmetric picture, in the files' own pixels.

    Example: disasymnet predict R_CC.dcm L_CC.dcm --model run --out answer
    """
    from disasymnet.outputs.prediction import predict_to

    typer.echo(predict_to(pictures, model, out, say, strict=strict))
    typer.echo(RESEARCH)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of an evaluated training.")],
    out: Annotated[Path, out_file(metavar="FILE.html", help="The page to write.")],
    split: Annotated[str, typer.Option(help="train | val | test | all")] = "test",
    results: Annotated[
        Path | None, typer.Option(help="Folder that evaluate --out wrote. Default: RUN/evaluation/SPLIT.")
    ] = None,
) -> None:
    """One self-contained page: curves, tables with intervals, and a gallery hung as radiologists hang."""
    from disasymnet.outputs.html import report as write

    typer.echo(write(run, out, split, results))


@app.command()
def reproduce(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="table1 | table2 | figure2 | figure3 | ablations")],
    data: CacheFolder,
    out: Annotated[Path, out_folder(metavar="DIR", help="Runs and tables; one folder may serve all targets.")],
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", metavar="RECIPE", help="Of the data set; default: the cache's, as `inbreast`."),
    ] = None,
    methods: Annotated[
        str | None, typer.Option(metavar="ROWS", help="Only these: resnet18,disasymnet,mine.toml. Default: all.")
    ] = None,
    seeds: Annotated[
        list[str] | None, typer.Option(metavar="SEEDS", help="0,1,2 (default), or of some rows: ham,cvt=0. Repeatable.")
    ] = None,
    init: Annotated[Path | None, typer.Option(metavar="RUN", help="Every run starts from these weights.")] = None,
    folds: Annotated[bool, typer.Option("--folds", help="Five folds by patient, each pair tested once.")] = False,
    changes: Changes = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Part I of N of the runs, for a job array on a shared disk.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Most runs at once, as far as memory allows.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Torch threads of each run; default: cores / jobs.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List runs, times and commands; train nothing.")] = False,
) -> None:
    """Train, evaluate and tabulate the paper's comparison on your data, beside the paper's values, with tests.

    Does what is missing: run it again to go on after a crash, or to add rows and seeds. A part of a table is written
    as far as it goes. `docs/reproduce.md` says what is declared beforehand.

    One run on several GPUs: take its command from --dry-run, put `torchrun --nproc-per-node N -m disasymnet.cli` in
    place of `disasymnet`; then this command again, which finds it done. Many machines: --shard $TASK/8 on each.

    Example: disasymnet reproduce table1 --data cache --out paper --methods late-fusion-mlp,disasymnet --dry-run
    """
    from disasymnet.reproduce import Options
    from disasymnet.reproduce import reproduce as run

    options = Options(methods, tuple(seeds or ()), folds, shard, jobs, threads, dry_run)
    typer.echo(run(target, data, out, recipe, changes or [], init, options, say))

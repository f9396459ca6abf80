"""Every command: read the words, call one function, print. Heavy imports stand inside the commands."""

from __future__ import annotations

import errno
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from disasymnet import __version__
from disasymnet.datasets import DATASETS
from disasymnet.errors import DisAsymNetError, printable
from disasymnet.progress import say

RESEARCH = "Research use only. Not a medical device, not for diagnosis."

app = typer.Typer(
    name="disasymnet",
    help=f"""Bilateral mammograms compared by a network (DisAsymNet, Wang et al., MICCAI 2023).

Says for each breast whether it looks abnormal and for the pair whether it is asymmetric, shows where, and draws what
the pair would look like if it were symmetric. {RESEARCH}

Try it without any data: `make demo`, or phantom, prepare, train, evaluate, report in this order.""",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
weights_app = typer.Typer(
    help="Trunk weights (ImageNet ResNet-18 or your own): list, import, fetch.", no_args_is_help=True
)
app.add_typer(weights_app, name="weights")
qa_app = typer.Typer(help="Checks of a folder of pictures before it is trusted.", no_args_is_help=True)
app.add_typer(qa_app, name="qa")


def _folder(out: Path | None) -> Path | None:
    """An output folder that cannot be made is told before the work, not after it."""
    from disasymnet.data.files import check_folder

    if out is not None:
        check_folder(out)
    return out


def _file(out: Path | None) -> Path | None:
    """The same for an output file."""
    from disasymnet.data.files import check_file

    if out is not None:
        check_file(out)
    return out


_out_folder = partial(typer.Option, "--out", callback=_folder)
_out_file = partial(typer.Option, "--out", callback=_file)

Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, e.g. --set train.epochs=5. May be repeated."),
]
RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="Presets (see `recipe`) or .toml files; NAME+NAME joins them.")
]
CacheFolder = Annotated[Path, typer.Option("--data", metavar="CACHE", help="Folder that `prepare` made.")]
RunFolder = Annotated[Path, _out_folder(metavar="RUN", help="Folder for weights, log and results.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where this run was cut off.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Torch threads; default: the physical cores.")]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Refuse what a mammography system would not have made so: films, free-text sides."),
]
Voi = Annotated[str, typer.Option(help="auto | none | lut1 ... | window1 ...: what makes the grey of DICOM files.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Worker processes; default: from cores and memory.")]


@app.callback(invoke_without_command=True)
def _top(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New folder for the exams.", callback=_folder)],
    exams: Annotated[int, typer.Option(min=4, help="Women; each has CC and MLO of both breasts.")] = 40,
    rows: Annotated[int, typer.Option(min=128, max=4096, help="Picture height in pixels.")] = 1024,
    contrast: Annotated[str, typer.Option(help="easy | realistic")] = "realistic",
    style: Annotated[str, typer.Option(help="digital | film")] = "digital",
    val: Annotated[float, typer.Option(min=0, help="Women for validation: below 1 a share, else a number.")] = 0.1,
    test: Annotated[float, typer.Option(min=0, help="Women for the test, likewise.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    workers: Workers = None,
) -> None:
    """Make mammograms whose truth is known: bilateral DICOM exams with and without lesions.

    Example: disasymnet phantom exams --exams 100 --rows 512 --contrast easy
    """
    from disasymnet.phantom import PhantomSettings, make_exams

    given = {"exams": exams, "rows": rows, "lesions": contrast, "style": style, "seed": seed, "val": val, "test": test}
    settings = _settings(PhantomSettings, **given)
    make_exams(out, settings, workers=workers, say=say)
    typer.echo(f"{out}: {exams} exams. Next: disasymnet prepare phantom {out} --out CACHE")


@app.command()
def scan(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A data set's folder, or any folder of pictures.")],
    dataset: Annotated[
        str | None, typer.Option(help="One of: " + ", ".join(DATASETS) + "; default: read every file.")
    ] = None,
    strict: Strict = False,
    pixels: Annotated[bool, typer.Option("--pixels", help="Decode every picture, too: slower, finds damage.")] = False,
    out: Annotated[Path | None, _out_folder(metavar="DIR", help="Write pairs.csv and rejected.csv there.")] = None,
) -> None:
    """Say what a folder holds: pictures, pairs by label, and what is left out and why. Changes nothing in it.

    Every file ends in the pair table, with the tag that named its side and view, or among those left out, with a code,
    the reason and the next step.

    Example: disasymnet scan archive --out tables
    """
    from disasymnet.data.survey import survey

    typer.echo(survey(folder, dataset, strict=strict, pixels=pixels, out=out))


@app.command()
def describe(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="One of: " + ", ".join(DATASETS))],
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="The data set's folder, or the table file.")],
) -> None:
    """Count a data set beside the published numbers and the paper's, and explain each difference. Changes nothing.

    Women, exams, pictures, views, labels, pairs and lesions. A partial download is counted as it is.

    Example: disasymnet describe mini-mias all-mias
    """
    from disasymnet.data.describe import describe as run

    typer.echo(run(dataset, root))
    typer.echo(RESEARCH)


@app.command()
def prepare(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="One of: " + ", ".join(DATASETS))],
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="The data set's folder, or the table file.")],
    out: Annotated[Path, _out_folder(metavar="CACHE", help="Folder for the prepared pairs.")],
    height: Annotated[int, typer.Option(min=32, max=4096, help="Rows of the model grid.")] = 1024,
    width: Annotated[int | None, typer.Option(min=16, max=4096, help="Columns; default: half of the rows.")] = None,
    scale: Annotated[str, typer.Option(help="mm | fit | liu2020: how breasts are scaled.")] = "mm",
    tumours: Annotated[
        Path | None, typer.Option(help="Tumour set of another data set, for Synthesis; default: ROOT/tumours.")
    ] = None,
    voi: Voi = "auto",
    strict: Strict = False,
    official_split: Annotated[
        bool, typer.Option("--official-split", help="Use the publishers' own split (vindr, cbis-ddsm).")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the split into train, val and test.")] = 0,
    workers: Workers = None,
    memory: Annotated[
        float | None, typer.Option(min=0, metavar="GB", help="For all workers together; default: what is free.")
    ] = None,
    names: Annotated[
        bool, typer.Option("--names", help="Show file names in pairs.csv and rejected.csv (table, folder).")
    ] = False,
) -> None:
    """Read, check, pair and bring all pictures onto the model grid, once. Resumable: run it again.

    Before anything costly it says how many pairs there are, what is left out and why, and what time and space it takes.

    Example: disasymnet prepare mini-mias all-mias --out cache --height 512
    """
    from disasymnet.data.prepare import PrepareOptions
    from disasymnet.data.prepare import prepare as run
    from disasymnet.datasets import find
    from disasymnet.settings import ImageSettings

    entry = find(dataset)
    settings = _settings(ImageSettings, height=height, width=width or height // 2, scale=scale, voi=voi)
    if tumours is None and (root / "tumours").is_dir():
        tumours = root / "tumours"
    options = PrepareOptions(
        dataset=dataset,
        public=entry.public,
        root=root,
        workers=workers,
        tumours=tumours,
        seed=seed,
        memory_limit=None if memory is None else round(memory * 1e9),
        strict=strict,
        names=names,
    )
    cache = run(entry.read(root, official_split=official_split), settings, out, options, say)
    typer.echo(f"{out}: {len(cache.pairs)} pairs, {len(cache.singles)} single pictures.")


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A picture, DICOM or other.")],
    out: Annotated[Path | None, _out_folder(metavar="DIR", help="Folder for a picture of each step.")] = None,
    voi: Voi = "auto",
    strict: Strict = False,
) -> None:
    """Say how a file becomes a picture: what its tags state, and each grey step with its minimum and maximum."""
    from disasymnet.images.read import Reading
    from disasymnet.outputs.explain import explain as tell

    typer.echo(tell(file, Reading(strict, voi), out))
    typer.echo(RESEARCH)


@app.command()
def tumours(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="A set with outlines, boxes, circles or masks.")],
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="The data set's folder, or the table file.")],
    out: Annotated[Path, _out_folder(metavar="T", help="New folder for the tumour set.")],
    pixel_mm: Annotated[float, typer.Option(min=0.02, max=2, help="Pixel size of the crops, millimetres.")] = 0.2,
    workers: Workers = None,
) -> None:
    """Cut a tumour set T for Synthesis out of another data set than the one to train on.

    Each crop is 1.5 times its lesion's box, chest wall to the left. What cannot be cut is counted, with the reason.

    Example: disasymnet tumours cbis-ddsm CBIS-DDSM --out T, then: disasymnet prepare mini-mias ... --tumours T
    """
    from disasymnet.data.tumour_crops import cut_tumours
    from disasymnet.datasets import find

    entry = find(dataset)
    count = cut_tumours(entry.scan(root), dataset, out, say, public=entry.public, pixel_mm=pixel_mm, workers=workers)
    typer.echo(f"{out}: {count} crops. Next: disasymnet prepare DATASET ROOT --out CACHE --tumours {out}")


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
    init: Annotated[Path | None, typer.Option(help="Start from the weights of this run.")] = None,
    threads: Threads = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.")] = "auto",
) -> None:  # fmt: skip
    """Train a model. With `--set data.folds=5` all folds, one after the other, each pair tested once.

    Example: disasymnet train recommended --data cache --out run --set train.epochs=10
    """
    from disasymnet.data.cache import Cache
    from disasymnet.recipe import Recipe
    from disasymnet.training import loop

    options = loop.TrainOptions(resume=resume, init=init, threads=threads, device=device)
    found = Recipe.load(recipe, changes)
    run = loop.train_folds if found.data.folds else loop.train
    typer.echo(run(found, Cache.open(data), out, options, say))


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished training.")],
    data: CacheFolder,
    split: Annotated[str, typer.Option(help="train | val | test; all: every pair of another data set")] = "test",
    out: Annotated[Path | None, _out_folder(metavar="DIR", help="Default: RUN/evaluation/SPLIT.")] = None,
) -> None:
    """Measure a run on a split, with intervals; a run of folds is pooled, each pair judged by its test fold."""
    from disasymnet.evaluate import evaluate as measure
    from disasymnet.evaluate import summary

    typer.echo(summary(measure(run, data, split, out, say)))


@app.command()
def counterfactual(
    data: CacheFolder,
    out: Annotated[Path, _out_folder(metavar="DIR", help="Folder for table, pictures and JSON.")],
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
    out: Annotated[Path, _out_folder(metavar="DIR", help="Folder for shortcuts.md and shortcuts.json.")],
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
    out: Annotated[Path, _out_folder(metavar="DIR", help="Folder for JSON and pictures.")],
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
    out: Annotated[Path, _out_file(metavar="FILE.html", help="The page to write.")],
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
    out: Annotated[Path, _out_folder(metavar="DIR", help="Runs and tables; one folder may serve all targets.")],
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


@app.command()
def doctor() -> None:
    """Say what this installation can do and what to mend: libraries, decoders, weights, memory, a self-test."""
    from disasymnet.doctor import examine

    lines, healthy = examine()
    typer.echo("\n".join(lines))
    if not healthy:
        raise typer.Exit(1)


@weights_app.command("list")
def weights_list() -> None:
    """Installed trunk weights with their digests."""
    from disasymnet import weights

    typer.echo(weights.describe())


@weights_app.command("import")
def weights_import(
    file: Annotated[Path, typer.Argument(help="A torchvision .pth or a .safetensors file.")],
    name: Annotated[str, typer.Option(help="The name recipes use: model.encoder.weights=NAME.")] = "imagenet",
) -> None:
    """Check a file of ResNet-18 weights and keep it under a name. Nothing in it is executed."""
    from disasymnet import weights

    typer.echo(weights.import_weights(file, name))


@weights_app.command("fetch")
def weights_fetch(name: Annotated[str, typer.Argument(help="imagenet")] = "imagenet") -> None:
    """Download known public weights, check their digest, keep them."""
    from disasymnet import weights

    typer.echo(weights.fetch(name))


@qa_app.command("laterality")
def qa_laterality(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Any folder of pictures.")],
    out: Annotated[Path | None, _out_file(metavar="FILE.csv", help="Write the lines there as a table.")] = None,
) -> None:
    """Does each picture agree with its tags: the chest wall that is seen against the breast and orientation stated?

    One line a disagreement, one a file that could not be compared, with the reason. Exit code 0 if nothing disagrees,
    else 1.

    Example: disasymnet qa laterality archive --out disagreements.csv
    """
    from disasymnet.quality.laterality import check

    checked = check(folder, out)
    typer.echo(checked.text(folder))
    typer.echo(RESEARCH)
    if checked.disagreements:
        raise typer.Exit(1)


def _settings(kind: type[Any], **values: object) -> Any:
    """Settings from the command line, with a one-line error for a wrong word."""
    from pydantic import ValidationError

    from disasymnet.errors import RecipeError

    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise RecipeError(f"{name}: {first['msg'].removeprefix('Value error, ')} (got {first['input']!r})") from None


# Of a path that was given: it is something else, lies nowhere, or may not be written.
_MENDABLE = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS)


def main() -> None:
    """The program. Anything a user can mend ends with one message and exit code 2."""
    try:
        app()
    except DisAsymNetError as error:
        print(f"disasymnet: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        if not full and (error.filename is None or error.errno not in _MENDABLE):
            raise
        what = "no space left" if full else str(error.strerror).lower()
        hint = "Free some and run it again." if full else "Take another path, or mend this one, and run it again."
        print(f"disasymnet: {printable(str(error.filename or 'disk'))}: {what}\n{hint}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(
            "\ndisasymnet: stopped. What was finished is kept; train --resume goes on, as do others when run again.",
            file=sys.stderr,
        )
        sys.exit(130)


if __name__ == "__main__":
    main()

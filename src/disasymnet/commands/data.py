"""From files to prepared pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from disasymnet.commands.options import RESEARCH, Strict, Voi, Workers, new_folder, out_folder, settings_of
from disasymnet.datasets import DATASETS
from disasymnet.progress import say

app = typer.Typer()

Called = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What to call a table or folder of your own; else its tumours fit no other one."),
]


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New folder for the exams.", callback=new_folder)],
    exams: Annotated[int, typer.Option(min=4, help="Women; each has CC and MLO of both breasts.")] = 40,
    rows: Annotated[int, typer.Option(min=128, max=3328, help="Picture height in pixels.")] = 1024,
    contrast: Annotated[str, typer.Option(help="easy | realistic")] = "realistic",
    style: Annotated[str, typer.Option(help="digital | film")] = "digital",
    val: Annotated[float, typer.Option(min=0, help="Women for validation: below 1 a share, else a number.")] = 0.1,
    test: Annotated[float, typer.Option(min=0, help="Women for the test, likewise.")] = 0.1,
    tumours: Annotated[int, typer.Option(min=0, help="Crops of other women's lesions, for Synthesis.")] = 60,
    islands: Annotated[
        float | None,
        typer.Option(min=0, help="Benign look-alikes a woman has in both breasts, mean; default: 0 easy, 1 realistic."),
    ] = None,
    symmetric: Annotated[float, typer.Option(min=0, max=1, help="Share of women without any lesion.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    workers: Workers = None,
) -> None:
    """Make mammograms whose truth is known: bilateral DICOM exams with and without lesions.

    Example: disasymnet phantom exams --exams 100 --rows 512 --contrast easy
    """
    from disasymnet.phantom import PhantomSettings, make_exams

    given = {"exams": exams, "rows": rows, "lesions": contrast, "style": style, "seed": seed, "val": val, "test": test}
    settings = settings_of(PhantomSettings, **given, tumours=tumours, islands=islands, symmetric=symmetric)
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
    out: Annotated[Path | None, out_folder(metavar="DIR", help="Write pairs.csv and rejected.csv there.")] = None,
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
    out: Annotated[Path, out_folder(metavar="CACHE", help="Folder for the prepared pairs.")],
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
    called: Called = None,
) -> None:
    """Read, check, pair and bring all pictures onto the model grid, once. Resumable: run it again.

    Before anything costly it says how many pairs there are, what is left out and why, and what time and space it takes.

    Example: disasymnet prepare mini-mias all-mias --out cache --height 512
    """
    from disasymnet.data.prepare import PrepareOptions
    from disasymnet.data.prepare import prepare as run
    from disasymnet.datasets import called as name_of
    from disasymnet.datasets import find
    from disasymnet.settings import ImageSettings

    entry = find(dataset)
    settings = settings_of(ImageSettings, height=height, width=width or height // 2, scale=scale, voi=voi)
    if tumours is None and (root / "tumours").is_dir():
        tumours = root / "tumours"
    options = PrepareOptions(
        dataset=name_of(dataset, called),
        public=entry.public,
        root=root,
        workers=workers,
        tumours=tumours,
        seed=seed,
        official_split=official_split,
        memory_limit=None if memory is None else round(memory * 1e9),
        strict=strict,
        names=names,
    )
    cache = run(entry.read(root, official_split=official_split), settings, out, options, say)
    typer.echo(f"{out}: {len(cache.pairs)} pairs, {len(cache.singles)} single pictures.")


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A picture, DICOM or other.")],
    out: Annotated[Path | None, out_folder(metavar="DIR", help="Folder for a picture of each step.")] = None,
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
    out: Annotated[Path, out_folder(metavar="T", help="New folder for the tumour set.", callback=new_folder)],
    pixel_mm: Annotated[float, typer.Option(min=0.02, max=2, help="Pixel size of the crops, millimetres.")] = 0.2,
    workers: Workers = None,
    called: Called = None,
) -> None:
    """Cut a tumour set T for Synthesis out of another data set than the one to train on.

    Each crop is 1.5 times its lesion's box, chest wall to the left. What cannot be cut is counted, with the reason.

    Example: disasymnet tumours cbis-ddsm CBIS-DDSM --out T, then: disasymnet prepare mini-mias ... --tumours T
    """
    from disasymnet.data.tumour_crops import cut_tumours
    from disasymnet.datasets import called as name_of
    from disasymnet.datasets import find

    entry = find(dataset)
    source = name_of(dataset, called)
    count = cut_tumours(entry.scan(root), source, out, say, public=entry.public, pixel_mm=pixel_mm, workers=workers)
    typer.echo(f"{out}: {count} crops. Next: disasymnet prepare DATASET ROOT --out CACHE --tumours {out}")

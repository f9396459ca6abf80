"""Words that several commands share."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

RESEARCH = "Research use only. Not a medical device, not for diagnosis."


def checked_folder(out: Path | None) -> Path | None:
    """An output folder that cannot be made is told before the work, not after it."""
    from disasymnet.data.files import check_folder

    if out is not None:
        check_folder(out)
    return out


def new_folder(out: Path) -> Path:
    """The same for a folder that appears whole, by a name that it gets at the end: no one may be standing in it."""
    from disasymnet.errors import DatasetError

    if out.resolve() == Path.cwd():
        raise DatasetError("the current folder cannot be made anew", where=out, hint="Name a new folder in it.")
    checked_folder(out)
    return out


def checked_file(out: Path | None) -> Path | None:
    """The same for an output file."""
    from disasymnet.data.files import check_file

    if out is not None:
        check_file(out)
    return out


out_folder = partial(typer.Option, "--out", callback=checked_folder)
out_file = partial(typer.Option, "--out", callback=checked_file)

Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, e.g. --set train.epochs=5. May be repeated."),
]
RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="Presets (see `recipe`) or .toml files; NAME+NAME joins them.")
]
CacheFolder = Annotated[Path, typer.Option("--data", metavar="CACHE", help="Folder that `prepare` made.")]
RunFolder = Annotated[Path, out_folder(metavar="RUN", help="Folder for weights, log and results.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where this run was cut off.")]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, help="Torch threads; beside a GPU, threads that make batches ahead. Default: the physical cores."
    ),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Refuse what a mammography system would not have made so: films, free-text sides."),
]
Voi = Annotated[str, typer.Option(help="auto | none | lut1 ... | window1 ...: what makes the grey of DICOM files.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Worker processes; default: from cores and memory.")]


def settings_of(kind: type[Any], **values: object) -> Any:
    """Settings from the command line, with a one-line error for a wrong word."""
    from pydantic import ValidationError

    from disasymnet.errors import RecipeError

    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise RecipeError(f"{name}: {first['msg'].removeprefix('Value error, ')} (got {first['input']!r})") from None

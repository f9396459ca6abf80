"""The installation, trunk weights, and checks before a folder is trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from disasymnet.commands.options import RESEARCH, out_file

app = typer.Typer()
weights_app = typer.Typer(
    help="Trunk weights (ImageNet ResNet-18 or your own): list, import, fetch.", no_args_is_help=True
)
app.add_typer(weights_app, name="weights")
qa_app = typer.Typer(help="Checks of a folder of pictures before it is trusted.", no_args_is_help=True)
app.add_typer(qa_app, name="qa")


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
    out: Annotated[Path | None, out_file(metavar="FILE.csv", help="Write the lines there as a table.")] = None,
) -> None:
    """Does each picture agree with its tags: the chest wall that is seen against the breast and orientation stated?

    Of an MLO with a clear muscle also which way is up; a CC does not show it, and the last line says of how many
    pictures. One line a disagreement, one a file that could not be compared, with the reason. Exit code 0 if pictures
    were compared and nothing disagrees, else 1.

    Example: disasymnet qa laterality archive --out disagreements.csv
    """
    from disasymnet.quality.laterality import check

    checked = check(folder, out)
    typer.echo(checked.text(folder))
    typer.echo(RESEARCH)
    if not checked.passed:
        raise typer.Exit(1)

"""The program: all commands under one name, and how it ends."""

from __future__ import annotations

import errno
import sys
from typing import Annotated

import typer

from disasymnet import __version__
from disasymnet.commands import data, learning, results, tools
from disasymnet.commands.options import RESEARCH
from disasymnet.errors import DisAsymNetError, printable

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
for room in (data, learning, results, tools):
    app.add_typer(room.app)


@app.callback(invoke_without_command=True)
def _top(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


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
            "\ndisasymnet: stopped. train --resume goes on, prepare and reproduce when run again; others begin anew.",
            file=sys.stderr,
        )
        sys.exit(130)


if __name__ == "__main__":
    main()

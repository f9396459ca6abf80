"""The files below a folder: all of them with what must not be opened, or those of a data set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from disasymnet.errors import DatasetError, PictureError
from disasymnet.images.refusals import refusal


def every_file(root: Path) -> list[tuple[Path, PictureError | None]]:
    """Every file below a folder in the order of its names, and why one must not be opened.

    Folders that are links, or hidden, are not entered: each is given as one entry. DatasetError without a folder, or
    without a file in it.
    """
    hint = "Give the folder that holds the pictures."
    if not root.is_dir():
        what = "it is a file, not a folder" if root.is_file() else "there is no such folder"
        raise DatasetError(what, where=root, hint=hint)
    found = list(_walk(root))
    if not found:
        raise DatasetError("the folder holds no file", where=root, hint=hint)
    return found


def _walk(root: Path) -> Iterator[tuple[Path, PictureError | None]]:
    top = root.resolve()
    closed: list[OSError] = []
    for folder, folders, names in os.walk(root, onerror=closed.append):
        folders.sort()
        apart = [name for name in folders if name.startswith(".") or (Path(folder) / name).is_symlink()]
        folders[:] = [name for name in folders if name not in apart]
        for name in sorted((*names, *apart)):
            path = Path(folder) / name
            if path.is_symlink() and _leaves(path, top):
                yield path, refusal("outside", "it is a link that leaves the folder", path)
            elif name.startswith("."):
                yield path, refusal("hidden", _hidden(path), path)
            elif name not in apart:
                yield path, None
    for error in closed:
        yield Path(error.filename), refusal("unreadable", f"the folder cannot be opened ({error.strerror})")


def _leaves(link: Path, top: Path) -> bool:
    try:
        return not link.resolve().is_relative_to(top)
    except (OSError, RuntimeError):
        return False  # it leads to itself: opening it will tell


def _hidden(path: Path) -> str:
    if path.is_dir():
        return "a hidden folder is not entered"
    if path.name.startswith("._"):
        return "macOS keeps its own notes on another file in it"
    return "it is a hidden file"


def matching(root: Path, *patterns: str) -> Iterator[Path]:
    """The paths below a folder whose names match, in their order; hidden ones are not the data set's."""
    for pattern in patterns:
        for path in sorted(root.rglob(pattern)):
            if not any(part.startswith(".") for part in path.relative_to(root).parts):
                yield path

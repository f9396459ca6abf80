"""The files below a folder: all of them with what must not be opened, those of a data set, and those left over."""

from __future__ import annotations

import filecmp
import os
import stat
from collections import defaultdict
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from disasymnet.errors import DatasetError, PictureError
from disasymnet.images.refusals import refusal
from disasymnet.records import MaskFile, Rejected, Scan

_ALONE = "Its label is unknown: leave it; `disasymnet scan` without --dataset says what it is."


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
                yield path, refusal("unreadable", "it is no plain file", path) if _is_special(path) else None
    for error in closed:
        yield Path(error.filename), refusal("unreadable", f"the folder cannot be opened ({error.strerror})")


def _leaves(link: Path, top: Path) -> bool:
    try:
        return not link.resolve().is_relative_to(top)
    except (OSError, RuntimeError):
        return False  # it leads to itself: opening it will tell


def _is_special(path: Path) -> bool:
    """True for a pipe, socket or device: opening it may wait for ever."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False  # a link that leads nowhere: opening it will tell


def _hidden(path: Path) -> str:
    if path.is_dir():
        return "a hidden folder is not entered"
    if path.name.startswith("._"):
        return "macOS keeps its own notes on another file in it"
    return "it is a hidden file"


def matching(root: Path, *patterns: str) -> Iterator[Path]:
    """The paths below a folder whose names match in any case, in their order; hidden ones are not the data set's.

    Files may be links: large sets lie on another disk.
    """
    files = [
        path
        for path, refused in _walk(root)
        if refused is None or (refused.code == "outside" and path.is_file() and not path.name.startswith("."))
    ]
    for pattern in patterns:
        yield from sorted(path for path in files if fnmatchcase(path.name.lower(), pattern.lower()))


def unlisted(found: Scan, root: Path) -> Iterator[Rejected]:
    """Every file below a data set's folder that its adapter neither took, nor used, nor left out.

    Codes: `copy` of a picture that was taken, `unnamed` for another DICOM file, `not_a_picture` for anything else; or
    why it must not be opened.
    """
    taken = [picture.path for picture in found.pictures]
    regions = [finding.region for picture in found.pictures for finding in picture.findings]
    known = {*taken, *found.used, *(entry.path for entry in found.rejected)}
    known |= {region.path for region in regions if isinstance(region, MaskFile)}
    sizes: dict[int, list[Path]] = defaultdict(list)
    for path in taken:
        sizes[path.stat().st_size].append(path)
    for path, refused in every_file(root):
        if path in known:
            continue
        if refused is not None:
            yield Rejected(path, refused.code, refused.what, refused.hint or "")
        elif not is_dicom(path):
            error = refusal("not_a_picture", "it is none of the data set's pictures", path)
            yield Rejected(path, error.code, error.what, error.hint or "")
        elif any(same_bytes(path, other) for other in sizes[path.stat().st_size]):
            yield Rejected(path, "copy", "the same bytes are there under another name", "Nothing to do.")
        else:
            yield Rejected(path, "unnamed", "no table and no folder of the data set names it", _ALONE)


def same_bytes(one: Path, other: Path) -> bool:
    """True for two files of one content; False if one cannot be read."""
    try:
        # Ends at the first difference: with two pictures of one size that is in their headers.
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def is_dicom(path: Path) -> bool:
    """By its first bytes, else by its name; a file that cannot be opened is left to its reader, and so is a pipe."""
    if _is_special(path):
        return False
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return False
    return head[128:] == b"DICM" or path.suffix.lower() in (".dcm", ".dicom")

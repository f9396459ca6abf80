"""What the header of a DICOM file says, without its pixels."""

from __future__ import annotations

from pathlib import Path

from disasymnet.images.header import Header
from disasymnet.images.refusals import refusal
from disasymnet.images.skeleton import walk


def read_header(path: Path) -> Header:
    """The file's header, within the limits of every reader here. PictureError if it is no DICOM file or is damaged."""
    try:
        with path.open("rb") as file:
            return Header.read(walk(file, path), path)
    except OSError as error:
        raise refusal("unreadable", f"the file cannot be opened ({error.strerror})", path) from error

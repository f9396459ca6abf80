"""Files of one SOPInstanceUID: copies of one picture, or different pictures under one name."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from disasymnet.errors import PictureError
from disasymnet.images.read import read_picture
from disasymnet.images.skeleton import walk
from disasymnet.records import Mammogram, Rejected, Scan

_BLOCK = 2**20


def tell_copies(found: Scan) -> Scan:
    """The scan with a digest of the pixels wherever files of one SOPInstanceUID hold different ones.

    Only such files are opened again: their stored values are compared, and where these differ they are decoded, since
    the same pixels may be compressed otherwise and one of the files may be broken. A file that cannot be read is left
    out for its own reason, so that it is nobody's copy.
    """
    groups: dict[str, list[Mammogram]] = defaultdict(list)
    for picture in found.pictures:
        if picture.exposure is not None and picture.exposure.uid:
            groups[picture.exposure.uid].append(picture)
    digests: dict[Path, str] = {}
    rejected: dict[Path, Rejected] = {}
    for group in groups.values():
        if len(group) > 1 and len({_stored(picture.path) for picture in group}) > 1:
            for picture in group:
                try:
                    digests[picture.path] = hashlib.sha256(read_picture(picture.path).pixels.tobytes()).hexdigest()
                except PictureError as error:
                    rejected[picture.path] = Rejected(picture.path, error.code, error.what, error.hint or "")
    if not digests and not rejected:
        return found
    kept = [_marked(picture, digests.get(picture.path)) for picture in found.pictures if picture.path not in rejected]
    return replace(found, pictures=tuple(kept), rejected=(*found.rejected, *rejected.values()))


def _marked(picture: Mammogram, digest: str | None) -> Mammogram:
    if digest is None or picture.exposure is None:
        return picture
    return replace(picture, exposure=replace(picture.exposure, pixels=digest))


def _stored(path: Path) -> str:
    """A digest of the pixels as they are stored; of a file that breaks off, its name: decoding will tell."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            skeleton = walk(file, path)
            for start, length in skeleton.pixels or ():
                skeleton.file.seek(start)
                while length > 0 and (block := skeleton.file.read(min(length, _BLOCK))):
                    digest.update(block)
                    length -= len(block)
    except (PictureError, OSError):
        return str(path)
    return digest.hexdigest()

"""What a cache was begun for: data set, settings and pictures, so that no other request replaces it unawares.

CACHE/request.json holds no path and no file's name: of the place and of the pictures it keeps hashes, salted where the
data set is not public.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from disasymnet.data.files import replace_file
from disasymnet.data.identity import Names
from disasymnet.errors import CacheError
from disasymnet.progress import Say

REQUEST = "request.json"
_HINT = "Choose another folder, or delete this one."
_SALT = "salt"  # written just before the request: a crash between the two leaves it alone


def claim(
    out: Path, wanted: dict[str, Any], root: Path | None, pictures: Sequence[Path], *, show: bool, say: Say
) -> Names:
    """Make sure that the folder is ours, and give the names to be used in it.

    Ours is a new or empty folder, or one that was begun with the same `wanted` (data set and settings) for the same
    place or the same pictures: those of a folder that was moved have the same names and sizes. CacheError says what the
    folder holds otherwise. `root`: what was scanned; None: the folder that holds all pictures.
    """
    begun = _begun(out)
    if begun is not None:
        _refuse_others(out, begun, wanted)
        if not (wanted["public"] or (out / _SALT).is_file()):
            raise CacheError("its salt was deleted: nothing in it can be told any more", where=out, hint=_HINT)
    try:
        names = Names.of_cache(out, public=wanted["public"], show=show)
        source = _source(names, _common(pictures) if root is None else root, pictures)
        held = (begun or {}).get("source")
        held = held if isinstance(held, dict) else source  # an earlier version did not keep it
        changed = held.get("files") != source["files"]
        if changed and held.get("root") != source["root"]:
            what = (
                f"the folder holds a cache of {held.get('pictures')} other pictures ({wanted['dataset']}); "
                f"these {len(pictures)} lie elsewhere, under other names or of other sizes"
            )
            raise CacheError(what, where=out, hint=_HINT)
        if changed:
            say(
                f"warning: {held.get('pictures')} pictures were there when the cache was begun, {len(pictures)} are now"
            )
        replace_file(out / REQUEST, (json.dumps({**wanted, "source": source}, indent=1) + "\n").encode())
    except OSError as error:
        raise CacheError(f"the folder cannot be written ({error.strerror})", where=out) from None
    return names


def _begun(out: Path) -> dict[str, Any] | None:
    """The request of an earlier run; None for a new folder. CacheError if the folder holds anything else."""
    path = out / REQUEST
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise CacheError("the request of the cache here is damaged", where=path, hint=_HINT)
        return found
    if out.is_file() or (out.is_dir() and any(each.name != _SALT for each in out.iterdir())):
        what = "the folder is not empty and holds no cache that was begun here"
        raise CacheError(what, where=out, hint="Name a new folder.")
    return None


def _refuse_others(out: Path, begun: dict[str, Any], wanted: dict[str, Any]) -> None:
    dataset = begun.get("dataset")
    if dataset != wanted["dataset"]:
        raise CacheError(f"the folder holds a cache of {dataset}, not of {wanted['dataset']}", where=out, hint=_HINT)
    old, new = (dict(_flat(request)) for request in (begun, wanted))
    other = [
        f"{name} {old.get(name)}, not {new.get(name)}" for name in sorted(old | new) if old.get(name) != new.get(name)
    ]
    if other:
        what = f"the folder holds a cache of {dataset} with other settings: {'; '.join(other)}"
        raise CacheError(what, where=out, hint=_HINT)


def _flat(request: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """Settings by name."""
    image = request.get("image")
    yield from (image if isinstance(image, dict) else {}).items()
    yield "seed", request.get("seed", 0)
    yield "official split", bool(request.get("official_split"))
    yield "strict", bool(request.get("strict"))
    yield "public", request.get("public")


def _source(names: Names, root: Path, pictures: Sequence[Path]) -> dict[str, Any]:
    """Where the pictures lie, how many they are, and their names and sizes, as hashes."""
    base = root if root.is_dir() else root.parent
    files = sorted(f"{_inside(path, base)} {_size(path)}" for path in pictures)
    place = str(base.resolve())
    return {"root": names.secret("root", place), "pictures": len(files), "files": names.secret("files", *files)}


def _common(pictures: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.parent.absolute() for path in pictures])) if pictures else Path()


def _inside(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path.absolute())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1

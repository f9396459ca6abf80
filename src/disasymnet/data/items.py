"""The pixels of one cached pair or single picture, as a safetensors file that is checked by its digest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from disasymnet.data.files import replace_file
from disasymnet.errors import CacheError


@dataclass(frozen=True)
class PairArrays:
    """One item's pictures, right first (a single picture: leading 1). Not writeable."""

    image: NDArray[np.uint16]
    """(2, H, W) grey, 65535 = 1.0; 0 outside the breast."""
    breast: NDArray[np.bool_]
    """(2, H, W)."""
    lesion: NDArray[np.bool_]
    """(2, H, W) the findings' regions, for scores only."""
    lesion_free: NDArray[np.uint16] | None = None
    """(2, H, W) phantoms: the same breasts without their lesions."""


def write_item(path: Path, arrays: PairArrays) -> str:
    """Write one item's pixels and give the file's digest."""
    parts: dict[str, NDArray[Any]] = {
        "image": arrays.image,
        "breast": arrays.breast.astype(np.uint8),
        "lesion": arrays.lesion.astype(np.uint8),
    }
    if arrays.lesion_free is not None:
        parts["lesion_free"] = arrays.lesion_free
    content = safetensors.numpy.save({name: np.ascontiguousarray(part) for name, part in parts.items()})
    replace_file(path, content)
    return hashlib.sha256(content).hexdigest()


def read_item(path: Path, digest: str, *, mapped: bool = False) -> PairArrays:
    """An item's pixels. CacheError naming the file if it is missing or not the one that was written."""
    try:
        content: NDArray[np.uint8] = np.memmap(path, np.uint8, "r") if mapped else np.fromfile(path, np.uint8)
    except (OSError, ValueError):  # ValueError: an empty file cannot be mapped
        raise CacheError(
            "an item's file is missing or empty", where=path, hint="Prepare the cache again into a new folder."
        ) from None
    if hashlib.sha256(content.data).hexdigest() != digest:
        raise CacheError("an item's file is damaged", where=path, hint="Prepare the cache again into a new folder.")
    parts = _views(content)
    free = parts.get("lesion_free")
    return PairArrays(
        image=parts["image"],
        breast=parts["breast"].view(np.bool_),
        lesion=parts["lesion"].view(np.bool_),
        lesion_free=free,
    )


def _views(content: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file without copying: 8 bytes of header size, a JSON header, then the data."""
    kinds = {"U16": np.uint16, "U8": np.uint8}
    start = 8 + int.from_bytes(content[:8].tobytes(), "little")
    header: dict[str, Any] = json.loads(content[8:start].tobytes())
    header.pop("__metadata__", None)
    parts: dict[str, NDArray[Any]] = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        part = content[start + first : start + last].view(kinds[entry["dtype"]]).reshape(entry["shape"])
        part.flags.writeable = False
        parts[name] = part
    return parts

"""The tumour set T: crops of real lesions of another data set, split by woman."""

from __future__ import annotations

import csv
import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from PIL import Image

from disasymnet.data.files import file_digest, replace_file
from disasymnet.data.splits import SPLITS, Member, make_splits
from disasymnet.errors import CacheError, DatasetError

TABLE = "tumours.csv"
_COLUMNS = ("file", "source", "patient", "kind", "box_w", "box_h")
_ASSUMED_MM = 0.2  # every 4th pixel of 50 micrometre film scans, the commonest lesion crops
_MOST_PIXELS = 4_000_000
_SHARES = (0.7, 0.15, 0.15)
# Words of a source that name a part or an edition of a data set: `CBIS-DDSM mass train` holds the women of DDSM.
_PARTS = {
    "train", "training", "val", "test", "mass", "masses", "calc", "calcification", "calcifications", "cbis", "mini",
}  # fmt: skip


@dataclass(frozen=True)
class Tumour:
    """One lesion with the tissue around it: the window is 1.5 x the lesion's box."""

    pixels: NDArray[np.uint16]
    """(h, w), 65535 = 1.0."""
    kind: str
    source: str
    """The data set it was cut from."""
    patient: str
    box: tuple[float, float]
    """Width and height of the lesion in pixels of the crop."""
    pixel_mm: float
    split: str


@dataclass(frozen=True)
class TumourSet:
    """Lesion crops with what was assumed about them."""

    tumours: tuple[Tumour, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.tumours)

    @property
    def sources(self) -> tuple[str, ...]:
        """The data sets that the crops come from."""
        return tuple(sorted({tumour.source for tumour in self.tumours}))

    def part(self, split: str) -> TumourSet:
        """The crops of `train`, `val` or `test`; no woman has crops in two of them."""
        return replace(self, tumours=tuple(tumour for tumour in self.tumours if tumour.split == split))

    def check_source(self, dataset: str, *, allowed: bool = False, only: Sequence[str] = ()) -> None:
        """Nothing, or DatasetError if a crop was cut from the data set trained on, or from one that is not in `only`.

        Its outline would tell the network where that set's lesions lie, and the supervision would not be weak.
        """
        others = [source for source in self.sources if _words(source) not in map(_words, only)]
        if only and others:
            raise DatasetError(
                f"the recipe takes tumours of {', '.join(only)}; these are of {', '.join(others)}",
                hint="Take another tumour set, or allow any with --set synthesis.sources=[].",
            )
        same = [source for source in self.sources if _words(source) == _words(dataset)]
        if same and not allowed:
            raise DatasetError(
                f"the tumour set was cut from {same[0]!r}, the data set trained on",
                hint="Take tumours of another data set (--called NAME of prepare and tumours tells your own apart), or"
                " allow it with synthesis.same_source = true.",
            )

    @classmethod
    def read(cls, folder: Path) -> TumourSet:
        """The crops of a folder with `tumours.csv`. DatasetError names the row that cannot be used."""
        rows = _rows(folder)
        notes: list[str] = []
        splits = _splits(rows, notes, folder)
        unknown = sum(not row.get("pixel_mm") for row in rows)
        if unknown:
            notes.append(f"{unknown} of {len(rows)} tumours have no pixel size: {_ASSUMED_MM} mm were assumed")
        tumours = tuple(
            _tumour(folder, row, split, f"{folder / TABLE} row {number}")
            for number, (row, split) in enumerate(zip(rows, splits, strict=True), 2)
        )
        return cls(tumours, tuple(notes))

    def save(self, root: Path) -> None:
        """Store the set with a cache. Women are numbered, so that no name travels."""
        numbers = {name: f"t{number:04d}" for number, name in enumerate(sorted({t.patient for t in self.tumours}))}
        sizes = [tumour.pixels.size for tumour in self.tumours]
        content = safetensors.numpy.save(
            {
                "pixels": np.concatenate([tumour.pixels.ravel() for tumour in self.tumours]),
                "offsets": np.cumsum([0, *sizes], dtype=np.int64),
            }
        )
        records = [
            {
                "kind": tumour.kind,
                "source": tumour.source,
                "patient": numbers[tumour.patient],
                "box": list(tumour.box),
                "pixel_mm": tumour.pixel_mm,
                "split": tumour.split,
                "shape": list(tumour.pixels.shape),
            }
            for tumour in self.tumours
        ]
        replace_file(root / "tumours.safetensors", content)
        body = {"digest": file_digest(root / "tumours.safetensors"), "notes": list(self.notes), "tumours": records}
        replace_file(root / "tumours.json", (json.dumps(body, indent=1) + "\n").encode())

    @classmethod
    def load(cls, root: Path) -> TumourSet | None:
        """The set stored with a cache; None if there is none. CacheError if it is damaged."""
        if not (root / "tumours.json").is_file():
            return None
        try:
            body = json.loads((root / "tumours.json").read_text(encoding="utf-8"))
            if file_digest(root / "tumours.safetensors") != body["digest"]:
                raise ValueError("digest")
            parts = safetensors.numpy.load_file(root / "tumours.safetensors")
            tumours = []
            for record, first in zip(body["tumours"], parts["offsets"][:-1], strict=True):
                rows, columns = record.pop("shape")
                pixels = parts["pixels"][first : first + rows * columns].reshape(rows, columns)
                width, height = record.pop("box")
                tumours.append(Tumour(pixels=pixels, box=(width, height), **record))
            return cls(tuple(tumours), tuple(body["notes"]))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise CacheError(
                "the stored tumour set is damaged", where=root / "tumours.json", hint="Prepare the cache again."
            ) from error


def _words(source: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[^a-z0-9]+", source.lower()) if word and word not in _PARTS)


def _rows(folder: Path) -> list[dict[str, str]]:
    table = folder / TABLE
    if not table.is_file():
        raise DatasetError(
            f"there is no {TABLE}", where=folder, hint="A tumour set is a folder with crops and a table."
        )
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise DatasetError(f"column {missing[0]!r} is missing", where=table)
        rows = list(reader)
    if not rows:
        raise DatasetError("the tumour set is empty", where=table)
    return rows


def _splits(rows: Sequence[dict[str, str]], notes: list[str], folder: Path) -> list[str]:
    """Each crop's split: the table's own column, or 70 / 15 / 15 % of the women of each source."""
    stated = [row.get("split") or None for row in rows]
    if any(stated) and not all(stated):
        raise DatasetError("some tumours have a split and some have none", where=folder / TABLE)
    members = [
        # A woman's name counts within its source only.
        Member(str(number), f"{row['source']} {row['patient']}", row["kind"] == "mass", False, split)
        for number, (row, split) in enumerate(zip(rows, stated, strict=True))
    ]
    splits = make_splits(members, shares=_SHARES)
    if not any(stated):
        counts = ", ".join(f"{sum(split == name for split in splits.holdout.values())} {name}" for name in SPLITS)
        notes.append(f"the tumour set names no splits: they were drawn by woman ({counts})")
    return [splits.holdout[member.id] for member in members]


def _tumour(folder: Path, row: dict[str, str], split: str, where: str) -> Tumour:
    path = (folder / row["file"]).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DatasetError("the crop lies outside the tumour set's folder", where=where)
    try:
        box = (float(row["box_w"]), float(row["box_h"]))
        pixel_mm = float(row.get("pixel_mm") or _ASSUMED_MM)
    except ValueError:
        raise DatasetError("box_w, box_h and pixel_mm must be numbers", where=where) from None
    pixels = _crop(path, where)
    if not (0 < box[0] <= pixels.shape[1] and 0 < box[1] <= pixels.shape[0] and 0 < pixel_mm < 10):
        raise DatasetError("the lesion's box is not inside its crop, or the pixel size is impossible", where=where)
    return Tumour(pixels, row["kind"], row["source"], f"{row['source']} {row['patient']}", box, pixel_mm, split)


def _crop(path: Path, where: str) -> NDArray[np.uint16]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=("PNG",)) as file:
                if file.width * file.height > _MOST_PIXELS:
                    raise DatasetError(f"a crop of {file.width} x {file.height} pixels is too large", where=where)
                if file.mode not in ("L", "I;16", "I"):
                    raise DatasetError(f"the crop is no grey PNG (mode {file.mode})", where=where)
                stored = np.asarray(file)
    except (OSError, ValueError, SyntaxError) as error:
        raise DatasetError(f"the crop cannot be read ({type(error).__name__})", where=where) from None
    if stored.dtype == np.uint8:
        return stored.astype(np.uint16) * np.uint16(257)  # 255 -> 65535
    return stored.astype(np.uint16)

"""A tumour set T out of any data set that says where its lesions lie (section 2.3 takes T from another data set).

A crop is 1.5 times the lesion's box, the lesion in its middle, chest wall to the left as on the model grid, at one
pixel size where the file's is known. What cannot be cut like that is counted by its reason.
"""

from __future__ import annotations

import csv
import io
import multiprocessing
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from disasymnet.data.files import replace_file
from disasymnet.data.lesions import mask_box, region_mask
from disasymnet.data.making import read_stated
from disasymnet.data.tumours import TABLE
from disasymnet.data.workers import choose_workers
from disasymnet.errors import DatasetError, PictureError
from disasymnet.images.breast import Breast, find_breast
from disasymnet.progress import Say, track
from disasymnet.records import Mammogram, Region, Scan

COLUMNS = ("file", "mask", "source", "patient", "kind", "name", "pixel_mm", "box_w", "box_h")
WINDOW = 1.5
"""A crop is this many times as large as the lesion's box."""
PIXEL_MM = 0.2
"""Of the crops: the model grid's at 1024 x 512. Coarser pictures are left as they are."""

_ROWS = 1024  # that a picture of unknown pixel size is brought to, so that a pixel is about as large
_SMALLEST = 8  # pixels of a crop along the box's longer side: single calcifications are no lesion to paste
_IN_BREAST = 0.9  # share of the window

Row = dict[str, str]


@dataclass(frozen=True)
class _Job:
    """One picture with located findings."""

    number: int
    picture: Mammogram
    patient: str


@dataclass(frozen=True)
class _Cut:
    """The rows of one picture's crops, and why others were not cut."""

    rows: tuple[Row, ...]
    reasons: tuple[str, ...]


def cut_tumours(
    scan: Scan,
    dataset: str,
    out: Path,
    say: Say,
    *,
    public: bool,
    pixel_mm: float = PIXEL_MM,
    workers: int | None = None,
) -> int:
    """Write the tumour set to the new folder `out`, and return how many crops it has.

    The folder appears whole at the end; until then it is called `out`.part. Same bytes for any number of workers. Women
    of a set that is not public are numbered. DatasetError if `out` is not empty or nothing could be cut.
    """
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise DatasetError("it is not an empty folder", where=out, hint="Name a new folder.")
    jobs = _jobs(scan, public)
    if not jobs:
        hint = (
            "Take a set with outlines, boxes, circles or masks; mini-mias, inbreast, ddsm, cbis-ddsm, vindr have them."
        )
        raise DatasetError("no finding of the data set has a place", hint=hint)
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for folder in ("crops", "masks"):
        (part / folder).mkdir(parents=True)
    cuts = list(track(_each(jobs, part, dataset, pixel_mm, workers), "tumours", len(jobs)))
    rows = [row for cut in cuts for row in cut.rows]
    for reason, number in Counter(reason for cut in cuts for reason in cut.reasons).most_common():
        say(f"not cut, {reason}: {number}")
    if not rows:
        shutil.rmtree(part)
        raise DatasetError("no lesion could be cut out", hint="The lines above say why.")
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace_file(part / TABLE, text.getvalue().encode())
    if out.exists():
        out.rmdir()
    part.replace(out)
    kinds = Counter(row["kind"] for row in rows)
    women = len({row["patient"] for row in rows})
    say(f"{len(rows)} crops of {women} women: {', '.join(f'{number} {kind}' for kind, number in kinds.most_common())}")
    return len(rows)


def _jobs(scan: Scan, public: bool) -> list[_Job]:
    pictures = [each for each in scan.pictures if any(finding.region is not None for finding in each.findings)]
    names = sorted({picture.patient or str(picture.path) for picture in pictures})
    numbers = {name: f"w{number:05d}" for number, name in enumerate(names, 1)}
    return [
        _Job(
            number,
            picture,
            picture.patient if public and picture.patient else numbers[picture.patient or str(picture.path)],
        )
        for number, picture in enumerate(pictures, 1)
    ]


def _each(jobs: Sequence[_Job], out: Path, dataset: str, pixel_mm: float, workers: int | None) -> Iterator[_Cut]:
    cut = partial(_cut, out, dataset, pixel_mm)
    workers = choose_workers(len(jobs), workers)
    if workers == 1:
        yield from map(cut, jobs)
        return
    # Spawned and not forked: a fork of a process with threads may hang.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(cut, jobs)


def _cut(out: Path, dataset: str, pixel_mm: float, job: _Job) -> _Cut:
    """All crops of one picture, written."""
    try:
        picture = read_stated(job.picture)
        breast = find_breast(picture.pixels, job.picture.chest_wall)
    except PictureError as error:
        return _Cut((), (f"picture refused ({error.code})",))
    own_mm = picture.facts.pixel_mm
    source = _Source(picture.pixels, breast, min(1.0, own_mm / pixel_mm if own_mm else _ROWS / len(picture.pixels)))
    rows: list[Row] = []
    reasons: list[str] = []
    for number, finding in enumerate(job.picture.findings, 1):
        if finding.region is None:
            continue
        try:
            crop, mask, (box_w, box_h) = source.crop(finding.region)
        except _NoCropError as error:
            reasons.append(str(error))
            continue
        name = f"{job.number:05d}_{number}.png"
        Image.fromarray(crop).save(out / "crops" / name)
        Image.fromarray(mask).save(out / "masks" / name)
        rows.append(
            {
                "file": f"crops/{name}",
                "mask": f"masks/{name}",
                "source": dataset,
                "patient": job.patient,
                "kind": finding.kind.value if finding.kind else "unknown",
                "name": finding.name or "",
                "pixel_mm": f"{own_mm / source.scale:.6g}" if own_mm else "",
                "box_w": f"{box_w:.6g}",
                "box_h": f"{box_h:.6g}",
            }
        )
    return _Cut(tuple(rows), tuple(reasons))


class _NoCropError(Exception):
    """Why a lesion is left out, as a reason to count."""


@dataclass(frozen=True)
class _Source:
    """One picture to cut from, and how many pixels of a crop its pixels make."""

    pixels: NDArray[np.float32]
    breast: Breast
    scale: float

    def crop(self, region: Region) -> tuple[NDArray[np.uint16], NDArray[np.uint8], tuple[float, float]]:
        """Crop and mask (h, w), 65535 and 255 = 1, and the box's width and height in their pixels.

        _NoCropError if the region is too small, or its window not in the breast.
        """
        try:
            mask, _ = region_mask(region, self.breast.mask.shape)
        except PictureError as error:
            raise _NoCropError(f"mask refused ({error.code})") from None
        if not mask.any():
            raise _NoCropError("outside of its picture")
        box = mask_box(mask)
        width, height = box.x1 - box.x0, box.y1 - box.y0
        if max(width, height) * self.scale < _SMALLEST:
            raise _NoCropError(f"smaller than {_SMALLEST} pixels")
        more_x, more_y = (round(length * (WINDOW - 1) / 2) for length in (width, height))
        x0, x1, y0, y1 = int(box.x0) - more_x, int(box.x1) + more_x, int(box.y0) - more_y, int(box.y1) + more_y
        if x0 < 0 or y0 < 0 or x1 > mask.shape[1] or y1 > mask.shape[0]:
            raise _NoCropError("its window leaves the picture")
        window = (slice(y0, y1), slice(x0, x1))
        if self.breast.mask[window].mean() < _IN_BREAST:
            raise _NoCropError("its window leaves the breast")
        crop, area = self._turned(self.pixels[window]), self._turned(mask[window])
        box_w, box_h = min(width * self.scale, crop.shape[1]), min(height * self.scale, crop.shape[0])
        levels = np.rint(crop.clip(0, 1) * 65535).astype(np.uint16)
        return levels, (area >= 0.5).astype(np.uint8) * np.uint8(255), (box_w, box_h)

    def _turned(self, array: NDArray[Any]) -> NDArray[np.float32]:
        """Chest wall to the left, and reduced by averages to the crop's pixels."""
        turned = array[:, ::-1] if self.breast.chest_wall == "right" else array
        plain = np.ascontiguousarray(turned, dtype=np.float32)
        if self.scale >= 1:
            return plain
        size = (max(1, round(plain.shape[1] * self.scale)), max(1, round(plain.shape[0] * self.scale)))
        return np.asarray(Image.fromarray(plain).resize(size, Image.Resampling.BILINEAR))

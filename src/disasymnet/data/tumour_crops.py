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
from disasymnet.data.workers import default_workers
from disasymnet.errors import DatasetError, PictureError
from disasymnet.images.breast import find_breast
from disasymnet.progress import Say, track
from disasymnet.records import Mammogram, Scan

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
    workers = workers or default_workers(len(jobs))
    if workers == 1:
        yield from map(cut, jobs)
        return
    # Spawned and not forked: a fork of a process with threads may hang.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(cut, jobs)


def _cut(out: Path, dataset: str, pixel_mm: float, job: _Job) -> _Cut:
    rows: list[Row] = []
    reasons: list[str] = []
    try:
        picture = read_stated(job.picture)
        breast = find_breast(picture.pixels, job.picture.chest_wall)
    except PictureError as error:
        return _Cut((), (f"picture refused ({error.code})",))
    shape = picture.pixels.shape
    own_mm = picture.facts.pixel_mm
    scale = min(1.0, own_mm / pixel_mm if own_mm else _ROWS / shape[0])
    for number, finding in enumerate(job.picture.findings, 1):
        if finding.region is None:
            continue
        try:
            mask, _ = region_mask(finding.region, (shape[0], shape[1]))
        except PictureError as error:
            reasons.append(f"mask refused ({error.code})")
            continue
        window = _window(mask, breast.mask, scale)
        if isinstance(window, str):
            reasons.append(window)
            continue
        rows_, columns, box = window
        turned = slice(None, None, -1 if breast.chest_wall == "right" else 1)
        name = f"{job.number:05d}_{number}.png"
        crop = _resized(picture.pixels[rows_, columns][:, turned], scale)
        _write(out / "crops" / name, np.rint(crop.clip(0, 1) * 65535).astype(np.uint16))
        area = _resized(mask[rows_, columns][:, turned].astype(np.float32), scale)
        _write(out / "masks" / name, (area >= 0.5).astype(np.uint8) * np.uint8(255))
        rows.append(
            {
                "file": f"crops/{name}",
                "mask": f"masks/{name}",
                "source": dataset,
                "patient": job.patient,
                "kind": finding.kind.value if finding.kind else "unknown",
                "name": finding.name or "",
                "pixel_mm": f"{own_mm / scale:.6g}" if own_mm else "",
                "box_w": f"{min(box[0] * scale, crop.shape[1]):.6g}",
                "box_h": f"{min(box[1] * scale, crop.shape[0]):.6g}",
            }
        )
    return _Cut(tuple(rows), tuple(reasons))


def _window(
    mask: NDArray[np.bool_], breast: NDArray[np.bool_], scale: float
) -> tuple[slice, slice, tuple[float, float]] | str:
    """Rows and columns of the crop and the box's width and height, in pixels of the file; or why there is none."""
    if not mask.any():
        return "outside of its picture"
    box = mask_box(mask)
    width, height = box.x1 - box.x0, box.y1 - box.y0
    if max(width, height) * scale < _SMALLEST:
        return f"smaller than {_SMALLEST} pixels"
    more_x, more_y = (round(length * (WINDOW - 1) / 2) for length in (width, height))
    x0, x1, y0, y1 = int(box.x0) - more_x, int(box.x1) + more_x, int(box.y0) - more_y, int(box.y1) + more_y
    if x0 < 0 or y0 < 0 or x1 > mask.shape[1] or y1 > mask.shape[0]:
        return "its window leaves the picture"
    rows, columns = slice(y0, y1), slice(x0, x1)
    if breast[rows, columns].mean() < _IN_BREAST:
        return "its window leaves the breast"
    return rows, columns, (width, height)


def _resized(pixels: NDArray[Any], scale: float) -> NDArray[np.float32]:
    """Smaller by averages, or as it is."""
    array = np.ascontiguousarray(pixels, dtype=np.float32)
    if scale >= 1:
        return array
    size = (max(1, round(array.shape[1] * scale)), max(1, round(array.shape[0] * scale)))
    return np.asarray(Image.fromarray(array).resize(size, Image.Resampling.BILINEAR))


def _write(path: Path, picture: NDArray[Any]) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    path.write_bytes(buffer.getvalue())

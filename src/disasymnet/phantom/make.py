"""A folder of phantom exams, made in parallel, the same bytes for any number of workers."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from disasymnet.errors import DatasetError
from disasymnet.phantom import exam, tumours
from disasymnet.phantom.plan import plan_exams
from disasymnet.phantom.settings import SCHEMA, PhantomSettings
from disasymnet.phantom.shoot import Plan
from disasymnet.phantom.tumours import write_table
from disasymnet.phantom.write import write_bytes
from disasymnet.progress import Say, size, track
from disasymnet.progress import say as say_aloud

T = TypeVar("T")
R = TypeVar("R")

# Bytes: what a picture's tags and a crop's headers and rows take at most; and, measured, each pixel of a lesion-free
# PNG, and each pixel of the picture for a crop.
_HEAD, _FREE, _CROP = 4096, 1.2, 0.02


def make_exams(out: Path, settings: PhantomSettings, *, workers: int | None = None, say: Say = say_aloud) -> None:
    """Write exams, truth and tumour set to the new folder `out`; nothing to do if it holds the same set already.

    The folder appears whole at the end; until then it is called `out`.part. DatasetError if `out` holds anything else
    or the disk is too small.
    """
    card = _card(settings)
    if _is_there(out, card):
        say(f"{out}: these {settings.exams} exams are already there")
        return
    part = out.with_name(f"{out.name}.part")
    if part.exists():
        shutil.rmtree(part)
    plans = plan_exams(settings)
    _check_room(out, settings, plans, say)
    part.mkdir(parents=True)
    workers = workers if workers is not None else (os.cpu_count() or 1)
    rows = _all(partial(exam.make_exam, part, settings), plans, workers, "phantom exams")
    write_table(part / "pictures.csv", exam.COLUMNS, [row for some in rows for row in some])
    cut = _tumour_set(part / "tumours", settings, workers) if settings.tumours else 0
    write_bytes(part / "phantom.json", card)
    if out.exists():
        out.rmdir()
    part.replace(out)
    say(f"{out}: {settings.exams} exams, {sum(map(len, rows))} pictures, {cut} tumours")


def _tumour_set(out: Path, settings: PhantomSettings, workers: int) -> int:
    """Write it and return how many crops it has. `prepare` takes the folder, so none may stand empty."""
    for folder in ("crops", "masks"):
        (out / folder).mkdir(parents=True)
    rows = _all(partial(tumours.make_tumour, out, settings), list(range(settings.tumours)), workers, "tumours")
    write_table(out / "tumours.csv", tumours.COLUMNS, rows)
    return len(rows)


def _card(settings: PhantomSettings) -> bytes:
    card = {"schema": SCHEMA, "seed": settings.seed, "settings": settings.model_dump(mode="json")}
    return (json.dumps(card, indent=2, sort_keys=True) + "\n").encode()


def _is_there(out: Path, card: bytes) -> bool:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    found = out / "phantom.json"
    if found.is_file() and found.read_bytes() == card:
        return True
    what = "holds phantoms of other settings" if found.is_file() else "is not an empty folder"
    raise DatasetError(what, where=out, hint="Name a new folder, or remove this one first.")


def _check_room(out: Path, settings: PhantomSettings, plans: list[Plan], say: Say) -> None:
    pixels = settings.shape[0] * settings.shape[1]
    pictures, abnormal = 2 * len(plans), sum(sum(plan.abnormal) for plan in plans)
    need = len(settings.views) * (pictures * (2 * pixels + _HEAD) + abnormal * _FREE * pixels)
    need += settings.tumours * (_CROP * pixels + _HEAD)
    free = shutil.disk_usage(next(folder for folder in out.absolute().parents if folder.exists())).free
    say(f"the exams will take about {size(need)}; {size(free)} are free")
    if need > free:
        hint = "Make room, or fewer or smaller exams."
        raise DatasetError(f"the exams need about {size(need)}, {size(free)} are free", where=out, hint=hint)


def _all(make: Callable[[T], R], items: list[T], workers: int, what: str) -> list[R]:
    """Results in the order of `items`."""
    if not items:
        return []
    return list(track(_each(make, items, min(workers, len(items))), what, len(items)))


def _each(make: Callable[[T], R], items: list[T], workers: int) -> Iterator[R]:
    if workers <= 1:
        yield from map(make, items)
        return
    # `spawn`: a forked copy of a process that already runs threads may hang.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(make, items, chunksize=max(1, min(8, len(items) // (4 * workers))))

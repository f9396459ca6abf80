"""A data set's pictures into a cache: paired, read, checked and brought onto the model grid, once.

Parallel over pairs and resumable: an item that is finished, and whose files and settings are unchanged, is taken as it
is. The bytes do not depend on the number of workers nor on interruptions. One bad file is a row of rejected.csv; every
other one stands in pairs.csv.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from disasymnet.data.cache import Cache, Manifest, member_of, write_cache
from disasymnet.data.contact_sheet import contact_sheet
from disasymnet.data.identity import Names
from disasymnet.data.listing import (
    PAIRS,
    REJECTED,
    Listed,
    cause,
    readable,
    with_lost,
    without,
    write_pairs,
    write_rejected,
)
from disasymnet.data.manifest import Cached, CachedPair, CachedSingle
from disasymnet.data.pairing import pair_up
from disasymnet.data.request import claim
from disasymnet.data.splits import PAPER_SHARES, Shares, make_splits
from disasymnet.data.tasks import Task
from disasymnet.data.tumours import TumourSet
from disasymnet.data.workers import choose_workers, make_all
from disasymnet.errors import CacheError, DatasetError
from disasymnet.images.read import Reading
from disasymnet.progress import Say, clock, size, track
from disasymnet.records import Mammogram, Rejected, Scan
from disasymnet.settings import ImageSettings

_SHEET = "contact-sheet.png"

# A full-field picture of 17 MB, uncompressed or JPEG 2000, takes 0.2 to 0.9 s (`benchmarks/preprocess.py`).
_PICTURE_S, _BYTE_S = 0.03, 3e-8


@dataclass(frozen=True)
class PrepareOptions:
    """How a cache is made."""

    dataset: str
    public: bool
    """True: names of patients and pictures may be shown; else salted hashes stand for them."""
    root: Path | None = None
    """The folder or table that was scanned; None: the folder that holds all pictures."""
    workers: int | None = None
    """None: as many as cores and memory allow."""
    tumours: Path | None = None
    seed: int = 0
    """Of the split."""
    official_split: bool = False
    """The scan brings the publishers' own split."""
    shares: Shares = PAPER_SHARES
    memory_limit: int | None = None
    """Bytes for all workers together; None: what is free."""
    strict: bool = False
    """Refuse pictures that a mammography system would not have made so; see `disasymnet.images.read.Reading`."""
    names: bool = False
    """Write file names into pairs.csv and rejected.csv also where the data set is not public."""


def prepare(scan: Scan, settings: ImageSettings, out: Path, options: PrepareOptions, say: Say) -> Cache:
    """Make, or finish, the cache at `out`, and open it.

    CacheError if the folder holds something else, be it a cache of other pictures, or the disk is too small or full;
    DatasetError if nothing is left, the tumour set cannot be read or lesion-free pictures meet another VOI policy than
    `auto`; LeakError if the data set's own split has one patient in two.
    """
    _refuse_other_grey(scan, settings)
    wanted = {
        "dataset": options.dataset,
        "public": options.public,
        "image": settings.model_dump(mode="json"),
        **({"strict": True} if options.strict else {}),
        **({"seed": options.seed} if options.seed else {}),
        **({"official_split": True} if options.official_split else {}),
    }
    names = claim(out, wanted, options.root, [each.path for each in scan.pictures], show=options.names, say=say)
    tumours = None if options.tumours is None else TumourSet.read(options.tumours)
    if options.strict:
        # What headers alone refuse is known before anything costly.
        scan = readable(scan, Reading(strict=True), pixels=False)
    tasks, rejected = _tasks(scan, settings, out, names, strict=options.strict)
    write_rejected(out / REJECTED, rejected, names.picture, names.without)
    if not tasks:
        raise DatasetError("no pair of pictures was found", where=out / REJECTED, hint=_commonest(rejected))
    for warning in scan.warnings:
        say(f"warning: {warning}")
    workers = choose_workers(len(tasks), options.workers, options.memory_limit)
    _verdict(out, tasks, rejected, workers, say)
    for name in ("manifest.json", PAIRS):
        (out / name).unlink(missing_ok=True)
    records: list[Cached] = []
    made_of: list[Task] = []
    lost: list[Rejected] = []
    reused = 0
    while tasks:
        for task, made in track(make_all(tasks, workers), "prepare", len(tasks)):
            lost += made.rejected
            reused += made.reused
            if made.record is not None:
                records.append(replace(made.record, split=_own_split(task)))
                made_of.append(task)
        # Others of the same breasts step in for files that cannot be used, until all are tried.
        again, left_over = _tasks(without(scan, lost), settings, out, names, strict=options.strict)
        tried = {task.pictures for task in made_of}
        tasks = [task for task in again if task.pictures not in tried]
        rejected = with_lost(left_over, lost)
        if tasks:
            say(f"files that cannot be used, for which others are tried: {len(tasks)}")
    write_rejected(out / REJECTED, rejected, names.picture, names.without)
    write_pairs(out / PAIRS, map(_listed, made_of), names.picture)
    if not records:
        raise DatasetError("no picture could be used", where=out / REJECTED, hint=_commonest(rejected))
    cache = _finish(out, sorted(records, key=lambda record: record.id), settings, options, tumours)
    for line in _summary(cache, rejected, reused):
        say(line)
    return cache


def _refuse_other_grey(scan: Scan, settings: ImageSettings) -> None:
    """A lesion-free picture is a raster file in the grey that a workstation shows: no policy could be applied to it."""
    if settings.voi == "auto":
        return
    free = next((picture.lesion_free for picture in scan.pictures if picture.lesion_free is not None), None)
    if free is not None:
        what = f"lesion-free pictures have the grey of the VOI policy auto, and {settings.voi} was asked for"
        raise DatasetError(what, where=free, hint="Prepare this data set without --voi.")


def _finish(
    out: Path, records: Sequence[Cached], settings: ImageSettings, options: PrepareOptions, tumours: TumourSet | None
) -> Cache:
    splits = make_splits([member_of(record) for record in records], seed=options.seed, shares=options.shares)
    manifest = Manifest(
        dataset=options.dataset,
        public=options.public,
        image=settings,
        pairs=tuple(record for record in records if isinstance(record, CachedPair)),
        singles=tuple(record for record in records if isinstance(record, CachedSingle)),
        notes=(*splits.notes, *(() if tumours is None else tumours.notes)),
    )
    _sweep(out, records)
    cache = write_cache(out, manifest, splits, tumours=tumours)
    contact_sheet(cache, out / _SHEET)
    return cache


def _tasks(
    scan: Scan, settings: ImageSettings, out: Path, names: Names, *, strict: bool
) -> tuple[list[Task], list[Rejected]]:
    """Pairs, then pictures that have findings with a place but no partner; and what is left out before reading."""
    pairs, left_over = pair_up(scan.pictures)
    known = {picture.path: picture for picture in scan.pictures}
    rejected = list(scan.rejected)
    groups = [(tuple(pair.pictures), pair.notes) for pair in pairs]
    for entry in left_over:
        picture = known[entry.path]
        located = any(finding.region is not None for finding in picture.findings)
        if entry.code == "unpaired" and located:
            groups.append(((picture,), ()))
        else:
            rejected.append(entry)
    return [_task(group, notes, settings, out, names, strict) for group, notes in groups], rejected


def _task(
    pictures: tuple[Mammogram, ...],
    notes: tuple[str, ...],
    settings: ImageSettings,
    out: Path,
    names: Names,
    strict: bool,
) -> Task:
    first = pictures[0]
    if first.patient is None or first.view is None or first.laterality is None:
        raise DatasetError("a picture without patient, side or view cannot be prepared", where=first.path)
    exam = first.exam or first.patient
    displaced = first.exposure is not None and first.exposure.implant_displaced
    # Many sets name an exam by its patient and a number.
    woman = [] if exam.startswith(first.patient) else [first.patient]
    words = [*woman, exam, first.view.value, *(["ID"] if displaced else [])]
    words += [first.laterality.value] if len(pictures) == 1 else []
    item_id = names.id(*words)
    return Task(
        id=item_id,
        name=names.shown(pictures, " ".join(dict.fromkeys(words)), item_id),
        patient=names.of("patient", first.patient),
        exam=names.of("exam", first.patient, exam),
        view=first.view,
        pictures=pictures,
        settings=settings,
        root=out,
        strict=strict,
        implant_displaced=displaced,
        notes=notes,
    )


def _listed(task: Task) -> Listed:
    return Listed(task.id, task.patient, task.exam, task.view, task.pictures, task.implant_displaced, task.notes)


def _own_split(task: Task) -> str | None:
    return next((picture.split for picture in task.pictures if picture.split), None)


def _verdict(out: Path, tasks: Sequence[Task], rejected: Sequence[Rejected], workers: int, say: Say) -> None:
    """Say what will be made, of what, in what time and space; refuse before any work if it does not fit."""
    pixels = tasks[0].settings.height * tasks[0].settings.width
    need = sum(
        # Grey of two bytes, two masks of one, lesion-free grey of two; and a record.
        len(task.pictures) * pixels * (6 if any(picture.lesion_free for picture in task.pictures) else 4) + 8192
        for task in tasks
    )
    there = sum(path.stat().st_size for path in out.glob("*/*.safetensors"))
    free = shutil.disk_usage(out).free
    say(f"{_count(tasks)} will be made; {_left_out(rejected)}")
    say(f"the cache will take about {size(need)}; {size(free)} are free")
    if need - there > free:
        raise CacheError(f"the cache needs {size(need - there)} more, {size(free)} are free", where=out)
    say(f"with {workers} worker{'s' if workers > 1 else ''} about {clock(_seconds(tasks) / workers)}")


def _seconds(tasks: Sequence[Task]) -> float:
    """CPU time to be expected, from the pictures' sizes; what is finished already takes less."""
    pictures = [picture for task in tasks for picture in task.pictures]
    return sum(_PICTURE_S + _BYTE_S * _bytes(picture) for picture in pictures)


def _bytes(picture: Mammogram) -> int:
    if picture.exposure is not None:
        return 2 * picture.exposure.rows * picture.exposure.columns
    try:
        return picture.path.stat().st_size
    except OSError:
        return 0


def _left_out(rejected: Sequence[Rejected]) -> str:
    if not rejected:
        return "no file is left out"
    codes = ", ".join(f"{count} {code}" for code, count in sorted(Counter(e.code for e in rejected).items()))
    return f"{len(rejected)} files left out ({codes}): rejected.csv says why"


def _sweep(out: Path, records: Sequence[Cached]) -> None:
    """Remove items of an earlier run that no longer belong to the cache."""
    kept = {record.id for record in records}
    for path in [*out.glob("pairs/*"), *out.glob("singles/*")]:
        if path.name.removesuffix(".safetensors").removesuffix(".json") not in kept:
            path.unlink()


def _count(tasks: Sequence[Task]) -> str:
    pairs = sum(len(task.pictures) == 2 for task in tasks)
    alone = len(tasks) - pairs
    return f"{pairs} pairs" + (f" and {alone} single pictures" if alone else "")


def _commonest(rejected: Sequence[Rejected]) -> str:
    if not rejected:
        return "The folder holds no pictures of this data set."
    first = cause(rejected)
    reasons = {entry.reason for entry in rejected if entry.code == first.code}
    count = sum(entry.code == first.code for entry in rejected)
    such = ", such as" if len(reasons) > 1 else ""
    return f"{len(rejected)} files were left out, {count} of them as {first.code!r}{such}: {first.reason}."


def _summary(cache: Cache, rejected: Sequence[Rejected], reused: int) -> list[str]:
    labels = Counter(pair.asymmetric for pair in cache.pairs)
    counts = Counter(cache.splits.holdout[pair.id] for pair in cache.pairs)
    lines = [
        f"{len(cache.pairs)} pairs ({labels[True]} asymmetric, {labels[False]} symmetric, {labels[None]} unknown; "
        f"{counts['train']} train, {counts['val']} val, {counts['test']} test), {len(cache.singles)} single pictures"
    ]
    lines += [f"{reused} of them were finished already"] if reused else []
    warned = sum(bool(pair.warnings) for pair in cache.pairs) + sum(bool(one.warnings) for one in cache.singles)
    lines += [f"{warned} of them have warnings, kept in manifest.json"] if warned else []
    lines += list(cache.manifest.notes)
    if rejected:
        lines.append(_left_out(rejected))
    return [*lines, f"look at {cache.path / _SHEET}"]

"""A data set's pictures into a cache: paired, read, checked and brought onto the model grid, once.

Parallel over pairs and resumable: an item that is finished, and whose files and settings are unchanged, is taken as it
is. The bytes do not depend on the number of workers nor on interruptions. One bad file is a row of rejected.csv.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from disasymnet.data.cache import Cache, Manifest, member_of, write_cache
from disasymnet.data.contact_sheet import contact_sheet
from disasymnet.data.files import replace_file
from disasymnet.data.identity import Names
from disasymnet.data.manifest import Cached, CachedPair, CachedSingle
from disasymnet.data.pairing import pair_up
from disasymnet.data.splits import PAPER_SHARES, Shares, make_splits
from disasymnet.data.tasks import Task
from disasymnet.data.tumours import TumourSet
from disasymnet.data.workers import default_workers, make_all
from disasymnet.errors import CacheError, DatasetError
from disasymnet.progress import Say, track
from disasymnet.records import Mammogram, Rejected, Scan
from disasymnet.settings import ImageSettings

_REQUEST = "request.json"
_SHEET = "contact-sheet.png"


@dataclass(frozen=True)
class PrepareOptions:
    """How a cache is made."""

    dataset: str
    public: bool
    """True: names of patients and pictures may be shown; else salted hashes stand for them."""
    workers: int | None = None
    """None: as many as cores and memory allow."""
    tumours: Path | None = None
    seed: int = 0
    shares: Shares = PAPER_SHARES
    memory_limit: int | None = None
    """Bytes for all workers together; None: what is free."""
    strict: bool = False
    """Refuse pictures that a mammography system would not have made so; see `disasymnet.images.read.Reading`."""
    names: bool = False
    """Write the file names of pictures left out into rejected.csv also where the data set is not public."""


def prepare(scan: Scan, settings: ImageSettings, out: Path, options: PrepareOptions, say: Say) -> Cache:
    """Make, or finish, the cache at `out`, and open it.

    CacheError if the folder holds something else, the disk is too small or full; DatasetError if nothing is left or the
    tumour set cannot be read; LeakError if the data set's own split has one patient in two.
    """
    _claim(out, settings, options)
    tumours = None if options.tumours is None else TumourSet.read(options.tumours)
    names = Names.of_cache(out, public=options.public, show=options.names)
    tasks, rejected = _tasks(scan, settings, out, names)
    tasks = [replace(task, strict=options.strict) for task in tasks]
    if not tasks:
        raise DatasetError("no pair of pictures was found", hint=_commonest(rejected))
    for warning in scan.warnings:
        say(f"warning: {warning}")
    _check_disk(out, tasks, say)
    workers = options.workers or default_workers(len(tasks), options.memory_limit)
    say(f"preparing {_count(tasks)} with {workers} worker{'s' if workers > 1 else ''}")
    (out / "manifest.json").unlink(missing_ok=True)
    records: list[Cached] = []
    reused = 0
    for task, made in track(make_all(tasks, workers), "prepare", len(tasks)):
        rejected += made.rejected
        reused += made.reused
        if made.record is not None:
            records.append(replace(made.record, split=_own_split(task)))
    _write_rejected(out / "rejected.csv", rejected, names)
    if not records:
        raise DatasetError("no picture could be used", where=out / "rejected.csv", hint=_commonest(rejected))
    cache = _finish(out, sorted(records, key=lambda record: record.id), settings, options, tumours)
    for line in _summary(cache, rejected, reused):
        say(line)
    return cache


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


def _claim(out: Path, settings: ImageSettings, options: PrepareOptions) -> None:
    """Make sure that the folder is ours: new, empty, or begun with the same settings."""
    wanted = {
        "dataset": options.dataset,
        "public": options.public,
        "image": settings.model_dump(mode="json"),
        **({"strict": True} if options.strict else {}),
    }
    path = out / _REQUEST
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if found != wanted:
            what = "the folder holds a cache of another data set or with other settings"
            raise CacheError(what, where=out, hint="Choose another folder, or delete this one.")
        return
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        what = "the folder is not empty and holds no cache that was begun here"
        raise CacheError(what, where=out, hint="Name a new folder.")
    try:
        replace_file(path, (json.dumps(wanted, indent=1) + "\n").encode())
    except OSError as error:
        raise CacheError(f"the folder cannot be written ({error.strerror})", where=out) from None


def _tasks(scan: Scan, settings: ImageSettings, out: Path, names: Names) -> tuple[list[Task], list[Rejected]]:
    """Pairs, then pictures that have findings with a place but no partner; and what is left out before reading."""
    pairs, left_over = pair_up(scan.pictures)
    known = {picture.path: picture for picture in scan.pictures}
    rejected = list(scan.rejected)
    groups = [tuple(pair.pictures) for pair in pairs]
    for entry in left_over:
        picture = known[entry.path]
        located = any(finding.region is not None for finding in picture.findings)
        if entry.code == "unpaired" and located:
            groups.append((picture,))
        else:
            rejected.append(entry)
    return [_task(group, settings, out, names) for group in groups], rejected


def _task(pictures: tuple[Mammogram, ...], settings: ImageSettings, out: Path, names: Names) -> Task:
    first = pictures[0]
    if first.patient is None or first.view is None or first.laterality is None:
        raise DatasetError("a picture without patient, side or view cannot be prepared", where=first.path)
    exam = first.exam or first.patient
    # Many sets name an exam by its patient and a number.
    woman = [] if exam.startswith(first.patient) else [first.patient]
    words = [*woman, exam, first.view.value] + ([first.laterality.value] if len(pictures) == 1 else [])
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
    )


def _own_split(task: Task) -> str | None:
    return next((picture.split for picture in task.pictures if picture.split), None)


def _check_disk(out: Path, tasks: Sequence[Task], say: Say) -> None:
    """Say what the cache will take, and refuse before any work if it does not fit."""
    pixels = tasks[0].settings.height * tasks[0].settings.width
    need = sum(
        # Grey of two bytes, two masks of one, lesion-free grey of two; and a record.
        len(task.pictures) * pixels * (6 if any(picture.lesion_free for picture in task.pictures) else 4) + 8192
        for task in tasks
    )
    there = sum(path.stat().st_size for path in out.glob("*/*.safetensors"))
    free = shutil.disk_usage(out).free
    say(f"the cache will take about {_size(need)}; {_size(free)} are free")
    if need - there > free:
        raise CacheError(f"the cache needs {_size(need - there)} more, {_size(free)} are free", where=out)


def _size(count: float) -> str:
    size, unit = next(((size, unit) for size, unit in ((1e9, "GB"), (1e6, "MB")) if count >= size), (1e3, "KB"))
    return f"{count / size:.1f} {unit}"


def _sweep(out: Path, records: Sequence[Cached]) -> None:
    """Remove items of an earlier run that no longer belong to the cache."""
    kept = {record.id for record in records}
    for path in [*out.glob("pairs/*"), *out.glob("singles/*")]:
        if path.name.removesuffix(".safetensors").removesuffix(".json") not in kept:
            path.unlink()


def _write_rejected(path: Path, rejected: Sequence[Rejected], names: Names) -> None:
    rows = sorted(
        (
            names.picture(entry.path),
            entry.code,
            names.without(entry.reason, entry.path),
            names.without(entry.hint, entry.path),
        )
        for entry in rejected
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("picture", "code", "reason", "hint"))
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    replace_file(path, text.getvalue().encode())


def _plain(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _count(tasks: Sequence[Task]) -> str:
    pairs = sum(len(task.pictures) == 2 for task in tasks)
    alone = len(tasks) - pairs
    return f"{pairs} pairs" + (f" and {alone} single pictures" if alone else "")


def _commonest(rejected: Sequence[Rejected]) -> str:
    if not rejected:
        return "The folder holds no pictures of this data set."
    ((code, count),) = Counter(entry.code for entry in rejected).most_common(1)
    reason = next(entry.reason for entry in rejected if entry.code == code)
    return f"{len(rejected)} pictures were left out, {count} of them as {code!r}: {reason}."


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
        codes = ", ".join(f"{count} {code}" for code, count in sorted(Counter(e.code for e in rejected).items()))
        lines.append(f"{len(rejected)} pictures left out ({codes}): rejected.csv says why")
    return [*lines, f"look at {cache.path / _SHEET}"]

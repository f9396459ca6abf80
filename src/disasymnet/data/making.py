"""One pair, or one picture without partner, from its files to its place in the cache. Runs in a worker process."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from disasymnet.data.cache import item_path
from disasymnet.data.files import digest_of, file_digest, replace_file
from disasymnet.data.items import PairArrays, write_item
from disasymnet.data.lesions import draw_findings
from disasymnet.data.manifest import SCHEMA, Cached, CachedFinding, CachedPair, CachedSingle, from_json, to_json
from disasymnet.data.tasks import BadPictureError, Made, Task, each, rejections
from disasymnet.errors import CacheError, PictureError
from disasymnet.images.preprocess import PREPROCESSING, Prepared, preprocess, preprocess_single
from disasymnet.images.read import LENIENT, Picture, Reading, read_picture
from disasymnet.images.tags import placed
from disasymnet.records import Mammogram, MaskFile, Sides
from disasymnet.settings import ImageSettings
from disasymnet.terms import Laterality

T = TypeVar("T")
Levels = NDArray[np.uint16]


@dataclass(frozen=True)
class _Side:
    """One picture, ready."""

    stated: Mammogram
    prepared: Prepared
    lesion: NDArray[np.bool_]
    findings: tuple[CachedFinding, ...]
    lesion_free: Levels | None
    source: str
    warnings: tuple[str, ...]


def make(task: Task) -> Made:
    """The item, written; or taken as it is where its file and its request are unchanged.

    Whatever a picture does wrong is a rejection. CacheError if the cache cannot be written.
    """
    try:
        request = _request(task)
        record = _finished(task, request)
        if record is not None:
            return Made(record, reused=True)
        record, arrays = _prepare(task)
    except BadPictureError as error:
        return Made(None, rejections(task, error))
    path = item_path(task.root, record)
    try:
        record = replace(record, digest=write_item(path, arrays))
        note = {"request": request, "record": to_json(record)}
        replace_file(path.with_suffix(".json"), (json.dumps(note) + "\n").encode())
    except OSError as error:
        raise CacheError(
            f"the cache cannot be written ({error.strerror})",
            where=task.root,
            hint="What is finished is kept: make room and run the same command again.",
        ) from error
    return Made(record)


def _request(task: Task) -> str:
    """A digest of everything that the item's bytes depend on: files, facts, settings, versions."""

    def facts(_: int, picture: Mammogram) -> dict[str, Any]:
        masks = [finding.region.path for finding in picture.findings if isinstance(finding.region, MaskFile)]
        files = [picture.path, *masks, *([] if picture.lesion_free is None else [picture.lesion_free])]
        stated = asdict(picture)
        # Where the files lie, and which split is wanted, changes no pixel.
        for name in ("path", "lesion_free", "split"):
            stated.pop(name)
        for finding in stated["findings"]:
            if isinstance(finding["region"], dict):
                finding["region"].pop("path", None)
        return {"facts": stated, "files": [file_digest(path) for path in files]}

    return digest_of(
        {
            "schema": SCHEMA,
            "preprocessing": PREPROCESSING,
            "settings": task.settings.model_dump(mode="json"),
            "notes": task.notes,
            "names": [task.id, task.name, task.patient, task.exam],
            "pictures": each(task, facts),
        }
    )


def _finished(task: Task, request: str) -> Cached | None:
    folder = task.root / ("pairs" if len(task.pictures) == 2 else "singles")
    try:
        note = json.loads((folder / f"{task.id}.json").read_text(encoding="utf-8"))
        record = from_json(note["record"])
        same = note["request"] == request and file_digest(item_path(task.root, record)) == record.digest
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if same else None


def _prepare(task: Task) -> tuple[Cached, PairArrays]:
    reading = Reading(task.strict, task.settings.voi)
    pictures = each(task, lambda _, stated: read_stated(stated, reading))
    prepared = _on_model_grid(task, pictures)
    sides = each(task, lambda number, stated: _side(task, stated, pictures[number], prepared[number]))
    truth = None
    if any(side.lesion_free is not None for side in sides):
        # A side without lesions is its own truth.
        truth = np.stack(
            [_levels(side.prepared.image) if side.lesion_free is None else side.lesion_free for side in sides]
        )
    arrays = PairArrays(
        image=np.stack([_levels(side.prepared.image) for side in sides]),
        breast=np.stack([side.prepared.breast for side in sides]),
        lesion=np.stack([side.lesion for side in sides]),
        lesion_free=truth,
    )
    return _record(task, sides), arrays


def read_stated(stated: Mammogram, reading: Reading = LENIENT) -> Picture:
    """The file's picture, its facts overruled by those that the data set states."""
    picture = read_picture(stated.path, reading)
    facts = picture.facts
    notes = list(facts.notes)
    for what, said, found in (
        ("breast", stated.laterality, facts.laterality),
        ("view", stated.view, facts.view),
        ("detector", stated.detector, facts.detector),
    ):
        if said is not None and found is not None and said != found:
            notes.append(f"the data set says {what} {said}, the file {found}: the data set is believed")
    if stated.pixel_mm is not None and facts.pixel_mm is not None and abs(stated.pixel_mm / facts.pixel_mm - 1) > 0.01:
        sizes = f"the data set says {stated.pixel_mm:.4g} mm a pixel, the file {facts.pixel_mm:.4g}"
        notes.append(f"{sizes}: the data set is believed")
    facts = replace(facts, notes=tuple(notes))
    return replace(
        picture,
        facts=replace(
            placed(facts, stated.laterality, stated.view),
            pixel_mm=facts.pixel_mm if stated.pixel_mm is None else stated.pixel_mm,
            detector=stated.detector or facts.detector,
        ),
    )


def _on_model_grid(task: Task, pictures: list[Picture]) -> list[Prepared]:
    walls = [stated.chest_wall for stated in task.pictures]
    try:
        if len(pictures) == 1:
            return [preprocess_single(pictures[0], walls[0], task.settings)]
        return list(preprocess(Sides(*pictures), Sides(*walls), task.settings))
    except Exception as error:
        # Which of the two it was shows when each is tried alone.
        each(task, lambda number, _: preprocess_single(pictures[number], walls[number], task.settings))
        raise BadPictureError(None, error) from error


def _side(task: Task, stated: Mammogram, picture: Picture, prepared: Prepared) -> _Side:
    lesion, findings, odd = draw_findings(stated.findings, prepared.geometry)
    return _Side(
        # The file knows what the data set does not state.
        stated=replace(stated, detector=picture.facts.detector),
        prepared=prepared,
        lesion=lesion,
        findings=findings,
        lesion_free=None if stated.lesion_free is None else _truth(stated.lesion_free, prepared, task.settings),
        source=file_digest(stated.path),
        warnings=(*picture.facts.notes, *prepared.warnings, *odd),
    )


def _truth(path: Path, prepared: Prepared, settings: ImageSettings) -> Levels:
    """The lesion-free picture on the very pixels of its mammogram: same geometry, same grey, same breast."""
    pixels = read_picture(path, Reading(voi=settings.voi)).pixels
    if pixels.shape != prepared.geometry.source_shape:
        raise PictureError("the lesion-free picture is not of its mammogram's size", where=path, code="truth_size")
    image = prepared.geometry.image(pixels).clip(0, 1)
    if settings.scale != "liu2020":  # which keeps what lies outside the breast
        image[~prepared.breast] = 0
    return _levels(image)


def _levels(image: NDArray[np.float32]) -> Levels:
    levels: Levels = np.rint(image * np.float32(65535)).astype(np.uint16)
    return levels


def _record(task: Task, sides: list[_Side]) -> Cached:
    warnings = list(task.notes)
    for name, side in zip(("right: ", "left: "), sides, strict=False):
        for warning in side.warnings:
            shared = all(warning in other.warnings for other in sides)
            warnings.append(warning if shared else name + warning)
    head: dict[str, Any] = {
        "id": task.id,
        "name": task.name,
        "patient": task.patient,
        "exam": task.exam,
        "view": task.view,
        "density": _common([side.stated.density for side in sides], "density", warnings),
        "detector": _common([side.stated.detector for side in sides], "detector", warnings),
        "pixel_mm": sides[0].prepared.pixel_mm,
    }
    if len(sides) == 1:
        (side,) = sides
        return CachedSingle(
            **head,
            laterality=side.stated.laterality or Laterality.RIGHT,  # pairing lets none pass without
            abnormal=side.stated.abnormal,
            geometry=side.prepared.geometry,
            findings=side.findings,
            grey=side.prepared.grey,
            source=side.source,
            warnings=tuple(dict.fromkeys(warnings)),
        )
    right, left = sides
    pair = Sides(right, left)
    return CachedPair(
        **head,
        abnormal=pair.map(lambda side: side.stated.abnormal),
        geometry=pair.map(lambda side: side.prepared.geometry),
        findings=pair.map(lambda side: side.findings),
        grey=pair.map(lambda side: side.prepared.grey),
        sources=pair.map(lambda side: side.source),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _common(values: list[T | None], what: str, warnings: list[str]) -> T | None:
    """What the sides agree on; a side that says nothing agrees."""
    known = {value for value in values if value is not None}
    if len(known) > 1:
        warnings.append(f"the sides differ in {what}: it is left unknown")
    return known.pop() if len(known) == 1 else None

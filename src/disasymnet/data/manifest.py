"""The cache's records: what is known of each prepared pair and single picture, as JSON and back."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from disasymnet.data.files import digest_of
from disasymnet.errors import CacheError
from disasymnet.images.geometry import Geometry
from disasymnet.images.preprocess import PREPROCESSING
from disasymnet.records import Box, Circle, Detector, Sides
from disasymnet.settings import ImageSettings
from disasymnet.terms import FindingKind, Laterality, View

SCHEMA = 1
AGAIN = "Prepare the cache again into a new folder."

Grey = tuple[float, float, float, float, float]
"""The 5, 25, 50, 75 and 95 % points of the grey inside the breast, in [0, 1]."""
_NO_GREY: Grey = (0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class CachedFinding:
    """A finding on the model grid; a mask's box is the one around it, its pixels stand in the item's `lesion`."""

    kind: FindingKind | None = None
    name: str | None = None
    malignant: bool | None = None
    box: Box | None = None
    """Around the region, also where that is a circle; None: a finding without a place."""
    circle: Circle | None = None
    """Where the data set drew a circle."""


@dataclass(frozen=True)
class CachedPair:
    """A prepared pair. `patient` and `exam` are the data set's own names only where that is public."""

    id: str
    name: str
    patient: str
    exam: str
    view: View
    abnormal: Sides[bool | None]
    geometry: Sides[Geometry]
    findings: Sides[tuple[CachedFinding, ...]] = field(default=Sides((), ()))
    grey: Sides[Grey] = field(default=Sides(_NO_GREY, _NO_GREY))
    sources: Sides[str] = field(default=Sides("", ""))
    """SHA-256 of the files."""
    density: str | None = None
    detector: Detector | None = None
    pixel_mm: float | None = None
    """Of the model grid; None where the files' is unknown."""
    split: str | None = None
    """`train`, `val` or `test` of the holdout split."""
    warnings: tuple[str, ...] = ()
    digest: str = ""
    """SHA-256 of the item's file."""

    @property
    def asymmetric(self) -> bool | None:
        """y_asy = max(y_r, y_l); unknown while it is undecided."""
        sides = set(self.abnormal)
        return True if True in sides else None if None in sides else False


@dataclass(frozen=True)
class CachedSingle:
    """A prepared picture without a partner, kept for its findings' places."""

    id: str
    name: str
    patient: str
    exam: str
    view: View
    laterality: Laterality
    abnormal: bool | None
    geometry: Geometry
    findings: tuple[CachedFinding, ...] = ()
    grey: Grey = _NO_GREY
    source: str = ""
    density: str | None = None
    detector: Detector | None = None
    pixel_mm: float | None = None
    split: str | None = None
    warnings: tuple[str, ...] = ()
    digest: str = ""


Cached = CachedPair | CachedSingle


@dataclass(frozen=True)
class Manifest:
    """What a cache holds, apart from the pixels."""

    dataset: str
    public: bool
    image: ImageSettings
    pairs: tuple[CachedPair, ...]
    singles: tuple[CachedSingle, ...] = ()
    notes: tuple[str, ...] = ()


def to_json(item: Cached) -> dict[str, Any]:
    """Plain JSON values. The holdout split is left out: it stands with the other splits, in one place."""
    head: dict[str, Any] = {
        "id": item.id,
        "name": item.name,
        "patient": item.patient,
        "exam": item.exam,
        "view": item.view.value,
        "density": item.density,
        "detector": item.detector,
        "pixel_mm": item.pixel_mm,
        "warnings": list(item.warnings),
        "digest": item.digest,
    }
    if isinstance(item, CachedSingle):
        picture = _picture(item.abnormal, item.geometry, item.findings, item.grey, item.source)
        return {**head, "laterality": item.laterality.value, "picture": picture}
    columns = zip(item.abnormal, item.geometry, item.findings, item.grey, item.sources, strict=True)
    right, left = (_picture(*column) for column in columns)
    return {**head, "right": right, "left": left}


def from_json(values: dict[str, Any]) -> Cached:
    """The record that `to_json` wrote. KeyError, TypeError or ValueError if the values are none."""
    # Ids become names of files.
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,99}", values["id"]):
        raise ValueError(f"impossible id {values['id']!r}")
    detector = values["detector"]
    if detector is not None and detector not in get_args(Detector):
        raise ValueError(f"unknown detector {detector!r}")
    head: dict[str, Any] = {name: values[name] for name in ("id", "name", "patient", "exam", "density", "digest")}
    head |= {
        "view": View(values["view"]),
        "detector": detector,
        "pixel_mm": values["pixel_mm"],
        "warnings": tuple(values["warnings"]),
    }
    if "picture" in values:
        facts = _read_picture(values["picture"])
        return CachedSingle(**head, laterality=Laterality(values["laterality"]), **facts)
    right, left = _read_picture(values["right"]), _read_picture(values["left"])
    sides: dict[str, Any] = {name: Sides(right[name], left[name]) for name in right}
    return CachedPair(**head, sources=sides.pop("source"), **sides)


def _picture(
    abnormal: bool | None, geometry: Geometry, findings: tuple[CachedFinding, ...], grey: Grey, source: str
) -> dict[str, Any]:
    return {
        "abnormal": abnormal,
        "findings": [_finding(finding) for finding in findings],
        "geometry": geometry.to_dict(),
        "grey": list(grey),
        "source": source,
    }


def _read_picture(values: dict[str, Any]) -> dict[str, Any]:
    return {
        "abnormal": values["abnormal"],
        "findings": tuple(_read_finding(finding) for finding in values["findings"]),
        "geometry": Geometry.from_dict(values["geometry"]),
        "grey": tuple(values["grey"]),
        "source": values["source"],
    }


def _finding(finding: CachedFinding) -> dict[str, Any]:
    box, circle = finding.box, finding.circle
    return {
        "kind": None if finding.kind is None else finding.kind.value,
        "name": finding.name,
        "malignant": finding.malignant,
        "box": None if box is None else [box.x0, box.y0, box.x1, box.y1],
        "circle": None if circle is None else [circle.x, circle.y, circle.radius],
    }


def _read_finding(values: dict[str, Any]) -> CachedFinding:
    kind, box, circle = values["kind"], values["box"], values["circle"]
    return CachedFinding(
        kind=None if kind is None else FindingKind(kind),
        name=values["name"],
        malignant=values["malignant"],
        box=None if box is None else Box(*box),
        circle=None if circle is None else Circle(*circle),
    )


def manifest_json(manifest: Manifest, items: Sequence[Cached]) -> str:
    """The manifest as JSON text with `items` for its records, in the order of their ids."""
    body = {
        "schema": SCHEMA,
        "preprocessing": PREPROCESSING,
        "dataset": manifest.dataset,
        "public": manifest.public,
        "image": manifest.image.model_dump(mode="json"),
        "notes": list(manifest.notes),
        "pairs": [to_json(item) for item in sorted(items, key=_id) if isinstance(item, CachedPair)],
        "singles": [to_json(item) for item in sorted(items, key=_id) if isinstance(item, CachedSingle)],
    }
    return json.dumps({"digest": digest_of(body), **body}, indent=1) + "\n"


def _id(item: Cached) -> str:
    return item.id


def parse_manifest(text: str, where: Path) -> Manifest:
    """The manifest that `manifest_json` wrote. CacheError if it is damaged or of another make."""
    try:
        body = json.loads(text)
        schema, preprocessing, digest = body["schema"], body["preprocessing"], body.pop("digest")
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise CacheError("the manifest is damaged", where=where, hint=AGAIN) from None
    if schema != SCHEMA:
        raise CacheError(f"the cache has schema {schema}, this program reads {SCHEMA}", where=where, hint=AGAIN)
    if preprocessing != PREPROCESSING:
        what = f"the cache was made by preprocessing {preprocessing}, this program has {PREPROCESSING}"
        raise CacheError(what, where=where, hint=AGAIN)
    if digest_of(body) != digest:
        raise CacheError("the manifest is damaged: its digest does not fit", where=where, hint=AGAIN)
    try:
        items = [from_json(values) for values in (*body["pairs"], *body["singles"])]
        image = ImageSettings.model_validate_json(json.dumps(body["image"]))
        pairs = tuple(item for item in items if isinstance(item, CachedPair))
        singles = tuple(item for item in items if isinstance(item, CachedSingle))
        return Manifest(body["dataset"], body["public"], image, pairs, singles, tuple(body["notes"]))
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise CacheError(f"the manifest cannot be understood ({error!r})", where=where, hint=AGAIN) from None

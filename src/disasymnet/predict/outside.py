"""Where a pair lies outside of what the model was trained on."""

from __future__ import annotations

from collections.abc import Iterator

from disasymnet.checkpoint import Card
from disasymnet.images.preprocess import Prepared
from disasymnet.images.read import Facts, Picture
from disasymnet.records import Sides
from disasymnet.terms import View

PIXEL_SLACK = 0.05  # of the training range of pixel sizes: rounding of tags, not another scale
GREY_SLACK = 0.02  # of the grey range


def warnings_of(prepared: Sides[Prepared], pictures: Sides[Picture], view: View | None, card: Card) -> Iterator[str]:
    """Warnings of the preparation, and where the pair lies outside of what the model was trained on."""
    for name, side, picture in zip(("right", "left"), prepared, pictures, strict=True):
        yield from (f"{name}: {line}" for line in (*picture.facts.notes, *side.warnings))
        yield from (f"{name}: {line}" for line in _outside(side, picture.facts, card))
    if view is None:
        yield "neither file states its view"
    elif card.views and view.value not in card.views:
        yield f"view {view} was not among the training pictures ({', '.join(card.views)})"


def _outside(side: Prepared, facts: Facts, card: Card) -> Iterator[str]:
    if card.pixel_mm is not None:
        low, high = card.pixel_mm
        if side.pixel_mm is None:
            whose = "" if facts.pixel_mm is None else " of the other side"
            yield f"the pixel size{whose} is not known; the model was trained at a known scale"
        elif not low * (1 - PIXEL_SLACK) <= side.pixel_mm <= high * (1 + PIXEL_SLACK):
            yield f"drawn at {side.pixel_mm:.3g} mm a pixel, the training pictures at {low:.3g} to {high:.3g} mm"
    if card.file_pixel_mm is not None and facts.pixel_mm is not None:
        low, high = card.file_pixel_mm
        if not low * (1 - PIXEL_SLACK) <= facts.pixel_mm <= high * (1 + PIXEL_SLACK):
            yield f"the file has {facts.pixel_mm:.3g} mm a pixel, the training files {low:.3g} to {high:.3g} mm"
    detector = facts.detector or "unknown"
    if card.detectors and detector not in card.detectors:
        yield f"detector {detector} was not among the training pictures ({', '.join(card.detectors)})"
    odd = [
        f"{level} % quantile {grey:.2f} not in {low:.2f} to {high:.2f}"
        for level, grey, (low, high) in zip((5, 25, 50, 75, 95), side.grey, card.grey, strict=False)
        if not low - GREY_SLACK <= grey <= high + GREY_SLACK
    ]
    if odd:
        yield "the grey in the breast is outside the training pictures': " + "; ".join(odd)

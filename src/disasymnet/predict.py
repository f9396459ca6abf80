"""Two files in, one answer out, on the files' own pixel grids. Needs no part of training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from disasymnet import checkpoint
from disasymnet.checkpoint import Card, Checkpoint
from disasymnet.data.listing import cause, with_lost, without
from disasymnet.data.pairing import NEXT_STEP, contradiction, doubts, pair_up
from disasymnet.datasets import find
from disasymnet.errors import PairingError, PictureError, printable
from disasymnet.images.geometry import Geometry
from disasymnet.images.picture import GreyStep
from disasymnet.images.preprocess import Prepared, preprocess
from disasymnet.images.read import LENIENT, Facts, Picture, Reading, read_picture
from disasymnet.images.tags import placed
from disasymnet.methods.base import PairOutput
from disasymnet.records import Pair, Rejected, Scan, Sides
from disasymnet.terms import Laterality, View

Floats = npt.NDArray[np.float32]

PIXEL_SLACK = 0.05  # of the training range of pixel sizes: rounding of tags, not another scale
GREY_SLACK = 0.02  # of the grey range


@dataclass(frozen=True)
class SidePrediction:
    """What is said of one breast. Arrays are on the source grid: rows and columns of the file."""

    abnormality: float | None
    """Score in [0, 1] of "any finding, benign or malignant"; not calibrated to a population. None for a method
    without a side head."""
    pixels: Floats
    """The picture as it was read, [0, 1]."""
    breast: npt.NDArray[np.bool_]
    cam: Floats
    """M in [0, 1]; 0 outside the breast."""
    normal: Floats | None
    """x_n at the source's own sharpness: unchanged pixels are the file's, to the last bit."""
    abnormal_part: Floats | None
    """x_ab in [0, 1]."""
    sha256: str
    """Of the file; empty for a picture that was not read from one."""
    steps: tuple[GreyStep, ...] = ()
    """How the file's stored values became `pixels`."""
    laterality_from: str | None = None
    """The DICOM attribute that named the breast; None if its place did."""
    view_from: str | None = None


@dataclass(frozen=True)
class Prediction:
    """The answer on one pair. Nothing in it names a person."""

    asymmetry: float | None
    """Score in [0, 1]; None for a method without an asymmetry head."""
    sides: Sides[SidePrediction]
    view: View | None
    warnings: tuple[str, ...]
    card: Card
    strict: bool = False
    """Whether the files were read in strict mode."""

    @property
    def right(self) -> SidePrediction:
        """The right breast."""
        return self.sides.right

    @property
    def left(self) -> SidePrediction:
        """The left breast."""
        return self.sides.left

    def summary(self) -> str:
        """One line a score, then the warnings."""
        scores = (
            ("asymmetry score", self.asymmetry),
            ("right abnormality", self.right.abnormality),
            ("left abnormality", self.left.abnormality),
        )
        lines = [f"{name:<19}{'NA, not given by this method' if p is None else f'{p:.3f}'}" for name, p in scores]
        return "\n".join([*lines, *(f"warning: {line}" for line in self.warnings)])


@dataclass(frozen=True)
class Source:
    """A picture and the digest of the file it came from."""

    picture: Picture
    sha256: str = ""

    @classmethod
    def read(cls, path: Path, reading: Reading = LENIENT) -> Source:
        """PictureError if the file cannot be used."""
        picture = read_picture(path, reading)
        with path.open("rb") as file:
            return cls(picture, hashlib.file_digest(file, "sha256").hexdigest())


@dataclass(frozen=True)
class Model:
    """A trained method with its recipe and card, ready to answer."""

    checkpoint: Checkpoint

    @classmethod
    def load(cls, run: Path) -> Model:
        """From a run or a checkpoint folder. CheckpointError if there is none or it is damaged."""
        return cls(checkpoint.load(Path(run)))

    def predict(self, right: Path, left: Path, *, strict: bool = False) -> Prediction:
        """The answer on two files.

        Where the files state their side, that decides; else the order of the arguments does, with a warning.
        `strict` refuses what a mammography system would not have made so. PictureError for a file that cannot be used,
        PairingError for two that make no pair.
        """
        # The grey is made as it was for training.
        reading = Reading(strict, self.checkpoint.recipe.image.voi)
        seen = self.predict_pictures(Source.read(Path(right), reading), Source.read(Path(left), reading))
        return replace(seen, strict=strict)

    def predict_pictures(self, right: Source, left: Source) -> Prediction:
        """The answer on two pictures already read; errors and warnings as for `predict`."""
        sources, view, warnings = as_pair(right, left)
        pictures = sources.map(lambda source: source.picture)
        prepared = preprocess(pictures, Sides(None, None), self.checkpoint.recipe.image)
        out = self._answer(prepared)
        side = (None, None) if out.side_logit is None else torch.sigmoid(out.side_logit).tolist()
        numbers = {Laterality.RIGHT: 0, Laterality.LEFT: 1}
        sides = {
            name: _side(sources[name], prepared[name], out, numbers[name], side[numbers[name]]) for name in Laterality
        }
        asymmetry = None if out.asymmetry_logit is None else float(torch.sigmoid(out.asymmetry_logit[0]))
        return Prediction(
            asymmetry=asymmetry,
            sides=Sides(sides[Laterality.RIGHT], sides[Laterality.LEFT]),
            view=view,
            warnings=(*warnings, *_doubts(prepared, pictures, view, self.checkpoint.card)),
            card=self.checkpoint.card,
        )

    @torch.no_grad()
    def _answer(self, prepared: Sides[Prepared]) -> PairOutput:
        image = torch.from_numpy(np.stack([side.image for side in prepared]))[:, None]
        breast = torch.from_numpy(np.stack([side.breast for side in prepared]))[:, None]
        out: PairOutput = self.checkpoint.method(image, breast)
        return out


def as_pair(first: Source, second: Source) -> tuple[Sides[Source], View | None, list[str]]:
    """Which is right and which left, their common view, and warnings; PairingError where they make no pair."""
    one, two = first.picture.facts, second.picture.facts
    if first.sha256 and first.sha256 == second.sha256:
        raise PairingError("both files are the same picture", hint="Give the right and the left breast.")
    uid, other = ("" if facts.exposure is None else facts.exposure.uid for facts in (one, two))
    if uid and uid == other:
        raise PairingError("one SOPInstanceUID stands for both pictures", hint=NEXT_STEP["uid_conflict"])
    if (conflict := contradiction(one.identity, two.identity)) is not None:
        raise PairingError(conflict[1], hint="Both breasts of one exam make a pair.")
    view = _view(one, two)
    warnings = doubts(one.identity, two.identity)
    sides = (one.laterality, two.laterality)
    if sides[0] is not None and sides[0] is sides[1]:
        raise PairingError(f"both pictures show the {_word(sides[0])} breast", hint="A pair needs both breasts.")
    if sides == (Laterality.LEFT, Laterality.RIGHT):
        warnings.append("the files state that the first is the left breast: they were taken in the stated order")
        return _placed(second, first, view), view, warnings
    for place, stated, expected in zip(("first", "second"), sides, Laterality, strict=True):
        if stated is not None and stated is not expected:
            raise PairingError(
                f"the {place} picture shows the {_word(stated)} breast, and the other one states no side",
                hint="Give the right breast first.",
            )
        if stated is None:
            warnings.append(f"the {place} file states no side: taken as the {_word(expected)} breast by its place")
    return _placed(first, second, view), view, warnings


def _placed(right: Source, left: Source, view: View | None) -> Sides[Source]:
    """The pair as it is now known: how its pictures should lie depends on breast and view."""
    both = (
        replace(source, picture=replace(source.picture, facts=placed(source.picture.facts, side, view)))
        for source, side in zip((right, left), Laterality, strict=True)
    )
    return Sides(*both)


def _view(one: Facts, two: Facts) -> View | None:
    displaced, low_energy = [], []
    for facts in (one, two):
        special = None if facts.exposure is None else facts.exposure.special
        if special is not None:
            hint = NEXT_STEP[special]
            raise PairingError(f"it is no screening view: {special.replace('_', ' ')}", hint=hint)
        displaced.append(facts.exposure is not None and facts.exposure.implant_displaced)
        low_energy.append(facts.exposure is not None and facts.exposure.low_energy)
        if facts.view is not None and not facts.view.pairable:
            raise PairingError(f"view {facts.view} makes no pair", hint="Only CC and MLO are compared.")
    if one.view and two.view and one.view is not two.view:
        raise PairingError(
            f"the two pictures show different views: {one.view} and {two.view}",
            hint="Pair CC with CC and MLO with MLO.",
        )
    if displaced[0] != displaced[1]:
        hint = "Give both with the implant displaced, or both without."
        raise PairingError("the implant is displaced in one of the two pictures", hint=hint)
    if low_energy[0] != low_energy[1]:
        hint = "Give two low-energy pictures, or two plain mammograms."
        raise PairingError("one of the two is the low-energy picture of a contrast mammogram", hint=hint)
    if {False, True} <= {facts.exposure.for_presentation for facts in (one, two) if facts.exposure is not None}:
        what = "one is a mammography system's picture, the other a film or another Secondary Capture"
        raise PairingError(what, hint="Give both for presentation, or both films.")
    return one.view or two.view


def _word(laterality: Laterality) -> str:
    return "right" if laterality is Laterality.RIGHT else "left"


def _side(source: Source, prepared: Prepared, out: PairOutput, row: int, probability: float | None) -> SidePrediction:
    geometry = prepared.geometry
    pixels = source.picture.pixels
    breast = geometry.mask_back(prepared.breast)
    part = _back(out.abnormal_part, row, geometry, prepared.breast)
    cam = _back(out.cam, row, geometry, prepared.breast)
    normal = None
    if out.normal is not None:
        # The change is resampled, not the picture: what the model leaves alone keeps every detail of the file.
        change = _sent_back(out.normal[row, 0].float().numpy() - prepared.image, geometry, prepared.breast)
        normal = np.clip(pixels + np.where(breast, change, 0), 0, 1).astype(np.float32)
    if cam is None:
        raise ValueError("a method answers with a CAM")
    return SidePrediction(
        abnormality=probability,
        pixels=pixels,
        breast=breast,
        cam=np.where(breast, cam, 0).astype(np.float32),
        normal=normal,
        abnormal_part=None if part is None else np.where(breast, part, 0).astype(np.float32),
        sha256=source.sha256,
        steps=source.picture.steps,
        laterality_from=source.picture.facts.laterality_from,
        view_from=source.picture.facts.view_from,
    )


def _back(stack: Tensor | None, row: int, geometry: Geometry, breast: npt.NDArray[np.bool_]) -> Floats | None:
    """One row of a (2, 1, H, W) stack on the source grid, in [0, 1]; meaningful inside the breast only."""
    if stack is None:
        return None
    return np.clip(_sent_back(stack[row, 0].float().numpy(), geometry, breast), 0, 1).astype(np.float32)


def _sent_back(values: npt.NDArray[Any], geometry: Geometry, breast: npt.NDArray[np.bool_]) -> Floats:
    """(H, W) values of the breast on the source grid, not mixed with what lies beyond the skin or the grid's edge.

    Resampling would fade them to 0 over the last model pixel, six source pixels or more: so the outermost values are
    carried on outwards first, and the caller cuts at the breast.
    """
    if not breast.any():
        return np.zeros(geometry.source_shape, np.float32)
    nearest = distance_transform_edt(~breast, return_distances=False, return_indices=True)
    carried = np.pad(values[tuple(nearest)], 1, mode="edge").astype(np.float32)
    rows, columns = geometry.model_shape
    wider = replace(
        geometry,
        model_shape=(rows + 2, columns + 2),
        origin=(geometry.origin[0] - geometry.step[0], geometry.origin[1] - geometry.step[1]),
    )
    return wider.image_back(carried)


def _doubts(prepared: Sides[Prepared], pictures: Sides[Picture], view: View | None, card: Card) -> Iterator[str]:
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
            yield f"{side.pixel_mm:.3g} mm a pixel is outside the training pictures' {low:.3g} to {high:.3g} mm"
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


def pairs_in(folder: Path) -> tuple[list[Pair], list[Rejected]]:
    """Pairs of a folder's files by what the files state, and every file that makes none, with the reason.

    Names of files decide nothing: a picture that does not state its side, view and patient is left out.
    """
    return _pairs(find("folder").scan(folder), [])


def _pairs(found: Scan, lost: list[Rejected]) -> tuple[list[Pair], list[Rejected]]:
    """Pairs without the files that turned out not to be usable."""
    pairs, left_over = pair_up(without(found, lost).pictures)
    return pairs, with_lost([*found.rejected, *left_over], lost)


def predict_folder(
    model: Model, folder: Path, *, strict: bool = False
) -> tuple[Iterator[tuple[Pair, Prediction]], list[Rejected]]:
    """The answers on all pairs of a folder, one by one, and the files left out; PairingError if there is no pair.

    A file that cannot be used costs its pair, not the others, and where another picture of its breast is there, that
    one steps in. The list is complete once all answers are taken.
    """
    found = find("folder").scan(folder)
    pairs, rejected = _pairs(found, [])
    if not pairs:
        first = cause(rejected)
        raise PairingError(
            f"no two files here make a pair; {printable(first.path.name)}: {first.reason}",
            where=folder,
            hint="Give two files, RIGHT LEFT, if the files do not state their side.",
        )
    return _answers(model, found, pairs, rejected, strict), rejected


def _answers(
    model: Model, found: Scan, pairs: list[Pair], rejected: list[Rejected], strict: bool
) -> Iterator[tuple[Pair, Prediction]]:
    lost: list[Rejected] = []
    answered: list[Sides[Path]] = []
    while pairs:
        for pair in pairs:
            right, left = (picture.path for picture in pair.pictures)
            try:
                seen = model.predict(right, left, strict=strict)
            except PictureError as error:
                if error.code == "same_file":
                    lost += [Rejected(path, error.code, error.what, error.hint or "") for path in (right, left)]
                    continue
                bad, other = (left, right) if error.where == str(left) else (right, left)
                lost.append(Rejected(bad, error.code, error.what, error.hint or ""))
                why = "the picture of the other breast cannot be used"
                lost.append(Rejected(other, "partner", why, f"See its partner: {error.code}."))
                continue
            answered.append(Sides(right, left))
            # Which of several was taken, and pixel sizes that differ; what was odd in a file is told already.
            new = [note for note in pair.notes if not any(line.endswith(note) for line in seen.warnings)]
            yield pair, replace(seen, warnings=(*new, *seen.warnings))
        again, rejected[:] = _pairs(found, lost)
        pairs = [pair for pair in again if pair.pictures.map(lambda picture: picture.path) not in answered]

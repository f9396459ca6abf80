"""Removal on real pictures: unseen tumours blended into normal pairs, whose own pixels are then the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import find_objects, label

from disasymnet.checkpoint import Checkpoint
from disasymnet.data.batch import PairBatch
from disasymnet.data.cache import Cache
from disasymnet.data.loader import synthetic_test_pairs, tumours_of
from disasymnet.data.manifest import CachedFinding, CachedPair
from disasymnet.data.tumours import TumourSet
from disasymnet.errors import DatasetError, TrainingError
from disasymnet.evaluate.forward import answer, cam_cut, pictures_of, score_pair
from disasymnet.evaluate.sides import Side
from disasymnet.records import Box, Sides
from disasymnet.settings import SynthesisSettings
from disasymnet.terms import FindingKind

SYNTHETIC = "test tumours blended into normal pairs: the pictures before"


def look_at_synthetic(
    checkpoint: Checkpoint, cache: Cache, ids: Sequence[str], warnings: list[str], *, fold: int | None = None
) -> list[Side]:
    """Scored sides with blended tumours: every normal pair of `ids` once, tumours of women not used in training.

    Empty, with a warning, where there is no normal pair or no test tumour.
    """
    recipe = checkpoint.recipe
    try:
        tumours = tumours_of(cache, recipe.synthesis, "test")
    except (DatasetError, TrainingError) as error:
        warnings.append(f"no removal of synthetic lesions: {error.what}")
        return []
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    method = checkpoint.method.eval().to(device)
    cut = cam_cut(recipe.model.cam)
    sides: list[Side] = []
    for blended in blend(cache, ids, tumours, recipe.synthesis, batch=recipe.train.batch):
        answered = answer(method, blended.batch, device)
        for number, pair in enumerate(blended.pairs):
            pictures = pictures_of(answered, number, blended.lesion[number], cache.arrays(pair.id).image)
            seen = score_pair(pair, pictures, answered, number, cut, fold)
            sides += [side for side in seen.sides if side.label == 1]
    return sides


@dataclass(frozen=True)
class Blended:
    """A batch of normal pairs with tumours blended in."""

    batch: PairBatch
    pairs: tuple[CachedPair, ...]
    """Their records, with the tumours as findings."""
    lesion: npt.NDArray[np.bool_]
    """(B, 2, H, W) the blended places, right first."""


def blend(
    cache: Cache, ids: Sequence[str], tumours: TumourSet, settings: SynthesisSettings, *, batch: int
) -> Iterator[Blended]:
    """Each normal pair of `ids` once, with tumours of one kind; the kinds take turns, so that each can be told apart.

    Raises TrainingError if `tumours` holds none of a test woman.
    """
    normal = [name for name in ids if cache.pair(name).asymmetric is False]
    kinds = sorted({tumour.kind for tumour in tumours.tumours})
    known = {kind.value: kind for kind in FindingKind}
    for number, kind in enumerate(kinds):
        part = replace(tumours, tumours=tuple(tumour for tumour in tumours.tumours if tumour.kind == kind))
        for made in synthetic_test_pairs(cache, normal[number :: len(kinds)], part, settings, batch=batch):
            lesion = _lesion(made)
            records = tuple(
                _record(cache.pair(name), both, known.get(kind)) for name, both in zip(made.ids, lesion, strict=True)
            )
            yield Blended(made, records, lesion)


def _record(pair: CachedPair, lesion: npt.NDArray[np.bool_], kind: FindingKind | None) -> CachedPair:
    right, left = (_findings(mask, kind) for mask in lesion)
    return replace(pair, findings=Sides(right, left), abnormal=Sides(bool(right), bool(left)))


def _lesion(batch: PairBatch) -> npt.NDArray[np.bool_]:
    """(B, 2, H, W), right first."""
    if batch.lesion is None:
        return np.zeros((batch.pairs, 2, *batch.image.shape[2:]), bool)
    both: npt.NDArray[np.bool_] = (
        batch.lesion.view(2, batch.pairs, *batch.lesion.shape[2:]).transpose(0, 1).cpu().numpy()
    )
    return both


def _findings(mask: npt.NDArray[np.bool_], kind: FindingKind | None) -> tuple[CachedFinding, ...]:
    """One for each connected part, with its box."""
    found = []
    for rows, columns in find_objects(label(mask)[0]):
        found.append(CachedFinding(kind=kind, box=Box(columns.start, rows.start, columns.stop, rows.stop)))
    return tuple(found)

"""Removal on real pictures: unseen tumours blended into normal pairs, whose own pixels are then the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import find_objects, label

from disasymnet.checkpoint import Checkpoint
from disasymnet.data.batch import PairBatch
from disasymnet.data.cache import Cache
from disasymnet.data.loader import synthetic_test_pairs, tumours_of
from disasymnet.data.manifest import CachedFinding
from disasymnet.errors import DatasetError, TrainingError
from disasymnet.evaluate.forward import answer, cam_cut, pictures_of, score_pair
from disasymnet.evaluate.sides import Side
from disasymnet.records import Box, Sides
from disasymnet.terms import FindingKind

SYNTHETIC = "test tumours blended into normal pairs: the pictures before"


def look_at_synthetic(
    checkpoint: Checkpoint, cache: Cache, ids: Sequence[str], warnings: list[str], *, fold: int | None = None
) -> list[Side]:
    """Scored sides with blended tumours: every normal pair of `ids` once, tumours of women not used in training.

    Empty, with a warning, where there is no normal pair or no test tumour.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    method = checkpoint.method.eval().to(device)
    cut = cam_cut(checkpoint.recipe.model.cam)
    sides: list[Side] = []
    for fake, kind in _batches(checkpoint, cache, ids, warnings):
        answered = answer(method, fake, device)
        for number, name in enumerate(fake.ids):
            lesion = _lesion(fake, number)
            right, left = (_findings(mask, kind) for mask in lesion)
            pair = cache.pair(name)
            pair = replace(pair, findings=Sides(right, left), abnormal=Sides(bool(right), bool(left)))
            pictures = pictures_of(answered, number, lesion, cache.arrays(name).image)
            seen = score_pair(pair, pictures, answered, number, cut, fold)
            sides += [side for side in seen.sides if side.label == 1]
    return sides


def _batches(
    checkpoint: Checkpoint, cache: Cache, ids: Sequence[str], warnings: list[str]
) -> Iterator[tuple[PairBatch, FindingKind | None]]:
    """Each normal pair with test tumours of one kind; the kinds take turns, so that each can be told apart."""
    recipe = checkpoint.recipe
    try:
        tumours = tumours_of(cache, recipe, "test")
    except (DatasetError, TrainingError) as error:
        warnings.append(f"no removal of synthetic lesions: {error.what}")
        return
    normal = [name for name in ids if cache.pair(name).asymmetric is False]
    kinds = sorted({tumour.kind for tumour in tumours.tumours})
    known = {kind.value: kind for kind in FindingKind}
    for number, kind in enumerate(kinds):
        part = replace(tumours, tumours=tuple(tumour for tumour in tumours.tumours if tumour.kind == kind))
        share = normal[number :: len(kinds)]
        for batch in synthetic_test_pairs(cache, share, part, recipe.synthesis, batch=recipe.train.batch):
            yield batch, known.get(kind)


def _lesion(batch: PairBatch, number: int) -> npt.NDArray[np.bool_]:
    """(2, H, W) blended places of pair `number`, right first."""
    if batch.lesion is None:
        return np.zeros((2, *batch.image.shape[2:]), bool)
    both: npt.NDArray[np.bool_] = batch.lesion[[number, batch.pairs + number], 0].cpu().numpy()
    return both


def _findings(mask: npt.NDArray[np.bool_], kind: FindingKind | None) -> tuple[CachedFinding, ...]:
    """One for each connected part, with its box."""
    found = []
    for rows, columns in find_objects(label(mask)[0]):
        found.append(CachedFinding(kind=kind, box=Box(columns.start, rows.start, columns.stop, rows.stop)))
    return tuple(found)

"""Which pairs of a cache a run may be asked about, and by which of its models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from disasymnet import checkpoint
from disasymnet.checkpoint import Checkpoint
from disasymnet.data.cache import Cache
from disasymnet.data.partners import NOTE
from disasymnet.errors import CacheError, CheckpointError

SPLITS = ("train", "val", "test", "all")


@dataclass(frozen=True)
class Part:
    """A model and the pairs that it may be asked about."""

    checkpoint: Checkpoint
    ids: list[str]
    fold: int | None = None


def parts_of(run: Path, cache: Cache, split: str, warnings: list[str]) -> list[Part]:
    """The models of a run, or of a run of k folds, each with the pairs of `split` that it has not learned from.

    CheckpointError, CacheError where run, cache and split do not fit; what is only doubtful is added to `warnings`.
    """
    if split not in SPLITS:
        raise CacheError(f"there is no split {split!r}", hint="Splits are " + ", ".join(SPLITS) + ".")
    folds = sorted(run.glob("fold-*"), key=lambda path: int(path.name.removeprefix("fold-")))
    if not folds:
        one = checkpoint.load(run)
        return [Part(one, _ids(one, cache, split, warnings))]
    if split != "test":
        raise CheckpointError(
            "the folds of a run can only be asked about their test pairs", where=run, hint="Take --split test."
        )
    parts = []
    for folder in folds:
        one = checkpoint.load(folder)
        if one.card.cache != cache.digest:
            raise CacheError(
                "these folds were trained on another cache: its folds are not this one's",
                where=folder,
                hint="Give the cache that the run was trained on.",
            )
        parts.append(Part(one, _ids(one, cache, split, warnings), one.recipe.data.fold))
    if len(folds) != parts[0].checkpoint.recipe.data.folds:
        warnings.append(f"{len(folds)} of {parts[0].checkpoint.recipe.data.folds} folds are there")
    twice = len({name for part in parts for name in part.ids}) < sum(len(part.ids) for part in parts)
    if twice:
        raise CheckpointError("two of the folds are the same", where=run)
    return parts


def _ids(one: Checkpoint, cache: Cache, split: str, warnings: list[str]) -> list[str]:
    made, wanted = cache.image, one.recipe.image
    if (made.height, made.width) != (wanted.height, wanted.width):
        raise CacheError(
            f"the cache is {made.height} x {made.width}, the model wants {wanted.height} x {wanted.width} pixels",
            where=cache.path,
            hint="Prepare a cache with the model's image settings.",
        )
    if one.card.cache != cache.digest and (made.scale, made.pixel_mm) != (wanted.scale, wanted.pixel_mm):
        warnings.append(
            f"the cache has scale {made.scale} ({made.pixel_mm:.3g} mm), the model {wanted.scale} "
            f"({wanted.pixel_mm:.3g} mm)"
        )
    data = one.recipe.data
    if data.partners == "strangers" and NOTE not in warnings:
        warnings.append(NOTE)
    if one.card.cache == cache.digest:
        if split == "all":
            raise CacheError("the model has learned from this cache", hint="Take --split test.")
        return cache.redrawn(data.shares).split(split, data.folds, data.fold, inner=data.inner)
    if one.card.dataset == cache.dataset and cache.dataset != "phantom":
        warnings.append(
            f"the model was trained on another cache of {cache.dataset}: its training pairs may be among these"
        )
    if split == "all":
        return [pair.id for pair in cache.pairs]
    return cache.split(split)

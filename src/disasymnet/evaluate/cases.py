"""The pairs of the counterfactual benchmark: what a row is shown, and the lesion-free truth that it is measured by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from disasymnet.data.batch import Labels, PairBatch
from disasymnet.data.cache import Cache
from disasymnet.data.loader import tumours_of
from disasymnet.data.manifest import CachedPair
from disasymnet.data.tumours import TumourSet
from disasymnet.errors import CacheError
from disasymnet.evaluate.synthetic import SYNTHETIC, Blended, blend
from disasymnet.evaluate.tables import spaced
from disasymnet.settings import SynthesisSettings

Floats = npt.NDArray[np.float32]
Masks = npt.NDArray[np.bool_]

PHANTOM = "phantoms: the same breasts without their lesions"
WITH_TUMOURS = "-blended"
"""Ends the name of a case whose pair has tumours blended in; the pair as it is has the pair's own id."""


@dataclass(frozen=True)
class Case:
    """One pair; arrays are (2, H, W) on the model grid, right first, chest wall at column 0."""

    name: str
    pair: CachedPair
    """Labels and findings are those of `image`."""
    image: Floats
    """Grey in [0, 1], 0 outside the breast."""
    truth: Floats
    """`image` without its lesions; the same on normal sides."""
    lesion: Masks
    breast: Masks


@dataclass(frozen=True)
class Cases:
    """All cases of a benchmark, the same in the same order each time they are asked for."""

    cache: Cache
    ids: tuple[str, ...]
    tumours: TumourSet | None
    """Blended into normal pairs; None on phantoms, which bring lesions and truth of their own."""

    @classmethod
    def of(cls, cache: Cache, ids: Sequence[str], tumours: Path | None = None) -> Cases:
        """Phantoms as they are; of other data the normal pairs, with test tumours of the folder or else the cache.

        CacheError if no truth can be had, TrainingError or DatasetError if the tumours do not serve.
        """
        known = any(cache.arrays(name).lesion_free is not None for name in ids)
        if known and tumours is None:
            return cls(cache, tuple(ids), None)
        if cache.tumours is None and tumours is None:
            raise CacheError(
                "no lesion-free truth is known here, and there are no tumours to blend into normal pairs",
                where=cache.path,
                hint="Give a tumour set with --tumours T; `disasymnet tumours` cuts one out of another data set.",
            )
        settings = SynthesisSettings(tumours=None if tumours is None else str(tumours))
        normal = [name for name in ids if cache.pair(name).asymmetric is False]
        if not normal:
            raise CacheError("there is no normal pair to blend tumours into", where=cache.path)
        return cls(cache, tuple(normal), tumours_of(cache, settings, "test"))

    @property
    def truth(self) -> str:
        """Where the truth comes from, in words."""
        return PHANTOM if self.tumours is None else SYNTHETIC

    def batches(self, size: int = 8) -> Iterator[list[Case]]:
        """At most 2 x `size` cases at a time: with blended tumours each pair comes twice, with and without."""
        if self.tumours is None:
            for first in range(0, len(self.ids), size):
                yield [self._own(name) for name in self.ids[first : first + size]]
            return
        for blended in blend(self.cache, self.ids, self.tumours, SynthesisSettings(), batch=size):
            yield [case for number in range(len(blended.pairs)) for case in self._twice(blended, number)]

    def chosen(self, count: int) -> list[str]:
        """Names of `count` cases with a lesion for the pictures, evenly spaced in the order of the pairs' ids."""
        if self.tumours is not None:
            return [name + WITH_TUMOURS for name in spaced(sorted(self.ids), count)]
        return spaced(sorted(name for name in self.ids if self.cache.arrays(name).lesion.any()), count)

    def _own(self, name: str) -> Case:
        arrays = self.cache.arrays(name)
        free = arrays.image if arrays.lesion_free is None else arrays.lesion_free
        return Case(name, self.cache.pair(name), _grey(arrays.image), _grey(free), arrays.lesion, arrays.breast)

    def _twice(self, blended: Blended, number: int) -> tuple[Case, Case]:
        batch, pair = blended.batch, blended.pairs[number]
        assert batch.real is not None
        image, real = (_both(stack, number).astype(np.float32) for stack in (batch.image, batch.real))
        breast = _both(batch.breast, number).astype(np.bool_)
        plain = self.cache.pair(pair.id)
        nothing = np.zeros_like(breast)
        return (
            Case(pair.id + WITH_TUMOURS, pair, image, real, blended.lesion[number], breast),
            Case(pair.id, plain, real, real, nothing, breast),
        )


def batch_of(cases: Sequence[Case], images: Sequence[Floats] | None = None) -> PairBatch:
    """The cases as a batch; `images`: other pictures of the same breasts, (2, H, W) each."""
    shown = [case.image for case in cases] if images is None else images
    side = [float("nan") if each is None else float(each) for case in cases for each in case.pair.abnormal]
    labels = torch.tensor(side).view(-1, 2).T.reshape(-1)
    return PairBatch(
        image=_stack([np.asarray(each, dtype=np.float32) for each in shown]),
        breast=_stack([case.breast for case in cases]),
        labels=Labels.of_sides(labels),
        ids=tuple(case.name for case in cases),
    )


def _stack(pairs: Sequence[npt.NDArray[np.float32] | npt.NDArray[np.bool_]]) -> Tensor:
    """B arrays (2, H, W) -> (2B, 1, H, W), right sides first."""
    return torch.from_numpy(np.concatenate([np.stack([pair[side] for pair in pairs]) for side in (0, 1)])).unsqueeze(1)


def _grey(stored: npt.NDArray[np.uint16]) -> Floats:
    return stored.astype(np.float32) / np.float32(65535)


def _both(stack: Tensor, number: int) -> npt.NDArray[Any]:
    """(2B, 1, H, W) -> (2, H, W) of pair `number`."""
    found: npt.NDArray[Any] = stack[[number, len(stack) // 2 + number], 0].cpu().numpy()
    return found

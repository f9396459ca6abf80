"""The stream of batches: cached pairs, augmented, some with tumours blended in.

What a batch holds depends on the seed, the epoch and its pairs, never on what was computed before: a training goes on
from any batch, and the number of processes changes nothing but who computes which pair.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from disasymnet.data import augment, synthesis
from disasymnet.data.batch import Labels, PairBatch
from disasymnet.data.cache import Cache, CachedPair
from disasymnet.data.partners import with_strangers
from disasymnet.data.seeds import generator, shuffled
from disasymnet.data.tumours import TumourSet
from disasymnet.errors import CacheError, TrainingError
from disasymnet.recipe import Recipe
from disasymnet.settings import SynthesisSettings

CPU = torch.device("cpu")
J = TypeVar("J")
R = TypeVar("R")


class Loader:
    """Batches of a cache's pairs: shuffled, augmented and synthesised for training, else plain and in order."""

    notes: tuple[str, ...]
    """What was left out or assumed."""
    cache: Cache
    """What the batches are made of: the cache, or a view of it where the recipe exchanges partners."""

    def __init__(
        self,
        cache: Cache,
        ids: Sequence[str],
        recipe: Recipe,
        training: bool,
        *,
        device: torch.device = CPU,
        process: tuple[int, int] = (0, 1),
        ahead: int = 0,
    ) -> None:
        """`process` = (rank, count): the pairs of each training batch are shared out among so many processes.

        `ahead`: threads that make batches ahead, for training steps that leave the processor idle; 0: none.

        Raises CacheError for an unknown id or another size than the recipe's, TrainingError if there are fewer pairs
        than one batch or Synthesis has no tumours, DatasetError if they come from the data set itself.
        """
        _check_size(cache, recipe)
        control: list[str] = []
        if recipe.data.partners == "strangers":
            cache, control = with_strangers(cache, ids)
        self.cache = cache
        pairs = [cache.pair(name) for name in ids]
        known = [pair for pair in pairs if set(pair.abnormal) != {None}] if training else pairs
        notes = control
        if len(known) < len(pairs):
            notes.append(f"{len(pairs) - len(known)} pairs without any label take no part")
        self._recipe, self._training, self._device, self._process = recipe, training, device, process
        self._ahead = ahead
        self._pairs = {pair.id: pair for pair in known}
        self._symmetric = sorted(pair.id for pair in known if pair.asymmetric is False)
        self._tumours = tumours_of(cache, recipe.synthesis) if training and recipe.synthesis.on else None
        if training and len(known) < recipe.train.batch:
            raise TrainingError(
                f"{len(known)} pairs with a label do not fill a batch of {recipe.train.batch}",
                where=cache.path,
                hint="Take a smaller train.batch or prepare more pairs.",
            )
        if self._tumours is not None:
            notes += self._tumours.notes
            unknown = sum(pair.pixel_mm is None for pair in known)
            if unknown:
                notes.append(
                    f"{unknown} pairs without pixel size: tumours scaled as if it were {cache.image.pixel_mm} mm"
                )
        self.notes = tuple(notes)

    def __len__(self) -> int:
        """Batches of an epoch. Training leaves out what does not fill a batch: other pairs in each epoch."""
        count = len(self._pairs) / self._recipe.train.batch
        return math.floor(count) if self._training else math.ceil(count)

    @property
    def pairs(self) -> int:
        """Pairs that take part."""
        return len(self._pairs)

    def batches(self, epoch: int, start: int = 0) -> Iterator[PairBatch]:
        """The epoch's batches from number `start` on; those before it are not computed."""
        seed, size = self._recipe.train.seed, self._recipe.train.batch
        order = shuffled(self._pairs, seed, epoch) if self._training else list(self._pairs)
        jobs = [(number, order[number * size : (number + 1) * size]) for number in range(start, len(self))]
        yield from made_ahead(partial(self._batch, epoch), jobs, self._ahead)

    def _batch(self, epoch: int, job: tuple[int, Sequence[str]]) -> PairBatch:
        number, names = job
        if not self._training:
            return collate(self.cache, [self._pairs[name] for name in names], self._device)
        rank, count = self._process
        own = names[rank::count]
        if self._tumours is None:
            return self._made(epoch, "main", own, frozenset())
        # Drawn for the whole batch and then shared out, or each process would meet a share of its own pairs.
        if self._recipe.synthesis.mode == "replace":
            return self._made(epoch, "main", own, self._chosen(epoch, names))
        batch, extra = self._made(epoch, "main", own, frozenset()), self._extra(epoch, number, len(names))[rank::count]
        return replace(batch, extra=self._made(epoch, f"extra {number}", extra, frozenset(extra)) if extra else None)

    def _made(self, epoch: int, purpose: str, names: Sequence[str], chosen: frozenset[str]) -> PairBatch:
        """The pairs augmented, then (onto the same pixels) tumours in those chosen."""
        seed, settings = self._recipe.train.seed, self._recipe.synthesis
        pairs = [self._pairs[name] for name in names]
        changes = [
            augment.draw(generator(seed, epoch, purpose, name, "augment"), self._recipe.augment) for name in names
        ]
        batch = augment.apply(collate(self.cache, pairs, self._device), changes)
        if self._tumours is None or not chosen:
            return batch
        breast = _masks(batch)
        placements = [
            synthesis.draw(
                generator(seed, epoch, purpose, pair.id, "synthesis"),
                breast[:, number],
                self._tumours,
                settings,
                (pair.pixel_mm or self.cache.image.pixel_mm) / change.zoom,
            )
            if pair.id in chosen
            else ()
            for number, (pair, change) in enumerate(zip(pairs, changes, strict=True))
        ]
        return synthesis.synthesise(batch, placements, settings) if any(placements) else batch

    def _chosen(self, epoch: int, names: Sequence[str]) -> frozenset[str]:
        """`share` of the batch's symmetric pairs; what is over a whole number is given by chance, so that it is met."""
        seed = self._recipe.train.seed
        symmetric = shuffled((name for name in names if self._pairs[name].asymmetric is False), seed, epoch, "chosen")
        if not symmetric:
            return frozenset()
        chance = float(generator(seed, epoch, symmetric[0], "share").random())
        return frozenset(symmetric[: math.floor(self._recipe.synthesis.share * len(symmetric) + chance)])

    def _extra(self, epoch: int, number: int, pairs: int) -> list[str]:
        """Symmetric pairs of the whole training part for a second forward, B_fake = share x B."""
        count = min(math.floor(self._recipe.synthesis.share * pairs + 0.5), len(self._symmetric))
        # The 0 of the key stands for nothing; without it the draws of trainings that are under way would be others.
        return shuffled(self._symmetric, self._recipe.train.seed, epoch, number, 0, "extra")[:count]


def made_ahead(work: Callable[[J], R], jobs: Iterable[J], threads: int) -> Iterator[R]:
    """The results in order, the next of them made by other threads while one is used; 0 threads: made when asked for.

    Ends cleanly when closed.
    """
    if not threads:
        yield from map(work, jobs)
        return
    with ThreadPoolExecutor(threads, "ahead") as pool:
        waiting: deque[Future[R]] = deque()
        for job in jobs:
            waiting.append(pool.submit(work, job))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def collate(cache: Cache, pairs: Sequence[CachedPair], device: torch.device = CPU) -> PairBatch:
    """The pairs as they are in the cache, with their labels and lesion masks."""
    arrays = [cache.arrays(pair.id) for pair in pairs]
    grey = np.stack([one.image[side] for side in (0, 1) for one in arrays]).astype(np.float32)
    grey /= 65535
    breast, lesion = (
        np.stack([getattr(one, name)[side] for side in (0, 1) for one in arrays]) for name in ("breast", "lesion")
    )
    truth = [label for side in zip(*(pair.abnormal for pair in pairs), strict=True) for label in side]
    side = torch.tensor([math.nan if label is None else float(label) for label in truth], dtype=torch.float32)
    batch = PairBatch(
        image=torch.from_numpy(grey).unsqueeze(1),
        breast=torch.from_numpy(breast).unsqueeze(1),
        labels=Labels.of_sides(side),
        ids=tuple(pair.id for pair in pairs),
        lesion=torch.from_numpy(lesion).unsqueeze(1),
    )
    return batch if device.type == "cpu" else batch.to(device)


def tumours_of(cache: Cache, settings: SynthesisSettings, split: str = "train") -> TumourSet:
    """One split of the tumour set that the settings name, or else of the cache's.

    Raises TrainingError if there is none, DatasetError if it was cut from the data set trained on.
    """
    tumours = cache.tumours if settings.tumours is None else TumourSet.read(Path(settings.tumours))
    if tumours is None:
        raise TrainingError(
            "Synthesis needs a tumour set, and the cache holds none",
            where=cache.path,
            hint="Set synthesis.tumours to a folder, prepare with one, or set synthesis.on = false.",
        )
    tumours.check_source(cache.dataset, allowed=settings.same_source, only=settings.sources)
    part = tumours.part(split)
    if not part.tumours:
        raise TrainingError(f"the tumour set has no {split} tumours", where=settings.tumours or cache.path)
    return part


def synthetic_test_pairs(
    cache: Cache, ids: Sequence[str], tumours: TumourSet, settings: SynthesisSettings, *, seed: int = 0, batch: int = 8
) -> Iterator[PairBatch]:
    """Real symmetric pairs with lesions blended in, whose normal truth (`real`) is known: for scores of removal.

    The symmetric pairs among `ids`, in order, not augmented; lesions from the test women of `tumours` only. The same
    for the same seed, whatever the batch. Raises TrainingError if no crop is one of a test woman.
    """
    held_out = tumours.part("test")
    if not held_out.tumours:
        raise TrainingError("the tumour set has no test tumours", where=cache.path)
    pairs = [pair for pair in map(cache.pair, ids) if pair.asymmetric is False]
    for first in range(0, len(pairs), batch):
        part = pairs[first : first + batch]
        plain = collate(cache, part)
        breast = _masks(plain)
        placements = [
            synthesis.draw(
                generator(seed, "test", pair.id),
                breast[:, number],
                held_out,
                settings,
                pair.pixel_mm or cache.image.pixel_mm,
            )
            for number, pair in enumerate(part)
        ]
        yield synthesis.synthesise(plain, placements, settings)


def _masks(batch: PairBatch) -> NDArray[np.bool_]:
    """(2, B, H, W) breast masks, right first."""
    masks: NDArray[np.bool_] = batch.breast.view(2, batch.pairs, *batch.breast.shape[2:]).cpu().numpy()
    return masks


def _check_size(cache: Cache, recipe: Recipe) -> None:
    made, wanted = cache.image, recipe.image
    if (made.height, made.width) != (wanted.height, wanted.width):
        raise CacheError(
            f"the cache is {made.height} x {made.width}, the recipe asks for {wanted.height} x {wanted.width}",
            where=cache.path,
            hint=f"Set image.height={made.height} and image.width={made.width}, or prepare at the recipe's size.",
        )

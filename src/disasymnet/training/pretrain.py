"""Pre-training of the trunk as a lesion detector on boxes, in two phases: crops, then larger crops and hard negatives.

Another data set's boxes are allowed where the method itself may see no location label: they say nothing of its pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from disasymnet.data.cache import Cache
from disasymnet.data.manifest import Cached
from disasymnet.data.seeds import generator
from disasymnet.errors import TrainingError
from disasymnet.metrics.classification import auc
from disasymnet.progress import Say
from disasymnet.recipe import Recipe
from disasymnet.settings import PretrainSettings
from disasymnet.training.crops import Crops, Picture, cell_truth, pictures_of
from disasymnet.training.detector import Detector, Maps, load_detector, zero_shot
from disasymnet.training.device import Place, take_place, wait_for_all
from disasymnet.training.loop import begin, card_of, is_done, with_grid_of
from disasymnet.training.start import DETECTOR, boxes_behind, start
from disasymnet.training.steps import Rate
from disasymnet.training.task import Task, TrainOptions, Validation

__all__ = ["Detector", "Maps", "load_detector", "pretrain", "zero_shot"]

WEIGHT_DECAY = 0.01  # AdamW's usual
BLOCK = 100  # steps that stand for an epoch in log and checkpoints
LOOKS = 6  # validations of a whole pre-training
POINTS = 3  # background cells of each validation picture


def pretrain(recipe: Recipe, cache: Cache, out: Path, options: TrainOptions, say: Say) -> Path:
    """Train the recipe's encoder with a 1x1 lesion head on the boxes of a cache into the run folder `out`.

    Checkpoint: `encoder.*` and `head.*` under the method name `detector`; `train --init RUN` starts from it. Raises
    TrainingError where the cache has no boxes, and as `train` does.
    """
    place = take_place(options.device, options.threads)
    quiet = say if place.first else (lambda _: None)
    recipe = with_grid_of(cache, recipe, quiet).model_copy(update={"method": DETECTOR})
    if is_done(out, recipe, cache.digest, options, quiet):
        return out
    wait_for_all(place)
    cache = cache.redrawn(recipe.data.shares)
    return begin(_task(recipe, cache, options, place, quiet), recipe, out, options, place, quiet)


def _task(recipe: Recipe, cache: Cache, options: TrainOptions, place: Place, say: Say) -> Task:
    settings = recipe.pretrain
    pictures, notes = pictures_of(cache, "train")
    looked_at, more = pictures_of(cache, "val")
    for note in (*notes, *more):
        say(note)
    with_lesion = sum(len(picture.boxes) > 0 for picture in pictures)
    if not with_lesion:
        raise TrainingError(
            "no training picture has a box", where=cache.path, hint="A `table` with a boxes column brings them."
        )
    say(f"{len(pictures)} training pictures, {with_lesion} with boxes; {len(looked_at)} for validation")
    torch.manual_seed(recipe.train.seed)
    detector = Detector(recipe)
    chosen = options.init is not None or recipe.model.encoder.weights != "none"
    started = start(detector, recipe.model.encoder, options.init, say) if chosen else "random weights"
    blocks = max(1, round((settings.steps + settings.hard_steps) / BLOCK))
    length = -(-(settings.steps + settings.hard_steps) // blocks)
    train = recipe.train.model_copy(
        update={
            "epochs": blocks,
            "batch": settings.batch,
            "accumulate": 1,
            "decay_at": (),
            "optimisers": 1,
            "weight_decay": WEIGHT_DECAY,
            "validate_every": max(1, blocks // LOOKS),
            "freeze": (),  # what a later training holds is what this one teaches
            "keep_statistics": (),
        }
    )
    stride, process = recipe.model.encoder.stride, (place.rank, place.world)
    items: list[Cached] = [*cache.pairs, *cache.singles]
    return Task(
        detector,
        detector.objectives,
        Crops(cache, pictures, settings, stride, recipe.train.seed, length, process, place.makers),
        train,
        lambda total: two_cosines(settings, total),
        card_of(
            recipe,
            cache,
            [item for item in items if item.split == "train"],
            started,
            tuple(dict.fromkeys((cache.dataset, *boxes_behind(options.init)))),
        ),
        DetectorValidation(cache, tuple(looked_at), recipe) if looked_at else None,
        "adamw",
    )


def two_cosines(settings: PretrainSettings, total: int) -> Rate:
    """Half a cosine from `rate` to 0 over the first phase, and one from `hard_rate` over the second."""

    def rate(step: int) -> float:
        if step < settings.steps:
            return settings.rate * _half_cosine(step / settings.steps)
        return settings.hard_rate * _half_cosine((step - settings.steps) / max(1, total - settings.steps))

    return rate


def _half_cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class DetectorValidation:
    """Looks at whole pictures of women who do not teach."""

    cache: Cache
    pictures: tuple[Picture, ...]
    recipe: Recipe

    def __call__(self, method: nn.Module, place: Place, memory: dict[str, list[float]]) -> Validation:
        """`patch_auc`: lesion cells against background cells; `maximum_in_box`: share of pictures with boxes whose
        largest cell lies in one; `picture_auc`: largest cell of pictures with boxes against normal ones."""
        maps = self._maps(method, place)
        settings, stride = self.recipe.pretrain, self.recipe.model.encoder.stride
        label: list[float] = []
        score: list[float] = []
        hits: list[bool] = []
        for picture, cells in zip(self.pictures, maps, strict=True):
            rows, columns = cells.shape
            x, y = (np.arange(count, dtype=np.float64) * stride + 0.5 for count in (columns, rows))
            if len(picture.boxes):
                row, column = np.unravel_index(int(cells.argmax()), cells.shape)
                hits.append(_in_a_box(picture, float(x[column]), float(y[row])))
            for x0, y0, x1, y1 in picture.boxes:
                label.append(1.0)
                score.append(cells[np.abs(y - (y0 + y1) / 2).argmin(), np.abs(x - (x0 + x1) / 2).argmin()])
            breast = self.cache.arrays(picture.id).breast[picture.side][::stride, ::stride]
            free = np.flatnonzero((cell_truth(picture.boxes, x, y, settings.inner, settings.outer) == 0) & breast)
            random = generator("validation", picture.id, picture.side)
            for place_of in random.choice(free, min(POINTS, len(free)), replace=False):
                label.append(0.0)
                score.append(cells.flat[place_of])
        figures = {
            "patch_auc": auc(label, score),
            "maximum_in_box": float(np.mean(hits)) if hits else None,
            "picture_auc": auc([float(len(p.boxes) > 0) for p in self.pictures], [float(c.max()) for c in maps]),
        }
        return Validation(figures, None, {}, {})

    def _maps(self, method: nn.Module, place: Place, batch: int = 16) -> list[NDArray[np.float32]]:
        method.eval()
        found: list[NDArray[np.float32]] = []
        with torch.inference_mode():
            for first in range(0, len(self.pictures), batch):
                part: Sequence[Picture] = self.pictures[first : first + batch]
                arrays = [(self.cache.arrays(picture.id), picture.side) for picture in part]
                grey = np.stack([one.image[side] for one, side in arrays]).astype(np.float32) / 65535
                breast = np.stack([one.breast[side] for one, side in arrays])
                image, mask = (torch.from_numpy(stack)[:, None].to(place.device) for stack in (grey, breast))
                found += list(method(image, mask)[:, 0].float().cpu().numpy())
        return found


def _in_a_box(picture: Picture, x: float, y: float) -> bool:
    return any(x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in picture.boxes)

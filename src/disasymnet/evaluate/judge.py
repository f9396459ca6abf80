"""An independent classifier that looks at each row's x_n: what does it still see?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from disasymnet import checkpoint
from disasymnet.data.cache import Cache
from disasymnet.errors import CheckpointError
from disasymnet.evaluate.cases import Case, Cases, Floats, batch_of
from disasymnet.evaluate.parts import parts_of
from disasymnet.training.detector import load_detector
from disasymnet.training.start import DETECTOR


@dataclass(frozen=True)
class Judge:
    """A classifier of sides that is not the row's own."""

    score: Callable[[Sequence[Case], Sequence[Floats]], Floats]
    """Cases and a (2, H, W) picture of each -> (n, 2) logits; outside the breast it is shown the input."""
    about: dict[str, Any]

    def is_row(self, about: dict[str, Any]) -> bool:
        """The judge and the row are the same weights: no second opinion."""
        return bool(set(self.about["weights"]) & set(about.get("weights", ())))


def judge_of(run: Path, cases: Cases, split: str, warnings: list[str]) -> Judge:
    """A run with a side head (another seed, AsyC alone, ...) or a pre-trained detector (its largest cell).

    CheckpointError if it has no side head or may not be asked about all of the benchmark's pairs.
    """
    if checkpoint.read(_one(run)).recipe.method == DETECTOR:
        return _detector(run, cases.cache, warnings)
    parts = parts_of(run, cases.cache, split, warnings)
    ids = [set(part.ids) for part in parts]
    if not set(cases.ids) <= set().union(*ids):
        raise CheckpointError(
            "the judge may not be asked about all of these pairs: it has learned from some", where=run
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def score(chosen: Sequence[Case], pictures: Sequence[Floats]) -> Floats:
        logits = np.empty((len(chosen), 2), dtype=np.float32)
        for part, own in zip(parts, ids, strict=True):
            asked = [number for number, case in enumerate(chosen) if case.pair.id in own]
            if not asked:
                continue
            image, breast = _shown([chosen[n] for n in asked], [pictures[n] for n in asked], device)
            with torch.no_grad():
                side = part.checkpoint.method.eval().to(device)(image, breast).side_logit
            if side is None:
                raise CheckpointError("this method has no side head and cannot judge sides", where=run)
            logits[asked] = side.float().cpu().view(2, len(asked)).T.numpy()
        return logits

    return Judge(
        score,
        {
            "run": run.resolve().name,
            "method": parts[0].checkpoint.recipe.method,
            "weights": [part.checkpoint.card.weights[:12] for part in parts],
        },
    )


def _one(run: Path) -> Path:
    return run / "fold-0" if (run / "fold-0").is_dir() else run


def _detector(run: Path, cache: Cache, warnings: list[str]) -> Judge:
    stored = checkpoint.read(run)
    wanted = stored.recipe.image
    if cache.image.pixel_mm != wanted.pixel_mm:
        warnings.append(
            f"the judge learned at {wanted.pixel_mm:.3g} mm a pixel, the cache has {cache.image.pixel_mm:.3g}"
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    detector = load_detector(run).to(device)

    def score(chosen: Sequence[Case], pictures: Sequence[Floats]) -> Floats:
        with torch.no_grad():
            cells = detector(*_shown(chosen, pictures, device))
        highest: Floats = cells.float().cpu().amax((1, 2, 3)).view(2, len(chosen)).T.numpy()
        return highest

    return Judge(score, {"run": run.resolve().name, "method": DETECTOR, "weights": [stored.card.weights[:12]]})


def _shown(cases: Sequence[Case], pictures: Sequence[Floats], device: torch.device) -> tuple[Tensor, Tensor]:
    """(2B, 1, H, W) pictures and breast masks."""
    inside = [np.where(case.breast, picture, case.image) for case, picture in zip(cases, pictures, strict=True)]
    batch = batch_of(cases, inside).to(device)
    return batch.image, batch.breast

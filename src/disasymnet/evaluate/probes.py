"""A run asked about its pairs as they are, and as they are not: blanked, or beside another woman's breast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from disasymnet.data.batch import PairBatch
from disasymnet.data.cache import Cache
from disasymnet.data.loader import collate
from disasymnet.evaluate.parts import Part
from disasymnet.metrics.interval import Floats
from disasymnet.networks.encoder import GreyStatistics

Change = Callable[[PairBatch], PairBatch]


@dataclass(frozen=True)
class Answers:
    """What a run says of n pairs; columns of (n, 2) arrays are right and left."""

    ids: list[str]
    patients: list[str]
    side_label: Floats
    """(n, 2) 1, 0 or NaN."""
    label: Floats
    """(n,) asymmetric."""
    side: Floats | None
    """(n, 2) logits; None for a method without a side head."""
    pair: Floats | None
    """(n,) logits; None for a method without an asymmetry head."""
    cam_outside: Floats
    """(n, 2) share of the CAM's mass outside the breast; NaN for an empty CAM."""
    air: Floats
    """(n, 2) share of the picture outside the breast."""


def as_it_is(batch: PairBatch) -> PairBatch:
    """No change."""
    return batch


def only_air(batch: PairBatch) -> PairBatch:
    """Each breast blanked to its mean grey: outline, mean and everything outside the breast are left."""
    mean = GreyStatistics.of(batch.image, batch.breast).mean
    return replace(batch, image=torch.where(batch.breast, mean, batch.image))


def only_outline(batch: PairBatch) -> PairBatch:
    """Breast 0.5, air 0 in every picture: nothing but the outline is left."""
    return replace(batch, image=0.5 * batch.breast.float())


@torch.no_grad()
def ask(parts: Sequence[Part], cache: Cache, change: Change = as_it_is, *, batch: int = 8) -> Answers:
    """The answers of all parts' pairs, in their order, each pair by the model that has not seen its woman.

    The pairs are the cache's own, whatever partners the run was trained with.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows: dict[str, list[npt.NDArray[np.float32]]] = {}
    for part in parts:
        method = part.checkpoint.method.eval().to(device)
        for first in range(0, len(part.ids), batch):
            there = change(collate(cache, [cache.pair(name) for name in part.ids[first : first + batch]])).to(device)
            out = method(there.image, there.breast)
            mass, air = out.cam.sum((1, 2, 3)), ~there.breast
            found = {
                "side": out.side_logit,
                "pair": out.asymmetry_logit,
                "outside": torch.where(mass > 0, (out.cam * air).sum((1, 2, 3)) / mass, torch.nan),
                "air": air.float().mean((1, 2, 3)),
                "side_label": there.labels.side,
                "label": there.labels.asymmetric,
            }
            for name, values in found.items():
                if values is not None:
                    flat = values.float().cpu().numpy()
                    rows.setdefault(name, []).append(flat if len(flat) == there.pairs else flat.reshape(2, -1).T)
    ids = [name for part in parts for name in part.ids]

    def joined(name: str) -> Floats:
        return np.concatenate(rows[name]).astype(np.float64)

    return Answers(
        ids=ids,
        patients=[cache.pair(name).patient for name in ids],
        side_label=joined("side_label"),
        label=joined("label"),
        side=joined("side") if "side" in rows else None,
        pair=joined("pair") if "pair" in rows else None,
        cam_outside=joined("outside"),
        air=joined("air"),
    )

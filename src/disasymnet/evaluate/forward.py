"""A method over the pairs of a cache, in eval mode: pairs in, scored sides and a few kept pictures out."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from disasymnet.checkpoint import Checkpoint
from disasymnet.data.batch import PairBatch
from disasymnet.data.cache import Cache
from disasymnet.data.loader import Loader
from disasymnet.data.manifest import CachedPair
from disasymnet.evaluate.sides import (
    Pictures,
    Side,
    grid_mm,
    kind_of,
    lesions_of,
    removal_of,
    score_maps,
    signature,
)
from disasymnet.methods.base import Method, PairOutput
from disasymnet.methods.disasymnet import DisAsymNet
from disasymnet.metrics import localisation, reconstruction
from disasymnet.networks.encoder import GreyStatistics
from disasymnet.progress import track
from disasymnet.records import Sides
from disasymnet.settings import CamSettings

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Seen:
    """One pair, scored."""

    pair: CachedPair
    label: float
    logit: float | None
    """Of the asymmetry head; None for a method without one."""
    sides: Sides[Side]
    breast: npt.NDArray[np.bool_]
    """(2, about 64, about 32) outlines: for the outline baseline."""

    @property
    def derived(self) -> float | None:
        """The larger of the sides' logits: an asymmetry score for a method without an asymmetry head."""
        right, left = self.sides.right.logit, self.sides.left.logit
        return None if right is None or left is None else max(right, left)


@dataclass(frozen=True)
class Kept:
    """The pictures of one pair for the gallery, (2, H, W) on the model grid, right first."""

    pair: CachedPair
    side_probability: tuple[float | None, float | None]
    asymmetry_probability: float | None
    pictures: Sides[Pictures]


def cam_cut(settings: CamSettings) -> float:
    """M at or above this is "marked": 0.5 of a sigmoid CAM; of a min-max CAM where n >= 0.469, as HAM."""
    if settings.form == "sigmoid":
        return 0.5
    return float(1 / (1 + np.exp(-settings.slope * (localisation.MINMAX_CUT - settings.offset))))


@dataclass(frozen=True)
class Answered:
    """A batch with what the method said of it, all on the CPU."""

    batch: PairBatch
    out: PairOutput
    judged: Tensor | None
    """(2B,) side logits of the method on its own x_n; None without a decoder."""

    def row(self, number: int, side: int) -> int:
        """Where the right (0) or left (1) side of pair `number` stands in the stack of 2B."""
        return number + side * self.batch.pairs


def look_at(
    checkpoint: Checkpoint,
    cache: Cache,
    ids: Sequence[str],
    *,
    keep: dict[str, Kept] | None = None,
    wanted: Container[str] = (),
    fold: int | None = None,
) -> list[Seen]:
    """Every pair scored by the method; those `wanted` leave their pictures in `keep`."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    method = checkpoint.method.eval().to(device)
    loader = Loader(cache, list(ids), checkpoint.recipe, training=False)
    cache = loader.cache
    cut = cam_cut(checkpoint.recipe.model.cam)
    seen: list[Seen] = []
    for batch in track(loader.batches(0), "evaluating (batches)", len(loader)):
        answered = answer(method, batch, device)
        for number, name in enumerate(batch.ids):
            arrays = cache.arrays(name)
            pictures = pictures_of(answered, number, arrays.lesion, arrays.lesion_free)
            seen.append(score_pair(cache.pair(name), pictures, answered, number, cut, fold))
            if keep is not None and name in wanted:
                keep[name] = _kept(cache.pair(name), pictures, answered, number)
    return seen


@torch.no_grad()
def answer(method: Method, batch: PairBatch, device: torch.device) -> Answered:
    """The method's answers, and its second look at its own x_n."""
    there = batch.to(device)
    out: PairOutput = method(there.image, there.breast)
    judged = None
    if out.normal is not None and isinstance(method, DisAsymNet):
        statistics = GreyStatistics.of(there.image, there.breast)
        judged = method.judge(out.normal, there.breast, statistics).side_logit

    def home(value: Tensor | None) -> Tensor | None:
        return None if value is None else value.float().cpu()

    plain = PairOutput(
        home(out.side_logit),
        home(out.asymmetry_logit),
        out.cam.float().cpu(),
        home(out.normal),
        home(out.abnormal_part),
    )
    return Answered(batch.to(torch.device("cpu")), plain, home(judged))


def pictures_of(
    answered: Answered, number: int, lesion: npt.NDArray[np.bool_], truth: npt.NDArray[np.uint16] | None
) -> Sides[Pictures]:
    """What is seen and known of pair `number`; `lesion` and `truth` are (2, H, W), truth with 65535 = 1.0."""
    batch, out = answered.batch, answered.out

    def one(side: int) -> Pictures:
        row = answered.row(number, side)

        def plane(stack: Tensor | None) -> Floats | None:
            return None if stack is None else stack[row, 0].numpy()

        return Pictures(
            image=batch.image[row, 0].numpy(),
            breast=batch.breast[row, 0].numpy(),
            lesion=lesion[side],
            cam=out.cam[row, 0].numpy(),
            normal=plane(out.normal),
            abnormal_part=plane(out.abnormal_part),
            truth=None if truth is None else truth[side].astype(np.float32) / 65535,
        )

    return Sides(one(0), one(1))


def score_pair(
    pair: CachedPair, pictures: Sides[Pictures], answered: Answered, number: int, cut: float, fold: int | None
) -> Seen:
    """One pair scored; `cut` is the CAM's threshold."""
    batch, out = answered.batch, answered.out

    def one(side: int) -> Side:
        row = answered.row(number, side)
        judged = None if answered.judged is None else float(torch.sigmoid(answered.judged[row]))
        logit = None if out.side_logit is None else float(out.side_logit[row])
        blank = Side(pair, "RL"[side], float(batch.labels.side[row]), logit, fold, judged)
        return score_side(blank, (pictures.right, pictures.left)[side], cut)

    step = max(1, pictures.right.breast.shape[0] // 64)
    return Seen(
        pair=pair,
        label=float(batch.labels.asymmetric[number]),
        logit=None if out.asymmetry_logit is None else float(out.asymmetry_logit[number]),
        sides=Sides(one(0), one(1)),
        breast=np.stack([view.breast[::step, ::step] for view in pictures]),
    )


def score_side(side: Side, seen: Pictures, cut: float) -> Side:
    """The side with everything that its pictures and truth allow to be measured."""
    findings = side.pair.findings.right if side.laterality == "R" else side.pair.findings.left
    pixel_mm = grid_mm(side.pair, seen.breast.shape[0])
    side = replace(
        side,
        kinds=frozenset(kind_of(finding) for finding in findings),
        cam_outside=None if seen.cam is None else localisation.share_outside(seen.cam, seen.breast),
        signature=signature(seen),
    )
    if side.label == 0:
        return replace(side, change=None if seen.normal is None else _change(seen, seen.normal))
    if not seen.lesion.any():
        return side
    return replace(
        side,
        maps=score_maps(seen, pixel_mm, cut),
        lesions=lesions_of(seen, findings, pixel_mm),
        chance=float((seen.lesion & seen.breast).sum() / max(seen.breast.sum(), 1)),
        removal=removal_of(seen),
    )


def _change(seen: Pictures, normal: npt.NDArray[np.float32]) -> float:
    return reconstruction.change(seen.image, normal, seen.breast)


def _kept(pair: CachedPair, pictures: Sides[Pictures], answered: Answered, number: int) -> Kept:
    side, asymmetry = answered.out.side_logit, answered.out.asymmetry_logit
    return Kept(
        pair,
        (_probability(side, answered.row(number, 0)), _probability(side, answered.row(number, 1))),
        _probability(asymmetry, number),
        pictures,
    )


def _probability(logits: Tensor | None, row: int) -> float | None:
    return None if logits is None else float(torch.sigmoid(logits[row]))


def all_sides(seen: Iterable[Seen]) -> Iterator[Side]:
    """Right then left side of each pair."""
    for pair in seen:
        yield from pair.sides

"""Crops that teach the detector: half around a lesion's box, half anywhere in a breast.

What a crop shows depends on seed, step and its place in the batch alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from disasymnet.data.cache import Cache, PairArrays
from disasymnet.data.loader import made_ahead
from disasymnet.data.manifest import Cached, CachedFinding, CachedPair
from disasymnet.data.seeds import generator
from disasymnet.networks.encoder import GreyStatistics
from disasymnet.settings import PretrainSettings
from disasymnet.training.detector import CropBatch

ZOOM = (0.85, 1.18)
GAIN = (0.8, 1.25)  # about the picture's mean grey
OFFSET = 0.3  # of the picture's standard deviation, either way
GAMMA = (0.8, 1.25)
THIN = 4  # every fourth pixel either way is enough for a picture's statistics


@dataclass(frozen=True)
class Picture:
    """One side of a cached item, with its lesions' boxes (x0, y0, x1, y1) on the model grid; none: a normal side."""

    id: str
    side: int
    boxes: NDArray[np.float64]


def pictures_of(cache: Cache, split: str) -> tuple[list[Picture], list[str]]:
    """The pictures of a split whose lesions all have a place, and the normal ones; with a note on those left out."""
    found: list[Picture] = []
    left_out = 0
    items: list[Cached] = [*cache.pairs, *cache.singles]
    for item in items:
        if item.split != split:
            continue
        if isinstance(item, CachedPair):
            sides = list(zip(item.abnormal, item.findings, strict=True))
        else:
            sides = [(item.abnormal, item.findings)]
        for side, (abnormal, findings) in enumerate(sides):
            picture = _picture(item.id, side, abnormal, findings)
            found += [picture] if picture else []
            left_out += picture is None
    notes = [f"{left_out} {split} pictures whose lesions have no place, or without label, take no part"]
    return found, notes if left_out else []


def _picture(name: str, side: int, abnormal: bool | None, findings: Sequence[CachedFinding]) -> Picture | None:
    boxes = [finding.box for finding in findings]
    places = np.array([[b.x0, b.y0, b.x1, b.y1] for b in boxes if b is not None], dtype=np.float64).reshape(-1, 4)
    # A lesion without a place would be taught as background; a picture without any is background only if normal.
    if None in boxes or (not boxes and abnormal is not False):
        return None
    return Picture(name, side, places)


def cell_truth(
    boxes: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64], inner: float, outer: float
) -> NDArray[np.float32]:
    """(rows, columns) truth of cells at columns' x and rows' y: 1 inside `inner` times a box's ellipse, NaN up to
    `outer` times, else 0. The cell nearest to a box's centre is always 1, however small the lesion."""
    truth = np.zeros((len(y), len(x)), np.float32)
    if not len(x) or not len(y):
        return truth
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    radii = np.maximum((boxes[:, 2:] - boxes[:, :2]) / 2, 0.5)
    positive = np.zeros(truth.shape, bool)
    for (cx, cy), (rx, ry) in zip(centres, radii, strict=True):
        away = np.hypot((x[None, :] - cx) / rx, (y[:, None] - cy) / ry)
        truth[away < outer] = np.nan
        positive |= away < inner
        if x.min() <= cx <= x.max() and y.min() <= cy <= y.max():
            positive[np.abs(y - cy).argmin(), np.abs(x - cx).argmin()] = True
    truth[positive] = 1
    return truth


@dataclass
class Crops:
    """Batches of crops in two phases; `epochs` blocks of equal length stand for the epochs of the loop."""

    cache: Cache
    pictures: Sequence[Picture]
    settings: PretrainSettings
    stride: int
    seed: int
    length: int
    process: tuple[int, int] = (0, 1)
    ahead: int = 0
    """Threads that make batches ahead, for training steps that leave the processor idle; 0: none."""
    _open: dict[str, PairArrays] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._with_lesion = [picture for picture in self.pictures if len(picture.boxes)]

    def __len__(self) -> int:
        return self.length

    def batches(self, epoch: int, start: int = 0) -> Iterator[CropBatch]:
        """The crops of a block of steps from number `start` on."""
        steps = range(epoch * self.length + start, (epoch + 1) * self.length)
        yield from made_ahead(self.batch, steps, self.ahead)

    def batch(self, step: int) -> CropBatch:
        """The crops of one step."""
        hard = step >= self.settings.steps
        count = self.settings.hard_batch if hard else self.settings.batch
        rank, world = self.process
        made = [self._crop(step, index, hard) for index in range(rank, count, world)]
        pixels = torch.cat([crop.sampled() for crop in made])
        breast = pixels[:, 1:] > 0.5
        image, statistics = _grey(pixels[:, :1], made)
        truth = torch.stack([torch.from_numpy(crop.truth)[None] for crop in made])
        return CropBatch(image * breast, breast, statistics, truth, hard, tuple(crop.id for crop in made))

    def _crop(self, step: int, index: int, hard: bool) -> _Crop:
        random = generator(self.seed, "crop", step, index)
        around = index % 2 == 0
        among = self._with_lesion if around else self.pictures
        picture = among[int(random.integers(len(among)))]
        arrays = self._arrays(picture.id)
        breast = arrays.breast[picture.side]
        height, width = breast.shape
        size_mm = self.settings.hard_crop_mm if hard else self.settings.crop_mm
        side = max(1, round(size_mm / self.cache.image.pixel_mm / self.stride)) * self.stride
        h, w = min(side, height), min(side, width)
        zoom = float(np.exp(random.uniform(*np.log(ZOOM))))
        centre = _centre(random, picture, breast, around, (w / zoom / 4, h / zoom / 4))
        # Inside the picture where it fits: beyond the edge lies nothing that use would ever show.
        cx, cy = (
            float(np.clip(c, half, total - half)) if 2 * half <= total else total / 2
            for c, half, total in zip(centre, (w / zoom / 2, h / zoom / 2), (width, height), strict=True)
        )
        fx, fy = random.choice([-1.0, 1.0], 2)
        x = cx + fx * (np.arange(0, w, self.stride) + 0.5 - w / 2) / zoom
        y = cy + fy * (np.arange(0, h, self.stride) + 0.5 - h / 2) / zoom
        # Only the pixels that the crop shows: the whole picture would be copied for each crop.
        left, right = _reach(cx, w / zoom, width)
        top, bottom = _reach(cy, h / zoom, height)
        seen = (slice(top, bottom), slice(left, right))
        theta = [
            [fx * w / zoom / (right - left), 0, 2 * (cx - left) / (right - left) - 1],
            [0, fy * h / zoom / (bottom - top), 2 * (cy - top) / (bottom - top) - 1],
        ]
        thin = (slice(None, None, THIN), slice(None, None, THIN))
        window, statistics = (_grey_and_breast(arrays.image[picture.side], breast, part) for part in (seen, thin))
        gain, gamma = (float(np.exp(random.uniform(*np.log(span)))) for span in (GAIN, GAMMA))
        return _Crop(
            picture.id,
            window,
            statistics,
            torch.tensor(theta, dtype=torch.float32),
            cell_truth(picture.boxes, x, y, self.settings.inner, self.settings.outer),
            (gain, float(random.uniform(-OFFSET, OFFSET)), gamma),
            (h, w),
        )

    def _arrays(self, name: str) -> PairArrays:
        # Of a large cache these are maps of files; keeping them saves checking each digest again.
        if name not in self._open:
            self._open[name] = self.cache.arrays(name)
        return self._open[name]


@dataclass(frozen=True)
class _Crop:
    id: str
    window: Tensor
    """(2, rows, columns) grey and breast of the part of the picture that the crop shows."""
    thin: Tensor
    """(2, H / THIN, W / THIN) grey and breast of the whole picture, for its statistics."""
    theta: Tensor
    truth: NDArray[np.float32]
    grey: tuple[float, float, float]
    """Gain, offset, gamma."""
    size: tuple[int, int]

    def sampled(self) -> Tensor:
        """(1, 2, h, w) the crop, bilinear; nothing beyond the picture's edges."""
        grid = F.affine_grid(self.theta[None], [1, 2, *self.size], align_corners=False)
        return F.grid_sample(self.window[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _grey_and_breast(image: NDArray[np.uint16], breast: NDArray[np.bool_], part: tuple[slice, slice]) -> Tensor:
    """(2, rows, columns) float32: grey in [0, 1] and the mask."""
    return torch.from_numpy(np.stack([image[part].astype(np.float32) / 65535, breast[part].astype(np.float32)]))


def _reach(centre: float, length: float, total: int) -> tuple[int, int]:
    """First pixel and the one behind the last that a crop of this length needs, with one more for interpolation."""
    return max(0, int(centre - length / 2) - 2), min(total, int(centre + length / 2) + 3)


def _centre(
    random: np.random.Generator,
    picture: Picture,
    breast: NDArray[np.bool_],
    around: bool,
    reach: tuple[float, float],
) -> tuple[float, float]:
    """(x, y) of a crop's centre: a box's centre within `reach`, or any pixel of the breast."""
    if around:
        x0, y0, x1, y1 = picture.boxes[int(random.integers(len(picture.boxes)))]
        dx, dy = random.uniform(-1, 1, 2) * reach
        return float((x0 + x1) / 2 + dx), float((y0 + y1) / 2 + dy)
    inside = np.flatnonzero(breast)
    if not len(inside):
        return breast.shape[1] / 2, breast.shape[0] / 2
    row, column = divmod(int(inside[int(random.integers(len(inside)))]), breast.shape[1])
    return column + 0.5, row + 0.5


def _grey(image: Tensor, crops: Sequence[_Crop]) -> tuple[Tensor, GreyStatistics]:
    """Gamma, then gain about the whole picture's mean and offset; with the statistics that follow gamma.

    Gain and offset come behind the statistics on purpose: z-scores would undo them.
    """
    gain, offset, gamma = (torch.tensor(v)[:, None, None, None] for v in zip(*(c.grey for c in crops), strict=True))
    thin = torch.stack([crop.thin for crop in crops])
    known = GreyStatistics.of(thin[:, :1] ** gamma, thin[:, 1:] > 0.5)
    changed = known.mean + gain * (image**gamma - known.mean) + offset * known.std
    return changed.clamp(0, 1), known

"""E11, Synthesis: real tumours of another data set blended into symmetric pairs, whose normal truth is then known.

Drawn by a numpy generator beside the pair (`draw`), applied to a whole batch on its device (`blend`), after the
geometric augmentation: the picture before and the picture after lie on the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from disasymnet.data.batch import Labels, PairBatch
from disasymnet.data.tumours import Tumour, TumourSet
from disasymnet.settings import SynthesisSettings

MARKED = 0.25
"""Alpha above this counts as lesion where the blended region is scored."""
_TRIES = 20  # for a place that overlaps no other tumour; then fewer tumours
_RIM = 1 / 12  # of the patch's side: half of the margin between the lesion's box and the patch's edge
_SMALLEST_PX = 3


@dataclass(frozen=True)
class Placement:
    """One tumour, ready to be blended into one side of a pair."""

    pixels: NDArray[np.float32]
    """(h, w) grey in [0, 1], at the model grid's scale."""
    corner: tuple[int, int]
    """Row and column of the patch's first pixel; the patch may reach beyond the picture."""
    side: int
    """0 = right, 1 = left."""
    peak: float
    """Of the bell; alpha is cut at 1."""
    half: float
    """Half of the lesion box's longer side, pixels."""

    @property
    def centre(self) -> tuple[float, float]:
        """Row and column, centre of the first pixel at 0."""
        height, width = self.pixels.shape
        return self.corner[0] + (height - 1) / 2, self.corner[1] + (width - 1) / 2


@dataclass(frozen=True)
class Placements:
    """The K tumours of a batch. Sorted by slot; within one slot each side has one tumour at most."""

    patch: Tensor
    """(K, S, S) float32, the patch in the upper left, 0 beyond."""
    size: Tensor
    """(K, 2) int64 rows and columns of the patch."""
    corner: Tensor
    """(K, 2) int64."""
    row: Tensor
    """(K,) int64, the side in the stack of 2B, right sides first."""
    peak: Tensor
    """(K,) float32."""
    slots: tuple[int, ...]
    """Tumours in each slot."""
    sigma: float
    shift: bool
    """Bring each patch to the grey of its place."""

    @classmethod
    def of(
        cls, pairs: Sequence[Sequence[Placement]], settings: SynthesisSettings, device: torch.device | None = None
    ) -> Placements:
        """The placements of B pairs, in order, as tensors on the device."""
        rows: list[tuple[int, int, Placement]] = []
        for pair, placements in enumerate(pairs):
            for side in (0, 1):
                of_side = [placement for placement in placements if placement.side == side]
                rows += [(slot, pair + side * len(pairs), placement) for slot, placement in enumerate(of_side)]
        rows.sort(key=lambda entry: entry[:2])
        side_px = max((max(placement.pixels.shape) for *_, placement in rows), default=1)
        patch = np.zeros((len(rows), side_px, side_px), dtype=np.float32)
        for number, (_, _, placement) in enumerate(rows):
            height, width = placement.pixels.shape
            patch[number, :height, :width] = placement.pixels
        slots = [slot for slot, _, _ in rows]

        def whole(values: list[tuple[int, int]]) -> Tensor:
            return torch.tensor(values, dtype=torch.int64, device=device).view(-1, 2)

        return cls(
            patch=torch.from_numpy(patch).to(device),
            size=whole([placement.pixels.shape for *_, placement in rows]),
            corner=whole([placement.corner for *_, placement in rows]),
            row=torch.tensor([row for _, row, _ in rows], dtype=torch.int64, device=device),
            peak=torch.tensor([placement.peak for *_, placement in rows], dtype=torch.float32, device=device),
            slots=tuple(slots.count(slot) for slot in sorted(set(slots))),
            sigma=settings.sigma,
            shift=settings.harmonise == "shift",
        )


def draw(
    rng: np.random.Generator,
    breast: NDArray[np.bool_],
    tumours: TumourSet,
    settings: SynthesisSettings,
    pixel_mm: float,
) -> tuple[Placement, ...]:
    """Tumours for one symmetric pair: 1 to `most` on one side, or on both with probability `both_sides` [P].

    `breast` is (2, H, W), right first; a side without breast gets none. `pixel_mm` is the model grid's.
    """
    both, left = float(rng.random()) < settings.both_sides, float(rng.random()) < 0.5
    placements: list[Placement] = []
    for side in (0, 1) if both else (int(left),):
        count = int(rng.integers(1, settings.most + 1))
        placements += _draw_side(
            rng, breast[side], side, [_pick(rng, tumours) for _ in range(count)], settings, pixel_mm
        )
    return tuple(placements)


def blend(image: Tensor, breast: Tensor, placements: Placements) -> tuple[Tensor, Tensor]:
    """x_fake = x prod_k (1 - alpha_k) + sum_k t_k alpha_k, and its exact mask 1 - prod_k (1 - alpha_k).

    `image` (2B, 1, H, W) float32 in [0, 1], `breast` (2B, 1, H, W) bool. alpha_k =
    min(1, peak exp(-d^T Sigma^-1 d / 2)) with sigma in units of the patch's side along each axis, 0 outside the patch
    and the breast. x_fake is clipped to [0, 1] (tumours that overlap fully would add up); where alpha is 0 it is x, bit
    for bit.
    """
    sides, _, height, width = image.shape
    # One more element a side takes what falls outside the picture.
    shape = (sides, height * width + 1)
    x, inside, keep, added = (
        image.new_zeros(shape),
        image.new_zeros(shape),
        image.new_ones(shape),
        image.new_zeros(shape),
    )
    x[:, :-1] = image.flatten(1)
    inside[:, :-1] = breast.flatten(1)
    first = 0
    for count in placements.slots:
        part = slice(first, first + count)
        first += count
        row = placements.row[part].unsqueeze(1)
        place, alpha, rim = _window(placements, part, height, width)
        within = inside[row, place]
        patch = placements.patch[part].flatten(1)
        if placements.shift:
            patch = patch + _grey_shift(x[row, place], patch, rim & (within > 0))
        alpha = alpha * within
        keep[row, place] *= 1 - alpha
        added[row, place] += patch * alpha
    fake = (x * keep + added).clamp(0, 1)
    return fake[:, :-1].view_as(image), 1 - keep[:, :-1].view_as(image)


def synthesise(batch: PairBatch, placements: Sequence[Sequence[Placement]], settings: SynthesisSettings) -> PairBatch:
    """The batch with each pair's tumours blended in; pairs without any stay as they are.

    y^s = 1 for each side that got a tumour and y_asy = max (method: 1 in every case); `real` holds all pictures as they
    were, `lesion` the blended places.
    """
    stacked = Placements.of(placements, settings, batch.image.device)
    fake, alpha = blend(batch.image, batch.breast, stacked)
    touched = torch.zeros(2 * batch.pairs, dtype=torch.bool, device=batch.image.device)
    touched[stacked.row] = True
    blended = alpha > MARKED
    lesion = blended if batch.lesion is None else torch.where(touched.view(-1, 1, 1, 1), blended, batch.lesion)
    return replace(
        batch,
        image=fake,
        real=batch.image,
        labels=Labels.of_sides(batch.labels.side.masked_fill(touched, 1.0)),
        synthetic=touched[: batch.pairs] | touched[batch.pairs :],
        lesion=lesion,
    )


def _pick(rng: np.random.Generator, tumours: TumourSet) -> Tumour:
    return tumours.tumours[int(rng.integers(len(tumours)))]


def _draw_side(
    rng: np.random.Generator,
    breast: NDArray[np.bool_],
    side: int,
    tumours: Sequence[Tumour],
    settings: SynthesisSettings,
    pixel_mm: float,
) -> list[Placement]:
    sums = np.pad(breast.astype(np.int32).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    placed: list[Placement] = []
    for tumour in tumours:
        pixels, (box_w, box_h) = _patch(rng, tumour, settings, pixel_mm, breast.shape)
        peak = float(rng.uniform(*settings.peak))
        # Half a lesion from the skin; in a breast too small for that, anywhere.
        room = np.flatnonzero(_room(sums, round(box_h / 2), round(box_w / 2)))
        places = room if len(room) else np.flatnonzero(breast)
        if not len(places):
            continue
        for _ in range(_TRIES):
            y, x = divmod(int(places[int(rng.integers(len(places)))]), breast.shape[1])
            corner = (y - pixels.shape[0] // 2, x - pixels.shape[1] // 2)
            placement = Placement(pixels, corner, side, peak, max(box_w, box_h) / 2)
            if all(_apart(placement, other) for other in placed):
                placed.append(placement)
                break
    return placed


def _apart(one: Placement, other: Placement) -> bool:
    distance = np.hypot(one.centre[0] - other.centre[0], one.centre[1] - other.centre[1])
    return bool(distance > one.half + other.half)


def _room(sums: NDArray[np.int32], half_y: int, half_x: int) -> NDArray[np.bool_]:
    """(H, W): pixels whose box of +- half lies in the breast entirely. `sums` (H + 1, W + 1) counts breast pixels."""
    height, width = sums.shape[0] - 1, sums.shape[1] - 1
    room = np.zeros((height, width), dtype=np.bool_)
    tall, wide = 2 * half_y + 1, 2 * half_x + 1
    if tall <= height and wide <= width:
        count = sums[tall:, wide:] - sums[:-tall, wide:] - sums[tall:, :-wide] + sums[:-tall, :-wide]
        room[half_y : height - half_y, half_x : width - half_x] = count == tall * wide
    return room


def _patch(
    rng: np.random.Generator, tumour: Tumour, settings: SynthesisSettings, pixel_mm: float, frame: tuple[int, ...]
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """The crop turned, mirrored and brought to the model grid's scale, with its lesion's width and height there."""
    factor = tumour.pixel_mm / pixel_mm * float(rng.uniform(*settings.resize))
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    crop = np.rot90(tumour.pixels.astype(np.float32) / 65535, turns)
    crop = crop[:, ::-1] if mirrored else crop
    box = tumour.box if turns % 2 == 0 else tumour.box[::-1]
    # A crop larger than the picture would be nothing but lesion.
    factor = min(factor, min(frame) / max(crop.shape))
    height, width = (max(_SMALLEST_PX, round(side * factor)) for side in crop.shape)
    sized = Image.fromarray(np.ascontiguousarray(crop)).resize((width, height), Image.Resampling.BICUBIC)
    scale = (width / crop.shape[1], height / crop.shape[0])
    return np.asarray(sized).clip(0, 1), (box[0] * scale[0], box[1] * scale[1])


def _window(placements: Placements, part: slice, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of each patch (k, S * S): element of the flattened picture, alpha, and whether it belongs to the rim."""
    size, corner = placements.size[part], placements.corner[part]
    steps = torch.arange(placements.patch.shape[-1], device=size.device)
    rows, columns = (_axis(steps, size[:, axis], corner[:, axis], placements.sigma) for axis in (0, 1))
    y, x = rows.place.unsqueeze(2), columns.place.unsqueeze(1)
    valid = rows.valid.unsqueeze(2) & columns.valid.unsqueeze(1)
    valid = valid & (y >= 0) & (y < height) & (x >= 0) & (x < width)
    place = torch.where(valid, y * width + x, height * width)
    bell = rows.bell.unsqueeze(2) * columns.bell.unsqueeze(1)
    alpha = (placements.peak[part].view(-1, 1, 1) * bell).clamp(max=1) * valid
    rim = (rows.rim.unsqueeze(2) | columns.rim.unsqueeze(1)) & valid
    return place.flatten(1), alpha.flatten(1), rim.flatten(1)


@dataclass(frozen=True)
class _Axis:
    """Of each patch along one axis, (k, S)."""

    place: Tensor
    valid: Tensor
    bell: Tensor
    rim: Tensor


def _axis(steps: Tensor, size: Tensor, corner: Tensor, sigma: float) -> _Axis:
    size, corner = size.unsqueeze(1), corner.unsqueeze(1)
    offset = (steps - (size - 1) / 2) / (sigma * size)
    band = (size * _RIM).round().clamp(min=1)
    return _Axis(corner + steps, steps < size, torch.exp(-0.5 * offset**2), (steps < band) | (steps >= size - band))


def _grey_shift(x: Tensor, patch: Tensor, rim: Tensor) -> Tensor:
    """(k, 1) median of x under the patch's rim minus median of the rim itself; 0 where no rim lies in the breast."""
    under, own = (torch.where(rim, grey, torch.nan).nanmedian(1, keepdim=True).values for grey in (x, patch))
    return (under - own).nan_to_num(0)

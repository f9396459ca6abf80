"""The invertible map between a file's pixels and the model grid: flip, crop, scale, pad.

Both grids use continuous coordinates with the outer corner of the first pixel at (0, 0), so the centre of the first
pixel is (0.5, 0.5). The *flipped source* is the source after its flips; a model point (x, y) lies at
`origin + step * (x, y)` in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from disasymnet.records import Box, Circle

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Geometry:
    """Where each pixel of the model grid lies in the source, and back."""

    source_shape: tuple[int, int]
    """Rows, columns of the file."""
    model_shape: tuple[int, int]
    """Rows, columns of the model grid."""
    flip_x: bool
    flip_y: bool
    step: tuple[float, float]
    """Source pixels per model pixel along x and y."""
    origin: tuple[float, float]
    """The model grid's outer corner in the flipped source, x and y; negative where the model grid is padded."""

    def __post_init__(self) -> None:
        if min(*self.source_shape, *self.model_shape) < 1 or not min(self.step) > 0:
            raise ValueError(f"shapes and steps of a geometry are positive, not {self}")

    def image(self, array: NDArray[Any], fill: float = 0.0) -> Floats:
        """Source picture on the model grid, float32 (H, W), antialiased; `fill` where the source does not reach."""
        self._expect(array, self.source_shape)
        return _resample(self._flip(array), self.model_shape, self.origin, self.step, fill)

    def image_back(self, array: NDArray[Any], fill: float = 0.0) -> Floats:
        """Model map on the source grid, float32 (rows, columns); `fill` where the model grid does not reach."""
        self._expect(array, self.model_shape)
        step = (1 / self.step[0], 1 / self.step[1])
        origin = (-self.origin[0] * step[0], -self.origin[1] * step[1])
        return np.ascontiguousarray(self._flip(_resample(array, self.source_shape, origin, step, fill)))

    def mask(self, array: NDArray[np.bool_]) -> Mask:
        """Source mask on the model grid: pixels at least half covered, or else the best covered of a small region."""
        return _at_least_half(self.image(array))

    def mask_back(self, array: NDArray[np.bool_]) -> Mask:
        """Model mask on the source grid, by the same rule as `mask`."""
        return _at_least_half(self.image_back(array))

    def points(self, xy: NDArray[Any]) -> NDArray[np.float64]:
        """Source points (N, 2) as x, y on the model grid; not clipped."""
        return (self._mirror(np.asarray(xy, dtype=np.float64)) - self.origin) / self.step

    def points_back(self, xy: NDArray[Any]) -> NDArray[np.float64]:
        """Model points (N, 2) as x, y on the source grid; not clipped."""
        return self._mirror(np.asarray(xy, dtype=np.float64) * self.step + self.origin)

    def box(self, box: Box) -> Box:
        """Source box on the model grid; not clipped."""
        return _around(self.points(_corners(box)))

    def box_back(self, box: Box) -> Box:
        """Model box on the source grid; not clipped."""
        return _around(self.points_back(_corners(box)))

    def circle(self, circle: Circle) -> Circle:
        """Source circle on the model grid; of equal area where the steps of x and y differ."""
        (x, y), scale = self.points(np.array([[circle.x, circle.y]]))[0], (self.step[0] * self.step[1]) ** 0.5
        return Circle(float(x), float(y), circle.radius / scale)

    def circle_back(self, circle: Circle) -> Circle:
        """Model circle on the source grid, by the same rule as `circle`."""
        (x, y), scale = self.points_back(np.array([[circle.x, circle.y]]))[0], (self.step[0] * self.step[1]) ** 0.5
        return Circle(float(x), float(y), circle.radius * scale)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` gives an equal geometry."""
        return {
            "source_shape": list(self.source_shape),
            "model_shape": list(self.model_shape),
            "flip_x": self.flip_x,
            "flip_y": self.flip_y,
            "step": list(self.step),
            "origin": list(self.origin),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Geometry:
        """The geometry that `to_dict` wrote. ValueError, KeyError or TypeError if the values are none."""
        rows, columns = values["source_shape"]
        height, width = values["model_shape"]
        (step_x, step_y), (x, y) = values["step"], values["origin"]
        return cls(
            source_shape=(int(rows), int(columns)),
            model_shape=(int(height), int(width)),
            flip_x=bool(values["flip_x"]),
            flip_y=bool(values["flip_y"]),
            step=(float(step_x), float(step_y)),
            origin=(float(x), float(y)),
        )

    def _flip(self, array: NDArray[Any]) -> NDArray[Any]:
        return array[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]

    def _mirror(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        rows, columns = self.source_shape
        x = columns - xy[:, 0] if self.flip_x else xy[:, 0]
        y = rows - xy[:, 1] if self.flip_y else xy[:, 1]
        return np.stack([x, y], axis=1)

    @staticmethod
    def _expect(array: NDArray[Any], shape: tuple[int, int]) -> None:
        if array.shape != shape:
            raise ValueError(f"an array of shape {shape} was expected, not {array.shape}")


def _resample(
    array: NDArray[Any], shape: tuple[int, int], origin: tuple[float, float], step: tuple[float, float], fill: float
) -> Floats:
    """Triangle-filtered samples (linear where magnified) of `array`, as if `fill` lay all around it."""
    out = np.full(shape, fill, dtype=np.float32)
    columns = _reach(array.shape[1], shape[1], origin[0], step[0])
    rows = _reach(array.shape[0], shape[0], origin[1], step[1])
    if columns is None or rows is None:
        return out
    patch = _cut(array, rows, columns, fill)
    left = origin[0] + columns.first * step[0] - columns.low
    top = origin[1] + rows.first * step[1] - rows.low
    width, height = columns.last - columns.first, rows.last - rows.first
    # Rounding may put the far edge a hair outside the patch, which Pillow refuses.
    right, bottom = min(left + width * step[0], patch.shape[1]), min(top + height * step[1], patch.shape[0])
    sampled = Image.fromarray(patch).resize((width, height), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    out[rows.first : rows.last, columns.first : columns.last] = np.asarray(sampled)
    return out


@dataclass(frozen=True)
class _Reach:
    """Along one axis: output pixels first..last that the input touches, and the input range low..high they need."""

    first: int
    last: int
    low: int
    high: int


def _reach(size_in: int, size_out: int, origin: float, step: float) -> _Reach | None:
    support = max(step, 1.0)  # the triangle's half width in input pixels
    first = max(0, int(np.floor((-support - origin) / step)))
    last = min(size_out, int(np.ceil((size_in + support - origin) / step)))
    if first >= last:
        return None
    low = int(np.floor(origin + first * step - support)) - 1
    high = int(np.ceil(origin + last * step + support)) + 1
    return _Reach(first, last, low, high)


def _cut(array: NDArray[Any], rows: _Reach, columns: _Reach, fill: float) -> Floats:
    """The range of `array`, with `fill` where the range leaves it."""
    inner = array[max(rows.low, 0) : max(rows.high, 0), max(columns.low, 0) : max(columns.high, 0)]
    patch = np.full((rows.high - rows.low, columns.high - columns.low), fill, dtype=np.float32)
    top, left = max(-rows.low, 0), max(-columns.low, 0)
    patch[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return patch


def _at_least_half(cover: Floats) -> Mask:
    half: Mask = cover >= 0.5
    if half.any() or not cover.any():
        return half
    best: Mask = cover >= cover.max()
    return best


def _corners(box: Box) -> NDArray[np.float64]:
    return np.array([[box.x0, box.y0], [box.x1, box.y1]])


def _around(xy: NDArray[np.float64]) -> Box:
    (x0, y0), (x1, y1) = xy.min(axis=0), xy.max(axis=0)
    return Box(float(x0), float(y0), float(x1), float(y1))

"""What is said of a pair, on the files' own pixel grids."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from disasymnet.checkpoint import Card
from disasymnet.images.geometry import Geometry
from disasymnet.images.picture import GreyStep
from disasymnet.images.preprocess import Prepared
from disasymnet.methods.base import PairOutput
from disasymnet.predict.pair import Source
from disasymnet.records import Sides
from disasymnet.terms import View

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SidePrediction:
    """What is said of one breast. Arrays are on the source grid: rows and columns of the file."""

    abnormality: float | None
    """Score in [0, 1] of "any finding, benign or malignant"; not calibrated to a population. None for a method
    without a side head."""
    pixels: Floats
    """The picture as it was read, [0, 1]."""
    breast: npt.NDArray[np.bool_]
    cam: Floats
    """M in [0, 1]; 0 outside the breast."""
    normal: Floats | None
    """x_n at the source's own sharpness: unchanged pixels are the file's, to the last bit."""
    abnormal_part: Floats | None
    """x_ab in [0, 1]."""
    sha256: str
    """Of the file; empty for a picture that was not read from one."""
    steps: tuple[GreyStep, ...] = ()
    """How the file's stored values became `pixels`."""
    laterality_from: str | None = None
    """The DICOM attribute that named the breast; None if its place did."""
    view_from: str | None = None


@dataclass(frozen=True)
class Prediction:
    """The answer on one pair. Nothing in it names a person."""

    asymmetry: float | None
    """Score in [0, 1]; None for a method without an asymmetry head."""
    sides: Sides[SidePrediction]
    view: View | None
    warnings: tuple[str, ...]
    card: Card
    strict: bool = False
    """Whether the files were read in strict mode."""

    @property
    def right(self) -> SidePrediction:
        """The right breast."""
        return self.sides.right

    @property
    def left(self) -> SidePrediction:
        """The left breast."""
        return self.sides.left

    def summary(self) -> str:
        """One line a score, then the warnings."""
        scores = (
            ("asymmetry score", self.asymmetry),
            ("right abnormality", self.right.abnormality),
            ("left abnormality", self.left.abnormality),
        )
        lines = [f"{name:<19}{'NA, not given by this method' if p is None else f'{p:.3f}'}" for name, p in scores]
        return "\n".join([*lines, *(f"warning: {line}" for line in self.warnings)])


def side_prediction(
    source: Source, prepared: Prepared, out: PairOutput, row: int, probability: float | None
) -> SidePrediction:
    """The answer on the breast in `row` of the output, brought back to its source grid."""
    geometry = prepared.geometry
    pixels = source.picture.pixels
    breast = geometry.mask_back(prepared.breast)
    part = _back(out.abnormal_part, row, geometry, prepared.breast)
    cam = _back(out.cam, row, geometry, prepared.breast)
    normal = None
    if out.normal is not None:
        # The change is resampled, not the picture: what the model leaves alone keeps every detail of the file.
        change = _sent_back(out.normal[row, 0].float().numpy() - prepared.image, geometry, prepared.breast)
        normal = np.clip(pixels + np.where(breast, change, 0), 0, 1).astype(np.float32)
    if cam is None:
        raise ValueError("a method answers with a CAM")
    return SidePrediction(
        abnormality=probability,
        pixels=pixels,
        breast=breast,
        cam=np.where(breast, cam, 0).astype(np.float32),
        normal=normal,
        abnormal_part=None if part is None else np.where(breast, part, 0).astype(np.float32),
        sha256=source.sha256,
        steps=source.picture.steps,
        laterality_from=source.picture.facts.laterality_from,
        view_from=source.picture.facts.view_from,
    )


def _back(stack: Tensor | None, row: int, geometry: Geometry, breast: npt.NDArray[np.bool_]) -> Floats | None:
    """One row of a (2, 1, H, W) stack on the source grid, in [0, 1]; meaningful inside the breast only."""
    if stack is None:
        return None
    return np.clip(_sent_back(stack[row, 0].float().numpy(), geometry, breast), 0, 1).astype(np.float32)


def _sent_back(values: npt.NDArray[Any], geometry: Geometry, breast: npt.NDArray[np.bool_]) -> Floats:
    """(H, W) values of the breast on the source grid, not mixed with what lies beyond the skin or the grid's edge.

    Resampling would fade them to 0 over the last model pixel, six source pixels or more: so the outermost values are
    carried on outwards first, and the caller cuts at the breast.
    """
    if not breast.any():
        return np.zeros(geometry.source_shape, np.float32)
    nearest = distance_transform_edt(~breast, return_distances=False, return_indices=True)
    carried = np.pad(values[tuple(nearest)], 1, mode="edge").astype(np.float32)
    rows, columns = geometry.model_shape
    wider = replace(
        geometry,
        model_shape=(rows + 2, columns + 2),
        origin=(geometry.origin[0] - geometry.step[0], geometry.origin[1] - geometry.step[1]),
    )
    return wider.image_back(carried)

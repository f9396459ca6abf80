"""A pair's pictures on the model grid (section 3.2 of the paper: 1024 x 512), and the way back.

Canonical form: chest wall at column 0 in both pictures, whichever way the file hangs; the laterality alone never
decides a flip. What lies upside down by PatientOrientation is turned, where the chest wall lies as that tag has it. The
middle of the breast lies at mid-height, both sides have one scale, and all outside the breast is 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from disasymnet.images.breast import Breast, find_breast
from disasymnet.images.geometry import Geometry
from disasymnet.images.hanging import wall_by
from disasymnet.images.picture import Picture
from disasymnet.images.refusals import refusal
from disasymnet.images.tags import expected_wall, head_down
from disasymnet.records import Edge, Sides
from disasymnet.settings import ImageSettings

PREPROCESSING = "3"
"""Goes up whenever the same file would give other pixels: caches and checkpoints of another version do not mix."""

_MARGIN = 1.02  # `fit`: 1 % of air on each side of the larger breast
_GREY_SHARES = (5, 25, 50, 75, 95)

# Liu et al. (yueliukth/decoupling_breast_cancer_risk): the canvas, and half widths of its 25 x 25 kernels.
_LIU_ROWS, _LIU_COLUMNS = 4096, 3328
_LIU_KERNEL = 12
_LIU_REDUCE = 4


@dataclass(frozen=True)
class Prepared:
    """One picture on the model grid."""

    image: NDArray[np.float32]
    """(H, W) in [0, 1], bright = dense, 0 outside the breast (scale `liu2020` keeps what lies there)."""
    breast: NDArray[np.bool_]
    """(H, W)"""
    geometry: Geometry
    pixel_mm: float | None
    """Of the model grid; None if the file's is unknown or x and y differ."""
    grey: tuple[float, float, float, float, float]
    """5, 25, 50, 75 and 95 % of the grey in the breast."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    """A picture, its breast, and the breast's box in the flipped source."""

    picture: Picture
    breast: Breast
    left: int
    top: int
    right: int
    bottom: int
    flip_y: bool

    @property
    def flip_x(self) -> bool:
        return self.breast.chest_wall == "right"


@dataclass(frozen=True)
class _Scale:
    """Source pixels per model pixel of each picture, the model's pixel in mm, and what had to be changed."""

    steps: tuple[float, ...]
    pixel_mm: float | None
    warnings: tuple[str, ...] = ()


def preprocess(pictures: Sides[Picture], walls: Sides[Edge | None], settings: ImageSettings) -> Sides[Prepared]:
    """Both breasts on the model grid with one scale.

    `walls` names the edge of each file with the chest wall where the data set knows it. If one breast does not fit at
    the wanted scale, both are shrunk; if a pixel size is unknown, the pair is fitted; both leave a warning.
    PictureError if a picture holds no breast, or both hold the same pixels (`same_file`).
    """
    if np.array_equal(pictures.right.pixels, pictures.left.pixels):
        raise refusal("same_file", "the picture of the other breast holds the very same pixels")
    right, left = _prepare(tuple(pictures), tuple(walls), settings)
    return Sides(right, left)


def preprocess_single(picture: Picture, wall: Edge | None, settings: ImageSettings) -> Prepared:
    """One breast alone on the model grid, as `preprocess` does it."""
    return _prepare((picture,), (wall,), settings)[0]


def _prepare(
    pictures: tuple[Picture, ...], walls: tuple[Edge | None, ...], settings: ImageSettings
) -> tuple[Prepared, ...]:
    found = tuple(_find(picture, wall) for picture, wall in zip(pictures, walls, strict=True))
    if settings.scale == "liu2020":
        return tuple(_finish(each, _liu_geometry(each, settings), None, (), masked=False) for each in found)
    scale = _scale(found, settings)
    return tuple(
        _finish(each, _geometry(each, step, settings), scale.pixel_mm, scale.warnings)
        for each, step in zip(found, scale.steps, strict=True)
    )


def _find(picture: Picture, wall: Edge | None) -> _Found:
    breast = find_breast(picture.pixels, wall)
    # A data set that knows its films has the last word; of a DICOM file the tags tell what is usual.
    expected = expected_wall(picture.facts) if wall is None else None
    if expected not in (None, breast.chest_wall):
        lies = None if picture.facts.exposure is None else picture.facts.exposure.orientation
        usual = f"where the {picture.facts.laterality} breast hangs as usual"
        by = usual if wall_by(lies) is None else f"by PatientOrientation {'/'.join(lies or ())}"
        what = f"the chest wall lies at the {breast.chest_wall} edge, {by} at the {expected}"
        breast = replace(breast, warnings=(*breast.warnings, what))
    flip_y, told = _upright(picture, breast.chest_wall)
    breast = replace(breast, warnings=(*breast.warnings, *told))
    rows, columns = np.flatnonzero(breast.mask.any(axis=1)), np.flatnonzero(breast.mask.any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    if breast.chest_wall == "right":
        left, right = breast.mask.shape[1] - right, breast.mask.shape[1] - left
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    if flip_y:
        top, bottom = breast.mask.shape[0] - bottom, breast.mask.shape[0] - top
    return _Found(picture, breast, left, top, right, bottom, flip_y)


def _upright(picture: Picture, seen: Edge) -> tuple[bool, tuple[str, ...]]:
    """Whether the picture is to be turned upside down, and what to tell.

    A tag whose rows the picture contradicts is a copied or a wrong one: its columns are not believed either.
    """
    exposure = picture.facts.exposure
    if exposure is None or not head_down(picture.facts):
        return False, ()
    said = f"PatientOrientation {'/'.join(exposure.orientation or ())}"
    if wall_by(exposure.orientation) == seen:
        return True, (f"turned the right way up by {said}",)
    return False, (f"upside down by {said}, but the chest wall contradicts it: not turned",)


def _scale(found: tuple[_Found, ...], settings: ImageSettings) -> _Scale:
    sizes = [each.picture.facts.pixel_mm for each in found]
    known = [size for size in sizes if size is not None]
    if len(known) < len(found):
        whose = "one side's" if known else "the"
        warnings = (f"{whose} pixel size is unknown: the breasts are fitted into the frame",)
        return _fit(found, [1.0] * len(found), None, settings, warnings if settings.scale == "mm" else ())
    if settings.scale == "fit":
        return _fit(found, known, 1.0, settings, ())
    wanted = settings.pixel_mm
    need = _smallest_pixel(found, known, settings)
    if need <= wanted:
        return _Scale(tuple(wanted / size for size in known), wanted)
    warnings = (f"the breast does not fit at {wanted:.3g} mm a pixel: {need:.3g} mm for both sides",)
    return _Scale(tuple(need / size for size in known), need, warnings)


def _fit(
    found: tuple[_Found, ...], units: list[float], mm: float | None, settings: ImageSettings, warnings: tuple[str, ...]
) -> _Scale:
    """The larger breast fills the frame; `units` are mm, or 1 where sizes are unknown."""
    pixel = _smallest_pixel(found, units, settings) * _MARGIN
    return _Scale(tuple(pixel / unit for unit in units), None if mm is None else pixel * mm, warnings)


def _smallest_pixel(found: tuple[_Found, ...], units: list[float], settings: ImageSettings) -> float:
    """The finest pixel of the model grid, in the units given, at which every breast fits."""
    return max(
        unit * max((each.right - each.left) / settings.width, (each.bottom - each.top) / settings.height)
        for each, unit in zip(found, units, strict=True)
    )


def _geometry(found: _Found, step: float, settings: ImageSettings) -> Geometry:
    """Chest wall at column 0, middle of the breast at mid-height, at a whole source pixel: no blur where step is 1."""
    rows, columns = found.breast.mask.shape
    top = round((found.top + found.bottom - settings.height * step) / 2)
    return Geometry(
        source_shape=(rows, columns),
        model_shape=(settings.height, settings.width),
        flip_x=found.flip_x,
        flip_y=found.flip_y,
        step=(step, step),
        origin=(float(found.left), float(top)),
    )


def _liu_geometry(found: _Found, settings: ImageSettings) -> Geometry:
    """The reference pipeline's canvas of 4096 x 3328 source pixels around the inner point, squeezed into H x W.

    Literal, with its traps: pixel size is not looked at (a coarse picture stays small), x and y are scaled apart, the
    air and its labels stay, and on film everything above the minimum counts as breast. Only its flip by laterality is
    replaced by the chest wall, which is the same where files hang as usual.
    """
    rows, columns = found.breast.mask.shape
    pixels = found.picture.pixels[:: -1 if found.flip_y else 1, :: -1 if found.flip_x else 1]
    x, y = _liu_point(pixels)
    return Geometry(
        source_shape=(rows, columns),
        model_shape=(settings.height, settings.width),
        flip_x=found.flip_x,
        flip_y=found.flip_y,
        step=(_LIU_COLUMNS / settings.width, _LIU_ROWS / settings.height),
        origin=(x - _LIU_COLUMNS / 2, y - _LIU_ROWS / 2),
    )


def _liu_point(pixels: NDArray[np.float32]) -> tuple[float, float]:
    """x, y farthest from all air: binarise, blur, dilate, open five times, zero border, distance, blur, arg-max.

    Runs on every fourth pixel's block with kernels a quarter as wide: right within four pixels. The dilation runs once,
    as in the reference, where its count of five is passed in the place of another argument.
    """
    above = Image.fromarray((pixels > pixels.min()).astype(np.uint8) * 255).reduce(_LIU_REDUCE)
    half = _LIU_KERNEL // _LIU_REDUCE
    mask = ndimage.maximum_filter(np.asarray(above) > 0, 2 * (2 * half) + 1)  # the blur's reach, and the dilation's
    opening = 2 * (5 * half) + 1
    mask = ndimage.maximum_filter(ndimage.minimum_filter(mask, opening), opening)
    distance = ndimage.distance_transform_edt(np.pad(mask, 1))
    # cv2 takes sigma = 0.3 ((25 - 1) / 2 - 1) + 0.8 for 25 pixels.
    smooth = ndimage.gaussian_filter(distance, 4.1 / _LIU_REDUCE)
    row, column = np.unravel_index(int(smooth.argmax()), smooth.shape)
    return (float(column) - 0.5) * _LIU_REDUCE, (float(row) - 0.5) * _LIU_REDUCE


def _finish(
    found: _Found, geometry: Geometry, pixel_mm: float | None, warnings: tuple[str, ...], *, masked: bool = True
) -> Prepared:
    breast = geometry.mask(found.breast.mask)
    if not breast.any():
        raise refusal("no_breast", "the breast lies outside the model grid")
    # A triangle filter's weights sum to 1 within rounding.
    image = np.clip(geometry.image(found.picture.pixels), 0, 1)
    if masked:
        image[~breast] = 0
    low, quarter, median, three, high = (float(value) for value in np.percentile(image[breast], _GREY_SHARES))
    return Prepared(
        image=image,
        breast=breast,
        geometry=geometry,
        pixel_mm=pixel_mm,
        grey=(low, quarter, median, three, high),
        warnings=(*found.breast.warnings, *warnings),
    )

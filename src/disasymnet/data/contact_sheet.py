"""A page of prepared pairs to look at: right breast at the screen's left, chest walls together."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from disasymnet.data.cache import Cache
from disasymnet.data.files import replace_file
from disasymnet.data.items import PairArrays
from disasymnet.data.manifest import CachedPair

MOST = 60
_COLUMNS = 10
_TALL_PX = 192
_TEXT_PX = 14
_GAP_PX = 6
_BREAST, _LESION = (60, 140, 90), (230, 60, 50)
_ABNORMAL, _PLAIN, _GROUND = (255, 170, 90), (190, 190, 190), (24, 24, 24)

Rgb = NDArray[np.uint8]


def contact_sheet(cache: Cache, path: Path) -> None:
    """Write up to 60 pairs, spread evenly over the cache, as PNG.

    Outlines: breast mask green, lesions red; the names of asymmetric pairs are orange. Grey is that of the cache with
    its 99.5 % point as white, both sides of a pair alike.
    """
    chosen = _spread(cache.pairs)
    tiles = [_tile(cache.arrays(pair.id)) for pair in chosen]
    if not tiles:
        return
    wide, tall = tiles[0].shape[1] + _GAP_PX, tiles[0].shape[0] + _TEXT_PX + _GAP_PX
    rows = -(-len(tiles) // _COLUMNS)
    sheet = Image.new("RGB", (wide * min(_COLUMNS, len(tiles)) + _GAP_PX, tall * rows + _GAP_PX), _GROUND)
    pen = ImageDraw.Draw(sheet)
    for number, (pair, tile) in enumerate(zip(chosen, tiles, strict=True)):
        x, y = _GAP_PX + wide * (number % _COLUMNS), _GAP_PX + tall * (number // _COLUMNS)
        sheet.paste(Image.fromarray(tile), (x, y + _TEXT_PX))
        pen.text((x, y), _fitting(pair.name, wide - _GAP_PX), fill=_ABNORMAL if pair.asymmetric else _PLAIN)
    out = io.BytesIO()
    sheet.save(out, "PNG")
    replace_file(path, out.getvalue())


def _spread(pairs: Sequence[CachedPair]) -> list[CachedPair]:
    if len(pairs) <= MOST:
        return list(pairs)
    return [pairs[number * len(pairs) // MOST] for number in range(MOST)]


def _fitting(name: str, width_px: int) -> str:
    most = max(4, width_px // 6)  # Pillow's own letters are about 6 pixels wide
    return name if len(name) <= most else name[: most - 1] + "…"


def _tile(arrays: PairArrays) -> Rgb:
    inside = arrays.image[arrays.breast]
    white = max(float(np.percentile(inside, 99.5)), 1.0)
    right, left = (_side(arrays, side, white) for side in (0, 1))
    # Both lie with the chest wall at column 0: the right one is turned back.
    return np.concatenate([right[:, ::-1], left], axis=1)


def _side(arrays: PairArrays, side: int, white: float) -> Rgb:
    height, width = arrays.image.shape[1:]
    size = (max(1, round(width * _TALL_PX / height)), _TALL_PX)
    grey = Image.fromarray((arrays.image[side] / white * 255).clip(0, 255).astype(np.uint8))
    tile = np.stack([np.asarray(grey.resize(size, Image.Resampling.BOX))] * 3, axis=2)
    for mask, colour in ((arrays.breast[side], _BREAST), (arrays.lesion[side], _LESION)):
        tile[_outline(mask, size)] = colour
    return tile


def _outline(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of the mask with a neighbour outside it; any coverage counts, so that small lesions show."""
    cover = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
    inside = np.pad(np.asarray(cover) > 0, 1, mode="edge")
    core = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    edge: NDArray[np.bool_] = inside[1:-1, 1:-1] & ~core
    return edge

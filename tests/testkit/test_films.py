from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from disasymnet.data.lesions import region_mask
from disasymnet.records import Outline
from disasymnet.testkit.films import chain_code, shoot, walk


def test_a_walk_round_a_square_by_hand() -> None:
    mask = np.zeros((5, 5), np.bool_)
    mask[1:3, 1:3] = True
    start, codes = chain_code(mask)
    assert start == (1, 1)
    assert codes == [2, 4, 6, 0]
    assert walk(start, codes) == [(1, 1), (2, 1), (2, 2), (1, 2), (1, 1)]


@given(st.integers(0, 2**32 - 1))
def test_a_filled_walk_is_the_region(seed: int) -> None:
    """Whatever the shape: the outline that is written encloses the region that it was written for."""
    rough = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(24, 30)), 2.0) > 0.05
    labels, count = ndimage.label(np.pad(rough, 1), np.ones((3, 3)))
    if not count:
        return
    region = ndimage.binary_fill_holes(labels == 1 + seed % count)
    points = walk(*chain_code(region))
    assert points[0] == points[-1]
    mask, _ = region_mask(Outline.of([(x + 0.5, y + 0.5) for x, y in points]), region.shape)
    assert np.array_equal(mask, region)


@pytest.mark.parametrize(("right", "left"), [(False, False), (True, False), (True, True)])
def test_four_films_with_the_lesions_asked_for(right: bool, left: bool) -> None:
    films = shoot(1, right, left, lesions=2)
    assert [film.name for film in films] == ["RIGHT_CC", "RIGHT_MLO", "LEFT_CC", "LEFT_MLO"]
    assert [len(film.lesions) for film in films] == [2 * right] * 2 + [2 * left] * 2
    for film in films:
        assert film.pixels.max() < 4096
        for lesion in film.lesions:
            assert ndimage.label(lesion, np.ones((3, 3)))[1] == 1

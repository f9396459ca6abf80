from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disasymnet.images.geometry import Geometry
from disasymnet.records import Box, Circle


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    rows, columns = draw(st.integers(20, 90)), draw(st.integers(20, 90))
    step = draw(st.floats(0.4, 4))
    return Geometry(
        source_shape=(rows, columns),
        model_shape=(draw(st.integers(16, 64)), draw(st.integers(16, 64))),
        flip_x=draw(st.booleans()),
        flip_y=draw(st.booleans()),
        step=(step, step * draw(st.sampled_from([1.0, 1.5]))),
        origin=(draw(st.floats(-30, 30)), draw(st.floats(-30, 30))),
    )


@given(geometries(), st.floats(0, 90), st.floats(0, 90))
def test_points_come_back(geometry: Geometry, x: float, y: float) -> None:
    points = np.array([[x, y]])
    np.testing.assert_allclose(geometry.points_back(geometry.points(points)), points, atol=1e-9)


@given(geometries(), st.floats(0, 40), st.floats(0, 40), st.floats(1, 40), st.floats(1, 40))
def test_boxes_come_back_the_right_way_up(geometry: Geometry, x: float, y: float, w: float, h: float) -> None:
    box = Box(x, y, x + w, y + h)
    there = geometry.box(box)
    back = geometry.box_back(there)
    assert there.x0 < there.x1
    assert there.y0 < there.y1
    assert (there.x1 - there.x0) * geometry.step[0] == pytest.approx(w)
    np.testing.assert_allclose([back.x0, back.y0, back.x1, back.y1], [x, y, x + w, y + h], atol=1e-9)


@given(geometries())
def test_survives_json(geometry: Geometry) -> None:
    assert Geometry.from_dict(json.loads(json.dumps(geometry.to_dict()))) == geometry


@pytest.mark.parametrize("flip_x", [False, True])
@pytest.mark.parametrize("flip_y", [False, True])
@given(st.floats(20, 100), st.floats(20, 100), st.floats(0.6, 3.5), st.floats(-8, 8), st.floats(-8, 8))
def test_a_mark_in_the_picture_comes_back_to_its_place(
    flip_x: bool, flip_y: bool, x: float, y: float, step: float, left: float, top: float
) -> None:
    """A soft spot, through the picture's resampling and the points' way back, within half a source pixel."""
    geometry = Geometry((120, 120), (210, 210), flip_x, flip_y, (step, step), (left, top))
    rows, columns = np.mgrid[:120, :120] + 0.5
    spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 4.0**2)).astype(np.float32)
    spot[np.hypot(columns - x, rows - y) > 14] = 0
    there = geometry.image(spot)
    back = geometry.points_back(_centre(there))
    np.testing.assert_allclose(back, _centre(spot), atol=0.5)
    np.testing.assert_allclose(_centre(geometry.image_back(there)), _centre(spot), atol=0.5)


def _centre(array: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[: array.shape[0], : array.shape[1]] + 0.5
    return np.array([[(array * columns).sum(), (array * rows).sum()]]) / array.sum()


def test_whole_shifts_and_flips_move_pixels_without_changing_them() -> None:
    source = np.random.default_rng(0).random((5, 4)).astype(np.float32)
    geometry = Geometry((5, 4), (8, 6), True, False, (1.0, 1.0), (-1.0, -2.0))
    there = geometry.image(source, fill=-1)
    np.testing.assert_array_equal(there[2:7, 1:5], source[:, ::-1])
    assert (there[:2] == -1).all()
    assert (there[7:] == -1).all()
    assert (there[:, 0] == -1).all()
    assert (there[:, 5] == -1).all()
    np.testing.assert_array_equal(geometry.image_back(there), source)


def test_shrinking_averages() -> None:
    """A triangle of half width 2 over 2 x 2 checks: alternating 0 and 1 becomes 1/2 wherever the picture reaches."""
    source = np.indices((40, 40)).sum(axis=0) % 2
    there = Geometry((40, 40), (20, 20), False, False, (2.0, 2.0), (0.0, 0.0)).image(source)
    np.testing.assert_allclose(there[1:-1, 1:-1], 0.5, atol=1e-6)


def test_enlarging_is_linear() -> None:
    ramp = np.tile(np.arange(10, dtype=np.float32), (10, 1))
    there = Geometry((10, 10), (40, 40), False, False, (0.25, 0.25), (0.0, 0.0)).image(ramp)
    # Centre of model column j lies at (j + 0.5) / 4 in the source; the ramp's value there is that minus 0.5.
    np.testing.assert_allclose(there[20, 4:36], (np.arange(4, 36) + 0.5) / 4 - 0.5, atol=1e-5)


def test_a_window_far_outside_is_all_fill() -> None:
    geometry = Geometry((10, 10), (6, 6), False, False, (1.0, 1.0), (100.0, 0.0))
    assert (geometry.image(np.ones((10, 10)), fill=0.25) == 0.25).all()
    assert (geometry.image_back(np.ones((6, 6)), fill=0.5) == 0.5).all()


def test_masks_keep_what_is_half_covered_and_never_lose_a_small_region() -> None:
    geometry = Geometry((64, 64), (8, 8), False, False, (8.0, 8.0), (0.0, 0.0))
    square = np.zeros((64, 64), dtype=bool)
    square[16:40, 24:56] = True
    expected = np.zeros((8, 8), dtype=bool)
    expected[2:5, 3:7] = True
    # Corners of the square are covered by less than half under the triangle filter.
    expected[[2, 2, 4, 4], [3, 6, 3, 6]] = geometry.image(square)[[2, 2, 4, 4], [3, 6, 3, 6]] >= 0.5
    np.testing.assert_array_equal(geometry.mask(square), expected)
    dot = np.zeros((64, 64), dtype=bool)
    dot[20, 20] = True
    assert np.argwhere(geometry.mask(dot)).tolist() == [[2, 2]]
    assert geometry.mask_back(geometry.mask(dot))[20, 20]
    assert not geometry.mask(np.zeros((64, 64), dtype=bool)).any()


def test_circles_keep_their_area() -> None:
    geometry = Geometry((64, 64), (8, 8), True, False, (4.0, 9.0), (0.0, 0.0))
    there = geometry.circle(Circle(60, 18, 12))
    assert (there.x, there.y, there.radius) == pytest.approx((1, 2, 2))
    back = geometry.circle_back(there)
    assert (back.x, back.y, back.radius) == pytest.approx((60, 18, 12))


def test_refuses_an_array_of_another_grid() -> None:
    geometry = Geometry((10, 12), (6, 6), False, False, (1.0, 1.0), (0.0, 0.0))
    with pytest.raises(ValueError, match="shape"):
        geometry.image(np.ones((12, 10)))
    with pytest.raises(ValueError, match="shape"):
        geometry.image_back(np.ones((10, 12)))


def test_refuses_steps_that_are_not_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        Geometry((10, 12), (6, 6), False, False, (0.0, 1.0), (0.0, 0.0))

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from disasymnet.data.lesions import draw_findings, mask_box, region_mask
from disasymnet.errors import PictureError
from disasymnet.images.geometry import Geometry
from disasymnet.records import Box, Circle, Finding, MaskFile, Outline

SHAPE = (20, 30)
AS_IT_IS = Geometry(SHAPE, SHAPE, flip_x=False, flip_y=False, step=(1.0, 1.0), origin=(0.0, 0.0))


def test_an_outline_marks_what_it_runs_through_and_encloses() -> None:
    # Through the centres of the pixels of columns 3 to 6 and rows 2 to 4: 4 x 3 pixels.
    mask, notes = region_mask(Outline.of([(3.5, 2.5), (6.5, 2.5), (6.5, 4.5), (3.5, 4.5)]), SHAPE)
    assert mask.sum() == 12
    assert mask_box(mask) == Box(3, 2, 7, 5)
    assert notes == ()


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=1, max_size=20))
def test_outlines_keep_their_points_and_never_leave_the_picture(points: list[tuple[float, float]]) -> None:
    outline = Outline.of(points)
    assert np.allclose(outline.corners(), points, rtol=1e-6, atol=1e-30)
    assert region_mask(outline, SHAPE)[0].shape == SHAPE


def test_circles_and_boxes_on_the_source_grid() -> None:
    assert region_mask(Box(1, 2, 4, 4), SHAPE)[0].sum() == 6
    assert region_mask(Circle(5.5, 5.5, 1), SHAPE)[0].sum() == 5  # the pixel and its four neighbours


def test_an_outline_outside_of_its_picture_is_a_finding_without_a_place() -> None:
    mask, (found,), warnings = draw_findings((Finding(region=Outline.of([(90, 90), (95, 90), (95, 95)])),), AS_IT_IS)
    assert not mask.any()
    assert found.box is None
    assert warnings == ("a finding's region lies outside its picture",)


def test_a_mask_of_another_grid_is_stretched_only_where_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    small = np.zeros((10, 15), np.uint8)
    small[2:5, 3:9] = 255
    Image.fromarray(small).save(path)
    with pytest.raises(PictureError, match="10 x 15 pixels, its picture 20 x 30"):
        region_mask(MaskFile(path), SHAPE)
    mask, (note,) = region_mask(MaskFile(path, stretch=True), SHAPE)
    assert mask_box(mask) == Box(6, 4, 18, 10)
    assert "stretched" in note
    with pytest.raises(PictureError, match="its picture 20 x 40"):
        region_mask(MaskFile(path, stretch=True), (20, 40))


def test_a_drawn_outline_is_filled(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    line = np.zeros(SHAPE, np.uint8)
    line[3:12, 4:16] = 255
    line[4:11, 5:15] = 0
    line[3, 8:10] = 0  # a gap that a lossy coder left
    Image.fromarray(line).save(path)
    mask, _ = region_mask(MaskFile(path, outline=True), SHAPE)
    assert mask.sum() == 9 * 12
    line[3] = 0
    Image.fromarray(line).save(path)
    with pytest.raises(PictureError, match="not closed"):
        region_mask(MaskFile(path, outline=True), SHAPE)

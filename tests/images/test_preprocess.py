from __future__ import annotations

import numpy as np
import pytest

from disasymnet.errors import PictureError
from disasymnet.images.picture import Facts, Picture
from disasymnet.images.preprocess import Prepared, preprocess, preprocess_single
from disasymnet.records import Sides
from disasymnet.settings import ImageSettings
from disasymnet.terms import Laterality
from tests.images.drawn import breast

MM = ImageSettings(height=256, width=128)  # 0.8 mm a pixel
FIT = ImageSettings(height=256, width=128, scale="fit")
NO_WORD = Sides(None, None)


def picture(
    wall: str = "left", pixel_mm: float | None = 0.4, laterality: Laterality | None = None, **shape: float
) -> Picture:
    return Picture(breast(wall=wall, **shape), Facts(pixel_mm=pixel_mm, laterality=laterality))


def extent(prepared: Prepared) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(prepared.breast.any(1)), np.flatnonzero(prepared.breast.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@pytest.mark.parametrize("scale", ["mm", "fit"])
def test_chest_wall_at_column_0_and_middle_at_mid_height(scale: str) -> None:
    settings = ImageSettings(height=256, width=128, scale=scale)  # type: ignore[arg-type]
    for side in preprocess(Sides(picture("right"), picture("left")), NO_WORD, settings):
        left, top, _, bottom = extent(side)
        assert left == 0
        assert (top + bottom) / 2 == pytest.approx(128, abs=1.01)
        assert side.image.shape == (256, 128)
        assert side.image.dtype == np.float32
        assert side.image.min() >= 0
        assert side.image.max() <= 1
        assert (side.image[~side.breast] == 0).all()
        assert side.image[side.breast].mean() > 0.2


def test_mirrored_files_give_the_same_model_picture() -> None:
    """Only where the chest wall lies decides the flip, whatever the laterality."""
    one = preprocess_single(picture("left", laterality=Laterality.RIGHT), None, MM)
    two = preprocess_single(picture("right", laterality=Laterality.RIGHT), None, MM)
    assert not one.geometry.flip_x
    assert two.geometry.flip_x
    np.testing.assert_allclose(one.image, two.image, atol=1e-5)


def test_fixed_millimetres() -> None:
    """300 columns of 0.4 mm, breast over half of them: 60 mm = 75 model pixels of 0.8 mm; 80 % of 400 rows: 160."""
    prepared = preprocess_single(picture(), None, MM)
    assert prepared.pixel_mm == pytest.approx(0.8)
    assert prepared.geometry.step == pytest.approx((2, 2))
    left, top, right, bottom = extent(prepared)
    assert right - left == pytest.approx(75, abs=2)
    assert bottom - top == pytest.approx(160, abs=4)
    assert prepared.warnings == ()


def test_sides_of_different_detectors_get_one_scale() -> None:
    both = preprocess(Sides(picture("right", pixel_mm=0.4), picture(pixel_mm=0.2)), NO_WORD, MM)
    assert both.right.geometry.step[0] == pytest.approx(2)
    assert both.left.geometry.step[0] == pytest.approx(4)
    assert both.right.pixel_mm == both.left.pixel_mm == pytest.approx(0.8)


def test_if_one_does_not_fit_both_shrink() -> None:
    both = preprocess(Sides(picture("right", pixel_mm=1.0), picture(pixel_mm=0.4)), NO_WORD, MM)
    for side in both:
        assert "does not fit" in side.warnings[0]
        assert side.pixel_mm == both.right.pixel_mm
    assert both.right.pixel_mm is not None
    assert both.right.pixel_mm > 1.1
    left, top, right, bottom = extent(both.right)
    assert max((right - left) / 128, (bottom - top) / 256) == pytest.approx(1, abs=0.01)


def test_fit_fills_the_frame_with_the_larger_breast() -> None:
    both = preprocess(Sides(picture(height=0.8), picture(height=0.5)), NO_WORD, FIT)
    _, top, _, bottom = extent(both.right)
    assert (bottom - top) / 256 == pytest.approx(1 / 1.02, abs=0.01)
    assert both.right.geometry.step == both.left.geometry.step
    assert both.right.pixel_mm is not None
    assert both.right.warnings == ()


def test_unknown_pixel_size_is_fitted_and_told() -> None:
    both = preprocess(Sides(picture("right", pixel_mm=None), picture()), NO_WORD, MM)
    assert both.right.pixel_mm is None
    assert both.right.geometry.step == both.left.geometry.step
    assert "pixel size is unknown" in both.left.warnings[-1]
    stated = preprocess_single(picture(pixel_mm=None).with_pixel_mm(0.4), None, MM)
    assert stated.pixel_mm == pytest.approx(0.8)
    assert picture().with_pixel_mm(None).facts.pixel_mm == 0.4


def test_the_pair_and_the_single_picture_go_one_way() -> None:
    single = preprocess_single(picture("right"), "right", MM)
    pair = preprocess(Sides(picture("right"), picture("left")), Sides("right", "left"), MM)
    np.testing.assert_array_equal(single.image, pair.right.image)
    swapped = preprocess(Sides(picture("left"), picture("right")), Sides("left", "right"), MM)
    np.testing.assert_array_equal(swapped.left.image, pair.right.image)


def test_maps_come_back_to_the_files_grid() -> None:
    source = picture("right")
    prepared = preprocess_single(source, None, MM)
    back = prepared.geometry.image_back(prepared.image)
    assert back.shape == source.pixels.shape
    inside = prepared.geometry.mask_back(prepared.breast)
    assert np.corrcoef(back[inside], source.pixels[inside])[0, 1] > 0.6  # the texture is white noise of one pixel
    assert abs(float(back[inside].mean() - source.pixels[inside].mean())) < 0.01


def test_grey_shares_of_the_breast() -> None:
    prepared = preprocess_single(picture(), None, MM)
    assert list(prepared.grey) == sorted(prepared.grey)
    assert prepared.grey[2] == pytest.approx(float(np.median(prepared.image[prepared.breast])))


def test_liu2020_is_a_fixed_canvas_of_source_pixels() -> None:
    settings = ImageSettings(height=1024, width=512, scale="liu2020")
    prepared = preprocess_single(Picture(breast(2000, 1500), Facts(pixel_mm=0.07)), None, settings)
    assert prepared.geometry.step == (6.5, 4.0)
    assert prepared.pixel_mm is None
    # The canvas's middle is the source's inner point: this breast, all of its film being above the minimum,
    # is 1500 x 2000 pixels, so the point farthest from the border lies on the middle row.
    x, y = prepared.geometry.points_back(np.array([[256.0, 512.0]]))[0]
    assert y == pytest.approx(1000, abs=260)
    assert x == pytest.approx(750, abs=20)
    assert prepared.image[~prepared.breast].any()


def test_no_breast_is_an_error() -> None:
    dots = np.zeros((200, 150), dtype=np.float32)
    dots[50:150:40, 60] = 1
    with pytest.raises(PictureError, match="no breast"):
        preprocess_single(Picture(dots), None, MM)


def test_a_wall_against_the_tags_is_told_and_decides_nothing() -> None:
    mirrored, usual = picture("right", laterality=Laterality.LEFT), picture("left", laterality=Laterality.LEFT)
    told, quiet = (preprocess_single(one, None, ImageSettings(height=64, width=32)) for one in (mirrored, usual))
    assert "the chest wall lies at the right edge, where the L breast hangs as usual at the left" in told.warnings
    assert not any("chest wall" in warning for warning in quiet.warnings)
    np.testing.assert_allclose(told.image, quiet.image, atol=0.02)
    assert not any("chest wall" in w for w in preprocess_single(mirrored, "right", ImageSettings()).warnings)

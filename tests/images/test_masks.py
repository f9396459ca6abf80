from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from disasymnet.errors import PictureError
from disasymnet.images.masks import fill_curve
from disasymnet.images.read import read_mask
from disasymnet.testkit.files import write_secondary_capture


def test_dicom_masks_hold_two_values(tmp_path: Path) -> None:
    path = tmp_path / "1-1.dcm"
    values = np.zeros((12, 16), np.uint8)
    values[2:5, 3:9] = 255
    write_secondary_capture(path, values)
    assert np.array_equal(read_mask(path), values == 255)
    values[0, 0] = 3
    write_secondary_capture(path, values)
    with pytest.raises(PictureError, match="a picture and no mask") as error:
        read_mask(path)
    assert error.value.code == "mask_values"


def test_empty_and_damaged_dicom_masks(tmp_path: Path) -> None:
    path = tmp_path / "1-1.dcm"
    write_secondary_capture(path, np.zeros((12, 16), np.uint8))
    with pytest.raises(PictureError, match="marks nothing"):
        read_mask(path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(PictureError, match="cannot be read") as error:
        read_mask(path)
    assert error.value.code == "damaged"


def test_a_curve_encloses_the_centres_inside_it_and_the_pixels_it_runs_through() -> None:
    # A diamond round the centre of pixel (5, 5): its tips in the pixels 3 to the sides.
    diamond = np.array([[5.5, 2.5], [8.5, 5.5], [5.5, 8.5], [2.5, 5.5]])
    rows, columns = np.mgrid[:12, :12]
    assert np.array_equal(fill_curve(diamond, (12, 12)), abs(rows - 5) + abs(columns - 5) <= 3)
    # A box between pixels: no centre of the pixels around is inside, and the far edges run in the next ones.
    assert np.argwhere(fill_curve(np.array([[2.2, 3.3], [4.8, 3.3], [4.8, 5.7], [2.2, 5.7]]), (12, 12))).tolist() == [
        [row, column] for row in (3, 4, 5) for column in (2, 3, 4)
    ]
    assert fill_curve(np.array([[-5.0, -5.0], [40, -5], [40, 40], [-5, 40]]), (12, 12)).all()
    assert not fill_curve(np.array([[20.0, 20.0], [40, 20], [40, 40]]), (12, 12)).any()
    assert not fill_curve(np.empty((0, 2)), (12, 12)).any()


def test_fine_curves_equal_scikit_images() -> None:
    measure = pytest.importorskip("skimage.measure")
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    radius = 20 + 5 * np.sin(5 * angle)
    points = np.stack([40 + radius * np.cos(angle), 35 + radius * np.sin(angle)], axis=1)
    inside = measure.grid_points_in_poly((70, 80), points[:, ::-1] - 0.5)
    ours = fill_curve(points, (70, 80))
    assert not (inside & ~ours).any()
    # Pixels that the curve only runs through: a ring of at most one pixel.
    assert (ours & ~inside).sum() < 2 * np.pi * 25

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from disasymnet.errors import PictureError
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

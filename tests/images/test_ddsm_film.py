from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from disasymnet.errors import PictureError
from disasymnet.images.ddsm_film import optical_density, read_ics
from disasymnet.images.read import read_picture
from disasymnet.testkit.ddsm import make_ddsm


@pytest.mark.parametrize(
    ("scanner", "image_id", "value", "density"),
    [
        ("LUMISYS", "C_0001_1", 0, 3.99995),  # as 61: (61 - 4096.99) / -1009.01
        ("LUMISYS", "C_0001_1", 2000, 2.078265),
        ("LUMISYS", "C_0001_1", 4097, 0.0),
        ("HOWTEK", "A_0001_1", 2000, 1.89764),  # 3.789 - 1.89136
        ("HOWTEK", "A_0001_1", 4095, 0.000606),  # as 4006
        ("HOWTEK", "D_0001_1", 1000, 2.975483),
        ("HOWTEK", "D_0001_1", 4095, 0.000837),  # as 4003
        ("DBA", "A_0001_1", 10000, 0.749975),  # (4 - 4.80662) / -1.07553
        ("DBA", "A_0001_1", 0, 3.909291),  # as 4
    ],
)
def test_optical_density_by_hand(scanner: str, image_id: str, value: int, density: float) -> None:
    found = optical_density(np.array([[value]], np.uint16), scanner, image_id)
    assert found.dtype == np.float32
    assert found.item() == pytest.approx(density, abs=2e-5)


@pytest.mark.parametrize(("scanner", "image_id"), [(None, "A_0001_1"), ("HOWTEK", "B_0001_1"), ("CANON", "A_0001_1")])
def test_scanners_without_a_curve_are_refused(scanner: str | None, image_id: str) -> None:
    with pytest.raises(PictureError, match="no grey curve is known") as error:
        optical_density(np.zeros((2, 2), np.uint16), scanner, image_id)
    assert error.value.code == "scanner"


@pytest.fixture
def case(tmp_path: Path) -> Path:
    make_ddsm(tmp_path)
    return tmp_path / "cases/cancers/cancer_01/case3001"


def test_the_card(case: Path) -> None:
    found = read_ics(case / "A-3001-1.ics")
    assert (found.scanner, found.density, len(found.views)) == ("HOWTEK", "3", 4)
    assert found.views["LEFT_CC"].shape == (160, 120)
    assert [found.views[name].overlay for name in ("LEFT_CC", "RIGHT_CC")] == [True, False]
    (case / "A-3001-1.ics").write_text("ics_version 1.0\n")
    with pytest.raises(PictureError, match="names no view"):
        read_ics(case / "A-3001-1.ics")


def test_damaged_streams_say_what_is_wrong(case: Path) -> None:
    path = case / "A_3001_1.LEFT_CC.LJPEG"
    whole = path.read_bytes()
    for content, code in (
        (b"", "damaged"),
        (b"P5\n160 120\n65535\n", "damaged"),
        (whole[: len(whole) // 2], "damaged"),
        (whole[:20], "damaged"),
        # The frame header announces 65535 lines.
        (whole.replace(bytes([16, 0, 160, 0, 120]), bytes([16, 255, 255, 0, 120])), "size"),
    ):
        path.write_bytes(content)
        with pytest.raises(PictureError) as error:
            read_picture(path)
        assert error.value.code == code
    path.unlink()
    with pytest.raises(PictureError, match="no such file"):
        read_picture(path)


def test_no_damage_to_a_stream_breaks_out(case: Path) -> None:
    path = case / "A_3001_1.LEFT_CC.LJPEG"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        content = bytearray(whole)
        for place in rng.integers(0, 80, rng.integers(1, 5)):
            content[place] = rng.integers(0, 256)
        path.write_bytes(bytes(content))
        try:
            assert read_picture(path).pixels.shape == (160, 120)
        except PictureError:
            refused += 1
    assert refused > 100

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from disasymnet.errors import PictureError
from disasymnet.images.ddsm_film import optical_density, read_ics
from disasymnet.images.read import read_picture
from disasymnet.testkit.ddsm import make_ddsm
from disasymnet.testkit.films import LARGE
from tests.images.lossless import encode


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


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ddsm")
    make_ddsm(root)
    return root / "cases/cancers/cancer_01/case3001"


@pytest.fixture
def case(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "cases/cancers/cancer_01/case3001"))


def test_the_card(case: Path) -> None:
    found = read_ics(case / "A-3001-1.ics")
    assert (found.scanner, found.density, len(found.views)) == ("HOWTEK", "3", 4)
    assert found.views["LEFT_CC"].shape == LARGE
    assert [found.views[name].overlay for name in ("LEFT_CC", "RIGHT_CC")] == [True, False]
    text = (case / "A-3001-1.ics").read_text()
    (case / "A-3001-1.ics").write_text(text.replace("RESOLUTION 43.5", "RESOLUTION"))  # a blank field
    assert read_ics(case / "A-3001-1.ics").views["LEFT_CC"].pixel_mm is None
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
        (whole.replace(bytes([16, 1, 64, 0, 240]), bytes([16, 255, 255, 0, 240])), "size"),
    ):
        path.write_bytes(content)
        with pytest.raises(PictureError) as error:
            read_picture(path)
        assert error.value.code == code
    path.unlink()
    with pytest.raises(PictureError, match="no such file"):
        read_picture(path)


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", [12, 16])
def test_streams_of_any_predictor_are_read_exactly(case: Path, predictor: int, bits: int) -> None:
    """An encoder of our own, with JFIF's segment in front as the old codec of DDSM writes it."""
    values = np.random.default_rng(predictor).integers(100, min(2**bits, 64000), (24, 30)).astype(np.uint16)
    jfif = b"\xff\xe0\x00\x10JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00"
    path = stream(case, encode(values, bits=bits, predictor=predictor, before=jfif), bits)
    assert np.array_equal(read_picture(path).pixels, 1 - optical_density(values, "DBA", "A_3001_1") / np.float32(4))


def test_streams_that_would_be_read_wrongly_are_refused(case: Path) -> None:
    values = np.random.default_rng(0).integers(100, 60000, (24, 30)).astype(np.uint16)
    restart = stream(case, encode(values, bits=16, predictor=1, before=b"\xff\xdd\x00\x04\x00\x1e"), 16)
    with pytest.raises(PictureError, match="restart intervals") as error:
        read_picture(restart)
    assert error.value.code == "restart"
    with pytest.raises(PictureError, match="in a film of 12 bits") as error:
        read_picture(stream(case, encode(values, bits=16, predictor=1), 12))
    assert error.value.code == "values"


def stream(case: Path, content: bytes, bits: int) -> Path:
    """A film of 24 x 30 pixels of the DBA scanner."""
    size = f"LEFT_CC LINES 24 PIXELS_PER_LINE 30 BITS_PER_PIXEL {bits} RESOLUTION 42 NON_OVERLAY"
    (case / "A-3001-1.ics").write_text(f"DIGITIZER DBA 21\n{size}\n")
    path = case / "A_3001_1.LEFT_CC.LJPEG"
    path.write_bytes(content)
    return path


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
            assert read_picture(path).pixels.shape == LARGE
        except PictureError:
            refused += 1
    assert refused > 100

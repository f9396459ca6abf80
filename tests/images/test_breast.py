from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from disasymnet.errors import PictureError
from disasymnet.images.breast import find_breast
from disasymnet.images.read import read_picture
from tests.images.drawn import breast


def truth(rows: int = 400, columns: int = 300, reach: float = 0.5, height: float = 0.8) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns] + 0.5
    return (x / (reach * columns)) ** 2 + ((y - rows / 2) / (height * rows / 2)) ** 2 < 1


def overlap(one: np.ndarray, two: np.ndarray) -> float:
    return float((one & two).sum() / (one | two).sum())


@pytest.mark.parametrize("wall", ["left", "right"])
@pytest.mark.parametrize("scale", [1.0, 0.05])
def test_finds_breast_and_wall_at_any_grey_scale(wall: str, scale: float) -> None:
    found = find_breast(breast(wall=wall) * np.float32(scale))
    expected = truth() if wall == "left" else truth()[:, ::-1]
    assert overlap(found.mask, expected) > 0.96
    assert found.chest_wall == wall
    assert found.coverage == pytest.approx(expected.mean(), abs=0.02)
    assert found.warnings == ()


def test_markers_frames_strips_and_stray_pixels_stay_out() -> None:
    picture = breast()
    picture[:12] = 1  # a film's white frame
    picture[-8:] = 0.98
    picture[40:90, 230:280] = 1  # a lead marker
    picture[50:80:6, 240:270] = 0.1
    picture[:, 290:296] = 0.95  # a saturated strip at the air side
    picture[350, 200] = 0.4
    found = find_breast(picture)
    assert overlap(found.mask, truth()) > 0.95
    assert not found.mask[:, 220:].any()


def test_a_bar_that_touches_the_breast_is_cut() -> None:
    picture = breast(height=1.2)
    picture[:8] = 0.3  # darker than a frame: a shadow over the whole width
    found = find_breast(picture)
    assert not found.mask[:, 200:].any()


def test_a_fold_of_the_abdomen_and_a_label_at_the_skin_are_cut_and_a_nipple_stays() -> None:
    plain, picture = find_breast(breast(height=0.6)).mask, breast(height=0.6)
    picture[300:, :16] = 0.4  # skin along the chest wall, below the breast
    picture[190:210, 145:158] = 0.3  # a nipple, 13 pixels beyond the skin
    picture[100:114, 90:200] = 0.3  # a strip that begins inside the breast
    found = find_breast(picture).mask
    assert not found[350:, :].any()
    assert not found[100:114, 160:].any()
    assert found[195:205, 145:156].all()
    assert overlap(found, plain) > 0.95


def test_the_data_sets_word_wins_and_disagreement_is_told() -> None:
    found = find_breast(breast(wall="left"), "right")
    assert found.chest_wall == "right"
    assert "expected at the right" in found.warnings[0]


def test_large_pictures_are_as_good_as_small_ones() -> None:
    found = find_breast(breast(1603, 1201))
    assert found.mask.shape == (1603, 1201)
    assert overlap(found.mask, truth(1603, 1201)) > 0.97


def test_too_little_and_too_much_are_doubtful_and_nothing_is_an_error() -> None:
    assert "doubtful" in find_breast(breast(reach=0.15, height=0.3)).warnings[0]
    assert "doubtful" in find_breast(np.random.default_rng(0).random((200, 150)).astype(np.float32)).warnings[0]
    dots = np.zeros((200, 150), dtype=np.float32)
    dots[50:150:40, 60] = 1
    with pytest.raises(PictureError) as caught:
        find_breast(dots)
    assert caught.value.code == "no_breast"
    with pytest.raises(PictureError):
        find_breast(np.ones((12, 12), dtype=np.float32))


HARD = (2, 12, 68, 112, 131, 132, 133, 134, 135, 136, 139, 140, 145, 146, 147, 148, 149, 150, 151, 152, 154, 274, 280)
"""Strips, frames, bars and filled films of mini-MIAS; measured area shares stand in the data folder's pairs.csv."""


@pytest.mark.data
def test_hard_films_of_mini_mias(real_data: Path, tmp_path: Path) -> None:
    import csv
    import io
    import zipfile

    areas = {}
    with (real_data / "mini-mias" / "pairs.csv").open() as file:
        for row in csv.DictReader(file):
            areas[row["left_breast_image"]] = float(row["area_l"])
            areas[row["right_breast_image"]] = float(row["area_r"])
    with zipfile.ZipFile(real_data / "mini-mias" / "mini-mias-webp.zip") as archive:
        names = {Path(name).stem: name for name in archive.namelist()}
        for number in HARD:
            name = f"mdb{number:03d}"
            with Image.open(io.BytesIO(archive.read(names[name]))) as file:
                file.convert("L").save(tmp_path / "x.pgm")
            found = find_breast(read_picture(tmp_path / "x.pgm").pixels)
            assert found.coverage == pytest.approx(areas[name], rel=0.06), name
            if number not in (151, 152):  # the breast fills the film: only the file's number tells
                assert found.chest_wall == ("right" if number % 2 else "left"), name

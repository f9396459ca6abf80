"""Pictures that lie otherwise than usual: brought to the usual place by PatientOrientation, or refused, and told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from disasymnet.cli import app
from disasymnet.errors import PictureError
from disasymnet.images.preprocess import Prepared, preprocess_single
from disasymnet.images.read import Reading, read_picture
from disasymnet.records import Box
from disasymnet.settings import ImageSettings
from disasymnet.terms import Laterality
from disasymnet.testkit.mammograms import mammogram, write
from disasymnet.testkit.studies import ORIENTATIONS, laid, mark_lies, marked

ROWS, COLUMNS = 384, 256
BLOCK = Box(32, 96, 96, 144)  # in the picture of `marked`: rows 96 to 144, columns 32 to 96
BREASTS = [("L", "CC"), ("R", "CC"), ("L", "MLO"), ("R", "MLO")]
UPRIGHT, LYING = ("usual", "mirrored", "upside down", "turned"), ("quarter left", "quarter right")


def file(path: Path, side: str, view: str, lies: str, **tags: Any) -> Path:
    """A picture that lies so, with the tags that say so, others on top."""
    pixels = laid(marked(rows=ROWS, columns=COLUMNS), Laterality(side), lies)
    stated: dict[str, Any] = {
        "ImageLaterality": side, "ViewPosition": view, "PatientOrientation": ORIENTATIONS[lies][side, view],
    }  # fmt: skip
    path.write_bytes(write(mammogram(pixels, **{**stated, **tags}), pixels))
    return path


def prepared(path: Path, scale: str = "mm") -> Prepared:
    settings = ImageSettings(height=128, width=64, scale=scale, mm_per_pixel=0.3)  # type: ignore[arg-type]
    return preprocess_single(read_picture(path), None, settings)


@pytest.mark.parametrize("lies", UPRIGHT)
@pytest.mark.parametrize(("side", "view"), BREASTS)
@pytest.mark.parametrize("scale", ["mm", "liu2020"])
def test_every_upright_or_turned_picture_ends_in_the_usual_place(
    tmp_path: Path, side: str, view: str, lies: str, scale: str
) -> None:
    """The block of the upper part lies there again, and its box comes back to where it lies in the file."""
    path = file(tmp_path / "x.dcm", side, view, lies)
    got = prepared(path, scale)
    assert got.geometry.flip_y == (lies in ("upside down", "turned"))
    source = read_picture(path).pixels
    if scale == "mm":  # the canvas of liu2020 shows so small a picture as a few pixels
        assert mark_lies(got.image, got.breast) == "upright"
        back = got.geometry.mask_back(got.geometry.mask(source > 0.9))
        assert back[source > 0.9].mean() > 0.8
    there = got.geometry.box(_box_of(source))
    usual = prepared(file(tmp_path / "usual.dcm", side, view, "usual"), scale).geometry
    expected = usual.box(_box_of(read_picture(tmp_path / "usual.dcm").pixels))
    np.testing.assert_allclose(_edges(there), _edges(expected), atol=2)
    np.testing.assert_allclose(_edges(got.geometry.box_back(there)), _edges(_box_of(source)))


def _edges(box: Box) -> list[float]:
    return [box.x0, box.y0, box.x1, box.y1]


def _box_of(pixels: np.ndarray) -> Box:
    """Where the block lies on the file's grid."""
    rows, columns = np.flatnonzero((pixels > 0.9).any(1)), np.flatnonzero((pixels > 0.9).any(0))
    return Box(float(columns[0]), float(rows[0]), float(columns[-1]) + 1, float(rows[-1]) + 1)


@pytest.mark.parametrize("lies", UPRIGHT)
def test_the_block_lies_where_the_test_says(lies: str) -> None:
    box = _box_of(laid(marked(rows=ROWS, columns=COLUMNS), Laterality.LEFT, lies) / 4095)
    mirrored, turned = lies in ("mirrored", "turned"), lies in ("upside down", "turned")
    assert (box.x0, box.x1) == ((COLUMNS - BLOCK.x1, COLUMNS - BLOCK.x0) if mirrored else (BLOCK.x0, BLOCK.x1))
    assert (box.y0, box.y1) == ((ROWS - BLOCK.y1, ROWS - BLOCK.y0) if turned else (BLOCK.y0, BLOCK.y1))


@pytest.mark.parametrize(
    ("side", "view", "said", "turned"),
    [
        ("L", "CC", "A\\RF", False),  # oblique: of a CC the letters to the sides count
        ("L", "CC", "A\\HL", True),
        ("L", "CC", "AF\\R", False),
        ("L", "MLO", "A\\F", False),
        ("L", "MLO", "A\\H", True),
        ("L", "MLO", "A\\RF", False),
        ("L", "MLO", "A\\LH", True),
        ("L", "MLO", "A\\R", False),  # neither head nor foot: inwards is down
        ("L", "MLO", "A\\L", True),
        ("L", "MLO", "AF\\HL", True),
        ("L", "CC", "A\\F", False),  # tells nothing of a CC
        ("L", "CC", "MLO", False),
        ("L", "CC", None, False),
        ("L", "CC", "R\\F", False),  # no mammogram's: rows along neither A nor P
    ],
)
def test_which_letters_count(tmp_path: Path, side: str, view: str, said: str | None, turned: bool) -> None:
    path = file(tmp_path / "x.dcm", side, view, "usual", PatientOrientation=said, SeriesDescription="")
    if said == "MLO":
        path = file(tmp_path / "x.dcm", side, "MLO", "usual", PatientOrientation=said)
    got = prepared(path)
    assert got.geometry.flip_y is turned
    assert mark_lies(got.image, got.breast) == ("upside down" if turned else "upright")
    assert any("turned the right way up" in line for line in got.warnings) is turned


def test_without_tags_a_picture_is_taken_as_it_lies(tmp_path: Path) -> None:
    got = prepared(file(tmp_path / "x.dcm", "L", "MLO", "upside down", PatientOrientation=None))
    assert mark_lies(got.image, got.breast) == "upside down"
    assert not any("turned" in line for line in got.warnings)
    no_side = file(tmp_path / "y.dcm", "L", "CC", "upside down", ImageLaterality=None)
    assert not prepared(no_side).geometry.flip_y


def test_a_tag_that_the_chest_wall_contradicts_turns_nothing(tmp_path: Path) -> None:
    """A tag copied from another picture: the columns of it are as wrong as its rows."""
    got = prepared(file(tmp_path / "x.dcm", "L", "CC", "usual", PatientOrientation="P\\L"))
    assert mark_lies(got.image, got.breast) == "upright"
    assert "the chest wall lies at the left edge, by PatientOrientation P/L at the right" in got.warnings
    assert "upside down by PatientOrientation P/L, but the chest wall contradicts it: not turned" in got.warnings


@pytest.mark.parametrize("lies", LYING)
@pytest.mark.parametrize(("side", "view"), BREASTS)
def test_a_picture_on_its_side_is_refused(tmp_path: Path, side: str, view: str, lies: str) -> None:
    for strict in (False, True):
        with pytest.raises(PictureError, match="it lies on its side") as caught:
            read_picture(file(tmp_path / "x.dcm", side, view, lies), Reading(strict))
        assert caught.value.code == "turned"
        assert "turn the picture" in str(caught.value.hint)


@pytest.mark.parametrize("lies", ["upside down", "turned"])
@pytest.mark.parametrize(("side", "view"), BREASTS)
def test_strict_mode_takes_no_tags_word_for_which_way_is_up(tmp_path: Path, side: str, view: str, lies: str) -> None:
    path = file(tmp_path / "x.dcm", side, view, lies)
    with pytest.raises(PictureError) as caught:
        read_picture(path, Reading(strict=True))
    assert caught.value.code == "strict_orientation"
    for usual in ("usual", "mirrored"):
        read_picture(file(tmp_path / "y.dcm", side, view, usual), Reading(strict=True))


def test_it_is_told_by_scan_and_explain(tmp_path: Path) -> None:
    note = "upside down by PatientOrientation A/L: preparing turns it, if the chest wall agrees"
    folder = tmp_path / "in"
    folder.mkdir()
    file(folder / "l.dcm", "L", "CC", "upside down", SOPInstanceUID="1.2.3.1")
    file(folder / "r.dcm", "R", "CC", "usual", SOPInstanceUID="1.2.3.2")
    assert f"note: {note}" in CliRunner().invoke(app, ["explain", str(folder / "l.dcm")]).stdout
    assert CliRunner().invoke(app, ["scan", str(folder), "--out", str(tmp_path / "out")]).exit_code == 0
    assert f"left: {note}" in (tmp_path / "out" / "pairs.csv").read_text()


def test_half_turned_ccs_may_be_the_other_breasts(tmp_path: Path) -> None:
    notes = read_picture(file(tmp_path / "x.dcm", "R", "CC", "turned")).facts.notes
    assert "PatientOrientation A/R is that of the other breast's CC, or this one's turned by half" in notes

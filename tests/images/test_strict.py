"""Strict mode refuses what a mammography system does not state, and says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from disasymnet.errors import PictureError, RecipeError
from disasymnet.images.read import LENIENT, Reading, read_picture
from disasymnet.terms import Laterality, View
from disasymnet.testkit.mammograms import drawn, mammogram, write
from tests.images.drawn import breast, film, save

STRICT = Reading(strict=True)


def made(path: Path, *, mirrored: bool = False, **tags: Any) -> Path:
    pixels = (breast(wall="right" if mirrored else "left") * 4095).astype(np.uint16)
    path.write_bytes(write(mammogram(pixels, **tags), pixels))
    return path


def refused(path: Path) -> PictureError:
    with pytest.raises(PictureError) as caught:
        read_picture(path, STRICT)
    assert caught.value.hint
    return caught.value


def test_a_systems_own_mammogram_is_read_alike_in_both_modes(tmp_path: Path) -> None:
    path = made(tmp_path / "x.dcm")
    strict, lenient = read_picture(path, STRICT), read_picture(path, LENIENT)
    np.testing.assert_array_equal(strict.pixels, lenient.pixels)
    assert strict.facts == lenient.facts
    assert (strict.facts.laterality_from, strict.facts.view_from) == ("ImageLaterality", "ViewPosition")


@pytest.mark.parametrize(
    ("tags", "code", "tag"),
    [
        ({"ImageLaterality": None}, "strict_side", "Image Laterality"),
        ({"ImageLaterality": None, "SeriesDescription": "LCC"}, "strict_side", "Image Laterality"),
        ({"ViewPosition": None}, "strict_view", "View Position"),
        ({"ViewPosition": None, "SeriesDescription": "L-CC"}, "strict_view", "View Position"),
        ({"ViewPosition": None, "PatientOrientation": "CC"}, "strict_view", "View Position"),
        ({"Modality": "DX"}, "not_mammogram", "Modality"),
        ({"PatientOrientation": ["P", "R"]}, "strict_wall", "Patient Orientation"),
        ({"PatientOrientation": ["P", "L"]}, "strict_orientation", "Patient Orientation"),
        ({"PatientOrientation": None, "ImageLaterality": "R"}, "strict_wall", "Patient Orientation"),
    ],
)
def test_what_lenient_mode_reads_and_strict_mode_refuses(
    tmp_path: Path, tags: dict[str, Any], code: str, tag: str
) -> None:
    path = made(tmp_path / "x.dcm", **tags)
    read_picture(path)
    error = refused(path)
    assert (error.code, error.where) == (code, str(path))
    assert tag in str(error.tag)


def test_the_wall_follows_patient_orientation_and_then_the_breast(tmp_path: Path) -> None:
    right = {"ImageLaterality": "R", "PatientOrientation": ["P", "L"]}
    assert read_picture(made(tmp_path / "r.dcm", mirrored=True, **right), STRICT).facts.laterality is Laterality.RIGHT
    turned = made(tmp_path / "t.dcm", mirrored=True, PatientOrientation=["P", "R"])  # a left breast hung mirrored
    assert read_picture(turned, STRICT).facts.laterality is Laterality.LEFT
    bare = made(tmp_path / "b.dcm", PatientOrientation=None)
    assert read_picture(bare, STRICT).facts.view is View.CC


def test_films_and_raster_files_are_research_data(tmp_path: Path) -> None:
    stored = drawn()
    path = save(film(stored, ViewPosition="CC", Laterality="L"), tmp_path / "film.dcm")
    assert refused(path).code == "strict_film"
    Image.fromarray(stored).save(tmp_path / "x.png")
    assert refused(tmp_path / "x.png").code == "strict_raster"
    assert "--strict" in str(refused(path))


def test_policies_choose_among_luts_and_windows(tmp_path: Path) -> None:
    """Two windows and a table: `auto` takes the table; each policy is told in the step, all choices in a note."""
    from tests.images.test_grey import lut

    table = lut(0, [0] * 2048 + list(range(2048, 4096)), 12)
    path = made(tmp_path / "x.dcm", VOILUTSequence=[table], WindowCenter=[2048, 1000], WindowWidth=[4096, 500])
    steps = {
        voi: next(step for step in read_picture(path, Reading(voi=voi)).steps if step.name == "voi").detail
        for voi in ("auto", "lut1", "window1", "window2", "none")
    }
    assert steps == {
        "auto": "VOI LUT, item 1 of 1",
        "lut1": "VOI LUT, item 1 of 1",
        "window1": "window 1 of 2: LINEAR, centre 2048, width 4096",
        "window2": "window 2 of 2: LINEAR, centre 1000, width 500",
        "none": steps["none"],
    }
    assert steps["none"].startswith("none wanted")
    note = "VOI: window2 taken; the file has lut1, window1 (2048, 4096), window2 (1000, 500)"
    assert note in read_picture(path, Reading(voi="window2")).facts.notes
    with pytest.raises(PictureError, match="window 3 is asked for, the file has 2") as caught:
        read_picture(path, Reading(voi="window3"))
    assert caught.value.code == "voi"
    with pytest.raises(RecipeError, match="bone"):
        Reading(voi="bone")


@pytest.mark.data
def test_each_real_sample_is_refused_with_what_to_do(real_data: Path) -> None:
    for path in sorted((real_data / "real-samples").glob("*/*.dcm")):
        error = refused(path)
        assert error.code == "strict_film"
        assert "Leave --strict out" in str(error)

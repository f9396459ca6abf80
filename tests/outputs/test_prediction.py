from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from disasymnet.errors import PairingError
from disasymnet.outputs.overlay import colours, contour, heat_map
from disasymnet.outputs.prediction import predict_to, save, to_dict
from disasymnet.predict import Model
from disasymnet.testkit.studies import Shot, Study
from tests.evaluate.trained import known_cache, save_run, small_recipe
from tests.test_predict import CARD, RECIPE, Marking, _source
from tests.test_predict import exams as exams  # fixture


@pytest.fixture(scope="module")
def prediction():
    from disasymnet.checkpoint import Checkpoint

    model = Model(Checkpoint(Marking(), RECIPE, CARD))
    return model.predict_pictures(_source("R", "CC"), _source("L", "CC", seed=1))


def test_saved_pictures_have_source_pixels_and_sixteen_bits(prediction, tmp_path):
    path = save(prediction, tmp_path / "out")
    names = sorted(each.name for each in path.parent.iterdir())
    assert names == sorted(
        ["prediction.json"]
        + [
            f"{side}-{what}.png"
            for side in ("left", "right")
            for what in ("abnormal-part", "heatmap", "normal-synthetic")
        ]
    )
    with Image.open(path.parent / "right-normal-synthetic.png") as stored:
        values = np.asarray(stored)
        assert stored.size == (120, 200)
        assert "Not for diagnosis" in stored.info["Comment"]
        assert "Synthetic" in stored.info["Comment"]
    assert values.dtype == np.uint16
    assert values == pytest.approx(prediction.right.normal * 65535, abs=0.51)


def test_json_says_what_it_is_and_names_nobody(prediction, tmp_path):
    stored = json.loads(save(prediction, tmp_path / "out").read_text())
    assert stored == to_dict(prediction)
    assert stored["schema"] == 1
    assert "Not for diagnosis" in stored["use"]
    assert stored["right"]["abnormality"] == prediction.right.abnormality
    assert stored["right"]["sha256"] == prediction.right.sha256
    assert stored["warnings"] == list(prediction.warnings)
    assert str(tmp_path) not in json.dumps(stored)


def test_json_says_how_the_files_were_read(exams):
    from disasymnet.checkpoint import Checkpoint

    model = Model(Checkpoint(Marking(), RECIPE, CARD))
    folder = exams / "phantom-00001"
    stored = to_dict(model.predict(folder / "R_MLO.dcm", folder / "L_MLO.dcm", strict=True))
    assert stored["mode"] == "strict"
    assert stored["right"]["stated_by"] == {"laterality": "ImageLaterality", "view": "ViewCodeSequence"}
    assert [step["name"] for step in stored["left"]["grey_steps"]] == ["stored", "modality", "voi", "inversion"]
    assert all(step["low"] < step["high"] for step in stored["left"]["grey_steps"])


def test_heat_map_leaves_the_picture_where_the_map_is_nothing():
    grey = np.linspace(0, 1, 64).reshape(8, 8)
    cam = np.zeros((8, 8))
    plain = heat_map(grey, cam)
    assert (plain == np.round(grey * 255).astype(np.uint8)[..., None]).all()
    cam[2:6, 2:6] = 1
    mixed = heat_map(grey, cam)
    assert (mixed[0] == plain[0]).all()
    assert (mixed[2:6, 2:6] != plain[2:6, 2:6]).any(-1).all()


def test_contour_is_the_inner_rim():
    mask = np.zeros((7, 7), bool)
    mask[1:6, 1:6] = True
    assert contour(mask).sum() == 16


def test_heat_colours_grow_lighter():
    light = colours(np.linspace(0, 1, 50)) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > 0).all()


def test_two_files_and_a_folder_from_the_command(exams, tmp_path):
    cache = known_cache(tmp_path / "cache")
    run = save_run(tmp_path / "run", cache, small_recipe("image.mm_per_pixel=3.2"))
    first = exams / "phantom-00001"
    told = predict_to([first / "R_CC.dcm", first / "L_CC.dcm"], run, tmp_path / "two", print)
    assert "asymmetry score" in told
    assert (tmp_path / "two" / "prediction.json").is_file()
    said: list[str] = []
    told = predict_to([exams], run, tmp_path / "all", said.append)
    assert told.startswith("4 pairs answered")
    assert "files left out" in told  # truth pictures and tables are no mammograms
    assert (tmp_path / "all" / "0001-CC" / "prediction.json").is_file()
    table = (tmp_path / "all" / "predictions.csv").read_text().splitlines()
    assert len(table) == 5
    assert "phantom" not in "".join(table)
    with pytest.raises(PairingError, match="1 files given"):
        predict_to([first / "R_CC.dcm"], run, tmp_path / "one", print)


def test_what_is_no_picture_is_not_named_as_the_cause(tmp_path):
    """Five texts and two films: in strict mode the films are why nothing is answered."""
    run = save_run(tmp_path / "run", known_cache(tmp_path / "cache"), small_recipe("image.mm_per_pixel=3.2"))
    films = Study("anna", [Shot("RCC"), Shot("LCC")], style="film")
    for number, shot in enumerate(films.shots):
        films.write(tmp_path / "in" / f"{shot.name}.dcm", shot, number)
    for name in ("A.md", "B", "README.md", "x.txt", "y.csv"):
        (tmp_path / "in" / name).write_text("a text")
    with pytest.raises(PairingError) as refused:
        predict_to([tmp_path / "in"], run, tmp_path / "out", print, strict=True)
    assert "it is a Secondary Capture" in refused.value.what
    assert "Leave --strict out" in str(refused.value.hint)
    (tmp_path / "in" / "LCC.dcm").unlink()
    with pytest.raises(PairingError, match=r"no two files here make a pair; RCC\.dcm: the exam has no usable CC"):
        predict_to([tmp_path / "in"], run, tmp_path / "out", print)

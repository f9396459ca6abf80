"""Five real files (RLE, JPEG 2000, uncompressed, a WG-04 film) through `scan`, `prepare` and `predict`."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from disasymnet.checkpoint import Checkpoint
from disasymnet.cli import app
from disasymnet.data.cache import Cache
from disasymnet.data.prepare import PrepareOptions, prepare
from disasymnet.data.survey import survey
from disasymnet.datasets.folder import scan
from disasymnet.errors import DatasetError, PictureError
from disasymnet.predict import Model, predict_folder
from disasymnet.settings import ImageSettings
from disasymnet.terms import Laterality, View
from tests.test_predict import CARD, RECIPE, Marking

pytestmark = pytest.mark.data

SETTINGS = ImageSettings(height=128, width=64, scale="fit")
# Truth of the samples' own description, by file.
TRUTH = {
    "LEFT_CC.rle": (Laterality.LEFT, View.CC),
    "RIGHT_CC.j2k": (Laterality.RIGHT, View.CC),
    "LEFT_MLO.reduced4": (Laterality.LEFT, View.MLO),
    "RIGHT_MLO.reduced4": (Laterality.RIGHT, View.MLO),
    "MG1_J2KI": (Laterality.LEFT, View.MLO),
}


@pytest.fixture(scope="module")
def samples(real_data: Path) -> Path:
    return real_data / "real-samples"


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(Checkpoint(Marking(), RECIPE, CARD))


def make_cache(samples: Path, out: Path, *, strict: bool) -> Cache:
    options = PrepareOptions("folder", public=False, workers=1, strict=strict, names=True)
    return prepare(scan(samples), SETTINGS, out, options, lambda line: None)


def test_scan_finds_sides_views_and_pairs(samples: Path) -> None:
    assert {picture.path.stem: (picture.laterality, picture.view) for picture in scan(samples).pictures} == TRUTH
    told = survey(samples, None)
    assert "5 pictures of 2 patients, 2 pairs" in told
    assert "1 CC pairs" in told
    assert "1 MLO pairs" in told
    assert "unpaired (1)" in told


def test_scan_lists_every_file_with_the_tags_that_named_its_side_and_view(samples: Path, tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["scan", str(samples), "--out", str(tmp_path)])
    assert ended.exit_code == 0
    with (tmp_path / "pairs.csv").open(newline="") as file:
        pairs = {row["view"]: row for row in csv.DictReader(file)}
    assert {view: (row["right"], row["left"]) for view, row in pairs.items()} == {
        "CC": ("cbis-ddsm-P_00173/RIGHT_CC.j2k.dcm", "cbis-ddsm-P_00173/LEFT_CC.rle.dcm"),
        "MLO": ("cbis-ddsm-P_00173/RIGHT_MLO.reduced4.dcm", "cbis-ddsm-P_00173/LEFT_MLO.reduced4.dcm"),
    }
    for row in pairs.values():
        assert (row["right_laterality_from"], row["left_view_from"]) == ("Laterality", "PatientOrientation")
        assert "CBIS-DDSM: patient taken from within PatientID, study ignored" in row["notes"]
        assert row["right_presentation"] == "secondary capture"
        assert "P_00173" not in row["patient"] + row["exam"] + row["id"]
    with (tmp_path / "rejected.csv").open(newline="") as file:
        rejected = {row["picture"].split("/")[-1]: row for row in csv.DictReader(file)}
    assert rejected["MG1_J2KI.dcm"]["code"] == "unpaired"
    assert all(row["reason"] and row["hint"] for row in rejected.values())


def test_scan_in_strict_mode_says_what_to_do(samples: Path) -> None:
    told = survey(samples, None, strict=True)
    assert "0 pictures" in told
    assert "strict_film (5)" in told
    assert "Leave --strict out" in told


def test_prepare_makes_both_pairs(samples: Path, tmp_path: Path) -> None:
    cache = make_cache(samples, tmp_path / "cache", strict=False)
    assert sorted(pair.view for pair in cache.pairs) == [View.CC, View.MLO]
    for pair in cache.pairs:
        assert pair.detector == "film"
        # Right breasts hang with the wall at the right edge, left ones at the left: only the right ones are flipped.
        assert (pair.geometry.right.flip_x, pair.geometry.left.flip_x) == (True, False)
        assert any("PatientOrientation" in warning for warning in pair.warnings)
        assert any("study ignored" in warning for warning in pair.warnings)
    rows = list(csv.DictReader((tmp_path / "cache" / "rejected.csv").read_text().splitlines()))
    assert ("unpaired", "wg04-MG1/MG1_J2KI.dcm") in {(row["code"], row["picture"]) for row in rows}


def test_prepare_in_strict_mode_lists_each_with_what_to_do(samples: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no pair of pictures was found"):
        make_cache(samples, tmp_path / "cache", strict=True)
    rows = list(csv.DictReader((tmp_path / "cache" / "rejected.csv").read_text().splitlines()))
    strict = [row for row in rows if row["code"] == "strict_film"]
    assert len(strict) == 5  # by their headers, before any pixel is decoded
    assert all("--strict" in row["hint"] for row in strict)


def test_predict_answers_both_pairs(samples: Path, model: Model) -> None:
    answers, rejected = predict_folder(model, samples)
    found = list(answers)
    assert sorted(str(pair.view) for pair, _ in found) == ["CC", "MLO"]
    for pair, prediction in found:
        assert "RIGHT" in pair.pictures.right.path.name
        assert prediction.view is pair.view
        assert any("study ignored" in warning for warning in prediction.warnings)
        assert prediction.right.steps[-1].detail.startswith("none: MONOCHROME2")
    assert [entry.code for entry in rejected if entry.path.name == "MG1_J2KI.dcm"] == ["unpaired"]


def test_predict_in_strict_mode_says_what_to_do(samples: Path, model: Model) -> None:
    folder = samples / "cbis-ddsm-P_00173"
    with pytest.raises(PictureError, match="Secondary Capture") as caught:
        model.predict(folder / "RIGHT_CC.j2k.dcm", folder / "LEFT_CC.rle.dcm", strict=True)
    assert "Leave --strict out" in str(caught.value)
    answers, rejected = predict_folder(model, folder, strict=True)
    assert list(answers) == []
    assert sorted(entry.code for entry in rejected) == ["partner", "partner", "strict_film", "strict_film"]

"""From exams on disk to a report, through the commands, at the smallest size."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from disasymnet.cli import app

FEW = ["--set", "train.epochs=1", "--set", "train.batch=4"]


def _run(*words: str | Path) -> str:
    ended = CliRunner().invoke(app, [str(word) for word in words])
    assert ended.exit_code == 0, (words, ended.output, ended.exception)
    return ended.output


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    exams, cache, run = folder / "exams", folder / "cache", folder / "run"
    _run("phantom", exams, "--exams", "14", "--val", "2", "--test", "6", "--rows", "256", "--contrast", "easy",
         "--workers", "1")  # fmt: skip
    _run("prepare", "phantom", exams, "--out", cache, "--height", "64", "--workers", "1")
    _run("train", "phantom", "--data", cache, "--out", run, "--threads", "1", *FEW)
    _run("evaluate", run, "--data", cache)
    return folder


@pytest.mark.slow
def test_results_have_their_keys(made: Path) -> None:
    results = json.loads((made / "run" / "evaluation" / "test" / "results.json").read_text())
    assert results["n_pairs"] == 12
    for path in (
        "asymmetry.auc",
        "abnormality.auc",
        "side_accuracy",
        *(f"pointing.{name}" for name in ("cam", "x_ab", "difference")),
        *(
            f"localisation.{name}.{key}"
            for name in ("cam", "x_ab", "difference")
            for key in ("iou", "ior_ref", "ior_det", "dice", "tiou", "tior")
        ),
        *(f"reconstruction.{key}" for key in ("inside_ratio", "outside_error", "black_holes")),
    ):
        found = results
        for key in path.split("."):
            found = found[key]
        assert {"value", "ci", "unit", "n"} <= set(found), path


@pytest.mark.slow
def test_predictions_name_every_side(made: Path) -> None:
    with (made / "run" / "evaluation" / "test" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["side"] for row in rows} >= {"R", "L"}


@pytest.mark.slow
def test_a_pair_of_files_and_a_folder_are_answered(made: Path) -> None:
    exam = made / "exams" / "phantom-00001"
    out = made / "answer"
    said = _run("predict", exam / "R_CC.dcm", exam / "L_CC.dcm", "--model", made / "run", "--out", out)
    assert "Research use only" in said
    answer = next(out.rglob("*.json"))
    assert "research" in answer.read_text().lower()
    drawn = [np.asarray(Image.open(path)).shape[:2] for path in out.rglob("*.png")]
    assert (256, 197) in drawn  # the files' own pixels
    said = _run("predict", exam, "--model", made / "run", "--out", made / "folder")
    assert len({path.parent for path in (made / "folder").rglob("*.json")}) == 2  # CC and MLO


@pytest.mark.slow
def test_the_report_stands_alone(made: Path) -> None:
    page = made / "report.html"
    _run("report", made / "run", "--out", page)
    text = page.read_text()
    assert "Research use only" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "<script" not in text


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(made: Path) -> None:
    again = made / "again"
    _run("train", "phantom", "--data", made / "cache", "--out", again, "--threads", "1", *FEW)
    first, second = (folder / "last" / "weights.safetensors" for folder in (made / "run", again))
    assert first.read_bytes() == second.read_bytes()

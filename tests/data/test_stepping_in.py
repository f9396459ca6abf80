"""A file that cannot be read displaces none that can: copies and superseded pictures step in for it."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from disasymnet.cli import app
from disasymnet.data.cache import Cache
from disasymnet.errors import PairingError
from disasymnet.outputs.prediction import predict_to
from tests.evaluate.trained import known_cache, save_run, small_recipe

from .test_archive import content, save


def cut(path: Path) -> None:
    """The header is whole, the pixels are not."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 3000])


def archive(root: Path) -> Path:
    """Three women: a later exposure that is cut off, a copy that is cut off, and one whose only left picture is."""
    save(root / "a" / "R", "anna", "R", seed=0)
    save(root / "a" / "L1", "anna", "L", seed=1)
    save(root / "a" / "L2", "anna", "L", seed=2, InstanceNumber=2)
    cut(root / "a" / "L2")
    save(root / "b" / "R", "berta", "R", seed=100)
    save(root / "b" / "L1", "berta", "L", seed=101)
    shutil.copy(root / "b" / "L1", root / "b" / "L2")
    cut(root / "b" / "L1")
    save(root / "c" / "R", "carla", "R", seed=200)
    save(root / "c" / "L", "carla", "L", seed=201)
    cut(root / "c" / "L")
    return root


LEFT_OUT = {"a/L2": "pixel_length", "b/L1": "pixel_length", "c/L": "pixel_length", "c/R": "partner"}


def tables(out: Path) -> tuple[list[tuple[str, str]], dict[str, str]]:
    with (out / "pairs.csv").open(newline="") as pairs, (out / "rejected.csv").open(newline="") as rejected:
        left_out = list(csv.DictReader(rejected))
        assert not any("Nothing to do" in row["hint"] for row in left_out)
        return sorted((row["right"], row["left"]) for row in csv.DictReader(pairs)), {
            row["picture"]: row["code"] for row in left_out
        }


@pytest.mark.slow
def test_the_pair_is_prepared_with_what_can_be_read(tmp_path: Path) -> None:
    root = archive(tmp_path / "in")
    for workers in ("1", "2"):
        out = tmp_path / workers
        if workers == "2":
            out.mkdir()
            for name in ("request.json", "salt"):
                shutil.copy(tmp_path / "1" / name, out)
        words = ["prepare", "folder", str(root), "--out", str(out), "--height", "64", "--names", "--workers", workers]
        ended = CliRunner().invoke(app, words)
        assert ended.exit_code == 0, ended.output
        assert tables(out) == ([("a/R", "a/L1"), ("b/R", "b/L2")], LEFT_OUT)
    assert len(Cache.open(tmp_path / "1").pairs) == 2
    before = content(tmp_path / "1")
    assert before == content(tmp_path / "2")
    again = CliRunner().invoke(app, [*words[:4], str(tmp_path / "1"), *words[5:]])
    assert "2 of them were finished already" in again.output
    assert content(tmp_path / "1") == before


def test_a_folder_is_answered_with_what_can_be_read(tmp_path: Path) -> None:
    root = archive(tmp_path / "in")
    run = save_run(tmp_path / "run", known_cache(tmp_path / "cache"), small_recipe("image.mm_per_pixel=3.2"))
    said: list[str] = []
    told = predict_to([root], run, tmp_path / "out", said.append)
    assert said == ["0001-CC: R and L2", "0002-CC: R and L1"]
    assert told.startswith("2 pairs answered")
    named = {line.split(":")[0].strip() for line in told.splitlines()[2:]}
    assert named == set(LEFT_OUT)
    for name in ("a/L1", "b/L2"):
        (root / name).unlink()
    with pytest.raises(PairingError, match="no pair could be answered: 9,288 bytes of pixels"):
        predict_to([root], run, tmp_path / "none", print)

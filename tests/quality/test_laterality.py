"""`qa laterality`: planted errors are found, one line each; everything else agrees."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from typer.testing import CliRunner

from disasymnet.cli import app
from disasymnet.phantom import PhantomSettings, make_exams
from disasymnet.quality.laterality import check


def run(folder: Path, *words: str) -> tuple[int, list[str]]:
    ended = CliRunner().invoke(app, ["qa", "laterality", str(folder), *words])
    return ended.exit_code, [line for line in ended.stdout.splitlines() if line]


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    make_exams(folder / "all", PhantomSettings(exams=4, rows=256), workers=1, say=lambda line: None)
    return folder / "all"


@pytest.fixture
def pictures(exams: Path, tmp_path: Path) -> dict[str, Path]:
    """The four pictures of each of four women, copied: `0RCC`, ..."""
    found = {}
    women: dict[str, int] = {}
    for path in sorted(exams.rglob("*.dcm")):
        file = pydicom.dcmread(path)
        if "PatientID" not in file or "free" in path.name or "free" in path.parent.name:
            continue
        number = women.setdefault(file.PatientID, len(women))
        name = f"{number}{file.ImageLaterality}{file.ViewPosition}"
        copy = tmp_path / "in" / f"{name}.dcm"
        if name not in found:
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
            found[name] = copy
    assert len(found) == 16
    return found


def change(path: Path, *, mirror: bool = False, **tags: object) -> None:
    file = pydicom.dcmread(path)
    if mirror:
        file.PixelData = np.ascontiguousarray(file.pixel_array[:, ::-1]).tobytes()
    for name, value in tags.items():
        if value is None:
            delattr(file, name)
        else:
            setattr(file, name, value)
    file.save_as(path)


def test_phantoms_agree(pictures: dict[str, Path]) -> None:
    code, lines = run(pictures["0RCC"].parent)
    assert code == 0
    assert lines[0] == "16 pictures agree with their tags, 0 do not"


def test_each_planted_error_is_one_line(pictures: dict[str, Path], tmp_path: Path) -> None:
    change(pictures["0RCC"], mirror=True)  # pixels turned, tags left
    change(pictures["0LCC"], mirror=True, PatientOrientation=None)
    change(pictures["1LMLO"], PatientOrientation=["P", "FL"], mirror=True)  # another breast's picture under this side
    change(pictures["1RMLO"], ImageLaterality="L")  # the wrong side was typed
    change(pictures["2LCC"], ImageLaterality="R")
    change(pictures["2RCC"], Laterality="L")  # two tags, two breasts
    change(pictures["3RCC"], mirror=True, PatientOrientation=["A", "L"])  # mirrored, and it says so
    change(pictures["3LCC"], ImageLaterality=None, PatientOrientation=None)
    folder = pictures["0RCC"].parent
    (folder / "notes.txt").write_text("a text")
    Image.fromarray(np.arange(65536, dtype=np.uint32).reshape(256, 256).astype(np.uint16)).save(folder / "x.png")
    code, lines = run(folder, "--out", str(tmp_path / "bad.csv"))
    assert code == 1
    told = {line.split(": ")[0]: line.split(": ")[1] for line in lines[:-3]}
    assert {name: told.pop(name) for name in ("notes.txt", "x.png", "3LCC.dcm")} == {
        "notes.txt": "not compared, not_a_picture", "x.png": "not compared, no_side",
        "3LCC.dcm": "not compared, no_side",
    }  # fmt: skip
    assert told == {
        "0LCC.dcm": "wall_side",
        "0RCC.dcm": "wall_orientation",
        "1LMLO.dcm": "orientation_side",
        "1RMLO.dcm": "orientation_side",
        "2LCC.dcm": "orientation_side",
        "2RCC.dcm": "laterality_conflict",
    }
    assert lines[-3] == "9 pictures agree with their tags, 6 do not; not compared: 2 no_side, 1 not_a_picture"
    with (tmp_path / "bad.csv").open(newline="") as file:
        rows = {row["picture"]: row for row in csv.DictReader(file)}
    assert {name: row["code"] for name, row in rows.items() if row["result"] == "disagrees"} == told
    assert {name: row["code"] for name, row in rows.items() if row["result"] == "not compared"} == {
        "notes.txt": "not_a_picture", "x.png": "no_side", "3LCC.dcm": "no_side",
    }  # fmt: skip
    assert rows["0RCC.dcm"]["reason"] == "the chest wall lies at the left edge, by PatientOrientation P/L at the right"
    assert all(row["reason"] and row["hint"] for row in rows.values())


def test_nothing_compared_is_no_success(pictures: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "untold"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(pictures["0RCC"].read_bytes())
    (folder / "notes.txt").write_text("a text")
    assert run(folder)[0] == 0
    change(folder / "a.dcm", ImageLaterality=None, PatientOrientation=None)
    code, lines = run(folder, "--out", str(tmp_path / "untold.csv"))
    assert code == 1
    (said,) = [line for line in lines if line.startswith("nothing could be compared")]
    assert said.endswith("; not compared: 1 no_side, 1 not_a_picture")
    assert not any("agree with their tags" in line for line in lines)


@pytest.mark.data
def test_the_real_samples_agree(real_data: Path) -> None:
    checked = check(real_data / "real-samples")
    assert checked.disagreements == ()
    assert checked.agree == 5


def laid_down(path: Path, orientation: str | None) -> None:
    """The phantom's picture upside down in its file, with a PatientOrientation."""
    file = pydicom.dcmread(path)
    file.PixelData = np.ascontiguousarray(file.pixel_array[::-1]).tobytes()
    file.save_as(path)
    change(path, PatientOrientation=orientation and orientation.split("\\"))


def test_an_mlo_shows_which_way_is_up_and_a_cc_does_not(pictures: dict[str, Path]) -> None:
    laid_down(pictures["0RMLO"], "P\\FL")  # turned, and the tag was left
    laid_down(pictures["0LMLO"], "A\\HL")  # turned, and it says so
    change(pictures["1RMLO"], PatientOrientation=["P", "HR"])  # only the tag says it
    laid_down(pictures["1LMLO"], None)
    laid_down(pictures["0RCC"], "P\\L")
    code, lines = run(pictures["0RCC"].parent)
    assert code == 1
    told = {line.split(": ")[0]: line.split(": ")[1:] for line in lines[:-3]}
    assert told == {
        "0RMLO.dcm": ["upside_down", "the muscle lies at the lower edge, by PatientOrientation P/FL at the upper"],
        "1RMLO.dcm": ["upside_down", "the muscle lies at the upper edge, by PatientOrientation P/HR at the lower"],
        "1LMLO.dcm": ["upside_down", "the muscle lies at the lower edge, where it hangs as usual at the upper"],
    }
    assert lines[-3] == "13 pictures agree with their tags, 3 do not"
    assert lines[-2] == "which way is up does not show in 8 of them: there the tags are not checked"

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydantic import ValidationError

from disasymnet.errors import DatasetError
from disasymnet.phantom import PhantomSettings, make_exams
from disasymnet.phantom.plan import plan_exams, shares

SMALL = PhantomSettings(exams=6, rows=128, seed=3, tumours=11, val=1, test=0.34)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "set"
    make_exams(out, SMALL, workers=1, say=lambda line: None)
    return out


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_bytes_do_not_depend_on_workers(folder: Path, tmp_path: Path) -> None:
    make_exams(tmp_path / "two", SMALL, workers=2, say=lambda line: None)
    assert digests(tmp_path / "two") == digests(folder)


def test_an_exam_does_not_depend_on_how_many_there_are(folder: Path, tmp_path: Path) -> None:
    # Same plan (all symmetric, one density) for both sets, so that only the number of exams differs.
    alike = {"symmetric": 1.0, "densities": (0.0, 1.0, 0.0, 0.0), "tumours": 0, "rows": 96, "val": 0, "test": 0}
    for exams in (1, 2):
        make_exams(tmp_path / str(exams), PhantomSettings(exams=exams, **alike), workers=1, say=lambda line: None)
    pixels = [pydicom.dcmread(tmp_path / n / "phantom-00001" / "R_CC.dcm").pixel_array for n in ("1", "2")]
    np.testing.assert_array_equal(*pixels)


def test_table_names_every_picture_once_and_every_file_exists(folder: Path) -> None:
    rows = rows_of(folder / "pictures.csv")
    assert len(rows) == SMALL.exams * 4
    assert len({row["picture"] for row in rows}) == len(rows)
    for row in rows:
        assert (folder / row["picture"]).is_file()
        findings = json.loads(row["findings"])
        assert (row["abnormal"] == "1") is bool(findings) is bool(row["lesion_free"])
        assert all((folder / entry["mask"]).is_file() for entry in findings)
    named = {row["lesion_free"] for row in rows if row["lesion_free"]}
    named |= {entry["mask"] for row in rows for entry in json.loads(row["findings"])}
    assert named == {str(path.relative_to(folder)) for path in folder.glob("*/truth/*.png")}


def test_a_patient_is_in_one_split_and_splits_have_the_sizes_asked_for(folder: Path) -> None:
    split_of: dict[str, set[str]] = {}
    for row in rows_of(folder / "pictures.csv"):
        split_of.setdefault(row["patient"], set()).add(row["split"])
    assert Counter(next(iter(names)) for names in split_of.values() if len(names) == 1) == {
        "train": 3,
        "val": 1,
        "test": 2,
    }


def test_lesion_free_picture_is_the_same_picture_outside_the_lesions(folder: Path) -> None:
    abnormal = [row for row in rows_of(folder / "pictures.csv") if row["abnormal"] == "1"]
    assert abnormal
    for row in abnormal:
        seen = pydicom.dcmread(folder / row["picture"]).pixel_array / 4095
        free = np.asarray(Image.open(folder / row["lesion_free"])) / 65535
        mask = np.zeros(seen.shape, dtype=bool)
        for entry in json.loads(row["findings"]):
            one = np.asarray(Image.open(folder / entry["mask"]))
            assert one.shape == seen.shape
            assert set(np.unique(one)) == {0, 255}
            assert not (mask & (one > 127)).any()
            mask |= one > 127
        added = seen - free
        # A lesion only adds, and what lies outside the masks is small beside what lies inside.
        assert added.min() > -2 / 4095
        assert added[mask].mean() > 5 * added[~mask].mean()
        assert (np.abs(added) < 1e-5).mean() > 0.5


def test_both_views_of_a_breast_show_the_same_lesions(folder: Path) -> None:
    lesions: dict[tuple[str, str], set[tuple[object, ...]]] = {}
    for row in rows_of(folder / "pictures.csv"):
        found = tuple((entry["name"], entry["diameter_mm"]) for entry in json.loads(row["findings"]))
        lesions.setdefault((row["patient"], row["laterality"]), set()).add(found)
    assert all(len(kinds) == 1 for kinds in lesions.values())


def test_right_and_left_are_alike_but_not_equal(folder: Path) -> None:
    right = pydicom.dcmread(folder / "phantom-00001" / "R_MLO.dcm").pixel_array[:, ::-1].astype(float)
    left = pydicom.dcmread(folder / "phantom-00001" / "L_MLO.dcm").pixel_array.astype(float)
    assert 0.5 < np.corrcoef(right[20:].ravel(), left[20:].ravel())[0, 1] < 0.995


def test_tumours_are_other_patients_and_crops_fit_their_boxes(folder: Path) -> None:
    rows = rows_of(folder / "tumours" / "tumours.csv")
    patients = {row["patient"] for row in rows_of(folder / "pictures.csv")}
    assert len(rows) == 11
    assert {row["source"] for row in rows} == {"phantom-tumours"}
    assert not patients & {row["patient"] for row in rows}
    assert Counter(row["split"] for row in rows) == {"train": 9, "val": 1, "test": 1}
    for row in rows:
        crop = np.asarray(Image.open(folder / "tumours" / row["file"]))
        mask = np.asarray(Image.open(folder / "tumours" / row["mask"])) > 127
        assert crop.dtype == np.uint16
        assert crop.shape == mask.shape
        at = np.nonzero(mask)
        assert (np.ptp(at[1]) + 1, np.ptp(at[0]) + 1) == (int(row["box_w"]), int(row["box_h"]))
        for side, box in zip(crop.shape, (int(row["box_h"]), int(row["box_w"])), strict=True):
            assert box <= side <= 1.5 * box + 1


def test_same_set_again_is_left_alone_and_another_is_refused(folder: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    make_exams(folder, SMALL, workers=1, say=lines.append)
    assert "already there" in lines[0]
    with pytest.raises(DatasetError, match="other settings"):
        make_exams(folder, SMALL.model_copy(update={"seed": 4}), workers=1, say=lines.append)
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(DatasetError, match="not an empty folder"):
        make_exams(tmp_path, SMALL, workers=1, say=lines.append)


def test_exams_that_do_not_fit_are_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=800_000))
    with pytest.raises(DatasetError, match=r"need about 8\d\d\.\d KB, 800\.0 KB are free"):
        make_exams(tmp_path / "deep" / "out", SMALL, workers=1, say=lambda line: None)
    assert not list(tmp_path.iterdir())


def test_the_space_that_is_said_is_the_space_it_takes(tmp_path: Path) -> None:
    lines: list[str] = []
    make_exams(tmp_path / "out", SMALL, workers=1, say=lines.append)
    said = float(lines[0].partition("take about ")[2].partition(" KB;")[0])
    assert said * 1000 == pytest.approx(sum(path.stat().st_size for path in tmp_path.rglob("*.*")), rel=0.15)


def test_label_mix_is_exact() -> None:
    plans = plan_exams(PhantomSettings(exams=200, val=0, test=100))
    for split in ("train", "test"):
        mine = Counter(tuple(plan.abnormal) for plan in plans if plan.split == split)
        # 50 symmetric, 50 asymmetric of which 15 % bilateral: 7.5, rounded by largest remainder.
        assert mine[False, False] == 50
        assert mine[True, True] in (7, 8)
        assert abs(mine[True, False] - mine[False, True]) <= 1


def test_shares_by_largest_remainder() -> None:
    assert shares(10, [0.5, 0.25, 0.25]) == [5, 3, 2]
    assert shares(0, [0.5, 0.5]) == [0, 0]
    assert shares(3, [0.0, 1.0]) == [0, 3]


@pytest.mark.parametrize(
    "wrong",
    [
        {"views": ()},
        {"views": ("CC", "CC")},
        {"val": 1.5},
        {"exams": 4, "test": 5},
        {"densities": (0.5, 0.5, 0.5, 0.0)},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PhantomSettings(**wrong)

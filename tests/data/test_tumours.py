from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from disasymnet.data.tumours import TumourSet
from disasymnet.errors import DatasetError

from .small import make_tumours

COLUMNS = ("file", "source", "patient", "kind", "pixel_mm", "box_w", "box_h")


def write_set(folder: Path, rows: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS) -> Path:
    folder.mkdir(exist_ok=True)
    with (folder / "tumours.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return folder


def row(file: str = "a.png", **changes: str) -> dict[str, str]:
    base = dict(zip(COLUMNS, (file, "other set", "anna", "mass", "0.1", "4", "6"), strict=True))
    return {**base, **changes}


def save_crop(folder: Path, name: str = "a.png", dtype: type = np.uint8) -> None:
    folder.mkdir(exist_ok=True)
    Image.fromarray((np.arange(9 * 6).reshape(9, 6) * (np.iinfo(dtype).max // 64)).astype(dtype)).save(folder / name)


def test_crops_of_8_and_16_bits_are_read_at_full_range(tmp_path: Path) -> None:
    save_crop(tmp_path, "a.png", np.uint8)
    save_crop(tmp_path, "b.png", np.uint16)
    found = TumourSet.read(write_set(tmp_path, [row("a.png"), row("b.png", patient="berta")]))
    eight, sixteen = (tumour.pixels for tumour in found.tumours)
    assert eight.shape == (9, 6)
    assert eight[0, 1] == 3 * 257
    assert sixteen[0, 1] == 1023
    assert found.tumours[0].box == (4.0, 6.0)
    assert found.tumours[0].pixel_mm == 0.1


def test_an_unknown_pixel_size_is_assumed_and_said(tmp_path: Path) -> None:
    save_crop(tmp_path)
    found = TumourSet.read(write_set(tmp_path, [row(pixel_mm="")]))
    assert found.tumours[0].pixel_mm == 0.2
    assert any("1 of 1 tumours have no pixel size" in note for note in found.notes)


def test_women_are_split_and_stay_whole(tmp_path: Path) -> None:
    save_crop(tmp_path)
    rows = [row(patient=f"w{number // 2}") for number in range(200)]
    found = TumourSet.read(write_set(tmp_path, rows))
    parts = {name: found.part(name) for name in ("train", "val", "test")}
    assert {name: len(part) for name, part in parts.items()} == {"train": 140, "val": 30, "test": 30}
    women = [{tumour.patient for tumour in part.tumours} for part in parts.values()]
    assert sum(map(len, women)) == 100
    again = TumourSet.read(tmp_path).part("test")
    assert {tumour.patient for tumour in again.tumours} == women[2]


def test_the_tables_own_split_wins(tmp_path: Path) -> None:
    save_crop(tmp_path)
    rows = [{**row(patient=f"w{n}"), "split": ("train", "val", "test")[n % 3]} for n in range(9)]
    found = TumourSet.read(write_set(tmp_path, rows, (*COLUMNS, "split")))
    assert [tumour.split for tumour in found.tumours] == ["train", "val", "test"] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "../a.png"}, "outside the tumour set's folder"),
        ({"file": "missing.png"}, "cannot be read"),
        ({"box_w": "wide"}, "must be numbers"),
        ({"box_w": "7"}, "not inside its crop"),
        ({"pixel_mm": "-1"}, "not inside its crop, or the pixel size"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, str], message: str) -> None:
    save_crop(tmp_path)
    (tmp_path.parent / "a.png").write_bytes((tmp_path / "a.png").read_bytes())
    with pytest.raises(DatasetError, match=message) as caught:
        TumourSet.read(write_set(tmp_path, [row(), row(**change)]))
    assert "row 3" in str(caught.value)


def test_a_folder_without_a_table_or_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no tumours"):
        TumourSet.read(tmp_path)
    with pytest.raises(DatasetError, match="empty"):
        TumourSet.read(write_set(tmp_path, []))
    short = {name: value for name, value in row().items() if name != "box_w"}
    with pytest.raises(DatasetError, match="'box_w' is missing"):
        TumourSet.read(write_set(tmp_path, [short], tuple(short)))


@pytest.mark.parametrize(
    ("source", "dataset", "same"),
    [
        ("CBIS-DDSM mass train", "cbis-ddsm", True),
        ("mini_mias", "mini-mias", True),
        ("CBIS-DDSM mass train", "mini-mias", False),
        ("phantom lesions", "phantom", False),
        ("DDSM", "cbis-ddsm", True),  # the same women
        ("Mini-DDSM", "ddsm", True),
        ("ddsm", "inbreast", False),
    ],
)
def test_tumours_of_the_training_set_are_refused(source: str, dataset: str, same: bool) -> None:
    tumours = make_tumours(3, source)
    if not same:
        tumours.check_source(dataset)
        return
    with pytest.raises(DatasetError, match="the data set trained on"):
        tumours.check_source(dataset)
    tumours.check_source(dataset, allowed=True)


def test_a_stored_set_comes_back_without_names(tmp_path: Path) -> None:
    made = make_tumours()
    made.save(tmp_path)
    found = TumourSet.load(tmp_path)
    assert found is not None
    for one, other in zip(made.tumours, found.tumours, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        assert (one.kind, one.source, one.box, one.pixel_mm, one.split) == (
            other.kind,
            other.source,
            other.box,
            other.pixel_mm,
            other.split,
        )
    assert "w01" not in (tmp_path / "tumours.json").read_text()
    assert TumourSet.load(tmp_path / "elsewhere") is None


@pytest.mark.data
def test_the_real_crops_load(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "tumours-cbis-ddsm"
    with zipfile.ZipFile(folder / "tumours.zip") as archive:
        for name in archive.namelist():
            if name.endswith(".png"):
                target = tmp_path / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
    (tmp_path / "tumours.csv").write_bytes((folder / "tumours.csv").read_bytes())
    found = TumourSet.read(tmp_path)
    assert len(found) == 304
    assert {tumour.kind for tumour in found.tumours} == {"mass", "calcification"}
    women = {name: {t.patient for t in found.part(name).tumours} for name in ("train", "val", "test")}
    assert not women["train"] & women["test"]
    assert 0.6 < len(found.part("train")) / 304 < 0.8
    with pytest.raises(DatasetError):
        found.check_source("cbis-ddsm")
    found.check_source("mini-mias")

from __future__ import annotations

import csv
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from disasymnet.cli import app
from disasymnet.data.published import PUBLISHED
from disasymnet.data.survey import survey
from disasymnet.datasets import DATASETS, find
from disasymnet.errors import DatasetError
from disasymnet.testkit import MAKERS, READ_AS
from disasymnet.testkit.__main__ import main
from disasymnet.testkit.cbis_ddsm import make_cbis_ddsm


def test_every_data_set_refuses_an_empty_folder(tmp_path: Path) -> None:
    assert set(DATASETS) == {
        "mini-mias",
        "inbreast",
        "ddsm",
        "cbis-ddsm",
        "vindr",
        "cmmd",
        "folder",
        "table",
        "phantom",
    }
    for dataset in DATASETS.values():
        with pytest.raises(DatasetError):
            dataset.scan(tmp_path)


def test_only_ones_own_pictures_are_secret() -> None:
    assert [name for name, dataset in DATASETS.items() if not dataset.public] == ["folder", "table"]


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(DatasetError, match="Did you mean mini-mias"):
        find("minimias")
    with pytest.raises(DatasetError, match="There are"):
        find("xyz")


def test_what_a_data_set_warns_of_is_told(tmp_path: Path) -> None:
    """BI-RADS 0 counts as abnormal, with a warning that reaches the person."""
    Image.fromarray(np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1))).save(tmp_path / "r.png")
    (tmp_path / "table.csv").write_text("patient_id,image_path,laterality,view,birads\nW1,r.png,R,CC,0\n")
    assert "warning: " in survey(tmp_path / "table.csv", "table")


def test_an_official_split_is_used_only_where_it_is_asked_for(tmp_path: Path) -> None:
    make_cbis_ddsm(tmp_path)
    assert {picture.split for picture in find("cbis-ddsm").read(tmp_path).pictures} == {None}
    asked = find("cbis-ddsm").read(tmp_path, official_split=True)
    assert {picture.split for picture in asked.pictures} == {"train", "test"}
    with pytest.raises(DatasetError, match="no official split"):
        find("mini-mias").read(tmp_path, official_split=True)


@pytest.mark.parametrize("name", MAKERS)
def test_what_macos_leaves_beside_each_file_is_not_the_data_sets(tmp_path: Path, name: str) -> None:
    """AppleDouble files have the names of pictures, tables and outlines, behind `._`."""
    MAKERS[name](tmp_path)
    dataset = find(READ_AS.get(name, name))
    before = dataset.scan(tmp_path)
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X")
    (tmp_path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    after = dataset.scan(tmp_path)
    assert after.pictures == before.pictures
    assert [entry for entry in after.rejected if entry.code != "hidden"] == [
        entry for entry in before.rejected if entry.code != "hidden"
    ]
    assert after.warnings == before.warnings


# What an adapter reads beside its pictures, as patterns of paths.
PARTS = {
    "inbreast": r"INbreast\.(csv|xls)|AllXML/.*",
    "cbis-ddsm": r".*_set\.csv|CBIS-DDSM/.*_\d/.*",
    "vindr": r"[^/]*\.csv",
    "cmmd": r"[^/]*\.xlsx",
}


@pytest.mark.parametrize("name", PARTS)
def test_every_file_of_a_public_set_stands_in_one_table(tmp_path: Path, name: str) -> None:
    """Second copies, names in capitals, files that no table names, a second file in a view's folder, a licence."""
    root = tmp_path / "set"
    MAKERS[name](root)
    ended = CliRunner().invoke(app, ["scan", str(root), "--dataset", name, "--out", str(tmp_path / "tables")])
    assert ended.exit_code == 0, ended.output
    with (tmp_path / "tables" / "pairs.csv").open(newline="") as file:
        listed = [row[side] for row in csv.DictReader(file) for side in ("right", "left")]
    with (tmp_path / "tables" / "rejected.csv").open(newline="") as file:
        rejected = [row for row in csv.DictReader(file) if (root / row["picture"]).is_file()]
    assert all(row["code"] and row["reason"] and row["hint"] for row in rejected)
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    parts = {path for path in files if re.fullmatch(PARTS[name], path)}
    assert sorted([*listed, *(row["picture"] for row in rejected)]) == sorted(files - parts)
    assert {"unnamed", "no_table_row"} & {row["code"] for row in rejected}


@pytest.mark.parametrize("name", ["folder", *PARTS])
def test_a_pipe_is_a_row_and_never_opened(tmp_path: Path, name: str) -> None:
    """Opening a pipe waits for its writer: the scan would hang for ever."""

    def hung(*_: object) -> None:
        raise AssertionError("a pipe was opened")

    MAKERS["cmmd" if name == "folder" else name](tmp_path)
    pipes = [tmp_path / each for each in ("pipe", "pipe.dcm", "pipe.xml", "pipe.png")]
    for pipe in pipes:
        os.mkfifo(pipe)
    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(20)
    try:
        found = find(name).scan(tmp_path)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert {entry.path: entry.code for entry in found.rejected if entry.path in pipes} == dict.fromkeys(
        pipes, "unreadable"
    )


def test_every_data_set_has_its_page_its_counts_and_its_imitation() -> None:
    pages = Path(__file__).parents[2] / "docs" / "data-sets"
    index = (pages / "README.md").read_text()
    (kit,) = [line for line in index.splitlines() if "python -m disasymnet.testkit" in line]
    assert set(re.findall(r"[a-z]+(?:-[a-z]+)?", kit.split("testkit ")[1])) - {"or"} == set(MAKERS)
    for name in set(DATASETS) - {"phantom"}:
        text = (pages / f"{name}.md").read_text()
        assert "**Unverified on originals**" in text, name
        assert "**What the adapter knows**" in text, name
        assert f"({name}.md)" in index
        assert name in MAKERS
        assert (name in PUBLISHED) == (name != "folder")


def test_the_test_kit_is_a_program_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cmmd", str(tmp_path / "set")]) == 0
    assert "18 pictures of 5 phantom women" in capsys.readouterr().out
    assert main(["cmmd", str(tmp_path / "set")]) == 2
    assert main(["nothing", str(tmp_path / "other")]) == 2
    assert "inbreast, ddsm, mini-ddsm" in capsys.readouterr().err

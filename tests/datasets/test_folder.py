"""Any folder: headers only, every file listed, links that leave the folder refused."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from disasymnet.cli import app
from disasymnet.data.pairing import pair_up
from disasymnet.datasets import find
from disasymnet.datasets.folder import scan
from disasymnet.errors import DatasetError
from disasymnet.images import child
from disasymnet.records import Exposure
from disasymnet.testkit.mammograms import drawn, mammogram, write
from disasymnet.testkit.studies import Shot, Study


def save(path: Path, name: str, **tags: Any) -> Path:
    Study("anna", ()).write(path, Shot(name, tags=tags), 0)
    return path


def codes(root: Path) -> dict[str, str]:
    return {entry.path.relative_to(root).as_posix(): entry.code for entry in scan(root).rejected}


def test_facts_come_with_the_tags_that_state_them(tmp_path: Path) -> None:
    path = save(tmp_path / "x", "LMLO", AcquisitionTime="101530.5", InstanceNumber=7)
    (picture,) = scan(tmp_path).pictures
    assert picture.path == path
    assert picture.exposure == Exposure(
        for_presentation=True, rows=16, columns=16, taken=10 * 3600 + 15 * 60 + 30.5, number=7,
        uid=picture.exposure.uid if picture.exposure else "", laterality_from="ImageLaterality",
        view_from="ViewCodeSequence", pixel_mm_from="ImagerPixelSpacing", orientation=("A", "FR"),
    )  # fmt: skip


def test_no_pixel_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that ends its decoder, or takes long, costs a scan nothing: `--pixels` finds it."""
    pixels = drawn()
    whole = write(mammogram(pixels), pixels)
    broken = bytearray(write(mammogram(pixels), pixels, "1.2.840.10008.1.2.4.90"))
    place = broken.index(b"\xff\x4f\xff\x51")
    broken[place + 60 : place + 400] = b"\0" * 340
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "whole.dcm").write_bytes(whole)
    (tmp_path / "in" / "broken.dcm").write_bytes(bytes(broken))
    asked = []
    honest = child._Child.ask
    monkeypatch.setattr(
        child._Child, "ask", lambda self, what, *more: (asked.append(what), honest(self, what, *more))[1]
    )
    assert len(scan(tmp_path / "in").pictures) == 2
    assert asked == ["facts", "facts"]
    told = CliRunner().invoke(app, ["scan", str(tmp_path / "in"), "--pixels"])
    assert told.exit_code == 0
    assert "left out, damaged (1)" in told.output or "left out, stream (1)" in told.output


def test_links_are_followed_inside_the_folder_only(tmp_path: Path) -> None:
    root, outside = tmp_path / "in", tmp_path / "outside"
    save(root / "a" / "r.dcm", "RCC")
    save(outside / "secret.dcm", "LCC")
    (root / "b").mkdir()
    (root / "b" / "link.dcm").symlink_to(root / "a" / "r.dcm")
    (root / "b" / "away.dcm").symlink_to(outside / "secret.dcm")
    (root / "folder").symlink_to(outside, target_is_directory=True)
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "gone.dcm").symlink_to(root / "nowhere.dcm")
    before = (outside / "secret.dcm").stat().st_atime_ns
    assert codes(root) == {"b/away.dcm": "outside", "folder": "outside", "gone.dcm": "missing"}
    assert sorted(picture.path.name for picture in scan(root).pictures) == ["link.dcm", "r.dcm"]
    assert [entry.code for entry in pair_up(scan(root).pictures)[1]] == ["unpaired", "copy"]
    assert (outside / "secret.dcm").stat().st_atime_ns == before


def test_every_file_is_listed(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for name in ("RCC", "LCC", "RMLO"):
        save(root / f"{name}.dcm", name)
    (root / ".hidden").mkdir()
    save(root / ".hidden" / "x.dcm", "LMLO")
    (root / "notes.txt").write_text("a text")
    (root / "empty.dcm").touch()
    (root / "a.zip").write_bytes(b"PK\x03\x04 and so on")
    Image.fromarray(np.arange(10000, dtype=np.uint8).reshape(100, 100)).save(root / "x.png")
    os.mkfifo(root / "pipe")
    told = CliRunner().invoke(app, ["scan", str(root), "--out", str(tmp_path / "tables")])
    assert told.exit_code == 0
    assert "1 pairs, 6 left out" in told.output
    with (tmp_path / "tables" / "rejected.csv").open(newline="") as file:
        lines = {line["picture"]: line for line in csv.DictReader(file)}
    assert {name: line["code"] for name, line in lines.items()} == {
        "RMLO.dcm": "unpaired", "notes.txt": "damaged", "empty.dcm": "not_dicom", "a.zip": "not_dicom",
        "x.png": "no_patient", "pipe": "unreadable",
    }  # fmt: skip
    assert all(line["reason"] and line["hint"] for line in lines.values())
    with (tmp_path / "tables" / "pairs.csv").open(newline="") as file:
        (pair,) = csv.DictReader(file)
    assert (pair["right"], pair["left"], pair["view"]) == ("RCC.dcm", "LCC.dcm", "CC")
    again = CliRunner().invoke(app, ["scan", str(root), "--out", str(tmp_path / "tables")])
    assert again.exit_code == 0
    with (tmp_path / "tables" / "pairs.csv").open(newline="") as file:
        assert next(csv.DictReader(file)) == pair


def test_a_folder_without_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no file"):
        scan(tmp_path)
    with pytest.raises(DatasetError, match="no such folder"):
        scan(tmp_path / "none")
    assert find("dicom_folder") is find("folder")

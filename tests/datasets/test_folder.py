"""Any folder: headers only, every file listed, links that leave the folder refused."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless
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
        for_presentation=True, rows=160, columns=96, taken=10 * 3600 + 15 * 60 + 30.5, number=7,
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
    (root / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (root / "._RCC.dcm").write_bytes(b"\0\5\26\7" + (root / "RCC.dcm").read_bytes())
    for name in ("notes.txt", "README.md", "SHA256SUMS", "labels.csv", "facts.json"):
        (root / name).write_text("a text")
    (root / "report.pdf").write_bytes(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    (root / "text.png").write_text("a text")
    (root / "empty.dcm").touch()
    (root / "a.zip").write_bytes(b"PK\x03\x04 and so on")
    Image.fromarray(np.arange(10000, dtype=np.uint8).reshape(100, 100)).save(root / "x.png")
    os.mkfifo(root / "pipe")
    told = CliRunner().invoke(app, ["scan", str(root), "--out", str(tmp_path / "tables")])
    assert told.exit_code == 0
    assert "1 pairs, 15 left out" in told.output
    with (tmp_path / "tables" / "rejected.csv").open(newline="") as file:
        lines = {line["picture"]: line for line in csv.DictReader(file)}
    assert {name: line["code"] for name, line in lines.items()} == {
        "RMLO.dcm": "unpaired", "empty.dcm": "damaged", "a.zip": "not_dicom", "x.png": "no_patient",
        "pipe": "unreadable", "text.png": "damaged",
        **dict.fromkeys(
            ("notes.txt", "README.md", "SHA256SUMS", "labels.csv", "facts.json", "report.pdf"), "not_a_picture"
        ),
        **dict.fromkeys((".hidden", ".DS_Store", "._RCC.dcm"), "hidden"),
    }  # fmt: skip
    assert all(line["reason"] and line["hint"] for line in lines.values())
    assert "copied whole" not in told.output.split("left out, not_a_picture (6): ")[1].splitlines()[0]
    with (tmp_path / "tables" / "pairs.csv").open(newline="") as file:
        (pair,) = csv.DictReader(file)
    assert (pair["right"], pair["left"], pair["view"]) == ("RCC.dcm", "LCC.dcm", "CC")
    again = CliRunner().invoke(app, ["scan", str(root), "--out", str(tmp_path / "tables")])
    assert again.exit_code == 0
    with (tmp_path / "tables" / "pairs.csv").open(newline="") as file:
        assert next(csv.DictReader(file)) == pair


def test_one_patient_id_of_two_issuers_is_two_patients(tmp_path: Path) -> None:
    """Without study UID the date alone would have made one exam of both."""
    same = {"PatientID": "17", "StudyInstanceUID": "", "StudyDate": "20240102"}
    save(tmp_path / "a" / "RCC.dcm", "RCC", **same, IssuerOfPatientID="Porto ")
    save(tmp_path / "b" / "LCC.dcm", "LCC", **same, IssuerOfPatientID="Lisboa")
    found = scan(tmp_path)
    assert len({picture.patient for picture in found.pictures}) == 2
    pairs, left_over = pair_up(found.pictures)
    assert pairs == []
    assert [entry.code for entry in left_over] == ["unpaired", "unpaired"]
    assert found.warnings == ("PatientIDs that several issuers gave, each taken for several patients: 1",)
    # The partner of the first: the issuer is the same, however it is spelt.
    save(tmp_path / "c" / "LCC.2.dcm", "LCC.2", **same, IssuerOfPatientID="PORTO")
    (pair,) = pair_up(scan(tmp_path).pictures)[0]
    assert [picture.path.parent.name for picture in pair.pictures] == ["a", "c"]
    # Nobody is named, by none of the two.
    told = CliRunner().invoke(app, ["scan", str(tmp_path), "--out", str(tmp_path / "tables")])
    assert "3 pictures of 2 patients, 1 pairs" in told.output
    assert "PORTO" not in told.output.upper() + (tmp_path / "tables" / "pairs.csv").read_text().upper()


def test_an_issuer_that_only_some_pictures_name_parts_nobody(tmp_path: Path) -> None:
    save(tmp_path / "RCC.dcm", "RCC", IssuerOfPatientID="Porto")
    save(tmp_path / "LCC.dcm", "LCC")
    found = scan(tmp_path)
    assert len(pair_up(found.pictures)[0]) == 1
    assert {picture.patient for picture in found.pictures} == {"patient of anna"}
    assert found.warnings == ()


def test_each_reason_stands_over_the_files_that_it_is_true_of(tmp_path: Path) -> None:
    for name in ("RCC", "LMLO"):
        save(tmp_path / f"{name}.dcm", name)
    for number in range(12):
        (tmp_path / f"{number:02d}.txt").write_text("a text")
    for number in range(7):
        whole = (tmp_path / "RCC.dcm").read_bytes()
        (tmp_path / f"cut{number}.dcm").write_bytes(whole[: 430 + 17 * number])
    told = CliRunner().invoke(app, ["scan", str(tmp_path)]).output.splitlines()
    no_cc = told.index(next(line for line in told if "no usable CC picture" in line))
    no_mlo = told.index(next(line for line in told if "no usable MLO picture" in line))
    assert told[no_cc].startswith("left out, unpaired (1): ")
    assert (told[no_cc + 1], told[no_mlo + 1]) == ("  RCC.dcm", "  LMLO.dcm")
    texts = told.index(next(line for line in told if line.startswith("left out, not_a_picture (12): ")))
    assert told[texts + 1 : texts + 12] == [*(f"  {number:02d}.txt" for number in range(10)), "  and 2 more"]
    damaged = [line for line in told if line.startswith("left out, damaged")]
    counts = [int(line.split("(")[1].split(")")[0].split()[0]) for line in damaged]
    assert sum(counts) == 7
    assert damaged[-1].endswith("more, for other reasons): --out DIR lists them")


def test_names_that_break_lines_or_are_no_text_are_escaped(tmp_path: Path) -> None:
    """A name cannot forge a line of the answer, and one of other bytes stops nothing."""
    root = tmp_path / "in"
    save(root / "R\nleft out, forged (9): \x1b[31mred.dcm", "RCC")
    save(root / os.fsdecode(b"L\xff.dcm"), "LCC")
    (root / os.fsdecode(b"\xfe.txt")).write_text("a text")
    (root / "a\u202eb.txt").write_text("a text")
    told = CliRunner().invoke(app, ["scan", str(root), "--out", str(tmp_path / "tables")])
    assert told.exit_code == 0, told.exception
    assert not any(line.startswith("left out, forged") for line in told.output.splitlines())
    assert {"  \\udcfe.txt", "  a\\u202eb.txt"} <= set(told.output.splitlines())
    with (tmp_path / "tables" / "pairs.csv").open(newline="") as file:
        (pair,) = csv.DictReader(file)
    assert pair["right"] == r"R\nleft out, forged (9): \x1b[31mred.dcm"
    assert pair["left"] == r"L\udcff.dcm"
    for names in ([], ["--names"]):
        out = tmp_path / f"cache{len(names)}"
        words = ["prepare", "folder", str(root), "--out", str(out), "--height", "64", "--workers", "1", *names]
        made = CliRunner().invoke(app, words)
        assert made.exception is None or "no picture could be used" in str(made.exception)
        assert (r"\udcfe.txt" in (out / "rejected.csv").read_text()) == bool(names)


def test_links_that_lead_to_themselves_are_unreadable(tmp_path: Path) -> None:
    save(tmp_path / "RCC.dcm", "RCC")
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    assert codes(tmp_path) == {"one": "unreadable", "two": "unreadable"}


def test_a_folder_without_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no file"):
        scan(tmp_path)
    with pytest.raises(DatasetError, match="no such folder"):
        scan(tmp_path / "none")
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(DatasetError, match="it is a file, not a folder"):
        scan(tmp_path / "a.zip")
    assert find("dicom_folder") is find("folder")


def test_one_uid_with_other_pixels_is_no_copy(tmp_path: Path) -> None:
    """The tags agree in all: only the pixels tell. Compressed otherwise, they are the same."""
    same = {"SOPInstanceUID": "1.2.55"}
    save(tmp_path / "r.dcm", "RCC")
    file = pydicom.dcmread(save(tmp_path / "l1.dcm", "LCC", **same))
    pixels = file.pixel_array
    file.PixelData = np.ascontiguousarray(pixels[::-1]).tobytes()
    file.save_as(tmp_path / "l2.dcm")
    told = CliRunner().invoke(app, ["scan", str(tmp_path)])
    assert "0 pairs" in told.output
    assert "left out, uid_conflict (2)" in told.output
    del file.PixelData
    (tmp_path / "l2.dcm").write_bytes(write(Dataset(file), pixels, JPEG2000Lossless))
    told = CliRunner().invoke(app, ["scan", str(tmp_path)])
    assert "1 pairs" in told.output
    assert "left out, copy (1)" in told.output


@pytest.mark.parametrize("broken", ["l1.dcm", "l2.dcm"])
def test_a_broken_copy_does_not_displace_the_good_one(tmp_path: Path, broken: str) -> None:
    save(tmp_path / "r.dcm", "RCC")
    for name in ("l1.dcm", "l2.dcm"):
        save(tmp_path / name, "LCC")
    whole = (tmp_path / broken).read_bytes()
    (tmp_path / broken).write_bytes(whole[: len(whole) - 100])
    ended = CliRunner().invoke(app, ["scan", str(tmp_path), "--out", str(tmp_path / "tables")])
    assert ended.exit_code == 0
    with (tmp_path / "tables" / "rejected.csv").open(newline="") as file:
        assert {row["picture"]: row["code"] for row in csv.DictReader(file)} == {broken: "pixel_length"}
    with (tmp_path / "tables" / "pairs.csv").open(newline="") as file:
        (pair,) = csv.DictReader(file)
    assert {pair["left"], broken} == {"l1.dcm", "l2.dcm"}


def test_films_of_which_no_tag_tells_the_year_make_no_pair(tmp_path: Path) -> None:
    """Right in 1998 and left in 2004, by the names of the files alone."""
    unknown = {"StudyInstanceUID": None}
    for name, year in (("RCC", "1998"), ("LCC", "2004")):
        Study("anna", (), style="film").write(tmp_path / f"{name}{year}", Shot(name, tags=unknown), 0)
    told = CliRunner().invoke(app, ["scan", str(tmp_path)]).output
    assert "0 pairs" in told
    (line,) = [line for line in told.splitlines() if line.startswith("left out")]
    assert line.startswith("left out, no_study (2): the study is not known.")
    assert "name the two files to `predict`, or list them in a table" in line
    (tmp_path / "t.csv").write_text("patient_id,image_path\nanna,RCC1998\nanna,LCC2004\n")
    told = CliRunner().invoke(app, ["scan", str(tmp_path / "t.csv"), "--dataset", "table"]).output
    assert "1 pairs" in told
    for name, year in (("RCC", "1998"), ("LCC", "2004")):
        dated = {**unknown, "ContentDate": f"{year}0101"}
        Study("anna", (), style="film").write(tmp_path / f"{name}{year}", Shot(name, tags=dated), 0)
    told = CliRunner().invoke(app, ["scan", str(tmp_path / "t.csv"), "--dataset", "table"]).output
    assert "left out, study_conflict (2)" in told

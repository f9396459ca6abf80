"""What a table or a public set says of a file, held against the file's own tags; and the same pair at every door."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from typer.testing import CliRunner

from disasymnet.cli import app
from disasymnet.data.pairing import pair_up
from disasymnet.datasets import find
from disasymnet.errors import PairingError
from disasymnet.images.read import LENIENT
from disasymnet.predict import Source, as_pair, pairs_in
from disasymnet.testkit.cmmd import make_cmmd
from disasymnet.testkit.inbreast import make_inbreast
from disasymnet.testkit.studies import Shot, Study, concept
from disasymnet.testkit.vindr import make_vindr

Tags = dict[str, Any]
ML: Tags = {"ViewCodeSequence": None, "ViewPosition": "ML"}
DISPLACED: Tags = {"ViewCodeSequence": [concept("399162004", "SCT", concept("399209000", "SCT"))]}


def listed(root: Path, right: Tags, left: Tags, columns: str = "laterality,view") -> Path:
    """A right and a left CC as DICOM files of one study, and a table that calls them so."""
    named = columns.split(",")
    for name, tags in (("RCC", right), ("LCC", left)):
        Study("anna", ()).write(root / f"{name}.dcm", Shot(name, tags=tags), ord(name[0]))
    lines = [f"patient_id,image_path,{columns}"]
    for name in ("RCC", "LCC"):
        cells = {"laterality": name[0], "view": "CC", "pixel_mm": "0.2", "deidentified": "1"}
        lines.append(",".join(["anna", f"{name}.dcm", *(cells[column] for column in named)]))
    (root / "table.csv").write_text("\n".join(lines) + "\n")
    return root


def by_scan(root: Path, out: Path) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Rows of pairs.csv, and file -> code of rejected.csv, from the command."""
    ended = CliRunner().invoke(app, ["scan", str(root), "--dataset", "table", "--out", str(out)])
    assert ended.exit_code == 0, ended.output
    with (out / "pairs.csv").open(newline="") as pairs, (out / "rejected.csv").open(newline="") as rejected:
        left_out = list(csv.DictReader(rejected))
        assert all(row["reason"] and row["hint"] for row in left_out)
        return list(csv.DictReader(pairs)), {row["picture"]: row["code"] for row in left_out}


@pytest.mark.parametrize(
    ("right", "left", "code", "partner"),
    [
        ({}, DISPLACED, "unpaired", "unpaired"),
        ({}, ML, "view_conflict", "unpaired"),
        ({}, {"PatientID": "berta"}, "patient_conflict", "patient_conflict"),
        ({}, {"StudyInstanceUID": "1.2.3"}, "study_conflict", "study_conflict"),
        ({}, {"EstimatedRadiographicMagnificationFactor": "1.8"}, "magnification", "unpaired"),
        ({}, {"ImageLaterality": "R"}, "laterality_conflict", "unpaired"),
        ({}, {"PresentationIntentType": "FOR PROCESSING"}, "for_processing", "unpaired"),
        ({}, {"PartialView": "YES"}, "partial", "unpaired"),
    ],
)
def test_what_the_tags_contradict_is_no_pair_at_any_door(
    tmp_path: Path, right: Tags, left: Tags, code: str, partner: str
) -> None:
    root = listed(tmp_path / "in", right, left)
    assert by_scan(root, tmp_path / "out") == ([], {"LCC.dcm": code, "RCC.dcm": partner})
    words = ["prepare", "table", str(root), "--out", str(tmp_path / "cache"), "--height", "64", "--names"]
    ended = CliRunner().invoke(app, [*words, "--workers", "1"])
    assert "no pair of pictures was found" in str(ended.exception)
    with (tmp_path / "cache" / "rejected.csv").open(newline="") as file:
        assert {row["code"] for row in csv.DictReader(file)} == {code, partner}
    # The same two files without a table, as a folder and by name.
    assert pairs_in(root)[0] == []
    if code != "for_processing":
        with pytest.raises(PairingError):
            as_pair(*(Source(read, name) for read, name in zip(read_both(root), ("r", "l"), strict=True)))


def test_a_table_alone_says_whose_deidentified_files_are(tmp_path: Path) -> None:
    replaced: Tags = {"PatientID": "7f3a", "StudyInstanceUID": "1.2.3"}
    believed = listed(tmp_path / "in", {}, replaced, "laterality,view,deidentified")
    (pair,), left_out = by_scan(believed, tmp_path / "out")
    assert (pair["right"], pair["left"], left_out) == ("RCC.dcm", "LCC.dcm", {})
    # All else is held against the tags as before.
    turned = listed(tmp_path / "side", {}, {**replaced, "ImageLaterality": "R"}, "laterality,view,deidentified")
    assert by_scan(turned, tmp_path / "conflict")[1] == {"LCC.dcm": "laterality_conflict", "RCC.dcm": "unpaired"}


def read_both(root: Path) -> list[Any]:
    return [Source.read(root / f"{name}.dcm", LENIENT).picture for name in ("RCC", "LCC")]


def test_exchanged_sides_are_an_error_of_both_files(tmp_path: Path) -> None:
    root = listed(tmp_path / "in", {"ImageLaterality": "L"}, {"ImageLaterality": "R"})
    assert by_scan(root, tmp_path / "out")[1] == {"LCC.dcm": "laterality_conflict", "RCC.dcm": "laterality_conflict"}


def test_the_table_is_believed_where_the_tags_say_nothing(tmp_path: Path) -> None:
    nothing: Tags = {
        "ImageLaterality": None, "ViewPosition": None, "ViewCodeSequence": None, "PatientID": None,
        "StudyInstanceUID": None, "ImagerPixelSpacing": None, "PatientOrientation": None,
    }  # fmt: skip
    (pair,), left_out = by_scan(listed(tmp_path / "in", {}, nothing, "laterality,view,pixel_mm"), tmp_path / "out")
    assert left_out == {}
    told = [pair[f"{side}_{what}_from"] for side in ("right", "left") for what in ("laterality", "view", "pixel_mm")]
    assert told == ["ImageLaterality", "ViewCodeSequence", "data set", "data set", "data set", "data set"]
    assert pair["right_pixel_mm"] == pair["left_pixel_mm"] == "0.2"


def test_what_the_table_leaves_open_the_tags_tell(tmp_path: Path) -> None:
    (pair,), left_out = by_scan(listed(tmp_path / "in", {}, {}, "view"), tmp_path / "out")
    assert left_out == {}
    assert (pair["right"], pair["left"], pair["left_laterality_from"]) == ("RCC.dcm", "LCC.dcm", "ImageLaterality")


def test_a_date_contradicts_only_another_date(tmp_path: Path) -> None:
    dated: Tags = {"StudyInstanceUID": None, "StudyDate": "20240102"}
    other: Tags = {"StudyInstanceUID": None, "StudyDate": "20240103"}
    assert len(by_scan(listed(tmp_path / "a", {}, dated), tmp_path / "a-out")[0]) == 1
    assert by_scan(listed(tmp_path / "b", dated, other), tmp_path / "b-out")[1]["LCC.dcm"] == "study_conflict"


def test_two_studies_of_one_day_are_told_apart_by_their_numbers(tmp_path: Path) -> None:
    """Without StudyInstanceUID; in the second case each study has one breast only."""
    day: Tags = {"StudyInstanceUID": None, "StudyDate": "20200101"}
    for tag in ("AccessionNumber", "StudyID"):
        root = tmp_path / tag
        for number in ("1", "2"):
            for name in ("RCC", "LCC"):
                shot = Shot(f"{name}.{number}", tags={**day, tag: number})
                Study("anna", ()).write(root / "both" / f"{name}{number}", shot, ord(name[0]))
        pairs, rejected = pairs_in(root / "both")
        assert rejected == []
        assert [pair.pictures.right.path.name[-1] for pair in pairs] == ["1", "2"]
        assert [pair.pictures.left.path.name[-1] for pair in pairs] == ["1", "2"]
        half = listed(root / "half", {**day, tag: "1"}, {**day, tag: "2"})
        assert pairs_in(half)[0] == []
        assert by_scan(half, root / "out")[1] == {"LCC.dcm": "study_conflict", "RCC.dcm": "study_conflict"}
        assert len(pairs_in(listed(root / "same", {**day, tag: "1"}, {**day, tag: "1"}))[0]) == 1


ANNA: Tags = {"PatientName": "DOE^ANNA", "PatientBirthDate": "19500101"}


@pytest.mark.parametrize(
    ("left", "warned"),
    [
        ({"PatientName": "Doe^Anna^^", "PatientBirthDate": "19500101"}, []),
        ({"PatientBirthDate": "19500101"}, []),
        ({"PatientName": "ROE^ANNA", "PatientBirthDate": "19500101"}, ["PatientName differs"]),
        ({"PatientName": "DOE^ANNA", "PatientBirthDate": "19700101"}, ["PatientBirthDate differs"]),
        ({"PatientName": "ROE^BERTA", "PatientBirthDate": "19700101"}, None),
    ],
)
def test_one_number_for_two_women_is_seen_by_name_and_birth(
    tmp_path: Path, left: Tags, warned: list[str] | None
) -> None:
    root = listed(tmp_path / "in", ANNA, left)
    sources = [Source(picture, name) for picture, name in zip(read_both(root), ("r", "l"), strict=True)]
    pairs, rejected = pairs_in(root)
    if warned is None:
        assert pairs == []
        assert [entry.code for entry in rejected if entry.path.suffix == ".dcm"] == ["patient_conflict"] * 2
        with pytest.raises(PairingError, match="PatientName and PatientBirthDate of the two pictures differ"):
            as_pair(*sources)
        return
    for notes in (pairs[0].notes, as_pair(*sources)[2]):
        assert [note.split(" between")[0] for note in notes] == warned
        assert not any(word in " ".join(notes).upper() for word in ("DOE", "ROE", "ANNA", "1950"))


def test_the_same_bytes_are_never_both_breasts(tmp_path: Path) -> None:
    root = listed(tmp_path / "in", {}, {})
    shutil.copy(root / "RCC.dcm", root / "LCC.dcm")
    assert by_scan(root, tmp_path / "out") == ([], {"LCC.dcm": "same_file", "RCC.dcm": "same_file"})
    grey = np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1))
    (root / "table.csv").write_text((root / "table.csv").read_text().replace(".dcm", ".png"))
    for name in ("RCC.png", "LCC.png"):
        Image.fromarray(grey).save(root / name)
    assert by_scan(root, tmp_path / "png")[1] == {"LCC.png": "same_file", "RCC.png": "same_file"}
    Image.fromarray(grey[:, ::-1]).save(root / "LCC.png")
    assert len(by_scan(root, tmp_path / "two")[0]) == 1


def test_a_raster_file_pairs_with_a_dicom_file(tmp_path: Path) -> None:
    """It has no tags that could contradict."""
    root = listed(tmp_path / "in", {}, {})
    (root / "RCC.dcm").unlink()
    Image.fromarray(np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1))).save(root / "RCC.png")
    (root / "table.csv").write_text((root / "table.csv").read_text().replace("RCC.dcm", "RCC.png"))
    pairs, left_out = by_scan(root, tmp_path / "out")
    assert left_out == {}
    assert [(row["right"], row["left"]) for row in pairs] == [("RCC.png", "LCC.dcm")]


def test_a_public_set_may_be_links_to_another_disk(tmp_path: Path) -> None:
    make_cmmd(tmp_path / "far")
    for path in [path for path in (tmp_path / "far").rglob("*") if path.is_file()]:
        link = tmp_path / "near" / path.relative_to(tmp_path / "far")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    near, far = (find("cmmd").scan(tmp_path / name) for name in ("near", "far"))
    assert len(pair_up(near.pictures)[0]) == len(pair_up(far.pictures)[0]) == 7


def alter(path: Path, **tags: Any) -> None:
    """The same file with other tags; None removes one."""
    file = pydicom.dcmread(path)
    for name, value in tags.items():
        if value is None and name in file:
            delattr(file, name)
        elif value is not None:
            setattr(file, name, value)
    file.save_as(path)


SETS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "inbreast": (make_inbreast, "*_MG_R_CC_ANON.dcm"),
    "vindr": (make_vindr, f"images/{'a' * 32}/*.dicom"),
    "cmmd": (make_cmmd, "*/CMMD/D2-0001/*/*/1-1.DCM"),
}


@pytest.mark.parametrize("name", SETS)
def test_public_sets_are_held_against_their_tags_too(tmp_path: Path, name: str) -> None:
    """Magnified in one file; in INbreast and VinDr also another breast, and another view, in the tags of one."""
    make, pattern = SETS[name]
    make(tmp_path)
    before = pair_up(find(name).scan(tmp_path).pictures)[0]
    path = sorted(tmp_path.rglob(pattern))[0]
    assert any(path in (side.path for side in pair.pictures) for pair in before)
    whole = path.read_bytes()
    changes: list[tuple[Tags, str]] = [({"EstimatedRadiographicMagnificationFactor": "1.8"}, "magnification")]
    if name != "cmmd":  # where nothing but the tags names breast and view
        changes += [({"ImageLaterality": "L"}, "laterality_conflict")]
        changes += [({"ViewCodeSequence": None, "ViewPosition": "XCCL"}, "view_conflict")]
    else:
        changes += [({"PatientID": "D1-0001"}, "patient_conflict"), ({"StudyInstanceUID": "1.2"}, "study_conflict")]
    for tags, code in changes:
        alter(path, **tags)
        found = find(name).scan(tmp_path)
        pairs, left_over = pair_up(found.pictures)
        codes = {entry.path: entry.code for entry in (*found.rejected, *left_over)}
        assert codes[path] == code
        assert len(pairs) == len(before) - 1
        path.write_bytes(whole)


@pytest.mark.parametrize("name", ["inbreast", "vindr"])
def test_de_identified_sets_may_name_each_file_otherwise(tmp_path: Path, name: str) -> None:
    """Another PatientID and another study in every file; INbreast's own word for MLO is ML."""
    SETS[name][0](tmp_path)
    before = pair_up(find(name).scan(tmp_path).pictures)[0]
    for number, path in enumerate(sorted([*tmp_path.rglob("*.dcm"), *tmp_path.rglob("*.dicom")])):
        word: Tags = {"ViewPosition": "ML"} if "_ML_" in path.name else {}
        alter(path, PatientID=f"X{number}", StudyInstanceUID=f"1.2.{number}", **word)
    after = pair_up(find(name).scan(tmp_path).pictures)[0]
    assert [pair.pictures.map(lambda side: side.path) for pair in after] == [
        pair.pictures.map(lambda side: side.path) for pair in before
    ]

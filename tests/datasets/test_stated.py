"""Breast, view and woman that a table or a file's place names, where the tags are silent: judged as if tags had."""

from __future__ import annotations

import csv
from pathlib import Path

import pydicom
import pytest
from typer.testing import CliRunner

from disasymnet.checkpoint import Checkpoint
from disasymnet.cli import app
from disasymnet.data.cache import Cache, CachedPair
from disasymnet.errors import DatasetError, PairingError, PictureError
from disasymnet.predict import Model, Prediction, pairs_in, predict_folder
from disasymnet.terms import Laterality
from disasymnet.testkit.studies import ORIENTATIONS, Shot, Study, laid, marked
from tests.datasets.test_agree import Tags, by_scan, listed
from tests.test_predict import CARD, RECIPE, Marking

NO_SIDE: Tags = {"ImageLaterality": None}
NO_VIEW: Tags = {"ViewPosition": None, "ViewCodeSequence": None}
TURNED = "turned the right way up by PatientOrientation A/L"
NOTE = "upside down by PatientOrientation A/L: preparing turns it, if the chest wall agrees"


def prepared(root: Path, out: Path) -> CachedPair:
    """The cache's only pair, from the command."""
    words = ["prepare", "table", str(root), "--out", str(out), "--height", "64", "--names", "--workers", "1"]
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 0, ended.output
    (pair,) = Cache.open(out).pairs
    return pair


def predicted(right: Path, left: Path) -> Prediction:
    return Model(Checkpoint(Marking(), RECIPE, CARD)).predict(right, left)


def lay(path: Path, side: str, lies: str) -> None:
    """The file's CC in another position, with the tag that says so."""
    file = pydicom.dcmread(path)
    file.PixelData = laid(marked(ord(side)), Laterality(side), lies).tobytes()
    file.PatientOrientation = ORIENTATIONS[lies][side, "CC"].split("\\")
    file.save_as(path)


@pytest.mark.parametrize("silent", [{}, NO_SIDE, NO_VIEW, {**NO_SIDE, **NO_VIEW}])
def test_upside_down_is_judged_by_the_breast_and_view_of_the_end(tmp_path: Path, silent: Tags) -> None:
    root = listed(tmp_path / "in", silent, silent)
    lay(root / "LCC.dcm", "L", "upside down")
    pair = prepared(root, tmp_path / "cache")
    assert [each.flip_y for each in pair.geometry] == [False, True]
    assert {f"left: {NOTE}", f"left: {TURNED}"} <= set(pair.warnings)
    assert f"left: {NOTE}" in by_scan(root, tmp_path / "out")[0][0]["notes"]


@pytest.mark.parametrize("silent", [{}, NO_SIDE])
def test_predict_judges_by_the_place_that_names_the_breast(tmp_path: Path, silent: Tags) -> None:
    root = listed(tmp_path / "in", {}, {**silent, **NO_VIEW})
    lay(root / "LCC.dcm", "L", "upside down")
    warnings = predicted(root / "RCC.dcm", root / "LCC.dcm").warnings
    assert {f"left: {NOTE}", f"left: {TURNED}"} <= set(warnings)


def test_exchanged_rows_of_a_table_are_told_by_the_chest_wall(tmp_path: Path) -> None:
    silent: Tags = {**NO_SIDE, "PatientOrientation": None}
    root = listed(tmp_path / "in", silent, silent)
    assert not any("chest wall" in line for line in prepared(root, tmp_path / "right").warnings)
    (root / "RCC.dcm").rename(root / "x.dcm")
    (root / "LCC.dcm").rename(root / "RCC.dcm")
    (root / "x.dcm").rename(root / "LCC.dcm")
    told = {
        "right: the chest wall lies at the left edge, where the R breast hangs as usual at the right",
        "left: the chest wall lies at the right edge, where the L breast hangs as usual at the left",
    }
    assert told <= set(prepared(root, tmp_path / "wrong").warnings)
    assert told <= set(predicted(root / "RCC.dcm", root / "LCC.dcm").warnings)


def test_films_hang_in_any_way(tmp_path: Path) -> None:
    film: Tags = {
        **NO_SIDE, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "PresentationIntentType": None,
        "PatientOrientation": None,
    }  # fmt: skip
    root = listed(tmp_path / "in", film, film)
    (root / "table.csv").write_text("patient_id,image_path,laterality,view\na,RCC.dcm,L,CC\na,LCC.dcm,R,CC\n")
    assert not any("chest wall" in line for line in prepared(root, tmp_path / "cache").warnings)


def test_one_object_is_never_both_breasts(tmp_path: Path) -> None:
    """Two files of one SOPInstanceUID: no pair of a folder or table, so none of two names."""
    root = listed(tmp_path / "in", {"SOPInstanceUID": "1.2.3"}, {"SOPInstanceUID": "1.2.3"})
    assert by_scan(root, tmp_path / "out")[1] == {"LCC.dcm": "uid_conflict", "RCC.dcm": "uid_conflict"}
    with pytest.raises(PairingError, match="one SOPInstanceUID stands for both pictures"):
        predicted(root / "RCC.dcm", root / "LCC.dcm")


def test_the_same_pixels_are_never_both_breasts(tmp_path: Path) -> None:
    """Under names, UIDs and tags of their own, as a wrong export writes them."""
    root = listed(tmp_path / "in", {}, {})
    right, left = (pydicom.dcmread(root / name) for name in ("RCC.dcm", "LCC.dcm"))
    left.PixelData = right.PixelData
    left.save_as(root / "LCC.dcm")
    for dataset in ("table", "folder"):
        words = ["prepare", dataset, str(root), "--out", str(tmp_path / dataset), "--height", "64", "--names"]
        assert CliRunner().invoke(app, [*words, "--workers", "1"]).exit_code != 0
        with (tmp_path / dataset / "rejected.csv").open(newline="") as file:
            codes = {row["picture"].split("/")[-1]: row["code"] for row in csv.DictReader(file)}
        assert {codes[name] for name in ("RCC.dcm", "LCC.dcm")} == {"same_file"}
    with pytest.raises(PictureError, match="the very same pixels") as caught:
        predicted(root / "RCC.dcm", root / "LCC.dcm")
    assert caught.value.code == "same_file"
    answers, rejected = predict_folder(Model(Checkpoint(Marking(), RECIPE, CARD)), root)
    assert list(answers) == []
    assert [entry.code for entry in rejected if entry.path.suffix == ".dcm"] == ["same_file", "same_file"]


@pytest.mark.parametrize(
    ("tag", "said"), [("StudyDate", "the date of the study"), ("AccessionNumber", "AccessionNumber")]
)
def test_one_study_uid_silences_no_other_tag(tmp_path: Path, tag: str, said: str) -> None:
    root = listed(tmp_path / "in", {tag: "20200101"}, {tag: "20200120"})
    told = f"{said} differs between the two pictures: is it one study?"
    assert told in by_scan(root, tmp_path / "out")[0][0]["notes"]
    assert told in prepared(root, tmp_path / "cache").warnings
    assert told in predicted(root / "RCC.dcm", root / "LCC.dcm").warnings
    root = listed(tmp_path / "same", {tag: "20200101"}, {tag: "20200101"})
    assert "is it one study?" not in by_scan(root, tmp_path / "quiet")[0][0]["notes"]


@pytest.mark.parametrize(
    ("mine", "other"),
    [
        ({"AcquisitionDate": "20200101", "AcquisitionTime": "1000"}, {"AcquisitionDate": "20200120"}),
        ({"ContentDate": "20200101", "AcquisitionTime": "1000"}, {"ContentDate": "20200120"}),
        ({"AcquisitionDateTime": "20200101100000"}, {"AcquisitionDateTime": "20200120100500"}),
        ({"AcquisitionDateTime": "20200101100000"}, {"AcquisitionDateTime": "20200101120000.5+0100"}),
    ],
)
def test_of_two_days_those_of_one_are_taken(tmp_path: Path, mine: Tags, other: Tags) -> None:
    """The later picture, with the higher number and the nearer time of day, belongs to another day or sitting."""
    root = listed(tmp_path / "in", {**mine, "InstanceNumber": 1}, mine)
    late: Tags = {**({"AcquisitionTime": "1005"} if "AcquisitionTime" in mine else {}), **other, "InstanceNumber": 2}
    Study("anna", ()).write(root / "late.dcm", Shot("RCC.2", tags=late), 5)
    (pair,), rejected = pairs_in(root)
    assert (pair.pictures.right.path.name, pair.pictures.left.path.name) == ("RCC.dcm", "LCC.dcm")
    assert "superseded" in {entry.code for entry in rejected}


def test_one_woman_under_two_names_is_an_error(tmp_path: Path) -> None:
    """She would stand in two splits; where PatientID was replaced, or two issuers gave it, she is two."""
    root = tmp_path / "in"
    two: Tags = {"IssuerOfPatientID": "b"}
    for name, tags in (("anna", {}), ("berta", {}), ("clara", two)):
        one = {**tags, "PatientID": "X1", "StudyInstanceUID": f"1.2.{ord(name[0])}"}
        for side in ("RCC", "LCC"):
            shot = Shot(side, tags={**one, **({"IssuerOfPatientID": "a"} if name == "berta" else {})})
            Study(name, ()).write(root / f"{name}{side}.dcm", shot, ord(side[0]))

    def rows(*names: str, cell: str = "") -> None:
        lines = [f"{name},{name}{side}.dcm,{side[0]},CC,{cell}" for name in names for side in ("RCC", "LCC")]
        head = "patient_id,image_path,laterality,view,deidentified"
        (root / "table.csv").write_text("\n".join([head, *lines]) + "\n")

    rows("anna", "berta")
    for command in (["scan", str(root), "--dataset", "table"], ["describe", "table", str(root)]):
        ended = CliRunner().invoke(app, command)
        assert isinstance(ended.exception, DatasetError)
        assert "patients anna and berta are one by the PatientID of their files" in str(ended.exception)
    rows("berta", "clara")
    assert len(by_scan(root, tmp_path / "issuers")[0]) == 2
    rows("anna", "berta", cell="1")
    assert len(by_scan(root, tmp_path / "replaced")[0]) == 2


def test_replaced_uids_of_pictures_are_not_compared(tmp_path: Path) -> None:
    """De-identifying gave every file of the table one SOPInstanceUID."""
    uid: Tags = {"SOPInstanceUID": "1.2.3"}
    root = listed(tmp_path / "in", uid, uid, "laterality,view,deidentified")
    (pair,), left_out = by_scan(root, tmp_path / "out")
    assert (pair["right"], pair["left"], left_out) == ("RCC.dcm", "LCC.dcm", {})
    assert prepared(root, tmp_path / "cache").view.value == "CC"

from __future__ import annotations

import builtins
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from disasymnet.data.survey import survey
from disasymnet.datasets.table import scan
from disasymnet.errors import DatasetError, MissingExtraError
from disasymnet.records import Box, Circle, MaskFile, Scan
from disasymnet.terms import Laterality, View
from disasymnet.testkit.table import make_table

HEADER = "patient_id,exam_id,image_path,laterality,view,abnormal"


def table(root: Path, header: str, *rows: str, files: tuple[str, ...] = ("a.png", "b.png", "c.png")) -> Path:
    for name in files:
        (root / name).write_bytes(b"")
    path = root / "pictures.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def error(root: Path, header: str, *rows: str) -> str:
    with pytest.raises(DatasetError) as caught:
        scan(table(root, header, *rows))
    return str(caught.value)


def one(root: Path, header: str, row: str) -> Any:
    return scan(table(root, header, row)).pictures[0]


def test_a_pair(tmp_path: Path) -> None:
    table(tmp_path, HEADER, "7,e1,a.png,R,CC,1", "7,e1,b.png,left,cc,0")
    found = scan(tmp_path)
    right, left = found.pictures
    assert (right.laterality, left.laterality) == (Laterality.RIGHT, Laterality.LEFT)
    assert (right.view, right.abnormal, left.abnormal) == (View.CC, True, False)
    assert (right.patient, right.exam, right.path) == ("7", "e1", tmp_path / "a.png")
    assert found == Scan(found.pictures)


def test_all_columns(tmp_path: Path) -> None:
    header = "patient_id,image_path,boxes,circles,mask_path,chest_wall,pixel_mm,density,split,detector"
    row = '7,a.png,"[[1, 2, 3.5, 4]]","[[9, 8, 7]]",b.png,Right,0.07,C,val,digital'
    picture = one(tmp_path, header, row)
    regions = [finding.region for finding in picture.findings]
    assert regions == [Box(1, 2, 3.5, 4), Circle(9, 8, 7), MaskFile(tmp_path / "b.png")]
    assert (picture.chest_wall, picture.pixel_mm, picture.density) == ("right", 0.07, "C")
    assert (picture.split, picture.detector) == ("val", "digital")
    # A box without a label says nothing of the label, nor do empty cells.
    assert picture.abnormal is None
    assert picture.laterality is picture.view is picture.exam is None


def test_the_imitation_is_read_through_its_column_map(tmp_path: Path) -> None:
    """Semicolons, decimal commas, the table's own names; one column that nothing is known of."""
    make_table(tmp_path)
    found = scan(tmp_path)
    assert {picture.pixel_mm for picture in found.pictures} == {1.5}
    assert found.warnings == (
        "columns that are not used: Remark", "1 pictures with BI-RADS 0 (assessment incomplete) count as abnormal",
    )  # fmt: skip
    assert [entry.path.name for entry in found.rejected] == ["105_2020_LEFT_CC.png"]


def test_empty_cells_are_unknown_never_normal(tmp_path: Path) -> None:
    picture = one(tmp_path, HEADER + ",birads,boxes,pixel_mm,split", "7,,a.png,,,,,,,")
    assert picture.abnormal is None
    assert picture.findings == ()


@pytest.mark.parametrize(("birads", "abnormal"), [("1", False), ("1.0", False), ("2", True), ("4a", True), ("6", True)])
def test_birads(tmp_path: Path, birads: str, abnormal: bool) -> None:
    found = scan(table(tmp_path, "patient_id,image_path,birads", f"7,a.png,{birads}"))
    assert found.pictures[0].abnormal is abnormal
    assert found.warnings == ()


def test_birads_0_is_abnormal_with_a_warning(tmp_path: Path) -> None:
    found = scan(table(tmp_path, "patient_id,image_path,birads", "7,a.png,0"))
    assert found.pictures[0].abnormal is True
    assert "BI-RADS 0" in found.warnings[0]


@pytest.mark.parametrize(
    ("header", "row", "parts"),
    [
        (HEADER, "7,e,a.png,both,CC,1", ("line 2, column laterality", "'both' is not R or L")),
        (HEADER, "7,e,a.png,R,MLOX,1", ("column view", "MLOX")),
        (HEADER, "7,e,a.png,R,CC,maybe", ("column abnormal", "maybe")),
        (HEADER, ",e,a.png,R,CC,1", ("column patient_id", "empty")),
        (HEADER, "7,e,,R,CC,1", ("column image_path", "empty")),
        (HEADER, "7,e,../a.png,R,CC,1", ("column image_path", "leaves the table's folder")),
        (HEADER, "7,e,x/../../a.png,R,CC,1", ("column image_path", "leaves the table's folder")),
        (HEADER, "7,e,a.png,R,CC", ("line 2 has 5 cells, the header has 6",)),
        (HEADER + ",birads", "7,e,a.png,R,CC,0,4", ("column abnormal", "contradicts BI-RADS 4")),
        (HEADER + ",birads", "7,e,a.png,R,CC,,7", ("column birads", "'7'")),
        (HEADER + ",boxes", '7,e,a.png,R,CC,,"[1, 2, 3, 4]"', ("column boxes", "list of lists of 4 numbers")),
        (HEADER + ",boxes", '7,e,a.png,R,CC,,"[[3, 2, 1, 4]]"', ("column boxes", "is no box")),
        (HEADER + ",boxes", '7,e,a.png,R,CC,,"[[1, 2, 3"', ("column boxes", "is not JSON")),
        (HEADER + ",boxes", '7,e,a.png,R,CC,,"[[1, 2, 3, NaN]]"', ("column boxes", "4 numbers")),
        (HEADER + ",boxes", '7,e,a.png,R,CC,0,"[[1, 2, 3, 4]]"', ("column abnormal", "a lesion is marked")),
        (HEADER + ",circles", '7,e,a.png,R,CC,,"[[1, 2, 0]]"', ("column circles", "not positive")),
        (HEADER + ",mask_path", "7,e,a.png,R,CC,,no.png", ("column mask_path", "no.png is missing")),
        (HEADER + ",pixel_mm", "7,e,a.png,R,CC,,70", ("column pixel_mm", "0.01 to 2")),
        (HEADER + ",chest_wall", "7,e,a.png,R,CC,,top", ("column chest_wall", "left or right")),
        (HEADER + ",split", "7,e,a.png,R,CC,,training", ("column split", "train, val or test")),
        (HEADER + ",detector", "7,e,a.png,R,CC,,CR", ("column detector", "film or digital")),
        ("patient_id,image_path,lateralty", "7,a.png,R", ("'lateralty' is unknown", "Did you mean 'laterality'?")),
        ("patient,image_path", "7,a.png", ("'patient' is unknown", "'patient_id'")),
        ("patient_id,view", "7,CC", ("no column 'image_path'",)),
        ("patient_id,image_path,view,view", "7,a.png,CC,CC", ("'view' stands twice",)),
    ],
)
def test_errors_name_place_and_column(tmp_path: Path, header: str, row: str, parts: tuple[str, ...]) -> None:
    message = error(tmp_path, header, row)
    assert "pictures.csv" in message
    for part in parts:
        assert part in message


def test_one_picture_of_each_breast_and_view_of_an_exam(tmp_path: Path) -> None:
    message = error(tmp_path, HEADER, "7,e1,a.png,R,CC,1", "7,e1,b.png,R,CC,0")
    assert "line 3, column exam_id" in message
    assert "line 2" in message
    assert "same file" in error(tmp_path, HEADER, "7,e1,a.png,R,CC,1", "7,e1,a.png,L,CC,0")
    assert len(scan(table(tmp_path, HEADER, "7,e1,a.png,R,CC,1", "7,e2,b.png,R,CC,0")).pictures) == 2


def test_a_patient_in_one_split(tmp_path: Path) -> None:
    rows = ("7,e1,a.png,R,CC,1,train", "7,e2,b.png,R,CC,0,test")
    assert "line 3, column split: the patient is in test here and in train in line 2" in error(
        tmp_path, HEADER + ",split", *rows
    )


def test_missing_files_are_listed_and_all_missing_is_an_error(tmp_path: Path) -> None:
    found = scan(table(tmp_path, HEADER, "7,e,a.png,R,CC,1", "7,e,none.png,L,CC,0"))
    assert [entry.path.name for entry in found.rejected] == ["none.png"]
    assert "none.png" in error(tmp_path, HEADER, "7,e,none.png,R,CC,1")


def test_files_are_named_from_the_tables_folder_on(tmp_path: Path) -> None:
    """Also where the table is named and not its folder."""
    for name in ("1/R.png", "2/R.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(name.encode())
    path = table(tmp_path, HEADER, "7,e1,1/R.png,R,CC,1", "7,e2,2/R.png,R,CC,1", files=())
    assert {"  1/R.png", "  2/R.png"} < set(survey(path, "table").splitlines())


def test_absolute_paths_are_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.png").write_bytes(b"")
    (tmp_path / "near").mkdir()
    picture = one(tmp_path / "near", "patient_id,image_path", f"7,{tmp_path / 'far' / 'a.png'}")
    assert picture.path == tmp_path / "far" / "a.png"


def test_columns_of_ones_own_names(tmp_path: Path) -> None:
    (tmp_path / "columns.json").write_text(json.dumps({"patient_id": "PatNr", "image_path": "Datei"}))
    found = scan(table(tmp_path, "PatNr;Datei;view;Bemerkung", "7;a.png;CC;gut"))
    assert found.pictures[0].patient == "7"
    assert found.warnings == ("columns that are not used: Bemerkung",)
    assert "column PatNr: it is empty" in error(tmp_path, "PatNr,Datei,view", ",a.png,CC")
    assert "lacks" in error(tmp_path, "Pat,Datei,view", "1,a.png,CC")
    (tmp_path / "columns.json").write_text(json.dumps({"patient": "PatNr"}))
    assert "Did you mean 'patient_id'?" in error(tmp_path, "PatNr,Datei,view", "1,a.png,CC")


def test_which_table_is_meant(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="found: none"):
        scan(tmp_path)
    table(tmp_path, HEADER, "7,e,a.png,R,CC,1")
    (tmp_path / "other.csv").write_text(HEADER + "\n")
    with pytest.raises(DatasetError, match=r"other\.csv, pictures\.csv"):
        scan(tmp_path)
    with pytest.raises(DatasetError, match=r"\.csv, \.tsv or \.parquet"):
        scan(tmp_path / "a.png")
    with pytest.raises(DatasetError, match="the table is empty"):
        scan(tmp_path / "other.csv")


def test_a_pipe_beside_the_table_is_not_waited_for(tmp_path: Path) -> None:
    table(tmp_path, HEADER, "7,e,a.png,R,CC,1")
    os.mkfifo(tmp_path / "other.csv")
    assert len(scan(tmp_path).pictures) == 1


def test_text_of_other_encodings(tmp_path: Path) -> None:
    path = table(tmp_path, HEADER, "7,e,a.png,R,CC,1")
    path.write_bytes("\ufeff".encode() + path.read_bytes())
    assert scan(path).pictures[0].patient == "7"
    path.write_bytes(path.read_bytes().replace(b"7", b"M\xfcller"))
    with pytest.raises(DatasetError, match="neither UTF-8 nor UTF-16"):
        scan(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_encodings_that_spreadsheets_write(tmp_path: Path, encoding: str, separator: str) -> None:
    path = table(tmp_path, HEADER, "Müller,e,a.png,R,CC,1").rename(tmp_path / "x.tsv")
    text = path.read_text(encoding="utf-8").replace(",", separator)
    mark = "\ufeff" if encoding == "utf-16-le" else ""  # a stated byte order writes none
    path.write_bytes((mark + text).encode(encoding))
    (picture,) = scan(tmp_path).pictures
    assert (picture.patient, picture.laterality, picture.abnormal) == ("Müller", Laterality.RIGHT, True)
    if mark:
        path.write_bytes(text.encode(encoding))
        with pytest.raises(DatasetError, match=r"the table is no CSV|neither UTF-8"):
            scan(tmp_path)


@pytest.mark.parametrize("word", ["NaN", "nan", "None", "NULL", "<NA>", "NaT"])
def test_words_of_programs_for_nothing_are_empty_cells(tmp_path: Path, word: str) -> None:
    picture = one(tmp_path, "patient_id,image_path,birads,pixel_mm,split", f"7,a.png,{word},{word},{word}")
    assert (picture.abnormal, picture.pixel_mm, picture.split) == (None, None, None)
    assert "column patient_id: it is empty" in error(tmp_path, "patient_id,image_path", f"{word},a.png")


def test_parquet_gives_the_same(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    (tmp_path / "a.png").write_bytes(b"")
    frame = polars.DataFrame(
        {
            "patient_id": [7],
            "image_path": ["a.png"],
            "abnormal": [True],
            "boxes": [[[1.0, 2.0, 3.0, 4.0]]],
            "view": [None],
        }
    )
    frame.write_parquet(tmp_path / "x.parquet")
    (picture,) = scan(tmp_path).pictures
    assert (picture.patient, picture.abnormal, picture.view) == ("7", True, None)
    assert picture.findings[0].region == Box(1, 2, 3, 4)
    # A column with a gap, as pandas keeps it.
    gaps = {"patient_id": [12.0, 12.0], "image_path": ["a.png", "b.png"], "birads": [1.0, float("nan")],
            "pixel_mm": [float("nan"), 0.5], "abnormal": [None, True]}  # fmt: skip
    (tmp_path / "b.png").write_bytes(b"")
    polars.DataFrame(gaps).write_parquet(tmp_path / "x.parquet")
    found = scan(tmp_path).pictures
    assert [(each.patient, each.abnormal, each.pixel_mm) for each in found] == [("12", False, None), ("12", True, 0.5)]
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no table")
    with pytest.raises(DatasetError, match="no Parquet table"):
        scan(tmp_path)


def test_parquet_without_polars_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.parquet").write_bytes(b"")
    monkeypatch.delitem(sys.modules, "polars", raising=False)
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "polars":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"disasymnet\[train\]"):
        scan(tmp_path)

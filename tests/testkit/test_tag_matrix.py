"""The whole tag matrix through `scan`, against the table that stands beside the cases and in tests/data."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from disasymnet.cli import app
from disasymnet.data.pairing import NEXT_STEP as PAIRING
from disasymnet.images.refusals import NEXT_STEP as READING
from disasymnet.testkit.tag_cases import studies
from disasymnet.testkit.tag_matrix import COLUMNS, Expected, expected, judge, write_matrix

TABLE = Path(__file__).parents[1] / "data" / "tag-matrix.csv"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Expected]]:
    root = tmp_path_factory.mktemp("matrix")
    rows = write_matrix(root, seed=0)
    ended = CliRunner().invoke(app, ["scan", str(root / "files"), "--out", str(root / "tables")])
    assert ended.exit_code == 0, ended.output
    return root, rows


def test_the_table_in_the_repository_is_that_of_the_cases() -> None:
    with TABLE.open(newline="") as file:
        lines = list(csv.reader(file))
    assert tuple(lines[0]) == COLUMNS
    assert [tuple(line) for line in lines[1:]] == [
        (row.study, row.picture, row.expected, row.partner) for row in expected()
    ]
    assert len({line[0] for line in lines[1:]}) >= 200


def test_the_table_pairs_a_right_and_a_left_breast_of_one_view() -> None:
    known = {"pair", *PAIRING, *READING}
    of = {(row.study, row.picture): row for row in expected()}
    assert len(of) == len(expected())
    assert len({study.name for study in studies()}) == len(list(studies()))
    for row in of.values():
        assert row.expected in known
        assert bool(row.partner) == (row.expected == "pair")
        if row.partner:
            other = of[row.study, row.partner]
            assert other.partner == row.picture
            assert {row.picture[0], other.picture[0]} == {"R", "L"}
            assert row.picture[1:].split(".")[0] == other.picture[1:].split(".")[0]


def test_no_pair_is_wrong_and_every_file_is_listed_with_its_reason(written: tuple[Path, list[Expected]]) -> None:
    root, rows = written
    seen = judge(rows, root / "tables")
    assert seen.wrong_pairs == []
    assert seen.missed_pairs == []
    assert seen.other_codes == []
    assert seen.unlisted == []
    assert seen.pairs == sum(row.expected == "pair" for row in rows) // 2
    with (root / "tables" / "rejected.csv").open(newline="") as file:
        for line in csv.DictReader(file):
            assert line["reason"]
            assert line["hint"]


def test_every_value_says_which_tag_stated_it(written: tuple[Path, list[Expected]]) -> None:
    root, rows = written
    study = {row.file: row.study for row in rows}
    with (root / "tables" / "pairs.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    rungs = {(study[line["right"]].split(", ")[1], line["right_laterality_from"], line["right_view_from"])
             for line in lines if study[line["right"]].startswith("plain, ")}  # fmt: skip
    assert rungs == {
        ("modern", "ImageLaterality", "ViewCodeSequence"),
        ("srt", "ImageLaterality", "ViewCodeSequence"),
        ("snm3", "Laterality", "ViewCodeSequence"),
        ("frame", "FrameLaterality", "ViewCodeSequence"),
        ("anatomy", "AnatomicRegionSequence", "ViewCodeSequence"),
        ("old anatomy", "AnatomicRegionSequence", "ViewCodeSequence"),
        ("beside", "ImageLaterality", "ViewCodeSequence"),
        ("position", "Laterality", "ViewPosition"),
        ("words", "ViewPosition", "ViewPosition"),
        ("fused", "ViewPosition", "ViewPosition"),
        ("lower case", "ImageLaterality", "ViewPosition"),
        ("text", "SeriesDescription", "SeriesDescription"),
        ("film", "Laterality", "PatientOrientation"),
    }
    by_study = {(study[line["right"]], line["view"]): line for line in lines}
    factor = by_study["a factor on one side", "CC"]
    assert (float(factor["right_pixel_mm"]), float(factor["left_pixel_mm"])) == pytest.approx((0.1 / 1.08, 0.1), 1e-4)
    assert "each side is scaled by its own: right 0.09259 mm, left 0.1 mm" in factor["notes"]
    assert by_study["repeated later, without numbers", "CC"]["notes"].startswith("one of 2 right pictures")
    assert "breast taken from the series description" in by_study["plain, text, usual", "CC"]["notes"]
    assert "PatientOrientation" in by_study["plain, modern, turned", "CC"]["notes"]


def test_nobody_is_named_in_the_tables(written: tuple[Path, list[Expected]]) -> None:
    for name in ("pairs.csv", "rejected.csv"):
        assert "patient of" not in (written[0] / "tables" / name).read_text()


def test_the_judge_sees_what_is_wrong(written: tuple[Path, list[Expected]]) -> None:
    root, rows = written
    first = next(number for number, row in enumerate(rows) if row.expected == "pair")
    other = next(number for number, row in enumerate(rows) if row.expected == "unpaired")
    rows = list(rows)
    rows[first] = replace(rows[first], partner="", expected="view")
    rows[other] = replace(rows[other], expected="pair")
    seen = judge(rows, root / "tables")
    assert len(seen.wrong_pairs) == 1
    assert len(seen.missed_pairs) == 1
    assert not seen.right

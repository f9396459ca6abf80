"""The whole tag matrix through `scan`, against the table that stands beside the cases and in tests/data."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from disasymnet.cli import app
from disasymnet.data.pairing import NEXT_STEP as PAIRING
from disasymnet.images.preprocess import preprocess
from disasymnet.images.read import read_picture
from disasymnet.images.refusals import NEXT_STEP as READING
from disasymnet.records import Sides
from disasymnet.settings import ImageSettings
from disasymnet.testkit.studies import mark_lies
from disasymnet.testkit.tag_cases import studies
from disasymnet.testkit.tag_matrix import COLUMNS, Expected, expected, judge, judge_lie, write_matrix

TABLE = Path(__file__).parents[1] / "data" / "tag-matrix.csv"
BY_HAND = TABLE.with_name("tag-matrix-by-hand.csv")


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
        (row.study, row.picture, row.expected, row.partner, row.lies) for row in expected()
    ]
    assert len({line[0] for line in lines[1:]}) >= 200


@dataclass(frozen=True)
class ByHand:
    """What a person expects of one study, from the standard and docs/dicom.md."""

    pairs: set[tuple[str, str]]
    left_out: dict[str, str]
    lies: dict[str, str]
    """Of each picture of a pair."""


def by_hand() -> dict[str, ByHand]:
    with BY_HAND.open(newline="", encoding="utf-8") as file:
        return {row["study"]: _by_hand(row) for row in csv.DictReader(file)}


def _by_hand(row: dict[str, str]) -> ByHand:
    pairs = {(right, left) for right, left in (pair.split("+") for pair in row["pairs"].split())}
    left_out = dict(entry.split("=") for entry in row["left_out"].split())
    every = [name for pair in pairs for name in pair]
    who, _, how = row["lies"].partition(" ")
    lies = dict.fromkeys(every, how if who == "all" else "upright")
    if how and who != "all":
        lies[who] = how
    return ByHand(pairs, left_out, lies)


def test_the_table_written_by_hand_agrees_with_that_of_the_cases() -> None:
    rows = expected()
    hand = by_hand()
    assert len(hand) >= 60
    for study, told in hand.items():
        of = {row.picture: row for row in rows if row.study == study}
        assert of, f"there is no study {study}"
        pairs = {(name, row.partner) for name, row in of.items() if row.partner and name[0] == "R"}
        assert (study, pairs) == (study, told.pairs)
        assert (study, {n: row.expected for n, row in of.items() if not row.partner}) == (study, told.left_out)
        assert (study, {n: row.lies for n, row in of.items() if row.partner}) == (study, told.lies)


def test_the_program_agrees_with_the_table_written_by_hand(written: tuple[Path, list[Expected]]) -> None:
    root, rows = written
    of = {row.file: row for row in rows}
    hand = by_hand()
    pairs: dict[str, set[tuple[str, str]]] = {study: set() for study in hand}
    left_out: dict[str, dict[str, str]] = {study: {} for study in hand}
    lies: dict[str, dict[str, str]] = {study: {} for study in hand}
    settings = ImageSettings(height=64, width=32, scale="fit")
    with (root / "tables" / "pairs.csv").open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            right, left = of[line["right"]], of[line["left"]]
            if right.study not in hand:
                continue
            pairs[right.study].add((right.picture, left.picture))
            pictures = Sides(*(read_picture(root / "files" / each.file) for each in (right, left)))
            for row, one in zip((right, left), preprocess(pictures, Sides(None, None), settings), strict=True):
                lies[row.study][row.picture] = mark_lies(one.image, one.breast)
    with (root / "tables" / "rejected.csv").open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            row = of[line["picture"]]
            if row.study in hand:
                left_out[row.study][row.picture] = line["code"]
    for study, told in hand.items():
        assert (study, pairs[study]) == (study, told.pairs)
        assert (study, left_out[study]) == (study, told.left_out)
        if "on its side" not in told.lies.values():
            assert (study, lies[study]) == (study, told.lies)


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


@pytest.mark.slow
def test_every_picture_of_a_pair_lies_as_it_should(written: tuple[Path, list[Expected]]) -> None:
    root, rows = written
    assert judge_lie(rows, root / "tables", root / "files") == []


def test_the_judge_sees_what_lies_wrong(written: tuple[Path, list[Expected]], tmp_path: Path) -> None:
    root, rows = written
    right, left = (row for row in rows if row.study == "plain, modern, upside down" and row.picture[1:] == "CC")
    (tmp_path / "pairs.csv").write_text(f"right,left\n{right.file},{left.file}\n")
    assert judge_lie(rows, tmp_path, root / "files") == []
    other = [replace(row, lies="upside down") if row is left else row for row in rows]
    assert judge_lie(other, tmp_path, root / "files") == ["plain, modern, upside down: LCC: upright, not upside down"]


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

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from disasymnet.data.pairing import NEXT_STEP, pair_up
from disasymnet.records import Exposure, Mammogram
from disasymnet.terms import Laterality, View

R, L = Laterality.RIGHT, Laterality.LEFT


def picture(
    name: str,
    side: Laterality | None,
    view: View | None = View.CC,
    patient: str | None = "anna",
    exam: str | None = "1",
) -> Mammogram:
    return Mammogram(Path(name), patient, exam, side, view)


def test_four_views_make_two_pairs_right_first() -> None:
    pictures = [
        picture("a", L, View.MLO),
        picture("b", R, View.CC),
        picture("c", L, View.CC),
        picture("d", R, View.MLO),
    ]
    pairs, rejected = pair_up(pictures)
    assert [(pair.view, pair.pictures.right.path.name, pair.pictures.left.path.name) for pair in pairs] == [
        (View.CC, "b", "c"),
        (View.MLO, "d", "a"),
    ]
    assert rejected == []


def test_pairs_are_never_made_across_patients_exams_or_views() -> None:
    for other in (
        picture("b", L, patient="berta"),
        picture("b", L, exam="2"),
        picture("b", L, View.MLO),
    ):
        pairs, rejected = pair_up([picture("a", R), other])
        assert pairs == []
        assert [(entry.path.name, entry.code) for entry in rejected] == [("a", "unpaired"), ("b", "unpaired")]


def test_of_duplicates_none_is_taken_and_the_partner_stays_alone() -> None:
    pairs, rejected = pair_up([picture("a", R), picture("b", R), picture("c", L)])
    assert pairs == []
    assert {entry.path.name: entry.code for entry in rejected} == {
        "a": "duplicate",
        "b": "duplicate",
        "c": "unpaired",
    }


def test_what_is_unknown_is_named() -> None:
    pictures = [
        picture("a", None),
        picture("b", R, None),
        picture("c", R, View.ML),
        picture("d", R, patient=None),
    ]
    _, rejected = pair_up(pictures)
    assert [entry.code for entry in rejected] == ["no_side", "no_view", "view", "no_patient"]


def test_a_missing_exam_is_one_exam_a_patient() -> None:
    pairs, _ = pair_up([picture("a", R, exam=None), picture("b", L, exam=None)])
    assert [(pair.patient, pair.exam) for pair in pairs] == [("anna", "anna")]


def taken(name: str, side: Laterality, *, mm: float = 0.1, **what: Any) -> Mammogram:
    exposure = Exposure(for_presentation=what.pop("digital", True), rows=16, columns=16, uid=name, **what)
    return replace(picture(name, side), pixel_mm=mm, exposure=exposure)


def chosen(*pictures: Mammogram) -> tuple[list[tuple[str, str]], dict[str, str]]:
    pairs, rejected = pair_up(pictures)
    names = [(pair.pictures.right.path.name, pair.pictures.left.path.name) for pair in pairs]
    return names, {entry.path.name: entry.code for entry in rejected}


def test_of_repeats_the_rule_takes_one_and_lists_the_others() -> None:
    """Pixel size, then detector size, then sitting, then the plain view, then InstanceNumber, then time."""
    left = taken("l", L, taken=1000.0, day=1, number=1)
    better_first = [
        ({}, {"mm": 0.05, "number": 9}),
        ({}, {"columns": 20, "number": 9}),
        ({"taken": 1100.0}, {"taken": 9000.0, "number": 9}),
        ({"taken": 1100.0, "day": 1}, {"taken": 1100.0, "day": 20, "number": 9}),  # one hour, another day
        ({"taken": 9000.0, "day": 1}, {"taken": 1100.0, "day": 20, "number": 9}),  # no sitting, but one day
        ({"day": 1}, {"day": 20, "number": 9}),
        ({}, {"extra": True, "number": 9}),
        ({"number": 2, "taken": 1000.0}, {"number": 1, "taken": 1200.0}),
        ({"taken": 1200.0}, {"taken": 1000.0}),
        ({"number": 0}, {}),
    ]
    for better, worse in better_first:
        made = []
        for name, what in (("better", better), ("worse", worse)):
            columns = what.get("columns", 16)
            one = taken(name, R, **{key: value for key, value in what.items() if key != "columns"})
            assert one.exposure is not None
            made.append(replace(one, exposure=replace(one.exposure, columns=columns)))
        assert chosen(left, *made) == ([("better", "l")], {"worse": "superseded"}), (better, worse)
        assert chosen(*reversed(made), left) == ([("better", "l")], {"worse": "superseded"}), (better, worse)


def test_repeats_that_nothing_tells_apart_are_not_guessed() -> None:
    assert chosen(taken("a", R), taken("b", R), taken("c", L)) == (
        [],
        {"a": "duplicate", "b": "duplicate", "c": "unpaired"},
    )
    assert chosen(taken("a", R, number=1), taken("b", R, number=2)) == ([], {"a": "superseded", "b": "unpaired"})


def test_implants_films_and_copies() -> None:
    displaced = {"implant_displaced": True}
    assert chosen(taken("r", R), taken("l", L, **displaced)) == ([], {"r": "unpaired", "l": "unpaired"})
    eight = [taken("r", R), taken("l", L), taken("rd", R, **displaced), taken("ld", L, **displaced)]
    assert chosen(*eight) == ([("r", "l"), ("rd", "ld")], {})
    assert chosen(taken("r", R), taken("l", L, digital=False)) == ([], {"r": "unpaired", "l": "unpaired"})
    twins = [taken("a", R), taken("b", R), taken("l", L)]
    films = [taken("rf", R, digital=False), taken("lf", L, digital=False)]
    assert chosen(taken("r", R), taken("l", L), *films) == ([("r", "l")], {"rf": "superseded", "lf": "superseded"})
    assert chosen(*twins, *films) == ([("rf", "lf")], {"a": "duplicate", "b": "duplicate", "l": "unpaired"})
    copy = replace(taken("r", R), path=Path("r2"))
    assert chosen(taken("r", R), copy, taken("l", L)) == ([("r", "l")], {"r2": "copy"})
    twice = replace(taken("r", R), path=Path("r2"), laterality=L)
    assert chosen(taken("r", R), twice) == ([], {"r": "uid_conflict", "r2": "uid_conflict"})


def test_what_a_pair_says_of_itself() -> None:
    odd = taken("r2", R, mm=0.07, number=2, notes=("breast implant", "text is burnt into the picture"))
    (pair,), _ = pair_up([taken("r", R, mm=0.07, number=1), odd, taken("l", L, notes=("breast implant",))])
    assert pair.notes == (
        "one of 2 right pictures",
        "pixel sizes differ, each side is scaled by its own: right 0.07 mm, left 0.1 mm",
        "breast implant",
        "right: text is burnt into the picture",
    )


def test_a_pixel_size_that_is_missing_is_not_called_another_one() -> None:
    unknown = replace(taken("r", R), pixel_mm=None)
    (pair,), _ = pair_up([unknown, taken("l", L)])
    assert pair.notes == ("no scale for both sides, a pixel size is missing: right not known, left 0.1 mm",)
    (pair,), _ = pair_up([unknown, replace(taken("l", L), pixel_mm=None)])
    assert pair.notes == ()


def test_every_code_has_a_next_step_and_stands_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "dicom.md").read_text()
    table = text.split("## Pairs")[1].split("\n## ")[0]
    assert all(NEXT_STEP.values())
    assert {code for code in NEXT_STEP if f"`{code}`" not in table} == set()


sides = st.sampled_from([None, R, L])
views = st.sampled_from([None, View.CC, View.MLO, View.ML])
names = st.sampled_from(["anna", "berta"])
pictures_of = st.lists(st.tuples(sides, views, names, names), max_size=12).map(
    lambda rows: [picture(f"f{number}", *row) for number, row in enumerate(rows)]
)


@given(pictures_of)
def test_every_picture_is_in_one_pair_or_rejected_once(pictures: list[Mammogram]) -> None:
    pairs, rejected = pair_up(pictures)
    used = [side.path for pair in pairs for side in pair.pictures]
    assert sorted([*used, *(entry.path for entry in rejected)]) == sorted(entry.path for entry in pictures)
    for pair in pairs:
        assert (pair.pictures.right.laterality, pair.pictures.left.laterality) == (R, L)
        keys = {(side.patient, side.exam, side.view) for side in pair.pictures}
        assert keys == {(pair.patient, pair.exam, pair.view)}


@given(pictures_of, st.randoms())
def test_the_order_of_files_changes_nothing(pictures: list[Mammogram], random: object) -> None:
    mixed = list(pictures)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert pair_up(mixed) == pair_up(pictures)

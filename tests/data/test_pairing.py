from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from disasymnet.data.pairing import pair_up
from disasymnet.records import Mammogram
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

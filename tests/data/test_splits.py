from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disasymnet.data.splits import Member, check_leaks, fold_of, make_splits, share_of
from disasymnet.errors import DatasetError, LeakError

labels = st.sampled_from([None, False, True])
patients = st.integers(0, 30).map(lambda number: f"p{number}")
members = st.lists(st.tuples(patients, labels, labels), min_size=1, max_size=60).map(
    lambda rows: [Member(f"i{number}", *row) for number, row in enumerate(rows)]
)


def patients_of(placed: dict[str, object], group: list[Member]) -> list[tuple[str, object]]:
    return [(member.patient, placed[member.id]) for member in group]


@given(members, st.integers(0, 5))
def test_no_patient_stands_in_two_splits(group: list[Member], seed: int) -> None:
    splits = make_splits(group, seed=seed)
    everywhere = patients_of(dict(splits.holdout), group)
    assert len(set(everywhere)) == len({member.patient for member in group})
    for placed in splits.folds.values():
        assert len(set(patients_of(dict(placed), group))) == len({member.patient for member in group})


@given(members, st.randoms())
def test_order_of_the_pictures_changes_nothing(group: list[Member], random: object) -> None:
    mixed = list(group)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert make_splits(mixed) == make_splits(group)


def test_shares_are_met_in_all_and_for_each_label() -> None:
    group = [Member(f"i{n}", f"p{n}", n % 4 == 1, n % 4 == 2) for n in range(400)]
    splits = make_splits(group)
    assert Counter(splits.holdout.values()) == {"train": 320, "val": 40, "test": 40}
    for right, left, size in ((False, False, 200), (True, False, 100), (False, True, 100)):
        ids = [member.id for member in group if (member.right, member.left) == (right, left)]
        counts = Counter(splits.holdout[name] for name in ids)
        assert abs(counts["train"] - 0.8 * size) <= 2
        assert abs(counts["test"] - 0.1 * size) <= 2
    assert sorted(Counter(splits.folds[5].values()).values()) == [80] * 5


def test_seed_changes_the_split_and_the_same_seed_does_not() -> None:
    group = [Member(f"i{n}", f"p{n}", n % 2 == 0, False) for n in range(100)]
    assert make_splits(group, seed=1) == make_splits(group, seed=1)
    assert make_splits(group, seed=1).holdout != make_splits(group, seed=2).holdout
    assert fold_of(group, 5, 1) != fold_of(group, 5, 2)


def test_an_own_split_wins() -> None:
    group = [Member(f"i{n}", f"p{n}", False, False, ("train", "val", "test")[n % 3]) for n in range(30)]
    assert make_splits(group).holdout == {member.id: member.split for member in group}


def test_validation_is_drawn_from_train_where_a_data_set_has_none() -> None:
    group = [Member(f"i{n}", f"p{n}", n % 3 == 0, False, "test" if n < 20 else "train") for n in range(110)]
    splits = make_splits(group)
    assert all(splits.holdout[f"i{n}"] == "test" for n in range(20))
    assert Counter(splits.holdout.values()) == {"train": 80, "val": 10, "test": 20}
    assert "10 of its training patients" in splits.notes[0]


def test_a_leak_in_the_data_sets_own_split_names_the_patient() -> None:
    group = [Member("a", "anna", True, False, "train"), Member("b", "anna", True, False, "test")]
    with pytest.raises(LeakError, match="anna stands in test and in train"):
        make_splits(group)


def test_unknown_splits_and_too_few_patients_are_refused() -> None:
    with pytest.raises(DatasetError, match="'training' is no split"):
        make_splits([Member("a", "anna", split="training")])
    with pytest.raises(DatasetError, match="5 folds need at least 5 patients"):
        fold_of([Member("a", "anna")], 5, 0)


def test_check_leaks_accepts_one_split_each() -> None:
    check_leaks([("anna", "train"), ("anna", "train"), ("berta", "test")])
    with pytest.raises(LeakError, match="anna"):
        check_leaks([("anna", 0), ("berta", 1), ("anna", 3)])


def test_a_share_takes_whole_patients_of_every_label() -> None:
    group = [Member(f"i{n}", f"p{n // 2}", n // 2 % 2 == 0, False) for n in range(80)]
    taken = share_of(group, 0.25, 0)
    assert len(taken) == 20
    assert sum(group[int(name[1:])].right is True for name in taken) == 10
    assert share_of(group, 1.0, 0) == [member.id for member in group]


@given(members, st.integers(0, 5))
def test_a_smaller_share_is_part_of_every_larger_one(group: list[Member], seed: int) -> None:
    taken = [set(share_of(group, share, seed)) for share in (0.1, 0.25, 0.5, 0.75, 1.0)]
    assert all(smaller <= larger for smaller, larger in pairwise(taken))


def test_every_share_is_met_in_all_and_for_each_label() -> None:
    group = [Member(f"i{n}", f"p{n}", n % 4 == 1, n % 4 == 2) for n in range(430)]
    for share in (0.1, 0.25, 0.5, 0.75):
        taken = {int(name[1:]) for name in share_of(group, share, 0)}
        assert len(taken) == round(share * 430)
        for label in (1, 2):
            assert abs(sum(n % 4 == label for n in taken) - share * 107.5) <= 4

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disasymnet.data.cache import Cache
from disasymnet.data.loader import Loader
from disasymnet.data.partners import NOTE, with_strangers
from disasymnet.errors import CacheError, DatasetError, RecipeError
from disasymnet.recipe import Recipe
from tests.data.small import make_cache, make_recipe, make_tumours
from tests.evaluate.trained import known_cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return known_cache(tmp_path_factory.mktemp("cache"))


def _lefts(cache: Cache, ids: list[str]) -> dict[str, str]:
    """id -> id of the pair whose left pixels it shows."""
    mixed, _ = with_strangers(cache, ids)
    by_pixels = {cache.arrays(name).image[1].tobytes(): name for name in ids}
    return {name: by_pixels[mixed.arrays(name).image[1].tobytes()] for name in ids}


def test_each_left_side_goes_once_to_another_woman_of_the_same_split_and_view(cache: Cache) -> None:
    for split in ("train", "test"):
        ids = cache.split(split)
        lefts = _lefts(cache, ids)
        assert sorted(lefts.values()) == sorted(ids)
        for name, left in lefts.items():
            assert cache.pair(name).patient != cache.pair(left).patient
            assert cache.pair(name).view is cache.pair(left).view
    assert _lefts(cache, ids) == lefts  # the same whenever it is drawn


def test_label_findings_pixels_and_truth_go_with_the_side(cache: Cache) -> None:
    ids = cache.split("train")
    mixed, notes = with_strangers(cache, ids)
    assert notes == [NOTE]
    changed = 0
    for name, left in _lefts(cache, ids).items():
        pair, own, other = mixed.pair(name), cache.pair(name), cache.pair(left)
        assert (pair.abnormal.right, pair.abnormal.left) == (own.abnormal.right, other.abnormal.left)
        assert pair.findings.left == other.findings.left
        assert pair.id == own.id
        assert pair.patient == own.patient
        changed += pair.asymmetric != own.asymmetric
        arrays = mixed.arrays(name)
        for field in ("image", "breast", "lesion"):
            assert np.array_equal(getattr(arrays, field)[0], getattr(cache.arrays(name), field)[0])
            assert np.array_equal(getattr(arrays, field)[1], getattr(cache.arrays(left), field)[1])
        known = [cache.arrays(one).lesion_free is not None for one in (name, left)]
        assert (arrays.lesion_free is not None) == any(known)
        if arrays.lesion_free is not None:
            assert (arrays.lesion_free < arrays.image).any() == arrays.lesion.any()
            outside = ~arrays.lesion
            assert np.array_equal(arrays.lesion_free[outside], arrays.image[outside])
    assert changed  # y_asy is that of the new pair


def test_other_pairs_stay_as_they_are(cache: Cache) -> None:
    mixed, _ = with_strangers(cache, cache.split("train"))
    name = cache.split("test")[0]
    assert mixed.pair(name) == cache.pair(name)
    assert mixed.arrays(name) is cache.arrays(name)
    with pytest.raises(CacheError, match="no pair"):
        mixed.pair("nobody")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_pair_keeps_its_side_only_where_nobody_else_can_give_one(cache: Cache, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.sampled_from([pair.id for pair in cache.pairs]), unique=True, min_size=1))
    mixed, notes = with_strangers(cache, ids)
    for name, left in _lefts(cache, ids).items():
        pair = cache.pair(name)
        others = [one for one in map(cache.pair, ids) if one.view is pair.view and one.patient != pair.patient]
        assert (cache.pair(left).patient == pair.patient) == (not others)  # each woman has one pair of a view here
        assert mixed.pair(name).view is pair.view
    assert all(note == NOTE or "keep their own left side" in note for note in notes)


def test_the_loader_makes_its_batches_of_the_exchanged_pairs(cache: Cache) -> None:
    ids = cache.split("train")
    recipe = make_recipe("image.mm_per_pixel=2.0", "train.batch=4", "synthesis.on=false", "data.partners=strangers")
    loader = Loader(cache, ids, recipe, training=False)
    assert NOTE in loader.notes
    for batch in loader.batches(0):
        truth = [loader.cache.pair(name).abnormal.left for name in batch.ids]
        assert batch.labels.side[batch.pairs :].tolist() == [float(bool(label)) for label in truth]
    own = Loader(cache, ids, make_recipe("image.mm_per_pixel=2.0", "synthesis.on=false"), training=False)
    assert own.cache is cache
    assert NOTE not in own.notes


def test_shares_draw_the_split_anew_and_by_patient(cache: Cache) -> None:
    drawn = cache.redrawn((0.6, 0.2, 0.2))
    counts = {name: len(drawn.split(name)) for name in ("train", "val", "test")}
    assert counts == {"train": 24, "val": 8, "test": 8}
    patients = [{drawn.pair(name).patient for name in drawn.split(split)} for split in ("train", "val", "test")]
    assert not patients[0] & patients[1] | patients[0] & patients[2] | patients[1] & patients[2]
    assert all(drawn.pair(name).split == "val" for name in drawn.split("val"))
    assert drawn.digest == cache.digest
    assert cache.redrawn(None) is cache
    # The shares that the cache was made with give its own split again.
    assert cache.redrawn(cache.splits.shares).splits.holdout == cache.splits.holdout


def test_shares_win_over_the_data_sets_own_split(tmp_path: Path) -> None:
    cache = make_cache(tmp_path)
    stated = replace(cache, splits=replace(cache.splits, holdout=dict.fromkeys(cache.splits.holdout, "train")))
    assert stated.split("test") == []
    assert len(stated.redrawn((0.5, 0.0, 0.5)).split("test")) == 12


def test_shares_must_be_whole() -> None:
    with pytest.raises(RecipeError, match=r"data.shares: 0.9 in all"):
        Recipe.load("paper", ["data.shares=[0.6, 0.2, 0.1]"])


def test_tumours_come_from_the_sets_that_the_recipe_names() -> None:
    tumours = make_tumours(source="CBIS-DDSM")
    tumours.check_source("inbreast", only=("ddsm", "cbis-ddsm"))
    with pytest.raises(DatasetError, match="takes tumours of inbreast; these are of CBIS-DDSM"):
        tumours.check_source("vindr-mammo", only=("inbreast",))

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

import disasymnet.data.cache as cache_module
from disasymnet.data.cache import Cache
from disasymnet.errors import CacheError, LeakError

from .small import IMAGE, make_arrays, make_cache, make_single, make_tumours


def test_what_was_written_is_read(tmp_path: Path) -> None:
    made = make_cache(tmp_path, 6, singles=2)
    cache = Cache.open(tmp_path)
    assert cache.image == IMAGE
    assert cache.dataset == "made-up"
    assert cache.pairs == made.pairs
    assert len(cache.singles) == 2
    for number, pair in enumerate(sorted(cache.pairs, key=lambda pair: pair.id)):
        wanted = make_arrays(number, lesion_right=bool(pair.abnormal.right))
        arrays = cache.arrays(pair.id)
        np.testing.assert_array_equal(arrays.image, wanted.image)
        np.testing.assert_array_equal(arrays.breast, wanted.breast)
        np.testing.assert_array_equal(arrays.lesion, wanted.lesion)
        assert arrays.breast.dtype == np.bool_
        assert arrays.lesion_free is None
    assert cache.arrays(make_single(0).id).image.shape == (1, 64, 32)


def test_small_caches_stay_in_memory_and_large_ones_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = make_cache(tmp_path, 2)
    name = cache.pairs[0].id
    assert cache.arrays(name) is cache.arrays(name)
    monkeypatch.setattr(cache_module, "KEPT_BYTES", 0)
    mapped = Cache.open(tmp_path).arrays(name)
    np.testing.assert_array_equal(mapped.image, cache.arrays(name).image)
    base = mapped.image
    while not isinstance(base, np.memmap):
        assert base.base is not None
        base = base.base
    with pytest.raises(ValueError, match="read-only"):
        mapped.image[0, 0, 0] = 1


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        make_cache(tmp_path / name, 6, singles=1, tumours=make_tumours())
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 6 + 1 + 2 + 2
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "remove"])
@pytest.mark.parametrize("kept", [0, 2**30])
def test_a_damaged_item_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str, kept: int) -> None:
    monkeypatch.setattr(cache_module, "KEPT_BYTES", kept)
    cache = make_cache(tmp_path, 2)
    path = tmp_path / "pairs" / f"{cache.pairs[1].id}.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes({"flip": bytes(content), "cut": bytes(content[:-10]), "empty": b""}[damage])
    cache = Cache.open(tmp_path)
    cache.arrays(cache.pairs[0].id)
    with pytest.raises(CacheError) as caught:
        cache.arrays(cache.pairs[1].id)
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda body: body.update(schema=0), "schema 0"),
        (lambda body: body.update(preprocessing="old"), "preprocessing old"),
        (lambda body: body["pairs"][0].update(patient="other"), "digest does not fit"),
        (lambda body: body["image"].update(height=128), "digest does not fit"),
        (lambda body: body.pop("schema"), "damaged"),
    ],
)
def test_a_manifest_of_another_make_is_refused(tmp_path: Path, change: object, message: str) -> None:
    make_cache(tmp_path, 2)
    body = json.loads((tmp_path / "manifest.json").read_text())
    change(body)  # type: ignore[operator]
    (tmp_path / "manifest.json").write_text(json.dumps(body))
    with pytest.raises(CacheError, match=message):
        Cache.open(tmp_path)


def test_an_empty_folder_and_a_torn_manifest_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="no prepared cache"):
        Cache.open(tmp_path)
    make_cache(tmp_path, 2)
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text()[:-200])
    with pytest.raises(CacheError, match="manifest is damaged"):
        Cache.open(tmp_path)


def test_a_leak_is_found_when_the_cache_is_opened(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, 8)
    body = json.loads((tmp_path / "splits.json").read_text())
    first = cache.pairs[0]
    body["holdout"][first.id] = "test" if first.split == "train" else "train"
    (tmp_path / "splits.json").write_text(json.dumps(body))
    with pytest.raises(LeakError, match=first.patient):
        Cache.open(tmp_path)


def test_splits_that_miss_an_item_or_make_no_sense_are_refused(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, 4)
    path = tmp_path / "splits.json"
    body = json.loads(path.read_text())
    path.write_text(json.dumps({**body, "holdout": {cache.pairs[0].id: "train"}}))
    with pytest.raises(CacheError, match="stands in no split"):
        Cache.open(tmp_path)
    path.write_text(json.dumps({**body, "holdout": dict.fromkeys(body["holdout"], "training")}))
    with pytest.raises(CacheError, match="splits are damaged"):
        Cache.open(tmp_path)


def test_splits_and_folds_part_the_pairs(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, 40, singles=3)
    parts = [cache.split(name) for name in ("train", "val", "test")]
    assert sorted(chain(*parts)) == sorted(pair.id for pair in cache.pairs)
    assert all(parts)
    for folds in (5, 3):  # stored, and drawn when asked for
        tested = [cache.split("test", folds, fold) for fold in range(folds)]
        assert sorted(chain(*tested)) == sorted(pair.id for pair in cache.pairs)
        assert cache.split("val", folds, 1) == []
        assert set(cache.split("train", folds, 1)) == {pair.id for pair in cache.pairs} - set(tested[1])
    assert cache.split("val", 5, 1, inner=1) == cache.split("test", 5, 2)
    assert cache.split("val", 5, 3, inner=4) == cache.split("test", 5, 2)
    assert set(cache.split("train", 5, 1, inner=1)) == set(cache.split("train", 5, 1)) - set(cache.split("test", 5, 2))


def test_a_share_takes_training_patients_only(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, 40)
    half = cache.split("train", share=0.5)
    assert set(half) < set(cache.split("train"))
    assert len(half) == len(cache.split("train")) // 2
    assert cache.split("test", share=0.5) == cache.split("test")


def test_singles_of_test_patients_do_not_teach(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, 4, singles=20)
    teaching = set(cache.training_singles())
    assert teaching == {single.id for single in cache.singles if single.split == "train"}
    assert 0 < len(teaching) < 20
    folds = [set(cache.training_singles(5, fold)) for fold in range(5)]
    assert set.intersection(*folds) == set()


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, 12)
    for wrong in (lambda: cache.split("training"), lambda: cache.split("test", 5, 5), lambda: cache.pair("x")):
        with pytest.raises(CacheError):
            wrong()
    with pytest.raises(CacheError, match="no item"):
        cache.arrays("../manifest")


def test_a_damaged_tumour_set_is_refused(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, 2, tumours=make_tumours())
    path = tmp_path / "tumours.safetensors"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(CacheError, match="tumour set is damaged"):
        _ = cache.tumours

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from disasymnet.data.batch import PairBatch
from disasymnet.data.cache import Cache
from disasymnet.data.loader import Loader, made_ahead, synthetic_test_pairs, tumours_of
from disasymnet.errors import CacheError, DatasetError, TrainingError
from disasymnet.settings import SynthesisSettings

from .small import make_cache, make_recipe, make_tumours


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return make_cache(tmp_path_factory.mktemp("cache"), 24, tumours=make_tumours())


def ids_of(cache: Cache) -> list[str]:
    return [pair.id for pair in cache.pairs]


def sides(batch: PairBatch, name: str) -> tuple[Tensor, Tensor]:
    row = batch.ids.index(name)
    return batch.image[[row, batch.pairs + row]], batch.labels.side[[row, batch.pairs + row]]


def equal(one: PairBatch, other: PairBatch) -> bool:
    return one.ids == other.ids and torch.equal(one.image, other.image) and torch.equal(one.breast, other.breast)


def test_an_epoch_shows_each_pair_once_in_a_new_order(cache: Cache) -> None:
    loader = Loader(cache, ids_of(cache), make_recipe("train.batch=4"), True)
    assert len(loader) == 6
    epochs = [[name for batch in loader.batches(epoch) for name in batch.ids] for epoch in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(ids_of(cache))
    assert epochs[0] != epochs[1]


def test_what_does_not_fill_a_batch_waits_for_another_epoch(cache: Cache) -> None:
    loader = Loader(cache, ids_of(cache), make_recipe("train.batch=10"), True)
    assert len(loader) == 2
    assert [len(batch.ids) for batch in loader.batches(0)] == [10, 10]


def test_starting_later_gives_the_same_batches(cache: Cache) -> None:
    loader = Loader(cache, ids_of(cache), make_recipe("train.batch=4"), True)
    whole = list(loader.batches(3))
    late = list(Loader(cache, ids_of(cache), make_recipe("train.batch=4"), True).batches(3, 4))
    assert len(late) == 2
    assert all(equal(one, other) for one, other in zip(whole[4:], late, strict=True))
    assert list(loader.batches(3, 6)) == []


def test_a_pair_does_not_depend_on_its_batch_mates_nor_on_the_order_of_ids(cache: Cache) -> None:
    recipe = make_recipe("train.batch=4", "synthesis.share=1.0")
    by_four = {
        name: sides(batch, name)
        for batch in Loader(cache, ids_of(cache), recipe, True).batches(1)
        for name in batch.ids
    }
    mixed = ids_of(cache)
    random.Random(0).shuffle(mixed)
    other = Loader(cache, mixed, make_recipe("train.batch=3", "synthesis.share=1.0"), True)
    for batch in other.batches(1):
        for name in batch.ids:
            assert all(torch.equal(a, b) for a, b in zip(sides(batch, name), by_four[name], strict=True))


def test_seed_and_epoch_change_the_pictures(cache: Cache) -> None:
    name = cache.pairs[0].id

    def shown(epoch: int, *changes: str) -> Tensor:
        loader = Loader(cache, ids_of(cache), make_recipe("train.batch=4", *changes), True)
        return next(sides(batch, name)[0] for batch in loader.batches(epoch) if name in batch.ids)

    assert torch.equal(shown(0), shown(0))
    assert not torch.equal(shown(0), shown(1))
    assert not torch.equal(shown(0), shown(0, "train.seed=1"))


@pytest.mark.parametrize("count", [1, 3])
def test_batches_made_ahead_keep_their_order_and_stop_when_closed(count: int) -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        time.sleep(0.01 * (number % 3 == 0))  # so that later ones are ready before
        if number == 7:
            raise ValueError("seven")
        return number * number

    threads = threading.active_count()
    assert list(made_ahead(work, range(5), count)) == [0, 1, 4, 9, 16]
    assert list(made_ahead(work, [], count)) == []
    begun.clear()
    stream = made_ahead(work, range(100), count)
    assert [next(stream), next(stream)] == [0, 1]
    stream.close()  # type: ignore[attr-defined]
    assert sorted(begun) == list(range(2 + count))
    assert threading.active_count() == threads
    with pytest.raises(ValueError, match="seven"):
        list(made_ahead(work, range(6, 10), count))


def test_without_threads_a_batch_is_made_when_it_is_asked_for() -> None:
    begun: list[int] = []
    stream = made_ahead(begun.append, range(3), 0)
    next(stream)
    assert begun == [0]


@pytest.mark.parametrize("mode", ["replace", "extra"])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_processes_share_out_the_same_batches(cache: Cache, mode: str, share: float) -> None:
    recipe = make_recipe("train.batch=6", f"synthesis.share={share}", f"synthesis.mode={mode}")
    whole = list(Loader(cache, ids_of(cache), recipe, True).batches(0))
    assert whole
    for rank in range(2):
        parts = list(Loader(cache, ids_of(cache), recipe, True, process=(rank, 2)).batches(0))
        for part, batch in zip(parts, whole, strict=True):
            pictures = [(part, batch)]
            if mode == "extra":
                assert part.extra is not None
                assert batch.extra is not None
                pictures.append((part.extra, batch.extra))
            for own, every in pictures:
                assert own.ids == every.ids[rank::2]
                for name in own.ids:
                    assert all(torch.equal(a, b) for a, b in zip(sides(own, name), sides(every, name), strict=True))


def test_evaluation_is_plain_complete_and_in_order(cache: Cache) -> None:
    ids = ids_of(cache)[::-1]
    loader = Loader(cache, ids, make_recipe("train.batch=5"), False)
    batches = list(loader.batches(0))
    assert len(loader) == len(batches) == 5
    assert [name for batch in batches for name in batch.ids] == ids
    for batch in batches:
        assert batch.real is None
        assert batch.synthetic is None
        assert batch.image.dtype == torch.float32
        for row, name in enumerate(batch.ids):
            arrays = cache.arrays(name)
            assert torch.equal(batch.image[row, 0], torch.from_numpy(arrays.image[0].astype("float32") / 65535))
            assert torch.equal(batch.image[batch.pairs + row, 0] > 0, torch.from_numpy(arrays.image[1] > 0))
            right, left = cache.pair(name).abnormal
            assert sides(batch, name)[1].tolist() == [float(bool(right)), float(bool(left))]


def test_unknown_labels_are_nan_and_pairs_without_any_do_not_teach(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, 16, labels=((None, None), (True, None), (False, None), (False, False)))
    loader = Loader(cache, ids_of(cache), make_recipe("train.batch=4", "synthesis.on=false"), True)
    assert loader.pairs == 12
    assert loader.notes == ("4 pairs without any label take no part",)
    plain = Loader(cache, ids_of(cache), make_recipe("train.batch=16"), False)
    labels = next(iter(plain.batches(0))).labels
    assert labels.asymmetric.isnan().sum() == 8
    assert (labels.asymmetric == 1).sum() == 4
    assert labels.side.isnan().sum() == 4 * 2 + 4 + 4


def test_a_share_of_the_symmetric_pairs_becomes_synthetic(cache: Cache) -> None:
    loader = Loader(cache, ids_of(cache), make_recipe("train.batch=8", "augment.swap_sides=false"), True)
    synthetic = symmetric = 0
    for epoch in range(12):
        for batch in loader.batches(epoch):
            truth = [cache.pair(name).asymmetric for name in batch.ids]
            symmetric += truth.count(False)
            if batch.synthetic is None:
                assert batch.real is None
                continue
            synthetic += int(batch.synthetic.sum())
            assert batch.real is not None
            for row, made in enumerate(batch.synthetic.tolist()):
                own = [row, batch.pairs + row]
                changed = [not torch.equal(batch.image[side], batch.real[side]) for side in own]
                if made:
                    assert truth[row] is False
                    assert batch.labels.side[own].tolist() == [float(side) for side in changed]
                    assert batch.labels.asymmetric[row] == 1
                else:
                    assert changed == [False, False]
                    assert batch.labels.asymmetric[row] == float(bool(truth[row]))
    assert synthetic / symmetric == pytest.approx(0.5, abs=0.05)


def test_extra_pairs_are_symmetric_ones_and_leave_the_batch_alone(cache: Cache) -> None:
    changes = ("train.batch=8", "augment.swap_sides=false")
    plain = list(Loader(cache, ids_of(cache), make_recipe(*changes, "synthesis.on=false"), True).batches(0))
    extra = list(Loader(cache, ids_of(cache), make_recipe(*changes, 'synthesis.mode="extra"'), True).batches(0))
    for one, other in zip(plain, extra, strict=True):
        assert equal(one, other)
        assert other.real is None
        assert other.extra is not None
        assert other.extra.pairs == 4
        assert all(cache.pair(name).asymmetric is False for name in other.extra.ids)
        assert other.extra.synthetic is not None
        assert other.extra.synthetic.all()
        assert other.extra.real is not None
        assert not torch.equal(other.extra.real, other.extra.image)
    assert extra[0].extra is not None
    assert extra[1].extra is not None
    assert extra[0].extra.ids != extra[1].extra.ids


def test_without_symmetric_pairs_nothing_is_synthesised(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, 8, labels=((True, False),), tumours=make_tumours())
    for mode in ("replace", "extra"):
        loader = Loader(cache, ids_of(cache), make_recipe("train.batch=4", f"synthesis.mode={mode}"), True)
        for batch in loader.batches(0):
            assert (batch.real, batch.synthetic, batch.extra) == (None, None, None)


def test_training_tumours_are_those_of_training_women(cache: Cache) -> None:
    taken = tumours_of(cache, make_recipe().synthesis)
    assert {tumour.split for tumour in taken.tumours} == {"train"}


def test_what_cannot_be_trained_is_said(cache: Cache, tmp_path: Path) -> None:
    ids = ids_of(cache)
    with pytest.raises(TrainingError, match="3 pairs with a label do not fill a batch of 8"):
        Loader(cache, ids[:3], make_recipe(), True)
    with pytest.raises(CacheError, match="the cache is 64 x 32, the recipe asks for 128 x 64"):
        Loader(cache, ids, make_recipe("image.height=128", "image.width=64"), True)
    with pytest.raises(CacheError, match="no pair"):
        Loader(cache, ["nobody"], make_recipe(), False)
    bare = make_cache(tmp_path / "bare", 8)
    with pytest.raises(TrainingError, match="needs a tumour set"):
        Loader(bare, ids_of(bare), make_recipe(), True)
    own = make_cache(tmp_path / "own", 8, tumours=make_tumours(source="made up"))
    with pytest.raises(DatasetError, match="the data set trained on"):
        Loader(own, ids_of(own), make_recipe(), True)
    Loader(own, ids_of(own), make_recipe("synthesis.same_source=true"), True)


def test_synthetic_test_pairs_have_a_known_truth(cache: Cache) -> None:
    tumours = make_tumours()
    settings = SynthesisSettings()
    batches = list(synthetic_test_pairs(cache, ids_of(cache), tumours, settings, batch=5))
    names = [name for batch in batches for name in batch.ids]
    assert names == [pair.id for pair in cache.pairs if pair.asymmetric is False]
    again = {
        name: sides(batch, name)[0]
        for batch in synthetic_test_pairs(cache, ids_of(cache), tumours, settings, batch=2)
        for name in batch.ids
    }
    for batch in batches:
        assert batch.real is not None
        assert batch.lesion is not None
        assert batch.synthetic is not None
        assert batch.synthetic.all()
        assert torch.equal(batch.lesion.flatten(1).any(1), batch.labels.side == 1)
        for row, name in enumerate(batch.ids):
            arrays = cache.arrays(name)
            assert torch.equal(batch.real[row, 0], torch.from_numpy(arrays.image[0].astype("float32") / 65535))
            assert torch.equal(sides(batch, name)[0], again[name])
    with pytest.raises(TrainingError, match="no test tumours"):
        next(synthetic_test_pairs(cache, ids_of(cache), tumours.part("train"), settings))

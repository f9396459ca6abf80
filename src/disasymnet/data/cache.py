"""Prepared pairs on disk: written once by `prepare`, then read many times without decoding anything.

CACHE/manifest.json                what each item is, the settings it was made with, a digest of each file
CACHE/splits.json                  who teaches, chooses and tests
CACHE/rejected.csv                 what was left out, and why
CACHE/contact-sheet.png
CACHE/pairs/<id>.safetensors       image uint16, breast uint8, lesion uint8 (2, H, W), right first; phantoms also
                                   lesion_free uint16
CACHE/singles/<id>.safetensors     the same of pictures without partner, (1, H, W)
CACHE/tumours.{safetensors,json}   the tumour set T, where one was given
CACHE/request.json, salt, */*.json what `prepare` needs to go on after an interruption; not read here
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from disasymnet.data.files import replace_file
from disasymnet.data.items import PairArrays, read_item, write_item
from disasymnet.data.manifest import (
    AGAIN,
    Cached,
    CachedFinding,
    CachedPair,
    CachedSingle,
    Manifest,
    manifest_json,
    parse_manifest,
)
from disasymnet.data.splits import (
    Member,
    Shares,
    Splits,
    check_leaks,
    fold_of,
    make_splits,
    parse_splits,
    share_of,
    splits_json,
)
from disasymnet.data.tumours import TumourSet
from disasymnet.errors import CacheError
from disasymnet.settings import ImageSettings

__all__ = [
    "Cache",
    "CachedFinding",
    "CachedPair",
    "CachedSingle",
    "Manifest",
    "PairArrays",
    "item_path",
    "member_of",
    "write_cache",
]

KEPT_BYTES = 2**30
"""Caches up to this size stay in memory once read; of larger ones each item is memory-mapped."""


@dataclass(frozen=True)
class Cache:
    """A prepared data set, opened."""

    path: Path
    manifest: Manifest
    splits: Splits
    digest: str
    """Twelve hexadecimal digits that stand for the pixels, the records and the splits."""
    _by_id: dict[str, Cached] = field(repr=False)
    _kept: dict[str, PairArrays] | None = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> Cache:
        """The cache at `path`.

        Raises CacheError if it is missing, damaged, unfinished or of another make, LeakError if a patient stands in
        two splits.
        """
        text = _read_text(path, "manifest.json", "there is no prepared cache here", "`disasymnet prepare` makes one.")
        manifest = parse_manifest(text, path / "manifest.json")
        splits_text = _read_text(path, "splits.json", "its splits are missing", AGAIN)
        try:
            splits = parse_splits(splits_text)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise CacheError("the splits are damaged", where=path / "splits.json", hint=AGAIN) from None
        items = _items(manifest)
        missing = [item.id for item in items if item.id not in splits.holdout]
        if missing:
            raise CacheError(f"item {missing[0]} stands in no split", where=path / "splits.json", hint=AGAIN)
        _check_leaks(items, splits)
        manifest = replace(
            manifest,
            pairs=tuple(replace(pair, split=splits.holdout[pair.id]) for pair in manifest.pairs),
            singles=tuple(replace(single, split=splits.holdout[single.id]) for single in manifest.singles),
        )
        pixels = manifest.image.height * manifest.image.width
        small = pixels * 2 * 6 * len(items) <= KEPT_BYTES  # six bytes a pixel with lesion-free pictures
        return cls(
            path=path,
            manifest=manifest,
            splits=splits,
            digest=hashlib.sha256((text + splits_text).encode()).hexdigest()[:12],
            _by_id={item.id: item for item in _items(manifest)},
            _kept={} if small else None,
        )

    @property
    def image(self) -> ImageSettings:
        """The model grid that the pictures were brought to."""
        return self.manifest.image

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.manifest.dataset

    @property
    def pairs(self) -> tuple[CachedPair, ...]:
        """All pairs, in the order of their ids."""
        return self.manifest.pairs

    @property
    def singles(self) -> tuple[CachedSingle, ...]:
        """Pictures without a partner but with findings."""
        return self.manifest.singles

    @property
    def tumours(self) -> TumourSet | None:
        """The tumour set stored with the cache. CacheError if it is damaged."""
        return TumourSet.load(self.path)

    def pair(self, item_id: str) -> CachedPair:
        """One pair's record. CacheError if there is none of this id."""
        item = self._by_id.get(item_id)
        if not isinstance(item, CachedPair):
            raise CacheError(f"there is no pair {item_id!r}", where=self.path)
        return item

    def arrays(self, item_id: str) -> PairArrays:
        """One item's pictures, checked against its digest when first read. CacheError if its file is damaged."""
        if self._kept is not None and item_id in self._kept:
            return self._kept[item_id]
        item = self._by_id.get(item_id)
        if item is None:
            raise CacheError(f"there is no item {item_id!r}", where=self.path)
        arrays = read_item(item_path(self.path, item), item.digest, mapped=self._kept is None)
        if self._kept is not None:
            self._kept[item_id] = arrays
        return arrays

    def split(self, name: str, folds: int = 0, fold: int = 0, *, inner: int = 0, share: float = 1.0) -> list[str]:
        """Ids of the pairs of `train`, `val` or `test`, in the order of the manifest.

        `folds = 0` is the holdout split. With folds, `test` is fold `fold`, `train` all others and `val` empty; with
        `inner` the fold so many places further is `val` and not in `train`. `share` takes a share of the training
        patients.
        """
        if name not in ("train", "val", "test"):
            raise CacheError(f"there is no split {name!r}", where=self.path, hint="train, val and test are.")
        placed = self._in_folds(folds, fold, inner) if folds else self.splits.holdout
        chosen = [pair for pair in self.pairs if placed[pair.id] == name]
        if name == "train" and share < 1:
            return share_of([member_of(pair) for pair in chosen], share, self.splits.seed)
        return [pair.id for pair in chosen]

    def redrawn(self, shares: Shares | None) -> Cache:
        """The cache with its patients drawn anew by `shares` into train, val and test; itself where that is None.

        By the seed of the cache's splits; a split that the data set itself brings is not used.
        """
        if shares is None:
            return self
        items = _items(self.manifest)
        holdout = make_splits(
            [replace(member_of(item), split=None) for item in items], seed=self.splits.seed, shares=shares
        ).holdout
        manifest = replace(
            self.manifest,
            pairs=tuple(replace(pair, split=holdout[pair.id]) for pair in self.manifest.pairs),
            singles=tuple(replace(single, split=holdout[single.id]) for single in self.manifest.singles),
        )
        return replace(
            self,
            manifest=manifest,
            splits=replace(self.splits, holdout=holdout, shares=shares),
            _by_id={item.id: item for item in _items(manifest)},
        )

    def training_singles(self, folds: int = 0, fold: int = 0) -> list[str]:
        """Ids of the single pictures whose patient may teach."""
        if not folds:
            return [single.id for single in self.singles if single.split == "train"]
        placed = self._in_folds(folds, fold, inner=0)
        return [single.id for single in self.singles if placed[single.id] == "train"]

    def _in_folds(self, folds: int, fold: int, inner: int) -> dict[str, str]:
        if folds < 2 or not 0 <= fold < folds or not 0 <= inner < folds:
            raise CacheError(f"there is no fold {fold} of {folds}", where=self.path)
        members = [member_of(item) for item in _items(self.manifest)]
        numbers = self.splits.folds.get(folds) or fold_of(members, folds, self.splits.seed)
        names = ({(fold + inner) % folds: "val"} if inner else {}) | {fold: "test"}
        return {item: names.get(number, "train") for item, number in numbers.items()}


def member_of(item: Cached) -> Member:
    """The item as the splits see it."""
    if isinstance(item, CachedPair):
        return Member(item.id, item.patient, item.abnormal.right, item.abnormal.left, item.split)
    right, left = (item.abnormal if item.laterality == side else None for side in "RL")
    return Member(item.id, item.patient, right, left, item.split)


def item_path(root: Path, item: Cached) -> Path:
    """Where an item's pixels lie."""
    return root / ("pairs" if isinstance(item, CachedPair) else "singles") / f"{item.id}.safetensors"


def write_cache(
    root: Path, manifest: Manifest, splits: Splits, arrays: Iterable[PairArrays] = (), tumours: TumourSet | None = None
) -> Cache:
    """Write a whole cache and open it.

    `arrays` gives the pixels of the pairs, then of the singles, in their order; without it the items' files are there
    already and the records hold their digests.
    """
    items = _items(manifest)
    written = {item.id: write_item(item_path(root, item), pixels) for item, pixels in zip(items, arrays, strict=False)}
    if written and len(written) < len(items):
        raise CacheError(f"pixels of {len(written)} items were given for {len(items)}", where=root)
    ready = [replace(item, digest=written.get(item.id, item.digest)) for item in items]
    if tumours is not None:
        tumours.save(root)
    replace_file(root / "splits.json", splits_json(splits).encode())
    # Last: a folder with a manifest is finished.
    replace_file(root / "manifest.json", manifest_json(manifest, ready).encode())
    return Cache.open(root)


def _items(manifest: Manifest) -> list[Cached]:
    return [*manifest.pairs, *manifest.singles]


def _check_leaks(items: Sequence[Cached], splits: Splits) -> None:
    everywhere: list[Mapping[str, str] | Mapping[str, int]] = [splits.holdout, *splits.folds.values()]
    for placed in everywhere:
        check_leaks((item.patient, placed[item.id]) for item in items if item.id in placed)


def _read_text(path: Path, name: str, what: str, hint: str) -> str:
    try:
        return (path / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise CacheError(what, where=path, hint=hint) from None

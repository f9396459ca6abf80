"""A negative control: pairs of two women.

What a method gains from the true partner it must lose here; what it does as well as before, it does without looking at
the other side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from disasymnet.data.cache import Cache, CachedPair, PairArrays
from disasymnet.data.seeds import shuffled
from disasymnet.records import Sides

NOTE = "NEGATIVE CONTROL: the left breast of each pair is another woman's (data.partners = strangers)"


def with_strangers(cache: Cache, ids: Sequence[str]) -> tuple[Exchanged, list[str]]:
    """A view of `cache` in which each pair of `ids` has the left side of another woman among them, and notes on it.

    Same view (CC, MLO); every left side is used once; drawn by the seed of the cache's splits. Label, findings and
    pixels go with the side. A pair keeps its own left side where no other woman has that view.
    """
    views: dict[str, list[CachedPair]] = defaultdict(list)
    for name in ids:
        pair = cache.pair(name)
        views[pair.view.value].append(pair)
    lefts: dict[str, str] = {}
    for view, pairs in sorted(views.items()):
        lefts |= _exchange(pairs, cache.splits.seed, view)
    kept = sum(cache.pair(name).patient == cache.pair(left).patient for name, left in lefts.items())
    notes = [NOTE, *([f"{kept} pairs keep their own left side: no other woman has their view"] if kept else [])]
    return Exchanged(**{f.name: getattr(cache, f.name) for f in fields(cache)}, _lefts=lefts), notes


def _exchange(pairs: Sequence[CachedPair], seed: int, view: str) -> dict[str, str]:
    """id -> id of the pair whose left side it gets.

    Women in a drawn order, each one's pairs together: moved on by as many places as the woman with most pairs has, no
    pair meets a woman of its own, if she has no more than half of all.
    """
    of: dict[str, list[str]] = defaultdict(list)
    for pair in pairs:
        of[pair.patient].append(pair.id)
    row = [name for patient in shuffled(of, seed, "strangers", view) for name in sorted(of[patient])]
    step = max(map(len, of.values()))
    return {name: row[(number + step) % len(row)] for number, name in enumerate(row)}


@dataclass(frozen=True)
class Exchanged(Cache):
    """A cache whose pairs have the left sides of others."""

    _lefts: Mapping[str, str] = field(repr=False, default_factory=dict)

    def left_of(self, item_id: str) -> str:
        """Id of the pair whose left side this one shows."""
        return self._lefts.get(item_id, item_id)

    def pair(self, item_id: str) -> CachedPair:
        """One pair's record, with the facts of the left side that it got."""
        own = super().pair(item_id)
        if item_id not in self._lefts:
            return own
        other = super().pair(self._lefts[item_id])
        changed: dict[str, Any] = {
            name: Sides(getattr(own, name).right, getattr(other, name).left)
            for name in ("abnormal", "geometry", "findings", "grey", "sources")
        }
        return replace(own, **changed)

    def arrays(self, item_id: str) -> PairArrays:
        """One item's pictures, with the left side that it got."""
        own = super().arrays(item_id)
        if item_id not in self._lefts:
            return own
        other = super().arrays(self._lefts[item_id])
        free = None
        if own.lesion_free is not None or other.lesion_free is not None:
            right, left = (one.image if one.lesion_free is None else one.lesion_free for one in (own, other))
            free = np.stack([right[0], left[1]])
        image, breast, lesion = (
            np.stack([getattr(own, name)[0], getattr(other, name)[1]]) for name in ("image", "breast", "lesion")
        )
        return PairArrays(image, breast, lesion, free)

"""Random numbers that depend on what they are for, and on nothing else: not on order, batch mates or workers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np


def generator(*key: object) -> np.random.Generator:
    """A generator of its own for each key, for example (seed, epoch, pair id)."""
    return np.random.Generator(np.random.PCG64(int.from_bytes(_digest(*key)[:16], "big")))


def shuffled(names: Iterable[str], *key: object) -> list[str]:
    """The names in an order drawn by the key; a name's place among the others does not depend on where it came in.

    Sorted by a hash and not by a generator's permutation: the order stays the same in every version of numpy.
    """
    return sorted(names, key=lambda name: (_digest(*key, name), name))


def _digest(*key: object) -> bytes:
    return hashlib.sha256("\x1f".join(str(part) for part in key).encode()).digest()

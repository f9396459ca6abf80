"""A small cache and a recipe for it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tests.data.small import IMAGE, LABELS, breast_mask, make_pair, make_tumours

from disasymnet.data.cache import Cache, Manifest, PairArrays, member_of, write_cache
from disasymnet.data.splits import make_splits
from disasymnet.recipe import Recipe
from disasymnet.records import Sides

TINY: dict[str, Any] = {
    "image": IMAGE.model_dump(mode="json"),
    "model": {
        "encoder": {"stem": "5x5", "widths": [8, 8, 16, 16], "blocks": [1, 1, 1, 1], "strides": [1, 2, 2, 1]},
        "transformer": {"layers": 1, "heads": 2},
        "heads": {"pooling": "lse"},
        "cam": {"form": "sigmoid"},
        "decoder": {"widths": [8, 8, 8]},
    },
    "train": {"epochs": 2, "batch": 4, "rate": 1e-3, "decay_at": [0.5]},
}


def tiny_recipe(**changes: dict[str, Any]) -> Recipe:
    sections = {name: {**TINY.get(name, {}), **values} for name, values in changes.items()}
    if "model" in changes:
        sections["model"] = {**TINY["model"], **changes["model"]}
        sections["model"]["transformer"] = {**TINY["model"]["transformer"], **changes["model"].get("transformer", {})}
    return Recipe.parse(json.dumps({**TINY, **sections}))


def make_cache(root: Path, pairs: int) -> Cache:
    """Abnormal sides have a bright square of 4 x 4 pixels, with its box."""
    records, arrays = [], []
    rng = np.random.default_rng(0)
    for number in range(pairs):
        labels = LABELS[number // 2 % len(LABELS)]
        pair = make_pair(number, labels)
        high = 0.6 if number % 2 else 0.5
        finding = make_pair(0, (True, False)).findings.right
        findings = Sides(*(finding if label else () for label in labels))
        records.append(
            replace(pair, grey=Sides((0.1, 0.2, 0.3, 0.4, high), (0.1, 0.2, 0.3, 0.4, 0.5)), findings=findings)
        )
        breast = np.stack([breast_mask()] * 2)
        image = rng.integers(15000, 25000, breast.shape).astype(np.uint16) * breast
        lesion = np.zeros_like(breast)
        for side, label in enumerate(labels):
            if label:
                lesion[side, 30:34, 8:12] = True
        image[lesion] += 30000
        arrays.append(PairArrays(image=image, breast=breast, lesion=lesion))
    splits = make_splits([member_of(pair) for pair in records], shares=(0.5, 0.25, 0.25))
    manifest = Manifest("small", True, IMAGE, tuple(records))
    return write_cache(root, manifest, splits, arrays, make_tumours())

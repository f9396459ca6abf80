"""Lesions of prepared caches: do their circles lie on them, and how large and bright are they.

    python benchmarks/lesion_circles.py --data CACHE [CACHE ...]

Contrast in grey levels of 255, inside the breast: disc = the lesion's circle, ring = 1 to 1.5 radii. Beside it the same
with the circles mirrored top to bottom, which is what a wrong origin of the coordinates would give. By kind: diameter
in mm and contrast, quartiles, so that phantoms can be laid beside real mammograms. Writes results/lesion-circles.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disasymnet.data.cache import Cache
from disasymnet.evaluate.provenance import commit, machine
from disasymnet.records import Box


def contrast(image: NDArray[np.float64], breast: NDArray[np.bool_], box: Box, *, mirrored: bool) -> float | None:
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    radius = (box.x1 - box.x0 + box.y1 - box.y0) / 4
    away = np.hypot(columns - x, rows - (image.shape[0] - y if mirrored else y)) / radius
    disc, ring = (away < 1) & breast, (away > 1) & (away < 1.5) & breast
    return float(image[disc].mean() - image[ring].mean()) if disc.any() and ring.any() else None


def lesions(cache: Cache) -> Iterator[dict[str, Any]]:
    """Kind, diameter in mm, contrast as read and mirrored, of every lesion with a box."""
    for pair in cache.pairs:
        arrays = cache.arrays(pair.id)
        for side, findings in enumerate(pair.findings):
            # Two circles of mini-MIAS are known to lie in the air: labels only.
            for finding in findings if arrays.lesion[side].any() else ():
                if (box := finding.box) is None:
                    continue
                image = arrays.image[side] / 257
                read, mirrored = (contrast(image, arrays.breast[side], box, mirrored=how) for how in (False, True))
                size = max(box.x1 - box.x0, box.y1 - box.y0) * (pair.pixel_mm or np.nan)
                kind = "other" if finding.kind is None else finding.kind.value
                yield {"kind": kind, "diameter_mm": size, "as read": read, "mirrored": mirrored}


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Sign test of the contrast, and quartiles by kind."""
    result: dict[str, Any] = {}
    for name in ("as read", "mirrored"):
        values = [one[name] for one in found if one[name] is not None]
        brighter = sum(value > 0 for value in values)
        result[name] = {"n": len(values), "brighter": brighter, "median": round(float(np.median(values)), 2)}
    kinds = {kind: [one for one in found if one["kind"] == kind] for kind in sorted({one["kind"] for one in found})}
    for kind, some in {"all": found, **kinds}.items():
        seen = [one for one in some if one["as read"] is not None]
        quartiles = {
            name: [round(float(q), 1) for q in np.nanpercentile([one[key] for one in seen], (25, 50, 75))]
            for name, key in (("diameter_mm", "diameter_mm"), ("contrast", "as read"))
        }
        result.setdefault("by_kind", {})[kind] = {"n": len(seen), **quartiles}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=Path("results/lesion-circles.json"))
    options = parser.parse_args()
    caches = [Cache.open(path) for path in options.data]
    result = {
        f"{cache.dataset}, {path.name}": {"image": cache.image.model_dump(), **summary(list(lesions(cache)))}
        for path, cache in zip(options.data, caches, strict=True)
    }
    for name, one in result.items():
        print(f"{name}: brighter {one['as read']}, mirrored {one['mirrored']}")
        for kind, row in one["by_kind"].items():
            print(f"  {kind:<26}{row['n']:>5}  diameter {row['diameter_mm']} mm  contrast {row['contrast']}")
    body = {
        "command": "python benchmarks/lesion_circles.py " + " ".join(word.split("/")[-1] for word in sys.argv[1:]),
        "commit": commit(),
        "machine": machine(),
        "caches": result,
    }
    options.out.write_text(json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()

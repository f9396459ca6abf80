"""Do the lesions of a prepared cache lie on lesions: grey of each disc minus that of its ring.

    python benchmarks/lesion_circles.py --data CACHE

In grey levels of 255, inside the breast: disc = the lesion's circle, ring = 1 to 1.5 radii. Beside it
the same with the circles mirrored top to bottom, which is what a wrong origin of the coordinates would give. Writes
results/lesion-circles.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("results/lesion-circles.json"))
    options = parser.parse_args()
    cache = Cache.open(options.data)
    found: dict[str, list[float]] = {"as read": [], "mirrored": []}
    for pair in cache.pairs:
        arrays = cache.arrays(pair.id)
        for side, findings in enumerate(pair.findings):
            image = arrays.image[side] / 257
            # Two circles of mini-MIAS are known to lie in the air: labels only.
            for box in (finding.box for finding in findings if arrays.lesion[side].any()):
                for name, values in found.items():
                    value = box and contrast(image, arrays.breast[side], box, mirrored=name == "mirrored")
                    values += [value] if value is not None else []
    result = {
        name: {"n": len(v), "brighter": sum(one > 0 for one in v), "median": round(float(np.median(v)), 2)}
        for name, v in found.items()
    }
    print(json.dumps(result))
    body = {
        "command": "python benchmarks/lesion_circles.py " + " ".join(word.split("/")[-1] for word in sys.argv[1:]),
        "commit": commit(),
        "machine": machine(),
        "dataset": cache.dataset,
        "image": cache.image.model_dump(),
        "contrast": result,
    }
    options.out.write_text(json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""The picture in the README, from the demo: input, heat map, symmetric picture, difference, truth of a phantom pair.

python scripts/example.py --run out/demo/run --data out/demo/cache --out docs/example.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from disasymnet import checkpoint
from disasymnet.data.cache import Cache
from disasymnet.data.loader import collate

ENLARGED = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pair", help="id of a test pair; default: the first one with a mass on one side")
    options = parser.parse_args()
    cache = Cache.open(options.data)
    one = checkpoint.load(options.run)
    one.method.eval()
    test = [cache.pair(name) for name in cache.split("test")]
    suits = [
        pair
        for pair in test
        if sum(bool(label) for label in pair.abnormal) == 1
        and all(finding.kind == "mass" for side in pair.findings for finding in side)
    ]
    chosen = cache.pair(options.pair) if options.pair else suits[0]
    batch = collate(cache, [chosen])
    with torch.inference_mode():
        out = one.method(batch.image, batch.breast)
    x, x_n = batch.image[:, 0].numpy(), out.normal[:, 0].numpy()
    cam, lesion = (out.cam * batch.breast)[:, 0].numpy(), batch.lesion[:, 0].numpy()

    def hang(sides: np.ndarray) -> np.ndarray:
        """Right breast on the screen's left, chest walls together."""
        return np.concatenate([sides[0][:, ::-1], sides[1]], axis=1)

    grey = [np.repeat(hang(np.clip(view * 1.4, 0, 1))[..., None], 3, axis=2) for view in (x, x_n, x)]
    heat = 0.75 * grey[0] + np.stack([hang(cam), hang(cam) * 0.45, np.zeros_like(hang(cam))], axis=2)
    difference = np.repeat(np.clip(0.5 + 1.5 * hang(x - x_n), 0, 1)[..., None], 3, axis=2)
    edge = hang(lesion).astype(bool) & ~_shrunk(hang(lesion).astype(bool))
    truth = np.where(edge[..., None], np.array([0.3, 1.0, 0.8]), grey[2])
    gap = np.ones((x.shape[1], 2, 3))
    strip = np.concatenate([grey[0], gap, heat, gap, grey[1], gap, difference, gap, truth], axis=1)
    picture = Image.fromarray((np.clip(strip, 0, 1) * 255).astype(np.uint8))
    picture.resize((picture.width * ENLARGED, picture.height * ENLARGED), Image.Resampling.BICUBIC).save(options.out)
    print(f"{options.out}: {chosen.id}")


def _shrunk(mask: np.ndarray) -> np.ndarray:
    inner = mask.copy()
    for axis in (0, 1):
        for step in (1, -1):
            inner &= np.roll(mask, step, axis)
    return inner


if __name__ == "__main__":
    main()

"""A long training on phantoms: what more steps bring.

    python benchmarks/phantom_curve.py --data out/demo-0/cache --out out/curve [--epochs 256] [--threads 1]

Trains the preset `phantom` for so many epochs; stops now and then to measure on the test pairs, and goes on from there.
Nothing is chosen by these looks. Run it again after a cut. Writes results/phantom-curve.json and
docs/phantom-curve.png: error left inside lesions and error outside against steps, and how many lesions are removed or
missed by kind and size at the end.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

from disasymnet.data.cache import Cache
from disasymnet.evaluate import evaluate
from disasymnet.evaluate.provenance import commit, machine
from disasymnet.progress import say
from disasymnet.recipe import Recipe
from disasymnet.training.loop import TrainOptions, train
from disasymnet.training.state import read_position

matplotlib.use("Agg")
import matplotlib.pyplot as plt

LOOKS = (0.0156, 0.03125, 0.0625, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.8, 0.85, 0.9, 1.0)  # of all epochs
FIGURES = {
    "auc_asymmetric": "asymmetry.auc",
    "auc_abnormal": "abnormality.auc",
    "inside": "reconstruction.inside_ratio",
    "outside": "reconstruction.outside_error",
    "black_holes": "reconstruction.black_holes",
    "removed": "reconstruction.removed_share",
    "missed": "reconstruction.missed_share",
    "pointing_cam": "pointing.cam",
}


def look(results: dict[str, Any]) -> dict[str, float]:
    found = {}
    for name, path in FIGURES.items():
        value: Any = results
        for key in path.split("."):
            value = value[key]
        found[name] = value["value"]
    return found


def draw(points: list[dict[str, Any]], out: Path) -> None:
    steps = [point["step"] for point in points]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), constrained_layout=True)
    for axis, name, title in zip(
        axes, ("inside", "outside"), ("Error left inside lesions (1 = untouched)", "Error outside (grey range 1)"),
        strict=True,
    ):  # fmt: skip
        axis.plot(steps, [point[name] for point in points], "o-", color="#1f4e79")
        axis.set(title=title, xlabel="steps", ylim=(0, None))
        axis.grid(alpha=0.3)
    figure.savefig(out, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cache = Cache.open(options.data)
    recipe = Recipe.load(
        "phantom",
        [f"train.epochs={options.epochs}", f"train.seed={options.seed}", f"train.validate_every={options.epochs}"],
    )
    updates = len(cache.split("train")) // recipe.train.batch
    run, points, results = options.out / "run", [], {}
    for share in LOOKS:
        epoch = max(1, round(share * options.epochs))
        kept = options.out / f"epoch-{epoch}.json"
        if not kept.is_file():
            position = read_position(run / "state")
            left = epoch * updates - (position.step if position else 0)
            train(recipe, cache, run, TrainOptions(resume=run.exists(), threads=options.threads, stop_after=left), say)
            results = evaluate(run, cache, "test", options.out / "evaluation", say)
            kept.write_text(json.dumps(results))
        results = json.loads(kept.read_text())
        points.append({"epoch": epoch, "step": epoch * updates} | look(results))
        print(json.dumps(points[-1]), flush=True)
    position = read_position(run / "state")
    Path("results/phantom-curve.json").write_text(
        json.dumps(
            {
                "command": "python benchmarks/phantom_curve.py " + " ".join(sys.argv[1:]),
                "commit": commit(),
                "machine": machine(),
                "seed": options.seed,
                "n_pairs": results["n_pairs"],
                "minutes": round(position.elapsed_s / 60) if position else None,
                "points": points,
                "reconstruction": results["reconstruction"],
            },
            indent=1,
        )
        + "\n"
    )
    draw(points, Path("docs/phantom-curve.png"))


if __name__ == "__main__":
    main()

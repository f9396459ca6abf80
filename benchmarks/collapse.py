"""Why each rule is there: the literal paper collapses, and what cures it, one switch at a time.

    python benchmarks/collapse.py --data CACHE --out FOLDER [--seed 0]

CACHE is a phantom cache of 64 x 32 (`make demo` leaves one in out/demo/cache). Every row is a whole training of the
small model with the same seed, data and number of steps; rows that are done are not trained again. Writes
results/collapse.json and FOLDER/collapse.png: input, x_n, difference of the same four sides in every row.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from disasymnet import checkpoint
from disasymnet.data.cache import Cache
from disasymnet.data.loader import collate
from disasymnet.evaluate import evaluate
from disasymnet.evaluate.provenance import commit, machine
from disasymnet.progress import say
from disasymnet.recipe import Recipe
from disasymnet.training.loop import TrainOptions, train

SMALL = Recipe.load("phantom")
SIZE = [
    "image.height=64",
    "image.width=32",
    "model.encoder.stem=3x3",
    "model.encoder.widths=[16, 32, 64, 64]",
    "model.encoder.blocks=[1, 1, 1, 1]",
    "model.encoder.strides=[2, 2, 1, 1]",
    "model.transformer.layers=2",
    "model.transformer.heads=4",
    "model.decoder.widths=[32, 16]",
    "train.epochs=16",
    "train.validate_every=4",
    f"train.rate={SMALL.train.rate}",
    f"train.decay_at={list(SMALL.train.decay_at)}",
    f"augment.zoom={SMALL.augment.zoom}",
    f"augment.shift={SMALL.augment.shift}",
    "augment.vertical_flip=true",
    "augment.swap_sides=true",
]
FROZEN_EVAL = "model.adversary.frozen_batch_norm=eval"
REFINE_APART = "model.adversary.refine_batch_norm=frozen"
RESIDUAL = "model.decoder.output=residual"
GATE = "model.decoder.residual_gate=true"
LOGIT_CAM = ["model.cam.form=sigmoid", "model.cam.detach=true", "model.heads.pooling=lse"]
LABELLED_FAKES = ["synthesis.mode=replace", "synthesis.harmonise=shift"]
ROWS: dict[str, tuple[str, list[str]]] = {
    "literal": ("literal", []),
    "+ frozen copy in eval mode": ("literal", [FROZEN_EVAL]),
    "+ refine leaves running statistics": ("literal", [FROZEN_EVAL, REFINE_APART]),
    "paper (+ label gate, positions)": ("paper", []),
    "+ residual output": ("paper", [RESIDUAL]),
    "+ gate x + M (g - x)": ("paper", [RESIDUAL, GATE]),
    "+ CAM from logits, log-sum-exp": ("paper", [RESIDUAL, GATE, *LOGIT_CAM, "model.losses.label_gate=false"]),
    "+ labelled fakes": (
        "paper",
        [RESIDUAL, GATE, *LOGIT_CAM, "model.losses.label_gate=false", *LABELLED_FAKES],
    ),
    "recommended (+ z-score)": ("recommended", ["model.transformer.zero_init=false"]),
    "recommended, frozen copy in train mode": (
        "recommended",
        ["model.transformer.zero_init=false", "model.adversary.frozen_batch_norm=train"],
    ),
    "recommended, refine moves running statistics": (
        "recommended",
        ["model.transformer.zero_init=false", "model.adversary.refine_batch_norm=train"],
    ),
    "recommended, x_n judged at the exposure of x": (
        "recommended",
        ["model.transformer.zero_init=false", "model.adversary.grey=input"],
    ),
    "recommended, L_syn over whole breasts alone": (
        "recommended",
        ["model.transformer.zero_init=false", "model.losses.syn_lesion=0.0"],
    ),
    "recommended, no gate": (
        "recommended",
        ["model.transformer.zero_init=false", "model.decoder.residual_gate=false"],
    ),
    "recommended, no refine": ("recommended", ["model.transformer.zero_init=false", "model.losses.refine=0.0"]),
    "recommended, no L_disc": ("recommended", ["model.transformer.zero_init=false", "model.losses.disc=0.0"]),
    "recommended, no Synthesis": (
        "recommended",
        ["model.transformer.zero_init=false", "synthesis.on=false"],
    ),
}


def signatures(results: dict[str, Any], run: Path) -> dict[str, float | None]:
    """The figures of one row: from the test split and from the last line of the training log."""

    def value(*path: str) -> float | None:
        found: Any = results
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return found["value"] if isinstance(found, dict) else found

    epochs = [
        entry
        for entry in map(json.loads, (run / "log.jsonl").read_text().splitlines())
        if entry.get("event") == "epoch"
    ]
    return {
        "auc_asymmetric": value("asymmetry", "auc"),
        "auc_abnormal": value("abnormality", "auc"),
        "inside": value("reconstruction", "inside_ratio"),
        "outside": value("reconstruction", "outside_error"),
        "black_holes": value("reconstruction", "black_holes"),
        "pointing_cam": value("pointing", "cam"),
        "pointing_difference": value("pointing", "difference"),
        "signatures": results.get("signatures"),
        "guards": epochs[-1].get("guards"),
        "losses": epochs[-1].get("losses"),
    }


def picture(runs: dict[str, Path], cache: Cache, out: Path) -> None:
    """Rows: settings; columns: input, x_n and difference of four test sides chosen by the order of their ids."""
    chosen = [pair for pair in map(cache.pair, cache.split("test")) if pair.asymmetric][:4]
    batch = collate(cache, chosen)
    sides = [number if bool(batch.labels.side[number]) else number + len(chosen) for number in range(len(chosen))]
    rows: list[np.ndarray[Any, Any]] = []
    for run in runs.values():
        one = checkpoint.load(run / "last")
        one.method.eval()
        with torch.no_grad():
            normal = one.method(batch.image, batch.breast).normal
        x, x_n = batch.image[sides, 0].numpy(), normal[sides, 0].numpy()
        strips = [np.concatenate([a * 1.6, b * 1.6, 0.5 + (a - b)], axis=1) for a, b in zip(x, x_n, strict=True)]
        rows.append(np.concatenate(strips, axis=1))
    grey = (np.concatenate(rows).clip(0, 1) * 255).astype(np.uint8)
    sheet = Image.fromarray(grey).resize((grey.shape[1] * 2, grey.shape[0] * 2), Image.Resampling.NEAREST)
    framed = Image.new("L", (sheet.width + 290, sheet.height), 255)
    framed.paste(sheet, (290, 0))
    draw = ImageDraw.Draw(framed)
    for number, name in enumerate(runs):
        draw.text((6, number * 128 + 56), name, fill=0)
    framed.save(out / "collapse.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="train this row alone, so that several machines or cores share them")
    options = parser.parse_args()
    cache = Cache.open(options.data)
    table, runs = {}, {}
    for number, (name, (preset, changes)) in enumerate(ROWS.items()):
        if options.only not in (None, number):
            continue
        run = options.out / f"row-{number:02d}"
        recipe = Recipe.load(preset, [*SIZE, *changes, f"train.seed={options.seed}"])
        say(f"{name}: {' '.join([preset, *changes])}")
        try:
            train(recipe, cache, run, TrainOptions(resume=run.exists(), threads=1), say)
        except Exception as error:  # a row that cannot be trained is a result of this table
            table[name] = {"preset": preset, "changes": changes, "stopped": str(error)}
            continue
        if options.only is not None:
            return
        results = evaluate(run, options.data, "test", None, say)
        table[name] = {"preset": preset, "changes": changes} | signatures(results, run)
        runs[name] = run
        print(name, json.dumps(table[name]), flush=True)
    picture(runs, cache, options.out)
    Path("results/collapse.json").write_text(
        json.dumps(
            {
                "command": "python benchmarks/collapse.py " + " ".join(sys.argv[1:]),
                "commit": commit(),
                "machine": machine(),
                "seed": options.seed,
                "n_pairs": len(cache.split("test")),
                "rows": table,
            },
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()

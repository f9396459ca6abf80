"""Time and memory of a training step and of inference, every method side by side in one run, per pair.

    python benchmarks/method_cost.py [--recipe recommended] [--size 256x128] [--pairs 4] [--repeats 3] [--device cpu]

Each method in a process of its own, their steps in turn; ratios to ResNet18 are of medians, on the CPU of processor
time of one thread. A training step is what `train` does with a batch: both objectives where a method has two. The batch
is noise with one synthetic pair in four; what it shows costs nothing. Memory is the process's peak less what it held
before the method was built. Writes results/method-cost.json and prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from train_step import make_batch, peak_memory, seconds

from disasymnet.evaluate.provenance import commit, machine
from disasymnet.methods import build
from disasymnet.recipe import Recipe
from disasymnet.reproduce.rows import KNOWN
from disasymnet.training.device import Place, keep_freed_memory
from disasymnet.training.steps import Stepper

BASE = "resnet18"
Rows = dict[str, dict[str, Any]]


class Cost:
    """One method with its batch and optimiser."""

    def __init__(self, recipe: Recipe, pairs: int, device: torch.device) -> None:
        torch.set_num_threads(1)
        keep_freed_memory()
        torch.manual_seed(0)
        self.device = device
        self.batch = make_batch(pairs, recipe.image.height, recipe.image.width).to(device)
        self.before = peak_memory(device)
        self.method = build(recipe).to(device)
        if recipe.train.channels_last:
            self.method.to(memory_format=torch.channels_last)
        self.stepper = Stepper(self.method, self.method.objectives, recipe.train, Place(device, 1))

    def train(self) -> None:
        self.stepper.train_mode()
        self.stepper.update([self.batch], 0, 0.0)
        self._wait()

    def infer(self) -> None:
        self.method.eval()
        with torch.inference_mode():
            self.method(self.batch.image, self.batch.breast)
        self._wait()

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


_kept: list[Cost] = []
"""The method of this process."""


def prepare(recipe: Recipe, pairs: int, device: torch.device) -> dict[str, float]:
    """Build it, warm inference up and then training; parameters, work and memory, MiB."""
    cost = Cost(recipe, pairs, device)
    _kept.append(cost)
    cost.infer()
    inference = peak_memory(device) - cost.before
    # The fused kernel of attention is not counted on a CPU, its parts are.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        cost.infer()
    cost.train()
    cost.train()
    return {
        "parameters": sum(parameter.numel() for parameter in cost.method.parameters()),
        "gmac_per_pair": round(counter.get_total_flops() / 2e9 / pairs, 3),
        "inference_mib": inference,
        "training_mib": peak_memory(device) - cost.before,
    }


def once(what: str) -> float:
    return seconds(getattr(_kept[0], what))


def compare(preset: str, size: tuple[int, int], pairs: int, repeats: int, device: torch.device) -> Rows:
    context = multiprocessing.get_context("spawn")
    changes = [f"image.height={size[0]}", f"image.width={size[1]}"]
    recipes = {name: Recipe.load(f"{preset}+{name}", changes) for name in KNOWN}
    processes = {name: ProcessPoolExecutor(1, context) for name in recipes}
    about = {
        name: process.submit(prepare, recipes[name], pairs, device).result() for name, process in processes.items()
    }
    taken: dict[str, dict[str, list[float]]] = {name: {"train": [], "infer": []} for name in recipes}
    for _ in range(repeats):
        for name, process in processes.items():
            for what, times in taken[name].items():
                times.append(process.submit(once, what).result())
    for process in processes.values():
        process.shutdown()
    median = {name: {what: statistics.median(times) for what, times in each.items()} for name, each in taken.items()}
    return {
        name: {
            "label": KNOWN[name].label,
            **about[name],
            "training_ratio": round(median[name]["train"] / median[BASE]["train"], 2),
            "inference_ratio": round(median[name]["infer"] / median[BASE]["infer"], 2),
            "training_ms_per_pair": round(1000 * median[name]["train"] / pairs, 1),
            "inference_ms_per_pair": round(1000 * median[name]["infer"] / pairs, 1),
            "spread": {what: round(max(times) / min(times), 2) for what, times in taken[name].items()},
        }
        for name in recipes
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="recommended")
    parser.add_argument("--size", default="256x128")
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("results/method-cost.json"))
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    rows = compare(options.recipe, (height, width), options.pairs, options.repeats, torch.device(options.device))
    result = {
        "command": " ".join(["python benchmarks/method_cost.py", *sys.argv[1:]]),
        "commit": commit(),
        "machine": machine(),
        "recipe": options.recipe,
        "size": [height, width],
        "pairs": options.pairs,
        "repeats": options.repeats,
        "rows": rows,
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print("| method | parameters, M | GMAC a pair | training step | inference | memory of training / inference, MiB |")
    print("|---|---|---|---|---|---|")
    for row in rows.values():
        print(
            f"| {row['label']} | {row['parameters'] / 1e6:.2f} | {row['gmac_per_pair']} | {row['training_ratio']}"
            f" | {row['inference_ratio']} | {row['training_mib']} / {row['inference_mib']} |"
        )


if __name__ == "__main__":
    main()

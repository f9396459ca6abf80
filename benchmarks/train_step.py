"""One training step: this implementation against a plain one, in one run.

    python benchmarks/train_step.py [--size 256x128] [--pairs 4] [--repeats 3] [--device cpu]

The plain step does the same arithmetic the way a first draft would: one forward a side, contiguous memory, a deep copy
of the classifier as discriminator, augmentation picture by picture, Adam as a Python loop, memory given back at once.
Losses are compared with BatchNorm in eval mode, since in train mode one forward a side has other batch statistics by
design; times are taken in train mode, each way in a process of its own, their steps in turn; ratios are of medians.
Writes results/train-step.json.
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from disasymnet.data.batch import Labels, PairBatch
from disasymnet.evaluate.provenance import commit, machine
from disasymnet.methods import build
from disasymnet.methods.disasymnet import DisAsymNet
from disasymnet.methods.losses import blended, classification_loss, of_pairs, reconstruction_loss, synthesis_loss
from disasymnet.networks.encoder import Features
from disasymnet.networks.heads import class_activation_map
from disasymnet.recipe import Recipe
from disasymnet.training.device import keep_freed_memory

WAYS = {"plain": (True, False), "ours fp32": (False, False), "ours bf16": (False, True)}
"""Name -> plain, bf16."""


def make_batch(pairs: int, height: int, width: int) -> PairBatch:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2 * pairs, 1, height, width, generator=generator)
    breast = torch.ones_like(image, dtype=torch.bool)
    breast[..., width * 3 // 4 :] = False
    side = torch.zeros(2 * pairs)
    side[: pairs // 2] = 1
    synthetic = torch.zeros(pairs, dtype=torch.bool)
    synthetic[: max(1, pairs // 4)] = True
    real = (image * 0.95) * breast
    return PairBatch(
        image * breast, breast, Labels.of_sides(side), tuple(map(str, range(pairs))), real=real, synthetic=synthetic
    )


def recipe(height: int, width: int, layers: int = 12) -> Recipe:
    return Recipe.load(
        "recommended",
        [f"image.height={height}", f"image.width={width}", f"model.transformer.layers={layers}",
         "model.transformer.zero_init=false"],
    )  # fmt: skip


def augment_together(batch: PairBatch) -> Tensor:
    theta = torch.tensor([[1.05, 0, 0], [0, 1.05, 0]], device=batch.image.device).expand(len(batch.image), 2, 3)
    grid = F.affine_grid(theta, list(batch.image.shape), align_corners=False)
    return F.grid_sample(batch.image, grid, align_corners=False)


def augment_one_by_one(batch: PairBatch) -> Tensor:
    theta = torch.tensor([[[1.05, 0, 0], [0, 1.05, 0]]], device=batch.image.device)
    return torch.cat([
        F.grid_sample(x[None], F.affine_grid(theta, [1, *x.shape], align_corners=False), align_corners=False)
        for x in batch.image
    ])  # fmt: skip


def our_losses(method: DisAsymNet, batch: PairBatch, update: Callable[[Tensor], None]) -> dict[str, float]:
    found: dict[str, float] = {}
    for losses in method.objectives(batch):
        update(torch.stack([weight * value for weight, value in losses.values()]).sum())
        found |= {name: float(value.detach()) for name, (_, value) in losses.items()}
    return found


def plain_losses(method: DisAsymNet, batch: PairBatch, update: Callable[[Tensor], None]) -> dict[str, float]:
    weights = method.settings.losses
    images, breasts = batch.image.chunk(2), batch.breast.chunk(2)
    frozen = copy.deepcopy(method).requires_grad_(False).eval()

    def classify(network: DisAsymNet, pictures: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, list[Features], Tensor]:
        features = [network.encoder(x, b) for x, b in zip(pictures, breasts, strict=True)]
        f_out = network.transformer(torch.cat([f.out for f in features]))
        answers = network.heads(f_out, batch.breast)
        cam = class_activation_map(answers, network.settings.encoder.stride, network.settings.cam)
        return answers.side, answers.asymmetry, cam, features, f_out

    side, asymmetry, cam, features, f_out = classify(method, list(images))
    cams = cam.chunk(2)
    drawn = [
        method.decoder(out, f, x, m * b)
        for out, f, x, m, b in zip(f_out.chunk(2), features, images, cams, breasts, strict=True)
    ]
    x_n = [pictures.normal for pictures in drawn]
    judged_side, judged_asymmetry, *_ = classify(frozen, x_n)
    one = [torch.ones_like(b) for b in breasts]
    chosen, together = of_pairs(batch.synthetic), torch.cat(x_n)
    lesions = chosen & blended(batch.real, batch.image)
    terms = {
        "diag": classification_loss(side, asymmetry, batch.labels),
        "rec": sum(
            reconstruction_loss(x, m, p.normal, p.abnormal_part, w)
            for x, m, p, w in zip(images, cams, drawn, one, strict=True)
        ) / 2,
        "disc": classification_loss(judged_side, judged_asymmetry, batch.labels.all_normal()),
        "syn": synthesis_loss(batch.real, together, chosen)
        + weights.syn_lesion * synthesis_loss(batch.real, together, lesions),
    }  # fmt: skip
    update(sum(getattr(weights, name) * value for name, value in terms.items()))
    layers = [layer for layer in method.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in layers:
        layer.momentum = 0.0
    again_side, again_asymmetry, *_ = classify(method, [x.detach() for x in x_n])
    for layer in layers:
        layer.momentum = 0.1
    terms["refine"] = classification_loss(again_side, again_asymmetry, batch.labels)
    update(terms["refine"])
    return {name: float(value.detach()) for name, value in terms.items()}


class Step:
    """A training step in one of the two ways."""

    def __init__(self, settings: Recipe, batch: PairBatch, *, plain: bool, bf16: bool, device: torch.device) -> None:
        torch.manual_seed(0)
        method = build(settings)
        assert isinstance(method, DisAsymNet)
        self.method = method.to(device)
        self.batch, self.plain, self.bf16, self.device = batch.to(device), plain, bf16, device
        if not plain:
            self.method = self.method.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(
            self.method.parameters(), lr=1e-6, **({"foreach": False} if plain else {"fused": True})
        )

    def _update(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def __call__(self) -> dict[str, float]:
        (augment_one_by_one if self.plain else augment_together)(self.batch)
        losses = plain_losses if self.plain else our_losses
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            found = losses(self.method, self.batch, self._update)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return found

    def losses_in_eval_mode(self) -> dict[str, float]:
        self.method.eval()
        losses = plain_losses if self.plain else our_losses
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return losses(self.method, self.batch, lambda loss: None)


def seconds(step: Callable[[], object]) -> float:
    # On the CPU: processor time of one thread, which a busy neighbour disturbs far less than the clock on the wall.
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    start = clock()
    step()
    return clock() - start


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Measured multiply-accumulates a second of a large matrix product."""
    n = 2048 if device.type == "cpu" else 8192
    a, b = torch.rand(n, n, device=device, dtype=dtype), torch.rand(n, n, device=device, dtype=dtype)

    def product() -> None:
        torch.mm(a, b)
        if device.type == "cuda":
            torch.cuda.synchronize()

    product()
    return n**3 / min(seconds(product) for _ in range(5))


_kept: dict[str, Step] = {}
"""The step of this process."""


def prepare(name: str, height: int, width: int, pairs: int, device: torch.device) -> dict[str, float]:
    """Build the way's step in this process and warm it up; its losses in eval mode."""
    torch.set_num_threads(1)
    plain, bf16 = WAYS[name]
    if not plain:
        keep_freed_memory()
        torch.backends.cudnn.benchmark = True  # as `train` does
    settings, batch = recipe(height, width), make_batch(pairs, height, width)
    torch.backends.cudnn.allow_tf32 = False  # losses are compared in full float32, times taken as torch comes
    losses = Step(settings, batch, plain=plain, bf16=bf16, device=device).losses_in_eval_mode()
    torch.backends.cudnn.allow_tf32 = True
    _kept[name] = Step(settings, batch, plain=plain, bf16=bf16, device=device)
    once(name)
    return losses


def once(name: str) -> float:
    """Seconds of a step. On a GPU the memory is given back behind it: the three ways together may not fit."""
    step = _kept[name]
    if step.device.type == "cpu":
        return seconds(step)
    step()
    torch.cuda.reset_peak_memory_stats()
    taken = seconds(step)
    torch.cuda.empty_cache()
    return taken


def gmac(name: str) -> float:
    with FlopCounterMode(display=False) as counter:
        _kept[name]()
    return counter.get_total_flops() / 2e9


def peak_memory(device: torch.device) -> int:
    """MiB, of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() // 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def compare(height: int, width: int, pairs: int, repeats: int, device: torch.device) -> dict[str, object]:
    context = multiprocessing.get_context("spawn")
    processes = {name: ProcessPoolExecutor(1, context) for name in WAYS}
    losses = {name: p.submit(prepare, name, height, width, pairs, device).result() for name, p in processes.items()}
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(repeats):
        for name, process in processes.items():
            taken[name].append(process.submit(once, name).result())
    memory = {name: process.submit(peak_memory, device).result() for name, process in processes.items()}
    work = processes["ours fp32"].submit(gmac, "ours fp32").result()
    for process in processes.values():
        process.shutdown()
    median = {name: statistics.median(times) for name, times in taken.items()}
    return {
        "size": [height, width],
        "pairs": pairs,
        "gmac": round(work, 1),
        "repeats": repeats,
        "times_faster": {name: round(median["plain"] / value, 2) for name, value in median.items()},
        "largest_loss_difference": {
            name: max(abs(losses[name][term] - losses["plain"][term]) for term in losses["plain"]) for name in WAYS
        },
        "losses": losses,
        "share_of_matmul_peak": {
            name: round(work * 1e9 / median[name] / matmul_peak(device, dtype), 3)
            for name, dtype in (("plain", torch.float32), ("ours fp32", torch.float32), ("ours bf16", torch.bfloat16))
        },
        "spread": {name: round(max(times) / min(times), 2) for name, times in taken.items()},
        "peak_memory_mib": memory,
    }


def scaling(device: torch.device) -> list[dict[str, object]]:
    """Cost of our step against batch, size and depth, as ratios to the first row."""
    rows: list[dict[str, object]] = []
    base = 0.0
    for height, pairs, layers in ((128, 4, 12), (128, 8, 12), (128, 4, 4), (128, 4, 1), (256, 4, 12)):
        step = Step(
            recipe(height, height // 2, layers), make_batch(pairs, height, height // 2), plain=False, bf16=False,
            device=device,
        )  # fmt: skip
        step()
        taken = min(seconds(step) for _ in range(2))
        base = base or taken
        rows.append({"size": [height, height // 2], "pairs": pairs, "layers": layers, "ratio": round(taken / base, 2)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="256x128")
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("results/train-step.json"))
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    device = torch.device(options.device)
    torch.set_num_threads(1)
    compared = compare(height, width, options.pairs, options.repeats, device)
    keep_freed_memory()
    result = {
        "command": " ".join(["python benchmarks/train_step.py", *sys.argv[1:]]),
        "commit": commit(),
        "machine": machine(),
        "compared": compared,
        "scaling": scaling(device),
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

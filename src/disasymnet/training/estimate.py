"""How much memory, disk and time a training will take, said before it starts.

Activations are counted, not guessed: the tensors that autograd keeps for two pairs, times half the batch; likewise the
time. Two pairs, so that a batch too large for the machine is warned of before it is tried. They run through a copy of
the method: the training itself is as if nothing had been.
"""

from __future__ import annotations

import copy
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from disasymnet.data.batch import Labels, PairBatch
from disasymnet.errors import TrainingError
from disasymnet.progress import Say, clock
from disasymnet.training.device import Place
from disasymnet.training.steps import Batch, Objectives, Stepper
from disasymnet.training.task import Task

BASE_BYTES = 600 * 2**20  # python, torch and its work buffers, measured 350 to 600 MiB
LOG_BYTES = 400  # of an epoch line and its share of step lines, with all losses and guards: about 1 to 2 kB


@dataclass(frozen=True)
class Estimate:
    """Bytes and seconds of a whole training."""

    parameters: int
    memory: int
    disk: int
    seconds: float
    steps: int

    def __str__(self) -> str:
        each = self.seconds / max(1, self.steps)
        return (
            f"{self.parameters / 1e6:.2f} M parameters; about {_size(self.memory)} of memory, {_size(self.disk)} of"
            f" disk, {clock(self.seconds)} for {self.steps} steps ({each:.2f} s each) and validation besides"
        )


def estimate(task: Task, place: Place) -> Estimate:
    """Estimate of a whole training by two trial steps on a copy of the method."""
    method = copy.deepcopy(task.method).to(place.device)
    bound = getattr(method, "objectives", None)
    objectives: Objectives = bound if bound is not None else task.objectives
    stepper = Stepper(method, objectives, task.settings, Place(place.device, place.threads), task.optimiser)
    stepper.train_mode()
    batch: Batch = next(iter(task.batches.batches(0)))
    few = _first_pairs(batch, 2) if isinstance(batch, PairBatch) else batch
    times = len(batch.ids) / len(few.ids)
    kept, seconds = 0, 0.0
    for _ in range(2):  # the first warms up
        begun = time.perf_counter()
        kept = _kept_bytes(stepper, few.to(place.device))
        seconds = time.perf_counter() - begun
        if seconds > 20:
            break
    weights = sum(tensor.numel() * tensor.element_size() for tensor in method.state_dict().values())
    trained = sum(p.numel() * 4 for p in stepper.trainable.values())
    steps = task.settings.epochs * -(-len(task.batches) // task.settings.accumulate)
    moments = 2 * trained * task.settings.optimisers
    return Estimate(
        parameters=sum(p.numel() for p in method.parameters()),
        memory=(0 if place.device.type == "cuda" else BASE_BYTES) + weights + trained + moments + round(kept * times),
        # last, best, and the state twice: the old one stays until the new one is whole.
        disk=4 * weights + 2 * (weights + moments) + steps * LOG_BYTES,
        seconds=seconds * times * steps * task.settings.accumulate,
        steps=steps,
    )


def check_room(wanted: Estimate, out: Path, place: Place, say: Say) -> None:
    """Say the estimate; warn where memory is short. Raises TrainingError where the disk is."""
    say(str(wanted))
    free = shutil.disk_usage(out).free
    if free < wanted.disk:
        raise TrainingError(
            f"the run needs about {_size(wanted.disk)} of disk, {_size(free)} are free",
            where=out,
            hint="Make room or take another --out.",
        )
    memory = free_memory(place)
    if memory is not None and memory < wanted.memory:
        say(
            f"warning: about {_size(wanted.memory)} of memory are needed and {_size(memory)} are free:"
            " lower train.batch and raise train.accumulate, or take a smaller image"
        )


def _kept_bytes(stepper: Stepper, batch: Batch) -> int:
    """Bytes of the distinct storages that autograd keeps during an update, the weights apart."""
    storages: dict[int, int] = {}
    own = {p.untyped_storage().data_ptr() for p in stepper.method.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        stepper.update([batch], 0, stepper.settings.rate)
    return sum(storages.values())


def _first_pairs(batch: PairBatch, count: int) -> PairBatch:
    """The first pairs of a batch, with those synthesised beside them in proportion."""
    pairs = batch.pairs

    def of_sides(stack: Tensor) -> Tensor:
        return torch.cat([stack[:count], stack[pairs : pairs + count]])

    extra = batch.extra
    return PairBatch(
        image=of_sides(batch.image),
        breast=of_sides(batch.breast),
        labels=Labels(of_sides(batch.labels.side), batch.labels.asymmetric[:count]),
        ids=batch.ids[:count],
        real=None if batch.real is None else of_sides(batch.real),
        synthetic=None if batch.synthetic is None else batch.synthetic[:count],
        lesion=None if batch.lesion is None else of_sides(batch.lesion),
        extra=None if extra is None else _first_pairs(extra, max(1, count * extra.pairs // pairs)),
    )


def free_memory(place: Place) -> int | None:
    """Bytes at hand; None where the system does not say."""
    if place.device.type == "cuda":
        return int(torch.cuda.mem_get_info(place.device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024
    except (OSError, StopIteration, ValueError, IndexError):
        return None


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{max(1, count / 2**20):.0f} MiB"

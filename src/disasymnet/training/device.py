"""Where a training runs: device, threads, precision, and what several processes share.

Several processes (torchrun) share each batch out and average their gradients by hand over one flat buffer:
DistributedDataParallel averages only through its own forward, and a method's objectives are no forward.
"""

from __future__ import annotations

import atexit
import ctypes
import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.distributed as dist
from torch import nn

from disasymnet.errors import TrainingError

DeviceName = Literal["auto", "cpu", "cuda"]
Precision = Literal["fp32", "bf16"]
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


@dataclass(frozen=True)
class Place:
    """One process of a training."""

    device: torch.device
    threads: int
    """Of arithmetic on the CPU; beside a GPU, those that make batches."""
    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """The process that writes and speaks."""
        return self.rank == 0

    @property
    def makers(self) -> int:
        """Threads that make batches ahead; none where they would take the cores from the training step."""
        return self.threads if self.device.type == "cuda" else 0

    def __str__(self) -> str:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        many = f", {self.world} processes" if self.world > 1 else ""
        return f"{name}, {self.threads} thread{'s' if self.threads > 1 else ''}{many}"


def take_place(device: DeviceName, threads: int | None) -> Place:
    """Settle device, threads and rank of this process; joins the others where torchrun started several.

    On the CPU torch is held to deterministic algorithms: the same seed and thread count give the same bytes.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise TrainingError(f"no device is called {device!r}", hint="auto, cpu or cuda.")
    count = threads or max(1, physical_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    keep_freed_memory()
    cuda = torch.cuda.is_available() if device == "auto" else device == "cuda"
    torch.set_num_threads(1 if cuda else count)  # beside a GPU each thread makes a batch of its own
    if cuda and not torch.cuda.is_available():
        raise TrainingError("no CUDA device is at hand", hint="Take --device cpu, or auto.")
    # Filling fresh memory with NaN costs time and changes no result of ours.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(not cuda)
    torch.backends.cudnn.benchmark = cuda
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Place(torch.device("cuda" if cuda else "cpu"), count)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo")
        atexit.register(dist.destroy_process_group)
    rank = dist.get_rank()
    where = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(where)
    return Place(where, count, rank, world)


def keep_freed_memory() -> None:
    """Let this process keep the memory it frees (glibc; elsewhere nothing happens).

    A step on the CPU gives its large tensors back and takes as many again; having them mapped afresh each time was a
    sixth of a step at 512 x 256 (docs/log.md).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)


def physical_cores() -> int:
    """Cores that this process may use, without the second threads of each (they slow a matrix product down)."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        blocks = Path("/proc/cpuinfo").read_text(encoding="utf-8").strip().split("\n\n")
    except OSError:
        return allowed
    wanted = ("physical id", "core id")
    cores = {tuple(line for line in block.splitlines() if line.startswith(wanted)) for block in blocks}
    known = len(cores - {()})
    return max(1, min(allowed, known or allowed))


def autocast(place: Place, precision: Precision) -> AbstractContextManager[object]:
    """bf16 for forward and losses; weights, gradients and Adam stay float32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(place.device.type, dtype=torch.bfloat16)


def seed_step(seed: int, step: int, rank: int) -> None:
    """All random numbers of a step follow from seed, step and rank: nothing to store for a resume."""
    # Torch takes 64 bits, and a negative number as its complement: this changes none that it would take.
    torch.manual_seed(((seed * 1_000_003 + step) * 4_099 + rank) % 2**64)


def average_gradients(parameters: Iterable[nn.Parameter], place: Place) -> None:
    """Each gradient becomes its mean over the processes, a missing one counting as 0 unless all lack it.

    One flat buffer, one exchange; the tail of the buffer counts who has a gradient, so that a parameter which no
    process reached stays without one (Adam then leaves it alone).
    """
    if place.world == 1:
        return
    every = list(parameters)
    if not every:
        return
    pieces = [p.grad.reshape(-1) if p.grad is not None else torch.zeros_like(p).reshape(-1) for p in every]
    present = torch.tensor([p.grad is not None for p in every], dtype=pieces[0].dtype, device=place.device)
    flat = torch.cat([*pieces, present])
    dist.all_reduce(flat)
    sums = torch.split(flat, [piece.numel() for piece in pieces] + [len(every)])
    for parameter, total, count in zip(every, sums, sums[-1].tolist(), strict=False):
        if count:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.copy_((total / place.world).view_as(parameter))


def average_buffers(module: nn.Module, place: Place) -> None:
    """BatchNorm's running statistics become their mean over the processes."""
    floats = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
    if place.world == 1 or not floats:
        return
    flat = torch.cat([buffer.reshape(-1) for buffer in floats])
    dist.all_reduce(flat)
    for buffer, total in zip(floats, torch.split(flat, [b.numel() for b in floats]), strict=True):
        buffer.copy_((total / place.world).view_as(buffer))


def wait_for_all(place: Place) -> None:
    """Go on when every process is here."""
    if place.world > 1:
        dist.barrier()

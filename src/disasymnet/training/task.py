"""What a training is made of: options, a stream of batches, a method with its objectives, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from torch import nn

from disasymnet.checkpoint import Card
from disasymnet.settings import TrainSettings
from disasymnet.training.device import DeviceName, Place
from disasymnet.training.steps import Objectives, Rate


@dataclass(frozen=True)
class TrainOptions:
    """How a training runs; nothing here changes its result but the device and, in the last digits, the threads."""

    resume: bool = False
    init: Path | None = None
    """A run or checkpoint to start from."""
    threads: int | None = None
    """None: physical cores."""
    device: DeviceName = "auto"
    stop_after: int | None = None
    """Stop, with the state saved, after so many updates."""
    save_every_s: float = 300.0
    say_every_s: float = 10.0
    log_every: int = 20
    """Updates from one `step` line of log.jsonl to the next."""


class Batches(Protocol):
    """A stream of batches that depends on seed and epoch only; of several processes each has its own part."""

    def __len__(self) -> int:
        """Batches of an epoch."""

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """The epoch's batches from number `start` on."""


@dataclass(frozen=True)
class Validation:
    """What an epoch's look at the validation pairs gave."""

    figures: dict[str, float | None]
    score: float | None
    """What the best checkpoint is chosen by; None: no choice."""
    guards: dict[str, float | None]
    warnings: dict[str, str]
    """Name of the signature -> line for the person."""


Validate = Callable[[nn.Module, Place, dict[str, list[float]]], Validation]


@dataclass(frozen=True)
class Task:
    """What is trained, on what, and how it is judged."""

    method: nn.Module
    objectives: Objectives
    batches: Batches
    settings: TrainSettings
    rate: Callable[[int], Rate]
    """Number of all steps -> learning rate of each."""
    card: Card
    validate: Validate | None = None
    optimiser: Literal["adam", "adamw"] = "adam"

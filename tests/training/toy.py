"""A tiny method and stream of batches that keep the loop's contract; the loop must not know the difference."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from disasymnet.checkpoint import Card
from disasymnet.recipe import Recipe
from disasymnet.training.device import Place
from disasymnet.training.epochs import fit
from disasymnet.training.steps import step_rate
from disasymnet.training.task import Task, TrainOptions, Validation

HERE = Place(torch.device("cpu"), 1)


@dataclass(frozen=True)
class ToyBatch:
    image: Tensor
    label: Tensor
    ids: tuple[str, ...]

    def to(self, device: torch.device) -> ToyBatch:
        return ToyBatch(self.image.to(device), self.label.to(device), self.ids)


@dataclass
class ToyBatches:
    count: int = 5
    size: int = 4
    starts: list[tuple[int, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return self.count

    def batches(self, epoch: int, start: int = 0) -> Iterator[ToyBatch]:
        self.starts.append((epoch, start))
        for number in range(start, self.count):
            random = torch.Generator().manual_seed(1000 * epoch + number)
            image = torch.randn(self.size, 1, 6, 6, generator=random)
            ids = tuple(f"e{epoch}b{number}p{i}" for i in range(self.size))
            yield ToyBatch(image, (image.mean((1, 2, 3)) > 0).float(), ids)


class Toy(nn.Module):
    """Classifier with BatchNorm and dropout, and a part that only the first objective reaches."""

    def __init__(self, *, bad_step: int | None = None, kill_at: int | None = None, sometimes: bool = False) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.trunk = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten())
        self.head = nn.Linear(64, 1)
        self.drawer = nn.Linear(64, 36)
        self.calls, self.bad_step, self.kill_at, self.sometimes = 0, bad_step, kill_at, sometimes

    def objectives(self, batch: ToyBatch) -> Iterator[dict[str, tuple[float, Tensor]]]:
        self.calls += 1
        f = self.trunk(batch.image)
        loss = nn.functional.binary_cross_entropy_with_logits(self.head(f)[:, 0], batch.label)
        drawn = self.drawer(f)
        losses = {"diag": (1.0, loss), "rec": (0.1, (drawn - batch.image.flatten(1)).abs().mean())}
        if self.calls - 1 == self.bad_step:
            losses["diag"] = (1.0, loss * float("nan"))
        if self.sometimes and self.calls % 2:
            losses["syn"] = (0.5, drawn.square().mean())
        yield losses
        if self.calls - 1 == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        again = self.head(self.trunk(drawn.detach().view_as(batch.image)))
        yield {"refine": (1.0, nn.functional.binary_cross_entropy_with_logits(again[:, 0], batch.label))}


def toy_recipe(**train: object) -> Recipe:
    settings = {"epochs": 4, "batch": 4, "rate": 1e-2, "decay_at": [0.5], "channels_last": True, **train}
    return Recipe.parse(__import__("json").dumps({"train": settings}))


def run_toy(
    out: Path,
    recipe: Recipe,
    options: TrainOptions | None = None,
    *,
    method: Toy | None = None,
    batches: ToyBatches | None = None,
    scores: list[float | None] | None = None,
    lines: list[str] | None = None,
    place: Place = HERE,
) -> tuple[Toy, bool]:
    """Train a toy into `out`; `scores` are the validation scores of the epochs."""
    method = method or Toy()

    def validate(_: nn.Module, __: Place, memory: dict[str, list[float]]) -> Validation:
        memory.setdefault("seen", []).append(0.0)
        assert scores is not None
        score = scores[len(memory["seen"]) - 1]
        return Validation({"abnormality_auc": score}, score, {"spread": 1.0}, {})

    task = Task(
        method,
        method.objectives,
        batches or ToyBatches(),
        recipe.train,
        lambda total: step_rate(recipe.train, total),
        Card(recipe.method, recipe.digest, "cache", "toy"),
        validate if scores is not None else None,
    )
    out.mkdir(parents=True, exist_ok=True)
    say = (lambda _: None) if lines is None else lines.append
    return method, fit(task, recipe, out, options or TrainOptions(), place, say)

"""One update of the weights: the objectives of a step in order, each optimised before the next is asked for.

Several batches may share an update (accumulation). They go through the objectives side by side: the first objective of
each, one step, the second objective of each, one step. The gradient is the mean of theirs. That is the one of a large
batch but for BatchNorm, whose statistics stay those of the single batches, and for losses that are means over what a
batch happens to have (known labels, synthesised pairs, pixels of breast): there each batch counts alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, Literal, Protocol, Self

import torch
from torch import nn

from disasymnet.errors import TrainingError
from disasymnet.methods.base import Losses
from disasymnet.settings import TrainSettings
from disasymnet.training.device import Place, autocast, average_buffers, average_gradients, seed_step


class Batch(Protocol):
    """What a step must know of a batch."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Names for errors."""

    def to(self, device: torch.device) -> Self:
        """The same batch on another device."""


Objectives = Callable[[Any], Iterator[Losses]]
Rate = Callable[[int], float]
"""Learning rate of a step, counted from 0."""
Values = dict[str, list[float]]
"""Each loss by name, unweighted: one number for each batch that had it."""


def step_rate(settings: TrainSettings, total: int) -> Rate:
    """The rate that drops to a tenth at each of `decay_at`'s shares of all `total` steps."""
    drops = [round(share * total) for share in settings.decay_at]
    return lambda step: settings.rate * 0.1 ** sum(step >= drop for drop in drops)


class Stepper:
    """Optimisers, frozen parts, precision and gradient rules of a training."""

    def __init__(
        self,
        method: nn.Module,
        objectives: Objectives,
        settings: TrainSettings,
        place: Place,
        kind: Literal["adam", "adamw"] = "adam",
    ) -> None:
        self.method, self.objectives, self.settings, self.place = method, objectives, settings, place
        self.frozen = _freeze(method, settings.freeze)
        self.still = [*self.frozen, *_batch_norms(method, settings.keep_statistics)]
        self.trainable = {name: p for name, p in method.named_parameters() if p.requires_grad}
        if not self.trainable:
            raise TrainingError("train.freeze leaves nothing to train")
        make = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
        self.optimisers = [
            make(list(self.trainable.values()), lr=settings.rate, weight_decay=settings.weight_decay, fused=True)
            for _ in range(settings.optimisers)
        ]

    def train_mode(self) -> None:
        """Train mode everywhere but in frozen parts and in BatchNorm layers that keep their running statistics."""
        self.method.train()
        for part in self.still:
            part.eval()

    def update(self, batches: Sequence[Batch], step: int, rate: float) -> Values:
        """One update from one or more batches; the losses' values.

        Raises TrainingError at the first loss or gradient that is not finite, before it can reach the weights.
        """
        seed_step(self.settings.seed, step, self.place.rank)
        streams = [(batch.ids, self.objectives(batch)) for batch in batches]
        values: Values = {}
        for index in count():
            self.method.zero_grad(set_to_none=True)
            reached = [self._backward(ids, stream, len(streams), step, values) for ids, stream in streams]
            if not any(reached):
                break
            self._apply(self.optimisers[min(index, len(self.optimisers) - 1)], rate, step, batches)
        average_buffers(self.method, self.place)
        return values

    def _backward(self, ids: tuple[str, ...], stream: Iterator[Losses], shares: int, step: int, values: Values) -> bool:
        """Add the gradients of the next objective of one batch; False where there is none left."""
        # Autocast keeps cast weights until it is left, so it may not span an update.
        with autocast(self.place, self.settings.precision):
            losses = next(stream, None)
            if losses is None:
                return False
            total = sum((weight * value for weight, value in losses.values()), start=torch.zeros(()))
        names = list(losses)
        numbers = torch.stack([losses[name][1].detach().float() for name in names]).tolist() if names else []
        for name, number in zip(names, numbers, strict=True):
            if not torch.isfinite(torch.tensor(number)):
                raise TrainingError(
                    f"the loss {name!r} is {number} at step {step}",
                    where="pairs " + ", ".join(ids),
                    hint="Look at these pairs; else lower train.rate or set train.clip. The last state stays as it is.",
                )
            values.setdefault(name, []).append(number)
        if total.requires_grad:
            torch.autograd.backward(total / shares)
        return True

    def _apply(self, optimiser: torch.optim.Optimizer, rate: float, step: int, batches: Sequence[Batch]) -> None:
        parameters = list(self.trainable.values())
        average_gradients(parameters, self.place)
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if not torch.isfinite(norm):
            raise TrainingError(
                f"a gradient is not finite at step {step}, though all losses are",
                where="pairs " + ", ".join(name for batch in batches for name in batch.ids),
                hint="Take train.precision=fp32, or lower train.rate. The last state stays as it is.",
            )
        if self.settings.clip and norm > self.settings.clip:
            nn.utils.clip_grads_with_norm_(parameters, self.settings.clip, norm)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()


def _freeze(method: nn.Module, prefixes: Sequence[str]) -> list[nn.Module]:
    """Switch the gradients of the named parts off; their modules."""
    parts: list[nn.Module] = []
    for prefix in prefixes:
        names = [name for name, _ in method.named_parameters() if _belongs(name, prefix)]
        if not names:
            raise _no_part(method, "freeze", prefix)
        for name in names:
            method.get_parameter(name).requires_grad_(False)
        parts += [module for name, module in method.named_modules() if name == prefix]
    return parts


def _batch_norms(method: nn.Module, prefixes: Sequence[str]) -> list[nn.Module]:
    """The BatchNorm layers of the named parts."""
    layers: list[nn.Module] = []
    for prefix in prefixes:
        inside = [module for name, module in method.named_modules() if _belongs(name, prefix)]
        if not inside:
            raise _no_part(method, "keep_statistics", prefix)
        layers += [module for module in inside if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    return layers


def _belongs(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _no_part(method: nn.Module, setting: str, prefix: str) -> TrainingError:
    children = ", ".join(name for name, _ in method.named_children())
    return TrainingError(f"train.{setting}: no part is called {prefix!r}", hint=f"Parts: {children}, ...")

"""The state from which a training goes on as if it had never stopped: weights, Adam's moments, place in the run.

RUN/state/ is replaced as a whole. Random numbers need no place in it: they follow from seed, epoch and step.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Tensor, nn

from disasymnet.checkpoint import put, read_tensors, replaced, settled, sha256, write_tensors
from disasymnet.errors import CheckpointError

TENSORS, POSITION = "state.safetensors", "state.json"


@dataclass
class Position:
    """Where a training stands, between two updates."""

    epoch: int = 0
    """Epochs done."""
    update: int = 0
    """Updates done of the epoch under way."""
    step: int = 0
    """Updates done in all."""
    best: float | None = None
    best_epoch: int | None = None
    elapsed_s: float = 0.0
    log_bytes: int = 0
    """Length of log.jsonl: what a killed process wrote beyond is cut off."""
    sums: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Of the epoch under way: each loss's sum and count."""
    batches: int = 0
    """Of the epoch under way."""
    warned: tuple[str, ...] = ()
    memory: dict[str, list[float]] = field(default_factory=dict)
    """What a guard must remember of earlier epochs."""
    done: bool = False
    digest: str = ""

    __pydantic_config__ = ConfigDict(extra="forbid")


def save_state(
    folder: Path, method: nn.Module, optimisers: Sequence[torch.optim.Optimizer], position: Position
) -> None:
    """Replace `folder` by the present state; OSError leaves the old one."""
    tensors = {f"method/{name}": _plain(tensor) for name, tensor in method.state_dict().items()}
    names: dict[Tensor, str] = {parameter: name for name, parameter in method.named_parameters()}
    for index, optimiser in enumerate(optimisers):
        for parameter, moments in optimiser.state.items():
            for kind, value in moments.items():
                tensors[f"optimiser{index}/{kind}/{names[parameter]}"] = _plain(value)
    with replaced(folder) as new:
        write_tensors(new / TENSORS, tensors)
        position.digest = sha256(new / TENSORS)
        (new / POSITION).write_text(json.dumps(asdict(position)) + "\n", encoding="utf-8")


def read_position(folder: Path) -> Position | None:
    """Where the training of a state folder stands; None where none was saved yet."""
    path = settled(folder) / POSITION
    if not path.is_file():
        return None
    try:
        return TypeAdapter(Position).validate_json(path.read_bytes())
    except ValidationError as error:
        raise CheckpointError(f"not a state of this version: {str(error).splitlines()[0]}", where=path) from None


def load_state(folder: Path, method: nn.Module, optimisers: Sequence[torch.optim.Optimizer]) -> Position | None:
    """Put the saved state into method and optimisers; None where none was saved yet.

    Raises CheckpointError where the state is damaged or does not fit.
    """
    position = read_position(folder)
    if position is None:
        return None
    folder = settled(folder)
    if sha256(folder / TENSORS) != position.digest:
        raise CheckpointError("the saved state is damaged", where=folder, hint="Start anew from RUN/last: --init RUN.")
    tensors = read_tensors(folder / TENSORS)
    own = {name.removeprefix("method/"): t for name, t in tensors.items() if name.startswith("method/")}
    put(method, own, where=folder)
    for name, tensor in tensors.items():
        owner, _, rest = name.partition("/")
        if owner == "method":
            continue
        kind, _, parameter_name = rest.partition("/")
        parameter = method.get_parameter(parameter_name)
        # Moments keep the memory layout of their weights, as the optimiser would have made them.
        like = torch.zeros_like(parameter) if tensor.dim() else torch.zeros((), device=parameter.device)
        optimisers[int(owner.removeprefix("optimiser"))].state[parameter][kind] = like.copy_(tensor).detach()
    return position


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()

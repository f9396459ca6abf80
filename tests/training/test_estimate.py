from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.training.caches import make_cache, tiny_recipe
from tests.training.toy import Toy, ToyBatches, toy_recipe

from disasymnet.checkpoint import Card
from disasymnet.methods import build
from disasymnet.training.device import Place
from disasymnet.training.estimate import Estimate, check_room, estimate
from disasymnet.training.loop import prepare
from disasymnet.training.task import Task, TrainOptions

HERE = Place(torch.device("cpu"), 1)


def toy_task(**train: object) -> Task:
    method, recipe = Toy(), toy_recipe(**train)
    return Task(method, method.objectives, ToyBatches(5), recipe.train, lambda _: lambda _: 1e-3, Card("", "", "", ""))


def test_parameters_and_bytes_by_hand() -> None:
    task = toy_task(epochs=3)
    weights = 4 * 9 + 4 + 2 * 4 + 64 + 1 + 64 * 36 + 36
    state = 4 * (weights + 2 * 4) + 8  # running statistics and their counter
    made = estimate(task, HERE)
    assert made.parameters == weights
    assert made.steps == 15
    assert made.disk == 4 * state + 2 * (state + 8 * weights) + 15 * 400
    assert made.seconds > 0
    two = estimate(toy_task(epochs=3, optimisers=2), HERE)
    assert two.memory - made.memory == pytest.approx(8 * weights, rel=0.2)


def test_the_method_is_left_as_it_was() -> None:
    task = toy_task()
    before = {name: tensor.clone() for name, tensor in task.method.state_dict().items()}
    estimate(task, HERE)
    for name, tensor in task.method.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert all(parameter.grad is None for parameter in task.method.parameters())


def test_memory_grows_with_the_batch(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, pairs=32)
    kept = []
    for batch in (2, 4, 8):
        recipe = tiny_recipe(train={"batch": batch})
        torch.manual_seed(0)
        task = prepare(recipe, cache, TrainOptions(threads=1), HERE, lambda _: None)
        kept.append(estimate(task, HERE).memory)
    first, second = kept[1] - kept[0], kept[2] - kept[1]
    assert first > 1e5
    assert second == pytest.approx(2 * first, rel=0.3)
    assert sum(p.numel() for p in build(recipe).parameters()) == estimate(task, HERE).parameters


def test_scarce_memory_is_warned_of(tmp_path: Path) -> None:
    lines: list[str] = []
    check_room(Estimate(1_500_000, 2**50, 2**20, 100.0, 10), tmp_path, HERE, lines.append)
    assert lines[0].startswith("1.50 M parameters; about 1048576.0 GiB of memory, 1 MiB of disk, 1 min 40 s for 10")
    assert "lower train.batch" in lines[1]
    check_room(Estimate(1, 2**20, 2**20, 1.0, 1), tmp_path, HERE, lines.append)
    assert len(lines) == 3

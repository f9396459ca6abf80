from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from disasymnet.errors import TrainingError
from disasymnet.recipe import Recipe
from disasymnet.training.device import Place, average_gradients, physical_cores, seed_step, take_place

CHILD = """
import sys
from pathlib import Path
import torch
from disasymnet.checkpoint import write_tensors
from disasymnet.data.cache import Cache
from disasymnet.training.device import average_gradients, take_place
from disasymnet.training.loop import TrainOptions, prepare, train
from disasymnet.training.steps import Stepper
from tests.training.caches import tiny_recipe

cache, out = Cache.open(Path(sys.argv[1])), Path(sys.argv[2])
place = take_place("cpu", 1)

linear = torch.nn.Linear(2, 1)
linear.weight.grad = torch.tensor([[1.0, 2.0]]) * (place.rank + 1)
if place.rank:
    linear.bias.grad = torch.tensor([8.0])
idle = torch.nn.Parameter(torch.zeros(3))
average_gradients([*linear.parameters(), idle], place)
assert linear.weight.grad.tolist() == [[1.5, 3.0]], linear.weight.grad
assert linear.bias.grad.tolist() == [4.0], linear.bias.grad
assert idle.grad is None

recipe = tiny_recipe(train={"epochs": 2})
task = prepare(recipe, cache, TrainOptions(threads=1), place, lambda line: None)
stepper = Stepper(task.method, task.objectives, task.settings, place)
stepper.train_mode()
ids = []
for step, batch in enumerate(task.batches.batches(0)):
    stepper.update([batch], step, 1e-3)
    ids += batch.ids
out.mkdir(exist_ok=True)
write_tensors(out / f"rank{place.rank}.safetensors", {n: t.contiguous() for n, t in task.method.state_dict().items()})
(out / f"ids{place.rank}").write_text(" ".join(ids))
train(recipe, cache, out / "run", TrainOptions(threads=1, device="cpu"), print)
"""


def test_two_processes_stay_alike_and_share_the_pairs(tmp_path: Path) -> None:
    from tests.training.caches import make_cache

    make_cache(tmp_path / "cache", pairs=24)
    root = Path(__file__).parents[2]
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    environment = {"PYTHONPATH": f"{root / 'src'}:{root}", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    arguments = [str(tmp_path / "cache"), str(tmp_path / "out")]
    result = subprocess.run(command + arguments, check=False, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]

    from disasymnet import checkpoint

    one, other = (checkpoint.read_tensors(tmp_path / "out" / f"rank{rank}.safetensors") for rank in (0, 1))
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name
    first, second = ((tmp_path / "out" / f"ids{rank}").read_text().split() for rank in (0, 1))
    assert len(first) == len(second) > 0
    assert not set(first) & set(second)
    assert checkpoint.load(tmp_path / "out" / "run").card.epochs == 2
    assert result.stderr.count("is finished") == 0


def test_one_process_leaves_gradients_alone() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([1.0, 2.0])
    average_gradients([weight], Place(torch.device("cpu"), 1))
    assert weight.grad.tolist() == [1.0, 2.0]


def test_a_steps_numbers_follow_from_seed_step_and_rank() -> None:
    seen = set()
    for key in [(0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1), (0, 0, 0)]:
        seed_step(*key)
        seen.add(float(torch.rand(())))
    assert len(seen) == 4


@pytest.mark.parametrize("seed", [1_700_000_000_000, 2**63 - 1, -(2**63)])
def test_a_seed_may_be_large(seed: int) -> None:
    assert Recipe.load("phantom", [f"train.seed={seed}"]).train.seed == seed
    drawn = []
    for step in (0, 1, 0):
        seed_step(seed, step, 0)
        drawn.append(float(torch.rand(())))
    assert drawn[0] == drawn[2] != drawn[1]


def test_a_small_seeds_numbers_stay_what_they_were() -> None:
    for seed, step, rank in [(0, 0, 0), (7, 300, 1), (-3, 5, 0)]:
        seed_step(seed, step, rank)
        numbers = torch.rand(3)
        torch.manual_seed((seed * 1_000_003 + step) * 4_099 + rank)
        assert torch.equal(torch.rand(3), numbers)


def test_place_is_named() -> None:
    place = take_place("cpu", 1)
    assert str(place) == "CPU, 1 thread"
    assert torch.are_deterministic_algorithms_enabled()
    assert physical_cores() >= 1


def test_no_such_device() -> None:
    with pytest.raises(TrainingError, match="'tpu'"):
        take_place("tpu", 1)  # type: ignore[arg-type]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_absent_cuda_is_said() -> None:
    with pytest.raises(TrainingError, match="no CUDA device"):
        take_place("cuda", 1)


def test_only_beside_a_gpu_do_threads_make_batches() -> None:
    assert Place(torch.device("cpu"), 4).makers == 0
    assert Place(torch.device("cuda"), 4).makers == 4
